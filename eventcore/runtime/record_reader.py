"""Reads the blocks of streams: from a cache of their tails, else from the store.

Rules of this file:

- A tail holds the latest blocks of a shard, without a gap up to its last record. What was appended
  and is not durable yet is always in it; so the store is asked only for what it has for sure.
- All tails together hold about `cache_bytes`, what holds the blocks together included; the block
  that came first goes first.
- A tail begins with the next block of its shard when there is none: after a load, or when all of
  it was dropped.
- Reading is a short blocking read, in slices; it ends as soon as a bound is reached, and looks at
  hardly more blocks than it gives.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from typing import Final, final

from eventcore import limits
from eventcore.errors import StoreCorrupt
from eventcore.outcome import LOG_KEY_FIRST, Mutation
from eventcore.runtime.host import Host, Seat
from eventcore.stores.base import Store
from eventcore.streams.block import (
    BlockSlice,
    block_key,
    decode_block,
    decode_head,
    last_number,
)
from eventcore.streams.shard import Shard

__all__ = ["RecordReader"]

SCAN_ROWS: Final = 512
SCAN_BYTES_MIN: Final = 4_096
"""Asked of the store beside the mean size of the records that are wanted."""
ENTRY_BYTES: Final = 200
"""What a block in a tail costs beside its value, so that small blocks do not cost many times what
they count: measured on CPython 3.11, rounded up.
"""
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
        """Drops the first block; returns what it cost."""
        at = self.gone
        size = len(self.values[at]) + ENTRY_BYTES
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

    def row(self, key: int) -> tuple[int, bytes]:
        """The block that holds this key's record, with its own key."""
        at = bisect_left(self.keys, key, self.gone)
        return self.keys[at], self.values[at]

    def values_from(self, key: int, records_max: int, bytes_max: int) -> list[bytes]:
        """The blocks from the one that holds this key's record on, at least one: up to the one with
        the last of `records_max` records, and up to the one that reaches `bytes_max`.
        """
        keys = self.keys
        at = bisect_left(keys, key, self.gone)
        end = bisect_left(keys, key + records_max - 1, at) + 1
        values = self.values[at : min(end, at + SCAN_ROWS)]
        if len(values) > 1 and sum(map(len, values)) > bytes_max:
            for count, value in enumerate(values, start=1):
                bytes_max -= len(value)
                if bytes_max <= 0:
                    return values[:count]
        return values


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
        """What the tails cost, in bytes."""
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
                tail = self._tails[at] = _Tail(at, decode_head(value).first)
            tail.add(key, value)
            self._order.append((tail, mark))
            self._bytes += len(value) + ENTRY_BYTES
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
    ) -> tuple[list[BlockSlice], int]:
        """Records of a shard from `number` on, in order, without those that arrived before
        `horizon_ms`: at most `records_max`, and blocks while their data is within `bytes_max`, but
        at least one. Then the number to go on from. Raises StoreError.
        """
        number = max(number, shard.first_number)
        slices: list[BlockSlice] = []
        records = size = 0
        while number < shard.next_number and records < records_max and size < bytes_max:
            values = self._values(
                seat,
                shard,
                number,
                records_max - records,
                min(bytes_max - size, limits.READ_SLICE_BYTES),
            )
            blocks = list(map(decode_block, values))
            if blocks[0].arrived_ms < horizon_ms:
                number = max(blocks[0].last + 1, self.find(seat, shard, horizon_ms))
                continue
            for block in blocks:
                begin = max(0, number - block.first)
                end = min(len(block.data), begin + records_max - records)
                part = BlockSlice(block, begin, end, shard.ordinal, shard.record.created_s)
                part_bytes = sum(map(len, block.data[begin:end]))
                if slices and size + part_bytes > bytes_max:
                    return slices, number
                slices.append(part)
                records += end - begin
                size += part_bytes
                number = block.first + end
                if records >= records_max or size >= bytes_max:
                    break
        return slices, number

    def _values(
        self, seat: Seat, shard: Shard, number: int, records_max: int, bytes_max: int
    ) -> list[bytes]:
        """Blocks that follow each other, encoded, the first with record `number`: at least one, and
        about as many as hold `records_max` records or `bytes_max`. Raises StoreError.
        """
        key = block_key(shard.ordinal, number)
        tail = self._tails.get((seat.component, key >> 42))
        if tail is not None and number >= tail.first:
            return tail.values_from(key, records_max, bytes_max)
        mean_bytes = shard.log_bytes // (shard.next_number - 1)
        wanted = min(bytes_max, SCAN_BYTES_MIN + records_max * mean_bytes)
        return [value for _, value in self._scan(seat, shard, tail, key, SCAN_ROWS, wanted)]

    def _row(self, seat: Seat, shard: Shard, number: int) -> tuple[int, bytes]:
        """The block that holds record `number`, and its key. Raises StoreError."""
        key = block_key(shard.ordinal, number)
        tail = self._tails.get((seat.component, key >> 42))
        if tail is not None and number >= tail.first:
            return tail.row(key)
        return self._scan(seat, shard, tail, key, 1, None)[0]

    def _scan(
        self,
        seat: Seat,
        shard: Shard,
        tail: _Tail | None,
        key: int,
        rows_max: int,
        bytes_max: int | None,
    ) -> list[tuple[int, bytes]]:
        """Rows of the store before the tail's. Raises StoreCorrupt when there is none."""
        before = shard.next_number if tail is None else tail.first
        last = block_key(shard.ordinal, before - 1)
        rows = self._store.scan(seat.component, key, last, rows_max, bytes_max)
        if not rows:
            raise StoreCorrupt(f"record {last_number(key)} of {shard.id} is not in the store")
        return rows

    def find(self, seat: Seat, shard: Shard, from_ms: int) -> int:
        """The number of the first record that arrived at `from_ms` or later; that of the next
        record to come if there is none. Raises StoreError.
        """
        low, high = shard.first_number, shard.next_number
        for number, arrived_ms, _, _ in shard.marks:
            if arrived_ms < from_ms:
                low = max(low, number)
            else:
                high = min(high, number)
                break
        while low < high:
            middle = (low + high) // 2
            key, value = self._row(seat, shard, middle)
            head = decode_head(value)
            if head.arrived_ms < from_ms:
                low = last_number(key) + 1
            else:
                high = max(low, head.first)
        return low
