"""Blocks: the rows of a stream's log. A block holds the records that one command put into a shard.

    key    LOG_KEY_FIRST | ordinal of the shard << 42 | number of the block's last record
    value  msgpack of Block

Since a key names the last record, the block with record n is the first one from n's key on, and a
range of keys up to n's holds nothing but what is older. Blocks are written once and never changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from eventcore import limits
from eventcore.codec import record_decoder
from eventcore.outcome import LOG_KEY_FIRST
from eventcore.streams.sequence_number import STEP, first_value

__all__ = [
    "NUMBER_MAX",
    "ORDINAL_MAX",
    "Block",
    "BlockHead",
    "BlockSlice",
    "Record",
    "block_key",
    "cut",
    "decode_block",
    "decode_head",
    "last_number",
]

_ORDINAL_SHIFT: Final = 42
NUMBER_MAX: Final = (1 << _ORDINAL_SHIFT) - 1
"""Records that a shard can take in its life."""
ORDINAL_MAX: Final = (1 << 20) - 1
"""Shards that a stream can have in its life."""


class Record(msgspec.Struct, frozen=True):
    """A record of a stream, as it is read. `arrived_ms` is epoch ms."""

    sequence_number: str
    arrived_ms: int
    data: bytes
    partition_key: str
    is_encrypted: bool = False


class Block(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Records that follow each other in a shard and arrived together."""

    first: int
    arrived_ms: int
    is_encrypted: bool
    partition_keys: list[str]
    data: list[bytes]

    @property
    def last(self) -> int:
        """The number of the last record."""
        return self.first + len(self.data) - 1


class BlockHead(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What a block begins with. It is read from the same value, whose records are passed over."""

    first: int
    arrived_ms: int


decode_block: Final = record_decoder(Block)
decode_head: Final = record_decoder(BlockHead)


def block_key(ordinal: int, number: int) -> int:
    """The key of a block of shard `ordinal` whose last record is `number`."""
    return LOG_KEY_FIRST | ordinal << _ORDINAL_SHIFT | number


def last_number(key: int) -> int:
    """The number of a block's last record, from its key."""
    return key & NUMBER_MAX


class BlockSlice(msgspec.Struct, frozen=True, gc=False):
    """Records `begin` to `end` - 1, counted from 0, of a block of the shard `ordinal`."""

    block: Block
    begin: int
    end: int
    ordinal: int
    shard_created_s: int

    def __len__(self) -> int:
        return self.end - self.begin

    def sequence_numbers(self) -> list[str]:
        """The texts of the records' sequence numbers, in order."""
        block = self.block
        first = first_value(
            self.shard_created_s, self.ordinal, block.first + self.begin, block.arrived_ms // 1000
        )
        return [str(first + STEP * at) for at in range(self.end - self.begin)]

    def records(self) -> list[Record]:
        """The records, in order."""
        block = self.block
        begin, end = self.begin, self.end
        return [
            Record(number, block.arrived_ms, data, key, block.is_encrypted)
            for number, data, key in zip(
                self.sequence_numbers(),
                block.data[begin:end],
                block.partition_keys[begin:end],
                strict=True,
            )
        ]


def cut(partition_keys: Sequence[str], data: Sequence[bytes]) -> list[tuple[int, int]]:
    """Where records that arrive together are cut into blocks: (begin, end) of each."""
    cuts = []
    begin = size = 0
    for at, value in enumerate(data):
        record_bytes = len(value) + len(partition_keys[at])
        is_full = at - begin == limits.BLOCK_RECORDS_MAX
        if at > begin and (is_full or size + record_bytes > limits.BLOCK_BYTES_MAX):
            cuts.append((begin, at))
            begin, size = at, 0
        size += record_bytes
    cuts.append((begin, len(data)))
    return cuts
