"""The side doors, on an engine in memory: what LocalStack's clients expect, and our own pages."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any
from xml.etree import ElementTree

import pytest

from eventcore import limits
from eventcore.errors import StoreUnavailable
from eventcore.server import localstack_messages
from eventcore.server.doors import with_doors
from eventcore.server.queue_reader import MESSAGES_FIRST
from eventcore.server.queue_views import decode_messages_page, decode_queues_page
from eventcore.stores.memory import MemoryStore
from eventcore.testing import FaultyStore
from eventcore.wire.http import HttpRequest
from tests.wire.conftest import AUTHORIZATION, HOST, START_MS, Answer, Wire

MESSAGES = "/_aws/sqs/messages"
JSON = {b"accept": b"application/json"}
FORM = {b"content-type": b"application/x-www-form-urlencoded"}
AWS_JSON = {
    b"content-type": b"application/x-amz-json-1.0",
    b"x-amz-target": b"AmazonSQS.ReceiveMessage",
    b"authorization": AUTHORIZATION,
}
XMLNS = "{http://queue.amazonaws.com/doc/2012-11-05/}"
PATH = "/_eventcore/queues/000000000000/us-east-1/orders"


class Doors:
    """The doors of a wire's engine, in front of its dispatcher."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self._dispatch = with_doors(
            wire.dispatcher, wire.engine, lambda bug, request_id: wire.bugs.append(bug)
        )

    def start(
        self,
        target: str,
        headers: dict[bytes, bytes] | None = None,
        *,
        method: bytes = b"GET",
        body: bytes = b"",
    ) -> Answer:
        """The answer may not be there yet."""
        answer = Answer()
        all_headers = {b"host": HOST.encode(), **(headers or {})}
        request = HttpRequest(method, target.encode(), all_headers, body, "127.0.0.1:5000")
        self._dispatch(request, answer)
        return answer

    async def get(
        self,
        target: str,
        headers: dict[bytes, bytes] | None = None,
        *,
        method: bytes = b"GET",
        body: bytes = b"",
    ) -> Answer:
        """Waits for the answer."""
        answer = self.start(target, headers, method=method, body=body)
        while not answer.is_there:
            await asyncio.sleep(0)
        return answer

    async def peek(self, url: str, **parameters: str) -> list[dict[str, Any]]:
        """The messages, as LocalStack's JSON has them."""
        query = "&".join(f"{name}={value}" for name, value in parameters.items())
        answer = await self.get(f"{MESSAGES}?QueueUrl={url}&{query}", JSON)
        assert answer.status == 200, answer.body
        result = answer.json["ReceiveMessageResponse"]["ReceiveMessageResult"]
        return [] if result is None else result["Message"]


@pytest.fixture
async def doors(wire: Wire) -> AsyncIterator[Doors]:
    yield Doors(wire)
    assert not wire.bugs


def send(wire: Wire, url: str, *bodies: str, **members: Any) -> None:
    for body in bodies:
        answer = wire.call("SendMessage", QueueUrl=url, MessageBody=body, **members)
        assert answer.status == 200, answer.body


def attributes_of(message: dict[str, Any]) -> dict[str, str]:
    return {pair["Name"]: pair["Value"] for pair in message["Attribute"]}


def bodies_of(messages: list[dict[str, Any]]) -> list[str]:
    return [message["Body"] for message in messages]


# LocalStack's messages


async def test_a_peek_is_xml_with_all_attributes(doors: Doors, wire: Wire) -> None:
    url = wire.create_queue()
    send(
        wire, url, "<a&b>\r\n", MessageAttributes={"k": {"DataType": "String", "StringValue": "v"}}
    )
    answer = await doors.get(f"{MESSAGES}?QueueUrl={url}")
    assert (answer.status, answer.headers["content-type"]) == (200, "text/xml")
    root = ElementTree.fromstring(answer.body)
    assert root.tag == f"{XMLNS}ReceiveMessageResponse"
    (message,) = root.iterfind(f"{XMLNS}ReceiveMessageResult/{XMLNS}Message")
    assert message.findtext(f"{XMLNS}Body") == "<a&b>\r\n"
    assert message.findtext(f"{XMLNS}ReceiptHandle") == "SQS/BACKDOOR/ACCESS"
    names = [element.text for element in message.iterfind(f"{XMLNS}Attribute/{XMLNS}Name")]
    assert names == [
        "SenderId",
        "SentTimestamp",
        "ApproximateReceiveCount",
        "ApproximateFirstReceiveTimestamp",
    ]
    value = message.find(f"{XMLNS}MessageAttribute/{XMLNS}Value")
    assert value is not None
    assert value.findtext(f"{XMLNS}StringValue") == "v"
    assert (
        root.findtext(f"{XMLNS}ResponseMetadata/{XMLNS}RequestId")
        == (answer.headers["x-amzn-requestid"])
    )


