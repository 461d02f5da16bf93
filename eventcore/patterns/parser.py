"""From the text of a pattern to a tree of what it says, with AWS's messages for what is wrong.

The grammar is the one of event-ruler 2.0, which stands behind EventBridge;
docs/reference/event-patterns.md states it. Rules:

- The text is checked from left to right, so its first fault is the one that is reported. Faults
  that show only in the whole (too many combinations, a path given twice, a dialect's caps) are the
  compiler's, and come after those of the text.
- The tree keeps the order of the text and both of two members with one name.
- A tree has at most DEPTH_MAX levels of objects, alternatives of `$or` included. The number of
  characters is the caller's to bound.
- Where AWS's engine gives a message no location, or gives it twice, so does this one.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from functools import lru_cache
from json import JSONDecodeError
from typing import Final, TypeAlias, TypeVar, final

import msgspec

from eventcore.errors import InvalidPattern
from eventcore.patterns.addresses import BITS_OF_VERSION, ip_address_of, ipv6_of
from eventcore.patterns.conditions import (
    Address,
    AnythingBut,
    AnyValue,
    Cidr,
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
from eventcore.patterns.dialects import Dialect
from eventcore.patterns.numbers import NumberText, read_float
from eventcore.patterns.tokens import (
    NAME,
    NUMBER,
    STRING,
    QuickReader,
    Reader,
    TokenReader,
    end_of_json,
)

__all__ = [
    "DEPTH_MAX",
    "FieldNode",
    "Member",
    "ObjectNode",
    "OrNode",
    "ValuesNode",
    "fault_at",
    "parse",
    "read_tree",
]

T = TypeVar("T")

DEPTH_MAX: Final = 100
"""Levels of objects in a pattern."""

_ONE_KEY: Final = "Only one key allowed in match expression"
_TOO_MANY: Final = "Too many elements in numeric expression"
_BUT_VALUE: Final = "Value of anything-but must be an array or single string/number value."
_BUT_MEMBER: Final = "Inside anything but list, start|null|boolean is not supported."
_BUT_MIXED: Final = (
    "Inside anything but list, either all values are number or string, mixed type is not supported"
)
_BUT_AFFIX: Final = "prefix/suffix match pattern must be a string"
_BUT_NO_TEXT: Final = {
    "equals-ignore-case": (
        "Inside anything-but/equals-ignore-case list, number|start|null|boolean is not supported."
    ),
    "prefix": _BUT_AFFIX,
    "suffix": _BUT_AFFIX,
    "wildcard": "wildcard match pattern must be a string",
}
_CIDR_NO_TEXT: Final = "prefix match pattern must be a string"  # sic

_RESERVED_IN_OR: Final = frozenset(
    (
        *("exactly", "equals-ignore-case", "prefix", "suffix", "anything-but", "exists"),
        *("wildcard", "numeric", "cidr", "=", "<", "<=", ">", ">=", "regex", "not-wildcard"),
        *("not-equals-ignore-case", "date-after", "date-on-or-after", "date-before"),
        *("date-on-or-before", "in-date-range", "ip-address-in-range", "ip-address-not-in-range"),
    )
)
_LIKE_AN_ADDRESS: Final = re.compile(r"[0-9]+(?:\.[0-9]+){3}|[0-9a-fA-F:]*:[0-9a-fA-F:]*")
_INTEGER: Final = re.compile(r"[+-]?[0-9]+")
_INTEGERS: Final = range(-(2**31), 2**31)
_INTEGER_DIGITS_MAX: Final = 10
_SHARED_TEXTS: Final = 4_096
_SHARED_CHARACTERS_MAX: Final = 100


@final
class ValuesNode(msgspec.Struct, frozen=True):
    """The list of a field. `end` is the number of tokens up to its closing bracket."""

    tests: tuple[ValueTest, ...]
    may_be_absent: bool
    end: int


@final
class FieldNode(msgspec.Struct, frozen=True):
    """A member with a name: its list, or the object below it."""

    name: str
    value: ValuesNode | ObjectNode


@final
class OrNode(msgspec.Struct, frozen=True):
    """`$or`: two alternatives or more."""

    alternatives: tuple[ObjectNode, ...]


Member: TypeAlias = FieldNode | OrNode


@final
class ObjectNode(msgspec.Struct, frozen=True):
    """An object's members in the order of the text; `end` as in ValuesNode."""

    members: tuple[Member, ...]
    end: int


