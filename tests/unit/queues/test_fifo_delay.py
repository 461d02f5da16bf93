"""The delay of a FIFO queue: it is the queue's alone, and holds for messages that are there.

AWS, "Amazon SQS delay queues": "For FIFO queues, the per-queue delay setting is retroactive". It
counts from the send, and only for messages that were never received.
"""

from __future__ import annotations

from typing import Any

import pytest

from eventcore.queues.queue_spec import QueueSpec
from tests.unit.queues.driver import MINUTE_MS, START_MS, Driver, fifo


def delayed(delay_ms: int = 5_000, **spec: Any) -> Driver:
    return fifo(delay_ms=delay_ms, visibility_timeout_ms=1_000, **spec)


def set_delay(driver: Driver, delay_ms: int) -> None:
    driver.configure(QueueSpec(is_fifo=True, visibility_timeout_ms=1_000, delay_ms=delay_ms))


def test_a_message_is_invisible_for_the_queues_delay_to_the_millisecond():
    driver = delayed()
    driver.send("x")
    assert driver.counts() == (0, 0, 1)
    assert driver.after(4_999).bodies() == []
    assert driver.counts() == (0, 0, 1)
    assert driver.after(1).bodies() == ["x"]
    assert driver.counts() == (0, 1, 0)


def test_a_delay_of_0_of_a_message_takes_the_queues():
    """Recorded from AWS: with DelaySeconds 0 a message is delayed like any other."""
    driver = delayed()
    driver.send("x", delay_ms=0)
    assert driver.bodies() == []
    assert driver.after(5_000).bodies() == ["x"]


def test_messages_of_a_group_come_in_order_as_their_delays_end():
    driver = delayed()
    for n in range(3):
        driver.send(f"{n}")
        driver.after(1_000)
    assert driver.after(2_000).bodies() == ["0"]
    assert driver.after(999).bodies() == []
    assert driver.after(1).bodies() == ["0", "1"], "the first one's timeout is over as well"
    assert driver.counts() == (0, 2, 1)


def test_a_message_that_was_received_is_delayed_no_more():
    driver = delayed()
    driver.send("x")
    handle = driver.after(5_000).handle()
    driver.change(handle, 0)
    set_delay(driver, 900_000)
    assert driver.counts() == (1, 0, 0)
    assert driver.bodies() == ["x"]


@pytest.mark.parametrize("is_ticked", [False, True])
def test_a_delay_set_later_holds_for_messages_that_are_there(is_ticked):
    driver = delayed(0)
    driver.send("a", group="a")
    driver.send("b", group="b")
    driver.after(1_000)
    set_delay(driver, 5_000)
    if is_ticked:
        driver.tick_all()
    assert driver.counts() == (0, 0, 2)
    assert driver.bodies() == []
    assert driver.after(3_999).bodies() == []
    assert driver.after(1).bodies() == ["a", "b"]


def test_a_longer_delay_holds_for_messages_whose_shorter_one_is_over():
    driver = delayed(1_000)
    driver.send("x")
    assert driver.after(2_000).counts() == (1, 0, 0)
    set_delay(driver, 10_000)
    assert driver.counts() == (0, 0, 1)
    assert driver.after(7_999).bodies() == []
    assert driver.after(1).bodies() == ["x"]


def test_a_shorter_delay_makes_messages_visible_that_are_there():
    driver = delayed(900_000)
    driver.send("a", group="a")
    driver.after(2_000).send("b", group="b")
    set_delay(driver, 1_000)
    assert driver.counts() == (1, 0, 1)
    assert driver.bodies() == ["a"]
    assert driver.after(1_000).bodies() == ["a", "b"]


def test_no_delay_any_more_makes_all_visible_at_once():
    driver = delayed(900_000)
    driver.send("a", "b", "c")
    set_delay(driver, 0)
    assert driver.counts() == (3, 0, 0)
    assert driver.bodies() == ["a", "b", "c"]


def test_a_delay_may_change_back_and_forth():
    driver = delayed(0)
    driver.send("a", group="a")
    for delay_ms, count in ((60_000, 0), (0, 1), (1_000, 0), (500, 0), (2_000, 0), (0, 1)):
        set_delay(driver, delay_ms)
        assert driver.counts() == (count, 0, 1 - count), delay_ms
        driver.tick_all()
        assert driver.counts() == (count, 0, 1 - count), delay_ms
    assert driver.bodies() == ["a"]


