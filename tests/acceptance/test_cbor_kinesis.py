"""A client of AWS CBOR 1.1 against a real daemon: what the Java SDKs and programs on them send.

Signed by botocore, encoded by cbor2 in the manner of Jackson: maps and arrays have ends and no
lengths, timestamps have tag 1 and count milliseconds.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from hashlib import md5
from http.client import HTTPConnection, HTTPResponse
from typing import Any
from urllib.parse import urlsplit

import cbor2
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from eventcore.wire.event_stream import EventMessage, decode_messages
from tests.acceptance.conftest import Daemon

CBOR = "application/x-amz-cbor-1.1"
WAIT_SECONDS_MAX = 20


class Failed(Exception):
    """An error answer."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(f"{status} {code}: {message}")
        self.status = status
        self.code = code
        self.message = message


def timestamp(ms: int) -> cbor2.CBORTag:
    return cbor2.CBORTag(1, ms)


def decoded(body: bytes) -> Any:
    """Plain values; a timestamp becomes its tagged number of milliseconds, which must be whole."""

    def read_timestamp(value: object, _: bool) -> cbor2.CBORTag:
        assert isinstance(value, int)
        return timestamp(value)

    return cbor2.loads(body, semantic_decoders={1: read_timestamp})


class CborClient:
    """Calls operations of Kinesis over one connection that is kept."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.connection = HTTPConnection(urlsplit(url).netloc, timeout=30)

    def open(self, operation: str, body: bytes) -> HTTPResponse:
        request = AWSRequest(
            "POST",
            self.url + "/",
            data=body,
            headers={"Content-Type": CBOR, "X-Amz-Target": f"Kinesis_20131202.{operation}"},
        )
        credentials = Credentials("AKIDEXAMPLE", "secret")
        SigV4Auth(credentials, "kinesis", "us-east-1").add_auth(request)
        self.connection.request("POST", "/", body, dict(request.headers.items()))
        return self.connection.getresponse()

    def raw(self, operation: str, body: bytes) -> Any:
        response = self.open(operation, body)
        answer = response.read()
        assert response.headers["content-type"] == CBOR
        assert len(response.headers["x-amzn-requestid"]) == 36
        assert len(response.headers["x-amz-id-2"]) == 96
        if response.status != 200:
            error = decoded(answer)
            raise Failed(response.status, error["__type"], error["message"])
        return decoded(answer) if answer else None

    def call(self, operation: str, **members: Any) -> Any:
        """The answer's members; None for an answer without a body. Raises Failed."""
        return self.raw(operation, cbor2.dumps(members, indefinite_containers=True))

    def create(self, name: str, shard_count: int = 1) -> str:
        """A new stream that takes records; its ARN."""
        nothing = self.call("CreateStream", StreamName=name, ShardCount=shard_count)
        assert nothing is None
        arn: str = self.active(name)["StreamARN"]
        return arn

    def active(self, name: str) -> Any:
        """The summary of a stream as soon as it is active."""
        deadline = time.monotonic() + WAIT_SECONDS_MAX
        while time.monotonic() < deadline:
            answer = self.call("DescribeStreamSummary", StreamName=name)
            if answer["StreamDescriptionSummary"]["StreamStatus"] == "ACTIVE":
                return answer["StreamDescriptionSummary"]
            time.sleep(0.05)
        pytest.fail(f"{name} did not become active")

    def iterator(self, name: str, shard: str = "shardId-000000000000", **more: Any) -> str:
        start = more or {"ShardIteratorType": "TRIM_HORIZON"}
        return self.call("GetShardIterator", StreamName=name, ShardId=shard, **start)[
            "ShardIterator"
        ]

    def refusal(self, operation: str, **members: Any) -> Failed:
        with pytest.raises(Failed) as caught:
            self.call(operation, **members)
        return caught.value


@pytest.fixture
def kinesis(daemon: Daemon) -> Iterator[CborClient]:
    client = CborClient(daemon.url)
    yield client
    client.connection.close()


