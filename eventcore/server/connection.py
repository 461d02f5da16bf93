"""One HTTP/1.1 connection: parses requests, hands them to the dispatch, writes answers in order.

The parser (httptools, that is llhttp in its strict mode) calls `on_*` for what it finds. No task
and no timer belongs to a connection or a request: what waits holds an exchange, and time-outs are
found by the listener's one sweep.

    OPENING ──first bytes──▶ IDLE
    IDLE ──first byte──▶ HEAD ──header complete──▶ BODY ──message complete──▶ IDLE
      any ──last request, malformed input, drain──▶ CLOSED (input is thrown away from here on)

In OPENING the version is found out: a client that begins with the preface of HTTP/2, or has agreed
on it in the TLS handshake, is handed on to an `Http2Connection`. Nothing is looked at after that.

Invariants:

- `_pending` holds the exchanges that the dispatch has, in the order of their requests; only the
  first one's answer may be written. `_backlog` holds requests that were parsed but not dispatched.
- Reading is paused exactly while the client does not read, `_pending` is full, or there is a
  backlog. So a backlog is at most what one read brought.
- An exchange is answered once, or its `on_disconnect` is called once.
- A request is never dispatched before it is complete.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from typing import Final, cast, final

import httptools

from eventcore.runtime.telemetry import REQUEST_FAILED_BY_A_BUG, logger_of
from eventcore.server.connection_owner import ConnectionOwner, peer_name
from eventcore.server.exchange import HttpExchange
from eventcore.wire.http import TEXT_HEAD, HttpRequest, format_response

__all__ = ["HttpConnection"]

log = logger_of("eventcore.server")

IDLE: Final = 0
HEAD: Final = 1
BODY: Final = 2
CLOSED: Final = 3
OPENING: Final = 4

HTTP2_PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HTTP2_NAME: Final = "h2"
"""Of HTTP/2 in the TLS handshake (ALPN)."""

CODE_PATH: Final = b"/2015-03-31/functions"
"""Lambda's, below which functions are created and get new code."""
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
_CLOSE: Final = b"connection: close\r\n"
_KEEP_ALIVE: Final = b"connection: keep-alive\r\n"
_TLS_HANDSHAKE: Final = b"\x16\x03"
_BUG: Final = b"The server failed to serve this request.\n"


