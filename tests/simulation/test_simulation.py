"""Some seeds of the simulation; `python -m tests.simulation` runs any number of others."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.simulation.world import World

STEPS = 300
SEEN = ("failed", "repeats", "renewals")


@pytest.mark.parametrize("seed", range(1, 31))
async def test_no_promise_is_broken(seed):
    world = World(seed)
    await world.run(STEPS)
    assert world.ledger.acknowledged > 0 and world.ledger.deliveries > 0


async def test_a_seed_replays_exactly():
    traces = []
    for _ in range(2):
        world = World(4)
        await world.run(STEPS)
        traces.append(world.trace)
    assert traces[0] == traces[1]


async def test_every_kind_of_step_and_fault_happens():
    counts: Counter[str] = Counter()
    for seed in range(1, 9):
        world = World(seed)
        await world.run(STEPS)
        counts.update(world.counts)
        counts.update({f"{name} (ledger)": getattr(world.ledger, name) for name in SEEN})
        counts["duplicates"] += world.promises.duplicates
    assert all(counts.values()), counts
