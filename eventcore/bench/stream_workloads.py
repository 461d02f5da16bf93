"""The workloads on Kinesis streams.

Every record carries a mark in its data, and has one of `KEYS` partition keys. Afterwards all shards
are read from their beginning, each by one reader, and the ledger says whether every acknowledged
record came out once, and whether the records of each producer and partition key came in order.
Workloads that wait at the tip are told there, and book what they are told.

A refused record of PutRecords (a shard's quota) is not sent again: that would change the order.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final, final

import msgspec

from eventcore.bench import stream_calls as calls
from eventcore.bench.client import AwsJsonClient, EndpointUnreachable
from eventcore.bench.event_stream import EventStream
from eventcore.bench.ledger import Ledger, Mark, mark_text
from eventcore.bench.load import LoadOver
from eventcore.bench.stream_calls import RecordsPage, ShardRange
from eventcore.bench.workloads import Bench, BenchSettings, Workload

__all__ = ["STREAM_WORKLOADS", "StreamLoad"]

RECORDS: Final = 500
"""Of one PutRecords."""
KEYS: Final = 1_000
READERS: Final = 4
CONSUMERS_MAX: Final = 20
"""AWS's quota of a stream."""
TIP_RATE: Final = 100.0
"""Records a second where latency is measured and no rate is asked for."""
TOLD_S: Final = 30.0
"""A record that was not told within this time is an error."""
SETTLE_S: Final = 1.0
PRELOAD_PRODUCER: Final = 9_999
_MARK_BYTES: Final = len(mark_text((0, 0)))
_KEYS: Final = [f"key-{number}" for number in range(KEYS)]


@final
class StreamLoad:
    """A stream, made for a run and deleted with it, and the records that are put into it."""

    def __init__(self, bench: Bench, name: str, shards: list[ShardRange]) -> None:
        self.name = name
        self.shards = shards
        self.ledger = bench.ledger = Ledger(KEYS, is_fifo=True)
        self._client = bench.client
        self._padding = b"x" * max(0, bench.settings.size_bytes - _MARK_BYTES)
        self._told: dict[str, asyncio.Future[None]] = {}

    @classmethod
    async def create(cls, bench: Bench) -> StreamLoad:
        """Creates the stream, with as many shards as the run's settings say."""
        client, name = bench.client, bench.name
        await calls.create_stream(client, name, bench.settings.shards)
        bench.at_end(lambda: calls.delete_stream(client, name))
        return cls(bench, name, await calls.shards_of(client, name))

    def compose(self, producer: int, count: int) -> tuple[list[Mark], list[tuple[bytes, str]]]:
        """New marks, and the records (data, partition key) that carry them."""
        ledger, padding = self.ledger, self._padding
        marks = [ledger.issue(producer) for _ in range(count)]
        return marks, [
            (mark_text(mark).encode() + padding, _KEYS[ledger.group_of(mark)]) for mark in marks
        ]

    async def put(self, producer: int, count: int) -> int:
        """Puts 1 to 500 records in one PutRecords and books them; returns how many were taken."""
        marks, records = self.compose(producer, count)
        refused = await calls.put_records(self._client, self.name, records)
        if refused:
            gone = set(refused)
            marks = [mark for index, mark in enumerate(marks) if index not in gone]
        self.ledger.acknowledge(marks)
        return len(marks)

    async def put_and_hear(
        self, producer: int, shard: ShardRange | None = None, ears: int = 1
    ) -> int:
        """Puts one record, into a certain shard if one is named, and waits until it was told
        `ears` times. Raises EndpointUnreachable when it was not.
        """
        (mark,), ((data, key),) = self.compose(producer, 1)
        text = mark_text(mark)
        told: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._told[text] = told
        try:
            hash_key = None if shard is None else shard.first_hash
            await calls.put_record(self._client, self.name, data, key, hash_key)
            self.ledger.acknowledge([mark])
            if ears:
                async with asyncio.timeout(TOLD_S):
                    await told
        except TimeoutError:
            raise EndpointUnreachable(f"a record was not told within {TOLD_S:g} s") from None
        finally:
            self._told.pop(text, None)
        return 1

    def hear(self, page: RecordsPage) -> None:
        """Books records that were told, and wakes those who put them."""
        for record in page.records:
            text = record.data[:_MARK_BYTES].decode("latin-1")
            self.ledger.receive(text)
            told = self._told.pop(text, None)
            if told is not None and not told.done():
                told.set_result(None)

    async def fill(self, count: int, workers: int) -> None:
        """Puts `count` records before anything is measured."""
        left = count

        async def work(number: int) -> None:
            nonlocal left
            while left > 0:
                size = min(RECORDS, left)
                left -= size
                await self.put(PRELOAD_PRODUCER - number, size)

        async with asyncio.TaskGroup() as group:
            for number in range(workers):
                group.create_task(work(number))

    async def read_all(self) -> None:
        """Reads all shards from their beginning to their tip and books what comes."""
        left = list(self.shards)

        async def work() -> None:
            while left:
                await self._read(left.pop())

        async with asyncio.TaskGroup() as group:
            for _ in range(READERS):
                group.create_task(work())

    async def _read(self, shard: ShardRange) -> None:
        iterator: str | None = await calls.shard_iterator(self._client, self.name, shard.id)
        while iterator is not None:
            page = await calls.get_records(self._client, iterator)
            self.hear(page)
            iterator = page.next_shard_iterator
            if not page.records and page.millis_behind_latest == 0:
                return


