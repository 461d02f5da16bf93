"""An engine on a manual clock and a store whose appends end on command or by themselves."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from eventcore.errors import EventcoreError
from eventcore.limits import RELAXED_QUOTAS, Quotas
from eventcore.queues.message import SendEntry
from eventcore.queues.queue_spec import QueueSpec, ReceiveRequest
from eventcore.runtime.engine import Engine, ReceivedMessage
from eventcore.runtime.waiters import Waiter
from eventcore.testing import ManualClock, SeededIds
from tests.simulation.pending_store import PendingStore

PREFIX = "arn:aws:sqs:us-east-1:000000000000:"


class Answer:
    """A reply that notes what it was told, and when."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def commit(self, payload: Any) -> None:
        self.told.append(payload)

    def fail(self, error: EventcoreError) -> None:
        self.told.append(error)

    @property
    def is_waiting(self) -> bool:
        return not self.told

    @property
    def value(self) -> Any:
        assert len(self.told) == 1, self.told
        return self.told[0]


class Poll(Answer):
    """A long poll, answered with the bodies."""

    def __init__(self) -> None:
        super().__init__()
        self.waiter: Waiter | None = None
        self.messages: list[ReceivedMessage] = []


class EngineRig:
    """Each request is a method and gives its Answer; `commit` lets appends through."""

    def __init__(
        self,
        store: PendingStore | None = None,
        clock: ManualClock | None = None,
        *,
        quotas: Quotas = RELAXED_QUOTAS,
        memory_bytes_max: int = 1 << 20,
    ) -> None:
        self.store = store or PendingStore()
        self.clock = clock or ManualClock()
        self.options = {"quotas": quotas, "memory_bytes_max": memory_bytes_max}
        self.engine = Engine(
            self.store,
            clock=self.clock,
            ids=SeededIds(1),
            quotas=quotas,
            memory_bytes_max=memory_bytes_max,
        )

    async def start(self) -> EngineRig:
        await self.engine.start()
        await self.settle()
        return self

    async def settle(self) -> None:
        """Lets the loop turn and every append through, until nothing is left to do."""
        while True:
            await turn()
            if self.store.pending is None:
                return
            self.store.commit()

    async def run_for(self, duration_ms: int) -> None:
        """Time passes; commits get through."""
        target_ms = self.clock.now_ms() + duration_ms
        while (next_ms := self.clock.next_deadline()) is not None and next_ms <= target_ms:
            self.clock.advance_to(max(next_ms, self.clock.now_ms()))
            await self.settle()
        self.clock.advance_to(target_ms)
        await self.settle()

    async def crash(self, *, is_durable: bool = False) -> EngineRig:
        """A new engine on what the store made durable; this one is never heard of again."""
        store = self.store.crash(is_durable=is_durable)
        clock = ManualClock(self.clock.now_ms())
        rig = EngineRig(store, clock, **self.options)  # type: ignore[arg-type]
        return await rig.start()

    def request(self, call: Callable[[Engine], Any]) -> Answer:
        """One request: begin, call, hold."""
        self.engine.begin()
        answer = Answer()
        self.engine.hold(answer, call(self.engine))
        return answer

    def create(self, name: str, **spec: Any) -> Answer:
        return self.request(lambda e: e.create_queue(PREFIX + name, QueueSpec(**spec)))

    def drop(self, name: str) -> Answer:
        return self.request(lambda e: e.delete_queue(PREFIX + name))

    def send(self, name: str, *bodies: str, delay_ms: int | None = None) -> Answer:
        def call(engine: Engine) -> list[bytes]:
            queue = engine.queue(PREFIX + name)
            return [engine.send(queue, SendEntry(body, delay_ms)).id for body in bodies]

        return self.request(call)

    def receive(self, name: str, count: int = 10, timeout_ms: int | None = None) -> Answer:
        request = ReceiveRequest(count, timeout_ms)
        return self.request(lambda e: e.receive(e.queue(PREFIX + name), request))

    def bodies(self, name: str, count: int = 10, timeout_ms: int | None = None) -> list[str]:
        """What a receive would answer, before anything of it is durable."""
        self.engine.begin()
        messages = self.engine.receive(
            self.engine.queue(PREFIX + name), ReceiveRequest(count, timeout_ms)
        )
        return [message.record.body for message in messages]

    def delete(self, name: str, handle: str) -> Answer:
        return self.request(lambda e: e.delete(e.queue(PREFIX + name), handle))

    def change(self, name: str, handle: str, timeout_ms: int) -> Answer:
        return self.request(
            lambda e: e.change_visibility(e.queue(PREFIX + name), handle, timeout_ms)
        )

    def purge(self, name: str) -> Answer:
        return self.request(lambda e: e.purge(e.queue(PREFIX + name)))

    def counts(self, name: str) -> tuple[int, int, int]:
        self.engine.begin()
        found = self.engine.statistics(self.engine.queue(PREFIX + name))
        return found.visible, found.in_flight, found.delayed

    def poll(
        self, name: str, wait_ms: int = 20_000, count: int = 10, timeout_ms: int | None = None
    ) -> Poll:
        """A long poll."""
        self.engine.begin()
        poll = Poll()

        def done(messages: list[ReceivedMessage]) -> None:
            poll.messages = messages
            self.engine.hold(poll, [message.record.body for message in messages])

        poll.waiter = self.engine.receive_when_ready(
            self.engine.queue(PREFIX + name),
            ReceiveRequest(count, timeout_ms),
            wait_ms,
            done,
            poll.fail,
        )
        return poll

    def rows_of(self, component: int) -> int:
        return sum(1 for found, _, _ in self.store.rows.load() if found == component)


async def turn() -> None:
    for _ in range(6):
        await asyncio.sleep(0)
