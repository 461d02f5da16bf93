"""What a service's API is made of: operations, their calls, the map from errors to codes.

How to add a service (`eventcore/api/<service>.py`):

1. One request struct per operation, members named as in botocore's model. Every member is optional
   in the struct, so that a missing one gets the service's own error text and not the decoder's;
   unknown members are ignored, as AWS does.
2. One handler per operation, `def create_queue(call: Call, request: CreateQueueRequest) -> bytes`.
   It validates, calls `call.engine`, and returns the answer's body. It raises an `EventcoreError`
   or a `Fault`, before it has changed anything. It runs inside an engine request: the dispatcher
   has called `engine.begin()` before it, and calls `engine.hold(call, body)` after it, so the
   answer (an error, too) leaves when all it tells is durable.
   A handler that answers later returns None after `call.wait_for(waiter)`, and ends with
   `call.complete(make)` inside a request of its own, or with `call.fail(error)` outside of one.
3. An error map: error type -> function that makes the `Fault`. The map is looked up along the
   error's base classes, so one line for `RequestError` can catch what has no line of its own.
   StoreError, BrokerClosed and bugs need no line.
4. One `Service` value that holds it all; `eventcore.api.dispatch` is given the services.

    SERVICE = Service(
        name="events", target_prefix="AWSEvents", content_type=JSON_1_1, namespace="",
        errors=ERRORS, operations=[Operation("PutEvents", PutEventsRequest, put_events), ...],
        missing_operations=frozenset({"CreateArchive", ...}),
    )

Handlers read request structs, whatever the protocol. A service has one `Service` value for each
protocol, with the same handlers:

- AWS Query: `Operation.decode` reads the parameters into the same struct, the handlers answer in
  JSON, and `Service.write_answer` makes XML of it.
- AWS CBOR: `SERVICE.in_cbor(timestamps)` is the same service; its handlers must answer with what
  `call.encode` makes of structs and plain values, or with no bytes at all.
- AWS REST-JSON: the operations are `eventcore.api.rest.RestOperation`s, and `RestRoutes` finds them
  by method and path. A handler returns a body, which leaves with the operation's status, or a
  `RestAnswer` with a status and headers of its own.

Nothing here is specific to a service.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, Generic, Protocol, TypeVar, final

import msgspec

from eventcore.codec import encode_json, json_decoder
from eventcore.errors import BrokerClosed, EventcoreError, StoreError
from eventcore.runtime.engine import Engine
from eventcore.wire import aws_json, cbor
from eventcore.wire.cbor_encoder import CborEncoder
from eventcore.wire.credential import Caller
from eventcore.wire.fault import Fault, internal_failure, service_unavailable
from eventcore.wire.http import Exchange, HttpRequest, ResponseStream

__all__ = [
    "Call",
    "ErrorMap",
    "Handler",
    "Operation",
    "RestAnswer",
    "RestHandler",
    "Service",
    "Waiting",
    "to_fault",
]

T = TypeVar("T")


class RestAnswer(msgspec.Struct, frozen=True, gc=False):
    """An answer in AWS REST-JSON: its status, its own header lines, its body.

    `headers` are names and values, in Latin-1 and without line breaks; the request's id goes before
    them, and the service's content type, unless they have "content-type".
    """

    status: int
    headers: Mapping[str, str] = {}
    body: bytes = b""

    @property
    def lines(self) -> bytes:
        """The header lines, each ending in CRLF. Raises ValueError for a value with a break."""
        lines = [f"{k}: {v}" for k, v in self.headers.items() if k != "content-type"]
        if any("\r" in line or "\n" in line for line in lines):
            raise ValueError("a header's value has a line break")
        text = "".join(f"{line}\r\n" for line in lines)
        return text.encode("latin-1")


Handler = Callable[["Call", T], bytes | None]
"""Serves one operation: returns the answer's body, or None when it answers later."""

