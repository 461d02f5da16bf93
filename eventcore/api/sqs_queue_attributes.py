"""Queue attributes: from the wire's texts to a `QueueSpec` and back.

Times are seconds on the wire and ms in the spec. What has no effect here (Policy,
RedriveAllowPolicy, encryption) is checked as far as its form goes, kept in `QueueSpec.attributes`,
and given back as it came.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from eventcore import limits
from eventcore.api.sqs_faults import (
    invalid_attribute_name,
    invalid_attribute_value,
    invalid_value,
    unsupported,
)
from eventcore.arn import Arn, parse_arn
from eventcore.codec import decode_json, encode_json
from eventcore.errors import InvalidParameter
from eventcore.queues.queue_spec import QueueSpec, QueueStatistics, RedrivePolicy
from eventcore.queues.standard import StandardQueue
from eventcore.wire.fault import Fault

__all__ = [
    "READABLE",
    "SETTABLE",
    "attribute_of_field",
    "check_names",
    "overlay",
    "refuse_fifo",
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
_FIFO: Final = frozenset(
    ("FifoQueue", "ContentBasedDeduplication", "DeduplicationScope", "FifoThroughputLimit")
)
_POLICY_BYTES_MAX: Final = 8_192
_KMS_REUSE_SECONDS: Final = (60, 86_400)
_KMS_KEY_CHARACTERS_MAX: Final = 2_048
_DIGITS_MAX: Final = 10

SETTABLE: Final = frozenset(
    (
        *_NUMBERS,
        "KmsDataKeyReusePeriodSeconds",
        "KmsMasterKeyId",
        "Policy",
        "RedriveAllowPolicy",
        "RedrivePolicy",
        "SqsManagedSseEnabled",
    )
)
"""What CreateQueue and SetQueueAttributes take for a standard queue."""

_COUNTS: Final[dict[str, Callable[[QueueStatistics], int]]] = {
    "ApproximateNumberOfMessages": lambda counts: counts.visible,
    "ApproximateNumberOfMessagesNotVisible": lambda counts: counts.in_flight,
    "ApproximateNumberOfMessagesDelayed": lambda counts: counts.delayed,
}
READABLE: Final = frozenset(
    (*SETTABLE, *_FIFO, *_COUNTS, "QueueArn", "CreatedTimestamp", "LastModifiedTimestamp")
)
"""What GetQueueAttributes may be asked for, FIFO queues' attributes included."""


def overlay(
    spec: QueueSpec,
    given: Mapping[str, str | None],
    arn: Arn,
    is_queue: Callable[[str], bool],
) -> QueueSpec:
    """`spec` with the given attributes set; an empty text removes what can be absent.

    `arn` is the queue's; `is_queue(arn)` says whether a dead-letter queue exists. Raises Fault.
    """
    changes: dict[str, Any] = {}
    kept = dict(spec.attributes)
    _check_encryption(given)
    for name, value in given.items():
        if name not in SETTABLE:
            raise invalid_attribute_name(name)
        text = value or ""
        if name in _NUMBERS:
            field, unit, lowest, highest = _NUMBERS[name]
            changes[field] = _number(name, text, unit, lowest, highest)
        elif name == "RedrivePolicy":
            changes["redrive"] = _read_redrive_policy(text, arn, is_queue) if text else None
        else:
            _keep(kept, name, text)
    return msgspec.structs.replace(spec, attributes=kept, **changes)


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
    if name in ("Policy", "RedriveAllowPolicy"):
        if text:
            _check_policy(name, text)
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


def _check_policy(name: str, text: str) -> None:
    if name == "Policy" and len(text.encode()) > _POLICY_BYTES_MAX:
        raise invalid_attribute_value(name)
    policy = _json_map(text)
    if policy is None:
        raise invalid_attribute_value(name)
    if name == "RedriveAllowPolicy":
        permission = policy.get("redrivePermission")
        sources = policy.get("sourceQueueArns")
        if permission not in ("allowAll", "denyAll", "byQueue"):
            raise invalid_value(text, name, "Amazon SQS can't create the redrive allow policy.")
        if (permission == "byQueue") != (isinstance(sources, list) and 1 <= len(sources) <= 10):
            raise invalid_value(text, name, "Amazon SQS can't create the redrive allow policy.")


