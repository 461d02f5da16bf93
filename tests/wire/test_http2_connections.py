"""The life of HTTP/2 connections: slow and absent clients, drains, and clients that do harm."""

from __future__ import annotations

import asyncio
import struct

import msgspec
import pytest

from eventcore.server.http_limits import HttpLimits
from eventcore.wire.http import TEXT_HEAD, Exchange, HttpRequest
from tests.wire.http2_peer import (
    DATA,
    GOAWAY,
    HEADERS,
    MORE,
    PING,
    PREFACE,
    PRIORITY,
    PUSH,
    RST_STREAM,
    SETTINGS,
    WINDOW,
    Gone,
    Http2Peer,
    connected,
    frame,
)
from tests.wire.http_peer import QUICK, Peer, Waiting, echo, on_both_loops, serving, until

NO_ERROR, PROTOCOL_ERROR, REFUSED_STREAM, CANCEL, CALM = 0, 1, 7, 8, 11
STREAM_MAX = (1 << 31) - 1
PATIENT = msgspec.structs.replace(QUICK, idle_ms_max=60_000)
FEW = HttpLimits(
    streams_max=4,
    resets_max=10,
    resets_per_s=1,
    small_frames_max=40,
    small_frames_per_s=1,
    settings_max=5,
    header_bytes_max=2_000,
    linger_ms_max=40,
    sweep_ms=5,
)


async def ended(peer: Http2Peer) -> list[tuple[int, int]]:
    """The GOAWAYs, after the server has ended the connection."""
    await peer.rest()
    return peer.goaways


# --- pings, windows, ends -------------------------------------------------------------------------


@on_both_loops
async def test_pings_are_answered_and_keep_the_connection():
    async with connected(echo, QUICK) as (peer, server):
        ticks, sent = server.tick, 0
        while server.tick < ticks + 30:  # 150 ms; it would be idle after 40
            peer.machine.ping(b"01234567")
            peer.flush()
            sent += 1
            while peer.pongs < sent:
                await peer.step()
        assert (await peer.ask("/still here")).status == 400
        assert (await peer.ask("/here")).status == 200


@on_both_loops
async def test_an_idle_connection_is_told_goodbye():
    async with connected(echo, QUICK) as (peer, server):
        assert (await peer.ask("/")).status == 200
        assert await ended(peer) == [(1, NO_ERROR)]
        assert server.dropped == {}


@pytest.mark.parametrize("sent", [b"PRI", PREFACE[:23]])
@on_both_loops
async def test_a_preface_that_takes_too_long_ends_with_408(sent):
    async with serving(echo, QUICK) as server:
        peer = await Peer.connect(server.port)
        peer.send(sent)
        assert (await peer.response()).status == 408
        assert server.dropped == {"header too slow": 1}
        await peer.close()


@pytest.mark.parametrize(
    "start",
    [
        frame(PING, b"01234567")[:5],
        frame(HEADERS, b"\x82", stream=1)[:9],
        frame(HEADERS, b"\x82\x86", stream=1),  # its CONTINUATION never comes
        frame(DATA, b"x" * 100, stream=1)[:50],
    ],
)
@on_both_loops
async def test_a_frame_that_takes_too_long_ends_the_connection(start):
    async with connected(echo, PATIENT) as (peer, server):
        peer.raw(start)
        assert await ended(peer) == [(0, CALM)]
        assert server.dropped == {"frame too slow": 1}


@on_both_loops
async def test_a_body_that_takes_too_long_ends_with_408_and_the_connection_goes_on():
    async with connected(echo, PATIENT) as (peer, server):
        stream = peer.open("/", is_all=False)
        while stream not in peer.resets:
            await peer.step()
        assert peer.statuses[stream] == 408
        assert (await peer.ask("/next")).status == 200
        assert server.connections == 1


@on_both_loops
async def test_a_request_that_waits_for_its_answer_is_not_idle():
    waiting = Waiting()
    async with connected(waiting, QUICK) as (peer, server):
        stream = peer.open("/poll", "GET")
        await waiting.has(b"/poll")
        ticks = server.tick
        await until(lambda: server.tick > ticks + 30)
        waiting.answer(b"/poll")
        assert (await peer.response(stream)).body == b"/poll"


