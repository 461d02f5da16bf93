"""A test that lets hours pass in no time: the broker runs on a clock that the test moves.

pytest examples/test_with_manual_clock.py
"""

from __future__ import annotations

import asyncio

import eventcore
from eventcore.testing import ManualClock


async def reminders_fire_after_a_quarter_of_an_hour() -> None:
    clock = ManualClock()
    async with eventcore.open(clock=clock) as broker:
        reminders = await broker.create_queue("reminders")
        await reminders.send("drink some water", delay_ms=900_000)

        assert await reminders.receive() == []
        clock.advance(899_999)
        assert await reminders.receive() == []
        clock.advance(1)
        (message,) = await reminders.receive()
        assert message.body == "drink some water"


async def a_message_nobody_can_handle_is_dead_lettered() -> None:
    clock = ManualClock()
    async with eventcore.open(clock=clock) as broker:
        dead = await broker.create_queue("dead")
        jobs = await broker.create_queue(
            "jobs", dead_letter=dead, receives_max=3, visibility_timeout_ms=30_000
        )
        await jobs.send("impossible")
        for _ in range(3):
            assert len(await jobs.receive()) == 1
            clock.advance(30_000)
        assert await jobs.receive() == []
        assert [message.body for message in await dead.receive()] == ["impossible"]


def test_reminders_fire_after_a_quarter_of_an_hour() -> None:
    asyncio.run(reminders_fire_after_a_quarter_of_an_hour())


def test_a_message_nobody_can_handle_is_dead_lettered() -> None:
    asyncio.run(a_message_nobody_can_handle_is_dead_lettered())
