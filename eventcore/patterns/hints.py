"""Why a pattern did not take what an event has: the usual mistakes, told in one line each.

A hint is a guess about what was meant; that something was not accepted is known before one is
asked for. All work is bounded, whatever the event: long strings, many keys and deep objects are
looked at in part.
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from eventcore.codec import decode_json
from eventcore.patterns.addresses import ip_address_of
from eventcore.patterns.conditions import (
    Cidr,
    Exact,
    IgnoreCase,
    Prefix,
    PrefixIgnoreCase,
    Range,
    Suffix,
    SuffixIgnoreCase,
    ValueTest,
    Wildcard,
    as_double,
    is_number,
)
from eventcore.patterns.describe import describe_path, describe_test, describe_value
from eventcore.patterns.dotted import nest_dotted_keys, spellings_below
from eventcore.patterns.folding import fold

__all__ = ["hint_absence", "hint_refusal", "similar_names", "with_stars_as_wildcards"]

TEXT_CHARACTERS_MAX: Final = 10_000
"""Longer strings get no hint."""
TESTS_MAX: Final = 200
"""Tests of one list that are tried for a hint."""
NODES_MAX: Final = 1_000
"""Objects and arrays that are looked into for what is there instead."""
NAMES_MAX: Final = 200
"""Names of an object that are compared with the one that was asked for."""
NAME_CHARACTERS_MAX: Final = 64
PATH_CHARACTERS_MAX: Final = 256
NAMES_SHOWN: Final = 3
LIKENESS_MIN: Final = 0.7
"""`difflib`'s ratio from which two names are taken for similar."""

_STRING_TESTS: Final = (
    Prefix,
    Suffix,
    IgnoreCase,
    PrefixIgnoreCase,
    SuffixIgnoreCase,
    Wildcard,
    Cidr,
)


# -- a value that no test accepts ------------------------------------------------------------------


def hint_refusal(tests: Sequence[ValueTest], value: object) -> str:
    """What may be wrong with a leaf that none of the tests accepts; "" if nothing is in sight."""
    tests = tests[:TESTS_MAX]
    if not isinstance(value, str):
        return _hint_of_type(tests, value)
    if len(value) > TEXT_CHARACTERS_MAX:
        return ""
    for look in _LOOKS:
        for test in tests:
            if hint := look(test, value):
                return hint
    return ""


def _hint_of_type(tests: Sequence[ValueTest], value: object) -> str:
    """Of a number, true, false or null."""
    text = describe_value(value)
    for test in tests:
        if isinstance(test, Exact) and isinstance(test.value, str):
            if test.value == text:
                return f"the event has {_kind(value)}, the pattern the string {describe_test(test)}"
        elif isinstance(test, Range) and is_number(value) and as_double(value) is None:
            return f"no double says exactly {text}, and numeric compares doubles"
        elif isinstance(test, _STRING_TESTS):
            return f"{_operator(test)} accepts strings only; the event has {_kind(value)}"
    return ""


def _look_at_type(test: ValueTest, value: str) -> str:
    """The string of something that is no string: "1", "true"."""
    if isinstance(test, Exact) and not isinstance(test.value, str):
        if describe_value(test.value) == value.strip():
            return f"the event has a string, the pattern {_kind(test.value)}"
    elif isinstance(test, Range):
        try:
            is_in_range = test.accepts(float(value))
        except ValueError:
            return ""
        if is_in_range:
            return "the event has a string, and numeric compares numbers only"
    return ""


def _look_at_case(test: ValueTest, value: str) -> str:
    folded = fold(value)
    instead: ValueTest
    match test:
        case Exact(str() as text):
            is_alike = fold(text) == folded
            instead = IgnoreCase(text)
        case Prefix(text):
            is_alike = folded.startswith(fold(text))
            instead = PrefixIgnoreCase(text)
        case Suffix(text):
            is_alike = folded.endswith(fold(text))
            instead = SuffixIgnoreCase(text)
        case Wildcard(pieces):
            if Wildcard(tuple(map(fold, pieces))).accepts(folded):
                return "only the case differs"
            return ""
        case _:
            return ""
    if not is_alike:
        return ""
    if instead.accepts(value):
        return f"only the case differs: {describe_test(instead)} accepts it"
    return "only the case differs"


def _look_at_space(test: ValueTest, value: str) -> str:
    if test.accepts(value.strip()):
        return "the event's string has whitespace around it"
    if isinstance(test, Exact) and isinstance(test.value, str) and test.value.strip() == value:
        return "the pattern's string has whitespace around it"
    return ""


def _look_at_star(test: ValueTest, value: str) -> str:
    instead = with_stars_as_wildcards(test)
    if instead is None or not instead.accepts(value):
        return ""
    return f'"*" is a plain character there; as a wildcard: {describe_test(instead)}'


def with_stars_as_wildcards(test: ValueTest) -> Wildcard | None:
    """What a test of a string is if each "*" in it stands for any characters; None if it has none.
    Stars side by side, which no wildcard may have, become one.
    """
    match test:
        case Exact(str() as text):
            written = text
        case Prefix(text):
            written = f"{text}*"
        case Suffix(text):
            written = f"*{text}"
        case _:
            return None
    if "*" not in text:
        return None
    return Wildcard(tuple(re.sub(r"\*+", "*", written).split("*")))


def _look_at_spelling(test: ValueTest, value: str) -> str:
    if not isinstance(test, Exact) or not isinstance(test.value, str) or value.isascii():
        return ""
    forms = (unicodedata.normalize("NFC", text) for text in (value, test.value))
    if len(set(forms)) == 1:
        return "the strings look the same but are composed of other characters (Unicode NFC, NFD)"
    return ""


