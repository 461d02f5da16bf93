"""The Lambda Runtime API, version 2018-06-01, for one environment, on a loopback port of its own.

Rules of this file:

- Here is HTTP; what a call means is decided by a `RuntimeOwner`. Who is on the other side is a
  function's code: everything it may do wrong costs it its connection and nothing else. Connections,
  header and body are bounded. A body beyond INVOKE_BYTES_MAX is read on, up to DISCARD_BYTES_MAX,
  and thrown away, so that its sender gets to see the answer.
- A connection has one call at a time. One that sends more while `next` waits is cut.
- There are no time-outs of connections: the environment ends with all of them.
"""

from __future__ import annotations

import asyncio
import json
import re
import socket
from typing import Final, NamedTuple, Protocol, cast, final

import httptools

from eventcore import limits

__all__ = ["Answer", "Event", "NextCall", "RuntimeApi", "RuntimeOwner", "refusal"]

CONNECTIONS_MAX: Final = 16
BACKLOG: Final = 128
"""More than are taken, so that those beyond are cut at once instead of left waiting."""
HEADER_BYTES_MAX: Final = 2 * 1024 * 1024
"""A runtime client may send the cause of an error as a header, of up to 1 MB."""
DISCARD_BYTES_MAX: Final = 64 * 1024 * 1024
ERROR_TYPE_CHARACTERS_MAX: Final = 256

_PREFIX: Final = b"/2018-06-01/runtime/"
_INVOCATION: Final = re.compile(rb"invocation/([^/?]{1,128})/(response|error)")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]+")
_REASONS: Final = {
    200: b"OK",
    202: b"Accepted",
    400: b"Bad Request",
    403: b"Forbidden",
    404: b"Not Found",
    413: b"Payload Too Large",
}


class Event(NamedTuple):
    """What `next` is answered with."""

    request_id: str
    deadline_ms: int
    invoked_arn: str
    trace_header: str
    client_context: str
    payload: bytes


class Answer(NamedTuple):
    """A status and a JSON body."""

    status: int
    body: bytes


class NextCall(Protocol):
    """A call of `next` that waits."""

    def deliver(self, event: Event) -> None:
        """Answers it."""
        ...

    def drop(self) -> None:
        """Cuts its connection."""
        ...


class RuntimeOwner(Protocol):
    """What a runtime client's calls mean."""

    def on_next(self, call: NextCall) -> Answer | None:
        """It waits for an event. None: `call` is answered later; else it is refused with this."""
        ...

    def on_next_lost(self, call: NextCall, *, is_delivered: bool) -> None:
        """The connection of a `next` is gone: while it waited, or before its event was read."""
        ...

    def on_response(self, request_id: str, body: bytes | None) -> Answer:
        """A handler's result; None where it is larger than INVOKE_BYTES_MAX."""
        ...

    def on_error(self, request_id: str, error_type: str, body: bytes | None) -> Answer:
        """A handler's error."""
        ...

    def on_init_error(self, error_type: str, body: bytes | None) -> Answer:
        """The initialisation has failed."""
        ...

    def on_connections_ended(self) -> None:
        """No connection is open any more."""
        ...


