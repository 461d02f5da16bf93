"""Fair queues: message groups of a standard queue take turns, and noisy ones come last.

AWS, "How Amazon SQS fair queues work": a group is noisy with more than a tenth of the messages in
flight and at least 30, or with more than a tenth of the consumers' time lately. Quiet groups'
messages go first; of the noisy ones, those of the group with the fewest in flight.
"""

from __future__ import annotations

import random

import pytest

from eventcore.errors import InvalidParameter
from eventcore.queues import fairness
from eventcore.queues.message import SendEntry
from eventcore.queues.queue_spec import QueueSpec, RedrivePolicy
from eventcore.queues.standard import StandardQueue
from tests.unit.queues.driver import DEAD_ARN, MINUTE_MS, START_MS, Driver

HALF_LIFE_MS = 30_000


def send(driver: Driver, group: str | None, count: int, first: int = 0) -> None:
    name = group or "none"
    driver.send(*[f"{name}{n}" for n in range(first, first + count)], group=group)


def machine(driver: Driver) -> StandardQueue:
    assert isinstance(driver.queue, StandardQueue)
    return driver.queue


def one_by_one(driver: Driver, count: int) -> list[str]:
    """What so many consumers get who keep their messages."""
    return [body for _ in range(count) for body in driver.bodies(1)]


def noisy(driver: Driver) -> list[str]:
    found = machine(driver)._fairness.noisy(driver.counts()[1], driver.now_ms)
    return sorted(group.id for group in found)


def occupied(driver: Driver, group: str, count: int) -> list[str]:
    """So many messages of a group, received for a long time; their handles."""
    send(driver, group, count)
    handles: list[str] = []
    while len(handles) < count:
        left = min(10, count - len(handles))
        handles += driver.handles(left, 10 * MINUTE_MS).values()
    return handles


# Turns


def test_without_groups_the_order_is_that_of_the_sends():
    driver = Driver()
    send(driver, None, 5)
    assert driver.bodies() == [f"none{n}" for n in range(5)]


def test_groups_take_turns_of_one_message():
    driver = Driver()
    send(driver, "a", 3)
    send(driver, "b", 2)
    send(driver, "c", 1)
    assert driver.bodies() == ["a0", "b0", "c0", "a1", "b1", "a2"]


def test_turns_go_on_from_one_receive_to_the_next():
    driver = Driver()
    send(driver, "a", 3)
    send(driver, "b", 3)
    assert one_by_one(driver, 6) == ["a0", "b0", "a1", "b1", "a2", "b2"]


def test_a_group_that_comes_later_waits_for_one_turn_of_the_others_not_for_their_backlogs():
    driver = Driver()
    send(driver, "a", 20)
    send(driver, "b", 20)
    assert one_by_one(driver, 3) == ["a0", "b0", "a1"]
    send(driver, "late", 1)
    assert "late0" in one_by_one(driver, 3)


def test_each_message_without_a_group_is_a_tenant_of_its_own():
    driver = Driver()
    send(driver, "a", 3)
    send(driver, None, 2)
    assert driver.bodies() == ["a0", "none0", "none1", "a1", "a2"]


def test_messages_without_a_group_do_not_wait_for_the_second_turn_of_a_group():
    driver = Driver()
    send(driver, None, 1)
    send(driver, "a", 3)
    send(driver, None, 3, first=1)
    assert driver.bodies() == ["none0", "a0", "none1", "none2", "none3", "a1", "a2"]


def test_a_message_without_a_group_that_fails_again_and_again_does_not_hold_up_groups():
    driver = Driver(QueueSpec(visibility_timeout_ms=0))
    driver.send("bad")
    for _ in range(3):
        driver.receive(1)
    driver.configure(QueueSpec())
    send(driver, "a", 2)
    send(driver, "b", 1)
    seen = []
    for _ in range(8):
        (message,) = driver.receive(1)
        body = driver.record(message).body
        seen.append(body)
        if body == "bad":
            driver.change(message.receipt_handle, 0)
    assert {"a0", "a1", "b0"} <= set(seen)
    assert seen.count("bad") == 5, "and is not forgotten either"


