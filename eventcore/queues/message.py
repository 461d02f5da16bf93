"""What a queue keeps of a message, and what it gives out.

Two rows per message at the most: the message itself (never changed after the send) and, from its
first receive on, its delivery state (small, rewritten by each receive). So a receive does not
rewrite a body.
"""

from __future__ import annotations

from hashlib import md5
from typing import Final

import msgspec

from eventcore.codec import record_decoder
from eventcore.outcome import Parcel

__all__ = [
    "Browsed",
    "DeliveryRecord",
    "Message",
    "MessageRecord",
    "SendEntry",
    "SendResult",
    "decode_delivery",
    "decode_message",
    "record_of_parcel",
    "sequence_text",
]

_SEQUENCE_BASE: Final = 18_800_000_000_000_000_000
_SEQUENCE_STEP: Final = 256


class MessageRecord(msgspec.Struct, gc=False, frozen=True, array_like=True):
    """The immutable row of a message.

    `available_ms` is when its delay ends. `receives` and `first_received_ms` are what it brought
    along from the queue that dead-lettered it (`dead_letter_source`, an ARN), else 0.
    """

    sent_ms: int
    available_ms: int
    id: bytes
    body: str
    body_md5: bytes
    sender_id: str = ""
    attributes: bytes = b""
    attributes_md5: bytes = b""
    trace_header: str | None = None
    group_id: str | None = None
    deduplication_id: str | None = None
    dead_letter_source: str | None = None
    receives: int = 0
    first_received_ms: int = 0


decode_message: Final = record_decoder(MessageRecord)


class DeliveryRecord(msgspec.Struct, gc=False, frozen=True, array_like=True):
    """The delivery state of a message that was received at least once.

    `visible_ms` is when it becomes visible again, `timeout_ms` after the receive or the latest
    change of visibility. `token` makes the latest receipt handle. `received_ms` is the time of the
    latest receive, from which the 12 hours of total visibility count.
    """

    visible_ms: int
    timeout_ms: int
    receives: int
    first_received_ms: int
    received_ms: int
    token: int


decode_delivery: Final = record_decoder(DeliveryRecord)


class SendEntry(msgspec.Struct, gc=False, frozen=True):
    """A message to send. `delay_ms` None takes the queue's. `attributes` is
    `eventcore.attributes.encode_attributes(...)`. `group_id` is a fair queue's tenant, or a FIFO
    queue's message group; `deduplication_id` is for FIFO queues.
    """

    body: str
    delay_ms: int | None = None
    attributes: bytes = b""
    attributes_md5: bytes = b""
    sender_id: str = ""
    trace_header: str | None = None
    group_id: str | None = None
    deduplication_id: str | None = None
    size_bytes: int = -1
    """Body and attributes in bytes, as AWS counts them, where the caller knows it; -1 lets the
    queue count the body.
    """


class SendResult(msgspec.Struct, gc=False, frozen=True):
    """What a send answers with. Both digests are raw, 16 bytes (empty where there are no
    attributes). `sequence` is a FIFO queue's sequence number; 0 in a standard queue. A duplicate
    within a FIFO queue's deduplication interval gets the id and the sequence number of the message
    that is there.
    """

    id: bytes
    body_md5: bytes
    attributes_md5: bytes
    sequence: int = 0


class Message(msgspec.Struct, gc=False, frozen=True):
    """A received message, as a queue's `receive` gives it out.

    `record` is the encoded `MessageRecord`, or None when it was spilled: then the host reads row
    `key` back. `sequence` is a FIFO queue's sequence number, else 0.
    """

    key: int
    record: bytes | None
    receipt_handle: str
    receives: int
    first_received_ms: int
    visible_ms: int
    sequence: int = 0


class Browsed(msgspec.Struct, gc=False, frozen=True):
    """A message as it is, looked at without receiving it. `state` is "visible", "in flight" or
    "delayed"; `visible_ms` is when it is visible (again), 0 for a visible one. `number` rises with
    the sends. `record` and `sequence` as in `Message`.
    """

    key: int
    number: int
    record: bytes | None
    state: str
    receives: int
    first_received_ms: int
    visible_ms: int
    sequence: int = 0


def record_of_parcel(
    parcel: Parcel, message_id: bytes, delay_ms: int, now_ms: int
) -> MessageRecord:
    """The row of a message that another machine delivers."""
    return MessageRecord(
        now_ms,
        now_ms + delay_ms,
        message_id,
        parcel.body,
        md5(parcel.body.encode(), usedforsecurity=False).digest(),
        parcel.sender_id,
        parcel.attributes,
        parcel.attributes_md5,
        parcel.trace_header,
        parcel.group_id,
        parcel.deduplication_id,
    )


def sequence_text(sequence: int) -> str:
    """The 20 digits of a FIFO queue's SequenceNumber. They rise with the sends, as texts as well;
    that they are not consecutive is as on AWS.
    """
    return str(_SEQUENCE_BASE + sequence * _SEQUENCE_STEP)
