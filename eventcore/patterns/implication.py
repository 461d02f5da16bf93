"""Whether every event of one pattern also matches another, as far as that can be told for certain.

"True" is proved for every event of a bus, whatever is in its detail; "False" means only that it was
not proved. The proof goes condition by condition: each branch of the narrow pattern must imply one
of the wide pattern, and a branch implies another if each condition of the latter follows from the
condition of the former on the same path.

Conditions inside arrays of objects choose elements together. Without absence that does no harm:
the choice that satisfies the narrow branch satisfies the wide one, which has fewer conditions.
Absence is another question for each choice, so what follows from absence is taken as proved only
where both branches have chosen by conditions on the same paths before.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, TypeAlias

from eventcore.patterns.conditions import (
    Address,
    AnythingBut,
    AnyValue,
    Cidr,
    Condition,
    Exact,
    IgnoreCase,
    Prefix,
    PrefixIgnoreCase,
    Range,
    Suffix,
    SuffixIgnoreCase,
    ValueTest,
    Wildcard,
)
from eventcore.patterns.describe import describe_test
from eventcore.patterns.envelope import DETAIL, STRING_MEMBERS, accepts_all_strings
from eventcore.patterns.pattern import Branch, Pattern

__all__ = [
    "are_disjoint",
    "follows_from_envelope",
    "implies",
    "is_test_implied",
    "never_match_together",
]

_Glob: TypeAlias = tuple[tuple[str, ...], bool]
"""The pieces between stars, and whether case is ignored: then they are ASCII, in lower case."""

_ASCII_LOWER: Final = {ord(c): c.lower() for c in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"}


def implies(narrow: Pattern, wide: Pattern) -> bool:
    """Whether it is certain that every event of a bus that matches `narrow` matches `wide`."""
    return all(
        any(_branch_implies(branch, other) for other in wide.branches) for branch in narrow.branches
    )


def never_match_together(one: Pattern, other: Pattern) -> bool:
    """Whether it is certain that no event of a bus matches both patterns."""
    return all(
        _exclude_each_other(branch, second) for branch in one.branches for second in other.branches
    )


def follows_from_envelope(condition: Condition) -> bool:
    """Whether every event of a bus meets the condition."""
    return condition.path in STRING_MEMBERS and accepts_all_strings(condition.tests)


# -- branches --------------------------------------------------------------------------------------


def _branch_implies(narrow: Branch, wide: Branch) -> bool:
    narrow_by_path = {condition.path: condition for condition in narrow}
    wide_paths = {condition.path for condition in wide}
    if any(c.path not in narrow_by_path and not follows_from_envelope(c) for c in wide):
        return False
    for condition in wide:
        given = narrow_by_path.get(condition.path)
        if given is None or follows_from_envelope(condition):
            continue
        if given.may_be_absent and not condition.may_be_absent:
            return False
        if given.may_be_absent and not _choose_alike(given, narrow, wide_paths):
            return False
        if not _tests_imply(given.tests, condition.tests):
            return False
    return True


def _choose_alike(given: Condition, narrow: Branch, wide_paths: set[str]) -> bool:
    """Whether every condition of `narrow` before `given` that may choose an element of an array
    around it is one of the wide branch, too.
    """
    return all(
        condition.path in wide_paths
        for condition in narrow
        if condition.path < given.path and _may_share_array(condition, given)
    )


def _may_share_array(one: Condition, other: Condition) -> bool:
    """The root of an event is never in an array, and neither is its detail."""
    shared = 2 if one.steps[0] == DETAIL else 1
    return one.steps[:shared] == other.steps[:shared]


def _exclude_each_other(one: Branch, other: Branch) -> bool:
    """Only members that have one value are looked at: of an array, each may accept another item."""
    others = {c.path: c for c in other if c.path in STRING_MEMBERS and not c.may_be_absent}
    for condition in one:
        second = others.get(condition.path)
        if second is None or condition.may_be_absent:
            continue
        if all(are_disjoint(a, b) for a in condition.tests for b in second.tests):
            return True
    return False


# -- tests -----------------------------------------------------------------------------------------


def _tests_imply(narrow: Sequence[ValueTest], wide: Sequence[ValueTest]) -> bool:
    """Whether each narrow test implies one of the wide ones."""
    texts = {describe_test(test) for test in wide}
    # What a single value implies is that value, or a test of many values.
    many = [test for test in wide if not isinstance(test, Exact)]
    return all(
        describe_test(test) in texts or any(is_test_implied(test, other) for other in many)
        for test in narrow
    )


def is_test_implied(narrow: ValueTest, wide: ValueTest) -> bool:
    """Whether it is certain that every leaf that `narrow` accepts is accepted by `wide`."""
    if isinstance(wide, AnyValue):
        return True
    if isinstance(narrow, Exact):
        return wide.accepts(narrow.value)
    if isinstance(wide, AnythingBut):
        if isinstance(narrow, AnythingBut):
            return _tests_imply(wide.refused, narrow.refused)
        return not wide.refused or (
            not isinstance(narrow, AnyValue) and all(are_disjoint(narrow, r) for r in wide.refused)
        )
    match narrow, wide:
        case Range(), Range():
            return narrow.low >= narrow.high or (
                wide.low <= narrow.low and narrow.high <= wide.high
            )
        case Address(bits), Address(other):
            return bits == other
        case Address(bits), Cidr():
            return wide.version == 6 and bits >> wide.host_bits == wide.network
        case Cidr(), Cidr():
            return _is_part_of(narrow, wide)
    return _glob_implies(_glob_of(narrow), _glob_of(wide)) or (
        _accepts_strings_only(narrow) and accepts_all_strings((wide,))
    )


def are_disjoint(one: ValueTest, other: ValueTest) -> bool:
    """Whether it is certain that no leaf is accepted by both tests."""
    if isinstance(one, Exact):
        return not other.accepts(one.value)
    if isinstance(other, Exact):
        return not one.accepts(other.value)
    if isinstance(one, AnythingBut | AnyValue) or isinstance(other, AnythingBut | AnyValue):
        return _is_refused_by(one, other) or _is_refused_by(other, one)
    if isinstance(one, Range) or isinstance(other, Range):
        if isinstance(one, Range) and isinstance(other, Range):
            return one.high <= other.low or other.high <= one.low
        return True
    first, second = _glob_of(one), _glob_of(other)
    return first is not None and second is not None and _globs_are_disjoint(first, second)


def _is_refused_by(one: ValueTest, but: ValueTest) -> bool:
    """Whether `but` refuses everything that `one` accepts."""
    if not isinstance(but, AnythingBut) or isinstance(one, AnyValue | AnythingBut):
        return False
    return any(is_test_implied(one, refused) for refused in but.refused)


def _accepts_strings_only(test: ValueTest) -> bool:
    return not isinstance(test, Range | AnyValue | AnythingBut | Exact)


def _is_part_of(narrow: Cidr, wide: Cidr) -> bool:
    if narrow.version != wide.version or narrow.host_bits > wide.host_bits:
        return False
    return narrow.network >> (wide.host_bits - narrow.host_bits) == wide.network


# -- texts with stars ------------------------------------------------------------------------------


def _glob_of(test: ValueTest) -> _Glob | None:
    """A test of a string's text as pieces between stars; None if it cannot be written so."""
    match test:
        case Exact(str() as text):
            return (text,), False
        case Prefix(text):
            return (text, ""), False
        case Suffix(text):
            return ("", text), False
        case Wildcard(pieces):
            return pieces, False
        case IgnoreCase(text):
            return _folded((text,))
        case PrefixIgnoreCase(text):
            return _folded((text, ""))
        case SuffixIgnoreCase(text):
            return _folded(("", text))
        case _:
            return None


