"""Amazon Kinesis Data Streams over AWS JSON 1.1: the table of its operations.

Requests are in `kinesis_requests`, what is checked of them in `kinesis_constraints`, answers in
`kinesis_answers`, errors in `kinesis_faults`; the handlers are in a module per subject. What is
missing and what has no effect is listed in docs/coverage.md.

Each operation is served in this order: what the model does not allow is refused, then what is above
the account's rate of calls; then the handler looks for the stream.
"""

from __future__ import annotations

from typing import Any, Final, TypeVar

import msgspec

from eventcore.api import kinesis_account as account
from eventcore.api import kinesis_consumers as consumers
from eventcore.api import kinesis_policies as policies
from eventcore.api import kinesis_records as records
from eventcore.api import kinesis_requests as requests
from eventcore.api import kinesis_settings as settings
from eventcore.api import kinesis_shards as shards
from eventcore.api import kinesis_streams as streams
from eventcore.api import kinesis_tags as tags
from eventcore.api.kinesis_address import account_named, stream_named
from eventcore.api.kinesis_constraints import check
from eventcore.api.kinesis_faults import ERRORS, with_account
from eventcore.api.kinesis_subscribe import subscribe_to_shard
from eventcore.api.operation import Call, Handler, Operation, Service
from eventcore.errors import AlreadyExists, NotFound
from eventcore.wire.aws_json import JSON_1_1

__all__ = ["KINESIS", "MISSING_OPERATIONS"]

R = TypeVar("R", bound=msgspec.Struct)

MISSING_OPERATIONS: Final = frozenset(
    (
        "CreateChannel",
        "DeleteChannel",
        "DescribeChannel",
        "ListChannels",
        "UpdateChannel",
        "UpdateStreamRecordDistributionStrategy",
    )
)
"""AWS has them, eventcore not yet."""


def _named(handle: Handler[R]) -> Handler[R]:
    """The handler; what it does not find, or finds where nothing should be, is told with the
    account that the request is about.
    """

    def serve(call: Call, request: R) -> bytes | None:
        try:
            return handle(call, request)
        except (AlreadyExists, NotFound) as error:
            fault = with_account(error, account_named(call, request))
            assert fault is not None
            raise fault from error

    return serve


def _record_operation(name: str, request_type: type[R], handle: Handler[R]) -> Operation[Any]:
    """An operation on records, which checks its requests itself and has no rate of its own."""
    return Operation(name, request_type, _named(handle))


def _operation(name: str, request_type: type[R], handle: Handler[R]) -> Operation[Any]:
    def serve(call: Call, request: R) -> bytes | None:
        check(request)
        call.engine.streams.admit(name, call.account, call.region, stream_named(request))
        return handle(call, request)

    return Operation(name, request_type, _named(serve))


