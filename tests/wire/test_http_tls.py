"""The port under TLS: both versions of HTTP, and addresses given out that begin with https."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from eventcore.server.http_limits import HttpLimits
from eventcore.server.listener import HttpServer
from eventcore.server.tls import tls_context
from eventcore.wire.http import TEXT_HEAD, Dispatch, Exchange, HttpRequest
from tests.wire.http2_peer import Http2Peer
from tests.wire.http_peer import QUICK, Peer, echo, get, on_both_loops, post, until

FILES = Path(__file__).parent / "tls"
CERTIFICATE, KEY = str(FILES / "localhost.pem"), str(FILES / "localhost.key")


def client_context(*protocols: str) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=CERTIFICATE)
    if protocols:
        context.set_alpn_protocols(list(protocols))
    return context


async def connect(port: int, *protocols: str) -> Peer:
    context = client_context(*protocols)
    streams = await asyncio.open_connection(
        "127.0.0.1", port, ssl=context, server_hostname="localhost", limit=1 << 20
    )
    return Peer(*streams)


@asynccontextmanager
async def serving(dispatch: Dispatch, limits: HttpLimits | None = None) -> AsyncIterator[int]:
    server = HttpServer(dispatch, limits)
    await server.start("127.0.0.1", 0, tls_context(CERTIFICATE, KEY))
    try:
        yield server.port
    finally:
        await server.drain(0)


def whether_secure(request: HttpRequest, exchange: Exchange) -> None:
    exchange.reply(200, TEXT_HEAD, b"%d %d" % (request.is_secure, len(request.body)))


@pytest.mark.parametrize("protocols", [(), ("http/1.1",), ("h3", "http/1.1")])
@on_both_loops
async def test_a_client_without_http_2_is_served_in_http_1(protocols):
    async with serving(whether_secure) as port:
        peer = await connect(port, *protocols)
        peer.send(get("/") + post("/", b"x" * 300_000))
        assert [(await peer.response()).body for _ in range(2)] == [b"1 0", b"1 300000"]
        await peer.close()


@on_both_loops
async def test_a_client_with_http_2_is_served_in_it():
    async with serving(whether_secure) as port:
        peer = await Http2Peer.connect(port, client_context("h2", "http/1.1"))
        tls = peer.writer.get_extra_info("ssl_object")
        assert tls.selected_alpn_protocol() == "h2"
        assert (await peer.ask("/")).body == b"1 0"
        assert (await peer.ask("/", b"x" * 3_000_000)).body == b"1 3000000"
        await peer.close()


@on_both_loops
async def test_http_2_without_a_handshake_for_it_is_found_by_its_preface():
    async with serving(whether_secure) as port:
        peer = await Http2Peer.connect(port, client_context())
        assert (await peer.ask("/")).body == b"1 0"
        await peer.close()


@on_both_loops
async def test_answers_in_parts_and_large_ones_go_through_tls():
    def dispatch(request: HttpRequest, exchange: Exchange) -> None:
        stream = exchange.stream(200, TEXT_HEAD)
        parts = [b"x" * 50_000] * 100

        def more() -> None:
            while parts:
                if not stream.write(parts.pop()):
                    return
            stream.end()

        stream.on_drain = more
        more()

    async with serving(dispatch) as port:
        peer = await Http2Peer.connect(port, client_context("h2"))
        assert len((await peer.ask("/")).body) == 5_000_000
        await peer.close()
        old = await connect(port)
        old.send(get("/", "Connection: close"))
        assert (await old.response()).headers["transfer-encoding"] == "chunked"
        assert len(await old.rest()) == 100 * (50_000 + len(b"c350\r\n\r\n")) + len(b"0\r\n\r\n")
        await old.close()


@pytest.mark.parametrize("protocol", ["http/1.1", "h2"])
@on_both_loops
async def test_an_idle_connection_is_closed(protocol):
    async with serving(echo, QUICK) as port:
        peer = await connect(port, protocol)
        # Over HTTP/2 the server's settings come first, then its GOAWAY.
        assert bool(await peer.rest()) == (protocol == "h2")
        await peer.close()


@pytest.mark.parametrize("data", [b"", get("/"), b"\x16\x03\x01\x00"])
@on_both_loops
async def test_a_client_that_speaks_no_tls_is_cut_and_never_counted(data):
    server = HttpServer(echo, QUICK)
    await server.start("127.0.0.1", 0, tls_context(CERTIFICATE, KEY))
    peer = await Peer.connect(server.port)
    peer.send(data)
    assert b"HTTP" not in await peer.rest()
    assert server.connections == 0
    await peer.close()
    good = await connect(server.port)
    good.send(get("/good"))
    assert (await good.response()).body == b"GET /good "
    await good.close()
    await until(lambda: server.connections == 0)
    assert await server.drain(1_000) == 0


@pytest.mark.parametrize("protocol", ["http/1.1", "h2"])
@on_both_loops
async def test_one_connection_too_many_is_told_so_only_where_it_understands(protocol):
    async with serving(echo, HttpLimits(connections_max=1)) as port:
        kept = await connect(port)
        kept.send(get("/"))
        assert (await kept.response()).status == 200
        refused = await connect(port, protocol)
        seen = await refused.rest()
        assert seen.startswith(b"HTTP/1.1 503" if protocol == "http/1.1" else b"")
        assert bool(seen) == (protocol == "http/1.1")
        for peer in (kept, refused):
            await peer.close()


@on_both_loops
async def test_a_client_of_tls_on_a_plain_port_is_told_so():
    server = HttpServer(echo)
    await server.start("127.0.0.1", 0)
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await connect(server.port)
    await until(lambda: server.dropped != {})
    assert server.dropped == {"TLS on a port for plain HTTP": 1}
    await server.drain(0)
