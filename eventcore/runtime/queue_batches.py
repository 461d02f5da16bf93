"""One batch of a queue's mapping: its invocation, until it was taken or is let go, and what becomes
of its messages.

    what happens                               what becomes of the messages
    success                                    deleted
    success with batchItemFailures             those reported are left, the others deleted
    error, timeout, answer that is no answer   left: visible again when their visibility is over
    larger than an invocation takes            left
    throttled, or could not be begun           tried again with growing pauses, then left
    function or qualifier is gone              the same
    recursive loop                             to the dead-letter queue, else deleted and counted
    the poller stops before it was begun       visible again at once

Rules of this file:

- Nothing here changes anything: what is to be done is told by a `Settlement`.
- It is tried to begin an invocation for half of the messages' visibility: the rest is its own. AWS
  asks for a visibility of six times the function's timeout for the same reason.
- In a FIFO queue, a group's messages behind its first failure are left as well.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final, Protocol, final

import msgspec

from eventcore import limits
from eventcore.arn import split_qualifier
from eventcore.clock import Clock
from eventcore.errors import (
    BrokerClosed,
    EventcoreError,
    NotFound,
    RecursiveInvocation,
    StoreError,
    Throttled,
)
from eventcore.functions import lineage
from eventcore.functions.invocation import FailedInvocation, InvocationResult, Payload
from eventcore.mappings.batch_response import failed_messages
from eventcore.mappings.mapping_spec import (
    PROBLEM_CALL_FAILED,
    PROBLEM_NO_FUNCTION,
    RESULT_OK,
    MappingSpec,
)
from eventcore.mappings.queue_batch import QueueBatch, Slots
from eventcore.mappings.source_events import QueueEvents, batch_event
from eventcore.mappings.source_filter import SourceFilter
from eventcore.runtime.telemetry import logger_of
from eventcore.runtime.timers import Timers

__all__ = ["BatchRunner", "FunctionInvoker", "QueueMappingSetting", "Settlement"]

RETRY_PAUSE_MS_FIRST: Final = 100
RETRY_PAUSE_MS_MAX: Final = 5_000
"""Between attempts to begin an invocation that is refused: it doubles from one to the other."""
POLLER_CONCURRENCY: Final = 10
"""Invocations at a time of one provisioned poller."""
POLLERS_MAX_DEFAULT: Final = 200
"""Provisioned pollers where their most is not given."""

log = logger_of("eventcore.queue_poller")


class FunctionInvoker(Protocol):
    """What is needed of `engine.functions`."""

    def find(self, arn: str) -> Any:
        """The function of an ARN without qualifier. Raises NotFound."""
        ...

    def is_runnable(self, function: Any) -> bool:
        """Whether an invocation could be begun at all."""
        ...

    async def invoke(
        self, arn: str, payload: Payload, *, qualifier: str | None, trace_header: str
    ) -> InvocationResult:
        """Invokes a function and waits for its result."""
        ...


@final
class QueueMappingSetting:
    """What follows of a mapping's settings, worked out once. Raises InvalidPattern for filters that
    are none.
    """

    __slots__ = ("concurrency_max", "events", "filter", "function_arn", "qualifier", "spec")

    def __init__(self, spec: MappingSpec) -> None:
        self.spec = spec
        self.function_arn, self.qualifier = split_qualifier(spec.function_arn)
        self.filter = SourceFilter.of(spec.filters, is_queue=True)
        self.events = QueueEvents(spec.source_arn)
        self.concurrency_max = limits.QUEUE_MAPPING_CONCURRENCY_MAX
        if spec.pollers is not None:
            most = spec.pollers.pollers_max or POLLERS_MAX_DEFAULT
            self.concurrency_max = most * POLLER_CONCURRENCY
        if spec.concurrency_max is not None:
            self.concurrency_max = spec.concurrency_max


class Settlement(msgspec.Struct, frozen=True):
    """What is to be done about a batch that has ended: receipt handles to delete, to dead-letter,
    to make visible again; all others are left. `result` is LastProcessingResult, None for no news.
    `is_invoked`: the function was given the batch.
    """

    batch: QueueBatch
    deleted: list[str] = []
    rejected: list[str] = []
    released: list[str] = []
    failed_groups: frozenset[str] = frozenset()
    failed: int = 0
    result: str | None = None
    is_invoked: bool = True


@final
class BatchRunner:
    """Runs the batches of one mapping, each in a task of the caller's."""

    def __init__(
        self,
        functions: FunctionInvoker,
        clock: Clock,
        timers: Timers,
        slots: Slots,
        on_throttle: Callable[[], None],
    ) -> None:
        """`on_throttle` is told when there are fewer slots than before."""
        self._functions = functions
        self._on_throttle = on_throttle
        self._clock = clock
        self._timers = timers
        self._slots = slots
        self._pauses: set[asyncio.Future[None]] = set()
        self._is_stopping = False
        self.running = 0

    def stop(self) -> None:
        """What could not be begun so far is not tried any more."""
        self._is_stopping = True
        for pause in self._pauses:
            if not pause.done():
                pause.set_result(None)

    async def run(self, batch: QueueBatch, setting: QueueMappingSetting) -> Settlement:
        """Invokes the function until an invocation was taken, or the batch is let go. Never raises
        but CancelledError, when it is cancelled: the invocation is then stopped.
        """
        self.running += 1
        try:
            return await self._run(batch, setting)
        finally:
            self.running -= 1

    async def _run(self, batch: QueueBatch, setting: QueueMappingSetting) -> Settlement:
        if batch.visible_ms <= self._clock.now_ms():
            # The commit took longer than its messages are invisible: others may have them by now.
            return _not_begun(batch)
        payload = Payload.of(batch_event([item.record for item in batch.items]))
        pause_ms = RETRY_PAUSE_MS_FIRST
        while True:
            ended = await self._attempt(batch, setting, payload)
            if isinstance(ended, Settlement):
                return ended
            if self._is_stopping:
                return _not_begun(batch)
            if self._clock.now_ms() + pause_ms > batch.retry_until_ms:
                return _left(batch, ended, is_invoked=False)
            await self._pause(pause_ms)
            pause_ms = min(2 * pause_ms, RETRY_PAUSE_MS_MAX)
            if self._is_stopping:
                return _not_begun(batch)

    async def _attempt(
        self, batch: QueueBatch, setting: QueueMappingSetting, payload: Payload
    ) -> Settlement | str:
        """The batch's end; or, for one that may be tried again, what stood in its way."""
        try:
            result = await self._functions.invoke(
                setting.function_arn,
                payload,
                qualifier=setting.qualifier,
                trace_header=_deepest(batch, setting.function_arn),
            )
        except (Throttled, FailedInvocation):
            # This one is still counted among those that run.
            self._throttled(self.running - len(self._pauses) - 1)
            return PROBLEM_CALL_FAILED
        except NotFound:
            self._throttled(0)
            return PROBLEM_NO_FUNCTION
        except StoreError:
            return PROBLEM_CALL_FAILED
        except RecursiveInvocation:
            return Settlement(
                batch,
                rejected=batch.receipt_handles,
                result=PROBLEM_CALL_FAILED,
                is_invoked=False,
            )
        except BrokerClosed:
            return Settlement(batch, is_invoked=False)
        except EventcoreError as error:
            log.warning("batch_refused", function=setting.function_arn, error=str(error))
            return _left(batch, PROBLEM_CALL_FAILED, is_invoked=False)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            return _left(batch, PROBLEM_CALL_FAILED)  # something that the function waited for
        except Exception:
            log.exception("batch_failed", function=setting.function_arn)
            return _left(batch, PROBLEM_CALL_FAILED)
        self._slots.succeeded()
        return _judged(batch, result, setting.spec)

    def _throttled(self, through: int) -> None:
        self._slots.throttled(through)
        self._on_throttle()

    async def _pause(self, pause_ms: int) -> None:
        over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def wake() -> None:
            if not over.done():
                over.set_result(None)

        self._pauses.add(over)
        timer = self._timers.call_at(self._clock.now_ms() + pause_ms, wake)
        try:
            await over
        finally:
            timer.cancel()
            self._pauses.discard(over)


