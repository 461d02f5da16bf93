"""From an HTTP request to an operation and its answer: the one entry of the AWS API.

    POST, X-Amz-Target: AmazonSQS.SendMessage    AWS JSON; the part before the dot names the service
    GET ?Action=..., or POST of a form           AWS Query; Action and Version name service and
                                                 operation

Rules of this file:

- Never raises and never waits. Every request is answered exactly once: by its handler, by an error
  that its handler raised, or, for a bug, with 500 InternalFailure while the traceback goes to
  `on_bug`.
- Refused before the engine is asked: unknown targets (400, 404), other methods than the protocol's
  (404), operations that AWS has and we lack (501), bodies that are no JSON or have a member of a
  wrong type (400 SerializationException).
  An engine that is not ready answers 503.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final, final

import msgspec

from eventcore.api.events import EVENTS
from eventcore.api.operation import Call, Operation, Service
from eventcore.api.sqs import SQS
from eventcore.api.sts import STS, STS_VERSION
from eventcore.errors import EventcoreError
from eventcore.ids import format_uuid
from eventcore.runtime.engine import Engine
from eventcore.runtime.telemetry import REQUEST_FAILED_BY_A_BUG, logger_of
from eventcore.wire import aws_json, aws_query
from eventcore.wire.credential import Callers
from eventcore.wire.fault import Fault, internal_failure, unknown_operation
from eventcore.wire.http import Exchange, HttpRequest

__all__ = ["SERVICES", "Dispatcher", "OnBug"]

SERVICES: Final = (SQS, EVENTS)
"""The services that speak AWS JSON."""

log = logger_of("eventcore.api")

SQS_QUERY_VERSION: Final = "2012-11-05"

OnBug = Callable[[BaseException, str], None]
"""Told of an error that only a bug can cause, with the request's id."""

_FRONT: Final = Service(
    name="front",
    target_prefix="",
    content_type=aws_json.JSON_1_0,
    operations=(),
    errors={},
)
"""Answers what names no service."""


@final
class Dispatcher:
    """Serves requests of all services on one engine. Call it with a request and its exchange."""

    def __init__(
        self,
        engine: Engine,
        on_bug: OnBug | None = None,
        services: Iterable[Service] = SERVICES,
    ) -> None:
        self._engine = engine
        self._on_bug = on_bug or _log_bug
        self._callers = Callers()
        self._services = {service.target_prefix: service for service in services}
        self._targets: dict[bytes | None, tuple[Service, Operation[Any]]] = {
            f"{service.target_prefix}.{name}".encode(): (service, operation)
            for service in self._services.values()
            for name, operation in service.operations.items()
        }
        # A random prefix and a counter: unique, at a tenth of the cost of a random id each.
        self._id_prefix = format_uuid(engine.ids.unique_id())[:24].encode()
        self._count = 0

    def __call__(self, request: HttpRequest, exchange: Exchange) -> None:
        """Serves one request; see the file's rules."""
        headers = request.headers
        found = self._targets.get(headers.get(b"x-amz-target"))
        if (
            found is None
            or request.method != b"POST"
            or not aws_json.is_json(headers.get(b"content-type"))
        ):
            self._serve_other(request, exchange)
            return
        self._run(self._call(found[0], request, exchange), found[1])

    def _call(self, service: Service, request: HttpRequest, exchange: Exchange) -> Call:
        self._count = count = self._count + 1
        return Call(
            self._engine,
            service,
            self._callers.read(request.headers.get(b"authorization")),
            request,
            exchange,
            b"%b%012x" % (self._id_prefix, count),
            self._on_bug,
        )

    def _run(self, call: Call, operation: Operation[Any]) -> None:
        try:
            self._serve(call, operation)
        except Exception as bug:  # noqa: BLE001  (the entry never raises)
            self._on_bug(bug, call.request_id.decode("ascii"))
            self._refuse_at_once(call, internal_failure())

    def _serve(self, call: Call, operation: Operation[Any]) -> None:
        engine = self._engine
        try:
            request = operation.decode(call.request.body)
            engine.begin()
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            self._refuse_at_once(call, aws_json.serialization_fault(error))
            return
        except (EventcoreError, Fault) as error:
            self._refuse_at_once(call, call.fault_of(error))
            return
        try:
            body = operation.handle(call, request)
        except (EventcoreError, Fault) as error:
            call.refuse(error)  # it may tell of state, so it waits for the commit as well
            return
        if body is not None:
            engine.hold(call, body)

    def _refuse_at_once(self, call: Call, fault: Fault) -> None:
        """Answers what saw nothing of the engine's state, unless there is an answer already."""
        try:
            call.send_fault(fault)
        except Exception as bug:  # noqa: BLE001  (the entry never raises)
            self._on_bug(bug, call.request_id.decode("ascii"))

    # What names no operation of ours

    def _serve_other(self, request: HttpRequest, exchange: Exchange) -> None:
        headers = request.headers
        target = headers.get(b"x-amz-target")
        if target is None and _is_query(request):
            self._serve_query(request, exchange)
            return
        prefix, _, name = (target or b"").decode("latin-1").rpartition(".")
        service = self._services.get(prefix, _FRONT)
        call = self._call(service, request, exchange)
        self._refuse_at_once(call, _unserved(service, name, request))

    def _serve_query(self, request: HttpRequest, exchange: Exchange) -> None:
        call = self._call(STS, request, exchange)
        try:
            operation = _query_operation(request)
        except Fault as fault:
            self._refuse_at_once(call, fault)
            return
        self._run(call, operation)


