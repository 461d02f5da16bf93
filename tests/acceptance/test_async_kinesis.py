"""async-kinesis against a real daemon: its Producer and its Consumer, with checkpoints.

Of its checkpointers one needs no foreign server: the one in memory. A program that outlives more
than that brings its own, as here `FileCheckPointer`.

The consumer knows one parent of a shard only, so order across a merge is promised, and tested,
where both parents were read to their ends before.
"""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiobotocore.session import AioSession
from kinesis import (
    Consumer,
    JsonLineProcessor,
    MemoryCheckPointer,
    Producer,
    StringProcessor,
)
from kinesis.exceptions import StreamDoesNotExist

from tests.acceptance.conftest import Daemon

ARN = "arn:aws:kinesis:us-east-1:000000000000:stream/"
FIRST_SHARD = "shardId-000000000000"
KEYS = 6
SECONDS_MAX = 90


class FileCheckPointer(MemoryCheckPointer):  # type: ignore[misc]
    """Keeps the checkpoints in a file."""

    def __init__(self, path: Path) -> None:
        super().__init__(name="file")
        self._path = path
        if path.exists():
            sequences = json.loads(path.read_text(encoding="utf-8"))
            self._items = {
                shard: {"sequence": sequence, "active": False}
                for shard, sequence in sequences.items()
            }

    async def checkpoint(self, shard_id: str, sequence: str) -> None:
        await super().checkpoint(shard_id, sequence)
        sequences = {shard: item["sequence"] for shard, item in self._items.items()}
        self._path.write_text(json.dumps(sequences), encoding="utf-8")


def to(url: str) -> dict[str, Any]:
    """Where a producer or a consumer connects to."""
    session = AioSession()
    session.set_credentials("AKIDEXAMPLE", "secret")
    return {"session": session, "endpoint_url": url, "region_name": "us-east-1"}


@asynccontextmanager
async def producing(url: str, stream: str, **options: Any) -> AsyncIterator[Any]:
    """A producer that is limited by the daemon only, and flushes often."""
    unlimited = {"put_rate_limit_per_shard": 100_000, "put_bandwidth_limit_per_shard": 100_000}
    async with Producer(stream, **to(url), **unlimited, buffer_time=0.05, **options) as producer:
        yield producer


@asynccontextmanager
async def consuming(url: str, stream: str, **options: Any) -> AsyncIterator[Any]:
    """A consumer that does not sleep for seconds, and looks for new shards all the time."""
    quick = {"sleep_time_no_records": 0.05, "shard_fetch_rate": 20, "idle_timeout": 0.3}
    async with Consumer(stream, **to(url), **{**quick, **options}) as consumer:
        # Every minute, else; there is no option for it.
        consumer._shard_refresh_interval = 0.2
        yield consumer


async def produce(producer: Any, numbers: range) -> None:
    """Puts numbers, which several partition keys share."""
    for number in numbers:
        key = f"key-{number % KEYS}"
        await producer.put({"key": key, "number": number}, partition_key=key)


async def consume(consumer: Any, total: int, before: Sequence[Any] = ()) -> list[Any]:
    """The items that a consumer brings until, with those of before, that many different ones are
    there. It may bring some again, later.
    """
    different = set(numbers_of(before))
    found: list[Any] = []
    async with asyncio.timeout(SECONDS_MAX):
        while len(different) < total:
            async for item in consumer:
                found.append(item)
                different.add(item["number"])
                if len(different) >= total:
                    break
    return found


def numbers_of(items: Sequence[Any]) -> list[int]:
    """Without those that came before."""
    return list(dict.fromkeys(item["number"] for item in items))


def assert_in_order(items: list[Any], total: int) -> None:
    """All are there, and those of a partition key are in the order in which they were put."""
    by_key: dict[int, list[int]] = defaultdict(list)
    for number in numbers_of(items):
        by_key[number % KEYS].append(number)
    assert by_key == {key: list(range(key, total, KEYS)) for key in range(KEYS)}


@pytest.fixture
def name(queue_name: str) -> str:
    """A name that no other test of any file uses."""
    return f"async-{queue_name[-90:]}"


@pytest.fixture
def kinesis(clients) -> Any:
    return clients("kinesis")


@pytest.fixture
def stream(kinesis, name) -> str:
    """A stream of two shards."""
    kinesis.create_stream(StreamName=name, ShardCount=2)
    kinesis.get_waiter("stream_exists").wait(StreamName=name)
    return name


# --- producer and consumer ------------------------------------------------------------------------


