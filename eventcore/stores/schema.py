"""The format of a store file, and the cold work on it: create, migrate, load in bulk, verify.

A file is ours when its SQLite header has `APPLICATION_ID`; the header's user_version is the number
of migrations that have run on it (both are part of the database, so they change in the same
transaction as the tables). A migration, once released, is never edited: a change of format is a new
one at the end of `MIGRATIONS`.

Opening a file costs the same at any size: it is not checked as a whole (`verify` does that; minutes
for a big file). What is damaged in its header shows at once, what is damaged inside when it is
read, both as StoreCorrupt.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Final

import aiosqlite

from eventcore.errors import StoreCorrupt, StoreTooNew, StoreUnavailable
from eventcore.outcome import LOG_KEY_FIRST
from eventcore.stores.lock import FileLock
from eventcore.stores.log_table import LAST_ID, PUT_LOG, arrivals, with_ids
from eventcore.stores.row_file import BUSY_S, PAGE_BYTES, connect, store_error

__all__ = [
    "APPLICATION_ID",
    "MIGRATIONS",
    "SCHEMA_VERSION",
    "bulk_load",
    "file_version",
    "prepare",
    "verify",
]

APPLICATION_ID: Final = 0x65766372
"""The ASCII letters "evcr" in the SQLite header."""

MIGRATIONS: Final[tuple[tuple[str, ...], ...]] = (
    (
        "CREATE TABLE rows ("
        "  component INTEGER NOT NULL,"
        "  key INTEGER NOT NULL,"
        "  value BLOB NOT NULL,"
        "  PRIMARY KEY (component, key)"
        ") WITHOUT ROWID",
    ),
    # 2: FIFO queues, message groups and move tasks have rows of their own, and an eventcore that
    # does not know them would break their promises. Nothing changes in the tables.
    (),
    # 3: log rows have a table of their own (`log_table.py`).
    (
        "CREATE TABLE log_rows ("
        "  id INTEGER PRIMARY KEY,"
        "  component INTEGER NOT NULL,"
        "  key INTEGER NOT NULL,"
        "  value BLOB NOT NULL"
        ")",
        "CREATE UNIQUE INDEX log_rows_by_key ON log_rows (component, key)",
    ),
    # 4: functions, event source mappings and roles are resources of kinds that an older eventcore
    # can not load. Nothing changes in the tables.
    (),
)
SCHEMA_VERSION: Final = len(MIGRATIONS)

HEADER_BYTES: Final = 100
"""Of a SQLite file; no shorter one is a database."""
BULK_ROWS: Final = 10_000
"""Rows per transaction of `bulk_load`."""
BULK_BYTES: Final = 64 * 1024 * 1024
"""Bytes of values per transaction of `bulk_load`, one row more than that at the most."""
_MISPLACED: Final = {
    "log rows among the hot rows": "SELECT count(*) FROM rows WHERE key >= 1 << 62",
    "hot rows among the log rows": "SELECT count(*) FROM log_rows WHERE key < 1 << 62",
    "log rows with an id of another size": (
        "SELECT count(*) FROM log_rows WHERE id & 65535 <> min(length(value), 65535)"
    ),
}
PROBLEMS_MAX: Final = 100
"""Damages that `verify` reports at most."""


def file_version(path: str) -> int:
    """The schema version of a file; 0 when it does not exist or is empty.

    A short blocking read, changes nothing.

    Raises StoreCorrupt (not SQLite, another program's file, damaged), StoreTooNew,
    StoreUnavailable.
    """
    try:
        file = Path(path)
        size_bytes = file.stat().st_size if file.exists() else 0
        if size_bytes == 0:
            return 0
        if size_bytes < HEADER_BYTES:  # SQLite takes a file of one byte for an empty database
            raise StoreCorrupt(
                f"{path}: damaged, or not an eventcore file (too short: {size_bytes} bytes); "
                "restore it from a backup, or move it away to start empty"
            )
        with contextlib.closing(connect(path, "rw")) as connection:
            (application_id,) = connection.execute("PRAGMA application_id").fetchone()
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    except (sqlite3.Error, OSError) as error:
        raise store_error(path, error) from error
    if application_id == 0 and version == 0 and tables == 0:
        return 0
    if application_id != APPLICATION_ID:
        raise StoreCorrupt(
            f"{path}: a SQLite file of another program, not an eventcore file; choose another path"
        )
    if version > SCHEMA_VERSION:
        raise StoreTooNew(
            f"{path}: the file has schema version {version}, this eventcore knows up to "
            f"{SCHEMA_VERSION}; open it with a newer eventcore"
        )
    return int(version)


async def prepare(path: str) -> None:
    """Creates the file, or brings it up to `SCHEMA_VERSION`, in one transaction.

    The caller holds the lock.

    A crash leaves either the old version or the new one. Raises as `file_version` does.
    """
    version = file_version(path)
    if version == SCHEMA_VERSION:
        return
    try:
        async with aiosqlite.connect(path, isolation_level=None, timeout=BUSY_S) as connection:
            await _migrate(connection, path, version)
        _sync_directory(path)
    except (sqlite3.Error, OSError) as error:
        raise store_error(path, error) from error


async def _migrate(connection: aiosqlite.Connection, path: str, version: int) -> None:
    await connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")  # counts in an empty file only
    mode = await (await connection.execute("PRAGMA journal_mode = WAL")).fetchone()
    if mode is None or mode[0] != "wal":
        raise StoreUnavailable(f"{path}: this file system does not support SQLite's WAL mode")
    await connection.execute("PRAGMA synchronous = FULL")
    await connection.execute("BEGIN IMMEDIATE")
    for migration in MIGRATIONS[version:]:
        for statement in migration:
            await connection.execute(statement)
    await connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    await connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    await connection.execute("COMMIT")


def _sync_directory(path: str) -> None:
    """A new file's name is durable only when its directory is."""
    if os.name != "posix":
        return
    fd = os.open(Path(path).absolute().parent, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


async def bulk_load(path: str, rows: Iterable[tuple[int, int, bytes]]) -> int:
    """Puts (component, key, value) rows into a file, made if need be, and returns their number.

    Hot rows and log rows may come mixed.

    For imports and restores: not atomic as a whole, but rows are absolute, so a failed load can be
    run again. Ordered rows load fastest. Takes the file's lock. Raises StoreLocked and what
    `file_version` raises.
    """
    lock = FileLock(path)
    await lock.acquire()
    try:
        await prepare(path)
        async with aiosqlite.connect(path, isolation_level=None, timeout=BUSY_S) as connection:
            return await _put_all(connection, rows)
    except (sqlite3.Error, OSError) as error:
        raise store_error(path, error) from error
    finally:
        lock.release()


async def _put_all(connection: aiosqlite.Connection, rows: Iterable[tuple[int, int, bytes]]) -> int:
    await connection.execute("PRAGMA synchronous = FULL")
    remaining = iter(rows)
    count = 0
    arrived = arrivals(await (await connection.execute(LAST_ID)).fetchone())
    while portion := _portion(remaining):
        hot = [row for row in portion if row[1] < LOG_KEY_FIRST]
        log = [row for row in portion if row[1] >= LOG_KEY_FIRST]
        await connection.execute("BEGIN IMMEDIATE")
        await connection.executemany("INSERT OR REPLACE INTO rows VALUES (?, ?, ?)", hot)
        await connection.executemany(PUT_LOG, with_ids(arrived, log))
        await connection.execute("COMMIT")
        arrived += len(log)
        count += len(portion)
    return count


def _portion(rows: Iterator[tuple[int, int, bytes]]) -> list[tuple[int, int, bytes]]:
    """The rows of one transaction: log rows may be large, so their bytes count as well."""
    portion: list[tuple[int, int, bytes]] = []
    value_bytes = 0
    for row in islice(rows, BULK_ROWS):
        portion.append(row)
        value_bytes += len(row[2])
        if value_bytes >= BULK_BYTES:
            break
    return portion


async def verify(path: str) -> tuple[str, ...]:
    """Checks every page of a file and returns what is wrong with it: nothing when it is sound.

    Reads only, also while a broker has the file open. Raises what `file_version` raises for a file
    that is not ours, StoreUnavailable when there is none.
    """
    if file_version(path) == 0:
        raise StoreUnavailable(f"{path}: no such file, or an empty one")
    try:
        async with aiosqlite.connect(path, isolation_level=None, timeout=BUSY_S) as connection:
            await connection.execute("PRAGMA query_only = ON")
            found = await connection.execute_fetchall(f"PRAGMA integrity_check({PROBLEMS_MAX})")
            problems = [row[0] for row in found if row[0] != "ok"]
            if not problems:
                problems = await _misplaced(connection)
    except sqlite3.DatabaseError as error:
        failure = store_error(path, error)
        if isinstance(failure, StoreCorrupt):
            return (str(failure),)
        raise failure from error
    return tuple(problems)


async def _misplaced(connection: aiosqlite.Connection) -> list[str]:
    """Rows that are in the wrong table, or whose ids do not tell their sizes."""
    problems = []
    for what, select in _MISPLACED.items():
        ((count,),) = await connection.execute_fetchall(select)
        if count:
            problems.append(f"{count} {what}")
    return problems
