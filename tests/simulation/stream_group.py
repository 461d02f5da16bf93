"""Workers of one consumer group on one simulated stream: they stall, crash, come too late.

Rules:

- A worker knows what its answered heartbeats told it, however old that is. It reads on and writes
  checkpoints as long as nobody tells it that its lease is lost.
- A record counts as consumed when a worker was told of it. A checkpoint says that everything before
  it was consumed, by whomever, or is out of retention.
- What a lease's counter was at its highest answered heartbeat is the oldest with which a checkpoint
  may succeed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, final

from eventcore.consumers.records import Assignment
from eventcore.streams.block import Record
from eventcore.streams.sequence_number import parse_sequence_number
from tests.simulation.stream_ledger import Life

__all__ = ["LEASE_MS", "Group", "Held", "Worker"]

LEASE_MS: Final = 10_000


@dataclass
class Held:
    """A lease as its worker knows it; `position` is the record that it was told of last."""

    shard_id: str
    counter: int
    position: str | None
    is_asked_back: bool = False
    is_ended: bool = False


@dataclass
class Worker:
    """One worker: what it believes to own."""

    id: str
    leases: dict[str, Held] = field(default_factory=dict)

    def assigned(self, assignment: Assignment) -> None:
        """A heartbeat was answered."""
        old, self.leases = self.leases, {}
        for lease in assignment.leases:
            held = old.get(lease.shard_id)
            if held is None or held.counter != lease.counter:
                held = Held(lease.shard_id, lease.counter, lease.checkpoint.sequence_number or None)
            held.is_asked_back = lease.handover_ms is not None
            self.leases[lease.shard_id] = held


@final
class Group:
    """What all workers of a life were promised, and did."""

    def __init__(self, life: Life) -> None:
        self.life = life
        self.workers = [Worker(f"w{at}") for at in range(3)]
        self.consumed: set[str] = set()
        self.counters: dict[str, int] = {}
        self.keys: dict[str, int] = {}
        self.ended: set[str] = set()
        """Shards of which a worker wrote that they are read to their end."""
        self.repeats = 0
        self.lost = 0

    def assigned(self, assignment: Assignment, parents: dict[str, tuple[str, ...]]) -> None:
        """A heartbeat was answered; `parents` has the shards that can be read, with theirs."""
        for lease in assignment.leases:
            known = self.counters.get(lease.shard_id, 0)
            self.counters[lease.shard_id] = max(known, lease.counter)
            for parent in parents.get(lease.shard_id, ()):
                is_read = parent in self.ended or parent not in parents
                assert is_read, f"{lease.shard_id} was given before {parent} was read"

    def consume(self, records: list[Record]) -> None:
        """A worker was told of records."""
        for record in records:
            self.life.check_told(record)
            if record.sequence_number in self.consumed:
                self.repeats += 1
                continue
            self.consumed.add(record.sequence_number)
            counter = int(record.data.split()[0])
            assert counter > self.keys.get(record.partition_key, 0), f"{record} came too late"
            self.keys[record.partition_key] = counter

    def check_checkpoint(self, held: Held, horizon_ms: int) -> None:
        """A checkpoint was taken: its owner is not an old one, and nothing before was left out."""
        assert held.counter >= self.counters.get(held.shard_id, 0), "an old owner moved it"
        ordinal = int(held.shard_id[-12:])
        last = None if held.position is None else parse_sequence_number(held.position)
        for text, put in self.life.puts.items():
            parsed = parse_sequence_number(text)
            assert parsed is not None
            if parsed.ordinal != ordinal or not put.is_sure or put.arrived_ms < horizon_ms:
                continue
            is_before = held.is_ended or (last is not None and parsed.number <= last.number)
            assert not is_before or text in self.consumed, f"{put} was left out"
