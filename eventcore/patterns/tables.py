"""Look-up tables from an event's value to the conditions that accept it.

A condition is known here by its *slot*, a small number; a set of slots is a *mask*, an int with one
bit per slot. A table answers for one value with the mask of all slots that accept it, in a time
that does not grow with the number of values it holds. The tables together give the answers of
`ValueTest.accepts`.

`add` and `discard` are called with the same arguments, once each per slot and test.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Hashable, Iterable
from typing import Final, final

from eventcore.patterns.addresses import ipv6_of
from eventcore.patterns.conditions import (
    Address,
    AnythingBut,
    AnyValue,
    Exact,
    Prefix,
    Range,
    Suffix,
    ValueTest,
    as_double,
    is_number,
)
from eventcore.patterns.numbers import canonical_number

__all__ = ["MaskTable", "RangeTable", "ValueTables", "without"]

_CUTS_PER_CHECKPOINT: Final = 8
"""Memory against time: one mask is kept for, and a look-up reads, up to so many bounds."""


def without(mask: int, other: int) -> int:
    """`mask & ~other`, four times as fast for long masks: Python's `~` is a negative number."""
    return mask ^ (mask & other)


@final
class MaskTable:
    """Key -> mask. A key with one slot, the usual case, costs a small int and no mask."""

    __slots__ = ("_masks", "_slots")

    def __init__(self) -> None:
        self._slots: dict[Hashable, int] = {}
        self._masks: dict[Hashable, int] = {}

    def __len__(self) -> int:
        return len(self._slots) + len(self._masks)

    def get(self, key: Hashable) -> int:
        """The mask of the slots of `key`, 0 if there are none."""
        slot = self._slots.get(key)
        if slot is not None:
            return 1 << slot
        return self._masks.get(key, 0)

    def add(self, key: Hashable, slot: int) -> None:
        """Gives `key` one slot more; adding twice is adding once."""
        mask = self.get(key) | 1 << slot
        if mask & (mask - 1):
            self._slots.pop(key, None)
            self._masks[key] = mask
        else:
            self._slots[key] = slot

    def discard(self, key: Hashable, slot: int) -> None:
        """Takes the slot from `key`, if it is there."""
        if self._slots.get(key) == slot:
            del self._slots[key]
        mask = self._masks.pop(key, 0) & ~(1 << slot)
        if mask & (mask - 1):
            self._masks[key] = mask
        elif mask:
            self._slots[key] = mask.bit_length() - 1


@final
class RangeTable:
    """Ranges of doubles per slot -> the slots with a range around a number.

    A slot's ranges are joined until none overlap; then the number lies in one of them if and only
    if an odd number of their bounds is not above it. So a look-up is the exclusive or of the slots
    of all bounds up to the number: one bisection, one checkpoint, at most _CUTS_PER_CHECKPOINT
    single bounds.
    """

    __slots__ = ("_checkpoints", "_cuts", "_slots")

    def __init__(self) -> None:
        self._cuts: list[float] = []
        self._slots = MaskTable()
        # [i] covers the cuts before i * _CUTS_PER_CHECKPOINT; built as far as was needed.
        self._checkpoints: list[int] = [0]

    def __len__(self) -> int:
        return len(self._cuts)

    def add(self, ranges: Iterable[Range], slot: int) -> None:
        """Enters all ranges of a slot; a slot is entered once."""
        for cut in _joined_bounds(ranges):
            if not self._slots.get(cut):
                self._insert(cut)
            self._slots.add(cut, slot)
            self._forget_from(cut)

    def discard(self, ranges: Iterable[Range], slot: int) -> None:
        """Takes out what `add` entered."""
        for cut in _joined_bounds(ranges):
            self._forget_from(cut)
            self._slots.discard(cut, slot)
            if not self._slots.get(cut):
                del self._cuts[bisect_left(self._cuts, cut)]

    def get(self, number: float) -> int:
        """The mask of the slots with a range that holds `number`."""
        position = bisect_right(self._cuts, number)
        checkpoint = position // _CUTS_PER_CHECKPOINT
        while len(self._checkpoints) <= checkpoint:
            self._checkpoints.append(self._checkpoints[-1] ^ self._block(len(self._checkpoints)))
        mask = self._checkpoints[checkpoint]
        for cut in self._cuts[checkpoint * _CUTS_PER_CHECKPOINT : position]:
            mask ^= self._slots.get(cut)
        return mask

    def _block(self, checkpoint: int) -> int:
        mask = 0
        end = checkpoint * _CUTS_PER_CHECKPOINT
        for cut in self._cuts[end - _CUTS_PER_CHECKPOINT : end]:
            mask ^= self._slots.get(cut)
        return mask

    def _insert(self, cut: float) -> None:
        self._cuts.insert(bisect_left(self._cuts, cut), cut)

    def _forget_from(self, cut: float) -> None:
        valid = bisect_left(self._cuts, cut) // _CUTS_PER_CHECKPOINT + 1
        del self._checkpoints[valid:]


