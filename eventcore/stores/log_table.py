"""The SQL of the log rows: a table in the order of arrival, and an index by component and key.

    log_rows (id, component, key, value), log_rows_by_key (component, key)

- `id` is `arrival << SIZE_BITS | size`: a counter of the puts, and the bytes of the value, at most
  SIZE_MAX. The index holds the ids, so keys and sizes are read from the index alone; a value of
  SIZE_MAX bytes or more shows its length in the head of its row, still without its overflow pages.
- The counter goes on behind the highest id of the file. 2**47 puts are 20,000 a second for 200
  years.
- Errors are sqlite3's; `RowFile` names them.

Why this shape (CPU of a row through one connection, with its share of the commit, page size 8 KiB,
fsynced; 4 shards, then 1,000 at random; blocks of 32 KiB, 16 a commit, and rows of 300 B, 200 a
commit; trimming in slices of 4 MiB, in steady state):

    µs a row               32 KiB append  trim    300 B append  trim    3 KB append, file size
    WITHOUT ROWID             141   195   111   95   5.6   37   0.8  2.0   35   3.1 x the values
    rowid made of the key      93   130    98   90   5.0   33   1.2  2.1   15   1.4 x
    this one                   86    89   120  118   5.1   18   2.4   20   13   1.4 x

A WITHOUT ROWID table spills from a quarter of a page on, to pages that it does not share, and moves
values when it balances. A rowid made of the key (a number for each shard, looked up) reads small
rows of many shards faster, 60 instead of 10 MB/s from a cold file, since each shard has pages of
its own. For the same reason its commits write a page per shard, where this one writes one after the
other: up to 2.6 times the bytes. Appending is what somebody waits for; so it is the order of
arrival. The price is the trim of small rows that lie far from each other; appended and trimmed, a
row costs the same in both. Pages are let go with their last row: a file that is trimmed as fast as
it grows settles some 20 % above what it holds, and stays there.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Final, final

__all__ = [
    "LAST_ID",
    "MEASURE_LOG",
    "PUT_LOG",
    "READ_LOG",
    "SCAN_LOG",
    "SIZE_MAX",
    "LogTable",
    "arrivals",
    "with_ids",
]

SIZE_BITS: Final = 16
SIZE_MAX: Final = (1 << SIZE_BITS) - 1
"""Stands in SQL as 65535."""

PUT_LOG: Final = "INSERT OR REPLACE INTO log_rows (id, component, key, value) VALUES (?, ?, ?, ?)"
_PUT_MANY_ROWS: Final = 16
_PUT_MANY: Final = PUT_LOG + ", (?, ?, ?, ?)" * (_PUT_MANY_ROWS - 1)
_DELETE_RANGE: Final = "DELETE FROM log_rows WHERE component = ? AND key BETWEEN ? AND ?"
READ_LOG: Final = "SELECT value FROM log_rows WHERE component = ? AND key = ?"
SCAN_LOG: Final = (
    "SELECT key, value FROM log_rows WHERE component = ? AND key BETWEEN ? AND ? "
    "ORDER BY key LIMIT ?"
)
MEASURE_LOG: Final = (
    "SELECT key, CASE id & 65535 WHEN 65535 THEN length(value) ELSE id & 65535 END "
    "FROM log_rows WHERE component = ? AND key BETWEEN ? AND ? ORDER BY key LIMIT ?"
)
LAST_ID: Final = "SELECT id FROM log_rows ORDER BY id DESC LIMIT 1"


def arrivals(last: tuple[int] | sqlite3.Row | None) -> int:
    """How far the counter of puts has come, by the row that LAST_ID selects."""
    return 0 if last is None else int(last[0]) >> SIZE_BITS


def with_ids(
    arrived: int, rows: Iterable[tuple[int, int, bytes]]
) -> Iterator[tuple[int, int, int, bytes]]:
    """The arguments of PUT_LOG for rows that arrive after the first `arrived`."""
    for number, (component, key, value) in enumerate(rows, start=arrived + 1):
        yield number << SIZE_BITS | min(len(value), SIZE_MAX), component, key, value


@final
class LogTable:
    """Puts and deletes log rows of one connection, inside its transactions."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        """Raises sqlite3.Error."""
        self._connection = connection
        self._arrived = arrivals(connection.execute(LAST_ID).fetchone())

    def put(self, rows: Sequence[tuple[int, int, bytes]]) -> None:
        """Puts rows, best in the order in which they will be read. Raises sqlite3.Error."""
        puts = list(with_ids(self._arrived, rows))
        self._arrived += len(puts)  # not taken back when the transaction is: ids may be left out
        whole = len(puts) - len(puts) % _PUT_MANY_ROWS
        for first in range(0, whole, _PUT_MANY_ROWS):
            arguments = list(chain.from_iterable(puts[first : first + _PUT_MANY_ROWS]))
            self._connection.execute(_PUT_MANY, arguments)
        if whole < len(puts):
            self._connection.executemany(PUT_LOG, puts[whole:])

    def delete(self, ranges: Iterable[tuple[int, int, int]]) -> None:
        """Deletes ranges (component, first key, last key). Raises sqlite3.Error."""
        self._connection.executemany(_DELETE_RANGE, ranges)
