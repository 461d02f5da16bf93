"""What a crash leaves of streams: kill -9 while records are put and read, start again, look."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError, ClientError

SHARDS = 4
WRITERS = 4
BATCHES_BEFORE_THE_KILL = 15
BATCH_RECORDS = 50
WAIT_S_MAX = 60
SHARD_IDS = [f"shardId-{number:012d}" for number in range(SHARDS)]

Place = tuple[str, int]
"""A shard and a sequence number in it."""


class Put:
    """What writers were told to be durable, and what they sent without an answer."""

    def __init__(self) -> None:
        self.acknowledged: dict[str, Place] = {}
        self.sent: list[str] = []
        self.batches = 0

    def batch(self, kinesis: Any, stream: str, writer: int, number: int) -> None:
        """Puts one batch, over a few keys that are this writer's own."""
        texts = [f"{writer}-{n % 7}-{number:04d}-{n:02d}" for n in range(BATCH_RECORDS)]
        entries = [{"Data": text.encode(), "PartitionKey": key_of(text)} for text in texts]
        self.sent += texts
        answer = kinesis.put_records(StreamName=stream, Records=entries)
        for text, entry in zip(texts, answer["Records"], strict=True):
            self.acknowledged[text] = (entry["ShardId"], int(entry["SequenceNumber"]))
        self.batches += 1


def key_of(text: str) -> str:
    """The partition key of a record: its writer and one of seven."""
    return text.rsplit("-", 2)[0]


def created(kinesis: Any, name: str, shards: int = SHARDS) -> str:
    kinesis.create_stream(StreamName=name, ShardCount=shards)
    kinesis.get_waiter("stream_exists").wait(StreamName=name)
    return name


def iterator(kinesis: Any, stream: str, shard: str, kind: str = "TRIM_HORIZON", **more: Any) -> str:
    answer = kinesis.get_shard_iterator(
        StreamName=stream, ShardId=shard, ShardIteratorType=kind, **more
    )
    token: str = answer["ShardIterator"]
    return token


def read_to_the_tip(kinesis: Any, token: str) -> list[tuple[str, int]]:
    """(text, sequence number) of all records from an iterator on."""
    found: list[tuple[str, int]] = []
    while True:
        page = kinesis.get_records(ShardIterator=token)
        found += [(r["Data"].decode(), int(r["SequenceNumber"])) for r in page["Records"]]
        token = page["NextShardIterator"]
        if not page["Records"] and page["MillisBehindLatest"] == 0:
            return found


def write_until_the_daemon_is_gone(
    connect: Callable[..., Any], url: str, stream: str, writer: int, put: Put
) -> None:
    kinesis = connect(url, "kinesis")
    for number in range(10_000):
        try:
            put.batch(kinesis, stream, writer, number)
        except (BotoCoreError, ClientError):
            return
    raise AssertionError("the kill came too late")


class Reader:
    """Reads a shard while it is written, until the daemon is gone."""

    def __init__(self, kinesis: Any, stream: str, shard: str) -> None:
        self._kinesis = kinesis
        self.token = iterator(kinesis, stream, shard)
        self.found: list[tuple[str, int]] = []

    def run(self) -> None:
        while True:
            try:
                page = self._kinesis.get_records(ShardIterator=self.token, Limit=100)
            except (BotoCoreError, ClientError):
                return
            for record in page["Records"]:
                self.found.append((record["Data"].decode(), int(record["SequenceNumber"])))
            self.token = page["NextShardIterator"]


def test_nothing_acknowledged_is_lost_and_readers_go_on_where_they_were(
    own_daemon, connect, queue_name
):
    kinesis = connect(own_daemon.url, "kinesis")
    stream = created(kinesis, queue_name)
    put = Put()
    readers = [Reader(connect(own_daemon.url, "kinesis"), stream, shard) for shard in SHARD_IDS]
    with ThreadPoolExecutor(WRITERS + SHARDS) as threads:
        ends = [
            threads.submit(
                write_until_the_daemon_is_gone, connect, own_daemon.url, stream, writer, put
            )
            for writer in range(WRITERS)
        ]
        ends += [threads.submit(reader.run) for reader in readers]
        wait_until(lambda: put.batches >= BATCHES_BEFORE_THE_KILL)
        wait_until(lambda: any(reader.found for reader in readers))
        own_daemon.kill()
        for end in ends:
            end.result()
    own_daemon.start()
    kinesis = connect(own_daemon.url, "kinesis")
    kept: dict[str, Place] = {}
    order: dict[str, list[str]] = defaultdict(list)
    for shard, reader in zip(SHARD_IDS, readers, strict=True):
        whole = read_to_the_tip(kinesis, iterator(kinesis, stream, shard))
        numbers = [number for _, number in whole]
        assert numbers == sorted(set(numbers))
        # What was read before the kill is there, and what the old iterator brings comes after it.
        assert reader.found + read_to_the_tip(kinesis, reader.token) == whole
        for text, number in whole:
            assert text not in kept
            kept[text] = (shard, number)
            order[key_of(text)].append(text)
    assert put.acknowledged.items() <= kept.items()
    assert kept.keys() <= set(put.sent)
    assert all(texts == sorted(texts) for texts in order.values())
    assert len(kept) >= BATCHES_BEFORE_THE_KILL * BATCH_RECORDS
    # A batch is one commit: of what had no answer, all records are there or none.
    batches = {text.split("-")[0] + text.split("-")[2] for text in kept}
    assert len(kept) == len(batches) * BATCH_RECORDS


