"""FIFO and fair queues, move tasks, chaos and quotas through the embedded API."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

import eventcore
from eventcore.errors import InvalidParameter, LimitExceeded, MissingParameter, NotFound
from eventcore.limits import Quotas
from eventcore.testing import ManualClock


@pytest.fixture(params=["memory", "file"])
async def broker(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[eventcore.Broker]:
    path = str(tmp_path / "events.db") if request.param == "file" else None
    async with eventcore.open(path, drain_ms=2_000) as broker:
        yield broker


async def until(condition: Any, seconds: float = 10.0) -> None:
    """Lets the loop run until the condition holds."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)


async def test_a_group_is_in_order_and_locked_while_a_message_is_in_flight(broker):
    queue = await broker.create_queue("orders.fifo")
    for number in range(4):
        await queue.send(str(number), group_id="ab"[number % 2], deduplication_id=str(number))
    (first,) = await queue.receive()
    (second,) = await queue.receive(messages_max=1)
    assert [(m.body, m.group_id) for m in (first, second)] == [("0", "a"), ("1", "b")]
    assert await queue.receive(messages_max=10) == []
    await first.delete()
    (third,) = await queue.receive(messages_max=10)
    assert third.body == "2"
    assert first.sequence_number < second.sequence_number < third.sequence_number
    assert third.deduplication_id == "2"


async def test_a_repeated_send_is_one_message(broker):
    queue = await broker.create_queue("orders.fifo", content_deduplication=True)
    sent = {await queue.send("tea", group_id="a") for _ in range(3)}
    assert len(sent) == 1
    assert (await queue.statistics()).visible == 1
    await queue.send_json({"n": 1}, group_id="a", deduplication_id="x")
    assert (await queue.statistics()).visible == 2


async def test_what_a_fifo_queue_needs_is_asked_for(broker):
    queue = await broker.create_queue("orders.fifo")
    with pytest.raises(MissingParameter):
        await queue.send("tea")
    with pytest.raises(InvalidParameter):
        await queue.send("tea", group_id="a")
    with pytest.raises(InvalidParameter):
        await queue.send("tea", group_id="a", deduplication_id="1", delay_ms=1_000)
    with pytest.raises(InvalidParameter):
        await broker.create_queue("standard", content_deduplication=True)
    assert (await queue.statistics()).visible == 0


async def test_send_many_takes_messages_of_their_own(broker):
    queue = await broker.create_queue("orders.fifo")
    good = eventcore.OutgoingMessage("a", group_id="g", deduplication_id="1")
    with pytest.raises(MissingParameter):
        await queue.send_many([good, eventcore.OutgoingMessage("b", deduplication_id="2")])
    assert (await queue.statistics()).visible == 0
    other = eventcore.OutgoingMessage("b", attributes={"n": 1}, group_id="g", deduplication_id="2")
    ids = await queue.send_many([good, other])
    found = await queue.receive(messages_max=10)
    assert [m.id for m in found] == ids
    assert found[1].attributes == {"n": "1"}


async def test_a_receive_is_repeated_by_its_attempt_id(broker):
    queue = await broker.create_queue("orders.fifo", content_deduplication=True)
    await queue.send("tea", group_id="a")
    (first,) = await queue.receive(attempt_id="one")
    assert await queue.receive() == []
    (again,) = await queue.receive(attempt_id="one")
    assert again.receipt_handle == first.receipt_handle
    await again.delete()
    assert await queue.receive(attempt_id="one") == []


async def test_a_handler_sees_each_group_in_order_also_behind_a_retry(broker):
    seen: dict[str, list[str]] = defaultdict(list)
    done = 0

    @broker.queue("work.fifo", content_deduplication=True, concurrency=8)
    async def handle(message: eventcore.Message) -> None:
        nonlocal done
        seen[message.group_id or ""].append(message.body)
        await asyncio.sleep(0.001)
        if message.body.endswith("-3") and message.receives == 1:
            raise eventcore.Retry
        done += 1

    async with broker.running():
        queue = await broker.get_queue("work.fifo")
        await queue.send_many(
            [
                eventcore.OutgoingMessage(f"{group}-{number}", group_id=group)
                for number in range(8)
                for group in "abc"
            ]
        )
        await until(lambda: done == 24)
    for group in "abc":
        numbers = [int(body.partition("-")[2]) for body in seen[group]]
        assert numbers == [0, 1, 2, 3, 3, 4, 5, 6, 7]
    assert (await queue.statistics()).visible == 0


