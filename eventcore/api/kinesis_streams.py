"""Kinesis operations on streams as a whole: creating, describing, listing, deleting."""

from __future__ import annotations

from bisect import bisect_right
from typing import Final

from eventcore import limits
from eventcore.api.kinesis_address import canonical_shard_id, stream_of
from eventcore.api.kinesis_answers import (
    NOTHING,
    DescribeStreamAnswer,
    DescribeStreamSummaryAnswer,
    EnhancedMetricsShape,
    ListStreamsAnswer,
    StreamDescriptionShape,
    StreamDescriptionSummaryShape,
    StreamModeAnswerShape,
    StreamSummaryShape,
    WarmThroughputShape,
    encode,
    encryption_of,
    seconds,
    shard_shape,
)
from eventcore.api.kinesis_faults import (
    invalid_argument,
    too_many_shards,
    unsupported,
    validation,
)
from eventcore.api.kinesis_pages import PageToken, read_token, write_token
from eventcore.api.kinesis_requests import (
    CreateStreamRequest,
    DeleteStreamRequest,
    DescribeStreamRequest,
    DescribeStreamSummaryRequest,
    ListStreamsRequest,
)
from eventcore.api.kinesis_settings import check_warm_throughput
from eventcore.api.kinesis_tags import check_tags
from eventcore.api.operation import Call
from eventcore.arn import stream_arn
from eventcore.streams.stream import Stream
from eventcore.streams.stream_spec import ON_DEMAND, PROVISIONED, StreamSpec

__all__ = [
    "create_stream",
    "delete_stream",
    "describe_stream",
    "describe_stream_summary",
    "list_streams",
    "warm_throughput",
]

HOUR_MS: Final = 3_600_000
KIB: Final = 1_024
PAGE_DEFAULT: Final = 100
"""Streams, or shards of a described stream, on a page. Of shards there are never more."""
NO_ENCRYPTION: Final = "NONE"
LIST_STREAMS: Final = "ListStreams"
UNSUPPORTED_STRATEGY: Final = "AUTO"


def create_stream(call: Call, request: CreateStreamRequest) -> bytes:
    """Makes a stream."""
    assert request.stream_name is not None
    if request.record_distribution_strategy == UNSUPPORTED_STRATEGY:
        raise unsupported("the record distribution strategy AUTO")
    details = request.stream_mode_details
    mode = None if details is None else details.stream_mode
    if mode is None:  # as AWS was recorded to do: with neither mode nor count, four shards
        mode = ON_DEMAND if request.shard_count is None else PROVISIONED
    tags = request.tags or {}
    check_tags(tags)
    size_kib = request.max_record_size_in_kib
    spec = StreamSpec(
        mode,
        record_bytes_max=limits.RECORD_BYTES_MAX_DEFAULT if size_kib is None else size_kib * KIB,
        tags=tags,
        warm_mib_per_s=request.warm_throughput_mibps,
    )
    arn = stream_arn(call.account, call.region, request.stream_name)
    if request.warm_throughput_mibps is not None:
        check_warm_throughput(call, arn, request.warm_throughput_mibps, mode)
    call.engine.streams.create(arn, spec, _shard_count(request, mode))
    return NOTHING


def _shard_count(request: CreateStreamRequest, mode: str) -> int:
    """How many shards were asked for; an on-demand stream has a number of its own."""
    count = request.shard_count
    if mode == ON_DEMAND:
        if count is not None:
            raise validation("ShardCount must not be given for a stream in On-Demand mode.")
        return 1
    if count is None:
        raise validation("ShardCount is required for a stream in Provisioned mode.")
    if count > limits.SHARDS_PER_STREAM_MAX:
        raise too_many_shards(0, count)
    return count


def delete_stream(call: Call, request: DeleteStreamRequest) -> bytes:
    """Deletes a stream with all its records."""
    stream = stream_of(call, request.stream_name, request.stream_arn)
    call.engine.streams.delete(
        stream, enforce_consumer_deletion=request.enforce_consumer_deletion or False
    )
    return NOTHING


