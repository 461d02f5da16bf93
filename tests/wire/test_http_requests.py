"""How requests are read: framing, order, limits of size, and what is refused."""

from __future__ import annotations

import asyncio

import pytest

from eventcore.server.http_limits import HttpLimits
from eventcore.wire.http import TEXT_HEAD, Exchange, HttpRequest
from tests.wire.http_peer import Peer, Waiting, connected, echo, get, on_both_loops, post, serving

CHUNKED = b"POST /c HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n"


@on_both_loops
async def test_a_connection_is_kept_for_the_next_request():
    async with connected(echo) as (peer, _):
        for number in range(3):
            peer.send(post(f"/{number}", b"x" * number))
            response = await peer.response()
            assert response.body == b"POST /%d %b" % (number, b"x" * number)
            assert "connection" not in response.headers


@on_both_loops
async def test_a_request_may_come_in_single_bytes():
    async with connected(echo) as (peer, _):
        for byte in post("/slow?a=b", b"body", "X-One: 1"):
            peer.send(bytes([byte]))
            await asyncio.sleep(0)
        assert (await peer.response()).body == b"POST /slow?a=b body"


@on_both_loops
async def test_names_of_headers_are_lowered_and_repeated_ones_joined():
    seen: list[HttpRequest] = []

    def dispatch(request: HttpRequest, exchange: Exchange) -> None:
        seen.append(request)
        exchange.reply(204, b"", b"")

    async with connected(dispatch) as (peer, _):
        peer.send(get("/", "X-Thing: one", "Other: 1", "x-THING: two"))
        assert (await peer.response()).status == 204
    assert seen[0].headers == {b"host": b"test", b"x-thing": b"one, two", b"other": b"1"}
    assert seen[0].peer.startswith("127.0.0.1:")


@on_both_loops
async def test_pipelined_requests_are_answered_in_order():
    async with connected(echo) as (peer, _):
        peer.send(b"".join(post(f"/{number}", b"b%d" % number) for number in range(500)))
        for number in range(500):
            assert (await peer.response()).body == b"POST /%d b%d" % (number, number)


@on_both_loops
async def test_answers_keep_the_order_of_requests_when_later_ones_finish_first():
    waiting = Waiting()
    async with connected(waiting) as (peer, _):
        peer.send(get("/1") + get("/2") + get("/3"))
        await waiting.has(b"/1", b"/2", b"/3")
        for target in (b"/3", b"/2", b"/1"):
            waiting.answer(target)
        assert [(await peer.response()).body for _ in range(3)] == [b"/1", b"/2", b"/3"]


@on_both_loops
async def test_no_more_than_the_limit_of_pipelined_requests_run_at_a_time():
    waiting = Waiting()
    async with connected(waiting, HttpLimits(pipelined_max=4)) as (peer, _):
        peer.send(b"".join(get(f"/{number}") for number in range(10)))
        await waiting.has(b"/3")
        assert list(waiting.exchanges) == [b"/0", b"/1", b"/2", b"/3"]
        waiting.answer(b"/1")
        assert len(waiting.exchanges) == 4, "its answer has not left yet"
        waiting.answer(b"/0")
        assert list(waiting.exchanges)[4:] == [b"/4", b"/5"]
        for number in range(2, 10):
            await waiting.has(b"/%d" % number)
            waiting.answer(b"/%d" % number)
        assert [(await peer.response()).body for _ in range(10)] == [b"/%d" % n for n in range(10)]


@on_both_loops
async def test_chunked_bodies_are_joined_and_their_trailers_dropped():
    seen: list[HttpRequest] = []

    def dispatch(request: HttpRequest, exchange: Exchange) -> None:
        seen.append(request)
        echo(request, exchange)

    async with connected(dispatch) as (peer, _):
        for part in (b"4;name=value\r\nabcd\r\n", b"3\r\nef", b"g\r\n0\r\nx-late: 1\r\n\r\n"):
            peer.send(CHUNKED + part if part.startswith(b"4") else part)
            await asyncio.sleep(0.002)
        assert (await peer.response()).body == b"POST /c abcdefg"
        assert b"x-late" not in seen[0].headers
        peer.send(get("/next"))
        assert (await peer.response()).body == b"GET /next "


@on_both_loops
async def test_a_body_of_ten_megabytes_arrives_whole_and_goes_back_whole():
    body = bytes(range(256)) * (10 * 4096)
    async with connected(echo) as (peer, _):
        peer.send(post("/big", body))
        assert (await peer.response()).body == b"POST /big " + body


