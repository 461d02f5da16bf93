"""The connection without a socket: however bytes are cut or broken, the same rules hold."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st

from eventcore.server.connection import HttpConnection
from eventcore.server.connection_owner import ServedConnection
from eventcore.server.http_limits import HttpLimits
from eventcore.wire.http import Dispatch, Exchange, HttpRequest
from tests.wire.http_peer import echo, get, post

CHUNKS = b"POST /c HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
UPGRADE = ("Connection: Upgrade", "Upgrade: h2c")
REQUESTS = [
    get("/a"),
    post("/b", b"body"),
    post("/e", b"", "Content-Type: x"),
    CHUNKS,
    get("/h").replace(b"GET", b"HEAD"),
    post("/u", b"up", *UPGRADE),
    get("/v", *UPGRADE),
    post("/x", b"body", "Connection: keep-alive"),
]


class Owner:
    """A listener without a socket."""

    def __init__(self, dispatch: Dispatch) -> None:
        self.dispatch = dispatch
        self.limits = HttpLimits(
            pipelined_max=3, body_bytes_max=500, header_bytes_max=500, headers_max=8
        )
        self.tick = 0
        self.is_draining = False
        self.drops: list[str] = []

    def admit(self, connection: ServedConnection) -> bool:
        return True

    def replace(self, connection: ServedConnection, successor: ServedConnection) -> None:
        pass

    def forget(self, connection: ServedConnection) -> None:
        pass

    def note_drop(self, reason: str, peer: str) -> None:
        self.drops.append(reason)


class Wire:
    """A transport that keeps what is written and checks what it is asked for."""

    def __init__(self) -> None:
        self.written = b""
        self.is_paused = False
        self.has_ended = False

    def write(self, data: bytes) -> None:
        assert not self.has_ended
        self.written += data

    def pause_reading(self) -> None:
        assert not self.is_paused
        self.is_paused = True

    def resume_reading(self) -> None:
        assert self.is_paused
        self.is_paused = False

    def close(self) -> None:
        self.has_ended = True

    write_eof = close

    def can_write_eof(self) -> bool:
        return True

    def is_closing(self) -> bool:
        return self.has_ended

    def get_extra_info(self, name: str) -> tuple[str, int] | None:
        return ("127.0.0.1", 5000) if name == "peername" else None

    def set_write_buffer_limits(self, high: int) -> None:
        assert high > 0


def connection_to(dispatch: Dispatch) -> tuple[HttpConnection, Wire, Owner]:
    owner, wire = Owner(dispatch), Wire()
    connection = HttpConnection(owner)
    connection.connection_made(cast("Any", wire))
    return connection, wire, owner


def feed(data: bytes, cuts: list[int], dispatch: Dispatch = echo) -> tuple[Wire, Owner]:
    connection, wire, owner = connection_to(dispatch)
    edges = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    for start, end in pairwise(edges):
        connection.data_received(data[start:end])
    connection.connection_lost(None)
    return wire, owner


@given(st.lists(st.sampled_from(REQUESTS), max_size=8), st.lists(st.integers(0, 2_000), max_size=8))
def test_the_answers_do_not_depend_on_how_the_bytes_were_cut(requests, cuts):
    data = b"".join(requests)
    whole, _ = feed(data, [])
    cut, owner = feed(data, cuts)
    assert cut.written == whole.written
    assert cut.written.count(b"HTTP/1.1 200 OK\r\n") == len(requests)
    assert owner.drops == []


@given(
    st.lists(st.sampled_from(REQUESTS), min_size=1, max_size=4),
    st.lists(st.tuples(st.integers(0, 1_000), st.binary(max_size=3)), max_size=4),
    st.lists(st.integers(0, 2_000), max_size=4),
)
def test_broken_input_is_answered_or_waited_for_and_never_breaks_the_connection(
    requests, damages, cuts
):
    data = b"".join(requests)
    for position, change in damages:
        at = position % len(data)
        data = data[:at] + change + data[at + 1 :]
    wire, owner = feed(data, cuts)
    assert wire.written == b"" or wire.written.startswith(b"HTTP/1.1 ")
    assert len(owner.drops) <= 1
    assert wire.has_ended >= bool(owner.drops)
    assert b" 500 " not in wire.written


@given(st.binary(max_size=200))
def test_garbage_never_reaches_the_dispatch(data):
    seen: list[HttpRequest] = []
    feed(data, [], lambda request, exchange: seen.append(request))
    assert seen == []


@given(st.permutations(range(8)), st.integers(0, 2_000))
def test_answers_leave_in_order_and_within_the_limit_whatever_order_they_are_made_in(order, cut):
    exchanges: dict[int, Exchange] = {}
    most = 0

    def dispatch(request: HttpRequest, exchange: Exchange) -> None:
        nonlocal most
        exchanges[int(request.target[1:])] = exchange
        most = max(most, len(exchanges))

    connection, wire, owner = connection_to(dispatch)
    data = b"".join(get(f"/{number}") for number in range(8))
    connection.data_received(data[: cut % len(data)])
    connection.data_received(data[cut % len(data) :])
    left = list(order)
    while left:
        number = next(number for number in left if number in exchanges)
        left.remove(number)
        exchanges.pop(number).reply(200, b"", b"<%d>" % number)
        assert len(exchanges) <= owner.limits.pipelined_max
    assert [wire.written.index(b"<%d>" % number) for number in range(8)] == sorted(
        wire.written.index(b"<%d>" % number) for number in range(8)
    )
    assert most <= owner.limits.pipelined_max
    assert not wire.is_paused
