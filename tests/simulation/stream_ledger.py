"""What the producers and consumers of simulated streams were promised.

Rules:

- A stream that is made anew is another *life*; nothing of one life comes back in another.
- A record that was acknowledged, or told to anybody, stays where it is, with its sequence number
  and its data, until its retention is over. One whose put was not answered may be there or not;
  the next quiet moment shows which.
- A `Follower` reads parents before children. It is told of every record of its retention once, in
  order, and the records of a partition key in the order of their puts.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import final

from eventcore.streams.block import Record
from eventcore.streams.sequence_number import parse_sequence_number

__all__ = ["Follower", "Life", "Put"]


@dataclass
class Put:
    """A record as its producer knows it; it is sure once its answer has come, or it was told."""

    data: bytes
    key: str
    arrived_ms: int
    is_sure: bool = False


@final
class Life:
    """One stream, from its making to its deletion."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.puts: dict[str, Put] = {}

    def put(self, sequence_number: str, put: Put) -> None:
        """A put was made; its answer may come."""
        old = self.puts.get(sequence_number)
        assert old is None or not old.is_sure, f"{sequence_number} was given twice"
        self.puts[sequence_number] = put

    def check_told(self, record: Record) -> None:
        """Somebody was told of a record: it is durable, and stays."""
        put = self.puts.get(record.sequence_number)
        assert put is not None, f"nobody put {record!r}"
        assert (record.data, record.partition_key) == (put.data, put.key), f"{put} became {record}"
        assert record.arrived_ms == put.arrived_ms
        put.is_sure = True

    def settle(self, there: dict[str, Record], horizon_ms: int) -> None:
        """Nothing is on its way: `there` is what can be read."""
        for record in there.values():
            self.check_told(record)
        for sequence_number, put in list(self.puts.items()):
            if put.arrived_ms < horizon_ms:
                continue
            if put.is_sure:
                assert sequence_number in there, f"{put} is lost"
            else:
                del self.puts[sequence_number]


@dataclass
class Follower:
    """A consumer of a whole life. `cursors` has the shards being read: the sequence number told of
    last, None for none yet.
    """

    life: Life
    cursors: dict[int, str | None] = field(default_factory=dict)
    done: set[int] = field(default_factory=set)
    told: set[str] = field(default_factory=set)
    counters: dict[str, int] = field(default_factory=dict)

    def take(self, ordinal: int, records: list[Record], horizon_ms: int, *, is_late: bool) -> None:
        """Was told of records of a shard, read at a time with this horizon; `is_late`: before."""
        for record in records:
            self.life.check_told(record)
            assert record.sequence_number not in self.told, f"{record} was told twice"
            assert is_late or record.arrived_ms >= horizon_ms, f"{record} is out of retention"
            self._check_gap(self.cursors[ordinal], record.sequence_number, horizon_ms)
            self._check_key(record)
            self.told.add(record.sequence_number)
            self.cursors[ordinal] = record.sequence_number

    def _check_gap(self, last: str | None, next_one: str, horizon_ms: int) -> None:
        """What lies between two records that were told is out of retention."""
        found = parse_sequence_number(next_one)
        before = None if last is None else parse_sequence_number(last)
        assert found is not None
        low = 0 if before is None else before.number
        assert found.number > low
        if found.number == low + 1:
            return
        for text, put in self.life.puts.items():
            parsed = parse_sequence_number(text)
            assert parsed is not None
            is_between = parsed.ordinal == found.ordinal and low < parsed.number < found.number
            assert not (is_between and put.is_sure and put.arrived_ms >= horizon_ms), (
                f"missed {put}"
            )

    def _check_key(self, record: Record) -> None:
        counter = int(record.data.split()[0])
        assert counter > self.counters.get(record.partition_key, 0), f"{record} came too late"
        self.counters[record.partition_key] = counter

    def finish(self, ordinal: int) -> None:
        """A shard was read to its end, or has vanished."""
        self.cursors.pop(ordinal, None)
        self.done.add(ordinal)
