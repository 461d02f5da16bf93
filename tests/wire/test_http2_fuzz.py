"""HTTP/2 without a socket: however bytes are cut or broken, the same rules hold."""

from __future__ import annotations

from typing import Any, cast

from h2.config import H2Configuration
from h2.connection import H2Connection
from hypothesis import given, settings
from hypothesis import strategies as st

from eventcore.server.connection import HttpConnection
from eventcore.wire.http import TEXT_HEAD, Exchange, HttpRequest, ResponseStream
from tests.wire.test_http_fuzz import Owner, Wire


class Served:
    """Answers at once, in parts or later, as the path says; counts who was told of an end."""

    def __init__(self) -> None:
        self.later: list[Exchange] = []
        self.streams: list[ResponseStream] = []
        self.told = 0
        self.waiting = 0

    def __call__(self, request: HttpRequest, exchange: Exchange) -> None:
        if request.target == b"/later":
            self.later.append(exchange)
            exchange.on_disconnect = self.note
            self.waiting += 1
        elif request.target == b"/parts":
            stream = exchange.stream(200, TEXT_HEAD)
            stream.write(b"some")
            self.streams.append(stream)
        else:
            exchange.reply(200, TEXT_HEAD, request.body or b"x" * 40_000)

    def note(self) -> None:
        self.told += 1


class Http2Wire(Wire):
    """A transport that can be handed on, and be cut."""

    protocol: Any = None
    is_cut = False

    def set_protocol(self, protocol: Any) -> None:
        self.protocol = protocol

    def get_write_buffer_size(self) -> int:
        return 0

    def abort(self) -> None:
        self.has_ended = self.is_cut = True


def conversation() -> bytes:
    """All that a client may send, one after the other."""
    client = H2Connection(H2Configuration(client_side=True))
    client.initiate_connection()
    client.increment_flow_control_window(100_000)
    for number, target in enumerate(("/now", "/later", "/parts", "/now", "/later")):
        stream = 2 * number + 1
        fields = [(":method", "POST"), (":scheme", "http"), (":authority", "t"), (":path", target)]
        client.send_headers(stream, [*fields, ("x-number", str(number))])
        client.send_data(stream, b"body" * number, end_stream=number != 4)
        client.ping(b"01234567")
    client.increment_flow_control_window(1_000, 1)
    return client.data_to_send()


DATA = conversation()
RESET = b"\0\0\4\3\0\0\0\0\3\0\0\0\x08"
"""Of the request that is answered later. Whether it is dispatched at all depends on the cuts."""


def test_a_client_that_does_not_read_is_not_read_from_and_cut_in_the_end():
    """Each ping makes an answer; they must not pile up while nobody takes them."""
    served, wire = run(DATA, [])
    owner = wire.protocol._owner
    wire.protocol.pause_writing()
    assert wire.is_paused
    before = len(wire.written)
    for stream in served.streams:
        assert not stream.write(b"kept")  # for a client that goes on later
    assert len(wire.written) == before
    wire.protocol.resume_writing()
    assert not wire.is_paused
    assert frames(wire.written)[-1] == (0, 5)
    wire.protocol.pause_writing()
    for _ in range(owner.limits.unread_ms_max // owner.limits.sweep_ms + 1):
        assert not wire.is_cut
        owner.tick += 1
        wire.protocol.sweep()
    assert wire.is_cut
    assert owner.drops == ["answers not read"]
    end(served, wire)


def run(data: bytes, cuts: list[int]) -> tuple[Served, Http2Wire]:
    served, wire = Served(), Http2Wire()
    connection = HttpConnection(Owner(served))
    wire.protocol = connection
    connection.connection_made(cast("Any", wire))
    for cut in [*cuts, len(data)]:
        if data[:cut] and not wire.is_closing():
            wire.protocol.data_received(data[:cut])
        data = data[cut:]
    return served, wire


def end(served: Served, wire: Http2Wire) -> None:
    """The client goes away; whoever still writes or answers finds nobody."""
    wire.protocol.connection_lost(None)
    assert served.told == served.waiting
    assert not any(stream.is_open for stream in served.streams)
    for exchange in served.later:
        exchange.reply(200, TEXT_HEAD, b"late")
    for stream in served.streams:
        assert not stream.write(b"late")
        stream.end()


def frames(data: bytes) -> list[tuple[int, int]]:
    """Kind and stream of all frames; fails when they do not end where the data do."""
    found = []
    while data:
        size = 9 + int.from_bytes(data[:3])
        assert len(data) >= size
        found.append((data[3], int.from_bytes(data[5:9])))
        data = data[size:]
    return found


cuts = st.lists(st.integers(1, 60), max_size=20)


@given(cuts)
def test_the_answers_do_not_depend_on_how_the_bytes_were_cut(cuts):
    served, wire = run(DATA, cuts)
    answers = [(kind, stream) for kind, stream in frames(wire.written) if kind in (0, 1)]
    # 40,000 bytes are three frames; the first /later is not answered, the second never ends.
    assert answers.count((0, 1)) == 3
    assert [answer for answer in answers if answer[1] > 1] == [(1, 5), (0, 5), (1, 7), (0, 7)]
    assert (served.waiting, served.told) == (1, 0)
    end(served, wire)


@settings(max_examples=300)
@given(
    st.lists(st.tuples(st.integers(24, len(DATA) - 1), st.integers(0, 255)), max_size=4),
    cuts,
    st.integers(24, len(DATA) + len(RESET)),
)
def test_broken_input_never_breaks_the_server(changes, cuts, size):
    data = bytearray(DATA + RESET)
    for place, byte in changes:
        data[place] = byte
    served, wire = run(bytes(data[:size]), cuts)
    assert frames(wire.written)[0] == (4, 0)
    end(served, wire)


@given(
    st.lists(st.tuples(st.integers(0, 10), st.integers(0, 255), st.binary(max_size=30)), max_size=9)
)
def test_frames_of_any_kind_never_break_the_server(given_frames):
    data = DATA[:24]
    for number, (kind, flags, payload) in enumerate(given_frames):
        data += len(payload).to_bytes(3) + bytes([kind, flags]) + (number % 4).to_bytes(4) + payload
    served, wire = run(data, [])
    assert frames(wire.written)[0] == (4, 0)
    end(served, wire)


@given(st.binary(max_size=200))
def test_garbage_after_the_preface_never_reaches_the_dispatch(garbage):
    called: list[HttpRequest] = []

    def keep(request: HttpRequest, exchange: Exchange) -> None:
        called.append(request)

    wire = Http2Wire()
    connection = HttpConnection(Owner(keep))
    wire.protocol = connection
    connection.connection_made(cast("Any", wire))
    wire.protocol.data_received(DATA[:24] + b"\x00\x00\x05\x04" + garbage)
    assert called == []
