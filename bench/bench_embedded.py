"""The embedded API: a program that sends, receives and deletes in its own process.

    python -m pytest bench/bench_embedded.py --benchmark-enable

Each round is `MESSAGES` messages; divide by it for one. "memory" has no file; "inline" and "writer"
fsync before a call returns (durability full), the second in a process of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

import eventcore

MESSAGES = 640
ROUNDS = 5
BODY = "x" * 256


class EmbeddedQueue:
    """One queue of one broker, on an event loop that the benchmark runs in slices."""

    def __init__(self, runner: asyncio.Runner, options: dict[str, Any]) -> None:
        self._runner = runner
        self._stack = AsyncExitStack()
        self.queue: Any = runner.run(self._open(options))

    async def _open(self, options: dict[str, Any]) -> Any:
        broker = await self._stack.enter_async_context(eventcore.open(**options))
        return await broker.create_queue("bench")

    def run(self, work: Callable[[], Any]) -> None:
        """Runs the loop until the coroutine that `work` makes is done."""
        self._runner.run(work())

    def close(self) -> None:
        """Closes the broker."""
        self._runner.run(self._stack.aclose())

    async def cycle(self, messages: int = 1) -> None:
        """Sends, receives and deletes so many, one after the other."""
        for _ in range(messages):
            await self.queue.send(BODY)
            (message,) = await self.queue.receive()
            await self.queue.delete(message.receipt_handle)


@pytest.fixture(params=["memory", "inline", "writer"])
def embedded(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[EmbeddedQueue]:
    options: dict[str, Any] = {"path": None}
    if request.param != "memory":
        options = {"path": str(tmp_path / "events.db"), "committer": request.param}
    with asyncio.Runner() as runner:
        queue = EmbeddedQueue(runner, options)
        yield queue
        queue.close()


async def left(embedded: EmbeddedQueue) -> int:
    return int((await embedded.queue.statistics()).visible)


def check_empty(embedded: EmbeddedQueue) -> None:
    async def check() -> None:
        assert await left(embedded) == 0

    embedded.run(check)


def test_one_after_the_other(benchmark: Any, embedded: EmbeddedQueue) -> None:
    """Every call waits for its own commit."""
    benchmark.pedantic(lambda: embedded.run(lambda: embedded.cycle(MESSAGES)), rounds=ROUNDS)
    check_empty(embedded)


def test_64_at_a_time(benchmark: Any, embedded: EmbeddedQueue) -> None:
    """Commits are shared."""

    async def work() -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(64):
                group.create_task(embedded.cycle(MESSAGES // 64))

    benchmark.pedantic(lambda: embedded.run(work), rounds=ROUNDS)
    check_empty(embedded)


def test_send_many_of_64(benchmark: Any, embedded: EmbeddedQueue) -> None:
    """One transaction per 64 messages."""

    async def work() -> None:
        for _ in range(MESSAGES // 64):
            await embedded.queue.send_many([BODY] * 64)

    benchmark.pedantic(lambda: embedded.run(work), rounds=ROUNDS)

    async def check() -> None:
        assert await left(embedded) >= MESSAGES

    embedded.run(check)
