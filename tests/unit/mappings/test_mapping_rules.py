"""What the settings of a mapping may be."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from eventcore.errors import InvalidParameter, InvalidPattern
from eventcore.mappings.mapping_rules import check_spec
from eventcore.mappings.mapping_spec import MappingSpec, PollerConfig

FUNCTION = "arn:aws:lambda:us-east-1:000000000000:function:bill"
QUEUE = "arn:aws:sqs:us-east-1:000000000000:orders"
STREAM = "arn:aws:kinesis:us-east-1:000000000000:stream/orders"
NOW_MS = 1_700_000_000_000


def of_queue(source_arn: str = QUEUE, **settings: Any) -> MappingSpec:
    return MappingSpec(source_arn=source_arn, function_arn=FUNCTION, **settings)


def of_stream(**settings: Any) -> MappingSpec:
    settings = {"starting_position": "TRIM_HORIZON", "batch_size": 100, **settings}
    return MappingSpec(source_arn=STREAM, function_arn=FUNCTION, **settings)


ALLOWED = [
    of_queue(),
    of_queue(batch_size=10_000, batch_window_ms=1_000),
    of_queue(QUEUE + ".fifo", batch_size=10),
    of_queue(concurrency_max=2, pollers=PollerConfig(1, 2), filters=('{"body": ["x"]}',)),
    of_stream(),
    of_stream(batch_size=10_000, parallelization=10, is_bisecting=True, retries_max=0),
    of_stream(age_ms_max=60_000, window_ms=900_000, on_failure_arn=QUEUE),
    of_stream(starting_position="AT_TIMESTAMP", starting_ms=NOW_MS),
]
REFUSED = {
    "EventSourceArn": [of_queue("arn:aws:dynamodb:us-east-1:000000000000:table/t/stream/s")],
    "BatchSize": [
        of_queue(batch_size=0),
        of_queue(batch_size=10_001, batch_window_ms=1_000),
        of_queue(QUEUE + ".fifo", batch_size=11),
    ],
    "MaximumBatchingWindowInSeconds": [
        of_queue(batch_size=11),
        of_queue(batch_window_ms=300_001),
        of_queue(QUEUE + ".fifo", batch_window_ms=1_000),
        of_stream(batch_window_ms=-1),
    ],
    "ScalingConfig": [
        of_queue(concurrency_max=1),
        of_queue(concurrency_max=1_001),
        of_stream(concurrency_max=2),
    ],
    "ProvisionedPollerConfig": [of_stream(pollers=PollerConfig(1, 2))],
    "DestinationConfig": [of_queue(on_failure_arn=QUEUE)],
    "StartingPosition": [
        of_queue(starting_position="LATEST"),
        of_stream(starting_position=""),
        of_stream(starting_position="NEWEST"),
    ],
    "StartingPositionTimestamp": [
        of_stream(starting_position="AT_TIMESTAMP"),
        of_stream(starting_position="AT_TIMESTAMP", starting_ms=NOW_MS + 1),
    ],
    "ParallelizationFactor": [of_queue(parallelization=2), of_stream(parallelization=11)],
    "MaximumRetryAttempts": [of_queue(retries_max=3), of_stream(retries_max=-2)],
    "MaximumRecordAgeInSeconds": [of_stream(age_ms_max=59_999), of_stream(age_ms_max=604_800_001)],
    "TumblingWindowInSeconds": [of_queue(window_ms=1), of_stream(window_ms=900_001)],
    "BisectBatchOnFunctionError": [of_queue(is_bisecting=True)],
    "FilterCriteria": [of_queue(filters=(" " * 4_097,))],
    "Filters": [of_queue(filters=('{"body": ["x"]}',) * 11)],
}


@pytest.mark.parametrize("spec", ALLOWED)
def test_what_aws_allows(spec: MappingSpec):
    before = msgspec.to_builtins(spec)
    check_spec(spec, NOW_MS)
    assert msgspec.to_builtins(spec) == before


@pytest.mark.parametrize(
    ("name", "spec"), [(name, spec) for name, specs in REFUSED.items() for spec in specs]
)
def test_what_is_refused_by_the_name_of_its_parameter(name: str, spec: MappingSpec):
    with pytest.raises(InvalidParameter) as refused:
        check_spec(spec, NOW_MS)
    assert refused.value.name == name


def test_reasons_are_aws_texts_where_it_has_one():
    with pytest.raises(InvalidParameter) as refused:
        check_spec(of_queue(batch_size=11), NOW_MS)
    assert refused.value.reason == (
        "Maximum batch window in seconds must be greater than 0 if maximum batch size is greater "
        "than 10"
    )
    with pytest.raises(InvalidParameter) as refused:
        check_spec(of_queue(on_failure_arn=QUEUE), NOW_MS)
    assert refused.value.reason == (
        "Unsupported DestinationConfig parameter for given event source mapping type."
    )


@pytest.mark.parametrize("pattern", ["", "x", "[]", '{"body": "x"}', '{"body": [{"no": 1}]}'])
def test_filters_are_patterns(pattern: str):
    with pytest.raises(InvalidPattern):
        check_spec(of_queue(filters=(pattern,)), NOW_MS)


def test_streams_have_no_filters_on_plain_data():
    with pytest.raises(InvalidPattern):
        check_spec(of_stream(filters=('{"data": ["x"]}',)), NOW_MS)
