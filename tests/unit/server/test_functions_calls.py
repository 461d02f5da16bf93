"""The REST client of the commands of functions, against a server that says what a test wants."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from eventcore.bench.client import AwsJsonClient, CallFailed, EndpointUnreachable
from eventcore.errors import InvalidParameter
from eventcore.server.commands import functions_calls
from eventcore.server.commands.functions_calls import FunctionClient, log_text, take_region

ARN = "arn:aws:lambda:eu-west-1:123456789012:function:resize"


@asynccontextmanager
async def endpoint(answer: bytes) -> AsyncIterator[tuple[FunctionClient, list[bytes]]]:
    """A client of a server that gives every connection this answer; and the requests it got."""
    requests: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        requests.append(await reader.read(65_536))
        writer.write(answer)
        if not answer:
            with suppress(ConnectionError):
                await reader.read()
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
        over.set()

    over = asyncio.Event()
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, AwsJsonClient(f"http://127.0.0.1:{port}/base/") as client:
        yield FunctionClient(client, "a b"), requests
        await over.wait()


def response(status: str, body: bytes, *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", *headers, f"Content-Length: {len(body)}", "", ""]
    return "\r\n".join(lines).encode() + body


async def test_an_invocation_is_told_with_its_error_and_its_log() -> None:
    answer = response(
        "200 OK",
        b'{"errorType": "X"}',
        "X-Amz-Function-Error: Unhandled",
        "x-amz-executed-version: 3",
        "x-amzn-RequestId: r",
        "X-Amz-Log-Result: aGk=",
    )
    async with endpoint(answer) as (function, requests):
        seen = await function.invoke(b"{}", qualifier="li/ve", is_later=False, timeout_s=30)
    assert (seen.payload, seen.error, seen.version) == (b'{"errorType": "X"}', "Unhandled", "3")
    assert (seen.request_id, seen.log) == ("r", b"hi")
    head, _, body = requests[0].partition(b"\r\n\r\n")
    assert head.startswith(
        b"POST /base/2015-03-31/functions/a%20b/invocations?Qualifier=li%2Fve HTTP/1.1\r\n"
    )
    assert b"X-Amz-Log-Type: Tail" in head
    assert b"/us-east-1/lambda/aws4_request" in head
    assert body == b"{}"


@pytest.mark.parametrize(
    ("answer", "code", "reason"),
    [
        (
            response("404 X", b'{"Message": "gone"}', "x-amzn-ErrorType: NotThere:http://x"),
            "NotThere",
            "gone",
        ),
        (response("429 X", b'{"__type": "a#Slow", "message": "later"}'), "Slow", "later"),
        (response("500 X", b"<html>"), "UnknownError", "<html>"),
    ],
)
async def test_errors_have_a_code_and_a_reason(answer: bytes, code: str, reason: str) -> None:
    async with endpoint(answer) as (function, _):
        with pytest.raises(CallFailed) as caught:
            await function.configuration()
    assert (caught.value.code, caught.value.reason) == (code, reason)


@pytest.mark.parametrize("answer", [b"no HTTP\r\n\r\n", b"HTTP/1.1 200 OK\r\n"])
async def test_what_is_no_answer_is_told(answer: bytes) -> None:
    async with endpoint(answer) as (function, _):
        with pytest.raises(EndpointUnreachable, match=r"http://127\.0\.0\.1"):
            await function.configuration()


async def test_an_endpoint_that_never_answers_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(functions_calls, "TIMEOUT_S", 0.05)
    async with endpoint(b"") as (function, _):
        with pytest.raises(EndpointUnreachable, match=r"no answer to Invoke in 0\.05 s"):
            await function.invoke(b"", qualifier=None, is_later=True, timeout_s=0.05)


def test_an_arn_says_the_region() -> None:
    arguments = argparse.Namespace(function=ARN, region="us-east-1")
    take_region(arguments)
    assert arguments.region == "eu-west-1"
    arguments.function = "arn:aws:sqs:eu-west-1:123456789012:orders"
    with pytest.raises(InvalidParameter, match="is not the ARN of a function"):
        take_region(arguments)


def test_lines_of_a_log_are_shown_without_tabs_and_hard_spaces() -> None:
    assert log_text("REPORT\tDuration: 1 ms\t\n") == "REPORT  Duration: 1 ms"
    assert log_text("\u00a0\u00a0File") == "  File"
