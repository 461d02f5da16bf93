"""AWS event stream messages, sans-I/O: SubscribeToShard answers with one after another.

    total length 4 | headers' length 4 | CRC-32 of these 8
    headers                            name length 1 | name | type 1 | value
    payload
    CRC-32 of all before               all integers are big-endian

Rules:

- What is written has headers of text only, as every message of AWS's services has. What is read may
  have all ten types of values.
- A message says what it is in headers: `:message-type` is "event", with `:event-type` and
  `:content-type`, or "exception", with `:exception-type`. The payload is the event or the exception
  in the protocol of the service.
- Reading is bounded by what AWS allows: a length that is too great is refused when the first twelve
  bytes are there, and nothing is reserved for it. The lengths are trusted after their checksum, the
  rest after its own. What is refused raises MalformedMessage; nothing after it can be read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from struct import Struct
from typing import Final, TypeAlias
from zlib import crc32

import msgspec

__all__ = [
    "EVENT_STREAM",
    "HEADERS_BYTES_MAX",
    "PAYLOAD_BYTES_MAX",
    "EventMessage",
    "HeaderValue",
    "MalformedMessage",
    "decode_messages",
    "encode_headers",
    "encode_message",
    "event_headers",
    "exception_headers",
]

EVENT_STREAM: Final = b"application/vnd.amazon.eventstream"
"""The content type of an answer made of messages."""

HEADERS_BYTES_MAX: Final = 128 * 1024
PAYLOAD_BYTES_MAX: Final = 24 * 1024 * 1024

HeaderValue: TypeAlias = bool | int | bytes | str
"""A header's value. Times are milliseconds since 1970, UUIDs their 16 bytes."""

_PRELUDE: Final = Struct(">III")
_LENGTHS: Final = Struct(">II")
_CHECKSUM: Final = Struct(">I")
_FRAME_BYTES: Final = _PRELUDE.size + _CHECKSUM.size
_TRUE, _FALSE, _BYTES, _TEXT, _UUID = 0, 1, 6, 7, 9
_NUMBERS: Final = {
    2: Struct(">b"),
    3: Struct(">h"),
    4: Struct(">i"),
    5: Struct(">q"),
    8: Struct(">q"),
}
_NAME_BYTES_MAX: Final = 255
_VALUE_BYTES_MAX: Final = 32_767


class MalformedMessage(ValueError):
    """Bytes that are no message: a checksum that does not fit, a length that cannot be, a header
    that is none.
    """


class EventMessage(msgspec.Struct, frozen=True):
    """One message. The names of its headers are as sent, with their colon."""

    headers: dict[str, HeaderValue]
    payload: bytes


# Writing


def event_headers(event_type: str, content_type: str) -> bytes:
    """The headers of events of one type; make them once and use them for all."""
    return encode_headers(
        {":event-type": event_type, ":content-type": content_type, ":message-type": "event"}
    )


def exception_headers(exception_type: str, content_type: str) -> bytes:
    """The headers of a message that ends a stream with an error of the service."""
    return encode_headers(
        {
            ":exception-type": exception_type,
            ":content-type": content_type,
            ":message-type": "exception",
        }
    )


def encode_headers(headers: Mapping[str, str]) -> bytes:
    """The bytes of headers. Raises ValueError for what the format cannot hold."""
    parts = []
    for name, text in headers.items():
        key, value = name.encode(), text.encode()
        if not 0 < len(key) <= _NAME_BYTES_MAX:
            raise ValueError(f"a header's name has 1 to {_NAME_BYTES_MAX} bytes, not {len(key)}")
        if len(value) > _VALUE_BYTES_MAX:
            raise ValueError(f"the header {name} has more than {_VALUE_BYTES_MAX} bytes")
        parts.append(b"%c%b%c%b%b" % (len(key), key, _TEXT, len(value).to_bytes(2, "big"), value))
    block = b"".join(parts)
    if len(block) > HEADERS_BYTES_MAX:
        raise ValueError(f"the headers have more than {HEADERS_BYTES_MAX} bytes")
    return block


def encode_message(headers: Mapping[str, str] | bytes, payload: bytes) -> bytes:
    """One message. `headers` may be what `encode_headers` made of them. Raises ValueError for what
    the format cannot hold.
    """
    block = headers if isinstance(headers, bytes) else encode_headers(headers)
    if len(payload) > PAYLOAD_BYTES_MAX:
        raise ValueError(f"the payload has more than {PAYLOAD_BYTES_MAX} bytes")
    lengths = _LENGTHS.pack(_FRAME_BYTES + len(block) + len(payload), len(block))
    message = b"%b%b%b%b" % (lengths, _CHECKSUM.pack(crc32(lengths)), block, payload)
    return message + _CHECKSUM.pack(crc32(message))


# Reading


def decode_messages(buffer: bytearray) -> Iterator[EventMessage]:
    """Takes the whole messages from the front of a buffer; what is left is the start of the next.

    Raises MalformedMessage after the messages before it.
    """
    while len(buffer) >= _PRELUDE.size:
        total, headers_bytes, checksum = _PRELUDE.unpack_from(buffer)
        if crc32(buffer[: _LENGTHS.size]) != checksum:
            raise MalformedMessage("the checksum of the lengths does not fit")
        payload_bytes = total - headers_bytes - _FRAME_BYTES
        if headers_bytes > HEADERS_BYTES_MAX:
            raise MalformedMessage(f"{headers_bytes} bytes of headers are too many")
        if not 0 <= payload_bytes <= PAYLOAD_BYTES_MAX:
            raise MalformedMessage(f"a payload cannot have {payload_bytes} bytes")
        if len(buffer) < total:
            return
        message = bytes(memoryview(buffer)[:total])
        del buffer[:total]
        end = total - _CHECKSUM.size
        if crc32(memoryview(message)[:end]) != _CHECKSUM.unpack_from(message, end)[0]:
            raise MalformedMessage("the checksum of the message does not fit")
        start = _PRELUDE.size + headers_bytes
        headers = _read_headers(message[_PRELUDE.size : start])
        yield EventMessage(headers, message[start:end])


def _read_headers(block: bytes) -> dict[str, HeaderValue]:
    headers: dict[str, HeaderValue] = {}
    at = 0
    try:
        while at < len(block):
            start = at + 1
            at = start + block[at]
            name = block[start:at].decode()
            if not name or name in headers:
                raise MalformedMessage(f"a header is named {name!r}, or there are two of them")
            headers[name], at = _read_value(block, at)
    except (IndexError, UnicodeDecodeError) as error:
        raise MalformedMessage(f"the headers cannot be read: {error}") from error
    if at > len(block):
        raise MalformedMessage("a header goes on after the end of the headers")
    return headers


def _read_value(block: bytes, at: int) -> tuple[HeaderValue, int]:
    """The value whose type is at the place, and the place after it, which may be beyond the end."""
    kind = block[at]
    at += 1
    if kind in (_TRUE, _FALSE):
        return kind == _TRUE, at
    number = _NUMBERS.get(kind)
    if number is not None:
        return number.unpack(block[at : at + number.size].ljust(number.size))[0], at + number.size
    if kind == _UUID:
        return block[at : at + 16], at + 16
    if kind not in (_BYTES, _TEXT):
        raise MalformedMessage(f"a header has a value of the unknown type {kind}")
    start = at + 2
    at = start + int.from_bytes(block[at:start], "big")
    value = block[start:at]
    return value if kind == _BYTES else value.decode(), at
