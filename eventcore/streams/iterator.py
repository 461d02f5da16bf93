"""Shard iterators: where a reader is, in a text that only we can read.

An iterator holds all that GetRecords needs, so none is remembered; it is good for five minutes from
its making. Its last bytes are a digest, so that a text that was not made here is refused.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from hashlib import blake2b
from typing import Final

import msgspec

from eventcore import limits
from eventcore.codec import encode_record, record_decoder
from eventcore.errors import Expired, InvalidParameter

__all__ = ["Iterator", "read_iterator", "write_iterator"]

_DIGEST_BYTES: Final = 8
_PERSON: Final = b"iterator"


class Iterator(msgspec.Struct, frozen=True, array_like=True):
    """A place in a shard: before its record `number`, and before the first one from there on that
    arrived at `from_ms` or later. `stream_ms` is when the stream was made, `component` where its
    rows are: together they tell it from another stream of the name. `made_ms` is when the iterator
    was made.
    """

    stream_arn: str
    stream_ms: int
    component: int
    ordinal: int
    number: int
    from_ms: int
    made_ms: int


_decode: Final = record_decoder(Iterator)


def _digest(body: bytes) -> bytes:
    return blake2b(body, digest_size=_DIGEST_BYTES, person=_PERSON).digest()


def write_iterator(iterator: Iterator) -> str:
    """The text of an iterator."""
    body = encode_record(iterator)
    return b64encode(body + _digest(body)).decode("ascii")


def read_iterator(text: str, now_ms: int) -> Iterator:
    """The iterator of a text. Raises InvalidParameter("iterator") for a text that was not made
    here, Expired for one that is too old.
    """
    try:
        raw = b64decode(text, validate=True)
        body = raw[:-_DIGEST_BYTES]
        iterator = _decode(body)
    except (NotBase64, ValueError, msgspec.DecodeError):
        raise InvalidParameter("iterator", "Invalid ShardIterator.", text) from None
    if _digest(body) != raw[-_DIGEST_BYTES:]:
        raise InvalidParameter("iterator", "Invalid ShardIterator.", text)
    if now_ms > iterator.made_ms + limits.ITERATOR_MS_MAX:
        raise Expired("iterator", iterator.made_ms, now_ms, limits.ITERATOR_MS_MAX)
    return iterator
