"""Receives that are repeated with the same ReceiveRequestAttemptId.

AWS, ReceiveMessage: "During a visibility timeout, subsequent calls with the same
ReceiveRequestAttemptId return the same messages and receipt handles. If a retry occurs within the
deduplication interval, it resets the visibility timeout." "It is possible to retry the
ReceiveMessage action with the same ReceiveRequestAttemptId if none of the messages have been
modified (deleted or had their visibility changes)."
"""

from __future__ import annotations

import pytest

from eventcore.errors import InvalidParameter
from eventcore.queues import attempts
from eventcore.queues.queue_spec import QueueSpec, RedrivePolicy
from eventcore.queues.records import ATTEMPT
from tests.unit.queues.driver import FIFO_DEAD_ARN, MINUTE_MS, START_MS, Driver, fifo


def filled(count: int = 3, **spec) -> Driver:
    driver = fifo(visibility_timeout_ms=10_000, **spec)
    for n in range(count):
        driver.send(f"{n}", group=f"g{n % 2}")
    return driver


def attempt_rows(driver: Driver) -> int:
    return sum(key >> 48 == ATTEMPT for key in driver.rows)


def test_a_repeated_receive_gives_the_same_messages_with_the_same_handles():
    driver = filled()
    first = driver.receive(2, attempt="a")
    again = driver.after(1_000).receive(2, attempt="a")
    assert [m.receipt_handle for m in again] == [m.receipt_handle for m in first]
    assert [m.receives for m in again] == [1, 1]
    assert [m.key for m in again] == [m.key for m in first]
    assert [m.sequence for m in again] == [m.sequence for m in first]


def test_a_repeated_receive_begins_the_visibility_timeout_anew():
    driver = filled(1)
    driver.receive(attempt="a")
    (again,) = driver.after(9_000).receive(attempt="a")
    assert again.visible_ms == START_MS + 19_000
    assert driver.after(9_999).bodies() == []
    assert driver.after(1).bodies() == ["0"]


def test_a_repeated_receive_may_have_another_timeout():
    driver = filled(1)
    driver.receive(attempt="a")
    driver.receive(1, 60_000, attempt="a")
    assert driver.after(59_999).bodies() == []
    assert driver.bodies(attempt="a") == ["0"], "as often as one likes"
    assert driver.after(10_000).bodies() == ["0"]


def test_a_repeated_receive_gives_all_of_the_first_whatever_it_asks_for():
    driver = filled(3)
    assert driver.bodies(2, attempt="a") == ["0", "2"]
    assert driver.bodies(10, attempt="a") == ["0", "2"]
    assert driver.bodies(1, attempt="a") == ["0", "2"]


def test_other_attempts_and_receives_without_one_get_other_messages():
    driver = filled(3)
    assert driver.bodies(1, attempt="a") == ["0"]
    assert driver.bodies(1, attempt="b") == ["1"]
    assert driver.bodies(1) == []
    assert driver.bodies(1, attempt="a") == ["0"]
    assert driver.bodies(1, attempt="b") == ["1"]


def test_a_receive_that_found_nothing_is_not_repeated():
    driver = fifo()
    assert driver.bodies(attempt="a") == []
    driver.send("x")
    assert driver.bodies(attempt="a") == ["x"]


def test_the_handles_of_a_repeated_receive_delete():
    driver = filled(2)
    driver.receive(attempt="a")
    for message in driver.after(1_000).receive(attempt="a"):
        driver.delete(message.receipt_handle)
    assert driver.counts() == (0, 0, 0)


@pytest.mark.parametrize("changed_ms", [0, 5_000, 60_000])
def test_after_a_visibility_was_changed_it_is_a_receive_like_any_other(changed_ms):
    driver = filled(2)
    handles = driver.receive(attempt="a")
    driver.after(1_000).change(handles[0].receipt_handle, changed_ms)
    assert driver.bodies(attempt="a") == (["0"] if changed_ms == 0 else [])


def test_after_one_was_deleted_it_is_a_receive_like_any_other():
    driver = filled(4)
    (first, _) = driver.receive(2, attempt="a")
    driver.delete(first.receipt_handle)
    assert driver.bodies(attempt="a") == ["1", "3"]
    assert driver.bodies(attempt="a") == ["1", "3"], "which can be repeated"


