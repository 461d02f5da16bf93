"""What a shard lets pass a second, where the quotas are on. In memory only: a restart forgives.

A budget refills steadily. What is read counts in windows: one begins with the first call and lasts
a second, or as long as what was read in it takes at the shard's rate. So a GetRecords of 10 MiB is
followed by five seconds without one, as AWS says.
"""

from __future__ import annotations

from typing import Final, final

__all__ = ["ReadMeter", "WriteMeter"]

_SECOND_MS: Final = 1_000


@final
class _Budget:
    """Units that refill at `per_s` a second, up to those of one second."""

    __slots__ = ("_at_ms", "_left", "per_s")

    def __init__(self, per_s: int) -> None:
        self.per_s = per_s
        self._left = per_s * _SECOND_MS
        self._at_ms = 0

    def left(self, now_ms: int) -> int:
        """Thousandths of units that may be spent now."""
        if now_ms > self._at_ms:
            full = self.per_s * _SECOND_MS
            self._left = min(full, self._left + (now_ms - self._at_ms) * self.per_s)
            self._at_ms = now_ms
        return self._left

    def spend(self, units: int) -> None:
        self._left -= units * _SECOND_MS


@final
class WriteMeter:
    """Bytes and records a second into one shard. None for no limit."""

    __slots__ = ("_bytes", "_records")

    def __init__(self, bytes_per_s: int | None, records_per_s: int | None) -> None:
        self._bytes = None if bytes_per_s is None else _Budget(bytes_per_s)
        self._records = None if records_per_s is None else _Budget(records_per_s)

    def admit(self, size: int, now_ms: int) -> bool:
        """Whether a record of this size may pass now; it is counted then.

        A record larger than a second's bytes passes when the budget is full, and overdraws it.
        """
        records, budget = self._records, self._bytes
        if records is not None and records.left(now_ms) < _SECOND_MS:
            return False
        if budget is not None:
            wanted = min(size, budget.per_s) * _SECOND_MS
            if budget.left(now_ms) < wanted:
                return False
            budget.spend(size)
        if records is not None:
            records.spend(1)
        return True


@final
class ReadMeter:
    """Bytes and calls a second out of one shard. None for no limit."""

    __slots__ = ("_bytes_per_s", "_calls", "_read", "_window_ms")

    def __init__(self, bytes_per_s: int | None, calls_per_s: int | None) -> None:
        self._bytes_per_s = bytes_per_s
        self._calls = None if calls_per_s is None else _Budget(calls_per_s)
        self._window_ms = 0
        self._read = 0
        """Bytes read since the window began."""

    def admit(self, now_ms: int) -> bool:
        """Whether a call may pass now; it is counted then."""
        per_s = self._bytes_per_s
        if per_s is not None:
            taken_ms = max(_SECOND_MS, -(-self._read * _SECOND_MS // per_s))
            if now_ms >= self._window_ms + taken_ms:
                self._window_ms, self._read = now_ms, 0
            elif self._read >= per_s:
                return False
        if self._calls is not None:
            if self._calls.left(now_ms) < _SECOND_MS:
                return False
            self._calls.spend(1)
        return True

    def count(self, size: int) -> None:
        """Counts what a call that was let pass has read."""
        self._read += size
