"""Event source mappings of streams, from the record to the stored position."""

from __future__ import annotations

import asyncio

import pytest

from eventcore.functions.invocation import InvocationResult
from eventcore.mappings.mapping_spec import (
    PROBLEM_CALL_FAILED,
    RESULT_OK,
    WindowState,
)
from eventcore.runtime import shard_poller
from eventcore.streams.aggregation import deaggregate
from tests.unit.runtime.rig import turn
from tests.unit.runtime.stream_engine import DAY_MS, SHARD, arn
from tests.unit.runtime.stream_mapping_rig import (
    FUNCTION,
    Call,
    Handler,
    StreamMappingRig,
    failed,
    fails_on,
    keys_of_lanes,
    succeeded,
)

# From the record to the position


async def test_records_come_in_order_in_batches_and_move_the_position() -> None:
    rig = await StreamMappingRig().prepare(batch_size=2)
    await rig.feed("a", "b", "c")
    assert rig.handler.batches == [["a", "b"], ["c"]]
    await rig.feed("d")
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
    await rig.feed("a", "b")
    rig = await rig.restart()
    await rig.feed("c")
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
    await rig.feed("a")
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


async def test_a_disk_slower_than_the_batches_does_not_have_a_commit_for_each() -> None:
    rig = await StreamMappingRig().prepare(batch_size=1)
    rig.handler.handle = lambda call: None
    await rig.feed("a", "b", "c", "d")

    async def end_next() -> None:
        (call,) = rig.handler.running
        call.end.set_result(succeeded())
        for _ in range(30):
            await asyncio.sleep(0)

    await end_next()
    assert rig.store.pending is not None, "the first position"
    rig.clock.advance(10 * shard_poller.SETTLE_MS)
    rig.store.commit()
    await end_next()
    assert rig.store.pending is None, "the disk was busy until just now"
    rig.clock.advance(shard_poller.SETTLE_MS)
    await end_next()
    assert rig.store.pending is not None
    await rig.settle()
    assert rig.numbers() == [4]


# Where it begins


async def test_latest_is_what_comes_after_the_mapping() -> None:
    rig = await StreamMappingRig().prepare(starting_position="LATEST")
    await rig.feed("a")
    assert rig.handler.batches == [["a"]]
    other = await StreamMappingRig().prepare()
    await other.feed("a", "b")
    other.handler.calls.clear()
    await other.map(starting_position="LATEST", function_arn=f"{FUNCTION}:$LATEST")
    assert other.handler.batches == []
    other = await other.restart()
    await other.feed("c")
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
    await rig.finish(starting_position="AT_TIMESTAMP", starting_ms=at_ms)
    assert rig.handler.batches == [["b", "c"]]


async def test_at_a_timestamp_behind_all_records_new_ones_come() -> None:
    rig = await StreamMappingRig().start()
    rig.make()
    rig.put(b"a")
    rig.clock.advance(1_000)
    await rig.finish(starting_position="AT_TIMESTAMP", starting_ms=rig.clock.now_ms())
    await rig.feed("b")
    assert rig.handler.batches == [["b"]]


# Shards


async def test_children_begin_when_their_parent_is_done() -> None:
    rig = await StreamMappingRig().prepare(batch_size=1)
    rig.handler.handle = lambda call: None
    await rig.feed("a", "b")
    rig.split()
    await rig.feed("c")
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
    await rig.feed("a")
    rig.split()
    await rig.feed("b")
    rig.handler.calls.clear()
    rig = await rig.restart()
    await rig.feed("c")
    assert rig.handler.batches == [["c"]]
    assert rig.poller.shards == 2


async def test_a_child_of_two_waits_for_both() -> None:
    rig = await StreamMappingRig().prepare(shards=2)
    rig.handler.handle = fails_on("bad")
    lower, upper = "k1", "k0"
    await rig.feed("bad", key=lower)
    rig.streams.merge(rig.stream(), SHARD, "shardId-000000000001")
    await rig.feed("c", key=upper)
    rig.handler.calls.clear()
    assert rig.poller.shards == 1
    rig.handler.handle = lambda call: succeeded()
    await rig.run_for(1_000)
    assert rig.handler.batches == [["bad"], ["c"]]


async def test_positions_of_shards_that_are_gone_are_forgotten() -> None:
    rig = await StreamMappingRig().prepare()
    await rig.feed("a")
    rig.split()
    await rig.settle()
    await rig.run_for(2 * DAY_MS)
    rig = await rig.restart()
    assert [position.ordinal for position in rig.positions] == [1, 2]


