"""From the parameters of a Query request to the request struct of its operation.

Rules of this file:

- The struct says what is a list, a map, a structure or a number; the `Spelling` says under which
  names they come. So one struct serves AWS JSON and Query.
- Parameters that the struct does not know are ignored, as AWS does.
- A list's indexes say the order and nothing else: they may begin anywhere and have gaps.
- A flat list or map of one may come without an index (`AttributeName=All`,
  `Attribute.Name=a&Attribute.Value=b`): AWS's first clients wrote it so.
- A list's name without a value is the empty list.
- Whatever comes is read, or refused with a Fault in AWS's words as far as they are known.
"""

from __future__ import annotations

import re
from binascii import a2b_base64
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from typing import Any, Final, TypeVar, Union

import msgspec
from msgspec import inspect

from eventcore.wire.aws_query import (
    Form,
    ListSpelling,
    MapSpelling,
    Spelling,
    conflicting_parameter,
    malformed_input,
    missing_parameter,
)

__all__ = ["form_decoder"]

T = TypeVar("T")

Node = Union[str, dict[str, "Node"]]  # noqa: UP007  (a recursive alias needs the old form)
"""A parameter's value, or what is below one part of a name."""

_Read = Callable[[Node, str], Any]
"""(node, its name so far) -> the value. Raises Fault."""

_PARTS_MAX: Final = 16
_INDEX: Final = re.compile(r"[0-9]{1,9}")
_INTEGER: Final = re.compile(r"[+-]?[0-9]{1,19}")
_BOOLEANS: Final = {"true": True, "1": True, "false": False, "0": False}
_NESTED_LIST: Final = ListSpelling()
_NESTED_MAP: Final = MapSpelling()


def form_decoder(request_type: type[T], spelling: Spelling) -> Callable[[Form], T]:
    """Makes the reader of one operation's requests. Build it once, at import.

    The reader raises Fault. Types are str, int, bool, bytes, lists, maps with keys that are text,
    and structs of those; others raise TypeError here.
    """
    kind = inspect.type_info(request_type)
    if not isinstance(kind, inspect.StructType):
        raise TypeError(f"{request_type} is no struct")
    read = _struct_reader(kind, spelling)
    known = {parameter for _, parameter, _ in _members(kind, spelling)}

    def decode(form: Form) -> T:
        return msgspec.convert(read(_nest(form, known), ""), request_type)

    return decode


def _nest(form: Form, known: AbstractSet[str]) -> dict[str, Node]:
    """The parameters whose first part is known, as a tree by the parts of their names."""
    root: dict[str, Node] = {}
    for name, value in form.items():
        *parents, last = name.split(".", _PARTS_MAX)
        if (parents[0] if parents else last) not in known:
            continue
        node = root
        for part in parents:
            below = node.setdefault(part, {})
            if isinstance(below, str):
                raise conflicting_parameter(name)
            node = below
        if last in node:
            raise conflicting_parameter(name)
        node[last] = value
    return root


# Readers, one per type


def _reader(kind: inspect.Type, spelling: Spelling) -> _Read:
    if isinstance(kind, inspect.StructType):
        return _struct_reader(kind, spelling)
    if isinstance(kind, inspect.StrType):
        return _text
    if isinstance(kind, inspect.IntType):
        return _integer
    if isinstance(kind, inspect.BytesType):
        return _base64
    if isinstance(kind, inspect.BoolType):
        return _boolean
    raise TypeError(f"the Query protocol has no form for {kind}")


def _struct_reader(kind: inspect.StructType, spelling: Spelling) -> _Read:
    members = _members(kind, spelling)

    def read(node: Node, path: str) -> dict[str, Any]:
        if isinstance(node, str):
            raise malformed_input("Unexpected complex element termination")
        return {
            name: read_member(node[parameter], _below(path, parameter))
            for name, parameter, read_member in members
            if parameter in node
        }

    return read


def _members(kind: inspect.StructType, spelling: Spelling) -> list[tuple[str, str, _Read]]:
    """Of each member its name, the part of parameters' names that stands for it, and its reader."""
    return [_member(field, spelling) for field in kind.fields]


