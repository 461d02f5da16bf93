"""A store in memory: what a broker without a path uses, and the fastest store for tests.

Rows outlive `close` and `open` of the same object, so that a simulated crash can load them into a
new broker; they are gone with the object. An append is done before `append` returns.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import final

from eventcore.errors import StoreUnavailable
from eventcore.stores.base import Batch, Done

__all__ = ["MemoryStore"]


@final
class MemoryStore:
    """Rows in one dict per component.

    With `holds_replies` it asks its host to wait as for a durable store.

    A component that is scanned gets its keys in order in `_orders`. The list may hold keys that are
    gone, never misses one: a new key is added at its end, or, where it does not belong there, the
    list is dropped until the next scan.
    """

    def __init__(self, *, holds_replies: bool = False) -> None:
        self._components: dict[int, dict[int, bytes]] = {}
        self._orders: dict[int, list[int]] = {}
        self._holds_replies = holds_replies
        self._is_open = False

    @property
    def holds_replies(self) -> bool:
        """As given to the constructor; False by default, since nothing here is durable."""
        return self._holds_replies

    @property
    def path(self) -> None:
        """There is no file."""
        return None

    async def open(self) -> None:
        """Gets ready; what an earlier use of this object appended is still there."""
        self._is_open = True

    def load(self) -> Iterator[tuple[int, int, bytes]]:
        """All rows, ordered by component and key."""
        for component, rows in sorted(self._components.items()):
            for key in sorted(rows):
                yield component, key, rows[key]

    def append(self, batch: Batch, done: Done) -> None:
        """Takes the batch in and calls `done(None)`, or `done(StoreUnavailable)` when not open."""
        if not self._is_open:
            done(StoreUnavailable("the store is not open"))
            return
        for component, first, last in batch.ranges:
            self._delete_range(component, first, last)
        components = self._components
        for (component, key), value in batch.rows.items():
            rows = components.get(component)
            if rows is None:
                rows = components[component] = {}
            if value is None:
                rows.pop(key, None)
            else:
                if component in self._orders and key not in rows:
                    self._note_new_key(component, key)
                rows[key] = value
        done(None)

    def _note_new_key(self, component: int, key: int) -> None:
        order = self._orders[component]
        is_stale = len(order) > 2 * len(self._components[component]) + 1_000
        if is_stale or (order and key <= order[-1]):
            del self._orders[component]
        else:
            order.append(key)

    def _delete_range(self, component: int, first: int, last: int) -> None:
        rows = self._components.get(component)
        if rows:
            for key in [key for key in rows if first <= key <= last]:
                del rows[key]

    async def recover(self) -> None:
        """Nothing to do: an append cannot fail while the store is open."""

    def read(self, component: int, keys: Sequence[int]) -> list[bytes | None]:
        """The values of some rows, None where there is none."""
        rows = self._components.get(component, {})
        return [rows.get(key) for key in keys]

    def scan(
        self, component: int, first_key: int, last_key: int, limit: int
    ) -> list[tuple[int, bytes]]:
        """At most `limit` rows with first_key <= key <= last_key, in key order."""
        rows = self._components.get(component, {})
        order = self._orders.get(component)
        if order is None:
            order = self._orders[component] = sorted(rows)
        found: list[tuple[int, bytes]] = []
        for at in range(bisect_left(order, first_key), len(order)):
            key = order[at]
            if key > last_key or len(found) >= limit:
                break
            value = rows.get(key)
            if value is not None:
                found.append((key, value))
        return found

    async def close(self) -> None:
        """Refuses further appends."""
        self._is_open = False
