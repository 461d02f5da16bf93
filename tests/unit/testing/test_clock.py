"""Timers of a manual clock fire when due, in order, each at its own time."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest

from eventcore.clock import SchedulingClock
from eventcore.testing import ManualClock


def test_it_is_a_scheduling_clock() -> None:
    assert isinstance(ManualClock(), SchedulingClock)


def test_time_stands_still_until_moved() -> None:
    clock = ManualClock(1_000)
    assert clock.now_ms() == 1_000
    clock.advance(14 * 86_400_000)
    assert clock.now_ms() == 1_000 + 14 * 86_400_000


def test_timers_fire_in_order_of_deadline_then_of_age_and_see_their_own_deadline() -> None:
    clock = ManualClock(0)
    fired: list[tuple[str, int]] = []

    def note(name: str) -> None:
        fired.append((name, clock.now_ms()))

    for name, deadline in (("late", 30), ("first", 10), ("second", 10), ("never", 31)):
        clock.call_at(deadline, partial(note, name))
    clock.advance_to(9)
    assert fired == []
    clock.advance_to(30)
    assert fired == [("first", 10), ("second", 10), ("late", 30)]
    assert clock.next_deadline() == 31


def test_timer_set_by_a_timer_fires_in_the_same_advance_when_due() -> None:
    clock = ManualClock(0)
    fired: list[int] = []

    def again() -> None:
        fired.append(clock.now_ms())
        clock.call_at(clock.now_ms() + 10, again)

    clock.call_at(10, again)
    clock.advance(35)
    assert fired == [10, 20, 30]
    assert clock.now_ms() == 35


def test_deadline_in_the_past_fires_at_the_next_move_without_turning_time_back() -> None:
    clock = ManualClock(100)
    fired: list[int] = []
    clock.call_at(50, lambda: fired.append(clock.now_ms()))
    assert fired == []
    clock.advance(0)
    assert fired == [100]


def test_cancelled_timer_never_fires_and_cancelling_late_is_harmless() -> None:
    clock = ManualClock(0)
    fired: list[int] = []
    cancelled = clock.call_at(10, lambda: fired.append(1))
    kept = clock.call_at(20, lambda: fired.append(2))
    cancelled.cancel()
    assert clock.next_deadline() == 20
    clock.advance(20)
    kept.cancel()
    assert fired == [2]
    assert clock.next_deadline() is None


def test_clock_refuses_to_run_backwards() -> None:
    clock = ManualClock(100)
    with pytest.raises(ValueError, match="backwards"):
        clock.advance_to(99)
    assert clock.now_ms() == 100


def test_run_for_lets_tasks_react_between_timers() -> None:
    async def scenario() -> list[int]:
        clock = ManualClock(0)
        seen: list[int] = []

        async def worker() -> None:
            for _ in range(3):
                woken = asyncio.Event()
                clock.call_at(clock.now_ms() + 10, woken.set)
                await woken.wait()
                seen.append(clock.now_ms())

        task = asyncio.create_task(worker())
        await clock.run_for(100)
        await task
        assert clock.now_ms() == 100
        return seen

    assert asyncio.run(scenario()) == [10, 20, 30]
