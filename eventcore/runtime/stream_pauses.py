"""Waiting on the injected clock, for the workers of streams."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import final

from eventcore.clock import Clock
from eventcore.runtime.timers import timers_for

__all__ = ["Pauses", "Signal"]


@final
class Signal:
    """Something that can be said to one who waits for it, or will. Saying it twice is saying it
    once.
    """

    def __init__(self) -> None:
        self._is_set = False
        self._wake: Callable[[], None] | None = None

    def set(self) -> None:
        """Says it."""
        self._is_set = True
        if self._wake is not None:
            self._wake()

    def take(self) -> bool:
        """Whether it was said since the last take."""
        was_set, self._is_set = self._is_set, False
        return was_set

    def listen(self, wake: Callable[[], None] | None) -> None:
        """Who is to be told at once; None for nobody."""
        self._wake = wake


@final
class Pauses:
    """The injected clock, with pauses."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._timers = timers_for(clock)

    def now_ms(self) -> int:
        """The time."""
        return self._clock.now_ms()

    async def sleep(self, duration_ms: int, signal: Signal | None = None) -> bool:
        """Waits; a signal ends it early. Whether it did."""
        if signal is not None and signal.take():
            return True
        over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def wake() -> None:
            if not over.done():
                over.set_result(None)

        timer = self._timers.call_at(self._clock.now_ms() + max(0, duration_ms), wake)
        if signal is not None:
            signal.listen(wake)
        try:
            await over
        finally:
            timer.cancel()
            if signal is not None:
                signal.listen(None)
        return signal is not None and signal.take()