async def test_json_is_asked_for_by_the_accept_header(doors: Doors, wire: Wire) -> None:
    url = wire.create_queue()
    answer = await doors.get(f"{MESSAGES}?QueueUrl={url}", JSON)
    assert answer.json["ReceiveMessageResponse"]["ReceiveMessageResult"] is None
    send(wire, url, "one", MessageAttributes={"k": {"DataType": "Binary", "BinaryValue": "AAE="}})
    (message,) = await doors.peek(url)  # a list also of one
    assert message["Body"] == "one"
    assert message["MessageAttribute"] == [
        {"Name": "k", "Value": {"BinaryValue": "AAE=", "DataType": "Binary"}}
    ]
    assert attributes_of(message)["SentTimestamp"] == str(START_MS)


async def test_a_peek_changes_nothing(doors: Doors, wire: Wire) -> None:
    url = wire.create_queue()
    send(wire, url, "a", "b")
    before = await wire.rows()
    first = await doors.peek(url)
    wire.clock.advance(1_000)
    assert await doors.peek(url) == first
    assert [attributes_of(one)["ApproximateReceiveCount"] for one in first] == ["0", "0"]
    assert await wire.rows() == before
    received = wire.call("ReceiveMessage", QueueUrl=url, MaxNumberOfMessages=10).json["Messages"]
    assert sorted(bodies_of(received)) == ["a", "b"]


async def test_hidden_messages_are_shown_on_demand(doors: Doors, wire: Wire) -> None:
    url = wire.create_queue()
    send(wire, url, "received", "visible")
    send(wire, url, "delayed", DelaySeconds=60)
    wire.call("ReceiveMessage", QueueUrl=url)
    assert bodies_of(await doors.peek(url)) == ["visible"]
    assert bodies_of(await doors.peek(url, ShowInvisible="true")) == ["received", "visible"]
    assert bodies_of(await doors.peek(url, ShowDelayed="True")) == ["visible", "delayed"]
    assert bodies_of(await doors.peek(url, ShowInvisible="false", ShowDelayed="0")) == ["visible"]
    shown = await doors.peek(url, ShowInvisible="1", ShowDelayed="1")
    flags = [attributes_of(one) for one in shown]
    assert [(one["IsVisible"], one["IsDelayed"]) for one in flags] == [
        ("false", "false"),
        ("true", "false"),
        ("true", "true"),
    ]
    assert [one["ApproximateReceiveCount"] for one in flags] == ["1", "0", "0"]
    assert flags[0]["ApproximateFirstReceiveTimestamp"] == str(START_MS)


async def test_a_fifo_queue_tells_of_groups_and_sequence_numbers(doors: Doors, wire: Wire) -> None:
    url = wire.create_queue("orders.fifo", FifoQueue="true")
    for number in range(3):
        send(wire, url, str(number), MessageGroupId="g", MessageDeduplicationId=str(number))
    shown = [attributes_of(one) for one in await doors.peek(url)]
    assert [one["MessageGroupId"] for one in shown] == ["g"] * 3
    assert [one["MessageDeduplicationId"] for one in shown] == ["0", "1", "2"]
    assert sorted({one["SequenceNumber"] for one in shown}) == [
        one["SequenceNumber"] for one in shown
    ]


async def test_a_receive_in_aws_json_is_answered_in_aws_json(doors: Doors, wire: Wire) -> None:
    url = wire.create_queue()
    body = json.dumps({"QueueUrl": url, "MaxNumberOfMessages": 1, "WaitTimeSeconds": 20}).encode()
    empty = await doors.get(MESSAGES, AWS_JSON, method=b"POST", body=body)
    assert (empty.status, empty.json) == (200, {})
    send(wire, url, "a", "b")
    answer = await doors.get(MESSAGES + "/", AWS_JSON, method=b"POST", body=body)
    assert answer.headers["content-type"] == "application/x-amz-json-1.0"
    assert bodies_of(answer.json["Messages"]) == ["a", "b"]
    assert answer.json["Messages"][0]["Attributes"]["ApproximateReceiveCount"] == "0"


