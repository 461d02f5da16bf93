"""Queue attributes: from the wire's texts to a `QueueSpec` and back.

Times are seconds on the wire and ms in the spec. What has no effect here (Policy, encryption) is
checked as far as its form goes, kept in `QueueSpec.attributes`, and given back as it came. The
attributes of FIFO queues are unknown to standard queues, as on AWS.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from eventcore import limits
from eventcore.api.sqs_faults import invalid_attribute_name, invalid_attribute_value
from eventcore.api.sqs_policies import POLICY, check_policy
from eventcore.api.sqs_redrive import (
    REDRIVE,
    REDRIVE_ALLOW,
    FindSpec,
    read_redrive,
    read_redrive_allow,
    redrive_allow_text,
    redrive_text,
)
from eventcore.queues.queue import QueueMachine
from eventcore.queues.queue_spec import (
    DEDUPLICATE_PER_GROUP,
    DEDUPLICATE_PER_QUEUE,
    LIMIT_PER_GROUP,
    LIMIT_PER_QUEUE,
    QueueSpec,
    QueueStatistics,
)
from eventcore.wire.fault import Fault

__all__ = [
    "READABLE",
    "SETTABLE",
    "attribute_of_field",
    "check_names",
    "is_true",
    "overlay",
    "show",
]

_NUMBERS: Final[dict[str, tuple[str, int, int, int]]] = {
    # attribute: (field of the spec, units of the field in one of the wire's, lowest, highest)
    "DelaySeconds": ("delay_ms", 1000, 0, limits.DELAY_MS_MAX),
    "MaximumMessageSize": (
        "message_bytes_max",
        1,
        limits.MESSAGE_BYTES_MAX_LOWEST,
        limits.MESSAGE_BYTES_MAX,
    ),
    "MessageRetentionPeriod": (
        "retention_ms",
        1000,
        limits.RETENTION_MS_MIN,
        limits.RETENTION_MS_MAX,
    ),
    "ReceiveMessageWaitTimeSeconds": ("wait_ms", 1000, 0, limits.WAIT_MS_MAX),
    "VisibilityTimeout": ("visibility_timeout_ms", 1000, 0, limits.VISIBILITY_TIMEOUT_MS_MAX),
}
FIFO_QUEUE: Final = "FifoQueue"
_CONTENT: Final = "ContentBasedDeduplication"
_SCOPE: Final = "DeduplicationScope"
_LIMIT: Final = "FifoThroughputLimit"
_CHOICES: Final[dict[str, tuple[str, tuple[str, ...]]]] = {
    # attribute: (field of the spec, what it may be)
    _SCOPE: ("deduplication_scope", (DEDUPLICATE_PER_QUEUE, DEDUPLICATE_PER_GROUP)),
    _LIMIT: ("throughput_limit", (LIMIT_PER_QUEUE, LIMIT_PER_GROUP)),
}
_FIFO: Final = frozenset((FIFO_QUEUE, _CONTENT, *_CHOICES))
_FIELDS: Final = {
    "redrive": REDRIVE,
    "redrive_allow": REDRIVE_ALLOW,
    "is_fifo": FIFO_QUEUE,
    "content_deduplication": _CONTENT,
    **{field: name for name, (field, _, _, _) in _NUMBERS.items()},
    **{field: name for name, (field, _) in _CHOICES.items()},
}
_KMS_REUSE_SECONDS: Final = (60, 86_400)
_KMS_KEY_CHARACTERS_MAX: Final = 2_048
_DIGITS_MAX: Final = 10

SETTABLE: Final = frozenset(
    (
        *_NUMBERS,
        "KmsDataKeyReusePeriodSeconds",
        "KmsMasterKeyId",
        POLICY,
        REDRIVE_ALLOW,
        REDRIVE,
        "SqsManagedSseEnabled",
    )
)
"""What CreateQueue and SetQueueAttributes take for every queue; FIFO queues have four more."""

_COUNTS: Final[dict[str, Callable[[QueueStatistics], int]]] = {
    "ApproximateNumberOfMessages": lambda counts: counts.visible,
    "ApproximateNumberOfMessagesNotVisible": lambda counts: counts.in_flight,
    "ApproximateNumberOfMessagesDelayed": lambda counts: counts.delayed,
}
READABLE: Final = frozenset(
    (*SETTABLE, *_FIFO, *_COUNTS, "QueueArn", "CreatedTimestamp", "LastModifiedTimestamp")
)
"""What GetQueueAttributes may be asked for, FIFO queues' attributes included."""


def is_true(text: str | None) -> bool:
    """Whether the text of an attribute says yes."""
    return (text or "").lower() == "true"


