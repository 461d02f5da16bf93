"""The workloads: what one operation is, what is set up before, how the ledger is closed after.

Each is a function of one `Bench` that creates what it needs, has the load measured, drains the
queue and returns. The drain is not measured; after it the ledger says whether every acknowledged
message came out, once.

Message groups are those of the ledger, which go round. In a FIFO queue a receive finds nothing
while the groups of all messages are in flight; so its consumers wait a second for one, where those
of a standard queue do not, and what is received is deleted before more of the group is asked for.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Final, final

import msgspec

from eventcore.bench import calls
from eventcore.bench.client import AwsJsonClient, EndpointUnreachable
from eventcore.bench.histogram import Histogram
from eventcore.bench.ledger import Ledger, Mark, mark_text
from eventcore.bench.load import LoadOver, LoadPlan, LoadRun, Step, run_load
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
HOLDING_TIMEOUT_S: Final = 3_600
"""The visibility timeout where handles are kept for later."""
LONG_POLL_S: Final = 20
POLLED_QUEUES_MAX: Final = 100
POLLS_OPENED_AT_A_TIME: Final = 200
POLLS_SETTLE_S: Final = 1.0
PRELOAD_PRODUCER: Final = 9_999
WARMUP_SHARE: Final = 10
"""A warm-up takes at most one part in so many of what was loaded before."""
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
    backlog: int = 0
    polls: int = 10_000
    is_fifo: bool = False
    groups: int = 0
    shards: int = 0
    subscriptions: int = 100


class Cost(msgspec.Struct, frozen=True):
    """CPU of the server (None when unseen) and of this process during the measured time, and the
    server's memory; `children_cpu_s` is what of its CPU the server's child processes used.
    """

    server_cpu_s: float | None
    server_rss_bytes: int | None
    generator_cpu_s: float
    children_cpu_s: float = 0.0


class Outgoing(msgspec.Struct, frozen=True):
    """Messages for one request, with their marks. Ids are as many as bodies, or none."""

    marks: list[Mark]
    bodies: list[str]
    group_ids: Sequence[str] = ()
    deduplication_ids: Sequence[str] = ()


@final
class Bench:
    """One run's context. After the workload returned, `run`, `cost`, `requests`, `operation` and
    `notes` are set.
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
        self.ledger = Ledger(settings.groups, is_fifo=settings.is_fifo)
        self.run = LoadRun()
        self.requests = 0
        self.cost = Cost(None, None, 0.0)
        self.operation = ""
        self.notes: dict[str, float] = {}
        self.progress = progress
        self._tree = tree
        self._padding = "x" * max(0, settings.size_bytes - len(mark_text((0, 0))))
        self._clean_ups: list[Callable[[], Awaitable[None]]] = []

    @property
    def wait_s(self) -> int:
        """How long a consumer waits that expects a message. See the module's text."""
        return 1 if self.settings.is_fifo else 0

    def compose(self, producer: int, count: int) -> Outgoing:
        """New marks, and messages that carry them, with the ids that the queue's kind needs."""
        marks = [self.ledger.issue(producer) for _ in range(count)]
        texts = [mark_text(mark) for mark in marks]
        bodies = [text + self._padding for text in texts]
        if not self.settings.groups:
            return Outgoing(marks, bodies)
        group_ids = [f"group-{self.ledger.group_of(mark)}" for mark in marks]
        return Outgoing(marks, bodies, group_ids, texts if self.settings.is_fifo else ())

    async def send(self, url: str, outgoing: Outgoing) -> None:
        """Sends 1 to 10 messages in one request and books them."""
        group_ids, deduplication_ids = outgoing.group_ids, outgoing.deduplication_ids
        if len(outgoing.bodies) == 1:
            await calls.send(
                self.client,
                url,
                outgoing.bodies[0],
                group_id=group_ids[0] if group_ids else None,
                deduplication_id=deduplication_ids[0] if deduplication_ids else None,
            )
        else:
            await calls.send_batch(
                self.client,
                url,
                outgoing.bodies,
                group_ids=group_ids,
                deduplication_ids=deduplication_ids,
            )
        self.ledger.acknowledge(outgoing.marks)

    async def queue(self, suffix: str = "", *, timeout_s: int = VISIBILITY_TIMEOUT_S) -> str:
        """Creates a queue for this run, deleted in `clean_up`; returns its URL."""
        attributes = {"VisibilityTimeout": str(timeout_s)}
        name = self.name + suffix
        if self.settings.is_fifo:
            name += ".fifo"
            attributes["FifoQueue"] = "true"
        url = await calls.create_queue(self.client, name, attributes)
        self.at_end(lambda: calls.delete_queue(self.client, url))
        return url

    def at_end(self, clean_up: Callable[[], Awaitable[None]]) -> None:
        """Has something undone in `clean_up`, last one first."""
        self._clean_ups.append(clean_up)

    async def clean_up(self) -> None:
        """Undoes what the workload set up."""
        while self._clean_ups:
            await self._clean_ups.pop()()

    async def measure(
        self, operation: str, step: Step, *, warmup_operations_max: int | None = None
    ) -> None:
        """Warms up, then runs the load and takes the costs around it."""
        settings = self.settings
        self.operation = operation
        if settings.warmup_s > 0 and settings.operations_max is None:
            warmup_s = settings.warmup_s
            await run_load(step, LoadPlan(settings.connections, warmup_s, warmup_operations_max))
        plan = LoadPlan(
            workers=settings.connections,
            duration_s=settings.duration_s,
            operations_max=settings.operations_max,
            rate=settings.rate,
        )
        before, own_before_s = self.usage(), time.process_time()
        requests_before = self.client.requests
        reporter = asyncio.create_task(self._report())
        try:
            await run_load(step, plan, self.run)
        finally:
            reporter.cancel()
        self.cost = self.cost_since(before, own_before_s)
        self.requests = self.client.requests - requests_before

    def usage(self) -> Usage | None:
        """The server's CPU and memory now, if it can be seen."""
        return self._tree.usage() if self._tree is not None else None

    def running_s(self) -> float | None:
        """The server's CPU now by the finer clock, if it can be seen: for quiet times."""
        return self._tree.running_s() if self._tree is not None else None

    def cost_since(self, before: Usage | None, own_before_s: float) -> Cost:
        """The costs between an earlier `usage()` and now."""
        after = self.usage()
        generator_cpu_s = time.process_time() - own_before_s
        if before is None or after is None:
            return Cost(None, None, generator_cpu_s)
        return Cost(
            after.cpu_s - before.cpu_s,
            after.rss_bytes,
            generator_cpu_s,
            after.children_cpu_s - before.children_cpu_s,
        )

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

        await _by_workers(self, work)

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
    await bench.send(url, bench.compose(producer, count))
    return count


