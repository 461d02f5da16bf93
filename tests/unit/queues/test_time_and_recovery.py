"""Ticks, deadlines and restarts: time moves what is due in time, and rows are the whole truth."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventcore.outcome import Mutation
from eventcore.queues.queue_spec import QueueSpec, RedrivePolicy
from tests.unit.queues.driver import DEAD_ARN, MINUTE_MS, START_MS, Driver

STEPS_MS = [0, 1, 500, 1_000, 7_000, 40_000]


def random_run(seed: int, steps: int = 60, **options: object) -> Driver:
    """A driver after random commands and times, without a tick."""
    driver = Driver(
        QueueSpec(
            retention_ms=MINUTE_MS,
            visibility_timeout_ms=1_000,
            redrive=RedrivePolicy(DEAD_ARN, 4) if seed % 3 == 0 else None,
        ),
        seed=seed,
        **options,  # type: ignore[arg-type]
    )
    chance = random.Random(seed)
    handles: list[str] = []
    for _ in range(steps):
        match chance.randrange(12):
            case 0 | 1 | 2 | 3:
                driver.send(f"{chance.random()}", delay_ms=chance.choice([None, 0, 500, 3_000]))
            case 4 | 5 | 6:
                timeout_ms = chance.choice([None, 0, 700, 50_000])
                handles += [
                    m.receipt_handle for m in driver.receive(chance.randint(1, 10), timeout_ms)
                ]
            case 7 | 8 if handles:
                driver.delete(handles.pop(chance.randrange(len(handles))))
            case 9 if chance.random() < 0.1:
                driver.purge()
                handles.clear()
            case _:
                driver.after(chance.choice(STEPS_MS))
    return driver


def durable_state(driver: Driver) -> dict[int, tuple[int, ...]]:
    return {
        n: (e.sent_ms, e.receives, e.first_received_ms, e.received_ms, e.token)
        for n, e in driver.queue._entries.items()
    }


@pytest.mark.parametrize("seed", range(30))
def test_nothing_happens_before_next_deadline(seed):
    driver = random_run(seed)
    driver.tick_all()
    deadline_ms = driver.queue.next_deadline()
    if deadline_ms is None:
        assert driver.counts() == (0, 0, 0)
        return
    before = driver.counts()
    driver.now_ms = deadline_ms - 1
    assert driver.tick().mutations == ()
    assert driver.counts() == before


@pytest.mark.parametrize("seed", range(30))
def test_ticks_come_to_an_end_and_leave_a_later_deadline(seed):
    driver = random_run(seed)
    while (deadline_ms := driver.queue.next_deadline()) is not None:
        driver.now_ms = max(driver.now_ms, deadline_ms)
        assert driver.tick_all(limit=2) > 0
    assert driver.counts() == (0, 0, 0), "retention ends everything"
    assert len(driver.rows) <= 2, "the queue, and the mark of a purge"


@pytest.mark.parametrize("seed", range(30))
def test_the_rows_make_the_same_queue_again(seed):
    driver = random_run(seed, memory_bytes_max=[0, 300, 1 << 20][seed % 3])
    before, counts = durable_state(driver), driver.counts()
    driver.restart()
    assert durable_state(driver) == before
    assert driver.counts() == counts


@pytest.mark.parametrize("seed", range(30))
def test_replaying_every_mutation_even_twice_gives_the_same_queue(seed):
    driver = random_run(seed)
    driver.after(2_000).tick_all()
    replayed = Driver(seed=seed)
    for mutation in driver.log:
        for _ in range(2):
            replayed.queue.apply(Mutation(mutation.key, mutation.value))
    replayed.queue.check()
    assert durable_state(replayed) == durable_state(driver)


@given(st.integers(0, 10_000), st.sampled_from([1, 2, 5, 1_000]))
@settings(max_examples=30, deadline=None)
def test_a_tick_takes_no_more_steps_than_its_limit(seed, limit):
    driver = random_run(seed)
    driver.after(MINUTE_MS)
    while (
        deadline_ms := driver.queue.next_deadline()
    ) is not None and deadline_ms <= driver.now_ms:
        before = hidden(driver)
        outcome = driver.tick(limit)
        assert len(outcome.mutations) <= 2 * limit + 1, "two rows per message and the purge's mark"
        assert before - hidden(driver) <= 3 * limit, "delays, timeouts and expiries"


def hidden(driver: Driver) -> int:
    return len(driver.queue._delayed) + len(driver.queue._in_flight)


def test_a_deadline_is_known_for_each_thing_that_time_does():
    driver = Driver(QueueSpec(retention_ms=MINUTE_MS, visibility_timeout_ms=2_000))
    assert driver.queue.next_deadline() is None
    driver.send("x", delay_ms=1_000)
    assert driver.queue.next_deadline() == START_MS + 1_000
    driver.after(1_000).tick_all()
    driver.receive()
    assert driver.queue.next_deadline() == START_MS + 3_000
    driver.after(2_000).tick_all()
    assert driver.queue.next_deadline() == START_MS + MINUTE_MS


def test_a_tick_makes_due_messages_visible_and_writes_nothing():
    driver = Driver(QueueSpec(visibility_timeout_ms=1_000))
    driver.send("a")
    driver.send("b", delay_ms=1_000)
    driver.receive()
    assert not driver.queue.has_ready
    outcome = driver.after(1_000).tick()
    assert outcome.mutations == () and outcome.trims == ()
    assert driver.queue.has_ready


def test_what_fell_due_while_the_process_was_down_is_due_after_the_restart():
    driver = Driver(QueueSpec(visibility_timeout_ms=30_000))
    driver.send("flight")
    driver.send("delayed", delay_ms=5_000)
    driver.receive(1)
    driver.after(MINUTE_MS).restart()
    deadline_ms = driver.queue.next_deadline()
    assert deadline_ms is not None and deadline_ms <= driver.now_ms
    assert driver.bodies() == ["flight", "delayed"]


def test_a_message_in_flight_stays_so_over_a_restart():
    driver = Driver(QueueSpec(visibility_timeout_ms=30_000))
    driver.send("x")
    handle = driver.handle()
    driver.after(29_999).restart()
    assert driver.bodies() == []
    driver.change(handle, 1_000)
    driver.restart()
    assert driver.after(999).bodies() == []
    (message,) = driver.after(1).receive()
    assert message.receives == 2


def test_counts_of_receives_never_fall_over_a_restart():
    driver = Driver(QueueSpec(visibility_timeout_ms=0))
    driver.send("x")
    seen = []
    for _ in range(5):
        seen.append(driver.receive()[0].receives)
        driver.restart()
    assert seen == [1, 2, 3, 4, 5]


def test_settings_and_times_of_the_queue_survive_a_restart():
    driver = Driver(QueueSpec(delay_ms=5, tags={"a": "b"}, attributes={"Policy": "{}"}))
    driver.after(1_000).configure(QueueSpec(delay_ms=6))
    driver.restart()
    assert driver.queue.spec == QueueSpec(delay_ms=6)
    assert (driver.queue.created_ms, driver.queue.modified_ms) == (START_MS, START_MS + 1_000)


def test_a_message_received_from_the_same_place_twice_over_a_restart_is_given_once():
    """After a restart a message in flight is listed where it was sent and again when it returns."""
    driver = Driver(QueueSpec(visibility_timeout_ms=1_000))
    driver.send("a", "b")
    driver.receive(1)
    driver.restart()
    driver.after(1_000)
    assert driver.bodies() == ["a", "b"]
    assert driver.bodies() == []
    assert driver.after(1_000).bodies() == ["a", "b"]
