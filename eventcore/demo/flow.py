"""The flow of the demo: several producers put every flight as an event, consumers empty the rules'
queues and count.

- Producers share one reader of the file; each puts batches of 10, and puts again what was refused.
  The expected tally is kept as rows are read.
- Consumers receive, count, then delete: a message is deleted only after it was counted.
- A queue's consumers end when all events are put and the queue reports itself empty; nothing stops
  them because "enough" has come, so surplus would be found as well as loss.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Final, final

import msgspec

from eventcore.bench.client import EndpointUnreachable
from eventcore.bench.progress import Progress
from eventcore.demo.broker_access import BrokerAccess
from eventcore.demo.flights import Row, decode_seen, detail_json
from eventcore.demo.rules import FLIGHT_RULES, FlightRule
from eventcore.demo.tally import RuleResult, Tally, compare

__all__ = ["CONSUMERS_PER_QUEUE", "PRODUCERS", "DemoOutcome", "FlightFlow"]

BATCH: Final = 10
PRODUCERS: Final = 8
CONSUMERS_PER_QUEUE: Final = 2
REFUSALS_MAX: Final = 100
REFUSED_PAUSE_S: Final = 0.1
PROGRESS_S: Final = 0.2


class DemoOutcome(msgspec.Struct, frozen=True):
    """What a run came to. Counts, seconds."""

    events: int
    deliveries: int
    put_s: float
    elapsed_s: float
    retries: int
    kills: int
    is_complete: bool
    rules: tuple[RuleResult, ...]

    @property
    def is_equal(self) -> bool:
        """Nothing lost, nothing foreign, and nothing twice that no lost answer explains."""
        repeats = sum(rule.repeats for rule in self.rules)
        are_explained = repeats == 0 or self.retries > 0 or self.kills > 0
        return self.is_complete and are_explained and all(rule.is_equal for rule in self.rules)


@final
class FlightFlow:
    """One run of the demo over a broker. `put_count` grows as events are acknowledged."""

    def __init__(
        self,
        access: BrokerAccess,
        rows: Iterable[Row],
        progress: Progress,
        rules: Sequence[FlightRule] = FLIGHT_RULES,
    ) -> None:
        self.put_count = 0
        self.received_count = 0
        self.kills = 0
        self._access = access
        self._rows: Iterator[Row] = iter(rows)
        self._progress = progress
        self._rules = rules
        self._expected = {rule.name: Tally() for rule in rules}
        self._received = {rule.name: Tally() for rule in rules}
        self._are_all_put = False
        self._milestones: list[tuple[int, asyncio.Event]] = []
        self._start_s = time.perf_counter()
        self._put_s = 0.0

    async def run(
        self, *, timeout_s: float, interfere: Callable[[], Awaitable[None]] | None = None
    ) -> DemoOutcome:
        """Puts and consumes everything. `interfere` runs beside it (and kills the daemon).

        At the end of `timeout_s` it stops as it is; the outcome says what is missing then.
        """
        self._start_s = time.perf_counter()
        is_complete = True
        try:
            async with asyncio.timeout(timeout_s):
                await self._run_all(interfere)
        except TimeoutError:
            is_complete = False
            self._progress.say(f"Not done after {timeout_s:.0f} s.")
        return self._outcome(is_complete=is_complete)

    async def put_reaches(self, count: int) -> None:
        """Waits until `count` events have been acknowledged."""
        reached = asyncio.Event()
        self._milestones.append((count, reached))
        self._pass_milestones()
        await reached.wait()

    def _pass_milestones(self) -> None:
        for count, reached in self._milestones:
            if self.put_count >= count:
                reached.set()

    async def _run_all(self, interfere: Callable[[], Awaitable[None]] | None) -> None:
        async with asyncio.TaskGroup() as background:
            reporter = background.create_task(self._report())
            disturber = background.create_task(_as_coroutine(interfere))
            async with asyncio.TaskGroup() as consumers:
                for rule in self._rules:
                    for _ in range(CONSUMERS_PER_QUEUE):
                        consumers.create_task(self._consume(rule))
                async with asyncio.TaskGroup() as producers:
                    for _ in range(PRODUCERS):
                        producers.create_task(self._produce())
                await disturber
                self._put_s = time.perf_counter() - self._start_s
                self._are_all_put = True
            reporter.cancel()

    async def _produce(self) -> None:
        while rows := list(islice(self._rows, BATCH)):
            self._expect(rows)
            await self._put([detail_json(row) for row in rows])

    def _expect(self, rows: Iterable[Row]) -> None:
        for row in rows:
            for rule in self._rules:
                if rule.holds(row):
                    self._expected[rule.name].add_row(row)

    async def _put(self, details: list[str]) -> None:
        for _ in range(REFUSALS_MAX):
            refused = await self._access.put(details)
            self.put_count += len(details) - len(refused)
            self._pass_milestones()
            if not refused:
                return
            details = [details[index] for index in refused]
            await asyncio.sleep(REFUSED_PAUSE_S)
        raise EndpointUnreachable(f"an event was refused {REFUSALS_MAX} times")

    async def _consume(self, rule: FlightRule) -> None:
        access, tally = self._access, self._received[rule.name]
        while True:
            is_last_chance = self._are_all_put
            messages = await access.receive(rule)
            for message in messages:
                tally.add(decode_seen(message.body))
            self.received_count += len(messages)
            if messages:
                await access.delete(rule, messages)
            elif is_last_chance and await access.is_drained(rule):
                return

    async def _report(self) -> None:
        while True:
            await asyncio.sleep(PROGRESS_S)
            put_s = self._put_s or time.perf_counter() - self._start_s
            self._progress.update(
                self.put_count,
                f"{self.put_count:,} events put ({self.put_count / put_s:,.0f}/s), "
                f"{self.received_count:,} messages consumed",
            )

    def _outcome(self, *, is_complete: bool) -> DemoOutcome:
        return DemoOutcome(
            events=self.put_count,
            deliveries=self.received_count,
            put_s=self._put_s,
            elapsed_s=time.perf_counter() - self._start_s,
            retries=self._access.retries,
            kills=self.kills,
            is_complete=is_complete,
            rules=tuple(
                compare(rule, self._expected[rule.name], self._received[rule.name])
                for rule in self._rules
            ),
        )


async def _as_coroutine(interfere: Callable[[], Awaitable[None]] | None) -> None:
    if interfere is not None:
        await interfere()
