"""A queue, a mapping and a function that does what the test says, on an engine rig."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from eventcore.errors import NotFound
from eventcore.functions.invocation import InvocationResult, Payload, error_payload
from eventcore.mappings.mapping import EventSourceMapping
from eventcore.mappings.mapping_counts import MappingCounts
from eventcore.mappings.mapping_spec import MappingSpec
from eventcore.queues.message import SendEntry
from eventcore.queues.queue_spec import QueueSpec, RedrivePolicy
from eventcore.runtime.queue_poller import QueuePoller
from tests.unit.runtime.rig import PREFIX, Answer, EngineRig

FUNCTION = "arn:aws:lambda:us-east-1:000000000000:function:handler"
MAPPING = "arn:aws:lambda:us-east-1:000000000000:event-source-mapping:one"

Handle = Callable[["Call"], InvocationResult]


def succeeded(value: Any = None) -> InvocationResult:
    """A function that returned."""
    return InvocationResult(Payload.of(value))


def failed() -> InvocationResult:
    """A function that raised."""
    return InvocationResult(error_payload("ValueError", "no"), error="Unhandled")


class Call:
    """One invocation, which goes on until the test ends it."""

    def __init__(self, payload: Payload, qualifier: str | None, trace_header: str) -> None:
        self.payload = payload
        self.qualifier = qualifier
        self.trace_header = trace_header
        self.records: list[dict[str, Any]] = payload.value["Records"]
        self.was_cancelled = False
        self.refusal: Exception | None = None
        self.end: asyncio.Future[InvocationResult] = asyncio.get_running_loop().create_future()

    @property
    def bodies(self) -> list[str]:
        """The bodies of its messages."""
        return [record["body"] for record in self.records]

    @property
    def is_running(self) -> bool:
        """Whether the test has not ended it yet."""
        return not self.end.done()

    def succeed(self, value: Any = None) -> None:
        """It returns a value."""
        self.end.set_result(succeeded(value))

    def fail(self) -> None:
        """It raises."""
        self.end.set_result(failed())

    def reported(self, *bodies: str) -> dict[str, Any]:
        """The answer that reports the messages with these bodies."""
        ids = [r["messageId"] for r in self.records if r["body"] in bodies]
        return {"batchItemFailures": [{"itemIdentifier": each} for each in ids]}

    def report(self, *bodies: str) -> None:
        """It returns, and reports these messages as failed."""
        self.succeed(self.reported(*bodies))


class FakeFunctions:
    """`engine.functions`: one function. `handle` ends calls at once; without it the test does."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.handle: Handle | None = None
        self.refusal: Exception | None = None
        """What the next invocations raise."""
        self.refused = 0
        self.is_there = True
        self.is_registered = True
        self.concurrency_max = 1_000_000
        self.over_concurrency: Exception | None = None
        """What invocations beyond `concurrency_max` raise."""
        self.on_call: Callable[[Call], None] = lambda call: None
        """Told of each call before it goes on, and of each one that is refused."""

    @property
    def running(self) -> list[Call]:
        """The calls that have not ended."""
        return [call for call in self.calls if call.is_running]

    @property
    def bodies(self) -> list[list[str]]:
        """The batches that were handled, in their order, by their bodies."""
        return [call.bodies for call in self.calls]

    def find(self, arn: str) -> FakeFunctions:
        """Itself, as a function."""
        if not self.is_there or arn != FUNCTION:
            raise NotFound("function", arn)
        return self

    def resolve(self, qualifier: str, draw: float) -> str:
        """There is an alias "live"."""
        if qualifier != "live":
            raise NotFound("alias", qualifier)
        return qualifier

    def is_runnable(self, function: FakeFunctions) -> bool:
        """As the test says."""
        return self.is_registered

    async def invoke(
        self, arn: str, payload: Payload, *, qualifier: str | None, trace_header: str
    ) -> InvocationResult:
        """One call."""
        refusal = self.refusal
        if len(self.running) >= self.concurrency_max:
            refusal = self.over_concurrency
        call = Call(payload, qualifier, trace_header)
        call.refusal = refusal
        self.on_call(call)
        if refusal is not None:
            self.refused += 1
            raise refusal
        self.find(arn)
        self.calls.append(call)
        if self.handle is not None:
            call.end.set_result(self.handle(call))
        try:
            return await call.end
        except asyncio.CancelledError:
            call.was_cancelled = True
            raise


