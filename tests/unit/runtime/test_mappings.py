"""Event source mappings in the engine: their operations, their states, and the lives of pollers."""

from __future__ import annotations

import asyncio

import pytest

from eventcore.errors import (
    AlreadyExists,
    Conflict,
    InvalidParameter,
    InvalidPattern,
    NotFound,
)
from eventcore.limits import Quotas
from eventcore.mappings.mapping_spec import (
    NO_RECORDS_PROCESSED,
    PROBLEM_NO_FUNCTION,
    PROBLEM_NO_QUEUE,
    PROBLEM_NO_STREAM,
    RESULT_OK,
    LanePosition,
)
from eventcore.outcome import Deliver, Parcel
from eventcore.runtime.mappings import FAULT_PAUSE_MS, PAUSE_MS, STOP_MS
from tests.unit.runtime.mapping_rig import (
    ACCOUNT,
    REGION,
    BrokenPoller,
    FakePoller,
    MappingRig,
    NoInvoker,
    function,
    of_queue,
    of_stream,
    queue,
    stream,
)
from tests.unit.runtime.rig import turn


class SlowPoller(FakePoller):
    is_slow = True


class FollowingPoller(FakePoller):
    is_following = True


class StubbornPoller(FakePoller):
    """Ends only when `end` is called, in whatever time."""

    async def stop(self, drain_ms):
        self.drains.append(drain_ms)
        await self._is_ended.wait()
        self.is_running = False


async def rig_with(*specs, **options):
    rig = await MappingRig(**options).prepared()
    return rig, *[await rig.mapped(spec) for spec in specs]


# Operations


async def test_a_mapping_is_creating_and_then_enabled_when_its_poller_runs():
    rig = await MappingRig().prepared()
    uuid = rig.map(of_queue())
    assert rig.state(uuid) == "Creating"
    assert rig.pollers == []
    await rig.settle()
    assert rig.state(uuid) == "Enabled"
    (poller,) = rig.running
    assert (poller.arn.rpartition(":")[2], poller.is_queue) == (uuid, True)


async def test_a_mapping_that_is_not_enabled_has_no_poller():
    rig = await MappingRig().prepared()
    uuid = await rig.mapped(of_stream(), is_enabled=False)
    assert (rig.state(uuid), rig.pollers) == ("Disabled", [])


async def test_mappings_are_found_and_listed_by_account_and_region():
    rig, first, second = await rig_with(of_queue(), of_stream())
    assert rig.mapping(first).spec == of_queue()
    listed = rig.mappings.all_of(ACCOUNT, REGION)
    assert {mapping.uuid for mapping in listed} == {first, second}
    assert rig.mappings.all_of(ACCOUNT, "eu-west-1") == []
    with pytest.raises(NotFound) as missing:
        rig.mapping("no-such-uuid")
    assert (missing.value.kind, missing.value.name) == ("mapping", "no-such-uuid")


@pytest.mark.parametrize(
    ("spec", "error", "kind"),
    [
        (of_queue("missing"), NotFound, "queue"),
        (of_stream("missing"), NotFound, "stream"),
        (of_queue(to="missing"), NotFound, "function"),
        (of_queue(to="bill:live"), NotFound, "alias"),
        (of_queue(to="bill:7"), NotFound, "function version"),
        (of_queue(batch_size=0), InvalidParameter, None),
        (of_queue(filters=("{",)), InvalidPattern, None),
    ],
)
async def test_what_is_refused_changes_nothing(spec, error, kind):
    rig = await MappingRig().prepared()
    with pytest.raises(error) as refused:
        rig.map(spec)
    assert getattr(refused.value, "kind", None) == kind
    await rig.settle()
    assert rig.mappings.all_of(ACCOUNT, REGION) == []
    assert rig.pollers == []