async def test_a_receive_in_query_is_answered_in_xml(doors: Doors, wire: Wire) -> None:
    url = wire.create_queue()
    send(wire, url, "a")
    body = f"Action=ReceiveMessage&Version=2012-11-05&QueueUrl={url}".encode()
    answer = await doors.get(f"{MESSAGES}?ShowDelayed=true", FORM, method=b"POST", body=body)
    root = ElementTree.fromstring(answer.body)
    assert [element.text for element in root.iter(f"{XMLNS}Body")] == ["a"]


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost:4566/000000000000/orders",
        "http://sqs.eu-west-1.localhost.localstack.cloud:4566/000000000000/orders",
        "http://eu-west-1.queue.localhost.localstack.cloud:4566/000000000000/orders",
        "http://localhost:4566/queue/eu-west-1/000000000000/orders",
        "https://sqs.eu-west-1.amazonaws.com/000000000000/orders",
        "/000000000000/orders",
        "orders",
    ],
)
async def test_every_form_of_a_queue_url_finds_the_queue(
    doors: Doors, client: Callable[..., Any], url: str
) -> None:
    sqs = client("sqs", region="eu-west-1")
    queue = sqs.create_queue(QueueName="orders")["QueueUrl"]
    sqs.send_message(QueueUrl=queue, MessageBody="here")
    assert bodies_of(await doors.peek(url)) == ["here"]


async def test_the_region_decides_where_two_queues_have_the_name(
    doors: Doors, client: Callable[..., Any]
) -> None:
    for region in ("eu-west-1", "us-west-2"):
        sqs = client("sqs", region=region)
        queue = sqs.create_queue(QueueName="orders")["QueueUrl"]
        sqs.send_message(QueueUrl=queue, MessageBody=region)
    found = await doors.get(f"{MESSAGES}/us-west-2/000000000000/orders", JSON)
    result = found.json["ReceiveMessageResponse"]["ReceiveMessageResult"]
    assert bodies_of(result["Message"]) == ["us-west-2"]
    assert bodies_of(await doors.peek("http://sqs.eu-west-1.x/000000000000/orders")) == [
        "eu-west-1"
    ]
    unsaid = await doors.get(f"{MESSAGES}?QueueUrl={queue}", JSON)
    assert unsaid.status == 400


async def test_a_queue_that_does_not_exist_is_told_in_the_form_of_the_answer(doors: Doors) -> None:
    target = f"{MESSAGES}?QueueUrl=http://localhost/000000000000/nope"
    xml = await doors.get(target)
    root = ElementTree.fromstring(xml.body)
    assert xml.status == 400
    code = root.findtext(f"{XMLNS}Error/{XMLNS}Code")
    assert code == "AWS.SimpleQueueService.NonExistentQueue"
    as_json = await doors.get(target, JSON)
    assert as_json.json["ErrorResponse"]["Error"]["Code"] == code
    body = b'{"QueueUrl": "nope"}'
    aws_json = await doors.get(MESSAGES, AWS_JSON, method=b"POST", body=body)
    assert (aws_json.status, aws_json.error) == (400, "QueueDoesNotExist")
    assert aws_json.headers["x-amzn-query-error"] == f"{code};Sender"


@pytest.mark.parametrize(
    ("target", "method", "status", "code"),
    [
        (MESSAGES, b"GET", 400, "MissingParameter"),
        (MESSAGES + "?QueueUrl=", b"GET", 400, "MissingParameter"),
        (MESSAGES + "?QueueUrl=http://host", b"GET", 400, "InvalidAddress"),
        (MESSAGES + "?QueueUrl=http://[", b"GET", 400, "InvalidAddress"),
        (MESSAGES + "?QueueUrl=" + "x" * 2_000, b"GET", 400, "InvalidAddress"),
        (MESSAGES + "?QueueUrl=%zz", b"GET", 400, "MalformedQueryString"),
        (MESSAGES + "?QueueUrl=a&Action=SendMessage", b"GET", 400, "UnknownOperationException"),
        (MESSAGES + "?QueueUrl=a", b"DELETE", 405, "MethodNotAllowed"),
        (MESSAGES + "/us-east-1/000000000000", b"GET", 404, "NotFound"),
        ("/_aws", b"GET", 404, "NotFound"),
        ("/_aws/ses", b"GET", 404, "NotFound"),
    ],
)
async def test_what_makes_no_sense_is_refused(
    doors: Doors, target: str, method: bytes, status: int, code: str
) -> None:
    answer = await doors.get(target, JSON, method=method)
    assert answer.status == status
    assert answer.json["ErrorResponse"]["Error"]["Code"] == code
    assert answer.headers.get("allow") == ("GET, HEAD, POST" if status == 405 else None)


