"""From a handler's signature to a call with an event and a context: typed payloads, batches,
dependencies.

    async def handle(order: Order, context: FunctionContext, db: Annotated[Db, Depends(connect)])

Rules of this file:

- The first parameter that is neither a context nor a dependency is the event. Its annotation says
  as what: nothing or `Any`, or a plain `dict` for the event as it is, as on AWS; a msgspec Struct,
  dataclass, TypedDict or plain type, converted by msgspec; a Pydantic model, validated by Pydantic;
  `Batch[T]`, or `list[T]`, for the records of a mapping's event, their bodies read as T.
- A parameter that is annotated `FunctionContext` or `LambdaContext`, or is named `context`, gets
  the context; so does a second one of any name without annotation, as on AWS.
- A decorator whose wrapper names its parameters, as those of aws-lambda-powertools do, gets the
  event as it is: what becomes of it then is the decorator's doing. One that passes on whatever it
  is given (`*args`) is looked through.
- `Depends(make)`, as default or in `Annotated`, gets what `make` gives: a function, a coroutine
  function, or a generator of either kind, which is ended after the handler. Dependencies have
  dependencies. Each is made once per invocation.
- A signature is read once, when the handler is registered; what can not be bound is refused then.
"""

from __future__ import annotations

import functools
import inspect
from base64 import b64decode
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from typing import (
    Annotated,
    Any,
    Final,
    Generic,
    TypeVar,
    cast,
    final,
    get_args,
    get_origin,
    overload,
)

import anyio.to_thread
import msgspec

from eventcore.codec import decode_json
from eventcore.errors import InvalidParameter
from eventcore.runtime.local_functions import FunctionContext

__all__ = ["Batch", "BatchRecord", "Dependency", "Depends", "bind"]

T = TypeVar("T")
DEPENDENCIES_DEEP_MAX: Final = 32

BoundHandler = Callable[[Any, FunctionContext], Any]
_Read = Callable[[Any], Any]


def Depends(make: Callable[..., Any]) -> Any:  # noqa: N802  (reads as the type that it stands for)
    """Says that a parameter is given what `make` makes. See the module's text."""
    return Dependency(make)


@final
class Dependency:
    """What `Depends` makes: a parameter with it is given what `make` makes."""

    __slots__ = ("make",)

    def __init__(self, make: Callable[..., Any]) -> None:
        self.make = make

    def __repr__(self) -> str:
        return f"Depends({_name(self.make)})"


@final
class BatchRecord(Generic[T]):
    """One record of a mapping's event: what it says (`value`), and the record as AWS has it."""

    __slots__ = ("id", "raw", "value")

    def __init__(self, identifier: str, raw: dict[str, Any], value: T) -> None:
        self.id = identifier
        self.raw = raw
        self.value = value

    def __repr__(self) -> str:
        return f"BatchRecord({self.id!r}, {self.value!r:.200})"


@final
class Batch(Sequence[BatchRecord[T]], Generic[T]):
    """The records of one invocation, in order. What `fail` was told of, and what could not be read
    as T, is reported as failed; a mapping with `report_failures=True` tries just those again.
    """

    def __init__(self, records: list[BatchRecord[T]], unreadable: list[str]) -> None:
        self._records = records
        self._failed = dict.fromkeys(unreadable)

    def __len__(self) -> int:
        return len(self._records)

    def __iter__(self) -> Iterator[BatchRecord[T]]:
        return iter(self._records)

    @overload
    def __getitem__(self, index: int) -> BatchRecord[T]: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[BatchRecord[T]]: ...

    def __getitem__(self, index: int | slice) -> BatchRecord[T] | Sequence[BatchRecord[T]]:
        return self._records[index]

    def fail(self, record: BatchRecord[T]) -> None:
        """Reports one record as failed; the others are done with if the handler returns."""
        self._failed[record.id] = None

    def response(self) -> dict[str, Any]:
        """AWS's answer: which records failed."""
        return {"batchItemFailures": [{"itemIdentifier": one} for one in self._failed]}


