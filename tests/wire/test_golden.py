"""Golden conversations: what is asked, and the very bytes that are answered.

Each file of golden/<service> is a list of exchanges, held in order with a fresh engine whose clock
stands still and whose ids are seeded. "request" is what botocore's serializer makes of the
operation's members, checked here; "service" is given where it is not the folder's. A text `<Name>`
stands for what the member Name was in the latest answer that had one: a token. To write the
answers down anew: `REWRITE_GOLDEN=1 pytest tests/wire/test_golden.py`. Then read the diff.
"""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path
from typing import Any

import pytest
from botocore.serialize import create_serializer

from eventcore.api.events import EVENTS
from eventcore.api.kinesis import KINESIS
from eventcore.api.operation import Service
from eventcore.api.sqs import SQS
from tests.wire.service_model import load_model

SERVICES = {"sqs": SQS, "events": EVENTS, "kinesis": KINESIS}
STREAMED = {"SubscribeToShard"}
"""Operations whose answer is a stream of events, which is no text to write down."""
BLOBS = {"BinaryValue", "Data"}
MODELS = {name: load_model(name) for name in SERVICES}
FOLDER = Path(__file__).parent / "golden"
FILES = sorted(FOLDER.glob("*/*.json"))
SERIALIZER = create_serializer("json", include_validation=False)


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}-{file.stem}")
def test_a_conversation_is_answered_byte_by_byte_as_written_down(file: Path, wire):
    exchanges = json.loads(file.read_text())
    told: dict[str, str] = {}
    held = [hold(wire, exchange, service_of(file, exchange), told) for exchange in exchanges]
    if os.environ.get("REWRITE_GOLDEN"):
        file.write_text(json.dumps(held, indent=1, ensure_ascii=False) + "\n")
    assert held == exchanges


def service_of(file: Path, exchange: dict[str, Any]) -> Service:
    return SERVICES[exchange.get("service", file.parent.name)]


def hold(
    wire: Any, exchange: dict[str, Any], service: Service, told: dict[str, str]
) -> dict[str, Any]:
    """One exchange as it is held now. A wait before it moves the clock; `told` are the texts of the
    answers before it, by their members.
    """
    wire.clock.advance(exchange.get("wait_ms", 0))
    operation, request = exchange["operation"], exchange["request"]
    members = {key: told.get(str(value), value) for key, value in request.items()}
    answer = wire.call(operation, service=service.target_prefix, **members)
    told.update(texts_of(json.loads(answer.body or "null")))
    headers = answer.headers
    assert headers.pop("x-amzn-requestid")
    assert ("x-amz-id-2" in headers) is service.has_extended_id
    headers.pop("x-amz-id-2", None)
    assert headers.pop("content-type") == service.content_type.decode()
    shown = {"status": answer.status, **headers, "body": answer.body.decode()}
    given: dict[str, Any] = {
        key: exchange[key] for key in ("rule", "wait_ms", "service") if key in exchange
    }
    return {**given, "operation": operation, "request": request, "answer": shown}


def texts_of(value: Any) -> dict[str, str]:
    """The members of an answer that are texts, by `<Name>`; of several the first."""
    found: dict[str, str] = {}
    if isinstance(value, list):
        value = dict(enumerate(value))
    if isinstance(value, dict):
        for key, part in value.items():
            inner = {f"<{key}>": part} if isinstance(part, str) else texts_of(part)
            found = {**inner, **found}
    return found


REQUESTS = [
    pytest.param(
        service_of(file, exchange), exchange, id=f"{file.parent.name}-{file.stem}-{number}"
    )
    for file in FILES
    for number, exchange in enumerate(json.loads(file.read_text()))
]


