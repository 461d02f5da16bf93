"""The embedded API of functions and event source mappings: what `broker.function`, `broker.map` and
`broker.functions` give.

    @broker.function(on_failure=failed)
    async def resize(event): ...

    @broker.map("orders", batch_size=100, report_failures=True)
    async def bill(batch: Batch[Order]): ...

Rules of this file:

- A decorated handler is a function of the broker, named after it. Functions and mappings are
  created, or brought up to date, when the handlers start; they stay when the program ends. Events
  wait for it, then.
- What a program registers runs in it; a function of worker processes is named by its module, and
  runs whether or not anybody has registered anything.
- A coroutine that changes something returns when the change is durable.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar, final

import msgspec

from eventcore import limits
from eventcore.arn import function_arn, parse_arn, queue_arn, stream_arn
from eventcore.codec import encode_json
from eventcore.errors import InvalidParameter, LimitExceeded
from eventcore.functions.async_events import AsyncEvent
from eventcore.functions.function_spec import (
    KIND_HTTP,
    KIND_LOCAL,
    KIND_PROCESS,
    LATEST,
    FunctionCode,
    FunctionConfig,
    InvokeConfig,
)
from eventcore.functions.invocation import InvocationResult, Payload
from eventcore.mappings.mapping import EventSourceMapping
from eventcore.mappings.mapping_spec import FOR_EVER, MappingSpec
from eventcore.patterns.trial import pattern_text
from eventcore.queues.queue import QueueMachine
from eventcore.runtime.function_logs import LogLine
from eventcore.runtime.handler_binding import bind
from eventcore.runtime.handles import Queue
from eventcore.runtime.local_functions import LocalFunction
from eventcore.runtime.process_entry import ENTRY, HANDLER_VARIABLE
from eventcore.runtime.stream_handles import Stream

if TYPE_CHECKING:
    from eventcore.runtime.engine import Engine

__all__ = ["FunctionError", "Functions"]

H = TypeVar("H", bound=Callable[..., Any])
Source = Queue | Stream | str
STREAM_PREFIX: Final = "stream/"
DESTINATION_SERVICES: Final = frozenset(("sqs", "lambda", "events"))


class FunctionError(Exception):
    """A function that was invoked raised, timed out or crashed. `payload` is what AWS would answer:
    an object with errorMessage, errorType and, where known, stackTrace.
    """

    def __init__(self, function: str, payload: Any) -> None:
        details = payload if isinstance(payload, dict) else {}
        text = f"{details.get('errorType', 'Error')}: {details.get('errorMessage', payload)}"
        super().__init__(f"function {function!r}: {text}")
        self.function = function
        self.payload = payload


class _Plan(msgspec.Struct, frozen=True, kw_only=True):
    """A decorated handler: what is to be when it runs."""

    name: str
    config: FunctionConfig
    invoker: LocalFunction | None
    reserved: int | None
    invoke_config: InvokeConfig | None


class _MapPlan(msgspec.Struct, frozen=True):
    """A decorated handler of a mapping. `has_own_timeout`: it was given one; else it may take as
    long as its queue's messages are invisible.
    """

    source: Source
    function: str
    settings: dict[str, Any]
    has_own_timeout: bool


@final
class Functions:
    """The functions of a broker's account and region."""

    def __init__(self, engine: Engine, account: str, region: str) -> None:
        self._engine = engine
        self._account = account
        self._region = region
        self._plans: dict[str, _Plan] = {}
        self._map_plans: list[_MapPlan] = []
        self._registered: list[str] = []
        self._destinations: dict[str, None] = {}
        """Queues that destinations name plainly."""

    def arn(self, name: str) -> str:
        """The ARN of a function of this name."""
        return function_arn(self._account, self._region, name)

    # Invoking

    async def invoke(self, name: str, payload: Any = None, *, qualifier: str | None = None) -> Any:
        """Invokes a function and returns what it answered, as plain values; as text where a custom
        runtime answered what is no JSON.

        `payload` is anything that JSON can say; at most 6 MB. Raises FunctionError for whatever the
        function does wrong; NotFound, Throttled (no concurrency left), RecursiveInvocation,
        FailedInvocation (it could not be begun: nobody runs it), LimitExceeded.
        """
        result = await self.run(name, payload, qualifier=qualifier)
        if result.error is not None:
            raise FunctionError(name, result.payload.value)
        try:
            return result.payload.value
        except ValueError:  # a custom runtime may answer anything
            return result.payload.raw.decode("utf-8", "replace")

    async def run(
        self, name: str, payload: Any = None, *, qualifier: str | None = None
    ) -> InvocationResult:
        """As `invoke`, but gives AWS's whole answer, an error of the function's included."""
        _check_qualifier(qualifier)
        raw = _payload(payload, limits.INVOKE_BYTES_MAX, "invoke_bytes_max")
        return await self._engine.functions.invoke(
            self.arn(name), Payload(raw), qualifier=qualifier, wants_log_tail=True
        )

    async def invoke_later(
        self, name: str, payload: Any = None, *, qualifier: str | None = None
    ) -> str:
        """Has a function invoked asynchronously; returns the request id when that is durable.

        It is tried up to three times, one and two minutes apart, and goes to the function's
        `on_failure` then. At least once. `payload` is at most 1 MB. Raises NotFound, LimitExceeded.
        """
        _check_qualifier(qualifier)
        raw = _payload(payload, limits.INVOKE_LATER_BYTES_MAX, "invoke_later_bytes_max")
        engine = self._engine
        engine.begin()
        function = engine.functions.find(self.arn(name))
        function.resolve(qualifier, 0.0)
        request_id = engine.functions.invoke_later(function, AsyncEvent(raw.decode(), qualifier))
        await self._durable()
        return request_id

    # Resources

    async def list(self, prefix: str = "") -> list[str]:
        """The names of the functions that begin so, sorted."""
        self._engine.begin()
        found = self._engine.functions.all_of(self._account, self._region)
        names = [function.name for function in found if function.name.startswith(prefix)]
        await self._durable()
        return names

    async def delete(self, name: str) -> None:
        """Deletes a function, with what waits to be invoked. Raises NotFound."""
        self._engine.begin()
        self._engine.functions.delete(self._engine.functions.find(self.arn(name)))
        await self._durable()

    async def create_endpoint(
        self, name: str, url: str, *, timeout_ms: int = limits.FUNCTION_TIMEOUT_MS_DEFAULT
    ) -> str:
        """Creates, or changes, a function that is an HTTP endpoint: events are posted to `url`, its
        answer is the result. Returns its ARN.

        Raises UnsupportedOperation without a connector for the URL, and what that says to the URL.
        """
        _check_name(name)
        if url.__class__ is not str:
            raise InvalidParameter("url", "Must be a str.", url)
        config = FunctionConfig(
            kind=KIND_HTTP, handler=url, timeout_ms=_duration("timeout_ms", timeout_ms)
        )
        self._engine.begin()
        self._engine.functions.ensure(self.arn(name), config)
        await self._durable()
        return self.arn(name)

    def logs(self, name: str, after: int = -1) -> Sequence[LogLine]:
        """The latest lines that a function of worker processes wrote, oldest first, those with a
        number above `after`.
        """
        return self._engine.functions.logs.lines(self.arn(name), after)

    # Decorators

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
    ) -> Callable[[H], H]:
        """Decorator: the handler is a function of this broker; see Broker.function."""

        def register(handler: H) -> H:
            self.add(
                handler,
                name,
                timeout_ms=timeout_ms,
                reserved=concurrency,
                in_process=in_process,
                memory_mb=memory_mb,
                environment=_variables(environment),
                invoke_config=self._invoke_config(retries_max, age_ms_max, on_success, on_failure),
            )
            return handler

        return register

    def map(self, source: Source, name: str | None = None, **settings: Any) -> Callable[[H], H]:
        """Decorator: the handler gets batches of a queue or a stream; see Broker.map."""
        if not isinstance(source, Queue | Stream | str):
            reason = "Must be a queue, a stream, the name of one, or an ARN."
            raise InvalidParameter("source", reason, source)
        _check_settings(settings)
        self._target(settings.get("on_failure"))  # a wrong one is refused now
        timeout_ms = settings.pop("timeout_ms", None)
        in_process = settings.pop("in_process", False)

        def register(handler: H) -> H:
            function = self.add(
                handler,
                name,
                timeout_ms=limits.FUNCTION_TIMEOUT_MS_MAX if timeout_ms is None else timeout_ms,
                in_process=in_process,
            )
            self._map_plans.append(_MapPlan(source, function, settings, timeout_ms is not None))
            return handler

        return register

    def add(
        self,
        handler: Callable[..., Any],
        name: str | None,
        *,
        timeout_ms: int,
        reserved: int | None = None,
        in_process: bool = False,
        memory_mb: int = limits.FUNCTION_MEMORY_MB_DEFAULT,
        environment: dict[str, str] | None = None,
        invoke_config: InvokeConfig | None = None,
    ) -> str:
        """Plans a function; returns its name. Raises InvalidParameter."""
        chosen = name or _name_of(handler)
        _check_name(chosen)
        if chosen in self._plans:
            raise InvalidParameter(
                "name", "Another handler is a function of this name; give one another.", chosen
            )
        call, is_async = bind(handler)
        config = FunctionConfig(
            kind=KIND_PROCESS if in_process else KIND_LOCAL,
            timeout_ms=_duration("timeout_ms", timeout_ms),
            memory_mb=memory_mb,
            environment=environment or {},
        )
        if in_process:
            location, dotted = _place_of(handler)
            if is_async or call is not handler:
                # More than (event, context): it is bound in the process, by an entry of ours.
                own = {**config.environment, HANDLER_VARIABLE: dotted}
                config = msgspec.structs.replace(config, environment=own)
                dotted = ENTRY
            runtime = f"python{sys.version_info.major}.{sys.version_info.minor}"
            config = msgspec.structs.replace(
                config, runtime=runtime, handler=dotted, code=FunctionCode(location=location)
            )
        invoker = None
        if not in_process:
            invoker = LocalFunction(call, self._engine.clock, is_async=is_async)
        self._plans[chosen] = _Plan(
            name=chosen,
            config=config,
            invoker=invoker,
            reserved=reserved,
            invoke_config=invoke_config,
        )
        return chosen

    def _invoke_config(
        self,
        retries_max: int | None,
        age_ms_max: int | None,
        on_success: Queue | str | None,
        on_failure: Queue | str | None,
    ) -> InvokeConfig | None:
        if (retries_max, age_ms_max, on_success, on_failure) == (None, None, None, None):
            return None
        _check_int("retries_max", retries_max, 0, limits.INVOKE_RETRIES_MAX)
        _check_int("age_ms_max", age_ms_max, limits.INVOKE_AGE_MS_MIN, limits.INVOKE_AGE_MS_MAX)
        return InvokeConfig(
            0, retries_max, age_ms_max, self._target(on_success), self._target(on_failure)
        )

    def _target(self, target: Queue | str | None) -> str | None:
        """A destination's ARN; a plain name is a queue, which is made if it is not there."""
        if target is None:
            return None
        if isinstance(target, Queue):
            return target.arn
        if target.__class__ is not str or not target:
            raise InvalidParameter("destination", "Must be a queue, its name, or an ARN.", target)
        if target.startswith("arn:"):
            if parse_arn(target).service not in DESTINATION_SERVICES:
                reason = "Must be a queue, a function or an event bus."
                raise InvalidParameter("destination", reason, target)
            return target
        self._destinations[target] = None
        return queue_arn(self._account, self._region, target)

    # Life

    @property
    def planned_resources(self) -> Sequence[tuple[str, str]]:
        """What plans name plainly, sources and destinations: ("queue" or "stream", name)."""
        found = [("queue", name) for name in self._destinations]
        for plan in self._map_plans:
            if isinstance(plan.source, str) and not plan.source.startswith("arn:"):
                kind = "stream" if plan.source.startswith(STREAM_PREFIX) else "queue"
                found.append((kind, plan.source.removeprefix(STREAM_PREFIX)))
        return found

    async def begin(self) -> None:
        """Creates or changes what is planned, and begins to run it."""
        if not self._plans:
            return
        functions = self._engine.functions
        for map_plan in self._map_plans:
            mapping = await self._mapping_of(self._spec_of(map_plan))
            if mapping is not None:  # a change that an earlier end broke off
                await self._engine.mappings.at_rest(mapping.arn)
        self._engine.begin()
        for map_plan in self._map_plans:
            self._fit_timeout(map_plan)
        for plan in self._plans.values():
            self._ensure(plan)
        for map_plan in self._map_plans:
            self._ensure_mapping(self._spec_of(map_plan))
        await self._durable()
        for plan in self._plans.values():
            if plan.invoker is not None:
                functions.register(self.arn(plan.name), plan.invoker)
                self._registered.append(self.arn(plan.name))

    async def end(self, drain_ms: int) -> None:
        """Ends what `begin` began: no new batches, running ones end within `drain_ms`."""
        arns, self._registered = self._registered, []
        if not arns:
            return
        await self._engine.functions.unregister(arns, drain_ms)

    def _fit_timeout(self, plan: _MapPlan) -> None:
        """A function must not take longer than its queue's messages are invisible."""
        source = self._engine.find(self._source_arn(plan.source))
        if plan.has_own_timeout or not isinstance(source, QueueMachine):
            return
        self._engine.look(source)
        function = self._plans[plan.function]
        longest_ms = min(source.spec.visibility_timeout_ms, limits.FUNCTION_TIMEOUT_MS_MAX)
        config = msgspec.structs.replace(function.config, timeout_ms=max(longest_ms, 1))
        self._plans[plan.function] = msgspec.structs.replace(function, config=config)

    def _ensure(self, plan: _Plan) -> None:
        """Has the function be as planned; whatever else was set for it stays."""
        engine, functions = self._engine, self._engine.functions
        function = functions.ensure(self.arn(plan.name), plan.config)
        if plan.reserved is not None and plan.reserved != function.record.reserved:
            functions.run(function, function.set_reserved(plan.reserved))
        wanted, existing = plan.invoke_config, function.invoke_config(LATEST)
        if wanted is not None:
            known_ms = engine.now_ms() if existing is None else existing.modified_ms
            if msgspec.structs.replace(wanted, modified_ms=known_ms) != existing:
                wanted = msgspec.structs.replace(wanted, modified_ms=engine.now_ms())
                functions.run(function, function.set_invoke_config(LATEST, wanted))

    async def _mapping_of(self, spec: MappingSpec) -> EventSourceMapping | None:
        self._engine.begin()
        mapping = self._find_mapping(spec)
        await self._durable()
        return mapping

    def _find_mapping(self, spec: MappingSpec) -> EventSourceMapping | None:
        pair = (spec.source_arn, spec.function_arn)
        for mapping in self._engine.mappings.all_of(self._account, self._region):
            if (mapping.spec.source_arn, mapping.spec.function_arn) == pair:
                return mapping
        return None

    def _ensure_mapping(self, spec: MappingSpec) -> None:
        """Has the mapping be as planned. One that somebody disabled stays so."""
        mappings = self._engine.mappings
        mapping = self._find_mapping(spec)
        if mapping is None:
            mappings.create(self._account, self._region, spec, True)
            return
        wanted = msgspec.structs.replace(
            spec,
            tags=mapping.spec.tags,
            pollers=mapping.spec.pollers,
            metrics=mapping.spec.metrics,
            echoed=mapping.spec.echoed,
        )
        if mapping.spec != wanted:
            mappings.update(mapping, wanted, None)

    def _spec_of(self, plan: _MapPlan) -> MappingSpec:
        settings = dict(plan.settings)
        start = settings.pop("start", "LATEST")
        arn = self._source_arn(plan.source)
        is_queue = arn.split(":", 3)[2] == "sqs"
        starting: dict[str, Any] = {}
        if not is_queue:
            starting = {"starting_position": start}
            if isinstance(start, datetime):
                at_ms = int(start.timestamp() * 1000)
                starting = {"starting_position": "AT_TIMESTAMP", "starting_ms": at_ms}
        filters = tuple(pattern_text(p) for p in settings.pop("filters", ()))
        settings.setdefault("batch_size", 10 if is_queue else 100)
        return MappingSpec(
            source_arn=arn,
            function_arn=self.arn(plan.function),
            filters=filters,
            on_failure_arn=self._target(settings.pop("on_failure", None)),
            **{_SETTINGS[name]: value for name, value in settings.items()},
            **starting,
        )

    def _source_arn(self, source: Source) -> str:
        if isinstance(source, Queue | Stream):
            return source.arn
        if source.startswith("arn:"):
            return source
        if source.startswith(STREAM_PREFIX):
            return stream_arn(self._account, self._region, source.removeprefix(STREAM_PREFIX))
        return queue_arn(self._account, self._region, source)

    async def _durable(self) -> None:
        barrier = self._engine.barrier()
        if barrier is not None:
            await barrier


