"""What a request breaks is told in AWS's words, all of it at once."""

from __future__ import annotations

from typing import Any

import pytest

from eventcore.api import kinesis_requests as requests
from eventcore.api.constraints import broken_constraints
from eventcore.api.kinesis_constraints import check, record_too_large, shape_of
from eventcore.wire.fault import Fault

NAME = "Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+"
NULL = "Member must not be null"
ARN = "arn:aws:kinesis:us-east-1:000000000000:stream/orders"


def told(request: Any) -> str:
    with pytest.raises(Fault) as caught:
        check(request)
    assert (caught.value.code, caught.value.status) == ("ValidationException", 400)
    return caught.value.message


def failed(value: str, place: str, reason: str) -> str:
    return f"Value{value} at '{place}' failed to satisfy constraint: {reason}"


@pytest.mark.parametrize(
    ("request_", "line"),
    [
        (requests.CreateStreamRequest("a b"), failed(" 'a b'", "streamName", NAME)),
        (requests.CreateStreamRequest("a\n"), failed(" 'a\n'", "streamName", NAME)),
        (requests.CreateStreamRequest("ü"), failed(" 'ü'", "streamName", NAME)),
        (requests.CreateStreamRequest(), failed(" null", "streamName", NULL)),
        (
            requests.CreateStreamRequest("a", 0),
            failed(" '0'", "shardCount", "Member must have value greater than or equal to 1"),
        ),
        (
            requests.CreateStreamRequest("a", max_record_size_in_kib=10241),
            failed(
                " '10241'",
                "maxRecordSizeInKiB",
                "Member must have value less than or equal to 10240",
            ),
        ),
        (
            requests.CreateStreamRequest("a", stream_mode_details=requests.StreamModeShape()),
            failed(" null", "streamModeDetails.streamMode", NULL),
        ),
        (
            requests.CreateStreamRequest("a", stream_mode_details=requests.StreamModeShape("x")),
            failed(
                " 'x'",
                "streamModeDetails.streamMode",
                "Member must satisfy enum value set: [PROVISIONED, ON_DEMAND]",
            ),
        ),
        (
            requests.DescribeStreamRequest(stream_arn="arn:aws:sqs:us-east-1:000000000000:q"),
            failed(
                " 'arn:aws:sqs:us-east-1:000000000000:q'",
                "streamARN",
                r"Member must satisfy regular expression pattern: "
                r"arn:aws.*:kinesis:.*:\d{12}:stream/\S+",
            ),
        ),
        (
            requests.SplitShardRequest("a", shard_to_split="s", new_starting_hash_key="01"),
            failed(
                " '01'",
                "newStartingHashKey",
                r"Member must satisfy regular expression pattern: ^(0|([1-9]\d{0,38}))$",
            ),
        ),
        (
            requests.PutRecordRequest("a", data=b"x" * 10_485_761, partition_key="k"),
            failed("", "data", "Member must have length less than or equal to 10485760"),
        ),
        (
            requests.PutRecordsRequest("a", records=[]),
            failed("", "records", "Member must have length greater than or equal to 1"),
        ),
        (
            requests.EnableEnhancedMonitoringRequest("a", shard_level_metrics=["Bytes"]),
            failed(
                "",
                "shardLevelMetrics",
                "Member must satisfy constraint: [Member must satisfy enum value set: ["
                "IncomingBytes, IncomingRecords, OutgoingBytes, OutgoingRecords, "
                "WriteProvisionedThroughputExceeded, ReadProvisionedThroughputExceeded, "
                "IteratorAgeMilliseconds, ALL]]",
            ),
        ),
        (
            requests.AddTagsToStreamRequest("a", tags={"k" * 129: "v"}),
            failed(
                "",
                "tags",
                "Map keys must satisfy constraint: [Member must have length less than or equal to "
                "128, Member must have length greater than or equal to 1]",
            ),
        ),
        (
            requests.AddTagsToStreamRequest("a", tags={"k": "v" * 257}),
            failed(
                "",
                "tags",
                "Map value must satisfy constraint: [Member must have length less than or equal to "
                "256, Member must have length greater than or equal to 0]",
            ),
        ),
        (
            requests.RemoveTagsFromStreamRequest("a", tag_keys=["k", ""]),
            failed(
                "",
                "tagKeys",
                "Member must satisfy constraint: [Member must have length less than or equal to "
                "128, Member must have length greater than or equal to 1]",
            ),
        ),
        (
            requests.ListTagsForStreamRequest("a", limit=51),
            failed(" '51'", "limit", "Member must have value less than or equal to 50"),
        ),
    ],
)
def test_a_broken_constraint_is_told_in_the_words_of_aws(request_, line):
    assert told(request_) == f"1 validation error detected: {line}"


def test_all_that_a_request_breaks_is_told_in_order():
    entry = requests.PutRecordsRequestEntry(b"", "", "x")
    given = requests.PutRecordsRequest("", records=[requests.PutRecordsRequestEntry(), entry])
    assert told(given) == "6 validation errors detected: " + "; ".join(
        [
            failed(" ''", "streamName", NAME),
            failed(" ''", "streamName", "Member must have length greater than or equal to 1"),
            failed(" null", "records.1.member.data", NULL),
            failed(" null", "records.1.member.partitionKey", NULL),
            failed(
                " ''",
                "records.2.member.partitionKey",
                "Member must have length greater than or equal to 1",
            ),
            failed(
                " 'x'",
                "records.2.member.explicitHashKey",
                r"Member must satisfy regular expression pattern: ^(0|([1-9]\d{0,38}))$",
            ),
        ]
    )


def test_ten_broken_constraints_are_told_at_the_most():
    given = requests.PutRecordsRequest(records=[requests.PutRecordsRequestEntry()] * 500)
    assert told(given).startswith("10 validation errors detected: ")
    assert told(given).count(NULL) == 10


@pytest.mark.parametrize(
    "request_",
    [
        requests.CreateStreamRequest("a.b-c_1", 1, tags={"k": ""}),
        requests.DescribeStreamRequest(stream_arn=ARN, limit=10_000),
        requests.DescribeStreamRequest(),
        requests.PutRecordsRequest(
            "a", records=[requests.PutRecordsRequestEntry(b"", "k" * 256, "0")] * 500
        ),
        requests.DescribeStreamConsumerRequest(consumer_arn=f"{ARN}/consumer/c:1700000000"),
        requests.TagResourceRequest(f"{ARN}/consumer/c:1700000000", tags={"k": "v"}),
        requests.GetShardIteratorRequest(
            "a", shard_id="shardId-000000000000", shard_iterator_type="LATEST"
        ),
    ],
)
def test_what_the_model_allows_passes(request_):
    check(request_)
    assert not broken_constraints(shape_of(type(request_)), request_)


def test_a_record_too_large_for_its_stream_is_told_as_by_aws():
    assert record_too_large("records.2.member.data", 1_048_576).message == (
        "1 validation error detected: Value at 'records.2.member.data' failed to satisfy "
        "constraint: Member must have length less than or equal to 1048576"
    )
