"""The contract of a store: an ordered map of rows, changed only by atomic batches.

The contract is a journal's.

- A row is (component, key) -> value. Components and keys are integers in [0, 2**63); a store knows
  nothing else of them but this:
- Rows with keys of LOG_KEY_FIRST and above are *log rows*, the others are *hot rows*. A batch holds
  both, and both become durable together. `load` gives hot rows only, and however many log rows
  there are, neither it nor `open` takes longer for them. The keys of one log, `key >> LOG_SHIFT`,
  mostly grow, and it is mostly trimmed at its front: that is what a store should be good at; other
  orders have to work.
- A range (of a trim, a scan or a measure) has both ends among the hot rows or both among the log
  rows.
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

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, Literal, Protocol, final

from eventcore.errors import StoreError
from eventcore.outcome import LOG_KEY_FIRST, Mutation, Trim

__all__ = [
    "LOG_SHIFT",
    "Batch",
    "Done",
    "Durability",
    "RowKey",
    "Store",
    "is_log_range",
]

Durability = Literal["full", "relaxed", "memory"]
"""full: acknowledged means fsynced.

relaxed: fsynced at most N ms later, a kill loses nothing, a power cut at most
those N ms. memory: gone with the process."""

RowKey = tuple[int, int]
Done = Callable[[StoreError | None], None]

LOG_SHIFT: Final = 42
"""The bits of a log row's key below the number of its log."""

_ABSENT: Final = object()


def is_log_range(first_key: int, last_key: int) -> bool:
    """Whether the keys from `first_key` to `last_key` are log rows'; asserts that they are of one
    kind.
    """
    is_log = last_key >= LOG_KEY_FIRST
    assert is_log == (first_key >= LOG_KEY_FIRST), "a range spans hot rows and log rows"
    return is_log


@final
class Batch:
    """Row changes that become durable together, at most one per row.

    Invariants: a row in `fresh` is in no store, so deleting it again removes every trace of it from
    the batch. Ranges are deleted before rows are put. `value_bytes` is the sum of the bytes of the
    values in `rows`. `_keys` is None or a component and the keys that it has in `rows`, ascending.
    """

    __slots__ = ("_keys", "fresh", "ranges", "rows", "value_bytes")

    def __init__(self) -> None:
        self.rows: dict[RowKey, bytes | None] = {}
        self.fresh: set[RowKey] = set()
        self.ranges: list[tuple[int, int, int]] = []
        self.value_bytes = 0
        self._keys: tuple[int, list[int]] | None = None

    def __len__(self) -> int:
        return len(self.rows) + len(self.ranges)

    def add(self, component: int, mutations: Iterable[Mutation]) -> None:
        """Takes mutations in, in order; the last one of a row wins."""
        rows = self.rows
        fresh = self.fresh
        value_bytes = self.value_bytes
        self._keys = None
        for mutation in mutations:
            row = (component, mutation.key)
            value = mutation.value
            if value is None:
                if row in fresh:
                    fresh.remove(row)
                    value_bytes -= len(rows.pop(row) or b"")
                    continue
                value_bytes -= len(rows.get(row) or b"")
            else:
                value_bytes += len(value)
                if row in rows:
                    value_bytes -= len(rows[row] or b"")
                elif mutation.is_new:
                    fresh.add(row)
            rows[row] = value
        self.value_bytes = value_bytes

    def trim(self, component: int, trim: Trim) -> None:
        """Deletes a range of rows, those put earlier in this batch included.

        The range may not span hot rows and log rows.
        """
        first, last = trim.first_key, trim.last_key
        is_log_range(first, last)
        keys = self._keys_of(component)
        begin, end = bisect_left(keys, first), bisect_right(keys, last)
        for key in keys[begin:end]:
            row = (component, key)
            self.value_bytes -= len(self.rows.pop(row) or b"")
            self.fresh.discard(row)
        del keys[begin:end]
        self.ranges.append((component, first, last))

    def _keys_of(self, component: int) -> list[int]:
        """Made once for trims that follow each other: a stream trims all its shards at a time."""
        if self._keys is None or self._keys[0] != component:
            self._keys = component, sorted(key for other, key in self.rows if other == component)
        return self._keys[1]

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
        """All hot rows, ordered by component and key, read bit by bit. No append while it runs.

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
        self,
        component: int,
        first_key: int,
        last_key: int,
        limit: int,
        bytes_max: int | None = None,
    ) -> list[tuple[int, bytes]]:
        """At most `limit` rows of a component with first_key <= key <= last_key, in key order.

        With `bytes_max` the row with which the values reach so many bytes is the last one (there
        is one, if any is there); values behind it are not read. The range may not span hot rows and
        log rows. A short blocking read: it costs what it gives. Raises StoreError.
        """
        ...

    def measure(
        self, component: int, first_key: int, last_key: int, limit: int
    ) -> list[tuple[int, int]]:
        """Keys and bytes of the values of at most `limit` rows, as `scan` would give them.

        Reads no values. A short blocking read. Raises StoreError.
        """
        ...

    async def close(self) -> None:
        """Waits for an append in flight, then lets go of everything. May be called twice."""
        ...
