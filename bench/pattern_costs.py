"""What rules cost beside matching: changes, loading and memory, each in a process of its own.

Writes the rules and events to files and runs `pattern_cost_program` on them. The rules are the
mixed ones.
"""

from __future__ import annotations

import random
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from bench.pattern_load import mixed_event, mixed_rule, mixed_sources, mixed_workload
from bench.pattern_results import Changes, Loading, Memory

__all__ = ["measure_changes", "measure_loading", "measure_memory"]

MEMORY_EVENTS: Final = 20_000
CHANGES_COUNT: Final = 2_000
LOADINGS: Final = 3

_ROOT: Final = Path(__file__).resolve().parents[1]

Record = TypeVar("Record", Changes, Loading, Memory)


def measure_changes(rules: int) -> Changes:
    """One rule more or less among so many."""
    with _files(rules) as files:
        return _run(Changes, "changes", files)


def measure_loading(rules: int) -> Loading:
    """So many rules from their texts: the median of several processes."""
    with _files(rules) as files:
        runs = [_run(Loading, "load", files[:2]) for _ in range(LOADINGS)]
    return sorted(runs, key=lambda run: run.compile_s + run.add_s)[LOADINGS // 2]


def measure_memory(rules: int) -> Memory:
    """A process with so many rules, before and after 20,000 events."""
    with _files(rules) as files:
        return _run(Memory, "memory", files[:2])


def _run(record: type[Record], what: str, files: list[Path]) -> Record:
    command = [sys.executable, "-m", "bench.pattern_cost_program", what, *map(str, files)]
    done = subprocess.run(command, cwd=_ROOT, stdout=subprocess.PIPE, check=True)
    return msgspec.json.decode(done.stdout, type=record)


@contextmanager
def _files(count: int) -> Iterator[list[Path]]:
    """Rules, events and more rules, in files that are there within the block."""
    draw, sources = random.Random(12), mixed_sources(count)
    events = (mixed_event(draw, sources).decode() for _ in range(MEMORY_EVENTS))
    more = (mixed_rule(draw, number, sources) for number in range(CHANGES_COUNT))
    with tempfile.TemporaryDirectory(prefix="pattern-costs-") as folder:
        files = [Path(folder) / name for name in ("rules", "events", "more")]
        for file, texts in zip(files, (mixed_workload(count).rules, events, more), strict=True):
            _write(file, texts)
        yield files


def _write(file: Path, texts: Iterable[str]) -> None:
    with file.open("w", encoding="utf-8") as lines:
        lines.writelines(f"{text}\n" for text in texts)
