"""A disk that is full fails the append with a clear error; with room again, the store goes on."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from eventcore.errors import StoreUnavailable
from eventcore.outcome import Mutation
from eventcore.stores.base import Batch
from eventcore.stores.sqlite import InlineSqliteStore, WriterSqliteStore
from eventcore.testing.conformance import append

FILLER = Path(__file__).with_name("store_filler.py")
STORES: dict[str, type[InlineSqliteStore | WriterSqliteStore]] = {
    "inline": InlineSqliteStore,
    "writer": WriterSqliteStore,
}


def block(number: int, value_bytes: int = 10_000) -> Batch:
    batch = Batch()
    batch.add(1, (Mutation(number, bytes(value_bytes), None, True),))
    return batch


@pytest.mark.parametrize("kind", STORES)
async def test_full_file_says_so_and_takes_deletes_after_recover(kind: str, tmp_path: Path) -> None:
    store = STORES[kind](str(tmp_path / "events.db"), file_bytes_max=400_000)
    await store.open()
    count, error = 0, None
    while error is None and count < 1000:
        error = await append(store, block(count))
        count += error is None
    assert isinstance(error, StoreUnavailable)
    assert "disk full" in str(error)
    assert "file_bytes_max" in str(error)
    refused = await append(store, Batch())
    assert isinstance(refused, StoreUnavailable)
    assert "not recovered" in str(refused)
    await store.recover()
    assert len(list(store.load())) == count
    room = Batch()
    room.add(1, [Mutation(number, None) for number in range(10)])
    assert await append(store, room) is None
    assert await append(store, block(count)) is None
    assert len(list(store.load())) == count - 10 + 1
    await store.close()


@pytest.mark.parametrize("kind", STORES)
def test_system_that_refuses_to_write_fails_the_append(kind: str, tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, str(FILLER), kind, str(tmp_path / "events.db")],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        env={**os.environ, "PYTHONPATH": str(FILLER.parents[2])},
    )
    assert result.returncode == 0, result.stderr
    error, before, after = result.stdout.splitlines()
    assert error.startswith("StoreUnavailable")
    assert "events.db" in error
    assert "SQLITE_IOERR_WRITE" in error
    count, loaded = map(int, before.split())
    assert loaded == count > 0
    assert int(after) == count + 1
