from __future__ import annotations

import argparse
import json
from typing import Any

import pytest

from eventcore.bench.client import CallFailed
from eventcore.errors import InvalidParameter
from eventcore.server.commands import streams_calls
from eventcore.server.commands.streams_calls import (
    PutEntry,
    StartAt,
    StreamClient,
    shard_id_of,
    take_region,
)

ARN = "arn:aws:kinesis:eu-west-1:123456789012:stream/clicks"


class _Endpoint:
    """Gives the answers, or raises the errors, that it was given, and notes what it is asked."""

    endpoint_url = "http://fake"

    def __init__(self, *answers):
        self.answers = list(answers)
        self.asked = []

    async def call_raw(self, service, operation, body):
        self.asked.append((operation, json.loads(body)))
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer if isinstance(answer, bytes) else json.dumps(answer).encode()


def endpoint_with(*answers) -> Any:
    """One that mypy takes for a client."""
    return _Endpoint(*answers)


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch):
    monkeypatch.setattr(streams_calls, "PAUSE_FIRST_S", 0.0)


def failed(code, status=400):
    return CallFailed("Operation", status, code, "reason")


def shard(shard_id, *parents, end=None):
    sequences = {"StartingSequenceNumber": "1"}
    if end is not None:
        sequences["EndingSequenceNumber"] = end
    parent_members = dict(zip(("ParentShardId", "AdjacentParentShardId"), parents, strict=False))
    return {
        "ShardId": shard_id,
        "HashKeyRange": {"StartingHashKey": "0", "EndingHashKey": str(2**128 - 1)},
        "SequenceNumberRange": sequences,
        **parent_members,
    }


async def test_shards_are_listed_over_all_pages():
    endpoint = endpoint_with(
        {"Shards": [shard("b", "a")], "NextToken": "t"}, {"Shards": [shard("a", end="9")]}
    )
    shards = await StreamClient(endpoint, "clicks").list_shards()
    assert [(one.id, one.parents, one.is_open) for one in shards] == [
        ("a", (), False),
        ("b", ("a",), True),
    ]
    assert shards[0].last_hash == 2**128 - 1
    assert endpoint.asked[0][1]["StreamName"] == "clicks"
    assert endpoint.asked[1][1] == {"NextToken": "t", "MaxResults": 1_000}


async def test_an_arn_is_sent_as_one():
    endpoint = endpoint_with({"ShardIterator": "i"})
    assert await StreamClient(endpoint, ARN).iterator("s", StartAt("AT_TIMESTAMP", at_s=1.5)) == "i"
    assert endpoint.asked[0][1] == {
        "StreamARN": ARN,
        "ShardId": "s",
        "ShardIteratorType": "AT_TIMESTAMP",
        "Timestamp": 1.5,
    }


@pytest.mark.parametrize(
    "error",
    [
        failed("ProvisionedThroughputExceededException"),
        failed("LimitExceededException"),
        failed("InternalFailure", 500),
    ],
)
async def test_reading_waits_out_rates_and_trouble(error):
    endpoint = endpoint_with(error, error, {"Records": [], "MillisBehindLatest": 0})
    page = await StreamClient(endpoint, "clicks").get_records("i", 10)
    assert (page.records, page.next_iterator, page.is_tip) == ([], None, True)
    assert len(endpoint.asked) == 3


async def test_it_gives_up_after_some_tries():
    error = failed("ProvisionedThroughputExceededException")
    endpoint = endpoint_with(*[error] * streams_calls.TRIES, b"not asked for")
    with pytest.raises(CallFailed):
        await StreamClient(endpoint, "clicks").get_records("i", 10)
    assert endpoint.answers == [b"not asked for"]


@pytest.mark.parametrize(
    "error",
    [
        failed("LimitExceededException"),  # a quota, here
        failed("InternalFailure", 500),  # it may be under way
        failed("UnsupportedOperation", 501),
        failed("ResourceInUseException"),
    ],
)
async def test_a_change_is_not_asked_for_twice(error):
    endpoint = endpoint_with(error)
    with pytest.raises(CallFailed):
        await StreamClient(endpoint, "clicks").update_shard_count(2)
    assert len(endpoint.asked) == 1


async def test_putting_does_not_try_again():
    endpoint = endpoint_with(failed("InternalFailure", 500))
    with pytest.raises(CallFailed):
        await StreamClient(endpoint, "clicks").put_records([PutEntry(b"a", "k")])
    assert endpoint.asked == [
        ("PutRecords", {"StreamName": "clicks", "Records": [{"Data": "YQ==", "PartitionKey": "k"}]})
    ]


@pytest.mark.parametrize("answer", [b"<html>", {"Other": 1}, {"Records": []}])
async def test_an_answer_that_is_none_is_told_so(answer):
    with pytest.raises(CallFailed, match="PutRecords"):
        await StreamClient(endpoint_with(answer), "clicks").put_records([PutEntry(b"a", "k")])


async def test_a_summary_has_the_size_of_records():
    description = {
        "StreamName": "clicks",
        "StreamARN": ARN,
        "StreamStatus": "ACTIVE",
        "OpenShardCount": 3,
    }
    for more, expected in (({}, 1024), ({"MaxRecordSizeInKiB": 2048}, 2048)):
        endpoint = endpoint_with({"StreamDescriptionSummary": {**description, **more}})
        summary = await StreamClient(endpoint, "clicks").describe()
        assert (summary.arn, summary.mode, summary.open_shards) == (ARN, "PROVISIONED", 3)
        assert summary.record_bytes_max == expected * 1024


def test_a_shard_has_a_number():
    assert shard_id_of("3") == "shardId-000000000003"
    assert shard_id_of("shardId-000000000003") == "shardId-000000000003"
    assert shard_id_of("\u0663") == "\u0663"


def test_the_region_of_an_arn_counts():
    arguments = argparse.Namespace(stream=ARN, region="us-east-1")
    take_region(arguments)
    assert arguments.region == "eu-west-1"
    named = argparse.Namespace(stream="clicks", region="us-east-1")
    take_region(named)
    assert named.region == "us-east-1"


@pytest.mark.parametrize("text", ["arn:", "arn:aws:sqs:r:0:q", "arn:aws:kinesis:r:0:consumer/x"])
def test_another_arn_is_refused(text):
    with pytest.raises(InvalidParameter):
        take_region(argparse.Namespace(stream=text, region="us-east-1"))
