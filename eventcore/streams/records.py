"""The rows of a stream itself, and the table of its statuses.

Families in the order in which a stream wants them back: the stream, its shards, the ends of their
logs, the beginnings of their logs, its enhanced fan-out consumers. Blocks are log rows and never
come back.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from eventcore.codec import record_decoder
from eventcore.streams.stream_spec import FanOutConsumer, StreamSpec, StreamStatus

__all__ = [
    "CONSUMER_FAMILY",
    "STREAM_FAMILY",
    "TRANSITIONS",
    "Change",
    "ConsumerRecord",
    "StreamRecord",
    "Trigger",
    "decode_consumer",
    "decode_stream",
]

STREAM_FAMILY: Final = 0
CONSUMER_FAMILY: Final = 4

Trigger = Literal["change", "done", "delete"]

TRANSITIONS: Final[dict[tuple[StreamStatus, Trigger], StreamStatus]] = {
    ("CREATING", "done"): "ACTIVE",
    ("CREATING", "delete"): "DELETING",
    ("ACTIVE", "change"): "UPDATING",
    ("ACTIVE", "delete"): "DELETING",
    ("UPDATING", "done"): "ACTIVE",
    ("UPDATING", "delete"): "DELETING",
}
"""What is not here is refused: the stream is not in a state for it."""


class Change(msgspec.Struct, frozen=True, array_like=True):
    """A change of shards that is done when the status ends. `kind` is "create" or "count" (with
    `count`), "split" (one of `shards`, at `hash_key`, 16 bytes), or "merge" (two of `shards`).
    """

    kind: Literal["create", "count", "split", "merge"]
    count: int = 0
    shards: tuple[int, ...] = ()
    hash_key: bytes = b""


class StreamRecord(msgspec.Struct, frozen=True, array_like=True):
    """The stream's row. Times are epoch ms; 0 for none.

    `floor_ms`: what arrived before was out of its retention once, and stays so when the retention
    is raised. The three tuples hold when, within the last day, the number of shards, the mode, and
    the encryption were changed. `scaled_ms` is when an on-demand stream grew last.
    """

    spec: StreamSpec
    status: StreamStatus
    created_ms: int
    due_ms: int = 0
    change: Change | None = None
    floor_ms: int = 0
    count_updates: tuple[int, ...] = ()
    mode_updates: tuple[int, ...] = ()
    encryption_updates: tuple[int, ...] = ()
    scaled_ms: int = 0


ConsumerRecord = FanOutConsumer

decode_stream: Final = record_decoder(StreamRecord)
decode_consumer: Final = record_decoder(ConsumerRecord)
