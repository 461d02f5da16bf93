"""A stream against a naive model, on random commands; and the proof that replay gives the state of
the run.

The model knows nothing of blocks, marks and plans: a shard is a range of hash keys with a list of
records, and a record is told of while its retention lasts. How UpdateShardCount gets where it goes
is the machine's own affair: the model learns the lineage from it and checks that it is one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from eventcore import limits
from eventcore.errors import InvalidParameter
from eventcore.limits import RELAXED_QUOTAS, Quotas
from eventcore.outcome import Mutation
from eventcore.streams.hash_range import HASH_KEY_MAX, uniform_ranges
from eventcore.streams.resharding import SLIVER_KEYS
from eventcore.streams.stream import Stream
from eventcore.streams.stream_spec import Appended, RecordEntry, Refused
from eventcore.testing import SeededIds
from tests.unit.streams.stream_rig import ARN, DAY_MS, StreamRig, durable_state

HOUR_MS = 3_600_000
SLOW = Quotas(stream_transition_ms=500)


@dataclass
class ModelRecord:
    arrived_ms: int
    key: str
    data: bytes
    sequence: int


@dataclass
class ModelShard:
    first: int
    last: int
    parents: tuple[int, ...]
    closed_ms: int = 0
    records: list[ModelRecord] = field(default_factory=list)


class StreamMachine(RuleBasedStateMachine):
    """Random commands, time and restarts, on one stream."""

    @initialize(shards=st.integers(1, 4), quotas=st.sampled_from([RELAXED_QUOTAS, SLOW]))
    def start(self, shards: int, quotas: Quotas) -> None:
        self.rig = StreamRig(shards, quotas)
        self.rig.advance(500)
        self.shards = {
            at: ModelShard(first, last, ())
            for at, (first, last) in enumerate(uniform_ranges(shards))
        }
        self.floor_ms = 0
        self.puts = 0

    # The model

    @property
    def stream(self) -> Stream:
        return self.rig.stream

    def horizon_ms(self) -> int:
        return max(self.floor_ms, self.rig.now_ms - self.stream.spec.retention_ms)

    def open(self) -> dict[int, ModelShard]:
        return {at: shard for at, shard in self.shards.items() if not shard.closed_ms}

    def told(self) -> dict[int, ModelShard]:
        horizon_ms = self.horizon_ms()
        return {
            at: shard
            for at, shard in self.shards.items()
            if not shard.closed_ms or shard.closed_ms >= horizon_ms
        }

    def learn(self, changed_ms: int) -> None:
        """Takes over the shards that a change made; checks that each takes its parents' place."""
        for found in self.stream.shards(self.rig.now_ms):
            if found.ordinal in self.shards:
                continue
            parents = [self.shards[parent] for parent in found.parents]
            assert parents and all(not parent.closed_ms for parent in parents)
            if len(parents) == 2:
                assert parents[0].last + 1 == parents[1].first, "a merge of neighbours"
                assert (found.first_hash, found.last_hash) == (parents[0].first, parents[1].last)
            siblings = [s for s in self.shards.values() if s.parents == found.parents]
            if len(parents) == 2 or siblings:
                for parent in parents:
                    parent.closed_ms = changed_ms
            if siblings:
                assert len(siblings) == 1
                assert siblings[0].first == parents[0].first
                assert siblings[0].last + 1 == found.first_hash
                assert found.last_hash == parents[0].last
            self.shards[found.ordinal] = ModelShard(
                found.first_hash, found.last_hash, found.parents
            )

    # Commands

    @rule(
        keys=st.lists(st.sampled_from("abcdefghij"), min_size=1, max_size=6),
        size=st.sampled_from([0, 10, 10, 10, 120_000]),
    )
    def put(self, keys: list[str], size: int) -> None:
        entries = []
        for key in keys:
            self.puts += 1
            entries.append(RecordEntry(b"%d " % self.puts + bytes(size), key))
        told = self.rig.stage(self.stream.put_records(entries, self.rig.now_ms))
        self.took(entries, told)

    @rule(explicit=st.integers(0, HASH_KEY_MAX))
    def put_at(self, explicit: int) -> None:
        self.puts += 1
        entry = RecordEntry(b"%d" % self.puts, "x", str(explicit))
        put = self.rig.stage(self.stream.put_record(entry, None, self.rig.now_ms))
        shard = self.shards[int(put.shard_id[-12:])]
        assert shard.first <= explicit <= shard.last
        self.took([entry], [put])

    def took(self, entries: list[RecordEntry], told: Sequence[Appended | Refused]) -> None:
        for entry, put in zip(entries, told, strict=True):
            assert isinstance(put, Appended)
            shard = self.shards[int(put.shard_id[-12:])]
            assert not shard.closed_ms
            sequence = int(put.sequence_number)
            above = [shard, *(self.shards[p] for p in shard.parents if p in self.shards)]
            for other in above:
                assert not other.records or other.records[-1].sequence < sequence
            shard.records.append(
                ModelRecord(self.rig.now_ms, entry.partition_key, entry.data, sequence)
            )

    def is_active(self) -> bool:
        return self.stream.status == "ACTIVE"

    def finish(self) -> None:
        """Lets a change of shards end; records may come while it lasts."""
        if self.stream.status == "UPDATING":
            self.put(["a", "b"], 10)
            self.rig.advance(self.stream.due_ms - self.rig.now_ms)
        self.learn(self.rig.now_ms)

    @precondition(is_active)
    @rule(data=st.data())
    def split(self, data: st.DataObject) -> None:
        ordinal = data.draw(st.sampled_from(sorted(self.open())))
        shard = self.shards[ordinal]
        at = data.draw(st.integers(shard.first, shard.last))
        if at <= shard.first + 1:
            return
        self.rig.split(f"shardId-{ordinal:012d}", at)
        self.finish()
        low, high = (s for s in self.shards.values() if s.parents == (ordinal,))
        assert (low.last, high.first) == (at - 1, at)

    @precondition(lambda self: self.is_active() and len(self.open()) > 1)
    @rule(data=st.data())
    def merge(self, data: st.DataObject) -> None:
        owners = self.rig.open_ids()
        at = data.draw(st.integers(0, len(owners) - 2))
        self.rig.merge(*data.draw(st.permutations(owners[at : at + 2])))
        before = len(owners)
        self.finish()
        assert len(self.open()) == before - 1

    @precondition(is_active)
    @rule(count=st.integers(1, 12))
    def update_shard_count(self, count: int) -> None:
        before = len(self.open())
        if count > 2 * before or 2 * count < before:
            try:
                self.rig.count(count)
            except InvalidParameter:
                return
            raise AssertionError("more than double or less than half")
        self.rig.count(count)
        self.finish()
        owners = sorted(self.open().values(), key=lambda shard: shard.first)
        assert len(owners) == count
        if count != before:
            wanted = [first for first, _ in uniform_ranges(count)]
            assert all(
                abs(shard.first - first) <= SLIVER_KEYS
                for shard, first in zip(owners, wanted, strict=True)
            )

    @precondition(is_active)
    @rule(days=st.sampled_from([1, 1, 2, 7, 365]))
    def set_retention(self, days: int) -> None:
        spec = msgspec.structs.replace(self.stream.spec, retention_ms=days * DAY_MS)
        if days * DAY_MS > self.stream.spec.retention_ms:
            self.floor_ms = self.horizon_ms()
        self.rig.stage(self.stream.set_spec(spec, self.rig.now_ms))
        self.finish()

    # Time

    @rule(duration_ms=st.sampled_from([1, 999, 60_000, HOUR_MS, 5 * HOUR_MS, DAY_MS, 3 * DAY_MS]))
    def advance(self, duration_ms: int) -> None:
        self.rig.advance(duration_ms)

    @rule(duration_ms=st.sampled_from([1_000, HOUR_MS, DAY_MS]))
    def oversleep(self, duration_ms: int) -> None:
        """Time passes and nobody ticks, as while a process is down."""
        self.rig.now_ms += duration_ms

    @rule(limit=st.sampled_from([1, 2, 1_000]))
    def tick(self, limit: int) -> None:
        self.rig.tick(limit)

    @rule()
    def restart(self) -> None:
        self.rig.restart()

    # What has to hold

    @invariant()
    def records_are_told_of_for_their_retention_in_order(self) -> None:
        if not hasattr(self, "rig"):
            return
        horizon_ms = self.horizon_ms()
        for ordinal, shard in self.told().items():
            found = [
                (r.arrived_ms, r.partition_key, r.data, int(r.sequence_number))
                for r in self.rig.records(ordinal)
            ]
            assert found == [
                (r.arrived_ms, r.key, r.data, r.sequence)
                for r in shard.records
                if r.arrived_ms >= horizon_ms
            ]

    @invariant()
    def shards_are_told_of_with_their_lineage(self) -> None:
        if not hasattr(self, "rig"):
            return
        told = self.told()
        for found in self.stream.shards(self.rig.now_ms):
            shard = told.pop(found.ordinal)
            assert (found.first_hash, found.last_hash) == (shard.first, shard.last)
            assert found.parents == shard.parents
            assert found.record.closed_ms == shard.closed_ms
            children = [at for at, other in self.shards.items() if found.ordinal in other.parents]
            views = {view.ordinal for view in self.stream.children(found)}
            assert views == {at for at in children if self.stream.shard(at) is not None}
            assert len(found.marks) <= limits.TIME_MARKS_MAX
        assert not told, "a shard is missing"

    @invariant()
    def replaying_the_mutations_gives_the_same_state(self) -> None:
        if not hasattr(self, "rig"):
            return
        self.stream.check()
        wanted = durable_state(self.stream)
        assert durable_state(self.rig.reloaded()) == wanted
        for times in (1, 2):
            replayed = Stream(ARN, SeededIds(1), self.rig.quotas)
            for mutation in self.rig.log:
                for _ in range(times):
                    replayed.apply(Mutation(mutation.key, mutation.value))
            assert durable_state(replayed) == wanted, f"applied {times} times each"
            replayed.check()

    def teardown(self) -> None:
        """After its retention, nothing is left of anything."""
        if not hasattr(self, "rig"):
            return
        self.rig.advance(500)
        self.rig.advance(self.stream.spec.retention_ms + 1)
        self.rig.advance(HOUR_MS)
        assert self.rig.log_rows == 0
        assert len(self.stream._shards) == self.stream.open_shards
        assert self.stream.next_deadline() is None
        assert len(self.rig.rows) <= 1 + 3 * self.stream.open_shards


TestStream = StreamMachine.TestCase
TestStream.settings = settings(max_examples=60, stateful_step_count=30)
