"""From compiled conditions back to JSON: each value test as AWS writes it in a pattern.

- The text of a test, compiled again, gives a test that accepts the same values; where a test can be
  written in several ways, the shortest is chosen.
- Texts are JSON, and safe to show on a terminal: what is not printable is escaped. Two tests have
  one text if and only if they are the same test.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from itertools import product

from eventcore.codec import encode_json
from eventcore.patterns.addresses import ipv6_of
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
    RefusedTest,
    Suffix,
    SuffixIgnoreCase,
    ValueTest,
    Wildcard,
)
from eventcore.patterns.numbers import NumberText, double_of

__all__ = [
    "ABSENT_TEXT",
    "describe_condition",
    "describe_path",
    "describe_test",
    "describe_tests",
    "describe_value",
    "escape_text",
]

ABSENT_TEXT = '{"exists":false}'
"""What accepts absence."""


def describe_condition(condition: Condition) -> str:
    """The list that a pattern has at the condition's path."""
    return f"[{','.join(describe_tests(condition))}]"


def describe_tests(condition: Condition) -> tuple[str, ...]:
    """The entries of that list, one text each; what accepts absence comes last."""
    texts = tuple(describe_test(test) for test in condition.tests)
    return (*texts, ABSENT_TEXT) if condition.may_be_absent else texts


def describe_path(path: str) -> str:
    """A path in words of one line: what is not printable is escaped."""
    return path if path.isprintable() else describe_value(path)[1:-1]


def escape_text(text: str, *, is_ascii: bool = False) -> str:
    """A text for a terminal: line breaks stay, everything else that is not printable is escaped as
    in JSON, with `is_ascii` everything beyond ASCII, too. So the text of a JSON document stays one
    of the same value.
    """
    if text.isprintable() and (not is_ascii or text.isascii()):
        return text
    return "".join(c if c == "\n" else _escaped(c, is_ascii=is_ascii) for c in text)


def describe_value(value: object) -> str:
    """The JSON text of a leaf. A number is written in the shortest way that is the same number."""
    if isinstance(value, NumberText):
        return value.text
    if isinstance(value, float):
        return _number_text(value)
    if not isinstance(value, str):
        return encode_json(value).decode()
    text = encode_json(value).decode()
    return text if text.isprintable() else "".join(map(_escaped, text))


def describe_test(test: ValueTest) -> str:
    """The JSON text of one test: a value, or `{operator: argument}`."""
    match test:
        case Exact(value):
            text = describe_value(value)
            is_address = isinstance(value, str) and ipv6_of(value) is not None
            return f'{{"exactly":{text}}}' if is_address else text
        case Address(bits):
            return f'"{_ipv6_text(bits)}"'
        case Prefix() | Suffix() | IgnoreCase() | PrefixIgnoreCase() | SuffixIgnoreCase():
            return _text_operator(test)
        case Wildcard():
            return f'{{"wildcard":{_wildcard_text(test)}}}'
        case Cidr():
            return f'{{"cidr":"{_cidr_text(test)}"}}'
        case Range(low, high):
            return f'{{"numeric":[{_range_text(low, high)}]}}'
        case AnyValue():
            return '{"exists":true}'
        case AnythingBut(refused):
            return f'{{"anything-but":{_refused_text(refused)}}}'


# -- texts ---------------------------------------------------------------------------------------


def _escaped(character: str, *, is_ascii: bool = False) -> str:
    if character.isprintable() and (not is_ascii or character.isascii()):
        return character
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[i]:02x}{units[i + 1]:02x}" for i in range(0, len(units), 2))


def _text_operator(
    test: Prefix | Suffix | IgnoreCase | PrefixIgnoreCase | SuffixIgnoreCase,
) -> str:
    text = describe_value(test.text)
    match test:
        case Prefix():
            return f'{{"prefix":{text}}}'
        case Suffix():
            return f'{{"suffix":{text}}}'
        case IgnoreCase():
            return f'{{"equals-ignore-case":{text}}}'
        case PrefixIgnoreCase():
            return f'{{"prefix":{{"equals-ignore-case":{text}}}}}'
        case SuffixIgnoreCase():
            return f'{{"suffix":{{"equals-ignore-case":{text}}}}}'


