"""SQS over Query: every operation, with POST and GET, at `/` and at the queue's own path."""

from __future__ import annotations

import json
from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest

from eventcore.api.dispatch import Dispatcher
from eventcore.api.operation import Call, Operation, Service
from eventcore.api.sqs import SQS
from eventcore.api.sqs_query import SQS_QUERY
from eventcore.stores.memory import MemoryStore
from eventcore.testing.faults import FaultyStore
from tests.wire.query_client import MODEL, NAMESPACE, QueryClient, parameters_of, parse

PATH = "/000000000000/orders"
URL = f"http://localhost:9324{PATH}"
SERVICE_PREFIXES = {"sqs": "AmazonSQS", "events": "AWSEvents"}
GOLDEN = sorted((Path(__file__).parent / "golden" / "sqs").glob("*.json"))


@pytest.fixture
def query(wire) -> QueryClient:
    return QueryClient(wire)


@pytest.fixture
def queue(query) -> dict[str, str]:
    return {"QueueUrl": query.call("CreateQueue", QueueName="orders")["QueueUrl"]}


# The same conversations as in AWS JSON


@pytest.mark.parametrize("method", ["POST", "GET"])
@pytest.mark.parametrize("file", GOLDEN, ids=lambda file: file.stem)
async def test_a_conversation_of_json_is_held_in_query_with_the_same_answers(wire_on, file, method):
    async with wire_on(MemoryStore()) as plain, wire_on(MemoryStore()) as wire:
        query = QueryClient(wire)
        for exchange in json.loads(file.read_text()):
            for each in (plain, wire):
                each.clock.advance(exchange.get("wait_ms", 0))
            operation, members = exchange["operation"], exchange["request"]
            service = SERVICE_PREFIXES[exchange.get("service", "sqs")]
            expected = plain.call(operation, service=service, **members)
            if not is_sayable(exchange):
                wire.call(operation, service=service, **members)  # what follows may build on it
                continue
            answer = query.send(operation, method=method, **as_given(members))
            assert answer.status == expected.status
            if answer.status == 200:
                parsed = parse(operation, answer)
                del parsed["ResponseMetadata"]
                assert parsed == without_empty(as_given(expected.json))
            else:
                code = expected.headers["x-amzn-query-error"].partition(";")[0]
                assert query.error(answer) == (code, expected.json["message"])


def is_sayable(exchange: dict[str, Any]) -> bool:
    """Whether Query can say it: known members of right types, and nothing empty or null in it."""
    operations = {*SQS.operations, *SQS.missing_operations}
    if exchange.get("service", "sqs") != "sqs" or exchange["operation"] not in operations:
        return False
    if "SerializationException" in exchange["answer"]["body"]:
        return False
    shape = MODEL.operation_model(exchange["operation"]).input_shape
    return exchange["request"].keys() <= shape.members.keys() and is_full(exchange["request"])


def is_full(value: Any) -> bool:
    if isinstance(value, dict | list):
        inner = value.values() if isinstance(value, dict) else value
        return all(item not in ({}, [], None) and is_full(item) for item in inner)
    return True


def as_given(value: Any) -> Any:
    """Members as a program gives and gets them: blobs as bytes instead of base64."""
    if isinstance(value, dict):
        return {k: b64decode(v) if k == "BinaryValue" else as_given(v) for k, v in value.items()}
    return [as_given(item) for item in value] if isinstance(value, list) else value


def without_empty(answer: dict[str, Any]) -> dict[str, Any]:
    """An answer without its empty lists and maps, of which nothing is seen in Query."""
    return {member: value for member, value in answer.items() if value not in ([], {})}


def test_most_conversations_can_be_held_in_query():
    exchanges = [e for file in GOLDEN for e in json.loads(file.read_text())]
    sayable = [e for e in exchanges if is_sayable(e)]
    assert len(sayable) > len(exchanges) * 3 / 4
    assert {e["operation"] for e in sayable} == {e["operation"] for e in exchanges} & set(
        SQS.operations
    )


# The very bytes


