"""A seeded world: an engine, clients, a clock, and a store that fails and crashes.

Every step is one draw of one random generator, so a seed replays exactly. After each step the
machines' invariants and the ledger are checked; after each reload and at quiet moments the machines
are compared with ones made from the stored rows.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any, Final, NamedTuple, final

from eventcore.errors import (
    AlreadyExists,
    InvalidParameter,
    InvalidReceiptHandle,
    LimitExceeded,
    NotFound,
    StoreUnavailable,
)
from eventcore.outcome import row_key
from eventcore.queues.fifo import FifoQueue
from eventcore.queues.message import SendEntry, decode_message
from eventcore.queues.queue import QueueMachine
from eventcore.queues.queue_spec import ReceiveRequest
from eventcore.queues.records import MESSAGE
from eventcore.runtime.engine import Engine, ReceivedMessage
from eventcore.runtime.waiters import Waiter
from eventcore.testing import ManualClock, SeededIds
from tests.simulation.fifo_promises import FifoPromises, Sent
from tests.simulation.ledger import Call, Ledger, Record
from tests.simulation.pending_store import PendingStore
from tests.simulation.queues import (
    DEAD_NAMES,
    HOURS_12_MS,
    NAMES,
    PREFIX,
    SPECS,
    USE,
    changed_spec,
)

__all__ = ["World"]

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
    "configure": 2,
    "move": 3,
    "cancel_move": 1,
    "wait": 14,
    "commit": 30,
    "turn": 10,
    "fail_before": 2,
    "fail_after": 2,
    "crash_before": 1,
    "crash_after": 1,
}


class Place(NamedTuple):
    """Where a message is, its number there, and its send time."""

    queue: str
    number: int
    sent_ms: int


@final
class World:
    """One world. `run` takes it through its steps and to its end."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.chance = random.Random(seed)
        self.clock = ManualClock()
        self.store = PendingStore()
        self.ledger = Ledger({name: spec.retention_ms for name, spec in SPECS.items()})
        self.promises = FifoPromises()
        self.memory_bytes_max = self.chance.choice([0, 600, 1 << 20])
        self.polls: list[Waiter] = []
        self.trace: list[str] = []
        self.counts = dict.fromkeys(WEIGHTS, 0)
        self.places: dict[str, Place] = {}
        """Where each message was at the last look."""
        self.tasks: list[str] = []
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
        except (StoreUnavailable, NotFound, LimitExceeded) as error:
            self._note(type(error).__name__)
        self._check()

    def _note_breach(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """An exception in a callback of the loop: the step that is running ends with it."""
        self.breach = self.breach or context.get("exception") or RuntimeError(context["message"])

    def _note(self, text: str) -> None:
        self.trace[-1] += f" {text}"

    # Clients

    def _queue(self, action: str | None = None) -> QueueMachine:
        name = self.chance.choices(NAMES, USE)[0]
        self._note(name)
        self.engine.begin()
        queue = self.engine.queue(PREFIX + name)
        if action is not None:
            self.engine.admit(queue, action)
        return queue

    def _call(
        self, kind: str, records: list[Record], on_commit: Callable[[], None] | None = None
    ) -> None:
        self.engine.hold(Call(self.ledger, kind, records, on_commit), None)

    def _send(self) -> None:
        queue = self._queue("send")
        records: list[Record] = []
        sent: list[Sent] = []
        for _ in range(self.chance.choice([1, 1, 1, 3])):
            self.sent += 1
            body = f"m{self.sent}" + "x" * self.chance.choice([0, 200])
            self._note(body[:8].rstrip("x"))
            if queue.is_fifo:
                self._send_in_order(queue, body, records, sent)
            else:
                records.append(self._send_one(queue, body))
        self._call("send", records, lambda: self.promises.sure(sent))

    def _send_one(self, queue: QueueMachine, body: str) -> Record:
        delay_ms = self.chance.choice([None, None, 0, 300, 4_000])
        group = self.chance.choice([None, "a", "a", "b"])
        self.engine.send(queue, SendEntry(body, delay_ms, group_id=group))
        hidden_ms = queue.spec.delay_ms if delay_ms is None else delay_ms
        return self.ledger.send(queue.name, body, self.clock.now_ms(), hidden_ms)

    def _send_in_order(
        self, queue: QueueMachine, body: str, records: list[Record], sent: list[Sent]
    ) -> None:
        group = self.chance.choice("aabc")
        key = f"k{self.chance.randrange(40)}" if self.chance.random() < 0.5 else body
        entry = SendEntry(body, group_id=group, deduplication_id=key[:100])
        result = self.engine.send(queue, entry)
        found, is_new = self.promises.sent(queue.name, key, result, self.clock.now_ms())
        sent.append(found)
        if is_new:
            record = self.ledger.send(queue.name, body, self.clock.now_ms(), 0)
            record.group = group
            records.append(record)
        else:
            self._note("duplicate")

    def _request(self, queue: QueueMachine) -> tuple[ReceiveRequest, int]:
        timeout_ms = self.chance.choice([None, None, 0, 400, 9_000, HOURS_12_MS])
        attempt = self.chance.choice([None, None, "x", "y"]) if queue.is_fifo else None
        request = ReceiveRequest(self.chance.randint(1, 10), timeout_ms, attempt_id=attempt)
        return request, queue.spec.visibility_timeout_ms if timeout_ms is None else timeout_ms

    def _received(self, name: str, messages: list[ReceivedMessage], timeout_ms: int) -> None:
        moved = self._moved()
        queue = self.engine.queue(PREFIX + name)
        until_ms = self.clock.now_ms() + timeout_ms
        records = [self._given(queue, message, until_ms) for message in messages]
        self._note(f"<{','.join(r.body.rstrip('x') for r in records)}>")
        if queue.is_fifo:
            there = {
                body: (place.number, self.ledger.records[body].group or "")
                for body, place in self.places.items()
                if place.queue == name
            }
            given = [(message.record.body, message.sequence - 1) for message in messages]
            self.promises.check_order(given, there)
        self._call("receive", records + moved)

    def _given(self, queue: QueueMachine, message: ReceivedMessage, until_ms: int) -> Record:
        body, now_ms = message.record.body, self.clock.now_ms()
        known = self.ledger.records.get(body)
        handle = (queue.name, message.receipt_handle)
        if queue.is_fifo and known is not None and handle in known.handles:
            return self.ledger.repeated(known, message.receives, handle[1], until_ms)
        if queue.is_fifo and known is not None and not known.life and not known.handles:
            assert now_ms >= known.sent_ms + queue.spec.delay_ms, f"{body} is delayed"
        is_doubled = queue.spec.chaos is not None
        hidden_ms = 0 if is_doubled else until_ms - now_ms
        return self.ledger.receive(queue.name, body, message.receives, handle[1], now_ms, hidden_ms)

    def _receive(self) -> None:
        queue = self._queue("receive")
        request, timeout_ms = self._request(queue)
        self._received(queue.name, self.engine.receive(queue, request), timeout_ms)

    def _poll(self) -> None:
        queue = self._queue("receive")
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

    def _is_open(self, record: Record, name: str, handle: str) -> bool:
        """Whether this surely is the latest handle of a message that is there, and counts."""
        is_latest = record.is_handle_known and record.is_there and handle == record.handle
        is_fifo = SPECS[name].is_fifo
        return is_latest and (not is_fifo or self.clock.now_ms() < record.hidden_until_ms)

    def _delete(self) -> None:
        found = self._known_handle()
        if found is None:
            return
        record, name, handle = found
        self.engine.begin()
        queue = self.engine.queue(PREFIX + name)
        was_there = self._contents().get(record.body) == name
        is_open = self._is_open(record, name, handle)
        try:
            self.engine.delete(queue, handle)
        except InvalidReceiptHandle:
            self._note("foreign")
            return
        except InvalidParameter:
            assert queue.is_fifo and not is_open, "the latest handle was refused"
            self._note("expired")
            return
        is_gone = record.body not in self._contents()
        if queue.is_fifo and was_there and is_gone and record.is_handle_known:
            assert is_open, "deleted with a handle that had expired"
        self._call("delete", self.ledger.delete(record, handle, is_gone=is_gone))

    def _change(self) -> None:
        found = self._known_handle()
        if found is None:
            return
        record, name, handle = found
        timeout_ms = self.chance.choice([0, 0, 800, 6_000])
        is_open = self._is_open(record, name, handle)
        self.engine.begin()
        queue = self.engine.queue(PREFIX + name)
        try:
            self.engine.change_visibility(queue, handle, timeout_ms)
        except InvalidReceiptHandle:
            return
        except InvalidParameter as error:
            is_over = error.name == "visibility_timeout_ms"
            is_expired = self.clock.now_ms() >= record.sent_ms + queue.spec.retention_ms
            assert is_over or is_expired or not is_open, "the latest handle was refused"
            return
        assert is_open or not record.is_handle_known, "an old handle opened"
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
        try:
            self.engine.create_queue(PREFIX + name, SPECS[name])
        except (AlreadyExists, InvalidParameter) as error:  # changed, or its dead letters denied
            self._note(type(error).__name__)
            return
        self._call("create", [])

    def _drop(self) -> None:
        name = self.chance.choice(["brief", "brief", *DEAD_NAMES])
        self._note(name)
        self.engine.begin()
        self.engine.queue(PREFIX + name)
        bodies = [b for b, place in self._contents().items() if place == name]
        self.engine.delete_queue(PREFIX + name)
        self.promises.dropped(name)
        self._call("drop", self.ledger.gone(bodies))

    def _configure(self) -> None:
        queue = self._queue()
        try:
            self.engine.set_queue_spec(queue, changed_spec(self.chance, queue.name))
        except InvalidParameter as error:
            if error.name != "redrive":
                raise
            self._note("denied")
            return
        self._call("configure", [])

    def _move(self) -> None:
        name = self.chance.choice(DEAD_NAMES)
        others = ["line.fifo"] if name.endswith(".fifo") else ["brief", "main"]
        destination = self.chance.choice([None, None, PREFIX + self.chance.choice(others)])
        rate = self.chance.choice([None, 3, 100])
        self._note(f"{name} {rate}")
        self.engine.begin()
        try:
            handle = self.engine.start_move(self.engine.queue(PREFIX + name), destination, rate)
        except InvalidParameter as error:
            if error.name not in ("source_arn", "request"):
                raise
            self._note(error.name)
            return
        self.tasks.append(handle)
        self._call("move", [])

    def _cancel_move(self) -> None:
        if not self.tasks:
            return
        self.engine.begin()
        try:
            moved = self.engine.cancel_move(self.chance.choice(self.tasks[-4:]))
        except InvalidParameter:
            self._note("over")
            return
        self._note(f"after {moved}")
        self._call("cancel_move", [])

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
        """Which queue holds each message."""
        return {body: place.queue for body, place in self._find_places().items()}

    def _find_places(self) -> dict[str, Place]:
        """Where each message is; one in two queues is a breach."""
        places: dict[str, Place] = {}
        for queue in self._queues():
            seat = self.engine.host.seat_of(queue)
            for number, entry in queue._entries.items():
                (row,) = [
                    entry.record or self.engine.host.read(seat, [row_key(MESSAGE, number)])[0]
                ]
                assert row is not None, "a message in memory has no row"
                body = decode_message(row).body
                assert body not in places, f"{body} is there twice"
                places[body] = Place(queue.name, number, entry.sent_ms)
        return places

    def _moved(self) -> list[Record]:
        """Messages that were dead-lettered since the last look; those that a task moved are noted
        as well.
        """
        if not self.engine.is_ready:
            return []
        if not self._was_ready:
            self._was_ready = True
            self._reloaded()
        places, dead = self._find_places(), []
        for body, place in places.items():
            old = self.places.get(body, place)
            if old == place:
                continue
            record = self.ledger.records[body]
            if old.queue in DEAD_NAMES or place.queue not in DEAD_NAMES:
                self.ledger.renewed(record, place.sent_ms)
            else:
                dead.append(record)
                self.ledger.moved(record, place.sent_ms)
        self._check_moves(places)
        self.places = places
        return dead

    def _check_moves(self, places: dict[str, Place]) -> None:
        """What leaves a FIFO queue keeps the order of its group."""
        moves: dict[tuple[str, str, str], list[tuple[int, int]]] = {}
        for body, place in places.items():
            old = self.places.get(body, place)
            if old.queue != place.queue and place.queue.endswith(".fifo"):
                way = (old.queue, place.queue, self.ledger.records[body].group or "")
                moves.setdefault(way, []).append((old.number, place.number))
        for way, numbers in moves.items():
            assert [n for _, n in sorted(numbers)] == sorted(n for _, n in numbers), way

    def _check(self) -> None:
        if self.breach is not None:
            raise self.breach
        if not self.engine.is_ready:
            return
        for queue in self._queues():
            queue.check()
        self.engine._directory.check()
        self._moved()
        self.ledger.compare(self._contents(), self.clock.now_ms())
        if self.engine.host.has_reached(self.engine.host.mark()) and self.store.pending is None:
            self.ledger.durable()
            self._compare_with_rows()

    def _reloaded(self) -> None:
        """Moves that nobody had seen are there now, and others are undone."""
        self.ledger.reloaded(self._contents())
        before, self.places = self.places, self._find_places()
        for body, place in self.places.items():
            record = self.ledger.records[body]
            record.sent_ms = min(record.sent_ms, place.sent_ms)
            if before.get(body, place) != place:
                self.ledger.renewed(record, place.sent_ms)

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
            if isinstance(queue, FifoQueue):
                now_ms = self.clock.now_ms()
                found = [_remembered(each, now_ms) for each in (queue, other)]
                assert found[0] == found[1], f"{queue.name} remembers other ids than its rows"
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
                assert not queue.is_moving, f"a task of {name} does not end"
                request = ReceiveRequest(10, HOURS_12_MS)
                messages = self.engine.receive(queue, request)
                self._received(name, messages, HOURS_12_MS)
                if queue.is_fifo or queue.spec.chaos is not None:  # else there is no end of them
                    self._delete_all(queue, messages)
                await self._settle()
        self._check()
        assert not self.ledger.calls, "a call was never answered"
        for record in self.ledger.records.values():
            is_received = record.hidden_until_ms >= self.clock.now_ms()
            is_expired = self.ledger.is_expired(record, self.clock.now_ms())
            assert is_received or is_expired or not record.is_there, f"{record.body} is lost"

    def _delete_all(self, queue: QueueMachine, messages: list[ReceivedMessage]) -> None:
        self.engine.begin()
        records = []
        for message in messages:
            self.engine.delete(queue, message.receipt_handle)
            record = self.ledger.records[message.record.body]
            records += self.ledger.delete(record, message.receipt_handle, is_gone=True)
        self._call("delete", records)

    async def _advance(self, duration_ms: int) -> None:
        target_ms = self.clock.now_ms() + duration_ms
        while (next_ms := self.clock.next_deadline()) is not None and next_ms <= target_ms:
            self.clock.advance_to(max(next_ms, self.clock.now_ms()))
            await self._settle()
        self.clock.advance_to(target_ms)
        await self._settle()


def _durable(queue: QueueMachine) -> tuple[object, ...]:
    messages = {
        n: (e.sent_ms, e.receives, e.first_received_ms, e.received_ms, e.token)
        for n, e in queue._entries.items()
    }
    return messages, queue.spec, queue.moves(100)


def _remembered(queue: FifoQueue, now_ms: int) -> tuple[object, object]:
    """Deduplication ids and attempts that count."""
    known = queue._deduplication._known
    ids = {digest for digest in known if queue._deduplication.find(digest, now_ms) is not None}
    attempts = queue._attempts._numbers
    return ids, {attempt: queue._attempts.find(attempt, now_ms) for attempt in attempts}


async def _turn(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)
