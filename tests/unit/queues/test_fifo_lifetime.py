"""Retention, purge, spilled bodies, quotas and restarts of FIFO queues."""

from __future__ import annotations

import random
from typing import Any

import pytest

from eventcore.errors import InvalidParameter, LimitExceeded
from eventcore.limits import Quotas
from eventcore.queues.queue_spec import QueueSpec, RedrivePolicy
from tests.unit.queues.driver import (
    FIFO_ARN,
    FIFO_DEAD_ARN,
    MINUTE_MS,
    START_MS,
    Driver,
    fifo,
)

# Retention


@pytest.mark.parametrize("is_ticked", [False, True])
def test_an_expired_message_goes_and_the_next_of_its_group_is_given(is_ticked):
    driver = fifo(retention_ms=MINUTE_MS)
    driver.send("old")
    driver.after(1_000).send("young")
    driver.after(MINUTE_MS - 1_001)
    driver.check_restart()
    driver.after(1)
    if is_ticked:
        driver.tick_all()
    assert driver.bodies() == ["young"]
    assert driver.counts() == (0, 1, 0)


def test_an_expired_message_in_flight_unlocks_its_group():
    driver = fifo(retention_ms=MINUTE_MS)
    driver.send("old")
    driver.after(1_000).send("young")
    handle = driver.handle(10 * MINUTE_MS)
    driver.after(MINUTE_MS - 1_000).tick_all()
    assert driver.bodies() == ["young"]
    driver.delete(handle)
    assert driver.counts() == (0, 1, 0), "deleting what is gone does nothing"


def test_many_expired_messages_do_not_hide_the_rest():
    driver = fifo(retention_ms=MINUTE_MS)
    driver.queue.check = lambda: None  # type: ignore[method-assign]  # it walks all chains
    for n in range(3_000):
        driver.send(f"{n}", group=f"g{n % 3}")
    driver.after(1_000).send("young", group="g0")
    driver.after(MINUTE_MS - 1_000)
    found: list[str] = []
    for _ in range(10):
        found += driver.bodies()
    assert found == ["young"]


# Purge


def test_a_purge_takes_messages_of_all_kinds():
    driver = fifo(visibility_timeout_ms=1_000)
    driver.send("a0", "a1", group="a")
    driver.send("b0", group="b")
    handle = driver.handle()
    driver.purge()
    assert driver.counts() == (0, 0, 0)
    driver.after(1_000).delete(handle)
    driver.send("a2", group="a")
    assert driver.bodies() == ["a2"]
    driver.tick_all()
    driver.check_restart()


def test_a_purge_is_done_again_after_a_restart_in_the_middle():
    driver = fifo()
    driver.send(*[f"{n}" for n in range(50)])
    driver.purge()
    driver.tick(10)
    driver.restart()
    assert driver.counts() == (0, 0, 0)
    driver.send("x")
    driver.tick_all()
    assert driver.bodies() == ["x"]


# Bodies


def test_spilled_bodies_come_from_the_store_in_their_order():
    driver = Driver(QueueSpec(is_fifo=True), arn=FIFO_ARN, memory_bytes_max=1_000)
    bodies = [f"{n}" * 300 for n in range(6)]
    driver.send(*bodies)
    assert driver.statistics().spilled >= 3
    assert driver.bodies(10, 0, attempt="a") == bodies
    driver.check_restart()
    assert driver.bodies(10, 0) == bodies


# Calls


def strict(**spec: Any) -> Driver:
    return Driver(QueueSpec(is_fifo=True, **spec), Quotas(fifo_calls_per_s=3), arn=FIFO_ARN)


def calls(driver: Driver, action: str) -> int:
    """How many calls of an action there is room for now."""
    for count in range(100):
        try:
            driver.queue.admit(action, driver.now_ms)
        except LimitExceeded:
            return count
    return 100


def test_a_queue_takes_so_many_calls_of_each_action_a_second():
    driver = strict()
    assert driver.queue.is_limited
    assert [calls(driver, action) for action in ("send", "receive", "delete", "change")] == [3] * 4
    assert calls(driver, "send") == 0
    assert calls(driver.after(333), "send") == 0
    assert calls(driver.after(1), "send") == 1
    assert calls(driver.after(10_000), "send") == 3, "what is not used is not saved up"
    with pytest.raises(LimitExceeded) as caught:
        driver.queue.admit("send", driver.now_ms)
    assert (caught.value.limit, caught.value.value) == ("fifo_calls_per_s", 3)


def test_with_a_limit_per_group_each_group_has_its_own():
    driver = strict(deduplication_scope="messageGroup", throughput_limit="perMessageGroupId")
    assert driver.queue.is_limited
    for _ in range(3):
        driver.queue.admit_group("a", driver.now_ms)
    with pytest.raises(LimitExceeded) as caught:
        driver.queue.admit_group("a", driver.now_ms)
    assert (caught.value.limit, caught.value.detail) == ("fifo_calls_per_s", "a")
    driver.queue.admit_group("b", driver.now_ms)
    driver.queue.admit_group("a", driver.after(1_000).now_ms)
    assert calls(driver, "send") == 100, "the queue as a whole is not limited"


