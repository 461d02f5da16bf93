"""Workers of several processes on one stream of a daemon: they share it, and outlive each other."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from aiobotocore.session import get_session

from eventcore.consumers.checkpoint import after_record, at_timestamp
from eventcore.consumers.records import Heartbeat, ShardNode, StartAt
from eventcore.errors import (
    InvalidParameter,
    LeaseLost,
    NotFound,
    SourceUnavailable,
)
from eventcore.runtime.lease_client import DaemonLeases
from eventcore.runtime.stream_kinesis import KinesisSource
from eventcore.runtime.stream_source import StreamRecord
from eventcore.runtime.stream_worker import StreamWorker
from tests.acceptance.conftest import Daemon, client_for

WORKER = Path(__file__).with_name("stream_worker_process.py")
SECONDS_MAX = 60
KEYS = 6
OPTIONS = {"aws_access_key_id": "any", "aws_secret_access_key": "any"}


class Processes:
    """Worker processes, and all lines that they wrote."""

    def __init__(self, url: str, stream_arn: str) -> None:
        self._arguments = [url, stream_arn, "billing"]
        self._running: dict[str, subprocess.Popen[str]] = {}
        self._readers: dict[str, threading.Thread] = {}
        self.lines: list[tuple[str, str, int]] = []

    def start(self, name: str) -> None:
        process = subprocess.Popen(
            [sys.executable, str(WORKER), *self._arguments, name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._running[name] = process
        self._readers[name] = threading.Thread(target=self._read, args=(process,), daemon=True)
        self._readers[name].start()

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        with process.stdout as output:
            for line in output:
                worker, key, number = line.split()
                self.lines.append((worker, key, int(number)))

    def kill(self, name: str) -> None:
        process = self._running.pop(name)
        assert process.stdin is not None
        with process.stdin:
            process.kill()
            process.wait()
        self._readers.pop(name).join()

    def stop(self, name: str) -> None:
        process = self._running.pop(name)
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(SECONDS_MAX) == 0
        self._readers.pop(name).join()

    def end(self) -> None:
        for name in list(self._running):
            self.kill(name)

    def until(self, is_reached: Callable[[], bool], what: str) -> None:
        end = time.monotonic() + SECONDS_MAX
        while not is_reached():
            assert time.monotonic() < end, f"{what}: {self.lines[-20:]}"
            time.sleep(0.02)

    def until_all(self, each: int) -> None:
        wanted = {(str(key), number) for key in range(KEYS) for number in range(each)}
        self.until(
            lambda: wanted <= {(key, number) for _, key, number in list(self.lines)},
            "not all records came",
        )


@pytest.fixture
def stream(clients) -> Iterator[Any]:
    kinesis = clients("kinesis")
    name = "shared-by-workers"
    kinesis.create_stream(StreamName=name, ShardCount=4)
    arn = kinesis.describe_stream_summary(StreamName=name)["StreamDescriptionSummary"]["StreamARN"]
    yield kinesis, name, arn
    kinesis.delete_stream(StreamName=name, EnforceConsumerDeletion=True)


@pytest.fixture
def processes(daemon, stream) -> Iterator[Processes]:
    running = Processes(daemon.url, stream[2])
    yield running
    running.end()


def put(kinesis: Any, name: str, numbers: range) -> None:
    for number in numbers:
        kinesis.put_records(
            StreamName=name,
            Records=[
                {"Data": str(number).encode(), "PartitionKey": str(key)} for key in range(KEYS)
            ],
        )


def test_workers_share_a_stream_and_take_over_from_one_that_is_killed(stream, processes):
    kinesis, name, _ = stream
    processes.start("a")
    put(kinesis, name, range(3))
    processes.until_all(3)
    processes.start("b")
    numbers = iter(range(3, 10_000))
    last = 3

    def is_shared() -> bool:
        nonlocal last
        last = next(numbers) + 1
        put(kinesis, name, range(last - 1, last))
        return "b" in {worker for worker, _, _ in processes.lines}

    processes.until(is_shared, "b got no shard")
    processes.until_all(last)
    kinesis.update_shard_count(StreamName=name, TargetShardCount=2, ScalingType="UNIFORM_SCALING")
    put(kinesis, name, range(last, last + 3))
    processes.kill("a")
    put(kinesis, name, range(last + 3, last + 6))
    processes.until_all(last + 6)
    for key in map(str, range(KEYS)):
        firsts = list(dict.fromkeys(number for _, k, number in processes.lines if k == key))
        assert sorted(firsts) == list(range(last + 6))
        mine = [number for worker, k, number in processes.lines if (worker, k) == ("b", key)]
        assert mine == sorted(mine), "each worker has a key in its order"
    processes.stop("b")


async def test_a_worker_outlives_a_crash_of_the_daemon(tmp_path):
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        port = reserved.getsockname()[1]
    daemon = Daemon(tmp_path / "data", "--port", str(port))
    daemon.start()
    arn = "arn:aws:kinesis:us-east-1:000000000000:stream/lasting"
    seen: list[tuple[str, int]] = []

    async def handler(record: StreamRecord) -> None:
        seen.append((record.partition_key, int(record.text)))

    async def until(count: int) -> None:
        async with asyncio.timeout(SECONDS_MAX):
            while len(set(seen)) < count:
                await asyncio.sleep(0.02)

    try:
        kinesis = client_for(daemon.url, "kinesis")
        kinesis.create_stream(StreamName="lasting", ShardCount=2)
        put(kinesis, "lasting", range(2))
        worker = StreamWorker(
            source=KinesisSource(arn, endpoint_url=daemon.url, poll_ms=200, client_options=OPTIONS),
            leases=DaemonLeases(daemon.url, arn, "billing"),
            handler=handler,
        )
        running = asyncio.create_task(worker.run())
        await until(2 * KEYS)
        daemon.kill()
        await asyncio.sleep(0.5)
        daemon.start()
        put(kinesis, "lasting", range(2, 4))
        await until(4 * KEYS)
        assert sorted(set(seen)) == [(str(key), n) for key in range(KEYS) for n in range(4)]
        worker.stop()
        await running
    finally:
        daemon.kill()


async def test_leases_over_the_wire(daemon, stream):
    _, _, arn = stream
    leases = DaemonLeases(daemon.url, arn, "wire", StartAt("AT_TIMESTAMP", 77))
    try:
        with pytest.raises(NotFound):
            await leases.heartbeat(Heartbeat("a"))
        lineage = (ShardNode("s-0", (), True), ShardNode("s-1", ("s-0",)))
        first = await leases.heartbeat(Heartbeat("a", lineage))
        (lease,) = first.leases
        counter, inside = lease.counter, after_record("12", 3)
        assert (lease.shard_id, lease.checkpoint) == ("s-0", at_timestamp(77))
        assert await leases.checkpoint("s-0", "a", counter, inside) == inside
        with pytest.raises(LeaseLost):
            await leases.checkpoint("s-0", "b", counter, after_record("13"))
        with pytest.raises(LeaseLost):
            await leases.release("s-0", "a", counter + 1)
        with pytest.raises(InvalidParameter):
            await leases.heartbeat(Heartbeat("", lineage))
        await leases.heartbeat(Heartbeat("b", None, 5_000, 100, True))
        described = await leases.describe()
        assert [(d.shard_id, d.owner, d.parents) for d in described.leases] == [
            ("s-0", "a", ()),
            ("s-1", "", ("s-0",)),
        ]
        assert [(w.worker_id, w.is_leaving) for w in described.workers] == [
            ("a", False),
            ("b", True),
        ]
        await leases.wait(first.change - 1, 10_000)
        await leases.wait(first.change, 1)
        await leases.leave("a")
        assert not any(d.owner for d in (await leases.describe()).leases)
    finally:
        await leases.close()


async def test_a_daemon_that_is_not_there_is_a_passing_fault(stream):
    leases = DaemonLeases("http://127.0.0.1:9", stream[2], "nobody")
    with pytest.raises(SourceUnavailable):
        await leases.heartbeat(Heartbeat("a"))
    await leases.close()


@pytest.mark.parametrize("url", ["127.0.0.1:4566", "ftp://host"])
async def test_an_endpoint_that_is_none_is_refused(url: str):
    with pytest.raises(InvalidParameter):
        DaemonLeases(url, "arn:aws:kinesis:us-east-1:000000000000:stream/s", "g")


async def test_a_kinesis_endpoint_as_a_source(daemon, stream):
    kinesis, name, arn = stream
    put(kinesis, name, range(3))
    source = KinesisSource(
        arn,
        make_client=lambda: get_session().create_client(
            "kinesis", endpoint_url=daemon.url, region_name="us-east-1", **OPTIONS
        ),
    )
    try:
        shards = await source.list_shards()
        assert [shard.is_closed for shard in shards] == [False] * 4
        assert shards[0].first_hash == 0
        found = []
        for shard in shards:
            page = await source.open_reader(shard.shard_id, at_timestamp(0)).read(1_000, 0)
            assert page.behind_ms == 0
            found += [(record.partition_key, record.text) for record in page.records]
            if page.records:
                last = page.records[0]
                again = source.open_reader(shard.shard_id, after_record(last.sequence_number))
                rest = (await again.read(1_000, 0)).records
                assert list(rest) == list(page.records[1:])
                inside = source.open_reader(shard.shard_id, after_record(last.sequence_number, 0))
                assert list((await inside.read(1, 0)).records) == [last]
        assert sorted(found) == sorted((str(k), str(n)) for k in range(KEYS) for n in range(3))
        with pytest.raises(NotFound) as gone:
            await source.open_reader("shardId-000000000099", at_timestamp(0)).read(1, 0)
        assert gone.value.kind == "shard"
    finally:
        await source.close()
