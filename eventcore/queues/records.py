"""The rows of a queue: their families, in the order of recovery, and what is in them.

Messages and their delivery states are in `message`, move tasks in `move_task`.
"""

from __future__ import annotations

from typing import Final

import msgspec

from eventcore.codec import record_decoder
from eventcore.outcome import row_key
from eventcore.queues.queue_spec import QueueSpec

__all__ = [
    "ATTEMPT",
    "DEDUPLICATION",
    "DELIVERY",
    "DELIVERY_KEY",
    "MESSAGE",
    "MESSAGE_KEY",
    "MOVE",
    "PURGE",
    "SPEC",
    "AttemptRecord",
    "DeduplicationRecord",
    "PurgeRecord",
    "QueueRecord",
    "decode_attempt",
    "decode_deduplication",
    "decode_purge",
    "decode_queue",
]

SPEC: Final = 0
PURGE: Final = 1
MESSAGE: Final = 2
DELIVERY: Final = 3
DEDUPLICATION: Final = 4
ATTEMPT: Final = 5
MOVE: Final = 6
MESSAGE_KEY: Final = row_key(MESSAGE, 0)
DELIVERY_KEY: Final = row_key(DELIVERY, 0)


class QueueRecord(msgspec.Struct, frozen=True, array_like=True):
    """The row of the queue's settings. Its times are epoch ms."""

    spec: QueueSpec
    created_ms: int
    modified_ms: int


class PurgeRecord(msgspec.Struct, frozen=True, array_like=True):
    """Messages with a number below `below` are gone; their rows are trimmed below `trimmed`."""

    below: int
    trimmed: int
    purged_ms: int


class DeduplicationRecord(msgspec.Struct, gc=False, frozen=True, array_like=True):
    """That a FIFO queue took a message under a deduplication id; outlives the message.

    `digest` is 16 bytes made of the id and, where `is_per_group`, of the message group; empty for a
    message that nothing is a duplicate of.
    """

    digest: bytes
    is_per_group: bool
    message_id: bytes
    sent_ms: int


class AttemptRecord(msgspec.Struct, frozen=True, array_like=True):
    """What a receive with a ReceiveRequestAttemptId gave out: (number, token) of each message, all
    invisible until `visible_ms`. `started_ms` is when the id was used first.
    """

    attempt_id: str
    started_ms: int
    visible_ms: int
    messages: tuple[tuple[int, int], ...]


decode_queue: Final = record_decoder(QueueRecord)
decode_purge: Final = record_decoder(PurgeRecord)
decode_deduplication: Final = record_decoder(DeduplicationRecord)
decode_attempt: Final = record_decoder(AttemptRecord)
