"""All rules at once: which of them match an event.

Each branch of each rule's pattern (one, unless it has `$or`) owns a slot: one bit in every mask.
Every path that some rule names is asked once which slots its value fails; the slots that fail
nowhere have matched. No code runs per rule. So the cost of an event grows with the number of
distinct paths, and hardly with the number of rules. docs/decisions/0008-compiled-paths.md and
0005-matcher.md say why. Rules:

- Only paths that some rule names are looked at. The answer does not depend on the order of `add`
  and `remove`, nor on the events before.
- The masks decide exactly, but for what `Doubt` and `is_decided_by_index` name: these slots are
  verified one by one by `eventcore.patterns.evaluation`.
- A change is seen by the next match and rebuilds nothing but the touched look-ups. The code for the
  set of paths (`eventcore.patterns.event_reader`) is made again when that set has held for
  QUIET_EVENTS events; until then events are read the general way, with the same answers.
- Not for concurrent use; everything is synchronous. Memory is bounded by the rules and by
  `path_index.MEMO_BYTES_MAX`.
"""

from __future__ import annotations

from heapq import heappop, heappush
from typing import Final, final

import msgspec

from eventcore.patterns.evaluation import holds
from eventcore.patterns.event_reader import EventReader, build_reader
from eventcore.patterns.masks import slots_in, without
from eventcore.patterns.numbers import decode_event
from eventcore.patterns.path_index import MemoBudget, is_decided_by_index
from eventcore.patterns.path_tree import Doubt, PathTree
from eventcore.patterns.pattern import Branch, Pattern

__all__ = ["QUIET_EVENTS", "Matcher"]

QUIET_EVENTS: Final = 32
"""Events after the last change of the set of paths, before code is made for it."""


@final
class Matcher:
    """A set of rules, by number, and the question which of them match an event.

    Rules may be added and removed at any time; the next match sees it.
    """

    def __init__(self) -> None:
        self._slots_of_rule: dict[int, list[int]] = {}
        # By slot: its rule and its branch. Free slots keep their last rule and have no branch.
        self._rules: list[int] = []
        self._branches: list[Branch | None] = []
        self._free: list[int] = []
        self._used = 0
        self._undecided = 0
        self._has_alternatives = False
        self._budget = MemoBudget(self._renew_reader)
        self._doubt = Doubt()
        self._tree = PathTree(self._budget, self._doubt)
        self._reader: EventReader | None = None
        self._version_read = self._tree.version
        self._quiet_events = 0

    def __len__(self) -> int:
        return len(self._slots_of_rule)

    def add(self, rule: int, pattern: Pattern) -> None:
        """Adds a rule, whose number must not be in use. It costs what its values cost."""
        assert rule not in self._slots_of_rule, f"rule {rule} is there already"
        self._slots_of_rule[rule] = [self._add_branch(rule, branch) for branch in pattern.branches]
        self._has_alternatives |= len(pattern.branches) > 1
        self._see_paths()

    def remove(self, rule: int) -> None:
        """Removes a rule, which must be there."""
        for slot in self._slots_of_rule.pop(rule):
            self._remove_branch(slot)
        self._see_paths()

    def match_json(self, event: bytes | str) -> list[int]:
        """The numbers of the rules that match, ascending. `event` is the JSON text of the whole
        envelope.

        Raises ValueError if it is not a JSON object. Bytes that no rule asks about are not checked
        to be UTF-8.
        """
        read = self._reader
        if read is None:
            return self._match_any_shape(event)
        try:
            alive = read(event, self._used)
        except (AttributeError, TypeError, RecursionError, msgspec.DecodeError):
            return self._match_any_shape(event)
        self._budget.events += 1
        if alive & (self._undecided | self._doubt.slots):
            alive = self._verified(alive, _object_of(event))
        self._doubt.slots = 0
        return self._rules_of(alive) if alive else []

    def match(self, event: dict[str, object]) -> list[int]:
        """As `match_json`, for plain values as from `numbers.decode_event`."""
        self._budget.events += 1
        self._doubt.slots = 0
        alive = self._used ^ self._tree.root.failed_below(event)
        if alive & (self._undecided | self._doubt.slots):
            alive = self._verified(alive, event)
        self._doubt.slots = 0
        return self._rules_of(alive) if alive else []

    # -- rules -----------------------------------------------------------------------------------

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
            self._tree.add(condition, slot)
            if not is_decided_by_index(condition):
                self._undecided |= 1 << slot
        return slot

    def _remove_branch(self, slot: int) -> None:
        branch = self._branches[slot]
        assert branch is not None, "a rule's slots are in use"
        for condition in branch:
            self._tree.discard(condition, slot)
        self._branches[slot] = None
        self._used = without(self._used, 1 << slot)
        self._undecided = without(self._undecided, 1 << slot)
        # The lowest free slot is taken first: masks are as long as the highest used one.
        heappush(self._free, slot)

    # -- events ----------------------------------------------------------------------------------

    def _match_any_shape(self, event: bytes | str) -> list[int]:
        fields = _object_of(event)
        is_news = self._tree.root.learn(fields)
        self._quiet_events += 1
        if self._quiet_events == QUIET_EVENTS or (is_news and self._reader is not None):
            self._reader = build_reader(self._tree.root)
        return self.match(fields)

    def _verified(self, alive: int, event: dict[str, object]) -> int:
        """`alive` without the undecided slots whose branch does not hold."""
        for slot in slots_in(alive & (self._undecided | self._doubt.slots)):
            branch = self._branches[slot]
            assert branch is not None, "only slots in use survive"
            if not holds(branch, event):
                alive ^= 1 << slot
        return alive

    def _rules_of(self, alive: int) -> list[int]:
        rules = self._rules
        numbers = [rules[slot] for slot in slots_in(alive)]
        numbers.sort()
        if self._has_alternatives:
            # Several branches of one rule may hold.
            return list(dict.fromkeys(numbers))
        return numbers


def _object_of(event: bytes | str) -> dict[str, object]:
    fields = decode_event(event)
    if not isinstance(fields, dict):
        raise ValueError("an event is a JSON object")  # noqa: TRY004 - the input is bad
    return fields