def test_a_malformed_group_is_refused():
    driver = Driver()
    for group in ("", "a b", "x" * 129):
        with pytest.raises(InvalidParameter) as caught:
            driver.queue.send(SendEntry("x", group_id=group), START_MS)
        assert caught.value.name == "group_id"
    assert driver.counts() == (0, 0, 0)


def test_a_standard_queue_takes_no_deduplication_id():
    driver = Driver()
    with pytest.raises(InvalidParameter, match="deduplication_id"):
        driver.send("x", group="a", id="1")
    assert driver.receive() == []


# Noisy by messages in flight


@pytest.mark.parametrize(("count", "is_noisy"), [(29, False), (30, True), (31, True)])
def test_a_group_is_noisy_from_30_messages_in_flight_on(count, is_noisy):
    driver = Driver()
    occupied(driver, "a", count)
    assert (noisy(driver) == ["a"]) is is_noisy
    assert driver.statistics().noisy_groups == int(is_noisy)


@pytest.mark.parametrize(("others", "is_noisy"), [(305, True), (306, False), (307, False)])
def test_a_group_is_noisy_with_more_than_a_tenth_of_the_messages_in_flight(others, is_noisy):
    driver = Driver()
    driver.queue.check = lambda: None  # type: ignore[method-assign]  # it looks at every message
    occupied(driver, "a", 34)
    for n in range(others):
        driver.send("x", group=f"b{n}")
    while driver.receive(10, 10 * MINUTE_MS):
        pass
    assert driver.counts() == (0, 34 + others, 0)
    assert ("a" in noisy(driver)) is is_noisy


def test_messages_of_quiet_groups_go_before_all_of_a_noisy_one():
    driver = Driver()
    occupied(driver, "a", 40)
    send(driver, "a", 5, first=40)
    send(driver, "b", 3)
    send(driver, None, 2)
    assert driver.bodies(5) == ["b0", "none0", "none1", "b1", "b2"]
    assert driver.bodies(10) == ["a40", "a41", "a42", "a43", "a44"]


def test_when_no_quiet_group_has_a_message_a_noisy_one_is_served():
    driver = Driver()
    occupied(driver, "a", 40)
    send(driver, "a", 2, first=40)
    assert driver.bodies() == ["a40", "a41"]


def test_a_group_becomes_noisy_in_the_middle_of_a_receive():
    driver = Driver()
    occupied(driver, "a", 28)
    send(driver, "a", 6, first=28)
    send(driver, "b", 2)
    assert driver.bodies() == ["a28", "b0", "a29", "b1", "a30", "a31", "a32", "a33"]
    send(driver, "a", 2, first=34)
    send(driver, "b", 3, first=2)
    assert driver.bodies() == ["b2", "b3", "b4", "a34", "a35"]


def test_a_noisy_group_becomes_quiet_when_its_messages_are_deleted():
    driver = Driver()
    handles = occupied(driver, "a", 40)
    send(driver, "a", 3, first=40)
    send(driver, "b", 1)
    assert driver.bodies(1) == ["b0"]
    assert noisy(driver) == ["a"]
    for handle in handles:
        driver.delete(handle)
    assert noisy(driver) == []
    send(driver, "b", 3, first=1)
    assert driver.bodies() == ["b1", "a40", "b2", "a41", "b3", "a42"]


def test_a_noisy_group_becomes_quiet_when_its_messages_are_visible_again():
    driver = Driver()
    occupied(driver, "a", 40)
    driver.after(10 * MINUTE_MS).tick_all()
    driver.after(10 * HALF_LIFE_MS)
    assert noisy(driver) == []
    assert driver.statistics().noisy_groups == 0


def test_of_noisy_groups_the_one_with_the_fewest_messages_in_flight_is_next():
    driver = Driver()
    occupied(driver, "a", 40)
    occupied(driver, "b", 35)
    send(driver, "a", 3, first=40)
    send(driver, "b", 8, first=35)
    assert driver.bodies(10) == [
        *["b35", "b36", "b37", "b38", "b39"],
        *["a40", "b40", "a41", "b41", "a42"],
    ]


# Noisy by time


