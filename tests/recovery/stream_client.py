"""A program that puts records and changes shards in rounds of one commit each, and a model of it.

A round is printed as a line of JSON when all of it was acknowledged: its number, and the sequence
numbers of its records. Even rounds put a record under each of three keys; round 3 splits a shard,
round 5 merges two, other odd rounds put a large record.
"""

from __future__ import annotations

import os
from typing import Final

import msgspec

from eventcore.arn import stream_arn
from eventcore.runtime.engine import Engine
from eventcore.stores.sqlite import InlineSqliteStore
from eventcore.streams.stream import Stream
from eventcore.streams.stream_spec import Appended, RecordEntry, StartingPosition, StreamSpec

__all__ = ["ARN", "SETTING_UP", "expected", "main", "records_of"]

ARN: Final = stream_arn("000000000000", "us-east-1", "orders")
KEYS: Final = ("a", "b", "c")
SETTING_UP: Final = 1
"""Commits before round 0: that of the stream's creation."""
LARGE: Final = bytes(300_000)


def expected(number: int) -> list[tuple[str, bytes]]:
    """The records of a round: partition keys and data."""
    if number in (3, 5):
        return []
    if number % 2:
        return [("a", b"%d:large" % number + LARGE)]
    return [(key, b"%d:%s" % (number, key.encode())) for key in KEYS]


def play(engine: Engine, number: int) -> list[str]:
    """One round, in one command; gives the sequence numbers."""
    streams = engine.streams
    stream = streams.find(ARN)
    if number == 3:
        streams.split(stream, "shardId-000000000000", str(1 << 125))
        return []
    if number == 5:
        streams.merge(stream, "shardId-000000000002", "shardId-000000000003")
        return []
    entries = [RecordEntry(data, key) for key, data in expected(number)]
    results = streams.put_records(stream, entries)
    return [each.sequence_number for each in results if isinstance(each, Appended)]


def records_of(engine: Engine, stream: Stream) -> list[tuple[str, str, bytes]]:
    """Everything, parents before children: sequence numbers, keys, data."""
    found = []
    for shard in engine.streams.shards(stream):
        engine.begin()
        token: str | None = engine.streams.iterator(
            stream, shard.id, StartingPosition("TRIM_HORIZON")
        )
        while token is not None:
            engine.begin()
            page, token = engine.streams.get_records(token, 2)
            found += [(r.sequence_number, r.partition_key, r.data) for r in page.records()]
            if not page.slices:
                break
    return found


async def main(path: str) -> None:
    """Plays rounds until killed."""
    async with Engine.open(InlineSqliteStore(path)) as engine:
        engine.begin()
        engine.streams.create(ARN, StreamSpec(), 2)
        await _durable(engine)
        for number in range(1_000_000):
            engine.begin()
            sequence_numbers = play(engine, number)
            await _durable(engine)
            os.write(1, msgspec.json.encode([number, sequence_numbers]) + b"\n")


async def _durable(engine: Engine) -> None:
    barrier = engine.barrier()
    if barrier is not None:
        await barrier
