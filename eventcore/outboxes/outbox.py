"""An outbox: the durable deliveries to one target outside the store (an ARN, or a connector's URL).

    accepted ──▶ waiting ──▶ ready ──▶ attempting ──▶ settled: gone
                    ▲                      │
                    └──── backoff ◀────────┴────────▶ failed for good, exhausted: dead-lettered

Rules of this file:

- At least once: a delivery is a row until it is settled or dead-lettered. That it is being
  attempted is known in memory only, so after a restart it is attempted again. Its id stays the
  same over all attempts; the receiver can drop repeats by it.
- The row of a delivery is written once. Its attempts and the time of the next one are a second,
  small row, written by each failure.
- Ready deliveries are handed out in the order in which they were accepted; one that failed comes
  back behind those that became ready meanwhile. The order is best effort, since several are
  attempted at a time.
- A delivery ends in the dead-letter queue of its rule (an effect, so in the same transaction as its
  deletion), or, with none, is dropped and counted, as on AWS: after `attempts_max` attempts, at
  `age_ms_max`, after a permanent failure, or as the oldest when the outbox is full.
- A delivery that expires while it is attempted is given up only when that attempt has failed.

Invariants: every delivery is in exactly one phase; ready ones are exactly those in `_ready`;
waiting ones have a live entry in `_schedule`; all have one in `_expiries` unless popped while
attempted.
"""

from __future__ import annotations

from collections import OrderedDict
from enum import Enum
from heapq import heapify, heappop, heappush
from typing import Final, final

import msgspec

from eventcore import limits
from eventcore.codec import record_decoder
from eventcore.connect import Delivery
from eventcore.ids import IdSource, format_uuid
from eventcore.outboxes.dead_letter import (
    AGE_EXHAUSTED,
    ATTEMPTS_EXHAUSTED,
    OUTBOX_FULL,
    DeliveryFailure,
    to_dead_letter,
)
from eventcore.outcome import (
    Deliver,
    Effect,
    Mutation,
    Outcome,
    Parcel,
    delete_row,
    put_row,
    row_family,
    row_key,
    row_number,
)

__all__ = ["Attempt", "AttemptsRecord", "Outbox", "OutboxRecord", "OutboxStatistics"]

_DELIVERY: Final = 0
_ATTEMPTS: Final = 1
BACKOFF_MS_FIRST: Final = 1_000
BACKOFF_MS_MAX: Final = 600_000
"""With 185 retries between half of it and all of it, the last one falls within AWS's 24 hours."""
BODY_BYTES_MAX_DEFAULT: Final = 256 * 1024 * 1024
_SWEEP_MIN: Final = 64
_EXPIRED: Final = DeliveryFailure("TIMEOUT", "The event became too old to be delivered.")


class OutboxRecord(msgspec.Struct, gc=False, frozen=True, array_like=True):
    """The row of a delivery, never changed. `id` is 16 bytes."""

    id: bytes
    accepted_ms: int
    body: str
    source_arn: str
    attempts_max: int
    age_ms_max: int
    dead_letter_arn: str | None = None
    attributes: bytes = b""
    attributes_md5: bytes = b""
    trace_header: str | None = None


class AttemptsRecord(msgspec.Struct, gc=False, frozen=True, array_like=True):
    """The second row of a delivery, from its first failure on."""

    attempts: int
    next_ms: int
    error_code: str
    error_message: str


_decode_delivery: Final = record_decoder(OutboxRecord)
_decode_attempts: Final = record_decoder(AttemptsRecord)


class Attempt(msgspec.Struct, gc=False, frozen=True):
    """A delivery handed out to be attempted. It goes back to `settle`, `retry`, `fail` or
    `release`.
    """

    number: int
    delivery: Delivery


class OutboxStatistics(msgspec.Struct, frozen=True):
    """Counts at one moment. The last three count from the start of the process."""

    waiting: int
    ready: int
    attempting: int
    oldest_age_ms: int
    body_bytes: int
    settled: int
    dead_lettered: int
    dropped: int


class _Phase(Enum):
    WAITING = 0
    READY = 1
    ATTEMPTING = 2


@final
class _Entry:
    """A delivery in memory. `body_bytes` is counted in characters, which is what memory costs."""

    __slots__ = ("attempts", "body_bytes", "failure", "next_ms", "phase", "record")

    def __init__(self, record: OutboxRecord) -> None:
        self.record = record
        self.body_bytes = len(record.body)
        self.attempts = 0
        self.failure: DeliveryFailure | None = None
        self.next_ms = record.accepted_ms
        self.phase = _Phase.WAITING

    @property
    def expires_ms(self) -> int:
        return self.record.accepted_ms + self.record.age_ms_max