async def test_a_source_and_a_function_have_one_mapping():
    rig, uuid = await rig_with(of_queue())
    with pytest.raises(AlreadyExists) as refused:
        rig.map(of_queue(batch_size=5))
    assert (refused.value.kind, refused.value.name) == ("mapping", uuid)
    other = await rig.mapped(of_queue(to="other"))
    with pytest.raises(AlreadyExists):
        rig.update(other, function_arn=function("bill"))
    assert rig.mapping(other).spec == of_queue(to="other")


async def test_a_visibility_timeout_below_the_functions_timeout_is_refused_as_aws_does():
    rig = await MappingRig().prepared()
    rig.make_function("slow", timeout_ms=31_000)
    await rig.settle()
    with pytest.raises(InvalidParameter) as refused:
        rig.map(of_queue(to="slow"))
    assert refused.value.reason == (
        "Queue visibility timeout: 30 seconds is less than Function timeout: 31 seconds"
    )


async def test_a_fan_out_consumer_must_be_registered():
    rig = await MappingRig().prepared()
    with pytest.raises(NotFound):
        rig.map(of_stream("clicks/consumer/c:1700000000"))
    rig.request(lambda e: e.streams.register_consumer(e.streams.find(stream("clicks")), "c"))
    await rig.settle()
    arn = rig.engine.streams.find(stream("clicks")).fan_out.find("c").arn
    uuid = await rig.mapped(of_stream(arn.partition("stream/")[2]))
    assert rig.mapping(uuid).spec.resource_arn == stream("clicks")
    assert len(rig.running) == 1


# Updates


async def test_an_update_ends_the_poller_and_begins_one_with_the_new_settings():
    rig, uuid = await rig_with(of_queue())
    rig.update(uuid, batch_size=5)
    assert rig.state(uuid) == "Updating"
    await rig.settle()
    assert rig.state(uuid) == "Enabled"
    first, second = rig.pollers
    assert (first.is_running, first.drains) == (False, [STOP_MS])
    assert (second.is_running, second.spec.batch_size) == (True, 5)


async def test_a_poller_that_follows_an_update_is_not_ended():
    rig = await MappingRig().prepared()
    rig.poller_kind = FollowingPoller
    uuid = await rig.mapped(of_queue())
    rig.update(uuid, batch_size=5, function_arn=function("other"))
    await rig.settle()
    (poller,) = rig.pollers
    assert poller.has_followed and poller.is_running and not poller.drains
    assert rig.state(uuid) == "Enabled"
    rig.update(uuid, is_enabled=False)
    await rig.settle()
    assert not poller.is_running, "it does not follow to an end"


async def test_an_update_that_changes_nothing_for_the_poller_lets_it_run():
    rig, uuid = await rig_with(of_queue())
    rig.update(uuid, metrics=("EventCount",))
    await rig.settle()
    rig.request(lambda e: e.mappings.set_tags(e.mappings.find(uuid), {"a": "1"}))
    await rig.settle()
    assert rig.state(uuid) == "Enabled"
    assert len(rig.pollers) == 1
    assert rig.mapping(uuid).spec.tags == {"a": "1"}


async def test_disabled_and_enabled_again():
    rig, uuid = await rig_with(of_queue())
    rig.update(uuid, is_enabled=False)
    assert rig.state(uuid) == "Disabling"
    await rig.settle()
    assert (rig.state(uuid), rig.running) == ("Disabled", [])
    rig.update(uuid, is_enabled=True)
    assert rig.state(uuid) == "Enabling"
    await rig.settle()
    assert (rig.state(uuid), len(rig.running)) == ("Enabled", 1)


async def test_the_source_of_a_mapping_stays():
    rig, uuid = await rig_with(of_queue())
    with pytest.raises(InvalidParameter):
        rig.update(uuid, source_arn=queue("elsewhere"))
    assert rig.state(uuid) == "Enabled"


