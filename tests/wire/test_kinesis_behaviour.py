"""What the Kinesis operations do, seen by boto3; the clock is the test's."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError

ARN = "arn:aws:kinesis:us-east-1:000000000000:stream/"
FIRST, SECOND = "shardId-000000000000", "shardId-000000000001"
HOUR_MS = 3_600_000
MIB = 1_048_576


@pytest.fixture
def stream(kinesis: Any) -> str:
    kinesis.create_stream(StreamName="orders", ShardCount=1)
    return "orders"


def at(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)


def ids(answer: Any) -> list[int]:
    """The numbers of the shards in an answer."""
    return [int(shard["ShardId"].rpartition("-")[2]) for shard in answer["Shards"]]


def message(caught: pytest.ExceptionInfo[ClientError]) -> str:
    text: str = caught.value.response["Error"]["Message"]
    return text


# Shards


@pytest.fixture
def resharded(wire: Any, kinesis: Any, stream: str) -> list[int]:
    """A stream whose shard 0 was split into 1 and 2, then merged into 3; the times of both."""
    times = []
    wire.clock.advance(10_000)
    times.append(wire.clock.now_ms())
    kinesis.split_shard(StreamName=stream, ShardToSplit=FIRST, NewStartingHashKey="1000")
    wire.clock.advance(10_000)
    times.append(wire.clock.now_ms())
    kinesis.merge_shards(
        StreamName=stream, ShardToMerge=SECOND, AdjacentShardToMerge="shardId-000000000002"
    )
    wire.clock.advance(10_000)
    return times


@pytest.mark.parametrize(
    ("kind", "found"),
    [
        ({"Type": "AT_LATEST"}, [3]),
        ({"Type": "AT_TRIM_HORIZON"}, [0]),
        ({"Type": "FROM_TRIM_HORIZON"}, [0, 1, 2, 3]),
        ({"Type": "AFTER_SHARD_ID", "ShardId": SECOND}, [2, 3]),
        ({"Type": "AFTER_SHARD_ID", "ShardId": "1"}, [2, 3]),
    ],
)
def test_shards_are_listed_by_a_filter(kinesis, stream, resharded, kind, found):
    assert ids(kinesis.list_shards(StreamName=stream, ShardFilter=kind)) == found


def test_shards_are_listed_by_a_time(kinesis, stream, resharded):
    split_ms, merge_ms = resharded

    def listed(kind: str, ms: int) -> list[int]:
        filter_ = {"Type": kind, "Timestamp": at(ms)}
        return ids(kinesis.list_shards(StreamName=stream, ShardFilter=filter_))

    between_ms = split_ms + 5_000
    assert listed("AT_TIMESTAMP", split_ms - 5_000) == [0]
    assert listed("AT_TIMESTAMP", between_ms) == [1, 2]
    assert listed("AT_TIMESTAMP", merge_ms + 5_000) == [3]
    assert listed("AT_TIMESTAMP", split_ms) == [0, 1, 2], "closed and opened in that moment"
    assert listed("AT_TIMESTAMP", 0) == [0], "the stream begins with its first shards"
    assert listed("FROM_TIMESTAMP", between_ms) == [1, 2, 3]
    assert listed("FROM_TIMESTAMP", merge_ms + 5_000) == [3]
    assert listed("FROM_TIMESTAMP", 0) == [0, 1, 2, 3]


def test_a_filter_holds_for_all_pages(kinesis, stream, resharded):
    filter_ = {"Type": "FROM_TIMESTAMP", "Timestamp": at(resharded[0] + 5_000)}
    page = kinesis.list_shards(StreamName=stream, ShardFilter=filter_, MaxResults=2)
    assert ids(page) == [1, 2]
    last = kinesis.list_shards(NextToken=page["NextToken"])
    assert ids(last) == [3]
    assert "NextToken" not in last


def test_closed_shards_vanish_when_their_retention_is_over(wire, kinesis, stream, resharded):
    wire.clock.advance(24 * HOUR_MS - 15_000)
    assert ids(kinesis.list_shards(StreamName=stream)) == [1, 2, 3]
    wire.clock.advance(15_000)
    assert ids(kinesis.list_shards(StreamName=stream)) == [3]
    filter_ = {"Type": "AT_TRIM_HORIZON"}
    assert ids(kinesis.list_shards(StreamName=stream, ShardFilter=filter_)) == [3]
    with pytest.raises(ClientError, match=f"Shard {FIRST} in stream orders .* does not exist"):
        kinesis.get_shard_iterator(
            StreamName=stream, ShardId=FIRST, ShardIteratorType="TRIM_HORIZON"
        )


def test_a_token_is_of_the_stream_that_it_was_made_for(wire, kinesis):
    kinesis.create_stream(StreamName="orders", ShardCount=2)
    token = kinesis.list_shards(StreamName="orders", MaxResults=1)["NextToken"]
    kinesis.delete_stream(StreamName="orders")
    wire.clock.advance(1_000)
    kinesis.create_stream(StreamName="orders", ShardCount=2)
    with pytest.raises(kinesis.exceptions.ResourceNotFoundException):
        kinesis.list_shards(NextToken=token)


def test_a_page_has_a_thousand_shards_at_the_most_and_a_description_a_hundred(kinesis):
    kinesis.create_stream(StreamName="wide", ShardCount=1_001)
    page = kinesis.list_shards(StreamName="wide", MaxResults=10_000)
    assert ids(page) == list(range(1_000))
    assert ids(kinesis.list_shards(NextToken=page["NextToken"])) == [1_000]
    described = kinesis.describe_stream(StreamName="wide", Limit=10_000)["StreamDescription"]
    assert ids(described) == list(range(100))
    assert described["HasMoreShards"]
    rest = kinesis.describe_stream(StreamName="wide", ExclusiveStartShardId="950")
    assert ids(rest["StreamDescription"]) == list(range(951, 1_001))
    assert not rest["StreamDescription"]["HasMoreShards"]


def test_a_stream_has_ten_thousand_shards_at_the_most(kinesis):
    kinesis.create_stream(StreamName="wide", ShardCount=6_000)
    with pytest.raises(kinesis.exceptions.LimitExceededException) as caught:
        kinesis.update_shard_count(
            StreamName="wide", TargetShardCount=10_001, ScalingType="UNIFORM_SCALING"
        )
    assert message(caught) == (
        "Target shard count or number of open shards cannot be greater than 10000. "
        "Current open shard count: 6000 Target shard count: 10001"
    )


# Records


def test_a_request_has_ten_mebibytes_at_the_most_with_keys(kinesis, stream):
    kinesis.update_max_record_size(StreamARN=ARN + stream, MaxRecordSizeInKiB=10_240)
    full = [{"Data": b"x" * (5 * MIB - 1), "PartitionKey": "k"} for _ in range(2)]
    assert kinesis.put_records(StreamName=stream, Records=full)["FailedRecordCount"] == 0
    full[0]["PartitionKey"] = "kk"
    with pytest.raises(kinesis.exceptions.InvalidArgumentException) as caught:
        kinesis.put_records(StreamName=stream, Records=full)
    assert message(caught) == "Records size exceeds 10 MB limit"


def test_a_record_has_the_size_of_its_stream_at_the_most_with_its_key(kinesis, stream):
    exact = {"Data": b"x" * (MIB - 4), "PartitionKey": "éé"}
    kinesis.put_record(StreamName=stream, **exact)
    kinesis.put_records(StreamName=stream, Records=[exact])
    over = {**exact, "PartitionKey": "ééé"}
    for place, put in (
        ("data", lambda: kinesis.put_record(StreamName=stream, **over)),
        (
            "records.2.member.data",
            lambda: kinesis.put_records(StreamName=stream, Records=[exact, over]),
        ),
    ):
        with pytest.raises(ClientError) as caught:
            put()
        assert caught.value.response["Error"]["Code"] == "ValidationException"
        assert message(caught) == (
            f"1 validation error detected: Value at '{place}' failed to satisfy constraint: "
            "Member must have length less than or equal to 1048576"
        )


@pytest.mark.parametrize(
    "bad",
    [
        {"Data": b"x", "PartitionKey": "k" * 257},
        {"Data": b"x", "PartitionKey": "k", "ExplicitHashKey": "01"},
        {"Data": b"x", "PartitionKey": "k", "ExplicitHashKey": str(1 << 128)},
        {"Data": b"x" * (MIB + 1), "PartitionKey": "k"},
    ],
)
def test_one_bad_record_keeps_all_of_its_request_out(kinesis, stream, bad):
    good = {"Data": b"x", "PartitionKey": "k"}
    with pytest.raises(ClientError):
        kinesis.put_records(StreamName=stream, Records=[good, bad, good])
    token = kinesis.get_shard_iterator(
        StreamName=stream, ShardId=FIRST, ShardIteratorType="TRIM_HORIZON"
    )
    assert kinesis.get_records(ShardIterator=token["ShardIterator"])["Records"] == []


@pytest.mark.parametrize(
    "member", [{"StreamName": "a b"}, {"StreamARN": ARN + " "}, {"StreamARN": "orders"}]
)
def test_what_the_model_does_not_allow_is_told_before_what_is_not_found(kinesis, member):
    record = {"Data": b"x", "PartitionKey": "k" * 257}
    for put in (
        lambda: kinesis.put_record(**member, **record),
        lambda: kinesis.put_records(**member, Records=[record]),
    ):
        with pytest.raises(ClientError) as caught:
            put()
        assert caught.value.response["Error"]["Code"] == "ValidationException"
        assert message(caught).startswith("2 validation errors detected: ")


def test_a_dry_run_puts_nothing_and_says_why_it_would_not(kinesis, stream):
    record = {"Data": b"x", "PartitionKey": "k"}
    for put in (
        lambda **more: kinesis.put_record(StreamName=stream, **record, **more, DryRun=True),
        lambda **more: kinesis.put_records(
            StreamName=stream, Records=[{**record, **more}], DryRun=True
        ),
    ):
        with pytest.raises(kinesis.exceptions.DryRunOperationException):
            put()
        with pytest.raises(kinesis.exceptions.InvalidArgumentException):
            put(ExplicitHashKey=str(1 << 128))
    with pytest.raises(kinesis.exceptions.ResourceNotFoundException):
        kinesis.put_record(StreamName="gone", **record, DryRun=True)
    token = kinesis.get_shard_iterator(
        StreamName=stream, ShardId=FIRST, ShardIteratorType="TRIM_HORIZON"
    )
    assert kinesis.get_records(ShardIterator=token["ShardIterator"])["Records"] == []


def test_records_are_gone_when_their_retention_is_over(wire, kinesis, stream):
    kinesis.put_record(StreamName=stream, Data=b"old", PartitionKey="k")
    wire.clock.advance(HOUR_MS)
    kinesis.put_record(StreamName=stream, Data=b"new", PartitionKey="k")
    wire.clock.advance(23 * HOUR_MS + 1)
    token = kinesis.get_shard_iterator(
        StreamName=stream, ShardId=FIRST, ShardIteratorType="TRIM_HORIZON"
    )
    page = kinesis.get_records(ShardIterator=token["ShardIterator"])
    assert [record["Data"] for record in page["Records"]] == [b"new"]


def test_a_page_tells_how_old_what_follows_it_is(wire, kinesis, stream):
    for _ in range(3):
        kinesis.put_record(StreamName=stream, Data=b"x", PartitionKey="k")
        wire.clock.advance(1_000)
    token = kinesis.get_shard_iterator(
        StreamName=stream, ShardId=FIRST, ShardIteratorType="TRIM_HORIZON"
    )
    page = kinesis.get_records(ShardIterator=token["ShardIterator"], Limit=1)
    assert page["MillisBehindLatest"] == 3_000
    page = kinesis.get_records(ShardIterator=page["NextShardIterator"])
    assert page["MillisBehindLatest"] == 0


# Settings


def test_records_tell_whether_they_were_encrypted_when_they_came(kinesis, stream):
    of = {"StreamName": stream}
    key = {"EncryptionType": "KMS", "KeyId": "alias/aws/kinesis"}
    assert "EncryptionType" not in kinesis.put_record(**of, Data=b"x", PartitionKey="k")
    kinesis.start_stream_encryption(**of, **key)
    put = kinesis.put_records(**of, Records=[{"Data": b"x", "PartitionKey": "k"}])
    assert put["EncryptionType"] == "KMS"
    kinesis.stop_stream_encryption(**of, **key)
    token = kinesis.get_shard_iterator(**of, ShardId=FIRST, ShardIteratorType="TRIM_HORIZON")
    page = kinesis.get_records(ShardIterator=token["ShardIterator"])
    assert [record.get("EncryptionType") for record in page["Records"]] == [None, "KMS"]


def test_a_commitment_lasts_a_day_at_the_least(wire, kinesis):
    def status(wanted: str | None = None) -> str:
        if wanted is None:
            answer = kinesis.describe_account_settings()
        else:
            answer = kinesis.update_account_settings(
                MinimumThroughputBillingCommitment={"Status": wanted}
            )
        told: str = answer["MinimumThroughputBillingCommitment"]["Status"]
        return told

    assert status() == "DISABLED"
    assert status("DISABLED") == "DISABLED"
    assert status("ENABLED") == "ENABLED"
    assert status("DISABLED") == "ENABLED_UNTIL_EARLIEST_ALLOWED_END"
    assert status() == "ENABLED_UNTIL_EARLIEST_ALLOWED_END"
    wire.clock.advance(24 * HOUR_MS)
    assert status() == "DISABLED"


def test_an_on_demand_stream_of_a_committed_account_has_more_consumers(kinesis, stream):
    def register(numbers: range) -> None:
        for number in numbers:
            kinesis.register_stream_consumer(StreamARN=ARN + stream, ConsumerName=f"c{number}")

    register(range(20))
    with pytest.raises(kinesis.exceptions.LimitExceededException):
        register(range(20, 21))
    kinesis.update_account_settings(MinimumThroughputBillingCommitment={"Status": "ENABLED"})
    with pytest.raises(kinesis.exceptions.LimitExceededException):
        register(range(20, 21))
    kinesis.update_stream_mode(
        StreamARN=ARN + stream, StreamModeDetails={"StreamMode": "ON_DEMAND"}
    )
    register(range(20, 50))
    with pytest.raises(kinesis.exceptions.LimitExceededException):
        register(range(50, 51))


def test_a_stream_that_is_made_again_knows_nothing_of_the_one_before(kinesis, wire, stream):
    kinesis.put_record(StreamName=stream, Data=b"x", PartitionKey="k")
    token = kinesis.get_shard_iterator(
        StreamName=stream, ShardId=FIRST, ShardIteratorType="TRIM_HORIZON"
    )["ShardIterator"]
    kinesis.add_tags_to_stream(StreamName=stream, Tags={"team": "a"})
    kinesis.delete_stream(StreamName=stream)
    wire.clock.advance(1_000)
    kinesis.create_stream(StreamName=stream, ShardCount=1)
    assert kinesis.list_tags_for_stream(StreamName=stream)["Tags"] == []
    with pytest.raises(kinesis.exceptions.InvalidArgumentException, match="Invalid ShardIterator"):
        kinesis.get_records(ShardIterator=token)


def test_another_account_is_told_with_the_account_it_asked_for(client):
    kinesis = client("kinesis", access_key="111122223333")
    kinesis.create_stream(StreamName="orders", ShardCount=1)
    named = kinesis.describe_stream(StreamName="orders")["StreamDescription"]
    assert named["StreamARN"] == "arn:aws:kinesis:us-east-1:111122223333:stream/orders"
    with pytest.raises(ClientError, match="Stream gone under account 111122223333 not found"):
        kinesis.describe_stream(StreamName="gone")
    with pytest.raises(ClientError, match="Stream orders under account 000000000000 not found"):
        kinesis.describe_stream(StreamARN=ARN + "orders")


def test_a_region_does_not_know_the_streams_of_another(client, kinesis, stream):
    elsewhere = client("kinesis", region="eu-west-1")
    for members in ({"StreamName": stream}, {"StreamARN": ARN + stream}):
        with pytest.raises(elsewhere.exceptions.ResourceNotFoundException):
            elsewhere.describe_stream(**members)
    assert elsewhere.list_streams()["StreamNames"] == []
    assert kinesis.describe_stream(StreamARN=ARN + stream)["StreamDescription"]
