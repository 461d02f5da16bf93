"""AWS REST-JSON: operations that a method and a path name, and how their requests are read.

    PUT /2015-03-31/functions/{FunctionName}/configuration    a path template, with its labels

Rules of this file:

- A path is cut at its slashes before its parts are percent-decoded, so a label may hold any
  character (an ARN's slash comes as %2F). A slash at the end of a path means nothing.
- A part that is written out in a template goes before a label in its place.
- A request struct has all members of its operation, wherever they come from: labels, the query
  string, headers, the JSON body, or the whole raw body. What the template, `query` or `headers`
  place is read from there and nowhere else; a body's member of that name is ignored.
- Only members of the body have types of their own. Elsewhere all is text: numbers and booleans are
  read from it. Of members that come twice in the query, a list takes all and the others the last.
- An empty body is one without members, as for AWS.
- The first part of a path (a version's date, in most services) belongs to one service, so that all
  other paths (a queue's URL, a side door) are told from these by one look.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, TypeVar, final
from urllib.parse import parse_qsl, unquote_to_bytes

import msgspec
from msgspec import inspect

from eventcore.api.operation import Call, Operation, RestAnswer, RestHandler, Service
from eventcore.codec import json_decoder
from eventcore.wire.aws_json import serialization_fault
from eventcore.wire.fault import CORAL, Fault, unknown_operation

__all__ = ["REST_JSON", "MissingRoute", "RestAnswer", "RestInput", "RestOperation", "RestRoutes"]

T = TypeVar("T")

REST_JSON: Final = b"application/json"

_QUERY_FIELDS_MAX: Final = 512
_BOOLEANS: Final = {"true": True, "false": False}


class RestInput(msgspec.Struct, gc=False):
    """What a request has beside its method: labels and query in text, headers and body raw."""

    labels: dict[str, str]
    query: list[tuple[str, str]]
    headers: dict[bytes, bytes]
    body: bytes


_Reader = Callable[[RestInput], Any]
"""Reads one member; None where it is not given. Raises Fault."""


@final
class RestOperation(Operation[T]):
    """An operation that `method` and `path` name. `path` is a template as in botocore's model; a
    query string at its end must be in the request as it is ("?List=ALL").

    `query` are the members that come in the query string, as a mapping where a name there is not
    the member's; `headers` maps members to their headers. `payload` is the member that takes the
    raw body. `status` is that of a success, with which a body that the handler returns leaves.
    """

    __slots__ = ("fixed_query", "labels", "method", "parts", "status")

    def __init__(
        self,
        name: str,
        request_type: type[T],
        handle: RestHandler[T],
        method: str,
        path: str,
        *,
        status: int = 200,
        query: Iterable[str] | Mapping[str, str] = (),
        headers: Mapping[str, str] | None = None,
        payload: str | None = None,
    ) -> None:
        self.method: Final = method.encode()
        self.parts, self.fixed_query = _parts(path)
        self.labels: Final = _labels(self.parts)
        self.status: Final = status
        in_query = query if isinstance(query, Mapping) else {member: member for member in query}
        decode = _decoder(
            request_type,
            self.labels,
            {member: wire for wire, member in in_query.items()},
            headers or {},
            payload,
        )
        super().__init__(name, request_type, self._serve(handle), decode)

    def _serve(self, handle: RestHandler[T]) -> RestHandler[T]:
        status = self.status
        if status == 200:
            return handle

        def serve(call: Call, request: T) -> bytes | RestAnswer | None:
            answer = handle(call, request)
            return RestAnswer(status, {}, answer) if isinstance(answer, bytes) else answer

        return serve


class MissingRoute(msgspec.Struct, frozen=True):
    """An operation of AWS's model that we lack, so that its path is not answered as unknown."""

    name: str
    method: str
    path: str


class _Part(msgspec.Struct, frozen=True):
    """A part of a template: a text, or a label where `label` is not empty."""

    text: bytes
    label: str = ""


