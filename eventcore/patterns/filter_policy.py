"""Filter policies of SNS: which messages a subscription wants.

A policy is a pattern in a dialect of its own, matched against a message's attributes or against its
body. Rules:

- Attributes: those of the types String, String.Array, Number and Number.Array are compared, under
  their names. Any other type counts as no attribute, and so does one whose value is not what its
  type says.
- A String.Array is a JSON array of strings, numbers, true, false and null, a Number.Array one of
  numbers; any element may satisfy the policy. A Number is a number as JSON writes it.
- A message without any attribute satisfies no policy on attributes, not even `{"exists": false}`.
- Body: a JSON object. A policy accepts no other body.
- The empty policy accepts every message. (SNS takes it for "no policy".)
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Final, final

import msgspec

from eventcore.attributes import AttributesRecord, AttributeValue
from eventcore.errors import InvalidParameter, InvalidPattern
from eventcore.patterns.compiler import compile_pattern
from eventcore.patterns.conditions import is_number
from eventcore.patterns.dialects import SNS_ATTRIBUTES, SNS_BODY, Dialect
from eventcore.patterns.matcher import Matcher
from eventcore.patterns.matching import matches
from eventcore.patterns.numbers import decode_event
from eventcore.patterns.pattern import Pattern

__all__ = [
    "MESSAGE_ATTRIBUTES",
    "MESSAGE_BODY",
    "FilterPolicy",
    "compile_filter_policy",
    "event_of_attributes",
    "event_of_body",
]

MESSAGE_ATTRIBUTES: Final = "MessageAttributes"
MESSAGE_BODY: Final = "MessageBody"
"""The values of FilterPolicyScope."""

_DIALECTS: Final = {MESSAGE_ATTRIBUTES: SNS_ATTRIBUTES, MESSAGE_BODY: SNS_BODY}


@final
class FilterPolicy(msgspec.Struct, frozen=True, dict=True):
    """A compiled filter policy and what it is compared with: MESSAGE_ATTRIBUTES or MESSAGE_BODY.

    Not for concurrent use.
    """

    pattern: Pattern
    scope: str

    @property
    def accepts_all(self) -> bool:
        """Whether the policy is `{}`."""
        return self.pattern.branches == ((),)

    def accepts(self, attributes: AttributesRecord, body: str | bytes) -> bool:
        """Whether the subscription gets the message.

        Raises nothing, whatever they say: only InvalidParameter for attributes that are no mapping
        to AttributeValues, and for a body that is neither str nor bytes.
        """
        _check_message(attributes, body)
        if self.accepts_all:
            return True
        if self.scope == MESSAGE_ATTRIBUTES:
            # SNS: what is asked to be absent must be absent among others.
            return bool(attributes) and self._matches(event_of_attributes(attributes))
        event = event_of_body(body)
        return event is not None and self._matches(event)

    def _matches(self, event: dict[str, object]) -> bool:
        if len(self.pattern.branches) == 1:
            return matches(self.pattern, event)
        return bool(self._matcher.match(event))

    @cached_property
    def _matcher(self) -> Matcher:
        """All combinations at once. Kept: making it costs more than asking it."""
        matcher = Matcher()
        matcher.add(0, self.pattern)
        return matcher


def compile_filter_policy(text: str, scope: str = MESSAGE_ATTRIBUTES) -> FilterPolicy:
    """The policy that `text` describes.

    Raises InvalidPattern, whose `reason` is what SNS says behind "FilterPolicy: " (for a nested
    policy with the scope MessageAttributes: behind "Invalid parameter: "), and InvalidParameter for
    a scope that does not exist, and for a policy that is no str.
    """
    dialect = _scope_dialect(scope)
    if not isinstance(text, str):
        raise InvalidParameter("FilterPolicy", "Must be JSON text as str.", text)
    if len(text.encode(errors="surrogatepass")) > dialect.size_max:
        raise InvalidPattern(f"Filter policy has more than {dialect.size_max} bytes", dialect.noun)
    return FilterPolicy(compile_pattern(text, dialect), scope)


def event_of_attributes(attributes: AttributesRecord) -> dict[str, object]:
    """What a policy of the scope MessageAttributes is matched against."""
    event: dict[str, object] = {}
    for name, attribute in attributes.items():
        text = attribute.string
        if text is None:
            continue
        if attribute.data_type == "String":
            event[name] = text
        elif attribute.data_type == "Number":
            number = _decoded(text)
            if is_number(number):
                event[name] = number
        elif attribute.data_type == "String.Array":
            elements = _decoded(text)
            if isinstance(elements, list) and not any(
                isinstance(element, dict | list) for element in elements
            ):
                event[name] = elements
        elif attribute.data_type == "Number.Array":
            numbers = _decoded(text)
            if isinstance(numbers, list) and all(map(is_number, numbers)):
                event[name] = numbers
    return event


def event_of_body(body: str | bytes) -> dict[str, object] | None:
    """What a policy of the scope MessageBody is matched against; None for no JSON object."""
    event = _decoded(body)
    return event if isinstance(event, dict) else None


def _check_message(attributes: object, body: object) -> None:
    if not isinstance(attributes, Mapping) or not all(
        isinstance(attribute, AttributeValue) for attribute in attributes.values()
    ):
        reason = "Must be a mapping from names to AttributeValues."
        raise InvalidParameter("attributes", reason, attributes)
    if not isinstance(body, str | bytes):
        raise InvalidParameter("body", "Must be str or bytes.", body)


def _scope_dialect(scope: object) -> Dialect:
    dialect = _DIALECTS.get(scope) if isinstance(scope, str) else None
    if dialect is None:
        raise InvalidParameter(
            "FilterPolicyScope",
            f"Invalid value [{scope}]. Please use either MessageBody or MessageAttributes",
            scope,
        )
    return dialect


def _decoded(text: str | bytes) -> object:
    """The value of a JSON text. What is not JSON is None, as is `null`: neither is of use here."""
    try:
        return decode_event(text)
    except ValueError:
        return None
