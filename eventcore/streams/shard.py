"""A shard: its rows, and what a stream knows of it in memory.

Three rows each, apart from the blocks of its log:

    ShardRecord   what it is: range of hash keys, parents, when it was made and closed
    TailRecord    where its log ends; written with every append
    LogRecord     where its log begins, and the time of some of its records; written now and then

Invariants:

- Records `first_number` to `next_number` - 1 may be read; what is before is trimmed.
- `marks` are points of the log (see `Mark`), rising in all their members; the first
  one is at `first_number`. All that is before a mark arrived not later than the mark's time.
- A closed shard takes nothing and never opens again.
"""

from __future__ import annotations

from typing import Final, final

import msgspec

from eventcore import limits
from eventcore.codec import record_decoder
from eventcore.outcome import Mutation, Trim, put_row, row_key
from eventcore.streams.block import block_key
from eventcore.streams.meter import ReadMeter, WriteMeter
from eventcore.streams.sequence_number import END, first_value, sequence_text
from eventcore.streams.stream_spec import ShardView

__all__ = [
    "LOG_FAMILY",
    "SHARD_FAMILY",
    "TAIL_FAMILY",
    "LogRecord",
    "Mark",
    "Retention",
    "Shard",
    "ShardRecord",
    "TailRecord",
    "decode_log",
    "decode_shard",
    "decode_tail",
    "parse_shard_id",
    "shard_id",
]

SHARD_FAMILY: Final = 1
TAIL_FAMILY: Final = 2
LOG_FAMILY: Final = 3
NOBODY: Final = -1
MARK_MS_MIN: Final = 1_000
MARKS_PER_RETENTION: Final = 100
_ID: Final = "shardId-%012d"
_PREFIX: Final = "shardId-"
_ID_DIGITS_MAX: Final = 12

Mark = tuple[int, int, int, int]
"""(number of a record, ms of its arrival, bytes of all records before it, ms of the arrival of the
record before it)"""


class ShardRecord(msgspec.Struct, frozen=True, array_like=True):
    """The row that says what a shard is. Hash keys are 16 bytes, most significant first; parents
    are ordinals, -1 for none; `closed_ms` is 0 while it is open.
    """

    first_hash: bytes
    last_hash: bytes
    created_s: int
    created_ms: int
    parent: int = NOBODY
    adjacent_parent: int = NOBODY
    closed_ms: int = 0


