"""What a function is given of a queue's messages and of a stream's records: AWS's event shapes.

Rules of this file:

- Names, types and order of the members are AWS's ("Using Lambda with Amazon SQS", "Using Lambda to
  process records from Amazon Kinesis Data Streams", and what AWS was recorded to send). Members
  that AWS leaves out are left out.
- Events are plain values; nobody makes JSON here. A caller that wants to know how large the JSON
  will be adds up `message_bytes` or `record_bytes`, which are never too small, and EVENT_BYTES.
- This runs for each message and each record: no loops, no look-ups that could be made once.
"""

from __future__ import annotations

from binascii import b2a_base64
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final, Protocol, final

from eventcore.arn import parse_arn
from eventcore.attributes import decode_attributes
from eventcore.codec import encode_json
from eventcore.ids import format_uuid

__all__ = [
    "EVENT_BYTES",
    "MessageFacts",
    "QueueEvents",
    "StreamEvents",
    "batch_event",
    "message_bytes",
    "record_bytes",
    "window_event",
]

EVENT_BYTES: Final = 1_024
"""Of the JSON around the records of an event; a tumbling window's state comes on top of it."""
_MESSAGE_BYTES: Final = 520
"""Of the JSON of a message, without what `message_bytes` counts: names, digests, times, ARN."""
_MORE_BYTES: Final = 160
"""The same of what only some messages have: group, deduplication id, trace header, source."""
_ATTRIBUTE_BYTES: Final = 96
_RECORD_BYTES: Final = 440
"""The same of a stream's record: names, two sequence numbers, a shard id, a time."""
_ARNS_BYTES: Final = 384
_HASH_BITS: Final = 0xFFFFFFFF


class MessageFacts(Protocol):
    """What is read of a message's row (`queues.message.MessageRecord`)."""

    @property
    def sent_ms(self) -> int:
        """When it was sent, epoch ms."""
        ...

    @property
    def id(self) -> bytes:
        """Its id, 16 bytes."""
        ...

    @property
    def body(self) -> str:
        """Its body."""
        ...

    @property
    def body_md5(self) -> bytes:
        """The digest of its body."""
        ...

    @property
    def sender_id(self) -> str:
        """Who sent it."""
        ...

    @property
    def attributes(self) -> bytes:
        """Its message attributes, encoded."""
        ...

    @property
    def attributes_md5(self) -> bytes:
        """The digest of its message attributes; empty for none."""
        ...

    @property
    def trace_header(self) -> str | None:
        """AWS's X-Amzn-Trace-Id."""
        ...

    @property
    def group_id(self) -> str | None:
        """Its message group."""
        ...

    @property
    def deduplication_id(self) -> str | None:
        """Its deduplication id, in a FIFO queue."""
        ...

    @property
    def dead_letter_source(self) -> str | None:
        """The ARN of the queue that dead-lettered it."""
        ...


@final
class QueueEvents:
    """Makes the records of one queue."""

    __slots__ = ("_account", "_arn", "_region")

    def __init__(self, queue_arn: str) -> None:
        parsed = parse_arn(queue_arn)
        self._arn = queue_arn
        self._region = parsed.region
        self._account = parsed.account

    def record(
        self,
        message: MessageFacts,
        receipt_handle: str,
        receives: int,
        first_received_ms: int,
        sequence_number: str | None = None,
    ) -> dict[str, Any]:
        """The record of a received message. `sequence_number` is a FIFO queue's, as a text."""
        is_plain = (
            sequence_number is None
            and message.trace_header is None
            and message.group_id is None
            and message.dead_letter_source is None
        )
        attributes: dict[str, str]
        if is_plain:
            attributes = {
                "ApproximateReceiveCount": str(receives),
                "SentTimestamp": str(message.sent_ms),
                "SenderId": message.sender_id or self._account,
                "ApproximateFirstReceiveTimestamp": str(first_received_ms),
            }
        else:
            attributes = self._attributes(message, receives, first_received_ms, sequence_number)
        if message.attributes:
            return {
                "messageId": format_uuid(message.id),
                "receiptHandle": receipt_handle,
                "body": message.body,
                "attributes": attributes,
                "messageAttributes": _message_attributes(message.attributes),
                "md5OfMessageAttributes": message.attributes_md5.hex(),
                "md5OfBody": message.body_md5.hex(),
                "eventSource": "aws:sqs",
                "eventSourceARN": self._arn,
                "awsRegion": self._region,
            }
        return {
            "messageId": format_uuid(message.id),
            "receiptHandle": receipt_handle,
            "body": message.body,
            "attributes": attributes,
            "messageAttributes": {},
            "md5OfBody": message.body_md5.hex(),
            "eventSource": "aws:sqs",
            "eventSourceARN": self._arn,
            "awsRegion": self._region,
        }

    def _attributes(
        self,
        message: MessageFacts,
        receives: int,
        first_received_ms: int,
        sequence_number: str | None,
    ) -> dict[str, str]:
        """The attributes of a message that has more than the usual ones, in AWS's order."""
        attributes = {}
        if message.dead_letter_source is not None:
            attributes["DeadLetterQueueSourceArn"] = message.dead_letter_source
        attributes["ApproximateReceiveCount"] = str(receives)
        if message.trace_header is not None:
            attributes["AWSTraceHeader"] = message.trace_header
        attributes["SentTimestamp"] = str(message.sent_ms)
        if sequence_number is not None:
            attributes["SequenceNumber"] = sequence_number
        if message.group_id is not None:
            attributes["MessageGroupId"] = message.group_id
        attributes["SenderId"] = message.sender_id or self._account
        if sequence_number is not None and message.deduplication_id is not None:
            attributes["MessageDeduplicationId"] = message.deduplication_id
        attributes["ApproximateFirstReceiveTimestamp"] = str(first_received_ms)
        return attributes