_FixedQuery = frozenset[tuple[str, str]]


class _End(msgspec.Struct, frozen=True):
    """What is at the end of a path for one method. `operation` is None for one that we lack."""

    name: str
    operation: RestOperation[Any] | None
    labels: tuple[str, ...]
    fixed_query: _FixedQuery


@final
class _Node:
    """A part of the paths, and what follows on it."""

    __slots__ = ("ends", "label", "texts")

    def __init__(self) -> None:
        self.texts: dict[bytes, _Node] = {}
        self.label: _Node | None = None
        self.ends: dict[bytes, list[_End]] = {}

    def below(self, part: _Part) -> _Node:
        """The node of the next part, made when it is not there."""
        if not part.label:
            return self.texts.setdefault(part.text, _Node())
        if self.label is None:
            self.label = _Node()
        return self.label


@final
class RestRoutes:
    """All paths of one service. `roots` are the first parts of its paths, by which a request is
    known as one of the service.
    """

    def __init__(self, service: Service, missing: Iterable[MissingRoute] = ()) -> None:
        self.service: Final = service
        self._top = _Node()
        for operation in service.operations.values():
            assert isinstance(operation, RestOperation)
            end = _End(operation.name, operation, operation.labels, operation.fixed_query)
            self._add(operation.method, operation.parts, end)
        for route in missing:
            parts, fixed_query = _parts(route.path)
            end = _End(route.name, None, _labels(parts), fixed_query)
            self._add(route.method.encode(), parts, end)
        self.roots: Final = frozenset(self._top.texts)

    def _add(self, method: bytes, parts: tuple[_Part, ...], end: _End) -> None:
        node = self._top
        for part in parts:
            node = node.below(part)
        ends = node.ends.setdefault(method, [])
        for other in ends:
            assert other.fixed_query != end.fixed_query, f"{other.name} is called like {end.name}"
        ends.append(end)
        ends.sort(key=lambda end: -len(end.fixed_query))  # what asks for more is looked at first

    def find(
        self, method: bytes, target: bytes, headers: dict[bytes, bytes], body: bytes
    ) -> tuple[str, RestOperation[Any] | None, RestInput]:
        """(the operation's name, the operation or None for one that we lack, its input).

        Raises Fault for a path or a method that no operation has, and for one that is no text.
        """
        path, _, query_string = target.partition(b"?")
        values, node = self._walk(path)
        if node is None or not node.ends:
            shown = path.decode("latin-1")
            raise unknown_operation(f"{self.service.name} has no operation at {shown:.200}.", 404)
        query = _query(query_string)
        given = frozenset(query)
        for end in node.ends.get(method, ()):
            if end.fixed_query <= given:
                labels = dict(zip(end.labels, (_text(value) for value in values), strict=True))
                return end.name, end.operation, RestInput(labels, query, headers, body)
        raise _wrong_method(node, method)

    def _walk(self, path: bytes) -> tuple[list[bytes], _Node | None]:
        """The labels' values, still encoded, and the node at the end of a path."""
        values: list[bytes] = []
        node: _Node | None = self._top
        for part in path.removeprefix(b"/").removesuffix(b"/").split(b"/"):
            assert node is not None
            following = node.texts.get(part)
            if following is None:
                following = node.label
                values.append(part)
            if following is None:
                return values, None
            node = following
        return values, node


def _wrong_method(node: _Node, method: bytes) -> Fault:
    names = sorted(name.decode() for name in node.ends)
    shown = method.decode("latin-1")
    if shown in names:
        return unknown_operation("The query string names no operation at this path.", 404)
    allowed = ", ".join(names)
    return unknown_operation(f"This path is called with {allowed}, and not with {shown:.20}.", 404)


def _parts(path: str) -> tuple[tuple[_Part, ...], _FixedQuery]:
    """The parts of a template, and the query that it asks for."""
    template, _, query = path.partition("?")
    return tuple(_part(text) for text in template[1:].split("/")), frozenset(parse_qsl(query))


