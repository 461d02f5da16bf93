"""Log rows in memory: a trim at the front lets go of what it deletes, and moves nothing else."""

from __future__ import annotations

import random

from eventcore.outcome import LOG_KEY_FIRST, Mutation, Trim
from eventcore.stores.base import LOG_SHIFT, Batch
from eventcore.stores.memory import MemoryStore
from eventcore.stores.memory_log import LogRows

LAST = (1 << 63) - 1


def log_key(log: int, number: int) -> int:
    return LOG_KEY_FIRST | log << LOG_SHIFT | number


def test_rows_of_interleaved_logs_come_back_in_key_order() -> None:
    rows = LogRows()
    chance = random.Random(3)
    expected = {}
    for number in range(1, 400):
        key = log_key(chance.randrange(5), number * 7)
        rows.put(key, b"%d" % number)
        expected[key] = b"%d" % number
    assert rows.scan(LOG_KEY_FIRST, LAST, 1_000, None) == sorted(expected.items())
    assert rows.order == [LOG_KEY_FIRST >> LOG_SHIFT | log for log in range(5)]


def test_trim_at_the_front_frees_values_at_once_and_places_when_half_are_gone() -> None:
    rows = LogRows()
    for number in range(100):
        rows.put(log_key(0, number), b"x")
    (log,) = rows.logs.values()
    rows.delete_range(log_key(0, 0), log_key(0, 29))
    assert (log.begin, len(log.keys)) == (30, 100)
    assert log.values[:31] == [b""] * 30 + [b"x"]
    assert rows.get(log_key(0, 29)) is None
    assert rows.scan(LOG_KEY_FIRST, LAST, 1, None) == [(log_key(0, 30), b"x")]
    rows.delete_range(log_key(0, 0), log_key(0, 49))
    assert (log.begin, len(log.keys)) == (0, 50)
    assert rows.scan(LOG_KEY_FIRST, LAST, 1, None) == [(log_key(0, 50), b"x")]


def test_a_row_can_come_back_before_the_front_and_between_others() -> None:
    rows = LogRows()
    for number in range(10, 110, 10):
        rows.put(log_key(0, number), b"x")
    rows.delete_range(log_key(0, 0), log_key(0, 30))
    rows.put(log_key(0, 20), b"again")
    rows.put(log_key(0, 55), b"between")
    rows.put(log_key(0, 60), b"over")
    found = rows.scan(LOG_KEY_FIRST, LAST, 99, None)
    assert [key - LOG_KEY_FIRST for key, _ in found] == [20, 40, 50, 55, 60, 70, 80, 90, 100]
    assert rows.get(log_key(0, 20)) == b"again"
    assert rows.get(log_key(0, 60)) == b"over"
    assert rows.get(log_key(0, 10)) is None
    assert rows.get(log_key(1, 10)) is None


def test_a_log_is_dropped_with_its_last_row_and_a_component_with_its_last_log() -> None:
    store = MemoryStore()
    try:
        store.open().send(None)
    except StopIteration:
        pass
    batch = Batch()
    batch.add(1, [Mutation(log_key(log, 1), b"x") for log in range(4)])
    store.append(batch, lambda error: None)
    assert len(store._logs[1].order) == 4
    one = Batch()
    one.add(1, [Mutation(log_key(2, 1), None), Mutation(log_key(9, 1), None)])
    store.append(one, lambda error: None)
    assert store._logs[1].order == [LOG_KEY_FIRST >> LOG_SHIFT | log for log in (0, 1, 3)]
    rest = Batch()
    rest.trim(1, Trim(LOG_KEY_FIRST, LAST))
    rest.trim(2, Trim(LOG_KEY_FIRST, LAST))
    store.append(rest, lambda error: None)
    assert store._logs == {}
    assert not store._components
