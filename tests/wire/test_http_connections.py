"""The life of connections: slow and absent clients, limits, disconnects, draining."""

from __future__ import annotations

import asyncio
import socket

import msgspec
import pytest

from eventcore.server.http_limits import HttpLimits
from eventcore.server.listener import HttpServer
from eventcore.wire.http import TEXT_HEAD, Exchange, HttpRequest
from tests.wire.http_peer import (
    QUICK,
    Peer,
    Waiting,
    connected,
    echo,
    get,
    on_both_loops,
    post,
    serving,
    until,
)

PATIENT = HttpLimits(sweep_ms=5)


async def ticked(server: HttpServer, tick: int) -> None:
    await until(lambda: server.tick > tick)


@pytest.mark.parametrize("start", [b"G", b"GET / HTTP/1.1\r\nHost: te", get("/")[:-2]])
@on_both_loops
async def test_a_header_that_takes_too_long_ends_with_408(start):
    async with connected(echo, QUICK) as (peer, server):
        peer.send(start)
        assert (await peer.response()).status == 408
        assert await peer.rest() == b""
        assert server.dropped == {"header too slow": 1}


@on_both_loops
async def test_a_body_that_takes_too_long_ends_with_408():
    async with connected(echo, QUICK) as (peer, server):
        peer.send(post("/", b"0123456789")[:-1])
        assert (await peer.response()).status == 408
        assert server.dropped == {"body too slow": 1}


@on_both_loops
async def test_a_body_may_take_longer_while_it_keeps_the_lowest_rate():
    slow_but_steady = msgspec.structs.replace(QUICK, body_bytes_per_s_min=1_000)
    async with connected(echo, slow_but_steady) as (peer, _):
        body = b"x" * 1_000
        peer.send(post("/", body)[:-200])
        await asyncio.sleep(0.005)
        for _ in range(20):  # 200 ms, and 100 bytes bought 100 ms each
            peer.send(b"x" * 10)
            await asyncio.sleep(0.01)
        assert (await peer.response()).status == 200


@on_both_loops
async def test_an_idle_connection_is_closed_without_a_word():
    async with serving(echo, QUICK) as server:
        silent = await Peer.connect(server.port)
        used = await Peer.connect(server.port)
        used.send(get("/"))
        assert (await used.response()).status == 200
        assert await silent.rest() == b""
        assert await used.rest() == b""
        assert server.dropped == {}
        await silent.close()
        await used.close()


@on_both_loops
async def test_a_request_that_waits_for_its_answer_is_not_idle():
    waiting = Waiting()
    async with connected(waiting, QUICK) as (peer, server):
        peer.send(get("/poll"))
        await waiting.has(b"/poll")
        ticks = server.tick
        await ticked(server, ticks + 30)
        waiting.answer(b"/poll")
        assert (await peer.response()).body == b"/poll"


@on_both_loops
async def test_a_client_that_does_not_read_is_not_read_from_and_goes_on_later():
    answered = 0

    def dispatch(request: HttpRequest, exchange: Exchange) -> None:
        nonlocal answered
        answered += 1
        exchange.reply(200, TEXT_HEAD, b"x" * 100_000)

    async with connected(dispatch, PATIENT) as (peer, server):
        peer.pause_reading()
        peer.send(get("/") * 2_000)
        before = -1
        while answered != before:
            before, ticks = answered, server.tick
            await ticked(server, ticks + 5)
        assert answered < 200, "200 MB of answers must not pile up"
        peer.resume_reading()
        for _ in range(2_000):
            assert len((await peer.response()).body) == 100_000


@on_both_loops
async def test_a_client_that_never_reads_is_dropped():
    def dispatch(request: HttpRequest, exchange: Exchange) -> None:
        exchange.reply(200, TEXT_HEAD, b"x" * 20_000_000)

    async with connected(dispatch, QUICK) as (peer, server):
        peer.pause_reading()
        peer.send(get("/"))
        await until(lambda: server.connections == 0 and bool(server.dropped))
        assert server.dropped == {"answers not read": 1}


@on_both_loops
async def test_a_refused_client_that_never_closes_is_cut():
    async with connected(echo, QUICK) as (peer, server):
        peer.send(b"garbage\r\n\r\n")
        await until(lambda: server.dropped != {} and server.connections == 0)
        assert (await peer.response()).status == 400


@on_both_loops
async def test_too_many_connections_are_answered_with_503_until_one_goes():
    async with serving(echo, HttpLimits(connections_max=2)) as server:
        kept = [await Peer.connect(server.port) for _ in range(2)]
        for peer in kept:
            peer.send(get("/"))
            assert (await peer.response()).status == 200
        refused = await Peer.connect(server.port)
        assert (await refused.response()).status == 503
        assert await refused.rest() == b""
        await kept.pop().close()
        await until(lambda: server.connections == 1)
        kept.append(await Peer.connect(server.port))
        kept[-1].send(get("/"))
        assert (await kept[-1].response()).status == 200
        for peer in [*kept, refused]:
            await peer.close()


