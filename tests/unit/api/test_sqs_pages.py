"""Pages of a sorted list: every name once, whatever changes in between, and no forged tokens."""

from __future__ import annotations

import pytest

from eventcore.api.sqs_pages import Page
from eventcore.wire.fault import Fault

NAMES = [f"queue-{number}" for number in range(5)]


def cut(names: list[str], count: int | None, token: str | None, scope: str = "all") -> tuple:
    shown, more = Page(scope, count, token).cut(names, lambda name: name)
    return shown, more.get("NextToken")


def test_a_token_leads_to_the_next_page_and_the_last_page_has_none():
    first, token = cut(NAMES, 2, None)
    second, token = cut(NAMES, 2, token)
    third, end = cut(NAMES, 2, token)
    assert first + second + third == NAMES
    assert end is None


def test_a_list_that_changes_between_pages_loses_and_repeats_nothing():
    first, token = cut(NAMES, 2, None)
    changed = sorted({*NAMES[2:], "queue-0a", "queue-9"})
    rest, _ = cut(changed, 100, token)
    assert first == ["queue-0", "queue-1"]
    assert rest == ["queue-2", "queue-3", "queue-4", "queue-9"]


def test_without_a_number_of_results_a_page_is_full_and_has_no_token():
    names = [f"{number:04}" for number in range(1_001)]
    shown, token = cut(names, None, None)
    assert (len(shown), token) == (1_000, None)


@pytest.mark.parametrize("count", [0, -1, 1_001])
def test_a_number_of_results_out_of_range_is_refused(count: int):
    with pytest.raises(Fault, match="Must be >= 1 and <= 1000, if provided"):
        cut(NAMES, count, None)


def test_what_is_no_token_is_refused():
    _, token = cut(NAMES, 2, None)
    assert token is not None
    forged = ["", "x", "é", "=", "AAAA", "AAAAAAAAAAA=", token + "!", token[:-1], "!" + token]
    for text in [*forged, "_" * len(token)]:
        with pytest.raises(Fault, match=r"Invalid or expired next token\."):
            cut(NAMES, 2, text)


def test_a_token_of_another_list_is_refused():
    _, token = cut(NAMES, 2, None)
    with pytest.raises(Fault, match="you must not change the other request parameters"):
        cut(NAMES, 2, token, "others")
