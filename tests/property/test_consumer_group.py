"""A consumer group under any order of heartbeats, deaths, checkpoints, reshards and restarts.

Workers here are as careless as real ones: they know only what their latest heartbeat told them, act
on it until their own clock says that it is over, and try to go on after that as well.
"""

from __future__ import annotations

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from eventcore import limits
from eventcore.consumers.checkpoint import SHARD_END, SHARD_IS_DONE, after_record
from eventcore.consumers.group import ConsumerGroup
from eventcore.consumers.records import Heartbeat, Lease, ShardNode, StartAt
from eventcore.errors import LeaseLost
from eventcore.outcome import Mutation

ARN = "arn:aws:kinesis:us-east-1:000000000000:stream/orders/group/billing"
WORKERS = ["a", "b", "c", "d"]
LEASE_MS = {"a": 1_000, "b": 1_000, "c": 3_000, "d": 500}
HANDOVER_MS = {"a": 1_000, "b": 200, "c": 0, "d": 5_000}
OPEN_SHARDS_MAX = 8


class Belief:
    """What a worker was told by its latest heartbeat."""

    def __init__(self, sent_ms: int, lease_ms: int, leases: tuple[Lease, ...]) -> None:
        self.leases = {lease.shard_id: lease for lease in leases}
        self.ends_ms = {
            lease.shard_id: sent_ms
            + min(lease_ms, lease_ms if lease.handover_ms is None else lease.handover_ms)
            for lease in leases
        }


class GroupMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.now_ms = 1_000
        self.group = ConsumerGroup(ARN)
        self.rows: dict[int, bytes] = {}
        self.lineage: dict[str, ShardNode] = {}
        self.old_lineage: tuple[ShardNode, ...] = ()
        self.beliefs: dict[str, Belief] = {}
        self.checkpoints: dict[str, tuple[int, int, int]] = {}
        self.done: set[str] = set()
        self.seen: set[str] = set()

    @initialize(
        count=st.integers(1, 4), start=st.sampled_from(["TRIM_HORIZON", "LATEST", "AT_TIMESTAMP"])
    )
    def begin(self, count: int, start: Any) -> None:
        for _ in range(count):
            self.new_shard(())
        self.take(self.group.create(StartAt(start, 7), self.now_ms))

    def new_shard(self, parents: tuple[str, ...]) -> None:
        name = f"shardId-{len(self.seen):012d}"
        self.seen.add(name)
        self.lineage[name] = ShardNode(name, parents)

    def take(self, outcome: Any) -> Any:
        for mutation in outcome.mutations:
            if mutation.value is None:
                self.rows.pop(mutation.key, None)
            else:
                self.rows[mutation.key] = mutation.value
        return outcome.value

    def beat(self, worker: str, *, lineage: Any = None, is_leaving: bool = False) -> None:
        beat = Heartbeat(worker, lineage, LEASE_MS[worker], HANDOVER_MS[worker], is_leaving)
        assignment = self.take(self.group.heartbeat(beat, self.now_ms))
        self.beliefs[worker] = Belief(self.now_ms, LEASE_MS[worker], assignment.leases)

    # What happens

    @rule(worker=st.sampled_from(WORKERS), knows=st.sampled_from(["now", "old", "nothing"]))
    def heartbeat(self, worker: str, knows: str) -> None:
        lineages = {"now": tuple(self.lineage.values()), "old": self.old_lineage, "nothing": None}
        self.beat(worker, lineage=lineages[knows])

    @rule(worker=st.sampled_from(WORKERS))
    def leaving_heartbeat(self, worker: str) -> None:
        self.beat(worker, is_leaving=True)

    @rule(worker=st.sampled_from(WORKERS))
    def leave(self, worker: str) -> None:
        self.take(self.group.leave(worker))
        self.beliefs.pop(worker, None)

    @rule(worker=st.sampled_from(WORKERS))
    def die(self, worker: str) -> None:
        self.beliefs.pop(worker, None)

    @rule(data=st.data(), sequence=st.integers(1, 50), is_end=st.booleans())
    def checkpoint(self, data: st.DataObject, sequence: int, is_end: bool) -> None:
        worker, lease = self.pick(data)
        if lease is None:
            return
        node = self.lineage.get(lease.shard_id)
        is_end = is_end and node is not None and node.is_closed
        to = SHARD_IS_DONE if is_end else after_record(str(sequence))
        is_owner = self.is_owner(worker, lease)
        try:
            self.take(self.group.checkpoint(lease.shard_id, worker, lease.counter, to, self.now_ms))
        except LeaseLost:
            assert not is_owner
        else:
            assert is_owner
            if is_end:
                self.done.add(lease.shard_id)

    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        worker, lease = self.pick(data)
        if lease is None:
            return
        is_owner = self.is_owner(worker, lease)
        try:
            self.take(self.group.release(lease.shard_id, worker, lease.counter))
        except LeaseLost:
            assert not is_owner
        else:
            assert is_owner
        self.beliefs[worker].leases.pop(lease.shard_id)
        self.beliefs[worker].ends_ms.pop(lease.shard_id)

    def pick(self, data: st.DataObject) -> tuple[str, Any]:
        known = [
            (w, n) for w, belief in sorted(self.beliefs.items()) for n in sorted(belief.leases)
        ]
        if not known:
            return "", None
        worker, name = data.draw(st.sampled_from(known))
        return worker, self.beliefs[worker].leases[name]

    def is_owner(self, worker: str, lease: Lease) -> bool:
        described = {d.shard_id: d for d in self.group.describe(self.now_ms).leases}
        found = described.get(lease.shard_id)
        return found is not None and (found.owner, found.counter) == (worker, lease.counter)

    @precondition(lambda self: self.open_shards() and len(self.open_shards()) < OPEN_SHARDS_MAX)
    @rule(data=st.data())
    def split(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(self.open_shards()))
        self.close([name])
        self.new_shard((name,))
        self.new_shard((name,))

    @precondition(lambda self: len(self.open_shards()) > 1)
    @rule(data=st.data())
    def merge(self, data: st.DataObject) -> None:
        pair = data.draw(
            st.lists(st.sampled_from(self.open_shards()), min_size=2, max_size=2, unique=True)
        )
        self.close(pair)
        self.new_shard(tuple(pair))

    def open_shards(self) -> list[str]:
        return [name for name, node in self.lineage.items() if not node.is_closed]

    def close(self, names: list[str]) -> None:
        self.old_lineage = tuple(self.lineage.values())
        for name in names:
            self.lineage[name] = ShardNode(name, self.lineage[name].parents, True)

    @rule()
    def oldest_closed_shard_vanishes(self) -> None:
        closed = [name for name, node in self.lineage.items() if node.is_closed]
        if closed:
            self.old_lineage = tuple(self.lineage.values())
            del self.lineage[closed[0]]

    @rule(duration_ms=st.sampled_from([1, 150, 400, 1_000, 5_000]))
    def wait(self, duration_ms: int) -> None:
        end_ms = self.now_ms + duration_ms
        for _ in range(1_000):
            due_ms = self.group.next_deadline()
            if due_ms is None or due_ms > end_ms:
                break
            self.now_ms = max(self.now_ms, due_ms)
            self.take(self.group.tick(self.now_ms, limits.TICK_STEPS_MAX))
        else:
            raise AssertionError("something stays due for ever")
        self.now_ms = end_ms

    @rule(down_ms=st.sampled_from([0, 100, 10_000]))
    def restart(self, down_ms: int) -> None:
        self.group = ConsumerGroup(ARN)
        for key in sorted(self.rows):
            self.group.apply(Mutation(key, self.rows[key]))
        self.now_ms += down_ms

    @rule(workers=st.lists(st.sampled_from(WORKERS), min_size=1, unique=True))
    def well_behaved_rounds(self, workers: list[str]) -> None:
        """The others are gone. After a few rounds all is owned, and evenly."""
        self.beliefs.clear()
        for worker in set(WORKERS) - set(workers):
            self.take(self.group.leave(worker))
        for _ in range(4):
            for worker in workers:
                self.beat(worker, lineage=tuple(self.lineage.values()))
                for lease in list(self.beliefs[worker].leases.values()):
                    if lease.handover_ms is not None:
                        self.take(self.group.release(lease.shard_id, worker, lease.counter))
                        del self.beliefs[worker].leases[lease.shard_id]
                        del self.beliefs[worker].ends_ms[lease.shard_id]
        described = self.group.describe(self.now_ms)
        loads = [sum(lease.owner == worker for lease in described.leases) for worker in workers]
        assert max(loads) - min(loads) <= 1
        done = {d.shard_id for d in described.leases if d.checkpoint.kind == SHARD_END}
        left = {d.shard_id for d in described.leases} - done
        assert {d.shard_id for d in described.leases if d.owner} == {
            d.shard_id for d in described.leases if d.shard_id in left and not set(d.parents) & left
        }
        assert set(self.lineage) >= left, "what vanished is forgotten"

    # What is always true

    @invariant()
    def the_group_is_sound(self) -> None:
        self.group.check()

    @invariant()
    def two_workers_never_have_one_shard_at_a_time(self) -> None:
        """By their own clocks, and without asking anybody."""
        holders: dict[str, str] = {}
        for worker, belief in self.beliefs.items():
            for name, ends_ms in belief.ends_ms.items():
                if ends_ms > self.now_ms and name not in self.done:
                    assert name not in holders, f"{holders[name]} and {worker} have {name}"
                    holders[name] = worker

    @invariant()
    def checkpoints_never_go_back(self) -> None:
        if not self.rows:
            return
        for lease in self.group.describe(self.now_ms).leases:
            order = lease.checkpoint.order()
            assert order >= self.checkpoints.get(lease.shard_id, order)
            self.checkpoints[lease.shard_id] = order

    @invariant()
    def nobody_has_a_child_before_its_parents_are_done(self) -> None:
        if not self.rows:
            return
        described = {lease.shard_id: lease for lease in self.group.describe(self.now_ms).leases}
        for lease in described.values():
            for parent in lease.parents:
                if lease.owner and parent in described:
                    assert described[parent].checkpoint.kind == SHARD_END


TestConsumerGroup = GroupMachine.TestCase
TestConsumerGroup.settings = settings(max_examples=150, stateful_step_count=40)
