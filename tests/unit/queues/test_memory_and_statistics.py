"""Bodies beyond the memory budget stay in the store; statistics are exact."""

from __future__ import annotations

from eventcore.queues.queue_spec import QueueSpec, RedrivePolicy
from tests.unit.queues.driver import ARN, DEAD_ARN, MINUTE_MS, START_MS, Driver


def test_bodies_beyond_the_budget_are_spilled_and_come_from_the_store():
    driver = Driver(memory_bytes_max=2_000)
    bodies = [f"{n:04}" + "x" * 500 for n in range(10)]
    driver.send(*bodies)
    found = driver.statistics()
    assert 0 < found.body_memory_bytes <= 2_000
    assert found.spilled == 10 - found.body_memory_bytes // 500
    messages = driver.receive()
    assert [m.record is None for m in messages] == [False] * 3 + [True] * 7
    assert [driver.record(m).body for m in messages] == bodies


def test_with_a_budget_of_0_every_body_is_spilled():
    driver = Driver(memory_bytes_max=0)
    driver.send("x")
    found = driver.statistics()
    assert (found.body_memory_bytes, found.spilled) == (0, 1)
    assert driver.bodies() == ["x"]


def test_deleting_makes_room_for_later_bodies():
    driver = Driver(memory_bytes_max=700)
    driver.send("a" * 500, "b" * 500)
    assert driver.statistics().spilled == 1
    for message in driver.receive():
        driver.delete(message.receipt_handle)
    found = driver.statistics()
    assert (found.body_memory_bytes, found.spilled) == (0, 0)
    driver.send("c" * 500)
    assert driver.statistics().spilled == 0


def test_a_purge_empties_the_budget():
    driver = Driver(memory_bytes_max=700)
    driver.send("a" * 500, "b" * 500)
    driver.purge()
    found = driver.statistics()
    assert (found.body_memory_bytes, found.spilled) == (0, 0)


def test_the_budget_holds_after_a_restart():
    driver = Driver(memory_bytes_max=2_000)
    driver.send(*["x" * 500] * 10)
    driver.restart()
    assert driver.statistics().body_memory_bytes <= 2_000
    assert driver.bodies() == ["x" * 500] * 10


def test_counts_follow_a_message_through_its_states():
    driver = Driver(QueueSpec(visibility_timeout_ms=1_000))
    assert driver.counts() == (0, 0, 0)
    driver.send("x", delay_ms=1_000)
    assert driver.counts() == (0, 0, 1)
    assert driver.after(1_000).counts() == (1, 0, 0)
    handle = driver.handle()
    assert driver.counts() == (0, 1, 0)
    assert driver.after(1_000).counts() == (1, 0, 0)
    driver.delete(handle)
    assert driver.counts() == (0, 0, 0)


def test_counts_need_no_tick():
    driver = Driver()
    driver.send("a", "b", delay_ms=1_000)
    driver.send("c")
    driver.receive(1, 2_000)
    assert driver.after(2_000).counts() == (3, 0, 0)


def test_the_oldest_age_is_that_of_the_oldest_message_there():
    driver = Driver()
    assert driver.statistics().oldest_age_ms == 0
    driver.send("a")
    driver.after(1_000).send("b")
    assert driver.after(500).statistics().oldest_age_ms == 1_500
    driver.delete(driver.handle())
    assert driver.statistics().oldest_age_ms == 500


def test_the_oldest_age_counts_messages_in_flight_and_delayed_ones():
    driver = Driver()
    driver.send("a", delay_ms=900_000)
    driver.after(1_000).send("b")
    driver.receive()
    assert driver.statistics().oldest_age_ms == 1_000


def test_the_oldest_age_knows_dead_letters_by_their_first_send():
    source = Driver(QueueSpec(visibility_timeout_ms=0, redrive=RedrivePolicy(DEAD_ARN, 1)))
    source.send("old")
    source.receive()
    source.receive()
    (transfer,) = source.transfers
    target = Driver(arn=DEAD_ARN, now_ms=START_MS + MINUTE_MS)
    target.send("young")
    assert transfer.record is not None
    target.take(target.queue.take_over(transfer, transfer.record, target.now_ms))
    assert target.after(1).statistics().oldest_age_ms == MINUTE_MS + 1
    old = next(m for m in target.receive() if target.record(m).dead_letter_source == ARN)
    target.delete(old.receipt_handle)
    assert target.statistics().oldest_age_ms == 1