def parse(text: str, dialect: Dialect) -> ObjectNode:
    """The tree of a pattern. Raises InvalidPattern."""
    if dialect.json_fault:
        _check_json(text, dialect.json_fault)
    try:
        return _parse(text, dialect, has_or=True)
    except InvalidPattern as error:
        if dialect.or_may_be_a_name and "$or" in text:
            return _parse_or_as_a_name(text, dialect, error)
        raise


def fault_at(text: str, tokens: int, reason: str) -> InvalidPattern:
    """The error about the place behind the first `tokens` tokens of a text without faults."""
    reader = QuickReader(text)
    for _ in range(tokens):
        reader.advance()
    return reader.error(reason)


def read_tree(reader: Reader, dialect: Dialect, *, has_or: bool = True) -> ObjectNode:
    """The tree of the pattern that `reader` reads, to the text's end. Raises InvalidPattern.

    Without `has_or`, `$or` is a name like any other.
    """
    return _Parser(reader, dialect, has_or=has_or).read()


def _parse(text: str, dialect: Dialect, *, has_or: bool) -> ObjectNode:
    reader: Reader
    try:
        reader = QuickReader(text)
    except ValueError:
        reader = TokenReader(text)
    return read_tree(reader, dialect, has_or=has_or)


def _parse_or_as_a_name(text: str, dialect: Dialect, first: InvalidPattern) -> ObjectNode:
    try:
        return _parse(text, dialect, has_or=False)
    except InvalidPattern:
        raise first from None


def _check_json(text: str, prefix: str) -> None:
    """Raises InvalidPattern if the document is not JSON; what follows it is not looked at."""
    try:
        end_of_json(text)
    except JSONDecodeError as error:
        _report_json(text, error.pos, prefix)


def _report_json(text: str, json_end: int, prefix: str) -> None:
    try:
        TokenReader(text, shows_source=False).read_through(json_end)
    except InvalidPattern as error:
        raise InvalidPattern(prefix + error.reason) from None


