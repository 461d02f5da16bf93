"""Look-up tables from a string to the slots whose tests accept it, one per kind of test.

Every table has the same three methods, and `add` and `discard` are called with the same arguments,
once each per slot and test. What a look-up costs:

- AffixTable, FoldedAffixTable: one slice and one hash per distinct *length*, not per text.
- FoldedTable, CidrTable, AddressTable: one hash, or one per distinct mask length.
- WildcardTable: at most one hash per character of the value, and one exact test per wildcard whose
  start, end and rarest substring the value has. Linear in the value, whatever the wildcards are.
"""

from __future__ import annotations

from collections.abc import Hashable
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
from eventcore.patterns.masks import SlotTable, without

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

_ADDRESS_BYTES: Final = 16
_FEW: Final = 4
"""So many wildcards are asked without looking for substrings first."""
_SEARCHED_GRAMS_MAX: Final = 64
"""So many substrings are searched in a value; more are looked up."""
_GRAM: Final = 6
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


def _key(bits: int) -> bytes:
    """A number of an address as a key: the hashes of long integers are easily made to collide."""
    return bits.to_bytes(_ADDRESS_BYTES)


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
        self._slots.add(_key(test.bits), slot)

    def discard(self, test: TextTest, slot: int) -> None:
        """See TextTable."""
        assert isinstance(test, Address)
        self._slots.discard(_key(test.bits), slot)

    def get(self, value: str) -> int:
        """See TextTable."""
        bits = ipv6_of(value)
        return 0 if bits is None else self._slots.get(_key(bits))


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
        nets.add(_key(test.network), slot)

    def discard(self, test: TextTest, slot: int) -> None:
        """See TextTable."""
        assert isinstance(test, Cidr)
        nets = self._nets[test.version]
        if test.host_bits in nets:
            nets[test.host_bits].discard(_key(test.network), slot)
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
            mask |= nets.get(_key(bits >> host_bits))
        return mask


