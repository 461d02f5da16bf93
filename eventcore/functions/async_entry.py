"""An asynchronous invocation: as it is asked for, as it is handed out, and as it is kept in memory
while it waits (`async_events.py`).
"""

from __future__ import annotations

from enum import Enum
from typing import Final, final

import msgspec

from eventcore.functions.invoke_records import LastResponse
from eventcore.functions.records import EVENT, AsyncRecord, decode_async_record
from eventcore.outcome import row_key

__all__ = [
    "IN_LANE",
    "AsyncAttempt",
    "AsyncEvent",
    "AsyncStatistics",
    "Entry",
    "Lane",
    "Phase",
    "decode_async_event",
]


class AsyncEvent(msgspec.Struct, frozen=True):
    """An asynchronous invocation as it was asked for. `payload` is JSON text."""

    payload: str
    qualifier: str | None = None
    trace_header: str = ""
    client_context: str = ""


class AsyncAttempt(msgspec.Struct, gc=False, frozen=True):
    """An event handed out to be invoked. It goes back to `succeed`, `fail`, `throttle`, `release`
    or `discard`.

    `event` is None when it is not in memory: then its row `key` has it (`decode_async_event`).
    `invokes` counts the invocations before this one. With a `condition`, it is handed out to be
    discarded with that condition, not to be invoked.
    """

    number: int
    request_id: str
    event: AsyncEvent | None
    accepted_ms: int
    invokes: int
    condition: str | None = None

    @property
    def key(self) -> int:
        """The key of the event's row."""
        return row_key(EVENT, self.number)


class AsyncStatistics(msgspec.Struct, frozen=True):
    """Counts at one moment. The last four count from the start of the process: `failed` are events
    that ended in a destination or a dead-letter queue, `dropped` those that had neither,
    `throttled` counts attempts.
    """

    waiting: int
    ready: int
    attempting: int
    oldest_age_ms: int
    succeeded: int
    failed: int
    throttled: int
    dropped: int


def decode_async_event(row: bytes) -> AsyncEvent:
    """The event in a row that was read back."""
    record = decode_async_record(row)
    return AsyncEvent(record.payload, record.qualifier, record.trace_header, record.client_context)


class Phase(Enum):
    """Where an event is. A doomed one waits to be read back, because it has to end."""

    WAITING = 0
    READY = 1
    ATTEMPTING = 2
    DOOMED = 3


IN_LANE: Final = (Phase.WAITING, Phase.READY)
"""The phases in which an event can become too old by itself."""


@final
class Lane:
    """The events of one qualifier. `numbers` is a heap in which some are stale; `live` counts the
    events there are.
    """

    __slots__ = ("live", "numbers", "qualifier")

    def __init__(self, qualifier: str | None) -> None:
        self.qualifier = qualifier
        self.numbers: list[int] = []
        self.live = 0


@final
class Entry:
    """An event in memory. `row` is its encoded row, None when it was spilled."""

    __slots__ = (
        "accepted_ms",
        "condition",
        "id",
        "invokes",
        "is_in_heap",
        "lane",
        "last",
        "next_ms",
        "phase",
        "row",
        "throttles",
    )

    def __init__(self, record: AsyncRecord, row: bytes | None, lane: Lane) -> None:
        self.id = record.id
        self.accepted_ms = record.accepted_ms
        self.row = row
        self.lane = lane
        self.invokes = 0
        self.throttles = 0
        self.next_ms = record.accepted_ms
        self.last: LastResponse | None = None
        self.condition: str | None = None
        self.phase = Phase.READY
        self.is_in_heap = False
        """Whether the lane's heap has its number, live or stale."""
