"""What the clients of a simulated world were promised, and whether the engine keeps it.

Rules:

- The ledger follows the order in which calls were made, as the engine does: a call counts from the
  moment it is made, because whatever is acknowledged later stands behind it in the journal.
- A call whose answer did not arrive (failed commit, crash) may or may not have happened. Its
  messages are `unsure` until the reload has shown which.
- A message that is there is in exactly one queue; its receives count up by one; nobody gets it
  while it is invisible; what is deleted stays away. The first breach is an AssertionError.
- A move task makes a new message of an old one: its `life` goes up, its receives begin again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import final

__all__ = ["Call", "Ledger", "Record"]


@dataclass
class Record:
    """One message: what the clients know of it."""

    body: str
    queue: str
    sent_ms: int
    is_there: bool = True
    is_unsure: bool = False
    receives: int = 0
    receives_told: int = 0
    hidden_until_ms: int = 0
    handle: str | None = None
    is_handle_known: bool = True
    group: str | None = None
    life: int = 0
    handles: list[tuple[str, str]] = field(default_factory=list)
    """(queue, receipt handle) of every receive."""


@final
class Call:
    """A reply of the engine: tells the ledger what became of one client's call."""

    def __init__(
        self,
        ledger: Ledger,
        kind: str,
        records: list[Record],
        on_commit: Callable[[], None] | None = None,
    ) -> None:
        self._ledger = ledger
        self.kind = kind
        self.records = records
        self._on_commit = on_commit
        self._receives = [(record.receives, record.life) for record in records]
        self.is_answered = False
        ledger.calls[id(self)] = self

    def commit(self, payload: object) -> None:
        assert not self.is_answered, f"{self.kind} was answered twice"
        self.is_answered = True
        del self._ledger.calls[id(self)]
        self._ledger.acknowledged += 1
        if self.kind == "receive":
            for record, (receives, life) in zip(self.records, self._receives, strict=True):
                if record.life == life:
                    record.receives_told = max(record.receives_told, receives)
        if self._on_commit is not None:
            self._on_commit()

    def fail(self, error: Exception) -> None:
        assert not self.is_answered, f"{self.kind} was answered twice"
        self.is_answered = True
        del self._ledger.calls[id(self)]
        self._ledger.failed += 1
        self.blur()

    def blur(self) -> None:
        """It may have happened or not."""
        for record in self.records:
            if self.kind in ("send", "delete", "purge", "drop"):
                record.is_unsure = True
            record.receives = record.receives_told
            record.hidden_until_ms = 0
            record.is_handle_known = False


@final
class Ledger:
    """All messages and all calls without an answer."""

    def __init__(self, retention_ms: dict[str, int]) -> None:
        self._retention_ms = retention_ms
        self.records: dict[str, Record] = {}
        self.calls: dict[int, Call] = {}
        self._moving: list[Record] = []
        self.acknowledged = 0
        self.failed = 0
        self.deliveries = 0
        self.repeats = 0
        self.renewals = 0

    # Calls, in the order in which they are made

    def send(self, queue: str, body: str, now_ms: int, delay_ms: int) -> Record:
        record = Record(body, queue, now_ms, hidden_until_ms=now_ms + delay_ms)
        self.records[body] = record
        return record

    def receive(
        self, queue: str, body: str, receives: int, handle: str, now_ms: int, timeout_ms: int
    ) -> Record:
        record = self.records.get(body)
        assert record is not None, f"{body} was never sent"
        assert record.is_there or record.is_unsure, f"{body} came back after its deletion"
        assert now_ms >= record.hidden_until_ms, f"{body} was given out while it was invisible"
        assert now_ms < record.sent_ms + self._retention_ms[queue], f"{body} had expired"
        if record.is_handle_known:
            assert receives == record.receives + 1, f"{body}: receive {receives}, not one more"
        assert receives > record.receives_told, f"{body}: the receive count fell"
        assert (queue, handle) not in record.handles, f"{body}: a handle was given twice"
        self.deliveries += 1
        record.is_there, record.is_unsure = True, False
        record.receives = receives
        record.hidden_until_ms = now_ms + timeout_ms
        record.handle, record.is_handle_known = handle, True
        record.handles.append((queue, handle))
        return record

    def repeated(self, record: Record, receives: int, handle: str, until_ms: int) -> Record:
        """The same receive again, with the same handle."""
        assert record.is_there or record.is_unsure, f"{record.body} came back after its deletion"
        if record.is_handle_known:
            assert handle == record.handle, f"{record.body}: an older handle was given again"
            assert receives == record.receives, f"{record.body}: a repeated receive was counted"
        assert receives >= record.receives_told, f"{record.body}: the receive count fell"
        record.is_there, record.is_unsure = True, False
        self.repeats += 1
        record.receives, record.hidden_until_ms = receives, until_ms
        record.handle, record.is_handle_known = handle, True
        return record

    def delete(self, record: Record, handle: str, *, is_gone: bool) -> list[Record]:
        """The records that this delete concerns. Where an answer was lost, nobody can know which
        handle is the latest, and the engine is believed.
        """
        was_there = record.is_there
        if (handle == record.handle) if record.is_handle_known else is_gone:
            record.is_there = False
        return [record] if was_there and not record.is_there else []

    def change(self, record: Record, now_ms: int, timeout_ms: int) -> None:
        record.hidden_until_ms = now_ms + timeout_ms

    def moved(self, record: Record, sent_ms: int) -> None:
        """It is in another queue now, where no handle was given yet; its send time may be new."""
        assert sent_ms >= record.sent_ms, f"{record.body} became older"
        record.handle = None
        record.sent_ms = sent_ms
        self._moving.append(record)

    def gone(self, bodies: list[str]) -> list[Record]:
        """A purge, or the deletion of a queue that held these."""
        records = [self.records[body] for body in bodies]
        for record in records:
            record.is_there = False
        return records

    def renewed(self, record: Record, sent_ms: int) -> None:
        """A move task made a new message of it."""
        self.moved(record, sent_ms)
        self.renewals += 1
        record.life += 1
        record.receives = record.receives_told = record.hidden_until_ms = 0
        record.is_handle_known = False

    # What the engine has

    def crashed(self) -> None:
        """Nobody will ever answer the calls that are open."""
        for call in list(self.calls.values()):
            call.blur()
        self.calls.clear()
        self.failed_commit()

    def failed_commit(self) -> None:
        """What moved may have moved back; no call of a client stands for that."""
        for record in self._moving:
            record.is_handle_known = False
            record.hidden_until_ms = 0
        self._moving.clear()

    def durable(self) -> None:
        """Nothing can be undone any more."""
        self._moving.clear()

    def reloaded(self, contents: dict[str, str]) -> None:
        """The engine has read its store again: what was unsure is known now."""
        for record in self.records.values():
            if record.is_unsure:
                record.is_unsure = False
                record.is_there = record.body in contents

    def is_expired(self, record: Record, now_ms: int) -> bool:
        """Whether its retention is over."""
        return now_ms >= record.sent_ms + self._retention_ms[record.queue]

    def compare(self, contents: dict[str, str], now_ms: int) -> None:
        """`contents` is which queue holds each message."""
        for body, record in self.records.items():
            queue = contents.get(body)
            if record.is_unsure:
                continue
            if queue is not None:
                assert record.is_there, f"{body} is in {queue} and was deleted"
            elif record.is_there:
                assert self.is_expired(record, now_ms), f"{body} is lost"
        unknown = contents.keys() - self.records.keys()
        assert not unknown, f"{sorted(unknown)} were never sent"
