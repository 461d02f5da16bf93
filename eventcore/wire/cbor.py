"""The AWS CBOR protocol 1.1, sans-I/O: what the Java SDKs send to Kinesis in place of JSON.

It is AWS JSON with another encoding of the body: the same targets, members and errors. A request is
a POST with `X-Amz-Target` and `Content-Type: application/x-amz-cbor-1.1`, its body one CBOR map.

- Blobs are byte strings, in place of base64 texts.
- Timestamps have tag 1 and count milliseconds, which CBOR itself (RFC 8949, 3.4.2) counts in
  seconds. The structs have seconds, as in JSON, so that handlers do not see the protocol. A tagged
  number below MILLISECONDS_MIN is read as seconds: who follows the RFC sends no other, and no
  stream is as old as that many milliseconds. A number without the tag is read as in JSON.
- Maps and arrays may have a length or an end (Jackson, which the SDKs write with, uses ends).

Bytes are parsed by cbor2, and what it can do beyond the protocol is refused: every tag but 1 (no
bignums, regular expressions, shared references), keys that are no strings, duplicate keys, trailing
bytes. Lengths are claims: nothing is reserved for them. Since a byte can be a Python object of 64,
bodies of more than UNCOUNTED_BYTES_MAX may hold ITEMS_MAX items: they are counted before they are
parsed. All that is refused is a SerializationException.

Answers are written by `eventcore.wire.cbor_encoder`. In them a struct is a map with an end, as AWS
sends it. Which members are timestamps is told by their names, since a struct has a plain number
there.
"""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from math import isfinite
from typing import Any, Final, TypeVar, final

import cbor2
import msgspec
import msgspec.inspect

from eventcore.wire.cbor_encoder import CborEncoder
from eventcore.wire.fault import CORAL, Fault

__all__ = [
    "CBOR_1_1",
    "DEPTH_MAX",
    "ITEMS_MAX",
    "MILLISECONDS_MIN",
    "UNCOUNTED_BYTES_MAX",
    "cbor_decoder",
    "is_cbor",
    "parse_cbor",
    "write_fault",
]

T = TypeVar("T")

CBOR_1_1: Final = b"application/x-amz-cbor-1.1"

DEPTH_MAX: Final = 16
"""Containers and tags within each other. No request of Kinesis needs more than five."""
UNCOUNTED_BYTES_MAX: Final = 192 * 1024
"""Bodies up to this size are not counted: they hold 500 records of 256 bytes."""
ITEMS_MAX: Final = 16_384
"""Keys, values and tags of a larger body. 500 records with all members have less than 4,000."""
MILLISECONDS_MIN: Final = 10**11
"""The least number that counts milliseconds: March 1973, or the year 5138 in seconds."""


def is_cbor(content_type: bytes | None) -> bool:
    """Whether a body of this content type is AWS CBOR; parameters beside it do not matter."""
    if content_type == CBOR_1_1:
        return True
    if content_type is None:
        return False
    return content_type.partition(b";")[0].strip().lower() == CBOR_1_1


# From bytes to structs


def cbor_decoder(struct_type: type[T]) -> Callable[[bytes], T]:
    """The decoder for bodies of one struct type; unknown members are ignored.

    Raises Fault for what is no CBOR of the protocol, and msgspec.ValidationError for members of a
    wrong type, as the decoder for JSON does. Build it once, at import.
    """
    has_floats = _has_floats(struct_type)

    def decode(body: bytes) -> T:
        record = msgspec.convert(parse_cbor(body), struct_type, builtin_types=_BLOBS)
        if has_floats and not _is_finite(msgspec.to_builtins(record, builtin_types=_BLOBS)):
            raise _refused("A number is not finite.")
        return record

    return decode


