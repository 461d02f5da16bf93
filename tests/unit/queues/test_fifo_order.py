"""FIFO queues: the order within a message group, and what locks a group.

AWS, ReceiveMessage: "While messages with a particular MessageGroupId are invisible, no more
messages belonging to the same MessageGroupId are returned until the visibility timeout expires."
Messages of a group that are visible come up to the first one that is not.
"""

from __future__ import annotations

import pytest

from eventcore.errors import InvalidParameter, InvalidReceiptHandle, MissingParameter
from eventcore.limits import Quotas
from eventcore.queues.message import SendEntry, sequence_text
from eventcore.queues.queue_spec import QueueSpec
from tests.unit.queues.driver import FIFO_ARN, HOUR_MS, START_MS, Driver, fifo


def bodies(prefix: str, count: int, first: int = 0) -> list[str]:
    return [f"{prefix}{n}" for n in range(first, first + count)]


# Sending


def test_a_message_needs_a_group():
    driver = fifo()
    with pytest.raises(MissingParameter) as caught:
        driver.queue.send(SendEntry("x", deduplication_id="1"), START_MS)
    assert caught.value.name == "group_id"
    assert driver.counts() == (0, 0, 0)


@pytest.mark.parametrize("name", ["group_id", "deduplication_id"])
@pytest.mark.parametrize("value", ["", "a b", "é", "x" * 129, "a\n", 5])
def test_a_malformed_id_is_refused(name, value):
    driver = fifo()
    entry = SendEntry("x", **{"group_id": "g", "deduplication_id": "1", name: value})
    with pytest.raises(InvalidParameter) as caught:
        driver.queue.send(entry, START_MS)
    assert caught.value.name == name
    assert driver.counts() == (0, 0, 0)


@pytest.mark.parametrize("value", ["x", "x" * 128, "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"])
def test_ids_of_up_to_128_printable_characters_are_taken(value):
    driver = fifo()
    driver.send("x", group=value, id=value)
    (message,) = driver.receive()
    record = driver.record(message)
    assert (record.group_id, record.deduplication_id) == (value, value)


def test_without_any_deduplication_id_a_message_is_refused_in_awss_words():
    with pytest.raises(InvalidParameter) as caught:
        fifo().queue.send(SendEntry("x", group_id="g"), START_MS)
    assert caught.value.name == "request"
    assert caught.value.reason == (
        "The queue should either have ContentBasedDeduplication enabled or "
        "MessageDeduplicationId provided explicitly"
    )


@pytest.mark.parametrize("delay_ms", [1, 1_000, -1])
def test_a_message_has_no_delay_of_its_own(delay_ms):
    driver = fifo()
    with pytest.raises(InvalidParameter) as caught:
        driver.send("x", delay_ms=delay_ms)
    assert caught.value.name == "delay_ms"
    driver.send("x", delay_ms=0)
    assert driver.bodies() == ["x"]


def test_an_empty_or_oversized_body_is_refused():
    driver = fifo(message_bytes_max=1_024)
    with pytest.raises(MissingParameter):
        driver.send("")
    with pytest.raises(InvalidParameter):
        driver.send("x" * 1_025)
    assert driver.send("x" * 1_024)[0].sequence == 1


def test_sequence_numbers_rise_with_the_sends_over_all_groups():
    driver = fifo()
    results = [driver.send("x", group=group)[0] for group in "abab"]
    told = [result.sequence for result in results]
    assert told == sorted(set(told)) and told[0] > 0
    received = [m.sequence for m in driver.receive()]
    assert sorted(received) == told
    texts = [sequence_text(sequence) for sequence in told]
    assert texts == sorted(texts)
    assert all(len(text) == 20 and text.isdigit() for text in texts)


# One group


def test_a_receive_gives_messages_of_a_group_in_the_order_of_their_sends():
    driver = fifo()
    driver.send(*bodies("a", 5))
    assert driver.bodies(3) == ["a0", "a1", "a2"]


