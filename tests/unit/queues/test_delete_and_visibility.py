"""Deleting, changing visibility, and what a receipt handle opens."""

from __future__ import annotations

import pytest

from eventcore.errors import InvalidParameter, InvalidReceiptHandle
from eventcore.queues.queue_spec import QueueSpec
from eventcore.queues.receipt import make_handle, queue_tag
from tests.unit.queues.driver import ARN, HOUR_MS, START_MS, Driver


@pytest.fixture
def driver() -> Driver:
    return Driver(QueueSpec(visibility_timeout_ms=30_000))


def only_the_queue_is_left(driver: Driver) -> bool:
    return len(driver.rows) == 1 and driver.counts() == (0, 0, 0)


# Delete


def test_a_deleted_message_never_comes_back(driver):
    driver.send("x")
    driver.delete(driver.handle())
    assert driver.after(24 * HOUR_MS).bodies() == []
    assert only_the_queue_is_left(driver)


def test_deleting_twice_does_nothing_the_second_time(driver):
    driver.send("x")
    handle = driver.handle()
    driver.delete(handle)
    assert driver.queue.delete(handle, driver.now_ms).mutations == ()


def test_the_latest_handle_deletes_after_its_timeout_too(driver):
    """Recorded: DeleteMessage after the visibility timeout succeeds and the message is gone."""
    driver.send("x")
    handle = driver.handle()
    driver.after(30_000).tick_all()
    assert driver.counts() == (1, 0, 0)
    driver.delete(handle)
    assert driver.bodies() == []
    assert only_the_queue_is_left(driver)


def test_an_older_handle_does_not_delete_and_is_no_error(driver):
    driver.send("x")
    old = driver.handle()
    driver.after(30_000)
    new = driver.handle()
    driver.delete(old)
    assert driver.counts() == (0, 1, 0)
    driver.delete(new)
    assert only_the_queue_is_left(driver)


def test_deleting_one_leaves_the_others(driver):
    driver.send("a", "b", "c")
    _, second, _ = driver.receive()
    driver.delete(second.receipt_handle)
    assert driver.after(30_000).bodies() == ["a", "c"]


# Change of visibility


def test_a_longer_timeout_counts_from_the_change(driver):
    driver.send("x")
    handle = driver.handle()
    driver.after(20_000).change(handle, 60_000)
    assert driver.after(59_999).bodies() == []
    assert driver.after(1).bodies() == ["x"]


def test_a_shorter_timeout_counts_from_the_change(driver):
    driver.send("x")
    handle = driver.handle()
    driver.after(1_000).change(handle, 2_000)
    assert driver.after(1_999).bodies() == []
    assert driver.after(1).bodies() == ["x"]


def test_timeout_0_makes_the_message_visible_at_once(driver):
    driver.send("x")
    driver.change(driver.handle(), 0)
    assert driver.counts() == (1, 0, 0)
    assert driver.bodies() == ["x"]


def test_a_change_counts_no_receive_and_keeps_the_handle(driver):
    driver.send("x")
    handle = driver.handle()
    driver.change(handle, 1_000)
    driver.change(handle, 0)
    (message,) = driver.receive()
    assert message.receives == 2


def test_a_change_after_the_timeout_succeeds_while_nobody_else_has_the_message(driver):
    """Recorded: ChangeMessageVisibility after the visibility timeout answers 200."""
    driver.send("x")
    handle = driver.handle()
    driver.after(31_000).tick_all()
    driver.change(handle, 10_000)
    assert driver.counts() == (0, 1, 0)
    assert driver.after(9_999).bodies() == []
    assert driver.after(1).bodies() == ["x"]


def test_a_message_made_invisible_late_is_given_once_when_it_returns(driver):
    driver.send("x", "y")
    handle = driver.handle()
    driver.after(30_000).tick_all()
    driver.change(handle, 1_000)
    assert driver.bodies() == ["y"]
    assert driver.after(1_000).bodies() == ["x"]
    assert driver.bodies() == []


