"""Answers of the Kinesis operations: members and types as in botocore's model of 2013-12-02.

Rules of this file:

- A member with a default is left out of an answer when it has that value.
- Times are epoch seconds with three decimals, as AWS writes them in JSON; no other member is a
  float.
- An operation without an answer answers no body at all, in either protocol.
"""

from __future__ import annotations

from typing import Final

import msgspec

from eventcore.api.kinesis_requests import wire_name
from eventcore.api.operation import Call
from eventcore.streams.stream_spec import Appended, Refused, ShardView, StreamSpec

__all__ = [
    "NOTHING",
    "AccountSettingsAnswer",
    "ChildShardShape",
    "CommitmentAnswerShape",
    "ConsumerDescriptionShape",
    "ConsumerShape",
    "DescribeLimitsAnswer",
    "DescribeStreamAnswer",
    "DescribeStreamConsumerAnswer",
    "DescribeStreamSummaryAnswer",
    "EnhancedMetricsShape",
    "EnhancedMonitoringAnswer",
    "GetRecordsAnswer",
    "GetResourcePolicyAnswer",
    "GetShardIteratorAnswer",
    "HashKeyRangeShape",
    "ListShardsAnswer",
    "ListStreamConsumersAnswer",
    "ListStreamsAnswer",
    "ListTagsForResourceAnswer",
    "ListTagsForStreamAnswer",
    "PutRecordAnswer",
    "PutRecordsAnswer",
    "RecordShape",
    "RegisterStreamConsumerAnswer",
    "SequenceNumberRangeShape",
    "ShardShape",
    "StreamDescriptionShape",
    "StreamDescriptionSummaryShape",
    "StreamModeAnswerShape",
    "StreamSummaryShape",
    "SubscribeToShardEventShape",
    "TagShape",
    "UpdateShardCountAnswer",
    "UpdateStreamWarmThroughputAnswer",
    "WarmThroughputShape",
    "child_shard",
    "encode",
    "encryption_of",
    "seconds",
    "shard_shape",
]

NOTHING: Final = b""
"""The body of an operation without an answer."""
KMS: Final = "KMS"


def encode(call: Call, answer: msgspec.Struct) -> bytes:
    """An answer in the protocol of its call."""
    return call.encode(answer)


def seconds(at_ms: int) -> float:
    """A time as it is told."""
    return at_ms / 1000


def encryption_of(spec: StreamSpec) -> str | None:
    """The type of encryption that answers on records tell: None, which is left out, for none."""
    return None if spec.encryption_key is None else KMS


class _Shape(msgspec.Struct, frozen=True, gc=False, omit_defaults=True, rename=wire_name):
    """Members are snake case here; see `wire_name`."""


# Shards


class HashKeyRangeShape(_Shape, frozen=True):
    """The hash keys of a shard, both included."""

    starting_hash_key: str
    ending_hash_key: str


class SequenceNumberRangeShape(_Shape, frozen=True):
    """The sequence numbers of a shard; an open one has no end."""

    starting_sequence_number: str
    ending_sequence_number: str | None = None


class ShardShape(_Shape, frozen=True):
    """A shard."""

    shard_id: str
    hash_key_range: HashKeyRangeShape
    sequence_number_range: SequenceNumberRangeShape
    parent_shard_id: str | None = None
    adjacent_parent_shard_id: str | None = None


class ChildShardShape(_Shape, frozen=True):
    """A shard that goes on where a closed one ends."""

    shard_id: str
    parent_shards: list[str]
    hash_key_range: HashKeyRangeShape


class ListShardsAnswer(_Shape, frozen=True):
    """A page of shards."""

    shards: list[ShardShape]
    next_token: str | None = None


class UpdateShardCountAnswer(_Shape, frozen=True):
    """How many shards there were, and how many there are to be."""

    stream_name: str
    current_shard_count: int
    target_shard_count: int
    stream_arn: str


def _hash_keys(shard: ShardView) -> HashKeyRangeShape:
    return HashKeyRangeShape(str(shard.first_hash), str(shard.last_hash))


def shard_shape(shard: ShardView) -> ShardShape:
    """A shard as it is told."""
    return ShardShape(
        shard.id,
        _hash_keys(shard),
        SequenceNumberRangeShape(shard.start, shard.end),
        shard.parent_id,
        shard.adjacent_parent_id,
    )


def child_shard(shard: ShardView) -> ChildShardShape:
    """A shard as the reader of its closed parent is told of it."""
    parents = [parent for parent in (shard.parent_id, shard.adjacent_parent_id) if parent]
    return ChildShardShape(shard.id, parents, _hash_keys(shard))


# Streams


class StreamModeAnswerShape(_Shape, frozen=True):
    """How a stream's capacity is provided."""

    stream_mode: str


class EnhancedMetricsShape(_Shape, frozen=True):
    """The metrics of shards that are switched on."""

    shard_level_metrics: list[str]


class WarmThroughputShape(_Shape, frozen=True):
    """The throughput that an on-demand stream is ready for."""

    target_mibps: int
    current_mibps: int


