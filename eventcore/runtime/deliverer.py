"""The deliverer: takes what outboxes hold to the outside, and tells them what became of it.

Rules of this file:

- It acts on durable facts only: the driver hands out an attempt after the commit of all that it
  tells. An attempt that was not reported when the process ends is made again: at least once.
- One lane per target, a lane per outbox. A lane has one open `Target` and at most `concurrency_max`
  attempts at a time; it sleeps until it is woken by a commit, by a due retry, or by a freed place.
- Every attempt has a timeout and can be cancelled. Its end is reported until the engine has taken
  the report: an attempt that nobody ends would keep its delivery for ever.
- `drain` hands out nothing more, lets attempts finish within its time, breaks off the rest and
  gives those deliveries back; their attempts do not count.
- A foreign exception becomes a `DeliveryFailure` here and nowhere else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Protocol, final

from eventcore import limits
from eventcore.connect import Target
from eventcore.errors import (
    BrokerClosed,
    InvalidParameter,
    PermanentDelivery,
    RetryableDelivery,
    StoreError,
)
from eventcore.outboxes.dead_letter import SDK_CLIENT_ERROR, DeliveryFailure
from eventcore.outboxes.outbox import Attempt
from eventcore.runtime.connectors import Connectors
from eventcore.runtime.telemetry import logger_of

__all__ = ["Deliverer", "OutboxDriver"]

CONCURRENCY_MAX_DEFAULT: Final = 16
TIMEOUT_MS_DEFAULT: Final = 30_000
REPORT_PAUSE_MS_FIRST: Final = 50
REPORT_PAUSE_MS_MAX: Final = 2_000

log = logger_of("eventcore.deliverer")


class OutboxDriver(Protocol):
    """What the deliverer needs of the engine. `target_arn` names the outbox. All may raise
    StoreError (then they are called again) and BrokerClosed.
    """

    async def due(self, target_arn: str, limit: int) -> Sequence[Attempt]:
        """`Outbox.due`, after the commit of what it tells; empty when the outbox is gone."""
        ...

    async def settled(self, target_arn: str, attempt: Attempt) -> None:
        """`Outbox.settle`."""
        ...

    async def failed(
        self,
        target_arn: str,
        attempt: Attempt,
        failure: DeliveryFailure,
        retry_after_ms: int | None,
    ) -> None:
        """`Outbox.retry`."""
        ...

    async def rejected(self, target_arn: str, attempt: Attempt, failure: DeliveryFailure) -> None:
        """`Outbox.fail`."""
        ...

    async def released(self, target_arn: str, attempt: Attempt) -> None:
        """`Outbox.release`."""
        ...

    async def sleep(self, duration_ms: int) -> None:
        """Waits on the engine's clock."""
        ...


@final
class Deliverer:
    """Delivers from all outboxes of one engine. Belongs to one event loop; `drain` ends it."""

    def __init__(
        self,
        driver: OutboxDriver,
        connectors: Connectors,
        *,
        concurrency_max: int = CONCURRENCY_MAX_DEFAULT,
        timeout_ms: int = TIMEOUT_MS_DEFAULT,
    ) -> None:
        """`concurrency_max` attempts per target at a time, each for `timeout_ms` at the most."""
        assert concurrency_max > 0 and timeout_ms > 0
        self._driver = driver
        self._connectors = connectors
        self._concurrency_max = concurrency_max
        self._timeout_ms = timeout_ms
        self._lanes: dict[str, _Lane] = {}
        self._closing: set[asyncio.Task[None]] = set()
        self._is_draining = False

    def wake(self, target_arn: str) -> None:
        """There may be something to deliver to this target: called after a commit that put rows of
        its outbox, and when `Outbox.has_ready` after a tick. Never waits.
        """
        if self._is_draining:
            return
        lane = self._lanes.get(target_arn)
        if lane is None or lane.is_dead:
            if len(self._lanes) >= limits.DELIVERY_LANES_MAX:
                self._close_an_idle_lane()
            lane = self._lanes[target_arn] = _Lane(
                target_arn,
                self._driver,
                self._connectors,
                self._concurrency_max,
                self._timeout_ms,
            )
        lane.wake()

    def _close_an_idle_lane(self) -> None:
        for target_arn, lane in self._lanes.items():
            if lane.is_idle:
                task = lane.cancel()
                self._closing.add(task)
                task.add_done_callback(self._closing.discard)
                del self._lanes[target_arn]
                return
        log.warning("delivery_lanes_over_bound", lanes=len(self._lanes))

    async def drain(self, timeout_ms: int) -> None:
        """Ends: waits for running attempts, breaks off those that take longer than `timeout_ms`,
        closes all targets. May be called twice. When cancelled, breaks off at once.
        """
        self._is_draining = True
        lanes = list(self._lanes.values())
        self._lanes.clear()
        if lanes:
            await asyncio.gather(*(lane.drain(timeout_ms) for lane in lanes))
        if self._closing:
            await asyncio.wait(list(self._closing))

    @property
    def attempts(self) -> int:
        """Attempts that run now, over all targets."""
        return sum(lane.attempts for lane in self._lanes.values())


