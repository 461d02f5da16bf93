"""Deadlines against a dict, on random additions, removals and times; and their memory's bounds."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from eventcore.queues.deadlines import LANES_MAX, NEVER, SWEEP_MIN, Deadlines


class DeadlinesMachine(RuleBasedStateMachine):
    """The model is a dict; a number may be added again after it was removed or popped."""

    def __init__(self) -> None:
        super().__init__()
        self.deadlines = Deadlines()
        self.model: dict[int, int] = {}
        self.now_ms = 0

    @rule(number=st.integers(0, 30), duration_ms=st.sampled_from([0, 1, 5, 30]))
    def add_from_now_on(self, number: int, duration_ms: int) -> None:
        self.add(number, self.now_ms + duration_ms, duration_ms)

    @rule(number=st.integers(0, 30), deadline_ms=st.integers(0, 60), duration_ms=st.integers(0, 80))
    def add_as_in_recovery(self, number: int, deadline_ms: int, duration_ms: int) -> None:
        self.add(number, deadline_ms, duration_ms)

    def add(self, number: int, deadline_ms: int, duration_ms: int) -> None:
        if number in self.model:
            self.deadlines.remove(number)
        self.deadlines.add(number, deadline_ms, duration_ms)
        self.model[number] = deadline_ms

    @precondition(lambda self: self.model)
    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from(sorted(self.model)))
        self.deadlines.remove(number)
        del self.model[number]

    @rule(step_ms=st.integers(0, 20), limit=st.integers(1, 5))
    def pop(self, step_ms: int, limit: int) -> None:
        self.now_ms += step_ms
        due = {n for n, deadline_ms in self.model.items() if deadline_ms <= self.now_ms}
        popped = self.deadlines.pop_due(self.now_ms, limit)
        assert len(set(popped)) == len(popped)
        assert set(popped) <= due
        assert len(popped) == min(limit, len(due))
        for number in popped:
            del self.model[number]

    @invariant()
    def agrees(self) -> None:
        self.deadlines.check()
        assert len(self.deadlines) == len(self.model)
        assert self.deadlines.earliest_ms <= min(self.model.values(), default=NEVER)
        assert {n: self.deadlines.deadline(n) for n in range(31)} == {
            n: self.model.get(n) for n in range(31)
        }


TestDeadlines = DeadlinesMachine.TestCase
TestDeadlines.settings = settings(max_examples=100, stateful_step_count=50, deadline=None)


@given(st.lists(st.tuples(st.integers(0, 1_000), st.integers(0, 10)), max_size=200))
def test_what_is_popped_by_one_pass_over_time_is_everything_and_none_early(entries):
    deadlines = Deadlines()
    for number, (deadline_ms, duration_ms) in enumerate(entries):
        deadlines.add(number, deadline_ms, duration_ms)
    popped: list[int] = []
    while deadlines.earliest_ms < NEVER:
        now_ms = deadlines.earliest_ms
        found = deadlines.pop_due(now_ms, 7)
        assert all(entries[number][0] == now_ms for number in found)
        popped += found
    assert sorted(popped) == list(range(len(entries)))


def test_an_empty_set_is_never_due():
    deadlines = Deadlines()
    assert deadlines.earliest_ms == NEVER
    assert deadlines.pop_due(NEVER - 1, 10) == []
    assert deadlines.deadline(1) is None


def test_after_the_last_one_is_gone_nothing_is_due():
    deadlines = Deadlines()
    deadlines.add(1, 10, 10)
    deadlines.remove(1)
    assert deadlines.pop_due(10, 10) == []
    assert deadlines.earliest_ms == NEVER


def test_a_deadline_earlier_than_its_lanes_last_is_due_in_time():
    deadlines = Deadlines()
    deadlines.add(1, 100, 10)
    deadlines.add(2, 50, 10)
    assert deadlines.pop_due(50, 10) == [2]
    assert deadlines.pop_due(100, 10) == [1]


def test_any_number_of_durations_is_served_and_few_lanes_are_kept():
    deadlines = Deadlines()
    for number in range(1_000):
        deadlines.add(number, 1_000 + number, number)
    assert len(deadlines._lanes) == LANES_MAX
    deadlines.check()
    assert sorted(deadlines.pop_due(3_000, 2_000)) == list(range(1_000))
    assert len(deadlines._lanes) <= LANES_MAX // 2
    deadlines.add(5_000, 9_000, 12_345)
    assert deadlines.pop_due(9_000, 1) == [5_000]


def test_stale_entries_of_the_heap_are_swept_out():
    deadlines = Deadlines()
    deadlines.add(0, 1 << 40, 1)
    for number in range(1, 20_000):
        deadlines.add(number, (1 << 40) - number, 1)
        deadlines.remove(number)
    assert len(deadlines._heap) <= SWEEP_MIN + 1
    assert len(deadlines) == 1
    deadlines.check()
