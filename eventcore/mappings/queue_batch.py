"""Which messages of a queue go into which batch of a mapping, and which batch may run now.

    add ──▶ open batch ──full, window over, too large──▶ complete ──start──▶ running ──end──▶ gone

Rules of this file:

- A batch is complete when it has `size_max` messages, when the next message would make its event
  larger than an invocation takes, when its window is over, or when its caller closes it. The window
  begins with its first message. It ends early where the messages would not stay invisible for long
  enough after it: a quarter of their visibility is left to the invocation.
- Messages stay in the order in which they came, in a batch and from batch to batch.
- A batch may hold several message groups of a FIFO queue. No two batches that run share a group,
  and none overtakes an earlier one that it shares a group with. Of a group that failed, nothing
  that stands behind is run any more: it is let go, and comes back with what failed.
- Messages whose visibility is over when their batch is about to run are let go too: somebody else
  may have them by now.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection
from typing import Any, Final, final

import msgspec

from eventcore import limits

__all__ = ["NEVER", "QueueBatch", "QueueBatches", "QueueItem", "Slots"]

NEVER: Final = 1 << 62
VISIBILITY_SHARES: Final = 4
"""One of so many parts of the messages' visibility is what a window leaves to the invocation."""
RETRY_SHARES: Final = 2
"""One of so many parts of it is for attempts to begin an invocation that is refused."""
GROWTH: Final = 5
"""Batches that run at a time more after each round without a throttle; AWS adds 300 a minute."""


class QueueItem(msgspec.Struct, gc=False, frozen=True):
    """A received message as its record in the event, the size of that in bytes, and until when it
    is invisible. `group` is a FIFO queue's message group, else None.
    """

    record: dict[str, Any]
    size_bytes: int
    visible_ms: int
    group: str | None = None
    trace_header: str = ""

    @property
    def receipt_handle(self) -> str:
        """The handle that deletes it."""
        handle: str = self.record["receiptHandle"]
        return handle


@final
class QueueBatch:
    """Messages of one invocation, in their order. `visible_ms` is when the first of them becomes
    visible again, `retry_until_ms` how long it may be tried to begin the invocation.
    """

    __slots__ = ("close_ms", "groups", "items", "retry_until_ms", "size_bytes", "visible_ms")

    def __init__(self) -> None:
        self.items: list[QueueItem] = []
        self.size_bytes = 0
        self.groups: set[str] = set()
        self.close_ms = NEVER
        self.visible_ms = NEVER
        self.retry_until_ms = 0

    @property
    def receipt_handles(self) -> list[str]:
        """The handles of all its messages."""
        return [item.record["receiptHandle"] for item in self.items]

    @property
    def message_ids(self) -> list[str]:
        """The ids of all its messages."""
        return [item.record["messageId"] for item in self.items]

    def strip(self, groups: Collection[str]) -> None:
        """Lets go of the messages of these groups."""
        self.items = [item for item in self.items if item.group not in groups]
        self.groups.difference_update(groups)

    def strip_visible(self, now_ms: int) -> set[str]:
        """Lets go of the messages whose visibility is over; gives the groups of these."""
        groups = {i.group for i in self.items if i.group is not None and i.visible_ms <= now_ms}
        self.items = [item for item in self.items if item.visible_ms > now_ms]
        self.visible_ms = min((item.visible_ms for item in self.items), default=NEVER)
        return groups


