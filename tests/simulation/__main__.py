"""`python -m tests.simulation [--world queues|streams|functions] [--seed N | --seeds A-B]
[--steps N] [--trace]`: replays seeds.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
import time

from tests.simulation.function_world import FunctionWorld
from tests.simulation.stream_world import StreamWorld
from tests.simulation.world import World

STEPS = 400
WORLDS: dict[str, type[World | StreamWorld | FunctionWorld]] = {
    "queues": World,
    "streams": StreamWorld,
    "functions": FunctionWorld,
}
STREAMS_SEEN = ("acknowledged", "failed", "deliveries", "pushes")


def main() -> int:
    """Runs the worlds asked for; 1 and the way there when one of them breaks a promise."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--world", choices=tuple(WORLDS), default="queues")
    parser.add_argument("--seed", type=int, help="one seed")
    parser.add_argument("--seeds", default="1-100", help="a range of seeds (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=STEPS, help="steps (default: %(default)s)")
    parser.add_argument("--trace", action="store_true", help="print every step")
    options = parser.parse_args()
    logging.getLogger("eventcore").setLevel(logging.CRITICAL)
    first, _, last = options.seeds.partition("-")
    seeds = range(int(first), int(last or first) + 1)
    if options.seed is not None:
        seeds = range(options.seed, options.seed + 1)
    began = time.perf_counter()
    totals: dict[str, int] = {}
    for seed in seeds:
        world = WORLDS[options.world](seed)
        try:
            asyncio.run(world.run(options.steps))
        except Exception as error:
            print(*world.trace[-40:], sep="\n")
            print(f"seed {seed} after {len(world.trace)} steps: {error!r}")
            again = f"--world {options.world} --seed {seed} --steps {options.steps}"
            print(f"again: python -m tests.simulation {again}")
            if options.seed is not None:
                raise
            return 1
        if options.trace:
            print(*world.trace, sep="\n")
        for name, count in world.counts.items():
            totals[name] = totals.get(name, 0) + count
        for name, count in _seen(world).items():
            totals[name] = totals.get(name, 0) + count
    print(f"{len(seeds)} seeds in {time.perf_counter() - began:.1f} s, no promise broken")
    print(*(f"{name} {count}" for name, count in totals.items()), sep=", ")
    return 0


def _seen(world: World | StreamWorld | FunctionWorld) -> dict[str, int]:
    """What happened in a world that its steps do not tell."""
    if isinstance(world, FunctionWorld):
        told = {"acknowledged": world.acknowledged, "failed": world.failed}
        return {**told, "invocations": world.ledger.invocations, "repeats": world.ledger.repeats}
    if isinstance(world, StreamWorld):
        return {name: getattr(world, name) for name in STREAMS_SEEN}
    names = ("acknowledged", "failed", "deliveries", "repeats", "renewals")
    seen = {name: getattr(world.ledger, name) for name in names}
    return {**seen, "duplicates": world.promises.duplicates}


if __name__ == "__main__":
    sys.exit(main())