def overlay(
    spec: QueueSpec, given: Mapping[str, str | None], arn: str, find: FindSpec
) -> QueueSpec:
    """`spec` with the given attributes set; an empty text removes what can be absent.

    `arn` is the queue's. Raises Fault.
    """
    changes: dict[str, Any] = {}
    kept = dict(spec.attributes)
    _check_encryption(given)
    for name, value in given.items():
        text = value or ""
        if name in _NUMBERS:
            field, unit, lowest, highest = _NUMBERS[name]
            changes[field] = _number(name, text, unit, lowest, highest)
        elif name in _FIFO and spec.is_fifo:
            _read_fifo(name, text, changes)
        elif name not in SETTABLE:
            raise invalid_attribute_name(name)
        elif name == REDRIVE:
            changes["redrive"] = read_redrive(text, arn, spec, find) if text else None
        elif name == REDRIVE_ALLOW:
            changes["redrive_allow"] = read_redrive_allow(text) if text else None
        else:
            _keep(kept, name, text)
    changed = msgspec.structs.replace(spec, attributes=kept, **changes)
    _check_high_throughput(changed)
    return changed


def _read_fifo(name: str, text: str, changes: dict[str, Any]) -> None:
    if name in _CHOICES:
        field, choices = _CHOICES[name]
        if text not in choices:
            raise invalid_attribute_value(name)
        changes[field] = text
        return
    if text.lower() not in ("true", "false"):
        raise invalid_attribute_value(name)
    if name == _CONTENT:
        changes["content_deduplication"] = is_true(text)
    elif not is_true(text):
        raise invalid_attribute_value(name, "Modifying queue type is not supported.")


def _check_high_throughput(spec: QueueSpec) -> None:
    if (
        spec.throughput_limit == LIMIT_PER_GROUP
        and spec.deduplication_scope != DEDUPLICATE_PER_GROUP
    ):
        raise invalid_attribute_value(
            _LIMIT,
            f"To set {_LIMIT} to {LIMIT_PER_GROUP}, the {_SCOPE} must be {DEDUPLICATE_PER_GROUP}.",
        )


def _number(name: str, text: str, unit: int, lowest: int, highest: int) -> int:
    if not text.isdecimal() or not text.isascii() or len(text) > _DIGITS_MAX:
        raise invalid_attribute_value(name)
    value = int(text) * unit
    if not lowest <= value <= highest:
        raise invalid_attribute_value(name)
    return value


def _check_encryption(given: Mapping[str, str | None]) -> None:
    if given.get("KmsMasterKeyId") and (given.get("SqsManagedSseEnabled") or "").lower() == "true":
        raise Fault(
            "InvalidAttributeName",
            "You can use one type of server-side encryption (SSE) at one time. You can either "
            "enable KMS SSE or SQS SSE.",
        )


def _keep(kept: dict[str, str], name: str, text: str) -> None:
    """Takes in an attribute without effect. The two ways of encryption exclude each other."""
    if name == POLICY:
        if text:
            check_policy(text)
    elif name == "KmsMasterKeyId":
        if len(text) > _KMS_KEY_CHARACTERS_MAX:
            raise invalid_attribute_value(name)
        if text:
            kept["SqsManagedSseEnabled"] = "false"
    elif name == "KmsDataKeyReusePeriodSeconds":
        _number(name, text, 1, *_KMS_REUSE_SECONDS)
    elif name == "SqsManagedSseEnabled":
        text = text.lower()
        if text not in ("true", "false"):
            raise invalid_attribute_value(name)
        if text == "true":
            kept.pop("KmsMasterKeyId", None)
    if text:
        kept[name] = text
    else:
        kept.pop(name, None)


# Reading


def check_names(names: list[str], *, is_fifo: bool) -> None:
    """Raises Fault for a name in AttributeNames that is no attribute of this kind of queue."""
    for name in names:
        if name != "All" and (name not in READABLE or (name in _FIFO and not is_fifo)):
            raise invalid_attribute_name(name)


def show(
    queue: QueueMachine, names: list[str], statistics: Callable[[], QueueStatistics]
) -> dict[str, str]:
    """The attributes asked for, as far as the queue has them; counts are taken when asked for."""
    wanted = READABLE if "All" in names else frozenset(names)
    spec = queue.spec
    values = {"SqsManagedSseEnabled": "true", **spec.attributes}
    values["QueueArn"] = queue.arn
    values["CreatedTimestamp"] = str(queue.created_ms // 1000)
    values["LastModifiedTimestamp"] = str(queue.modified_ms // 1000)
    for name, (field, unit, _, _) in _NUMBERS.items():
        values[name] = str(getattr(spec, field) // unit)
    if spec.redrive is not None:
        values[REDRIVE] = redrive_text(spec.redrive)
    if spec.redrive_allow is not None:
        values[REDRIVE_ALLOW] = redrive_allow_text(spec.redrive_allow)
    if spec.is_fifo:
        values[FIFO_QUEUE] = "true"
        values[_CONTENT] = "true" if spec.content_deduplication else "false"
        values[_SCOPE] = spec.deduplication_scope
        values[_LIMIT] = spec.throughput_limit
    if not wanted.isdisjoint(_COUNTS):
        counts = statistics()
        values.update({name: str(count(counts)) for name, count in _COUNTS.items()})
    return {name: value for name, value in values.items() if name in wanted}


def attribute_of_field(field: str, existing: QueueSpec, wanted: QueueSpec) -> str:
    """The attribute's name for a field in which two specs differ."""
    if field == "attributes":
        names = existing.attributes.keys() | wanted.attributes.keys()
        differing = [n for n in names if existing.attributes.get(n) != wanted.attributes.get(n)]
        return min(differing, default=field)
    return _FIELDS.get(field, field)
