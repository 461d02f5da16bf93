"""A durable queue with a handler, inside one program.

Run it twice on the same file: jobs sent but not handled when the program ended are handled
by the next run.

    python examples/embedded_queue.py
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path

import eventcore

JOBS = 20


async def main(path: str) -> int:
    done: set[int] = set()
    finished = asyncio.Event()

    async with eventcore.open(path) as broker:

        @broker.queue("thumbnails", concurrency=4, visibility_timeout_ms=10_000)
        async def make_thumbnail(message: eventcore.Message) -> None:
            job = message.json()["job"]
            if job % 7 == 0 and message.receives == 1:
                raise eventcore.Retry(delay_ms=50)  # fails once, comes again in 50 ms
            done.add(job)
            if len(done) == JOBS:
                finished.set()

        async with broker.running():
            queue = await broker.get_queue("thumbnails")
            for job in range(JOBS):
                await queue.send_json({"job": job})
            await asyncio.wait_for(finished.wait(), timeout=10)

        left = await queue.statistics()

    print(f"{len(done)} jobs done, {left.visible + left.in_flight} left")
    return 0 if len(done) == JOBS and not left.visible + left.in_flight else 1


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        file = sys.argv[1] if len(sys.argv) > 1 else str(Path(folder) / "events.db")
        sys.exit(asyncio.run(main(file)))
