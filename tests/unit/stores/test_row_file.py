"""The SQL of the store: what a commit does, what fails, and how an error is named."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from eventcore.errors import StoreCorrupt, StoreUnavailable
from eventcore.outcome import LOG_KEY_FIRST
from eventcore.stores.log_table import LAST_ID, MEASURE_LOG, SIZE_MAX
from eventcore.stores.row_file import RowFile, store_error
from eventcore.stores.schema import MIGRATIONS

LOG_KEY_MAX = (1 << 63) - 1


@pytest.fixture
def path(tmp_path: Path) -> str:
    name = str(tmp_path / "rows.db")
    with closing(sqlite3.connect(name)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        for migration in MIGRATIONS:
            for statement in migration:
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


def contents(file: RowFile) -> tuple[list[tuple[int, int, bytes]], list[tuple[int, bytes]]]:
    return list(file.load()), file.scan(1, LOG_KEY_FIRST, LOG_KEY_MAX, 1_000)


@pytest.mark.parametrize("where", ["hot", "log"])
def test_commit_that_fails_half_way_changes_neither_table(file: RowFile, where: str) -> None:
    file.commit({(1, key): b"a" for key in (1, 2, LOG_KEY_FIRST, LOG_KEY_FIRST + 1)}, [])
    before = contents(file)
    bad_key = -(1 << 80) if where == "hot" else 1 << 80
    broken: dict[tuple[int, int], bytes | None] = {
        (1, 3): b"b",
        (1, LOG_KEY_FIRST + 2): b"b",
        (1, bad_key): b"",
    }
    with pytest.raises(OverflowError):
        file.commit(broken, [(1, 0, 1), (1, LOG_KEY_FIRST, LOG_KEY_FIRST)])
    assert contents(file) == before
    file.commit({(1, LOG_KEY_FIRST + 9): b"c"}, [])
    assert contents(file)[1] == [*before[1], (LOG_KEY_FIRST + 9, b"c")]


def test_size_in_the_id_is_what_sql_says(file: RowFile) -> None:
    assert SIZE_MAX == 65_535
    assert "65535" in MEASURE_LOG
    plan = file._connection.execute(f"EXPLAIN QUERY PLAN {LAST_ID}").fetchall()
    assert "SCAN log_rows" in plan[0][3] and len(plan) == 1, "from the end of the table, no sorting"


def test_ids_go_on_behind_the_highest_after_a_new_start(path: str) -> None:
    for number in range(3):
        with closing(RowFile(path)) as file:
            file.commit({(1, LOG_KEY_FIRST + 9 - number): b"abc"}, [])
            ids = [row[0] for row in file._connection.execute("SELECT id FROM log_rows")]
            assert sorted(ids) == [n << 16 | 3 for n in range(1, number + 2)]


def test_values_behind_the_bound_and_values_measured_are_not_read(path: str) -> None:
    values = {LOG_KEY_FIRST + at: bytes([at + 1]) * 40_000 for at in range(4)}
    with closing(RowFile(path)) as file:
        file.commit({(1, key): value for key, value in values.items()}, [])
    damaged = bytearray(Path(path).read_bytes())
    inside = bytes([3]) * 100
    page = next(at for at in range(0, len(damaged), 4096) if damaged[at + 4 : at + 104] == inside)
    damaged[page : page + 4] = b"\xff" * 4  # of an overflow page: which one comes next
    Path(path).write_bytes(damaged)
    keys = list(values)
    with closing(RowFile(path, mode="ro")) as file:
        measured = file.measure(1, LOG_KEY_FIRST, LOG_KEY_MAX, 9)
        assert measured == [(key, 40_000) for key in keys]
        rows = file.scan(1, LOG_KEY_FIRST, LOG_KEY_MAX, 9, 80_000)
        assert rows == [(key, values[key]) for key in keys[:2]]
        assert file.read(1, [keys[3]]) == [values[keys[3]]]
        with pytest.raises(StoreCorrupt):
            file.scan(1, LOG_KEY_FIRST, LOG_KEY_MAX, 9, 80_001)
        with pytest.raises(StoreCorrupt):
            file.read(1, [keys[2]])
        assert file.measure(1, LOG_KEY_FIRST, LOG_KEY_MAX, 9) == measured


def test_range_may_not_span_hot_rows_and_log_rows(file: RowFile) -> None:
    for read in (file.scan, file.measure):
        with pytest.raises(AssertionError, match="spans hot rows and log rows"):
            read(1, LOG_KEY_FIRST - 1, LOG_KEY_FIRST, 9)
    with pytest.raises(AssertionError, match="spans hot rows and log rows"):
        file.commit({(1, 1): b"a"}, [(1, 0, LOG_KEY_MAX)])
    assert list(file.load()) == []


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
