"""Timers on the injected clock: the event loop's where the clock is the real one, the clock's own
where it is manual.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol, final

from eventcore.clock import Clock, SchedulingClock, TimerHandle

__all__ = ["LoopTimers", "Timers", "timers_for"]


class Timers(Protocol):
    """Calls back at a time of the clock."""

    def call_at(self, deadline_ms: int, callback: Callable[[], object]) -> TimerHandle:
        """Calls `callback` once, at `deadline_ms` or soon after; at once (but not from within) if
        that is past.
        """
        ...


@final
class LoopTimers:
    """The running event loop's timers. A timer may fire a millisecond early; who asks looks at the
    clock again.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def call_at(self, deadline_ms: int, callback: Callable[[], object]) -> TimerHandle:
        """See Timers."""
        loop = asyncio.get_running_loop()
        return loop.call_later(max(0, deadline_ms - self._clock.now_ms()) / 1000, callback)


def timers_for(clock: Clock) -> Timers:
    """The timers that go with a clock."""
    return clock if isinstance(clock, SchedulingClock) else LoopTimers(clock)
