"""Consumer groups of this store, as synchronous calls, and who waits for their leases to change.

Rules of this file:

- Calls belong into an engine request, like all of the engine's.
- A group is made by the first heartbeat that names it and brings the shards of its stream. It is a
  resource of its own, and may be of a stream that lives elsewhere.
- Who waits is called back from the event loop, outside of any request, when the group's change
  number is not the one that he knew, when his time is over, or when the group goes.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Final, Protocol, TypeVar, final

from eventcore import limits
from eventcore.clock import Clock, TimerHandle
from eventcore.consumers.checkpoint import Checkpoint
from eventcore.consumers.group import ConsumerGroup
from eventcore.consumers.records import Assignment, GroupDescription, Heartbeat, StartAt
from eventcore.errors import InvalidParameter, LimitExceeded, NotFound
from eventcore.outcome import Machine, Outcome
from eventcore.runtime.timers import Timers

__all__ = ["CONSUMER_GROUP", "ConsumerGroups", "GroupEngine", "LeasePoll", "group_arn"]

T = TypeVar("T")
CONSUMER_GROUP: Final = "consumer-group"
_INFIX: Final = "/group/"
_GROUP_NAME: Final = re.compile(r"[A-Za-z0-9_.-]+")
_STREAM_ARN: Final = re.compile(r"arn:[a-z0-9-]+:kinesis:[a-z0-9-]*:[0-9]*:stream/[A-Za-z0-9_.-]+")
"""Of a stream anywhere. Nothing else: groups are resources, and lists of other kinds of resources
go by what their ARNs begin with.
"""


def group_arn(stream_arn: str, name: str) -> str:
    """What a group is called among the resources. Raises InvalidParameter("group" or
    "stream_arn").
    """
    is_text = name.__class__ is str and len(name) <= limits.GROUP_NAME_CHARACTERS_MAX
    if not is_text or not _GROUP_NAME.fullmatch(name):
        raise InvalidParameter(
            "group",
            "Can only include letters, digits, '.', '-' and '_'. 1 to "
            f"{limits.GROUP_NAME_CHARACTERS_MAX} in length.",
            name,
        )
    if len(stream_arn) > limits.ARN_CHARACTERS_MAX or not _STREAM_ARN.fullmatch(stream_arn):
        raise InvalidParameter("stream_arn", "Must be the ARN of a stream.", stream_arn)
    return f"{stream_arn}{_INFIX}{name}"


class GroupEngine(Protocol):
    """What is used of the engine."""

    def now_ms(self) -> int:
        """The time of the request."""
        ...

    def find(self, arn: str) -> object | None:
        """The machine of a resource."""
        ...

    def arns_with_prefix(self, prefix: str) -> list[str]:
        """The resources whose ARNs begin so."""
        ...

    def add_resource(self, kind: str, arn: str, machine: Machine) -> None:
        """Registers a new resource."""
        ...

    def drop_resource(self, arn: str) -> None:
        """Deletes a resource."""
        ...

    def run(self, machine: Machine, outcome: Outcome[T]) -> T:
        """Takes an outcome."""
        ...

    def look(self, machine: Machine) -> None:
        """Notes that the request reads a machine's state."""
        ...

    def watch(self, arn: str, is_waited_for: bool) -> None:
        """Notes whether somebody waits for a machine: `ConsumerGroups.wake` is called for it, then,
        after each of its commands and ticks.
        """
        ...


@final
class LeasePoll:
    """One who waits for a change of a group."""

    __slots__ = ("_groups", "arn", "change", "done", "timer")

    def __init__(
        self, groups: ConsumerGroups, arn: str, change: int, done: Callable[[], None]
    ) -> None:
        self._groups = groups
        self.arn = arn
        self.change = change
        self.done = done
        self.timer: TimerHandle | None = None

    def cancel(self) -> None:
        """Stops waiting; nobody is called back."""
        self._groups.remove(self)