@pytest.mark.parametrize(("service", "exchange"), REQUESTS)
def test_a_written_request_is_what_botocore_sends(service: Service, exchange: dict[str, Any]):
    operation = exchange["operation"]
    model = MODELS[service.name]
    is_malformed = "#SerializationException" in exchange["answer"]["body"]
    if is_malformed or operation not in model.operation_names:
        assert exchange["answer"]["status"] == 400, "no SDK sends it"
        return
    members = as_given(exchange["request"])
    if not members.keys() <= model.operation_model(operation).input_shape.members.keys():
        assert exchange["answer"]["status"] == 200, "unknown members are ignored"
        return
    sent = SERIALIZER.serialize_to_request(members, model.operation_model(operation))
    assert sent["headers"]["X-Amz-Target"] == f"{service.target_prefix}.{operation}"
    assert json.loads(sent["body"]) == exchange["request"]


def as_given(value: Any) -> Any:
    """The members as a program gives them: blobs as bytes instead of base64."""
    if isinstance(value, dict):
        return {k: base64.b64decode(v) if k in BLOBS else as_given(v) for k, v in value.items()}
    if isinstance(value, list):
        return [as_given(item) for item in value]
    return value


def exchanges_of(name: str) -> list[dict[str, Any]]:
    """All exchanges with a service, in whichever conversation."""
    return [
        exchange
        for file in FILES
        for exchange in json.loads(file.read_text())
        if service_of(file, exchange).name == name
    ]


@pytest.mark.parametrize("name", SERVICES)
def test_every_operation_has_a_conversation_in_which_it_succeeds(name: str):
    answered = {e["operation"] for e in exchanges_of(name) if e["answer"]["status"] == 200}
    assert answered == set(SERVICES[name].operations) - STREAMED


def test_every_error_of_sqs_that_can_be_caused_has_a_conversation():
    exchanges = exchanges_of("sqs")
    codes = {e["answer"].get("x-amzn-query-error", "").partition(";")[0] for e in exchanges}
    simple = "AWS.SimpleQueueService."
    assert codes >= {
        "InvalidAddress", "InvalidAttributeName", "InvalidAttributeValue", "InvalidMessageContents",
        "InvalidParameterValue", "MissingParameter", "QueueAlreadyExists", "ReceiptHandleIsInvalid",
        "SerializationException", "UnknownOperationException", simple + "BatchEntryIdsNotDistinct",
        simple + "EmptyBatchRequest",
        simple + "InvalidBatchEntryId", simple + "NonExistentQueue",
        simple + "TooManyEntriesInBatchRequest", simple + "UnsupportedOperation",
    }  # fmt: skip


def test_every_error_of_eventbridge_that_can_be_caused_has_a_conversation():
    bodies = [json.loads(exchange["answer"]["body"]) for exchange in exchanges_of("events")]
    codes = {body["__type"].rpartition("#")[2] for body in bodies if "__type" in body}
    assert codes == {
        "InvalidEventPatternException", "LimitExceededException", "ResourceAlreadyExistsException",
        "ResourceNotFoundException", "SerializationException", "UnknownOperationException",
        "UnsupportedOperation", "ValidationException",
    }  # fmt: skip
    entries = [e for b in bodies for e in b.get("Entries", []) + b.get("FailedEntries", [])]
    assert {entry.get("ErrorCode") for entry in entries} == {
        None, "InvalidArgument", "MalformedDetail", "NotAuthorizedForSourceException",
        "ResourceNotFoundException",
    }  # fmt: skip


def test_every_error_of_kinesis_that_can_be_caused_has_a_conversation():
    bodies = [e["answer"]["body"] for e in exchanges_of("kinesis")]
    answers = [json.loads(body) for body in bodies if body]
    codes = {answer["__type"].rpartition("#")[2] for answer in answers if "__type" in answer}
    assert codes == {
        "DryRunOperationException", "ExpiredIteratorException", "ExpiredNextTokenException",
        "InvalidArgumentException", "LimitExceededException", "ResourceInUseException",
        "ResourceNotFoundException", "SerializationException", "UnknownOperationException",
        "UnsupportedOperation", "ValidationException",
    }  # fmt: skip
