"""An engine rig with functions that are registered here, and pollers that only note their lives."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from eventcore.arn import function_arn, queue_arn, stream_arn
from eventcore.functions.function_spec import KIND_LOCAL, FunctionConfig
from eventcore.functions.invocation import Invocation, InvocationResult, Payload
from eventcore.limits import RELAXED_QUOTAS, Quotas
from eventcore.mappings.mapping import EventSourceMapping
from eventcore.mappings.mapping_spec import MappingSpec
from eventcore.runtime.mappings import Mappings
from eventcore.streams.stream_spec import StreamSpec
from eventcore.testing import ManualClock
from tests.simulation.pending_store import PendingStore
from tests.unit.runtime.rig import EngineRig

ACCOUNT, REGION = "000000000000", "us-east-1"


def queue(name: str) -> str:
    return queue_arn(ACCOUNT, REGION, name)


def stream(name: str) -> str:
    return stream_arn(ACCOUNT, REGION, name)


def function(name: str) -> str:
    return function_arn(ACCOUNT, REGION, name)


def of_queue(source: str = "orders", to: str = "bill", **settings: Any) -> MappingSpec:
    return MappingSpec(source_arn=queue(source), function_arn=function(to), **settings)


def of_stream(source: str = "clicks", to: str = "bill", **settings: Any) -> MappingSpec:
    settings = {"starting_position": "TRIM_HORIZON", **settings}
    return MappingSpec(source_arn=stream(source), function_arn=function(to), **settings)


class NoInvoker:
    """Stands for a callable that is never called."""

    async def invoke(self, invocation: Invocation) -> InvocationResult:
        return InvocationResult(Payload.of(None))

    async def close(self) -> None:
        return None


class FakePoller:
    """Notes when it begins and ends. `is_slow`: it ends only when `end` is called. `is_following`:
    it takes other settings over.
    """

    is_slow = False
    is_following = False
    has_followed = False

    def __init__(self, rig: MappingRig, arn: str, is_queue: bool) -> None:
        mapping = rig.engine.find(arn)
        assert isinstance(mapping, EventSourceMapping)
        assert rig.store.pending is None, "begun before all was durable"
        self.arn = arn
        self.is_queue = is_queue
        self.spec = mapping.spec
        self.is_running = False
        self.drains: list[int] = []
        self._is_ended = asyncio.Event()
        self._rig = rig

    def start(self) -> None:
        assert not any(other.is_running and other.arn == self.arn for other in self._rig.pollers)
        assert not self.drains
        self.is_running = True

    def follow(self) -> bool:
        self.has_followed = self.is_following
        return self.is_following

    async def stop(self, drain_ms: int) -> None:
        self.drains.append(drain_ms)
        if self.is_slow and drain_ms > 60_000:
            await self._is_ended.wait()
        self.is_running = False

    def end(self) -> None:
        self._is_ended.set()


class BrokenPoller(FakePoller):
    """Raises where no poller may."""

    async def stop(self, drain_ms: int) -> None:
        await super().stop(drain_ms)
        raise RuntimeError("a bug")


class MappingRig(EngineRig):
    """Each request is a method, as in EngineRig."""

    def __init__(
        self,
        store: PendingStore | None = None,
        clock: ManualClock | None = None,
        *,
        quotas: Quotas = RELAXED_QUOTAS,
        memory_bytes_max: int = 1 << 20,
        registered: tuple[str, ...] = ("bill", "other"),
    ) -> None:
        super().__init__(store, clock, quotas=quotas, memory_bytes_max=memory_bytes_max)
        self.pollers: list[FakePoller] = []
        self.poller_kind: type[FakePoller] = FakePoller
        self.engine.mappings = Mappings(self.engine, self._make_poller)
        for name in registered:
            self.engine.functions.register(function(name), NoInvoker())

    def _make_poller(self, arn: str, is_queue: bool) -> FakePoller:
        poller = self.poller_kind(self, arn, is_queue)
        self.pollers.append(poller)
        return poller

    @property
    def mappings(self) -> Mappings:
        return self.engine.mappings

    @property
    def running(self) -> list[FakePoller]:
        return [poller for poller in self.pollers if poller.is_running]

    async def prepared(self) -> MappingRig:
        """With a queue, a stream and two functions."""
        await self.start()
        self.create("orders")
        self.make_stream("clicks")
        self.make_function("bill")
        self.make_function("other")
        await self.settle()
        return self

    async def restarted(self, *, is_durable: bool = False, **options: Any) -> MappingRig:
        """A new process on what the store made durable."""
        store = self.store.crash(is_durable=is_durable)
        rig = MappingRig(store, ManualClock(self.clock.now_ms()), **options)
        await rig.start()
        return rig

    def make_function(self, name: str, **settings: Any) -> None:
        config = FunctionConfig(kind=KIND_LOCAL, **settings)
        self.request(lambda e: e.functions.create(function(name), config, None))

    def drop_function(self, name: str) -> None:
        self.request(lambda e: e.functions.delete(e.functions.find(function(name))))

    def make_stream(self, name: str) -> None:
        self.request(lambda e: e.streams.create(stream(name), StreamSpec(), 1))

    def drop_stream(self, name: str) -> None:
        self.request(lambda e: e.streams.delete(e.streams.find(stream(name))))

    def map(self, spec: MappingSpec, is_enabled: bool = True) -> str:
        """Creates a mapping; its UUID."""
        made: list[str] = []
        self.request(
            lambda e: made.append(e.mappings.create(ACCOUNT, REGION, spec, is_enabled).uuid)
        )
        return made[0]

    async def mapped(self, spec: MappingSpec, is_enabled: bool = True) -> str:
        """Creates a mapping and lets it come to rest; its UUID."""
        uuid = self.map(spec, is_enabled)
        await self.settle()
        return uuid

    def mapping(self, uuid: str) -> EventSourceMapping:
        self.engine.begin()
        return self.mappings.find(uuid)

    def state(self, uuid: str) -> str:
        return self.mapping(uuid).state

    def update(self, uuid: str, is_enabled: bool | None = None, **settings: Any) -> None:
        def call(engine: Any) -> None:
            mapping = engine.mappings.find(uuid)
            spec = msgspec.structs.replace(mapping.spec, **settings)
            engine.mappings.update(mapping, spec, is_enabled)

        self.request(call)

    def unmap(self, uuid: str) -> None:
        self.request(lambda e: e.mappings.delete(e.mappings.find(uuid)))