async def _put_records(bench: Bench) -> None:
    load = await StreamLoad.create(bench)
    operation = f"PutRecords of {RECORDS}, {bench.settings.shards} shards"
    await bench.measure(operation, lambda worker: load.put(worker, RECORDS))
    await load.read_all()


async def _put_record(bench: Bench) -> None:
    load = await StreamLoad.create(bench)
    operation = f"PutRecord, {bench.settings.shards} shards"
    await bench.measure(operation, lambda worker: load.put_and_hear(worker, ears=0))
    await load.read_all()


async def _get_records(bench: Bench) -> None:
    """Each worker reads a shard from its beginning to its tip, again and again; an iterator for the
    beginning is good for five minutes, so one of each shard will do.
    """
    load = await StreamLoad.create(bench)
    await load.fill(bench.settings.backlog, bench.settings.connections)
    bench.notes["backlog"] = bench.settings.backlog
    await measure_reads(bench, load)
    await load.read_all()


async def measure_reads(bench: Bench, load: StreamLoad) -> None:
    """The measured part of `get-records`, of a stream that is filled."""
    client = bench.client
    starts = [await calls.shard_iterator(client, load.name, shard.id) for shard in load.shards]
    places = {worker: starts[worker % len(starts)] for worker in range(bench.settings.connections)}

    async def step(worker: int) -> int:
        page = await calls.skim_records(client, places[worker])
        if not page.records:
            raise LoadOver
        is_tip = page.millis_behind_latest == 0 or page.next_shard_iterator is None
        places[worker] = starts[worker % len(starts)] if is_tip else page.next_shard_iterator or ""
        return len(page.records)

    await bench.measure("GetRecords of 10,000", step)


def _at_a_rate(bench: Bench) -> None:
    """Latency is measured in an open loop, so that the machine is idle most of the time."""
    settings = bench.settings
    bench.settings = msgspec.structs.replace(settings, rate=settings.rate or TIP_RATE)


async def _tip(bench: Bench) -> None:
    """From the put to a reader who asks with GetRecords again and again, without a pause."""
    load = await StreamLoad.create(bench)
    _at_a_rate(bench)
    pollers = [asyncio.create_task(_poll(bench.client, load, shard)) for shard in load.shards]
    try:
        await asyncio.sleep(SETTLE_S)
        await bench.measure("PutRecord until GetRecords has it", load.put_and_hear)
        for poller in pollers:
            if poller.done():
                poller.result()  # raises what ended it
    finally:
        for poller in pollers:
            poller.cancel()
        await asyncio.gather(*pollers, return_exceptions=True)


async def _poll(client: AwsJsonClient, load: StreamLoad, shard: ShardRange) -> None:
    iterator: str | None = await calls.shard_iterator(client, load.name, shard.id, "LATEST")
    while iterator is not None:
        page = await calls.get_records(client, iterator)
        load.hear(page)
        iterator = page.next_shard_iterator


async def _push(bench: Bench) -> None:
    """From the put to a consumer with enhanced fan-out, who has a subscription to each shard."""
    load = await StreamLoad.create(bench)
    _at_a_rate(bench)
    consumer = await calls.register_consumer(bench.client, load.name, "push")
    streams = [
        await calls.subscribe(bench.client, consumer, shard.id, load.hear) for shard in load.shards
    ]
    try:
        await asyncio.sleep(SETTLE_S)
        await bench.measure("PutRecord until SubscribeToShard tells it", load.put_and_hear)
        await _check_open(streams)
    finally:
        for stream in streams:
            stream.close()