class _Parameter(msgspec.Struct, frozen=True):
    """One parameter: how it is filled. `source` is "event", "context" or "dependency"."""

    name: str
    is_positional: bool
    source: str
    read: _Read | None = None
    dependency: _Call | None = None


class _Reading(msgspec.Struct, frozen=True):
    """How deep in the dependencies a signature is read, and what takes the place of what."""

    overrides: Mapping[Callable[..., Any], Callable[..., Any]]
    depth: int = 0

    def below(self) -> _Reading:
        return _Reading(self.overrides, self.depth + 1)


class _Call(msgspec.Struct, frozen=True):
    """A callable with its parameters. `is_generator` ones are ended after the handler."""

    function: Callable[..., Any]
    parameters: tuple[_Parameter, ...]
    is_generator: bool
    is_async: bool


def bind(
    handler: Callable[..., Any],
    overrides: Mapping[Callable[..., Any], Callable[..., Any]] | None = None,
) -> tuple[BoundHandler, bool]:
    """A function of (event, context) that calls the handler, and whether it is a coroutine
    function. `overrides` are makers of dependencies that take the place of others, for tests.

    Raises InvalidParameter("handler") for a signature that can not be filled.
    """
    call = _call_of(handler, _Reading(overrides or {}), is_handler=True)
    if not any(p.source == "dependency" for p in call.parameters):
        return _bound_plainly(call), call.is_async
    return _bound_with_dependencies(call), True


# Reading signatures


def _call_of(function: Callable[..., Any], reading: _Reading, *, is_handler: bool) -> _Call:
    if reading.depth > DEPENDENCIES_DEEP_MAX:
        raise InvalidParameter("handler", "Its dependencies depend on each other.", _name(function))
    try:
        signature = inspect.signature(function, eval_str=True)
    except (NameError, TypeError, ValueError) as error:
        text = f"The signature of {_name(function)} can not be read: {error}"
        raise InvalidParameter("handler", text) from error
    parameters: list[_Parameter] = []
    has_event = False
    for parameter in signature.parameters.values():
        if is_handler and has_event and len(parameters) == 1 and _is_plain(parameter):
            parameters.append(_Parameter(parameter.name, True, "context"))
            continue
        bound = _bound_parameter(function, parameter, is_handler and not has_event, reading)
        if bound is not None:
            parameters.append(bound)
            has_event = has_event or bound.source == "event"
    target = inspect.unwrap(function)
    is_generator = inspect.isgeneratorfunction(target) or inspect.isasyncgenfunction(target)
    is_async = inspect.iscoroutinefunction(target) or inspect.isasyncgenfunction(target)
    if not is_async and not inspect.isroutine(target):
        is_async = inspect.iscoroutinefunction(getattr(target, "__call__", None))  # noqa: B004
    if is_handler and is_generator:
        raise InvalidParameter("handler", "A handler must not be a generator.", _name(function))
    return _Call(function, tuple(parameters), is_generator, is_async)


def _bound_parameter(
    function: Callable[..., Any],
    parameter: inspect.Parameter,
    may_be_event: bool,
    reading: _Reading,
) -> _Parameter | None:
    is_positional = parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
    annotation, depends = _depends_of(parameter)
    if depends is not None:
        make = reading.overrides.get(depends.make, depends.make)
        inner = _call_of(make, reading.below(), is_handler=False)
        return _Parameter(parameter.name, is_positional, "dependency", dependency=inner)
    if _is_context(annotation) or (
        parameter.name == "context" and (annotation is parameter.empty or not may_be_event)
    ):
        return _Parameter(parameter.name, is_positional, "context")
    if may_be_event and parameter.kind is not parameter.VAR_KEYWORD:
        if parameter.kind is parameter.VAR_POSITIONAL:
            return None
        read = None if _is_wrapped_by_name(function) else _reader(annotation, function)
        return _Parameter(parameter.name, is_positional, "event", read)
    if parameter.default is not parameter.empty or not (
        is_positional or parameter.kind is parameter.KEYWORD_ONLY
    ):
        return None
    raise InvalidParameter(
        "handler",
        f"{_name(function)} has a parameter {parameter.name!r} that is neither the event nor the "
        "context, and has neither a default nor Depends(...).",
    )


