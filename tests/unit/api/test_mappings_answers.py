"""What is told of an event source mapping, and what may be said of one."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from eventcore.api.mappings_answers import mapping_answer
from eventcore.api.mappings_constraints import check_settings, check_source, check_spec
from eventcore.api.mappings_requests import (
    CreateEventSourceMappingRequest,
    DestinationConfigShape,
    DestinationShape,
    FilterCriteriaShape,
    MappingSettings,
    MetricsConfigShape,
    PollerConfigShape,
    ScalingConfigShape,
    UpdateEventSourceMappingRequest,
    wire_name,
)
from eventcore.mappings.mapping_spec import FOR_EVER, MappingRecord, MappingSpec, PollerConfig
from eventcore.wire.fault import Fault

ARN = "arn:aws:lambda:us-east-1:000000000000:event-source-mapping:a-b-c"
WORK = "arn:aws:lambda:us-east-1:000000000000:function:work"
QUEUE = "arn:aws:sqs:us-east-1:000000000000:orders"
STREAM = "arn:aws:kinesis:us-east-1:000000000000:stream/clicks"


def record(source: str = QUEUE, **settings: Any) -> MappingRecord:
    spec = MappingSpec(source_arn=source, function_arn=WORK, **settings)
    return MappingRecord(spec, "Enabled", 1_700_000_000_123, 1_700_000_000_000)


def told(of: MappingRecord, state: str | None = None) -> dict[str, Any]:
    answer: dict[str, Any] = msgspec.to_builtins(mapping_answer(ARN, of, state))
    return answer


def refusal(call: Any, *given: Any, **members: Any) -> str:
    with pytest.raises(Fault) as caught:
        call(*given, **members)
    assert caught.value.code in ("InvalidParameterValueException", "UnsupportedOperation")
    return caught.value.message


def test_names_are_those_of_the_wire() -> None:
    assert wire_name("kms_key_arn") == "KMSKeyArn"
    assert wire_name("documentdb_event_source_config") == "DocumentDBEventSourceConfig"
    assert wire_name("uuid") == "UUID"
    assert wire_name("maximum_batching_window_in_seconds") == "MaximumBatchingWindowInSeconds"


def test_times_are_told_in_seconds() -> None:
    queue = told(record(batch_window_ms=2_000))
    assert queue["LastModified"] == 1_700_000_000.123
    assert queue["MaximumBatchingWindowInSeconds"] == 2
    stream = told(
        record(
            STREAM,
            starting_position="AT_TIMESTAMP",
            starting_ms=1_500,
            age_ms_max=60_000,
            window_ms=30_000,
        )
    )
    assert stream["StartingPositionTimestamp"] == 1.5
    assert stream["MaximumRecordAgeInSeconds"] == 60
    assert stream["TumblingWindowInSeconds"] == 30


def test_for_ever_is_told_as_minus_one() -> None:
    stream = told(record(STREAM, starting_position="LATEST"))
    assert (stream["MaximumRecordAgeInSeconds"], stream["MaximumRetryAttempts"]) == (-1, -1)
    assert "StartingPositionTimestamp" not in stream


def test_a_queue_s_mapping_tells_nothing_of_results_and_shards() -> None:
    queue = told(record())
    assert queue.keys() == {
        "UUID",
        "EventSourceMappingArn",
        "EventSourceArn",
        "FunctionArn",
        "State",
        "StateTransitionReason",
        "LastModified",
        "BatchSize",
        "MaximumBatchingWindowInSeconds",
        "FunctionResponseTypes",
    }
    assert queue["StateTransitionReason"] == "USER_INITIATED"
    assert queue["UUID"] == "a-b-c"


def test_what_is_set_is_told() -> None:
    queue = told(
        record(
            filters=('{"body": [1]}',),
            reports_item_failures=True,
            concurrency_max=5,
            metrics=("EventCount",),
            echoed={"KMSKeyArn": "key", "Other": 1},
        ),
        "Deleting",
    )
    assert queue["State"] == "Deleting"
    assert queue["FilterCriteria"] == {"Filters": [{"Pattern": '{"body": [1]}'}]}
    assert queue["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert queue["ScalingConfig"] == {"MaximumConcurrency": 5}
    assert queue["MetricsConfig"] == {"Metrics": ["EventCount"]}
    assert queue["KMSKeyArn"] == "key"
    assert "Other" not in queue
    polled = told(record(pollers=PollerConfig(2, 9)))
    assert polled["ProvisionedPollerConfig"] == {"MinimumPollers": 2, "MaximumPollers": 9}


def test_a_reason_that_is_no_user_s_is_told_as_it_is() -> None:
    changed = msgspec.structs.replace(record(), reason="Lambda internal error")
    assert told(changed)["StateTransitionReason"] == "Lambda internal error"


# What may be said


@pytest.mark.parametrize("is_queue", [True, False])
@pytest.mark.parametrize(
    "settings",
    [
        MappingSettings(),
        MappingSettings(scaling_config=ScalingConfigShape()),
        MappingSettings(provisioned_poller_config=PollerConfigShape()),
        MappingSettings(destination_config=DestinationConfigShape(DestinationShape(""))),
        MappingSettings(source_access_configurations=[]),
        MappingSettings(documentdb_event_source_config={}),
        MappingSettings(metrics_config=MetricsConfigShape(["EventCount"])),
        UpdateEventSourceMappingRequest(filter_criteria=FilterCriteriaShape()),
    ],
)
def test_an_empty_structure_is_allowed_everywhere(is_queue: bool, settings: Any) -> None:
    check_settings(settings, is_queue=is_queue)
    kinds = {type(value) for value in (settings.scaling_config, settings.destination_config)}
    assert kinds <= {type(None), ScalingConfigShape, DestinationConfigShape}


def test_a_group_of_pollers_is_kafka_s() -> None:
    settings = MappingSettings(provisioned_poller_config=PollerConfigShape(2, 3, "group"))
    assert refusal(check_settings, settings, is_queue=True) == (
        "Unsupported PollerGroupName parameter for given event source mapping type."
    )


@pytest.mark.parametrize("arn", [None, "", "orders", "arn:aws:sqs", "arn:aws:sns:us-east-1:1:t"])
def test_a_source_is_a_queue_or_a_stream(arn: str | None) -> None:
    request = CreateEventSourceMappingRequest(event_source_arn=arn)
    assert refusal(check_source, request) == "Unrecognized event source."


def test_a_time_needs_the_position_that_it_is_for() -> None:
    request = CreateEventSourceMappingRequest(
        event_source_arn=STREAM, starting_position="LATEST", starting_position_timestamp=1.0
    )
    assert "AT_TIMESTAMP" in refusal(check_source, request)
    assert check_source(msgspec.structs.replace(request, starting_position="AT_TIMESTAMP"))


@pytest.mark.parametrize(
    ("age_ms", "is_allowed"), [(FOR_EVER, True), (0, False), (59_000, False), (60_000, True)]
)
def test_a_record_s_age_is_none_or_a_minute_at_least(age_ms: int, is_allowed: bool) -> None:
    spec = record(STREAM, starting_position="LATEST", age_ms_max=age_ms).spec
    if is_allowed:
        check_spec(spec)
    else:
        assert refusal(check_spec, spec).startswith("MaximumRecordAgeInSeconds must be either -1")
