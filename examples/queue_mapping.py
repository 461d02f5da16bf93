"""A mapping: batches of a queue, typed, with the messages that failed tried again by themselves.

    python examples/queue_mapping.py

Message 3 fails at the first attempt, and is the only one that comes again.
"""

from __future__ import annotations

import asyncio
import sys

import msgspec

import eventcore


class Order(msgspec.Struct):
    """What a message says."""

    id: int
    price: float


async def main() -> int:
    attempts: dict[int, int] = {}
    booked: list[int] = []
    everything_is_booked = asyncio.Event()
    async with eventcore.open() as broker:
        orders = await broker.create_queue("orders", visibility_timeout_ms=200)

        @broker.map("orders", batch_size=10, report_failures=True)
        async def book(batch: eventcore.Batch[Order]) -> None:
            for record in batch:
                order = record.value
                attempts[order.id] = attempts.get(order.id, 0) + 1
                if order.id == 3 and attempts[order.id] == 1:
                    batch.fail(record)
                else:
                    booked.append(order.id)
            if len(booked) == 5:
                everything_is_booked.set()

        async with broker.running():
            for number in range(5):
                await orders.send_json(Order(number, 9.5))
            await asyncio.wait_for(everything_is_booked.wait(), timeout=20)

    print(f"booked {sorted(booked)}, message 3 came {attempts[3]} times")
    return 0 if attempts == {0: 1, 1: 1, 2: 1, 3: 2, 4: 1} else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
