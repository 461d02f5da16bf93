"""Splits, merges and changes of the number of shards: lineage, hash ranges, sequence numbers."""

from __future__ import annotations

import pytest

from eventcore.errors import Conflict, InvalidParameter, LimitExceeded, NotFound
from eventcore.limits import Quotas
from eventcore.streams.block import ORDINAL_MAX
from eventcore.streams.hash_range import HASH_KEY_MAX, uniform_ranges
from eventcore.streams.resharding import SLIVER_KEYS
from eventcore.streams.sequence_number import END, parse_sequence_number
from eventcore.streams.stream_spec import ShardView, StreamSpec
from tests.unit.streams.stream_rig import DAY_MS, StreamRig, durable_state

HALF = 1 << 127
SLOW = Quotas(stream_transition_ms=500)


def shard(ordinal: int) -> str:
    return f"shardId-{ordinal:012d}"


def views(rig: StreamRig) -> list[ShardView]:
    return [shard.view() for shard in rig.stream.shards(rig.now_ms)]


def is_uniform(firsts: list[int], count: int) -> bool:
    """Whether shards that begin there are of equal size, but for a few hash keys."""
    wanted = [first for first, _ in uniform_ranges(count)]
    return len(firsts) == count and all(
        abs(first - at) <= SLIVER_KEYS for first, at in zip(firsts, wanted, strict=True)
    )


def test_a_new_stream_has_shards_of_equal_size_without_parents():
    rig = StreamRig(3)
    found = views(rig)
    assert [(v.first_hash, v.last_hash) for v in found] == uniform_ranges(3)
    assert [v.id for v in found] == [shard(0), shard(1), shard(2)]
    assert all((v.parent_id, v.adjacent_parent_id) == (None, None) for v in found)
    assert all((v.end, v.closed_ms) == (None, None) for v in found)


def test_a_split_closes_the_parent_and_opens_two_children():
    rig = StreamRig()
    rig.now_ms += 10
    rig.split(shard(0), HALF)
    parent, low, high = views(rig)
    assert parent.closed_ms == rig.now_ms and parent.end is not None
    assert (low.first_hash, low.last_hash) == (0, HALF - 1)
    assert (high.first_hash, high.last_hash) == (HALF, HASH_KEY_MAX)
    assert {low.parent_id, high.parent_id} == {shard(0)}
    assert low.adjacent_parent_id is high.adjacent_parent_id is None
    assert rig.stream.children(rig.shard(0)) == [low, high]
    ends = parse_sequence_number(parent.end)
    assert ends is not None and ends.number == END


@pytest.mark.parametrize("pair", [(0, 1), (1, 0)])
def test_a_merge_closes_two_and_opens_one(pair):
    rig = StreamRig(3)
    rig.merge(shard(pair[0]), shard(pair[1]))
    merged = views(rig)[-1]
    ranges = uniform_ranges(3)
    assert (merged.first_hash, merged.last_hash) == (0, ranges[1][1])
    assert (merged.parent_id, merged.adjacent_parent_id) == (shard(0), shard(1))
    assert rig.open_ids() == [shard(3), shard(2)]
    assert rig.stream.children(rig.shard(0)) == rig.stream.children(rig.shard(1)) == [merged]


def test_sequence_numbers_of_children_are_above_their_parents():
    """Also when everything happens in one second, generation after generation."""
    rig = StreamRig()
    last = 0
    for _ in range(5):
        rig.put("a", "b", "c")
        (only,) = rig.stream.ranges.owners
        last = max(last, *(int(r.sequence_number) for r in rig.records(only.ordinal)))
        rig.split(only.id, HALF)
        rig.merge(*rig.open_ids())
        for child in rig.stream.shards(rig.now_ms):
            for parent in child.parents:
                assert int(child.view().start) > int(rig.shard(parent).view().end or 0)
        assert int(rig.stream.ranges.owners[0].view().start) > last
        rig.restart()
    rig.put("a")
    (only,) = rig.stream.ranges.owners
    assert int(rig.records(only.ordinal)[0].sequence_number) > last


