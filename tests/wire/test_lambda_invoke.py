"""Invoke and its kin: what is asked for in headers, told in headers, and refused."""

from __future__ import annotations

import asyncio
import json
from base64 import b64decode, b64encode
from collections.abc import Callable
from typing import Any

import pytest

from eventcore import limits
from eventcore.api import functions_invoke
from eventcore.arn import function_arn
from eventcore.errors import LimitExceeded
from eventcore.functions.async_events import AsyncEvent
from eventcore.functions.function import Function
from eventcore.functions.function_spec import KIND_LOCAL, FunctionConfig
from eventcore.functions.invocation import FailedInvocation, Invocation, InvocationResult, Payload
from eventcore.runtime.local_functions import LocalFunction
from eventcore.wire.event_stream import decode_messages

ACCOUNT, REGION = "000000000000", "us-east-1"
ARN = function_arn(ACCOUNT, REGION, "worker")
TRACE = "Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=1"


class Invoked:
    """An invoker that keeps what it was given, and answers what the test says."""

    def __init__(self) -> None:
        self.given: list[Invocation] = []
        self.answer: InvocationResult | Exception = InvocationResult(Payload.of(None), None, "1")
        self.gate: asyncio.Event | None = None

    async def invoke(self, invocation: Invocation) -> InvocationResult:
        self.given.append(invocation)
        if self.gate is not None:
            await self.gate.wait()
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    async def close(self) -> None:
        """Holds nothing."""


@pytest.fixture
def work(wire: Any) -> Function:
    """The function "worker" with version 1 and an alias "live" of it."""
    engine = wire.engine
    engine.begin()
    config = FunctionConfig(kind=KIND_LOCAL, handler="worker")
    function = engine.functions.create(ARN, config, None)
    engine.functions.run(function, function.publish(engine.now_ms()))
    outcome = function.put_alias("live", "1", description="", weights={}, is_new=True)
    engine.functions.run(function, outcome)
    return function


@pytest.fixture
def invoked(wire: Any, work: Function) -> Invoked:
    invoker = Invoked()
    wire.engine.functions.register(ARN, invoker)
    return invoker


@pytest.fixture
def call(wire: Any) -> Callable[..., Any]:
    """Makes a request, without waiting for its answer."""

    def made(body: bytes = b"", name: str = "worker", target: str = "", **headers: str) -> Any:
        path = target or f"/2015-03-31/functions/{name}/invocations"
        lines = {f"x-amz-{k.replace('_', '-')}".encode(): v.encode() for k, v in headers.items()}
        return wire.raw(body, lines, path.encode())

    return made


@pytest.fixture
def ask(wire: Any, call: Callable[..., Any]) -> Callable[..., Any]:
    """Makes a request, and waits for its answer."""

    async def made(*given: Any, **members: Any) -> Any:
        answer = await wire.settle(call(*given, **members))
        assert answer.is_there
        return answer

    return made


# RequestResponse


async def test_a_function_is_invoked_and_its_answer_told(
    ask: Callable[..., Any], invoked: Invoked
) -> None:
    invoked.answer = InvocationResult(Payload.of({"n": 1}), None, "$LATEST")
    answer = await ask(b' {"a": [1.50]}')
    assert (answer.status, answer.body) == (200, b'{"n":1}')
    assert answer.headers["X-Amz-Executed-Version"] == "$LATEST"
    assert "X-Amz-Function-Error" not in answer.headers
    assert "X-Amz-Log-Result" not in answer.headers
    (given,) = invoked.given
    assert given.payload.raw == b' {"a": [1.50]}'
    assert (given.invoked_arn, given.version) == (ARN, "$LATEST")
    assert given.request_id == answer.headers["x-amzn-requestid"]
    assert not given.wants_log_tail


async def test_a_function_is_invoked_with_an_empty_object_where_nothing_is_sent(
    ask: Callable[..., Any], invoked: Invoked
) -> None:
    assert (await ask()).body == b"null"
    assert invoked.given[0].payload.raw == b"{}"