@pytest.mark.parametrize("count", [1, 2, 9])
def test_while_messages_of_a_group_are_in_flight_no_more_of_it_are_given(count):
    driver = fifo()
    driver.send(*bodies("a", 10))
    first = driver.handles(count)
    assert len(first) == count
    assert driver.bodies() == []
    for body in list(first)[:-1]:
        driver.delete(first.pop(body))
        assert driver.bodies() == [], "the last one given is still in flight"
    driver.delete(first.popitem()[1])
    assert driver.bodies() == bodies("a", 10 - count, count)


def test_messages_sent_while_their_group_is_locked_wait_behind_it():
    driver = fifo()
    driver.send("a0")
    handle = driver.handle()
    driver.send("a1")
    assert driver.bodies() == []
    driver.delete(handle)
    assert driver.bodies() == ["a1"]


def test_when_the_timeout_is_over_the_messages_come_again_in_their_order():
    driver = fifo(visibility_timeout_ms=1_000)
    driver.send(*bodies("a", 4))
    assert driver.bodies(2) == ["a0", "a1"]
    assert driver.after(999).bodies() == []
    assert driver.after(1).bodies() == bodies("a", 4)


def test_an_early_message_that_is_released_comes_alone_while_later_ones_are_in_flight():
    """Up to the first invisible one, as AWS does."""
    driver = fifo()
    driver.send(*bodies("a", 4))
    handles = driver.handles(3)
    driver.change(handles["a0"], 0)
    assert driver.bodies() == ["a0"]
    assert driver.bodies() == []


def test_two_released_messages_come_up_to_the_one_in_flight_between_or_behind_them():
    driver = fifo()
    driver.send(*bodies("a", 5))
    handles = driver.handles(4)
    driver.change(handles["a0"], 0)
    driver.change(handles["a2"], 0)
    assert driver.bodies() == ["a0"], "a1 is in flight, so a2 waits"
    driver.delete(handles["a1"])
    assert driver.bodies() == [], "a0 is in flight"


def test_a_later_message_that_is_released_waits_for_those_before_it():
    driver = fifo()
    driver.send("a0", "a1", "a2")
    handles = driver.handles(2)
    driver.change(handles["a1"], 0)
    assert driver.bodies() == []
    driver.delete(handles["a0"])
    assert driver.bodies() == ["a1", "a2"]


def test_deleting_a_middle_message_leaves_the_order_of_the_others():
    driver = fifo(visibility_timeout_ms=1_000)
    driver.send(*bodies("a", 5))
    handles = driver.handles(3)
    driver.delete(handles["a1"])
    assert driver.bodies() == []
    assert driver.after(1_000).bodies() == ["a0", "a2", "a3", "a4"]


def test_deleting_the_last_message_of_a_group_leaves_the_end_where_the_next_one_goes():
    driver = fifo(visibility_timeout_ms=1_000)
    driver.send("a0", "a1")
    driver.delete(driver.handles()["a1"])
    driver.send("a2")
    assert driver.after(1_000).bodies() == ["a0", "a2"]


def test_a_group_that_was_empty_begins_anew():
    driver = fifo()
    for n in range(3):
        driver.send(f"a{n}")
        driver.delete(driver.handle())
    driver.send("a3", "a4")
    assert driver.bodies() == ["a3", "a4"]


def test_messages_of_a_receive_with_timeout_0_come_again_at_the_next_one():
    driver = fifo()
    driver.send("a0", "a1")
    for receives in (1, 2, 3):
        messages = driver.receive(10, 0)
        assert [m.receives for m in messages] == [receives, receives]


def test_different_timeouts_in_one_group_end_in_any_order():
    driver = fifo()
    driver.send(*bodies("a", 4))
    handles = driver.handles(3)
    driver.change(handles["a0"], 3_000)
    driver.change(handles["a1"], 1_000)
    driver.change(handles["a2"], 2_000)
    assert driver.after(2_500).bodies() == [], "a0 is in flight"
    assert driver.after(500).bodies() == bodies("a", 4)


