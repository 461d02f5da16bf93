"""The embedded API as a program uses it: on asyncio and uvloop, in memory and on a file."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any, cast

import anyio
import pytest

import eventcore
from eventcore import limits
from eventcore.errors import (
    AlreadyExists,
    BrokerClosed,
    Conflict,
    InvalidParameter,
    InvalidPattern,
    InvalidReceiptHandle,
    MissingParameter,
    NotFound,
    StoreLocked,
    StoreUnavailable,
)
from eventcore.stores.base import Batch, Done
from eventcore.stores.memory import MemoryStore
from eventcore.testing import FaultyStore, ManualClock


@pytest.fixture(params=["memory", "inline", "writer"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, Any]:
    """The arguments of `eventcore.open` for each way to keep messages."""
    if request.param == "memory":
        return {"path": None}
    return {"path": str(tmp_path / "events.db"), "committer": request.param}


@pytest.fixture
async def broker(place: dict[str, Any]) -> AsyncIterator[eventcore.Broker]:
    async with eventcore.open(**place, drain_ms=2_000) as broker:
        yield broker


async def until(condition: Any, seconds: float = 5.0) -> None:
    """Lets the loop run until the condition holds."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)


async def test_what_is_sent_is_received_with_its_attributes_and_deleted(
    broker: eventcore.Broker,
) -> None:
    queue = await broker.create_queue("orders")
    sent = await queue.send("tea", attributes={"size": 3, "kind": "green", "raw": b"\x00\xff"})
    (message,) = await queue.receive()
    assert (message.id, message.body, message.receives) == (sent, "tea", 1)
    assert message.attributes == {"size": "3", "kind": "green", "raw": b"\x00\xff"}
    await message.delete()
    statistics = await queue.statistics()
    assert (statistics.visible, statistics.in_flight, statistics.delayed) == (0, 0, 0)


async def test_send_many_is_all_or_nothing(broker: eventcore.Broker) -> None:
    queue = await broker.create_queue("orders")
    with pytest.raises(MissingParameter):
        await queue.send_many(["a", "", "b"])
    assert (await queue.statistics()).visible == 0
    assert len(set(await queue.send_many(["a", "b", "c"]))) == 3
    assert sorted(m.body for m in await queue.receive(messages_max=10)) == ["a", "b", "c"]


async def test_a_waiting_receive_is_woken_by_an_arrival(broker: eventcore.Broker) -> None:
    queue = await broker.create_queue("orders")
    waiting = asyncio.create_task(queue.receive(wait_ms=10_000))
    await asyncio.sleep(0.01)
    await queue.send("tea")
    async with asyncio.timeout(2):
        (message,) = await waiting
    assert message.body == "tea"


async def test_a_cancelled_receive_loses_no_message(broker: eventcore.Broker) -> None:
    queue = await broker.create_queue("orders")
    for _ in range(20):
        waiting = asyncio.create_task(queue.receive(wait_ms=10_000))
        await asyncio.sleep(0)
        sending = asyncio.create_task(queue.send("tea"))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, sending, return_exceptions=True)
        received = [] if waiting.cancelled() else waiting.result()
        received = received or await queue.receive(wait_ms=1_000)
        assert len(received) == 1, "the message is neither given out nor visible"
        await received[0].delete()


async def test_bad_input_changes_nothing_and_says_what_is_wrong(broker: eventcore.Broker) -> None:
    queue = await broker.create_queue("orders")
    with pytest.raises(InvalidParameter, match="name"):
        await broker.create_queue("no spaces, please")
    with pytest.raises(AlreadyExists):
        await broker.create_queue("orders", delay_ms=5_000)
    with pytest.raises(InvalidParameter, match="delay_ms"):
        await queue.send("tea", delay_ms=900_001)
    with pytest.raises(InvalidParameter, match="messages_max"):
        await queue.receive(messages_max=11)
    with pytest.raises(InvalidParameter, match="wait_ms"):
        await queue.receive(wait_ms=20_001)
    with pytest.raises(InvalidReceiptHandle):
        await queue.delete("no such handle")
    with pytest.raises(InvalidPattern):
        await broker.put_rule("r", {"source": "not a list"}, [queue])
    with pytest.raises(NotFound):
        await broker.get_queue("tea")
    with pytest.raises(InvalidParameter):
        await queue.configure(no_such_setting=1)
    assert await broker.list_queues() == ["orders"]
    assert (await queue.statistics()).visible == 0


