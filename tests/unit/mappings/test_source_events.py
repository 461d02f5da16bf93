"""The events of sources, member by member as AWS sends them."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

import pytest
from aws_lambda_powertools.utilities.data_classes import KinesisStreamEvent, SQSEvent
from aws_lambda_powertools.utilities.parser.models import KinesisDataStreamModel, SqsModel

from eventcore.attributes import (
    AttributesRecord,
    AttributeValue,
    encode_attributes,
    md5_of_attributes,
)
from eventcore.codec import encode_json
from eventcore.mappings.source_events import (
    EVENT_BYTES,
    QueueEvents,
    StreamEvents,
    batch_event,
    message_bytes,
    record_bytes,
    window_event,
)
from eventcore.queues.message import MessageRecord

QUEUE = "arn:aws:sqs:us-east-2:123456789012:my-queue"
STREAM = "arn:aws:kinesis:us-east-2:123456789012:stream/lambda-stream"
ROLE = "arn:aws:iam::123456789012:role/lambda-role"
SEQUENCE = "49590338271490256608559692538361571095921575989136588898"
ID = bytes.fromhex("059f36b487a344ab83d2661975830a7d")
SENT_MS = 1_545_082_649_183
NOTHING: AttributesRecord = {}


def message(body: str = "Test message.", **members: Any) -> MessageRecord:
    attributes: AttributesRecord = members.pop("attributes", NOTHING)
    if attributes:
        members["attributes"] = encode_attributes(attributes)
        members["attributes_md5"] = md5_of_attributes(attributes)
    digest = hashlib.md5(body.encode(), usedforsecurity=False).digest()
    return MessageRecord(SENT_MS, SENT_MS, ID, body, digest, **members)


def record(of: MessageRecord, sequence: str | None = None) -> dict[str, Any]:
    return QueueEvents(QUEUE).record(of, "AQEB", 1, SENT_MS + 2, sequence)


def test_a_message_is_written_as_aws_writes_it():
    assert encode_json(record(message(sender_id="AIDAIENQZJOLO23YVJ4VO"))).decode() == (
        '{"messageId":"059f36b4-87a3-44ab-83d2-661975830a7d","receiptHandle":"AQEB",'
        '"body":"Test message.","attributes":{"ApproximateReceiveCount":"1",'
        '"SentTimestamp":"1545082649183","SenderId":"AIDAIENQZJOLO23YVJ4VO",'
        '"ApproximateFirstReceiveTimestamp":"1545082649185"},"messageAttributes":{},'
        '"md5OfBody":"e4e68fb7bd0e697a0ae8f1bb342846b3","eventSource":"aws:sqs",'
        f'"eventSourceARN":"{QUEUE}","awsRegion":"us-east-2"}}'
    )


def test_a_fifo_message_has_its_group_between_as_aws_has_it():
    made = record(message(group_id="1", deduplication_id="d"), "18849496460467696128")
    assert list(made["attributes"].items()) == [
        ("ApproximateReceiveCount", "1"),
        ("SentTimestamp", "1545082649183"),
        ("SequenceNumber", "18849496460467696128"),
        ("MessageGroupId", "1"),
        ("SenderId", "123456789012"),
        ("MessageDeduplicationId", "d"),
        ("ApproximateFirstReceiveTimestamp", "1545082649185"),
    ]


def test_a_fair_queues_message_has_a_group_and_no_more_of_a_fifo_queue():
    made = record(message(group_id="tenant", deduplication_id="d"))
    assert made["attributes"]["MessageGroupId"] == "tenant"
    assert "SequenceNumber" not in made["attributes"]
    assert "MessageDeduplicationId" not in made["attributes"]


def test_trace_header_and_dead_letter_source_stand_where_aws_puts_them():
    source = QUEUE + "-source"
    made = record(message(trace_header="Root=1", dead_letter_source=source))["attributes"]
    assert list(made.items())[:4] == [
        ("DeadLetterQueueSourceArn", source),
        ("ApproximateReceiveCount", "1"),
        ("AWSTraceHeader", "Root=1"),
        ("SentTimestamp", "1545082649183"),
    ]
    assert record(message(trace_header="Root=1"))["attributes"]["AWSTraceHeader"] == "Root=1"
    moved = record(message(dead_letter_source=source))["attributes"]
    assert moved["DeadLetterQueueSourceArn"] == source


def test_who_sent_a_message_is_the_account_where_nobody_else_is_known():
    assert record(message())["attributes"]["SenderId"] == "123456789012"
    assert record(message(sender_id="AIDA"))["attributes"]["SenderId"] == "AIDA"
    assert record(message(sender_id="AIDA", group_id="g"))["attributes"]["SenderId"] == "AIDA"


def test_message_attributes_are_in_lower_camel_case_and_in_aws_order():
    made = record(
        message(
            attributes={
                "Title": AttributeValue("String", "The Whistler"),
                "Author": AttributeValue("String", "John Grisham"),
                "WeeksOn": AttributeValue("Number", "6"),
            }
        )
    )
    empty: dict[str, Any] = {"stringListValues": [], "binaryListValues": []}
    assert list(made["messageAttributes"]) == ["WeeksOn", "Author", "Title"]
    assert list(made["messageAttributes"]["WeeksOn"].items()) == [
        ("stringValue", "6"),
        *empty.items(),
        ("dataType", "Number"),
    ]
    assert made["md5OfMessageAttributes"] == "d25a6aea97eb8f585bfa92d314504a92"
    assert list(made)[4:7] == ["messageAttributes", "md5OfMessageAttributes", "md5OfBody"]


def test_binary_attributes_are_base64():
    made = record(message(attributes={"b": AttributeValue("Binary.png", None, b"\x00\xff")}))
    assert made["messageAttributes"]["b"] == {
        "binaryValue": "AP8=",
        "stringListValues": [],
        "binaryListValues": [],
        "dataType": "Binary.png",
    }


def stream_record(data: bytes = b"Hello, this is a test.", key: str = "1") -> dict[str, Any]:
    events = StreamEvents(STREAM, ROLE)
    return events.record("shardId-000000000006", SEQUENCE, key, data, 1_545_084_650_987)


def test_a_record_is_written_as_aws_writes_it():
    assert encode_json(stream_record()).decode() == (
        '{"kinesis":{"kinesisSchemaVersion":"1.0","partitionKey":"1",'
        f'"sequenceNumber":"{SEQUENCE}","data":"SGVsbG8sIHRoaXMgaXMgYSB0ZXN0Lg==",'
        '"approximateArrivalTimestamp":1545084650.987},"eventSource":"aws:kinesis",'
        f'"eventVersion":"1.0","eventID":"shardId-000000000006:{SEQUENCE}",'
        f'"eventName":"aws:kinesis:record","invokeIdentityArn":"{ROLE}",'
        f'"awsRegion":"us-east-2","eventSourceARN":"{STREAM}"}}'
    )


def test_a_tumbling_windows_event_has_aws_members_in_aws_order():
    event = window_event(
        [stream_record()],
        start_ms=1_607_497_440_000,
        window_ms=120_000,
        state={"1": 282},
        shard_id="shardId-000000000006",
        source_arn=STREAM,
        is_final=False,
        is_terminated_early=False,
    )
    assert list(event) == [
        "Records",
        "window",
        "state",
        "shardId",
        "eventSourceARN",
        "isFinalInvokeForWindow",
        "isWindowTerminatedEarly",
    ]
    assert event["window"] == {"start": "2020-12-09T07:04:00Z", "end": "2020-12-09T07:06:00Z"}


def test_powertools_reads_messages_unchanged():
    of = message(
        '{"a": 1}',
        attributes={
            "n": AttributeValue("Number", "1.5"),
            "b": AttributeValue("Binary", None, b"x"),
        },
        group_id="g",
        deduplication_id="d",
        trace_header="Root=1",
        dead_letter_source=QUEUE + "-source",
    )
    event = json.loads(encode_json(batch_event([record(of, "18849496460467696128")])))
    (read,) = SQSEvent(event).records
    assert read.json_body == {"a": 1}
    assert read.attributes.message_group_id == "g"
    assert read.attributes.sequence_number == "18849496460467696128"
    assert read.attributes.dead_letter_queue_source_arn == QUEUE + "-source"
    number = read.message_attributes["n"]
    assert number is not None
    assert number.string_value == "1.5"
    assert read.queue_url == "https://sqs.us-east-2.amazonaws.com/123456789012/my-queue"
    (parsed,) = SqsModel.model_validate(event).Records
    assert parsed.messageId == "059f36b4-87a3-44ab-83d2-661975830a7d"
    assert parsed.attributes.SentTimestamp.timestamp() * 1000 == SENT_MS
    assert parsed.messageAttributes["b"].binaryValue == base64.b64encode(b"x").decode()


def test_powertools_reads_records_unchanged():
    event = json.loads(encode_json(batch_event([stream_record(b'{"a": 1}')])))
    (read,) = KinesisStreamEvent(event).records
    assert read.kinesis.data_as_json() == {"a": 1}
    assert read.kinesis.approximate_arrival_timestamp == 1_545_084_650.987
    (parsed,) = KinesisDataStreamModel.model_validate(event).Records
    assert parsed.kinesis.data == b'{"a": 1}'
    assert parsed.eventID == f"shardId-000000000006:{SEQUENCE}"


@pytest.mark.parametrize(
    "of",
    [
        message(),
        message('"\\\n\x01\u2028é😀' * 500),
        message("x" * 100_000),
        message(sender_id="AROA" + "s" * 100),
        message(attributes={"n" * 256: AttributeValue("String." + "t" * 200, '"' * 1_000)}),
        message(attributes={f"a{n}": AttributeValue("Binary", None, b"1") for n in range(10)}),
        message(
            group_id="[" * 128,
            deduplication_id='"' * 128,
            trace_header="R" * 300,
            dead_letter_source="arn:aws-us-gov:sqs:us-gov-east-1:123456789012:" + "q" * 80,
        ),
    ],
)
def test_the_size_of_a_message_is_never_too_small_and_not_much_too_large(of: MessageRecord):
    handle = "h" * 80
    queue = "arn:aws-us-gov:sqs:us-gov-east-1:123456789012:" + "q" * 80
    made = QueueEvents(queue).record(of, handle, 1_000, SENT_MS, "1" * 20 if of.group_id else None)
    size = len(encode_json(made))
    assert size < message_bytes(of, handle) < size + 700


@pytest.mark.parametrize("data", [b"", b"1", b"12", b"123", bytes(100_000)])
@pytest.mark.parametrize("key", ["k", '"' * 256, "\x01" * 256, "é" * 256])
def test_the_size_of_a_record_is_never_too_small(data: bytes, key: str):
    events = StreamEvents(STREAM, ROLE)
    size = len(encode_json(stream_record(data, key)))
    assert size <= record_bytes(data, key, events.arns_bytes) < size + 32
    assert size <= record_bytes(data, key)


def test_event_bytes_cover_what_stands_around_the_records():
    event = window_event(
        [],
        start_ms=0,
        window_ms=1,
        state={},
        shard_id="shardId-000000000000",
        source_arn=STREAM + "n" * 128 + "/consumer/" + "c" * 128 + ":1545084650",
        is_final=False,
        is_terminated_early=False,
    )
    assert len(encode_json(event)) < EVENT_BYTES
