"""The settings of a queue, and their allowed ranges."""

from __future__ import annotations

import re
from typing import Final

import msgspec

from eventcore import limits
from eventcore.codec import record_decoder
from eventcore.errors import InvalidParameter

__all__ = [
    "DEDUPLICATE_PER_GROUP",
    "DEDUPLICATE_PER_QUEUE",
    "LIMIT_PER_GROUP",
    "LIMIT_PER_QUEUE",
    "REDRIVE_PERMISSIONS",
    "Chaos",
    "QueueSpec",
    "QueueStatistics",
    "ReceiveRequest",
    "RedriveAllow",
    "RedrivePolicy",
    "check_id",
    "check_int",
    "check_timeout",
    "decode_queue_spec",
]

DEDUPLICATE_PER_QUEUE: Final = "queue"
DEDUPLICATE_PER_GROUP: Final = "messageGroup"
LIMIT_PER_QUEUE: Final = "perQueue"
LIMIT_PER_GROUP: Final = "perMessageGroupId"
REDRIVE_PERMISSIONS: Final = ("allowAll", "denyAll", "byQueue")

_ID: Final = re.compile(rf"[!-~]{{1,{limits.GROUP_ID_CHARACTERS_MAX}}}")
_ID_NAMES: Final = {
    "group_id": "MessageGroupId",
    "deduplication_id": "MessageDeduplicationId",
    "attempt_id": "ReceiveRequestAttemptId",
}


class RedrivePolicy(msgspec.Struct, frozen=True, array_like=True):
    """Messages received `receives_max` times go to the queue `target_arn` at the next receive."""

    target_arn: str
    receives_max: int


class RedriveAllow(msgspec.Struct, frozen=True, array_like=True):
    """Which queues may name this one as their dead-letter queue.

    `permission` is "allowAll", "denyAll" or "byQueue"; with the last, `source_arns` has 1 to 10
    ARNs of queues, and is empty otherwise.
    """

    permission: str = "allowAll"
    source_arns: tuple[str, ...] = ()

    def allows(self, source_arn: str) -> bool:
        """Whether the queue `source_arn` may dead-letter into this one."""
        if self.permission == "byQueue":
            return source_arn in self.source_arns
        return self.permission == "allowAll"


class Chaos(msgspec.Struct, frozen=True, array_like=True):
    """Misbehaviour on purpose, for tests: what a standard queue may do, more often than it does.

    The four are probabilities from 0 to 1. `duplicate`: a received message stays visible.
    `reorder`: a message that is due to be received goes to the back of the line instead. `delay`: a
    message becomes visible up to `delay_ms_max` after it should. `throttle`: a call is refused with
    LimitExceeded("chaos_throttle") before it changes anything. Which messages are hit depends on
    `seed`, the message's number and its receives alone, so a run can be repeated; which calls are
    throttled depends on `seed` and how many calls the queue has seen since it was loaded. A FIFO
    queue takes `throttle` only: the others would break its promises.
    """

    seed: int = 0
    duplicate: float = 0.0
    reorder: float = 0.0
    delay: float = 0.0
    delay_ms_max: int = 1_000
    throttle: float = 0.0


class QueueSpec(msgspec.Struct, frozen=True, array_like=True):
    """All settings of a queue; times in ms.

    `attributes` holds what is stored and returned without having an effect here (Policy, Kms...),
    as given. What is below `tags` came later: rows of older versions have less of it. A FIFO
    queue's name ends in ".fifo"; whether a queue is one never changes. `content_deduplication`,
    `deduplication_scope` and `throughput_limit` are FIFO queues' only, and a limit per message
    group needs deduplication per message group.
    """

    visibility_timeout_ms: int = limits.VISIBILITY_TIMEOUT_MS_DEFAULT
    delay_ms: int = 0
    retention_ms: int = limits.RETENTION_MS_DEFAULT
    wait_ms: int = 0
    message_bytes_max: int = limits.MESSAGE_BYTES_MAX
    redrive: RedrivePolicy | None = None
    attributes: dict[str, str] = {}
    tags: dict[str, str] = {}
    is_fifo: bool = False
    content_deduplication: bool = False
    deduplication_scope: str = DEDUPLICATE_PER_QUEUE
    throughput_limit: str = LIMIT_PER_QUEUE
    redrive_allow: RedriveAllow | None = None
    chaos: Chaos | None = None

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
        _check_fifo(self)
        if self.redrive is not None:
            _check_redrive(self.redrive)
            _in_range(
                "receives_max",
                self.redrive.receives_max,
                limits.RECEIVES_MAX_LOWEST,
                limits.RECEIVES_MAX_HIGHEST,
            )
        if self.redrive_allow is not None:
            _check_redrive_allow(self.redrive_allow)
        if self.chaos is not None:
            _check_chaos(self.chaos, is_fifo=self.is_fifo)


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
    attempt_id: str | None = None
    """FIFO queues: a second receive with the same id gives the same messages; see FifoQueue."""


class QueueStatistics(msgspec.Struct, frozen=True):
    """Counts of messages by state at one moment, exact here where AWS's are approximate.

    The second half tells of fair queues: how many message groups are noisy neighbours at present,
    and the counts of the messages outside of those groups (AWS: "...InQuietGroups").
    `quiet_oldest_age_ms` is at least that of the oldest such message.
    """

    visible: int
    in_flight: int
    delayed: int
    oldest_age_ms: int
    body_memory_bytes: int
    spilled: int
    noisy_groups: int = 0
    quiet_visible: int = 0
    quiet_in_flight: int = 0
    quiet_delayed: int = 0
    quiet_oldest_age_ms: int = 0