async def test_behind_a_failure_no_message_of_the_group_is_begun():
    clock = ManualClock()
    seen: list[str] = []
    async with eventcore.open(clock=clock, drain_ms=2_000) as broker:

        @broker.queue("work.fifo", content_deduplication=True, visibility_timeout_ms=30_000)
        async def handle(message: eventcore.Message) -> None:
            seen.append(message.body)
            if message.body == "a0" and message.receives == 1:
                raise RuntimeError("not now")

        queue = await broker.create_queue(
            "work.fifo", content_deduplication=True, visibility_timeout_ms=30_000
        )
        await queue.send_many([f"a{n}" for n in range(3)], group_id="a")
        await queue.send_many([f"b{n}" for n in range(3)], group_id="b")
        async with broker.running():
            await until(lambda: len(seen) == 4)
            await clock.run_for(40_000)
            await until(lambda: len(seen) == 7)
    assert [body for body in seen if body < "b"] == ["a0", "a0", "a1", "a2"]
    assert seen[:4] == ["a0", "b0", "b1", "b2"]


async def test_dead_letters_go_back_to_where_they_came_from(broker):
    dead = await broker.create_queue("dead")
    queue = await broker.create_queue("orders", dead_letter=dead, receives_max=1)
    await queue.send("tea")
    (message,) = await queue.receive()
    assert await message.reject()
    assert await dead.dead_letter_sources() == [queue.arn]
    (lying,) = await dead.browse()
    assert (lying.body, lying.state, lying.record.dead_letter_source) == (
        "tea",
        "visible",
        queue.arn,
    )
    await dead.start_move()
    async with asyncio.timeout(10):
        while (await dead.moves())[0].status == "RUNNING":
            await asyncio.sleep(0.01)
    (task,) = await dead.moves()
    assert (task.status, task.moved, task.failure) == ("COMPLETED", 1, "")
    (moved,) = await queue.receive()
    assert (moved.body, moved.receives) == ("tea", 1)
    assert moved.id != message.id
    with pytest.raises(InvalidParameter):
        await dead.cancel_move(task.handle)
    with pytest.raises(NotFound):
        await dead.cancel_move("none")
    with pytest.raises(InvalidParameter):
        await queue.start_move()


async def test_a_dead_letter_queue_chooses_its_sources(broker):
    allow = eventcore.RedriveAllow("denyAll")
    dead = await broker.create_queue("dead", redrive_allow=allow)
    with pytest.raises(InvalidParameter):
        await broker.create_queue("orders", dead_letter=dead)
    fifo = await broker.create_queue("dead.fifo")
    with pytest.raises(InvalidParameter):
        await broker.create_queue("orders", dead_letter=fifo)
    assert await broker.list_queues() == ["dead", "dead.fifo"]


async def test_quiet_tenants_come_before_the_backlog_of_a_noisy_one(broker):
    queue = await broker.create_queue("shared")
    await queue.send_many([f"noisy {n}" for n in range(100)], group_id="noisy")
    await queue.receive(messages_max=10)
    await queue.send("quiet", group_id="quiet")
    bodies = [m.body for m in await queue.receive(messages_max=2)]
    assert "quiet" in bodies


async def test_chaos_is_repeatable_and_off_by_default():
    async def run(seed: int) -> list[str]:
        async with eventcore.open() as broker:
            chaos = eventcore.Chaos(seed=seed, duplicate=0.3, reorder=0.3)
            queue = await broker.create_queue("jobs", chaos=chaos)
            await queue.send_many([str(n) for n in range(30)])
            bodies = []
            for _ in range(6):
                bodies += [m.body for m in await queue.receive(messages_max=10)]
            return bodies

    first = await run(7)
    assert first == await run(7)
    assert first != await run(8)
    assert len(first) > len(set(first))
    assert sorted(set(first), key=int) == [str(n) for n in range(30)]


async def test_a_quota_is_switched_by_name():
    async with eventcore.open(quotas=Quotas(fifo_calls_per_s=2), clock=ManualClock()) as broker:
        queue = await broker.create_queue("orders.fifo", content_deduplication=True)
        await queue.send("a", group_id="g")
        await queue.send("b", group_id="g")
        with pytest.raises(LimitExceeded, match="fifo_calls_per_s"):
            await queue.send("c", group_id="g")
        assert len(await queue.receive(messages_max=10)) == 2


async def test_a_queue_that_is_refused_leaves_its_name_free(broker):
    with pytest.raises(InvalidParameter):
        await broker.create_queue("orders", tags={"a": "\ud800"})
    assert await broker.list_queues() == []
    queue = await broker.create_queue("orders")
    await queue.send("tea")
    assert [m.body for m in await queue.receive()] == ["tea"]


async def test_what_could_not_be_read_back_is_refused(broker):
    dead = await broker.create_queue("dead")
    queue = await broker.create_queue("orders", dead_letter=dead)
    for rate in (1.5, True, 0, 501):
        with pytest.raises(InvalidParameter, match="per_second"):
            await dead.start_move(per_second=rate)
    with pytest.raises(InvalidParameter, match="deduplication_id"):
        await queue.send("tea", deduplication_id="1")
    assert await dead.moves() == []
