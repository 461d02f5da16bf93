"""Runs message move tasks: takes messages out of a dead-letter queue and puts them into others, in
slices, each in one transaction.

A slice is one engine request on a timer. Messages go where they came from, or to the task's
destination, as new messages: AWS, "Configure a dead-letter queue redrive": "All redriven messages
are considered new messages with a new messageID and enqueueTime". A task with a rate has slices of
a tenth of a second, and after a restart does not make up for the time that it lost.
"""

from __future__ import annotations

from typing import Any, Final, Protocol, TypeVar, final

from eventcore import limits
from eventcore.arn import parse_arn
from eventcore.clock import Clock, TimerHandle
from eventcore.errors import BrokerClosed, InvalidParameter, LimitExceeded, NotFound, StoreError
from eventcore.outcome import Machine, Outcome, Parcel
from eventcore.queues.message import MessageRecord, decode_message
from eventcore.queues.move_task import Movable, MoveTask, open_task_handle
from eventcore.queues.queue import QueueMachine
from eventcore.queues.queue_spec import check_int
from eventcore.runtime.telemetry import logger_of
from eventcore.runtime.timers import Timers

__all__ = ["NO_DESTINATION", "NO_SOURCE", "Mover", "MoverEngine"]

T = TypeVar("T")
SLICE_MESSAGES: Final = 100
PAUSE_MS: Final = 5
RETRY_PAUSE_MS: Final = 1_000
SLICES_PER_S: Final = 10
NO_DESTINATION: Final = "AWS.SimpleQueueService.NonExistentQueue"
"""Failure: the destination was deleted, or the queue that the message came from."""
NO_SOURCE: Final = "CouldNotDetermineMessageSource"
"""Failure: a message was sent to the dead-letter queue itself, and the task has no destination."""

log = logger_of("eventcore.mover")


class MoverEngine(Protocol):
    """What the mover needs of the engine."""

    def begin(self) -> None:
        """Opens a request."""
        ...

    def now_ms(self) -> int:
        """The time of the current request."""
        ...

    def find(self, arn: str) -> Any | None:
        """The machine of an existing resource."""
        ...

    def run(self, machine: Machine, outcome: Outcome[T]) -> T:
        """Takes a command's outcome into the open batch."""
        ...

    def read_back(self, queue: QueueMachine, key: int) -> bytes:
        """The row of a spilled message."""
        ...

    def dead_letter_sources(self, arn: str) -> list[str]:
        """The queues that dead-letter into this one."""
        ...


