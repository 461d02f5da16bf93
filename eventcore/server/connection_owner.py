"""What connections and their listener know of each other, whatever version of HTTP is spoken."""

from __future__ import annotations

from typing import Protocol

from eventcore.server.http_limits import HttpLimits
from eventcore.wire.http import Dispatch

__all__ = ["ConnectionOwner", "ServedConnection", "peer_name"]


class ServedConnection(Protocol):
    """What the listener needs of a connection."""

    def drain(self) -> None:
        """Closes the connection if it is idle; otherwise it closes after its last answer."""
        ...

    def abort(self) -> None:
        """Cancels what waits and cuts the connection."""
        ...

    def sweep(self) -> None:
        """Looks whether the client is too slow. Called by the listener, once per tick."""
        ...


class ConnectionOwner(Protocol):
    """What a connection needs of the listener.

    `tick` counts sweeps and is the connection's only clock.
    """

    dispatch: Dispatch
    limits: HttpLimits
    tick: int
    is_draining: bool

    def admit(self, connection: ServedConnection) -> bool:
        """Whether one more connection may be served; if so it is counted."""
        ...

    def replace(self, connection: ServedConnection, successor: ServedConnection) -> None:
        """An admitted connection goes on as another one: its client speaks another version."""
        ...

    def forget(self, connection: ServedConnection) -> None:
        """The connection is gone."""
        ...

    def note_drop(self, reason: str, peer: str) -> None:
        """The connection was ended for a fault of the client, or for want of room."""
        ...


def peer_name(address: object) -> str:
    """The other end of a socket, as "address:port"."""
    if isinstance(address, tuple) and len(address) >= 2:
        return f"[{address[0]}]:{address[1]}" if ":" in address[0] else f"{address[0]}:{address[1]}"
    return str(address or "local")
