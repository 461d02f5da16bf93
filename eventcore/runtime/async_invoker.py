"""Asynchronous invocations: takes what waits in functions' queues, invokes, and tells the machine
what became of it.

Rules of this file:

- It acts on durable facts only: an event is handed out after the commit of all that it tells. One
  whose end was not reported when the process ends is invoked again: at least once.
- One lane per function, with at most EVENTS_RUNNING_MAX events at a time, and no more than the
  function's reserved concurrency; it sleeps until it is
  woken by a commit, a due retry, or a freed place. A function that nobody can run now has none.
- Every event's end is reported until the engine has taken it. Success, failure, throttling and
  loops are different ends, and the machine decides what each means.
- `drain` hands out nothing more, lets invocations end within its time, stops the rest and gives
  those events back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, TypeVar, final

from eventcore.errors import (
    BrokerClosed,
    EventcoreError,
    NotFound,
    RecursiveInvocation,
    StoreError,
    Throttled,
)
from eventcore.functions.async_events import AsyncAttempt, AsyncEvent, decode_async_event
from eventcore.functions.function import Function
from eventcore.functions.invocation import (
    UNHANDLED,
    FailedInvocation,
    InvocationResult,
    Payload,
    error_payload,
)
from eventcore.outcome import Outcome
from eventcore.runtime.telemetry import logger_of

if TYPE_CHECKING:
    from eventcore.runtime.engine import Engine
    from eventcore.runtime.functions import Functions

__all__ = ["EVENTS_RUNNING_MAX", "AsyncInvoker"]

T = TypeVar("T")
EVENTS_RUNNING_MAX: Final = 64
PAUSE_MS_FIRST: Final = 50
PAUSE_MS_MAX: Final = 2_000

log = logger_of("eventcore.functions")


@final
class AsyncInvoker:
    """The asynchronous invocations of one engine."""

    def __init__(self, engine: Engine, functions: Functions) -> None:
        self._engine = engine
        self._functions = functions
        self._lanes: dict[str, _Lane] = {}
        self._is_draining = False

    def wake(self, arn: str) -> None:
        """There may be something to invoke this function with. Never waits."""
        if self._is_draining:
            return
        lane = self._lanes.get(arn)
        if lane is None:
            function = self._engine.find(arn)
            if not isinstance(function, Function) or not function.has_ready:
                return
            if not self._functions.is_runnable(function):
                return
            lane = self._lanes[arn] = _Lane(arn, self._engine, self._functions, self._ended)
        lane.wake()

    def _ended(self, lane: _Lane) -> None:
        if self._lanes.get(lane.arn) is lane:
            del self._lanes[lane.arn]

    async def pause(self, arn: str, timeout_ms: int) -> None:
        """Ends what runs of one function, as `drain` does; it goes on when it is woken again."""
        lane = self._lanes.pop(arn, None)
        if lane is not None:
            await lane.drain(timeout_ms)

    async def drain(self, timeout_ms: int) -> None:
        """Ends; see the module's text."""
        self._is_draining = True
        lanes = list(self._lanes.values())
        if lanes:
            await asyncio.gather(*(lane.drain(timeout_ms) for lane in lanes))


