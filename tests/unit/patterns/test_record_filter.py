from __future__ import annotations

import json
import sys
from types import FrameType
from typing import Any

import pytest

from eventcore.errors import InvalidParameter, InvalidPattern
from eventcore.patterns import Decision, RecordFilter
from eventcore.patterns.record_filter import FILTERS_DEFAULT, FILTERS_MAX

MATCHED, DROPPED = Decision.MATCHED, Decision.DROPPED
JSON_PATTERN = '{"body":{"x":[1]}}'
PLAIN_PATTERN = '{"body":["hello",{"prefix":"Result: "}]}'
METADATA_PATTERN = '{"messageGroupId":["g"]}'


def decide(
    pattern: str, payload: str | bytes | None, key: str | None = "body", **record: object
) -> Decision:
    return RecordFilter([pattern], key).decide(record, payload)


@pytest.mark.parametrize(
    ("pattern", "payload", "decision"),
    [
        # JSON and JSON, text and text: compared.
        (JSON_PATTERN, '{"x":1}', MATCHED),
        (JSON_PATTERN, b'{"x":1.0,"y":2}', MATCHED),
        (JSON_PATTERN, '{"x":2}', DROPPED),
        (JSON_PATTERN, '[{"x":2},{"x":1}]', MATCHED),
        (PLAIN_PATTERN, "hello", MATCHED),
        (PLAIN_PATTERN, b"Result: 5", MATCHED),
        (PLAIN_PATTERN, "Hello", DROPPED),
        # A pattern of the other kind does not match.
        (JSON_PATTERN, "hello", DROPPED),
        (PLAIN_PATTERN, '{"x":1}', DROPPED),
        ('{"body":{"x":[{"exists":false}]}}', "hello", DROPPED),
        ('{"body":{"x":[{"exists":false}]}}', "{}", MATCHED),
        ('{"body":[{"anything-but":"x"}]}', '{"x":1}', DROPPED),
        ('{"body":[{"exists":false}]}', "{}", DROPPED),
        ('{"body":[{"exists":true}]}', "", MATCHED),
        # A number or a string by itself is a plain string.
        ('{"body":["5"]}', "5", MATCHED),
        ('{"body":[5]}', "5", DROPPED),
        ('{"body":["\\"x\\""]}', '"x"', MATCHED),
        ('{"body":["null"]}', "null", MATCHED),
        # What is no text is neither.
        (JSON_PATTERN, b"\xff", DROPPED),
        ('{"body":{"x":[{"exists":false}]}}', b"\xff", DROPPED),
        ('{"body":[{"exists":false}]}', b"\xff", DROPPED),
        ('{"body":[{"exists":true}]}', b"\xff", DROPPED),
        ('{"body":[{"exists":true}]}', None, DROPPED),
        ('{"body":{"x":[1]}}', "[" * 100_000, DROPPED),
        ('{"body":[{"prefix":"["}]}', "[" * 100_000, MATCHED),
    ],
)
def test_kinds_of_payloads_and_patterns(
    pattern: str, payload: str | bytes | None, decision: Decision
):
    assert decide(pattern, payload) is decision


@pytest.mark.parametrize("payload", ['{"x":1}', "hello", b"\xff", "", None])
def test_a_pattern_without_the_payload_looks_at_the_metadata_alone(payload: str | bytes | None):
    assert decide(METADATA_PATTERN, payload, messageGroupId="g") is MATCHED
    assert decide(METADATA_PATTERN, payload, messageGroupId="h") is DROPPED


def test_metadata_and_payload_must_both_hold():
    pattern = '{"messageGroupId":["g"],"body":{"x":[1]}}'
    assert decide(pattern, '{"x":1}', messageGroupId="g") is MATCHED
    assert decide(pattern, '{"x":1}', messageGroupId="h") is DROPPED
    assert decide(pattern, '{"x":2}', messageGroupId="g") is DROPPED
    assert decide(pattern, "text", messageGroupId="g") is DROPPED


def test_the_record_s_own_payload_is_not_looked_at_and_not_changed():
    record = {"body": '{"x":1}', "messageGroupId": "g"}
    filter_ = RecordFilter([JSON_PATTERN, PLAIN_PATTERN], "body")
    assert filter_.decide(record, "other") is DROPPED
    assert filter_.decide(record, "hello") is MATCHED
    assert filter_.decide(record) is DROPPED
    assert record == {"body": '{"x":1}', "messageGroupId": "g"}


@pytest.mark.parametrize("key", ["body", "data", "value", "key"])
def test_any_key_may_be_the_payload_s(key: str):
    pattern = f'{{"{key}":{{"x":[1]}},"partitionKey":["p"]}}'
    assert decide(pattern, b'{"x":1}', key, partitionKey="p") is MATCHED
    assert decide(pattern, b"x", key, partitionKey="p") is DROPPED
    other = f'{{"{key}x":["y"]}}'
    assert decide(other, b"x", key, **{f"{key}x": "y"}) is MATCHED


def test_a_record_without_payload_key_is_all_metadata():
    record = {"eventName": "INSERT", "dynamodb": {"NewImage": {"n": {"N": "5"}}}}
    pattern = '{"eventName":["INSERT"],"dynamodb":{"NewImage":{"n":{"N":["5"]}}}}'
    filter_ = RecordFilter([pattern], None)
    assert filter_.decide(record) is MATCHED
    assert filter_.decide(record, '{"x":1}') is MATCHED
    assert filter_.decide({**record, "eventName": "REMOVE"}) is DROPPED


