"""The deliverer on a real outbox, with a driver in memory and targets that do as they are told."""

from __future__ import annotations

import asyncio

import pytest

from eventcore.connect import Delivery
from eventcore.errors import (
    BrokerClosed,
    PermanentDelivery,
    RetryableDelivery,
    StoreUnavailable,
    UnsupportedOperation,
)
from eventcore.outboxes.outbox import Outbox
from eventcore.outcome import Deliver, Parcel
from eventcore.runtime.connectors import Connectors
from eventcore.runtime.deliverer import Deliverer
from eventcore.testing import SeededIds

URL = "test://target"
NOW_MS = 1_700_000_000_000


class Driver:
    """Does at once what the engine does after a commit. `refusals` are raised first."""

    def __init__(self) -> None:
        self.outbox = Outbox(URL, SeededIds(3))
        self.reports: list[tuple] = []
        self.refusals: list[Exception] = []
        self.slept: list[int] = []
        self.reported = asyncio.Event()

    def accept(self, *bodies, attempts_max=3):
        for body in bodies:
            deliver = Deliver(URL, Parcel(body, "arn:rule"), None, attempts_max)
            self.outbox.accept(deliver, NOW_MS)

    def _refuse(self):
        if self.refusals:
            raise self.refusals.pop(0)

    def _report(self, *report):
        self._refuse()
        self.reports.append(report)
        self.reported.set()

    async def due(self, target_arn, limit):
        assert target_arn == URL
        self._refuse()
        return self.outbox.due(NOW_MS, limit).value

    async def settled(self, target_arn, attempt):
        self._report("settled", attempt.delivery.body)
        self.outbox.settle(attempt)

    async def failed(self, target_arn, attempt, failure, retry_after_ms):
        self._report("failed", attempt.delivery.body, failure.code, retry_after_ms)
        self.outbox.retry(attempt, failure, NOW_MS, retry_after_ms)

    async def rejected(self, target_arn, attempt, failure):
        self._report("rejected", attempt.delivery.body, failure.code)
        self.outbox.fail(attempt, failure)

    async def released(self, target_arn, attempt):
        self._report("released", attempt.delivery.body)
        self.outbox.release(attempt)

    async def sleep(self, duration_ms):
        self.slept.append(duration_ms)
        await asyncio.sleep(0)

    async def wait_for(self, count):
        async with asyncio.timeout(5):
            while len(self.reports) < count:
                self.reported.clear()
                await self.reported.wait()


class Recorder:
    """A target. `answers` maps a body to an exception to raise or an event to wait for."""

    def __init__(self, answers=None) -> None:
        self.answers = answers or {}
        self.delivered: list[Delivery] = []
        self.opened = self.closed = self.running = self.running_max = 0
        self.open_errors: list[Exception] = []
        self.started = asyncio.Event()

    async def open(self):
        self.opened += 1
        if self.open_errors:
            raise self.open_errors.pop(0)

    async def deliver(self, delivery):
        self.delivered.append(delivery)
        self.running += 1
        self.running_max = max(self.running, self.running_max)
        self.started.set()
        try:
            answer = self.answers.get(delivery.body)
            if isinstance(answer, asyncio.Event):
                await answer.wait()
            elif answer is not None:
                raise answer
            else:
                await asyncio.sleep(0)
        finally:
            self.running -= 1

    async def close(self):
        self.closed += 1


def deliverer_for(driver, target, **options):
    return Deliverer(driver, Connectors({"test": lambda url, options: target}), **options)


async def test_what_the_target_takes_is_settled():
    driver, target = Driver(), Recorder()
    driver.accept("a", "b", "c")
    deliverer = deliverer_for(driver, target)
    deliverer.wake(URL)
    await driver.wait_for(3)
    await deliverer.drain(0)
    assert [report[0] for report in driver.reports] == ["settled"] * 3
    assert [delivery.body for delivery in target.delivered] == ["a", "b", "c"]
    assert len(driver.outbox) == 0
    assert (target.opened, target.closed) == (1, 1)


@pytest.mark.parametrize(
    ("error", "report"),
    [
        (PermanentDelivery("t", "404"), ("rejected", "a", "SDK_CLIENT_ERROR")),
        (RetryableDelivery("t", "down"), ("failed", "a", "INTERNAL_ERROR", None)),
        (RetryableDelivery("t", "slow down", 7_000), ("failed", "a", "THROTTLING", 7_000)),
        (TimeoutError(), ("failed", "a", "TIMEOUT", None)),
        (KeyError("a bug of the connector"), ("failed", "a", "INTERNAL_ERROR", None)),
    ],
)
async def test_each_failure_is_reported_as_what_it_is(error, report):
    driver = Driver()
    driver.accept("a")
    deliverer = deliverer_for(driver, Recorder({"a": error}))
    deliverer.wake(URL)
    await driver.wait_for(1)
    await deliverer.drain(0)
    assert driver.reports == [report]


