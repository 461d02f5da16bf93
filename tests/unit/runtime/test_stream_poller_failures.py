"""Event source mappings of streams: what fails, what can not be invoked, what is too old."""

from __future__ import annotations

import asyncio
import logging
import random
from typing import Any

import pytest

from eventcore.errors import LimitExceeded, RecursiveInvocation, Throttled
from eventcore.functions.invocation import FailedInvocation, InvocationResult, Payload
from eventcore.mappings import source_events
from eventcore.mappings.mapping_spec import (
    PROBLEM_CALL_FAILED,
    PROBLEM_NO_FUNCTION,
    RESULT_OK,
    BatchRange,
)
from eventcore.runtime import shard_poller
from eventcore.testing import ManualClock
from tests.unit.runtime.stream_engine import DAY_MS, SHARD, arn
from tests.unit.runtime.stream_mapping_rig import (
    DEAD,
    FUNCTION,
    Call,
    Handler,
    StreamMappingRig,
    failed,
    fails_on,
    succeeded,
)

# Failures


async def test_a_failed_batch_blocks_its_shard_until_it_succeeds() -> None:
    rig = await StreamMappingRig().prepare(batch_size=2)
    rig.handler.handle = fails_on("b")
    await rig.feed("a", "b", "c")
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
    await rig.feed("a")
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
    await rig.feed("a")
    await rig.feed("b")
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
    await rig.feed("c")
    assert rig.numbers() == [4 if rig.handler.running == [] else 3]
    assert len(rig.dead) == 1
    assert rig.counts.dropped == 2


async def test_a_position_whose_commit_failed_is_stored_again() -> None:
    rig = await StreamMappingRig().prepare()
    rig.handler.handle = lambda call: None
    await rig.feed("a")
    rig.handler.calls[0].end.set_result(succeeded())
    await rig.fail(is_durable=False)
    assert rig.numbers() == [1]
    await rig.run_for(1_000)
    assert rig.numbers() == [2]
    assert rig.handler.batches == [["a"]], "it was done: nobody is asked again"


async def test_reported_records_are_tried_again_from_the_first_one_on() -> None:
    rig = await StreamMappingRig().prepare(reports_item_failures=True, retries_max=1)
    rig.handler.handle = lambda call: succeeded(call.identifiers("c", "d"))
    await rig.feed("a", "b", "c", "d")
    assert rig.handler.batches == [["a", "b", "c", "d"], ["c", "d"]]
    assert rig.positions[0].pending == (BatchRange(3, 4, 1),)
    await rig.run_for(500)
    assert rig.handler.batches == [["c", "d"]]
    assert rig.numbers() == [5]
    assert (rig.counts.dropped, rig.counts.failed) == (2, 6)


async def test_what_is_reported_without_the_setting_is_done() -> None:
    rig = await StreamMappingRig().prepare()
    rig.handler.handle = lambda call: succeeded(call.identifiers("a"))
    await rig.feed("a", "b")
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
    await rig.feed(*(str(at) for at in range(1_000)))
    await rig.run_for(100)
    assert done == [str(at) for at in range(1_000) if at != 617]
    assert len(rig.handler.batches) <= 2 * 10 + 1
    (told,) = rig.dead
    assert told["KinesisBatchInfo"]["batchSize"] == 1


async def test_a_bisect_in_progress_survives_a_restart() -> None:
    rig = await StreamMappingRig().prepare(batch_size=4, is_bisecting=True)
    rig.handler.handle = fails_on("c")
    await rig.feed("a", "b", "c", "d")
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
    await rig.feed("a")
    await rig.run_for(60_000)
    assert rig.handler.refused > 10
    assert rig.numbers() == [1]
    assert rig.counts.invoked == 0
    rig.handler.refusal = None
    await rig.run_for(5_000)
    assert rig.handler.batches == [["a"]]
    assert rig.counts.invoked == 1
    assert rig.counts.dropped == 0


async def test_a_poller_can_be_woken_when_the_function_is_there_again() -> None:
    rig = await StreamMappingRig().prepare()
    rig.handler.refusal = FailedInvocation("nobody has registered it")
    await rig.feed("a")
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
    await rig.feed("a")
    assert rig.handler.batches == []
    assert rig.mapping.record.result == PROBLEM_NO_FUNCTION
    change(True)
    await rig.run_for(1_000)
    assert rig.handler.batches == [["a"]]


async def test_a_recursive_loop_goes_to_the_destination() -> None:
    rig = await StreamMappingRig().prepare(on_failure_arn=DEAD)
    rig.handler.refusal = RecursiveInvocation("handler", 16)
    await rig.feed("a")
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
    await rig.feed("a", "large", "b")
    assert rig.numbers() == [4]
    (told,) = rig.dead
    assert told["KinesisBatchInfo"]["batchSize"] == 1
    assert done == ["a", "b"]


async def test_a_fault_of_the_invoker_is_contained() -> None:
    rig = await StreamMappingRig().prepare()
    rig.handler.refusal = ZeroDivisionError()
    await rig.feed("a")
    rig.handler.refusal = None
    await rig.run_for(1_000)
    assert rig.handler.batches == [["a"]]


async def test_a_handler_that_something_else_cancelled_has_failed() -> None:
    rig = await StreamMappingRig().prepare(retries_max=0)
    rig.handler.refusal = asyncio.CancelledError()
    await rig.feed("a")
    assert rig.counts.dropped == 1


