"""The SQL of the store: one SQLite file, its settings, the statements on its two tables.

`InlineSqliteStore`, the writer process and the parent's reader all work through a `RowFile`; nobody
else knows SQL, but for the statements on log rows, which are in `log_table.py`. It is synchronous
and imports neither asyncio nor aiosqlite, because the writer process has to start fast.

- Hot rows are in the table `rows`, log rows in `log_rows`; `load` reads the first only.
- Durability "full": synchronous=FULL, so a returned `commit` is fsynced.
- Durability "relaxed": synchronous=NORMAL, so a returned `commit` is with the kernel (a kill loses
  nothing), and the owner calls `sync` within its interval, which makes everything committed before
  safe from a power cut.
- Whatever SQLite or the system raises leaves this file as a StoreError that names the path.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sqlite3
import sys
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from operator import itemgetter
from pathlib import Path
from typing import Final, final

from eventcore.errors import StoreCorrupt, StoreError, StoreUnavailable
from eventcore.outcome import LOG_KEY_FIRST
from eventcore.stores.base import is_log_range
from eventcore.stores.log_table import MEASURE_LOG, READ_LOG, SCAN_LOG, LogTable

if sys.platform == "darwin":
    import fcntl

__all__ = ["RowFile", "connect", "store_error"]

PAGE_BYTES: Final = 8192
"""Rows above a quarter of a page spill to pages of their own.

At 300 B a row, 4 and 8 KiB are equally fast; at 1.5 kB, 8 KiB are twice as fast.
"""
CHECKPOINT_PAGES: Final = 1000
"""A checkpoint per 8 MiB of log. 2,000 pages commit no more rows/s and pause twice as long.