def slow(driver: Driver, group: str, count: int) -> None:
    """Messages of a group that occupy consumers for a minute, beside busy others."""
    occupied(driver, group, count)
    driver.after(MINUTE_MS)


def test_a_group_with_few_messages_that_take_long_is_noisy():
    driver = Driver()
    slow(driver, "a", 2)
    send(driver, "a", 2, first=2)
    send(driver, "b", 2)
    assert driver.bodies() == ["b0", "b1", "a2", "a3"]
    assert noisy(driver) == [], "none of it is waiting for its turn"
    send(driver, "a", 1, first=4)
    send(driver, "b", 1, first=2)
    assert driver.bodies(1) == ["b2"]
    assert noisy(driver) == ["a"]


def test_a_group_with_a_tenth_of_the_consumers_time_is_quiet():
    driver = Driver()
    occupied(driver, "a", 1)
    for n in range(12):
        occupied(driver, f"b{n}", 1)
    driver.after(2 * MINUTE_MS)
    send(driver, "a", 1, first=1)
    send(driver, "c", 1)
    assert driver.bodies() == ["a1", "c0"]


def test_time_of_messages_without_a_group_counts_as_consumers_time():
    """A group with three messages in flight among a hundred others is quiet."""
    driver = Driver()
    handles = occupied(driver, "a", 3)
    send(driver, None, 100)
    for _ in range(10):
        driver.after(100).receive(10, 10 * MINUTE_MS)
    driver.after(MINUTE_MS)
    driver.delete(handles[0])
    send(driver, "a", 2, first=3)
    send(driver, "b", 1)
    assert driver.bodies() == ["a3", "b0", "a4"]


def test_a_slow_group_becomes_quiet_with_time():
    driver = Driver()
    handles = occupied(driver, "a", 4)
    driver.after(MINUTE_MS)
    for handle in handles:
        driver.delete(handle)
    for half_lives, order in ((1, ["b1", "a1"]), (2, ["a2", "b2"])):
        driver.after(half_lives * HALF_LIFE_MS)
        send(driver, "a", 1, first=half_lives)
        send(driver, "b", 1, first=half_lives)
        found = driver.handles(10)
        assert list(found) == order
        for handle in found.values():
            driver.delete(handle)


@pytest.mark.parametrize(("passed_ms", "order"), [(59_000, ["b0", "a4"]), (61_000, ["a4", "b0"])])
def test_consumers_time_counts_half_after_thirty_seconds(passed_ms, order):
    """Four consumers for long; a minute later it is one, and less than one is no matter."""
    driver = Driver()
    handles = occupied(driver, "a", 4)
    driver.after(9 * MINUTE_MS)
    for handle in handles:
        driver.delete(handle)
    driver.after(passed_ms)
    send(driver, "a", 1, first=4)
    send(driver, "b", 1)
    assert driver.bodies() == order


def test_the_time_of_a_group_is_remembered_while_it_has_no_messages():
    driver = Driver()
    handles = occupied(driver, "a", 3)
    driver.after(MINUTE_MS)
    for handle in handles:
        driver.delete(handle)
    assert not machine(driver)._fairness.groups
    send(driver, "a", 1, first=3)
    send(driver, "b", 1)
    assert driver.bodies() == ["b0", "a3"]


def test_a_group_that_is_alone_is_served_whether_it_is_noisy_or_not():
    driver = Driver()
    slow(driver, "a", 5)
    send(driver, "a", 30, first=5)
    assert len(one_by_one(driver, 30)) == 30


def test_all_groups_may_be_noisy():
    driver = Driver()
    for group in "abc":
        occupied(driver, group, 3)
    driver.after(MINUTE_MS)
    for group in "abc":
        send(driver, group, 2, first=3)
    assert sorted(driver.bodies()) == ["a3", "a4", "b3", "b4", "c3", "c4"]


# What else happens to messages of groups


def test_delayed_messages_of_a_group_get_in_line_when_they_are_due():
    driver = Driver()
    driver.send("a0", group="a", delay_ms=1_000)
    send(driver, "a", 1, first=1)
    send(driver, "b", 2)
    assert driver.counts() == (3, 0, 1)
    assert driver.bodies(2) == ["a1", "b0"]
    assert driver.after(1_000).bodies() == ["b1", "a0"]


