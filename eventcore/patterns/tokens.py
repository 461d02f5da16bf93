"""The JSON of an event pattern, token by token, with the position that error messages name.

AWS validates a pattern while it reads it (event-ruler on a Jackson stream parser), so the first
error of the text wins and the message ends in the parser's location. To answer with the same text
this reader keeps that parser's habits:

- The location is the number of characters consumed so far, plus one.
- Reading a member's name also looks at the start of its value: numbers, literals and brackets are
  consumed, of a string only the opening quote.
- A string is read to its end when its `text` is asked for, or by the next `advance`.

The texts about malformed JSON are Jackson's. Nothing recurses here; the text's length bounds the
work.

Almost all patterns are JSON, and a thousand of them are read at a start. So there is also a
`QuickReader`, several times as fast, with the same kinds, texts and errors: it reads JSON only.
Whoever has another text reads it with the `TokenReader`, to the first fault.
"""

from __future__ import annotations

import re
from itertools import islice
from json import JSONDecodeError
from typing import Final, Protocol, final

from eventcore.codec import decode_json
from eventcore.errors import InvalidPattern

__all__ = [
    "LEVELS_MAX",
    "NAME",
    "NUMBER",
    "STRING",
    "QuickReader",
    "Reader",
    "TokenReader",
    "end_of_json",
]

NAME: Final = "name"
STRING: Final = "string"
NUMBER: Final = "number"
"""Kinds of token. All other kinds are their own text: { } [ ] true false null."""

LEVELS_MAX: Final = 1_000
"""Objects and arrays around a value that Jackson reads."""

_SPACE: Final = re.compile(r"[ \t\r\n]*")
_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_WORD: Final = re.compile(r"[\w$]+")
_STRING_BODY: Final = re.compile(
    r"""[^"\\\x00-\x1f]*(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})[^"\\\x00-\x1f]*)*"""
)
_LINE_END: Final = re.compile(r"\r\n|\r|\n")
_VALUES: Final = "(JSON String, Number, Array, Object or token 'null', 'true' or 'false')"
_SOURCE_CHARACTERS_MAX: Final = 500
_LITERALS: Final = frozenset(("true", "false", "null"))
_CLOSES: Final = {"{": "}", "[": "]"}
_CONTAINERS: Final = {"{": "Object", "[": "Array"}
_NO_SOURCE: Final = "REDACTED (`StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION` disabled)"

# The tokens of a text that is known to be JSON. Commas tell nothing; a colon marks a name. A quote
# by itself begins what is no string.
_TOKEN: Final = re.compile(r'[\[\]{}]|"[^"\\]*(?:\\.[^"\\]*)*"(?:[ \t\r\n]*:)?|[-+.0-9A-Za-z]+|"')
_STRING_OR_NUMBER: Final = re.compile(
    rf'("[^"\\]*(?:\\.[^"\\]*)*"?)|(?<![-+.0-9A-Za-z]){_NUMBER.pattern}(?![-+.0-9A-Za-z])'
)
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
# By a token's last character. "" stands for true and false, which end alike: the token itself.
_KIND_OF_END: Final = {
    **dict.fromkeys("0123456789", NUMBER),
    **{mark: mark for mark in "{}[]"},
    '"': STRING,
    ":": NAME,
    "e": "",
    "l": "null",
}


class Reader(Protocol):
    """What a parser needs of a reader of tokens."""

    count: int
    """Tokens read so far."""

    @property
    def text(self) -> str:
        """A name or string unescaped, a number as it was written, any other token itself."""

    def advance(self) -> str:
        """The kind of the next token."""

    def error(self, reason: str) -> InvalidPattern:
        """The error to raise about the current token."""

    def finish(self) -> None:
        """Raises InvalidPattern if there is more text."""


def end_of_json(source: str) -> int:
    """Where the JSON object or array ends that the text begins with, in the time of the decoder.

    Raises JSONDecodeError if there is none, whose `pos` is not behind the first fault. Numbers may
    have any size. More than about LEVELS_MAX levels are a fault.
    """
    try:
        _decode_any_size(source)
    except JSONDecodeError as error:
        document = source[: error.pos].rstrip(" \t\r\n")
        if document[-1:] not in ("}", "]"):
            raise
        _decode_any_size(document)
        return len(document)
    return len(source)


def _decode_any_size(source: str) -> None:
    try:
        decode_json(source)
    except JSONDecodeError:
        decode_json(_for_the_decoder(source))


def _for_the_decoder(source: str) -> str:
    """A text of the same length that is JSON if `source` is, without what only a decoder refuses:
    numbers that no double holds. A lone surrogate, which it would not say the place of, becomes
    another character that is never allowed.
    """

    def without_digits(found: re.Match[str]) -> str:
        return found[1] or "0".ljust(len(found[0]))

    return _STRING_OR_NUMBER.sub(without_digits, _SURROGATE.sub("\0", source))