@on_both_loops
async def test_expect_gets_a_continue_before_the_body():
    async with connected(echo) as (peer, _):
        head, _, body = post("/e", b"body", "Expect: 100-continue").partition(b"\r\n\r\n")
        peer.send(head + b"\r\n\r\n")
        assert (await peer.response()).status == 100
        peer.send(body)
        assert (await peer.response()).body == b"POST /e body"


@on_both_loops
async def test_a_continue_that_had_to_wait_is_sent_when_the_answer_before_it_has_left():
    waiting = Waiting()
    async with connected(waiting) as (peer, _):
        head, _, body = post("/second", b"body", "Expect: 100-continue").partition(b"\r\n\r\n")
        peer.send(get("/first") + head + b"\r\n\r\n")
        await waiting.has(b"/first")
        waiting.answer(b"/first")
        assert (await peer.response()).body == b"/first"
        assert (await peer.response()).status == 100
        peer.send(body)
        await waiting.has(b"/second")
        waiting.answer(b"/second")
        assert (await peer.response()).body == b"/second"


@on_both_loops
async def test_head_tells_the_length_and_sends_no_body():
    async with connected(echo) as (peer, _):
        peer.send(get("/h").replace(b"GET", b"HEAD") + get("/after"))
        response = await peer.response(has_body=False)
        assert response.headers["content-length"] == str(len(b"HEAD /h "))
        assert (await peer.response()).body == b"GET /after "


@on_both_loops
async def test_http_1_0_closes_unless_keep_alive_is_asked_for():
    async with serving(echo) as server:
        peer = await Peer.connect(server.port)
        peer.send(b"GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        assert (await peer.response()).headers["connection"] == "keep-alive"
        peer.send(b"GET /b HTTP/1.0\r\n\r\n")
        response = await peer.response()
        assert response.headers["connection"] == "close"
        assert response.body == b"GET /b "
        assert await peer.rest() == b""
        await peer.close()


@on_both_loops
async def test_nothing_is_read_after_a_request_that_closes():
    waiting = Waiting()
    async with connected(waiting) as (peer, server):
        peer.send(get("/last", "Connection: close") + get("/more") + b"garbage")
        await waiting.has(b"/last")
        waiting.answer(b"/last")
        response = await peer.response()
        assert response.headers["connection"] == "close"
        await peer.rest()
        assert list(waiting.exchanges) == [b"/last"]
        assert server.dropped == {}


@on_both_loops
async def test_an_offer_to_upgrade_is_declined_and_the_body_is_kept():
    offer = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk")
    async with connected(echo) as (peer, _):
        peer.send(post("/1", b"one", *offer) + post("/2", b"two", *offer) + get("/3", *offer))
        bodies = [(await peer.response()).body for _ in range(3)]
        assert bodies == [b"POST /1 one", b"POST /2 two", b"GET /3 "]
        head, _, body = post("/4", b"four", *offer).partition(b"\r\n\r\n")
        peer.send(head + b"\r\n\r\n")
        await asyncio.sleep(0.005)
        peer.send(body + get("/5"))
        assert (await peer.response()).body == b"POST /4 four"
        assert (await peer.response()).body == b"GET /5 "


LONG = "x" * 2_000
REFUSED = {
    "garbage": (b"\x00\x01\x02garbage\r\n\r\n", 400),
    "tls": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
    "no version": (b"GET /\r\n\r\n", 505),
    "almost http/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\n", 400),
    "unknown version": (b"GET / HTTP/2.0\r\nHost: test\r\n\r\n", 505),
    "no host": (b"GET / HTTP/1.1\r\n\r\n", 400),
    "two hosts": (get("/", "Host: other"), 400),
    "space before colon": (get("/", "X : y"), 400),
    "folded header": (get("/", "X: y", " z"), 400),
    "bare line feeds": (b"GET / HTTP/1.1\nHost: test\n\n", 400),
    "nul in header": (get("/", "X: a\0b"), 400),
    "length and chunks": (post("/", b"x", "Transfer-Encoding: chunked"), 400),
    "two lengths": (post("/", b"x", "Content-Length: 2"), 400),
    "signed length": (get("/", "Content-Length: +1"), 400),
    "huge length": (get("/", "Content-Length: 99999999999999999999999"), 400),
    "unknown coding": (get("/", "Transfer-Encoding: gzip"), 400),
    "bad chunk size": (CHUNKED + b"zz\r\n", 400),
    "negative chunk": (CHUNKED + b"-1\r\n", 400),
    "chunk too short": (CHUNKED + b"1\r\nabc\r\n", 400),
    "unknown expectation": (post("/", b"x", "Expect: wonders"), 417),
    "connect": (b"CONNECT test:80 HTTP/1.1\r\nHost: test\r\n\r\n", 501),
    "length over the limit": (post("/", b"", "X: y").replace(b"Length: 0", b"Length: 5000"), 413),
    "chunks over the limit": (CHUNKED + b"3e8\r\n" + b"x" * 1000 + b"\r\n1\r\n.\r\n", 413),
    "long target": (get("/" + LONG), 431),
    "long header": (get("/", f"X: {LONG}"), 431),
    "endless header": (b"GET / HTTP/1.1\r\nX: " + LONG.encode() * 5, 431),
    "many headers": (get("/", *(f"X{number}: 1" for number in range(20))), 431),
    "many equal headers": (get("/", *("X: 1" for _ in range(20))), 431),
}
SMALL = HttpLimits(body_bytes_max=1_000, header_bytes_max=1_000, headers_max=10)


