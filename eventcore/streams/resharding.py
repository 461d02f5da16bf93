"""Changes of a stream's shards, as rows: which close, which open, who is whose child.

Every change is made of two steps: a split closes one shard and opens two, a merge closes two that
follow each other and opens one. A change to shards of equal size (UpdateShardCount) splits where a
new range begins, then merges what lies in one range; shards in between are closed as soon as they
are made, as on AWS.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from typing import Final, final

import msgspec

from eventcore.errors import LimitExceeded
from eventcore.outcome import Mutation, put_row, row_key
from eventcore.streams.block import ORDINAL_MAX
from eventcore.streams.hash_range import HASH_KEY_MAX, uniform_ranges
from eventcore.streams.records import Change
from eventcore.streams.shard import SHARD_FAMILY, Shard, ShardRecord

__all__ = ["SLIVER_KEYS", "Resharding"]

SLIVER_KEYS: Final = 1 << 32
"""Hash keys by which a shard's beginning may be off: nothing, beside the 2**114 of the smallest."""


@final
class Resharding:
    """One change of the shards of a stream. Changes nothing itself: it gives the rows.

    Invariant: `_open` holds the ordinals of the open shards by hash key, `_firsts` their first
    hash keys; together they cover all hash keys once.
    """

    def __init__(
        self, shards: Mapping[int, Shard], owners: Iterable[Shard], next_ordinal: int, now_ms: int
    ) -> None:
        """`owners` are the open shards by hash key.

        Nothing is closed before its last record arrived, though the clock may have gone back
        between two runs: a closed shard vanishes by the time of its closing.
        """
        owners = list(owners)
        self._shards = shards
        self._open = [shard.ordinal for shard in owners]
        self._firsts = [shards[ordinal].first_hash for ordinal in self._open]
        self._next_ordinal = next_ordinal
        self._now_ms = max(
            [now_ms, *(max(shard.arrived_ms, shard.record.created_ms) for shard in owners)]
        )
        self._records: dict[int, ShardRecord] = {}
        self.closed: list[int] = []
        """Ordinals of the shards that this change closed."""

    def carry_out(self, change: Change) -> list[Mutation]:
        """The rows of a change that was checked before. Raises LimitExceeded for a stream that had
        as many shards as one can ever have.
        """
        if change.kind == "create":
            for first, last in uniform_ranges(change.count):
                self._make(first, last, self._now_ms // 1000)
        elif change.kind == "split":
            self._split(self._position(change.shards[0]), int.from_bytes(change.hash_key, "big"))
        elif change.kind == "merge":
            self._merge(min(self._position(ordinal) for ordinal in change.shards))
        elif len(self._open) != change.count:
            self._even_out(change.count)
        return self._rows()

    def grow(self, count: int) -> list[Mutation]:
        """The rows that make `count` shards of fewer (at least half as many), by splitting those
        that took the most bytes in the window.
        """
        by_load = sorted(
            self._open, key=lambda ordinal: (-self._shards[ordinal].window_bytes, ordinal)
        )
        for ordinal in by_load[: count - len(self._open)]:
            record = self._record(ordinal)
            first = int.from_bytes(record.first_hash, "big")
            last = int.from_bytes(record.last_hash, "big")
            if last > first + 1:
                self._split(self._position(ordinal), (first + last + 1) // 2)
        return self._rows()

    def _rows(self) -> list[Mutation]:
        return [
            put_row(row_key(SHARD_FAMILY, ordinal), record, is_new=ordinal not in self._shards)
            for ordinal, record in sorted(self._records.items())
        ]

    def _even_out(self, count: int) -> None:
        firsts = [self._near(first) for first, _ in uniform_ranges(count)]
        for first in firsts:
            at = bisect_right(self._firsts, first) - 1
            if self._firsts[at] != first:
                self._split(at, first)
        ends = [first - 1 for first in firsts[1:]] + [HASH_KEY_MAX]
        for at, last in enumerate(ends):
            while int.from_bytes(self._record(self._open[at]).last_hash, "big") != last:
                self._merge(at)

    def _near(self, first: int) -> int:
        """Where a shard is to begin: where one begins already, if that is as good as there.

        Ranges of equal size are rounded, so those of twice as many do not quite begin where those
        of as many did; splitting there would leave shards of a few hash keys.
        """
        at = bisect_right(self._firsts, first + SLIVER_KEYS) - 1
        return self._firsts[at] if abs(self._firsts[at] - first) <= SLIVER_KEYS else first

    def _position(self, ordinal: int) -> int:
        first = int.from_bytes(self._record(ordinal).first_hash, "big")
        return bisect_right(self._firsts, first) - 1

    def _record(self, ordinal: int) -> ShardRecord:
        return self._records.get(ordinal) or self._shards[ordinal].record

    def _split(self, at: int, key: int) -> None:
        ordinal = self._open[at]
        record = self._close(ordinal)
        first = int.from_bytes(record.first_hash, "big")
        last = int.from_bytes(record.last_hash, "big")
        del self._open[at], self._firsts[at]
        created_s = max(self._now_ms // 1000, record.created_s + 1)
        self._make(first, key - 1, created_s, ordinal)
        self._make(key, last, created_s, ordinal)

    def _merge(self, at: int) -> None:
        low, high = self._open[at], self._open[at + 1]
        records = self._close(low), self._close(high)
        del self._open[at : at + 2], self._firsts[at : at + 2]
        created_s = max(self._now_ms // 1000, *(record.created_s + 1 for record in records))
        first = int.from_bytes(records[0].first_hash, "big")
        last = int.from_bytes(records[1].last_hash, "big")
        self._make(first, last, created_s, low, high)

    def _close(self, ordinal: int) -> ShardRecord:
        record = self._record(ordinal)
        self._records[ordinal] = msgspec.structs.replace(record, closed_ms=max(1, self._now_ms))
        self.closed.append(ordinal)
        return record

    def _make(
        self, first: int, last: int, created_s: int, parent: int = -1, adjacent_parent: int = -1
    ) -> None:
        """Opens a shard. Its second is later than its parents', so its sequence numbers are
        greater than theirs.
        """
        ordinal = self._next_ordinal
        if ordinal > ORDINAL_MAX:
            raise LimitExceeded("ordinal_max", ORDINAL_MAX, "shards in a stream's life")
        self._next_ordinal += 1
        self._records[ordinal] = ShardRecord(
            first.to_bytes(16, "big"),
            last.to_bytes(16, "big"),
            created_s,
            self._now_ms,
            parent,
            adjacent_parent,
        )
        at = bisect_right(self._firsts, first)
        self._open.insert(at, ordinal)
        self._firsts.insert(at, first)
