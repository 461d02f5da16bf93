"""Reads the blocks of streams: from a cache of their tails, else from the store.

Rules of this file:

- A tail holds the latest blocks of a shard, without a gap up to its last record. What was appended
  and is not durable yet is always in it; so the store is asked only for what it has for sure.
- All tails together hold about `cache_bytes`; the block that came first goes first.
- A tail begins with the next block of its shard when there is none: after a load, or when all of
  it was dropped.
- Reading is a short blocking read, in slices; it ends as soon as a bound is reached.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from typing import Final, final

from eventcore import limits
from eventcore.outcome import LOG_KEY_FIRST, Mutation
from eventcore.runtime.host import Host, Seat
from eventcore.stores.base import Store
from eventcore.streams.block import Block, BlockSlice, block_key, decode_block, last_number
from eventcore.streams.shard import Shard

__all__ = ["RecordReader"]

SCAN_ROWS: Final = 512
COMPACT_MIN: Final = 64


@final
class _Tail:
    """The latest blocks of a shard, encoded. The first `gone` entries are dropped already."""

    __slots__ = ("at", "first", "gone", "keys", "values")

    def __init__(self, at: tuple[int, int], first: int) -> None:
        self.at = at
        self.first = first
        """The number of the first record in here, or of the next one to come."""
        self.keys: list[int] = []
        self.values: list[bytes] = []
        self.gone = 0

    def add(self, key: int, value: bytes) -> None:
        self.keys.append(key)
        self.values.append(value)

    def drop_first(self) -> int:
        """Drops the first block; returns its bytes."""
        at = self.gone
        size = len(self.values[at])
        self.first = last_number(self.keys[at]) + 1
        self.values[at] = b""
        self.gone = at + 1
        if self.gone >= COMPACT_MIN and self.gone * 2 > len(self.keys):
            del self.keys[: self.gone], self.values[: self.gone]
            self.gone = 0
        return size

    @property
    def is_empty(self) -> bool:
        return self.gone == len(self.keys)

    def position(self, key: int) -> int:
        """Where the block that holds this key's record is."""
        return bisect_left(self.keys, key, self.gone)


@final
class RecordReader:
    """Reads for all streams of one engine."""

    def __init__(
        self, host: Host, store: Store, cache_bytes: int = limits.TAIL_CACHE_BYTES_DEFAULT
    ) -> None:
        self._host = host
        self._store = store
        self._cache_bytes = cache_bytes
        self._tails: dict[tuple[int, int], _Tail] = {}
        self._order: deque[tuple[_Tail, int]] = deque()
        self._bytes = 0

    @property
    def cached_bytes(self) -> int:
        """What the tails hold, in bytes."""
        return self._bytes

    def clear(self) -> None:
        """Forgets everything: the machines are being loaded anew."""
        self._tails.clear()
        self._order.clear()
        self._bytes = 0

    def drop(self, component: int) -> None:
        """Forgets the tails of a stream that was deleted; their blocks go with time."""
        for at in [at for at in self._tails if at[0] == component]:
            del self._tails[at]

    def appended(self, seat: Seat, mutations: tuple[Mutation, ...]) -> None:
        """Takes the blocks of an outcome in that was run just now, in this batch."""
        mark = self._host.mark()
        for mutation in mutations:
            key, value = mutation.key, mutation.value
            if key < LOG_KEY_FIRST or value is None:
                continue
            at = (seat.component, key >> 42)
            tail = self._tails.get(at)
            if tail is None:
                tail = self._tails[at] = _Tail(at, decode_block(value).first)
            tail.add(key, value)
            self._order.append((tail, mark))
            self._bytes += len(value)
        self._shrink()

    def _shrink(self) -> None:
        order = self._order
        while self._bytes > self._cache_bytes and self._host.has_reached(order[0][1]):
            tail, _ = order.popleft()
            self._bytes -= tail.drop_first()
            if tail.is_empty:
                self._tails.pop(tail.at, None)

    def read(
        self,
        seat: Seat,
        shard: Shard,
        number: int,
        horizon_ms: int,
        records_max: int,
        bytes_max: int,
    ) -> list[BlockSlice]:
        """Records of a shard from `number` on, in order, without those that arrived before
        `horizon_ms`: at most `records_max`, and no block after the one that reaches `bytes_max` of
        data. Raises StoreError.
        """
        number = max(number, shard.first_number)
        slices: list[BlockSlice] = []
        records = size = 0
        while number < shard.next_number and records < records_max and size < bytes_max:
            blocks = self._blocks(
                seat, shard, number, min(bytes_max - size, limits.READ_SLICE_BYTES)
            )
            if not blocks:
                break
            if blocks[0].arrived_ms < horizon_ms:
                number = max(blocks[0].last + 1, self.find(seat, shard, horizon_ms))
                continue
            for block in blocks:
                begin = max(0, number - block.first)
                end = min(len(block.data), begin + records_max - records)
                part = BlockSlice(block, begin, end, shard.ordinal, shard.record.created_s)
                part_bytes = sum(map(len, block.data[begin:end]))
                if slices and size + part_bytes > bytes_max:
                    return slices
                slices.append(part)
                records += end - begin
                size += part_bytes
                number = block.first + end
                if records >= records_max or size >= bytes_max:
                    break
        return slices

    def _blocks(self, seat: Seat, shard: Shard, number: int, bytes_max: int) -> list[Block]:
        """Blocks that follow each other, the first with record `number`, at least one."""
        key = block_key(shard.ordinal, number)
        tail = self._tails.get((seat.component, key >> 42))
        if tail is not None and number >= tail.first:
            at = tail.position(key)
            return self._decode(tail.values[at : at + SCAN_ROWS], bytes_max)
        before = shard.next_number if tail is None else tail.first
        last = block_key(shard.ordinal, before - 1)
        rows = self._store.scan(seat.component, key, last, SCAN_ROWS, bytes_max)
        return [decode_block(value) for _, value in rows]

    def _decode(self, values: list[bytes], bytes_max: int) -> list[Block]:
        blocks = []
        for value in values:
            blocks.append(decode_block(value))
            bytes_max -= len(value)
            if bytes_max <= 0:
                break
        return blocks

    def find(self, seat: Seat, shard: Shard, from_ms: int) -> int:
        """The number of the first record that arrived at `from_ms` or later; that of the next
        record to come if there is none. Raises StoreError.
        """
        low, high = shard.first_number, shard.next_number
        for number, arrived_ms, _ in shard.marks:
            if arrived_ms < from_ms:
                low = max(low, number)
            else:
                high = min(high, number)
                break
        while low < high:
            middle = (low + high) // 2
            (block,) = self._blocks(seat, shard, middle, 1)[:1]
            if block.arrived_ms < from_ms:
                low = block.last + 1
            else:
                high = max(low, block.first)
        return low
