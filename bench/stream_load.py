"""What the measurements of streams share: records, files full of them, clocks, a cold disk."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from eventcore.arn import stream_arn
from eventcore.bench.ledger import Ledger, mark_text
from eventcore.runtime.engine import Engine
from eventcore.stores.base import Durability
from eventcore.stores.factory import Committer, store_for
from eventcore.streams.stream import Stream
from eventcore.streams.stream_spec import RecordEntry, StartingPosition, StreamSpec

__all__ = [
    "KEYS",
    "RECORDS",
    "STREAM",
    "Spent",
    "clock",
    "drop_from_memory",
    "durable",
    "entries",
    "fill",
    "opened",
    "read_all",
    "say",
]

ACCOUNT: Final = "000000000000"
REGION: Final = "us-east-1"
STREAM: Final = stream_arn(ACCOUNT, REGION, "bench")
KEYS: Final = 1_000
RECORDS: Final = 500
"""Of one put_records, and of one PutRecords."""


def say(line: str) -> None:
    """Tells what is going on."""
    print(line, file=sys.stderr, flush=True)


@dataclass
class Spent:
    """Seconds by the clock and on the CPU of this process."""

    wall_s: float = 0.0
    cpu_s: float = 0.0


@contextmanager
def clock() -> Iterator[Spent]:
    """Measures a block of statements."""
    spent = Spent()
    cpu_s, wall_s = time.process_time(), time.perf_counter()
    try:
        yield spent
    finally:
        spent.wall_s = time.perf_counter() - wall_s
        spent.cpu_s = time.process_time() - cpu_s


@asynccontextmanager
async def opened(
    path: str | None,
    shards: int,
    *,
    durability: Durability = "full",
    committer: Committer = "inline",
) -> AsyncIterator[tuple[Engine, Stream]]:
    """An engine with the bench's stream, which is made if it is not there."""
    store = store_for(path, durability if path else "memory", committer)
    async with Engine.open(store) as engine:
        engine.begin()
        if engine.find(STREAM) is None:
            stream = engine.streams.create(STREAM, StreamSpec(), shards)
        else:
            stream = engine.streams.find(STREAM)
        await durable(engine)
        yield engine, stream


async def durable(engine: Engine) -> None:
    """Closes a request and waits for it."""
    barrier = engine.barrier()
    if barrier is not None:
        await barrier


def entries(ledger: Ledger | None, count: int, size: int, producer: int = 0) -> list[RecordEntry]:
    """Records of `size` bytes; with a ledger each with a mark of the producer's."""
    if ledger is None:
        data = b"x" * size
        return [RecordEntry(data, f"key-{at % KEYS}") for at in range(count)]
    made = []
    for _ in range(count):
        mark = ledger.issue(producer)
        data = mark_text(mark).encode().ljust(size, b"x")
        made.append(RecordEntry(data, f"key-{ledger.group_of(mark)}"))
        ledger.acknowledge((mark,))
    return made


async def fill(
    engine: Engine, stream: Stream, records: int, size: int, ledger: Ledger | None = None
) -> None:
    """Puts `records` records, 500 in a command."""
    made = entries(None, KEYS, size)
    for first in range(0, records, RECORDS):
        count = min(RECORDS, records - first)
        begin = first % KEYS
        part = made[begin : begin + count] if ledger is None else entries(ledger, count, size)
        engine.begin()
        engine.streams.put_records(stream, part)
        await durable(engine)


async def read_all(engine: Engine, stream: Stream, ledger: Ledger | None, limit: int) -> int:
    """Reads all shards from their beginning to their tip; books the records if there is a ledger,
    else makes nothing of them. Returns their number.
    """
    streams = engine.streams
    count = 0
    for shard in streams.shards(stream):
        engine.begin()
        token: str | None = streams.iterator(stream, shard.id, StartingPosition("TRIM_HORIZON"))
        await durable(engine)
        while token is not None:
            engine.begin()
            page, token = streams.get_records(token, limit)
            await durable(engine)
            if not len(page):
                break
            count += len(page)
            if ledger is not None:
                for record in page.records():
                    ledger.receive(record.data[:16].decode("latin-1"))
    return count


def drop_from_memory(directory: Path) -> None:
    """Has the system forget the files of a directory, so that they are read from the disk. Linux;
    elsewhere the files stay warm.
    """
    if not hasattr(os, "posix_fadvise"):
        return
    for path in directory.iterdir():
        fd = os.open(path, os.O_RDONLY)
        try:
            os.fsync(fd)
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(fd)