async def test_all_that_is_produced_is_consumed_in_order(daemon, kinesis, name):
    total = 600
    new = {"create_stream": True, "create_stream_shards": 3}
    async with producing(daemon.url, name, batch_size=100, **new) as producer:
        await produce(producer, range(total))
    async with consuming(daemon.url, name, record_limit=70) as consumer:
        items = await consume(consumer, total)
        status = consumer.get_shard_status()
    assert_in_order(items, total)
    assert len(items) == total
    assert (status["total_shards"], status["allocated_shards"]) == (3, 3)
    assert len(kinesis.list_shards(StreamName=name)["Shards"]) == 3


async def test_a_stream_is_named_by_its_arn_and_shards_are_listed(daemon, stream):
    total = 60
    async with producing(daemon.url, ARN + stream, skip_describe_stream=True) as producer:
        await produce(producer, range(total))
    async with consuming(daemon.url, ARN + stream, use_list_shards=True) as consumer:
        assert_in_order(await consume(consumer, total), total)


async def test_a_consumer_that_is_ready_misses_nothing_from_then_on(daemon, stream):
    async with producing(daemon.url, stream) as producer:
        await produce(producer, range(-KEYS, 0))
        await producer.flush()
        async with consuming(daemon.url, stream, iterator_type="LATEST") as consumer:
            await consumer.wait_ready()
            await produce(producer, range(120))
            items = await consume(consumer, 120)
    assert_in_order(items, 120)


async def test_a_consumer_begins_at_a_time(daemon, kinesis, stream):
    async with producing(daemon.url, stream) as producer:
        await produce(producer, range(-KEYS, 0))
        await producer.flush()
        # The daemon's time of a record after those, which the consumer may begin with.
        put = kinesis.put_record(StreamName=stream, Data=b'{"number": 0}', PartitionKey="key-0")
        found = kinesis.get_shard_iterator(
            StreamName=stream,
            ShardId=put["ShardId"],
            ShardIteratorType="AT_SEQUENCE_NUMBER",
            StartingSequenceNumber=put["SequenceNumber"],
        )
        page = kinesis.get_records(ShardIterator=found["ShardIterator"])
        then = page["Records"][0]["ApproximateArrivalTimestamp"]
        await produce(producer, range(1, 60))
    at_time = {"iterator_type": "AT_TIMESTAMP", "timestamp": then}
    async with consuming(daemon.url, stream, **at_time) as consumer:
        # Records of the same millisecond may have come before it; they are numbered below 0.
        items = await consume(consumer, 60)
        items += await consume(consumer, 60 + sum(item["number"] < 0 for item in items), items)
    assert_in_order([item for item in items if item["number"] >= 0], 60)


async def test_records_that_hold_many_items_are_taken_apart(daemon, stream):
    total = 300
    async with producing(daemon.url, stream, processor=JsonLineProcessor()) as producer:
        await produce(producer, range(total))
    async with consuming(daemon.url, stream, processor=JsonLineProcessor()) as consumer:
        assert_in_order(await consume(consumer, total), total)


async def test_text_comes_back_as_it_was(daemon, stream):
    texts = ["é€😀", "", "\x00\ttab\nline", "x" * 100_000]
    async with producing(daemon.url, stream, processor=StringProcessor()) as producer:
        for text in texts:
            await producer.put(text, partition_key="schlüssel")
    async with consuming(daemon.url, stream, processor=StringProcessor()) as consumer:
        found: list[str] = []
        async with asyncio.timeout(SECONDS_MAX):
            while len(found) < len(texts):
                found += [text async for text in consumer]
    assert found == texts


async def test_a_producer_makes_a_batch_smaller_that_is_refused_for_its_length(daemon, stream):
    total = 1_300
    async with producing(daemon.url, stream, batch_size=1_000) as producer:
        await produce(producer, range(total))
        await producer.flush()
        assert producer.batch_size < 500
    async with consuming(daemon.url, stream) as consumer:
        items = await consume(consumer, total)
    assert sorted(numbers_of(items)) == list(range(total))


async def test_a_stream_that_is_not_there_is_told(daemon):
    with pytest.raises(StreamDoesNotExist):
        async with consuming(daemon.url, "there-is-no-such-stream"):
            pass


# --- checkpoints ----------------------------------------------------------------------------------


async def test_a_consumer_goes_on_from_the_checkpoints_of_the_one_before(daemon, stream):
    total = 400
    async with producing(daemon.url, stream) as producer:
        await produce(producer, range(total))
    checkpointer = MemoryCheckPointer(name="test")
    items: list[Any] = []
    for share in (100, 250, total):
        taken = len(numbers_of(items))
        options = {"checkpointer": checkpointer, "record_limit": 20}
        async with consuming(daemon.url, stream, **options) as consumer:
            more = await consume(consumer, share, items)
        # What came after the last checkpoint comes again: a page of each shard, at most.
        assert len(more) <= share - taken + 2 * 20
        items += more
    assert_in_order(items, total)
    sequences = [item["sequence"] for item in checkpointer.get_all_checkpoints().values()]
    assert len(sequences) == 2
    assert all(sequences)