def _check_fifo(spec: QueueSpec) -> None:
    for name in ("is_fifo", "content_deduplication"):
        if getattr(spec, name).__class__ is not bool:
            raise InvalidParameter(name, "Must be a bool.", getattr(spec, name))
    _one_of(
        "deduplication_scope",
        spec.deduplication_scope,
        (DEDUPLICATE_PER_QUEUE, DEDUPLICATE_PER_GROUP),
    )
    _one_of("throughput_limit", spec.throughput_limit, (LIMIT_PER_QUEUE, LIMIT_PER_GROUP))
    if not spec.is_fifo:
        for name in ("content_deduplication", "deduplication_scope", "throughput_limit"):
            if getattr(spec, name) != getattr(_STANDARD, name):
                raise InvalidParameter(name, "Is a setting of FIFO queues only.")
    elif (
        spec.throughput_limit == LIMIT_PER_GROUP
        and spec.deduplication_scope != DEDUPLICATE_PER_GROUP
    ):
        raise InvalidParameter(
            "throughput_limit",
            f"{LIMIT_PER_GROUP} needs the deduplication_scope {DEDUPLICATE_PER_GROUP}.",
            spec.throughput_limit,
        )


def _check_redrive(redrive: object) -> None:
    if not isinstance(redrive, RedrivePolicy) or redrive.target_arn.__class__ is not str:
        raise InvalidParameter("redrive", "Must be a RedrivePolicy or None.", redrive)


def _check_redrive_allow(allow: object) -> None:
    if not isinstance(allow, RedriveAllow) or allow.source_arns.__class__ is not tuple:
        raise InvalidParameter("redrive_allow", "Must be a RedriveAllow or None.", allow)
    _one_of("redrive_allow", allow.permission, REDRIVE_PERMISSIONS)
    if any(arn.__class__ is not str for arn in allow.source_arns):
        raise InvalidParameter("redrive_allow", "The sources must be ARNs.", allow)
    count = len(allow.source_arns)
    if allow.permission == "byQueue" and not 1 <= count <= limits.REDRIVE_SOURCES_MAX:
        raise InvalidParameter(
            "redrive_allow", f"byQueue needs 1 to {limits.REDRIVE_SOURCES_MAX} sources.", count
        )
    if allow.permission != "byQueue" and count:
        raise InvalidParameter("redrive_allow", "Only byQueue has sources.", allow)


def _check_chaos(chaos: object, *, is_fifo: bool) -> None:
    if not isinstance(chaos, Chaos):
        raise InvalidParameter("chaos", "Must be a Chaos or None.", chaos)
    check_int("seed", chaos.seed)
    if not -(1 << 63) <= chaos.seed < 1 << 63:
        raise InvalidParameter("seed", "Must be of 64 bits.", chaos.seed)
    _in_range("delay_ms_max", chaos.delay_ms_max, 0, limits.DELAY_MS_MAX)
    for name in ("duplicate", "reorder", "delay", "throttle"):
        share = getattr(chaos, name)
        if share.__class__ not in (float, int) or not 0 <= share <= 1:
            raise InvalidParameter(name, "Must be a probability from 0 to 1.", share)
    if is_fifo and (chaos.duplicate or chaos.reorder or chaos.delay):
        raise InvalidParameter("chaos", "A FIFO queue takes throttle only.", chaos)


def check_int(name: str, value: object) -> None:
    """Raises InvalidParameter for anything but an int: a float would be stored and not be read."""
    if value.__class__ is not int:
        raise InvalidParameter(name, "Must be an int.", value)


def check_id(name: str, value: object) -> None:
    """Raises InvalidParameter for what is no message group, deduplication or attempt id."""
    if value.__class__ is not str or _ID.fullmatch(value) is None:
        shown = value[:256] if isinstance(value, str) else value
        raise InvalidParameter(
            name,
            f"{_ID_NAMES[name]} can only include alphanumeric and punctuation characters. "
            f"1 to {limits.GROUP_ID_CHARACTERS_MAX} in length.",
            shown,
        )


def check_timeout(timeout_ms: int) -> None:
    """Raises InvalidParameter for a visibility timeout out of range."""
    check_int("visibility_timeout_ms", timeout_ms)
    if not 0 <= timeout_ms <= limits.VISIBILITY_TIMEOUT_MS_MAX:
        raise InvalidParameter(
            "visibility_timeout_ms",
            f"Must be >= 0 and <= {limits.VISIBILITY_TIMEOUT_MS_MAX}, if provided.",
            timeout_ms,
        )


def _one_of(name: str, value: object, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise InvalidParameter(name, f"Must be one of {', '.join(allowed)}.", value)


def _check_texts(name: str, texts: object) -> None:
    if not isinstance(texts, dict) or any(
        type(text) is not str for pair in texts.items() for text in pair
    ):
        raise InvalidParameter(name, "Must be a dict of str to str.", texts)
    for text in (text for pair in texts.items() for text in pair):
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise InvalidParameter(name, "Invalid characters found: lone surrogates.") from error


def _in_range(name: str, value: int, lowest: int, highest: int) -> None:
    check_int(name, value)
    if not lowest <= value <= highest:
        raise InvalidParameter(name, f"Must be >= {lowest} and <= {highest}.", value)


_STANDARD: Final = QueueSpec()
