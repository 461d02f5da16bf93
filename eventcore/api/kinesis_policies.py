"""Kinesis operations on resource policies of streams and consumers. They are stored and given back,
and not evaluated.

A policy is a JSON object with statements, each with an `Effect`, an `Action` or `NotAction`, and
a `Principal` or `NotPrincipal`; what more it says is not looked at.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from eventcore import limits
from eventcore.api.kinesis_address import resource_of
from eventcore.api.kinesis_answers import NOTHING, GetResourcePolicyAnswer, encode
from eventcore.api.kinesis_faults import in_use, invalid_argument, resource_not_found
from eventcore.api.kinesis_requests import (
    DeleteResourcePolicyRequest,
    GetResourcePolicyRequest,
    PutResourcePolicyRequest,
)
from eventcore.api.operation import Call
from eventcore.codec import decode_json
from eventcore.streams.stream import Stream
from eventcore.streams.stream_spec import FanOutConsumer

__all__ = ["delete_resource_policy", "get_resource_policy", "put_resource_policy"]

NO_POLICY: Final = "{}"
_VERSIONS: Final = ("2008-10-17", "2012-10-17")
_EFFECTS: Final = ("Allow", "Deny")
_CHOICES: Final = (("Action", "NotAction"), ("Principal", "NotPrincipal"))


def put_resource_policy(call: Call, request: PutResourcePolicyRequest) -> bytes:
    """Gives a stream or a consumer a policy in the place of the one it has."""
    assert request.resource_arn is not None
    assert request.policy is not None
    _check(request.policy)
    stream, consumer = resource_of(call, request.resource_arn)
    _set(call, stream, consumer, request.policy)
    return NOTHING


def get_resource_policy(call: Call, request: GetResourcePolicyRequest) -> bytes:
    """The policy of a stream or a consumer, as it was put; an empty one for none."""
    assert request.resource_arn is not None
    policy = _policy_of(*resource_of(call, request.resource_arn))
    return encode(call, GetResourcePolicyAnswer(policy or NO_POLICY))


def delete_resource_policy(call: Call, request: DeleteResourcePolicyRequest) -> bytes:
    """Takes the policy from a stream or a consumer."""
    assert request.resource_arn is not None
    stream, consumer = resource_of(call, request.resource_arn)
    if _policy_of(stream, consumer) is None:
        raise resource_not_found(
            f"No resource policy found for resource ARN {request.resource_arn}"
        )
    _set(call, stream, consumer, None)
    return NOTHING


def _policy_of(stream: Stream, consumer: FanOutConsumer | None) -> str | None:
    return stream.spec.policy if consumer is None else consumer.policy


def _set(call: Call, stream: Stream, consumer: FanOutConsumer | None, policy: str | None) -> None:
    streams = call.engine.streams
    if consumer is None:
        streams.describe_as(stream, msgspec.structs.replace(stream.spec, policy=policy))
        return
    if consumer.status(call.engine.now_ms()) != "ACTIVE":
        raise in_use(
            f"Consumer {consumer.name} with creation timestamp {consumer.created_ms // 1000} under "
            f"stream {stream.name} and account {stream.account} is not in ACTIVE status."
        )
    streams.change_consumer(stream, msgspec.structs.replace(consumer, policy=policy))


def _check(text: str) -> None:
    """Raises the fault for what is no policy."""
    if len(text.encode()) > limits.KINESIS_POLICY_BYTES_MAX:
        raise invalid_argument(
            f"The policy is longer than {limits.KINESIS_POLICY_BYTES_MAX} bytes."
        )
    try:
        policy = decode_json(text)
    except (ValueError, RecursionError):
        policy = None
    if not _is_policy(policy):
        raise invalid_argument("Invalid resource policy: it is no JSON of a policy.")


def _is_policy(policy: Any) -> bool:
    if not isinstance(policy, dict) or policy.get("Version", _VERSIONS[0]) not in _VERSIONS:
        return False
    statements = policy.get("Statement")
    if isinstance(statements, dict):
        statements = [statements]
    return isinstance(statements, list) and bool(statements) and all(map(_is_statement, statements))


def _is_statement(statement: Any) -> bool:
    return (
        isinstance(statement, dict)
        and statement.get("Effect") in _EFFECTS
        and all((name in statement) is not (other in statement) for name, other in _CHOICES)
    )