_SETTINGS: Final = {
    "batch_size": "batch_size",
    "batch_window_ms": "batch_window_ms",
    "report_failures": "reports_item_failures",
    "concurrency": "concurrency_max",
    "parallelization": "parallelization",
    "bisect_on_error": "is_bisecting",
    "retries_max": "retries_max",
    "record_age_ms_max": "age_ms_max",
    "window_ms": "window_ms",
}
"""Settings of `Broker.map` by their names in MappingSpec, those that need no reading."""
_READ_SETTINGS: Final = frozenset(("filters", "on_failure", "start", "timeout_ms", "in_process"))


def _check_settings(settings: Mapping[str, Any]) -> None:
    unknown = sorted(set(settings) - set(_SETTINGS) - _READ_SETTINGS)
    if unknown:
        raise InvalidParameter(unknown[0], "is no setting of a mapping; see Broker.map.")
    for name in ("retries_max", "record_age_ms_max"):
        value = settings.get(name, FOR_EVER)
        if value.__class__ is not int:
            raise InvalidParameter(name, "Must be an int; -1 for no limit.", value)
    filters = settings.get("filters", ())
    if not isinstance(filters, Sequence | Iterable) or isinstance(filters, str | Mapping):
        raise InvalidParameter("filters", "Must be a list of event patterns.", filters)