async def test_garbage_is_a_failure_where_failures_are_reported() -> None:
    rig = await StreamMappingRig().prepare(reports_item_failures=True, retries_max=0)
    rig.handler.handle = lambda call: InvocationResult(Payload(b"garbage"))
    await rig.feed("a")
    assert rig.counts.dropped == 1


async def test_a_fault_of_a_shard_has_it_begin_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    rig = await StreamMappingRig().prepare()
    faults = [ZeroDivisionError()]

    def judge(*arguments: Any, **options: Any) -> None:
        if faults:
            raise faults.pop()

    monkeypatch.setattr(shard_poller, "first_failed_record", judge)
    await rig.feed("a")
    assert rig.handler.batches == [["a"]]
    await rig.run_for(1_000)
    assert rig.handler.batches == [["a"]]
    assert rig.numbers() == [2]


async def test_a_fault_while_records_are_taken_over_skips_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rig = await StreamMappingRig().prepare()
    faults = [ZeroDivisionError()]
    real = source_events.record_bytes

    def record_bytes(data: bytes, key: str) -> int:
        if faults:
            raise faults.pop()
        return real(data, key)

    monkeypatch.setattr(shard_poller, "record_bytes", record_bytes)
    await rig.feed("a")
    await rig.feed("b")
    assert rig.handler.batches == []
    await rig.run_for(1_000)
    assert [data for batch in rig.handler.batches for data in batch] == ["a", "b"]
    assert rig.numbers() == [3]


# Age and retention


async def test_old_records_go_to_the_destination_without_an_invocation() -> None:
    rig = await StreamMappingRig().start()
    rig.make()
    rig.put(b"old", b"older")
    await rig.run_for(60_001)
    rig.put(b"new")
    await rig.finish(age_ms_max=60_000, on_failure_arn=DEAD)
    assert rig.handler.batches == [["new"]]
    (told,) = rig.dead
    assert told["requestContext"]["condition"] == "RecordAgeExceeded"
    assert told["requestContext"]["approximateInvokeCount"] == 1
    assert told["KinesisBatchInfo"]["batchSize"] == 2
    assert "responseContext" not in told


async def test_a_record_that_is_tried_for_too_long_goes_to_the_destination() -> None:
    rig = await StreamMappingRig().prepare(age_ms_max=60_000, on_failure_arn=DEAD)
    rig.handler.handle = fails_on("a")
    await rig.feed("a")
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
    await rig.feed("a", "b")
    await rig.run_for(DAY_MS - 10_000)
    await rig.feed("c")
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
    await rig.feed("a", "b")
    store, clock, handler = rig.store.crash(), rig.clock, Handler()
    with caplog.at_level(logging.WARNING, "eventcore"):
        after = StreamMappingRig(store, ManualClock(clock.now_ms() + 2 * DAY_MS), handler)
        after.uuid = rig.uuid
        await after.start()
        await after.feed("c")
    assert handler.batches == [["c"]]
    assert after.poller.expired == 2
    assert any("mapping_records_expired" in record.message for record in caplog.records)


# All at once


@pytest.mark.parametrize("seed", range(12))
async def test_every_record_is_done_or_told_whatever_happens(seed: int) -> None:
    """Failing functions, failing commits, crashes and splits; in order per partition key."""
    chance = random.Random(seed)
    rig = await StreamMappingRig().prepare(
        shards=2,
        batch_size=chance.choice([1, 3, 10]),
        parallelization=chance.choice([1, 3]),
        is_bisecting=chance.random() < 0.5,
        retries_max=chance.choice([0, 2]),
        reports_item_failures=chance.random() < 0.5,
        on_failure_arn=DEAD,
    )
    done: list[str] = []
    put = 0

    def handle(call: Call) -> InvocationResult:
        bad = [data for data in call.data if data.endswith("poison") or chance.random() < 0.02]
        if not bad:
            done.extend(call.data)
            return succeeded()
        if rig.mapping.spec.reports_item_failures:
            done.extend(call.data[: call.data.index(bad[0])])
            return succeeded(call.identifiers(*bad))
        return failed()

    rig.handler.handle = handle
    for _ in range(30):
        for _ in range(chance.randrange(20)):
            put += 1
            kind = "poison" if chance.random() < 0.03 else "good"
            key = chance.choice("abcdefgh")
            rig.put(f"{put:05d} {key} {kind}".encode(), key=key)
        await rig.settle()
        event = chance.random()
        if event < 0.15:
            rig.put(f"{put + 1:05d} a good".encode(), key="a")
            put += 1
            is_durable = chance.random() < 0.5
            put -= not is_durable
            await rig.fail(is_durable=is_durable)
        elif event < 0.3:
            rig = await rig.restart()
        elif event < 0.35 and len(rig.streams.shards(rig.stream())) < 4:
            rig.split(0, 1 << 126)
        await rig.run_for(chance.choice([0, 100, 2_000]))
    await rig.run_for(600_000)
    told = sum(document["KinesisBatchInfo"]["batchSize"] for document in told_by(rig))
    assert len(set(done)) + told >= put
    assert told == 0 or len(set(done)) < put
    for key in "abcdefgh":
        firsts = list(dict.fromkeys(data for data in done if data[6] == key))
        assert firsts == sorted(firsts)
    assert all(position.pending == () for position in rig.positions)


def told_by(rig: StreamMappingRig) -> list[dict[str, Any]]:
    """All documents of the destination."""
    found = []
    while documents := rig.dead:
        found += documents
    return found