def test_iterators_of_every_kind_outlive_a_kill(own_daemon, connect, queue_name):
    kinesis = connect(own_daemon.url, "kinesis")
    stream = created(kinesis, queue_name, 1)
    put = Put()
    put.batch(kinesis, stream, 0, 0)
    numbers = sorted(number for _, number in put.acknowledged.values())
    page = kinesis.get_records(ShardIterator=iterator(kinesis, stream, SHARD_IDS[0]), Limit=20)
    number = {"StartingSequenceNumber": str(numbers[30])}
    then = page["Records"][0]["ApproximateArrivalTimestamp"]
    tokens = {
        "TRIM_HORIZON": iterator(kinesis, stream, SHARD_IDS[0]),
        "LATEST": iterator(kinesis, stream, SHARD_IDS[0], "LATEST"),
        "AT": iterator(kinesis, stream, SHARD_IDS[0], "AT_SEQUENCE_NUMBER", **number),
        "AFTER": iterator(kinesis, stream, SHARD_IDS[0], "AFTER_SEQUENCE_NUMBER", **number),
        "TIME": iterator(kinesis, stream, SHARD_IDS[0], "AT_TIMESTAMP", Timestamp=then),
        "next": page["NextShardIterator"],
    }
    own_daemon.kill()
    own_daemon.start()
    kinesis = connect(own_daemon.url, "kinesis")
    late = kinesis.put_record(StreamName=stream, Data=b"late", PartitionKey="k")
    numbers.append(int(late["SequenceNumber"]))
    assert numbers[-1] > numbers[-2]
    brought = {
        name: [found for _, found in read_to_the_tip(kinesis, token)]
        for name, token in tokens.items()
    }
    assert brought == {
        "TRIM_HORIZON": numbers,
        "LATEST": numbers[-1:],
        "AT": numbers[30:],
        "AFTER": numbers[31:],
        "TIME": numbers,
        "next": numbers[20:],
    }


def test_lineage_and_consumers_outlive_a_kill_and_a_subscriber_goes_on(
    own_daemon, connect, queue_name
):
    kinesis = connect(own_daemon.url, "kinesis")
    stream = created(kinesis, queue_name, 1)
    arn = kinesis.describe_stream_summary(StreamName=stream)["StreamDescriptionSummary"][
        "StreamARN"
    ]
    made = kinesis.register_stream_consumer(StreamARN=arn, ConsumerName="c")
    consumer = made["Consumer"]["ConsumerARN"]
    put = Put()
    put.batch(kinesis, stream, 0, 0)
    first = Subscriber(connect(own_daemon.url, "kinesis"), consumer, {"Type": "TRIM_HORIZON"})
    wait_until(lambda: len(first.found) == BATCH_RECORDS)
    put.batch(kinesis, stream, 0, 1)
    kinesis.split_shard(
        StreamName=stream, ShardToSplit=SHARD_IDS[0], NewStartingHashKey=str(1 << 127)
    )
    put.batch(kinesis, stream, 0, 2)
    shards = kinesis.list_shards(StreamName=stream)["Shards"]
    own_daemon.kill()
    first.thread.join(WAIT_S_MAX)
    assert not first.thread.is_alive()
    own_daemon.start()
    kinesis = connect(own_daemon.url, "kinesis")
    assert kinesis.list_shards(StreamName=stream)["Shards"] == shards
    shown = kinesis.describe_stream_consumer(ConsumerARN=consumer)["ConsumerDescription"]
    assert shown["ConsumerStatus"] == "ACTIVE"
    start = {"Type": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": first.continuations[0]}
    again = Subscriber(connect(own_daemon.url, "kinesis"), consumer, start)
    again.thread.join(WAIT_S_MAX)
    assert not again.thread.is_alive()
    assert again.failure is None
    whole = [text for text, (shard, _) in put.acknowledged.items() if shard == SHARD_IDS[0]]
    assert len(whole) == 2 * BATCH_RECORDS
    count = first.counts[0]
    assert first.found[:count] + again.found == whole
    assert again.children == {shard["ShardId"] for shard in shards[1:]}
    for shard in SHARD_IDS[1:3]:
        found = read_to_the_tip(kinesis, iterator(kinesis, stream, shard))
        assert found == [
            (text, number) for text, (where, number) in put.acknowledged.items() if where == shard
        ]


class Subscriber:
    """Follows the first shard in a thread of its own, to its end or the daemon's."""

    def __init__(self, kinesis: Any, consumer: str, start: dict[str, str]) -> None:
        answer = kinesis.subscribe_to_shard(
            ConsumerARN=consumer, ShardId=SHARD_IDS[0], StartingPosition=start
        )
        self._events = answer["EventStream"]
        self.found: list[str] = []
        self.continuations: list[str] = []
        self.counts: list[int] = []
        self.children: set[str] = set()
        self.failure: Exception | None = None
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self) -> None:
        try:
            for event in self._events:
                page = event["SubscribeToShardEvent"]
                self.found += [record["Data"].decode() for record in page["Records"]]
                self.children |= {child["ShardId"] for child in page.get("ChildShards", ())}
                if "ContinuationSequenceNumber" in page and page["Records"]:
                    self.continuations.append(page["ContinuationSequenceNumber"])
                    self.counts.append(len(self.found))
        except Exception as error:  # noqa: BLE001 - of the connection, in the words of any library
            self.failure = error
        finally:
            self._events.close()


def wait_until(is_so: Callable[[], bool]) -> None:
    end = time.monotonic() + WAIT_S_MAX
    while not is_so():
        if time.monotonic() > end:
            pytest.fail("it did not happen")
        time.sleep(0.01)
