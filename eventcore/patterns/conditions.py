"""What a compiled pattern consists of: tests of one value, and conditions on one path.

A *value test* says whether it accepts one leaf of an event: a string, a number, true, false or
null. Rules:

- Types are strict: 1 is neither "1" nor true. Numbers compare as `eventcore.patterns.numbers` says.
- A test never sees an object or an array. Which leaves a path has in an event is not known here.
- `accepts` is the definition of a test; the tables of `eventcore.patterns.tables` must give the
  same answers. No test takes longer than the length of its text times that of the value.
"""

from __future__ import annotations

from typing import Final, TypeAlias, final

import msgspec

from eventcore.patterns.addresses import BITS_OF_VERSION, ip_address_of, ipv6_of
from eventcore.patterns.folding import ends_alike, is_alike, starts_alike
from eventcore.patterns.numbers import NumberText, canonical_number

__all__ = [
    "Address",
    "AnyValue",
    "AnythingBut",
    "Cidr",
    "Condition",
    "Exact",
    "IgnoreCase",
    "Leaf",
    "Prefix",
    "PrefixIgnoreCase",
    "Range",
    "RefusedTest",
    "Suffix",
    "SuffixIgnoreCase",
    "ValueTest",
    "Wildcard",
    "as_double",
    "is_number",
]

Leaf: TypeAlias = str | int | float | NumberText | bool | None
"""A leaf as `decode_event` gives it."""

_NUMBERS: Final = frozenset((int, float, NumberText))


def is_number(value: object) -> bool:
    """Whether a leaf is a number: bool is none."""
    return value.__class__ in _NUMBERS


def as_double(value: object) -> float | None:
    """The number as a double, or None if it is no number or not comparable."""
    if value.__class__ is float:
        return value
    if value.__class__ is not int:
        return None
    number = canonical_number(value)
    return None if isinstance(number, NumberText) else number


@final
class Exact(msgspec.Struct, frozen=True):
    """The value itself: `"x"`, `1`, `true`, `null`. A number is canonical: a double or its text."""

    value: str | float | NumberText | bool | None

    def accepts(self, value: object) -> bool:
        """Whether `value` is of the same type and equal; all numbers are one type."""
        if self.value.__class__ is str:
            return value == self.value
        if is_number(value):
            number = canonical_number(value)  # type: ignore[arg-type]
            return is_number(self.value) and number == self.value
        return value.__class__ is self.value.__class__ and value == self.value


@final
class Address(msgspec.Struct, frozen=True):
    """An IPv6 address in any spelling: a plain string that is one compares by its 128 bits."""

    bits: int

    def accepts(self, value: object) -> bool:
        """Whether `value` spells this address."""
        return isinstance(value, str) and ipv6_of(value) == self.bits


@final
class Prefix(msgspec.Struct, frozen=True):
    """`{"prefix": text}`: a string that starts with `text`."""

    text: str

    def accepts(self, value: object) -> bool:
        """Whether `value` is a string with this start."""
        return isinstance(value, str) and value.startswith(self.text)


@final
class Suffix(msgspec.Struct, frozen=True):
    """`{"suffix": text}`: a string that ends in `text`."""

    text: str

    def accepts(self, value: object) -> bool:
        """Whether `value` is a string with this end."""
        return isinstance(value, str) and value.endswith(self.text)


@final
class IgnoreCase(msgspec.Struct, frozen=True):
    """`{"equals-ignore-case": text}`: see `eventcore.patterns.folding`."""

    text: str

    def accepts(self, value: object) -> bool:
        """Whether `value` is a string that differs in the case of characters only."""
        return isinstance(value, str) and is_alike(self.text, value)


@final
class PrefixIgnoreCase(msgspec.Struct, frozen=True):
    """`{"prefix": {"equals-ignore-case": text}}`."""

    text: str

    def accepts(self, value: object) -> bool:
        """Whether `value` is a string with this start in any case."""
        return isinstance(value, str) and starts_alike(self.text, value)


