"""Functions in the engine: invocation, concurrency, loops, asynchronous events, targets."""

from __future__ import annotations

import asyncio
import json

import pytest

from eventcore.arn import function_arn, queue_arn
from eventcore.buses.bus import EventEntry, RuleSpec, Target
from eventcore.errors import (
    AlreadyExists,
    InvalidParameter,
    NotFound,
    RecursiveInvocation,
    Throttled,
    UnsupportedOperation,
)
from eventcore.functions import lineage
from eventcore.functions.async_events import AsyncEvent
from eventcore.functions.function_spec import (
    KIND_HTTP,
    KIND_LOCAL,
    LATEST,
    FunctionConfig,
    InvokeConfig,
)
from eventcore.functions.invocation import (
    UNHANDLED,
    FailedInvocation,
    InvocationResult,
    Payload,
    error_payload,
)
from eventcore.limits import Quotas
from eventcore.queues.queue_spec import QueueSpec, ReceiveRequest
from eventcore.runtime.engine import Engine
from eventcore.stores.factory import store_for
from eventcore.stores.memory import MemoryStore
from eventcore.testing import ManualClock, SeededIds

ACCOUNT, REGION = "000000000000", "us-east-1"
MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS


async def until(is_so):
    async with asyncio.timeout(10):
        while not is_so():
            await asyncio.sleep(0.001)


def arn(name):
    return function_arn(ACCOUNT, REGION, name)


