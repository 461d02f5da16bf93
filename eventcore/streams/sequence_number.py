"""Sequence numbers, in the form that AWS gives them: 56 decimal digits of 188 bits.

    4 bits  2              36 bits  second in which the shard was made
    4 bits  shard & 15     64 bits  number of the record in its shard, from 1 on
    8 bits  0              36 bits  second of arrival
   32 bits  shard           4 bits  version 2

They rise within a shard, and a child's are greater than its parents'. Number 0 is a shard's start,
`END` the end of a closed one; no record has them.
"""

from __future__ import annotations

from typing import Final

import msgspec

__all__ = ["END", "STEP", "SequenceNumber", "first_value", "parse_sequence_number", "sequence_text"]

STEP: Final = 1 << 80
"""Between the values of two records of a block."""
END: Final = (1 << 63) - 1
DIGITS_MAX: Final = 128
_HEAD: Final = 2 << 184
_TAIL: Final = 2


class SequenceNumber(msgspec.Struct, frozen=True):
    """A sequence number, taken apart. Times are epoch seconds."""

    shard_created_s: int
    ordinal: int
    number: int
    arrived_s: int


def first_value(shard_created_s: int, ordinal: int, number: int, arrived_s: int) -> int:
    """The integer of a sequence number; `STEP` more is the next record of the same second."""
    return (
        _HEAD
        | shard_created_s << 148
        | (ordinal & 15) << 144
        | number << 80
        | arrived_s << 36
        | ordinal << 4
        | _TAIL
    )


def sequence_text(shard_created_s: int, ordinal: int, number: int, arrived_s: int) -> str:
    """A sequence number as it is told."""
    return str(first_value(shard_created_s, ordinal, number, arrived_s))


def parse_sequence_number(text: str) -> SequenceNumber | None:
    """A sequence number from its text; None for a text that is none."""
    if not text.isascii() or not text.isdecimal() or len(text) > DIGITS_MAX:
        return None
    value = int(text)
    parsed = SequenceNumber(
        shard_created_s=value >> 148 & (1 << 36) - 1,
        ordinal=value >> 4 & (1 << 32) - 1,
        number=value >> 80 & (1 << 64) - 1,
        arrived_s=value >> 36 & (1 << 36) - 1,
    )
    made = first_value(parsed.shard_created_s, parsed.ordinal, parsed.number, parsed.arrived_s)
    return parsed if made == value else None
