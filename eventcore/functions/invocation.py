"""What an invocation is given, and what becomes of it.

Rules of this file:

- What a function does is a result, never an exception: an error that it raised, a timeout, a crash
  of its process. An invoker raises only for what is not the function's doing.
- A payload is JSON bytes or the value they stand for; either is made of the other when first asked
  for, so that handlers of the embedding program cost no JSON. Who is given a value must not change
  it.
"""

from __future__ import annotations

from typing import Any, Final, final

import msgspec

from eventcore.codec import decode_json, encode_json
from eventcore.functions.function_spec import FunctionConfig

__all__ = [
    "UNHANDLED",
    "FailedInvocation",
    "Invocation",
    "InvocationResult",
    "Payload",
    "error_payload",
    "timed_out",
]

UNHANDLED: Final = "Unhandled"
"""AWS's FunctionError: the function raised, timed out, or its process ended."""
_UNSET: Final = object()


@final
class Payload:
    """A JSON document: bytes or value, whichever it was made of, the other when asked for."""

    __slots__ = ("_bytes", "_value")

    def __init__(self, raw: bytes | None = None, value: Any = _UNSET) -> None:
        """`raw` are JSON bytes, of which the maker knows that they are JSON."""
        assert (raw is None) != (value is _UNSET)
        self._bytes = raw
        self._value = value

    @classmethod
    def of(cls, value: Any) -> Payload:
        """The payload of a plain value. It is encoded when its bytes are asked for."""
        return cls(value=value)

    @property
    def raw(self) -> bytes:
        """The JSON text. Raises TypeError, ValueError for a value that has none."""
        if self._bytes is None:
            self._bytes = encode_json(self._value)
        return self._bytes

    @property
    def value(self) -> Any:
        """The plain value. Raises ValueError for bytes that are no JSON."""
        if self._value is _UNSET:
            assert self._bytes is not None
            self._value = decode_json(self._bytes)
        return self._value

    def __repr__(self) -> str:
        return f"Payload({self._bytes or self._value!r:.200})"


class Invocation(msgspec.Struct, frozen=True, kw_only=True):
    """One invocation, as an invoker is given it.

    `function_arn` is the function's ARN without a qualifier, `invoked_arn` as the caller named it
    (the alias's or version's ARN). `deadline_ms` is when its time is over. `trace_header` is AWS's
    X-Amzn-Trace-Id, empty for none. `client_context` is the JSON text that a caller may send along.
    `wants_log_tail`: the caller asks for the last 4 KiB of its log.
    """

    request_id: str
    function_arn: str
    invoked_arn: str
    version: str
    config: FunctionConfig
    payload: Payload
    deadline_ms: int
    trace_header: str = ""
    client_context: str = ""
    wants_log_tail: bool = False

    @property
    def function_name(self) -> str:
        """The last part of the function's ARN."""
        return self.function_arn.rpartition(":")[2]


class InvocationResult(msgspec.Struct, frozen=True):
    """What became of an invocation. `error` is AWS's FunctionError, None for success; with one,
    `payload` is an object with errorMessage, errorType and, where known, stackTrace. `log_tail` is
    at most 4,096 bytes. `is_timeout` tells why it failed.
    """

    payload: Payload
    error: str | None = None
    executed_version: str = ""
    log_tail: bytes = b""
    is_timeout: bool = False


class FailedInvocation(Exception):
    """An invocation could not be made: the function's process could not be started, nobody has
    registered its callable. It may be tried again.
    """


def error_payload(error_type: str, message: str, trace: list[str] | None = None) -> Payload:
    """The payload of a failed invocation, in the shape that AWS's runtimes give it."""
    document: dict[str, Any] = {"errorMessage": message, "errorType": error_type}
    if trace is not None:
        document["stackTrace"] = trace
    return Payload.of(document)


def timed_out(invocation: Invocation, log_tail: bytes = b"") -> InvocationResult:
    """The result of an invocation that was stopped at its deadline, in AWS's words."""
    seconds = invocation.config.timeout_ms / 1000
    text = f"Task timed out after {seconds:.2f} seconds"
    message = f"RequestId: {invocation.request_id} Error: {text}"
    payload = error_payload("Sandbox.Timedout", message)
    return InvocationResult(payload, UNHANDLED, invocation.version, log_tail, is_timeout=True)
