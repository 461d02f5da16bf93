"""The event-pattern language once more, as plainly as it can be written: the tests' oracle.

It imports nothing of eventcore. From the JSON texts of a pattern and of an event it decides whether
the event matches: the pattern becomes its branches (path -> list of tests), the event its leaves,
and every choice of one leaf per path is tried. What a test accepts is written after
docs/reference/event-patterns.md, slowly: a wildcard by filling a table, a text in any case by
trying all spellings. Rules:

- The pattern must be a valid one; what a wrong one makes of the oracle is not defined.
- A leaf is a str, a Number, True, False or None. `elements` says through which element of which
  array it was reached; an array's own scalars lie in no element of it.
- Patterns and events are prepared once and may be asked often.
"""

from __future__ import annotations

import ipaddress
import itertools
import json
import operator
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

__all__ = [
    "Members",
    "Number",
    "OracleEvent",
    "OraclePattern",
    "oracle_accepts",
    "oracle_matches",
]


def oracle_matches(pattern: str, event: str) -> bool:
    """Whether the event of this JSON text matches the pattern of that one."""
    return OraclePattern(pattern).matches(OracleEvent(event))


# -- JSON ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Number:
    """A number as it compares: a double if one says exactly what was written, otherwise a text."""

    double: float | None
    text: str = ""

    @classmethod
    def read(cls, text: str) -> Number:
        """The number that was written so."""
        double = float(text)
        if repr(double) in ("inf", "-inf") or _decimal_parts(text) != _decimal_parts(repr(double)):
            return cls(None, text)
        return cls(double)


def _decimal_parts(text: str) -> tuple[bool, str, int]:
    """A number's sign, its digits without zeros at either end, and the exponent they then have."""
    mantissa, _, exponent = text.lower().partition("e")
    is_negative = mantissa.startswith("-")
    whole, _, fraction = mantissa.lstrip("-").partition(".")
    digits = (whole + fraction).lstrip("0")
    if not digits:
        return False, "", 0
    significant = digits.rstrip("0")
    tail = len(digits) - len(significant)
    return is_negative, significant, int(exponent or "0") - len(fraction) + tail


class Members(list[tuple[str, Any]]):
    """A JSON object as it was written: its names and values in order, the same name several times
    if it was given several times.
    """


def _read_pattern(text: str) -> Any:
    read = Number.read
    return json.loads(text, object_pairs_hook=Members, parse_float=read, parse_int=read)


def _read_event(text: str) -> Any:
    return json.loads(text, parse_float=Number.read, parse_int=Number.read)


Leaf: TypeAlias = str | Number | bool | None
Elements: TypeAlias = tuple[tuple[int, int], ...]
"""The arrays around a leaf, and the number of the element that it lies in."""


# -- events --------------------------------------------------------------------------------------


class OracleEvent:
    """An event as its leaves, by path."""

    def __init__(self, text: str) -> None:
        self.leaves: dict[str, list[tuple[Leaf, Elements]]] = {}
        for path, leaf, elements in _leaves(_read_event(text), (), (), itertools.count()):
            self.leaves.setdefault(path, []).append((leaf, elements))


def _leaves(
    value: Any, steps: tuple[str, ...], elements: Elements, array_ids: Iterator[int]
) -> Iterator[tuple[str, Leaf, Elements]]:
    if isinstance(value, dict):
        for key, inner in _with_dotted_keys_nested(value).items():
            yield from _leaves(inner, (*steps, key), elements, array_ids)
    elif isinstance(value, list):
        array = next(array_ids)
        for number, inner in enumerate(value):
            is_element = isinstance(inner, (dict, list))
            inside = (*elements, (array, number)) if is_element else elements
            yield from _leaves(inner, steps, inside, array_ids)
    else:
        yield ".".join(steps), value, elements


