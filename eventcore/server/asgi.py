"""The dispatch as an ASGI 3 application, to be served by uvicorn or mounted in another program.

    app = asgi_app(Dispatcher(engine))

Scopes: http, and lifespan (accepted; the engine's life is the caller's business). Bodies are
bounded as in the daemon; everything else about connections is the business of the ASGI server.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from typing import Any, final

from eventcore.errors import UnsupportedOperation
from eventcore.limits import HTTP_BODY_BYTES_MAX, HTTP_UNREAD_BYTES_MAX
from eventcore.server.exchange import call_safely
from eventcore.wire.http import (
    TEXT_HEAD,
    Dispatch,
    HttpRequest,
    OnDisconnect,
    OnDrain,
    ResponseStream,
    has_no_body,
)

__all__ = ["Application", "asgi_app"]

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]


def asgi_app(dispatch: Dispatch, *, body_bytes_max: int = HTTP_BODY_BYTES_MAX) -> Application:
    """An ASGI application that serves `dispatch`. Must run on the engine's event loop."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _live(receive, send)
        elif scope["type"] == "http":
            await _serve(dispatch, scope, receive, send, body_bytes_max)
        else:
            raise UnsupportedOperation("asgi", scope["type"], "only http is served")

    return app


@final
class _AsgiExchange:
    """The way back of one request: an `eventcore.wire.http.Exchange` that ends in a future.

    The answer's body is None where it comes in parts; those are in `parts`.
    """

    __slots__ = ("answer", "on_disconnect", "parts")

    def __init__(self) -> None:
        self.on_disconnect: OnDisconnect | None = None
        self.parts: _AsgiStream | None = None
        loop = asyncio.get_running_loop()
        self.answer: asyncio.Future[tuple[int, bytes, bytes | None]] = loop.create_future()

    def reply(self, status: int, head: bytes, body: bytes) -> None:
        """See Exchange."""
        if self.answer.cancelled():
            return
        assert not self.answer.done(), "this request was answered before"
        self.on_disconnect = None
        self.answer.set_result((status, head, body))

    def stream(self, status: int, head: bytes) -> ResponseStream:
        """See Exchange."""
        self.parts = parts = _AsgiStream(self)
        if self.answer.cancelled():
            parts.is_open = False
            return parts
        assert not self.answer.done(), "this request was answered before"
        self.answer.set_result((status, head, None))
        return parts

    def cancel(self) -> None:
        """The client is gone: no reply is possible any more. Of no effect after an answer."""
        if self.parts is not None:
            if not self.parts.is_open:
                return
            self.parts.is_open = False
        elif not self.answer.cancel():
            return
        call = self.on_disconnect
        self.on_disconnect = None
        if call is not None:
            call()


@final
class _AsgiStream:
    """An answer in parts; an `eventcore.wire.http.ResponseStream` that `_serve` reads."""

    __slots__ = (
        "_exchange",
        "_owes_drain",
        "_parts",
        "_waiting_bytes",
        "is_ended",
        "is_open",
        "on_drain",
        "on_part",
    )

    def __init__(self, exchange: _AsgiExchange) -> None:
        self.on_drain: OnDrain | None = None
        self.on_part: asyncio.Future[None] | None = None
        self.is_open = True
        self.is_ended = self._owes_drain = False
        self._exchange = exchange
        self._parts: list[bytes] = []
        self._waiting_bytes = 0

    def write(self, part: bytes) -> bool:
        """See ResponseStream."""
        assert not self.is_ended, "this answer has ended"
        if not self.is_open:
            return False
        if part:
            self._parts.append(part)
            self._waiting_bytes += len(part)
            self._wake()
        if self._waiting_bytes <= HTTP_UNREAD_BYTES_MAX:
            return True
        self._owes_drain = True
        return False

    def end(self) -> None:
        """See ResponseStream."""
        self.is_ended = True
        if self.is_open:
            self.is_open = False
            self.on_drain = None
            self._exchange.on_disconnect = None
            self._wake()

    def take(self) -> bytes:
        """Everything that was written since."""
        taken = b"".join(self._parts)
        self._parts.clear()
        self._waiting_bytes = 0
        return taken

    def drained(self) -> None:
        """The server has taken everything: tells whoever writes, if it was told to wait."""
        if self._owes_drain and self.is_open:
            self._owes_drain = False
            if self.on_drain is not None:
                call_safely(self.on_drain)

    def _wake(self) -> None:
        if self.on_part is not None and not self.on_part.done():
            self.on_part.set_result(None)