def _not_begun(batch: QueueBatch) -> Settlement:
    return Settlement(batch, released=batch.receipt_handles, is_invoked=False)


def _left(batch: QueueBatch, result: str, *, is_invoked: bool = True) -> Settlement:
    return Settlement(
        batch,
        failed_groups=frozenset(batch.groups),
        failed=len(batch.items),
        result=result,
        is_invoked=is_invoked,
    )


def _judged(batch: QueueBatch, result: InvocationResult, spec: MappingSpec) -> Settlement:
    failed = failed_messages(
        result,
        batch.message_ids,
        reports_item_failures=spec.reports_item_failures,
        groups=[item.group for item in batch.items] if batch.groups else None,
    )
    if not failed:
        return Settlement(batch, deleted=batch.receipt_handles, result=RESULT_OK)
    if len(failed) == len(batch.items):
        return _left(batch, PROBLEM_CALL_FAILED if result.error is not None else RESULT_OK)
    positions = set(failed)
    items = enumerate(batch.items)
    return Settlement(
        batch,
        deleted=[item.receipt_handle for at, item in items if at not in positions],
        failed_groups=frozenset(g for at in failed if (g := batch.items[at].group) is not None),
        failed=len(failed),
        result=RESULT_OK,
    )


def _deepest(batch: QueueBatch, function_arn: str) -> str:
    """The trace header to invoke with: of those in the batch, the one that the function is in most
    often, so that a loop is seen whatever else is in the batch; else the first message's.
    """
    headers = dict.fromkeys(item.trace_header for item in batch.items if item.trace_header)
    if len(headers) < 2:
        return next(iter(headers), "")
    return max(headers, key=lambda header: lineage.count(header, function_arn))
