"""Which addresses a connector may connect to: public ones, unless private ones are allowed.

Whoever may name a URL must not be able to reach, through the daemon, what only the daemon's network
can reach. So the name is resolved here, every address is judged, and the connection is made to a
judged address: there is no second resolution that could answer differently.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Final, final

from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver

__all__ = ["GuardedResolver", "RefusedAddress", "is_public"]

_NAT64: Final = (IPv6Network("64:ff9b::/96"), IPv6Network("64:ff9b:1::/48"))
_LOW_32_BITS: Final = 0xFFFF_FFFF


@final
class RefusedAddress(OSError):
    """A host has only addresses that may not be connected to."""


def is_public(text: str) -> bool:
    """Whether an address is reachable by everybody: no loopback, private, link-local, shared,
    reserved or multicast address, nor an IPv6 address that stands for such an IPv4 address.
    """
    address = ip_address(text.partition("%")[0])
    inner = _embedded(address) if isinstance(address, IPv6Address) else None
    if inner is not None:
        return is_public(str(inner))
    return address.is_global and not (
        address.is_multicast or address.is_unspecified or address.is_reserved
    )


def _embedded(address: IPv6Address) -> IPv4Address | None:
    if address.teredo is not None:
        return address.teredo[1]
    if any(address in network for network in _NAT64):
        return IPv4Address(int(address) & _LOW_32_BITS)
    return address.ipv4_mapped or address.sixtofour


@final
class GuardedResolver(AbstractResolver):
    """Resolves names for aiohttp, which connects to exactly these addresses and to no others."""

    def __init__(self, inner: AbstractResolver | None = None) -> None:
        self._inner = inner or ThreadedResolver()

    async def resolve(self, host: str, port: int = 0, family: int = 0) -> list[ResolveResult]:
        """The public addresses of a host. Raises RefusedAddress when it has none, OSError when it
        does not resolve.
        """
        found = await self._inner.resolve(host, port, family)  # type: ignore[arg-type]
        public = [result for result in found if is_public(result["host"])]
        if not public:
            raise RefusedAddress(f"{host} has no public address")
        return public

    async def close(self) -> None:
        """Closes the resolver behind it."""
        await self._inner.close()