def _is_context(annotation: Any) -> bool:
    """AWS's runtime client and aws-lambda-powertools each have a class of this name."""
    return annotation is FunctionContext or getattr(annotation, "__name__", "") == "LambdaContext"


def _is_plain(parameter: inspect.Parameter) -> bool:
    """Whether it has neither annotation nor default, and can be given by its place."""
    return (
        parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
        and parameter.annotation is parameter.empty
        and parameter.default is parameter.empty
    )


def _is_wrapped_by_name(function: Callable[..., Any]) -> bool:
    """Whether one of its decorators takes the event as a parameter of its own."""
    while (inner := getattr(function, "__wrapped__", None)) is not None:
        try:
            own = inspect.signature(function, follow_wrapped=False)
        except (TypeError, ValueError):  # of a wrapper that is no Python function
            return False
        first = next(iter(own.parameters.values()), None)
        if first is not None and first.kind not in (first.VAR_POSITIONAL, first.VAR_KEYWORD):
            return True
        function = inner
    return False


def _depends_of(parameter: inspect.Parameter) -> tuple[Any, Dependency | None]:
    """The annotation without Annotated, and the parameter's Depends."""
    annotation = parameter.annotation
    if isinstance(parameter.default, Dependency):
        return annotation, parameter.default
    if get_origin(annotation) is Annotated:
        base, *extras = get_args(annotation)
        for extra in extras:
            if isinstance(extra, Dependency):
                return base, extra
        # Constraints of msgspec and Pydantic stand in Annotated, too.
    return annotation, None


# Reading events


def _reader(annotation: Any, function: Callable[..., Any]) -> _Read | None:
    if annotation in (inspect.Parameter.empty, Any, dict) or annotation is object:
        return None
    origin = get_origin(annotation)
    if origin is dict and get_args(annotation) in ((str, Any), (str, object)):
        return None
    if annotation is Batch or origin is Batch:
        return _batch_reader(_type_reader((*get_args(annotation), Any)[0], function))
    if origin is list:
        return _list_reader(
            _type_reader(get_args(annotation)[0], function), _type_reader(annotation, function)
        )
    return _type_reader(annotation, function)


def _type_reader(wanted: Any, function: Callable[..., Any]) -> _Read:
    if wanted in (Any, object):
        return _as_it_is
    validate = getattr(wanted, "model_validate", None)
    if isinstance(wanted, type) and validate is not None:  # a Pydantic model
        return cast("_Read", validate)
    try:
        msgspec.json.Decoder(wanted)  # msgspec tells now what it can not read
    except TypeError as error:
        text = f"{_name(function)}: {error}"
        raise InvalidParameter("handler", text) from error
    return lambda value: msgspec.convert(value, wanted)


def _as_it_is(value: Any) -> Any:
    return value


def _batch_reader(read: _Read) -> _Read:
    def read_batch(event: Any) -> Batch[Any]:
        records: list[BatchRecord[Any]] = []
        unreadable: list[str] = []
        for raw in _records_of(event):
            identifier = _identifier(raw)
            try:
                records.append(BatchRecord(identifier, raw, read(_content(raw))))
            except (ValueError, msgspec.ValidationError):  # Pydantic's is a ValueError
                unreadable.append(identifier)
        return Batch(records, unreadable)

    return read_batch


def _list_reader(read_one: _Read, read_all: _Read) -> _Read:
    def read_list(event: Any) -> Any:
        if isinstance(event, list):
            return read_all(event)
        return [read_one(_content(raw)) for raw in _records_of(event)]

    return read_list


def _records_of(event: Any) -> list[dict[str, Any]]:
    records = event.get("Records") if isinstance(event, dict) else None
    if not isinstance(records, list):
        raise TypeError("the event has no Records: it does not come from an event source mapping")
    return records


