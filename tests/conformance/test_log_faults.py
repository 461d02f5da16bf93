"""Log rows when something fails: a batch of both kinds is durable as a whole, or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from eventcore.errors import StoreCorrupt, StoreUnavailable
from eventcore.outcome import LOG_KEY_FIRST, Mutation, Trim
from eventcore.stores.base import LOG_SHIFT, Batch, Store
from eventcore.stores.memory import MemoryStore
from eventcore.stores.row_file import PAGE_BYTES
from eventcore.stores.schema import bulk_load
from eventcore.stores.sqlite import InlineSqliteStore, WriterSqliteStore
from eventcore.testing import FaultyStore
from eventcore.testing.conformance import append

LOG_KEY_MAX = (1 << 63) - 1
FILES: dict[str, Callable[..., Store]] = {
    "inline": InlineSqliteStore,
    "writer": WriterSqliteStore,
}


def both(value: bytes, *numbers: int) -> Batch:
    """Each number as a hot row and as a log row."""
    batch = Batch()
    for number in numbers:
        batch.add(1, [Mutation(number, value), Mutation(LOG_KEY_FIRST + number, value)])
    return batch


def contents(store: Store) -> tuple[list[tuple[int, int, bytes]], list[tuple[int, bytes]]]:
    return list(store.load()), store.scan(1, LOG_KEY_FIRST, LOG_KEY_MAX, 10_000)


@pytest.mark.parametrize("value_bytes", [300, 30_000])
@pytest.mark.parametrize("kind", FILES)
async def test_commit_that_the_disk_has_no_room_for_changes_neither_kind(
    kind: str, value_bytes: int, tmp_path: Path
) -> None:
    store = FILES[kind](str(tmp_path / "events.db"), file_bytes_max=1 << 20)
    await store.open()
    assert await append(store, both(b"a", 1, 2, 3)) is None
    before = contents(store)
    batch = both(os.urandom(value_bytes), 2, *range(10, 10 + 3_000_000 // value_bytes))
    batch.trim(1, Trim(3, 3))
    batch.trim(1, Trim(LOG_KEY_FIRST + 1, LOG_KEY_FIRST + 3))
    error = await append(store, batch)
    assert isinstance(error, StoreUnavailable)
    assert "file_bytes_max" in str(error)
    assert contents(store) == before
    await store.recover()
    assert contents(store) == before
    assert await append(store, both(b"b", 3)) is None
    assert store.read(1, [3, LOG_KEY_FIRST + 3, LOG_KEY_FIRST + 2]) == [b"b", b"b", b"a"]
    await store.close()


@pytest.mark.parametrize("fault", ["fail_before", "fail_after"])
async def test_append_reported_as_failed_is_there_as_a_whole_or_not_at_all(fault: str) -> None:
    store = FaultyStore(MemoryStore(holds_replies=True))
    await store.open()
    assert await append(store, both(b"a", 1, 2)) is None
    before = contents(store)
    store.plan[2] = fault  # type: ignore[assignment]
    batch = both(b"b", 2, 3)
    batch.trim(1, Trim(LOG_KEY_FIRST, LOG_KEY_FIRST + 1))
    assert await append(store, batch) is not None
    await store.recover()
    if fault == "fail_before":
        assert contents(store) == before
    else:
        logs = [(LOG_KEY_FIRST + 2, b"b"), (LOG_KEY_FIRST + 3, b"b")]
        assert contents(store) == ([(1, 1, b"a"), (1, 2, b"b"), (1, 3, b"b")], logs)


@pytest.mark.parametrize("kind", FILES)
async def test_damage_in_log_rows_is_corrupt_where_it_is_read_and_keeps_no_store_from_opening(
    kind: str, tmp_path: Path
) -> None:
    path = tmp_path / "events.db"
    rows = [(1, LOG_KEY_FIRST + key, b"%300d" % key) for key in range(5_000)]
    await bulk_load(str(path), [(1, 1, b"hot"), *rows])
    damaged = bytearray(path.read_bytes())
    middle = damaged.index(b"%300d" % 2_500) // PAGE_BYTES * PAGE_BYTES
    damaged[middle : middle + PAGE_BYTES] = b"\xa5" * PAGE_BYTES
    path.write_bytes(damaged)
    store = FILES[kind](str(path))
    await store.open()
    assert list(store.load()) == [(1, 1, b"hot")]
    for bytes_max in (None, 1 << 20):
        with pytest.raises(StoreCorrupt, match=r"events\.db"):
            store.scan(1, LOG_KEY_FIRST, LOG_KEY_MAX, 3_000, bytes_max)
    sizes = store.measure(1, LOG_KEY_FIRST, LOG_KEY_MAX, 3_000)
    assert sizes == [(key, 300) for _, key, _ in rows[:3_000]], "they are in the index"
    assert store.scan(1, LOG_KEY_FIRST + 4_990, LOG_KEY_MAX, 99, 600) == [
        (key, value) for _, key, value in rows[4_990:4_992]
    ]
    assert await append(store, both(b"a", 9_999)) is None
    await store.close()


@pytest.mark.parametrize("logs", [1, 7])
@pytest.mark.parametrize("kind", FILES)
async def test_file_does_not_grow_while_trimming_keeps_pace(
    kind: str, logs: int, tmp_path: Path
) -> None:
    path = tmp_path / "events.db"
    store = FILES[kind](str(path))
    await store.open()
    sizes: list[int] = []
    value = os.urandom(32_768)
    for step in range(1, 401):
        batch = Batch()
        for log in range(logs):
            base = LOG_KEY_FIRST | log << LOG_SHIFT
            batch.add(1, [Mutation(base | step * 125, value)])
            if step > 20:
                batch.trim(1, Trim(base, base | (step - 20) * 125))
        assert await append(store, batch) is None
        sizes.append(path.stat().st_size)
    assert len(store.measure(1, LOG_KEY_FIRST, LOG_KEY_MAX, 10_000)) == 20 * logs
    settled = max(sizes[200:300])
    assert max(sizes[300:]) <= settled + settled // 10
    assert settled < 2 * 20 * logs * len(value) + (1 << 20)
    await store.close()
