"""Tokens of the pages of Kinesis's lists.

Rules of this file:

- A token says which list it goes on with, after which entry, and when it was made. It is all that
  is kept of a list between two requests: entries that came or went in between are seen so.
- It ends in a digest, which tells tokens from other texts. It is no secret: who makes one up gets
  no more than he could ask for.
- A token can be used for five minutes, as a shard iterator can.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import blake2b
from typing import Final

import msgspec

from eventcore import limits
from eventcore.api.kinesis_faults import invalid_argument
from eventcore.codec import encode_record, record_decoder
from eventcore.errors import Expired, NotFound
from eventcore.streams.stream import Stream

__all__ = ["PageToken", "check_created", "read_token", "write_token"]

_DIGEST_BYTES: Final = 8


class PageToken(msgspec.Struct, frozen=True, array_like=True):
    """What a token says. `of` is the list: an operation's name. `after` is the last entry of the
    page before. `stream_arn` and `stream_created_ms` name the stream, for lists of one; the two
    `filter_` members are a shard filter's.
    """

    of: str
    made_ms: int
    after: str
    stream_arn: str = ""
    stream_created_ms: int = 0
    filter_type: str | None = None
    filter_ms: int | None = None


_decode: Final = record_decoder(PageToken)


def write_token(token: PageToken) -> str:
    """The text of a token."""
    content = encode_record(token)
    return urlsafe_b64encode(content + _digest(content)).decode("ascii")


def read_token(of: str, text: str, now_ms: int) -> PageToken:
    """What a token of the list `of` says. Raises Expired, and the fault for what is no such."""
    try:
        content = urlsafe_b64decode(text.encode("ascii"))
        token = _decode(content[:-_DIGEST_BYTES])
    except (ValueError, msgspec.DecodeError):
        token = None
    # The decoder passes over what is not base64; only what we write is a token.
    if token is None or token.of != of or write_token(token) != text:
        raise invalid_argument("NextToken is invalid.")
    if not 0 <= now_ms - token.made_ms <= limits.ITERATOR_MS_MAX:
        raise Expired("next token", token.made_ms, now_ms, limits.ITERATOR_MS_MAX)
    return token


def check_created(stream: Stream, created_ms: int) -> None:
    """Raises NotFound for a stream that is not the one of this time, but a later one of its name.

    The time may be in whole seconds: SDKs cut the rest off.
    """
    if created_ms not in (stream.created_ms, stream.created_ms // 1000 * 1000):
        raise NotFound("stream", stream.name)


def _digest(content: bytes) -> bytes:
    return blake2b(content, digest_size=_DIGEST_BYTES).digest()
