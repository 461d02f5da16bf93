"""64 writers and 8 readers that never let the event loop rest, on one engine in one process.

The question (docs/decisions/0003-sqlite-store.md): does a saturated loop starve commits? Each
writer sends 256 B and waits until it is durable; each reader asks for the counts of another queue,
again and again, giving way to the loop between two of them.

    python -m bench.bench_saturated_loop [--seconds 4] [--committer writer|inline] [--repeat 2]
"""

from __future__ import annotations

import argparse
import asyncio
import resource
import tempfile
import time
from pathlib import Path

import uvloop

import eventcore

WRITERS = 64
READERS = 8
BODY = "x" * 256


async def run(committer: str, readers: int, seconds: float) -> str:
    """One run; the line of its figures."""
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "events.db")
        async with eventcore.open(path, committer=committer) as broker:
            written = await broker.create_queue("written")
            quiet = await broker.create_queue("quiet")
            waits: list[float] = []
            reads = 0
            end = time.perf_counter() + seconds

            async def write() -> None:
                while (began := time.perf_counter()) < end:
                    await written.send(BODY)
                    waits.append(time.perf_counter() - began)

            async def read() -> None:
                nonlocal reads
                while time.perf_counter() < end:
                    await quiet.statistics()
                    reads += 1
                    await asyncio.sleep(0)

            cpu = _cpu_seconds()
            tasks = [write() for _ in range(WRITERS)] + [read() for _ in range(readers)]
            await asyncio.gather(*tasks)
            cpu = _cpu_seconds() - cpu
            stored = (await written.statistics()).visible
            assert stored == len(waits), "a durable write is missing"
    waits.sort()
    return (
        f"{committer:>7} {readers:>2} readers: {len(waits) / seconds:>8,.0f} writes/s  "
        f"{reads / seconds:>8,.0f} reads/s  p50 {waits[len(waits) // 2] * 1e3:.2f} ms  "
        f"p99 {waits[len(waits) * 99 // 100] * 1e3:.2f} ms  "
        f"CPU of this process {cpu / max(1, len(waits)) * 1e6:.1f} us a write"
    )


def _cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    """Interleaves the ways to commit, with and without readers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--committer", choices=("writer", "inline"))
    parser.add_argument("--repeat", type=int, default=2)
    options = parser.parse_args()
    committers = [options.committer] if options.committer else ["writer", "inline"]
    for _ in range(options.repeat):
        for committer in committers:
            for readers in (0, READERS):
                print(uvloop.run(run(committer, readers, options.seconds)), flush=True)


if __name__ == "__main__":
    main()