@final
class SuffixIgnoreCase(msgspec.Struct, frozen=True):
    """`{"suffix": {"equals-ignore-case": text}}`."""

    text: str

    def accepts(self, value: object) -> bool:
        """Whether `value` is a string with this end in any case."""
        return isinstance(value, str) and ends_alike(self.text, value)


@final
class Wildcard(msgspec.Struct, frozen=True):
    """`{"wildcard": text}`: `pieces` are the literal texts between the stars, escapes resolved.

    One piece is a text without a star. A star stands for any characters, none and newlines
    included.
    """

    pieces: tuple[str, ...]

    def accepts(self, value: object) -> bool:
        """Whether `value` is a string that has the pieces in order: its start is the first, its
        end the last.

        Taking each piece at its first place is right, since a star takes anything: no backtracking.
        """
        if not isinstance(value, str):
            return False
        pieces = self.pieces
        if len(pieces) == 1:
            return value == pieces[0]
        place, end = len(pieces[0]), len(value) - len(pieces[-1])
        if place > end or not value.startswith(pieces[0]) or not value.endswith(pieces[-1]):
            return False
        for piece in pieces[1:-1]:
            place = value.find(piece, place, end)
            if place < 0:
                return False
            place += len(piece)
        return True


@final
class Cidr(msgspec.Struct, frozen=True):
    """`{"cidr": "address/bits"}`: `network` is the address without its `host_bits` lowest bits."""

    version: int
    network: int
    host_bits: int

    def accepts(self, value: object) -> bool:
        """Whether `value` spells an address of the net."""
        if not isinstance(value, str):
            return False
        address = ip_address_of(value)
        if address is None or address[0] != self.version:
            return False
        return address[1] >> self.host_bits == self.network

    @property
    def mask_bits(self) -> int:
        """The number behind the slash."""
        return BITS_OF_VERSION[self.version] - self.host_bits


@final
class Range(msgspec.Struct, frozen=True):
    """`{"numeric": [...]}` except `=`: a double of the half-open range from `low` to below `high`.

    Between two neighbouring doubles there is none, so every bound of the language, open or closed,
    can be written so: `> n` is low = nextafter(n), `<= n` is high = nextafter(n).
    """

    low: float
    high: float

    def accepts(self, value: object) -> bool:
        """Whether `value` is a number of the range; one that no double equals is in none."""
        number = as_double(value)
        return number is not None and self.low <= number < self.high


@final
class AnyValue(msgspec.Struct, frozen=True):
    """`{"exists": true}`: any leaf."""

    def accepts(self, value: object) -> bool:
        """True."""
        return True


RefusedTest: TypeAlias = Exact | Prefix | Suffix | IgnoreCase | Wildcard


@final
class AnythingBut(msgspec.Struct, frozen=True):
    """`{"anything-but": ...}`: any leaf, of any type, that no `refused` test accepts."""

    refused: tuple[RefusedTest, ...]

    def accepts(self, value: object) -> bool:
        """Whether no refused test accepts `value`."""
        return not any(test.accepts(value) for test in self.refused)


ValueTest: TypeAlias = (
    Exact
    | Address
    | Prefix
    | Suffix
    | IgnoreCase
    | PrefixIgnoreCase
    | SuffixIgnoreCase
    | Wildcard
    | Cidr
    | Range
    | AnyValue
    | AnythingBut
)


@final
class Condition(msgspec.Struct, frozen=True):
    """What one path must hold: a leaf that a test accepts, or none if `may_be_absent`.

    `path` is the names joined by dots, `steps` the same split at every dot: `{"a.b": ..}` and
    `{"a": {"b": ..}}` are one path, as in AWS.
    """

    path: str
    steps: tuple[str, ...]
    tests: tuple[ValueTest, ...]
    may_be_absent: bool

    def accepts(self, value: object) -> bool:
        """Whether a leaf with `value` satisfies the condition."""
        return any(test.accepts(value) for test in self.tests)
