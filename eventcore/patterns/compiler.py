"""From the text of an event pattern to its conditions, with AWS's messages for what is wrong.

The grammar is the one of event-ruler 2.0, which stands behind EventBridge;
docs/reference/event-patterns.md states it.

- The text is checked and compiled in one pass from left to right, so its first fault is the one
  that is reported.
- A path that is given twice keeps the later list, as in AWS. `$or` copies the conditions read so
  far into each of its alternatives; what follows it is added to all of them.
- A pattern is bounded: DEPTH_MAX levels, BRANCHES_MAX combinations of `$or` alternatives. The
  number of its characters is the caller's to bound (`limits.PATTERN_CHARACTERS_MAX`), since AWS
  answers that as another error.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

from eventcore.errors import UnsupportedOperation
from eventcore.patterns.addresses import ipv6_of
from eventcore.patterns.conditions import (
    Address,
    AnythingBut,
    AnyValue,
    Condition,
    Exact,
    Prefix,
    Range,
    Suffix,
    ValueTest,
)
from eventcore.patterns.numbers import CanonicalNumber, NumberText, double_of
from eventcore.patterns.pattern import Pattern
from eventcore.patterns.tokens import NAME, NUMBER, STRING, TokenReader

__all__ = ["BRANCHES_MAX", "DEPTH_MAX", "compile_pattern"]

BRANCHES_MAX: Final = 1_000
"""Combinations that the `$or`s of one pattern may make (AWS allows as many)."""
DEPTH_MAX: Final = 100
"""Levels of objects in a pattern."""

_ONE_KEY: Final = "Only one key allowed in match expression"
_TOO_MANY: Final = "Too many elements in numeric expression"
_BUT_VALUE: Final = "Value of anything-but must be an array or single string/number value."
_BUT_MEMBER: Final = "Inside anything but list, start|null|boolean is not supported."
_BUT_MIXED: Final = (
    "Inside anything but list, either all values are number or string, mixed type is not supported"
)
_BUT_TEXT: Final = "prefix/suffix match pattern must be a string"

_OPERATORS_TO_COME: Final = frozenset(("equals-ignore-case", "wildcard", "cidr"))
_RESERVED_IN_OR: Final = frozenset(
    (
        *(
            "exactly",
            "equals-ignore-case",
            "prefix",
            "suffix",
            "anything-but",
            "exists",
            "wildcard",
        ),
        *("numeric", "cidr", "=", "<", "<=", ">", ">=", "regex", "not-wildcard"),
        *("not-equals-ignore-case", "date-after", "date-on-or-after", "date-before"),
        *("date-on-or-before", "in-date-range", "ip-address-in-range", "ip-address-not-in-range"),
    )
)

_Draft = dict[str, Condition]
"""The conditions of one branch so far, by path."""


def compile_pattern(text: str) -> Pattern:
    """The pattern that `text` describes.

    Raises InvalidPattern, whose `reason` is AWS's text with its location, and UnsupportedOperation
    for an operator that AWS has and eventcore does not. Unlike event-ruler, text behind the closing
    brace is an error.
    """
    reader = TokenReader(text)
    if reader.advance() != "{":
        raise reader.error("Filter is not an object")
    drafts: list[_Draft] = []
    _read_object(reader, drafts, (), is_in_or=False)
    reader.finish()
    branches = tuple(tuple(draft[path] for path in sorted(draft)) for draft in drafts)
    return Pattern(text, branches)


# -- structure -----------------------------------------------------------------------------------


def _read_object(
    reader: TokenReader, drafts: list[_Draft], names: tuple[str, ...], *, is_in_or: bool
) -> None:
    """Reads the members of an object, whose brace was read, into every draft."""
    if len(names) >= DEPTH_MAX:
        raise reader.error(f"An event pattern has at most {DEPTH_MAX} levels")
    is_empty = True
    while reader.advance() != "}":
        is_empty = False
        name = reader.text
        if name == "$or":
            _read_or(reader, drafts, names)
            continue
        if is_in_or and name in _RESERVED_IN_OR:
            raise reader.error(
                f"{name} is Ruler reserved fieldName which cannot be used inside $or."
            )
        _read_member(reader, drafts, (*names, name), is_in_or=is_in_or)
    if is_empty:
        raise reader.error("Empty objects are not allowed")


def _read_member(
    reader: TokenReader, drafts: list[_Draft], names: tuple[str, ...], *, is_in_or: bool
) -> None:
    kind = reader.advance()
    if kind == "{":
        _read_object(reader, drafts, names, is_in_or=is_in_or)
        return
    if kind != "[":
        raise reader.error(f'"{names[-1]}" must be an object or an array')
    condition = _read_condition(reader, ".".join(names))
    if not drafts:
        drafts.append({})
    for draft in drafts:
        draft[condition.path] = condition


def _read_or(reader: TokenReader, drafts: list[_Draft], names: tuple[str, ...]) -> None:
    """Replaces each draft by one copy per alternative."""
    if reader.advance() != "[":
        raise reader.error("It must be an Array followed with $or.")
    before = drafts[:] or [{}]
    drafts.clear()
    count = 0
    while (kind := reader.advance()) != "]":
        if kind != "{":
            raise reader.error("Only JSON object is allowed in array of $or relationship.")
        count += 1
        alternative = [dict(draft) for draft in before]
        _read_object(reader, alternative, names, is_in_or=True)
        drafts.extend(alternative)
        if len(drafts) > BRANCHES_MAX:
            raise reader.error(
                f"Rule is too complex - $or makes more than {BRANCHES_MAX} combinations"
            )
    if count < 2:
        raise reader.error("There must have at least 2 Objects in $or relationship.")


def _read_condition(reader: TokenReader, path: str) -> Condition:
    """Reads a list of values and match expressions, whose bracket was read."""
    tests: list[ValueTest] = []
    may_be_absent = False
    while (kind := reader.advance()) != "]":
        test = _read_match_expression(reader) if kind == "{" else _read_value(reader, kind)
        if test is None:
            may_be_absent = True
        else:
            tests.append(test)
    if not tests and not may_be_absent:
        raise reader.error("Empty arrays are not allowed")
    return Condition(path, tuple(path.split(".")), tuple(tests), may_be_absent)


def _read_value(reader: TokenReader, kind: str) -> ValueTest:
    if kind == STRING:
        address = ipv6_of(reader.text)
        return Exact(reader.text) if address is None else Address(address)
    if kind == NUMBER:
        return Exact(_number(reader.text))
    if kind in _LITERALS:
        return Exact(_LITERALS[kind])
    raise reader.error("Match value must be String, number, true, false, or null")


def _read_match_expression(reader: TokenReader) -> ValueTest | None:
    """Reads `{operator: argument}` behind its brace. None is `{"exists": false}`: no test."""
    if reader.advance() != NAME:
        raise reader.error("Match expression name not found")
    operator = reader.text
    if operator in _OPERATORS_TO_COME:
        raise UnsupportedOperation("events", operator)
    read_argument = _OPERATORS.get(operator)
    if read_argument is None:
        raise reader.error(f"Unrecognized match type {operator}")
    test = read_argument(reader)
    if reader.advance() != "}":
        is_counted = operator in ("numeric", "anything-but")
        raise reader.error(_TOO_MANY if is_counted else _ONE_KEY)
    return test


# -- one operator each: reads the argument, up to but without the closing brace ------------------


def _read_exactly(reader: TokenReader) -> Exact:
    return Exact(_read_string(reader, "exact match pattern must be a string"))


def _read_prefix(reader: TokenReader) -> Prefix:
    return Prefix(_read_affix(reader, "prefix"))


def _read_suffix(reader: TokenReader) -> Suffix:
    return Suffix(_read_affix(reader, "suffix"))


def _read_affix(reader: TokenReader, operator: str) -> str:
    kind = reader.advance()
    if kind == "{":
        if reader.advance() != NAME:
            raise reader.error(f"{operator.capitalize()} expression name not found")
        if reader.text == "equals-ignore-case":
            raise UnsupportedOperation("events", f"{operator}/equals-ignore-case")
        raise reader.error(f"Unsupported {operator} pattern: {reader.text}")
    if kind != STRING:
        raise reader.error(f"{operator} match pattern must be a string")
    return reader.text


def _read_string(reader: TokenReader, otherwise: str) -> str:
    if reader.advance() != STRING:
        raise reader.error(otherwise)
    return reader.text


def _read_exists(reader: TokenReader) -> AnyValue | None:
    kind = reader.advance()
    if kind not in ("true", "false"):
        raise reader.error("exists match pattern must be either true or false.")
    return AnyValue() if kind == "true" else None


def _read_anything_but(reader: TokenReader) -> AnythingBut:
    kind = reader.advance()
    if kind == "{":
        return _read_anything_but_operator(reader)
    if kind == "[":
        return _read_anything_but_list(reader)
    if kind == STRING:
        return AnythingBut((Exact(reader.text),))
    if kind == NUMBER:
        return AnythingBut((Exact(_double(reader, reader.text)),))
    raise reader.error(_BUT_VALUE)


def _read_anything_but_list(reader: TokenReader) -> AnythingBut:
    refused: list[Exact] = []
    kinds: set[str] = set()
    while (kind := reader.advance()) != "]":
        if kind == STRING:
            refused.append(Exact(reader.text))
        elif kind == NUMBER:
            refused.append(Exact(_double(reader, reader.text)))
        else:
            raise reader.error(_BUT_MEMBER)
        kinds.add(kind)
    if len(kinds) != 1:
        raise reader.error(_BUT_MIXED)
    return AnythingBut(tuple(refused))


def _read_anything_but_operator(reader: TokenReader) -> AnythingBut:
    """Reads `{"prefix": ..}` or `{"suffix": ..}`, the inner closing brace included."""
    if reader.advance() != NAME:
        raise reader.error("Anything-But expression name not found")
    operator = reader.text
    if operator in ("equals-ignore-case", "wildcard"):
        raise UnsupportedOperation("events", f"anything-but/{operator}")
    if operator not in ("prefix", "suffix"):
        raise reader.error(f"Unsupported anything-but pattern: {operator}")
    affix = Prefix if operator == "prefix" else Suffix
    refused = tuple(affix(text) for text in _read_affixes(reader))
    if reader.advance() != "}":
        raise reader.error(_TOO_MANY)
    return AnythingBut(refused)


def _read_affixes(reader: TokenReader) -> list[str]:
    kind = reader.advance()
    if kind not in ("[", STRING, NUMBER):
        raise reader.error(_BUT_VALUE)
    if kind != "[":
        return [_affix(reader, kind)]
    texts: list[str] = []
    while (kind := reader.advance()) != "]":
        texts.append(_affix(reader, kind))
    return texts


def _affix(reader: TokenReader, kind: str) -> str:
    if kind != STRING:
        raise reader.error(_BUT_TEXT)
    if not reader.text:
        raise reader.error("Null prefix/suffix not allowed")
    return reader.text


def _read_numeric(reader: TokenReader) -> Exact | Range:
    if reader.advance() != "[":
        raise reader.error("Value of numeric must be an array.")
    if reader.advance() != STRING:
        raise reader.error(f"Invalid member in numeric match: {reader.text}")
    operator = reader.text
    kind = reader.advance()
    if operator not in ("=", "<", "<=", ">", ">="):
        raise reader.error(f"Unrecognized numeric range operator: {operator}")
    if kind != NUMBER:
        name = "equals" if operator == "=" else operator
        raise reader.error(f"Value of {name} must be numeric")
    number = reader.text
    kind = reader.advance()
    if kind != "]" and operator in (">", ">="):
        return _read_top(reader, kind, operator, number)
    if kind != "]":
        raise reader.error(_TOO_MANY)
    limit = _double(reader, number)
    if operator == "=":
        return Exact(limit)
    if operator in (">", ">="):
        return Range(_low(operator, limit), math.inf)
    return Range(-math.inf, _high(operator, limit))


def _read_top(reader: TokenReader, kind: str, bottom_operator: str, bottom_text: str) -> Range:
    """The second half of `[">", 0, "<=", 5]`, whose first token was read."""
    if kind != STRING:
        raise reader.error(f"Bad value in numeric range: {reader.text}")
    operator = reader.text
    if operator not in ("<", "<="):
        raise reader.error(f"Bad numeric range operator: {operator}")
    if reader.advance() != NUMBER:
        raise reader.error(f"Value of {operator} must be numeric")
    top_text = reader.text
    if reader.advance() != "]":
        raise reader.error("Too many terms in numeric range expression")
    bottom, top = _double(reader, bottom_text), _double(reader, top_text)
    if bottom >= top:
        raise reader.error("Bottom must be less than top")
    return Range(_low(bottom_operator, bottom), _high(operator, top))


_OPERATORS: Final[dict[str, Callable[[TokenReader], ValueTest | None]]] = {
    "anything-but": _read_anything_but,
    "exactly": _read_exactly,
    "exists": _read_exists,
    "numeric": _read_numeric,
    "prefix": _read_prefix,
    "suffix": _read_suffix,
}
_LITERALS: Final = {"true": True, "false": False, "null": None}


# -- numbers -------------------------------------------------------------------------------------


def _number(text: str) -> CanonicalNumber:
    number = double_of(text)
    return NumberText(text) if number is None else number


def _double(reader: TokenReader, text: str) -> float:
    """The number as a double. Raises InvalidPattern if that is another number."""
    number = double_of(text)
    if number is None:
        raise reader.error(f"Cannot compare number : {text}")
    return number


def _low(operator: str, number: float) -> float:
    return math.nextafter(number, math.inf) if operator == ">" else number


def _high(operator: str, number: float) -> float:
    return math.nextafter(number, math.inf) if operator == "<=" else number
