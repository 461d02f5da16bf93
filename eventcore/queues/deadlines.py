"""Which messages are due when. Constant cost per message, nothing scans, nothing stale is kept.

Timeouts of one queue have few distinct durations (the queue's visibility timeout, its delay), and
those of one duration fall due in the order in which they began: one first-in-first-out lane per
duration, from which a message can be taken out again in constant time. What does not fit a lane (a
deadline earlier than the lane's last, as in recovery, or more than LANES_MAX durations) goes to a
heap, whose stale entries are swept out when they outnumber the live ones.

Invariant: a number is in at most one lane, or live in the heap; `earliest_ms` is never later than
the earliest deadline.
"""

from __future__ import annotations

from collections import OrderedDict
from heapq import heapify, heappop, heappush
from typing import Final, final

__all__ = ["Deadlines"]

LANES_MAX: Final = 64
SWEEP_MIN: Final = 1_024
NEVER: Final = 1 << 62


@final
class Deadlines:
    """A set of numbers, each with a deadline in epoch ms."""

    __slots__ = ("_heap", "_in_heap", "_lane_of", "_lanes", "earliest_ms")

    def __init__(self) -> None:
        self._lanes: dict[int, OrderedDict[int, int]] = {}
        self._lane_of: dict[int, OrderedDict[int, int]] = {}
        self._heap: list[tuple[int, int]] = []
        self._in_heap: dict[int, int] = {}
        self.earliest_ms = NEVER

    def __len__(self) -> int:
        return len(self._lane_of) + len(self._in_heap)

    def add(self, number: int, deadline_ms: int, duration_ms: int) -> None:
        """Adds a number that is not in the set."""
        lane = self._lanes.get(duration_ms)
        if lane is None and len(self._lanes) < LANES_MAX:
            lane = self._lanes[duration_ms] = OrderedDict()
        if lane is None or (lane and lane[next(reversed(lane))] > deadline_ms):
            self._in_heap[number] = deadline_ms
            heappush(self._heap, (deadline_ms, number))
        else:
            lane[number] = deadline_ms
            self._lane_of[number] = lane
        if deadline_ms < self.earliest_ms:
            self.earliest_ms = deadline_ms

    def remove(self, number: int) -> None:
        """Takes a number out that is in the set."""
        lane = self._lane_of.pop(number, None)
        if lane is not None:
            del lane[number]
            return
        del self._in_heap[number]
        if len(self._heap) > 2 * len(self._in_heap) + SWEEP_MIN:
            self._heap = [(deadline, n) for n, deadline in self._in_heap.items()]
            heapify(self._heap)

    def pop_due(self, now_ms: int, limit: int) -> list[int]:
        """Takes out at most `limit` numbers whose deadline is <= now_ms and sets `earliest_ms`
        anew.
        """
        if self.earliest_ms > now_ms:
            return []
        due: list[int] = []
        for lane in self._lanes.values():
            while lane and len(due) < limit:
                number = next(iter(lane))
                if lane[number] > now_ms:
                    break
                del lane[number]
                del self._lane_of[number]
                due.append(number)
        heap = self._heap
        while heap and len(due) < limit:
            deadline_ms, number = heap[0]
            if self._in_heap.get(number) == deadline_ms:
                if deadline_ms > now_ms:
                    break
                del self._in_heap[number]
                due.append(number)
            heappop(heap)
        self._find_earliest()
        return due

    def _find_earliest(self) -> None:
        earliest_ms = self._heap[0][0] if self._heap else NEVER
        empty = []
        for duration_ms, lane in self._lanes.items():
            if lane:
                earliest_ms = min(earliest_ms, lane[next(iter(lane))])
            else:
                empty.append(duration_ms)
        if len(self._lanes) > LANES_MAX // 2:
            for duration_ms in empty:
                del self._lanes[duration_ms]
        self.earliest_ms = earliest_ms

    def deadline(self, number: int) -> int | None:
        """The deadline of a number, None when it is not in the set."""
        lane = self._lane_of.get(number)
        return self._in_heap.get(number) if lane is None else lane[number]

    def check(self) -> None:
        """Asserts the invariants of this file."""
        in_lanes = 0
        for lane in self._lanes.values():
            deadlines = list(lane.values())
            assert deadlines == sorted(deadlines), "a lane is not in order"
            assert all(self._lane_of[number] is lane for number in lane), (
                "a number is in another lane"
            )
            in_lanes += len(lane)
        assert in_lanes == len(self._lane_of), "a number has no lane"
        assert not self._in_heap.keys() & self._lane_of.keys(), (
            "a number is in a lane and in the heap"
        )
        assert set(self._heap) >= {(d, n) for n, d in self._in_heap.items()}, (
            "a number is not in the heap"
        )
        every = [d for lane in self._lanes.values() for d in lane.values()]
        every.extend(self._in_heap.values())
        assert self.earliest_ms <= min(every, default=NEVER), "earliest_ms is late"
