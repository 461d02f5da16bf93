"""The constraints that AWS's models put on the members of requests, as values, and the fault that
tells all that a request breaks.

Rules of this file:

- A rule says what is allowed of a value that is there. Whether a member must be there is said
  beside its rule.
- Members are told in the order of the request's structure, and of one member: what it must look
  like, how short and how long it may be. AWS tells ten at the most.
- Names are told as AWS's framework writes them: the first letter small, list entries counted from 1
  (`records.1.member.data`). Texts and numbers are told with their values, collections and binary
  values without: AWS does not repeat them.
- Entries of a list of plain values have no place of their own: they are told at the list's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from eventcore.wire.fault import Fault

__all__ = [
    "Blob",
    "Choice",
    "Entries",
    "Member",
    "Members",
    "Number",
    "Pairs",
    "Rule",
    "Text",
    "broken_constraints",
    "broken_member",
    "member_name",
    "validation_errors",
]

TOLD_MAX: Final = 10
"""Broken constraints that AWS tells of one request."""


class Text(msgspec.Struct, frozen=True):
    """A text: its length in characters, and the pattern that all of it matches."""

    lowest: int = 0
    highest: int | None = None
    pattern: str | None = None


class Number(msgspec.Struct, frozen=True):
    """A whole number, both bounds allowed."""

    lowest: int | None = None
    highest: int | None = None


class Choice(msgspec.Struct, frozen=True):
    """One of these texts."""

    values: tuple[str, ...]


class Blob(msgspec.Struct, frozen=True):
    """Binary data of at most this many bytes."""

    highest: int


class Entries(msgspec.Struct, frozen=True):
    """A list: how many entries it has, and what each of them is."""

    of: Rule
    lowest: int = 0
    highest: int | None = None


class Pairs(msgspec.Struct, frozen=True):
    """A map of texts: how many pairs it has, and what their keys and values are."""

    key: Text
    value: Text
    lowest: int = 0
    highest: int | None = None


class Member(msgspec.Struct, frozen=True):
    """One member of a structure: its attribute here, its name as AWS tells it, its rule."""

    attribute: str
    name: str
    rule: Rule | None
    is_required: bool = False


class Members(msgspec.Struct, frozen=True):
    """A structure."""

    members: tuple[Member, ...]


Rule = Text | Number | Choice | Blob | Entries | Pairs | Members
"""What is allowed of a value."""


def member_name(wire_name: str) -> str:
    """A member's name as AWS's framework tells it: `StreamARN` is told as `streamARN`."""
    return wire_name[:1].lower() + wire_name[1:]


def validation_errors(broken: Sequence[str]) -> Fault:
    """ValidationException that tells these broken constraints, one at the least."""
    plural = "s" if len(broken) > 1 else ""
    text = "; ".join(broken)
    return Fault("ValidationException", f"{len(broken)} validation error{plural} detected: {text}")


def broken_constraints(rule: Members, request: object) -> list[str]:
    """What a request breaks, as AWS tells it; empty when nothing is wrong."""
    told: list[str] = []
    for line in _of_members(rule, request, ""):
        told.append(line)
        if len(told) == TOLD_MAX:
            break
    return told


def broken_member(place: str, value: Any, reason: str) -> str:
    """One broken constraint, told with the value where AWS shows it."""
    if value is None:
        shown = " null"
    elif isinstance(value, (str, int, float)):
        shown = f" '{value}'"
    else:
        shown = ""
    return f"Value{shown} at '{place}' failed to satisfy constraint: {reason}"


def _of_members(rule: Members, structure: object, path: str) -> Iterator[str]:
    for member in rule.members:
        value = getattr(structure, member.attribute)
        place = path + member.name
        if value is not None:
            if member.rule is not None:
                yield from _of_value(member.rule, value, place)
        elif member.is_required:
            yield broken_member(place, None, "Member must not be null")


def _of_value(rule: Rule, value: Any, place: str) -> Iterator[str]:
    if isinstance(rule, Members):
        yield from _of_members(rule, value, place + ".")
        return
    for reason in _reasons(rule, value):
        yield broken_member(place, value, reason)
    if isinstance(rule, Entries):
        yield from _of_entries(rule.of, value, place)
    elif isinstance(rule, Pairs):
        yield from _of_pairs(rule, value, place)


def _of_entries(rule: Rule, values: Sequence[Any], place: str) -> Iterator[str]:
    if isinstance(rule, Members):
        for number, value in enumerate(values, start=1):
            yield from _of_members(rule, value, f"{place}.{number}.member.")
    elif any(_is_broken(rule, value) for value in values):
        yield broken_member(place, values, f"Member must satisfy constraint: [{_told(rule)}]")


def _of_pairs(rule: Pairs, pairs: Mapping[str, str], place: str) -> Iterator[str]:
    if any(_is_broken(rule.key, key) for key in pairs):
        yield broken_member(place, pairs, f"Map keys must satisfy constraint: [{_told(rule.key)}]")
    if any(_is_broken(rule.value, value) for value in pairs.values()):
        reason = f"Map value must satisfy constraint: [{_told(rule.value)}]"
        yield broken_member(place, pairs, reason)


def _is_broken(rule: Rule, value: Any) -> bool:
    return next(_reasons(rule, value), None) is not None


def _reasons(rule: Rule, value: Any) -> Iterator[str]:
    """Why a value, taken for itself, is not allowed."""
    if isinstance(rule, Number):
        if rule.lowest is not None and value < rule.lowest:
            yield _at_least("value", rule.lowest)
        if rule.highest is not None and value > rule.highest:
            yield _at_most("value", rule.highest)
    elif isinstance(rule, Choice):
        if value not in rule.values:
            yield _one_of(rule)
    elif isinstance(rule, Blob):
        if len(value) > rule.highest:
            yield _at_most("length", rule.highest)
    elif not isinstance(rule, Members):
        if (
            isinstance(rule, Text)
            and rule.pattern is not None
            and not _matches(rule.pattern, value)
        ):
            yield _like(rule.pattern)
        if len(value) < rule.lowest:
            yield _at_least("length", rule.lowest)
        if rule.highest is not None and len(value) > rule.highest:
            yield _at_most("length", rule.highest)


def _told(rule: Rule) -> str:
    """All that a plain value must satisfy: AWS tells all of it, whatever of it is broken."""
    if isinstance(rule, Choice):
        return _one_of(rule)
    assert isinstance(rule, Text), "lists and maps of plain values are of texts"
    told = [] if rule.highest is None else [_at_most("length", rule.highest)]
    told.append(_at_least("length", rule.lowest))
    if rule.pattern is not None:
        told.append(_like(rule.pattern))
    return ", ".join(told)


def _matches(pattern: str, value: str) -> bool:
    # The re module keeps what it has compiled; there are few patterns.
    return re.fullmatch(pattern, value, re.ASCII) is not None


def _at_least(what: str, lowest: int) -> str:
    return f"Member must have {what} greater than or equal to {lowest}"


def _at_most(what: str, highest: int) -> str:
    return f"Member must have {what} less than or equal to {highest}"


def _one_of(rule: Choice) -> str:
    return f"Member must satisfy enum value set: [{', '.join(rule.values)}]"


def _like(pattern: str) -> str:
    return f"Member must satisfy regular expression pattern: {pattern}"