def _folded(pieces: tuple[str, ...]) -> _Glob | None:
    """Beyond ASCII, what a spelling is depends on the character (`eventcore.patterns.folding`)."""
    if not all(map(str.isascii, pieces)):
        return None
    return _lowered(pieces), True


def _lowered(pieces: Iterable[str]) -> tuple[str, ...]:
    return tuple(piece.translate(_ASCII_LOWER) for piece in pieces)


def _glob_implies(narrow: _Glob | None, wide: _Glob | None) -> bool:
    """Whether `wide` matches `narrow` with its stars read as a character that only a star takes."""
    if narrow is None or wide is None:
        return False
    (pieces, is_folded), (wide_pieces, is_wide_folded) = narrow, wide
    if is_folded and not is_wide_folded:
        return False
    if is_wide_folded:
        pieces = _lowered(pieces)
    star = _unused_character((*pieces, *wide_pieces))
    return Wildcard(wide_pieces).accepts(star.join(pieces))


def _globs_are_disjoint(one: _Glob, other: _Glob) -> bool:
    """Whether both begin, or both end, in texts that cannot be the beginning, or end, of one."""
    (pieces, is_folded), (others, is_other_folded) = one, other
    if is_folded or is_other_folded:
        pieces, others = _lowered(pieces), _lowered(others)
    if len(pieces) == 1:
        return not Wildcard(others).accepts(pieces[0])
    if len(others) == 1:
        return not Wildcard(pieces).accepts(others[0])
    head, other_head, tail, other_tail = pieces[0], others[0], pieces[-1], others[-1]
    heads_agree = head.startswith(other_head) or other_head.startswith(head)
    tails_agree = tail.endswith(other_tail) or other_tail.endswith(tail)
    return not (heads_agree and tails_agree)


def _unused_character(texts: Iterable[str]) -> str:
    used = set().union(*texts)
    return next(c for c in map(chr, range(0xE000, 0xF8FF)) if c not in used)
