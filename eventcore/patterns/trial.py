"""Patterns and events as programs have them, tried on each other: no bus, no rule, no store.

- A pattern is a mapping or its JSON text; an event is a mapping, or its JSON text as `str` or
  `bytes`. It is the whole event: `source`, `detail-type`, `detail`. Members that it lacks are
  absent, nothing is filled in.
- What is neither raises InvalidParameter; a pattern that the language does not allow raises
  InvalidPattern.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from eventcore import limits
from eventcore.codec import encode_json
from eventcore.errors import InvalidParameter
from eventcore.patterns.compiler import compile_pattern
from eventcore.patterns.explanation import Explanation, explain_match
from eventcore.patterns.matching import matches
from eventcore.patterns.numbers import decode_event
from eventcore.patterns.pattern import Pattern

__all__ = [
    "EventLike",
    "PatternLike",
    "explain",
    "explain_values",
    "pattern_text",
    "read_event",
    "read_pattern",
    "test_event_pattern",
]

PatternLike: TypeAlias = Mapping[str, Any] | str
EventLike: TypeAlias = Mapping[str, Any] | str | bytes


def test_event_pattern(pattern: PatternLike, event: EventLike) -> bool:
    """Whether the event matches the pattern, as EventBridge's TestEventPattern.

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
        raise InvalidParameter("event", f"Is not JSON: {error}.", event) from error
    if not isinstance(values, dict):
        raise InvalidParameter("event", "Must be a JSON object.", event)
    return values


def _json_text(name: str, content: object, otherwise: str) -> str:
    if not isinstance(content, Mapping):
        raise InvalidParameter(name, otherwise, content)
    try:
        return encode_json(dict(content)).decode()
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise InvalidParameter(name, f"Is no JSON: {error}.", content) from error


def _too_deep() -> InvalidParameter:
    return InvalidParameter("event", "Has too many levels.")
