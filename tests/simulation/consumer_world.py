"""A seeded world of consumer groups: an engine, producers, workers, a clock, and a store that is
slow, fails and crashes.

Workers come and go; some are stopped, some die, some are cut off from their group and go on until
their own clock tells them to stop. Shards are split and merged meanwhile. At the end all faults are
over, and everything that was acknowledged must have been handled: none is lost, none of a partition
key was handled for the first time before one that was put earlier, and no two workers were ever
busy with one partition key at the same time.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any, Final, final

from eventcore.arn import stream_arn
from eventcore.consumers.group import ConsumerGroup
from eventcore.errors import EventcoreError, SourceUnavailable
from eventcore.runtime.consumer import Retry
from eventcore.runtime.engine import Engine
from eventcore.runtime.lease_groups import group_arn
from eventcore.runtime.lease_source import BrokerLeases
from eventcore.runtime.stream_broker import BrokerSource
from eventcore.runtime.stream_handles import Stream
from eventcore.runtime.stream_pauses import Pauses
from eventcore.runtime.stream_source import StreamRecord
from eventcore.runtime.stream_worker import StreamWorker
from eventcore.streams.stream_spec import StreamSpec
from eventcore.testing import ManualClock, SeededIds
from tests.simulation.pending_store import PendingStore

__all__ = ["ConsumerWorld"]

ARN: Final = stream_arn("000000000000", "us-east-1", "orders")
GROUP: Final = "billing"
KEYS: Final = 4
WORKERS_MAX: Final = 4
OPEN_SHARDS_MAX: Final = 6
END_ROUNDS_MAX: Final = 400
STEPS: Final = {
    "put": 40,
    "turn": 30,
    "wait": 25,
    "start": 6,
    "stop": 3,
    "kill": 2,
    "cut_off": 4,
    "join": 1,
    "split": 3,
    "merge": 3,
    "fail": 1,
    "crash": 1,
}


class _Line:
    """A worker's leases, over a line that can be cut."""

    def __init__(self, leases: BrokerLeases) -> None:
        self._leases = leases
        self.is_cut = False

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._leases, name)

        async def call(*arguments: Any) -> Any:
            await asyncio.sleep(0)
            if self.is_cut:
                raise SourceUnavailable("leases", "the line is cut")
            answer = await method(*arguments)
            if self.is_cut:
                raise SourceUnavailable("leases", "the answer is lost")
            return answer

        return call


