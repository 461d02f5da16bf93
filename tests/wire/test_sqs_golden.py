"""Golden conversations: what is asked, and the very bytes that are answered.

Each file of golden/sqs is a list of exchanges, held in order with a fresh engine whose clock stands
still and whose ids are seeded. "request" is what botocore's serializer makes of the operation's
members, checked here. `REWRITE_GOLDEN=1 pytest tests/wire/test_sqs_golden.py` writes the answers
down anew; then read the diff.
"""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path
from typing import Any

import botocore.loaders
import pytest
from botocore.model import ServiceModel
from botocore.serialize import create_serializer

from eventcore.api.sqs import SQS

FOLDER = Path(__file__).parent / "golden" / "sqs"
FILES = sorted(FOLDER.glob("*.json"))
MODEL = ServiceModel(botocore.loaders.Loader().load_service_model("sqs", "service-2"), "sqs")
SERIALIZER = create_serializer("json", include_validation=False)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_conversation_is_answered_byte_by_byte_as_written_down(file: Path, wire):
    exchanges = json.loads(file.read_text())
    held = [hold(wire, exchange) for exchange in exchanges]
    if os.environ.get("REWRITE_GOLDEN"):
        file.write_text(json.dumps(held, indent=1, ensure_ascii=False) + "\n")
    assert held == exchanges


def hold(wire: Any, exchange: dict[str, Any]) -> dict[str, Any]:
    """One exchange as it is held now. A wait before it moves the clock."""
    wire.clock.advance(exchange.get("wait_ms", 0))
    answer = wire.call(exchange["operation"], **exchange["request"])
    headers = answer.headers
    assert headers.pop("x-amzn-requestid")
    assert headers.pop("content-type") == "application/x-amz-json-1.0"
    shown = {"status": answer.status, **headers, "body": answer.body.decode()}
    kept: dict[str, Any] = {key: exchange[key] for key in ("rule", "wait_ms") if key in exchange}
    return {
        **kept,
        "operation": exchange["operation"],
        "request": exchange["request"],
        "answer": shown,
    }


REQUESTS = [
    pytest.param(exchange, id=f"{file.stem}-{number}")
    for file in FILES
    for number, exchange in enumerate(json.loads(file.read_text()))
]


@pytest.mark.parametrize("exchange", REQUESTS)
def test_a_written_request_is_what_botocore_sends(exchange: dict[str, Any]):
    operation = exchange["operation"]
    if operation not in MODEL.operation_names:
        assert exchange["answer"]["status"] == 400
        return
    model = MODEL.operation_model(operation)
    members = with_bytes(exchange["request"])
    if not members.keys() <= model.input_shape.members.keys():
        assert exchange["answer"]["status"] == 200, "unknown members are ignored"
        return
    sent = SERIALIZER.serialize_to_request(members, model)
    assert sent["headers"]["X-Amz-Target"] == f"AmazonSQS.{operation}"
    assert json.loads(sent["body"]) == exchange["request"]


def with_bytes(value: Any) -> Any:
    """The members as a program gives them: blobs as bytes instead of base64."""
    if isinstance(value, dict):
        return {
            k: base64.b64decode(v) if k == "BinaryValue" else with_bytes(v)
            for k, v in value.items()
        }
    if isinstance(value, list):
        return [with_bytes(item) for item in value]
    return value


def test_every_operation_and_every_error_that_can_be_caused_has_a_conversation():
    exchanges = [exchange for file in FILES for exchange in json.loads(file.read_text())]
    answered = {e["operation"] for e in exchanges if e["answer"]["status"] == 200}
    assert answered == set(SQS.operations)
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
