"""What an OnFailure destination is told of a stream's batch that was given up: its metadata.

The document is AWS's ("Capturing records of failed batches" for Kinesis, and what AWS was recorded
to send), member by member. It does not hold the records: who wants them reads them from the stream
while it has them.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from eventcore.codec import encode_json
from eventcore.outcome import Deliver, Parcel

__all__ = [
    "RECORD_AGE_EXCEEDED",
    "RETRIES_EXHAUSTED",
    "FailedBatch",
    "failure_effect",
    "failure_record",
]

RETRIES_EXHAUSTED: Final = "RetryAttemptsExhausted"
RECORD_AGE_EXCEEDED: Final = "RecordAgeExceeded"


class FailedBatch(msgspec.Struct, frozen=True, kw_only=True):
    """A batch that was given up. `condition` is one of the two above. `invokes` counts its
    invocations; the request id is the latest one's, or a new one where there was none.
    `function_arn` is as the mapping names it. `executed_version` and `function_error` are of the
    latest answer; the document of a batch that was too old has neither.
    """

    condition: str
    request_id: str
    function_arn: str
    invokes: int
    stream_arn: str
    shard_id: str
    first_sequence_number: str
    last_sequence_number: str
    first_arrived_ms: int
    last_arrived_ms: int
    records: int
    executed_version: str = "$LATEST"
    function_error: str | None = None
    status_code: int = 200


def failure_record(batch: FailedBatch, now_ms: int) -> dict[str, Any]:
    """The document as a plain value."""
    document: dict[str, Any] = {
        "requestContext": {
            "requestId": batch.request_id,
            "functionArn": batch.function_arn,
            "condition": batch.condition,
            "approximateInvokeCount": batch.invokes,
        }
    }
    if batch.condition != RECORD_AGE_EXCEEDED:
        document["responseContext"] = {
            "statusCode": batch.status_code,
            "executedVersion": batch.executed_version,
            "functionError": batch.function_error,
        }
    document["version"] = "1.0"
    document["timestamp"] = _iso_ms(now_ms)
    document["KinesisBatchInfo"] = {
        "shardId": batch.shard_id,
        "startSequenceNumber": batch.first_sequence_number,
        "endSequenceNumber": batch.last_sequence_number,
        "approximateArrivalOfFirstRecord": _iso_ms(batch.first_arrived_ms),
        "approximateArrivalOfLastRecord": _iso_ms(batch.last_arrived_ms),
        "batchSize": batch.records,
        "streamArn": batch.stream_arn,
    }
    return document


def failure_effect(batch: FailedBatch, target_arn: str, mapping_arn: str, now_ms: int) -> Deliver:
    """The effect that hands the document to the destination. It belongs into the outcome that
    moves the lane's position.
    """
    body = encode_json(failure_record(batch, now_ms)).decode()
    return Deliver(target_arn, Parcel(body, mapping_arn))


def _iso_ms(at_ms: int) -> str:
    """AWS's form of times here: UTC, with milliseconds."""
    seconds = datetime.fromtimestamp(at_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{seconds}.{at_ms % 1000:03d}Z"
