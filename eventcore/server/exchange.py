"""The way back of one request of an HTTP/1.1 connection, at once or in parts.

An exchange ends in exactly one of four ways: `reply` by whoever serves the request, the end of the
stream that it began instead, `settle` by the connection itself, `cancel` when the client is gone.

A stream keeps what it is given until it is its exchange's turn, and then writes to the connection.
One that ends before is like a reply.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, final

from eventcore.runtime.telemetry import REQUEST_FAILED_BY_A_BUG, logger_of
from eventcore.wire.http import (
    OnDisconnect,
    OnDrain,
    ResponseStream,
    format_response,
    format_stream_head,
    has_no_body,
)

__all__ = ["AnswerOrder", "HttpExchange", "HttpStream", "call_safely"]

log = logger_of("eventcore.server")


class AnswerOrder(Protocol):
    """What an exchange needs of its connection."""

    @property
    def is_ending(self) -> bool:
        """Whether the connection ends as soon as nothing is pending."""
        ...

    @property
    def is_blocked(self) -> bool:
        """Whether the client does not read."""
        ...

    @property
    def unread_bytes_max(self) -> int:
        """How much may wait for the client."""
        ...

    def end_after(self, exchange: HttpExchange) -> None:
        """Makes `exchange` the last one, if nothing follows it."""
        ...

    def end_with(self, exchange: HttpExchange) -> None:
        """Makes `exchange` the last one, whatever follows it."""
        ...

    def begin(self, exchange: HttpExchange) -> None:
        """Lets the exchange's stream flow when it is its turn."""
        ...

    def send(self, data: bytes) -> None:
        """Writes a part of the answer whose turn it is."""
        ...

    def complete(self, exchange: HttpExchange, response: bytes) -> None:
        """Writes the response, or a stream's last part, when it is its turn."""
        ...


@final
class HttpExchange:
    """The way back of one request of a connection; an `eventcore.wire.http.Exchange`.

    `is_old` is a request of HTTP/1.0, whose client knows no chunks.
    """

    __slots__ = (
        "_connection",
        "body",
        "is_head",
        "is_last",
        "is_old",
        "line",
        "on_disconnect",
        "response",
    )

    def __init__(self, connection: AnswerOrder) -> None:
        self._connection: AnswerOrder | None = connection
        self.on_disconnect: OnDisconnect | None = None
        self.response: bytes | None = None
        self.body: HttpStream | None = None
        self.line = b""
        self.is_last = False
        self.is_head = False
        self.is_old = False

    @property
    def is_open(self) -> bool:
        """Whether an answer, or more of it, would still be taken."""
        return self._connection is not None

    def reply(self, status: int, head: bytes, body: bytes) -> None:
        """See Exchange."""
        connection = self._connection
        if connection is None:
            assert self.response is None, "this request was answered before"
            return
        assert self.body is None, "this request is being answered by a stream"
        self._connection = None
        self.on_disconnect = None
        if connection.is_ending:
            connection.end_after(self)
        self.response = response = format_response(
            status, head, body, self.line, is_head=self.is_head
        )
        connection.complete(self, response)

    def stream(self, status: int, head: bytes) -> ResponseStream:
        """See Exchange."""
        assert self.response is None and self.body is None, "this request was answered before"
        connection = self._connection
        self.body = body = HttpStream(self, connection)
        if connection is None:
            return body
        is_bodiless = self.is_head or has_no_body(status)
        if self.is_old and not is_bodiless:
            connection.end_with(self)
        elif connection.is_ending:
            connection.end_after(self)
        body.open(
            format_stream_head(status, head, self.line, is_chunked=not self.is_old),
            is_chunked=not self.is_old,
            is_bodiless=is_bodiless,
        )
        connection.begin(self)
        return body

    def finish(self, connection: AnswerOrder, rest: bytes) -> None:
        """The stream's end, with all that was not written yet."""
        self._connection = None
        self.on_disconnect = None
        self.response = rest
        if connection.is_ending:
            connection.end_after(self)
        connection.complete(self, rest)

    def settle(self, response: bytes) -> None:
        """The connection's own answer, in place of a reply; the connection ends with it."""
        self._connection = None
        self.response = response
        self.is_last = True

    def cancel(self) -> None:
        """The client is gone, or draining is over: no reply is possible any more."""
        if self._connection is None:
            return
        self._connection = None
        if self.body is not None:
            self.body.cut()
        call = self.on_disconnect
        self.on_disconnect = None
        if call is not None:
            call_safely(call)


@final
class HttpStream:
    """An answer in parts; an `eventcore.wire.http.ResponseStream`.

    `_kept` holds what was given before the stream's turn; it is None from then on.
    """

    __slots__ = (
        "_connection",
        "_exchange",
        "_is_bodiless",
        "_is_chunked",
        "_is_ended",
        "_kept",
        "_kept_bytes",
        "_owes_drain",
        "on_drain",
    )

    def __init__(self, exchange: HttpExchange, connection: AnswerOrder | None) -> None:
        self.on_drain: OnDrain | None = None
        self._exchange = exchange
        self._connection = connection
        self._kept: list[bytes] | None = []
        self._kept_bytes = 0
        self._is_chunked = True
        self._is_bodiless = self._is_ended = self._owes_drain = False

    @property
    def is_open(self) -> bool:
        """See ResponseStream."""
        return self._connection is not None

    def open(self, head: bytes, *, is_chunked: bool, is_bodiless: bool) -> None:
        """Says how the body is framed; the head is the first thing to be written."""
        assert self._kept is not None
        self._kept.append(head)
        self._is_chunked = is_chunked
        self._is_bodiless = is_bodiless

    def write(self, part: bytes) -> bool:
        """See ResponseStream."""
        assert not self._is_ended, "this answer has ended"
        connection = self._connection
        if connection is None:
            return False
        data = b""
        if part and not self._is_bodiless:
            data = b"%x\r\n%b\r\n" % (len(part), part) if self._is_chunked else part
        kept = self._kept
        if kept is None:
            connection.send(data)
            has_room = not connection.is_blocked
        else:
            kept.append(data)
            self._kept_bytes += len(data)
            has_room = self._kept_bytes <= connection.unread_bytes_max
        if not has_room:
            self._owes_drain = True
        return has_room

    def end(self) -> None:
        """See ResponseStream."""
        self._is_ended = True
        connection = self._connection
        if connection is None:
            return
        self._connection = None
        self.on_drain = None
        rest = b"0\r\n\r\n" if self._is_chunked and not self._is_bodiless else b""
        if self._kept:
            rest = b"".join(self._kept) + rest
            self._kept = None
        self._exchange.finish(connection, rest)

    def flow(self) -> bool:
        """It is the stream's turn: writes what was kept. Returns False when it did so before."""
        kept, connection = self._kept, self._connection
        if kept is None or connection is None:
            return False
        self._kept = None
        connection.send(b"".join(kept))
        if not connection.is_blocked:
            self.drained()
        return True

    def drained(self) -> None:
        """The client has read: tells whoever writes, if it was told to wait."""
        if self._owes_drain and self._connection is not None:
            self._owes_drain = False
            if self.on_drain is not None:
                call_safely(self.on_drain)

    def cut(self) -> None:
        """The client is gone: what is written from now on is dropped."""
        self._connection = None
        self._kept = None
        self.on_drain = None


def call_safely(call: Callable[[], None]) -> None:
    """Calls; one request's failure must not keep the others of the connection waiting."""
    try:
        call()
    except Exception:
        log.exception(REQUEST_FAILED_BY_A_BUG)