KINESIS: Final = Service(
    name="kinesis",
    target_prefix="Kinesis_20131202",
    content_type=JSON_1_1,
    errors=ERRORS,
    missing_operations=MISSING_OPERATIONS,
    has_extended_id=True,
    operations=[
        _operation("AddTagsToStream", requests.AddTagsToStreamRequest, tags.add_tags_to_stream),
        _operation("CreateStream", requests.CreateStreamRequest, streams.create_stream),
        _operation(
            "DecreaseStreamRetentionPeriod",
            requests.DecreaseStreamRetentionPeriodRequest,
            settings.decrease_stream_retention_period,
        ),
        _operation(
            "DeleteResourcePolicy",
            requests.DeleteResourcePolicyRequest,
            policies.delete_resource_policy,
        ),
        _operation("DeleteStream", requests.DeleteStreamRequest, streams.delete_stream),
        _operation(
            "DeregisterStreamConsumer",
            requests.DeregisterStreamConsumerRequest,
            consumers.deregister_stream_consumer,
        ),
        _operation(
            "DescribeAccountSettings",
            requests.DescribeAccountSettingsRequest,
            account.describe_account_settings,
        ),
        _operation("DescribeLimits", requests.DescribeLimitsRequest, account.describe_limits),
        _operation("DescribeStream", requests.DescribeStreamRequest, streams.describe_stream),
        _operation(
            "DescribeStreamConsumer",
            requests.DescribeStreamConsumerRequest,
            consumers.describe_stream_consumer,
        ),
        _operation(
            "DescribeStreamSummary",
            requests.DescribeStreamSummaryRequest,
            streams.describe_stream_summary,
        ),
        _operation(
            "DisableEnhancedMonitoring",
            requests.DisableEnhancedMonitoringRequest,
            settings.disable_enhanced_monitoring,
        ),
        _operation(
            "EnableEnhancedMonitoring",
            requests.EnableEnhancedMonitoringRequest,
            settings.enable_enhanced_monitoring,
        ),
        _record_operation("GetRecords", requests.GetRecordsRequest, records.get_records),
        _operation(
            "GetResourcePolicy", requests.GetResourcePolicyRequest, policies.get_resource_policy
        ),
        _operation(
            "GetShardIterator", requests.GetShardIteratorRequest, records.get_shard_iterator
        ),
        _operation(
            "IncreaseStreamRetentionPeriod",
            requests.IncreaseStreamRetentionPeriodRequest,
            settings.increase_stream_retention_period,
        ),
        _operation("ListShards", requests.ListShardsRequest, shards.list_shards),
        _operation(
            "ListStreamConsumers",
            requests.ListStreamConsumersRequest,
            consumers.list_stream_consumers,
        ),
        _operation("ListStreams", requests.ListStreamsRequest, streams.list_streams),
        _operation(
            "ListTagsForResource",
            requests.ListTagsForResourceRequest,
            tags.list_tags_for_resource,
        ),
        _operation(
            "ListTagsForStream", requests.ListTagsForStreamRequest, tags.list_tags_for_stream
        ),
        _operation("MergeShards", requests.MergeShardsRequest, shards.merge_shards),
        _record_operation("PutRecord", requests.PutRecordRequest, records.put_record),
        _record_operation("PutRecords", requests.PutRecordsRequest, records.put_records),
        _operation(
            "PutResourcePolicy", requests.PutResourcePolicyRequest, policies.put_resource_policy
        ),
        _operation(
            "RegisterStreamConsumer",
            requests.RegisterStreamConsumerRequest,
            consumers.register_stream_consumer,
        ),
        _operation(
            "RemoveTagsFromStream",
            requests.RemoveTagsFromStreamRequest,
            tags.remove_tags_from_stream,
        ),
        _operation("SplitShard", requests.SplitShardRequest, shards.split_shard),
        _operation(
            "StartStreamEncryption",
            requests.StartStreamEncryptionRequest,
            settings.start_stream_encryption,
        ),
        _operation(
            "StopStreamEncryption",
            requests.StopStreamEncryptionRequest,
            settings.stop_stream_encryption,
        ),
        _operation("SubscribeToShard", requests.SubscribeToShardRequest, subscribe_to_shard),
        _operation("TagResource", requests.TagResourceRequest, tags.tag_resource),
        _operation("UntagResource", requests.UntagResourceRequest, tags.untag_resource),
        _operation(
            "UpdateAccountSettings",
            requests.UpdateAccountSettingsRequest,
            account.update_account_settings,
        ),
        _operation(
            "UpdateMaxRecordSize",
            requests.UpdateMaxRecordSizeRequest,
            settings.update_max_record_size,
        ),
        _operation("UpdateShardCount", requests.UpdateShardCountRequest, shards.update_shard_count),
        _operation(
            "UpdateStreamMode", requests.UpdateStreamModeRequest, settings.update_stream_mode
        ),
        _operation(
            "UpdateStreamWarmThroughput",
            requests.UpdateStreamWarmThroughputRequest,
            settings.update_stream_warm_throughput,
        ),
    ],
)
