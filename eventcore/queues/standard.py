"""The standard queue: at-least-once, best-effort order, visibility timeouts, delays, retention,
dead letters.

A message is in exactly one place:

    send, no delay ──▶ READY ──receive──▶ IN_FLIGHT ──delete──▶ gone
    send, delay ─▶ DELAYED ─due─▶ READY ◀──due, or visibility 0──┘

From anywhere a message is gone by retention and purge; from READY, at a receive, to dead letters.

Rules of this file:

- Rows: the spec (family 0), the purge mark (1), messages (2), delivery states (3), in this order,
  which is the order of recovery. A message's row is never rewritten. Its delivery row exists from
  its first receive here on.
- Time moves messages from DELAYED and IN_FLIGHT to READY. That is derived from the rows and the
  time, and is no mutation.
- READY is two sources, delivered in number order: `_fresh`, runs [first, last] of numbers never
  received, with those received at least POISON_RECEIVES times as runs behind (AWS moves them to the
  back of the queue); and `_returned`, a heap of the others that came back. Both may name messages
  that are not READY any more: those are passed over when they come up. Runs, because a list of a
  million messages would be walked by every full garbage collection.
- Numbers rise with the send. Retention walks up the numbers with one cursor, so that it costs
  nothing per message; the few messages that came with an older send time (dead letters keep theirs)
  are in a heap of their own.
- A purge swaps the containers and leaves memory and rows to be freed by `tick`, in slices.
- Bodies beyond `memory_bytes_max` are not kept: `record` is None, and the host reads the row back
  on receive.
"""

from __future__ import annotations

from collections import deque
from hashlib import md5
from heapq import heapify, heappop, heappush
from typing import Final, final

import msgspec

from eventcore import limits
from eventcore.codec import encode_record, record_decoder
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
from eventcore.queues.deadlines import NEVER, Deadlines
from eventcore.queues.message import (
    DeliveryRecord,
    Message,
    MessageRecord,
    SendEntry,
    SendResult,
    decode_delivery,
    decode_message,
)
from eventcore.queues.queue_spec import (
    QueueSpec,
    QueueStatistics,
    ReceiveRequest,
    check_int,
)
from eventcore.queues.receipt import make_handle, open_handle, queue_tag

__all__ = ["QueueRecord", "StandardQueue"]

SPEC, PURGE, MESSAGE, DELIVERY = 0, 1, 2, 3
DELAYED, READY, IN_FLIGHT, GONE = 0, 1, 2, 3
POISON_RECEIVES: Final = 3
_MESSAGE_KEY: Final = row_key(MESSAGE, 0)
_DELIVERY_KEY: Final = row_key(DELIVERY, 0)


class QueueRecord(msgspec.Struct, frozen=True, array_like=True):
    """The row of the queue's settings. Its times are epoch ms."""

    spec: QueueSpec
    created_ms: int
    modified_ms: int


class PurgeRecord(msgspec.Struct, frozen=True, array_like=True):
    """Messages with a number below `below` are gone; their rows are trimmed below `trimmed`."""

    below: int
    trimmed: int
    purged_ms: int


_decode_queue: Final = record_decoder(QueueRecord)
_decode_purge: Final = record_decoder(PurgeRecord)


class _Entry(msgspec.Struct, gc=False):
    """A message in memory. `token` is 0 as long as it was never received here, and so has no
    delivery row.
    """

    number: int
    record: bytes | None
    sent_ms: int
    place: int
    receives: int = 0
    first_received_ms: int = 0
    received_ms: int = 0
    token: int = 0


