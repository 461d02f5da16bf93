"""Every store keeps every promise of the contract; the same suite that third parties run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from eventcore.stores.base import Store
from eventcore.stores.memory import MemoryStore
from eventcore.stores.sqlite import InlineSqliteStore, WriterSqliteStore
from eventcore.testing import CHECKS, FaultyStore, check_store
from eventcore.testing.conformance import Check

STORES: dict[str, Callable[[str], Store]] = {
    "memory": lambda path: MemoryStore(),
    "faulty": lambda path: FaultyStore(MemoryStore(holds_replies=True)),
    "inline-full": InlineSqliteStore,
    "inline-relaxed": lambda path: InlineSqliteStore(path, "relaxed"),
    "writer-full": WriterSqliteStore,
    "writer-relaxed": lambda path: WriterSqliteStore(path, "relaxed"),
}


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("kind", STORES)
async def test_store_keeps_the_promise(
    kind: str, check: Check, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("eventcore.stores.lock.ACQUIRE_S", 0.1)
    await check(lambda: STORES[kind](str(tmp_path / "events.db")))


async def test_check_store_runs_all_checks_in_places_of_their_own() -> None:
    places: set[Path] = set()

    def make(directory: Path) -> Store:
        places.add(directory)
        return MemoryStore()

    await check_store(make)
    assert len(places) == len(CHECKS)


async def test_check_store_names_the_promise_that_a_store_breaks() -> None:
    class Forgetful(MemoryStore):  # type: ignore[misc]
        def append(self, batch, done):
            batch.ranges.clear()
            super().append(batch, done)

    with pytest.raises(AssertionError):
        await check_store(lambda directory: Forgetful())
