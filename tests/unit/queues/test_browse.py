"""Looking into a queue without receiving."""

from __future__ import annotations

import pytest

from eventcore import limits
from eventcore.queues.message import decode_message
from eventcore.queues.queue_spec import QueueSpec
from tests.unit.queues.driver import MINUTE_MS, START_MS, Driver, fifo


def test_an_empty_queue_shows_nothing():
    assert Driver().queue.browse(-1, 10, START_MS) == ([], -1)


def test_messages_are_shown_as_they_are_in_the_order_of_their_sends():
    driver = Driver(QueueSpec(visibility_timeout_ms=30_000))
    driver.send("flight")
    driver.receive()
    driver.after(1_000).send("delayed", delay_ms=5_000)
    driver.send("visible")
    flight, delayed, visible = driver.browse()
    assert [m.state for m in (flight, delayed, visible)] == ["in flight", "delayed", "visible"]
    assert [m.visible_ms for m in (flight, delayed, visible)] == [
        START_MS + 30_000,
        START_MS + 6_000,
        0,
    ]
    assert (flight.receives, flight.first_received_ms) == (1, START_MS)
    assert (visible.receives, visible.first_received_ms, visible.sequence) == (0, 0, 0)
    bodies = [decode_message(m.record or b"").body for m in (flight, delayed, visible)]
    assert bodies == ["flight", "delayed", "visible"]


def test_what_fell_due_is_shown_as_visible_without_a_tick():
    driver = Driver(QueueSpec(visibility_timeout_ms=1_000))
    driver.send("a")
    driver.receive()
    driver.send("b", delay_ms=1_000)
    assert [m.state for m in driver.browse()] == ["in flight", "delayed"]
    assert [m.state for m in driver.after(1_000).browse()] == ["visible", "visible"]


def test_looking_changes_nothing():
    driver = Driver(QueueSpec(visibility_timeout_ms=1_000))
    driver.send("a", "b")
    handle = driver.handle()
    rows = dict(driver.rows)
    for _ in range(3):
        driver.browse()
    assert driver.rows == rows
    assert driver.counts() == (1, 1, 0)
    driver.delete(handle)
    assert driver.bodies() == ["b"]


def test_pages_go_on_where_the_last_one_ended():
    driver = Driver()
    driver.send(*[f"{n}" for n in range(25)])
    for body, handle in driver.handles(10).items():
        if int(body) % 2:
            driver.delete(handle)
    for size in (1, 3, 10, 100):
        found = driver.browse(count=size)
        assert [m.number for m in found] == sorted({*range(0, 10, 2), *range(10, 25)})


def test_messages_sent_between_two_pages_are_shown_and_deleted_ones_not():
    driver = Driver()
    driver.send("a", "b", "c")
    handles = driver.handles()
    first, after = driver.queue.browse(-1, 1, driver.now_ms)
    driver.delete(handles["b"])
    driver.send("d")
    second, end = driver.queue.browse(after, 10, driver.now_ms)
    assert [m.number for m in (*first, *second)] == [0, 2, 3]
    assert driver.queue.browse(end, 10, driver.now_ms) == ([], end)


def test_expired_messages_are_left_out():
    driver = Driver(QueueSpec(retention_ms=MINUTE_MS))
    driver.send("old")
    driver.after(1_000).send("young")
    assert len(driver.after(MINUTE_MS - 1_001).browse()) == 2
    (shown,) = driver.after(1).browse()
    assert decode_message(shown.record or b"").body == "young"


def test_purged_messages_are_left_out():
    driver = Driver()
    driver.send("a", "b")
    driver.purge()
    driver.send("c")
    assert [m.number for m in driver.browse()] == [2]


def test_a_look_passes_a_bounded_count_of_numbers():
    driver = Driver()
    driver.send("a")
    driver.queue._next_number = 3 * limits.BROWSE_STEPS_MAX
    driver.send("b")
    found, after = driver.queue.browse(-1, 10, driver.now_ms)
    assert [m.number for m in found] == [0] and after < 3 * limits.BROWSE_STEPS_MAX
    assert [m.number for m in driver.browse()] == [0, 3 * limits.BROWSE_STEPS_MAX]


def test_numbers_before_the_oldest_message_are_not_walked():
    driver = Driver()
    driver.queue._next_number = 10**9
    driver.send("a")
    found, after = driver.queue.browse(-1, 10, driver.now_ms)
    assert [m.number for m in found] == [10**9] and after == 10**9


def test_spilled_bodies_are_left_to_the_caller():
    driver = Driver(memory_bytes_max=0)
    driver.send("x")
    (shown,) = driver.browse()
    assert shown.record is None
    assert decode_message(driver.rows[shown.key]).body == "x"


@pytest.mark.parametrize("is_restarted", [False, True])
def test_of_a_fifo_queue_states_and_sequence_numbers_are_shown(is_restarted):
    driver = fifo(delay_ms=5_000, visibility_timeout_ms=30_000)
    sent = driver.send("a0", "a1", group="a")
    driver.after(5_000)
    driver.receive(1)
    sent += driver.send("b0", group="b")
    if is_restarted:
        driver.restart()
    shown = driver.browse()
    assert [m.state for m in shown] == ["in flight", "visible", "delayed"]
    assert [m.sequence for m in shown] == [result.sequence for result in sent]
    assert shown[2].visible_ms == START_MS + 10_000
    assert [m.state for m in driver.after(30_000).browse()] == ["visible"] * 3
