from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import pytest

from eventcore.bench import client as client_module
from eventcore.bench.client import SQS, AwsJsonClient, EndpointUnreachable


@asynccontextmanager
async def server(serve):
    """A server on a free port, and its URL."""
    async with await asyncio.start_server(serve, "127.0.0.1", 0) as running:
        yield f"http://127.0.0.1:{running.sockets[0].getsockname()[1]}"


async def ask(url, timeout_s):
    async with AwsJsonClient(url, timeout_s=timeout_s) as client:
        await client.call(SQS, "ListQueues", {})


async def test_an_endpoint_that_does_not_answer_is_named(monkeypatch):
    monkeypatch.setattr(client_module, "SWEEP_S", 0.01)
    asked = asyncio.Event()

    async def say_nothing(reader, writer):
        await reader.read(1)
        asked.set()
        await reader.read()
        writer.close()

    async with server(say_nothing) as url:
        with pytest.raises(EndpointUnreachable, match=f"^{url}: no answer in time$"):
            await ask(url, 0.2)
    assert asked.is_set()


async def test_an_endpoint_that_hangs_up_is_named():
    async def hang_up(reader, writer):
        await reader.read(1)
        writer.close()

    async with server(hang_up) as url:
        with pytest.raises(EndpointUnreachable, match=f"^{url}: "):
            await ask(url, 60.0)