# Several groups


def test_groups_do_not_wait_for_each_other():
    driver = fifo()
    for n in range(3):
        for group in "abc":
            driver.send(f"{group}{n}", group=group)
    assert driver.bodies(1) == ["a0"]
    assert driver.bodies(1) == ["b0"]
    assert driver.bodies(1) == ["c0"]
    assert driver.bodies() == []


def test_a_receive_takes_as_many_of_one_group_as_there_are_and_then_of_the_next():
    """AWS, "FIFO delivery logic": "as many messages with the same message group ID as possible"."""
    driver = fifo()
    for n in range(3):
        for group in "abcd":
            driver.send(f"{group}{n}", group=group)
    assert driver.bodies(10) == [*bodies("a", 3), *bodies("b", 3), *bodies("c", 3), "d0"]
    assert driver.bodies(10) == []


def test_the_group_with_the_oldest_front_message_is_next():
    driver = fifo()
    driver.send("b0", group="b")
    driver.send("a0", group="a")
    driver.send("b1", group="b")
    driver.send("c0", group="c")
    assert driver.bodies(2) == ["b0", "b1"]
    assert driver.bodies(10) == ["a0", "c0"]


def test_a_group_that_comes_back_stands_where_its_oldest_message_was_sent():
    driver = fifo(visibility_timeout_ms=1_000)
    for n in range(4):
        driver.send(f"{n}", group=f"g{n}")
    assert driver.bodies(1) == ["0"]
    assert driver.after(1_000).bodies(2) == ["0", "1"]


def test_a_message_received_three_times_does_not_hold_up_other_groups():
    driver = fifo(visibility_timeout_ms=0)
    driver.send("bad", group="a")
    driver.send("a1", group="a")
    driver.send("good", group="b")
    for _ in range(3):
        assert driver.bodies(1) == ["bad"]
    assert driver.bodies(1) == ["good"], "the bad one stands behind it by now"
    assert "bad" in driver.bodies(10), "and is not forgotten"


def test_a_batch_over_mixed_groups_keeps_each_groups_order():
    driver = fifo(visibility_timeout_ms=1_000)
    names = [f"{group}{n}" for n in range(7) for group in "abc"]
    for name in names:
        driver.send(name, group=name[0])
    seen: list[str] = []
    while messages := driver.receive(4):
        for message in messages:
            seen.append(driver.record(message).body)
            driver.delete(message.receipt_handle)
    for group in "abc":
        assert [name for name in seen if name[0] == group] == bodies(group, 7)
    assert sorted(seen) == sorted(names)


def test_a_hundred_thousand_messages_of_one_group_block_nobody_else():
    driver = fifo()
    driver.queue.check = lambda: None  # type: ignore[method-assign]  # it walks all chains
    for n in range(20_000):
        driver.send(f"{n}", group="flood")
    driver.send("quiet", group="quiet")
    assert driver.bodies(10)[0] == "0"
    assert driver.bodies(10) == ["quiet"]


# Handles


def test_deleting_after_the_visibility_timeout_is_refused_in_awss_words():
    driver = fifo(visibility_timeout_ms=1_000)
    driver.send("x")
    handle = driver.handle()
    with pytest.raises(InvalidParameter) as caught:
        driver.after(1_000).delete(handle)
    assert caught.value.name == "receipt_handle"
    assert caught.value.reason == "The receipt handle has expired."
    assert driver.counts() == (1, 0, 0)


def test_deleting_at_the_last_millisecond_of_the_timeout_works():
    driver = fifo(visibility_timeout_ms=1_000)
    driver.send("x")
    handle = driver.handle()
    driver.after(999).delete(handle)
    assert driver.counts() == (0, 0, 0)


def test_a_changed_timeout_prolongs_the_handle():
    driver = fifo(visibility_timeout_ms=1_000)
    driver.send("x")
    handle = driver.handle()
    driver.change(handle, 5_000)
    driver.after(4_999).delete(handle)
    assert driver.counts() == (0, 0, 0)


