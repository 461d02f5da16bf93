"""A lean asyncio client for AWS's JSON protocols (SQS, EventBridge, Kinesis), for load, demo and
command line.

- One request at a time per connection, connections kept alive, at most `connections_max` of them; a
  call beyond that waits for a free one, first come first served.
- The parser is httptools'; response headers are not looked at. That keeps the client's share of a
  measurement small.
- No signature is computed: the Authorization header carries a credential scope and a signature of
  zeros. It suits every local endpoint that does not verify signatures.
- With `retry_s` > 0 a call whose connection was lost, or that was answered with 5xx, is made again
  until that time is over. The lost request may have been carried out: **a retried send can store a
  message twice**.
- A connection whose call was cancelled or timed out is closed, never reused.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar, cast, final
from urllib.parse import urlsplit

import httptools
import msgspec

from eventcore.codec import decode_json, encode_json
from eventcore.errors import EventcoreError, InvalidParameter

__all__ = [
    "EVENTS",
    "KINESIS",
    "SQS",
    "AwsJsonClient",
    "CallFailed",
    "EndpointUnreachable",
    "ServiceProtocol",
    "call_failed",
]

P = TypeVar("P", bound=asyncio.BaseProtocol)
BACKOFF_FIRST_S: Final = 0.02
BACKOFF_LONGEST_S: Final = 0.5
SWEEP_S: Final = 0.5
"""How often overdue calls are looked for: a time-out fires at most this much late."""


class CallFailed(EventcoreError):
    """The endpoint answered with an error: HTTP `status`, AWS's error `code` without its prefix,
    and `reason`.
    """

    def __init__(self, operation: str, status: int, code: str, reason: str) -> None:
        super().__init__(f"{operation}: {code} (HTTP {status}): {reason}")
        self.operation = operation
        self.status = status
        self.code = code
        self.reason = reason


class EndpointUnreachable(EventcoreError):
    """No connection, or it was lost before the answer: whether the request was carried out is
    unknown.
    """


class ServiceProtocol(msgspec.Struct, frozen=True):
    """How a service is spoken to: its name in credential scopes, its X-Amz-Target prefix, its
    content type.
    """

    signing_name: str
    target_prefix: str
    content_type: str


SQS: Final = ServiceProtocol("sqs", "AmazonSQS", "application/x-amz-json-1.0")
EVENTS: Final = ServiceProtocol("events", "AWSEvents", "application/x-amz-json-1.1")
KINESIS: Final = ServiceProtocol("kinesis", "Kinesis_20131202", "application/x-amz-json-1.1")


class Reply(msgspec.Struct, frozen=True):
    """Status and body of one HTTP response."""

    status: int
    body: bytes


@final
class Connection(asyncio.Protocol):
    """One connection. Free when it has no `_waiter`; at most one request is outstanding."""

    def __init__(self) -> None:
        self.deadline_s = 0.0
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[Reply] | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._chunks: list[bytes] = []

    @property
    def is_usable(self) -> bool:
        """Whether another request may be sent on it."""
        return self._transport is not None and not self._transport.is_closing()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio's call: the connection is up."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """asyncio's call: bytes arrived."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(f"not HTTP: {error}")
            self.close()

    def on_body(self, body: bytes) -> None:
        """httptools' call: a piece of the body."""
        self._chunks.append(body)

    def on_message_complete(self) -> None:
        """httptools' call: the response is whole."""
        chunks = self._chunks
        body = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        self._chunks = []
        waiter, self._waiter = self._waiter, None
        if not self._parser.should_keep_alive():
            self.close()
        if waiter is not None and not waiter.done():
            waiter.set_result(Reply(self._parser.get_status_code(), body))

    def connection_lost(self, exc: Exception | None) -> None:
        """asyncio's call: the connection is gone."""
        self._transport = None
        self._fail(str(exc) if exc else "the connection was closed")

    async def exchange(self, request: bytes) -> Reply:
        """Sends a request and waits for its response. Raises EndpointUnreachable."""
        if self._transport is None:
            raise EndpointUnreachable("the connection was closed")
        self._waiter = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        try:
            return await self._waiter
        except asyncio.CancelledError:
            self.close()
            raise

    def fail_if_overdue(self, now_s: float) -> None:
        """Ends the outstanding request when its time is over."""
        if self._waiter is not None and now_s > self.deadline_s:
            self._fail("no answer in time")
            self.close()

    def close(self) -> None:
        """Closes the connection at once."""
        if self._transport is not None:
            self._transport.abort()

    def _fail(self, reason: str) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_exception(EndpointUnreachable(reason))


