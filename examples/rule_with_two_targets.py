"""One rule, two queues: every event that matches reaches both, in one transaction with the put.

python examples/rule_with_two_targets.py
"""

from __future__ import annotations

import asyncio
import sys

import eventcore

ORDERS = [
    {"id": "a", "total": 40},
    {"id": "b", "total": 250},
    {"id": "c", "total": 900},
]


async def main() -> int:
    async with eventcore.open() as broker:
        billing = await broker.create_queue("billing")
        audit = await broker.create_queue("audit")
        await broker.put_rule(
            "large-orders",
            {"source": ["shop"], "detail": {"total": [{"numeric": [">=", 100]}]}},
            targets=[billing, audit],
        )
        await broker.put_events(
            [
                eventcore.Event(source="shop", detail_type="order placed", detail=order)
                for order in ORDERS
            ]
        )
        found = {}
        for queue in (billing, audit):
            messages = await queue.receive(messages_max=10)
            found[queue.name] = sorted(message.json()["detail"]["id"] for message in messages)
            for message in messages:
                await message.delete()
    print(found)
    return 0 if found == {"billing": ["b", "c"], "audit": ["b", "c"]} else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
