"""What our own side door tells of queues and messages: written by the door, read by the command
line, and by whoever likes JSON.

Members are added, never renamed. Times are epoch ms, ages and intervals ms; what is not known or
does not apply is null, or 0 where it is a number.
"""

from __future__ import annotations

from typing import Final

import msgspec

from eventcore.attributes import decode_attributes
from eventcore.codec import json_decoder
from eventcore.ids import format_uuid
from eventcore.queues.message import MessageRecord, sequence_text

__all__ = [
    "AttributeView",
    "MessageView",
    "MessagesPage",
    "MoveView",
    "QueueView",
    "QueuesPage",
    "decode_messages_page",
    "decode_queue_view",
    "decode_queues_page",
    "view_message",
]


class AttributeView(msgspec.Struct, frozen=True, omit_defaults=True):
    """A message attribute: its type and one of the two values; a binary one is base64."""

    data_type: str
    string: str | None = None
    binary: bytes | None = None


class MessageView(msgspec.Struct, frozen=True):
    """A message as it is, without being received.

    `number` rises with the sends of its queue. `state` is "visible", "in flight" or "delayed";
    `visible_ms` is when it becomes visible (again), 0 for a visible one.
    """

    number: int
    message_id: str
    state: str
    sent_ms: int
    receives: int
    body: str
    first_received_ms: int = 0
    visible_ms: int = 0
    sender_id: str = ""
    group_id: str | None = None
    deduplication_id: str | None = None
    sequence_number: str | None = None
    trace_header: str | None = None
    dead_letter_source: str | None = None
    attributes: dict[str, AttributeView] = {}


class MessagesPage(msgspec.Struct, frozen=True):
    """Messages of the queue `arn` in the order of their sends. `next` is the number to go on after;
    with `is_end` there was nothing behind it. Numbers begin anew in a queue that was deleted and
    made again: then `created_ms` is another.
    """

    arn: str
    created_ms: int
    messages: list[MessageView]
    next: int
    is_end: bool


class MoveView(msgspec.Struct, frozen=True):
    """A running message move task. `to_move` is how many messages there were at its start."""

    task_handle: str
    destination_arn: str | None
    per_second: int | None
    started_ms: int
    moved: int
    to_move: int


class QueueView(msgspec.Struct, frozen=True):
    """A queue and its counts. The `quiet_` ones leave out the messages of noisy groups, of which
    there are `noisy_groups` (fair queues; in others they equal the counts of all).
    """

    name: str
    account: str
    region: str
    arn: str
    url: str
    is_fifo: bool
    created_ms: int
    visible: int
    in_flight: int
    delayed: int
    oldest_age_ms: int
    noisy_groups: int
    quiet_visible: int
    quiet_in_flight: int
    quiet_delayed: int
    quiet_oldest_age_ms: int
    move_task: MoveView | None = None


class QueuesPage(msgspec.Struct, frozen=True):
    """Queues by ARN. `next` is the ARN to go on after, null on the last page."""

    queues: list[QueueView]
    next: str | None = None


decode_messages_page: Final = json_decoder(MessagesPage)
decode_queue_view: Final = json_decoder(QueueView)
decode_queues_page: Final = json_decoder(QueuesPage)


def view_message(
    number: int,
    record: MessageRecord,
    state: str,
    receives: int,
    first_received_ms: int,
    visible_ms: int,
    sequence: int,
) -> MessageView:
    """The view of a message of which the record and the delivery state are known; `sequence` is 0
    in a standard queue.
    """
    attributes = decode_attributes(record.attributes)
    return MessageView(
        number,
        format_uuid(record.id),
        state,
        record.sent_ms,
        receives,
        record.body,
        first_received_ms,
        visible_ms,
        record.sender_id,
        record.group_id,
        record.deduplication_id,
        sequence_text(sequence) if sequence else None,
        record.trace_header,
        record.dead_letter_source,
        {
            name: AttributeView(value.data_type, value.string, value.binary)
            for name, value in attributes.items()
        },
    )
