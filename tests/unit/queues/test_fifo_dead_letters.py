"""Dead letters of FIFO queues: the group and its order are kept, the send time is not.

AWS, "Using dead-letter queues in Amazon SQS": "For FIFO queues, the enqueue timestamp resets when
the message is moved to a dead-letter queue". The deduplication id becomes the message id, so that
two messages that shared one over time are both kept.
"""

from __future__ import annotations

import pytest

from eventcore.ids import format_uuid
from eventcore.queues.queue_spec import QueueSpec, RedrivePolicy
from tests.unit.queues.driver import (
    FIFO_ARN,
    FIFO_DEAD_ARN,
    MINUTE_MS,
    START_MS,
    Driver,
    fifo,
)


def source(receives_max: int = 1, **spec) -> Driver:
    return fifo(
        visibility_timeout_ms=1_000, redrive=RedrivePolicy(FIFO_DEAD_ARN, receives_max), **spec
    )


def dead(**spec) -> Driver:
    return Driver(QueueSpec(is_fifo=True, **spec), arn=FIFO_DEAD_ARN, seed=2)


def test_a_message_leaves_at_the_receive_after_the_last_allowed_one():
    driver, target = source(2), dead()
    driver.send("x")
    for receives in (1, 2):
        (message,) = driver.receive()
        assert message.receives == receives
        driver.after(1_000)
    assert driver.receive() == []
    assert driver.counts() == (0, 0, 0)
    driver.move_to(target)
    (message,) = target.receive()
    assert message.receives == 3
    assert message.first_received_ms == START_MS
    assert target.record(message).dead_letter_source == FIFO_ARN


def test_the_next_message_of_the_group_follows_in_the_same_receive():
    driver = source()
    driver.send("bad")
    driver.receive()
    driver.after(1_000).send("good", "better")
    assert driver.bodies() == ["good", "better"]
    assert len(driver.transfers) == 1
    assert driver.bodies() == []
    driver.check_restart()


def test_a_group_that_is_left_empty_by_it_begins_anew():
    driver = source()
    driver.send("bad")
    driver.receive()
    assert driver.after(1_000).bodies() == []
    assert not driver.queue.has_ready
    driver.send("good")
    assert driver.bodies() == ["good"]


def test_the_order_of_the_group_is_kept():
    driver, target = source(), dead()
    for n in range(4):
        for group in "ab":
            driver.send(f"{group}{n}", group=group)
    driver.receive(10)
    driver.after(1_000).receive(10)
    driver.move_to(target)
    assert target.bodies(10) == [f"{group}{n}" for group in "ab" for n in range(4)]
    assert driver.counts() == (0, 0, 0)


def test_dead_letters_stand_behind_those_of_their_group_that_are_there():
    driver, target = source(), dead()
    target.send("earlier", group="g")
    driver.send("x", group="g")
    driver.receive()
    driver.after(1_000).receive()
    driver.move_to(target)
    assert target.bodies(1) == ["earlier"]
    assert target.bodies(1) == []


def test_message_id_and_content_stay_and_the_send_time_is_new():
    driver, target = source(retention_ms=MINUTE_MS), dead(retention_ms=MINUTE_MS)
    (sent,) = driver.send("x", group="g", id="1")
    driver.after(40_000).receive()
    driver.after(1_000).receive()
    driver.move_to(target)
    target.after(MINUTE_MS - 1)
    (message,) = target.receive()
    record = target.record(message)
    assert (record.id, record.body, record.group_id) == (sent.id, "x", "g")
    assert record.sent_ms == START_MS + 41_000
    target.after(1).tick_all()
    assert target.counts() == (0, 0, 0), "its retention counts from the move"


def test_two_messages_of_one_deduplication_id_are_both_kept():
    driver, target = source(), dead()
    driver.send("first", id="1")
    driver.receive()
    driver.after(1_000).receive()
    driver.move_to(target)
    driver.after(5 * MINUTE_MS).send("second", id="1")
    driver.receive()
    driver.after(1_000).receive()
    driver.move_to(target)
    messages = target.receive()
    records = [target.record(m) for m in messages]
    assert [r.body for r in records] == ["first", "second"]
    assert [r.deduplication_id for r in records] == [format_uuid(r.id) for r in records]


