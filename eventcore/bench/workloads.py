"""The workloads: what one operation is, what is set up before, how the ledger is closed after.

Each is a function of one `Bench` that creates what it needs, has the load measured, drains the
queue and returns. The drain is not measured; after it the ledger says whether every acknowledged
message came out, once.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from typing import Final, final

import msgspec

from eventcore.bench import calls
from eventcore.bench.client import AwsJsonClient, EndpointUnreachable
from eventcore.bench.histogram import Histogram
from eventcore.bench.ledger import Ledger, Mark, mark_text
from eventcore.bench.load import LoadPlan, LoadRun, Step, run_load
from eventcore.bench.process_usage import ProcessTree, Usage
from eventcore.bench.progress import Progress
from eventcore.codec import encode_json

__all__ = ["WORKLOADS", "Bench", "BenchSettings", "Cost", "Workload"]

BATCH: Final = 10
DRAIN_WORKERS: Final = 8
DRAIN_STALLED_S: Final = 45.0
"""A drain ends without its messages when none came for so long; a bit more than a visibility
timeout.
"""
VISIBILITY_TIMEOUT_S: Final = 30
LONG_POLL_S: Final = 20
POLLED_QUEUES_MAX: Final = 100
POLLS_OPENED_AT_A_TIME: Final = 200
POLLS_SETTLE_S: Final = 1.0
PRELOAD_PRODUCER: Final = 9_999
PROGRESS_S: Final = 0.2


class BenchSettings(msgspec.Struct, frozen=True):
    """What the command line may say about a run. Sizes in bytes, times in seconds."""

    connections: int = 16
    duration_s: float = 5.0
    warmup_s: float = 0.5
    operations_max: int | None = None
    rate: float | None = None
    size_bytes: int = 256
    rules: int = 10
    backlog: int = 1_000
    polls: int = 10_000


class Cost(msgspec.Struct, frozen=True):
    """CPU of the server (None when unseen) and of this process during the measured time, and the
    server's memory.
    """

    server_cpu_s: float | None
    server_rss_bytes: int | None
    generator_cpu_s: float


@final
class Bench:
    """One run's context. After the workload returned, `run`, `cost`, `operation` and `notes` are
    set.
    """

    def __init__(
        self,
        client: AwsJsonClient,
        settings: BenchSettings,
        name: str,
        tree: ProcessTree | None,
        progress: Progress,
    ) -> None:
        self.client = client
        self.settings = settings
        self.name = name
        self.ledger = Ledger()
        self.run = LoadRun()
        self.cost = Cost(None, None, 0.0)
        self.operation = ""
        self.notes: dict[str, float] = {}
        self.progress = progress
        self._tree = tree
        self._padding = "x" * max(0, settings.size_bytes - len(mark_text((0, 0))))
        self._clean_ups: list[Callable[[], Awaitable[None]]] = []

    def bodies(self, producer: int, count: int) -> tuple[list[Mark], list[str]]:
        """New marks, and message bodies that carry them."""
        marks = [self.ledger.issue(producer) for _ in range(count)]
        return marks, [mark_text(mark) + self._padding for mark in marks]

    async def queue(self, suffix: str = "") -> str:
        """Creates a queue for this run, deleted in `clean_up`; returns its URL."""
        attributes = {"VisibilityTimeout": str(VISIBILITY_TIMEOUT_S)}
        url = await calls.create_queue(self.client, self.name + suffix, attributes)
        self.at_end(lambda: calls.delete_queue(self.client, url))
        return url

    def at_end(self, clean_up: Callable[[], Awaitable[None]]) -> None:
        """Has something undone in `clean_up`, last one first."""
        self._clean_ups.append(clean_up)

    async def clean_up(self) -> None:
        """Undoes what the workload set up."""
        while self._clean_ups:
            await self._clean_ups.pop()()

    async def measure(self, operation: str, step: Step) -> None:
        """Warms up, then runs the load and takes the costs around it."""
        settings = self.settings
        self.operation = operation
        if settings.warmup_s > 0 and settings.operations_max is None:
            await run_load(step, LoadPlan(settings.connections, settings.warmup_s))
        plan = LoadPlan(
            workers=settings.connections,
            duration_s=settings.duration_s,
            operations_max=settings.operations_max,
            rate=settings.rate,
        )
        before, own_before_s = self.usage(), time.process_time()
        reporter = asyncio.create_task(self._report())
        try:
            await run_load(step, plan, self.run)
        finally:
            reporter.cancel()
        self.cost = self.cost_since(before, own_before_s)

    def usage(self) -> Usage | None:
        """The server's CPU and memory now, if it can be seen."""
        return self._tree.usage() if self._tree is not None else None

    def cost_since(self, before: Usage | None, own_before_s: float) -> Cost:
        """The costs between an earlier `usage()` and now."""
        after = self.usage()
        generator_cpu_s = time.process_time() - own_before_s
        if before is None or after is None:
            return Cost(None, None, generator_cpu_s)
        return Cost(after.cpu_s - before.cpu_s, after.rss_bytes, generator_cpu_s)

    async def drain(self, url: str) -> None:
        """Receives and deletes until the queue is empty. Stops when nothing comes any more."""
        last_s = time.monotonic()

        async def work() -> None:
            nonlocal last_s
            while time.monotonic() - last_s < DRAIN_STALLED_S:
                if await take(self, url, BATCH, wait_s=0):
                    last_s = time.monotonic()
                elif (await calls.queue_depth(self.client, url)).total == 0:
                    return
                else:
                    await take(self, url, BATCH, wait_s=1)

        async with asyncio.TaskGroup() as group:
            for _ in range(min(DRAIN_WORKERS, self.settings.connections)):
                group.create_task(work())

    async def _report(self) -> None:
        start_s = time.perf_counter()
        while True:
            await asyncio.sleep(PROGRESS_S)
            elapsed_s = time.perf_counter() - start_s
            rate = self.run.operations / elapsed_s
            self.progress.update(elapsed_s, f"{self.run.operations:,} operations ({rate:,.0f}/s)")


