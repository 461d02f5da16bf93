"""Request structs of the EventBridge operations: members and types as in botocore's model of
2015-10-07.

Every member is optional here; the handlers say what is missing, in EventBridge's words. Members
that have no effect or no support are here too, so that a request with one of them is refused or
stored, not silently understood otherwise.
`tests/wire/test_models_events.py` compares these structs with the model.
"""

from __future__ import annotations

from typing import Any

import msgspec

__all__ = [
    "CreateEventBusRequest",
    "DeadLetterConfig",
    "DeleteEventBusRequest",
    "DeleteRuleRequest",
    "DescribeEventBusRequest",
    "DescribeRuleRequest",
    "DisableRuleRequest",
    "EnableRuleRequest",
    "InputTransformerShape",
    "KinesisParameters",
    "ListEventBusesRequest",
    "ListRuleNamesByTargetRequest",
    "ListRulesRequest",
    "ListTagsForResourceRequest",
    "ListTargetsByRuleRequest",
    "LogConfig",
    "PutEventsRequest",
    "PutEventsRequestEntry",
    "PutRuleRequest",
    "PutTargetsRequest",
    "RemoveTargetsRequest",
    "RetryPolicy",
    "SqsParameters",
    "Tag",
    "TagResourceRequest",
    "TargetShape",
    "TestEventPatternRequest",
    "UntagResourceRequest",
    "UpdateEventBusRequest",
]


class _Shape(msgspec.Struct, frozen=True, gc=False, rename="pascal"):
    """Members are snake case here and Pascal case on the wire."""


class Tag(_Shape, frozen=True):
    """A tag."""

    key: str | None = None
    value: str | None = None


class DeadLetterConfig(_Shape, frozen=True):
    """The queue for what could not be delivered."""

    arn: str | None = None


class LogConfig(_Shape, frozen=True):
    """What a bus writes to its logs."""

    include_detail: str | None = None
    level: str | None = None


class CreateEventBusRequest(_Shape, frozen=True):
    """A new bus."""

    name: str | None = None
    event_source_name: str | None = None
    description: str | None = None
    kms_key_identifier: str | None = None
    dead_letter_config: DeadLetterConfig | None = None
    log_config: LogConfig | None = None
    tags: list[Tag] | None = None


class UpdateEventBusRequest(_Shape, frozen=True):
    """New settings of a bus."""

    name: str | None = None
    description: str | None = None
    kms_key_identifier: str | None = None
    dead_letter_config: DeadLetterConfig | None = None
    log_config: LogConfig | None = None


class DeleteEventBusRequest(_Shape, frozen=True):
    """A bus by name."""

    name: str | None = None


class DescribeEventBusRequest(_Shape, frozen=True):
    """A bus by name or ARN; the default one without."""

    name: str | None = None


class ListEventBusesRequest(_Shape, frozen=True):
    """A page of buses."""

    name_prefix: str | None = None
    next_token: str | None = None
    limit: int | None = None


class PutRuleRequest(_Shape, frozen=True):
    """A new rule, or new settings of one."""

    name: str | None = None
    schedule_expression: str | None = None
    event_pattern: str | None = None
    state: str | None = None
    description: str | None = None
    role_arn: str | None = None
    tags: list[Tag] | None = None
    event_bus_name: str | None = None


class DeleteRuleRequest(_Shape, frozen=True):
    """A rule by name. `force` is for managed rules, of which there are none here."""

    name: str | None = None
    event_bus_name: str | None = None
    force: bool | None = None


class DescribeRuleRequest(_Shape, frozen=True):
    """A rule by name."""

    name: str | None = None
    event_bus_name: str | None = None


class EnableRuleRequest(_Shape, frozen=True):
    """A rule by name."""

    name: str | None = None
    event_bus_name: str | None = None


class DisableRuleRequest(_Shape, frozen=True):
    """A rule by name."""

    name: str | None = None
    event_bus_name: str | None = None


