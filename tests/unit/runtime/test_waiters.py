"""Long polls by themselves: order, time-outs, cancellation, and that waiting costs nothing."""

from __future__ import annotations

import pytest

from eventcore import limits
from eventcore.errors import LimitExceeded
from eventcore.queues.queue_spec import ReceiveRequest
from eventcore.runtime.waiters import EXPIRE_SLICE, Waiter, Waiters
from eventcore.testing import ManualClock

REQUEST = ReceiveRequest()


class Line:
    """Waiters for queues with a stock of messages each; notes what is asked and answered."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.watched: list[tuple[str, bool]] = []
        self.waiters = Waiters(
            self.clock, self.clock, lambda arn, on: self.watched.append((arn, on))
        )
        self.stock: dict[str, int] = {}
        self.served: list[str] = []
        self.expired: list[str] = []
        self.asked = 0

    def wait(self, name: str, wait_ms: int = 20_000, arn: str = "q") -> Waiter:
        def serve() -> bool:
            self.asked += 1
            if not self.stock.get(arn):
                return False
            self.stock[arn] -= 1
            self.served.append(name)
            return True

        return self.waiters.add(arn, REQUEST, wait_ms, serve, lambda: self.expired.append(name))

    def arrive(self, count: int, arn: str = "q") -> None:
        self.stock[arn] = self.stock.get(arn, 0) + count
        self.waiters.wake(arn, lambda: self.stock[arn] > 0)


@pytest.fixture
def line() -> Line:
    return Line()


def test_the_first_to_wait_is_the_first_to_be_served(line):
    for name in "abcd":
        line.wait(name)
    line.arrive(1)
    line.arrive(2)
    assert line.served == ["a", "b", "c"]
    line.arrive(5)
    assert line.served == ["a", "b", "c", "d"]
    assert len(line.waiters) == 0


def test_only_the_queue_that_something_arrived_in_is_served(line):
    line.wait("a", arn="one")
    line.wait("b", arn="two")
    line.arrive(1, "two")
    assert line.served == ["b"]


def test_waiters_that_nothing_arrived_for_are_not_asked(line):
    for n in range(1_000):
        line.wait(f"{n}")
    line.arrive(3)
    assert line.asked == 3
    line.arrive(0)
    line.clock.advance(10_000)
    assert line.asked == 3


def test_a_head_that_can_not_be_served_keeps_its_place(line):
    line.wait("a")
    line.wait("b")
    line.waiters.wake("q", lambda: True)
    assert line.asked == 1 and line.served == []
    line.arrive(2)
    assert line.served == ["a", "b"]


def test_a_long_poll_ends_empty_when_its_time_is_over_and_not_before(line):
    line.wait("a", 1_000)
    line.clock.advance(999)
    assert line.expired == []
    line.clock.advance(1)
    assert line.expired == ["a"]
    assert line.clock.next_deadline() is None


def test_long_polls_of_different_lengths_end_in_time(line):
    line.wait("long", 20_000)
    line.wait("short", 1_000)
    line.wait("middle", 5_000)
    ended = []
    for step_ms in (1_000, 4_000, 15_000):
        line.clock.advance(step_ms)
        ended.append(list(line.expired))
    assert ended == [["short"], ["short", "middle"], ["short", "middle", "long"]]


def test_more_long_polls_end_at_once_than_one_slice(line):
    for n in range(EXPIRE_SLICE * 2 + 1):
        line.wait(f"{n}", 1_000)
    line.clock.advance(1_000)
    assert len(line.expired) == EXPIRE_SLICE * 2 + 1
    assert len(line.waiters) == 0


def test_a_served_long_poll_does_not_expire(line):
    waiter = line.wait("a", 1_000)
    assert waiter.is_waiting
    line.arrive(1)
    assert not waiter.is_waiting
    line.clock.advance(10_000)
    assert line.expired == []


def test_a_cancelled_long_poll_is_never_answered(line):
    waiter = line.wait("a", 1_000)
    line.wait("b", 1_000)
    waiter.cancel()
    waiter.cancel()
    assert not waiter.is_waiting
    line.arrive(1)
    line.clock.advance(10_000)
    assert (line.served, line.expired) == (["b"], [])


def test_one_expiry_may_cancel_another_of_the_same_moment(line):
    """A connection that is closed by its first answer."""
    waiters: list[Waiter] = []

    def cancel_first() -> None:
        waiters[0].cancel()

    line.waiters.add("q", REQUEST, 1_000, lambda: False, cancel_first)
    waiters.append(line.wait("cancelled", 1_000))
    line.wait("other", 1_000)
    line.clock.advance(1_000)
    assert line.expired == ["other"]


def test_a_served_long_poll_may_begin_the_next_one_at_once(line):
    rounds: list[int] = []

    def serve() -> bool:
        rounds.append(len(rounds))
        line.stock["q"] -= 1
        line.waiters.add("q", REQUEST, 1_000, serve, lambda: None)
        return True

    line.waiters.add("q", REQUEST, 1_000, serve, lambda: None)
    line.arrive(3)
    assert rounds == [0, 1, 2]
    assert len(line.waiters) == 1


def test_watching_begins_with_the_first_and_ends_with_the_last(line):
    first = line.wait("a")
    line.wait("b", 1_000)
    assert line.waiters.is_waited_for("q")
    assert line.watched == [("q", True)]
    first.cancel()
    assert line.watched == [("q", True)]
    line.clock.advance(1_000)
    assert line.watched == [("q", True), ("q", False)]
    assert not line.waiters.is_waited_for("q")


def test_all_of_a_deleted_queue_are_answered_empty_in_order(line):
    line.wait("a")
    line.wait("other", arn="two")
    line.wait("b")
    line.waiters.expire_all("q")
    assert line.expired == ["a", "b"]
    line.waiters.expire_all("q")
    assert len(line.waiters) == 1


def test_close_answers_all_and_leaves_no_timer(line):
    line.wait("a")
    line.wait("b", arn="two")
    line.waiters.close()
    assert sorted(line.expired) == ["a", "b"]
    assert line.clock.next_deadline() is None
    line.waiters.close()


def test_there_are_no_more_waiters_than_the_bound(line, monkeypatch):
    monkeypatch.setattr(limits, "WAITERS_MAX", 2)
    line.wait("a")
    line.wait("b").cancel()
    line.wait("c")
    with pytest.raises(LimitExceeded) as caught:
        line.wait("d")
    assert (caught.value.limit, caught.value.value) == ("waiters_max", 2)


def test_one_timer_serves_all(line):
    for n in range(100):
        line.wait(f"{n}", 1_000 + n)
    live = [t for t in line.clock._timers if t.callback is not None]
    assert len(live) == 1