async def test_state_survives_a_restart(tmp_path: Path) -> None:
    path = str(tmp_path / "events.db")
    async with eventcore.open(path) as broker:
        dead = await broker.create_queue("dead")
        queue = await broker.create_queue("orders", dead_letter=dead, receives_max=2)
        await queue.send_many(["kept", "in flight"])
        await broker.put_rule("all", {"source": ["shop"]}, [queue])
        (first,) = await queue.receive(visibility_timeout_ms=0)
        (in_flight,) = [m for m in await queue.receive(messages_max=10) if m.body == "in flight"]
        handle = in_flight.receipt_handle
        assert first.receives == 1
    async with eventcore.open(path) as broker:
        queue = await broker.get_queue("orders")
        assert queue.spec.redrive is not None
        statistics = await queue.statistics()
        assert statistics.visible + statistics.in_flight == 2
        await queue.delete(handle)
        await broker.put_events([eventcore.Event(source="shop", detail_type="t")])
        statistics = await queue.statistics()
        assert statistics.visible + statistics.in_flight == 2


async def test_a_file_belongs_to_one_broker(tmp_path: Path) -> None:
    path = str(tmp_path / "events.db")
    async with eventcore.open(path):
        with pytest.raises(StoreLocked):
            async with eventcore.open(path):
                pass


async def test_a_closed_broker_refuses(place: dict[str, Any]) -> None:
    async with eventcore.open(**place) as broker:
        queue = await broker.create_queue("orders")
        waiting = asyncio.create_task(queue.receive(wait_ms=20_000))
        await asyncio.sleep(0.01)
    assert await waiting == [], "closing answers long polls"
    with pytest.raises(BrokerClosed):
        await queue.send("tea")


async def test_handlers_delete_retry_reject_and_fail(broker: eventcore.Broker) -> None:
    calls: list[tuple[str, int]] = []
    dead = await broker.create_queue("dead")

    @broker.queue("jobs", concurrency=3, dead_letter=dead, visibility_timeout_ms=1_000)
    async def handle(message: eventcore.Message) -> None:
        calls.append((message.body, message.receives))
        if message.body == "retry" and message.receives == 1:
            raise eventcore.Retry
        if message.body == "reject":
            raise eventcore.Reject
        if message.body == "fail" and message.receives == 1:
            raise ValueError("a fault of the handler")

    async with broker.running():
        queue = await broker.get_queue("jobs")
        await queue.send_many(["good", "retry", "reject", "fail"])
        await until(lambda: {("good", 1), ("retry", 2), ("reject", 1), ("fail", 2)} <= set(calls))
    left = await queue.statistics()
    assert (left.visible, left.in_flight) == (0, 0)
    assert [m.body for m in await dead.receive()] == ["reject"]


async def test_concurrency_is_bounded_and_used(broker: eventcore.Broker) -> None:
    running = most = done = 0

    @broker.queue("jobs", concurrency=5)
    async def handle(message: eventcore.Message) -> None:
        nonlocal running, most, done
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.01)
        running -= 1
        done += 1

    async with broker.running():
        queue = await broker.get_queue("jobs")
        await queue.send_many([str(n) for n in range(30)])
        await until(lambda: done == 30)
    assert most == 5


async def test_plain_functions_run_in_a_thread(broker: eventcore.Broker) -> None:
    threads: list[str] = []

    @broker.queue("jobs")
    def handle(message: eventcore.Message) -> None:
        threads.append(threading.current_thread().name)

    async with broker.running():
        await (await broker.get_queue("jobs")).send("x")
        await until(lambda: bool(threads))
    assert threads[0] != threading.main_thread().name


async def test_a_running_handler_keeps_its_message_invisible() -> None:
    clock = ManualClock()
    async with eventcore.open(clock=clock) as broker:
        calls = 0
        free = asyncio.Event()

        @broker.queue("jobs", visibility_timeout_ms=30_000)
        async def handle(message: eventcore.Message) -> None:
            nonlocal calls
            calls += 1
            await free.wait()

        async with broker.running():
            queue = await broker.get_queue("jobs")
            await queue.send("long")
            await until(lambda: calls == 1)
            await clock.run_for(10 * 60_000)
            assert calls == 1, "the message came back while its handler ran"
            assert (await queue.statistics()).in_flight == 1
            free.set()
        statistics = await queue.statistics()
        assert (statistics.visible, statistics.in_flight) == (0, 0)


