"""What mappings of the embedding program carry: messages of a queue, records of a stream.

The sources are filled first; the time is from the start of the handlers until the last message is
deleted, or the last record's position is stored. Every message is marked and booked.
"""

from __future__ import annotations

import asyncio
import base64
from dataclasses import dataclass, field
from typing import Any, Final

from bench.function_load import COMMITTERS, Rounds, Spent, durable, opened, spending, until
from bench.stream_figures import Results
from eventcore.bench.ledger import Ledger, Mark, mark_text
from eventcore.runtime.broker import Broker
from eventcore.runtime.handles import OutgoingMessage, Queue
from eventcore.runtime.stream_handles import OutgoingRecord
from eventcore.stores.factory import Committer

__all__ = ["measure_queue", "measure_stream"]

BYTES: Final = 256
SENT_AT_ONCE: Final = 500
GROUPS: Final = 100
KEYS: Final = 1_000
PRODUCERS: Final = 8
SEND: Final = 10


@dataclass(frozen=True)
class Shape:
    """How a source is mapped. `share` of the messages are enough for what is slow."""

    name: str
    settings: dict[str, Any] = field(default_factory=dict)
    is_fifo: bool = False
    share: int = 1
    at_least: float | None = None


QUEUES: Final = (
    Shape("batch 10", {"batch_size": 10}, at_least=20_000),
    Shape(f"FIFO, {GROUPS} groups, batch 10", {"batch_size": 10}, is_fifo=True),
    Shape("batch 1", {"batch_size": 1}, share=4),
    Shape("batch 100", {"batch_size": 100, "batch_window_ms": 1_000}),
)
STREAMS: Final = (
    Shape("batch 100", {"batch_size": 100}, at_least=50_000),
    Shape("batch 100, parallelization 10", {"batch_size": 100, "parallelization": 10}),
    Shape("batch 100, bisect on", {"batch_size": 100, "bisect_on_error": True, "retries_max": 3}),
    Shape("batch 10", {"batch_size": 10}, share=4),
)


class Seen:
    """What a handler was given."""

    def __init__(self, wanted: int) -> None:
        self.batches: list[list[dict[str, Any]]] = []
        self._left = wanted

    async def handle(self, event: dict[str, Any]) -> None:
        """The handler."""
        records = event["Records"]
        self.batches.append(records)
        self._left -= len(records)

    @property
    def is_all(self) -> bool:
        """Whether it was given everything."""
        return self._left <= 0


async def measure_queue(results: Results, rounds: int, messages: int) -> None:
    """Queue to handler: a backlog, and messages that are sent meanwhile."""
    figures = Rounds("queue")
    for _ in range(rounds):
        for shape in QUEUES:
            for committer in COMMITTERS:
                count = messages // shape.share
                spent = await _queue_round(results, shape, committer, count)
                name = f"{shape.name}, {committer}"
                figures.add_cost(name, "messages", spent, count, at_least=shape.at_least)
        for committer in COMMITTERS:
            spent = await _sent_meanwhile(results, committer, messages)
            name = f"sent meanwhile, batch 10, {committer}"
            figures.add_cost(name, "messages", spent, messages)
    results.figures += figures.figures()


async def _queue_round(results: Results, shape: Shape, committer: Committer, count: int) -> Spent:
    ledger = Ledger(GROUPS, is_fifo=shape.is_fifo)
    async with opened(committer) as broker:
        name = "bench.fifo" if shape.is_fifo else "bench"
        queue = await broker.create_queue(name)
        for first in range(0, count, SENT_AT_ONCE):
            await _send(queue, ledger, 0, min(SENT_AT_ONCE, count - first), shape.is_fifo)
        seen = Seen(count)
        broker.map(queue, "handle", **shape.settings)(seen.handle)
        with spending() as spent:
            async with broker.running():
                await until(lambda: seen.is_all)
        statistics = await queue.statistics()
    _prove(results, f"queue, {shape.name}, {committer}", ledger, seen)
    if statistics.visible or statistics.in_flight:
        results.faults.append(f"queue, {shape.name}: {statistics} when all was done")
    return spent