def test_a_group_of_delayed_messages_only_is_passed_over():
    driver = Driver()
    driver.send("a0", group="a", delay_ms=1_000)
    assert driver.bodies() == [] and not driver.queue.has_ready
    driver.check_restart()
    assert driver.after(1_000).bodies() == ["a0"]


def test_a_message_that_comes_back_stands_first_in_its_group_until_its_third_receive():
    driver = Driver(QueueSpec(visibility_timeout_ms=1_000))
    send(driver, "a", 3)
    assert driver.bodies(1) == ["a0"]
    assert driver.after(1_000).bodies(1) == ["a0"]
    assert driver.after(1_000).bodies(1) == ["a0"]
    assert driver.after(1_000).bodies() == ["a1", "a2", "a0"]


def test_dead_letters_keep_their_group_and_leave_the_others_their_turns():
    source = Driver(QueueSpec(visibility_timeout_ms=0, redrive=RedrivePolicy(DEAD_ARN, 1)))
    target = Driver(arn=DEAD_ARN, seed=2)
    send(source, "a", 3)
    send(source, "b", 1)
    source.receive(10)
    send(source, "c", 1)
    assert source.bodies(10) == ["c0"]
    source.move_to(target)
    assert source.counts() == (1, 0, 0)
    assert target.bodies() == ["a0", "b0", "a1", "a2"]


def test_a_purge_empties_all_groups():
    driver = Driver()
    handles = occupied(driver, "a", 40)
    send(driver, "b", 2)
    driver.purge()
    assert driver.counts() == (0, 0, 0)
    assert driver.statistics().noisy_groups == 0
    send(driver, "a", 1)
    send(driver, "b", 1)
    assert driver.bodies() == ["a0", "b0"]
    driver.delete(handles[0])
    assert driver.counts() == (0, 2, 0)


def test_expired_messages_of_a_group_are_not_given():
    driver = Driver(QueueSpec(retention_ms=MINUTE_MS))
    send(driver, "a", 3)
    driver.after(30_000)
    send(driver, "a", 1, first=3)
    send(driver, "b", 1)
    assert sorted(driver.after(30_000).bodies()) == ["a3", "b0"]


@pytest.mark.parametrize("steps", range(8))
def test_a_restart_loses_no_message_and_no_group(steps):
    driver = Driver(QueueSpec(visibility_timeout_ms=1_000))
    for n in range(4):
        for group in ("a", "b", None):
            driver.send(f"{group}{n}", group=group, delay_ms=500 * (n % 2))
    for _ in range(steps):
        messages = driver.receive(2)
        for message in messages[1:]:
            driver.delete(message.receipt_handle)
        driver.after(300)
    driver.check_restart()
    driver.restart()
    driver.check_restart()


def test_after_a_restart_messages_in_flight_make_their_group_noisy_again():
    driver = Driver()
    occupied(driver, "a", 40)
    send(driver, "a", 2, first=40)
    send(driver, "b", 1)
    driver.restart()
    assert noisy(driver) == ["a"]
    assert driver.bodies() == ["b0", "a40", "a41"]


# Statistics


def test_statistics_tell_what_is_outside_of_noisy_groups():
    driver = Driver()
    occupied(driver, "a", 40)
    send(driver, "a", 7, first=40)
    driver.send("later", group="a", delay_ms=1_000)
    driver.after(500)
    send(driver, "b", 2)
    send(driver, None, 1)
    driver.send("later", group="b", delay_ms=1_000)
    driver.bodies(1)
    found = driver.after(250).statistics()
    assert found.noisy_groups == 1
    assert (found.visible, found.in_flight, found.delayed) == (9, 41, 2)
    assert (found.quiet_visible, found.quiet_in_flight, found.quiet_delayed) == (2, 1, 1)
    assert found.oldest_age_ms == 750
    assert found.quiet_oldest_age_ms == 250


def test_without_noisy_groups_all_messages_are_quiet_ones():
    driver = Driver()
    send(driver, "a", 2)
    send(driver, None, 1)
    found = driver.after(100).statistics()
    assert found.noisy_groups == 0
    assert (found.quiet_visible, found.quiet_in_flight, found.quiet_delayed) == (3, 0, 0)
    assert found.quiet_oldest_age_ms == found.oldest_age_ms == 100


