"""Streams in the program itself: puts, reads, and the way from a put to whoever waits at the tip.

Through `eventcore.open` and `broker.streams`, as a program has them, and through the engine below.
"""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
import time
from pathlib import Path
from typing import Final

import eventcore
from bench.stream_figures import Results, figure
from bench.stream_load import KEYS, RECORDS, clock, durable, entries, fill, opened, read_all
from eventcore.bench.histogram import Histogram
from eventcore.bench.ledger import Ledger, mark_text
from eventcore.runtime.engine import Engine
from eventcore.runtime.stream_handles import OutgoingRecord
from eventcore.stores.factory import Committer
from eventcore.streams.stream import Stream

__all__ = ["measure_get", "measure_put", "measure_tip"]

PART: Final = "embedded"
SIZE: Final = 256
SHARDS: Final = 4
GET_RECORDS: Final = 100_000
TIP_PAUSE_S: Final = 0.01
CALLERS: Final = (1, 8)
COMMITTERS: Final[tuple[Committer, ...]] = ("inline", "writer")


async def measure_put(results: Results, rounds: int, seconds: float) -> None:
    """put_records of 500 with durability full: the broker's `put_many` by one caller, who waits for
    the disk each time, and by several; and the engine's call, by one.
    """
    by_callers: dict[int, list[float]] = {callers: [] for callers in CALLERS}
    rates: dict[str, list[float]] = {name: [] for name in COMMITTERS}
    costs: dict[str, list[float]] = {name: [] for name in COMMITTERS}
    for _ in range(rounds):
        for callers, values in by_callers.items():
            values.append(await _put_many(results, callers, seconds))
        for committer in COMMITTERS:
            rate, cost = await _put_round(results, committer, seconds)
            rates[committer].append(rate)
            costs[committer].append(cost)
    add = results.figures.append
    for callers, values in by_callers.items():
        name = f"put_many, inline, {callers} at a time"
        add(figure(PART, name, "records/s", values, at_least=100_000))
    for committer in COMMITTERS:
        add(figure(PART, f"put_records, {committer}", "records/s", rates[committer]))
        name = f"put_records, {committer}, this process"
        add(figure(PART, name, "CPU µs/record", costs[committer]))


async def _put_many(results: Results, callers: int, seconds: float) -> float:
    """Records a second through the public face; making the records is not counted."""
    ledger = Ledger(KEYS, is_fifo=True)
    with tempfile.TemporaryDirectory() as folder:
        async with eventcore.open(str(Path(folder) / "bench.db")) as broker:
            stream = await broker.streams.create("bench", shards=SHARDS)
            count = 0
            spent_s = 0.0
            while spent_s < seconds:
                batches = [
                    [
                        OutgoingRecord(entry.data, entry.partition_key)
                        for entry in entries(ledger, RECORDS, SIZE, caller)
                    ]
                    for caller in range(callers)
                ]
                with clock() as spent:
                    await asyncio.gather(*map(stream.put_many, batches))
                spent_s += spent.wall_s
                count += RECORDS * callers
            async for record in stream.records(start="TRIM_HORIZON", follow=False):
                ledger.receive(record.data[:16].decode("latin-1"))
    _prove(results, f"put_many, {callers} at a time", ledger)
    return count / spent_s


async def _put_round(results: Results, committer: Committer, seconds: float) -> tuple[float, float]:
    ledger = Ledger(KEYS, is_fifo=True)
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "bench.db")
        async with opened(path, SHARDS, committer=committer) as (engine, stream):
            count = 0
            spent_s = cpu_s = 0.0
            while spent_s < seconds:
                batch = entries(ledger, RECORDS, SIZE)
                with clock() as spent:
                    engine.begin()
                    engine.streams.put_records(stream, batch)
                    await durable(engine)
                spent_s += spent.wall_s
                cpu_s += spent.cpu_s
                count += RECORDS
            await read_all(engine, stream, ledger, 10_000)
    _prove(results, f"put_records, {committer}", ledger)
    return count / spent_s, cpu_s / count * 1e6