def _wildcard_text(test: Wildcard) -> str:
    pieces = (piece.replace("\\", "\\\\").replace("*", "\\*") for piece in test.pieces)
    return describe_value("*".join(pieces))


def _refused_text(refused: tuple[RefusedTest, ...]) -> str:
    if not refused:
        return '{"prefix":[]}'
    first = refused[0]
    if isinstance(first, Exact):
        return _one_or_list(describe_value(t.value) for t in refused if isinstance(t, Exact))
    texts = (
        _wildcard_text(test) if isinstance(test, Wildcard) else describe_value(test.text)
        for test in refused
        if not isinstance(test, Exact)
    )
    return f'{{"{_OPERATOR_OF[first.__class__]}":{_one_or_list(texts)}}}'


_OPERATOR_OF: dict[type, str] = {
    Prefix: "prefix",
    Suffix: "suffix",
    IgnoreCase: "equals-ignore-case",
    Wildcard: "wildcard",
}


def _one_or_list(texts: Iterable[str]) -> str:
    several = list(texts)
    return several[0] if len(several) == 1 else f"[{','.join(several)}]"


# -- numbers -------------------------------------------------------------------------------------


def _number_text(number: float) -> str:
    shortest = repr(number)
    if not number.is_integer():
        return shortest
    digits = str(int(number))
    # Beyond 2^53 all digits of a double are another number than the one that it stands for.
    return digits if len(digits) < len(shortest) and double_of(digits) is not None else shortest


def _range_text(low: float, high: float) -> str:
    """The argument of `numeric`. Each bound can be written with or without its equals sign; of the
    pairs that the language allows the shortest is taken.
    """
    lows = _bounds(low, ">=", ">")
    highs = _bounds(high, "<", "<=")
    if low == -math.inf:
        return _bound_text(min(highs, key=_length))
    if high == math.inf:
        return _bound_text(min(lows, key=_length))
    pairs = [pair for pair in product(lows, highs) if pair[0][1] < pair[1][1]]
    below, above = min(pairs, key=lambda pair: _length(pair[0]) + _length(pair[1]))
    return f"{_bound_text(below)},{_bound_text(above)}"


def _bounds(number: float, at: str, before: str) -> list[tuple[str, float]]:
    """The two ways to write a bound: by the number itself, and by the double before it."""
    candidates = [(at, number), (before, math.nextafter(number, -math.inf))]
    return [(operator, bound) for operator, bound in candidates if math.isfinite(bound)]


def _length(bound: tuple[str, float]) -> int:
    return len(_bound_text(bound))


def _bound_text(bound: tuple[str, float]) -> str:
    operator, number = bound
    return f'"{operator}",{_number_text(number)}'


# -- addresses -----------------------------------------------------------------------------------


def _cidr_text(test: Cidr) -> str:
    bits = test.network << test.host_bits
    address = _ipv4_text(bits) if test.version == 4 else _ipv6_text(bits)
    return f"{address}/{test.mask_bits}"


def _ipv4_text(bits: int) -> str:
    return ".".join(str(bits >> shift & 255) for shift in (24, 16, 8, 0))


def _ipv6_text(bits: int) -> str:
    """Hexadecimal groups, the first of the longest runs of zeros as a gap. Never the dotted form of
    the last groups: event patterns do not read it.
    """
    groups = [bits >> shift & 0xFFFF for shift in range(112, -1, -16)]
    start = length = 0
    for first in range(8):
        end = first
        while end < 8 and not groups[end]:
            end += 1
        if end - first > max(length, 1):
            start, length = first, end - first
    texts = [f"{group:x}" for group in groups]
    if not length:
        return ":".join(texts)
    return f"{':'.join(texts[:start])}::{':'.join(texts[start + length :])}"
