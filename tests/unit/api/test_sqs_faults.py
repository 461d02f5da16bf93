"""SQS's errors for those of the core: code, older code, status and text."""

from __future__ import annotations

import pytest

from eventcore.api.operation import to_fault
from eventcore.api.sqs_faults import ERRORS
from eventcore.errors import (
    InvalidParameter,
    LimitExceeded,
    MissingParameter,
    NotFound,
    RequestError,
)

OF_THIS_KIND = "The request include parameter that is not valid for this queue type."


@pytest.mark.parametrize(
    ("error", "code", "status", "message"),
    [
        (
            InvalidParameter("delay_ms", OF_THIS_KIND, 5_000),
            "InvalidParameterValue",
            400,
            f"Value 5 for parameter DelaySeconds is invalid. Reason: {OF_THIS_KIND}",
        ),
        (
            InvalidParameter("group_id", "No.", "g"),
            "InvalidParameterValue",
            400,
            "Value g for parameter MessageGroupId is invalid. Reason: No.",
        ),
        (
            InvalidParameter("deduplication_id", "No.", "d"),
            "InvalidParameterValue",
            400,
            "Value d for parameter MessageDeduplicationId is invalid. Reason: No.",
        ),
        (
            InvalidParameter("attempt_id", "No.", "a"),
            "InvalidParameterValue",
            400,
            "Value a for parameter ReceiveRequestAttemptId is invalid. Reason: No.",
        ),
        (
            InvalidParameter("receipt_handle", "The receipt handle has expired.", "h"),
            "InvalidParameterValue",
            400,
            "Value h for parameter ReceiptHandle is invalid. Reason: The receipt handle has "
            "expired.",
        ),
        (
            InvalidParameter("redrive", "No.", "orders"),
            "InvalidParameterValue",
            400,
            "Value orders for parameter RedrivePolicy is invalid. Reason: No.",
        ),
        (InvalidParameter("request", "As it is."), "InvalidParameterValue", 400, "As it is."),
        (InvalidParameter("source_arn", "No.", "a"), "InvalidParameterValue", 400, "No."),
        (InvalidParameter("task_handle", "No.", "a"), "InvalidParameterValue", 400, "No."),
        (
            MissingParameter("group_id"),
            "MissingParameter",
            400,
            "The request must contain the parameter MessageGroupId.",
        ),
        (
            NotFound("move task", "x"),
            "ResourceNotFoundException",
            404,
            "Task does not exist.",
        ),
        (
            NotFound("queue", "x"),
            "AWS.SimpleQueueService.NonExistentQueue",
            400,
            "The specified queue does not exist.",
        ),
        (
            LimitExceeded("fifo_calls_per_s", 300, "orders"),
            "RequestThrottled",
            403,
            "Request is throttled.",
        ),
        (
            LimitExceeded("chaos_throttle", 1, "orders"),
            "RequestThrottled",
            403,
            "Request is throttled, by the chaos of the queue.",
        ),
        (
            LimitExceeded("waiters_max", 1),
            "RequestThrottled",
            403,
            "Request is throttled: too many long polls are waiting.",
        ),
        (
            LimitExceeded("in_flight_max", 2, "orders"),
            "OverLimit",
            403,
            "The limit has been reached: in_flight_max is 2: orders.",
        ),
        (
            LimitExceeded("purge_interval_ms", 60_000, "orders"),
            "AWS.SimpleQueueService.PurgeQueueInProgress",
            403,
            "Only one PurgeQueue operation on orders is allowed every 60 seconds.",
        ),
    ],
)
def test_an_error_of_the_core_becomes_one_of_sqs(
    error: RequestError, code: str, status: int, message: str
):
    fault = to_fault(ERRORS, error)
    assert fault is not None
    assert (fault.query_code, fault.status, fault.message) == (code, status, message)
    assert fault.is_sender