def test_when_all_messages_are_of_noisy_groups_there_is_no_quiet_one():
    driver = Driver()
    occupied(driver, "a", 40)
    found = driver.after(100).statistics()
    assert (found.quiet_visible, found.quiet_in_flight, found.quiet_oldest_age_ms) == (0, 0, 0)


def test_the_age_of_quiet_messages_is_at_least_that_of_an_older_dead_letter():
    source = Driver(QueueSpec(visibility_timeout_ms=0, redrive=RedrivePolicy(DEAD_ARN, 1)))
    send(source, "old", 1)
    source.after(1_000).receive()
    source.receive()
    target = Driver(arn=DEAD_ARN, seed=2, now_ms=source.now_ms)
    occupied(target, "a", 40)
    send(target, "b", 1)
    source.move_to(target)
    assert target.statistics().noisy_groups == 1
    assert target.statistics().quiet_oldest_age_ms == 1_000


# Memory


def test_groups_without_messages_are_remembered_up_to_a_number(monkeypatch):
    monkeypatch.setattr(fairness, "IDLE_GROUPS_MAX", 10)
    driver = Driver()
    for n in range(100):
        send(driver, f"g{n}", 1)
        driver.delete(driver.handle())
    assert not machine(driver)._fairness.groups
    assert len(machine(driver)._fairness._idle) == 10
    send(driver, "g0", 1)
    send(driver, "g99", 1)
    assert driver.bodies() == ["g00", "g990"]


def test_lines_do_not_grow_with_groups_that_expire_without_a_receive(monkeypatch):
    monkeypatch.setattr(fairness, "SWEEP_MIN", 10)
    driver = Driver(QueueSpec(retention_ms=MINUTE_MS))
    for n in range(300):
        send(driver, f"g{n}", 1)
        driver.after(10_000).tick_all()
    found = machine(driver)._fairness
    assert len(found.groups) < 10
    assert len(found.quiet_line) <= 2 * len(found.groups) + 10
    assert len(driver.bodies()) == len(found.groups)


def test_a_groups_line_does_not_grow_with_messages_that_expire_without_a_receive():
    driver = Driver(QueueSpec(retention_ms=MINUTE_MS))
    driver.queue.check = lambda: None  # type: ignore[method-assign]  # it looks at every message
    for n in range(60):
        send(driver, "a", 100, first=100 * n)
        driver.after(10_000).tick_all()
    line = machine(driver)._fairness.groups["a"].line
    assert len(line.fresh) <= 2 * 600 + 2 * 1_024


def test_turns_of_failing_messages_are_forgotten_with_them():
    driver = Driver(QueueSpec(visibility_timeout_ms=0, retention_ms=MINUTE_MS))
    for n in range(20):
        driver.send(f"{n}")
        for _ in range(4):
            driver.receive(1)
    assert 0 < len(machine(driver)._late) <= 20
    driver.after(MINUTE_MS).tick_all()
    assert not machine(driver)._late


@pytest.mark.parametrize("seed", range(20))
def test_everything_that_was_sent_is_received_once(seed):
    chance = random.Random(seed)
    driver = Driver(QueueSpec(visibility_timeout_ms=1_000), seed=seed)
    sent, deleted = 0, []
    for _ in range(80):
        for _ in range(chance.randrange(3)):
            group = chance.choice(["a", "a", "a", "b", "c", None])
            driver.send(f"{sent}", group=group, delay_ms=chance.choice([0, 0, 700]))
            sent += 1
        for message in driver.receive(chance.randint(1, 10)):
            if chance.random() < 0.6:
                deleted.append(driver.record(message).body)
                driver.delete(message.receipt_handle)
        driver.after(chance.choice([0, 100, 1_500]))
    while driver.queue._entries:
        deleted += [driver.record(m).body for m in driver.receive(10, 60_000)]
        driver.after(0 if driver.queue.has_ready else 1_000).tick_all()
        if len(deleted) >= sent:
            break
    assert sorted(deleted, key=int) == [f"{n}" for n in range(sent)]