def _identifier(raw: dict[str, Any]) -> str:
    """What AWS calls itemIdentifier: a message id, or a sequence number."""
    if "kinesis" in raw:
        return cast("str", raw["kinesis"]["sequenceNumber"])
    return cast("str", raw.get("messageId", ""))


def _content(raw: dict[str, Any]) -> Any:
    """What a record says: its body or its data, as JSON where it is that, else as text or bytes."""
    if "kinesis" not in raw:
        body = raw.get("body", "")
        try:
            return decode_json(body)
        except ValueError:
            return body
    data = b64decode(raw["kinesis"]["data"])
    try:
        return decode_json(data)
    except ValueError:
        try:
            return data.decode()
        except UnicodeDecodeError:
            return data


# Calling


def _bound_plainly(call: _Call) -> BoundHandler:
    function, parameters = call.function, call.parameters
    read = next((p.read for p in parameters if p.source == "event"), None)
    shape = [p.source for p in parameters if p.is_positional]
    if read is None and shape == ["event", "context"] and len(parameters) == 2:
        return function
    if read is None and shape == ["event"] and len(parameters) == 1:
        return lambda event, _: function(event)

    if call.is_async:

        async def call_async(event: Any, context: FunctionContext) -> Any:
            positional, named, batch = _arguments(call, event, context, {})
            return _answer(await function(*positional, **named), batch)

        return call_async

    def call_plain(event: Any, context: FunctionContext) -> Any:
        positional, named, batch = _arguments(call, event, context, {})
        return _answer(function(*positional, **named), batch)

    return call_plain


def _bound_with_dependencies(call: _Call) -> BoundHandler:
    async def call_with_dependencies(event: Any, context: FunctionContext) -> Any:
        async with AsyncExitStack() as stack:
            made: dict[Callable[..., Any], Any] = {}
            await _make_all(call, context, made, stack)
            positional, named, batch = _arguments(call, event, context, made)
            if call.is_async:
                result = await call.function(*positional, **named)
            else:
                run = functools.partial(call.function, *positional, **named)
                result = await anyio.to_thread.run_sync(run, abandon_on_cancel=True)
            return _answer(await result if inspect.isawaitable(result) else result, batch)

    return call_with_dependencies


async def _make_all(
    call: _Call,
    context: FunctionContext,
    made: dict[Callable[..., Any], Any],
    stack: AsyncExitStack,
) -> None:
    for parameter in call.parameters:
        inner = parameter.dependency
        if inner is None or inner.function in made:
            continue
        await _make_all(inner, context, made, stack)
        positional, named, _ = _arguments(inner, None, context, made)
        made[inner.function] = await _make(inner, positional, named, stack)


async def _make(
    call: _Call, positional: list[Any], named: dict[str, Any], stack: AsyncExitStack
) -> Any:
    if call.is_generator and call.is_async:
        manager = asynccontextmanager(call.function)(*positional, **named)
        return await stack.enter_async_context(manager)
    if call.is_generator:
        return stack.enter_context(contextmanager(call.function)(*positional, **named))
    value = call.function(*positional, **named)
    return await value if inspect.isawaitable(value) else value


def _arguments(
    call: _Call, event: Any, context: FunctionContext, made: dict[Callable[..., Any], Any]
) -> tuple[list[Any], dict[str, Any], Batch[Any] | None]:
    positional: list[Any] = []
    named: dict[str, Any] = {}
    batch: Batch[Any] | None = None
    for parameter in call.parameters:
        value: Any = context
        if parameter.source == "event":
            value = event if parameter.read is None else parameter.read(event)
            batch = value if isinstance(value, Batch) else None
        elif parameter.dependency is not None:
            value = made[parameter.dependency.function]
        if parameter.is_positional:
            positional.append(value)
        else:
            named[parameter.name] = value
    return positional, named, batch


def _answer(result: Any, batch: Batch[Any] | None) -> Any:
    """What the handler returned; for a batch, which of its records failed."""
    return batch.response() if batch is not None and result is None else result


def _name(function: Callable[..., Any]) -> str:
    return getattr(function, "__qualname__", type(function).__qualname__)
