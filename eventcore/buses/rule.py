"""A rule and its targets: what is stored, and which values are allowed.

Rules of this file:

- Every refusal is an InvalidParameter (or UnsupportedOperation) whose `reason` is the message that
  AWS gives (botocore's constraints, and answers of PutRule and PutTargets).
- A target is an ARN, or the URL of a foreign system that a connector serves ("https://...").
- `outlet_of` turns a stored target into what the delivery of an event needs, once per change of the
  rule, so that nothing is parsed per event.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from eventcore import limits
from eventcore.arn import parse_arn
from eventcore.buses.event import Envelope
from eventcore.buses.input_path import ABSENT, JsonPath, compile_path, find
from eventcore.buses.transformer import InputTransformer, Render, compile_transformer
from eventcore.codec import decode_json, encode_json, record_decoder
from eventcore.errors import InvalidParameter

__all__ = [
    "DISABLED",
    "ENABLED",
    "RULE_STATES",
    "Outlet",
    "RuleRecord",
    "Target",
    "check_rule",
    "check_tags",
    "check_target",
    "decode_rule",
    "is_bus",
    "is_stream",
    "outlet_of",
]

ENABLED: Final = "ENABLED"
DISABLED: Final = "DISABLED"
RULE_STATES: Final = (ENABLED, DISABLED, "ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS")
_NAME_PATTERN: Final = r"[\.\-_A-Za-z0-9]+"
_NAME: Final = re.compile(_NAME_PATTERN)
_FUNCTION: Final = re.compile(r"function:[A-Za-z0-9_-]{1,64}(:(\$LATEST|[A-Za-z0-9_-]{1,128}))?")
_URL: Final = re.compile(r"[a-z][a-z0-9+.\-]*://[^\s/]+\S*")
_BUS_PREFIX: Final = "event-bus/"
_FIFO_SUFFIX: Final = ".fifo"


class Target(msgspec.Struct, frozen=True, array_like=True):
    """One target of a rule. At most one of `input`, `input_path` and `transformer` is set; with
    none, the target gets the whole event.

    `group_id` is the message group in a FIFO queue; `partition_key_path` is the JSON path of the
    partition key in a stream, None for the event's id. `retries_max` (0 to 185) and `age_ms_max`
    (60,000 to 86,400,000) bound the attempts at a target outside the store; None takes AWS's
    defaults, the highest.
    """

    id: str
    arn: str
    input: str | None = None
    input_path: str | None = None
    transformer: InputTransformer | None = None
    role_arn: str | None = None
    group_id: str | None = None
    dead_letter_arn: str | None = None
    retries_max: int | None = None
    age_ms_max: int | None = None
    partition_key_path: str | None = None


class RuleRecord(msgspec.Struct, frozen=True, array_like=True):
    """The row of a rule. `pattern` is the text as it was given."""

    name: str
    pattern: str
    state: str = ENABLED
    description: str | None = None
    role_arn: str | None = None
    tags: dict[str, str] = {}
    targets: tuple[Target, ...] = ()

    @property
    def is_enabled(self) -> bool:
        """Whether events are matched against it."""
        return self.state != DISABLED


decode_rule: Final = record_decoder(RuleRecord)


class Outlet(msgspec.Struct, gc=False, frozen=True):
    """Where a matched event goes, and as what. `render` is None for the whole event."""

    arn: str
    is_bus: bool
    attempts_max: int
    age_ms_max: int
    render: Render | None = None
    group_id: str | None = None
    dead_letter_arn: str | None = None
    key_path: JsonPath | None = None
    """Of the partition key, where the target is a stream."""

    def group_of(self, envelope: Envelope) -> str | None:
        """The message group, or the partition key, of an event."""
        if self.key_path is None:
            return self.group_id
        found = find(self.key_path, envelope.event)
        if found is ABSENT or found is None:
            found = envelope.event["id"]
        text = found if isinstance(found, str) else encode_json(found).decode()
        return text[: limits.PARTITION_KEY_CHARACTERS_MAX] or None


def outlet_of(target: Target, rule_arn: str, rule_name: str) -> Outlet:
    """The outlet of a target. Raises InvalidParameter where its input is not valid."""
    retries = limits.RETRIES_MAX if target.retries_max is None else target.retries_max
    return Outlet(
        arn=target.arn,
        is_bus=is_bus(target.arn),
        attempts_max=1 + retries,
        age_ms_max=limits.EVENT_AGE_MS_MAX if target.age_ms_max is None else target.age_ms_max,
        render=_render_of(target, rule_arn, rule_name),
        group_id=target.group_id,
        dead_letter_arn=target.dead_letter_arn,
        key_path=_key_path(target),
    )


def is_stream(arn: str) -> bool:
    """Whether an ARN or URL names a stream."""
    if not arn.startswith("arn:"):
        return False
    parts = parse_arn(arn)
    return parts.service == "kinesis" and parts.resource.startswith("stream/")


def _key_path(target: Target) -> JsonPath | None:
    if not is_stream(target.arn):
        return None
    return ("id",) if target.partition_key_path is None else compile_path(target.partition_key_path)


def is_bus(arn: str) -> bool:
    """Whether an ARN or URL names an event bus."""
    if not arn.startswith("arn:"):
        return False
    parts = parse_arn(arn)
    return parts.service == "events" and parts.resource.startswith(_BUS_PREFIX)


def _render_of(target: Target, rule_arn: str, rule_name: str) -> Render | None:
    if target.input is not None:
        constant = target.input
        return lambda _: constant
    if target.transformer is not None:
        return compile_transformer(
            target.transformer, target_id=target.id, rule_arn=rule_arn, rule_name=rule_name
        )
    path = None if target.input_path is None else compile_path(target.input_path)
    return _render_path(path) if path else None


def _render_path(path: JsonPath) -> Render:
    # What AWS sends for a path that finds nothing is not documented; JSON's null is.
    return lambda envelope: encode_json(
        None if (found := find(path, envelope.event)) is ABSENT else found
    ).decode()


# What is allowed


def check_rule(rule: RuleRecord) -> None:
    """Raises InvalidParameter for the first value that is not allowed; the pattern is not read."""
    _check_name("name", rule.name, limits.RULE_NAME_CHARACTERS_MAX)
    if not rule.pattern:
        raise InvalidParameter(
            "eventPattern", "Parameter(s) EventPattern or ScheduleExpression must be specified."
        )
    _check_length("eventPattern", rule.pattern, 0, limits.PATTERN_CHARACTERS_MAX)
    if rule.state not in RULE_STATES:
        raise InvalidParameter(
            "state",
            f"Member must satisfy enum value set: [{', '.join(RULE_STATES)}]",
            rule.state,
        )
    if rule.description is not None:
        _check_length("description", rule.description, 0, limits.DESCRIPTION_CHARACTERS_MAX)
    if rule.role_arn is not None:
        _check_length("roleArn", rule.role_arn, 1, limits.ARN_CHARACTERS_MAX)
    check_tags(rule.tags)


def check_tags(tags: dict[str, str]) -> None:
    """Raises InvalidParameter for a tag's key or value of a length that is not allowed."""
    for key, value in tags.items():
        _check_length("tags.key", key, 1, limits.TAG_KEY_CHARACTERS_MAX)
        _check_length("tags.value", value, 0, limits.TAG_VALUE_CHARACTERS_MAX)


