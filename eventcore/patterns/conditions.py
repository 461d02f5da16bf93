"""What a compiled pattern consists of: tests of one value, and conditions on one path.

A *value test* says whether it accepts one leaf of an event: a string, a number, true, false or
null. Rules:

- Types are strict: 1 is neither "1" nor true. Numbers compare by value, 1 = 1.0, and integers are
  exact.
- A test never sees an object or an array. Which leaves a path has in an event is not known here.
- `accepts` is the definition of a test; the tables of `eventcore.patterns.tables` must give the
  same answers.
"""

from __future__ import annotations

from typing import Final, TypeAlias, final

import msgspec

__all__ = [
    "Address",
    "AnyValue",
    "AnythingBut",
    "Condition",
    "Exact",
    "Leaf",
    "Prefix",
    "Range",
    "Suffix",
    "ValueTest",
    "address_of",
    "as_double",
]

_ADDRESS_CHARACTERS_MAX: Final = 39
_DOUBLE_BITS_MAX: Final = 1_023
_HEXADECIMAL: Final = frozenset("0123456789abcdefABCDEF")

Leaf: TypeAlias = str | int | float | bool | None


@final
class Exact(msgspec.Struct, frozen=True):
    """The value itself: `"x"`, `1`, `true`, `null`."""

    value: Leaf

    def accepts(self, value: object) -> bool:
        """Whether `value` is of the same type and equal; int and float are one type."""
        if isinstance(self.value, (int, float)) and not isinstance(self.value, bool):
            return value.__class__ in (int, float) and value == self.value
        return value.__class__ is self.value.__class__ and value == self.value


@final
class Address(msgspec.Struct, frozen=True):
    """An IPv6 address in any spelling: a plain string that is one compares by its 128 bits."""

    bits: int

    def accepts(self, value: object) -> bool:
        """Whether `value` spells this address."""
        return isinstance(value, str) and address_of(value) == self.bits


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
class Range(msgspec.Struct, frozen=True):
    """`{"numeric": [...]}` except `=`: a double of the half-open range from `low` to below `high`.

    Between two neighbouring doubles there is none, so every bound of the language, open or closed,
    can be written so: `> n` is low = nextafter(n), `<= n` is high = nextafter(n).
    """

    low: float
    high: float

    def accepts(self, value: object) -> bool:
        """Whether `value` is a number of the range; an integer that no double equals is in none."""
        number = as_double(value)
        return number is not None and self.low <= number < self.high


@final
class AnyValue(msgspec.Struct, frozen=True):
    """`{"exists": true}`: any leaf."""

    def accepts(self, value: object) -> bool:
        """True."""
        return True


@final
class AnythingBut(msgspec.Struct, frozen=True):
    """`{"anything-but": ...}`: any leaf, of any type, that no `refused` test accepts."""

    refused: tuple[Exact | Prefix | Suffix, ...]

    def accepts(self, value: object) -> bool:
        """Whether no refused test accepts `value`."""
        return not any(test.accepts(value) for test in self.refused)


ValueTest: TypeAlias = Exact | Address | Prefix | Suffix | Range | AnyValue | AnythingBut


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


def as_double(value: object) -> float | None:
    """The number as a double, or None if it is no number or no double equals it."""
    if isinstance(value, float):
        return value
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    if value.bit_length() > _DOUBLE_BITS_MAX:
        return None
    number = float(value)
    return number if number == value else None


def address_of(text: str) -> int | None:
    """The 128 bits of an IPv6 address in hexadecimal groups, or None if `text` is none.

    The dotted form of the last groups is no address here, as in event-ruler. IPv4 addresses have
    one spelling, so they compare as strings.
    """
    if text.count(":") < 2 or len(text) > _ADDRESS_CHARACTERS_MAX:
        return None
    head, gap, tail = text.partition("::")
    front = head.split(":") if head else []
    back = tail.split(":") if tail else []
    missing = 8 - len(front) - len(back)
    if (missing < 1) if gap else (missing != 0):
        return None
    bits = 0
    for group in (*front, *["0"] * missing, *back):
        if not 1 <= len(group) <= 4 or not _HEXADECIMAL.issuperset(group):
            return None
        bits = bits << 16 | int(group, 16)
    return bits
