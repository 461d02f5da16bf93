"""Which addresses a connector may connect to. Cases: IANA's special-purpose address registries."""

from __future__ import annotations

import pytest
from aiohttp.abc import AbstractResolver

from eventcore_connectors.address_guard import GuardedResolver, RefusedAddress, is_public


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "203.0.114.1", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"]
)
def test_public_addresses_are_public(address):
    assert is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.8.8.8",
        "0.0.0.0",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "192.0.2.1",
        "198.18.0.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "fe80::1",
        "fe80::1%eth0",
        "fc00::1",
        "fd12::1",
        "ff02::1",
        "2001:db8::1",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "64:ff9b::7f00:1",
        "64:ff9b:1::a00:1",
        "2002:7f00:1::",
        "2001:0:4136:e378:8000:63bf:80ff:fffe",
    ],
)
def test_addresses_of_a_private_network_are_not(address):
    assert not is_public(address)


class Answering(AbstractResolver):
    """A resolver that knows one answer."""

    def __init__(self, *addresses):
        self.addresses = addresses
        self.is_closed = False

    async def resolve(self, host, port=0, family=0):
        return [
            {"hostname": host, "host": a, "port": port, "family": 0, "proto": 0, "flags": 0}
            for a in self.addresses
        ]

    async def close(self):
        self.is_closed = True


async def test_only_the_public_addresses_of_a_name_are_given_out():
    resolver = GuardedResolver(Answering("10.0.0.1", "8.8.8.8", "::1"))
    assert [found["host"] for found in await resolver.resolve("x.test", 443)] == ["8.8.8.8"]


async def test_a_name_with_private_addresses_only_is_refused():
    inner = Answering("10.0.0.1", "::1")
    resolver = GuardedResolver(inner)
    with pytest.raises(RefusedAddress):
        await resolver.resolve("metadata.test", 80)
    await resolver.close()
    assert inner.is_closed
