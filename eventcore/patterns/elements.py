"""Why conditions that are met one by one are not met together: no element of an array has them all.

The way down to that array is taken by asking `matches` about parts of the pattern and parts of the
event, so what is told here is what the matcher does:

- In an object, conditions with different next names never constrain each other.
- In an array, one element must satisfy all conditions that go on inside it. The first of them, in
  the order of paths, that has a leaf anywhere in the array is not satisfied by an element without
  it, even if it accepts absence; a condition that accepts absence and has no leaf at all is met.
"""

from __future__ import annotations

from typing import Final, final

import msgspec

from eventcore.patterns.conditions import Condition
from eventcore.patterns.dotted import nest_dotted_keys, spellings_below
from eventcore.patterns.matching import matches
from eventcore.patterns.pattern import Pattern

__all__ = ["ArrayConflict", "ElementExplanation", "find_conflict"]

ELEMENTS_TRIED_MAX: Final = 500
"""Elements of one array that are tried; those behind are only counted."""
ELEMENTS_SHOWN: Final = 5

_Goals = tuple[Condition, ...]


@final
class ElementExplanation(msgspec.Struct, frozen=True):
    """One element of an array, by its index, and the paths of the conditions that fail in it."""

    index: int
    failed: tuple[str, ...]


@final
class ArrayConflict(msgspec.Struct, frozen=True):
    """An array of which no element satisfies conditions together that are met one by one.

    `place` is its path with the indexes of the arrays around it (`detail.orders[2].items`), `paths`
    are those of the conditions. `elements` are those in which the fewest conditions fail, a few at
    most, of `elements_count` objects and arrays in it.

    `asked_first` is the first of `paths` if it accepts absence, else "": it is asked before an
    element is chosen, so its absence counts only if the whole array has no value there. If it
    accepts nothing but absence no element can serve, and `elements` is empty.
    """

    place: str
    paths: tuple[str, ...]
    elements: tuple[ElementExplanation, ...]
    elements_count: int
    asked_first: str = ""


def find_conflict(pattern: Pattern, branch: _Goals, event: dict[str, object]) -> ArrayConflict:
    """The array that makes `branch`, which does not hold in the event, fail. If there is none, one
    condition fails by itself: `paths` is empty then.
    """
    goals, depth, place = branch, 0, ""
    value: object = event
    while True:
        if isinstance(value, list):
            goals = _bound_to_elements(pattern, goals, depth, value)
            tried = _try_elements(pattern, goals, depth, value)
            index = next((e.index for e in tried if not e.failed), None)
            if index is None or len(goals) < 2:
                return _conflict(place, goals, tried, branch, value)
            value, place = value[index], f"{place}[{index}]"
        elif isinstance(value, dict):
            step, goals, value = _failing_group(pattern, goals, depth, value)
            place = f"{place}.{step}" if place else step
            depth += 1
        if len(goals) < 2 or not isinstance(value, dict | list):
            return ArrayConflict(place, (), (), 0)


def _holds(pattern: Pattern, goals: _Goals, depth: int, value: object) -> bool:
    """Whether the goals hold together if `value`, `depth` steps down, is all that the event has."""
    for step in reversed(goals[0].steps[:depth]):
        value = {step: value}
    assert isinstance(value, dict), "the root of an event is an object"
    return matches(msgspec.structs.replace(pattern, branches=(goals,)), value)


def _failing_group(
    pattern: Pattern, goals: _Goals, depth: int, fields: dict[str, object]
) -> tuple[str, _Goals, object]:
    """The next step below which the goals do not hold, those goals, and what is there."""
    groups: dict[str, list[Condition]] = {}
    for goal in goals:
        if len(goal.steps) > depth:
            groups.setdefault(goal.steps[depth], []).append(goal)
    spellings = [spellings_below(goal.steps, depth) for goal in goals]
    fields = nest_dotted_keys(fields, frozenset().union(*spellings))
    for step, group in groups.items():
        if len(group) < 2 or step not in fields:
            continue
        if not _holds(pattern, tuple(group), depth + 1, fields[step]):
            return step, tuple(group), fields[step]
    return "", (), None


def _bound_to_elements(pattern: Pattern, goals: _Goals, depth: int, items: list[object]) -> _Goals:
    """The goals that an element must satisfy, the first of them in the form in which it must."""
    bound: list[Condition] = []
    for goal in goals:
        absent = msgspec.structs.replace(goal, tests=(), may_be_absent=True)
        if _holds(pattern, (absent,), depth, items):
            continue
        needed = msgspec.structs.replace(goal, may_be_absent=False)
        if len(goal.steps) == depth and not bound:
            scalars = [item for item in items if not isinstance(item, dict | list)]
            if _holds(pattern, (needed,), depth, scalars):
                continue
        bound.append(goal if bound else needed)
    return tuple(bound)


def _try_elements(
    pattern: Pattern, goals: _Goals, depth: int, items: list[object]
) -> list[ElementExplanation]:
    tried: list[ElementExplanation] = []
    for index, item in enumerate(items):
        if len(tried) == ELEMENTS_TRIED_MAX:
            break
        if isinstance(item, dict | list):
            failed = tuple(goal.path for goal in goals if not _holds(pattern, (goal,), depth, item))
            tried.append(ElementExplanation(index, failed))
    return tried


def _conflict(
    place: str,
    goals: _Goals,
    tried: list[ElementExplanation],
    branch: _Goals,
    items: list[object],
) -> ArrayConflict:
    count = sum(isinstance(item, dict | list) for item in items)
    if len(goals) < 2:
        return ArrayConflict(place, (), (), count)
    first = goals[0]
    accepts_absence = any(goal.path == first.path and goal.may_be_absent for goal in branch)
    nearest = sorted(tried, key=lambda element: (len(element.failed), element.index))
    return ArrayConflict(
        place,
        tuple(goal.path for goal in goals),
        tuple(nearest[:ELEMENTS_SHOWN]) if first.tests else (),
        count,
        first.path if accepts_absence else "",
    )
