"""CPU of the queue machines alone: no store, no event loop, no network.

    python -m pytest bench/bench_queue_machine.py --benchmark-enable

Each round is `CYCLES` times the operation that the name says, in front of a backlog of so many
messages; divide by `CYCLES` for one. Messages go round the message groups. The cost should depend
neither on the backlog nor on the number of groups.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count, islice
from typing import Any, NamedTuple

import pytest

from eventcore.ids import SystemIds
from eventcore.queues.fifo import FifoQueue
from eventcore.queues.message import SendEntry
from eventcore.queues.queue import QueueMachine
from eventcore.queues.queue_spec import QueueSpec, ReceiveRequest
from eventcore.queues.standard import StandardQueue

CYCLES = 1_000
ROUNDS = 20
NOW_MS = 1_700_000_000_000
ARN = "arn:aws:sqs:us-east-1:000000000000:bench"
BODY = "x" * 256
REQUEST = ReceiveRequest(1)
REQUEST_10 = ReceiveRequest(10)


class Kind(NamedTuple):
    """A kind of queue, and what is in it before."""

    name: str
    backlog: int
    groups: int = 0

    @property
    def is_fifo(self) -> bool:
        """Whether it is a FIFO queue."""
        return self.name == "fifo"

    def __str__(self) -> str:
        groups = f"-{self.groups}-groups" if self.groups else ""
        return f"{self.name}-{self.backlog}{groups}"

    def entries(self) -> Iterator[SendEntry]:
        """Messages without an end, each with a deduplication id of its own where it needs one."""
        if not self.groups:
            entry = SendEntry(BODY)
            while True:
                yield entry
        for number in count():
            group_id = f"group-{number % self.groups}"
            deduplication_id = f"{number:020d}" if self.is_fifo else None
            yield SendEntry(BODY, group_id=group_id, deduplication_id=deduplication_id)


KINDS = [
    Kind("standard", 0),
    Kind("standard", 10_000),
    Kind("standard", 200_000),
    Kind("fair", 200_000, 10),
    Kind("fair", 200_000, 100_000),
    Kind("fifo", 0, 100),
    Kind("fifo", 200_000, 1),
    Kind("fifo", 200_000, 100),
    Kind("fifo", 200_000, 100_000),
]


class Filled(NamedTuple):
    """A queue with its backlog in it, and what is sent to it from there on."""

    queue: QueueMachine
    backlog: int
    entries: Iterator[SendEntry]

    def round(self) -> Iterator[SendEntry]:
        """The messages of one round, made before it is timed."""
        return iter(list(islice(self.entries, CYCLES)))


def fill(kind: Kind) -> Filled:
    queue: QueueMachine
    if kind.is_fifo:
        queue = FifoQueue(ARN + ".fifo", SystemIds())
    else:
        queue = StandardQueue(ARN, SystemIds())
    queue.configure(QueueSpec(is_fifo=kind.is_fifo), NOW_MS)
    entries = kind.entries()
    for entry in islice(entries, kind.backlog):
        queue.send(entry, NOW_MS)
    return Filled(queue, kind.backlog, entries)


@pytest.fixture(scope="module", params=KINDS, ids=str)
def filled(request: Any) -> Filled:
    """One queue per kind for all tests that leave the backlog as long as it was."""
    return fill(request.param)


def test_send_receive_delete(benchmark: Any, filled: Filled) -> None:
    queue = filled.queue

    def cycle(entries: Iterator[SendEntry]) -> None:
        for entry in entries:
            queue.send(entry, NOW_MS)
            (message,) = queue.receive(REQUEST, NOW_MS).value
            queue.delete(message.receipt_handle, NOW_MS)

    benchmark.pedantic(cycle, setup=lambda: ((filled.round(),), {}), rounds=ROUNDS)
    assert queue.statistics(NOW_MS).visible == filled.backlog


def test_send_receive_delete_by_tens(benchmark: Any, filled: Filled) -> None:
    queue = filled.queue

    def cycle(entries: Iterator[SendEntry]) -> None:
        for _ in range(CYCLES // 10):
            for entry in islice(entries, 10):
                queue.send(entry, NOW_MS)
            for message in queue.receive(REQUEST_10, NOW_MS).value:
                queue.delete(message.receipt_handle, NOW_MS)

    benchmark.pedantic(cycle, setup=lambda: ((filled.round(),), {}), rounds=ROUNDS)
    assert queue.statistics(NOW_MS).visible == filled.backlog


EMPTY_KINDS = [Kind("standard", 0), Kind("fair", 0, 100), Kind("fifo", 0, 100)]


@pytest.mark.parametrize("kind", EMPTY_KINDS, ids=str)
def test_send_alone(benchmark: Any, kind: Kind) -> None:
    empty = fill(kind)

    def send(entries: Iterator[SendEntry]) -> None:
        for entry in entries:
            empty.queue.send(entry, NOW_MS)

    benchmark.pedantic(send, setup=lambda: ((empty.round(),), {}), rounds=ROUNDS)
    assert empty.queue.statistics(NOW_MS).visible >= CYCLES


@pytest.mark.parametrize("kind", EMPTY_KINDS, ids=str)
def test_receive_from_an_empty_queue(benchmark: Any, kind: Kind) -> None:
    queue = fill(kind).queue

    def receive() -> None:
        for _ in range(CYCLES):
            queue.receive(REQUEST, NOW_MS)

    benchmark.pedantic(receive, rounds=ROUNDS)
    assert queue.statistics(NOW_MS).in_flight == 0
