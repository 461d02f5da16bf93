"""A service that speaks AWS JSON and AWS CBOR: the content type decides, and answers follow it."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator
from typing import Any

import cbor2
import msgspec
import pytest

from eventcore.api.dispatch import Dispatcher
from eventcore.api.operation import Call, Operation, Service
from eventcore.errors import NotFound
from eventcore.runtime.engine import Engine
from eventcore.stores.memory import MemoryStore
from eventcore.testing import ManualClock, SeededIds
from eventcore.wire.aws_json import JSON_1_1
from eventcore.wire.cbor import CBOR_1_1
from eventcore.wire.fault import Fault
from eventcore.wire.http import HttpRequest
from tests.wire.conftest import START_MS, Answer


class EchoRequest(msgspec.Struct, frozen=True, rename="pascal"):
    data: bytes | None = None
    at: float | None = None
    name: str | None = None


class EchoAnswer(msgspec.Struct, frozen=True, rename="pascal", omit_defaults=True):
    data: bytes
    at: float
    name: str | None = None


def echo(call: Call, request: EchoRequest) -> bytes:
    if request.data is None or request.at is None:
        raise NotFound("thing", request.name or "none")
    return call.encode(EchoAnswer(request.data, request.at, request.name))


def say_nothing(call: Call, request: EchoRequest) -> bytes:
    return b""


def fail(call: Call, request: EchoRequest) -> bytes:
    raise KeyError(request.name)


def answer_what_cannot_be_encoded(call: Call, request: EchoRequest) -> bytes:
    return call.encode(object())


THINGS = Service(
    name="things",
    target_prefix="Things_1",
    content_type=JSON_1_1,
    operations=[
        Operation("Echo", EchoRequest, echo),
        Operation("SayNothing", EchoRequest, say_nothing),
        Operation("Fail", EchoRequest, fail),
        Operation("Encode", EchoRequest, answer_what_cannot_be_encoded),
    ],
    errors={NotFound: lambda error: Fault("ResourceNotFoundException", f"No {error.name}.")},
    missing_operations=frozenset(("Later",)),
    has_extended_id=True,
)


class Things:
    """A dispatcher with the service in both protocols, and its clients."""

    def __init__(self, engine: Engine) -> None:
        self.bugs: list[BaseException] = []
        self.dispatcher = Dispatcher(
            engine,
            lambda bug, request_id: self.bugs.append(bug),
            services=[THINGS],
            cbor_services=[THINGS.in_cbor(frozenset(("At",)))],
        )

    def raw(
        self,
        operation: str,
        content_type: bytes,
        body: bytes,
        method: bytes = b"POST",
        **more: bytes,
    ) -> Answer:
        headers = {
            b"content-type": content_type,
            b"x-amz-target": operation.encode(),
            **{name.encode(): value for name, value in more.items()},
        }
        answer = Answer()
        self.dispatcher(HttpRequest(method, b"/", headers, body, "p"), answer)
        return answer

    def in_cbor(self, operation: str, members: Any) -> Answer:
        return self.raw(f"Things_1.{operation}", CBOR_1_1, cbor2.dumps(members))

    def in_json(self, operation: str, members: Any) -> Answer:
        return self.raw(f"Things_1.{operation}", JSON_1_1, json.dumps(members).encode())


@pytest.fixture
async def things() -> AsyncIterator[Things]:
    clock = ManualClock(START_MS)
    async with Engine.open(MemoryStore(), clock=clock, ids=SeededIds(1)) as engine:
        yield Things(engine)


def decoded(answer: Answer) -> Any:
    assert answer.headers["content-type"] == CBOR_1_1.decode()
    return cbor2.loads(answer.body, semantic_decoders={1: lambda value, _: value})


def test_an_operation_is_served_in_the_protocol_of_its_request(things):
    answer = things.in_cbor("Echo", {"Data": b"\xff", "At": cbor2.CBORTag(1, START_MS + 1)})
    assert answer.status == 200
    assert decoded(answer) == {"Data": b"\xff", "At": START_MS + 1}
    seconds = (START_MS + 1) / 1000
    answer = things.in_json("Echo", {"Data": b64encode(b"\xff").decode(), "At": seconds})
    assert answer.headers["content-type"] == JSON_1_1.decode()
    assert answer.json == {"Data": "/w==", "At": seconds}


def test_a_charset_in_the_content_type_does_not_matter(things):
    content_type = b"application/x-amz-cbor-1.1; charset=utf-8"
    assert things.raw("Things_1.SayNothing", content_type, b"\xa0").status == 200


def test_an_empty_answer_has_no_body_in_either_protocol(things):
    for answer in (things.in_cbor("SayNothing", {}), things.in_json("SayNothing", {})):
        assert (answer.status, answer.body) == (200, b"")


def test_an_error_is_told_in_the_protocol_of_its_request(things):
    answer = things.in_cbor("Echo", {"Name": "n"})
    assert answer.status == 400
    assert decoded(answer) == {"__type": "ResourceNotFoundException", "message": "No n."}
    assert things.in_json("Echo", {"Name": "n"}).json["message"] == "No n."


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "CBOR"),
        (b"{}", "CBOR"),
        (b"\xa0\x00", "goes on"),
        (b"\xa1\x64Data\x61x", "bytes"),
        (b"\xa1\x64Name\x07", "NUMBER_VALUE can not be converted to a String"),
        (b"\xa1\x62At\xf9\x7e\x00", "finite"),
        (b"\x80", "Start of list found where not expected."),
        (b"\x9b" + b"\xff" * 8, "CBOR"),
    ],
)
def test_a_body_that_is_none_is_a_serialization_exception(things, body, words):
    answer = things.raw("Things_1.Echo", CBOR_1_1, body)
    assert answer.status == 400
    told = decoded(answer)
    assert told["__type"] == "SerializationException"
    assert words in told["message"]
    assert not things.bugs


@pytest.mark.parametrize(
    ("target", "status", "code"),
    [
        ("Things_1.Colour", 400, "UnknownOperationException"),
        ("Nothing.Echo", 400, "UnknownOperationException"),
        ("Echo", 400, "UnknownOperationException"),
        ("Things_1.Later", 501, "UnsupportedOperation"),
    ],
)
def test_what_names_no_operation_is_refused_in_cbor(things, target, status, code):
    answer = things.raw(target, CBOR_1_1, b"\xa0")
    assert answer.status == status
    assert decoded(answer)["__type"] == code


def test_an_operation_is_called_with_post_only(things):
    answer = things.raw("Things_1.SayNothing", CBOR_1_1, b"\xa0", method=b"GET")
    assert (answer.status, decoded(answer)["__type"]) == (404, "UnknownOperationException")


@pytest.mark.parametrize("operation", ["Fail", "Encode"])
def test_a_bug_is_reported_and_answered_in_cbor(things, operation):
    answer = things.in_cbor(operation, {})
    assert (answer.status, decoded(answer)["__type"]) == (500, "InternalFailure")
    assert [type(bug) for bug in things.bugs] == [KeyError if operation == "Fail" else TypeError]


def test_a_service_without_cbor_says_what_it_speaks(wire):
    headers = {b"x-amz-target": b"AmazonSQS.ListQueues", b"content-type": CBOR_1_1}
    answer = wire.raw(b"\xa0", headers)
    assert (answer.status, answer.error) == (404, "UnknownOperationException")
    assert "application/x-amz-json-1.0" in answer.json["message"]


def test_the_extended_id_is_as_long_as_that_of_aws_and_differs(things):
    answers = [things.in_cbor("SayNothing", {}), things.in_json("Echo", {})]
    ids = [answer.headers["x-amz-id-2"] for answer in answers]
    assert len(set(ids)) == 2
    assert {len(b64decode(text, validate=True)) for text in ids} == {72}
    assert all(len(answer.headers["x-amzn-requestid"]) == 36 for answer in answers)


def test_services_have_an_extended_id_only_where_aws_sends_one(wire):
    assert "x-amz-id-2" not in wire.call("ListQueues").headers
