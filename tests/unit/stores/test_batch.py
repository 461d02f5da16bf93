"""A batch holds at most one change per row, and nothing of a row that came and went within it."""

from __future__ import annotations

import random

import pytest

from eventcore.outcome import LOG_KEY_FIRST, Mutation, Trim
from eventcore.stores.base import Batch


def put(key: int, value: bytes = b"x", *, is_new: bool = False) -> Mutation:
    return Mutation(key, value, None, is_new)


def delete(key: int) -> Mutation:
    return Mutation(key, None)


def test_mutations_of_one_row_coalesce_to_the_last() -> None:
    batch = Batch()
    batch.add(1, (put(1, b"a"), put(2, b"a"), put(1, b"b"), delete(2)))
    assert batch.rows == {(1, 1): b"b", (1, 2): None}
    assert len(batch) == 2


def test_same_key_of_two_components_is_two_rows() -> None:
    batch = Batch()
    batch.add(1, (put(1, b"a"),))
    batch.add(2, (put(1, b"b"),))
    assert batch.rows == {(1, 1): b"a", (2, 1): b"b"}


def test_fresh_row_that_is_deleted_costs_nothing() -> None:
    batch = Batch()
    batch.add(1, (put(1, is_new=True), put(1, b"changed"), delete(1)))
    assert len(batch) == 0
    assert not batch.fresh


def test_row_deleted_before_it_was_put_as_new_is_still_deleted_in_the_store() -> None:
    batch = Batch()
    batch.add(1, (delete(1), put(1, is_new=True), delete(1)))
    assert batch.rows == {(1, 1): None}


def test_row_that_is_not_new_is_deleted_in_the_store() -> None:
    batch = Batch()
    batch.add(1, (put(1), delete(1)))
    assert batch.rows == {(1, 1): None}


def test_trim_removes_rows_put_before_it_and_keeps_those_after() -> None:
    batch = Batch()
    batch.add(1, (put(1, is_new=True), put(2), put(9)))
    batch.add(2, (put(2),))
    batch.trim(1, Trim(1, 5))
    batch.add(1, (put(3, b"after"),))
    assert batch.rows == {(1, 9): b"x", (2, 2): b"x", (1, 3): b"after"}
    assert batch.ranges == [(1, 1, 5)]
    assert not batch.fresh
    assert len(batch) == 4


def test_get_knows_puts_deletes_ranges_and_nothing_else() -> None:
    batch = Batch()
    batch.add(1, (put(1, b"a"), delete(2)))
    batch.trim(1, Trim(10, 20))
    batch.add(1, (put(15, b"b"),))
    assert batch.get((1, 1)) == b"a"
    assert batch.get((1, 2)) is None
    assert batch.get((1, 10)) is None
    assert batch.get((1, 15)) == b"b"
    assert batch.get((1, 3)) is Batch.ABSENT
    assert batch.get((2, 10)) is Batch.ABSENT


def test_value_bytes_are_those_of_the_values_whatever_comes_and_goes() -> None:
    chance = random.Random(11)
    batch = Batch()
    for step in range(3_000):
        component, key = chance.randrange(3), chance.randrange(40)
        if chance.random() < 0.05:
            batch.trim(component, Trim(key, key + chance.randrange(20)))
            if chance.random() < 0.5:
                batch.trim(component, Trim(key + 20, key + 22))
        elif chance.random() < 0.4:
            batch.add(component, (delete(key),))
        else:
            is_new = (component, key) not in batch.rows and chance.random() < 0.5
            batch.add(component, (put(key, bytes(step % 50), is_new=is_new),))
        assert batch.value_bytes == sum(len(value or b"") for value in batch.rows.values())
        assert batch.fresh <= batch.rows.keys()


def test_trims_that_follow_each_other_see_what_came_between_them() -> None:
    batch = Batch()
    batch.add(1, [put(key) for key in range(10)])
    batch.trim(1, Trim(0, 3))
    batch.trim(1, Trim(2, 5))
    batch.add(1, (put(2, b"after"), put(7, b"again")))
    batch.trim(2, Trim(0, 9))
    batch.trim(1, Trim(6, 7))
    assert batch.rows == {(1, 2): b"after", (1, 8): b"x", (1, 9): b"x"}
    assert batch.ranges == [(1, 0, 3), (1, 2, 5), (2, 0, 9), (1, 6, 7)]


def test_range_may_not_span_hot_rows_and_log_rows() -> None:
    batch = Batch()
    batch.trim(1, Trim(0, LOG_KEY_FIRST - 1))
    batch.trim(1, Trim(LOG_KEY_FIRST, (1 << 63) - 1))
    with pytest.raises(AssertionError, match="spans hot rows and log rows"):
        batch.trim(1, Trim(LOG_KEY_FIRST - 1, LOG_KEY_FIRST))
    assert len(batch) == 2
