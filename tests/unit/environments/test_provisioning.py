"""How many environments are kept, and what happens when one cannot be."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from eventcore.environments import provisioning
from eventcore.environments.provisioning import Provisioning
from eventcore.functions.function_spec import FunctionConfig
from eventcore.functions.invocation import FailedInvocation

A = ("arn:a", "1")
B = ("arn:b", "1")
CONFIG = FunctionConfig()


class World:
    """Starts succeed while `failures` is 0."""

    def __init__(self) -> None:
        self.ready = {A: 0, B: 0}
        self.failures = 0
        self.starts = 0
        self.provisioning = Provisioning(self.start, lambda version: self.ready[version])

    async def start(self, version: tuple[str, str], config: FunctionConfig) -> bool:
        assert config is CONFIG
        await asyncio.sleep(0)
        self.starts += 1
        if self.failures:
            self.failures -= 1
            if self.failures % 2:
                raise FailedInvocation("no process")
            return False
        self.ready[version] += 1
        return True

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(30):
            while not condition():
                await asyncio.sleep(0)


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provisioning, "PAUSE_S_FIRST", 0)


async def test_what_is_missing_is_started_and_no_more() -> None:
    world = World()
    await world.provisioning.provide(A, CONFIG, 3)
    assert (world.ready[A], world.starts) == (3, 3)
    await world.provisioning.provide(A, CONFIG, 2)
    assert world.starts == 3
    assert (world.provisioning.wanted(A), world.provisioning.wanted(B)) == (2, 0)
    await world.provisioning.provide(B, CONFIG, 1)
    assert world.provisioning.wanted_in_all == 3
    world.provisioning.close()


async def test_one_that_ended_is_replaced_until_nothing_is_wanted() -> None:
    world = World()
    await world.provisioning.provide(A, CONFIG, 2)
    world.ready[A] -= 1
    world.provisioning.look_after(A)
    await world.until(lambda: world.ready[A] == 2)
    await world.provisioning.provide(A, CONFIG, 0)
    world.ready[A] = 0
    world.provisioning.look_after(A)
    await asyncio.sleep(0)
    assert (world.ready[A], world.starts) == (0, 3)


async def test_a_failure_is_told_and_tried_again() -> None:
    world = World()
    world.failures = 5
    await world.provisioning.provide(A, CONFIG, 2)
    assert world.ready[A] == 0
    await world.until(lambda: world.ready[A] == 2)
    assert world.starts == 7
    world.provisioning.close()


async def test_the_function_is_blamed_for_its_own_failures_until_a_start_succeeds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(provisioning, "PAUSE_S_FIRST", 3_600)
    world = World()
    for failures, is_blamed in ((1, True), (2, False), (0, False)):
        world.failures = failures  # an even number begins with what no function is to blame for
        await world.provisioning.provide(A, CONFIG, 1)
        assert world.provisioning.has_failed(A) is is_blamed
    assert not world.provisioning.has_failed(B)
    world.provisioning.close()


async def test_pauses_double_up_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    paused: list[float] = []

    async def pause(target: object, seconds: float) -> None:
        paused.append(seconds)

    world = World()
    world.failures = 9
    monkeypatch.setattr(provisioning, "PAUSE_S_FIRST", 1.0)
    monkeypatch.setattr("eventcore.environments.provisioning._Target.pause", pause)
    await world.provisioning.provide(A, CONFIG, 1)
    await world.until(lambda: world.ready[A] == 1)
    assert paused == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    world.provisioning.close()


async def test_a_new_target_does_not_wait_for_the_pause_of_the_last(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(provisioning, "PAUSE_S_FIRST", 3_600)
    world = World()
    world.failures = 1
    await world.provisioning.provide(A, CONFIG, 1)
    async with asyncio.timeout(30):
        await world.provisioning.provide(A, CONFIG, 1)
    assert world.ready[A] == 1
    world.provisioning.close()


async def test_a_deleted_function_and_a_closed_pool_start_nothing() -> None:
    world = World()
    world.failures = 1_000_000
    waiting = asyncio.create_task(world.provisioning.provide(A, CONFIG, 1))
    await waiting
    world.provisioning.forget("arn:a")
    assert world.provisioning.wanted(A) == 0
    await world.provisioning.provide(B, CONFIG, 1)
    world.provisioning.close()
    starts = world.starts
    world.provisioning.look_after(B)
    await asyncio.sleep(0)
    assert world.starts == starts
