"""Patterns and events as programs have them, tried on each other: no bus, no rule, no store.

- A pattern is a mapping or its JSON text; an event is a mapping, or its JSON text as `str` or
  `bytes`. It is the whole event: `source`, `detail-type`, `detail`. Members that it lacks are
  absent, nothing is filled in.
- A mapping holds what JSON has: str, numbers, bool, None, lists, tuples, and dicts with names that
  are str. Everything else is refused, never turned into something that it is not.
- What is neither raises InvalidParameter; a pattern that the language does not allow raises
  InvalidPattern.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final, TypeAlias

from eventcore import limits
from eventcore.codec import encode_json
from eventcore.errors import InvalidParameter
from eventcore.patterns.compiler import compile_pattern
from eventcore.patterns.explanation import Explanation, explain_match
from eventcore.patterns.matching import matches
from eventcore.patterns.numbers import decode_event
from eventcore.patterns.pattern import Pattern

__all__ = [
    "TOO_DEEP",
    "EventLike",
    "PatternLike",
    "explain",
    "explain_values",
    "pattern_text",
    "read_event",
    "read_pattern",
    "test_event_pattern",
    "utf8_fault",
]

PatternLike: TypeAlias = Mapping[str, Any] | str
EventLike: TypeAlias = Mapping[str, Any] | str | bytes

TOO_DEEP: Final = "Is nested too deeply."
"""What is said about JSON of more levels than can be read."""


def test_event_pattern(pattern: PatternLike, event: EventLike) -> bool:
    """Whether the event matches the pattern. For whole events that is the answer of EventBridge's
    TestEventPattern, which refuses those that lack id, account, source, time, region or
    detail-type.

    Raises InvalidPattern and InvalidParameter ("pattern", "event").
    """
    compiled, values = read_pattern(pattern), read_event(event)
    try:
        return matches(compiled, values)
    except RecursionError as error:
        raise _too_deep() from error


# It is no test of anybody's test suite that imports it, whatever its name, which is AWS's.
test_event_pattern.__test__ = False  # type: ignore[attr-defined]


def explain(pattern: PatternLike, event: EventLike) -> Explanation:
    """Why the event matches the pattern, or does not: `is_match` is what `test_event_pattern`
    answers, `text()` says it in words, and `branches` has the parts.

    Raises InvalidPattern and InvalidParameter ("pattern", "event").
    """
    return explain_values(read_pattern(pattern), read_event(event))


def explain_values(pattern: Pattern, event: dict[str, object]) -> Explanation:
    """`explain` of what was read before. Raises InvalidParameter("event") for one too deep."""
    try:
        return explain_match(pattern, event)
    except RecursionError as error:
        raise _too_deep() from error


def read_pattern(pattern: PatternLike) -> Pattern:
    """The compiled pattern. Raises InvalidPattern, and InvalidParameter("pattern")."""
    text = pattern_text(pattern)
    if len(text) > limits.PATTERN_CHARACTERS_MAX:
        reason = f"Must have at most {limits.PATTERN_CHARACTERS_MAX} characters."
        raise InvalidParameter("pattern", reason, len(text))
    return compile_pattern(text)


def pattern_text(pattern: PatternLike) -> str:
    """The JSON text of a pattern. Raises InvalidParameter("pattern")."""
    if isinstance(pattern, str):
        return pattern
    return _json_text("pattern", pattern, "Must be a mapping, or JSON text as str.")


def read_event(event: EventLike) -> dict[str, object]:
    """The values of an event, as `matches` takes them. Raises InvalidParameter("event")."""
    if not isinstance(event, str | bytes):
        event = _json_text("event", event, "Must be a mapping, or JSON text as str or bytes.")
    try:
        values = decode_event(event)
    except ValueError as error:
        raise InvalidParameter("event", _why_no_json(event, error), event) from error
    if not isinstance(values, dict):
        raise InvalidParameter("event", "Must be a JSON object.", event)
    return values


def utf8_fault(content: bytes) -> str:
    """Where bytes are not UTF-8, as a sentence; "" if they are. Bytes are counted from 0."""
    try:
        content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        byte = content[error.start]
        return f"Is not UTF-8: byte 0x{byte:02x} at position {error.start}, in line {line}."
    return ""


def _why_no_json(text: str | bytes, error: ValueError) -> str:
    if isinstance(error.__cause__, RecursionError):
        return TOO_DEEP
    return (isinstance(text, bytes) and utf8_fault(text)) or f"Is not JSON: {error}."


def _json_text(name: str, content: object, otherwise: str) -> str:
    if not isinstance(content, Mapping):
        raise InvalidParameter(name, otherwise, content)
    plain = dict(content)
    try:
        text = encode_json(plain).decode()
    except RecursionError as error:
        raise InvalidParameter(name, TOO_DEEP, content) from error
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidParameter(name, f"Is no JSON: {error}.", content) from error
    if fault := _foreign_value(plain):
        raise InvalidParameter(name, fault, content)
    return text


def _foreign_value(content: object) -> str:
    """What of a content, which has no cycles, the encoder writes though JSON has no such value, as
    a sentence.
    """
    waiting = [content]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            if not all(isinstance(key, str) for key in value):
                return "The names of an object must be str."
            waiting.extend(value.values())
        elif isinstance(value, list | tuple):
            waiting.extend(value)
        elif isinstance(value, float) and not math.isfinite(value):
            return f"JSON has no number {value}."
        elif not isinstance(value, str | int | float | None):
            return f"JSON has no {type(value).__name__}."
    return ""


def _too_deep() -> InvalidParameter:
    return InvalidParameter("event", TOO_DEEP)
