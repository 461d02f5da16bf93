"""From the text of an event to the slots it satisfies, by code made for the paths that rules name.

For each object of the path tree there is a msgspec struct with one field per child, and for the
whole one function without branches or loops of its own:

    def read(text, alive):
        record = decode(text)
        object_1 = record.field_2
        alive ^= index_1[record.field_0] | index_2[record.field_1] | index_3[object_1.field_0]
        asked = alive & index_4.mentions
        if asked:
            alive ^= index_4.refuted(asked, object_1.field_1)
        ...
        return alive

So what no rule names is skipped by the decoder and never becomes a Python object, and a path costs
one look-up. First come the paths whose values come again; the others, which have to be computed,
are asked only if a slot that is left names them. Rules:

- No text of a rule is in the generated code: names are made of numbers, keys are the struct's
  `rename`.
- The code expects the usual shape: objects where paths go on, leaves where they end. An event of
  another shape makes it raise AttributeError, TypeError or msgspec.DecodeError; the caller then
  reads that event the general way and tells the tree (`PathNode.learn`). An *irregular* node is
  from then on asked by `PathNode.failed`, which takes any shape; arrays of objects are such nodes.
- An event may spell a path with a dotted key. The structs have a field for each such spelling,
  whose type no value has, so that event raises, too.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from operator import attrgetter
from typing import Annotated, Any, Final, TypeAlias, final

import msgspec
from msgspec import UNSET, UnsetType

from eventcore.codec import json_decoder
from eventcore.patterns.numbers import read_float
from eventcore.patterns.path_tree import Doubt, PathNode, grow

__all__ = ["FIELDS_MAX", "EventReader", "ValuesReader", "build_reader", "build_values_reader"]

FIELDS_MAX: Final = 256
"""Nodes of a tree for which code is made. Larger trees are walked."""

EventReader: TypeAlias = Callable[[bytes | str, int], int]
"""The slots, of all slots in use, that an event satisfies. Raises AttributeError, TypeError and
msgspec.DecodeError for an event of another shape, and for what is no JSON object.
"""

ValuesReader: TypeAlias = Callable[[bytes | str], tuple[object, ...]]
"""The leaf of each of some paths, UNSET where there is none. Raises as EventReader."""

_Never = Annotated[str, msgspec.Meta(min_length=2, max_length=1)]
_NAMES_WITH_ESCAPES: Final = re.compile(r'["\\\x00-\x1f]')


def build_reader(root: PathNode) -> EventReader | None:
    """The reader for the tree as it is; None if there are too many paths for one, or one with a
    character that msgspec does not allow in keys.
    """
    names: list[str] = []
    if not _collect(root, names) or any(map(_NAMES_WITH_ESCAPES.search, names)):
        return None
    _build_type(root)
    assert root.record_type is not None, "it was just built"
    code = _Code()
    code.add_record("record", root)
    return code.reader(json_decoder(root.record_type, read_float))


def build_values_reader(paths: list[tuple[str, ...]]) -> ValuesReader | None:
    """A reader of the leaves on some paths; None if no record has them all."""
    for number, steps in enumerate(paths):
        others = paths[:number] + paths[number + 1 :]
        if any(steps == other[: len(steps)] for other in others):
            return None
    root = PathNode(Doubt())
    for steps in paths:
        grow(root, steps)
    names: list[str] = []
    if not _collect(root, names) or any(map(_NAMES_WITH_ESCAPES.search, names)):
        return None
    _build_type(root)
    assert root.record_type is not None, "it was just built"
    decode: Callable[[bytes | str], Any] = json_decoder(root.record_type, read_float)
    pick = attrgetter(*(_attribute(root, steps) for steps in paths))
    if len(paths) == 1:
        return lambda event: (pick(decode(event)),)
    return lambda event: pick(decode(event))


def _attribute(root: PathNode, steps: tuple[str, ...]) -> str:
    names: list[str] = []
    node = root
    for step in steps:
        names.append(f"field_{list(node.children).index(step)}")
        node = node.children[step]
    return ".".join(names)


def _collect(node: PathNode, names: list[str]) -> bool:
    """Collects the names of the fields; False if there are too many."""
    names += node.children
    return len(names) <= FIELDS_MAX and all(_collect(c, names) for c in node.children.values())


def _build_record(node: PathNode) -> None:
    """Gives an irregular node, and the nodes below it, their record types and functions."""
    _build_type(node)
    code = _Code()
    code.add_record("record", node)
    node.record_failed = code.function()


def _build_type(node: PathNode) -> None:
    fields: list[tuple[str, Any, Any]] = []
    rename: dict[str, str] = {}
    for number, (step, child) in enumerate(node.children.items()):
        name = f"field_{number}"
        rename[name] = step
        kind: Any = Any
        default: Any = UNSET
        if child.children and child.index is None:
            if child.is_irregular:
                _build_record(child)
            else:
                _build_type(child)
                assert child.record_type is not None, "it was just built"
                default = child.record_type()
            record: Any = child.record_type
            scalar = str | int | float | bool | None
            kind = record | list[record | list[Any] | scalar] | scalar | UnsetType
        fields.append((name, kind, default))
    for number, spelling in enumerate(sorted(node.spellings)):
        name = f"spelling_{number}"
        rename[name] = spelling
        fields.append((name, _Never, UNSET))
    node.record_type = msgspec.defstruct("Record", fields, rename=rename, frozen=True, gc=False)


@final
class _Code:
    """A function under construction. It is made of numbered names alone, see the module's text."""

    def __init__(self) -> None:
        self._objects: list[str] = []
        self._quick: list[str] = []
        self._slow: list[tuple[str, str]] = []
        self._shapeless: list[tuple[str, str]] = []
        self._names: dict[str, object] = {}

    def add_record(self, variable: str, node: PathNode) -> None:
        """Adds the look-ups of all nodes below `node`, whose record is in the variable."""
        for number, child in enumerate(node.children.values()):
            value = f"{variable}.field_{number}"
            if child.children and child.index is None and not child.is_irregular:
                inner = f"object_{len(self._objects)}"
                self._objects.append(f"    {inner} = {value}\n")
                self.add_record(inner, child)
            elif child.children or child.is_irregular or child.index is None:
                name = self._name("node", child)
                concerned = f"{name}.below" if child.index is None else f"{name}.concerned"
                self._shapeless.append((concerned, f"{name}.failed({value})"))
            elif child.index.is_remembering:
                self._quick.append(f"{self._name('index', child.index)}[{value}]")
            else:
                self._slow.append((self._name("index", child.index), value))

    def reader(self, decode: Callable[[bytes | str], Any]) -> EventReader:
        """The function of a text and the slots in use."""
        self._names["decode"] = decode
        lines = ["def made(text, alive):\n", "    record = decode(text)\n", *self._objects]
        if self._quick:
            lines.append(f"    alive ^= {' | '.join(self._quick)}\n")
        for index, value in self._slow:
            lines.append(f"    asked = alive & {index}.mentions\n    if asked:\n")
            lines.append(f"        alive ^= {index}.refuted(asked, {value})\n")
        for concerned, failed in self._shapeless:
            lines.append(f"    if alive & {concerned}:\n        alive ^= alive & {failed}\n")
        lines.append("    return alive\n")
        made: EventReader = self._compiled(lines)
        return made

    def function(self) -> Callable[[Any], int]:
        """The function of a record, to the slots that fail."""
        terms = self._quick + [f"{index}.failing({value})" for index, value in self._slow]
        terms += [failed for _, failed in self._shapeless]
        lines = ["def made(record):\n", *self._objects, f"    return {' | '.join(terms)}\n"]
        made: Callable[[Any], int] = self._compiled(lines)
        return made

    def _compiled(self, lines: list[str]) -> Any:
        exec("".join(lines), self._names)  # noqa: S102
        return self._names["made"]

    def _name(self, kind: str, value: object) -> str:
        name = f"{kind}_{len(self._names)}"
        self._names[name] = value
        return name
