"""boto3 against a real daemon: Kinesis, over HTTP/1.1."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import pytest
from botocore.exceptions import ClientError

ARN = "arn:aws:kinesis:us-east-1:000000000000:stream/"
FIRST_SHARD = "shardId-000000000000"
MIDDLE = str(1 << 127)
READS_MAX = 100


@pytest.fixture(scope="session")
def kinesis(clients: Callable[..., Any]) -> Any:
    return clients("kinesis")


@pytest.fixture
def stream(kinesis: Any, queue_name: str) -> Iterator[str]:
    """A stream of one shard that no other test uses."""
    kinesis.create_stream(StreamName=queue_name, ShardCount=1)
    kinesis.get_waiter("stream_exists").wait(StreamName=queue_name)
    yield queue_name
    kinesis.delete_stream(StreamName=queue_name, EnforceConsumerDeletion=True)
    kinesis.get_waiter("stream_not_exists").wait(StreamName=queue_name)


def iterator(kinesis: Any, stream: str, kind: str = "TRIM_HORIZON", **members: Any) -> str:
    members = {"ShardId": FIRST_SHARD, "ShardIteratorType": kind, **members}
    token: str = kinesis.get_shard_iterator(StreamName=stream, **members)["ShardIterator"]
    return token


def read(kinesis: Any, token: str | None, until: int, limit: int = 10_000) -> list[Any]:
    """The records from an iterator on, `until` many, or those up to a closed shard's end."""
    records: list[Any] = []
    for _ in range(READS_MAX):
        if token is None or len(records) >= until:
            return records
        page = kinesis.get_records(ShardIterator=token, Limit=limit)
        assert len(page["Records"]) <= limit
        records += page["Records"]
        token = page.get("NextShardIterator")
    raise AssertionError(f"only {len(records)} of {until} records came")


def entries(*keys: str) -> list[dict[str, Any]]:
    return [{"Data": f"to {key}".encode(), "PartitionKey": key} for key in keys]


# Records


def test_records_come_back_as_they_were_put_and_in_order(kinesis, stream):
    first = kinesis.put_record(StreamName=stream, Data=b"\x00\xff", PartitionKey="ü" * 256)
    rest = kinesis.put_records(StreamName=stream, Records=entries(*map(str, range(500))))
    assert rest["FailedRecordCount"] == 0
    assert first["ShardId"] == rest["Records"][0]["ShardId"] == FIRST_SHARD
    numbers = [first["SequenceNumber"], *(r["SequenceNumber"] for r in rest["Records"])]
    assert numbers == sorted(numbers, key=int)
    assert len({*numbers}) == 501
    records = read(kinesis, iterator(kinesis, stream), 501, limit=200)
    assert [record["SequenceNumber"] for record in records] == numbers
    assert records[0]["Data"] == b"\x00\xff"
    assert records[0]["PartitionKey"] == "ü" * 256
    assert [record["Data"] for record in records[1:]] == [b"to %d" % n for n in range(500)]
    times = [record["ApproximateArrivalTimestamp"] for record in records]
    assert times == sorted(times)


def test_an_iterator_begins_where_it_is_told(kinesis, stream):
    put = kinesis.put_records(StreamName=stream, Records=entries("a", "b", "c"))
    numbers = [record["SequenceNumber"] for record in put["Records"]]
    latest = iterator(kinesis, stream, "LATEST")
    at = iterator(kinesis, stream, "AT_SEQUENCE_NUMBER", StartingSequenceNumber=numbers[1])
    after = iterator(kinesis, stream, "AFTER_SEQUENCE_NUMBER", StartingSequenceNumber=numbers[1])
    long_ago = iterator(kinesis, stream, "AT_TIMESTAMP", Timestamp=0)
    kinesis.put_record(StreamName=stream, Data=b"to d", PartitionKey="d")

    def keys(token: str, until: int) -> list[str]:
        return [record["PartitionKey"] for record in read(kinesis, token, until)]

    assert keys(latest, 1) == ["d"]
    assert keys(at, 3) == ["b", "c", "d"]
    assert keys(after, 2) == ["c", "d"]
    assert keys(long_ago, 4) == ["a", "b", "c", "d"]


def test_a_page_says_how_far_behind_it_is(kinesis, stream):
    kinesis.put_records(StreamName=stream, Records=entries("a", "b"))
    page = kinesis.get_records(ShardIterator=iterator(kinesis, stream), StreamARN=ARN + stream)
    assert page["MillisBehindLatest"] == 0
    assert "ChildShards" not in page
    empty = kinesis.get_records(ShardIterator=page["NextShardIterator"])
    assert empty["Records"] == []
    assert empty["NextShardIterator"]