@final
class Outbox:
    """The deliveries to one target. See the module's text for its rules."""

    def __init__(
        self,
        target_arn: str,
        ids: IdSource,
        *,
        deliveries_max: int = limits.OUTBOX_DELIVERIES_MAX,
        body_bytes_max: int = BODY_BYTES_MAX_DEFAULT,
    ) -> None:
        self.target_arn = target_arn
        self._ids = ids
        self._deliveries_max = deliveries_max
        self._body_bytes_max = body_bytes_max
        self._entries: OrderedDict[int, _Entry] = OrderedDict()
        self._ready: OrderedDict[int, None] = OrderedDict()
        self._schedule: list[tuple[int, int]] = []
        self._expiries: list[tuple[int, int]] = []
        self._attempting = 0
        self._body_bytes = 0
        self._next_number = 0
        self._settled = self._dead_lettered = self._dropped = 0

    # Commands

    def accept(self, deliver: Deliver, now_ms: int) -> Outcome[int]:
        """Takes a delivery in; the value is its number. Never refuses: when the outbox is full, its
        oldest deliveries are dead-lettered to make room.
        """
        mutations: list[Mutation] = []
        effects: list[Effect] = []
        self._make_room(len(deliver.parcel.body), mutations, effects)
        parcel = deliver.parcel
        record = OutboxRecord(
            self._ids.unique_id(),
            now_ms,
            parcel.body,
            parcel.source_arn,
            deliver.attempts_max,
            deliver.age_ms_max,
            deliver.dead_letter_arn,
            parcel.attributes,
            parcel.attributes_md5,
            parcel.trace_header,
        )
        number = self._next_number
        self._do(put_row(row_key(_DELIVERY, number), record, is_new=True), mutations)
        return Outcome(number, tuple(mutations), tuple(effects))

    def _make_room(self, body_bytes: int, mutations: list[Mutation], effects: list[Effect]) -> None:
        while self._entries and (
            len(self._entries) >= self._deliveries_max
            or self._body_bytes + body_bytes > self._body_bytes_max
        ):
            number, entry = next(iter(self._entries.items()))
            failure = DeliveryFailure(
                OUTBOX_FULL,
                f"More than {self._deliveries_max} deliveries or {self._body_bytes_max} bytes "
                "were waiting for the target.",
            )
            self._give_up(number, entry, failure, None, mutations, effects)

    def due(self, now_ms: int, limit: int) -> Outcome[tuple[Attempt, ...]]:
        """Hands out at most `limit` deliveries to be attempted now, the oldest first."""
        self._promote(now_ms, limit)
        attempts: list[Attempt] = []
        while self._ready and len(attempts) < limit:
            number, _ = self._ready.popitem(last=False)
            entry = self._entries[number]
            if entry.expires_ms <= now_ms:
                self._wait(number, entry)  # tick gives it up
                continue
            entry.phase = _Phase.ATTEMPTING
            self._attempting += 1
            record = entry.record
            delivery = Delivery(
                format_uuid(record.id), record.body, record.source_arn, entry.attempts + 1
            )
            attempts.append(Attempt(number, delivery))
        return Outcome(tuple(attempts))

    def settle(self, attempt: Attempt) -> Outcome[None]:
        """The target has it: the delivery goes. Nothing happens if it is gone already."""
        number, entry = attempt.number, self._attempted(attempt)
        if entry is None:
            return Outcome(None)
        self._settled += 1
        mutations: list[Mutation] = []
        self._delete(number, entry, mutations)
        return Outcome(None, tuple(mutations))

    def retry(
        self,
        attempt: Attempt,
        failure: DeliveryFailure,
        now_ms: int,
        retry_after_ms: int | None = None,
    ) -> Outcome[None]:
        """The attempt failed, another may not: the delivery waits out its backoff (not less than
        `retry_after_ms`), or is given up when its attempts or its age are exhausted.
        """
        number, entry = attempt.number, self._attempted(attempt)
        if entry is None:
            return Outcome(None)
        mutations: list[Mutation] = []
        effects: list[Effect] = []
        attempts = entry.attempts + 1
        if attempts >= entry.record.attempts_max:
            self._give_up(number, entry, failure, ATTEMPTS_EXHAUSTED, mutations, effects)
        elif now_ms >= entry.expires_ms:
            self._give_up(number, entry, failure, AGE_EXHAUSTED, mutations, effects)
        else:
            pause_ms = max(self._backoff_ms(attempts), retry_after_ms or 0)
            next_ms = min(now_ms + pause_ms, entry.expires_ms)
            message = failure.message[: limits.OUTBOX_ERROR_CHARACTERS_MAX]
            record = AttemptsRecord(attempts, next_ms, failure.code, message)
            self._do(put_row(row_key(_ATTEMPTS, number), record), mutations)
        return Outcome(None, tuple(mutations), tuple(effects))

    def fail(self, attempt: Attempt, failure: DeliveryFailure) -> Outcome[None]:
        """The target will never take it: the delivery is dead-lettered at once."""
        number, entry = attempt.number, self._attempted(attempt)
        if entry is None:
            return Outcome(None)
        mutations: list[Mutation] = []
        effects: list[Effect] = []
        self._give_up(number, entry, failure, None, mutations, effects)
        return Outcome(None, tuple(mutations), tuple(effects))

    def release(self, attempt: Attempt) -> Outcome[None]:
        """The attempt was broken off (the process drains): the delivery is ready again, and the
        attempt does not count.
        """
        entry = self._attempted(attempt)
        if entry is not None and entry.phase is _Phase.ATTEMPTING:
            self._end_attempt(attempt.number, entry)
            self._wait(attempt.number, entry)
        return Outcome(None)

    def _attempted(self, attempt: Attempt) -> _Entry | None:
        # After a reload, the number of a delivery that is gone may have been given again.
        entry = self._entries.get(attempt.number)
        if entry is None or format_uuid(entry.record.id) != attempt.delivery.id:
            return None
        return entry

    # Time

    def next_deadline(self) -> int | None:
        """When the next delivery becomes ready or expires. A deadline in the past means `tick`."""
        self._skim()
        heads = [heap[0][0] for heap in (self._schedule, self._expiries) if heap]
        return min(heads, default=None)

    def tick(self, now_ms: int, limit: int) -> Outcome[None]:
        """Makes ready what is due and gives up what is too old; `has_ready` tells whether there is
        something to attempt then.
        """
        mutations: list[Mutation] = []
        effects: list[Effect] = []
        steps = self._promote(now_ms, limit)
        while self._expiries and self._expiries[0][0] <= now_ms and steps < limit:
            expires_ms, number = heappop(self._expiries)
            entry = self._entries.get(number)
            if entry is None or entry.expires_ms != expires_ms:
                continue
            steps += 1
            if entry.phase is not _Phase.ATTEMPTING:
                failure = entry.failure or _EXPIRED
                self._give_up(number, entry, failure, AGE_EXHAUSTED, mutations, effects)
        return Outcome(None, tuple(mutations), tuple(effects))

    @property
    def has_ready(self) -> bool:
        """Whether `due` would hand something out without waiting."""
        return bool(self._ready)

    def _promote(self, now_ms: int, limit: int) -> int:
        steps = 0
        while self._schedule and self._schedule[0][0] <= now_ms and steps < limit:
            next_ms, number = heappop(self._schedule)
            entry = self._entries.get(number)
            if entry is None or not _is_scheduled(entry, next_ms):
                continue
            entry.phase = _Phase.READY
            self._ready[number] = None
            steps += 1
        return steps

    def _skim(self) -> None:
        while self._schedule:
            next_ms, number = self._schedule[0]
            entry = self._entries.get(number)
            if entry is not None and _is_scheduled(entry, next_ms):
                break
            heappop(self._schedule)
        while self._expiries:
            entry = self._entries.get(self._expiries[0][1])
            if entry is not None and entry.phase is not _Phase.ATTEMPTING:
                break
            heappop(self._expiries)

    def _backoff_ms(self, attempts: int) -> int:
        """Doubling from one second, between half of it and all of it, so that the retries of many
        deliveries spread.
        """
        whole = min(BACKOFF_MS_FIRST << min(attempts - 1, 20), BACKOFF_MS_MAX)
        half = whole // 2
        return half + self._ids.token() % (half + 1)

    # State

    def apply(self, mutation: Mutation) -> None:
        """The only code that changes the outbox's durable state."""
        number = row_number(mutation.key)
        self._next_number = max(self._next_number, number + 1)
        entry = self._entries.get(number)
        if row_family(mutation.key) == _ATTEMPTS:
            if entry is not None and mutation.value is not None:
                self._take_attempts(
                    number, entry, mutation.record or _decode_attempts(mutation.value)
                )
        elif mutation.value is None:
            if entry is not None:
                self._drop(number, entry)
        elif entry is None:
            self._take_delivery(number, mutation.record or _decode_delivery(mutation.value))

    def _take_delivery(self, number: int, record: OutboxRecord) -> None:
        entry = self._entries[number] = _Entry(record)
        self._body_bytes += entry.body_bytes
        heappush(self._expiries, (entry.expires_ms, number))
        self._wait(number, entry)

    def _take_attempts(self, number: int, entry: _Entry, record: AttemptsRecord) -> None:
        entry.attempts = record.attempts
        entry.next_ms = record.next_ms
        entry.failure = DeliveryFailure(record.error_code, record.error_message)
        if entry.phase is _Phase.ATTEMPTING:
            self._end_attempt(number, entry)
        self._wait(number, entry)

    def _end_attempt(self, number: int, entry: _Entry) -> None:
        self._attempting -= 1
        heappush(self._expiries, (entry.expires_ms, number))  # it may have been popped meanwhile

    def _wait(self, number: int, entry: _Entry) -> None:
        self._ready.pop(number, None)
        entry.phase = _Phase.WAITING
        heappush(self._schedule, (entry.next_ms, number))
        self._sweep()

    def _drop(self, number: int, entry: _Entry) -> None:
        del self._entries[number]
        self._ready.pop(number, None)
        self._body_bytes -= entry.body_bytes
        if entry.phase is _Phase.ATTEMPTING:
            self._attempting -= 1
        self._sweep()

    def _sweep(self) -> None:
        """Rebuilds a heap in which stale entries outnumber live ones."""
        bound = 2 * len(self._entries) + _SWEEP_MIN
        if len(self._schedule) > bound:
            entries = self._entries.items()
            self._schedule = [(e.next_ms, n) for n, e in entries if e.phase is _Phase.WAITING]
            heapify(self._schedule)
        if len(self._expiries) > bound:
            self._expiries = [(e.expires_ms, n) for n, e in self._entries.items()]
            heapify(self._expiries)

    def _do(self, mutation: Mutation, mutations: list[Mutation]) -> None:
        self.apply(mutation)
        mutations.append(mutation)

    def _delete(self, number: int, entry: _Entry, mutations: list[Mutation]) -> None:
        if entry.attempts:
            self._do(delete_row(row_key(_ATTEMPTS, number)), mutations)
        self._do(delete_row(row_key(_DELIVERY, number)), mutations)

    def _give_up(
        self,
        number: int,
        entry: _Entry,
        failure: DeliveryFailure,
        exhausted: str | None,
        mutations: list[Mutation],
        effects: list[Effect],
    ) -> None:
        retries = entry.attempts if entry.phase is _Phase.ATTEMPTING else max(entry.attempts - 1, 0)
        dead_letter = to_dead_letter(
            self._as_deliver(entry.record), failure, retries=retries, exhausted=exhausted
        )
        self._delete(number, entry, mutations)
        if dead_letter is None:
            self._dropped += 1
        else:
            self._dead_lettered += 1
            effects.append(dead_letter)

    def _as_deliver(self, record: OutboxRecord) -> Deliver:
        parcel = Parcel(
            record.body,
            record.source_arn,
            record.attributes,
            record.attributes_md5,
            trace_header=record.trace_header,
        )
        return Deliver(
            self.target_arn, parcel, record.dead_letter_arn, record.attempts_max, record.age_ms_max
        )

    # Observation

    def __len__(self) -> int:
        return len(self._entries)

    def statistics(self, now_ms: int) -> OutboxStatistics:
        """Counts at this moment."""
        oldest = next(iter(self._entries.values()), None)
        ready = len(self._ready)
        return OutboxStatistics(
            waiting=len(self._entries) - ready - self._attempting,
            ready=ready,
            attempting=self._attempting,
            oldest_age_ms=0 if oldest is None else max(0, now_ms - oldest.record.accepted_ms),
            body_bytes=self._body_bytes,
            settled=self._settled,
            dead_lettered=self._dead_lettered,
            dropped=self._dropped,
        )

    def check(self) -> None:
        """Asserts the invariants of the module's text."""
        schedule, expiries = set(self._schedule), set(self._expiries)
        attempting = 0
        for number, entry in self._entries.items():
            assert (number in self._ready) == (entry.phase is _Phase.READY)
            attempting += entry.phase is _Phase.ATTEMPTING
            if entry.phase is not _Phase.ATTEMPTING:
                assert (entry.expires_ms, number) in expiries
            if entry.phase is _Phase.WAITING:
                assert (entry.next_ms, number) in schedule
        assert attempting == self._attempting
        assert set(self._ready) <= set(self._entries)
        assert list(self._entries) == sorted(self._entries)
        assert sum(entry.body_bytes for entry in self._entries.values()) == self._body_bytes
        assert len(self._schedule) <= 2 * len(self._entries) + _SWEEP_MIN
        assert len(self._expiries) <= 2 * len(self._entries) + _SWEEP_MIN
        assert all(number < self._next_number for number in self._entries)


def _is_scheduled(entry: _Entry, next_ms: int) -> bool:
    return entry.phase is _Phase.WAITING and entry.next_ms == next_ms
