"""The two kinds of load: a closed loop and an open loop, over one asynchronous step.

- Closed loop: every worker starts its next step when its last one is done. It finds the highest
  throughput; it hides a server's pauses, because nobody asks meanwhile.
- Open loop: steps are due at a fixed rate whatever the server does, and **latency counts from the
  moment a step was due**, not from when a worker got round to it, so a pause shows in every step
  that it delayed.

The one exception: a worker that was waiting for its turn's moment and was woken late by the timer
itself counts from its waking, up to `TIMER_SLACK_S` (event loops sleep in whole milliseconds).
Beyond that the delay is counted in full.

A step that fails is counted as an error and has no latency. `ERRORS_MAX` errors end the run. A step
that has nothing left to work on raises LoadOver: it is not counted, and its worker ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Final, final

import msgspec

from eventcore.bench.client import CallFailed, EndpointUnreachable
from eventcore.bench.histogram import Histogram

__all__ = ["LoadOver", "LoadPlan", "LoadRun", "Step", "run_load"]

ERRORS_MAX: Final = 1_000
TIMER_SLACK_S: Final = 0.002

Step = Callable[[int], Awaitable[int]]
"""Does one operation as worker number n, and returns how many messages it moved."""


class LoadOver(Exception):
    """What the load works on is used up. Raised by a step before it has done anything."""


class LoadPlan(msgspec.Struct, frozen=True):
    """How much load: `workers` at a time, for `duration_s` or until `operations_max`, whichever
    comes first.

    `rate` is operations per second of an open loop; None is a closed loop.
    """

    workers: int
    duration_s: float
    operations_max: int | None = None
    rate: float | None = None


@final
class LoadRun:
    """The counts of a run; readable while it goes on."""

    def __init__(self) -> None:
        self.operations = 0
        self.messages = 0
        self.errors = 0
        self.last_error = ""
        self.elapsed_s = 0.0
        self.latency = Histogram()

    def book_error(self, error: Exception) -> None:
        """Counts a failed step. Raises the error when there were too many."""
        self.errors += 1
        self.last_error = str(error)
        if self.errors >= ERRORS_MAX:
            raise error


async def run_load(step: Step, plan: LoadPlan, run: LoadRun | None = None) -> LoadRun:
    """Runs `step` by all workers until the plan is fulfilled. Counts in `run`, if given."""
    run = run or LoadRun()
    start_s = time.perf_counter()
    workers = _open_workers if plan.rate is not None else _closed_workers
    async with asyncio.TaskGroup() as group:
        for work in workers(step, plan, run, start_s):
            group.create_task(work)
    run.elapsed_s = time.perf_counter() - start_s
    return run


def _closed_workers(
    step: Step, plan: LoadPlan, run: LoadRun, start_s: float
) -> list[Coroutine[None, None, None]]:
    end_s = start_s + plan.duration_s
    left = plan.operations_max if plan.operations_max is not None else -1

    async def work(worker: int) -> None:
        nonlocal left
        with contextlib.suppress(LoadOver):
            while left != 0 and (begin_s := time.perf_counter()) < end_s:
                left -= 1
                await _measured(step, worker, begin_s, run)

    return [work(worker) for worker in range(plan.workers)]


def _open_workers(
    step: Step, plan: LoadPlan, run: LoadRun, start_s: float
) -> list[Coroutine[None, None, None]]:
    assert plan.rate is not None
    interval_s = 1.0 / plan.rate
    due_count = int(plan.duration_s * plan.rate)
    if plan.operations_max is not None:
        due_count = min(due_count, plan.operations_max)
    next_due = 0

    async def work(worker: int) -> None:
        nonlocal next_due
        with contextlib.suppress(LoadOver):
            while next_due < due_count:
                due_s = start_s + next_due * interval_s
                next_due += 1
                await _measured(step, worker, await _until(due_s), run)

    return [work(worker) for worker in range(plan.workers)]


async def _until(due_s: float) -> float:
    """Waits for a moment; returns from when latency counts. See the module's text."""
    wait_s = due_s - time.perf_counter()
    if wait_s <= 0:
        return due_s
    await asyncio.sleep(wait_s)
    woken_s = time.perf_counter()
    return woken_s if woken_s - due_s < TIMER_SLACK_S else due_s


async def _measured(step: Step, worker: int, begin_s: float, run: LoadRun) -> None:
    try:
        messages = await step(worker)
    except (CallFailed, EndpointUnreachable) as error:
        run.book_error(error)
        return
    run.latency.record(int((time.perf_counter() - begin_s) * 1e9))
    run.operations += 1
    run.messages += messages