class StreamDescriptionShape(_Shape, frozen=True):
    """A stream with a page of its shards."""

    stream_name: str
    stream_arn: str
    stream_status: str
    stream_mode_details: StreamModeAnswerShape
    shards: list[ShardShape]
    has_more_shards: bool
    retention_period_hours: int
    stream_creation_timestamp: float
    enhanced_monitoring: list[EnhancedMetricsShape]
    encryption_type: str
    key_id: str | None = None


class DescribeStreamAnswer(_Shape, frozen=True):
    """A stream with a page of its shards."""

    stream_description: StreamDescriptionShape


class StreamDescriptionSummaryShape(_Shape, frozen=True):
    """A stream without its shards."""

    stream_name: str
    stream_arn: str
    stream_status: str
    stream_mode_details: StreamModeAnswerShape
    retention_period_hours: int
    stream_creation_timestamp: float
    enhanced_monitoring: list[EnhancedMetricsShape]
    encryption_type: str
    open_shard_count: int
    consumer_count: int
    max_record_size_in_kib: int
    key_id: str | None = None
    warm_throughput: WarmThroughputShape | None = None


class DescribeStreamSummaryAnswer(_Shape, frozen=True):
    """A stream without its shards."""

    stream_description_summary: StreamDescriptionSummaryShape


class StreamSummaryShape(_Shape, frozen=True):
    """A stream in a list of them."""

    stream_name: str
    stream_arn: str
    stream_status: str
    stream_mode_details: StreamModeAnswerShape
    stream_creation_timestamp: float


class ListStreamsAnswer(_Shape, frozen=True):
    """A page of streams."""

    stream_names: list[str]
    has_more_streams: bool
    stream_summaries: list[StreamSummaryShape]
    next_token: str | None = None


class EnhancedMonitoringAnswer(_Shape, frozen=True):
    """The metrics before and after the call."""

    stream_name: str
    current_shard_level_metrics: list[str]
    desired_shard_level_metrics: list[str]
    stream_arn: str


class UpdateStreamWarmThroughputAnswer(_Shape, frozen=True):
    """The throughput that a stream is being made ready for."""

    stream_arn: str
    stream_name: str
    warm_throughput: WarmThroughputShape


# Records


class PutRecordAnswer(_Shape, frozen=True):
    """Where a record went."""

    shard_id: str
    sequence_number: str
    encryption_type: str | None = None


class PutRecordsAnswer(_Shape, frozen=True):
    """Where each record went, or why it was not taken."""

    failed_record_count: int
    records: list[Appended | Refused]
    encryption_type: str | None = None


class GetShardIteratorAnswer(_Shape, frozen=True):
    """A place in a shard."""

    shard_iterator: str


class RecordShape(_Shape, frozen=True):
    """A record as it is read."""

    sequence_number: str
    approximate_arrival_timestamp: float
    data: bytes
    partition_key: str
    encryption_type: str | None = None


class GetRecordsAnswer(_Shape, frozen=True):
    """The next records of a shard."""

    records: list[RecordShape]
    millis_behind_latest: int
    next_shard_iterator: str | None = None
    child_shards: list[ChildShardShape] | None = None


class SubscribeToShardEventShape(_Shape, frozen=True):
    """Records that a consumer is sent. The last event of a shard has no place to continue at."""

    records: list[RecordShape]
    millis_behind_latest: int
    continuation_sequence_number: str | None = None
    child_shards: list[ChildShardShape] | None = None


# Consumers


class ConsumerShape(_Shape, frozen=True):
    """A consumer."""

    consumer_name: str
    consumer_arn: str
    consumer_status: str
    consumer_creation_timestamp: float


class ConsumerDescriptionShape(_Shape, frozen=True):
    """A consumer and its stream."""

    consumer_name: str
    consumer_arn: str
    consumer_status: str
    consumer_creation_timestamp: float
    stream_arn: str


class RegisterStreamConsumerAnswer(_Shape, frozen=True):
    """A new consumer."""

    consumer: ConsumerShape


class DescribeStreamConsumerAnswer(_Shape, frozen=True):
    """A consumer and its stream."""

    consumer_description: ConsumerDescriptionShape


class ListStreamConsumersAnswer(_Shape, frozen=True):
    """A page of consumers."""

    consumers: list[ConsumerShape]
    next_token: str | None = None


# Tags, policies, the account


class TagShape(_Shape, frozen=True):
    """A tag."""

    key: str
    value: str


class ListTagsForStreamAnswer(_Shape, frozen=True):
    """A page of tags."""

    tags: list[TagShape]
    has_more_tags: bool


class ListTagsForResourceAnswer(_Shape, frozen=True):
    """All tags."""

    tags: list[TagShape]


class GetResourcePolicyAnswer(_Shape, frozen=True):
    """A policy as it was put."""

    policy: str


class DescribeLimitsAnswer(_Shape, frozen=True):
    """What the account may have and what it has."""

    shard_limit: int
    open_shard_count: int
    on_demand_stream_count: int
    on_demand_stream_count_limit: int


class CommitmentAnswerShape(_Shape, frozen=True):
    """Whether the account is bound to a least throughput, and since when."""

    status: str
    started_at: float | None = None
    ended_at: float | None = None
    earliest_allowed_end_at: float | None = None


class AccountSettingsAnswer(_Shape, frozen=True):
    """The settings of the account."""

    minimum_throughput_billing_commitment: CommitmentAnswerShape