def describe_stream(call: Call, request: DescribeStreamRequest) -> bytes:
    """A stream with a page of its shards."""
    stream = stream_of(call, request.stream_name, request.stream_arn)
    spec = stream.spec
    shards = call.engine.streams.shards(stream)
    after = request.exclusive_start_shard_id
    start = (
        0
        if after is None
        else bisect_right(shards, canonical_shard_id(after), key=lambda shard: shard.id)
    )
    end = start + min(PAGE_DEFAULT, request.limit or PAGE_DEFAULT)
    answer = StreamDescriptionShape(
        stream_name=stream.name,
        stream_arn=stream.arn,
        stream_status=stream.status,
        stream_mode_details=StreamModeAnswerShape(spec.mode),
        shards=list(map(shard_shape, shards[start:end])),
        has_more_shards=end < len(shards),
        retention_period_hours=spec.retention_ms // HOUR_MS,
        stream_creation_timestamp=_created(stream),
        enhanced_monitoring=[EnhancedMetricsShape(list(spec.metrics))],
        encryption_type=encryption_of(spec) or NO_ENCRYPTION,
        key_id=spec.encryption_key,
    )
    return encode(call, DescribeStreamAnswer(answer))


def describe_stream_summary(call: Call, request: DescribeStreamSummaryRequest) -> bytes:
    """A stream without its shards."""
    stream = stream_of(call, request.stream_name, request.stream_arn)
    summary = stream.summary()
    spec = summary.spec
    answer = StreamDescriptionSummaryShape(
        stream_name=summary.name,
        stream_arn=summary.arn,
        stream_status=summary.status,
        stream_mode_details=StreamModeAnswerShape(spec.mode),
        retention_period_hours=spec.retention_ms // HOUR_MS,
        stream_creation_timestamp=_created(stream),
        enhanced_monitoring=[EnhancedMetricsShape(list(spec.metrics))],
        encryption_type=encryption_of(spec) or NO_ENCRYPTION,
        open_shard_count=summary.open_shards,
        consumer_count=summary.consumers,
        max_record_size_in_kib=spec.record_bytes_max // KIB,
        key_id=spec.encryption_key,
        warm_throughput=warm_throughput(stream),
    )
    return encode(call, DescribeStreamSummaryAnswer(answer))


def warm_throughput(stream: Stream) -> WarmThroughputShape | None:
    """The throughput that an on-demand stream is ready for, one MiB per second and shard; None for
    a stream that was never asked to be.
    """
    target = stream.spec.warm_mib_per_s
    return None if target is None else WarmThroughputShape(target, stream.open_shards)


def list_streams(call: Call, request: ListStreamsRequest) -> bytes:
    """A page of the streams of the caller's account and region, by name."""
    streams = call.engine.streams
    names = streams.names(call.account, call.region)
    after = request.exclusive_start_stream_name
    if request.next_token is not None:
        if after is not None:
            raise invalid_argument(
                "NextToken and ExclusiveStartStreamName cannot be provided together."
            )
        after = read_token(LIST_STREAMS, request.next_token, call.engine.now_ms()).after
    start = 0 if after is None else bisect_right(names, after)
    page = names[start : start + (request.limit or PAGE_DEFAULT)]
    has_more = start + len(page) < len(names)
    found = [streams.find(stream_arn(call.account, call.region, name)) for name in page]
    token = PageToken(LIST_STREAMS, call.engine.now_ms(), page[-1]) if has_more else None
    answer = ListStreamsAnswer(
        stream_names=page,
        has_more_streams=has_more,
        stream_summaries=[_summary(stream) for stream in found],
        next_token=None if token is None else write_token(token),
    )
    return encode(call, answer)


def _summary(stream: Stream) -> StreamSummaryShape:
    return StreamSummaryShape(
        stream.name,
        stream.arn,
        stream.status,
        StreamModeAnswerShape(stream.spec.mode),
        _created(stream),
    )


def _created(stream: Stream) -> float:
    return seconds(stream.created_ms)
