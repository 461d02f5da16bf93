"""A script that shows a difference, made smaller for as long as it still shows one of its kind."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from tests.patterns.comparison import Add, Match, Step
from tests.patterns.json_text import read_tree, smaller_trees, write_tree

__all__ = ["smallest"]

TRIES_MAX: Final = 4_000


def smallest(script: Sequence[Step], is_wrong: Callable[[list[Step]], bool]) -> list[Step]:
    """The smallest script found, by dropping steps and then parts of their JSON texts.

    `is_wrong` says whether a script still shows the difference; it is asked TRIES_MAX times at
    most.
    """
    best = list(script)
    tries = 0
    is_better = True
    while is_better:
        is_better = False
        for candidate in _candidates(best):
            tries += 1
            if tries > TRIES_MAX:
                return best
            if is_wrong(candidate):
                best, is_better = candidate, True
                break
    return best


def _candidates(script: list[Step]) -> Iterator[list[Step]]:
    """Smaller scripts, those that lose most first."""
    size = len(script) // 2
    while size:
        for start in range(0, len(script), size):
            yield [*script[:start], *script[start + size :]]
        size //= 2
    for place, step in enumerate(script):
        for smaller in _smaller_steps(step):
            yield [*script[:place], smaller, *script[place + 1 :]]


def _smaller_steps(step: Step) -> Iterator[Step]:
    if isinstance(step, Add):
        for tree in smaller_trees(read_tree(step.pattern)):
            yield Add(step.rule, write_tree(tree))
    elif isinstance(step, Match):
        for tree in smaller_trees(read_tree(step.event)):
            yield Match(write_tree(tree))