async def test_checkpoints_in_a_file_outlive_the_daemon_and_the_consumer(own_daemon, tmp_path):
    total = 300
    file = tmp_path / "checkpoints.json"
    new = {"create_stream": True, "create_stream_shards": 2}
    async with producing(own_daemon.url, "events", **new) as producer:
        await produce(producer, range(200))
    options = {"record_limit": 20}
    async with consuming(
        own_daemon.url, "events", checkpointer=FileCheckPointer(file), **options
    ) as consumer:
        items = await consume(consumer, 120)
    assert json.loads(file.read_text(encoding="utf-8"))
    own_daemon.kill()
    own_daemon.start()
    async with producing(own_daemon.url, "events") as producer:
        await produce(producer, range(200, total))
    async with consuming(
        own_daemon.url, "events", checkpointer=FileCheckPointer(file), **options
    ) as consumer:
        more = await consume(consumer, total, items)
    assert len(more) < total
    assert_in_order(items + more, total)


# --- resharding -----------------------------------------------------------------------------------


async def test_a_consumer_follows_splits_and_merges_while_records_come(daemon, kinesis, stream):
    """Parents are read to their ends before their children."""
    phases = [range(200), range(200, 400), range(400, 600)]
    items: list[Any] = []

    def active() -> None:
        kinesis.get_waiter("stream_exists").wait(StreamName=stream)

    def split() -> None:
        for shard, start in ((FIRST_SHARD, 1 << 126), ("shardId-000000000001", 3 << 126)):
            kinesis.split_shard(
                StreamName=stream, ShardToSplit=shard, NewStartingHashKey=str(start)
            )
            active()

    def merge() -> None:
        for low, high in ((2, 3), (4, 5)):
            kinesis.merge_shards(
                StreamName=stream,
                ShardToMerge=f"shardId-{low:012d}",
                AdjacentShardToMerge=f"shardId-{high:012d}",
            )
            active()

    async with (
        producing(daemon.url, stream, batch_size=50) as producer,
        consuming(daemon.url, stream, record_limit=30) as consumer,
    ):
        producer_ends = asyncio.create_task(produce(producer, phases[0]))
        await asyncio.to_thread(split)
        await producer_ends
        await produce(producer, phases[1])
        items += await consume(consumer, 400, items)
        await asyncio.to_thread(merge)
        await produce(producer, phases[2])
        items += await consume(consumer, 600, items)
        status = consumer.get_shard_status()
    assert_in_order(items, 600)
    assert status["total_shards"] == 8
    assert status["topology"]["parent_child_map"].keys() >= {FIRST_SHARD, "shardId-000000000001"}


async def test_checkpoints_hold_across_a_resharding_between_two_consumers(daemon, kinesis, stream):
    total = 400
    checkpointer = MemoryCheckPointer(name="test")
    options = {"checkpointer": checkpointer, "record_limit": 20}
    async with producing(daemon.url, stream) as producer:
        await produce(producer, range(200))
        await producer.flush()
        async with consuming(daemon.url, stream, **options) as consumer:
            items = await consume(consumer, 90)
        counted = {"TargetShardCount": 4, "ScalingType": "UNIFORM_SCALING"}
        kinesis.update_shard_count(StreamName=stream, **counted)
        kinesis.get_waiter("stream_exists").wait(StreamName=stream)
        await produce(producer, range(200, total))
    async with consuming(daemon.url, stream, **options) as consumer:
        items += await consume(consumer, total, items)
    assert_in_order(items, total)
    # The parents' checkpoints stayed, the children have theirs.
    assert len(checkpointer.get_all_checkpoints()) == 6


# --- quotas ---------------------------------------------------------------------------------------


async def test_a_producer_puts_again_what_a_shard_had_no_room_for(tmp_path):
    strict = Daemon(tmp_path / "data", "--strictness", "aws")
    strict.start()
    try:
        total = 2_500
        new = {"create_stream": True, "create_stream_shards": 1}
        async with producing(strict.url, "busy", **new) as producer:
            await produce(producer, range(total))
        options = {"shard_fetch_rate": 2, "sleep_time_no_records": 0.3, "idle_timeout": 2}
        async with consuming(strict.url, "busy", **options) as consumer:
            items = await consume(consumer, total)
    finally:
        assert strict.stop() == 0
    assert sorted(item["number"] for item in items) == list(range(total))