def check_target(target: Target, region: str) -> None:
    """Raises InvalidParameter for the first value that is not allowed in a rule of this region."""
    _check_name("targets.member.id", target.id, limits.TARGET_ID_CHARACTERS_MAX)
    _check_length("targets.member.arn", target.arn, 1, limits.ARN_CHARACTERS_MAX)
    _check_destination(target)
    _check_partition_key(target)
    _check_input(target)
    _check_retries(target)
    if target.dead_letter_arn is not None:
        _check_dead_letter(target.dead_letter_arn, region)


def _check_destination(target: Target) -> None:
    if not target.arn.startswith("arn:"):
        if _URL.fullmatch(target.arn) is None:
            raise _bad_arn(target.arn)
        return
    try:
        arn = parse_arn(target.arn)
    except InvalidParameter as error:
        raise _bad_arn(target.arn) from error
    if arn.service == "lambda" and _FUNCTION.fullmatch(arn.resource) is None:
        raise _bad_arn(target.arn)
    is_fifo = arn.service == "sqs" and arn.resource.endswith(_FIFO_SUFFIX)
    if is_fifo and not target.group_id:
        raise InvalidParameter(
            "SqsParameters",
            f"Parameter(s) SqsParameters must be specified for target: {target.id}.",
        )
    if target.group_id is not None:
        _check_length(
            "targets.member.sqsParameters.messageGroupId",
            target.group_id,
            0,
            limits.TARGET_GROUP_ID_CHARACTERS_MAX,
        )