@final
class AwsJsonClient:
    """Calls of AWS JSON services at one endpoint. An async context manager; used by one event loop.

    `timeout_s` bounds each attempt, waiting for a free connection not included. `requests` counts
    all attempts, `retries` those made again.
    """

    def __init__(
        self,
        endpoint_url: str,
        *,
        region: str = "us-east-1",
        access_key: str = "eventcore",
        connections_max: int = 64,
        timeout_s: float = 60.0,
        retry_s: float = 0.0,
    ) -> None:
        parts = urlsplit(endpoint_url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise InvalidParameter("endpoint_url", "Must be http(s)://host[:port].", endpoint_url)
        self.endpoint_url = endpoint_url
        self.region = region
        self.requests = 0
        self.retries = 0
        self._access_key = access_key
        self._host = parts.hostname
        self._port = parts.port or (443 if parts.scheme == "https" else 80)
        self._path = parts.path or "/"
        self._tls = ssl.create_default_context() if parts.scheme == "https" else None
        self._connections_max = connections_max
        self._timeout_s = timeout_s
        self._retry_s = retry_s
        self._heads: dict[tuple[str, str], bytes] = {}
        self._idle: list[Connection] = []
        self._open: set[Connection] = set()
        self._busy_count = 0
        self._queue: deque[asyncio.Future[None]] = deque()
        self._sweeper: asyncio.TimerHandle | None = None

    async def __aenter__(self) -> AwsJsonClient:
        self._sweep()
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._sweeper is not None:
            self._sweeper.cancel()
        for connection in tuple(self._open):
            connection.close()
        await asyncio.sleep(0)

    async def call(self, service: ServiceProtocol, operation: str, parameters: object) -> Any:
        """Makes a call and returns the decoded answer. Raises CallFailed, EndpointUnreachable."""
        body = await self.call_raw(service, operation, encode_json(parameters))
        return decode_json(body) if body else {}

    async def call_raw(self, service: ServiceProtocol, operation: str, body: bytes) -> bytes:
        """The same with the JSON texts themselves, for callers that count microseconds."""
        return await self._answer_to(operation, self.request(service, operation, body))

    def request(self, service: ServiceProtocol, operation: str, body: bytes) -> bytes:
        """The bytes of a request."""
        return b"%b%d\r\n\r\n%b" % (self._head(service, operation), len(body), body)

    async def connect(self, protocol: Callable[[], P]) -> P:
        """Opens a connection beside those of the calls. Raises EndpointUnreachable."""
        try:
            async with asyncio.timeout(self._timeout_s):
                _, connection = await asyncio.get_running_loop().create_connection(
                    protocol, self._host, self._port, ssl=self._tls
                )
        except (OSError, TimeoutError) as error:
            raise EndpointUnreachable(f"{self.endpoint_url}: {error}") from error
        return connection

    async def get(self, path: str) -> bytes:
        """The body of what the endpoint has at a path, which begins with "/" and is
        percent-encoded: for what is no AWS operation. Raises CallFailed, EndpointUnreachable.
        """
        head = (
            f"GET {self._path.rstrip('/')}{path} HTTP/1.1\r\n"
            f"Host: {self._host}:{self._port}\r\n"
            "Accept: application/json\r\n\r\n"
        )
        return await self._answer_to(f"GET {path}", head.encode())

    async def _answer_to(self, operation: str, request: bytes) -> bytes:
        if self._retry_s > 0:
            reply = await self._retrying(lambda: self._attempt(request))
        else:
            reply = await self._attempt(request)
        if reply.status >= 400:
            raise call_failed(operation, reply.status, reply.body)
        return reply.body

    async def _retrying(self, attempt: Callable[[], Awaitable[Reply]]) -> Reply:
        loop = asyncio.get_running_loop()
        give_up_s = loop.time() + self._retry_s
        pause_s = BACKOFF_FIRST_S
        while True:
            try:
                reply = await attempt()
                if reply.status < 500 or loop.time() > give_up_s:
                    return reply
            except EndpointUnreachable:
                if loop.time() > give_up_s:
                    raise
            self.retries += 1
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, BACKOFF_LONGEST_S)

    async def _attempt(self, request: bytes) -> Reply:
        await self._take_turn()
        self.requests += 1
        try:
            connection = await self._connection()
            connection.deadline_s = asyncio.get_running_loop().time() + self._timeout_s
            try:
                reply = await connection.exchange(request)
            except EndpointUnreachable as error:
                raise EndpointUnreachable(f"{self.endpoint_url}: {error}") from error
            if connection.is_usable:
                self._idle.append(connection)
            return reply
        finally:
            self._give_turn()

    async def _take_turn(self) -> None:
        if self._busy_count < self._connections_max:
            self._busy_count += 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._give_turn()
            raise

    def _give_turn(self) -> None:
        while self._queue:
            turn = self._queue.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._busy_count -= 1

    async def _connection(self) -> Connection:
        while self._idle:
            connection = self._idle.pop()
            if connection.is_usable:
                return connection
        connection = await self.connect(Connection)
        self._open.add(connection)
        return connection

    def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        now_s = loop.time()
        for connection in self._open:
            connection.fail_if_overdue(now_s)
        self._open = {connection for connection in self._open if connection.is_usable}
        self._sweeper = loop.call_later(SWEEP_S, self._sweep)

    def _head(self, service: ServiceProtocol, operation: str) -> bytes:
        """Request line and headers up to the body's length, made once per operation."""
        key = (service.signing_name, operation)
        head = self._heads.get(key)
        if head is None:
            scope = f"{self._access_key}/20260101/{self.region}/{service.signing_name}/aws4_request"
            head = self._heads[key] = (
                f"POST {self._path} HTTP/1.1\r\n"
                f"Host: {self._host}:{self._port}\r\n"
                f"Content-Type: {service.content_type}\r\n"
                f"X-Amz-Target: {service.target_prefix}.{operation}\r\n"
                "X-Amz-Date: 20260101T000000Z\r\n"
                f"Authorization: AWS4-HMAC-SHA256 Credential={scope}, "
                f"SignedHeaders=host;x-amz-date, Signature={'0' * 64}\r\n"
                "Content-Length: "
            ).encode()
        return head


def call_failed(operation: str, status: int, body: bytes) -> CallFailed:
    """The error in a response: `__type` with or without a prefix up to "#", and `message` or
    `Message`.
    """
    try:
        answer = decode_json(body)
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        return CallFailed(operation, status, "UnknownError", body[:200].decode(errors="replace"))
    code = str(answer.get("__type", "UnknownError")).rpartition("#")[2]
    reason = answer.get("message", answer.get("Message", ""))
    return CallFailed(operation, status, code, str(reason))
