"""Every error that eventcore raises, and who has to act on it.

    EventcoreError                       base; never raised itself; its fields are the facts, its
    text is built from them
    ├── RequestError                     the caller's fault; nothing was changed
    │   ├── InvalidParameter             one named parameter has a value that is not allowed
    │   ├── MissingParameter             one named parameter is required and absent
    │   ├── InvalidPattern               an event pattern that the pattern language does not allow
    │   ├── InvalidReceiptHandle         not a handle of this queue
    │   ├── NotFound                     no resource of that kind and name
    │   ├── AlreadyExists                it is there already, with other settings
    │   ├── Conflict                     the resource is in a state that does not allow this now
    │   ├── LimitExceeded                a quota, with its name and its value
    │   ├── ThroughputExceeded           a shard's rate, for now
    │   ├── Expired                      an iterator or a page token that is too old
    │   ├── Throttled                    no concurrency left for a function, for now
    │   ├── RecursiveInvocation          a function that invokes itself through others, too often
    │   ├── PreconditionFailed           a revision that is not the latest one
    │   ├── LeaseLost                    a worker's lease on a shard is another's by now
    │   └── UnsupportedOperation         AWS has it, eventcore does not (yet)
    ├── DeliveryError                    a target outside the store did not take a delivery
    │   ├── RetryableDelivery            try again later
    │   └── PermanentDelivery            never try again; dead-letter it
    ├── StoreError                       the durable side failed
    │   ├── StoreUnavailable             a commit failed or its fate is unknown; try again
    │   ├── StoreLocked                  another process has the file open
    │   ├── StoreTooNew                  the file was written by a newer eventcore
    │   └── StoreCorrupt                 the file is damaged, or is no eventcore file
    ├── SourceUnavailable                a stream or a daemon elsewhere does not answer for now
    └── BrokerClosed                     the broker is shutting down or closed

The core knows no AWS error code and no HTTP status: `eventcore.api` maps these types per service. A
programmer's error is an AssertionError and never one of these.
"""

from __future__ import annotations

__all__ = [
    "AlreadyExists",
    "BrokerClosed",
    "Conflict",
    "DeliveryError",
    "EventcoreError",
    "Expired",
    "InvalidParameter",
    "InvalidPattern",
    "InvalidReceiptHandle",
    "LeaseLost",
    "LimitExceeded",
    "MissingParameter",
    "NotFound",
    "PermanentDelivery",
    "PreconditionFailed",
    "RecursiveInvocation",
    "RequestError",
    "RetryableDelivery",
    "SourceUnavailable",
    "StoreCorrupt",
    "StoreError",
    "StoreLocked",
    "StoreTooNew",
    "StoreUnavailable",
    "Throttled",
    "ThroughputExceeded",
    "UnsupportedOperation",
]


class EventcoreError(Exception):
    """Base of all errors of eventcore. Catch it; it is never raised itself."""


class RequestError(EventcoreError):
    """The caller asked for something that is not allowed. Nothing was changed."""


class InvalidParameter(RequestError):
    """Parameter `name` has a value that is not allowed; `reason` says why, in a full sentence."""

    def __init__(self, name: str, reason: str, value: object = None) -> None:
        super().__init__(f"{name}: {reason}")
        self.name = name
        self.reason = reason
        self.value = value


class MissingParameter(RequestError):
    """Parameter `name` is required and was not given."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} is required")
        self.name = name


class InvalidPattern(RequestError):
    """An event pattern is not valid; `reason` is the text that follows AWS's "Reason: ".

    `noun` is what the pattern is called where it stands ("Filter policy" in SNS).
    """

    def __init__(self, reason: str, noun: str = "Event pattern") -> None:
        super().__init__(f"{noun} is not valid. Reason: {reason}")
        self.reason = reason
        self.noun = noun


class InvalidReceiptHandle(RequestError):
    """The receipt handle was not made by this queue."""

    def __init__(self, handle: str) -> None:
        super().__init__("The input receipt handle is invalid.")
        self.handle = handle


class NotFound(RequestError):
    """There is no resource `name` of this `kind` ("queue", "bus", "rule", "message")."""

    def __init__(self, kind: str, name: str, parent: str | None = None) -> None:
        super().__init__(f"{kind} {name!r} does not exist" + (f" on {parent!r}" if parent else ""))
        self.kind = kind
        self.name = name
        self.parent = parent


class AlreadyExists(RequestError):
    """A resource `name` of this `kind` exists; `difference` names the setting in which it differs,
    if that is why.
    """

    def __init__(self, kind: str, name: str, difference: str | None = None) -> None:
        detail = f" with a different value for {difference}" if difference else ""
        super().__init__(f"{kind} {name!r} already exists{detail}")
        self.kind = kind
        self.name = name
        self.difference = difference


class Conflict(RequestError):
    """The resource exists, but its present state does not allow this; `reason` is one word for the
    API's error map.
    """

    def __init__(self, kind: str, name: str, reason: str) -> None:
        super().__init__(f"{kind} {name!r}: {reason}")
        self.kind = kind
        self.name = name
        self.reason = reason


class LimitExceeded(RequestError):
    """Quota `limit` (a name of `eventcore.limits`) allows `value` at the most."""

    def __init__(self, limit: str, value: int, detail: str = "") -> None:
        super().__init__(f"{limit} is {value}" + (f": {detail}" if detail else ""))
        self.limit = limit
        self.value = value
        self.detail = detail


class ThroughputExceeded(RequestError):
    """A shard's rate is used up for now; the same call may be tried again a second later."""

    def __init__(self, shard: str, stream: str, account: str) -> None:
        super().__init__(
            f"Rate exceeded for shard {shard} in stream {stream} under account {account}."
        )
        self.shard = shard
        self.stream = stream
        self.account = account


