"""Deduplication: one message per id in five minutes from its send, whatever became of it.

AWS, "Using the message deduplication ID": "if a message with a particular message deduplication ID
is sent successfully, any messages sent with the same message deduplication ID are accepted
successfully but aren't delivered during the 5-minute deduplication interval". "Amazon SQS continues
to keep track of the message deduplication ID even after the message is received and deleted."
"""

from __future__ import annotations

from hashlib import sha256

import pytest

from eventcore.outcome import Parcel
from eventcore.queues.deduplication import Deduplication, digest_of
from eventcore.queues.queue_spec import QueueSpec
from eventcore.queues.records import DEDUPLICATION, DeduplicationRecord
from tests.unit.queues.driver import MINUTE_MS, START_MS, Driver, fifo

WINDOW_MS = 5 * MINUTE_MS
PER_GROUP = {"deduplication_scope": "messageGroup"}
HIGH_THROUGHPUT = {**PER_GROUP, "throughput_limit": "perMessageGroupId"}


def dedup_rows(driver: Driver) -> int:
    return sum(key >> 48 == DEDUPLICATION for key in driver.rows)


def set_spec(driver: Driver, **spec) -> None:
    driver.configure(QueueSpec(is_fifo=True, **spec))


# The id


def test_a_second_message_of_an_id_is_answered_like_the_first_and_goes_nowhere():
    driver = fifo()
    (first,) = driver.send("first", id="1")
    rows = dict(driver.rows)
    (second,) = driver.send("second", id="1")
    assert (second.id, second.sequence) == (first.id, first.sequence)
    assert second.body_md5 != first.body_md5, "the digests are of what was sent now"
    assert driver.rows == rows
    assert driver.bodies() == ["first"]


def test_other_ids_are_other_messages():
    driver = fifo()
    driver.send("x", id="1")
    driver.send("x", id="2")
    assert driver.bodies() == ["x", "x"]


def test_an_id_counts_for_five_minutes_from_the_send_to_the_millisecond():
    driver = fifo()
    driver.send("first", id="1")
    driver.after(WINDOW_MS - 1).send("second", id="1")
    assert driver.counts() == (1, 0, 0)
    driver.after(1).send("third", id="1")
    assert driver.bodies() == ["first", "third"]


def test_a_duplicate_does_not_prolong_the_time():
    driver = fifo()
    driver.send("first", id="1")
    driver.after(WINDOW_MS - 1).send("second", id="1")
    driver.after(1).send("third", id="1")
    driver.after(WINDOW_MS - 1).send("fourth", id="1")
    assert driver.bodies() == ["first", "third"]


def test_an_id_sent_again_after_its_time_counts_anew():
    driver = fifo()
    driver.send("first", id="1")
    (second,) = driver.after(WINDOW_MS).send("second", id="1")
    driver.tick_all()
    (third,) = driver.after(MINUTE_MS).send("third", id="1")
    assert third.sequence == second.sequence
    driver.check_restart()
    assert driver.bodies() == ["first", "second"]


@pytest.mark.parametrize("fate", ["received", "deleted", "purged", "expired"])
def test_an_id_outlives_its_message(fate):
    driver = fifo(retention_ms=MINUTE_MS, visibility_timeout_ms=1_000)
    (first,) = driver.send("first", id="1")
    if fate == "received":
        driver.receive()
    elif fate == "deleted":
        driver.delete(driver.handle())
    elif fate == "purged":
        driver.purge()
    driver.after(2 * MINUTE_MS if fate == "expired" else 1_000).tick_all()
    (second,) = driver.send("second", id="1")
    assert (second.id, second.sequence) == (first.id, first.sequence)
    assert "second" not in driver.bodies()
    driver.restart()
    (third,) = driver.send("third", id="1")
    assert third.sequence == first.sequence


def test_the_other_members_of_a_duplicate_are_of_no_account():
    driver = fifo()
    driver.send("first", id="1", group="a")
    driver.send("second", id="1", group="b")
    assert driver.bodies() == ["first"]
    assert driver.counts() == (0, 1, 0)


# The content


def test_the_id_of_a_body_is_its_sha_256():
    driver = fifo(content_deduplication=True)
    driver.send("x")
    (message,) = driver.receive()
    assert driver.record(message).deduplication_id == sha256(b"x").hexdigest()


def test_equal_bodies_are_one_message_where_the_content_counts():
    driver = fifo(content_deduplication=True)
    driver.send("x", "x", "y", "x", group="a")
    driver.send("x", group="b")
    assert driver.bodies() == ["x", "y"]


