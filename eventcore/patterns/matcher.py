"""All rules at once: which of them match an event.

Rules:

- The answer does not depend on the order of `add` and `remove`, nor on the events before. A change
  is seen by the next match and never rebuilds the whole: what it costs hardly depends on the number
  of rules.
- No code runs per rule (`eventcore.patterns.rule_index`), and where there are many, most are not
  even looked at (`eventcore.patterns.partition`).
- Not for concurrent use; everything is synchronous. Memory is bounded by the rules and by
  `path_index.BYTES_MAX`.
"""

from __future__ import annotations

from typing import final

from eventcore.patterns.partition import Partition
from eventcore.patterns.path_index import MemoBudget
from eventcore.patterns.pattern import Branch, Pattern

__all__ = ["Matcher"]


@final
class Matcher:
    """A set of rules, by number, and the question which of them match an event.

    Rules may be added and removed at any time; the next match sees it.
    """

    def __init__(self) -> None:
        self._branches: dict[int, tuple[Branch, ...]] = {}
        self._partition = Partition(MemoBudget())

    def __len__(self) -> int:
        return len(self._branches)

    def add(self, rule: int, pattern: Pattern) -> None:
        """Adds a rule, whose number must not be in use. It costs what its values cost."""
        assert rule not in self._branches, f"rule {rule} is there already"
        self._branches[rule] = pattern.branches
        for number, branch in enumerate(pattern.branches):
            self._partition.add((rule, number), branch)

    def remove(self, rule: int) -> None:
        """Removes a rule, which must be there."""
        branches = self._branches.pop(rule)
        for number, branch in enumerate(branches):
            self._partition.remove((rule, number), branch)

    def match_json(self, event: bytes | str) -> list[int]:
        """The numbers of the rules that match, ascending. `event` is the JSON text of the whole
        envelope.

        Raises ValueError if it is not a JSON object, as far as it is read: what no rule asks about
        is skipped, and its bytes are not checked to be UTF-8.
        """
        found: list[int] = []
        self._partition.match_text(event, found)
        return _ascending(found)

    def match(self, event: dict[str, object]) -> list[int]:
        """As `match_json`, for plain values as from `numbers.decode_event`."""
        found: list[int] = []
        self._partition.match(event, found)
        return _ascending(found)


def _ascending(rules: list[int]) -> list[int]:
    """In order, each once: several branches of a rule may hold, and one in several places."""
    if len(rules) < 2:
        return rules
    return sorted(set(rules))
