"""Long polls: who waits for messages, in the order in which they came. The only place where
anything waits for arrivals.

Rules: the first to wait is the first to be served. A waiter is woken by an arrival or by its
deadline, never by looking again and again; idle waiters cost memory only. One timer serves all
deadlines.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Final, final

from eventcore import limits
from eventcore.clock import Clock, TimerHandle
from eventcore.errors import LimitExceeded
from eventcore.queues.deadlines import NEVER, Deadlines
from eventcore.queues.queue_spec import ReceiveRequest
from eventcore.runtime.timers import Timers

__all__ = ["Waiter", "Waiters"]

EXPIRE_SLICE: Final = 1_000


@final
class Waiter:
    """One long poll. `serve(request)` tries to answer it and says whether it did; `expire()`
    answers it empty.
    """

    __slots__ = ("_waiters", "arn", "expire", "number", "request", "serve")

    def __init__(
        self,
        waiters: Waiters,
        number: int,
        arn: str,
        request: ReceiveRequest,
        serve: Callable[[], bool],
        expire: Callable[[], None],
    ) -> None:
        self._waiters = waiters
        self.number = number
        self.arn = arn
        self.request = request
        self.serve = serve
        self.expire = expire

    @property
    def is_waiting(self) -> bool:
        """Whether it was neither answered nor cancelled."""
        return self._waiters.holds(self)

    def cancel(self) -> None:
        """Takes the long poll back: it is never answered. Does nothing when it was answered
        already.
        """
        self._waiters.remove(self)


@final
class Waiters:
    """All long polls of a broker, by the ARN of the queue they wait for."""

    def __init__(self, clock: Clock, timers: Timers, on_watch: Callable[[str, bool], None]) -> None:
        """`on_watch(arn, is_waited_for)` is told when the first waiter of a queue comes and when
        the last one goes.
        """
        self._clock = clock
        self._timers = timers
        self._on_watch = on_watch
        self._by_arn: dict[str, OrderedDict[int, Waiter]] = {}
        self._all: dict[int, Waiter] = {}
        self._deadlines = Deadlines()
        self._next_number = 0
        self._timer: TimerHandle | None = None
        self._timer_ms = NEVER

    def __len__(self) -> int:
        return len(self._all)

    def holds(self, waiter: Waiter) -> bool:
        """Whether this waiter still waits."""
        return waiter.number in self._all

    def is_waited_for(self, arn: str) -> bool:
        """Whether anybody waits for this queue."""
        return arn in self._by_arn

    def add(
        self,
        arn: str,
        request: ReceiveRequest,
        wait_ms: int,
        serve: Callable[[], bool],
        expire: Callable[[], None],
    ) -> Waiter:
        """Puts a long poll at the end of its queue's line. Raises LimitExceeded("waiters_max")."""
        if len(self._all) >= limits.WAITERS_MAX:
            raise LimitExceeded("waiters_max", limits.WAITERS_MAX)
        number = self._next_number
        self._next_number += 1
        waiter = Waiter(self, number, arn, request, serve, expire)
        line = self._by_arn.get(arn)
        if line is None:
            line = self._by_arn[arn] = OrderedDict()
            self._on_watch(arn, True)
        line[number] = waiter
        self._all[number] = waiter
        deadline_ms = self._clock.now_ms() + wait_ms
        self._deadlines.add(number, deadline_ms, wait_ms)
        if deadline_ms < self._timer_ms:
            self._set_timer(deadline_ms)
        return waiter

    def remove(self, waiter: Waiter) -> None:
        """Takes a long poll out of its line."""
        if self._all.pop(waiter.number, None) is None:
            return
        if self._deadlines.deadline(waiter.number) is not None:
            self._deadlines.remove(waiter.number)
        line = self._by_arn[waiter.arn]
        del line[waiter.number]
        if not line:
            del self._by_arn[waiter.arn]
            self._on_watch(waiter.arn, False)

    def wake(self, arn: str, has_ready: Callable[[], bool]) -> None:
        """Serves the line of a queue from its head, as long as there is something for it."""
        while (line := self._by_arn.get(arn)) and has_ready():
            waiter = next(iter(line.values()))
            if not waiter.serve():
                return
            self.remove(waiter)

    def expire_all(self, arn: str) -> None:
        """Answers every long poll of a queue empty (it was deleted)."""
        for waiter in list(self._by_arn.get(arn, {}).values()):
            self.remove(waiter)
            waiter.expire()

    def close(self) -> None:
        """Answers every long poll empty: shutdown drains."""
        for waiter in list(self._all.values()):
            self.remove(waiter)
            waiter.expire()
        if self._timer is not None:
            self._timer.cancel()
            self._timer, self._timer_ms = None, NEVER

    def _set_timer(self, deadline_ms: int) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_ms = deadline_ms
        self._timer = self._timers.call_at(deadline_ms, self._on_timer)

    def _on_timer(self) -> None:
        self._timer, self._timer_ms = None, NEVER
        for number in self._deadlines.pop_due(self._clock.now_ms(), EXPIRE_SLICE):
            waiter = self._all.get(number)
            if waiter is not None:  # the end of one may have cancelled another
                self.remove(waiter)
                waiter.expire()
        if self._deadlines.earliest_ms < NEVER:
            self._set_timer(self._deadlines.earliest_ms)
