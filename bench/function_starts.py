"""How long it takes until a handler of the program begins, when nothing else happens.

From the call that sends (which also waits for the disk) to the first statement of the handler: a
message, a record, an asynchronous invocation. Beside them a synchronous invocation, there and back.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

from bench.function_load import COMMITTERS, Rounds, opened
from bench.stream_figures import Results
from eventcore.bench.histogram import Histogram
from eventcore.runtime.broker import Broker
from eventcore.stores.factory import Committer

__all__ = ["measure_starts"]

PAUSE_S: Final = 0.01
WAIT_S: Final = 30.0
WARM_UP: Final = 20
P50_MS: Final = 2.0
P99_MS: Final = 10.0
BODY: Final = "x" * 256

Send = Callable[[], Awaitable[object]]


async def measure_starts(results: Results, rounds: int, seconds: float) -> None:
    """All ways to a handler, taking turns."""
    figures = Rounds("start")
    for _ in range(rounds):
        for name, prepare in WAYS.items():
            for committer in COMMITTERS:
                histogram = await _round(prepare, committer, seconds)
                figures.add_latency(f"{name}, {committer}", histogram, P50_MS, P99_MS)
        histogram = await _invoke_round(seconds)
        figures.add_latency("invoke, there and back", histogram, P50_MS, P99_MS)
    results.figures += figures.figures()


async def _round(
    prepare: Callable[[Broker, Callable[..., Any]], Awaitable[Send]],
    committer: Committer,
    seconds: float,
) -> Histogram:
    histogram = Histogram()
    loop = asyncio.get_running_loop()
    begun: asyncio.Future[float] = loop.create_future()

    async def handle(event: Any) -> None:
        begun.set_result(time.perf_counter())

    async with opened(committer) as broker:
        send = await prepare(broker, handle)
        async with broker.running():
            left = WARM_UP
            end_s = time.monotonic() + seconds
            while left > 0 or time.monotonic() < end_s:
                begun = loop.create_future()
                began_s = time.perf_counter()
                await send()
                elapsed_s = await asyncio.wait_for(begun, WAIT_S) - began_s
                left -= 1
                if left < 0:
                    histogram.record(int(elapsed_s * 1e9))
                await asyncio.sleep(PAUSE_S)
    return histogram


async def _queue(broker: Broker, handle: Callable[..., Any]) -> Send:
    queue = await broker.create_queue("bench")
    broker.map(queue, "handle")(handle)
    return lambda: queue.send(BODY)


async def _stream(broker: Broker, handle: Callable[..., Any]) -> Send:
    stream = await broker.streams.create("bench", shards=1)
    broker.map(stream, "handle", start="TRIM_HORIZON")(handle)
    return lambda: stream.put(BODY, partition_key="key")


async def _later(broker: Broker, handle: Callable[..., Any]) -> Send:
    broker.function("handle")(handle)
    return lambda: broker.functions.invoke_later("handle", BODY)


WAYS: Final = {
    "send to a queue's mapping": _queue,
    "put to a stream's mapping": _stream,
    "invoke_later": _later,
}


async def _invoke_round(seconds: float) -> Histogram:
    histogram = Histogram()

    async def handle(event: Any) -> Any:
        return event

    async with opened("inline") as broker:
        broker.function("handle")(handle)
        async with broker.running():
            end_s = time.monotonic() + seconds
            while time.monotonic() < end_s:
                began_s = time.perf_counter()
                await broker.functions.invoke("handle", BODY)
                histogram.record(int((time.perf_counter() - began_s) * 1e9))
                await asyncio.sleep(PAUSE_S)
    return histogram
