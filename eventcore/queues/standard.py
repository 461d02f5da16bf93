"""The standard queue: at-least-once, best-effort order, and fair among message groups.

Rules of this file, beside those of `queue`:

- Messages without a message group stand in one line, in the order of their numbers. Messages
  received at least POISON_RECEIVES times go to its end when they come back (AWS moves them to the
  back of the queue), the others to where they were. `_late` has the turn, among those of groups, of
  a message that went to the end.
- Messages with a group stand in the group's own line, made in the same way; groups take turns (see
  `fairness`).
"""

from __future__ import annotations

from typing import ClassVar, Final, final

import msgspec

from eventcore import limits
from eventcore.errors import LimitExceeded
from eventcore.outcome import Mutation, Outcome, Parcel, Transfer
from eventcore.queues.chaos import delay_of, is_duplicated, is_reordered
from eventcore.queues.entry import DELAYED, GONE, READY, SWEEP_MIN, Entry, ReadyLine
from eventcore.queues.fairness import FairGroup, Fairness
from eventcore.queues.message import (
    Message,
    MessageRecord,
    SendEntry,
    SendResult,
    decode_message,
    record_of_parcel,
)
from eventcore.queues.queue import QueueMachine
from eventcore.queues.queue_spec import Chaos, QueueStatistics, ReceiveRequest

__all__ = ["StandardQueue"]

POISON_RECEIVES: Final = 3


