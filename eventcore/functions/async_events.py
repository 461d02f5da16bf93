"""The asynchronous invocations of a function: what waits, what is invoked when, where it ends.

    accepted ──▶ ready ──▶ attempting ──▶ succeeded: gone, with a record to OnSuccess
                   ▲           │
                   │           ├──▶ failed: waits 1 minute, then 2 ──▶ ready
                   │           └──▶ throttled: waits, doubling ──────▶ ready
    too old, out of retries, pushed out ──▶ gone, with a record to OnFailure and the DLQ

Rules of this file:

- At least once: an event is a row until it has ended. That it is being attempted, or waits after a
  throttle, is known in memory only; after a restart it is ready again. Its request id stays the
  same over all attempts.
- The row of an event is written once. Its invocations and the time of the next one are a second,
  small row, written by each failure.
- The records of its end are effects of the outcome in which the event's rows go. Without a
  destination and a dead-letter queue, an event that failed is dropped and counted.
- Age and retries are those of the settings of the event's qualifier at the time when it matters; a
  change of settings holds for what waits already. An event whose next retry would come too late
  ends at its last failure.
- Ready events are handed out in the order in which they were accepted; one that comes back is
  behind those that became ready meanwhile. The order is best effort.
- An event that becomes too old while it is attempted ends only when that attempt has failed.
- Rows beyond `memory_bytes_max` are not held in memory: whoever needs the event reads its row. An
  event that has to end and is not held is *doomed*: `due` hands it out with its condition, to be
  given to `discard` once its row was read.

Cost: no operation depends on how many events wait. A lane has the events of one qualifier, by
number; numbers are given in the order of time, so the first of each lane is its oldest.

Invariants: every event is in exactly one phase; ready and doomed ones are exactly those in `_ready`
and `_doomed`; waiting ones have an entry in `_schedule`; ready and waiting ones are in their lane.
"""

from __future__ import annotations

from collections import OrderedDict
from heapq import heapify, heappop, heappush
from typing import Final, Protocol, final

from eventcore import limits
from eventcore.errors import LimitExceeded
from eventcore.functions.async_entry import (
    IN_LANE,
    AsyncAttempt,
    AsyncEvent,
    AsyncStatistics,
    Entry,
    Lane,
    Phase,
    decode_async_event,
)
from eventcore.functions.function_spec import LATEST, InvokeConfig
from eventcore.functions.invocation import InvocationResult
from eventcore.functions.invoke_records import (
    EVENT_AGE_EXCEEDED,
    QUEUE_FULL,
    RETRIES_EXHAUSTED,
    SUCCESS,
    EndedInvocation,
    LastResponse,
    last_response_of,
    to_dead_letter_queue,
    to_destination,
)
from eventcore.functions.records import (
    ATTEMPTS,
    EVENT,
    AsyncAttemptsRecord,
    AsyncRecord,
    decode_async_attempts,
    decode_async_record,
)
from eventcore.ids import IdSource, format_uuid
from eventcore.outcome import (
    Effect,
    Mutation,
    Outcome,
    delete_row,
    put_row,
    row_family,
    row_key,
    row_number,
)

__all__ = [
    "AsyncAttempt",
    "AsyncEvent",
    "AsyncEvents",
    "AsyncRules",
    "AsyncStatistics",
    "decode_async_event",
]

MESSAGE_CHARACTERS_MAX: Final = limits.OUTBOX_ERROR_CHARACTERS_MAX
"""Of the latest error that is kept of an event."""
DOOMED_MAX: Final = 10_000
"""Events that wait to be read back for their end, beyond which a full queue refuses to push more
out: what comes then ends itself."""
_SWEEP_MIN: Final = 64
_DEFAULT: Final = InvokeConfig(0)


class AsyncRules(Protocol):
    """What the function's settings say of an event."""

    def invoke_config(self, qualifier: str) -> InvokeConfig | None:
        """How events of a qualifier ("$LATEST" for none) are tried, and where they end."""
        ...

    def dead_letter_arn(self, qualifier: str | None, executed_version: str) -> str | None:
        """The dead-letter queue of the version that was, or would have been, invoked."""
        ...


