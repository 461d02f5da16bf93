"""Streams over HTTP, at a daemon that is started for each measurement.

The workloads are those of `eventcore bench`. A core is a core of CPU: records per second a core are
what the CPU of the daemon's process and its writer process, together, come to.
"""

from __future__ import annotations

import tempfile
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from bench.stream_figures import Results, figure
from bench.stream_load import KEYS, STREAM, drop_from_memory, fill, opened, say
from eventcore.bench import stream_calls as calls
from eventcore.bench.client import AwsJsonClient
from eventcore.bench.daemon_process import DaemonProcess
from eventcore.bench.event_loop import raise_file_limit
from eventcore.bench.ledger import Ledger
from eventcore.bench.process_usage import ProcessTree, Usage
from eventcore.bench.progress import Progress
from eventcore.bench.stream_workloads import STREAM_WORKLOADS
from eventcore.bench.workloads import Bench, BenchSettings

__all__ = [
    "measure_feed",
    "measure_get",
    "measure_idle",
    "measure_put",
    "measure_restart",
    "measure_tip",
]

SIZE: Final = 256
SHARDS: Final = 4
NAME: Final = STREAM.partition("/")[2]
FILE: Final = "events.db"
CONNECTIONS: Final = 16
BACKLOG: Final = 1_000_000
"""Records of 256 B in a file that is larger than all caches of the daemon (64 + 2 MiB)."""
RESTART_SIZE: Final = 120
RESTART_SHARDS: Final = 16


@asynccontextmanager
async def _client(daemon: DaemonProcess, connections: int) -> AsyncIterator[AwsJsonClient]:
    raise_file_limit(2 * connections + 64)
    async with AwsJsonClient(daemon.url, connections_max=connections) as client:
        yield client


async def _workload(results: Results, name: str, settings: BenchSettings) -> Bench:
    """Runs a workload at a daemon of its own; what its ledger refutes is a fault."""
    workload = STREAM_WORKLOADS[name]
    connections = workload.connections(settings)
    with tempfile.TemporaryDirectory() as folder:
        async with (
            DaemonProcess(Path(folder)) as daemon,
            _client(daemon, connections) as client,
        ):
            tree = ProcessTree(daemon.pid)
            run_name = f"bench-{uuid.uuid4().hex[:12]}"
            bench = Bench(client, settings, run_name, tree, Progress("", 1, silent=True))
            try:
                await workload.run(bench)
            finally:
                await bench.clean_up()
    summary = bench.ledger.summary()
    if not summary.is_clean or summary.received < summary.sent or bench.run.errors:
        results.faults.append(f"{name}: {summary}, errors {bench.run.errors}")
    return bench


async def measure_put(results: Results, rounds: int, seconds: float) -> None:
    """PutRecords of 500 records of 256 B, durability full."""
    clocked: list[float] = []
    total_us: list[float] = []
    writer_us: list[float] = []
    settings = BenchSettings(CONNECTIONS, seconds, 0.5, size_bytes=SIZE, shards=SHARDS)
    for _ in range(rounds):
        bench = await _workload(results, "put-records", settings)
        records = bench.run.messages or 1
        clocked.append(records / bench.run.elapsed_s)
        total_us.append(1e6 * (bench.cost.server_cpu_s or 0.0) / records)
        writer_us.append(1e6 * bench.cost.children_cpu_s / records)
    cores = [1e6 / one for one in total_us]
    main_us = [total - writer for total, writer in zip(total_us, writer_us, strict=True)]
    results.figures += [
        figure("put", "PutRecords x 500, a core", "records/s", cores, at_least=60_000),
        figure("put", "PutRecords x 500", "CPU µs/record", total_us, at_most=10),
        figure("put", "of it the main process", "CPU µs/record", main_us),
        figure("put", "of it the writer process", "CPU µs/record", writer_us),
        figure("put", "PutRecords x 500, by the clock", "records/s", clocked),
    ]


