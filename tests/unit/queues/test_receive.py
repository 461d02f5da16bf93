"""Receiving: counts, order, visibility timeouts, and the quota of messages in flight."""

from __future__ import annotations

import pytest

from eventcore.errors import InvalidParameter, LimitExceeded
from eventcore.limits import Quotas
from eventcore.queues.message import SendEntry
from eventcore.queues.queue_spec import QueueSpec, ReceiveRequest
from tests.unit.queues.driver import HOUR_MS, MINUTE_MS, START_MS, Driver


def test_an_empty_queue_gives_nothing_and_writes_nothing():
    driver = Driver()
    rows = dict(driver.rows)
    assert driver.receive() == []
    assert driver.rows == rows


def test_messages_come_in_the_order_in_which_they_were_sent():
    driver = Driver()
    driver.send(*[f"{n}" for n in range(25)])
    received = driver.bodies(10) + driver.bodies(10) + driver.bodies(10)
    assert received == [f"{n}" for n in range(25)]


@pytest.mark.parametrize("count", [1, 3, 10])
def test_a_receive_gives_at_most_as_many_as_asked_for(count):
    driver = Driver()
    driver.send(*["x"] * 11)
    assert len(driver.receive(count)) == count


@pytest.mark.parametrize("count", [-1, 0, 11])
def test_a_count_out_of_range_is_refused(count):
    with pytest.raises(InvalidParameter) as caught:
        Driver().receive(count)
    assert caught.value.name == "messages_max"


@pytest.mark.parametrize("timeout_ms", [-1, 43_200_001])
def test_a_visibility_timeout_out_of_range_is_refused(timeout_ms):
    driver = Driver()
    driver.send("x")
    with pytest.raises(InvalidParameter) as caught:
        driver.receive(1, timeout_ms)
    assert caught.value.name == "visibility_timeout_ms"
    assert driver.counts() == (1, 0, 0)


def test_a_received_message_is_invisible_for_the_queues_timeout_to_the_millisecond():
    driver = Driver(QueueSpec(visibility_timeout_ms=30_000))
    driver.send("x")
    (message,) = driver.receive()
    assert message.visible_ms == START_MS + 30_000
    assert driver.counts() == (0, 1, 0)
    assert driver.after(29_999).bodies() == []
    assert driver.after(1).bodies() == ["x"]


def test_a_receives_own_timeout_replaces_the_queues_for_that_receive_only():
    driver = Driver(QueueSpec(visibility_timeout_ms=30_000))
    driver.send("x")
    assert driver.bodies(1, 1_000) == ["x"]
    assert driver.after(1_000).bodies(1) == ["x"]
    assert driver.after(29_999).bodies(1) == []
    assert driver.after(1).bodies(1) == ["x"]


def test_timeout_0_leaves_the_message_visible_but_gives_it_once_per_receive():
    driver = Driver()
    driver.send("x")
    assert driver.bodies(10, 0) == ["x"]
    assert driver.bodies(10, 0) == ["x"]


def test_a_changed_queue_timeout_counts_from_the_next_receive():
    driver = Driver(QueueSpec(visibility_timeout_ms=30_000))
    driver.send("x")
    driver.receive()
    driver.configure(QueueSpec(visibility_timeout_ms=0))
    assert driver.after(29_999).bodies() == []
    assert driver.after(1).bodies() == ["x"]
    assert driver.bodies() == ["x"]


def test_each_receive_counts_and_the_first_is_remembered():
    driver = Driver(QueueSpec(visibility_timeout_ms=1_000))
    driver.send("x")
    seen = []
    for _ in range(4):
        (message,) = driver.receive()
        seen.append((message.receives, message.first_received_ms))
        driver.after(1_000)
    assert seen == [(1, START_MS), (2, START_MS), (3, START_MS), (4, START_MS)]


def test_each_receive_has_a_receipt_handle_of_its_own():
    driver = Driver()
    driver.send("x")
    handles = {driver.handle(0) for _ in range(5)}
    assert len(handles) == 5


