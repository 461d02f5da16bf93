"""The poller of a queue's mapping when something is gone, when commits fail, and when it stops."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from msgspec import structs

from eventcore.errors import (
    BrokerClosed,
    NotFound,
    StoreUnavailable,
    Throttled,
)
from eventcore.functions.function_spec import KIND_LOCAL, FunctionConfig
from eventcore.mappings.mapping_spec import (
    NO_RECORDS_PROCESSED,
    PROBLEM_CALL_FAILED,
    PROBLEM_NO_FUNCTION,
    PROBLEM_NO_QUEUE,
    RESULT_OK,
    MappingSpec,
)
from eventcore.runtime.local_functions import LocalFunction
from eventcore.runtime.queue_poller import ABSENCE_PAUSE_MS_MAX, STORE_PAUSE_MS_MAX
from tests.unit.runtime.queue_mapping_rig import (
    FUNCTION,
    MappingRig,
    Opened,
    open_rigs,
    succeeded,
)
from tests.unit.runtime.rig import PREFIX, EngineRig

SECOND_MS = 1_000
VISIBILITY_MS = 30_000
THROTTLED = Throttled("handler", "ReservedFunctionConcurrentInvocationLimitExceeded")


@pytest.fixture
async def opened() -> AsyncIterator[Opened]:
    """Makes rigs with a poller that runs, and ends them."""
    async with open_rigs() as open_rig:
        yield open_rig


def bodies(count: int) -> list[str]:
    return [f"m{number}" for number in range(count)]


# What is not there


async def test_without_its_function_nothing_is_received(opened: Opened) -> None:
    rig = await opened()
    rig.functions.is_there = False
    await rig.put("a")
    await rig.put("b")
    assert rig.left == (2, 0, 0) and rig.result == PROBLEM_NO_FUNCTION
    await rig.run_for(60 * SECOND_MS)
    rig.functions.is_there = True
    await rig.run_for(ABSENCE_PAUSE_MS_MAX)
    assert rig.functions.bodies == [["a", "b"]]


async def test_a_function_that_goes_while_its_batch_is_tried(opened: Opened) -> None:
    rig = await opened()
    rig.functions.refusal = NotFound("function", "handler")
    await rig.put("a")
    await rig.run_for(VISIBILITY_MS // 2)
    assert rig.left == (0, 1, 0) and rig.result == PROBLEM_NO_FUNCTION


async def test_without_its_alias_nothing_is_received(opened: Opened) -> None:
    rig = await opened(function_arn=FUNCTION + ":dead")
    await rig.put("a")
    assert rig.left == (1, 0, 0) and rig.result == PROBLEM_NO_FUNCTION


async def test_a_callable_that_is_registered_later_is_waited_for(opened: Opened) -> None:
    rig = await MappingRig().prepare()
    rig.functions.is_registered = False
    await rig.begin()
    await rig.put("a")
    assert rig.left == (1, 0, 0) and rig.result == NO_RECORDS_PROCESSED
    rig.functions.is_registered = True
    rig.poller.wake()
    await rig.settle()
    assert rig.functions.bodies == [["a"]]
    await rig.poller.stop(0)


async def test_a_queue_that_is_deleted_and_made_anew(opened: Opened) -> None:
    rig = await opened()
    await rig.put("a")
    rig.drop("q")
    await rig.settle()
    rig.functions.calls[0].succeed()
    await rig.settle()
    assert rig.result == PROBLEM_NO_QUEUE
    rig.request(lambda e: e.create_queue(PREFIX + "q", rig.queue_spec))
    await rig.put("b")
    await rig.run_for(ABSENCE_PAUSE_MS_MAX)
    assert rig.functions.bodies == [["a"], ["b"]]


async def test_handles_of_an_earlier_queue_of_the_name_are_no_trouble(opened: Opened) -> None:
    rig = await opened()
    await rig.put("a")
    rig.drop("q")
    rig.clock.advance(1)
    rig.request(lambda e: e.create_queue(PREFIX + "q", rig.queue_spec))
    rig.functions.calls[0].succeed()
    await rig.run_for(SECOND_MS)
    assert rig.mappings.kept.deleted == 0
    await rig.put("b")
    await rig.run_for(ABSENCE_PAUSE_MS_MAX)
    assert rig.functions.bodies == [["a"], ["b"]]


async def test_a_mapping_that_is_gone_receives_nothing(opened: Opened) -> None:
    rig = await opened()
    rig.mapping = None
    await rig.put("a")
    assert rig.functions.calls == [] and rig.left == (1, 0, 0)
    assert len(rig.engine._waiters) == 0


# Commits that fail


async def test_a_receive_that_was_not_stored_is_not_run(opened: Opened) -> None:
    rig = await opened()
    rig.put_only("a")
    while rig.store.pending is None:
        await asyncio.sleep(0)
    rig.store.fail(is_durable=False)
    await rig.run_for(STORE_PAUSE_MS_MAX)
    assert rig.functions.calls == []
    await rig.put("b")
    assert rig.functions.bodies == [["b"]]


async def test_a_receive_that_may_have_been_stored_comes_again(opened: Opened) -> None:
    rig = await opened()
    rig.put_only("a")
    while rig.store.pending is None:
        await asyncio.sleep(0)
    rig.store.fail(is_durable=True)
    await rig.settle()
    assert rig.functions.calls == []
    await rig.run_for(STORE_PAUSE_MS_MAX)
    assert rig.functions.bodies == [["a"]], "it does not wait for its visibility"


async def test_what_was_gathered_when_a_commit_failed_comes_again_at_once(opened: Opened) -> None:
    rig = await opened(batch_window_ms=5 * SECOND_MS)
    await rig.put("a")
    rig.put_only("b")
    while rig.store.pending is None:
        await asyncio.sleep(0)
    rig.store.fail(is_durable=False)
    await rig.run_for(STORE_PAUSE_MS_MAX)
    assert rig.functions.calls == [], "a window of its own"
    await rig.run_for(5 * SECOND_MS)
    assert rig.functions.bodies == [["a"]]


async def test_a_receive_that_was_not_stored_leaves_nothing_behind(opened: Opened) -> None:
    rig = await MappingRig().prepare(is_fifo=True)
    await rig.put(*[f"{n}" + "x" * 1_000_000 for n in range(10)], group="g")
    rig.poller.start()  # it makes two batches of the group, of which one is to be begun
    while rig.store.pending is None:
        await asyncio.sleep(0)
    rig.store.fail(is_durable=False)
    await rig.run_for(STORE_PAUSE_MS_MAX)
    assert [body[0] for body in rig.functions.bodies[0]] == list("012345")
    assert len(rig.functions.calls) == 1
    rig.functions.calls[0].succeed()
    await rig.settle()
    assert [body[0] for body in rig.functions.bodies[1]] == list("6789")
    await rig.poller.stop(0)


@pytest.mark.parametrize("is_durable", [False, True])
async def test_a_settlement_that_was_not_stored_is_made_again(
    opened: Opened, is_durable: bool
) -> None:
    rig = await opened()
    await rig.put("a")
    rig.functions.calls[0].succeed()
    while rig.store.pending is None:
        await asyncio.sleep(0)
    rig.store.fail(is_durable=is_durable)
    await rig.run_for(2 * STORE_PAUSE_MS_MAX)
    assert rig.left == (0, 0, 0) and rig.mappings.kept.deleted == 1
    await rig.run_for(VISIBILITY_MS)
    assert rig.functions.bodies == [["a"]]


async def test_a_batch_that_runs_while_everything_is_loaded_anew(opened: Opened) -> None:
    rig = await opened()
    await rig.put("a")
    rig.create("other")
    while rig.store.pending is None:
        await asyncio.sleep(0)
    rig.store.fail(is_durable=False)
    rig.functions.calls[0].succeed()
    await rig.run_for(STORE_PAUSE_MS_MAX)
    assert rig.left == (0, 0, 0)
    await rig.put("b")
    assert rig.functions.bodies == [["a"], ["b"]]


async def test_a_body_that_can_not_be_read_back(opened: Opened) -> None:
    rig = MappingRig(memory_bytes_max=0)
    await rig.prepare()
    await rig.begin()
    reads = rig.store.read
    failures = [StoreUnavailable("injected fault: read")]

    def read(component: int, keys: Any) -> Any:
        if failures:
            raise failures.pop()
        return reads(component, keys)

    rig.store.read = read  # type: ignore[method-assign]
    await rig.put("a")
    await rig.run_for(VISIBILITY_MS + STORE_PAUSE_MS_MAX)
    await rig.put("b")
    assert failures == []
    assert rig.functions.bodies[-1] == ["b"]
    await rig.poller.stop(0)


# With the engine's own functions and mappings


async def mapped(rig: EngineRig, seen: list[str], **settings: Any) -> str:
    """A queue, a function of this program that fails for bodies "bad", a mapping; gives its ARN."""

    async def handler(event: Any, context: Any) -> None:
        bodies = [record["body"] for record in event["Records"]]
        seen.extend(bodies)
        assert "bad" not in bodies

    rig.create("q")
    rig.request(lambda e: e.functions.create(FUNCTION, FunctionConfig(kind=KIND_LOCAL), None))
    rig.engine.functions.register(FUNCTION, LocalFunction(handler, rig.clock))
    spec = MappingSpec(source_arn=PREFIX + "q", function_arn=FUNCTION, **settings)
    answer = rig.request(lambda e: e.mappings.create("000000000000", "us-east-1", spec))
    await rig.settle()
    arn: str = answer.value.arn
    await rig.engine.mappings.at_rest(arn)
    return arn


def result_of(rig: EngineRig, arn: str) -> str:
    return rig.engine.mappings.find(arn.rpartition(":")[2]).record.result


async def closed(rig: EngineRig) -> None:
    closing = asyncio.ensure_future(rig.engine.close())
    while not closing.done():
        await rig.settle()
    await closing


async def test_from_a_queue_to_a_callable_of_the_program() -> None:
    rig, seen = await EngineRig().start(), list[str]()
    arn = await mapped(rig, seen)
    rig.send("q", "a", "b")
    await rig.settle()
    assert seen == ["a", "b"] and rig.counts("q") == (0, 0, 0)
    assert result_of(rig, arn) == RESULT_OK
    rig.send("q", "bad")
    await rig.settle()
    assert rig.counts("q") == (0, 1, 0)
    assert result_of(rig, arn) == PROBLEM_CALL_FAILED
    counts = rig.engine.mappings.counts(arn)
    assert (counts.polled, counts.invoked, counts.deleted, counts.failed) == (3, 3, 2, 1)
    await closed(rig)


async def test_an_update_does_not_wait_for_what_runs() -> None:
    rig, seen = await EngineRig().start(), list[str]()
    arn = await mapped(rig, seen)
    going = asyncio.get_running_loop().create_future()

    async def slow(event: Any, context: Any) -> None:
        seen.extend(record["body"] for record in event["Records"])
        await going

    rig.engine.functions.register(FUNCTION, LocalFunction(slow, rig.clock))
    rig.send("q", "a")
    await rig.settle()

    def update(engine: Any) -> None:
        mapping = engine.mappings.find(arn.rpartition(":")[2])
        engine.mappings.update(mapping, structs.replace(mapping.spec, batch_size=1), None)

    rig.request(update)
    await rig.settle()
    assert rig.engine.mappings.find(arn.rpartition(":")[2]).state == "Enabled"
    rig.send("q", "b")
    await rig.settle()
    assert seen == ["a", "b"]
    going.set_result(None)
    await rig.settle()
    assert rig.counts("q") == (0, 0, 0)
    await closed(rig)


async def test_a_disabled_mapping_leaves_its_queue_alone_until_it_is_enabled() -> None:
    rig, seen = await EngineRig().start(), list[str]()
    arn = await mapped(rig, seen)
    for is_enabled in (False, True):
        mapping = rig.engine.mappings.find(arn.rpartition(":")[2])
        rig.engine.begin()
        rig.engine.mappings.update(mapping, mapping.spec, is_enabled)
        await rig.settle()
        await rig.engine.mappings.at_rest(arn)
        rig.send("q", f"{is_enabled}")
        await rig.settle()
        assert seen == (["False", "True"] if is_enabled else [])
    await closed(rig)


async def test_after_a_failed_commit_the_same_mapping_goes_on() -> None:
    rig, seen = await EngineRig().start(), list[str]()
    await mapped(rig, seen)
    rig.send("q", "lost")
    while rig.store.pending is None:
        await asyncio.sleep(0)
    rig.store.fail(is_durable=False)
    await rig.run_for(STORE_PAUSE_MS_MAX)
    rig.send("q", "a")
    await rig.settle()
    assert seen == ["a"] and rig.counts("q") == (0, 0, 0)
    await closed(rig)


# Ends


@asynccontextmanager
async def stopping(rig: MappingRig, drain_ms: int) -> AsyncIterator[asyncio.Future[None]]:
    """Within, the poller is being stopped."""
    stop = asyncio.ensure_future(rig.poller.stop(drain_ms))
    await rig.settle()
    yield stop
    await stop


async def test_stopping_lets_what_runs_end_and_settles_it(opened: Opened) -> None:
    rig = await opened(batch_size=1, concurrency_max=2)
    await rig.put("a", "b", "c")
    async with stopping(rig, 10 * SECOND_MS) as stop:
        assert not stop.done()
        rig.functions.calls[0].succeed()
        await rig.settle()
        assert not stop.done() and rig.left == (1, 1, 0)
        rig.functions.calls[1].fail()
        await rig.settle()
        assert stop.done()
    assert rig.functions.bodies == [["a"], ["b"]] and rig.left == (1, 1, 0)
    assert len(rig.engine._waiters) == 0


async def test_what_does_not_end_in_time_is_cancelled_and_left(opened: Opened) -> None:
    rig = await opened()
    await rig.put("a")
    async with stopping(rig, SECOND_MS) as stop:
        await rig.run_for(SECOND_MS - 1)
        assert not stop.done()
        await rig.run_for(1)
    assert rig.functions.calls[0].was_cancelled and rig.left == (0, 1, 0)
    assert rig.poller.invocations == 0
    await rig.run_for(VISIBILITY_MS)
    assert rig.left == (1, 0, 0) and len(rig.functions.calls) == 1


async def test_messages_that_were_gathered_are_visible_again_at_once(opened: Opened) -> None:
    rig = await opened(batch_size=100, batch_window_ms=10 * SECOND_MS)
    await rig.put("a", "b")
    assert rig.left == (0, 2, 0)
    async with stopping(rig, SECOND_MS):
        pass
    assert rig.left == (2, 0, 0) and rig.functions.calls == []
    assert rig.clock.next_deadline() != rig.clock.now_ms() + 10 * SECOND_MS


async def test_a_throttled_batch_is_given_back_when_it_stops(opened: Opened) -> None:
    rig = await opened()
    rig.functions.refusal = THROTTLED
    await rig.put("a")
    async with stopping(rig, SECOND_MS):
        pass
    assert rig.left == (1, 0, 0)


async def test_a_batch_that_is_about_to_begin_is_given_back_when_it_stops(opened: Opened) -> None:
    rig = await opened()
    rig.put_only("a")
    while rig.store.pending is None:
        await asyncio.sleep(0)
    async with stopping(rig, SECOND_MS):
        pass
    assert rig.left == (1, 0, 0) and rig.functions.calls == []


async def test_a_stop_that_is_cancelled_may_be_made_again(opened: Opened) -> None:
    rig = await opened()
    await rig.put("a")
    first = asyncio.ensure_future(rig.poller.stop(900 * SECOND_MS))
    await rig.settle()
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    assert rig.poller.invocations == 1
    async with stopping(rig, SECOND_MS):
        rig.functions.calls[0].succeed()
        await rig.settle()
    assert rig.left == (0, 0, 0) and not rig.functions.calls[0].was_cancelled


async def test_stopping_waits_until_the_settlement_is_durable(opened: Opened) -> None:
    rig = await opened()
    await rig.put("a")
    async with stopping(rig, 100 * SECOND_MS) as stop:
        rig.functions.calls[0].succeed()
        while rig.store.pending is None:
            await asyncio.sleep(0)
        assert not stop.done()
        rig.store.fail(is_durable=False)
        await rig.run_for(2 * STORE_PAUSE_MS_MAX)
        assert stop.done()
    assert rig.left == (0, 0, 0)


async def test_a_second_poller_goes_on_where_the_first_one_ended(opened: Opened) -> None:
    rig = await opened(batch_size=1, concurrency_max=2)
    await rig.put(*bodies(5))
    for call in rig.functions.calls:
        call.succeed()
    async with stopping(rig, SECOND_MS):
        pass
    rig.poller = rig.new_poller()
    rig.functions.handle = lambda call: succeeded()
    await rig.begin()
    assert [body for (body,) in rig.functions.bodies] == bodies(5)
    assert rig.left == (0, 0, 0)


async def test_a_broker_that_closes_ends_it() -> None:
    rig = await MappingRig().prepare()
    await rig.begin()
    await rig.put("a")
    closing = asyncio.ensure_future(rig.engine.close())
    await rig.settle()
    await closing
    rig.functions.calls[0].succeed()
    await rig.settle()
    with pytest.raises(BrokerClosed):
        rig.engine.begin()
    await rig.poller.stop(SECOND_MS)
    assert rig.poller.invocations == 0
