"""The FIFO queue: strict order within each message group, and exactly one message per deduplication
id in five minutes.

Rules of this file, beside those of `queue`:

- The messages of a group are a chain in the order of their numbers. A receive takes from its front,
  as long as they are visible, up to the first one that is not: a message in flight keeps all that
  are behind it. A group is therefore in one of three states: its front message is visible and it
  stands in line; its front message is in flight, or its delay is not over, and it waits for that;
  or it has no messages and is no more.
- Groups in line are a heap, the one with the oldest front message first, so that a consumer that
  takes everything sees the order of the sends. A front message that came back POISON_RECEIVES times
  counts as the newest, so that it does not hold up the other groups. Stale items in the heap (the
  group has another front by now, or is in line anew) are passed over when they come up.
- A queue's delay also applies to messages that are there when it is changed (AWS, "Amazon SQS delay
  queues"), and only to messages never received. So it is no place, but is worked out of the send
  time when a message is at the front. How many are delayed is counted with one cursor, since the
  numbers rise with the send times: those from the cursor on that were never received.
- What a deduplication id stands for outlives the message (see `deduplication`).
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from typing import ClassVar, Final, final

import msgspec

from eventcore import limits
from eventcore.errors import InvalidParameter, MissingParameter
from eventcore.ids import IdSource, format_uuid
from eventcore.outcome import Mutation, Outcome, Parcel, Transfer, Trim, put_row, row_key
from eventcore.queues.attempts import Attempts
from eventcore.queues.deadlines import NEVER
from eventcore.queues.deduplication import Deduplication, Known, content_id, digest_of
from eventcore.queues.entry import GONE, IN_FLIGHT, READY, Entry, Group
from eventcore.queues.message import (
    DeliveryRecord,
    Message,
    MessageRecord,
    SendEntry,
    SendResult,
    decode_message,
    record_of_parcel,
)
from eventcore.queues.queue import QueueMachine
from eventcore.queues.queue_spec import (
    DEDUPLICATE_PER_GROUP,
    LIMIT_PER_GROUP,
    QueueSpec,
    ReceiveRequest,
    check_id,
)
from eventcore.queues.rate_limit import RateLimits
from eventcore.queues.receipt import make_handle, open_handle
from eventcore.queues.records import (
    ATTEMPT,
    DEDUPLICATION,
    MESSAGE_KEY,
    AttemptRecord,
    DeduplicationRecord,
    QueueRecord,
    decode_deduplication,
)

__all__ = ["FifoQueue"]

POISON_RECEIVES: Final = 3
NO_NUMBER: Final = -1
SWEEP_MIN: Final = 1_024
_NO_ID: Final = (
    "The queue should either have ContentBasedDeduplication enabled or MessageDeduplicationId "
    "provided explicitly"
)


class FifoEntry(Entry, gc=False):
    """A message and its neighbours in the chain of its group, by number."""

    previous: int = NO_NUMBER
    next: int = NO_NUMBER


class FifoGroup(Group, gc=False):
    """A message group: the ends of its chain. `rank` is its place in the heap of those in line;
    NO_NUMBER when it is not in line.
    """

    first: int = NO_NUMBER
    last: int = NO_NUMBER
    rank: int = NO_NUMBER


@final
class FifoQueue(QueueMachine):
    """One FIFO queue. See the file's rules."""

    is_fifo: ClassVar[bool] = True
    entry_type: ClassVar[type[Entry]] = FifoEntry

    def __init__(
        self,
        arn: str,
        ids: IdSource,
        quotas: limits.Quotas = limits.RELAXED_QUOTAS,
        memory_bytes_max: int = limits.BODY_MEMORY_BYTES_DEFAULT,
    ) -> None:
        super().__init__(arn, ids, quotas, memory_bytes_max)
        self._deduplication = Deduplication()
        self._attempts = Attempts()

    def _start_empty(self) -> None:
        super()._start_empty()
        self._groups: dict[str, FifoGroup] = {}
        self._line: list[tuple[int, int]] = []
        self._waiting: list[tuple[int, int]] = []
        self._delay_cursor = self._next_number
        self._delayed_count = 0
        self._is_delay_raised = False

    # Sending

    def send(self, entry: SendEntry, now_ms: int) -> Outcome[SendResult]:
        """Puts a message at the end of its group; one with a deduplication id taken in the last
        five minutes is answered like the first, and goes nowhere.

        Raises MissingParameter for no body or no group, InvalidParameter for a body too large, a
        delay of its own, malformed ids, or no deduplication id where the queue does not make one
        of the body.
        """
        body = self.check_send(entry)
        group_id = entry.group_id or ""
        deduplication_id = entry.deduplication_id or content_id(body)
        is_per_group = self.spec.deduplication_scope == DEDUPLICATE_PER_GROUP
        digest = digest_of(deduplication_id, group_id if is_per_group else None)
        known = self._known(digest, deduplication_id, is_per_group, now_ms)
        record = self._message_record(entry, body, deduplication_id, now_ms)
        if known is not None:
            number, message_id = known
            return Outcome(
                SendResult(message_id, record.body_md5, record.attributes_md5, number + 1)
            )
        mutations = self._put(record, digest, is_per_group)
        result = SendResult(record.id, record.body_md5, record.attributes_md5, self._next_number)
        return Outcome(result, mutations)

    def check_send(self, entry: SendEntry) -> bytes:
        """The body's bytes, if this message may be sent; raises what `send` would raise."""
        if entry.group_id is None:
            raise MissingParameter("group_id")
        if entry.deduplication_id is None and not self.spec.content_deduplication:
            raise InvalidParameter("request", _NO_ID)
        if entry.delay_ms:
            raise InvalidParameter(
                "delay_ms",
                "The request include parameter that is not valid for this queue type.",
                entry.delay_ms,
            )
        return super().check_send(entry)

    def refusal(self, parcel: Parcel) -> str | None:
        """Why this queue could not take a parcel: it has no message group, or no deduplication id
        where the queue does not make one of the body.
        """
        if parcel.group_id is None:
            return "The request must contain the parameter MessageGroupId."
        has_id = parcel.deduplication_id is not None or self.spec.content_deduplication
        return None if has_id or not parcel.is_deduplicated else _NO_ID + "."

    def accept(self, parcel: Parcel, now_ms: int) -> Outcome[None]:
        """Takes what another machine delivers, unless it is a duplicate."""
        group_id = parcel.group_id or ""
        record = record_of_parcel(parcel, self._ids.unique_id(), self.spec.delay_ms, now_ms)
        deduplication_id = parcel.deduplication_id or content_id(parcel.body.encode())
        if parcel.deduplication_id is None:
            record = msgspec.structs.replace(record, deduplication_id=deduplication_id)
        if not parcel.is_deduplicated:
            return Outcome(None, self._put(record, b"", False))
        is_per_group = self.spec.deduplication_scope == DEDUPLICATE_PER_GROUP
        digest = digest_of(deduplication_id, group_id if is_per_group else None)
        if self._known(digest, deduplication_id, is_per_group, now_ms) is not None:
            return Outcome(None)
        return Outcome(None, self._put(record, digest, is_per_group))

    def take_over(self, transfer: Transfer, record: bytes, now_ms: int) -> Outcome[None]:
        """Takes a message that a FIFO queue dead-letters, at the end of its group here.

        AWS: "For FIFO queues, the enqueue timestamp resets when the message is moved to a
        dead-letter queue", and its deduplication id becomes its message id, so that two messages
        that shared one are both kept.
        """
        old = decode_message(record)
        moved = msgspec.structs.replace(
            old,
            sent_ms=now_ms,
            available_ms=now_ms,
            deduplication_id=format_uuid(old.id),
            group_id=old.group_id or format_uuid(old.id),
            dead_letter_source=transfer.source_arn,
            receives=transfer.receives,
            first_received_ms=transfer.first_received_ms,
        )
        return Outcome(None, self._put(moved, b"", False))

    def _known(
        self, digest: bytes, deduplication_id: str, is_per_group: bool, now_ms: int
    ) -> Known | None:
        """The message that one with this id is a duplicate of."""
        known = self._deduplication.find(digest, now_ms)
        if known is None and is_per_group and self._deduplication.has_per_queue:
            return self._deduplication.find(digest_of(deduplication_id, None), now_ms)
        return known

    def _put(
        self, record: MessageRecord, digest: bytes, is_per_group: bool
    ) -> tuple[Mutation, Mutation]:
        number = self._next_number
        row = DeduplicationRecord(digest, is_per_group, record.id, record.sent_ms)
        mark = put_row(row_key(DEDUPLICATION, number), row, is_new=True)
        message = self._put_message(record)
        self.apply(mark)
        return message, mark

    # Receiving

    def receive(self, request: ReceiveRequest, now_ms: int) -> Outcome[tuple[Message, ...]]:
        """Up to `messages_max` visible messages, each invisible to others for the visibility
        timeout from now on; as many of one group as there are, in their order, then of the next.

        Nothing comes of a group behind a message that is in flight. Messages over the redrive
        policy's count leave for the dead-letter queue instead, as from a standard queue. With an
        `attempt_id` used in the last five minutes, the messages of that receive come again, with
        the same handles and for a new visibility timeout, as long as all are invisible and none was
        deleted or had its visibility changed; else it is a receive like any other. At the quota of
        messages in flight there is nothing, and no error, as on AWS. Raises InvalidParameter for
        numbers out of range and a malformed attempt id.
        """
        self._now_ms = now_ms
        self._release_due(now_ms, limits.TICK_STEPS_MAX)
        messages_max, timeout_ms = self._check_receive(request)
        if request.attempt_id is not None:
            check_id("attempt_id", request.attempt_id)
            again = self._repeat(request.attempt_id, timeout_ms, now_ms)
            if again is not None:
                return again
        if self._quotas.in_flight_max is not None:
            room = self._quotas.in_flight_max - len(self._in_flight)
            messages_max = min(messages_max, max(room, 0))
        taking = _Taking(messages_max, timeout_ms, now_ms, self._dead_letter(request))
        while len(taking.messages) < messages_max and taking.steps:
            group = self._next_group(taking)
            if group is None:
                break
            self._take_from(group, taking)
        if request.attempt_id is not None and taking.messages:
            taking.mutations += self._remember(request.attempt_id, taking, now_ms)
        return Outcome(tuple(taking.messages), tuple(taking.mutations), tuple(taking.effects))

    def _dead_letter(self, request: ReceiveRequest) -> tuple[str, int] | None:
        redrive = self.spec.redrive
        if redrive is None or not request.redrive_reachable:
            return None
        return redrive.target_arn, redrive.receives_max

    def _next_group(self, taking: _Taking) -> FifoGroup | None:
        """The group to receive from next, taken out of the line."""
        while self._line and taking.steps:
            taking.steps -= 1
            rank, number = heappop(self._line)
            entry = self._entries.get(number)
            group = entry.group if entry is not None else None
            if not isinstance(group, FifoGroup) or group.rank != rank or group.first != number:
                continue
            group.rank = NO_NUMBER
            assert entry is not None
            if self._due_ms(entry) <= taking.now_ms:
                return group
            self._line_up(group)  # the delay was made longer meanwhile
        return None

    def _take_from(self, group: FifoGroup, taking: _Taking) -> None:
        """Takes messages from the front of a group up to the first one that is not visible."""
        number = group.first
        expired_ms = taking.now_ms - self.spec.retention_ms
        while number != NO_NUMBER and taking.steps:
            entry = self._entries[number]
            assert isinstance(entry, FifoEntry)
            if entry.place != READY or self._due_ms(entry) > taking.now_ms:
                break
            taking.steps -= 1
            number = entry.next
            if entry.sent_ms <= expired_ms:
                self._delete_entry(entry, taking.mutations)
            elif self._is_dead(entry, taking):
                effect = self._transfer(entry, taking.dead_letter[0] if taking.dead_letter else "")
                taking.effects.append(effect)
                self._delete_entry(entry, taking.mutations)
            else:
                taking.messages.append(
                    self._deliver(entry, taking.timeout_ms, taking.now_ms, taking.mutations)
                )
                if len(taking.messages) >= taking.messages_max:
                    break
        self._line_up(group)

    def _is_dead(self, entry: Entry, taking: _Taking) -> bool:
        dead_letter = taking.dead_letter
        return bool(dead_letter and entry.receives >= dead_letter[1] and entry.token)

    # Repeated receives

    def _remember(self, attempt_id: str, taking: _Taking, now_ms: int) -> list[Mutation]:
        given = []
        for message in taking.messages:
            entry = self._entries[message.sequence - 1]
            given.append((entry.number, entry.token))
        record = AttemptRecord(attempt_id, now_ms, now_ms + taking.timeout_ms, tuple(given))
        return self._take_in(self._attempts.put(record))

    def _repeat(
        self, attempt_id: str, timeout_ms: int, now_ms: int
    ) -> Outcome[tuple[Message, ...]] | None:
        """The same messages again; None when the attempt is unknown, or they are not untouched."""
        record = self._attempts.find(attempt_id, now_ms)
        if record is None or record.visible_ms <= now_ms:
            return None
        entries = []
        for number, token in record.messages:
            entry = self._entries.get(number)
            if (
                entry is None
                or entry.token != token
                or self._in_flight.deadline(number) != record.visible_ms
            ):
                return None
            entries.append(entry)
        mutations = [self._hide(entry, timeout_ms, now_ms) for entry in entries]
        visible_ms = now_ms + timeout_ms
        messages = tuple(self._message(entry, visible_ms) for entry in entries)
        renewed = msgspec.structs.replace(record, visible_ms=visible_ms)
        mutations += self._take_in(self._attempts.put(renewed))
        return Outcome(messages, tuple(mutations))

    def _message(self, entry: Entry, visible_ms: int) -> Message:
        number = entry.number
        return Message(
            MESSAGE_KEY | number,
            entry.record,
            make_handle(self._tag, number, entry.token),
            entry.receives,
            entry.first_received_ms,
            visible_ms,
            number + 1,
        )

    def _take_in(self, mutations: list[Mutation]) -> list[Mutation]:
        for mutation in mutations:
            self.apply(mutation)
        return mutations

    # Deleting

    def delete(self, handle: str, now_ms: int) -> Outcome[None]:
        """Deletes the message of the handle; does nothing when it is gone already.

        Raises InvalidReceiptHandle for a handle that is not this queue's, InvalidParameter for one
        whose visibility timeout is over: the message may have been given to somebody else.
        """
        number, token = open_handle(self._tag, handle)
        entry = self._entries.get(number)
        if entry is None:
            return Outcome(None)
        if entry.token != token or not self._is_invisible(entry, now_ms):
            raise InvalidParameter("receipt_handle", "The receipt handle has expired.", handle)
        mutations: list[Mutation] = []
        self._now_ms = now_ms
        self._delete_entry(entry, mutations)
        return Outcome(None, tuple(mutations))

    # The groups and their chains

    @property
    def has_ready(self) -> bool:
        """Whether a group is in line (its front message may be delayed since), and the quota of
        messages in flight has room: who waits would be woken for nothing, and again and again.
        """
        in_flight_max = self._quotas.in_flight_max
        if in_flight_max is not None and len(self._in_flight) >= in_flight_max:
            return False
        line = self._line
        while line:
            rank, number = line[0]
            entry = self._entries.get(number)
            group = entry.group if entry is not None else None
            if isinstance(group, FifoGroup) and group.rank == rank and group.first == number:
                return True
            heappop(line)
        return False

    def _due_ms(self, entry: Entry) -> int:
        """When the delay of an entry is over."""
        return 0 if entry.token else entry.sent_ms + self.spec.delay_ms

    def _arrive(self, entry: Entry, record: MessageRecord) -> None:
        assert isinstance(entry, FifoEntry)
        number = entry.number
        group_id = record.group_id or ""
        group = self._groups.get(group_id)
        if group is None:
            group = self._groups[group_id] = FifoGroup(group_id)
        entry.group = group
        if not self._delayed_count:
            self._delay_cursor = number if self.spec.delay_ms else number + 1
        if number >= self._delay_cursor:
            self._delayed_count += 1
        entry.previous = group.last
        group.last = number
        if entry.previous == NO_NUMBER:
            group.first = number
            self._line_up(group)
        else:
            self._chained(entry.previous).next = number

    def _chained(self, number: int) -> FifoEntry:
        entry = self._entries[number]
        assert isinstance(entry, FifoEntry)
        return entry

    def _line_up(self, group: FifoGroup) -> None:
        """Puts a group in line if its front message is visible, or has it wait for its delay."""
        first = group.first
        if first == NO_NUMBER:
            return
        entry = self._entries[first]
        if entry.place != READY:
            return
        if not entry.token and self.spec.delay_ms:
            heappush(self._waiting, (entry.sent_ms, first))
            return
        self._stand(group, entry)

    def _stand(self, group: FifoGroup, entry: Entry) -> None:
        is_poison = entry.token and entry.receives >= POISON_RECEIVES
        group.rank = self._next_number if is_poison else entry.number
        heappush(self._line, (group.rank, entry.number))
        if len(self._line) > 2 * len(self._groups) + SWEEP_MIN:
            ranks = {(g.rank, g.first) for g in self._groups.values() if g.rank != NO_NUMBER}
            self._line = list(ranks)
            heapify(self._line)

    def _return(self, entry: Entry) -> None:
        """What follows is in `_shift`: every entry here has a group."""

    def _shift(self, entry: Entry, old: int) -> None:
        assert isinstance(entry, FifoEntry) and isinstance(entry.group, FifoGroup)
        group = entry.group
        if entry.place == GONE:
            self._unchain(group, entry)
        elif group.first != entry.number:
            return
        elif entry.place == READY:
            self._line_up(group)
        else:
            group.rank = NO_NUMBER

    def _unchain(self, group: FifoGroup, entry: FifoEntry) -> None:
        if entry.number >= self._delay_cursor and not entry.token:
            self._delayed_count -= 1
        if entry.next == NO_NUMBER:
            group.last = entry.previous
        else:
            self._chained(entry.next).previous = entry.previous
        if entry.previous != NO_NUMBER:
            self._chained(entry.previous).next = entry.next
            return
        group.first = entry.next
        group.rank = NO_NUMBER
        if group.first == NO_NUMBER:
            del self._groups[group.id]
        else:
            self._line_up(group)

    def _drop_stale(self) -> None:
        """Stale items are passed over, or swept out when they are many: see `_stand`."""

    def _is_movable(self, entry: Entry, planned: set[int], now_ms: int) -> bool:
        assert isinstance(entry, FifoEntry)
        is_next = entry.previous == NO_NUMBER or entry.previous in planned
        is_due = self._due_ms(entry) <= now_ms
        return is_next and is_due and super()._is_movable(entry, planned, now_ms)

    # Time

    def next_deadline(self) -> int | None:
        """Early at times, never late."""
        deadline_ms = super().next_deadline()
        own_ms = min(self._deduplication.next_ms, self._attempts.next_ms)
        if self._waiting:
            own_ms = min(own_ms, self._waiting[0][0] + self.spec.delay_ms)
        if self._is_delay_raised:
            own_ms = 0
        elif self._delayed_count:
            entry = self._entries.get(self._delay_cursor)
            own_ms = min(own_ms, 0 if entry is None else self._due_ms(entry))
        if deadline_ms is None:
            return None if own_ms >= NEVER else own_ms
        return min(deadline_ms, own_ms)

    def tick(self, now_ms: int, limit: int) -> Outcome[None]:
        """As of every queue; forgets deduplication ids and attempts whose time is over as well."""
        outcome = super().tick(now_ms, limit)
        self._settle_delay(now_ms, limit)
        forgotten = self._take_in(self._attempts.forgotten(now_ms, limit))
        trims = outcome.trims
        rows = self._deduplication.forget(now_ms, limit)
        if rows is not None:
            first, last = rows
            key = row_key(DEDUPLICATION, 0)
            trims += (Trim(key | first, key | last),)
        return Outcome(None, outcome.mutations + tuple(forgotten), (), trims)

    def _release_due(self, now_ms: int, limit: int) -> None:
        super()._release_due(now_ms, limit)
        waiting, delay_ms = self._waiting, self.spec.delay_ms
        while waiting and limit and waiting[0][0] + delay_ms <= now_ms:
            limit -= 1
            _, number = heappop(waiting)
            entry = self._entries.get(number)
            group = entry.group if entry is not None else None
            if (
                entry is not None
                and isinstance(group, FifoGroup)
                and group.first == number
                and entry.place == READY
                and group.rank == NO_NUMBER
            ):
                self._stand(group, entry)

    def _count_delayed(self, now_ms: int) -> int:
        """Messages never received whose delay is not over."""
        self._settle_delay(now_ms, limits.TICK_STEPS_MAX)
        return self._delayed_count

    def _settle_delay(self, now_ms: int, steps: int) -> None:
        """Moves the cursor towards the first message whose delay is not over, either way."""
        if self._is_delay_raised:
            steps = self._take_back(now_ms, steps)
            self._is_delay_raised = not steps
        while steps and self._delay_cursor < self._next_number:
            entry = self._entries.get(self._delay_cursor)
            if entry is not None and not entry.token:
                if self._due_ms(entry) > now_ms:
                    break
                self._delayed_count -= 1
            steps -= 1
            self._delay_cursor += 1

    def _take_back(self, now_ms: int, steps: int) -> int:
        """Moves the cursor back over messages whose delay is not over any more, no further than to
        the oldest. How many steps are left.
        """
        first = next(iter(self._entries), self._next_number)
        while steps and self._delay_cursor > first:
            entry = self._entries.get(self._delay_cursor - 1)
            if entry is not None and not entry.token:
                if self._due_ms(entry) <= now_ms:
                    break
                self._delayed_count += 1
            steps -= 1
            self._delay_cursor -= 1
        return steps

    def _visible_ms(self, entry: Entry) -> int:
        if entry.place == IN_FLIGHT:
            return super()._visible_ms(entry)
        return self._due_ms(entry)

    # State

    def _apply_more(self, family: int, number: int, mutation: Mutation) -> None:
        if family == DEDUPLICATION:
            if mutation.value is not None:
                self._deduplication.add(
                    number, mutation.record or decode_deduplication(mutation.value)
                )
                self._next_number = max(self._next_number, number + 1)
        elif family == ATTEMPT:
            self._attempts.apply(number, mutation)

    def _configure(self, record: QueueRecord) -> None:
        if record.spec.delay_ms > self.spec.delay_ms:
            self._is_delay_raised = True
        super()._configure(record)
        self._set_limits(record.spec)

    def _redeliver(self, entry: Entry, record: DeliveryRecord) -> None:
        if not entry.token and entry.number >= self._delay_cursor:
            self._delayed_count -= 1
        super()._redeliver(entry, record)

    def _set_limits(self, spec: QueueSpec) -> None:
        per_s = self._quotas.fifo_calls_per_s
        is_per_group = spec.throughput_limit == LIMIT_PER_GROUP
        if per_s is None:
            return
        if is_per_group:
            self._call_limits = None
            self._group_limits = self._group_limits or RateLimits(per_s)
        else:
            self._group_limits = None
            self._call_limits = self._call_limits or RateLimits(per_s)

    def check(self) -> None:
        """Asserts the rules of this file and those of `queue`."""
        super().check()
        self._deduplication.check()
        self._attempts.check()
        assert self._deduplication.highest < self._next_number
        chained = 0
        for group_id, group in self._groups.items():
            assert group.id == group_id and group.first != NO_NUMBER, "a group is empty"
            previous, number = NO_NUMBER, group.first
            while number != NO_NUMBER:
                entry = self._chained(number)
                assert entry.group is group and entry.previous == previous, "a chain is broken"
                assert number > previous, "a chain is out of order"
                previous, number = number, entry.next
                chained += 1
            assert group.last == previous, "a chain's end is lost"
            self._check_line(group)
        assert chained == len(self._entries), "a message is in no chain"
        delayed = sum(n >= self._delay_cursor and not e.token for n, e in self._entries.items())
        assert delayed == self._delayed_count, "delayed messages are counted wrong"

    def _check_line(self, group: FifoGroup) -> None:
        front = self._entries[group.first]
        is_in_line = group.rank != NO_NUMBER
        assert not is_in_line or (group.rank, group.first) in self._line
        if front.place == READY:
            is_waiting = (front.sent_ms, front.number) in self._waiting
            assert is_in_line or is_waiting, "a visible group is not in line"
        else:
            assert not is_in_line, "a group in flight is in line"


@final
class _Taking:
    """One receive while it goes on."""

    __slots__ = (
        "dead_letter",
        "effects",
        "messages",
        "messages_max",
        "mutations",
        "now_ms",
        "steps",
        "timeout_ms",
    )

    def __init__(
        self, messages_max: int, timeout_ms: int, now_ms: int, dead_letter: tuple[str, int] | None
    ) -> None:
        self.messages_max = messages_max
        self.timeout_ms = timeout_ms
        self.now_ms = now_ms
        self.dead_letter = dead_letter
        self.messages: list[Message] = []
        self.mutations: list[Mutation] = []
        self.effects: list[Transfer] = []
        self.steps = limits.TICK_STEPS_MAX
