"""All rules at once: which of them match an event.

Each branch of each rule's pattern (one, unless it has `$or`) owns a slot: one bit in every mask.
Matching starts with all slots and takes out, path by path, those whose condition fails; what is
left has matched. A path costs a look-up and two operations on integers of one bit per slot,
whatever the number of rules that name it. So the cost of an event grows with the number of distinct
paths, hardly with the number of rules, and no code runs per rule. Rules:

- Only paths that some rule names are looked at. The answer does not depend on the order of `add`
  and `remove`.
- The masks decide exactly, with two exceptions that are verified rule by rule by
  `eventcore.patterns.evaluation`: a branch with several conditions (or one for absence) inside one
  event's arrays of objects, for which the masks are necessary but not sufficient, and a condition
  that `is_decided_by_index` excludes.
- Not for concurrent use; everything is synchronous. Memory is bounded by the rules and by the memos
  (`path_tree`).
"""

from __future__ import annotations

from heapq import heappop, heappush
from typing import Final, final

from eventcore.codec import decode_json
from eventcore.patterns.dotted import nest_dotted_keys
from eventcore.patterns.evaluation import holds
from eventcore.patterns.path_tree import PathIndex, PathNode, is_decided_by_index
from eventcore.patterns.pattern import Branch, Pattern
from eventcore.patterns.tables import without

__all__ = ["Matcher"]

_FEW: Final = 64
"""Up to so many slots are read from a mask bit by bit; beyond, a text of it is faster."""


class _Absent:
    """The class of `_ABSENT`, which stands for a key that an object does not have."""


_ABSENT: Final = _Absent()


@final
class Matcher:
    """A set of rules, by number, and the question which of them match an event.

    Rules may be added and removed at any time; the next match sees it.
    """

    def __init__(self) -> None:
        self._root = PathNode()
        self._slots_of_rule: dict[int, list[int]] = {}
        # By slot: its rule and its branch. Free slots keep their last rule and have no branch.
        self._rules: list[int] = []
        self._branches: list[Branch | None] = []
        self._free: list[int] = []
        self._used = 0
        self._undecided = 0
        self._array_paths = _ArrayPaths()

    def __len__(self) -> int:
        return len(self._slots_of_rule)

    def add(self, rule: int, pattern: Pattern) -> None:
        """Adds a rule, whose number must not be in use. It costs what its values cost."""
        assert rule not in self._slots_of_rule, f"rule {rule} is there already"
        self._slots_of_rule[rule] = [self._add_branch(rule, branch) for branch in pattern.branches]

    def remove(self, rule: int) -> None:
        """Removes a rule, which must be there."""
        for slot in self._slots_of_rule.pop(rule):
            self._remove_branch(slot)

    def match(self, event: dict[str, object]) -> list[int]:
        """The numbers of the rules that match, ascending.

        `event` is the whole envelope, plain values as `codec.decode_json` returns them.
        """
        if self._root.is_stale:
            self._root.refresh()
        arrays = self._array_paths
        arrays.clear()
        alive = _surviving(self._root, event, self._used, arrays)
        doubtful = alive & (self._undecided | arrays.doubtful)
        if doubtful:
            alive ^= self._refuted(doubtful, event)
        if not alive:
            return []
        rules = self._rules
        matched = [rules[slot] for slot in _slots_in(alive)]
        # Several branches of one rule may hold.
        return sorted(set(matched))

    def match_json(self, event: bytes) -> list[int]:
        """`match` for an event as JSON text. Raises ValueError if it is not a JSON object."""
        fields = decode_json(event)
        if not isinstance(fields, dict):
            raise ValueError("an event is a JSON object")  # noqa: TRY004 - the input is bad
        return self.match(fields)

    def _add_branch(self, rule: int, branch: Branch) -> int:
        if self._free:
            slot = heappop(self._free)
            self._rules[slot] = rule
            self._branches[slot] = branch
        else:
            slot = len(self._rules)
            self._rules.append(rule)
            self._branches.append(branch)
        self._used |= 1 << slot
        for condition in branch:
            self._root.add(condition, slot)
            if not is_decided_by_index(condition):
                self._undecided |= 1 << slot
        return slot

    def _remove_branch(self, slot: int) -> None:
        branch = self._branches[slot]
        assert branch is not None, "a rule's slots are in use"
        for condition in branch:
            self._root.discard(condition, slot)
        self._branches[slot] = None
        self._used &= ~(1 << slot)
        self._undecided &= ~(1 << slot)
        # The lowest free slot is taken first: masks are as long as the highest used one.
        heappush(self._free, slot)

    def _refuted(self, doubtful: int, event: dict[str, object]) -> int:
        """Those of the doubtful slots whose branch does not hold."""
        refuted = 0
        for slot in _slots_in(doubtful):
            branch = self._branches[slot]
            assert branch is not None, "only slots in use survive"
            if not holds(branch, event):
                refuted |= 1 << slot
        return refuted


