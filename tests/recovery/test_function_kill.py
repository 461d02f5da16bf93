"""SIGKILL in the middle of batches, of the process that has the mappings and of the workers of its
functions: what was acknowledged is handled at least once, in the order of its key, and what was
settled is not handled again.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, final

import pytest

from eventcore.mappings.mapping import EventSourceMapping
from eventcore.mappings.mapping_spec import LanePosition
from eventcore.outcome import row_key
from eventcore.queues.message import decode_message
from eventcore.queues.queue import QueueMachine
from eventcore.queues.records import MESSAGE
from eventcore.runtime.engine import Engine
from eventcore.stores.sqlite import InlineSqliteStore
from eventcore.streams.sequence_number import parse_sequence_number
from tests.recovery import function_client

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")

ROOT = Path(__file__).parents[2]
WAIT_S = 60
KINDS = ("queue", "stream", "event")


def until(condition: Callable[[], bool], what: str) -> None:
    give_up = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < give_up, what
        time.sleep(0.01)


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (ProcessLookupError, FileNotFoundError):
        return False
    return state != "Z"


@final
class Program:
    """`function_client` on one file, which is killed and started again."""

    kinds: tuple[str, ...] = KINDS

    def __init__(self, directory: Path) -> None:
        self.path = directory / "events.db"
        self.code = directory / "code"
        self.output = directory / "acknowledged"
        self.ledger = function_client.write_handler(self.code)
        self.process: subprocess.Popen[bytes] | None = None
        self.first = 0

    def start(self, items: int) -> None:
        arguments = [str(self.path), str(self.code), str(self.first), str(items)]
        arguments.append(",".join(self.kinds))
        self.first += items
        with self.output.open("ab") as stdout:
            self.process = subprocess.Popen(
                [sys.executable, function_client.__file__, *arguments],
                stdout=stdout,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
            )

    def kill(self) -> None:
        """Ends it; its workers must end with it."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()
        pids = self.pids()
        until(lambda: not any(is_alive(pid) for pid in pids), "a worker outlives its daemon")

    def lines(self) -> list[dict[str, Any]]:
        text = self.ledger.read_text()
        return [json.loads(line) for line in text.splitlines()]

    def pids(self) -> set[int]:
        return {line["pid"] for line in self.lines()}

    def acknowledged(self) -> set[int]:
        lines = self.output.read_text().split("\n")[:-1]
        return {int(line) for line in lines if line != "end"}

    def done(self, kind: str) -> list[int]:
        """Numbers that were done, in the order of their first time."""
        lines = [x for x in self.lines() if x["what"] == "done" and x["kind"] == kind]
        return list(dict.fromkeys(item["n"] for line in lines for item in line["items"]))

    def busy(self) -> dict[int, str]:
        """What each process that has begun and not ended works on."""
        found: dict[int, str] = {}
        for line in self.lines():
            found.pop(line["pid"], None)
            if line["what"] == "begin":
                found[line["pid"]] = line["kind"]
        return found

    def wait_for_progress(self, lines: int) -> None:
        """Until so many more lines are there, and something is in the middle of its batch."""
        before = len(self.lines())

        def has_come() -> bool:
            assert self.process is not None and self.process.poll() is None, "it ended by itself"
            return len(self.lines()) >= before + lines and bool(self.busy())

        until(has_come, "the program does not get on")

    def is_all_done(self) -> bool:
        acknowledged = self.acknowledged()
        missing = {kind: acknowledged - set(self.done(kind)) for kind in self.kinds}
        missing["stream"] = {n for n in missing["stream"] if not function_client.is_poison(n)}
        return not any(missing.values())


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Program]:
    program = Program(tmp_path)
    yield program
    if program.process is not None:
        program.process.kill()
        program.process.wait()
    for pid in program.pids():
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


async def stored(path: Path) -> tuple[list[LanePosition], list[Any]]:
    """The positions of the stream's mapping, and the documents of what was given up."""
    store = InlineSqliteStore(str(path))
    await store.open()
    try:
        engine = Engine(store)
        take = engine._rebuild()
        for row in store.load():
            take(*row)
        positions = [
            position
            for machine in engine._machines.values()
            if isinstance(machine, EventSourceMapping)
            for position in machine.positions()
        ]
        failures = engine.find(function_client.FAILURES)
        assert isinstance(failures, QueueMachine)
        component = engine.host.seat_of(failures).component
        rows = store.read(component, [row_key(MESSAGE, n) for n in failures._entries])
        documents = [json.loads(decode_message(row).body) for row in rows if row is not None]
    finally:
        await store.close()
    return positions, documents


def number_of(sequence_number: str) -> int:
    parsed = parse_sequence_number(sequence_number)
    assert parsed is not None
    return parsed.number


def check_order(program: Program) -> None:
    done = program.done("stream")
    for at in range(len(function_client.KEYS)):
        own = [n for n in done if n % len(function_client.KEYS) == at]
        assert own == sorted(own), "a later record of a key was done first"


async def test_killed_in_the_middle_of_batches_nothing_is_lost_or_skipped(
    program: Program,
) -> None:
    program.start(items=25)
    program.wait_for_progress(lines=12)
    program.kill()
    before = len(program.lines())
    (position,), _ = await stored(program.path)
    program.start(items=10)
    program.wait_for_progress(lines=8)
    program.kill()
    again = [number_of(p) for line in program.lines()[before:] for p in line["places"]]
    assert all(number >= position.number for number in again), "what was settled came back"
    program.start(items=5)
    until(lambda: b"end" in program.output.read_bytes(), "not all was sent")
    until(program.is_all_done, "acknowledged and never done")
    program.kill()
    check_order(program)
    _, documents = await stored(program.path)
    batches = [document["KinesisBatchInfo"] for document in documents]
    poisonous = [
        place
        for line in program.lines()
        for item, place in zip(line["items"], line["places"], strict=False)
        if function_client.is_poison(item["n"])
    ]
    assert poisonous
    assert {batch["startSequenceNumber"] for batch in batches} == set(poisonous)
    assert all(batch["batchSize"] == 1 for batch in batches), "bisected to the one record"
    assert len(batches) == len(set(poisonous)), "each was told of once"


async def test_killed_worker_processes_have_their_batches_tried_again(program: Program) -> None:
    program.kinds = ("queue", "stream")
    program.start(items=20)
    killed: list[int] = []
    for kind in program.kinds:
        until(lambda: kind in program.busy().values(), f"no {kind} is handled")  # noqa: B023
        pid = next((pid for pid, what in program.busy().items() if what == kind), None)
        if pid is not None and is_alive(pid):
            os.kill(pid, signal.SIGKILL)
            killed.append(pid)
    assert killed
    until(lambda: b"end" in program.output.read_bytes(), "not all was sent")
    until(program.is_all_done, "what a killed worker had was lost")
    assert program.process is not None and program.process.poll() is None
    assert not any(is_alive(pid) for pid in killed)
    check_order(program)