def _message_attributes(encoded: bytes) -> dict[str, dict[str, Any]]:
    decoded = decode_attributes(encoded)
    shown: dict[str, dict[str, Any]] = {}
    for name in sorted(decoded, key=_place):
        attribute = decoded[name]
        if attribute.string is not None:
            value = {"stringValue": attribute.string}
        else:
            value = {"binaryValue": _base64(attribute.binary or b"")}
        shown[name] = {
            **value,
            "stringListValues": [],
            "binaryListValues": [],
            "dataType": attribute.data_type,
        }
    return shown


@lru_cache(maxsize=4096)
def _place(name: str) -> tuple[int, str]:
    """Where AWS puts a message attribute among others: it keeps them in a hash table of 16 places,
    as the order of what it sends shows. Those of one place are sorted here.
    """
    value = 0
    for character in name:
        value = (31 * value + ord(character)) & _HASH_BITS
    return (value ^ value >> 16) & 15, name


def message_bytes(message: MessageFacts, receipt_handle: str) -> int:
    """About how large a message is in an event, as JSON. Never too small."""
    size = _MESSAGE_BYTES + len(receipt_handle) + _text_bytes(message.body)
    size += len(message.sender_id)
    if message.attributes:
        size += _ATTRIBUTE_BYTES
        for name, attribute in decode_attributes(message.attributes).items():
            if attribute.string is not None:
                value_bytes = _text_bytes(attribute.string)
            else:
                value_bytes = _base64_bytes(attribute.binary or b"")
            size += _ATTRIBUTE_BYTES + len(name) + len(attribute.data_type) + value_bytes
    if message.trace_header or message.group_id or message.dead_letter_source:
        size += _MORE_BYTES
        for text in (
            message.trace_header,
            message.group_id,
            message.deduplication_id,
            message.dead_letter_source,
        ):
            size += _text_bytes(text or "")
    return size


def _text_bytes(text: str) -> int:
    """How large a text is in JSON. Encoding it is the fastest way to count its escapes."""
    return len(encode_json(text))


def _base64_bytes(value: bytes) -> int:
    return (len(value) + 2) // 3 * 4


@final
class StreamEvents:
    """Makes the records of one stream. `source_arn` is the mapping's source: the stream, or an
    enhanced fan-out consumer of it. `role` is the ARN of the function's role.
    """

    __slots__ = ("_arn", "_region", "_role", "arns_bytes")

    def __init__(self, source_arn: str, role: str) -> None:
        self.arns_bytes = len(source_arn) + len(role)
        self._arn = source_arn
        self._region = parse_arn(source_arn).region
        self._role = role

    def record(
        self, shard_id: str, sequence_number: str, partition_key: str, data: bytes, arrived_ms: int
    ) -> dict[str, Any]:
        """The record of a stream's record. `arrived_ms` is epoch ms."""
        return {
            "kinesis": {
                "kinesisSchemaVersion": "1.0",
                "partitionKey": partition_key,
                "sequenceNumber": sequence_number,
                "data": b2a_base64(data, newline=False).decode("ascii"),
                "approximateArrivalTimestamp": arrived_ms / 1000,
            },
            "eventSource": "aws:kinesis",
            "eventVersion": "1.0",
            "eventID": f"{shard_id}:{sequence_number}",
            "eventName": "aws:kinesis:record",
            "invokeIdentityArn": self._role,
            "awsRegion": self._region,
            "eventSourceARN": self._arn,
        }


def record_bytes(data: bytes, partition_key: str, arns_bytes: int = _ARNS_BYTES) -> int:
    """About how large a stream's record is in an event, as JSON. Never too small, if `arns_bytes`
    is not (`StreamEvents.arns_bytes`).
    """
    return _RECORD_BYTES + arns_bytes + (len(data) + 2) // 3 * 4 + _text_bytes(partition_key)


def batch_event(records: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The event of a batch."""
    return {"Records": records}


def window_event(
    records: Sequence[dict[str, Any]],
    *,
    start_ms: int,
    window_ms: int,
    state: Any,
    shard_id: str,
    source_arn: str,
    is_final: bool,
    is_terminated_early: bool,
) -> dict[str, Any]:
    """The event of a batch of a tumbling window. `state` is the plain value that the function
    returned last, {} at first; `records` may be empty in the final one.
    """
    return {
        "Records": records,
        "window": {"start": _iso_seconds(start_ms), "end": _iso_seconds(start_ms + window_ms)},
        "state": state,
        "shardId": shard_id,
        "eventSourceARN": source_arn,
        "isFinalInvokeForWindow": is_final,
        "isWindowTerminatedEarly": is_terminated_early,
    }


def _base64(value: bytes) -> str:
    return b2a_base64(value, newline=False).decode("ascii")


def _iso_seconds(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