@final
class AffixTable:
    """Starts of strings, or ends."""

    __slots__ = ("_is_suffix", "_of_length", "_shelves")

    def __init__(self, *, is_suffix: bool) -> None:
        self._is_suffix = is_suffix
        self._of_length: dict[int, SlotTable] = {}
        self._shelves: tuple[tuple[int, dict[Hashable, int]], ...] = ()

    def __len__(self) -> int:
        return len(self._of_length)

    def add(self, test: TextTest, slot: int) -> None:
        """See TextTable."""
        assert isinstance(test, Prefix | Suffix)
        if len(test.text) not in self._of_length:
            self._of_length[len(test.text)] = SlotTable()
            self._note_shelves()
        self._of_length[len(test.text)].add(test.text, slot)

    def discard(self, test: TextTest, slot: int) -> None:
        """See TextTable."""
        assert isinstance(test, Prefix | Suffix)
        texts = self._of_length.get(len(test.text))
        if texts is not None:
            texts.discard(test.text, slot)
            if not texts:
                del self._of_length[len(test.text)]
                self._note_shelves()

    def get(self, value: str) -> int:
        """See TextTable."""
        mask = 0
        if self._is_suffix:
            size = len(value)
            for length, slots in self._shelves:
                # A start below 0 would count from the end.
                entry = slots.get(value[size - length :]) if length <= size else None
                if entry is not None:
                    mask |= entry if entry >= 0 else 1 << ~entry
            return mask
        for length, slots in self._shelves:
            entry = slots.get(value[:length])
            if entry is not None:
                mask |= entry if entry >= 0 else 1 << ~entry
        return mask

    def _note_shelves(self) -> None:
        self._shelves = tuple((length, slots.entries) for length, slots in self._of_length.items())


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
    """Wildcards with a star. Each has a number of its own; three look-ups give masks of numbers:
    whose start the value has, whose end, and in whose middle there is a substring that the value
    has. Those that are in all three are asked.

    The substring is of _GRAM characters (fewer where the pieces of the middle have fewer); of those
    in a wildcard it is the one that the fewest have when it comes.
    """

    __slots__ = (
        "_ends", "_free", "_grams", "_numbers", "_plain", "_slots", "_starts", "_tests",
    )  # fmt: skip

    def __init__(self) -> None:
        self._numbers: dict[Wildcard, int] = {}
        # By number; that of a free one is kept.
        self._tests: list[Wildcard] = []
        self._free: list[int] = []
        self._slots = SlotTable()
        # By length, then by text: numbers.
        self._starts: dict[int, SlotTable] = {}
        self._ends: dict[int, SlotTable] = {}
        self._grams: dict[int, SlotTable] = {}
        # The numbers with nothing between start and end.
        self._plain = 0

    def __len__(self) -> int:
        return len(self._numbers)

    def add(self, test: TextTest, slot: int) -> None:
        """See TextTable."""
        assert isinstance(test, Wildcard)
        if test not in self._numbers:
            self._file(test)
        self._slots.add(self._numbers[test], slot)

    def discard(self, test: TextTest, slot: int) -> None:
        """See TextTable."""
        assert isinstance(test, Wildcard)
        number = self._numbers.get(test)
        if number is None:
            return
        self._slots.discard(number, slot)
        if self._slots.get(number):
            return
        del self._numbers[test]
        self._free.append(number)
        self._plain = without(self._plain, 1 << number)
        _unshelve(self._starts, test.pieces[0], number)
        _unshelve(self._ends, test.pieces[-1], number)
        for gram in _grams_of(test):
            _unshelve(self._grams, gram, number)

    def get(self, value: str) -> int:
        """See TextTable."""
        size = len(value)
        found = 0
        for length, numbers in self._starts.items():
            entry = numbers.entries.get(value[:length])
            if entry is not None:
                found |= entry if entry >= 0 else 1 << ~entry
        if not found:
            return 0
        ends = 0
        for length, numbers in self._ends.items():
            entry = numbers.entries.get(value[size - length :] if length <= size else None)
            if entry is not None:
                ends |= entry if entry >= 0 else 1 << ~entry
        found &= ends
        if found.bit_count() > _FEW and without(found, self._plain):
            found &= self._plain | self._with_grams(value)
        return self._slots_among(found, value) if found else 0

    def _slots_among(self, numbers: int, value: str) -> int:
        """The slots of those of the numbers, whose start and end the value has, that accept it."""
        mask = 0
        while numbers:
            number = numbers.bit_length() - 1
            numbers ^= 1 << number
            pieces = self._tests[number].pieces
            place, end = len(pieces[0]), len(value) - len(pieces[-1])
            for piece in pieces[1:-1]:
                place = value.find(piece, place, end) if place <= end else -1
                if place < 0:
                    break
                place += len(piece)
            else:
                if place <= end:
                    mask |= self._slots.get(number)
        return mask

    def _with_grams(self, value: str) -> int:
        """The numbers whose substring is in the value. Linear in the value at most."""
        found = 0
        for length, numbers in self._grams.items():
            places = len(value) - length + 1
            if len(numbers) < min(places, _SEARCHED_GRAMS_MAX):
                for gram in numbers.entries:
                    if str(gram) in value:
                        found |= numbers.get(gram)
                continue
            for gram in numbers.entries.keys() & {value[at : at + length] for at in range(places)}:
                found |= numbers.get(gram)
        return found

    def _file(self, test: Wildcard) -> None:
        if self._free:
            number = self._free.pop()
            self._tests[number] = test
        else:
            number = len(self._tests)
            self._tests.append(test)
        self._numbers[test] = number
        _shelve(self._starts, test.pieces[0], number)
        _shelve(self._ends, test.pieces[-1], number)
        grams = _grams_of(test)
        if grams:
            _shelve(self._grams, min(grams, key=self._frequency), number)
        else:
            self._plain |= 1 << number

    def _frequency(self, gram: str) -> int:
        numbers = self._grams.get(len(gram))
        return 0 if numbers is None else numbers.get(gram).bit_count()


def _grams_of(test: Wildcard) -> set[str]:
    middle = test.pieces[1:-1]
    size = min(max(map(len, middle), default=0), _GRAM)
    return {piece[at : at + size] for piece in middle for at in range(len(piece) - size + 1)}


def _shelve(shelves: dict[int, SlotTable], text: str, number: int) -> None:
    shelves.setdefault(len(text), SlotTable()).add(text, number)


def _unshelve(shelves: dict[int, SlotTable], text: str, number: int) -> None:
    shelf = shelves.get(len(text))
    if shelf is not None:
        shelf.discard(text, number)
        if not shelf:
            del shelves[len(text)]
