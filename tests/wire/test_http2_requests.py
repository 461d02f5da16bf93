"""Requests and answers over HTTP/2: the dispatch sees what it sees in HTTP/1.1."""

from __future__ import annotations

import asyncio
import hashlib

import msgspec
import pytest

from eventcore.server.http_limits import HttpLimits
from eventcore.wire.http import JSON_HEAD, TEXT_HEAD, Exchange, HttpRequest
from tests.wire.http2_peer import PREFACE, SETTINGS, Gone, Http2Peer, connected, frame
from tests.wire.http_peer import Peer, Waiting, echo, get, on_both_loops, serving, until

SMALL = HttpLimits(body_bytes_max=1_000, header_bytes_max=2_000, headers_max=10)


class Seen:
    """Answers with "ok" and keeps the requests."""

    def __init__(self) -> None:
        self.requests: list[HttpRequest] = []

    def __call__(self, request: HttpRequest, exchange: Exchange) -> None:
        self.requests.append(request)
        exchange.reply(200, TEXT_HEAD, b"ok")


@on_both_loops
async def test_a_request_is_given_whole_and_with_its_host():
    seen = Seen()
    async with connected(seen) as (peer, server):
        answer = await peer.ask("/p?x=%20", b"body", x_one="1", content_type="a/b")
        assert (answer.status, answer.body) == (200, b"ok")
        assert answer.headers == {
            "content-type": "text/plain; charset=utf-8",
            "content-length": "2",
        }
        (request,) = seen.requests
        assert (request.method, request.target, request.body) == (b"POST", b"/p?x=%20", b"body")
        assert request.headers == {b"host": b"test", b"x-one": b"1", b"content-type": b"a/b"}
        assert request.peer.startswith("127.0.0.1:")
        assert not request.is_secure
        assert server.connections == 1


@on_both_loops
async def test_repeated_headers_are_joined_as_in_http_1():
    seen = Seen()
    async with connected(seen) as (peer, _):
        fields = (("x-two", "1"), ("x-two", "2"), ("cookie", "a=1"), ("cookie", "b=2"))
        await peer.response(peer.open("/", "GET", fields))
        assert seen.requests[0].headers[b"x-two"] == b"1, 2"
        assert seen.requests[0].headers[b"cookie"] == b"a=1; b=2"


@on_both_loops
async def test_a_head_request_gets_the_header_only():
    async with connected(echo) as (peer, _):
        answer = await peer.response(peer.open("/h", "HEAD"))
        assert (answer.status, answer.headers["content-length"], answer.body) == (200, "8", b"")


@pytest.mark.parametrize("status", [204, 304])
@on_both_loops
async def test_answers_that_never_have_a_body_have_no_length(status):
    async with connected(lambda _, exchange: exchange.reply(status, b"", b"")) as (peer, _):
        answer = await peer.ask()
        assert (answer.status, answer.headers, answer.body) == (status, {}, b"")


@on_both_loops
async def test_answers_leave_in_any_order_and_each_once():
    waiting = Waiting()
    async with connected(waiting) as (peer, _):
        streams = [peer.open(f"/{number}", "GET") for number in range(20)]
        await waiting.has(b"/19")
        for number in reversed(range(20)):
            waiting.answer(b"/%d" % number)
            assert (await peer.response(streams[number])).body == b"/%d" % number


@on_both_loops
async def test_a_late_answer_without_a_body_leaves_at_once():
    waiting = Waiting()
    async with connected(waiting) as (peer, _):
        stream = peer.open("/late", "POST")
        await waiting.has(b"/late")
        waiting.exchanges[b"/late"].reply(200, TEXT_HEAD, b"")
        answer = await peer.response(stream)
        assert (answer.status, answer.body) == (200, b"")


@on_both_loops
async def test_many_requests_share_a_connection_one_after_the_other():
    async with connected(echo) as (peer, server):
        for number in range(300):
            assert (await peer.ask(f"/{number}", b"b")).body == b"POST /%d b" % number
        assert (server.connections, server.dropped) == (1, {})


