"""What the commands of functions share: Lambda's operations over REST, and how a function is named.

Rules of this file:

- A function is named by its name, or by its ARN, which then says the region as well, and may have a
  qualifier.
- Each call has a connection of its own, which is closed afterwards: an invocation may take fifteen
  minutes, and there are few calls.
- Nothing is tried again: what was invoked may have been carried out. Raises CallFailed,
  EndpointUnreachable.
- As the other commands' requests, these carry a credential scope and a signature of zeros.
"""

from __future__ import annotations

import argparse
import asyncio
import os
from base64 import b64decode, b64encode
from collections.abc import Mapping
from typing import Any, Final, cast, final
from urllib.parse import quote, urlsplit

import httptools
import msgspec

from eventcore.arn import parse_arn, split_qualifier
from eventcore.bench.client import AwsJsonClient, CallFailed, EndpointUnreachable
from eventcore.codec import decode_json, encode_json, json_decoder
from eventcore.errors import InvalidParameter

__all__ = [
    "NOT_FOUND",
    "Configuration",
    "FunctionClient",
    "InvokeAnswer",
    "RestReply",
    "add_function_argument",
    "log_text",
    "take_region",
]

FUNCTIONS: Final = "/2015-03-31/functions"
NOT_FOUND: Final = "ResourceNotFoundException"
TIMEOUT_S: Final = 60.0
TAIL: Final = "Tail"


# Arguments


def add_function_argument(parser: argparse.ArgumentParser) -> None:
    """Declares the function."""
    parser.add_argument("function", metavar="NAME", help="name or ARN")


def take_region(arguments: argparse.Namespace) -> None:
    """Takes the region of a function that is named by its ARN. Raises InvalidParameter."""
    if arguments.function.startswith("arn:"):
        arn = parse_arn(arguments.function)
        if arn.service != "lambda" or not arn.resource.startswith("function:"):
            reason = f"{arguments.function} is not the ARN of a function."
            raise InvalidParameter("function", reason)
        arguments.region = arn.region


def log_text(text: str) -> str:
    """A line of a log, or some, with spaces for the tabs and hard spaces that Lambda's have."""
    return text.rstrip().replace("\t", "  ").replace("\u00a0", " ")


# What is answered


class Configuration(msgspec.Struct, frozen=True, rename="pascal"):
    """A function's configuration, as far as the commands need it."""

    function_arn: str
    version: str = "$LATEST"
    state: str = "Active"
    state_reason: str = ""
    last_update_status: str = "Successful"
    last_update_status_reason: str = ""
    code_sha256: str = msgspec.field(name="CodeSha256", default="")

    @property
    def arn(self) -> str:
        """The ARN without a qualifier."""
        return split_qualifier(self.function_arn)[0]


class InvokeAnswer(msgspec.Struct, frozen=True):
    """What an invocation was answered. `error` is FunctionError, None for success; `log` the tail
    of the function's log.
    """

    payload: bytes
    error: str | None
    version: str
    request_id: str
    log: bytes


class RestReply(msgspec.Struct, frozen=True):
    """Status, headers (names in lower case) and body of a response."""

    status: int
    headers: dict[str, str]
    body: bytes


_decode_configuration: Final = json_decoder(Configuration)


