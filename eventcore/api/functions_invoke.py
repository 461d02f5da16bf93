"""Invoke, InvokeAsync, InvokeWithResponseStream: functions are invoked, and their answers told.

    RequestResponse    200, the function's answer as body, errors of it too (X-Amz-Function-Error)
    Event              202, when the event is durable in the function's queue
    DryRun             204, when it could have been invoked

Rules of this file:

- A function that is invoked for its answer runs in a task of its own. It goes on when the client
  hangs up, as on AWS; a daemon that is told to stop waits for it as for any request.
- What the function does is an answer. Errors are for what keeps it from running: no such function,
  no concurrency left, a recursive loop, a payload that is too large or no JSON.
- The answer's request id is the invocation's, of an event too: it stands in the function's context
  and in the records of destinations.
- A client's context is for synchronous invocations only, as on AWS.
- InvokeWithResponseStream sends the whole answer at once, in chunks: functions do not stream here.
"""

from __future__ import annotations

import asyncio
import binascii
from base64 import b64decode, b64encode
from collections.abc import Callable
from typing import Any, Final
from weakref import WeakKeyDictionary

from eventcore import limits
from eventcore.api.functions_address import FunctionAddress, read_address, version_at
from eventcore.api.functions_faults import function_not_found, too_large, too_many_requests
from eventcore.api.functions_settings_requests import (
    InvokeAsyncRequest,
    InvokeRequest,
    InvokeWithResponseStreamRequest,
    check,
)
from eventcore.api.mappings_constraints import unsupported
from eventcore.api.operation import Call
from eventcore.api.rest import RestAnswer, RestOperation
from eventcore.api.trace_header import TRACE_ID, read_trace_id
from eventcore.codec import decode_json, encode_json
from eventcore.errors import EventcoreError, LimitExceeded, NotFound, Throttled
from eventcore.functions.async_events import AsyncEvent
from eventcore.functions.function import Function
from eventcore.functions.function_spec import LATEST
from eventcore.functions.invocation import (
    UNHANDLED,
    FailedInvocation,
    InvocationResult,
    Payload,
    error_payload,
)
from eventcore.runtime.engine import Engine
from eventcore.wire.event_stream import EVENT_STREAM, encode_message, event_headers
from eventcore.wire.fault import Fault

__all__ = ["INVOKE_OPERATIONS", "REQUEST_BYTES_MAX"]

REQUEST_BYTES_MAX: Final = 6 * 1024 * 1024
"""Of a synchronous invocation's payload. AWS lets an answer have a hundred bytes more."""
CLIENT_CONTEXT_CHARACTERS_MAX: Final = 3_583
RUNNING_MAX: Final = 10_000
"""Synchronous invocations of all callers at a time: clients that hang up leave them running."""
RATE_REASON: Final = "FunctionInvocationRateLimitExceeded"
CHUNK_BYTES: Final = 1024 * 1024
"""Of a chunk of an answer that is streamed."""

EVENT: Final = "Event"
DRY_RUN: Final = "DryRun"
TAIL: Final = "Tail"

_NO_EVENT: Final = b"{}"
"""What a function gets that is invoked with nothing."""

Finish = Callable[[Call, InvocationResult], None]
"""Answers a call with the result of an invocation."""

_running: Final[WeakKeyDictionary[Engine, set[asyncio.Task[None]]]] = WeakKeyDictionary()
"""The invocations that callers wait for, or have hung up on. It ends with the engine."""


def invoke(call: Call, request: InvokeRequest) -> RestAnswer | None:
    """Invokes a function, and waits for its answer or not."""
    check(request)
    if request.durable_execution_name is not None:
        raise unsupported("durable executions")
    if request.tenant_id is not None:
        raise unsupported("tenant isolation")
    address = read_address(call, request.function_name or "", request.qualifier)
    if request.invocation_type == EVENT:
        return _invoke_later(call, address, request.payload)
    if request.invocation_type == DRY_RUN:
        _function_at(call, address)
        return RestAnswer(204)
    _invoke_now(call, address, request, _finish)
    return None


def invoke_async(call: Call, request: InvokeAsyncRequest) -> RestAnswer:
    """Invokes a function for an event, in the operation that came before Invoke."""
    check(request)
    address = read_address(call, request.function_name or "")
    return _invoke_later(call, address, request.invoke_args)