@pytest.mark.parametrize(
    ("changed", "body", "status", "code"),
    [
        ({}, b"", 400, "SerializationException"),
        ({}, b"{", 400, "SerializationException"),
        ({}, b'{"QueueUrl": 1}', 400, "SerializationException"),
        ({}, b"{}", 400, "MissingRequiredParameterException"),
        ({b"x-amz-target": b"AmazonSQS.SendMessage"}, b"{}", 400, "UnknownOperationException"),
        ({b"x-amz-target": b"Other.ReceiveMessage"}, b"{}", 400, "UnknownOperationException"),
        ({}, b" " * (limits.DOOR_BODY_BYTES_MAX + 1), 413, "RequestEntityTooLarge"),
    ],
)
async def test_a_bad_request_in_aws_json_is_refused_in_it(
    doors: Doors, changed: dict[bytes, bytes], body: bytes, status: int, code: str
) -> None:
    answer = await doors.get(MESSAGES, {**AWS_JSON, **changed}, method=b"POST", body=body)
    assert (answer.status, answer.error) == (status, code)


# Bounds, slices, commits


async def test_a_large_queue_is_cut_and_says_so(
    doors: Doors, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = wire.create_queue()
    bodies = [str(number) for number in range(2 * limits.DOOR_SLICE)]
    send(wire, url, *bodies)
    target = f"{MESSAGES}?QueueUrl={url}"
    monkeypatch.setattr(limits, "PEEK_MESSAGES_MAX", len(bodies))
    assert "x-eventcore-truncated" not in (await doors.get(target)).headers
    monkeypatch.setattr(limits, "PEEK_MESSAGES_MAX", limits.DOOR_SLICE)
    assert (await doors.get(target)).headers["x-eventcore-truncated"] == "true"
    assert bodies_of(await doors.peek(url)) == bodies[: limits.DOOR_SLICE]


@pytest.mark.parametrize(("bound", "value"), [("DOOR_ANSWER_BYTES_MAX", 1), ("DOOR_SLICES_MAX", 1)])
async def test_bytes_and_slices_are_bounded_too(
    doors: Doors, wire: Wire, monkeypatch: pytest.MonkeyPatch, bound: str, value: int
) -> None:
    url = wire.create_queue()
    send(wire, url, *("x" for _ in range(3 * limits.DOOR_SLICE)))
    monkeypatch.setattr(limits, bound, value)
    answer = await doors.get(f"{MESSAGES}?QueueUrl={url}", JSON)
    assert answer.headers["x-eventcore-truncated"] == "true"
    assert len(await doors.peek(url)) == MESSAGES_FIRST
    page = decode_messages_page((await doors.get(f"{PATH}/messages?max=1000")).body)
    assert (len(page.messages), page.next) == (MESSAGES_FIRST, MESSAGES_FIRST - 1)
    assert not page.is_end


async def test_large_messages_are_read_one_by_one_and_none_is_left_out(
    doors: Doors, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = wire.create_queue()
    sizes = [1, 1, 1, 1, 900, 900, 900, 1, 1, 1, 1, 1, 1, 1, 900, 1, 1]
    send(
        wire, url, *(letter * size for letter, size in zip("abcdefghijklmnopq", sizes, strict=True))
    )
    monkeypatch.setattr(limits, "DOOR_SLICE_BYTES", 1_000)
    shown = await doors.peek(url)
    assert [message["Body"][0] for message in shown] == list("abcdefghijklmnopq")
    for page_max in (1, 2, 3, 6):
        numbers: list[int] = []
        after, is_end = -1, False
        while not is_end:
            target = f"{PATH}/messages?after={after}&max={page_max}"
            page = decode_messages_page((await doors.get(target)).body)
            numbers += [message.number for message in page.messages]
            after, is_end = page.next, page.is_end
        assert numbers == list(range(17))


async def test_gaps_in_the_numbers_end_nothing(
    doors: Doors, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "BROWSE_STEPS_MAX", 3)
    url = wire.create_queue()
    send(wire, url, *(str(number) for number in range(40)))
    received = []
    while messages := wire.call("ReceiveMessage", QueueUrl=url, MaxNumberOfMessages=10).json:
        received += messages["Messages"]
    for message in received:
        if message["Body"] not in ("1", "38"):
            handle = message["ReceiptHandle"]
            wire.call("DeleteMessage", QueueUrl=url, ReceiptHandle=handle)
    assert bodies_of(await doors.peek(url, ShowInvisible="true")) == ["1", "38"]
    page = decode_messages_page((await doors.get(f"{PATH}/messages")).body)
    assert ([one.number for one in page.messages], page.next, page.is_end) == ([1, 38], 39, True)
    page = decode_messages_page((await doors.get(f"{PATH}/messages?last=10")).body)
    assert [one.number for one in page.messages] == [38]


async def test_others_have_their_turn_while_a_large_queue_is_looked_at(
    doors: Doors, wire: Wire
) -> None:
    url = wire.create_queue()
    send(wire, url, *("x" for _ in range(3 * limits.DOOR_SLICE)))
    answer = doors.start(f"{MESSAGES}?QueueUrl={url}", JSON)
    assert not answer.is_there
    send(wire, url, "sent meanwhile")
    while not answer.is_there:
        await asyncio.sleep(0)
    messages = answer.json["ReceiveMessageResponse"]["ReceiveMessageResult"]["Message"]
    assert messages[-1]["Body"] == "sent meanwhile"


async def test_a_queue_deleted_meanwhile_ends_the_look(doors: Doors, wire: Wire) -> None:
    url = wire.create_queue()
    send(wire, url, *("x" for _ in range(3 * limits.DOOR_SLICE)))
    answer = doors.start(f"{MESSAGES}?QueueUrl={url}", JSON)
    assert wire.call("DeleteQueue", QueueUrl=url).status == 200
    while not answer.is_there:
        await asyncio.sleep(0)
    error = answer.json["ErrorResponse"]["Error"]
    assert error["Code"] == "AWS.SimpleQueueService.NonExistentQueue"


async def test_long_looks_wait_for_their_turn(
    doors: Doors, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = wire.create_queue()
    send(wire, url, *("x" for _ in range(3 * limits.DOOR_SLICE)))
    monkeypatch.setattr(limits, "DOORS_RUNNING_MAX", 1)
    target = f"{MESSAGES}?QueueUrl={url}"
    first, gone, third = (doors.start(target) for _ in range(3))
    assert (await doors.get("/_localstack/health")).status == 200  # a short one does not wait
    assert gone.on_disconnect is not None
    gone.on_disconnect()
    while not third.is_there:
        await asyncio.sleep(0)
    assert (first.status, third.status, gone.is_there) == (200, 200, False)


async def test_a_client_that_is_gone_ends_the_look_and_lets_the_next_one_in(
    doors: Doors, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = wire.create_queue()
    send(wire, url, *("x" for _ in range(3 * limits.DOOR_SLICE)))
    monkeypatch.setattr(limits, "DOORS_RUNNING_MAX", 1)
    target = f"{MESSAGES}?QueueUrl={url}"
    first, second = doors.start(target), doors.start(target)
    assert first.on_disconnect is not None
    first.on_disconnect()
    while not second.is_there:
        await asyncio.sleep(0)
    assert (first.is_there, second.status) == (False, 200)


async def test_nothing_is_told_before_it_is_durable(wire_on: Any) -> None:
    store = FaultyStore(MemoryStore(holds_replies=True))
    async with wire_on(store) as wire:
        doors = Doors(wire)
        created = wire.call("CreateQueue", QueueName="orders")
        url = (await wire.settle(created)).json["QueueUrl"]
        store.hold()
        wire.call("SendMessage", QueueUrl=url, MessageBody="a")
        answer = doors.start(f"{MESSAGES}?QueueUrl={url}", JSON)
        other = doors.start(f"{PATH}/messages")
        for _ in range(10):
            await asyncio.sleep(0)
        assert store.held == 1
        assert not answer.is_there
        assert not other.is_there
        store.release()
        while not (answer.is_there and other.is_there):
            await asyncio.sleep(0)
        assert b'"Body":"a"' in answer.body
        assert [one.body for one in decode_messages_page(other.body).messages] == ["a"]


async def test_what_a_failed_commit_took_back_is_not_told(wire_on: Any) -> None:
    store = FaultyStore(MemoryStore(holds_replies=True))
    async with wire_on(store) as wire:
        doors = Doors(wire)
        created = wire.call("CreateQueue", QueueName="orders")
        url = (await wire.settle(created)).json["QueueUrl"]
        store.plan[store.appends + 1] = "fail_before"
        wire.call("SendMessage", QueueUrl=url, MessageBody="never stored")
        answer = await doors.get(f"{MESSAGES}?QueueUrl={url}", JSON)
        assert (answer.status, b"never stored" in answer.body) == (503, False)
        health = await doors.get("/_localstack/health")
        while health.status == 503:
            assert set(health.json["services"].values()) == {"starting"}
            health = await doors.get("/_localstack/health")
            await asyncio.sleep(0)
        assert await doors.peek(url) == []


async def test_spilled_bodies_are_read_back_and_a_failing_read_is_a_503(
    wire_on: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = FaultyStore(MemoryStore())
    async with wire_on(store) as wire:
        doors = Doors(wire)
        monkeypatch.setattr(wire.engine, "_memory_bytes_max", 0)
        url = wire.create_queue()
        send(wire, url, "spilled")
        assert bodies_of(await doors.peek(url)) == ["spilled"]
        store.reads_failing = 1
        answer = await doors.get(f"{MESSAGES}?QueueUrl={url}", JSON)
        assert (answer.status, answer.json["ErrorResponse"]["Error"]["Type"]) == (503, "Receiver")


async def test_a_bug_is_a_500_and_reported(
    doors: Doors, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = wire.create_queue()
    send(wire, url, "a")

    def fail(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(localstack_messages, "_message", fail)
    answer = await doors.get(f"{MESSAGES}?QueueUrl={url}", JSON)
    assert answer.json["ErrorResponse"]["Error"]["Code"] == "InternalFailure"
    assert [type(bug) for bug in wire.bugs] == [ZeroDivisionError]
    wire.bugs.clear()


async def test_an_engine_that_takes_no_requests_is_a_503(
    doors: Doors, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> None:
        raise StoreUnavailable("not now")

    monkeypatch.setattr(wire.engine.host, "begin", refuse)
    for target in (f"{MESSAGES}?QueueUrl=a", "/_eventcore/queues", "/_localstack/health"):
        assert (await doors.get(target)).status == 503


# LocalStack's status


async def test_a_service_runs_when_it_holds_something(doors: Doors, wire: Wire) -> None:
    answer = await doors.get("/_localstack/health")
    assert answer.body.startswith(b'{"services": {"sqs": "available", "events": "available"')
    wire.create_queue()
    health = (await doors.get("/_localstack/health")).json
    assert health["services"] == {
        "sqs": "running",
        "events": "available",
        "kinesis": "available",
        "lambda": "available",
        "sts": "available",
        "iam": "available",
    }
    assert set(health) == {"services", "edition", "version"}
    wire.call("CreateStream", service="Kinesis_20131202", StreamName="s", ShardCount=1)
    health = (await doors.get("/_localstack/health")).json
    assert health["services"]["kinesis"] == "running"


async def test_init_has_no_scripts_and_is_complete(doors: Doors) -> None:
    whole = (await doors.get("/_localstack/init")).json
    assert whole == {
        "completed": {"BOOT": True, "START": True, "READY": True, "SHUTDOWN": False},
        "scripts": [],
    }
    ready = await doors.get("/_localstack/init/ready")
    assert ready.body == b'{"completed": true, "scripts": []}\n'
    assert (await doors.get("/_localstack/init/shutdown")).json["completed"] is False


async def test_info_tells_version_and_uptime(doors: Doors, wire: Wire) -> None:
    before = (await doors.get("/_localstack/info")).json
    wire.clock.advance(3_000)
    after = (await doors.get("/_localstack/info")).json
    assert after["uptime"] - before["uptime"] == 3
    assert after["session_id"] == before["session_id"]
    assert before["server_time_utc"] == "2023-11-14T22:13:20"
    assert before["is_license_activated"] is False


@pytest.mark.parametrize(
    ("target", "method", "status"),
    [
        ("/_localstack/health", b"HEAD", 200),
        ("/_localstack/health/", b"GET", 200),
        ("/_localstack/health?reload=1", b"GET", 200),
        ("/_localstack/health", b"POST", 405),
        ("/_localstack", b"GET", 404),
        ("/_localstack/init/never", b"GET", 404),
        ("/_localstack/config", b"GET", 404),
    ],
)
async def test_other_status_paths_do_not_exist(
    doors: Doors, target: str, method: bytes, status: int
) -> None:
    assert (await doors.get(target, method=method)).status == status


# Our own door


async def test_queues_come_in_pages_with_their_counts(doors: Doors, wire: Wire) -> None:
    for number in range(limits.DOOR_SLICE + 5):
        wire.create_queue(f"q{number:03}")
    send(wire, "q001", "a", "b")
    send(wire, "q001", "c", DelaySeconds=60)
    wire.call("ReceiveMessage", QueueUrl="q001")
    wire.clock.advance(5_000)
    whole = decode_queues_page((await doors.get("/_eventcore/queues?max=1000")).body)
    assert [view.name for view in whole.queues] == [f"q{n:03}" for n in range(55)]
    assert whole.next is None
    view = whole.queues[1]
    assert (view.visible, view.in_flight, view.delayed, view.oldest_age_ms) == (1, 1, 1, 5_000)
    assert view.url == f"http://{HOST}/000000000000/q001"
    assert view.move_task is None
    pages = [decode_queues_page((await doors.get("/_eventcore/queues?max=54")).body)]
    rest = await doors.get(f"/_eventcore/queues?max=54&after={pages[0].next}")
    pages.append(decode_queues_page(rest.body))
    assert [view for page in pages for view in page.queues] == whole.queues
    assert (pages[0].next, pages[1].next) == (whole.queues[53].arn, None)


async def test_one_queue_tells_of_its_running_move_task(doors: Doors, wire: Wire) -> None:
    dead = wire.create_queue("dead")
    arn = "arn:aws:sqs:us-east-1:000000000000:dead"
    policy = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 1})
    url = wire.create_queue("orders", RedrivePolicy=policy)
    send(wire, url, "a", "b", "c")
    for _ in range(2):
        wire.call("ReceiveMessage", QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=0)
    assert len(await doors.peek(dead)) == 3
    started = wire.call("StartMessageMoveTask", SourceArn=arn, MaxNumberOfMessagesPerSecond=1)
    path = "/_eventcore/queues/000000000000/us-east-1/dead"
    view = (await doors.get(path)).json
    task = view["move_task"]
    assert task["task_handle"] == started.json["TaskHandle"]
    assert (task["per_second"], task["to_move"], task["started_ms"]) == (1, 3, START_MS)
    wire.call("CancelMessageMoveTask", TaskHandle=task["task_handle"])
    assert (await doors.get(path)).json["move_task"] is None


async def test_messages_come_in_pages_and_end(doors: Doors, wire: Wire) -> None:
    url = wire.create_queue()
    send(wire, url, "a", "b")
    send(wire, url, "c", DelaySeconds=60)
    received = wire.call("ReceiveMessage", QueueUrl=url).json["Messages"][0]
    first = decode_messages_page((await doors.get(f"{PATH}/messages?max=2")).body)
    assert [(one.body, one.state, one.receives) for one in first.messages] == [
        ("a", "in flight", 1),
        ("b", "visible", 0),
    ]
    assert first.messages[0].visible_ms == START_MS + limits.VISIBILITY_TIMEOUT_MS_DEFAULT
    assert (first.next, first.is_end, first.created_ms) == (1, False, START_MS)
    second = decode_messages_page((await doors.get(f"{PATH}/messages?after=1")).body)
    assert [(one.body, one.state, one.number) for one in second.messages] == [("c", "delayed", 2)]
    assert (second.next, second.is_end) == (2, True)
    wire.call("DeleteMessage", QueueUrl=url, ReceiptHandle=received["ReceiptHandle"])
    third = decode_messages_page((await doors.get(f"{PATH}/messages")).body)
    assert [one.body for one in third.messages] == ["b", "c"]


@pytest.mark.parametrize("sent", [0, 1, 2, 5, 64, 131])
async def test_the_last_ones_are_found(doors: Doors, wire: Wire, sent: int) -> None:
    url = wire.create_queue()
    send(wire, url, *(str(number) for number in range(sent)))
    for last in (0, 1, 3, 1_000):
        page = decode_messages_page((await doors.get(f"{PATH}/messages?last={last}&max=1000")).body)
        shown = [one.body for one in page.messages]
        assert shown == [str(number) for number in range(max(0, sent - last), sent)]
        assert (page.next, page.is_end) == (sent - 1, True)


async def test_the_last_ones_are_counted_by_their_sends(doors: Doors, wire: Wire) -> None:
    url = wire.create_queue()
    send(wire, url, *"abcd")
    wire.call("PurgeQueue", QueueUrl=url)
    send(wire, url, "e")
    page = decode_messages_page((await doors.get(f"{PATH}/messages?last=3")).body)
    assert [one.body for one in page.messages] == ["e"]
    page = decode_messages_page((await doors.get(f"{PATH}/messages?last=0")).body)
    assert (page.messages, page.next) == ([], 4)


@pytest.mark.parametrize("accept", [b"application/jsonl", b"application/x-ndjson, */*"])
async def test_messages_come_as_json_lines_on_demand(
    doors: Doors, wire: Wire, accept: bytes
) -> None:
    url = wire.create_queue()
    attributes = {"k": {"DataType": "Binary.gif", "BinaryValue": "AAE="}}
    send(wire, url, "a\nb", "c", MessageAttributes=attributes)
    answer = await doors.get(f"{PATH}/messages", {b"accept": accept})
    lines = [json.loads(line) for line in answer.body.splitlines()]
    assert [line["body"] for line in lines] == ["a\nb", "c"]
    assert lines[0]["attributes"] == {"k": {"data_type": "Binary.gif", "binary": "AAE="}}
    assert answer.headers["x-eventcore-next"] == "1"
    assert answer.headers["x-eventcore-end"] == "true"
    part = await doors.get(f"{PATH}/messages?max=1", {b"accept": accept})
    assert (part.headers["x-eventcore-next"], "x-eventcore-end" in part.headers) == ("0", False)
    end = await doors.get(f"{PATH}/messages?after=1", {b"accept": accept})
    assert (end.body, end.headers["x-eventcore-end"]) == (b"", "true")


@pytest.mark.parametrize(
    ("target", "status", "code"),
    [
        ("/_eventcore", 404, "NotFound"),
        ("/_eventcore/queues/000000000000", 404, "NotFound"),
        (PATH + "x", 404, "QueueDoesNotExist"),
        (PATH + "x/messages", 404, "QueueDoesNotExist"),
        (PATH + "x/messages?last=1", 404, "QueueDoesNotExist"),
        (PATH + "/other", 404, "NotFound"),
        (PATH + "/messages?max=0", 400, "InvalidParameterValue"),
        (PATH + "/messages?max=1001", 400, "InvalidParameterValue"),
        (PATH + "/messages?max=one", 400, "InvalidParameterValue"),
        (PATH + "/messages?after=-2", 400, "InvalidParameterValue"),
        (PATH + "/messages?after=" + "9" * 40, 400, "InvalidParameterValue"),
        (PATH + "/messages?after=%D9%A3", 400, "InvalidParameterValue"),
        (PATH + "/messages?last=-5", 400, "InvalidParameterValue"),
        ("/_eventcore/queues?max=1001", 400, "InvalidParameterValue"),
        ("/_eventcore/queues?max=%zz", 400, "MalformedQueryString"),
    ],
)
async def test_our_door_refuses_what_makes_no_sense(
    doors: Doors, wire: Wire, target: str, status: int, code: str
) -> None:
    wire.create_queue()
    answer = await doors.get(target)
    assert (answer.status, answer.json["__type"]) == (status, code)
    assert answer.json["message"]


async def test_our_door_is_read_only(doors: Doors) -> None:
    for method in (b"POST", b"PUT", b"DELETE"):
        answer = await doors.get("/_eventcore/queues", method=method)
        assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD")


async def test_other_paths_are_the_dispatcher_s(doors: Doors) -> None:
    for target in ("/", "/_other", "/_awsx/sqs", "/queue/_aws", "/_", "_aws/sqs/messages"):
        answer = await doors.get(target)
        assert (answer.status, answer.error) == (404, "UnknownOperationException")
