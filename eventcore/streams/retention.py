"""When which shard's log is to be trimmed: a heap of times, planned anew when it is stale.

After a slice of a log there is a pause for the whole stream, so that no commit is long and others
have their turn. Entries of the heap may be early (the shard is looked at, and planned again), or of
a shard that has vanished; never late.
"""

from __future__ import annotations

from collections.abc import Mapping
from heapq import heapify, heappop, heappush
from typing import Final, final

from eventcore import limits
from eventcore.streams.shard import Retention, Shard

__all__ = ["TrimPlan"]

SWEEP_MIN: Final = 64


@final
class TrimPlan:
    """What is due in the logs of a stream's shards."""

    def __init__(self, shards: Mapping[int, Shard]) -> None:
        self._shards = shards
        self._heap: list[tuple[int, int]] = []
        self._is_stale = False
        self._paused_until_ms = 0

    def forget(self) -> None:
        """The shards have changed in a way that nobody told `add` of: all is planned anew."""
        self._is_stale = True

    def add(self, shard: Shard, retention: Retention) -> None:
        """Plans a shard whose log begins now, or has a new mark."""
        if self._is_stale:
            return
        due_ms = shard.trim_due_ms(retention)
        if due_ms is not None:
            heappush(self._heap, (due_ms, shard.ordinal))
        if len(self._heap) > 2 * len(self._shards) + SWEEP_MIN:
            self._is_stale = True

    def deadline_ms(self, retention: Retention) -> int | None:
        """When something is due next; None for never."""
        if self._is_stale:
            due = ((s.trim_due_ms(retention), s.ordinal) for s in self._shards.values())
            self._heap = [(at, ordinal) for at, ordinal in due if at is not None]
            heapify(self._heap)
            self._is_stale = False
        return max(self._heap[0][0], self._paused_until_ms) if self._heap else None

    def take_due(self, now_ms: int, retention: Retention, limit: int) -> Shard | None:
        """The next shard with something due, out of the plan; None when there is none."""
        for _ in range(limit):
            at_ms = self.deadline_ms(retention)
            if at_ms is None or at_ms > now_ms:
                return None
            _, ordinal = heappop(self._heap)
            shard = self._shards.get(ordinal)
            due_ms = None if shard is None else shard.trim_due_ms(retention)
            if shard is None or due_ms is None:
                continue
            if due_ms <= now_ms:
                return shard
            heappush(self._heap, (due_ms, ordinal))
        return None

    def trimmed(self, shard: Shard, now_ms: int, retention: Retention) -> None:
        """Plans what is next after a slice of a shard's log."""
        self._paused_until_ms = now_ms + limits.TRIM_PAUSE_MS
        self.add(shard, retention)

    def check(self, retention: Retention) -> None:
        """Asserts that nothing is forgotten."""
        self.deadline_ms(retention)
        planned = {ordinal for _, ordinal in self._heap}
        for shard in self._shards.values():
            due_ms = shard.trim_due_ms(retention)
            assert due_ms is None or shard.ordinal in planned, "nobody will trim it"
