"""The slots that an event fails, exactly, also where its arrays leave `PathNode.failed` in doubt.

`evaluation.holds` for all slots at once: what it decides for one branch by looking at its
conditions is decided here by masks. So the cost is that of one walk over the part of the event that
the paths name, times the depth of arrays, whatever the number of rules. In doubt are only slots
with a condition that absence satisfies below an array, and with conditions at and below a node
whose array holds arrays; so this walk is rare, and takes plain values only.

How an array decides (the rules are those of `evaluation`):

- Of a path without any leaf in the array, absence is what counts, for all elements.
- Of the paths with a leaf, in the order of their names, a slot's first one must be satisfied by a
  leaf: when it is asked no element is chosen yet, so something is there. Which slots may not count
  on absence, and where, is `strict`.
- One element must satisfy all the rest; but a leaf that lies directly in the array is no element,
  so the rest may be satisfied apart from it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeAlias

from msgspec import UNSET

from eventcore.patterns.dotted import nest_dotted_keys
from eventcore.patterns.evaluation import ARRAYS_MAX, flattened
from eventcore.patterns.masks import without
from eventcore.patterns.path_tree import PathNode

__all__ = ["failed_exactly"]

_Strict: TypeAlias = dict[PathNode, int]
"""By node: the slots that absence does not satisfy there, though their condition allows it."""

_NOBODY: Final[_Strict] = {}


def failed_exactly(root: PathNode, event: dict[str, object]) -> int:
    """The slots with a failing condition. `event` is what `decode_event` gives."""
    return _failed_below(root, event, _NOBODY, 0)


def _failed(node: PathNode, value: object, strict: _Strict, arrays: int) -> int:
    """At and below a node, of which `value` is what the event has there."""
    if isinstance(value, dict):
        return _absent_at(node, strict) | _failed_below(node, value, strict, arrays)
    if isinstance(value, list):
        return _failed_in_array(node, value, strict, arrays, with_node=True)
    if value is UNSET:
        return _absent_at(node, strict) | _absent_below(node, strict)
    failed = _absent_below(node, strict)
    return failed if node.index is None else failed | node.index[value]


def _failed_below(node: PathNode, fields: dict[str, object], strict: _Strict, arrays: int) -> int:
    if node.spellings:
        fields = nest_dotted_keys(fields, node.spellings)
    failed = 0
    for step, child in node.children.items():
        failed |= _failed(child, fields.get(step, UNSET), strict, arrays)
    return failed


def _absent_at(node: PathNode, strict: _Strict) -> int:
    if node.index is None:
        return 0
    return node.index.missing | (node.index.absent & strict.get(node, 0))


def _absent_below(node: PathNode, strict: _Strict) -> int:
    if not strict:
        return node.missing_below
    failed = 0
    for child in node.children.values():
        failed |= _absent_at(child, strict) | _absent_below(child, strict)
    return failed


def _failed_in_array(
    node: PathNode, items: list[object], strict: _Strict, arrays: int, *, with_node: bool
) -> int:
    """At and below a node that has an array; without `with_node` only below."""
    if arrays >= ARRAYS_MAX:
        items = flattened(items)
    present: set[PathNode] = set()
    _note_leaves(node, items, present)
    in_order = _in_order(node, with_node=with_node)
    failed = 0
    for each in in_order:
        if each not in present:
            failed |= _absent_at(each, strict)
    stricter, named = _first_needs_leaf([each for each in in_order if each in present], strict)
    if not named:
        return failed
    if node.index is None or not with_node or node not in present:
        found = _failed_in_elements(node, items, stricter, arrays, with_node=with_node)
        return failed | (named if found < 0 else found)
    return failed | _failed_beside_leaf(node, items, strict, stricter, arrays, in_order, present)


def _failed_beside_leaf(
    node: PathNode,
    items: list[object],
    strict: _Strict,
    stricter: _Strict,
    arrays: int,
    in_order: list[PathNode],
    present: set[PathNode],
) -> int:
    """Of an array with leaves of the node itself: a leaf that lies directly in it may satisfy the
    condition at the node, and then an element the conditions below; or a leaf in an inner array,
    which is an element, satisfies it together with the others.
    """
    assert node.index is not None, "a leaf of a node without conditions is not looked for"
    below = [each for each in in_order if each in present and each is not node]
    below_strict, named_below = _first_needs_leaf(below, strict)
    objects = [item for item in items if isinstance(item, dict)]
    lists = [item for item in items if isinstance(item, list)]
    # An object has no leaf of the node, so what is strict there decides nothing here.
    in_objects = _failed_in_elements(node, objects, below_strict, arrays, with_node=False)
    together = _failed_in_elements(node, lists, stricter, arrays, with_node=True)
    apart = in_objects & _failed_in_elements(node, lists, below_strict, arrays, with_node=False)
    if apart < 0 or not named_below:
        apart = named_below
    here = node.index.mentions
    for item in items:
        if not isinstance(item, (dict, list)):
            here &= node.index[item]
    slots = node.index.mentions
    in_elements = (in_objects | slots) & together
    if in_elements < 0:
        in_elements = slots | named_below
    return without(in_elements, without(slots, here | apart))


def _first_needs_leaf(present: list[PathNode], strict: _Strict) -> tuple[_Strict, int]:
    """`strict`, and of each slot the first of its nodes; with the slots that have one."""
    stricter, named = dict(strict), 0
    for node in present:
        assert node.index is not None, "only nodes with conditions are in order"
        stricter[node] = strict.get(node, 0) | without(node.index.mentions, named)
        named |= node.index.mentions
    return stricter, named


def _failed_in_elements(
    node: PathNode, items: Sequence[object], strict: _Strict, arrays: int, *, with_node: bool
) -> int:
    """The slots that fail in every element; -1, all bits, if there is no element."""
    failed = -1
    at_node = _absent_at(node, strict) if with_node else 0
    for item in items:
        if isinstance(item, dict):
            failed &= at_node | _failed_below(node, item, strict, arrays + 1)
        elif isinstance(item, list):
            failed &= _failed_in_array(node, item, strict, arrays + 1, with_node=with_node)
        if not failed:
            break
    return failed


def _note_leaves(node: PathNode, items: list[object], present: set[PathNode]) -> None:
    """Notes the nodes, at and below `node`, of which there is a leaf in the array."""
    waiting: list[tuple[PathNode, object]] = [(node, items)]
    while waiting:
        at, value = waiting.pop()
        if isinstance(value, list):
            waiting.extend((at, item) for item in value)
        elif isinstance(value, dict):
            if at.spellings:
                value = nest_dotted_keys(value, at.spellings)
            for step, child in at.children.items():
                if step in value:
                    waiting.append((child, value[step]))
        else:
            present.add(at)


def _in_order(node: PathNode, *, with_node: bool) -> list[PathNode]:
    """The nodes with conditions at and below `node`, in the order of their paths."""
    found: list[tuple[str, PathNode]] = []
    waiting = [("", node)]
    while waiting:
        path, at = waiting.pop()
        if at.index is not None and (with_node or at is not node):
            found.append((path, at))
        waiting.extend((f"{path}.{step}", child) for step, child in at.children.items())
    found.sort(key=lambda entry: entry[0])
    return [at for _, at in found]
