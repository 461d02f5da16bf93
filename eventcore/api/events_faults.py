"""EventBridge's errors: their codes and texts. All are status 400, as AWS sends them."""

from __future__ import annotations

from typing import Final, TypeVar

from eventcore.api.operation import ErrorMap
from eventcore.errors import (
    AlreadyExists,
    Conflict,
    InvalidParameter,
    InvalidPattern,
    LimitExceeded,
    NotFound,
    RequestError,
    UnsupportedOperation,
)
from eventcore.wire.fault import Fault

__all__ = [
    "ERRORS",
    "check_length",
    "check_limit",
    "constraint_failed",
    "required",
    "unsupported",
    "validation",
]

T = TypeVar("T")
_CONSTRAINT: Final = "Member must"


def validation(message: str) -> Fault:
    """ValidationException with a text of its own."""
    return Fault("ValidationException", message)


def constraint_failed(name: str, value: object, reason: str) -> Fault:
    """ValidationException in the form in which AWS reports a broken constraint of the model."""
    shown = "null" if value is None else f"'{value}'"
    return validation(
        f"1 validation error detected: Value {shown} at '{name}' failed to satisfy constraint: "
        f"{reason}"
    )


def required(name: str, value: T | None) -> T:
    """The value of a required member. Raises the fault for one that is absent."""
    if value is None:
        raise constraint_failed(name, None, "Member must not be null")
    return value


def check_length(name: str, value: str | None, lowest: int, highest: int) -> None:
    """Raises the fault for a text of a length that is not allowed; None is allowed."""
    if value is None:
        return
    if len(value) > highest:
        reason = f"Member must have length less than or equal to {highest}"
    elif len(value) < lowest:
        reason = f"Member must have length greater than or equal to {lowest}"
    else:
        return
    raise constraint_failed(name, value, reason)


def check_limit(limit: int | None, highest: int = 100) -> int:
    """The size of a page, `highest` by default. Raises the fault for one out of range."""
    if limit is None:
        return highest
    if limit < 1:
        raise constraint_failed("limit", limit, "Member must have value greater than or equal to 1")
    if limit > highest:
        raise constraint_failed(
            "limit", limit, f"Member must have value less than or equal to {highest}"
        )
    return limit


def unsupported(detail: str) -> Fault:
    """501 for what AWS has and eventcore has not. SDKs do not try it again."""
    return Fault("UnsupportedOperation", f"eventcore does not support {detail}.", status=501)


def _not_found(error: NotFound) -> Fault:
    if error.kind == "rule":
        text = f"Rule {error.name} does not exist on EventBus {error.parent}."
    else:
        text = f"Event bus {error.name} does not exist."
    return Fault("ResourceNotFoundException", text)


def _invalid_parameter(error: InvalidParameter) -> Fault:
    if error.reason.startswith(_CONSTRAINT):
        return constraint_failed(error.name, error.value, error.reason)
    return validation(error.reason)


ERRORS: Final[ErrorMap] = {
    NotFound: _not_found,
    AlreadyExists: lambda e: Fault(
        "ResourceAlreadyExistsException", f"Event bus {e.name} already exists."
    ),
    Conflict: lambda e: (
        validation("Rule can't be deleted since it has targets.")
        if e.kind == "rule"
        else Fault("ConcurrentModificationException", str(e))
    ),
    LimitExceeded: lambda e: Fault(
        "LimitExceededException", "The requested resource exceeds the maximum number allowed."
    ),
    InvalidPattern: lambda e: Fault("InvalidEventPatternException", str(e)),
    InvalidParameter: _invalid_parameter,
    UnsupportedOperation: lambda e: unsupported(f"{e.operation} {e.detail}".strip()),
    RequestError: lambda e: validation(str(e)),
}
"""Core error -> EventBridge's fault."""