def _member(field: inspect.Field, spelling: Spelling) -> tuple[str, str, _Read]:
    name = field.encode_name
    kind = _without_none(field.type)
    if isinstance(kind, inspect.ListType):
        of_list = spelling.lists.get(name, _NESTED_LIST)
        read = _list_reader(kind, of_list, spelling)
        return (name, of_list.element, read) if of_list.is_flat else (name, name, read)
    if isinstance(kind, inspect.DictType):
        of_map = spelling.maps.get(name, _NESTED_MAP)
        read = _map_reader(kind, of_map, spelling)
        return (name, of_map.entry, read) if of_map.is_flat else (name, name, read)
    return name, name, _reader(kind, spelling)


def _without_none(kind: inspect.Type) -> inspect.Type:
    """The type of a member that may be absent."""
    if not isinstance(kind, inspect.UnionType):
        return kind
    options = [option for option in kind.types if not isinstance(option, inspect.NoneType)]
    if len(options) != 1:
        raise TypeError(f"the Query protocol has no form for {kind}")
    return options[0]


def _list_reader(kind: inspect.ListType, how: ListSpelling, spelling: Spelling) -> _Read:
    element = _without_none(kind.item_type)
    read_element = _reader(element, spelling)
    is_structure = isinstance(element, inspect.StructType)

    def read(node: Node, path: str) -> list[Any]:
        if not how.is_flat:
            node, path = _only(node, path, how.element)
        return _read_all(node, path, read_element, is_structure=is_structure, is_flat=how.is_flat)

    return read


def _map_reader(kind: inspect.DictType, how: MapSpelling, spelling: Spelling) -> _Read:
    read_value = _reader(_without_none(kind.value_type), spelling)

    def read_entry(node: Node, path: str) -> tuple[str, str, Any]:
        if isinstance(node, str):
            raise malformed_input("Unexpected complex element termination")
        key_path, value_path = _below(path, how.key), _below(path, how.value)
        for half, half_path in ((how.key, key_path), (how.value, value_path)):
            if half not in node:
                raise missing_parameter(half_path)
        return key_path, _text(node[how.key], key_path), read_value(node[how.value], value_path)

    def read(node: Node, path: str) -> dict[str, Any]:
        if not how.is_flat:
            node, path = _only(node, path, how.entry)
        values: dict[str, Any] = {}
        entries = _read_all(node, path, read_entry, is_structure=True, is_flat=how.is_flat)
        for key_path, key, value in entries:
            if key in values:
                raise conflicting_parameter(key_path)
            values[key] = value
        return values

    return read


def _only(node: Node, path: str, part: str) -> tuple[Node, str]:
    """What is below the `member` or `entry` of a nested list or map."""
    if node == "":
        return "", path
    if isinstance(node, str) or node.keys() != {part}:
        raise malformed_input("Unexpected list element termination")
    return node[part], _below(path, part)


def _read_all(
    node: Node, path: str, read: _Read, *, is_structure: bool, is_flat: bool
) -> list[Any]:
    """The elements in the order of their indexes."""
    if node == "":
        return []
    if isinstance(node, str):
        if is_structure or not is_flat:
            raise malformed_input("Unexpected list element termination")
        return [read(node, path)]
    indexed = [part for part in node if _INDEX.fullmatch(part)]
    if not indexed and is_structure and is_flat:
        return [read(node, path)]
    if len(indexed) < len(node):
        raise malformed_input("Unexpected list element termination")
    by_index = {int(part): part for part in indexed}
    if len(by_index) < len(indexed):  # 1 and 01
        raise conflicting_parameter(path)
    return [read(node[part], _below(path, part)) for _, part in sorted(by_index.items())]


def _below(path: str, part: str) -> str:
    return f"{path}.{part}" if path else part


# Scalars


def _text(node: Node, path: str) -> str:
    if isinstance(node, str):
        return node
    is_list = all(_INDEX.fullmatch(part) for part in node)
    kind = "list" if is_list else "structure or map"
    raise malformed_input(f"Start of {kind} found where not expected")


def _integer(node: Node, path: str) -> int:
    text = _text(node, path)
    if _INTEGER.fullmatch(text) is None:
        raise malformed_input(f"The value of the parameter {path} must be an integer")
    return int(text)


def _boolean(node: Node, path: str) -> bool:
    value = _BOOLEANS.get(_text(node, path))
    if value is None:
        raise malformed_input("boolean must follow xsd1.1 definition")
    return value


def _base64(node: Node, path: str) -> bytes:
    text = _text(node, path)
    try:
        return a2b_base64(text, strict_mode=True)
    except ValueError as error:
        raise malformed_input(f"The value of the parameter {path} must be Base64") from error
