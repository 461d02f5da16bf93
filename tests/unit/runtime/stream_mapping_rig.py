"""A stream, a mapping of it and a function that does what the test says, on an engine rig."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable
from typing import Any

import msgspec

from eventcore.arn import function_arn
from eventcore.codec import decode_json
from eventcore.functions.function_spec import KIND_LOCAL, FunctionConfig
from eventcore.functions.invocation import Invocation, InvocationResult, Payload, error_payload
from eventcore.mappings.mapping import EventSourceMapping
from eventcore.mappings.mapping_counts import MappingCounts
from eventcore.mappings.mapping_spec import LanePosition, MappingSpec
from eventcore.mappings.shard_lane import lane_of
from eventcore.runtime.engine import Engine
from eventcore.runtime.stream_poller import StreamPoller
from eventcore.testing import ManualClock
from tests.simulation.pending_store import PendingStore
from tests.unit.runtime.rig import PREFIX
from tests.unit.runtime.stream_engine import StreamEngine, arn

ACCOUNT = "000000000000"
REGION = "us-east-1"
FUNCTION = function_arn(ACCOUNT, REGION, "handler")
DEAD = PREFIX + "dead"
TURNS = 30


def succeeded(value: Any = None) -> InvocationResult:
    return InvocationResult(Payload.of(value), executed_version="$LATEST")


def failed() -> InvocationResult:
    return InvocationResult(error_payload("ValueError", "no"), "Unhandled", "$LATEST")


class Call:
    """One invocation. `end` is what it comes to."""

    def __init__(self, invocation: Invocation) -> None:
        self.event: dict[str, Any] = invocation.payload.value
        self.request_id = invocation.request_id
        self.was_cancelled = False
        self.end: asyncio.Future[InvocationResult] = asyncio.get_running_loop().create_future()

    @property
    def data(self) -> list[str]:
        return [base64.b64decode(r["kinesis"]["data"]).decode() for r in self.event["Records"]]

    @property
    def keys(self) -> list[str]:
        return [r["kinesis"]["partitionKey"] for r in self.event["Records"]]

    def identifiers(self, *data: str) -> dict[str, Any]:
        """The answer that reports the records with this data as failed."""
        return {
            "batchItemFailures": [
                {"itemIdentifier": record["kinesis"]["sequenceNumber"]}
                for record, value in zip(self.event["Records"], self.data, strict=True)
                if value in data
            ]
        }


def keys_of_lanes(lanes: int) -> list[str]:
    """One partition key for each lane."""
    found: dict[int, str] = {}
    for at in range(1_000):
        found.setdefault(lane_of(f"k{at}", lanes), f"k{at}")
    return [found[lane] for lane in range(lanes)]


def fails_on(*data: str) -> Handle:
    """A function that fails on batches with this data."""
    return lambda call: failed() if set(data) & set(call.data) else succeeded()


Handle = Callable[[Call], InvocationResult | None]


class Handler:
    """The invoker of the function: `handle` ends a call at once, or gives None: the test does."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.handle: Handle = lambda call: succeeded()
        self.refusal: BaseException | None = None
        self.refused = 0

    async def invoke(self, invocation: Invocation) -> InvocationResult:
        if self.refusal is not None:
            self.refused += 1
            raise self.refusal
        call = Call(invocation)
        self.calls.append(call)
        result = self.handle(call)
        if result is not None:
            call.end.set_result(result)
        try:
            return await call.end
        except asyncio.CancelledError:
            call.was_cancelled = True
            raise

    async def close(self) -> None:
        pass

    @property
    def batches(self) -> list[list[str]]:
        """What was handed out so far, batch by batch; it is told once."""
        found = [call.data for call in self.calls]
        self.calls.clear()
        return found

    @property
    def running(self) -> list[Call]:
        return [call for call in self.calls if not call.end.done()]


class StreamMappingRig(StreamEngine):
    """The stream "s", the queue "dead", the function, and a mapping between them."""

    uuid = ""

    def __init__(
        self,
        store: PendingStore | None = None,
        clock: ManualClock | None = None,
        handler: Handler | None = None,
    ) -> None:
        super().__init__(store, clock)
        self.handler = handler or Handler()
        self.engine.functions.register(FUNCTION, self.handler)

    async def start(self) -> StreamMappingRig:
        await super().start()
        return self

    async def settle(self) -> None:
        """Lets everything get done that needs no time, commits included."""
        while True:
            for _ in range(TURNS):
                await asyncio.sleep(0)
                if self.store.pending is not None:
                    break
            else:
                return
            self.store.commit()

    async def prepare(self, *, shards: int = 1, **settings: Any) -> StreamMappingRig:
        """Everything; the poller runs."""
        await self.start()
        self.make(shards)
        await self.finish(**settings)
        return self

    async def finish(self, **settings: Any) -> None:
        """The rest of `prepare`, for a test that makes the stream itself."""
        self.create("dead")
        config = FunctionConfig(kind=KIND_LOCAL, handler="x", role="role-arn")
        self.request(lambda e: e.functions.create(FUNCTION, config, None))
        await self.settle()
        await self.map(**settings)

    async def map(self, **settings: Any) -> None:
        """Makes the mapping."""
        defaults = {
            "source_arn": arn("s"),
            "function_arn": FUNCTION,
            "batch_size": 100,
            "starting_position": "TRIM_HORIZON",
        }
        spec = MappingSpec(**{**defaults, **settings})

        def create(engine: Engine) -> None:
            self.uuid = engine.mappings.create(ACCOUNT, REGION, spec).uuid

        self.request(create)
        await self.settle()

    async def update(self, **settings: Any) -> None:
        """Changes the mapping."""
        self.engine.begin()
        spec = msgspec.structs.replace(self.mapping.spec, **settings)
        self.request(lambda e: e.mappings.update(self.mapping, spec, None))
        await self.settle()

    async def restart(self, *, is_durable: bool = False) -> StreamMappingRig:
        """A crash: a new engine on what is durable, and the same function."""
        store = self.store.crash(is_durable=is_durable)
        rig = StreamMappingRig(store, ManualClock(self.clock.now_ms()), self.handler)
        rig.uuid = self.uuid
        self.handler.calls.clear()
        await rig.start()
        await rig.settle()
        return rig

    async def feed(self, *data: str, key: str = "k", name: str = "s") -> None:
        """Puts records, and lets everything follow that follows."""
        self.put(*(each.encode() for each in data), key=key, name=name)
        await self.settle()

    async def feed_keyed(self, *pairs: tuple[str, str]) -> None:
        """Puts records of keys, one by one."""
        for key, data in pairs:
            self.put(data.encode(), key=key)
        await self.settle()

    @property
    def mapping(self) -> EventSourceMapping:
        return self.engine.mappings.find(self.uuid)

    @property
    def poller(self) -> StreamPoller:
        found = self.engine.mappings._lives[self.mapping.arn].poller
        assert isinstance(found, StreamPoller)
        return found

    @property
    def counts(self) -> Any:  # type: ignore[override]
        found = self.engine.mappings.counts(self.mapping.arn)
        assert isinstance(found, MappingCounts)
        return found

    @property
    def positions(self) -> list[LanePosition]:
        self.engine.begin()
        return self.mapping.positions()

    def numbers(self) -> list[int]:
        return [position.number for position in self.positions]

    @property
    def dead(self) -> list[dict[str, Any]]:
        """What the OnFailure destination was told."""
        return [decode_json(body) for body in self.bodies("dead")]
