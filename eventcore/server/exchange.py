"""The way back of one request of an HTTP connection.

An exchange ends in exactly one of three ways: `reply` by whoever serves the request, `settle` by
the connection itself, `cancel` when the client is gone.
"""

from __future__ import annotations

from typing import Protocol, final

from eventcore.runtime.telemetry import REQUEST_FAILED_BY_A_BUG, logger_of
from eventcore.wire.http import OnDisconnect, format_response

__all__ = ["AnswerOrder", "HttpExchange"]

log = logger_of("eventcore.server")


class AnswerOrder(Protocol):
    """What an exchange needs of its connection."""

    @property
    def is_ending(self) -> bool:
        """Whether the connection ends as soon as nothing is pending."""
        ...

    def end_after(self, exchange: HttpExchange) -> None:
        """Makes `exchange` the last one, if nothing follows it."""
        ...

    def complete(self, exchange: HttpExchange, response: bytes) -> None:
        """Writes the response when it is its turn."""
        ...


@final
class HttpExchange:
    """The way back of one request of a connection; an `eventcore.wire.http.Exchange`."""

    __slots__ = ("_connection", "is_head", "is_last", "line", "on_disconnect", "response")

    def __init__(self, connection: AnswerOrder) -> None:
        self._connection: AnswerOrder | None = connection
        self.on_disconnect: OnDisconnect | None = None
        self.response: bytes | None = None
        self.line = b""
        self.is_last = False
        self.is_head = False

    @property
    def is_open(self) -> bool:
        """Whether a reply would still be taken."""
        return self._connection is not None

    def reply(self, status: int, head: bytes, body: bytes) -> None:
        """See Exchange."""
        connection = self._connection
        if connection is None:
            assert self.response is None, "this request was answered before"
            return
        self._connection = None
        self.on_disconnect = None
        if connection.is_ending:
            connection.end_after(self)
        self.response = response = format_response(
            status, head, body, self.line, is_head=self.is_head
        )
        connection.complete(self, response)

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
        call = self.on_disconnect
        self.on_disconnect = None
        if call is not None:
            _call_safely(call)


def _call_safely(call: OnDisconnect) -> None:
    """Calls; one request's failure must not keep the others of the connection waiting."""
    try:
        call()
    except Exception:
        log.exception(REQUEST_FAILED_BY_A_BUG)
