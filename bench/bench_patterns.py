"""Event patterns: events per second by number of rules, and what rules cost beside.

    python -m bench.bench_patterns                     # everything of ours: a few minutes
    python -m bench.bench_patterns --quick             # few rounds, up to 1,000 rules
    python -m bench.bench_patterns --peers             # LocalStack's and moto's matchers as well
    python -m bench.bench_patterns --json r.json       # keeps the results
    python -m bench.bench_patterns --results r.json    # measures nothing

All figures are CPU time of one core. `eventcore` is `Matcher.match_json`: a JSON text in, the
numbers of the matching rules out; `match only` is the same with the text parsed beforehand;
`orjson.loads` is the floor. The workloads are described in `bench/pattern_load.py`, the engines'
turns in `pattern_throughput.py`.

`--plot docs/performance --page docs/performance/event-patterns.md` renews the page of figures and
its plots; plots need matplotlib.

`--peers` makes a virtual environment with the other matchers and removes it afterwards;
`--peers-python` names the interpreter of one that is kept (its packages: `PEER_PACKAGES` in
`bench/pattern_peers.py`).

The answers to a sample are compared with `patterns.matches`, rule by rule, and with the other
matchers'. The exit status is 1 where the matcher and `matches` differ.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from importlib.metadata import version
from pathlib import Path
from platform import python_version
from typing import Final

from bench.pattern_costs import measure_changes, measure_loading, measure_memory
from bench.pattern_load import (
    FAMILIES,
    Workload,
    condition_workload,
    family_workload,
    flights_workload,
    mixed_workload,
    shapes_workload,
)
from bench.pattern_page import update_page
from bench.pattern_peers import PeerProcess, peer_process
from bench.pattern_plots import write_plots
from bench.pattern_results import FLIGHTS, MIXED, SHAPES, Results, read_results, show, write_results
from bench.pattern_throughput import ONE_BY_ONE, Effort, compare_answers, measure

PARTS: Final = ("mixed", "shapes", "flights", "families", "answers", "changes", "loading", "memory")
SIZES: Final = (1, 100, 1_000, 10_000, 100_000)
FAMILY_SIZES: Final = (1, 10, 100, 1_000, 10_000)
BIG_FAMILIES: Final = ("exact", "prefix")
"""Those that are measured with 100,000 rules, too."""
CHANGED_RULES: Final = 10_000
ANSWER_RULES: Final = 1_000
ANSWER_CONDITIONS: Final = 420
ANSWER_EVENTS: Final = 200
QUICK_RULES_MAX: Final = 1_000


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="few rounds, up to 1,000 rules")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.2, help="per engine and round")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, metavar="PART")
    parser.add_argument("--peers", action="store_true", help="with LocalStack and moto")
    parser.add_argument("--peers-python", type=Path, metavar="PATH", help="the same, installed")
    parser.add_argument("--json", type=Path, metavar="FILE", help="writes the results")
    parser.add_argument("--results", type=Path, metavar="FILE", help="reads results instead")
    parser.add_argument("--plot", type=Path, metavar="DIR", help="writes the plots")
    parser.add_argument("--page", type=Path, metavar="FILE", help="writes figures into the page")
    return parser.parse_args()


def main() -> None:
    """Measures, or reads what was measured; prints, writes, plots."""
    arguments = parse_arguments()
    results = read_results(arguments.results) if arguments.results else run(arguments)
    show(results)
    if arguments.json:
        write_results(results, arguments.json)
    if arguments.plot:
        for file in write_plots(results, arguments.plot):
            print(f"wrote {file}")
    if arguments.page:
        update_page(results, arguments.page)
    own = [each for each in results.differences if each.engine == ONE_BY_ONE]
    if any(each.only_ours or each.only_theirs for each in own):
        sys.exit("the matcher and patterns.matches differ")


def run(arguments: argparse.Namespace) -> Results:
    """All the parts that are asked for."""
    effort = Effort(arguments.rounds, arguments.seconds)
    rules_max = SIZES[-1]
    if arguments.quick:
        effort, rules_max = Effort(2, 0.05), QUICK_RULES_MAX
    results = Results(python_version(), {"orjson": version("orjson")})
    with ExitStack() as stack:
        peers: PeerProcess | None = None
        if arguments.peers or arguments.peers_python:
            peers = stack.enter_context(peer_process(arguments.peers_python))
            results.versions |= peers.versions
        for part in arguments.only:
            began = time.perf_counter()
            measure_part(part, results, effort, rules_max, peers)
            print(f"{part}: {time.perf_counter() - began:.0f} s", file=sys.stderr)
    return results


def measure_part(
    part: str, results: Results, effort: Effort, rules_max: int, peers: PeerProcess | None
) -> None:
    """Adds one part to the results."""
    changed = min(CHANGED_RULES, rules_max)
    half = Effort(effort.rounds, effort.seconds / 2)
    if part == "mixed":
        results.figures += measure(MIXED, make(mixed_workload, SIZES, rules_max), effort, peers)
    elif part == "shapes":
        workloads = make(shapes_workload, SIZES[1:], rules_max)
        results.figures += measure(SHAPES, workloads, effort, None)
    elif part == "flights":
        results.figures += measure(FLIGHTS, make(flights_workload, SIZES, rules_max), effort, peers)
    elif part == "families":
        for family in FAMILIES:
            sizes = FAMILY_SIZES + (SIZES[-1:] if family in BIG_FAMILIES else ())
            workloads = make(partial(family_workload, family), sizes, rules_max)
            results.figures += measure(family, workloads, half, None)
    elif part == "answers":
        for name, workload in (
            (MIXED, mixed_workload(ANSWER_RULES)),
            (FLIGHTS, flights_workload(ANSWER_RULES)),
            ("one condition", condition_workload(ANSWER_CONDITIONS)),
        ):
            results.differences += compare_answers(name, workload, ANSWER_EVENTS, peers)
    elif part == "changes":
        results.changes.append(measure_changes(changed))
    elif part == "loading":
        results.loading.append(measure_loading(changed))
    else:
        results.memory += [measure_memory(size) for size in sorted({changed, rules_max})]


def make(
    workload: Callable[[int], Workload], sizes: tuple[int, ...], rules_max: int
) -> dict[int, Workload]:
    """The workloads by their number of rules."""
    return {size: workload(size) for size in sizes if size <= rules_max}


if __name__ == "__main__":
    main()
