"""The poller of an event source mapping of a queue: receives, has batches run, settles them.

    arrival ──▶ receive ─ filter ─▶ batch ──durable──▶ invoke ──▶ settle ─┐
                   ▲                                                       │ one request
                   └────────────────────── receive ◀──────────────────────┘

Rules of this file:

- Nothing is polled. While there is room for another batch, one waiter stands in the queue's line,
  like any long poll; it is served in the batch of the arrival, so that a message is received in the
  transaction that it is sent in. Without room nobody waits. An idle mapping has no task and no
  timer of its own.
- No invocation begins before the receive of its messages is durable. What has ended is settled in
  one request with the next receive, and so in one commit; batches that end together share it.
- What the filter does not want is deleted in the request that received it.
- After a commit that failed, messages of batches that were not begun are made visible again, and
  what was to be settled is settled again: its invocations happened.
- Batches run at a time up to the mapping's maximum concurrency, or ten for each provisioned poller,
  or QUEUE_MAPPING_CONCURRENCY_MAX. AWS's slow scaling up to that is not copied: all of it is there
  at once. A function that is throttled has fewer batches at a time (`mappings.queue_batch.Slots`),
  and nothing is received that could not be begun.
- Changed settings are followed from the next turn on: batches that run keep those that they began
  with, and nobody waits for their end.
- A FIFO queue has no batching window, as on AWS: it would hold its groups up.
- Messages are received with the queue's visibility timeout, but for a second at least: one that is
  visible again at once would be received for ever.
- A mapping whose queue or function is gone says so in its result and looks again after growing
  pauses, or when it is woken.
- What becomes of a batch is in `queue_batches`, which messages go into one in
  `mappings.queue_batch`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol, TypeVar, final

from eventcore import limits
from eventcore.clock import Clock, TimerHandle
from eventcore.errors import (
    BrokerClosed,
    EventcoreError,
    InvalidParameter,
    InvalidReceiptHandle,
    LimitExceeded,
    NotFound,
    StoreError,
)
from eventcore.functions.function import Function
from eventcore.functions.function_spec import KIND_PROCESS
from eventcore.mappings.mapping import EventSourceMapping
from eventcore.mappings.mapping_counts import MappingCounts
from eventcore.mappings.mapping_spec import PROBLEM_NO_FUNCTION, PROBLEM_NO_QUEUE
from eventcore.mappings.queue_batch import NEVER, QueueBatch, QueueBatches, QueueItem, Slots
from eventcore.mappings.source_events import EVENT_BYTES, message_bytes
from eventcore.outcome import Machine, Outcome
from eventcore.queues.message import MessageRecord, sequence_text
from eventcore.queues.queue import QueueMachine
from eventcore.queues.queue_spec import ReceiveRequest
from eventcore.runtime.queue_batches import (
    BatchRunner,
    FunctionInvoker,
    QueueMappingSetting,
    Settlement,
)
from eventcore.runtime.telemetry import WarningLimiter, logger_of
from eventcore.runtime.timers import timers_for
from eventcore.runtime.waiters import Waiter

__all__ = ["QueuePoller", "QueuePollerEngine"]

T = TypeVar("T")
WAIT_MS: Final = 86_400_000
"""For how long a waiter stands in line before it is renewed."""
SLICE_MESSAGES: Final = 200
"""Messages received, and settled, in one request, before the event loop has its turn."""
VISIBILITY_MS_MIN: Final = 1_000
STORE_PAUSE_MS_FIRST: Final = 50
STORE_PAUSE_MS_MAX: Final = 2_000
"""Between requests that a store refuses: it doubles from one to the other."""
ABSENCE_PAUSE_MS_FIRST: Final = 100
ABSENCE_PAUSE_MS_MAX: Final = 5_000
"""Between two looks for a queue or a function that is gone: the same."""

FIFO_SUFFIX: Final = ".fifo"
MESSAGE_DROPPED: Final = "recursive_message_dropped"

log = logger_of("eventcore.queue_poller")


class PolledMessage(Protocol):
    """What is read of an `engine.ReceivedMessage`."""

    @property
    def record(self) -> MessageRecord:
        """The message."""
        ...

    @property
    def receipt_handle(self) -> str:
        """The handle of this receive."""
        ...

    @property
    def receives(self) -> int:
        """Receives, this one counted."""
        ...

    @property
    def first_received_ms(self) -> int:
        """When it was received first."""
        ...

    @property
    def visible_ms(self) -> int:
        """Until when it is invisible."""
        ...

    @property
    def sequence(self) -> int:
        """Its sequence number in a FIFO queue, else 0."""
        ...


class CountsKeeper(Protocol):
    """What is needed of `engine.mappings`."""

    def counts(self, arn: str) -> MappingCounts:
        """What the mapping of an ARN has counted."""
        ...


class QueuePollerEngine(Protocol):
    """What a poller needs of the engine."""

    @property
    def clock(self) -> Clock:
        """The time."""
        ...

    @property
    def functions(self) -> FunctionInvoker:
        """The functions."""
        ...

    @property
    def mappings(self) -> CountsKeeper:
        """The mappings."""
        ...

    def begin(self) -> None:
        """Opens a request."""
        ...

    def hold(self, reply: Any, payload: Any) -> None:
        """Closes a request."""
        ...

    def now_ms(self) -> int:
        """The time of the current request."""
        ...

    def find(self, arn: str) -> Any | None:
        """The machine of an existing resource."""
        ...

    def look(self, machine: Machine) -> None:
        """Notes that the request reads this machine's state."""
        ...

    def run(self, machine: Machine, outcome: Outcome[T]) -> T:
        """Takes a command's outcome."""
        ...

    def receive(self, queue: QueueMachine, request: ReceiveRequest) -> Sequence[PolledMessage]:
        """Receives what is visible now."""
        ...

    def wait_for_messages(
        self,
        queue: QueueMachine,
        request: ReceiveRequest,
        wait_ms: int,
        done: Callable[[list[Any]], None],
        failed: Callable[[EventcoreError], None] | None = None,
    ) -> Waiter:
        """Receives as soon as there is something."""
        ...

    def delete(self, queue: QueueMachine, handle: str) -> None:
        """Deletes a received message."""
        ...

    def reject(self, queue: QueueMachine, handle: str) -> bool:
        """Dead-letters a received message."""
        ...

    def change_visibility(self, queue: QueueMachine, handle: str, timeout_ms: int) -> None:
        """Makes a received message visible again, or invisible for longer."""
        ...