@final
class _Lane:
    """The deliveries to one target: a task that hands out, and one task per attempt."""

    def __init__(
        self,
        target_arn: str,
        driver: OutboxDriver,
        connectors: Connectors,
        concurrency_max: int,
        timeout_ms: int,
    ) -> None:
        self._target_arn = target_arn
        self._driver = driver
        self._connectors = connectors
        self._concurrency_max = concurrency_max
        self._timeout_ms = timeout_ms
        self._target: Target | None = None
        self._opening = asyncio.Lock()
        self._is_woken = asyncio.Event()
        self._running: dict[asyncio.Task[None], Attempt] = {}
        self._task = asyncio.get_running_loop().create_task(self._run())

    @property
    def attempts(self) -> int:
        return len(self._running)

    @property
    def is_idle(self) -> bool:
        return not self._running and not self._is_woken.is_set()

    def wake(self) -> None:
        self._is_woken.set()

    @property
    def is_dead(self) -> bool:
        return self._task.done() and not self._running

    def cancel(self) -> asyncio.Task[None]:
        """Ends an idle lane; the task that it gives closes its target."""
        self._task.cancel()
        return self._task

    async def _run(self) -> None:
        try:
            while True:
                await self._is_woken.wait()
                self._is_woken.clear()
                await self._hand_out()
        except BrokerClosed:
            pass
        except Exception:
            log.exception("lane_failed", target=self._target_arn)  # the next wake makes a new one
        finally:
            if not self._running:
                await self._close_target()

    async def _hand_out(self) -> None:
        pause_ms = REPORT_PAUSE_MS_FIRST
        while (free := self._concurrency_max - len(self._running)) > 0:
            try:
                attempts = await self._driver.due(self._target_arn, free)
            except StoreError:
                await self._driver.sleep(pause_ms)
                pause_ms = min(2 * pause_ms, REPORT_PAUSE_MS_MAX)
                continue
            if not attempts:
                return
            for attempt in attempts:
                task = asyncio.get_running_loop().create_task(self._serve(attempt))
                self._running[task] = attempt
                task.add_done_callback(self._served)

    def _served(self, task: asyncio.Task[None]) -> None:
        self._running.pop(task, None)
        self._is_woken.set()
        if not task.cancelled() and task.exception() is not None:
            log.error("attempt_not_reported", target=self._target_arn, error=str(task.exception()))

    # One attempt

    async def _serve(self, attempt: Attempt) -> None:
        driver, target_arn = self._driver, self._target_arn
        failure: DeliveryFailure
        try:
            async with asyncio.timeout(self._timeout_ms / 1000):
                target = await self._opened()
                await target.deliver(attempt.delivery)
        except (PermanentDelivery, InvalidParameter) as error:
            # InvalidParameter: the connector does not take this URL.
            cause = error.cause if isinstance(error, PermanentDelivery) else str(error)
            failure = DeliveryFailure(SDK_CLIENT_ERROR, cause)
            await self._report(lambda: driver.rejected(target_arn, attempt, failure))
        except RetryableDelivery as error:
            code = "INTERNAL_ERROR" if error.retry_after_ms is None else "THROTTLING"
            after_ms = error.retry_after_ms
            failure = DeliveryFailure(code, error.cause)
            await self._report(lambda: driver.failed(target_arn, attempt, failure, after_ms))
        except TimeoutError:
            failure = DeliveryFailure("TIMEOUT", f"no answer within {self._timeout_ms} ms")
            await self._report(lambda: driver.failed(target_arn, attempt, failure, None))
        except Exception as error:  # noqa: BLE001  (a connector's bug is the target's failure)
            log.warning("attempt_failed", target=target_arn, error=repr(error))
            failure = DeliveryFailure("INTERNAL_ERROR", f"{type(error).__name__}: {error}")
            await self._report(lambda: driver.failed(target_arn, attempt, failure, None))
        else:
            await self._report(lambda: driver.settled(target_arn, attempt))

    async def _report(self, report: Callable[[], Awaitable[None]]) -> None:
        pause_ms = REPORT_PAUSE_MS_FIRST
        while True:
            try:
                await report()
            except StoreError as error:
                log.warning("report_delayed", target=self._target_arn, error=str(error))
                await self._driver.sleep(pause_ms)
                pause_ms = min(2 * pause_ms, REPORT_PAUSE_MS_MAX)
            except BrokerClosed:
                return  # the delivery is made again at the next start
            else:
                return

    async def _opened(self) -> Target:
        async with self._opening:
            if self._target is None:
                target = self._connectors.target(self._target_arn)
                try:
                    await target.open()
                except BaseException:
                    await target.close()
                    raise
                self._target = target
            return self._target

    async def _close_target(self) -> None:
        target, self._target = self._target, None
        if target is None:
            return
        try:
            await target.close()
        except Exception as error:  # noqa: BLE001  (nobody can do anything about it)
            log.warning("target_not_closed", target=self._target_arn, error=repr(error))

    # End

    async def drain(self, timeout_ms: int) -> None:
        self._task.cancel()
        try:
            await asyncio.wait([self._task])
            if self._running:
                await asyncio.wait(list(self._running), timeout=timeout_ms / 1000)
        finally:
            unfinished = dict(self._running)
            for task in unfinished:
                task.cancel()
            if unfinished:
                await asyncio.wait(list(unfinished))
            for attempt in unfinished.values():
                await self._release(attempt)
            await self._close_target()

    async def _release(self, attempt: Attempt) -> None:
        try:
            await self._driver.released(self._target_arn, attempt)
        except (StoreError, BrokerClosed) as error:
            log.info("attempt_not_released", target=self._target_arn, error=str(error))
