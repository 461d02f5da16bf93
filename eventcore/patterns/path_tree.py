"""The index over all conditions of all rules: a tree of the paths that they name.

One PathNode per step; a node at which conditions end has a PathIndex. Rules:

- A slot (see `eventcore.patterns.tables`) has at most one condition per path, and it is added and
  discarded as a whole.
- `missing` masks are kept up by every change, so an absent subtree is one look-up whatever is below
  it.
- What is derived from the set of nodes (`plan`, `spellings`) is rebuilt by `refresh` before the
  next match.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Final, final

from eventcore.patterns.conditions import AnythingBut, AnyValue, Condition, ValueTest
from eventcore.patterns.tables import ValueTables, without

__all__ = ["PathIndex", "PathNode", "is_decided_by_index"]

MEMO_VALUES_MAX: Final = 4_096
"""Values per path whose answer is kept."""
MEMO_VALUE_CHARACTERS_MAX: Final = 256
"""Longer strings are not kept."""


def is_decided_by_index(condition: Condition) -> bool:
    """Whether PathIndex is exact: two anything-buts in one list would need a table each."""
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
        self._memo: dict[Hashable, int] = {}
        self._memo_hits = 0
        self._is_memo_on = True

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
        if not self._is_memo_on:
            return self._failing(value)
        # To a dict, True is 1.
        key: Hashable = (value,) if isinstance(value, bool) else value
        failing = self._memo.get(key)
        if failing is None:
            failing = self._failing(value)
            self._remember(key, failing)
        else:
            self._memo_hits += 1
        return failing

    def _failing(self, value: object) -> int:
        accepting = self._anything | self._accepting.get(value)
        if self._but:
            accepting |= without(self._but, self._refusing.get(value))
        return without(self.mentions, accepting)

    def _remember(self, key: Hashable, failing: int) -> None:
        """Keeps an answer, unless the memo filled up before it had helped as often (ids, times)."""
        if isinstance(key, str) and len(key) > MEMO_VALUE_CHARACTERS_MAX:
            return
        if len(self._memo) >= MEMO_VALUES_MAX:
            self._is_memo_on = self._memo_hits >= MEMO_VALUES_MAX
            self._memo.clear()
            self._memo_hits = 0
            return
        self._memo[key] = failing

    def _forget(self) -> None:
        self._memo.clear()
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
        """Slots that fail if nothing is here: a condition at or below this node needs a leaf."""
        self.missing_below = 0
        """Slots that fail if a leaf is here: a condition below this node needs one."""
        self.plan: tuple[tuple[str, PathNode], ...] = ()
        """The children in the order of matching: what sorts out many rules cheaply comes first."""
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
        """Takes a condition out; a slot's are taken out together. `self` is the root."""
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
        spellings: set[str] = set()
        for step, child in self.children.items():
            if child.is_stale:
                child.refresh()
            spellings.update(f"{step}.{rest}" for rest in child.children)
            spellings.update(f"{step}.{rest}" for rest in child.spellings)
        self.spellings = frozenset(spellings)
        self.plan = tuple(sorted(self.children.items(), key=_promise))
        self.is_stale = False

    def _mark_stale(self, steps: tuple[str, ...]) -> None:
        node: PathNode | None = self
        for step in (*steps, ""):
            if node is None:
                return
            node.is_stale = True
            node = node.children.get(step)


def _promise(entry: tuple[str, PathNode]) -> tuple[bool, int]:
    """Sort key of children: leaves before subtrees, then by the number of rules."""
    _, child = entry
    return bool(child.children), -child.missing.bit_count()
