"""Purging: everything that was sent before is gone at once; memory and rows are freed in slices."""

from __future__ import annotations

import pytest

from eventcore.errors import InvalidParameter, LimitExceeded
from eventcore.limits import Quotas
from eventcore.queues.message import SendEntry
from eventcore.queues.queue_spec import QueueSpec
from tests.unit.queues.driver import MINUTE_MS, Driver


def filled(count: int = 10, **options: object) -> Driver:
    driver = Driver(**options)  # type: ignore[arg-type]
    for n in range(count):
        driver.take(driver.queue.send(SendEntry(f"{n}"), driver.now_ms))
    return driver


def bulk(count: int) -> Driver:
    """Many messages, without a check after each."""
    driver = Driver()
    for n in range(count):
        for mutation in driver.queue.send(SendEntry(f"{n}"), driver.now_ms).mutations:
            assert mutation.value is not None
            driver.rows[mutation.key] = mutation.value
    return driver


def test_purge_deletes_visible_delayed_and_in_flight_messages():
    driver = filled()
    driver.receive(3)
    driver.send("delayed", delay_ms=1_000)
    driver.purge()
    assert driver.counts() == (0, 0, 0)
    assert driver.after(24 * 60 * MINUTE_MS).bodies() == []


def test_a_message_sent_after_the_purge_stays_even_in_the_same_millisecond():
    driver = filled()
    driver.purge()
    driver.send("new")
    driver.tick_all()
    assert driver.bodies() == ["new"]


def test_handles_of_purged_messages_delete_nothing_and_change_nothing():
    driver = filled(1)
    handle = driver.handle()
    driver.purge()
    driver.send("new")
    driver.delete(handle)
    with pytest.raises(InvalidParameter):
        driver.change(handle, 0)
    assert driver.bodies() == ["new"]


def test_a_second_purge_within_the_quotas_interval_is_refused():
    driver = filled(quotas=Quotas(purge_interval_ms=MINUTE_MS))
    driver.purge()
    driver.after(MINUTE_MS - 1).send("x")
    with pytest.raises(LimitExceeded) as caught:
        driver.purge()
    assert (caught.value.limit, caught.value.value) == ("purge_interval_ms", MINUTE_MS)
    assert driver.counts() == (1, 0, 0)
    driver.after(1).purge()
    assert driver.counts() == (0, 0, 0)


def test_the_interval_survives_a_restart():
    driver = filled(quotas=Quotas(purge_interval_ms=MINUTE_MS))
    driver.purge()
    driver.tick_all()
    driver.after(1).restart()
    with pytest.raises(LimitExceeded):
        driver.purge()


def test_without_the_quota_purges_may_follow_each_other():
    driver = filled()
    for _ in range(3):
        driver.purge()
        driver.send("x")
    assert driver.counts() == (1, 0, 0)


def test_an_empty_queue_may_be_purged():
    driver = Driver()
    driver.purge()
    driver.tick_all()
    assert driver.counts() == (0, 0, 0)
    assert driver.queue.next_deadline() is None


def test_ticks_trim_all_rows_in_slices():
    driver = bulk(2_500)
    driver.receive()
    driver.purge()
    sizes = []
    while driver.queue.next_deadline() == 0:
        before = len(driver.rows)
        outcome = driver.tick(1_000)
        assert len(outcome.mutations) <= 1
        sizes.append(before - len(driver.rows))
    assert sum(sizes) == 2_510
    assert max(sizes) <= 2_000, "a thousand messages with two rows each"
    assert len(driver.rows) == 2, "the queue and the mark of the purge"


def test_ticks_free_the_memory_in_slices():
    driver = bulk(2_500)
    driver.purge()
    assert driver.statistics().body_memory_bytes == 0
    assert sum(map(len, driver.queue._garbage)) == 2_500
    driver.tick(1_000)
    assert sum(map(len, driver.queue._garbage)) == 1_500
    driver.tick_all()
    assert driver.queue._garbage == []


def test_no_more_is_trimmed_than_there_can_be():
    """A queue may have had any number of messages before; what is gone costs nothing."""
    driver = filled(50)
    for message in [m for _ in range(5) for m in driver.receive(10)]:
        driver.delete(message.receipt_handle)
    driver.send("last")
    driver.purge()
    (messages, deliveries) = driver.tick(limit=10).trims
    assert messages.first_key == messages.last_key
    assert deliveries.first_key == deliveries.last_key
    assert len(driver.rows) == 2


def test_an_emptied_queue_has_nothing_to_trim():
    driver = filled(3)
    for message in driver.receive():
        driver.delete(message.receipt_handle)
    driver.purge()
    assert driver.tick().trims == ()


@pytest.mark.parametrize("ticks", [0, 1, 2, 3])
def test_a_restart_in_the_middle_of_trimming_goes_on_and_brings_nothing_back(ticks):
    driver = bulk(30)
    driver.receive()
    driver.purge()
    driver.send("new")
    for _ in range(ticks):
        driver.tick(limit=10)
    driver.restart()
    assert driver.counts() == (1, 0, 0)
    driver.tick_all(limit=10)
    assert len(driver.rows) == 3
    assert driver.bodies() == ["new"]


def test_a_purge_while_the_last_one_is_still_trimmed_loses_no_rows():
    driver = bulk(30)
    driver.purge()
    driver.tick(limit=10)
    driver.send("second")
    driver.purge()
    driver.tick_all(limit=10)
    assert len(driver.rows) == 2


def test_numbers_are_never_used_again_after_a_purge_and_a_restart():
    driver = filled(3)
    driver.purge()
    driver.tick_all()
    driver.restart()
    driver.send("new")
    driver.restart()
    assert driver.bodies() == ["new"]


def test_delays_retention_and_order_work_as_before_after_a_purge():
    driver = filled(5, spec=QueueSpec(retention_ms=MINUTE_MS, visibility_timeout_ms=1_000))
    driver.receive(2)
    driver.purge()
    driver.send("a", "b")
    driver.send("c", delay_ms=2_000)
    assert driver.bodies(1) == ["a"]
    assert driver.after(1_000).bodies() == ["a", "b"]
    assert driver.after(1_000).bodies() == ["a", "b", "c"]
    driver.after(MINUTE_MS).tick_all()
    assert driver.counts() == (0, 0, 0)
