"""Where a worker's leases come from: the contract, and the groups of a broker in this process.

`lease_client` has the groups of a daemon. Every coroutine returns when what it did is durable.
Errors: LeaseLost (the shard is another's), other RequestErrors (will not get better), StoreError
and BrokerClosed (may get better, or are the end).
"""

from __future__ import annotations

import asyncio
from typing import Protocol, final

from eventcore.consumers.checkpoint import Checkpoint
from eventcore.consumers.records import Assignment, GroupDescription, Heartbeat, StartAt
from eventcore.runtime.lease_groups import ConsumerGroups, group_arn

__all__ = ["BrokerLeases", "LeaseEngine", "LeaseSource"]


class LeaseSource(Protocol):
    """One group, wherever it is kept."""

    async def heartbeat(self, beat: Heartbeat) -> Assignment:
        """Says that a worker lives; tells what it owns. Makes the group if need be, when it brings
        the shards; raises NotFound("consumer group") when it does not.
        """
        ...

    async def wait(self, change: int, wait_ms: int) -> None:
        """Returns when the group's change number is not `change` any more, or after `wait_ms`."""
        ...

    async def checkpoint(
        self, shard_id: str, worker_id: str, counter: int, to: Checkpoint
    ) -> Checkpoint:
        """Notes how far a shard is consumed; the checkpoint that stands. Raises LeaseLost."""
        ...

    async def release(self, shard_id: str, worker_id: str, counter: int) -> None:
        """Gives a lease up. Raises LeaseLost."""
        ...

    async def leave(self, worker_id: str) -> None:
        """A worker goes, with all its leases."""
        ...

    async def describe(self) -> GroupDescription:
        """The whole group as it stands. Raises NotFound."""
        ...

    async def close(self) -> None:
        """Gives back what the source holds."""
        ...


class LeaseEngine(Protocol):
    """What is used of the engine."""

    @property
    def groups(self) -> ConsumerGroups:
        """The groups of its store."""
        ...

    def begin(self) -> None:
        """Opens a request."""
        ...

    def barrier(self) -> asyncio.Future[None] | None:
        """Closes a request."""
        ...


@final
class BrokerLeases:
    """A group in the store of an engine of this process."""

    def __init__(
        self, engine: LeaseEngine, stream_arn: str, group: str, start: StartAt | None = None
    ) -> None:
        """`start` is for a group that is not there yet. Raises InvalidParameter."""
        self.arn = group_arn(stream_arn, group)
        self._engine = engine
        self._start = start or StartAt()

    async def heartbeat(self, beat: Heartbeat) -> Assignment:
        """See LeaseSource."""
        self._engine.begin()
        assignment = self._engine.groups.heartbeat(self.arn, self._start, beat)
        await self._durable()
        return assignment

    async def wait(self, change: int, wait_ms: int) -> None:
        """See LeaseSource."""
        over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def done() -> None:
            if not over.done():
                over.set_result(None)

        poll = self._engine.groups.wait(self.arn, change, wait_ms, done)
        try:
            await over
        finally:
            poll.cancel()

    async def checkpoint(
        self, shard_id: str, worker_id: str, counter: int, to: Checkpoint
    ) -> Checkpoint:
        """See LeaseSource."""
        self._engine.begin()
        stands = self._engine.groups.checkpoint(self.arn, shard_id, worker_id, counter, to)
        await self._durable()
        return stands

    async def release(self, shard_id: str, worker_id: str, counter: int) -> None:
        """See LeaseSource."""
        self._engine.begin()
        self._engine.groups.release(self.arn, shard_id, worker_id, counter)
        await self._durable()

    async def leave(self, worker_id: str) -> None:
        """See LeaseSource."""
        self._engine.begin()
        self._engine.groups.leave(self.arn, worker_id)
        await self._durable()

    async def describe(self) -> GroupDescription:
        """See LeaseSource."""
        self._engine.begin()
        description = self._engine.groups.describe(self.arn)
        await self._durable()
        return description

    async def close(self) -> None:
        """Nothing is held."""

    async def _durable(self) -> None:
        barrier = self._engine.barrier()
        if barrier is not None:
            await barrier