@final
class Mover:
    """All running move tasks of an engine, by the queue that they empty."""

    def __init__(
        self, engine: MoverEngine, clock: Clock, timers: Timers, tasks_max: int | None
    ) -> None:
        self._engine = engine
        self._clock = clock
        self._timers = timers
        self._tasks_max = tasks_max
        self._steps: dict[str, TimerHandle] = {}

    # Commands, inside a request

    def start(
        self, source: QueueMachine, destination_arn: str | None, per_second: int | None
    ) -> str:
        """Starts a task; see Engine.start_move."""
        self._check(source, destination_arn, per_second)
        handle = self._engine.run(
            source, source.start_move(destination_arn, per_second, self._engine.now_ms())
        )
        self._schedule(source.arn, PAUSE_MS)
        return handle

    def _check(
        self, source: QueueMachine, destination_arn: str | None, per_second: int | None
    ) -> None:
        rate_max = limits.MOVE_TASK_MESSAGES_PER_S_MAX
        if per_second is not None:
            check_int("per_second", per_second)
        if per_second is not None and not 1 <= per_second <= rate_max:
            raise InvalidParameter(
                "per_second", f"Must be between 1 and {rate_max}, if provided.", per_second
            )
        if not self._engine.dead_letter_sources(source.arn):
            raise InvalidParameter(
                "source_arn", "Source queue must be configured as a Dead Letter Queue.", source.arn
            )
        if destination_arn is not None:
            self._check_destination(source, destination_arn)
        if (
            self._tasks_max is not None
            and not source.is_moving
            and len(self._steps) >= self._tasks_max
        ):
            raise LimitExceeded("move_tasks_max", self._tasks_max, source.name)

    def _check_destination(self, source: QueueMachine, destination_arn: str) -> None:
        destination = self._engine.find(destination_arn)
        if not isinstance(destination, QueueMachine):
            raise NotFound("queue", destination_arn.rpartition(":")[2])
        if destination_arn == source.arn:
            raise InvalidParameter(
                "destination_arn", "Must be another queue than the source.", destination_arn
            )
        if destination.is_fifo != source.is_fifo:
            raise InvalidParameter(
                "destination_arn", "Must be of the same type as the source.", destination_arn
            )
        there, here = parse_arn(destination_arn), parse_arn(source.arn)
        if (there.account, there.region) != (here.account, here.region):
            raise InvalidParameter(
                "destination_arn", "Must be in the source's account and region.", destination_arn
            )

    def cancel(self, handle: str) -> int:
        """Cancels a task; see Engine.cancel_move."""
        arn, tag, number = open_task_handle(handle)
        queue = self._engine.find(arn)
        if not isinstance(queue, QueueMachine):
            raise NotFound("queue", arn.rpartition(":")[2])
        moved = self._engine.run(queue, queue.cancel_move(tag, number))
        self._drop(arn)
        return moved

    def tasks(self, source: QueueMachine, tasks_max: int) -> list[MoveTask]:
        """The latest tasks of a queue, newest first."""
        return source.moves(tasks_max)

    # The work

    def resume(self, arn: str) -> None:
        """Goes on with the task of a queue that was loaded."""
        self._schedule(arn, PAUSE_MS)

    def stop(self) -> None:
        """Ends the work; after the next load it goes on where it was."""
        for step in self._steps.values():
            step.cancel()
        self._steps.clear()

    def _drop(self, arn: str) -> None:
        step = self._steps.pop(arn, None)
        if step is not None:
            step.cancel()

    def _schedule(self, arn: str, pause_ms: int) -> None:
        self._drop(arn)
        self._steps[arn] = self._timers.call_at(
            self._clock.now_ms() + pause_ms, lambda: self._step(arn)
        )

    def _step(self, arn: str) -> None:
        self._steps.pop(arn, None)
        try:
            self._engine.begin()
            queue = self._engine.find(arn)
            if not isinstance(queue, QueueMachine) or not queue.is_moving:
                return
            pause_ms = self._slice(queue)
        except BrokerClosed:
            return
        except StoreError as error:  # overloaded, or reloading: then `resume` comes as well
            log.warning("move_delayed", queue=arn, error=str(error))
            self._schedule(arn, RETRY_PAUSE_MS)
            return
        if queue.is_moving:
            self._schedule(arn, pause_ms)

    def _slice(self, queue: QueueMachine) -> int:
        """Moves one slice; returns the pause before the next one, in ms."""
        task = queue.running_move
        assert task is not None, "no move task is running"
        rate = task.per_second
        count = SLICE_MESSAGES if rate is None else max(1, rate // SLICES_PER_S)
        planned, cursor = queue.plan_move(count, self._engine.now_ms())
        records = [self._record(queue, movable) for movable in planned]
        moved: list[int] = []
        failure = ""
        for movable, record in zip(planned, records, strict=True):
            failure = self._deliver(queue, record, task.destination_arn)
            if failure:
                cursor = movable.number
                break
            moved.append(movable.number)
        self._engine.run(queue, queue.move(moved, cursor, failure))
        if failure:
            log.warning("move_failed", queue=queue.arn, reason=failure)
        return PAUSE_MS if rate is None else max(PAUSE_MS, -(-len(moved) * 1_000 // rate))

    def _record(self, queue: QueueMachine, movable: Movable) -> MessageRecord:
        return decode_message(movable.record or self._engine.read_back(queue, movable.key))

    def _deliver(
        self, queue: QueueMachine, record: MessageRecord, destination_arn: str | None
    ) -> str:
        """Gives a message to its queue. The answer is why it could not, or empty."""
        target_arn = destination_arn or record.dead_letter_source
        if target_arn is None:
            return NO_SOURCE
        target = self._engine.find(target_arn)
        if not isinstance(target, QueueMachine) or target.is_fifo != queue.is_fifo:
            return NO_DESTINATION
        parcel = Parcel(
            record.body,
            queue.arn,
            record.attributes,
            record.attributes_md5,
            record.group_id,
            record.deduplication_id,
            record.trace_header,
            record.sender_id,
            is_deduplicated=False,
        )
        self._engine.run(target, target.accept(parcel, self._engine.now_ms()))
        return ""
