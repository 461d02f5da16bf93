"""The only module that turns structs into bytes and back.

Rows are msgpack of array-like msgspec structs: compact, fast, and open at the end (a field added
with a default reads old rows). JSON is for the wire and for events.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final, TypeVar

import msgspec
import orjson

from eventcore.errors import InvalidParameter

__all__ = [
    "check_record",
    "compact_json",
    "decode_json",
    "encode_json",
    "encode_record",
    "json_decoder",
    "record_decoder",
]

T = TypeVar("T")

_encode_into: Final = msgspec.msgpack.Encoder().encode_into
_buffer: Final = bytearray(4096)


def encode_record(record: Any) -> bytes:
    """Any record or plain value as msgpack bytes, in an object of exactly their size.

    Rows stay in memory by the million; `Encoder.encode` returns objects with up to a third of slack
    (486 B for 379).
    """
    _encode_into(record, _buffer)
    return bytes(_buffer)


encode_json: Final[Callable[[Any], bytes]] = msgspec.json.Encoder().encode
"""A struct or plain value as compact JSON (UTF-8 bytes)."""


def record_decoder(record_type: type[T]) -> Callable[[bytes], T]:
    """The decoder for rows of one record type. Build it once, at import."""
    return msgspec.msgpack.Decoder(record_type).decode


def check_record(record: msgspec.Struct) -> None:
    """Raises InvalidParameter, with the member's name, for a record that could be written and not
    be read back: a number for a text, a float for an int. For records of what a program gave.
    """
    for name, decode in _member_decoders(type(record)):
        value = getattr(record, name)
        try:
            decode(encode_record(value))
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            raise InvalidParameter(name, f"Can not be stored: {error}.", value) from error


@lru_cache(maxsize=64)
def _member_decoders(
    record_type: type[msgspec.Struct],
) -> tuple[tuple[str, Callable[[bytes], Any]], ...]:
    fields = msgspec.structs.fields(record_type)
    return tuple((field.name, record_decoder(field.type)) for field in fields)


def json_decoder(
    struct_type: type[T], float_hook: Callable[[str], Any] | None = None
) -> Callable[[bytes | str], T]:
    """The decoder for JSON texts of one struct type; unknown members are ignored. Raises
    msgspec.ValidationError.

    `float_hook` reads the numbers with a fraction or an exponent, where no type is asked for.
    """
    return msgspec.json.Decoder(struct_type, float_hook=float_hook).decode


def decode_json(text: bytes | str) -> Any:
    """Plain values from JSON text. Raises ValueError. Strict JSON: no NaN, no lone surrogates, no
    trailing text.
    """
    return orjson.loads(text)


def compact_json(text: str) -> str:
    """A JSON text without insignificant whitespace; numbers, escapes and order stay as written.

    Raises ValueError for what is not JSON.
    """
    try:
        return msgspec.json.format(text, indent=-1)
    except msgspec.DecodeError as error:
        raise ValueError(str(error)) from error
