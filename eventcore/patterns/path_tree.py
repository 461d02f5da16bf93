"""The index over all conditions of all rules: a tree of the paths that they name.

One PathNode per step; a node at which conditions end has a PathIndex. Rules:

- A slot (see `eventcore.patterns.tables`) has at most one condition per path, and it is added and discarded as a whole.
- `missing` masks are kept up by every change, so an absent subtree is one look-up whatever is below it.
- What is derived from the set of nodes (`plan`, `spellings`) is rebuilt by `refresh` before the next match.
"""

from __future__ import annotations

from typing import Final, final

from eventcore.patterns.conditions import AnythingBut, AnyValue, Condition, ValueTest
from eventcore.patterns.dotted import spellings_below
from eventcore.patterns.tables import ValueTables

__all__ = ["PathIndex", "PathNode", "is_decided_by_index"]

MEMO_VALUES_MAX: Final = 4_096
"""Values per path whose answer is kept."""
MEMO_VALUE_CHARACTERS_MAX: Final = 256
"""Longer strings are not kept."""


def is_decided_by_index(condition: Condition) -> bool:
    """Whether PathIndex is exact for one leaf. Two anything-buts in one list would need a table each."""
    return sum(isinstance(test, AnythingBut) for test in condition.tests) < 2


@final
class PathIndex:
    """The conditions on one path. `failing` is the question that matching asks of it."""

    __slots__ = (
        "_accepting", "_anything", "_but", "_is_memo_on", "_memo", "_memo_hits", "_refusing",
        "absent", "mentions", "missing",
    )  # fmt: skip

    def __init__(self) -> None:
        self.mentions = 0
        """Slots with a condition here."""
        self.absent = 0
        """Those of them that absence satisfies."""
        self.missing = 0
        """Those of them that absence fails."""
        self._anything = 0
        self._but = 0
        self._accepting = ValueTables()
        self._refusing = ValueTables()
        self._forget()

    def add(self, condition: Condition, slot: int) -> None:
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
            self._refusing.add(_refused(buts[0]), slot)
        self._accepting.add(condition.tests, slot)
        self._forget()

    def discard(self, condition: Condition, slot: int) -> None:
        """Takes out what `add` entered."""
        keep = ~(1 << slot)
        if self._but & ~keep:
            for test in condition.tests:
                if isinstance(test, AnythingBut):
                    self._refusing.discard(_refused(test), slot)
        self.mentions &= keep
        self.absent &= keep
        self.missing &= keep
        self._anything &= keep
        self._but &= keep
        self._accepting.discard(condition.tests, slot)
        self._forget()

    def failing(self, value: object) -> int:
        """The slots whose condition does not accept the leaf `value`."""
        if value.__class__ is not str or not self._is_memo_on:
            return self._failing(value)
        failing = self._memo.get(value)  # type: ignore[call-overload]  # its class was compared
        if failing is None:
            failing = self._failing(value)
            self._remember(value, failing)  # type: ignore[arg-type]  # its class was compared
        else:
            self._memo_hits += 1
        return int(failing)

    def _failing(self, value: object) -> int:
        accepting = self._anything | self._accepting.get(value)
        if self._but:
            accepting |= self._but & ~self._refusing.get(value)
        return self.mentions & ~accepting

    def _remember(self, value: str, failing: int) -> None:
        """Keeps an answer. A memo that fills up before it has helped as often is switched off (ids, times)."""
        if len(value) > MEMO_VALUE_CHARACTERS_MAX:
            return
        if len(self._memo) >= MEMO_VALUES_MAX:
            self._is_memo_on = self._memo_hits >= MEMO_VALUES_MAX
            self._memo.clear()
            self._memo_hits = 0
            return
        self._memo[value] = failing

    def _forget(self) -> None:
        self._memo: dict[str, int] = {}
        self._memo_hits = 0
        self._is_memo_on = True


def _refused(test: AnythingBut) -> tuple[ValueTest, ...]:
    return test.refused


@final
class PathNode:
    """One step of the paths."""

    __slots__ = ("children", "index", "is_stale", "missing", "missing_below", "plan", "spellings")

    def __init__(self) -> None:
        self.children: dict[str, PathNode] = {}
        self.index: PathIndex | None = None
        self.missing = 0
        """Slots that fail if nothing is here: those with a condition at or below this node that needs a leaf."""
        self.missing_below = 0
        """The same without the conditions at this node itself: slots that fail if a leaf is here."""
        self.plan: tuple[tuple[str, PathNode], ...] = ()
        """The children in the order of matching: those that sort out most rules come first."""
        self.spellings: frozenset[str] = frozenset()
        """Dotted keys by which an object here goes down several steps at once."""
        self.is_stale = True

    def add(self, condition: Condition, slot: int) -> None:
        """Enters a condition of a slot; `self` is the root."""
        needed = 0 if condition.may_be_absent else 1 << slot
        node = self
        for step in condition.steps:
            if step not in node.children:
                self._mark_stale(condition.steps)
                node.children[step] = PathNode()
            node.missing_below |= needed
            node.missing |= needed
            node = node.children[step]
        if node.index is None:
            node.index = PathIndex()
            self._mark_stale(condition.steps)
        node.missing |= needed
        node.index.add(condition, slot)

    def discard(self, condition: Condition, slot: int) -> None:
        """Takes a condition out; all conditions of a slot are taken out together. `self` is the root."""
        keep = ~(1 << slot)
        trail = [self]
        for step in condition.steps:
            trail.append(trail[-1].children[step])
        for node in trail:
            node.missing &= keep
            node.missing_below &= keep
        index = trail[-1].index
        assert index is not None, "a condition that was added has an index"
        index.discard(condition, slot)
        if not index.mentions:
            trail[-1].index = None
            self._mark_stale(condition.steps)
        for parent, step in zip(reversed(trail[:-1]), reversed(condition.steps), strict=True):
            child = parent.children[step]
            if child.index is not None or child.children:
                break
            del parent.children[step]

    def refresh(self) -> None:
        """Makes `plan` and `spellings` of this node and those below it true again."""
        waiting = [self]
        while waiting:
            node = waiting.pop()
            if not node.is_stale:
                continue
            node.is_stale = False
            ordered = sorted(
                node.children.items(), key=lambda entry: -entry[1].missing.bit_count()
            )
            node.plan = tuple(ordered)
            node.spellings = frozenset().union(
                *(spelling for _, child in ordered for spelling in ())
            )
            waiting.extend(node.children.values())

    def _mark_stale(self, steps: tuple[str, ...]) -> None:
        node: PathNode | None = self
        for step in (*steps, ""):
            if node is None:
                return
            node.is_stale = True
            node = node.children.get(step)
