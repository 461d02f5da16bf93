"""The ASGI adapter, and uvicorn as the oracle: both servers agree on what a request is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn

from eventcore.errors import UnsupportedOperation
from eventcore.server.asgi import asgi_app
from eventcore.wire.http import JSON_HEAD, TEXT_HEAD, Exchange, HttpRequest
from tests.wire.http_peer import Peer, Waiting, connected, echo, get, on_both_loops, post, until


def tell_all(request: HttpRequest, exchange: Exchange) -> None:
    """Answers with everything that a dispatch sees of a request."""
    lines = [request.method, request.target, request.body]
    lines += [b"%b=%b" % item for item in sorted(request.headers.items())]
    exchange.reply(200, TEXT_HEAD, b"\n".join(lines))


class AsgiClient:
    """The server's side of one ASGI request."""

    def __init__(self, *messages: dict[str, Any], **scope: Any) -> None:
        self.scope = {
            "type": "http",
            "method": "POST",
            "path": "/p",
            "raw_path": b"/p",
            "query_string": b"",
            "headers": [],
            "client": ("127.0.0.1", 5000),
            **scope,
        }
        self.incoming: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        for message in messages or (body(b""),):
            self.incoming.put_nowait(message)
        self.sent: list[dict[str, Any]] = []

    async def send(self, message: Any) -> None:
        self.sent.append(dict(message))

    async def run(self, app: Any) -> None:
        await app(self.scope, self.incoming.get, self.send)


def body(part: bytes, *, more: bool = False) -> dict[str, Any]:
    return {"type": "http.request", "body": part, "more_body": more}


@on_both_loops
async def test_a_request_is_given_whole_and_its_answer_sent():
    client = AsgiClient(
        body(b"ab", more=True),
        body(b"cd"),
        query_string=b"x=1",
        headers=[(b"Host", b"h"), (b"x-two", b"1"), (b"x-two", b"2")],
    )
    await client.run(asgi_app(tell_all))
    start, content = client.sent
    assert content["body"] == b"POST\n/p?x=1\nabcd\nhost=h\nx-two=1, 2"
    assert start["status"] == 200
    assert start["headers"] == [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", b"%d" % len(content["body"])),
    ]


@pytest.mark.parametrize(
    ("path", "root", "seen"),
    [(b"/aws/q", "/aws", b"/q"), (b"/aws", "/aws", b"/"), (b"/awsome", "/aws", b"/awsome")],
)
@on_both_loops
async def test_the_target_is_the_path_below_the_mount_point(path, root, seen):
    client = AsgiClient(raw_path=path, path=path.decode(), root_path=root)
    await client.run(asgi_app(tell_all))
    assert client.sent[1]["body"].split(b"\n")[1] == seen


@on_both_loops
async def test_a_waiting_request_is_answered_later():
    waiting = Waiting()
    client = AsgiClient(raw_path=b"/poll")
    running = asyncio.ensure_future(client.run(asgi_app(waiting)))
    await waiting.has(b"/poll")
    waiting.answer(b"/poll", b"late")
    await running
    assert client.sent[1]["body"] == b"late"
    assert waiting.gone == []


@pytest.mark.parametrize("is_cancelled", [False, True])
@on_both_loops
async def test_a_client_that_goes_away_ends_its_long_poll_once(is_cancelled):
    waiting = Waiting()
    client = AsgiClient(raw_path=b"/poll")
    running = asyncio.ensure_future(client.run(asgi_app(waiting)))
    await waiting.has(b"/poll")
    if is_cancelled:
        running.cancel()
    else:
        client.incoming.put_nowait({"type": "http.disconnect"})
    await asyncio.wait({running})
    assert waiting.gone == [b"/poll"]
    waiting.answer(b"/poll")  # too late: does nothing
    assert client.sent == []


@on_both_loops
async def test_a_client_that_goes_away_within_its_body_is_never_dispatched():
    waiting = Waiting()
    client = AsgiClient(body(b"x", more=True), {"type": "http.disconnect"})
    await client.run(asgi_app(waiting))
    assert (waiting.exchanges, client.sent) == ({}, [])


