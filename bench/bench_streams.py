"""Streams: all figures of Kinesis, with their targets.

    python -m bench.bench_streams                      # everything: about 15 minutes
    python -m bench.bench_streams --quick              # short rounds, 1 M records: 3 minutes
    python -m bench.bench_streams --only put get       # parts of it
    python -m bench.bench_streams --json results.json  # keeps all rounds

Parts: `put`, `get`, `tip`, `feed`, `idle`, `restart` are a daemon over HTTP, started for each
measurement (`stream_daemon.py`); `embedded` is a program with `eventcore.open`
(`stream_embedded.py`); `curves` says what operations cost against sizes that should not matter
(`stream_curves.py`).

Every record that was put is read again and booked: the exit status is 1 when one is missing, came
twice or came out of order, and where a target is missed. Take it on a machine that does nothing
else; `tip` and everything "by the clock" mean nothing on a busy one.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import uvloop

from bench import stream_daemon, stream_embedded
from bench.stream_curves import measure_curves
from bench.stream_figures import Results, show, write
from bench.stream_load import say

PARTS: Final = ("put", "get", "embedded", "tip", "feed", "idle", "restart", "curves")


@dataclass(frozen=True)
class Effort:
    """How long, how often, how much."""

    rounds: int = 3
    seconds: float = 5.0
    idle_seconds: float = 20.0
    restart_records: int = 10_000_000
    backlog_max: int = 10_000_000
    turns: int = 7


QUICK: Final = Effort(1, 2.0, 5.0, 1_000_000, 1_000_000, 3)


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="short rounds, 1 M records")
    parser.add_argument("--rounds", type=int, help="of each measurement (default 3)")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, metavar="PART")
    parser.add_argument("--json", type=Path, metavar="FILE", help="writes all rounds")
    return parser.parse_args()


async def measure(part: str, results: Results, effort: Effort) -> None:
    """Adds one part to the results."""
    rounds, seconds = effort.rounds, effort.seconds
    if part == "put":
        await stream_daemon.measure_put(results, rounds, seconds)
    elif part == "get":
        await stream_daemon.measure_get(results, rounds, seconds)
    elif part == "embedded":
        await stream_embedded.measure_put(results, rounds, seconds / 2)
        await stream_embedded.measure_get(results, rounds)
    elif part == "tip":
        await stream_embedded.measure_tip(results, rounds, seconds)
        await stream_daemon.measure_tip(results, rounds, seconds)
    elif part == "feed":
        await stream_daemon.measure_feed(results, rounds, seconds)
    elif part == "idle":
        await stream_daemon.measure_idle(results, rounds, effort.idle_seconds)
    elif part == "restart":
        await stream_daemon.measure_restart(results, rounds, effort.restart_records)
    else:
        await measure_curves(results, effort.turns, effort.backlog_max)


async def run(arguments: argparse.Namespace) -> Results:
    """All the parts that are asked for."""
    effort = QUICK if arguments.quick else Effort()
    if arguments.rounds:
        effort = Effort(**{**vars(effort), "rounds": arguments.rounds})
    results = Results()
    for part in arguments.only:
        began_s = time.perf_counter()
        await measure(part, results, effort)
        say(f"{part}: {time.perf_counter() - began_s:.0f} s")
    return results


def main() -> None:
    """Measures, prints, writes."""
    arguments = parse_arguments()
    results = uvloop.run(run(arguments))
    show(results)
    if arguments.json:
        write(results, arguments.json)
    if not results.is_good:
        sys.exit(1)


if __name__ == "__main__":
    main()
