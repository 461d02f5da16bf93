# ruff: noqa: ASYNC220, ASYNC240  (short reads and writes, in tests)
"""What a store does with any file it is given: locked, newer, foreign, damaged, out of reach."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from eventcore.errors import (
    InvalidParameter,
    StoreCorrupt,
    StoreLocked,
    StoreTooNew,
    StoreUnavailable,
    UnsupportedOperation,
)
from eventcore.outcome import Mutation
from eventcore.stores import schema
from eventcore.stores.base import Batch
from eventcore.stores.factory import store_for
from eventcore.stores.lock import FileLock
from eventcore.stores.memory import MemoryStore
from eventcore.stores.schema import SCHEMA_VERSION, bulk_load, file_version, verify
from eventcore.stores.sqlite import InlineSqliteStore, WriterSqliteStore
from eventcore.testing.conformance import append

STORES: dict[str, type[InlineSqliteStore | WriterSqliteStore]] = {
    "inline": InlineSqliteStore,
    "writer": WriterSqliteStore,
}

NOT_DATABASES = (b"x", b"hello", b"x" * 99, b"x" * 20_000, b"SQLite format 3\x00" + b"\x01" * 84)


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "events.db")


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("eventcore.stores.lock.ACQUIRE_S", 0.05)


async def filled(path: str, rows: int = 100) -> None:
    await bulk_load(path, ((1, key, b"%300d" % key) for key in range(rows)))


@pytest.mark.parametrize("kind", STORES)
@pytest.mark.usefixtures("impatient")
async def test_file_open_in_another_process_is_locked_and_the_error_names_it(
    kind: str, path: str
) -> None:
    program = (
        "import asyncio, sys\n"
        "from eventcore.stores.lock import FileLock\n"
        "asyncio.run(FileLock(sys.argv[1]).acquire())\n"
        "print('locked', flush=True)\n"
        "sys.stdin.read()\n"
    )
    owner = subprocess.Popen(
        [sys.executable, "-c", program, path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    store = STORES[kind](path)
    with owner:
        assert owner.stdout is not None
        assert owner.stdin is not None
        assert owner.stdout.readline() == b"locked\n"
        with pytest.raises(StoreLocked, match=f"process {owner.pid} "):
            await store.open()
        owner.stdin.close()
    await store.open()
    await store.close()


@pytest.mark.usefixtures("impatient")
async def test_another_name_of_the_same_file_is_the_same_lock(path: str) -> None:
    store = InlineSqliteStore(path)
    await store.open()
    Path(path + ".link").symlink_to(path)
    with pytest.raises(StoreLocked):
        await InlineSqliteStore(path + ".link").open()
    await store.close()


async def test_lock_waits_for_its_owner_to_go(path: str) -> None:
    first, second = FileLock(path), FileLock(path)
    await first.acquire()
    waiting = asyncio.ensure_future(second.acquire(wait_s=20))
    await asyncio.sleep(0.05)
    assert not waiting.done()
    first.release()
    await waiting
    assert second.is_held
    second.release()


async def test_cancelled_open_lets_the_lock_go(path: str) -> None:
    store = WriterSqliteStore(path)
    opening = asyncio.ensure_future(store.open())
    while not Path(path).exists():
        await asyncio.sleep(0.001)
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    await store.open()
    await store.close()


@pytest.mark.parametrize("kind", STORES)
async def test_newer_file_is_refused_with_both_versions_and_left_alone(
    kind: str, path: str
) -> None:
    await filled(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 5}")
    before = Path(path).read_bytes()
    with pytest.raises(StoreTooNew) as caught:
        await STORES[kind](path).open()
    assert f"version {SCHEMA_VERSION + 5}" in str(caught.value)
    assert f"up to {SCHEMA_VERSION}" in str(caught.value)
    assert Path(path).read_bytes() == before


@pytest.mark.parametrize("kind", STORES)
async def test_foreign_database_is_refused_and_left_alone(kind: str, path: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE rows (id INTEGER)")
        connection.commit()
    before = Path(path).read_bytes()
    with pytest.raises(StoreCorrupt, match=r"events\.db.*another program"):
        await STORES[kind](path).open()
    assert Path(path).read_bytes() == before


@pytest.mark.parametrize("kind", STORES)
@pytest.mark.parametrize("content", NOT_DATABASES)
async def test_file_that_is_no_database_is_refused_with_its_path(
    kind: str, content: bytes, path: str
) -> None:
    Path(path).write_bytes(content)
    with pytest.raises(StoreCorrupt, match=r"events\.db.*restore it from a backup"):
        await STORES[kind](path).open()
    assert Path(path).read_bytes() == content


async def test_damage_inside_the_file_is_corrupt_when_it_is_read(path: str) -> None:
    await filled(path, 5_000)
    damaged = bytearray(Path(path).read_bytes())
    middle = len(damaged) // 2 // 8192 * 8192
    damaged[middle : middle + 8192] = b"\xa5" * 8192
    Path(path).write_bytes(damaged)
    assert len(await verify(path)) > 0
    store = InlineSqliteStore(path)
    await store.open()
    with pytest.raises(StoreCorrupt, match=r"events\.db"):
        list(store.load())
    await store.close()


@pytest.mark.parametrize("kind", STORES)
async def test_directory_that_does_not_exist_is_unavailable(kind: str, tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="nowhere"):
        await STORES[kind](str(tmp_path / "nowhere" / "events.db")).open()


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write anywhere")
async def test_directory_that_may_not_be_written_is_unavailable(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(StoreUnavailable, match="Permission denied"):
        await InlineSqliteStore(str(tmp_path / "events.db")).open()
    tmp_path.chmod(0o700)


async def test_path_that_is_a_directory_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="must exist and be writable"):
        await InlineSqliteStore(str(tmp_path)).open()


async def test_failed_open_can_be_tried_again(path: str) -> None:
    Path(path).write_bytes(b"not a database")
    store = WriterSqliteStore(path)
    with pytest.raises(StoreCorrupt):
        await store.open()
    Path(path).unlink()
    await store.open()
    await store.close()


async def test_path_may_hold_any_character_and_close_leaves_one_file(tmp_path: Path) -> None:
    path = str(tmp_path / "a b?mode=ro#%41 ü.db")
    stores = [store_for(path, d, c) for d in ("full", "relaxed") for c in ("inline", "writer")]
    for store in stores:
        await store.open()
        batch = Batch()
        batch.add(1, (Mutation(1, b"a"),))
        assert await append(store, batch) is None
        assert store.read(1, [1]) == [b"a"]
        await store.close()
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        Path(path).name,
        Path(path).name + ".lock",
    ]


async def test_migration_runs_once_and_keeps_the_rows(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await filled(path, 10)
    assert file_version(path) == SCHEMA_VERSION
    added = ("CREATE TABLE later (x INTEGER)", "INSERT INTO later VALUES (1)")
    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, added))
    monkeypatch.setattr(schema, "SCHEMA_VERSION", SCHEMA_VERSION + 1)
    for _ in range(2):
        store = InlineSqliteStore(path)
        await store.open()
        assert len(list(store.load())) == 10
        await store.close()
    assert file_version(path) == SCHEMA_VERSION + 1
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT count(*) FROM later").fetchone() == (1,)


async def test_failed_migration_leaves_the_old_version(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await filled(path, 10)
    broken = ("CREATE TABLE later (x INTEGER)", "INSERT INTO nowhere VALUES (1)")
    with monkeypatch.context() as patch:
        patch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, broken))
        patch.setattr(schema, "SCHEMA_VERSION", SCHEMA_VERSION + 1)
        with pytest.raises(StoreUnavailable, match="nowhere"):
            await InlineSqliteStore(path).open()
    assert file_version(path) == SCHEMA_VERSION
    assert await verify(path) == ()
    store = InlineSqliteStore(path)
    await store.open()
    assert len(list(store.load())) == 10
    await store.close()


async def test_empty_file_becomes_a_store(path: str) -> None:
    Path(path).touch()
    store = WriterSqliteStore(path)
    await store.open()
    assert list(store.load()) == []
    await store.close()
    assert file_version(path) == SCHEMA_VERSION


async def test_verify_passes_a_sound_file_also_while_it_is_open(path: str) -> None:
    await filled(path)
    assert await verify(path) == ()
    store = InlineSqliteStore(path)
    await store.open()
    assert await verify(path) == ()
    await store.close()
    with pytest.raises(StoreUnavailable, match="no such file"):
        await verify(path + ".other")


@pytest.mark.usefixtures("impatient")
async def test_bulk_load_puts_rows_and_respects_the_lock(path: str) -> None:
    assert await bulk_load(path, ((1, key, b"a") for key in range(25_000))) == 25_000
    assert await bulk_load(path, [(1, 3, b"b")]) == 1
    store = InlineSqliteStore(path)
    await store.open()
    assert store.read(1, [2, 3, 24_999]) == [b"a", b"b", b"a"]
    with pytest.raises(StoreLocked):
        await bulk_load(path, [(1, 3, b"c")])
    await store.close()


async def test_relaxed_commits_are_synced_after_the_interval_and_at_close(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    reached = asyncio.Event()

    def note(fd: int) -> None:
        synced.append(fd)
        reached.set()

    monkeypatch.setattr("eventcore.stores.row_file._sync_data", note)
    store = InlineSqliteStore(path, "relaxed", relaxed_interval_ms=20)
    await store.open()
    synced.clear()
    reached.clear()
    for key in range(3):
        batch = Batch()
        batch.add(1, (Mutation(key, b"a"),))
        assert await append(store, batch) is None
    assert synced == []
    async with asyncio.timeout(10):
        await reached.wait()
    assert len(synced) == 1, "one sync for all commits of the interval"
    assert await append(store, batch) is None
    await store.close()
    assert len(synced) == 2, "the trailing sync comes at the latest with close"


async def test_failed_relaxed_sync_fails_the_next_append_until_recover(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = InlineSqliteStore(path, "relaxed", relaxed_interval_ms=1)
    await store.open()
    batch = Batch()
    batch.add(1, (Mutation(1, b"a"),))
    failed = asyncio.Event()

    def fail(fd: int) -> None:
        failed.set()
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr("eventcore.stores.row_file._sync_data", fail)
        assert await append(store, batch) is None
        async with asyncio.timeout(10):
            await failed.wait()
        error = await append(store, batch)
    assert isinstance(error, StoreUnavailable)
    assert "Input/output error" in str(error)
    await store.recover()
    assert await append(store, batch) is None
    await store.close()


def test_store_for_chooses_by_path_and_committer(path: str) -> None:
    assert isinstance(store_for(None), MemoryStore)
    assert isinstance(store_for(path), InlineSqliteStore)
    assert isinstance(store_for(path, "relaxed", "writer"), WriterSqliteStore)
    with pytest.raises(InvalidParameter, match="leave the path out"):
        store_for(path, "memory")
    with pytest.raises(InvalidParameter, match="committer"):
        store_for(path, "full", "thread")  # type: ignore[arg-type]
    with pytest.raises(InvalidParameter, match="durability"):
        store_for(path, "sometimes")  # type: ignore[arg-type]
    with pytest.raises(InvalidParameter, match="relaxed_interval_ms"):
        InlineSqliteStore(path, relaxed_interval_ms=0)
    with pytest.raises(InvalidParameter, match="file_bytes_max"):
        WriterSqliteStore(path, file_bytes_max=1)


def test_writer_store_says_what_to_use_on_windows(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(UnsupportedOperation, match='committer="inline"'):
        WriterSqliteStore(path)


async def test_recover_of_a_store_that_is_not_open_is_unavailable(path: str) -> None:
    for kind in STORES.values():
        with pytest.raises(StoreUnavailable, match="not open"):
            await kind(path).recover()
