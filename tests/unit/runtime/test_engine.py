"""The engine: requests, long polls, failures, restarts, on a store that commits on command."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from eventcore import limits
from eventcore.errors import (
    AlreadyExists,
    BrokerClosed,
    Conflict,
    InvalidParameter,
    LimitExceeded,
    NotFound,
    StoreUnavailable,
)
from eventcore.limits import AWS_QUOTAS, Quotas
from eventcore.outcome import Deliver, Parcel
from eventcore.queues.queue_spec import QueueSpec, RedrivePolicy
from eventcore.queues.standard import StandardQueue
from tests.unit.runtime.rig import PREFIX, EngineRig, turn


@pytest.fixture
async def rig() -> EngineRig:
    rig = await EngineRig().start()
    rig.create("q", visibility_timeout_ms=30_000)
    await rig.settle()
    return rig


def redrive(name: str, receives_max: int = 1) -> RedrivePolicy:
    return RedrivePolicy(PREFIX + name, receives_max)


async def dead_lettering(**options: Any) -> EngineRig:
    """Queue "q" dead-letters into "dead" after one receive of no time."""
    rig = await EngineRig(**options).start()
    rig.create("dead")
    rig.create("q", visibility_timeout_ms=0, redrive=redrive("dead"))
    await rig.settle()
    return rig


# Resources


async def test_a_created_queue_is_there_for_the_same_request_and_durable_with_its_reply(rig):
    answer = rig.create("new")
    assert rig.engine.queue(PREFIX + "new").name == "new"
    assert answer.is_waiting
    await rig.settle()
    again = await rig.crash()
    assert again.engine.list_queues("000000000000", "us-east-1") == ["new", "q"]
    assert isinstance(answer.value, StandardQueue)


async def test_a_queue_and_its_settings_are_durable_together(rig):
    rig.create("new", delay_ms=5)
    await turn()
    lost = await rig.crash(is_durable=False)
    assert lost.engine.find(PREFIX + "new") is None
    lost.create("new", delay_ms=5)
    await turn()
    kept = await lost.crash(is_durable=True)
    assert kept.engine.queue(PREFIX + "new").spec.delay_ms == 5


async def test_creating_a_queue_again_with_the_same_settings_gives_it_and_writes_nothing(rig):
    appends = rig.store.appends
    rig.create("q", visibility_timeout_ms=30_000)
    await rig.settle()
    assert rig.store.appends == appends


async def test_creating_again_before_the_first_is_durable_waits_for_it(rig):
    rig.create("new")
    await turn()
    again = rig.create("new")
    assert again.is_waiting
    await rig.settle()
    assert again.value is rig.engine.queue(PREFIX + "new")


async def test_creating_a_queue_again_with_other_settings_names_the_difference(rig):
    with pytest.raises(AlreadyExists) as caught:
        rig.create("q", visibility_timeout_ms=30_000, delay_ms=7)
    assert caught.value.difference == "delay_ms"


async def test_a_queue_with_a_setting_out_of_range_is_not_created(rig):
    with pytest.raises(InvalidParameter):
        rig.create("bad", delay_ms=-1)
    await rig.settle()
    assert rig.engine.find(PREFIX + "bad") is None
    assert (await rig.crash()).engine.find(PREFIX + "bad") is None


async def test_a_deleted_queue_is_gone_at_once_and_its_messages_with_it(rig):
    rig.send("q", "x")
    answer = rig.drop("q")
    assert answer.is_waiting
    with pytest.raises(NotFound):
        rig.send("q", "y")
    await rig.settle()
    assert (await rig.crash()).engine.find(PREFIX + "q") is None


async def test_a_deletions_reply_waits_for_its_commit_even_with_long_polls_to_answer(rig):
    poll = rig.poll("q")
    answer = rig.drop("q")
    assert poll.value == []
    assert answer.is_waiting
    await rig.settle()
    assert not answer.is_waiting


async def test_not_found_is_told_when_the_deletion_is_durable(rig):
    rig.drop("q")
    with pytest.raises(NotFound):
        rig.send("q", "x")
    assert rig.engine.barrier() is not None
    await rig.settle()


async def test_a_created_again_queue_sees_nothing_of_the_old_one(rig):
    rig.send("q", "old")
    rig.receive("q")
    await rig.settle()
    rig.drop("q")
    rig.create("q")
    rig.send("q", "new")
    assert rig.bodies("q") == ["new"]
    await rig.settle()
    again = await rig.crash()
    await again.run_for(60_000)
    assert again.bodies("q") == ["new"]


async def test_the_cool_down_of_a_deleted_name_is_a_quota():
    rig = await EngineRig(quotas=AWS_QUOTAS).start()
    rig.create("q")
    rig.drop("q")
    await rig.run_for(59_000)
    with pytest.raises(Conflict):
        rig.create("q")
    await rig.run_for(1_000)
    rig.create("q")
    await rig.settle()


async def test_queues_are_listed_by_prefix_and_a_new_one_only_when_durable(rig):
    for name in ("b1", "a1", "b2"):
        rig.create(name)
    answer = rig.request(lambda e: e.list_queues("000000000000", "us-east-1", "b"))
    assert answer.is_waiting
    await rig.settle()
    assert answer.value == ["b1", "b2"]
    assert rig.engine.list_queues("111111111111", "us-east-1") == []


async def test_sources_of_a_dead_letter_queue_are_found():
    rig = await dead_lettering()
    rig.create("other", redrive=redrive("dead"))
    assert rig.engine.dead_letter_sources(PREFIX + "dead") == [PREFIX + "other", PREFIX + "q"]
    assert rig.engine.dead_letter_sources(PREFIX + "q") == []


# Replies and failures


async def test_a_sends_reply_waits_for_its_commit(rig):
    answer = rig.send("q", "x")
    await turn()
    assert answer.is_waiting
    rig.store.commit()
    assert len(answer.value) == 1


async def test_a_receiver_of_an_uncommitted_message_waits_for_it(rig):
    rig.create("other")
    await rig.settle()
    rig.send("q", "x")
    await turn()
    received, elsewhere = rig.receive("q"), rig.receive("other")
    assert received.is_waiting and elsewhere.value == []
    rig.store.commit()
    assert received.is_waiting, "the receive itself is in the next batch"
    await rig.settle()
    assert [m.record.body for m in received.value] == ["x"]


@pytest.mark.parametrize("is_durable", [False, True])
async def test_after_a_failed_commit_the_queues_are_what_the_store_has(rig, is_durable):
    rig.send("q", "kept")
    await rig.settle()
    sent = rig.send("q", "unknown")
    await turn()
    later = rig.send("q", "never")
    rig.store.fail(is_durable=is_durable)
    for answer in (sent, later):
        assert isinstance(answer.value, StoreUnavailable)
    with pytest.raises(StoreUnavailable):
        rig.send("q", "refused")
    await rig.settle()
    assert rig.bodies("q") == (["kept", "unknown"] if is_durable else ["kept"])


async def test_a_failed_receive_gives_the_message_back(rig):
    rig.send("q", "x")
    await rig.settle()
    answer = rig.receive("q")
    await turn()
    rig.store.fail(is_durable=False)
    assert isinstance(answer.value, StoreUnavailable)
    await rig.settle()
    assert rig.counts("q") == (1, 0, 0)


async def test_a_receive_that_is_durable_and_reported_failed_counts(rig):
    rig.send("q", "x")
    await rig.settle()
    rig.receive("q")
    await turn()
    rig.store.fail(is_durable=True)
    await rig.settle()
    assert rig.counts("q") == (0, 1, 0)
    await rig.run_for(30_000)
    again = rig.receive("q")
    await rig.settle()
    assert again.value[0].receives == 2


async def test_a_delete_that_failed_leaves_message_and_handle_good(rig):
    rig.send("q", "x")
    received = rig.receive("q")
    await rig.settle()
    handle = received.value[0].receipt_handle
    rig.delete("q", handle)
    await turn()
    rig.store.fail(is_durable=False)
    await rig.settle()
    assert rig.counts("q") == (0, 1, 0)
    rig.delete("q", handle)
    await rig.settle()
    assert rig.counts("q") == (0, 0, 0)


async def test_deadlines_go_on_after_a_reload(rig):
    rig.send("q", "late", delay_ms=5_000)
    await rig.settle()
    rig.send("q", "lost")
    await turn()
    rig.store.fail(is_durable=False)
    await rig.settle()
    poll = rig.poll("q")
    await rig.run_for(5_000)
    assert poll.value == ["late"]


# Long polls


async def test_a_long_poll_is_answered_at_once_when_there_is_something(rig):
    rig.send("q", "x")
    poll = rig.poll("q")
    assert poll.waiter is None
    await rig.settle()
    assert poll.value == ["x"]


async def test_a_poll_without_a_wait_is_answered_at_once(rig):
    assert rig.poll("q", 0).value == []


async def test_an_arrival_answers_the_first_in_line_when_it_is_durable(rig):
    first, second = rig.poll("q"), rig.poll("q")
    rig.send("q", "x")
    await turn()
    assert first.is_waiting
    await rig.settle()
    assert first.value == ["x"]
    assert second.is_waiting


async def test_an_arrival_is_handed_on_in_the_commit_that_stores_it(rig):
    rig.poll("q")
    await rig.settle()
    appends = rig.store.appends
    rig.send("q", "x")
    await rig.settle()
    assert rig.store.appends == appends + 1


async def test_each_long_poll_gets_as_many_as_it_asked_for_in_turn(rig):
    polls = [rig.poll("q", count=2) for _ in range(3)]
    rig.send("q", "a", "b", "c", "d", "e")
    await rig.settle()
    assert [poll.value for poll in polls] == [["a", "b"], ["c", "d"], ["e"]]


async def test_a_long_poll_ends_empty_at_its_time(rig):
    poll = rig.poll("q", 2_000)
    await rig.run_for(1_999)
    assert poll.is_waiting
    await rig.run_for(1)
    assert poll.value == []


async def test_a_cancelled_long_poll_takes_nothing(rig):
    poll = rig.poll("q")
    assert poll.waiter is not None
    poll.waiter.cancel()
    rig.send("q", "x")
    await rig.settle()
    assert poll.is_waiting
    assert rig.counts("q") == (1, 0, 0)


async def test_the_end_of_a_visibility_timeout_serves_a_long_poll(rig):
    rig.send("q", "x")
    await rig.settle()
    rig.receive("q", timeout_ms=5_000)
    poll = rig.poll("q")
    await rig.run_for(4_999)
    assert poll.is_waiting
    await rig.run_for(1)
    assert poll.value == ["x"]


async def test_the_end_of_a_delay_serves_a_long_poll(rig):
    rig.send("q", "x", delay_ms=3_000)
    poll = rig.poll("q")
    await rig.run_for(2_999)
    assert poll.is_waiting
    await rig.run_for(1)
    assert poll.value == ["x"]


async def test_giving_a_message_back_serves_a_long_poll(rig):
    rig.send("q", "x")
    received = rig.receive("q")
    await rig.settle()
    poll = rig.poll("q")
    rig.change("q", received.value[0].receipt_handle, 0)
    await rig.settle()
    assert poll.value == ["x"]


async def test_a_dead_letter_serves_a_long_poll_of_its_queue():
    rig = await dead_lettering()
    rig.send("q", "x")
    await rig.settle()
    rig.receive("q")
    poll = rig.poll("dead")
    rig.receive("q")
    await rig.settle()
    assert poll.value == ["x"]


async def test_a_deleted_queue_answers_its_long_polls_empty(rig):
    polls = [rig.poll("q") for _ in range(3)]
    rig.drop("q")
    assert [poll.value for poll in polls] == [[], [], []]


async def test_a_long_poll_of_a_deleted_queue_gets_nothing_of_its_successor(rig):
    poll = rig.poll("q")
    rig.drop("q")
    rig.create("q")
    rig.send("q", "new")
    await rig.settle()
    assert poll.value == []
    assert rig.counts("q") == (1, 0, 0)


async def test_idle_long_polls_cost_no_calls_into_the_queue(rig, monkeypatch):
    rig.create("busy")
    await rig.settle()
    calls = 0
    receive = StandardQueue.receive

    def counted(queue: StandardQueue, *arguments: Any) -> Any:
        nonlocal calls
        calls += queue.name == "q"
        return receive(queue, *arguments)

    polls = [rig.poll("q") for _ in range(200)]
    monkeypatch.setattr(StandardQueue, "receive", counted)
    for _ in range(50):
        rig.send("busy", "x")
        rig.bodies("busy")
        await rig.run_for(100)
    assert calls == 0
    rig.send("q", "x")
    await rig.settle()
    assert calls == 1
    assert [poll.is_waiting for poll in polls].count(True) == 199


async def test_long_polls_survive_a_reload_and_are_served(rig):
    poll = rig.poll("q")
    other = rig.send("q", "unknown")
    rig.store.pending = None
    await turn()
    rig.store.fail(is_durable=False)
    await rig.settle()
    assert isinstance(other.value, StoreUnavailable)
    assert isinstance(poll.value, StoreUnavailable), "it had been served in the failed batch"
    waiting = rig.poll("q")
    assert waiting.waiter is not None
    rig.create("elsewhere")
    await turn()
    rig.store.fail(is_durable=False)
    await rig.settle()
    assert waiting.is_waiting
    rig.send("q", "y")
    await rig.settle()
    assert waiting.value == ["y"]


async def test_a_message_found_by_the_reload_serves_a_long_poll(rig):
    """Sent while the reply was in flight: durable, reported failed, and nobody arrives any more."""
    rig.create("other")
    await rig.settle()
    rig.send("q", "x")
    await turn()
    poll = rig.poll("other")
    rig.store.fail(is_durable=True)
    await rig.settle()
    assert poll.is_waiting
    assert rig.bodies("q") == ["x"]


async def test_a_long_poll_may_end_or_be_cancelled_while_the_queues_are_reloaded(rig):
    ended, cancelled = rig.poll("q", 1_000), rig.poll("q", 5_000)
    rig.create("other")
    await turn()
    rig.store.recoveries_failing = 1
    rig.store.fail(is_durable=False)
    await turn()
    assert not rig.engine.is_ready
    rig.clock.advance(1_000)
    assert ended.value == []
    assert cancelled.waiter is not None
    cancelled.waiter.cancel()
    async with asyncio.timeout(5):
        while not rig.engine.is_ready:
            await asyncio.sleep(0.01)
    rig.send("q", "x")
    await rig.settle()
    assert rig.counts("q") == (1, 0, 0)


async def test_a_full_batch_serves_long_polls_as_soon_as_there_is_room(rig, monkeypatch):
    monkeypatch.setattr(limits, "BATCH_ROWS_MAX", 2)
    polls = [rig.poll("q", count=1) for _ in range(6)]
    rig.send("q", *"abcdef")
    await rig.settle()
    assert [poll.value for poll in polls] == [[body] for body in "abcdef"]


async def test_a_long_poll_behind_many_expired_messages_gets_what_is_behind_them(rig, monkeypatch):
    monkeypatch.setattr(limits, "TICK_STEPS_MAX", 3)
    rig.create("short", retention_ms=60_000)
    rig.send("short", *[f"{n}" for n in range(10)])
    await rig.settle()
    rig.clock._now_ms += 60_000  # no timer has fired yet
    rig.send("short", "fresh")
    poll = rig.poll("short")
    await rig.settle()
    assert poll.value == ["fresh"]


async def test_a_long_poll_over_the_in_flight_quota_is_served_when_there_is_room():
    rig = await EngineRig(quotas=Quotas(in_flight_max=1)).start()
    rig.create("q")
    rig.send("q", "a")
    first = rig.receive("q")
    await rig.settle()
    with pytest.raises(LimitExceeded):
        rig.receive("q")
    rig.delete("q", first.value[0].receipt_handle)
    poll = rig.poll("q")
    rig.send("q", "b")
    await rig.settle()
    assert poll.value == ["b"]


async def test_queues_that_dead_letter_into_each_other_do_not_hang_a_long_poll():
    rig = await EngineRig().start()
    rig.create("one")
    rig.create("two", visibility_timeout_ms=0, redrive=redrive("one"))
    rig.engine.begin()
    one = rig.engine.queue(PREFIX + "one")
    rig.engine.set_queue_spec(one, QueueSpec(visibility_timeout_ms=0, redrive=redrive("two")))
    rig.send("one", "x")
    await rig.settle()
    rig.receive("one")
    polls = [rig.poll("two"), rig.poll("one")]
    await rig.settle()
    assert [poll.told for poll in polls].count([["x"]]) == 1


async def test_a_queue_that_is_its_own_dead_letter_queue_does_not_hang_a_long_poll():
    rig = await EngineRig().start()
    rig.create("q", visibility_timeout_ms=1_000, redrive=redrive("q"))
    rig.send("q", "x")
    await rig.settle()
    rig.receive("q")
    poll = rig.poll("q")
    await rig.run_for(1_000)
    assert poll.value == ["x"]


# Dead letters and spilled bodies


@pytest.mark.parametrize("memory_bytes_max", [0, 1 << 20], ids=["spilled", "in memory"])
@pytest.mark.parametrize("is_durable", [False, True])
async def test_a_dead_letter_is_in_exactly_one_queue_after_a_crash(memory_bytes_max, is_durable):
    rig = await dead_lettering(memory_bytes_max=memory_bytes_max)
    rig.send("q", "x")
    rig.receive("q")
    await rig.settle()
    rig.receive("q")
    assert (rig.counts("q"), rig.counts("dead")) == ((0, 0, 0), (1, 0, 0))
    await turn()
    again = await rig.crash(is_durable=is_durable)
    found = again.counts("q")[0], again.counts("dead")[0]
    assert found == ((0, 1) if is_durable else (1, 0))
    assert again.bodies("dead" if is_durable else "q") == (["x"] if is_durable else [])


async def test_a_message_sent_received_and_dead_lettered_within_one_batch_is_not_lost():
    rig = await dead_lettering(memory_bytes_max=0)
    rig.send("q", "x")
    rig.receive("q")
    rig.receive("q")
    await rig.settle()
    again = await rig.crash()
    assert again.bodies("dead") == ["x"]
    assert again.rows_of(2) == 1, "only the settings of the source"


async def test_without_its_dead_letter_queue_a_message_stays():
    rig = await dead_lettering()
    rig.send("q", "x")
    rig.drop("dead")
    assert [rig.bodies("q") for _ in range(3)] == [["x"]] * 3
    rig.create("dead")
    assert rig.bodies("q") == []
    assert rig.bodies("dead") == ["x"]


async def test_a_reader_of_the_dead_letter_queue_waits_for_the_move():
    rig = await dead_lettering()
    rig.send("q", "x")
    rig.receive("q")
    await rig.settle()
    rig.receive("q")
    received = rig.receive("dead")
    assert received.is_waiting
    await rig.settle()
    assert received.value[0].record.dead_letter_source == PREFIX + "q"


async def test_reject_moves_a_message_at_once():
    rig = await dead_lettering()
    rig.send("q", "x")
    received = rig.receive("q")
    await rig.settle()
    handle = received.value[0].receipt_handle
    answer = rig.request(lambda e: e.reject(e.queue(PREFIX + "q"), handle))
    await rig.settle()
    assert answer.value is True
    assert rig.bodies("dead") == ["x"]


async def test_spilled_bodies_are_read_back_before_and_after_their_commit(rig):
    spilling = await EngineRig(memory_bytes_max=0).start()
    spilling.create("q", visibility_timeout_ms=0)
    spilling.send("q", "x")
    assert spilling.bodies("q") == ["x"], "in the open batch"
    await turn()
    assert spilling.bodies("q") == ["x"], "in flight"
    await spilling.settle()
    assert spilling.bodies("q") == ["x"], "in the store"


async def test_a_delivery_arrives_in_the_batch_of_what_caused_it(rig):
    rig.engine.begin()
    rig.engine.router.route(Deliver(PREFIX + "q", Parcel("event", "arn:aws:events:::rule/r")))
    await rig.settle()
    assert (await rig.crash()).bodies("q") == ["event"]


# Purge, statistics, end


async def test_a_purge_holds_over_a_crash_at_any_point_of_the_trimming(rig, monkeypatch):
    monkeypatch.setattr(limits, "TICK_STEPS_MAX", 10)
    rig.send("q", *[f"{n}" for n in range(55)])
    await rig.settle()
    rig.purge("q")
    await turn()
    rig.store.commit()
    rig.send("q", "new")
    for point in range(4):
        await turn()
        if rig.store.pending is not None and point:
            rig.store.commit()
        rig.clock.advance(0)
    await rig.settle()
    again = await rig.crash()
    assert again.counts("q") == (1, 0, 0)
    await again.run_for(1_000)
    assert again.rows_of(1) == 3, "settings, mark of the purge, the new message"
    assert again.bodies("q") == ["new"]


async def test_statistics_wait_for_what_they_tell(rig):
    rig.send("q", "x")
    answer = rig.request(lambda e: e.statistics(e.queue(PREFIX + "q")))
    assert answer.is_waiting
    await rig.settle()
    assert answer.value.visible == 1


async def test_close_answers_long_polls_and_waits_for_the_last_commit(rig):
    poll = rig.poll("q")
    rig.create("other")
    sent = rig.send("other", "x")
    closing = asyncio.ensure_future(rig.engine.close())
    await turn()
    assert poll.value == []
    assert not closing.done()
    rig.store.commit()
    await closing
    assert len(sent.value) == 1
    with pytest.raises(BrokerClosed):
        rig.engine.begin()
    assert rig.clock.next_deadline() is None


async def test_a_failing_first_load_closes_the_store():
    rig = EngineRig()
    rig.store.loads_failing_at = 0
    await rig.store.open()
    seeded = await EngineRig(rig.store.crash()).start()
    seeded.create("q")
    await seeded.settle()
    store = seeded.store.crash()
    store.loads_failing_at = 0
    failing = EngineRig(store)
    with pytest.raises(StoreUnavailable):
        await failing.engine.start()
    assert not store.rows._is_open
    assert failing.clock.next_deadline() is None


async def test_sleep_waits_on_the_injected_clock(rig):
    sleeping = asyncio.ensure_future(rig.engine.sleep(1_000))
    await turn()
    rig.clock.advance(999)
    await turn()
    assert not sleeping.done()
    rig.clock.advance(1)
    await sleeping
