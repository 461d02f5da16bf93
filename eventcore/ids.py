"""Where identifiers and randomness come from. Injected, so that a seeded run repeats exactly.

Ids are 16 raw bytes in memory and on disk (a third of the size of their text) and become the usual
36 characters only on the way out.
"""

from __future__ import annotations

import os
from typing import Final, Protocol, final

__all__ = ["IdSource", "SystemIds", "format_uuid", "parse_uuid"]

_POOL_BYTES: Final = 16 * 512


class IdSource(Protocol):
    """Everything random that a machine may need."""

    def unique_id(self) -> bytes:
        """16 bytes, a version 4 UUID, never given twice."""
        ...

    def token(self) -> int:
        """An integer in [0, 2**63) that nobody can guess; part of a receipt handle."""
        ...


@final
class SystemIds:
    """Ids from the operating system's random numbers, fetched in pools of 8 KiB because the system
    call is the cost.
    """

    def __init__(self) -> None:
        self._pool = b""
        self._next = _POOL_BYTES

    def _take(self) -> int:
        at = self._next
        if at >= _POOL_BYTES:
            self._pool = os.urandom(_POOL_BYTES)
            at = 0
        self._next = at + 16
        return at

    def unique_id(self) -> bytes:
        """16 random bytes with the version and variant bits of a UUID 4."""
        at = self._take()
        raw = bytearray(self._pool[at : at + 16])
        raw[6] = raw[6] & 0x0F | 0x40
        raw[8] = raw[8] & 0x3F | 0x80
        return bytes(raw)

    def token(self) -> int:
        """63 random bits."""
        at = self._take()
        return int.from_bytes(self._pool[at : at + 8], "little") >> 1


def format_uuid(raw: bytes) -> str:
    """The 36 characters of a UUID of 16 bytes."""
    text = raw.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def parse_uuid(text: str) -> bytes:
    """The 16 bytes of a UUID's text. Raises ValueError for anything else."""
    raw = bytes.fromhex(text.replace("-", ""))
    if len(raw) != 16:
        raise ValueError(f"not a UUID: {text!r}")
    return raw
