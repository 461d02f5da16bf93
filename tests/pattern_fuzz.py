"""`python -m tests.pattern_fuzz [--pairs N] [--seed S]`: random patterns and events, of which the
engines and the oracle must say the same.

A pair is one pattern asked of one event. The status is 1, and the smallest script found is printed,
if an engine differs. What is printed last replays the batch.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from contextlib import nullcontext
from random import Random

from tests.patterns.batches import SHAPES, batch
from tests.patterns.comparison import ENGINES, Add, Comparison, Difference, Step, compare
from tests.patterns.random_worlds import WORLDS
from tests.patterns.shrinking import smallest
from tests.patterns.thresholds import lowered

__all__ = ["main"]

_REPORT_S = 5.0


def main(arguments: list[str] | None = None) -> int:
    """Runs batches until there were enough pairs, or until one differs."""
    options = _parser().parse_args(arguments)
    began = reported = time.perf_counter()
    pairs: Counter[str] = Counter()
    matched = 0
    first = 0 if options.batch is None else options.batch
    number = first
    while number == first or (options.batch is None and pairs.total() < options.pairs):
        world, comparison = _run(options, number)
        if comparison is None:
            return 1
        pairs[world] += comparison.pairs
        matched += comparison.matched
        number += 1
        if time.perf_counter() - reported > _REPORT_S:
            reported = time.perf_counter()
            rate = pairs.total() / (reported - began)
            print(f"{pairs.total():,} pairs, {rate:,.0f} pairs/s", flush=True)
    total = pairs.total()
    print(*(f"{name} {count:,}" for name, count in pairs.items()), sep=", ")
    seconds = time.perf_counter() - began
    print(f"{total:,} pairs in {seconds:.1f} s, {matched:,} matched, no difference")
    return 0


def _run(options: argparse.Namespace, number: int) -> tuple[str, Comparison | None]:
    """Runs the batch with this number: its world, and what was counted, None if it differs."""
    random = Random(f"{options.seed}/{number}")
    worlds = [world for world in WORLDS if options.world in ("all", world.name)]
    world = worlds[number % len(worlds)]
    # Drawn in any case, so that a replay with these options is the same.
    (shape,) = random.choices(list(SHAPES), list(SHAPES.values()))
    thresholds = random.choice(["low", "real"])
    shape = options.shape or shape
    thresholds = options.thresholds or thresholds
    engines = ENGINES if options.engine == "all" else (options.engine,)
    script = batch(world, shape, random)
    with lowered() if thresholds == "low" else nullcontext():
        comparison = Comparison(engines)
        for place, step in enumerate(script):
            difference = comparison.take(place, step)
            if difference is not None:
                print(f"seed {options.seed}, batch {number}: {world.name}, {shape}, {thresholds}")
                _tell(script, difference, engines)
                again = f"--seed {options.seed} --world {options.world} --shape {shape}"
                again += f" --thresholds {thresholds} --engine {options.engine} --batch {number}"
                print(f"again: python -m tests.pattern_fuzz {again}")
                return world.name, None
    return world.name, comparison


def _parser() -> argparse.ArgumentParser:
    names = [world.name for world in WORLDS]
    parser = argparse.ArgumentParser(prog="python -m tests.pattern_fuzz", description=__doc__)
    parser.add_argument("--pairs", type=int, default=1_000_000, help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=1, help="default: %(default)s")
    parser.add_argument("--batch", type=int, help="only the batch with this number")
    parser.add_argument("--world", choices=["all", *names], default="all")
    parser.add_argument("--shape", choices=list(SHAPES), help="only batches of this shape")
    parser.add_argument("--thresholds", choices=["low", "real"], help="see tests/patterns")
    parser.add_argument("--engine", choices=["all", *ENGINES], default="all")
    return parser


def _tell(script: list[Step], difference: Difference, engines: tuple[str, ...]) -> None:
    """Prints the difference and the smallest script that still shows it."""

    def is_wrong(candidate: list[Step]) -> bool:
        found = compare(candidate, engines)
        return found is not None and found.kind == difference.kind

    print(f"{difference.kind}, rule {difference.rule}: {difference.text}")
    script = script[: difference.step + 1]
    if difference.kind == "refused":
        print(script[-1])
        return
    own = [step for step in script if isinstance(step, Add) and step.rule == difference.rule]
    # Most differences are of one rule alone; then the long script need not be cut down.
    alone: list[Step] = [*own[-1:], script[-1]]
    script = smallest(alone if is_wrong(alone) else script, is_wrong)
    print(*script, compare(script, engines), sep="\n")


if __name__ == "__main__":
    sys.exit(main())
