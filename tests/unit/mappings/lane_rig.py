"""A shard of plain numbers and a lane on it, for tests of `mappings.shard_lane`."""

from __future__ import annotations

from typing import Any

from eventcore.mappings.mapping_spec import LanePosition
from eventcore.mappings.shard_lane import (
    LaneBatch,
    LaneChange,
    LaneRecord,
    LaneRules,
    ShardLane,
    Step,
    Wait,
)

START_MS = 1_700_000_000_000


def record(number: int, arrived_ms: int = START_MS, size: int = 100, key: str = "k") -> LaneRecord:
    return LaneRecord(number, arrived_ms, size, f"seq-{number:06d}", key, b"x")


def rules(**changes: Any) -> LaneRules:
    return LaneRules(**{"batch_size": 10, **changes})


class LaneRig:
    """`step` gives what the lane does next; the helpers assert which kind it is."""

    def __init__(self, position: LanePosition | None = None, **changes: Any) -> None:
        self.lane = ShardLane(rules(**changes), position or LanePosition(0, 0, 1, 1))
        self.now_ms = START_MS
        self.complete_ms = 0
        self.next = self.lane.position.number

    def offer(
        self, count: int, *, arrived_ms: int | None = None, size: int = 100, step: int = 1
    ) -> None:
        """The next records of the shard, every `step`th of which is the lane's."""
        at_ms = self.now_ms if arrived_ms is None else arrived_ms
        numbers = range(self.next, self.next + count * step, step)
        self.lane.offer(record(number, at_ms, size) for number in numbers)
        self.next += count * step
        self.lane.passed(self.next)
        self.lane.check()

    def step(self, **options: Any) -> Step:
        options.setdefault("complete_ms", self.complete_ms)
        found = self.lane.step(self.now_ms, **options)
        self.lane.check()
        return found

    def batch(self, **options: Any) -> LaneBatch:
        found = self.step(**options)
        assert isinstance(found, LaneBatch), found
        return found

    def change(self, **options: Any) -> LaneChange:
        found = self.step(**options)
        assert isinstance(found, LaneChange), found
        return found

    def wait(self, **options: Any) -> int | None:
        """For how long the lane waits; None for until it is told more."""
        found = self.step(**options)
        assert isinstance(found, Wait), found
        return None if found.until_ms is None else found.until_ms - self.now_ms

    def succeed(self, batch: LaneBatch, state: str | None = None) -> LaneChange:
        return self._checked(self.lane.succeeded(batch, state))

    def progress(self, batch: LaneBatch, at: int, state: str | None = None) -> LaneChange:
        return self._checked(self.lane.progressed(batch, at, state))

    def fail(self, batch: LaneBatch) -> LaneChange:
        return self._checked(self.lane.failed(batch, "request", self.now_ms))

    def _checked(self, change: LaneChange) -> LaneChange:
        self.lane.check()
        assert change.position == self.lane.position
        return change


def numbers(batch: LaneBatch) -> list[int]:
    return [each.number for each in batch.records]