def _part(text: str) -> _Part:
    if not text.startswith("{"):
        return _Part(text.encode())
    label = text[1:-1]
    assert label.isalnum(), "labels that go over slashes are not served here"
    return _Part(b"", label)


def _labels(parts: tuple[_Part, ...]) -> tuple[str, ...]:
    return tuple(part.label for part in parts if part.label)


def _text(raw: bytes) -> str:
    """A part of a path, decoded."""
    try:
        return unquote_to_bytes(raw).decode()
    except UnicodeDecodeError as error:
        raise serialization_fault(error) from error


def _query(raw: bytes) -> list[tuple[str, str]]:
    """The parameters of a query string, in order. Those without a value have an empty one."""
    if not raw:
        return []
    try:
        return parse_qsl(
            raw.decode("ascii"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=_QUERY_FIELDS_MAX,
        )
    except ValueError as error:  # UnicodeDecodeError is one
        raise serialization_fault(error) from error


# Members


def _decoder(
    request_type: type[T],
    labels: tuple[str, ...],
    in_query: Mapping[str, str],
    in_headers: Mapping[str, str],
    payload: str | None,
) -> Callable[[RestInput], T]:
    """The reader of one operation's requests."""
    kind = inspect.type_info(request_type)
    assert isinstance(kind, inspect.StructType)
    fields = {field.encode_name: field for field in kind.fields}
    readers: list[tuple[str, _Reader]] = []
    readers.extend((fields[name].name, _label_reader(name)) for name in labels)
    for name, wire_name in in_query.items():
        readers.append((fields[name].name, _query_reader(fields[name].type, wire_name)))
    for name, header in in_headers.items():
        readers.append((fields[name].name, _header_reader(header)))
    if payload is not None:
        readers.append((fields[payload].name, lambda given: given.body))
    has_body = payload is None and len(readers) < len(fields)
    decode_body = json_decoder(request_type)

    def decode(given: RestInput) -> T:
        request = decode_body(given.body) if has_body and given.body else request_type()
        for attribute, read in readers:
            msgspec.structs.force_setattr(request, attribute, read(given))  # type: ignore[arg-type]
        return request

    return decode


def _label_reader(name: str) -> _Reader:
    return lambda given: given.labels[name]


def _header_reader(header: str) -> _Reader:
    raw = header.lower().encode()

    def read(given: RestInput) -> str | None:
        value = given.headers.get(raw)
        return None if value is None else value.decode("latin-1")

    return read


def _query_reader(kind: inspect.Type, name: str) -> _Reader:
    """The reader of a member in the query string: text, number, boolean, or list of texts."""
    kinds = kind.types if isinstance(kind, inspect.UnionType) else (kind,)
    for option in kinds:
        if isinstance(option, inspect.ListType):
            return lambda given: list(_named(given, name)) or None
        if isinstance(option, (inspect.IntType, inspect.BoolType)):
            read = _integer if isinstance(option, inspect.IntType) else _boolean
            return lambda given: read(_last(given, name))
    return lambda given: _last(given, name)


def _named(given: RestInput, name: str) -> Iterator[str]:
    return (value for key, value in given.query if key == name)


def _last(given: RestInput, name: str) -> str | None:
    last = None
    for last in _named(given, name):  # noqa: B007  (the last one is what is looked for)
        pass
    return last


def _integer(text: str | None) -> int | None:
    if text is None:
        return None
    if not (text.isascii() and text.removeprefix("-").isdigit() and len(text) < 20):
        raise _no_such_value(text, "an Integer")
    return int(text)


def _boolean(text: str | None) -> bool | None:
    if text is None:
        return None
    value = _BOOLEANS.get(text.lower())
    if value is None:
        raise _no_such_value(text, "a Boolean")
    return value


def _no_such_value(text: str, wanted: str) -> Fault:
    return Fault(
        CORAL + "SerializationException", f"{text!r:.100} can not be converted to {wanted}"
    )
