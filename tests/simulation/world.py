"""A seeded world: an engine, clients, a clock, and a store that fails and crashes.

Every step is one draw of one random generator, so a seed replays exactly. After each step the
machines' invariants and the ledger are checked; after each reload and at quiet moments the machines
are compared with ones made from the stored rows.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any, Final, final

from eventcore.errors import (
    InvalidParameter,
    InvalidReceiptHandle,
    NotFound,
    StoreUnavailable,
)
from eventcore.outcome import row_key
from eventcore.queues.message import SendEntry, decode_message
from eventcore.queues.queue import QueueMachine
from eventcore.queues.queue_spec import QueueSpec, ReceiveRequest, RedrivePolicy
from eventcore.queues.records import MESSAGE
from eventcore.runtime.engine import Engine, ReceivedMessage
from eventcore.runtime.waiters import Waiter
from eventcore.testing import ManualClock, SeededIds
from tests.simulation.ledger import Call, Ledger, Record
from tests.simulation.pending_store import PendingStore

__all__ = ["World"]

PREFIX: Final = "arn:aws:sqs:us-east-1:000000000000:"
HOURS_12_MS: Final = 43_200_000
LONG_MS: Final = 1_209_600_000
SHORT_MS: Final = 60_000
SPECS: Final = {
    "main": QueueSpec(
        visibility_timeout_ms=5_000,
        retention_ms=LONG_MS,
        redrive=RedrivePolicy(PREFIX + "dead", 3),
    ),
    "dead": QueueSpec(visibility_timeout_ms=2_000, retention_ms=LONG_MS),
    "short": QueueSpec(visibility_timeout_ms=1_000, retention_ms=SHORT_MS, delay_ms=500),
    "brief": QueueSpec(retention_ms=LONG_MS),
}
NAMES: Final = tuple(SPECS)
WEIGHTS: Final = {
    "send": 24,
    "receive": 22,
    "delete": 18,
    "change": 6,
    "poll": 5,
    "cancel": 1,
    "purge": 1,
    "create": 3,
    "drop": 1,
    "wait": 14,
    "commit": 30,
    "turn": 10,
    "fail_before": 2,
    "fail_after": 2,
    "crash_before": 1,
    "crash_after": 1,
}


@final
class World:
    """One world. `run` takes it through its steps and to its end."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.chance = random.Random(seed)
        self.clock = ManualClock()
        self.store = PendingStore()
        self.ledger = Ledger({name: spec.retention_ms for name, spec in SPECS.items()})
        self.memory_bytes_max = self.chance.choice([0, 600, 1 << 20])
        self.polls: list[Waiter] = []
        self.trace: list[str] = []
        self.counts = dict.fromkeys(WEIGHTS, 0)
        self.places: dict[str, str] = {}
        self.sent = 0
        self.breach: BaseException | None = None
        self._was_ready = True
        self.engine = self._new_engine()

    def _new_engine(self) -> Engine:
        ids = SeededIds(self.chance.randrange(1 << 30))
        return Engine(self.store, clock=self.clock, ids=ids, memory_bytes_max=self.memory_bytes_max)

    async def run(self, steps: int) -> None:
        """So many random steps, then the end: everything that is there must be receivable."""
        asyncio.get_running_loop().set_exception_handler(self._note_breach)
        await self._start()
        for name in NAMES:
            self._create_queue(name)
        names, weights = list(WEIGHTS), list(WEIGHTS.values())
        for _ in range(steps):
            name = self.chance.choices(names, weights)[0]
            await self._step(name)
        await self._drain()

    async def _step(self, name: str) -> None:
        action: Callable[[], object] = getattr(self, f"_{name}")
        self.trace.append(f"{self.clock.now_ms()} {name}")
        self.counts[name] += 1
        try:
            found = action()
            if asyncio.iscoroutine(found):
                await found
        except (StoreUnavailable, NotFound) as error:
            self._note(type(error).__name__)
        self._check()

    def _note_breach(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """An exception in a callback of the loop: the step that is running ends with it."""
        self.breach = self.breach or context.get("exception") or RuntimeError(context["message"])

    def _note(self, text: str) -> None:
        self.trace[-1] += f" {text}"

    # Clients

    def _queue(self) -> QueueMachine:
        name = self.chance.choices(NAMES, [8, 3, 3, 2])[0]
        self._note(name)
        self.engine.begin()
        return self.engine.queue(PREFIX + name)

    def _call(self, kind: str, records: list[Record]) -> None:
        self.engine.hold(Call(self.ledger, kind, records), None)

    def _send(self) -> None:
        queue = self._queue()
        records = []
        for _ in range(self.chance.choice([1, 1, 1, 3])):
            self.sent += 1
            delay_ms = self.chance.choice([None, None, 0, 300, 4_000])
            body = f"m{self.sent}" + "x" * self.chance.choice([0, 200])
            self.engine.send(queue, SendEntry(body, delay_ms))
            hidden_ms = queue.spec.delay_ms if delay_ms is None else delay_ms
            records.append(self.ledger.send(queue.name, body, self.clock.now_ms(), hidden_ms))
            self._note(body[:8].rstrip("x"))
        self._call("send", records)

    def _request(self, queue: QueueMachine) -> tuple[ReceiveRequest, int]:
        timeout_ms = self.chance.choice([None, None, 0, 400, 9_000, HOURS_12_MS])
        request = ReceiveRequest(self.chance.randint(1, 10), timeout_ms)
        return request, queue.spec.visibility_timeout_ms if timeout_ms is None else timeout_ms

    def _received(self, name: str, messages: list[ReceivedMessage], timeout_ms: int) -> None:
        records = [
            self.ledger.receive(
                name,
                message.record.body,
                message.receives,
                message.receipt_handle,
                self.clock.now_ms(),
                timeout_ms,
            )
            for message in messages
        ]
        self._note(f"<{','.join(r.body.rstrip('x') for r in records)}>")
        self._call("receive", records + self._moved())

    def _receive(self) -> None:
        queue = self._queue()
        request, timeout_ms = self._request(queue)
        self._received(queue.name, self.engine.receive(queue, request), timeout_ms)

    def _poll(self) -> None:
        queue = self._queue()
        request, timeout_ms = self._request(queue)
        name, engine = queue.name, self.engine

        def done(messages: list[ReceivedMessage]) -> None:
            if engine is not self.engine:
                return  # the crashed one has a turn of the loop left
            self._received(name, messages, timeout_ms)

        wait_ms = self.chance.choice([500, 3_000, 20_000])
        waiter = self.engine.receive_when_ready(queue, request, wait_ms, done)
        if waiter is not None:
            self.polls.append(waiter)

    def _cancel(self) -> None:
        if self.polls:
            self.polls.pop(self.chance.randrange(len(self.polls))).cancel()

    def _known_handle(self) -> tuple[Record, str, str] | None:
        """A message, and one of its handles: mostly the latest."""
        known = [r for r in self.ledger.records.values() if r.handles]
        if not known:
            return None
        record = self.chance.choice(known[-12:])
        at = -1 if self.chance.random() < 0.8 else self.chance.randrange(len(record.handles))
        name, handle = record.handles[at]
        self._note(f"{record.body.rstrip('x')}/{record.receives} in {name}")
        return record, name, handle

    def _delete(self) -> None:
        found = self._known_handle()
        if found is None:
            return
        record, name, handle = found
        self.engine.begin()
        try:
            self.engine.delete(self.engine.queue(PREFIX + name), handle)
        except InvalidReceiptHandle:
            self._note("foreign")
            return
        is_gone = record.body not in self._contents()
        self._call("delete", self.ledger.delete(record, handle, is_gone=is_gone))

    def _change(self) -> None:
        found = self._known_handle()
        if found is None:
            return
        record, name, handle = found
        timeout_ms = self.chance.choice([0, 0, 800, 6_000])
        is_latest = record.is_handle_known and record.is_there and handle == record.handle
        self.engine.begin()
        queue = self.engine.queue(PREFIX + name)
        try:
            self.engine.change_visibility(queue, handle, timeout_ms)
        except InvalidReceiptHandle:
            return
        except InvalidParameter as error:
            is_over = error.name == "visibility_timeout_ms"
            is_expired = self.clock.now_ms() >= record.sent_ms + queue.spec.retention_ms
            assert is_over or is_expired or not is_latest, "the latest handle was refused"
            return
        assert is_latest or not record.is_handle_known, "an old handle opened"
        self.ledger.change(record, self.clock.now_ms(), timeout_ms)
        self._call("change", [record])

    def _purge(self) -> None:
        queue = self._queue()
        bodies = [b for b, place in self._contents().items() if place == queue.name]
        self.engine.purge(queue)
        self._call("purge", self.ledger.gone(bodies))

    def _create(self) -> None:
        missing = [name for name in NAMES if self.engine.find(PREFIX + name) is None]
        name = self.chance.choice(missing or NAMES)
        self._note(name)
        self._create_queue(name)

    def _create_queue(self, name: str) -> None:
        self.engine.begin()
        self.engine.create_queue(PREFIX + name, SPECS[name])
        self._call("create", [])

    def _drop(self) -> None:
        name = self.chance.choice(["brief", "brief", "dead"])
        self._note(name)
        self.engine.begin()
        self.engine.queue(PREFIX + name)
        bodies = [b for b, place in self._contents().items() if place == name]
        self.engine.delete_queue(PREFIX + name)
        self._call("drop", self.ledger.gone(bodies))

    # Time, store and faults

    async def _wait(self) -> None:
        """Some time, or until just before the next thing that time does."""
        now_ms = self.clock.now_ms()
        next_ms = self.clock.next_deadline()
        if next_ms is not None and next_ms > now_ms and self.chance.random() < 0.3:
            self.clock.advance_to(next_ms - 1)
        else:
            self.clock.advance(self.chance.choice([0, 1, 200, 1_000, 5_000, 30_000]))
        await _turn(1)

    async def _turn(self) -> None:
        await _turn(self.chance.randint(1, 4))

    async def _commit(self) -> None:
        await _turn(1)
        if self.store.pending is not None:
            self.store.commit()

    async def _fail_before(self) -> None:
        await self._fail(is_durable=False)

    async def _fail_after(self) -> None:
        await self._fail(is_durable=True)

    async def _fail(self, *, is_durable: bool) -> None:
        if self.store.pending is None:
            return
        self.store.fail(is_durable=is_durable)
        self.ledger.failed_commit()
        self._was_ready = False

    async def _crash_before(self) -> None:
        await self._crash(is_durable=False)

    async def _crash_after(self) -> None:
        await self._crash(is_durable=True)

    async def _crash(self, *, is_durable: bool) -> None:
        self.store = self.store.crash(is_durable=is_durable)
        self.clock = ManualClock(self.clock.now_ms())
        self.polls.clear()
        self.ledger.crashed()
        self.engine = self._new_engine()
        await self._start()

    async def _start(self) -> None:
        await self.engine.start()
        self._was_ready = False

    # Checks

    def _queues(self) -> list[QueueMachine]:
        found = [self.engine.find(PREFIX + name) for name in NAMES]
        return [queue for queue in found if isinstance(queue, QueueMachine)]

    def _contents(self) -> dict[str, str]:
        """Which queue holds each message; a message in two queues is a breach."""
        places: dict[str, str] = {}
        for queue in self._queues():
            seat = self.engine.host.seat_of(queue)
            for number, entry in queue._entries.items():
                (row,) = [
                    entry.record or self.engine.host.read(seat, [row_key(MESSAGE, number)])[0]
                ]
                assert row is not None, "a message in memory has no row"
                body = decode_message(row).body
                assert body not in places, f"{body} is in two queues"
                places[body] = queue.name
        return places

    def _moved(self) -> list[Record]:
        """Messages that were dead-lettered since the last look."""
        if not self.engine.is_ready:
            return []
        places = self._contents()
        moved = [
            self.ledger.records[body]
            for body, place in places.items()
            if self.places.get(body, place) != place
        ]
        for record in moved:
            if record.handles and record.handles[-1][0] != places[record.body]:
                self.ledger.moved(record)
        self.places = places
        return moved

    def _check(self) -> None:
        if self.breach is not None:
            raise self.breach
        if not self.engine.is_ready:
            return
        for queue in self._queues():
            queue.check()
        self.engine._directory.check()
        contents = self._contents()
        if not self._was_ready:
            self._was_ready = True
            self.places = contents
            self.ledger.reloaded(contents)
        self._moved()
        self.ledger.compare(contents, self.clock.now_ms())
        if self.engine.host.has_reached(self.engine.host.mark()) and self.store.pending is None:
            self.ledger.durable()
            self._compare_with_rows()

    def _compare_with_rows(self) -> None:
        """Nothing is staged: the machines must be what their rows make of new ones."""
        fresh = Engine(self.store, clock=self.clock, memory_bytes_max=self.memory_bytes_max)
        take = fresh._rebuild()
        for component, key, value in self.store.rows.load():
            take(component, key, value)
        for queue in self._queues():
            other = fresh.find(queue.arn)
            assert other is not None, f"{queue.name} has no rows"
            assert _durable(other) == _durable(queue), f"{queue.name} differs from its rows"
        assert len(fresh._machines) == len(self._queues())

    # The end

    async def _settle(self) -> None:
        while True:
            await _turn(6)
            if self.store.pending is None:
                return
            self.store.commit()

    async def _drain(self) -> None:
        """Everybody comes back, nothing fails any more: what is there can be received."""
        self.trace.append("drain")
        await self._settle()
        for waiter in self.polls:
            waiter.cancel()
        await self._advance(HOURS_12_MS)
        self._check()
        for name in (queue.name for queue in self._queues()):
            self.trace.append(f"drain {name}")
            while self.engine.queue(PREFIX + name).has_ready:
                self.engine.begin()
                queue = self.engine.queue(PREFIX + name)
                request = ReceiveRequest(10, HOURS_12_MS)
                self._received(name, self.engine.receive(queue, request), HOURS_12_MS)
                await self._settle()
        self._check()
        assert not self.ledger.calls, "a call was never answered"
        for record in self.ledger.records.values():
            is_received = record.hidden_until_ms >= self.clock.now_ms()
            is_expired = self.ledger.is_expired(record, self.clock.now_ms())
            assert is_received or is_expired or not record.is_there, f"{record.body} is lost"

    async def _advance(self, duration_ms: int) -> None:
        target_ms = self.clock.now_ms() + duration_ms
        while (next_ms := self.clock.next_deadline()) is not None and next_ms <= target_ms:
            self.clock.advance_to(max(next_ms, self.clock.now_ms()))
            await self._settle()
        self.clock.advance_to(target_ms)
        await self._settle()


def _durable(queue: QueueMachine) -> dict[int, tuple[int, ...]]:
    return {
        n: (e.sent_ms, e.receives, e.first_received_ms, e.received_ms, e.token)
        for n, e in queue._entries.items()
    }


async def _turn(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)