@pytest.mark.parametrize("is_reset", [False, True])
@on_both_loops
async def test_a_client_that_goes_away_ends_all_its_long_polls_once(is_reset):
    waiting = Waiting()
    async with connected(waiting) as (peer, server):
        for number in range(3):
            peer.open(f"/poll/{number}", "GET")
        await waiting.has(b"/poll/2")
        if is_reset:
            peer.writer.transport.abort()
        else:
            await peer.close()
        await until(lambda: server.connections == 0)
        waiting.answer(b"/poll/1")  # too late: does nothing
        assert sorted(waiting.gone) == [b"/poll/0", b"/poll/1", b"/poll/2"]


@on_both_loops
async def test_a_request_that_is_taken_back_ends_its_long_poll_once_and_no_other():
    waiting = Waiting()
    async with connected(waiting) as (peer, _):
        first, second = peer.open("/poll/1", "GET"), peer.open("/poll/2", "GET")
        await waiting.has(b"/poll/2")
        peer.machine.reset_stream(first, CANCEL)
        peer.flush()
        await until(lambda: waiting.gone == [b"/poll/1"])
        waiting.answer(b"/poll/1")
        waiting.answer(b"/poll/2")
        assert (await peer.response(second)).body == b"/poll/2"


@on_both_loops
async def test_a_client_that_only_stops_sending_still_gets_what_is_being_answered():
    waiting = Waiting()
    async with connected(waiting) as (peer, _):
        stream = peer.open("/1", "GET")
        peer.stop_sending()
        await waiting.has(b"/1")
        await asyncio.sleep(0.005)
        waiting.answer(b"/1")
        assert (await peer.response(stream)).body == b"/1"
        await peer.rest()


@on_both_loops
async def test_a_client_that_says_goodbye_gets_its_answers_first():
    waiting = Waiting()
    async with connected(waiting) as (peer, _):
        first, second = peer.open("/1", "GET"), peer.open("/2", "GET")
        goodbye = frame(GOAWAY, struct.pack(">II", 0, NO_ERROR) + b"bye")
        for byte in goodbye:
            peer.raw(bytes([byte]))
            await asyncio.sleep(0)
        peer.machine.ping(b"01234567")
        peer.flush()
        await waiting.has(b"/1", b"/2")
        while not peer.pongs:
            await peer.step()
        waiting.answer(b"/2")
        assert (await peer.response(second)).body == b"/2"
        waiting.answer(b"/1")
        assert (await peer.response(first)).body == b"/1"
        assert await ended(peer) == [(3, NO_ERROR)]


# --- drains ---------------------------------------------------------------------------------------


@on_both_loops
async def test_draining_ends_idle_connections_at_once():
    async with connected(echo) as (peer, server):
        assert (await peer.ask("/")).status == 200
        assert await server.drain(5_000) == 0
        assert await ended(peer) == [(1, NO_ERROR)]


@on_both_loops
async def test_draining_finishes_what_runs_and_what_is_on_the_way():
    waiting = Waiting()
    async with connected(waiting) as (peer, server):
        first = peer.open("/1", "GET")
        await waiting.has(b"/1")
        draining = asyncio.ensure_future(server.drain(5_000))
        while not peer.goaways:
            await peer.step()
        assert peer.goaways == [(STREAM_MAX, NO_ERROR)]
        second = peer.open("/2", "GET")  # sent before it had seen the GOAWAY, as it were
        await waiting.has(b"/2")
        waiting.answer(b"/1")
        waiting.answer(b"/2")
        assert (await peer.response(first)).body == b"/1"
        assert (await peer.response(second)).body == b"/2"
        assert await ended(peer) == [(STREAM_MAX, NO_ERROR), (3, NO_ERROR)]
        assert await draining == 0