def test_what_came_back_goes_before_what_was_sent_later():
    driver = Driver(QueueSpec(visibility_timeout_ms=1_000))
    driver.send("a", "b")
    assert driver.bodies(1) == ["a"]
    driver.after(1_000).send("c")
    assert driver.bodies() == ["a", "b", "c"]


def test_what_came_back_comes_in_the_order_of_its_send():
    driver = Driver()
    driver.send("a", "b", "c")
    for timeout_ms in (3_000, 2_000, 1_000):
        driver.receive(1, timeout_ms)
    assert driver.after(3_000).bodies() == ["a", "b", "c"]


def test_after_three_receives_a_message_goes_to_the_back_of_the_queue():
    """AWS: "the message is moved to the back of the queue" (a poison message holds nobody up)."""
    driver = Driver(QueueSpec(visibility_timeout_ms=1_000))
    driver.send("poison", "b")
    for _ in range(2):
        assert driver.bodies(1) == ["poison"]
        driver.after(1_000)
    assert driver.bodies(1) == ["poison"]
    driver.after(1_000)
    assert driver.bodies(1) == ["b"]
    assert driver.bodies(1) == ["poison"]


def test_a_poison_message_goes_before_what_is_sent_after_it_came_back():
    driver = Driver(QueueSpec(visibility_timeout_ms=1_000))
    driver.send("poison")
    for _ in range(3):
        driver.receive(1)
        driver.after(1_000).tick_all()
    driver.send("later")
    assert driver.bodies() == ["poison", "later"]


def test_one_message_is_never_given_to_two_receivers_within_its_timeout():
    driver = Driver()
    driver.send(*[f"{n}" for n in range(30)])
    received = [body for _ in range(10) for body in driver.bodies(7)]
    assert sorted(received, key=int) == [f"{n}" for n in range(30)]


def test_the_quota_of_messages_in_flight_refuses_a_receive():
    driver = Driver(quotas=Quotas(in_flight_max=3))
    driver.send(*["x"] * 5)
    driver.receive(3)
    with pytest.raises(LimitExceeded) as caught:
        driver.receive(1)
    assert (caught.value.limit, caught.value.value) == ("in_flight_max", 3)
    assert driver.counts() == (2, 3, 0)


def test_a_receive_takes_no_more_than_there_is_room_for_in_flight():
    driver = Driver(quotas=Quotas(in_flight_max=5))
    driver.send(*["x"] * 14)
    driver.receive(4)
    assert len(driver.receive(10)) == 1
    assert driver.counts() == (9, 5, 0)


def test_a_delete_makes_room_in_flight():
    driver = Driver(quotas=Quotas(in_flight_max=1))
    driver.send("a", "b")
    driver.delete(driver.handle())
    assert driver.bodies() == ["b"]


def test_an_expired_timeout_makes_room_in_flight():
    driver = Driver(QueueSpec(visibility_timeout_ms=1_000), quotas=Quotas(in_flight_max=1))
    driver.send("a")
    driver.receive()
    driver.after(1_000)
    assert driver.bodies() == ["a"]


def test_the_longest_timeout_is_12_hours():
    driver = Driver()
    driver.send("x")
    driver.receive(1, 12 * HOUR_MS)
    assert driver.after(12 * HOUR_MS - 1).bodies() == []
    assert driver.after(1).bodies() == ["x"]


def test_more_messages_fall_due_at_once_than_one_call_releases():
    driver = Driver(QueueSpec(visibility_timeout_ms=1_000))
    for n in range(2_500):
        driver.queue.send(SendEntry(f"{n}"), driver.now_ms)
    for _ in range(250):
        driver.queue.receive(ReceiveRequest(10), driver.now_ms)
    driver.after(MINUTE_MS)
    assert driver.tick_all() <= 4
    assert driver.counts() == (2_500, 0, 0)