@final
class StandardQueue(QueueMachine):
    """One standard queue. See the file's rules."""

    is_fifo: ClassVar[bool] = False

    def _start_empty(self) -> None:
        super()._start_empty()
        self._line = ReadyLine()
        self._fairness = Fairness()
        self._reordered: set[int] = set()
        self._late: dict[int, int] = {}

    # Commands

    def send(self, entry: SendEntry, now_ms: int) -> Outcome[SendResult]:
        """Puts a message at the end, invisible for its delay.

        Raises MissingParameter for an empty body, InvalidParameter for one too large, a delay out
        of range or a malformed group.
        """
        body = self.check_send(entry)
        record = self._message_record(entry, body, entry.deduplication_id, now_ms)
        if self.spec.chaos is not None:
            record = self._made_late(record, self.spec.chaos)
        self._now_ms = now_ms
        mutation = self._put_message(record)
        return Outcome(SendResult(record.id, record.body_md5, record.attributes_md5), (mutation,))

    def accept(self, parcel: Parcel, now_ms: int) -> Outcome[None]:
        """Takes what another machine delivers, as a new message. Never refuses: the sender has
        committed to it.
        """
        record = record_of_parcel(parcel, self._ids.unique_id(), self.spec.delay_ms, now_ms)
        if self.spec.chaos is not None:
            record = self._made_late(record, self.spec.chaos)
        self._now_ms = now_ms
        return Outcome(None, (self._put_message(record),))

    def _made_late(self, record: MessageRecord, chaos: Chaos) -> MessageRecord:
        late_ms = delay_of(chaos, self._next_number)
        return msgspec.structs.replace(record, available_ms=record.available_ms + late_ms)

    def refusal(self, parcel: Parcel) -> str | None:
        """None: a standard queue takes everything."""
        return None

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
        self._now_ms = now_ms
        return Outcome(None, (self._put_message(moved),))

    def receive(self, request: ReceiveRequest, now_ms: int) -> Outcome[tuple[Message, ...]]:
        """Up to `messages_max` visible messages, each invisible to others for the visibility
        timeout from now on.

        Messages over the redrive policy's count leave for the dead-letter queue instead, except one
        that was dead-lettered itself and was not received here yet: queues that dead-letter into
        each other would pass it round for ever. Raises InvalidParameter for numbers out of range,
        LimitExceeded("in_flight_max") when the quota of messages in flight is reached.
        """
        self._now_ms = now_ms
        if self._in_flight.earliest_ms <= now_ms or self._delayed.earliest_ms <= now_ms:
            self._release_due(now_ms, limits.TICK_STEPS_MAX)
        messages_max, timeout_ms = self._check_receive(request)
        if self._quotas.in_flight_max is not None:
            messages_max = self._within(self._quotas.in_flight_max, messages_max)
        if len(self._entries) == len(self._in_flight) + len(self._delayed):
            return Outcome(())
        messages: list[Message] = []
        mutations: list[Mutation] = []
        effects: list[Transfer] = []
        redrive = self.spec.redrive if request.redrive_reachable else None
        expired_ms = now_ms - self.spec.retention_ms
        chaos = self.spec.chaos
        steps = limits.TICK_STEPS_MAX
        while len(messages) < messages_max and steps:
            steps -= 1
            entry = self._take_ready(now_ms)
            if entry is None:
                break
            if entry.sent_ms <= expired_ms:
                self._delete_entry(entry, mutations)
            elif redrive is not None and entry.receives >= redrive.receives_max and entry.token:
                effects.append(self._transfer(entry, redrive.target_arn))
                self._delete_entry(entry, mutations)
            elif chaos is None:
                messages.append(self._deliver(entry, timeout_ms, now_ms, mutations))
            elif self._is_put_off(entry, chaos):
                self._stand(entry, is_last=True)
            else:
                is_twice = is_duplicated(chaos, entry.number, entry.receives)
                entry_ms = 0 if is_twice else timeout_ms
                messages.append(self._deliver(entry, entry_ms, now_ms, mutations))
        if self._fairness.groups:
            self._fairness.observe(len(self._in_flight), now_ms)
        return Outcome(tuple(messages), tuple(mutations), tuple(effects))

    def _within(self, in_flight_max: int, messages_max: int) -> int:
        room = in_flight_max - len(self._in_flight)
        if room <= 0:
            raise LimitExceeded("in_flight_max", in_flight_max, self.name)
        return min(messages_max, room)

    # Who is next

    @property
    def has_ready(self) -> bool:
        """Whether a receive would find a message (not looking at what has just fallen due)."""
        return len(self._entries) > len(self._in_flight) + len(self._delayed)

    def _is_put_off(self, entry: Entry, chaos: Chaos) -> bool:
        """Whether the message in hand goes to the end of the line: once each time it is due."""
        number = entry.number
        if number in self._reordered:
            self._reordered.discard(number)
            return False
        if not is_reordered(chaos, number, entry.receives):
            return False
        self._reordered.add(number)
        return True

    def _take_ready(self, now_ms: int) -> Entry | None:
        """The entry to deliver next, taken out of its line but still in place READY."""
        fairness = self._fairness
        if not fairness.quiet_line and not fairness.noisy_line:
            return self._line.take(self._entries)
        in_flight = len(self._in_flight)
        fairness.calm(in_flight, now_ms)
        group = fairness.first_quiet(in_flight, now_ms)
        if group is None or self._first_turn() < group.stamp:
            entry = self._line.take(self._entries)
            if entry is not None:
                self._late.pop(entry.number, None)
                return entry
            group = group or fairness.first_noisy()
        return None if group is None else fairness.take(group, self._entries, self._next_number)

    def _first_turn(self) -> int:
        """The turn of the message without a group that is next."""
        number = self._line.first(self._entries)
        return self._late.get(number, number)

    def _arrive(self, entry: Entry, record: MessageRecord) -> None:
        delay_ms = record.available_ms - record.sent_ms
        if record.group_id is not None:
            entry.group = self._fairness.group(record.group_id, self._now_ms)
        elif delay_ms <= 0:
            self._line.fresh.append(entry.number)
            return
        if delay_ms <= 0 or record.dead_letter_source is not None:
            self._stand(entry, is_last=True)
        else:
            entry.place = DELAYED
            self._delayed.add(entry.number, record.available_ms, delay_ms)
        if entry.group is not None:
            self._shift(entry, GONE)

    def _return(self, entry: Entry) -> None:
        self._stand(entry, is_last=entry.receives >= POISON_RECEIVES)

    def _stand(self, entry: Entry, *, is_last: bool) -> None:
        """Puts a READY entry in line: at the end, or where its number belongs."""
        group = entry.group
        line = self._line
        if group is not None:
            assert isinstance(group, FairGroup)
            line = group.line
            is_late = is_last and entry.token
            self._fairness.line_up(group, self._next_number if is_late else entry.number)
        elif is_last and entry.token:
            self._late[entry.number] = self._next_number
            if len(self._late) > 2 * len(self._entries) + SWEEP_MIN:
                self._drop_late()
        if is_last:
            line.append(entry.number)
        else:
            line.put_back(entry.number)

    def _shift(self, entry: Entry, old: int) -> None:
        self._fairness.shift(entry, old, len(self._in_flight), self._now_ms)
        if entry.place == GONE and old == READY:
            assert isinstance(entry.group, FairGroup)
            entry.group.line.drop_gone(self._entries)

    def _drop_stale(self) -> None:
        self._reordered.clear()
        self._drop_late()
        self._fairness.drop_stale()
        self._line.drop_below(self._cursor)
        self._line.sweep(self._entries, len(self._entries))

    def _drop_late(self) -> None:
        self._late = {n: turn for n, turn in self._late.items() if n in self._entries}

    def _apply_more(self, family: int, number: int, mutation: Mutation) -> None:
        """There are no others."""

    # Observation

    def statistics(self, now_ms: int) -> QueueStatistics:
        """Counts by state, after making visible what is due; and those of quiet groups."""
        self._now_ms = now_ms
        counts = super().statistics(now_ms)
        if not self._fairness.groups:
            return counts
        noisy = self._fairness.noisy(counts.in_flight, now_ms)
        if not noisy:
            return counts
        return msgspec.structs.replace(
            counts,
            noisy_groups=len(noisy),
            quiet_visible=counts.visible - sum(group.ready for group in noisy),
            quiet_in_flight=counts.in_flight - sum(group.in_flight for group in noisy),
            quiet_delayed=counts.delayed - sum(group.delayed for group in noisy),
            quiet_oldest_age_ms=self._quiet_oldest_age_ms({g.id for g in noisy}, now_ms),
        )

    def _quiet_oldest_age_ms(self, noisy: set[str], now_ms: int) -> int:
        """The age of the oldest message outside of the noisy groups; of the last one looked at when
        none was found in BROWSE_STEPS_MAX: then it is older than any that was not. A dead letter,
        which is older than its number, counts whatever its group.
        """
        for step, entry in enumerate(self._entries.values()):
            is_quiet = entry.group is None or entry.group.id not in noisy
            if is_quiet or step >= limits.BROWSE_STEPS_MAX:
                oldest_ms = self._older[0][0] if self._older else now_ms
                return now_ms - min(entry.sent_ms, oldest_ms)
        return 0

    def check(self) -> None:
        """Asserts the rules of this file and those of `queue`."""
        super().check()
        self._fairness.check(self._entries)
        listed = {"": self._line.numbers()}
        listed.update({name: g.line.numbers() for name, g in self._fairness.groups.items()})
        for number, entry in self._entries.items():
            if entry.place == READY:
                line = "" if entry.group is None else entry.group.id
                assert number in listed[line], "a ready message is in no line"