@final
class AsyncEvents:
    """The events of one function. See the module's text for its rules."""

    def __init__(
        self,
        function_arn: str,
        ids: IdSource,
        rules: AsyncRules,
        *,
        events_max: int = limits.ASYNC_EVENTS_MAX,
        memory_bytes_max: int = limits.ASYNC_MEMORY_BYTES_MAX,
    ) -> None:
        self._function_arn = function_arn
        self._ids = ids
        self._rules = rules
        self._events_max = events_max
        self._memory_bytes_max = memory_bytes_max
        self._entries: OrderedDict[int, Entry] = OrderedDict()
        self._ready: OrderedDict[int, None] = OrderedDict()
        self._doomed: OrderedDict[int, None] = OrderedDict()
        self._schedule: list[tuple[int, int]] = []
        self._lanes: dict[str | None, Lane] = {}
        self._attempting = 0
        self._condemned = 0
        self._memory_bytes = 0
        self._next_number = 0
        self._succeeded = self._failed = self._throttled = self._dropped = 0

    # Commands

    def enqueue(self, event: AsyncEvent, now_ms: int) -> Outcome[str]:
        """Takes an event in; the value is its request id. Raises
        LimitExceeded("async_events_max").
        """
        if self._is_full:
            raise LimitExceeded("async_events_max", self._events_max)
        record = self._record(event, now_ms)
        mutations: list[Mutation] = []
        self._put_event(record, mutations)
        return Outcome(format_uuid(record.id), tuple(mutations))

    def accept(self, event: AsyncEvent, now_ms: int) -> Outcome[None]:
        """Takes an event in and never refuses: a full queue gives up its oldest one that is not
        being attempted.
        """
        mutations: list[Mutation] = []
        effects: list[Effect] = []
        record = self._record(event, now_ms)
        if not self._is_full or self._push_out_one(now_ms, mutations, effects):
            self._put_event(record, mutations)
        else:
            request_id = format_uuid(record.id)
            self._tell(request_id, event, QUEUE_FULL, 0, None, now_ms, effects)
        return Outcome(None, tuple(mutations), tuple(effects))

    def _record(self, event: AsyncEvent, now_ms: int) -> AsyncRecord:
        return AsyncRecord(
            self._ids.unique_id(),
            now_ms,
            event.payload,
            event.qualifier,
            event.trace_header,
            event.client_context,
        )

    def _put_event(self, record: AsyncRecord, mutations: list[Mutation]) -> None:
        self._do(put_row(row_key(EVENT, self._next_number), record, is_new=True), mutations)

    @property
    def _is_full(self) -> bool:
        return len(self._entries) - self._condemned >= self._events_max

    def _push_out_one(self, now_ms: int, mutations: list[Mutation], effects: list[Effect]) -> bool:
        heads = [head for lane in self._lanes.values() if (head := self._head(lane)) is not None]
        if not heads or self._condemned >= DOOMED_MAX:
            return False
        number = min(heads)
        self._end_unread(number, self._entries[number], QUEUE_FULL, now_ms, mutations, effects)
        return True

    def due(self, now_ms: int, limit: int) -> Outcome[tuple[AsyncAttempt, ...]]:
        """Hands out at most `limit` events to be invoked now, those to be discarded first. What is
        found to be too old on the way counts among the `limit`, and ends.
        """
        mutations: list[Mutation] = []
        effects: list[Effect] = []
        attempts: list[AsyncAttempt] = []
        self._promote(now_ms, limit)
        for _ in range(limit):
            line = self._doomed or self._ready
            if not line:
                break
            number, _ = line.popitem(last=False)
            entry = self._entries[number]
            if entry.condition is None and self._expires_ms(entry) <= now_ms:
                self._end_unread(number, entry, EVENT_AGE_EXCEEDED, now_ms, mutations, effects)
                continue
            entry.phase = Phase.ATTEMPTING
            self._attempting += 1
            attempts.append(
                AsyncAttempt(
                    number,
                    format_uuid(entry.id),
                    None if entry.row is None else decode_async_event(entry.row),
                    entry.accepted_ms,
                    entry.invokes,
                    entry.condition,
                )
            )
        return Outcome(tuple(attempts), tuple(mutations), tuple(effects))

    def succeed(
        self, attempt: AsyncAttempt, event: AsyncEvent, result: InvocationResult, now_ms: int
    ) -> Outcome[None]:
        """The function has done it: the event goes, with a record to its OnSuccess destination.
        Nothing happens if it is gone already.
        """
        number, entry = attempt.number, self._attempted(attempt)
        if entry is None:
            return Outcome(None)
        mutations: list[Mutation] = []
        effects: list[Effect] = []
        self._succeeded += 1
        destination = self._config(entry.lane.qualifier).on_success
        if destination is not None:
            ended = self._ended(
                attempt.request_id,
                event,
                SUCCESS,
                entry.invokes + 1,
                last_response_of(result),
                now_ms,
            )
            effects.append(to_destination(ended, destination, self._ids))
        self._delete(number, entry, mutations)
        return Outcome(None, tuple(mutations), tuple(effects))

    def fail(
        self, attempt: AsyncAttempt, event: AsyncEvent, result: InvocationResult, now_ms: int
    ) -> Outcome[None]:
        """The function failed: the event is tried again after 1 and after 2 minutes, or ends, when
        its retries are used up or the next one would be too late.
        """
        number, entry = attempt.number, self._attempted(attempt)
        if entry is None:
            return Outcome(None)
        mutations: list[Mutation] = []
        effects: list[Effect] = []
        invokes = entry.invokes + 1
        response = last_response_of(result)
        pauses = limits.INVOKE_RETRY_PAUSES_MS
        next_ms = now_ms + pauses[min(invokes, len(pauses)) - 1]
        condition = entry.condition
        if condition is None and invokes > self._retries_max(entry):
            condition = RETRIES_EXHAUSTED
        elif condition is None and next_ms >= self._expires_ms(entry):
            condition = EVENT_AGE_EXCEEDED
        if condition is None:
            record = AsyncAttemptsRecord(
                invokes,
                next_ms,
                response.executed_version,
                response.error or "",
                _storable(response.message),
            )
            self._do(put_row(row_key(ATTEMPTS, number), record), mutations)
        else:
            self._tell(attempt.request_id, event, condition, invokes, response, now_ms, effects)
            self._delete(number, entry, mutations)
        return Outcome(None, tuple(mutations), tuple(effects))

    def throttle(self, attempt: AsyncAttempt, now_ms: int) -> Outcome[None]:
        """The function could not be invoked for now: the event waits, twice as long each time, and
        the attempt does not count. It ends when it is too old.
        """
        number, entry = attempt.number, self._attempted(attempt)
        if entry is None or entry.phase is not Phase.ATTEMPTING:
            return Outcome(None)
        mutations: list[Mutation] = []
        effects: list[Effect] = []
        self._throttled += 1
        if entry.condition is not None:
            self._return(number, entry)
        elif now_ms >= self._expires_ms(entry):
            self._end_unread(number, entry, EVENT_AGE_EXCEEDED, now_ms, mutations, effects)
        else:
            entry.throttles += 1
            entry.next_ms = now_ms + _backoff_ms(entry.throttles, self._ids.token())
            self._attempting -= 1
            self._wait(number, entry)
        return Outcome(None, tuple(mutations), tuple(effects))

    def release(self, attempt: AsyncAttempt) -> Outcome[None]:
        """The attempt was broken off (the process drains): the event is ready again, before all
        others, and the attempt does not count.
        """
        entry = self._attempted(attempt)
        if entry is not None and entry.phase is Phase.ATTEMPTING:
            self._return(attempt.number, entry)
        return Outcome(None)

    def discard(
        self, attempt: AsyncAttempt, event: AsyncEvent, condition: str, now_ms: int
    ) -> Outcome[None]:
        """The event ends without having been invoked: `condition` says why in its record."""
        number, entry = attempt.number, self._attempted(attempt)
        if entry is None:
            return Outcome(None)
        mutations: list[Mutation] = []
        effects: list[Effect] = []
        self._tell(attempt.request_id, event, condition, entry.invokes, entry.last, now_ms, effects)
        self._delete(number, entry, mutations)
        return Outcome(None, tuple(mutations), tuple(effects))

    def _attempted(self, attempt: AsyncAttempt) -> Entry | None:
        # After a reload, the number of an event that is gone may have been given again.
        entry = self._entries.get(attempt.number)
        if entry is None or format_uuid(entry.id) != attempt.request_id:
            return None
        return entry

    # Time

    def next_deadline(self) -> int | None:
        """When the next event becomes ready or too old. A deadline in the past means `tick`."""
        self._skim_schedule()
        deadlines = [self._schedule[0][0]] if self._schedule else []
        for lane in self._lanes.values():
            head = self._head(lane)
            if head is not None:
                deadlines.append(self._expires_ms(self._entries[head]))
        return min(deadlines, default=None)

    def tick(self, now_ms: int, limit: int) -> Outcome[None]:
        """Ends what is too old and makes ready what is due; `has_ready` tells whether there is
        something to hand out then.
        """
        mutations: list[Mutation] = []
        effects: list[Effect] = []
        steps = 0
        for lane in list(self._lanes.values()):
            while steps < limit and (number := self._head(lane)) is not None:
                entry = self._entries[number]
                if self._expires_ms(entry) > now_ms:
                    break
                steps += 1
                self._end_unread(number, entry, EVENT_AGE_EXCEEDED, now_ms, mutations, effects)
        self._promote(now_ms, limit - steps)
        return Outcome(None, tuple(mutations), tuple(effects))

    @property
    def has_ready(self) -> bool:
        """Whether `due` would hand something out without waiting."""
        return bool(self._ready or self._doomed)

    def _promote(self, now_ms: int, limit: int) -> None:
        steps = 0
        while self._schedule and self._schedule[0][0] <= now_ms and steps < limit:
            next_ms, number = heappop(self._schedule)
            entry = self._entries.get(number)
            if entry is not None and _is_scheduled(entry, next_ms):
                entry.phase = Phase.READY
                self._ready[number] = None
                steps += 1

    def _skim_schedule(self) -> None:
        while self._schedule:
            next_ms, number = self._schedule[0]
            entry = self._entries.get(number)
            if entry is not None and _is_scheduled(entry, next_ms):
                break
            heappop(self._schedule)

    def _head(self, lane: Lane) -> int | None:
        """The oldest event of a lane that is not being attempted or doomed."""
        while lane.numbers:
            number = lane.numbers[0]
            entry = self._entries.get(number)
            if entry is not None and entry.phase in IN_LANE:
                return number
            heappop(lane.numbers)
            if entry is not None:
                entry.is_in_heap = False
        return None

    # Settings

    def _config(self, qualifier: str | None) -> InvokeConfig:
        return self._rules.invoke_config(qualifier or LATEST) or _DEFAULT

    def _retries_max(self, entry: Entry) -> int:
        retries_max = self._config(entry.lane.qualifier).retries_max
        return limits.INVOKE_RETRIES_MAX if retries_max is None else retries_max

    def _expires_ms(self, entry: Entry) -> int:
        age_ms_max = self._config(entry.lane.qualifier).age_ms_max
        return entry.accepted_ms + (limits.INVOKE_AGE_MS_MAX if age_ms_max is None else age_ms_max)

    # Ends

    def _end_unread(
        self,
        number: int,
        entry: Entry,
        condition: str,
        now_ms: int,
        mutations: list[Mutation],
        effects: list[Effect],
    ) -> None:
        """Ends an event of which nothing but memory is at hand, or dooms it where that is not
        enough to tell of its end.
        """
        if entry.row is not None:
            request_id, event = format_uuid(entry.id), decode_async_event(entry.row)
            self._tell(request_id, event, condition, entry.invokes, entry.last, now_ms, effects)
            self._delete(number, entry, mutations)
        elif not self._ends(entry.lane.qualifier, entry.last):
            self._dropped += 1
            self._delete(number, entry, mutations)
        else:
            if entry.phase is Phase.ATTEMPTING:
                self._attempting -= 1
            self._ready.pop(number, None)
            entry.condition = condition
            entry.phase = Phase.DOOMED
            self._condemned += 1
            self._doomed[number] = None

    def _ends(self, qualifier: str | None, last: LastResponse | None) -> list[tuple[str, bool]]:
        """Where an event that failed ends: ARNs, and whether each is a dead-letter queue."""
        found: list[tuple[str, bool]] = []
        on_failure = self._config(qualifier).on_failure
        if on_failure is not None:
            found.append((on_failure, False))
        executed_version = "" if last is None else last.executed_version
        dead_letter_arn = self._rules.dead_letter_arn(qualifier, executed_version)
        if dead_letter_arn is not None:
            found.append((dead_letter_arn, True))
        return found

    def _tell(
        self,
        request_id: str,
        event: AsyncEvent,
        condition: str,
        invokes: int,
        last: LastResponse | None,
        now_ms: int,
        effects: list[Effect],
    ) -> None:
        """Tells of an event that failed, and counts it."""
        ended = self._ended(request_id, event, condition, invokes, last, now_ms)
        ends = self._ends(event.qualifier, last)
        for arn, is_dead_letter_queue in ends:
            write = to_dead_letter_queue if is_dead_letter_queue else to_destination
            effects.append(write(ended, arn, self._ids))
        if ends:
            self._failed += 1
        else:
            self._dropped += 1

    def _ended(
        self,
        request_id: str,
        event: AsyncEvent,
        condition: str,
        invokes: int,
        response: LastResponse | None,
        now_ms: int,
    ) -> EndedInvocation:
        return EndedInvocation(
            function_arn=self._function_arn,
            request_id=request_id,
            payload=event.payload,
            qualifier=event.qualifier,
            trace_header=event.trace_header,
            condition=condition,
            invokes=invokes,
            response=response,
            ended_ms=now_ms,
        )

    # State

    def apply(self, mutation: Mutation) -> None:
        """The only code that changes which events there are. Takes a row of its two families."""
        number = row_number(mutation.key)
        entry = self._entries.get(number)
        if row_family(mutation.key) == ATTEMPTS:
            if entry is not None and mutation.value is not None:
                record = mutation.record or decode_async_attempts(mutation.value)
                self._take_attempts(number, entry, record)
            return
        self._next_number = max(self._next_number, number + 1)
        if mutation.value is None:
            if entry is not None:
                self._drop(number, entry)
        elif entry is None:
            record = mutation.record or decode_async_record(mutation.value)
            self._take_event(number, record, mutation.value)

    def _take_event(self, number: int, record: AsyncRecord, row: bytes) -> None:
        lane = self._lanes.get(record.qualifier)
        if lane is None:
            lane = self._lanes[record.qualifier] = Lane(record.qualifier)
        is_held = self._memory_bytes + len(row) <= self._memory_bytes_max
        if is_held:
            self._memory_bytes += len(row)
        entry = self._entries[number] = Entry(record, row if is_held else None, lane)
        lane.live += 1
        self._ready[number] = None
        self._join_lane(number, entry)

    def _take_attempts(self, number: int, entry: Entry, record: AsyncAttemptsRecord) -> None:
        entry.invokes = record.invokes
        entry.next_ms = record.next_ms
        entry.throttles = 0
        entry.last = LastResponse(record.executed_version, record.error or None, record.message)
        if entry.phase is Phase.ATTEMPTING:
            self._attempting -= 1
        self._wait(number, entry)

    def _wait(self, number: int, entry: Entry) -> None:
        self._ready.pop(number, None)
        entry.phase = Phase.WAITING
        heappush(self._schedule, (entry.next_ms, number))
        self._join_lane(number, entry)
        self._sweep_schedule()

    def _return(self, number: int, entry: Entry) -> None:
        """Takes back what was being attempted, to be handed out again before all others."""
        self._attempting -= 1
        if entry.condition is not None:
            entry.phase = Phase.DOOMED
            line = self._doomed
        else:
            entry.phase = Phase.READY
            line = self._ready
            self._join_lane(number, entry)
        line[number] = None
        line.move_to_end(number, last=False)

    def _join_lane(self, number: int, entry: Entry) -> None:
        if not entry.is_in_heap:
            entry.is_in_heap = True
            heappush(entry.lane.numbers, number)

    def _drop(self, number: int, entry: Entry) -> None:
        del self._entries[number]
        self._ready.pop(number, None)
        self._doomed.pop(number, None)
        if entry.row is not None:
            self._memory_bytes -= len(entry.row)
        if entry.phase is Phase.ATTEMPTING:
            self._attempting -= 1
        if entry.condition is not None:
            self._condemned -= 1
        lane = entry.lane
        lane.live -= 1
        if not lane.live:
            del self._lanes[lane.qualifier]
        elif len(lane.numbers) > 2 * lane.live + _SWEEP_MIN:
            lane.numbers = [other for other in lane.numbers if other in self._entries]
            heapify(lane.numbers)
        self._sweep_schedule()

    def _sweep_schedule(self) -> None:
        """Rebuilds the schedule when stale entries outnumber live ones."""
        if len(self._schedule) > 2 * len(self._entries) + _SWEEP_MIN:
            entries = self._entries.items()
            self._schedule = [(e.next_ms, n) for n, e in entries if e.phase is Phase.WAITING]
            heapify(self._schedule)

    def _do(self, mutation: Mutation, mutations: list[Mutation]) -> None:
        self.apply(mutation)
        mutations.append(mutation)

    def _delete(self, number: int, entry: Entry, mutations: list[Mutation]) -> None:
        if entry.invokes:
            self._do(delete_row(row_key(ATTEMPTS, number)), mutations)
        self._do(delete_row(row_key(EVENT, number)), mutations)

    # Observation

    def __len__(self) -> int:
        return len(self._entries)

    def statistics(self, now_ms: int) -> AsyncStatistics:
        """Counts at this moment."""
        oldest = next(iter(self._entries.values()), None)
        ready = len(self._ready) + len(self._doomed)
        return AsyncStatistics(
            waiting=len(self._entries) - ready - self._attempting,
            ready=ready,
            attempting=self._attempting,
            oldest_age_ms=0 if oldest is None else max(0, now_ms - oldest.accepted_ms),
            succeeded=self._succeeded,
            failed=self._failed,
            throttled=self._throttled,
            dropped=self._dropped,
        )

    def check(self) -> None:
        """Asserts the invariants of the module's text."""
        schedule = set(self._schedule)
        lives: dict[str | None, int] = {}
        for number, entry in self._entries.items():
            lane = entry.lane
            assert self._lanes[lane.qualifier] is lane
            lives[lane.qualifier] = lives.get(lane.qualifier, 0) + 1
            assert (number in self._ready) == (entry.phase is Phase.READY)
            assert (number in self._doomed) == (entry.phase is Phase.DOOMED)
            assert (number in lane.numbers) == entry.is_in_heap
            assert entry.is_in_heap or entry.phase not in IN_LANE
            assert entry.phase is not Phase.DOOMED or entry.condition is not None
            if entry.phase is Phase.WAITING:
                assert (entry.next_ms, number) in schedule
        entries = self._entries.values()
        assert {lane.qualifier: lane.live for lane in self._lanes.values()} == lives
        assert sum(e.phase is Phase.ATTEMPTING for e in entries) == self._attempting
        assert sum(e.condition is not None for e in entries) == self._condemned
        assert sum(len(e.row) for e in entries if e.row is not None) == self._memory_bytes
        assert self._memory_bytes <= self._memory_bytes_max
        assert set(self._ready) | set(self._doomed) <= set(self._entries)
        assert list(self._entries) == sorted(self._entries)
        assert len(self._schedule) <= 2 * len(self._entries) + _SWEEP_MIN
        for lane in self._lanes.values():
            assert len(lane.numbers) == len(set(lane.numbers)) <= 2 * lane.live + _SWEEP_MIN
        assert all(number < self._next_number for number in self._entries)


def _storable(message: str) -> str:
    """The beginning of an error's text, in characters that a row can hold."""
    return message[:MESSAGE_CHARACTERS_MAX].encode(errors="replace").decode()


def _backoff_ms(throttles: int, token: int) -> int:
    """Doubling, between half of it and all of it, so that the events of a function spread."""
    whole = min(
        limits.THROTTLE_PAUSE_MS_FIRST << min(throttles - 1, 20), limits.THROTTLE_PAUSE_MS_MAX
    )
    half = whole // 2
    return half + token % (half + 1)


def _is_scheduled(entry: Entry, next_ms: int) -> bool:
    return entry.phase is Phase.WAITING and entry.next_ms == next_ms
