"""Request structs of the operations on event source mappings: members and types as in botocore's
model of 2015-03-31.

Every member is optional here; `mappings_constraints` says what is missing, in Lambda's words. What
belongs to Kafka, MQ and DocumentDB is read as it comes: it is refused as a whole.
`tests/wire/test_models_lambda_settings.py` compares these structs with the model.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

__all__ = [
    "CreateEventSourceMappingRequest",
    "DeleteEventSourceMappingRequest",
    "DestinationConfigShape",
    "DestinationShape",
    "FilterCriteriaShape",
    "FilterShape",
    "GetEventSourceMappingRequest",
    "ListEventSourceMappingsRequest",
    "LoggingConfigShape",
    "MappingSettings",
    "MetricsConfigShape",
    "PollerConfigShape",
    "ScalingConfigShape",
    "UpdateEventSourceMappingRequest",
    "wire_name",
]

_WORDS: Final = {"documentdb": "DocumentDB", "kms": "KMS", "uuid": "UUID"}


def wire_name(attribute: str) -> str:
    """The name of a member on the wire: `kms_key_arn` is `KMSKeyArn`."""
    return "".join(_WORDS.get(word) or word.capitalize() for word in attribute.split("_"))


class _Shape(msgspec.Struct, frozen=True, gc=False, omit_defaults=True, rename=wire_name):
    """Members are snake case here; see `wire_name`."""


class FilterShape(_Shape, frozen=True):
    """One filter: an event pattern as JSON text."""

    pattern: str | None = None


class FilterCriteriaShape(_Shape, frozen=True):
    """The filters of a source; a record is wanted if one of them matches."""

    filters: list[FilterShape] | None = None


class MetricsConfigShape(_Shape, frozen=True):
    """Which metrics are told."""

    metrics: list[str] | None = None


class LoggingConfigShape(_Shape, frozen=True):
    """What pollers of Kafka log."""

    system_log_level: str | None = None


class ScalingConfigShape(_Shape, frozen=True):
    """How many invocations a queue may cause at a time. An empty one takes the bound away."""

    maximum_concurrency: int | None = None


class DestinationShape(_Shape, frozen=True):
    """Where a record of an invocation goes. An empty text is none."""

    destination: str | None = None


class DestinationConfigShape(_Shape, frozen=True):
    """The two destinations."""

    on_success: DestinationShape | None = None
    on_failure: DestinationShape | None = None


class PollerConfigShape(_Shape, frozen=True):
    """Provisioned pollers. An empty one takes them away."""

    minimum_pollers: int | None = None
    maximum_pollers: int | None = None
    poller_group_name: str | None = None


class MappingSettings(_Shape, frozen=True):
    """What can be said of a mapping when it is made, and changed later."""

    function_name: str | None = None
    enabled: bool | None = None
    batch_size: int | None = None
    filter_criteria: FilterCriteriaShape | None = None
    kms_key_arn: str | None = None
    metrics_config: MetricsConfigShape | None = None
    logging_config: LoggingConfigShape | None = None
    scaling_config: ScalingConfigShape | None = None
    maximum_batching_window_in_seconds: int | None = None
    parallelization_factor: int | None = None
    destination_config: DestinationConfigShape | None = None
    maximum_record_age_in_seconds: int | None = None
    bisect_batch_on_function_error: bool | None = None
    maximum_retry_attempts: int | None = None
    tumbling_window_in_seconds: int | None = None
    source_access_configurations: list[dict[str, Any]] | None = None
    function_response_types: list[str] | None = None
    amazon_managed_kafka_event_source_config: dict[str, Any] | None = None
    self_managed_kafka_event_source_config: dict[str, Any] | None = None
    documentdb_event_source_config: dict[str, Any] | None = None
    provisioned_poller_config: PollerConfigShape | None = None


class CreateEventSourceMappingRequest(MappingSettings, frozen=True):
    """A new mapping: what is said once, and the settings."""

    event_source_arn: str | None = None
    starting_position: str | None = None
    starting_position_timestamp: float | None = None
    tags: dict[str, str] | None = None
    topics: list[str] | None = None
    queues: list[str] | None = None
    self_managed_event_source: dict[str, Any] | None = None


class UpdateEventSourceMappingRequest(MappingSettings, frozen=True):
    """A mapping, and its new settings. What is not named stays as it is."""

    uuid: str | None = None


class GetEventSourceMappingRequest(_Shape, frozen=True):
    """A mapping."""

    uuid: str | None = None


class DeleteEventSourceMappingRequest(_Shape, frozen=True):
    """A mapping."""

    uuid: str | None = None


class ListEventSourceMappingsRequest(_Shape, frozen=True):
    """The mappings of an account, of a source, of a function; a page of them."""

    event_source_arn: str | None = None
    function_name: str | None = None
    marker: str | None = None
    max_items: int | None = None