@on_both_loops
async def test_a_client_that_goes_on_asking_during_a_drain_is_refused():
    waiting = Waiting()
    async with connected(waiting, HttpLimits(sweep_ms=5)) as (peer, server):
        first = peer.open("/1", "GET")
        await waiting.has(b"/1")
        draining = asyncio.ensure_future(server.drain(5_000))
        while len(peer.goaways) < 2:
            await peer.step()
        late = peer.open("/late", "GET")
        with pytest.raises(Gone, match=str(REFUSED_STREAM)):
            await peer.response(late)
        waiting.answer(b"/1")
        assert (await peer.response(first)).body == b"/1"
        assert await draining == 0
        assert set(waiting.exchanges) == {b"/1"}


@on_both_loops
async def test_draining_cuts_what_still_waits_when_its_time_is_over():
    waiting = Waiting()
    async with connected(waiting) as (peer, server):
        peer.open("/poll", "GET")
        await waiting.has(b"/poll")
        assert await server.drain(20) == 1
        assert (waiting.gone, server.connections) == ([b"/poll"], 0)
        await peer.rest()


# --- answers that wait ----------------------------------------------------------------------------


def ten_kib(request: HttpRequest, exchange: Exchange) -> None:
    exchange.reply(200, TEXT_HEAD, request.target[-1:] * 10_240)


@on_both_loops
async def test_requests_wait_while_too_many_answers_do():
    few = HttpLimits(answers_bytes_max=25_000)
    asked: list[bytes] = []

    def dispatch(request: HttpRequest, exchange: Exchange) -> None:
        asked.append(request.target)
        ten_kib(request, exchange)

    async with connected(dispatch, few, window_bytes=0) as (peer, _):
        streams = [peer.open(f"/{number}", "GET") for number in range(8)]
        while len(peer.statuses) < 3:
            await peer.step()
        peer.machine.ping(b"01234567")
        peer.flush()
        while not peer.pongs:
            await peer.step()
        assert asked == [b"/0", b"/1", b"/2"]
        # Of those that wait one is taken back; it is never served.
        peer.machine.reset_stream(streams[5], CANCEL)
        for stream in streams[:5] + streams[6:]:
            peer.machine.increment_flow_control_window(20_000, stream)
        peer.flush()
        for number, stream in enumerate(streams):
            if number != 5:
                assert (await peer.response(stream)).body == b"%d" % number * 10_240
        assert sorted(asked) == [b"/0", b"/1", b"/2", b"/3", b"/4", b"/6", b"/7"]


@on_both_loops
async def test_a_narrow_connection_window_is_shared_by_all_answers():
    async with connected(lambda _, e: e.reply(200, TEXT_HEAD, b"x" * 200_000)) as (peer, _):
        streams = [peer.open(f"/{number}", "GET") for number in range(5)]
        for stream in streams:
            assert len((await peer.response(stream)).body) == 200_000


@on_both_loops
async def test_windows_that_never_open_end_the_answers_one_by_one():
    async with connected(ten_kib, PATIENT, window_bytes=100) as (peer, server):
        peer.reads = False
        streams = [peer.open(f"/{number}", "GET") for number in range(3)]
        for stream in streams:
            with pytest.raises(Gone, match=str(CANCEL)):
                await peer.response(stream)
        assert server.dropped == {"answers not read": 3}
        assert server.connections == 1


@on_both_loops
async def test_a_connection_window_that_never_opens_ends_the_answers():
    def dispatch(request: HttpRequest, exchange: Exchange) -> None:
        exchange.reply(200, TEXT_HEAD, b"x" * 100_000)

    async with connected(dispatch, PATIENT, window_bytes=1 << 20) as (peer, server):
        peer.reads = False
        stream = peer.open("/", "GET")
        with pytest.raises(Gone, match=str(CANCEL)):
            await peer.response(stream)
        assert len(peer.bodies[stream]) == 65_535
        assert server.dropped == {"answers not read": 1}


# --- harm -----------------------------------------------------------------------------------------


def settings(*pairs: tuple[int, int]) -> bytes:
    return frame(SETTINGS, b"".join(struct.pack(">HI", *pair) for pair in pairs))


