"""A read looks at hardly more blocks than it gives, from the tail and from the store alike."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from eventcore.arn import stream_arn
from eventcore.runtime import record_reader
from eventcore.runtime.engine import Engine
from eventcore.runtime.record_reader import RecordReader
from eventcore.stores.factory import store_for
from eventcore.streams.block import Block, Record, decode_block
from eventcore.streams.stream import Stream
from eventcore.streams.stream_spec import Place, RecordEntry, StartingPosition, StreamSpec

STREAM = stream_arn("000000000000", "us-east-1", "s")
BYTES_MAX = 10 << 20
SHARD = "shardId-000000000000"


class Decoded:
    """Counts the blocks that are decoded."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.blocks = 0
        monkeypatch.setattr(record_reader, "decode_block", self._decode)

    def _decode(self, value: bytes) -> Block:
        self.blocks += 1
        return decode_block(value)


@asynccontextmanager
async def filled(
    path: Path, sizes: list[list[int]], *, is_cached: bool
) -> AsyncIterator[tuple[Engine, Stream]]:
    """An engine with a stream of one shard, with a block of records of these sizes for each list;
    without a tail unless `is_cached`.
    """
    async with Engine.open(store_for(str(path))) as engine:
        engine.begin()
        stream = engine.streams.create(STREAM, StreamSpec(), 1)
        for block in sizes:
            entries = [RecordEntry(bytes([size % 251]) * size, "key") for size in block]
            engine.streams.put_records(stream, entries)
        barrier = engine.barrier()
        assert barrier is not None
        await barrier
        if not is_cached:
            engine.streams.reader = RecordReader(engine.host, engine._store, 0)
        engine.begin()
        yield engine, stream


def read(engine: Engine, stream: Stream, number: int, limit: int) -> list[Record]:
    return engine.streams.read(stream, Place(0, number), limit, BYTES_MAX).records()


@pytest.mark.parametrize("is_cached", [True, False])
async def test_a_few_records_of_a_large_backlog_cost_a_block_or_two(
    is_cached: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = [[100] * 50 for _ in range(200)]
    async with filled(tmp_path / "s.db", sizes, is_cached=is_cached) as (engine, stream):
        decoded = Decoded(monkeypatch)
        for number in (1, 45, 4_000, 9_950, 9_995):
            decoded.blocks = 0
            assert len(read(engine, stream, number, 10)) == min(10, 10_001 - number)
            assert decoded.blocks <= 2
        decoded.blocks = 0
        assert len(read(engine, stream, 1, 5_000)) == 5_000
        assert decoded.blocks <= 102


@pytest.mark.parametrize("is_cached", [True, False])
async def test_every_limit_gives_the_same_records_whatever_their_sizes(
    is_cached: bool, tmp_path: Path
) -> None:
    chance = random.Random(5)
    sizes = [
        [chance.choice((1, 10, 300, 60_000)) for _ in range(chance.randrange(1, 40))]
        for _ in range(60)
    ]
    async with filled(tmp_path / "s.db", sizes, is_cached=is_cached) as (engine, stream):
        everything: list[Record] = []
        while len(everything) < sum(map(len, sizes)):
            part = read(engine, stream, len(everything) + 1, 10_000)
            assert part, "a record is missing"
            everything += part
        assert [len(record.data) for record in everything] == [
            size for block in sizes for size in block
        ]
        for _ in range(200):
            number, limit = chance.randrange(1, len(everything) + 1), chance.randrange(1, 120)
            part = read(engine, stream, number, limit)
            data_bytes = sum(len(record.data) for record in part)
            expected = everything[number - 1 : number - 1 + limit]
            assert part == expected[: len(part)]
            assert len(part) == len(expected) or data_bytes > BYTES_MAX // 2


async def test_a_time_is_found_without_decoding_records(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with filled(tmp_path / "s.db", [[100] * 50] * 100, is_cached=False) as (engine, stream):
        decoded = Decoded(monkeypatch)
        created_ms = stream.created_ms
        start = StartingPosition("AT_TIMESTAMP", timestamp_ms=created_ms)
        place = engine.streams.locate(stream, SHARD, start)
        shard = stream.shard(0)
        assert shard is not None
        seat = engine.host.seat_of(stream)
        assert engine.streams.reader.find(seat, shard, place.from_ms) == 1
        assert engine.streams.reader.find(seat, shard, created_ms + 3_600_000) == 5_001
        assert decoded.blocks == 0
