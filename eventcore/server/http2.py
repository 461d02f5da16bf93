"""One HTTP/2 connection: hands the request of each stream to the dispatch, sends answers.

h2 parses frames, keeps the states of streams and the windows, and compresses headers. This file
does what h2 leaves to its user: which requests are served, when what is sent, and who is too much.
No task and no timer belongs to a connection or a stream, as in HTTP/1.1.

Invariants:

- `_streams` holds every stream whose request or answer is not complete. `_waiting` holds those of
  them that have something to send; `_backlog` those whose request was not dispatched yet, because
  too many answers wait for the client.
- A request is never dispatched before it is complete, nor after the client took it back.
- An exchange is answered once, or its `on_disconnect` is called once.
- h2 never sees a GOAWAY, neither the client's nor ours: after one it would send nothing more.

What a client may cost is bounded: streams, header lists, unfinished bodies and waiting answers by
number or size; requests taken back, small frames and changes of settings by `Allowance`; everything
that stands still by the sweep. Who goes beyond is told ENHANCE_YOUR_CALM, and the connection ends.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final, final

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    DataReceived,
    Event,
    RemoteSettingsChanged,
    RequestReceived,
    StreamEnded,
    StreamReset,
    WindowUpdated,
)
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes, Settings
from hpack.struct import Header, HeaderTuple, NeverIndexedHeaderTuple

from eventcore.runtime.telemetry import REQUEST_FAILED_BY_A_BUG, logger_of
from eventcore.server.connection_owner import ConnectionOwner
from eventcore.server.http2_frames import Allowance, FrameGate, goaway_frame
from eventcore.server.http2_header import Refused, header_fields, read_header
from eventcore.server.http2_stream import Http2Stream
from eventcore.server.http_limits import HttpLimits
from eventcore.wire.http import TEXT_HEAD, HttpRequest, has_no_body

__all__ = ["Http2Connection"]

log = logger_of("eventcore.server")

HEADER_TABLE_BYTES: Final = 4_096
"""Of the table with which we compress: a client may allow gigabytes, and we would fill them."""
STREAM_ID_MAX: Final = (1 << 31) - 1
SMALL_FRAMES_PER_REQUEST: Final = 4
SMALL_FRAMES_PER_SENT: Final = 2
"""Windows that a client may open for each frame of an answer: the stream's and its own."""

_BUG: Final = b"The server failed to serve this request.\n"


@final
class _Machine(H2Connection):
    """h2's state machine, with a shorter memory for streams that have ended."""

    MAX_CLOSED_STREAMS = 1_024


class _TooMuch(Exception):
    """The connection ends: its client costs more than is allowed."""


