"""Kinesis's errors: their codes and texts. All are status 400, as AWS sends them.

A core error of the streams carries AWS's text as its reason where there is one. Errors about names
do not know the account, which AWS tells with them: their faults are made by `with_account`.

KMS errors and AccessDeniedException do not occur: nothing is encrypted, no policy is evaluated.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from eventcore import limits
from eventcore.api.operation import ErrorMap
from eventcore.errors import (
    AlreadyExists,
    Conflict,
    Expired,
    InvalidParameter,
    LimitExceeded,
    NotFound,
    RequestError,
    ThroughputExceeded,
    UnsupportedOperation,
)
from eventcore.wire.fault import Fault

__all__ = [
    "ERRORS",
    "already_exists",
    "dry_run_succeeded",
    "expired",
    "in_use",
    "invalid_argument",
    "limit_exceeded",
    "not_found",
    "resource_not_found",
    "shard_does_not_exist",
    "too_many_shards",
    "unsupported",
    "validation",
    "with_account",
]


def invalid_argument(message: str) -> Fault:
    """InvalidArgumentException."""
    return Fault("InvalidArgumentException", message)


def validation(message: str) -> Fault:
    """ValidationException with a text of its own."""
    return Fault("ValidationException", message)


def in_use(message: str) -> Fault:
    """ResourceInUseException."""
    return Fault("ResourceInUseException", message)


def limit_exceeded(message: str) -> Fault:
    """LimitExceededException."""
    return Fault("LimitExceededException", message)


def too_many_shards(now_open: int, wanted: int) -> Fault:
    """LimitExceededException for more shards than a stream can have."""
    return limit_exceeded(
        "Target shard count or number of open shards cannot be greater than "
        f"{limits.SHARDS_PER_STREAM_MAX}. Current open shard count: {now_open} "
        f"Target shard count: {wanted}"
    )


def dry_run_succeeded() -> Fault:
    """DryRunOperationException: nothing was done, and there was no other reason for that."""
    return Fault(
        "DryRunOperationException",
        "The request would have succeeded, but the DryRun parameter was specified.",
    )


def unsupported(detail: str) -> Fault:
    """501 for what AWS has and eventcore has not. SDKs do not try it again."""
    return Fault("UnsupportedOperation", f"eventcore does not support {detail}.", status=501)


def resource_not_found(message: str) -> Fault:
    """ResourceNotFoundException."""
    return Fault("ResourceNotFoundException", message)


def shard_does_not_exist(shard: str, stream: str | None, account: str) -> Fault:
    """ResourceNotFoundException, in the words of the operations that read shards."""
    return resource_not_found(
        f"Shard {shard} in stream {stream} under account {account} does not exist"
    )


def not_found(error: NotFound, account: str) -> Fault:
    """ResourceNotFoundException for a stream, a shard or a consumer of this account."""
    under = f" under account {account}" if account else ""
    if error.kind == "shard":
        text = f"Could not find shard {error.name} in stream {error.parent}{under}."
    elif error.kind == "consumer":
        text = f"Consumer {error.name}, account {account} not found."
    else:
        text = f"Stream {error.name}{under} not found."
    return resource_not_found(text)


def already_exists(error: AlreadyExists, account: str) -> Fault:
    """ResourceInUseException for a name that is taken."""
    under = f" under account {account}" if account else ""
    return in_use(f"{error.kind.capitalize()} {error.name}{under} already exists.")


def with_account(error: RequestError, account: str) -> Fault | None:
    """The fault of an error whose text names the account; None for the others."""
    if isinstance(error, NotFound):
        return not_found(error, account)
    if isinstance(error, AlreadyExists):
        return already_exists(error, account)
    return None


def expired(error: Expired) -> Fault:
    """ExpiredIteratorException, or ExpiredNextTokenException."""
    is_iterator = error.kind == "iterator"
    noun = "iterator" if is_iterator else "next token"
    text = (
        f"{noun.capitalize()} expired. The {noun} was created at time {_java(error.created_ms)} "
        f"while right now it is {_java(error.now_ms)} which is further in the future than the "
        f"tolerated delay of {error.ms_max} milliseconds."
    )
    return Fault("ExpiredIteratorException" if is_iterator else "ExpiredNextTokenException", text)


def _java(at_ms: int) -> str:
    """A time as Java's Date writes it, in UTC. Names are English, whatever the locale."""
    at = datetime.fromtimestamp(at_ms / 1000, UTC)
    day = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")[at.weekday()]
    month = (
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    )[at.month - 1]  # fmt: skip
    return f"{day} {month} {at.day:02d} {at:%H:%M:%S} UTC {at.year}"


def _limit_exceeded(error: LimitExceeded) -> Fault:
    return limit_exceeded(error.detail or f"The limit has been reached: {error}.")


def _invalid_parameter(error: InvalidParameter) -> Fault:
    return _MAKERS.get(error.name, invalid_argument)(error.reason)


_MAKERS: Final = {"mode": validation, "count": limit_exceeded}
"""Of parameters for which AWS has codes of their own: what a stream of the other mode refuses, and
numbers of shards.
"""

ERRORS: Final[ErrorMap] = {
    NotFound: lambda e: not_found(e, ""),
    AlreadyExists: lambda e: already_exists(e, ""),
    Conflict: lambda e: in_use(e.reason),
    InvalidParameter: _invalid_parameter,
    LimitExceeded: _limit_exceeded,
    ThroughputExceeded: lambda e: Fault("ProvisionedThroughputExceededException", str(e)),
    Expired: expired,
    UnsupportedOperation: lambda e: unsupported(e.operation),
    RequestError: lambda e: invalid_argument(str(e)),
}
"""Core error -> Kinesis's fault."""