class ListRulesRequest(_Shape, frozen=True):
    """A page of rules."""

    name_prefix: str | None = None
    event_bus_name: str | None = None
    next_token: str | None = None
    limit: int | None = None


class InputTransformerShape(_Shape, frozen=True):
    """Shape InputTransformer."""

    input_paths_map: dict[str, str] | None = None
    input_template: str | None = None


class SqsParameters(_Shape, frozen=True):
    """The message group of a FIFO queue."""

    message_group_id: str | None = None


class KinesisParameters(_Shape, frozen=True):
    """Where in the event a stream's partition key is."""

    partition_key_path: str | None = None


class RetryPolicy(_Shape, frozen=True):
    """How often and how long to try."""

    maximum_retry_attempts: int | None = None
    maximum_event_age_in_seconds: int | None = None


class TargetShape(_Shape, frozen=True):
    """Shape Target. Parameters of services that are not served here are refused when given."""

    id: str | None = None
    arn: str | None = None
    role_arn: str | None = None
    input: str | None = None
    input_path: str | None = None
    input_transformer: InputTransformerShape | None = None
    kinesis_parameters: KinesisParameters | None = None
    run_command_parameters: dict[str, Any] | None = None
    ecs_parameters: dict[str, Any] | None = None
    batch_parameters: dict[str, Any] | None = None
    sqs_parameters: SqsParameters | None = None
    http_parameters: dict[str, Any] | None = None
    redshift_data_parameters: dict[str, Any] | None = None
    sage_maker_pipeline_parameters: dict[str, Any] | None = None
    dead_letter_config: DeadLetterConfig | None = None
    retry_policy: RetryPolicy | None = None
    app_sync_parameters: dict[str, Any] | None = None


class PutTargetsRequest(_Shape, frozen=True):
    """Targets to add or replace."""

    rule: str | None = None
    event_bus_name: str | None = None
    targets: list[TargetShape] | None = None


class RemoveTargetsRequest(_Shape, frozen=True):
    """Targets to remove, by id. `force` is for managed rules."""

    rule: str | None = None
    event_bus_name: str | None = None
    ids: list[str] | None = None
    force: bool | None = None


class ListTargetsByRuleRequest(_Shape, frozen=True):
    """A page of a rule's targets."""

    rule: str | None = None
    event_bus_name: str | None = None
    next_token: str | None = None
    limit: int | None = None


class ListRuleNamesByTargetRequest(_Shape, frozen=True):
    """A page of the rules that have a target."""

    target_arn: str | None = None
    event_bus_name: str | None = None
    next_token: str | None = None
    limit: int | None = None


class PutEventsRequestEntry(_Shape, frozen=True):
    """One event. `time` is epoch seconds."""

    time: float | None = None
    source: str | None = None
    resources: list[str] | None = None
    detail_type: str | None = None
    detail: str | None = None
    event_bus_name: str | None = None
    trace_header: str | None = None


class PutEventsRequest(_Shape, frozen=True):
    """Up to ten events; each is taken or refused for itself."""

    entries: list[PutEventsRequestEntry] | None = None
    endpoint_id: str | None = None


class TestEventPatternRequest(_Shape, frozen=True):
    """A pattern and an event, both as JSON texts."""

    __test__ = False  # not a test, whatever its name

    event_pattern: str | None = None
    event: str | None = None


class TagResourceRequest(_Shape, frozen=True):
    """Tags to add or replace."""

    resource_arn: str | None = msgspec.field(name="ResourceARN", default=None)
    tags: list[Tag] | None = None


class UntagResourceRequest(_Shape, frozen=True):
    """Tags to remove."""

    resource_arn: str | None = msgspec.field(name="ResourceARN", default=None)
    tag_keys: list[str] | None = None


class ListTagsForResourceRequest(_Shape, frozen=True):
    """A bus or rule, by ARN."""

    resource_arn: str | None = msgspec.field(name="ResourceARN", default=None)
