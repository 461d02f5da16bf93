"""A client of Query: botocore's own serializer and parser, with the model of SQS as it once was.

botocore's model of SQS is one of JSON since 1.32. What Query needs beside it, the names of
elements, is kept in sqs_query_names.json.
"""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import botocore.loaders
from botocore.model import OperationModel, ServiceModel
from botocore.parsers import create_parser
from botocore.serialize import create_serializer

from tests.wire.conftest import AUTHORIZATION, HOST, Answer, Wire

NAMES: dict[str, Any] = json.loads(
    Path(__file__).with_name("sqs_query_names.json").read_text(encoding="utf-8")
)
NAMESPACE = "http://queue.amazonaws.com/doc/2012-11-05/"
SERIALIZER = create_serializer("query", include_validation=False)
PARSER = create_parser("query")
FORM = b"application/x-www-form-urlencoded; charset=utf-8"


def query_model() -> ServiceModel:
    """Today's operations and shapes, with the traits of Query."""
    model = copy.deepcopy(botocore.loaders.Loader().load_service_model("sqs", "service-2"))
    model["metadata"] |= {"protocol": "query", "protocols": ["query"], "xmlNamespace": NAMESPACE}
    for name, operation in model["operations"].items():
        if "output" in operation:
            operation["output"]["resultWrapper"] = f"{name}Result"
    for name, names in NAMES["shapes"].items():
        shape = model["shapes"][name]
        if "name" in names:
            shape["locationName"] = names["name"]
        for part in ("member", "key", "value"):
            if part in names:
                shape[part]["locationName"] = names[part]
        for member, location in names.get("members", {}).items():
            shape["members"][member]["locationName"] = location
    return ServiceModel(model, "sqs")


MODEL = query_model()


def operation_model(name: str) -> OperationModel:
    return MODEL.operation_model(name)


def parameters_of(operation: str, members: dict[str, Any]) -> dict[str, str]:
    """What an SDK makes of an operation's members."""
    body = SERIALIZER.serialize_to_request(members, operation_model(operation))["body"]
    return {name: str(value) for name, value in body.items()}


def parse(operation: str, answer: Answer) -> dict[str, Any]:
    """What an SDK makes of an answer, an error included."""
    response = {"status_code": answer.status, "headers": answer.headers, "body": answer.body}
    return PARSER.parse(response, operation_model(operation).output_shape)


class QueryClient:
    """Calls operations as SDKs of Query do."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire

    def raw(
        self,
        parameters: dict[str, str] | bytes,
        *,
        method: str = "POST",
        path: str = "/",
        **headers: bytes,
    ) -> Answer:
        """Sends parameters in the body, or with GET in the query string."""
        text = parameters if isinstance(parameters, bytes) else urlencode(parameters).encode()
        sent = {b"host": HOST.encode(), b"authorization": AUTHORIZATION}
        sent |= {name.replace("_", "-").encode(): value for name, value in headers.items()}
        if method == "GET":
            return self.wire.raw(b"", sent, path.encode() + b"?" + text, b"GET")
        return self.wire.raw(text, {b"content-type": FORM, **sent}, path.encode(), method.encode())

    def send(
        self, operation: str, /, *, method: str = "POST", path: str = "/", **members: Any
    ) -> Answer:
        """The answer as it came."""
        return self.raw(parameters_of(operation, members), method=method, path=path)

    def call(
        self, operation: str, /, *, method: str = "POST", path: str = "/", **members: Any
    ) -> dict[str, Any]:
        """The members of an answer that must be one of success."""
        answer = self.send(operation, method=method, path=path, **members)
        assert answer.status == 200, answer.body
        parsed = parse(operation, answer)
        metadata = parsed.pop("ResponseMetadata")
        assert metadata["RequestId"] == answer.headers["x-amzn-requestid"]
        return parsed

    def error(self, answer: Answer) -> tuple[str, str]:
        """Code and message of an answer that must be an error in the form of SQS."""
        assert answer.status >= 400
        parsed = parse("ListQueues", answer)
        assert parsed["ResponseMetadata"]["RequestId"] == answer.headers["x-amzn-requestid"]
        error = parsed["Error"]
        assert error["Type"] == ("Sender" if answer.status < 500 else "Receiver")
        return error["Code"], error["Message"]
