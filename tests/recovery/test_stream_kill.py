"""SIGKILL at the points of a commit, with streams: what was acknowledged can be read afterwards, in
order and with the same sequence numbers; what was not is there whole or not at all.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest

from eventcore.runtime.engine import Engine
from eventcore.stores.sqlite import InlineSqliteStore
from tests.recovery import kill_points, stream_client

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")

ROOT = Path(__file__).parents[2]
CHECKPOINT_PAGES = 8


async def die_putting(point: str, number: int, path: Path) -> list[tuple[int, list[str]]]:
    """Runs the client until it is killed in a commit; gives what it had acknowledged."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        kill_points.__file__,
        *(point, str(number), str(CHECKPOINT_PAGES), "streams", str(path)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    try:
        async with asyncio.timeout(60):
            output, errors = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert b"Traceback" not in errors, errors.decode()
    assert process.returncode == -signal.SIGKILL
    return [msgspec.json.decode(line, type=tuple[int, list[str]]) for line in output.splitlines()]


@pytest.mark.parametrize("number", [0, 3, 4, 5, 6])
@pytest.mark.parametrize("point", ["after_first_put", "before_commit", "after_commit"])
async def test_what_was_acknowledged_is_read_with_the_same_sequence_numbers(
    point: str, number: int, tmp_path: Path
) -> None:
    path = tmp_path / "events.db"
    told = await die_putting(point, stream_client.SETTING_UP + number, path)
    assert [at for at, _ in told] == list(range(number)), "a round is one commit"
    rounds = number + (point in kill_points.KEPT)
    async with Engine.open(InlineSqliteStore(str(path))) as engine:
        engine.begin()
        stream = engine.streams.find(stream_client.ARN)
        stream.check()
        found = stream_client.records_of(engine, stream)
        wanted = [record for at in range(rounds) for record in stream_client.expected(at)]
        assert sorted((key, data) for _, key, data in found) == sorted(wanted)
        numbers = {text: (key, data) for text, key, data in found}
        for at, texts in told:
            assert [numbers[text] for text in texts] == stream_client.expected(at)
        for key in stream_client.KEYS:
            own = [(int(text), data) for text, other, data in found if other == key]
            assert all(low < high for (low, _), (high, _) in pairwise(own))
            assert [int(data.split(b":")[0]) for _, data in own] == sorted(
                int(data.split(b":")[0]) for _, data in own
            )
        shards = len(engine.streams.shards(stream))
        assert shards == 2 + 2 * (rounds > 3) + (rounds > 5)
        engine.begin()
        highest = max((int(text) for text, key, _ in found if key == "a"), default=0)
        put = stream_client.play(engine, 0)
        barrier = engine.barrier()
        if barrier is not None:
            await barrier
        assert int(put[0]) > highest, "numbers go on where they were"
