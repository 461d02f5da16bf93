"""Why an event matches a pattern, or does not: branch by branch, condition by condition.

- The verdicts are those of `matches`, which is asked for each branch, and for each condition of a
  branch that does not hold. What is told beside them (values, hints) never decides anything.
- Values and names of the event are shown as JSON texts, cut, and a few at most. How many values a
  path has is counted up to a bound that all paths share. Apart from that bound the work is that of
  asking `matches` once per distinct condition.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, final

import msgspec

from eventcore.patterns.conditions import Condition
from eventcore.patterns.describe import (
    ABSENT_TEXT,
    describe_path,
    describe_tests,
    describe_value,
)
from eventcore.patterns.dotted import nest_dotted_keys, spellings_below
from eventcore.patterns.elements import ArrayConflict, find_conflict
from eventcore.patterns.hints import hint_absence, hint_refusal
from eventcore.patterns.matching import matches
from eventcore.patterns.pattern import Branch, Pattern

__all__ = ["BranchExplanation", "ConditionExplanation", "Explanation", "explain_match"]

VALUES_SHOWN: Final = 5
VALUE_CHARACTERS_MAX: Final = 100
TESTS_CHARACTERS_SHOWN: Final = 200
HINTS_MAX: Final = 3
STEPS_MAX: Final = 200_000
"""Values looked at, times the tests that they are shown to, in one explanation."""
STEPS_PER_PATH_MIN: Final = 100
"""What each path gets of them, even when they are used up."""
CONFLICTS_MAX: Final = 8
"""Branches of which it is found out why their conditions are not met together."""
BRANCHES_SHOWN: Final = 3


@final
class ConditionExplanation(msgspec.Struct, frozen=True):
    """One condition: a path, and what the pattern lists there.

    `tests` are the entries of the list as JSON texts. `is_met` tells whether the condition holds,
    in a branch that does not hold: whether it would if it were alone. `values` are JSON texts of
    leaves that the event has at the path, in their order, long ones cut, a few at most; of
    `values_count` in all, or at least so many if `is_count_cut`. `accepted` is the first that a
    test accepts. Where there is no leaf, `absence` says what there is. `hints` say what may have
    been meant.
    """

    path: str
    tests: tuple[str, ...]
    is_met: bool
    values: tuple[str, ...]
    values_count: int
    is_count_cut: bool
    accepted: str | None
    absence: str
    hints: tuple[str, ...]

    def text(self) -> str:
        """One line, and one below it for each hint."""
        tests = _cut(f"[{', '.join(self.tests)}]", TESTS_CHARACTERS_SHOWN)
        head = f"{describe_path(self.path)}: {tests}"
        lines = [f"{head} {self._verdict()}"]
        return "\n".join(lines + [f"  {hint}" for hint in self.hints])

    def _verdict(self) -> str:
        if self.is_met and self.accepted is not None:
            more = f", one of {self._count()} values" if self.values_count > 1 else ""
            return f"accepts {self.accepted}{more}"
        if self.is_met and self.is_count_cut:
            return f"accepts one of {self._count()} values"
        if self.is_met:
            where = " from an element" if self.values_count else ""
            return f"accepts that it is absent{where}"
        if not self.values_count:
            return f"needs a value; {self.absence}"
        shown = ", ".join(self.values)
        if self.values_count > len(self.values):
            shown = f"{shown}, ... ({self._count()} values)"
        if self.tests == (ABSENT_TEXT,):
            return f"needs it to be absent; there is {shown}"
        return f"does not accept {shown}"

    def _count(self) -> str:
        return f"{'at least ' if self.is_count_cut else ''}{self.values_count}"


@final
class BranchExplanation(msgspec.Struct, frozen=True):
    """One of the alternatives that the `$or`s of a pattern make; the only one without `$or`.

    `conflict` says why the branch does not hold although each of its conditions would alone. At
    most CONFLICTS_MAX branches of an explanation have one.
    """

    is_match: bool
    conditions: tuple[ConditionExplanation, ...]
    conflict: ArrayConflict | None = None

    @property
    def failed(self) -> tuple[ConditionExplanation, ...]:
        """The conditions that are not met."""
        return tuple(condition for condition in self.conditions if not condition.is_met)

    def text(self, *, verbose: bool = False) -> str:
        """What fails, a line each; with `verbose` also what is met. A branch that holds has no
        lines else.
        """
        told = self.conditions if verbose else self.failed
        lines = [condition.text() for condition in told]
        if self.conflict is not None:
            lines.append(_conflict_text(self.conflict))
        elif not self.is_match and not self.failed:
            lines.append("each condition is met alone, but not all of them together")
        return "\n".join(lines)


@final
class Explanation(msgspec.Struct, frozen=True):
    """Whether an event matches a pattern, and why. It matches if one of `branches` holds."""

    is_match: bool
    branches: tuple[BranchExplanation, ...]

    @property
    def first_failure(self) -> str:
        """One line on what keeps the event from matching in the alternative that is nearest to it,
        or "".
        """
        if self.is_match:
            return ""
        return self._nearest()[0][1].text().partition("\n")[0]

    def text(self, *, verbose: bool = False) -> str:
        """For people: the verdict, then what failed; with `verbose` everything.

        Of several alternatives, those in which the fewest conditions fail come first, and without
        `verbose` only the first three are shown.
        """
        if len(self.branches) == 1:
            verdict = "matches" if self.is_match else "does not match"
            body = self.branches[0].text(verbose=verbose)
            return f"{verdict}\n{_indented(body)}" if body else verdict
        count = len(self.branches)
        holding = sum(branch.is_match for branch in self.branches)
        verb = "holds" if holding == 1 else "hold"
        verdict = f"matches: {holding} of {count} alternatives of $or {verb}"
        if not self.is_match:
            verdict = f"does not match: none of the {count} alternatives of $or holds"
        if self.is_match and not verbose:
            return verdict
        lines = [verdict]
        nearest = self._nearest()
        for number, branch in nearest if verbose else nearest[:BRANCHES_SHOWN]:
            lines.append(f"  alternative {number}{' holds' if branch.is_match else ''}:")
            lines.append(_indented(branch.text(verbose=verbose), 4))
        if len(nearest) > BRANCHES_SHOWN and not verbose:
            lines.append(f"  ... and {len(nearest) - BRANCHES_SHOWN} more")
        return "\n".join(lines)

    def _nearest(self) -> list[tuple[int, BranchExplanation]]:
        """The branches with their numbers, from 1, those that lack least first."""
        numbered = list(enumerate(self.branches, 1))
        numbered.sort(key=lambda entry: (not entry[1].is_match, len(entry[1].failed)))
        return numbered


def explain_match(pattern: Pattern, event: dict[str, object]) -> Explanation:
    """Explains what `matches(pattern, event)` answers; `event` is the whole envelope, as from
    `decode_event`.
    """
    explainer = _Explainer(pattern, event)
    branches = tuple(explainer.explain_branch(branch) for branch in pattern.branches)
    return Explanation(any(branch.is_match for branch in branches), branches)


@final
class _Explainer:
    """One explanation in the making: what was asked already, and what may still be looked at."""

    def __init__(self, pattern: Pattern, event: dict[str, object]) -> None:
        self._pattern = pattern
        self._event = event
        self._steps_left = STEPS_MAX
        self._conflicts_left = CONFLICTS_MAX
        # $or copies conditions into its branches: each is explained once. By identity, since to
        # `==` the literal true is the number 1.
        self._known: dict[tuple[int, bool], ConditionExplanation] = {}

    def explain_branch(self, branch: Branch) -> BranchExplanation:
        is_match = self._holds(branch)
        conditions = tuple(self._explain(c, is_known_met=is_match) for c in branch)
        conflict = None
        if not is_match and self._conflicts_left and _may_conflict(branch, conditions):
            self._conflicts_left -= 1
            conflict = find_conflict(self._pattern, branch, self._event)
        has_array = conflict is not None and conflict.paths
        return BranchExplanation(is_match, conditions, conflict if has_array else None)

    def _holds(self, branch: Branch) -> bool:
        return matches(msgspec.structs.replace(self._pattern, branches=(branch,)), self._event)

    def _explain(self, condition: Condition, *, is_known_met: bool) -> ConditionExplanation:
        key = (id(condition), is_known_met)
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = self._describe(
                condition, is_met=is_known_met or self._holds((condition,))
            )
        return found

    def _describe(self, condition: Condition, *, is_met: bool) -> ConditionExplanation:
        values: list[str] = []
        hints: list[str] = []
        accepted: str | None = None
        count = 0
        cost = 1 + len(condition.tests)
        steps_left = max(self._steps_left, STEPS_PER_PATH_MIN)
        for is_leaf, value in _nodes(condition.steps, self._event):
            steps_left -= cost if is_leaf else 1
            if steps_left < 0:
                break
            if not is_leaf:
                continue
            count += 1
            if len(values) < VALUES_SHOWN:
                values.append(_shown(value))
            if accepted is None and condition.accepts(value):
                accepted = _shown(value)
            if not is_met and len(hints) < HINTS_MAX:
                hint = hint_refusal(condition.tests, value) if count <= VALUES_SHOWN else ""
                hints += [hint] if hint and hint not in hints else []
        self._steps_left = max(steps_left, 0)
        absence = ""
        if not count:
            absence, hint = hint_absence(condition.steps, self._event)
            hints = [hint] if hint and not is_met else []
        return ConditionExplanation(
            condition.path,
            describe_tests(condition),
            is_met,
            tuple(values),
            count,
            steps_left < 0,
            accepted,
            absence,
            tuple(hints),
        )


def _may_conflict(branch: Branch, conditions: tuple[ConditionExplanation, ...]) -> bool:
    """Whether an array can be the reason: nothing fails but what asks for absence, which is another
    question inside an element than it is alone.
    """
    return all(
        explained.is_met or condition.may_be_absent
        for condition, explained in zip(branch, conditions, strict=True)
    ) and any(explained.is_met for explained in conditions)


def _nodes(steps: tuple[str, ...], event: dict[str, object]) -> Iterator[tuple[bool, object]]:
    """What is passed on the way down a path, in the order of the event: whether it is a leaf of the
    path, and the value.
    """
    waiting: list[tuple[int, object]] = [(0, event)]
    while waiting:
        depth, value = waiting.pop()
        if isinstance(value, list):
            waiting.extend((depth, item) for item in reversed(value))
        elif isinstance(value, dict):
            if depth < len(steps):
                fields = nest_dotted_keys(value, spellings_below(steps, depth))
                if steps[depth] in fields:
                    waiting.append((depth + 1, fields[steps[depth]]))
        elif depth == len(steps):
            yield True, value
            continue
        yield False, value


def _shown(value: object) -> str:
    if isinstance(value, str) and len(value) > VALUE_CHARACTERS_MAX:
        return describe_value(value[:VALUE_CHARACTERS_MAX])[:-1] + "..."
    return _cut(describe_value(value), VALUE_CHARACTERS_MAX)


def _cut(text: str, characters_max: int) -> str:
    return text if len(text) <= characters_max else text[:characters_max] + "..."


def _conflict_text(conflict: ArrayConflict) -> str:
    place = describe_path(conflict.place)
    paths = ", ".join(map(describe_path, conflict.paths))
    first = describe_path(conflict.asked_first)
    if first and not conflict.elements:
        return (
            f"{first} must be absent from all of the array {place}: paths are taken in their order,"
            f" and before {first} no element of it is chosen"
        )
    lines = [f"no single element of the array {place} satisfies all of {paths}"]
    if first:
        lines.append(
            f"  before {first} no element of it is chosen, since paths are taken in their order: "
            "its absence counts only if nothing in the array has it"
        )
    for element in conflict.elements:
        failed = ", ".join(map(describe_path, element.failed))
        lines.append(f"  {place}[{element.index}] fails {failed}")
    if conflict.elements_count > len(conflict.elements):
        lines.append(f"  ... and {conflict.elements_count - len(conflict.elements)} more elements")
    return "\n".join(lines)


def _indented(text: str, columns: int = 2) -> str:
    return "\n".join(" " * columns + line for line in text.split("\n"))
