"""The zips of a function as log rows, and what is told of them.

    key    LOG_KEY_FIRST | number of the blob << 16 | number of the part

A blob is cut into parts of `PART_BYTES`, so that no row is larger than what a store takes well. Its
keys follow from its size alone: nothing about parts is kept anywhere.
"""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256
from typing import Final

from eventcore.functions.function_spec import FunctionCode
from eventcore.outcome import LOG_KEY_FIRST, Mutation, Trim

__all__ = ["PART_BYTES", "blob_keys", "blob_rows", "blob_trim", "code_sha256"]

PART_BYTES: Final = 1_048_576
_PART_SHIFT: Final = 16


def code_sha256(zip_bytes: bytes) -> str:
    """AWS's CodeSha256: the digest in base64."""
    return b64encode(sha256(zip_bytes).digest()).decode()


def blob_keys(code: FunctionCode) -> list[int]:
    """The row keys of a blob's parts, in order; none for code that is elsewhere."""
    if not code.blob:
        return []
    return [_key(code.blob, part) for part in range(-(-code.size_bytes // PART_BYTES))]


def blob_rows(blob: int, zip_bytes: bytes) -> list[Mutation]:
    """The rows that put a zip into the store as blob `blob`."""
    offsets = range(0, len(zip_bytes), PART_BYTES)
    return [
        Mutation(_key(blob, part), zip_bytes[offset : offset + PART_BYTES], is_new=True)
        for part, offset in enumerate(offsets)
    ]


def blob_trim(blob: int) -> Trim:
    """The rows of a blob go."""
    return Trim(_key(blob, 0), _key(blob + 1, 0) - 1)


def _key(blob: int, part: int) -> int:
    return LOG_KEY_FIRST | blob << _PART_SHIFT | part
