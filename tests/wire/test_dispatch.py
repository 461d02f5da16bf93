"""What the dispatcher makes of requests before and after the operations have them."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from xml.etree import ElementTree

import pytest

from eventcore.api.dispatch import Dispatcher
from eventcore.api.operation import Call, Operation, Service
from eventcore.api.sqs import SQS
from eventcore.errors import StoreUnavailable
from eventcore.runtime.engine import Engine
from eventcore.stores.memory import MemoryStore
from eventcore.wire.aws_json import JSON_1_0
from eventcore.wire.aws_query import XML
from eventcore.wire.http import HttpRequest, OnDisconnect, ResponseStream

JSON = {b"content-type": b"application/x-amz-json-1.0", b"host": b"h"}


def sqs_headers(operation: str, **changed: bytes) -> dict[bytes, bytes]:
    headers = {**JSON, b"x-amz-target": b"AmazonSQS." + operation.encode()}
    return headers | {k.replace("_", "-").encode(): v for k, v in changed.items()}


# What is refused


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 404),
        (JSON, 404),
        ({**JSON, b"x-amz-target": b""}, 400),
        ({**JSON, b"x-amz-target": b"SendMessage"}, 400),
        ({**JSON, b"x-amz-target": b"Nothing.SendMessage"}, 400),
        ({**JSON, b"x-amz-target": b"AmazonSQS.Colour"}, 400),
        ({**JSON, b"x-amz-target": b"\xff.\xff"}, 400),
        (sqs_headers("ListQueues", content_type=b"application/json"), 404),
        (sqs_headers("ListQueues", content_type=b"text/plain"), 404),
        ({b"x-amz-target": b"AmazonSQS.ListQueues"}, 404),
    ],
)
def test_a_request_that_names_no_operation_is_an_unknown_operation(wire, headers, status):
    answer = wire.raw(b"{}", headers)
    assert answer.status == status
    assert answer.json["__type"] == "com.amazon.coral.service#UnknownOperationException"


@pytest.mark.parametrize("method", [b"GET", b"HEAD", b"PUT", b"DELETE", b"PATCH", b"OPTIONS"])
def test_an_operation_is_called_with_post_only(wire, method):
    answer = wire.raw(b'{"QueueName": "orders"}', sqs_headers("CreateQueue"), method=method)
    assert (answer.status, answer.error) == (404, "UnknownOperationException")
    assert method.decode() in answer.json["message"]
    assert wire.call("ListQueues").json.get("QueueUrls", []) == []


@pytest.mark.parametrize(
    ("method", "status"), [(b"GET", 200), (b"POST", 200), (b"PUT", 404), (b"HEAD", 404)]
)
def test_a_query_request_comes_with_get_or_post(wire, method, status):
    target = b"/?Action=GetCallerIdentity&Version=2011-06-15"
    assert wire.raw(b"", {b"host": b"h"}, target, method).status == status


def test_a_charset_in_the_content_type_does_not_matter(wire):
    content_type = b"application/x-amz-json-1.0; charset=utf-8"
    assert wire.raw(b"{}", sqs_headers("ListQueues", content_type=content_type)).status == 200


def test_an_operation_of_aws_that_we_lack_is_not_implemented_and_not_unknown(wire):
    answer = wire.call("CreateArchive", service="AWSEvents", ArchiveName="a")
    assert answer.status == 501
    assert answer.error == "UnsupportedOperation"
    assert "CreateArchive" in answer.json["message"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'"text"',
        b"null",
        b'{"QueueUrl": "a"} more',
        b'{"QueueUrl": "\xff"}',
        b'{"QueueUrl": "\\ud800"}',
        b'{"QueueUrl": 5}',
        b'{"QueueUrl": {}}',
        b'{"MessageAttributes": {"a": {"BinaryValue": "not base64"}}}',
        b'{"DelaySeconds": "5"}',
        b'{"DelaySeconds": 1.5}',
        b'{"Unknown": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ],
)
def test_a_body_that_cannot_be_read_is_a_serialization_error(wire, body):
    answer = wire.raw(body, sqs_headers("SendMessage"))
    assert answer.status == 400
    assert answer.json["__type"] == "com.amazon.coral.service#SerializationException"
    assert answer.headers["x-amzn-query-error"] == "SerializationException;Sender"
    assert answer.json["message"]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"DelaySeconds": "5"}', "STRING_VALUE can not be converted to an Integer"),
        (b'{"MessageBody": 5}', "NUMBER_VALUE can not be converted to a String"),
        (b'{"MessageBody": {}}', "Start of structure or map found where not expected."),
        (b'{"MessageBody": []}', "Start of list found where not expected."),
    ],
)
def test_a_member_of_a_wrong_type_is_told_in_the_words_of_aws(wire, body, message):
    assert wire.raw(body, sqs_headers("SendMessage")).json["message"] == message


def test_null_counts_as_absent(wire):
    wire.create_queue()
    answer = wire.call("SendMessage", QueueUrl="orders", MessageBody="a", DelaySeconds=None)
    assert answer.status == 200


# Who calls


def test_the_account_is_an_access_key_of_twelve_digits_and_the_region_is_the_scopes(wire):
    credential = b"AWS4-HMAC-SHA256 Credential=%b, SignedHeaders=host, Signature=0"
    scope = b"111122223333/20231114/eu-west-1/sqs/aws4_request"
    headers = sqs_headers("CreateQueue", authorization=credential % scope)
    answer = wire.raw(b'{"QueueName": "orders"}', headers)
    assert answer.json["QueueUrl"] == "http://h/111122223333/orders"
    assert wire.engine.queue("arn:aws:sqs:eu-west-1:111122223333:orders").name == "orders"
    assert wire.call("ListQueues").json == {}, "another account does not list it"


def test_a_queue_url_of_another_account_reaches_its_queue(wire):
    scope = b"Credential=111122223333/20231114/us-east-1/sqs/aws4_request, x"
    wire.raw(b'{"QueueName": "orders"}', sqs_headers("CreateQueue", authorization=scope))
    url = "http://localhost:9324/111122223333/orders"
    assert wire.call("SendMessage", QueueUrl=url, MessageBody="a").status == 200


@pytest.mark.parametrize(
    "authorization",
    [
        b"",
        b"Bearer abc",
        b"AWS4-HMAC-SHA256 Credential=",
        b"AWS4-HMAC-SHA256 Credential=a/b/c, SignedHeaders=host",
        b"AWS4-HMAC-SHA256 Credential=AKID/1/../sqs/aws4_request",
        b"AWS4-HMAC-SHA256 Credential=12345678901\xb2/1/us east/sqs/aws4_request",
    ],
)
def test_a_credential_that_cannot_be_read_means_the_default_account_and_region(wire, authorization):
    headers = sqs_headers("CreateQueue", authorization=authorization)
    assert wire.raw(b'{"QueueName": "orders"}', headers).status == 200
    assert wire.engine.queue("arn:aws:sqs:us-east-1:000000000000:orders").name == "orders"


# What every answer has


def test_every_answer_has_a_request_id_of_its_own_in_the_form_of_a_uuid(wire):
    answers = [wire.call("ListQueues"), wire.call("Colour"), wire.call("GetQueueUrl"), wire.raw()]
    ids = [answer.headers["x-amzn-requestid"] for answer in answers]
    assert len(set(ids)) == len(ids)
    assert all([len(part) for part in i.split("-")] == [8, 4, 4, 4, 12] for i in ids)


# The Query protocol

FORM = {b"content-type": b"application/x-www-form-urlencoded; charset=utf-8", b"host": b"h"}


def xml(body: bytes) -> dict[str, str]:
    root = ElementTree.fromstring(body)
    return {e.tag.rpartition("}")[2]: e.text or "" for e in root.iter() if not len(e)}


def test_get_caller_identity_names_the_account(sts, client):
    answer = sts.get_caller_identity()
    assert answer["Account"] == "000000000000"
    assert answer["Arn"] == "arn:aws:iam::000000000000:root"
    assert answer["ResponseMetadata"]["RequestId"]
    assert client("sts", access_key="111122223333").get_caller_identity()["Account"] == (
        "111122223333"
    )


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"Action=GetCallerIdentity&Version=1999-01-01", 400, "InvalidAction"),
        (b"Action=AssumeRoot&Version=2011-06-15", 501, "UnsupportedOperation"),
        (b"Action=AssumeRoot", 501, "UnsupportedOperation"),
        (b"Action=CreateUser&Version=2010-05-08", 501, "UnsupportedOperation"),
        (b"Action=SendMessage&Version=2011-06-15", 400, "InvalidAction"),
        (b"Action=SendMessage&Version=1999-01-01", 400, "NoSuchVersion"),
        (b"Action=GetCallerIdentity&Version=2012-11-05", 400, "InvalidAction"),
        (b"Action=Publish&Version=2010-03-31", 400, "InvalidAction"),
        (b"Action=%3Cb%3E", 400, "InvalidAction"),
        (b"", 404, "UnknownOperationException"),
        (b"Version=2011-06-15", 404, "UnknownOperationException"),
        (b"Action=%FF", 400, "MalformedQueryString"),
        (b"\xff", 400, "MalformedQueryString"),
        (b"a=1&" * 3000, 400, "MalformedQueryString"),
    ],
)
def test_a_query_request_that_is_not_served_is_refused_in_xml(wire, body, status, code):
    answer = wire.raw(body, FORM)
    assert answer.headers["content-type"] == "text/xml"
    assert answer.status == status
    assert xml(answer.body)["Code"] == code
    assert xml(answer.body)["RequestId"] == answer.headers["x-amzn-requestid"]


def test_a_query_request_may_be_a_get(wire):
    target = b"/?Action=GetCallerIdentity&Version=2011-06-15"
    answer = wire.raw(b"", {b"host": b"h"}, target, b"GET")
    assert xml(answer.body)["Account"] == "000000000000"


NAMESPACES = {
    "sqs": b'Response xmlns="http://queue.amazonaws.com/doc/2012-11-05/">',
    "sts": b'Response xmlns="https://sts.amazonaws.com/doc/2011-06-15/">',
    "iam": b'Response xmlns="https://iam.amazonaws.com/doc/2010-05-08/">',
    "": b'Response xmlns="http://webservices.amazon.com/AWSFault/2005-15-09">',
}


@pytest.mark.parametrize(
    ("body", "scope", "service"),
    [
        (b"Action=ListQueues&Version=2012-11-05", "sts", "sqs"),  # by the version
        (b"Action=GetCallerIdentity&Version=2011-06-15", "sqs", "sts"),
        (b"Action=Colour&Version=2011-06-15", "sqs", "sts"),
        (b"Action=ListQueues", "sts", "sts"),  # by the credential's scope
        (b"Action=Colour", "sqs", "sqs"),
        (b"%", "sqs", "sqs"),
        (b"", "sts", "sts"),
        (b"Action=ListQueues", "", "sqs"),  # by the action
        (b"Action=AssumeRole", "ec2", "sts"),
        (b"Action=GetRole&Version=2010-05-08", "sts", "iam"),
        (b"Action=AssumeRole", "iam", "iam"),
        (b"Action=GetRole", "", "iam"),
        (b"Action=GetCallerIdentity&Version=1", "", "sts"),
        (b"Action=Colour", "", ""),
        (b"%", "", ""),
        (b"Version=1", "ec2", ""),
    ],
)
def test_a_query_request_is_answered_as_the_service_that_it_means(wire, body, scope, service):
    credential = f"Credential=AKID/1/us-east-1/{scope}/aws4_request, x".encode()
    answer = wire.raw(body, {**FORM, b"authorization": credential})
    assert NAMESPACES[service] in answer.body
    parameters = body + f"&X-Amz-Credential=AKID/1/us-east-1/{scope}/aws4_request".encode()
    if body != b"%":
        assert NAMESPACES[service] in wire.raw(parameters, FORM).body


def test_a_bug_in_reading_a_query_request_lets_nothing_escape(wire):
    def admit(service: Service, path: bytes, form: dict[str, str]) -> None:
        raise KeyError("secret")

    service = Service(
        name="faulty",
        target_prefix="",
        content_type=XML,
        errors={},
        operations=[Operation("Run", dict, lambda call, request: b"{}", dict)],
        version="2026-01-01",
        admit=admit,
    )
    bugs: list[BaseException] = []
    dispatcher = Dispatcher(
        wire.engine, lambda bug, request_id: bugs.append(bug), query_services=[service]
    )
    replies = Replies()
    dispatcher(HttpRequest(b"GET", b"/?Action=Run", {}, b"", "peer"), replies)
    ((status, _, body),) = replies.replies
    assert status == 500
    assert b"secret" not in body
    assert [type(bug) for bug in bugs] == [KeyError]


# What goes wrong inside


class Faulty:
    """A service whose one operation does what the test says."""

    def __init__(self, engine: Engine, run: Any) -> None:
        self.bugs: list[BaseException] = []
        service = Service(
            name="faulty",
            target_prefix="Faulty",
            content_type=JSON_1_0,
            errors={},
            operations=[Operation("Run", dict, run)],
        )
        self._dispatcher = Dispatcher(engine, self._on_bug, [service])

    def _on_bug(self, bug: BaseException, request_id: str) -> None:
        assert request_id
        self.bugs.append(bug)

    def call(self, exchange: Any) -> None:
        headers = {**JSON, b"x-amz-target": b"Faulty.Run"}
        self._dispatcher(HttpRequest(b"POST", b"/", headers, b"{}", "peer"), exchange)


class Replies:
    def __init__(self) -> None:
        self.on_disconnect: OnDisconnect | None = None
        self.replies: list[tuple[int, bytes, bytes]] = []

    def reply(self, status: int, head: bytes, body: bytes) -> None:
        self.replies.append((status, head, body))

    def stream(self, status: int, head: bytes) -> ResponseStream:
        raise AssertionError("nothing is streamed here")


class NoWay:
    on_disconnect = None

    def reply(self, status: int, head: bytes, body: bytes) -> None:
        raise OSError("gone")


def test_a_bug_becomes_an_internal_failure_and_is_told_to_the_log_only(wire):
    def run(call: Call, request: dict[str, Any]) -> bytes:
        raise KeyError("secret")

    faulty, replies = Faulty(wire.engine, run), Replies()
    faulty.call(replies)
    ((status, _, body),) = replies.replies
    assert status == 500
    assert json.loads(body)["__type"] == "InternalFailure"
    assert b"secret" not in body
    (bug,) = faulty.bugs
    assert isinstance(bug, KeyError)
    assert bug.__traceback__ is not None


def test_a_bug_after_the_answer_does_not_answer_twice(wire):
    def run(call: Call, request: dict[str, Any]) -> bytes | None:
        call.answer(b"{}")
        raise KeyError("late")

    faulty, replies = Faulty(wire.engine, run), Replies()
    faulty.call(replies)
    assert [reply[0] for reply in replies.replies] == [200]
    assert len(faulty.bugs) == 1


def test_an_exchange_that_cannot_reply_lets_nothing_escape(wire):
    faulty = Faulty(wire.engine, lambda call, request: b"{}")
    faulty.call(NoWay())
    assert [type(bug) for bug in faulty.bugs] == [OSError]


def test_an_engine_that_is_not_ready_is_unavailable_so_that_sdks_try_again():
    engine, replies = Engine(MemoryStore()), Replies()
    headers = sqs_headers("ListQueues")
    Dispatcher(engine)(HttpRequest(b"POST", b"/", headers, b"{}", "peer"), replies)
    ((status, head, body),) = replies.replies
    assert status == 503
    assert json.loads(body)["__type"] == "com.amazonaws.sqs#ServiceUnavailable"
    assert b"x-amzn-query-error: ServiceUnavailable;Receiver\r\n" in head


# Durability


async def test_answers_and_errors_leave_when_what_they_tell_is_durable():
    store = HeldStore()
    async with Engine.open(store) as engine:
        dispatcher = Dispatcher(engine)

        def call(operation: str, **members: Any) -> Replies:
            replies = Replies()
            body = json.dumps(members).encode()
            request = HttpRequest(b"POST", b"/", sqs_headers(operation), body, "peer")
            dispatcher(request, replies)
            return replies

        created = call("CreateQueue", QueueName="orders")
        different = call("CreateQueue", QueueName="orders", Attributes={"DelaySeconds": "1"})
        sent = call("SendMessage", QueueUrl="orders", MessageBody="a")
        read = call("ReceiveMessage", QueueUrl="orders")
        refused = call("SetQueueAttributes", QueueUrl="orders", Attributes={"DelaySeconds": "x"})
        failed = call(
            "ChangeMessageVisibilityBatch",
            QueueUrl="orders",
            Entries=[{"Id": "1", "ReceiptHandle": "x", "VisibilityTimeout": 0}],
        )
        await asyncio.sleep(0)
        every = (created, different, sent, read, refused, failed)
        assert not any(replies.replies for replies in every)
        store.release()
        assert [replies.replies[0][0] for replies in every] == [200, 400, 200, 200, 400, 200]


async def test_a_failed_commit_is_unavailable():
    store = HeldStore()
    async with Engine.open(store) as engine:
        replies = Replies()
        body = b'{"QueueName": "orders"}'
        request = HttpRequest(b"POST", b"/", sqs_headers("CreateQueue"), body, "peer")
        Dispatcher(engine)(request, replies)
        await asyncio.sleep(0)
        store.fail()
        assert replies.replies[0][0] == 503


class HeldStore:
    """A store in memory whose appends end when the test says."""

    def __init__(self) -> None:
        self._store = MemoryStore(holds_replies=True)
        self._held: list[Any] = []
        self._is_open = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def append(self, batch: Any, done: Any) -> None:
        if self._is_open:
            self._store.append(batch, done)
        else:
            self._held.append((batch, done))

    def release(self) -> None:
        self._is_open = True
        for batch, done in self._held:
            self._store.append(batch, done)

    def fail(self) -> None:
        self._is_open = True
        for _, done in self._held:
            done(StoreUnavailable("disk full"))


@pytest.mark.parametrize("name", sorted(SQS.operations))
def test_every_operation_of_sqs_has_a_target(wire, name):
    answer = wire.call(name)
    assert answer.status in (200, 400)
    assert answer.json.get("__type", "") != "com.amazon.coral.service#UnknownOperationException"
