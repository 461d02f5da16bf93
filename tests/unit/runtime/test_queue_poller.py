"""The poller of a queue's mapping: batches, filters, what becomes of messages, throttles, ends."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from eventcore.errors import (
    LimitExceeded,
    RecursiveInvocation,
    StoreUnavailable,
    Throttled,
)
from eventcore.functions import lineage
from eventcore.functions.invocation import FailedInvocation
from eventcore.limits import AWS_QUOTAS, INVOKE_BYTES_MAX
from eventcore.mappings.mapping_spec import (
    PROBLEM_CALL_FAILED,
    RESULT_OK,
    PollerConfig,
)
from eventcore.runtime.queue_batches import RETRY_PAUSE_MS_MAX, QueueMappingSetting
from eventcore.runtime.queue_poller import WAIT_MS
from tests.unit.runtime.queue_mapping_rig import (
    FUNCTION,
    MappingRig,
    Opened,
    open_rigs,
    succeeded,
)
from tests.unit.runtime.rig import PREFIX

SECOND_MS = 1_000
VISIBILITY_MS = 30_000
THROTTLED = Throttled("handler", "ReservedFunctionConcurrentInvocationLimitExceeded")


@pytest.fixture
async def opened() -> AsyncIterator[Opened]:
    """Makes rigs with a poller that runs, and ends them."""
    async with open_rigs() as open_rig:
        yield open_rig


def bodies(count: int, first: int = 0) -> list[str]:
    return [f"m{number}" for number in range(first, first + count)]


# Batches


async def test_what_is_there_is_one_batch_and_is_deleted_when_it_is_done(opened: Opened) -> None:
    rig = await opened()
    await rig.put("a", "b", "c")
    assert rig.functions.bodies == [["a", "b", "c"]]
    assert rig.left == (0, 3, 0)
    rig.functions.calls[0].succeed()
    await rig.settle()
    assert rig.left == (0, 0, 0)
    assert rig.result == RESULT_OK
    counts = rig.mappings.kept
    assert (counts.polled, counts.invoked, counts.deleted, counts.failed) == (3, 3, 3, 0)


async def test_an_arrival_is_received_in_the_transaction_that_it_is_sent_in(
    opened: Opened,
) -> None:
    rig = await opened()
    appends = rig.store.appends
    rig.put_only("a")
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert rig.store.appends == appends + 1 and rig.store.pending is not None
    assert rig.functions.calls == []  # nothing runs that could vanish
    rig.store.commit()
    await rig.settle()
    assert rig.functions.bodies == [["a"]] and rig.store.appends == appends + 1


async def test_a_batch_is_settled_in_the_transaction_that_the_next_one_is_received_in(
    opened: Opened,
) -> None:
    rig = await opened(batch_size=2, concurrency_max=2)
    await rig.put(*bodies(6))
    appends = rig.store.appends
    assert len(rig.functions.calls) == 2
    rig.functions.calls[0].succeed()
    await rig.settle()
    assert rig.functions.bodies == [["m0", "m1"], ["m2", "m3"], ["m4", "m5"]]
    assert rig.store.appends == appends + 1
    rig.functions.calls[1].succeed()
    rig.functions.calls[2].succeed()
    await rig.settle()
    assert rig.store.appends == appends + 2 and rig.left == (0, 0, 0)


async def test_a_large_batch_takes_several_receives(opened: Opened) -> None:
    rig = await opened(batch_size=25, concurrency_max=2)
    await rig.put(*bodies(60))
    assert [len(batch) for batch in rig.functions.bodies] == [25, 25]
    assert rig.functions.bodies[0] == bodies(25)
    rig.functions.calls[0].succeed()
    await rig.settle()
    assert [len(batch) for batch in rig.functions.bodies] == [25, 25, 10]


async def test_more_than_a_slice_of_messages_is_received_in_several_requests(
    opened: Opened,
) -> None:
    rig = await opened(batch_size=1_000, batch_window_ms=SECOND_MS)
    await rig.put(*bodies(950))
    assert rig.left == (0, 950, 0) and rig.functions.calls == []
    await rig.run_for(SECOND_MS)
    assert rig.functions.bodies == [bodies(950)]
    rig.functions.calls[0].succeed()
    await rig.settle()
    assert rig.left == (0, 0, 0)


async def test_a_window_begins_with_the_first_message(opened: Opened) -> None:
    rig = await opened(batch_size=100, batch_window_ms=5 * SECOND_MS)
    await rig.run_for(60 * SECOND_MS)
    await rig.put("a")
    await rig.run_for(4 * SECOND_MS)
    await rig.put("b")
    assert rig.functions.calls == []
    await rig.run_for(SECOND_MS)
    assert rig.functions.bodies == [["a", "b"]]
    await rig.put("c")
    await rig.run_for(5 * SECOND_MS - 1)
    assert len(rig.functions.calls) == 1
    await rig.run_for(1)
    assert rig.functions.bodies == [["a", "b"], ["c"]]


async def test_a_full_batch_does_not_wait_for_its_window(opened: Opened) -> None:
    rig = await opened(batch_size=3, batch_window_ms=5 * SECOND_MS)
    await rig.put(*bodies(4))
    assert rig.functions.bodies == [["m0", "m1", "m2"]]
    await rig.run_for(5 * SECOND_MS)
    assert rig.functions.bodies == [["m0", "m1", "m2"], ["m3"]]


async def test_a_window_leaves_a_part_of_the_visibility(opened: Opened) -> None:
    rig = await opened(batch_size=100, batch_window_ms=300 * SECOND_MS)
    await rig.put("a")
    await rig.run_for(VISIBILITY_MS * 3 // 4)
    assert rig.functions.bodies == [["a"]]
    rig.functions.calls[0].succeed()
    await rig.settle()
    assert rig.left == (0, 0, 0)


async def test_a_batch_is_no_larger_than_an_invocation_takes(opened: Opened) -> None:
    rig = await opened(batch_size=10)
    large = "x" * 1_000_000
    await rig.put(*[f"{number}{large}" for number in range(10)])
    batches = rig.functions.calls
    assert [len(call.records) for call in batches] == [6, 4]
    assert all(len(call.payload.raw) <= INVOKE_BYTES_MAX for call in batches)
    assert [body[0] for call in batches for body in call.bodies] == list("0123456789")


async def test_quotes_count_as_what_they_are_in_json(opened: Opened) -> None:
    rig = await opened(batch_size=10)
    await rig.put(*['"' * 1_000_000 for _ in range(5)])
    assert [len(call.records) for call in rig.functions.calls] == [3, 2]
    assert all(len(call.payload.raw) <= INVOKE_BYTES_MAX for call in rig.functions.calls)


async def test_records_have_the_shape_of_aws(opened: Opened) -> None:
    rig = await opened(is_fifo=True)
    await rig.put("a", group="g")
    (record,) = json.loads(rig.functions.calls[0].payload.raw)["Records"]
    assert record["eventSourceARN"] == PREFIX + "q.fifo" and record["body"] == "a"
    attributes = record["attributes"]
    assert attributes["MessageGroupId"] == "g" and attributes["MessageDeduplicationId"] == "a"
    assert attributes["ApproximateReceiveCount"] == "1" and len(attributes["SequenceNumber"]) == 20


async def test_the_trace_of_the_first_message_is_passed_on(opened: Opened) -> None:
    rig = await opened(function_arn=FUNCTION + ":live")
    trace = "Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=1"
    await rig.put("a", trace_header=trace)
    await rig.put("b")
    assert [call.trace_header for call in rig.functions.calls] == [trace, ""]
    assert [call.qualifier for call in rig.functions.calls] == ["live", "live"]


async def test_of_several_trace_headers_the_furthest_in_a_loop_is_passed_on(opened: Opened) -> None:
    rig = await opened(function_arn=FUNCTION, batch_size=3, batch_window_ms=1_000)
    once = lineage.extend("Root=1-5759e988-bd862e3fe1be46a994272793", FUNCTION)
    twice = lineage.extend(once, FUNCTION)
    await rig.put("a")
    await rig.put("b", trace_header=twice)
    await rig.put("c", trace_header=once)
    (call,) = rig.functions.calls
    assert call.bodies == ["a", "b", "c"]
    assert call.trace_header == twice


# Idle


async def test_an_idle_mapping_has_no_task_and_only_its_place_in_line(opened: Opened) -> None:
    tasks = len(asyncio.all_tasks())
    rig = await opened()
    assert len(asyncio.all_tasks()) == tasks
    await rig.put("a")
    rig.functions.calls[0].succeed()
    await rig.settle()
    assert len(asyncio.all_tasks()) == tasks
    assert len(rig.engine._waiters) == 1
    await rig.run_for(VISIBILITY_MS)  # the queue looks once for the message that it has given out
    appends = rig.store.appends
    next_ms = rig.clock.next_deadline()
    assert next_ms is None or next_ms >= rig.clock.now_ms() + WAIT_MS - VISIBILITY_MS
    await rig.run_for(2 * WAIT_MS)  # and its place is renewed
    assert rig.store.appends == appends
    await rig.put("b")
    assert rig.functions.bodies == [["a"], ["b"]]


async def test_a_thousand_idle_mappings_are_a_thousand_waiters_and_one_timer() -> None:
    rig = await MappingRig().prepare()
    pollers = [rig.new_poller() for _ in range(1_000)]
    for poller in pollers:
        poller.start()
    await rig.settle()
    assert len(rig.engine._waiters) == 1_000
    assert sum(timer.callback is not None for timer in rig.clock._timers) == 1
    for poller in pollers:
        await poller.stop(0)
    assert len(rig.engine._waiters) == 0


# Filters


async def test_what_no_filter_wants_is_deleted_where_it_is_received(opened: Opened) -> None:
    rig = await opened(filters=('{"body": {"kind": ["a"]}}',))
    appends = rig.store.appends
    await rig.put('{"kind": "a"}', '{"kind": "b"}', "no json", '{"kind": "a", "n": 2}')
    assert rig.functions.bodies == [['{"kind": "a"}', '{"kind": "a", "n": 2}']]
    assert rig.left == (0, 2, 0) and rig.store.appends == appends + 1
    counts = rig.mappings.kept
    assert (counts.polled, counts.filtered_out) == (4, 2)


async def test_dropped_messages_make_room_for_others(opened: Opened) -> None:
    rig = await opened(batch_size=2, filters=('{"body": {"n": [{"numeric": [">", 7]}]}}',))
    await rig.put(*[f'{{"n": {number}}}' for number in range(10)])
    assert rig.functions.bodies == [['{"n": 8}', '{"n": 9}']]
    assert rig.left == (0, 2, 0)


async def test_a_queue_of_messages_that_nobody_wants_is_emptied(opened: Opened) -> None:
    rig = await opened(filters=('{"body": ["wanted"]}',))
    await rig.put(*bodies(30))
    assert rig.functions.calls == [] and rig.left == (0, 0, 0)
    await rig.put("wanted")
    assert rig.functions.bodies == [["wanted"]]


# What becomes of messages


async def test_a_failed_batch_comes_back_when_its_visibility_is_over(opened: Opened) -> None:
    rig = await opened()
    await rig.put("a", "b")
    rig.functions.calls[0].fail()
    await rig.settle()
    assert rig.left == (0, 2, 0) and rig.result == PROBLEM_CALL_FAILED
    await rig.run_for(VISIBILITY_MS - 1)
    assert len(rig.functions.calls) == 1
    await rig.run_for(1)
    assert rig.functions.bodies == [["a", "b"], ["a", "b"]]
    again = rig.functions.calls[1].records[0]["attributes"]
    assert again["ApproximateReceiveCount"] == "2"
    assert rig.mappings.kept.failed == 2 and rig.mappings.kept.deleted == 0


async def test_a_batch_that_fails_too_often_is_dead_lettered(opened: Opened) -> None:
    rig = await opened(receives_max=2)
    await rig.put("a", "b")
    for attempt in range(2):
        rig.functions.calls[attempt].fail()
        await rig.run_for(VISIBILITY_MS)
    assert rig.left == (0, 0, 0) and rig.counts("dead") == (2, 0, 0)
    assert len(rig.functions.calls) == 2


async def test_reported_messages_are_left_and_the_others_deleted(opened: Opened) -> None:
    rig = await opened(reports_item_failures=True)
    await rig.put(*bodies(5))
    rig.functions.calls[0].report("m1", "m3")
    await rig.settle()
    assert rig.left == (0, 2, 0) and rig.result == RESULT_OK
    await rig.run_for(VISIBILITY_MS)
    assert rig.functions.bodies[1] == ["m1", "m3"]
    counts = rig.mappings.kept
    assert (counts.deleted, counts.failed) == (3, 2)


@pytest.mark.parametrize(
    "answer",
    [
        {"batchItemFailures": [{"itemIdentifier": "nothing of the batch"}]},
        {"batchItemFailures": [{"itemIdentifier": ""}]},
        {"batchItemFailures": [{}]},
        {"batchItemFailures": "all"},
    ],
)
async def test_an_answer_that_is_none_is_a_failure_of_all(opened: Opened, answer: Any) -> None:
    rig = await opened(reports_item_failures=True)
    await rig.put("a", "b")
    rig.functions.calls[0].succeed(answer)
    await rig.settle()
    assert rig.left == (0, 2, 0)


async def test_without_the_setting_reports_are_not_read(opened: Opened) -> None:
    rig = await opened()
    await rig.put("a", "b")
    rig.functions.calls[0].report("a")
    await rig.settle()
    assert rig.left == (0, 0, 0)


async def test_a_recursive_loop_goes_to_the_dead_letter_queue(opened: Opened) -> None:
    rig = await opened(receives_max=10)
    rig.functions.refusal = RecursiveInvocation("handler", 17)
    await rig.put("a", "b")
    assert rig.left == (0, 0, 0) and rig.counts("dead") == (2, 0, 0)
    assert rig.mappings.kept.dropped == 0


async def test_a_recursive_loop_without_one_is_dropped_and_counted(opened: Opened) -> None:
    rig = await opened()
    rig.functions.refusal = RecursiveInvocation("handler", 17)
    await rig.put("a", "b")
    assert rig.left == (0, 0, 0) and rig.mappings.kept.dropped == 2
    assert rig.mappings.kept.invoked == 0


async def test_a_batch_too_large_for_an_invocation_is_left(opened: Opened) -> None:
    rig = await opened()
    rig.functions.refusal = LimitExceeded("invoke_bytes_max", INVOKE_BYTES_MAX)
    await rig.put("a")
    assert rig.left == (0, 1, 0) and rig.functions.refused == 1
    assert rig.result == PROBLEM_CALL_FAILED


async def test_a_bug_below_is_a_failed_batch(opened: Opened) -> None:
    rig = await opened()
    rig.functions.refusal = ZeroDivisionError()
    await rig.put("a")
    assert rig.left == (0, 1, 0) and rig.result == PROBLEM_CALL_FAILED
    rig.functions.refusal = None
    await rig.run_for(VISIBILITY_MS)
    assert rig.functions.bodies == [["a"]]


async def test_a_cancellation_that_is_not_ours_is_a_failed_batch(opened: Opened) -> None:
    rig = await opened()
    await rig.put("a")
    rig.functions.calls[0].end.cancel()
    await rig.settle()
    assert rig.left == (0, 1, 0) and rig.result == PROBLEM_CALL_FAILED
    await rig.run_for(VISIBILITY_MS)
    assert rig.functions.bodies == [["a"], ["a"]]


async def test_a_message_that_somebody_else_deleted_is_no_trouble(opened: Opened) -> None:
    rig = await opened()
    await rig.put("a", "b")
    rig.delete("q", rig.functions.calls[0].records[0]["receiptHandle"])
    rig.functions.calls[0].succeed()
    await rig.settle()
    assert rig.left == (0, 0, 0)


# Throttles, and what else keeps an invocation from being begun


@pytest.mark.parametrize(
    "refusal", [THROTTLED, FailedInvocation("no process"), StoreUnavailable("for now")]
)
async def test_a_refused_batch_is_tried_again_as_it_is(opened: Opened, refusal: Exception) -> None:
    rig = await opened()
    rig.functions.refusal = refusal
    await rig.put("a", "b")
    await rig.run_for(2 * SECOND_MS)
    tries = rig.functions.refused
    assert 3 <= tries <= 6 and rig.left == (0, 2, 0)
    rig.functions.refusal = None
    await rig.run_for(RETRY_PAUSE_MS_MAX)
    (call,) = rig.functions.calls
    assert call.bodies == ["a", "b"]
    assert call.records[0]["attributes"]["ApproximateReceiveCount"] == "1"
    call.succeed()
    await rig.settle()
    assert rig.left == (0, 0, 0) and rig.result == RESULT_OK


async def test_a_batch_is_let_go_when_half_of_its_visibility_is_over(opened: Opened) -> None:
    rig = await opened()
    rig.functions.refusal = THROTTLED
    await rig.put("a")
    await rig.run_for(VISIBILITY_MS // 2)
    assert rig.poller.invocations == 0 and rig.left == (0, 1, 0)
    assert rig.result == PROBLEM_CALL_FAILED
    rig.functions.refusal = None
    await rig.run_for(VISIBILITY_MS // 2)
    assert rig.functions.calls[0].records[0]["attributes"]["ApproximateReceiveCount"] == "2"
    assert rig.mappings.kept.invoked == 0 and rig.mappings.kept.failed == 1


async def test_while_a_function_is_throttled_nothing_else_is_received(opened: Opened) -> None:
    rig = await opened(batch_size=1)
    rig.functions.refusal = THROTTLED
    await rig.put("a")
    await rig.put(*bodies(20))
    assert rig.left == (20, 1, 0)
    rig.functions.refusal = None
    await rig.run_for(SECOND_MS)
    assert rig.functions.bodies[0] == ["a"]


async def test_a_throttled_mapping_finds_the_concurrency_that_there_is(opened: Opened) -> None:
    rig = await opened(batch_size=1)
    rig.functions.concurrency_max = 5
    rig.functions.over_concurrency = THROTTLED
    await rig.put(*bodies(40))
    while rig.left != (0, 0, 0):
        assert len(rig.functions.running) <= 5
        for call in rig.functions.running:
            call.succeed()
        await rig.run_for(100)
    assert sorted(rig.functions.bodies) == sorted([body] for body in bodies(40))


async def test_after_throttles_all_slots_come_back(opened: Opened) -> None:
    rig = await opened(batch_size=1, concurrency_max=20)
    rig.functions.refusal = THROTTLED
    await rig.put("a")
    assert rig.poller._slots.width == 1
    rig.functions.refusal = None
    rig.functions.handle = lambda call: succeeded()
    await rig.run_for(SECOND_MS)
    await rig.put(*bodies(100))
    assert rig.poller._slots.width == 20 and rig.left == (0, 0, 0)


# Concurrency


@pytest.mark.parametrize(
    ("settings", "most"),
    [
        ({"concurrency_max": 3}, 3),
        ({"pollers": PollerConfig(1, 2)}, 20),
        ({}, 1_000),
        ({"pollers": PollerConfig(2, None)}, 2_000),
    ],
)
async def test_batches_run_at_a_time_up_to_the_bound(
    opened: Opened, settings: dict[str, Any], most: int
) -> None:
    rig = await opened(batch_size=1, **settings)
    assert rig.mapping is not None
    assert QueueMappingSetting(rig.mapping.spec).concurrency_max == most
    count = min(most, 30)
    await rig.put(*bodies(30))
    assert len(rig.functions.running) == count
    assert rig.left == (30 - count, count, 0)


async def test_settings_are_followed_while_it_runs(opened: Opened) -> None:
    rig = await opened(batch_size=1, concurrency_max=2)
    await rig.put(*bodies(8))
    rig.configure(batch_size=3, concurrency_max=3)
    rig.functions.calls[0].succeed()
    await rig.settle()
    assert rig.functions.bodies == [["m0"], ["m1"], ["m2", "m3", "m4"], ["m5", "m6", "m7"]]


async def test_settings_are_followed_while_nothing_arrives(opened: Opened) -> None:
    rig = await opened(batch_size=100, batch_window_ms=5_000)
    await rig.put("a")
    rig.configure(batch_size=10, batch_window_ms=0)
    assert rig.poller.follow()
    await rig.settle()
    assert rig.functions.bodies == [["a"]]
    await rig.put("b", "c")
    assert rig.functions.bodies[1:] == [["b", "c"]]


async def test_smaller_batches_keep_what_was_received_for_the_larger_ones(opened: Opened) -> None:
    rig = await opened(batch_size=10, concurrency_max=2)
    rig.configure(batch_size=2, concurrency_max=2)
    await rig.put(*bodies(7))  # of the waiter, which asked for ten
    assert rig.functions.bodies == [["m0", "m1"], ["m2", "m3"]]
    for at in range(4):
        rig.functions.calls[at].succeed()
        await rig.settle()
    assert rig.functions.bodies[2:] == [["m4", "m5"], ["m6"]] and rig.left == (0, 0, 0)


async def test_at_the_quota_of_messages_in_flight_it_waits() -> None:
    quotas = AWS_QUOTAS
    rig = MappingRig(quotas=quotas)
    await rig.prepare(batch_size=10)
    assert quotas.in_flight_max is not None
    rig.engine.quotas = quotas
    await rig.put("a")
    queue = rig.engine.queue(PREFIX + "q")
    queue._quotas = type(quotas)(in_flight_max=1)
    await rig.begin()
    await rig.put("b")
    assert rig.functions.bodies == [["a"]]
    rig.functions.calls[0].succeed()
    await rig.settle()
    assert rig.functions.bodies == [["a"], ["b"]]
    await rig.poller.stop(0)


async def test_a_queue_whose_messages_are_never_invisible_is_emptied(opened: Opened) -> None:
    rig = await opened(visibility_timeout_ms=0)
    await rig.put("a", "b")
    assert rig.functions.bodies == [["a", "b"]]
    rig.functions.calls[0].succeed()
    await rig.settle()
    assert rig.left == (0, 0, 0)


async def test_late_batches_that_were_received_again_delete_nothing(opened: Opened) -> None:
    rig = await opened()
    await rig.put("a")
    await rig.run_for(VISIBILITY_MS)
    first, second = rig.functions.calls
    first.succeed()
    await rig.settle()
    assert rig.left == (0, 1, 0)
    second.succeed()
    await rig.settle()
    assert rig.left == (0, 0, 0)


# FIFO queues


async def test_one_batch_of_a_group_at_a_time_in_its_order(opened: Opened) -> None:
    rig = await opened(is_fifo=True, batch_size=2)
    await rig.put(*bodies(5), group="g")
    for end in range(1, 4):
        assert len(rig.functions.calls) == end and len(rig.functions.running) == 1
        rig.functions.calls[-1].succeed()
        await rig.settle()
    assert rig.functions.bodies == [["m0", "m1"], ["m2", "m3"], ["m4"]]
    assert rig.left == (0, 0, 0)


async def test_a_fifo_queue_has_no_window(opened: Opened) -> None:
    rig = await opened(is_fifo=True, batch_window_ms=10 * SECOND_MS)
    await rig.put("a", "b", group="g")
    assert rig.functions.bodies == [["a", "b"]]


async def test_groups_run_side_by_side(opened: Opened) -> None:
    rig = await opened(is_fifo=True, batch_size=1)
    for number in range(4):
        rig.put_only(f"a{number}", f"b{number}", group=f"g{number}")
    await rig.settle()
    assert rig.functions.bodies == [["a0"], ["a1"], ["a2"], ["a3"]]
    rig.functions.calls[2].succeed()
    await rig.settle()
    assert rig.functions.bodies[4:] == [["b2"]]


async def test_a_batch_may_hold_several_groups(opened: Opened) -> None:
    rig = await opened(is_fifo=True)
    for number in range(3):
        rig.put_only(f"a{number}", f"b{number}", group=f"g{number}")
    await rig.settle()
    (batch,) = rig.functions.bodies
    assert batch == ["a0", "b0", "a1", "b1", "a2", "b2"]
    await rig.put("c1", group="g1")
    assert len(rig.functions.calls) == 1
    rig.functions.calls[0].succeed()
    await rig.settle()
    assert rig.functions.bodies[1:] == [["c1"]]


async def test_a_group_stops_at_its_first_failure(opened: Opened) -> None:
    rig = await opened(is_fifo=True, reports_item_failures=True)
    rig.put_only("a0", "a1", "a2", group="a")
    rig.put_only("b0", "b1", group="b")
    await rig.settle()
    rig.functions.calls[0].report("a1")
    await rig.settle()
    await rig.put("a3", group="a")
    await rig.put("b2", group="b")
    assert rig.functions.bodies[1:] == [["b2"]]
    rig.functions.calls[1].succeed()
    await rig.settle()
    await rig.run_for(VISIBILITY_MS)
    assert rig.functions.bodies[2:] == [["a1", "a2", "a3"]]


async def test_a_group_that_did_not_fit_follows_its_first_part(opened: Opened) -> None:
    rig = await opened(is_fifo=True)
    await rig.put(*[f"{n}" + "x" * 1_000_000 for n in range(10)], group="g")
    assert [len(call.records) for call in rig.functions.calls] == [6]
    rig.functions.calls[0].succeed()
    await rig.settle()
    assert [len(call.records) for call in rig.functions.calls] == [6, 4]


async def test_what_stands_behind_a_failure_is_let_go_with_it(opened: Opened) -> None:
    rig = await opened(is_fifo=True)
    await rig.put(*[f"{n}" + "x" * 1_000_000 for n in range(10)], group="g")
    rig.functions.calls[0].fail()
    await rig.settle()
    assert len(rig.functions.calls) == 1 and rig.left == (0, 10, 0)
    await rig.run_for(VISIBILITY_MS)
    assert [body[0] for body in rig.functions.bodies[1]] == list("012345")


async def test_a_group_whose_batch_outlasts_its_visibility_still_runs_once_at_a_time(
    opened: Opened,
) -> None:
    rig = await opened(is_fifo=True)
    await rig.put("a", "b", group="g")
    await rig.run_for(VISIBILITY_MS)
    assert len(rig.functions.calls) == 1 and rig.left == (0, 2, 0)
    rig.functions.calls[0].succeed()
    await rig.settle()
    assert rig.functions.bodies == [["a", "b"], ["a", "b"]]  # somebody else may have had them
    rig.functions.calls[1].succeed()
    await rig.settle()
    assert rig.left == (0, 0, 0)
