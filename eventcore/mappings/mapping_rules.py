"""What the settings of a mapping may be, as far as they tell it themselves.

Names of parameters in the errors are AWS's, as members of CreateEventSourceMapping; reasons are its
texts where it has one. A setting of another type, which only a program can give, is named as in
MappingSpec. What a setting means beside the source and the function is the runtime's to check.
"""

from __future__ import annotations

from typing import Final

from eventcore import limits
from eventcore.arn import parse_arn
from eventcore.codec import check_record
from eventcore.errors import InvalidParameter
from eventcore.mappings.mapping_spec import BEGINNING, FOR_EVER, MappingSpec
from eventcore.mappings.source_filter import SourceFilter

__all__ = [
    "AT_TIMESTAMP",
    "BATCH_SIZE_MAX",
    "LATEST",
    "check_spec",
]

LATEST: Final = "LATEST"
AT_TIMESTAMP: Final = "AT_TIMESTAMP"
BATCH_SIZE_MAX: Final = 10_000
BATCH_SIZE_MAX_FIFO: Final = 10
BATCH_SIZE_MAX_AT_ONCE: Final = 10
"""Messages of a batch that has no batching window."""
BATCH_WINDOW_MS_MAX: Final = 300_000
CONCURRENCY_MIN: Final = 2
CONCURRENCY_MAX: Final = 1_000
PARALLELIZATION_MAX: Final = 10
RETRIES_MAX: Final = 10_000
AGE_MS_MIN: Final = 60_000
AGE_MS_MAX: Final = 604_800_000
TUMBLING_WINDOW_MS_MAX: Final = 900_000

_NO_WINDOW: Final = (
    "Maximum batch window in seconds must be greater than 0 if maximum batch size is greater than "
    f"{BATCH_SIZE_MAX_AT_ONCE}"
)
_UNSUPPORTED: Final = "Unsupported {} parameter for given event source mapping type."
_NO_POSITION: Final = (
    "1 validation error detected: Value null at 'startingPosition' failed to satisfy constraint: "
    "Member must not be null."
)
_DEFAULT: Final = MappingSpec(source_arn="", function_arn="")
_OF_STREAMS: Final = {
    "starting_position": "StartingPosition",
    "starting_ms": "StartingPositionTimestamp",
    "parallelization": "ParallelizationFactor",
    "is_bisecting": "BisectBatchOnFunctionError",
    "retries_max": "MaximumRetryAttempts",
    "age_ms_max": "MaximumRecordAgeInSeconds",
    "window_ms": "TumblingWindowInSeconds",
    "on_failure_arn": "DestinationConfig",
}
_OF_QUEUES: Final = {"concurrency_max": "ScalingConfig", "pollers": "ProvisionedPollerConfig"}


def check_spec(spec: MappingSpec, now_ms: int) -> None:
    """Raises InvalidParameter, and InvalidPattern for a filter."""
    check_record(spec)
    service, resource = (spec.source_arn.split(":", 5) + [""] * 6)[2:6:3]
    is_stream = service == "kinesis" and resource.startswith("stream/")
    if parse_arn(spec.source_arn).service != "sqs" and not is_stream:
        raise InvalidParameter("EventSourceArn", "Unrecognized event source.", spec.source_arn)
    for field, name in (_OF_STREAMS if spec.is_queue else _OF_QUEUES).items():
        if getattr(spec, field) != getattr(_DEFAULT, field):
            raise InvalidParameter(name, _UNSUPPORTED.format(name), getattr(spec, field))
    _in_range("BatchSize", spec.batch_size, 1, BATCH_SIZE_MAX)
    _in_range("MaximumBatchingWindowInSeconds", spec.batch_window_ms, 0, BATCH_WINDOW_MS_MAX)
    if spec.is_queue:
        _check_queue(spec)
    else:
        _check_stream(spec, now_ms)
    for pattern in spec.filters:
        if len(pattern) > limits.MAPPING_FILTER_CHARACTERS_MAX:
            reason = f"Has more than {limits.MAPPING_FILTER_CHARACTERS_MAX} characters."
            raise InvalidParameter("FilterCriteria", reason, len(pattern))
    SourceFilter.of(spec.filters, is_queue=spec.is_queue)


def _check_queue(spec: MappingSpec) -> None:
    if spec.concurrency_max is not None:
        _in_range("ScalingConfig", spec.concurrency_max, CONCURRENCY_MIN, CONCURRENCY_MAX)
    if spec.source_arn.endswith(".fifo"):
        _in_range("BatchSize", spec.batch_size, 1, BATCH_SIZE_MAX_FIFO)
        if spec.batch_window_ms:
            name = "MaximumBatchingWindowInSeconds"
            raise InvalidParameter(name, _UNSUPPORTED.format(name), spec.batch_window_ms)
    elif spec.batch_size > BATCH_SIZE_MAX_AT_ONCE and not spec.batch_window_ms:
        raise InvalidParameter("MaximumBatchingWindowInSeconds", _NO_WINDOW, 0)


def _check_stream(spec: MappingSpec, now_ms: int) -> None:
    _in_range("ParallelizationFactor", spec.parallelization, 1, PARALLELIZATION_MAX)
    _in_range("MaximumRetryAttempts", spec.retries_max, FOR_EVER, RETRIES_MAX)
    _in_range("TumblingWindowInSeconds", spec.window_ms, 0, TUMBLING_WINDOW_MS_MAX)
    if spec.age_ms_max != FOR_EVER:
        _in_range("MaximumRecordAgeInSeconds", spec.age_ms_max, AGE_MS_MIN, AGE_MS_MAX)
    if spec.starting_position not in (BEGINNING, LATEST, AT_TIMESTAMP):
        reason = "Must be TRIM_HORIZON, LATEST or AT_TIMESTAMP."
        if not spec.starting_position:
            reason = _NO_POSITION
        raise InvalidParameter("StartingPosition", reason, spec.starting_position)
    if spec.starting_position != AT_TIMESTAMP:
        return
    if spec.starting_ms is None:
        raise InvalidParameter("StartingPositionTimestamp", "Must be given with AT_TIMESTAMP.")
    if not 0 <= spec.starting_ms <= now_ms:
        reason = "Must not be in the future."
        raise InvalidParameter("StartingPositionTimestamp", reason, spec.starting_ms)


def _in_range(name: str, value: int, lowest: int, highest: int) -> None:
    if not lowest <= value <= highest:
        raise InvalidParameter(name, f"Must be between {lowest} and {highest}.", value)
