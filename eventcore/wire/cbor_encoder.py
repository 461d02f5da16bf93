"""From structs and plain values to CBOR, as AWS CBOR 1.1 answers are written.

`eventcore.wire.cbor` has the rules of the protocol. A general encoder would make a dictionary of
each struct first, and look at the type of everything in it; here one function is made for each type
of struct:

    def made(record, out):
        value = record.shard_id
        string_1 = value.encode()
        size = len(string_1)
        head_1 = text_heads[size] if size < 1024 else text_head(size)
        out += (constant_1, head_1, string_1)
        value = record.encryption_type
        if value is not constant_2:
            out.append(constant_3)
            write(value, out)
        out += (constant_4,)

which takes a third of the time for a page of 10,000 records (docs/decisions/0011-cbor.md). Rules:

- No text of a struct is in the code but the names of its attributes; keys and defaults are named
  by numbers.
- The answer says the same as the JSON of `eventcore.codec.encode_json`: same keys, same members
  left out. Bytes stay bytes, and members whose name is that of a timestamp are written as one.
- A type that no answer has raises TypeError: a bug, not bad input.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from struct import pack
from typing import Any, Final, TypeAlias, final

import msgspec
from msgspec import NODEFAULT, UNSET
from msgspec.structs import FieldInfo

__all__ = ["CborEncoder"]

Writer: TypeAlias = Callable[[Any, list[bytes]], None]
"""Appends the parts of one value."""

_SHORT_MAX: Final = 1_024
_INT, _NEGATIVE, _BYTES, _TEXT, _ARRAY, _MAP = range(6)
_MAP_BEGIN: Final = b"\xbf"
_END: Final = b"\xff"
_TIMESTAMP: Final = b"\xc1\x1b"
"""Tag 1, and an integer of eight bytes that is not negative."""


def _long_head(major: int, number: int) -> bytes:
    """The first bytes of an item: its kind, and its value, its length or its count."""
    if number < 24:
        return bytes((major << 5 | number,))
    for info, size in ((24, 1), (25, 2), (26, 4), (27, 8)):
        if number < 1 << 8 * size:
            return bytes((major << 5 | info,)) + number.to_bytes(size, "big")
    raise OverflowError(f"{number} needs more than 64 bits")


_BYTES_HEADS: Final = [_long_head(_BYTES, length) for length in range(_SHORT_MAX)]
_TEXT_HEADS: Final = [_long_head(_TEXT, length) for length in range(_SHORT_MAX)]


def _text_head(length: int) -> bytes:
    return _TEXT_HEADS[length] if length < _SHORT_MAX else _long_head(_TEXT, length)


def _bytes_head(length: int) -> bytes:
    return _BYTES_HEADS[length] if length < _SHORT_MAX else _long_head(_BYTES, length)


def _text_item(text: str) -> bytes:
    encoded = text.encode()
    return _text_head(len(encoded)) + encoded


def _write_text(value: str, out: list[bytes]) -> None:
    encoded = value.encode()
    out += (_text_head(len(encoded)), encoded)


def _write_bytes(value: bytes, out: list[bytes]) -> None:
    out += (_bytes_head(len(value)), value)


def _write_int(value: int, out: list[bytes]) -> None:
    out.append(_long_head(_INT, value) if value >= 0 else _long_head(_NEGATIVE, -1 - value))


def _write_float(value: float, out: list[bytes]) -> None:
    out.append(pack(">Bd", 0xFB, value))


def _write_bool(value: bool, out: list[bytes]) -> None:
    out.append(b"\xf5" if value else b"\xf4")


def _write_none(value: None, out: list[bytes]) -> None:
    out.append(b"\xf6")


def _write_timestamp(value: float, out: list[bytes]) -> None:
    out += (_TIMESTAMP, round(value * 1000).to_bytes(8, "big"))


@final
class CborEncoder:
    """Writes answers. `timestamps` are the members, by their names on the wire, that have seconds
    in the structs and become tagged milliseconds. Build one per service, at import.
    """

    def __init__(self, timestamps: frozenset[str] = frozenset()) -> None:
        self._timestamps = timestamps
        self._writers: dict[type, Writer] = {
            str: _write_text,
            bytes: _write_bytes,
            bytearray: _write_bytes,
            memoryview: _write_bytes,
            int: _write_int,
            float: _write_float,
            bool: _write_bool,
            type(None): _write_none,
            list: self._write_list,
            tuple: self._write_list,
            dict: self._write_dict,
        }

    def encode(self, value: Any) -> bytes:
        """A struct or plain value as CBOR. Raises TypeError for a type that answers do not have."""
        out: list[bytes] = []
        self._write(value, out)
        return b"".join(out)

    def _write(self, value: Any, out: list[bytes]) -> None:
        (self._writers.get(value.__class__) or self._writer(value.__class__))(value, out)

    def _write_list(self, values: list[Any] | tuple[Any, ...], out: list[bytes]) -> None:
        out.append(_long_head(_ARRAY, len(values)))
        writers = self._writers
        for value in values:
            (writers.get(value.__class__) or self._writer(value.__class__))(value, out)

    def _write_dict(self, values: Mapping[str, Any], out: list[bytes]) -> None:
        out.append(_long_head(_MAP, len(values)))
        for key, value in values.items():
            _write_text(key, out)
            self._write_member(key, value, out)

    def _write_member(self, name: str, value: Any, out: list[bytes]) -> None:
        if name in self._timestamps and isinstance(value, (float, int)):
            _write_timestamp(value, out)
        else:
            self._write(value, out)

    def _writer(self, value_type: type) -> Writer:
        """The writer for a type that was not seen before."""
        if not issubclass(value_type, msgspec.Struct):
            raise TypeError(f"no answer has a {value_type.__qualname__}")
        config = value_type.__struct_config__
        if config.array_like or config.tag is not None:
            raise TypeError(f"{value_type.__qualname__} is no map")
        code = _StructCode(self._write, self._timestamps)
        for field in msgspec.structs.fields(value_type):
            code.add_field(field, omits_defaults=config.omit_defaults)
        writer = self._writers[value_type] = code.compiled()
        return writer


@final
class _StructCode:
    """The code of one struct's writer. Members that are always there are written in one go, and
    constant bytes that are neighbours are one constant.
    """

    def __init__(self, write: Writer, timestamps: frozenset[str]) -> None:
        self._timestamps = timestamps
        self._names: dict[str, Any] = {
            "write": write,
            "write_timestamp": _write_timestamp,
            "text_heads": _TEXT_HEADS,
            "text_head": _text_head,
            "bytes_heads": _BYTES_HEADS,
            "bytes_head": _bytes_head,
        }
        self._lines = ["def made(record, out):\n"]
        self._constant = _MAP_BEGIN
        self._parts: list[str] = []

    def add_field(self, field: FieldInfo, *, omits_defaults: bool) -> None:
        """The next member, in the order of the struct."""
        key = _text_item(field.encode_name)
        is_timestamp = field.encode_name in self._timestamps
        condition = self._condition(field, omits_defaults=omits_defaults)
        self._lines.append(f"    value = record.{field.name}\n")
        if condition:
            self._flush()
            self._lines.append(f"    if {condition}:\n")
            self._lines.append(f"        out.append({self._name(key)})\n")
            self._add_any("        ", is_timestamp=is_timestamp)
            return
        self._constant += key
        if is_timestamp and field.type is float:
            self._add_timestamp()
        elif field.type is str:
            self._add_string("text", "value.encode()")
        elif field.type is bytes:
            self._add_string("bytes", "value")
        else:
            self._flush()
            self._add_any("    ", is_timestamp=is_timestamp)

    def compiled(self) -> Writer:
        """The writer. No member follows."""
        self._constant += _END
        self._flush()
        exec("".join(self._lines), self._names)  # noqa: S102
        made: Writer = self._names["made"]
        return made

    def _add_any(self, indent: str, *, is_timestamp: bool) -> None:
        call = "(write if value is None else write_timestamp)" if is_timestamp else "write"
        self._lines.append(f"{indent}{call}(value, out)\n")

    def _add_timestamp(self) -> None:
        stamp = f"stamp_{len(self._names)}"
        self._lines.append(f"    {stamp} = round(value * 1000).to_bytes(8, 'big')\n")
        self._parts += (self._name(self._constant + _TIMESTAMP), stamp)
        self._constant = b""

    def _add_string(self, kind: str, value: str) -> None:
        string, head = f"string_{len(self._names)}", f"head_{len(self._names)}"
        short_head = f"{kind}_heads[size] if size < {_SHORT_MAX}"
        self._lines += (
            f"    {string} = {value}\n",
            f"    size = len({string})\n",
            f"    {head} = {short_head} else {kind}_head(size)\n",
        )
        self._parts += (self._name(self._constant), head, string)
        self._constant = b""

    def _condition(self, field: FieldInfo, *, omits_defaults: bool) -> str:
        """When the member is written, as msgspec decides it; empty for always."""
        if field.default is UNSET:
            return f"value is not {self._name(UNSET)}"
        if not omits_defaults:
            return ""
        if field.default is not NODEFAULT:
            return f"value is not {self._name(field.default)}"
        if field.default_factory is not NODEFAULT:
            return f"value or value.__class__ is not {self._name(field.default_factory)}"
        return ""

    def _flush(self) -> None:
        if self._constant:
            self._parts.append(self._name(self._constant))
            self._constant = b""
        if self._parts:
            self._lines.append(f"    out += ({', '.join(self._parts)},)\n")
            self._parts.clear()

    def _name(self, value: object) -> str:
        name = f"constant_{len(self._names)}"
        self._names[name] = value
        return name