async def hold(bench: Bench, url: str, *, wait_s: int) -> list[str]:
    """Receives up to 10 and books them; returns their handles, for `let_go`."""
    messages = await calls.receive(bench.client, url, messages_max=BATCH, wait_s=wait_s)
    for message in messages:
        bench.ledger.receive(message.body)
    return [message.receipt_handle for message in messages]


async def let_go(bench: Bench, url: str, held: list[list[str]]) -> None:
    """Deletes what is held, batch by batch."""

    async def work() -> None:
        while held:
            await calls.delete_batch(bench.client, url, held.pop())

    await _by_workers(bench, work)


async def preload(bench: Bench, url: str) -> None:
    """Sends the backlog. Notes its length, and how much memory of the server a message takes."""
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


async def _by_workers(bench: Bench, work: Callable[[], Coroutine[None, None, None]]) -> None:
    """Has something done that is not measured, by a few connections at a time."""
    async with asyncio.TaskGroup() as group:
        for _ in range(min(DRAIN_WORKERS, bench.settings.connections)):
            group.create_task(work())


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
    """Each step takes out as many as it has put in, in as many receives as that takes; fewer only
    when there is nothing to be had.
    """

    async def step(worker: int) -> int:
        sent = left = await put_in(bench, url, worker, count)
        while left and (taken := await take(bench, url, left, wait_s=bench.wait_s)):
            left -= taken
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
        composed = bench.compose(worker, BATCH)
        marks = composed.marks
        entries = [
            _entry(bench, mark, body) for mark, body in zip(marks, composed.bodies, strict=True)
        ]
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
    await preload(bench, url)
    await _measure_cycle(bench, url, 1)
    await bench.drain(url)


async def _receive_batch(bench: Bench) -> None:
    """Receives of 10 from a backlog, until it is used up. The handles are kept until the measured
    time is over; but of a FIFO queue each batch is deleted at once, or its groups would end it.
    """
    settings = bench.settings
    timeout_s = VISIBILITY_TIMEOUT_S if settings.is_fifo else HOLDING_TIMEOUT_S
    url = await bench.queue(timeout_s=timeout_s)
    await preload(bench, url)
    left = settings.backlog
    held: list[list[str]] = []

    async def step(worker: int) -> int:
        nonlocal left
        if left <= 0:
            raise LoadOver
        left -= BATCH
        count = 0
        try:
            if settings.is_fifo:
                count = await take(bench, url, BATCH, wait_s=bench.wait_s)
            elif handles := await hold(bench, url, wait_s=0):
                held.append(handles)
                count = len(handles)
        finally:
            left += BATCH - count
        return count

    operation = f"ReceiveMessage of {BATCH}"
    if settings.is_fifo:
        operation += f" + DeleteMessageBatch of {BATCH} (2 requests)"
    await bench.measure(operation, step, warmup_operations_max=_warmup_operations_max(bench))
    await let_go(bench, url, held)
    await bench.drain(url)


