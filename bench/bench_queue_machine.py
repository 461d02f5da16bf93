"""CPU of the standard queue machine alone: no store, no event loop, no network.

    python -m pytest bench/bench_queue_machine.py --benchmark-enable

Each round is `CYCLES` times the operation that the name says, in front of a backlog of so many
messages; divide by `CYCLES` for one. The cost should not depend on the backlog.
"""

from __future__ import annotations

from typing import Any

import pytest

from eventcore.ids import SystemIds
from eventcore.queues.message import SendEntry
from eventcore.queues.queue_spec import QueueSpec, ReceiveRequest
from eventcore.queues.standard import StandardQueue

CYCLES = 1_000
ROUNDS = 20
NOW_MS = 1_700_000_000_000
ENTRY = SendEntry("x" * 256)
REQUEST = ReceiveRequest(1)
REQUEST_10 = ReceiveRequest(10)
BACKLOGS = [0, 10_000, 200_000]


def filled_queue(backlog: int) -> StandardQueue:
    queue = StandardQueue("arn:aws:sqs:us-east-1:000000000000:bench", SystemIds())
    queue.configure(QueueSpec(), NOW_MS)
    for _ in range(backlog):
        queue.send(ENTRY, NOW_MS)
    return queue


@pytest.mark.parametrize("backlog", BACKLOGS)
def test_send_receive_delete(benchmark: Any, backlog: int) -> None:
    queue = filled_queue(backlog)

    def cycle() -> None:
        for _ in range(CYCLES):
            queue.send(ENTRY, NOW_MS)
            (message,) = queue.receive(REQUEST, NOW_MS).value
            queue.delete(message.receipt_handle, NOW_MS)

    benchmark.pedantic(cycle, rounds=ROUNDS)
    assert queue.statistics(NOW_MS).visible == backlog


@pytest.mark.parametrize("backlog", BACKLOGS)
def test_send_receive_delete_by_tens(benchmark: Any, backlog: int) -> None:
    queue = filled_queue(backlog)

    def cycle() -> None:
        for _ in range(CYCLES // 10):
            for _ in range(10):
                queue.send(ENTRY, NOW_MS)
            for message in queue.receive(REQUEST_10, NOW_MS).value:
                queue.delete(message.receipt_handle, NOW_MS)

    benchmark.pedantic(cycle, rounds=ROUNDS)
    assert queue.statistics(NOW_MS).visible == backlog


def test_send_alone(benchmark: Any) -> None:
    queue = filled_queue(0)

    def send() -> None:
        for _ in range(CYCLES):
            queue.send(ENTRY, NOW_MS)

    benchmark.pedantic(send, rounds=ROUNDS)
    assert queue.statistics(NOW_MS).visible >= CYCLES


def test_receive_from_an_empty_queue(benchmark: Any) -> None:
    queue = filled_queue(0)

    def receive() -> None:
        for _ in range(CYCLES):
            queue.receive(REQUEST, NOW_MS)

    benchmark.pedantic(receive, rounds=ROUNDS)
    assert queue.statistics(NOW_MS).in_flight == 0
