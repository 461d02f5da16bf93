"""Receipt handles: opaque to the caller, checked without a table.

A handle holds the queue's tag (so that a handle of another queue, or of a deleted namesake, is
known as such), the message's number and the token drawn at that receive, never 0. Only the latest
token of a message opens it.
"""

from __future__ import annotations

import struct
from binascii import a2b_base64, b2a_base64
from typing import Final
from zlib import crc32

from eventcore.errors import InvalidReceiptHandle

__all__ = ["make_handle", "open_handle", "queue_tag"]

_LAYOUT: Final = struct.Struct(">IQQ")
_pack: Final = _LAYOUT.pack
_unpack: Final = _LAYOUT.unpack


def queue_tag(arn: str, created_ms: int) -> int:
    """32 bits that tell a queue from others and from a deleted one of the same name."""
    return crc32(f"{arn} {created_ms}".encode())


def make_handle(tag: int, number: int, token: int) -> str:
    """The handle's text: 28 characters of base64."""
    return b2a_base64(_pack(tag, number, token), newline=False).decode("ascii")


def open_handle(tag: int, handle: str) -> tuple[int, int]:
    """(number, token) of a handle. Raises InvalidReceiptHandle for any other text."""
    try:
        found, number, token = _unpack(a2b_base64(handle.encode("ascii"), strict_mode=True))
    except (ValueError, struct.error) as error:
        raise InvalidReceiptHandle(handle) from error
    if found != tag or not token:
        raise InvalidReceiptHandle(handle)
    return number, token