def parse_cbor(body: bytes) -> Any:
    """Plain values from the one item that a body is, timestamps as seconds. Raises Fault."""
    if len(body) > UNCOUNTED_BYTES_MAX:
        _count_items(body)
    file = BytesIO(body)
    try:
        value = cbor2.CBORDecoder(
            file,
            semantic_decoders=_TAGS,
            max_depth=DEPTH_MAX,
            allow_duplicate_keys=False,
            strict_hashable_types=True,
        ).decode()
    except cbor2.CBORDecodeError as error:
        raise _refused(f"The body is no CBOR of this protocol: {error}.") from error
    if file.tell() != len(body):
        raise _refused("The body goes on after its end.")
    return value


_BLOBS: Final = (bytes,)


def _refused(message: str) -> Fault:
    return Fault(CORAL + "SerializationException", message)


def _read_timestamp(value: object, is_immutable: bool) -> float:
    if (value.__class__ is int or value.__class__ is float) and isfinite(value):
        return value / 1000 if abs(value) >= MILLISECONDS_MIN else float(value)
    raise ValueError("a timestamp must be a number")


def _refuse_tag(value: object, is_immutable: bool) -> object:
    raise ValueError("this tag is not part of the protocol")


@final
class _Tags(dict[int, Callable[[Any, bool], Any]]):
    """What cbor2 does for a tag: refuse it, unless there is an entry. It asks for every tag, also
    for those that it would know itself.
    """

    def __missing__(self, tag: int) -> Callable[[Any, bool], Any]:
        return _refuse_tag


_TAGS: Final = _Tags({1: _read_timestamp})


def _item_steps() -> list[int]:
    """For each first byte of an item: how many bytes the item and its text have, apart from the
    items in it; 0 where more than the byte decides that.
    """
    steps = []
    for first in range(256):
        is_string, info = first >> 5 in (2, 3), first & 31
        if info < 24:
            steps.append(1 + (info if is_string else 0))
        elif info < 28:
            steps.append(0 if is_string else 1 + (1 << (info - 24)))
        else:
            steps.append(1)
    return steps


_STEPS: Final = _item_steps()


def _count_items(body: bytes) -> None:
    """Raises Fault for more than ITEMS_MAX items. What is malformed is left to the parser."""
    at, end, steps = 0, len(body), _STEPS
    for _ in range(ITEMS_MAX):
        if at >= end:
            return
        first = body[at]
        step = steps[first]
        if not step:  # a string whose length follows
            step = 1 + (1 << (first & 31) - 24)
            step += int.from_bytes(body[at + 1 : at + step], "big")
        at += step
    if at < end:
        raise _refused(f"The body has more than {ITEMS_MAX} items.")


def _has_floats(struct_type: type) -> bool:
    """Whether a value of the type can hold a float: JSON has no NaN and no infinity, CBOR does."""
    seen: set[type] = set()

    def of(kind: msgspec.inspect.Type) -> bool:
        if isinstance(kind, (msgspec.inspect.FloatType, msgspec.inspect.AnyType)):
            return True
        if isinstance(kind, msgspec.inspect.StructType):
            if kind.cls in seen:
                return False
            seen.add(kind.cls)
            return any(of(field.type) for field in kind.fields)
        if isinstance(kind, msgspec.inspect.UnionType):
            return any(of(part) for part in kind.types)
        if isinstance(kind, msgspec.inspect.DictType):
            return of(kind.value_type)
        if isinstance(kind, msgspec.inspect.CollectionType):
            return of(kind.item_type)
        return False

    return of(msgspec.inspect.type_info(struct_type))


def _is_finite(value: object) -> bool:
    if isinstance(value, float):
        return isfinite(value)
    if isinstance(value, dict):
        return all(map(_is_finite, value.values()))
    if isinstance(value, list):
        return all(map(_is_finite, value))
    return True


# Errors


def write_fault(fault: Fault) -> bytes:
    """The body of an error. AWS writes the bare code here, whoever raised it."""
    return _encode_fault({"__type": fault.bare_code, "message": fault.message})


_encode_fault: Final = CborEncoder().encode
