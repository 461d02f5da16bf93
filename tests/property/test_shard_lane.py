"""The lanes of a shard against a plain model, on random records, failures, crashes and settings.

The model knows which records there are and what was told of each: succeeded, given up with a
failure record, or gone with the stream's retention. A crash takes all lanes back to the positions
that were stored; positions are stored late, as with group commit, except those that come with a
discard.
"""

from __future__ import annotations

from math import ceil, log2

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from eventcore.mappings.failure_record import RECORD_AGE_EXCEEDED
from eventcore.mappings.mapping_spec import FOR_EVER, LanePosition
from eventcore.mappings.shard_lane import (
    LaneBatch,
    LaneChange,
    LaneRecord,
    LaneRules,
    ShardLane,
    Wait,
    lane_of,
)

START_MS = 1_700_000_000_000
POISON = 1 << 30
KEYS = "abcdefgh"


class ShardMachine(RuleBasedStateMachine):
    """A shard with its lanes, and a function that fails on some records for some time."""

    @initialize(
        lanes=st.integers(1, 3),
        batch_size=st.integers(1, 6),
        is_bisecting=st.booleans(),
        retries_max=st.sampled_from([FOR_EVER, 0, 1, 3]),
        age_ms_max=st.sampled_from([FOR_EVER, FOR_EVER, 60_000]),
        batch_window_ms=st.sampled_from([0, 0, 2_000]),
        reports=st.booleans(),
    )
    def begin(
        self,
        lanes: int,
        batch_size: int,
        is_bisecting: bool,
        retries_max: int,
        age_ms_max: int,
        batch_window_ms: int,
        reports: bool,
    ) -> None:
        self.rules_of_lanes = LaneRules(
            batch_size=batch_size,
            batch_window_ms=batch_window_ms,
            is_bisecting=is_bisecting,
            retries_max=retries_max,
            age_ms_max=age_ms_max,
            bytes_max=900,
        )
        self.reports = reports
        self.now_ms = START_MS
        self.records: list[LaneRecord] = []
        self.failures: dict[int, int] = {}
        """How often the function still fails on a record."""
        self.succeeded: dict[int, int] = {}
        self.given_up: set[int] = set()
        self.expired: set[int] = set()
        self.horizon_ms = 0
        self.crashes = 0
        self.begin_lanes([LanePosition(0, lane, lanes, 1) for lane in range(lanes)])

    def begin_lanes(self, positions: list[LanePosition]) -> None:
        self.stored = positions
        self.unstored: list[list[LanePosition]] = [[] for _ in positions]
        self.lanes = [ShardLane(self.rules_of_lanes, position) for position in positions]
        self.running: dict[int, LaneBatch] = {}
        self.read = min(position.number for position in positions)

    # What happens

    @rule(
        keys=st.lists(st.sampled_from(KEYS), min_size=1, max_size=12),
        size=st.sampled_from([100, 100, 400, 1_200]),
        fails=st.sampled_from([0, 0, 0, 1, 3, POISON]),
        at=st.integers(0, 11),
    )
    def put(self, keys: list[str], size: int, fails: int, at: int) -> None:
        for key in keys:
            number = len(self.records) + 1
            self.records.append(LaneRecord(number, self.now_ms, size, str(number), key, b""))
        if fails:
            self.failures[len(self.records) - at % len(keys)] = fails

    @rule(count=st.integers(1, 8))
    def read_on(self, count: int) -> None:
        part = self.records[self.read - 1 : self.read - 1 + count]
        for at, lane in enumerate(self.lanes):
            lane.offer(r for r in part if lane_of(r.partition_key, len(self.lanes)) == at)
            lane.passed(self.read + len(part))
        self.read += len(part)

    @rule(at=st.integers(0, 2), is_stalled=st.booleans())
    def step(self, at: int, is_stalled: bool) -> None:
        at %= len(self.lanes)
        if at not in self.running:
            self.do_step(at, is_stalled)

    def is_at_rest(self, lane: ShardLane) -> bool:
        return lane.is_hungry(self.now_ms) or lane.position.is_end

    def do_step(self, at: int, is_stalled: bool) -> bool:
        """Whether there was anything to do."""
        lane = self.lanes[at]
        step = lane.step(self.now_ms, horizon_ms=self.horizon_ms, is_stalled=is_stalled)
        lane.check()
        if isinstance(step, Wait):
            assert step.until_ms is None or step.until_ms > self.now_ms
            assert step.until_ms is not None or self.is_at_rest(lane), "it would wait for ever"
            return False
        if isinstance(step, LaneBatch):
            self.invoked(at, step)
            self.running[at] = step
        else:
            if step.discard is not None:
                assert step.discard.condition == RECORD_AGE_EXCEEDED
                assert step.discard.last.arrived_ms + self.rules_of_lanes.age_ms_max < self.now_ms
            self.changed(at, step)
        return True

    @rule(
        at=st.integers(0, 2), how=st.sampled_from(["ends", "ends", "ends", "refused", "rejected"])
    )
    def end_batch(self, at: int, how: str) -> None:
        batch = self.running.pop(at % len(self.lanes), None)
        if batch is None:
            return
        at %= len(self.lanes)
        if how == "refused":
            self.lanes[at].refused(batch, self.now_ms)
        elif how == "rejected":
            self.changed(at, self.lanes[at].rejected(batch, "rejected", self.now_ms))
        else:
            self.changed(at, self.answered(at, batch))

    @rule(duration_ms=st.sampled_from([1, 500, 2_000, 30_000]))
    def pass_time(self, duration_ms: int) -> None:
        self.now_ms += duration_ms

    @rule(age_ms=st.sampled_from([20_000, 100_000]))
    def trim(self, age_ms: int) -> None:
        self.horizon_ms = max(self.horizon_ms, self.now_ms - age_ms)

    @rule(at=st.integers(0, 2), count=st.integers(1, 5))
    def store(self, at: int, count: int) -> None:
        """Some commits get through."""
        at %= len(self.lanes)
        done, self.unstored[at] = self.unstored[at][:count], self.unstored[at][count:]
        for position in done:
            self.stored[at] = position

    @rule(at=st.integers(0, 2))
    def store_idle(self, at: int) -> None:
        """What an idle lane passed over is stored."""
        at %= len(self.lanes)
        self.unstored[at].append(self.lanes[at].idle_position())

    @rule(batch_size=st.one_of(st.none(), st.integers(1, 6)))
    def crash(self, batch_size: int | None) -> None:
        """Everything begins anew from what is stored, perhaps with another batch size."""
        self.crashes += 1
        if batch_size is not None:
            self.rules_of_lanes = msgspec.structs.replace(
                self.rules_of_lanes, batch_size=batch_size
            )
        positions = list(self.stored)
        self.look_through_stored()
        self.begin_lanes(positions)

    @precondition(lambda self: self.crashes < 3)
    @rule(lanes=st.integers(1, 3))
    def change_factor(self, lanes: int) -> None:
        """The shard begins anew at the lowest position."""
        self.crashes += 1
        lowest = min(position.number for position in self.stored)
        self.begin_lanes([LanePosition(0, lane, lanes, lowest) for lane in range(lanes)])

    # What the model says

    def share(self, at: int) -> list[LaneRecord]:
        lanes = len(self.lanes)
        return [r for r in self.records if lane_of(r.partition_key, lanes) == at]

    def is_done(self, number: int) -> bool:
        return number in self.succeeded or number in self.given_up or number in self.expired

    def invoked(self, at: int, batch: LaneBatch) -> None:
        """Nothing is handed out before all that is before it in its lane is done."""
        numbers = [record.number for record in batch.records]
        assert 1 <= len(numbers) <= self.rules_of_lanes.batch_size
        assert len(numbers) == 1 or sum(r.size for r in batch.records) <= 900
        before = [record.number for record in self.share(at) if record.number < numbers[0]]
        assert all(self.is_done(number) for number in before), "order"
        between = [r.number for r in self.share(at) if numbers[0] <= r.number <= numbers[-1]]
        assert numbers == between, "nothing is left out"
        assert all(
            record.arrived_ms + self.rules_of_lanes.age_ms_max >= self.now_ms
            for record in batch.records
            if self.rules_of_lanes.age_ms_max != FOR_EVER
        )

    def answered(self, at: int, batch: LaneBatch) -> LaneChange:
        lane = self.lanes[at]
        bad = [n for n, record in enumerate(batch.records) if self.failures.get(record.number)]
        for n in bad:
            self.failures[batch.records[n].number] -= 1
        if not bad:
            self.succeed(batch.records)
            return lane.succeeded(batch)
        if self.reports and bad[0]:
            self.succeed(batch.records[: bad[0]])
            return lane.progressed(batch, bad[0])
        failures = batch.range.failures
        change = lane.failed(batch, "request", self.now_ms)
        retries_max = self.rules_of_lanes.retries_max
        is_split = self.rules_of_lanes.is_bisecting and len(batch.records) > 1
        is_over = retries_max != FOR_EVER and failures >= retries_max and not is_split
        assert (change.discard is not None) == is_over
        if change.discard is not None:
            assert change.discard.invokes == retries_max + 1 or self.crashes
        return change

    def succeed(self, records: list[LaneRecord]) -> None:
        for record in records:
            self.succeeded[record.number] = self.succeeded.get(record.number, 0) + 1

    def changed(self, at: int, change: LaneChange) -> None:
        self.lanes[at].check()
        self.unstored[at].append(change.position)
        for record in self.share(at):
            if record.arrived_ms < self.horizon_ms:
                self.expired.add(record.number)
        discard = change.discard
        if discard is not None:
            numbers = [
                r.number
                for r in self.share(at)
                if discard.first.number <= r.number <= discard.last.number
            ]
            assert len(numbers) == discard.count
            assert not self.given_up.intersection(numbers) or self.crashes
            self.given_up.update(numbers)
            self.store(at, len(self.unstored[at]))  # in the transaction of its failure record

    def look_through_stored(self) -> None:
        for at, position in enumerate(self.stored):
            for record in self.share(at):
                assert record.number >= position.number or self.is_done(record.number)

    @invariant()
    def nothing_is_passed_over(self) -> None:
        if hasattr(self, "lanes"):
            self.look_through_stored()
            for at, lane in enumerate(self.lanes):
                for record in self.share(at):
                    assert record.number >= lane.position.number or self.is_done(record.number)

    def teardown(self) -> None:
        """In the end, when the function has recovered, everything was done, and told."""
        if not hasattr(self, "lanes"):
            return
        is_poisoned = self.rules_of_lanes.retries_max == FOR_EVER
        if is_poisoned:
            self.failures.clear()
        self.read_on(len(self.records) + 1)
        for lane in self.lanes:
            lane.end()
        for _ in range(10_000):
            for at in range(len(self.lanes)):
                if at in self.running:
                    self.end_batch(at, "ends")
                else:
                    self.do_step(at, False)
            if all(lane.position.is_end for lane in self.lanes):
                break
            self.now_ms += 30_000 if self.rules_of_lanes.age_ms_max == FOR_EVER else 250
        else:
            raise AssertionError("it never comes to an end")
        for lane in self.lanes:
            assert lane.position.number == len(self.records) + 1
        for record in self.records:
            assert self.is_done(record.number)
            if not self.crashes:
                assert self.succeeded.get(record.number, 0) <= 1
                assert (record.number in self.given_up) + self.succeeded.get(record.number, 0) <= 1


