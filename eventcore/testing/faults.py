"""A store that fails when it is told to, around any other store.

Crash points of an append, by its number (the first is 1):

- "fail_before": the batch never reaches the store and is reported as failed;
- "fail_after": the batch is durable and yet reported as failed. The caller cannot tell it from
  "fail_before".

After a reported failure every append fails until `recover`, as the contract has it. `hold` keeps
the answers back (the batches are durable, nobody knows it yet) until `release`.

Reads fail when `reads_failing` or `load_fails_after` say so, and change nothing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Literal, final

from eventcore.errors import StoreError, StoreUnavailable
from eventcore.stores.base import Batch, Done, Store

__all__ = ["Fault", "FaultyStore"]

Fault = Literal["fail_before", "fail_after"]


@final
class FaultyStore:
    """`inner` with faults: `plan` says which appends fail, and may change at any time."""

    def __init__(self, inner: Store, plan: Mapping[int, Fault] | None = None) -> None:
        self.inner = inner
        self.plan: dict[int, Fault] = dict(plan or {})
        self.appends = 0
        """Appends that were tried since the object was made."""
        self.recoveries_failing = 0
        """The next so many calls of `recover` raise StoreUnavailable."""
        self.reads_failing = 0
        """The next so many calls of `read`, `scan`, `measure` and `load` raise StoreUnavailable."""
        self.load_fails_after: int | None = None
        """The next `load` gives so many rows, then raises StoreUnavailable."""
        self._is_failed = False
        self._is_holding = False
        self._held: deque[tuple[Done, StoreError | None]] = deque()

    @property
    def holds_replies(self) -> bool:
        """As the inner store's."""
        return self.inner.holds_replies

    @property
    def path(self) -> str | None:
        """As the inner store's."""
        return self.inner.path

    @property
    def held(self) -> int:
        """Answers kept back at present."""
        return len(self._held)

    def hold(self) -> None:
        """Keeps back the answers of the appends that follow."""
        self._is_holding = True

    def release(self, count: int | None = None) -> None:
        """Gives `count` of the answers held, oldest first; with no count all, and holds no more."""
        if count is None:
            self._is_holding = False
            count = len(self._held)
        for _ in range(min(count, len(self._held))):
            done, error = self._held.popleft()
            done(error)

    async def open(self) -> None:
        """Opens the inner store."""
        await self.inner.open()
        self._is_failed = False

    def load(self) -> Iterator[tuple[int, int, bytes]]:
        """As the inner store's, or fails, as told: at once or after some rows."""
        self._check_read("load")
        rows_max, self.load_fails_after = self.load_fails_after, None
        return self.inner.load() if rows_max is None else self._load_in_part(rows_max)

    def _load_in_part(self, rows_max: int) -> Iterator[tuple[int, int, bytes]]:
        yield from islice(self.inner.load(), rows_max)
        raise StoreUnavailable(f"injected fault: load after {rows_max} rows")

    def _check_read(self, call: str) -> None:
        if self.reads_failing > 0:
            self.reads_failing -= 1
            raise StoreUnavailable(f"injected fault: {call}")

    def append(self, batch: Batch, done: Done) -> None:
        """Appends to the inner store, or fails, as planned."""
        self.appends += 1
        if self._is_failed:
            self._answer(done, StoreUnavailable("not recovered from an injected fault"))
            return
        fault = self.plan.pop(self.appends, None)
        if fault is None:
            self.inner.append(batch, lambda error: self._answer(done, error))
            return
        failure = StoreUnavailable(f"injected fault: {fault} at append {self.appends}")
        self._is_failed = True
        if fault == "fail_before":
            self._answer(done, failure)
        else:
            self.inner.append(batch, lambda error: self._answer(done, error or failure))

    def _answer(self, done: Done, error: StoreError | None) -> None:
        if self._is_holding:
            self._held.append((done, error))
        else:
            done(error)

    async def recover(self) -> None:
        """Recovers the inner store, or fails as often as `recoveries_failing` says."""
        if self.recoveries_failing > 0:
            self.recoveries_failing -= 1
            raise StoreUnavailable("injected fault: recover")
        await self.inner.recover()
        self._is_failed = False

    def read(self, component: int, keys: Sequence[int]) -> list[bytes | None]:
        """As the inner store's, or fails, as told."""
        self._check_read("read")
        return self.inner.read(component, keys)

    def scan(
        self,
        component: int,
        first_key: int,
        last_key: int,
        limit: int,
        bytes_max: int | None = None,
    ) -> list[tuple[int, bytes]]:
        """As the inner store's, or fails, as told."""
        self._check_read("scan")
        return self.inner.scan(component, first_key, last_key, limit, bytes_max)

    def measure(
        self, component: int, first_key: int, last_key: int, limit: int
    ) -> list[tuple[int, int]]:
        """As the inner store's, or fails, as told."""
        self._check_read("measure")
        return self.inner.measure(component, first_key, last_key, limit)

    async def close(self) -> None:
        """Closes the inner store; gives all answers kept back first."""
        self.release()
        await self.inner.close()
