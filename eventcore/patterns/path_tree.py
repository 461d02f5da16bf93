"""The index over all conditions of all rules: a tree of the paths that they name.

One PathNode per step; a node at which conditions end has a PathIndex. The question to a node is
`failed(value)`: the slots with a condition at or below the node that fails if `value` is what
the event has there. Rules:

- A slot (`eventcore.patterns.masks`) has at most one condition per path, and it is added and
  discarded as a whole.
- The masks of a node are kept up by every change, so an absent subtree is one look-up whatever is
  below it.
- An array of objects satisfies the conditions below it if one of its objects satisfies them all:
  the slots that fail in every object fail. Arrays that do not lie in each other never interfere, so
  this is exact, with two exceptions that are noted in `Doubt` for exact evaluation: a condition
  that absence satisfies, where the order of the paths decides, and a slot with conditions both at
  and below a node whose array holds arrays. For these the answer is a necessary condition.
- `value` is what `decode_event` gives, or a record of `eventcore.patterns.event_reader`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, final

from msgspec import UNSET

from eventcore.patterns.conditions import Condition
from eventcore.patterns.dotted import nest_dotted_keys
from eventcore.patterns.masks import without
from eventcore.patterns.path_index import Experience, PathIndex

__all__ = ["Doubt", "PathNode", "PathTree", "grow"]

LEARNED_ITEMS_MAX: Final = 64
"""Items of an array that are looked at for their shape."""


@final
class Doubt:
    """Of one event: the slots that its arrays leave undecided."""

    __slots__ = ("slots",)

    def __init__(self) -> None:
        self.slots = 0


@final
class PathNode:
    """One step of the paths."""

    __slots__ = (
        "absent", "below", "children", "doubt", "index", "is_irregular", "missing",
        "missing_below", "record_failed", "record_type", "spellings",
    )  # fmt: skip

    def __init__(self, doubt: Doubt) -> None:
        self.children: dict[str, PathNode] = {}
        self.index: PathIndex | None = None
        self.missing = 0
        """Slots that fail if nothing is here: a condition at or below this node needs a leaf."""
        self.missing_below = 0
        """Slots that fail if a leaf is here: a condition below this node needs one."""
        self.below = 0
        """Slots with a condition below this node."""
        self.absent = 0
        """Slots with a condition at or below this node that absence satisfies."""
        self.spellings: set[str] = set()
        """Dotted keys by which an object here goes down several steps at once."""
        self.is_irregular = False
        """Whether an event had something else here than an object (or, at the end of a path, a
        leaf); see `eventcore.patterns.event_reader`, which also sets the next two.
        """
        self.record_type: type | None = None
        self.record_failed: Callable[[Any], int] = _no_record
        self.doubt = doubt

    def failed(self, value: object) -> int:
        """The slots with a failing condition at or below this node. UNSET is an absent value."""
        kind = value.__class__
        if kind is dict:
            below = self.failed_below(value) if self.children else 0  # type: ignore[arg-type]
            return self.missing_here | below
        if kind is list:
            if self.record_type is not None and self.index is None:
                return self._failed_in_records(value)  # type: ignore[arg-type]
            return self._failed_in_array(value)  # type: ignore[arg-type]
        if kind is self.record_type:
            return self.missing_here | self.record_failed(value)
        if value is UNSET:
            return self.missing
        if self.index is None:
            return self.missing_below
        return self.missing_below | self.index[value]

    @property
    def concerned(self) -> int:
        """The slots with a condition at or below this node."""
        return self.below if self.index is None else self.below | self.index.mentions

    @property
    def missing_here(self) -> int:
        """The slots that fail if no leaf is right here."""
        return 0 if self.index is None else self.index.missing

    def failed_below(self, fields: dict[str, object]) -> int:
        """The slots with a failing condition below this node, which has this object."""
        if self.spellings:
            fields = nest_dotted_keys(fields, self.spellings)
        failed = 0
        for step, child in self.children.items():
            failed |= child.failed(fields.get(step, UNSET))
        return failed

    def learn(self, value: object) -> bool:
        """Notes where the event does not have the usual shape. Whether that was news."""
        kind = value.__class__
        if kind is dict:
            is_news = self._note_irregular(is_irregular=self.index is not None)
            for step, child in self.children.items():
                if step in value:  # type: ignore[operator]  # the class says it
                    is_news |= child.learn(value[step])  # type: ignore[index]
            return is_news
        if kind is not list:
            return self._note_irregular(is_irregular=bool(self.children))
        is_news = self._note_irregular(is_irregular=True)
        for item in value[:LEARNED_ITEMS_MAX]:  # type: ignore[index]  # the class says it
            if item.__class__ is dict:
                is_news |= self.learn(item)
        return is_news

    def _note_irregular(self, *, is_irregular: bool) -> bool:
        if not is_irregular or self.is_irregular:
            return False
        self.is_irregular = True
        return True

    def _failed_in_records(self, items: list[object]) -> int:
        """`_failed_in_array` for the usual array of objects, below which alone are conditions."""
        failed = -1
        record_type, record_failed = self.record_type, self.record_failed
        for item in items:
            if item.__class__ is not record_type:
                return self._failed_in_array(items)
            failed &= record_failed(item)
        self.doubt.slots |= self.absent
        return failed if failed >= 0 else self.missing

    def _failed_in_array(self, items: list[object]) -> int:
        here, below = self.missing_here, self.missing_below
        has_leaf = has_object = has_array = False
        ask_object: Callable[[Any], int] = self.failed_below
        waiting = [items]
        while waiting:
            for item in waiting.pop():
                kind = item.__class__
                if kind is list:
                    has_array = True
                    waiting.append(item)  # type: ignore[arg-type]  # the class says it
                elif kind is dict or kind is self.record_type:
                    if not self.children:
                        continue
                    failed = ask_object(item) if kind is dict else self.record_failed(item)
                    below = below & failed if has_object else failed
                    has_object = True
                elif self.index is not None:
                    failed = self.index[item]
                    here = here & failed if has_leaf else failed
                    has_leaf = True
        if has_array or has_object:
            self.doubt.slots |= self.absent
        if has_array and self.index is not None:
            # A leaf in an inner array chooses an element that may lack what the objects have.
            both = self.index.mentions & self.below
            self.doubt.slots |= both
            below = without(below, both & self.absent)
        return here | below


def grow(root: PathNode, steps: tuple[str, ...]) -> list[PathNode]:
    """The nodes of a path, the root first; those that are not there are made."""
    trail = [root]
    for depth, step in enumerate(steps):
        child = trail[-1].children.get(step)
        if child is None:
            child = trail[-1].children[step] = PathNode(root.doubt)
            for start, node in enumerate(trail[:-1]):
                node.spellings.add(".".join(steps[start : depth + 1]))
        trail.append(child)
    return trail


def _is_bare(node: PathNode) -> bool:
    return node.index is None and not node.children


def _no_record(record: object) -> int:
    raise AssertionError("a node without a record type is not asked about records")


@final
class PathTree:
    """The tree, and its changes. `version` counts those that changed the set of nodes."""

    __slots__ = ("_experience", "root", "version")

    def __init__(self, experience: Experience, doubt: Doubt) -> None:
        self._experience = experience
        self.root: Final = PathNode(doubt)
        self.version = 0

    def add(self, condition: Condition, slot: int) -> None:
        """Enters a condition of a slot."""
        bit = 1 << slot
        needed = 0 if condition.may_be_absent else bit
        trail = grow(self.root, condition.steps)
        node = trail.pop()
        for above in trail:
            above.missing_below |= needed
            above.missing |= needed
            above.below |= bit
            above.absent |= bit ^ needed
        node.missing |= needed
        node.absent |= bit ^ needed
        if node.index is None:  # so it is new, too, or it was an inner node only
            node.index = PathIndex(self._experience)
            self.version += 1
        node.index.add_condition(condition, slot)

    def discard(self, condition: Condition, slot: int) -> None:
        """Takes a condition out; a slot's are taken out together."""
        bit = 1 << slot
        trail = [self.root]
        for step in condition.steps:
            trail.append(trail[-1].children[step])
        for node in trail:
            node.missing = without(node.missing, bit)
            node.missing_below = without(node.missing_below, bit)
            node.below = without(node.below, bit)
            node.absent = without(node.absent, bit)
        node = trail.pop()
        assert node.index is not None, "a condition that was added has an index"
        node.index.discard_condition(condition, slot)
        if node.index.mentions:
            return
        node.index.leave()
        node.index = None
        self.version += 1
        while trail and _is_bare(node):
            self._prune(trail, condition.steps)
            node = trail.pop()

    def _prune(self, trail: list[PathNode], steps: tuple[str, ...]) -> None:
        """Undoes what `grow` did for the last child."""
        del trail[-1].children[steps[len(trail) - 1]]
        for depth, node in enumerate(trail[:-1]):
            node.spellings.discard(".".join(steps[depth : len(trail)]))
