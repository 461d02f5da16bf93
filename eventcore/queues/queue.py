"""What standard and FIFO queues have in common: rows, receipts, visibility, retention, purge, dead
letters, move tasks. Which message is received next is the kinds' own.

A message is in exactly one place:

    send, no delay ──▶ READY ──receive──▶ IN_FLIGHT ──delete──▶ gone
    send, delay ─▶ DELAYED ─due─▶ READY ◀──due, or visibility 0──┘

From anywhere a message is gone by retention and purge; from READY, at a receive, to dead letters.

Rules of this file:

- Rows are in `records`, in the order of recovery. A message's row is never rewritten. Its delivery
  row exists from its first receive here on.
- Time moves messages from DELAYED and IN_FLIGHT to READY. That is derived from the rows and the
  time, and is no mutation.
- Numbers rise with the send. Retention walks up the numbers with one cursor, so that it costs
  nothing per message; the few messages that came with an older send time (dead letters keep theirs)
  are in a heap of their own.
- A purge swaps the containers and leaves memory and rows to be freed by `tick`, in slices.
- Bodies beyond `memory_bytes_max` are not kept: `record` is None, and the host reads the row back
  on receive.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from hashlib import md5
from heapq import heappop, heappush
from typing import ClassVar, Final

from eventcore import limits
from eventcore.codec import encode_record
from eventcore.errors import InvalidParameter, LimitExceeded, MissingParameter
from eventcore.ids import IdSource
from eventcore.outcome import (
    FAMILY_SHIFT,
    NUMBER_MASK,
    Mutation,
    Outcome,
    Parcel,
    Transfer,
    Trim,
    delete_row,
    put_row,
    row_key,
)
from eventcore.queues.chaos import is_throttled
from eventcore.queues.deadlines import NEVER, Deadlines
from eventcore.queues.entry import DELAYED, GONE, IN_FLIGHT, READY, Entry
from eventcore.queues.message import (
    Browsed,
    DeliveryRecord,
    Message,
    MessageRecord,
    SendEntry,
    SendResult,
    decode_delivery,
    decode_message,
)
from eventcore.queues.move_task import Movable, MoveTask
from eventcore.queues.moves import Moves
from eventcore.queues.queue_spec import (
    QueueSpec,
    QueueStatistics,
    ReceiveRequest,
    check_id,
    check_int,
    check_timeout,
)
from eventcore.queues.rate_limit import RateLimits
from eventcore.queues.receipt import make_handle, open_handle, queue_tag
from eventcore.queues.records import (
    DELIVERY,
    DELIVERY_KEY,
    MESSAGE,
    MESSAGE_KEY,
    MOVE,
    PURGE,
    SPEC,
    PurgeRecord,
    QueueRecord,
    decode_purge,
    decode_queue,
)

__all__ = ["QueueMachine"]

SPILLED_BYTES: Final = 65_536
"""What a body that is not in memory counts as, where bytes are counted."""


class QueueMachine(ABC):
    """One queue. Every command returns an Outcome or raises before it changes anything."""

    is_fifo: ClassVar[bool]
    entry_type: ClassVar[type[Entry]] = Entry

    def __init__(
        self,
        arn: str,
        ids: IdSource,
        quotas: limits.Quotas = limits.RELAXED_QUOTAS,
        memory_bytes_max: int = limits.BODY_MEMORY_BYTES_DEFAULT,
    ) -> None:
        self.arn = arn
        self.name = arn.rpartition(":")[2]
        self.spec = QueueSpec()
        self.created_ms = 0
        self.modified_ms = 0
        self._ids = ids
        self._quotas = quotas
        self._memory_bytes_max = memory_bytes_max
        self._tag = 0
        self._purge = PurgeRecord(0, 0, 0)
        self._next_number = 0
        self._garbage: list[dict[int, Entry]] = []
        self._moves = Moves()
        self._calls = 0
        self._call_limits: RateLimits | None = None
        self._group_limits: RateLimits | None = None
        self._start_empty()

    def _start_empty(self) -> None:
        self._entries: dict[int, Entry] = {}
        self._delayed = Deadlines()
        self._in_flight = Deadlines()
        self._memory_bytes = 0
        self._spilled = 0
        self._cursor = self._next_number
        self._expiry_ms = NEVER
        self._latest_sent_ms = 0
        self._older: list[tuple[int, int]] = []

    # What the kinds decide

    @abstractmethod
    def send(self, entry: SendEntry, now_ms: int) -> Outcome[SendResult]:
        """Puts a message at the end."""

    @abstractmethod
    def accept(self, parcel: Parcel, now_ms: int) -> Outcome[None]:
        """Takes what another machine delivers, as a new message. Never refuses what `refusal` does
        not: the sender has committed to it.
        """

    @abstractmethod
    def refusal(self, parcel: Parcel) -> str | None:
        """Why this queue could not take a parcel; None when it can."""

    @abstractmethod
    def take_over(self, transfer: Transfer, record: bytes, now_ms: int) -> Outcome[None]:
        """Takes a message that another queue dead-letters."""

    @abstractmethod
    def receive(self, request: ReceiveRequest, now_ms: int) -> Outcome[tuple[Message, ...]]:
        """Gives out visible messages, and makes them invisible to others."""

    @property
    @abstractmethod
    def has_ready(self) -> bool:
        """Whether a receive would find a message (not looking at what has just fallen due)."""

    @abstractmethod
    def _arrive(self, entry: Entry, record: MessageRecord) -> None:
        """Gives a new entry its place."""

    @abstractmethod
    def _shift(self, entry: Entry, old: int) -> None:
        """Told of an entry with a group that left the place `old` for the one that it is in."""

    @abstractmethod
    def _return(self, entry: Entry) -> None:
        """Puts an entry in line that has just become READY again."""

    @abstractmethod
    def _drop_stale(self) -> None:
        """Frees what expired messages left in line with no receive coming."""

    @abstractmethod
    def _apply_more(self, family: int, number: int, mutation: Mutation) -> None:
        """Takes in a row of a family that only one kind has."""

    # Commands

    def configure(self, spec: QueueSpec, now_ms: int) -> Outcome[None]:
        """Creates the queue or changes its settings. A shorter retention applies to the messages
        that are there.

        Raises InvalidParameter for a setting out of range.
        """
        spec.validate()
        record = QueueRecord(spec, self.created_ms or now_ms, now_ms)
        mutation = put_row(row_key(SPEC, 0), record)
        self.apply(mutation)
        return Outcome(None, (mutation,))

    def admit(self, action: str, now_ms: int) -> None:
        """Counts a call of an action ("send", "receive", "delete", "change"; a batch is one call).

        Raises LimitExceeded("fifo_calls_per_s") over the quota of a FIFO queue that is limited as a
        whole, LimitExceeded("chaos_throttle") by chance where the queue has chaos.
        """
        chaos = self.spec.chaos
        if chaos is not None:
            self._calls += 1
            if is_throttled(chaos, self._calls):
                raise LimitExceeded("chaos_throttle", self._calls, self.name)
        if self._call_limits is not None and not self._call_limits.take(action, now_ms):
            raise LimitExceeded("fifo_calls_per_s", self._quotas.fifo_calls_per_s or 0, self.name)

    def admit_group(self, group_id: str, now_ms: int) -> None:
        """Counts a call that sends to a message group, once per call and group.

        Raises LimitExceeded("fifo_calls_per_s") over the quota of the group, in a FIFO queue that
        is limited by group.
        """
        if self._group_limits is not None and not self._group_limits.take(group_id, now_ms):
            raise LimitExceeded("fifo_calls_per_s", self._quotas.fifo_calls_per_s or 0, group_id)

    @property
    def is_limited(self) -> bool:
        """Whether `admit` or `admit_group` has anything to say."""
        return (
            self.spec.chaos is not None
            or self._call_limits is not None
            or self._group_limits is not None
        )

    def delete(self, handle: str, now_ms: int) -> Outcome[None]:
        """Deletes the message of the handle; does nothing for an older handle or a message gone
        already, as AWS does.

        Raises InvalidReceiptHandle for a handle that is not this queue's.
        """
        entry = self._open(handle)
        if entry is None:
            return Outcome(None)
        mutations: list[Mutation] = []
        self._now_ms = now_ms
        self._delete_entry(entry, mutations)
        return Outcome(None, tuple(mutations))

    def reject(self, handle: str, is_reachable: bool) -> Outcome[bool]:
        """Sends a received message to the dead-letter queue now, without waiting for its receive
        count to be reached.

        Without a (reachable) dead-letter queue it is deleted. The value says whether it went to
        one. Not an AWS operation: for handlers that know that a message will never succeed. Raises
        InvalidReceiptHandle.
        """
        entry = self._open(handle)
        if entry is None:
            return Outcome(False)
        redrive = self.spec.redrive if is_reachable else None
        effects = () if redrive is None else (self._transfer(entry, redrive.target_arn),)
        mutations: list[Mutation] = []
        self._delete_entry(entry, mutations)
        return Outcome(redrive is not None, tuple(mutations), effects)

    def change_visibility(self, handle: str, timeout_ms: int, now_ms: int) -> Outcome[None]:
        """Makes the message invisible until `timeout_ms` from now; 0 makes it visible at once.

        Raises InvalidParameter when the timeout is out of range, when the message is gone or was
        received again (a FIFO queue's: or is visible again), and when it would stay invisible for
        more than 12 hours from its receive.
        """
        check_timeout(timeout_ms)
        self._now_ms = now_ms
        entry = self._open(handle)
        if entry is None or (self.is_fifo and not self._is_invisible(entry, now_ms)):
            raise InvalidParameter(
                "receipt_handle",
                "Message does not exist or is not available for visibility timeout change.",
                handle,
            )
        if now_ms + timeout_ms - entry.received_ms > limits.VISIBILITY_TIMEOUT_MS_MAX:
            raise InvalidParameter(
                "visibility_timeout_ms",
                "Total VisibilityTimeout for the message is beyond the limit [43200 seconds].",
                timeout_ms,
            )
        mutation = self._hide(entry, timeout_ms, now_ms)
        self._release_due(now_ms, limits.TICK_STEPS_MAX)
        return Outcome(None, (mutation,))

    def purge(self, now_ms: int) -> Outcome[None]:
        """Deletes every message, those in flight and delayed included, that was sent before now.

        Raises LimitExceeded("purge_interval_ms") for a second purge within the quota's interval.
        """
        interval_ms = self._quotas.purge_interval_ms
        if interval_ms and self._purge.purged_ms and now_ms < self._purge.purged_ms + interval_ms:
            raise LimitExceeded("purge_interval_ms", interval_ms, self.name)
        record = PurgeRecord(self._next_number, self._first_to_trim(), now_ms)
        mutation = put_row(row_key(PURGE, 0), record)
        self.apply(mutation)
        return Outcome(None, (mutation,))

    # Move tasks

    def start_move(
        self, destination_arn: str | None, per_second: int | None, now_ms: int
    ) -> Outcome[str]:
        """Starts a message move task over the messages that are there; the value is its handle.

        Raises InvalidParameter("request") when one is running.
        """
        outcome = self._moves.start(
            destination_arn, per_second, len(self._entries), self._next_number, now_ms
        )
        return Outcome(self._moves.handle(self.arn, self._tag, outcome.value), outcome.mutations)

    def plan_move(self, messages_max: int, now_ms: int) -> tuple[list[Movable], int]:
        """The next messages that the running task would move, and where it would go on then.

        Changes nothing durable. What is not visible, and in a FIFO queue what is behind such a
        message, is left out. Ends after BROWSE_STEPS_MAX numbers or MOVE_SLICE_BYTES of bodies.
        """
        task = self._moves.running
        assert task is not None, "no move task is running"
        self._release_due(now_ms, limits.TICK_STEPS_MAX)
        found: list[Movable] = []
        planned: set[int] = set()
        room_bytes = limits.MOVE_SLICE_BYTES
        number = max(task.cursor, self._first_number())
        last = min(task.below, number + limits.BROWSE_STEPS_MAX)
        while number < last and len(found) < messages_max and room_bytes > 0:
            entry = self._entries.get(number)
            if entry and self._is_movable(entry, planned, now_ms):
                planned.add(number)
                found.append(Movable(number, MESSAGE_KEY | number, entry.record))
                room_bytes -= SPILLED_BYTES if entry.record is None else len(entry.record)
            number += 1
        return found, min(number, task.below)

    def _is_movable(self, entry: Entry, planned: set[int], now_ms: int) -> bool:
        """Whether a move task may take this entry after the `planned` ones."""
        return entry.place == READY

    def move(self, moved: Sequence[int], cursor: int, failure: str) -> Outcome[None]:
        """Deletes the messages that were planned and are delivered elsewhere, and moves the task
        on to `cursor`; with a `failure` it ends.
        """
        mutations: list[Mutation] = []
        for number in moved:
            self._delete_entry(self._entries[number], mutations)
        mutations.append(self._moves.step(len(moved), cursor, failure))
        return Outcome(None, tuple(mutations))

    def cancel_move(self, tag: int, number: int) -> Outcome[int]:
        """Cancels a task; the value is how many messages it has moved.

        Raises NotFound("move task"), InvalidParameter("task_handle") when it is not running.
        """
        return self._moves.cancel(tag == self._tag, number)

    @property
    def is_moving(self) -> bool:
        """Whether a move task is running."""
        return self._moves.running is not None

    @property
    def running_move(self) -> MoveTask | None:
        """The running move task."""
        tasks = self._moves.tasks(self.arn, self._tag, 1)
        return tasks[0] if tasks and self.is_moving else None

    def moves(self, tasks_max: int) -> list[MoveTask]:
        """The latest tasks, newest first."""
        return self._moves.tasks(self.arn, self._tag, tasks_max)

    # Time

    def next_deadline(self) -> int | None:
        """Early at times (a deadline whose message is gone), never late."""
        if self._garbage or self._purge.trimmed < self._purge.below:
            return 0
        deadline_ms = min(self._in_flight.earliest_ms, self._delayed.earliest_ms, self._expiry_ms)
        if self._older:
            deadline_ms = min(deadline_ms, self._older[0][0] + self.spec.retention_ms)
        return None if deadline_ms >= NEVER else deadline_ms

    def tick(self, now_ms: int, limit: int) -> Outcome[None]:
        """Makes messages visible that are due, drops expired ones, frees what a purge left: `limit`
        steps of each.
        """
        self._now_ms = now_ms
        self._release_due(now_ms, limit)
        mutations: list[Mutation] = []
        self._expire(now_ms, limit, mutations)
        self._free_garbage(limit)
        trims = self._trim_purged(limit, mutations)
        return Outcome(None, tuple(mutations), (), trims)

    # State

    _now_ms = 0
    """The time of the latest command, for what is not durable."""

    def apply(self, mutation: Mutation) -> None:
        """The only code that changes durable state. Rows of purged messages are passed over."""
        number = mutation.key & NUMBER_MASK
        family = mutation.key >> FAMILY_SHIFT
        if family == MESSAGE:
            if mutation.value is None:
                self._forget(number)
            elif number >= self._purge.below:
                record = mutation.record or decode_message(mutation.value)
                self._add(number, record, mutation.value)
        elif family == DELIVERY:
            if mutation.value is not None and (entry := self._entries.get(number)):
                self._redeliver(entry, mutation.record or decode_delivery(mutation.value))
        elif family == MOVE:
            self._moves.apply(number, mutation)
            # Messages sent after a restart are not the task's, even where all others are gone.
            self._next_number = max(self._next_number, self._moves.below)
        elif family == SPEC:
            if mutation.value is not None:
                self._configure(mutation.record or decode_queue(mutation.value))
        elif family == PURGE:
            if mutation.value is not None:
                self._drop_purged(mutation.record or decode_purge(mutation.value))
        else:
            self._apply_more(family, number, mutation)

    def _configure(self, record: QueueRecord) -> None:
        self.spec = record.spec
        self.created_ms = record.created_ms
        self.modified_ms = record.modified_ms
        self._tag = queue_tag(self.arn, record.created_ms)
        self._expiry_ms = NEVER if not self._entries else 0

    def _drop_purged(self, record: PurgeRecord) -> None:
        if record.below > self._purge.below:
            self._garbage.append(self._entries)
            self._next_number = max(self._next_number, record.below)
            self._start_empty()
        self._purge = record

    def _add(self, number: int, record: MessageRecord, value: bytes) -> None:
        if number in self._entries:
            return
        if not self._entries:
            self._cursor = number
        spill = self._memory_bytes + len(value) > self._memory_bytes_max
        entry = self.entry_type(
            number,
            None if spill else value,
            record.sent_ms,
            READY,
            record.receives,
            record.first_received_ms,
        )
        self._entries[number] = entry
        if number >= self._next_number:
            self._next_number = number + 1
        if spill:
            self._spilled += 1
        else:
            self._memory_bytes += len(value)
        self._arrive(entry, record)
        if record.sent_ms >= self._latest_sent_ms:
            self._latest_sent_ms = record.sent_ms
            if self._expiry_ms == NEVER:
                self._expiry_ms = record.sent_ms + self.spec.retention_ms
        else:
            heappush(self._older, (record.sent_ms, number))

    def _redeliver(self, entry: Entry, record: DeliveryRecord) -> None:
        number, old = entry.number, entry.place
        if old == IN_FLIGHT:
            self._in_flight.remove(number)
        elif old == DELAYED:
            self._delayed.remove(number)
        entry.place = IN_FLIGHT
        entry.receives = record.receives
        entry.first_received_ms = record.first_received_ms
        entry.received_ms = record.received_ms
        entry.token = record.token
        self._in_flight.add(number, record.visible_ms, record.timeout_ms)
        if entry.group is not None:
            self._shift(entry, old)

    def _forget(self, number: int) -> None:
        entry = self._entries.pop(number, None)
        if entry is None:
            return
        old = entry.place
        if old == IN_FLIGHT:
            self._in_flight.remove(number)
        elif old == DELAYED:
            self._delayed.remove(number)
        entry.place = GONE
        if entry.record is None:
            self._spilled -= 1
        else:
            self._memory_bytes -= len(entry.record)
            entry.record = None
        if entry.group is not None:
            self._shift(entry, old)

    # Steps of the commands

    def check_send(self, entry: SendEntry) -> bytes:
        """The body's bytes, if this message may be sent; raises what `send` would raise."""
        try:
            body = entry.body.encode()
        except UnicodeEncodeError as error:
            raise InvalidParameter("body", "Invalid characters found: lone surrogates.") from error
        except AttributeError as error:
            raise InvalidParameter("body", "Must be a str.", type(entry.body)) from error
        if not body:
            raise MissingParameter("body")
        size_bytes = entry.size_bytes if entry.size_bytes >= 0 else len(body)
        if size_bytes > self.spec.message_bytes_max:
            raise InvalidParameter(
                "body",
                f"Message must be shorter than {self.spec.message_bytes_max} bytes.",
                size_bytes,
            )
        if entry.delay_ms is not None:
            check_int("delay_ms", entry.delay_ms)
            if not 0 <= entry.delay_ms <= limits.DELAY_MS_MAX:
                raise InvalidParameter(
                    "delay_ms", f"Must be >= 0 and <= {limits.DELAY_MS_MAX}.", entry.delay_ms
                )
        if entry.group_id is not None:
            check_id("group_id", entry.group_id)
        if entry.deduplication_id is not None:
            if not self.is_fifo:
                raise InvalidParameter("deduplication_id", "Is for FIFO queues only.")
            check_id("deduplication_id", entry.deduplication_id)
        return body

    def _check_receive(self, request: ReceiveRequest) -> tuple[int, int]:
        """(how many messages, visibility timeout) of a request."""
        check_int("messages_max", request.messages_max)
        if not 1 <= request.messages_max <= limits.RECEIVE_MESSAGES_MAX:
            raise InvalidParameter(
                "messages_max",
                f"Must be between 1 and {limits.RECEIVE_MESSAGES_MAX}, if provided.",
                request.messages_max,
            )
        timeout_ms = request.visibility_timeout_ms
        if timeout_ms is None:
            timeout_ms = self.spec.visibility_timeout_ms
        else:
            check_timeout(timeout_ms)
        return request.messages_max, timeout_ms

    def _message_record(
        self, entry: SendEntry, body: bytes, deduplication_id: str | None, now_ms: int
    ) -> MessageRecord:
        delay_ms = self.spec.delay_ms if entry.delay_ms is None else entry.delay_ms
        return MessageRecord(
            now_ms,
            now_ms + delay_ms,
            self._ids.unique_id(),
            entry.body,
            md5(body, usedforsecurity=False).digest(),
            entry.sender_id,
            entry.attributes,
            entry.attributes_md5,
            entry.trace_header,
            entry.group_id,
            deduplication_id,
        )

    def _put_message(self, record: MessageRecord) -> Mutation:
        mutation = Mutation(MESSAGE_KEY | self._next_number, encode_record(record), record, True)
        self.apply(mutation)
        return mutation

    def _open(self, handle: str) -> Entry | None:
        """The entry of a handle; None when it is gone, or the handle is not its latest one."""
        number, token = open_handle(self._tag, handle)
        entry = self._entries.get(number)
        return entry if entry is not None and entry.token == token else None

    def _is_invisible(self, entry: Entry, now_ms: int) -> bool:
        deadline_ms = self._in_flight.deadline(entry.number)
        return deadline_ms is not None and deadline_ms > now_ms

    def _deliver(
        self, entry: Entry, timeout_ms: int, now_ms: int, mutations: list[Mutation]
    ) -> Message:
        number = entry.number
        receives = entry.receives + 1
        first_received_ms = entry.first_received_ms or now_ms
        token = self._ids.token() or 1
        visible_ms = now_ms + timeout_ms
        record = DeliveryRecord(visible_ms, timeout_ms, receives, first_received_ms, now_ms, token)
        mutation = Mutation(DELIVERY_KEY | number, encode_record(record), record, entry.token == 0)
        self.apply(mutation)
        mutations.append(mutation)
        return Message(
            MESSAGE_KEY | number,
            entry.record,
            make_handle(self._tag, number, token),
            receives,
            first_received_ms,
            visible_ms,
            number + 1 if self.is_fifo else 0,
        )

    def _hide(self, entry: Entry, timeout_ms: int, now_ms: int) -> Mutation:
        """Keeps a received message invisible for `timeout_ms` from now."""
        record = DeliveryRecord(
            now_ms + timeout_ms,
            timeout_ms,
            entry.receives,
            entry.first_received_ms,
            entry.received_ms,
            entry.token,
        )
        mutation = Mutation(DELIVERY_KEY | entry.number, encode_record(record), record)
        self.apply(mutation)
        return mutation

    def _transfer(self, entry: Entry, target_arn: str) -> Transfer:
        key = MESSAGE_KEY | entry.number
        return Transfer(
            target_arn, self.arn, key, entry.record, entry.receives, entry.first_received_ms
        )

    def _delete_entry(self, entry: Entry, mutations: list[Mutation]) -> None:
        number = entry.number
        if entry.token:
            mutations.append(delete_row(DELIVERY_KEY | number))
        mutation = delete_row(MESSAGE_KEY | number)
        self.apply(mutation)
        mutations.append(mutation)

    def _release_due(self, now_ms: int, limit: int) -> None:
        entries = self._entries
        for number in self._delayed.pop_due(now_ms, limit):
            entry = entries[number]
            entry.place = READY
            self._return(entry)
            if entry.group is not None:
                self._shift(entry, DELAYED)
        for number in self._in_flight.pop_due(now_ms, limit):
            entry = entries[number]
            entry.place = READY
            self._return(entry)
            if entry.group is not None:
                self._shift(entry, IN_FLIGHT)

    def _expire(self, now_ms: int, limit: int, mutations: list[Mutation]) -> None:
        """Walks the cursor up to the first message that is not due; the walk over deleted numbers
        counts as steps.
        """
        expired_ms = now_ms - self.spec.retention_ms
        older = self._older
        while older and older[0][0] <= expired_ms and limit:
            limit -= 1
            if (entry := self._entries.get(heappop(older)[1])) is not None:
                self._delete_entry(entry, mutations)
        if self._expiry_ms > now_ms:
            return
        while self._cursor < self._next_number and limit:
            limit -= 1
            entry = self._entries.get(self._cursor)
            if entry is not None:
                if entry.sent_ms > expired_ms:
                    self._expiry_ms = entry.sent_ms + self.spec.retention_ms
                    break
                self._delete_entry(entry, mutations)
            self._cursor += 1
        else:
            self._expiry_ms = NEVER if self._cursor >= self._next_number else now_ms
        self._drop_stale()

    def _first_to_trim(self) -> int:
        """The lowest number that may have rows: a queue of ten messages may have had a billion."""
        if self._purge.trimmed < self._purge.below:
            return self._purge.trimmed
        return self._first_number()

    def _first_number(self) -> int:
        """The lowest number; the next one where there are no messages: then nothing is searched."""
        return next(iter(self._entries)) if self._entries else self._next_number

    def _free_garbage(self, limit: int) -> None:
        while self._garbage and limit:
            if self._garbage[-1]:
                self._garbage[-1].popitem()
            else:
                self._garbage.pop()
            limit -= 1

    def _trim_purged(self, limit: int, mutations: list[Mutation]) -> tuple[Trim, ...]:
        purge = self._purge
        if purge.trimmed >= purge.below:
            return ()
        first, last = purge.trimmed, min(purge.trimmed + limit, purge.below) - 1
        mutation = put_row(row_key(PURGE, 0), PurgeRecord(purge.below, last + 1, purge.purged_ms))
        self.apply(mutation)
        mutations.append(mutation)
        return (
            Trim(MESSAGE_KEY | first, MESSAGE_KEY | last),
            Trim(DELIVERY_KEY | first, DELIVERY_KEY | last),
        )

    # Observation

    def browse(self, after: int, messages_max: int, now_ms: int) -> tuple[list[Browsed], int]:
        """Messages with a number above `after`, in the order of their sends, as they are now; and
        the number to go on after, `after` itself at the end. -1 begins with the first.

        Changes nothing. Expired messages are left out. Looks at BROWSE_STEPS_MAX numbers at the
        most, so there may be none in the answer and more after it.
        """
        number = max(after + 1, self._first_number())
        last = min(self._next_number, number + limits.BROWSE_STEPS_MAX)
        expired_ms = now_ms - self.spec.retention_ms
        found: list[Browsed] = []
        while number < last and len(found) < messages_max:
            entry = self._entries.get(number)
            if entry is not None and entry.sent_ms > expired_ms:
                found.append(self._browsed(entry, now_ms))
            number += 1
        return found, max(after, number - 1)

    def _browsed(self, entry: Entry, now_ms: int) -> Browsed:
        visible_ms = self._visible_ms(entry)
        if visible_ms <= now_ms:
            state, visible_ms = "visible", 0
        else:
            state = "in flight" if entry.place == IN_FLIGHT else "delayed"
        return Browsed(
            MESSAGE_KEY | entry.number,
            entry.number,
            entry.record,
            state,
            entry.receives,
            entry.first_received_ms,
            visible_ms,
            entry.number + 1 if self.is_fifo else 0,
        )

    def _visible_ms(self, entry: Entry) -> int:
        """When an entry is visible (again); 0 when it is."""
        if entry.place == IN_FLIGHT:
            return self._in_flight.deadline(entry.number) or 0
        return self._delayed.deadline(entry.number) or 0

    def statistics(self, now_ms: int) -> QueueStatistics:
        """Counts by state, after making visible what is due."""
        self._release_due(now_ms, limits.TICK_STEPS_MAX)
        in_flight, delayed = len(self._in_flight), self._count_delayed(now_ms)
        visible = len(self._entries) - in_flight - delayed
        age_ms = now_ms - self._oldest_sent_ms(now_ms)
        return QueueStatistics(
            visible,
            in_flight,
            delayed,
            age_ms,
            self._memory_bytes,
            self._spilled,
            0,
            visible,
            in_flight,
            delayed,
            age_ms,
        )

    def _count_delayed(self, now_ms: int) -> int:
        return len(self._delayed)

    def _oldest_sent_ms(self, default_ms: int) -> int:
        older, entries = self._older, self._entries
        while older and older[0][1] not in entries:
            heappop(older)
        sent_ms = next(iter(entries.values())).sent_ms if entries else default_ms
        return min(sent_ms, older[0][0]) if older else sent_ms

    def check(self) -> None:
        """Asserts the rules of this file."""
        self._delayed.check()
        self._in_flight.check()
        memory_bytes = 0
        for number, entry in self._entries.items():
            assert entry.number == number and number < self._next_number
            assert number >= self._purge.below, "a purged message is still there"
            assert (self._delayed.deadline(number) is not None) == (entry.place == DELAYED)
            assert (self._in_flight.deadline(number) is not None) == (entry.place == IN_FLIGHT)
            assert entry.place != GONE, "a deleted message is still there"
            memory_bytes += len(entry.record or b"")
        assert memory_bytes == self._memory_bytes, "memory is counted wrong"
        assert len(self._delayed) + len(self._in_flight) <= len(self._entries)
        self._moves.check()
