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
from eventcore.limits import HTTP_BODY_BYTES_MAX
from eventcore.wire.http import TEXT_HEAD, Dispatch, HttpRequest, OnDisconnect, has_no_body

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
    """The way back of one request: an `eventcore.wire.http.Exchange` that ends in a future."""

    __slots__ = ("answer", "on_disconnect")

    def __init__(self) -> None:
        self.on_disconnect: OnDisconnect | None = None
        loop = asyncio.get_running_loop()
        self.answer: asyncio.Future[tuple[int, bytes, bytes]] = loop.create_future()

    def reply(self, status: int, head: bytes, body: bytes) -> None:
        """See Exchange."""
        if self.answer.cancelled():
            return
        assert not self.answer.done(), "this request was answered before"
        self.on_disconnect = None
        self.answer.set_result((status, head, body))

    def cancel(self) -> None:
        """The client is gone: no reply is possible any more."""
        if self.answer.cancel() and self.on_disconnect is not None:
            call = self.on_disconnect
            self.on_disconnect = None
            call()


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
    try:
        dispatch(_request(scope, b"".join(parts)), exchange)
        if not exchange.answer.done():
            await _wait(exchange, receive)
        if not exchange.answer.cancelled():
            await _answer(send, *exchange.answer.result())
    finally:
        exchange.cancel()  # of no effect after an answer; the server may cancel this task, too


async def _wait(exchange: _AsgiExchange, receive: Receive) -> None:
    """Returns when there is an answer, or the client is gone."""
    gone = asyncio.ensure_future(_disconnected(receive))
    ends: set[asyncio.Future[Any]] = {exchange.answer, gone}
    try:
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    finally:
        gone.cancel()
    if not exchange.answer.done():
        exchange.cancel()


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
