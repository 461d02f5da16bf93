"""The KPL's aggregated records: many user records in the data of one record of a stream.

    4 bytes  F3 89 9A C2
    n bytes  a protobuf message: a table of partition keys, a table of explicit hash keys, and user
             records, which name their keys by the place in the tables
    16 bytes the MD5 of the message

Rules of this file:

- What begins with the four bytes and is anything else but a sound aggregate, is an ordinary record:
  nobody may be kept from sending such bytes, and nothing may be lost for it.
- The message is read by hand: three kinds of messages with seven fields, which never change.
  Unknown fields are passed over, as protobuf does; tags are not kept.
- Nothing is read without bound: an aggregate of more than `AGGREGATED_RECORDS_MAX` user records, or
  keys, is none.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from hashlib import md5
from typing import Final

import msgspec

from eventcore import limits
from eventcore.errors import InvalidParameter
from eventcore.streams.hash_range import hash_key, read_hash_key

__all__ = ["MAGIC", "UserRecord", "aggregate", "deaggregate"]

MAGIC: Final = bytes.fromhex("f3899ac2")
_DIGEST_BYTES: Final = 16
_VARINT_BYTES_MAX: Final = 10

# Field numbers: of the aggregate, and of a user record in it.
_PARTITION_KEYS: Final = 1
_HASH_KEYS: Final = 2
_RECORDS: Final = 3
_KEY_INDEX: Final = 1
_HASH_INDEX: Final = 2
_DATA: Final = 3

_VARINT: Final = 0
_FIXED64: Final = 1
_BYTES: Final = 2
_FIXED32: Final = 5


class UserRecord(msgspec.Struct, frozen=True):
    """What a producer sent, before it was put into an aggregate with others."""

    partition_key: str
    data: bytes
    explicit_hash_key: str | None = None

    @property
    def hash_key(self) -> int:
        """Where it belongs among the hash keys of the shards."""
        if self.explicit_hash_key is not None:
            explicit = read_hash_key(self.explicit_hash_key)
            if explicit is not None:
                return explicit
        return hash_key(self.partition_key)


class _Malformed(Exception):
    """The bytes are no message of the kind."""


def deaggregate(data: bytes) -> list[UserRecord] | None:
    """The user records of an aggregate in their order; None for a record that is none. Their
    places in the list are their sub-sequence numbers. Never raises.
    """
    if data[:4] != MAGIC or len(data) < len(MAGIC) + _DIGEST_BYTES:
        return None
    message = data[len(MAGIC) : -_DIGEST_BYTES]
    if md5(message, usedforsecurity=False).digest() != data[-_DIGEST_BYTES:]:
        return None
    try:
        return _read_aggregate(message)
    except (_Malformed, UnicodeDecodeError):
        return None


def aggregate(records: Iterable[UserRecord]) -> bytes:
    """The data of one record that holds these, in this order.

    Put it with a partition key that leads to the shard to which all of them belong: consumers
    built on the KCL leave out user records that do not belong to the shard they come from. Raises
    InvalidParameter for none, or more than `AGGREGATED_RECORDS_MAX`.
    """
    keys: dict[str, int] = {}
    hash_keys: dict[str, int] = {}
    body = bytearray()
    count = 0
    for record in records:
        count += 1
        inner = bytearray((_KEY_INDEX << 3 | _VARINT,))
        inner += _varint(keys.setdefault(record.partition_key, len(keys)))
        if record.explicit_hash_key is not None:
            place = hash_keys.setdefault(record.explicit_hash_key, len(hash_keys))
            inner.append(_HASH_INDEX << 3 | _VARINT)
            inner += _varint(place)
        inner += _block(_DATA, record.data)
        body += _block(_RECORDS, inner)
    if not 1 <= count <= limits.AGGREGATED_RECORDS_MAX:
        raise InvalidParameter(
            "records", f"Must be 1 to {limits.AGGREGATED_RECORDS_MAX} records.", count
        )
    message = b"".join(
        [
            *(_block(_PARTITION_KEYS, key.encode()) for key in keys),
            *(_block(_HASH_KEYS, key.encode()) for key in hash_keys),
            body,
        ]
    )
    return MAGIC + message + md5(message, usedforsecurity=False).digest()


def _read_aggregate(message: bytes) -> list[UserRecord]:
    keys: list[str] = []
    hash_keys: list[str] = []
    found: list[tuple[int, int | None, bytes]] = []
    for field, value in _fields(message):
        if value.__class__ is bytes:
            if field == _RECORDS:
                found.append(_read_record(value))
            elif field == _PARTITION_KEYS:
                keys.append(value.decode())
            elif field == _HASH_KEYS:
                hash_keys.append(value.decode())
            if max(len(found), len(keys), len(hash_keys)) > limits.AGGREGATED_RECORDS_MAX:
                raise _Malformed
        elif field in (_PARTITION_KEYS, _HASH_KEYS, _RECORDS):
            raise _Malformed
    # The tables may stand behind the records that name their entries.
    records = []
    for key, explicit, data in found:
        if key >= len(keys) or (explicit is not None and explicit >= len(hash_keys)):
            raise _Malformed
        records.append(
            UserRecord(keys[key], data, None if explicit is None else hash_keys[explicit])
        )
    return records


def _read_record(message: bytes) -> tuple[int, int | None, bytes]:
    key: int | None = None
    explicit: int | None = None
    data: bytes | None = None
    for field, value in _fields(message):
        if field == _KEY_INDEX and isinstance(value, int):
            key = value
        elif field == _HASH_INDEX and isinstance(value, int):
            explicit = value
        elif field == _DATA and isinstance(value, bytes):
            data = value
        elif field in (_KEY_INDEX, _HASH_INDEX, _DATA):
            raise _Malformed
    if key is None or data is None:
        raise _Malformed
    return key, explicit, data


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes | None]]:
    """Field numbers with their values: an int, bytes, or None for kinds that no field here has."""
    at, end = 0, len(message)
    while at < end:
        tag, at = _read_varint(message, at)
        field, kind = tag >> 3, tag & 7
        if not field:
            raise _Malformed
        if kind == _BYTES:
            size, at = _read_varint(message, at)
            if size > end - at:
                raise _Malformed
            yield field, message[at : at + size]
            at += size
        elif kind == _VARINT:
            number, at = _read_varint(message, at)
            yield field, number
        elif kind in (_FIXED64, _FIXED32):
            at += 8 if kind == _FIXED64 else 4
            if at > end:
                raise _Malformed
            yield field, None
        else:
            raise _Malformed


def _read_varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    for byte in message[at : at + _VARINT_BYTES_MAX]:
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    raise _Malformed


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _block(field: int, value: bytes | bytearray) -> bytes:
    return bytes((field << 3 | _BYTES,)) + _varint(len(value)) + value