def _with_dotted_keys_nested(fields: dict[str, Any]) -> dict[str, Any]:
    """`{"a.b": 1}` as `{"a": {"b": 1}}`. What has a place already is joined with what is there."""
    nested = {key: value for key, value in fields.items() if "." not in key}
    for key, value in fields.items():
        if "." in key:
            first, *rest = key.split(".")
            for step in reversed(rest):
                value = {step: value}  # noqa: PLW2901 - from the inside to the outside
            nested[first] = _joined(nested[first], value) if first in nested else value
    return nested


def _joined(one: Any, other: Any) -> Any:
    """Two objects are one object; anything else counts as the items of one array."""
    if isinstance(one, dict) and isinstance(other, dict):
        joined = dict(one)
        for key, value in other.items():
            joined[key] = _joined(joined[key], value) if key in joined else value
        return joined
    return [
        *(one if isinstance(one, list) else [one]),
        *(other if isinstance(other, list) else [other]),
    ]


# -- patterns ------------------------------------------------------------------------------------


@dataclass
class OracleCondition:
    """The list that one path must satisfy."""

    path: str
    tests: list[Any]
    may_be_absent: bool
    answers: dict[Leaf, bool] = field(default_factory=dict)
    """What `accepts` was asked already."""

    def accepts(self, leaf: Leaf) -> bool:
        """Whether any of the tests accepts the leaf."""
        answer = self.answers.get(leaf)
        if answer is None:
            answer = self.answers[leaf] = any(oracle_accepts(test, leaf) for test in self.tests)
        return answer


class OraclePattern:
    """A pattern as its branches, each with the conditions in the order of their paths."""

    def __init__(self, text: str) -> None:
        drafts = _branches(_read_pattern(text), (), [{}])
        known: dict[int, OracleCondition] = {}
        self.branches = [
            [_condition(path, draft[path], known) for path in sorted(draft)] for draft in drafts
        ]

    def matches(self, event: OracleEvent) -> bool:
        """Whether any branch holds."""
        return any(_holds(branch, 0, event.leaves, {}) for branch in self.branches)


def _condition(path: str, tests: list[Any], known: dict[int, OracleCondition]) -> OracleCondition:
    """The condition of this list; the branches share it."""
    if id(tests) not in known:
        present = [test for test in tests if test != Members([("exists", False)])]
        known[id(tests)] = OracleCondition(path, present, len(present) < len(tests))
    return known[id(tests)]


def _branches(
    members: Members, steps: tuple[str, ...], drafts: list[dict[str, list[Any]]]
) -> list[dict[str, list[Any]]]:
    """The drafts, each path -> list, with what these members add; a later list replaces."""
    for name, inner in members:
        if name == "$or":
            drafts = [
                draft
                for alternative in inner
                for draft in _branches(alternative, steps, [dict(before) for before in drafts])
            ]
        elif isinstance(inner, Members):
            drafts = _branches(inner, (*steps, name), drafts)
        else:
            for draft in drafts:
                draft[".".join((*steps, name))] = inner
    return drafts


def _holds(
    branch: list[OracleCondition],
    place: int,
    leaves: dict[str, list[tuple[Leaf, Elements]]],
    chosen: dict[int, int],
) -> bool:
    """Whether the conditions from `place` on can be satisfied with the elements chosen so far."""
    if place == len(branch):
        return True
    condition = branch[place]
    agreeing = [
        (leaf, elements)
        for leaf, elements in leaves.get(condition.path, [])
        if all(chosen.get(array, number) == number for array, number in elements)
    ]
    if not agreeing:
        return condition.may_be_absent and _holds(branch, place + 1, leaves, chosen)
    return any(
        _holds(branch, place + 1, leaves, {**chosen, **dict(elements)})
        for leaf, elements in agreeing
        if condition.accepts(leaf)
    )


# -- tests of one leaf ---------------------------------------------------------------------------


def oracle_accepts(test: Any, leaf: Leaf) -> bool:
    """Whether one entry of a list accepts the leaf. `{"exists": false}` is no test of a leaf."""
    if not isinstance(test, Members):
        return _is_same(test, leaf) or _is_same_ipv6(test, leaf)
    ((name, argument),) = test
    return _OPERATORS[name](argument, leaf)