ShardMachine.TestCase.settings = settings(max_examples=150, stateful_step_count=60, deadline=None)
test_lanes_keep_their_promises = ShardMachine.TestCase


@given(
    count=st.integers(1, 1_200),
    poison=st.integers(0, 1_199),
    retries_max=st.sampled_from([FOR_EVER, 0, 2]),
)
@settings(max_examples=150, deadline=None)
def test_a_poison_record_stands_alone_soon(count: int, poison: int, retries_max: int) -> None:
    poison = poison % count + 1
    rules = LaneRules(batch_size=count, is_bisecting=True, retries_max=retries_max)
    lane = ShardLane(rules, LanePosition(0, 0, 1, 1))
    lane.offer(LaneRecord(n, START_MS, 100, str(n), "k", b"") for n in range(1, count + 1))
    lane.passed(count + 1)
    invocations = 0
    successes: list[int] = []
    alone_after = None
    while lane.position.number <= count:
        batch = lane.step(START_MS)
        if not isinstance(batch, LaneBatch):
            break
        numbers = [record.number for record in batch.records]
        if numbers == [poison] and alone_after is None:
            alone_after = invocations
        invocations += 1
        if poison in numbers:
            lane.failed(batch, "request", START_MS)
            stands_alone = any(
                part.first <= poison <= part.last and part.first == part.last
                for part in lane.position.pending
            )
            if stands_alone and alone_after is None:
                alone_after = invocations
        else:
            successes += numbers
            lane.succeeded(batch)
    assert alone_after is not None
    assert alone_after <= max(0, 2 * ceil(log2(count)) - 1)
    if retries_max == 0:
        assert successes == [n for n in range(1, count + 1) if n != poison]
    else:
        assert lane.position.pending[0].failures == 1
        assert successes == list(range(1, poison))


def test_one_poison_record_in_a_thousand_stands_alone_after_two_log_invocations() -> None:
    for poison in range(1, 1_001):
        lane = ShardLane(LaneRules(batch_size=1_000, is_bisecting=True), LanePosition(0, 0, 1, 1))
        lane.offer(LaneRecord(n, START_MS, 100, str(n), "k", b"") for n in range(1, 1_001))
        lane.passed(1_001)
        invocations = 0
        while True:
            batch = lane.step(START_MS)
            assert isinstance(batch, LaneBatch)
            invocations += 1
            if batch.range.first <= poison <= batch.range.last:
                lane.failed(batch, "request", START_MS)
                if any(part.first == part.last == poison for part in lane.position.pending):
                    break
            else:
                lane.succeeded(batch)
        assert invocations <= 2 * log2(1_000)
