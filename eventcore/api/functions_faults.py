"""Lambda's errors: their codes, texts and statuses, and how they are written.

Rules of this file (botocore, service-2.json of lambda; AWS's answers):

- The body is `{"Type": "User", "message": ...}`, the code is in the header `x-amzn-errortype`. Some
  error shapes have "Message" in place of "message". Errors of AWS's framework have no Type.
- A fault's `details` are further members of its shape; one of None leaves a member out. Of
  TooManyRequestsException, `retryAfterSeconds` goes into the header Retry-After.
- Errors of the core know names and no ARNs; who knows the ARN makes the fault with it.
"""

from __future__ import annotations

from typing import Any, Final

from eventcore.api.operation import ErrorMap, Service
from eventcore.codec import encode_json
from eventcore.errors import (
    AlreadyExists,
    Conflict,
    InvalidParameter,
    InvalidPattern,
    LimitExceeded,
    MissingParameter,
    NotFound,
    PreconditionFailed,
    RecursiveInvocation,
    RequestError,
    Throttled,
    UnsupportedOperation,
)
from eventcore.wire.fault import Fault

__all__ = [
    "CAPITAL_MESSAGE",
    "ERRORS",
    "STATUSES",
    "access_denied",
    "function_already_exists",
    "function_not_found",
    "invalid_value",
    "make",
    "not_found",
    "precondition_failed",
    "resource_conflict",
    "too_large",
    "too_many_requests",
    "untyped_value",
    "validation",
    "write_fault",
]

STATUSES: Final = {
    "AccessDeniedException": 403,
    "CodeSigningConfigNotFoundException": 404,
    "PreconditionFailedException": 412,
    "ProvisionedConcurrencyConfigNotFoundException": 404,
    "RequestEntityTooLargeException": 413,
    "RequestTooLargeException": 413,
    "ResourceConflictException": 409,
    "ResourceNotFoundException": 404,
    "ResourceNotReadyException": 502,
    "ServiceException": 500,
    "TooManyRequestsException": 429,
    "UnsupportedMediaTypeException": 415,
}
"""Those that are not 400."""

CAPITAL_MESSAGE: Final = frozenset(
    (
        "AccessDeniedException",
        "CodeSigningConfigNotFoundException",
        "RecursiveInvocationException",
        "ResourceInUseException",
        "ResourceNotFoundException",
        "ServiceException",
    )
)
"""Error shapes whose text is "Message"."""

_OF_FRAMEWORK: Final = frozenset(
    (
        "AccessDeniedException",
        "RequestEntityTooLargeException",
        "SerializationException",
        "UnknownOperationException",
        "ValidationException",
    )
)
"""Errors without a Type."""


def write_fault(service: Service, fault: Fault, request_id: str) -> tuple[bytes, bytes]:
    """(head lines, body) of an error, as a `Service` wants it."""
    code = fault.bare_code
    members: dict[str, Any] = {}
    if code not in _OF_FRAMEWORK:
        members["Type"] = "User" if fault.is_sender else "Service"
    members["Message" if code in CAPITAL_MESSAGE else "message"] = fault.message
    members |= fault.details
    lines = b"x-amzn-errortype: " + code.encode("ascii") + b"\r\n"
    retry_after_s = members.pop("retryAfterSeconds", None)
    if retry_after_s is not None:
        lines += b"retry-after: %d\r\n" % retry_after_s
    return lines, encode_json({name: told for name, told in members.items() if told is not None})


def make(code: str, message: str, details: dict[str, Any] | None = None) -> Fault:
    """A fault of one of Lambda's codes, with its status."""
    return Fault(code, message, status=STATUSES.get(code, 400), details=details)


def invalid_value(message: str) -> Fault:
    """InvalidParameterValueException."""
    return make("InvalidParameterValueException", message)


def untyped_value(message: str) -> Fault:
    """InvalidParameterValueException where AWS tells no Type with it."""
    return make("InvalidParameterValueException", message, {"Type": None})


def validation(message: str) -> Fault:
    """ValidationException with a text of its own."""
    return make("ValidationException", message)


def not_found(message: str) -> Fault:
    """ResourceNotFoundException."""
    return make("ResourceNotFoundException", message)


def function_not_found(arn: str) -> Fault:
    """ResourceNotFoundException for a function, version or alias; the ARN is as it was meant."""
    return not_found(f"Function not found: {arn}")


def function_already_exists(name: str) -> Fault:
    """ResourceConflictException for a name that is taken."""
    return resource_conflict(f"Function already exist: {name}")


def resource_conflict(message: str) -> Fault:
    """ResourceConflictException."""
    return make("ResourceConflictException", message)


def precondition_failed(getter: str = "GetFunction/GetAlias") -> Fault:
    """PreconditionFailedException: the revision id is not the latest; `getter` tells it."""
    return make(
        "PreconditionFailedException",
        "The Revision Id provided does not match the latest Revision Id. Call the "
        f"{getter} API to retrieve the latest Revision Id",
    )


def access_denied() -> Fault:
    """AccessDeniedException, for what belongs to another account."""
    return make("AccessDeniedException", "")


def too_large(code: str, message: str) -> Fault:
    """413: RequestTooLargeException or RequestEntityTooLargeException."""
    return make(code, message)


def too_many_requests(error: Throttled) -> Fault:
    """TooManyRequestsException with its Reason, and when to try again."""
    details = {"Reason": error.reason, "retryAfterSeconds": error.retry_after_s}
    return make("TooManyRequestsException", "Rate Exceeded.", details)


def _not_found(error: NotFound) -> Fault:
    if error.kind == "mapping":
        return not_found("The resource you requested does not exist.")
    return not_found(f"{error.kind.capitalize()} not found: {error.name}")


def _already_exists(error: AlreadyExists) -> Fault:
    return resource_conflict(f"{error.kind.capitalize()} already exist: {error.name}")


ERRORS: Final[ErrorMap] = {
    NotFound: _not_found,
    AlreadyExists: _already_exists,
    Conflict: lambda e: resource_conflict(e.reason),
    InvalidParameter: lambda e: invalid_value(e.reason),
    InvalidPattern: lambda e: invalid_value(f"Invalid filter pattern definition. {e.reason}"),
    MissingParameter: lambda e: invalid_value(str(e)),
    LimitExceeded: lambda e: invalid_value(e.detail or f"The limit has been reached: {e}."),
    PreconditionFailed: lambda e: precondition_failed(),
    Throttled: too_many_requests,
    RecursiveInvocation: lambda e: make("RecursiveInvocationException", str(e)),
    UnsupportedOperation: lambda e: Fault(
        "UnsupportedOperation", f"eventcore does not support {e.operation}.", status=501
    ),
    RequestError: lambda e: invalid_value(str(e)),
}
"""Core error -> Lambda's fault."""