def _is_query(request: HttpRequest) -> bool:
    if request.method == b"POST":
        return b"?" in request.target or aws_query.is_form(request.headers.get(b"content-type"))
    return request.method == b"GET" and b"?" in request.target


def _unserved(service: Service, name: str, request: HttpRequest) -> Fault:
    """Why a request that is no form was not served."""
    target = request.headers.get(b"x-amz-target")
    if target is None:
        return unknown_operation("The request names no operation: X-Amz-Target is missing.", 404)
    if service is _FRONT:
        return unknown_operation(f"{target.decode('latin-1')!r} names no service served here.")
    if name in service.missing_operations:
        return not_implemented(service, name)
    if name not in service.operations:
        return unknown_operation(f"{service.name} has no operation {name!r}.")
    if request.method != b"POST":
        method = request.method.decode("latin-1")
        return unknown_operation(f"Operations are called with POST, and not with {method}.", 404)
    given = request.headers.get(b"content-type", b"none").decode("latin-1")
    wanted = service.content_type.decode("ascii")
    return unknown_operation(f"The content type must be {wanted}, and is {given}.", 404)


def not_implemented(service: Service, name: str) -> Fault:
    """501 for an operation that AWS has and we lack. SDKs do not try it again."""
    return Fault(
        "UnsupportedOperation",
        f"eventcore does not implement the operation {name} of {service.name}.",
        status=501,
        query_code="AWS.SimpleQueueService.UnsupportedOperation" if service is SQS else "",
    )


def _query_operation(request: HttpRequest) -> Operation[Any]:
    """The operation of a Query request. Raises Fault for what is not served in this protocol."""
    form = aws_query.parse_form(request.body or request.target.partition(b"?")[2])
    action = form.get("Action", "")
    operation = STS.operations.get(action)
    if operation is not None and form.get("Version", STS_VERSION) == STS_VERSION:
        return operation
    if not action:
        raise Fault("MissingAction", "The request must contain the parameter Action.")
    if action in STS.missing_operations:
        raise not_implemented(STS, action)
    is_sqs = action in SQS.operations or action in SQS.missing_operations
    if is_sqs and form.get("Version", SQS_QUERY_VERSION) == SQS_QUERY_VERSION:
        raise Fault(
            "UnsupportedOperation",
            f"eventcore does not speak the Query protocol for SQS ({action}); use an SDK that "
            "speaks AWS JSON, as all do since the end of 2023.",
            status=501,
            query_code="AWS.SimpleQueueService.UnsupportedOperation",
        )
    raise Fault("InvalidAction", f"Could not find operation {action}.")


def _log_bug(error: BaseException, request_id: str) -> None:
    log.error(REQUEST_FAILED_BY_A_BUG, request_id=request_id, exc_info=error)