class TailRecord(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The row that says where a shard's log ends. `log_bytes` counts all that was ever put."""

    next_number: int
    arrived_ms: int
    log_bytes: int


class LogRecord(msgspec.Struct, frozen=True, array_like=True):
    """The row that says where a shard's log begins, and its marks."""

    first_number: int
    marks: list[Mark]


decode_shard: Final = record_decoder(ShardRecord)
decode_tail: Final = record_decoder(TailRecord)
decode_log: Final = record_decoder(LogRecord)


class Retention(msgspec.Struct, frozen=True):
    """For how long records are told of: `duration_ms` from their arrival, and none that arrived
    before `floor_ms`.
    """

    duration_ms: int
    floor_ms: int = 0

    def end_ms(self, arrived_ms: int) -> int:
        """From when on what arrived then is not told of any more; 0 for long since."""
        return 0 if arrived_ms < self.floor_ms else arrived_ms + self.duration_ms + 1

    def horizon_ms(self, now_ms: int) -> int:
        """What arrived before this time is not told of."""
        return max(self.floor_ms, now_ms - self.duration_ms)


def shard_id(ordinal: int) -> str:
    """A shard's id from its number."""
    return _ID % ordinal


def parse_shard_id(text: str) -> int | None:
    """A shard's number from its id; None for what is no id. AWS takes the bare number, too."""
    digits = text.removeprefix(_PREFIX)
    if not digits.isascii() or not digits.isdecimal() or len(digits) > _ID_DIGITS_MAX:
        return None
    return int(digits)


@final
class Shard:
    """One shard of a stream. The stream's `apply` is the only one to set what its rows say."""

    __slots__ = (
        "arrived_ms",
        "children",
        "first_hash",
        "first_number",
        "id",
        "last_hash",
        "log_bytes",
        "marks",
        "next_number",
        "ordinal",
        "reads",
        "record",
        "window_bytes",
        "window_records",
        "writes",
    )

    def __init__(self, ordinal: int, record: ShardRecord) -> None:
        self.ordinal = ordinal
        self.id = shard_id(ordinal)
        self.record = record
        self.first_hash = int.from_bytes(record.first_hash, "big")
        self.last_hash = int.from_bytes(record.last_hash, "big")
        self.next_number = 1
        self.first_number = 1
        self.arrived_ms = 0
        self.log_bytes = 0
        self.marks: list[Mark] = []
        self.children: list[int] = []
        self.window_records = 0
        self.window_bytes = 0
        """What came in the current window of an on-demand stream."""
        self.writes: WriteMeter | None = None
        self.reads: ReadMeter | None = None

    @property
    def is_open(self) -> bool:
        """Whether it takes records."""
        return self.record.closed_ms == 0

    @property
    def parents(self) -> tuple[int, ...]:
        """The ordinals of its parents: none, one (a split) or two (a merge)."""
        pair = (self.record.parent, self.record.adjacent_parent)
        return tuple(parent for parent in pair if parent != NOBODY)

    def sequence_text(self, number: int, arrived_ms: int) -> str:
        """The sequence number of a record."""
        return sequence_text(self.record.created_s, self.ordinal, number, arrived_ms // 1000)

    def first_value(self, number: int, arrived_ms: int) -> int:
        """The sequence number of a record, as an integer."""
        return first_value(self.record.created_s, self.ordinal, number, arrived_ms // 1000)

    def view(self) -> ShardView:
        """The shard as it is told."""
        record = self.record
        is_open = record.closed_ms == 0
        return ShardView(
            id=self.id,
            ordinal=self.ordinal,
            parent_id=shard_id(record.parent) if record.parent != NOBODY else None,
            adjacent_parent_id=(
                shard_id(record.adjacent_parent) if record.adjacent_parent != NOBODY else None
            ),
            first_hash=self.first_hash,
            last_hash=self.last_hash,
            start=sequence_text(record.created_s, self.ordinal, 0, record.created_s),
            end=None if is_open else self.sequence_text(END, record.closed_ms),
            created_ms=record.created_ms,
            closed_ms=None if is_open else record.closed_ms,
        )

    # Appending

    def tail_row(self, count: int, size: int, now_ms: int) -> Mutation:
        """The row after `count` more records of together `size` bytes."""
        return put_row(
            row_key(TAIL_FAMILY, self.ordinal),
            TailRecord(self.next_number + count, now_ms, self.log_bytes + size),
        )

    def mark_row(self, now_ms: int, retention_ms: int) -> Mutation | None:
        """The row with a mark for the record that is put next; None when it is too early for one.

        Marks lie so far apart that the latest trimming is late by a hundredth of the retention.
        """
        marks = self.marks
        if marks and now_ms < marks[-1][1] + max(MARK_MS_MIN, retention_ms // MARKS_PER_RETENTION):
            return None
        kept = list(marks)
        if len(kept) >= limits.TIME_MARKS_MAX:
            kept = [kept[0], *kept[2::2]]
        kept.append((self.next_number, now_ms, self.log_bytes, self.arrived_ms))
        return put_row(row_key(LOG_FAMILY, self.ordinal), LogRecord(self.first_number, kept))

    # Trimming

    def trim_due_ms(self, retention: Retention) -> int | None:
        """When the next part of the log is older than its retention, or the closed shard itself;
        None for never.
        """
        due_ms = None
        if self.first_number < self.next_number:
            marks = self.marks
            due_ms = retention.end_ms(marks[1][3] if len(marks) > 1 else self.arrived_ms)
        elif not self.is_open:
            due_ms = retention.end_ms(self.record.closed_ms)
        return due_ms

    def is_over(self, horizon_ms: int) -> bool:
        """Whether it is closed and all its records arrived before `horizon_ms`, so that nobody is
        told of it any more.
        """
        return 0 < self.record.closed_ms < horizon_ms

    def trim_step(self) -> tuple[Mutation, Trim]:
        """Takes the next slice of what is due out of the log: the row, and the blocks that go.

        A slice is as many records as make `TRIM_SLICE_BYTES` at the mean size between the marks,
        and at most `TRIM_SLICE_RECORDS`.
        """
        first = self.first_number
        marks = self.marks
        end, end_bytes = (
            (marks[1][0], marks[1][2]) if len(marks) > 1 else (self.next_number, self.log_bytes)
        )
        begin_bytes = marks[0][2] if marks else 0
        size = max(1, end_bytes - begin_bytes)
        count = max(1, (end - first) * limits.TRIM_SLICE_BYTES // size)
        until = min(end, first + min(count, limits.TRIM_SLICE_RECORDS))
        if until == end:
            marks = marks[1:]
        else:
            cut_bytes = begin_bytes + size * (until - first) // (end - first)
            begun = marks[0] if marks else (first, self.arrived_ms, 0, self.arrived_ms)
            marks = [(until, begun[1], cut_bytes, begun[3]), *marks[1:]]
        row = put_row(row_key(LOG_FAMILY, self.ordinal), LogRecord(until, marks))
        return row, Trim(block_key(self.ordinal, first), block_key(self.ordinal, until - 1))

    def check(self) -> None:
        """Asserts the invariants."""
        assert 1 <= self.first_number <= self.next_number
        assert self.first_hash <= self.last_hash
        numbers = [mark[0] for mark in self.marks]
        assert numbers == sorted(set(numbers)), "marks rise"
        assert [mark[1] for mark in self.marks] == sorted(mark[1] for mark in self.marks)
        if self.marks:
            assert numbers[0] == self.first_number
            assert numbers[-1] < self.next_number
