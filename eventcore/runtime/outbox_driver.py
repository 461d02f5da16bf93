"""The engine's side of the deliverer: each call is one request, answered after its commit."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar, final

from eventcore.outboxes.dead_letter import DeliveryFailure
from eventcore.outboxes.outbox import Attempt, Outbox
from eventcore.outcome import Machine, Outcome

__all__ = ["DriverEngine", "EngineOutboxDriver"]

T = TypeVar("T")


class DriverEngine(Protocol):
    """What the driver needs of the engine; see `eventcore.runtime.engine.Engine`."""

    def begin(self) -> None:
        """Opens a request."""
        ...

    def now_ms(self) -> int:
        """The time of the request."""
        ...

    def find(self, arn: str) -> Any | None:
        """The machine of an existing resource."""
        ...

    def run(self, machine: Machine, outcome: Outcome[T]) -> T:
        """Takes a command's outcome into the open batch."""
        ...

    def barrier(self) -> asyncio.Future[None] | None:
        """Closes the request."""
        ...

    async def sleep(self, duration_ms: int) -> None:
        """Waits on the engine's clock."""
        ...


@final
class EngineOutboxDriver:
    """Implements `eventcore.runtime.deliverer.OutboxDriver` on an engine."""

    def __init__(self, engine: DriverEngine) -> None:
        self._engine = engine

    async def due(self, target_arn: str, limit: int) -> Sequence[Attempt]:
        """`Outbox.due`; empty when the outbox is gone."""
        nothing: tuple[Attempt, ...] = ()
        return await self._run(
            target_arn, lambda outbox, now_ms: outbox.due(now_ms, limit), default=nothing
        )

    async def settled(self, target_arn: str, attempt: Attempt) -> None:
        """`Outbox.settle`."""
        await self._run(target_arn, lambda outbox, _: outbox.settle(attempt), default=None)

    async def failed(
        self,
        target_arn: str,
        attempt: Attempt,
        failure: DeliveryFailure,
        retry_after_ms: int | None,
    ) -> None:
        """`Outbox.retry`."""
        await self._run(
            target_arn,
            lambda outbox, now_ms: outbox.retry(attempt, failure, now_ms, retry_after_ms),
            default=None,
        )

    async def rejected(self, target_arn: str, attempt: Attempt, failure: DeliveryFailure) -> None:
        """`Outbox.fail`."""
        await self._run(target_arn, lambda outbox, _: outbox.fail(attempt, failure), default=None)

    async def released(self, target_arn: str, attempt: Attempt) -> None:
        """`Outbox.release`."""
        await self._run(target_arn, lambda outbox, _: outbox.release(attempt), default=None)

    async def sleep(self, duration_ms: int) -> None:
        """Waits on the engine's clock."""
        await self._engine.sleep(duration_ms)

    async def _run(
        self, target_arn: str, command: Callable[[Outbox, int], Outcome[T]], *, default: T
    ) -> T:
        engine = self._engine
        engine.begin()
        outbox: Any = engine.find(target_arn)
        if not isinstance(outbox, Outbox):
            return default
        value = engine.run(outbox, command(outbox, engine.now_ms()))
        barrier = engine.barrier()
        if barrier is not None:
            await barrier
        return value