@pytest.fixture
def boto(clients: Callable[..., Any]) -> Any:
    return clients("kinesis")


def test_a_record_is_put_and_read(kinesis):
    before_ms = int(time.time() * 1000)
    arn = kinesis.create("cbor-record")
    put = kinesis.call(
        "PutRecord", StreamName="cbor-record", Data=b"\x00\xff", PartitionKey="ü", StreamARN=arn
    )
    assert put["ShardId"] == "shardId-000000000000"
    answer = kinesis.call("GetRecords", ShardIterator=kinesis.iterator("cbor-record"))
    (record,) = answer["Records"]
    arrived = record.pop("ApproximateArrivalTimestamp")
    assert arrived.tag == 1
    assert before_ms <= arrived.value <= time.time() * 1000
    assert record == {
        "Data": b"\x00\xff",
        "PartitionKey": "ü",
        "SequenceNumber": put["SequenceNumber"],
    }
    assert answer["MillisBehindLatest"] == 0
    assert answer["NextShardIterator"]


def test_five_hundred_records_keep_their_order_in_each_shard(kinesis):
    kinesis.create("cbor-batch", shard_count=4)
    entries = [{"Data": b"%d" % n * 100, "PartitionKey": f"key-{n % 50}"} for n in range(500)]
    put = kinesis.call("PutRecords", StreamName="cbor-batch", Records=entries)
    assert put["FailedRecordCount"] == 0
    assert len(put["Records"]) == 500
    read = 0
    for number in range(4):
        shard = f"shardId-{number:012d}"
        here = [n for n, result in enumerate(put["Records"]) if result["ShardId"] == shard]
        iterator = kinesis.iterator("cbor-batch", shard)
        records = kinesis.call("GetRecords", ShardIterator=iterator)["Records"]
        assert [r["Data"] for r in records] == [entries[n]["Data"] for n in here]
        assert [r["SequenceNumber"] for r in records] == [
            put["Records"][n]["SequenceNumber"] for n in here
        ]
        read += len(records)
    assert read == 500


def test_what_is_put_in_one_protocol_is_read_in_the_other(kinesis, boto):
    kinesis.create("cbor-both")
    kinesis.call("PutRecord", StreamName="cbor-both", Data=b"cbor", PartitionKey="a")
    boto.put_record(StreamName="cbor-both", Data=b"json", PartitionKey="b")
    iterator = kinesis.iterator("cbor-both")
    in_cbor = kinesis.call("GetRecords", ShardIterator=iterator)["Records"]
    in_json = boto.get_records(ShardIterator=iterator)["Records"]
    assert [r["Data"] for r in in_cbor] == [r["Data"] for r in in_json] == [b"cbor", b"json"]
    for one, other in zip(in_cbor, in_json, strict=True):
        at = other["ApproximateArrivalTimestamp"].timestamp()
        assert one["ApproximateArrivalTimestamp"] == timestamp(round(at * 1000))
        assert one["SequenceNumber"] == other["SequenceNumber"]


def test_an_iterator_begins_at_a_timestamp_in_milliseconds(kinesis):
    kinesis.create("cbor-time")
    for data in (b"0", b"1", b"2"):
        kinesis.call("PutRecord", StreamName="cbor-time", Data=data, PartitionKey="a")
        time.sleep(0.005)
    records = kinesis.call("GetRecords", ShardIterator=kinesis.iterator("cbor-time"))["Records"]
    for number, record in enumerate(records):
        iterator = kinesis.iterator(
            "cbor-time",
            ShardIteratorType="AT_TIMESTAMP",
            Timestamp=record["ApproximateArrivalTimestamp"],
        )
        found = kinesis.call("GetRecords", ShardIterator=iterator)["Records"]
        assert found == records[number:]


