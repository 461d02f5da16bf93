"""A stream machine with the rows that a store would have of it, and its records read naively."""

from __future__ import annotations

from typing import Any, TypeVar

from eventcore.arn import stream_arn
from eventcore.limits import RELAXED_QUOTAS, Quotas
from eventcore.outcome import LOG_KEY_FIRST, Mutation, Outcome
from eventcore.stores.base import Batch
from eventcore.streams.block import (
    Block,
    BlockSlice,
    Record,
    block_key,
    decode_block,
    last_number,
)
from eventcore.streams.shard import Shard
from eventcore.streams.stream import Stream
from eventcore.streams.stream_spec import Appended, RecordEntry, StreamSpec
from eventcore.testing import SeededIds

ARN = stream_arn("000000000000", "us-east-1", "orders")
START_MS = 1_700_000_000_000
DAY_MS = 86_400_000
T = TypeVar("T")


class StreamRig:
    """A stream, its time, and its rows. Every command goes through `stage`."""

    def __init__(
        self, shards: int = 1, quotas: Quotas = RELAXED_QUOTAS, spec: StreamSpec | None = None
    ) -> None:
        self.now_ms = START_MS
        self.quotas = quotas
        self.rows: dict[int, bytes] = {}
        self.log: list[Mutation] = []
        self.trims: list[tuple[int, int]] = []
        self.stream = Stream(ARN, SeededIds(3), quotas)
        self.stage(self.stream.create(spec or StreamSpec(), shards, self.now_ms))

    def stage(self, outcome: Outcome[T]) -> T:
        """What a host and a store would do with the outcome; then the invariants."""
        batch = Batch()
        batch.add(1, outcome.mutations)
        for trim in outcome.trims:
            batch.trim(1, trim)
            self.trims.append((trim.first_key, trim.last_key))
        for _, first, last in batch.ranges:
            for key in [key for key in self.rows if first <= key <= last]:
                del self.rows[key]
        for (_, key), value in batch.rows.items():
            if value is None:
                self.rows.pop(key, None)
            else:
                self.rows[key] = value
        self.log += outcome.mutations
        self.stream.check()
        return outcome.value

    def reloaded(self) -> Stream:
        """A machine made from the hot rows alone, as after a restart."""
        stream = Stream(ARN, SeededIds(4), self.quotas)
        for key in sorted(key for key in self.rows if key < LOG_KEY_FIRST):
            stream.apply(Mutation(key, self.rows[key]))
        stream.check()
        return stream

    def restart(self) -> None:
        """Goes on with a machine made from the rows."""
        self.stream = self.reloaded()

    # Commands

    def put(self, *keys: str, data: bytes = b"x", explicit: str | None = None) -> list[Any]:
        entries = [RecordEntry(data, key, explicit) for key in keys]
        return self.stage(self.stream.put_records(entries, self.now_ms))

    def put_one(self, key: str = "k", data: bytes = b"x", explicit: str | None = None) -> Appended:
        entry = RecordEntry(data, key, explicit)
        return self.stage(self.stream.put_record(entry, None, self.now_ms))

    def split(self, shard: str, at: int) -> None:
        self.stage(self.stream.split(shard, str(at), self.now_ms))

    def merge(self, shard: str, adjacent: str) -> None:
        self.stage(self.stream.merge(shard, adjacent, self.now_ms))

    def count(self, count: int) -> None:
        self.stage(self.stream.update_shard_count(count, self.now_ms))

    def tick(self, limit: int = 1_000) -> None:
        self.stage(self.stream.tick(self.now_ms, limit))

    def advance(self, duration_ms: int) -> None:
        """Time passes; every deadline on the way is met."""
        target_ms = self.now_ms + duration_ms
        while (due_ms := self.stream.next_deadline()) is not None and due_ms <= target_ms:
            self.now_ms = max(self.now_ms, due_ms)
            self.tick()
        self.now_ms = target_ms

    # What is there

    @property
    def status(self) -> str:
        """The status now; a plain text, which a checker of types does not narrow."""
        return self.stream.status

    def shard(self, ordinal: int) -> Shard:
        found = self.stream.shard(ordinal)
        assert found is not None
        return found

    def ids(self) -> list[str]:
        return [shard.id for shard in self.stream.shards(self.now_ms)]

    def open_ids(self) -> list[str]:
        """By hash key."""
        return [shard.id for shard in self.stream.ranges.owners]

    def blocks(self, ordinal: int) -> list[Block]:
        """The blocks of a shard that are in the store, trimmed or not in part."""
        first, last = block_key(ordinal, 0), block_key(ordinal + 1, 0)
        found = []
        for key in sorted(key for key in self.rows if first <= key < last):
            block = decode_block(self.rows[key])
            assert block.last == last_number(key), "a key names the last record"
            found.append(block)
        return found

    def records(self, ordinal: int) -> list[Record]:
        """What can be read of a shard now."""
        shard = self.stream.shard(ordinal)
        if shard is None:
            return []
        horizon_ms = self.stream.horizon_ms(self.now_ms)
        found: list[Record] = []
        for block in self.blocks(ordinal):
            begin = max(0, shard.first_number - block.first)
            if block.arrived_ms >= horizon_ms and begin < len(block.data):
                part = BlockSlice(block, begin, len(block.data), ordinal, shard.record.created_s)
                found += part.records()
        return found

    @property
    def log_rows(self) -> int:
        return sum(key >= LOG_KEY_FIRST for key in self.rows)


def durable_state(stream: Stream) -> tuple[object, ...]:
    """All that a stream's rows say."""
    shards = {
        shard.ordinal: (
            shard.record,
            shard.next_number,
            shard.first_number,
            shard.arrived_ms,
            shard.log_bytes,
            [tuple(mark) for mark in shard.marks],
            [child for child in shard.children if stream.shard(child) is not None],
        )
        for shard in stream._shards.values()
    }
    return stream._record, shards, stream._next_ordinal, stream.fan_out.list()
