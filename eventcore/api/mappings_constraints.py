"""What may be said of an event source mapping: what Lambda's model allows of each member, and what
each kind of source allows of it.

Rules of this file (botocore, service-2.json of lambda; answers that AWS gave):

- The model comes first: all that a request breaks of it is told as ValidationException. What
  depends on the source, or on two members together, comes after it, is told one at a time, and is
  an InvalidParameterValueException.
- A member that the source does not know is refused, and not ignored: who sends it expects something
  of it. An empty structure says nothing, and is allowed everywhere.
- Sources that there are none of here are refused in words of ours (501), but for DynamoDB streams:
  none of them exists, and that is what AWS says of one that does not.
"""

from __future__ import annotations

from types import NoneType
from typing import Any, Final, get_args, get_origin, get_type_hints

import msgspec

from eventcore.api import mappings_requests as requests
from eventcore.api.constraints import (
    Choice,
    Entries,
    Member,
    Members,
    Number,
    Pairs,
    Rule,
    Text,
    broken_constraints,
    member_name,
    validation_errors,
)
from eventcore.api.functions_address import NAMESPACED_PATTERN, REGION_PATTERN
from eventcore.api.functions_faults import invalid_value
from eventcore.arn import parse_arn
from eventcore.errors import InvalidParameter
from eventcore.mappings.mapping_rules import AT_TIMESTAMP
from eventcore.mappings.mapping_spec import FOR_EVER, MappingSpec
from eventcore.wire.fault import Fault

__all__ = [
    "DESTINATION",
    "POLLERS_MAX_DEFAULT",
    "POLLERS_MIN_DEFAULT",
    "REPORT_ITEM_FAILURES",
    "check",
    "check_settings",
    "check_source",
    "check_spec",
    "shape_of",
    "unsupported",
]

REPORT_ITEM_FAILURES: Final = "ReportBatchItemFailures"
POLLERS_MIN_DEFAULT: Final = 2
POLLERS_MAX_DEFAULT: Final = 200

_FIFO_BATCH_MAX: Final = 10
_RECORD_AGE_MS_MIN: Final = 60_000
_QUEUE_POLLERS_MIN: Final = 2
_QUEUE_POLLERS_MAX: Final = 2_000

# The model

_ARN: Final = rf"arn:(aws[a-zA-Z0-9-]*):([a-zA-Z0-9\-])+:({REGION_PATTERN})?:(\d{{12}})?:(.*)"
DESTINATION: Final = Text(0, 350, rf"$|kafka://([^.]([a-zA-Z0-9\-_.]{{0,248}}))|{_ARN}")

_RULES: Final[dict[str, Rule]] = {
    "BatchSize": Number(1, 10_000),
    "Destination": DESTINATION,
    "EventSourceArn": Text(0, 10_000, _ARN),
    "FunctionName": Text(1, 256, NAMESPACED_PATTERN),
    "FunctionResponseTypes": Entries(Choice((REPORT_ITEM_FAILURES,)), 0, 1),
    "KMSKeyArn": Text(0, 10_000, "(arn:(aws[a-zA-Z-]*)?:[a-z0-9-.]+:.*)|()"),
    "MaxItems": Number(1, 10_000),
    "MaximumBatchingWindowInSeconds": Number(0, 300),
    "MaximumConcurrency": Number(2, 1_000),
    "MaximumPollers": Number(1, 10_000),
    "MaximumRecordAgeInSeconds": Number(-1, 604_800),
    "MaximumRetryAttempts": Number(-1, 10_000),
    "Metrics": Entries(Choice(("EventCount", "ErrorCount", "KafkaMetrics")), 0, 3),
    "MinimumPollers": Number(1, 200),
    "ParallelizationFactor": Number(1, 10),
    "Pattern": Text(0, 4_096, r"[\s\S]*"),
    "PollerGroupName": Text(0, 128, "[a-zA-Z0-9-_]*"),
    "Queues": Entries(Text(1, 1_000, r"[\s\S]*"), 1, 1),
    "StartingPosition": Choice(("LATEST", AT_TIMESTAMP, "TRIM_HORIZON")),
    "SystemLogLevel": Choice(("DEBUG", "INFO", "WARN")),
    # AWS tells a pattern of tags, too, in a language of Java's; what it allows is all but controls.
    "Tags": Pairs(Text(1, 128), Text(0, 256)),
    "Topics": Entries(Text(1, 249, r"[^.]([a-zA-Z0-9\-_.]+)"), 1, 1),
    "TumblingWindowInSeconds": Number(0, 900),
    "UUID": Text(36, 36),
}
"""By the member's name on the wire."""

