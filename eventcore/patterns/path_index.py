"""The conditions of all rules on one path, asked at once which of them a value fails.

`index[value]` is the mask of the slots whose condition does not accept `value`: a leaf, or UNSET
for an absent field; a list or an object raises TypeError. The index is a dict of the answers that
it remembers, because most values come again (a source, a state, a quantity), and computes what it
does not have. Rules:

- It remembers VALUES_MAX values and is then emptied. If by then it had been filled more often than
  it had helped (ids, times), it remembers nothing any more.
- All indexes of one Matcher together remember about BYTES_MAX; then all are emptied.
- A slot that is added or discarded on this path empties it; other paths do not matter to it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, final

import msgspec

from eventcore.patterns.conditions import AnythingBut, AnyValue, Condition
from eventcore.patterns.masks import without
from eventcore.patterns.numbers import INTEGER_MAX
from eventcore.patterns.tables import ValueTables

__all__ = ["BYTES_MAX", "VALUES_MAX", "MemoBudget", "PathIndex", "is_decided_by_index"]

VALUES_MAX: Final = 4_096
"""Values per path whose answer is kept."""
CHARACTERS_MAX: Final = 256
"""Longer strings are not kept."""
BYTES_MAX: Final = 8 * 1024 * 1024
"""Size of all remembered answers of one Matcher."""
_ENTRY_BYTES: Final = 200
_VALUES_TO_JUDGE_BY: Final = 256
"""With fewer values it goes on to remember."""
_ZERO_AND_ONE: Final = frozenset((0, 1))


def is_decided_by_index(condition: Condition) -> bool:
    """Whether PathIndex is exact: two anything-buts in one list would need a table each."""
    return sum(isinstance(test, AnythingBut) for test in condition.tests) < 2


@final
class MemoBudget:
    """What the indexes of one Matcher share: a size, and the number of events so far.

    `on_given_up` is called when an index stops to remember.
    """

    __slots__ = ("_indexes", "_left", "events", "on_given_up")

    def __init__(self, on_given_up: Callable[[], None]) -> None:
        self.events = 0
        self.on_given_up = on_given_up
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
            index.start_anew()
        self._left = BYTES_MAX
        return False


@final
class PathIndex(dict[object, int]):
    """The conditions on one path. See the module's text."""

    __slots__ = (
        "_accepting", "_anything", "_budget", "_but", "_events_before", "_of_zero_and_one",
        "_refusing", "absent", "is_remembering", "mentions", "missing",
    )  # fmt: skip

    def __init__(self, budget: MemoBudget) -> None:
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
        self._accepting = ValueTables(budget.spend)
        self._refusing = ValueTables(budget.spend)
        self._budget = budget
        self._events_before = budget.events
        # Not remembered as values: to a dict, True is 1 and False is 0.
        self._of_zero_and_one: dict[tuple[bool, int] | None, int] = {}
        budget.join(self)

    def add_condition(self, condition: Condition, slot: int) -> None:
        """Enters the condition of a slot."""
        bit = 1 << slot
        self.mentions |= bit
        if condition.may_be_absent:
            self.absent |= bit
        else:
            self.missing |= bit
        buts = [test for test in condition.tests if isinstance(test, AnythingBut)]
        if len(buts) > 1 or any(isinstance(test, AnyValue) for test in condition.tests):
            self._anything |= bit
        elif buts:
            self._but |= bit
            self._refusing.add(buts[0].refused, slot)
        self._accepting.add(condition.tests, slot)
        self._forget()

    def discard_condition(self, condition: Condition, slot: int) -> None:
        """Takes out what `add_condition` entered."""
        bit = 1 << slot
        if self._but & bit:
            for test in condition.tests:
                if isinstance(test, AnythingBut):
                    self._refusing.discard(test.refused, slot)
        self.mentions = without(self.mentions, bit)
        self.absent = without(self.absent, bit)
        self.missing = without(self.missing, bit)
        self._anything = without(self._anything, bit)
        self._but = without(self._but, bit)
        self._accepting.discard(condition.tests, slot)
        self._forget()

    def start_anew(self) -> None:
        """Empties what is remembered, and remembers no more if it did not help."""
        events = self._budget.events - self._events_before
        if len(self) >= _VALUES_TO_JUDGE_BY and events < 2 * len(self):
            self.is_remembering = False
            self._budget.on_given_up()
        self._forget()

    def __missing__(self, value: object) -> int:
        if value.__class__ is not str:
            return self._failing_literal(value)
        accepting = self._anything | self._accepting.of_text(value)
        if self._but:
            accepting |= without(self._but, self._refusing.of_text(value))
        # What no slot accepts is the usual value: one mask, shared by all answers.
        failing = self.mentions ^ accepting if accepting else self.mentions
        if self.is_remembering and len(value) <= CHARACTERS_MAX:
            self._remember(value, failing)
        return failing

    def _failing_literal(self, value: object) -> int:
        if value is msgspec.UNSET:
            self[value] = self.missing
            return self.missing
        key = (value.__class__ is bool, int(value)) if value in _ZERO_AND_ONE else None
        if key in self._of_zero_and_one:
            return self._of_zero_and_one[key]
        accepting = self._anything | self._accepting.of_literal(value)
        if self._but:
            accepting |= without(self._but, self._refusing.of_literal(value))
        failing = self.mentions ^ accepting if accepting else self.mentions
        if key is not None:
            self._of_zero_and_one[key] = failing
        elif self.is_remembering and _is_own_key(value):
            self._remember(value, failing)
        return failing

    def _remember(self, value: object, failing: int) -> None:
        size = _ENTRY_BYTES
        if failing is not self.mentions:
            size += failing.bit_length() >> 3
        if len(self) >= VALUES_MAX:
            self.start_anew()
        elif self._budget.spend(size):
            self[value] = failing

    def _forget(self) -> None:
        self.clear()
        self._of_zero_and_one.clear()
        self._accepting.forget()
        self._events_before = self._budget.events


def _is_own_key(value: object) -> bool:
    """Whether what a dict takes for equal is equal to a pattern: 2**60 is not 1.152921504606847e18
    (`eventcore.patterns.numbers`).
    """
    return not isinstance(value, (int, float)) or -INTEGER_MAX <= value <= INTEGER_MAX