@final
class ConsumerWorld:
    """One world; `run` takes it through its steps and to its end."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.seed = seed
        self.clock = ManualClock()
        self.store = PendingStore()
        self.engine = self._new_engine()
        self.mode: dict[str, Any] = {
            "checkpoint": self.chance.choice(["batch", "record"]),
            "concurrency": self.chance.choice([1, 3]),
            "lease_ms": self.chance.choice([1_000, 5_000]),
            "handover_ms": self.chance.choice([200, 5_000]),
            "batch_max": self.chance.choice([2, 1_000]),
        }
        self.sent: dict[str, int] = {str(key): 0 for key in range(KEYS)}
        self.acknowledged: set[tuple[str, int]] = set()
        self.handled: list[tuple[str, int]] = []
        self.workers: dict[str, tuple[StreamWorker, _Line, asyncio.Task[None]]] = {}
        self.others: set[asyncio.Task[Any]] = set()
        self.born = 0
        self.busy: dict[str, list[str]] = {}
        self.clashes: list[tuple[str, ...]] = []
        self.is_calm = False

    def _new_engine(self) -> Engine:
        return Engine(self.store, clock=self.clock, ids=SeededIds(self.chance.getrandbits(32)))

    async def run(self, steps: int) -> None:
        """Takes the world through its steps, and checks its end."""
        await self.engine.start()
        self.engine.begin()
        self.engine.streams.create(ARN, StreamSpec(), 2)
        await self._loop(3)
        self._commit()
        names, weights = list(STEPS), list(STEPS.values())
        try:
            for _ in range(steps):
                (name,) = self.chance.choices(names, weights)
                await getattr(self, f"_{name}")()
                await self._loop(self.chance.randrange(1, 6))
                self._check_group()
            await self._end()
            self._check()
        finally:
            await self._bury()

    # What happens

    async def _put(self) -> None:
        for _ in range(self.chance.choice([1, 1, 8])):
            key = str(self.chance.randrange(KEYS))
            self._do(self._put_one(key, self.sent[key]))
            self.sent[key] += 1

    async def _put_one(self, key: str, number: int) -> None:
        await Stream(self.engine, ARN).put(str(number), partition_key=key)
        self.acknowledged.add((key, number))

    async def _turn(self) -> None:
        self._commit()

    async def _wait(self) -> None:
        end_ms = self.clock.now_ms() + self.chance.choice([1, 20, 300, 2_000])
        while (due_ms := self.clock.next_deadline()) is not None and due_ms <= end_ms:
            self.clock.advance_to(max(due_ms, self.clock.now_ms()))
            await self._loop(6)
            if self.chance.random() < 0.7:
                self._commit()
                await self._loop(6)
        self.clock.advance_to(max(end_ms, self.clock.now_ms()))

    async def _start(self) -> None:
        if len(self.workers) >= WORKERS_MAX:
            return
        name = f"w{self.born}"
        self.born += 1
        line = _Line(BrokerLeases(self.engine, ARN, GROUP))
        worker = StreamWorker(
            source=BrokerSource(self.engine, ARN),
            leases=line,
            handler=self._handler_of(name),
            worker_id=name,
            clock=self.clock,
            drain_ms=60_000,
            **self.mode,
        )
        self.workers[name] = (worker, line, asyncio.ensure_future(worker.run()))

    def _handler_of(self, name: str) -> Callable[[StreamRecord], Awaitable[None]]:
        async def handle(record: StreamRecord) -> None:
            busy = self.busy.setdefault(record.partition_key, [])
            busy.append(name)
            if len(busy) > 1:
                self.clashes.append((record.partition_key, *busy))
            try:
                await self._handle(record)
            finally:
                busy.remove(name)

        return handle

    async def _handle(self, record: StreamRecord) -> None:
        chance = 1.0 if self.is_calm else self.chance.random()
        if chance < 0.05:
            raise ValueError("a fault of the handler")
        if chance < 0.1:
            raise Retry(delay_ms=50)
        if chance < 0.5:
            await Pauses(self.clock).sleep(self.chance.choice([1, 300, 1_500]))
        else:
            await asyncio.sleep(0)
        self.handled.append((record.partition_key, int(record.text)))

    def _any(self) -> str | None:
        return self.chance.choice(sorted(self.workers)) if self.workers else None

    async def _stop(self) -> None:
        if (name := self._any()) is not None:
            worker, _, task = self.workers.pop(name)
            worker.stop()
            self.others.add(task)

    async def _kill(self) -> None:
        if (name := self._any()) is not None:
            worker, line, task = self.workers.pop(name)
            self._end_at_once(worker, line, task)

    def _end_at_once(self, worker: StreamWorker, line: _Line, task: asyncio.Task[None]) -> None:
        line.is_cut = True
        worker._drain_ms = 0
        for consumer in worker._consumers.values():
            consumer.abort()
        task.cancel()
        self.others.add(task)

    async def _cut_off(self) -> None:
        if (name := self._any()) is not None:
            self.workers[name][1].is_cut = True

    async def _join(self) -> None:
        for _, line, _ in self.workers.values():
            line.is_cut = False

    async def _split(self) -> None:
        shards = self._open_shards()
        if shards and len(shards) < OPEN_SHARDS_MAX:
            self._do(Stream(self.engine, ARN).split(self.chance.choice(shards)))

    async def _merge(self) -> None:
        shards = self._open_shards()
        if len(shards) > 1:
            at = self.chance.randrange(len(shards) - 1)
            self._do(Stream(self.engine, ARN).merge(shards[at], shards[at + 1]))

    def _open_shards(self) -> list[str]:
        try:
            self.engine.begin()
            views = self.engine.streams.shards(self.engine.streams.find(ARN))
        except EventcoreError:
            return []
        ranges = sorted((view.first_hash, view.id) for view in views if view.end is None)
        return [name for _, name in ranges]

    async def _fail(self) -> None:
        if self.store.pending is not None:
            self.store.fail(is_durable=self.chance.random() < 0.5)

    async def _crash(self) -> None:
        """The process of the engine dies, with all workers in it."""
        for worker, line, task in self.workers.values():
            self._end_at_once(worker, line, task)
        self.workers.clear()
        await self._bury()
        self.store = self.store.crash(is_durable=self.chance.random() < 0.5)
        self.clock = ManualClock(self.clock.now_ms())
        self.engine = self._new_engine()
        await self.engine.start()

    def _do(self, action: Any) -> None:
        async def act() -> None:
            try:
                await action
            except EventcoreError:
                pass  # a store that fails, or a shard that is closed meanwhile: nobody was told

        self.others.add(asyncio.ensure_future(act()))

    # How it goes on

    def _commit(self) -> None:
        if self.store.pending is not None:
            self.store.commit()

    async def _loop(self, turns: int) -> None:
        for _ in range(turns):
            await asyncio.sleep(0)
        self.others = {task for task in self.others if not task.done()}

    async def _bury(self) -> None:
        """What is left of workers and producers ends; the store answers nobody any more."""
        for worker, line, task in self.workers.values():
            self._end_at_once(worker, line, task)
        self.workers.clear()
        for task in list(self.others):
            task.cancel()
        await asyncio.gather(*self.others, return_exceptions=True)
        self.others.clear()

    async def _end(self) -> None:
        """No more faults: two workers have all the time that they need."""
        self.is_calm = True
        await self._join()
        while len(self.workers) < 2:
            await self._start()
        for _ in range(END_ROUNDS_MAX):
            await self._wait()
            for _ in range(20):
                self._commit()
                await self._loop(10)
            if self.acknowledged <= set(self.handled) and self._is_settled():
                return
        missing = sorted(self.acknowledged - set(self.handled))
        raise AssertionError(f"seed {self.seed}: not handled {missing[:10]}; {self._group()}")

    def _group(self) -> ConsumerGroup | None:
        machine = self.engine.find(group_arn(ARN, GROUP))
        assert machine is None or isinstance(machine, ConsumerGroup)
        return machine

    def _is_settled(self) -> bool:
        group = self._group()
        if group is None:
            return False
        leases = group.describe(self.clock.now_ms()).leases
        loads = [sum(lease.owner == name for lease in leases) for name in self.workers]
        return max(loads) - min(loads) <= 1 and sum(loads) == len(self._open_shards())

    def _check_group(self) -> None:
        group = self._group()
        if group is not None and self.engine.is_ready:
            group.check()

    def _check(self) -> None:
        assert not self.clashes, f"seed {self.seed}: at the same time {self.clashes[:5]}"
        for key in self.sent:
            firsts = list(dict.fromkeys(number for k, number in self.handled if k == key))
            assert firsts == sorted(firsts), f"seed {self.seed}: key {key} {firsts}"
