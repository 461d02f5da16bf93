"""An index over some rules: which of their branches does an event satisfy.

Each branch of a rule's pattern (one, unless it has `$or`) owns a slot: one bit in every mask.
Every path that some branch names is asked once which slots its value fails; the slots that fail
nowhere have matched. No code runs per rule. docs/decisions/0005-matcher.md and 0008-matcher-code.md
say why. Rules:

- Only paths that some branch names are looked at. The answer does not depend on the order of `add`
  and `remove`, nor on the events before.
- Where arrays leave a matched slot in doubt (`path_tree.Doubt`), the event is walked once more,
  exactly and for all slots at once (`eventcore.patterns.exact_walk`).
- A change is seen by the next event and rebuilds nothing but the touched look-ups. The code for the
  set of paths (`eventcore.patterns.event_reader`) is made again when that set has held for
  QUIET_EVENTS events; until then events are read the general way, with the same answers.
"""

from __future__ import annotations

from heapq import heappop, heappush
from typing import Final, TypeAlias, final

import msgspec

from eventcore.patterns.event_reader import EventReader, build_reader
from eventcore.patterns.exact_walk import failed_exactly
from eventcore.patterns.masks import slots_in, without
from eventcore.patterns.numbers import decode_event
from eventcore.patterns.path_index import Experience, MemoBudget
from eventcore.patterns.path_tree import Doubt, PathTree
from eventcore.patterns.pattern import Branch

__all__ = ["QUIET_EVENTS", "UNUSUAL_EVENT", "BranchKey", "RuleIndex", "object_of"]

QUIET_EVENTS: Final = 32
"""Events after the last change of the set of paths, before code is made for it."""
UNUSUAL_EVENT: Final = (AttributeError, TypeError, RecursionError, msgspec.DecodeError)
"""What made code raises for an event that has not the usual shape, or is no JSON object."""

BranchKey: TypeAlias = tuple[int, int]
"""A rule's number, and the place of the branch in its pattern."""


@final
class RuleIndex:
    """See the module's text. Not for concurrent use."""

    __slots__ = (
        "_branches", "_doubt", "_experience", "_free", "_quiet_events", "_reader", "_rules",
        "_slots", "_tree", "_used", "_version_read",
    )  # fmt: skip

    def __init__(self, budget: MemoBudget) -> None:
        self._slots: dict[BranchKey, int] = {}
        # By slot. Free slots keep their last rule and have no branch.
        self._rules: list[int] = []
        self._branches: list[Branch | None] = []
        self._free: list[int] = []
        self._used = 0
        self._doubt = Doubt()
        self._experience = Experience(budget, self._renew_reader)
        self._tree = PathTree(self._experience, self._doubt)
        self._reader: EventReader | None = None
        self._version_read = 0
        self._quiet_events = 0

    def __len__(self) -> int:
        return len(self._slots)

    def __contains__(self, key: BranchKey) -> bool:
        return key in self._slots

    def keys(self) -> list[BranchKey]:
        """The keys of all branches, as they are now."""
        return list(self._slots)

    def sample(self, count: int) -> list[Branch]:
        """About `count` of the branches, from all places."""
        # An odd stride meets all kinds of rules that were added in turn.
        stride = len(self._branches) // count | 1
        return [branch for branch in self._branches[::stride] if branch is not None]

    def branch(self, key: BranchKey) -> Branch:
        """The branch of that key, which must be there."""
        branch = self._branches[self._slots[key]]
        assert branch is not None, "only slots in use have a key"
        return branch

    def add(self, key: BranchKey, branch: Branch) -> None:
        """Adds a branch, whose key must not be in use. It costs what its values cost."""
        if self._free:
            slot = heappop(self._free)
            self._rules[slot] = key[0]
            self._branches[slot] = branch
        else:
            slot = len(self._rules)
            self._rules.append(key[0])
            self._branches.append(branch)
        self._slots[key] = slot
        self._used |= 1 << slot
        for condition in branch:
            self._tree.add(condition, slot)
        self._see_paths()

    def remove(self, key: BranchKey) -> None:
        """Removes a branch, which must be there."""
        slot = self._slots.pop(key)
        branch = self._branches[slot]
        assert branch is not None, "only slots in use have a key"
        for condition in branch:
            self._tree.discard(condition, slot)
        self._branches[slot] = None
        self._used = without(self._used, 1 << slot)
        # The lowest free slot is taken first: masks are as long as the highest used one.
        heappush(self._free, slot)
        self._see_paths()

    def match_text(self, event: bytes | str, found: list[int]) -> None:
        """Adds the rules of the branches that the event satisfies, in no particular order. Raises
        ValueError for what is no JSON object.
        """
        read = self._reader
        if read is None:
            return self._match_any_shape(event, found)
        try:
            alive = read(event, self._used)
        except UNUSUAL_EVENT:
            return self._match_any_shape(event, found)
        self._experience.events += 1
        if alive & self._doubt.slots:
            alive = self._used ^ failed_exactly(self._tree.root, object_of(event))
        self._doubt.slots = 0
        if alive:
            rules = self._rules
            found += [rules[slot] for slot in slots_in(alive)]
        return None

    def match(self, event: dict[str, object], found: list[int]) -> None:
        """As `match_text`, for plain values as from `numbers.decode_event`."""
        self._experience.events += 1
        self._doubt.slots = 0
        alive = self._used ^ self._tree.root.failed_below(event)
        if alive & self._doubt.slots:
            alive = self._used ^ failed_exactly(self._tree.root, event)
        self._doubt.slots = 0
        if alive:
            found += [self._rules[slot] for slot in slots_in(alive)]

    def _match_any_shape(self, event: bytes | str, found: list[int]) -> None:
        fields = object_of(event)
        is_news = self._tree.root.learn(fields)
        self._quiet_events += 1
        if self._quiet_events == QUIET_EVENTS or (is_news and self._reader is not None):
            self._reader = build_reader(self._tree.root)
        self.match(fields, found)

    def _see_paths(self) -> None:
        """Drops the code for a set of paths that is not the present one."""
        if self._version_read != self._tree.version:
            self._version_read = self._tree.version
            self._reader = None
            self._quiet_events = 0

    def _renew_reader(self) -> None:
        """The code does not suit the events any more: it is made again with the next."""
        if self._reader is not None:
            self._reader = None
            self._quiet_events = QUIET_EVENTS - 1


def object_of(event: bytes | str) -> dict[str, object]:
    """The event as plain values. Raises ValueError if it is no JSON object."""
    fields = decode_event(event)
    if not isinstance(fields, dict):
        raise ValueError("an event is a JSON object")  # noqa: TRY004 - the input is bad
    return fields
