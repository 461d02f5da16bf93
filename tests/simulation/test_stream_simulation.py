"""Some seeds of the world of streams; `python -m tests.simulation --world streams` runs others."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.simulation.stream_world import StreamWorld

STEPS = 250
SEEN = ("acknowledged", "failed", "deliveries", "pushes")


@pytest.mark.parametrize("seed", range(1, 13))
async def test_no_promise_is_broken(seed):
    world = StreamWorld(seed)
    await world.run(STEPS)
    assert world.acknowledged > 0 and world.deliveries > 0


async def test_a_seed_replays_exactly():
    traces = []
    for _ in range(2):
        world = StreamWorld(4)
        await world.run(STEPS)
        traces.append(world.trace)
    assert traces[0] == traces[1]


async def test_every_kind_of_step_and_fault_happens():
    counts: Counter[str] = Counter()
    for seed in range(1, 5):
        world = StreamWorld(seed)
        await world.run(STEPS)
        counts.update(world.counts)
        counts.update({f"{name} (seen)": getattr(world, name) for name in SEEN})
    assert all(counts.values()), counts