def test_shards_have_children_and_a_parent_ends_before_them(kinesis, stream):
    kinesis.put_records(StreamName=stream, Records=entries("a", "b"))
    kinesis.split_shard(StreamName=stream, ShardToSplit=FIRST_SHARD, NewStartingHashKey=MIDDLE)
    kinesis.get_waiter("stream_exists").wait(StreamName=stream)
    page = kinesis.get_records(ShardIterator=iterator(kinesis, stream))
    assert [record["PartitionKey"] for record in page["Records"]] == ["a", "b"]
    assert "NextShardIterator" not in page
    children = page["ChildShards"]
    assert [child["ParentShards"] for child in children] == [[FIRST_SHARD], [FIRST_SHARD]]
    low, high = (child["ShardId"] for child in children)
    keys = {"0": low, str(int(MIDDLE) - 1): low, MIDDLE: high, str((1 << 128) - 1): high}
    for key, shard in keys.items():
        put = kinesis.put_record(
            StreamName=stream, Data=b"x", PartitionKey="k", ExplicitHashKey=key
        )
        assert put["ShardId"] == shard
    kinesis.merge_shards(StreamName=stream, ShardToMerge=low, AdjacentShardToMerge=high)
    kinesis.get_waiter("stream_exists").wait(StreamName=stream)
    open_shards = kinesis.list_shards(StreamName=stream, ShardFilter={"Type": "AT_LATEST"})
    (merged,) = open_shards["Shards"]
    assert (merged["ParentShardId"], merged["AdjacentParentShardId"]) == (low, high)
    assert len(read(kinesis, iterator(kinesis, stream, ShardId=low), READS_MAX)) == 2
    counted = kinesis.update_shard_count(
        StreamName=stream, TargetShardCount=2, ScalingType="UNIFORM_SCALING"
    )
    assert (counted["CurrentShardCount"], counted["TargetShardCount"]) == (1, 2)
    kinesis.get_waiter("stream_exists").wait(StreamName=stream)
    summary = kinesis.describe_stream_summary(StreamName=stream)["StreamDescriptionSummary"]
    assert summary["OpenShardCount"] == 2


def test_large_records_are_taken_by_a_stream_that_is_told_to(kinesis, stream):
    large = b"x" * (2 * 1024 * 1024)
    with pytest.raises(ClientError, match="Member must have length less than or equal to 1048576"):
        kinesis.put_record(StreamName=stream, Data=large, PartitionKey="k")
    kinesis.update_max_record_size(StreamARN=ARN + stream, MaxRecordSizeInKiB=3 * 1024)
    kinesis.put_record(StreamName=stream, Data=large, PartitionKey="k")
    (record,) = read(kinesis, iterator(kinesis, stream), 1)
    assert record["Data"] == large


# Enhanced fan-out


def test_a_consumer_is_sent_records_as_they_come(kinesis, clients, stream):
    registered = kinesis.register_stream_consumer(StreamARN=ARN + stream, ConsumerName="audit")
    consumer = registered["Consumer"]["ConsumerARN"]
    kinesis.put_records(StreamName=stream, Records=entries("a", "b"))
    answer = clients("kinesis").subscribe_to_shard(
        ConsumerARN=consumer,
        ShardId=FIRST_SHARD,
        StartingPosition={"Type": "TRIM_HORIZON"},
    )
    got: list[str] = []
    is_first_page = threading.Event()

    def follow() -> None:
        for event in answer["EventStream"]:
            page = event["SubscribeToShardEvent"]
            got.extend(record["PartitionKey"] for record in page["Records"])
            is_first_page.set()
            if not page.get("ContinuationSequenceNumber"):
                got.extend(child["ShardId"] for child in page["ChildShards"])

    reader = threading.Thread(target=follow)
    reader.start()
    assert is_first_page.wait(20)
    with pytest.raises(kinesis.exceptions.ResourceInUseException, match="Another active"):
        kinesis.subscribe_to_shard(
            ConsumerARN=consumer, ShardId=FIRST_SHARD, StartingPosition={"Type": "LATEST"}
        )
    kinesis.put_record(StreamName=stream, Data=b"x", PartitionKey="c")
    kinesis.split_shard(StreamName=stream, ShardToSplit=FIRST_SHARD, NewStartingHashKey=MIDDLE)
    reader.join(20)
    assert not reader.is_alive()
    answer["EventStream"].close()
    assert got == ["a", "b", "c", "shardId-000000000001", "shardId-000000000002"]


