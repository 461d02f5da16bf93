"""Numbers as event patterns compare them.

event-ruler compares two numbers by value if a double says exactly what each of them says, and as
text if not. "Exactly" means that the shortest decimal of the double is the number that was written:
0.1 and 10^23 are such numbers, 2^53 + 1, 2^70 and 0.10000000000000000555 are not. So:

- A number is *comparable* if it is a double in this sense. `canonical_number` gives that double.
- Any other number is a NumberText: equal only to the same text, and in no numeric range.
- `decode_event` keeps what is needed to tell them apart: integers of any size, and NumberText for
  the fractions that no double says.
"""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any, Final, TypeAlias, final

import msgspec

from eventcore.codec import json_decoder

__all__ = [
    "INTEGER_MAX",
    "CanonicalNumber",
    "NumberText",
    "canonical_number",
    "decode_event",
    "double_of",
    "read_float",
]

INTEGER_MAX: Final = 2**53
"""Every integer up to this size is a double, and is its own shortest decimal."""
_DIGITS_OF_A_DOUBLE: Final = 15
"""So many digits without an exponent always come back from a double as they went in."""


@final
class NumberText(msgspec.Struct, frozen=True, gc=False):
    """A number that is no double, as it was written."""

    text: str


CanonicalNumber: TypeAlias = float | NumberText


def double_of(text: str) -> float | None:
    """The double that says exactly what `text`, a JSON number, says; None if there is none."""
    number = float(text)
    try:
        is_same = math.isfinite(number) and Decimal(text) == Decimal(repr(number))
    except ArithmeticError:  # an exponent that no Decimal has
        is_same = False
    return number if is_same else None


def read_float(text: str) -> float | NumberText:
    """A JSON number with a fraction or an exponent, as an event's value."""
    if len(text) <= _DIGITS_OF_A_DOUBLE and "e" not in text and "E" not in text:
        return float(text)
    number = double_of(text)
    return NumberText(text) if number is None else number


def canonical_number(number: float | NumberText) -> CanonicalNumber:
    """What two numbers have in common if and only if event patterns take them for equal.

    `number` is an int, a float or a NumberText, not a bool.
    """
    if number.__class__ is not int:
        assert not isinstance(number, int), "a bool is no number"
        return number
    if -INTEGER_MAX <= number <= INTEGER_MAX:
        return float(number)
    text = str(number)
    double = double_of(text)
    return NumberText(text) if double is None else double


_decode: Final = json_decoder(Any, read_float)


def decode_event(text: bytes | str) -> Any:
    """Plain values from the JSON text of an event: as `codec.decode_json`, but numbers keep what
    patterns compare (see the module's text). Raises ValueError.
    """
    try:
        return _decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise ValueError(str(error)) from error
