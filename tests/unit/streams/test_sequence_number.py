from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventcore.streams.sequence_number import (
    END,
    STEP,
    SequenceNumber,
    first_value,
    parse_sequence_number,
    sequence_text,
)

SECONDS = st.integers(0, (1 << 33) - 1)
ORDINALS = st.integers(0, (1 << 20) - 1)
NUMBERS = st.integers(0, END)


@given(SECONDS, ORDINALS, NUMBERS, SECONDS)
def test_a_sequence_number_reads_back(created_s, ordinal, number, arrived_s):
    text = sequence_text(created_s, ordinal, number, arrived_s)
    assert len(text) == 56 and text.isdecimal()
    assert parse_sequence_number(text) == SequenceNumber(created_s, ordinal, number, arrived_s)


@given(SECONDS, ORDINALS, st.integers(0, END - 1), SECONDS, SECONDS)
def test_they_rise_with_the_number_whatever_the_times(created_s, ordinal, number, early, late):
    low = first_value(created_s, ordinal, number, late)
    assert low < first_value(created_s, ordinal, number + 1, early)
    assert low + STEP == first_value(created_s, ordinal, number + 1, late)


@given(SECONDS, ORDINALS, ORDINALS, NUMBERS, NUMBERS, SECONDS)
def test_those_of_a_later_shard_are_greater(created_s, ordinal, other, number, others, arrived_s):
    low = first_value(created_s, ordinal, number, arrived_s)
    assert low < first_value(created_s + 1, other, others, arrived_s)


@pytest.mark.parametrize(
    "text",
    ["", "0", "-1", "1" * 56, "9" * 128, "9" * 129, "x" * 56, "²" * 56]
    + [sequence_text(1, 2, 3, 4) + end for end in ("0", " ", "\n")]
    + [str(int(sequence_text(1, 2, 3, 4)) + more) for more in (1, 1 << 4, 1 << 72, 1 << 188)],
)
def test_what_is_no_sequence_number_is_none(text):
    assert parse_sequence_number(text) is None
