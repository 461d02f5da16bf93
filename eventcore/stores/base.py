"""The contract of a store: an ordered map of rows, changed only by atomic batches.

The contract is a journal's.

- A row is (component, key) -> value. Components and keys are integers in [0, 2**63); a store knows
  nothing else of them.
- `append` is atomic (all of a batch or nothing), ordered, durable when it reports success (as far
  as the named durability promises), and serialised: the caller has at most one append in flight.
- After a failed append the fate of that batch is unknown. The caller reloads before it goes on:
  every append fails with StoreUnavailable until `recover` has returned, and so does one on a store
  that is not open.
- `read`, `scan` and `load` see what was appended successfully, never a part of a batch. They raise
  StoreError: StoreUnavailable where the store has a path and is not open, or the rows are out of
  reach now, StoreCorrupt where they are damaged. `load` may raise at any row; what it gave before
  is right and not all. A read that fails changes nothing: the next append does what it would have.
- Whoever leaves a `load` before its end closes the iterator, then appends.
- A store may call `done` before `append` returns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, Literal, Protocol, final

from eventcore.errors import StoreError
from eventcore.outcome import Mutation, Trim

__all__ = ["Batch", "Done", "Durability", "RowKey", "Store"]

Durability = Literal["full", "relaxed", "memory"]
"""full: acknowledged means fsynced.

relaxed: fsynced at most N ms later, a kill loses nothing, a power cut at most
those N ms. memory: gone with the process."""

RowKey = tuple[int, int]
Done = Callable[[StoreError | None], None]

_ABSENT: Final = object()


@final
class Batch:
    """Row changes that become durable together, at most one per row.

    Invariants: a row in `fresh` is in no store, so deleting it again removes every trace of it from
    the batch. Ranges are deleted before rows are put.
    """

    __slots__ = ("fresh", "ranges", "rows")

    def __init__(self) -> None:
        self.rows: dict[RowKey, bytes | None] = {}
        self.fresh: set[RowKey] = set()
        self.ranges: list[tuple[int, int, int]] = []

    def __len__(self) -> int:
        return len(self.rows) + len(self.ranges)

    def add(self, component: int, mutations: Iterable[Mutation]) -> None:
        """Takes mutations in, in order; the last one of a row wins."""
        rows = self.rows
        fresh = self.fresh
        for mutation in mutations:
            row = (component, mutation.key)
            if mutation.value is None and row in fresh:
                fresh.remove(row)
                del rows[row]
                continue
            if mutation.is_new and row not in rows:
                fresh.add(row)
            rows[row] = mutation.value

    def trim(self, component: int, trim: Trim) -> None:
        """Deletes a range of rows, those put earlier in this batch included."""
        first, last = trim.first_key, trim.last_key
        for row in [r for r in self.rows if r[0] == component and first <= r[1] <= last]:
            del self.rows[row]
            self.fresh.discard(row)
        self.ranges.append((component, first, last))

    def get(self, row: RowKey) -> bytes | object | None:
        """The row's value here: None if deleted, `Batch.ABSENT` if the batch says nothing of it."""
        value = self.rows.get(row, _ABSENT)
        if value is _ABSENT and any(c == row[0] and f <= row[1] <= la for c, f, la in self.ranges):
            return None
        return value

    ABSENT: Final = _ABSENT


class Store(Protocol):
    """Where rows live.

    See the module's text for the promises; `eventcore.testing.check_store` checks them.
    """

    @property
    def holds_replies(self) -> bool:
        """Whether a reply has to wait for its batch (False only where nothing is durable)."""
        ...

    @property
    def path(self) -> str | None:
        """The file, or None for a store in memory."""
        ...

    async def open(self) -> None:
        """Opens or creates, locks, migrates.

        Raises StoreLocked, StoreTooNew, StoreCorrupt, StoreUnavailable.
        """
        ...

    def load(self) -> Iterator[tuple[int, int, bytes]]:
        """All rows, ordered by component and key, read bit by bit. No append while it runs.

        Raises StoreError, at the call or at any row.
        """
        ...

    def append(self, batch: Batch, done: Done) -> None:
        """Makes the batch durable, then `done(None)`; `done(error)` when it failed or may have."""
        ...

    async def recover(self) -> None:
        """After `done(error)`: gets ready for `load` and `append` again (new writer or connection).

        Raises StoreError when that is not possible now; the caller may try again later.
        """
        ...

    def read(self, component: int, keys: Sequence[int]) -> list[bytes | None]:
        """The values of some rows of a component, in the order asked; None where there is no row.

        A short blocking read. Raises StoreError.
        """
        ...

    def scan(
        self, component: int, first_key: int, last_key: int, limit: int
    ) -> list[tuple[int, bytes]]:
        """At most `limit` rows of a component with first_key <= key <= last_key, in key order.

        A short blocking read. Raises StoreError.
        """
        ...

    async def close(self) -> None:
        """Waits for an append in flight, then lets go of everything. May be called twice."""
        ...
