"""Request structs of the Kinesis operations: members and types as in botocore's model of
2013-12-02.

Every member is optional here; `kinesis_constraints` says what is missing, in Kinesis's words.
`StreamId` is reserved by AWS: it is read and means nothing.
`tests/wire/test_models_kinesis.py` compares these structs with the model.
"""

from __future__ import annotations

from typing import Final

import msgspec

__all__ = [
    "AddTagsToStreamRequest",
    "CommitmentShape",
    "CreateStreamRequest",
    "DecreaseStreamRetentionPeriodRequest",
    "DeleteResourcePolicyRequest",
    "DeleteStreamRequest",
    "DeregisterStreamConsumerRequest",
    "DescribeAccountSettingsRequest",
    "DescribeLimitsRequest",
    "DescribeStreamConsumerRequest",
    "DescribeStreamRequest",
    "DescribeStreamSummaryRequest",
    "DisableEnhancedMonitoringRequest",
    "EnableEnhancedMonitoringRequest",
    "GetRecordsRequest",
    "GetResourcePolicyRequest",
    "GetShardIteratorRequest",
    "IncreaseStreamRetentionPeriodRequest",
    "ListShardsRequest",
    "ListStreamConsumersRequest",
    "ListStreamsRequest",
    "ListTagsForResourceRequest",
    "ListTagsForStreamRequest",
    "MergeShardsRequest",
    "PutRecordRequest",
    "PutRecordsRequest",
    "PutRecordsRequestEntry",
    "PutResourcePolicyRequest",
    "RegisterStreamConsumerRequest",
    "RemoveTagsFromStreamRequest",
    "ShardFilterShape",
    "SplitShardRequest",
    "StartStreamEncryptionRequest",
    "StartingPositionShape",
    "StopStreamEncryptionRequest",
    "StreamModeShape",
    "SubscribeToShardRequest",
    "TagResourceRequest",
    "UntagResourceRequest",
    "UpdateAccountSettingsRequest",
    "UpdateMaxRecordSizeRequest",
    "UpdateShardCountRequest",
    "UpdateStreamModeRequest",
    "UpdateStreamWarmThroughputRequest",
    "wire_name",
]

_WORDS: Final = {"arn": "ARN", "kib": "KiB", "mibps": "MiBps"}


def wire_name(attribute: str) -> str:
    """The name of a member on the wire: `stream_arn` is `StreamARN`."""
    return "".join(_WORDS.get(word) or word.capitalize() for word in attribute.split("_"))


class _Shape(msgspec.Struct, frozen=True, gc=False, rename=wire_name):
    """Members are snake case here; see `wire_name`."""


class _OfStream(_Shape, frozen=True):
    """What is asked of a stream, which is named by its name, its ARN, or both."""

    stream_name: str | None = None
    stream_arn: str | None = None
    stream_id: str | None = None


class _OfStreamArn(_Shape, frozen=True):
    """What is asked of a stream that only its ARN can name."""

    stream_arn: str | None = None
    stream_id: str | None = None


class _OfConsumer(_Shape, frozen=True):
    """What is asked of a consumer, which is named by its ARN, or by its name and stream."""

    stream_arn: str | None = None
    consumer_name: str | None = None
    consumer_arn: str | None = None
    stream_id: str | None = None


class _OfResource(_Shape, frozen=True):
    """What is asked of a stream or a consumer by its ARN."""

    resource_arn: str | None = None
    stream_id: str | None = None


# Streams


class StreamModeShape(_Shape, frozen=True):
    """How a stream's capacity is provided."""

    stream_mode: str | None = None


class CreateStreamRequest(_Shape, frozen=True):
    """A new stream."""

    stream_name: str | None = None
    shard_count: int | None = None
    stream_mode_details: StreamModeShape | None = None
    tags: dict[str, str] | None = None
    warm_throughput_mibps: int | None = None
    max_record_size_in_kib: int | None = None
    record_distribution_strategy: str | None = None


class DeleteStreamRequest(_OfStream, frozen=True):
    """A stream, and whether its consumers may go with it."""

    enforce_consumer_deletion: bool | None = None


class DescribeStreamRequest(_OfStream, frozen=True):
    """A stream, and which of its shards."""

    limit: int | None = None
    exclusive_start_shard_id: str | None = None


class DescribeStreamSummaryRequest(_OfStream, frozen=True):
    """A stream."""


class ListStreamsRequest(_Shape, frozen=True):
    """A page of streams."""

    limit: int | None = None
    exclusive_start_stream_name: str | None = None
    next_token: str | None = None


class IncreaseStreamRetentionPeriodRequest(_OfStream, frozen=True):
    """A longer retention."""

    retention_period_hours: int | None = None


class DecreaseStreamRetentionPeriodRequest(_OfStream, frozen=True):
    """A shorter retention."""

    retention_period_hours: int | None = None


class UpdateStreamModeRequest(_OfStreamArn, frozen=True):
    """Another mode of a stream."""

    stream_mode_details: StreamModeShape | None = None
    warm_throughput_mibps: int | None = None


class UpdateMaxRecordSizeRequest(_OfStreamArn, frozen=True):
    """Another largest size of a stream's records."""

    max_record_size_in_kib: int | None = None


class UpdateStreamWarmThroughputRequest(_OfStream, frozen=True):
    """The throughput that an on-demand stream is to be ready for."""

    warm_throughput_mibps: int | None = None


class StartStreamEncryptionRequest(_OfStream, frozen=True):
    """The key of a stream's encryption."""

    encryption_type: str | None = None
    key_id: str | None = None