def test_an_answer_is_xml_in_the_namespace_of_sqs(query):
    answer = query.send("CreateQueue", QueueName="orders")
    request_id = answer.headers["x-amzn-requestid"]
    assert answer.headers["content-type"] == "text/xml"
    assert answer.body.decode() == (
        f'<?xml version="1.0"?><CreateQueueResponse xmlns="{NAMESPACE}"><CreateQueueResult>'
        f"<QueueUrl>{URL}</QueueUrl></CreateQueueResult><ResponseMetadata><RequestId>{request_id}"
        "</RequestId></ResponseMetadata></CreateQueueResponse>"
    )


def test_nothing_received_is_an_empty_element(query, queue):
    body = query.send("ReceiveMessage", **queue).body
    assert b"<ReceiveMessageResult/><ResponseMetadata>" in body


def test_an_operation_that_answers_nothing_has_no_element_for_a_result(query, queue):
    for operation, members in (
        ("TagQueue", {"Tags": {"a": "b"}}),
        ("UntagQueue", {"TagKeys": ["a"]}),
        ("SetQueueAttributes", {"Attributes": {"DelaySeconds": "0"}}),
        ("PurgeQueue", {}),
        ("DeleteQueue", {}),
    ):
        answer = query.send(operation, **queue, **members)
        assert answer.body.decode() == (
            f'<?xml version="1.0"?><{operation}Response xmlns="{NAMESPACE}"><ResponseMetadata>'
            f"<RequestId>{answer.headers['x-amzn-requestid']}</RequestId></ResponseMetadata>"
            f"</{operation}Response>"
        )


def test_lists_and_maps_are_flat_under_their_older_names(query, queue):
    attributes = {
        "n": {"DataType": "Number", "StringValue": "1"},
        "b": {"DataType": "Binary", "BinaryValue": b"\0\1"},
    }
    query.call("SendMessage", **queue, MessageBody="a", MessageAttributes=attributes)
    body = query.send(
        "ReceiveMessage",
        **queue,
        AttributeNames=["ApproximateReceiveCount"],
        MessageAttributeNames=["All"],
    ).body
    assert b"<ReceiveMessageResult><Message><MessageId>" in body
    assert b"<Attribute><Name>ApproximateReceiveCount</Name><Value>1</Value></Attribute>" in body
    assert (
        b"<MessageAttribute><Name>b</Name><Value><BinaryValue>AAE=</BinaryValue>"
        b"<DataType>Binary</DataType></Value></MessageAttribute>" in body
    )


def test_an_error_is_xml_with_an_empty_detail(query):
    answer = query.send("GetQueueUrl", QueueName="missing")
    assert answer.status == 400
    assert answer.headers["content-type"] == "text/xml"
    assert answer.body.decode() == (
        f'<?xml version="1.0"?><ErrorResponse xmlns="{NAMESPACE}"><Error><Type>Sender</Type>'
        "<Code>AWS.SimpleQueueService.NonExistentQueue</Code>"
        "<Message>The specified queue does not exist.</Message><Detail/></Error>"
        f"<RequestId>{answer.headers['x-amzn-requestid']}</RequestId></ErrorResponse>"
    )


@pytest.mark.parametrize(
    "body",
    [
        "a & b < c > d \"e\" 'f'",
        "&amp;&lt;&#xD;&quot;",
        "one\r\ntwo\rthree\nfour\tfive",
        "]]> <![CDATA[x]]> <!-- y --> <?z?>",
        "é€😀\u007f\u0085\u2028\ufffd",
        "100% + 1 = %31%30%31 & more",
        " leading and trailing ",
        "null",
        "\r",
    ],
)
@pytest.mark.parametrize("method", ["POST", "GET"])
def test_every_text_survives_as_a_body_and_as_an_attribute(query, queue, body, method):
    attributes = {"text": {"DataType": "String", "StringValue": body}}
    members = {**queue, "MessageBody": body, "MessageAttributes": attributes}
    sent = query.call("SendMessage", method=method, **members)
    assert sent == query.wire.call("SendMessage", **members).json | {"MessageId": sent["MessageId"]}
    messages = query.call(
        "ReceiveMessage", method=method, **queue, MaxNumberOfMessages=10,
        MessageAttributeNames=["All"],
    )["Messages"]  # fmt: skip
    assert [message["Body"] for message in messages] == [body, body]
    assert [message["MessageAttributes"] for message in messages] == [attributes, attributes]


