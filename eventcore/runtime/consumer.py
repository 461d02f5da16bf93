"""Runs one handler on the messages of one queue: fetches, calls, settles, extends, drains.

Rules of this file:

- A handler that returns has its message deleted. One that raises has it made visible again: at once
  after `Retry` (or after its delay), else when its visibility timeout is over, so that the redrive
  policy counts and a fault that repeats does not spin. `Reject` dead-letters it now.
- From a FIFO queue messages are fetched one by one: the queue holds back what is behind one that is
  in flight, so a group is handled in its order, and a fault makes only its own message count a
  receive.
- While a handler runs, its message is kept invisible by one heartbeat for all of the consumer's
  messages, up to AWS's 12 hours from the receive; then the message is free to others, and the
  handler's result is ignored.
- Stopping first ends the fetching, then lets running handlers finish for `drain_ms`, then cancels
  them; their messages become visible at once. Nothing that was fetched is forgotten.
- A handler's fault is logged with its cause and never ends the consumer.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Awaitable, Callable
from typing import Any, Final, final

import anyio
import anyio.to_thread

from eventcore import limits
from eventcore.errors import BrokerClosed, EventcoreError, InvalidParameter, NotFound
from eventcore.runtime.handles import Message, Queue
from eventcore.runtime.telemetry import logger_of

__all__ = ["Consumer", "Handler", "Reject", "Retry"]

Handler = Callable[[Any], Awaitable[None] | None]

FETCH_WAIT_MS: Final = limits.WAIT_MS_MAX
FAULT_PAUSE_SECONDS: Final = 0.5
HEARTBEATS_PER_TIMEOUT: Final = 3
HEARTBEAT_MS_MIN: Final = 10

log = logger_of("eventcore.consumer")


class Retry(Exception):
    """Raised by a handler: make the message visible again after `delay_ms` (0: at once) and call
    again.
    """

    def __init__(self, delay_ms: float = 0) -> None:
        """`delay_ms` may be a fraction (jitter is); it is rounded. Raises InvalidParameter."""
        if (
            type(delay_ms) not in (int, float)
            or not 0 <= delay_ms <= limits.VISIBILITY_TIMEOUT_MS_MAX
        ):
            raise InvalidParameter(
                "delay_ms", f"Must be >= 0 and <= {limits.VISIBILITY_TIMEOUT_MS_MAX}.", delay_ms
            )
        super().__init__(f"retry in {delay_ms} ms")
        self.delay_ms = round(delay_ms)


class Reject(Exception):
    """Raised by a handler: this message will never succeed. It goes to the dead-letter queue, or
    away without one.
    """


@final
class Consumer:
    """One handler on one queue. `run` is its whole life; `stop` ends it gently."""

    def __init__(
        self,
        queue: Queue,
        handler: Handler,
        *,
        concurrency: int,
        drain_ms: int,
        convert: Callable[[Message], Any] = lambda message: message,
    ) -> None:
        """`convert` makes the handler's argument of a message. A handler that is no coroutine
        function runs in a thread; a saturated event loop starves threads, so keep those for
        programs that are mostly idle.
        """
        if concurrency < 1:
            raise InvalidParameter("concurrency", "Must be at least 1.", concurrency)
        self.queue = queue
        self._handler = handler
        self._is_async = _is_coroutine_function(handler)
        self._convert = convert
        self._concurrency = concurrency
        self._drain_ms = drain_ms
        self._running: dict[str, Message] = {}
        self._kept: dict[str, None] = {}
        """Handles whose handler is running: a heartbeat must not undo what settles them."""
        self._slot_free = anyio.Event()
        self._fetching: anyio.CancelScope | None = None
        self._is_stopping = False
        self._fetch_max = 1 if queue.is_fifo else limits.RECEIVE_MESSAGES_MAX

    async def run(self) -> None:
        """Handles messages until `stop` or cancellation; both drain first, `drain_ms` at most."""
        async with anyio.create_task_group() as group:
            group.start_soon(self._stop_when_cancelled)
            with anyio.CancelScope(shield=True):
                await self._run()
            group.cancel_scope.cancel()

    async def _stop_when_cancelled(self) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            self.stop()

    async def _run(self) -> None:
        async with anyio.create_task_group() as heartbeat:
            heartbeat.start_soon(self._beat)
            async with anyio.create_task_group() as handlers:
                try:
                    with anyio.CancelScope() as self._fetching:
                        await self._fetch(handlers)
                finally:
                    # A cancel() of the bare asyncio task arrives here, where a shield does not
                    # help.
                    await self._drain(handlers)
            heartbeat.cancel_scope.cancel()

    def stop(self) -> None:
        """Ends the fetching; `run` returns when the running handlers are done or the drain time is
        over.
        """
        self._is_stopping = True
        if self._fetching is not None:
            self._fetching.cancel()

    async def _fetch(self, handlers: anyio.abc.TaskGroup) -> None:
        while not self._is_stopping:
            free = self._concurrency - len(self._running)
            if free <= 0:
                self._slot_free = anyio.Event()
                await self._slot_free.wait()
                continue
            try:
                messages = await self.queue.receive(
                    messages_max=min(free, self._fetch_max), wait_ms=FETCH_WAIT_MS
                )
            except BrokerClosed:
                return
            except NotFound:
                log.warning("queue_deleted", queue=self.queue.name)
                return
            except EventcoreError as error:
                log.warning("fetch_failed", queue=self.queue.name, error=str(error))
                await anyio.sleep(FAULT_PAUSE_SECONDS)
                continue
            for message in messages:
                self._running[message.receipt_handle] = message
                self._kept[message.receipt_handle] = None
                handlers.start_soon(self._handle, message)

    async def _drain(self, handlers: anyio.abc.TaskGroup) -> None:
        with anyio.move_on_after(self._drain_ms / 1000, shield=True):
            while self._running:
                self._slot_free = anyio.Event()
                await self._slot_free.wait()
        if self._running:
            log.warning("drain_timeout", queue=self.queue.name, handlers=len(self._running))
        handlers.cancel_scope.cancel()

    async def _handle(self, message: Message) -> None:
        try:
            await self._call(message)
        except Retry as retry:
            await self._settle(message.release, retry.delay_ms)
        except Reject:
            await self._settle(message.reject)
        except anyio.get_cancelled_exc_class():
            with anyio.CancelScope(shield=True):
                await self._settle(message.release, 0)
            raise
        except Exception:
            log.exception("handler_failed", queue=self.queue.name, receives=message.receives)
        else:
            await self._settle(message.delete)
        finally:
            self._running.pop(message.receipt_handle, None)
            self._slot_free.set()

    async def _call(self, message: Message) -> None:
        try:
            await self._run_handler(message)
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            # Something that it waited for was cancelled: a fault as any other, and not our end.
            raise RuntimeError("cancelled, but not by the broker") from error
        finally:
            self._kept.pop(message.receipt_handle, None)

    async def _run_handler(self, message: Message) -> None:
        argument = self._convert(message)
        if self._is_async:
            result = self._handler(argument)
            assert result is not None
            await result
        else:
            # Cancelled only when draining is over: its message goes back, the thread runs on.
            result = await anyio.to_thread.run_sync(
                functools.partial(self._handler, argument), abandon_on_cancel=True
            )
            if inspect.isawaitable(result):
                await result  # a plain function that made a coroutine: a lambda, a decorator

    async def _settle(self, action: Callable[..., Awaitable[Any]], *arguments: Any) -> None:
        """A message that can not be settled comes back by itself: at least once."""
        try:
            await action(*arguments)
        except EventcoreError as error:
            log.warning("settle_failed", queue=self.queue.name, error=str(error))
        except Exception:
            log.exception("settle_failed", queue=self.queue.name)

    def _first_timeout_ms(self) -> int:
        try:
            return self.queue.visibility_timeout_ms
        except EventcoreError:
            return limits.VISIBILITY_TIMEOUT_MS_DEFAULT  # gone already: fetching finds out, too

    async def _beat(self) -> None:
        """Extends all running messages in one request, three times per visibility timeout."""
        timeout_ms = self._first_timeout_ms()
        while True:
            await self.queue.sleep(max(HEARTBEAT_MS_MIN, timeout_ms // HEARTBEATS_PER_TIMEOUT))
            try:
                timeout_ms = self.queue.visibility_timeout_ms
                failures = await self.queue.extend_many(list(self._kept), timeout_ms)
            except EventcoreError as error:  # deleted, reloading, or a commit failed
                log.warning("heartbeat_failed", queue=self.queue.name, error=str(error))
                continue
            for failure in failures:
                log.warning("visibility_not_extended", queue=self.queue.name, error=str(failure))


def _is_coroutine_function(handler: Handler) -> bool:
    return inspect.iscoroutinefunction(handler) or inspect.iscoroutinefunction(
        getattr(handler, "__call__", None)  # noqa: B004  (an object with an async __call__)
    )
