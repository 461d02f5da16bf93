"""AWS's truth table of partial batch responses, row by row."""

from __future__ import annotations

from typing import Any

import pytest

from eventcore.functions.invocation import UNHANDLED, InvocationResult, Payload
from eventcore.mappings.batch_response import failed_messages, first_failed_record

IDS = ["a", "b", "c", "d"]


def answer(value: Any) -> InvocationResult:
    return InvocationResult(Payload.of(value))


def raw(text: bytes) -> InvocationResult:
    return InvocationResult(Payload(text))


def items(*identifiers: Any) -> InvocationResult:
    return answer({"batchItemFailures": [{"itemIdentifier": one} for one in identifiers]})


SUCCESSES = {
    "null": answer(None),
    "no answer": raw(b""),
    "blanks": raw(b" \n"),
    "null as text": raw(b"null"),
    "empty object": answer({}),
    "empty text": answer(""),
    "empty list": answer([]),
    "a text": answer("done"),
    "a number": answer(3),
    "another object": answer({"statusCode": 200}),
    "no failures": answer({"batchItemFailures": []}),
    "null failures": answer({"batchItemFailures": None}),
}
FAILURES = {
    "an error": InvocationResult(Payload.of({"errorMessage": "no"}), UNHANDLED),
    "an error that reports": InvocationResult(items("b").payload, UNHANDLED),
    "no JSON": raw(b"(^_^)"),
    "half a JSON": raw(b'{"batchItemFailures": ['),
    "failures are an object": answer({"batchItemFailures": {"itemIdentifier": "b"}}),
    "failures are a text": answer({"batchItemFailures": "b"}),
    "failures are a number": answer({"batchItemFailures": 0}),
    "items are texts": answer({"batchItemFailures": ["b"]}),
    "item is null": answer({"batchItemFailures": [None]}),
    "empty item": answer({"batchItemFailures": [{}]}),
    "bad key": answer({"batchItemFailures": [{"foo": "b"}]}),
    "bad key, null": answer({"batchItemFailures": [{"foo": None}]}),
    "bad key beside a good one": answer(
        {"batchItemFailures": [{"itemIdentifier": "b"}, {"item_identifier": "c"}]}
    ),
    "null identifier": items(None),
    "empty identifier": items(""),
    "number as identifier": items(2),
    "list as identifier": items(["b"]),
    "unknown identifier": items("z"),
    "unknown beside a known one": items("b", "z"),
}


@pytest.mark.parametrize("result", SUCCESSES.values(), ids=SUCCESSES)
def test_complete_success(result: InvocationResult):
    assert list(failed_messages(result, IDS, reports_item_failures=True)) == []
    assert list(failed_messages(result, IDS, reports_item_failures=True, groups=["g"] * 4)) == []
    assert first_failed_record(result, IDS, reports_item_failures=True) is None


@pytest.mark.parametrize("result", FAILURES.values(), ids=FAILURES)
def test_complete_failure(result: InvocationResult):
    assert list(failed_messages(result, IDS, reports_item_failures=True)) == [0, 1, 2, 3]
    groups = ["g", "h", "g", "h"]
    failed = failed_messages(result, IDS, reports_item_failures=True, groups=groups)
    assert list(failed) == [0, 1, 2, 3]
    assert first_failed_record(result, IDS, reports_item_failures=True) == 0


def test_without_the_setting_only_an_error_counts():
    for name, result in FAILURES.items():
        expected = [0, 1, 2, 3] if name.startswith("an error") else []
        assert list(failed_messages(result, IDS, reports_item_failures=False)) == expected, name
        first = first_failed_record(result, IDS, reports_item_failures=False)
        assert first == (0 if expected else None), name


def test_a_partial_answer_names_what_failed_in_any_order_and_twice():
    result = items("c", "b", "c")
    assert failed_messages(result, IDS, reports_item_failures=True) == [1, 2]


def test_a_stream_goes_on_at_the_first_that_failed():
    assert first_failed_record(items("d", "c"), IDS, reports_item_failures=True) == 2
    assert first_failed_record(items("a"), IDS, reports_item_failures=True) == 0


def test_all_behind_the_first_failure_of_a_group_failed_too():
    groups = ["g", "h", "g", "h"]
    failed = failed_messages(items("a"), IDS, reports_item_failures=True, groups=groups)
    assert failed == [0, 2]
    failed = failed_messages(items("b"), IDS, reports_item_failures=True, groups=["g"] * 4)
    assert failed == [1, 2, 3]
    failed = failed_messages(items("d", "b"), IDS, reports_item_failures=True, groups=groups)
    assert failed == [1, 3]


def test_an_identifier_that_is_in_the_batch_twice_fails_twice():
    assert failed_messages(items("a"), ["a", "b", "a"], reports_item_failures=True) == [0, 2]


def test_a_final_invocation_without_records_fails_by_an_error_alone():
    assert first_failed_record(items("z"), [], reports_item_failures=True) is None
    assert first_failed_record(FAILURES["no JSON"], [], reports_item_failures=True) is None
    assert first_failed_record(FAILURES["an error"], [], reports_item_failures=True) == 0
