"""One request of an HTTP/2 connection: what came of it, and its way back.

A stream ends in exactly one of three ways: `reply`, the end of the answer that `stream` began, or
`cancel`, when the client has reset it or is gone. What cannot be sent yet waits in `parts`; the
connection takes it from there, as the windows and the socket allow.
"""

from __future__ import annotations

from collections import deque
from typing import Protocol, final

from eventcore.server.exchange import call_safely
from eventcore.wire.http import HttpRequest, OnDisconnect, OnDrain, ResponseStream

__all__ = ["Http2Stream", "StreamOwner"]


class StreamOwner(Protocol):
    """What a stream needs of its connection."""

    @property
    def is_blocked(self) -> bool:
        """Whether the client does not read the connection."""
        ...

    @property
    def unread_bytes_max(self) -> int:
        """How much of one stream may wait for the client."""
        ...

    def answer(self, stream: Http2Stream, status: int, head: bytes, body: bytes) -> None:
        """Sends a whole answer."""
        ...

    def begin_answer(self, stream: Http2Stream, status: int, head: bytes) -> None:
        """Sends the head of an answer in parts."""
        ...

    def push(self, stream: Http2Stream) -> None:
        """Sends what waits in the stream's parts, and its end, as far as that goes."""
        ...


@final
class Http2Stream:
    """An `eventcore.wire.http.Exchange`, and the `ResponseStream` of itself.

    `is_whole`: the request has come in completely. `is_final`: nothing is added to `parts` any
    more. `is_refused`: the connection itself answered, and what else comes of the request is thrown
    away. `moved_at` is the tick at which something was sent last. `request` waits for room.
    """

    __slots__ = (
        "_connection",
        "_is_answered",
        "_is_streaming",
        "_owes_drain",
        "body",
        "id",
        "is_final",
        "is_head",
        "is_refused",
        "is_whole",
        "moved_at",
        "on_disconnect",
        "on_drain",
        "parts",
        "request",
        "since",
        "waiting_bytes",
    )

    def __init__(self, connection: StreamOwner, stream_id: int, tick: int) -> None:
        self._connection: StreamOwner | None = connection
        self.id = stream_id
        self.since = self.moved_at = tick
        self.request: HttpRequest | None = None
        self.body: bytes | bytearray = b""
        self.parts: deque[memoryview] = deque()
        self.waiting_bytes = 0
        self.on_disconnect: OnDisconnect | None = None
        self.on_drain: OnDrain | None = None
        self.is_head = self.is_whole = self.is_refused = self.is_final = False
        self._is_answered = self._is_streaming = self._owes_drain = False

    @property
    def is_open(self) -> bool:
        """Whether an answer, or more of it, would still be taken."""
        return self._connection is not None

    @property
    def is_streaming(self) -> bool:
        """Whether the answer comes in parts."""
        return self._is_streaming

    def reply(self, status: int, head: bytes, body: bytes) -> None:
        """See Exchange."""
        assert not self._is_answered, "this request was answered before"
        connection = self._connection
        if connection is None:
            return
        self._is_answered = True
        self._connection = None
        self.on_disconnect = None
        self.is_final = True
        connection.answer(self, status, head, body)

    def stream(self, status: int, head: bytes) -> ResponseStream:
        """See Exchange."""
        assert not self._is_answered, "this request was answered before"
        self._is_answered = self._is_streaming = True
        if self._connection is not None:
            self._connection.begin_answer(self, status, head)
        return self

    def write(self, part: bytes) -> bool:
        """See ResponseStream."""
        assert not self.is_final, "this answer has ended"
        connection = self._connection
        if connection is None:
            return False
        if part and not self.is_head:
            self.keep(part)
            connection.push(self)
            if self._connection is None:
                return False  # found to be gone while writing
        waiting = self.waiting_bytes
        if waiting == 0 or (waiting <= connection.unread_bytes_max and not connection.is_blocked):
            return True
        self._owes_drain = True
        return False

    def end(self) -> None:
        """See ResponseStream."""
        connection = self._connection
        self.is_final = True
        if connection is None:
            return
        self._connection = None
        self.on_disconnect = None
        self.on_drain = None
        connection.push(self)

    def keep(self, part: bytes) -> None:
        """Adds to what waits for the client."""
        self.parts.append(memoryview(part))
        self.waiting_bytes += len(part)

    def take(self, bytes_max: int) -> memoryview:
        """Takes the next bytes from what waits; at least one, of one part."""
        part = self.parts[0]
        if len(part) > bytes_max:
            self.parts[0] = part[bytes_max:]
            part = part[:bytes_max]
        else:
            self.parts.popleft()
        self.waiting_bytes -= len(part)
        return part

    def drained(self) -> None:
        """The client has read enough: tells whoever writes, if it was told to wait."""
        if self._owes_drain and self._connection is not None:
            self._owes_drain = False
            if self.on_drain is not None:
                call_safely(self.on_drain)

    def cancel(self) -> None:
        """The client is gone, or draining is over: no answer is possible any more."""
        self.parts.clear()
        self.waiting_bytes = 0
        if self._connection is None:
            return
        self._connection = None
        self.on_drain = None
        call = self.on_disconnect
        self.on_disconnect = None
        if call is not None:
            call_safely(call)
