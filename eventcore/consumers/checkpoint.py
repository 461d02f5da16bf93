"""How far a shard is consumed, and where reading goes on.

A checkpoint is one of five kinds. In the order of a shard they are: TRIM_HORIZON and AT_TIMESTAMP
(nothing is consumed yet; reading starts with the oldest record, or with the first that arrived at
the time or later), a record, SHARD_END (everything is consumed, and nothing will ever follow).

A record of the KPL may hold many user records. A checkpoint inside it has the number of the last
user record that is consumed; without one, the whole record is.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from eventcore import limits
from eventcore.errors import InvalidParameter

__all__ = [
    "AFTER_RECORD",
    "AT_TIMESTAMP",
    "FROM_TRIM_HORIZON",
    "SHARD_END",
    "SHARD_IS_DONE",
    "TRIM_HORIZON",
    "Checkpoint",
    "CheckpointKind",
    "after_record",
    "at_timestamp",
]

CheckpointKind = Literal["TRIM_HORIZON", "AT_TIMESTAMP", "AFTER_RECORD", "SHARD_END"]
TRIM_HORIZON: Final = "TRIM_HORIZON"
AT_TIMESTAMP: Final = "AT_TIMESTAMP"
AFTER_RECORD: Final = "AFTER_RECORD"
SHARD_END: Final = "SHARD_END"

_RANKS: Final = {TRIM_HORIZON: 0, AT_TIMESTAMP: 0, AFTER_RECORD: 1, SHARD_END: 2}
_WHOLE: Final = 1 << 62
SUB_SEQUENCE_MAX: Final = (1 << 53) - 1


class Checkpoint(msgspec.Struct, frozen=True, array_like=True):
    """Everything up to here is consumed. `sequence_number` (decimal digits) and
    `sub_sequence_number` are set for a record, `timestamp_ms` for a time.
    """

    kind: CheckpointKind
    sequence_number: str = ""
    sub_sequence_number: int | None = None
    timestamp_ms: int = 0

    def order(self) -> tuple[int, int, int]:
        """What checkpoints of one shard are compared by: a later one is greater."""
        sub = self.sub_sequence_number
        return (
            _RANKS[self.kind],
            int(self.sequence_number or 0),
            _WHOLE if sub is None else sub,
        )

    def validate(self) -> None:
        """Raises InvalidParameter for a sequence number that is none, or numbers out of range."""
        digits = self.sequence_number
        if (self.kind == AFTER_RECORD) != bool(digits):
            raise InvalidParameter(
                "sequence_number", "A record has one, and nothing else has.", digits
            )
        if len(digits) > limits.SEQUENCE_NUMBER_DIGITS_MAX or not (
            not digits or (digits.isascii() and digits.isdecimal())
        ):
            raise InvalidParameter(
                "sequence_number",
                f"Must be 1 to {limits.SEQUENCE_NUMBER_DIGITS_MAX} decimal digits.",
                digits,
            )
        sub = self.sub_sequence_number
        if sub is not None and (self.kind != AFTER_RECORD or not 0 <= sub <= SUB_SEQUENCE_MAX):
            raise InvalidParameter(
                "sub_sequence_number", "Must be 0 or more, and belong to a record.", sub
            )

    def __str__(self) -> str:
        if self.kind == AT_TIMESTAMP:
            return f"{AT_TIMESTAMP} {self.timestamp_ms}"
        if self.kind != AFTER_RECORD:
            return self.kind
        sub = self.sub_sequence_number
        return self.sequence_number if sub is None else f"{self.sequence_number}/{sub}"


FROM_TRIM_HORIZON: Final = Checkpoint(TRIM_HORIZON)
"""Nothing is consumed; reading starts with the oldest record."""
SHARD_IS_DONE: Final = Checkpoint(SHARD_END)
"""Everything is consumed, and nothing will follow."""


def at_timestamp(timestamp_ms: int) -> Checkpoint:
    """Nothing is consumed; reading starts with what arrived at this time or later."""
    return Checkpoint(AT_TIMESTAMP, timestamp_ms=timestamp_ms)


def after_record(sequence_number: str, sub_sequence_number: int | None = None) -> Checkpoint:
    """Everything up to this record, or to this user record inside it, is consumed."""
    return Checkpoint(AFTER_RECORD, sequence_number, sub_sequence_number)