async def measure_get(results: Results, rounds: int, seconds: float) -> None:
    """GetRecords of 10,000 records of 256 B: at the tip, from a file in the system's page cache,
    from a file on the disk only.
    """
    settings = BenchSettings(
        CONNECTIONS, seconds, 0.5, size_bytes=SIZE, shards=SHARDS, backlog=160_000
    )
    tip_us: list[float] = []
    tip_rate: list[float] = []
    for _ in range(rounds):
        bench = await _workload(results, "get-records", settings)
        tip_us.append(1e6 * (bench.cost.server_cpu_s or 0.0) / bench.run.messages)
        tip_rate.append(bench.run.messages / bench.run.elapsed_s)
    cores = [1e6 / one for one in tip_us]
    results.figures += [
        figure("get", "tip, a core", "records/s", cores, at_least=150_000),
        figure("get", "tip", "CPU µs/record", tip_us),
        figure("get", "tip, by the clock", "records/s", tip_rate),
    ]
    ledger = Ledger(KEYS, is_fifo=True)
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder)
        say(f"get: filling a file with {BACKLOG:,} records")
        async with opened(str(directory / FILE), SHARDS, durability="relaxed") as (engine, stream):
            await fill(engine, stream, BACKLOG, SIZE, ledger)
        await _from_disk(results, directory, rounds, ledger)


async def _from_disk(results: Results, directory: Path, rounds: int, ledger: Ledger) -> None:
    """Reads the whole stream once after each restart: cold, then warm; the last time booked."""
    rates: dict[str, list[float]] = {"cold": [], "warm": []}
    costs: dict[str, list[float]] = {"cold": [], "warm": []}
    for _ in range(rounds):
        for kind in ("cold", "warm"):
            if kind == "cold":
                drop_from_memory(directory)
            async with DaemonProcess(directory) as daemon, _client(daemon, SHARDS) as client:
                tree = ProcessTree(daemon.pid)
                before, begin_s = tree.usage(), time.perf_counter()
                count = await _read_stream(client, None)
                elapsed_s, after = time.perf_counter() - begin_s, tree.usage()
            if count != BACKLOG:
                results.faults.append(f"get, {kind}: {count:,} of {BACKLOG:,} records")
            rates[kind].append(count / elapsed_s)
            costs[kind].append(_us(before, after, count))
    async with DaemonProcess(directory) as daemon, _client(daemon, SHARDS) as client:
        await _read_stream(client, ledger)
    summary = ledger.summary()
    if not summary.is_clean or summary.received != BACKLOG:
        results.faults.append(f"get from disk: {summary}")
    for kind, name in (("warm", "disk, in the page cache"), ("cold", "disk, cold")):
        cores = [1e6 / cost for cost in costs[kind]]
        results.figures += [
            figure("get", f"{name}, a core", "records/s", cores, at_least=100_000),
            figure("get", name, "CPU µs/record", costs[kind]),
            figure("get", f"{name}, by the clock", "records/s", rates[kind]),
        ]


def _us(before: Usage, after: Usage, count: int) -> float:
    return 1e6 * (after.cpu_s - before.cpu_s) / max(1, count)


async def _read_stream(client: AwsJsonClient, ledger: Ledger | None) -> int:
    """Reads all of the stream, shard after shard; books it, or looks at nothing."""
    count = 0
    for shard in await calls.shards_of(client, NAME):
        iterator: str | None = await calls.shard_iterator(client, NAME, shard.id)
        while iterator is not None:
            if ledger is None:
                skimmed = await calls.skim_records(client, iterator)
                size, iterator = len(skimmed.records), skimmed.next_shard_iterator
            else:
                page = await calls.get_records(client, iterator)
                size, iterator = len(page.records), page.next_shard_iterator
                for record in page.records:
                    ledger.receive(record.data[:16].decode("latin-1"))
            if not size:
                break
            count += size
    return count


async def measure_tip(results: Results, rounds: int, seconds: float) -> None:
    """From PutRecord to whoever waits at the tip, 100 records a second; an idle machine."""
    names = {"stream-push": "SubscribeToShard", "stream-tip": "GetRecords again and again"}
    p50: dict[str, list[float]] = {name: [] for name in names}
    p99: dict[str, list[float]] = {name: [] for name in names}
    settings = BenchSettings(CONNECTIONS, seconds, 0.5, size_bytes=SIZE, shards=1)
    for _ in range(rounds):
        for name in names:
            latency = (await _workload(results, name, settings)).run.latency.summary()
            p50[name].append(latency.p50_ms)
            p99[name].append(latency.p99_ms)
    for name, title in names.items():
        is_push = name == "stream-push"
        results.figures += [
            figure("tip", f"{title}, p50", "ms", p50[name], at_most=2 if is_push else None),
            figure("tip", f"{title}, p99", "ms", p99[name], at_most=10 if is_push else None),
        ]


