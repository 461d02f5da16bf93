"""EventBridge's errors: their codes and texts. All are status 400, as AWS sends them."""

from __future__ import annotations

from typing import Final

from eventcore.api.events_constraints import constraint_failed, unsupported, validation
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

__all__ = ["ERRORS"]

_CONSTRAINT: Final = "Member must"


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
    UnsupportedOperation: lambda e: unsupported(
        f"{e.operation} {e.detail}" if e.detail else f"the match type {e.operation}"
    ),
    RequestError: lambda e: validation(str(e)),
}
"""Core error -> EventBridge's fault."""
