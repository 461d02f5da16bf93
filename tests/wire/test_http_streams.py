"""Answers in parts: over HTTP/1.1, 1.0, 2 and ASGI, with clients that are slow or go away."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from eventcore.limits import HTTP_UNREAD_BYTES_MAX
from eventcore.server.asgi import asgi_app
from eventcore.server.http_limits import HttpLimits
from eventcore.wire.http import TEXT_HEAD, Exchange, HttpRequest, ResponseStream
from tests.wire.http2_peer import Gone
from tests.wire.http2_peer import connected as connected_2
from tests.wire.http_peer import QUICK, Peer, connected, get, on_both_loops, serving, until
from tests.wire.test_http_asgi import AsgiClient, uvicorn_serving

TINY = HttpLimits(unread_bytes_max=1_000, sweep_ms=5)
CHUNKED_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/plain; charset=utf-8\r\n"
    b"transfer-encoding: chunked\r\n\r\n"
)


class Streaming:
    """A dispatch that begins a stream for each request and lets the test write to it."""

    def __init__(self) -> None:
        self.streams: dict[bytes, ResponseStream] = {}
        self.exchanges: dict[bytes, Exchange] = {}
        self.gone: list[bytes] = []
        self.drained: list[bytes] = []

    def __call__(self, request: HttpRequest, exchange: Exchange) -> None:
        target = request.target
        self.exchanges[target] = exchange
        if target.startswith(b"/plain"):
            exchange.reply(200, TEXT_HEAD, target)
            return
        if target.startswith(b"/wait"):
            return
        exchange.on_disconnect = lambda: self.gone.append(target)
        stream = exchange.stream(204 if target == b"/204" else 200, TEXT_HEAD)
        stream.on_drain = lambda: self.drained.append(target)
        self.streams[target] = stream

    async def has(self, target: bytes) -> ResponseStream:
        await until(lambda: target in self.streams)
        return self.streams[target]

    def fill(self, target: bytes, part: bytes) -> int:
        """Writes until there is no more room; returns how often."""
        count = 1
        while self.streams[target].write(part):
            count += 1
        return count


async def chunk(peer: Peer) -> bytes:
    """The next chunk of a body; empty at its end."""
    size = int(await peer.line(), 16)
    data = await peer.exactly(size)
    assert await peer.exactly(2) == b"\r\n"
    return data


@on_both_loops
async def test_parts_leave_at_once_as_chunks_and_the_connection_goes_on():
    streaming = Streaming()
    async with connected(streaming) as (peer, _):
        peer.send(get("/s"))
        assert await peer.exactly(len(CHUNKED_HEAD)) == CHUNKED_HEAD
        stream = streaming.streams[b"/s"]
        assert stream.is_open
        for part in (b"one", b"x" * 300):
            assert stream.write(part)
            assert await chunk(peer) == part
        assert stream.write(b"")  # no chunk: an empty one would be the end
        stream.end()
        assert await chunk(peer) == b""
        assert not stream.is_open
        stream.end()
        peer.send(get("/plain"))
        assert (await peer.response()).body == b"/plain"
        assert streaming.gone == []


@on_both_loops
async def test_a_stream_keeps_its_place_among_pipelined_answers():
    streaming = Streaming()
    async with connected(streaming) as (peer, _):
        peer.send(get("/wait") + get("/a") + get("/b") + get("/plain"))
        await until(lambda: len(streaming.exchanges) == 4)
        a, b = streaming.streams[b"/a"], streaming.streams[b"/b"]
        assert b.write(b"b1")
        b.end()
        assert a.write(b"a1")
        streaming.exchanges[b"/wait"].reply(200, TEXT_HEAD, b"first")
        assert (await peer.response()).body == b"first"
        assert await peer.exactly(len(CHUNKED_HEAD)) == CHUNKED_HEAD
        assert await chunk(peer) == b"a1"
        assert a.write(b"a2")
        assert await chunk(peer) == b"a2"
        a.end()
        assert await chunk(peer) == b""
        assert await peer.exactly(len(CHUNKED_HEAD)) == CHUNKED_HEAD
        assert [await chunk(peer), await chunk(peer)] == [b"b1", b""]
        assert (await peer.response()).body == b"/plain"


@on_both_loops
async def test_what_waits_for_its_turn_is_bounded_and_drained_with_its_turn():
    streaming = Streaming()
    async with connected(streaming, TINY) as (peer, _):
        peer.send(get("/wait") + get("/s") + get("/plain"))
        stream = await streaming.has(b"/s")
        assert streaming.fill(b"/s", b"x" * 300) == 4
        assert streaming.drained == []
        # Whoever is told ends it there and then; the answers behind it follow.
        stream.on_drain = stream.end
        streaming.exchanges[b"/wait"].reply(200, TEXT_HEAD, b"")
        await peer.response()
        await peer.exactly(len(CHUNKED_HEAD))
        assert [len(await chunk(peer)) for _ in range(5)] == [300, 300, 300, 300, 0]
        assert (await peer.response()).body == b"/plain"


@on_both_loops
async def test_a_head_request_and_a_status_without_a_body_get_no_chunks():
    streaming = Streaming()
    async with connected(streaming) as (peer, _):
        peer.send(get("/h").replace(b"GET", b"HEAD") + get("/204") + get("/plain"))
        for target in (b"/h", b"/204"):
            stream = await streaming.has(target)
            assert stream.write(b"dropped")
            stream.end()
        assert "transfer-encoding" in (await peer.response(has_body=False)).headers
        assert "transfer-encoding" not in (await peer.response(has_body=False)).headers
        assert (await peer.response()).body == b"/plain"


@pytest.mark.parametrize("line", ["Connection: keep-alive\r\n", ""])
@on_both_loops
async def test_http_1_0_gets_the_parts_until_the_connection_ends(line):
    streaming = Streaming()
    async with connected(streaming) as (peer, _):
        peer.send(f"GET /s HTTP/1.0\r\n{line}\r\n".encode() + get("/after"))
        stream = await streaming.has(b"/s")
        stream.write(b"one")
        stream.write(b"two")
        stream.end()
        answer = await peer.response()
        assert answer.headers["connection"] == "close"
        assert await peer.rest() == b"onetwo"
        assert b"/after" not in streaming.streams or streaming.gone == [b"/after"]


@on_both_loops
async def test_the_last_request_of_a_connection_may_be_answered_in_parts():
    streaming = Streaming()
    async with connected(streaming) as (peer, _):
        peer.send(get("/s", "Connection: close"))
        stream = await streaming.has(b"/s")
        stream.write(b"one")
        stream.end()
        assert (await peer.response()).headers["connection"] == "close"
        assert await peer.rest() == b"3\r\none\r\n0\r\n\r\n"


@on_both_loops
async def test_an_open_stream_is_not_idle():
    streaming = Streaming()
    async with connected(streaming, QUICK) as (peer, server):
        peer.send(get("/s"))
        stream = await streaming.has(b"/s")
        ticks = server.tick
        await until(lambda: server.tick > ticks + 30)
        assert stream.write(b"late")
        await peer.exactly(len(CHUNKED_HEAD))
        assert await chunk(peer) == b"late"


@on_both_loops
async def test_a_slow_client_is_waited_for_and_the_writer_told_when_it_has_read():
    streaming = Streaming()
    patient = HttpLimits(sweep_ms=5)
    async with connected(streaming, patient) as (peer, _):
        peer.pause_reading()
        peer.send(get("/s"))
        stream = await streaming.has(b"/s")
        count = streaming.fill(b"/s", b"x" * 100_000)
        assert not stream.write(b"y" * 10)
        assert streaming.drained == []
        peer.resume_reading()
        await peer.exactly(len(CHUNKED_HEAD))
        for _ in range(count):
            assert await chunk(peer) == b"x" * 100_000
        assert await chunk(peer) == b"y" * 10
        await until(lambda: streaming.drained == [b"/s"])
        assert stream.write(b"z")
        assert await chunk(peer) == b"z"


@on_both_loops
async def test_a_client_that_never_reads_is_cut_and_the_writer_told():
    streaming = Streaming()
    async with connected(streaming, QUICK) as (peer, server):
        peer.pause_reading()
        peer.send(get("/s"))
        stream = await streaming.has(b"/s")
        streaming.fill(b"/s", b"x" * 100_000)
        await until(lambda: streaming.gone == [b"/s"])
        assert server.dropped == {"answers not read": 1}
        assert not stream.is_open
        assert not stream.write(b"into the void")
        stream.end()
        assert streaming.gone == [b"/s"]


@on_both_loops
async def test_a_client_that_goes_away_ends_its_stream_once():
    streaming = Streaming()
    async with connected(streaming) as (peer, server):
        peer.send(get("/wait") + get("/s"))
        stream = await streaming.has(b"/s")
        assert stream.write(b"kept")
        await peer.close()
        await until(lambda: server.connections == 0)
        assert (streaming.gone, stream.is_open) == ([b"/s"], False)
        # Too late for an answer in parts: it goes nowhere.
        late = streaming.exchanges[b"/wait"].stream(200, TEXT_HEAD)
        assert (late.is_open, late.write(b"x")) == (False, False)
        late.end()


@pytest.mark.parametrize("connect", [connected, connected_2])
@on_both_loops
async def test_draining_waits_for_a_stream_and_ends_the_connection_after_it(connect):
    streaming = Streaming()
    async with connect(streaming) as (peer, server):
        begin(peer)
        stream = await streaming.has(b"/s")
        draining = asyncio.ensure_future(server.drain(5_000))
        await asyncio.sleep(0.01)
        assert stream.write(b"last")
        stream.end()
        assert await draining == 0
        await peer.rest()
        assert streaming.gone == []


@pytest.mark.parametrize("connect", [connected, connected_2])
@on_both_loops
async def test_draining_cuts_a_stream_that_does_not_end_and_tells_its_writer(connect):
    streaming = Streaming()
    async with connect(streaming) as (peer, server):
        begin(peer)
        stream = await streaming.has(b"/s")
        assert await server.drain(20) == 1
        assert (streaming.gone, stream.is_open) == ([b"/s"], False)
        assert server.connections == 0
        await peer.rest()


def begin(peer: Any) -> None:
    if isinstance(peer, Peer):
        peer.send(get("/s"))
    else:
        peer.open("/s", "GET")


# --- HTTP/2 ---------------------------------------------------------------------------------------


@on_both_loops
async def test_streams_of_one_http_2_connection_are_independent():
    streaming = Streaming()
    async with connected_2(streaming) as (peer, _):
        first, second = peer.open("/a", "GET"), peer.open("/b", "GET")
        a, b = await streaming.has(b"/a"), await streaming.has(b"/b")
        assert b.write(b"b1")
        while bytes(peer.bodies.get(second, b"")) != b"b1":
            await peer.step()
        assert a.write(b"")
        assert a.write(b"a1")
        b.end()
        assert (await peer.response(second)).body == b"b1"
        assert (await peer.ask("/plain")).body == b"/plain"
        a.end()
        answer = await peer.response(first)
        assert (answer.body, "content-length" in answer.headers) == (b"a1", False)


@on_both_loops
async def test_an_http_2_head_request_gets_no_parts():
    streaming = Streaming()
    async with connected_2(streaming) as (peer, _):
        for target in ("/h", "/204"):
            asked = peer.open(target, "HEAD" if target == "/h" else "GET")
            stream = await streaming.has(target.encode())
            assert stream.write(b"dropped")
            stream.end()
            assert (await peer.response(asked)).body == b""


@on_both_loops
async def test_an_http_2_client_that_takes_a_request_back_ends_the_stream_once():
    streaming = Streaming()
    async with connected_2(streaming) as (peer, server):
        asked = peer.open("/s", "GET")
        stream = await streaming.has(b"/s")
        peer.machine.reset_stream(asked, 8)
        peer.flush()
        await until(lambda: streaming.gone == [b"/s"])
        assert (stream.is_open, stream.write(b"x")) == (False, False)
        stream.end()
        assert (await peer.ask("/plain")).status == 200
        assert (streaming.gone, server.connections) == ([b"/s"], 1)


@on_both_loops
async def test_a_closed_window_holds_one_stream_up_and_no_other():
    streaming = Streaming()
    async with connected_2(streaming, TINY, window_bytes=2_000) as (peer, _):
        peer.reads = False
        slow = peer.open("/slow", "GET")
        await streaming.has(b"/slow")
        assert streaming.fill(b"/slow", b"x" * 500) == 7  # 2,000 are sent, 1,500 wait
        other = peer.open("/other", "GET")
        stream = await streaming.has(b"/other")
        assert stream.write(b"y" * 1_500)
        stream.end()
        assert len((await peer.response(other)).body) == 1_500
        assert streaming.drained == []
        peer.machine.increment_flow_control_window(600, slow)
        peer.flush()
        while len(peer.bodies[slow]) < 2_600:
            await peer.step()
        assert streaming.drained == []  # 900 wait, more than half of the bound
        peer.machine.increment_flow_control_window(600, slow)
        peer.flush()
        await until(lambda: streaming.drained == [b"/slow"])
        streaming.streams[b"/slow"].end()
        peer.machine.increment_flow_control_window(10_000, slow)
        peer.flush()
        assert len((await peer.response(slow)).body) == 3_500


@on_both_loops
async def test_a_window_that_never_opens_ends_the_stream_and_not_the_connection():
    streaming = Streaming()
    patient = msgspec.structs.replace(QUICK, idle_ms_max=60_000)
    async with connected_2(streaming, patient, window_bytes=0) as (peer, server):
        asked = peer.open("/s", "GET")
        stream = await streaming.has(b"/s")
        ticks = server.tick
        await until(lambda: server.tick > ticks + 30)  # nothing to send yet, so nothing is late
        assert stream.write(b"x")
        with pytest.raises(Gone, match="8"):
            await peer.response(asked)
        assert streaming.gone == [b"/s"]
        assert server.dropped == {"answers not read": 1}
        assert server.connections == 1


@on_both_loops
async def test_an_http_2_client_that_never_reads_its_socket_is_cut():
    streaming = Streaming()
    async with connected_2(streaming, QUICK) as (peer, server):
        peer.machine.increment_flow_control_window(1 << 30)
        asked = peer.open("/s", "GET")
        peer.machine.increment_flow_control_window(1 << 30, asked)
        peer.flush()
        await streaming.has(b"/s")
        peer.writer.transport.pause_reading()  # type: ignore[attr-defined]
        # Only what is acknowledged shows that the windows have come.
        while streaming.gone == []:
            if streaming.streams[b"/s"].is_open:
                streaming.streams[b"/s"].write(b"x" * 100_000)
            await asyncio.sleep(0)
        assert server.dropped == {"answers not read": 1}


# --- ASGI -----------------------------------------------------------------------------------------


@on_both_loops
async def test_asgi_gets_the_parts_as_they_are_written():
    streaming = Streaming()
    client = AsgiClient(raw_path=b"/s")
    running = asyncio.ensure_future(client.run(asgi_app(streaming)))
    stream = await streaming.has(b"/s")
    assert stream.write(b"one")
    await until(lambda: len(client.sent) == 2)
    assert stream.write(b"two")
    stream.end()
    await running
    assert client.sent[0]["headers"] == [(b"content-type", b"text/plain; charset=utf-8")]
    bodies = [(message["body"], message["more_body"]) for message in client.sent[1:]]
    assert bodies == [(b"one", True), (b"two", False)]
    assert streaming.gone == []


@pytest.mark.parametrize("is_cancelled", [False, True])
@on_both_loops
async def test_an_asgi_client_that_goes_away_ends_the_stream_once(is_cancelled):
    streaming = Streaming()
    client = AsgiClient(raw_path=b"/s")
    running = asyncio.ensure_future(client.run(asgi_app(streaming)))
    stream = await streaming.has(b"/s")
    if is_cancelled:
        running.cancel()
    else:
        client.incoming.put_nowait({"type": "http.disconnect"})
    await asyncio.wait({running})
    assert (streaming.gone, stream.is_open, stream.write(b"x")) == ([b"/s"], False, False)
    stream.end()
    assert streaming.gone == [b"/s"]


@on_both_loops
async def test_an_asgi_server_that_waits_makes_the_writer_wait():
    streaming = Streaming()
    client = AsgiClient(raw_path=b"/s")
    may_send = asyncio.Event()
    take: Callable[[Any], Any] = client.send

    async def send(message: Any) -> None:
        await may_send.wait()
        await take(message)

    client.send = send  # type: ignore[method-assign]
    running = asyncio.ensure_future(client.run(asgi_app(streaming)))
    await streaming.has(b"/s")
    count = streaming.fill(b"/s", b"x" * 50_000)
    assert count == HTTP_UNREAD_BYTES_MAX // 50_000 + 1
    may_send.set()
    await until(lambda: streaming.drained == [b"/s"])
    streaming.streams[b"/s"].end()
    await running
    assert sum(len(message["body"]) for message in client.sent[1:]) == count * 50_000


@on_both_loops
async def test_uvicorn_streams_as_our_server_does():
    streaming = Streaming()

    async def ask(port: int) -> tuple[bytes, bytes]:
        peer = await Peer.connect(port)
        peer.send(get("/s"))
        stream = await streaming.has(b"/s")
        stream.write(b"one")
        await asyncio.sleep(0.01)
        stream.end()
        answer = await peer.response()
        assert answer.headers["transfer-encoding"] == "chunked"
        parts = (await chunk(peer), await chunk(peer))
        await peer.close()
        streaming.streams.clear()
        return parts

    async with serving(streaming) as server, uvicorn_serving(asgi_app(streaming)) as port:
        assert await ask(server.port) == await ask(port) == (b"one", b"")