class FakeMappings:
    """`engine.mappings`, as far as a poller knows it."""

    def __init__(self) -> None:
        self.kept = MappingCounts()

    def counts(self, arn: str) -> MappingCounts:
        """The counts of the one mapping."""
        return self.kept


class EngineFace:
    """An engine with one more resource, the mapping, and with the fakes."""

    def __init__(self, rig: MappingRig) -> None:
        self._rig = rig
        self.functions = rig.functions
        self.mappings = rig.mappings

    def find(self, arn: str) -> Any:
        """The mapping, or a resource of the engine."""
        return self._rig.mapping if arn == MAPPING else self._rig.engine.find(arn)

    def run(self, machine: Any, outcome: Any) -> Any:
        """The mapping's outcomes are not stored."""
        if isinstance(machine, EventSourceMapping):
            self._rig.noted.append(machine.record.result)
            return outcome.value
        return self._rig.engine.run(machine, outcome)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._rig.engine, name)


class MappingRig(EngineRig):
    """The queue "q" (or "q.fifo"), its dead-letter queue "dead", a mapping of it, its poller."""

    name = "q"

    async def prepare(
        self,
        *,
        is_fifo: bool = False,
        receives_max: int | None = None,
        visibility_timeout_ms: int = 30_000,
        **settings: Any,
    ) -> MappingRig:
        """Makes everything but the poller. `settings` are the mapping's."""
        await self.start()
        suffix = ".fifo" if is_fifo else ""
        self.name = "q" + suffix
        self.create("dead" + suffix, is_fifo=is_fifo)
        redrive = receives_max and RedrivePolicy(PREFIX + "dead" + suffix, receives_max)
        self.queue_spec = QueueSpec(
            is_fifo=is_fifo,
            visibility_timeout_ms=visibility_timeout_ms,
            redrive=redrive or None,
        )
        self.request(lambda e: e.create_queue(PREFIX + self.name, self.queue_spec))
        self.functions = FakeFunctions()
        self.mappings = FakeMappings()
        self.noted: list[str] = []
        self.mapping: EventSourceMapping | None = EventSourceMapping(MAPPING, self.engine.ids)
        self.configure(**settings)
        await self.settle()
        self.poller = self.new_poller()
        return self

    def new_poller(self) -> QueuePoller:
        """A poller of the mapping that was not started."""
        face: Any = EngineFace(self)
        return QueuePoller(face, MAPPING)

    def configure(self, **settings: Any) -> None:
        """Gives the mapping other settings."""
        settings = {"function_arn": FUNCTION, **settings}
        spec = MappingSpec(source_arn=PREFIX + self.name, **settings)
        assert self.mapping is not None
        now_ms = self.clock.now_ms()
        if self.mapping._record is None:
            self.mapping.create(spec, True, now_ms)
        else:
            self.mapping.update(spec, None, now_ms)
        self.mapping.settled(now_ms)

    async def begin(self) -> None:
        """Starts the poller."""
        self.poller.start()
        await self.settle()

    async def put(self, *bodies: str, group: str | None = None, **fields: Any) -> Answer:
        """Sends messages, and lets everything follow that follows."""
        answer = self.put_only(*bodies, group=group, **fields)
        await self.settle()
        return answer

    def put_only(self, *bodies: str, group: str | None = None, **fields: Any) -> Answer:
        """Sends messages. In a FIFO queue, those whose bodies begin alike are one."""

        def call(engine: Any) -> list[bytes]:
            queue = engine.queue(PREFIX + self.name)
            entries = [
                SendEntry(
                    body,
                    group_id=group,
                    deduplication_id=body[:9] if queue.is_fifo else None,
                    **fields,
                )
                for body in bodies
            ]
            return [engine.send(queue, entry).id for entry in entries]

        return self.request(call)

    @property
    def left(self) -> tuple[int, int, int]:
        """The queue's messages: visible, in flight, delayed."""
        return self.counts(self.name)

    @property
    def result(self) -> str:
        """The mapping's LastProcessingResult."""
        assert self.mapping is not None
        return self.mapping.record.result


Opened = Callable[..., Awaitable[MappingRig]]


@asynccontextmanager
async def open_rigs() -> AsyncIterator[Opened]:
    """Gives what makes rigs with a poller that runs, and ends them."""
    rigs: list[MappingRig] = []

    async def open_rig(**settings: Any) -> MappingRig:
        rig = MappingRig()
        rigs.append(rig)
        await rig.prepare(**settings)
        await rig.begin()
        return rig

    yield open_rig
    for rig in rigs:
        await rig.poller.stop(0)
        await rig.settle()
