"""64 producers and 64 consumers on one embedded queue: full cycles (send, receive, delete).

Each producer awaits each send, each consumer receives one message with a long poll and awaits its
deletion, so that a cycle is three durable changes. The run counts what came out against what went
in.

    python -m bench.bench_producers_consumers [--cycles 40000] [--messages-max 1] [--repeat 2]
"""

from __future__ import annotations

import argparse
import asyncio
import resource
import tempfile
import time
from pathlib import Path
from typing import Any

import uvloop

import eventcore

PRODUCERS = CONSUMERS = 64
BODY = "x" * 256


async def run(name: str, options: dict[str, Any], cycles: int, messages_max: int) -> str:
    """One run; the line of its figures."""
    async with eventcore.open(**options) as broker:
        queue = await broker.create_queue("jobs")
        each = cycles // PRODUCERS
        done = 0
        finished = asyncio.Event()

        async def produce() -> None:
            for _ in range(each):
                await queue.send(BODY)

        async def consume() -> None:
            nonlocal done
            while True:
                for message in await queue.receive(messages_max=messages_max, wait_ms=20_000):
                    await message.delete()
                    done += 1
                    if done == each * PRODUCERS:
                        finished.set()

        began, cpu = time.perf_counter(), _cpu_seconds()
        consumers = [asyncio.create_task(consume()) for _ in range(CONSUMERS)]
        await asyncio.gather(*(produce() for _ in range(PRODUCERS)))
        await finished.wait()
        seconds, cpu = time.perf_counter() - began, _cpu_seconds() - cpu
        for consumer in consumers:
            consumer.cancel()
        await asyncio.gather(*consumers, return_exceptions=True)
        left = await queue.statistics()
        assert left.visible == left.in_flight == 0, "a message was lost or came twice"
    return f"{name:>14}: {done / seconds:>8,.0f} cycles/s  {cpu / done * 1e6:>5.1f} us CPU a cycle"


def _cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    """Interleaves the ways to keep messages. CPU is this process's, without a writer process's."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cycles", type=int, default=40_000)
    parser.add_argument("--messages-max", type=int, default=1)
    parser.add_argument("--repeat", type=int, default=2)
    arguments = parser.parse_args()
    for _ in range(arguments.repeat):
        for name, options in (
            ("memory", {"path": None}),
            ("full, inline", {"committer": "inline"}),
            ("full, writer", {"committer": "writer"}),
            ("relaxed, inline", {"committer": "inline", "durability": "relaxed"}),
        ):
            with tempfile.TemporaryDirectory() as folder:
                chosen = {"path": str(Path(folder) / "events.db")} | options
                work = run(name, chosen, arguments.cycles, arguments.messages_max)
                print(uvloop.run(work), flush=True)


if __name__ == "__main__":
    main()