def test_the_limit_follows_the_queues_settings():
    driver = strict()
    driver.configure(
        QueueSpec(
            is_fifo=True,
            deduplication_scope="messageGroup",
            throughput_limit="perMessageGroupId",
        )
    )
    assert calls(driver, "send") == 100
    driver.configure(QueueSpec(is_fifo=True))
    assert calls(driver, "send") == 3


def test_without_the_quota_nobody_is_limited():
    driver = fifo()
    assert not driver.queue.is_limited
    assert calls(driver, "send") == 100


# Everything at once


def random_run(seed: int, steps: int = 60) -> Driver:
    """A driver after random commands and times."""
    chance = random.Random(seed)
    driver = Driver(
        spec_of(chance),
        arn=FIFO_ARN,
        seed=seed,
        memory_bytes_max=chance.choice([0, 600, 1 << 20]),
    )
    handles: list[str] = []
    for _ in range(steps):
        step(driver, chance, handles)
    return driver


def spec_of(chance: random.Random) -> QueueSpec:
    return QueueSpec(
        is_fifo=True,
        retention_ms=chance.choice([MINUTE_MS, 10 * MINUTE_MS]),
        visibility_timeout_ms=1_000,
        delay_ms=chance.choice([0, 0, 500, 5_000]),
        redrive=chance.choice([None, RedrivePolicy(FIFO_DEAD_ARN, 2)]),
        deduplication_scope=chance.choice(["queue", "messageGroup"]),
    )


def step(driver: Driver, chance: random.Random, handles: list[str]) -> None:
    match chance.randrange(14):
        case 0 | 1 | 2 | 3:
            group, key = chance.choice("abc"), f"{chance.randrange(40)}"
            driver.send(f"{chance.random()}", group=group, id=key)
        case 4 | 5 | 6:
            timeout_ms = chance.choice([None, 0, 700, 50_000])
            attempt = chance.choice([None, "a", "b"])
            messages = driver.receive(chance.randint(1, 10), timeout_ms, attempt=attempt)
            handles += [m.receipt_handle for m in messages]
        case 7 | 8 | 9 if handles:
            handle = handles.pop(chance.randrange(len(handles)))
            try:
                if chance.random() < 0.3:
                    driver.change(handle, chance.choice([0, 2_000]))
                else:
                    driver.delete(handle)
            except InvalidParameter:
                assert driver.counts()[1] >= 0, "an expired handle"
        case 10 if chance.random() < 0.2:
            driver.purge()
        case 11 if chance.random() < 0.5:
            driver.configure(spec_of(chance))
        case 12:
            driver.tick(chance.choice([1, 2, 1_000]))
        case _:
            driver.after(chance.choice([0, 1, 500, 1_000, 7_000, 40_000]))


@pytest.mark.parametrize("seed", range(60))
def test_a_restart_at_any_point_changes_nothing(seed):
    driver = random_run(seed, steps=40)
    chance = random.Random(-seed)
    for _ in range(10):
        step(driver, chance, [])
        driver.check_restart()


@pytest.mark.parametrize("seed", range(30))
def test_ticks_come_to_an_end_and_leave_nothing_but_the_last_number(seed):
    driver = random_run(seed)
    while (deadline_ms := driver.queue.next_deadline()) is not None:
        driver.now_ms = max(driver.now_ms, deadline_ms)
        assert driver.tick_all(limit=2) > 0
    assert driver.counts() == (0, 0, 0), "retention ends everything"
    assert len(driver.rows) <= 3, "the queue, the mark of a purge, the highest number"
    queue: Any = driver.queue
    assert not queue._groups and not queue._deduplication._known


@pytest.mark.parametrize("seed", range(30))
def test_nothing_happens_before_next_deadline(seed):
    driver = random_run(seed)
    driver.tick_all()
    deadline_ms = driver.queue.next_deadline()
    assert deadline_ms is not None, "there is an id to forget, if no message"
    before = driver.counts()
    driver.now_ms = deadline_ms - 1
    assert driver.counts() == before
    assert driver.tick().mutations == ()
    assert driver.counts() == before


def test_settings_of_a_fifo_queue_survive_a_restart():
    spec = QueueSpec(
        is_fifo=True,
        content_deduplication=True,
        deduplication_scope="messageGroup",
        throughput_limit="perMessageGroupId",
    )
    driver = Driver(spec, arn=FIFO_ARN)
    driver.restart()
    assert driver.queue.spec == spec
    assert driver.queue.created_ms == START_MS