async def test_draining_lets_handlers_finish(broker: eventcore.Broker) -> None:
    started, finished = asyncio.Event(), False

    @broker.queue("jobs")
    async def handle(message: eventcore.Message) -> None:
        nonlocal finished
        started.set()
        await asyncio.sleep(0.1)
        finished = True

    async with broker.running():
        queue = await broker.get_queue("jobs")
        await queue.send("slow")
        await started.wait()
    assert finished
    left = await queue.statistics()
    assert (left.visible, left.in_flight) == (0, 0)


@pytest.mark.parametrize("how", ["task", "scope"])
async def test_cancelling_run_drains_and_gives_unfinished_messages_back(how: str) -> None:
    async with eventcore.open(drain_ms=50) as broker:
        started = asyncio.Event()

        @broker.queue("jobs")
        async def handle(message: eventcore.Message) -> None:
            started.set()
            await asyncio.sleep(60)

        queue = await broker.create_queue("jobs")
        await queue.send("endless")
        if how == "task":
            running = asyncio.create_task(broker.run())
            await started.wait()
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
        else:
            async with asyncio.timeout(5), asyncio.TaskGroup() as group:
                running = group.create_task(broker.run())
                await started.wait()
                broker.stop()
        statistics = await queue.statistics()
        assert (statistics.visible, statistics.in_flight) == (1, 0)


async def test_a_handler_in_a_thread_that_does_not_return_holds_no_stop_up() -> None:
    async with eventcore.open(drain_ms=50) as broker:
        started, go_on = threading.Event(), threading.Event()

        @broker.queue("jobs")
        def handle(message: eventcore.Message) -> None:
            started.set()
            go_on.wait()

        queue = await broker.create_queue("jobs")
        try:
            async with asyncio.timeout(20):
                async with broker.running():
                    await queue.send("endless")
                    await until(started.is_set)
                statistics = await queue.statistics()
        finally:
            go_on.set()
        assert (statistics.visible, statistics.in_flight) == (1, 0)


async def test_rule_handlers_are_given_events(broker: eventcore.Broker) -> None:
    seen: list[eventcore.Event] = []

    @broker.rule({"source": ["shop"], "detail": {"total": [{"numeric": [">", 100]}]}})
    async def large_orders(event: eventcore.Event) -> None:
        seen.append(event)

    async with broker.running():
        ids = await broker.put_events(
            [
                eventcore.Event(source="shop", detail_type="placed", detail={"total": total})
                for total in (50, 150)
            ]
        )
        await until(lambda: bool(seen))
        await asyncio.sleep(0.02)
    assert [(event.id, event.detail) for event in seen] == [(ids[1], {"total": 150})]


async def test_one_event_reaches_all_targets_of_all_rules(broker: eventcore.Broker) -> None:
    queues = [await broker.create_queue(f"q{n}") for n in range(3)]
    await broker.put_rule("two", {"source": ["shop"]}, queues[:2])
    await broker.put_rule("part", {"source": ["shop"]}, [queues[2]], input_path="$.detail.total")
    await broker.put_events([eventcore.Event(source="shop", detail_type="t", detail={"total": 7})])
    bodies = [(await queue.receive())[0] for queue in queues]
    assert bodies[0].json() == bodies[1].json()
    assert bodies[0].json()["detail"] == {"total": 7}
    assert bodies[2].body == "7"


async def test_settings_change_while_the_queue_is_used(broker: eventcore.Broker) -> None:
    dead = await broker.create_queue("dead")
    queue = await broker.create_queue("orders")
    await queue.configure(dead_letter=dead, receives_max=1, visibility_timeout_ms=0)
    await queue.send("tea")
    assert len(await queue.receive()) == 1
    assert await queue.receive() == []
    assert [message.body for message in await dead.receive()] == ["tea"]
    await queue.configure(dead_letter=None)
    assert queue.spec.redrive is None


async def test_a_refused_receive_takes_no_message(broker: eventcore.Broker) -> None:
    queue = await broker.create_queue("orders")
    await queue.send("tea")
    with pytest.raises(InvalidParameter, match="wait_ms"):
        await queue.receive(wait_ms=99_999)
    assert (await queue.statistics()).visible == 1