def test_a_deleted_stream_tells_its_subscribers(kinesis, clients, queue_name):
    kinesis.create_stream(StreamName=queue_name, ShardCount=1)
    registered = kinesis.register_stream_consumer(StreamARN=ARN + queue_name, ConsumerName="audit")
    answer = clients("kinesis").subscribe_to_shard(
        ConsumerARN=registered["Consumer"]["ConsumerARN"],
        ShardId=FIRST_SHARD,
        StartingPosition={"Type": "LATEST"},
    )
    kinesis.delete_stream(StreamName=queue_name, EnforceConsumerDeletion=True)
    with pytest.raises(ClientError, match=f"Stream {queue_name} under account"):
        list(answer["EventStream"])
    answer["EventStream"].close()


# What is told of a stream


def test_a_stream_is_described_with_what_was_set(kinesis, stream):
    of = {"StreamName": stream}
    kinesis.increase_stream_retention_period(**of, RetentionPeriodHours=48)
    kinesis.start_stream_encryption(**of, EncryptionType="KMS", KeyId="alias/aws/kinesis")
    metrics = kinesis.enable_enhanced_monitoring(**of, ShardLevelMetrics=["ALL"])
    assert len(metrics["DesiredShardLevelMetrics"]) == 7
    kinesis.disable_enhanced_monitoring(**of, ShardLevelMetrics=["IncomingBytes"])
    described = kinesis.describe_stream(**of)["StreamDescription"]
    assert described["RetentionPeriodHours"] == 48
    assert (described["EncryptionType"], described["KeyId"]) == ("KMS", "alias/aws/kinesis")
    assert len(described["EnhancedMonitoring"][0]["ShardLevelMetrics"]) == 6
    assert kinesis.put_record(**of, Data=b"x", PartitionKey="k")["EncryptionType"] == "KMS"
    kinesis.stop_stream_encryption(**of, EncryptionType="KMS", KeyId="alias/aws/kinesis")
    kinesis.decrease_stream_retention_period(**of, RetentionPeriodHours=24)
    kinesis.update_stream_mode(
        StreamARN=ARN + stream, StreamModeDetails={"StreamMode": "ON_DEMAND"}
    )
    summary = kinesis.describe_stream_summary(**of)["StreamDescriptionSummary"]
    assert summary["StreamModeDetails"] == {"StreamMode": "ON_DEMAND"}
    assert (summary["RetentionPeriodHours"], summary["EncryptionType"]) == (24, "NONE")
    assert kinesis.describe_limits()["OnDemandStreamCount"] >= 1


def test_lists_are_paged_by_boto3(kinesis, stream):
    names = [f"{stream}-{number}"[-128:] for number in range(3)]
    for name in names:
        kinesis.create_stream(StreamName=name, ShardCount=3)
        kinesis.register_stream_consumer(StreamARN=ARN + stream, ConsumerName=name)
    pages = kinesis.get_paginator("list_streams").paginate(Limit=1)
    assert {*names, stream} <= {name for page in pages for name in page["StreamNames"]}
    # boto3's paginator sends the name beside the token, which AWS does not take, either.
    first = kinesis.list_shards(StreamName=names[0], MaxResults=2)
    rest = kinesis.list_shards(NextToken=first["NextToken"])
    assert len(first["Shards"] + rest["Shards"]) == 3
    pages = kinesis.get_paginator("describe_stream").paginate(StreamName=names[0], Limit=1)
    shards = [s["ShardId"] for page in pages for s in page["StreamDescription"]["Shards"]]
    assert shards == [f"shardId-{number:012d}" for number in range(3)]
    pages = kinesis.get_paginator("list_stream_consumers").paginate(
        StreamARN=ARN + stream, PaginationConfig={"PageSize": 1}
    )
    assert [c["ConsumerName"] for page in pages for c in page["Consumers"]] == sorted(names)
    for name in names:
        kinesis.delete_stream(StreamName=name)


def test_tags_and_policies_are_kept(kinesis, stream):
    arn = ARN + stream
    kinesis.add_tags_to_stream(StreamName=stream, Tags={"team": "a", "stage": "test"})
    kinesis.tag_resource(ResourceARN=arn, Tags={"team": "b"})
    kinesis.remove_tags_from_stream(StreamName=stream, TagKeys=["stage"])
    assert kinesis.list_tags_for_stream(StreamName=stream)["Tags"] == [
        {"Key": "team", "Value": "b"}
    ]
    made = kinesis.register_stream_consumer(StreamARN=arn, ConsumerName="c", Tags={"a": "b"})
    consumer = made["Consumer"]["ConsumerARN"]
    kinesis.untag_resource(ResourceARN=consumer, TagKeys=["a"])
    assert kinesis.list_tags_for_resource(ResourceARN=consumer)["Tags"] == []
    policy = '{"Statement":[{"Effect":"Allow","Principal":"*","Action":"kinesis:*"}]}'
    for resource in (arn, consumer):
        kinesis.put_resource_policy(ResourceARN=resource, Policy=policy)
        assert kinesis.get_resource_policy(ResourceARN=resource)["Policy"] == policy
        kinesis.delete_resource_policy(ResourceARN=resource)
        assert kinesis.get_resource_policy(ResourceARN=resource)["Policy"] == "{}"


