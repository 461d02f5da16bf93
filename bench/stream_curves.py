"""What operations on a stream cost against sizes that should not matter: the number of shards, of
records that are there, of subscriptions that wait elsewhere.

CPU of the engine's process (committing inline, durability full, 50 commands a commit), in rounds in
which all sizes of a curve take turns. PutRecord puts one record; GetRecords reads the latest 10 of
a shard, 10 anywhere in it, or 10 from a time on. PutRecords puts 500, all over the shards: what
grows there is the number of blocks, to one per record at the most.
"""

from __future__ import annotations

import asyncio
import random
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final, final

from bench.stream_figures import Curve, Results
from bench.stream_load import RECORDS, clock, durable, fill, opened, say
from eventcore.errors import EventcoreError
from eventcore.runtime.engine import Engine
from eventcore.runtime.subscriptions import RecordPage
from eventcore.streams.stream import Stream
from eventcore.streams.stream_spec import Place, RecordEntry, StartingPosition

__all__ = ["measure_curves"]

SHARDS: Final = (1, 4, 16, 64, 250, 1_000)
BACKLOGS: Final = (1_000, 10_000, 100_000, 1_000_000, 10_000_000)
SUBSCRIPTIONS: Final = (0, 100, 1_000, 10_000)
BACKLOG_SHARDS: Final = 4
DATA: Final = b"x" * 120
READ: Final = 10

Command = Callable[[Engine, Stream], None]


@dataclass(frozen=True)
class Operation:
    """What is measured: `count` commands in a turn, `together` of them in one commit."""

    command: Command
    count: int = 1_000
    together: int = 50


@final
class _Idle:
    """Somebody who waits and is told nothing."""

    def deliver(self, page: RecordPage) -> bool:
        """A SubscriptionSink's."""
        return True

    def end(self, error: EventcoreError | None) -> None:
        """A SubscriptionSink's."""


def _put(engine: Engine, stream: Stream) -> None:
    key = f"key-{random.randrange(1_000_000)}"
    engine.streams.put_record(stream, RecordEntry(DATA, key))


def _put_low(engine: Engine, stream: Stream) -> None:
    hash_key = str(random.randrange(1 << 127))
    engine.streams.put_record(stream, RecordEntry(DATA, "key", hash_key))


def _get_tip(engine: Engine, stream: Stream) -> None:
    shard = random.choice(stream.ranges.owners)
    place = Place(shard.ordinal, max(1, shard.next_number - READ))
    engine.streams.read(stream, place, READ, 1 << 20)


def _get_anywhere(engine: Engine, stream: Stream) -> None:
    shard = random.choice(stream.ranges.owners)
    place = Place(shard.ordinal, random.randrange(1, max(2, shard.next_number)))
    engine.streams.read(stream, place, READ, 1 << 20)


def _seek(engine: Engine, stream: Stream) -> None:
    shard = random.choice(stream.ranges.owners)
    at_ms = random.randrange(shard.record.created_ms, engine.now_ms() + 1)
    start = StartingPosition("AT_TIMESTAMP", timestamp_ms=at_ms)
    engine.streams.read(stream, engine.streams.locate(stream, shard.id, start), READ, 1 << 20)


def _put_many(engine: Engine, stream: Stream) -> None:
    keys = (f"key-{random.randrange(1_000_000)}" for _ in range(RECORDS))
    engine.streams.put_records(stream, [RecordEntry(DATA, key) for key in keys])


OPERATIONS: Final[dict[str, Operation]] = {
    "PutRecord": Operation(_put),
    "PutRecords of 500": Operation(_put_many, 20, 1),
    "GetRecords of 10, tip": Operation(_get_tip),
    "GetRecords of 10, anywhere": Operation(_get_anywhere),
    "GetRecords of 10, AT_TIMESTAMP": Operation(_seek),
}


async def _turn(engine: Engine, stream: Stream, operation: Operation) -> float:
    """CPU µs of a command."""
    with clock() as spent:
        for _ in range(operation.count // operation.together):
            for _ in range(operation.together):
                engine.begin()
                operation.command(engine, stream)
            await durable(engine)
    return spent.cpu_s / operation.count * 1e6


async def measure_curves(results: Results, rounds: int, backlog_max: int) -> None:
    """All curves; `backlog_max` bounds the largest file."""
    with tempfile.TemporaryDirectory() as folder:
        async with AsyncExitStack() as stack:
            made = {}
            for shards in SHARDS:
                path = str(Path(folder) / f"shards-{shards}.db")
                made[shards] = await stack.enter_async_context(opened(path, shards))
                await fill(*made[shards], 10_000, len(DATA))
            await _curve(results, "number of shards", made, rounds)
    with tempfile.TemporaryDirectory() as folder:
        async with AsyncExitStack() as stack:
            made = {}
            for backlog in (size for size in BACKLOGS if size <= backlog_max):
                say(f"curve: filling a file with {backlog:,} records")
                path = str(Path(folder) / f"backlog-{backlog}.db")
                begin_s = time.monotonic()
                async with opened(path, BACKLOG_SHARDS, durability="relaxed") as one:
                    await fill(*one, backlog, len(DATA))
                say(f"curve: {time.monotonic() - begin_s:.0f} s")
                made[backlog] = await stack.enter_async_context(opened(path, BACKLOG_SHARDS))
            await _curve(results, "records that are there", made, rounds)
    with tempfile.TemporaryDirectory() as folder:
        async with AsyncExitStack() as stack:
            made = {}
            for count in SUBSCRIPTIONS:
                path = str(Path(folder) / f"subscriptions-{count}.db")
                engine, stream = await stack.enter_async_context(opened(path, 1_000))
                await fill(engine, stream, 10_000, len(DATA))
                await _wait_idle(engine, stream, count)
                made[count] = engine, stream
            operations = {**OPERATIONS, "PutRecord": Operation(_put_low)}
            del operations["PutRecords of 500"]
            await _curve(results, "idle subscriptions at other shards", made, rounds, operations)


async def _wait_idle(engine: Engine, stream: Stream, count: int) -> None:
    """Subscriptions to the upper half of the shards; `_put_low` puts into the lower one."""
    shards = engine.streams.shards(stream)
    waited = shards[len(shards) // 2 :]
    for number in range(count):
        shard = waited[number % len(waited)]
        engine.begin()
        place = engine.streams.locate(stream, shard.id, StartingPosition("LATEST"))
        engine.streams.subscribe(stream, place, _Idle(), heartbeat_ms=5_000)
        await durable(engine)
    await asyncio.sleep(0.1)


async def _curve(
    results: Results,
    against: str,
    made: dict[int, tuple[Engine, Stream]],
    rounds: int,
    operations: Mapping[str, Operation] = OPERATIONS,
) -> None:
    costs: dict[str, dict[int, list[float]]] = {
        name: {size: [] for size in made} for name in operations
    }
    for number in range(rounds + 1):
        for name, operation in operations.items():
            for size, (engine, stream) in made.items():
                cost = await _turn(engine, stream, operation)
                if number:  # the first round warms up
                    costs[name][size].append(cost)
    for name, by_size in costs.items():
        points = tuple((size, median(values)) for size, values in by_size.items())
        results.curves.append(Curve(name, against, points))
