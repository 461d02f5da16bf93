"""A durable store in memory whose appends end when, and as, a test says.

An append waits as `pending`. `commit` makes it durable and says so; `fail` reports a failure, after
having made it durable or not: the caller cannot tell. `crash` gives what a new process would find.
It asserts the host's side of the contract: one append in flight, none after a failure until
`recover`, none during a load.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import final

from eventcore.errors import StoreUnavailable
from eventcore.outcome import LOG_KEY_FIRST
from eventcore.stores.base import Batch, Done
from eventcore.stores.memory import MemoryStore

__all__ = ["PendingStore"]


@final
class PendingStore:
    """See the module's text. `rows` is what is durable."""

    def __init__(self, rows: MemoryStore | None = None) -> None:
        self.rows = rows or MemoryStore(holds_replies=True)
        self.pending: tuple[Batch, Done] | None = None
        self.appends = 0
        self.recoveries = 0
        self.recoveries_failing = 0
        self.loads_failing_at: int | None = None
        """The next load raises after so many rows."""
        self.scans_failing = 0
        """So many scans of log rows raise."""
        self._must_recover = False

    @property
    def holds_replies(self) -> bool:
        return True

    @property
    def path(self) -> None:
        return None

    async def open(self) -> None:
        await self.rows.open()

    def load(self) -> Iterator[tuple[int, int, bytes]]:
        assert self.pending is None and not self._must_recover
        failing_at, self.loads_failing_at = self.loads_failing_at, None
        for count, row in enumerate(self.rows.load()):
            if count == failing_at:
                raise StoreUnavailable("injected fault: load")
            yield row

    def append(self, batch: Batch, done: Done) -> None:
        assert self.pending is None, "two appends in flight"
        assert not self._must_recover, "an append after a failed one, without recover"
        self.appends += 1
        self.pending = (batch, done)

    def commit(self) -> None:
        """The append in flight becomes durable."""
        batch, done = self._take()
        self.rows.append(batch, done)

    def fail(self, *, is_durable: bool) -> None:
        """The append in flight is reported as failed."""
        batch, done = self._take()
        if is_durable:
            self.rows.append(batch, lambda error: None)
        self._must_recover = True
        done(StoreUnavailable(f"injected fault: durable {is_durable}"))

    def crash(self, *, is_durable: bool = False) -> PendingStore:
        """The store that the next process opens; the append in flight has got through or not."""
        if self.pending is not None:
            batch, _ = self._take()
            if is_durable:
                self.rows.append(batch, lambda error: None)
        return PendingStore(self.rows)

    def _take(self) -> tuple[Batch, Done]:
        assert self.pending is not None, "no append in flight"
        taken, self.pending = self.pending, None
        return taken

    async def recover(self) -> None:
        assert self.pending is None
        if self.recoveries_failing:
            self.recoveries_failing -= 1
            raise StoreUnavailable("injected fault: recover")
        self.recoveries += 1
        self._must_recover = False

    def read(self, component: int, keys: Sequence[int]) -> list[bytes | None]:
        return self.rows.read(component, keys)

    def scan(
        self,
        component: int,
        first_key: int,
        last_key: int,
        limit: int,
        bytes_max: int | None = None,
    ) -> list[tuple[int, bytes]]:
        if self.scans_failing and first_key >= LOG_KEY_FIRST:
            self.scans_failing -= 1
            raise StoreUnavailable("injected fault: scan")
        return self.rows.scan(component, first_key, last_key, limit, bytes_max)

    def measure(
        self, component: int, first_key: int, last_key: int, limit: int
    ) -> list[tuple[int, int]]:
        return self.rows.measure(component, first_key, last_key, limit)

    async def close(self) -> None:
        await self.rows.close()