@final
class _Lane:
    """One function's events. It ends by itself when there is nothing to do."""

    def __init__(
        self,
        arn: str,
        engine: Engine,
        functions: Functions,
        on_end: Callable[[_Lane], None],
    ) -> None:
        self.arn = arn
        self._engine = engine
        self._functions = functions
        self._on_end = on_end
        self._is_woken = asyncio.Event()
        self._running: dict[asyncio.Task[None], AsyncAttempt] = {}
        self._untold: dict[asyncio.Task[None], str] = {}
        """The request ids of those whose end the machine does not know yet."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    def wake(self) -> None:
        self._is_woken.set()

    async def _run(self) -> None:
        try:
            while self._running or self._is_woken.is_set():
                await self._is_woken.wait()
                self._is_woken.clear()
                await self._hand_out()
        except BrokerClosed:
            pass
        except Exception:
            log.exception("async_lane_failed", function=self.arn)  # the next wake makes a new one
        finally:
            self._on_end(self)

    async def _hand_out(self) -> None:
        pause_ms = PAUSE_MS_FIRST
        while (free := EVENTS_RUNNING_MAX - len(self._running)) > 0:
            try:
                attempts = await self._due(free)
            except StoreError:
                await self._engine.sleep(pause_ms)
                pause_ms = min(2 * pause_ms, PAUSE_MS_MAX)
                continue
            if not attempts:
                return
            for attempt, event in attempts:
                if attempt.request_id in self._untold.values():
                    continue  # all was loaded anew meanwhile
                task = asyncio.get_running_loop().create_task(self._serve(attempt, event))
                self._running[task] = attempt
                self._untold[task] = attempt.request_id
                task.add_done_callback(self._served)

    async def _due(self, limit: int) -> list[tuple[AsyncAttempt, AsyncEvent]]:
        engine = self._engine
        engine.begin()
        function = engine.find(self.arn)
        if not isinstance(function, Function) or not self._functions.is_runnable(function):
            return []
        if function.record.reserved is not None:  # more would only be throttled, and wait
            limit = min(limit, max(function.record.reserved, 1) - len(self._running))
            if limit <= 0:
                return []
        attempts = engine.run(function, function.due(engine.now_ms(), limit))
        found = [(attempt, self._event_of(function, attempt)) for attempt in attempts]
        barrier = engine.barrier()
        try:
            if barrier is not None:
                await barrier
        except asyncio.CancelledError:
            for attempt in attempts:
                self._release(attempt)
            raise
        return found

    def _event_of(self, function: Function, attempt: AsyncAttempt) -> AsyncEvent:
        if attempt.event is not None:
            return attempt.event
        host = self._engine.host
        return decode_async_event(host.read_or_fail(host.seat_of(function), attempt.key))

    def _served(self, task: asyncio.Task[None]) -> None:
        self._running.pop(task, None)
        self._untold.pop(task, None)
        self._is_woken.set()
        if not task.cancelled() and task.exception() is not None:
            log.error("event_not_reported", function=self.arn, error=str(task.exception()))

    # One event

    async def _serve(self, attempt: AsyncAttempt, event: AsyncEvent) -> None:
        try:
            await self._attempt(attempt, event)
        except Exception:  # a fault of ours must not keep an event from being tried again
            log.exception("event_not_served", function=self.arn, request=attempt.request_id)
            await self._report(lambda f, now_ms: f.throttle(attempt, now_ms))

    async def _attempt(self, attempt: AsyncAttempt, event: AsyncEvent) -> None:
        condition = attempt.condition
        if condition is not None:  # it ends, and the machine did not have its payload at hand
            await self._report(lambda f, now_ms: f.discard(attempt, event, condition, now_ms))
            return
        try:
            result = await self._functions.invoke(
                self.arn,
                Payload(event.payload.encode()),
                qualifier=event.qualifier,
                trace_header=event.trace_header,
                client_context=event.client_context,
                request_id=attempt.request_id,
            )
        except (Throttled, FailedInvocation, StoreError) as error:
            log.debug("event_put_off", function=self.arn, error=str(error))
            await self._report(lambda f, now_ms: f.throttle(attempt, now_ms))
        except RecursiveInvocation:
            log.warning("recursive_loop_stopped", function=self.arn, request=attempt.request_id)
            await self._report(
                lambda f, now_ms: f.discard(attempt, event, "RecursiveInvocation", now_ms)
            )
        except BrokerClosed:
            return  # invoked again after the next start
        except NotFound as error:
            await self._report_end(attempt, event, _refused("ResourceNotFound", error))
        except EventcoreError as error:
            await self._report_end(attempt, event, _refused(type(error).__name__, error))
        else:
            await self._report_end(attempt, event, result)

    async def _report_end(
        self, attempt: AsyncAttempt, event: AsyncEvent, result: InvocationResult
    ) -> None:
        if result.error is None:
            await self._report(lambda f, now_ms: f.succeed(attempt, event, result, now_ms))
        else:
            await self._report(lambda f, now_ms: f.fail(attempt, event, result, now_ms))

    async def _report(self, command: Callable[[Function, int], Outcome[T]]) -> None:
        pause_ms = PAUSE_MS_FIRST
        engine = self._engine
        task = asyncio.current_task()
        assert task is not None
        while True:
            try:
                engine.begin()
                function = engine.find(self.arn)
                if not isinstance(function, Function):
                    return  # deleted meanwhile, its events with it
                engine.run(function, command(function, engine.now_ms()))
                self._untold.pop(task, None)
                barrier = engine.barrier()
                if barrier is not None:
                    await barrier
            except StoreError as error:
                log.warning("event_report_delayed", function=self.arn, error=str(error))
                self._untold[task] = self._running[task].request_id
                await engine.sleep(pause_ms)
                pause_ms = min(2 * pause_ms, PAUSE_MS_MAX)
            except BrokerClosed:
                return
            else:
                return

    # End

    async def drain(self, timeout_ms: int) -> None:
        self._task.cancel()
        try:
            await asyncio.wait([self._task])
            if self._running:
                await asyncio.wait(list(self._running), timeout=timeout_ms / 1000)
        finally:
            unfinished = dict(self._running)
            for task in unfinished:
                task.cancel()
            if unfinished:
                await asyncio.wait(list(unfinished))
            for attempt in unfinished.values():
                self._release(attempt)

    def _release(self, attempt: AsyncAttempt) -> None:
        try:
            self._engine.begin()
            function = self._engine.find(self.arn)
            if isinstance(function, Function):
                self._engine.run(function, function.release(attempt))
        except (StoreError, BrokerClosed) as error:
            log.info("event_not_released", function=self.arn, error=str(error))


def _refused(error_type: str, error: EventcoreError) -> InvocationResult:
    return InvocationResult(error_payload(error_type, str(error)), UNHANDLED)
