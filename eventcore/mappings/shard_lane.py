"""One lane of one shard: which batch is next, and what becomes of it.

A shard has as many lanes as the mapping's parallelization factor, one with tumbling windows; a
record's lane is that of its partition key, so the records of a key stay in order. A lane has its
own position, its own batches to try again, and its own pauses.

Rules of this file:

- The lane is told records in order (`offer`) and how far the shard was looked through (`passed`):
  what was not offered before there is another lane's, or was dropped by the filter. It keeps what
  it was offered until that is done with. One batch runs at a time.
- `step` says what to do next: invoke a batch, take a change over that needs no invocation, or
  wait. `succeeded`, `failed` and the like say what an invocation's end means, as a `LaneChange`.
- `position` is what a restart begins with: all below its `number` is done with, `pending` are the
  batches to try before anything behind them. A change that tells of a discarded batch must be
  stored in one transaction with what its destination is told.
- A batch that failed is tried again as it is, after a pause that doubles, until it has failed
  `retries_max` times more; then it is discarded. Where only its end failed, the rest is a batch of
  its own with a count of its own (recorded of AWS). With bisect on error, a failed batch of two
  records or more is cut in halves instead, tried in order, at once, with counts of their own:
  splitting is no retry. So one poison record in n stands alone after 2 * ceil(log2 n) - 1
  invocations. A partial failure that begins with the batch's first record is a failure of all.
- What could not be invoked (throttles) is tried again after a pause and is never counted.
- Records older than `age_ms_max` are discarded, alone, wherever they stand: before the first
  invocation, between retries, while throttled. Arrivals rise, so they come first.
- Records out of the stream's retention are passed over and only counted.
- A batch is cut at `batch_size`, at what one invocation may hold, and at the end of a tumbling
  window. The batch window begins when the lane could have begun a batch and had a record for it;
  a batch that can not grow (it is full, the shard has ended, or nothing more may be read ahead)
  does not wait for its end, nor does one that is tried again.
- After a restart with other settings, pending batches are cut by the new ones.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Final, final
from zlib import crc32

import msgspec

from eventcore import limits
from eventcore.mappings import tumbling
from eventcore.mappings.failure_record import RECORD_AGE_EXCEEDED, RETRIES_EXHAUSTED
from eventcore.mappings.mapping_spec import (
    FOR_EVER,
    BatchRange,
    LanePosition,
    MappingSpec,
    WindowState,
)
from eventcore.mappings.source_events import EVENT_BYTES

__all__ = [
    "Discard",
    "LaneBatch",
    "LaneChange",
    "LaneRecord",
    "LaneRules",
    "ShardLane",
    "Step",
    "Wait",
    "lane_of",
    "lanes_of",
]

RETRY_PAUSE_MS_FIRST: Final = 500
RETRY_PAUSE_MS_MAX: Final = 60_000
"""Between attempts of a batch that failed: it doubles from one to the other."""
REFUSED_PAUSE_MS_FIRST: Final = 100
REFUSED_PAUSE_MS_MAX: Final = 5_000
"""The same where the function could not be invoked."""
INCOMPLETE_PAUSE_MS: Final = 100
"""Until a window's end is looked at again, when records of it may still be on their way."""
NEVER: Final = 1 << 62
_structs = msgspec.structs


class LaneRecord(msgspec.Struct, frozen=True, gc=False):
    """A record of a shard. `number` counts in the shard, `size` is its part of an event's JSON in
    bytes, `arrived_ms` epoch ms.
    """

    number: int
    arrived_ms: int
    size: int
    sequence_number: str
    partition_key: str
    data: bytes


