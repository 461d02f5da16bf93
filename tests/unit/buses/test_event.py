"""Envelopes: what targets get, and which entries are refused. Texts: AWS's recorded answers."""

from __future__ import annotations

import json

import pytest

from eventcore import limits
from eventcore.buses.event import (
    Envelope,
    EventEntry,
    EventResult,
    EventWriter,
    entry_bytes,
    iso_seconds,
    read_envelope,
)

BUS = "arn:aws:events:eu-west-1:111122223333:event-bus/orders"
EVENT_ID = bytes(range(16))
NOW_MS = 1_767_225_600_999


def write(**members):
    entry = EventEntry(**{"source": "shop", "detail_type": "Placed", "detail": "{}", **members})
    return EventWriter(BUS).write(entry, EVENT_ID, NOW_MS)


def test_an_envelope_has_awss_members_in_awss_order():
    envelope = write(detail='{"id":1}', resources=("arn:a", "arn:b"))
    assert isinstance(envelope, Envelope)
    assert envelope.text == (
        '{"version":"0","id":"00010203-0405-0607-0809-0a0b0c0d0e0f","detail-type":"Placed",'
        '"source":"shop","account":"111122223333","time":"2026-01-01T00:00:00Z",'
        '"region":"eu-west-1","resources":["arn:a","arn:b"],"detail":{"id":1}}'
    )


def test_the_text_and_the_values_of_an_envelope_say_the_same():
    envelope = write(detail='{ "name": "Zoë \\" \\n", "list": [1, {"a": null}] }', resources=("r",))
    assert isinstance(envelope, Envelope)
    assert json.loads(envelope.text) == envelope.event


def test_a_detail_keeps_its_numbers_as_written_and_loses_its_whitespace():
    envelope = write(detail='{"a" : 1.0,\n "b": 12345678901234567890123, "c": "x  y"}')
    assert isinstance(envelope, Envelope)
    assert envelope.text.endswith('"detail":{"a":1.0,"b":12345678901234567890123,"c":"x  y"}}')


def test_a_time_of_the_callers_own_is_written_to_the_second():
    envelope = write(time_ms=1_000_000_000_999)
    assert isinstance(envelope, Envelope)
    assert envelope.event["time"] == "2001-09-09T01:46:40Z"


@pytest.mark.parametrize("seconds", [-1, 10**15])
def test_times_beyond_the_calendar_do_not_fail(seconds):
    assert iso_seconds(seconds).endswith("Z")


@pytest.mark.parametrize(
    ("member", "name"), [("source", "Source"), ("detail_type", "DetailType"), ("detail", "Detail")]
)
def test_a_missing_member_is_an_invalid_argument(member, name):
    assert write(**{member: ""}) == EventResult(
        error_code="InvalidArgument",
        error_message=f"Parameter {name} is not valid. Reason: {name} is a required argument.",
    )


@pytest.mark.parametrize(
    "detail",
    [
        "text",
        "[]",
        '"text"',
        "1",
        "null",
        '{"a":',
        '{"a":NaN}',
        '{"a":1} x',
        '{"a":' * 2_000 + "1" + "}" * 2_000,
    ],
)
def test_a_detail_that_is_no_json_object_is_malformed(detail):
    assert write(detail=detail) == EventResult(
        error_code="MalformedDetail", error_message="Detail is malformed."
    )


def test_a_source_of_awss_own_is_not_authorized():
    result = write(source="aws.s3")
    assert isinstance(result, EventResult)
    assert result.error_code == "NotAuthorizedForSourceException"


def test_a_detail_type_of_more_than_128_characters_is_refused():
    assert isinstance(write(detail_type="x" * 128), Envelope)
    result = write(detail_type="x" * 129)
    assert isinstance(result, EventResult)
    assert result.error_code == "InvalidArgument"


def test_a_detail_beyond_the_size_of_a_request_is_refused():
    result = write(detail='{"a":"' + "x" * limits.PUT_EVENTS_BYTES_MAX + '"}')
    assert isinstance(result, EventResult)
    assert result.error_code == "InvalidArgument"


def test_a_lone_surrogate_is_refused_and_not_raised():
    result = write(source="\ud800")
    assert isinstance(result, EventResult)
    assert result.error_code == "InvalidArgument"


def test_an_entry_is_counted_as_aws_counts_it():
    entry = EventEntry("é", "type", '{"a":1}', ("abc",), time_ms=0)
    assert entry_bytes(entry) == 14 + 2 + 4 + 7 + 3


@pytest.mark.parametrize("text", ["", "x", "[]", "{}", '{"id":"1","source":"s","detail":{}}'])
def test_a_text_that_no_bus_wrote_is_no_envelope(text):
    assert read_envelope(text, NOW_MS, None) is None


def test_an_envelope_is_read_back_as_it_was_written():
    written = write(detail='{"a":[1,2]}')
    assert isinstance(written, Envelope)
    assert read_envelope(written.text, NOW_MS, None) == written