@final
class QuickReader:
    """Reads a JSON document as the TokenReader does, several times as fast.

    Raises ValueError if the text does not begin with one.
    """

    __slots__ = ("_end", "_source", "_text_asked_for", "_token", "_tokens", "count")

    def __init__(self, source: str) -> None:
        self._end = end_of_json(source)
        self._source = source
        self._tokens: list[str] = _TOKEN.findall(source, 0, self._end)
        self._token = ""
        self._text_asked_for = 0  # the last token whose text was, by `count`
        self.count = 0

    @property
    def text(self) -> str:
        """A name or string unescaped, a number as it was written, any other token itself."""
        token = self._token
        if token[0] != '"':
            return token
        if token[-1] == ":":
            token = token[:-1].rstrip()
        else:
            self._text_asked_for = self.count
        return str(decode_json(token)) if "\\" in token else token[1:-1]

    def advance(self) -> str:
        """The kind of the next token. There is one as long as a bracket is open."""
        token = self._token = self._tokens[self.count]
        self.count += 1
        return _KIND_OF_END[token[-1]] or token

    def error(self, reason: str) -> InvalidPattern:
        """The error to raise about the current token: `reason` and the location."""
        return InvalidPattern(f"{reason}\n at {_location(self._source, self._position())}")

    def finish(self) -> None:
        """Nothing but space may follow the document."""
        if self._end < len(self._source):
            TokenReader(self._source, self._end).finish()

    def _position(self) -> int:
        """Where the TokenReader stands now."""
        is_read = self._text_asked_for == self.count
        # Of a name the start of its value, the next token, is consumed, too.
        place = self.count - (self._token[-1] != ":")
        token = next(islice(_TOKEN.finditer(self._source, 0, self._end), place, None))
        is_opened_string = token[0][0] == '"' and not is_read
        return token.start() + 1 if is_opened_string else token.end()