def test_order_per_partition_key_when_parents_are_read_before_children():
    rig = StreamRig(2)
    keys = [str(at) for at in range(30)]
    sent: dict[str, list[bytes]] = {key: [] for key in keys}
    for turn in range(12):
        for key in keys:
            sent[key].append(b"%d" % turn)
            rig.put_one(key, b"%d" % turn)
        if turn % 3 == 0:
            rig.split(rig.open_ids()[0], rig.stream.ranges.owners[0].last_hash // 2)
        elif turn % 3 == 1:
            rig.merge(*rig.open_ids()[1:3])
        else:
            rig.count(max(2, rig.stream.open_shards - 1))
    told: dict[str, list[bytes]] = {key: [] for key in keys}
    for found in rig.stream.shards(rig.now_ms):  # parents are made before their children
        assert all(parent < found.ordinal for parent in found.parents)
        for record in rig.records(found.ordinal):
            told[record.partition_key].append(record.data)
    assert told == sent


@pytest.mark.parametrize("before", [1, 2, 3, 4, 5, 8, 12])
def test_a_changed_number_of_shards_has_them_of_equal_size(before):
    for count in range((before + 1) // 2, 2 * before + 1):
        rig = StreamRig(before)
        rig.put(*map(str, range(50)))
        rig.count(count)
        owners = rig.stream.ranges.owners
        if count != before:
            assert is_uniform([s.first_hash for s in owners], count)
        rig.stream.check()
        total = sum(len(rig.records(s.ordinal)) for s in rig.stream.shards(rig.now_ms))
        assert total == 50, "nothing is lost in closed shards"
        assert durable_state(rig.reloaded()) == durable_state(rig.stream)


def test_uneven_shards_become_even_too():
    rig = StreamRig()
    rig.split(shard(0), 1000)
    rig.split(shard(2), 5000)
    rig.split(shard(1), 10)
    rig.count(3)
    assert is_uniform(rig.stream.ranges.firsts, 3)


@pytest.mark.parametrize(("before", "after"), [(3, 6), (5, 10), (7, 14), (12, 24), (24, 12)])
def test_doubling_and_halving_make_no_shard_that_is_closed_at_once(before, after):
    rig = StreamRig(before)
    rig.count(after)
    assert len(views(rig)) == before + after
    rig.stream.check()


@pytest.mark.parametrize("count", [1, 9, 100])
def test_the_number_may_at_most_double_or_halve(count):
    rig = StreamRig(4)
    before = durable_state(rig.stream)
    with pytest.raises(InvalidParameter, match="Current open shard count: 4 Target shard count"):
        rig.count(count)
    assert durable_state(rig.stream) == before


def test_shard_count_changes_a_day_are_limited_where_the_quota_is_on():
    rig = StreamRig(2, Quotas(stream_updates_per_day=3))
    for count in (3, 4, 3):
        rig.count(count)
    with pytest.raises(LimitExceeded):
        rig.count(4)
    rig.restart()
    with pytest.raises(LimitExceeded):
        rig.count(4)
    rig.advance(DAY_MS)
    rig.count(4)
    assert rig.stream.open_shards == 4


@pytest.mark.parametrize("at", ["0", "1", str(HASH_KEY_MAX + 1), "x", "", "-5", "01"])
def test_a_split_has_to_leave_something_on_both_sides(at):
    rig = StreamRig()
    with pytest.raises(InvalidParameter, match="NewStartingHashKey"):
        rig.stream.split(shard(0), at, rig.now_ms)
    rig.split(shard(0), 2)
    with pytest.raises(InvalidParameter):
        rig.split(shard(1), 1)
    assert rig.stream.open_shards == 2


def test_a_closed_shard_is_not_changed_again_and_an_unknown_one_is_not_found():
    rig = StreamRig()
    rig.split(shard(0), HALF)
    with pytest.raises(InvalidParameter, match="already been merged or split"):
        rig.split(shard(0), HALF)
    with pytest.raises(InvalidParameter, match="already been merged or split"):
        rig.merge(shard(0), shard(1))
    for text in (shard(3), "shardId-x", "", "shardId-" + "0" * 13, "shardId-٠"):
        with pytest.raises(NotFound):
            rig.split(text, HALF)


def test_only_neighbours_are_merged():
    rig = StreamRig(3)
    for pair in ((0, 2), (2, 0), (1, 1)):
        with pytest.raises(InvalidParameter, match="not an adjacent pair"):
            rig.merge(shard(pair[0]), shard(pair[1]))


def test_an_on_demand_stream_is_not_resharded_by_hand():
    rig = StreamRig(2, spec=StreamSpec(mode="ON_DEMAND"))
    for call in (
        lambda: rig.split(shard(0), 5000),
        lambda: rig.merge(shard(0), shard(1)),
        lambda: rig.count(3),
    ):
        with pytest.raises(InvalidParameter, match="On-Demand mode"):
            call()


def test_changes_happen_when_updating_ends():
    rig = StreamRig(1, SLOW)
    rig.advance(500)
    rig.put("before")
    rig.split(shard(0), HALF)
    assert rig.status == "UPDATING" and rig.stream.open_shards == 1
    rig.put("while")
    with pytest.raises(Conflict, match="instead in state UPDATING"):
        rig.count(2)
    rig.restart()
    rig.advance(499)
    assert rig.status == "UPDATING"
    rig.advance(1)
    assert rig.status == "ACTIVE" and rig.stream.open_shards == 2
    assert [r.partition_key for r in rig.records(0)] == ["before", "while"]
    assert rig.shard(0).record.closed_ms == rig.now_ms


@pytest.mark.parametrize("quotas", [Quotas(), SLOW])
def test_a_stream_that_had_all_its_shards_is_changed_no_more(quotas):
    rig = StreamRig(2, quotas)
    rig.advance(500)
    rig.stream._next_ordinal = ORDINAL_MAX
    before = durable_state(rig.stream)
    with pytest.raises(LimitExceeded):
        rig.split(shard(0), 5000)
    with pytest.raises(LimitExceeded):
        rig.count(4)
    assert durable_state(rig.stream) == before and rig.status == "ACTIVE"
    rig.merge(shard(0), shard(1))
    rig.advance(500)
    assert rig.open_ids() == [shard(ORDINAL_MAX)]


def test_a_closed_shard_stays_for_all_its_records_though_the_clock_went_back():
    rig = StreamRig()
    rig.put("a")
    arrived_ms = rig.now_ms
    rig.now_ms -= 3_600_000  # after a restart
    rig.split(shard(0), 1000)
    assert rig.shard(0).record.closed_ms == arrived_ms
    assert [s.created_ms for s in rig.stream.children(rig.shard(0))] == [arrived_ms] * 2
    rig.advance(3_600_000 + DAY_MS)
    assert shard(0) in [s.id for s in rig.stream.shards(rig.now_ms)]
    assert len(rig.records(0)) == 1
    rig.advance(1)
    assert shard(0) not in [s.id for s in rig.stream.shards(rig.now_ms)]
