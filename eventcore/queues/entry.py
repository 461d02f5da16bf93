"""A message in memory, and its place in the queue.

READY is "visible" to AWS; IN_FLIGHT is "not visible"; an entry that is GONE is in no container any
more. Nothing here refers back to what refers to it, so none of it needs the garbage collector.
"""

from __future__ import annotations

from array import array
from heapq import heapify, heappop, heappush
from typing import Final

import msgspec

__all__ = ["DELAYED", "GONE", "IN_FLIGHT", "READY", "Entry", "Group", "ReadyLine"]

DELAYED: Final = 0
READY: Final = 1
IN_FLIGHT: Final = 2
GONE: Final = 3
NO_NUMBER: Final = 1 << 62
SWEEP_MIN: Final = 1_024


class Group(msgspec.Struct, gc=False):
    """A message group that has messages in the queue: its id and how many, by place.

    Both kinds of queues make a subclass of it: a tenant of a fair queue, a group of a FIFO queue.
    """

    id: str
    ready: int = 0
    in_flight: int = 0
    delayed: int = 0


class Entry(msgspec.Struct, gc=False):
    """A message in memory. `record` is its encoded row, None when it was spilled. `token` is 0 as
    long as it was never received here, and so has no delivery row.
    """

    number: int
    record: bytes | None
    sent_ms: int
    place: int = READY
    receives: int = 0
    first_received_ms: int = 0
    received_ms: int = 0
    token: int = 0
    group: Group | None = None


class ReadyLine(msgspec.Struct, gc=False):
    """Who is received next: numbers of messages in place READY, from two sources, lowest first.

    `fresh` are those that came one after the other, read from `head` on; `returned` is a heap of
    those that came back from a receive. Both may name messages that are not READY any more: those
    are passed over when they come up. Arrays, because a list of a million numbers would be walked
    by every full garbage collection.
    """

    fresh: array[int] = msgspec.field(default_factory=lambda: array("Q"))
    head: int = 0
    returned: list[int] | None = None

    def append(self, number: int) -> None:
        """Puts a number at the end."""
        self.fresh.append(number)

    def put_back(self, number: int) -> None:
        """Puts a number in its order."""
        if self.returned is None:
            self.returned = [number]
        else:
            heappush(self.returned, number)

    def first(self, entries: dict[int, Entry]) -> int:
        """The number that is next; NO_NUMBER when there is none."""
        fresh = self._first_fresh(entries)
        returned = self._first_returned(entries) if self.returned else NO_NUMBER
        return min(returned, fresh)

    def take(self, entries: dict[int, Entry]) -> Entry | None:
        """Takes the next one out of the line; it is in place READY still."""
        fresh, head = self.fresh, self.head
        if not self.returned and head < len(fresh):  # as nearly always
            entry = entries.get(fresh[head])
            if entry is not None and entry.place == READY:
                self.head = head = head + 1
                if head >= SWEEP_MIN and 2 * head > len(fresh):
                    del fresh[:head]
                    self.head = 0
                return entry
        number = self._first_fresh(entries)
        if self.returned:
            returned = self._first_returned(entries)
            if returned < number:
                heappop(self.returned)
                return entries[returned]
        if number == NO_NUMBER:
            return None
        self._pass(self.head + 1)
        return entries[number]

    def _pass(self, head: int) -> None:
        if head >= SWEEP_MIN and 2 * head > len(self.fresh):
            del self.fresh[:head]
            head = 0
        self.head = head

    def _first_fresh(self, entries: dict[int, Entry]) -> int:
        fresh, head = self.fresh, self.head
        count = len(fresh)
        while head < count:  # stale ones were paid for when they came
            number = fresh[head]
            entry = entries.get(number)
            if entry is not None and entry.place == READY:
                self.head = head
                return number
            head += 1
        if count:
            del fresh[:]
        self.head = 0
        return NO_NUMBER

    def _first_returned(self, entries: dict[int, Entry]) -> int:
        returned = self.returned
        while returned:
            entry = entries.get(returned[0])
            if entry is not None and entry.place == READY:
                return returned[0]
            heappop(returned)
        return NO_NUMBER

    def drop_below(self, number: int) -> None:
        """Drops what is below a number at the head of the fresh ones: it is gone."""
        fresh, head = self.fresh, self.head
        count = len(fresh)
        while head < count and fresh[head] < number:
            head += 1
        del fresh[:head]
        self.head = 0

    def drop_gone(self, entries: dict[int, Entry]) -> None:
        """Drops messages that are gone where they are next: with no receive coming, they would pile
        up.
        """
        fresh, head = self.fresh, self.head
        count = len(fresh)
        while head < count and fresh[head] not in entries:
            head += 1
        self._pass(head)
        while self.returned and self.returned[0] not in entries:
            heappop(self.returned)

    def sweep(self, entries: dict[int, Entry], live: int) -> None:
        """Drops returned numbers of messages that are gone, when they outnumber the `live` ones."""
        if self.returned and len(self.returned) > 2 * live + SWEEP_MIN:
            self.returned = [number for number in set(self.returned) if number in entries]
            heapify(self.returned)

    def numbers(self) -> set[int]:
        """All numbers in the line, stale ones included. For checks."""
        return set(self.fresh[self.head :]).union(self.returned or ())
