from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from eventcore.codec import record_decoder
from eventcore.outcome import Outcome, delete_row, put_row, row_family, row_key, row_number

families = st.integers(0, 2**15 - 1)
numbers = st.integers(0, 2**48 - 1)


class Row(msgspec.Struct, frozen=True, array_like=True):
    a: int
    b: str = "old"


@given(families, numbers)
def test_a_key_holds_family_and_number_and_fits_a_store(family, number):
    key = row_key(family, number)
    assert (row_family(key), row_number(key)) == (family, number)
    assert 0 <= key < 2**63


@given(families, numbers, families, numbers)
def test_keys_sort_by_family_and_then_by_number(family, number, other_family, other_number):
    pairs = (family, number), (other_family, other_number)
    assert (row_key(*pairs[0]) < row_key(*pairs[1])) == (pairs[0] < pairs[1])


def test_a_put_carries_the_record_and_its_bytes():
    mutation = put_row(7, Row(1, "x"), is_new=True)
    assert mutation.key == 7 and mutation.is_new
    assert mutation.record == Row(1, "x")
    assert mutation.value is not None
    assert record_decoder(Row)(mutation.value) == Row(1, "x")


def test_a_delete_has_no_value():
    mutation = delete_row(7)
    assert (mutation.key, mutation.value, mutation.is_new) == (7, None, False)


def test_an_outcome_that_changed_nothing_says_so():
    outcome = Outcome("value")
    assert (outcome.mutations, outcome.effects, outcome.trims) == ((), (), ())