@pytest.mark.parametrize(
    ("name", "query", "invoked_arn", "version"),
    [
        ("worker", "", ARN, "$LATEST"),
        ("worker:live", "", f"{ARN}:live", "1"),
        ("worker", "?Qualifier=1", f"{ARN}:1", "1"),
        (ARN.replace(":", "%3A"), "?Qualifier=%24LATEST", f"{ARN}:$LATEST", "$LATEST"),
        (f"{ACCOUNT}:function:worker", "?Qualifier=live", f"{ARN}:live", "1"),
    ],
)
async def test_versions_and_aliases_are_invoked_by_their_names(
    ask: Callable[..., Any],
    invoked: Invoked,
    name: str,
    query: str,
    invoked_arn: str,
    version: str,
) -> None:
    answer = await ask(target=f"/2015-03-31/functions/{name}/invocations{query}")
    assert answer.status == 200
    (given,) = invoked.given
    assert (given.invoked_arn, given.version) == (invoked_arn, version)


async def test_an_error_of_the_function_is_an_answer(
    wire: Any, ask: Callable[..., Any], work: Function
) -> None:
    def fails(event: Any, context: Any) -> None:
        raise ValueError("no good")

    async def handler(event: Any, context: Any) -> None:
        fails(event, context)

    wire.engine.functions.register(ARN, LocalFunction(handler, wire.clock))
    answer = await ask(b"1")
    assert answer.status == 200
    assert answer.headers["X-Amz-Function-Error"] == "Unhandled"
    assert answer.json["errorMessage"] == "no good"
    assert answer.json["errorType"] == "ValueError"


async def test_an_answer_that_is_too_large_is_an_error_of_the_function(
    ask: Callable[..., Any], invoked: Invoked
) -> None:
    most = limits.INVOKE_BYTES_MAX
    invoked.answer = InvocationResult(Payload.of("a" * (most - 2)), None, "1")
    assert len((await ask()).body) == most
    invoked.answer = InvocationResult(Payload.of("a" * (most - 1)), None, "1", b"log")
    answer = await ask()
    assert answer.headers["X-Amz-Function-Error"] == "Unhandled"
    assert answer.json == {
        "errorMessage": "Response payload size exceeded maximum allowed payload size "
        "(6291556 bytes).",
        "errorType": "Function.ResponseSizeTooLarge",
    }
    assert answer.headers["X-Amz-Log-Result"] == b64encode(b"log").decode()


async def test_headers_carry_the_log_the_context_and_the_trace(wire: Any, invoked: Invoked) -> None:
    invoked.answer = InvocationResult(Payload.of(None), None, "1", b"START\n\xffEND\n")
    context = b64encode(b'{"custom": {"a": "b"}}')
    headers = {
        b"x-amz-invocation-type": b"RequestResponse",
        b"x-amz-log-type": b"Tail",
        b"x-amz-client-context": context,
        b"x-amzn-trace-id": TRACE.encode(),
    }
    target = b"/2015-03-31/functions/worker/invocations"
    answer = await wire.settle(wire.raw(b"{}", headers, target))
    assert b64decode(answer.headers["X-Amz-Log-Result"]) == b"START\n\xffEND\n"
    assert answer.headers["X-Amzn-Trace-Id"] == TRACE
    (given,) = invoked.given
    assert given.wants_log_tail
    assert given.client_context == '{"custom": {"a": "b"}}'
    assert given.trace_header.startswith(TRACE)


async def test_a_function_goes_on_when_its_caller_hangs_up(
    wire: Any, call: Callable[..., Any], invoked: Invoked
) -> None:
    invoked.gate = asyncio.Event()
    answer = call()
    for _ in range(10):
        await asyncio.sleep(0)
    assert len(invoked.given) == 1
    answer.on_disconnect()
    invoked.gate.set()
    for _ in range(100):
        if not wire.engine.functions.concurrency(wire.engine.functions.find(ARN)):
            break
        await asyncio.sleep(0)
    counts = wire.engine.functions.counts(ARN)
    assert (counts.invocations, counts.errors) == (1, 0)
    assert wire.engine.functions.concurrency(wire.engine.functions.find(ARN)) == 0


