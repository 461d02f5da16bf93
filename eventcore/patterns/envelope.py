"""What every event on a bus has in common, and which conditions none of them can meet.

An event's members are version ("0"), id, detail-type, source, account, time and region, each a
string that is always there and not empty, `resources`, a list of strings, and `detail`, an object
of any content (AWS, "Events in Amazon EventBridge", "event structure"). A replay adds
`replay-name`. Nothing else is on the top level.

"Cannot" is certain here: a condition of which that is not known counts as one that can be met.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from eventcore.patterns.conditions import (
    AnythingBut,
    AnyValue,
    Condition,
    Exact,
    IgnoreCase,
    Prefix,
    PrefixIgnoreCase,
    Range,
    Suffix,
    SuffixIgnoreCase,
    ValueTest,
    Wildcard,
)

__all__ = ["DETAIL", "MEMBERS", "STRING_MEMBERS", "accepts_all_strings", "why_never_met"]

DETAIL: Final = "detail"
STRING_MEMBERS: Final = frozenset(
    ("version", "id", "detail-type", "source", "account", "time", "region")
)
"""Members that are always there, and always one string."""
_LEAF_MEMBERS: Final = STRING_MEMBERS | {"resources", "replay-name"}
MEMBERS: Final = _LEAF_MEMBERS | {DETAIL}
"""Everything that the top level of an event may have."""

_FORMS: Final = {
    "account": "dddddddddddd",
    "time": "dddd-dd-ddTdd:dd:ddZ",
    "id": "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx",
}
"""Members of one form: d is a digit, x a hexadecimal digit, the rest stands for itself."""
_FORM_NAMES: Final = {
    "account": "12 digits",
    "time": "a time such as 2026-01-31T23:59:59Z",
    "id": "a UUID",
}
VERSION: Final = "version"
VERSION_VALUE: Final = "0"
_DIGITS: Final = frozenset("0123456789")
_HEXADECIMAL: Final = frozenset("0123456789abcdefABCDEF")


def why_never_met(condition: Condition) -> str:
    """Why no event on a bus meets the condition, as a sentence; "" if one may."""
    name, *below = condition.steps
    if all(_is_empty(test) for test in condition.tests) and not condition.may_be_absent:
        return "No value at all is accepted."
    if name not in MEMBERS:
        return "" if condition.may_be_absent else f'Events have no member "{name}".'
    if name in _LEAF_MEMBERS and below:
        return "" if condition.may_be_absent else f'The member "{name}" is no object.'
    if name == DETAIL:
        is_needed = not below and not condition.may_be_absent
        return 'The member "detail" is always an object, never a value.' if is_needed else ""
    if name not in STRING_MEMBERS:
        if condition.may_be_absent or any(map(_accepts_a_string, condition.tests)):
            return ""
        return f'The member "{name}" has strings only.'
    if not condition.tests:
        return f'The member "{name}" is always there.'
    if not any(map(_accepts_a_string, condition.tests)):
        return f'The member "{name}" is always a string, which no entry of the list accepts.'
    if name == VERSION and not any(test.accepts(VERSION_VALUE) for test in condition.tests):
        return f'The member "{name}" is always "{VERSION_VALUE}".'
    if all(map(_accepts_no_more_than_empty, condition.tests)):
        return f'The member "{name}" is never empty.'
    form = _FORMS.get(name)
    if form is not None and not any(_fits(test, form) for test in condition.tests):
        return f'The member "{name}" is always {_FORM_NAMES[name]}.'
    return ""


def accepts_all_strings(tests: Sequence[ValueTest]) -> bool:
    """Whether it is certain that the tests leave out no string."""
    for test in tests:
        match test:
            case AnyValue():
                return True
            case Prefix("") | Suffix("") | PrefixIgnoreCase("") | SuffixIgnoreCase(""):
                return True
            case Wildcard(pieces):
                if len(pieces) > 1 and not any(pieces):
                    return True
            case _:
                continue
    return False


def _is_empty(test: ValueTest) -> bool:
    return isinstance(test, Range) and test.low >= test.high


def _accepts_no_more_than_empty(test: ValueTest) -> bool:
    """Whether it is certain that the test accepts no string but the empty one."""
    match test:
        case Exact("") | IgnoreCase("") | Wildcard(("",)):
            return True
        case _:
            return not _accepts_a_string(test)


def _accepts_a_string(test: ValueTest) -> bool:
    match test:
        case Exact(value):
            return isinstance(value, str)
        case Range():
            return False
        case AnythingBut(refused):
            return not accepts_all_strings(refused)
        case _:
            return True


def _fits(test: ValueTest, form: str) -> bool:
    """Whether the test may accept a string of the form."""
    match test:
        case Exact(value):
            return isinstance(value, str) and _are_alike(value, form)
        case IgnoreCase(text):
            return not text.isascii() or _are_alike(text.lower(), form.lower())
        case Prefix(text):
            return _are_alike(text, form[: len(text)])
        case Suffix(text):
            return _are_alike(text, form[max(len(form) - len(text), 0) :])
        case Wildcard(pieces):
            if len(pieces) == 1:
                return _are_alike(pieces[0], form)
            head, tail = pieces[0], pieces[-1]
            return _fits(Prefix(head), form) and _fits(Suffix(tail), form)
        case _:
            return _accepts_a_string(test)


def _are_alike(text: str, form: str) -> bool:
    if len(text) != len(form):
        return False
    for character, place in zip(text, form, strict=True):
        if place == "d":
            fits = character in _DIGITS
        elif place == "x":
            fits = character in _HEXADECIMAL
        else:
            fits = character == place
        if not fits:
            return False
    return True
