"""Consumer groups in seeded worlds; a seed that fails replays exactly."""

from __future__ import annotations

import pytest

from tests.simulation.consumer_world import ConsumerWorld


@pytest.mark.parametrize("seed", range(25))
async def test_nothing_is_lost_and_order_is_kept(seed: int):
    world = ConsumerWorld(seed)
    await world.run(steps=150)
    assert world.acknowledged <= set(world.handled)