async def test_a_receive_cancelled_before_its_commit_gives_its_messages_back() -> None:
    store = FaultyStore(MemoryStore(holds_replies=True))
    async with eventcore.open(store=store) as broker:
        queue = await broker.create_queue("orders")
        await queue.send("tea")
        store.hold()
        receiving = asyncio.create_task(queue.receive())
        for _ in range(5):
            await asyncio.sleep(0)
        receiving.cancel()
        await asyncio.gather(receiving, return_exceptions=True)
        store.release()
        await until(lambda: broker.engine.host.has_reached(broker.engine.host.mark()))
        assert [message.body for message in await queue.receive()] == ["tea"]


async def test_deleting_a_queue_ends_its_consumer_and_nothing_else() -> None:
    clock = ManualClock()
    async with eventcore.open(clock=clock) as broker:
        started, free, others = asyncio.Event(), asyncio.Event(), 0

        @broker.queue("doomed", visibility_timeout_ms=30_000)
        async def handle(message: eventcore.Message) -> None:
            started.set()
            await free.wait()

        @broker.queue("other")
        async def handle_other(message: eventcore.Message) -> None:
            nonlocal others
            others += 1

        async with broker.running():
            await (await broker.get_queue("doomed")).send("x")
            await started.wait()
            await broker.delete_queue("doomed")
            await clock.run_for(60_000)
            await (await broker.get_queue("other")).send("y")
            await until(lambda: others == 1)
            free.set()
        assert await broker.list_queues() == ["other"]


async def test_attributes_that_are_no_text_are_refused(broker: eventcore.Broker) -> None:
    queue = await broker.create_queue("orders")
    with pytest.raises(InvalidParameter, match="surrogates"):
        await queue.send("tea", attributes={"size": "\ud800"})
    with pytest.raises(InvalidParameter, match="surrogates"):
        await queue.send("\ud800")
    assert (await queue.statistics()).visible == 0


async def test_a_failed_commit_fails_the_call_and_handlers_go_on() -> None:
    store = FaultyStore(MemoryStore(holds_replies=True), {4: "fail_before", 6: "fail_after"})
    async with eventcore.open(store=store) as broker:
        done: set[str] = set()

        @broker.queue("jobs", visibility_timeout_ms=1_000)
        async def handle(message: eventcore.Message) -> None:
            done.add(message.body)

        async with broker.running():
            queue = await broker.get_queue("jobs")
            for number in range(10):
                while True:
                    try:
                        await queue.send(str(number))
                    except StoreUnavailable:
                        await asyncio.sleep(0.01)
                    else:
                        break
            await until(lambda: len(done) == 10)
        assert store.appends > 6, "both faults have happened"


@pytest.mark.parametrize("detail", [[1], "x", None, {"a": "\ud800"}, {"a": object()}])
async def test_events_are_put_all_or_none(broker: eventcore.Broker, detail: Any) -> None:
    queue = await broker.create_queue("orders")
    await broker.put_rule("all", {"source": ["shop"]}, [queue])
    good = eventcore.Event(source="shop", detail_type="t", detail={"n": 1})
    bad = eventcore.Event(source="shop", detail_type="t", detail=detail)
    with pytest.raises(InvalidParameter, match="events"):
        await broker.put_events([good, bad])
    with pytest.raises(InvalidParameter, match="source"):
        await broker.put_events([good, eventcore.Event(source="aws.ec2", detail_type="t")])
    assert (await queue.statistics()).visible == 0


async def test_nothing_is_stored_that_could_not_be_read_back(tmp_path: Path) -> None:
    """One wrong type in a row would make the whole file unreadable."""
    path = str(tmp_path / "events.db")
    wrong: Any = 1.5
    async with eventcore.open(path) as broker:
        queue = await broker.create_queue("orders")
        await queue.send("tea")
        (message,) = await queue.receive()
        for attempt in (
            lambda: queue.send("x", delay_ms=wrong),
            lambda: queue.send("x", delay_ms=True),
            lambda: queue.send("x", group_id=cast("Any", 5)),
            lambda: queue.send(cast("Any", b"x")),
            lambda: message.release(wrong),
            lambda: message.extend(wrong),
            lambda: queue.receive(visibility_timeout_ms=wrong),
            lambda: queue.receive(messages_max=wrong),
            lambda: broker.create_queue("other", visibility_timeout_ms=wrong),
            lambda: queue.configure(visibility_timeout_ms=wrong),
            lambda: queue.configure(tags=None),
            lambda: queue.configure(attributes={"a": 1}),
            lambda: queue.configure(redrive="x"),
            lambda: queue.configure(dead_letter="x"),
            lambda: broker.create_bus("bad name!"),
            lambda: broker.put_rule("r", {"source": ["s"]}, ["orders"]),
            lambda: broker.put_rule("r", {"source": ["s"]}, [queue], input=cast("Any", 5)),
        ):
            with pytest.raises(InvalidParameter):
                await attempt()
    async with eventcore.open(path) as broker:
        statistics = await (await broker.get_queue("orders")).statistics()
        assert statistics.in_flight == 1
        assert await broker.list_queues() == ["orders"]


