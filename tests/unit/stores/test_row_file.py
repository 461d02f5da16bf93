"""The SQL of the store: what a commit does, what fails, and how an error is named."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from eventcore.errors import StoreCorrupt, StoreUnavailable
from eventcore.stores.row_file import RowFile, store_error
from eventcore.stores.schema import MIGRATIONS


@pytest.fixture
def path(tmp_path: Path) -> str:
    name = str(tmp_path / "rows.db")
    with closing(sqlite3.connect(name)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        for statement in MIGRATIONS[0]:
            connection.execute(statement)
        connection.commit()
    return name


@pytest.fixture
def file(path: str) -> Iterator[RowFile]:
    with closing(RowFile(path)) as opened:
        yield opened


def test_commit_that_fails_half_way_leaves_nothing_behind(file: RowFile) -> None:
    file.commit({(1, 1): b"a"}, [])
    broken: dict[tuple[int, int], bytes | None] = {(1, 2): b"b", (1, 1): None, (1, -(1 << 80)): b""}
    with pytest.raises(OverflowError):
        file.commit(broken, [(1, 0, 5)])
    file.commit({(1, 3): b"c"}, [])
    assert list(file.load()) == [(1, 1, b"a"), (1, 3, b"c")]


def test_reader_sees_each_commit_and_cannot_write(path: str, file: RowFile) -> None:
    with closing(RowFile(path, mode="ro")) as reader:
        for number in range(3):
            file.commit({(1, number): b"a"}, [])
            assert len(list(reader.load())) == number + 1
        with pytest.raises(StoreUnavailable, match="SQLITE_READONLY"):
            reader.commit({(1, 9): b"a"}, [])


def test_lock_of_a_foreign_writer_is_named(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("eventcore.stores.row_file.BUSY_S", 0.0)
    with closing(RowFile(path)) as file, closing(sqlite3.connect(path)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailable, match="another program holds the file's write lock"):
            file.commit({(1, 1): b"a"}, [])
        other.rollback()
        file.commit({(1, 1): b"a"}, [])
        assert file.read(1, [1]) == [b"a"]


def test_file_without_our_table_is_not_opened(tmp_path: Path) -> None:
    name = str(tmp_path / "other.db")
    with closing(sqlite3.connect(name)) as connection:
        connection.execute("CREATE TABLE other (x)")
    with pytest.raises(StoreUnavailable, match="no such table"):
        RowFile(name)


def test_closed_file_is_unavailable_and_may_be_closed_again(path: str) -> None:
    file = RowFile(path, relaxed=True)
    file.close()
    file.close()
    with pytest.raises(StoreUnavailable):
        file.read(1, [1])
    with pytest.raises(StoreUnavailable):
        file.commit({(1, 1): b"a"}, [])


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_system_error_of_a_full_disk_says_disk_full(code: int) -> None:
    error = store_error("events.db", OSError(code, "no room"))
    assert isinstance(error, StoreUnavailable)
    assert str(error) == "events.db: disk full (no room)"


def test_other_system_errors_keep_their_text() -> None:
    error = store_error("events.db", PermissionError(errno.EACCES, "Permission denied"))
    assert isinstance(error, StoreUnavailable)
    assert str(error) == "events.db: Permission denied"


@pytest.mark.parametrize(
    ("code", "kind", "text"),
    [
        (sqlite3.SQLITE_FULL, StoreUnavailable, "disk full"),
        (sqlite3.SQLITE_NOTADB, StoreCorrupt, "not an eventcore file"),
        (sqlite3.SQLITE_CORRUPT, StoreCorrupt, "backup"),
        (sqlite3.SQLITE_CORRUPT_INDEX, StoreCorrupt, "backup"),
        (sqlite3.SQLITE_READONLY_DIRECTORY, StoreUnavailable, "writable"),
        (sqlite3.SQLITE_CANTOPEN, StoreUnavailable, "writable"),
        (sqlite3.SQLITE_BUSY_SNAPSHOT, StoreUnavailable, "write lock"),
        (sqlite3.SQLITE_IOERR_FSYNC, StoreUnavailable, "SOME_NAME"),
    ],
)
def test_sqlite_error_is_named_by_its_primary_code(code: int, kind: type, text: str) -> None:
    error = sqlite3.OperationalError("it failed")
    error.sqlite_errorcode = code
    error.sqlite_errorname = "SOME_NAME"
    result = store_error("events.db", error)
    assert type(result) is kind
    assert text in str(result)
    assert str(result).startswith("events.db: ")