def test_an_older_handle_of_a_message_received_again_is_refused():
    driver = fifo(visibility_timeout_ms=1_000)
    driver.send("x")
    old = driver.handle()
    driver.after(1_000).handle()
    with pytest.raises(InvalidParameter):
        driver.delete(old)
    assert driver.counts() == (0, 1, 0)


def test_deleting_twice_does_nothing_the_second_time():
    driver = fifo()
    driver.send("x")
    handle = driver.handle()
    for _ in range(2):
        driver.delete(handle)
    assert driver.counts() == (0, 0, 0)


def test_a_handle_of_another_queue_is_refused():
    other = Driver(QueueSpec(is_fifo=True), arn=FIFO_ARN.replace("orders", "other"))
    other.send("x")
    driver = fifo()
    driver.send("x")
    driver.handle()
    with pytest.raises(InvalidReceiptHandle):
        driver.delete(other.handle())


def test_visibility_of_a_message_that_is_visible_again_is_not_changed():
    driver = fifo(visibility_timeout_ms=1_000)
    driver.send("x")
    handle = driver.handle()
    driver.after(1_000)
    with pytest.raises(InvalidParameter) as caught:
        driver.change(handle, 10_000)
    assert caught.value.name == "receipt_handle"
    assert driver.bodies() == ["x"]


def test_a_message_stays_invisible_for_twelve_hours_at_the_most():
    driver = fifo()
    driver.send("x")
    handle = driver.handle(12 * HOUR_MS)
    driver.after(HOUR_MS)
    with pytest.raises(InvalidParameter) as caught:
        driver.change(handle, 11 * HOUR_MS + 1)
    assert caught.value.name == "visibility_timeout_ms"
    driver.change(handle, 11 * HOUR_MS)
    assert driver.after(11 * HOUR_MS - 1).bodies() == []
    assert driver.after(1).bodies() == ["x"]


# Quotas


def test_at_the_quota_of_messages_in_flight_there_is_nothing_and_no_error():
    driver = Driver(QueueSpec(is_fifo=True), Quotas(in_flight_max=3), arn=FIFO_ARN)
    for n in range(6):
        driver.send(f"{n}", group=f"g{n}")
    handles = driver.handles(10)
    assert list(handles) == ["0", "1", "2"]
    assert driver.receive() == []
    driver.delete(handles["1"])
    assert driver.bodies() == ["3"]


# Waiting


def test_has_ready_says_whether_a_receive_would_find_something():
    driver = fifo(visibility_timeout_ms=1_000)
    assert not driver.queue.has_ready
    driver.send("a0", "a1")
    assert driver.queue.has_ready
    handle = driver.handle()
    assert not driver.queue.has_ready, "the group is locked"
    driver.delete(handle)
    assert driver.queue.has_ready
    driver.receive()
    assert not driver.queue.has_ready
    driver.after(1_000).tick_all()
    assert driver.queue.has_ready
    driver.purge()
    assert not driver.queue.has_ready


def test_has_ready_after_a_restart_does_not_count_locked_groups():
    driver = fifo()
    driver.send("a0", "a1")
    driver.send("b0", group="b")
    driver.receive(1)
    driver.restart()
    assert driver.queue.has_ready
    assert driver.bodies() == ["b0"]
    driver.restart()
    assert not driver.queue.has_ready


# Restart


@pytest.mark.parametrize("count", range(6))
def test_locks_order_and_counts_are_the_same_after_a_restart(count):
    driver = fifo(visibility_timeout_ms=1_000)
    for n in range(3):
        for group in "ab":
            driver.send(f"{group}{n}", group=group)
    handles = driver.handles(count) if count else {}
    if count > 2:
        driver.delete(handles["a1"])
    if count > 1:
        driver.change(handles["a0"], 0)
    driver.check_restart()
    driver.restart()
    driver.check_restart()
