"""Values that wait for the disk are bounded in bytes: beyond that, commands are refused."""

from __future__ import annotations

import asyncio

import pytest

import eventcore
from eventcore import limits
from eventcore.errors import StoreUnavailable
from eventcore.stores.memory import MemoryStore
from eventcore.testing import FaultyStore


async def test_commands_are_refused_while_too_many_bytes_wait_and_taken_after_the_commit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "BATCH_VALUE_BYTES_MAX", 10_000)
    store = FaultyStore(MemoryStore(holds_replies=True))
    async with eventcore.open(store=store) as broker:
        queue = await broker.create_queue("q")
        store.hold()
        try:
            sends = [asyncio.ensure_future(queue.send("first"))]
            while store.held == 0:
                await asyncio.sleep(0)
            appends = store.appends
            for _ in range(3):
                sends.append(asyncio.ensure_future(queue.send("x" * 4_000)))
                await asyncio.sleep(0)
            assert broker.engine.host.is_full
            with pytest.raises(StoreUnavailable, match="BATCH_VALUE_BYTES_MAX"):
                await queue.send("refused")
            assert store.appends == appends, "one append in flight"
        finally:
            store.release()  # the broker's close waits for it
        await asyncio.gather(*sends)
        assert not broker.engine.host.is_full
        await queue.send("last")
        bodies = [message.body for message in await queue.receive(messages_max=10)]
        assert sorted(bodies, key=len) == ["last", "first", *["x" * 4_000] * 3]


async def test_bytes_of_rows_that_come_and_go_within_a_batch_do_not_count(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "BATCH_VALUE_BYTES_MAX", 10_000)
    store = FaultyStore(MemoryStore())
    async with eventcore.open(store=store) as broker:
        queue = await broker.create_queue("q")
        for _ in range(10):
            await queue.send("x" * 6_000)
            (message,) = await queue.receive()
            await message.delete()
            assert not broker.engine.host.is_full
        assert await queue.receive() == []