def _json_map(text: str) -> dict[str, Any] | None:
    try:
        value = decode_json(text)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _read_redrive_policy(text: str, arn: Arn, is_queue: Callable[[str], bool]) -> RedrivePolicy:
    def refuse(reason: str) -> Fault:
        return invalid_value(text[:2048], "RedrivePolicy", reason)

    policy = _json_map(text)
    if policy is None:
        raise refuse("Redrive policy is not a valid JSON map.")
    for name in ("maxReceiveCount", "deadLetterTargetArn"):
        if name not in policy:
            raise refuse(f"Redrive policy does not contain mandatory attribute: {name}.")
    count = _receive_count(policy["maxReceiveCount"])
    if count is None:
        raise refuse(
            f"Invalid value for maxReceiveCount: {policy['maxReceiveCount']}, valid values are "
            f"from {limits.RECEIVES_MAX_LOWEST} to {limits.RECEIVES_MAX_HIGHEST} both inclusive."
        )
    target_arn = policy["deadLetterTargetArn"]
    try:
        target = parse_arn(target_arn if isinstance(target_arn, str) else "")
    except InvalidParameter as error:
        raise refuse("Invalid value for deadLetterTargetArn.") from error
    if target.resource.endswith(".fifo"):
        raise refuse("Dead-letter queue must be same type of queue as the source.")
    if (target.account, target.region) != (arn.account, arn.region):
        raise refuse("Dead-letter target must be in the same account and region as the source.")
    if target.service != "sqs" or not is_queue(target_arn):
        raise refuse("Dead letter target does not exist.")
    return RedrivePolicy(target_arn, count)


def _receive_count(value: object) -> int | None:
    if isinstance(value, str) and value.isdecimal() and len(value) <= _DIGITS_MAX:
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    is_allowed = limits.RECEIVES_MAX_LOWEST <= value <= limits.RECEIVES_MAX_HIGHEST
    return value if is_allowed else None


# Reading


def check_names(names: list[str]) -> None:
    """Raises Fault for a name in AttributeNames that is no queue attribute."""
    for name in names:
        if name != "All" and name not in READABLE:
            raise invalid_attribute_name(name)


def show(
    queue: StandardQueue, names: list[str], statistics: Callable[[], QueueStatistics]
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
        values["RedrivePolicy"] = encode_json(
            {
                "deadLetterTargetArn": spec.redrive.target_arn,
                "maxReceiveCount": spec.redrive.receives_max,
            }
        ).decode()
    if not wanted.isdisjoint(_COUNTS):
        counts = statistics()
        values.update({name: str(count(counts)) for name, count in _COUNTS.items()})
    return {name: value for name, value in values.items() if name in wanted}


def attribute_of_field(field: str, existing: QueueSpec, wanted: QueueSpec) -> str:
    """The attribute's name for a field in which two specs differ."""
    if field == "redrive":
        return "RedrivePolicy"
    if field == "attributes":
        names = existing.attributes.keys() | wanted.attributes.keys()
        differing = [n for n in names if existing.attributes.get(n) != wanted.attributes.get(n)]
        return min(differing, default=field)
    return next((name for name, entry in _NUMBERS.items() if entry[0] == field), field)


def refuse_fifo(name: str, attributes: Mapping[str, str | None]) -> None:
    """Raises Fault UnsupportedOperation for the creation of a FIFO queue."""
    if name.endswith(".fifo") and (attributes.get("FifoQueue") or "").lower() == "true":
        raise unsupported("eventcore does not implement FIFO queues yet.")
