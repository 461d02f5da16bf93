"""From the tree of an event pattern to its conditions.

- A path that is given twice keeps the later list, as in AWS. `$or` copies the conditions read so
  far into each of its alternatives; what follows it is added to all of them.
- A pattern is bounded: DEPTH_MAX levels (a dot in a name makes one, too), BRANCHES_MAX combinations
  of `$or` alternatives, and CONDITIONS_MAX conditions in all of them. The number of its characters
  is the caller's to bound (`Dialect.size_max`), since AWS answers that as another error.
- What many patterns have in common (paths, their steps, short strings) is one object for all.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final, final

from eventcore.errors import InvalidParameter, InvalidPattern
from eventcore.patterns.conditions import Condition
from eventcore.patterns.dialects import BUS, Dialect
from eventcore.patterns.parser import (
    DEPTH_MAX,
    FieldNode,
    ObjectNode,
    OrNode,
    ValuesNode,
    fault_at,
    parse,
)
from eventcore.patterns.pattern import Pattern

__all__ = [
    "BRANCHES_MAX",
    "COMBINATIONS_COUNTED",
    "CONDITIONS_MAX",
    "DEPTH_MAX",
    "combinations_of",
    "compile_pattern",
]

BRANCHES_MAX: Final = 1_000
"""Combinations that the `$or`s of one pattern may make (AWS allows as many)."""
CONDITIONS_MAX: Final = 100_000
"""Conditions in all combinations together."""

COMBINATIONS_COUNTED: Final = 1_000_000
"""Where counting a filter policy's combinations ends."""

_SHARED_PATHS: Final = 4_096
_SHARED_PATH_CHARACTERS_MAX: Final = 200

_Draft = dict[str, Condition]
"""The conditions of one branch so far, by path."""


def compile_pattern(
    text: str, dialect: Dialect = BUS, *, allow_duplicate_paths: bool = True
) -> Pattern:
    """The pattern that `text` describes.

    Raises InvalidPattern, whose `reason` is AWS's text with its location. Unlike event-ruler, text
    behind the closing brace is an error. Without `allow_duplicate_paths` a path that is given twice
    in one combination is an error, too. Raises InvalidParameter("pattern") for what is no str.
    """
    if not isinstance(text, str):
        raise InvalidParameter("pattern", "Must be JSON text as str.", text)
    try:
        tree = parse(text, dialect)
        _check_caps(tree, dialect)
        drafts = _Compiler(text, allow_duplicate_paths).compile(tree)
    except InvalidPattern as error:
        raise InvalidPattern(error.reason, dialect.noun) from None
    branches = tuple([tuple([draft[path] for path in sorted(draft)]) for draft in drafts])
    return Pattern(text, branches, dialect.name)


@final
class _Compiler:
    """Builds the branches of one pattern."""

    def __init__(self, text: str, allow_duplicate_paths: bool) -> None:
        self._text = text
        self._allow_duplicate_paths = allow_duplicate_paths
        self._conditions = 0

    def compile(self, tree: ObjectNode) -> list[_Draft]:
        """One draft for each combination of alternatives; at least one."""
        drafts: list[_Draft] = []
        self._add_object(tree, drafts, "")
        return drafts or [{}]

    def _add_object(self, node: ObjectNode, drafts: list[_Draft], prefix: str) -> None:
        """Adds what the members below `prefix` ask for to every draft."""
        for member in node.members:
            if isinstance(member, OrNode):
                self._add_or(member, drafts, prefix)
                continue
            value = member.value
            path = prefix + member.name
            if isinstance(value, ObjectNode):
                self._add_object(value, drafts, path + ".")
            else:
                self._add_condition(value, drafts, path)

    def _add_condition(self, node: ValuesNode, drafts: list[_Draft], path: str) -> None:
        if len(path) <= _SHARED_PATH_CHARACTERS_MAX:
            path, steps = _shared_path(path)
        else:
            steps = tuple(path.split("."))
        if len(steps) > DEPTH_MAX:
            reason = f"An event pattern has at most {DEPTH_MAX} levels"
            raise fault_at(self._text, node.end, reason)
        condition = Condition(path, steps, node.tests, node.may_be_absent)
        if not drafts:
            drafts.append({})
        self._count(len(drafts), node.end)
        for draft in drafts:
            if not self._allow_duplicate_paths and path in draft:
                reason = f"Path `{path}` cannot be allowed multiple times"
                raise fault_at(self._text, node.end, reason)
            draft[path] = condition

    def _add_or(self, node: OrNode, drafts: list[_Draft], prefix: str) -> None:
        """Replaces each draft by one copy per alternative."""
        before = drafts[:] or [{}]
        conditions_before = sum(map(len, before))
        drafts.clear()
        for alternative in node.alternatives:
            self._count(conditions_before, alternative.end)
            copies = [draft.copy() for draft in before]
            self._add_object(alternative, copies, prefix)
            drafts.extend(copies)
            if len(drafts) > BRANCHES_MAX:
                reason = f"Rule is too complex - $or makes more than {BRANCHES_MAX} combinations"
                raise fault_at(self._text, alternative.end, reason)

    def _count(self, conditions: int, end: int) -> None:
        """Bounds the work, which is what counts here: replaced and copied conditions, too."""
        self._conditions += conditions
        if self._conditions > CONDITIONS_MAX:
            reason = f"Rule is too complex - it makes more than {CONDITIONS_MAX} conditions"
            raise fault_at(self._text, end, reason)


@lru_cache(_SHARED_PATHS)
def _shared_path(path: str) -> tuple[str, tuple[str, ...]]:
    """The path and its steps, the same objects for every pattern that names it."""
    return path, tuple(path.split("."))


# -- the caps of SNS -----------------------------------------------------------------------------


def _check_caps(tree: ObjectNode, dialect: Dialect) -> None:
    if not dialect.nests and _is_nested(tree):
        raise InvalidPattern(dialect.nesting_fault)
    if dialect.keys_max is not None and _keys_of(tree) > dialect.keys_max:
        raise InvalidPattern(dialect.keys_fault)
    if dialect.combinations_max is not None and combinations_of(tree) > dialect.combinations_max:
        raise InvalidPattern(dialect.combinations_fault)


def _is_nested(node: ObjectNode) -> bool:
    return any(
        any(map(_is_nested, member.alternatives))
        if isinstance(member, OrNode)
        else isinstance(member.value, ObjectNode)
        for member in node.members
    )


def _keys_of(tree: ObjectNode) -> int:
    """Different names of the outermost object; an `$or` is one of them."""
    return len({each.name if isinstance(each, FieldNode) else "$or" for each in tree.members})


def combinations_of(node: ObjectNode, depth: int = 1, combinations: int = 1) -> int:
    """How many combinations of values SNS counts in a filter policy.

    The product over all fields of the length of their list, times the level at which it stands (1
    for the outermost). The alternatives of an `$or` are counted each with what came before it, and
    added. Beyond COMBINATIONS_COUNTED it stops counting.
    """
    for member in node.members:
        if isinstance(member, OrNode):
            combinations = sum(
                combinations_of(each, depth, combinations) for each in member.alternatives
            )
        elif isinstance(member.value, ObjectNode):
            combinations = combinations_of(member.value, depth + 1, combinations)
        else:
            values = len(member.value.tests) + member.value.may_be_absent
            combinations *= values * depth
        combinations = min(combinations, COMBINATIONS_COUNTED)
    return combinations