@final
class _Request:
    """One request of a poller, until all that it did is durable."""

    __slots__ = ("_poller", "deleted", "dropped", "failed", "settled", "started")

    def __init__(self, poller: QueuePoller) -> None:
        self._poller = poller
        self.settled: list[Settlement] = []
        self.started: list[QueueBatch] = []
        self.deleted = 0
        self.dropped = 0
        self.failed = 0

    def commit(self, payload: Any) -> None:
        self._poller._committed(self)

    def fail(self, error: EventcoreError) -> None:
        self._poller._failed(self, error)


@final
class QueuePoller:
    """The poller of one mapping. See the file's rules."""

    def __init__(self, engine: QueuePollerEngine, mapping_arn: str) -> None:
        self._engine = engine
        self._mapping_arn = mapping_arn
        self._counts = engine.mappings.counts(mapping_arn)
        self._timers = timers_for(engine.clock)
        self._slots = Slots(limits.QUEUE_MAPPING_CONCURRENCY_MAX)
        self._runner = BatchRunner(
            engine.functions, engine.clock, self._timers, self._slots, self._soon
        )
        self._batches = QueueBatches()
        self._limiter = WarningLimiter(engine.clock.now_ms)
        self._setting: QueueMappingSetting | None = None
        self._waiter: Waiter | None = None
        self._window_timer: TimerHandle | None = None
        self._window_ms = NEVER
        self._pause_timer: TimerHandle | None = None
        self._store_pause_ms = STORE_PAUSE_MS_FIRST
        self._absence_pause_ms = ABSENCE_PAUSE_MS_FIRST
        self._tasks: dict[asyncio.Task[None], QueueBatch] = {}
        self._ended: deque[Settlement] = deque()
        self._requests = 0
        self._is_turn_due = False
        self._is_stopping = False
        self._is_over = False
        self._changed: asyncio.Future[None] | None = None

    # Life

    def start(self) -> None:
        """Begins. Within no request; returns at once."""
        self._turn()

    def wake(self) -> None:
        """Looks at once for what was not there: the queue, the function, who runs it. May be called
        at any time, in a request too.
        """
        if self._pause_timer is not None:
            self._soon()

    def follow(self) -> bool:
        """Goes on with the settings that the mapping has now. Within no request."""
        self._soon()
        return not self._is_stopping

    @property
    def invocations(self) -> int:
        """Batches that run now."""
        return len(self._tasks)

    async def stop(self, drain_ms: int) -> None:
        """Ends: nothing is received any more, messages of batches that were not begun are visible
        again, running batches end and are settled. After `drain_ms` those that still run are
        cancelled and not settled. Does not raise. One that was cancelled may be called again.
        """
        if not self._is_stopping:
            self._is_stopping = True
            self._cancel_waiter()
            self._runner.stop()
            self._release([item.receipt_handle for item in self._batches.forget()])
            self._turn()
        loop = asyncio.get_running_loop()
        over: asyncio.Future[None] = loop.create_future()
        timer = self._timers.call_at(self._engine.clock.now_ms() + drain_ms, lambda: _resolve(over))
        try:
            while drain_ms > 0 and not self._is_idle and not over.done():
                self._changed = self._changed or loop.create_future()
                await asyncio.wait([self._changed, over], return_when=asyncio.FIRST_COMPLETED)
        finally:
            timer.cancel()
        self._is_over = True
        self._cancel_timers()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            log.warning("drain_timeout", mapping=self._mapping_arn, batches=len(tasks))
            await asyncio.wait(tasks)

    @property
    def _is_idle(self) -> bool:
        has_work = self._batches.running or self._ended or self._requests
        return self._is_over or not has_work

    def _notify(self) -> None:
        changed, self._changed = self._changed, None
        if changed is not None:
            _resolve(changed)

    def _cancel_waiter(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None:
            waiter.cancel()

    def _cancel_timers(self) -> None:
        for timer in (self._window_timer, self._pause_timer):
            if timer is not None:
                timer.cancel()
        self._window_timer, self._window_ms, self._pause_timer = None, NEVER, None

    # Requests

    def _soon(self) -> None:
        """Has a turn in the next round of the event loop; one for all who ask."""
        if not self._is_turn_due and not self._is_over:
            self._is_turn_due = True
            asyncio.get_running_loop().call_soon(self._turn)

    def _turn(self) -> None:
        """One request: settles what has ended, receives what there is room for."""
        self._is_turn_due = False
        if self._is_over:
            return
        if self._pause_timer is not None:
            self._pause_timer.cancel()
            self._pause_timer = None
        try:
            self._engine.begin()
        except BrokerClosed:
            self._is_over = True
            self._notify()
        except StoreError:
            self._pause_for_store()
        else:
            self._serve(())

    def _arrived(self, messages: list[Any]) -> None:
        """The waiter's end: in a request with what it received, or without anything when its time
        is over or the queue is being deleted.
        """
        self._waiter = None
        if messages:
            self._serve(messages)
        else:
            self._soon()

    def _refused(self, error: EventcoreError) -> None:
        """The waiter's end when its request could not be made."""
        self._waiter = None
        self._soon()

    def _serve(self, messages: Sequence[PolledMessage]) -> None:
        """A request that was opened, with what its waiter received. Never raises."""
        request = _Request(self)
        self._requests += 1
        try:
            self._work(request, messages)
        except StoreError as error:
            request.fail(error)  # a row could not be read back: all is loaded anew
        except Exception as error:
            log.exception("turn_failed", mapping=self._mapping_arn)
            request.fail(StoreError(str(error)))
        else:
            self._engine.hold(request, None)

    def _work(self, request: _Request, messages: Sequence[PolledMessage]) -> None:
        found = self._engine.find(self._mapping_arn)
        mapping = found if isinstance(found, EventSourceMapping) and found.is_running else None
        if mapping is not None and (
            self._setting is None or self._setting.spec is not mapping.spec
        ):
            self._adopt(QueueMappingSetting(mapping.spec))
        setting = self._setting
        if setting is None:
            return  # it was never there; whoever made this poller ends it
        queue = self._engine.find(setting.spec.source_arn)
        if not isinstance(queue, QueueMachine):
            self._ended.clear()
            self._batches.forget()
            if mapping is not None and not self._is_stopping:
                self._miss(mapping, PROBLEM_NO_QUEUE)
            return
        self._engine.look(queue)
        self._settle(request, queue, mapping)
        if self._is_stopping or mapping is None:
            self._cancel_waiter()
            self._give_back(queue, messages)
        elif (problem := self._problem(setting)) is not None:
            self._give_back(queue, messages)
            self._cancel_waiter()
            self._miss(mapping, problem)
        else:
            self._absence_pause_ms = ABSENCE_PAUSE_MS_FIRST
            self._take(setting, queue, messages)
            self._fetch(request, setting, queue)

    def _adopt(self, setting: QueueMappingSetting) -> None:
        spec = setting.spec
        self._setting = setting
        self._slots.set_bound(self._concurrency_max(setting))
        # In a FIFO queue a group's next message is not to be had before this one is done.
        window_ms = 0 if spec.source_arn.endswith(FIFO_SUFFIX) else spec.batch_window_ms
        if window_ms != self._batches.window_ms:
            self._batches.close()
        self._cancel_waiter()  # it asked for as much as the settings before it allowed
        self._batches.configure(spec.batch_size, window_ms, limits.INVOKE_BYTES_MAX - EVENT_BYTES)

    def _concurrency_max(self, setting: QueueMappingSetting) -> int:
        """How many batches may run. More than there can be processes would wait for one while their
        messages' visibility runs out.
        """
        function = self._engine.find(setting.function_arn)
        if isinstance(function, Function) and function.latest.config.kind == KIND_PROCESS:
            return min(setting.concurrency_max, limits.ENVIRONMENTS_MAX)
        return setting.concurrency_max

    def _committed(self, request: _Request) -> None:
        """All that a request did is durable."""
        self._requests -= 1
        self._store_pause_ms = STORE_PAUSE_MS_FIRST
        self._counts.deleted += request.deleted
        self._counts.dropped += request.dropped
        self._counts.failed += request.failed
        setting = self._setting
        for batch in request.started:
            assert setting is not None
            if self._is_stopping:
                self._batches.end(batch)
                self._release(batch.receipt_handles)
            else:
                run = self._run(batch, setting)
                self._tasks[asyncio.get_running_loop().create_task(run)] = batch
        self._notify()

    def _failed(self, request: _Request, error: EventcoreError) -> None:
        """Nothing that a request did is to be relied on."""
        self._requests -= 1
        dropped = [handle for batch in request.started for handle in batch.receipt_handles]
        for batch in request.started:
            self._batches.end(batch)
        dropped += [item.receipt_handle for item in self._batches.forget()]
        self._ended.extendleft(reversed(request.settled))
        if dropped:  # some may be of receives that are durable: nobody else gives them back
            self._ended.append(Settlement(QueueBatch(), released=dropped))
        if isinstance(error, BrokerClosed):
            self._is_over = True
        else:
            self._pause_for_store()
        self._notify()

    # Receiving

    @property
    def _has_room(self) -> bool:
        return self._batches.running + self._batches.waiting < self._slots.width

    def _fetch(self, request: _Request, setting: QueueMappingSetting, queue: QueueMachine) -> None:
        """Receives for as long as there is something and room for it, up to a slice, and has
        complete batches started.
        """
        now_ms, batches = self._engine.now_ms(), self._batches
        taken, is_dry = 0, False
        if self._waiter is not None and not self._has_room:
            self._cancel_waiter()
        while self._waiter is None and self._has_room and taken < SLICE_MESSAGES and not is_dry:
            wanted = self._wanted(queue)
            try:
                received = self._engine.receive(queue, wanted)
            except LimitExceeded:
                received = ()  # too many in flight; a deletion wakes the waiter
            self._take(setting, queue, received)
            taken += len(received)
            is_dry = len(received) < wanted.messages_max
        if is_dry and not batches.window_ms:
            batches.close()
        batches.close_due(now_ms)
        while batches.running < self._slots.width and (batch := batches.start(now_ms)) is not None:
            request.started.append(batch)
        self._watch_window()
        if self._waiter is None and self._has_room:
            if is_dry:
                self._wait(queue)
            else:
                self._soon()

    def _wanted(self, queue: QueueMachine) -> ReceiveRequest:
        count = min(limits.RECEIVE_MESSAGES_MAX, self._batches.room)
        is_short = queue.spec.visibility_timeout_ms < VISIBILITY_MS_MIN
        return ReceiveRequest(count, VISIBILITY_MS_MIN if is_short else None)

    def _wait(self, queue: QueueMachine) -> None:
        wanted = self._wanted(queue)
        try:
            self._waiter = self._engine.wait_for_messages(
                queue, wanted, WAIT_MS, self._arrived, self._refused
            )
        except LimitExceeded as error:
            log.warning("mapping_not_waiting", mapping=self._mapping_arn, error=str(error))
            self._pause(ABSENCE_PAUSE_MS_MAX)

    def _take(
        self,
        setting: QueueMappingSetting,
        queue: QueueMachine,
        messages: Sequence[PolledMessage],
    ) -> None:
        """Puts messages into batches; those that are not wanted are deleted."""
        now_ms = self._engine.now_ms()
        is_fifo, wants = queue.is_fifo, setting.filter
        make, add = setting.events.record, self._batches.add
        for message in messages:
            content, handle = message.record, message.receipt_handle
            sequence = sequence_text(message.sequence) if is_fifo else None
            record = make(content, handle, message.receives, message.first_received_ms, sequence)
            if wants is not None and not wants.wants_message(record):
                self._engine.delete(queue, handle)
                self._counts.filtered_out += 1
                continue
            add(
                QueueItem(
                    record,
                    message_bytes(content, handle),
                    message.visible_ms,
                    content.group_id if is_fifo else None,
                    content.trace_header or "",
                ),
                now_ms,
            )
        self._counts.polled += len(messages)

    def _give_back(self, queue: QueueMachine, messages: Sequence[PolledMessage]) -> None:
        self._show(queue, [message.receipt_handle for message in messages])

    def _watch_window(self) -> None:
        close_ms = self._batches.close_ms
        if close_ms == self._window_ms:
            return
        if self._window_timer is not None:
            self._window_timer.cancel()
            self._window_timer = None
        self._window_ms = close_ms
        if close_ms < NEVER:
            self._window_timer = self._timers.call_at(close_ms, self._on_window)

    def _on_window(self) -> None:
        self._window_timer, self._window_ms = None, NEVER
        self._turn()

    # Running and settling

    async def _run(self, batch: QueueBatch, setting: QueueMappingSetting) -> None:
        task = asyncio.current_task()
        assert task is not None
        ended: Settlement | None = None
        try:
            ended = await self._runner.run(batch, setting)
        finally:
            del self._tasks[task]
            self._batches.end(batch, ended.failed_groups if ended is not None else batch.groups)
            if ended is not None:
                self._ended.append(ended)
                self._counts.invoked += len(batch.items) if ended.is_invoked else 0
                self._soon()
            self._notify()

    def _release(self, handles: list[str]) -> None:
        if handles:
            self._ended.append(Settlement(QueueBatch(), released=handles))
            self._soon()

    def _settle(
        self, request: _Request, queue: QueueMachine, mapping: EventSourceMapping | None
    ) -> None:
        """Does what is to be done about batches that have ended, up to a slice."""
        done, result = 0, None
        while self._ended and done < SLICE_MESSAGES:
            settlement = self._ended.popleft()
            request.settled.append(settlement)
            for handle in settlement.deleted:
                self._delete(request, queue, handle)
            for handle in settlement.rejected:
                self._reject(request, queue, handle)
            self._show(queue, settlement.released)
            done += max(1, len(settlement.batch.items))
            request.failed += settlement.failed
            result = settlement.result or result
        if self._ended:
            self._soon()
        if mapping is not None and result is not None and result != mapping.record.result:
            self._engine.run(mapping, mapping.note_result(result))

    def _delete(self, request: _Request, queue: QueueMachine, handle: str) -> None:
        try:
            self._engine.delete(queue, handle)
        except (InvalidParameter, InvalidReceiptHandle):
            return  # visible again, in a FIFO queue; of an earlier queue of this name
        request.deleted += 1

    def _reject(self, request: _Request, queue: QueueMachine, handle: str) -> None:
        try:
            is_kept = self._engine.reject(queue, handle)
        except (InvalidParameter, InvalidReceiptHandle):
            return
        if not is_kept:
            request.dropped += 1
            missed = self._limiter.admit(self._mapping_arn)
            if missed is not None:
                log.warning(MESSAGE_DROPPED, mapping=self._mapping_arn, not_told=missed)

    def _show(self, queue: QueueMachine, handles: Sequence[str]) -> None:
        """Makes messages visible again that were received in vain."""
        for handle in handles:
            try:
                self._engine.change_visibility(queue, handle, 0)
            except (InvalidParameter, InvalidReceiptHandle):
                continue  # it is visible already, or gone

    # Waiting for what is not there

    def _problem(self, setting: QueueMappingSetting) -> str | None:
        """Why no invocation could be begun now."""
        functions = self._engine.functions
        try:
            function = functions.find(setting.function_arn)
            if setting.qualifier is not None:
                function.resolve(setting.qualifier, 0.0)
        except NotFound:
            return PROBLEM_NO_FUNCTION
        return None if functions.is_runnable(function) else ""

    def _miss(self, mapping: EventSourceMapping, problem: str) -> None:
        """Notes what is not there, and looks again later."""
        if problem and problem != mapping.record.result:
            self._engine.run(mapping, mapping.note_result(problem))
        self._pause(self._absence_pause_ms)
        self._absence_pause_ms = min(2 * self._absence_pause_ms, ABSENCE_PAUSE_MS_MAX)

    def _pause_for_store(self) -> None:
        self._pause(self._store_pause_ms)
        self._store_pause_ms = min(2 * self._store_pause_ms, STORE_PAUSE_MS_MAX)

    def _pause(self, pause_ms: int) -> None:
        if self._pause_timer is not None:
            self._pause_timer.cancel()
        at_ms = self._engine.clock.now_ms() + pause_ms
        self._pause_timer = self._timers.call_at(at_ms, self._on_pause)

    def _on_pause(self) -> None:
        self._pause_timer = None
        self._turn()


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
