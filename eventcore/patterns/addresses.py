"""IP addresses as event patterns read them.

An IPv4 address is four decimal numbers without leading zeros; an IPv6 address is hexadecimal groups
with at most one gap. The dotted form of an IPv6 address's last groups is no address here, as in
event-ruler: `::ffff:10.0.0.1` is in no IPv4 net.
"""

from __future__ import annotations

from typing import Final, TypeAlias

__all__ = ["BITS_OF_VERSION", "IpAddress", "ip_address_of", "ipv4_of", "ipv6_of"]

IpAddress: TypeAlias = tuple[int, int]
"""The version, 4 or 6, and the address as a number."""

BITS_OF_VERSION: Final = {4: 32, 6: 128}
_CHARACTERS_MAX: Final = 39
_OCTETS: Final = {str(number): number for number in range(256)}
_HEXADECIMAL: Final = frozenset("0123456789abcdefABCDEF")


def ip_address_of(text: str) -> IpAddress | None:
    """The address that `text` spells, or None."""
    if len(text) > _CHARACTERS_MAX:
        return None
    bits = ipv4_of(text)
    if bits is not None:
        return 4, bits
    bits = ipv6_of(text)
    return None if bits is None else (6, bits)


def ipv4_of(text: str) -> int | None:
    """The 32 bits of a dotted IPv4 address, or None."""
    try:
        first, second, third, fourth = text.split(".", 4)
        return _OCTETS[first] << 24 | _OCTETS[second] << 16 | _OCTETS[third] << 8 | _OCTETS[fourth]
    except (KeyError, ValueError):
        return None


def ipv6_of(text: str) -> int | None:
    """The 128 bits of an IPv6 address in hexadecimal groups, or None."""
    if text.count(":") < 2 or len(text) > _CHARACTERS_MAX:
        return None
    head, gap, tail = text.partition("::")
    front = head.split(":") if head else []
    back = tail.split(":") if tail else []
    missing = 8 - len(front) - len(back)
    if (missing < 1) if gap else (missing != 0):
        return None
    bits = 0
    for group in (*front, *["0"] * missing, *back):
        if not 1 <= len(group) <= 4 or not _HEXADECIMAL.issuperset(group):
            return None
        bits = bits << 16 | int(group, 16)
    return bits