async def _feed(bench: Bench) -> None:
    """PutRecords, and consumers who are told of everything: the first one books it, the others
    count. It is over when all have heard all.
    """
    load = await StreamLoad.create(bench)
    shards = load.shards
    others = min(CONSUMERS_MAX, max(1, bench.settings.subscriptions // len(shards))) - 1
    client = bench.client
    counted = 0

    def count(records: int) -> None:
        nonlocal counted
        counted += records

    first = await calls.register_consumer(client, load.name, "first")
    streams = [await calls.subscribe(client, first, shard.id, load.hear) for shard in shards]
    for number in range(others):
        consumer = await calls.register_consumer(client, load.name, f"other-{number}")
        streams += [
            await calls.subscribe_to_count(client, consumer, shard.id, count) for shard in shards
        ]
    try:
        operation = f"PutRecords of {RECORDS}, told to {others + 1} consumers"
        await bench.measure(operation, lambda worker: load.put(worker, RECORDS))
        end_s = time.monotonic() + TOLD_S
        while time.monotonic() < end_s:
            summary = load.ledger.summary()
            if summary.received >= summary.sent and counted >= others * summary.sent:
                break
            await asyncio.sleep(0.05)
        bench.notes["consumers"] = others + 1
        bench.notes["told"] = summary.received + counted
        await _check_open(streams)
    finally:
        for stream in streams:
            stream.close()


async def _idle(bench: Bench) -> None:
    """Many shards, many subscriptions, nothing to tell: what that costs. Then wake-ups, until all
    consumers of a shard have heard.
    """
    load = await StreamLoad.create(bench)
    audience = _Audience(load, bench.settings)
    streams = await audience.subscribe(bench)
    try:
        await asyncio.sleep(SETTLE_S)
        await _measure_idle(bench)
        _at_a_rate(bench)
        await bench.measure("PutRecord until all of a shard's consumers are told", audience.wake)
        bench.notes["told"] = audience.told
        await _check_open(streams)
    finally:
        for stream in streams:
            stream.close()


async def _check_open(streams: list[EventStream]) -> None:
    """Raises what ended a subscription before its time."""
    for stream in streams:
        if not stream.is_open:
            await stream.wait()


@final
class _Audience:
    """Subscriptions of `CONSUMERS_MAX` consumers, spread over the first shards."""

    def __init__(self, load: StreamLoad, settings: BenchSettings) -> None:
        self.told = 0
        self._load = load
        self._count = settings.subscriptions
        self._consumers = min(CONSUMERS_MAX, self._count)
        self._shards = load.shards[: -(-self._count // self._consumers)]
        self._ears: dict[str, int] = dict.fromkeys((shard.id for shard in self._shards), 0)
        self._heard: dict[bytes, int] = {}
        self._turn = 0

    async def subscribe(self, bench: Bench) -> list[EventStream]:
        """Registers the consumers and opens the subscriptions."""
        consumers = [
            await calls.register_consumer(bench.client, self._load.name, f"consumer-{number}")
            for number in range(self._consumers)
        ]
        streams = []
        for number in range(self._count):
            shard = self._shards[number // self._consumers % len(self._shards)]
            self._ears[shard.id] += 1
            consumer = consumers[number % self._consumers]
            streams.append(
                await calls.subscribe(bench.client, consumer, shard.id, self._listener(shard))
            )
        return streams

    def _listener(self, shard: ShardRange) -> Callable[[RecordsPage], None]:
        """One of a shard's: the last one to hear a record books it."""

        def hear(page: RecordsPage) -> None:
            self.told += len(page.records)
            for record in page.records:
                data = record.data
                self._heard[data] = self._heard.get(data, 0) + 1
                if self._heard[data] == self._ears[shard.id]:
                    del self._heard[data]
                    self._load.hear(RecordsPage([record]))

        return hear

    async def wake(self, worker: int) -> int:
        """Puts a record into the next shard and waits until all have heard."""
        shard = self._shards[self._turn % len(self._shards)]
        self._turn += 1
        return await self._load.put_and_hear(worker, shard)


async def _measure_idle(bench: Bench) -> None:
    """Notes the CPU of a time in which nothing happens."""
    before, own_before_s, running_s = bench.usage(), time.process_time(), bench.running_s()
    await asyncio.sleep(bench.settings.duration_s)
    after_s = bench.running_s()
    used_s = bench.cost_since(before, own_before_s).server_cpu_s
    if running_s is not None and after_s is not None:
        used_s = after_s - running_s
    bench.notes["subscriptions"] = bench.settings.subscriptions
    if used_s is not None:
        bench.notes["idle_cpu_percent"] = 100 * used_s / bench.settings.duration_s


def _and_one(settings: BenchSettings) -> int:
    return settings.shards + settings.connections


STREAM_WORKLOADS: Final[dict[str, Workload]] = {
    "put-records": Workload(
        f"PutRecords of {RECORDS} into --shards shards", _put_records, shards=4, has_groups=False
    ),
    "put-record": Workload("PutRecord", _put_record, shards=4, has_groups=False),
    "get-records": Workload(
        "GetRecords of up to 10,000, --backlog records again and again",
        _get_records,
        backlog=160_000,
        shards=4,
        has_groups=False,
    ),
    "stream-tip": Workload(
        "from PutRecord to a reader that polls with GetRecords",
        _tip,
        _and_one,
        shards=1,
        has_groups=False,
    ),
    "stream-push": Workload(
        "from PutRecord to a consumer that is told by SubscribeToShard",
        _push,
        _and_one,
        shards=1,
        has_groups=False,
    ),
    "stream-feed": Workload(
        "put-records while --subscriptions, 20 consumers at the most, are told of all",
        _feed,
        lambda settings: settings.subscriptions + settings.connections,
        shards=4,
        has_groups=False,
    ),
    "stream-idle": Workload(
        "--subscriptions idle subscriptions, then wake-ups",
        _idle,
        lambda settings: settings.subscriptions + settings.connections,
        shards=1_000,
        has_groups=False,
    ),
}
"""The workloads on streams by name."""