@pytest.mark.parametrize("case", REFUSED)
@on_both_loops
async def test_what_is_no_request_is_refused_with_its_status_and_the_connection_ends(case):
    data, status = REFUSED[case]
    waiting = Waiting()
    async with connected(waiting, SMALL) as (peer, server):
        for start in range(0, len(data), 900):  # in pieces, for the limits that count those
            peer.send(data[start : start + 900])
            await asyncio.sleep(0.002)
        response = await peer.response()
        assert response.status == status, response
        assert response.headers["connection"] == "close"
        assert response.body.endswith(b"\n")
        assert await peer.rest() == b""
        assert waiting.exchanges == {}
        assert sum(server.dropped.values()) == 1


@on_both_loops
async def test_a_refusal_comes_after_the_answers_to_the_requests_before_it():
    waiting = Waiting()
    async with connected(waiting) as (peer, _):
        peer.send(get("/1") + get("/2") + b"garbage\r\n\r\n")
        await waiting.has(b"/2")
        waiting.answer(b"/2")
        waiting.answer(b"/1")
        assert [(await peer.response()).status for _ in range(3)] == [200, 200, 400]
        assert await peer.rest() == b""


@on_both_loops
async def test_a_client_that_still_sends_gets_to_see_why_it_was_refused():
    async with connected(echo, HttpLimits(body_bytes_max=1_000)) as (peer, _):
        peer.send(post("/", b"x" * 5_000_000))
        assert (await peer.response()).status == 413
        assert await peer.rest() == b""


@on_both_loops
@pytest.mark.parametrize("is_chunked", [False, True])
async def test_a_functions_code_may_be_larger_than_other_bodies(is_chunked):
    most = HttpLimits(body_bytes_max=1_000, code_bytes_max=50_000)
    path = "/2015-03-31/functions/f/code"
    for target, length, status in ((path, 50_000, 200), (path, 50_001, 413), ("/", 1_001, 413)):
        async with connected(echo, most) as (peer, _):
            body = b"x" * length
            if is_chunked:
                head = f"POST {target} HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n"
                parts = b"".join(b"%x\r\n%b\r\n" % (len(p), p) for p in (body[:999], body[999:]))
                peer.send(head.encode() + parts + b"0\r\n\r\n")
            else:
                peer.send(post(target, body))
            assert (await peer.response()).status == status


@on_both_loops
async def test_a_truncated_request_is_never_dispatched():
    whole = post("/t", b"body")
    waiting = Waiting()
    async with serving(waiting) as server:
        for length in range(len(whole)):
            peer = await Peer.connect(server.port)
            peer.send(whole[:length])
            peer.writer.write_eof()
            assert await peer.rest() == b""
            await peer.close()
    assert waiting.exchanges == {}


@on_both_loops
async def test_a_dispatch_that_raises_is_answered_with_500_and_the_connection_goes_on():
    def dispatch(request: HttpRequest, exchange: Exchange) -> None:
        if request.target == b"/bug":
            raise ZeroDivisionError
        exchange.reply(200, TEXT_HEAD, b"fine")

    async with connected(dispatch) as (peer, _):
        peer.send(get("/bug") + get("/"))
        assert [(await peer.response()).status for _ in range(2)] == [500, 200]


@on_both_loops
async def test_a_second_reply_is_a_programming_error():
    caught: list[AssertionError] = []

    def dispatch(request: HttpRequest, exchange: Exchange) -> None:
        exchange.reply(200, TEXT_HEAD, b"once")
        try:
            exchange.reply(200, TEXT_HEAD, b"twice")
        except AssertionError as error:
            caught.append(error)

    async with connected(dispatch) as (peer, _):
        peer.send(get("/") + get("/"))
        assert [(await peer.response()).body for _ in range(2)] == [b"once", b"once"]
    assert len(caught) == 2
