"""Clients of 2015, made by hand, against a real daemon: Query with the signatures of then.

Three manners of calling the same operations:

- `service`: POST of a form to the service, the queue as the parameter QueueUrl (AWS's own SDKs for
  Python, Ruby and the cli);
- `queue`: POST of a form to the queue's own URL, which is not a parameter (Java, .NET);
- `url`: GET of the queue's URL with everything in the query string, signed in version 2 (boto 2,
  PHP, and programs without an SDK).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.client import HTTPConnection, HTTPResponse
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote, urlencode, urlsplit
from urllib.request import urlopen
from xml.etree import ElementTree

import pytest

NAMESPACE = "{http://queue.amazonaws.com/doc/2012-11-05/}"
ACCESS_KEY, SECRET = "AKIDEXAMPLE", "secret"
Parameters = dict[str, str]


class Failed(Exception):
    """An error answer."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(f"{status} {code}: {message}")
        self.status = status
        self.code = code
        self.message = message


class OldClient:
    """Calls operations of SQS in one manner, over one connection that is kept."""

    def __init__(self, endpoint: str, manner: str, region: str = "us-east-1") -> None:
        self.host = urlsplit(endpoint).netloc
        self.manner = manner
        self.region = region
        self.connection = HTTPConnection(self.host, timeout=30)

    def call(self, action: str, queue_url: str = "", **parameters: str) -> ElementTree.Element:
        """The result's element; the response's where there is no result. Raises Failed."""
        return self.request(action, queue_url, parameters)

    def request(self, action: str, queue_url: str, parameters: Parameters) -> ElementTree.Element:
        """As `call`, for parameters whose names have dots."""
        given = {"Action": action, "Version": "2012-11-05", **parameters}
        path = "/" if self.manner == "service" else urlsplit(queue_url).path or "/"
        if queue_url and self.manner == "service":
            given["QueueUrl"] = queue_url
        if self.manner == "url":
            signed = self.signed_in_version_2(path, given)
            self.connection.request("GET", f"{path}?{signed}", headers={"User-Agent": "Boto/2.38"})
        else:
            body = urlencode(given).encode()
            self.connection.request("POST", path, body, self.headers_of_version_4(path, body))
        return read(self.connection.getresponse(), action)

    def signed_in_version_2(self, path: str, given: Parameters) -> str:
        """The query string with its signature: sorted, and escaped as RFC 3986 has it."""
        given = given | {
            "AWSAccessKeyId": ACCESS_KEY,
            "SignatureMethod": "HmacSHA256",
            "SignatureVersion": "2",
            "Timestamp": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        query = "&".join(f"{escaped(name)}={escaped(given[name])}" for name in sorted(given))
        text = f"GET\n{self.host}\n{path}\n{query}"
        digest = hmac.new(SECRET.encode(), text.encode(), hashlib.sha256).digest()
        return f"{query}&Signature={escaped(base64.b64encode(digest).decode())}"

    def headers_of_version_4(self, path: str, body: bytes) -> dict[str, str]:
        """The headers of a signed POST."""
        now = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        scope = f"{now[:8]}/{self.region}/sqs/aws4_request"
        payload = hashlib.sha256(body).hexdigest()
        text = f"POST\n{path}\n\nhost:{self.host}\nx-amz-date:{now}\n\nhost;x-amz-date\n{payload}"
        key = f"AWS4{SECRET}".encode()
        for part in (now[:8], self.region, "sqs", "aws4_request", text):
            key = hmac.new(key, part.encode(), hashlib.sha256).digest()
        return {
            "Content-Type": "application/x-www-form-urlencoded; charset=utf-8",
            "User-Agent": "aws-sdk-java/1.9.16 Linux/3.13 Java_HotSpot(TM)/24.79",
            "X-Amz-Date": now,
            "Authorization": f"AWS4-HMAC-SHA256 Credential={ACCESS_KEY}/{scope}, "
            f"SignedHeaders=host;x-amz-date, Signature={key.hex()}",
        }


def escaped(text: str) -> str:
    return quote(text, safe="-_.~")


def read(response: HTTPResponse, action: str) -> ElementTree.Element:
    """The result of an answer, whose envelope is checked."""
    assert response.headers["Content-Type"] == "text/xml"
    request_id = response.headers["x-amzn-requestid"]
    root = ElementTree.fromstring(response.read())
    if response.status != 200:
        assert root.tag == f"{NAMESPACE}ErrorResponse"
        assert root.findtext(f"{NAMESPACE}RequestId") == request_id
        error = root.find(f"{NAMESPACE}Error")
        assert error is not None
        code, message = (error.findtext(NAMESPACE + name) or "" for name in ("Code", "Message"))
        raise Failed(response.status, code, message)
    assert root.tag == f"{NAMESPACE}{action}Response"
    metadata = root.find(f"{NAMESPACE}ResponseMetadata")
    assert metadata is not None
    assert metadata.findtext(f"{NAMESPACE}RequestId") == request_id
    result = root.find(f"{NAMESPACE}{action}Result")
    return root if result is None else result


def text_of(element: ElementTree.Element, name: str) -> str:
    found = element.findtext(NAMESPACE + name)
    assert found is not None, name
    return found


def texts(element: ElementTree.Element, name: str) -> list[str]:
    return [found.text or "" for found in element.iter(NAMESPACE + name)]


def pairs(element: ElementTree.Element, name: str, key: str = "Name") -> dict[str, str]:
    entries = element.findall(NAMESPACE + name)
    return {text_of(entry, key): text_of(entry, "Value") for entry in entries}


@pytest.fixture(params=["service", "queue", "url"])
def client(request: pytest.FixtureRequest, daemon: Any) -> Iterator[OldClient]:
    made = OldClient(daemon.url, request.param)
    yield made
    made.connection.close()


@pytest.fixture
def queue(client: OldClient, queue_name: str) -> str:
    created = client.call("CreateQueue", QueueName=queue_name)
    return text_of(created, "QueueUrl")


BODY = 'a & b <c> "d" \r\n\t é€😀 100% + 1 ]]>'


def test_a_message_goes_through_send_receive_and_delete(client, queue):
    sent = client.request(
        "SendMessage",
        queue,
        {
            "MessageBody": BODY,
            "MessageAttribute.1.Name": "binary",
            "MessageAttribute.1.Value.DataType": "Binary",
            "MessageAttribute.1.Value.BinaryValue": base64.b64encode(bytes(range(256))).decode(),
            "MessageAttribute.2.Name": "text",
            "MessageAttribute.2.Value.DataType": "String",
            "MessageAttribute.2.Value.StringValue": BODY,
        },
    )
    assert text_of(sent, "MD5OfMessageBody") == hashlib.md5(BODY.encode()).hexdigest()
    received = client.request(
        "ReceiveMessage", queue, {"AttributeName.1": "All", "MessageAttributeName.1": "All"}
    )
    (message,) = received.findall(f"{NAMESPACE}Message")
    assert text_of(message, "MessageId") == text_of(sent, "MessageId")
    assert text_of(message, "Body") == BODY
    assert text_of(message, "MD5OfMessageAttributes") == text_of(sent, "MD5OfMessageAttributes")
    assert pairs(message, "Attribute")["ApproximateReceiveCount"] == "1"
    (blob,) = texts(message, "BinaryValue")
    assert base64.b64decode(blob) == bytes(range(256))
    assert texts(message, "StringValue") == [BODY]
    handle = text_of(message, "ReceiptHandle")
    client.call("ChangeMessageVisibility", queue, ReceiptHandle=handle, VisibilityTimeout="60")
    client.call("DeleteMessage", queue, ReceiptHandle=handle)
    assert counts(client, queue) == ["0", "0", "0"]


def counts(client: OldClient, queue: str) -> list[str]:
    """Messages that are visible, in flight, delayed."""
    count = "ApproximateNumberOfMessages"
    names = [count, f"{count}NotVisible", f"{count}Delayed"]
    asked = {f"AttributeName.{index}": name for index, name in enumerate(names, 1)}
    shown = pairs(client.request("GetQueueAttributes", queue, asked), "Attribute")
    return [shown[name] for name in names]


def test_entries_of_a_batch_succeed_and_fail_each_for_itself(client, queue):
    entry = "SendMessageBatchRequestEntry"
    sent = client.request(
        "SendMessageBatch",
        queue,
        {
            f"{entry}.1.Id": "one",
            f"{entry}.1.MessageBody": "first",
            f"{entry}.2.Id": "two",
            f"{entry}.2.MessageBody": "second",
            f"{entry}.2.DelaySeconds": "901",
            f"{entry}.3.Id": "three",
            f"{entry}.3.MessageBody": "third",
        },
    )
    assert [text_of(e, "Id") for e in sent.findall(f"{NAMESPACE}SendMessageBatchResultEntry")] == [
        "one",
        "three",
    ]
    (failed,) = sent.findall(f"{NAMESPACE}BatchResultErrorEntry")
    assert [text_of(failed, name) for name in ("Id", "Code", "SenderFault")] == [
        "two",
        "InvalidParameterValue",
        "true",
    ]
    handles: list[str] = []
    while len(handles) < 2:
        received = client.call(
            "ReceiveMessage", queue, MaxNumberOfMessages="10", WaitTimeSeconds="10"
        )
        handles += texts(received, "ReceiptHandle")
    for action, more in (
        ("ChangeMessageVisibilityBatch", {"VisibilityTimeout": "90"}),
        ("DeleteMessageBatch", {}),
    ):
        parameters: Parameters = {}
        for index, handle in enumerate([*handles, "unreadable"], 1):
            members = {"Id": f"id-{index}", "ReceiptHandle": handle, **more}
            for name, value in members.items():
                parameters[f"{action}RequestEntry.{index}.{name}"] = value
        answered = client.request(action, queue, parameters)
        assert texts(answered, "Id") == ["id-1", "id-2", "id-3"]
        assert texts(answered, "Code") == ["ReceiptHandleIsInvalid"]
    assert counts(client, queue) == ["0", "0", "0"]


def test_queues_are_found_changed_and_deleted(client, queue, queue_name):
    assert text_of(client.call("GetQueueUrl", queue, QueueName=queue_name), "QueueUrl") == queue
    listed = client.call("ListQueues", QueueNamePrefix=queue_name)
    assert texts(listed, "QueueUrl") == [queue]
    client.request(
        "SetQueueAttributes",
        queue,
        {"Attribute.1.Name": "VisibilityTimeout", "Attribute.1.Value": "7"},
    )
    shown = client.request("GetQueueAttributes", queue, {"AttributeName.1": "VisibilityTimeout"})
    assert pairs(shown, "Attribute") == {"VisibilityTimeout": "7"}
    client.request(
        "TagQueue",
        queue,
        {"Tag.1.Key": "team", "Tag.1.Value": "a", "Tag.2.Key": "b", "Tag.2.Value": ""},
    )
    assert pairs(client.call("ListQueueTags", queue), "Tag", "Key") == {"team": "a", "b": ""}
    client.request("UntagQueue", queue, {"TagKey.1": "team"})
    assert pairs(client.call("ListQueueTags", queue), "Tag", "Key") == {"b": ""}
    assert texts(client.call("ListDeadLetterSourceQueues", queue), "QueueUrl") == []
    client.call("PurgeQueue", queue)
    client.call("DeleteQueue", queue)
    with pytest.raises(Failed) as raised:
        client.call("GetQueueUrl", QueueName=queue_name)
    assert raised.value.status == 400
    assert raised.value.code == "AWS.SimpleQueueService.NonExistentQueue"
    assert raised.value.message == "The specified queue does not exist."


def test_a_long_poll_is_answered_when_a_message_arrives(client, queue):
    received: list[str] = []

    def wait() -> None:
        waiting = OldClient(f"http://{client.host}", client.manner)
        answer = waiting.call("ReceiveMessage", queue, WaitTimeSeconds="20")
        received.extend(texts(answer, "Body"))
        waiting.connection.close()

    thread = threading.Thread(target=wait)
    thread.start()
    client.call("SendMessage", queue, MessageBody="arrived")
    thread.join()
    assert received == ["arrived"]


def test_errors_leave_the_connection_as_it_was(client, queue):
    for parameters, code in (
        ({"MessageBody": "a", "DelaySeconds": "soon"}, "MalformedInput"),
        ({"MessageBody": "a", "DelaySeconds": "901"}, "InvalidParameterValue"),
        ({"MessageBody": "\x01"}, "InvalidMessageContents"),
        ({}, "MissingParameter"),
    ):
        with pytest.raises(Failed) as raised:
            client.request("SendMessage", queue, parameters)
        assert (raised.value.status, raised.value.code) == (400, code)
    with pytest.raises(Failed, match="InvalidAction"):
        client.call("Colour", queue)
    assert counts(client, queue) == ["0", "0", "0"]


def test_the_greatest_message_goes_through(daemon, queue_name):
    client = OldClient(daemon.url, "queue")
    queue = text_of(client.call("CreateQueue", QueueName=queue_name), "QueueUrl")
    body = "é<&\r\n%+" * (1_048_576 // 8)  # each has 8 bytes
    client.call("SendMessage", queue, MessageBody=body)
    assert texts(client.call("ReceiveMessage", queue), "Body") == [body]
    client.connection.close()


def test_an_address_typed_into_a_browser_is_enough(daemon, queue_name):
    def get(path: str) -> bytes:
        with urlopen(f"{daemon.url}{path}", timeout=30) as answer:
            return answer.read()

    get(f"/?Action=CreateQueue&QueueName={queue_name}")
    sent = get(f"/000000000000/{queue_name}?Action=SendMessage&MessageBody=hello+world%21")
    assert b"<MD5OfMessageBody>fc3ff98e8c6a0d3087d515c0473f8677</MD5OfMessageBody>" in sent
    received = get(f"/000000000000/{queue_name}/?Action=ReceiveMessage&AttributeName=All")
    assert b"<Body>hello world!</Body>" in received
    with pytest.raises(HTTPError, match="404") as raised:
        get(f"/000000000000/{queue_name}?MessageBody=a")
    assert b"<Code>UnknownOperationException</Code>" in raised.value.read()
    raised.value.close()


def test_an_old_and_a_new_client_share_a_queue(daemon, sqs, queue_name):
    client = OldClient(daemon.url, "service")
    queue = text_of(client.call("CreateQueue", QueueName=queue_name), "QueueUrl")
    assert sqs.get_queue_url(QueueName=queue_name)["QueueUrl"] == queue
    client.call("SendMessage", queue, MessageBody=BODY)
    (message,) = sqs.receive_message(QueueUrl=queue)["Messages"]
    assert message["Body"] == BODY
    client.call("DeleteMessage", queue, ReceiptHandle=message["ReceiptHandle"])
    sqs.send_message(QueueUrl=queue, MessageBody=BODY)
    assert texts(client.call("ReceiveMessage", queue), "Body") == [BODY]
    client.connection.close()


def test_what_an_old_client_was_told_is_there_after_a_kill(own_daemon, queue_name):
    client = OldClient(own_daemon.url, "url")
    queue = text_of(client.call("CreateQueue", QueueName=queue_name), "QueueUrl")
    client.call("SendMessage", queue, MessageBody=BODY)
    own_daemon.kill()
    own_daemon.start()
    again = OldClient(own_daemon.url, "queue")
    assert texts(again.call("ReceiveMessage", queue), "Body") == [BODY]
    for used in (client, again):
        used.connection.close()


@pytest.mark.parametrize("manner", ["service", "queue"])
def test_the_region_is_the_one_of_the_signature(daemon, queue_name, manner):
    here, there = (OldClient(daemon.url, manner, region) for region in ("us-east-1", "eu-west-1"))
    queue = text_of(there.call("CreateQueue", QueueName=queue_name), "QueueUrl")
    shown = there.request("GetQueueAttributes", queue, {"AttributeName.1": "QueueArn"})
    arn = f"arn:aws:sqs:eu-west-1:000000000000:{queue_name}"
    assert pairs(shown, "Attribute") == {"QueueArn": arn}
    with pytest.raises(Failed, match="NonExistentQueue"):
        here.call("ReceiveMessage", queue)
    for used in (here, there):
        used.connection.close()