class StopStreamEncryptionRequest(_OfStream, frozen=True):
    """The end of a stream's encryption."""

    encryption_type: str | None = None
    key_id: str | None = None


class EnableEnhancedMonitoringRequest(_OfStream, frozen=True):
    """Metrics of shards to switch on."""

    shard_level_metrics: list[str] | None = None


class DisableEnhancedMonitoringRequest(_OfStream, frozen=True):
    """Metrics of shards to switch off."""

    shard_level_metrics: list[str] | None = None


# Shards


class ShardFilterShape(_Shape, frozen=True):
    """Which shards of a stream are listed."""

    type: str | None = None
    shard_id: str | None = None
    timestamp: float | None = None


class ListShardsRequest(_OfStream, frozen=True):
    """A page of a stream's shards."""

    next_token: str | None = None
    exclusive_start_shard_id: str | None = None
    max_results: int | None = None
    stream_creation_timestamp: float | None = None
    shard_filter: ShardFilterShape | None = None


class SplitShardRequest(_OfStream, frozen=True):
    """A shard, and the hash key at which its second child begins."""

    shard_to_split: str | None = None
    new_starting_hash_key: str | None = None


class MergeShardsRequest(_OfStream, frozen=True):
    """Two shards side by side."""

    shard_to_merge: str | None = None
    adjacent_shard_to_merge: str | None = None


class UpdateShardCountRequest(_OfStream, frozen=True):
    """How many shards a stream is to have."""

    target_shard_count: int | None = None
    scaling_type: str | None = None


# Records


class PutRecordRequest(_OfStream, frozen=True):
    """One record."""

    data: bytes | None = None
    partition_key: str | None = None
    explicit_hash_key: str | None = None
    sequence_number_for_ordering: str | None = None
    dry_run: bool | None = None


class PutRecordsRequestEntry(_Shape, frozen=True):
    """One record of many."""

    data: bytes | None = None
    partition_key: str | None = None
    explicit_hash_key: str | None = None


class PutRecordsRequest(_OfStream, frozen=True):
    """Many records."""

    records: list[PutRecordsRequestEntry] | None = None
    dry_run: bool | None = None


class GetShardIteratorRequest(_OfStream, frozen=True):
    """Where reading a shard begins."""

    shard_id: str | None = None
    shard_iterator_type: str | None = None
    starting_sequence_number: str | None = None
    timestamp: float | None = None
    dry_run: bool | None = None


class GetRecordsRequest(_OfStreamArn, frozen=True):
    """The next records of a shard."""

    shard_iterator: str | None = None
    limit: int | None = None
    dry_run: bool | None = None


class StartingPositionShape(_Shape, frozen=True):
    """Where a subscription begins."""

    type: str | None = None
    sequence_number: str | None = None
    timestamp: float | None = None


class SubscribeToShardRequest(_Shape, frozen=True):
    """A consumer, and the shard that it wants to be sent."""

    consumer_arn: str | None = None
    stream_id: str | None = None
    shard_id: str | None = None
    starting_position: StartingPositionShape | None = None
    dry_run: bool | None = None


# Consumers


class RegisterStreamConsumerRequest(_OfStreamArn, frozen=True):
    """A new enhanced fan-out consumer."""

    consumer_name: str | None = None
    tags: dict[str, str] | None = None


class DeregisterStreamConsumerRequest(_OfConsumer, frozen=True):
    """The end of a consumer."""


class DescribeStreamConsumerRequest(_OfConsumer, frozen=True):
    """A consumer."""


class ListStreamConsumersRequest(_OfStreamArn, frozen=True):
    """A page of a stream's consumers."""

    next_token: str | None = None
    max_results: int | None = None
    stream_creation_timestamp: float | None = None


# Tags and policies


class AddTagsToStreamRequest(_OfStream, frozen=True):
    """Tags for a stream."""

    tags: dict[str, str] | None = None


class RemoveTagsFromStreamRequest(_OfStream, frozen=True):
    """Keys of tags that a stream is to lose."""

    tag_keys: list[str] | None = None


class ListTagsForStreamRequest(_OfStream, frozen=True):
    """A page of a stream's tags."""

    exclusive_start_tag_key: str | None = None
    limit: int | None = None


class TagResourceRequest(_OfResource, frozen=True):
    """Tags for a stream or a consumer."""

    tags: dict[str, str] | None = None


class UntagResourceRequest(_OfResource, frozen=True):
    """Keys of tags that a stream or a consumer is to lose."""

    tag_keys: list[str] | None = None


class ListTagsForResourceRequest(_OfResource, frozen=True):
    """A stream or a consumer."""


class PutResourcePolicyRequest(_OfResource, frozen=True):
    """The policy of a stream or a consumer."""

    policy: str | None = None


class GetResourcePolicyRequest(_OfResource, frozen=True):
    """A stream or a consumer."""


class DeleteResourcePolicyRequest(_OfResource, frozen=True):
    """A stream or a consumer."""


# The account


class DescribeLimitsRequest(_Shape, frozen=True):
    """Nothing."""


class DescribeAccountSettingsRequest(_Shape, frozen=True):
    """Nothing."""


class CommitmentShape(_Shape, frozen=True):
    """Whether the account is bound to a least throughput."""

    status: str | None = None


class UpdateAccountSettingsRequest(_Shape, frozen=True):
    """New settings of the account."""

    minimum_throughput_billing_commitment: CommitmentShape | None = None