def test_what_xml_cannot_hold_does_not_break_an_answer(query):
    answer = query.send("CreateQueue", QueueName="a", tags={"bell \a": "\0\ufffe"})
    assert answer.status == 200
    tags = query.call("ListQueueTags", QueueUrl="a")["Tags"]
    assert tags == {"bell \ufffd": "\ufffd\ufffd"}
    answer = query.send("GetQueueAttributes", QueueUrl="a", AttributeNames=["\x1b<"])
    assert query.error(answer) == ("InvalidAttributeName", "Unknown Attribute \ufffd<.")


# Paths


@pytest.mark.parametrize("method", ["POST", "GET"])
@pytest.mark.parametrize("path", [PATH, PATH + "/"])
@pytest.mark.usefixtures("queue")
def test_the_path_names_the_queue(query, path, method):
    def call(operation: str, **members: Any) -> dict[str, Any]:
        return query.call(operation, method=method, path=path, **members)

    call("SendMessage", MessageBody="a")
    (message,) = call("ReceiveMessage")["Messages"]
    handle = message["ReceiptHandle"]
    call("ChangeMessageVisibility", ReceiptHandle=handle, VisibilityTimeout=9)
    call("DeleteMessage", ReceiptHandle=handle)
    call("SetQueueAttributes", Attributes={"DelaySeconds": "3"})
    assert call("GetQueueAttributes", AttributeNames=["DelaySeconds"]) == {
        "Attributes": {"DelaySeconds": "3"}
    }
    call("TagQueue", Tags={"team": "a"})
    assert call("ListQueueTags") == {"Tags": {"team": "a"}}
    call("UntagQueue", TagKeys=["team"])
    assert call("GetQueueUrl", QueueName="orders") == {"QueueUrl": URL}
    call("PurgeQueue")
    call("DeleteQueue")
    assert query.call("ListQueues") == {}


@pytest.mark.usefixtures("queue")
def test_a_queue_url_among_the_parameters_goes_before_the_path(query):
    other = query.call("CreateQueue", QueueName="other")["QueueUrl"]
    query.call("SendMessage", path=PATH, QueueUrl=other, MessageBody="a")
    assert "Messages" not in query.call("ReceiveMessage", path=PATH)
    assert len(query.call("ReceiveMessage", path=PATH, QueueUrl=other)["Messages"]) == 1


@pytest.mark.usefixtures("queue")
def test_an_empty_queue_url_is_none(query):
    answer = query.raw(b"Action=SendMessage&QueueUrl=&MessageBody=a", path=PATH)
    assert answer.status == 200
    answer = query.raw(b"Action=SendMessage&QueueUrl=&MessageBody=a")
    assert query.error(answer) == (
        "MissingParameter",
        "The request must contain the parameter QueueUrl.",
    )


@pytest.mark.usefixtures("queue")
def test_a_path_may_be_escaped_and_may_come_with_its_host(query):
    parameters = b"Action=GetQueueAttributes&AttributeName=QueueArn"
    for path in ("/000000000000/%6Frders", f"http://other:1{PATH}", f"https://other{PATH}/"):
        answer = query.raw(parameters, path=path, method="GET")
        attributes = parse("GetQueueAttributes", answer)["Attributes"]
        assert attributes["QueueArn"].endswith(":orders")


@pytest.mark.parametrize("path", ["/", "/orders", "/00000000000/orders", "//000000000000/orders"])
@pytest.mark.usefixtures("queue")
def test_other_paths_name_no_queue(query, path):
    answer = query.send("ReceiveMessage", path=path)
    assert query.error(answer)[0] == "MissingParameter"


@pytest.mark.parametrize(
    "path", ["/000000000000/%FF", "/000000000000/missing", "/111111111111/orders"]
)
@pytest.mark.usefixtures("queue")
def test_the_path_of_no_queue_is_told_so(query, path):
    answer = query.send("ReceiveMessage", path=path)
    assert query.error(answer)[0] == "AWS.SimpleQueueService.NonExistentQueue"


