"""Ids and tokens that repeat exactly for a seed."""

from __future__ import annotations

import random
from typing import final

__all__ = ["SeededIds"]


@final
class SeededIds:
    """An `IdSource` for tests and simulation: a seed gives the same ids in the same order."""

    # Repeatable, not secret.
    def __init__(self, seed: int = 0) -> None:
        self._random = random.Random(seed)  # noqa: S311

    def unique_id(self) -> bytes:
        """16 bytes, a version 4 UUID."""
        bits = self._random.getrandbits(128)
        bits = bits & ~(0xF << 76) | 0x4 << 76
        bits = bits & ~(0x3 << 62) | 0x2 << 62
        return bits.to_bytes(16, "big")

    def token(self) -> int:
        """An integer in [0, 2**63)."""
        return self._random.getrandbits(63)