def test_an_id_of_its_own_overrides_the_content():
    """AWS: "the explicit MessageDeduplicationId overrides the one generated"."""
    driver = fifo(content_deduplication=True)
    driver.send("x", id="1")
    driver.send("x", id="2")
    driver.send("y", id="1")
    assert driver.bodies() == ["x", "x"]


def test_an_id_that_is_the_digest_of_a_later_body_counts_for_it():
    """AWS: "If you send one message with ContentBasedDeduplication enabled and then another
    message with a MessageDeduplicationId that is the same as the one generated for the first
    MessageDeduplicationId, the two messages are treated as duplicates".
    """
    driver = fifo(content_deduplication=True)
    driver.send("x")
    driver.send("y", id=sha256(b"x").hexdigest())
    assert driver.bodies() == ["x"]


def test_attributes_do_not_count_as_content():
    driver = fifo(content_deduplication=True)
    driver.accept("x", group_id="g", attributes=b"a", attributes_md5=b"b" * 16)
    driver.accept("x", group_id="g", attributes=b"c", attributes_md5=b"d" * 16)
    assert driver.counts() == (1, 0, 0)


# The scope


def test_per_group_an_id_counts_in_its_group_alone():
    driver = fifo(**PER_GROUP)
    for body, group in (("a0", "a"), ("b0", "b"), ("a1", "a"), ("b1", "b")):
        driver.send(body, id="1", group=group)
    assert driver.bodies() == ["a0", "b0"]
    driver.check_restart()


def test_per_group_ids_of_groups_that_look_alike_are_told_apart():
    driver = fifo(**PER_GROUP)
    driver.send("1", group="a", id="bc")
    driver.send("2", group="ab", id="c")
    assert driver.bodies() == ["1", "2"]


def test_after_a_change_to_high_throughput_ids_taken_before_count_for_all_groups():
    """As recorded from AWS: neither the old group nor a new one takes the old id again; a new id is
    taken once in its group.
    """
    driver = fifo()
    driver.send("Test1", id="old", group="1")
    driver.send("Test2", id="old", group="2")
    assert driver.bodies() == ["Test1"]
    set_spec(driver, **HIGH_THROUGHPUT)
    driver.send("Test3", id="old", group="1")
    driver.send("Test3", id="old", group="2")
    driver.after(30_000).delete(driver.handle())
    assert driver.bodies() == []
    driver.send("Test4", id="new", group="1")
    driver.send("Test5", id="new", group="1")
    assert driver.bodies() == ["Test4"]
    driver.send("Test6", id="new", group="2")
    assert driver.bodies() == ["Test6"]
    driver.check_restart()


def test_after_a_change_to_regular_throughput_ids_taken_before_count_for_nobody():
    """As recorded from AWS."""
    driver = fifo(**HIGH_THROUGHPUT)
    driver.send("Test1", id="1", group="1")
    driver.send("Test2", id="1", group="2")
    assert driver.bodies() == ["Test1", "Test2"]
    set_spec(driver)
    driver.send("Test3", id="1", group="3")
    assert driver.bodies() == ["Test3"]
    driver.send("Test4", id="1", group="3")
    driver.send("Test5", id="1", group="4")
    assert driver.bodies() == []
    driver.check_restart()


def test_a_scope_changed_back_finds_the_ids_that_it_took():
    driver = fifo()
    driver.send("1", id="1", group="a")
    set_spec(driver, **PER_GROUP)
    driver.send("2", id="2", group="a")
    set_spec(driver)
    driver.send("3", id="2", group="b")
    set_spec(driver, **PER_GROUP)
    for group in "abc":
        driver.send(f"again {group}", id="2", group=group)
    assert sorted(driver.bodies()) == ["1", "2", "3"]
    driver.check_restart()


# What others deliver


def test_what_is_delivered_is_deduplicated_like_what_is_sent():
    driver = fifo()
    driver.accept("x", group_id="g", deduplication_id="1")
    driver.accept("y", group_id="g", deduplication_id="1")
    driver.send("z", id="1")
    assert driver.bodies() == ["x"]


def test_a_delivery_that_is_not_deduplicated_is_always_taken_and_counts_for_nobody():
    """A message that a move task brings back."""
    driver = fifo()
    driver.send("x", id="1")
    driver.accept("moved", group_id="g", deduplication_id="1", is_deduplicated=False)
    driver.accept("again", group_id="g", deduplication_id="2", is_deduplicated=False)
    driver.send("y", id="2")
    driver.send("z", id="1")
    assert driver.bodies() == ["x", "moved", "again", "y"]
    driver.check_restart()