@final
class QueueBatches:
    """The batches of one mapping of a queue. See the file's rules."""

    def __init__(self) -> None:
        self.size_max = 1
        self.window_ms = 0
        self._bytes_max = limits.INVOKE_BYTES_MAX
        self._open: QueueBatch | None = None
        self._complete: deque[QueueBatch] = deque()
        self._running: set[QueueBatch] = set()
        self._groups: set[str] = set()

    def configure(self, size_max: int, window_ms: int, bytes_max: int) -> None:
        """Sets what completes a batch, from the next message on. `bytes_max` is for all its
        records together.
        """
        self.size_max = size_max
        self.window_ms = window_ms
        self._bytes_max = bytes_max

    @property
    def room(self) -> int:
        """How many messages the open batch takes before it is complete; at least 1."""
        if self._open is None:
            return self.size_max
        return max(1, self.size_max - len(self._open.items))

    @property
    def close_ms(self) -> int:
        """When the open batch's window is over; NEVER when there is none."""
        return NEVER if self._open is None else self._open.close_ms

    @property
    def waiting(self) -> int:
        """Complete batches that do not run yet."""
        return len(self._complete)

    @property
    def running(self) -> int:
        """Batches that were started and have not ended."""
        return len(self._running)

    def add(self, item: QueueItem, now_ms: int) -> None:
        """Takes a message in, behind all that were taken in before."""
        batch = self._open
        if batch is not None and (
            batch.size_bytes + item.size_bytes > self._bytes_max
            or len(batch.items) >= self.size_max
        ):
            self.close()
            batch = None
        if batch is None:
            batch = self._open = QueueBatch()
            if self.window_ms:
                batch.close_ms = now_ms + self.window_ms
        batch.items.append(item)
        batch.size_bytes += item.size_bytes
        if item.visible_ms < batch.visible_ms:
            batch.visible_ms = item.visible_ms
            if self.window_ms:
                left_ms = (item.visible_ms - now_ms) // VISIBILITY_SHARES
                batch.close_ms = min(batch.close_ms, item.visible_ms - left_ms)
        if item.group is not None:
            batch.groups.add(item.group)
        if len(batch.items) >= self.size_max:
            self.close()

    def close(self) -> None:
        """Completes the open batch as it is."""
        if self._open is not None:
            self._complete.append(self._open)
            self._open = None

    def close_due(self, now_ms: int) -> None:
        """Completes the open batch if its window is over, or if there is no window any more."""
        if self._open is not None and self._open.close_ms <= now_ms:
            self.close()

    def start(self, now_ms: int) -> QueueBatch | None:
        """The next complete batch that may run; None when there is none. It runs until `end`."""
        while (at := self._first_free()) is not None:
            batch = self._complete[at]
            del self._complete[at]
            if batch.visible_ms <= now_ms:
                groups = batch.strip_visible(now_ms)
                batch.strip(groups)
                self._let_go(groups)
            if batch.items:
                batch.retry_until_ms = now_ms + (batch.visible_ms - now_ms) // RETRY_SHARES
                self._running.add(batch)
                self._groups |= batch.groups
                return batch
        return None

    def _first_free(self) -> int | None:
        """The place of the first complete batch that no running or earlier one holds up."""
        if not self._groups:
            return 0 if self._complete else None
        held = set(self._groups)
        for at, batch in enumerate(self._complete):
            if held.isdisjoint(batch.groups):
                return at
            held |= batch.groups
        return None

    def end(self, batch: QueueBatch, failed_groups: Collection[str] = ()) -> None:
        """A batch has run. What stands behind in `failed_groups` is let go."""
        self._running.discard(batch)
        if not batch.groups:
            return
        self._groups -= batch.groups
        if failed_groups:
            self._let_go(failed_groups)

    def _let_go(self, groups: Collection[str]) -> None:
        for batch in [*self._complete, *([self._open] if self._open else [])]:
            if not batch.groups.isdisjoint(groups):
                batch.strip(groups)
        self._complete = deque(batch for batch in self._complete if batch.items)
        if self._open is not None and not self._open.items:
            self._open = None

    def forget(self) -> list[QueueItem]:
        """Lets go of everything that was not started; gives its messages."""
        self.close()
        items = [item for batch in self._complete for item in batch.items]
        self._complete.clear()
        return items

    def check(self) -> None:
        """Asserts the rules of this file."""
        groups = [group for batch in self._running for group in batch.groups]
        assert len(groups) == len(set(groups)), "two batches that run share a group"
        assert set(groups) == self._groups, "running groups are noted wrong"
        for batch in [*self._complete, *self._running, *([self._open] if self._open else [])]:
            assert batch.items, "a batch is empty"
            assert batch.groups == {item.group for item in batch.items if item.group is not None}


@final
class Slots:
    """How many batches may run at a time: the mapping's bound, and less for as long as the function
    has no concurrency for so many. A throttle takes it back to those that got through; each round
    without one lets GROWTH more run.
    """

    __slots__ = ("_bound", "_credit", "_width")

    def __init__(self, bound: int) -> None:
        self._bound = bound
        self._width = bound
        self._credit = 0

    @property
    def width(self) -> int:
        """Batches that may run now."""
        return self._width

    def set_bound(self, bound: int) -> None:
        """Changes the mapping's bound. A width below it stays."""
        was_full = self._width == self._bound
        self._bound = bound
        self._width = bound if was_full else min(self._width, bound)

    def throttled(self, through: int) -> None:
        """An invocation was refused while `through` others run."""
        self._width = max(1, min(self._width, through))
        self._credit = 0

    def succeeded(self) -> None:
        """An invocation was taken."""
        if self._width < self._bound:
            self._credit += GROWTH
            if self._credit >= self._width:
                self._credit -= self._width
                self._width += 1
