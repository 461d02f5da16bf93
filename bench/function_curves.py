"""What an invocation costs against sizes that should not matter: how many functions there are, idle
mappings, reserved functions, events that wait; and what idle mappings cost by themselves.

CPU of the engine's process, committing inline, durability full, in rounds in which all sizes of a
curve take turns: `invoke` of a callable of the program, `invoke_later` from the call to the
report, and a message from `send_many` through a mapping of batch 10 to its deletion. CPU µs of an
operation are CPU ms of 1,000.
"""

from __future__ import annotations

import asyncio
import gc
import os
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from statistics import median
from typing import Any, Final

import eventcore
from bench.function_load import Rounds, durable, opened, until
from bench.stream_figures import Curve, Results
from bench.stream_load import clock, say
from eventcore.arn import queue_arn, stream_arn
from eventcore.bench.process_usage import ProcessTree
from eventcore.functions.async_events import AsyncEvent
from eventcore.functions.function_spec import KIND_LOCAL, FunctionConfig
from eventcore.limits import Quotas
from eventcore.mappings.mapping_spec import MappingSpec
from eventcore.queues.queue_spec import QueueSpec
from eventcore.runtime.broker import Broker
from eventcore.runtime.handles import Queue
from eventcore.runtime.local_functions import LocalFunction
from eventcore.streams.stream_spec import StreamSpec

__all__ = ["measure_curves", "measure_idle"]

COUNT: Final = 500
TOGETHER: Final = 50
MADE_AT_ONCE: Final = 500
IDLE_MAPPINGS: Final = 1_000
IDLE_SHARE: Final = 2
"""One of so many idle mappings is of a stream."""
STREAMS_MAPPED: Final = 50
SETTLE_S: Final = 0.5
TARGET: Final = "target"
CONFIG: Final = FunctionConfig(kind=KIND_LOCAL, timeout_ms=1_000)


@dataclass
class Bench:
    """A broker with a function that counts, and a queue that is mapped to it."""

    broker: Broker
    queue: Queue
    handled: int = 0
    spread: list[str] = field(default_factory=list)
    """Functions to invoke in turn."""

    async def handle(self, event: Any, context: Any) -> None:
        """The handler of all functions."""
        self.handled += len(event["Records"]) if event else 1


Operation = Callable[[Bench], Awaitable[None]]


async def _invoke(bench: Bench) -> None:
    names = bench.spread
    for first in range(0, COUNT, TOGETHER):
        await asyncio.gather(
            *(
                bench.broker.functions.invoke(names[number % len(names)])
                for number in range(first, first + TOGETHER)
            )
        )


async def _invoke_later(bench: Bench) -> None:
    wanted = bench.handled + COUNT
    names = bench.spread
    for first in range(0, COUNT, TOGETHER):
        await asyncio.gather(
            *(
                bench.broker.functions.invoke_later(names[number % len(names)])
                for number in range(first, first + TOGETHER)
            )
        )
    await until(lambda: bench.handled >= wanted)


async def _message(bench: Bench) -> None:
    wanted = bench.handled + COUNT
    for _ in range(0, COUNT, TOGETHER):
        await bench.queue.send_many(["x" * 256] * TOGETHER)
    await until(lambda: bench.handled >= wanted)


OPERATIONS: Final[Mapping[str, Operation]] = {
    "invoke": _invoke,
    "invoke_later": _invoke_later,
    "a message through a mapping": _message,
}


async def measure_curves(results: Results, rounds: int, sizes: tuple[int, ...]) -> None:
    """All curves, each with all operations."""
    for against, prepare in PREPARE.items():
        say(f"curves: {against}")
        async with AsyncExitStack() as stack:
            made = {}
            for size in sizes:
                made[size] = await _bench(stack, size, prepare, against)
            await _curve(results, against, made, rounds)
        gc.collect()
    await _backlog(results, rounds, sizes)


