"""A sharded stream, and two workers of one consumer group that share it.

Run it twice on the same file: what the first run has consumed does not come again. While it runs,
the stream is resharded; each customer's orders still come in the order in which they were put.

    python examples/stream_consumer.py
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path

import eventcore

CUSTOMERS = [f"customer-{number}" for number in range(6)]
ORDERS = 10


async def main(path: str) -> int:
    orders: dict[str, list[int]] = {}
    counts = {"first": 0, "second": 0}
    everything_is_done = asyncio.Event()

    def book(worker: str, record: eventcore.StreamRecord) -> None:
        orders.setdefault(record.partition_key, []).append(record.json()["order"])
        counts[worker] += 1
        if sum(counts.values()) == len(CUSTOMERS) * ORDERS:
            everything_is_done.set()

    async with eventcore.open(path) as broker:
        stream = await broker.streams.create("orders", shards=2)

        # Two workers in one program, to show how they share; they could be in two processes.
        @broker.streams.consume("orders", group="billing")
        async def first(record: eventcore.StreamRecord) -> None:
            book("first", record)

        @broker.streams.consume("orders", group="billing")
        async def second(record: eventcore.StreamRecord) -> None:
            book("second", record)

        async with broker.running():
            for order in range(ORDERS):
                if order == ORDERS // 2:
                    shards = [shard for shard in await stream.shards() if shard.end is None]
                    await stream.update_shard_count(4 if len(shards) == 2 else 2)
                for customer in CUSTOMERS:
                    await stream.put(f'{{"order": {order}}}', partition_key=customer)
            await asyncio.wait_for(everything_is_done.wait(), timeout=20)

    in_order = all(orders[customer] == list(range(ORDERS)) for customer in CUSTOMERS)
    print(f"{sum(counts.values())} orders, each customer's in order: {in_order}")
    return 0 if in_order and sum(counts.values()) == len(CUSTOMERS) * ORDERS else 1


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        file = sys.argv[1] if len(sys.argv) > 1 else str(Path(folder) / "events.db")
        sys.exit(asyncio.run(main(file)))
