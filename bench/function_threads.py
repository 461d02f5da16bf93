"""A plain `def` handler in a thread, and the same in a worker process, when the event loop never
rests: what the documentation warns of, in numbers.

The other work are tasks that ask for a queue's counts, again and again, giving way to the loop
between two of them. Beside the invocations, one after the other, stands how much of that work was
done meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from bench import function_handlers
from bench.function_load import Rounds, opened
from bench.stream_figures import Results
from eventcore.bench.histogram import Histogram
from eventcore.runtime.broker import Broker

__all__ = ["measure_threads"]

READERS: Final = 8
WORK_S: Final = 0.001
SHORT: Final = {"turns": 1}
WARM_UP: Final = 8


async def measure_threads(results: Results, rounds: int, seconds: float) -> None:
    """All kinds of handlers, the loop at rest and saturated, taking turns."""
    figures = Rounds("threads")
    long = {"turns": _turns()}
    for _ in range(rounds):
        async with opened("inline") as broker:
            await _register(broker)
            async with broker.running():
                for load in ("idle", "saturated"):
                    async with _saturation(broker, READERS if load == "saturated" else 0) as reads:
                        for work, event in (("nothing", SHORT), ("1 ms of work", long)):
                            for kind in KINDS:
                                name = f"{work}, {kind}, loop {load}"
                                await _round(figures, broker, name, kind, event, seconds, reads)
    results.figures += figures.figures()


KINDS: Final = {"async def": "coroutine", "thread": "thread", "process": "process"}


async def _register(broker: Broker) -> None:
    async def coroutine(event: Any) -> int:
        return function_handlers.work(event, None)

    broker.function("coroutine")(coroutine)
    broker.function("thread")(function_handlers.work)
    broker.function("process", in_process=True)(function_handlers.work)


def _turns() -> int:
    """How many turns of the handler's loop take WORK_S."""
    turns = 1_000
    while True:
        began_s = time.process_time()
        function_handlers.work({"turns": turns}, None)
        spent_s = time.process_time() - began_s
        if spent_s > 20 * WORK_S:
            return max(1, round(turns * WORK_S / spent_s))
        turns *= 2


@asynccontextmanager
async def _saturation(broker: Broker, readers: int) -> AsyncIterator[list[int]]:
    """So many tasks that never rest; how much they did is counted in the list's only place."""
    queue = await broker.create_queue("quiet")
    done = [0]

    async def read() -> None:
        while True:
            await queue.statistics()
            done[0] += 1
            await asyncio.sleep(0)

    tasks = [asyncio.create_task(read()) for _ in range(readers)]
    try:
        yield done
    finally:
        for task in tasks:
            task.cancel()
        for task in tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task


async def _round(
    figures: Rounds,
    broker: Broker,
    name: str,
    kind: str,
    event: Any,
    seconds: float,
    reads: list[int],
) -> None:
    functions, histogram = broker.functions, Histogram()
    for _ in range(WARM_UP):
        await functions.invoke(KINDS[kind], SHORT)
    reads_before, began_s = reads[0], time.perf_counter()
    while (now_s := time.perf_counter()) < began_s + seconds:
        await functions.invoke(KINDS[kind], event)
        histogram.record(int((time.perf_counter() - now_s) * 1e9))
        await asyncio.sleep(0)  # a coroutine that waits for nothing gives no turn to others
    elapsed_s = time.perf_counter() - began_s
    figures.add(name, "invocations/s", histogram.summary().count / elapsed_s)
    figures.add(f"{name}, p50", "ms", histogram.percentile_ns(0.5) / 1e6)
    figures.add(f"{name}, p99", "ms", histogram.percentile_ns(0.99) / 1e6)
    if reads[0]:
        figures.add(f"{name}, other work", "reads/s", (reads[0] - reads_before) / elapsed_s)