async def test_a_mapping_is_in_use_while_its_poller_ends():
    rig = await MappingRig().prepared()
    rig.poller_kind = SlowPoller
    uuid = await rig.mapped(of_queue())
    rig.update(uuid, is_enabled=False)
    await rig.settle()
    assert rig.state(uuid) == "Disabling"
    for change in (lambda: rig.update(uuid, batch_size=3), lambda: rig.unmap(uuid)):
        with pytest.raises(Conflict) as refused:
            change()
        assert refused.value.reason == "in use"
    rig.pollers[0].end()
    await rig.settle()
    assert rig.state(uuid) == "Disabled"


async def test_a_deleted_mapping_is_gone_when_its_poller_has_ended():
    rig = await MappingRig().prepared()
    rig.poller_kind = SlowPoller
    uuid = await rig.mapped(of_queue())
    counts = rig.mappings.counts(rig.mapping(uuid).arn)
    counts.polled += 1
    rig.unmap(uuid)
    await rig.settle()
    assert rig.state(uuid) == "Deleting"
    arn = rig.mapping(uuid).arn
    rig.pollers[0].end()
    await rig.settle()
    with pytest.raises(NotFound):
        rig.mapping(uuid)
    assert rig.mappings.counts(arn).polled == 0
    again = await rig.mapped(of_queue())
    assert again != uuid


async def test_a_poller_that_fails_to_end_is_replaced_all_the_same():
    rig = await MappingRig().prepared()
    rig.poller_kind = BrokenPoller
    uuid = await rig.mapped(of_queue())
    rig.update(uuid, batch_size=4)
    await rig.settle()
    assert (rig.state(uuid), len(rig.running)) == ("Enabled", 1)


async def test_a_poller_that_can_not_be_made_is_tried_again(monkeypatch):
    rig = await MappingRig().prepared()
    attempts = []

    def make(arn, is_queue):
        attempts.append(arn)
        if len(attempts) == 1:
            raise RuntimeError("a bug")
        return FakePoller(rig, arn, is_queue)

    monkeypatch.setattr(rig.mappings, "_make_poller", make)
    uuid = await rig.mapped(of_queue())
    assert rig.state(uuid) == "Creating"
    await rig.run_for(FAULT_PAUSE_MS)
    assert (rig.state(uuid), len(attempts)) == ("Enabled", 2)


# Sources and functions that come and go


async def test_a_queue_that_goes_pauses_its_mapping_and_one_that_comes_has_it_go_on():
    rig, uuid = await rig_with(of_queue())
    rig.drop("orders")
    await rig.settle()
    assert rig.running == []
    assert (rig.state(uuid), rig.mapping(uuid).record.result) == ("Enabled", PROBLEM_NO_QUEUE)
    rig.create("orders")
    await rig.settle()
    assert len(rig.running) == 1
    assert rig.mapping(uuid).record.result == NO_RECORDS_PROCESSED


async def test_a_function_that_goes_and_comes_again():
    rig, uuid = await rig_with(of_queue())
    rig.drop_function("bill")
    await rig.settle()
    assert rig.running == []
    assert rig.mapping(uuid).record.result == PROBLEM_NO_FUNCTION
    rig.make_function("bill")
    await rig.settle()
    assert len(rig.running) == 1


async def test_a_function_that_was_replaced_within_one_commit_has_its_poller_run_on():
    rig, _ = await rig_with(of_queue())
    rig.drop_function("bill")
    await turn()
    rig.make_function("bill")
    await rig.settle()
    assert [poller.is_running for poller in rig.pollers] == [True]


async def test_a_mapping_follows_the_function_that_it_has_now():
    rig = await MappingRig().prepared()
    uuid = rig.map(of_queue())
    with pytest.raises(Conflict):  # it is still Creating
        rig.update(uuid, function_arn=function("other"))
    await rig.settle()
    rig.drop_function("bill")
    await rig.settle()
    assert rig.running == []
    rig.make_function("bill")
    await rig.settle()
    rig.update(uuid, function_arn=function("other"))
    await rig.settle()
    rig.drop_function("bill")
    await rig.settle()
    assert len(rig.running) == 1
    rig.drop_function("other")
    await rig.settle()
    assert rig.running == []
    rig.unmap(uuid)
    await rig.settle()
    assert rig.mappings._by_resource == {}