def _variables(environment: Mapping[str, str] | None) -> dict[str, str]:
    if environment is not None and not isinstance(environment, Mapping):
        raise InvalidParameter("environment", "Must be a mapping of str to str.", environment)
    return dict(environment or {})


def _payload(value: Any, bytes_max: int, limit: str) -> bytes:
    """JSON of a value. Raises InvalidParameter, LimitExceeded."""
    try:
        raw = encode_json(value)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise InvalidParameter("payload", f"Is no JSON: {error}") from error
    if len(raw) > bytes_max:
        raise LimitExceeded(limit, bytes_max)
    return raw


def _check_qualifier(qualifier: str | None) -> None:
    if qualifier is not None and qualifier.__class__ is not str:
        raise InvalidParameter("qualifier", "Must be a str: a version or an alias.", qualifier)


def _check_int(name: str, value: int | None, low: int, high: int) -> None:
    if value is not None and (value.__class__ is not int or not low <= value <= high):
        raise InvalidParameter(name, f"Must be {low} to {high}.", value)


def _duration(name: str, value: int) -> int:
    if value.__class__ is not int or not 1 <= value <= limits.FUNCTION_TIMEOUT_MS_MAX:
        reason = f"Must be 1 to {limits.FUNCTION_TIMEOUT_MS_MAX} ms."
        raise InvalidParameter(name, reason, value)
    return value