def _check_partition_key(target: Target) -> None:
    path = target.partition_key_path
    if path is None:
        return
    if not is_stream(target.arn):
        raise InvalidParameter(
            "KinesisParameters",
            f"Parameter(s) KinesisParameters are not supported for target: {target.id}.",
        )
    if compile_path(path) is None:
        raise InvalidParameter(
            "partitionKeyPath", f"PartitionKeyPath for target {target.id} is invalid.", path
        )


def _check_input(target: Target) -> None:
    inputs = (target.input, target.input_path, target.transformer)
    if sum(value is not None for value in inputs) > 1:
        raise InvalidParameter(
            "input",
            "Only one of Input, InputPath, or InputTransformer must be provided for target "
            f"{target.id}.",
        )
    if target.input is not None:
        _check_length("targets.member.input", target.input, 0, limits.TARGET_INPUT_CHARACTERS_MAX)
        try:
            decode_json(target.input)
        except ValueError as error:
            raise InvalidParameter(
                "input", f"JSON syntax error in input for target {target.id}.", target.input
            ) from error
    if target.input_path is not None and compile_path(target.input_path) is None:
        raise InvalidParameter(
            "inputPath", f"InputPath for target {target.id} is invalid.", target.input_path
        )


def _check_retries(target: Target) -> None:
    bounds = (
        ("maximumRetryAttempts", target.retries_max, 0, limits.RETRIES_MAX, 1),
        (
            "maximumEventAgeInSeconds",
            target.age_ms_max,
            limits.EVENT_AGE_MS_MIN,
            limits.EVENT_AGE_MS_MAX,
            1000,
        ),
    )
    for name, value, lowest, highest, unit in bounds:
        if value is not None and not lowest <= value <= highest:
            bound, word = (lowest, "greater") if value < lowest else (highest, "less")
            raise InvalidParameter(
                f"targets.member.retryPolicy.{name}",
                f"Member must have value {word} than or equal to {bound // unit}",
                value // unit,
            )


def _check_dead_letter(text: str, region: str) -> None:
    arn = parse_arn(text)
    if arn.service != "sqs":
        reason = f"{arn.service} is not supported as a dead letter resource."
    elif arn.resource.endswith(_FIFO_SUFFIX):
        reason = "SQS FIFO is not supported by Dead Letter Queues."
    elif arn.region != region:
        reason = "The dead letter queue must be in the Region of the rule."
    else:
        return
    raise InvalidParameter("deadLetterConfig", reason, text)


def _check_name(name: str, value: str, characters_max: int) -> None:
    _check_length(name, value, 1, characters_max)
    if _NAME.fullmatch(value) is None:
        raise InvalidParameter(
            name, f"Member must satisfy regular expression pattern: {_NAME_PATTERN}", value
        )


def _check_length(name: str, value: str, lowest: int, highest: int) -> None:
    if len(value) > highest:
        raise InvalidParameter(
            name, f"Member must have length less than or equal to {highest}", value
        )
    if len(value) < lowest:
        raise InvalidParameter(
            name, f"Member must have length greater than or equal to {lowest}", value
        )


def _bad_arn(text: str) -> InvalidParameter:
    return InvalidParameter(
        "arn",
        f"Parameter {text} is not valid. Reason: Provided Arn is not in correct format.",
        text,
    )
