"""A read that fails is a StoreError and changes nothing, in every store and under the broker."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

import eventcore
from eventcore.errors import StoreCorrupt, StoreError, StoreUnavailable
from eventcore.outcome import LOG_KEY_FIRST, Mutation
from eventcore.runtime.broker import Broker
from eventcore.stores.base import Batch, Store
from eventcore.stores.memory import MemoryStore
from eventcore.stores.row_file import PAGE_BYTES
from eventcore.stores.schema import bulk_load
from eventcore.stores.sqlite import InlineSqliteStore, WriterSqliteStore
from eventcore.testing import FaultyStore
from eventcore.testing.conformance import append

KEY_MAX = LOG_KEY_FIRST - 1
LOG_KEY_MAX = (1 << 63) - 1
ROWS = 5_000
FILES: dict[str, Callable[[str], Store]] = {
    "inline": InlineSqliteStore,
    "writer": WriterSqliteStore,
}


def put(component: int, *keys: int) -> Batch:
    batch = Batch()
    batch.add(component, [Mutation(key, b"%d" % key) for key in keys])
    return batch


async def faulty(*keys: int) -> FaultyStore:
    store = FaultyStore(MemoryStore(holds_replies=True))
    await store.open()
    assert await append(store, put(1, *keys)) is None
    return store


READS: dict[str, Callable[[Store], object]] = {
    "read": lambda store: store.read(1, [1]),
    "scan": lambda store: store.scan(1, 0, KEY_MAX, 9),
    "measure": lambda store: store.measure(1, 0, KEY_MAX, 9),
    "load": lambda store: list(store.load()),
}


@pytest.mark.parametrize("name", READS)
async def test_failed_read_says_so_once_and_appends_go_on(name: str) -> None:
    store = await faulty(1, 2)
    expected = READS[name](store)
    store.reads_failing = 1
    with pytest.raises(StoreUnavailable, match=name):
        READS[name](store)
    assert READS[name](store) == expected
    store.reads_failing = 1
    assert await append(store, put(1, 3)) is None
    with pytest.raises(StoreUnavailable, match=name):
        READS[name](store)
    assert [key for _, key, _ in store.load()] == [1, 2, 3]


async def test_load_that_breaks_off_gave_the_first_rows_and_the_next_gives_all() -> None:
    store = await faulty(1, 2, 3, 4)
    store.load_fails_after = 2
    rows = store.load()
    assert [next(rows), next(rows)] == [(1, 1, b"1"), (1, 2, b"2")]
    with pytest.raises(StoreUnavailable, match="load after 2 rows"):
        next(rows)
    assert await append(store, put(1, 5)) is None
    assert [key for _, key, _ in store.load()] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("kind", FILES)
async def test_damage_is_corrupt_in_every_read_of_it_and_in_no_other(
    kind: str, tmp_path: Path
) -> None:
    path = tmp_path / "events.db"
    await bulk_load(str(path), ((1, key, b"%300d" % key) for key in range(ROWS)))
    damaged = bytearray(path.read_bytes())
    middle = damaged.index(b"%300d" % (ROWS // 2)) // PAGE_BYTES * PAGE_BYTES
    damaged[middle : middle + PAGE_BYTES] = b"\xa5" * PAGE_BYTES
    path.write_bytes(damaged)
    store = FILES[kind](str(path))
    await store.open()
    loaded: list[tuple[int, int, bytes]] = []
    with pytest.raises(StoreCorrupt, match=r"events\.db"):
        loaded.extend(store.load())
    assert loaded == [(1, key, b"%300d" % key) for key in range(len(loaded))]
    assert ROWS // 2 - 100 < len(loaded) <= ROWS // 2
    with pytest.raises(StoreCorrupt, match=r"events\.db"):
        store.scan(1, ROWS // 2 - 100, ROWS // 2 + 100, 1_000)
    with pytest.raises(StoreCorrupt, match=r"events\.db"):
        store.read(1, [0, ROWS // 2])
    assert store.scan(1, 0, 9, 2) == [(0, b"%300d" % 0), (1, b"%300d" % 1)]
    assert await append(store, put(2, 7)) is None
    assert store.read(2, [7]) == [b"7"]
    await store.close()


async def bodies(broker: Broker) -> list[str]:
    queue = await broker.get_queue("q")
    return [message.body for message in await queue.receive(messages_max=10)]


@pytest.mark.parametrize("rows", [0, 1, 3])
async def test_broker_whose_load_fails_does_not_open_and_the_next_one_has_all(rows: int) -> None:
    store = FaultyStore(MemoryStore(holds_replies=True))
    async with eventcore.open(store=store) as broker:
        queue = await broker.create_queue("q")
        await queue.send_many(["a", "b"])
    store.load_fails_after = rows
    with pytest.raises(StoreUnavailable, match=f"load after {rows} rows"):
        async with eventcore.open(store=store):
            pass
    assert isinstance(await append(store, put(1, 1)), StoreUnavailable), "the store was closed"
    async with eventcore.open(store=store) as broker:
        assert await bodies(broker) == ["a", "b"]


async def test_broker_that_recovers_loads_again_until_it_has_all() -> None:
    store = FaultyStore(MemoryStore(holds_replies=True))
    async with eventcore.open(store=store) as broker:
        queue = await broker.create_queue("q")
        await queue.send("a")
        store.plan[store.appends + 1] = "fail_after"
        store.load_fails_after = 2
        with pytest.raises(StoreError, match="fail_after"):
            await queue.send("b")
        async with asyncio.timeout(10):
            while not broker.engine.is_ready:
                await asyncio.sleep(0.01)
        assert store.load_fails_after is None
        await queue.send("c")
        assert await bodies(broker) == ["a", "b", "c"]