def _joined_bounds(ranges: Iterable[Range]) -> list[float]:
    """The bounds of the ranges' union: start, end, start, end..., ascending and distinct."""
    bounds: list[float] = []
    for low, high in sorted((each.low, each.high) for each in ranges if each.low < each.high):
        if bounds and low <= bounds[-1]:
            bounds[-1] = max(bounds[-1], high)
        else:
            bounds += (low, high)
    return bounds


@final
class ValueTables:
    """The slots that accept a value, by any kind of test but AnyValue and AnythingBut."""

    __slots__ = (
        "_addresses",
        "_literals",
        "_numbers",
        "_prefixes",
        "_ranges",
        "_strings",
        "_suffixes",
    )

    def __init__(self) -> None:
        self._strings = MaskTable()
        self._numbers = MaskTable()
        # Apart from the numbers: to a dict, True is 1.
        self._literals = MaskTable()
        self._addresses = MaskTable()
        self._ranges = RangeTable()
        # By length: one slice of the value and one look-up per length, not per text.
        self._prefixes: dict[int, MaskTable] = {}
        self._suffixes: dict[int, MaskTable] = {}

    def get(self, value: object) -> int:
        """The mask of the slots that accept `value`, which is a leaf."""
        if isinstance(value, str):
            return self._get_string(value)
        if value is None or isinstance(value, bool):
            return self._literals.get(value)
        assert is_number(value), "an event holds JSON values only"
        mask = self._numbers.get(canonical_number(value))
        if self._ranges:
            number = as_double(value)
            if number is not None:
                mask |= self._ranges.get(number)
        return mask

    def add(self, tests: tuple[ValueTest, ...], slot: int) -> None:
        """Enters the tests of one condition."""
        for test in tests:
            entry = self._locate(test)
            if entry is not None:
                table, key = entry
                table.add(key, slot)
        self._ranges.add((test for test in tests if isinstance(test, Range)), slot)

    def discard(self, tests: tuple[ValueTest, ...], slot: int) -> None:
        """Takes out what `add` entered with the same arguments."""
        for test in tests:
            entry = self._locate(test)
            if entry is not None:
                table, key = entry
                table.discard(key, slot)
            if isinstance(test, Prefix) and not self._prefixes[len(test.text)]:
                del self._prefixes[len(test.text)]
            if isinstance(test, Suffix) and not self._suffixes[len(test.text)]:
                del self._suffixes[len(test.text)]
        self._ranges.discard((test for test in tests if isinstance(test, Range)), slot)

    def _locate(self, test: ValueTest) -> tuple[MaskTable, Hashable] | None:
        """The table of a test and its key there; None if it is entered elsewhere."""
        match test:
            case Exact(value) if isinstance(value, str):
                return self._strings, value
            case Exact(value) if value is None or isinstance(value, bool):
                return self._literals, value
            case Exact(value):
                return self._numbers, value
            case Address(bits):
                return self._addresses, bits
            case Prefix(text):
                return self._prefixes.setdefault(len(text), MaskTable()), text
            case Suffix(text):
                return self._suffixes.setdefault(len(text), MaskTable()), text
            case Range() | AnyValue() | AnythingBut():
                return None

    def _get_string(self, value: str) -> int:
        mask = self._strings.get(value)
        for length, table in self._prefixes.items():
            mask |= table.get(value[:length])
        if self._suffixes:
            size = len(value)
            for length, table in self._suffixes.items():
                # A start below 0 gives a slice shorter than `length`: no key of this table.
                mask |= table.get(value[size - length :])
        if self._addresses:
            address = ipv6_of(value)
            if address is not None:
                mask |= self._addresses.get(address)
        return mask