async def _bench(stack: AsyncExitStack, size: int, prepare: Prepare, against: str) -> Bench:
    quotas = None
    if against.startswith("reserved"):
        quotas = Quotas(function_concurrency_max=2 * size + 1_000)
    broker = await stack.enter_async_context(opened("inline", quotas=quotas))
    bench = Bench(broker, await broker.create_queue("bench"), spread=[TARGET])
    broker.function(TARGET)(bench.handle)
    broker.map(bench.queue, "mapped")(bench.handle)
    await prepare(bench, size)
    await stack.enter_async_context(broker.running())
    await broker.engine.mappings.at_rest()
    return bench


async def _curve(results: Results, against: str, made: Mapping[int, Bench], rounds: int) -> None:
    costs: dict[str, dict[int, list[float]]] = {
        name: {size: [] for size in made} for name in OPERATIONS
    }
    for number in range(rounds + 1):
        for name, operation in OPERATIONS.items():
            for size, bench in made.items():
                with clock() as spent:
                    await operation(bench)
                await asyncio.sleep(0.01)  # reports, settlements
                if number:  # the first round warms up
                    costs[name][size].append(spent.cpu_s / COUNT * 1e6)
    for name, by_size in costs.items():
        points = tuple((size, median(values)) for size, values in by_size.items())
        results.curves.append(Curve(name, against, points))


# What there is besides


async def _functions(bench: Bench, size: int) -> None:
    """All of them are invoked in turn."""
    names = [f"other-{number}" for number in range(size)]
    await _create(bench, names)
    for name in names:
        bench.broker.engine.functions.register(bench.broker.functions.arn(name), _local(bench))
    bench.spread = names


async def _reserved(bench: Bench, size: int) -> None:
    """Each has one invocation at a time for itself; the account's quota is asked each time."""
    await _create(bench, [f"other-{number}" for number in range(size)], reserved=1)


async def _waiting(bench: Bench, size: int) -> None:
    """Events of a function that nobody runs."""
    await _create(bench, ["stalled"])
    await _enqueue(bench.broker, "stalled", size)


async def _mappings(bench: Bench, size: int) -> None:
    await _create(bench, ["idle"])
    bench.broker.engine.functions.register(bench.broker.functions.arn("idle"), _local(bench))
    await _map(bench.broker, size, size)


Prepare = Callable[[Bench, int], Awaitable[None]]
PREPARE: Final[Mapping[str, Prepare]] = {
    "functions": _functions,
    "idle mappings": _mappings,
    "reserved functions": _reserved,
    "events that wait for another function": _waiting,
}


def _local(bench: Bench) -> LocalFunction:
    return LocalFunction(bench.handle, bench.broker.engine.clock, is_async=True)


async def _create(bench: Bench, names: list[str], reserved: int | None = None) -> None:
    engine = bench.broker.engine
    for first in range(0, len(names), MADE_AT_ONCE):
        engine.begin()
        for name in names[first : first + MADE_AT_ONCE]:
            function = engine.functions.create(bench.broker.functions.arn(name), CONFIG, None)
            if reserved is not None:
                engine.functions.run(function, function.set_reserved(reserved))
        await durable(bench.broker)


async def _enqueue(broker: Broker, name: str, count: int) -> None:
    engine = broker.engine
    for first in range(0, count, MADE_AT_ONCE):
        engine.begin()
        function = engine.functions.find(broker.functions.arn(name))
        for _ in range(min(MADE_AT_ONCE, count - first)):
            engine.functions.invoke_later(function, AsyncEvent("{}"))
        await durable(broker)


