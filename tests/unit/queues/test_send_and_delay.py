"""Sending: what a message may be, and when it becomes visible."""

from __future__ import annotations

from hashlib import md5

import pytest

from eventcore.errors import InvalidParameter, MissingParameter
from eventcore.limits import MESSAGE_BYTES_MAX
from eventcore.outcome import Parcel
from eventcore.queues.message import SendEntry
from eventcore.queues.queue_spec import QueueSpec
from tests.unit.queues.driver import ARN, START_MS, Driver


def test_a_message_is_visible_at_once_without_a_delay():
    driver = Driver()
    driver.send("hello")
    assert driver.bodies() == ["hello"]


def test_a_send_answers_with_id_and_md5_of_the_body():
    driver = Driver()
    result = driver.take(driver.queue.send(SendEntry("grüße"), START_MS))
    assert result.body_md5 == md5("grüße".encode()).digest()
    assert len(result.id) == 16
    assert driver.record(driver.receive()[0]).id == result.id


def test_everything_that_was_sent_with_a_message_comes_with_it():
    driver = Driver()
    entry = SendEntry("body", None, b"attributes", b"digest", "AIDA", "Root=1", "group")
    driver.take(driver.queue.send(entry, START_MS))
    record = driver.record(driver.receive()[0])
    assert (record.attributes, record.attributes_md5) == (b"attributes", b"digest")
    assert (record.sender_id, record.trace_header) == ("AIDA", "Root=1")
    assert (record.group_id, record.deduplication_id) == ("group", None)
    assert (record.sent_ms, record.dead_letter_source) == (START_MS, None)


def test_the_queues_delay_holds_a_message_back_to_the_millisecond():
    driver = Driver(QueueSpec(delay_ms=5_000))
    driver.send("late")
    assert driver.counts() == (0, 0, 1)
    assert driver.after(4_999).bodies() == []
    assert driver.after(1).bodies() == ["late"]


def test_a_messages_own_delay_replaces_the_queues():
    driver = Driver(QueueSpec(delay_ms=5_000))
    driver.send("now", delay_ms=0)
    driver.send("later", delay_ms=9_000)
    assert driver.bodies() == ["now"]
    assert driver.after(8_999).bodies() == []
    assert driver.after(1).bodies() == ["later"]


def test_changing_the_queues_delay_does_not_change_messages_that_are_there():
    driver = Driver(QueueSpec(delay_ms=5_000))
    driver.send("old")
    driver.configure(QueueSpec(delay_ms=0))
    driver.send("new")
    assert driver.bodies() == ["new"]
    assert driver.after(5_000).bodies() == ["old"]


@pytest.mark.parametrize("delay_ms", [-1, 900_001])
def test_a_delay_out_of_range_is_refused_and_changes_nothing(delay_ms):
    driver = Driver()
    with pytest.raises(InvalidParameter) as caught:
        driver.send("x", delay_ms=delay_ms)
    assert caught.value.name == "delay_ms"
    assert driver.counts() == (0, 0, 0) and len(driver.rows) == 1


def test_the_longest_delay_is_15_minutes():
    driver = Driver()
    driver.send("x", delay_ms=900_000)
    assert driver.after(899_999).bodies() == []
    assert driver.after(1).bodies() == ["x"]


def test_an_empty_body_is_refused():
    with pytest.raises(MissingParameter):
        Driver().send("")


def test_the_largest_message_is_1_mib_and_not_a_byte_more():
    driver = Driver()
    driver.send("x" * MESSAGE_BYTES_MAX)
    with pytest.raises(InvalidParameter) as caught:
        driver.send("x" * (MESSAGE_BYTES_MAX + 1))
    assert caught.value.name == "body"
    assert driver.counts() == (1, 0, 0)


def test_size_is_counted_in_bytes_not_characters():
    driver = Driver(QueueSpec(message_bytes_max=1_024))
    driver.send("ü" * 512)
    with pytest.raises(InvalidParameter):
        driver.send("ü" * 513)


def test_attributes_count_towards_the_size():
    driver = Driver(QueueSpec(message_bytes_max=1_024))
    driver.take(driver.queue.send(SendEntry("x", size_bytes=1_024), START_MS))
    with pytest.raises(InvalidParameter):
        driver.queue.send(SendEntry("x", size_bytes=1_025), START_MS)


def test_text_that_is_no_utf_8_is_refused():
    driver = Driver()
    with pytest.raises(InvalidParameter):
        driver.send("\ud800")
    assert driver.counts() == (0, 0, 0)


def test_a_delivered_parcel_becomes_a_message_with_the_queues_delay():
    driver = Driver(QueueSpec(delay_ms=1_000))
    parcel = Parcel("event", ARN, b"a", b"m", "group", "dedup", "trace")
    driver.take(driver.queue.accept(parcel, START_MS))
    assert driver.bodies() == []
    (message,) = driver.after(1_000).receive()
    record = driver.record(message)
    assert (record.body, record.body_md5) == ("event", md5(b"event").digest())
    assert (record.attributes, record.attributes_md5) == (b"a", b"m")
    assert (record.group_id, record.deduplication_id) == ("group", "dedup")
    assert (record.trace_header, record.sent_ms) == ("trace", START_MS)


def test_a_delayed_message_that_is_older_goes_first_when_its_delay_is_over():
    driver = Driver()
    driver.send("first", delay_ms=1_000)
    driver.send("second")
    assert driver.after(1_000).bodies() == ["first", "second"]