async def take(bench: Bench, url: str, messages_max: int, *, wait_s: int) -> int:
    """Receives, books and deletes; returns how many messages."""
    messages = await calls.receive(bench.client, url, messages_max=messages_max, wait_s=wait_s)
    for message in messages:
        bench.ledger.receive(message.body)
    if len(messages) == 1:
        await calls.delete_message(bench.client, url, messages[0].receipt_handle)
    elif messages:
        handles = [message.receipt_handle for message in messages]
        await calls.delete_batch(bench.client, url, handles)
    return len(messages)


async def put_in(bench: Bench, url: str, producer: int, count: int) -> int:
    """Sends `count` (1 to 10) messages in one request and books them; returns `count`."""
    marks, bodies = bench.bodies(producer, count)
    if count == 1:
        await calls.send(bench.client, url, bodies[0])
    else:
        await calls.send_batch(bench.client, url, bodies)
    bench.ledger.acknowledge(marks)
    return count


async def _send(bench: Bench, count: int) -> None:
    url = await bench.queue()
    operation = "SendMessage" if count == 1 else f"SendMessageBatch of {count}"
    await bench.measure(operation, lambda worker: put_in(bench, url, worker, count))
    await bench.drain(url)


async def _cycle(bench: Bench, count: int) -> None:
    url = await bench.queue()
    await _measure_cycle(bench, url, count)
    await bench.drain(url)


async def _measure_cycle(bench: Bench, url: str, count: int) -> None:
    async def step(worker: int) -> int:
        sent = await put_in(bench, url, worker, count)
        await take(bench, url, count, wait_s=0)
        return sent

    await bench.measure(f"send + receive + delete of {count} (3 requests)", step)


async def _put_events(bench: Bench) -> None:
    """Every event matches one of the rules; all rules have the same queue, so each comes once."""
    url = await bench.queue()
    arn = await calls.queue_arn(bench.client, url)
    await calls.create_bus(bench.client, bench.name)
    bench.at_end(lambda: calls.delete_bus(bench.client, bench.name))
    for number in range(bench.settings.rules):
        await _rule(bench, number, arn)

    async def step(worker: int) -> int:
        marks, bodies = bench.bodies(worker, BATCH)
        entries = [_entry(bench, mark, body) for mark, body in zip(marks, bodies, strict=True)]
        refused = set(await calls.put_events(bench.client, entries))
        bench.ledger.acknowledge(m for index, m in enumerate(marks) if index not in refused)
        return BATCH - len(refused)

    await bench.measure(f"PutEvents of {BATCH}, {bench.settings.rules} rules", step)
    await bench.drain(url)


async def _rule(bench: Bench, number: int, target_arn: str) -> None:
    name = f"{bench.name}-{number}"
    pattern = encode_json({"source": ["bench"], "detail": {"kind": [f"kind-{number}"]}}).decode()
    await calls.put_rule(bench.client, bench.name, name, pattern, target_arn)
    bench.at_end(lambda: calls.delete_rule(bench.client, bench.name, name))


def _entry(bench: Bench, mark: Mark, body: str) -> dict[str, str]:
    kind = f"kind-{mark[1] % bench.settings.rules}"
    return {
        "Source": "bench",
        "DetailType": "Load",
        "EventBusName": bench.name,
        "Detail": encode_json({"kind": kind, "body": body}).decode(),
    }


async def _mixed(bench: Bench) -> None:
    """Even workers send, odd ones receive up to 10 and delete them."""
    url = await bench.queue()

    async def step(worker: int) -> int:
        if worker % 2 == 0:
            return await put_in(bench, url, worker, 1)
        return await take(bench, url, BATCH, wait_s=1)

    await bench.measure("SendMessage by half, receive + delete by half", step)
    await bench.drain(url)