def test_messages_in_flight_are_no_delayed_ones_when_the_delay_is_raised():
    """Between a group that is locked and one that was received, counts stay exact."""
    driver = delayed(0)
    driver.send("a0", "a1", group="a")
    driver.send("b0", group="b")
    assert driver.bodies(1, MINUTE_MS) == ["a0"]
    assert driver.bodies(1, MINUTE_MS) == ["b0"]
    set_delay(driver, MINUTE_MS)
    assert driver.counts() == (0, 2, 1), "a1 alone is delayed"


def test_a_message_received_behind_a_delayed_one_is_not_counted_as_delayed():
    driver = delayed(0)
    driver.send("a0", "a1", group="a")
    driver.send("b0", group="b")
    handle = driver.handle(MINUTE_MS)
    driver.bodies(1, MINUTE_MS)
    set_delay(driver, MINUTE_MS)
    driver.tick_all()
    assert driver.counts() == (0, 2, 1)
    driver.delete(handle)
    assert driver.counts() == (0, 1, 1)
    assert driver.after(MINUTE_MS).bodies() == ["a1", "b0"]
    assert driver.counts() == (0, 2, 0)


def test_a_message_that_goes_while_it_is_delayed_is_counted_no_more():
    driver = delayed(900_000, retention_ms=MINUTE_MS)
    driver.send("x")
    driver.after(MINUTE_MS).tick_all()
    assert driver.counts() == (0, 0, 0)


def test_a_purge_takes_delayed_messages_too():
    driver = delayed()
    driver.send("x")
    driver.purge()
    assert driver.counts() == (0, 0, 0)
    driver.send("y")
    assert driver.counts() == (0, 0, 1)
    assert driver.after(5_000).bodies() == ["y"]


def test_the_end_of_a_delay_is_a_deadline():
    driver = delayed()
    driver.tick_all()
    driver.send("x")
    assert driver.queue.next_deadline() == START_MS + 5_000
    assert not driver.queue.has_ready
    driver.after(5_000).tick_all()
    assert driver.queue.has_ready


def test_the_next_message_of_a_group_is_ready_as_soon_as_the_one_before_it_is_gone():
    driver = delayed()
    driver.send("a", "b")
    handle = driver.after(5_000).handle()
    driver.delete(handle)
    driver.tick_all()
    assert driver.queue.has_ready
    assert driver.bodies() == ["b"]


def test_many_delayed_messages_are_counted_after_enough_ticks():
    driver = delayed(0)
    driver.queue.check = lambda: None  # type: ignore[method-assign]  # it walks all chains
    for n in range(2_500):
        driver.send(f"{n}", group=f"g{n % 7}")
    del driver.queue.check
    set_delay(driver, 5_000)
    driver.tick_all()
    assert driver.counts() == (0, 0, 2_500)
    set_delay(driver, 0)
    driver.tick_all()
    assert driver.counts() == (2_500, 0, 0)


@pytest.mark.parametrize("delay_ms", [0, 1_000, 5_000, 900_000])
@pytest.mark.parametrize("later_ms", [0, 1_000, 60_000])
def test_a_restart_changes_nothing_about_delays(delay_ms, later_ms):
    driver = delayed(delay_ms)
    for n in range(6):
        driver.after(700).send(f"{n}", group=f"g{n % 3}")
    driver.receive(1)
    driver.check_restart()
    set_delay(driver, later_ms)
    driver.check_restart()
    driver.after(2_000).receive(2)
    driver.check_restart()


def test_raising_the_delay_walks_no_further_than_the_oldest_message():
    """A queue of one message may have had a million."""
    driver = delayed(0)
    driver.queue._next_number = 1_000_000
    driver.send("x")
    set_delay(driver, 1_000)
    assert driver.tick_all() <= 2
    assert driver.counts() == (0, 0, 1)


def test_a_delay_that_is_raised_and_lowered_before_it_was_looked_at_counts():
    driver = delayed(0)
    driver.send("a", group="a")
    driver.send("b", group="b")
    set_delay(driver, 60_000)
    set_delay(driver, 30_000)
    assert driver.counts() == (0, 0, 2)
    assert driver.after(30_000).bodies() == ["a", "b"]
