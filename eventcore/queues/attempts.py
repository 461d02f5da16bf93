"""Receives of a FIFO queue that can be repeated: what a ReceiveRequestAttemptId gave out.

An id counts for five minutes from its first use. The latest ATTEMPTS_MAX are kept; an older one is
as good as unknown, and its receive is then made anew.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final, final

from eventcore import limits
from eventcore.outcome import Mutation, delete_row, put_row, row_key
from eventcore.queues.deadlines import NEVER
from eventcore.queues.records import ATTEMPT, AttemptRecord, decode_attempt

__all__ = ["ATTEMPTS_MAX", "Attempts"]

ATTEMPTS_MAX: Final = 10_000


@final
class Attempts:
    """The attempts of one queue by the number of their row, oldest first."""

    def __init__(self) -> None:
        self._records: OrderedDict[int, AttemptRecord] = OrderedDict()
        self._numbers: dict[str, int] = {}
        self._next_number = 0

    def find(self, attempt_id: str, now_ms: int) -> AttemptRecord | None:
        """What the id gave out, while it counts."""
        number = self._numbers.get(attempt_id)
        if number is None:
            return None
        record = self._records[number]
        return record if record.started_ms + limits.DEDUPLICATION_MS > now_ms else None

    def put(self, record: AttemptRecord) -> list[Mutation]:
        """Remembers an attempt; one of the same id is replaced, and keeps its row if it counts."""
        number = self._numbers.get(record.attempt_id)
        mutations = []
        if number is not None and self._records[number].started_ms != record.started_ms:
            mutations.append(delete_row(row_key(ATTEMPT, number)))
            number = None
        if number is None:
            number = self._next_number
            if len(self._records) - len(mutations) >= ATTEMPTS_MAX:
                mutations.append(delete_row(row_key(ATTEMPT, next(iter(self._records)))))
        mutations.append(put_row(row_key(ATTEMPT, number), record))
        return mutations

    def apply(self, number: int, mutation: Mutation) -> None:
        """Takes in one row."""
        if mutation.value is None:
            record = self._records.pop(number, None)
            if record is not None and self._numbers.get(record.attempt_id) == number:
                del self._numbers[record.attempt_id]
            return
        record = mutation.record or decode_attempt(mutation.value)
        assert record is not None
        self._records[number] = record
        self._numbers[record.attempt_id] = number
        self._next_number = max(self._next_number, number + 1)

    @property
    def next_ms(self) -> int:
        """When the oldest attempt's time is over; NEVER without any."""
        first = next(iter(self._records.values()), None)
        return NEVER if first is None else first.started_ms + limits.DEDUPLICATION_MS

    def forgotten(self, now_ms: int, limit: int) -> list[Mutation]:
        """The deletions of at most `limit` attempts whose time is over."""
        mutations: list[Mutation] = []
        for number, record in self._records.items():
            if record.started_ms + limits.DEDUPLICATION_MS > now_ms or len(mutations) >= limit:
                break
            mutations.append(delete_row(row_key(ATTEMPT, number)))
        return mutations

    def check(self) -> None:
        """Asserts the rules of this file."""
        assert len(self._records) <= ATTEMPTS_MAX, "too many attempts are kept"
        for attempt_id, number in self._numbers.items():
            assert self._records[number].attempt_id == attempt_id, "an attempt is misfiled"
