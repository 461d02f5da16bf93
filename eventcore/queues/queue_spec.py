"""The settings of a queue, and their allowed ranges."""

from __future__ import annotations

from typing import Final

import msgspec

from eventcore import limits
from eventcore.codec import record_decoder
from eventcore.errors import InvalidParameter

__all__ = [
    "QueueSpec",
    "QueueStatistics",
    "ReceiveRequest",
    "RedrivePolicy",
    "check_int",
    "decode_queue_spec",
]


class RedrivePolicy(msgspec.Struct, frozen=True, array_like=True):
    """Messages received `receives_max` times go to the queue `target_arn` at the next receive."""

    target_arn: str
    receives_max: int


class QueueSpec(msgspec.Struct, frozen=True, array_like=True):
    """All settings of a queue; times in ms.

    `attributes` holds what is stored and returned without having an effect here (Policy, Kms...),
    as given.
    """

    visibility_timeout_ms: int = limits.VISIBILITY_TIMEOUT_MS_DEFAULT
    delay_ms: int = 0
    retention_ms: int = limits.RETENTION_MS_DEFAULT
    wait_ms: int = 0
    message_bytes_max: int = limits.MESSAGE_BYTES_MAX
    redrive: RedrivePolicy | None = None
    attributes: dict[str, str] = {}
    tags: dict[str, str] = {}

    def validate(self) -> None:
        """Raises InvalidParameter for the first setting that is out of AWS's range, or of a type
        that could not be read back from the store.
        """
        _in_range(
            "visibility_timeout_ms", self.visibility_timeout_ms, 0, limits.VISIBILITY_TIMEOUT_MS_MAX
        )
        _in_range("delay_ms", self.delay_ms, 0, limits.DELAY_MS_MAX)
        _in_range(
            "retention_ms", self.retention_ms, limits.RETENTION_MS_MIN, limits.RETENTION_MS_MAX
        )
        _in_range("wait_ms", self.wait_ms, 0, limits.WAIT_MS_MAX)
        _in_range(
            "message_bytes_max",
            self.message_bytes_max,
            limits.MESSAGE_BYTES_MAX_LOWEST,
            limits.MESSAGE_BYTES_MAX,
        )
        _check_texts("attributes", self.attributes)
        _check_texts("tags", self.tags)
        if self.redrive is not None:
            _check_redrive(self.redrive)
            _in_range(
                "receives_max",
                self.redrive.receives_max,
                limits.RECEIVES_MAX_LOWEST,
                limits.RECEIVES_MAX_HIGHEST,
            )


decode_queue_spec: Final = record_decoder(QueueSpec)


class ReceiveRequest(msgspec.Struct, gc=False, frozen=True):
    """How many messages (1 to 10) and for how long they become invisible (None: the queue's
    setting).
    """

    messages_max: int = 1
    visibility_timeout_ms: int | None = None
    redrive_reachable: bool = True
    """Whether the dead-letter queue exists at present; without it messages stay and are received
    again.
    """


class QueueStatistics(msgspec.Struct, frozen=True):
    """Counts of messages by state at one moment, exact here where AWS's are approximate."""

    visible: int
    in_flight: int
    delayed: int
    oldest_age_ms: int
    body_memory_bytes: int
    spilled: int


def _check_redrive(redrive: object) -> None:
    if not isinstance(redrive, RedrivePolicy) or redrive.target_arn.__class__ is not str:
        raise InvalidParameter("redrive", "Must be a RedrivePolicy or None.", redrive)


def check_int(name: str, value: object) -> None:
    """Raises InvalidParameter for anything but an int: a float would be stored and not be read."""
    if value.__class__ is not int:
        raise InvalidParameter(name, "Must be an int.", value)


def _check_texts(name: str, texts: object) -> None:
    if not isinstance(texts, dict) or any(
        type(text) is not str for pair in texts.items() for text in pair
    ):
        raise InvalidParameter(name, "Must be a dict of str to str.", texts)


def _in_range(name: str, value: int, lowest: int, highest: int) -> None:
    check_int(name, value)
    if not lowest <= value <= highest:
        raise InvalidParameter(name, f"Must be >= {lowest} and <= {highest}.", value)
