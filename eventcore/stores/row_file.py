"""The SQL of the store: one SQLite file, its settings, the statements on its one table.

`InlineSqliteStore`, the writer process and the parent's reader all work through a `RowFile`; nobody
else knows SQL. It is synchronous and imports neither asyncio nor aiosqlite, because the writer
process has to start fast.

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
        execute(_READ, (0, 0)).fetchone()  # opens the log, and recovers from it after a crash
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
        puts: list[tuple[int, int, bytes]] = []
        deletes: list[tuple[int, int]] = []
        for row, value in rows.items():
            if value is None:
                deletes.append(row)
            else:
                puts.append((row[0], row[1], value))
        puts.sort(key=_row_of)
        deletes.sort()
        connection = self._connection
        try:
            connection.execute("BEGIN IMMEDIATE")
            if ranges:
                connection.executemany(_DELETE_RANGE, ranges)
            if deletes:
                connection.executemany(_DELETE_RANGE, _runs(deletes))
            if puts:
                self._put(puts)
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            self._roll_back()
            raise store_error(self.path, error) from error
        except BaseException:  # Ctrl-C, or a key out of range
            self._roll_back()
            raise

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
            found = [execute(_READ, (component, key)).fetchone() for key in keys]
        except sqlite3.Error as error:
            raise store_error(self.path, error) from error
        return [None if row is None else row[0] for row in found]

    def scan(
        self, component: int, first_key: int, last_key: int, limit: int
    ) -> list[tuple[int, bytes]]:
        """At most `limit` rows from first_key to last_key, in key order. Raises StoreError."""
        arguments = (component, first_key, last_key, limit)
        try:
            return self._connection.execute(_SCAN, arguments).fetchall()
        except sqlite3.Error as error:
            raise store_error(self.path, error) from error

    def load(self) -> Iterator[tuple[int, int, bytes]]:
        """All rows in order of component and key; holds one row in memory at a time.

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