@final
class TokenReader:
    """Reads one JSON text; `advance` gives the next token's kind. Faults are InvalidPatterns.

    Locations show the source, unless `shows_source` is false. `start` is where to begin.
    """

    def __init__(self, source: str, start: int = 0, *, shows_source: bool = True) -> None:
        self.count = 0
        self._shows_source = shows_source
        self._source = source
        self._position = start
        self._text = ""
        self._is_in_string = False
        self._ahead: tuple[str, str] | None = None
        # The open containers, outermost first: bracket and the offset where it stands.
        self._open: list[tuple[str, int]] = []
        self._needs_comma = False

    @property
    def text(self) -> str:
        """A name or string unescaped, a number as it was written, any other token itself."""
        if self._is_in_string:
            self._text = self._read_string(is_name=False)
        return self._text

    def error(self, reason: str) -> InvalidPattern:
        """The error to raise about the current token: `reason` and the location."""
        return InvalidPattern(f"{reason}\n at {self._location(self._position)}")

    def advance(self) -> str:
        """The kind of the next token. What may follow the last one is the business of `finish`."""
        self.count += 1
        if self._is_in_string:
            self._read_string(is_name=False)
        if self._ahead is not None:
            token, self._ahead = self._ahead, None
            return self._deliver(*token)
        self._skip_space()
        if not self._open:
            return self._deliver(*self._read_value_start())
        bracket = self._open[-1][0]
        if self._peek() in ("}", "]"):
            return self._close(bracket)
        if self._needs_comma:
            self._expect(",", f"comma to separate {_CONTAINERS[bracket]} entries")
        self._needs_comma = True
        if bracket == "{":
            return self._read_name()
        return self._deliver(*self._read_value_start())

    def finish(self) -> None:
        """Nothing but space may follow the document."""
        self._skip_space()
        if self._position < len(self._source):
            self._read_value_start()
            raise self.error("Unexpected text after the end of the pattern")

    def read_through(self, json_end: int = 0) -> None:
        """Reads the whole document, for its faults. Before `json_end` there is none.

        More than LEVELS_MAX levels are a fault, too, whose message has no location.
        """
        self._skip(json_end)
        self.advance()
        while self._open:
            if len(self._open) > LEVELS_MAX:
                raise _too_deep()
            self.advance()
        if self._is_in_string:
            self._read_string(is_name=False)

    def _skip(self, end: int) -> None:
        """To behind the last bracket or value that ends before `end`, up to where all is JSON."""
        opened = self._open
        has_name = False
        for token in _TOKEN.finditer(self._source):
            text, position = token[0], token.end()
            if position >= end or text == '"':
                return
            if text in _CLOSES:
                opened.append((text, position - 1))
                if len(opened) > LEVELS_MAX:
                    raise _too_deep()
            elif opened and text in ("]", "}"):
                opened.pop()
            elif text[-1] == ":":
                has_name = True
                continue
            elif not opened or (opened[-1][0] == "{" and not has_name):
                return  # a document by itself, or a name that no colon follows
            has_name = False
            self._needs_comma = text not in _CLOSES
            self._position = position

    # -- single tokens ---------------------------------------------------------------------------

    def _deliver(self, kind: str, text: str) -> str:
        if kind in _CLOSES:
            self._open.append((kind, self._position - 1))
            self._needs_comma = False
        self._is_in_string = kind == STRING
        self._text = text
        return kind

    def _close(self, bracket: str) -> str:
        mark = self._peek()
        self._position += 1
        if mark != _CLOSES[bracket]:
            start = self._location(self._open[-1][1])
            raise self.error(
                f"Unexpected close marker '{mark}': expected '{_CLOSES[bracket]}' "
                f"(for {_CONTAINERS[bracket]} starting at {start})"
            )
        self._open.pop()
        self._needs_comma = True
        return self._deliver(mark, mark)

    def _read_name(self) -> str:
        self._expect('"', "double-quote to start field name")
        name = self._read_string(is_name=True)
        self._expect(":", "a colon to separate field name and value")
        self._ahead = self._read_value_start()
        return self._deliver(NAME, name)

    def _read_value_start(self) -> tuple[str, str]:
        """Consumes what belongs to the start of a value: its kind, and its text unless a string."""
        mark = self._peek()
        if not mark:
            raise self._end_of_input()
        if mark in '{["':
            self._position += 1
            return (STRING, "") if mark == '"' else (mark, mark)
        number = _NUMBER.match(self._source, self._position)
        if number is not None:
            return self._read_number(number)
        return self._read_literal(mark)

    def _read_number(self, number: re.Match[str]) -> tuple[str, str]:
        self._position = number.end()
        if number.group() in ("0", "-0") and self._peek().isdigit():
            raise self.error("Invalid numeric value: Leading zeroes not allowed")
        return NUMBER, number.group()

    def _read_literal(self, mark: str) -> tuple[str, str]:
        word = _WORD.match(self._source, self._position)
        if word is None:
            self._position += 1
            raise self.error(f"{_unexpected(mark)}: expected a valid value {_VALUES}")
        self._position = word.end()
        if word.group() not in _LITERALS:
            raise self.error(f"Unrecognized token '{word.group()}': was expecting {_VALUES}")
        return word.group(), word.group()

    def _read_string(self, *, is_name: bool) -> str:
        """From behind the opening quote to behind the closing one; the string without escapes."""
        body = _STRING_BODY.match(self._source, self._position)
        assert body is not None, "the expression matches the empty string"
        self._position = body.end()
        mark = self._peek()
        self._position += len(mark)
        if mark != '"':
            raise self._broken_string(mark, is_name)
        self._is_in_string = False
        try:
            return str(decode_json(f'"{body.group()}"'))
        except ValueError:
            raise self.error("Invalid surrogate pair in a string") from None

    def _broken_string(self, mark: str, is_name: bool) -> InvalidPattern:
        if not mark:
            where = (
                " in field name" if is_name else ": was expecting closing quote for a string value"
            )
            return self.error(f"Unexpected end-of-input{where}")
        if mark == "\\":
            escaped = self._peek()
            if not escaped:
                return self.error("Unexpected end-of-input in character escape sequence")
            self._position += 1
            return self.error(f"Unrecognized character escape '{escaped}' (code {ord(escaped)})")
        return self.error(
            f"Illegal unquoted character ((CTRL-CHAR, code {ord(mark)})): has to be escaped using "
            f"backslash to be included in {'name' if is_name else 'string value'}"
        )

    # -- characters and places -------------------------------------------------------------------

    def _peek(self) -> str:
        """The next character, or "" at the end."""
        return self._source[self._position : self._position + 1]

    def _skip_space(self) -> None:
        space = _SPACE.match(self._source, self._position)
        assert space is not None, "the expression matches the empty string"
        self._position = space.end()

    def _expect(self, mark: str, what: str) -> None:
        """Consumes `mark`, and the space on both sides of it unless it opens a string."""
        self._skip_space()
        found = self._peek()
        if not found:
            raise self._end_of_input()
        self._position += 1
        if found != mark:
            raise self.error(f"{_unexpected(found)}: was expecting {what}")
        if mark != '"':
            self._skip_space()

    def _end_of_input(self) -> InvalidPattern:
        if not self._open:
            return self.error("Filter is not an object")
        bracket, start = self._open[-1]
        return self.error(
            f"Unexpected end-of-input: expected close marker for {_CONTAINERS[bracket]} "
            f"(start marker at {self._location(start)})"
        )

    def _location(self, position: int) -> str:
        return _location(self._source, position, shows_source=self._shows_source)


def _location(source: str, position: int, *, shows_source: bool = True) -> str:
    line, line_start = 1, 0
    for end in _LINE_END.finditer(source, 0, position):
        line, line_start = line + 1, end.end()
    column = position - line_start + 1
    if not shows_source:
        return f"[Source: {_NO_SOURCE}; line: {line}, column: {column}]"
    shown = source[:_SOURCE_CHARACTERS_MAX]
    hidden = len(source) - len(shown)
    truncated = f"[truncated {hidden} chars]" if hidden else ""
    return f'[Source: (String)"{shown}"{truncated}; line: {line}, column: {column}]'


def _too_deep() -> InvalidPattern:
    return InvalidPattern(
        f"Document nesting depth ({LEVELS_MAX + 1}) exceeds the maximum allowed "
        f"({LEVELS_MAX}, from `StreamReadConstraints.getMaxNestingDepth()`)"
    )


def _unexpected(mark: str) -> str:
    return f"Unexpected character ('{mark}' (code {ord(mark)}))"
