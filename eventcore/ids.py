"""Where identifiers and randomness come from. Injected, so that a seeded run repeats exactly.

Ids are 16 raw bytes in memory and on disk (a third of the size of their text) and become the usual
36 characters only on the way out.
"""

from __future__ import annotations

import os
from typing import Final, Protocol, final

__all__ = ["IdSource", "SystemIds", "format_uuid"]

_IDS_PER_POOL: Final = 512
_POOL_BYTES: Final = 16 * _IDS_PER_POOL
_RANDOM_BITS: Final = int.from_bytes(
    bytes.fromhex("ffffffffffff0fff3fffffffffffffff") * _IDS_PER_POOL, "big"
)
_UUID4_BITS: Final = int.from_bytes(
    bytes.fromhex("00000000000040008000000000000000") * _IDS_PER_POOL, "big"
)


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

    def _fill(self) -> None:
        """A new pool. All its ids get their version and variant bits in two operations on one
        integer: a tenth of the cost of doing it id by id.
        """
        random = int.from_bytes(os.urandom(_POOL_BYTES), "big")
        self._pool = (random & _RANDOM_BITS | _UUID4_BITS).to_bytes(_POOL_BYTES, "big")
        self._next = 0

    def unique_id(self) -> bytes:
        """16 random bytes with the version and variant bits of a UUID 4."""
        if self._next >= _POOL_BYTES:
            self._fill()
        at = self._next
        self._next = at + 16
        return self._pool[at : at + 16]

    def token(self) -> int:
        """63 bits, 61 of them random: they hold a variant's two bits."""
        if self._next >= _POOL_BYTES:
            self._fill()
        at = self._next
        self._next = at + 16
        return int.from_bytes(self._pool[at + 8 : at + 16], "big") >> 1


def format_uuid(raw: bytes) -> str:
    """The 36 characters of a UUID of 16 bytes."""
    text = raw.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