@final
class Http2Connection(asyncio.Protocol):
    """One connection that was found to speak HTTP/2. Everything runs on the event loop's thread."""

    __slots__ = (
        "_active_at",
        "_answers_bytes",
        "_backlog",
        "_bodies_bytes",
        "_closing_since",
        "_drain_since",
        "_gate",
        "_has_said_goodbye",
        "_is_advancing",
        "_is_closed",
        "_is_lingering",
        "_is_receiving",
        "_is_secure",
        "_limits",
        "_machine",
        "_owner",
        "_partial_since",
        "_partial_unit",
        "_peer",
        "_resets",
        "_sent_at",
        "_small_frames",
        "_streams",
        "_transport",
        "_unread_bytes",
        "_unread_since",
        "_waiting",
        "is_blocked",
    )

    def __init__(
        self, owner: ConnectionOwner, transport: asyncio.Transport, peer: str, *, is_secure: bool
    ) -> None:
        self._owner = owner
        self._limits = most = owner.limits
        self._transport = transport
        self._peer = peer
        self._is_secure = is_secure
        self._gate = FrameGate()
        self._machine = _machine(most)
        self._streams: dict[int, Http2Stream] = {}
        self._waiting: dict[int, Http2Stream] = {}
        self._backlog: deque[Http2Stream] = deque()
        self._bodies_bytes = self._answers_bytes = 0
        now_ms = owner.tick * most.sweep_ms
        self._resets = Allowance(most.resets_max, most.resets_per_s, now_ms)
        self._small_frames = Allowance(most.small_frames_max, most.small_frames_per_s, now_ms)
        # Whether the client does not read; see StreamOwner.
        self.is_blocked = False
        self._is_closed = self._is_lingering = self._is_receiving = False
        self._has_said_goodbye = self._is_advancing = False
        self._active_at = self._sent_at = self._partial_since = owner.tick
        self._partial_unit = 0
        self._unread_since = self._unread_bytes = 0
        self._closing_since = self._drain_since = -1

    def begin(self, data: bytes) -> None:
        """Sends our settings, and goes on with the first bytes, the preface among them."""
        self._machine.initiate_connection()
        extra = self._limits.connection_window_bytes - self._machine.inbound_flow_control_window
        if extra > 0:
            self._machine.increment_flow_control_window(extra)
        self._flush()
        if data:
            self.data_received(data)

    # The transport's calls

    def data_received(self, data: bytes) -> None:
        """Takes what came; complete requests are dispatched before this returns."""
        if self._is_closed:
            return
        self._active_at = self._owner.tick
        self._is_receiving = True
        try:
            self._receive(data)
        except ProtocolError as error:
            self._flush()  # h2's GOAWAY
            self._fail(f"malformed HTTP/2: {error}")
        except _TooMuch as error:
            self._say_goodbye(ErrorCodes.ENHANCE_YOUR_CALM, str(error))
            self._fail(str(error))
        except Exception:  # whatever a client sends, the others are served
            log.exception(REQUEST_FAILED_BY_A_BUG)
            self._say_goodbye(ErrorCodes.INTERNAL_ERROR, "failure in the server")
            self._fail("failure in the server")
        self._is_receiving = False
        self._flush()
        self._end_if_over()

    def eof_received(self) -> bool:
        """The client sends nothing more. A long poll ends; what is about to be answered is."""
        is_waiting = any(stream.on_disconnect is not None for stream in self._streams.values())
        if is_waiting or not self._streams or self._is_closed or self._is_secure:
            return False
        self._gate.is_leaving = True
        return True

    def connection_lost(self, error: Exception | None) -> None:
        """The connection is gone: what still waits is told so."""
        self._is_closed = True
        self._cancel_all()
        self._owner.forget(self)

    def pause_writing(self) -> None:
        """The client does not read: it is not read from either, so it gets no more answers."""
        self.is_blocked = True
        self._unread_since = self._owner.tick
        self._unread_bytes = self._transport.get_write_buffer_size()
        if not self._transport.is_closing():
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        """The client has read."""
        self.is_blocked = False
        if not self._transport.is_closing():
            self._transport.resume_reading()
        # What was on the way could not come in meanwhile.
        self._partial_since = self._owner.tick
        for stream in self._streams.values():
            if not stream.is_whole:
                stream.since = self._owner.tick
        self._push_all()
        self._end_if_over()

    # What comes

    def _receive(self, data: bytes) -> None:
        gate, most = self._gate, self._limits
        small_frames = gate.small_frames
        data = gate.feed(data)
        if gate.is_partial and gate.units != self._partial_unit:
            self._partial_unit = gate.units
            self._partial_since = self._owner.tick
        if gate.small_frames > small_frames:
            if not self._small_frames.spend(gate.small_frames - small_frames, self._now_ms()):
                raise _TooMuch("too many small frames")
            if gate.settings > most.settings_max:
                raise _TooMuch("too many changes of settings")
        # Twice the bound, so that what is a little too large is answered with 431.
        if gate.block_bytes > 2 * most.header_bytes_max:
            raise _TooMuch("header too large")
        if data:
            self._handle(self._machine.receive_data(data))

    def _handle(self, events: list[Event]) -> None:
        taken_back = {event.stream_id for event in events if isinstance(event, StreamReset)}
        has_window = False
        for event in events:
            if isinstance(event, RequestReceived):
                if event.stream_id not in taken_back:
                    self._on_request(event)
            elif isinstance(event, DataReceived):
                self._on_data(event)
            elif isinstance(event, StreamEnded):
                self._on_end(event.stream_id)
            elif isinstance(event, StreamReset):
                self._on_reset(event.stream_id)
            elif isinstance(event, WindowUpdated):
                has_window = True
            elif isinstance(event, RemoteSettingsChanged):
                has_window = True
                encoder = self._machine.encoder
                if encoder.header_table_size > HEADER_TABLE_BYTES:
                    encoder.header_table_size = HEADER_TABLE_BYTES
        if has_window and self._waiting:
            self._push_all()

    def _on_request(self, event: RequestReceived) -> None:
        stream = Http2Stream(self, event.stream_id, self._owner.tick)
        stream.is_whole = event.stream_ended is not None
        if self._has_said_goodbye:
            # Told before that it would not be served; the client may ask elsewhere.
            self._stop(stream, ErrorCodes.REFUSED_STREAM)
            return
        self._streams[stream.id] = stream
        self._small_frames.give(SMALL_FRAMES_PER_REQUEST)
        try:
            stream.request = request = self._read(event.headers)
            stream.is_head = request.method == b"HEAD"
            if b"expect" in request.headers and not stream.is_whole:
                self._expect_continue(stream.id, request.headers[b"expect"])
        except Refused as refusal:
            stream.is_head = (b":method", b"HEAD") in event.headers
            self._refuse(stream, refusal.status, refusal.reason)

    def _read(self, fields: list[Header]) -> HttpRequest:
        return read_header(fields, self._limits, peer=self._peer, is_secure=self._is_secure)

    def _expect_continue(self, stream_id: int, expectation: bytes) -> None:
        if expectation.lower() != b"100-continue":
            raise Refused(417, "unknown expectation")
        self._machine.send_headers(stream_id, [(b":status", b"100")])

    def _on_data(self, event: DataReceived) -> None:
        stream_id, size = event.stream_id, event.flow_controlled_length
        if size:
            self._machine.acknowledge_received_data(size, stream_id)
        stream = self._streams.get(stream_id)
        part = event.data
        if stream is None or stream.is_refused or not part:
            return
        self._bodies_bytes += len(part)
        if not stream.body:
            stream.body = part
        else:
            if isinstance(stream.body, bytes):
                stream.body = bytearray(stream.body)
            stream.body += part
        if len(stream.body) > self._limits.body_bytes_max:
            self._refuse(stream, 413, "body too large")
        elif self._bodies_bytes > self._limits.bodies_bytes_max:
            self._refuse(stream, 503, "too many request bodies at once")

    def _on_end(self, stream_id: int) -> None:
        stream = self._streams.get(stream_id)
        if stream is None:
            return
        stream.is_whole = True
        if stream.is_refused:
            return
        self._bodies_bytes -= len(stream.body)
        if self._answers_bytes > self._limits.answers_bytes_max:
            self._backlog.append(stream)
        else:
            self._dispatch(stream)

    def _on_reset(self, stream_id: int) -> None:
        """The client took a request back, or h2 reset it for what the client sent."""
        stream = self._streams.get(stream_id)
        if stream is not None:
            self._forget(stream)
            stream.cancel()
        if not self._resets.spend(1, self._now_ms()):
            raise _TooMuch("too many requests taken back")

    def _dispatch(self, stream: Http2Stream) -> None:
        request, body = stream.request, stream.body
        assert request is not None
        stream.request = None
        stream.body = b""
        request.body = bytes(body)
        try:
            self._owner.dispatch(request, stream)
        except Exception:  # the seam to code that promises not to raise
            log.exception(REQUEST_FAILED_BY_A_BUG)
            if stream.is_streaming:
                self._reset(stream, ErrorCodes.INTERNAL_ERROR)
            elif stream.is_open:
                stream.reply(500, TEXT_HEAD, _BUG)

    def _refuse(self, stream: Http2Stream, status: int, reason: str) -> None:
        """Answers in place of the dispatch; what else comes of the request is thrown away."""
        if not stream.is_whole:
            self._bodies_bytes -= len(stream.body)
        stream.is_refused = True
        stream.body = b""
        stream.request = None
        stream.reply(status, TEXT_HEAD, f"{reason}\n".encode())

    # Answers

    @property
    def unread_bytes_max(self) -> int:
        """See StreamOwner."""
        return self._limits.unread_bytes_max

    def answer(self, stream: Http2Stream, status: int, head: bytes, body: bytes) -> None:
        """Sends a whole answer, or what goes now of it."""
        fields = header_fields(status, head)
        if not has_no_body(status):
            fields.append(NeverIndexedHeaderTuple(b"content-length", b"%d" % len(body)))
        if stream.is_head or has_no_body(status) or not body:
            self._send_head(stream, fields, is_all=True)
            if not self._is_receiving:
                self._flush()
                self._end_if_over()
            return
        if not self._send_head(stream, fields, is_all=False):
            return
        stream.keep(body)
        self._answers_bytes += len(body)
        self.push(stream)

    def begin_answer(self, stream: Http2Stream, status: int, head: bytes) -> None:
        """Sends the head of an answer in parts."""
        stream.is_head = stream.is_head or has_no_body(status)
        self._send_head(stream, header_fields(status, head), is_all=False)
        if not self._is_receiving:
            self._flush()

    def push(self, stream: Http2Stream) -> None:
        """Sends what waits in the stream's parts, and its end, as far as that goes."""
        if stream.id not in self._waiting:
            stream.moved_at = self._owner.tick
            self._waiting[stream.id] = stream
        while self._send_some(stream):
            pass
        if not self._is_receiving:
            self._flush()
            self._end_if_over()

    def _push_all(self) -> None:
        """One frame of each stream after the other, as long as there is room.

        Whose turn it was goes to the end, so the next window is for the others.
        """
        has_sent = True
        while has_sent and not self.is_blocked:
            has_sent = False
            for stream in list(self._waiting.values()):
                if self._send_some(stream):
                    has_sent = True
                    if self._waiting.pop(stream.id, None) is not None:
                        self._waiting[stream.id] = stream
            self._flush()

    def _send_head(self, stream: Http2Stream, fields: list[HeaderTuple], *, is_all: bool) -> bool:
        """Returns False when the stream turns out to be gone."""
        try:
            self._machine.send_headers(stream.id, fields, end_stream=is_all)
        except ProtocolError:
            self._lose(stream)
            return False
        stream.moved_at = self._owner.tick
        if is_all:
            self._complete(stream)
        return True

    def _send_some(self, stream: Http2Stream) -> bool:
        """Sends one frame; returns whether there may be more to send."""
        if self.is_blocked or stream.id not in self._waiting:
            return False
        machine = self._machine
        try:
            if not stream.parts:
                del self._waiting[stream.id]
                if stream.is_final:
                    machine.end_stream(stream.id)
                    self._complete(stream)
                return False
            room = min(
                machine.local_flow_control_window(stream.id), machine.max_outbound_frame_size
            )
            if room <= 0:
                return False
            part = stream.take(room)
            if not stream.is_streaming:
                self._answers_bytes -= len(part)
            is_last = stream.is_final and not stream.parts
            machine.send_data(stream.id, part, end_stream=is_last)
        except ProtocolError:
            self._lose(stream)
            return False
        self._small_frames.give(SMALL_FRAMES_PER_SENT)
        stream.moved_at = self._sent_at = self._owner.tick
        if is_last:
            self._complete(stream)
            return False
        if not self._is_receiving or len(part) == room:
            self._flush()
        if stream.waiting_bytes <= self._limits.unread_bytes_max // 2:
            stream.drained()
        return True

    def _complete(self, stream: Http2Stream) -> None:
        """All of the answer is sent."""
        self._forget(stream)
        self._active_at = self._owner.tick
        if not stream.is_whole:
            self._stop(stream, ErrorCodes.NO_ERROR)
        self._go_on()

    def _lose(self, stream: Http2Stream) -> None:
        """h2 knows that the client took the stream back, or that the connection is over."""
        self._forget(stream)
        stream.cancel()

    def _reset(self, stream: Http2Stream, code: ErrorCodes) -> None:
        """Ends the stream without the rest of its answer."""
        self._forget(stream)
        stream.cancel()
        self._stop(stream, code)
        if not self._is_receiving:
            self._flush()

    def _stop(self, stream: Http2Stream, code: ErrorCodes) -> None:
        try:
            self._machine.reset_stream(stream.id, code)
        except ProtocolError:
            return  # the client was faster

    def _forget(self, stream: Http2Stream) -> None:
        if self._streams.pop(stream.id, None) is None:
            return
        self._waiting.pop(stream.id, None)
        if not stream.is_streaming:
            self._answers_bytes -= stream.waiting_bytes
        if not stream.is_whole and not stream.is_refused:
            self._bodies_bytes -= len(stream.body)
        if stream.request is not None and stream in self._backlog:
            self._backlog.remove(stream)

    def _go_on(self) -> None:
        """Dispatches what waited until answers had left.

        A dispatch that answers at once comes back here; the loop that runs already goes on then.
        """
        if self._is_advancing:
            return
        self._is_advancing = True
        while self._backlog and self._answers_bytes <= self._limits.answers_bytes_max:
            self._dispatch(self._backlog.popleft())
        self._is_advancing = False

    def _flush(self) -> None:
        data = self._machine.data_to_send()
        if data and not self._is_closed and not self._transport.is_closing():
            self._transport.write(data)

    # The end

    def _say_goodbye(self, code: ErrorCodes, reason: str = "") -> None:
        """No streams are opened after those that came so far."""
        if self._has_said_goodbye or self._transport.is_closing():
            return
        self._has_said_goodbye = True
        self._flush()
        last_id = self._machine.highest_inbound_stream_id
        self._transport.write(goaway_frame(last_id, code, reason.encode()))

    def _fail(self, reason: str) -> None:
        """Ends the connection for a fault of its client, who shall get to see the GOAWAY."""
        self._owner.note_drop(reason, self._peer)
        self._has_said_goodbye = True
        self._is_lingering = True
        self._close()

    def _close(self) -> None:
        """Ends the connection when everything is written."""
        self._flush()
        self._is_closed = True
        self._cancel_all()
        self._closing_since = self._owner.tick
        if self._is_lingering and self._transport.can_write_eof():
            self._transport.write_eof()
        else:
            self._transport.close()

    def _end_if_over(self) -> None:
        """Closes a connection that one of both sides wants to end, after its last stream."""
        is_leaving = self._gate.is_leaving or self._drain_since >= 0
        if is_leaving and not self._streams and not self._is_closed:
            self._say_goodbye(ErrorCodes.NO_ERROR)
            self._close()

    def _cancel_all(self) -> None:
        streams = list(self._streams.values())
        self._streams.clear()
        self._waiting.clear()
        self._backlog.clear()
        self._bodies_bytes = self._answers_bytes = 0
        for stream in streams:
            stream.cancel()

    def drain(self) -> None:
        """Closes the connection if it is idle; otherwise it closes after its last answer.

        Requests that are on the way are served: the first GOAWAY only says that there is an end,
        the sweep's says which request was the last.
        """
        if self._is_closed:
            return
        self._drain_since = self._owner.tick
        if self._streams:
            self._transport.write(goaway_frame(STREAM_ID_MAX, ErrorCodes.NO_ERROR))
        self._end_if_over()

    def abort(self) -> None:
        """Cancels what waits and cuts the connection."""
        self._is_closed = True
        self._cancel_all()
        self._transport.abort()

    # Time

    def sweep(self) -> None:
        """Looks whether the client is too slow. Called by the listener, once per tick."""
        most = self._limits
        if self._closing_since >= 0:
            ms_max = most.linger_ms_max if self._is_lingering else most.unread_ms_max
            if self._is_over(self._closing_since, ms_max):
                self._transport.abort()
        elif self.is_blocked:
            self._check_unread()
        elif self._gate.is_partial and self._is_over(self._partial_since, most.header_ms_max):
            self._say_goodbye(ErrorCodes.ENHANCE_YOUR_CALM, "frame too slow")
            self._fail("frame too slow")
        elif not self._streams:
            if self._is_over(self._active_at, most.idle_ms_max):
                self._say_goodbye(ErrorCodes.NO_ERROR)
                self._close()
        else:
            self._sweep_streams()
            if self._drain_since >= 0 and self._is_over(self._drain_since, 0):
                self._say_goodbye(ErrorCodes.NO_ERROR)
            self._end_if_over()

    def _sweep_streams(self) -> None:
        most = self._limits
        for stream in list(self._streams.values()):
            if stream.waiting_bytes:
                # With no window for the connection it is nobody's turn.
                has_turn = self._machine.outbound_flow_control_window > 0
                since = stream.moved_at if has_turn else max(stream.moved_at, self._sent_at)
                if self._is_over(since, most.unread_ms_max):
                    self._owner.note_drop("answers not read", self._peer)
                    self._reset(stream, ErrorCodes.CANCEL)
            elif not stream.is_whole and not stream.is_refused:
                rate_ms = len(stream.body) * 1_000 // most.body_bytes_per_s_min
                if self._is_over(stream.since, most.header_ms_max + most.body_ms_max + rate_ms):
                    self._refuse(stream, 408, "body too slow")
        self._go_on()

    def _now_ms(self) -> int:
        return self._owner.tick * self._limits.sweep_ms

    def _is_over(self, since: int, ms_max: int) -> bool:
        """Whether `ms_max` are over for sure: the first tick may have come at once."""
        return (self._owner.tick - since - 1) * self._limits.sweep_ms >= ms_max

    def _check_unread(self) -> None:
        unread_bytes = self._transport.get_write_buffer_size()
        if unread_bytes < self._unread_bytes:
            self._unread_since = self._owner.tick
        self._unread_bytes = unread_bytes
        if self._is_over(self._unread_since, self._limits.unread_ms_max):
            self._owner.note_drop("answers not read", self._peer)
            self.abort()


def _machine(most: HttpLimits) -> _Machine:
    """h2's side of a connection, with our bounds in its settings."""
    machine = _Machine(
        H2Configuration(
            client_side=False,
            header_encoding=None,
            # Our own heads are right, and half of the price of an answer is to be told so.
            validate_outbound_headers=False,
            normalize_outbound_headers=False,
        )
    )
    machine.local_settings = Settings(
        client=False,
        initial_values={
            SettingCodes.MAX_CONCURRENT_STREAMS: most.streams_max,
            SettingCodes.INITIAL_WINDOW_SIZE: most.window_bytes,
            SettingCodes.MAX_HEADER_LIST_SIZE: most.header_bytes_max,
        },
    )
    # What is a little too large is read, so that it can be answered with 431. Headers are counted
    # with 32 bytes each here.
    machine.decoder.max_header_list_size = 2 * most.header_bytes_max
    return machine