def _look_at_address(test: ValueTest, value: str) -> str:
    if isinstance(test, Cidr) and ip_address_of(value) is None:
        return "cidr accepts IP addresses only, IPv4 without leading zeros"
    return ""


_LOOKS: Final[tuple[Callable[[ValueTest, str], str], ...]] = (
    _look_at_type,
    _look_at_case,
    _look_at_space,
    _look_at_star,
    _look_at_spelling,
    _look_at_address,
)


def _kind(value: object) -> str:
    name = "number" if is_number(value) else "literal" if value is None else "boolean"
    return f"the {name} {describe_value(value)}"


def _operator(test: ValueTest) -> str:
    return describe_test(test)[2:].partition('"')[0]


# -- a path that has no leaf -----------------------------------------------------------------------


def hint_absence(steps: Sequence[str], event: dict[str, object]) -> tuple[str, str]:
    """What an event has where the path leads to no leaf, and what may have been meant ("" if
    nothing is in sight).
    """
    values: list[object] = [event]
    for depth, step in enumerate(steps):
        objects = [value for value in values if isinstance(value, dict)]
        below: list[object] = []
        for fields in objects:
            nested = nest_dotted_keys(fields, spellings_below(tuple(steps), depth))
            if step in nested:
                below.append(nested[step])
        if not below:
            return _nothing_below(steps, depth, values, event)
        values = _spread(below)
    return _no_leaf(".".join(steps), values)


def _spread(values: Iterable[object]) -> list[object]:
    """The values, arrays looked through; NODES_MAX at most."""
    found: list[object] = []
    waiting = deque(values)
    for _ in range(NODES_MAX):
        if not waiting:
            break
        value = waiting.popleft()
        if isinstance(value, list):
            waiting.extend(value[: NODES_MAX - len(found)])
        else:
            found.append(value)
    return found


def _nothing_below(
    steps: Sequence[str], depth: int, values: list[object], event: dict[str, object]
) -> tuple[str, str]:
    name = steps[depth]
    parent = describe_path(".".join(steps[:depth])) or "the event"
    objects = [value for value in values if isinstance(value, dict)]
    if not values:
        return f"{parent} is []", ""
    if not objects:
        leaf = values[0]
        there = f"{parent} is {_article(leaf)}, not an object"
        return there, "it is the text of a JSON object" if _holds_json(leaf) else ""
    there = f"{parent} has no {describe_value(name)}"
    names = list(dict.fromkeys(key for fields in objects for key in _some_keys(fields)))
    similar = similar_names(name, names)
    if similar:
        return there, f"it has {', '.join(map(describe_value, similar))}"
    others = _paths_of(steps[-1], event)
    return there, f"there is {', '.join(map(describe_path, others))}" if others else ""


def _no_leaf(path: str, values: list[object]) -> tuple[str, str]:
    shown = describe_path(path)
    names = [key for value in values if isinstance(value, dict) for key in _some_keys(value)]
    if not values:
        return f"{shown} is [], which is no value", ""
    if not names:
        return f"{shown} is {{}}, which is no value", ""
    named = describe_value(names[0][:NAME_CHARACTERS_MAX])
    return (
        f"{shown} is an object, and a list of a pattern asks for a leaf",
        f"ask for a field of it, such as {named}",
    )


def similar_names(name: str, names: Iterable[str]) -> list[str]:
    """Those of `names` that may have been meant by `name`, the likeliest first, a few at most."""
    short = [n for n in names if len(n) <= NAME_CHARACTERS_MAX and n != name]
    same = [other for other in short if _bare(other) == _bare(name)]
    if same or len(name) > NAME_CHARACTERS_MAX:
        return same[:NAMES_SHOWN]
    return difflib.get_close_matches(name, short, NAMES_SHOWN, LIKENESS_MIN)


def _bare(name: str) -> str:
    """A name without what spellings differ in: `detail-type`, `detailType`, `Detail_Type`."""
    return "".join(character for character in name.lower() if character.isalnum())


def _some_keys(fields: dict[str, object]) -> list[str]:
    return [key for key, _ in zip(fields, range(NAMES_MAX), strict=False)]


def _article(leaf: object) -> str:
    if isinstance(leaf, str):
        return "a string"
    return "a number" if is_number(leaf) else describe_value(leaf)


def _holds_json(leaf: object) -> bool:
    if not isinstance(leaf, str) or not leaf.lstrip().startswith("{"):
        return False
    try:
        return len(leaf) > TEXT_CHARACTERS_MAX or isinstance(decode_json(leaf), dict)
    except ValueError:
        return False


def _paths_of(name: str, event: dict[str, object]) -> list[str]:
    """Where else the event has a field of this name, nearest to its root first."""
    found: list[str] = []
    waiting: deque[tuple[str, object]] = deque([("", event)])
    for _ in range(NODES_MAX):
        if not waiting or len(found) == NAMES_SHOWN:
            break
        path, value = waiting.popleft()
        if isinstance(value, list):
            waiting.extend((path, item) for item in value[: NODES_MAX - len(waiting)])
        elif isinstance(value, dict):
            for key in _some_keys(value):
                full = f"{path}.{key}" if path else key
                if key == name and full not in found:
                    found.append(full)
                if len(full) <= PATH_CHARACTERS_MAX and len(waiting) < NODES_MAX:
                    waiting.append((full, value[key]))
    return found[:NAMES_SHOWN]