async def _backlog(bench: Bench) -> None:
    """The full cycle of one message in front of a backlog; compare it at several depths."""
    url = await bench.queue()
    before = bench.usage()
    left = bench.settings.backlog

    async def fill(producer: int) -> None:
        nonlocal left
        while left > 0:
            count = min(BATCH, left)
            left -= count
            await put_in(bench, url, producer, count)

    async with asyncio.TaskGroup() as group:
        for number in range(bench.settings.connections):
            group.create_task(fill(PRELOAD_PRODUCER - number))
    bench.notes["backlog"] = bench.settings.backlog
    after = bench.usage()
    if before is not None and after is not None and bench.settings.backlog:
        grown_bytes = after.rss_bytes - before.rss_bytes
        bench.notes["bytes_per_message"] = grown_bytes / bench.settings.backlog
    await _measure_cycle(bench, url, 1)
    await bench.drain(url)


async def _long_poll(bench: Bench) -> None:
    """Many idle long polls: their cost while nothing comes, and how fast a message wakes one."""
    polls = bench.settings.polls
    urls = [await bench.queue(f"-{number}") for number in range(min(POLLED_QUEUES_MAX, polls))]
    sent_s: dict[str, float] = {}
    end = asyncio.Event()
    tasks: list[asyncio.Task[None]] = []
    try:
        for first in range(0, polls, POLLS_OPENED_AT_A_TIME):
            for number in range(first, min(first + POLLS_OPENED_AT_A_TIME, polls)):
                url = urls[number % len(urls)]
                tasks.append(asyncio.create_task(_poll(bench, url, sent_s, end)))
            await asyncio.sleep(0.1)
        await asyncio.sleep(POLLS_SETTLE_S)
        await _idle(bench)
        await _wake(bench, urls, sent_s)
    finally:
        end.set()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for url in urls:
        await bench.drain(url)


async def _poll(bench: Bench, url: str, sent_s: dict[str, float], end: asyncio.Event) -> None:
    while not end.is_set():
        try:
            messages = await calls.receive(bench.client, url, messages_max=1, wait_s=LONG_POLL_S)
        except EndpointUnreachable as error:
            bench.run.book_error(error)
            continue
        now_s = time.perf_counter()
        for message in messages:
            bench.ledger.receive(message.body)
            bench.run.latency.record(int((now_s - sent_s[message.body]) * 1e9))
            bench.run.messages += 1
            await calls.delete_message(bench.client, url, message.receipt_handle)


async def _idle(bench: Bench) -> None:
    before, own_before_s = bench.usage(), time.process_time()
    await asyncio.sleep(bench.settings.duration_s)
    cost = bench.cost_since(before, own_before_s)
    bench.notes["polls"] = bench.settings.polls
    if cost.server_cpu_s is not None:
        share = cost.server_cpu_s / bench.settings.duration_s
        bench.notes["idle_cpu_percent"] = 100 * share


async def _wake(bench: Bench, urls: list[str], sent_s: dict[str, float]) -> None:
    """One message at a time, queue after queue, for the measured time."""
    bench.operation = f"message to one of {bench.settings.polls} waiting polls"
    run = bench.run
    run.latency = Histogram()
    before, own_before_s, start_s = bench.usage(), time.process_time(), time.perf_counter()
    count_max = bench.settings.operations_max or bench.settings.polls
    while run.operations < count_max and time.perf_counter() - start_s < bench.settings.duration_s:
        number = run.operations % len(urls)
        marks, bodies = bench.bodies(number, 1)
        sent_s[bodies[0]] = time.perf_counter()
        await calls.send(bench.client, urls[number], bodies[0])
        bench.ledger.acknowledge(marks)
        run.operations += 1
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(DRAIN_STALLED_S):
            while run.messages < run.operations:  # noqa: ASYNC110  the polls are many
                await asyncio.sleep(0.01)
    run.elapsed_s = time.perf_counter() - start_s
    bench.cost = bench.cost_since(before, own_before_s)


class Workload(msgspec.Struct, frozen=True):
    """A workload by name; `connections(settings)` is how many it needs."""

    title: str
    run: Callable[[Bench], Awaitable[None]]
    connections: Callable[[BenchSettings], int] = lambda settings: settings.connections


WORKLOADS: Final[dict[str, Workload]] = {
    "send": Workload("SendMessage", lambda bench: _send(bench, 1)),
    "send-batch": Workload("SendMessageBatch of 10", lambda bench: _send(bench, BATCH)),
    "cycle": Workload("send, receive, delete one message", lambda bench: _cycle(bench, 1)),
    "cycle-batch": Workload("the same with 10", lambda bench: _cycle(bench, BATCH)),
    "put-events": Workload("PutEvents of 10 through --rules rules", _put_events),
    "mixed": Workload("half the connections send, half receive", _mixed),
    "backlog": Workload("cycle in front of --backlog messages", _backlog),
    "long-poll": Workload(
        "--polls idle long polls, then wake-ups", _long_poll, lambda settings: settings.polls + 2
    ),
}
"""All workloads by name."""