@pytest.mark.parametrize("operation", ["CreateQueue", "ListQueues"])
def test_queues_are_not_made_and_listed_at_the_path_of_one(query, operation):
    answer = query.send(operation, path=PATH, **({"QueueName": "a"} if "C" in operation else {}))
    assert answer.status == 400
    assert query.error(answer) == (
        "InvalidAction",
        f"The action {operation} is not valid for this endpoint.",
    )
    assert query.call("ListQueues") == {}


# Lists as AWS's first clients wrote them


@pytest.mark.usefixtures("queue")
def test_a_list_or_map_of_one_needs_no_index(query):
    parameters = b"Action=SetQueueAttributes&Attribute.Name=DelaySeconds&Attribute.Value=5"
    assert query.raw(parameters, path=PATH, method="GET").status == 200
    answer = query.raw(b"Action=GetQueueAttributes&AttributeName=DelaySeconds", path=PATH)
    assert parse("GetQueueAttributes", answer)["Attributes"] == {"DelaySeconds": "5"}
    entry = b"SendMessageBatchRequestEntry.Id=a&SendMessageBatchRequestEntry.MessageBody=b"
    answer = query.raw(b"Action=SendMessageBatch&" + entry, path=PATH)
    assert [e["Id"] for e in parse("SendMessageBatch", answer)["Successful"]] == ["a"]


@pytest.mark.usefixtures("queue")
def test_indexes_say_the_order_only(query):
    entries = b"".join(
        b"&SendMessageBatchRequestEntry.%d.Id=%c&SendMessageBatchRequestEntry.%d.MessageBody=x"
        % (index, letter, index)
        for index, letter in ((10, b"c"), (0, b"a"), (9, b"b"))
    )
    answer = query.raw(b"Action=SendMessageBatch" + entries, path=PATH)
    assert [e["Id"] for e in parse("SendMessageBatch", answer)["Successful"]] == ["a", "b", "c"]


# Versions


@pytest.mark.parametrize("service", SQS_QUERY, ids=lambda service: service.version)
def test_each_version_is_answered_in_its_namespace(query, service):
    parameters = b"Action=%b&Version=" + service.version.encode()
    for answer in (query.raw(parameters % b"ListQueues"), query.raw(parameters % b"GetQueueUrl")):
        namespace = f'Response xmlns="http://queue.amazonaws.com/doc/{service.version}/">'
        assert namespace in answer.body.decode()


@pytest.mark.parametrize("authorization", [b"", b"Credential=a/1/us-east-1/sqs/aws4_request,"])
@pytest.mark.parametrize("version", ["2012-09-15", "", "x" * 300])
def test_another_version_does_not_exist(query, version, authorization):
    parameters = {"Action": "ListQueues", "Version": version}
    answer = query.raw(parameters, authorization=authorization)
    assert answer.status == 400
    assert query.error(answer) == (
        "NoSuchVersion",
        f"The requested version ({version[:256]}) of service AmazonSQS does not exist.",
    )


# Long polls


async def test_a_long_poll_is_answered_in_xml_when_a_message_arrives(query, queue):
    waiting = query.send("ReceiveMessage", method="GET", **queue, WaitTimeSeconds=20)
    assert not waiting.is_there
    query.wire.clock.advance(1000)
    query.wire.call("SendMessage", **queue, MessageBody="a\r<")
    await query.wire.settle(waiting)
    (message,) = parse("ReceiveMessage", waiting)["Messages"]
    assert message["Body"] == "a\r<"


async def test_a_long_poll_ends_empty_after_its_time(query, queue):
    waiting = query.send("ReceiveMessage", **queue, WaitTimeSeconds=20)
    query.wire.clock.advance(20_000)
    await query.wire.settle(waiting)
    assert "Messages" not in parse("ReceiveMessage", waiting)


async def test_a_long_poll_whose_commit_fails_ends_with_an_error_in_xml(wire_on):
    store = FaultyStore(MemoryStore(holds_replies=True))
    async with wire_on(store) as wire:
        query = QueryClient(wire)
        created = query.send("CreateQueue", QueueName="orders")
        await wire.settle(created)
        waiting = query.send("ReceiveMessage", QueueUrl="orders", WaitTimeSeconds=20)
        store.plan[store.appends + 1] = "fail_before"
        query.send("SendMessage", QueueUrl="orders", MessageBody="a")
        await wire.settle(waiting)
        assert waiting.status == 503
        assert query.error(waiting)[0] == "ServiceUnavailable"


