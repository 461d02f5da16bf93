# ruff: noqa: ASYNC240  (short reads and writes, in tests)
"""SIGKILL at every point of a commit: the batch is there whole or not at all, as the point says."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import sys
import time
from pathlib import Path

import pytest

import eventcore
from eventcore.errors import StoreError, StoreUnavailable
from eventcore.runtime.broker import Broker
from eventcore.stores import writer_client
from eventcore.stores.sqlite import InlineSqliteStore
from eventcore.testing import ManualClock
from eventcore.testing.conformance import append
from tests.recovery import broker_client, kill_points, store_appender

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")

ROOT = Path(__file__).parents[2]
NUMBERS = (0, 1, 6)
"""Commits to die in: the first of a file, one into its log, and one after several checkpoints."""
CHECKPOINT_PAGES = 8
NEVER = 1_000_000
"""Checkpoint pages, for none."""
LOG_HEADER_BYTES = 32
FRAME_BYTES = 24 + 8192
"""SQLite, "The WAL-mode file format": a log is a header and frames of a header and a page."""


async def run_to_its_end(*arguments: object) -> tuple[int, list[int]]:
    """Runs kill_points.py; gives its exit status and the numbers it printed as acknowledged."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        kill_points.__file__,
        *map(str, arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    try:
        async with asyncio.timeout(30):
            output, errors = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert b"Traceback" not in errors, errors.decode()
    assert process.returncode is not None
    return process.returncode, [int(line) for line in output.split()]


async def batches_in(path: Path) -> int:
    """How many whole batches a reopened file has; then appends one more, and counts again."""
    store = InlineSqliteStore(str(path))
    await store.open()
    count = store_appender.whole_batches(store)
    assert await append(store, store_appender.numbered_batch(count)) is None
    assert store_appender.whole_batches(store) == count + 1
    await store.close()
    return count


async def die_appending(
    directory: Path, kind: str, point: str, number: int, checkpoint_pages: int = CHECKPOINT_PAGES
) -> tuple[int, int, int]:
    """The exit status of the process, the batches it had acknowledged, the batches in the file."""
    path = directory / f"{number}.db"
    status, (_, *acknowledged) = await run_to_its_end(
        point, number, checkpoint_pages, "appender", kind, path
    )
    assert acknowledged == list(range(len(acknowledged)))
    return status, len(acknowledged), await batches_in(path)


@pytest.mark.parametrize("kind", ["inline-full", "inline-relaxed"])
@pytest.mark.parametrize("point", kill_points.LOST + kill_points.KEPT)
async def test_inline_store_killed_in_a_commit(point: str, kind: str, tmp_path: Path) -> None:
    cases = [die_appending(tmp_path, kind, point, number) for number in NUMBERS]
    is_kept = point in kill_points.KEPT
    assert await asyncio.gather(*cases) == [
        (-signal.SIGKILL, number, number + is_kept) for number in NUMBERS
    ]


@pytest.mark.parametrize("point", kill_points.LOST + kill_points.KEPT + kill_points.TOLD)
async def test_writer_process_killed_in_a_commit(point: str, tmp_path: Path) -> None:
    cases = [die_appending(tmp_path, "writer-full", point, number) for number in NUMBERS]
    is_told = point in kill_points.TOLD
    is_kept = is_told or point in kill_points.KEPT
    assert await asyncio.gather(*cases) == [
        (0, number + is_told, number + is_kept) for number in NUMBERS
    ]


@pytest.mark.parametrize("point", kill_points.PARENT_POINTS)
async def test_parent_killed_with_a_batch_at_its_writer_process(point: str, tmp_path: Path) -> None:
    """A batch that was sent whole is committed by the orphan; `open` waits for that."""
    cases = [die_appending(tmp_path, "writer-full", point, number) for number in NUMBERS]
    assert await asyncio.gather(*cases) == [
        (-signal.SIGKILL, number, number + 1) for number in NUMBERS
    ]


@pytest.mark.parametrize("kind", ["inline-full", "writer-full"])
async def test_process_ended_in_the_middle_of_a_write_to_the_log(kind: str, tmp_path: Path) -> None:
    """The log ends anywhere in the commit's frames: in a frame's header, its page, between two."""
    status = -signal.SIGXFSZ if kind == "inline-full" else 0
    for length in (0, 11, 24, 4_000, FRAME_BYTES, FRAME_BYTES + 7, 2 * FRAME_BYTES - 1):
        point = f"inside:{length}"
        directory = tmp_path / str(length)
        directory.mkdir()
        cases = [die_appending(directory, kind, point, number, NEVER) for number in (1, 4)]
        assert await asyncio.gather(*cases) == [(status, 1, 1), (status, 4, 4)], length


@pytest.mark.parametrize("kind", ["inline-full", "writer-full"])
async def test_process_ended_in_the_middle_of_a_checkpoint(kind: str, tmp_path: Path) -> None:
    """The commit whose checkpoint was torn is durable in the log, and the log is still there."""
    for length in (150_000, 163_841):
        directory = tmp_path / str(length)
        directory.mkdir()
        status, acknowledged, count = await die_appending(
            directory, kind, f"checkpoint:{length}", 0, 4
        )
        assert status == (-signal.SIGXFSZ if kind == "inline-full" else 0)
        assert acknowledged > 2
        assert count == acknowledged + 1


async def test_log_cut_off_anywhere_leaves_whole_batches_in_order(tmp_path: Path) -> None:
    """What a power cut leaves of a log that was not synced: any beginning of it."""
    path = tmp_path / "events.db"
    store = InlineSqliteStore(str(path), "relaxed", relaxed_interval_ms=60_000)
    await store.open()
    ends = []
    log = Path(f"{path}-wal")
    for number in range(6):
        assert await append(store, store_appender.numbered_batch(number)) is None
        ends.append(log.stat().st_size)
    file_bytes, log_bytes = path.read_bytes(), log.read_bytes()
    await store.close()
    cuts = {0, 1, LOG_HEADER_BYTES - 1, LOG_HEADER_BYTES}
    cuts |= {end + more for end in ends for more in (-4_096, -1, 0, 1, 24)}
    for cut in sorted(cut for cut in cuts if cut <= len(log_bytes)):
        copy = tmp_path / f"{cut}.db"
        copy.write_bytes(file_bytes)
        Path(f"{copy}-wal").write_bytes(log_bytes[:cut])
        assert await batches_in(copy) == sum(end <= cut for end in ends), cut


async def rounds_in(path: Path, rounds: int) -> None:
    """Asserts that the reopened broker is as after `rounds` rounds."""
    clock = ManualClock(int(time.time() * 1000) + 1_000)
    async with eventcore.open(str(path), clock=clock) as broker:
        await broker_client.check(broker, clock, rounds)


@pytest.mark.parametrize("number", range(6))
@pytest.mark.parametrize("point", ["before_begin", "before_commit", "after_commit"])
async def test_broker_killed_in_a_commit_has_what_it_acknowledged(
    point: str, number: int, tmp_path: Path
) -> None:
    path = tmp_path / "events.db"
    at = broker_client.SETTING_UP + number
    status, acknowledged = await run_to_its_end(point, at, CHECKPOINT_PAGES, "broker", path)
    assert status == -signal.SIGKILL
    assert acknowledged == list(range(number)), "a round is one commit"
    await rounds_in(path, number + (point in kill_points.KEPT))


@pytest.mark.parametrize("number", [0, 3, 4])
@pytest.mark.parametrize("point", ["before_commit", "after_commit", "after_answer"])
async def test_broker_goes_on_after_its_writer_process_was_killed_in_a_commit(
    point: str, number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = broker_client.SETTING_UP + number
    armed = kill_points.armed_popen(point, at, CHECKPOINT_PAGES)
    monkeypatch.setattr(writer_client, "subprocess", armed)
    path = tmp_path / "events.db"
    clock = ManualClock(int(time.time() * 1000))
    async with eventcore.open(str(path), committer="writer", clock=clock) as broker:
        client = broker_client.Client(broker)
        await client.set_up()
        played = await rounds_played(client)
        assert played == number + (point in kill_points.TOLD)
        rounds = played + (point in kill_points.KEPT)
        await until_recovered(broker)
        await broker_client.check(broker, clock, rounds)


async def rounds_played(client: broker_client.Client) -> int:
    """Plays rounds until one fails; gives its number."""
    for number in itertools.count():
        try:
            await client.play(number)
        except StoreError:
            return number
    raise AssertionError


async def until_recovered(broker: Broker) -> None:
    """Returns when the broker takes commands again."""
    async with asyncio.timeout(20):
        while True:
            try:
                await broker.list_queues()
            except StoreUnavailable:
                await asyncio.sleep(0.01)
            else:
                return