def invoke_with_response_stream(
    call: Call, request: InvokeWithResponseStreamRequest
) -> RestAnswer | None:
    """Invokes a function, and tells its answer as a stream of events."""
    check(request)
    if request.tenant_id is not None:
        raise unsupported("tenant isolation")
    address = read_address(call, request.function_name or "", request.qualifier)
    if request.invocation_type == DRY_RUN:
        _function_at(call, address)
        return RestAnswer(204)
    _invoke_now(call, address, request, _finish_as_stream)
    return None


# Payloads


def _payload(body: bytes) -> Payload:
    """The payload of an invocation. Raises the fault for what is no JSON.

    What was decoded is not kept: most functions are other processes, and take the bytes.
    """
    try:
        decode_json(body or _NO_EVENT)
    except (ValueError, RecursionError) as error:
        raise Fault(
            "InvalidRequestContentException",
            f"Could not parse request body into json: Could not parse payload into json: {error}",
        ) from error
    return Payload(body or _NO_EVENT)


def _client_context(encoded: str | None) -> str:
    """The client's context as JSON text, empty for none. Raises the fault for what is none."""
    if not encoded:
        return ""
    try:
        text = b64decode(encoded, validate=True).decode()
        is_object = isinstance(decode_json(text), dict)
    except (binascii.Error, ValueError, RecursionError):
        is_object = False
    if not is_object or len(encoded) > CLIENT_CONTEXT_CHARACTERS_MAX:
        raise Fault(
            "InvalidRequestContentException",
            "Client context must be a valid Base64-encoded JSON object.",
        )
    return text


def _trace_header(call: Call) -> str:
    given = call.request.headers.get(TRACE_ID)
    return (read_trace_id(given) or "") if given is not None else ""


# Events


def _invoke_later(call: Call, address: FunctionAddress, body: bytes | None) -> RestAnswer:
    """Puts an event into a function's queue. The answer leaves when that is durable."""
    body = body or b""
    if len(body) > limits.INVOKE_LATER_BYTES_MAX:
        raise too_large(
            "RequestEntityTooLargeException",
            f"{len(body)} byte payload is too large for the Event invocation type (limit "
            f"{limits.INVOKE_LATER_BYTES_MAX} bytes)",
        )
    function = _function_at(call, address)
    text = _payload(body).raw.decode()
    event = AsyncEvent(text, address.qualifier, _trace_header(call))
    try:
        request_id = call.engine.functions.invoke_later(function, event)
    except LimitExceeded as error:
        raise too_many_requests(Throttled(function.name, RATE_REASON)) from error
    call.request_id = request_id.encode("ascii")
    return RestAnswer(202)


# Answers


class _Abandoned:
    """What a call waits for that is not ended by its client: the invocation goes on."""

    def cancel(self) -> None:
        """The client hung up."""


_ABANDONED: Final = _Abandoned()


def _invoke_now(
    call: Call,
    address: FunctionAddress,
    request: InvokeRequest | InvokeWithResponseStreamRequest,
    finish: Finish,
) -> None:
    """Has a function invoked in a task that answers the call."""
    body = request.payload or b""
    if len(body) > REQUEST_BYTES_MAX:
        raise too_large(
            "RequestEntityTooLargeException",
            f"Request must be smaller than {REQUEST_BYTES_MAX} bytes for the InvokeFunction "
            "operation",
        )
    client_context = _client_context(request.client_context)
    payload = _payload(body)
    running = _running.setdefault(call.engine, set())
    if len(running) >= RUNNING_MAX:
        raise too_many_requests(Throttled(address.name, RATE_REASON))
    wants_log_tail = request.log_type == TAIL
    task = asyncio.get_running_loop().create_task(
        _run(call, address, payload, client_context, wants_log_tail, finish)
    )
    running.add(task)
    task.add_done_callback(running.discard)
    call.wait_for(_ABANDONED)


async def _run(
    call: Call,
    address: FunctionAddress,
    payload: Payload,
    client_context: str,
    wants_log_tail: bool,
    finish: Finish,
) -> None:
    """Invokes a function and answers the call, whatever comes of it."""
    try:
        result = await call.engine.functions.invoke(
            address.arn,
            payload,
            qualifier=address.qualifier,
            trace_header=_trace_header(call),
            client_context=client_context,
            wants_log_tail=wants_log_tail,
            request_id=call.request_id.decode("ascii"),
        )
        # The function ran on what is durable, and the answer tells of nothing else: it leaves now.
        finish(call, result)
    except FailedInvocation as error:
        call.send_fault(Fault("ServiceException", str(error), status=500, is_sender=False))
    except NotFound:
        _refuse(call, function_not_found(_asked_for(address)))
    except EventcoreError as error:
        _refuse(call, error)
    except Exception as bug:  # noqa: BLE001  (the caller must be answered)
        call.send_fault(call.fault_of(bug))