async def test_a_stream_that_is_in_the_making_has_a_mapping_and_one_that_ends_has_it_to_its_end():
    rig = await MappingRig(quotas=Quotas(stream_transition_ms=500)).prepared()
    uuid = await rig.mapped(of_stream())
    assert (rig.state(uuid), len(rig.running)) == ("Enabled", 1)
    await rig.run_for(1_000)
    rig.drop_stream("clicks")
    await rig.settle()
    assert len(rig.running) == 1
    await rig.run_for(1_000)
    assert (rig.running, rig.mapping(uuid).record.result) == ([], PROBLEM_NO_STREAM)


async def test_a_new_stream_of_the_name_is_begun_anew():
    rig, uuid = await rig_with(of_stream())
    arn = rig.mapping(uuid).arn
    created_ms = rig.mapping(uuid).record.stream_created_ms
    assert created_ms == rig.clock.now_ms()
    rig.request(lambda e: e.mappings.settle(arn, [LanePosition(0, 0, 1, 9)], result=RESULT_OK))
    await rig.run_for(1_000)
    rig.drop_stream("clicks")
    await rig.settle()
    assert rig.mapping(uuid).record.result == PROBLEM_NO_STREAM
    assert len(rig.mapping(uuid).positions()) == 1
    rig.make_stream("clicks")
    await rig.settle()
    assert len(rig.running) == 1
    assert rig.mapping(uuid).positions() == []
    assert rig.mapping(uuid).record.stream_created_ms == created_ms + 1_000


async def test_a_stream_that_was_replaced_within_one_turn_is_seen_to_be_another():
    rig, uuid = await rig_with(of_stream())
    rig.clock.advance(1)
    rig.drop_stream("clicks")
    rig.make_stream("clicks")
    await rig.settle()
    assert [poller.is_running for poller in rig.pollers] == [False, True]
    assert rig.mapping(uuid).record.result == NO_RECORDS_PROCESSED


async def test_a_mapping_without_its_source_can_be_changed_and_deleted():
    rig, uuid = await rig_with(of_queue())
    rig.drop("orders")
    rig.drop_function("bill")
    await rig.settle()
    rig.update(uuid, batch_size=2)
    await rig.settle()
    assert (rig.state(uuid), rig.mapping(uuid).spec.batch_size) == ("Enabled", 2)
    rig.unmap(uuid)
    await rig.settle()
    assert rig.mappings.all_of(ACCOUNT, REGION) == []


async def test_a_function_that_nobody_can_run_has_no_poller_until_it_is_registered():
    rig, uuid = await rig_with(of_queue(), registered=())
    assert (rig.state(uuid), rig.pollers) == ("Enabled", [])
    rig.engine.functions.register(function("bill"), NoInvoker())
    rig.mappings.noticed(function("bill"))
    await rig.settle()
    assert len(rig.running) == 1


async def test_functions_are_paused_until_they_are_noticed_again():
    rig, uuid, other = await rig_with(of_queue(), of_stream(to="other"))
    await rig.mappings.pause_functions([function("bill")], 500)
    await rig.settle()
    (running,) = rig.running
    assert running.arn.endswith(other)
    assert [poller.drains for poller in rig.pollers if poller.arn.endswith(uuid)] == [[500]]
    assert rig.state(uuid) == "Enabled"
    rig.create("more")
    await rig.settle()
    assert len(rig.running) == 1
    rig.mappings.noticed(function("bill"))
    await rig.settle()
    assert len(rig.running) == 2


async def test_a_pause_cuts_short_a_poller_that_is_ending():
    rig = await MappingRig().prepared()
    rig.poller_kind = SlowPoller
    uuid = await rig.mapped(of_queue())
    rig.update(uuid, batch_size=3)
    await rig.settle()
    assert rig.pollers[0].is_running
    await rig.mappings.pause_functions([function("bill")], 500)
    await rig.settle()
    assert rig.pollers[0].drains == [STOP_MS, 500]
    assert (rig.state(uuid), rig.running) == ("Enabled", [])


