"""Look-up tables from a string to the slots whose tests accept it, one per kind of test.

Every table has the same three methods, and `add` and `discard` are called with the same arguments,
once each per slot and test. What a look-up costs:

- AffixTable, FoldedAffixTable: one slice and one hash per distinct *length*, not per text.
- FoldedTable, CidrTable, AddressTable: one hash, or one per distinct mask length.
- WildcardTable: one hash per character of the value, and one exact test per wildcard that shares a
  rare piece with it. Linear in the value, whatever the wildcards are.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Protocol, TypeAlias, final

from eventcore.patterns.addresses import ip_address_of, ipv6_of
from eventcore.patterns.conditions import (
    Address,
    Cidr,
    IgnoreCase,
    Prefix,
    PrefixIgnoreCase,
    Suffix,
    SuffixIgnoreCase,
    Wildcard,
)
from eventcore.patterns.folding import fold
from eventcore.patterns.masks import SlotTable

__all__ = [
    "AddressTable",
    "AffixTable",
    "CidrTable",
    "FoldedAffixTable",
    "FoldedTable",
    "TextTable",
    "TextTest",
    "WildcardTable",
]

_GRAM: Final = 3
"""Characters of the substrings under which wildcards are filed."""

TextTest: TypeAlias = (
    Address | Cidr | IgnoreCase | Prefix | PrefixIgnoreCase | Suffix | SuffixIgnoreCase | Wildcard
)


class TextTable(Protocol):
    """What the tables have in common; each takes the tests of its own kind."""

    def __len__(self) -> int:
        """0 if no test is entered."""

    def add(self, test: TextTest, slot: int) -> None:
        """Enters a test of a slot."""

    def discard(self, test: TextTest, slot: int) -> None:
        """Takes out what `add` entered."""

    def get(self, value: str) -> int:
        """The mask of the slots that accept `value`."""


@final
class AddressTable:
    """Plain strings that are IPv6 addresses."""

    __slots__ = ("_slots",)

    def __init__(self) -> None:
        self._slots = SlotTable()

    def __len__(self) -> int:
        return len(self._slots)

    def add(self, test: TextTest, slot: int) -> None:
        """See TextTable."""
        assert isinstance(test, Address)
        self._slots.add(test.bits, slot)

    def discard(self, test: TextTest, slot: int) -> None:
        """See TextTable."""
        assert isinstance(test, Address)
        self._slots.discard(test.bits, slot)

    def get(self, value: str) -> int:
        """See TextTable."""
        bits = ipv6_of(value)
        return 0 if bits is None else self._slots.get(bits)


@final
class CidrTable:
    """Nets of addresses, by version and number of host bits."""

    __slots__ = ("_nets",)

    def __init__(self) -> None:
        self._nets: dict[int, dict[int, SlotTable]] = {4: {}, 6: {}}

    def __len__(self) -> int:
        return sum(map(len, self._nets.values()))

    def add(self, test: TextTest, slot: int) -> None:
        """See TextTable."""
        assert isinstance(test, Cidr)
        nets = self._nets[test.version].setdefault(test.host_bits, SlotTable())
        nets.add(test.network, slot)

    def discard(self, test: TextTest, slot: int) -> None:
        """See TextTable."""
        assert isinstance(test, Cidr)
        nets = self._nets[test.version]
        if test.host_bits in nets:
            nets[test.host_bits].discard(test.network, slot)
            if not nets[test.host_bits]:
                del nets[test.host_bits]

    def get(self, value: str) -> int:
        """See TextTable."""
        address = ip_address_of(value)
        if address is None:
            return 0
        version, bits = address
        mask = 0
        for host_bits, nets in self._nets[version].items():
            mask |= nets.get(bits >> host_bits)
        return mask


@final
class AffixTable:
    """Starts of strings, or ends."""

    __slots__ = ("_is_suffix", "_of_length")

    def __init__(self, *, is_suffix: bool) -> None:
        self._is_suffix = is_suffix
        self._of_length: dict[int, SlotTable] = {}

    def __len__(self) -> int:
        return len(self._of_length)

    def add(self, test: TextTest, slot: int) -> None:
        """See TextTable."""
        assert isinstance(test, Prefix | Suffix)
        self._of_length.setdefault(len(test.text), SlotTable()).add(test.text, slot)

    def discard(self, test: TextTest, slot: int) -> None:
        """See TextTable."""
        assert isinstance(test, Prefix | Suffix)
        texts = self._of_length.get(len(test.text))
        if texts is not None:
            texts.discard(test.text, slot)
            if not texts:
                del self._of_length[len(test.text)]

    def get(self, value: str) -> int:
        """See TextTable."""
        mask, size = 0, len(value)
        for length, texts in self._of_length.items():
            if length > size:
                continue
            affix = value[size - length :] if self._is_suffix else value[:length]
            entry = texts.entries.get(affix, 0)
            mask |= entry if entry >= 0 else 1 << ~entry
        return mask


_Folded: TypeAlias = dict[str, dict[IgnoreCase | PrefixIgnoreCase | SuffixIgnoreCase, SlotTable]]
"""Folding -> the tests that have it, each with its slots under one key, for exact verification."""


@final
class FoldedTable:
    """Strings without regard to case. The tests of ASCII texts are decided by a hash; others are
    found by their folding and then asked.
    """

    __slots__ = ("_ascii", "_others")

    def __init__(self) -> None:
        self._ascii = SlotTable()
        self._others: _Folded = {}

    def __len__(self) -> int:
        return len(self._ascii) + len(self._others)

    def add(self, test: TextTest, slot: int) -> None:
        """See TextTable."""
        assert isinstance(test, IgnoreCase)
        if test.text.isascii():
            self._ascii.add(test.text.lower(), slot)
        else:
            _enter(self._others, test, slot)

    def discard(self, test: TextTest, slot: int) -> None:
        """See TextTable."""
        assert isinstance(test, IgnoreCase)
        if test.text.isascii():
            self._ascii.discard(test.text.lower(), slot)
        else:
            _take_out(self._others, test, slot)

    def get(self, value: str) -> int:
        """See TextTable."""
        # No ASCII character has a spelling outside ASCII; the reverse is not so (the Kelvin sign).
        mask = self._ascii.get(value.lower()) if value.isascii() else 0
        if self._others:
            mask |= _accepting(self._others.get(fold(value)), value)
        return mask


@final
class FoldedAffixTable:
    """Starts of strings, or ends, without regard to case; as FoldedTable, by length."""

    __slots__ = ("_ascii", "_is_suffix", "_others")

    def __init__(self, *, is_suffix: bool) -> None:
        self._is_suffix = is_suffix
        self._ascii: dict[int, SlotTable] = {}
        self._others: dict[int, _Folded] = {}

    def __len__(self) -> int:
        return len(self._ascii) + len(self._others)

    def add(self, test: TextTest, slot: int) -> None:
        """See TextTable."""
        assert isinstance(test, PrefixIgnoreCase | SuffixIgnoreCase)
        text = test.text
        if text.isascii():
            self._ascii.setdefault(len(text), SlotTable()).add(text.lower(), slot)
        else:
            _enter(self._others.setdefault(len(fold(text)), {}), test, slot)

    def discard(self, test: TextTest, slot: int) -> None:
        """See TextTable."""
        assert isinstance(test, PrefixIgnoreCase | SuffixIgnoreCase)
        text = test.text
        if not text.isascii():
            length = len(fold(text))
            if length in self._others:
                _take_out(self._others[length], test, slot)
                if not self._others[length]:
                    del self._others[length]
        elif len(text) in self._ascii:
            self._ascii[len(text)].discard(text.lower(), slot)
            if not self._ascii[len(text)]:
                del self._ascii[len(text)]

    def get(self, value: str) -> int:
        """See TextTable."""
        mask = 0
        for length, texts in self._ascii.items():
            affix = self._affix(value, length)
            if affix.isascii():
                mask |= texts.get(affix.lower())
        if self._others:
            folded = fold(value)
            for length, tests in self._others.items():
                mask |= _accepting(tests.get(self._affix(folded, length)), value)
        return mask

    def _affix(self, text: str, length: int) -> str:
        return text[max(len(text) - length, 0) :] if self._is_suffix else text[:length]


def _enter(
    tests_of: _Folded, test: IgnoreCase | PrefixIgnoreCase | SuffixIgnoreCase, slot: int
) -> None:
    tests = tests_of.setdefault(fold(test.text), {})
    tests.setdefault(test, SlotTable()).add(None, slot)


def _take_out(
    tests_of: _Folded, test: IgnoreCase | PrefixIgnoreCase | SuffixIgnoreCase, slot: int
) -> None:
    key = fold(test.text)
    slots = tests_of.get(key, {}).get(test)
    if slots is None:
        return
    slots.discard(None, slot)
    if not slots:
        del tests_of[key][test]
        if not tests_of[key]:
            del tests_of[key]


def _accepting(
    tests: dict[IgnoreCase | PrefixIgnoreCase | SuffixIgnoreCase, SlotTable] | None, value: str
) -> int:
    mask = 0
    for test, slots in (tests or {}).items():
        if test.accepts(value):
            mask |= slots.get(None)
    return mask


@final
class WildcardTable:
    """Wildcards with a star. Each is filed in one *shelf* under one literal that its values must
    have: its start, its end, or a substring of _GRAM characters (fewer where its pieces have
    fewer), whichever has the fewest wildcards when it comes.
    """

    __slots__ = ("_grams", "_heads", "_places", "_slots", "_tails")

    def __init__(self) -> None:
        self._slots = SlotTable()
        # By length of the literal, then by the literal: the wildcards filed there.
        self._heads: _Shelves = {}
        self._tails: _Shelves = {}
        self._grams: _Shelves = {}
        self._places: dict[Wildcard, tuple[_Shelves, str]] = {}

    def __len__(self) -> int:
        return len(self._slots)

    def add(self, test: TextTest, slot: int) -> None:
        """See TextTable."""
        assert isinstance(test, Wildcard)
        if test not in self._places:
            shelves, literal = self._rarest_place(test)
            self._places[test] = shelves, literal
            shelves.setdefault(len(literal), {}).setdefault(literal, {})[test] = None
        self._slots.add(test, slot)

    def discard(self, test: TextTest, slot: int) -> None:
        """See TextTable."""
        assert isinstance(test, Wildcard)
        self._slots.discard(test, slot)
        if self._slots.get(test) or test not in self._places:
            return
        shelves, literal = self._places.pop(test)
        of_length = shelves[len(literal)]
        del of_length[literal][test]
        if not of_length[literal]:
            del of_length[literal]
        if not of_length:
            del shelves[len(literal)]

    def get(self, value: str) -> int:
        """See TextTable."""
        mask, size = 0, len(value)
        for length, shelf in self._heads.items():
            mask |= self._accepting(shelf.get(value[:length]), value)
        for length, shelf in self._tails.items():
            mask |= self._accepting(shelf.get(value[max(size - length, 0) :]), value)
        for length, shelf in self._grams.items():
            grams = {value[place : place + length] for place in range(size - length + 1)}
            for gram in shelf.keys() & grams:
                mask |= self._accepting(shelf[gram], value)
        return mask

    def _accepting(self, tests: Iterable[Wildcard] | None, value: str) -> int:
        mask = 0
        for test in tests or ():
            if test.accepts(value):
                mask |= self._slots.get(test)
        return mask

    def _rarest_place(self, test: Wildcard) -> tuple[_Shelves, str]:
        head, tail = test.pieces[0], test.pieces[-1]
        places: list[tuple[_Shelves, str]] = []
        if head:
            places.append((self._heads, head))
        if tail:
            places.append((self._tails, tail))
        longest = max(map(len, test.pieces))
        size = min(longest, _GRAM)
        for piece in test.pieces:
            grams = (piece[at : at + size] for at in range(len(piece) - size + 1))
            places.extend((self._grams, gram) for gram in grams if gram)
        assert places, 'a wildcard of stars alone is "*", which is the prefix ""'
        return min(places, key=_crowd)


_Shelves: TypeAlias = dict[int, dict[str, dict[Wildcard, None]]]


def _crowd(place: tuple[_Shelves, str]) -> int:
    shelves, literal = place
    return len(shelves.get(len(literal), {}).get(literal, ()))