def test_an_older_handle_changes_nothing_and_is_refused(driver):
    driver.send("x")
    old = driver.handle()
    driver.after(30_000).handle()
    with pytest.raises(InvalidParameter) as caught:
        driver.change(old, 0)
    assert caught.value.name == "receipt_handle"
    assert driver.counts() == (0, 1, 0)


def test_changing_a_deleted_message_is_refused(driver):
    driver.send("x")
    handle = driver.handle()
    driver.delete(handle)
    with pytest.raises(InvalidParameter) as caught:
        driver.change(handle, 0)
    assert caught.value.name == "receipt_handle"


@pytest.mark.parametrize("timeout_ms", [-1, 43_200_001])
def test_a_timeout_out_of_range_is_refused(driver, timeout_ms):
    driver.send("x")
    handle = driver.handle()
    with pytest.raises(InvalidParameter) as caught:
        driver.change(handle, timeout_ms)
    assert caught.value.name == "visibility_timeout_ms"


def test_a_message_is_invisible_for_12_hours_from_its_receive_at_the_most(driver):
    driver.send("x")
    handle = driver.handle()
    driver.after(HOUR_MS)
    driver.change(handle, 11 * HOUR_MS)
    with pytest.raises(InvalidParameter) as caught:
        driver.change(handle, 11 * HOUR_MS + 1)
    assert "beyond the limit" in caught.value.reason
    driver.after(11 * HOUR_MS - 1)
    assert driver.bodies() == []
    assert driver.after(1).bodies() == ["x"]


def test_the_12_hours_begin_anew_with_each_receive(driver):
    driver.send("x")
    driver.receive()
    handle = driver.after(11 * HOUR_MS).handle()
    driver.change(handle, 12 * HOUR_MS)
    assert driver.after(12 * HOUR_MS - 1).bodies() == []


def test_a_change_to_0_is_allowed_even_after_12_hours(driver):
    driver.send("x")
    handle = driver.handle(12 * HOUR_MS)
    driver.after(12 * HOUR_MS).change(handle, 0)
    assert driver.bodies() == ["x"]


# Handles that are not this queue's


def test_a_handle_of_another_queue_is_refused(driver):
    other = Driver(arn=ARN + "-2")
    other.send("x")
    driver.send("x")
    handle = other.handle()
    for refused in (lambda: driver.delete(handle), lambda: driver.change(handle, 0)):
        with pytest.raises(InvalidReceiptHandle):
            refused()


def test_a_handle_of_a_deleted_namesake_is_refused(driver):
    driver.send("x")
    handle = driver.handle()
    namesake = Driver(now_ms=START_MS + 1)
    namesake.send("y")
    namesake.handle()
    with pytest.raises(InvalidReceiptHandle):
        namesake.delete(handle)
    assert namesake.counts() == (0, 1, 0)


def test_a_handle_outlives_a_change_of_settings_and_a_restart(driver):
    driver.send("x")
    handle = driver.handle()
    driver.after(1).configure(QueueSpec(delay_ms=7))
    driver.restart()
    driver.delete(handle)
    assert only_the_queue_is_left(driver)


def test_nobody_can_make_a_handle_for_a_message_that_was_never_received(driver):
    driver.send("x")
    forged = make_handle(queue_tag(ARN, START_MS), 0, 0)
    for refused in (lambda: driver.delete(forged), lambda: driver.change(forged, 0)):
        with pytest.raises(InvalidReceiptHandle):
            refused()
    assert driver.counts() == (1, 0, 0)


def test_a_guessed_token_opens_nothing(driver):
    driver.send("x")
    driver.receive()
    guessed = make_handle(queue_tag(ARN, START_MS), 0, 12345)
    driver.delete(guessed)
    assert driver.counts() == (0, 1, 0)
