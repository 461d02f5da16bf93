"""SQS's errors: their codes, their older codes, their statuses, their texts.

Texts are those that AWS sends. The older codes are what SDKs show as `Error.Code` (header
`x-amzn-query-error`); they are not in botocore's model any more. All are the sender's fault and
status 400, except those of the store (503) and these: 403 for OverLimit, PurgeQueueInProgress and
RequestThrottled, 404 for ResourceNotFoundException. botocore's older retry rules wait for just that
403.
"""

from __future__ import annotations

from typing import Final

from eventcore import limits
from eventcore.api.operation import ErrorMap
from eventcore.errors import (
    AlreadyExists,
    Conflict,
    InvalidParameter,
    InvalidReceiptHandle,
    LimitExceeded,
    MissingParameter,
    NotFound,
    RequestError,
    UnsupportedOperation,
)
from eventcore.wire.fault import CORAL, Fault

__all__ = [
    "ERRORS",
    "batch_id_invalid",
    "batch_ids_not_distinct",
    "batch_too_long",
    "batch_too_many",
    "empty_batch",
    "invalid_address",
    "invalid_attribute_name",
    "invalid_attribute_value",
    "invalid_contents",
    "invalid_parameter",
    "invalid_value",
    "missing_parameter",
    "over_limit",
    "resource_not_found",
    "unsupported",
]

_SIMPLE: Final = "AWS.SimpleQueueService."

# Parameters of the core: their name on the wire, and how many units make one of the wire's.
_PARAMETERS: Final = {
    "body": ("MessageBody", 1),
    "delay_ms": ("DelaySeconds", 1000),
    "visibility_timeout_ms": ("VisibilityTimeout", 1000),
    "messages_max": ("MaxNumberOfMessages", 1),
    "receipt_handle": ("ReceiptHandle", 1),
    "retention_ms": ("MessageRetentionPeriod", 1000),
    "wait_ms": ("ReceiveMessageWaitTimeSeconds", 1000),
    "message_bytes_max": ("MaximumMessageSize", 1),
    "receives_max": ("maxReceiveCount", 1),
    "group_id": ("MessageGroupId", 1),
    "deduplication_id": ("MessageDeduplicationId", 1),
    "attempt_id": ("ReceiveRequestAttemptId", 1),
    "destination_arn": ("DestinationArn", 1),
    "redrive": ("RedrivePolicy", 1),
    "redrive_allow": ("RedriveAllowPolicy", 1),
}
# Of these the reason is the whole text: AWS does not name the parameter.
_BARE: Final = frozenset(("request", "source_arn", "task_handle"))
_THROTTLES: Final = {
    "chaos_throttle": "Request is throttled, by the chaos of the queue.",
    "fifo_calls_per_s": "Request is throttled.",
    "waiters_max": "Request is throttled: too many long polls are waiting.",
}
_FORBIDDEN: Final = 403
_NOT_FOUND: Final = 404


def _prefixed(code: str, message: str, status: int = 400) -> Fault:
    return Fault(code, message, status=status, query_code=_SIMPLE + code)


def invalid_parameter(message: str) -> Fault:
    """InvalidParameterValue with a text of its own."""
    return Fault(
        CORAL + "InvalidParameterValueException", message, query_code="InvalidParameterValue"
    )


def invalid_value(value: object, name: str, reason: str) -> Fault:
    """InvalidParameterValue in its usual form."""
    return invalid_parameter(f"Value {value} for parameter {name} is invalid. Reason: {reason}")


def missing_parameter(name: str) -> Fault:
    """MissingParameter."""
    return Fault(
        CORAL + "MissingRequiredParameterException",
        f"The request must contain the parameter {name}.",
        query_code="MissingParameter",
    )


def invalid_attribute_name(name: str) -> Fault:
    """A queue or message system attribute that there is not, or not for this kind of queue."""
    return Fault("InvalidAttributeName", f"Unknown Attribute {name}.")


def invalid_attribute_value(name: str, reason: str = "") -> Fault:
    """A queue attribute out of its range, or one that does not go with another."""
    text = f"Invalid value for the parameter {name}."
    return Fault("InvalidAttributeValue", f"{text} Reason: {reason}" if reason else text)


def invalid_contents() -> Fault:
    """Characters that XML 1.0 cannot hold."""
    return Fault(
        "InvalidMessageContents",
        "Invalid characters found. Valid unicode characters are #x9 | #xA | #xD | #x20 to #xD7FF | "
        "#xE000 to #xFFFD | #x10000 to #x10FFFF",
    )


def invalid_address(url: str) -> Fault:
    """A queue URL in which there is no queue name, or an account id that is none."""
    return Fault("InvalidAddress", f"The address {url[:256]} is not valid for this endpoint.")


