"""Whether one pattern matches one event.

`TestEventPattern`, filter policies and filters on records ask this. A pattern with many
alternatives is asked like many rules, through an index that is made for it, because `$or` makes up
to a thousand branches of 4,096 characters and an event may have an array of thousands of objects.
So the cost is linear in the one and in the other, not in their product.
"""

from __future__ import annotations

from typing import Final

from eventcore.patterns.evaluation import holds
from eventcore.patterns.path_index import MemoBudget
from eventcore.patterns.pattern import Pattern
from eventcore.patterns.rule_index import RuleIndex

__all__ = ["matches"]

_FEW_BRANCHES: Final = 8
"""So many branches are asked one by one."""


def matches(pattern: Pattern, event: dict[str, object]) -> bool:
    """Whether the event, the whole envelope as from `numbers.decode_event`, matches."""
    if len(pattern.branches) <= _FEW_BRANCHES:
        return any(holds(branch, event) for branch in pattern.branches)
    index = RuleIndex(MemoBudget())
    for number, branch in enumerate(pattern.branches):
        index.add((0, number), branch)
    found: list[int] = []
    index.match(event, found)
    return bool(found)
