"""HTTP between the server and the API, without a socket: what a request is, and its way back.

Rules of this file:

- The server parses and frames; the API sees `HttpRequest` and answers through `Exchange`. Neither
  knows the other.
- Names of headers are lower-case bytes; lines of the same name are joined by b", ".
- The server alone writes the status line, `content-length`, `transfer-encoding` and `connection`.
- What differs between HTTP/1.1 and HTTP/2 ends in the server; the host is in `headers` for both.
"""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import Final, Protocol

import msgspec

__all__ = [
    "JSON_HEAD",
    "TEXT_HEAD",
    "Dispatch",
    "Exchange",
    "HttpRequest",
    "OnDisconnect",
    "OnDrain",
    "ResponseStream",
    "format_response",
    "format_stream_head",
    "has_no_body",
]

OnDisconnect = Callable[[], None]
OnDrain = Callable[[], None]

JSON_HEAD: Final = b"content-type: application/json\r\n"
TEXT_HEAD: Final = b"content-type: text/plain; charset=utf-8\r\n"


class HttpRequest(msgspec.Struct, gc=False):
    """One whole request. `target` is the raw path with its query; `peer` is "address:port".

    `is_secure` says that the client asked over TLS, so addresses given to it begin with https.
    """

    method: bytes
    target: bytes
    headers: dict[bytes, bytes]
    body: bytes
    peer: str
    is_secure: bool = False


class ResponseStream(Protocol):
    """An answer whose body is sent in parts, in order. Ends with `end`, or when the client is gone.

    `on_drain` may be set; it is called, from the event loop, when the client has read enough after
    a `write` that returned False, once for each time that this happened.
    """

    on_drain: OnDrain | None

    @property
    def is_open(self) -> bool:
        """Whether parts still go anywhere: not after `end`, nor when the client is gone."""
        ...

    def write(self, part: bytes) -> bool:
        """Sends a part, or keeps it until the client reads; an empty one is nothing.

        Returns False when more than `HTTP_UNREAD_BYTES_MAX` wait for the client: who goes on
        writing fills the memory. Does nothing, and returns False, when the client is gone.
        """
        ...

    def end(self) -> None:
        """The answer is complete. Does nothing when the client is gone, or the second time."""
        ...


class Exchange(Protocol):
    """The way back of one request.

    Set `on_disconnect` on a request that waits: it is called once, in place of the chance to reply
    or to go on with a stream, when the client is gone or the time for draining is over.
    """

    on_disconnect: OnDisconnect | None

    def reply(self, status: int, head: bytes, body: bytes) -> None:
        """Answers, exactly once. `head` is header lines, each ending in CRLF.

        Does nothing when the client is gone. Replies of one connection leave in the order of its
        requests, whatever the order of these calls; in HTTP/2 each leaves at once.
        """
        ...

    def stream(self, status: int, head: bytes) -> ResponseStream:
        """Begins an answer that is sent in parts, in place of `reply` and at most once.

        The head leaves at once, when it is its turn. When the client is gone the stream takes
        everything and sends nothing. `on_disconnect` is called as before, until the stream's end.
        """
        ...


class Dispatch(Protocol):
    """What serves requests."""

    def __call__(self, request: HttpRequest, exchange: Exchange) -> None:
        """Serves one request, now or later. Never raises, never waits."""
        ...


_STATUS_LINES: Final = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus
}


def has_no_body(status: int) -> bool:
    """Whether answers of this status never carry a body, nor a content-length (RFC 9110, 8.6)."""
    return status < 200 or status in (204, 304)


def format_stream_head(
    status: int, head: bytes, connection: bytes = b"", *, is_chunked: bool = True
) -> bytes:
    """The head of a response whose body comes in parts, in chunks or until the connection ends."""
    start = _STATUS_LINES.get(status) or b"HTTP/1.1 %d \r\n" % status
    framing = b"transfer-encoding: chunked\r\n" if is_chunked else b""
    if has_no_body(status):
        framing = b""
    return b"%b%b%b%b\r\n" % (start, head, connection, framing)


def format_response(
    status: int, head: bytes, body: bytes, connection: bytes = b"", *, is_head: bool = False
) -> bytes:
    """The bytes of a response. `connection` is a whole header line or nothing.

    `is_head` leaves the body out and its length in.
    """
    start = _STATUS_LINES.get(status) or b"HTTP/1.1 %d \r\n" % status
    if has_no_body(status):
        return b"%b%b%b\r\n" % (start, head, connection)
    return b"%b%b%bcontent-length: %d\r\n\r\n%b" % (
        start,
        head,
        connection,
        len(body),
        b"" if is_head else body,
    )