def test_a_page_may_have_ten_thousand_records(kinesis):
    kinesis.create("cbor-page")
    entries = [{"Data": b"%03d" % n, "PartitionKey": "k"} for n in range(500)]
    for _ in range(20):
        kinesis.call("PutRecords", StreamName="cbor-page", Records=entries)
    iterator = kinesis.iterator("cbor-page")
    answer = kinesis.call("GetRecords", ShardIterator=iterator, Limit=10_000)
    assert [r["Data"] for r in answer["Records"]] == [e["Data"] for e in entries] * 20


def test_a_stream_is_described_and_listed(kinesis):
    before_ms = int(time.time() * 1000)
    arn = kinesis.create("cbor-described", shard_count=2)
    described = kinesis.call("DescribeStream", StreamName="cbor-described")["StreamDescription"]
    assert described["StreamARN"] == arn
    assert described["StreamCreationTimestamp"].tag == 1
    assert before_ms <= described["StreamCreationTimestamp"].value <= time.time() * 1000
    assert described["HasMoreShards"] is False
    assert [shard["ShardId"] for shard in described["Shards"]] == [
        "shardId-000000000000",
        "shardId-000000000001",
    ]
    assert described["Shards"][1]["HashKeyRange"]["EndingHashKey"] == str(2**128 - 1)
    assert described["StreamModeDetails"] == {"StreamMode": "PROVISIONED"}
    listed = kinesis.call("ListStreams", ExclusiveStartStreamName="cbor-describe")
    assert listed["StreamNames"][0] == "cbor-described"
    assert isinstance(kinesis.call("DescribeLimits")["OpenShardCount"], int)
    shards = kinesis.call("ListShards", StreamName="cbor-described")["Shards"]
    assert shards == described["Shards"]
    kinesis.call("DeleteStream", StreamName="cbor-described")


def test_shards_are_listed_as_they_were_at_a_timestamp(kinesis):
    kinesis.create("cbor-shards")
    kinesis.call(
        "SplitShard",
        StreamName="cbor-shards",
        ShardToSplit="shardId-000000000000",
        NewStartingHashKey=str(2**127),
    )
    kinesis.active("cbor-shards")
    shards = kinesis.call("ListShards", StreamName="cbor-shards")["Shards"]
    assert [shard.get("ParentShardId") for shard in shards] == [
        None,
        "shardId-000000000000",
        "shardId-000000000000",
    ]
    now = timestamp(int(time.time() * 1000))
    at_the_end = kinesis.call(
        "ListShards",
        StreamName="cbor-shards",
        ShardFilter={"Type": "AT_TIMESTAMP", "Timestamp": now},
    )
    assert at_the_end["Shards"] == shards[1:]
    answer = kinesis.call("GetRecords", ShardIterator=kinesis.iterator("cbor-shards"))
    assert "NextShardIterator" not in answer
    assert [child["ShardId"] for child in answer["ChildShards"]] == [
        "shardId-000000000001",
        "shardId-000000000002",
    ]
    kinesis.call(
        "MergeShards",
        StreamName="cbor-shards",
        ShardToMerge="shardId-000000000001",
        AdjacentShardToMerge="shardId-000000000002",
    )
    assert kinesis.active("cbor-shards")["OpenShardCount"] == 1


def test_tags_retention_and_settings(kinesis):
    arn = kinesis.create("cbor-tags")
    tags = {"team": "events", "Größe": "x"}
    assert kinesis.call("AddTagsToStream", StreamName="cbor-tags", Tags=tags) is None
    kinesis.call("RemoveTagsFromStream", StreamName="cbor-tags", TagKeys=["team"])
    listed = kinesis.call("ListTagsForStream", StreamName="cbor-tags")
    assert listed == {"Tags": [{"Key": "Größe", "Value": "x"}], "HasMoreTags": False}
    assert kinesis.call("ListTagsForResource", ResourceARN=arn) == {"Tags": listed["Tags"]}
    kinesis.call("IncreaseStreamRetentionPeriod", StreamName="cbor-tags", RetentionPeriodHours=48)
    assert kinesis.active("cbor-tags")["RetentionPeriodHours"] == 48
    answer = kinesis.call(
        "EnableEnhancedMonitoring", StreamName="cbor-tags", ShardLevelMetrics=["IncomingBytes"]
    )
    assert answer["DesiredShardLevelMetrics"] == ["IncomingBytes"]


