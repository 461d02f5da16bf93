"""Dead letters: after so many receives a message leaves, and takes what identifies it along."""

from __future__ import annotations

from typing import Any

import pytest

from eventcore.errors import InvalidParameter, InvalidReceiptHandle
from eventcore.queues.message import MessageRecord, decode_message
from eventcore.queues.queue_spec import QueueSpec, RedrivePolicy
from tests.unit.queues.driver import ARN, DEAD_ARN, MINUTE_MS, START_MS, Driver


def with_redrive(receives_max: int = 2, **spec: Any) -> Driver:
    policy = RedrivePolicy(DEAD_ARN, receives_max)
    return Driver(QueueSpec(visibility_timeout_ms=1_000, redrive=policy, **spec))


def dead(**spec: Any) -> Driver:
    return Driver(QueueSpec(**spec), arn=DEAD_ARN, seed=2)


def receive_times(driver: Driver, count: int) -> None:
    for _ in range(count):
        assert len(driver.receive(1)) == 1
        driver.after(1_000)


def move(source: Driver, target: Driver) -> None:
    """What the host does with the transfers of the source, in one batch with its deletions."""
    target.now_ms = source.now_ms
    for transfer in source.transfers:
        assert transfer.target_arn == target.arn
        assert transfer.record is not None
        target.take(target.queue.take_over(transfer, transfer.record, target.now_ms))
    source.transfers.clear()


@pytest.mark.parametrize("receives_max", [1, 2, 5])
def test_a_message_leaves_at_the_receive_after_the_last_allowed_one(receives_max):
    driver = with_redrive(receives_max)
    driver.send("x")
    receive_times(driver, receives_max)
    assert driver.counts() == (1, 0, 0)
    assert driver.transfers == []
    assert driver.receive() == []
    (transfer,) = driver.transfers
    assert (transfer.target_arn, transfer.source_arn) == (DEAD_ARN, ARN)
    assert transfer.receives == receives_max
    assert driver.counts() == (0, 0, 0)
    assert len(driver.rows) == 1, "both of its rows are gone from the source"


def test_the_receive_that_moves_a_message_still_gives_the_others():
    driver = with_redrive(1)
    driver.send("bad")
    receive_times(driver, 1)
    driver.send("good")
    assert driver.bodies(1) == ["good"]
    assert len(driver.transfers) == 1


def test_a_dead_letter_keeps_id_send_time_content_and_counts():
    driver, target = with_redrive(2), dead()
    driver.send("x")
    (first,) = driver.receive(1)
    before = driver.record(first)
    driver.after(1_000)
    receive_times(driver, 1)
    driver.receive()
    move(driver, target)
    (message,) = target.receive()
    record = target.record(message)
    assert (record.id, record.body, record.body_md5) == (before.id, before.body, before.body_md5)
    assert record.sent_ms == START_MS
    assert record.dead_letter_source == ARN
    assert message.receives == 3, "two there, one here"
    assert message.first_received_ms == START_MS


def test_a_dead_letter_is_visible_at_once_whatever_its_queues_delay():
    driver, target = with_redrive(1), dead(delay_ms=900_000)
    driver.send("x")
    receive_times(driver, 1)
    driver.receive()
    move(driver, target)
    assert target.bodies() == ["x"]


def test_a_dead_letters_retention_counts_from_its_first_send():
    """AWS: "the expiration of a message is always based on its original enqueue timestamp"."""
    driver, target = with_redrive(1), dead(retention_ms=MINUTE_MS)
    target.send("young")
    driver.send("x")
    driver.after(40_000)
    target.now_ms = driver.now_ms
    target.send("younger")
    receive_times(driver, 1)
    driver.receive()
    move(driver, target)
    target.now_ms = START_MS + MINUTE_MS - 1
    target.tick_all()
    assert target.counts() == (3, 0, 0)
    target.after(1).tick_all()
    assert target.bodies() == ["younger"]


def test_a_dead_letter_that_is_older_than_the_retention_there_expires_at_once():
    driver, target = with_redrive(1), dead(retention_ms=MINUTE_MS)
    driver.send("x")
    driver.after(MINUTE_MS)
    receive_times(driver, 1)
    driver.receive()
    move(driver, target)
    assert target.bodies() == []
    target.tick_all()
    assert target.counts() == (0, 0, 0) and len(target.rows) == 1


