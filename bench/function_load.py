"""What the measurements of functions share: brokers, clocks, figures that take turns, and what the
machine was like.

CPU is that of this process and of all its children: the writer process, execution environments.
"""

from __future__ import annotations

import asyncio
import os
import platform
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final

import eventcore
from bench.stream_figures import Figure, figure
from eventcore.bench.histogram import Histogram
from eventcore.bench.process_usage import ProcessTree
from eventcore.limits import Quotas
from eventcore.runtime.broker import Broker
from eventcore.stores.factory import Committer

__all__ = [
    "COMMITTERS",
    "Rounds",
    "Spent",
    "durable",
    "machine",
    "opened",
    "spending",
    "state",
    "until",
]

COMMITTERS: Final[tuple[Committer, ...]] = ("inline", "writer")
WAIT_S: Final = 120.0
LOOK_S: Final = 0.002
DISK_WRITES: Final = 200


@dataclass
class Spent:
    """Seconds by the clock and on the CPU, of this process and its children."""

    wall_s: float = 0.0
    cpu_s: float = 0.0


@contextmanager
def spending() -> Iterator[Spent]:
    """Measures a block of statements. CPU of children is in steps of 10 ms, and not counted where
    there is no psutil.
    """
    spent, tree = Spent(), ProcessTree.of(os.getpid())
    children_s = tree.usage().children_cpu_s if tree else 0.0
    cpu_s, wall_s = time.process_time(), time.perf_counter()
    try:
        yield spent
    finally:
        spent.wall_s = time.perf_counter() - wall_s
        spent.cpu_s = time.process_time() - cpu_s
        if tree:
            spent.cpu_s += max(0.0, tree.usage().children_cpu_s - children_s)


class Rounds:
    """Values of one part's figures, round by round; the figures are their medians."""

    def __init__(self, part: str) -> None:
        self._part = part
        self._values: dict[tuple[str, str], list[float]] = {}
        self._targets: dict[tuple[str, str], tuple[float | None, float | None]] = {}

    def add(
        self,
        name: str,
        unit: str,
        value: float,
        *,
        at_most: float | None = None,
        at_least: float | None = None,
    ) -> None:
        """One more value."""
        self._values.setdefault((name, unit), []).append(value)
        self._targets[name, unit] = at_most, at_least

    def add_cost(
        self, name: str, what: str, spent: Spent, count: int, *, at_least: float | None = None
    ) -> None:
        """The two figures of `count` operations: by the clock, and their CPU."""
        self.add(name, f"{what}/s", count / spent.wall_s, at_least=at_least)
        self.add(name, f"CPU ms/1,000 {what}", spent.cpu_s / count * 1e6)

    def add_latency(self, name: str, histogram: Histogram, p50_ms: float, p99_ms: float) -> None:
        """The two figures of a latency, with their targets."""
        self.add(f"{name}, p50", "ms", histogram.percentile_ns(0.5) / 1e6, at_most=p50_ms)
        self.add(f"{name}, p99", "ms", histogram.percentile_ns(0.99) / 1e6, at_most=p99_ms)

    def figures(self) -> list[Figure]:
        """A figure per name and unit, in the order of their first values."""
        made = []
        for (name, unit), values in self._values.items():
            at_most, at_least = self._targets[name, unit]
            made.append(figure(self._part, name, unit, values, at_most=at_most, at_least=at_least))
        return made


@asynccontextmanager
async def opened(committer: Committer, quotas: Quotas | None = None) -> AsyncIterator[Broker]:
    """A broker on a fresh file, durability full."""
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "bench.db")
        async with eventcore.open(path, committer=committer, quotas=quotas) as broker:
            yield broker


async def durable(broker: Broker) -> None:
    """Closes a request and waits for it."""
    barrier = broker.engine.barrier()
    if barrier is not None:
        await barrier


async def until(is_so: Callable[[], bool]) -> None:
    """Looks again and again. Raises TimeoutError when it takes much too long."""
    async with asyncio.timeout(WAIT_S):
        while not is_so():  # noqa: ASYNC110  (handlers of all kinds are looked at)
            await asyncio.sleep(LOOK_S)


def machine() -> str:
    """Cores, processor, system."""
    return (
        f"{os.cpu_count()} cores, {_processor()}, {platform.system()} {platform.machine()}, "
        f"Python {platform.python_version()}"
    )


def state() -> str:
    """What the machine is like now: its load, and what the disk takes to make a write durable."""
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    return f"load {load}, fsync of 4 KiB {_fsync_ms():.2f} ms"


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor() or "processor unknown"
    names = [line.partition(":")[2] for line in text.splitlines() if line.startswith("model name")]
    return names[0].strip() if names else "processor unknown"


def _fsync_ms() -> float:
    times = []
    with tempfile.TemporaryFile() as file:
        for _ in range(DISK_WRITES):
            file.write(b"x" * 4096)
            file.flush()
            began_s = time.perf_counter()
            os.fsync(file.fileno())
            times.append(time.perf_counter() - began_s)
    return median(times) * 1e3
