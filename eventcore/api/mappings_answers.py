"""Answers of the operations on event source mappings: members and types as in botocore's model of
2015-03-31.

Rules of this file:

- A member with a default is left out of an answer when it has that value.
- Queues and streams are told with different members, as on AWS: a queue's mapping has no
  LastProcessingResult, no DestinationConfig and nothing about records and shards.
- Times are epoch seconds with three decimals, as AWS writes them in JSON.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from eventcore.api.mappings_constraints import REPORT_ITEM_FAILURES
from eventcore.api.mappings_requests import (
    DestinationConfigShape,
    DestinationShape,
    FilterCriteriaShape,
    FilterShape,
    MetricsConfigShape,
    PollerConfigShape,
    ScalingConfigShape,
    wire_name,
)
from eventcore.mappings.mapping_rules import AT_TIMESTAMP
from eventcore.mappings.mapping_spec import FOR_EVER, MappingRecord, MappingSpec

__all__ = ["ListMappingsAnswer", "MappingAnswer", "mapping_answer"]

_USER_ACTION: Final = "User action"
_QUEUES_USER_ACTION: Final = "USER_INITIATED"
"""How AWS tells of queues' mappings that a user changed them."""


class MappingAnswer(
    msgspec.Struct, frozen=True, gc=False, omit_defaults=True, rename=wire_name, kw_only=True
):
    """An event source mapping as it is told."""

    uuid: str
    event_source_mapping_arn: str
    event_source_arn: str
    function_arn: str
    state: str
    state_transition_reason: str
    last_modified: float
    batch_size: int
    maximum_batching_window_in_seconds: int
    function_response_types: list[str]
    filter_criteria: FilterCriteriaShape | None = None
    kms_key_arn: str | None = None
    metrics_config: MetricsConfigShape | None = None
    scaling_config: ScalingConfigShape | None = None
    provisioned_poller_config: PollerConfigShape | None = None
    last_processing_result: str | None = None
    starting_position: str | None = None
    starting_position_timestamp: float | None = None
    parallelization_factor: int | None = None
    destination_config: DestinationConfigShape | None = None
    maximum_record_age_in_seconds: int | None = None
    bisect_batch_on_function_error: bool | None = None
    maximum_retry_attempts: int | None = None
    tumbling_window_in_seconds: int | None = None


class ListMappingsAnswer(
    msgspec.Struct, frozen=True, gc=False, omit_defaults=True, rename=wire_name
):
    """A page of mappings; `next_marker` is where the next one goes on."""

    event_source_mappings: list[MappingAnswer]
    next_marker: str | None = None


def mapping_answer(arn: str, record: MappingRecord, state: str | None = None) -> MappingAnswer:
    """What is told of the mapping with this ARN. `state` is told in place of the record's."""
    spec = record.spec
    reason = record.reason
    if spec.is_queue and reason == _USER_ACTION:
        reason = _QUEUES_USER_ACTION
    return MappingAnswer(
        uuid=arn.rpartition(":")[2],
        event_source_mapping_arn=arn,
        event_source_arn=spec.source_arn,
        function_arn=spec.function_arn,
        state=state or record.state,
        state_transition_reason=reason,
        last_modified=record.modified_ms / 1000,
        batch_size=spec.batch_size,
        maximum_batching_window_in_seconds=spec.batch_window_ms // 1000,
        function_response_types=[REPORT_ITEM_FAILURES] if spec.reports_item_failures else [],
        filter_criteria=_filter_criteria(spec),
        kms_key_arn=spec.echoed.get("KMSKeyArn"),
        metrics_config=MetricsConfigShape([*spec.metrics]) if spec.metrics else None,
        **(_of_queue(spec) if spec.is_queue else _of_stream(spec, record)),
    )


def _filter_criteria(spec: MappingSpec) -> FilterCriteriaShape | None:
    if not spec.filters:
        return None
    return FilterCriteriaShape([FilterShape(pattern) for pattern in spec.filters])


def _of_queue(spec: MappingSpec) -> dict[str, Any]:
    told: dict[str, Any] = {}
    if spec.concurrency_max is not None:
        told["scaling_config"] = ScalingConfigShape(spec.concurrency_max)
    if spec.pollers is not None:
        pollers = spec.pollers
        told["provisioned_poller_config"] = PollerConfigShape(
            pollers.pollers_min, pollers.pollers_max, pollers.group
        )
    return told


def _of_stream(spec: MappingSpec, record: MappingRecord) -> dict[str, Any]:
    is_at_time = spec.starting_position == AT_TIMESTAMP and spec.starting_ms is not None
    return {
        "last_processing_result": record.result,
        "starting_position": spec.starting_position,
        "starting_position_timestamp": (spec.starting_ms or 0) / 1000 if is_at_time else None,
        "parallelization_factor": spec.parallelization,
        "destination_config": DestinationConfigShape(
            on_failure=DestinationShape(spec.on_failure_arn)
        ),
        "maximum_record_age_in_seconds": (
            FOR_EVER if spec.age_ms_max == FOR_EVER else spec.age_ms_max // 1000
        ),
        "bisect_batch_on_function_error": spec.is_bisecting,
        "maximum_retry_attempts": spec.retries_max,
        "tumbling_window_in_seconds": spec.window_ms // 1000,
    }
