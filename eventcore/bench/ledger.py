"""The book that proves a run: which messages were sent, and what came back.

Every message carries a mark: its producer and its number with that producer, both in decimal, ahead
of the padding. A message's fate is one of: acknowledged (its send was answered), unknown (its send
failed or the answer was lost: it may have been stored or not) or never issued.

- lost: acknowledged, and never received. Must be 0.
- duplicated: receives beyond the first, of one message.
- out of order: a first receive after a later number of the same producer. Standard queues promise
  no order; with several consumers at work some are normal, since the answers overtake each other on
  the way.
- order broken: the same in a FIFO queue, within one message group. Must be 0, whatever the number
  of consumers: what is behind a message comes only after its delete, and whoever deletes has booked
  it before. Of two producers' messages in one group nobody knows which was stored first, so each
  producer's are compared with its own.
- foreign: received with a mark that was never issued, or with none. Must be 0.

Numbers of one producer grow by one, so the book is two byte arrays per producer: 2 bytes per
message; and 4 more with message groups, over which the marks go round in the order of their issue.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterable
from typing import Final, final

import msgspec

__all__ = ["Ledger", "LedgerSummary", "Mark", "mark_text"]

PRODUCERS_MAX: Final = 10_000
RECEIVES_COUNTED_MAX: Final = 255
ISSUED: Final = 1
ACKNOWLEDGED: Final = 2

Mark = tuple[int, int]
"""(producer, number), both from 0."""

_MARK: Final = re.compile(r"<(\d{4}):(\d{9})>")


class LedgerSummary(msgspec.Struct, frozen=True):
    """The book's totals, counts of messages. See the module's text."""

    sent: int
    unknown: int
    received: int
    lost: int
    duplicated: int
    out_of_order: int
    foreign: int
    order_broken: int = 0

    @property
    def is_clean(self) -> bool:
        """Nothing lost, nothing twice, nothing that was never sent, no promise of order broken."""
        return not (self.lost or self.duplicated or self.foreign or self.order_broken)


def mark_text(mark: Mark) -> str:
    """A mark as it stands in a body, 16 characters."""
    return f"<{mark[0]:04d}:{mark[1]:09d}>"


@final
class Ledger:
    """The book of one run. With `groups` every mark has one of so many message groups. `is_fifo`
    says that the queue keeps the order within each group.
    """

    def __init__(self, groups: int = 0, *, is_fifo: bool = False) -> None:
        if is_fifo and not groups:
            raise AssertionError("a FIFO queue's messages have groups")
        self._groups_max = groups
        self._is_fifo = is_fifo
        self._issued = 0
        self._groups: dict[int, array[int]] = {}
        self._fates: dict[int, bytearray] = {}
        self._receives: dict[int, bytearray] = {}
        self._latest: dict[int, int] = {}
        self._duplicated = 0
        self._overtaken = 0
        self._foreign = 0

    def issue(self, producer: int) -> Mark:
        """A new mark; call `acknowledge` when the send was answered."""
        if not 0 <= producer < PRODUCERS_MAX:
            raise AssertionError(f"producer {producer} is not in 0..{PRODUCERS_MAX - 1}")
        fates = self._fates.get(producer)
        if fates is None:
            fates = self._fates[producer] = bytearray()
            self._receives[producer] = bytearray()
            self._groups[producer] = array("I")
        fates.append(ISSUED)
        self._receives[producer].append(0)
        if self._groups_max:
            self._groups[producer].append(self._issued % self._groups_max)
            self._issued += 1
        return producer, len(fates) - 1

    def group_of(self, mark: Mark) -> int:
        """The message group of a mark, from 0. Only for a ledger with groups."""
        return self._groups[mark[0]][mark[1]]

    def acknowledge(self, marks: Iterable[Mark]) -> None:
        """The endpoint has confirmed these messages: from here on they must not be lost."""
        for producer, number in marks:
            self._fates[producer][number] = ACKNOWLEDGED

    def receive(self, body: str) -> None:
        """Books one received message, by the first mark in its body."""
        found = _MARK.search(body)
        if found is None:
            self._foreign += 1
            return
        producer, number = int(found[1]), int(found[2])
        receives = self._receives.get(producer)
        if receives is None or number >= len(receives):
            self._foreign += 1
        elif receives[number]:
            self._duplicated += 1
            receives[number] = min(receives[number] + 1, RECEIVES_COUNTED_MAX)
        else:
            receives[number] = 1
            self._book_order(producer, number)

    def _book_order(self, producer: int, number: int) -> None:
        """`_latest` has the highest number received: of each producer, or of each producer and
        group.
        """
        line = producer
        if self._is_fifo:
            line = producer * self._groups_max + self._groups[producer][number]
        if number < self._latest.get(line, -1):
            self._overtaken += 1
        else:
            self._latest[line] = number

    def summary(self) -> LedgerSummary:
        """The totals at this moment; `lost` means something once the queue has been drained."""
        sent = unknown = received = lost = 0
        for producer, fates in self._fates.items():
            acknowledged = fates.count(ACKNOWLEDGED)
            sent += acknowledged
            unknown += len(fates) - acknowledged
            receives = self._receives[producer]
            missing = receives.count(0)
            received += len(receives) - missing
            if missing:
                lost += sum(
                    1
                    for fate, times in zip(fates, receives, strict=True)
                    if fate == ACKNOWLEDGED and not times
                )
        return LedgerSummary(
            sent=sent,
            unknown=unknown,
            received=received,
            lost=lost,
            duplicated=self._duplicated,
            out_of_order=0 if self._is_fifo else self._overtaken,
            foreign=self._foreign,
            order_broken=self._overtaken if self._is_fifo else 0,
        )
