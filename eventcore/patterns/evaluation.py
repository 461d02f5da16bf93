"""Whether a branch of a pattern holds for an event, decided exactly and for one branch at a time.

This is the definition; `matching` uses it for patterns of few branches, `partition` for lists of
few rules. The index (`rule_index`) and the exact walk (`exact_walk`) must give the same answers.

An event's *leaves* are its strings, numbers, true, false and null; arrays are looked through, `[]`
and `{}` are nothing. Rules:

- Leaves that lie in different objects of one array do not satisfy two conditions together: the
  conditions of a branch that are satisfied through an array must choose the same element of it. An
  array's own scalars have no element.
- Conditions are taken in the order of their paths. One that may be absent is satisfied by absence
  if no leaf of its path is left that agrees with the elements chosen so far. (So the result can
  depend on names, as it does in AWS.)

Two arrays that do not lie in each other never interfere, so the choice is made array by array while
descending: the cost is linear in the part of the event that the paths name, times the depth of
arrays. There is no backtracking over combinations.
"""

from __future__ import annotations

from typing import Final, TypeAlias

from eventcore.patterns.conditions import Condition
from eventcore.patterns.dotted import nest_dotted_keys, spellings_below
from eventcore.patterns.pattern import Branch

__all__ = ["ARRAYS_MAX", "flattened", "holds"]

ARRAYS_MAX: Final = 8
"""Arrays around a value beyond which arrays in arrays are flattened, whatever their elements."""

_Goal: TypeAlias = tuple[Condition, bool]
"""A condition, and whether absence would still satisfy it."""

_MISSING: Final[dict[str, object]] = {}


def holds(branch: Branch, event: dict[str, object]) -> bool:
    """Whether all conditions of the branch hold together."""
    goals = [(condition, condition.may_be_absent) for condition in branch]
    return _holds_in_object(goals, 0, event, 0)


def _holds_at(goals: list[_Goal], depth: int, value: object, arrays: int) -> bool:
    """Whether all goals hold in `value`, which lies `depth` steps down their paths."""
    if isinstance(value, dict):
        return _holds_in_object(goals, depth, value, arrays)
    if isinstance(value, list):
        return _holds_in_array(goals, depth, value, arrays)
    for condition, may_be_absent in goals:
        if len(condition.steps) == depth:
            if not condition.accepts(value):
                return False
        elif not may_be_absent:
            return False
    return True


def _holds_in_object(
    goals: list[_Goal], depth: int, fields: dict[str, object], arrays: int
) -> bool:
    goals_of_step: dict[str, list[_Goal]] = {}
    for condition, may_be_absent in goals:
        if len(condition.steps) > depth:
            goal = (condition, may_be_absent)
            goals_of_step.setdefault(condition.steps[depth], []).append(goal)
        elif not may_be_absent:
            return False
    spellings = [spellings_below(condition.steps, depth) for condition, _ in goals]
    if any(spellings):
        fields = nest_dotted_keys(fields, frozenset().union(*spellings))
    for step, below in goals_of_step.items():
        if not _holds_at(below, depth + 1, fields.get(step, _MISSING), arrays):
            return False
    return True


def _holds_in_array(goals: list[_Goal], depth: int, items: list[object], arrays: int) -> bool:
    if arrays >= ARRAYS_MAX:
        items = flattened(items)
    present: list[_Goal] = []
    for goal in goals:
        if _has_leaf(goal[0].steps, depth, items):
            present.append(goal)
        elif not goal[1]:
            return False
    if not present:
        return True
    # No element is chosen yet, so the first goal has a leaf that agrees: absence cannot satisfy it.
    first = present[0][0]
    if len(first.steps) == depth and _accepts_scalar(first, items):
        rest = present[1:]
        if not rest or _holds_in_array(rest, depth, items, arrays):
            return True
    present[0] = (first, False)
    for item in items:
        if isinstance(item, (dict, list)) and _holds_at(present, depth, item, arrays + 1):
            return True
    return False


def _accepts_scalar(condition: Condition, items: list[object]) -> bool:
    return any(not isinstance(item, (dict, list)) and condition.accepts(item) for item in items)


def flattened(items: list[object]) -> list[object]:
    """The items with those of arrays in their place, at any depth; the order is lost."""
    flat: list[object] = []
    waiting = [items]
    while waiting:
        for item in waiting.pop():
            if isinstance(item, list):
                waiting.append(item)
            else:
                flat.append(item)
    return flat


def _has_leaf(steps: tuple[str, ...], depth: int, items: list[object]) -> bool:
    """Whether the path, whose first `depth` steps lead to `items`, has any leaf there."""
    waiting: list[tuple[int, object]] = [(depth, items)]
    while waiting:
        at, value = waiting.pop()
        if isinstance(value, list):
            waiting.extend((at, item) for item in value)
        elif isinstance(value, dict):
            if at < len(steps):
                fields = nest_dotted_keys(value, spellings_below(steps, at))
                waiting.append((at + 1, fields.get(steps[at], _MISSING)))
        elif at == len(steps):
            return True
    return False