@final
class RuntimeApi:
    """A listener with its connections."""

    def __init__(self, owner: RuntimeOwner) -> None:
        self.owner = owner
        self._connections: set[_Connection] = set()
        self._server: asyncio.Server | None = None
        self.address = ""

    async def listen(self) -> None:
        """Opens the port; `address` is host and port. Raises OSError."""
        listener = socket.socket()
        try:
            listener.bind(("127.0.0.1", 0))
            loop = asyncio.get_running_loop()
            self._server = await loop.create_server(
                lambda: _Connection(self), sock=listener, backlog=BACKLOG
            )
        except BaseException:
            listener.close()
            raise
        host, port = listener.getsockname()
        self.address = f"{host}:{port}"

    def close(self) -> None:
        """Closes the port and cuts the connections."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for connection in list(self._connections):
            connection.drop()

    @property
    def has_connections(self) -> bool:
        """Whether a client is connected."""
        return bool(self._connections)

    def admit(self, connection: _Connection) -> bool:
        """Takes a connection, unless there are too many."""
        if len(self._connections) >= CONNECTIONS_MAX:
            return False
        self._connections.add(connection)
        return True

    def forget(self, connection: _Connection) -> None:
        """A connection is gone."""
        self._connections.discard(connection)
        if not self._connections:
            self.owner.on_connections_ended()


@final
class _Connection(asyncio.Protocol):
    """One connection of a runtime client."""

    __slots__ = (
        "_api",
        "_body",
        "_body_bytes",
        "_closes",
        "_error_type",
        "_header_bytes",
        "_is_delivered",
        "_is_in_header",
        "_is_waiting",
        "_parser",
        "_target",
        "_transport",
    )

    _transport: asyncio.Transport

    def __init__(self, api: RuntimeApi) -> None:
        self._api = api
        self._parser = httptools.HttpRequestParser(self)
        self._is_waiting = self._closes = False
        # The last event was answered for by nobody yet, as far as this connection knows.
        self._is_delivered = False
        self._header_bytes = 0
        self._is_in_header = True
        self.on_message_begin()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by asyncio."""
        self._transport = cast("asyncio.Transport", transport)
        if not self._api.admit(self):
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """Called by asyncio. Whatever is no HTTP ends the connection."""
        if self._is_waiting:
            self._transport.abort()
            return
        if self._is_in_header:
            self._header_bytes += len(data)
            if self._header_bytes > HEADER_BYTES_MAX + limits.INVOKE_BYTES_MAX:
                self._transport.abort()
                return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._transport.abort()
        except httptools.HttpParserError:
            self._closes = True
            self._reply(refusal(400, "InvalidRequest", "malformed request"))

    def connection_lost(self, error: Exception | None) -> None:
        """Called by asyncio."""
        if self._is_waiting or (self._is_delivered and error is not None):
            # One that was closed in order has been read to its end; one that was reset has not.
            self._api.owner.on_next_lost(self, is_delivered=self._is_delivered)
        self._is_waiting = self._is_delivered = False
        self._api.forget(self)

    # NextCall

    def deliver(self, event: Event) -> None:
        """Answers the `next` that waits."""
        self._is_waiting = False
        self._is_delivered = True
        head = [
            f"Lambda-Runtime-Aws-Request-Id: {event.request_id}",
            f"Lambda-Runtime-Deadline-Ms: {event.deadline_ms}",
            f"Lambda-Runtime-Invoked-Function-Arn: {event.invoked_arn}",
        ]
        if event.trace_header:
            head.append(f"Lambda-Runtime-Trace-Id: {_CONTROL.sub(' ', event.trace_header)}")
        if event.client_context:
            head.append(f"Lambda-Runtime-Client-Context: {_one_line(event.client_context)}")
        self._write(200, "\r\n".join(head).encode() + b"\r\n", event.payload)

    def drop(self) -> None:
        """Cuts the connection."""
        self._transport.abort()

    # The parser's calls

    def on_message_begin(self) -> None:
        """A new request."""
        self._target = b""
        self._body: list[bytes] = []
        self._body_bytes = 0
        self._error_type = ""

    def on_url(self, part: bytes) -> None:
        """A part of its target."""
        self._target += part

    def on_header(self, name: bytes, value: bytes) -> None:
        """A line of its header."""
        name = name.lower()
        if name == b"lambda-runtime-function-error-type":
            text = value.decode(errors="replace")
            self._error_type = _CONTROL.sub(" ", text)[:ERROR_TYPE_CHARACTERS_MAX]
        elif name == b"expect" and value.lower() == b"100-continue":
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_headers_complete(self) -> None:
        """Its body follows."""
        self._is_in_header = False

    def on_body(self, part: bytes) -> None:
        """A part of its body, which is kept up to a byte beyond the limit."""
        self._body_bytes += len(part)
        if self._body_bytes <= limits.INVOKE_BYTES_MAX:
            self._body.append(part)
        else:
            self._body.clear()
            if self._body_bytes > DISCARD_BYTES_MAX:
                self._transport.abort()

    def on_message_complete(self) -> None:
        """Serves it."""
        self._is_in_header = True
        self._header_bytes = 0
        if self._is_waiting or self._transport.is_closing():
            self._transport.abort()
            return
        self._closes = not self._parser.should_keep_alive()
        answer = self._serve()
        if answer is not None:
            self._reply(answer)

    def _serve(self) -> Answer | None:
        owner = self._api.owner
        method = self._parser.get_method()
        target = self._target.partition(b"?")[0]
        if target.startswith(_PREFIX):
            path = target[len(_PREFIX) :]
            if method == b"GET" and path == b"invocation/next":
                self._is_waiting = True
                answer = owner.on_next(self)
                if answer is not None:
                    self._is_waiting = False
                return answer
            found = _INVOCATION.fullmatch(path)
            if method == b"POST" and found is not None:
                self._is_delivered = False
                request_id = found[1].decode(errors="replace")
                if found[2] == b"response":
                    return owner.on_response(request_id, self._whole_body())
                return owner.on_error(request_id, self._error_type, self._whole_body())
            if method == b"POST" and path == b"init/error":
                return owner.on_init_error(self._error_type, self._whole_body())
        return refusal(404, "NotFound", "there is no such call in the Runtime API")

    def _whole_body(self) -> bytes | None:
        if self._body_bytes > limits.INVOKE_BYTES_MAX:
            return None
        return self._body[0] if len(self._body) == 1 else b"".join(self._body)

    def _reply(self, answer: Answer) -> None:
        self._write(answer.status, b"", answer.body)

    def _write(self, status: int, lines: bytes, body: bytes) -> None:
        closing = b"Connection: close\r\n" if self._closes else b""
        head = b"HTTP/1.1 %d %b\r\nContent-Type: application/json\r\nContent-Length: %d\r\n" % (
            status,
            _REASONS[status],
            len(body),
        )
        self._transport.write(head + closing + lines + b"\r\n" + body)
        if self._closes:
            self._transport.close()


def refusal(status: int, error_type: str, message: str) -> Answer:
    """An answer that says no."""
    document = {"errorMessage": message, "errorType": error_type}
    return Answer(status, json.dumps(document).encode())


def _one_line(client_context: str) -> str:
    """A JSON text as a header's value: compact and of ASCII; what is no JSON, without line ends."""
    try:
        return json.dumps(json.loads(client_context), separators=(",", ":"))
    except ValueError:
        return _CONTROL.sub(" ", client_context)
