"""Fair queues: which message group (tenant) of a standard queue is received next.

AWS, "How Amazon SQS fair queues work": a group is a noisy neighbour while it has more than a tenth
of the messages in flight, and at least 30, or while it took more than a tenth of the consumers'
time lately. Messages of quiet groups go first; noisy ones get what is left.

Rules of this file:

- Groups with ready messages stand in a line, the quiet ones, and take turns: one message each. So a
  quiet group waits for one message of each of the others, not for their backlogs. Of the noisy
  ones, the group with the fewest messages in flight is next; those with equally many take turns.
- A turn bears a stamp: the number of the message with which the group gets in line or, after a
  turn, the number that the next message to be sent will have. A message without a group is a tenant
  of its own and its number is its turn, so both kinds of turns are in one order.
- A group is judged when its turn comes. More than nine groups can not each have more than a tenth,
  so the noisy ones are few, and looking through them at each receive costs little.
- Consumers' time is the number of messages in flight, averaged over time with the weight halved
  every HALF_LIFE_MS. It is not durable: after a restart it begins with the first look.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import Final, final

import msgspec

from eventcore import limits
from eventcore.queues.entry import DELAYED, IN_FLIGHT, READY, SWEEP_MIN, Entry, Group, ReadyLine

__all__ = ["FairGroup", "Fairness"]

HALF_LIFE_MS: Final = 30_000
USE_MIN: Final = 1.0
"""Messages in flight on average below which a group is quiet, whatever its share."""
IDLE_GROUPS_MAX: Final = 1_000
"""Groups without messages whose use of the consumers is remembered."""
NOWHERE, QUIET, NOISY = 0, 1, 2


class Use(msgspec.Struct, gc=False):
    """An average over time of a count."""

    average: float = 0.0
    at_ms: int = 0

    def settle(self, count: float, now_ms: int) -> float:
        """Takes in that the count was `count` from the last time until now."""
        if not self.at_ms:
            self.at_ms = now_ms
        elif now_ms > self.at_ms:
            weight = 0.5 ** ((now_ms - self.at_ms) / HALF_LIFE_MS)
            self.average = self.average * weight + count * (1 - weight)
            self.at_ms = now_ms
        return self.average


class FairGroup(Group, gc=False):
    """A tenant: its ready messages in order, and its turn."""

    line: ReadyLine = msgspec.field(default_factory=ReadyLine)
    use: Use = msgspec.field(default_factory=Use)
    stamp: int = 0
    where: int = NOWHERE


@final
class Fairness:
    """The groups of one standard queue, and their turns."""

    def __init__(self) -> None:
        self.groups: dict[str, FairGroup] = {}
        """Those that have messages."""
        self.quiet_line: deque[FairGroup] = deque()
        self.noisy_line: deque[FairGroup] = deque()
        self._idle: OrderedDict[str, FairGroup] = OrderedDict()
        self._suspects: dict[str, FairGroup] = {}
        self._use = Use()
        self._in_flight = 0

    def group(self, group_id: str, now_ms: int) -> FairGroup:
        """The group of a new message."""
        group = self.groups.get(group_id)
        if group is None:
            group = self._idle.pop(group_id, None) or FairGroup(group_id, use=Use(0.0, now_ms))
            self.groups[group_id] = group
        return group

    def line_up(self, group: FairGroup, stamp: int) -> None:
        """Gives a group a turn that has none: it has something ready."""
        if group.where == NOWHERE:
            group.stamp = stamp
            group.where = QUIET
            self.quiet_line.append(group)

    def shift(self, entry: Entry, old: int, in_flight: int, now_ms: int) -> None:
        """Counts an entry that left the place `old`. `in_flight` counts the whole queue's, now."""
        group = entry.group
        assert isinstance(group, FairGroup)
        if IN_FLIGHT in (old, entry.place):
            group.use.settle(group.in_flight, now_ms)
            self._use.settle(self._in_flight, now_ms)
            self._in_flight = in_flight
        _count(group, old, -1)
        _count(group, entry.place, 1)
        if group.in_flight >= limits.NOISY_IN_FLIGHT_MIN:
            self._suspects[group.id] = group
        if not group.ready and not group.in_flight and not group.delayed:
            self._forget(group)

    def observe(self, in_flight: int, now_ms: int) -> float:
        """Takes in how many messages of the whole queue are in flight now; the value is how many
        were on average lately. Those without a group come and go unseen between two looks.
        """
        average = self._use.settle((self._in_flight + in_flight) / 2, now_ms)
        self._in_flight = in_flight
        return average

    def _forget(self, group: FairGroup) -> None:
        """The group has no messages any more. If it has a turn still, it is passed over then."""
        del self.groups[group.id]
        self._suspects.pop(group.id, None)
        group.line = ReadyLine()
        self._idle[group.id] = group
        if len(self._idle) > IDLE_GROUPS_MAX:
            self._idle.popitem(last=False)

    def is_noisy(self, group: FairGroup, in_flight: int, now_ms: int) -> bool:
        """Whether the group is a noisy neighbour at present."""
        own = group.in_flight
        if own >= limits.NOISY_IN_FLIGHT_MIN and own > limits.NOISY_SHARE * in_flight:
            return True
        use = group.use.settle(own, now_ms)
        if use < USE_MIN:
            return False
        return use > limits.NOISY_SHARE * self.observe(in_flight, now_ms)

    def calm(self, in_flight: int, now_ms: int) -> None:
        """Noisy groups that are quiet by now get in line with the quiet ones again."""
        for _ in range(len(self.noisy_line)):
            group = self.noisy_line.popleft()
            if not group.ready:
                group.where = NOWHERE
            elif self.is_noisy(group, in_flight, now_ms):
                self.noisy_line.append(group)
            else:
                group.where = QUIET
                self.quiet_line.append(group)

    def first_quiet(self, in_flight: int, now_ms: int) -> FairGroup | None:
        """The quiet group whose turn is next. Noisy ones that are found in line are taken out."""
        while self.quiet_line:
            group = self.quiet_line[0]
            if not group.ready:
                group.where = NOWHERE
            elif self.is_noisy(group, in_flight, now_ms):
                group.where = NOISY
                self.noisy_line.append(group)
            else:
                return group
            self.quiet_line.popleft()
        return None

    def first_noisy(self) -> FairGroup | None:
        """The noisy group whose turn is next."""
        next_group: FairGroup | None = None
        for group in self.noisy_line:
            if group.ready and (next_group is None or group.in_flight < next_group.in_flight):
                next_group = group
        return next_group

    def take(self, group: FairGroup, entries: dict[int, Entry], stamp: int) -> Entry:
        """Takes the next message of the group whose turn it is; it gets in line again at the end if
        it has more.
        """
        line = self.quiet_line if group.where == QUIET else self.noisy_line
        if line[0] is group:
            line.popleft()
        else:
            line.remove(group)
        entry = group.line.take(entries)
        assert entry is not None, "a group is in line and has nothing ready"
        if group.ready > 1:
            group.stamp = stamp
            line.append(group)
        else:
            group.where = NOWHERE
        return entry

    def drop_stale(self) -> None:
        """Takes groups with nothing ready out of their lines when they are many: with no receive
        coming, nobody passes over them.
        """
        if len(self.quiet_line) + len(self.noisy_line) <= 2 * len(self.groups) + SWEEP_MIN:
            return
        for line in (self.quiet_line, self.noisy_line):
            for _ in range(len(line)):
                group = line.popleft()
                if group.ready:
                    line.append(group)
                else:
                    group.where = NOWHERE

    def noisy(self, in_flight: int, now_ms: int) -> list[FairGroup]:
        """The groups that are noisy neighbours: those with many messages in flight, and those that
        were found to take too much time when their turn came.
        """
        for group in list(self._suspects.values()):
            if group.in_flight < limits.NOISY_IN_FLIGHT_MIN:
                del self._suspects[group.id]
        suspects = {**self._suspects, **{group.id: group for group in self.noisy_line}}
        return [group for group in suspects.values() if self.is_noisy(group, in_flight, now_ms)]

    def check(self, entries: dict[int, Entry]) -> None:
        """Asserts the rules of this file."""
        counts: dict[str, list[int]] = {}
        for entry in entries.values():
            if entry.group is not None:
                counts.setdefault(entry.group.id, [0, 0, 0])[entry.place] += 1
                assert self.groups[entry.group.id] is entry.group, "a message is in a stray group"
        assert counts.keys() == self.groups.keys(), "a group is empty"
        for group in self.groups.values():
            delayed, ready, in_flight = counts[group.id]
            found = (group.delayed, group.ready, group.in_flight)
            assert found == (delayed, ready, in_flight), "a group is counted wrong"
            assert not ready or group.where != NOWHERE, "a group has messages and no turn"
        in_line = [id(group) for group in (*self.quiet_line, *self.noisy_line)]
        assert len(in_line) == len(set(in_line)), "a group has two turns"
        for line, where in ((self.quiet_line, QUIET), (self.noisy_line, NOISY)):
            assert all(group.where == where for group in line), "a group is in the wrong line"


def _count(group: FairGroup, place: int, change: int) -> None:
    if place == READY:
        group.ready += change
    elif place == IN_FLIGHT:
        group.in_flight += change
    elif place == DELAYED:
        group.delayed += change