@pytest.mark.parametrize("is_reset", [False, True])
@on_both_loops
async def test_a_client_that_goes_away_ends_its_long_poll_once(is_reset):
    waiting = Waiting()
    async with connected(waiting) as (peer, server):
        peer.send(get("/poll"))
        await waiting.has(b"/poll")
        if is_reset:
            peer.writer.transport.abort()
        else:
            await peer.close()
        await until(lambda: server.connections == 0)
        assert waiting.gone == [b"/poll"]
        waiting.answer(b"/poll")  # too late: does nothing
    assert waiting.gone == [b"/poll"]


@on_both_loops
async def test_a_client_that_only_stops_sending_still_gets_what_is_being_answered():
    waiting = Waiting()
    async with connected(waiting) as (peer, _):
        peer.send(get("/1") + get("/2"))
        peer.writer.write_eof()
        await waiting.has(b"/1", b"/2")
        await asyncio.sleep(0.005)
        waiting.answer(b"/1")
        waiting.answer(b"/2")
        assert [(await peer.response()).body for _ in range(2)] == [b"/1", b"/2"]
        assert await peer.rest() == b""


@on_both_loops
async def test_a_failing_on_disconnect_does_not_keep_the_others_from_being_told():
    waiting = Waiting()
    async with connected(waiting) as (peer, server):
        peer.send(get("/poll/1") + get("/poll/2"))
        await waiting.has(b"/poll/2")

        def fail() -> None:
            raise ZeroDivisionError

        waiting.exchanges[b"/poll/1"].on_disconnect = fail
        await peer.close()
        await until(lambda: server.connections == 0)
        assert waiting.gone == [b"/poll/2"]


@on_both_loops
async def test_draining_finishes_what_runs_and_closes_the_rest():
    waiting = Waiting()
    async with serving(waiting) as server:
        idle, busy = await Peer.connect(server.port), await Peer.connect(server.port)
        busy.send(get("/1") + get("/2"))
        await waiting.has(b"/1", b"/2")
        draining = asyncio.ensure_future(server.drain(5_000))
        assert await idle.rest() == b""
        with pytest.raises(OSError, match=r"[Cc]onnect"):
            await Peer.connect(server.port)
        waiting.answer(b"/1")
        waiting.answer(b"/2")
        first, second = await busy.response(), await busy.response()
        assert "connection" not in first.headers
        assert second.headers["connection"] == "close"
        assert await busy.rest() == b""
        assert await draining == 0
        assert waiting.gone == []
        for peer in (idle, busy):
            await peer.close()


@on_both_loops
async def test_draining_waits_for_a_request_that_is_still_coming_in():
    async with connected(echo) as (peer, server):
        data = post("/late", b"body")
        peer.send(data[:30])
        await until(lambda: server.connections == 1)
        await asyncio.sleep(0.005)
        draining = asyncio.ensure_future(server.drain(5_000))
        await asyncio.sleep(0.005)
        peer.send(data[30:])
        response = await peer.response()
        assert (response.body, response.headers["connection"]) == (b"POST /late body", "close")
        assert await draining == 0


@on_both_loops
async def test_draining_cuts_what_still_waits_when_its_time_is_over():
    waiting = Waiting()
    async with connected(waiting) as (peer, server):
        peer.send(get("/poll"))
        await waiting.has(b"/poll")
        assert await server.drain(20) == 1
        assert waiting.gone == [b"/poll"]
        assert server.connections == 0
        await peer.rest()


@on_both_loops
async def test_the_sweep_runs_only_while_there_are_connections():
    async with serving(echo, QUICK) as server:
        assert server.tick == 0
        peer = await Peer.connect(server.port)
        await until(lambda: server.tick > 2)
        await peer.close()
        await until(lambda: server.connections == 0)
        ticks = server.tick
        await asyncio.sleep(0.03)
        assert server.tick <= ticks + 1


@on_both_loops
async def test_a_client_that_vanishes_with_answers_on_the_way_does_no_harm():
    waiting = Waiting()
    async with serving(waiting) as server:
        raw = socket.create_connection(("127.0.0.1", server.port))
        raw.sendall(b"".join(get(f"/{number}") for number in range(20)))
        await waiting.has(b"/19")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        raw.close()  # a reset
        for number in range(20):
            waiting.answer(b"/%d" % number, b"x" * 100_000)
        await until(lambda: server.connections == 0)
        assert server.dropped == {}