def test_the_account_can_commit_itself_and_warm_its_streams_up(clients, queue_name):
    kinesis = clients("kinesis", region_name="eu-central-1")
    settings = kinesis.describe_account_settings()["MinimumThroughputBillingCommitment"]
    assert settings["Status"] == "DISABLED"
    commitment = {"MinimumThroughputBillingCommitment": {"Status": "ENABLED"}}
    updated = kinesis.update_account_settings(**commitment)
    assert updated["MinimumThroughputBillingCommitment"]["Status"] == "ENABLED"
    kinesis.create_stream(StreamName=queue_name, StreamModeDetails={"StreamMode": "ON_DEMAND"})
    kinesis.get_waiter("stream_exists").wait(StreamName=queue_name)
    warm = kinesis.update_stream_warm_throughput(StreamName=queue_name, WarmThroughputMiBps=6)
    assert warm["WarmThroughput"]["TargetMiBps"] == 6
    kinesis.get_waiter("stream_exists").wait(StreamName=queue_name)
    summary = kinesis.describe_stream_summary(StreamName=queue_name)["StreamDescriptionSummary"]
    assert summary["OpenShardCount"] == 6
    kinesis.delete_stream(StreamName=queue_name)


def test_regions_and_accounts_have_streams_of_their_own(kinesis, clients, stream):
    elsewhere = clients("kinesis", region_name="eu-west-1")
    with pytest.raises(elsewhere.exceptions.ResourceNotFoundException):
        elsewhere.describe_stream(StreamName=stream)
    with pytest.raises(elsewhere.exceptions.ResourceNotFoundException):
        elsewhere.describe_stream(StreamARN=ARN + stream)
    other = clients("kinesis", aws_access_key_id="111122223333")
    assert stream not in other.list_streams()["StreamNames"]
    by_arn = other.describe_stream(StreamARN=ARN + stream)["StreamDescription"]
    assert by_arn["StreamName"] == stream


# Errors


@pytest.mark.parametrize(
    ("operation", "members", "code", "text"),
    [
        (
            "describe_stream",
            {"StreamName": "gone"},
            "ResourceNotFoundException",
            "Stream gone under account 000000000000 not found.",
        ),
        (
            "describe_stream",
            {"StreamName": "a b"},
            "ValidationException",
            "1 validation error detected: Value 'a b' at 'streamName' failed to satisfy "
            "constraint: Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+",
        ),
        (
            "get_records",
            {"ShardIterator": "AAAA"},
            "InvalidArgumentException",
            "Invalid ShardIterator.",
        ),
        (
            "delete_channel",
            {"ChannelARN": "arn:aws:kinesis:us-east-1:000000000000:channel/c"},
            "UnsupportedOperation",
            "eventcore does not implement the operation DeleteChannel of kinesis.",
        ),
    ],
)
def test_an_error_is_told_in_the_words_of_aws(kinesis, operation, members, code, text):
    with pytest.raises(ClientError) as caught:
        getattr(kinesis, operation)(**members)
    assert caught.value.response["Error"]["Code"] == code
    assert caught.value.response["Error"]["Message"] == text


# Durability


def test_streams_outlive_a_kill(own_daemon, connect, queue_name):
    kinesis = connect(own_daemon.url, "kinesis")
    kinesis.create_stream(StreamName=queue_name, ShardCount=1, Tags={"team": "a"})
    numbers = count()
    for _ in range(5):
        keys = [str(next(numbers)) for _ in range(100)]
        kinesis.put_records(StreamName=queue_name, Records=entries(*keys))
    token = iterator(kinesis, queue_name)
    own_daemon.kill()
    own_daemon.start()
    kinesis = connect(own_daemon.url, "kinesis")
    records = read(kinesis, token, 500)
    assert [record["PartitionKey"] for record in records] == [str(n) for n in range(500)]
    put = kinesis.put_record(StreamName=queue_name, Data=b"x", PartitionKey="k")
    assert int(put["SequenceNumber"]) > int(records[-1]["SequenceNumber"])