@final
class FunctionClient:
    """Lambda's operations on one function of an endpoint. Each call but an invocation has
    TIMEOUT_S seconds.
    """

    def __init__(self, client: AwsJsonClient, function: str) -> None:
        self._client = client
        self._function = function
        self._path = f"{FUNCTIONS}/{quote(function, safe='')}"

    async def configuration(self) -> Configuration:
        """GetFunctionConfiguration."""
        reply = await self._call("GetFunctionConfiguration", "GET", f"{self._path}/configuration")
        return _decode_configuration(reply.body)

    async def create(self, members: Mapping[str, Any], code: bytes) -> Configuration:
        """CreateFunction, of a zip."""
        body = {"FunctionName": self._function, "Code": _zip_file(code), **members}
        reply = await self._call("CreateFunction", "POST", FUNCTIONS, encode_json(body))
        return _decode_configuration(reply.body)

    async def update_code(self, code: bytes) -> Configuration:
        """UpdateFunctionCode, with a zip."""
        body = encode_json(_zip_file(code))
        reply = await self._call("UpdateFunctionCode", "PUT", f"{self._path}/code", body)
        return _decode_configuration(reply.body)

    async def update_configuration(self, members: Mapping[str, Any]) -> Configuration:
        """UpdateFunctionConfiguration."""
        path, body = f"{self._path}/configuration", encode_json(members)
        reply = await self._call("UpdateFunctionConfiguration", "PUT", path, body)
        return _decode_configuration(reply.body)

    async def invoke(
        self, payload: bytes, *, qualifier: str | None, is_later: bool, timeout_s: float
    ) -> InvokeAnswer:
        """Invoke: waits for the answer for so long, or, with `is_later`, only until the event is
        taken.
        """
        path = f"{self._path}/invocations"
        if qualifier is not None:
            path += f"?Qualifier={quote(qualifier, safe='')}"
        headers = {"X-Amz-Invocation-Type": "Event" if is_later else "RequestResponse"}
        if not is_later:
            headers["X-Amz-Log-Type"] = TAIL
        reply = await self._call("Invoke", "POST", path, payload, headers, timeout_s)
        return InvokeAnswer(
            payload=reply.body,
            error=reply.headers.get("x-amz-function-error"),
            version=reply.headers.get("x-amz-executed-version", ""),
            request_id=reply.headers.get("x-amzn-requestid", ""),
            log=b64decode(reply.headers.get("x-amz-log-result", "")),
        )

    async def _call(
        self,
        operation: str,
        method: str,
        path: str,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> RestReply:
        connection = await self._client.connect(_Exchange)
        try:
            async with asyncio.timeout(timeout_s):
                reply = await connection.exchange(self._request(method, path, body, headers or {}))
        except TimeoutError:
            reason = f"{self._client.endpoint_url}: no answer to {operation} in {timeout_s:g} s"
            raise EndpointUnreachable(reason) from None
        except EndpointUnreachable as error:
            raise EndpointUnreachable(f"{self._client.endpoint_url}: {error}") from error
        finally:
            connection.close()
        if reply.status >= 400:
            raise _failure(operation, reply)
        return reply

    def _request(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> bytes:
        parts = urlsplit(self._client.endpoint_url)
        access_key = os.environ.get("AWS_ACCESS_KEY_ID", "eventcore")
        scope = f"{access_key}/20260101/{self._client.region}/lambda/aws4_request"
        lines = [
            f"{method} {parts.path.rstrip('/')}{path} HTTP/1.1",
            f"Host: {parts.netloc}",
            "Connection: close",
            "Content-Type: application/json",
            "X-Amz-Date: 20260101T000000Z",
            f"Authorization: AWS4-HMAC-SHA256 Credential={scope}, "
            f"SignedHeaders=host;x-amz-date, Signature={'0' * 64}",
            *(f"{name}: {value}" for name, value in headers.items()),
            f"Content-Length: {len(body)}",
        ]
        return "\r\n".join([*lines, "", ""]).encode() + body


def _zip_file(code: bytes) -> dict[str, str]:
    return {"ZipFile": b64encode(code).decode("ascii")}


def _failure(operation: str, reply: RestReply) -> CallFailed:
    """The error of an answer: its code is in a header, or, from some, in the body."""
    try:
        answer = decode_json(reply.body)
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        answer = {"message": reply.body[:200].decode(errors="replace")}
    named = reply.headers.get("x-amzn-errortype") or str(answer.get("__type", "UnknownError"))
    code = named.partition(":")[0].rpartition("#")[2]
    reason = answer.get("message", answer.get("Message", ""))
    return CallFailed(operation, reply.status, code, str(reason))


@final
class _Exchange(asyncio.Protocol):
    """One connection for one request."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._headers: dict[str, str] = {}
        self._chunks: list[bytes] = []
        self._answer: asyncio.Future[RestReply] = asyncio.get_running_loop().create_future()

    async def exchange(self, request: bytes) -> RestReply:
        """Sends the request and waits for its response. Raises EndpointUnreachable."""
        if self._transport is not None:
            self._transport.write(request)
        return await self._answer

    def close(self) -> None:
        """Closes the connection at once."""
        if self._transport is not None:
            self._transport.abort()
        self._answer.cancel()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio's call: the connection is up."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """asyncio's call: bytes arrived."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(f"not HTTP: {error}")

    def connection_lost(self, exc: Exception | None) -> None:
        """asyncio's call: the connection is gone."""
        self._fail(str(exc) if exc else "the connection was closed")

    def on_header(self, name: bytes, value: bytes) -> None:
        """httptools' call: a header."""
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        """httptools' call: a piece of the body."""
        self._chunks.append(body)

    def on_message_complete(self) -> None:
        """httptools' call: the response is whole."""
        if not self._answer.done():
            status = self._parser.get_status_code()
            self._answer.set_result(RestReply(status, self._headers, b"".join(self._chunks)))

    def _fail(self, reason: str) -> None:
        if not self._answer.done():
            self._answer.set_exception(EndpointUnreachable(reason))