@final
class _Parser:
    """Reads one pattern. A method is called when the token that it begins with was read."""

    def __init__(self, reader: Reader, dialect: Dialect, *, has_or: bool) -> None:
        self._reader = reader
        self._advance = reader.advance
        self._dialect = dialect
        self._has_or = has_or

    def read(self) -> ObjectNode:
        """The whole text."""
        if self._advance() != "{":
            raise self._reader.error("Filter is not an object")
        tree = self._read_object(0, is_in_or=False)
        self._reader.finish()
        return tree

    # -- structure -------------------------------------------------------------------------------

    def _read_object(self, depth: int, *, is_in_or: bool) -> ObjectNode:
        reader, advance = self._reader, self._advance
        if depth >= DEPTH_MAX:
            raise reader.error(f"An event pattern has at most {DEPTH_MAX} levels")
        members: list[Member] = []
        while advance() != "}":
            name = reader.text
            if name == "$or" and self._has_or:
                members.append(self._read_or(depth))
                continue
            if is_in_or and name in _RESERVED_IN_OR:
                raise reader.error(
                    f"{name} is Ruler reserved fieldName which cannot be used inside $or."
                )
            kind = advance()
            if kind == "[":
                members.append(FieldNode(name, self._read_values()))
            elif kind == "{":
                below = self._read_object(depth + 1, is_in_or=is_in_or)
                members.append(FieldNode(name, below))
            else:
                raise reader.error(f'"{name}" must be an object or an array')
        if not members and (depth > 0 or not self._dialect.may_be_empty):
            raise reader.error("Empty objects are not allowed")
        return ObjectNode(tuple(members), reader.count)

    def _read_or(self, depth: int) -> OrNode:
        if self._advance() != "[":
            raise self._reader.error("It must be an Array followed with $or.")
        alternatives: list[ObjectNode] = []
        while (kind := self._advance()) != "]":
            if kind != "{":
                raise self._reader.error(
                    "Only JSON object is allowed in array of $or relationship."
                )
            alternatives.append(self._read_object(depth + 1, is_in_or=True))
        if len(alternatives) < 2:
            raise self._reader.error("There must have at least 2 Objects in $or relationship.")
        return OrNode(tuple(alternatives))

    def _read_values(self) -> ValuesNode:
        reader, advance = self._reader, self._advance
        tests: list[ValueTest] = []
        may_be_absent = False
        while (kind := advance()) != "]":
            if kind == STRING:
                tests.append(_test_of_text(reader.text))
            elif kind == "{":
                test = self._read_match_expression()
                if test is None:
                    may_be_absent = True
                else:
                    tests.append(test)
            elif kind == NUMBER:
                tests.append(Exact(read_float(reader.text)))
            elif kind in _LITERALS:
                tests.append(_LITERALS[kind])
            else:
                raise reader.error("Match value must be String, number, true, false, or null")
        if not tests and not may_be_absent:
            raise reader.error("Empty arrays are not allowed")
        return ValuesNode(tuple(tests), may_be_absent, reader.count)

    def _read_match_expression(self) -> ValueTest | None:
        """`{operator: argument}`. None is `{"exists": false}`: no test."""
        if self._advance() != NAME:
            raise self._reader.error("Match expression name not found")
        operator = self._reader.text
        if operator not in self._dialect.operators:
            raise self._reader.error(f"Unrecognized match type {operator}")
        test = _OPERATORS[operator](self)
        if self._advance() != "}":
            is_counted = operator in ("numeric", "anything-but")
            raise self._reader.error(_TOO_MANY if is_counted else _ONE_KEY)
        return test

    # -- one operator each: reads the argument, up to but without the closing brace --------------

    def _read_text(self, operator: str, otherwise: str = "") -> str:
        if self._advance() != STRING:
            raise self._reader.error(otherwise or f"{operator} match pattern must be a string")
        return self._reader.text

    def _read_exactly(self) -> Exact:
        return Exact(self._read_text("exact"))

    def _read_exists(self) -> AnyValue | None:
        kind = self._advance()
        if kind not in ("true", "false"):
            raise self._reader.error("exists match pattern must be either true or false.")
        return _ANY_VALUE if kind == "true" else None

    def _read_prefix(self) -> Prefix | PrefixIgnoreCase:
        text, is_case_ignored = self._read_affix("prefix")
        return PrefixIgnoreCase(text) if is_case_ignored else Prefix(text)

    def _read_suffix(self) -> Suffix | SuffixIgnoreCase:
        text, is_case_ignored = self._read_affix("suffix")
        return SuffixIgnoreCase(text) if is_case_ignored else Suffix(text)

    def _read_affix(self, operator: str) -> tuple[str, bool]:
        """The text, and whether it stood in `{"equals-ignore-case": ..}`."""
        inner_operators = self._dialect.affix_operators
        kind = self._advance()
        if kind == STRING:
            return self._reader.text, False
        if kind != "{" or not inner_operators:
            raise self._reader.error(f"{operator} match pattern must be a string")
        if self._advance() != NAME:
            raise self._reader.error(f"{operator.capitalize()} expression name not found")
        if self._reader.text not in inner_operators:
            raise self._reader.error(f"Unsupported {operator} pattern: {self._reader.text}")
        text = self._read_text("equals-ignore-case")
        if self._advance() != "}":
            raise self._reader.error(_ONE_KEY)
        return text, True

    def _read_ignore_case(self) -> IgnoreCase:
        return IgnoreCase(self._read_text("equals-ignore-case"))

    def _read_wildcard(self) -> Wildcard:
        return self._wildcard(self._read_text("wildcard"))

    def _wildcard(self, text: str) -> Wildcard:
        try:
            return Wildcard(_pieces_between_stars(text))
        except ValueError as error:
            raise self._reader.error(str(error)) from None

    def _read_cidr(self) -> Cidr:
        return _cidr(self._read_text("cidr", _CIDR_NO_TEXT))

    # -- anything-but ----------------------------------------------------------------------------

    def _read_anything_but(self) -> AnythingBut:
        kind = self._advance()
        if kind == "{":
            return self._read_anything_but_operator()
        if kind == "[":
            return AnythingBut(self._located(self._read_refused_values))
        if kind == STRING:
            return AnythingBut((Exact(self._reader.text),))
        if kind == NUMBER:
            return AnythingBut((Exact(self._comparable(self._reader.text)),))
        raise self._reader.error(_BUT_VALUE)

    def _located(self, read: Callable[[], T]) -> T:
        """What `read` reads. AWS's engine catches each fault inside a list and gives it a location:
        to its own messages, which had one, a second.
        """
        try:
            return read()
        except InvalidPattern as error:
            raise self._reader.error(error.reason) from None

    def _read_refused_values(self) -> tuple[RefusedTest, ...]:
        refused: list[Exact] = []
        kinds: set[str] = set()
        while (kind := self._advance()) != "]":
            if kind == STRING:
                refused.append(Exact(self._reader.text))
            elif kind == NUMBER:
                refused.append(Exact(self._comparable(self._reader.text)))
            else:
                raise self._reader.error(_BUT_MEMBER)
            kinds.add(kind)
        if len(kinds) != 1:
            raise InvalidPattern(_BUT_MIXED)
        return tuple(refused)

    def _read_anything_but_operator(self) -> AnythingBut:
        """`{operator: text or texts}`, the inner closing brace included."""
        if self._advance() != NAME:
            raise self._reader.error("Anything-But expression name not found")
        operator = self._reader.text
        if operator not in self._dialect.but_operators:
            raise self._reader.error(f"Unsupported anything-but pattern: {operator}")
        kind = self._advance()
        if not self._dialect.but_operators_take_lists and kind != STRING:
            raise self._reader.error(f"{operator} match pattern must be a string")
        if kind == "[":
            texts = self._located(lambda: self._read_refused_texts(operator))
        elif kind in (STRING, NUMBER):
            texts = (self._refused_text(kind, operator),)
        else:
            raise self._reader.error(_BUT_VALUE)
        refused: tuple[RefusedTest, ...]
        if operator == "wildcard":
            refused = tuple(map(self._wildcard, texts))
        else:
            refused = tuple(map(_REFUSED_TESTS[operator], texts))
        if self._advance() != "}":
            raise self._reader.error(_TOO_MANY)
        return AnythingBut(refused)

    def _read_refused_texts(self, operator: str) -> tuple[str, ...]:
        texts: list[str] = []
        while (kind := self._advance()) != "]":
            texts.append(self._refused_text(kind, operator))
        return tuple(texts)

    def _refused_text(self, kind: str, operator: str) -> str:
        if kind != STRING:
            raise self._reader.error(_BUT_NO_TEXT[operator])
        text = self._reader.text
        if not text and operator in ("prefix", "suffix"):
            raise self._reader.error("Null prefix/suffix not allowed")
        return text

    # -- numbers ---------------------------------------------------------------------------------

    def _read_numeric(self) -> Exact | Range:
        reader = self._reader
        if self._advance() != "[":
            raise reader.error("Value of numeric must be an array.")
        if self._advance() != STRING:
            raise reader.error(f"Invalid member in numeric match: {reader.text}")
        operator = reader.text
        kind = self._advance()
        if operator not in _COMPARISONS:
            raise reader.error(f"Unrecognized numeric range operator: {operator}")
        if kind != NUMBER:
            name = "equals" if operator == "=" else operator
            raise reader.error(f"Value of {name} must be numeric")
        number = reader.text
        kind = self._advance()
        if kind != "]" and operator in (">", ">="):
            return self._read_top(kind, operator, number)
        if kind != "]":
            raise reader.error(_TOO_MANY)
        limit = self._located_number(number)
        if operator == "=":
            return Exact(limit)
        if operator in (">", ">="):
            return Range(_low(operator, limit), math.inf)
        return Range(-math.inf, _high(operator, limit))

    def _read_top(self, kind: str, bottom_operator: str, bottom_text: str) -> Range:
        """The second half of `[">", 0, "<=", 5]`, whose first token was read."""
        reader = self._reader
        if kind != STRING:
            raise reader.error(f"Bad value in numeric range: {reader.text}")
        operator = reader.text
        if operator not in ("<", "<="):
            raise reader.error(f"Bad numeric range operator: {operator}")
        if self._advance() != NUMBER:
            raise reader.error(f"Value of {operator} must be numeric")
        top_text = reader.text
        if self._advance() != "]":
            raise reader.error("Too many terms in numeric range expression")
        bottom, top = self._located_number(bottom_text), self._located_number(top_text)
        if bottom >= top:
            raise reader.error("Bottom must be less than top")
        return Range(_low(bottom_operator, bottom), _high(operator, top))

    def _located_number(self, text: str) -> float:
        try:
            return self._comparable(text)
        except InvalidPattern as error:
            raise self._reader.error(error.reason) from None

    def _comparable(self, text: str) -> float:
        """The number as a double. Raises InvalidPattern, without location, if that is another
        number, or one that the dialect does not compare with.
        """
        number = read_float(text)
        if isinstance(number, NumberText):
            raise InvalidPattern(f"Cannot compare number : {text}")
        bound = self._dialect.number_max
        if bound is not None and abs(number) > bound:
            raise InvalidPattern(self._dialect.number_fault)
        return number


