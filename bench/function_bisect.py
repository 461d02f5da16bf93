"""One poison record in a batch of 1,000: how many invocations until it stands alone, and how often
the others succeed. Counts, not times: they are the same everywhere.

It stands alone when the last batch with others failed and was cut: what is invoked from then on is
it by itself, or the others without it.
"""

from __future__ import annotations

import base64
import math
from typing import Any, Final

import eventcore
from bench.function_load import Rounds, until
from bench.stream_figures import Results
from eventcore.runtime.stream_handles import OutgoingRecord

__all__ = ["measure_bisect"]

RECORDS: Final = 1_000
MOST: Final = 2 * math.log2(RECORDS)
PUT: Final = 500


class Bisected:
    """A handler that fails for batches with the poison, and what it was given."""

    def __init__(self, poison: int) -> None:
        self.invocations = 0
        self.until_isolated = 0
        """Invocations up to the last one that failed for more than the poison."""
        self.is_met = False
        """Whether the poison was invoked by itself."""
        self.successes = [0] * RECORDS
        self._poison = poison

    async def handle(self, event: dict[str, Any]) -> None:
        """The handler."""
        numbers = [int(base64.b64decode(r["kinesis"]["data"])) for r in event["Records"]]
        self.invocations += 1
        if self._poison in numbers:
            self.is_met = self.is_met or len(numbers) == 1
            if len(numbers) > 1:
                self.until_isolated = self.invocations
            raise ValueError("poison")
        for number in numbers:
            self.successes[number] += 1

    @property
    def succeeded(self) -> int:
        """Successes of all records, the poison aside, as long as none has two."""
        return sum(self.successes)


async def measure_bisect(results: Results, places: int) -> None:
    """Poison at `places` places, the first and the last among them."""
    figures = Rounds("bisect")
    chosen = {round(at * (RECORDS - 1) / max(1, places - 1)) for at in range(places)}
    runs = [await _bisect(results, poison) for poison in sorted(chosen)]
    counts = [run.until_isolated for run in runs]
    figures.add("until the poison stands alone, most", "invocations", max(counts), at_most=MOST)
    figures.add("the same, mean of all places", "invocations", sum(counts) / len(counts))
    figures.add("all, most", "invocations", max(run.invocations for run in runs))
    figures.add("places of the poison", "places", len(chosen))
    results.figures += figures.figures()


async def _bisect(results: Results, poison: int) -> Bisected:
    """One run; what is wrong is a fault."""
    bisected = Bisected(poison)
    async with eventcore.open() as broker:
        stream = await broker.streams.create("bench", shards=1)
        for first in range(0, RECORDS, PUT):
            numbers = range(first, min(first + PUT, RECORDS))
            await stream.put_many([OutgoingRecord(f"{n}".encode(), "key") for n in numbers])
        broker.map(
            stream,
            "handle",
            start="TRIM_HORIZON",
            batch_size=RECORDS,
            batch_window_ms=1_000,
            bisect_on_error=True,
            retries_max=0,
            on_failure="failed",
        )(bisected.handle)
        failed = await broker.create_queue("failed")
        async with broker.running():
            await until(lambda: bisected.succeeded >= RECORDS - 1 and bisected.is_met)
            told = await failed.receive(messages_max=10, wait_ms=10_000)
    wanted = [number != poison for number in range(RECORDS)]
    if bisected.successes != wanted:
        results.faults.append(f"bisect, poison at {poison}: not all others succeeded once")
    if len(told) != 1 or '"batchSize":1' not in told[0].body.replace(" ", ""):
        results.faults.append(f"bisect, poison at {poison}: {len(told)} records for on_failure")
    return bisected