def _asked_for(address: FunctionAddress) -> str:
    """The ARN that AWS tells of a function that it could not find to invoke."""
    return address.qualified_arn if address.qualifier else f"{address.arn}:{LATEST}"


def _function_at(call: Call, address: FunctionAddress) -> Function:
    """The function of an address, which exists with its qualifier. Raises the fault as AWS words it
    for invocations.
    """
    try:
        function, _ = version_at(call, address)
    except Fault as error:
        raise function_not_found(_asked_for(address)) from error
    call.engine.look(function)
    return function


def _refuse(call: Call, error: EventcoreError | Fault) -> None:
    """Answers with an error that may tell of any state, when that is durable."""
    try:
        call.engine.begin()
    except EventcoreError as refusal:
        call.fail(refusal)
    else:
        call.refuse(error)


def _finish(call: Call, result: InvocationResult) -> None:
    if result.error is None and len(result.payload.raw) > limits.INVOKE_BYTES_MAX:
        result = _response_too_large(result)
    headers = {"X-Amz-Executed-Version": result.executed_version}
    if result.error is not None:
        headers["X-Amz-Function-Error"] = result.error
    if result.log_tail:
        headers["X-Amz-Log-Result"] = b64encode(result.log_tail).decode("ascii")
    trace_header = _trace_header(call)
    if trace_header:
        headers["X-Amzn-Trace-Id"] = trace_header
    call.send_answer(RestAnswer(200, headers, result.payload.raw))


def _response_too_large(result: InvocationResult) -> InvocationResult:
    payload = error_payload(
        "Function.ResponseSizeTooLarge",
        "Response payload size exceeded maximum allowed payload size "
        f"({limits.INVOKE_BYTES_MAX} bytes).",
    )
    return InvocationResult(payload, UNHANDLED, result.executed_version, result.log_tail)


def _finish_as_stream(call: Call, result: InvocationResult) -> None:
    raw = result.payload.raw
    complete: dict[str, Any] = {}
    if result.error is not None:
        complete["ErrorCode"] = result.error
        complete["ErrorDetails"] = raw.decode()
        raw = b""
    if result.log_tail:
        complete["LogResult"] = b64encode(result.log_tail).decode("ascii")
    stream = call.stream(EVENT_STREAM)
    for at in range(0, len(raw), CHUNK_BYTES):
        stream.write(encode_message(_CHUNK_HEADERS, raw[at : at + CHUNK_BYTES]))
    stream.write(encode_message(_COMPLETE_HEADERS, encode_json(complete)))
    stream.end()


_CHUNK_HEADERS: Final = event_headers("PayloadChunk", "application/octet-stream")
_COMPLETE_HEADERS: Final = event_headers("InvokeComplete", "application/json")

_CONTEXT_HEADERS: Final = {
    "ClientContext": "X-Amz-Client-Context",
    "InvocationType": "X-Amz-Invocation-Type",
    "LogType": "X-Amz-Log-Type",
    "TenantId": "X-Amz-Tenant-Id",
}

INVOKE_OPERATIONS: Final[tuple[RestOperation[Any], ...]] = (
    RestOperation(
        "Invoke",
        InvokeRequest,
        invoke,
        "POST",
        "/2015-03-31/functions/{FunctionName}/invocations",
        query=("Qualifier",),
        headers={**_CONTEXT_HEADERS, "DurableExecutionName": "X-Amz-Durable-Execution-Name"},
        payload="Payload",
    ),
    RestOperation(
        "InvokeAsync",
        InvokeAsyncRequest,
        invoke_async,
        "POST",
        "/2014-11-13/functions/{FunctionName}/invoke-async",
        status=202,
        payload="InvokeArgs",
    ),
    RestOperation(
        "InvokeWithResponseStream",
        InvokeWithResponseStreamRequest,
        invoke_with_response_stream,
        "POST",
        "/2021-11-15/functions/{FunctionName}/response-streaming-invocations",
        query=("Qualifier",),
        headers=_CONTEXT_HEADERS,
        payload="Payload",
    ),
)
"""The operations of this file, for `eventcore.api.functions`."""
