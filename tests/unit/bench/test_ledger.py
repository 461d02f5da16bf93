"""The ledger finds every kind of fault, and none where there is none."""

from __future__ import annotations

import pytest

from eventcore.bench.ledger import Ledger, mark_text


def sent(ledger: Ledger, producer: int, count: int) -> list[str]:
    marks = [ledger.issue(producer) for _ in range(count)]
    ledger.acknowledge(marks)
    return [mark_text(mark) + "xxx" for mark in marks]


def test_a_run_in_which_everything_comes_once_is_clean() -> None:
    ledger = Ledger()
    for body in sent(ledger, 0, 3) + sent(ledger, 7, 2):
        ledger.receive(body)
    summary = ledger.summary()
    assert summary.is_clean
    assert (summary.sent, summary.received, summary.out_of_order) == (5, 5, 0)


def test_an_acknowledged_message_that_never_comes_is_lost() -> None:
    ledger = Ledger()
    ledger.receive(sent(ledger, 0, 3)[1])
    summary = ledger.summary()
    assert summary.lost == 2
    assert not summary.is_clean


def test_a_message_whose_send_was_not_answered_may_come_or_not() -> None:
    ledger = Ledger()
    ledger.issue(0)
    came = ledger.issue(0)
    ledger.receive(mark_text(came))
    summary = ledger.summary()
    assert summary.is_clean
    assert (summary.sent, summary.unknown, summary.received) == (0, 2, 1)


def test_every_receive_beyond_the_first_is_a_duplicate() -> None:
    ledger = Ledger()
    (body,) = sent(ledger, 0, 1)
    for _ in range(300):
        ledger.receive(body)
    assert ledger.summary().duplicated == 299
    assert not ledger.summary().is_clean


def test_a_message_that_was_overtaken_is_out_of_order_which_is_no_fault() -> None:
    ledger = Ledger()
    bodies = sent(ledger, 0, 3)
    for body in (bodies[2], bodies[0], bodies[1]):
        ledger.receive(body)
    assert ledger.summary().out_of_order == 2
    assert ledger.summary().is_clean


def test_producers_have_orders_of_their_own() -> None:
    ledger = Ledger()
    first, second = sent(ledger, 0, 2), sent(ledger, 1, 2)
    for body in (second[0], first[0], second[1], first[1]):
        ledger.receive(body)
    assert ledger.summary().out_of_order == 0


@pytest.mark.parametrize("body", ["", "no mark", "<0000:000000001>", "<0009:000000000>"])
def test_a_message_that_was_never_issued_is_foreign(body: str) -> None:
    ledger = Ledger()
    sent(ledger, 0, 1)
    ledger.receive(body)
    assert ledger.summary().foreign == 1
    assert not ledger.summary().is_clean


def test_a_mark_is_found_inside_an_event() -> None:
    ledger = Ledger()
    (body,) = sent(ledger, 3, 1)
    ledger.receive('{"source":"bench","detail":{"body":"' + body + '"}}')
    assert ledger.summary().received == 1


def test_marks_go_round_the_groups_whoever_issues_them() -> None:
    ledger = Ledger(3)
    marks = [ledger.issue(producer) for producer in (0, 7, 0, 0, 7)]
    assert [ledger.group_of(mark) for mark in marks] == [0, 1, 2, 0, 1]


def test_order_within_a_group_is_a_promise_of_a_fifo_queue() -> None:
    ledger = Ledger(2, is_fifo=True)
    first, other, second = sent(ledger, 0, 3)
    for body in (second, other, first):
        ledger.receive(body)
    summary = ledger.summary()
    assert (summary.order_broken, summary.out_of_order) == (1, 0)
    assert not summary.is_clean


def test_groups_and_producers_of_a_fifo_queue_have_orders_of_their_own() -> None:
    ledger = Ledger(2, is_fifo=True)
    left, right = sent(ledger, 0, 2)
    left_of_another, right_of_another = sent(ledger, 1, 2)
    for body in (right_of_another, right, left_of_another, left):
        ledger.receive(body)
    assert ledger.summary().order_broken == 0
    assert ledger.summary().is_clean


def test_a_fair_queue_has_groups_and_promises_no_order() -> None:
    ledger = Ledger(1)
    for body in reversed(sent(ledger, 0, 2)):
        ledger.receive(body)
    assert (ledger.summary().order_broken, ledger.summary().out_of_order) == (0, 1)
    assert ledger.summary().is_clean


def test_a_fifo_queue_without_groups_is_a_mistake() -> None:
    with pytest.raises(AssertionError, match="groups"):
        Ledger(is_fifo=True)


def test_the_number_of_producers_is_bounded() -> None:
    with pytest.raises(AssertionError, match="producer 10000"):
        Ledger().issue(10_000)
