"""Kinesis operations on a stream's settings: retention, mode, record size, warm throughput,
encryption, monitoring.

Encryption and monitoring are stored and told, and do nothing: records lie in the store as they
came, and the metrics of a shard are always counted.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from eventcore import limits
from eventcore.api.kinesis_address import stream_of
from eventcore.api.kinesis_answers import (
    NOTHING,
    EnhancedMonitoringAnswer,
    UpdateStreamWarmThroughputAnswer,
    WarmThroughputShape,
    encode,
)
from eventcore.api.kinesis_constraints import METRICS
from eventcore.api.kinesis_faults import invalid_argument, limit_exceeded, validation
from eventcore.api.kinesis_requests import (
    DecreaseStreamRetentionPeriodRequest,
    DisableEnhancedMonitoringRequest,
    EnableEnhancedMonitoringRequest,
    IncreaseStreamRetentionPeriodRequest,
    StartStreamEncryptionRequest,
    StopStreamEncryptionRequest,
    UpdateMaxRecordSizeRequest,
    UpdateStreamModeRequest,
    UpdateStreamWarmThroughputRequest,
)
from eventcore.api.operation import Call
from eventcore.streams.stream import Stream
from eventcore.streams.stream_spec import ON_DEMAND, PROVISIONED

__all__ = [
    "check_warm_throughput",
    "decrease_stream_retention_period",
    "disable_enhanced_monitoring",
    "enable_enhanced_monitoring",
    "increase_stream_retention_period",
    "start_stream_encryption",
    "stop_stream_encryption",
    "update_max_record_size",
    "update_stream_mode",
    "update_stream_warm_throughput",
]

HOUR_MS: Final = 3_600_000
KIB: Final = 1_024
ALL: Final = "ALL"
KMS: Final = "KMS"


def _change(call: Call, stream: Stream, **settings: Any) -> None:
    spec = msgspec.structs.replace(stream.spec, **settings)
    call.engine.streams.set_spec(stream, spec)


# Retention


def increase_stream_retention_period(
    call: Call, request: IncreaseStreamRetentionPeriodRequest
) -> bytes:
    """Keeps records for longer; what is gone already does not come back."""
    stream = stream_of(call, request.stream_name, request.stream_arn)
    hours, old = _hours(request), stream.spec.retention_ms // HOUR_MS
    if hours < old:
        raise invalid_argument(
            f"Requested retention period ({hours} hours) for stream {stream.name} can not be "
            f"shorter than existing retention period ({old} hours). Use DecreaseRetentionPeriod "
            "API."
        )
    _change(call, stream, retention_ms=hours * HOUR_MS)
    return NOTHING


def decrease_stream_retention_period(
    call: Call, request: DecreaseStreamRetentionPeriodRequest
) -> bytes:
    """Keeps records for less long; what is older can not be read any more, from now on."""
    stream = stream_of(call, request.stream_name, request.stream_arn)
    hours, old = _hours(request), stream.spec.retention_ms // HOUR_MS
    if hours > old:
        raise invalid_argument(
            f"Requested retention period ({hours} hours) for stream {stream.name} can not be "
            f"longer than existing retention period ({old} hours). Use IncreaseRetentionPeriod API."
        )
    _change(call, stream, retention_ms=hours * HOUR_MS)
    return NOTHING


def _hours(
    request: IncreaseStreamRetentionPeriodRequest | DecreaseStreamRetentionPeriodRequest,
) -> int:
    hours = request.retention_period_hours
    assert hours is not None
    lowest = limits.STREAM_RETENTION_MS_MIN // HOUR_MS
    highest = limits.STREAM_RETENTION_MS_MAX // HOUR_MS
    if hours < lowest:
        raise invalid_argument(
            f"Minimum allowed retention period is {lowest} hours. "
            f"Requested retention period ({hours} hours) is too short."
        )
    if hours > highest:
        raise invalid_argument(
            f"Maximum allowed retention period is {highest} hours. "
            f"Requested retention period ({hours} hours) is too long."
        )
    return hours


# Capacity


def update_stream_mode(call: Call, request: UpdateStreamModeRequest) -> bytes:
    """Provides a stream's capacity otherwise. Its shards stay."""
    assert request.stream_mode_details is not None
    mode = request.stream_mode_details.stream_mode
    stream = stream_of(call, None, request.stream_arn)
    stream.require("ACTIVE")
    warm = request.warm_throughput_mibps
    if warm is not None:
        check_warm_throughput(call, stream.arn, warm, mode or PROVISIONED)
    elif mode == ON_DEMAND:
        warm = stream.spec.warm_mib_per_s
    _change(call, stream, mode=mode, warm_mib_per_s=warm)
    return NOTHING


