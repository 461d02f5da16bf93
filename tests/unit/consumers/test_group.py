"""The consumer group, command by command. The clock is an argument."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from eventcore import limits
from eventcore.consumers.checkpoint import (
    FROM_TRIM_HORIZON,
    SHARD_END,
    SHARD_IS_DONE,
    Checkpoint,
    after_record,
    at_timestamp,
)
from eventcore.consumers.group import ConsumerGroup
from eventcore.consumers.records import Assignment, Heartbeat, ShardNode, StartAt
from eventcore.errors import InvalidParameter, LeaseLost, LimitExceeded, NotFound
from eventcore.outcome import Mutation

ARN = "arn:aws:kinesis:us-east-1:000000000000:stream/orders/group/billing"
START = 1_000_000


def shard(number: int) -> str:
    return f"shardId-{number:012d}"


def node(number: int, *parents: int, is_closed: bool = False) -> ShardNode:
    return ShardNode(shard(number), tuple(map(shard, parents)), is_closed)


def shards(count: int) -> tuple[ShardNode, ...]:
    return tuple(map(node, range(count)))


class World:
    """A group, its rows, and a clock."""

    def __init__(self, start: StartAt | None = None) -> None:
        self.group = ConsumerGroup(ARN)
        self.rows: dict[int, bytes] = {}
        self.now_ms = START
        self.take(self.group.create(start or StartAt(), START))

    def take(self, outcome: Any) -> Any:
        for mutation in outcome.mutations:
            if mutation.value is None:
                self.rows.pop(mutation.key, None)
            else:
                self.rows[mutation.key] = mutation.value
        self.written = len(outcome.mutations)
        self.group.check()
        return outcome.value

    def beat(
        self, worker: str, lineage: Iterable[ShardNode] | None = None, **settings: Any
    ) -> Assignment:
        nodes = None if lineage is None else tuple(lineage)
        beat = Heartbeat(worker, nodes, **{"lease_ms": 10_000, "handover_ms": 5_000, **settings})
        return self.take(self.group.heartbeat(beat, self.now_ms))

    def owned(self, worker: str) -> list[int]:
        return [int(lease.shard_id[-12:]) for lease in self.beat(worker).leases]

    def counter(self, number: int) -> int:
        return self.group.find(shard(number)).counter

    def checkpoint(self, number: int, worker: str, to: Checkpoint) -> Checkpoint:
        return self.take(
            self.group.checkpoint(shard(number), worker, self.counter(number), to, self.now_ms)
        )

    def release(self, number: int, worker: str) -> None:
        self.take(self.group.release(shard(number), worker, self.counter(number)))

    def wait(self, duration_ms: int) -> None:
        """Time passes, and what falls due on the way is done."""
        end_ms = self.now_ms + duration_ms
        while (due_ms := self.group.next_deadline()) is not None and due_ms <= end_ms:
            self.now_ms = max(self.now_ms, due_ms)
            self.take(self.group.tick(self.now_ms, limits.TICK_STEPS_MAX))
        self.now_ms = end_ms

    def restart(self) -> None:
        self.group = ConsumerGroup(ARN)
        for key in sorted(self.rows):
            self.group.apply(Mutation(key, self.rows[key]))
        self.group.check()


def test_the_first_worker_gets_all_leases():
    world = World()
    assignment = world.beat("a", shards(3))
    assert [lease.shard_id for lease in assignment.leases] == [shard(n) for n in range(3)]
    assert {lease.counter for lease in assignment.leases} == {START + 1}
    assert {lease.checkpoint for lease in assignment.leases} == {FROM_TRIM_HORIZON}
    assert (assignment.workers, assignment.is_settled) == (1, True)


def test_a_heartbeat_that_changes_nothing_writes_no_row():
    world = World()
    world.beat("a", shards(3))
    assert world.written == 7, "the lineage is known, three leases are there, and get an owner"
    world.beat("a", shards(3))
    assert world.written == 0
    world.beat("a")
    assert world.written == 0


def test_a_second_worker_gets_its_half_when_the_first_releases_it():
    world = World()
    world.beat("a", shards(4))
    newcomer = world.beat("b")
    assert (newcomer.leases, newcomer.is_settled) == ((), False)
    asked = [lease for lease in world.beat("a").leases if lease.handover_ms is not None]
    assert [lease.handover_ms for lease in asked] == [5_000, 5_000]
    for lease in asked:
        world.take(world.group.release(lease.shard_id, "a", lease.counter))
    assert world.owned("a") == [0, 1]
    assert world.owned("b") == [2, 3]
    assert world.beat("b").is_settled


def test_nobody_is_asked_for_a_lease_when_loads_differ_by_one():
    world = World()
    world.beat("a", shards(3))
    world.beat("b")
    world.release(2, "a")
    assert (world.owned("a"), world.owned("b")) == ([0, 1], [2])
    world.beat("a")
    assert all(lease.handover_ms is None for lease in world.beat("a").leases)


def test_an_owner_that_does_not_hand_over_in_time_is_passed_over():
    world = World()
    world.beat("a", shards(2))
    world.beat("b")
    world.wait(3_000)
    world.beat("b")
    assert world.owned("a") == [0, 1], "its time begins when it is told"
    world.wait(4_999)
    assert world.owned("b") == []
    world.wait(1)
    assert world.owned("b") == [1]
    with pytest.raises(LeaseLost):
        world.group.checkpoint(shard(1), "a", 1, after_record("1"), world.now_ms)


def test_a_lease_that_was_asked_back_may_stay_when_the_heir_is_gone():
    world = World()
    world.beat("a", shards(2))
    world.beat("b")
    world.beat("a")
    world.take(world.group.leave("b"))
    assert [lease.handover_ms for lease in world.beat("a").leases] == [None, None]


def test_a_silent_worker_is_gone_after_its_lease_time():
    world = World()
    world.beat("a", shards(2))
    world.beat("b", lease_ms=60_000)
    world.wait(9_999)
    assert world.owned("b") == []
    world.wait(1)
    assert world.owned("b") == [0, 1]
    with pytest.raises(LeaseLost):
        world.group.release(shard(0), "a", 1)


def test_a_worker_that_leaves_is_replaced_at_once():
    world = World()
    world.beat("a", shards(3))
    world.beat("b")
    world.take(world.group.leave("a"))
    assert world.owned("b") == [0, 1, 2]
    assert world.beat("b").workers == 1
    world.take(world.group.leave("a"))
    assert world.written == 0


def test_a_leaving_worker_gets_nothing_and_is_asked_for_all():
    world = World()
    world.beat("a", shards(2))
    world.beat("a", is_leaving=True)
    world.beat("b")
    assert [lease.handover_ms for lease in world.beat("a", is_leaving=True).leases] == [5_000] * 2
    world.release(0, "a")
    assert world.owned("b") == [0]
    world.take(world.group.leave("a"))
    assert world.owned("b") == [0, 1]


def test_a_leaving_worker_alone_gives_up_what_it_releases():
    world = World()
    world.beat("a", shards(1))
    world.beat("a", is_leaving=True)
    world.release(0, "a")
    assert world.group.find(shard(0)).owner == ""
    assert world.beat("a", is_leaving=True).leases == ()


def test_a_checkpoint_moves_forward_only():
    world = World()
    world.beat("a", shards(1))
    assert world.checkpoint(0, "a", after_record("20")) == after_record("20")
    assert world.checkpoint(0, "a", after_record("9")) == after_record("20")
    assert world.written == 0
    assert world.checkpoint(0, "a", after_record("20", 3)) == after_record("20"), "20 is all of it"
    assert world.checkpoint(0, "a", after_record("21", 3)) == after_record("21", 3)
    assert world.checkpoint(0, "a", after_record("21", 2)) == after_record("21", 3)
    assert world.checkpoint(0, "a", after_record("21")) == after_record("21")
    assert world.checkpoint(0, "a", FROM_TRIM_HORIZON) == after_record("21")


@pytest.mark.parametrize("counter", [1, START, START + 2])
def test_a_wrong_counter_is_refused(counter: int):
    world = World()
    world.beat("a", shards(1))
    with pytest.raises(LeaseLost, match="worker 'a' does not own the lease"):
        world.group.checkpoint(shard(0), "a", counter, after_record("1"), world.now_ms)
    assert world.group.find(shard(0)).checkpoint == FROM_TRIM_HORIZON


def test_who_does_not_own_a_lease_can_do_nothing_with_it():
    world = World()
    world.beat("a", shards(1))
    for worker, name in (("b", shard(0)), ("a", shard(7))):
        with pytest.raises(LeaseLost):
            world.group.checkpoint(name, worker, START + 1, after_record("1"), world.now_ms)
        with pytest.raises(LeaseLost):
            world.group.release(name, worker, START + 1)


def test_children_wait_for_both_parents():
    world = World()
    lineage = (node(0, is_closed=True), node(1, is_closed=True), node(2, 0, 1))
    world.beat("a", lineage)
    assert world.owned("a") == [0, 1]
    world.checkpoint(0, "a", SHARD_IS_DONE)
    assert world.owned("a") == [1]
    world.checkpoint(1, "a", SHARD_IS_DONE)
    assert world.owned("a") == [2]
    assert world.group.find(shard(0)).owner == ""


def test_the_group_asks_for_the_children_of_a_shard_that_ended():
    world = World()
    assert not world.beat("a", shards(2)).needs_lineage
    world.checkpoint(1, "a", SHARD_IS_DONE)
    assert world.beat("b").needs_lineage, "a may not live to tell"
    world.restart()
    assert world.beat("b").needs_lineage
    assert not world.beat("b", (*shards(2), node(2, 1), node(3, 1))).needs_lineage


def test_a_child_does_not_wait_for_a_parent_that_is_not_there():
    world = World()
    world.beat("a", (node(4, 1, 2),))
    assert world.owned("a") == [4]


def test_shards_that_vanish_take_their_leases_with_them():
    world = World()
    world.beat("a", (node(0, is_closed=True), node(1, 0)))
    world.beat("a", (node(1, 0),))
    assert world.owned("a") == [1], "the parent vanished unconsumed; the child goes on"
    with pytest.raises(NotFound):
        world.group.find(shard(0))


def test_a_lineage_of_yesterday_takes_nothing_away_and_brings_nothing_back():
    world = World()
    old = (node(0, is_closed=True), node(1, 0, is_closed=True), node(2, 1))
    world.beat("a", old)
    for number in (0, 1):
        world.checkpoint(number, "a", SHARD_IS_DONE)
    new = (node(2, 1, is_closed=True), node(3, 2), node(4, 2))
    world.beat("a", new)
    assert len(world.group.describe(world.now_ms).leases) == 3
    world.beat("b", old)
    assert [lease.shard_id for lease in world.group.describe(world.now_ms).leases] == [
        shard(number) for number in (2, 3, 4)
    ]


@pytest.mark.parametrize(
    ("start", "first"),
    [
        (StartAt("TRIM_HORIZON"), FROM_TRIM_HORIZON),
        (StartAt("LATEST"), at_timestamp(START)),
        (StartAt("AT_TIMESTAMP", 77), at_timestamp(77)),
    ],
)
def test_where_a_group_starts_is_for_the_shards_of_its_beginning(start: StartAt, first: Checkpoint):
    world = World(start)
    world.beat("a", (node(0),))
    assert world.group.find(shard(0)).checkpoint == first
    world.beat("a", (node(0, is_closed=True), node(1, 0), node(2, 0), node(3)))
    assert {world.group.find(shard(n)).checkpoint for n in (1, 2, 3)} == {FROM_TRIM_HORIZON}


def test_latest_skips_the_shards_that_are_closed_already():
    world = World(StartAt("LATEST"))
    world.beat("a", (node(0, is_closed=True), node(1, 0)))
    assert world.owned("a") == [1]
    assert world.group.find(shard(0)).checkpoint.kind == SHARD_END


def test_after_a_restart_owners_have_a_whole_lease_time():
    world = World()
    world.beat("a", shards(2), lease_ms=20_000)
    world.checkpoint(0, "a", after_record("5"))
    world.now_ms += 1_000_000
    world.restart()
    world.beat("b")
    assert world.group.next_deadline() == world.now_ms + 10_000
    world.wait(15_000)
    world.beat("b", lease_ms=60_000)
    assert world.owned("a") == [0, 1]
    assert world.beat("a").leases[0].checkpoint == after_record("5")
    world.restart()
    assert world.group.next_deadline() == 0, "the time is not known yet"
    world.wait(0)
    world.wait(59_999)
    assert world.group.find(shard(0)).owner == "a"
    world.wait(1)
    assert world.group.find(shard(0)).owner == ""


def test_a_counter_goes_on_after_a_restart():
    world = World()
    world.beat("a", shards(1))
    world.take(world.group.leave("a"))
    assert world.counter(0) == START + 2
    world.restart()
    assert world.beat("b").leases[0].counter == START + 3


def test_bounds_are_refused_and_change_nothing(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(limits, "GROUP_WORKERS_MAX", 2)
    monkeypatch.setattr(limits, "GROUP_LEASES_MAX", 3)
    world = World()
    with pytest.raises(LimitExceeded, match="group_leases_max is 3"):
        world.beat("a", shards(4))
    assert world.group.worker_count == 0
    world.beat("a", shards(3))
    world.beat("b")
    with pytest.raises(LimitExceeded, match="group_workers_max is 2"):
        world.beat("c")
    world.take(world.group.leave("a"))
    assert world.beat("c").workers == 2


@pytest.mark.parametrize(
    "wrong",
    [
        {"worker_id": ""},
        {"worker_id": "w" * 257},
        {"worker_id": "ä"},
        {"lease_ms": 99},
        {"lease_ms": limits.LEASE_MS_MAX + 1},
        {"handover_ms": -1},
        {"lineage": (ShardNode(""),)},
        {"lineage": (ShardNode("s", ("",)),)},
        {"lineage": (ShardNode("s", ("a", "b", "c")),)},
        {"lineage": (ShardNode("s"), ShardNode("s"))},
    ],
)
def test_a_heartbeat_out_of_range_is_refused(wrong: dict[str, Any]):
    world = World()
    with pytest.raises(InvalidParameter):
        world.group.heartbeat(Heartbeat(**{"worker_id": "a", **wrong}), START)
    assert world.group.worker_count == 0


@pytest.mark.parametrize(
    "wrong",
    [
        Checkpoint("AFTER_RECORD"),
        Checkpoint("TRIM_HORIZON", "1"),
        Checkpoint("AFTER_RECORD", "1x"),
        Checkpoint("AFTER_RECORD", "-1"),
        Checkpoint("AFTER_RECORD", "٣"),
        Checkpoint("AFTER_RECORD", "1" * 130),
        Checkpoint("AFTER_RECORD", "1", -1),
        Checkpoint("SHARD_END", "", 1),
    ],
)
def test_a_checkpoint_that_is_none_is_refused(wrong: Checkpoint):
    world = World()
    world.beat("a", shards(1))
    with pytest.raises(InvalidParameter):
        world.group.checkpoint(shard(0), "a", START + 1, wrong, START)


def test_the_description_says_who_has_what():
    world = World()
    world.beat("a", shards(2))
    world.beat("b")
    world.now_ms += 40
    described = world.group.describe(world.now_ms)
    assert [(lease.owner, lease.heir) for lease in described.leases] == [("a", ""), ("a", "b")]
    assert [(w.worker_id, w.leases, w.silent_ms) for w in described.workers] == [
        ("a", 2, 40),
        ("b", 0, 40),
    ]
    assert world.group.name == "billing"


def test_a_dead_worker_that_nobody_replaced_comes_back_with_a_new_counter():
    world = World()
    world.beat("a", shards(1))
    world.wait(10_000)
    assert world.group.find(shard(0)).owner == ""
    assert [lease.counter for lease in world.beat("a").leases] == [START + 3]
