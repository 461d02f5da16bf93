"""The log rows of a component in memory: one log per `key >> LOG_SHIFT`.

- A log is a list of keys, ascending, and a list of their values. The next key mostly is the
  highest: then a put costs the same at any size. A key between others moves those above it.
- A range at the front costs what it deletes: its rows are let go at once, their places when they
  are half of the lists. A range elsewhere moves the keys above it.
- Reading a row is a binary search; a scan costs that and what it gives.
- An empty log is dropped at once.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Sequence
from typing import Final, final

from eventcore.stores.base import LOG_SHIFT

__all__ = ["LogRows", "up_to"]

_GONE: Final = b""


def up_to(bytes_max: int, rows: Sequence[tuple[int, bytes]]) -> list[tuple[int, bytes]]:
    """The first rows, up to the one with which the values reach `bytes_max`."""
    taken: list[tuple[int, bytes]] = []
    left = bytes_max
    for row in rows:
        taken.append(row)
        left -= len(row[1])
        if left <= 0:
            break
    return taken


@final
class _Log:
    """One log. Rows before `begin` are gone; from there on `keys` is ascending."""

    __slots__ = ("begin", "keys", "values")

    def __init__(self) -> None:
        self.begin = 0
        self.keys: list[int] = []
        self.values: list[bytes] = []

    def put(self, key: int, value: bytes) -> None:
        keys = self.keys
        if not keys or key > keys[-1]:
            keys.append(key)
            self.values.append(value)
            return
        at = bisect_left(keys, key, self.begin)
        if keys[at] == key:
            self.values[at] = value
        else:
            keys.insert(at, key)
            self.values.insert(at, value)

    def delete_range(self, first: int, last: int) -> bool:
        """Returns whether the log is empty then."""
        begin, end = self.between(first, last)
        if begin < end:
            if begin > self.begin:
                del self.keys[begin:end]
                del self.values[begin:end]
            else:
                self.values[begin:end] = [_GONE] * (end - begin)
                self.begin = end
                if 2 * end >= len(self.keys):
                    del self.keys[:end]
                    del self.values[:end]
                    self.begin = 0
        return not self.keys

    def between(self, first: int, last: int) -> tuple[int, int]:
        """Where the rows with keys from `first` to `last` begin and end."""
        begin = bisect_left(self.keys, first, self.begin)
        return begin, bisect_right(self.keys, last, begin)


@final
class LogRows:
    """All logs of a component.

    Invariants: no log is empty; `order` holds the numbers of the logs, ascending.
    """

    __slots__ = ("logs", "order")

    def __init__(self) -> None:
        self.logs: dict[int, _Log] = {}
        self.order: list[int] = []

    def __bool__(self) -> bool:
        return bool(self.logs)

    def put(self, key: int, value: bytes) -> None:
        """Puts a row, new or not."""
        number = key >> LOG_SHIFT
        log = self.logs.get(number)
        if log is None:
            log = self.logs[number] = _Log()
            insort(self.order, number)
        log.put(key, value)

    def get(self, key: int) -> bytes | None:
        """The value of a row; None where there is none."""
        log = self.logs.get(key >> LOG_SHIFT)
        if log is None:
            return None
        begin, end = log.between(key, key)
        return log.values[begin] if begin < end else None

    def delete_range(self, first: int, last: int) -> None:
        """Deletes the rows with keys from `first` to `last`."""
        order = self.order
        begin, end = self._logs_between(first, last)
        emptied = [number for number in order[begin:end] if self._cut(number, first, last)]
        for number in emptied:
            del self.logs[number]
        if len(emptied) == 1:
            del order[bisect_left(order, emptied[0])]
        elif emptied:
            order[begin:end] = [number for number in order[begin:end] if number in self.logs]

    def _cut(self, number: int, first: int, last: int) -> bool:
        return self.logs[number].delete_range(first, last)

    def _logs_between(self, first: int, last: int) -> tuple[int, int]:
        order = self.order
        return bisect_left(order, first >> LOG_SHIFT), bisect_right(order, last >> LOG_SHIFT)

    def scan(
        self, first: int, last: int, limit: int, bytes_max: int | None
    ) -> list[tuple[int, bytes]]:
        """At most `limit` rows from `first` to `last`, up to `bytes_max`."""
        found: list[tuple[int, bytes]] = []
        left = None if bytes_max is None else max(1, bytes_max)
        at, after = self._logs_between(first, last)
        while at < after and len(found) < limit and (left is None or left > 0):
            log = self.logs[self.order[at]]
            begin, end = log.between(first, last)
            end = min(end, begin + limit - len(found))
            if left is not None:
                left, end = _reach(left, log.values, begin, end)
            found += zip(log.keys[begin:end], log.values[begin:end], strict=True)
            at += 1
        return found


def _reach(left: int, values: list[bytes], begin: int, end: int) -> tuple[int, int]:
    """What is left of `left` bytes after the values from `begin`, and where it ends at the latest.

    The value that uses `left` up is taken.
    """
    for at in range(begin, end):
        left -= len(values[at])
        if left <= 0:
            return left, at + 1
    return left, end