_REQUIRED: Final[dict[type, str]] = {
    requests.CreateEventSourceMappingRequest: "FunctionName",
    requests.DeleteEventSourceMappingRequest: "UUID",
    requests.GetEventSourceMappingRequest: "UUID",
    requests.UpdateEventSourceMappingRequest: "UUID",
}

_shapes: Final[dict[type, Members]] = {}


def shape_of(struct_type: type) -> Members:
    """The constraints of a request struct, or of a structure in one; made when first asked for."""
    shape = _shapes.get(struct_type)
    if shape is None:
        shape = _shapes[struct_type] = _make_shape(struct_type)
    return shape


def _make_shape(struct_type: type) -> Members:
    required = _REQUIRED.get(struct_type)
    hints = get_type_hints(struct_type)
    return Members(
        tuple(
            Member(
                field.name,
                member_name(field.encode_name),
                _RULES.get(field.encode_name) or _rule_of_type(hints[field.name]),
                field.encode_name == required,
            )
            for field in msgspec.structs.fields(struct_type)
        )
    )


def _rule_of_type(hint: Any) -> Rule | None:
    """The rule of a member that is a structure or a list of structures."""
    (kind,) = (option for option in get_args(hint) if option is not NoneType)
    if get_origin(kind) is list:
        (entry,) = get_args(kind)
        return Entries(shape_of(entry)) if _is_struct(entry) else None
    return shape_of(kind) if _is_struct(kind) else None