def update_stream_warm_throughput(call: Call, request: UpdateStreamWarmThroughputRequest) -> bytes:
    """Makes an on-demand stream ready for a throughput."""
    assert request.warm_throughput_mibps is not None
    stream = stream_of(call, request.stream_name, request.stream_arn)
    stream.require("ACTIVE")
    check_warm_throughput(call, stream.arn, request.warm_throughput_mibps, stream.spec.mode)
    current = stream.open_shards
    _change(call, stream, warm_mib_per_s=request.warm_throughput_mibps)
    answer = UpdateStreamWarmThroughputAnswer(
        stream.arn, stream.name, WarmThroughputShape(request.warm_throughput_mibps, current)
    )
    return encode(call, answer)


def check_warm_throughput(call: Call, arn: str, mib_per_s: int, mode: str) -> None:
    """Raises the fault for a warm throughput that a stream of this ARN and mode can not have."""
    name, account = arn.partition("/")[2], arn.split(":")[4]
    if mode != ON_DEMAND:
        raise validation(
            f"Request is invalid. Stream {name} under account {account} is in Provisioned mode, "
            "which does not allow warm throughput."
        )
    if not call.engine.streams.account(arn).is_committed:
        raise validation(
            f"Request is invalid. Account {account} does not have "
            "MinimumThroughputBillingCommitment enabled, which warm throughput requires."
        )
    if mib_per_s > limits.WARM_MIB_PER_S_MAX:
        raise limit_exceeded(
            f"The warm throughput of a stream cannot be more than {limits.WARM_MIB_PER_S_MAX} "
            f"MiBps. Requested: {mib_per_s}."
        )


def update_max_record_size(call: Call, request: UpdateMaxRecordSizeRequest) -> bytes:
    """Takes larger records, or only smaller ones."""
    assert request.max_record_size_in_kib is not None
    if request.stream_arn is None:
        raise invalid_argument("StreamARN must be provided.")
    stream = stream_of(call, None, request.stream_arn)
    _change(call, stream, record_bytes_max=request.max_record_size_in_kib * KIB)
    return NOTHING


# Encryption


def start_stream_encryption(call: Call, request: StartStreamEncryptionRequest) -> bytes:
    """Tells of a stream and its further records that they are encrypted."""
    if request.encryption_type != KMS:
        raise invalid_argument(f"EncryptionType must be KMS, and is {request.encryption_type}.")
    stream = stream_of(call, request.stream_name, request.stream_arn)
    _change(call, stream, encryption_key=request.key_id)
    return NOTHING


def stop_stream_encryption(call: Call, request: StopStreamEncryptionRequest) -> bytes:
    """Tells so no more; of earlier records it stays told."""
    if request.encryption_type != KMS:
        raise invalid_argument(f"EncryptionType must be KMS, and is {request.encryption_type}.")
    stream = stream_of(call, request.stream_name, request.stream_arn)
    _change(call, stream, encryption_key=None)
    return NOTHING


# Monitoring


def enable_enhanced_monitoring(call: Call, request: EnableEnhancedMonitoringRequest) -> bytes:
    """Switches metrics of the shards on."""
    stream = stream_of(call, request.stream_name, request.stream_arn)
    return _set_metrics(call, stream, {*stream.spec.metrics, *_expanded(request)})


def disable_enhanced_monitoring(call: Call, request: DisableEnhancedMonitoringRequest) -> bytes:
    """Switches metrics of the shards off."""
    stream = stream_of(call, request.stream_name, request.stream_arn)
    return _set_metrics(call, stream, {*stream.spec.metrics} - _expanded(request))


def _expanded(
    request: EnableEnhancedMonitoringRequest | DisableEnhancedMonitoringRequest,
) -> set[str]:
    names = set(request.shard_level_metrics or ())
    return {*METRICS} - {ALL} if ALL in names else names


def _set_metrics(call: Call, stream: Stream, wanted: set[str]) -> bytes:
    stream.require("ACTIVE")
    old = stream.spec.metrics
    new = tuple(name for name in METRICS if name in wanted)
    call.engine.streams.describe_as(stream, msgspec.structs.replace(stream.spec, metrics=new))
    answer = EnhancedMonitoringAnswer(stream.name, list(old), list(new), stream.arn)
    return encode(call, answer)
