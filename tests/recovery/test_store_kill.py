# ruff: noqa: ASYNC251  (the processes that are waited for are others)
"""kill -9 at random moments: what was acknowledged is there, whole, and without a gap before it."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from eventcore.errors import StoreLocked, StoreUnavailable
from eventcore.stores.sqlite import InlineSqliteStore, WriterSqliteStore
from eventcore.testing.conformance import append

APPENDER = Path(__file__).with_name("store_appender.py")
ROOT = APPENDER.parents[2]
_spec = importlib.util.spec_from_file_location("store_appender", APPENDER)
assert _spec is not None
assert _spec.loader is not None
appender = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(appender)


def start_appender(kind: str, path: Path, first: int, output: Path) -> subprocess.Popen[bytes]:
    with output.open("wb") as stdout:
        return subprocess.Popen(
            [sys.executable, str(APPENDER), kind, str(path), str(first)],
            stdout=stdout,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )


def wait_for_acknowledgements(process: subprocess.Popen[bytes], output: Path, count: int) -> None:
    give_up = time.monotonic() + 20
    while output.read_bytes().count(b"\n") <= count:
        assert process.poll() is None, "the appender ended by itself"
        assert time.monotonic() < give_up, "the appender does not get on"
        time.sleep(0.002)


def kill(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()


@pytest.mark.parametrize("kind", appender.KINDS)
async def test_kill_9_loses_nothing_acknowledged(kind: str, tmp_path: Path) -> None:
    path, output = tmp_path / "events.db", tmp_path / "acknowledged"
    moments = random.Random(kind)
    count = 0
    for _ in range(4):
        process = start_appender(kind, path, count, output)
        try:
            wait_for_acknowledgements(process, output, 3)
            time.sleep(moments.uniform(0, 0.15))
        finally:
            kill(process)
        acknowledged = int(output.read_bytes().rpartition(b"\n")[0].split(b"\n")[-1])
        store = appender.KINDS[kind](str(path))
        await store.open()
        before, count = count, appender.whole_batches(store)
        await store.close()
        assert count > before
        assert acknowledged < count <= acknowledged + 2


async def test_orphaned_writer_keeps_the_file_locked_until_its_commit_is_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, output = tmp_path / "events.db", tmp_path / "acknowledged"
    process = start_appender("writer-full", path, 0, output)
    writer_pid = 0
    try:
        wait_for_acknowledgements(process, output, 3)
        writer_pid = int(output.read_bytes().split(b"\n")[0])
        os.kill(writer_pid, signal.SIGSTOP)
        kill(process)
        monkeypatch.setattr("eventcore.stores.lock.ACQUIRE_S", 0.1)
        store = InlineSqliteStore(str(path))
        with pytest.raises(StoreLocked, match=str(process.pid)):
            await store.open()
    finally:
        kill(process)
        if writer_pid:
            os.kill(writer_pid, signal.SIGCONT)
    monkeypatch.undo()
    acknowledged = int(output.read_bytes().rpartition(b"\n")[0].split(b"\n")[-1])
    await store.open()
    assert acknowledged < appender.whole_batches(store) <= acknowledged + 2
    await store.close()


async def test_killed_writer_fails_the_batch_in_flight_and_recover_goes_on(tmp_path: Path) -> None:
    store = WriterSqliteStore(str(tmp_path / "events.db"))
    await store.open()
    assert await append(store, appender.numbered_batch(0)) is None
    for _ in range(2):
        count = appender.whole_batches(store)
        assert store.writer_pid is not None
        os.kill(store.writer_pid, signal.SIGSTOP)
        answer = asyncio.ensure_future(append(store, appender.numbered_batch(count)))
        await asyncio.sleep(0)
        os.kill(store.writer_pid, signal.SIGKILL)
        assert isinstance(await answer, StoreUnavailable)
        refused = await append(store, appender.numbered_batch(count))
        assert isinstance(refused, StoreUnavailable)
        await store.recover()
        assert appender.whole_batches(store) == count
        assert await append(store, appender.numbered_batch(count)) is None
    assert appender.whole_batches(store) == 3
    await store.close()


async def test_writer_killed_at_random_moments_never_leaves_a_part_of_a_batch(
    tmp_path: Path,
) -> None:
    store = WriterSqliteStore(str(tmp_path / "events.db"))
    moments = random.Random(1)
    loop = asyncio.get_running_loop()
    await store.open()
    acknowledged = count = 0
    for _ in range(5):
        assert store.writer_pid is not None
        loop.call_later(moments.uniform(0, 0.05), os.kill, store.writer_pid, signal.SIGKILL)
        while await append(store, appender.numbered_batch(count)) is None:
            count += 1
        acknowledged = count
        await store.recover()
        count = appender.whole_batches(store)
        assert acknowledged <= count <= acknowledged + 1
    await store.close()
    assert count > 5


async def test_idle_writer_that_dies_is_noticed_at_the_next_append(tmp_path: Path) -> None:
    store = WriterSqliteStore(str(tmp_path / "events.db"))
    await store.open()
    assert store.writer_pid is not None
    os.kill(store.writer_pid, signal.SIGKILL)
    assert isinstance(await append(store, appender.numbered_batch(0)), StoreUnavailable)
    await store.recover()
    assert appender.whole_batches(store) == 0
    await store.close()


async def test_close_after_the_writer_died_lets_the_file_go(tmp_path: Path) -> None:
    path = str(tmp_path / "events.db")
    store = WriterSqliteStore(path)
    await store.open()
    assert await append(store, appender.numbered_batch(0)) is None
    assert store.writer_pid is not None
    os.kill(store.writer_pid, signal.SIGKILL)
    await store.close()
    again = InlineSqliteStore(path)
    await again.open()
    assert appender.whole_batches(again) == 1
    await again.close()