class LaneRules(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of a mapping that a lane goes by; members as in MappingSpec."""

    batch_size: int
    batch_window_ms: int = 0
    is_bisecting: bool = False
    retries_max: int = FOR_EVER
    age_ms_max: int = FOR_EVER
    window_ms: int = 0
    bytes_max: int = limits.INVOKE_BYTES_MAX - EVENT_BYTES

    @classmethod
    def of(cls, spec: MappingSpec) -> LaneRules:
        """The rules of a mapping."""
        return cls(
            batch_size=spec.batch_size,
            batch_window_ms=spec.batch_window_ms,
            is_bisecting=spec.is_bisecting,
            retries_max=spec.retries_max,
            age_ms_max=spec.age_ms_max,
            window_ms=spec.window_ms,
        )


class LaneBatch(msgspec.Struct, frozen=True):
    """A batch to invoke. `range` is what it is of the shard; `window` the tumbling window as it is
    before. The final batch of a window has no records; `is_early` where its state became too large.
    """

    records: list[LaneRecord]
    range: BatchRange
    window: WindowState | None = None
    is_final: bool = False
    is_early: bool = False


class Discard(msgspec.Struct, frozen=True):
    """A batch that was given up, and why (`failure_record`). `invokes` counts its invocations as
    AWS tells them: one at the least.
    """

    condition: str
    first: LaneRecord
    last: LaneRecord
    count: int
    invokes: int
    request_id: str


class LaneChange(msgspec.Struct, frozen=True):
    """A new position. `expired` counts records that went with the stream's retention."""

    position: LanePosition
    discard: Discard | None = None
    expired: int = 0


class Wait(msgspec.Struct, frozen=True):
    """Nothing to do before `until_ms`, None for until there are more records."""

    until_ms: int | None = None


Step = LaneBatch | LaneChange | Wait


def lanes_of(spec: MappingSpec) -> int:
    """How many lanes each shard of a mapping has: tumbling windows are a whole shard's."""
    return 1 if spec.window_ms else spec.parallelization


def lane_of(partition_key: str, lanes: int) -> int:
    """The lane of a partition key. Positions are kept by it, so it never changes."""
    return crc32(partition_key.encode()) % lanes


@final
class ShardLane:
    """One lane of one shard, from a stored position on."""

    def __init__(self, rules: LaneRules, position: LanePosition) -> None:
        if position.window is not None and not rules.window_ms:
            position = _structs.replace(position, window=None)
        self.position = position
        """What is done with, as of the latest change."""
        self._rules = rules
        self._buffer: deque[LaneRecord] = deque()
        self._bytes = 0
        self._cursor = position.number
        self._is_closed = False
        self._running: LaneBatch | None = None
        self._gathering_ms = NEVER
        self._refusals = 0
        self._final_failures = 0
        self._retry_ms = 0
        if position.pending and position.pending[0].failures:
            pause_ms = _pause_ms(position.pending[0].failures)
            self._retry_ms = position.failed_ms + pause_ms

    # What it is told of the shard

    def __len__(self) -> int:
        """How many records it keeps."""
        return len(self._buffer)

    @property
    def buffered_bytes(self) -> int:
        """Their size."""
        return self._bytes

    @property
    def oldest_ms(self) -> int | None:
        """When the oldest record that it has and that is not done arrived."""
        return self._buffer[0].arrived_ms if self._buffer else None

    @property
    def is_running(self) -> bool:
        """Whether a batch is being invoked."""
        return self._running is not None

    @property
    def is_incomplete(self) -> bool:
        """Whether it needs more of the shard before it can try a pending batch again."""
        pending = self.position.pending
        return bool(pending) and self._cursor <= pending[0].last and not self._is_closed

    def is_hungry(self, now_ms: int) -> bool:
        """Whether more records would be used now."""
        if self.is_incomplete:
            return True
        position = self.position
        if self._running is not None or self._is_closed or position.pending or position.is_end:
            return False
        is_full = len(self._buffer) >= self._rules.batch_size or self._bytes > self._rules.bytes_max
        return not is_full and now_ms >= self._retry_ms

    def offer(self, records: Iterable[LaneRecord]) -> None:
        """Takes the lane's next records, in order. Those that are done already are left out."""
        number = self.position.number
        for record in records:
            if record.number >= number:
                self._buffer.append(record)
                self._bytes += record.size

    def passed(self, number: int) -> None:
        """All of the shard below `number` was looked through, and offered if it is the lane's."""
        if number > self._cursor:
            self._cursor = number
            self._skip_empty()

    def end(self) -> None:
        """The shard is closed, and all of it was looked through."""
        self._is_closed = True
        self._skip_empty()

    def idle_position(self) -> LanePosition:
        """The position with what was passed over since the latest change: other lanes' records and
        dropped ones. To be stored now and then, so that a restart need not look at them again.
        """
        if self._running is None:
            self._advance()
        return self.position

    # What is next

    def step(
        self, now_ms: int, *, horizon_ms: int = 0, complete_ms: int = 0, is_stalled: bool = False
    ) -> Step:
        """What to do next; not while a batch runs.

        What arrived before `horizon_ms` is out of the stream's retention; what arrived before
        `complete_ms` was all offered. `is_stalled`: nothing more will be offered before records are
        done with.
        """
        assert self._running is None, "a lane runs one batch at a time"
        if self.position.is_end:
            return Wait()
        change = self._expired(horizon_ms) or self._aged(now_ms)
        if change is not None:
            return change
        final = self._final(now_ms, complete_ms)
        if final is not None:
            return final
        if self.position.pending:
            return self._retry(now_ms)
        if not self._buffer:
            return self._rest(now_ms)
        return self._fresh(now_ms, complete_ms, is_stalled)

    def _expired(self, horizon_ms: int) -> LaneChange | None:
        count = 0
        while self._buffer and self._buffer[0].arrived_ms < horizon_ms:
            self._pop()
            count += 1
        return self._change(expired=count) if count else None

    def _aged(self, now_ms: int) -> LaneChange | None:
        """Discards what is too old: of the batch that is tried next, or of all."""
        age_ms_max = self._rules.age_ms_max
        if age_ms_max == FOR_EVER or not self._buffer:
            return None
        if self._buffer[0].arrived_ms + age_ms_max >= now_ms:
            return None
        pending = self.position.pending
        last = pending[0].last if pending else NEVER
        old: list[LaneRecord] = []
        for record in self._buffer:
            if record.arrived_ms + age_ms_max >= now_ms or record.number > last:
                break
            old.append(record)
        if not old:
            return None
        failures = pending[0].failures if pending else 0
        return self._give_up(old, RECORD_AGE_EXCEEDED, failures)

    def _skip_empty(self) -> None:
        """Passes over pending batches of which nothing is left: a lane that has some is not hungry,
        so they must go as soon as that is known.
        """
        pending = self.position.pending
        if not pending:
            return
        while pending and (self._cursor > pending[0].last or self._is_closed):
            if self._buffer and self._buffer[0].number <= pending[0].last:
                break
            pending = pending[1:]
            self._retry_ms = 0
        if len(pending) < len(self.position.pending):
            self.position = _structs.replace(self.position, pending=pending)
            self._advance()

    def _retry(self, now_ms: int) -> Step:
        pending = self.position.pending
        if self.is_incomplete:
            return Wait()
        wait = self._paused(now_ms)
        if wait is not None:
            return wait
        part = pending[0]
        count = self._count_batch(part.last)
        records = list(islice(self._buffer, count))
        has_more = count < len(self._buffer) and self._buffer[count].number <= part.last
        if has_more:  # the settings have become tighter
            rest = BatchRange(self._buffer[count].number, part.last)
            part = BatchRange(part.first, rest.first - 1, part.failures)
            self.position = _structs.replace(self.position, pending=(part, rest, *pending[1:]))
        return self._run(records, part)

    def _fresh(self, now_ms: int, complete_ms: int, is_stalled: bool) -> Step:
        wait = self._paused(now_ms)
        if wait is not None:
            return wait
        if self._gathering_ms > now_ms:  # it has not begun
            self._gathering_ms = now_ms
        due_ms = self._gathering_ms + self._rules.batch_window_ms
        if now_ms < due_ms and not (is_stalled or self._is_closed or self._is_full(complete_ms)):
            return Wait(min(due_ms, self._age_ms(), self._window_end_ms(now_ms)))
        count = self._count_batch(NEVER)
        records = list(islice(self._buffer, count))
        return self._run(records, BatchRange(records[0].number, records[-1].number))

    def _run(self, records: list[LaneRecord], part: BatchRange) -> LaneBatch:
        window = None
        if self._rules.window_ms:
            arrived_ms = records[0].arrived_ms
            window = self._window_of(arrived_ms)
        batch = self._running = LaneBatch(records, part, window)
        self._gathering_ms = NEVER
        return batch

    def _rest(self, now_ms: int) -> Step:
        """Nothing is there: the end of the shard, or waiting."""
        if self._is_closed:
            return LaneChange(self._put(_structs.replace(self.position, is_end=True)))
        until_ms = self._window_end_ms(now_ms)
        return Wait(until_ms if until_ms < NEVER else None)

    def _paused(self, now_ms: int) -> Wait | None:
        # A pause is never longer than the longest, whatever a clock was set to meanwhile.
        self._retry_ms = min(self._retry_ms, now_ms + RETRY_PAUSE_MS_MAX)
        if now_ms < self._retry_ms:
            return Wait(min(self._retry_ms, self._age_ms()))
        return None

    def _age_ms(self) -> int:
        """When the oldest record becomes too old."""
        if self._rules.age_ms_max == FOR_EVER or not self._buffer:
            return NEVER
        return self._buffer[0].arrived_ms + self._rules.age_ms_max + 1

    # Batches

    def _is_full(self, complete_ms: int) -> bool:
        """Whether a batch of what is there could not grow."""
        buffer, rules = self._buffer, self._rules
        if len(buffer) >= rules.batch_size or self._bytes > self._bytes_max():
            return True
        if not rules.window_ms:
            return False
        reached_ms = max(buffer[-1].arrived_ms, complete_ms)
        window = self._window_of(buffer[0].arrived_ms)
        return tumbling.has_ended(window, rules.window_ms, reached_ms)

    def _bytes_max(self) -> int:
        window = self.position.window
        state_bytes = 0 if window is None else tumbling.state_bytes(window)
        return self._rules.bytes_max - state_bytes

    def _count_batch(self, last: int) -> int:
        """How many records are in a batch that ends with `last` at the latest: one at the least."""
        rules = self._rules
        most = min(len(self._buffer), rules.batch_size)
        bytes_max = self._bytes_max()
        end_ms = NEVER
        if rules.window_ms:
            window = self._window_of(self._buffer[0].arrived_ms)
            end_ms = window.start_ms + rules.window_ms
        elif last == NEVER and self._bytes <= bytes_max:
            return most
        size = 0
        for count, record in enumerate(islice(self._buffer, most)):
            size += record.size
            if count and (size > bytes_max or record.number > last or record.arrived_ms >= end_ms):
                return count
        return most

    # Tumbling windows

    def _window_of(self, arrived_ms: int) -> WindowState:
        """The window that a record at the head of the lane is handed to."""
        window, window_ms = self.position.window, self._rules.window_ms
        return tumbling.fresh(arrived_ms, window_ms) if window is None else window

    def _window_end_ms(self, now_ms: int) -> int:
        """When to look at the end of the window; NEVER where there is none."""
        window = self.position.window
        if window is None and self._rules.window_ms and self._buffer:
            window = self._window_of(self._buffer[0].arrived_ms)
        if window is None:
            return NEVER
        end_ms = window.start_ms + self._rules.window_ms
        return end_ms if now_ms < end_ms else now_ms + INCOMPLETE_PAUSE_MS

    def _final(self, now_ms: int, complete_ms: int) -> Step | None:
        """The final invocation of the open window, if its time has come."""
        window, window_ms = self.position.window, self._rules.window_ms
        if window is None:
            return None
        if self.position.pending:
            is_over = False
        elif self._buffer:
            is_over = tumbling.has_ended(window, window_ms, self._buffer[0].arrived_ms)
        else:
            is_over = self._is_closed or tumbling.has_ended(window, window_ms, complete_ms)
        is_early = not is_over and tumbling.is_oversize(window)
        if not is_early and not is_over:
            return None
        wait = self._paused(now_ms)
        if wait is not None:
            return wait
        number = self.position.number
        self._running = LaneBatch(
            [], BatchRange(number, number - 1), window, is_final=True, is_early=is_early
        )
        return self._running

    # What became of a batch

    def succeeded(self, batch: LaneBatch, state: str | None = None) -> LaneChange:
        """All of it is done. `state` is the tumbling window's next."""
        self._ended(batch)
        if batch.is_final:
            return self._window_closed(batch)
        self._done(batch.range.last, self.position.pending[1:])
        return self._change(self._window(batch, state))

    def progressed(self, batch: LaneBatch, at: int, state: str | None = None) -> LaneChange:
        """All before the record at position `at` (1 at the least) is done; the rest is a batch of
        its own.
        """
        assert 0 < at < len(batch.records)
        self._ended(batch)
        first = batch.records[at].number
        rest = BatchRange(first, batch.range.last)
        self._done(first - 1, (rest, *self.position.pending[1:]))
        return self._change(self._window(batch, state))

    def failed(self, batch: LaneBatch, request_id: str, now_ms: int) -> LaneChange:
        """The function failed on it: it is cut in halves, tried again, or discarded."""
        self._ended(batch)
        self.position = _structs.replace(self.position, request_id=request_id, failed_ms=now_ms)
        if batch.is_final:
            self._final_failures += 1
            self._retry_ms = now_ms + _pause_ms(self._final_failures)
            return LaneChange(self.position)
        if self._rules.is_bisecting and len(batch.records) > 1:
            return self._split(batch)
        failures = batch.range.failures + 1
        retries_max = self._rules.retries_max
        if retries_max != FOR_EVER and failures > retries_max:
            return self._give_up(batch.records, RETRIES_EXHAUSTED, failures, batch.range.last)
        part = BatchRange(batch.range.first, batch.range.last, failures)
        self._retry_ms = now_ms + _pause_ms(failures)
        pending = (part, *self.position.pending[1:])
        return LaneChange(self._put(_structs.replace(self.position, pending=pending)))

    def refused(self, batch: LaneBatch, now_ms: int) -> None:
        """It could not be invoked, for a reason that passes. Nothing is counted."""
        self._ended(batch, is_refused=True)
        self._refusals += 1
        self._gathering_ms = 0  # its batch window is over
        pause_ms = min(REFUSED_PAUSE_MS_FIRST << min(self._refusals - 1, 32), REFUSED_PAUSE_MS_MAX)
        self._retry_ms = now_ms + pause_ms

    def wake(self) -> None:
        """What could not be invoked may be tried again now."""
        if self._refusals and self._running is None:
            self._retry_ms = 0

    def rejected(self, batch: LaneBatch, request_id: str, now_ms: int) -> LaneChange:
        """It must never be invoked: it is discarded, a final batch with its window."""
        self._ended(batch)
        self.position = _structs.replace(self.position, request_id=request_id, failed_ms=now_ms)
        if batch.is_final:
            return self._window_closed(batch)
        failures = batch.range.failures + 1
        return self._give_up(batch.records, RETRIES_EXHAUSTED, failures, batch.range.last)

    def too_large(self, batch: LaneBatch, request_id: str, now_ms: int) -> LaneChange:
        """It does not fit into an invocation: it is cut in halves; one record alone has failed."""
        if len(batch.records) < 2:
            return self.failed(batch, request_id, now_ms)
        self._ended(batch)
        return self._split(batch)

    def _ended(self, batch: LaneBatch, *, is_refused: bool = False) -> None:
        assert self._running is batch, "the batch that runs is the one that ends"
        self._running = None
        self._retry_ms = 0
        if not is_refused:
            self._refusals = 0

    def _split(self, batch: LaneBatch) -> LaneChange:
        middle = batch.records[len(batch.records) // 2].number
        halves = (BatchRange(batch.range.first, middle - 1), BatchRange(middle, batch.range.last))
        pending = (*halves, *self.position.pending[1:])
        return LaneChange(self._put(_structs.replace(self.position, pending=pending)))

    def _window(self, batch: LaneBatch, state: str | None) -> WindowState | None:
        if batch.window is None:
            return None
        return WindowState(batch.window.start_ms, batch.window.state if state is None else state)

    def _window_closed(self, batch: LaneBatch) -> LaneChange:
        assert batch.window is not None
        self._final_failures = 0
        window = WindowState(batch.window.start_ms) if batch.is_early else None
        return LaneChange(self._put(_structs.replace(self.position, window=window)))

    def _give_up(
        self, records: Sequence[LaneRecord], condition: str, failures: int, last: int | None = None
    ) -> LaneChange:
        """Discards records at the head of the lane. `last` is the end of their batch, None where
        the rest of it stays.
        """
        discard = Discard(
            condition,
            records[0],
            records[-1],
            len(records),
            max(1, failures),
            self.position.request_id if failures else "",
        )
        pending = self.position.pending
        done = records[-1].number
        if last is not None:
            pending, done = pending[1:], last
        elif pending:
            rest = _structs.replace(pending[0], first=done + 1)
            pending = (rest, *pending[1:]) if rest.first <= rest.last else pending[1:]
        if not pending or not pending[0].failures:
            self._retry_ms = 0
        self._done(done, pending)
        change = self._change(self.position.window)
        return _structs.replace(change, discard=discard)

    # Positions

    def _done(self, last: int, pending: tuple[BatchRange, ...]) -> None:
        while self._buffer and self._buffer[0].number <= last:
            self._pop()
        self.position = _structs.replace(self.position, pending=pending)

    def _pop(self) -> None:
        self._bytes -= self._buffer.popleft().size

    def _advance(self) -> None:
        """Moves the position's number as far as all before it is done with."""
        position = self.position
        number = self._buffer[0].number if self._buffer else self._cursor
        if position.pending:
            number = min(number, max(position.number, position.pending[0].first))
        if number > position.number:
            self.position = _structs.replace(position, number=number)

    def _change(self, window: WindowState | None = None, expired: int = 0) -> LaneChange:
        if expired:
            window = self.position.window
        if window is not self.position.window:
            self.position = _structs.replace(self.position, window=window)
        self._skip_empty()
        self._advance()
        return LaneChange(self.position, None, expired)

    def _put(self, position: LanePosition) -> LanePosition:
        self.position = position
        self._advance()
        return self.position

    def check(self) -> None:
        """Asserts the invariants. For tests."""
        position = self.position
        numbers = [record.number for record in self._buffer]
        assert numbers == sorted(set(numbers)), "records rise"
        assert not numbers or position.number <= numbers[0]
        assert self._bytes == sum(record.size for record in self._buffer)
        before = position.number - 1
        for part in position.pending:
            assert before < part.first <= part.last, "pending batches rise"
            before = part.last


def _pause_ms(failures: int) -> int:
    return min(RETRY_PAUSE_MS_FIRST << min(failures - 1, 32), RETRY_PAUSE_MS_MAX)