class Scripted:
    """An invoker that answers what it is told to, and notes what it was given."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.seen = []
        self.gate = None
        self.running = 0
        self.running_max = 0

    async def invoke(self, invocation):
        self.seen.append(invocation)
        self.running += 1
        self.running_max = max(self.running_max, self.running)
        try:
            if self.gate is not None:
                await self.gate.wait()
        finally:
            self.running -= 1
        answer = self.answers.pop(0) if self.answers else "ok"
        if isinstance(answer, Exception):
            raise answer
        if answer == "error":
            payload = error_payload("ValueError", "no")
            return InvocationResult(payload, UNHANDLED, invocation.version)
        return InvocationResult(Payload.of(answer), None, invocation.version)

    async def close(self): ...


class Rig:
    def __init__(self, store=None, **options):
        self.clock = ManualClock()
        store = store or MemoryStore()
        self.engine = Engine(store, clock=self.clock, ids=SeededIds(7), **options)

    async def __aenter__(self):
        await self.engine.start()
        return self

    async def __aexit__(self, *exception):
        await self.engine.close()

    async def done(self):
        barrier = self.engine.barrier()
        if barrier is not None:
            await barrier

    async def make(self, name="f", *answers, reserved=None, config=None, **settings):
        engine = self.engine
        engine.begin()
        config = config or FunctionConfig(kind=KIND_LOCAL)
        function = engine.functions.create(arn(name), config, None)
        if reserved is not None:
            engine.functions.run(function, function.set_reserved(reserved))
        if settings:
            record = InvokeConfig(engine.now_ms(), **settings)
            engine.functions.run(function, function.set_invoke_config(LATEST, record))
        await self.done()
        invoker = Scripted(*answers)
        engine.functions.register(arn(name), invoker)
        return invoker

    async def queue(self, name):
        self.engine.begin()
        self.engine.create_queue(queue_arn(ACCOUNT, REGION, name), QueueSpec())
        await self.done()
        return queue_arn(ACCOUNT, REGION, name)

    async def bodies(self, name):
        self.engine.begin()
        queue = self.engine.queue(queue_arn(ACCOUNT, REGION, name))
        received = self.engine.receive(queue, ReceiveRequest(10))
        await self.done()
        return [message.record.body for message in received]

    async def later(self, name="f", payload="{}", **event):
        self.engine.begin()
        function = self.engine.functions.find(arn(name))
        request_id = self.engine.functions.invoke_later(function, AsyncEvent(payload, **event))
        await self.done()
        return request_id

    async def invoke(self, name="f", value=None, **options):
        return await self.engine.functions.invoke(arn(name), Payload.of(value), **options)

    def statistics(self, name="f"):
        function = self.engine.find(arn(name))
        assert function is not None
        return function.statistics(self.clock.now_ms())


# Synchronous


async def test_a_function_is_given_what_its_caller_named():
    async with Rig() as rig:
        invoker = await rig.make("f", {"sum": 3})
        result = await rig.invoke("f", [1, 2], client_context='{"a":1}')
    (seen,) = invoker.seen
    assert result.payload.value == {"sum": 3}
    assert (seen.payload.value, seen.version, seen.client_context) == ([1, 2], LATEST, '{"a":1}')
    assert (seen.function_arn, seen.invoked_arn) == (arn("f"), arn("f"))
    assert seen.deadline_ms == rig.clock.now_ms() + seen.config.timeout_ms


async def test_an_alias_sends_its_share_to_another_version():
    async with Rig() as rig:
        invoker = await rig.make()
        engine = rig.engine
        engine.begin()
        function = engine.functions.find(arn("f"))
        now_ms = engine.now_ms()
        engine.functions.run(function, function.publish(now_ms))
        config = FunctionConfig(kind=KIND_LOCAL, description="second")
        engine.functions.run(function, function.update_config(config, now_ms))
        engine.functions.run(function, function.publish(now_ms))
        alias = function.put_alias("live", "1", description="", weights={"2": 0.25}, is_new=True)
        engine.functions.run(function, alias)
        await rig.done()
        for _ in range(400):
            await rig.invoke(qualifier="live")
    versions = [seen.version for seen in invoker.seen]
    assert 60 < versions.count("2") < 140
    assert versions.count("1") + versions.count("2") == 400
    assert invoker.seen[0].invoked_arn == f"{arn('f')}:live"


@pytest.mark.parametrize("qualifier", ["7", "nowhere"])
async def test_a_qualifier_that_names_nothing_is_refused(qualifier):
    async with Rig() as rig:
        invoker = await rig.make()
        with pytest.raises(NotFound):
            await rig.invoke(qualifier=qualifier)
    assert invoker.seen == []


async def test_a_function_that_is_not_there_is_refused():
    async with Rig() as rig:
        with pytest.raises(NotFound, match="'f'"):
            await rig.invoke()


async def test_a_callable_that_nobody_registered_can_not_be_begun():
    async with Rig() as rig:
        await rig.make()
        await rig.engine.functions.unregister([arn("f")], 1_000)
        with pytest.raises(FailedInvocation):
            await rig.invoke()


async def test_an_endpoint_without_a_connector_is_refused():
    async with Rig() as rig:
        rig.engine.begin()
        config = FunctionConfig(kind=KIND_HTTP, handler="gopher://example.org")
        with pytest.raises(UnsupportedOperation):
            rig.engine.functions.create(arn("f"), config, None)
        with pytest.raises(InvalidParameter):
            rig.engine.functions.create(arn("f"), FunctionConfig(kind="magic"), None)
        assert rig.engine.find(arn("f")) is None


async def test_a_name_is_given_once():
    async with Rig() as rig:
        await rig.make()
        with pytest.raises(AlreadyExists):
            await rig.make()


# Concurrency


async def test_reserved_concurrency_bounds_a_function_and_frees_its_place():
    async with Rig() as rig:
        invoker = await rig.make(reserved=2)
        invoker.gate = asyncio.Event()
        running = [asyncio.ensure_future(rig.invoke()) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(Throttled) as raised:
            await rig.invoke()
        assert raised.value.reason == "ReservedFunctionConcurrentInvocationLimitExceeded"
        assert rig.engine.functions.concurrency(rig.engine.find(arn("f"))) == 2
        invoker.gate.set()
        await asyncio.gather(*running)
        assert (await rig.invoke()).error is None
        assert rig.engine.functions.counts(arn("f")).throttles == 1


async def test_no_concurrency_means_no_invocation():
    async with Rig() as rig:
        await rig.make(reserved=0)
        with pytest.raises(Throttled):
            await rig.invoke()


async def test_the_accounts_concurrency_is_what_no_function_reserved():
    async with Rig(quotas=Quotas(function_concurrency_max=3)) as rig:
        first, second = await rig.make("a"), await rig.make("b")
        reserved = await rig.make("c", reserved=1)
        for invoker in (first, second, reserved):
            invoker.gate = asyncio.Event()
        running = [asyncio.ensure_future(rig.invoke(name)) for name in ("a", "b", "c")]
        await asyncio.sleep(0)
        with pytest.raises(Throttled) as raised:
            await rig.invoke("a")
        assert raised.value.reason == "ConcurrentInvocationLimitExceeded"
        for invoker in (first, second, reserved):
            invoker.gate.set()
        await asyncio.gather(*running)
        assert (await rig.invoke("a")).error is None
        rig.engine.begin()
        assert rig.engine.functions.unreserved(ACCOUNT, REGION) == 2


async def test_a_cancelled_caller_frees_its_place():
    async with Rig() as rig:
        invoker = await rig.make(reserved=1)
        invoker.gate = asyncio.Event()
        task = asyncio.ensure_future(rig.invoke())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        invoker.gate = None
        assert (await rig.invoke()).error is None


# Loops


async def test_a_chain_that_comes_back_too_often_is_a_loop():
    async with Rig() as rig:
        invoker = await rig.make()
        header = "Root=1-5759e988-bd862e3fe1be46a994272793"
        for _ in range(16):
            await rig.invoke(trace_header=header)
            header = invoker.seen[-1].trace_header
        assert lineage.count(header, arn("f")) == 16
        with pytest.raises(RecursiveInvocation):
            await rig.invoke(trace_header=header)
        rig.engine.begin()
        function = rig.engine.functions.find(arn("f"))
        rig.engine.functions.run(function, function.set_recursive_loop("Allow"))
        await rig.done()
        assert (await rig.invoke(trace_header=header)).error is None


# Asynchronous


async def test_an_event_is_invoked_and_its_record_goes_to_the_destination():
    async with Rig() as rig:
        target = await rig.queue("good")
        invoker = await rig.make("f", {"answer": 42}, on_success=target)
        request_id = await rig.later(payload='{"n":1}')
        await rig.clock.run_for(0)
        (body,) = await rig.bodies("good")
    record = json.loads(body)
    assert record["requestContext"]["requestId"] == request_id == invoker.seen[0].request_id
    assert record["requestContext"]["condition"] == "Success"
    assert (record["requestPayload"], record["responsePayload"]) == ({"n": 1}, {"answer": 42})


async def test_an_event_is_tried_again_after_one_and_two_minutes():
    async with Rig() as rig:
        target = await rig.queue("bad")
        invoker = await rig.make("f", "error", "error", "error", on_failure=target)
        await rig.later()
        await rig.clock.run_for(MINUTE_MS - 1)
        assert len(invoker.seen) == 1
        await rig.clock.run_for(1)
        assert len(invoker.seen) == 2
        await rig.clock.run_for(2 * MINUTE_MS)
        assert len(invoker.seen) == 3
        assert len({seen.request_id for seen in invoker.seen}) == 1
        (body,) = await rig.bodies("bad")
    assert json.loads(body)["requestContext"]["condition"] == "RetriesExhausted"
    assert json.loads(body)["requestContext"]["approximateInvokeCount"] == 3


async def test_a_throttled_event_waits_and_is_not_counted():
    async with Rig() as rig:
        target = await rig.queue("good")
        invoker = await rig.make("f", reserved=0, on_success=target)
        await rig.later()
        await rig.clock.run_for(10 * MINUTE_MS)
        assert invoker.seen == []
        rig.engine.begin()
        function = rig.engine.functions.find(arn("f"))
        rig.engine.functions.run(function, function.set_reserved(None))
        await rig.done()
        await rig.clock.run_for(5 * MINUTE_MS)
        (body,) = await rig.bodies("good")
    assert json.loads(body)["requestContext"]["approximateInvokeCount"] == 1


async def test_an_event_becomes_too_old():
    async with Rig() as rig:
        target = await rig.queue("bad")
        await rig.make("f", reserved=0, on_failure=target, age_ms_max=MINUTE_MS)
        await rig.later()
        await rig.clock.run_for(10 * MINUTE_MS)
        (body,) = await rig.bodies("bad")
    assert json.loads(body)["requestContext"]["condition"] == "EventAgeExceeded"


async def test_events_of_a_callable_wait_for_its_program():
    async with Rig() as rig:
        invoker = await rig.make()
        await rig.engine.functions.unregister([arn("f")], 1_000)
        await rig.later()
        await rig.clock.run_for(HOUR_MS)
        assert invoker.seen == []
        assert rig.statistics().ready == 1
        rig.engine.functions.register(arn("f"), invoker)
        await rig.clock.run_for(0)
        assert len(invoker.seen) == 1
        assert rig.statistics().waiting + rig.statistics().ready == 0


async def test_an_event_that_the_end_broke_off_is_invoked_again_after_the_restart(tmp_path):
    path = str(tmp_path / "events.db")
    first = Rig(store_for(path), drain_ms=0)
    async with first:
        invoker = await first.make("f", retries_max=0)
        invoker.gate = asyncio.Event()
        request_id = await first.later(payload="[1]")
        await until(lambda: invoker.running == 1)
    second = Rig(store_for(path))
    async with second:
        again = Scripted()
        second.engine.functions.register(arn("f"), again)
        await until(lambda: len(again.seen) == 1)
        await until(lambda: second.statistics().waiting + second.statistics().attempting == 0)
    assert (again.seen[0].request_id, again.seen[0].payload.value) == (request_id, [1])


async def test_two_functions_that_are_each_others_destination_are_stopped():
    async with Rig() as rig:
        target = await rig.queue("bad")
        first = await rig.make("f", on_success=arn("g"), on_failure=target)
        second = await rig.make("g", on_success=arn("f"), on_failure=target)
        await rig.later(trace_header="Root=1-5759e988-bd862e3fe1be46a994272793")
        await rig.clock.run_for(HOUR_MS, loop_turns=1_000)
        assert (len(first.seen), len(second.seen)) == (16, 16)
        assert len(await rig.bodies("bad")) == 1
        assert rig.engine.functions.counts(arn("f")).loops == 1


async def test_a_rule_has_a_function_as_target_in_one_transaction():
    async with Rig() as rig:
        invoker = await rig.make()
        engine = rig.engine
        engine.begin()
        bus = engine.bus("arn:aws:events:us-east-1:000000000000:event-bus/default")
        spec = RuleSpec(pattern='{"source":["shop"]}')
        engine.replace_rule(bus, "r", spec, (Target(id="t", arn=arn("f")),))
        engine.put_events(bus, [EventEntry(source="shop", detail_type="x", detail='{"n":1}')])
        assert rig.statistics().waiting + rig.statistics().ready == 1
        await rig.done()
        await rig.clock.run_for(0)
    (seen,) = invoker.seen
    assert seen.payload.value["detail"] == {"n": 1}


async def test_many_events_run_side_by_side_up_to_the_bound():
    async with Rig() as rig:
        invoker = await rig.make()
        invoker.gate = asyncio.Event()
        for _ in range(100):
            await rig.later()
        await rig.clock.run_for(0)
        assert invoker.running == 64
        invoker.gate.set()
        await rig.clock.run_for(1_000, loop_turns=500)
        assert (len(invoker.seen), invoker.running_max) == (100, 64)


async def test_an_event_of_a_version_that_is_gone_fails_with_the_reason():
    async with Rig() as rig:
        target = await rig.queue("bad")
        invoker = await rig.make("f", retries_max=0, on_failure=target)
        engine = rig.engine
        engine.begin()
        function = engine.functions.find(arn("f"))
        engine.functions.run(function, function.publish(engine.now_ms()))
        await rig.done()
        await engine.functions.unregister([arn("f")], 1_000)
        await rig.later(qualifier="1")
        engine.begin()
        engine.functions.run(function, function.delete_version("1"))
        await rig.done()
        engine.functions.register(arn("f"), invoker)
        await rig.clock.run_for(HOUR_MS)
        assert invoker.seen == []
        assert rig.statistics().waiting + rig.statistics().ready == 0


async def test_a_spilled_event_that_is_too_old_is_told_with_its_payload(monkeypatch):
    monkeypatch.setattr("eventcore.limits.ASYNC_MEMORY_BYTES_MAX", 10)
    async with Rig() as rig:
        target = await rig.queue("bad")
        invoker = await rig.make("f", reserved=0, on_failure=target, age_ms_max=MINUTE_MS)
        for number in range(3):
            await rig.later(payload=f'{{"number":{number}}}')
        await rig.clock.run_for(10 * MINUTE_MS, loop_turns=100)
        bodies = [json.loads(body) for body in await rig.bodies("bad")]
    assert invoker.seen == []
    assert sorted(body["requestPayload"]["number"] for body in bodies) == [0, 1, 2]
    assert {body["requestContext"]["condition"] for body in bodies} == {"EventAgeExceeded"}


async def test_spilled_events_are_invoked_with_their_payloads(monkeypatch):
    monkeypatch.setattr("eventcore.limits.ASYNC_MEMORY_BYTES_MAX", 10)
    async with Rig() as rig:
        invoker = await rig.make()
        await rig.engine.functions.unregister([arn("f")], 1_000)
        for number in range(5):
            await rig.later(payload=f'{{"number":{number}}}')
        rig.engine.functions.register(arn("f"), invoker)
        await rig.clock.run_for(0, loop_turns=100)
    assert [seen.payload.value["number"] for seen in invoker.seen] == [0, 1, 2, 3, 4]


async def test_the_end_waits_for_what_runs_as_long_as_it_may():
    async with Rig(drain_ms=5_000) as rig:
        invoker = await rig.make()
        invoker.gate = asyncio.Event()
        task = asyncio.ensure_future(rig.invoke())
        await until(lambda: invoker.running == 1)
        closing = asyncio.ensure_future(rig.engine.functions.close(5_000))
        await asyncio.sleep(0.01)
        assert not closing.done()
        invoker.gate.set()
        await closing
        assert (await task).error is None


async def test_what_a_program_does_not_name_stays_as_it_was_set():
    async with Rig() as rig:
        await rig.make()
        engine = rig.engine
        engine.begin()
        function = engine.functions.find(arn("f"))
        config = FunctionConfig(
            kind=KIND_LOCAL, description="mine", tracing="Active", storage_mb=1_024
        )
        engine.functions.run(function, function.update_config(config, engine.now_ms()))
        engine.functions.ensure(arn("f"), FunctionConfig(kind=KIND_LOCAL, timeout_ms=7_000))
        await rig.done()
        latest = function.latest.config
    assert (latest.description, latest.tracing, latest.storage_mb) == ("mine", "Active", 1_024)
    assert latest.timeout_ms == 7_000
