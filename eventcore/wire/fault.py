"""An error as it is told on the wire: AWS's code, message and HTTP status.

Core errors carry facts and know none of this. `eventcore.api` turns a core error into a `Fault` by
its service's error map, and raises a `Fault` itself for what only exists on the wire (an empty
batch, a malformed body). The protocols (`aws_json`, `aws_query`) write it down.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, final

__all__ = [
    "CORAL",
    "Fault",
    "internal_failure",
    "service_unavailable",
    "unknown_operation",
]

CORAL: Final = "com.amazon.coral.service#"
"""Namespace of errors that AWS's framework sends before the service has a say."""


@final
class Fault(Exception):
    """An AWS-shaped error answer.

    `code` is the error shape's name, with its namespace before a "#" where that is not the
    service's own. `query_code` is the older code of services that once spoke the Query protocol
    (sent as `x-amzn-query-error`); empty where it equals the bare code. `is_sender` says whose
    fault it was. `details` are the error shape's other members, where the protocol tells them.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        status: int = 400,
        query_code: str = "",
        is_sender: bool = True,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status
        self.bare_code = code.rpartition("#")[2]
        self.query_code = query_code or self.bare_code
        self.is_sender = is_sender
        self.details: Final = details or {}


def internal_failure() -> Fault:
    """500, for what only a bug can cause. SDKs try again."""
    return Fault(
        "InternalFailure",
        "The request processing has failed because of an unknown error, exception or failure.",
        status=500,
        is_sender=False,
    )


def service_unavailable(reason: str) -> Fault:
    """503, while the store cannot take the request. SDKs try again."""
    return Fault("ServiceUnavailable", reason, status=503, is_sender=False)


def unknown_operation(message: str, status: int = 400) -> Fault:
    """What AWS's framework answers to an operation that the service does not have.

    400 where the target names none, 404 where the request has no target or no content type of the
    protocol.
    """
    return Fault(CORAL + "UnknownOperationException", message, status=status)
