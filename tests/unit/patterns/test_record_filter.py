from __future__ import annotations

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