def _is_same(one: Leaf, other: Leaf) -> bool:
    return type(one) is type(other) and one == other


def _is_same_ipv6(one: Leaf, other: Leaf) -> bool:
    address = _ip_address(one)
    return address is not None and address.version == 6 and address == _ip_address(other)


def _exactly(argument: Any, leaf: Leaf) -> bool:
    return _is_same(argument, leaf)


def _exists(argument: Any, _: Leaf) -> bool:
    assert argument is True, "exists: false asks about no leaf"
    return True


def _prefix(argument: Any, leaf: Leaf) -> bool:
    if not isinstance(leaf, str):
        return False
    if isinstance(argument, Members):
        return any(_is_alike(argument[0][1], leaf[:end]) for end in range(len(leaf) + 1))
    return leaf[: len(argument)] == argument


def _suffix(argument: Any, leaf: Leaf) -> bool:
    if not isinstance(leaf, str):
        return False
    if isinstance(argument, Members):
        return any(_is_alike(argument[0][1], leaf[start:]) for start in range(len(leaf) + 1))
    return len(leaf) >= len(argument) and leaf[len(leaf) - len(argument) :] == argument


def _equals_ignore_case(argument: Any, leaf: Leaf) -> bool:
    return isinstance(leaf, str) and _is_alike(argument, leaf)


def _is_alike(pattern: str, text: str) -> bool:
    """Whether `text` is `pattern` with each character in its lower or its upper case."""
    if not pattern:
        return not text
    return any(
        text[: len(spelling)] == spelling and _is_alike(pattern[1:], text[len(spelling) :])
        for spelling in {pattern[0].lower(), pattern[0].upper()}
    )


def _wildcard(argument: Any, leaf: Leaf) -> bool:
    """By a table: `reached[n]` says whether the tokens so far can make the first n characters."""
    if not isinstance(leaf, str):
        return False
    reached: list[bool] = [True] + [False] * len(leaf)
    characters = iter(argument)
    for character in characters:
        if character == "*":
            reached = list(itertools.accumulate(reached, operator.or_))
            continue
        literal = next(characters) if character == "\\" else character
        reached = [False] + [
            before and there == literal for before, there in zip(reached, leaf, strict=False)
        ]
    return reached[-1]


_COMPARISONS: Final[dict[str, Callable[[float, float], bool]]] = {
    "=": operator.eq,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def _numeric(argument: Any, leaf: Leaf) -> bool:
    if not isinstance(leaf, Number) or leaf.double is None:
        return False
    return all(
        _COMPARISONS[name](leaf.double, limit.double)
        for name, limit in zip(argument[::2], argument[1::2], strict=True)
    )


def _cidr(argument: Any, leaf: Leaf) -> bool:
    address = _ip_address(leaf)
    return address is not None and address in ipaddress.ip_network(argument, strict=False)


def _ip_address(leaf: Leaf) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The address that the leaf spells; none with a scope, and none that mixes both versions."""
    if not isinstance(leaf, str) or "%" in leaf or (":" in leaf and "." in leaf):
        return None
    try:
        return ipaddress.ip_address(leaf)
    except ValueError:
        return None


def _anything_but(argument: Any, leaf: Leaf) -> bool:
    if not isinstance(argument, Members):
        refused = argument if isinstance(argument, list) else [argument]
        return not any(_is_same(one, leaf) for one in refused)
    ((name, texts),) = argument
    refused = texts if isinstance(texts, list) else [texts]
    return not any(_OPERATORS[name](one, leaf) for one in refused)


_OPERATORS: Final[dict[str, Callable[[Any, Leaf], bool]]] = {
    "anything-but": _anything_but,
    "cidr": _cidr,
    "equals-ignore-case": _equals_ignore_case,
    "exactly": _exactly,
    "exists": _exists,
    "numeric": _numeric,
    "prefix": _prefix,
    "suffix": _suffix,
    "wildcard": _wildcard,
}