def test_after_the_timeout_it_is_a_receive_like_any_other():
    driver = filled(1)
    (first,) = driver.receive(attempt="a")
    (second,) = driver.after(10_000).receive(attempt="a")
    assert second.receipt_handle != first.receipt_handle
    assert second.receives == 2
    (third,) = driver.after(1_000).receive(attempt="a")
    assert third.receipt_handle == second.receipt_handle


def test_what_somebody_else_received_meanwhile_is_not_given():
    driver = filled(1)
    driver.receive(attempt="a")
    driver.after(10_000).receive()
    assert driver.bodies(attempt="a") == []


def test_an_attempt_counts_for_five_minutes_from_its_first_use():
    driver = filled(1)
    driver.receive(1, 15 * MINUTE_MS, attempt="a")
    driver.after(5 * MINUTE_MS - 1)
    assert len(driver.receive(1, 15 * MINUTE_MS, attempt="a")) == 1
    assert driver.after(1).receive(attempt="a") == []
    driver.tick_all()
    assert attempt_rows(driver) == 0
    assert driver.receive(attempt="a") == []


def test_after_a_purge_there_is_nothing_to_repeat():
    driver = filled(1)
    driver.receive(attempt="a")
    driver.purge()
    assert driver.receive(attempt="a") == []
    driver.send("new")
    assert driver.bodies(attempt="a") == ["new"]


def test_a_repeated_receive_moves_nothing_to_the_dead_letter_queue():
    driver = filled(1, redrive=RedrivePolicy(FIFO_DEAD_ARN, 1))
    driver.receive(attempt="a")
    assert driver.bodies(attempt="a") == ["0"]
    assert driver.transfers == []
    assert driver.after(10_000).bodies(attempt="a") == []
    assert len(driver.transfers) == 1


@pytest.mark.parametrize("attempt", ["", "a b", "x" * 129, "é", 5])
def test_a_malformed_id_is_refused(attempt):
    driver = filled(1)
    with pytest.raises(InvalidParameter) as caught:
        driver.receive(attempt=attempt)
    assert caught.value.name == "attempt_id"
    assert driver.counts() == (1, 0, 0)


def test_a_standard_queue_takes_no_notice_of_it():
    driver = Driver()
    driver.send("a", "b")
    assert driver.bodies(1, attempt="x") == ["a"]
    assert driver.bodies(1, attempt="x") == ["b"]


@pytest.mark.parametrize("steps_ms", [(0,), (1_000, 2_000), (9_999,), (10_000,), (300_000,)])
def test_attempts_survive_a_restart(steps_ms):
    driver, other = filled(3), filled(3)
    for each in (driver, other):
        each.receive(1, attempt="a")
        each.after(500).receive(1, attempt="b")
        each.receive(1, attempt="a")
    for step_ms in steps_ms:
        driver.after(step_ms).restart()
        other.after(step_ms)
        assert driver.receive(1, attempt="a") == other.receive(1, attempt="a")
        assert driver.receive(1, attempt="b") == other.receive(1, attempt="b")
    driver.check_restart()


def test_only_so_many_attempts_are_kept_the_latest(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(attempts, "ATTEMPTS_MAX", 3)
    driver = fifo()
    for n in range(5):
        driver.after(1).send(f"{n}", group=f"g{n}")
    for n in range(5):
        assert driver.bodies(1, attempt=f"a{n}") == [f"{n}"]
        assert attempt_rows(driver) <= 3
    for n in range(5):
        assert driver.bodies(1, attempt=f"a{n}") == ([f"{n}"] if n >= 2 else [])
    driver.restart()
    assert driver.bodies(1, attempt="a4") == ["4"]


def test_an_attempt_used_anew_again_and_again_keeps_one_row():
    driver = fifo(visibility_timeout_ms=1_000)
    driver.send("x")
    for _ in range(5):
        assert driver.bodies(attempt="a") == ["x"]
        assert attempt_rows(driver) == 1
        driver.after(1_000)
    driver.configure(QueueSpec(is_fifo=True, visibility_timeout_ms=0))
    for _ in range(5):
        assert driver.bodies(attempt="a") == ["x"], "within one millisecond"
        assert attempt_rows(driver) == 1
    driver.check_restart()