async def test_a_long_loop_of_calls_keeps_nobody_from_running() -> None:
    async with eventcore.open() as broker:
        queue = await broker.create_queue("orders")
        turns = 0

        async def count() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        counting = asyncio.create_task(count())
        for _ in range(60_000):
            await queue.send("x")
        counting.cancel()
        assert turns > 100
        assert (await queue.statistics()).visible == 60_000


async def test_leaving_the_broker_drains_handlers_that_run_in_a_task() -> None:
    started, finished = asyncio.Event(), False
    async with eventcore.open() as broker:

        @broker.queue("jobs")
        async def handle(message: eventcore.Message) -> None:
            nonlocal finished
            started.set()
            await asyncio.sleep(0.1)
            finished = True

        queue = await broker.create_queue("jobs")
        await queue.send("slow")
        running = asyncio.create_task(broker.run())
        await started.wait()
    assert finished
    await asyncio.wait_for(running, 2)


async def test_handlers_of_rules_need_names_of_their_own() -> None:
    async with eventcore.open() as broker:
        broker.rule({"source": ["a"]}, name="same")(lambda event: None)
        with pytest.raises(InvalidParameter, match="name"):
            broker.rule({"source": ["b"]}, name="same")(lambda event: None)


async def test_a_bad_retry_is_the_handlers_fault_and_the_consumer_goes_on() -> None:
    async with eventcore.open() as broker:
        done: list[str] = []

        @broker.queue("jobs", visibility_timeout_ms=50)
        async def handle(message: eventcore.Message) -> None:
            if message.body == "bad" and message.receives == 1:
                raise eventcore.Retry(delay_ms=cast("Any", "5"))
            if message.body == "jitter" and message.receives == 1:
                raise eventcore.Retry(delay_ms=0.7)
            done.append(message.body)

        async with broker.running():
            queue = await broker.get_queue("jobs")
            await queue.send_many(["bad", "jitter"])
            await until(lambda: len(done) == 2)
        assert sorted(done) == ["bad", "jitter"]


async def test_a_handler_that_waits_for_something_cancelled_has_failed(
    broker: eventcore.Broker, caplog: pytest.LogCaptureFixture
) -> None:
    orders = await broker.create_queue("orders", visibility_timeout_ms=200)
    calls = anyio.Event()
    tries = []

    @broker.queue("orders")
    async def handle(message: eventcore.Message) -> None:
        tries.append(message.receives)
        if len(tries) > 1:
            calls.set()
            return
        lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        lost.cancel()
        await lost

    async with broker.running():
        await orders.send("x")
        with anyio.fail_after(20):
            await calls.wait()
    assert tries == [1, 2]
    assert "handler_failed" in caplog.text


async def test_a_fault_of_the_body_comes_out_as_itself_and_handlers_run_once() -> None:
    async with eventcore.open() as broker:

        @broker.queue("jobs")
        async def handle(message: eventcore.Message) -> None:
            pass

        with pytest.raises(ValueError, match="mine"):
            async with broker.running():
                raise ValueError("mine")
        async with broker.running():
            with pytest.raises(Conflict):
                await broker.run()
            with pytest.raises(Conflict):
                broker.queue("late")(handle)


async def test_a_short_visibility_timeout_is_extended_in_time() -> None:
    async with eventcore.open() as broker:
        calls: list[int] = []

        @broker.queue("jobs", visibility_timeout_ms=150)
        async def handle(message: eventcore.Message) -> None:
            calls.append(message.receives)
            await asyncio.sleep(0.6)

        async with broker.running():
            await (await broker.get_queue("jobs")).send("slow")
            await until(lambda: bool(calls))
            await asyncio.sleep(0.5)
        assert calls == [1]