def header(stream: int, *, flags: int = 5) -> bytes:
    """POST http://test/ in HPACK's static table and one literal."""
    return frame(HEADERS, b"\x83\x86\x84\x01\x04test", flags=flags, stream=stream)


RESET = struct.pack(">I", CANCEL)

HARM = {
    "pings": frame(PING, b"01234567") * 50,
    "settings": settings((3, 100)) * 6,
    "empty settings": frame(SETTINGS) * 6,
    "windows": frame(WINDOW, struct.pack(">I", 1)) * 50,
    "priorities": frame(PRIORITY, struct.pack(">IB", 0, 1), stream=1) * 50,
    "unknown frames": frame(99) * 50,
    "empty bodies": header(1, flags=4) + frame(DATA, stream=1) * 50,
    "bodies of a byte": header(1, flags=4) + frame(DATA, b"x", stream=1) * 50,
    "resets of nothing": header(1) + frame(RST_STREAM, RESET, stream=1) * 50,
    "empty continuations": frame(HEADERS, b"\x83", stream=1) + frame(MORE, stream=1) * 50,
    "rapid reset": b"".join(
        header(stream) + frame(RST_STREAM, RESET, stream=stream) for stream in range(1, 40, 2)
    ),
    "a header without end": frame(HEADERS, b"\x83" * 1_000, stream=1)
    + frame(MORE, b"\x83" * 1_000, stream=1) * 4,
    "a header that unpacks to much": frame(
        HEADERS, b"\x40\x01x\x7e" + b"v" * 126 + b"\xbe" * 60, flags=5, stream=1
    ),
}


@pytest.mark.parametrize("data", HARM.values(), ids=HARM)
@on_both_loops
async def test_a_client_that_costs_too_much_is_told_to_calm_down(data):
    dispatched: list[bytes] = []

    def dispatch(request: HttpRequest, exchange: Exchange) -> None:
        dispatched.append(request.target)
        exchange.on_disconnect = lambda: None

    async with connected(dispatch, FEW) as (peer, server):
        peer.raw(data)
        goaways = await ended(peer)
        assert [code for _, code in goaways] == [CALM]
        assert len(dispatched) <= FEW.streams_max
        await until(lambda: server.connections == 0)
        assert sum(server.dropped.values()) == 1
        # Others are served as before.
        other = await Http2Peer.connect(server.port)
        other.machine.ping(b"01234567")
        other.flush()
        while not other.pongs:
            await other.step()
        await other.close()


@on_both_loops
async def test_rapid_resets_over_time_never_run_more_than_the_streams_allowed():
    running, most = 0, 0

    def dispatch(request: HttpRequest, exchange: Exchange) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        exchange.on_disconnect = finish

    def finish() -> None:
        nonlocal running
        running -= 1

    async with connected(dispatch, FEW) as (peer, server):
        try:
            for stream in range(1, 200, 2):
                peer.raw(header(stream))
                await peer.writer.drain()
                await asyncio.sleep(0.001)
                peer.raw(frame(RST_STREAM, RESET, stream=stream))
        except ConnectionError:
            pass  # cut off in the middle
        await until(lambda: server.connections == 0)
        assert (running, server.dropped) == (0, {"too many requests taken back": 1})
        assert most <= FEW.streams_max


@on_both_loops
async def test_what_was_spent_is_forgiven_with_time():
    steady = msgspec.structs.replace(FEW, small_frames_per_s=10_000)
    async with connected(echo, steady) as (peer, server):
        for _ in range(10):
            peer.raw(frame(PING, b"01234567") * 30)
            ticks = server.tick
            while server.tick <= ticks + 2:
                await asyncio.sleep(0.001)
        assert (await peer.ask("/")).status == 200
        assert server.dropped == {}