async def _delete_batch(bench: Bench) -> None:
    """Deletes of 10, of messages received before; until all are deleted. A FIFO queue gives out at
    most 10 of each group for that.
    """
    url = await bench.queue(timeout_s=HOLDING_TIMEOUT_S)
    await preload(bench, url)
    left = bench.settings.backlog
    held: list[list[str]] = []

    async def receive_all() -> None:
        nonlocal left
        while left > 0 and (handles := await hold(bench, url, wait_s=1)):
            left -= len(handles)
            held.append(handles)

    await _by_workers(bench, receive_all)
    bench.notes["received_before"] = bench.settings.backlog - left

    async def step(worker: int) -> int:
        if not held:
            raise LoadOver
        handles = held.pop()
        await calls.delete_batch(bench.client, url, handles)
        return len(handles)

    operation = f"DeleteMessageBatch of {BATCH}"
    await bench.measure(operation, step, warmup_operations_max=_warmup_operations_max(bench))
    await let_go(bench, url, held)
    await bench.drain(url)


def _warmup_operations_max(bench: Bench) -> int:
    return bench.settings.backlog // BATCH // WARMUP_SHARE


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
    before, own_before_s, running_s = bench.usage(), time.process_time(), bench.running_s()
    await asyncio.sleep(bench.settings.duration_s)
    after_s = bench.running_s()
    used_s = bench.cost_since(before, own_before_s).server_cpu_s
    if running_s is not None and after_s is not None:
        used_s = after_s - running_s
    bench.notes["polls"] = bench.settings.polls
    if used_s is not None:
        bench.notes["idle_cpu_percent"] = 100 * used_s / bench.settings.duration_s


async def _wake(bench: Bench, urls: list[str], sent_s: dict[str, float]) -> None:
    """One message at a time, queue after queue, for the measured time."""
    bench.operation = f"message to one of {bench.settings.polls} waiting polls"
    run = bench.run
    run.latency = Histogram()
    before, own_before_s, start_s = bench.usage(), time.process_time(), time.perf_counter()
    requests_before = bench.client.requests
    count_max = bench.settings.operations_max or bench.settings.polls
    while run.operations < count_max and time.perf_counter() - start_s < bench.settings.duration_s:
        number = run.operations % len(urls)
        outgoing = bench.compose(number, 1)
        sent_s[outgoing.bodies[0]] = time.perf_counter()
        await bench.send(urls[number], outgoing)
        run.operations += 1
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(DRAIN_STALLED_S):
            while run.messages < run.operations:  # noqa: ASYNC110  the polls are many
                await asyncio.sleep(0.01)
    run.elapsed_s = time.perf_counter() - start_s
    bench.cost = bench.cost_since(before, own_before_s)
    bench.requests = bench.client.requests - requests_before


class Workload(msgspec.Struct, frozen=True):
    """A workload by name; `connections(settings)` is how many it needs. `backlog` is the length of
    its backlog where none is asked for, and 0 if it has none; `shards` is the same of a stream's
    shards; `has_groups` says whether its messages can have message groups.
    """

    title: str
    run: Callable[[Bench], Awaitable[None]]
    connections: Callable[[BenchSettings], int] = lambda settings: settings.connections
    backlog: int = 0
    has_groups: bool = True
    shards: int = 0


WORKLOADS: Final[dict[str, Workload]] = {
    "send": Workload("SendMessage", lambda bench: _send(bench, 1)),
    "send-batch": Workload("SendMessageBatch of 10", lambda bench: _send(bench, BATCH)),
    "cycle": Workload("send, receive, delete one message", lambda bench: _cycle(bench, 1)),
    "cycle-batch": Workload("the same with 10", lambda bench: _cycle(bench, BATCH)),
    "receive-batch": Workload(
        "ReceiveMessage of 10 from --backlog messages", _receive_batch, backlog=50_000
    ),
    "delete-batch": Workload(
        "DeleteMessageBatch of 10 of --backlog messages", _delete_batch, backlog=50_000
    ),
    "put-events": Workload("PutEvents of 10 through --rules rules", _put_events, has_groups=False),
    "mixed": Workload("half the connections send, half receive", _mixed),
    "backlog": Workload("cycle in front of --backlog messages", _backlog, backlog=1_000),
    "long-poll": Workload(
        "--polls idle long polls, then wake-ups", _long_poll, lambda settings: settings.polls + 2
    ),
}
"""The workloads on queues by name; `stream_workloads` has those on streams."""
