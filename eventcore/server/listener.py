"""The listening socket and everything that connections share: their number, their time, their end.

Rules of this file:

- One timer sweeps all connections, and only while there are any. Connections count time in its
  ticks, so a loop that is late makes time-outs longer, never shorter.
- Draining: nothing new is accepted, idle connections close at once, others after the answer to
  their last request; what still waits at the end of the time is cancelled and cut.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from typing import final

from eventcore import limits
from eventcore.runtime.telemetry import CONNECTION_DROPPED, WarningLimiter, logger_of
from eventcore.server.connection import HttpConnection
from eventcore.server.connection_owner import ServedConnection
from eventcore.server.http_limits import HttpLimits
from eventcore.wire.http import Dispatch

__all__ = ["HttpServer"]

log = logger_of("eventcore.server")


@final
class HttpServer:
    """Serves a dispatch on one address. Belongs to the event loop that starts it."""

    def __init__(self, dispatch: Dispatch, http_limits: HttpLimits | None = None) -> None:
        self.dispatch = dispatch
        self.limits = http_limits or HttpLimits()
        self.tick = 0
        self.is_draining = False
        self.dropped: dict[str, int] = {}
        self._connections: set[ServedConnection] = set()
        self._listener: asyncio.Server | None = None
        self._port = 0
        self._sweep_timer: asyncio.TimerHandle | None = None
        self._emptied: asyncio.Event = asyncio.Event()
        self._warnings = WarningLimiter(lambda: time.monotonic_ns() // 1_000_000)

    @property
    def connections(self) -> int:
        """Connections that are open now."""
        return len(self._connections)

    @property
    def port(self) -> int:
        """The port that is listened on, the system's choice where it was 0."""
        assert self._port, "not started"
        return self._port

    async def start(self, host: str, port: int, tls: ssl.SSLContext | None = None) -> None:
        """Listens, for TLS only where there is a context. Raises OSError when the address cannot
        be had.

        A handshake has as long as a request's header, and the end of TLS as long as a refusal.
        """
        self._listener = await asyncio.get_running_loop().create_server(
            lambda: HttpConnection(self),
            host,
            port,
            backlog=limits.HTTP_BACKLOG_MAX,
            ssl=tls,
            ssl_handshake_timeout=self.limits.header_ms_max / 1_000 if tls else None,
            ssl_shutdown_timeout=self.limits.linger_ms_max / 1_000 if tls else None,
        )
        self._port = self._listener.sockets[0].getsockname()[1]

    def stop_accepting(self) -> None:
        """Closes the listening socket and idle connections; running requests go on."""
        self.is_draining = True
        if self._listener is not None:
            self._listener.close()
        for connection in list(self._connections):
            connection.drain()

    async def drain(self, timeout_ms: int) -> int:
        """Waits until all connections are gone, cuts the rest; returns how many were cut."""
        self.stop_accepting()
        try:
            if self._connections:
                async with asyncio.timeout(timeout_ms / 1_000):
                    await self._emptied.wait()
        except TimeoutError:
            pass
        cut = self.cut()
        if cut:
            await asyncio.sleep(0)  # the transports report their end in the next turn
        if self._sweep_timer is not None:
            self._sweep_timer.cancel()
        return cut

    def cut(self) -> int:
        """Cancels what waits and cuts all connections; returns how many there were."""
        connections = list(self._connections)
        for connection in connections:
            connection.abort()
        return len(connections)

    # What connections ask for

    def admit(self, connection: ServedConnection) -> bool:
        """See ConnectionOwner."""
        if len(self._connections) >= self.limits.connections_max or self.is_draining:
            return False
        self._connections.add(connection)
        self._emptied.clear()
        if self._sweep_timer is None:
            self._arm()
        return True

    def replace(self, connection: ServedConnection, successor: ServedConnection) -> None:
        """See ConnectionOwner."""
        self._connections.discard(connection)
        self._connections.add(successor)

    def forget(self, connection: ServedConnection) -> None:
        """See ConnectionOwner."""
        self._connections.discard(connection)
        if not self._connections:
            self._emptied.set()

    def note_drop(self, reason: str, peer: str) -> None:
        """See ConnectionOwner."""
        kind = reason.partition(":")[0]
        self.dropped[kind] = self.dropped.get(kind, 0) + 1
        suppressed = self._warnings.admit(kind)
        if suppressed is not None:
            log.warning(CONNECTION_DROPPED, reason=reason, peer=peer, not_logged_since=suppressed)

    def _arm(self) -> None:
        loop = asyncio.get_running_loop()
        self._sweep_timer = loop.call_later(self.limits.sweep_ms / 1_000, self._sweep)

    def _sweep(self) -> None:
        self.tick += 1
        for connection in list(self._connections):
            connection.sweep()
        self._sweep_timer = None
        if self._connections:
            self._arm()