def test_without_a_reachable_dead_letter_queue_messages_stay_and_are_received_again():
    driver = with_redrive(1)
    driver.send("x")
    receive_times(driver, 1)
    (message,) = driver.receive(reachable=False)
    assert message.receives == 2
    assert driver.transfers == []


def test_without_a_policy_messages_are_received_for_ever():
    driver = Driver(QueueSpec(visibility_timeout_ms=0))
    driver.send("x")
    assert [driver.receive(1)[0].receives for _ in range(1_500)][-1] == 1_500


def test_a_lowered_count_applies_to_messages_that_are_there():
    driver = with_redrive(10)
    driver.send("x")
    receive_times(driver, 3)
    driver.configure(QueueSpec(redrive=RedrivePolicy(DEAD_ARN, 3)))
    assert driver.receive() == []
    assert len(driver.transfers) == 1


@pytest.mark.parametrize("receives_max", [0, 1_001])
def test_a_count_out_of_range_is_refused(receives_max):
    with pytest.raises(InvalidParameter) as caught:
        with_redrive(receives_max)
    assert caught.value.name == "receives_max"


def test_queues_that_dead_letter_into_each_other_give_a_message_out_once_each_time():
    """Otherwise a receive that waits would move it round for ever."""
    first = with_redrive(1)
    second = Driver(QueueSpec(redrive=RedrivePolicy(ARN, 1)), arn=DEAD_ARN, seed=2)
    first.send("x")
    receive_times(first, 1)
    first.receive()
    move(first, second)
    assert second.bodies() == ["x"]
    assert second.transfers == []
    assert second.after(30_000).bodies() == []
    assert len(second.transfers) == 1


def test_a_dead_letter_is_the_same_after_a_restart():
    driver, target = with_redrive(1), dead()
    driver.send("x")
    receive_times(driver, 1)
    driver.receive()
    move(driver, target)
    target.restart()
    (message,) = target.receive()
    assert message.receives == 2
    assert target.record(message).dead_letter_source == ARN


def test_a_spilled_message_moves_without_its_content():
    driver = Driver(
        QueueSpec(visibility_timeout_ms=1_000, redrive=RedrivePolicy(DEAD_ARN, 1)),
        memory_bytes_max=0,
    )
    driver.send("x")
    row = next(value for key, value in driver.rows.items() if _is_message(value))
    receive_times(driver, 1)
    driver.receive()
    (transfer,) = driver.transfers
    assert transfer.record is None, "the host reads the row back"
    target = dead()
    target.take(target.queue.take_over(transfer, row, driver.now_ms))
    assert target.bodies() == ["x"]


def _is_message(value: bytes) -> bool:
    try:
        return isinstance(decode_message(value), MessageRecord)
    except Exception:  # noqa: BLE001
        return False


# Reject: not AWS's


def test_a_rejected_message_goes_to_the_dead_letter_queue_at_once():
    driver, target = with_redrive(10), dead()
    driver.send("x")
    assert driver.take(driver.queue.reject(driver.handle(), True)) is True
    move(driver, target)
    assert target.bodies() == ["x"]
    assert len(driver.rows) == 1


@pytest.mark.parametrize("driver", [Driver(), with_redrive()], ids=["no policy", "unreachable"])
def test_a_rejected_message_without_a_dead_letter_queue_is_deleted(driver):
    driver.send("x")
    assert driver.take(driver.queue.reject(driver.handle(), False)) is False
    assert driver.transfers == []
    assert len(driver.rows) == 1


def test_an_older_handle_rejects_nothing():
    driver = with_redrive()
    driver.send("x")
    old = driver.handle(0)
    driver.handle()
    assert driver.take(driver.queue.reject(old, True)) is False
    assert driver.counts() == (0, 1, 0) and driver.transfers == []


def test_a_foreign_handle_rejects_nothing():
    with pytest.raises(InvalidReceiptHandle):
        with_redrive().queue.reject("foreign", True)
