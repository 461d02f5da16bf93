"""RedrivePolicy and RedriveAllowPolicy: from their JSON texts to a queue's settings and back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from eventcore import limits
from eventcore.api.sqs_address import read_arn
from eventcore.api.sqs_faults import invalid_attribute_value, invalid_value
from eventcore.api.sqs_policies import read_json_map
from eventcore.arn import Arn, parse_arn
from eventcore.codec import encode_json
from eventcore.queues.queue_spec import (
    REDRIVE_PERMISSIONS,
    QueueSpec,
    RedriveAllow,
    RedrivePolicy,
)
from eventcore.wire.fault import Fault

__all__ = [
    "FindSpec",
    "read_redrive",
    "read_redrive_allow",
    "redrive_allow_text",
    "redrive_text",
]

FindSpec = Callable[[str], QueueSpec | None]
"""The settings of the queue of an ARN; None where there is no such queue."""

REDRIVE: Final = "RedrivePolicy"
REDRIVE_ALLOW: Final = "RedriveAllowPolicy"
_TARGET: Final = "deadLetterTargetArn"
_COUNT: Final = "maxReceiveCount"
_PERMISSION: Final = "redrivePermission"
_SOURCES: Final = "sourceQueueArns"
_SHOWN_CHARACTERS_MAX: Final = 2_048
_DIGITS_MAX: Final = 10
_NOT_MADE: Final = "Amazon SQS can't create the redrive allow policy"


def read_redrive(text: str, source_arn: str, spec: QueueSpec, find: FindSpec) -> RedrivePolicy:
    """The RedrivePolicy of the queue `source_arn`, which has the settings `spec` so far.

    Raises Fault, also for a dead-letter queue that is of another kind, account or region, does not
    exist, or does not allow this source. One that the queue has already is not asked again, so that
    CreateQueue with the same attributes gives the same queue whatever became of its dead letters.
    """

    def refuse(reason: str) -> Fault:
        return invalid_value(text[:_SHOWN_CHARACTERS_MAX], REDRIVE, reason)

    policy = read_json_map(text)
    if policy is None:
        raise refuse("Redrive policy is not a valid JSON map.")
    for name in (_COUNT, _TARGET):
        if name not in policy:
            raise refuse(f"Redrive policy does not contain mandatory attribute: {name}.")
    if len(policy) > 2:
        raise refuse(f"Only following attributes are supported: [{_TARGET}, {_COUNT}].")
    count = _receive_count(policy[_COUNT])
    if count is None:
        raise refuse(
            f"Invalid value for maxReceiveCount: {policy[_COUNT]}, valid values are "
            f"from {limits.RECEIVES_MAX_LOWEST} to {limits.RECEIVES_MAX_HIGHEST} both inclusive."
        )
    target_arn = policy[_TARGET]
    target = read_arn(target_arn)
    if target is None:
        raise refuse("Invalid value for deadLetterTargetArn.")
    redrive = RedrivePolicy(target_arn, count)
    if redrive != spec.redrive:
        reason = _why_not(target_arn, target, source_arn, spec.is_fifo, find)
        if reason:
            raise refuse(reason)
    return redrive


def _why_not(target_arn: str, target: Arn, source_arn: str, is_fifo: bool, find: FindSpec) -> str:
    """Why a queue can not be the dead-letter queue of `source_arn`; empty when it can."""
    source = parse_arn(source_arn)
    if target.resource.endswith(".fifo") != is_fifo:
        return "Dead-letter queue must be same type of queue as the source."
    if target.account != source.account:
        return "Dead-letter target owner should be same as the source."
    if target.region != source.region:
        return "Dead-letter target must be in same region as the source."
    spec = find(target_arn) if target.service == "sqs" else None
    if spec is None:
        return "Dead letter target does not exist."
    allow = spec.redrive_allow
    if allow is not None and not allow.allows(source_arn):
        return "The dead-letter queue's redrive allow policy does not allow this source queue."
    return ""


def _receive_count(value: object) -> int | None:
    if isinstance(value, str) and value.isdecimal() and len(value) <= _DIGITS_MAX:
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    is_allowed = limits.RECEIVES_MAX_LOWEST <= value <= limits.RECEIVES_MAX_HIGHEST
    return value if is_allowed else None


def redrive_text(redrive: RedrivePolicy) -> str:
    """The attribute's JSON."""
    return encode_json({_TARGET: redrive.target_arn, _COUNT: redrive.receives_max}).decode()


# Who may dead-letter into a queue


def read_redrive_allow(text: str) -> RedriveAllow:
    """The RedriveAllowPolicy. Raises Fault."""
    policy = read_json_map(text)
    if policy is None or not _has_form(policy):
        raise invalid_attribute_value(
            REDRIVE_ALLOW, f"{_NOT_MADE}, as it's in an unsupported format."
        )
    permission: str = policy[_PERMISSION]
    sources: list[str] | None = policy.get(_SOURCES)
    reason = _wrong_sources(permission, sources)
    if reason:
        raise invalid_value(text[:_SHOWN_CHARACTERS_MAX], REDRIVE_ALLOW, f"{_NOT_MADE}. {reason}")
    return RedriveAllow(permission, tuple(sources or ()))


def _has_form(policy: dict[str, Any]) -> bool:
    sources = policy.get(_SOURCES, [])
    return (
        policy.keys() <= {_PERMISSION, _SOURCES}
        and policy.get(_PERMISSION) in REDRIVE_PERMISSIONS
        and isinstance(sources, list)
        and all(isinstance(source, str) and _is_queue_arn(source) for source in sources)
    )


def _is_queue_arn(text: str) -> bool:
    arn = read_arn(text)
    return arn is not None and arn.service == "sqs"


def _wrong_sources(permission: str, sources: list[str] | None) -> str:
    if permission != "byQueue":
        if sources is None:
            return ""
        return (
            "To specify one or more source queue ARNs, you must set redrivePermission to byQueue."
        )
    if not sources:
        return (
            "When you specify the byQueue permission type, you must also specify one or more "
            "sourceQueueArns values."
        )
    if len(sources) > limits.REDRIVE_SOURCES_MAX:
        return (
            "The maximum number of source queue ARNs you can specify is "
            f"{limits.REDRIVE_SOURCES_MAX}."
        )
    return ""


def redrive_allow_text(allow: RedriveAllow) -> str:
    """The attribute's JSON."""
    policy: dict[str, Any] = {_PERMISSION: allow.permission}
    if allow.permission == "byQueue":
        policy[_SOURCES] = list(allow.source_arns)
    return encode_json(policy).decode()
