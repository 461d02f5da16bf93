"""What the stores cost: rows per second, CPU per row, commit latency, also under a saturated loop.

    python bench/bench_store.py rows         puts of 300 B, by store and rows per commit
    python bench/bench_store.py saturated    64 writers, with and without 8 busy coroutines
    python bench/bench_store.py checkpoints  commit latency, random updates of 500,000 rows
    python bench/bench_store.py load         opening and loading a million rows
    python bench/bench_store.py batch        CPU of `Batch.add`
    python bench/bench_store.py log          log rows: append, scan, trim, size of the file

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
from eventcore.outcome import LOG_KEY_FIRST, Mutation, Trim, row_key
from eventcore.stores.base import LOG_SHIFT, Batch, Store
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


LOG_KINDS = {"32 KiB": (32_768, 16), "3 KB": (3_000, 100), "300 B": (300, 200)}
"""Bytes of a value, and rows of a commit."""
LOG_BYTES = 150_000_000
LOG_ROWS_MAX = 200_000
SLICE_BYTES = 4 * 1024 * 1024


@final
class LogLoad:
    """Appends rows to random logs of component 1, and trims the logs' fronts, one after the other,
    as fast as they grow.
    """

    def __init__(self, store: Store, value_bytes: int, rows: int, logs: int) -> None:
        self.store = store
        self.value = os.urandom(value_bytes)
        self.rows = rows
        self.chance = random.Random(1)
        self.last = [0] * logs
        self.kept: list[int] = [0] * logs
        self.appended = 0

    async def append(self) -> None:
        """One commit."""
        batch = Batch()
        for _ in range(self.rows):
            log = self.chance.randrange(len(self.last))
            self.last[log] += 125
            key = LOG_KEY_FIRST | log << LOG_SHIFT | self.last[log]
            batch.add(1, (Mutation(key, self.value, None, True),))
            self.kept[log] += 1
        assert await append(self.store, batch) is None
        self.appended += self.rows

    def slice(self, rows_min: int) -> list[tuple[int, int]]:
        """The oldest half of the rows of the fullest log, at most 4 MiB; none if it has few."""
        log = max(range(len(self.last)), key=self.kept.__getitem__)
        if self.kept[log] < rows_min:
            return []
        limit = max(1, min(self.kept[log] // 2, SLICE_BYTES // len(self.value)))
        first = LOG_KEY_FIRST | log << LOG_SHIFT
        self.kept[log] -= limit
        return self.store.measure(1, first, first | (1 << LOG_SHIFT) - 1, limit)

    async def trim(self, measured: list[tuple[int, int]]) -> None:
        """One commit."""
        batch = Batch()
        batch.trim(1, Trim(measured[0][0] >> LOG_SHIFT << LOG_SHIFT, measured[-1][0]))
        assert await append(self.store, batch) is None


async def measure_append(load: LogLoad, pid: int | None, rows: int) -> str:
    """Part of a line: what appending `rows` rows costs."""
    own, both, start = time.process_time(), cpu_s(pid), time.perf_counter()
    while load.appended < rows:
        await load.append()
    wall, own, both = time.perf_counter() - start, time.process_time() - own, cpu_s(pid) - both
    mb_s = load.appended * len(load.value) / wall / 1e6
    return (
        f"append {mb_s:6.1f} MB/s, CPU {own / load.appended * 1e6:6.1f} µs/row here,"
        f" {both / load.appended * 1e6:6.1f} in all"
    )


def measure_scans(store: Store, logs: int, what: str) -> str:
    """Part of a line: reading up to 50 logs, 1 MiB at a time, as a consumer does."""
    start, own = time.perf_counter(), time.process_time()
    count = value_bytes = 0
    for log in range(0, logs, max(1, logs // 50)):
        first = LOG_KEY_FIRST | log << LOG_SHIFT
        last = first | (1 << LOG_SHIFT) - 1
        while rows := store.scan(1, first, last, 10_000, 1 << 20):
            count += len(rows)
            value_bytes += sum(len(value) for _, value in rows)
            first = rows[-1][0] + 1
    wall, own = time.perf_counter() - start, time.process_time() - own
    return f"{what} {value_bytes / wall / 1e6:5.0f} MB/s {own / count * 1e6:5.1f} µs/row"


def forget(path: str) -> None:
    """Makes the system's memory of a file cold."""
    fd = os.open(path, os.O_RDONLY)
    os.fsync(fd)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(fd)


def size_of(store: Store) -> int:
    """Bytes of the file; 0 without one."""
    return Path(store.path).stat().st_size if store.path else 0


async def measure_trims(load: LogLoad, pid: int | None, rows: int) -> str:
    """Part of a line: trimming as much as comes in; the file must not grow."""
    before = size_of(load.store)
    trimmed, spent, wall = 0, 0.0, 0.0
    end = load.appended + rows
    start_rows = load.appended
    while load.appended < end:
        await load.append()
        while trimmed < load.appended - start_rows and (measured := load.slice(2)):
            cpu, start = cpu_s(pid), time.perf_counter()
            await load.trim(measured)
            spent, wall = spent + cpu_s(pid) - cpu, wall + time.perf_counter() - start
            trimmed += len(measured)
    slices = trimmed * len(load.value) / SLICE_BYTES
    return (
        f"trim CPU {spent / trimmed * 1e6:6.1f} µs/row, {wall / slices * 1e3:5.1f} ms per 4 MiB,"
        f" file {before / 1e6:.0f} -> {size_of(load.store) / 1e6:.0f} MB"
    )


async def bench_log(directory: str, seconds: float) -> None:
    """Log rows of three sizes, in few and in many logs, read from a cold and a warm file."""
    for kind, (value_bytes, rows) in LOG_KINDS.items():
        for logs in (4, 1_000):
            for name in ("memory", "inline full", "writer full"):
                async with opened(STORES[name], directory) as store:
                    load = LogLoad(store, value_bytes, rows, logs)
                    pid = getattr(store, "writer_pid", None)
                    count = min(LOG_BYTES // value_bytes, LOG_ROWS_MAX)
                    print(
                        f"{kind:6} {logs:4} logs {name:11}", await measure_append(load, pid, count)
                    )
                    if store.path is not None:
                        forget(store.path)
                        print("    ", measure_scans(store, logs, "scan cold"), end="; ")
                    print("    ", measure_scans(store, logs, "scan warm"))
                    print("    ", await measure_trims(load, pid, count))


BENCHES = {
    "log": bench_log,
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
