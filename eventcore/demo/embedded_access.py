"""The demo's broker inside the demo's own process: `eventcore.open(path)`, no network, the same
flow.

Each call does what the wire's does: puts up to 10 events in one transaction and returns when they
are durable.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final, final

from eventcore.codec import decode_json
from eventcore.demo.broker_access import Delivered
from eventcore.demo.rules import BUS, DETAIL_TYPE, SOURCE, FlightRule
from eventcore.errors import NotFound
from eventcore.runtime.broker import Broker, Event
from eventcore.runtime.handles import Queue

__all__ = ["EmbeddedAccess"]

WAIT_MS: Final = 1_000


@final
class EmbeddedAccess:
    """`BrokerAccess` over an open broker."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._queues: dict[str, Queue] = {}

    @property
    def retries(self) -> int:
        """Nothing is lost on the way inside one process: 0."""
        return 0

    async def prepare(self, rules: Sequence[FlightRule], visibility_timeout_s: int) -> None:
        """See BrokerAccess."""
        await self._broker.create_bus(BUS)
        for rule in rules:
            queue = await self._empty_queue(rule.queue_name, visibility_timeout_s * 1_000)
            self._queues[rule.name] = queue
            await self._broker.put_rule(rule.name, rule.pattern, [queue], bus=BUS)

    async def _empty_queue(self, name: str, visibility_timeout_ms: int) -> Queue:
        try:
            queue = await self._broker.get_queue(name)
        except NotFound:
            return await self._broker.create_queue(
                name, visibility_timeout_ms=visibility_timeout_ms
            )
        await queue.configure(visibility_timeout_ms=visibility_timeout_ms)
        await queue.purge()
        return queue

    async def put(self, details: Sequence[str]) -> list[int]:
        """See BrokerAccess. All of them or, with an error, none; nothing is refused singly."""
        events = [Event(SOURCE, DETAIL_TYPE, decode_json(detail)) for detail in details]
        await self._broker.put_events(events, bus=BUS)
        await asyncio.sleep(0)  # in memory nothing waits, and the consumers want their turn
        return []

    async def receive(self, rule: FlightRule) -> list[Delivered]:
        """See BrokerAccess."""
        queue = self._queues[rule.name]
        messages = await queue.receive(messages_max=10, wait_ms=WAIT_MS)
        return [Delivered(message.body, message.receipt_handle) for message in messages]

    async def delete(self, rule: FlightRule, messages: Sequence[Delivered]) -> None:
        """See BrokerAccess. All at once, so that they share one commit, as a batch does."""
        queue = self._queues[rule.name]
        await asyncio.gather(*(queue.delete(message.receipt_handle) for message in messages))

    async def is_drained(self, rule: FlightRule) -> bool:
        """See BrokerAccess."""
        statistics = await self._queues[rule.name].statistics()
        return statistics.visible + statistics.in_flight + statistics.delayed == 0

    async def clean_up(self, rules: Sequence[FlightRule]) -> None:
        """See BrokerAccess. A bus stays: the embedded interface does not delete buses."""
        for rule in rules:
            await self._broker.delete_rule(rule.name, bus=BUS)
            await self._broker.delete_queue(rule.queue_name)
