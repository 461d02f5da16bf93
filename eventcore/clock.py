"""Time is one integer: milliseconds since the Unix epoch, from a clock that never runs backwards.

Machines never see a clock: `now_ms` is an argument of every command. The runtime holds one `Clock`,
injected, so that tests and simulation run on `eventcore.testing.ManualClock` and let 14 days pass
in a millisecond.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol, final, runtime_checkable

__all__ = ["Clock", "SchedulingClock", "SystemClock", "TimerHandle"]


class Clock(Protocol):
    """What the runtime asks for the time."""

    def now_ms(self) -> int:
        """Milliseconds since the epoch; never less than an earlier answer."""
        ...


class TimerHandle(Protocol):
    """A timer that can be called off."""

    def cancel(self) -> None:
        """Calls the timer off; does nothing when it has fired already."""
        ...


@runtime_checkable
class SchedulingClock(Clock, Protocol):
    """A clock that runs its own timers (a manual clock). With any other, the runtime uses the event
    loop's timers.
    """

    def call_at(self, deadline_ms: int, callback: Callable[[], object]) -> TimerHandle:
        """Calls `callback` once, as soon as `now_ms() >= deadline_ms`."""
        ...


@final
class SystemClock:
    """The machine's wall clock, held still while the machine's clock is set back."""

    def __init__(self) -> None:
        self._latest_ms = 0

    def now_ms(self) -> int:
        """Milliseconds since the epoch; never less than an earlier answer of this object."""
        now_ms = time.time_ns() // 1_000_000
        if now_ms > self._latest_ms:
            self._latest_ms = now_ms
        return self._latest_ms