def unsupported(message: str) -> Fault:
    """UnsupportedOperation: not allowed by AWS, or not yet known here; the message says which."""
    return _prefixed("UnsupportedOperation", message)


def over_limit(message: str) -> Fault:
    """OverLimit: more than AWS lets an account, a queue or a policy have."""
    return Fault("OverLimit", message, status=_FORBIDDEN)


def resource_not_found(message: str) -> Fault:
    """ResourceNotFoundException: what the operations of message move tasks answer."""
    return Fault("ResourceNotFoundException", message, status=_NOT_FOUND)


def empty_batch(entry_shape: str) -> Fault:
    """A batch without entries."""
    return _prefixed(
        "EmptyBatchRequest", f"There should be at least one {entry_shape} in the request."
    )


def batch_too_many(count: int) -> Fault:
    """A batch of more than ten entries."""
    return _prefixed(
        "TooManyEntriesInBatchRequest",
        f"Maximum number of entries per request are {limits.BATCH_ENTRIES_MAX}. "
        f"You have sent {count}.",
    )


def batch_id_invalid() -> Fault:
    """An entry id that is too long or has other characters than are allowed."""
    return _prefixed(
        "InvalidBatchEntryId",
        "A batch entry id can only contain alphanumeric characters, hyphens and underscores. "
        f"It can be at most {limits.BATCH_ENTRY_ID_CHARACTERS_MAX} letters long.",
    )


def batch_ids_not_distinct(entry_id: str) -> Fault:
    """Two entries of a batch with the same id."""
    return _prefixed("BatchEntryIdsNotDistinct", f"Id {entry_id} repeated.")


def batch_too_long(size_bytes: int) -> Fault:
    """A batch whose bodies and attributes are too large together."""
    return _prefixed(
        "BatchRequestTooLong",
        f"Batch requests cannot be longer than {limits.BATCH_BYTES_MAX} bytes. "
        f"You have sent {size_bytes} bytes.",
    )


# Core errors


def _not_found(error: NotFound) -> Fault:
    if error.kind == "move task":
        return resource_not_found("Task does not exist.")
    return Fault(
        "QueueDoesNotExist",
        "The specified queue does not exist.",
        query_code=_SIMPLE + "NonExistentQueue",
    )


def _already_exists(error: AlreadyExists) -> Fault:
    return Fault(
        "QueueNameExists",
        "A queue already exists with the same name and a different value for attribute "
        f"{error.difference}",
        query_code="QueueAlreadyExists",
    )


def _conflict(error: Conflict) -> Fault:
    seconds = limits.RECREATE_INTERVAL_MS // 1000
    return _prefixed(
        "QueueDeletedRecently",
        f"You must wait {seconds} seconds after deleting a queue before you can create another "
        "with the same name.",
    )


def _invalid_parameter(error: InvalidParameter) -> Fault:
    if error.name == "body":
        return invalid_parameter(f"One or more parameters are invalid. Reason: {error.reason}")
    if error.name in _BARE:
        return invalid_parameter(error.reason)
    name, unit = _PARAMETERS.get(error.name, (error.name, 1))
    value = error.value
    return invalid_value(value // unit if isinstance(value, int) else value, name, error.reason)


def _missing_parameter(error: MissingParameter) -> Fault:
    return missing_parameter(_PARAMETERS.get(error.name, (error.name, 1))[0])


def _invalid_handle(error: InvalidReceiptHandle) -> Fault:
    return Fault(
        "ReceiptHandleIsInvalid",
        f'The input receipt handle "{error.handle[:1024]}" is not a valid receipt handle.',
    )


def _limit_exceeded(error: LimitExceeded) -> Fault:
    if error.limit == "purge_interval_ms":
        return _prefixed(
            "PurgeQueueInProgress",
            f"Only one PurgeQueue operation on {error.detail} is allowed every "
            f"{error.value // 1000} seconds.",
            _FORBIDDEN,
        )
    if error.limit in _THROTTLES:
        return Fault("RequestThrottled", _THROTTLES[error.limit], status=_FORBIDDEN)
    return over_limit(f"The limit has been reached: {error}.")


def _unsupported(error: UnsupportedOperation) -> Fault:
    return unsupported(str(error))


def _request_error(error: RequestError) -> Fault:
    return invalid_parameter(str(error))


ERRORS: Final[ErrorMap] = {
    NotFound: _not_found,
    AlreadyExists: _already_exists,
    Conflict: _conflict,
    InvalidParameter: _invalid_parameter,
    MissingParameter: _missing_parameter,
    InvalidReceiptHandle: _invalid_handle,
    LimitExceeded: _limit_exceeded,
    UnsupportedOperation: _unsupported,
    RequestError: _request_error,
}
