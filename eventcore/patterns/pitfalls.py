"""What is wrong with a pattern: what no event can meet, what is dropped when it is compiled, and
what people write when they mean something else.

A fatal pitfall is certain: no event of a bus meets the branch. That others are not meant so is a
guess.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, final

import msgspec

from eventcore.patterns.conditions import (
    AnythingBut,
    AnyValue,
    Condition,
    Exact,
    Prefix,
    Suffix,
)
from eventcore.patterns.describe import describe_condition, describe_path, describe_test
from eventcore.patterns.dialects import BUS
from eventcore.patterns.envelope import DETAIL, MEMBERS, why_never_met
from eventcore.patterns.hints import similar_names, with_stars_as_wildcards
from eventcore.patterns.implication import are_disjoint
from eventcore.patterns.parser import ObjectNode, OrNode, ValuesNode, parse
from eventcore.patterns.pattern import Branch

__all__ = ["Pitfall", "dropped_lists", "pitfalls_of"]

_NAMES: Final = sorted(MEMBERS)
_EXISTS: Final = AnyValue()
_LIST_CHARACTERS_SHOWN: Final = 100


@final
class Pitfall(msgspec.Struct, frozen=True):
    """One of them. `is_fatal`: no event meets the branch."""

    code: str
    path: str
    message: str
    suggestion: str
    is_fatal: bool = False


def pitfalls_of(branch: Branch) -> Iterator[Pitfall]:
    """Those of a branch, in the order of its paths."""
    below = _paths_below(branch)
    for condition in branch:
        reason = why_never_met(condition)
        if reason:
            suggestion = _suggestion(condition)
            yield Pitfall("never-met", condition.path, reason, suggestion, is_fatal=True)
        else:
            yield from _always_met(condition)
            yield from _stars(condition)
        if condition.path in below:
            yield from _leaf_and_object(condition, below[condition.path])


def _suggestion(condition: Condition) -> str:
    name = condition.steps[0]
    if condition.path == DETAIL:
        return "Ask for fields of detail."
    if name in MEMBERS:
        return ""
    similar = similar_names(name, _NAMES)
    if similar:
        return f'Did you mean "{similar[0]}"?'
    return f'Is it a field of detail? {{"detail":{{{describe_test(Exact(name))}:..}}}}'


def _always_met(condition: Condition) -> Iterator[Pitfall]:
    """Lists that accept everything, absence by a name that is nowhere, several anything-buts."""
    name = condition.steps[0]
    tests = condition.tests
    if condition.may_be_absent and (name not in MEMBERS or condition.path == DETAIL):
        what = "is always an object" if condition.path == DETAIL else "is never in an event"
        message = f'"{describe_path(name)}" {what}, so this is always met.'
        yield Pitfall("always-met", condition.path, message, _suggestion(condition))
        return
    if condition.may_be_absent and any(isinstance(test, AnyValue) for test in tests):
        message = "The list accepts every value, and absence: entries of a list are alternatives."
        yield Pitfall("always-met", condition.path, message, "Take the condition out.")
    if any(isinstance(test, AnyValue) for test in tests) and len(tests) > 1:
        message = 'Beside {"exists":true} the other values of the list mean nothing.'
        yield Pitfall("list-accepts-all", condition.path, message, "Take one or the other out.")
    if _accept_all_together(condition):
        yield Pitfall(
            "list-accepts-all",
            condition.path,
            "The list accepts every value, since its entries are alternatives, and what one "
            "anything-but refuses another accepts.",
            'Write one with a list: {"anything-but":[..]}.',
        )


def _accept_all_together(condition: Condition) -> bool:
    buts = [test for test in condition.tests if isinstance(test, AnythingBut)]
    return any(
        all(are_disjoint(one, other) for one in first.refused for other in second.refused)
        for position, first in enumerate(buts)
        for second in buts[position + 1 :]
    )


def _stars(condition: Condition) -> Iterator[Pitfall]:
    """A star where it is a plain character."""
    for test in condition.tests:
        match test:
            case Exact(str() as text):
                is_likely = "*" in text
            case Prefix(text):
                is_likely = text.endswith("*")
            case Suffix(text):
                is_likely = text.startswith("*")
            case _:
                continue
        instead = with_stars_as_wildcards(test)
        if instead is None or not is_likely or "**" in text:
            continue  # two stars side by side are hardly meant as a wildcard
        message = f'"*" is a plain character in {describe_test(test)}.'
        suggestion = f"If it means any characters: {describe_test(instead)}"
        yield Pitfall("literal-star", condition.path, message, suggestion)


def _paths_below(branch: Branch) -> dict[str, str]:
    """Paths above a condition that needs a value, and its own."""
    return {
        ".".join(condition.steps[:depth]): condition.path
        for condition in branch
        if not condition.may_be_absent
        for depth in range(1, len(condition.steps))
    }


def _leaf_and_object(condition: Condition, inner: str) -> Iterator[Pitfall]:
    """A value and a field below it: together only in an array that has both."""
    if condition.may_be_absent or condition.steps[0] != DETAIL or condition.path == DETAIL:
        return
    shown = describe_path(inner)
    if condition.tests == (_EXISTS,):
        suggestion = "Take it out if it means the object: that is there if the field is."
    else:
        suggestion = "Use $or if either will do."
    message = (
        f"A value is asked for here and one at {shown} below it. A value has no fields, and an "
        "object is no value: only an array of both meets it, or a dotted key."
    )
    yield Pitfall("value-and-object", condition.path, message, suggestion)


# -- lists that the compiler drops -----------------------------------------------------------------


def dropped_lists(text: str) -> Iterator[Pitfall]:
    """The lists of a valid pattern that count for nothing, since a later one has the same path. A
    path is told once.
    """
    told: set[str] = set()
    for path, dropped in _overwritten(parse(text, BUS), "", {}):
        if path in told:
            continue
        told.add(path)
        condition = Condition(path, tuple(path.split(".")), dropped.tests, dropped.may_be_absent)
        shown = describe_condition(condition)
        if len(shown) > _LIST_CHARACTERS_SHOWN:
            shown = shown[:_LIST_CHARACTERS_SHOWN] + "..."
        message = f"The path is given twice, and only the later list counts: {shown} is dropped."
        suggestion = "Put what is meant into one list."
        yield Pitfall("dropped-list", path, message, suggestion)


def _overwritten(
    node: ObjectNode, prefix: str, lists: dict[str, ValuesNode]
) -> Iterator[tuple[str, ValuesNode]]:
    """Adds the lists below `node` to `lists`, by path; yields those that others take the place of.

    An alternative of `$or` overwrites what stands before the `$or`; what stands behind it
    overwrites all alternatives; alternatives do not overwrite each other.
    """
    for member in node.members:
        if isinstance(member, OrNode):
            yield from _overwritten_in_or(member, prefix, lists)
        elif isinstance(member.value, ObjectNode):
            yield from _overwritten(member.value, f"{prefix}{member.name}.", lists)
        else:
            path = prefix + member.name
            if path in lists:
                yield path, lists[path]
            lists[path] = member.value


def _overwritten_in_or(
    node: OrNode, prefix: str, lists: dict[str, ValuesNode]
) -> Iterator[tuple[str, ValuesNode]]:
    alternatives = [dict(lists) for _ in node.alternatives]
    for alternative, known in zip(node.alternatives, alternatives, strict=True):
        yield from _overwritten(alternative, prefix, known)
    for known in alternatives:
        lists.update(known)
