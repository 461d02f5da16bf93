"""Drives one queue without a host: time is a number, and rows go where a store would keep them.

After every call the queue's invariants are checked.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeVar

from eventcore.limits import RELAXED_QUOTAS, Quotas
from eventcore.outcome import Mutation, Outcome, Transfer
from eventcore.queues.message import Message, MessageRecord, SendEntry, decode_message
from eventcore.queues.queue_spec import QueueSpec, QueueStatistics, ReceiveRequest
from eventcore.queues.standard import StandardQueue
from eventcore.stores.base import Batch
from eventcore.testing import SeededIds

ARN = "arn:aws:sqs:us-east-1:000000000000:orders"
DEAD_ARN = ARN + "-dead"
START_MS = 1_700_000_000_000
MINUTE_MS = 60_000
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
T = TypeVar("T")


@dataclass
class Driver:
    """A queue, its time and its rows."""

    spec: QueueSpec = field(default_factory=QueueSpec)
    quotas: Quotas = RELAXED_QUOTAS
    memory_bytes_max: int = 1 << 20
    arn: str = ARN
    now_ms: int = START_MS
    seed: int = 1

    def __post_init__(self) -> None:
        self.ids = SeededIds(self.seed)
        self.rows: dict[int, bytes] = {}
        self.log: list[Mutation] = []
        self.transfers: list[Transfer] = []
        self.queue = self.new_queue()
        self.configure(self.spec)

    def new_queue(self) -> StandardQueue:
        return StandardQueue(self.arn, self.ids, self.quotas, self.memory_bytes_max)

    def take(self, outcome: Outcome[T]) -> T:
        """What a host and a store do with an outcome."""
        batch = Batch()
        batch.add(1, outcome.mutations)
        for trim in outcome.trims:
            for key in [k for k in self.rows if trim.first_key <= k <= trim.last_key]:
                del self.rows[key]
        for (_, key), value in batch.rows.items():
            if value is None:
                self.rows.pop(key, None)
            else:
                self.rows[key] = value
        self.log += outcome.mutations
        for effect in outcome.effects:
            assert isinstance(effect, Transfer)
            self.transfers.append(effect)
        self.queue.check()
        return outcome.value

    def restart(self) -> None:
        """The queue that its rows make."""
        self.queue = self.new_queue()
        for key in sorted(self.rows):
            self.queue.apply(Mutation(key, self.rows[key]))
        self.queue.check()

    def after(self, duration_ms: int) -> Driver:
        self.now_ms += duration_ms
        return self

    # Commands, now

    def configure(self, spec: QueueSpec) -> None:
        self.take(self.queue.configure(spec, self.now_ms))

    def send(self, *bodies: str, delay_ms: int | None = None) -> None:
        for body in bodies:
            self.take(self.queue.send(SendEntry(body, delay_ms), self.now_ms))

    def receive(
        self, count: int = 10, timeout_ms: int | None = None, *, reachable: bool = True
    ) -> list[Message]:
        request = ReceiveRequest(count, timeout_ms, reachable)
        return list(self.take(self.queue.receive(request, self.now_ms)))

    def bodies(self, count: int = 10, timeout_ms: int | None = None) -> list[str]:
        """The bodies that a receive gives."""
        return [self.record(message).body for message in self.receive(count, timeout_ms)]

    def record(self, message: Message) -> MessageRecord:
        return decode_message(message.record or self.rows[message.key])

    def handle(self, timeout_ms: int | None = None) -> str:
        """The receipt handle of the one message that a receive gives."""
        (message,) = self.receive(1, timeout_ms)
        return message.receipt_handle

    def delete(self, handle: str) -> None:
        self.take(self.queue.delete(handle, self.now_ms))

    def change(self, handle: str, timeout_ms: int) -> None:
        self.take(self.queue.change_visibility(handle, timeout_ms, self.now_ms))

    def purge(self) -> None:
        self.take(self.queue.purge(self.now_ms))

    def tick(self, limit: int = 1_000) -> Outcome[None]:
        outcome = self.queue.tick(self.now_ms, limit)
        self.take(outcome)
        return outcome

    def tick_all(self, limit: int = 1_000) -> int:
        """Ticks as a host does, until nothing is due. How many ticks it took."""
        ticks = 0
        while (
            deadline_ms := self.queue.next_deadline()
        ) is not None and deadline_ms <= self.now_ms:
            self.tick(limit)
            ticks += 1
            assert ticks < 100_000, "ticks come to no end"
        return ticks

    def statistics(self) -> QueueStatistics:
        return self.queue.statistics(self.now_ms)

    def counts(self) -> tuple[int, int, int]:
        """(visible, in flight, delayed)."""
        found = self.statistics()
        return found.visible, found.in_flight, found.delayed