@on_both_loops
async def test_a_table_of_any_size_does_not_make_ours_grow():
    async with connected(echo) as (peer, _):
        peer.raw(settings((1, (1 << 32) - 1)))
        peer.machine.decoder.max_allowed_table_size = (1 << 32) - 1
        for _ in range(50):
            assert (await peer.ask("/")).status == 200
        assert peer.machine.decoder.header_table.maxsize == 4_096


MALFORMED = {
    "headers on stream 0": header(0),
    "an even stream": header(2),
    "a lower stream": header(3) + header(1),
    "data on an idle stream": frame(DATA, b"x", stream=1),
    "data without a stream": frame(DATA, b"x"),
    "a reset of an idle stream": frame(RST_STREAM, RESET, stream=5),
    "a ping of 7 bytes": frame(PING, b"0123456"),
    "a ping on a stream": frame(PING, b"01234567", stream=1),
    "settings of 5 bytes": frame(SETTINGS, b"01234"),
    "settings on a stream": frame(SETTINGS, stream=1),
    "settings that may not be": settings((2, 7)),
    "a window over the bound": frame(WINDOW, struct.pack(">I", STREAM_MAX)),
    "a window of nothing": frame(WINDOW, struct.pack(">I", 0)),
    "a push": frame(PUSH, struct.pack(">I", 2), flags=4, stream=1),
    "a naked continuation": frame(MORE, b"x", flags=4, stream=1),
    "a frame within a header": frame(HEADERS, b"\x83", stream=1) + frame(PING, b"01234567"),
    "a header that is no HPACK": frame(HEADERS, b"\xff\xff\xff\xff\xff", flags=5, stream=1),
    "padding over the frame": frame(DATA, b"\xff", flags=8, stream=1),
    "a frame over the size": frame(DATA, b"x" * 20_000, stream=1),
    "upper-case names": frame(HEADERS, b"\x83\x86\x84\x00\x01X\x01y", flags=5, stream=1),
    "no method": frame(HEADERS, b"\x86\x84\x01\x04test", flags=5, stream=1),
    "connection headers": frame(
        HEADERS, b"\x83\x86\x84\x01\x04test\x00\x0aconnection\x05close", flags=5, stream=1
    ),
    "a body over its length": frame(
        HEADERS, b"\x83\x86\x84\x01\x04test\x0f\x0d\x011", flags=4, stream=1
    )
    + frame(DATA, b"xyz", flags=1, stream=1),
}


@pytest.mark.parametrize("data", MALFORMED.values(), ids=MALFORMED)
@on_both_loops
async def test_malformed_frames_end_their_connection_or_stream_and_nothing_else(data):
    waiting = Waiting()
    async with serving(waiting) as server:
        good, bad = await Http2Peer.connect(server.port), await Http2Peer.connect(server.port)
        stream = good.open("/good", "GET")
        await waiting.has(b"/good")
        bad.raw(data)
        seen = await closed_or_reset(bad)
        assert seen - {SETTINGS, WINDOW, PING} <= {GOAWAY, RST_STREAM}
        assert seen & {GOAWAY, RST_STREAM}
        waiting.answer(b"/good")
        assert (await good.response(stream)).body == b"/good"
        await good.close()
        await bad.close()


async def closed_or_reset(peer: Http2Peer) -> set[int]:
    """The kinds of frames that came, up to the first GOAWAY or RST_STREAM."""
    kinds: set[int] = set()
    while not kinds & {GOAWAY, RST_STREAM}:
        kinds.add(await peer.next_kind())
    return kinds


@on_both_loops
async def test_a_header_list_over_twice_the_bound_ends_the_connection():
    async with connected(echo, FEW) as (peer, server):
        peer.open("/", "GET", tuple((f"x-{number}", "v" * 60) for number in range(60)))
        assert [code for _, code in await ended(peer)] == [CALM]
        await until(lambda: server.connections == 0)


@on_both_loops
async def test_streams_over_the_bound_end_the_connection():
    waiting = Waiting()
    async with connected(waiting, FEW) as (peer, _):
        peer.raw(b"".join(header(stream) for stream in range(1, 13, 2)))
        assert [code for _, code in await ended(peer)] == [PROTOCOL_ERROR]