def events_of(response: HTTPResponse) -> Iterator[EventMessage]:
    buffer = bytearray()
    while part := response.read1(65_536):
        buffer += part
        yield from decode_messages(buffer)


def test_a_consumer_is_pushed_records_in_cbor(kinesis, daemon):
    arn = kinesis.create("cbor-pushed")
    consumer = kinesis.call("RegisterStreamConsumer", StreamARN=arn, ConsumerName="c")["Consumer"]
    assert consumer["ConsumerCreationTimestamp"].tag == 1
    kinesis.call("PutRecord", StreamName="cbor-pushed", Data=b"0", PartitionKey="a")
    subscriber = CborClient(daemon.url)
    response = subscriber.open(
        "SubscribeToShard",
        cbor2.dumps(
            {
                "ConsumerARN": consumer["ConsumerARN"],
                "ShardId": "shardId-000000000000",
                "StartingPosition": {"Type": "AT_TIMESTAMP", "Timestamp": timestamp(1)},
            }
        ),
    )
    assert response.status == 200
    assert response.headers["content-type"] == "application/vnd.amazon.eventstream"
    events = events_of(response)
    first = next(events)
    assert first.headers[":event-type"] == "initial-response"
    records: list[Any] = []
    while len(records) < 2:
        event = next(events)
        assert event.headers == {
            ":message-type": "event",
            ":event-type": "SubscribeToShardEvent",
            ":content-type": CBOR,
        }
        page = decoded(event.payload)
        assert page["ContinuationSequenceNumber"]
        if not records and page["Records"]:
            kinesis.call("PutRecord", StreamName="cbor-pushed", Data=b"1", PartitionKey="a")
        records += page["Records"]
    assert [record["Data"] for record in records] == [b"0", b"1"]
    assert {record["ApproximateArrivalTimestamp"].tag for record in records} == {1}
    subscriber.connection.close()


@pytest.mark.parametrize(
    ("operation", "members", "code"),
    [
        ("DescribeStream", {"StreamName": "absent"}, "ResourceNotFoundException"),
        ("CreateStream", {"StreamName": "no spaces", "ShardCount": 1}, "ValidationException"),
        ("GetRecords", {"ShardIterator": "AAAA"}, "InvalidArgumentException"),
        ("PutRecord", {"StreamName": 7}, "SerializationException"),
        ("PutRecord", {"StreamName": "s", "Data": "dGV4dA=="}, "SerializationException"),
        ("Colour", {}, "UnknownOperationException"),
    ],
)
def test_an_error_is_told_in_cbor(kinesis, operation, members, code):
    failed = kinesis.refusal(operation, **members)
    assert (failed.status, failed.code) == (400, code)
    assert failed.message


def test_hostile_bodies_are_refused_and_the_connection_goes_on(kinesis):
    kinesis.create("cbor-hostile")
    for body in (b"", b"\x9f" * 1_000, b"\xbb" + b"\xff" * 8, b"\x9f" + b"\xa0" * 1_000_000):
        with pytest.raises(Failed, match="SerializationException"):
            kinesis.raw("PutRecords", body)
    assert kinesis.call("DescribeStreamSummary", StreamName="cbor-hostile")


def test_a_stream_of_many_keys_is_hashed_as_aws_does(kinesis):
    kinesis.create("cbor-hashed", shard_count=2)
    keys = [f"key-{n}" for n in range(40)]
    entries = [{"Data": b"", "PartitionKey": key} for key in keys]
    put = kinesis.call("PutRecords", StreamName="cbor-hashed", Records=entries)
    for key, result in zip(keys, put["Records"], strict=True):
        is_upper = md5(key.encode()).digest()[0] >= 128
        assert result["ShardId"] == f"shardId-{int(is_upper):012d}"