@on_both_loops
async def test_a_client_that_speaks_byte_by_byte_is_understood():
    async with serving(echo) as server:
        peer = await Http2Peer.connect(server.port)
        stream = peer.machine.get_next_available_stream_id()
        header = [
            (":method", "POST"),
            (":scheme", "http"),
            (":authority", "test"),
            (":path", "/slow"),
        ]
        peer.machine.send_headers(stream, header)
        peer.machine.send_data(stream, b"body", end_stream=True)
        for byte in peer.machine.data_to_send():
            peer.raw(bytes([byte]))
            await asyncio.sleep(0)
        assert (await peer.response(stream)).body == b"POST /slow body"
        await peer.close()


@pytest.mark.parametrize("cut", [1, 3, 4, 17, 23, 24, 25])
@on_both_loops
async def test_the_preface_may_arrive_in_two_pieces(cut):
    async with serving(echo) as server:
        peer = await Peer.connect(server.port)
        data = PREFACE + frame(SETTINGS)
        peer.send(data[:cut])
        await until(lambda: server.connections == 1)
        await asyncio.sleep(0.003)
        peer.send(data[cut:])
        start = await peer.exactly(9)
        assert start[3] == SETTINGS
        await peer.close()


@pytest.mark.parametrize("start", ["P", "PR", "PRI", "PRI "])
@on_both_loops
async def test_methods_that_begin_like_the_preface_are_served_in_http_1(start):
    async with serving(echo) as server:
        peer = await Peer.connect(server.port)
        data = get("/x").replace(b"GET", b"POST")
        if start != "P":
            data = get("/x").replace(b"GET", start.strip().encode() + b"X")
        peer.send(data[:1])
        await asyncio.sleep(0.003)
        peer.send(data[1:])
        answer = await peer.response()
        assert answer.status == (200 if start == "P" else 400)
        await peer.close()


@on_both_loops
async def test_http_1_and_2_are_served_at_once_on_one_port():
    async with connected(echo) as (peer, server):
        old = await Peer.connect(server.port)
        old.send(get("/old"))
        assert (await old.response()).body == b"GET /old "
        assert (await peer.ask("/new")).body == b"POST /new "
        assert server.connections == 2
        await old.close()


