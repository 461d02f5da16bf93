"""Strings without regard to case, as event-ruler compares them.

Each character of a *pattern* stands for two spellings, its lower and its upper case, which may have
several characters: `ß` accepts `ß` and `SS`, but not `ss`. So the relation is not symmetric, and no
folding of both sides decides it. For ASCII it is the usual one.

- `fold` is a necessary condition: what a pattern accepts has the pattern's folding. It works
  character by character: the folding of a start is the start of the folding.
- If both strings are ASCII, equal foldings are also sufficient.
"""

from __future__ import annotations

__all__ = ["ends_alike", "fold", "is_alike", "starts_alike"]


def fold(text: str) -> str:
    """A string that all spellings of `text` have in common."""
    return text.lower() if text.isascii() else text.upper().casefold()


def is_alike(pattern: str, text: str) -> bool:
    """Whether `text` is a spelling of `pattern`."""
    if pattern.isascii() and text.isascii():
        return pattern.lower() == text.lower()
    return len(text) in _ends(pattern, text)


def starts_alike(pattern: str, text: str) -> bool:
    """Whether `text` begins with a spelling of `pattern`."""
    return bool(_ends(pattern, text))


def ends_alike(pattern: str, text: str) -> bool:
    """Whether `text` ends in a spelling of `pattern`."""
    starts = {len(text)}
    for character in reversed(pattern):
        starts = {
            start - len(spelling)
            for start in starts
            for spelling in (character.lower(), character.upper())
            if text.endswith(spelling, 0, start)
        }
        if not starts:
            return False
    return True


def _ends(pattern: str, text: str) -> set[int]:
    """Where spellings of `pattern` that begin the text may end: two or three places at most."""
    ends = {0}
    for character in pattern:
        ends = {
            end + len(spelling)
            for end in ends
            for spelling in (character.lower(), character.upper())
            if text.startswith(spelling, end)
        }
        if not ends:
            break
    return ends
