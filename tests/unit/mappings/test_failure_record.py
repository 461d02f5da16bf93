"""The OnFailure document, member by member as AWS was recorded to send it."""

from __future__ import annotations

from typing import Any

from eventcore.codec import decode_json
from eventcore.mappings.failure_record import (
    RECORD_AGE_EXCEEDED,
    RETRIES_EXHAUSTED,
    FailedBatch,
    failure_effect,
    failure_record,
)

FUNCTION = "arn:aws:lambda:us-east-2:123456789012:function:my-function"
STREAM = "arn:aws:kinesis:us-east-2:123456789012:stream/my-stream"
QUEUE = "arn:aws:sqs:us-east-2:123456789012:failures"
MAPPING = "arn:aws:lambda:us-east-2:123456789012:event-source-mapping:1"
NOW_MS = 1_573_691_886_021


def batch(**members: Any) -> FailedBatch:
    facts: dict[str, Any] = {
        "condition": RETRIES_EXHAUSTED,
        "request_id": "c9b8fa9f-5a7f-41ad-af9c-0c604cde93a5",
        "function_arn": FUNCTION,
        "invokes": 2,
        "stream_arn": STREAM,
        "shard_id": "shardId-000000000001",
        "first_sequence_number": "4960",
        "last_sequence_number": "4961",
        "first_arrived_ms": 1_573_691_884_835,
        "last_arrived_ms": 1_573_691_885_580,
        "records": 500,
        "function_error": "Unhandled",
    }
    return FailedBatch(**(facts | members))


def test_exhausted_retries_are_told_as_aws_tells_them():
    document = failure_record(batch(), NOW_MS)
    assert list(document) == [
        "requestContext",
        "responseContext",
        "version",
        "timestamp",
        "KinesisBatchInfo",
    ]
    assert list(document["requestContext"].items()) == [
        ("requestId", "c9b8fa9f-5a7f-41ad-af9c-0c604cde93a5"),
        ("functionArn", FUNCTION),
        ("condition", "RetryAttemptsExhausted"),
        ("approximateInvokeCount", 2),
    ]
    assert list(document["responseContext"].items()) == [
        ("statusCode", 200),
        ("executedVersion", "$LATEST"),
        ("functionError", "Unhandled"),
    ]
    assert (document["version"], document["timestamp"]) == ("1.0", "2019-11-14T00:38:06.021Z")
    assert list(document["KinesisBatchInfo"].items()) == [
        ("shardId", "shardId-000000000001"),
        ("startSequenceNumber", "4960"),
        ("endSequenceNumber", "4961"),
        ("approximateArrivalOfFirstRecord", "2019-11-14T00:38:04.835Z"),
        ("approximateArrivalOfLastRecord", "2019-11-14T00:38:05.580Z"),
        ("batchSize", 500),
        ("streamArn", STREAM),
    ]


def test_reported_failures_have_no_function_error():
    document = failure_record(batch(function_error=None), NOW_MS)
    assert document["responseContext"]["functionError"] is None


def test_records_that_are_too_old_have_no_response():
    document = failure_record(batch(condition=RECORD_AGE_EXCEEDED, invokes=1), NOW_MS)
    assert "responseContext" not in document
    assert document["requestContext"]["condition"] == "RecordAgeExceeded"


def test_the_effect_delivers_the_document_as_json():
    effect = failure_effect(batch(), QUEUE, MAPPING, NOW_MS)
    assert effect.target_arn == QUEUE
    assert effect.parcel.source_arn == MAPPING
    assert decode_json(effect.parcel.body) == failure_record(batch(), NOW_MS)
