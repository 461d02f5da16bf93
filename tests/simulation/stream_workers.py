"""The steps of a consumer group's workers in a world of streams."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Final, Protocol, final

from eventcore.consumers.checkpoint import SHARD_IS_DONE, after_record
from eventcore.consumers.records import Assignment, Heartbeat, ShardNode, StartAt
from eventcore.errors import LeaseLost, NotFound
from eventcore.limits import GET_RECORDS_BYTES_MAX
from eventcore.runtime.engine import Engine
from eventcore.runtime.lease_groups import group_arn
from eventcore.streams.stream import Stream
from eventcore.streams.stream_spec import StartingPosition
from tests.simulation.stream_group import LEASE_MS, Group, Held, Worker
from tests.simulation.stream_ledger import Life

__all__ = ["Workers"]

NAME: Final = "main"


class WorkersWorld(Protocol):
    """What the workers need of their world."""

    engine: Engine
    chance: Random

    @property
    def is_quiet(self) -> bool:
        """Whether what is in memory is durable, all of it."""
        ...

    def open_stream(self, name: str) -> Stream:
        """Begins a request on a stream. Raises NotFound."""
        ...

    def life(self, stream: Stream) -> Life:
        """The stream's life."""
        ...

    def call(
        self,
        on_commit: Callable[[], None] = lambda: None,
        on_fail: Callable[[], None] = lambda: None,
    ) -> None:
        """Closes the request."""
        ...

    def note(self, text: str) -> None:
        """Adds to the trace."""
        ...


@final
class Workers:
    """Three workers that consume a stream which is never deleted."""

    def __init__(self, world: WorkersWorld) -> None:
        self._world = world
        self.group: Group | None = None

    def _open(self) -> tuple[Stream, Group, str]:
        stream = self._world.open_stream(NAME)
        life = self._world.life(stream)
        if self.group is None or self.group.life is not life:
            self.group = Group(life)
        return stream, self.group, group_arn(stream.arn, "g")

    def _worker(self, group: Group) -> Worker:
        worker = self._world.chance.choice(group.workers)
        self._world.note(worker.id)
        return worker

    def _held(self, group: Group) -> tuple[Worker, Held]:
        worker = self._worker(group)
        if not worker.leases:
            raise NotFound("lease", "of the worker")
        held = worker.leases[self._world.chance.choice(sorted(worker.leases))]
        self._world.note(f"{int(held.shard_id[-12:])}/{held.counter}")
        return worker, held

    def beat(self, worker: Worker | None = None) -> None:
        """A worker is heard of, and told what it owns."""
        stream, group, arn = self._open()
        worker = worker or self._worker(group)
        views = self._world.engine.streams.shards(stream)
        parents = {
            view.id: tuple(p for p in (view.parent_id, view.adjacent_parent_id) if p)
            for view in views
        }
        nodes = tuple(ShardNode(v.id, parents[v.id], v.closed_ms is not None) for v in views)
        if not nodes:
            raise NotFound("shard", "any")
        found: Assignment = self._world.engine.groups.heartbeat(
            arn, StartAt(), Heartbeat(worker.id, nodes, LEASE_MS, LEASE_MS)
        )

        def answered() -> None:
            group.assigned(found, parents)
            worker.assigned(found)

        self._world.call(answered)

    def work(self) -> None:
        """A worker reads on in one of its shards."""
        stream, group, _ = self._open()
        _, held = self._held(group)
        self.read(stream, group, held, self._world.chance.choice([1, 4, 10_000]))

    def read(self, stream: Stream, group: Group, held: Held, limit: int) -> None:
        """A page of a shard."""
        streams = self._world.engine.streams
        start = StartingPosition("TRIM_HORIZON")
        if held.position is not None:
            start = StartingPosition("AFTER_SEQUENCE_NUMBER", held.position)
        position = held.position
        try:
            place = streams.locate(stream, held.shard_id, start)
            page = streams.read(stream, place, limit, GET_RECORDS_BYTES_MAX)
        except NotFound:
            # It has vanished, if that is durable: nothing of it can be read any more.
            held.is_ended = held.is_ended or self._world.is_quiet
            return
        records = page.records()

        def told() -> None:
            group.consume(records)
            if held.position == position:
                if records:
                    held.position = records[-1].sequence_number
                held.is_ended = held.is_ended or page.place is None

        self._world.call(told)

    def checkpoint(self) -> None:
        """A worker writes down how far it is, and hands over what it was asked for."""
        stream, group, _ = self._open()
        worker, held = self._held(group)
        self.write(stream, group, worker, held)

    def write(self, stream: Stream, group: Group, worker: Worker, held: Held) -> None:
        """The checkpoint of a lease."""
        if held.position is None and not held.is_ended:
            return
        to = SHARD_IS_DONE if held.is_ended else after_record(held.position or "")
        groups, arn = self._world.engine.groups, group_arn(stream.arn, "g")
        horizon_ms = stream.horizon_ms(self._world.engine.now_ms())
        try:
            groups.checkpoint(arn, held.shard_id, worker.id, held.counter, to)
            if held.is_asked_back and not held.is_ended:
                groups.release(arn, held.shard_id, worker.id, held.counter)
                worker.leases.pop(held.shard_id, None)
        except LeaseLost:
            group.lost += 1
            worker.leases.pop(held.shard_id, None)
            self._world.note("lost")
            return
        group.check_checkpoint(held, horizon_ms)
        if held.is_ended:
            group.ended.add(held.shard_id)  # an answer that is lost may stand all the same
        self._world.call()

    def crash(self) -> None:
        """A worker forgets everything and comes back under its name, or says good-bye."""
        _, group, arn = self._open()
        worker = self._worker(group)
        worker.leases = {}
        if self._world.chance.random() < 0.3:
            self._world.engine.groups.leave(arn, worker.id)
            self._world.call()
