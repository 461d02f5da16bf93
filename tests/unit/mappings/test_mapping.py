"""The machine of a mapping: its states, its positions, and that its rows are all of it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from eventcore.errors import Conflict
from eventcore.mappings.mapping import IN_USE, EventSourceMapping
from eventcore.mappings.mapping_counts import METRIC_NAMES, MappingCounts
from eventcore.mappings.mapping_spec import (
    NO_RECORDS_PROCESSED,
    RESULT_OK,
    BatchRange,
    LanePosition,
    MappingRecord,
    MappingSpec,
    WindowState,
)
from eventcore.mappings.mapping_states import (
    AT_REST,
    DELETING,
    NO_STATE,
    STARTED,
    STOPPED,
    TRANSITIONS,
)
from eventcore.outcome import Deliver, Mutation, Parcel
from eventcore.testing import SeededIds

ARN = "arn:aws:lambda:us-east-1:000000000000:event-source-mapping:u-u-i-d"
STREAM = "arn:aws:kinesis:us-east-1:000000000000:stream/orders"
FUNCTION = "arn:aws:lambda:us-east-1:000000000000:function:bill"
SPEC = MappingSpec(source_arn=STREAM, function_arn=FUNCTION, starting_position="LATEST")
QUEUE_SPEC = MappingSpec(
    source_arn="arn:aws:sqs:us-east-1:000000000000:orders", function_arn=FUNCTION
)
START = 1_000_000


class World:
    """A mapping and its rows."""

    def __init__(self, spec: MappingSpec = SPEC, is_enabled: bool = True) -> None:
        self.mapping = EventSourceMapping(ARN, SeededIds(1))
        self.rows: dict[int, bytes] = {}
        self.written = 0
        self.take(self.mapping.create(spec, is_enabled, START, (7, 3)))

    def take(self, outcome: Any) -> Any:
        for mutation in outcome.mutations:
            if mutation.value is None:
                self.rows.pop(mutation.key, None)
            else:
                self.rows[mutation.key] = mutation.value
        self.written = len(outcome.mutations)
        self.mapping.check()
        return outcome.value

    def reloaded(self) -> EventSourceMapping:
        again = EventSourceMapping(ARN, SeededIds(1))
        for key, value in sorted(self.rows.items()):
            again.apply(Mutation(key, value))
        again.check()
        return again

    def settled(self, now_ms: int = START) -> str:
        self.take(self.mapping.settled(now_ms))
        return self.mapping.state


def at(ordinal: int, lane: int, lanes: int, number: int, **members: Any) -> LanePosition:
    return LanePosition(ordinal, lane, lanes, number, **members)


# States


def test_a_mapping_is_creating_until_it_is_settled():
    world = World()
    assert world.mapping.uuid == "u-u-i-d"
    assert (world.mapping.state, world.mapping.record.result) == ("Creating", NO_RECORDS_PROCESSED)
    assert world.settled(START + 5) == "Enabled"
    assert world.mapping.record.modified_ms == START + 5
    assert world.mapping.record.created_ms == START
    assert World(is_enabled=False).settled() == "Disabled"


def test_settings_are_updated_in_either_state():
    world = World()
    world.settled()
    spec = msgspec.structs.replace(SPEC, batch_size=5)
    world.take(world.mapping.update(spec, None, START + 1))
    assert (world.mapping.state, world.mapping.spec.batch_size) == ("Updating", 5)
    assert world.mapping.record.epoch == 2
    assert world.settled() == "Enabled"
    world.take(world.mapping.update(spec, False, START + 2))
    assert (world.mapping.state, world.mapping.is_running) == ("Disabling", False)
    assert world.settled() == "Disabled"
    world.take(world.mapping.update(spec, False, START + 3))
    assert world.mapping.state == "Updating"
    assert world.settled() == "Disabled"
    world.take(world.mapping.update(spec, True, START + 4))
    assert (world.mapping.state, world.mapping.is_running) == ("Enabling", True)
    assert world.settled() == "Enabled"
    assert world.mapping.record.epoch == 2


def test_a_mapping_that_is_in_use_refuses_changes_and_stays_as_it_is():
    for changing in ("create", "update", "disable", "delete"):
        world = World()
        if changing != "create":
            world.settled()
        if changing == "update":
            world.take(world.mapping.update(SPEC, None, START))
        if changing == "disable":
            world.take(world.mapping.update(SPEC, False, START))
        if changing == "delete":
            world.take(world.mapping.begin_delete(START))
        before = world.mapping.record
        with pytest.raises(Conflict) as refused:
            world.mapping.update(SPEC, True, START)
        assert refused.value.reason == IN_USE
        with pytest.raises(Conflict):
            world.mapping.begin_delete(START)
        assert world.mapping.record is before


def test_a_deleted_mapping_does_not_run_and_is_never_settled():
    world = World()
    world.settled()
    world.take(world.mapping.begin_delete(START))
    assert (world.mapping.state, world.mapping.is_running) == ("Deleting", False)
    assert world.settled() == "Deleting"


def test_settling_what_is_at_rest_writes_nothing():
    world = World()
    world.settled()
    world.settled(START + 99)
    assert world.written == 0
    assert world.mapping.record.modified_ms == START


def test_every_state_is_reached_and_leads_to_rest_or_to_the_end():
    states = set(TRANSITIONS.values())
    assert states == {state for state, _ in TRANSITIONS} - {NO_STATE} | {DELETING}
    for state in states - AT_REST - {DELETING}:
        ends = {TRANSITIONS.get((state, trigger)) for trigger in (STARTED, STOPPED)} - {None}
        assert ends
        assert ends <= AT_REST, state


def test_tags_are_replaced_without_a_change_of_state():
    world = World()
    world.settled()
    world.take(world.mapping.set_tags({"a": "1"}))
    assert (world.mapping.spec.tags, world.mapping.state) == ({"a": "1"}, "Enabled")


def test_a_result_is_written_when_it_is_new():
    world = World()
    world.take(world.mapping.note_result(RESULT_OK))
    assert (world.written, world.mapping.record.result) == (1, "OK")
    world.take(world.mapping.note_result(RESULT_OK))
    assert world.written == 0


# Positions


def test_a_settled_lane_writes_its_own_row_and_the_result_once():
    world = World()
    world.take(world.mapping.settle([at(0, 0, 1, 5)], result=RESULT_OK))
    assert world.written == 2
    world.take(world.mapping.settle([at(0, 0, 1, 9)], result=RESULT_OK))
    assert world.written == 1
    world.take(world.mapping.settle([at(0, 0, 1, 9)], result=RESULT_OK))
    assert world.written == 0
    assert world.mapping.position(0, 0) == at(0, 0, 1, 9)
    assert world.mapping.position(0, 1) is None
    assert world.mapping.position(1, 0) is None


def test_effects_are_of_the_same_outcome_as_the_position():
    world = World()
    effect = Deliver("arn:aws:sqs:us-east-1:000000000000:q", Parcel("{}", ARN))
    outcome = world.mapping.settle([at(0, 0, 1, 5)], (effect,))
    assert outcome.effects == (effect,)
    assert len(outcome.mutations) == 1


def test_positions_are_told_by_shard_and_lane():
    world = World()
    world.take(world.mapping.settle([at(2, 1, 2, 1), at(0, 0, 1, 2), at(2, 0, 2, 3)]))
    told = [(one.ordinal, one.lane) for one in world.mapping.positions()]
    assert told == [(0, 0), (2, 0), (2, 1)]


def test_another_number_of_lanes_ends_the_positions_of_the_shard():
    world = World()
    world.take(world.mapping.settle([at(0, lane, 4, lane) for lane in (1, 2, 3)]))
    world.take(world.mapping.settle([at(1, 0, 4, 9)]))
    world.take(world.mapping.settle([at(0, 1, 2, 7), at(0, 0, 2, 7)]))
    assert world.mapping.positions() == [at(0, 0, 2, 7), at(0, 1, 2, 7), at(1, 0, 4, 9)]
    assert world.reloaded().positions() == world.mapping.positions()


def test_a_shard_is_forgotten_with_all_its_lanes():
    world = World()
    world.take(world.mapping.settle([at(0, 0, 2, 1), at(0, 1, 2, 1), at(1, 0, 2, 1)]))
    world.take(world.mapping.forget_shard(0))
    assert world.mapping.positions() == [at(1, 0, 2, 1)]
    world.take(world.mapping.forget_shard(0))
    assert world.written == 0


def test_a_new_stream_of_the_name_has_no_positions():
    world = World()
    world.take(world.mapping.settle([at(0, 0, 1, 5), at(1, 0, 1, 5)], result=RESULT_OK))
    world.take(world.mapping.start_over((99, 7)))
    assert world.mapping.positions() == []
    assert world.mapping.record.is_anew
    assert world.mapping.record.is_of_stream((99, 7))
    assert not world.mapping.record.is_of_stream((99, 8)), "of the same millisecond"
    assert world.mapping.record.result == NO_RECORDS_PROCESSED


# Rows


def test_the_rows_are_all_of_a_mapping():
    world = World()
    world.settled()
    position = at(
        (1 << 20) - 1,
        9,
        10,
        (1 << 42) - 1,
        pending=(BatchRange(1, 5, 2), BatchRange(6, 9)),
        request_id="r",
        failed_ms=5,
        window=WindowState(60_000, '{"n":1}'),
    )
    world.take(world.mapping.settle([position, at(0, 0, 1, 3, is_end=True)], result=RESULT_OK))
    again = world.reloaded()
    assert again.record == world.mapping.record
    assert again.positions() == world.mapping.positions()
    assert again.position((1 << 20) - 1, 9) == position


def test_a_mapping_of_a_queue_has_no_positions():
    world = World(QUEUE_SPEC)
    assert world.mapping.positions() == []
    assert world.mapping.next_deadline() is None
    assert world.mapping.tick(START, 10).mutations == ()


def test_a_row_without_the_latest_members_is_read():
    world = World()
    (key,) = world.rows
    old = msgspec.msgpack.encode([*msgspec.msgpack.decode(world.rows[key])[:4]])
    mapping = EventSourceMapping(ARN, SeededIds(1))
    mapping.apply(Mutation(key, old))
    assert mapping.record == MappingRecord(SPEC, "Creating", START, START)
    assert mapping.record.is_of_stream((0, 5)), "its component was not noted then"


# Settings and counts


def test_the_resource_of_a_fan_out_consumer_is_its_stream():
    spec = msgspec.structs.replace(SPEC, source_arn=STREAM + "/consumer/c:1700000000")
    assert (spec.resource_arn, spec.is_queue) == (STREAM, False)
    assert (QUEUE_SPEC.resource_arn, QUEUE_SPEC.is_queue) == (QUEUE_SPEC.source_arn, True)


def test_counts_have_aws_names():
    counts = MappingCounts()
    counts.polled += 3
    counts.delivered_on_failure += 1
    metrics = counts.as_metrics()
    assert metrics["PolledEventCount"] == 3
    assert metrics["OnFailureDestinationDeliveredEventCount"] == 1
    assert set(METRIC_NAMES) == set(MappingCounts.__slots__)
