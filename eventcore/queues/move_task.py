"""Message move tasks: a dead-letter queue's messages go back to where they came from, or elsewhere.

A task belongs to the queue that it empties. It walks up the numbers once, from the lowest to the
last one sent before it began, and takes what is visible when its turn comes; what is in flight or
delayed then stays. Each step is durable with the messages that it moved, so after a restart it goes
on where it was.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Final

import msgspec

from eventcore.codec import decode_json, encode_json, record_decoder
from eventcore.errors import NotFound

__all__ = [
    "CANCELLED",
    "COMPLETED",
    "FAILED",
    "RUNNING",
    "Movable",
    "MoveRecord",
    "MoveTask",
    "decode_move",
    "make_task_handle",
    "open_task_handle",
]

RUNNING: Final = "RUNNING"
COMPLETED: Final = "COMPLETED"
CANCELLED: Final = "CANCELLED"
FAILED: Final = "FAILED"


class MoveRecord(msgspec.Struct, frozen=True, array_like=True):
    """The row of a task. Messages from `cursor` to below `below` are still to be looked at."""

    destination_arn: str | None
    per_second: int | None
    started_ms: int
    to_move: int
    below: int
    cursor: int
    moved: int = 0
    status: str = RUNNING
    failure: str = ""


class MoveTask(msgspec.Struct, frozen=True):
    """A task as it is told: messages are counts, `per_second` messages a second, `started_ms` epoch
    ms. `failure` is why its status is FAILED, else empty.
    """

    handle: str
    source_arn: str
    destination_arn: str | None
    per_second: int | None
    started_ms: int
    status: str
    moved: int
    to_move: int
    failure: str


class Movable(msgspec.Struct, frozen=True, gc=False):
    """A message that a task would move next; `record` is None when it was spilled."""

    number: int
    key: int
    record: bytes | None


decode_move: Final = record_decoder(MoveRecord)


def make_task_handle(arn: str, tag: int, number: int) -> str:
    """The handle of task `number` of the queue `arn`; `tag` tells it from deleted namesakes."""
    content = {"taskId": f"{tag:08x}-{number}", "sourceArn": arn}
    return urlsafe_b64encode(encode_json(content)).decode("ascii")


def open_task_handle(handle: str) -> tuple[str, int, int]:
    """(ARN, tag, number) of a handle. Raises NotFound for any other text."""
    try:
        content = decode_json(urlsafe_b64decode(handle.encode("ascii")))
        tag, _, number = content["taskId"].partition("-")
        return str(content["sourceArn"]), int(tag, 16), int(number)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise NotFound("move task", handle[:256]) from error
