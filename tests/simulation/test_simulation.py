"""Some seeds of the simulation; `python -m tests.simulation` runs any number of others."""

from __future__ import annotations

import pytest

from tests.simulation.world import World

STEPS = 300


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
    counts: dict[str, int] = {}
    failed = 0
    for seed in range(1, 6):
        world = World(seed)
        await world.run(STEPS)
        failed += world.ledger.failed
        for name, count in world.counts.items():
            counts[name] = counts.get(name, 0) + count
    assert all(counts.values()), counts
    assert failed > 0