async def test_a_read_error_loses_no_message_that_was_spilled() -> None:
    store = UnreadableStore(MemoryStore(holds_replies=True))
    async with eventcore.open(store=store, memory_bytes_max=10) as broker:
        dead = await broker.create_queue("dead")
        queue = await broker.create_queue("jobs", dead_letter=dead, receives_max=1)
        await queue.send("x" * 100)
        (message,) = await queue.receive()
        await message.release()
        store.is_unreadable = True
        with pytest.raises(StoreUnavailable):
            await queue.receive()
        store.is_unreadable = False
        await until(lambda: broker.engine.is_ready)
        assert await queue.receive() == []
        assert [m.body for m in await dead.receive()] == ["x" * 100]


async def test_closing_over_the_bound_of_a_batch_comes_to_an_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "BATCH_ROWS_MAX", 10)
    store = FaultyStore(MemoryStore(holds_replies=True))
    async with eventcore.open(store=store, drain_ms=200) as broker:
        queue = await broker.create_queue("q")
        other = await broker.create_queue("o")
        poll = asyncio.create_task(queue.receive(wait_ms=20_000))
        await asyncio.sleep(0.05)
        store.hold()
        sends: list[asyncio.Task[Any]] = [asyncio.create_task(other.send("x"))]
        await asyncio.sleep(0.01)
        sends.append(asyncio.create_task(queue.send_many([str(n) for n in range(20)])))
        await asyncio.sleep(0.01)
        asyncio.get_running_loop().call_later(0.05, store.release)
    await asyncio.wait_for(asyncio.gather(*sends, poll, return_exceptions=True), 5)
    assert all(send.exception() is None for send in sends)


async def test_a_plain_function_that_makes_a_coroutine_is_awaited() -> None:
    async with eventcore.open() as broker:
        done: list[str] = []

        async def real(message: eventcore.Message) -> None:
            done.append(message.body)

        broker.queue("jobs")(lambda message: real(message))  # noqa: PLW0108
        async with broker.running():
            await (await broker.get_queue("jobs")).send("x")
            await until(lambda: bool(done))
    assert done == ["x"]


async def test_a_heartbeat_does_not_undo_a_retry() -> None:
    store = SlowStore(MemoryStore(holds_replies=True), 0.2)
    async with eventcore.open(store=store) as broker:
        calls: list[int] = []

        @broker.queue("jobs", visibility_timeout_ms=900)
        async def handle(message: eventcore.Message) -> None:
            calls.append(message.receives)
            raise eventcore.Retry(delay_ms=60_000)

        async with broker.running():
            await (await broker.get_queue("jobs")).send("x")
            await until(lambda: bool(calls))
            await asyncio.sleep(2)
    assert calls == [1]


async def test_running_stopping_and_leaving_in_every_order() -> None:
    async with eventcore.open(drain_ms=3_000) as broker:
        done: list[str] = []

        @broker.queue("jobs")
        async def handle(message: eventcore.Message) -> None:
            done.append(message.body)

        async with asyncio.timeout(2):
            broker.stop()
            await broker.run()  # a stop before the run counts
            await broker.drain()  # nothing runs
            async with broker.running():
                await (await broker.get_queue("jobs")).send("x")
                await until(lambda: done == ["x"])
                await broker.drain()  # waits for the handlers, not for this block

        async def outlive() -> None:
            async with broker.running():
                await asyncio.sleep(100)

        left = asyncio.create_task(outlive())
        await asyncio.sleep(0.05)
        began = asyncio.get_running_loop().time()
    assert asyncio.get_running_loop().time() - began < 1
    left.cancel()
    await asyncio.gather(left, return_exceptions=True)
    with pytest.raises(BrokerClosed):
        await broker.run()


async def test_the_resources_of_an_event_are_a_list(broker: eventcore.Broker) -> None:
    for wrong in ("arn:x", None, 5):
        event = eventcore.Event(source="s", detail_type="d", resources=cast("Any", wrong))
        with pytest.raises(InvalidParameter, match="resources"):
            await broker.put_events([event])


class SlowStore:
    """A store whose appends take a while."""

    def __init__(self, inner: MemoryStore, seconds: float) -> None:
        self._inner = inner
        self._seconds = seconds

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def append(self, batch: Batch, done: Done) -> None:
        asyncio.get_running_loop().call_later(self._seconds, self._inner.append, batch, done)


class UnreadableStore:
    """A store whose rows can not be read back while the test says so."""

    def __init__(self, inner: MemoryStore) -> None:
        self._inner = inner
        self.is_unreadable = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def read(self, component: int, keys: Sequence[int]) -> list[bytes | None]:
        if self.is_unreadable:
            raise StoreUnavailable("an injected read error")
        return self._inner.read(component, keys)
