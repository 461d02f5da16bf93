"""Chaos: misbehaviour on purpose, the same for the same seed."""

from __future__ import annotations

from collections import Counter

import msgspec
import pytest

from eventcore.errors import InvalidParameter, LimitExceeded
from eventcore.queues.chaos import delay_of, is_duplicated, is_reordered, is_throttled
from eventcore.queues.queue_spec import Chaos, QueueSpec
from tests.unit.queues.driver import FIFO_ARN, MINUTE_MS, START_MS, Driver


def chaotic(**chaos) -> Driver:
    return Driver(QueueSpec(visibility_timeout_ms=10_000, chaos=Chaos(**chaos)))


def send(driver: Driver, count: int) -> list[str]:
    bodies = [f"{n}" for n in range(count)]
    driver.send(*bodies)
    return bodies


def received(driver: Driver, rounds: int) -> list[str]:
    """What so many receives of ten give, a second apart."""
    found: list[str] = []
    for _ in range(rounds):
        found += driver.bodies()
        driver.after(1_000).tick_all()
    return found


# What is drawn


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 1.0])
def test_a_probability_is_kept(share):
    chaos = Chaos(seed=1, duplicate=share, reorder=share, delay=share, throttle=share)
    for draw in (
        [is_duplicated(chaos, n, 0) for n in range(5_000)],
        [is_reordered(chaos, n, 0) for n in range(5_000)],
        [is_throttled(chaos, n) for n in range(5_000)],
    ):
        assert abs(sum(draw) / 5_000 - share) < 0.03
        assert share not in (0.0, 1.0) or sum(draw) == 5_000 * share


def test_the_kinds_and_seeds_are_independent():
    chaos, other = Chaos(1, 0.5, 0.5, 0.5, 1_000, 0.5), Chaos(2, 0.5, 0.5, 0.5, 1_000, 0.5)
    duplicated = [is_duplicated(chaos, n, 0) for n in range(1_000)]
    assert duplicated == [is_duplicated(chaos, n, 0) for n in range(1_000)]
    for others in (
        [is_reordered(chaos, n, 0) for n in range(1_000)],
        [is_throttled(chaos, n) for n in range(1_000)],
        [is_duplicated(other, n, 0) for n in range(1_000)],
        [is_duplicated(chaos, n, 1) for n in range(1_000)],
    ):
        equal = sum(a == b for a, b in zip(duplicated, others, strict=True))
        assert 400 < equal < 600


def test_delays_are_spread_up_to_the_longest():
    chaos = Chaos(seed=3, delay=1.0, delay_ms_max=1_000)
    delays = [delay_of(chaos, n) for n in range(5_000)]
    assert 0 <= min(delays) < 20 and 980 < max(delays) <= 1_000
    assert abs(sum(delays) / 5_000 - 500) < 25
    assert {delay_of(Chaos(3, delay=1.0, delay_ms_max=0), n) for n in range(50)} == {0}


# What a queue does


@pytest.mark.parametrize(
    "chaos",
    [
        {"duplicate": 0.4},
        {"reorder": 0.4},
        {"delay": 0.4},
        {"duplicate": 0.3, "reorder": 0.3, "delay": 0.3, "delay_ms_max": 5_000},
    ],
)
def test_a_run_is_the_same_for_the_same_seed_and_another_for_another(chaos):
    runs = []
    for seed in (1, 1, 2):
        driver = chaotic(seed=seed, **chaos)
        send(driver, 60)
        runs.append(received(driver, 8))
    assert runs[0] == runs[1] != runs[2]


def test_a_duplicated_message_stays_visible_and_comes_again():
    driver = chaotic(duplicate=1.0)
    send(driver, 3)
    assert driver.bodies() == ["0", "1", "2"]
    assert driver.counts() == (3, 0, 0)
    messages = driver.receive()
    assert [m.receives for m in messages] == [2, 2, 2]
    for message in messages:
        driver.delete(message.receipt_handle)
    assert driver.counts() == (0, 0, 0)


def test_some_messages_are_duplicated():
    driver = chaotic(seed=5, duplicate=0.3)
    bodies = send(driver, 100)
    counts = Counter(body for _ in range(40) for body in driver.bodies())
    assert set(counts) == set(bodies)
    assert 10 < sum(count > 1 for count in counts.values()) < 60