async def test_children_of_a_shard_that_went_while_blocked_are_read_from_their_beginning() -> None:
    rig = await StreamMappingRig().prepare(starting_position="LATEST")
    rig.handler.handle = lambda call: failed()
    await rig.feed("a")
    rig.split()
    await rig.settle()
    await rig.run_for(DAY_MS // 2)
    await rig.feed("b")
    await rig.run_for(DAY_MS // 2 + 120_000)
    assert {position.ordinal for position in rig.positions} == {1, 2}
    assert rig.handler.batches[-1] == ["b"], "LATEST is for the shards of the beginning"


@pytest.mark.parametrize("is_at_once", [False, True])
@pytest.mark.parametrize("later_ms", [0, 1])
async def test_a_stream_that_was_made_anew_is_read_from_its_beginning(
    is_at_once: bool, later_ms: int
) -> None:
    rig = await StreamMappingRig().prepare(starting_position="LATEST")
    await rig.feed("a", "b", "c")
    rig.remove()
    if not is_at_once:
        await rig.settle()
    rig.clock.advance(later_ms)
    rig.make(2)
    rig.put(b"d")
    await rig.settle()
    assert rig.handler.batches == [["a", "b", "c"], ["d"]]
    assert len(rig.positions) == 2


@pytest.mark.parametrize("is_closed", [False, True])
@pytest.mark.parametrize("is_at_once", [False, True])
async def test_a_batch_of_a_deleted_stream_is_not_settled_in_the_next(
    is_closed: bool, is_at_once: bool
) -> None:
    rig = await StreamMappingRig().prepare()
    rig.handler.handle = lambda call: None
    await rig.feed("a", "b", "c")
    if is_closed:
        rig.split()
        await rig.settle()
    (call,) = rig.handler.calls
    rig.remove()
    if not is_at_once:
        await rig.settle()
    rig.clock.advance(1)
    rig.make()
    await rig.feed("d")
    rig.handler.handle = lambda call: succeeded()
    call.end.set_result(succeeded())
    await rig.settle()
    assert rig.handler.batches[-1] == ["d"]
    assert rig.numbers() == [2]


# Filters


FILTER = '{"data": {"wanted": [true]}}'
WANTED = '{"wanted": true}'
OTHER = '{"wanted": false}'


async def test_dropped_records_are_passed_over() -> None:
    rig = await StreamMappingRig().prepare(filters=(FILTER,), batch_size=2)
    await rig.feed(OTHER, WANTED, OTHER, WANTED, OTHER)
    assert rig.handler.batches == [[WANTED, WANTED]]
    assert rig.numbers() == [6]
    assert (rig.counts.polled, rig.counts.filtered_out, rig.counts.invoked) == (5, 3, 2)


async def test_a_stretch_of_dropped_records_is_settled_alone() -> None:
    rig = await StreamMappingRig().prepare(filters=(FILTER,))
    await rig.feed(*[OTHER] * (shard_poller.PASSED_RECORDS - 1))
    assert rig.numbers() == [1]
    await rig.feed(OTHER)
    assert rig.numbers() == [shard_poller.PASSED_RECORDS + 1]
    assert rig.handler.batches == []


async def test_what_idle_lanes_passed_over_is_settled_at_the_end() -> None:
    rig = await StreamMappingRig().prepare(filters=(FILTER,), parallelization=2)
    await rig.feed(OTHER, OTHER)
    await rig.poller.stop(1_000)
    await rig.settle()
    assert rig.numbers() == [3, 3]


# The batch window


async def test_a_batch_window_is_timed() -> None:
    rig = await StreamMappingRig().prepare(batch_window_ms=5_000)
    await rig.feed("a")
    await rig.run_for(4_999)
    await rig.feed("b")
    assert rig.handler.batches == []
    await rig.run_for(1)
    assert rig.handler.batches == [["a", "b"]]


# Lanes


async def test_lanes_run_side_by_side_and_keys_stay_in_order() -> None:
    first, second = keys_of_lanes(2)
    rig = await StreamMappingRig().prepare(parallelization=2, batch_size=1)
    rig.handler.handle = lambda call: None
    await rig.feed_keyed((first, "a1"), (second, "b1"), (first, "a2"), (second, "b2"))
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
    await rig.feed_keyed((first, "bad"), (second, "b1"), (first, "a1"), (second, "b2"))
    assert rig.handler.batches == [["bad"], ["b1"], ["b2"]]
    await rig.feed_keyed((second, "b3"))
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
    await rig.feed_keyed((first, "bad"), *[(first, f"a{at}") for at in range(40)], (second, "b"))
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
    await rig.feed_keyed((second, "b0"), (first, "bad"), (second, "b1"))
    rig.handler.handle = lambda call: succeeded()
    rig.handler.calls.clear()
    await rig.update(parallelization=3)
    assert sorted(rig.handler.batches) == [["b1"], ["bad"]]
    assert [(p.lane, p.lanes) for p in rig.positions] == [(0, 3), (1, 3), (2, 3)]


async def test_an_idle_lane_does_not_hold_the_shards_position() -> None:
    _, second = keys_of_lanes(2)
    rig = await StreamMappingRig().prepare(parallelization=2)
    await rig.feed(*["x"] * (shard_poller.PASSED_RECORDS + 5), key=second)
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
    await rig.feed("a", "b", "c")
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
    await rig.feed("a", "b")
    rig = await rig.restart()
    await rig.feed("c")
    assert [call.event["state"] for call in rig.handler.calls] == [{"n": 2}]
    rig = await rig.restart()
    await rig.run_for(10_000)
    assert [call.event["state"] for call in rig.handler.calls] == [{"n": 3}]


async def test_an_answer_without_a_state_is_a_failure() -> None:
    rig = await StreamMappingRig().prepare(window_ms=10_000, retries_max=0)
    rig.handler.handle = lambda call: succeeded({"n": 1})
    await rig.feed("a")
    assert rig.counts.dropped == 1
    assert rig.mapping.record.result == PROBLEM_CALL_FAILED


async def test_a_large_state_terminates_the_window_early() -> None:
    rig = await StreamMappingRig().prepare(window_ms=10_000)

    def handle(call: Call) -> InvocationResult:
        if call.event["isFinalInvokeForWindow"]:
            return succeeded()
        return succeeded({"state": {"text": "x" * 1_048_576}})

    rig.handler.handle = handle
    await rig.feed("a")
    first, final = rig.handler.calls
    assert first.event["isWindowTerminatedEarly"] is False
    assert final.event["isWindowTerminatedEarly"] is True
    assert len(final.event["state"]["text"]) == 1_048_576
    assert rig.positions[0].window == WindowState(rig.clock.now_ms())


async def test_the_end_of_a_shard_ends_its_window_before_its_children_begin() -> None:
    rig = await StreamMappingRig().prepare(window_ms=10_000)
    rig.handler.handle = counting
    await rig.feed("a")
    rig.split()
    await rig.feed("b")
    finals = [(c.data, c.event["isFinalInvokeForWindow"]) for c in rig.handler.calls]
    assert finals == [(["a"], False), ([], True), (["b"], False)]


# Stopping


async def test_stopping_lets_what_runs_end_and_settles_it() -> None:
    rig = await StreamMappingRig().prepare(batch_size=1)
    rig.handler.handle = lambda call: None
    await rig.feed("a", "b")
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
    await rig.feed("a")
    stopping = asyncio.ensure_future(rig.poller.stop(10_000))
    await rig.settle()
    await rig.run_for(10_000)
    await stopping
    assert rig.handler.calls[0].was_cancelled
    assert rig.numbers() == [1]


async def test_stopping_does_not_wait_for_a_pause() -> None:
    rig = await StreamMappingRig().prepare()
    rig.handler.handle = fails_on("a")
    await rig.feed("a")
    await rig.poller.stop(10_000)
    await rig.run_for(60_000)
    assert rig.handler.batches == [["a"]]
    await rig.poller.stop(0)  # again: nothing is left to do


async def test_a_deleted_mapping_ends_with_what_runs() -> None:
    rig = await StreamMappingRig().prepare()
    rig.handler.handle = lambda call: None
    await rig.feed("a")
    rig.request(lambda e: e.mappings.delete(rig.mapping))
    await rig.settle()
    rig.handler.calls[0].end.set_result(succeeded())
    await rig.settle()
    rig.engine.begin()
    assert rig.engine.mappings.all_of("000000000000", "us-east-1") == []
    await rig.feed("b")
    assert len(rig.handler.calls) == 1


async def test_closing_the_engine_ends_the_poller() -> None:
    handler = Handler()
    rig = await StreamMappingRig(handler=handler).prepare()
    await rig.feed("a")
    closing = asyncio.ensure_future(rig.engine.close())
    await rig.settle()
    await closing
    assert handler.batches == [["a"]]
