"""Amazon Kinesis Data Streams over AWS CBOR 1.1, as the Java SDKs speak it: the same operations."""

from __future__ import annotations

from typing import Final

from eventcore.api.kinesis import KINESIS

__all__ = ["KINESIS_CBOR", "TIMESTAMPS"]

TIMESTAMPS: Final = frozenset(
    (
        "ApproximateArrivalTimestamp",
        "ConsumerCreationTimestamp",
        "EarliestAllowedEndAt",
        "EndedAt",
        "StartedAt",
        "StreamCreationTimestamp",
    )
)
"""The members of answers that are timestamps in AWS's model; they are in no other role there."""

KINESIS_CBOR: Final = KINESIS.in_cbor(TIMESTAMPS)
