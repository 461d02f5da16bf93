"""The records of asynchronous invocations, as AWS writes them."""

from __future__ import annotations

import pytest

from eventcore.codec import decode_json
from eventcore.functions import lineage
from eventcore.functions.invocation import InvocationResult, Payload, error_payload
from eventcore.functions.invoke_records import (
    RETRIES_EXHAUSTED,
    SUCCESS,
    EndedInvocation,
    LastResponse,
    error_message_of,
    json_text,
    last_response_of,
    to_dead_letter_queue,
    to_destination,
)
from eventcore.testing import SeededIds
from tests.unit.functions.function_rig import ARN, DEAD, NOW_MS, QUEUE, attributes_of

BUS = "arn:aws:events:us-east-1:000000000000:event-bus/ends"
ROOT = "Root=1-5759e988-bd862e3fe1be46a994272793"
RESPONSE = LastResponse("3", "Unhandled", "too small", '{"errorMessage": "too small"}')


def ended(**members):
    given = {
        "function_arn": ARN,
        "request_id": "9784b8b6-0000-4000-8000-000000000000",
        "payload": '{"a": 1.0}',
        "qualifier": None,
        "trace_header": "",
        "condition": RETRIES_EXHAUSTED,
        "invokes": 3,
        "response": RESPONSE,
        "ended_ms": NOW_MS + 7,
    }
    return EndedInvocation(**{**given, **members})


def sent(destination=QUEUE, **members):
    effect = to_destination(ended(**members), destination, SeededIds(1))
    assert effect.target_arn == destination
    assert effect.parcel.source_arn == ARN
    return effect.parcel


def test_a_document_has_awss_members_in_awss_order_and_payloads_as_they_were():
    assert sent().body == (
        '{"version":"1.0","timestamp":"2023-11-14T22:13:20.007Z",'
        '"requestContext":{"requestId":"9784b8b6-0000-4000-8000-000000000000",'
        f'"functionArn":"{ARN}:$LATEST","condition":"RetriesExhausted",'
        '"approximateInvokeCount":3},'
        '"requestPayload":{"a": 1.0},'
        '"responseContext":{"statusCode":200,"executedVersion":"3","functionError":"Unhandled"},'
        '"responsePayload":{"errorMessage": "too small"}}'
    )


def test_a_success_has_no_function_error():
    response = LastResponse("$LATEST", None, "", "null")
    document = decode_json(sent(condition=SUCCESS, response=response).body)
    assert document["responseContext"] == {"statusCode": 200, "executedVersion": "$LATEST"}
    assert document["responsePayload"] is None


def test_a_function_that_never_ran_gave_no_response():
    document = decode_json(sent(response=None, invokes=0).body)
    assert list(document) == ["version", "timestamp", "requestContext", "requestPayload"]


def test_the_arn_is_qualified_as_the_function_was_named():
    document = decode_json(sent(qualifier="live").body)
    assert document["requestContext"]["functionArn"] == f"{ARN}:live"


@pytest.mark.parametrize(
    ("condition", "outcome"), [(SUCCESS, "Success"), ("EventAgeExceeded", "Failure")]
)
def test_a_bus_gets_an_event_with_the_document_in_it(condition, outcome):
    text = sent(BUS, condition=condition, qualifier="2").body
    event = decode_json(text)
    assert list(event) == [
        "version",
        "id",
        "detail-type",
        "source",
        "account",
        "time",
        "region",
        "resources",
        "detail",
    ]
    assert event["detail-type"] == f"Lambda Function Invocation Result - {outcome}"
    assert (event["version"], event["source"]) == ("0", "lambda")
    assert (event["account"], event["region"]) == ("000000000000", "us-east-1")
    assert event["time"] == "2023-11-14T22:13:20Z"
    assert event["resources"] == [BUS, f"{ARN}:2"]
    assert event["detail"] == decode_json(sent(condition=condition, qualifier="2").body)
    assert '{"a": 1.0}' in text
    assert len(event["id"]) == 36


def test_a_dead_letter_is_the_event_with_the_reason_beside_it():
    effect = to_dead_letter_queue(ended(), DEAD, SeededIds(1))
    assert (effect.target_arn, effect.parcel.body) == (DEAD, '{"a": 1.0}')
    assert attributes_of(effect) == {
        "RequestID": ("String", "9784b8b6-0000-4000-8000-000000000000"),
        "ErrorCode": ("Number", "200"),
        "ErrorMessage": ("String", "too small"),
    }


def test_an_error_message_is_cut_at_its_bytes():
    response = LastResponse("1", "Unhandled", "é" * 2_000, None)
    effect = to_dead_letter_queue(ended(response=response), DEAD, SeededIds(1))
    assert attributes_of(effect)["ErrorMessage"] == ("String", "é" * 512)
    response = LastResponse("1", "Unhandled", "x" + "é" * 2_000, None)
    effect = to_dead_letter_queue(ended(response=response), DEAD, SeededIds(1))
    assert attributes_of(effect)["ErrorMessage"] == ("String", "x" + "é" * 511)


@pytest.mark.parametrize(
    ("condition", "code"),
    [
        ("EventAgeExceeded", "429"),
        ("QueueFull", "429"),
        ("ResourceNotFound", "404"),
        ("RecursiveInvocation", "400"),
    ],
)
def test_the_code_says_why_a_function_never_ran(condition, code):
    effect = to_dead_letter_queue(ended(condition=condition, response=None), DEAD, SeededIds(1))
    assert attributes_of(effect)["ErrorCode"] == ("Number", code)
    assert attributes_of(effect)["ErrorMessage"] == ("String", condition)


def test_what_goes_on_carries_the_invocation_in_its_lineage():
    header = lineage.extend(ROOT, ARN)
    assert lineage.count(sent(trace_header=header).trace_header, ARN) == 2
    assert sent(trace_header=header, response=None).trace_header == header
    made = sent(trace_header="").trace_header
    assert made.startswith("Root=1-6553f100-")
    assert lineage.count(made, ARN) == 1
    dead = to_dead_letter_queue(ended(trace_header=header), DEAD, SeededIds(1))
    assert lineage.count(dead.parcel.trace_header or "", ARN) == 2


@pytest.mark.parametrize(
    ("payload", "text"),
    [
        (Payload(b'{"a": 1.0}'), '{"a": 1.0}'),
        (Payload(b"no json"), '"no json"'),
        (Payload(b"\xff"), '"\N{REPLACEMENT CHARACTER}"'),
        (Payload(b""), '""'),
        (Payload.of({"a": 1}), '{"a":1}'),
        (Payload.of(None), "null"),
        (Payload.of(object()), "null"),
    ],
)
def test_a_response_is_json_whatever_it_was(payload, text):
    assert last_response_of(InvocationResult(payload, None, "1")) == LastResponse(
        "1", None, "", text
    )


def test_the_message_of_an_error_is_that_of_its_payload_or_its_kind():
    failed = InvocationResult(error_payload("ValueError", "too small"), "Unhandled", "1")
    assert last_response_of(failed).message == "too small"
    failed = InvocationResult(Payload.of([]), "Unhandled", "1")
    assert last_response_of(failed).message == "Unhandled"


def test_reading_texts_that_are_no_json():
    assert error_message_of("{") == ""
    assert error_message_of('{"errorMessage": 5}') == ""
    assert error_message_of('{"errorMessage": "x"}') == "x"
    assert json_text("[1]") == "[1]"
    assert json_text("a\nb") == '"a\\nb"'
    assert json_text("\ud800") == '"?"'