def test_one_of_several_filters_is_enough():
    filter_ = RecordFilter([JSON_PATTERN, PLAIN_PATTERN, METADATA_PATTERN], "body")
    assert filter_.decide({}, '{"x":1}') is MATCHED
    assert filter_.decide({}, "hello") is MATCHED
    assert filter_.decide({"messageGroupId": "g"}, b"\xff") is MATCHED
    assert filter_.decide({}, "bye") is DROPPED


def test_each_alternative_has_its_own_kind():
    filter_ = RecordFilter(['{"$or":[{"body":{"x":[1]}},{"body":["hello"]},{"m":[1]}]}'], "body")
    assert filter_.decide({}, '{"x":1}') is MATCHED
    assert filter_.decide({}, "hello") is MATCHED
    assert filter_.decide({"m": 1}, b"\xff") is MATCHED
    assert filter_.decide({}, '{"x":2}') is DROPPED


def test_a_stream_s_pattern_must_not_want_a_plain_string():
    with pytest.raises(InvalidPattern, match="must be in valid JSON format"):
        RecordFilter([METADATA_PATTERN, '{"data":["x"]}'], "data", accepts_plain=False)
    filter_ = RecordFilter(
        ['{"data":{"x":[1]}}', '{"partitionKey":["p"]}'], "data", accepts_plain=False
    )
    assert filter_.decide({}, b'{"x":1}') is MATCHED
    assert filter_.decide({}, b"x") is DROPPED


def test_there_are_one_to_ten_filters():
    assert 1 <= FILTERS_DEFAULT <= FILTERS_MAX == 10
    assert RecordFilter([JSON_PATTERN] * 10, "body").decide({}, '{"x":1}') is MATCHED
    for count in (0, 11):
        with pytest.raises(InvalidParameter, match="1 to 10 filters"):
            RecordFilter([JSON_PATTERN] * count, "body")


@pytest.mark.parametrize(
    "patterns", [None, 5, "text", b"text", "{}", [5], [None], [b"{}"], [{}], {JSON_PATTERN: 1}]
)
def test_filters_that_are_no_texts_are_refused(patterns: Any):
    with pytest.raises(InvalidParameter, match=r"^Filters: Must be a sequence of JSON texts"):
        RecordFilter(patterns, "body")


def test_what_is_no_key_no_record_and_no_payload_is_refused():
    wrong: Any
    for wrong in (5, b"body", ["body"]):
        with pytest.raises(InvalidParameter, match=r"^payload_key: Must be a str, or None"):
            RecordFilter([JSON_PATTERN], wrong)
    filter_ = RecordFilter([JSON_PATTERN], "body")
    for wrong in (None, 5, "text", [("a", 1)]):
        with pytest.raises(InvalidParameter, match=r"^record: Must be a mapping"):
            filter_.decide(wrong, "x")
    for wrong in (5, {"x": 1}, ["x"]):
        with pytest.raises(InvalidParameter, match=r"^payload: Must be str or bytes, or None"):
            filter_.decide({}, wrong)


def calls(filter_: RecordFilter, payload: str) -> int:
    """Calls of Python functions for one record."""
    count = 0

    def note(frame: FrameType, event: str, argument: object) -> None:
        nonlocal count
        count += event == "call"

    sys.setprofile(note)
    try:
        assert filter_.decide({}, payload) is DROPPED
    finally:
        sys.setprofile(None)
    return count


def test_alternatives_and_objects_of_an_array_do_not_multiply():
    def ten(name: str) -> str:
        return '"$or":[' + ",".join(f'{{"{name}{n}":[{n}]}}' for n in range(10)) + "]"

    pattern = f'{{"body":{{"a":{{{ten("x")},"p":{{{ten("y")},"q":{{{ten("z")}}}}}}}}}}}'
    few = '{"body":{"a":{"x0":[0],"p":{"y0":[0],"q":{"z0":[0]}}}}}'
    items = [{f"x{n % 10}": n + 10} for n in range(1_400)]
    payload = json.dumps({"a": items}, separators=(",", ":"))
    # Ten thousand combinations of thirty fields instead of one of three.
    assert calls(RecordFilter([pattern] * 10, "body"), payload) < 30 * len(items)
    assert calls(RecordFilter([few], "body"), payload) < 5 * len(items)
    found = json.dumps({"a": [*items, {"x3": 3, "p": {"y5": 5, "q": {"z9": 9}}}]})
    assert RecordFilter([pattern], "body").decide({}, found) is MATCHED


def test_the_first_pattern_that_is_not_valid_is_reported():
    with pytest.raises(InvalidPattern) as caught:
        RecordFilter([JSON_PATTERN, '{"body":1}', "{}"], "body")
    assert caught.value.reason.startswith('"body" must be an object or an array\n at [Source')
    assert caught.value.noun == "Filter pattern"


def test_a_pattern_has_4096_characters_at_most():
    text = '{"body":["' + "x" * (4_096 - len('{"body":[""]}')) + '"]}'
    assert RecordFilter([text], "body").decide({}, "x") is DROPPED
    with pytest.raises(InvalidPattern, match="more than 4096 characters"):
        RecordFilter([text + " "], "body")