RestHandler = Callable[["Call", T], bytes | RestAnswer | None]
"""The same, of an operation whose answers have a status and headers."""

ErrorMap = Mapping[type[EventcoreError], Callable[[Any], Fault]]
"""Core error type -> maker of the service's fault."""

FaultWriter = Callable[["Service", Fault, str], tuple[bytes, bytes]]
"""(service, fault, request id) -> (head lines, body)."""

AnswerWriter = Callable[["Service", str, bytes, str], bytes]
"""(service, operation's name, the handler's answer, request id) -> body."""

Admission = Callable[["Service", bytes, dict[str, str]], None]
"""(service, path, parameters): may add to the parameters, and raises Fault for what it refuses."""


class Waiting(Protocol):
    """What a call waits for: a long poll."""

    def cancel(self) -> None:
        """Stops waiting; the call is never answered. Harmless when it was answered already."""
        ...


class Operation(Generic[T]):
    """One operation of a service: its name, its request's decoder, its handler.

    `decode` makes the request struct of what the protocol has of a request: of the raw body for
    AWS JSON, where it is made from the struct, and for AWS CBOR, of the parameters for AWS Query.
    For AWS REST-JSON there is `eventcore.api.rest.RestOperation`.
    """

    __slots__ = ("decode", "handle", "name", "request_type")

    def __init__(
        self,
        name: str,
        request_type: type[T],
        handle: RestHandler[T],
        decode: Callable[[Any], T] | None = None,
    ) -> None:
        self.name = name
        self.request_type = request_type
        self.handle = handle
        self.decode: Callable[[Any], T] = decode or json_decoder(request_type)


@final
class Service:
    """One AWS service as it is served here, in one protocol.

    `missing_operations` are those of AWS's model that we lack; they are answered as not
    implemented, not as unknown. `namespace` (with its "#") goes before error codes in `__type`;
    empty where AWS sends bare codes. In AWS Query it is the one of the XML. `encode` writes answers
    (`Call.encode`). `has_extended_id` sends `x-amz-id-2` as well, which some services do.

    Three are for AWS Query only: `version`, by which its requests name the service; `write_answer`,
    without which the handlers' answers leave as they are; `admit`, which looks at a request's path
    and parameters before its operation is looked up.
    """

    __slots__ = (
        "admit",
        "content_type",
        "encode",
        "errors",
        "has_extended_id",
        "head",
        "is_query_compatible",
        "missing_operations",
        "name",
        "namespace",
        "operations",
        "target_prefix",
        "version",
        "write_answer",
        "write_fault",
    )

    def __init__(
        self,
        *,
        name: str,
        target_prefix: str,
        content_type: bytes,
        operations: Iterable[Operation[Any]],
        errors: ErrorMap,
        missing_operations: frozenset[str] = frozenset(),
        namespace: str = "",
        is_query_compatible: bool = False,
        write_fault: FaultWriter | None = None,
        write_answer: AnswerWriter | None = None,
        version: str = "",
        admit: Admission | None = None,
        encode: Callable[[Any], bytes] = encode_json,
        has_extended_id: bool = False,
    ) -> None:
        self.name = name
        self.target_prefix = target_prefix
        self.content_type = content_type
        self.operations: Final = {operation.name: operation for operation in operations}
        self.errors = errors
        self.missing_operations = missing_operations
        self.namespace = namespace
        self.is_query_compatible = is_query_compatible
        self.write_fault: FaultWriter = write_fault or _write_json_fault
        self.write_answer = write_answer
        self.version = version
        self.admit = admit
        self.encode = encode
        self.has_extended_id = has_extended_id
        self.head = _head(content_type)

    def in_cbor(self, timestamps: frozenset[str]) -> Service:
        """The same service over AWS CBOR 1.1. `timestamps` are the members of its answers that are
        timestamps in AWS's model.
        """
        return Service(
            name=self.name,
            target_prefix=self.target_prefix,
            content_type=cbor.CBOR_1_1,
            operations=[
                Operation(
                    operation.name,
                    operation.request_type,
                    operation.handle,
                    cbor.cbor_decoder(operation.request_type),
                )
                for operation in self.operations.values()
            ],
            errors=self.errors,
            missing_operations=self.missing_operations,
            write_fault=_write_cbor_fault,
            encode=CborEncoder(timestamps).encode,
            has_extended_id=self.has_extended_id,
        )