async def test_invocations_that_run_at_a_time_are_bounded(
    wire: Any, call: Callable[..., Any], invoked: Invoked, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(functions_invoke, "RUNNING_MAX", 2)
    invoked.gate = asyncio.Event()
    waiting = [call(), call()]
    for answer in waiting:
        answer.on_disconnect()
    refused = call()
    assert refused.status == 429
    assert refused.json["Reason"] == "FunctionInvocationRateLimitExceeded"
    invoked.gate.set()
    for answer in waiting:
        await wire.settle(answer)
    await asyncio.sleep(0)
    assert (await wire.settle(call())).status == 200


# Event


async def test_an_event_is_durable_when_it_is_accepted(
    wire: Any, ask: Callable[..., Any], work: Function
) -> None:
    for answer in (
        await ask(b'{"a": 1}', invocation_type="Event"),
        await ask(b'"old"', target="/2014-11-13/functions/worker/invoke-async/"),
    ):
        assert (answer.status, answer.body) == (202, b"")
    rows = b"".join(value for _, _, value in await wire.rows())
    assert b'{"a": 1}' in rows
    assert b'"old"' in rows
    counts = work.statistics(wire.clock.now_ms())
    assert counts.ready + counts.waiting + counts.attempting == 2


async def test_an_event_is_invoked_after_its_acceptance(
    wire: Any, ask: Callable[..., Any], invoked: Invoked
) -> None:
    context = b64encode(b"{}").decode()
    accepted = await ask(b"7", name="worker:live", invocation_type="Event", client_context=context)
    for _ in range(1_000):
        if invoked.given:
            break
        await asyncio.sleep(0)
    (given,) = invoked.given
    assert given.payload.value == 7
    assert given.request_id == accepted.headers["x-amzn-requestid"]
    assert (given.invoked_arn, given.version) == (f"{ARN}:live", "1")
    assert given.client_context == "", "it is for synchronous invocations only"


async def test_a_full_queue_of_events_is_a_rate_that_is_exceeded(
    wire: Any, ask: Callable[..., Any], work: Function, monkeypatch: pytest.MonkeyPatch
) -> None:
    def is_full(function: Function, event: AsyncEvent) -> str:
        raise LimitExceeded("async_events_max", 1)

    monkeypatch.setattr(wire.engine.functions, "invoke_later", is_full)
    answer = await ask(invocation_type="Event")
    assert answer.status == 429
    assert answer.headers["retry-after"] == "1"
    assert answer.json == {
        "Reason": "FunctionInvocationRateLimitExceeded",
        "Type": "User",
        "message": "Rate Exceeded.",
    }


# DryRun


async def test_a_dry_run_tells_whether_there_is_such_a_function(
    ask: Callable[..., Any], invoked: Invoked
) -> None:
    answer = await ask(b"no JSON", invocation_type="DryRun")
    assert (answer.status, answer.body) == (204, b"")
    assert invoked.given == []
    missing = await ask(name="other", invocation_type="DryRun")
    assert missing.status == 404


# What is refused


@pytest.mark.parametrize("kind", ["RequestResponse", "Event"])
async def test_a_payload_that_is_no_json_is_refused(
    ask: Callable[..., Any], invoked: Invoked, kind: str
) -> None:
    for body in (b"hello", b"{", b'{"a": NaN}', b"\xff\xfe", b"[" * 100_000):
        answer = await ask(body, invocation_type=kind)
        assert answer.status == 400
        assert answer.headers["x-amzn-errortype"] == "InvalidRequestContentException"
        assert answer.json["Type"] == "User"
        assert answer.json["message"].startswith(
            "Could not parse request body into json: Could not parse payload into json: "
        )
    assert invoked.given == []


async def test_a_payload_that_is_too_large_is_refused(
    ask: Callable[..., Any], invoked: Invoked
) -> None:
    most = functions_invoke.REQUEST_BYTES_MAX
    assert (await ask(b'"' + b"a" * (most - 2) + b'"')).status == 200
    answer = await ask(b'"' + b"a" * (most - 1) + b'"')
    assert answer.status == 413
    assert answer.headers["x-amzn-errortype"] == "RequestEntityTooLargeException"
    assert answer.json == {
        "message": "Request must be smaller than 6291456 bytes for the InvokeFunction operation"
    }


async def test_an_event_that_is_too_large_is_refused(
    ask: Callable[..., Any], work: Function
) -> None:
    most = limits.INVOKE_LATER_BYTES_MAX
    kind = {"invocation_type": "Event"}
    assert (await ask(b'"' + b"a" * (most - 2) + b'"', **kind)).status == 202
    answer = await ask(b'"' + b"a" * (most - 1) + b'"', **kind)
    assert answer.status == 413
    assert answer.json["message"] == (
        "1048577 byte payload is too large for the Event invocation type (limit 1048576 bytes)"
    )


@pytest.mark.parametrize("context", ["string", "aGVsbG8=", "W10=", "e30", "=", "e3" * 1_800])
async def test_a_client_context_that_is_none_is_refused(
    ask: Callable[..., Any], invoked: Invoked, context: str
) -> None:
    answer = await ask(client_context=context)
    assert answer.status == 400
    assert answer.headers["x-amzn-errortype"] == "InvalidRequestContentException"
    assert answer.json["message"] == "Client context must be a valid Base64-encoded JSON object."
    assert invoked.given == []


@pytest.mark.parametrize(
    ("name", "query", "asked_for"),
    [
        ("other", "", ":function:other:$LATEST"),
        ("worker:none", "", ":function:worker:none"),
        ("worker", "?Qualifier=7", ":function:worker:7"),
        ("function", "", ":function:function:$LATEST"),
    ],
)
@pytest.mark.parametrize("kind", ["RequestResponse", "Event"])
async def test_a_function_that_is_not_there_is_told_by_its_arn(
    ask: Callable[..., Any], work: Function, name: str, query: str, asked_for: str, kind: str
) -> None:
    target = f"/2015-03-31/functions/{name}/invocations{query}"
    answer = await ask(target=target, invocation_type=kind)
    assert answer.status == 404
    assert answer.headers["x-amzn-errortype"] == "ResourceNotFoundException"
    assert answer.json == {
        "Type": "User",
        "Message": f"Function not found: arn:aws:lambda:{REGION}:{ACCOUNT}{asked_for}",
    }


async def test_a_function_without_concurrency_is_throttled(
    wire: Any, ask: Callable[..., Any], invoked: Invoked, work: Function
) -> None:
    wire.engine.begin()
    wire.engine.functions.run(work, work.set_reserved(0))
    answer = await ask()
    assert answer.status == 429
    assert answer.headers["x-amzn-errortype"] == "TooManyRequestsException"
    assert answer.headers["retry-after"] == "1"
    assert answer.json == {
        "Reason": "ReservedFunctionConcurrentInvocationLimitExceeded",
        "Type": "User",
        "message": "Rate Exceeded.",
    }
    assert invoked.given == []


async def test_a_recursive_loop_is_refused(
    wire: Any, ask: Callable[..., Any], invoked: Invoked
) -> None:
    trace = TRACE
    target = b"/2015-03-31/functions/worker/invocations"
    for _ in range(limits.RECURSION_INVOCATIONS_MAX):
        answer = await wire.settle(wire.raw(b"", {b"x-amzn-trace-id": trace.encode()}, target))
        assert answer.status == 200
        trace = invoked.given[-1].trace_header
    answer = await wire.settle(wire.raw(b"", {b"x-amzn-trace-id": trace.encode()}, target))
    assert answer.status == 400
    assert answer.headers["x-amzn-errortype"] == "RecursiveInvocationException"
    assert answer.json["Type"] == "User"
    assert answer.json["Message"]


async def test_what_keeps_a_function_from_running_may_be_tried_again(
    ask: Callable[..., Any], invoked: Invoked
) -> None:
    invoked.answer = FailedInvocation("the process could not be started")
    answer = await ask()
    assert answer.status == 500
    assert answer.headers["x-amzn-errortype"] == "ServiceException"
    assert answer.json == {"Type": "Service", "Message": "the process could not be started"}


async def test_a_bug_of_an_invoker_is_answered_and_told(
    wire: Any, ask: Callable[..., Any], invoked: Invoked
) -> None:
    invoked.answer = KeyError("a bug")
    assert (await ask()).status == 500
    assert [type(bug) for bug in wire.bugs] == [KeyError]
    wire.bugs.clear()


@pytest.mark.parametrize(
    ("headers", "place"),
    [
        ({"invocation_type": "Sometimes"}, "invocationType"),
        ({"log_type": "Head"}, "logType"),
    ],
)
async def test_a_header_that_says_what_there_is_none_of_is_refused(
    ask: Callable[..., Any], invoked: Invoked, headers: dict[str, str], place: str
) -> None:
    answer = await ask(**headers)
    assert answer.status == 400
    assert answer.headers["x-amzn-errortype"] == "ValidationException"
    assert f"at '{place}' failed to satisfy constraint" in answer.json["message"]


async def test_a_qualifier_is_told_before_the_function_s_name(ask: Callable[..., Any]) -> None:
    target = f"/2015-03-31/functions/a!/invocations?Qualifier={'a' * 129}"
    message = (await ask(target=target)).json["message"]
    assert message.startswith("2 validation errors detected: Value '")
    assert message.index("'qualifier'") < message.index("'functionName'")


@pytest.mark.parametrize("headers", [{"durable_execution_name": "a"}, {"tenant_id": "a"}])
async def test_what_there_is_none_of_here_is_refused_as_not_supported(
    ask: Callable[..., Any], invoked: Invoked, headers: dict[str, str]
) -> None:
    assert (await ask(**headers)).status == 501
    assert invoked.given == []


# InvokeWithResponseStream

STREAMING = "/2021-11-15/functions/worker/response-streaming-invocations"


def events_of(answer: Any) -> list[tuple[Any, bytes]]:
    """The events of a streamed answer: (type, payload)."""
    assert answer.headers["content-type"] == "application/vnd.amazon.eventstream"
    assert not answer.parts.is_open
    buffer = bytearray(b"".join(answer.parts.written))
    return [(m.headers[":event-type"], bytes(m.payload)) for m in decode_messages(buffer)]


async def test_an_answer_is_streamed_in_chunks(ask: Callable[..., Any], invoked: Invoked) -> None:
    text = "a" * (functions_invoke.CHUNK_BYTES + 10)
    invoked.answer = InvocationResult(Payload.of(text), None, "1", b"log")
    answer = await ask(b"{}", target=STREAMING, log_type="Tail")
    assert answer.status == 200
    *chunks, (last, complete) = events_of(answer)
    assert [kind for kind, _ in chunks] == ["PayloadChunk", "PayloadChunk"]
    assert json.loads(b"".join(payload for _, payload in chunks)) == text
    assert last == "InvokeComplete"
    assert json.loads(complete) == {"LogResult": b64encode(b"log").decode()}


async def test_an_error_ends_the_stream(ask: Callable[..., Any], invoked: Invoked) -> None:
    invoked.answer = InvocationResult(Payload.of({"errorType": "E"}), "Unhandled", "1")
    ((kind, complete),) = events_of(await ask(target=STREAMING))
    assert kind == "InvokeComplete"
    told = json.loads(complete)
    assert told == {"ErrorCode": "Unhandled", "ErrorDetails": '{"errorType":"E"}'}


async def test_a_stream_is_refused_before_it_begins(ask: Callable[..., Any]) -> None:
    assert (await ask(target=STREAMING)).status == 404
    assert (await ask(target=STREAMING, invocation_type="Event")).status == 400
    assert (await ask(target=STREAMING, invocation_type="DryRun")).status == 404
