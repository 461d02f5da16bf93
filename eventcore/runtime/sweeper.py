"""Trims the rows that deleted resources left behind, in slices, so that no commit ever has a
million deletions in it.

A slice is measured, then deleted as one range in an ordinary batch; the next one follows when that
is durable. It is bounded in rows and in the bytes of their values, which are not read. Hot rows go
first, then log rows: what a crash in between leaves behind never comes back as a machine. When a
component is empty and its name's cool-down is over, the directory forgets it. A crash in between
starts it over.
"""

from __future__ import annotations

from typing import Final, Protocol, final

from eventcore.clock import Clock, TimerHandle
from eventcore.errors import BrokerClosed, StoreError
from eventcore.outcome import LOG_KEY_FIRST, Outcome, Trim
from eventcore.resources.directory import Directory
from eventcore.runtime.telemetry import logger_of
from eventcore.runtime.timers import Timers
from eventcore.stores.base import Store

__all__ = ["Sweeper"]

SLICE_ROWS: Final = 1_000
SLICE_BYTES: Final = 2 * 1024 * 1024
"""One row more than that at the most. A slice keeps other commits waiting: some 10 ms, 50 at the
worst, where rows of 3 KB lie far from each other.
"""
PAUSE_MS: Final = 5
COOL_DOWN_PAUSE_MS: Final = 1_000
RANGES: Final = ((0, LOG_KEY_FIRST - 1), (LOG_KEY_FIRST, (1 << 63) - 1))

log = logger_of("eventcore.sweeper")


class SweepHost(Protocol):
    """What the sweeper needs of the host."""

    def mark(self) -> int:
        """A number that stands for everything staged so far."""
        ...

    def has_reached(self, mark: int) -> bool:
        """Whether all that a mark stands for is durable."""
        ...

    def begin(self) -> int:
        """See Host.begin."""
        ...

    def stage_trim(self, component: int, trim: Trim) -> None:
        """Adds a range deletion to the open batch."""
        ...

    def run(self, machine: Directory, outcome: Outcome[None]) -> None:
        """See Host.run."""
        ...


@final
class Sweeper:
    """Works on one retired component at a time, on a timer. What was staged before a slice is read
    is durable by then, so rows that are not found are not there.
    """

    def __init__(self, host: SweepHost, store: Store, clock: Clock, timers: Timers) -> None:
        self._host = host
        self._store = store
        self._clock = clock
        self._timers = timers
        self._timer: TimerHandle | None = None
        self._directory: Directory | None = None
        self._mark = 0

    def start(self, directory: Directory) -> None:
        """Goes to work if the directory has anything retired. Call after each load, which makes a
        new directory and has ended the work, and after each deletion.
        """
        self._directory = directory
        self._mark = self._host.mark()
        if self._timer is None and directory.retired():
            self._set_timer(PAUSE_MS)

    def stop(self) -> None:
        """Ends the work; the next start goes on where it was."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _set_timer(self, pause_ms: int) -> None:
        self._timer = self._timers.call_at(self._clock.now_ms() + pause_ms, self._step)

    def _step(self) -> None:
        self._timer = None
        directory = self._directory
        if directory is None:
            return
        pause_ms = PAUSE_MS
        if self._host.has_reached(self._mark):
            try:
                now_ms = self._host.begin()
            except BrokerClosed:
                return
            except StoreError:  # overloaded; or reloading, after which `start` is called again
                pause_ms = COOL_DOWN_PAUSE_MS
            else:
                try:
                    pause_ms = self._sweep(directory, now_ms)
                except StoreError as error:
                    log.warning("sweep_failed", error=str(error))
                    pause_ms = COOL_DOWN_PAUSE_MS
                self._mark = self._host.mark()
        if directory.retired():
            self._set_timer(pause_ms)

    def _sweep(self, directory: Directory, now_ms: int) -> int:
        for component, record in directory.retired():
            trim = self._next_slice(component)
            if trim is not None:
                self._host.stage_trim(component, trim)
                return PAUSE_MS
            if directory.is_forgettable(record, now_ms):
                self._host.run(directory, directory.forget(component))
        return COOL_DOWN_PAUSE_MS

    def _next_slice(self, component: int) -> Trim | None:
        """None when the component has no row left."""
        for first_key, last_key in RANGES:
            rows = self._store.measure(component, first_key, last_key, SLICE_ROWS)
            left = SLICE_BYTES
            for key, value_bytes in rows:
                left -= value_bytes
                if left <= 0 or key == rows[-1][0]:
                    return Trim(rows[0][0], key)
        return None
