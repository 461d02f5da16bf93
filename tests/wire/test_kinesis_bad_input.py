"""Whatever a request to Kinesis holds: it is never answered with 500, and a request that is refused
has changed nothing.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import pytest

from eventcore.api.kinesis import KINESIS

PREFIX = "Kinesis_20131202"
ARN = "arn:aws:kinesis:us-east-1:000000000000:stream/"
ORDERS = ARN + "orders"
CONSUMER = f"{ORDERS}/consumer/audit:1700000000"
SHARD = "shardId-000000000000"
DATA = base64.b64encode(b"x" * 100).decode()
POLICY = '{"Statement":{"Effect":"Allow","Principal":"*","Action":"kinesis:*"}}'
NAMED = {"StreamName": "orders", "StreamARN": ORDERS, "StreamId": None}
BY_ARN = {"StreamARN": ORDERS, "StreamId": "aaaaaaaaaaaaaaaaaaaa-bbb"}
RESOURCE = {"ResourceARN": CONSUMER, "StreamId": None}
OF_CONSUMER = {**BY_ARN, "ConsumerName": "audit", "ConsumerARN": CONSUMER}
KEY = {"EncryptionType": "KMS", "KeyId": "alias/k"}
MODE = {"StreamMode": "ON_DEMAND"}
NUMBER = "49646437577108476416916876405825929425585429676275269634"
REQUESTS: dict[str, dict[str, Any]] = {
    "AddTagsToStream": {**NAMED, "Tags": {"team": "a"}},
    "CreateStream": {
        "StreamName": "new",
        "ShardCount": 2,
        "StreamModeDetails": {"StreamMode": "PROVISIONED"},
        "Tags": {"team": "a"},
        "WarmThroughputMiBps": None,
        "MaxRecordSizeInKiB": 2048,
        "RecordDistributionStrategy": "USER_PARTITION_KEY",
    },
    "DecreaseStreamRetentionPeriod": {**NAMED, "RetentionPeriodHours": 24},
    "DeleteResourcePolicy": RESOURCE,
    "DeleteStream": {**NAMED, "EnforceConsumerDeletion": True},
    "DeregisterStreamConsumer": OF_CONSUMER,
    "DescribeAccountSettings": {},
    "DescribeLimits": {},
    "DescribeStream": {**NAMED, "Limit": 10, "ExclusiveStartShardId": SHARD},
    "DescribeStreamConsumer": OF_CONSUMER,
    "DescribeStreamSummary": NAMED,
    "DisableEnhancedMonitoring": {**NAMED, "ShardLevelMetrics": ["IncomingBytes"]},
    "EnableEnhancedMonitoring": {**NAMED, "ShardLevelMetrics": ["ALL"]},
    "GetRecords": {**BY_ARN, "ShardIterator": "AAAA", "Limit": 10, "DryRun": False},
    "GetResourcePolicy": RESOURCE,
    "GetShardIterator": {
        **NAMED,
        "ShardId": SHARD,
        "ShardIteratorType": "AT_TIMESTAMP",
        "StartingSequenceNumber": None,
        "Timestamp": 1_600_000_000.5,
        "DryRun": False,
    },
    "IncreaseStreamRetentionPeriod": {**NAMED, "RetentionPeriodHours": 48},
    "ListShards": {
        **NAMED,
        "NextToken": None,
        "ExclusiveStartShardId": SHARD,
        "MaxResults": 10,
        "StreamCreationTimestamp": 1_700_000_000,
        "ShardFilter": {"Type": "AT_TIMESTAMP", "ShardId": SHARD, "Timestamp": 1_600_000_000},
    },
    "ListStreamConsumers": {
        **BY_ARN,
        "NextToken": None,
        "MaxResults": 10,
        "StreamCreationTimestamp": 1_700_000_000,
    },
    "ListStreams": {"Limit": 10, "ExclusiveStartStreamName": "a", "NextToken": None},
    "ListTagsForResource": RESOURCE,
    "ListTagsForStream": {**NAMED, "ExclusiveStartTagKey": "a", "Limit": 10},
    "MergeShards": {
        **NAMED,
        "ShardToMerge": SHARD,
        "AdjacentShardToMerge": "shardId-000000000001",
    },
    "PutRecord": {
        **NAMED,
        "Data": DATA,
        "PartitionKey": "k",
        "ExplicitHashKey": "1",
        "SequenceNumberForOrdering": NUMBER,
        "DryRun": False,
    },
    "PutRecords": {
        **NAMED,
        "Records": [{"Data": DATA, "PartitionKey": "k", "ExplicitHashKey": "1"}],
        "DryRun": False,
    },
    "PutResourcePolicy": {**RESOURCE, "Policy": POLICY},
    "RegisterStreamConsumer": {**BY_ARN, "ConsumerName": "new", "Tags": {"team": "a"}},
    "RemoveTagsFromStream": {**NAMED, "TagKeys": ["team"]},
    "SplitShard": {**NAMED, "ShardToSplit": SHARD, "NewStartingHashKey": "1000"},
    "StartStreamEncryption": {**NAMED, **KEY},
    "StopStreamEncryption": {**NAMED, **KEY},
    "SubscribeToShard": {
        "ConsumerARN": CONSUMER,
        "StreamId": None,
        "ShardId": SHARD,
        "StartingPosition": {
            "Type": "AT_TIMESTAMP",
            "SequenceNumber": None,
            "Timestamp": 1_600_000_000,
        },
        "DryRun": True,
    },
    "TagResource": {**RESOURCE, "Tags": {"team": "a"}},
    "UntagResource": {**RESOURCE, "TagKeys": ["team"]},
    "UpdateAccountSettings": {"MinimumThroughputBillingCommitment": {"Status": "ENABLED"}},
    "UpdateMaxRecordSize": {**BY_ARN, "MaxRecordSizeInKiB": 2048},
    "UpdateShardCount": {**NAMED, "TargetShardCount": 4, "ScalingType": "UNIFORM_SCALING"},
    "UpdateStreamMode": {**BY_ARN, "StreamModeDetails": MODE, "WarmThroughputMiBps": None},
    "UpdateStreamWarmThroughput": {**NAMED, "WarmThroughputMiBps": 6},
}
REFUSED = {"GetRecords", "SubscribeToShard", "UpdateStreamWarmThroughput"}
"""Of these the request above is refused: an iterator is not to be written down, a dry run is no
success, a stream of shards is not warm.
"""
CHANGING = {
    "AddTagsToStream", "CreateStream", "DeleteResourcePolicy", "DeleteStream",
    "DeregisterStreamConsumer", "DisableEnhancedMonitoring", "EnableEnhancedMonitoring",
    "IncreaseStreamRetentionPeriod", "MergeShards", "PutRecord", "PutRecords", "PutResourcePolicy",
    "RegisterStreamConsumer", "RemoveTagsFromStream", "SplitShard", "StartStreamEncryption",
    "StopStreamEncryption", "TagResource", "UntagResource", "UpdateAccountSettings",
    "UpdateMaxRecordSize", "UpdateShardCount", "UpdateStreamMode",
}  # fmt: skip
DEEP: list[Any] = []
for _ in range(300):
    DEEP = [DEEP]
BAD_VALUES: list[Any] = [
    None, True, 0, -1, 2**63, 10**30, 1.5, 1e308, float("nan"), float("inf"),
    "", " ", "\0", "\ud800", "é😀", "x" * 3_000, "9" * 129, "0", "00", "-1", str(2**128),
    "arn:", "arn:aws:kinesis:::", "arn:aws::kinesis:x:000000000000:stream/a",
    "arn:aws:x:kinesis:y:000000000000:stream/a", ARN, ARN + "a/b", ORDERS + "/consumer/a:1",
    ORDERS + "/consumer/audit:1700000000/consumer/audit:1700000000",
    "arn:aws:kinesis:us-east-1:000000000000:channel/c", SHARD, "shardId-9999999999999",
    "TRIM_HORIZON", "AT_SEQUENCE_NUMBER", "AFTER_SHARD_ID", NUMBER, "AAAA", "%%%%", "null", "{",
    "[" * 1_000 + "]" * 1_000, [], [None], [[]], {}, {"a": None}, {"": ""}, DEEP,
]  # fmt: skip


def variants(value: Any) -> Iterator[Any]:
    """The value with each of its parts, itself included, replaced by each of the bad ones."""
    yield from BAD_VALUES
    if not isinstance(value, dict | list):
        return
    for key, part in value.items() if isinstance(value, dict) else enumerate(value):
        for changed in variants(part):
            whole = deepcopy(value)
            whole[key] = changed
            yield whole


@pytest.fixture
def state(wire):
    """A stream with two shards and a consumer, so that good requests succeed."""
    steps: list[tuple[str, dict[str, Any]]] = [
        ("CreateStream", {"StreamName": "orders", "ShardCount": 2, "Tags": {"team": "b"}}),
        ("RegisterStreamConsumer", {"StreamARN": ORDERS, "ConsumerName": "audit"}),
        ("TagResource", {"ResourceARN": CONSUMER, "Tags": {"team": "b"}}),
        ("PutResourcePolicy", {"ResourceARN": CONSUMER, "Policy": POLICY.replace("*", "x")}),
        ("StartStreamEncryption", {"StreamName": "orders", **KEY, "KeyId": "alias/other"}),
        ("EnableEnhancedMonitoring", {"StreamName": "orders", "ShardLevelMetrics": METRICS}),
    ]
    for operation, members in steps:
        answer = wire.call(operation, service=PREFIX, **members)
        assert answer.status == 200, answer.body
    return wire


METRICS = ["IncomingBytes", "OutgoingBytes"]


def send(wire: Any, operation: str, body: bytes) -> Any:
    headers = {
        b"content-type": b"application/x-amz-json-1.1",
        b"x-amz-target": f"{PREFIX}.{operation}".encode(),
    }
    return wire.raw(body, headers)


def body_of(members: Any) -> bytes:
    return json.dumps(members).encode()


@pytest.mark.parametrize("operation", sorted(KINESIS.operations))
async def test_a_bad_member_is_refused_and_changes_nothing(state, operation):
    good = REQUESTS[operation]
    fields = KINESIS.operations[operation].request_type.__struct_encode_fields__
    assert good.keys() == set(fields), "every member is tried"
    before = await state.rows()
    for members in variants(good):
        answer = send(state, operation, body_of(members))
        assert answer.status in {200, 400, 501}, (members, answer.body)
        after = await state.rows()
        if answer.status != 200:
            assert answer.json["message"]
            assert after == before, members
        elif answer.on_disconnect is not None:
            answer.on_disconnect()
        before = after
    assert not state.bugs


@pytest.mark.parametrize("operation", sorted(KINESIS.operations))
async def test_the_good_request_that_is_varied_succeeds(state, operation):
    before = await state.rows()
    answer = send(state, operation, body_of(REQUESTS[operation]))
    assert answer.status == (400 if operation in REFUSED else 200), answer.body
    assert (await state.rows() != before) == (operation in CHANGING)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b'"x"',
        b"{",
        b'{"Records":' + b"[" * 1_000_000,
        b'{"Records":[{"Data":' + b'{"a":' * 1_000_000,
        b'{"Records":[{"PartitionKey":"\xed\xa0\x80"}]}',
        b'{"Records":[{"PartitionKey":"\\ud800"}]}',
        b'{"Records":[{"Data":"AAA"}]}',
        b'{"Records":[{"Data":"AA=A"}]}',
        b'{"Records":[null]}',
        b"\xff\xfe",
        b'{"Records":[]} trailing',
    ],
)
async def test_a_body_that_is_none_is_refused(state, body):
    before = await state.rows()
    answer = send(state, "PutRecords", body)
    assert answer.status == 400
    assert answer.error == "SerializationException"
    assert await state.rows() == before