@on_both_loops
async def test_a_body_over_the_limit_is_refused_before_it_is_whole():
    client = AsgiClient(body(b"x" * 6, more=True), body(b"x" * 6, more=True))
    await client.run(asgi_app(tell_all, body_bytes_max=10))
    assert client.sent[0]["status"] == 413


@on_both_loops
async def test_lifespan_is_accepted_and_other_scopes_are_not():
    client = AsgiClient({"type": "lifespan.startup"}, {"type": "lifespan.shutdown"})
    client.scope = {"type": "lifespan"}
    await client.run(asgi_app(tell_all))
    assert [message["type"] for message in client.sent] == [
        "lifespan.startup.complete",
        "lifespan.shutdown.complete",
    ]
    client.scope = {"type": "websocket"}
    with pytest.raises(UnsupportedOperation, match="only http"):
        await client.run(asgi_app(tell_all))


@asynccontextmanager
async def uvicorn_serving(app: Any) -> AsyncIterator[int]:
    config = uvicorn.Config(
        app, port=0, log_config=None, http="httptools", server_header=False, date_header=False
    )
    server = uvicorn.Server(config)
    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
    running = asyncio.ensure_future(server._serve())
    await until(lambda: server.started)
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        await running


CHUNKED = b"POST /c?d=%20 HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n"
# Without trailers: uvicorn takes them for headers, which RFC 9110 (6.5.1) forbids.
ALIKE = {
    "get": get("/a?b=c", "X-One: 1", "x-one: 2"),
    "encoded target": get("/%41%2f?x=%20&y=+"),
    "post": post("/p", b"body"),
    "empty post": post("/p", b""),
    "head": get("/h").replace(b"GET", b"HEAD"),
    "options": get("*").replace(b"GET", b"OPTIONS"),
    "chunks": CHUNKED + b"3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n",
    "http/1.0": b"GET /old HTTP/1.0\r\nHost: test\r\n\r\n",
    "leading line ends": b"\r\n\r\n" + get("/"),
    "absent value": get("/", "X-Empty:"),
    "spaces around a value": get("/", "X-Spaced:   a b  "),
    "latin-1 value": get("/").replace(b"Host: test", b"Host: test\r\nX: \xe9"),
    "garbage": b"garbage\r\n\r\n",
    "folded": get("/", "X: y", " z"),
    "two lengths": post("/", b"x", "Content-Length: 2"),
    "length and chunks": post("/", b"x", "Transfer-Encoding: chunked"),
    "bad chunk": CHUNKED + b"zz\r\n",
    "bare line feeds": b"GET / HTTP/1.1\nHost: test\n\n",
}


@on_both_loops
async def test_our_server_and_uvicorn_read_the_same_requests_and_give_the_same_answers():
    async def ask(port: int, data: bytes) -> tuple[Any, ...]:
        peer = await Peer.connect(port)
        peer.send(data)
        response = await peer.response(has_body=not data.startswith(b"HEAD"))
        await peer.close()
        if response.status != 200:
            return (response.status,)
        kept = {k: v for k, v in response.headers.items() if k != "connection"}
        return (response.status, kept, response.body)

    async with connected(tell_all) as (_, server), uvicorn_serving(asgi_app(tell_all)) as port:
        ours = {case: await ask(server.port, data) for case, data in ALIKE.items()}
        theirs = {case: await ask(port, data) for case, data in ALIKE.items()}
        assert ours == theirs


@on_both_loops
async def test_uvicorn_tells_a_waiting_request_of_a_client_that_goes_away():
    waiting = Waiting()
    async with uvicorn_serving(asgi_app(waiting)) as port:
        peer = await Peer.connect(port)
        peer.send(get("/poll"))
        await waiting.has(b"/poll")
        await peer.close()
        await until(lambda: waiting.gone == [b"/poll"])
    assert waiting.gone == [b"/poll"]


@on_both_loops
async def test_head_lines_become_headers_one_by_one():
    def dispatch(request: HttpRequest, exchange: Exchange) -> None:
        exchange.reply(200, JSON_HEAD + b"x-colon: a:b\r\n", b"{}")

    client = AsgiClient()
    await client.run(asgi_app(dispatch))
    assert client.sent[0]["headers"][:2] == [
        (b"content-type", b"application/json"),
        (b"x-colon", b"a:b"),
    ]
    await AsgiClient().run(asgi_app(echo))
