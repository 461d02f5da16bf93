"""The account of the demo: equal only if every flight is on both sides, repeats counted apart."""

from __future__ import annotations

import msgspec
import pytest

from eventcore.demo.comparison import render
from eventcore.demo.flights import SeenFlight
from eventcore.demo.flow import DemoOutcome
from eventcore.demo.rules import FLIGHT_RULES
from eventcore.demo.tally import RuleResult, Tally, compare

RULE = FLIGHT_RULES[0]


def tally(*flights: str) -> Tally:
    """Flights as "UA1": carrier and number."""
    made = Tally()
    for flight in flights:
        made.add(SeenFlight(flight, flight[:2]))
    return made


def outcome(*rules: RuleResult, **changes: object) -> DemoOutcome:
    made = DemoOutcome(
        events=2,
        deliveries=2,
        put_s=1.0,
        elapsed_s=2.0,
        retries=0,
        kills=0,
        is_complete=True,
        rules=rules,
    )
    return msgspec.structs.replace(made, **changes)


def test_the_same_flights_in_another_order_are_equal() -> None:
    result = compare(RULE, tally("UA1", "DL2"), tally("DL2", "UA1"))
    assert result.is_equal
    assert [(c.carrier, c.expected, c.received) for c in result.carriers] == [
        ("DL", 1, 1),
        ("UA", 1, 1),
    ]


def test_equal_counts_of_different_flights_are_not_equal() -> None:
    result = compare(RULE, tally("UA1", "UA2"), tally("UA1", "UA3"))
    assert (result.expected, result.received) == (2, 2)
    assert (result.lost, result.foreign) == (1, 1)
    assert not result.is_equal


def test_a_repeat_is_counted_apart_and_not_twice() -> None:
    result = compare(RULE, tally("UA1"), tally("UA1", "UA1", "UA1"))
    assert (result.received, result.repeats) == (1, 2)
    assert result.is_equal


def test_a_repeat_needs_a_lost_answer_to_explain_it() -> None:
    result = compare(RULE, tally("UA1"), tally("UA1", "UA1"))
    assert not outcome(result).is_equal
    assert outcome(result, retries=1).is_equal
    assert outcome(result, kills=1).is_equal


def test_an_incomplete_run_is_not_equal() -> None:
    result = compare(RULE, tally("UA1"), tally("UA1"))
    assert not outcome(result, is_complete=False).is_equal


@pytest.mark.parametrize(
    ("received", "verdict"),
    [
        (tally("UA1", "DL2"), "All 3 counts are equal: nothing lost, nothing twice."),
        (tally("UA1"), "NOT EQUAL"),
    ],
)
def test_the_report_ends_with_a_verdict(received: Tally, verdict: str) -> None:
    text = render(outcome(compare(RULE, tally("UA1", "DL2"), received)))
    assert verdict in text.splitlines()[-1]


def test_the_report_marks_what_differs() -> None:
    text = render(outcome(compare(RULE, tally("UA1", "UA2"), tally("UA1"))))
    assert "DIFFERENT" in text
    assert "2 ≠ 1" in text
    assert max(map(len, text.splitlines())) <= 100