class _Refused(Exception):
    """Raised in a parser callback: the request gets this answer and the connection ends."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


@final
class HttpConnection(asyncio.Protocol):
    """One accepted connection. Everything runs on the event loop's thread."""

    __slots__ = (
        "_backlog",
        "_body",
        "_body_bytes",
        "_body_parts",
        "_chunk_bytes",
        "_closing_since",
        "_exchange",
        "_headers",
        "_is_admitted",
        "_is_advancing",
        "_is_lingering",
        "_is_paused",
        "_is_secure",
        "_limits",
        "_opening",
        "_owes_continue",
        "_owner",
        "_parser",
        "_peer",
        "_pending",
        "_phase",
        "_received",
        "_repeats",
        "_resumes_upgrade",
        "_since",
        "_target",
        "_transport",
        "_unread_bytes",
        "_unread_since",
        "_upgrades",
        "is_blocked",
    )

    _transport: asyncio.Transport
    _peer: str
    _target: bytes
    _headers: dict[bytes, bytes]
    _body: bytes
    _body_parts: list[bytes]
    _body_bytes: int
    _repeats: int
    _exchange: HttpExchange

    def __init__(self, owner: ConnectionOwner) -> None:
        self._owner = owner
        self._limits = owner.limits
        self._parser: httptools.HttpRequestParser = httptools.HttpRequestParser(self)
        self._pending: deque[HttpExchange] = deque()
        self._backlog: deque[tuple[HttpRequest | None, HttpExchange]] = deque()
        self._phase = OPENING
        self._opening = b""
        self._is_admitted = self._is_secure = self._is_paused = False
        # Whether the client does not read; see AnswerOrder.
        self.is_blocked = False
        self._is_lingering = self._is_advancing = self._owes_continue = False
        self._upgrades = self._resumes_upgrade = False
        self._since = owner.tick
        self._unread_since = self._unread_bytes = 0
        self._closing_since = -1
        self._chunk_bytes = self._received = 0
        self._begin()

    # The transport's calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Takes the connection, or refuses it when there are too many."""
        self._transport = cast("asyncio.Transport", transport)
        self._peer = peer_name(transport.get_extra_info("peername"))
        self._is_admitted = self._owner.admit(self)
        tls = transport.get_extra_info("ssl_object")
        self._is_secure = tls is not None
        if not self._is_admitted:
            self._phase = CLOSED
            self._owner.note_drop("too many connections", self._peer)
            if not _has_agreed_on_http2(tls):
                answer = format_response(503, TEXT_HEAD, b"Too many connections.\n", _CLOSE)
                self._transport.write(answer)
            self._transport.close()
            return
        self._transport.set_write_buffer_limits(self._limits.unread_bytes_max)
        if _has_agreed_on_http2(tls):
            self._hand_on(b"")

    def data_received(self, data: bytes) -> None:
        """Parses what came; complete requests are dispatched before this returns."""
        phase = self._phase
        if phase == CLOSED:
            return
        self._chunk_bytes = len(data)
        if phase != IDLE:
            self._received += len(data)
            if phase == OPENING:
                data = self._open(data)
                if not data:
                    return
        upgrade_at = -1
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            upgrade_at = upgrade.args[0]
        except httptools.HttpParserError as error:
            self._refuse_input(error, data)
        if upgrade_at >= 0:
            self._go_on_without_upgrade(data, upgrade_at)
        phase = self._phase
        if phase in (HEAD, BODY):
            self._check_received()

    def eof_received(self) -> bool:
        """The client sends nothing more. A long poll ends; what is about to be answered is."""
        is_waiting = any(exchange.on_disconnect is not None for exchange in self._pending)
        if is_waiting or not self._pending or self._is_lingering or self._is_secure:
            return False  # TLS cannot be left open in one direction
        self._phase = CLOSED
        if self._backlog:
            self._backlog[-1][1].is_last = True
        else:
            self._pending[-1].is_last = True
        return True

    def connection_lost(self, error: Exception | None) -> None:
        """The connection is gone: what still waits is told so."""
        self._phase = CLOSED
        self._backlog.clear()
        pending = list(self._pending)
        self._pending.clear()
        for exchange in pending:
            exchange.cancel()
        if self._is_admitted:
            self._owner.forget(self)

    def pause_writing(self) -> None:
        """The client does not read: its next requests wait, too."""
        self.is_blocked = True
        self._unread_since = self._owner.tick
        self._unread_bytes = self._transport.get_write_buffer_size()
        self._set_reading()

    def resume_writing(self) -> None:
        """The client has read."""
        self.is_blocked = False
        self._advance()
        if self._pending and self._pending[0].body is not None:
            self._pending[0].body.drained()

    # The version

    def _open(self, data: bytes) -> bytes:
        """Decides what is spoken; returns what the parser has to see, nothing as long as the bytes
        could still begin the preface of HTTP/2, or when the connection was handed on.
        """
        data = self._opening + data
        if data.startswith(HTTP2_PREFACE):
            self._hand_on(data)
            return b""
        if HTTP2_PREFACE.startswith(data):
            if not self._opening:
                self._since = self._owner.tick
            self._opening = data
            return b""
        self._phase = IDLE
        self._opening = b""
        self._chunk_bytes = len(data)
        return data

    def _hand_on(self, data: bytes) -> None:
        """Goes on as a connection of HTTP/2, which `data` are the first bytes of."""
        # 15 ms and 1 MB of each start, which a daemon without such clients need not spend.
        from eventcore.server.http2 import Http2Connection  # noqa: PLC0415

        self._phase = CLOSED
        successor = Http2Connection(
            self._owner, self._transport, self._peer, is_secure=self._is_secure
        )
        self._owner.replace(self, successor)
        self._transport.set_protocol(successor)
        successor.begin(data)

    # The parser's calls

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        if self._resumes_upgrade or self._phase == CLOSED:
            return
        self._phase = HEAD
        self._since = self._owner.tick
        self._received = 0

    def on_url(self, part: bytes) -> None:
        """A part of the target; mostly all of it."""
        if not self._resumes_upgrade:
            self._target += part

    def on_header(self, name: bytes, value: bytes) -> None:
        """A whole header line. Lines after a chunked body are dropped."""
        if self._phase != HEAD:
            return
        headers = self._headers
        name = name.lower()
        if name not in headers:
            headers[name] = value
            return
        self._repeats += 1
        if self._repeats > self._limits.headers_max:
            raise _Refused(431, "too many header lines")
        if name == b"host":
            raise _Refused(400, "more than one Host")
        headers[name] = headers[name] + b", " + value

    def on_headers_complete(self) -> None:
        """Decides how the request goes on. Raises _Refused."""
        if self._phase != HEAD:
            self._resumes_upgrade = False
            return
        headers = self._headers
        self._phase = BODY
        exchange = self._exchange = HttpExchange(self)
        self._check_header(headers)
        if not self._parser.should_keep_alive() or b"connection" in headers:
            self._settle_connection(exchange)
        if b"host" not in headers and self._parser.get_http_version() == "1.1":
            raise _Refused(400, "Host is missing")
        if b"expect" in headers:
            self._expect_continue(headers[b"expect"])

    def on_body(self, part: bytes) -> None:
        """A part of the body; mostly all of it. Raises _Refused."""
        self._body_bytes += len(part)
        if self._body_bytes > self._limits.body_bytes_max:
            self._check_body_bytes(self._body_bytes)
        if not self._body:
            self._body = part
            return
        if not self._body_parts:
            self._body_parts.append(self._body)
        self._body_parts.append(part)

    def on_message_complete(self) -> None:
        """A whole request: serves it, or keeps it until there is room."""
        if self._upgrades or self._phase != BODY:
            return
        exchange = self._exchange
        body = b"".join(self._body_parts) if self._body_parts else self._body
        method = self._parser.get_method()
        if method != b"POST":
            self._settle_method(method, exchange)
        request = HttpRequest(
            method, self._target, self._headers, body, self._peer, self._is_secure
        )
        self._phase = CLOSED if exchange.is_last else IDLE
        self._begin()
        if self.is_blocked or self._backlog or len(self._pending) >= self._limits.pipelined_max:
            self._backlog.append((request, exchange))
            self._set_reading()
        else:
            self._dispatch(request, exchange)

    # Requests

    def _begin(self) -> None:
        self._target = b""
        self._headers = {}
        self._body = b""
        self._body_parts = []
        self._body_bytes = self._repeats = 0
        self._owes_continue = False

    def _check_header(self, headers: dict[bytes, bytes]) -> None:
        most = self._limits
        if len(headers) + self._repeats > most.headers_max:
            raise _Refused(431, "too many header lines")
        # The sum costs a microsecond: only where the bytes that came leave the question open.
        if self._received + self._chunk_bytes > most.header_bytes_max:
            header_bytes = sum(len(name) + len(value) + 4 for name, value in headers.items())
            if header_bytes + len(self._target) > most.header_bytes_max:
                raise _Refused(431, "header too large")
        length = headers.get(b"content-length")
        if length is not None and int(length) > most.body_bytes_max:
            self._check_body_bytes(int(length))

    def _check_body_bytes(self, body_bytes: int) -> None:
        """For a body that is larger than others may be: a function's code may. Raises _Refused."""
        if body_bytes > self._body_bytes_max():
            raise _Refused(413, "body too large")

    def _body_bytes_max(self) -> int:
        if self._target.startswith(CODE_PATH):
            return max(self._limits.code_bytes_max, self._limits.body_bytes_max)
        return self._limits.body_bytes_max

    def _settle_connection(self, exchange: HttpExchange) -> None:
        """For the requests that say something of the connection, or are not of HTTP/1.1."""
        version = self._parser.get_http_version()
        if version not in ("1.0", "1.1"):
            raise _Refused(505, f"HTTP/{version}")
        if not self._parser.should_keep_alive():
            exchange.is_last = True
            exchange.line = _CLOSE
        elif version == "1.0":
            exchange.line = _KEEP_ALIVE
        exchange.is_old = version == "1.0"
        if self._parser.should_upgrade():
            self._upgrades = True

    def _expect_continue(self, expectation: bytes) -> None:
        if expectation.lower() != b"100-continue":
            raise _Refused(417, "unknown expectation")
        if self._parser.get_http_version() != "1.1":
            return
        if self._pending or self._backlog:
            self._owes_continue = True  # it must not overtake the answers before it
        else:
            self._transport.write(_CONTINUE)

    def _dispatch(self, request: HttpRequest, exchange: HttpExchange) -> None:
        self._pending.append(exchange)
        try:
            self._owner.dispatch(request, exchange)
        except Exception:  # the seam to code that promises not to raise
            log.exception(REQUEST_FAILED_BY_A_BUG)
            if exchange.body is not None:
                self.abort()  # the head has left, and nobody would end what follows it
            elif exchange.is_open:
                exchange.reply(500, TEXT_HEAD, _BUG)
        if len(self._pending) >= self._limits.pipelined_max:
            self._set_reading()

    def _settle_method(self, method: bytes, exchange: HttpExchange) -> None:
        if method == b"HEAD":
            exchange.is_head = True
        elif method == b"CONNECT":
            raise _Refused(501, "CONNECT")

    def _go_on_without_upgrade(self, data: bytes, end: int) -> None:
        """Goes on in HTTP/1.1, as a server may (RFC 9110, 7.8).

        The parser takes what follows the header of such a request, its body included, for another
        protocol. So a new one gets the header again, without its `upgrade`, and then what follows.
        """
        rest = memoryview(data)
        while end >= 0 and self._phase == BODY:
            rest = rest[end:]
            end = -1
            self._upgrades = False
            self._resumes_upgrade = True
            head = self._head_without_upgrade()
            self._parser = httptools.HttpRequestParser(self)
            try:
                self._parser.feed_data(head)
                self._parser.feed_data(rest)
            except httptools.HttpParserUpgrade as upgrade:
                end = upgrade.args[0]
            except httptools.HttpParserError as error:
                self._refuse_input(error, data)

    def _head_without_upgrade(self) -> bytes:
        lines = [b"%b %b HTTP/1.1" % (self._parser.get_method(), self._target)]
        lines += [b"%b: %b" % item for item in self._headers.items() if item[0] != b"upgrade"]
        return b"\r\n".join(lines) + b"\r\n\r\n"

    # Answers

    @property
    def is_ending(self) -> bool:
        """Whether the connection ends as soon as nothing is pending."""
        return self._owner.is_draining

    @property
    def unread_bytes_max(self) -> int:
        """See AnswerOrder."""
        return self._limits.unread_bytes_max

    def end_after(self, exchange: HttpExchange) -> None:
        """Makes `exchange` the last one, if nothing follows it."""
        if self._phase == IDLE and not self._backlog and self._pending[-1] is exchange:
            self._phase = CLOSED
            exchange.is_last = True
            exchange.line = _CLOSE

    def end_with(self, exchange: HttpExchange) -> None:
        """Makes `exchange` the last one: its answer ends with the connection."""
        self._phase = CLOSED
        self._backlog.clear()
        exchange.is_last = True
        exchange.line = _CLOSE

    def begin(self, exchange: HttpExchange) -> None:
        """Lets the exchange's stream flow, if it is its turn."""
        if self._pending[0] is exchange and exchange.body is not None:
            exchange.body.flow()

    def send(self, data: bytes) -> None:
        """Writes a part of the answer whose turn it is."""
        if data:
            self._transport.write(data)

    def complete(self, exchange: HttpExchange, response: bytes) -> None:
        """Writes the answer, and those that waited for it; or keeps it until it is its turn."""
        pending = self._pending
        if pending[0] is not exchange:
            return
        pending.popleft()
        self._transport.write(response)
        self._since = self._owner.tick
        if exchange.is_last:
            self._close()
        elif pending or self._backlog or self._is_paused or self._owes_continue:
            self._advance()

    def _advance(self) -> None:
        """Writes what may be written and dispatches what may be dispatched.

        A dispatch that answers at once comes back here; the loop that runs already goes on then.
        """
        if self._is_advancing:
            return
        self._is_advancing = True
        pending, backlog = self._pending, self._backlog
        while True:
            while pending and (response := pending[0].response) is not None:
                exchange = pending.popleft()
                self._transport.write(response)
                if exchange.is_last:
                    self._close()
                    return
            if pending and pending[0].body is not None and pending[0].body.flow():
                continue  # it may have ended meanwhile
            if not backlog or self.is_blocked or len(pending) >= self._limits.pipelined_max:
                break
            request, exchange = backlog.popleft()
            if request is None:
                pending.append(exchange)
            else:
                self._dispatch(request, exchange)
        self._is_advancing = False
        if self._owes_continue and not pending and not backlog:
            self._owes_continue = False
            self._transport.write(_CONTINUE)
        self._set_reading()

    def _set_reading(self) -> None:
        is_full = bool(self._backlog) or len(self._pending) >= self._limits.pipelined_max
        is_paused = self.is_blocked or (is_full and self._phase != CLOSED)
        if is_paused == self._is_paused or self._transport.is_closing():
            return
        self._is_paused = is_paused
        if is_paused:
            self._transport.pause_reading()
        else:
            self._since = self._owner.tick
            self._transport.resume_reading()

    # The end

    def _refuse_input(self, error: httptools.HttpParserError, data: bytes) -> None:
        """Answers what the parser, or one of our bounds, did not take."""
        if self._phase == CLOSED:
            return  # after the last request; nobody asked for this
        cause = error.__context__
        if isinstance(cause, _Refused):
            self._refuse(cause.status, cause.reason)
        elif isinstance(error, httptools.HttpParserCallbackError):
            log.error(REQUEST_FAILED_BY_A_BUG, exc_info=error)
            self._refuse(500, "failure in the server")
        elif data.startswith(_TLS_HANDSHAKE):
            self._refuse(400, "TLS on a port for plain HTTP")
        else:
            self._refuse(400, f"malformed request: {error}")

    def _refuse(self, status: int, reason: str) -> None:
        """Answers the request that is coming in, after those before it, and ends the connection."""
        self._owner.note_drop(reason, self._peer)
        self._phase = CLOSED
        self._is_lingering = True
        exchange = HttpExchange(self)
        exchange.settle(format_response(status, TEXT_HEAD, f"{reason}\n".encode(), _CLOSE))
        self._backlog.append((None, exchange))
        self._advance()

    def _close(self) -> None:
        """Ends the connection when everything is written.

        A client that may still be sending is read from for a while: an answer followed by a reset
        would be lost with the reset (RFC 9112, 9.6).
        """
        self._phase = CLOSED
        self._closing_since = self._owner.tick
        if self._is_lingering and self._transport.can_write_eof():
            self._transport.write_eof()
        else:
            self._transport.close()

    def drain(self) -> None:
        """Closes the connection if it is idle; otherwise it closes after its last answer."""
        is_idle = self._phase == IDLE or (self._phase == OPENING and not self._opening)
        if is_idle and not self._pending and not self._backlog:
            self._close()

    def abort(self) -> None:
        """Cancels what waits and cuts the connection."""
        for exchange in list(self._pending):
            exchange.cancel()
        self._transport.abort()

    # Time

    def sweep(self) -> None:
        """Looks whether the client is too slow. Called by the listener, once per tick."""
        most = self._limits
        phase = self._phase
        if self._closing_since >= 0:
            ms_max = most.linger_ms_max if self._is_lingering else most.unread_ms_max
            if self._is_over(self._closing_since, ms_max):
                self._transport.abort()
        elif self.is_blocked:
            self._check_unread()
        elif self._is_paused:
            return
        elif phase == IDLE or (phase == OPENING and not self._opening):
            if not self._pending and self._is_over(self._since, most.idle_ms_max):
                self._close()
        elif phase in (HEAD, OPENING):
            if self._is_over(self._since, most.header_ms_max):
                self._refuse(408, "header too slow")
        elif phase == BODY:
            rate_ms = self._received * 1_000 // most.body_bytes_per_s_min
            if self._is_over(self._since, most.header_ms_max + most.body_ms_max + rate_ms):
                self._refuse(408, "body too slow")

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

    def _check_received(self) -> None:
        """Bounds what the parser may hold without telling us: an endless line, chunks of a byte."""
        most = self._limits
        if self._phase == HEAD:
            if self._received > most.header_bytes_max:
                self._refuse(431, "header too large")
        elif (
            self._received > most.header_bytes_max + 2 * most.body_bytes_max
            and self._received > most.header_bytes_max + 2 * self._body_bytes_max()
        ):
            self._refuse(413, "body too large")


def _has_agreed_on_http2(tls: ssl.SSLObject | None) -> bool:
    """Whether a connection's TLS handshake, if there was one, chose HTTP/2."""
    return tls is not None and tls.selected_alpn_protocol() == HTTP2_NAME