async def test_a_client_that_hangs_up_takes_no_message(query, queue):
    waiting = query.send("ReceiveMessage", **queue, WaitTimeSeconds=20)
    assert waiting.on_disconnect is not None
    waiting.on_disconnect()
    query.call("SendMessage", **queue, MessageBody="a")
    await query.wire.settle(waiting)
    assert not waiting.is_there
    assert len(query.call("ReceiveMessage", **queue)["Messages"]) == 1


# Who calls

SCOPE = "111122223333/20150901/eu-west-1/sqs/aws4_request"


@pytest.mark.parametrize(
    ("signed", "region"),
    [
        ({"X-Amz-Credential": SCOPE, "X-Amz-Signature": "0"}, "eu-west-1"),
        ({"AWSAccessKeyId": "111122223333", "SignatureVersion": "2"}, "us-east-1"),
    ],
)
@pytest.mark.parametrize("method", ["POST", "GET"])
def test_the_credential_may_be_among_the_parameters(query, signed, region, method):
    parameters = {"Action": "CreateQueue", "QueueName": "orders", **signed}
    answer = query.raw(parameters, method=method, authorization=b"")
    assert parse("CreateQueue", answer)["QueueUrl"].endswith("/111122223333/orders")
    assert query.wire.engine.queue(f"arn:aws:sqs:{region}:111122223333:orders")


def test_the_credential_of_the_header_goes_before_the_one_among_the_parameters(query):
    parameters = {"Action": "CreateQueue", "QueueName": "orders", "AWSAccessKeyId": "111122223333"}
    answer = query.raw(parameters)
    assert parse("CreateQueue", answer)["QueueUrl"].endswith("/000000000000/orders")


@pytest.mark.parametrize("credential", ["", "a/b", "é/1/2/3/4", "x" * 100_000])
def test_a_credential_that_cannot_be_read_means_the_default_account(query, credential):
    for name in ("X-Amz-Credential", "AWSAccessKeyId"):
        parameters = {"Action": "CreateQueue", "QueueName": "orders", name: credential}
        answer = query.raw(parameters, authorization=b"")
        assert parse("CreateQueue", answer)["QueueUrl"].endswith("/000000000000/orders")


# One table of operations


def test_every_operation_of_json_is_reached_in_query(query):
    for name in SQS.operations:
        answer = query.raw({"Action": name, "Version": "2012-11-05"})
        if answer.status != 200:
            code, _ = query.error(answer)
            assert code in ("MissingParameter", "InvalidParameterValue"), name
    for name in SQS.missing_operations:
        answer = query.raw({"Action": name})
        assert answer.status == 501
        assert query.error(answer)[0] == "AWS.SimpleQueueService.UnsupportedOperation"


def test_json_goes_before_query_whatever_the_path_and_the_query_string(wire, query, queue):
    headers = {
        b"host": b"h",
        b"content-type": b"application/x-amz-json-1.0",
        b"x-amz-target": b"AmazonSQS.SendMessage",
    }
    body = json.dumps({**queue, "MessageBody": "a"}).encode()
    for target in (PATH.encode(), b"/?Action=DeleteQueue&QueueUrl=orders"):
        assert wire.raw(body, headers, target).json["MessageId"]


# What goes wrong inside


def test_an_answer_that_cannot_be_written_is_an_internal_failure_and_tells_the_log(wire):
    def handle(call: Call, request: dict[str, Any]) -> bytes:
        return b"no JSON"

    service = SQS_QUERY[0]
    faulty = Service(
        name="sqs",
        target_prefix="",
        content_type=service.content_type,
        operations=[Operation("ListQueues", dict, handle, lambda form: form)],
        errors={},
        namespace=service.namespace,
        write_fault=service.write_fault,
        write_answer=service.write_answer,
        version=service.version,
    )
    bugs: list[BaseException] = []
    wire.dispatcher = Dispatcher(
        wire.engine, lambda bug, request_id: bugs.append(bug), query_services=[faulty]
    )
    query = QueryClient(wire)
    answer = query.raw(parameters_of("ListQueues", {}))
    assert answer.status == 500
    assert query.error(answer)[0] == "InternalFailure"
    assert len(bugs) == 1
