"""The conditions of all rules on one path, asked at once which of them a value fails.

`index[value]` is the mask of the slots whose condition does not accept `value`: a leaf, or UNSET
for an absent field; a list or an object raises TypeError. The index is a dict of the answers that
it remembers, because most values come again (a source, a state, a quantity), and computes what it
does not have. Rules:

- It remembers VALUES_MAX values and is then emptied. If it computes more often than it remembers
  (ids, times), it remembers nothing any more.
- All indexes of one Matcher together remember about BYTES_MAX; then all are emptied.
- A slot that is added or discarded on this path empties it; other paths do not matter to it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, final

import msgspec

from eventcore.patterns.conditions import AnythingBut, AnyValue, Condition
from eventcore.patterns.masks import without
from eventcore.patterns.numbers import INTEGER_MAX
from eventcore.patterns.tables import ValueTables

__all__ = [
    "BYTES_MAX",
    "FAVOURS_MAX",
    "VALUES_MAX",
    "Experience",
    "MemoBudget",
    "PathIndex",
]

VALUES_MAX: Final = 4_096
"""Values per path whose answer is kept."""
CHARACTERS_MAX: Final = 256
"""Longer strings are not kept."""
BYTES_MAX: Final = 8 * 1024 * 1024
"""Size of all remembered answers of one Matcher."""
FEW: Final = 2
"""Slots that are asked one by one."""
FAVOURS_MAX: Final = 1_000
"""Lists of few rules that are indexes because they are asked often."""
_ENTRY_BYTES: Final = 200
_ZERO_AND_ONE: Final = frozenset((0, 1))
_MISSES_TO_JUDGE_BY: Final = 64


@final
class MemoBudget:
    """What all indexes of one Matcher may remember together, and how many small ones there are."""

    __slots__ = ("_indexes", "_left", "favours_left")

    def __init__(self) -> None:
        self.favours_left = FAVOURS_MAX
        """So many more lists of few rules may become indexes (`partition`)."""
        self._left = BYTES_MAX
        self._indexes: dict[int, PathIndex] = {}

    def join(self, index: PathIndex) -> None:
        """Makes the index one of those that are emptied."""
        self._indexes[id(index)] = index

    def leave(self, index: PathIndex) -> None:
        """The index is not used any more."""
        self._indexes.pop(id(index), None)

    def spend(self, size: int) -> bool:
        """Takes `size` bytes. Where there are none left, empties all indexes and returns False."""
        self._left -= size
        if self._left >= 0:
            return True
        for index in self._indexes.values():
            index.forget()
        self._left = BYTES_MAX
        return False


@final
class Experience:
    """What the indexes of one set of rules know about its events.

    `on_given_up` is called when one of them stops to remember.
    """

    __slots__ = ("budget", "events", "on_given_up")

    def __init__(self, budget: MemoBudget, on_given_up: Callable[[], None]) -> None:
        self.budget = budget
        self.events = 0
        self.on_given_up = on_given_up


@final
class PathIndex(dict[object, int]):
    """The conditions on one path. See the module's text."""

    __slots__ = (
        "_accepting", "_anything", "_but", "_conditions", "_events_before", "_experience",
        "_misses", "_refusing", "_refusing_level", "_text_look_ups", "_texts", "absent",
        "is_remembering", "mentions", "missing",
    )  # fmt: skip

    def __init__(self, experience: Experience) -> None:
        super().__init__()
        self.mentions = 0
        """Slots with a condition here."""
        self.absent = 0
        """Those of them that absence satisfies."""
        self.missing = 0
        """Those of them that absence fails."""
        self.is_remembering = True
        """Whether most values come again."""
        self._anything = 0
        self._but = 0
        self._conditions: dict[int, Condition] = {}
        self._accepting = ValueTables(experience.budget.spend)
        self._texts = self._accepting.texts
        self._text_look_ups = self._accepting.text_look_ups
        # The first anything-but of each condition, the second of those that have two, ...
        self._refusing: list[ValueTables] = []
        self._refusing_level: list[int] = []
        self._experience = experience
        self._events_before = experience.events
        self._misses = 0
        experience.budget.join(self)

    def add_condition(self, condition: Condition, slot: int) -> None:
        """Enters the condition of a slot."""
        bit = 1 << slot
        self.mentions |= bit
        if condition.may_be_absent:
            self.absent |= bit
        else:
            self.missing |= bit
        if any(isinstance(test, AnyValue) for test in condition.tests):
            self._anything |= bit
        for level, but in enumerate(_anything_buts(condition)):
            if level == len(self._refusing):
                self._refusing.append(ValueTables(self._experience.budget.spend))
                self._refusing_level.append(0)
            self._refusing[level].add(but.refused, slot)
            self._refusing_level[level] |= bit
        self._but = self._refusing_level[0] if self._refusing_level else 0
        self._accepting.add(condition.tests, slot)
        self._conditions[slot] = condition
        self.forget()

    def discard_condition(self, condition: Condition, slot: int) -> None:
        """Takes out what `add_condition` entered."""
        bit = 1 << slot
        for level, but in enumerate(_anything_buts(condition)):
            self._refusing[level].discard(but.refused, slot)
            self._refusing_level[level] ^= bit
        while self._refusing_level and not self._refusing_level[-1]:
            self._refusing_level.pop()
            self._refusing.pop()
        self.mentions = without(self.mentions, bit)
        self.absent = without(self.absent, bit)
        self.missing = without(self.missing, bit)
        self._anything = without(self._anything, bit)
        self._but = self._refusing_level[0] if self._refusing_level else 0
        self._accepting.discard(condition.tests, slot)
        del self._conditions[slot]
        self.forget()

    def leave(self) -> None:
        """The path has no conditions any more."""
        self._experience.budget.leave(self)

    def forget(self) -> None:
        """Empties what is remembered."""
        self.clear()
        self._accepting.forget()

    def __missing__(self, value: object) -> int:
        failing = self.failing(value)
        if not self.is_remembering:
            return failing
        if value.__class__ is str:
            if len(value) <= CHARACTERS_MAX:
                self._remember(value, failing)
        elif _is_own_key(value):
            self._remember(value, failing)
        return failing

    def refuted(self, slots: int, value: object) -> int:
        """Those of `slots`, which are some of `mentions`, that fail. A few are asked one by one:
        that is cheaper than tables that know of all.
        """
        if value.__class__ is not str:
            if value is msgspec.UNSET:
                return slots & self.missing
            _check_leaf(value)
        if slots.bit_count() > FEW:
            return slots & self.failing(value)
        refuted = 0
        conditions = self._conditions
        while slots:
            slot = slots.bit_length() - 1
            bit = 1 << slot
            slots ^= bit
            for test in conditions[slot].tests:
                if test.accepts(value):
                    break
            else:
                refuted |= bit
        return refuted

    def failing(self, value: object) -> int:
        """As `self[value]`, but nothing is remembered. For values that do not come again."""
        if value.__class__ is str:
            # As ValueTables.of_text, without the call: most events come through here.
            accepting = self._texts.get(value, 0)
            if accepting < 0:
                accepting = 1 << ~accepting
            for look_up in self._text_look_ups:
                accepting |= look_up(value)
            if self._anything:
                accepting |= self._anything
            if self._but:
                accepting |= without(self._but, self._refused(ValueTables.of_text, value))
        elif value is msgspec.UNSET:
            return self.missing
        else:
            _check_leaf(value)
            accepting = self._anything | self._accepting.of_literal(value)
            if self._but:
                accepting |= without(self._but, self._refused(ValueTables.of_literal, value))
        # What no slot accepts is the usual value: one mask, shared by all answers.
        return self.mentions ^ accepting if accepting else self.mentions

    def _refused(self, look_up: Callable[[ValueTables, Any], int], value: object) -> int:
        """The slots of which each anything-but refuses the value: all of a list's must."""
        refused = look_up(self._refusing[0], value)
        for level in range(1, len(self._refusing)):
            others = self._but ^ self._refusing_level[level]
            refused &= others | look_up(self._refusing[level], value)
        return refused

    def _remember(self, value: object, failing: int) -> None:
        self._misses += 1
        if self._misses % _MISSES_TO_JUDGE_BY == 0:
            events = self._experience.events - self._events_before
            if events < 2 * self._misses:
                self.is_remembering = False
                self.forget()
                self._experience.on_given_up()
                return
        size = _ENTRY_BYTES
        if failing is not self.mentions:
            size += failing.bit_length() >> 3
        if len(self) >= VALUES_MAX:
            self.forget()
        if self._experience.budget.spend(size):
            self[value] = failing


def _check_leaf(value: object) -> None:
    if value.__class__ is list or value.__class__ is dict:
        raise TypeError("the value of a path is a leaf")


def _is_own_key(value: object) -> bool:
    """Whether what a dict takes for equal is equal to a pattern, too: true is not 1, and 2**60 is
    not 1.152921504606847e18 (`eventcore.patterns.numbers`).
    """
    if not isinstance(value, (int, float)):
        return True
    return value not in _ZERO_AND_ONE and -INTEGER_MAX <= value <= INTEGER_MAX


def _anything_buts(condition: Condition) -> list[AnythingBut]:
    return [test for test in condition.tests if isinstance(test, AnythingBut)]
