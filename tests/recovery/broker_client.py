"""A program that sends, receives and deletes in rounds of one commit each, and a model of it.

A round is printed when all of it was acknowledged. Rounds of even numbers send two messages and
delete the one received before, all at once; those of odd numbers receive the oldest message.
`Model` says what the queue holds after any number of rounds.
"""

from __future__ import annotations

import asyncio
import os

import eventcore
from eventcore.runtime.broker import Broker
from eventcore.testing import ManualClock

QUEUE = "work"
VISIBILITY_MS = 3_600_000
SETTING_UP = 1
"""Commits before round 0: that of the queue's creation."""


class Model:
    """What `rounds` rounds leave: bodies that are visible and bodies in flight, oldest first."""

    def __init__(self, rounds: int) -> None:
        self.visible: list[str] = []
        self.in_flight: list[str] = []
        for number in range(rounds):
            if number % 2:
                self.in_flight.append(self.visible.pop(0))
            else:
                self.visible += bodies(number)
                self.in_flight.clear()


class Client:
    """Plays the rounds. It holds the message of the last receive."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._held: list[eventcore.Message] = []

    async def set_up(self) -> None:
        await self._broker.create_queue(QUEUE, visibility_timeout_ms=VISIBILITY_MS)

    async def play(self, number: int) -> None:
        """Returns when all of the round is acknowledged. Raises what its first failure raised."""
        queue = await self._broker.get_queue(QUEUE)
        if number % 2:
            self._held = await queue.receive()
            assert [message.body for message in self._held] == Model(number + 1).in_flight
            return
        sends = [queue.send(body) for body in bodies(number)]
        await asyncio.gather(*sends, *(message.delete() for message in self._held))
        self._held = []


def bodies(number: int) -> list[str]:
    """What an even round sends."""
    return [f"{number}:0", f"{number}:1"]


async def check(broker: Broker, clock: ManualClock, rounds: int) -> None:
    """Asserts that the queue is as after `rounds` rounds; receives everything."""
    queue, model = await broker.get_queue(QUEUE), Model(rounds)
    statistics = await queue.statistics()
    assert (statistics.visible, statistics.in_flight, statistics.delayed) == (
        len(model.visible),
        len(model.in_flight),
        0,
    )
    assert await _receive_all(queue) == [(body, 1) for body in model.visible]
    clock.advance(VISIBILITY_MS + 1)
    receives = [(body, 2) for body in model.in_flight + model.visible]
    assert sorted(await _receive_all(queue)) == sorted(receives)


async def _receive_all(queue: eventcore.Queue) -> list[tuple[str, int]]:
    found: list[tuple[str, int]] = []
    while received := await queue.receive(messages_max=10):
        found += [(message.body, message.receives) for message in received]
    return found


async def main(path: str) -> None:
    """Plays rounds until killed."""
    async with eventcore.open(path) as broker:
        client = Client(broker)
        await client.set_up()
        for number in range(1_000_000):
            await client.play(number)
            os.write(1, b"%d\n" % number)
