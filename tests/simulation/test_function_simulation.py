"""Some seeds of the world of functions; `python -m tests.simulation` has others."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.simulation.function_world import FunctionWorld

STEPS = 200
SEEN = ("acknowledged", "failed")


@pytest.mark.parametrize("seed", range(1, 11))
async def test_no_promise_is_broken(seed):
    world = FunctionWorld(seed)
    await world.run(STEPS)
    assert world.acknowledged > 0 and world.ledger.done


@pytest.mark.parametrize("seed", [406, 502])
async def test_a_commit_that_outlasts_the_visibility_starts_no_batch(seed):
    world = FunctionWorld(seed)
    await world.run(300)
    assert world.acknowledged > 0


async def test_a_seed_replays_exactly():
    traces = []
    for _ in range(2):
        world = FunctionWorld(4)
        await world.run(STEPS)
        traces.append(world.trace)
    assert traces[0] == traces[1]


async def test_every_kind_of_step_fault_and_handler_happens():
    counts: Counter[str] = Counter()
    for seed in range(11, 17):
        world = FunctionWorld(seed)
        await world.run(STEPS)
        counts.update(world.counts)
        counts.update(world.seen)
        counts.update({f"{name} (seen)": getattr(world, name) for name in SEEN})
    assert all(counts.values()), counts
