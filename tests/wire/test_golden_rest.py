"""Golden conversations in AWS REST-JSON: what is sent, and the very bytes that are answered.

Each file of golden_rest/<service> is a list of exchanges, held in order with a fresh engine whose
clock stands still and whose ids are seeded. "members" are the operation's, blobs in base64; "sent"
is what botocore makes of them. To write all down anew: `REWRITE_GOLDEN=1 pytest
tests/wire/test_golden_rest.py`. Then read the diff.
"""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from botocore.serialize import create_serializer

from tests.wire.conftest import HOST
from tests.wire.service_model import load_model

FOLDER = Path(__file__).parent / "golden_rest"
FILES = sorted(FOLDER.glob("*/*.json"))
BLOBS = {"ZipFile"}
SERIALIZER = create_serializer("rest-json", include_validation=False)


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}-{file.stem}")
def test_a_conversation_is_answered_byte_by_byte_as_written_down(file: Path, wire):
    exchanges = json.loads(file.read_text())
    model = load_model(file.parent.name)
    held = [hold(wire, exchange, model) for exchange in exchanges]
    if os.environ.get("REWRITE_GOLDEN"):
        file.write_text(json.dumps(held, indent=1, ensure_ascii=False) + "\n")
    assert held == exchanges


def hold(wire: Any, exchange: dict[str, Any], model: Any) -> dict[str, Any]:
    """One exchange as it is held now."""
    operation, members = exchange["operation"], exchange["members"]
    sent = SERIALIZER.serialize_to_request(as_given(members), model.operation_model(operation))
    query = urlencode(sent["query_string"], doseq=True)
    target = sent["url_path"] + (f"?{query}" if query else "")
    body = sent["body"] if isinstance(sent["body"], bytes) else sent["body"].encode()
    headers = {b"host": HOST.encode()}
    answer = wire.raw(body, headers, target.encode(), sent["method"].encode())
    shown = answer.headers
    assert len(shown.pop("x-amzn-requestid")) == 36
    return {
        "operation": operation,
        "members": members,
        "sent": f"{sent['method']} {target} {body.decode()}".rstrip(),
        "answer": {"status": answer.status, **shown, "body": answer.body.decode()},
    }


def as_given(value: Any) -> Any:
    """The members as a program gives them: blobs as bytes instead of base64."""
    if isinstance(value, dict):
        return {k: base64.b64decode(v) if k in BLOBS else as_given(v) for k, v in value.items()}
    return value


def test_every_method_and_status_of_lambda_has_an_exchange():
    exchanges = [e for file in FILES for e in json.loads(file.read_text())]
    assert {e["sent"].partition(" ")[0] for e in exchanges} == {"DELETE", "GET", "POST", "PUT"}
    statuses = {e["answer"]["status"] for e in exchanges}
    assert statuses >= {200, 201, 204, 400, 404, 409, 412, 501}