def _prove(results: Results, name: str, ledger: Ledger) -> None:
    summary = ledger.summary()
    if not summary.is_clean or summary.received != summary.sent:
        results.faults.append(f"embedded {name}: {summary}")


async def measure_get(results: Results, rounds: int) -> None:
    """get_records of 10,000: from the cache, and from the file by an engine that was just opened;
    with and without records made of the blocks.
    """
    names = ("cache", "file")
    blocks: dict[str, list[float]] = {name: [] for name in names}
    records: dict[str, list[float]] = {name: [] for name in names}
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "bench.db")
        async with opened(path, SHARDS) as (engine, stream):
            await fill(engine, stream, GET_RECORDS, SIZE)
            for _ in range(rounds):
                for kept, ledger in ((blocks, None), (records, Ledger(KEYS, is_fifo=True))):
                    kept["cache"].append(await _read_cost(engine, stream, ledger))
        for _ in range(rounds):
            for kept, ledger in ((blocks, None), (records, Ledger(KEYS, is_fifo=True))):
                async with opened(path, SHARDS) as (engine, stream):
                    kept["file"].append(await _read_cost(engine, stream, ledger))
    for name in names:
        results.figures.append(
            figure(PART, f"get_records, {name}, blocks", "CPU µs/record", blocks[name])
        )
        results.figures.append(
            figure(PART, f"get_records, {name}, booked", "CPU µs/record", records[name])
        )


async def _read_cost(engine: Engine, stream: Stream, ledger: Ledger | None) -> float:
    with clock() as spent:
        count = await read_all(engine, stream, ledger, 10_000)
    assert count == GET_RECORDS, "a record is missing"
    return spent.cpu_s / count * 1e6


async def measure_tip(results: Results, rounds: int, seconds: float) -> None:
    """From `put` to `async for record in stream.records()`, in one program; an idle machine."""
    p50: dict[str, list[float]] = {name: [] for name in COMMITTERS}
    p99: dict[str, list[float]] = {name: [] for name in COMMITTERS}
    for _ in range(rounds):
        for committer in COMMITTERS:
            histogram = await _tip_round(results, committer, seconds)
            p50[committer].append(histogram.percentile_ns(0.5) / 1e6)
            p99[committer].append(histogram.percentile_ns(0.99) / 1e6)
    for committer in COMMITTERS:
        results.figures += [
            figure("tip", f"embedded, {committer}, p50", "ms", p50[committer], at_most=2),
            figure("tip", f"embedded, {committer}, p99", "ms", p99[committer], at_most=10),
        ]


async def _tip_round(results: Results, committer: Committer, seconds: float) -> Histogram:
    ledger = Ledger(KEYS, is_fifo=True)
    histogram = Histogram()
    with tempfile.TemporaryDirectory() as folder:
        async with eventcore.open(str(Path(folder) / "bench.db"), committer=committer) as broker:
            stream = await broker.streams.create("bench", shards=1)
            waiting: dict[str, asyncio.Future[float]] = {}

            async def listen() -> None:
                async for record in stream.records(start="TRIM_HORIZON"):
                    text = record.data[:16].decode("latin-1")
                    ledger.receive(text)
                    waiting.pop(text).set_result(time.perf_counter())

            listener = asyncio.create_task(listen())
            end_s = time.monotonic() + seconds
            while time.monotonic() < end_s:
                mark = ledger.issue(0)
                text = mark_text(mark)
                told = waiting[text] = asyncio.get_running_loop().create_future()
                begin_s = time.perf_counter()
                await stream.put(text.ljust(SIZE, "x"), partition_key="key")
                ledger.acknowledge((mark,))
                histogram.record(int((await asyncio.wait_for(told, 30) - begin_s) * 1e9))
                await asyncio.sleep(TIP_PAUSE_S)
            listener.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await listener
    _prove(results, f"tip, {committer}", ledger)
    return histogram