_OPERATORS: Final[dict[str, Callable[[_Parser], ValueTest | None]]] = {
    "anything-but": _Parser._read_anything_but,
    "cidr": _Parser._read_cidr,
    "equals-ignore-case": _Parser._read_ignore_case,
    "exactly": _Parser._read_exactly,
    "exists": _Parser._read_exists,
    "numeric": _Parser._read_numeric,
    "prefix": _Parser._read_prefix,
    "suffix": _Parser._read_suffix,
    "wildcard": _Parser._read_wildcard,
}
_REFUSED_TESTS: Final[dict[str, Callable[[str], Prefix | Suffix | IgnoreCase]]] = {
    "equals-ignore-case": IgnoreCase,
    "prefix": Prefix,
    "suffix": Suffix,
}
_COMPARISONS: Final = frozenset(("=", "<", "<=", ">", ">="))
_LITERALS: Final = {"true": Exact(True), "false": Exact(False), "null": Exact(None)}
_ANY_VALUE: Final = AnyValue()


def _low(operator: str, number: float) -> float:
    return math.nextafter(number, math.inf) if operator == ">" else number


def _high(operator: str, number: float) -> float:
    return math.nextafter(number, math.inf) if operator == "<=" else number


# -- texts ---------------------------------------------------------------------------------------


