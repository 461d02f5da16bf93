"""Filter policies of SNS: which messages a subscription wants.

A policy is a pattern in a dialect of its own, matched against a message's attributes or against its
body. Rules:

- Attributes: those of the types String, String.Array and Number are compared, under their names.
  Any other type counts as no attribute, and so does a String.Array or Number whose value is none.
- A String.Array is a JSON array of strings, numbers, true, false and null; any element may satisfy
  the policy. A Number is a number as JSON writes it.
- Body: a JSON object. A policy accepts no other body.
- The empty policy accepts every message. (SNS takes it for "no policy".)
"""

from __future__ import annotations

from typing import Final, final

import msgspec

from eventcore.attributes import AttributesRecord
from eventcore.errors import InvalidParameter, InvalidPattern
from eventcore.patterns.compiler import compile_pattern
from eventcore.patterns.conditions import is_number
from eventcore.patterns.dialects import SNS_ATTRIBUTES, SNS_BODY
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
class FilterPolicy(msgspec.Struct, frozen=True):
    """A compiled filter policy and what it is compared with: MESSAGE_ATTRIBUTES or MESSAGE_BODY."""

    pattern: Pattern
    scope: str

    @property
    def accepts_all(self) -> bool:
        """Whether the policy is `{}`."""
        return self.pattern.branches == ((),)

    def accepts(self, attributes: AttributesRecord, body: str | bytes) -> bool:
        """Whether the subscription gets the message. Never raises."""
        if self.accepts_all:
            return True
        if self.scope == MESSAGE_ATTRIBUTES:
            return matches(self.pattern, event_of_attributes(attributes))
        event = event_of_body(body)
        return event is not None and matches(self.pattern, event)


def compile_filter_policy(text: str, scope: str = MESSAGE_ATTRIBUTES) -> FilterPolicy:
    """The policy that `text` describes.

    Raises InvalidPattern, whose `reason` is what SNS says behind "FilterPolicy: " (for a nested
    policy with the scope MessageAttributes: behind "Invalid parameter: "), and InvalidParameter for
    a scope that does not exist.
    """
    dialect = _DIALECTS.get(scope)
    if dialect is None:
        raise InvalidParameter(
            "FilterPolicyScope",
            f"Invalid value [{scope}]. Please use either MessageBody or MessageAttributes",
            scope,
        )
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
    return event


def event_of_body(body: str | bytes) -> dict[str, object] | None:
    """What a policy of the scope MessageBody is matched against; None for no JSON object."""
    event = _decoded(body)
    return event if isinstance(event, dict) else None


def _decoded(text: str | bytes) -> object:
    """The value of a JSON text. What is not JSON is None, as is `null`: neither is of use here."""
    try:
        return decode_event(text)
    except ValueError:
        return None
