"""Reads an answer that goes on: AWS's event stream over HTTP/1.1, on a connection of its own.

- What is told is told at once, from within the event loop's call that brought the bytes: what takes
  time there delays what comes next.
- A stream ends when the peer ends it, with an error that it sends, when the connection is lost, or
  by `close`. It is not opened again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, cast, final

import httptools

from eventcore.bench.client import (
    AwsJsonClient,
    CallFailed,
    EndpointUnreachable,
    ServiceProtocol,
    call_failed,
)
from eventcore.errors import EventcoreError
from eventcore.wire.event_stream import EventMessage, MalformedMessage, decode_messages

__all__ = ["EventStream", "OnEvent"]

OPEN_S: Final = 60.0
_GOOD: Final = 200

OnEvent = Callable[[str, bytes], None]
"""Told of an event: its type, and its payload."""


@final
class EventStream(asyncio.Protocol):
    """One answer of events. Made by `open` only."""

    def __init__(self, operation: str, request: bytes, on_event: OnEvent) -> None:
        loop = asyncio.get_running_loop()
        self._operation = operation
        self._request = request
        self._on_event = on_event
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._buffer = bytearray()
        self._begun: asyncio.Future[None] = loop.create_future()
        self._ended: asyncio.Future[None] = loop.create_future()

    @classmethod
    async def open(
        cls,
        client: AwsJsonClient,
        service: ServiceProtocol,
        operation: str,
        body: bytes,
        on_event: OnEvent,
    ) -> EventStream:
        """Makes the call; returns when the answer has begun.

        Raises CallFailed, EndpointUnreachable.
        """
        stream = cls(operation, client.request(service, operation, body), on_event)
        try:
            async with asyncio.timeout(OPEN_S):
                await client.connect(lambda: stream)
                await stream._begun
        except TimeoutError:
            stream.close()
            raise EndpointUnreachable("no answer in time") from None
        except BaseException:
            stream.close()
            raise
        return stream

    @property
    def is_open(self) -> bool:
        """Whether more may come."""
        return not self._ended.done()

    async def wait(self) -> None:
        """Returns at the stream's end. Raises CallFailed for an error that the peer sent,
        EndpointUnreachable for a connection that was lost.
        """
        await asyncio.shield(self._ended)

    def close(self) -> None:
        """Ends the stream at once; nothing is told any more. May be called twice."""
        self._end(None)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio's call: the connection is up."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        """asyncio's call: bytes arrived."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._end(EndpointUnreachable(f"not HTTP: {error}"))

    def connection_lost(self, exc: Exception | None) -> None:
        """asyncio's call: the connection is gone."""
        self._transport = None
        self._end(EndpointUnreachable(str(exc) if exc else "the connection was closed"))

    def on_headers_complete(self) -> None:
        """httptools' call: the answer has begun."""
        if self._parser.get_status_code() == _GOOD and not self._begun.done():
            self._begun.set_result(None)

    def on_body(self, body: bytes) -> None:
        """httptools' call: a piece of the answer."""
        self._buffer += body
        if self._parser.get_status_code() != _GOOD:
            return
        try:
            for message in decode_messages(self._buffer):
                if not self.is_open:
                    return
                self._take(message)
        except MalformedMessage as error:
            self._end(EndpointUnreachable(f"not an event stream: {error}"))

    def on_message_complete(self) -> None:
        """httptools' call: the answer is over."""
        status = self._parser.get_status_code()
        if status == _GOOD:
            self._end(None)
        else:
            self._end(call_failed(self._operation, status, bytes(self._buffer)))

    def _take(self, message: EventMessage) -> None:
        headers = message.headers
        if headers.get(":message-type") == "event":
            self._on_event(str(headers.get(":event-type", "")), message.payload)
            return
        code = str(headers.get(":exception-type", headers.get(":error-code", "UnknownError")))
        self._end(
            CallFailed(self._operation, _GOOD, code, message.payload.decode(errors="replace"))
        )

    def _end(self, error: EventcoreError | None) -> None:
        if self._ended.done():
            return
        for future in (self._begun, self._ended):
            if not future.done():
                if error is None:
                    future.set_result(None)
                else:
                    future.set_exception(error)
                    future.exception()  # whoever does not wait for it need not hear of it
        if self._transport is not None:
            self._transport.abort()