def _test_of_text(text: str) -> ValueTest:
    """The test for a plain string. Rules repeat them ("source"), so short ones share an object."""
    return _shared_test(text) if len(text) <= _SHARED_CHARACTERS_MAX else _new_test(text)


def _new_test(text: str) -> ValueTest:
    address = ipv6_of(text)
    return Exact(text) if address is None else Address(address)


_shared_test: Final = lru_cache(_SHARED_TEXTS)(_new_test)


def _pieces_between_stars(text: str) -> tuple[str, ...]:
    r"""The literal texts between the stars of a wildcard, `\*` and `\\` resolved.

    Raises ValueError. Positions are UTF-8 bytes behind an opening quote: the first one is 1.
    """
    if "\\" not in text and "**" not in text:
        return tuple(text.split("*"))
    pieces: list[str] = []
    piece: list[str] = []
    characters = iter(enumerate(text))
    for place, character in characters:
        following = text[place + 1 : place + 2]
        if character == "\\":
            if following not in ("*", "\\"):
                position = len(text[:place].encode()) + 1
                raise ValueError(f"Invalid escape character at pos {position}")
            piece.append(following)
            next(characters)
        elif character == "*":
            if following == "*":
                position = len(text[:place].encode()) + 1
                raise ValueError(f"Consecutive wildcard characters at pos {position}")
            pieces.append("".join(piece))
            piece.clear()
        else:
            piece.append(character)
    return (*pieces, "".join(piece))


def _cidr(text: str) -> Cidr:
    """Raises InvalidPattern, whose message has no location in AWS either."""
    # Java's split, which AWS uses, drops the empty parts at the end.
    address_text, *rest = text.rstrip("/").split("/")
    if len(rest) != 1:
        raise InvalidPattern("Malformed CIDR, one '/' required")
    mask_bits = _integer(rest[0])
    if mask_bits is None:
        raise InvalidPattern("Malformed CIDR, mask bits must be an integer")
    if mask_bits < 0:
        raise InvalidPattern("Malformed CIDR, mask bits must not be negative")
    address = ip_address_of(address_text)
    if address is None:
        is_like_one = _LIKE_AN_ADDRESS.fullmatch(address_text) is not None
        kind = "Invalid" if is_like_one else "Nonstandard"
        raise InvalidPattern(f"{kind} IP address: {address_text}")
    version, bits = address
    if mask_bits >= BITS_OF_VERSION[version]:
        raise InvalidPattern(f"IPv{version} mask bits must be < {BITS_OF_VERSION[version]}")
    host_bits = BITS_OF_VERSION[version] - mask_bits
    return Cidr(version, bits >> host_bits, host_bits)


def _integer(text: str) -> int | None:
    """What Java's Integer.parseInt reads in ASCII."""
    if _INTEGER.fullmatch(text) is None or len(text.lstrip("+-0")) > _INTEGER_DIGITS_MAX:
        return None
    number = int(text)
    return number if number in _INTEGERS else None