@final
class _ArrayPaths:
    """Of one event: the slots that its arrays of objects leave undecided."""

    __slots__ = ("_once", "doubtful")

    def __init__(self) -> None:
        self._once = 0
        self.doubtful = 0

    def clear(self) -> None:
        self._once = 0
        self.doubtful = 0

    def note(self, index: PathIndex) -> None:
        """The path of `index` ran through such an array."""
        self.doubtful |= index.absent | (self._once & index.mentions)
        self._once |= index.mentions


def _surviving(node: PathNode, fields: dict[str, object], alive: int, arrays: _ArrayPaths) -> int:
    """The slots of `alive` whose conditions below `node` hold in `fields`."""
    if node.spellings:
        fields = nest_dotted_keys(fields, node.spellings)
    for step, child in node.plan:
        value = fields.get(step, _ABSENT)
        if isinstance(value, dict):
            if child.index is not None:
                alive ^= alive & child.index.missing
            if child.plan:
                alive = _surviving(child, value, alive, arrays)
        elif isinstance(value, list):
            alive = _surviving_array(child, value, alive, arrays)
        elif value is _ABSENT:
            alive ^= alive & child.missing
        else:
            if child.index is not None:
                alive ^= alive & child.index.failing(value)
            if child.missing_below:
                alive ^= alive & child.missing_below
        if not alive:
            return 0
    return alive


def _surviving_array(node: PathNode, items: list[object], alive: int, arrays: _ArrayPaths) -> int:
    if not items:
        return without(alive, node.missing)
    for item in items:
        if isinstance(item, (dict, list)):
            return _surviving_objects(node, items, alive, arrays)
    if node.index is not None:
        alive ^= _failing_all(node.index, items, alive)
    return without(alive, node.missing_below)


def _surviving_objects(node: PathNode, items: list[object], alive: int, arrays: _ArrayPaths) -> int:
    """Each path by itself, over all elements; `arrays` learns who needs more than that."""
    leaves = _leaves_below(node, items)
    waiting = [node]
    while waiting:
        node = waiting.pop()
        waiting.extend(node.children.values())
        index = node.index
        if index is None or not alive & index.mentions:
            continue
        arrays.note(index)
        # The chosen element may lack a field that others have.
        failing = _failing_all(index, leaves.get(id(node), []), alive)
        alive ^= without(failing, index.absent)
    return alive


def _failing_all(index: PathIndex, values: list[object], alive: int) -> int:
    """The slots of `alive` whose condition accepts none of the values."""
    failing = index.mentions & alive
    for value in values:
        failing &= index.failing(value)
        if not failing:
            break
    return failing


def _leaves_below(node: PathNode, items: list[object]) -> dict[int, list[object]]:
    """The leaves of all paths at and below `node`, by id of the path's node."""
    leaves: dict[int, list[object]] = {}
    waiting: list[tuple[PathNode, object]] = [(node, items)]
    while waiting:
        node, value = waiting.pop()
        if isinstance(value, list):
            waiting.extend((node, item) for item in value)
        elif isinstance(value, dict):
            fields = nest_dotted_keys(value, node.spellings)
            waiting.extend((child, fields[step]) for step, child in node.plan if step in fields)
        elif node.index is not None:
            leaves.setdefault(id(node), []).append(value)
    return leaves


def _slots_in(mask: int) -> list[int]:
    """The numbers of the bits that are set, descending."""
    slots: list[int] = []
    if mask.bit_count() <= _FEW:
        while mask:
            slot = mask.bit_length() - 1
            slots.append(slot)
            mask ^= 1 << slot
        return slots
    bits = bin(mask)
    last = len(bits) - 1
    place = bits.find("1")
    while place >= 0:
        slots.append(last - place)
        place = bits.find("1", place + 1)
    return slots
