"""A store in memory: what a broker without a path uses, and the fastest store for tests.

Rows outlive `close` and `open` of the same object, so that a simulated crash can load them into a
new broker, and so that a test can look at them; they are gone with the object. An append is done
before `append` returns.

- The hot rows of a component lie in pages: the row `key` is in page `key >> PAGE_SHIFT`, a dict.
  Keys mostly follow each other, so pages are mostly full; an empty page is dropped at once.
- A put or a delete costs the same at any size, but for the first and the last row of a page.
- A range that is deleted or scanned costs what lies in it plus a page at either end, wherever it
  begins and however many rows the component has.
- Log rows have keys far from each other, and few of them would share a page: they lie in logs
  (`memory_log.py`).
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator, Sequence
from typing import Final, final

from eventcore.errors import StoreUnavailable
from eventcore.outcome import LOG_KEY_FIRST
from eventcore.stores.base import Batch, Done, is_log_range
from eventcore.stores.memory_log import LogRows, up_to

__all__ = ["MemoryStore"]

PAGE_SHIFT: Final = 10
"""1,024 keys a page. No dict is larger, so none stops the loop while it grows."""

Page = dict[int, bytes]


@final
class _Component:
    """The hot rows of one component.

    Invariants: no page is empty; `order` holds the numbers of the pages, ascending.
    """

    __slots__ = ("order", "pages")

    def __init__(self) -> None:
        self.pages: dict[int, Page] = {}
        self.order: list[int] = []

    def put_first(self, key: int, value: bytes) -> None:
        """Puts the first row of its page; any other is put into the page right away."""
        number = key >> PAGE_SHIFT
        self.pages[number] = {key: value}
        insort(self.order, number)

    def delete(self, key: int) -> None:
        number = key >> PAGE_SHIFT
        page = self.pages.get(number)
        if page is None:
            return
        page.pop(key, None)
        if not page:
            del self.pages[number]
            del self.order[bisect_left(self.order, number)]

    def delete_range(self, first: int, last: int) -> None:
        begin, end = self._pages_between(first, last)
        emptied = []
        for number in self.order[begin:end]:
            page = self.pages[number]
            if not (first <= number << PAGE_SHIFT and (number + 1) << PAGE_SHIFT <= last + 1):
                for key in [key for key in page if first <= key <= last]:
                    del page[key]
                if page:
                    continue
            del self.pages[number]
            emptied.append(number)
        if emptied:
            gone_from = bisect_left(self.order, emptied[0])
            del self.order[gone_from : gone_from + len(emptied)]

    def _pages_between(self, first: int, last: int) -> tuple[int, int]:
        """Where in `order` the pages begin and end that may hold keys from `first` to `last`."""
        order = self.order
        return bisect_left(order, first >> PAGE_SHIFT), bisect_right(order, last >> PAGE_SHIFT)

    def scan(self, first: int, last: int, limit: int) -> list[tuple[int, bytes]]:
        found: list[tuple[int, bytes]] = []
        begin, end = self._pages_between(first, last)
        for at in range(begin, end):
            page = self.pages[self.order[at]]
            found += sorted((key, page[key]) for key in page if first <= key <= last)
            if len(found) >= limit:
                del found[limit:]
                break
        return found


_EMPTY: Final = _Component()
_EMPTY_LOG: Final = LogRows()
_NO_ROWS: Final[Page] = {}


@final
class MemoryStore:
    """Hot rows in one `_Component` each, log rows in one `LogRows` each.

    With `holds_replies` it asks its host to wait as for a durable store.
    """

    def __init__(self, *, holds_replies: bool = False) -> None:
        self._components: dict[int, _Component] = {}
        self._logs: dict[int, LogRows] = {}
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
        """All hot rows, ordered by component and key."""
        for component, rows in sorted(self._components.items()):
            for number in rows.order:
                for key, value in sorted(rows.pages[number].items()):
                    yield component, key, value

    def append(self, batch: Batch, done: Done) -> None:
        """Takes the batch in and calls `done(None)`, or `done(StoreUnavailable)` when not open."""
        if not self._is_open:
            done(StoreUnavailable("the store is not open"))
            return
        for number, first, last in batch.ranges:
            self._delete_range(number, first, last)
        components = self._components
        for (number, key), value in batch.rows.items():
            if key >= LOG_KEY_FIRST:
                self._take_log_row(number, key, value)
                continue
            component = components.get(number)
            if component is None:
                if value is None:
                    continue
                component = components[number] = _Component()
            if value is None:
                component.delete(key)
            elif (page := component.pages.get(key >> PAGE_SHIFT)) is not None:
                page[key] = value
            else:
                component.put_first(key, value)
        done(None)

    def _delete_range(self, number: int, first: int, last: int) -> None:
        if not is_log_range(first, last):
            if (component := self._components.get(number)) is not None:
                component.delete_range(first, last)
        elif (logs := self._logs.get(number)) is not None:
            logs.delete_range(first, last)
            if not logs:
                del self._logs[number]

    def _take_log_row(self, number: int, key: int, value: bytes | None) -> None:
        logs = self._logs.get(number)
        if value is not None:
            if logs is None:
                logs = self._logs[number] = LogRows()
            logs.put(key, value)
        elif logs is not None:
            logs.delete_range(key, key)
            if not logs:
                del self._logs[number]

    async def recover(self) -> None:
        """Nothing to do: an append cannot fail while the store is open."""

    def read(self, component: int, keys: Sequence[int]) -> list[bytes | None]:
        """The values of some rows, None where there is none."""
        pages = self._components.get(component, _EMPTY).pages
        logs = self._logs.get(component, _EMPTY_LOG)
        return [
            pages.get(key >> PAGE_SHIFT, _NO_ROWS).get(key)
            if key < LOG_KEY_FIRST
            else logs.get(key)
            for key in keys
        ]

    def scan(
        self,
        component: int,
        first_key: int,
        last_key: int,
        limit: int,
        bytes_max: int | None = None,
    ) -> list[tuple[int, bytes]]:
        """At most `limit` rows from first_key to last_key, in key order, up to `bytes_max`."""
        if is_log_range(first_key, last_key):
            logs = self._logs.get(component, _EMPTY_LOG)
            return logs.scan(first_key, last_key, limit, bytes_max)
        rows = self._components.get(component, _EMPTY).scan(first_key, last_key, limit)
        return rows if bytes_max is None else up_to(bytes_max, rows)

    def measure(
        self, component: int, first_key: int, last_key: int, limit: int
    ) -> list[tuple[int, int]]:
        """Keys and bytes of the values of at most `limit` rows, in key order."""
        rows = self.scan(component, first_key, last_key, limit)
        return [(key, len(value)) for key, value in rows]

    async def close(self) -> None:
        """Refuses further appends."""
        self._is_open = False
