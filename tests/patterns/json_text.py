"""JSON texts as trees and back, with all that a plain reader loses.

Objects are Members, so names may repeat. Numbers are Written, so `3.0e2` stays `3.0e2`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from random import Random
from typing import Any

from tests.patterns.pattern_oracle import Members

__all__ = ["Written", "read_tree", "smaller_trees", "write_tree"]

_ESCAPED_SHARE = 0.1


class Written(str):
    """A number, as it was written."""

    __slots__ = ()


def read_tree(text: str) -> Any:
    """The tree of a JSON text."""
    return json.loads(text, object_pairs_hook=Members, parse_float=Written, parse_int=Written)


def write_tree(tree: Any, random: Random | None = None) -> str:
    """The JSON text of a tree. With `random` it has spaces and escapes that nobody needs."""
    if isinstance(tree, Written):
        return str(tree)
    if isinstance(tree, str):
        return _quoted(tree, random)
    space = random.choice(["", "", " ", "\n\t"]) if random else ""
    if isinstance(tree, Members):
        items = [
            f"{_quoted(name, random)}{space}:{space}{write_tree(inner, random)}"
            for name, inner in tree
        ]
        return f"{{{space}{f'{space},{space}'.join(items)}{space}}}"
    if isinstance(tree, list):
        items = [write_tree(inner, random) for inner in tree]
        return f"[{space}{f'{space},{space}'.join(items)}{space}]"
    return {True: "true", False: "false", None: "null"}[tree]


def _quoted(text: str, random: Random | None) -> str:
    if random is None:
        return json.dumps(text, ensure_ascii=False)
    return '"' + "".join(_spelled(character, random) for character in text) + '"'


def _spelled(character: str, random: Random) -> str:
    if random.random() >= _ESCAPED_SHARE:
        return json.dumps(character, ensure_ascii=False)[1:-1]
    units = character.encode("utf-16-be").hex()
    return "".join(f"\\u{units[place : place + 4]}" for place in range(0, len(units), 4))


def smaller_trees(tree: Any) -> Iterator[Any]:
    """Trees that differ from this one in one place and are smaller there."""
    if isinstance(tree, Members):
        for place, (name, inner) in enumerate(tree):
            before, after = tree[:place], tree[place + 1 :]
            yield Members([*before, *after])
            yield from (Members([*before, (name, each), *after]) for each in smaller_trees(inner))
    elif isinstance(tree, list):
        for place, inner in enumerate(tree):
            before, after = tree[:place], tree[place + 1 :]
            yield [*before, *after]
            yield from ([*before, each, *after] for each in smaller_trees(inner))
        if len(tree) == 1:
            yield tree[0]
    elif isinstance(tree, Written):
        yield from (Written(digit) for digit in "01" if (len(tree), tree) > (1, digit))
    elif isinstance(tree, str):
        yield from (tree[:place] + tree[place + 1 :] for place in range(len(tree)))