@final
class ConsumerGroups:
    """All consumer groups of one engine."""

    def __init__(self, engine: GroupEngine, clock: Clock, timers: Timers) -> None:
        self._engine = engine
        self._clock = clock
        self._timers = timers
        self._polls: dict[str, dict[LeasePoll, None]] = {}
        self._poll_count = 0

    # Inside a request

    def find(self, arn: str) -> ConsumerGroup:
        """The group. Raises NotFound("consumer group", name)."""
        machine = self._engine.find(arn)
        if not isinstance(machine, ConsumerGroup):
            raise NotFound("consumer group", arn.rpartition(_INFIX)[2])
        return machine

    def heartbeat(self, arn: str, start: StartAt, beat: Heartbeat) -> Assignment:
        """Hears of a worker. One that brings the shards of the stream makes the group if need be,
        which begins at `start` then; any other does not: the stream may be gone.

        Raises NotFound, InvalidParameter, LimitExceeded.
        """
        now_ms = self._engine.now_ms()
        if not beat.lineage or isinstance(self._engine.find(arn), ConsumerGroup):
            machine = self.find(arn)
            return self._engine.run(machine, machine.heartbeat(beat, now_ms))
        group = ConsumerGroup(arn)
        created = group.create(start, now_ms)
        first = group.heartbeat(beat, now_ms)  # both may refuse, before anything is written
        self._engine.add_resource(CONSUMER_GROUP, arn, group)
        self._engine.run(group, created)
        return self._engine.run(group, first)

    def checkpoint(
        self, arn: str, shard_id: str, worker_id: str, counter: int, to: Checkpoint
    ) -> Checkpoint:
        """Notes how far a shard is consumed; see ConsumerGroup.checkpoint."""
        group, now_ms = self.find(arn), self._engine.now_ms()
        return self._engine.run(group, group.checkpoint(shard_id, worker_id, counter, to, now_ms))

    def release(self, arn: str, shard_id: str, worker_id: str, counter: int) -> None:
        """Gives a lease up; see ConsumerGroup.release."""
        group = self.find(arn)
        self._engine.run(group, group.release(shard_id, worker_id, counter))

    def leave(self, arn: str, worker_id: str) -> None:
        """A worker goes. Raises NotFound for the group only."""
        group = self.find(arn)
        self._engine.run(group, group.leave(worker_id))

    def describe(self, arn: str) -> GroupDescription:
        """The whole group. Raises NotFound."""
        group = self.find(arn)
        self._engine.look(group)
        return group.describe(self._engine.now_ms())

    def names(self, stream_arn: str) -> list[str]:
        """The names of a stream's groups, sorted."""
        prefix = stream_arn + _INFIX
        return [arn[len(prefix) :] for arn in self._engine.arns_with_prefix(prefix)]

    def delete(self, arn: str) -> None:
        """Deletes a group with its checkpoints. Workers that are running make it anew. Raises
        NotFound.
        """
        self.find(arn)
        self._engine.drop_resource(arn)
        for poll in list(self._polls.get(arn, ())):
            self.remove(poll)
            # Not from within this request: whoever is called makes one of his own.
            asyncio.get_running_loop().call_soon(poll.done)

    def delete_all(self, stream_arn: str) -> None:
        """Deletes all groups of a stream: a new one of that name has other records."""
        for name in self.names(stream_arn):
            self.delete(stream_arn + _INFIX + name)

    # Waiting

    def wait(self, arn: str, change: int, wait_ms: int, done: Callable[[], None]) -> LeasePoll:
        """Calls `done` once, later: see the file's rules. Raises NotFound,
        LimitExceeded("group_polls_max").
        """
        group = self.find(arn)
        if self._poll_count >= limits.GROUP_POLLS_MAX:
            raise LimitExceeded("group_polls_max", limits.GROUP_POLLS_MAX)
        poll = LeasePoll(self, arn, change, done)
        if group.change == change:
            deadline_ms = self._clock.now_ms() + wait_ms
            poll.timer = self._timers.call_at(deadline_ms, lambda: self._end(poll))
        else:
            poll.timer = asyncio.get_running_loop().call_soon(self._end, poll)
        self._poll_count += 1
        polls = self._polls.setdefault(arn, {})
        polls[poll] = None
        if len(polls) == 1:
            self._engine.watch(arn, True)
        return poll

    def is_waited_for(self, arn: str) -> bool:
        """Whether somebody waits for this group."""
        return arn in self._polls

    def wake(self, arn: str) -> None:
        """The host's: the group may have changed. Outside of requests."""
        machine = self._engine.find(arn)
        if not isinstance(machine, ConsumerGroup):
            return
        for poll in list(self._polls.get(arn, ())):
            if poll.change != machine.change:
                self._end(poll)

    def wake_all(self) -> None:
        """Everybody looks again: all machines were loaded anew, or the engine ends."""
        for polls in list(self._polls.values()):
            for poll in list(polls):
                self._end(poll)

    def remove(self, poll: LeasePoll) -> bool:
        """Takes a poll out; whether it was still waiting."""
        if poll.timer is not None:
            poll.timer.cancel()
        polls = self._polls.get(poll.arn)
        if polls is None or poll not in polls:
            return False
        del polls[poll]
        self._poll_count -= 1
        if not polls:
            del self._polls[poll.arn]
            self._engine.watch(poll.arn, False)
        return True

    def _end(self, poll: LeasePoll) -> None:
        if self.remove(poll):
            poll.done()
