"""Filters on the records of a source: Lambda event source mappings and EventBridge Pipes.

A filter is a pattern on a record: its metadata (the record's own fields) and its payload, which
stands under one key: `body` in queues, `data` in streams, `value` or `key` in Kafka; a record of
DynamoDB has no payload, its `dynamodb` is a field like others. A record is wanted if one of the
patterns wants it. Rules, which are AWS's:

- A payload that is a JSON object or array is compared as such; any other is a plain string.
- A pattern with an object under the payload's key wants JSON: it does not match a plain string. A
  pattern with a list there wants a plain string: it does not match JSON.
- A pattern without the payload's key looks at the metadata alone.
- `$or` may mix them: each combination of its alternatives counts as a pattern here.

A payload that is no UTF-8 is neither JSON nor a string; only metadata can match.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from typing import Final, final

from eventcore.errors import InvalidParameter, InvalidPattern
from eventcore.patterns.compiler import compile_pattern
from eventcore.patterns.dialects import RECORD_FILTER
from eventcore.patterns.matching import matches
from eventcore.patterns.numbers import decode_event
from eventcore.patterns.pattern import Branch, Pattern

__all__ = ["FILTERS_DEFAULT", "FILTERS_MAX", "Decision", "RecordFilter"]

FILTERS_DEFAULT: Final = 5
"""Filters of one source that AWS allows without asking."""
FILTERS_MAX: Final = 10
"""Filters of one source that AWS allows at all."""


class Decision(Enum):
    """What becomes of a record."""

    MATCHED = "matched"
    """It is delivered."""
    DROPPED = "dropped"
    """It is not: a queue deletes it, a stream goes past it."""


@final
class RecordFilter:
    """The filters of one source, compiled. Immutable.

    `payload_key` is the key under which patterns name the payload, None if there is none.
    `accepts_plain` is false for streams, whose patterns must not have a list there. There are 1 to
    FILTERS_MAX patterns; a smaller quota is the caller's to check.

    Raises InvalidPattern for a pattern, InvalidParameter for their number.
    """

    __slots__ = ("_for_json", "_for_neither", "_for_text", "_payload_key")

    def __init__(
        self, patterns: Sequence[str], payload_key: str | None, *, accepts_plain: bool = True
    ) -> None:
        if not 1 <= len(patterns) <= FILTERS_MAX:
            reason = f"There must be 1 to {FILTERS_MAX} filters."
            raise InvalidParameter("Filters", reason, len(patterns))
        compiled = [_compile(text) for text in patterns]
        self._payload_key = payload_key

        def wants_text(branch: Branch) -> bool:
            return any(condition.path == payload_key for condition in branch)

        def wants_json(branch: Branch) -> bool:
            start = f"{payload_key}."
            return any(condition.path.startswith(start) for condition in branch)

        if payload_key is None:
            self._for_json = self._for_text = self._for_neither = tuple(compiled)
            return
        self._for_json = _without(compiled, wants_text)
        self._for_text = _without(compiled, wants_json)
        self._for_neither = _without(self._for_json, wants_json)
        if not accepts_plain and self._for_json != tuple(compiled):
            raise InvalidPattern(
                "Filter pattern for data properties must be in valid JSON format",
                RECORD_FILTER.noun,
            )

    def decide(self, record: Mapping[str, object], payload: str | bytes | None = None) -> Decision:
        """Whether the record is wanted. Never raises.

        `record` is the metadata: plain values, of which one under the payload's key is ignored.
        `payload` is the payload, decoded from base64; it is ignored if there is no payload key.
        """
        event = dict(record)
        patterns = self._for_neither
        if self._payload_key is not None:
            value = _decoded(payload)
            if value is not None:
                event[self._payload_key] = value
                patterns = self._for_text if isinstance(value, str) else self._for_json
        is_wanted = any(matches(pattern, event) for pattern in patterns)
        return Decision.MATCHED if is_wanted else Decision.DROPPED


def _compile(text: str) -> Pattern:
    if len(text) > RECORD_FILTER.size_max:
        reason = f"Filter pattern has more than {RECORD_FILTER.size_max} characters"
        raise InvalidPattern(reason, RECORD_FILTER.noun)
    return compile_pattern(text, RECORD_FILTER)


def _without(
    patterns: Sequence[Pattern], is_unwanted: Callable[[Branch], bool]
) -> tuple[Pattern, ...]:
    """The patterns with those branches only that are not unwanted."""
    kept: list[Pattern] = []
    for pattern in patterns:
        branches = tuple([branch for branch in pattern.branches if not is_unwanted(branch)])
        if branches:
            kept.append(Pattern(pattern.text, branches, pattern.dialect))
    return tuple(kept)


def _decoded(payload: str | bytes | None) -> object:
    """A JSON object or array, else the text itself; None if the bytes are no text."""
    if payload is None:
        return None
    try:
        value = decode_event(payload)
    except ValueError:
        value = None
    if isinstance(value, dict | list):
        return value
    if isinstance(payload, str):
        return payload
    try:
        return payload.decode()
    except UnicodeDecodeError:
        return None
