"""What the stores cost: rows per second, CPU per row, commit latency, also under a saturated loop.

    python bench/bench_store.py rows         puts of 300 B, by store and rows per commit
    python bench/bench_store.py saturated    64 writers, with and without 8 busy coroutines
    python bench/bench_store.py checkpoints  commit latency, random updates of 500,000 rows
    python bench/bench_store.py load         opening and loading a million rows
    python bench/bench_store.py batch        CPU of `Batch.add`

Options: --seconds N per measurement, --directory D for the files (on the disk to be measured),
--loop asyncio.
The machine's noise is larger than most differences: run twice, compare within one run only.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import os
import random
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import final

import uvloop

from eventcore.errors import StoreError
from eventcore.outcome import Mutation, row_key
from eventcore.stores.base import Batch, Store
from eventcore.stores.memory import MemoryStore
from eventcore.stores.schema import bulk_load
from eventcore.stores.sqlite import InlineSqliteStore, WriterSqliteStore
from eventcore.testing.conformance import append

VALUE = os.urandom(300)
WORK_LOOPS = 500
"""Loop turns of `work`, about 12 µs: what a request costs before its commit."""

Make = Callable[[str], Store]
FILE_STORES: dict[str, Make] = {
    "inline full": InlineSqliteStore,
    "inline relaxed": lambda path: InlineSqliteStore(path, "relaxed"),
    "writer full": WriterSqliteStore,
    "writer relaxed": lambda path: WriterSqliteStore(path, "relaxed"),
}
STORES: dict[str, Make] = {"memory": lambda path: MemoryStore(holds_replies=True), **FILE_STORES}


@asynccontextmanager
async def opened(make: Make, directory: str) -> AsyncIterator[Store]:
    """A store on a new file."""
    with tempfile.TemporaryDirectory(dir=directory) as place:
        store = make(str(Path(place) / "bench.db"))
        await store.open()
        try:
            yield store
        finally:
            await store.close()


def cpu_s(pid: int | None) -> float:
    """CPU seconds of this process and of the writer `pid` (Linux only, in steps of 10 ms)."""
    spent = time.process_time()
    if pid is not None:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        spent += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return spent


async def measure_rows(make: Make, directory: str, rows: int, seconds: float) -> str:
    """One line: puts of new rows, `rows` per commit."""
    async with opened(make, directory) as store:
        pid = getattr(store, "writer_pid", None)
        numbers = itertools.count()
        own, both, start = time.process_time(), cpu_s(pid), time.perf_counter()
        count = 0
        while time.perf_counter() - start < seconds:
            batch = Batch()
            batch.add(1, [Mutation(next(numbers), VALUE, None, True) for _ in range(rows)])
            assert await append(store, batch) is None
            count += rows
        elapsed = time.perf_counter() - start
        own, both = time.process_time() - own, cpu_s(pid) - both
    return (
        f"{count / elapsed:10,.0f} rows/s   CPU {own / count * 1e6:7.2f} µs/row here,"
        f" {both / count * 1e6:7.2f} with the writer"
    )


async def bench_rows(directory: str, seconds: float) -> None:
    """Rows per second by rows per commit."""
    for rows in (1, 10, 100, 1_000):
        for name, make in STORES.items():
            print(f"{rows:5} {name:15}", await measure_rows(make, directory, rows, seconds))


def work() -> int:
    """A request's work, holding the interpreter."""
    total = 0
    for number in range(WORK_LOOPS):
        total += number
    return total


@final
class GroupCommit:
    """The host in small: one append in flight, and while it runs the next batch fills."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._numbers = itertools.count()
        self._batch = Batch()
        self._waiting: list[asyncio.Future[None]] = []
        self._is_busy = False
        self.commits = 0

    def put(self) -> asyncio.Future[None]:
        """Adds a row; the future is done when it is durable."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        key = row_key(1, next(self._numbers))
        self._batch.add(1, (Mutation(key, VALUE, None, True),))
        self._waiting.append(future)
        if not self._is_busy:
            self._is_busy = True
            loop.call_soon(self._append)
        return future

    def _append(self) -> None:
        batch, self._batch = self._batch, Batch()
        waiting, self._waiting = self._waiting, []

        def done(error: StoreError | None) -> None:
            assert error is None
            self.commits += 1
            for future in waiting:
                future.set_result(None)
            self._is_busy = bool(self._waiting)
            if self._is_busy:
                asyncio.get_running_loop().call_soon(self._append)

        self._store.append(batch, done)


