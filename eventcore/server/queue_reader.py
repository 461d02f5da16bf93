"""Reading the messages of a queue for a look through a side door: some in each turn of the loop.

How many are read at a time follows their size, so that a turn is short with messages of a mebibyte,
and a queue of small ones takes few turns.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator
from typing import Final, final

from eventcore import limits
from eventcore.runtime.engine import BrowsedMessage, Engine

__all__ = ["QueueReader"]

MESSAGES_FIRST: Final = 4
"""Messages that are read at a time when nothing is known of their size."""


@final
class QueueReader:
    """Reads the queue `arn`, from the message behind the number `after` on.

    `next` is the number to go on after, behind what was given out. `is_end` says that there was
    nothing more, `is_over` that there is no reason to go on: this, or the turns are used up.
    `created_ms` is the queue's own.
    """

    def __init__(self, engine: Engine, arn: str, after: int) -> None:
        self.next = after
        self.is_end = False
        self.created_ms = 0
        self._engine = engine
        self._arn = arn
        self._upto = after
        self._ahead: deque[BrowsedMessage] = deque()
        self._count = MESSAGES_FIRST
        self._turns = 0

    @property
    def is_over(self) -> bool:
        """See the class."""
        return self.is_end or self._turns >= limits.DOOR_SLICES_MAX

    def read(self, messages_max: int) -> Generator[None, None, list[BrowsedMessage]]:
        """The next messages, as many as one turn has time for, each call in a turn of its own. It
        may find none and not be at the end. Raises NotFound, StoreUnavailable.
        """
        if self._turns:
            yield
        self._turns += 1
        if not self._ahead:
            self._look()
        taken: list[BrowsedMessage] = []
        size = 0
        while self._ahead and len(taken) < messages_max and size < limits.DOOR_SLICE_BYTES:
            taken.append(self._ahead.popleft())
            size += _size(taken[-1])
        self.next = taken[-1].number if self._ahead else self._upto
        return taken

    def _look(self) -> None:
        queue = self._engine.queue(self._arn)
        self.created_ms = queue.created_ms
        found, upto = self._engine.browse(queue, self._upto, self._count)
        self.is_end = upto == self._upto
        self._upto = upto
        self._ahead.extend(found)
        if found:
            mean = sum(map(_size, found)) // len(found) + 1
            wanted = max(limits.DOOR_SLICE_BYTES // mean, 1)
            self._count = min(wanted, 2 * self._count, limits.DOOR_SLICE)


def _size(message: BrowsedMessage) -> int:
    """About its bytes; characters of the body will do."""
    return len(message.record.body) + len(message.record.attributes)
