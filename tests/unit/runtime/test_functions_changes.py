"""Functions that change, or go, while something is under way for them."""

from __future__ import annotations

import asyncio

import msgspec

from eventcore.functions.async_events import AsyncEvent
from eventcore.functions.function_spec import (
    KIND_LOCAL,
    KIND_PROCESS,
    FunctionCode,
    FunctionConfig,
)
from eventcore.stores.memory import MemoryStore
from eventcore.testing import FaultyStore
from tests.unit.runtime.test_functions import Rig, arn, until

NAME = arn("f")
CONFIG = FunctionConfig(kind=KIND_PROCESS, runtime="python3.11", handler="m.f")
CODE = FunctionCode(location="here")


class Environments:
    """Takes part as the pool does, and notes what is provisioned. `provision` waits for `gate`."""

    def __init__(self):
        self.counts = {}
        self.gate = asyncio.Event()
        self.waiting = 0

    async def provision(self, function_arn, version, config, count):
        self.counts[version] = count
        if count:
            self.waiting += 1
            await self.gate.wait()

    def provisioned_ready(self, function_arn, version):
        return self.counts.get(version, 0)

    def retire(self, function_arn, version=None):
        if version is None:
            self.counts.clear()

    async def close(self):
        self.gate.set()

    @property
    def kept(self):
        return {version: count for version, count in self.counts.items() if count}


async def provisioned_rig(rig, versions):
    """A function with so many versions, each with one provisioned environment."""
    functions = rig.engine.functions
    environments = functions._environments = Environments()
    rig.engine.begin()
    function = functions.create(NAME, CONFIG, b"zip")
    now_ms = rig.engine.now_ms()
    for number in range(1, versions + 1):
        config = msgspec.structs.replace(CONFIG, description=str(number))
        functions.run(function, function.update_config(config, now_ms))
        functions.run(function, function.publish(now_ms))
        functions.run(function, function.set_provisioned(str(number), 1, now_ms))
    await rig.done()
    return environments


async def test_what_is_provisioned_no_more_is_not_started_by_an_earlier_change():
    async with Rig() as rig:
        environments = await provisioned_rig(rig, 2)
        await until(lambda: environments.waiting)
        functions = rig.engine.functions
        rig.engine.begin()
        function = functions.find(NAME)
        for version in ("1", "2"):
            functions.run(function, function.set_provisioned(version, None, rig.engine.now_ms()))
        await rig.done()
        await until(lambda: environments.counts.get("1") == 0)
        environments.gate.set()
        await until(lambda: not functions._provisioning)
        assert environments.kept == {}
        assert functions._provisioned == {}


async def test_a_function_that_is_deleted_while_it_is_provisioned_keeps_nothing():
    async with Rig() as rig:
        environments = await provisioned_rig(rig, 2)
        await until(lambda: environments.waiting)
        functions = rig.engine.functions
        rig.engine.begin()
        functions.delete(functions.find(NAME))
        await rig.done()
        environments.gate.set()
        await until(lambda: not functions._provisioning)
        assert environments.kept == {}
        assert functions._provisioned == {}


async def test_what_a_failed_commit_would_have_provisioned_ends():
    store = FaultyStore(MemoryStore())
    async with Rig(store) as rig:
        engine, functions = rig.engine, rig.engine.functions
        environments = functions._environments = Environments()
        environments.gate.set()
        engine.begin()
        function = functions.create(NAME, CONFIG, b"zip")
        functions.run(function, function.publish(engine.now_ms()))
        await until(lambda: store.appends == 1)

        store.plan[2] = "fail_before"
        engine.begin()
        functions.run(function, function.set_provisioned("1", 3, engine.now_ms()))
        await until(lambda: store.appends == 2)
        await until(lambda: engine.host.is_ready and not functions._provisioning)
        assert functions.find(NAME).all_provisioned() == {}
        assert environments.kept == {}


async def test_code_that_was_changed_while_an_invocation_waited_is_told_as_gone():
    async with Rig() as rig:
        functions = rig.engine.functions
        rig.engine.begin()
        function = functions.create(NAME, CONFIG, b"old")
        old = function.latest.config.code
        functions.run(function, function.update_code(b"new", "", rig.engine.now_ms()))
        await rig.done()
        assert functions._read_code(NAME, old) is None
        assert functions._read_code(NAME, functions.find(NAME).latest.config.code) == b"new"


async def test_a_program_changes_a_function_from_processes_to_a_callable_and_back():
    in_process = msgspec.structs.replace(CONFIG, code=CODE)
    local = FunctionConfig(kind=KIND_LOCAL)
    async with Rig() as rig:
        functions = rig.engine.functions
        for config in (in_process, local, in_process):
            rig.engine.begin()
            function = functions.ensure(NAME, config)
            revision = functions.ensure(NAME, config).latest.revision_id
            assert function.latest.revision_id == revision, "nothing is left to be changed"
            latest = function.latest.config
            assert (latest.kind, latest.handler) == (config.kind, config.handler)
            await rig.done()
        assert latest.code == CODE


async def test_a_fault_of_ours_does_not_keep_an_event_from_being_tried_again():
    async with Rig() as rig:
        invoker = await rig.make("f", RuntimeError("a bug"), "ok")
        await rig.later()
        await until(lambda: rig.statistics().throttled == 1)
        await until(lambda: rig.clock.advance(60_000) is None and rig.statistics().succeeded == 1)
        assert len(invoker.seen) == 2


async def test_events_of_a_function_with_reserved_concurrency_wait_for_a_place_unthrottled():
    async with Rig() as rig:
        invoker = await rig.make("f", reserved=2)
        invoker.gate = asyncio.Event()
        rig.engine.begin()
        function = rig.engine.functions.find(NAME)
        for _ in range(100):
            rig.engine.functions.invoke_later(function, AsyncEvent("{}"))
        await rig.done()
        await until(lambda: invoker.running == 2)
        invoker.gate.set()
        await until(lambda: rig.statistics().succeeded == 100)
        assert invoker.running_max == 2
        assert rig.statistics().throttled == 0