async def test_a_pause_before_a_new_mapping_was_looked_at_leaves_it_at_rest():
    rig = await MappingRig().prepared()
    uuid = rig.map(of_queue())
    await rig.mappings.pause_functions([function("bill")], 500)
    assert rig.state(uuid) == "Creating"
    await rig.settle()
    assert (rig.state(uuid), rig.pollers) == ("Enabled", [])


async def test_what_happens_during_a_pause_ends_no_poller_twice():
    rig = await MappingRig().prepared()
    rig.poller_kind = StubbornPoller
    uuid = await rig.mapped(of_queue())
    pause = asyncio.ensure_future(rig.mappings.pause_functions([function("bill")], 500))
    await turn()
    rig.mappings.noticed(queue("orders"))
    await rig.settle()
    assert not pause.done()
    rig.pollers[0].end()
    await rig.settle()
    assert pause.done()
    assert (rig.pollers[0].drains, rig.state(uuid), rig.running) == ([500], "Enabled", [])


async def test_a_store_that_is_overloaded_is_asked_again(monkeypatch):
    rig = await MappingRig().prepared()
    uuid = rig.map(of_queue())
    with monkeypatch.context() as patch:
        patch.setattr(type(rig.engine.host), "is_full", True)
        await rig.run_for(3 * PAUSE_MS)
        assert rig.pollers == []
    await rig.run_for(PAUSE_MS)
    assert (rig.state(uuid), len(rig.running)) == ("Enabled", 1)


# Positions and results


async def test_positions_and_their_effects_are_settled_in_one_transaction():
    rig, uuid = await rig_with(of_stream())
    arn = rig.mapping(uuid).arn
    effect = Deliver(queue("orders"), Parcel("failed", arn))
    appends = rig.store.appends
    rig.request(lambda e: e.mappings.settle(arn, [LanePosition(0, 0, 1, 9)], (effect,)))
    await rig.settle()
    assert rig.store.appends == appends + 1
    assert rig.bodies("orders") == ["failed"]
    again = await rig.restarted()
    assert again.mapping(uuid).positions() == [LanePosition(0, 0, 1, 9)]


async def test_a_mapping_that_is_gone_can_not_be_settled():
    rig = await MappingRig().prepared()
    rig.engine.begin()
    with pytest.raises(NotFound):
        rig.mappings.settle("arn:aws:lambda:us-east-1:000000000000:event-source-mapping:x", [])
    rig.mappings.note_result("arn:aws:lambda:us-east-1:000000000000:event-source-mapping:x", "OK")
    await rig.settle()
    assert rig.mappings.all_of(ACCOUNT, REGION) == []


async def test_a_result_is_noted_once():
    rig, uuid = await rig_with(of_queue())
    arn = rig.mapping(uuid).arn
    appends = rig.store.appends
    for _ in range(3):
        rig.request(lambda e: e.mappings.note_result(arn, RESULT_OK))
        await rig.settle()
    assert rig.mapping(uuid).record.result == RESULT_OK
    assert rig.store.appends == appends + 1


# Restarts and failed commits


async def test_after_a_restart_enabled_mappings_run_and_others_do_not():
    rig, enabled, disabled = await rig_with(of_queue(), of_stream())
    rig.update(disabled, is_enabled=False)
    await rig.settle()
    again = await rig.restarted()
    assert [poller.arn.rpartition(":")[2] for poller in again.running] == [enabled]
    assert (again.state(enabled), again.state(disabled)) == ("Enabled", "Disabled")


@pytest.mark.parametrize(
    ("change", "state"),
    [
        (lambda rig, uuid: rig.update(uuid, batch_size=2), "Enabled"),
        (lambda rig, uuid: rig.update(uuid, is_enabled=False), "Disabled"),
        (lambda rig, uuid: rig.unmap(uuid), None),
    ],
)
async def test_a_restart_ends_what_was_begun(change, state):
    rig, uuid = await rig_with(of_queue())
    change(rig, uuid)
    await turn()
    again = await rig.restarted(is_durable=True)
    await again.settle()
    if state is None:
        assert again.mappings.all_of(ACCOUNT, REGION) == []
    else:
        assert again.state(uuid) == state
    assert len(again.running) == (state == "Enabled")


