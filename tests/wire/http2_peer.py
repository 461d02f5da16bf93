"""A client that speaks HTTP/2 with h2's client side, and frames made by hand where h2 refuses."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import (
    DataReceived,
    Event,
    InformationalResponseReceived,
    PingAckReceived,
    ResponseReceived,
    StreamEnded,
    StreamReset,
)
from hpack.struct import Header

from eventcore.server.http_limits import HttpLimits
from eventcore.server.listener import HttpServer
from eventcore.wire.http import Dispatch
from tests.wire.http_peer import Response, serving

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH, PING, GOAWAY, WINDOW, MORE = range(10)


class Gone(Exception):
    """The server ended the connection, or the stream with this error code."""


class Http2Peer:
    """A connection of a client. It gives windows back at once, unless `reads` is False."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._unread = b""
        self._has_stopped = False
        self.writer = writer
        self.machine = H2Connection(H2Configuration(client_side=True))
        self.statuses: dict[int, int] = {}
        self.headers: dict[int, dict[str, str]] = {}
        self.bodies: dict[int, bytearray] = {}
        self.ended: set[int] = set()
        self.resets: dict[int, int] = {}
        self.interim: list[int] = []
        self.pongs = 0
        self.goaways: list[tuple[int, int]] = []
        self.reads = True
        self.is_gone = False

    @classmethod
    async def connect(
        cls, port: int, tls: ssl.SSLContext | None = None, window_bytes: int | None = None
    ) -> Http2Peer:
        name = "localhost" if tls else None
        streams = await asyncio.open_connection("127.0.0.1", port, ssl=tls, server_hostname=name)
        peer = cls(*streams)
        if window_bytes is not None:
            peer.machine.local_settings.initial_window_size = window_bytes
            peer.machine.local_settings.acknowledge()
        peer.machine.initiate_connection()
        peer.flush()
        return peer

    def flush(self) -> None:
        data = self.machine.data_to_send()
        if not self._has_stopped:
            self.writer.write(data)

    def stop_sending(self) -> None:
        self._has_stopped = True
        self.writer.write_eof()

    def raw(self, data: bytes) -> None:
        self.writer.write(data)

    def open(
        self,
        target: str = "/",
        method: str = "POST",
        fields: tuple[tuple[str, str], ...] = (),
        *,
        is_all: bool = True,
    ) -> int:
        """Sends the header of a request and returns its stream."""
        stream = self.machine.get_next_available_stream_id()
        header = [
            (":method", method),
            (":scheme", "http"),
            (":authority", "test"),
            (":path", target),
            *fields,
        ]
        self.machine.send_headers(stream, header, end_stream=is_all)
        self.flush()
        return stream

    async def post(self, target: str, body: bytes, **fields: str) -> int:
        """Sends a whole request, as far as the server's windows allow, and the rest later."""
        lines = tuple((name.replace("_", "-"), value) for name, value in fields.items())
        stream = self.open(target, fields=lines, is_all=False)
        while body:
            room = self.machine.local_flow_control_window(stream)
            part = body[: min(room, self.machine.max_outbound_frame_size)]
            if part:
                self.machine.send_data(stream, part)
                self.flush()
                body = body[len(part) :]
            else:
                await self.step()
        self.machine.end_stream(stream)
        self.flush()
        return stream

    async def step(self) -> None:
        """Takes what comes next. Raises Gone when the server has ended the connection."""
        try:
            data = await self._reader.read(1 << 16)
        except ConnectionError:
            data = b""
        if not data:
            self.is_gone = True
            raise Gone
        for event in self.machine.receive_data(self._without_goaways(data)):
            self._note(event)
        self.flush()

    def _without_goaways(self, data: bytes) -> bytes:
        """h2 takes a GOAWAY for the end, and answers on the way for faults; so it sees none."""
        data = self._unread + data
        kept = b""
        while len(data) >= 9 and len(data) >= 9 + int.from_bytes(data[:3]):
            end = 9 + int.from_bytes(data[:3])
            if data[3] == GOAWAY:
                self.goaways.append((int.from_bytes(data[9:13]), int.from_bytes(data[13:17])))
            else:
                kept += data[:end]
            data = data[end:]
        self._unread = data
        return kept

    def _note(self, event: Event) -> None:
        if isinstance(event, InformationalResponseReceived):
            self.interim.append(int(text_of(event.headers)[":status"]))
        elif isinstance(event, ResponseReceived):
            fields = text_of(event.headers)
            self.statuses[event.stream_id] = int(fields.pop(":status"))
            self.headers[event.stream_id] = fields
            self.bodies.setdefault(event.stream_id, bytearray())
        elif isinstance(event, DataReceived):
            self.bodies[event.stream_id] += event.data
            if self.reads and event.flow_controlled_length:
                size = event.flow_controlled_length
                self.machine.acknowledge_received_data(size, event.stream_id)
        elif isinstance(event, StreamEnded):
            self.ended.add(event.stream_id)
        elif isinstance(event, StreamReset):
            self.resets[event.stream_id] = int(event.error_code)
        elif isinstance(event, PingAckReceived):
            self.pongs += 1

    async def response(self, stream: int) -> Response:
        """The whole answer. Raises Gone when the server gave up on it."""
        while stream not in self.ended:
            if stream in self.resets:
                raise Gone(self.resets[stream])
            await self.step()
        return Response(self.statuses[stream], self.headers[stream], bytes(self.bodies[stream]))

    async def ask(self, target: str = "/", body: bytes = b"", **fields: str) -> Response:
        return await self.response(await self.post(target, body, **fields))

    async def rest(self) -> None:
        """Returns when the server has ended the connection."""
        while not self.is_gone:
            try:
                await self.step()
            except Gone:
                return

    async def next_kind(self) -> int:
        """The kind of the next frame, whose meaning is not looked at."""
        head = await self._reader.readexactly(9)
        await self._reader.readexactly(int.from_bytes(head[:3]))
        return head[3]

    async def close(self) -> None:
        self.writer.close()
        try:
            await self.writer.wait_closed()
        except OSError:
            pass


@asynccontextmanager
async def connected(
    dispatch: Dispatch, limits: HttpLimits | None = None, window_bytes: int | None = None
) -> AsyncIterator[tuple[Http2Peer, HttpServer]]:
    """A running server and one client of it that has seen its settings."""
    async with serving(dispatch, limits) as server:
        peer = await Http2Peer.connect(server.port, window_bytes=window_bytes)
        await peer.step()
        try:
            yield peer, server
        finally:
            await peer.close()


def text_of(fields: Iterable[Header]) -> dict[str, str]:
    return {name.decode(): value.decode("latin-1") for name, value in fields}


def frame(kind: int, payload: bytes = b"", *, flags: int = 0, stream: int = 0) -> bytes:
    """One frame, right or wrong."""
    return len(payload).to_bytes(3) + bytes([kind, flags]) + stream.to_bytes(4) + payload