@final
class StandardQueue:
    """One standard queue. See the file's rules; every command returns an Outcome or raises before
    it changes anything.
    """

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
        self._garbage: list[dict[int, _Entry]] = []
        self._start_empty()

    def _start_empty(self) -> None:
        self._entries: dict[int, _Entry] = {}
        self._fresh: deque[list[int]] = deque()
        self._returned: list[int] = []
        self._delayed = Deadlines()
        self._in_flight = Deadlines()
        self._memory_bytes = 0
        self._spilled = 0
        self._cursor = self._next_number
        self._expiry_ms = NEVER
        self._latest_sent_ms = 0
        self._older: list[tuple[int, int]] = []

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

    def send(self, entry: SendEntry, now_ms: int) -> Outcome[SendResult]:
        """Puts a message at the end, invisible for its delay.

        Raises MissingParameter for an empty body, InvalidParameter for one too large or a delay out
        of range.
        """
        body = self.check_send(entry)
        delay_ms = self.spec.delay_ms if entry.delay_ms is None else entry.delay_ms
        record = MessageRecord(
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
            entry.deduplication_id,
        )
        mutation = self._put_message(record)
        return Outcome(SendResult(record.id, record.body_md5, record.attributes_md5), (mutation,))

    def accept(self, parcel: Parcel, now_ms: int) -> Outcome[None]:
        """Takes what another machine delivers, as a new message. Never refuses: the sender has
        committed to it.
        """
        body = parcel.body.encode()
        record = MessageRecord(
            now_ms,
            now_ms + self.spec.delay_ms,
            self._ids.unique_id(),
            parcel.body,
            md5(body, usedforsecurity=False).digest(),
            attributes=parcel.attributes,
            attributes_md5=parcel.attributes_md5,
            trace_header=parcel.trace_header,
            group_id=parcel.group_id,
            deduplication_id=parcel.deduplication_id,
        )
        return Outcome(None, (self._put_message(record),))

    def take_over(self, transfer: Transfer, record: bytes, now_ms: int) -> Outcome[None]:
        """Takes a message moved from another queue: it keeps its id, send time and receive count,
        and is visible at once.

        AWS: "the expiration of a message is always based on its original enqueue timestamp"
        (standard queues).
        """
        moved = msgspec.structs.replace(
            decode_message(record),
            available_ms=now_ms,
            dead_letter_source=transfer.source_arn,
            receives=transfer.receives,
            first_received_ms=transfer.first_received_ms,
        )
        return Outcome(None, (self._put_message(moved),))

    def receive(self, request: ReceiveRequest, now_ms: int) -> Outcome[tuple[Message, ...]]:
        """Up to `messages_max` visible messages, each invisible to others for the visibility
        timeout from now on.

        Messages over the redrive policy's count leave for the dead-letter queue instead, except one
        that was dead-lettered itself and was not received here yet: queues that dead-letter into
        each other would pass it round for ever. Raises InvalidParameter for numbers out of range,
        LimitExceeded("in_flight_max") when the quota of messages in flight is reached.
        """
        if self._in_flight.earliest_ms <= now_ms or self._delayed.earliest_ms <= now_ms:
            self._release_due(now_ms, limits.TICK_STEPS_MAX)
        messages_max, timeout_ms = self._check_receive(request)
        if not self._fresh and not self._returned:
            return Outcome(())
        messages: list[Message] = []
        mutations: list[Mutation] = []
        effects: list[Transfer] = []
        redrive = self.spec.redrive if request.redrive_reachable else None
        expired_ms = now_ms - self.spec.retention_ms
        steps = limits.TICK_STEPS_MAX
        while len(messages) < messages_max and steps:
            steps -= 1
            entry = self._take_ready()
            if entry is None:
                break
            if entry.sent_ms <= expired_ms:
                self._delete_entry(entry, mutations)
            elif redrive is not None and entry.receives >= redrive.receives_max and entry.token:
                effects.append(self._transfer(entry, redrive.target_arn))
                self._delete_entry(entry, mutations)
            else:
                messages.append(self._deliver(entry, timeout_ms, now_ms, mutations))
        return Outcome(tuple(messages), tuple(mutations), tuple(effects))

    def delete(self, handle: str, now_ms: int) -> Outcome[None]:
        """Deletes the message of the handle; does nothing for an older handle or a message gone
        already, as AWS does.

        Raises InvalidReceiptHandle for a handle that is not this queue's.
        """
        number, token = open_handle(self._tag, handle)
        entry = self._entries.get(number)
        if entry is None or entry.token != token:
            return Outcome(None)
        mutations: list[Mutation] = []
        self._delete_entry(entry, mutations)
        return Outcome(None, tuple(mutations))

    def reject(self, handle: str, is_reachable: bool) -> Outcome[bool]:
        """Sends a received message to the dead-letter queue now, without waiting for its receive
        count to be reached.

        Without a (reachable) dead-letter queue it is deleted. The value says whether it went to
        one. Not an AWS operation: for handlers that know that a message will never succeed. Raises
        InvalidReceiptHandle.
        """
        number, token = open_handle(self._tag, handle)
        entry = self._entries.get(number)
        if entry is None or entry.token != token:
            return Outcome(False)
        redrive = self.spec.redrive if is_reachable else None
        effects = () if redrive is None else (self._transfer(entry, redrive.target_arn),)
        mutations: list[Mutation] = []
        self._delete_entry(entry, mutations)
        return Outcome(redrive is not None, tuple(mutations), effects)

    def change_visibility(self, handle: str, timeout_ms: int, now_ms: int) -> Outcome[None]:
        """Makes the message invisible until `timeout_ms` from now; 0 makes it visible at once.

        Raises InvalidParameter when the timeout is out of range, when the message is gone or was
        received again, and when it would stay invisible for more than 12 hours from its receive.
        """
        _check_timeout(timeout_ms)
        number, token = open_handle(self._tag, handle)
        entry = self._entries.get(number)
        if entry is None or entry.token != token:
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
        record = DeliveryRecord(
            now_ms + timeout_ms,
            timeout_ms,
            entry.receives,
            entry.first_received_ms,
            entry.received_ms,
            token,
        )
        mutation = Mutation(_DELIVERY_KEY | number, encode_record(record), record)
        self.apply(mutation)
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
        self._release_due(now_ms, limit)
        mutations: list[Mutation] = []
        self._expire(now_ms, limit, mutations)
        self._free_garbage(limit)
        trims = self._trim_purged(limit, mutations)
        return Outcome(None, tuple(mutations), (), trims)

    # State

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
        elif family == SPEC and mutation.value is not None:
            self._configure(mutation.record or _decode_queue(mutation.value))
        elif family == PURGE and mutation.value is not None:
            self._drop_purged(mutation.record or _decode_purge(mutation.value))

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
        spill = self._memory_bytes + len(value) > self._memory_bytes_max
        delay_ms = record.available_ms - record.sent_ms
        entry = _Entry(
            number,
            None if spill else value,
            record.sent_ms,
            READY if delay_ms <= 0 or record.dead_letter_source is not None else DELAYED,
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
        if entry.place == READY:
            self._append_fresh(number)
        else:
            self._delayed.add(number, record.available_ms, delay_ms)
        if record.sent_ms >= self._latest_sent_ms:
            self._latest_sent_ms = record.sent_ms
            if self._expiry_ms == NEVER:
                self._expiry_ms = record.sent_ms + self.spec.retention_ms
        else:
            heappush(self._older, (record.sent_ms, number))

    def _redeliver(self, entry: _Entry, record: DeliveryRecord) -> None:
        number = entry.number
        if entry.place == IN_FLIGHT:
            self._in_flight.remove(number)
        elif entry.place == DELAYED:
            self._delayed.remove(number)
        entry.place = IN_FLIGHT
        entry.receives = record.receives
        entry.first_received_ms = record.first_received_ms
        entry.received_ms = record.received_ms
        entry.token = record.token
        self._in_flight.add(number, record.visible_ms, record.timeout_ms)

    def _forget(self, number: int) -> None:
        entry = self._entries.pop(number, None)
        if entry is None:
            return
        if entry.place == IN_FLIGHT:
            self._in_flight.remove(number)
        elif entry.place == DELAYED:
            self._delayed.remove(number)
        entry.place = GONE
        if entry.record is None:
            self._spilled -= 1
        else:
            self._memory_bytes -= len(entry.record)
            entry.record = None

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
        if entry.group_id is not None and entry.group_id.__class__ is not str:
            raise InvalidParameter("group_id", "Must be a str.", entry.group_id)
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
            _check_timeout(timeout_ms)
        in_flight_max = self._quotas.in_flight_max
        if in_flight_max is None:
            return request.messages_max, timeout_ms
        room = in_flight_max - len(self._in_flight)
        if room <= 0:
            raise LimitExceeded("in_flight_max", in_flight_max, self.name)
        return min(request.messages_max, room), timeout_ms

    def _put_message(self, record: MessageRecord) -> Mutation:
        mutation = Mutation(_MESSAGE_KEY | self._next_number, encode_record(record), record, True)
        self.apply(mutation)
        return mutation

    def _append_fresh(self, number: int) -> None:
        runs = self._fresh
        if runs and runs[-1][1] == number - 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])

    def _pass_first_fresh(self) -> None:
        run = self._fresh[0]
        if run[0] == run[1]:
            self._fresh.popleft()
        else:
            run[0] += 1

    def _take_ready(self) -> _Entry | None:
        """The entry to deliver next, taken out of its source but still in place READY."""
        runs, returned, entries = self._fresh, self._returned, self._entries
        entry = None
        while runs:
            entry = entries.get(runs[0][0])
            if entry is not None and entry.place == READY:
                break
            entry = None
            self._pass_first_fresh()
        while returned:
            other = entries.get(returned[0])
            if other is not None and other.place == READY:
                if entry is not None and entry.number < other.number:
                    break
                heappop(returned)
                return other
            heappop(returned)
        if entry is not None:
            self._pass_first_fresh()
        return entry

    def _deliver(
        self, entry: _Entry, timeout_ms: int, now_ms: int, mutations: list[Mutation]
    ) -> Message:
        number = entry.number
        receives = entry.receives + 1
        first_received_ms = entry.first_received_ms or now_ms
        token = self._ids.token() or 1
        visible_ms = now_ms + timeout_ms
        record = DeliveryRecord(visible_ms, timeout_ms, receives, first_received_ms, now_ms, token)
        mutation = Mutation(_DELIVERY_KEY | number, encode_record(record), record, entry.token == 0)
        self.apply(mutation)
        mutations.append(mutation)
        return Message(
            _MESSAGE_KEY | number,
            entry.record,
            make_handle(self._tag, number, token),
            receives,
            first_received_ms,
            visible_ms,
        )

    def _transfer(self, entry: _Entry, target_arn: str) -> Transfer:
        key = _MESSAGE_KEY | entry.number
        return Transfer(
            target_arn, self.arn, key, entry.record, entry.receives, entry.first_received_ms
        )

    def _delete_entry(self, entry: _Entry, mutations: list[Mutation]) -> None:
        number = entry.number
        if entry.token:
            mutations.append(delete_row(_DELIVERY_KEY | number))
        mutation = delete_row(_MESSAGE_KEY | number)
        self.apply(mutation)
        mutations.append(mutation)

    def _release_due(self, now_ms: int, limit: int) -> None:
        entries = self._entries
        for number in self._delayed.pop_due(now_ms, limit):
            entries[number].place = READY
            heappush(self._returned, number)
        for number in self._in_flight.pop_due(now_ms, limit):
            entry = entries[number]
            entry.place = READY
            if entry.receives >= POISON_RECEIVES:
                self._append_fresh(number)
            else:
                heappush(self._returned, number)

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

    def _drop_stale(self) -> None:
        """What expired in READY with no receive coming would pile up in the two sources."""
        runs = self._fresh
        while runs and runs[0][0] < self._cursor:
            if runs[0][1] < self._cursor:
                runs.popleft()
            else:
                runs[0][0] = self._cursor
        if len(self._returned) > 2 * len(self._entries) + limits.TICK_STEPS_MAX:
            self._returned = [n for n in set(self._returned) if n in self._entries]
            heapify(self._returned)

    def _first_to_trim(self) -> int:
        """The lowest number that may have rows: a queue of ten messages may have had a billion."""
        if self._purge.trimmed < self._purge.below:
            return self._purge.trimmed
        return next(iter(self._entries), self._next_number)

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
            Trim(_MESSAGE_KEY | first, _MESSAGE_KEY | last),
            Trim(_DELIVERY_KEY | first, _DELIVERY_KEY | last),
        )

    # Observation

    @property
    def has_ready(self) -> bool:
        """Whether a receive would find a message (not looking at what has just fallen due)."""
        return len(self._entries) > len(self._in_flight) + len(self._delayed)

    def statistics(self, now_ms: int) -> QueueStatistics:
        """Counts by state, after making visible what is due."""
        self._release_due(now_ms, limits.TICK_STEPS_MAX)
        in_flight, delayed = len(self._in_flight), len(self._delayed)
        return QueueStatistics(
            len(self._entries) - in_flight - delayed,
            in_flight,
            delayed,
            now_ms - self._oldest_sent_ms(now_ms),
            self._memory_bytes,
            self._spilled,
        )

    def _oldest_sent_ms(self, default_ms: int) -> int:
        older, entries = self._older, self._entries
        while older and older[0][1] not in entries:
            heappop(older)
        first = next(iter(entries.values()), None)
        sent_ms = default_ms if first is None else first.sent_ms
        return min(sent_ms, older[0][0]) if older else sent_ms

    def check(self) -> None:
        """Asserts the rules of this file."""
        self._delayed.check()
        self._in_flight.check()
        listed = {n for first, last in self._fresh for n in range(first, last + 1)}
        listed.update(self._returned)
        memory_bytes = 0
        for number, entry in self._entries.items():
            assert entry.number == number and number < self._next_number
            assert number >= self._purge.below, "a purged message is still there"
            assert (self._delayed.deadline(number) is not None) == (entry.place == DELAYED)
            assert (self._in_flight.deadline(number) is not None) == (entry.place == IN_FLIGHT)
            assert entry.place != READY or number in listed, "a ready message is in no source"
            assert entry.place != GONE, "a deleted message is still there"
            memory_bytes += len(entry.record or b"")
        assert memory_bytes == self._memory_bytes, "memory is counted wrong"
        assert len(self._delayed) + len(self._in_flight) <= len(self._entries)


def _check_timeout(timeout_ms: int) -> None:
    check_int("visibility_timeout_ms", timeout_ms)
    if not 0 <= timeout_ms <= limits.VISIBILITY_TIMEOUT_MS_MAX:
        raise InvalidParameter(
            "visibility_timeout_ms",
            f"Must be >= 0 and <= {limits.VISIBILITY_TIMEOUT_MS_MAX}, if provided.",
            timeout_ms,
        )