def _head(content_type: bytes) -> bytes:
    """The header lines of an answer, up to the request's id."""
    return b"content-type: " + content_type + b"\r\nx-amzn-requestid: "


def _write_json_fault(service: Service, fault: Fault, request_id: str) -> tuple[bytes, bytes]:
    return aws_json.write_fault(
        fault, service.namespace, is_query_compatible=service.is_query_compatible
    )


def _write_cbor_fault(service: Service, fault: Fault, request_id: str) -> tuple[bytes, bytes]:
    return b"", cbor.write_fault(fault)


def to_fault(errors: ErrorMap, error: EventcoreError) -> Fault | None:
    """The fault of a core error; None when the map has no line for it or its base classes."""
    if isinstance(error, (StoreError, BrokerClosed)):
        return service_unavailable(str(error))
    for error_type in type(error).__mro__:
        make = errors.get(error_type)
        if make is not None:
            return make(error)
    return None


@final
class Call:
    """One request being served, and the reply that waits for its commit.

    It is a `Reply` of `eventcore.runtime.host`. Answered exactly once. `request_id` is the text of
    `x-amzn-requestid`, in ASCII bytes. `action` is the operation's name, set for services that have
    `write_answer`.
    """

    __slots__ = (
        "_exchange",
        "_on_bug",
        "action",
        "caller",
        "engine",
        "is_answered",
        "request",
        "request_id",
        "service",
    )

    def __init__(
        self,
        engine: Engine,
        service: Service,
        caller: Caller,
        request: HttpRequest,
        exchange: Exchange,
        request_id: bytes,
        on_bug: Callable[[BaseException, str], None],
    ) -> None:
        self.engine = engine
        self.service = service
        self.caller = caller
        self.request = request
        self.request_id = request_id
        self.action = ""
        self.is_answered = False
        self._exchange = exchange
        self._on_bug = on_bug

    @property
    def account(self) -> str:
        """The caller's account, twelve digits."""
        return self.caller.account

    @property
    def region(self) -> str:
        """The region that the caller named."""
        return self.caller.region

    @property
    def access_key(self) -> str:
        """The caller's access key; empty for none. Its signature was not checked."""
        return self.caller.access_key

    @property
    def base_url(self) -> str:
        """Where the caller reached us (`http://host:port`): URLs given out begin with it."""
        headers = self.request.headers
        is_secure = self.request.is_secure or headers.get(b"x-forwarded-proto") == b"https"
        scheme = "https" if is_secure else "http"
        return f"{scheme}://{headers.get(b'host', b'localhost').decode('latin-1')}"

    def encode(self, answer: Any) -> bytes:
        """A struct or plain value as the call's protocol has it: JSON or CBOR. Timestamps are
        seconds.
        """
        return self.service.encode(answer)

    def stream_head(self, content_type: bytes) -> bytes:
        """The header lines of an answer that is streamed, and has a content type of its own."""
        return self._head(_head(content_type))

    def _head(self, start: bytes) -> bytes:
        """The header lines: of the service, or of a content type, and those of the request."""
        if self.service.has_extended_id:
            # As long as AWS's, 72 bytes in base64, and as unique as the request's id.
            extended = b64encode(self.request_id * 2)
            return b"%b%b\r\nx-amz-id-2: %b\r\n" % (start, self.request_id, extended)
        return start + self.request_id + b"\r\n"

    def answer(self, body: bytes | RestAnswer) -> None:
        """Closes the request: the body leaves, with status 200, when what it tells is durable."""
        self.engine.hold(self, body)

    def refuse(self, error: Exception) -> None:
        """Closes the request with an error, by the service's error map. It may tell of any state,
        so it waits for all that is staged.
        """
        self.engine.look_at_everything()
        self.engine.hold(self, self.fault_of(error))

    def fault_of(self, error: Exception) -> Fault:
        """The fault for an error; what the map does not know is reported as a bug, and a 500."""
        if isinstance(error, Fault):
            return error
        if isinstance(error, EventcoreError):
            fault = to_fault(self.service.errors, error)
            if fault is not None:
                return fault
        self._on_bug(error, self.request_id.decode("ascii"))
        return internal_failure()

    def complete(self, make: Callable[[], bytes | RestAnswer]) -> None:
        """Closes the request of a call that waited: answers what `make` returns or raises."""
        try:
            body = make()
        except Exception as error:  # noqa: BLE001  (who wakes a waiter must not suffer for it)
            self.refuse(error)
        else:
            self.answer(body)

    def wait_for(self, waiting: Waiting) -> None:
        """Lets the call wait: a client that hangs up cancels it. Nothing when it was answered."""
        if not self.is_answered:
            self._exchange.on_disconnect = waiting.cancel

    def stream(self, content_type: bytes) -> ResponseStream:
        """Begins an answer that is sent in parts, with status 200; what it tells must be durable. A
        client that hangs up cancels what the call waits for, up to the stream's end.
        """
        assert not self.is_answered
        self.is_answered = True
        return self._exchange.stream(200, self.stream_head(content_type))

    # As the host's reply

    def commit(self, payload: bytes | RestAnswer | Fault) -> None:
        """The host's: all that the payload tells is durable, let it go."""
        if self.is_answered:
            return
        if payload.__class__ is not bytes:
            if payload.__class__ is RestAnswer:
                self.send_answer(payload)
            else:
                self.send_fault(payload)  # type: ignore[arg-type]
            return
        service = self.service
        if service.write_answer is not None:
            written = self._write(service.write_answer, payload)
            if written is None:
                self.send_fault(internal_failure())
                return
            payload = written
        self.is_answered = True
        head = service.head + self.request_id + b"\r\n"  # not called, for the sake of its cost
        if service.has_extended_id:
            head = self._head(service.head)
        self._exchange.reply(200, head, payload)

    def _write(self, write: AnswerWriter, answer: bytes) -> bytes | None:
        """The answer in the service's protocol; None for a bug, which must not reach the host."""
        request_id = self.request_id.decode("ascii")
        try:
            return write(self.service, self.action, answer, request_id)
        except Exception as bug:  # noqa: BLE001  (who lets replies go must not suffer for one)
            self._on_bug(bug, request_id)
            return None

    def send_answer(self, answer: RestAnswer) -> None:
        """Sends an answer at once, not waiting for a commit: what it tells must be durable."""
        if self.is_answered:
            return
        try:
            lines = answer.lines
        except ValueError as bug:  # who lets replies go must not suffer for one
            self.send_fault(self.fault_of(bug))
            return
        self.is_answered = True
        content_type = answer.headers.get("content-type")
        start = self.service.head if content_type is None else _head(content_type.encode("ascii"))
        self._exchange.reply(answer.status, self._head(start) + lines, answer.body)

    def fail(self, error: EventcoreError) -> None:
        """The commit failed, or what the call waited for did: sends the error at once."""
        self.send_fault(self.fault_of(error))

    def send_fault(self, fault: Fault) -> None:
        """Sends an error at once, not waiting for a commit: for what saw nothing of the state."""
        if self.is_answered:
            return
        self.is_answered = True
        service = self.service
        lines, body = service.write_fault(service, fault, self.request_id.decode("ascii"))
        self._exchange.reply(fault.status, self._head(service.head) + lines, body)
