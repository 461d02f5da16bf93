"""AWS REST-JSON through the dispatcher: which requests it takes, and how they are answered."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import httpx
import msgspec
import pytest

from eventcore.api.dispatch import Dispatcher
from eventcore.api.functions import LAMBDA, LAMBDA_ROUTES
from eventcore.api.functions_faults import write_fault
from eventcore.api.functions_missing import MISSING_ROUTES
from eventcore.api.operation import Call, RestAnswer, Service
from eventcore.api.rest import REST_JSON, RestOperation, RestRoutes
from eventcore.arn import queue_arn
from eventcore.errors import InvalidParameter
from eventcore.queues.queue_spec import QueueSpec
from eventcore.runtime.engine import Engine
from eventcore.server.asgi import asgi_app
from eventcore.stores.memory import MemoryStore
from eventcore.wire.fault import Fault
from eventcore.wire.http import HttpRequest
from tests.wire.conftest import Answer
from tests.wire.test_dispatch import HeldStore

FUNCTIONS = b"/2015-03-31/functions"


class Request(msgspec.Struct):
    Name: str | None = None
    Count: int | None = None


class Things:
    """A REST service whose one operation does what the test says."""

    def __init__(self, engine: Engine, run: Any, status: int = 200) -> None:
        self.bugs: list[BaseException] = []
        self.run = run
        service = Service(
            name="things",
            target_prefix="",
            content_type=REST_JSON,
            errors={InvalidParameter: lambda e: Fault("InvalidParameterValueException", e.reason)},
            write_fault=write_fault,
            operations=[
                RestOperation(
                    "Run", Request, self.serve, "POST", "/2020-01-01/things/{Name}", status=status
                )
            ],
        )
        self.dispatcher = Dispatcher(
            engine,
            lambda bug, request_id: self.bugs.append(bug),
            rest_routes=[RestRoutes(service)],
        )

    def serve(self, call: Call, request: Request) -> Any:
        return self.run(call, request)

    def ask(self, body: bytes = b"", target: bytes = b"/2020-01-01/things/a") -> Answer:
        answer = Answer()
        self.dispatcher(HttpRequest(b"POST", target, {}, body, "peer"), answer)
        return answer


def test_a_body_is_answered_with_the_operations_status(wire):
    things = Things(wire.engine, lambda call, request: call.encode({"Name": request.Name}), 201)
    answer = things.ask()
    assert (answer.status, answer.json) == (201, {"Name": "a"})
    assert answer.headers["content-type"] == "application/json"
    assert len(answer.headers["x-amzn-requestid"]) == 36


def test_an_answer_may_have_a_status_headers_and_a_content_type_of_its_own(wire):
    headers = {"x-amz-more": "1", "content-type": "application/zip"}
    things = Things(wire.engine, lambda call, request: RestAnswer(202, headers, b"PK"))
    answer = things.ask()
    assert (answer.status, answer.body) == (202, b"PK")
    assert answer.headers["content-type"] == "application/zip"
    assert answer.headers["x-amz-more"] == "1"


def test_an_error_has_its_code_in_a_header_and_its_text_in_the_body(wire):
    def run(call: Call, request: Request) -> bytes:
        raise InvalidParameter("name", "Not that one.")

    answer = Things(wire.engine, run).ask()
    assert answer.status == 400
    assert answer.headers["x-amzn-errortype"] == "InvalidParameterValueException"
    assert answer.json == {"Type": "User", "message": "Not that one."}


def test_an_answer_that_comes_later_may_be_of_either_kind(wire):
    waiting: list[Call] = []
    things = Things(wire.engine, lambda call, request: waiting.append(call))
    answers: list[bytes | RestAnswer] = [b"{}", RestAnswer(204)]
    for made in answers:
        answer = things.ask()
        assert not answer.is_there
        call = waiting.pop()
        call.engine.begin()
        call.complete(partial(_same, made))
        assert answer.is_there
        assert answer.body == (made if isinstance(made, bytes) else b"")
        assert answer.status == (200 if isinstance(made, bytes) else 204)


def _same(made: bytes | RestAnswer) -> bytes | RestAnswer:
    return made


def test_a_bug_is_reported_and_answered(wire):
    def run(call: Call, request: Request) -> bytes:
        raise KeyError("secret")

    things = Things(wire.engine, run)
    answer = things.ask()
    assert answer.status == 500
    assert answer.json == {
        "Type": "Service",
        "message": "The request processing has failed because of an unknown error, exception or "
        "failure.",
    }
    assert [type(bug) for bug in things.bugs] == [KeyError]


def test_a_header_that_would_be_two_is_a_bug_and_is_not_sent(wire):
    things = Things(wire.engine, lambda call, request: RestAnswer(200, {"x-a": "1\r\nx-b: 2"}))
    answer = things.ask()
    assert answer.status == 500
    assert "x-b" not in answer.headers
    assert len(things.bugs) == 1


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b'{"Count": "x"}', "STRING_VALUE can not be converted to an Integer"),
        (b"[]", "Start of list found where not expected."),
        (b"{", "Input data was truncated"),
    ],
)
def test_a_body_of_another_form_is_a_serialization_error(wire, body, text):
    answer = Things(wire.engine, lambda call, request: b"{}").ask(body)
    assert answer.status == 400
    assert answer.headers["x-amzn-errortype"] == "SerializationException"
    assert answer.json == {"message": text}


def test_an_engine_that_is_not_ready_is_unavailable():
    things = Things(Engine(MemoryStore()), lambda call, request: b"{}")
    answer = things.ask()
    assert answer.status == 503
    assert answer.headers["x-amzn-errortype"] == "ServiceUnavailable"


# The service "lambda"


def test_a_path_that_lambda_has_not_is_unknown(wire):
    answer = wire.raw(b"", target=b"/2015-03-31/layers", method=b"GET")
    assert answer.status == 404
    assert answer.headers["x-amzn-errortype"] == "UnknownOperationException"
    assert answer.json == {"message": "lambda has no operation at /2015-03-31/layers."}


def test_a_path_with_another_method_tells_the_methods_that_it_has(wire):
    answer = wire.raw(b"", target=FUNCTIONS, method=b"PATCH")
    assert answer.status == 404
    assert answer.json == {"message": "This path is called with GET, POST, and not with PATCH."}


@pytest.mark.parametrize("name", sorted(LAMBDA.missing_operations))
def test_an_operation_that_we_lack_is_told_as_missing(wire, name):
    (route,) = (route for route in MISSING_ROUTES if route.name == name)
    target = route.path.replace("{", "").replace("}", "").encode()
    answer = wire.raw(b"{}", target=target, method=route.method.encode())
    assert answer.status == 501
    assert answer.headers["x-amzn-errortype"] == "UnsupportedOperation"
    text = f"eventcore does not implement the operation {name} of lambda."
    assert answer.json == {"Type": "User", "message": text}


async def test_a_path_with_an_encoded_arn_comes_through_asgi_as_it_is(wire):
    transport = httpx.ASGITransport(asgi_app(wire.dispatcher))
    name = "arn%3Aaws%3Alambda%3Aus-east-1%3A000000000000%3Afunction%3Af"
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        answer = await client.put(f"/2015-03-31/functions/{name}/code?a=b", json={"ZipFile": ""})
    assert answer.status_code == 404
    text = "Function not found: arn:aws:lambda:us-east-1:000000000000:function:f"
    assert answer.json() == {"Type": "User", "Message": text}


def test_paths_of_lambda_are_not_taken_for_query_requests(wire):
    answer = wire.raw(b"", target=FUNCTIONS + b"/?MaxItems=1&Action=ListQueues", method=b"GET")
    assert (answer.status, answer.json) == (200, {"Functions": []})


@pytest.mark.parametrize(
    "target", [b"/000000000000/orders?Action=GetQueueAttributes", b"/?Action=ListQueues"]
)
def test_other_paths_are_query_requests_as_before(wire, target):
    answer = wire.raw(b"", target=target, method=b"GET")
    assert answer.headers["content-type"] == "text/xml"


def test_a_request_with_a_target_is_aws_json_whatever_its_path(wire):
    headers = {
        b"content-type": b"application/x-amz-json-1.0",
        b"x-amz-target": b"AmazonSQS.ListQueues",
    }
    assert wire.raw(b"{}", headers, target=FUNCTIONS).json == {}


def test_each_first_part_of_a_path_is_of_one_service():
    with pytest.raises(AssertionError, match="same first part"):
        Dispatcher(Engine(MemoryStore()), rest_routes=[LAMBDA_ROUTES, LAMBDA_ROUTES])


async def test_an_answer_leaves_when_it_is_durable():
    store = HeldStore()
    async with Engine.open(store) as engine:
        things = Things(engine, _create_queue, 201)
        created, refused = things.ask(), things.ask(b'{"Count": 1}')
        await asyncio.sleep(0)
        assert not created.is_there
        assert not refused.is_there
        store.release()
        assert (created.status, refused.status) == (201, 400)


def _create_queue(call: Call, request: Request) -> bytes:
    if request.Count:
        raise InvalidParameter("count", "No.")
    call.engine.create_queue(queue_arn(call.account, call.region, "orders"), QueueSpec())
    return b"{}"