def test_a_reordered_message_goes_behind_all_others_once():
    driver = chaotic(reorder=1.0)
    bodies = send(driver, 15)
    assert driver.bodies(5) == bodies[:5], "all were put off, so the order is the old one"
    driver = chaotic(seed=1, reorder=0.5)
    bodies = send(driver, 20)
    late = [b for b in bodies if is_reordered(Chaos(seed=1, reorder=0.5), int(b), 0)]
    assert 3 < len(late) < 17
    early = [b for b in bodies if b not in late]
    assert driver.bodies() + driver.bodies() == early + late


def test_no_message_is_put_off_for_ever():
    driver = chaotic(reorder=1.0)
    driver.send("x")
    for receives in (1, 2, 3):
        (message,) = driver.receive(1)
        assert message.receives == receives
        driver.after(10_000)


def test_a_delayed_message_is_late_by_what_was_drawn():
    chaos = Chaos(seed=4, delay=0.5, delay_ms_max=5_000)
    driver = Driver(QueueSpec(chaos=chaos, delay_ms=1_000))
    bodies = send(driver, 30)
    seen: dict[str, int] = {}
    for _ in range(61):
        for body in driver.bodies():
            seen[body] = driver.now_ms - START_MS
        driver.after(100)
    assert sorted(seen, key=int) == bodies
    for body, late_ms in seen.items():
        assert 0 <= late_ms - 1_000 - delay_of(chaos, int(body)) < 100 + 100 * 3, "up to ten each"
    assert any(late_ms > 1_300 for late_ms in seen.values())


def test_what_is_delivered_is_late_too():
    chaos = Chaos(seed=4, delay=1.0, delay_ms_max=5_000)
    driver = Driver(QueueSpec(chaos=chaos))
    driver.accept("x")
    late_ms = delay_of(chaos, 0)
    assert late_ms > 0
    assert driver.after(late_ms - 1).bodies() == []
    assert driver.after(1).bodies() == ["x"]


def test_calls_are_refused_by_chance_and_change_nothing():
    driver = chaotic(seed=6, throttle=0.3)
    assert driver.queue.is_limited
    refused = 0
    for _ in range(500):
        try:
            driver.queue.admit("send", driver.now_ms)
        except LimitExceeded as error:
            refused += error.limit == "chaos_throttle"
    assert 100 < refused < 200
    assert driver.counts() == (0, 0, 0)


def test_without_chaos_no_call_is_refused():
    driver = Driver()
    assert not driver.queue.is_limited
    driver.queue.admit("send", driver.now_ms)
    driver.configure(QueueSpec(chaos=Chaos(throttle=1.0)))
    with pytest.raises(LimitExceeded):
        driver.queue.admit("send", driver.now_ms)
    driver.configure(QueueSpec())
    assert not driver.queue.is_limited


def test_a_fifo_queue_takes_throttle_only():
    for kind in ("duplicate", "reorder", "delay"):
        chaos = msgspec.structs.replace(Chaos(), **{kind: 0.1})
        with pytest.raises(InvalidParameter) as caught:
            Driver(QueueSpec(is_fifo=True, chaos=chaos), arn=FIFO_ARN)
        assert caught.value.name == "chaos"
    driver = Driver(QueueSpec(is_fifo=True, chaos=Chaos(throttle=1.0)), arn=FIFO_ARN)
    with pytest.raises(LimitExceeded):
        driver.queue.admit("receive", driver.now_ms)


def test_chaos_loses_nothing():
    driver = chaotic(seed=8, duplicate=0.3, reorder=0.5, delay=0.5, delay_ms_max=3_000)
    bodies = send(driver, 100)
    gone: list[str] = []
    for _ in range(200):
        for message in driver.receive():
            gone.append(driver.record(message).body)
            driver.delete(message.receipt_handle)
        driver.after(500).tick_all()
    assert sorted(gone, key=int) == bodies
    assert driver.counts() == (0, 0, 0)


def test_what_chaos_remembers_goes_with_the_messages():
    driver = Driver(QueueSpec(retention_ms=MINUTE_MS, chaos=Chaos(reorder=1.0)))
    send(driver, 20)
    driver.receive(1)
    assert driver.queue._reordered  # type: ignore[attr-defined]
    driver.after(MINUTE_MS).tick_all()
    assert not driver.queue._reordered  # type: ignore[attr-defined]


@pytest.mark.parametrize("seed", range(5))
def test_a_restart_loses_nothing_of_what_chaos_delayed(seed):
    driver = chaotic(seed=seed, delay=0.5, delay_ms_max=3_000)
    send(driver, 20)
    driver.after(700).receive(4)
    driver.check_restart()