async def _live(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


async def _serve(
    dispatch: Dispatch, scope: Scope, receive: Receive, send: Send, body_bytes_max: int
) -> None:
    parts: list[bytes] = []
    body_bytes = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        part = message.get("body", b"")
        parts.append(part)
        body_bytes += len(part)
        if body_bytes > body_bytes_max:
            await _answer(send, 413, TEXT_HEAD, b"body too large\n")
            return
        if not message.get("more_body", False):
            break
    exchange = _AsgiExchange()
    gone = None
    try:
        dispatch(_request(scope, b"".join(parts)), exchange)
        if not exchange.answer.done() or exchange.parts is not None:
            gone = asyncio.ensure_future(_disconnected(receive))
            await _first_of(exchange.answer, gone)
        if not exchange.answer.done():
            return
        status, head, body = exchange.answer.result()
        if body is not None:
            await _answer(send, status, head, body)
        elif exchange.parts is not None and gone is not None:
            await _answer_in_parts(send, status, head, exchange.parts, gone)
    finally:
        if gone is not None:
            gone.cancel()
        exchange.cancel()  # of no effect after an answer; the server may cancel this task, too


async def _first_of(*ends: asyncio.Future[Any]) -> None:
    await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)


async def _answer_in_parts(
    send: Send, status: int, head: bytes, parts: _AsgiStream, gone: asyncio.Future[None]
) -> None:
    """Sends what is written, until its end or until the client is gone.

    How much a slow client may leave unread is the business of the ASGI server, whose `send` waits.
    """
    start = {"type": "http.response.start", "status": status, "headers": list(_header_lines(head))}
    await send(start)
    loop = asyncio.get_running_loop()
    while True:
        parts.on_part = loop.create_future()
        body, is_ended = parts.take(), parts.is_ended
        if body or is_ended:
            message = {"type": "http.response.body", "body": body, "more_body": not is_ended}
            try:
                await send(message)
            except OSError:
                return  # the client is gone, as some servers say it
            if is_ended:
                return
        if gone.done():
            return
        parts.drained()
        await _first_of(parts.on_part, gone)


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _request(scope: Scope, body: bytes) -> HttpRequest:
    headers: dict[bytes, bytes] = {}
    for given, value in scope["headers"]:
        name = given.lower()
        headers[name] = headers[name] + b", " + value if name in headers else value
    client = scope.get("client")
    return HttpRequest(
        scope["method"].encode("ascii"),
        _target(scope),
        headers,
        body,
        f"{client[0]}:{client[1]}" if client else "local",
        scope.get("scheme") == "https",
    )


def _target(scope: Scope) -> bytes:
    """The path below the mount point, and the query."""
    path: bytes = scope.get("raw_path") or scope["path"].encode()
    root = scope.get("root_path", "").rstrip("/").encode()
    if root and (path == root or path.startswith(root + b"/")):
        path = path[len(root) :] or b"/"
    query: bytes = scope.get("query_string", b"")
    return path + b"?" + query if query else path


async def _answer(send: Send, status: int, head: bytes, body: bytes) -> None:
    headers = list(_header_lines(head))
    if not has_no_body(status):
        headers.append((b"content-length", b"%d" % len(body)))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _header_lines(head: bytes) -> Iterator[tuple[bytes, bytes]]:
    for line in head.split(b"\r\n"):
        name, colon, value = line.partition(b":")
        if colon:
            yield name.strip(), value.strip()