Its pause, in the commit that reaches the bound: 1-3 ms where new rows are put, 16 ms at the worst,
where each of the pages lies elsewhere in the file (`bench/bench_store.py checkpoints`).
"""
WAL_BYTES_KEPT: Final = 64 * 1024 * 1024
"""What a single huge batch may leave of the log on disk after the next checkpoint."""
CACHE_KIBIBYTES: Final = 32 * 1024
"""Of the connection that commits. A reader beside it loses its cache with every commit, and scans
no faster with a large one. With mmap_size it would read blocks of log rows twice as fast, but then
a disk that fails to read ends the process with SIGBUS; a read has to fail as a StoreError.
"""
BUSY_S: Final = 5.0
"""How long a foreign program (a backup, the sqlite3 shell) may hold the file before a commit fails.
"""

_PUT: Final = "INSERT OR REPLACE INTO rows VALUES (?, ?, ?)"
_PUT_MANY_ROWS: Final = 16
_PUT_MANY: Final = _PUT + ", (?, ?, ?)" * (_PUT_MANY_ROWS - 1)
_DELETE_RANGE: Final = "DELETE FROM rows WHERE component = ? AND key BETWEEN ? AND ?"
_row_of: Final = itemgetter(0, 1)
_READ: Final = "SELECT value FROM rows WHERE component = ? AND key = ?"
_SCAN: Final = (
    "SELECT key, value FROM rows WHERE component = ? AND key BETWEEN ? AND ? ORDER BY key LIMIT ?"
)
_MEASURE: Final = (
    "SELECT key, length(value) FROM rows WHERE component = ? AND key BETWEEN ? AND ? "
    "ORDER BY key LIMIT ?"
)
_LOAD: Final = "SELECT component, key, value FROM rows ORDER BY component, key"

_NO_SPACE: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_NOT_OURS: Final = frozenset({sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT})
_NO_ACCESS: Final = frozenset(
    {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH}
)


def store_error(path: str, error: sqlite3.Error | OSError) -> StoreError:
    """What an error of SQLite or of the system means for the store, and what to do about it."""
    if isinstance(error, OSError):
        if error.errno in _NO_SPACE:
            return StoreUnavailable(f"{path}: disk full ({error.strerror})")
        return StoreUnavailable(f"{path}: {error.strerror or error}")
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    name = getattr(error, "sqlite_errorname", type(error).__name__)
    if code in _NOT_OURS:
        return StoreCorrupt(
            f"{path}: damaged, or not an eventcore file ({name}: {error}); "
            "restore it from a backup, or move it and its -wal file away to start empty"
        )
    if code == sqlite3.SQLITE_FULL:
        return StoreUnavailable(f"{path}: disk full, or file_bytes_max reached ({name})")
    if code in _NO_ACCESS:
        return StoreUnavailable(
            f"{path}: cannot be opened or written ({name}: {error}); "
            "the file and its directory must exist and be writable"
        )
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return StoreUnavailable(f"{path}: another program holds the file's write lock ({name})")
    return StoreUnavailable(f"{path}: {error} ({name})")


def connect(path: str, mode: str) -> sqlite3.Connection:
    """A connection without implicit transactions; `mode` is "ro", "rw" or "rwc" (create).

    Raises sqlite3.Error.
    """
    uri = f"{Path(path).absolute().as_uri()}?mode={mode}"
    return sqlite3.connect(uri, uri=True, isolation_level=None, timeout=BUSY_S)


@final
class _Changes:
    """What a batch does to one of the tables."""

    __slots__ = ("deletes", "puts", "ranges")

    def __init__(self) -> None:
        self.ranges: list[tuple[int, int, int]] = []
        self.deletes: list[tuple[int, int]] = []
        self.puts: list[tuple[int, int, bytes]] = []


@final
class RowFile:
    """An open file of rows. `eventcore.stores.schema.prepare` has made it before."""

    def __init__(
        self,
        path: str,
        *,
        mode: str = "rw",
        relaxed: bool = False,
        file_bytes_max: int | None = None,
    ) -> None:
        """Opens the file; a reader has the mode "ro". Raises StoreUnavailable and StoreCorrupt.

        `file_bytes_max` bounds the file (its log not counted): a commit that needs more fails as on
        a full disk.
        """
        self.path = path
        self._wal_fd = -1
        self._log: LogTable | None = None
        try:
            self._connection = connect(path, mode)
        except sqlite3.Error as error:
            raise store_error(path, error) from error
        try:
            self._configure(mode, relaxed, file_bytes_max)
        except (sqlite3.Error, OSError) as error:
            self.close()
            raise store_error(path, error) from error

    def _configure(self, mode: str, relaxed: bool, file_bytes_max: int | None) -> None:
        execute = self._connection.execute
        execute(_READ, (0, 0)).fetchone()  # opens the WAL, and recovers from it after a crash
        self._log = LogTable(self._connection)
        if mode == "ro":
            return
        execute(f"PRAGMA synchronous = {'NORMAL' if relaxed else 'FULL'}")
        execute("PRAGMA fullfsync = ON")  # macOS: fsync alone leaves data in the drive's cache
        execute("PRAGMA checkpoint_fullfsync = ON")
        execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
        execute(f"PRAGMA journal_size_limit = {WAL_BYTES_KEPT}")
        execute(f"PRAGMA cache_size = -{CACHE_KIBIBYTES}")
        if file_bytes_max is not None:
            (page_bytes,) = execute("PRAGMA page_size").fetchone()
            execute(f"PRAGMA max_page_count = {max(1, file_bytes_max // page_bytes)}")
        if relaxed:
            self._wal_fd = os.open(f"{Path(self.path).resolve()}-wal", os.O_RDWR)
            _sync_data(self._wal_fd)  # what a killed predecessor committed and could not sync

    def commit(
        self, rows: Mapping[tuple[int, int], bytes | None], ranges: Sequence[tuple[int, int, int]]
    ) -> None:
        """Deletes the ranges, then puts (bytes) or deletes (None) the rows, all in one transaction.

        Raises StoreError; nothing of the batch is in the file then, unless it was the sync that
        failed.
        """
        hot = _Changes()
        log = _Changes()
        for (component, key), value in rows.items():
            changes = hot if key < LOG_KEY_FIRST else log
            if value is None:
                changes.deletes.append((component, key))
            else:
                changes.puts.append((component, key, value))
        for one in ranges:
            (log if is_log_range(one[1], one[2]) else hot).ranges.append(one)
        connection = self._connection
        try:
            connection.execute("BEGIN IMMEDIATE")
            self._change(hot)
            self._change_log(log)
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            self._roll_back()
            raise store_error(self.path, error) from error
        except BaseException:  # Ctrl-C, or a key out of range
            self._roll_back()
            raise

    def _change(self, hot: _Changes) -> None:
        if hot.ranges:
            self._connection.executemany(_DELETE_RANGE, hot.ranges)
        if hot.deletes:
            hot.deletes.sort()
            self._connection.executemany(_DELETE_RANGE, _runs(hot.deletes))
        if hot.puts:
            hot.puts.sort(key=_row_of)
            self._put(hot.puts)

    def _change_log(self, log: _Changes) -> None:
        assert self._log is not None
        if log.ranges:
            self._log.delete(log.ranges)
        if log.deletes:
            log.deletes.sort()
            self._log.delete(_runs(log.deletes))
        if log.puts:
            log.puts.sort(key=_row_of)
            self._log.put(log.puts)

    def _put(self, puts: list[tuple[int, int, bytes]]) -> None:
        """Several rows per statement: a third less CPU than one each (bench/bench_store.py)."""
        execute = self._connection.execute
        whole = len(puts) - len(puts) % _PUT_MANY_ROWS
        for first in range(0, whole, _PUT_MANY_ROWS):
            rows = puts[first : first + _PUT_MANY_ROWS]
            execute(_PUT_MANY, list(chain.from_iterable(rows)))
        if whole < len(puts):
            self._connection.executemany(_PUT, puts[whole:])

    def _roll_back(self) -> None:
        with contextlib.suppress(sqlite3.Error):
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")

    def sync(self) -> None:
        """Makes all commits so far safe from a power cut; with durability "full" they are already.

        Raises StoreUnavailable.
        """
        if self._wal_fd < 0:
            return
        try:
            _sync_data(self._wal_fd)
        except OSError as error:
            raise store_error(self.path, error) from error

    def read(self, component: int, keys: Sequence[int]) -> list[bytes | None]:
        """The values of rows, None where there is none. Raises StoreError."""
        execute = self._connection.execute
        try:
            found = [
                execute(_READ if key < LOG_KEY_FIRST else READ_LOG, (component, key)).fetchone()
                for key in keys
            ]
        except sqlite3.Error as error:
            raise store_error(self.path, error) from error
        return [None if row is None else row[0] for row in found]

    def scan(
        self,
        component: int,
        first_key: int,
        last_key: int,
        limit: int,
        bytes_max: int | None = None,
    ) -> list[tuple[int, bytes]]:
        """At most `limit` rows from first_key to last_key, in key order, up to the one with which
        the values reach `bytes_max`. Raises StoreError.
        """
        select = SCAN_LOG if is_log_range(first_key, last_key) else _SCAN
        try:
            if bytes_max is None:
                arguments = (component, first_key, last_key, limit)
                return self._connection.execute(select, arguments).fetchall()
            return self._scan_up_to(bytes_max, select, (component, first_key, last_key, limit))
        except sqlite3.Error as error:
            raise store_error(self.path, error) from error

    def _scan_up_to(
        self, bytes_max: int, select: str, arguments: tuple[int, int, int, int]
    ) -> list[tuple[int, bytes]]:
        """Sizes first, then the values: a cursor over values reads one more than it gives. Both see
        the same commit.
        """
        execute = self._connection.execute
        component, first_key, last_key, _ = arguments
        execute("BEGIN")
        try:
            left, count = bytes_max, 0
            sizes = execute(_MEASURE if select is _SCAN else MEASURE_LOG, arguments)
            for last_key, value_bytes in sizes:  # noqa: B007  (the last one is used)
                left -= value_bytes
                count += 1
                if left <= 0:
                    break
            sizes.close()
            return execute(select, (component, first_key, last_key, count)).fetchall()
        finally:
            self._roll_back()

    def measure(
        self, component: int, first_key: int, last_key: int, limit: int
    ) -> list[tuple[int, int]]:
        """Keys and bytes of the values of at most `limit` rows; reads no values. Raises StoreError.

        Nothing but the index of log rows is read, or the pages that hot rows' heads are on.
        """
        select = MEASURE_LOG if is_log_range(first_key, last_key) else _MEASURE
        try:
            arguments = (component, first_key, last_key, limit)
            return self._connection.execute(select, arguments).fetchall()
        except sqlite3.Error as error:
            raise store_error(self.path, error) from error

    def load(self) -> Iterator[tuple[int, int, bytes]]:
        """All hot rows in order of component and key; holds one row in memory at a time.

        Raises StoreError.

        The snapshot it reads ends with the iterator: exhaust it or close it, or the log cannot be
        reset.
        """
        try:
            cursor = self._connection.execute(_LOAD)
            try:
                yield from cursor
            finally:
                cursor.close()
        except sqlite3.Error as error:
            raise store_error(self.path, error) from error

    def close(self) -> None:
        """Closes the file; the last connection of all writes the log back and removes it.

        May be called twice.
        """
        if self._wal_fd >= 0:
            os.close(self._wal_fd)
            self._wal_fd = -1
        with contextlib.suppress(sqlite3.Error):  # what is not written back now stays in the log
            self._connection.close()


def _sync_data(fd: int) -> None:
    """fdatasync, or what this system has that reaches the medium."""
    if sys.platform == "darwin":
        fcntl.fcntl(fd, fcntl.F_FULLFSYNC)
    elif hasattr(os, "fdatasync"):
        os.fdatasync(fd)
    else:
        os.fsync(fd)


def _runs(rows: list[tuple[int, int]]) -> Iterator[tuple[int, int, int]]:
    """Sorted rows as ranges (component, first key, last key) of keys that follow each other.

    Messages are mostly deleted in the order in which they were sent, and one range costs little
    more than one row. Only rows of the batch are in a range: its keys are consecutive integers.
    """
    component, first = rows[0]
    last = first
    for other, key in rows[1:]:
        if other == component and key == last + 1:
            last = key
            continue
        yield component, first, last
        component, first, last = other, key, key
    yield component, first, last
