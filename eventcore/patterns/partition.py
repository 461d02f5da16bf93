"""Many rules, sorted by a value that they ask for, so that an event meets only those of its own.

Rules of a large bus mostly name a source, a type or an id exactly. A Partition of many rules finds
the path that tells most of them apart, and keeps those with the same text there in a partition of
their own. An event is shown to the partitions of the texts that it has on that path, and to the
*rest*: the rules without such a condition. Rules of this file:

- Which rules an event is shown to is a necessary condition only: every partition asks for all
  conditions again. So the answer does not depend on how rules are sorted.
- Up to FEW rules are a list, and asked one by one: most partitions are small, and an index takes
  20 KB. More are a RuleIndex, and so are lists that are asked often, up to FAVOURS_MAX of them.
- From SPLIT_MIN rules on, and then at each doubling, a path is looked for by a sample of SAMPLE
  rules; it must save GAIN_MIN of the rest. A rest may be sorted by further paths.
- A rule with several texts is kept with each of them, at the top level alone.
- Sorting never stops the world: after a path was found, each `add` and each event moves MOVED rules
  out of the rest. A rule that is not yet moved is found where it was.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final, final

from eventcore.patterns.conditions import Condition, Exact
from eventcore.patterns.dotted import nest_dotted_keys, spellings_below
from eventcore.patterns.evaluation import holds
from eventcore.patterns.event_reader import ValuesReader, build_values_reader
from eventcore.patterns.path_index import MemoBudget
from eventcore.patterns.pattern import Branch
from eventcore.patterns.rule_index import UNUSUAL_EVENT, BranchKey, RuleIndex, object_of

__all__ = ["FEW", "SPLIT_MIN", "Partition"]

FEW: Final = 16
"""Branches that are kept as a list."""
ASKED_OFTEN: Final = 64
"""Events after which a list becomes an index, if there is a favour left (`MemoBudget`)."""
SPLIT_MIN: Final = 4_096
"""Branches in one index from which on it is worth to sort them."""
SAMPLE: Final = 512
GAIN_MIN: Final = 0.4
TEXTS_MAX: Final = 4
"""Texts in one condition by which a rule is sorted; with more it stays in the rest."""
MOVED: Final = 8
_PATHS_MAX: Final = 4
_LEVELS_MAX: Final = 4


@final
class _Sorted:
    """The partitions of one path, by text."""

    __slots__ = ("groups", "path", "steps")

    def __init__(self, path: str) -> None:
        self.path = path
        self.steps = tuple(path.split("."))
        self.groups: dict[str, Partition] = {}


@final
class Partition:
    """A set of branches. See the module's text."""

    __slots__ = (
        "_above", "_asked", "_budget", "_few", "_few_max", "_is_favoured", "_read_values",
        "_rest", "_sorted", "_split_at", "_texts_max", "_to_move",
    )  # fmt: skip

    def __init__(
        self, budget: MemoBudget, few_max: int = 0, above: frozenset[str] = frozenset()
    ) -> None:
        """`few_max` branches are kept as a list. `above` are the paths by which this partition was
        sorted itself: they do not tell its branches apart.
        """
        self._budget = budget
        self._few_max = few_max
        self._above = above
        # Only at the top, or copies would multiply from level to level.
        self._texts_max = 1 if above else TEXTS_MAX
        self._asked = 0
        self._is_favoured = False
        self._few: dict[BranchKey, Branch] = {}
        self._rest: RuleIndex | None = None
        self._sorted: list[_Sorted] = []
        self._read_values: ValuesReader | None = None
        self._split_at = SPLIT_MIN
        self._to_move: Iterator[BranchKey] | None = None

    def __bool__(self) -> bool:
        return bool(self._few or self._rest or any(each.groups for each in self._sorted))

    def add(self, key: BranchKey, branch: Branch) -> None:
        """Adds a branch, whose key must not be in use."""
        self._move_some()
        self._put(key, branch)

    def _put(self, key: BranchKey, branch: Branch) -> None:
        if self._put_sorted(key, branch):
            return
        if self._rest is None:
            self._few[key] = branch
            if len(self._few) > self._few_max:
                self._index_few()
            return
        self._rest.add(key, branch)
        if len(self._rest) >= self._split_at:
            self._split_at = 2 * len(self._rest)
            self._look_for_path(self._rest)

    def remove(self, key: BranchKey, branch: Branch) -> None:
        """Removes a branch, which must be there; `branch` as it was added."""
        if self._rest is not None and key in self._rest:
            self._rest.remove(key)
            self._split_at = max(SPLIT_MIN, min(self._split_at, 2 * len(self._rest)))
            self._drop_empty_rest()
        elif key in self._few:
            del self._few[key]
        else:
            self._remove_sorted(key, branch)

    def _index_few(self) -> None:
        self._rest = RuleIndex(self._budget)
        for key, branch in self._few.items():
            self._rest.add(key, branch)
        self._few.clear()

    def _drop_empty_rest(self) -> None:
        if self._rest is not None and not self._rest:
            self._rest = None
            if self._is_favoured:
                self._is_favoured = False
                self._budget.favours_left += 1

    def match_text(self, event: bytes | str, found: list[int]) -> None:
        """Adds the rules of the branches that the event satisfies, in no particular order and some
        more than once. Raises ValueError for what is no JSON object.
        """
        if self._rest is not None:
            self._rest.match_text(event, found)
        elif self._few:
            self._match_few(object_of(event), found)
            self._note_asked()
        if self._sorted:
            for group in self._groups_of(event):
                group.match_text(event, found)
            self._move_some()

    def match(self, event: dict[str, object], found: list[int]) -> None:
        """As `match_text`, for plain values as from `numbers.decode_event`."""
        if self._rest is not None:
            self._rest.match(event, found)
        elif self._few:
            self._match_few(event, found)
        for each in self._sorted:
            for text in _texts_at(each.steps, event):
                if text in each.groups:
                    each.groups[text].match(event, found)
        self._move_some()

    def _match_few(self, event: dict[str, object], found: list[int]) -> None:
        found += [rule for (rule, _), branch in self._few.items() if holds(branch, event)]

    def _note_asked(self) -> None:
        """A list that is asked often becomes an index, as long as there are not too many."""
        self._asked += 1
        if self._asked % ASKED_OFTEN == 0 and self._budget.favours_left > 0:
            self._budget.favours_left -= 1
            self._is_favoured = True
            self._index_few()

    def _groups_of(self, event: bytes | str) -> list[Partition]:
        assert self._read_values is not None, "it is made with the first sorted path"
        try:
            values = self._read_values(event)
        except UNUSUAL_EVENT:
            return self._groups_of_any_shape(event)
        groups: list[Partition] = []
        for each, value in zip(self._sorted, values, strict=True):
            if value.__class__ is str:
                group = each.groups.get(value)
                if group is not None:
                    groups.append(group)
            elif value.__class__ in (list, dict):
                return self._groups_of_any_shape(event)
        return groups

    def _groups_of_any_shape(self, event: bytes | str) -> list[Partition]:
        fields = object_of(event)
        return [
            each.groups[text]
            for each in self._sorted
            for text in _texts_at(each.steps, fields)
            if text in each.groups
        ]

    # -- sorting ---------------------------------------------------------------------------------

    def _put_sorted(self, key: BranchKey, branch: Branch) -> bool:
        for each in self._sorted:
            texts = _texts_on(each.path, branch, self._texts_max)
            if texts:
                for text in texts:
                    if text not in each.groups:
                        each.groups[text] = Partition(self._budget, FEW, self._above | {each.path})
                    each.groups[text]._put(key, branch)
                return True
        return False

    def _remove_sorted(self, key: BranchKey, branch: Branch) -> None:
        for each in self._sorted:
            texts = _texts_on(each.path, branch, self._texts_max)
            if texts:
                for text in texts:
                    each.groups[text].remove(key, branch)
                    if not each.groups[text]:
                        del each.groups[text]
                if not each.groups and self._to_move is None:
                    self._sorted.remove(each)
                    steps = [left.steps for left in self._sorted]
                    self._read_values = build_values_reader(steps) if steps else None
                return
        raise AssertionError(f"branch {key} is not here")

    def _look_for_path(self, rest: RuleIndex) -> None:
        if len(self._sorted) >= _PATHS_MAX or len(self._above) >= _LEVELS_MAX:
            return
        known = self._above.union(each.path for each in self._sorted)
        path = _best_path(rest.sample(SAMPLE), known, self._texts_max)
        if path is None:
            return
        steps = [each.steps for each in self._sorted] + [tuple(path.split("."))]
        read_values = build_values_reader(steps)
        if read_values is None:
            return
        self._read_values = read_values
        self._sorted.append(_Sorted(path))
        self._to_move = iter(rest.keys())

    def _move_some(self) -> None:
        """Moves some branches of the rest to where they are sorted now."""
        if self._to_move is None:
            return
        rest = self._rest
        for _ in range(MOVED):
            key = next(self._to_move, None)
            if key is None or rest is None:
                self._to_move = None
                break
            if key in rest:
                branch = rest.branch(key)
                if self._put_sorted(key, branch):
                    rest.remove(key)
        self._drop_empty_rest()


