"""The embedded broker: the engine behind an async, typed API, and handlers that run on it.

    async with eventcore.open("events.db") as broker:
        orders = await broker.create_queue("orders")
        await orders.send("hello")

Rules of this file:

- A coroutine that changes something returns when the change is durable.
- Decorated handlers start with `run()` or `running()`, not before; their queues and rules are
  created then, if they are not there, so decorators can stand at import time, before any loop runs.
- Closing stops the handlers first (they drain), then long polls, then waits for the last commit.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVar, final

import anyio
import anyio.to_thread
import msgspec

from eventcore import limits
from eventcore.arn import DEFAULT_ACCOUNT, DEFAULT_REGION, bus_arn, queue_arn, rule_arn
from eventcore.buses.bus import EventBus, EventEntry, RuleSpec, Target
from eventcore.buses.bus_spec import BusSpec
from eventcore.buses.event import EventResult, EventWriter
from eventcore.clock import Clock
from eventcore.codec import decode_json, encode_json
from eventcore.connect import TargetFactory
from eventcore.errors import (
    AlreadyExists,
    BrokerClosed,
    Conflict,
    InvalidParameter,
    NotFound,
)
from eventcore.ids import IdSource, format_uuid
from eventcore.limits import Quotas, quotas_for
from eventcore.patterns.explanation import Explanation
from eventcore.patterns.lint import Finding, LintedRule, lint
from eventcore.patterns.trial import (
    EventLike,
    explain_values,
    pattern_text,
    read_event,
    read_pattern,
)
from eventcore.queues.queue_spec import (
    DEDUPLICATE_PER_QUEUE,
    LIMIT_PER_QUEUE,
    Chaos,
    QueueSpec,
    RedriveAllow,
    RedrivePolicy,
)
from eventcore.runtime.connectors import Connectors
from eventcore.runtime.consumer import Consumer, Handler
from eventcore.runtime.engine import FIFO_SUFFIX, Engine
from eventcore.runtime.function_handles import Functions, Source
from eventcore.runtime.handles import Message, Queue
from eventcore.runtime.stream_handles import Stream, Streams
from eventcore.runtime.stream_worker import StreamWorker
from eventcore.stores.base import Durability, Store
from eventcore.stores.factory import Committer, store_for

__all__ = ["Broker", "Event", "open_broker"]

H = TypeVar("H", bound=Handler)
F = TypeVar("F", bound=Callable[..., Any])
DRAIN_MS_DEFAULT: Final = 30_000
DRAIN_GRACE_MS: Final = 1_000
"""For cancelled handlers to end, and their messages to be given back."""
CONCURRENCY_DEFAULT: Final = 16
DEFAULT_BUS: Final = "default"


class Event(msgspec.Struct, frozen=True):
    """An event to put, or one that a rule's handler is given.

    `detail` is any JSON object. `id`, `time` (ISO 8601) and `account`, `region` are filled in by
    the bus.
    """

    source: str
    detail_type: str
    detail: dict[str, Any] = {}
    resources: tuple[str, ...] = ()
    id: str = ""
    time: str = ""
    account: str = ""
    region: str = ""


class _QueueHandler(msgspec.Struct, frozen=True):
    queue_name: str
    handler: Handler
    concurrency: int
    settings: dict[str, Any]


class _RuleHandler(msgspec.Struct, frozen=True):
    rule_name: str
    bus_name: str
    pattern: str
    handler: Handler
    concurrency: int
    settings: dict[str, Any]


@final
class Broker:
    """An open broker. Made by `eventcore.open`; belongs to one event loop."""

    def __init__(self, engine: Engine, account: str, region: str, drain_ms: int) -> None:
        self.engine = engine
        self.account = account
        self.region = region
        self.streams = Streams(engine, account, region)
        """The streams: create, get, list, delete, consume."""
        self.functions = Functions(engine, account, region)
        """The functions: invoke, list, delete, their logs."""
        self._drain_ms = drain_ms
        self._queue_handlers: list[_QueueHandler] = []
        self._rule_handlers: list[_RuleHandler] = []
        self._consumers: list[Consumer | StreamWorker] = []
        self._is_running = False
        self._is_closed = False
        self._stopped, self._ended = anyio.Event(), anyio.Event()
        self._ended.set()

    # Queues

    async def create_queue(
        self,
        name: str,
        *,
        visibility_timeout_ms: int = limits.VISIBILITY_TIMEOUT_MS_DEFAULT,
        delay_ms: int = 0,
        retention_ms: int = limits.RETENTION_MS_DEFAULT,
        wait_ms: int = 0,
        dead_letter: Queue | None = None,
        receives_max: int = limits.RECEIVES_MAX_DEFAULT,
        message_bytes_max: int = limits.MESSAGE_BYTES_MAX,
        content_deduplication: bool = False,
        deduplication_scope: str = DEDUPLICATE_PER_QUEUE,
        throughput_limit: str = LIMIT_PER_QUEUE,
        redrive_allow: RedriveAllow | None = None,
        tags: Mapping[str, str] | None = None,
        chaos: Chaos | None = None,
    ) -> Queue:
        """Creates a queue, or gives the one of that name if its settings are the same.

        A name that ends in ".fifo" makes a FIFO queue; `content_deduplication`,
        `deduplication_scope` ("queue", "messageGroup") and `throughput_limit` ("perQueue",
        "perMessageGroupId") are for those. Messages received `receives_max` times go to
        `dead_letter`, a queue of the same kind; `redrive_allow` says which queues may name this one
        so. `chaos` makes it misbehave on purpose. Raises AlreadyExists when the settings differ,
        InvalidParameter for a name or setting that AWS would not allow.
        """
        _check_name(name)
        redrive = None if dead_letter is None else RedrivePolicy(dead_letter.arn, receives_max)
        spec = QueueSpec(
            visibility_timeout_ms=visibility_timeout_ms,
            delay_ms=delay_ms,
            retention_ms=retention_ms,
            wait_ms=wait_ms,
            message_bytes_max=message_bytes_max,
            redrive=redrive,
            tags=dict(tags or {}),
            is_fifo=name.endswith(FIFO_SUFFIX),
            content_deduplication=content_deduplication,
            deduplication_scope=deduplication_scope,
            throughput_limit=throughput_limit,
            redrive_allow=redrive_allow,
            chaos=chaos,
        )
        self.engine.begin()
        arn = self._queue_arn(name)
        self.engine.create_queue(arn, spec)
        await self._durable()
        return Queue(self.engine, arn)

    async def get_queue(self, name: str) -> Queue:
        """The queue of that name. Raises NotFound."""
        self.engine.begin()
        self.engine.look(self.engine.queue(self._queue_arn(name)))
        await self._durable()
        return Queue(self.engine, self._queue_arn(name))

    async def list_queues(self, prefix: str = "") -> list[str]:
        """The names of the queues that begin so, sorted."""
        self.engine.begin()
        names = self.engine.list_queues(self.account, self.region, prefix)
        await self._durable()
        return names

    async def delete_queue(self, name: str) -> None:
        """Deletes a queue with all its messages. Raises NotFound."""
        self.engine.begin()
        self.engine.delete_queue(self._queue_arn(name))
        await self._durable()

    # Buses

    async def create_bus(self, name: str) -> None:
        """Creates an event bus; does nothing if it is there. "default" always is. Raises
        InvalidParameter for a name that AWS would not allow.
        """
        _check_bus_name(name)
        self.engine.begin()
        try:
            self.engine.create_bus(bus_arn(self.account, self.region, name), BusSpec())
        except AlreadyExists:
            pass
        await self._durable()

    async def put_rule(
        self,
        name: str,
        pattern: Mapping[str, Any] | str,
        targets: Iterable[Queue | Stream | str] = (),
        *,
        bus: str = DEFAULT_BUS,
        input: str | None = None,  # noqa: A002  (EventBridge's own name for it)
        input_path: str | None = None,
    ) -> str:
        """Creates or replaces a rule: events of `bus` that match `pattern` go to each of `targets`.
        Returns its ARN.

        A target is a queue, a stream, or the URL of an outside system that a connector serves
        ("https://..."). `input` is a JSON text sent in place of the event, `input_path` a JSON path
        of the part to send. Targets the rule had before and that are not named now are removed.
        Raises InvalidPattern, InvalidParameter, LimitExceeded (5 targets).
        """
        for text_name, text in (("input", input), ("input_path", input_path)):
            if text is not None and not isinstance(text, str):
                raise InvalidParameter(text_name, "Must be a str.", text)
        arns = [t.arn if isinstance(t, Queue | Stream) else t for t in targets]
        wanted = tuple(
            Target(id=f"target-{number}", arn=arn, input=input, input_path=input_path)
            for number, arn in enumerate(arns, start=1)
        )
        self.engine.begin()
        spec = RuleSpec(pattern=pattern_text(pattern))
        self.engine.replace_rule(self._bus(bus), name, spec, wanted)
        await self._durable()
        return rule_arn(self.account, self.region, bus, name)

    async def delete_rule(self, name: str, *, bus: str = DEFAULT_BUS) -> None:
        """Deletes a rule with its targets; does nothing if there is none, as AWS does."""
        self.engine.begin()
        self.engine.remove_rule(self._bus(bus), name)
        await self._durable()

    async def put_events(self, events: Sequence[Event], *, bus: str = DEFAULT_BUS) -> list[str]:
        """Puts events, in one transaction with everything they cause in this store. Returns their
        ids in order.

        Any number of events; all are put, or none if one is not allowed (InvalidParameter).
        """
        entries = [_entry_of(event) for event in events]
        self.engine.begin()
        results = self.engine.put_events(self._bus(bus), entries, is_atomic=True)
        await self._durable()
        return [format_uuid(result.id) for result in results]

    async def explain(
        self, event: Event | EventLike, *, bus: str = DEFAULT_BUS
    ) -> dict[str, Explanation]:
        """Why each enabled rule of `bus` matches the event or does not, by the rules' names.
        Nothing is put.

        `event` is an `Event`, or a whole event as a mapping or JSON text. The work is done in a
        thread. Raises NotFound, InvalidParameter.
        """
        arn = bus_arn(self.account, self.region, bus)
        values = _values_of(event, arn) if isinstance(event, Event) else read_event(event)
        self.engine.begin()
        machine = self.engine.bus(arn)
        self.engine.look(machine)
        patterns = {r.name: r.pattern for r in machine.list_rules() if r.is_enabled}
        await self._durable()

        def explain_all() -> dict[str, Explanation]:
            return {n: explain_values(read_pattern(p), values) for n, p in patterns.items()}

        return await anyio.to_thread.run_sync(explain_all, abandon_on_cancel=True)

    async def lint(self, *, bus: str | None = None) -> tuple[Finding, ...]:
        """What is wrong, or is likely not meant, with the rules of all buses, or of one: rules that
        no event can match, events that a target gets twice, chains of buses that are cut.

        The work is done in a thread. Raises NotFound.
        """
        self.engine.begin()
        if bus is None:
            buses = self.engine.list_buses(self.account, self.region)
        else:
            buses = [self._bus(bus)]
        rules: list[LintedRule] = []
        for machine in buses:
            self.engine.look(machine)
            rules += (
                LintedRule(
                    record.name,
                    record.pattern,
                    tuple(target.arn for target in record.targets),
                    record.is_enabled,
                    machine.arn,
                )
                for record in machine.list_rules()
            )
        await self._durable()
        return await anyio.to_thread.run_sync(lint, rules, abandon_on_cancel=True)

    # Handlers

    def queue(
        self,
        name: str,
        *,
        concurrency: int = CONCURRENCY_DEFAULT,
        **settings: Any,
    ) -> Callable[[H], H]:
        """Decorator: the handler is called with each message of the queue, which is created if it
        is not there.

        `settings` are those of `create_queue`. See `eventcore.runtime.consumer` for what a
        handler's end means.
        """

        def register(handler: H) -> H:
            self._check_not_running()
            self._queue_handlers.append(_QueueHandler(name, handler, concurrency, settings))
            return handler

        return register

    def rule(
        self,
        pattern: Mapping[str, Any] | str,
        *,
        name: str | None = None,
        bus: str = DEFAULT_BUS,
        concurrency: int = CONCURRENCY_DEFAULT,
        **settings: Any,
    ) -> Callable[[H], H]:
        """Decorator: the handler is called with each `Event` of the bus that matches.

        Behind it stand a rule and a queue of the same name (default: the handler's qualified name),
        so events wait durably while the program is down. `settings` are those of `create_queue`.
        Raises InvalidPattern and InvalidParameter at once, before the handler is registered.
        """
        text = read_pattern(pattern).text

        def register(handler: H) -> H:
            self._check_not_running()
            rule_name = name or _name_of(handler)
            if any(other.rule_name == rule_name for other in self._rule_handlers):
                raise InvalidParameter(
                    "name",
                    "Another handler has a rule of this name; give one of them another.",
                    rule_name,
                )
            self._rule_handlers.append(
                _RuleHandler(rule_name, bus, text, handler, concurrency, settings)
            )
            return handler

        return register

    def function(
        self,
        name: str | None = None,
        *,
        timeout_ms: int = limits.FUNCTION_TIMEOUT_MS_MAX,
        concurrency: int | None = None,
        retries_max: int | None = None,
        age_ms_max: int | None = None,
        on_success: Queue | str | None = None,
        on_failure: Queue | str | None = None,
        in_process: bool = False,
        memory_mb: int = limits.FUNCTION_MEMORY_MB_DEFAULT,
        environment: Mapping[str, str] | None = None,
    ) -> Callable[[F], F]:
        """Decorator: the handler is a function of this broker, by its own name or `name`. It is
        invoked by `broker.functions.invoke` and `invoke_later`, by rules, by mappings, and over the
        wire where this broker is served.

        A handler takes (event, context), as on AWS, or what `eventcore.runtime.handler_binding`
        describes: a typed event, dependencies. A coroutine function runs on the loop, any other in
        a thread, and `in_process=True` runs either, at the top of a module, in worker processes,
        with `memory_mb` and `environment`. `concurrency` reserves so many invocations at a time,
        and allows no more. `retries_max` (0 to 2), `age_ms_max`, `on_success` and `on_failure` (a
        queue, its name, or an ARN) are for asynchronous invocations. A queue that is named and is
        not there is created.
        """
        self._check_not_running()
        return self.functions.function(
            name,
            timeout_ms=timeout_ms,
            concurrency=concurrency,
            retries_max=retries_max,
            age_ms_max=age_ms_max,
            on_success=on_success,
            on_failure=on_failure,
            in_process=in_process,
            memory_mb=memory_mb,
            environment=environment,
        )

    def map(self, source: Source, name: str | None = None, **settings: Any) -> Callable[[F], F]:
        """Decorator: the handler is a function that gets batches of a queue or a stream, as an
        event source mapping of AWS does. `source` is a queue's name, "stream/NAME", a handle, or an
        ARN; what is named plainly, as a destination too, and is not there is created.

        Settings: `batch_size` (10 of a queue, 100 of a stream), `batch_window_ms`, `filters` (event
        patterns on records), `report_failures` (the answer names what failed), `concurrency` (of a
        queue, 2 to 1,000), `timeout_ms`, `in_process`; of a stream: `start` ("LATEST",
        "TRIM_HORIZON" or a datetime), `parallelization` (1 to 10), `bisect_on_error`,
        `retries_max` and `record_age_ms_max` (-1 for no limit, the default), `window_ms` (a
        tumbling window), `on_failure` (a queue, its name, or an ARN).

        A handler that takes `Batch[T]` gets typed records and can fail them one by one; see
        `eventcore.runtime.handler_binding`. At least once; in order per message group or partition
        key. Raises InvalidParameter for a setting that there is not.
        """
        self._check_not_running()
        return self.functions.map(source, name, **settings)

    async def run(self) -> None:
        """Runs all handlers until cancelled or `stop`; then they drain. See `running`."""
        async with self.running():
            await self._stopped.wait()

    def stop(self) -> None:
        """Ends `run` gently: no new messages, running handlers finish (at most `drain_ms`). Before
        `run`, it makes that return at once.
        """
        self._stopped.set()
        for consumer in self._consumers:
            consumer.stop()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Broker]:
        """Runs all handlers beside the body of the `async with`; drains them at its end.

        Their queues and rules are created first. Raises Conflict when the handlers run already,
        and what creating queues and rules raises.
        """
        if self._is_closed:
            raise BrokerClosed("the broker is closed")
        if self._is_running:
            raise Conflict("broker", self.account, "its handlers are running already")
        self._is_running, self._ended = True, anyio.Event()
        try:
            async with anyio.create_task_group() as group:
                self._consumers = await self._make_consumers()
                group.start_soon(self._run_consumers, self._consumers)
                try:
                    yield self
                finally:
                    self.stop()
                    await self.functions.end(self._drain_ms)
        except BaseExceptionGroup as several:
            only = _only_one(several)
            raise only from only.__cause__
        finally:
            self._is_running = False
            self.streams.end_consuming()
            self._stopped = anyio.Event()  # the next run begins anew; a stop before it counts
            self._ended.set()

    async def _run_consumers(self, consumers: Sequence[Consumer | StreamWorker]) -> None:
        try:
            if self._stopped.is_set():
                return
            async with anyio.create_task_group() as group:
                for consumer in consumers:
                    group.start_soon(consumer.run)
        finally:
            self._ended.set()

    async def drain(self) -> None:
        """Stops the handlers and waits until they have ended, `drain_ms` and a little at most.
        Not for use in a handler, which would wait for itself.
        """
        if not self._is_running:
            return
        self.stop()
        with anyio.move_on_after((self._drain_ms + DRAIN_GRACE_MS) / 1000, shield=True):
            await self._ended.wait()

    async def close(self) -> None:
        """Drains, for good: handlers can not be run again. `eventcore.open` does it at its end."""
        self._is_closed = True
        await self.drain()

    def _check_not_running(self) -> None:
        if self._is_running:
            raise Conflict("broker", self.account, "handlers are registered before they run")

    async def _make_consumers(self) -> list[Consumer | StreamWorker]:
        consumers: list[Consumer | StreamWorker] = []
        for plan in self._queue_handlers:
            queue = await self._ensure_queue(plan.queue_name, plan.settings)
            consumers.append(
                Consumer(queue, plan.handler, concurrency=plan.concurrency, drain_ms=self._drain_ms)
            )
        for rule in self._rule_handlers:
            queue = await self._ensure_queue(rule.rule_name, rule.settings)
            await self.create_bus(rule.bus_name) if rule.bus_name != DEFAULT_BUS else None
            await self.put_rule(rule.rule_name, rule.pattern, [queue], bus=rule.bus_name)
            consumers.append(
                Consumer(
                    queue,
                    rule.handler,
                    concurrency=rule.concurrency,
                    drain_ms=self._drain_ms,
                    convert=_event_of,
                )
            )
        for name in self.streams.consumed_names:
            await self.streams.create(name)
        for kind, name in self.functions.planned_resources:
            if kind == "queue":
                await self._ensure_queue(name, {})
            else:
                await self.streams.create(name)
        await self.functions.begin()
        return [*consumers, *self.streams.begin_consuming(self._drain_ms)]

    async def _ensure_queue(self, name: str, settings: Mapping[str, Any]) -> Queue:
        if settings:
            return await self.create_queue(name, **settings)
        try:
            return await self.get_queue(name)
        except NotFound:
            return await self.create_queue(name)

    def _queue_arn(self, name: str) -> str:
        return queue_arn(self.account, self.region, name)

    def _bus(self, name: str) -> EventBus:
        return self.engine.bus(bus_arn(self.account, self.region, name))

    async def _durable(self) -> None:
        barrier = self.engine.barrier()
        if barrier is not None:
            await barrier


@asynccontextmanager
async def open_broker(
    path: str | None = None,
    *,
    durability: Durability = "full",
    committer: Committer = "inline",
    strictness: str = "relaxed",
    quotas: Quotas | None = None,
    account: str = DEFAULT_ACCOUNT,
    region: str = DEFAULT_REGION,
    memory_bytes_max: int = limits.BODY_MEMORY_BYTES_DEFAULT,
    drain_ms: int = DRAIN_MS_DEFAULT,
    clock: Clock | None = None,
    ids: IdSource | None = None,
    store: Store | None = None,
    connectors: Mapping[str, TargetFactory] | None = None,
    connector_options: Mapping[str, Mapping[str, str]] | None = None,
) -> AsyncIterator[Broker]:
    """Opens a broker on a file, or in memory when `path` is None.

    durability: "full" (default; acknowledged means fsynced), "relaxed" (fsynced within 100 ms; a
    kill loses nothing, a power cut at most that much). committer: "inline" commits on the event
    loop, "writer" in a process of its own. strictness: "relaxed", or "aws" with AWS's account
    quotas; `quotas` are any of your own instead. `store` takes any store of your own instead.
    `connectors` are the factories of targets outside, by URL scheme; by default those that are
    installed (see eventcore.connect). `connector_options` are their options, by the beginning of
    the URL ("https://example.org/").

    Raises StoreLocked, StoreTooNew, StoreCorrupt, StoreUnavailable.
    """
    chosen = store or store_for(path, durability, committer)
    options: dict[str, Any] = {
        "clock": clock,
        "ids": ids,
        "quotas": quotas or quotas_for(strictness),
        "memory_bytes_max": memory_bytes_max,
        "connectors": Connectors(connectors, connector_options),
        "drain_ms": drain_ms,
    }
    async with Engine.open(chosen, **options) as engine:
        broker = Broker(engine, account, region, drain_ms)
        try:
            yield broker
        finally:
            await broker.close()


def _only_one(several: BaseExceptionGroup[BaseException]) -> BaseException:
    """The one exception of nested groups that hold one, else the group."""
    found: BaseException = several
    while isinstance(found, BaseExceptionGroup) and len(found.exceptions) == 1:
        found = found.exceptions[0]
    return found


def _entry_of(event: Event) -> EventEntry:
    if not isinstance(event.resources, tuple | list):
        raise InvalidParameter("events", "An event's resources must be a tuple of str.", event)
    texts = (event.source, event.detail_type, *event.resources)
    if any(text.__class__ is not str for text in texts) or not isinstance(event.detail, dict):
        raise InvalidParameter("events", "An event's texts must be str, its detail a dict.", event)
    try:
        detail = encode_json(event.detail).decode()
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise InvalidParameter("events", f"The detail is no JSON: {error}", event.source) from error
    return EventEntry(
        source=event.source,
        detail_type=event.detail_type,
        detail=detail,
        resources=tuple(event.resources),
    )


def _values_of(event: Event, bus: str) -> dict[str, object]:
    """The event as rules of the bus see it; what it says of itself (id, time) stands."""
    written = EventWriter(bus).write(_entry_of(event), bytes(16), 0)
    if isinstance(written, EventResult):
        raise InvalidParameter("event", written.error_message or "", event.source)
    said = {
        "id": event.id, "time": event.time, "account": event.account, "region": event.region
    }  # fmt: skip
    return {**read_event(written.text), **{name: text for name, text in said.items() if text}}


def _name_of(handler: Handler) -> str:
    name = getattr(handler, "__qualname__", type(handler).__qualname__)
    cleaned = "".join(c if c.isalnum() or c in "_-" else "-" for c in name.replace("<locals>", ""))
    return cleaned.strip("-")[: limits.RULE_NAME_CHARACTERS_MAX]


def _event_of(message: Message) -> Event:
    content = decode_json(message.body)
    return Event(
        source=content["source"],
        detail_type=content["detail-type"],
        detail=content["detail"],
        resources=tuple(content["resources"]),
        id=content["id"],
        time=content["time"],
        account=content["account"],
        region=content["region"],
    )


def _check_name(name: str) -> None:
    stem = name.removesuffix(FIFO_SUFFIX)
    is_allowed = stem.isascii() and all(c.isalnum() or c in "-_" for c in stem)
    if not stem or len(name) > limits.QUEUE_NAME_CHARACTERS_MAX or not is_allowed:
        raise InvalidParameter(
            "name",
            "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length. "
            'A FIFO queue\'s ends in ".fifo".',
            name,
        )


def _check_bus_name(name: str) -> None:
    is_allowed = name.isascii() and all(c.isalnum() or c in ".-_" for c in name)
    if not 1 <= len(name) <= limits.BUS_NAME_CHARACTERS_MAX or not is_allowed:
        raise InvalidParameter("name", "Can only include letters, digits, '.', '-' and '_'.", name)
