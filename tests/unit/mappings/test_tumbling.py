"""Tumbling windows: where they begin and end, and which answers have a state."""

from __future__ import annotations

from typing import Any

import pytest

from eventcore import limits
from eventcore.functions.invocation import InvocationResult, Payload
from eventcore.mappings import tumbling
from eventcore.mappings.mapping_spec import WindowState


def state_of(value: Any) -> str | None:
    return tumbling.next_state(InvocationResult(Payload.of(value)))


def test_windows_begin_at_multiples_of_their_length() -> None:
    assert tumbling.fresh(1_700_000_012_345, 30_000) == WindowState(1_700_000_010_000)
    assert tumbling.fresh(1_700_000_010_000, 30_000) == WindowState(1_700_000_010_000)


def test_a_window_ends_before_the_next_begins() -> None:
    window = WindowState(60_000)
    assert not tumbling.has_ended(window, 30_000, 89_999)
    assert tumbling.has_ended(window, 30_000, 90_000)


def test_the_state_is_what_the_function_returned() -> None:
    assert state_of({"state": {"1": 282, "2": 715}}) == '{"1":282,"2":715}'
    assert state_of({"state": {}, "batchItemFailures": []}) == "{}"
    assert tumbling.state_value(WindowState(0, '{"1":282}')) == {"1": 282}


@pytest.mark.parametrize(
    "value",
    [
        None,
        "state",
        [],
        {},
        {"state": None},
        {"state": "text"},
        {"state": [1]},
        {"State": {}},
        {"state": {"a": object()}},
        {"state": {"a": "\ud800"}},
    ],
)
def test_an_answer_without_a_state_is_a_failure(value: Any) -> None:
    assert state_of(value) is None


def test_an_answer_that_is_no_json_has_no_state() -> None:
    assert tumbling.next_state(InvocationResult(Payload(b"{"))) is None


def test_a_state_that_contains_itself_is_none() -> None:
    state: dict[str, Any] = {}
    state["a"] = state
    assert state_of({"state": state}) is None


def test_the_size_of_a_state_is_that_of_its_json() -> None:
    most = limits.MAPPING_STATE_BYTES_MAX
    assert tumbling.state_bytes(WindowState(0, '"ü"')) == 4
    assert not tumbling.is_oversize(WindowState(0, "x" * most))
    assert tumbling.is_oversize(WindowState(0, "x" * (most + 1)))
    assert tumbling.is_oversize(WindowState(0, "ü" * (most // 2 + 1)))