async def _map(broker: Broker, count: int, queues: int) -> None:
    """`count` mappings to the function "idle"; the first `queues` of queues of their own, the rest
    of STREAMS_MAPPED streams, where each has a function of its own.
    """
    engine, account, region = broker.engine, broker.account, broker.region
    idle = broker.functions.arn("idle")
    for first in range(0, count, MADE_AT_ONCE):
        engine.begin()
        for number in range(first, min(first + MADE_AT_ONCE, count)):
            if number < queues:
                source = queue_arn(account, region, f"idle-{number}")
                engine.create_queue(source, QueueSpec())
                spec = MappingSpec(source_arn=source, function_arn=idle)
            else:
                source = stream_arn(account, region, f"idle-{number % STREAMS_MAPPED}")
                if engine.find(source) is None:
                    engine.streams.create(source, StreamSpec(), 1)
                name = broker.functions.arn(f"idle-{number}")
                engine.functions.create(name, CONFIG, None)
                spec = MappingSpec(source_arn=source, function_arn=name, starting_position="LATEST")
            engine.mappings.create(account, region, spec)
        await durable(broker)


# Backlogs


async def _backlog(results: Results, rounds: int, sizes: tuple[int, ...]) -> None:
    """What one of the events that wait costs, and one of the messages, by their number."""
    say("curves: backlogs")
    events: dict[int, list[float]] = {max(size, COUNT): [] for size in sizes}
    messages: dict[int, list[float]] = {size: [] for size in events}
    for number in range(rounds + 1):
        for (size, of_events), of_messages in zip(events.items(), messages.values(), strict=True):
            event_us, message_us = await _drain_events(size), await _drain_messages(size)
            if number:
                of_events.append(event_us)
                of_messages.append(message_us)
    for name, costs in (("an event", events), ("a message", messages)):
        points = tuple((size, median(values)) for size, values in costs.items())
        results.curves.append(Curve(f"{name} of a backlog", "its length", points))


async def _drain_events(count: int) -> float:
    async with opened("inline") as broker:
        bench = Bench(broker, await broker.create_queue("bench"))
        await _create(bench, [TARGET])
        await _enqueue(broker, TARGET, count)
        with clock() as spent:
            broker.engine.functions.register(broker.functions.arn(TARGET), _local(bench))
            await until(lambda: bench.handled >= count)
    return spent.cpu_s / count * 1e6


async def _drain_messages(count: int) -> float:
    async with opened("inline") as broker:
        bench = Bench(broker, await broker.create_queue("bench"))
        for _ in range(0, count, TOGETHER):
            await bench.queue.send_many(["x" * 256] * TOGETHER)
        broker.map(bench.queue, "mapped")(bench.handle)
        with clock() as spent:
            async with broker.running():
                await until(lambda: bench.handled >= count)
    return spent.cpu_s / count * 1e6


# Idle


async def measure_idle(results: Results, rounds: int, seconds: float) -> None:
    """CPU of a program with 1,000 mappings, half of them of streams, while nothing comes."""
    figures = Rounds("idle")
    for _ in range(rounds):
        for count in (0, IDLE_MAPPINGS):
            async with eventcore.open() as broker:
                bench = Bench(broker, await broker.create_queue("bench"))
                await _create(bench, ["idle"])
                await _map(broker, count, count // IDLE_SHARE)
                await _run_all(bench)
                await broker.engine.mappings.at_rest()
                await asyncio.sleep(SETTLE_S)
                figures.add(f"{count:,} mappings", "% of a core", await _idle_percent(seconds))
    results.figures += figures.figures()


async def _run_all(bench: Bench) -> None:
    engine = bench.broker.engine
    engine.begin()
    arns = [f.arn for f in engine.functions.all_of(bench.broker.account, bench.broker.region)]
    await durable(bench.broker)
    for arn in arns:
        engine.functions.register(arn, _local(bench))


async def _idle_percent(seconds: float) -> float:
    tree = ProcessTree.of(os.getpid())
    before_s = tree.running_s() if tree else None
    own_before_s, began_s = time.process_time(), time.perf_counter()
    await asyncio.sleep(seconds)
    elapsed_s = time.perf_counter() - began_s
    after_s = tree.running_s() if tree else None
    if before_s is None or after_s is None:
        return 100 * (time.process_time() - own_before_s) / elapsed_s
    return 100 * (after_s - before_s) / elapsed_s