@on_both_loops
async def test_an_upgrade_is_answered_in_http_1():
    async with serving(echo) as server:
        peer = await Peer.connect(server.port)
        peer.send(get("/u", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c"))
        assert (await peer.response()).body == b"GET /u "
        await peer.close()


@on_both_loops
async def test_large_bodies_go_both_ways():
    body = hashlib.sha512(b"seed").digest() * (10 * 1024 * 1024 // 64)

    def mirror(request: HttpRequest, exchange: Exchange) -> None:
        exchange.reply(200, JSON_HEAD, request.body)

    async with connected(mirror) as (peer, _):
        answer = await peer.ask("/", body)
        assert answer.headers["content-length"] == str(len(body))
        assert answer.body == body


@on_both_loops
async def test_expect_continue_is_answered_and_another_expectation_refused():
    async with connected(echo) as (peer, _):
        stream = peer.open("/", fields=(("expect", "100-continue"),), is_all=False)
        while not peer.interim:
            await peer.step()
        peer.machine.send_data(stream, b"x", end_stream=True)
        peer.flush()
        assert (await peer.response(stream)).body == b"POST / x"
        assert peer.interim == [100]
        assert (await peer.ask("/", b"x", expect="the worst")).status == 417


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ((("content-length", "1001"),), 413),
        (tuple((f"x-{number}", "v") for number in range(11)), 431),
        ((("x-long", "v" * 2_000),), 431),
        ((("x-many", "v" * 30),) * 50, 431),
    ],
)
@on_both_loops
async def test_a_header_over_a_bound_is_answered_and_the_connection_goes_on(fields, status):
    seen = Seen()
    async with connected(seen, SMALL) as (peer, server):
        stream = peer.open("/", fields=fields, is_all=False)
        while stream not in peer.statuses:
            await peer.step()
        assert peer.statuses[stream] == status
        while stream not in peer.resets:
            await peer.step()
        assert peer.resets[stream] == 0  # NO_ERROR: the answer counts
        assert (await peer.ask("/next")).status == 200
        assert [request.target for request in seen.requests] == [b"/next"]
        assert server.dropped == {}


@on_both_loops
async def test_a_body_that_grows_over_the_bound_is_answered_with_413():
    seen = Seen()
    async with connected(seen, SMALL) as (peer, _):
        stream = peer.open("/", is_all=False)
        for _ in range(11):
            peer.machine.send_data(stream, b"x" * 100)
        peer.flush()
        while stream not in peer.resets:
            await peer.step()
        assert peer.statuses[stream] == 413
        assert (await peer.ask("/", b"x" * 1_000)).status == 200
        assert [len(request.body) for request in seen.requests] == [1_000]


@on_both_loops
async def test_unfinished_bodies_of_a_connection_are_bounded_together():
    most = msgspec.structs.replace(SMALL, bodies_bytes_max=2_500)
    async with connected(echo, most) as (peer, _):
        streams = [peer.open("/", is_all=False) for _ in range(3)]
        for stream in streams:
            peer.machine.send_data(stream, b"x" * 1_000)
        peer.flush()
        while streams[2] not in peer.statuses:
            await peer.step()
        assert peer.statuses == {streams[2]: 503}
        for stream in streams[:2]:
            peer.machine.end_stream(stream)
        peer.flush()
        for stream in streams[:2]:
            assert (await peer.response(stream)).status == 200
        assert (await peer.ask("/", b"x" * 1_000)).status == 200


@pytest.mark.parametrize(
    ("header", "status"),
    [
        ([(":method", "CONNECT"), (":authority", "test:1")], 501),
        ([(":method", "GET"), (":scheme", "http"), (":path", "/a b"), (":authority", "t")], 400),
        ([(":method", "GET"), (":scheme", "http"), (":path", "/\xe9"), (":authority", "t")], 400),
    ],
)
@on_both_loops
async def test_what_is_no_request_here_is_refused_with_its_status(header, status):
    async with connected(echo) as (peer, _):
        peer.machine.config.validate_outbound_headers = False
        stream = peer.machine.get_next_available_stream_id()
        fields = [(name.encode(), value.encode("latin-1")) for name, value in header]
        peer.machine.send_headers(stream, fields, end_stream=True)
        peer.flush()
        assert (await peer.response(stream)).status == status


@on_both_loops
async def test_a_dispatch_that_fails_costs_its_own_request_only():
    def fail(request: HttpRequest, exchange: Exchange) -> None:
        if request.target == b"/bug":
            raise ZeroDivisionError
        if request.target == b"/late":
            exchange.stream(200, TEXT_HEAD).write(b"some")
            raise ZeroDivisionError
        exchange.reply(200, TEXT_HEAD, b"ok")

    async with connected(fail) as (peer, _):
        assert (await peer.ask("/bug")).status == 500
        with pytest.raises(Gone):
            await peer.ask("/late")
        assert (await peer.ask("/good")).body == b"ok"


@on_both_loops
async def test_a_proxy_that_ended_tls_says_so_with_the_scheme():
    seen = Seen()
    async with connected(seen) as (peer, _):
        stream = peer.machine.get_next_available_stream_id()
        header = [
            (":method", "GET"),
            (":scheme", "https"),
            (":authority", "a.example"),
            (":path", "/"),
        ]
        peer.machine.send_headers(stream, header, end_stream=True)
        peer.flush()
        await peer.response(stream)
        assert seen.requests[0].is_secure