def _is_struct(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


def check(request: msgspec.Struct) -> None:
    """Raises Fault ValidationException with all that the request breaks of the model."""
    broken = broken_constraints(shape_of(type(request)), request)
    if broken:
        raise validation_errors(broken)


# Sources

_ELSEWHERE: Final = {
    "kafka": "Amazon MSK",
    "mq": "Amazon MQ",
    "rds": "Amazon DocumentDB",
}
"""Services of sources that there are none of here."""

_OF_KAFKA: Final = (
    "topics",
    "queues",
    "source_access_configurations",
    "self_managed_event_source",
    "amazon_managed_kafka_event_source_config",
    "self_managed_kafka_event_source_config",
    "documentdb_event_source_config",
    "logging_config",
)
"""Members that neither queues nor streams know."""
_OF_STREAMS: Final = (
    "starting_position_timestamp",
    "parallelization_factor",
    "maximum_record_age_in_seconds",
    "bisect_batch_on_function_error",
    "maximum_retry_attempts",
    "tumbling_window_in_seconds",
    "destination_config",
)
_OF_QUEUES: Final = ("scaling_config", "provisioned_poller_config")


def unsupported(detail: str) -> Fault:
    """501 for what AWS has and eventcore has not. SDKs do not try it again."""
    return Fault("UnsupportedOperation", f"eventcore does not support {detail}.", status=501)


def check_source(request: requests.CreateEventSourceMappingRequest) -> str:
    """The ARN of the source of a new mapping: a queue's or a stream's, whether it exists or not.

    Raises the fault for every other, and for a starting position that the source can not have.
    """
    if request.self_managed_event_source is not None:
        raise unsupported("event source mappings of self-managed Apache Kafka")
    if not request.event_source_arn:
        raise invalid_value("Unrecognized event source.")
    arn = request.event_source_arn
    try:
        service = parse_arn(arn).service
    except InvalidParameter as error:
        raise invalid_value("Unrecognized event source.") from error
    if service in _ELSEWHERE:
        raise unsupported(f"event source mappings of {_ELSEWHERE[service]}")
    if service == "sqs":
        if request.starting_position is not None:
            raise invalid_value("StartingPosition is not valid for SQS event sources.")
    elif service in ("kinesis", "dynamodb"):
        _check_position(arn, service, request)
    else:
        raise invalid_value("Unrecognized event source.")
    if service == "dynamodb":
        raise invalid_value(f"Stream not found: {arn}")
    return arn


def _check_position(
    arn: str, service: str, request: requests.CreateEventSourceMappingRequest
) -> None:
    position = request.starting_position
    if position is None:
        # Not ValidationException: the model does not require it.
        raise invalid_value(
            "1 validation error detected: Value null at 'startingPosition' failed to satisfy "
            "constraint: Member must not be null."
        )
    if position == AT_TIMESTAMP:
        if service == "dynamodb":
            raise invalid_value(f"Unsupported starting position for arn type: {arn}")
        if request.starting_position_timestamp is None:
            raise invalid_value("Need to specify a timestamp")
    elif request.starting_position_timestamp is not None:
        raise invalid_value("StartingPositionTimestamp needs the StartingPosition AT_TIMESTAMP.")


def check_settings(request: requests.MappingSettings, *, is_queue: bool) -> None:
    """Raises the fault for a member that a source of this kind does not know."""
    foreign = _OF_STREAMS if is_queue else _OF_QUEUES
    for attribute in (*_OF_KAFKA, *foreign):
        if _says_something(getattr(request, attribute, None)):
            raise _not_of_source(requests.wire_name(attribute))
    destinations = request.destination_config
    if destinations is not None and _says_something(destinations.on_success):
        raise _not_of_source("DestinationConfig")
    metrics = request.metrics_config.metrics if request.metrics_config is not None else None
    if any(metric != "EventCount" for metric in metrics or ()):
        raise _not_of_source("MetricsConfig")
    pollers = request.provisioned_poller_config
    if pollers is not None and pollers.poller_group_name:
        raise _not_of_source("PollerGroupName")


def _not_of_source(name: str) -> Fault:
    return invalid_value(f"Unsupported {name} parameter for given event source mapping type.")


def _says_something(value: Any) -> bool:
    """Whether a member is there, and not just an empty structure or list."""
    if isinstance(value, msgspec.Struct):
        return any(_says_something(getattr(value, name)) for name in value.__struct_fields__)
    if isinstance(value, (str, list, dict)):
        return bool(value)
    return value is not None


def check_spec(spec: MappingSpec) -> None:
    """Raises the fault for settings for which AWS has words of its own; the others are checked
    where mappings are made.
    """
    if spec.is_queue:
        _check_queue_spec(spec)
    elif FOR_EVER != spec.age_ms_max < _RECORD_AGE_MS_MIN:
        raise invalid_value(
            "MaximumRecordAgeInSeconds must be either -1 (forever) or between 60 and 604800 "
            "(inclusive)"
        )


def _check_queue_spec(spec: MappingSpec) -> None:
    if spec.source_arn.endswith(".fifo"):
        if spec.batch_window_ms:
            raise invalid_value("Batching window is not supported for FIFO queues")
        if spec.batch_size > _FIFO_BATCH_MAX:
            raise invalid_value("Maximum batch size must be between 1 and 10 inclusive")
    pollers = spec.pollers
    if pollers is None:
        return
    if spec.concurrency_max is not None:
        raise invalid_value(
            "ProvisionedPollerConfig and ScalingConfig can not be used together: with provisioned "
            "pollers, MaximumPollers bounds the concurrency."
        )
    assert pollers.pollers_min is not None
    assert pollers.pollers_max is not None
    if pollers.pollers_min < _QUEUE_POLLERS_MIN:
        raise invalid_value("MinimumPollers must be at least 2 for SQS event sources.")
    if pollers.pollers_max > _QUEUE_POLLERS_MAX:
        raise invalid_value("MaximumPollers must be at most 2000 for SQS event sources.")
    if pollers.pollers_max < pollers.pollers_min:
        raise invalid_value("MaximumPollers must not be less than MinimumPollers.")
