"""Message move tasks: rate, ends, failures, restarts; nothing is lost and nothing is doubled."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from eventcore import limits
from eventcore.errors import (
    InvalidParameter,
    LimitExceeded,
    NotFound,
    StoreUnavailable,
)
from eventcore.limits import Quotas
from eventcore.queues.message import SendEntry
from eventcore.queues.move_task import MoveTask
from eventcore.queues.queue_spec import QueueSpec, ReceiveRequest, RedrivePolicy
from eventcore.runtime import mover
from eventcore.runtime.engine import ReceivedMessage
from eventcore.runtime.mover import NO_DESTINATION, NO_SOURCE
from tests.unit.runtime.rig import PREFIX, Answer, EngineRig, turn

SECOND_MS = 1_000


async def dead_letters(count: int = 10, suffix: str = "", **options: Any) -> EngineRig:
    """Queue "dead" holds so many messages that came from "q"; there is a queue "other" as well."""
    rig = await EngineRig(**options).start()
    is_fifo = bool(suffix)
    redrive = RedrivePolicy(PREFIX + "dead" + suffix, 1)
    rig.create("dead" + suffix, is_fifo=is_fifo)
    rig.create("q" + suffix, is_fifo=is_fifo, visibility_timeout_ms=0, redrive=redrive)
    rig.create("other" + suffix, is_fifo=is_fifo)
    await fill(rig, "q" + suffix, [f"{n}" for n in range(count)])
    for _ in range(count // 10 + 2):
        rig.receive("q" + suffix, 10)
        await rig.settle()
        rig.receive("q" + suffix, 10)
        await rig.settle()
    assert rig.counts("dead" + suffix) == (count, 0, 0)
    rig.request(lambda e: e.set_queue_spec(e.queue(PREFIX + "q" + suffix), quiet_spec(suffix)))
    await rig.settle()
    return rig


def quiet_spec(suffix: str) -> QueueSpec:
    redrive = RedrivePolicy(PREFIX + "dead" + suffix, 1)
    return QueueSpec(is_fifo=bool(suffix), redrive=redrive)


async def fill(rig: EngineRig, name: str, bodies: list[str]) -> None:
    is_fifo = name.endswith(".fifo")
    rig.engine.begin()
    for body in bodies:
        group, key = (f"g{int(body) % 3}", body) if is_fifo else (None, None)
        entry = SendEntry(body, group_id=group, deduplication_id=key)
        rig.engine.send(rig.engine.queue(PREFIX + name), entry)
    await rig.settle()


def start(
    rig: EngineRig,
    source: str = "dead",
    destination: str | None = None,
    per_second: int | None = None,
) -> Answer:
    arn = None if destination is None else PREFIX + destination
    return rig.request(lambda e: e.start_move(e.queue(PREFIX + source), arn, per_second))


def tasks(rig: EngineRig, source: str = "dead") -> list[MoveTask]:
    rig.engine.begin()
    return rig.engine.list_moves(rig.engine.queue(PREFIX + source), 10)


def task(rig: EngineRig, source: str = "dead") -> tuple[str, int, str]:
    found = tasks(rig, source)[0]
    return found.status, found.moved, found.failure


async def received(rig: EngineRig, name: str) -> list[ReceivedMessage]:
    """Everything that is visible, deleted once it was received."""
    found: list[ReceivedMessage] = []
    while messages := receive(rig, name):
        found += messages
        for message in messages:
            rig.delete(name, message.receipt_handle)
        await rig.settle()
    return found


def receive(rig: EngineRig, name: str) -> list[ReceivedMessage]:
    rig.engine.begin()
    return rig.engine.receive(rig.engine.queue(PREFIX + name), ReceiveRequest(10, 60_000))


async def bodies(rig: EngineRig, name: str) -> list[str]:
    return [message.record.body for message in await received(rig, name)]


async def places(rig: EngineRig, *names: str) -> dict[str, int]:
    """How often each body is in these queues."""
    found: Counter[str] = Counter()
    for name in names:
        found.update(await bodies(rig, name))
    return found


@pytest.fixture
def small_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mover, "SLICE_MESSAGES", 3)


# What is moved


async def test_messages_go_back_to_where_they_came_from():
    rig = await dead_letters(25)
    handle = start(rig)
    await rig.settle()
    assert handle.value == tasks(rig)[0].handle
    await rig.run_for(SECOND_MS)
    assert task(rig) == ("COMPLETED", 25, "")
    assert await bodies(rig, "q") == [f"{n}" for n in range(25)]
    assert rig.counts("dead") == (0, 0, 0)


async def test_messages_of_several_sources_go_to_their_own():
    rig = await dead_letters(2)
    rig.create("r", visibility_timeout_ms=0, redrive=RedrivePolicy(PREFIX + "dead", 1))
    await fill(rig, "r", ["7", "8"])
    for _ in range(2):
        rig.receive("r")
        await rig.settle()
    start(rig)
    await rig.run_for(SECOND_MS)
    assert sorted(await bodies(rig, "q")) == ["0", "1"]
    assert rig.counts("r") == (2, 0, 0)


async def test_messages_go_to_the_destination_that_is_named():
    rig = await dead_letters()
    start(rig, destination="other")
    await rig.run_for(SECOND_MS)
    assert rig.counts("q") == (0, 0, 0)
    assert len(await bodies(rig, "other")) == 10
    assert tasks(rig)[0].destination_arn == PREFIX + "other"


async def test_moved_messages_are_new_ones():
    """AWS: "All redriven messages are considered new messages with a new messageID"."""
    rig = await dead_letters(1)
    (old,) = await received_and_kept(rig, "dead")
    rig.change("dead", old.receipt_handle, 0)
    rig.clock.advance(5_000)
    start(rig)
    await rig.run_for(100)
    (new,) = await received(rig, "q")
    assert new.record.body == old.record.body
    assert new.record.body_md5 == old.record.body_md5
    assert new.record.id != old.record.id
    assert new.record.sent_ms >= old.record.sent_ms + 5_000
    assert new.receives == 1
    assert new.record.dead_letter_source is None


async def received_and_kept(rig: EngineRig, name: str) -> list[ReceivedMessage]:
    found = receive(rig, name)
    await rig.settle()
    return found


async def test_a_moved_message_that_fails_again_comes_back_and_is_not_moved_by_the_same_task():
    rig = await dead_letters(3)
    start(rig, per_second=1)
    await rig.run_for(100)
    rig.receive("q", 1, 0)
    await rig.settle()
    rig.receive("q", 1, 0)
    await rig.settle()
    assert rig.counts("dead") == (3, 0, 0)
    await rig.run_for(10_000)
    assert task(rig) == ("COMPLETED", 3, "")
    assert rig.counts("dead") == (1, 0, 0)


async def test_of_fifo_queues_groups_and_their_order_are_kept():
    rig = await dead_letters(12, ".fifo")
    start(rig, "dead.fifo")
    await rig.run_for(SECOND_MS)
    messages = await received(rig, "q.fifo")
    found = [(m.record.group_id, int(m.record.body)) for m in messages]
    assert len(found) == 12, "deduplication does not stop them, five minutes or not"
    for group in ("g0", "g1", "g2"):
        order = [body for name, body in found if name == group]
        assert order == sorted(order) and len(order) == 4


async def test_an_arrival_serves_a_long_poll_of_the_destination():
    rig = await dead_letters(1)
    poll = rig.poll("other")
    start(rig, destination="other")
    await rig.run_for(100)
    assert poll.value == ["0"]


@pytest.mark.parametrize("memory_bytes_max", [0, 300])
async def test_spilled_bodies_are_moved(memory_bytes_max):
    rig = await dead_letters(12, memory_bytes_max=memory_bytes_max)
    start(rig, destination="other")
    await rig.run_for(SECOND_MS)
    assert sorted(await bodies(rig, "other"), key=int) == [f"{n}" for n in range(12)]


# The rate


@pytest.mark.parametrize("per_second", [1, 3, 7, 15, 99, 499, 500])
async def test_a_task_moves_no_more_a_second_than_it_may_and_hardly_less(per_second):
    rig = await dead_letters(60)
    start(rig, destination="other", per_second=per_second)
    await rig.settle()
    began_ms = rig.clock.now_ms()
    slice_size = max(1, per_second // mover.SLICES_PER_S)
    while task(rig)[0] == "RUNNING":
        await rig.run_for(50)
        seconds = (rig.clock.now_ms() - began_ms) / 1_000
        moved = task(rig)[1]
        assert moved <= per_second * seconds + slice_size, "too fast"
        assert moved >= min(60, 0.9 * per_second * seconds - slice_size), "too slow"
    assert task(rig) == ("COMPLETED", 60, "")


async def test_a_task_without_a_rate_takes_slices():
    rig = await dead_letters(30)
    start(rig, destination="other")
    await rig.settle()
    await rig.run_for(mover.PAUSE_MS)
    assert task(rig)[0] == "COMPLETED"


# Failures of the task


async def test_a_destination_that_is_deleted_meanwhile_ends_the_task_with_awss_reason():
    rig = await dead_letters(10)
    start(rig, destination="other", per_second=1)
    await rig.run_for(2_500)
    rig.drop("other")
    await rig.run_for(10_000)
    assert task(rig) == ("FAILED", 3, NO_DESTINATION)
    assert NO_DESTINATION == "AWS.SimpleQueueService.NonExistentQueue"
    assert rig.counts("dead") == (7, 0, 0)


async def test_a_source_that_is_gone_ends_the_task(small_slices):
    rig = await dead_letters(10)
    rig.create("r", redrive=RedrivePolicy(PREFIX + "dead", 1))
    rig.drop("q")
    start(rig)
    await rig.run_for(SECOND_MS)
    assert task(rig) == ("FAILED", 0, NO_DESTINATION)
    assert rig.counts("dead") == (10, 0, 0)


async def test_a_message_that_came_from_nowhere_ends_a_task_without_a_destination(small_slices):
    rig = await dead_letters(4)
    await fill(rig, "dead", ["100", "101"])
    start(rig)
    await rig.run_for(SECOND_MS)
    assert task(rig) == ("FAILED", 4, NO_SOURCE)
    assert await bodies(rig, "dead") == ["100", "101"]
    assert len(await bodies(rig, "q")) == 4


async def test_with_a_destination_a_message_may_have_come_from_nowhere():
    rig = await dead_letters(2)
    await fill(rig, "dead", ["100"])
    start(rig, destination="other")
    await rig.run_for(SECOND_MS)
    assert task(rig) == ("COMPLETED", 3, "")


async def test_after_a_failure_another_task_may_begin():
    rig = await dead_letters(2)
    await fill(rig, "dead", ["100"])
    start(rig)
    await rig.run_for(SECOND_MS)
    start(rig, destination="other")
    await rig.run_for(SECOND_MS)
    assert [found.status for found in tasks(rig)] == ["COMPLETED", "FAILED"]


# Other ends


async def test_a_cancelled_task_moves_nothing_more():
    rig = await dead_letters(10)
    handle = start(rig, destination="other", per_second=1)
    await rig.run_for(2_500)
    cancelled = rig.request(lambda e: e.cancel_move(handle.value))
    assert cancelled.is_waiting, "until it is durable"
    await rig.settle()
    assert cancelled.value == 3
    await rig.run_for(10_000)
    assert task(rig) == ("CANCELLED", 3, "")
    assert rig.counts("dead") == (7, 0, 0)
    again = await rig.crash()
    await again.run_for(10_000)
    assert task(again) == ("CANCELLED", 3, "")


async def test_a_task_that_has_ended_is_not_cancelled():
    rig = await dead_letters(1)
    handle = start(rig)
    await rig.run_for(SECOND_MS)
    with pytest.raises(InvalidParameter) as caught:
        rig.request(lambda e: e.cancel_move(handle.value))
    assert caught.value.name == "task_handle"


@pytest.mark.parametrize("handle", ["", "x", "e30=", "W10="])
async def test_a_handle_of_no_task_is_not_found(handle):
    rig = await dead_letters(1)
    with pytest.raises(NotFound) as caught:
        rig.request(lambda e: e.cancel_move(handle))
    assert caught.value.kind == "move task"


async def test_of_a_deleted_queue_no_task_is_found():
    rig = await dead_letters(1)
    handle = start(rig, per_second=1)
    await rig.settle()
    rig.drop("dead")
    with pytest.raises(NotFound):
        rig.request(lambda e: e.cancel_move(handle.value))
    rig.create("dead")
    await rig.settle()
    with pytest.raises(NotFound):
        rig.request(lambda e: e.cancel_move(handle.value))
    await rig.run_for(SECOND_MS)
    assert tasks(rig) == []


async def test_a_purge_ends_a_task():
    rig = await dead_letters(10)
    start(rig, destination="other", per_second=1)
    await rig.run_for(500)
    rig.purge("dead")
    await rig.run_for(5_000)
    assert task(rig) == ("COMPLETED", 1, "")


async def test_a_deleted_source_ends_the_work_quietly():
    rig = await dead_letters(10)
    start(rig, destination="other", per_second=1)
    await rig.run_for(500)
    rig.drop("dead")
    await rig.run_for(5_000)
    assert rig.counts("other") == (1, 0, 0)
    assert rig.engine.is_ready


# Starting


async def test_the_source_must_be_a_dead_letter_queue():
    rig = await dead_letters(1)
    with pytest.raises(InvalidParameter) as caught:
        start(rig, "other")
    assert caught.value.name == "source_arn"
    assert caught.value.reason == "Source queue must be configured as a Dead Letter Queue."
    assert tasks(rig, "other") == []


@pytest.mark.parametrize("per_second", [0, -1, 501])
async def test_a_rate_out_of_range_is_refused(per_second):
    rig = await dead_letters(1)
    with pytest.raises(InvalidParameter) as caught:
        start(rig, per_second=per_second)
    assert caught.value.name == "per_second"


async def test_a_destination_must_exist():
    rig = await dead_letters(1)
    with pytest.raises(NotFound) as caught:
        start(rig, destination="nowhere")
    assert (caught.value.kind, caught.value.name) == ("queue", "nowhere")


async def test_a_destination_must_be_another_queue_of_the_same_kind_account_and_region():
    rig = await dead_letters(1)
    rig.create("some.fifo", is_fifo=True)
    elsewhere = PREFIX.replace("us-east-1", "eu-west-1") + "other"
    foreign = PREFIX.replace("000000000000", "111111111111") + "other"
    rig.engine.begin()
    for arn in (elsewhere, foreign):
        rig.engine.create_queue(arn, QueueSpec())
    dead = rig.engine.queue(PREFIX + "dead")
    for arn in (PREFIX + "dead", PREFIX + "some.fifo", elsewhere, foreign):
        with pytest.raises(InvalidParameter) as caught:
            rig.engine.start_move(dead, arn, None)
        assert caught.value.name == "destination_arn"
    assert tasks(rig) == []


async def test_one_task_of_a_source_runs_at_a_time():
    rig = await dead_letters(5)
    start(rig, per_second=1)
    with pytest.raises(InvalidParameter) as caught:
        start(rig)
    assert caught.value.name == "request"
    assert caught.value.reason.startswith("There is already a task running.")
    await rig.run_for(10_000)
    assert task(rig) == ("COMPLETED", 5, "")


async def test_so_many_tasks_run_at_a_time_as_the_quota_says():
    rig = await dead_letters(5, quotas=Quotas(move_tasks_max=1))
    rig.create("r", redrive=RedrivePolicy(PREFIX + "other", 1))
    await rig.settle()
    start(rig, per_second=1)
    with pytest.raises(LimitExceeded) as caught:
        start(rig, "other")
    assert (caught.value.limit, caught.value.value) == ("move_tasks_max", 1)
    with pytest.raises(InvalidParameter):
        start(rig)
    await rig.run_for(10_000)
    start(rig, "other")
    await rig.run_for(SECOND_MS)
    assert task(rig, "other")[0] == "COMPLETED"


# Restarts and failures of the store


async def test_what_is_told_of_a_task_waits_for_its_commit():
    rig = await dead_letters(5)
    answer = start(rig)
    assert answer.is_waiting
    listed = rig.request(lambda e: e.list_moves(e.queue(PREFIX + "dead"), 10))
    assert listed.is_waiting
    await rig.settle()
    assert listed.value[0].handle == answer.value


async def test_a_start_that_failed_runs_nothing():
    rig = await dead_letters(5)
    answer = start(rig, destination="other")
    await turn()
    rig.store.fail(is_durable=False)
    await rig.settle()
    assert isinstance(answer.value, StoreUnavailable)
    await rig.run_for(SECOND_MS)
    assert tasks(rig) == [] and rig.counts("dead") == (5, 0, 0)


@pytest.mark.parametrize("is_durable", [False, True])
@pytest.mark.parametrize("slices", range(5))
async def test_a_crash_at_any_point_loses_and_doubles_nothing(small_slices, slices, is_durable):
    rig = await dead_letters(10)
    start(rig, destination="other")
    await rig.settle()
    for at in range(slices + 1):
        rig.clock.advance(mover.PAUSE_MS)
        await turn()
        if rig.store.pending is not None and at < slices:
            rig.store.commit()
    again = await rig.crash(is_durable=is_durable)
    await again.run_for(SECOND_MS)
    assert task(again) == ("COMPLETED", 10, "")
    assert await places(again, "dead", "other") == {f"{n}": 1 for n in range(10)}
    assert again.counts("dead") == (0, 0, 0)


@pytest.mark.parametrize("is_durable", [False, True])
async def test_a_failed_commit_in_the_middle_loses_and_doubles_nothing(small_slices, is_durable):
    rig = await dead_letters(10)
    start(rig, destination="other")
    await rig.settle()
    for _ in range(2):
        rig.clock.advance(mover.PAUSE_MS)
        await turn()
        rig.store.fail(is_durable=is_durable)
        await rig.settle()
    await rig.run_for(SECOND_MS)
    assert task(rig) == ("COMPLETED", 10, "")
    assert await places(rig, "other") == {f"{n}": 1 for n in range(10)}


async def test_a_body_that_can_not_be_read_delays_the_task(monkeypatch, small_slices):
    rig = await dead_letters(10, memory_bytes_max=0)
    start(rig, destination="other")
    await rig.settle()
    with monkeypatch.context() as patch:

        def fail(component: int, keys: object) -> list[bytes | None]:
            raise StoreUnavailable("injected fault: read")

        patch.setattr(rig.store, "read", fail)
        rig.clock.advance(mover.PAUSE_MS)
        await turn()
        assert rig.store.recoveries == 1
    await rig.settle()
    await rig.run_for(5_000)
    assert task(rig) == ("COMPLETED", 10, "")
    assert await places(rig, "dead", "other") == {f"{n}": 1 for n in range(10)}


async def test_while_the_store_is_behind_a_task_waits(monkeypatch, small_slices):
    rig = await dead_letters(4)
    start(rig, destination="other")
    await rig.settle()
    monkeypatch.setattr(limits, "BATCH_ROWS_MAX", -1)
    rig.clock.advance(mover.PAUSE_MS)
    await rig.settle()
    monkeypatch.setattr(limits, "BATCH_ROWS_MAX", 50_000)
    assert task(rig)[1] == 0
    await rig.run_for(mover.RETRY_PAUSE_MS + 100)
    assert task(rig) == ("COMPLETED", 4, "")


async def test_closing_stops_the_work_and_the_next_start_goes_on():
    rig = await dead_letters(5)
    start(rig, destination="other", per_second=1)
    await rig.run_for(1_500)
    await rig.engine.close()
    rig.clock.advance(60_000)
    await turn()
    again = await rig.crash()
    assert task(again)[:2] == ("RUNNING", 2)
    await again.run_for(1_500)
    assert task(again)[1] == 4, "it does not make up for the time that it lost"
    await again.run_for(5_000)
    assert task(again) == ("COMPLETED", 5, "")
    assert await places(again, "dead", "other") == {f"{n}": 1 for n in range(5)}


@pytest.mark.parametrize("is_durable", [False, True])
async def test_a_fifo_task_over_a_crash_keeps_the_order(small_slices, is_durable):
    rig = await dead_letters(9, ".fifo")
    start(rig, "dead.fifo", "other.fifo")
    await rig.settle()
    rig.clock.advance(mover.PAUSE_MS)
    await turn()
    again = await rig.crash(is_durable=is_durable)
    await again.run_for(SECOND_MS)
    found = [int(body) for body in await bodies(again, "other.fifo")]
    assert sorted(found) == list(range(9))
    for group in range(3):
        order = [body for body in found if body % 3 == group]
        assert order == sorted(order)