async def test_an_attempt_that_hangs_ends_at_its_timeout():
    driver, target = Driver(), Recorder({"a": asyncio.Event()})
    driver.accept("a")
    deliverer = deliverer_for(driver, target, timeout_ms=1)
    deliverer.wake(URL)
    await driver.wait_for(1)
    await deliverer.drain(0)
    assert driver.reports == [("failed", "a", "TIMEOUT", None)]
    assert target.running == 0


async def test_no_more_attempts_run_at_a_time_than_allowed():
    driver, target = Driver(), Recorder()
    driver.accept(*[str(n) for n in range(50)])
    deliverer = deliverer_for(driver, target, concurrency_max=4)
    deliverer.wake(URL)
    await driver.wait_for(50)
    await deliverer.drain(0)
    assert target.running_max == 4
    assert {delivery.body for delivery in target.delivered} == {str(n) for n in range(50)}


async def test_one_slow_delivery_does_not_hold_up_the_others():
    gate = asyncio.Event()
    driver, target = Driver(), Recorder({"slow": gate})
    driver.accept("slow", "a", "b", "c")
    deliverer = deliverer_for(driver, target, concurrency_max=2)
    deliverer.wake(URL)
    await driver.wait_for(3)
    assert target.running == 1
    gate.set()
    await driver.wait_for(4)
    await deliverer.drain(0)
    assert driver.reports[-1] == ("settled", "slow")


async def test_a_store_that_is_away_is_asked_again():
    driver, target = Driver(), Recorder()
    driver.accept("a")
    driver.refusals = [StoreUnavailable("recovering")] * 3
    deliverer = deliverer_for(driver, target)
    deliverer.wake(URL)
    await target.started.wait()
    driver.refusals = [StoreUnavailable("recovering")] * 2
    await driver.wait_for(1)
    await deliverer.drain(0)
    assert driver.reports == [("settled", "a")]
    assert driver.slept == [50, 100, 200, 50, 100]


async def test_a_closed_broker_ends_lanes_and_reports_without_noise():
    driver, target = Driver(), Recorder()
    driver.accept("a")
    deliverer = deliverer_for(driver, target)
    deliverer.wake(URL)
    await target.started.wait()
    driver.refusals = [BrokerClosed("closed")] * 5
    await deliverer.drain(1_000)
    assert driver.reports == []
    assert target.closed == 1


async def test_a_target_that_does_not_open_is_closed_and_opened_again():
    driver, target = Driver(), Recorder()
    target.open_errors = [RetryableDelivery("t", "no session")]
    driver.accept("a")
    deliverer = deliverer_for(driver, target)
    deliverer.wake(URL)
    await driver.wait_for(1)
    driver.accept("b")
    deliverer.wake(URL)
    await driver.wait_for(2)
    await deliverer.drain(0)
    assert driver.reports == [("failed", "a", "INTERNAL_ERROR", None), ("settled", "b")]
    assert (target.opened, target.closed) == (2, 2)


async def test_drain_lets_attempts_finish_and_hands_out_nothing_more():
    gate = asyncio.Event()
    driver, target = Driver(), Recorder({"a": gate})
    driver.accept("a", "b")
    deliverer = deliverer_for(driver, target, concurrency_max=1)
    deliverer.wake(URL)
    await target.started.wait()
    draining = asyncio.create_task(deliverer.drain(60_000))
    await asyncio.sleep(0)
    gate.set()
    await draining
    deliverer.wake(URL)
    assert driver.reports == [("settled", "a")]
    assert driver.outbox.statistics(NOW_MS).attempting == 0
    assert target.closed == 1


async def test_drain_breaks_off_what_takes_too_long_and_gives_it_back():
    driver, target = Driver(), Recorder({"a": asyncio.Event()})
    driver.accept("a")
    deliverer = deliverer_for(driver, target)
    deliverer.wake(URL)
    await target.started.wait()
    await deliverer.drain(1)
    assert driver.reports == [("released", "a")]
    (attempt,) = driver.outbox.due(NOW_MS, 1).value
    assert attempt.delivery.attempt == 1
    assert (target.running, target.closed) == (0, 1)
    await deliverer.drain(1)


async def test_a_scheme_without_a_connector_fails_the_attempt_and_not_the_lane():
    driver = Driver()
    driver.accept("a")
    deliverer = Deliverer(driver, Connectors({}))
    deliverer.wake(URL)
    await driver.wait_for(1)
    await deliverer.drain(0)
    assert driver.reports == [("failed", "a", "INTERNAL_ERROR", None)]


def test_options_go_by_the_longest_prefix_of_the_url():
    seen = []

    def make(url, options):
        seen.append(dict(options))
        return Recorder()

    connectors = Connectors(
        {"test": make},
        {"test://": {"a": "1"}, "test://in/": {"a": "2"}, "other://": {"a": "3"}},
    )
    for url in ("test://out", "test://in/x"):
        connectors.target(url)
    assert seen == [{"a": "1"}, {"a": "2"}]
    with pytest.raises(UnsupportedOperation):
        connectors.target("other://x")
    assert connectors.schemes() == {"test"}
