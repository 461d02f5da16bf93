"""The dialects of the pattern language: which part of it each service knows, as data.

All services share one grammar and one meaning (docs/reference/event-patterns.md). They differ in
the operators, in bounds, and in a few messages. Rules:

- A dialect only takes away: what two dialects both accept means the same in both.
- What a dialect does not have is refused with the message for something unknown, as in AWS.
- A pattern's size is checked by whoever has the answer for it; the dialect says the bound.
"""

from __future__ import annotations

from typing import Final, final

import msgspec

from eventcore import limits

__all__ = ["BUS", "RECORD_FILTER", "SNS_ATTRIBUTES", "SNS_BODY", "Dialect"]

_IGNORE_CASE: Final = "equals-ignore-case"

_EVERYWHERE: Final = frozenset(
    (*("anything-but", "cidr", _IGNORE_CASE), *("exactly", "exists", "numeric", "prefix", "suffix"))
)


@final
class Dialect(msgspec.Struct, frozen=True, kw_only=True):
    """What one service accepts. A bound that is None does not exist."""

    name: str
    noun: str
    """What the service calls a pattern, as a message begins."""
    size_max: int
    """Characters of a pattern; in SNS, bytes of its UTF-8."""

    operators: frozenset[str]
    affix_operators: frozenset[str]
    """Operators inside prefix and suffix."""
    but_operators: frozenset[str]
    """Operators inside anything-but."""
    but_operators_take_lists: bool = True

    number_max: float | None = None
    """The largest size of a number to compare with."""
    number_fault: str = ""
    """What is said about a larger one."""

    nests: bool = True
    """Whether the value of a field may be an object."""
    nesting_fault: str = ""
    """What is said if it may not be and is; this message has no location."""

    may_be_empty: bool = False
    """Whether `{}` is a pattern, which accepts everything."""
    or_may_be_a_name: bool = False
    """Whether an `$or` that is not valid as a combination is tried as a field of that name."""
    json_fault: str = ""
    """What stands before a message about malformed JSON. If there is something, the whole text is
    checked for it first, and the location does not show the source."""

    keys_max: int | None = None
    """Members of the pattern's object; what lies below them does not count."""
    keys_fault: str = ""
    combinations_max: int | None = None
    """See `eventcore.patterns.compiler.combinations_of`."""
    combinations_fault: str = ""


BUS: Final = Dialect(
    name="bus",
    noun="Event pattern",
    size_max=limits.PATTERN_CHARACTERS_MAX,
    operators=_EVERYWHERE | {"wildcard"},
    affix_operators=frozenset((_IGNORE_CASE,)),
    but_operators=frozenset((_IGNORE_CASE, "prefix", "suffix", "wildcard")),
)
"""Rules of EventBridge and archives, which stand behind a rule: the whole language."""

SNS_BODY: Final = Dialect(
    name="sns-body",
    noun="Filter policy",
    size_max=262_144,
    operators=_EVERYWHERE,
    affix_operators=frozenset(),
    but_operators=frozenset(("prefix",)),
    but_operators_take_lists=False,
    number_max=1e9,
    number_fault="Value must be between -1.0E9 and 1.0E9, inclusive",
    may_be_empty=True,
    or_may_be_a_name=True,
    json_fault="failed to parse JSON. ",
    keys_max=5,
    keys_fault="Filter policy can not have more than 5 keys",
    combinations_max=150,
    combinations_fault="Filter policy is too complex",
)
"""Filter policies of SNS with the scope MessageBody."""

SNS_ATTRIBUTES: Final = msgspec.structs.replace(
    SNS_BODY,
    name="sns-attributes",
    nests=False,
    nesting_fault="Filter policy scope MessageAttributes does not support nested filter policy",
)
"""Filter policies of SNS with the scope MessageAttributes."""

RECORD_FILTER: Final = Dialect(
    name="record-filter",
    noun="Filter pattern",
    size_max=limits.PATTERN_CHARACTERS_MAX,
    operators=_EVERYWHERE,
    affix_operators=frozenset((_IGNORE_CASE,)),
    but_operators=frozenset(),
)
"""Filters of Lambda event source mappings and of EventBridge Pipes: the operators that AWS lists
for Pipes.
"""
