"""Event source mappings of streams, from the record to the stored position."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from eventcore.errors import LimitExceeded, RecursiveInvocation, Throttled
from eventcore.functions.invocation import FailedInvocation, InvocationResult, Payload
from eventcore.mappings.mapping_spec import (
    PROBLEM_CALL_FAILED,
    PROBLEM_NO_FUNCTION,
    RESULT_OK,
    BatchRange,
    WindowState,
)
from eventcore.mappings.shard_lane import lane_of
from eventcore.runtime import shard_poller
from eventcore.streams.aggregation import deaggregate
from eventcore.testing import ManualClock
from tests.unit.runtime.rig import turn
from tests.unit.runtime.stream_engine import DAY_MS, SHARD, arn
from tests.unit.runtime.stream_mapping_rig import (
    DEAD,
    FUNCTION,
    Call,
    Handler,
    StreamMappingRig,
    failed,
    succeeded,
)


def keys_of_lanes(lanes: int) -> list[str]:
    """One partition key for each lane."""
    found: dict[int, str] = {}
    for at in range(1_000):
        found.setdefault(lane_of(f"k{at}", lanes), f"k{at}")
    return [found[lane] for lane in range(lanes)]


def fails_on(*data: str) -> Any:
    """A function that fails on batches with this data."""
    return lambda call: failed() if set(data) & set(call.data) else succeeded()


# From the record to the position


async def test_records_come_in_order_in_batches_and_move_the_position() -> None:
    rig = await StreamMappingRig().prepare(batch_size=2)
    await rig.send("a", "b", "c")
    assert rig.handler.batches == [["a", "b"], ["c"]]
    await rig.send("d")
    assert rig.handler.batches == [["d"]]
    assert rig.numbers() == [5]
    assert rig.mapping.record.result == RESULT_OK
    assert (rig.counts.polled, rig.counts.invoked, rig.counts.failed) == (4, 4, 0)


async def test_the_event_is_awss() -> None:
    rig = await StreamMappingRig().prepare()
    (appended,) = rig.put(b"hello", key="key")
    await rig.settle()
    (call,) = rig.handler.calls
    assert call.event == {
        "Records": [
            {
                "kinesis": {
                    "kinesisSchemaVersion": "1.0",
                    "partitionKey": "key",
                    "sequenceNumber": appended.sequence_number,
                    "data": "aGVsbG8=",
                    "approximateArrivalTimestamp": rig.clock.now_ms() / 1000,
                },
                "eventSource": "aws:kinesis",
                "eventVersion": "1.0",
                "eventID": f"{SHARD}:{appended.sequence_number}",
                "eventName": "aws:kinesis:record",
                "invokeIdentityArn": "role-arn",
                "awsRegion": "us-east-1",
                "eventSourceARN": arn("s"),
            }
        ]
    }


async def test_aggregated_records_are_handed_on_as_they_are() -> None:
    # KPL: magic, one protobuf record in a list, MD5; taking it apart is the function's.
    import hashlib

    record = b"\x08\x00\x1a\x02hi"
    body = b"\x0a\x01k" + b"\x1a" + bytes([len(record)]) + record
    data = b"\xf3\x89\x9a\xc2" + body + hashlib.md5(body).digest()
    assert deaggregate(data) is not None
    rig = await StreamMappingRig().prepare()
    rig.put(data)
    await rig.settle()
    (call,) = rig.handler.calls
    assert len(call.event["Records"]) == 1


async def test_a_restart_goes_on_behind_what_is_done() -> None:
    rig = await StreamMappingRig().prepare()
    await rig.send("a", "b")
    rig = await rig.restart()
    await rig.send("c")
    assert rig.handler.batches == [["c"]]


async def test_what_was_done_and_not_stored_is_handed_out_again() -> None:
    rig = await StreamMappingRig().prepare()
    rig.put(b"a")
    await turn()
    rig.store.commit()  # the record, not yet the position
    for _ in range(30):
        await asyncio.sleep(0)
    assert rig.handler.batches == [["a"]]
    rig = await rig.restart()
    assert rig.handler.batches == [["a"]]
    assert rig.numbers() == [2]


async def test_an_idle_mapping_has_no_task_and_no_timer() -> None:
    rig = await StreamMappingRig().prepare(parallelization=10)
    await rig.send("a")
    tasks = asyncio.all_tasks()
    assert tasks == {asyncio.current_task()}
    assert rig.poller.invocations == 0
    deadline_ms = rig.clock.next_deadline()
    assert deadline_ms is None or deadline_ms >= rig.clock.now_ms() + DAY_MS


async def test_positions_run_ahead_of_the_store_to_a_bound() -> None:
    rig = await StreamMappingRig().prepare(batch_size=1)
    rig.put(*(b"%d" % at for at in range(200)))
    await turn()
    rig.store.commit()
    while True:
        before = len(rig.handler.calls)
        for _ in range(50):
            await asyncio.sleep(0)
        if len(rig.handler.calls) == before:
            break
    assert 0 < before <= (shard_poller.SETTLES_AHEAD + 1) * shard_poller.BATCHES_HELD
    await rig.settle()
    assert len(rig.handler.batches) == 200
    assert rig.numbers() == [201]


# Where it begins


async def test_latest_is_what_comes_after_the_mapping() -> None:
    rig = await StreamMappingRig().prepare(starting_position="LATEST")
    await rig.send("a")
    assert rig.handler.batches == [["a"]]
    other = await StreamMappingRig().prepare()
    await other.send("a", "b")
    other.handler.calls.clear()
    await other.map(starting_position="LATEST", function_arn=f"{FUNCTION}:$LATEST")
    assert other.handler.batches == []
    other = await other.restart()
    await other.send("c")
    assert other.handler.batches == [["c"], ["c"]]


async def test_at_timestamp_begins_with_what_arrived_then() -> None:
    rig = await StreamMappingRig().start()
    rig.make()
    rig.put(b"a")
    rig.clock.advance(1_000)
    rig.put(b"b")
    at_ms = rig.clock.now_ms()
    rig.clock.advance(1_000)
    rig.put(b"c")
    await rig.settle()
    await finish(rig, starting_position="AT_TIMESTAMP", starting_ms=at_ms)
    assert rig.handler.batches == [["b", "c"]]


async def test_at_a_timestamp_behind_all_records_new_ones_come() -> None:
    rig = await StreamMappingRig().start()
    rig.make()
    rig.put(b"a")
    rig.clock.advance(1_000)
    await finish(rig, starting_position="AT_TIMESTAMP", starting_ms=rig.clock.now_ms())
    await rig.send("b")
    assert rig.handler.batches == [["b"]]


async def finish(rig: StreamMappingRig, **settings: Any) -> None:
    """The rest of `prepare`, where a test has made the stream itself."""
    from eventcore.functions.function_spec import KIND_LOCAL, FunctionConfig

    config = FunctionConfig(kind=KIND_LOCAL, handler="x")
    rig.request(lambda e: e.functions.create(FUNCTION, config, None))
    rig.create("dead")
    await rig.settle()
    await rig.map(**settings)


# Shards


async def test_children_begin_when_their_parent_is_done() -> None:
    rig = await StreamMappingRig().prepare(batch_size=1)
    rig.handler.handle = lambda call: None
    await rig.send("a", "b")
    rig.split()
    await rig.send("c")
    (first,) = rig.handler.calls
    first.end.set_result(succeeded())
    await rig.settle()
    assert [call.data for call in rig.handler.calls] == [["a"], ["b"]]
    rig.handler.calls[1].end.set_result(succeeded())
    await rig.settle()
    assert [call.data for call in rig.handler.calls] == [["a"], ["b"], ["c"]]
    assert [(p.ordinal, p.is_end) for p in rig.positions] == [(0, True), (1, False), (2, False)]


async def test_new_shards_are_read_from_their_beginning() -> None:
    rig = await StreamMappingRig().prepare(starting_position="LATEST")
    rig.split()
    rig.put(b"a")  # before anybody has seen the new shards
    await rig.settle()
    assert rig.handler.batches == [["a"]]


async def test_children_go_on_after_a_restart() -> None:
    rig = await StreamMappingRig().prepare()
    await rig.send("a")
    rig.split()
    await rig.send("b")
    rig.handler.calls.clear()
    rig = await rig.restart()
    await rig.send("c")
    assert rig.handler.batches == [["c"]]
    assert rig.poller.shards == 2


async def test_a_child_of_two_waits_for_both() -> None:
    rig = await StreamMappingRig().prepare(shards=2)
    rig.handler.handle = fails_on("bad")
    lower, upper = "k1", "k0"
    await rig.send("bad", key=lower)
    rig.streams.merge(rig.stream(), SHARD, "shardId-000000000001")
    await rig.send("c", key=upper)
    rig.handler.calls.clear()
    assert rig.poller.shards == 1
    rig.handler.handle = lambda call: succeeded()
    await rig.run_for(1_000)
    assert rig.handler.batches == [["bad"], ["c"]]


async def test_positions_of_shards_that_are_gone_are_forgotten() -> None:
    rig = await StreamMappingRig().prepare()
    await rig.send("a")
    rig.split()
    await rig.settle()
    await rig.run_for(2 * DAY_MS)
    rig = await rig.restart()
    assert [position.ordinal for position in rig.positions] == [1, 2]


async def test_a_stream_that_was_made_anew_is_read_from_its_beginning() -> None:
    rig = await StreamMappingRig().prepare(starting_position="LATEST")
    await rig.send("a", "b", "c")
    rig.remove()
    await rig.settle()
    rig.clock.advance(1)
    rig.make(2)
    await rig.send("d")
    assert rig.handler.batches == [["a", "b", "c"], ["d"]]
    assert len(rig.positions) == 2


async def test_a_batch_of_a_deleted_stream_is_not_settled_in_the_next() -> None:
    rig = await StreamMappingRig().prepare()
    rig.handler.handle = lambda call: None
    await rig.send("a", "b", "c")
    (call,) = rig.handler.calls
    rig.remove()
    await rig.settle()
    rig.clock.advance(1)
    rig.make()
    await rig.settle()
    call.end.set_result(succeeded())
    rig.handler.handle = lambda call: succeeded()
    await rig.send("d")
    assert rig.handler.batches[-1] == ["d"]
    assert rig.numbers() == [2]


# Filters


FILTER = '{"data": {"wanted": [true]}}'
WANTED = '{"wanted": true}'
OTHER = '{"wanted": false}'


async def test_dropped_records_are_passed_over() -> None:
    rig = await StreamMappingRig().prepare(filters=(FILTER,), batch_size=2)
    await rig.send(OTHER, WANTED, OTHER, WANTED, OTHER)
    assert rig.handler.batches == [[WANTED, WANTED]]
    assert rig.numbers() == [6]
    assert (rig.counts.polled, rig.counts.filtered_out, rig.counts.invoked) == (5, 3, 2)


async def test_a_stretch_of_dropped_records_is_settled_alone() -> None:
    rig = await StreamMappingRig().prepare(filters=(FILTER,))
    await rig.send(*[OTHER] * (shard_poller.PASSED_RECORDS - 1))
    assert rig.numbers() == [1]
    await rig.send(OTHER)
    assert rig.numbers() == [shard_poller.PASSED_RECORDS + 1]
    assert rig.handler.batches == []


async def test_what_idle_lanes_passed_over_is_settled_at_the_end() -> None:
    rig = await StreamMappingRig().prepare(filters=(FILTER,), parallelization=2)
    await rig.send(OTHER, OTHER)
    await rig.poller.stop(1_000)
    await rig.settle()
    assert rig.numbers() == [3, 3]


# Failures


async def test_a_failed_batch_blocks_its_shard_until_it_succeeds() -> None:
    rig = await StreamMappingRig().prepare(batch_size=2)
    rig.handler.handle = fails_on("b")
    await rig.send("a", "b", "c")
    await rig.run_for(3_000)
    assert rig.handler.batches == [["a", "b"]] * 3
    assert rig.mapping.record.result == PROBLEM_CALL_FAILED
    assert rig.positions[0].pending == (BatchRange(1, 2, 3),)
    assert rig.poller.iterator_age_ms == 3_000
    rig.handler.handle = lambda call: succeeded()
    await rig.run_for(1_000)
    assert rig.handler.batches == [["a", "b"], ["c"]]
    assert rig.mapping.record.result == RESULT_OK
    assert rig.poller.iterator_age_ms == 0


async def test_retries_and_their_count_survive_a_restart() -> None:
    rig = await StreamMappingRig().prepare(retries_max=3, on_failure_arn=DEAD)
    rig.handler.handle = fails_on("a")
    await rig.send("a")
    await rig.run_for(600)
    rig = await rig.restart()
    assert rig.handler.batches == [], "the pause goes on"
    await rig.run_for(20_000)
    assert rig.handler.batches == [["a"]] * 2
    (told,) = rig.dead
    assert told["requestContext"]["approximateInvokeCount"] == 4


async def test_a_discarded_batch_is_told_with_its_position() -> None:
    rig = await StreamMappingRig().prepare(batch_size=2, retries_max=1, on_failure_arn=DEAD)
    rig.handler.handle = fails_on("a")
    first, last = rig.put(b"a", b"b")
    await rig.settle()
    await rig.run_for(500)
    request_id = rig.handler.calls[-1].request_id
    assert rig.handler.batches == [["a", "b"]] * 2
    assert rig.numbers() == [3]
    (told,) = rig.dead
    arrived = told["KinesisBatchInfo"].pop("approximateArrivalOfFirstRecord")
    assert told["KinesisBatchInfo"].pop("approximateArrivalOfLastRecord") == arrived
    assert told.pop("timestamp") > arrived
    assert told == {
        "requestContext": {
            "requestId": request_id,
            "functionArn": FUNCTION,
            "condition": "RetryAttemptsExhausted",
            "approximateInvokeCount": 2,
        },
        "responseContext": {
            "statusCode": 200,
            "executedVersion": "$LATEST",
            "functionError": "Unhandled",
        },
        "version": "1.0",
        "KinesisBatchInfo": {
            "shardId": SHARD,
            "startSequenceNumber": first.sequence_number,
            "endSequenceNumber": last.sequence_number,
            "batchSize": 2,
            "streamArn": arn("s"),
        },
    }
    assert (rig.counts.dropped, rig.counts.delivered_on_failure) == (2, 2)


async def test_without_a_destination_discarded_records_are_counted() -> None:
    rig = await StreamMappingRig().prepare(retries_max=0)
    rig.handler.handle = fails_on("a")
    await rig.send("a")
    await rig.send("b")
    assert rig.handler.batches == [["a"], ["b"]]
    assert (rig.counts.dropped, rig.counts.delivered_on_failure) == (1, 0)


@pytest.mark.parametrize("is_durable", [True, False])
async def test_a_discard_is_told_once_though_its_commit_failed(is_durable: bool) -> None:
    rig = await StreamMappingRig().prepare(retries_max=0, on_failure_arn=DEAD)
    rig.put(b"a", b"b")
    rig.handler.handle = lambda call: None
    await rig.settle()
    (call,) = rig.handler.calls
    call.end.set_result(failed())
    await rig.fail(is_durable=is_durable)
    await rig.run_for(2_000)
    await rig.send("c")
    assert rig.numbers() == [4 if rig.handler.running == [] else 3]
    assert len(rig.dead) == 1
    assert rig.counts.dropped == 2


async def test_a_position_whose_commit_failed_is_stored_again() -> None:
    rig = await StreamMappingRig().prepare()
    rig.handler.handle = lambda call: None
    await rig.send("a")
    rig.handler.calls[0].end.set_result(succeeded())
    await rig.fail(is_durable=False)
    assert rig.numbers() == [1]
    await rig.run_for(1_000)
    assert rig.numbers() == [2]
    assert rig.handler.batches == [["a"]], "it was done: nobody is asked again"


async def test_reported_records_are_tried_again_from_the_first_one_on() -> None:
    rig = await StreamMappingRig().prepare(reports_item_failures=True, retries_max=1)
    rig.handler.handle = lambda call: succeeded(call.identifiers("c", "d"))
    await rig.send("a", "b", "c", "d")
    assert rig.handler.batches == [["a", "b", "c", "d"], ["c", "d"]]
    assert rig.positions[0].pending == (BatchRange(3, 4, 1),)
    await rig.run_for(500)
    assert rig.handler.batches == [["c", "d"]]
    assert rig.numbers() == [5]
    assert (rig.counts.dropped, rig.counts.failed) == (2, 6)


async def test_what_is_reported_without_the_setting_is_done() -> None:
    rig = await StreamMappingRig().prepare()
    rig.handler.handle = lambda call: succeeded(call.identifiers("a"))
    await rig.send("a", "b")
    assert rig.numbers() == [3]


async def test_bisect_finds_the_poison_record_and_the_others_succeed_once() -> None:
    rig = await StreamMappingRig().prepare(
        batch_size=1_000, is_bisecting=True, retries_max=0, on_failure_arn=DEAD, batch_window_ms=100
    )
    done: list[str] = []

    def handle(call: Call) -> InvocationResult:
        if "617" in call.data:
            return failed()
        done.extend(call.data)
        return succeeded()

    rig.handler.handle = handle
    await rig.send(*(str(at) for at in range(1_000)))
    await rig.run_for(100)
    assert done == [str(at) for at in range(1_000) if at != 617]
    assert len(rig.handler.batches) <= 2 * 10 + 1
    (told,) = rig.dead
    assert told["KinesisBatchInfo"]["batchSize"] == 1


async def test_a_bisect_in_progress_survives_a_restart() -> None:
    rig = await StreamMappingRig().prepare(batch_size=4, is_bisecting=True)
    rig.handler.handle = fails_on("c")
    await rig.send("a", "b", "c", "d")
    assert rig.handler.batches == [["a", "b", "c", "d"], ["a", "b"], ["c", "d"], ["c"]]
    rig = await rig.restart()
    rig.handler.handle = lambda call: succeeded()
    await rig.run_for(1_000)
    assert rig.handler.batches == [["c"], ["d"]]


# What can not be invoked


@pytest.mark.parametrize(
    "refusal", [Throttled("handler", "ConcurrentInvocationLimitExceeded"), FailedInvocation("no")]
)
async def test_refusals_are_not_counted_as_failures(refusal: Exception) -> None:
    rig = await StreamMappingRig().prepare(retries_max=0)
    rig.handler.refusal = refusal
    await rig.send("a")
    await rig.run_for(60_000)
    assert rig.handler.refused > 10
    assert rig.numbers() == [1]
    rig.handler.refusal = None
    await rig.run_for(5_000)
    assert rig.handler.batches == [["a"]]
    assert rig.counts.dropped == 0


async def test_a_poller_can_be_woken_when_the_function_is_there_again() -> None:
    rig = await StreamMappingRig().prepare()
    rig.handler.refusal = FailedInvocation("nobody has registered it")
    await rig.send("a")
    rig.handler.refusal = None
    rig.poller.wake()
    await rig.settle()
    assert rig.handler.batches == [["a"]]


async def test_a_function_that_is_gone_is_said_and_waited_for() -> None:
    rig = await StreamMappingRig().prepare()

    def change(is_there: bool) -> None:
        def request(engine: Any) -> None:
            function = engine.functions.find(FUNCTION)
            outcome = (
                function.put_alias("live", "$LATEST", is_new=True)
                if is_there
                else function.delete_alias("live")
            )
            engine.functions.run(function, outcome)

        rig.request(request)

    change(True)
    await rig.update(function_arn=f"{FUNCTION}:live")
    change(False)
    await rig.send("a")
    assert rig.handler.batches == []
    assert rig.mapping.record.result == PROBLEM_NO_FUNCTION
    change(True)
    await rig.run_for(1_000)
    assert rig.handler.batches == [["a"]]


async def test_a_recursive_loop_goes_to_the_destination() -> None:
    rig = await StreamMappingRig().prepare(on_failure_arn=DEAD)
    rig.handler.refusal = RecursiveInvocation("handler", 16)
    await rig.send("a")
    assert len(rig.dead) == 1
    assert rig.numbers() == [2]


async def test_what_is_too_large_is_halved_and_then_fails_alone() -> None:
    rig = await StreamMappingRig().prepare(retries_max=0, on_failure_arn=DEAD)

    done: list[str] = []

    def handle(call: Call) -> InvocationResult:
        if "large" in call.data:
            raise LimitExceeded("invoke_bytes_max", 6)
        done.extend(call.data)
        return succeeded()

    rig.handler.handle = handle
    await rig.send("a", "large", "b")
    assert rig.numbers() == [4]
    (told,) = rig.dead
    assert told["KinesisBatchInfo"]["batchSize"] == 1
    assert done == ["a", "b"]


async def test_a_fault_of_the_invoker_is_contained() -> None:
    rig = await StreamMappingRig().prepare()
    rig.handler.refusal = ZeroDivisionError()
    await rig.send("a")
    rig.handler.refusal = None
    await rig.run_for(1_000)
    assert rig.handler.batches == [["a"]]


async def test_a_handler_that_something_else_cancelled_has_failed() -> None:
    rig = await StreamMappingRig().prepare(retries_max=0)
    rig.handler.refusal = asyncio.CancelledError()
    await rig.send("a")
    assert rig.counts.dropped == 1


async def test_garbage_is_a_failure_where_failures_are_reported() -> None:
    rig = await StreamMappingRig().prepare(reports_item_failures=True, retries_max=0)
    rig.handler.handle = lambda call: InvocationResult(Payload(b"garbage"))
    await rig.send("a")
    assert rig.counts.dropped == 1


async def test_a_fault_of_a_shard_has_it_begin_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    rig = await StreamMappingRig().prepare()
    faults = [ZeroDivisionError()]

    def judge(*arguments: Any, **options: Any) -> None:
        if faults:
            raise faults.pop()

    monkeypatch.setattr(shard_poller, "first_failed_record", judge)
    await rig.send("a")
    assert rig.handler.batches == [["a"]]
    await rig.run_for(1_000)
    assert rig.handler.batches == [["a"]]
    assert rig.numbers() == [2]


# Age and retention


async def test_old_records_go_to_the_destination_without_an_invocation() -> None:
    rig = await StreamMappingRig().start()
    rig.make()
    rig.put(b"old", b"older")
    await rig.run_for(60_001)
    rig.put(b"new")
    await finish(rig, age_ms_max=60_000, on_failure_arn=DEAD)
    assert rig.handler.batches == [["new"]]
    (told,) = rig.dead
    assert told["requestContext"]["condition"] == "RecordAgeExceeded"
    assert told["requestContext"]["approximateInvokeCount"] == 1
    assert told["KinesisBatchInfo"]["batchSize"] == 2
    assert "responseContext" not in told


async def test_a_record_that_is_tried_for_too_long_goes_to_the_destination() -> None:
    rig = await StreamMappingRig().prepare(age_ms_max=60_000, on_failure_arn=DEAD)
    rig.handler.handle = fails_on("a")
    await rig.send("a")
    await rig.run_for(60_001)
    assert len(rig.handler.batches) == 7  # at 0, 0.5, 1.5, 3.5, 7.5, 15.5, 31.5 s
    (told,) = rig.dead
    assert told["requestContext"]["approximateInvokeCount"] == 7
    assert rig.numbers() == [2]


async def test_records_that_expire_while_blocked_are_passed_over_and_said(
    caplog: pytest.LogCaptureFixture,
) -> None:
    rig = await StreamMappingRig().prepare()
    rig.handler.handle = fails_on("a")
    await rig.send("a", "b")
    await rig.run_for(DAY_MS - 10_000)
    await rig.send("c")
    rig.handler.calls.clear()
    with caplog.at_level(logging.WARNING, "eventcore"):
        await rig.run_for(70_000)
    assert rig.handler.batches[-1] == ["c"]
    assert rig.numbers() == [4]
    assert rig.poller.expired == 2
    assert any("mapping_records_expired" in record.message for record in caplog.records)


async def test_records_that_expired_while_nothing_ran_are_said(
    caplog: pytest.LogCaptureFixture,
) -> None:
    rig = await StreamMappingRig().prepare()
    rig.handler.refusal = FailedInvocation("no")
    await rig.send("a", "b")
    store, clock, handler = rig.store.crash(), rig.clock, Handler()
    with caplog.at_level(logging.WARNING, "eventcore"):
        after = StreamMappingRig(store, ManualClock(clock.now_ms() + 2 * DAY_MS), handler)
        after.uuid = rig.uuid
        await after.start()
        await after.send("c")
    assert handler.batches == [["c"]]
    assert after.poller.expired == 2
    assert any("mapping_records_expired" in record.message for record in caplog.records)


# The batch window


async def test_a_batch_window_is_timed() -> None:
    rig = await StreamMappingRig().prepare(batch_window_ms=5_000)
    await rig.send("a")
    await rig.run_for(4_999)
    await rig.send("b")
    assert rig.handler.batches == []
    await rig.run_for(1)
    assert rig.handler.batches == [["a", "b"]]


# Lanes


async def test_lanes_run_side_by_side_and_keys_stay_in_order() -> None:
    first, second = keys_of_lanes(2)
    rig = await StreamMappingRig().prepare(parallelization=2, batch_size=1)
    rig.handler.handle = lambda call: None
    await rig.send_keyed((first, "a1"), (second, "b1"), (first, "a2"), (second, "b2"))
    assert sorted(call.data for call in rig.handler.calls) == [["a1"], ["b1"]]
    for call in rig.handler.running:
        if call.data == ["a1"]:
            call.end.set_result(succeeded())
    await rig.settle()
    assert [call.data for call in rig.handler.running] == [["b1"], ["a2"]]
    await rig.run_for(shard_poller.SETTLE_MS)
    for call in rig.handler.running:
        if call.data == ["a2"]:
            call.end.set_result(succeeded())
    await rig.run_for(shard_poller.SETTLE_MS)
    assert rig.numbers() == [5, 1], "a slow batch of another lane holds nothing up"


async def test_a_blocked_lane_holds_up_only_itself() -> None:
    first, second = keys_of_lanes(2)
    rig = await StreamMappingRig().prepare(parallelization=2, batch_size=1)
    rig.handler.handle = fails_on("bad")
    await rig.send_keyed((first, "bad"), (second, "b1"), (first, "a1"), (second, "b2"))
    assert rig.handler.batches == [["bad"], ["b1"], ["b2"]]
    await rig.send_keyed((second, "b3"))
    assert rig.handler.batches == [["b3"]]
    rig = await rig.restart()
    rig.handler.handle = lambda call: succeeded()
    await rig.run_for(1_000)
    assert rig.handler.batches == [["bad"], ["a1"]], "the other lane was ahead"


async def test_what_is_read_ahead_of_a_blocked_lane_is_bounded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shard_poller, "READ_AHEAD_RECORDS", 20)
    monkeypatch.setattr(shard_poller, "RAW_RECORDS_MAX", 5)
    first, second = keys_of_lanes(2)
    rig = await StreamMappingRig().prepare(parallelization=2, batch_size=1)
    rig.handler.handle = fails_on("bad")
    await rig.send_keyed((first, "bad"), *[(first, f"a{at}") for at in range(40)], (second, "b"))
    assert rig.handler.batches == [["bad"]], "what is behind the bound waits"
    rig.handler.handle = lambda call: succeeded()
    await rig.run_for(1_000)
    found = [data for (data,) in rig.handler.batches]
    assert sorted(found) == sorted(["bad", "b", *[f"a{at}" for at in range(40)]])
    assert [data for data in found if data[0] == "a"] == [f"a{at}" for at in range(40)]


async def test_another_factor_begins_at_the_lowest_position() -> None:
    first, second = keys_of_lanes(2)
    rig = await StreamMappingRig().prepare(parallelization=2, batch_size=1)
    rig.handler.handle = fails_on("bad")
    await rig.send_keyed((second, "b0"), (first, "bad"), (second, "b1"))
    rig.handler.handle = lambda call: succeeded()
    rig.handler.calls.clear()
    await rig.update(parallelization=3)
    assert sorted(rig.handler.batches) == [["b1"], ["bad"]]
    assert [(p.lane, p.lanes) for p in rig.positions] == [(0, 3), (1, 3), (2, 3)]


async def test_an_idle_lane_does_not_hold_the_shards_position() -> None:
    _, second = keys_of_lanes(2)
    rig = await StreamMappingRig().prepare(parallelization=2)
    await rig.send(*["x"] * (shard_poller.PASSED_RECORDS + 5), key=second)
    assert min(rig.numbers()) > 1


# Tumbling windows


def counting(call: Call) -> InvocationResult:
    state = call.event["state"]
    return succeeded({"state": {"n": state.get("n", 0) + len(call.event["Records"])}})


async def test_windows_have_a_state_and_an_end() -> None:
    rig = await StreamMappingRig().prepare(window_ms=10_000, parallelization=4, batch_size=2)
    rig.handler.handle = counting
    start_ms = rig.clock.now_ms()
    assert start_ms % 10_000 == 0
    await rig.send("a", "b", "c")
    assert [call.event["state"] for call in rig.handler.calls] == [{}, {"n": 2}]
    assert rig.positions[0].window == WindowState(start_ms, '{"n":3}')
    rig.handler.calls.clear()
    await rig.run_for(10_000)
    (final,) = rig.handler.calls
    assert final.event == {
        "Records": [],
        "window": {"start": "2023-11-14T22:13:20Z", "end": "2023-11-14T22:13:30Z"},
        "state": {"n": 3},
        "shardId": SHARD,
        "eventSourceARN": arn("s"),
        "isFinalInvokeForWindow": True,
        "isWindowTerminatedEarly": False,
    }
    assert rig.positions[0].window is None


async def test_a_windows_state_survives_a_restart() -> None:
    rig = await StreamMappingRig().prepare(window_ms=10_000)
    rig.handler.handle = counting
    await rig.send("a", "b")
    rig = await rig.restart()
    await rig.send("c")
    assert [call.event["state"] for call in rig.handler.calls] == [{"n": 2}]
    rig = await rig.restart()
    await rig.run_for(10_000)
    assert [call.event["state"] for call in rig.handler.calls] == [{"n": 3}]


async def test_an_answer_without_a_state_is_a_failure() -> None:
    rig = await StreamMappingRig().prepare(window_ms=10_000, retries_max=0)
    rig.handler.handle = lambda call: succeeded({"n": 1})
    await rig.send("a")
    assert rig.counts.dropped == 1
    assert rig.mapping.record.result == PROBLEM_CALL_FAILED


async def test_a_large_state_terminates_the_window_early() -> None:
    rig = await StreamMappingRig().prepare(window_ms=10_000)

    def handle(call: Call) -> InvocationResult:
        if call.event["isFinalInvokeForWindow"]:
            return succeeded()
        return succeeded({"state": {"text": "x" * 1_048_576}})

    rig.handler.handle = handle
    await rig.send("a")
    first, final = rig.handler.calls
    assert first.event["isWindowTerminatedEarly"] is False
    assert final.event["isWindowTerminatedEarly"] is True
    assert len(final.event["state"]["text"]) == 1_048_576
    assert rig.positions[0].window == WindowState(rig.clock.now_ms())


async def test_the_end_of_a_shard_ends_its_window_before_its_children_begin() -> None:
    rig = await StreamMappingRig().prepare(window_ms=10_000)
    rig.handler.handle = counting
    await rig.send("a")
    rig.split()
    await rig.send("b")
    finals = [(c.data, c.event["isFinalInvokeForWindow"]) for c in rig.handler.calls]
    assert finals == [(["a"], False), ([], True), (["b"], False)]


# Stopping


async def test_stopping_lets_what_runs_end_and_settles_it() -> None:
    rig = await StreamMappingRig().prepare(batch_size=1)
    rig.handler.handle = lambda call: None
    await rig.send("a", "b")
    stopping = asyncio.ensure_future(rig.poller.stop(10_000))
    await rig.settle()
    assert not stopping.done()
    (call,) = rig.handler.calls
    call.end.set_result(succeeded())
    await rig.settle()
    await stopping
    await rig.settle()
    assert rig.numbers() == [2]
    assert len(rig.handler.calls) == 1


async def test_after_the_drain_time_what_runs_is_cancelled_and_not_settled() -> None:
    rig = await StreamMappingRig().prepare()
    rig.handler.handle = lambda call: None
    await rig.send("a")
    stopping = asyncio.ensure_future(rig.poller.stop(10_000))
    await rig.settle()
    await rig.run_for(10_000)
    await stopping
    assert rig.handler.calls[0].was_cancelled
    assert rig.numbers() == [1]


async def test_stopping_does_not_wait_for_a_pause() -> None:
    rig = await StreamMappingRig().prepare()
    rig.handler.handle = fails_on("a")
    await rig.send("a")
    await rig.poller.stop(10_000)
    await rig.run_for(60_000)
    assert rig.handler.batches == [["a"]]
    await rig.poller.stop(0)  # again: nothing is left to do


async def test_a_deleted_mapping_ends_with_what_runs() -> None:
    rig = await StreamMappingRig().prepare()
    rig.handler.handle = lambda call: None
    await rig.send("a")
    rig.request(lambda e: e.mappings.delete(rig.mapping))
    await rig.settle()
    rig.handler.calls[0].end.set_result(succeeded())
    await rig.settle()
    rig.engine.begin()
    assert rig.engine.mappings.all_of("000000000000", "us-east-1") == []
    await rig.send("b")
    assert len(rig.handler.calls) == 1


async def test_closing_the_engine_ends_the_poller() -> None:
    handler = Handler()
    rig = await StreamMappingRig(handler=handler).prepare()
    await rig.send("a")
    closing = asyncio.ensure_future(rig.engine.close())
    await rig.settle()
    await closing
    assert handler.batches == [["a"]]
