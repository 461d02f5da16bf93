"""From an HTTP request to an operation and its answer: the one entry of the AWS API.

    POST, X-Amz-Target: AmazonSQS.SendMessage    AWS JSON; the part before the dot names the service
    the same, with Content-Type: ...-cbor-1.1    AWS CBOR, for the services that speak it
    GET ?Action=..., or POST of a form           AWS Query; Version names the service, Action the
                                                 operation
    any method, a path of a REST service         AWS REST-JSON: method and path name the operation

Rules of this file:

- A request with X-Amz-Target is AWS JSON or, by its content type, AWS CBOR, whatever else it has. A
  request in CBOR is answered in CBOR, errors included. One without is REST when the first part of
  its path is one of a REST service. A Query request without a Version
  is of the service that its credential's scope names, else of the first that has the Action.
- Never raises and never waits. Every request is answered exactly once: by its handler, by an error
  that its handler raised, or, for a bug, with 500 InternalFailure while the traceback goes to
  `on_bug`.
- Refused before the engine is asked: unknown targets (400, 404), unknown paths and other methods
  than the protocol's or the path's (404), operations that AWS has and we lack (501), bodies that
  are no JSON or CBOR or have a member of a wrong type (400 SerializationException), parameters that
  are not the operation's (400 MalformedInput and others of `eventcore.wire.aws_query`).
  An engine that is not ready answers 503.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, final

import msgspec

from eventcore.api.events import EVENTS
from eventcore.api.functions import LAMBDA_ROUTES
from eventcore.api.iam import IAM
from eventcore.api.kinesis import KINESIS
from eventcore.api.kinesis_cbor import KINESIS_CBOR
from eventcore.api.leases import LEASES
from eventcore.api.operation import Call, Operation, Service
from eventcore.api.rest import RestInput, RestRoutes
from eventcore.api.sqs import SQS
from eventcore.api.sqs_query import SQS_QUERY
from eventcore.api.sts import STS
from eventcore.errors import EventcoreError
from eventcore.ids import format_uuid
from eventcore.runtime.engine import Engine
from eventcore.runtime.telemetry import REQUEST_FAILED_BY_A_BUG, logger_of
from eventcore.wire import aws_json, aws_query, aws_query_xml, cbor
from eventcore.wire.aws_query import Form, excerpt
from eventcore.wire.credential import ANONYMOUS, Caller, Callers
from eventcore.wire.fault import Fault, internal_failure, unknown_operation
from eventcore.wire.http import Exchange, HttpRequest

__all__ = [
    "AWS_SERVICES",
    "CBOR_SERVICES",
    "QUERY_SERVICES",
    "REST_ROUTES",
    "SERVICES",
    "Dispatcher",
    "OnBug",
]

AWS_SERVICES: Final = (SQS, EVENTS, KINESIS)
"""The services of AWS that speak AWS JSON."""

SERVICES: Final = (*AWS_SERVICES, LEASES)
"""The services that speak AWS JSON, our own one of consumer groups included."""

CBOR_SERVICES: Final = (KINESIS_CBOR,)
"""The services that speak AWS CBOR."""

QUERY_SERVICES: Final = (*SQS_QUERY, STS, IAM)
"""The services that speak AWS Query, each in every version, the newest first."""

REST_ROUTES: Final = (LAMBDA_ROUTES,)
"""The paths of the services that speak AWS REST-JSON."""

log = logger_of("eventcore.api")

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


_CBOR_FRONT: Final = _FRONT.in_cbor(frozenset())


def _write_query_fault(service: Service, fault: Fault, request_id: str) -> tuple[bytes, bytes]:
    return b"", aws_query_xml.write_fault(fault, namespace=service.namespace, request_id=request_id)


_QUERY_FRONT: Final = Service(
    name="front",
    target_prefix="",
    content_type=aws_query.XML,
    operations=(),
    errors={},
    namespace="http://webservices.amazon.com/AWSFault/2005-15-09",
    write_fault=_write_query_fault,
)
"""Answers Query requests that name no service."""


@final
class Dispatcher:
    """Serves requests of all services on one engine. Call it with a request and its exchange."""

    def __init__(
        self,
        engine: Engine,
        on_bug: OnBug | None = None,
        services: Iterable[Service] = SERVICES,
        query_services: Sequence[Service] = QUERY_SERVICES,
        cbor_services: Iterable[Service] = CBOR_SERVICES,
        rest_routes: Iterable[RestRoutes] = REST_ROUTES,
    ) -> None:
        self._engine = engine
        self._on_bug = on_bug or _log_bug
        self._callers = Callers()
        self._services = {service.target_prefix: service for service in services}
        self._targets = _targets(self._services)
        self._cbor_services = {service.target_prefix: service for service in cbor_services}
        self._cbor_targets = _targets(self._cbor_services)
        self._query_services = query_services
        self._rest_routes = _roots(rest_routes)
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
        caller = self._callers.read(headers.get(b"authorization"))
        self._run(self._call(found[0], caller, request, exchange), found[1], request.body)

    def _call(
        self, service: Service, caller: Caller, request: HttpRequest, exchange: Exchange
    ) -> Call:
        self._count = count = self._count + 1
        return Call(
            self._engine,
            service,
            caller,
            request,
            exchange,
            b"%b%012x" % (self._id_prefix, count),
            self._on_bug,
        )

    def _run(self, call: Call, operation: Operation[Any], given: bytes | Form | RestInput) -> None:
        """Serves an operation; `given` is what it decodes: a body, parameters, or REST's both."""
        try:
            self._serve(call, operation, given)
        except Exception as bug:  # noqa: BLE001  (the entry never raises)
            self._on_bug(bug, call.request_id.decode("ascii"))
            self._refuse_at_once(call, internal_failure())

    def _serve(
        self, call: Call, operation: Operation[Any], given: bytes | Form | RestInput
    ) -> None:
        engine = self._engine
        try:
            request = operation.decode(given)
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

    # AWS Query

    def _serve_query(self, request: HttpRequest, exchange: Exchange) -> None:
        headers = request.headers
        caller = self._callers.read(headers.get(b"authorization"))
        call = self._call(self._query_service({}, caller), caller, request, exchange)
        try:
            path, _, query = request.target.partition(b"?")
            body = request.body if aws_query.is_form(headers.get(b"content-type")) else b""
            form = aws_query.parse_parameters(query, body)
            if caller is ANONYMOUS:
                call.caller = caller = self._callers.read_parameters(form)
            call.service = service = self._query_service(form, caller)
            operation = _query_operation(service, path, form)
        except Fault as fault:
            self._refuse_at_once(call, fault)
        except Exception as bug:  # noqa: BLE001  (the entry never raises)
            self._on_bug(bug, call.request_id.decode("ascii"))
            self._refuse_at_once(call, internal_failure())
        else:
            call.action = operation.name
            self._run(call, operation, form)

    def _query_service(self, form: Form, caller: Caller) -> Service:
        """The service meant, in the version meant as far as there is one."""
        services = self._query_services
        version, action = form.get("Version"), form.get("Action", "")
        for of_version in services:
            if of_version.version == version:
                return of_version
        for of_scope in services:
            if of_scope.name == caller.service:
                return of_scope
        for service in services:
            if action in service.operations or action in service.missing_operations:
                return service
        return _QUERY_FRONT

    # AWS REST-JSON

    def _serve_rest(self, routes: RestRoutes, request: HttpRequest, exchange: Exchange) -> None:
        headers = request.headers
        service = routes.service
        caller = self._callers.read(headers.get(b"authorization"))
        call = self._call(service, caller, request, exchange)
        try:
            name, operation, given = routes.find(
                request.method, request.target, headers, request.body
            )
        except Fault as fault:
            self._refuse_at_once(call, fault)
        except Exception as bug:  # noqa: BLE001  (the entry never raises)
            self._on_bug(bug, call.request_id.decode("ascii"))
            self._refuse_at_once(call, internal_failure())
        else:
            if operation is None:
                self._refuse_at_once(call, not_implemented(service, name))
            else:
                self._run(call, operation, given)

    # AWS CBOR, and what names no operation of ours

    def _serve_other(self, request: HttpRequest, exchange: Exchange) -> None:
        headers = request.headers
        target = headers.get(b"x-amz-target")
        if target is None:
            routes = self._rest_routes.get(_root_of(request.target))
            if routes is not None:
                self._serve_rest(routes, request, exchange)
                return
            if _is_query(request):
                self._serve_query(request, exchange)
                return
        prefix, _, name = (target or b"").decode("latin-1").rpartition(".")
        service = self._services.get(prefix, _FRONT)
        caller = self._callers.read(headers.get(b"authorization"))
        if cbor.is_cbor(headers.get(b"content-type")):
            found = self._cbor_targets.get(target)
            if found is not None and request.method == b"POST":
                self._run(self._call(found[0], caller, request, exchange), found[1], request.body)
                return
            service = self._cbor_services.get(prefix) or self._services.get(prefix, _CBOR_FRONT)
        call = self._call(service, caller, request, exchange)
        self._refuse_at_once(call, _unserved(service, name, request))


