"""Functions and event source mappings: all figures, with their targets.

    python -m bench.bench_functions                         # everything: about 15 minutes
    python -m bench.bench_functions --quick                 # short rounds: 2 minutes
    python -m bench.bench_functions --only queue stream     # parts of it
    python -m bench.bench_functions --json results.json     # keeps all rounds
    python -m bench.bench_functions --results results.json  # prints them again, measures nothing

`--page docs/performance/functions.md` renews the figures of that page.

Parts: `queue` and `stream` are what mappings of a program carry (`function_sources.py`), `start` is
how soon a handler begins (`function_starts.py`), `process` are functions in processes
(`function_processes.py`), `bisect` counts invocations (`function_bisect.py`), `curves` and `idle`
say what invocations and idle mappings cost against sizes that should not matter
(`function_curves.py`), `threads` what a saturated loop does to plain functions
(`function_threads.py`).

Durability is full; what is compared takes turns in one run, and figures are medians of rounds.
Every message and record is booked: the exit status is 1 when one is missing, came twice or came out
of order, and where a target is missed. CPU is that of this process and its children. Figures by the
clock, and latencies, want a machine that does nothing else, and know its disk: what the machine was
like stands in front.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import uvloop

from bench.function_bisect import measure_bisect
from bench.function_curves import measure_curves, measure_idle
from bench.function_load import machine, state
from bench.function_page import read_results, update_page
from bench.function_processes import measure_processes
from bench.function_sources import measure_queue, measure_stream
from bench.function_starts import measure_starts
from bench.function_threads import measure_threads
from bench.stream_figures import Results, show, write
from bench.stream_load import say
from eventcore.bench.event_loop import raise_file_limit
from eventcore.runtime.telemetry import configure_logging

PARTS: Final = ("queue", "stream", "start", "process", "bisect", "curves", "idle", "threads")
FILES_WANTED: Final = 4_096


@dataclass(frozen=True)
class Effort:
    """How long, how often, how much."""

    rounds: int = 3
    seconds: float = 5.0
    idle_seconds: float = 20.0
    messages: int = 40_000
    records: int = 200_000
    invocations: int = 2_000
    starts: int = 20
    places: int = 101
    turns: int = 7
    sizes: tuple[int, ...] = (1, 100, 10_000)


QUICK: Final = Effort(1, 1.0, 3.0, 8_000, 40_000, 500, 5, 21, 2, (1, 100, 1_000))
TINY: Final = Effort(1, 0.1, 0.2, 400, 2_000, 32, 1, 3, 1, (1, 10))
"""Enough to see that it works."""


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="short rounds, sizes up to 1,000")
    parser.add_argument("--rounds", type=int, help="of each measurement (default 3)")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, metavar="PART")
    parser.add_argument("--json", type=Path, metavar="FILE", help="writes all rounds")
    parser.add_argument(
        "--results", type=Path, metavar="FILE", help="takes these, measures nothing"
    )
    parser.add_argument("--page", type=Path, metavar="FILE", help="renews a page's figures")
    return parser.parse_args()


async def measure(part: str, results: Results, effort: Effort) -> None:
    """Adds one part to the results."""
    rounds, seconds = effort.rounds, effort.seconds
    if part == "queue":
        await measure_queue(results, rounds, effort.messages)
    elif part == "stream":
        await measure_stream(results, rounds, effort.records)
    elif part == "start":
        await measure_starts(results, rounds, seconds)
    elif part == "process":
        await measure_processes(results, rounds, effort.invocations, effort.starts)
    elif part == "bisect":
        await measure_bisect(results, effort.places)
    elif part == "curves":
        await measure_curves(results, effort.turns, effort.sizes)
    elif part == "idle":
        await measure_idle(results, rounds, effort.idle_seconds)
    else:
        await measure_threads(results, rounds, seconds / 2)


async def run(arguments: argparse.Namespace) -> Results:
    """All the parts that are asked for."""
    effort = QUICK if arguments.quick else Effort()
    if arguments.rounds:
        effort = Effort(**{**vars(effort), "rounds": arguments.rounds})
    results = Results(machine=f"{machine()}; before {state()}")
    for part in arguments.only:
        began_s = time.perf_counter()
        await measure(part, results, effort)
        say(f"{part}: {time.perf_counter() - began_s:.0f} s")
    results.machine += f"; after {state()}"
    return results


def main() -> None:
    """Measures, prints, writes."""
    arguments = parse_arguments()
    raise_file_limit(FILES_WANTED)
    configure_logging(level="error")  # `bisect` discards on purpose
    kept = arguments.results
    results = read_results(kept) if kept else uvloop.run(run(arguments))
    print(f"{results.machine}\n")
    show(results)
    if arguments.json:
        write(results, arguments.json)
    if arguments.page:
        update_page(results, arguments.page)
    if not results.is_good:
        sys.exit(1)


if __name__ == "__main__":
    main()
