"""`eventcore bench`: load, latency, CPU and a ledger that proves that every message came out once.

Without --endpoint-url each run starts a daemon of its own on an empty data directory. With several
endpoints and --repeat, the runs alternate (round by round, endpoint by endpoint), so that a noisy
machine is noisy for all of them.

Exit status: 0 when every run is proven by its ledger, 1 when one is not or could not be run.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import msgspec

from eventcore.bench.client import AwsJsonClient
from eventcore.bench.daemon_process import DaemonProcess
from eventcore.bench.event_loop import raise_file_limit
from eventcore.bench.event_loop import run as run_on_loop
from eventcore.bench.measurement import Measurement, medians
from eventcore.bench.process_usage import ProcessTree
from eventcore.bench.progress import Progress
from eventcore.bench.report import render_json, render_table
from eventcore.bench.stream_workloads import STREAM_WORKLOADS
from eventcore.bench.workloads import WORKLOADS as QUEUE_WORKLOADS
from eventcore.bench.workloads import Bench, BenchSettings
from eventcore.errors import InvalidParameter

__all__ = ["add_arguments", "run"]

OWN_DAEMON: Final = "eventcore"
FILES_RESERVED: Final = 64
GROUPS_DEFAULT: Final = 1_000
"""Message groups of a FIFO queue where no number is given."""
WORKLOADS: Final = {**QUEUE_WORKLOADS, **STREAM_WORKLOADS}
DEFAULT_WORKLOADS: Final = ("send", "send-batch", "cycle", "cycle-batch", "put-events", "mixed")


class Endpoint(msgspec.Struct, frozen=True):
    """Where a run goes. `url` is empty for a daemon that the run starts itself."""

    name: str
    url: str = ""
    pid: int | None = None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    add = parser.add_argument
    names = "; ".join(f"{name}: {workload.title}" for name, workload in WORKLOADS.items())
    add("workloads", nargs="*", metavar="WORKLOAD", help=names)
    add(
        "--endpoint-url",
        action="append",
        default=[],
        metavar="[NAME=]URL[#PID]",
        help="drive this endpoint; the process id gives its CPU; may be given several times",
    )
    add("--region", default="us-east-1", help="region (default us-east-1)")
    add(
        "--durability",
        choices=("full", "relaxed", "memory"),
        default="full",
        help="of the daemon that it starts (default full)",
    )
    add("--connections", type=int, default=16, metavar="N", help="at a time (default 16)")
    add(
        "--rate",
        type=float,
        metavar="PER_SECOND",
        help="open loop: operations per second; latency counts from when each was due",
    )
    add("--duration", type=float, default=5.0, metavar="SECONDS", help="measured time (default 5)")
    add("--warmup", type=float, default=0.5, metavar="SECONDS", help="before it (default 0.5)")
    add("--count", type=int, metavar="N", help="end after N operations, without a warm-up")
    add("--size", type=int, default=256, metavar="BYTES", help="of a message (default 256)")
    add("--rules", type=int, default=10, metavar="N", help="for put-events (default 10)")
    lengths = ", ".join(f"{name} {one.backlog}" for name, one in WORKLOADS.items() if one.backlog)
    add("--backlog", metavar="N[,N...]", help=f"messages there before (default: {lengths})")
    add("--fifo", action="store_true", help="the queues are FIFO")
    add(
        "--groups",
        metavar="N[,N...]",
        help="message groups that sends go round (default: none; with --fifo 1000); without --fifo "
        "the queue is a fair queue",
    )
    add("--polls", type=int, default=10_000, metavar="N", help="for long-poll (default 10000)")
    counts = ", ".join(f"{name} {one.shards}" for name, one in WORKLOADS.items() if one.shards)
    add("--shards", metavar="N[,N...]", help=f"of the stream (default: {counts})")
    add("--subscriptions", type=int, default=100, metavar="N", help="for stream-idle (default 100)")
    add("--repeat", type=int, default=1, metavar="N", help="rounds; the table has medians")
    add("--json", action="store_true", help="every run as JSON on standard output")


def run(arguments: argparse.Namespace) -> int:
    """Runs the command; returns its exit status."""
    measurements = run_on_loop(_bench(arguments))
    shown = render_json(measurements) if arguments.json else render_table(medians(measurements))
    sys.stdout.write(shown + "\n")
    return 0 if all(measurement.is_proven for measurement in measurements) else 1


async def _bench(arguments: argparse.Namespace) -> list[Measurement]:
    plan = _plan(arguments)
    endpoints = [_endpoint(text) for text in arguments.endpoint_url] or [Endpoint(OWN_DAEMON)]
    return [
        await _run_one(name, settings, endpoint, arguments)
        for _ in range(arguments.repeat)
        for name, settings in plan
        for endpoint in endpoints
    ]


def _plan(arguments: argparse.Namespace) -> list[tuple[str, BenchSettings]]:
    """The runs of one round. Raises InvalidParameter."""
    for option in ("connections", "repeat", "rules", "polls", "subscriptions"):
        if getattr(arguments, option) < 1:
            raise InvalidParameter(option, "Must be at least 1.")
    settings = _settings(arguments)
    group_counts = _counts("groups", arguments.groups)
    if settings.is_fifo:
        group_counts = group_counts or [GROUPS_DEFAULT]
        if 0 in group_counts:
            raise InvalidParameter("groups", "Must be at least 1 with --fifo.")
    has_groups = any(group_counts)
    depths = _counts("backlog", arguments.backlog)
    shard_counts = _counts("shards", arguments.shards)
    if 0 in shard_counts:
        raise InvalidParameter("shards", "Must be at least 1.")
    plan = []
    for name in arguments.workloads or _default_workloads(has_groups):
        workload = WORKLOADS.get(name)
        if workload is None:
            raise InvalidParameter("workload", f"Must be one of {', '.join(WORKLOADS)}.", name)
        if has_groups and not workload.has_groups:
            raise InvalidParameter("workload", "Takes neither --fifo nor --groups.", name)
        backlogs = (depths or [workload.backlog]) if workload.backlog else [0]
        shards = (shard_counts or [workload.shards]) if workload.shards else [0]
        plan += [
            (name, msgspec.structs.replace(settings, backlog=backlog, groups=groups, shards=count))
            for backlog in backlogs
            for count in shards
            for groups in group_counts or [0]
        ]
    return plan


def _settings(arguments: argparse.Namespace) -> BenchSettings:
    """What all runs have in common."""
    return BenchSettings(
        connections=arguments.connections,
        duration_s=arguments.duration,
        warmup_s=arguments.warmup,
        operations_max=arguments.count,
        rate=arguments.rate,
        size_bytes=arguments.size,
        rules=arguments.rules,
        polls=arguments.polls,
        subscriptions=arguments.subscriptions,
        is_fifo=arguments.fifo,
    )


def _default_workloads(with_groups: bool) -> list[str]:
    return [name for name in DEFAULT_WORKLOADS if WORKLOADS[name].has_groups or not with_groups]


def _counts(option: str, text: str | None) -> list[int]:
    """`N[,N...]` taken apart; nothing when nothing was given. Raises InvalidParameter."""
    numbers = text.split(",") if text is not None else []
    if not all(number.strip().isdecimal() for number in numbers):
        raise InvalidParameter(option, "Must be whole numbers with commas between them.", text)
    return [int(number) for number in numbers]


def _label(name: str, settings: BenchSettings) -> str:
    """A run's name in the table: its workload, and what else it was asked to be."""
    parts = [f"{name} {settings.backlog:,}" if settings.backlog else name]
    if settings.is_fifo:
        parts.append("FIFO")
    if settings.shards:
        parts.append(f"{settings.shards:,} shard{'s' if settings.shards > 1 else ''}")
    if settings.groups:
        parts.append(f"{settings.groups:,} group{'s' if settings.groups > 1 else ''}")
    return ", ".join(parts)


