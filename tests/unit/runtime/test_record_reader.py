"""Blocks from tails and store: what is not durable is never lost, and memory is bounded."""

from __future__ import annotations

import asyncio
import random
import tracemalloc
from typing import Any

import pytest

from eventcore.errors import StoreCorrupt, StoreUnavailable
from eventcore.outcome import LOG_KEY_FIRST
from eventcore.runtime.record_reader import ENTRY_BYTES
from eventcore.streams.stream_spec import RecordEntry
from tests.unit.runtime.stream_engine import DAY_MS, SHARD, Sink, StreamEngine, shard

MIB = 1 << 20


async def engine(shards: int = 1, **options: Any) -> StreamEngine:
    rig = await StreamEngine(**options).start()
    rig.make(shards)
    await rig.settle()
    return rig


class Scans:
    """Counts what a store is asked for."""

    def __init__(self, rig: StreamEngine, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        self.error: Exception | None = None
        scan = rig.store.rows.scan

        def counted(component: int, first: int, *rest: Any) -> list[tuple[int, bytes]]:
            if first < LOG_KEY_FIRST:
                return scan(component, first, *rest)
            self.count += 1
            if self.error is not None:
                raise self.error
            return scan(component, first, *rest)

        monkeypatch.setattr(rig.store.rows, "scan", counted)


@pytest.mark.parametrize("cache_bytes", [0, 1, 500, 1_300, 1 << 20])
async def test_what_is_not_durable_is_read_whatever_the_cache_is(cache_bytes):
    rig = await engine(cache_bytes=cache_bytes)
    sent = []
    for at in range(300):
        data = b"%d" % at
        sent.append(data)
        rig.put(data)
        if at == 100:
            await rig.settle()
        elif at == 200:
            await asyncio.sleep(0)  # an append begins, and stays in flight
            await asyncio.sleep(0)
            assert rig.store.pending is not None
        if at % 23 == 0:
            assert rig.at() == sent
    assert rig.at() == sent
    await rig.settle()
    rig.put(b"last")
    assert rig.at() == [*sent, b"last"]
    if not cache_bytes:
        assert rig.streams.reader.cached_bytes < 2 * ENTRY_BYTES


async def test_blocks_are_dropped_while_somebody_reads():
    rig = await engine(cache_bytes=40 * (ENTRY_BYTES + 20))
    for at in range(100):
        rig.put(b"%d" % at)
        await rig.settle()
    token: str | None = rig.token()
    found = []
    for at in range(100, 200):
        page, token = rig.page(token, 2)
        found += [int(record.data) for record in page.records()]
        rig.put(b"%d" % at)
        if at % 3 == 0:
            await rig.settle()
    while token is not None and len(found) < 200:
        page, token = rig.page(token, 3)
        found += [int(record.data) for record in page.records()]
    assert found == list(range(200))


async def test_a_page_reaches_from_the_store_into_the_tail():
    rig = await engine(cache_bytes=10 * (ENTRY_BYTES + 30))
    for at in range(60):
        rig.put(b"%d" % at)
        await rig.settle()
    assert 0 < rig.streams.reader.cached_bytes <= 10 * (ENTRY_BYTES + 30)
    page, _ = rig.page(rig.token())
    assert [int(record.data) for record in page.records()] == list(range(60))
    page, _ = rig.page(rig.token(), 57)
    assert [int(record.data) for record in page.records()] == list(range(57))


async def test_readers_at_the_tip_do_not_ask_the_store(monkeypatch):
    rig = await engine()
    for at in range(50):
        rig.put(b"%d" % at)
        await rig.settle()
    scans = Scans(rig, monkeypatch)
    assert len(rig.at()) == 50 and scans.count == 0
    rig.cache_bytes = 0
    rig = await rig.crash()
    assert len(rig.at()) == 50 and scans.count == 1


async def test_a_read_that_fails_changes_nothing(monkeypatch):
    rig = await engine(cache_bytes=0)
    rig.put(b"a", b"b")
    await rig.settle()
    rig.put(b"c")
    scans = Scans(rig, monkeypatch)
    scans.error = StoreUnavailable("injected fault: read")
    token = rig.token()
    with pytest.raises(StoreUnavailable):
        rig.page(token)
    scans.error = None
    assert rig.read(token) == [b"a", b"b", b"c"]


async def test_a_block_that_is_not_in_the_store_is_an_error_and_not_a_gap():
    rig = await engine(cache_bytes=0)
    for at in range(3):
        rig.put(b"%d" % at)
        await rig.settle()
    component = rig.engine.host.seat_of(rig.stream()).component
    rig.store.rows._logs[component].delete_range(LOG_KEY_FIRST, LOG_KEY_FIRST + 3)
    with pytest.raises(StoreCorrupt, match=f"record 1 of {SHARD}"):
        rig.page(rig.token())


async def test_what_a_failed_commit_took_back_is_in_no_tail():
    rig = await engine()
    rig.put(b"a")
    await rig.settle()
    rig.put(b"lost", b"lost")
    await rig.fail(is_durable=False)
    assert rig.streams.reader.cached_bytes == 0
    rig.put(b"b")
    assert rig.at() == [b"a", b"b"]


async def test_the_tail_of_a_deleted_stream_is_nobody_elses():
    rig = await engine(cache_bytes=20 * ENTRY_BYTES)
    rig.put(b"old")
    rig.remove()
    rig.make()
    rig.put(b"new")
    assert rig.at() == [b"new"]
    await rig.settle()
    for at in range(60):
        rig.put(b"%d" % at)
        await rig.settle()
    assert rig.streams.reader.cached_bytes <= 20 * ENTRY_BYTES
    assert rig.at()[:2] == [b"new", b"0"]


async def test_all_shards_share_the_cache():
    rig = await engine(16, cache_bytes=30 * ENTRY_BYTES)
    chance = random.Random(1)
    sent: dict[str, list[bytes]] = {}
    for at in range(400):
        key = f"k{chance.randrange(40)}"
        put = rig.put_one(b"%d" % at, key)
        sent.setdefault(put.shard_id, []).append(b"%d" % at)
        if at % 5 == 0:
            await rig.settle()
    for ordinal in range(16):
        assert rig.at(ordinal=ordinal) == sent.get(shard(ordinal), [])
    await rig.settle()
    rig.put(b"")
    assert rig.streams.reader.cached_bytes <= 30 * ENTRY_BYTES + 2 * ENTRY_BYTES
    assert len(rig.streams.reader._order) <= 32


async def put_mebibytes(rig: StreamEngine, count: int) -> None:
    stream = rig.stream()
    for at in range(8 * count):
        entries = [RecordEntry(bytes(1_024), f"{at} {each}") for each in range(128)]
        rig.engine.begin()
        rig.streams.put_records(stream, entries)
        await rig.settle()
        rig.clock.advance(1_000)


async def test_memory_does_not_grow_with_what_is_put():
    """What is put is many times the cache; a store that keeps nothing shows what the engine keeps,
    which is measured, not counted.
    """
    rig = await engine(4, cache_bytes=2 * MIB)
    append = rig.store.rows.append

    def forgetful(batch: Any, done: Any) -> None:
        for row in [row for row in batch.rows if row[1] >= LOG_KEY_FIRST]:
            del batch.rows[row]
        append(batch, done)

    rig.store.rows.append = forgetful  # type: ignore[method-assign]
    sink = Sink()
    sink.on_page = lambda page: sink.pages.clear()
    rig.subscribe(sink, "LATEST")
    await put_mebibytes(rig, 4)
    tracemalloc.start()
    try:
        sizes = []
        for _ in range(4):
            await put_mebibytes(rig, 4)
            sizes.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
    assert rig.streams.reader.cached_bytes <= 2 * MIB + 100_000
    assert sizes[-1] < 3 * MIB, sizes


async def test_small_records_count_with_what_keeping_them_costs():
    rig = await engine(cache_bytes=200_000)
    stream = rig.stream()
    tracemalloc.start()
    try:
        for at in range(6_000):
            rig.engine.begin()
            rig.streams.put_records(stream, [RecordEntry(b"", "k")])
            if at % 50 == 0:
                await rig.settle()
        reader = rig.streams.reader
        filters = [tracemalloc.Filter(True, "*/runtime/record_reader.py")]
        found = tracemalloc.take_snapshot().filter_traces(filters).statistics("filename")
        spent = sum(each.size for each in found) + sum(
            len(value) + 33 for tail in reader._tails.values() for value in tail.values
        )
    finally:
        tracemalloc.stop()
    assert reader.cached_bytes <= 200_000
    assert spent < 200_000


async def test_records_of_a_year_are_found_by_time_in_few_reads(monkeypatch):
    rig = await engine(cache_bytes=0)
    spec = rig.stream().spec
    rig.streams.set_spec(rig.stream(), type(spec)(retention_ms=365 * DAY_MS))
    times = []
    for at in range(2_000):
        times.append(rig.clock.now_ms())
        rig.put(b"%d" % at)
        rig.clock.advance(DAY_MS // 10)
        if at % 50 == 0:
            await rig.settle()
    await rig.settle()
    scans = Scans(rig, monkeypatch)
    for at in (0, 1, 700, 1_999):
        page, _ = rig.page(rig.token("AT_TIMESTAMP", timestamp_ms=times[at]), 1)
        assert [int(record.data) for record in page.records()] == [at]
    assert scans.count < 4 * 14
