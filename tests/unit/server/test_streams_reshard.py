from __future__ import annotations

import argparse
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventcore.errors import Conflict, InvalidParameter, NotFound
from eventcore.server.commands import streams_reshard
from eventcore.server.commands.streams_calls import Shard, StreamSummary
from eventcore.server.commands.streams_reshard import _counts, _plan, _wait
from eventcore.streams.hash_range import HASH_KEY_MAX, uniform_ranges


def shards(count):
    return [
        Shard(f"shardId-{at:012}", (), *hashes, is_open=True)
        for at, hashes in enumerate(uniform_ranges(count))
    ]


def plan(there, mode="PROVISIONED", **options):
    arguments = argparse.Namespace(shards=None, split=None, at=None, merge=None)
    vars(arguments).update(options)
    return _plan(StreamSummary("s", "arn", "ACTIVE", mode, len(there), 0), there, arguments)


def covers_all(after):
    joined = all(one.last_hash + 1 == two.first_hash for one, two in pairwise(after))
    return joined and (after[0].first_hash, after[-1].last_hash) == (0, HASH_KEY_MAX)


@pytest.mark.parametrize(
    ("now", "wanted", "steps"),
    [
        (3, 3, []),
        (3, 5, [(3, 5)]),
        (3, 20, [(3, 6), (6, 12), (12, 20)]),
        (20, 3, [(20, 10), (10, 5), (5, 3)]),
        (1, 2, [(1, 2)]),
        (3, 1, [(3, 2), (2, 1)]),
    ],
)
def test_a_step_at_most_doubles_or_halves(now, wanted, steps):
    assert _counts(now, wanted) == steps


@given(st.integers(1, 10_000), st.integers(1, 10_000))
def test_every_count_is_reached_by_steps_that_are_allowed(now, wanted):
    steps = _counts(now, wanted)
    assert all(after <= 2 * before and 2 * after >= before for before, after in steps)
    assert [now, *(after for _, after in steps)][-1] == wanted


@given(st.integers(1, 40), st.integers(1, 40))
def test_a_plan_covers_all_hash_keys_and_keeps_what_fits(now, wanted):
    made = plan(shards(now), shards=wanted)
    assert covers_all(made.after)
    assert len(made.after) == wanted
    assert bool(made.steps) == (now != wanted)
    kept = [shard for shard in made.after if shard.id != "new"]
    assert all(shard in made.before for shard in kept)


def test_a_split_is_in_the_middle_or_at_a_key():
    there = shards(2)
    made = plan(there, split="1")
    assert [shard.id for shard in made.after] == [there[0].id, "new", "new"]
    assert covers_all(made.after)
    sizes = [shard.last_hash - shard.first_hash for shard in made.after[1:]]
    assert sizes[0] == sizes[1]
    assert plan(there, split="0", at="1").after[0].last_hash == 0
    assert made.steps[0].text.startswith("split shardId-000000000001 at ")


@pytest.mark.parametrize("at", ["0", str(HASH_KEY_MAX)])
def test_a_split_must_leave_two_halves(at):
    with pytest.raises(InvalidParameter, match="--at must be"):
        plan(shards(2), split="0", at=at)
    narrow = Shard("shardId-000000000000", (), 5, 5, is_open=True)
    with pytest.raises(InvalidParameter, match="one hash key"):
        plan([narrow], split="0")


def test_a_merge_is_of_neighbours_in_either_order():
    there = shards(3)
    for pair in (("1", "2"), ("2", "1")):
        made = plan(there, merge=pair)
        assert [shard.id for shard in made.after] == [there[0].id, "new"]
        assert covers_all(made.after)
    for pair in (("0", "2"), ("0", "0")):
        with pytest.raises(InvalidParameter, match="not side by side"):
            plan(there, merge=pair)


def test_only_open_shards_that_are_there_are_changed():
    for options in ({"split": "7"}, {"merge": ("0", "7")}):
        with pytest.raises(NotFound, match="shardId-000000000007"):
            plan(shards(2), **options)


def test_an_on_demand_stream_is_left_alone():
    with pytest.raises(Conflict, match="on-demand"):
        plan(shards(2), mode="ON_DEMAND", shards=4)


class Statuses:
    """A stream that is asked for its state, again and again."""

    def __init__(self, *statuses):
        self.statuses = list(statuses)

    async def describe(self):
        status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        return StreamSummary("s", "arn", status, "PROVISIONED", 1, 0)


async def test_it_waits_until_the_stream_is_active(monkeypatch):
    monkeypatch.setattr(streams_reshard, "POLL_FIRST_S", 0.0)
    stream: Any = Statuses("CREATING", "UPDATING", "UPDATING", "ACTIVE")
    arguments = argparse.Namespace(stream="s", timeout=60.0)
    assert (await _wait(stream, arguments)).status == "ACTIVE"
    assert stream.statuses == ["ACTIVE"]
    deleted: Any = Statuses("DELETING")
    busy: Any = Statuses("UPDATING")
    with pytest.raises(Conflict, match="it is DELETING"):
        await _wait(deleted, arguments)
    with pytest.raises(Conflict, match=r"not ACTIVE after 0\.01 seconds"):
        await _wait(busy, argparse.Namespace(stream="s", timeout=0.01))
