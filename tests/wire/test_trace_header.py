"""The HTTP header X-Amzn-Trace-Id goes with what a request sends, unless that names one itself."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest

from eventcore.api.trace_header import read_trace_id
from eventcore.limits import TRACE_HEADER_CHARACTERS_MAX
from tests.wire.conftest import Wire

HEADER = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Lineage=a87bd80c:1"
OWN = {"AWSTraceHeader": {"DataType": "String", "StringValue": "Root=own"}}
QUEUE_ARN = "arn:aws:sqs:us-east-1:000000000000:q"


@pytest.fixture
def traced(client: Callable[..., Any]) -> Callable[[str], Any]:
    """Clients that send the header, as botocore does within a function."""

    def make(service: str, header: str = HEADER) -> Any:
        made = client(service)

        def add(request: Any, **_: object) -> None:
            request.headers["X-Amzn-Trace-Id"] = header

        made.meta.events.register(f"before-sign.{service}", add)
        return made

    return make


@pytest.fixture
def queue(sqs: Any) -> dict[str, str]:
    return {"QueueUrl": sqs.create_queue(QueueName="q")["QueueUrl"]}


def headers_of(sqs: Any, queue: dict[str, str]) -> list[str | None]:
    received = sqs.receive_message(**queue, MaxNumberOfMessages=10, AttributeNames=["All"])
    return [message["Attributes"].get("AWSTraceHeader") for message in received["Messages"]]


def test_a_message_has_the_header_of_its_request(sqs, traced, queue):
    sent = traced("sqs").send_message(**queue, MessageBody="a")
    assert "MD5OfMessageSystemAttributes" not in sent, "none was in the message"
    attributes = {"a": {"DataType": "String", "StringValue": "b"}}
    traced("sqs").send_message(**queue, MessageBody="a", MessageAttributes=attributes)
    sqs.send_message(**queue, MessageBody="c")
    assert headers_of(sqs, queue) == [HEADER, HEADER, None]


def test_a_message_of_a_fifo_queue_has_it_too(sqs, traced):
    fifo = {"FifoQueue": "true", "ContentBasedDeduplication": "true"}
    url = sqs.create_queue(QueueName="q.fifo", Attributes=fifo)["QueueUrl"]
    traced("sqs").send_message(QueueUrl=url, MessageBody="a", MessageGroupId="g")
    assert headers_of(sqs, {"QueueUrl": url}) == [HEADER]


def test_a_message_that_names_its_own_keeps_it(sqs, traced, queue):
    sent = traced("sqs").send_message(**queue, MessageBody="a", MessageSystemAttributes=OWN)
    assert "MD5OfMessageSystemAttributes" in sent
    assert headers_of(sqs, queue) == ["Root=own"]


def test_every_message_of_a_batch_has_it_but_for_those_with_their_own(sqs, traced, queue):
    entries = [
        {"Id": "1", "MessageBody": "a"},
        {"Id": "2", "MessageBody": "b", "MessageSystemAttributes": OWN},
        {"Id": "3", "MessageBody": "c"},
    ]
    assert len(traced("sqs").send_message_batch(**queue, Entries=entries)["Successful"]) == 3
    assert headers_of(sqs, queue) == [HEADER, "Root=own", HEADER]


def test_a_query_request_has_it_too(wire: Wire, sqs, queue):
    form = {
        b"content-type": b"application/x-www-form-urlencoded",
        b"x-amzn-trace-id": HEADER.encode(),
    }
    body = b"Action=SendMessage&MessageBody=a&QueueUrl=" + queue["QueueUrl"].encode()
    assert wire.raw(body, form).status == 200
    assert headers_of(sqs, queue) == [HEADER]


def test_an_event_takes_it_along_to_its_targets(sqs, events, traced, queue):
    events.put_rule(Name="r", EventPattern=json.dumps({"source": ["shop"]}))
    events.put_targets(Rule="r", Targets=[{"Id": "t", "Arn": QUEUE_ARN}])
    entry = {"Source": "shop", "DetailType": "d", "Detail": "{}"}
    traced("events").put_events(Entries=[entry, {**entry, "TraceHeader": "Root=own"}])
    events.put_events(Entries=[entry])
    assert headers_of(sqs, queue) == [HEADER, "Root=own", None]


@pytest.mark.parametrize("header", ["x" * (TRACE_HEADER_CHARACTERS_MAX + 1), "Root=\x7f", ""])
def test_a_header_that_can_not_be_one_is_passed_over(wire: Wire, sqs, queue, header):
    headers = {
        b"content-type": b"application/x-amz-json-1.0",
        b"x-amz-target": b"AmazonSQS.SendMessage",
        b"x-amzn-trace-id": header.encode("latin-1"),
    }
    body = json.dumps({**queue, "MessageBody": "a"}).encode()
    assert wire.raw(body, headers).status == 200
    assert headers_of(sqs, queue) == [None]


def test_what_is_read_of_a_header():
    assert read_trace_id(HEADER.encode()) == HEADER
    assert read_trace_id(b"Root=\xe9") is None
    assert read_trace_id(b"a\tb") is None


def test_a_header_that_an_sdk_has_percent_encoded_is_decoded():
    lineage = HEADER + "|68fd508a:5"
    assert read_trace_id(quote(lineage, safe="-=;:+&[]{}\"',").encode()) == lineage
    assert read_trace_id(lineage.encode()) == lineage
    longest = "Root=" + "|" * (TRACE_HEADER_CHARACTERS_MAX - 5)
    assert read_trace_id(quote(longest).encode()) == longest
    for unreadable in ("%0A", "Root=%00", "Root=%E9", quote(longest + "|"), "%7C" * 10_000):
        assert read_trace_id(unreadable.encode()) is None