async def test_a_mapping_whose_creation_was_lost_never_runs():
    rig = await MappingRig().prepared()
    rig.map(of_queue())
    await turn()
    rig.store.fail(is_durable=False)
    await rig.run_for(2 * PAUSE_MS)
    assert rig.pollers == []
    assert rig.mappings.all_of(ACCOUNT, REGION) == []
    uuid = await rig.mapped(of_queue())
    assert rig.state(uuid) == "Enabled"


async def test_pollers_run_on_over_a_failed_commit():
    rig, uuid = await rig_with(of_queue())
    rig.send("orders", "x")
    await turn()
    rig.store.fail(is_durable=False)
    await rig.run_for(2 * PAUSE_MS)
    assert rig.state(uuid) == "Enabled"
    assert [poller.is_running for poller in rig.pollers] == [True]


async def test_a_lost_update_is_taken_back():
    rig, uuid = await rig_with(of_queue())
    rig.update(uuid, is_enabled=False)
    await turn()
    rig.store.fail(is_durable=False)
    await rig.run_for(2 * PAUSE_MS)
    assert (rig.state(uuid), len(rig.running)) == ("Enabled", 1)


async def test_nothing_runs_and_nothing_is_written_while_nothing_changes():
    rig, _ = await rig_with(of_queue())
    appends = rig.store.appends
    tasks = asyncio.all_tasks()
    await rig.run_for(3_600_000)
    assert rig.store.appends == appends
    assert asyncio.all_tasks() <= tasks
    assert rig.clock.next_deadline() is None


async def test_closing_ends_all_pollers_in_the_time_given():
    rig, _, _ = await rig_with(of_queue(), of_stream())
    await rig.mappings.close(250)
    assert [poller.drains for poller in rig.pollers] == [[250], [250]]
    rig.create("more")
    rig.mappings.noticed(queue("orders"))
    await rig.settle()
    assert rig.running == []


async def test_closing_does_not_wait_for_a_poller_that_was_ending():
    rig = await MappingRig().prepared()
    rig.poller_kind = SlowPoller
    uuid = await rig.mapped(of_queue())
    rig.update(uuid, is_enabled=False)
    await rig.settle()
    await rig.mappings.close(250)
    assert rig.pollers[0].drains == [STOP_MS, 250]
    again = await rig.restarted()
    assert again.state(uuid) == "Disabled"


async def test_who_waits_for_rest_is_told():
    rig = await MappingRig().prepared()
    rig.poller_kind = SlowPoller
    first, second = rig.map(of_queue()), rig.map(of_stream())
    rest = asyncio.ensure_future(rig.mappings.at_rest())
    await rig.settle()
    assert rest.done()
    assert (rig.state(first), rig.state(second)) == ("Enabled", "Enabled")
    rig.update(first, batch_size=2)
    rest = asyncio.ensure_future(rig.mappings.at_rest(rig.mapping(first).arn))
    await rig.mappings.at_rest(rig.mapping(second).arn)
    await rig.settle()
    assert not rest.done()
    rig.pollers[0].end()
    await rig.settle()
    assert rest.done()
    assert rig.state(first) == "Enabled"


async def test_where_a_mapping_of_a_stream_begins_is_settled_when_it_is_made():
    rig = await MappingRig().prepared()
    uuid = rig.map(of_stream(starting_position="LATEST"))
    positions = rig.mapping(uuid).positions()
    assert [(one.ordinal, one.lane, one.number) for one in positions] == [(0, 0, 1)]
    later = await rig.mapped(of_stream(to="other"), is_enabled=False)
    assert rig.mapping(later).positions() == []