def _endpoint(text: str) -> Endpoint:
    """`[NAME=]URL[#PID]` taken apart."""
    name, separator, url = text.partition("=")
    if not separator or "://" in name:
        name, url = "", text
    url, _, pid = url.partition("#")
    return Endpoint(name or url, url, int(pid) if pid else None)


async def _run_one(
    name: str, settings: BenchSettings, endpoint: Endpoint, arguments: argparse.Namespace
) -> Measurement:
    workload = WORKLOADS[name]
    connections = workload.connections(settings)
    raise_file_limit(2 * connections + FILES_RESERVED)
    async with _serving(endpoint, arguments.durability) as (url, pid):
        client = AwsJsonClient(url, region=arguments.region, connections_max=connections)
        title = f"{name} on {endpoint.name}"
        with Progress(title, settings.duration_s, silent=arguments.json) as progress:
            async with client:
                run_name = f"bench-{uuid.uuid4().hex[:12]}"
                bench = Bench(client, settings, run_name, ProcessTree.of(pid), progress)
                try:
                    await workload.run(bench)
                finally:
                    await bench.clean_up()
    return _measurement(bench, _label(name, settings), endpoint.name)


@asynccontextmanager
async def _serving(endpoint: Endpoint, durability: str) -> AsyncIterator[tuple[str, int | None]]:
    if endpoint.url:
        yield endpoint.url, endpoint.pid
        return
    with tempfile.TemporaryDirectory(prefix="eventcore-bench-") as data:
        async with DaemonProcess(Path(data), durability=durability) as daemon:
            yield daemon.url, daemon.pid


def _measurement(bench: Bench, label: str, endpoint: str) -> Measurement:
    done, cost = bench.run, bench.cost
    thousands = done.operations / 1_000 or 1.0
    elapsed_s = done.elapsed_s or 1.0
    cpu_s = cost.server_cpu_s
    return Measurement(
        workload=label,
        endpoint=endpoint,
        operation=bench.operation,
        operations=done.operations,
        messages=done.messages,
        requests=bench.requests,
        errors=done.errors,
        last_error=done.last_error,
        elapsed_s=done.elapsed_s,
        operations_per_s=done.operations / elapsed_s,
        messages_per_s=done.messages / elapsed_s,
        latency=done.latency.summary(),
        server_cpu_ms=None if cpu_s is None else 1e3 * cpu_s / thousands,
        request_cpu_us=_share_us(cpu_s, bench.requests),
        message_cpu_us=_share_us(cpu_s, done.messages),
        server_rss_bytes=cost.server_rss_bytes,
        generator_cpu_ms=1e3 * cost.generator_cpu_s / thousands,
        ledger=bench.ledger.summary(),
        notes=bench.notes,
    )


def _share_us(cpu_s: float | None, count: int) -> float | None:
    return None if cpu_s is None or not count else 1e6 * cpu_s / count
