# ruff: noqa: ASYNC240  (short reads and writes, in tests)
"""The format of a file: what a migration keeps, what a bulk load takes, what a check finds."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from eventcore.errors import StoreTooNew
from eventcore.outcome import LOG_KEY_FIRST
from eventcore.stores import schema
from eventcore.stores.schema import (
    APPLICATION_ID,
    MIGRATIONS,
    SCHEMA_VERSION,
    bulk_load,
    file_version,
    prepare,
    verify,
)
from eventcore.stores.sqlite import InlineSqliteStore

LOG_KEY_MAX = (1 << 63) - 1


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "events.db")


def make_file(path: str, version: int) -> None:
    with closing(sqlite3.connect(path)) as connection:
        for migration in MIGRATIONS[:version]:
            for statement in migration:
                connection.execute(statement)
        connection.execute("INSERT INTO rows VALUES (1, 2, ?)", (b"old",))
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {version}")
        connection.commit()


@pytest.mark.parametrize("version", [1, 2, 3])
async def test_older_file_gets_the_table_of_log_rows_and_keeps_its_rows(
    version: int, path: str
) -> None:
    make_file(path, version)
    store = InlineSqliteStore(path)
    await store.open()
    assert list(store.load()) == [(1, 2, b"old")]
    assert store.scan(1, LOG_KEY_FIRST, LOG_KEY_MAX, 9) == []
    await store.close()
    assert file_version(path) == SCHEMA_VERSION == 4
    assert await verify(path) == ()


async def test_eventcore_without_log_rows_refuses_a_file_that_may_have_them(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await prepare(path)
    monkeypatch.setattr(schema, "SCHEMA_VERSION", 2)
    with pytest.raises(StoreTooNew, match=r"schema version 4, this eventcore knows up to 2"):
        file_version(path)


async def test_bulk_load_takes_rows_of_both_kinds_in_any_order(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema, "BULK_BYTES", 5_000)
    rows = [(1, base + key, b"%300d" % key) for key in range(50) for base in (LOG_KEY_FIRST, 0)]
    assert await bulk_load(path, reversed(rows)) == 100
    assert await bulk_load(path, rows[:40]) == 40
    store = InlineSqliteStore(path)
    await store.open()
    assert list(store.load()) == [row for row in rows if row[1] < LOG_KEY_FIRST]
    logs = store.scan(1, LOG_KEY_FIRST, LOG_KEY_MAX, 99)
    assert [(1, *row) for row in logs] == [row for row in rows if row[1] >= LOG_KEY_FIRST]
    assert store.measure(1, LOG_KEY_FIRST, LOG_KEY_MAX, 99) == [(key, 300) for key, _ in logs]
    await store.close()
    assert await verify(path) == ()


@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        ("INSERT INTO rows VALUES (1, 1 << 62, x'00')", "1 log rows among the hot rows"),
        ("INSERT INTO log_rows VALUES (131073, 1, 5, x'00')", "1 hot rows among the log rows"),
        (
            "INSERT INTO log_rows VALUES (131073, 1, 1 << 62, x'0000')",
            "1 log rows with an id of another size",
        ),
    ],
)
async def test_verify_finds_rows_in_the_wrong_table(
    statement: str, problem: str, path: str
) -> None:
    await bulk_load(path, [(1, 1, b"a"), (1, LOG_KEY_MAX, bytes(70_000))])
    assert await verify(path) == ()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(statement)
        connection.commit()
    assert await verify(path) == (problem,)


async def test_verify_finds_damage_in_the_log_rows(path: str) -> None:
    await bulk_load(path, ((1, LOG_KEY_FIRST + key, b"%300d" % key) for key in range(5_000)))
    damaged = bytearray(Path(path).read_bytes())
    middle = damaged.index(b"%300d" % 2_500) // 8192 * 8192
    damaged[middle : middle + 8192] = b"\xa5" * 8192
    Path(path).write_bytes(damaged)
    assert len(await verify(path)) > 0
