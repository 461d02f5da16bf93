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

All combinations of all patterns stand in one index, so a record costs one look-up, however many
they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Final, final

from eventcore.errors import InvalidParameter, InvalidPattern
from eventcore.patterns.compiler import compile_pattern
from eventcore.patterns.dialects import RECORD_FILTER
from eventcore.patterns.matcher import Matcher
from eventcore.patterns.numbers import decode_event
from eventcore.patterns.pattern import Branch, Pattern

__all__ = ["FILTERS_DEFAULT", "FILTERS_MAX", "Decision", "RecordFilter"]

FILTERS_DEFAULT: Final = 5
"""Filters of one source that AWS allows without asking."""
FILTERS_MAX: Final = 10
"""Filters of one source that AWS allows at all."""


_WANTS_NEITHER, _WANTS_JSON, _WANTS_TEXT = range(3)
"""Kinds of combinations, by the payload that they want; the first looks at none."""


class Decision(Enum):
    """What becomes of a record."""

    MATCHED = "matched"
    """It is delivered."""
    DROPPED = "dropped"
    """It is not: a queue deletes it, a stream goes past it."""


@final
class RecordFilter:
    """The filters of one source, compiled. They do not change; not for concurrent use.

    `payload_key` is the key under which patterns name the payload, None if there is none.
    `accepts_plain` is false for streams, whose patterns must not have a list there. There are 1 to
    FILTERS_MAX patterns; a smaller quota is the caller's to check.

    Raises InvalidPattern for a pattern, InvalidParameter for their number, and for what has another
    type.
    """

    __slots__ = ("_matcher", "_payload_key")

    def __init__(
        self, patterns: Sequence[str], payload_key: str | None, *, accepts_plain: bool = True
    ) -> None:
        _check_types(patterns, payload_key)
        if not 1 <= len(patterns) <= FILTERS_MAX:
            reason = f"There must be 1 to {FILTERS_MAX} filters."
            raise InvalidParameter("Filters", reason, len(patterns))
        kinds: dict[int, list[Branch]] = {}
        for text in patterns:
            for branch in _compile(text).branches:
                kinds.setdefault(_kind_of(branch, payload_key), []).append(branch)
        if not accepts_plain and _WANTS_TEXT in kinds:
            raise InvalidPattern(
                "Filter pattern for data properties must be in valid JSON format",
                RECORD_FILTER.noun,
            )
        self._payload_key = payload_key
        self._matcher = Matcher()
        for kind, branches in kinds.items():
            self._matcher.add(kind, Pattern("", tuple(branches), RECORD_FILTER.name))

    def decide(self, record: Mapping[str, object], payload: str | bytes | None = None) -> Decision:
        """Whether the record is wanted.

        `record` is the metadata: plain values, of which one under the payload's key is ignored.
        `payload` is the payload, decoded from base64; it is ignored if there is no payload key.

        Raises nothing, whatever they say: only InvalidParameter for a record that is no mapping,
        and for a payload that is neither str nor bytes.
        """
        if not isinstance(record, Mapping):
            raise InvalidParameter("record", "Must be a mapping.", record)
        if not isinstance(payload, str | bytes | None):
            raise InvalidParameter("payload", "Must be str or bytes, or None.", payload)
        event = dict(record)
        kind = _WANTS_NEITHER
        if self._payload_key is not None:
            value = _decoded(payload)
            if value is not None:
                event[self._payload_key] = value
                kind = _WANTS_TEXT if isinstance(value, str) else _WANTS_JSON
        found = self._matcher.match(event)
        return Decision.MATCHED if _WANTS_NEITHER in found or kind in found else Decision.DROPPED


def _check_types(patterns: object, payload_key: object) -> None:
    if (
        not isinstance(patterns, Sequence)
        or isinstance(patterns, str | bytes)
        or not all(isinstance(text, str) for text in patterns)
    ):
        raise InvalidParameter("Filters", "Must be a sequence of JSON texts as str.", patterns)
    if not isinstance(payload_key, str | None):
        raise InvalidParameter("payload_key", "Must be a str, or None.", payload_key)


def _compile(text: str) -> Pattern:
    if len(text) > RECORD_FILTER.size_max:
        reason = f"Filter pattern has more than {RECORD_FILTER.size_max} characters"
        raise InvalidPattern(reason, RECORD_FILTER.noun)
    return compile_pattern(text, RECORD_FILTER)


def _kind_of(branch: Branch, payload_key: str | None) -> int:
    if payload_key is None:
        return _WANTS_NEITHER
    paths = [condition.path for condition in branch]
    if payload_key in paths:
        return _WANTS_TEXT
    start = f"{payload_key}."
    return _WANTS_JSON if any(path.startswith(start) for path in paths) else _WANTS_NEITHER


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