def _targets(services: dict[str, Service]) -> dict[bytes | None, tuple[Service, Operation[Any]]]:
    """All operations by the X-Amz-Target that names them."""
    return {
        f"{prefix}.{name}".encode(): (service, operation)
        for prefix, service in services.items()
        for name, operation in service.operations.items()
    }


def _roots(all_routes: Iterable[RestRoutes]) -> dict[bytes, RestRoutes]:
    """The services by the first part of their paths, of which each is one service's."""
    found: dict[bytes, RestRoutes] = {}
    for routes in all_routes:
        assert found.keys().isdisjoint(routes.roots), "two services with the same first part"
        found |= dict.fromkeys(routes.roots, routes)
    return found


def _root_of(target: bytes) -> bytes:
    """The first part of a target's path."""
    end = target.find(b"/", 1)
    return target[1:end] if end > 0 else target[1:].partition(b"?")[0]


def _is_query(request: HttpRequest) -> bool:
    if request.method == b"POST":
        return b"?" in request.target or aws_query.is_form(request.headers.get(b"content-type"))
    return request.method == b"GET" and b"?" in request.target


def _unserved(service: Service, name: str, request: HttpRequest) -> Fault:
    """Why a request that is no form was not served."""
    target = request.headers.get(b"x-amz-target")
    if target is None:
        return unknown_operation("The request names no operation: X-Amz-Target is missing.", 404)
    if service is _FRONT or service is _CBOR_FRONT:
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
        query_code="AWS.SimpleQueueService.UnsupportedOperation" if service.name == "sqs" else "",
    )


def _query_operation(service: Service, path: bytes, form: Form) -> Operation[Any]:
    """The operation of a Query request. Raises Fault for what the service does not have."""
    action = form.get("Action", "")
    if not action:
        raise unknown_operation(
            "The request names no operation: the parameter Action is missing.", 404
        )
    if service.admit is not None:
        service.admit(service, path, form)
    version = form.get("Version", service.version)
    if version == service.version:
        operation = service.operations.get(action)
        if operation is not None:
            return operation
        if action in service.missing_operations:
            raise not_implemented(service, action)
    text = f"Could not find operation {excerpt(action)}"
    if version:
        text += f" for version {excerpt(version)}"
    raise Fault("InvalidAction", text)


def _log_bug(error: BaseException, request_id: str) -> None:
    log.error(REQUEST_FAILED_BY_A_BUG, request_id=request_id, exc_info=error)