@pytest.mark.parametrize(
    ("spec", "parcel", "text"),
    [
        ({}, {"deduplication_id": "1"}, "MessageGroupId"),
        ({}, {"group_id": "g"}, "MessageDeduplicationId provided explicitly"),
        ({}, {"group_id": "g", "deduplication_id": "1"}, None),
        ({"content_deduplication": True}, {"group_id": "g"}, None),
        ({"content_deduplication": True}, {}, "MessageGroupId"),
        ({}, {"group_id": "g", "is_deduplicated": False}, None),
    ],
)
def test_a_delivery_without_what_a_fifo_queue_needs_is_refused(spec, parcel, text):
    refusal = fifo(**spec).queue.refusal(Parcel("x", "arn:source", **parcel))
    assert refusal is None if text is None else text in (refusal or "")


# Rows and memory


def test_rows_of_ids_go_when_their_time_is_over_but_for_the_highest():
    driver = fifo()
    for n in range(5):
        driver.send(f"{n}")
        driver.delete(driver.handle())
    assert dedup_rows(driver) == 5
    driver.after(WINDOW_MS - 1).tick_all()
    assert dedup_rows(driver) == 5
    driver.after(1_001).tick_all()
    assert dedup_rows(driver) == 1
    driver.send("x")
    driver.after(WINDOW_MS + 1_000).tick_all()
    assert dedup_rows(driver) == 1
    assert driver.queue.next_deadline() is not None


def test_ids_are_forgotten_in_slices():
    driver = fifo()
    driver.send(*[f"{n}" for n in range(100)])
    driver.after(WINDOW_MS + 1_000)
    assert driver.tick_all(limit=10) >= 10
    assert dedup_rows(driver) == 1


def test_of_ids_whose_time_is_over_no_memory_is_kept():
    deduplication = Deduplication()
    for number in range(10_000):
        digest = digest_of(f"{number}", None)
        deduplication.add(number, DeduplicationRecord(digest, False, bytes(16), START_MS + number))
        deduplication.forget(START_MS + number - 1_000, 1_000)
        if number % 1_000 == 0:
            deduplication.check()
    assert len(deduplication._known) == 10_000
    deduplication.forget(START_MS + 9_000 + WINDOW_MS, 100_000)
    assert len(deduplication._known) == 999
    assert len(deduplication._line) - deduplication._head == 999 * 32
    assert len(deduplication._line) <= 2 * 999 * 32 + 65_536
    deduplication.forget(START_MS + 20_000 + WINDOW_MS, 100_000)
    assert not deduplication._known and not deduplication._line
    assert not deduplication.has_per_queue


def test_rows_taken_in_twice_count_once():
    deduplication = Deduplication()
    record = DeduplicationRecord(digest_of("1", None), False, b"x" * 16, START_MS)
    for _ in range(2):
        deduplication.add(3, record)
    assert deduplication.find(digest_of("1", None), START_MS) == (3, b"x" * 16)
    assert deduplication.forget(START_MS + WINDOW_MS, 10) == (0, 2)
    assert deduplication.find(digest_of("1", None), START_MS + 1) is None
    deduplication.check()


# Sequence numbers


@pytest.mark.parametrize("fate", ["deleted", "purged", "expired", "forgotten"])
@pytest.mark.parametrize("restarts", [1, 2])
def test_sequence_numbers_rise_over_restarts_though_nothing_is_left(fate, restarts):
    driver = fifo(retention_ms=MINUTE_MS)
    results = driver.send("a", "b", "c")
    if fate == "purged":
        driver.purge()
    elif fate in ("deleted", "forgotten"):
        for handle in driver.handles().values():
            driver.delete(handle)
    if fate in ("expired", "forgotten"):
        driver.after(WINDOW_MS + MINUTE_MS)
    driver.tick_all()
    for _ in range(restarts):
        driver.restart()
        driver.tick_all()
    (later,) = driver.send("d")
    assert later.sequence > results[-1].sequence


def test_a_purge_during_the_window_keeps_sequence_and_ids_over_a_restart():
    driver = fifo()
    results = driver.send("a", "b")
    driver.purge()
    driver.restart()
    assert driver.send("c")[0].sequence > results[-1].sequence
    assert driver.send("b", id="id-1")[0].sequence == results[1].sequence
    driver.check_restart()