def test_the_id_counts_no_longer_where_it_was_sent_to_the_dead_letter_queue():
    driver, target = source(), dead()
    driver.send("x", id="1")
    driver.receive()
    driver.after(1_000).receive()
    driver.move_to(target)
    target.send("y", id="1")
    assert target.bodies() == ["x", "y"]
    driver.send("again", id="1")
    assert driver.bodies() == [], "where it was sent first it does"


def test_sequence_numbers_of_dead_letters_rise_with_the_sends_there():
    driver, target = source(), dead()
    (before,) = target.send("before", group="other")
    driver.send("x")
    driver.receive()
    driver.after(1_000).receive()
    driver.move_to(target)
    target.restart()
    (after,) = target.send("after", group="other")
    told = [m.sequence for m in target.receive()]
    assert len(set(told)) == 3
    assert (min(told), max(told)) == (before.sequence, after.sequence)
    target.check_restart()


def test_dead_letters_of_many_groups_come_in_the_order_of_their_moves():
    """Their receive counts came with them; they have not been received here."""
    driver, target = source(5), dead()
    for n in range(6):
        driver.send(f"{n}", group=f"g{n % 3}")
    for _ in range(6):
        driver.receive(10)
        driver.after(1_000)
    driver.move_to(target)
    target.send("later", group="later")
    assert target.bodies() == ["0", "3", "1", "4", "2", "5", "later"]


def test_without_a_reachable_dead_letter_queue_messages_stay_and_are_received_again():
    driver = source()
    driver.send("a", "b")
    driver.receive(1)
    messages = driver.after(1_000).receive(10, reachable=False)
    assert [m.receives for m in messages] == [2, 1]
    assert driver.transfers == []


def test_queues_that_dead_letter_into_each_other_give_a_message_out_once_each_time():
    first = source()
    second = dead(redrive=RedrivePolicy(FIFO_ARN, 1))
    first.send("x")
    first.receive()
    first.after(1_000).receive()
    first.move_to(second)
    assert second.bodies() == ["x"]
    assert second.transfers == []
    assert second.after(30_000).bodies() == []
    assert len(second.transfers) == 1


def test_a_rejected_message_frees_its_group():
    driver, target = source(10), dead()
    driver.send("bad", "good")
    assert driver.take(driver.queue.reject(driver.handle(), True)) is True
    driver.move_to(target)
    assert target.bodies() == ["bad"]
    assert driver.bodies() == ["good"]
    driver.check_restart()


@pytest.mark.parametrize("memory_bytes_max", [0, 300])
def test_a_spilled_dead_letter_is_named_by_its_row(memory_bytes_max):
    driver = Driver(
        QueueSpec(is_fifo=True, redrive=RedrivePolicy(FIFO_DEAD_ARN, 1)),
        arn=FIFO_ARN,
        memory_bytes_max=memory_bytes_max,
    )
    for n in range(3):
        driver.send(f"{n}" * 200, group="g")
    rows = dict(driver.rows)
    driver.receive(10, 0)
    driver.receive(10, 0)
    target = dead()
    for transfer in driver.transfers:
        row = transfer.record or rows[transfer.key]
        target.take(target.queue.take_over(transfer, row, driver.now_ms))
    assert [transfer.record is None for transfer in driver.transfers][-1]
    assert [body[0] for body in target.bodies()] == ["0", "1", "2"]


def test_a_standard_queues_dead_letter_without_a_group_gets_one_of_its_own():
    """Two kinds are never joined; a row that says so is taken in all the same."""
    other = Driver(QueueSpec(redrive=RedrivePolicy(FIFO_DEAD_ARN, 1)), seed=3)
    other.send("x", "y")
    other.receive(10, 0)
    other.receive(10, 0)
    target = dead()
    other.move_to(target)
    assert sorted(target.bodies(10)) == ["x", "y"]
    target.check_restart()


@pytest.mark.parametrize("receives_max", [1, 2, 5])
@pytest.mark.parametrize("bad_at", range(4))
def test_a_restart_in_between_changes_nothing(receives_max, bad_at):
    driver = source(receives_max)
    driver.send(*[f"{n}" for n in range(4)])
    for receives in range(receives_max):
        handles = driver.handles(1 if receives else bad_at + 1)
        for body, handle in handles.items():
            if body != f"{bad_at}":
                driver.delete(handle)
        driver.after(1_000)
        driver.check_restart()
        driver.restart()
    rest = driver.bodies(10)
    assert [t.receives for t in driver.transfers] == [receives_max]
    assert rest == [f"{n}" for n in range(bad_at + 1, 4)]
