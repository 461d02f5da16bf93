"""A limit on calls per second: a bucket that fills at the rate and holds one second's worth.

What it counts is not durable: after a restart the bucket is full.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final, final

__all__ = ["RateLimit", "RateLimits"]

LIMITS_KEPT_MAX: Final = 10_000


@final
class RateLimit:
    """One bucket."""

    __slots__ = ("_at_ms", "_level", "_per_s")

    def __init__(self, per_s: int) -> None:
        self._per_s = per_s
        self._level = float(per_s)
        self._at_ms = 0

    def take(self, now_ms: int) -> bool:
        """Takes one call; False when there is none left."""
        if now_ms > self._at_ms:
            gained = (now_ms - self._at_ms) * self._per_s / 1000
            self._level = min(float(self._per_s), self._level + gained)
            self._at_ms = now_ms
        if self._level < 1:
            return False
        self._level -= 1
        return True


@final
class RateLimits:
    """One bucket per key, of the keys used latest: one that was dropped had time to fill."""

    __slots__ = ("_limits", "_per_s")

    def __init__(self, per_s: int) -> None:
        self._per_s = per_s
        self._limits: OrderedDict[str, RateLimit] = OrderedDict()

    def take(self, key: str, now_ms: int) -> bool:
        """Takes one call of this key; False when it has none left."""
        limit = self._limits.get(key)
        if limit is None:
            limit = self._limits[key] = RateLimit(self._per_s)
            if len(self._limits) > LIMITS_KEPT_MAX:
                self._limits.popitem(last=False)
        else:
            self._limits.move_to_end(key)
        return limit.take(now_ms)