def _place_of(handler: Callable[..., Any]) -> tuple[str, str]:
    """Where a worker process finds a handler: a directory, and "module.function"."""
    name, file = handler.__qualname__, inspect.getsourcefile(handler)
    if file is None or "." in name or name == "<lambda>":
        raise InvalidParameter(
            "handler", "A function of worker processes must stand at the top of a module.", name
        )
    module, path = handler.__module__, Path(file).resolve()
    if module == "__main__":
        return str(path.parent), f"{path.stem}.{name}"
    depth = module.count(".") + (path.stem == "__init__")
    return str(path.parents[depth]), f"{module}.{name}"


def _name_of(handler: Callable[..., Any]) -> str:
    name = getattr(handler, "__name__", type(handler).__name__)
    cleaned = "".join(c if c.isalnum() or c in "_-" else "-" for c in name)
    return cleaned.strip("-")[-limits.FUNCTION_NAME_CHARACTERS_MAX :]


def _check_name(name: str) -> None:
    if (
        name.__class__ is not str
        or not name.isascii()
        or not all(c.isalnum() or c in "_-" for c in name)
        or not 1 <= len(name) <= limits.FUNCTION_NAME_CHARACTERS_MAX
    ):
        raise InvalidParameter(
            "name",
            "Can only include letters, digits, hyphens and underscores. 1 to "
            f"{limits.FUNCTION_NAME_CHARACTERS_MAX} in length.",
            name,
        )
