"""Drives one queue without a host: time is a number, and rows go where a store would keep them.

After every call the queue's invariants are checked. A queue whose ARN ends in ".fifo" is a FIFO
queue.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any, TypeVar

from eventcore.limits import RELAXED_QUOTAS, Quotas
from eventcore.outcome import Mutation, Outcome, Parcel, Transfer
from eventcore.queues.fifo import FifoQueue
from eventcore.queues.message import (
    Browsed,
    Message,
    MessageRecord,
    SendEntry,
    SendResult,
    decode_message,
)
from eventcore.queues.queue import QueueMachine
from eventcore.queues.queue_spec import QueueSpec, QueueStatistics, ReceiveRequest
from eventcore.queues.standard import StandardQueue
from eventcore.stores.base import Batch
from eventcore.testing import SeededIds

ARN = "arn:aws:sqs:us-east-1:000000000000:orders"
DEAD_ARN = ARN + "-dead"
FIFO_ARN = ARN + ".fifo"
FIFO_DEAD_ARN = DEAD_ARN + ".fifo"
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
        self.sent: list[SendEntry] = []
        self.queue = self.new_queue()
        self.configure(self.spec)

    def new_queue(self) -> QueueMachine:
        kind = FifoQueue if self.arn.endswith(".fifo") else StandardQueue
        return kind(self.arn, self.ids, self.quotas, self.memory_bytes_max)

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

    def check_restart(self) -> None:
        """Asserts that the queue which the rows make does what this one does, now and until the
        last message is gone. This one is left as it is.
        """
        live, restarted = deepcopy(self), deepcopy(self)
        restarted.restart()
        assert restarted.queue.spec == live.queue.spec
        assert restarted.queue.moves(100) == live.queue.moves(100)
        assert restarted.repeated_sends() == live.repeated_sends(), "ids are remembered differently"
        while True:
            passed = f"{live.now_ms - self.now_ms} ms later"
            assert restarted.counts() == live.counts(), passed
            assert restarted.emptied() == live.emptied(), passed
            deadline_ms = live.queue.next_deadline()
            if deadline_ms is None or not live.queue._entries:
                return
            for driver in (live, restarted):
                driver.now_ms = max(driver.now_ms + 1, deadline_ms)
                driver.tick_all()

    def repeated_sends(self) -> list[SendResult]:
        """What a FIFO queue answers to everything that was sent, sent again; on a copy."""
        copy = deepcopy(self)
        if not self.queue.is_fifo:
            return []
        return [copy.take(copy.queue.send(entry, copy.now_ms)) for entry in self.sent]

    def emptied(self) -> dict[str | None, list[tuple[str, int, int]]]:
        """Receives and deletes all that is visible. What it was, by message group: as it comes from
        a FIFO queue, sorted from a standard one, which promises no order.
        """
        found: dict[str | None, list[tuple[str, int, int]]] = {}
        while (messages := self.receive(10, 30_000)) or self.transfers:
            for message in messages:
                record = self.record(message)
                told = (record.body, message.receives, message.sequence)
                found.setdefault(record.group_id, []).append(told)
                self.delete(message.receipt_handle)
            left = [(t.target_arn, t.receives, t.key) for t in self.transfers]
            found.setdefault(None, []).extend(left)
            self.transfers.clear()
        return found if self.queue.is_fifo else {g: sorted(lot) for g, lot in found.items()}

    def after(self, duration_ms: int) -> Driver:
        self.now_ms += duration_ms
        return self

    # Commands, now

    def configure(self, spec: QueueSpec) -> None:
        self.take(self.queue.configure(spec, self.now_ms))

    def send(
        self,
        *bodies: str,
        delay_ms: int | None = None,
        group: str | None = None,
        id: str | None = None,  # noqa: A002
    ) -> list[SendResult]:
        """Sends each body; to a FIFO queue in group "g" and under an id of its own, if not told."""
        return [self.send_entry(self.entry(body, delay_ms, group, id)) for body in bodies]

    def entry(
        self, body: str, delay_ms: int | None, group: str | None, deduplication_id: str | None
    ) -> SendEntry:
        if self.queue.is_fifo:
            group = "g" if group is None else group
            if deduplication_id is None and not self.queue.spec.content_deduplication:
                deduplication_id = f"id-{len(self.sent)}"
        return SendEntry(body, delay_ms, group_id=group, deduplication_id=deduplication_id)

    def send_entry(self, entry: SendEntry) -> SendResult:
        result = self.take(self.queue.send(entry, self.now_ms))
        self.sent.append(entry)
        return result

    def accept(self, body: str, **parcel: Any) -> None:
        """What another machine delivers."""
        self.take(self.queue.accept(Parcel(body, "arn:source", **parcel), self.now_ms))

    def receive(
        self,
        count: int = 10,
        timeout_ms: int | None = None,
        *,
        reachable: bool = True,
        attempt: str | None = None,
    ) -> list[Message]:
        request = ReceiveRequest(count, timeout_ms, reachable, attempt)
        return list(self.take(self.queue.receive(request, self.now_ms)))

    def bodies(
        self, count: int = 10, timeout_ms: int | None = None, *, attempt: str | None = None
    ) -> list[str]:
        """The bodies that a receive gives."""
        messages = self.receive(count, timeout_ms, attempt=attempt)
        return [self.record(message).body for message in messages]

    def handles(self, count: int = 10, timeout_ms: int | None = None) -> dict[str, str]:
        """The receipt handles that a receive gives, by body."""
        messages = self.receive(count, timeout_ms)
        return {self.record(message).body: message.receipt_handle for message in messages}

    def record(self, message: Message) -> MessageRecord:
        return decode_message(message.record or self.rows[message.key])

    def handle(self, timeout_ms: int | None = None) -> str:
        """The receipt handle of the one message that a receive gives."""
        (message,) = self.receive(1, timeout_ms)
        return message.receipt_handle

    def delete(self, handle: str) -> None:
        self.take(self.queue.delete(handle, self.now_ms))

    def move_to(self, target: Driver) -> None:
        """What the host does with the transfers, in one batch with their deletions."""
        target.now_ms = self.now_ms
        for transfer in self.transfers:
            assert transfer.target_arn == target.arn and transfer.record is not None
            target.take(target.queue.take_over(transfer, transfer.record, target.now_ms))
        self.transfers.clear()

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

    def browse(self, after: int = -1, count: int = 100) -> list[Browsed]:
        """Everything from a number on, page by page."""
        found: list[Browsed] = []
        while True:
            page, last = self.queue.browse(after, count, self.now_ms)
            found += page
            if last == after:
                return found
            assert last > after
            after = last

    def statistics(self) -> QueueStatistics:
        return self.queue.statistics(self.now_ms)

    def counts(self) -> tuple[int, int, int]:
        """(visible, in flight, delayed)."""
        found = self.statistics()
        return found.visible, found.in_flight, found.delayed


def fifo(**spec: Any) -> Driver:
    """A FIFO queue with these settings."""
    return Driver(QueueSpec(is_fifo=True, **spec), arn=FIFO_ARN)