async def _send(queue: Queue, ledger: Ledger, producer: int, count: int, is_fifo: bool) -> None:
    marks = [ledger.issue(producer) for _ in range(count)]
    await queue.send_many([_message(ledger, mark, is_fifo) for mark in marks])
    ledger.acknowledge(marks)


def _message(ledger: Ledger, mark: Mark, is_fifo: bool) -> OutgoingMessage:
    text = mark_text(mark)
    body = text.ljust(BYTES, "x")
    if not is_fifo:
        return OutgoingMessage(body)
    group = f"group-{ledger.group_of(mark)}"
    return OutgoingMessage(body, group_id=group, deduplication_id=text)


async def _sent_meanwhile(results: Results, committer: Committer, count: int) -> Spent:
    """Producers that send ten at a time and wait for the disk, beside the handler."""
    ledger = Ledger(GROUPS)
    async with opened(committer) as broker:
        queue = await broker.create_queue("bench")
        seen = Seen(count)
        broker.map(queue, "handle", batch_size=10)(seen.handle)

        async def produce(producer: int) -> None:
            for _ in range(count // PRODUCERS // SEND):
                await _send(queue, ledger, producer, SEND, is_fifo=False)

        async with broker.running():
            with spending() as spent:
                await asyncio.gather(*map(produce, range(PRODUCERS)))
                left = count - count // PRODUCERS // SEND * SEND * PRODUCERS
                if left:
                    await _send(queue, ledger, 0, left, is_fifo=False)
                await until(lambda: seen.is_all)
    _prove(results, f"queue, sent meanwhile, {committer}", ledger, seen)
    return spent


async def measure_stream(results: Results, rounds: int, records: int) -> None:
    """Stream of one shard to handler: a backlog."""
    figures = Rounds("stream")
    for _ in range(rounds):
        for shape in STREAMS:
            for committer in COMMITTERS:
                count = records // shape.share
                spent = await _stream_round(results, shape, committer, count)
                name = f"{shape.name}, {committer}"
                figures.add_cost(name, "records", spent, count, at_least=shape.at_least)
    results.figures += figures.figures()


async def _stream_round(results: Results, shape: Shape, committer: Committer, count: int) -> Spent:
    ledger = Ledger(KEYS, is_fifo=True)
    async with opened(committer) as broker:
        stream = await broker.streams.create("bench", shards=1)
        for first in range(0, count, SENT_AT_ONCE):
            marks = [ledger.issue(0) for _ in range(min(SENT_AT_ONCE, count - first))]
            await stream.put_many(
                [
                    OutgoingRecord(
                        mark_text(mark).ljust(BYTES, "x").encode(), f"key-{ledger.group_of(mark)}"
                    )
                    for mark in marks
                ]
            )
            ledger.acknowledge(marks)
        seen = Seen(count)
        broker.map(stream, "handle", start="TRIM_HORIZON", **shape.settings)(seen.handle)
        with spending() as spent:
            async with broker.running():
                await until(lambda: seen.is_all)
        stored = await _stored(broker)
    _prove(results, f"stream, {shape.name}, {committer}", ledger, seen)
    if stored != count:
        results.faults.append(f"stream, {shape.name}: position {stored} of {count}")
    return spent


async def _stored(broker: Broker) -> int:
    """How many records the mapping's stored positions say are done, by the lane that has most."""
    engine = broker.engine
    engine.begin()
    (mapping,) = engine.mappings.all_of(broker.account, broker.region)
    numbers = [position.number for position in mapping.positions()]
    await durable(broker)
    return max(numbers) - 1


def _prove(results: Results, name: str, ledger: Ledger, seen: Seen) -> None:
    for records in seen.batches:
        for record in records:
            if "body" in record:
                ledger.receive(record["body"])
            else:
                ledger.receive(base64.b64decode(record["kinesis"]["data"])[:16].decode())
    summary = ledger.summary()
    if not summary.is_clean or summary.received != summary.sent:
        results.faults.append(f"{name}: {summary}")
