"""A stream and a group without an engine, on a manual clock; both can be made to fail."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from eventcore import limits
from eventcore.consumers.checkpoint import AFTER_RECORD, Checkpoint
from eventcore.consumers.group import ConsumerGroup
from eventcore.consumers.records import Assignment, GroupDescription, Heartbeat, StartAt
from eventcore.errors import EventcoreError, NotFound
from eventcore.runtime.stream_source import ShardReader, ShardRecords, SourceShard, StreamRecord
from eventcore.runtime.stream_worker import StreamWorker
from eventcore.streams.hash_range import HASH_KEY_MAX
from eventcore.testing import ManualClock

ARN = "arn:aws:kinesis:us-east-1:000000000000:stream/orders"


def shard_id(number: int) -> str:
    return f"shardId-{number:012d}"


class FakeStream:
    """Shards that are lists of records."""

    stream_arn = ARN
    lineage_ms = 1_000

    def __init__(self, clock: ManualClock, shards: int = 1) -> None:
        self.clock = clock
        self.shards: dict[str, SourceShard] = {}
        self.records: dict[str, list[StreamRecord]] = {}
        self.faults: list[EventcoreError] = []
        """Raised by the next reads, one by one."""
        self.opened: list[tuple[str, Checkpoint]] = []
        self._more = asyncio.Event()
        self._sequence = 0
        for _ in range(shards):
            self.add_shard()

    def add_shard(self, *parents: str) -> str:
        name = shard_id(len(self.records))
        self.shards[name] = SourceShard(name, parents, False, 0, HASH_KEY_MAX)
        self.records[name] = []
        return name

    def put(self, number: int, key: str, data: bytes | str) -> str:
        name = shard_id(number)
        assert not self.shards[name].is_closed
        self._sequence += 1
        self.records[name].append(
            StreamRecord(
                shard_id=name,
                sequence_number=str(self._sequence),
                partition_key=key,
                data=data if isinstance(data, bytes) else data.encode(),
                arrived_ms=self.clock.now_ms(),
            )
        )
        self._wake()
        return str(self._sequence)

    def split(self, number: int) -> list[str]:
        name = shard_id(number)
        self.close_shard(name)
        return [self.add_shard(name), self.add_shard(name)]

    def merge(self, one: int, other: int) -> str:
        for number in (one, other):
            self.close_shard(shard_id(number))
        return self.add_shard(shard_id(one), shard_id(other))

    def close_shard(self, name: str) -> None:
        self.shards[name] = SourceShard(name, self.shards[name].parents, True)
        self._wake()

    def vanish(self, name: str) -> None:
        del self.shards[name]
        self._wake()

    def _wake(self) -> None:
        self._more.set()
        self._more = asyncio.Event()

    async def list_shards(self) -> list[SourceShard]:
        await asyncio.sleep(0)
        return list(self.shards.values())

    def open_reader(self, name: str, start: Checkpoint) -> ShardReader:
        self.opened.append((name, start))
        return FakeReader(self, name, start)

    async def close(self) -> None:
        await asyncio.sleep(0)


class FakeReader:
    def __init__(self, stream: FakeStream, name: str, start: Checkpoint) -> None:
        self._stream = stream
        self._name = name
        self._at = 0
        if start.kind == AFTER_RECORD:
            number = int(start.sequence_number) + (start.sub_sequence_number is None)
            self._at = sum(int(r.sequence_number) < number for r in stream.records[name])

    async def read(self, records_max: int, wait_ms: int) -> ShardRecords:
        stream = self._stream
        while True:
            await asyncio.sleep(0)
            if stream.faults:
                raise stream.faults.pop(0)
            if self._name not in stream.shards:
                raise NotFound("shard", self._name)
            everything = stream.records[self._name]
            records = everything[self._at : self._at + records_max]
            self._at += len(records)
            left = len(everything) - self._at
            is_end = stream.shards[self._name].is_closed and not left
            if records or is_end or not wait_ms:
                return ShardRecords(records, left * 10, left, is_end)
            await stream._more.wait()

    async def close(self) -> None:
        await asyncio.sleep(0)


class FakeLeases:
    """A real group, as workers of several processes see it: each call takes a turn of the loop."""

    def __init__(self, clock: ManualClock, start: StartAt | None = None) -> None:
        self.clock = clock
        self.group = ConsumerGroup(f"{ARN}/group/billing")
        self.group.create(start or StartAt(), clock.now_ms())
        self.is_down = False
        self.answers: asyncio.Event | None = None
        """Heartbeats are answered when this is set: what they say may be old by then."""
        self.checkpoints: list[tuple[str, str]] = []
        self.left: list[str] = []
        self._changed = asyncio.Event()

    async def _call(self) -> int:
        await asyncio.sleep(0)
        if self.is_down:
            raise EventcoreError("the daemon does not answer")
        return self.clock.now_ms()

    def _on_timer(self) -> None:
        """As the host does it."""
        due_ms = self.group.next_deadline()
        if due_ms is not None and due_ms <= self.clock.now_ms():
            change = self.group.change
            self.group.tick(self.clock.now_ms(), limits.TICK_STEPS_MAX)
            self._tell(change)

    def _tell(self, change: int) -> None:
        self.group.check()
        due_ms = self.group.next_deadline()
        if due_ms is not None:
            self.clock.call_at(due_ms, self._on_timer)
        if change != self.group.change:
            self._changed.set()
            self._changed = asyncio.Event()

    async def heartbeat(self, beat: Heartbeat) -> Assignment:
        now_ms = await self._call()
        change = self.group.change
        assignment = self.group.heartbeat(beat, now_ms).value
        self._tell(change)
        if self.answers is not None:
            await self.answers.wait()
        return assignment

    async def wait(self, change: int, wait_ms: int) -> None:
        await self._call()
        if self.group.change != change:
            return
        changed = self._changed
        timer = self.clock.call_at(self.clock.now_ms() + wait_ms, changed.set)
        try:
            await changed.wait()
        finally:
            timer.cancel()
            if self._changed is changed:
                self._changed = asyncio.Event()

    async def checkpoint(self, name: str, worker: str, counter: int, to: Checkpoint) -> Checkpoint:
        now_ms = await self._call()
        change = self.group.change
        stands = self.group.checkpoint(name, worker, counter, to, now_ms).value
        self.checkpoints.append((name, str(to)))
        self._tell(change)
        return stands

    async def release(self, name: str, worker: str, counter: int) -> None:
        await self._call()
        change = self.group.change
        self.group.release(name, worker, counter)
        self._tell(change)

    async def leave(self, worker: str) -> None:
        await self._call()
        change = self.group.change
        self.group.leave(worker)
        self.left.append(worker)
        self._tell(change)

    async def describe(self) -> GroupDescription:
        return self.group.describe(await self._call())

    async def close(self) -> None:
        await asyncio.sleep(0)

    def owners(self) -> dict[str, str]:
        described = self.group.describe(self.clock.now_ms())
        return {lease.shard_id: lease.owner for lease in described.leases if lease.owner}

    def stands(self, number: int) -> str:
        return str(self.group.find(shard_id(number)).checkpoint)


class Crew:
    """Workers on one stream."""

    def __init__(self, shards: int = 1, **options: Any) -> None:
        self.clock = ManualClock()
        self.stream = FakeStream(self.clock, shards)
        self.leases = FakeLeases(self.clock)
        self.options = options
        self.workers: dict[str, StreamWorker] = {}
        self.tasks: dict[str, asyncio.Task[None]] = {}

    async def __aenter__(self) -> Crew:
        return self

    async def __aexit__(self, *_: object) -> None:
        for worker in self.workers.values():
            worker.stop()
        await self.settle()
        for task in self.tasks.values():
            if not task.done():
                task.cancel()
        await asyncio.gather(*self.tasks.values(), return_exceptions=True)

    async def start(self, name: str, handler: Any, **options: Any) -> StreamWorker:
        worker = StreamWorker(
            source=self.stream,
            leases=self.leases,
            handler=handler,
            worker_id=name,
            clock=self.clock,
            **{**self.options, **options},
        )
        self.workers[name] = worker
        self.tasks[name] = asyncio.create_task(worker.run())
        await self.settle()
        return worker

    async def settle(self) -> None:
        """Lets everybody do what can be done at this time."""
        await self.clock.run_for(0, loop_turns=300)

    async def wait(self, duration_ms: int) -> None:
        await self.clock.run_for(duration_ms, loop_turns=60)

    async def kill(self, name: str) -> None:
        """As the death of a process: nothing is given up, nothing is said."""
        worker = self.workers.pop(name)
        leases = FakeLeases(self.clock)
        leases.is_down = True
        worker._leases = leases
        worker._drain_ms = 0
        task = self.tasks.pop(name)
        for consumer in worker._consumers.values():
            consumer.abort()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def texts(records: Sequence[StreamRecord]) -> list[str]:
    return [record.text for record in records]