async def measure_feed(results: Results, rounds: int, seconds: float) -> None:
    """PutRecords while 1, 5 or 20 consumers are told of everything: what one more record told
    costs, the put included.
    """
    told_us: dict[int, list[float]] = {1: [], 5: [], 20: []}
    for _ in range(rounds):
        for consumers, costs in told_us.items():
            settings = BenchSettings(
                4, seconds, 0.5, size_bytes=SIZE, shards=SHARDS, subscriptions=SHARDS * consumers
            )
            bench = await _workload(results, "stream-feed", settings)
            told = bench.run.messages * consumers
            costs.append(1e6 * (bench.cost.server_cpu_s or 0.0) / max(1, told))
            summary = bench.ledger.summary()
            if bench.notes["told"] != summary.sent * consumers:
                results.faults.append(f"feed: {bench.notes['told']:,.0f} told of {summary.sent:,}")
    for consumers, costs in told_us.items():
        name = f"PutRecords x 500, told to {consumers}"
        results.figures.append(figure("feed", name, "CPU µs/record told", costs))


async def measure_idle(results: Results, rounds: int, seconds: float) -> None:
    """1,000 shards, and subscriptions that are told nothing but heartbeats."""
    for subscriptions, most in ((100, 2), (1_000, None)):
        used: list[float] = []
        for _ in range(rounds):
            settings = BenchSettings(
                CONNECTIONS, seconds, 0.5, shards=1_000, subscriptions=subscriptions, rate=20.0
            )
            bench = await _workload(results, "stream-idle", settings)
            used.append(bench.notes["idle_cpu_percent"])
            if bench.notes["told"] < bench.run.operations * min(20, subscriptions):
                results.faults.append(f"idle: {bench.notes['told']:,.0f} told")
        name = f"1,000 shards, {subscriptions:,} subscriptions"
        results.figures.append(figure("idle", name, "% of a core", used, at_most=most))


async def measure_restart(results: Results, rounds: int, records: int) -> None:
    """A daemon on a file of many records: from its start to the first answer, and to the first
    records; after an orderly end and after SIGKILL.
    """
    kinds = ("after an orderly end", "after an orderly end, cold disk", "after SIGKILL")
    answers: dict[str, list[float]] = {kind: [] for kind in kinds}
    reads: dict[str, list[float]] = {kind: [] for kind in kinds}
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder)
        say(f"restart: filling a file with {records:,} records")
        path = directory / FILE
        async with opened(str(path), RESTART_SHARDS, durability="relaxed") as (engine, stream):
            await fill(engine, stream, records, RESTART_SIZE)
        say(f"restart: {path.stat().st_size / 1e9:.2f} GB")
        for _ in range(rounds):
            for kind in kinds:
                if "SIGKILL" in kind:
                    await _kill_while_busy(directory)
                if "cold" in kind:
                    drop_from_memory(directory)
                answered_s, read_s = await _restart(directory)
                answers[kind].append(answered_s)
                reads[kind].append(read_s)
        async with DaemonProcess(directory) as daemon, _client(daemon, 1) as client:
            count = await _read_stream(client, None)
        if count < records:
            results.faults.append(f"restart: {count:,} of {records:,} records")
    for kind in kinds:
        of = f"{records / 1e6:g} M records, {kind}"
        results.figures += [
            figure("restart", f"{of}: first answer", "s", answers[kind], at_most=2),
            figure("restart", f"{of}: first 10,000 records", "s", reads[kind], at_most=2),
        ]


async def _restart(directory: Path) -> tuple[float, float]:
    daemon = DaemonProcess(directory)
    begin_s = time.perf_counter()
    await daemon.start()
    try:
        async with _client(daemon, 1) as client:
            shard = (await calls.shards_of(client, NAME))[0]
            answered_s = time.perf_counter() - begin_s
            iterator = await calls.shard_iterator(client, NAME, shard.id)
            page = await calls.skim_records(client, iterator)
            assert page.records, "a shard is empty"
            return answered_s, time.perf_counter() - begin_s
    finally:
        await daemon.stop()


async def _kill_while_busy(directory: Path) -> None:
    """Leaves a log behind that the next start has to recover."""
    async with DaemonProcess(directory) as daemon:
        async with _client(daemon, 1) as client:
            for number in range(20):
                records = [(b"x" * RESTART_SIZE, f"key-{number}-{at}") for at in range(500)]
                await calls.put_records(client, NAME, records)
        await daemon.kill()
