"""A clock that stands still until a test moves it: 14 days pass in a millisecond.

Timers fire in the order of their deadlines, those of one deadline in the order in which they were
set. While a timer runs, the clock shows its deadline; a timer set by a timer fires in the same
`advance` when it is due in it.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable
from typing import Final, final

from eventcore.clock import TimerHandle

__all__ = ["ManualClock"]

START_MS: Final = 1_700_000_000_000
"""Where a manual clock starts: 14 November 2023, 22:13:20 UTC."""
LOOP_TURNS: Final = 20
"""Turns of the event loop that `run_for` gives to tasks after each timer."""


@final
class _Timer:
    """One pending call. Ordered by deadline, then by age."""

    __slots__ = ("_age", "callback", "deadline_ms")

    def __init__(self, deadline_ms: int, age: int, callback: Callable[[], object]) -> None:
        self.deadline_ms = deadline_ms
        self._age = age
        self.callback: Callable[[], object] | None = callback

    def __lt__(self, other: _Timer) -> bool:
        return (self.deadline_ms, self._age) < (other.deadline_ms, other._age)

    def cancel(self) -> None:
        self.callback = None


@final
class ManualClock:
    """A `SchedulingClock` whose time is what the test says."""

    def __init__(self, now_ms: int = START_MS) -> None:
        self._now_ms = now_ms
        self._timers: list[_Timer] = []
        self._set = 0

    def now_ms(self) -> int:
        """Milliseconds since the epoch; changes in `advance`, `advance_to` and `run_for` only."""
        return self._now_ms

    def call_at(self, deadline_ms: int, callback: Callable[[], object]) -> TimerHandle:
        """Calls `callback` once when the clock reaches `deadline_ms`.

        A deadline that has passed fires at the next move of the clock, even one by 0 ms.
        """
        self._set += 1
        timer = _Timer(deadline_ms, self._set, callback)
        heapq.heappush(self._timers, timer)
        return timer

    def next_deadline(self) -> int | None:
        """When the next timer fires, in epoch ms; None when there is none."""
        timers = self._timers
        while timers and timers[0].callback is None:
            heapq.heappop(timers)
        return timers[0].deadline_ms if timers else None

    def advance(self, duration_ms: int) -> None:
        """Moves the clock on by `duration_ms`, 0 or more, and fires what falls due."""
        self.advance_to(self._now_ms + duration_ms)

    def advance_to(self, target_ms: int) -> None:
        """Moves the clock on to `target_ms`, never back, and fires what falls due on the way."""
        self._check_forward(target_ms)
        while self._fire_next(target_ms):
            pass
        self._now_ms = target_ms

    async def run_for(self, duration_ms: int, *, loop_turns: int = LOOP_TURNS) -> None:
        """Like `advance`, but lets tasks react before the first timer, after each, and at the end.

        It gives them `loop_turns` turns of the event loop each time; what waits for real I/O needs
        real time.
        """
        target_ms = self._now_ms + duration_ms
        self._check_forward(target_ms)
        await _turn(loop_turns)
        while self._fire_next(target_ms):
            await _turn(loop_turns)
        self._now_ms = max(self._now_ms, target_ms)
        await _turn(loop_turns)

    def _check_forward(self, target_ms: int) -> None:
        if target_ms < self._now_ms:
            raise ValueError(f"a clock never runs backwards ({self._now_ms} to {target_ms})")

    def _fire_next(self, target_ms: int) -> bool:
        deadline_ms = self.next_deadline()
        if deadline_ms is None or deadline_ms > target_ms:
            return False
        timer = heapq.heappop(self._timers)
        callback, timer.callback = timer.callback, None
        self._now_ms = max(self._now_ms, deadline_ms)
        assert callback is not None, "next_deadline removed the cancelled timers"
        callback()
        return True


async def _turn(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)