def _best_path(branches: list[Branch], above: frozenset[str], texts_max: int) -> str | None:
    """The path, other than those `above`, that tells most branches apart, if it saves enough."""
    texts_of_path: dict[str, Counter[str]] = {}
    rules_of_path: Counter[str] = Counter()
    for branch in branches:
        for condition in branch:
            texts = _texts_of(condition, texts_max)
            if texts and condition.path not in above:
                texts_of_path.setdefault(condition.path, Counter()).update(texts)
                rules_of_path[condition.path] += 1
    gains = {
        path: (rules_of_path[path] - _met(texts)) / len(branches)
        for path, texts in texts_of_path.items()
    }
    best = max(gains, key=gains.__getitem__, default=None)
    return best if best is not None and gains[best] >= GAIN_MIN else None


def _met(texts: Counter[str]) -> float:
    """The number of rules that an event is shown to, if events have the texts as often as rules ask
    for them.
    """
    return sum(times * times for times in texts.values()) / texts.total()


def _texts_on(path: str, branch: Branch, texts_max: int) -> tuple[str, ...]:
    for condition in branch:
        if condition.path == path:
            return _texts_of(condition, texts_max)
    return ()


def _texts_of(condition: Condition, texts_max: int) -> tuple[str, ...]:
    """The texts of which a value must be one; none if other values will do as well."""
    if condition.may_be_absent or len(condition.tests) > texts_max:
        return ()
    texts: list[str] = []
    for test in condition.tests:
        if not isinstance(test, Exact) or not isinstance(test.value, str):
            return ()
        texts.append(test.value)
    return tuple(dict.fromkeys(texts))


def _texts_at(steps: tuple[str, ...], event: dict[str, object]) -> set[str]:
    """All texts that an event has on a path."""
    texts: set[str] = set()
    waiting: list[tuple[int, object]] = [(0, event)]
    while waiting:
        depth, value = waiting.pop()
        if isinstance(value, list):
            waiting.extend((depth, item) for item in value)
        elif isinstance(value, dict):
            if depth < len(steps):
                fields = nest_dotted_keys(value, spellings_below(steps, depth))
                if steps[depth] in fields:
                    waiting.append((depth + 1, fields[steps[depth]]))
        elif depth == len(steps) and isinstance(value, str):
            texts.add(value)
    return texts