class Expired(RequestError):
    """A shard iterator ("iterator") or a page token ("next token") is older than it may be."""

    def __init__(self, kind: str, created_ms: int, now_ms: int, ms_max: int) -> None:
        super().__init__(f"the {kind} is {now_ms - created_ms} ms old; it may be {ms_max}")
        self.kind = kind
        self.created_ms = created_ms
        self.now_ms = now_ms
        self.ms_max = ms_max


class Throttled(RequestError):
    """A function's invocation was not begun: `reason` is AWS's word for whose concurrency is used
    up, `retry_after_s` when it may be tried again.
    """

    def __init__(self, function: str, reason: str, retry_after_s: int = 1) -> None:
        super().__init__(f"function {function!r}: Rate Exceeded ({reason})")
        self.function = function
        self.reason = reason
        self.retry_after_s = retry_after_s


class RecursiveInvocation(RequestError):
    """A function was about to be invoked once more in a chain of requests that it is part of."""

    def __init__(self, function: str, invocations: int) -> None:
        super().__init__(f"function {function!r} was invoked {invocations} times in one chain")
        self.function = function
        self.invocations = invocations


class PreconditionFailed(RequestError):
    """The caller named a revision of `name` that is not the latest one."""

    def __init__(self, kind: str, name: str) -> None:
        super().__init__(f"{kind} {name!r} was changed since: the revision id is not its latest")
        self.kind = kind
        self.name = name


class LeaseLost(RequestError):
    """The worker does not own the shard's lease any more: another has it, or nobody. It must stop
    handling the shard's records, and not try again.
    """

    def __init__(self, shard_id: str, worker_id: str) -> None:
        super().__init__(f"worker {worker_id!r} does not own the lease of {shard_id!r}")
        self.shard_id = shard_id
        self.worker_id = worker_id


class UnsupportedOperation(RequestError):
    """AWS has this operation or option and eventcore does not, at least not yet."""

    def __init__(self, service: str, operation: str, detail: str = "") -> None:
        super().__init__(
            f"{service}: {operation} is not supported" + (f": {detail}" if detail else "")
        )
        self.service = service
        self.operation = operation
        self.detail = detail


class DeliveryError(EventcoreError):
    """A target outside the store did not take a delivery. Raised by connectors, one of the two
    subclasses.
    """

    def __init__(self, target: str, cause: str) -> None:
        super().__init__(f"{target}: {cause}")
        self.target = target
        self.cause = cause


class RetryableDelivery(DeliveryError):
    """The target may take the delivery later (timeout, refused connection, HTTP 429 or 5xx).

    `retry_after_ms` is the target's own wish, when it has one.
    """

    def __init__(self, target: str, cause: str, retry_after_ms: int | None = None) -> None:
        super().__init__(target, cause)
        self.retry_after_ms = retry_after_ms


class PermanentDelivery(DeliveryError):
    """The target will never take this delivery (HTTP 4xx, no such host by configuration)."""


class StoreError(EventcoreError):
    """The durable side failed. What was not acknowledged may or may not be durable."""


class StoreUnavailable(StoreError):
    """A commit failed, or its fate is unknown. The machines are reloaded from the store; the call
    may be tried again.
    """


class StoreLocked(StoreError):
    """Another process has the file open. One file belongs to one process."""


class StoreTooNew(StoreError):
    """The file was written by a newer version of eventcore than this one can read."""


class StoreCorrupt(StoreError):
    """The file is damaged, or is not an eventcore file."""


class SourceUnavailable(EventcoreError):
    """A stream or a daemon in another process does not answer, or not as it should. What was asked
    for may or may not have happened; it may be tried again.
    """

    def __init__(self, source: str, cause: str) -> None:
        super().__init__(f"{source}: {cause}")
        self.source = source
        self.cause = cause


class BrokerClosed(EventcoreError):
    """The broker is shutting down or closed."""
