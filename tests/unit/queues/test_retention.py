"""Retention: exact to the millisecond, from the first send, whatever state a message is in."""

from __future__ import annotations

import pytest

from eventcore.errors import InvalidParameter
from eventcore.queues.queue_spec import QueueSpec
from tests.unit.queues.driver import DAY_MS, HOUR_MS, MINUTE_MS, START_MS, Driver


@pytest.fixture
def driver() -> Driver:
    return Driver(QueueSpec(retention_ms=MINUTE_MS, visibility_timeout_ms=30_000))


def test_the_default_is_4_days():
    driver = Driver()
    driver.send("x")
    assert driver.after(4 * DAY_MS - 1).bodies(1, 0) == ["x"]
    assert driver.after(1).bodies() == []


@pytest.mark.parametrize("retention_ms", [59_999, 1_209_600_001])
def test_a_retention_out_of_range_is_refused(driver, retention_ms):
    with pytest.raises(InvalidParameter) as caught:
        driver.configure(QueueSpec(retention_ms=retention_ms))
    assert caught.value.name == "retention_ms"
    assert driver.queue.spec.retention_ms == MINUTE_MS


def test_a_receive_does_not_give_an_expired_message_even_before_any_tick(driver):
    driver.send("x")
    assert driver.after(MINUTE_MS - 1).bodies(1, 0) == ["x"]
    assert driver.after(1).bodies() == []
    assert len(driver.rows) == 1, "its rows are still there"


def test_a_tick_drops_what_is_expired_and_nothing_else(driver):
    driver.send("a")
    driver.after(1).send("b")
    driver.after(MINUTE_MS - 2).tick_all()
    assert driver.counts() == (2, 0, 0)
    driver.after(1).tick_all()
    assert driver.bodies() == ["b"]


def test_the_deadline_is_the_first_messages_expiry(driver):
    driver.send("x")
    assert driver.queue.next_deadline() == START_MS + MINUTE_MS


def test_a_message_in_flight_expires(driver):
    driver.send("x")
    handle = driver.handle(12 * HOUR_MS)
    driver.after(MINUTE_MS).tick_all()
    assert driver.counts() == (0, 0, 0) and len(driver.rows) == 1
    driver.delete(handle)


def test_a_delayed_message_expires(driver):
    driver.send("x", delay_ms=900_000)
    driver.after(MINUTE_MS).tick_all()
    assert driver.counts() == (0, 0, 0) and len(driver.rows) == 1


def test_a_receive_does_not_lengthen_a_messages_life(driver):
    driver.send("x")
    driver.after(MINUTE_MS - 1).receive(1, 0)
    assert driver.after(1).bodies() == []


def test_a_lowered_retention_applies_to_the_messages_that_are_there():
    driver = Driver()
    driver.send("old")
    driver.after(HOUR_MS).send("new")
    driver.configure(QueueSpec(retention_ms=HOUR_MS))
    deadline_ms = driver.queue.next_deadline()
    assert deadline_ms is not None and deadline_ms <= driver.now_ms
    driver.tick_all()
    assert driver.bodies() == ["new"]


def test_a_lowered_retention_applies_at_the_next_receive_without_a_tick():
    driver = Driver()
    driver.send("old")
    driver.after(HOUR_MS).configure(QueueSpec(retention_ms=HOUR_MS))
    assert driver.bodies() == []


def test_a_raised_retention_keeps_the_messages_that_are_there(driver):
    driver.send("x")
    driver.configure(QueueSpec(retention_ms=HOUR_MS))
    driver.after(HOUR_MS - 1).tick_all()
    assert driver.bodies(1, 0) == ["x"]
    assert driver.after(1).bodies() == []


def test_a_tick_drops_at_most_as_many_as_its_limit(driver):
    driver.send(*[f"{n}" for n in range(10)])
    driver.after(MINUTE_MS)
    left = []
    while driver.counts()[0]:
        driver.tick(3)
        left.append(driver.counts()[0])
    assert left == [7, 4, 1, 0]


def test_after_the_last_message_expired_there_is_no_deadline(driver):
    driver.send("a", "b")
    driver.after(MINUTE_MS).tick_all()
    assert driver.queue.next_deadline() is None


def test_a_queue_that_emptied_and_filled_again_expires_the_new_message(driver):
    driver.send("a")
    driver.delete(driver.handle())
    driver.after(30_000).send("b")
    driver.after(30_000).tick_all()
    assert driver.counts() == (1, 0, 0)
    driver.after(30_000).tick_all()
    assert driver.counts() == (0, 0, 0)


def test_expired_messages_leave_nothing_behind_in_memory(driver):
    driver.send(*[f"{n}" for n in range(100)])
    driver.receive()
    driver.after(MINUTE_MS).tick_all()
    assert driver.statistics().body_memory_bytes == 0
    assert not driver.queue._line.fresh and not driver.queue._entries


def test_expiry_survives_a_restart(driver):
    driver.send("a")
    driver.after(30_000).send("b")
    driver.restart()
    driver.after(30_000).tick_all()
    assert driver.bodies() == ["b"]


def test_the_clock_may_jump_over_everything_at_once(driver):
    driver.send("a", "b", delay_ms=1_000)
    driver.send("c")
    driver.receive()
    driver.after(14 * DAY_MS).tick_all()
    assert driver.counts() == (0, 0, 0) and len(driver.rows) == 1
