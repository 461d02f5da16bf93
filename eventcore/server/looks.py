"""Looking through a side door: reading from the engine in slices, and the way back of the answer.

Rules of this file:

- A look is a generator that changes nothing. Each `yield` ends a slice, which is a request of its
  own (`engine.begin` to `engine.hold`); the event loop has its turn before the next. So a look into
  a large queue keeps nobody waiting, and what a slice saw is durable before the next one begins:
  nothing is told that can vanish.
- Machines may be other objects in the next slice, as in the next request: they are looked up again.
- At most DOORS_RUNNING_MAX long looks run at a time, first come first served: their answers are
  what takes memory. Short ones do not wait for them. DOORS_WAITING_MAX wait; more are refused.
- Nothing is raised. Every request is answered exactly once: by the look, by the error it raised,
  or, for a bug, with 500 while the traceback goes to the log. A client that is gone ends the look.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Generator
from typing import NamedTuple, final

from eventcore import limits
from eventcore.api.dispatch import OnBug
from eventcore.api.operation import ErrorMap, to_fault
from eventcore.errors import EventcoreError
from eventcore.runtime.engine import Engine
from eventcore.wire.fault import Fault, internal_failure, service_unavailable
from eventcore.wire.http import Exchange

__all__ = ["Answer", "Look", "Looks", "Visit"]


class Answer(NamedTuple):
    """An HTTP answer; `head` is header lines, each ending in CRLF."""

    status: int
    head: bytes
    body: bytes


Look = Generator[None, None, Answer]
"""A look's slices, and its answer."""


class Visit(NamedTuple):
    """A look that is wanted, and how its errors are told. `is_long` is for looks whose answers may
    be large.
    """

    look: Look
    errors: ErrorMap
    write_fault: Callable[[Fault], Answer]
    is_long: bool


@final
class Looks:
    """Runs the looks into one engine. Belongs to the event loop's thread."""

    def __init__(self, engine: Engine, on_bug: OnBug) -> None:
        self._engine = engine
        self._on_bug = on_bug
        self._running = 0
        self._waiting: deque[_RunningLook] = deque()

    def start(self, visit: Visit, exchange: Exchange, request_id: str) -> None:
        """Begins a look, or puts it in line; it answers the exchange at its end."""
        leave = self._leave if visit.is_long else _nothing
        look = _RunningLook(self._engine, visit, exchange, request_id, self._on_bug, leave)
        exchange.on_disconnect = look.cancel
        if not visit.is_long:
            look.advance()
        elif self._running < limits.DOORS_RUNNING_MAX:
            self._running += 1
            look.is_in = True
            look.advance()
        elif len(self._waiting) < limits.DOORS_WAITING_MAX:
            self._waiting.append(look)
        else:
            look.refuse(service_unavailable("Too many looks are waiting for their turn."))

    def _leave(self, look: _RunningLook) -> None:
        """Lets the next one in. One that gives up in line makes room in it."""
        if not look.is_in:
            if look in self._waiting:
                self._waiting.remove(look)
            return
        self._running -= 1
        if self._waiting:
            following = self._waiting.popleft()
            self._running += 1
            following.is_in = True
            asyncio.get_running_loop().call_soon(following.advance)


@final
class _RunningLook:
    """One look on its way; the `Reply` of each of its slices."""

    def __init__(
        self,
        engine: Engine,
        visit: Visit,
        exchange: Exchange,
        request_id: str,
        on_bug: OnBug,
        leave: Callable[[_RunningLook], None],
    ) -> None:
        self.is_in = False
        self.is_over = False
        self._engine = engine
        self._visit = visit
        self._exchange = exchange
        self._request_id = request_id
        self._on_bug = on_bug
        self._leave = leave

    def advance(self) -> None:
        """Runs the next slice."""
        if self.is_over:
            return
        engine = self._engine
        answer: Answer | None = None
        try:
            engine.begin()
        except EventcoreError as error:
            self._end(self._refusal(error))
            return
        try:
            next(self._visit.look)
        except StopIteration as end:
            answer = end.value
        except Fault as fault:
            answer = self._refusal(fault)
        except EventcoreError as error:
            engine.look_at_everything()  # nobody noted which state was its reason
            answer = self._refusal(error)
        except Exception as bug:  # noqa: BLE001  (a door never raises)
            self._on_bug(bug, self._request_id)
            self.refuse(internal_failure())
            return
        engine.hold(self, answer)

    def commit(self, payload: Answer | None) -> None:
        """The host's: all that the slice saw is durable."""
        if payload is not None:
            self._end(payload)
        elif not self.is_over:
            asyncio.get_running_loop().call_soon(self.advance)

    def fail(self, error: EventcoreError) -> None:
        """The host's: what the slice saw may have vanished."""
        self._end(self._refusal(error))

    def refuse(self, fault: Fault) -> None:
        """Ends it with an error, not waiting for anything: it saw nothing of the engine's state."""
        self._end(self._visit.write_fault(fault))

    def cancel(self) -> None:
        """The client is gone, or the time for draining is over."""
        if not self.is_over:
            self.is_over = True
            self._visit.look.close()
            self._leave(self)

    def _end(self, answer: Answer) -> None:
        if not self.is_over:
            self.is_over = True
            self._visit.look.close()
            self._exchange.reply(*answer)
            self._leave(self)

    def _refusal(self, error: EventcoreError | Fault) -> Answer:
        fault = error if isinstance(error, Fault) else to_fault(self._visit.errors, error)
        if fault is None:
            self._on_bug(error, self._request_id)
            fault = internal_failure()
        return self._visit.write_fault(fault)


def _nothing(look: _RunningLook) -> None:
    pass