async def measure_saturated(make: Make, directory: str, readers: int, seconds: float) -> str:
    """One line: 64 writers and `readers` busy coroutines."""
    async with opened(make, directory) as store:
        group = GroupCommit(store)
        latencies: list[float] = []
        reads = 0
        end = time.perf_counter() + seconds

        async def write() -> None:
            while time.perf_counter() < end:
                work()
                start = time.perf_counter()
                await group.put()
                latencies.append(time.perf_counter() - start)

        async def read() -> None:
            nonlocal reads
            while time.perf_counter() < end:
                work()
                reads += 1
                await asyncio.sleep(0)

        async with asyncio.TaskGroup() as tasks:
            for _ in range(64):
                tasks.create_task(write())
            for _ in range(readers):
                tasks.create_task(read())
    latencies.sort()
    p99 = latencies[int(len(latencies) * 0.99)] * 1_000
    return (
        f"{len(latencies) / seconds:9,.0f} writes/s {reads / seconds:9,.0f} reads/s"
        f" {group.commits / seconds:7,.0f} commits/s   p99 {p99:6.2f} ms"
    )


async def bench_saturated(directory: str, seconds: float) -> None:
    """A loop that is always busy must not starve the commits."""
    for name, make in STORES.items():
        for readers in (0, 8):
            result = await measure_saturated(make, directory, readers, seconds)
            print(f"{name:15} 64 writers, {readers} readers: {result}")


async def bench_checkpoints(directory: str, seconds: float) -> None:
    """The pauses that writing the log back makes, at their worst: updates all over a large file."""
    with tempfile.TemporaryDirectory(dir=directory) as place:
        path = str(Path(place) / "bench.db")
        await bulk_load(path, ((1, key, VALUE) for key in range(500_000)))
        for name, make in FILE_STORES.items():
            chance = random.Random(1)
            store = make(path)
            await store.open()
            latencies: list[float] = []
            end = time.perf_counter() + seconds
            while time.perf_counter() < end:
                batch = Batch()
                batch.add(1, [Mutation(chance.randrange(500_000), VALUE) for _ in range(100)])
                start = time.perf_counter()
                assert await append(store, batch) is None
                latencies.append((time.perf_counter() - start) * 1_000)
            await store.close()
            latencies.sort()
            at = [latencies[int(len(latencies) * q)] for q in (0.5, 0.99, 0.999)]
            marks = " ".join(f"{ms:8.2f}" for ms in (*at, latencies[-1]))
            print(f"{name:15} commits of 100: {len(latencies):6}, p50 p99 p99.9 max ms {marks}")


async def bench_load(directory: str, seconds: float) -> None:
    """A start with a million rows."""
    with tempfile.TemporaryDirectory(dir=directory) as place:
        path = str(Path(place) / "bench.db")
        start = time.perf_counter()
        await bulk_load(path, ((1, key, VALUE) for key in range(1_000_000)))
        print(f"bulk_load of 1,000,000 rows: {time.perf_counter() - start:.2f} s")
        for name in ("inline full", "writer full"):
            store = FILE_STORES[name](path)
            start = time.perf_counter()
            await store.open()
            ready = time.perf_counter()
            count = sum(1 for _ in store.load())
            loaded = time.perf_counter()
            await store.close()
            print(f"{name}: open {ready - start:.3f} s, load of {count:,} {loaded - ready:.2f} s")


async def bench_batch(directory: str, seconds: float) -> None:
    """CPU of collecting mutations."""
    sends = [(Mutation(key, VALUE, None, True),) for key in range(2_000)]
    deletes = [(Mutation(key, None),) for key in range(2_000)]
    for name, mutations in (("put", sends), ("put, delete", sends + deletes)):
        best = 1.0
        for _ in range(20):
            batch = Batch()
            start = time.process_time()
            for one in mutations:
                batch.add(1, one)
            best = min(best, time.process_time() - start)
        print(f"Batch.add, {name}: {best / len(mutations) * 1e6:.3f} µs a mutation")


BENCHES = {
    "rows": bench_rows,
    "saturated": bench_saturated,
    "checkpoints": bench_checkpoints,
    "load": bench_load,
    "batch": bench_batch,
}


def main() -> None:
    """Parses the command line and runs one measurement."""
    parser = argparse.ArgumentParser(description="Measures eventcore's stores.")
    parser.add_argument("bench", choices=BENCHES)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--directory", default=tempfile.gettempdir())
    parser.add_argument("--loop", choices=("uvloop", "asyncio"), default="uvloop")
    options = parser.parse_args()
    run = uvloop.run if options.loop == "uvloop" else asyncio.run
    run(BENCHES[options.bench](options.directory, options.seconds))


if __name__ == "__main__":
    main()
