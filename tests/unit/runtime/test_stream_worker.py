"""Workers of a consumer group, on a clock that the test moves."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from eventcore import limits
from eventcore.consumers.checkpoint import after_record
from eventcore.errors import InvalidParameter, LeaseLost, NotFound, SourceUnavailable
from eventcore.runtime.consumer import Reject, Retry
from eventcore.runtime.stream_handling import RecordBatch
from eventcore.runtime.stream_source import StreamRecord
from eventcore.streams.aggregation import UserRecord, aggregate
from tests.unit.runtime.stream_fakes import Crew, shard_id, texts


class Handler:
    """Keeps what it was given; can be made to wait or to fail."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.faults: list[Exception] = []
        self.gate: asyncio.Event | None = None
        self.running = 0
        self.running_max = 0

    async def __call__(self, record: StreamRecord) -> None:
        self.running += 1
        self.running_max = max(self.running_max, self.running)
        try:
            if self.gate is not None:
                await self.gate.wait()
            if self.faults:
                raise self.faults.pop(0)
            self.seen.append(record.text)
        finally:
            self.running -= 1


async def test_records_come_in_order_and_the_checkpoint_follows():
    async with Crew() as crew:
        for number in range(5):
            crew.stream.put(0, "k", str(number))
        handler = Handler()
        await crew.start("a", handler)
        assert handler.seen == list("01234")
        assert crew.leases.checkpoints == [(shard_id(0), "5")]
        crew.stream.put(0, "k", "5")
        await crew.settle()
        assert handler.seen == list("012345")
        assert crew.leases.stands(0) == "6"


async def test_a_checkpoint_after_each_record():
    async with Crew(checkpoint="record") as crew:
        for number in range(3):
            crew.stream.put(0, "k", str(number))
        await crew.start("a", Handler())
        assert [to for _, to in crew.leases.checkpoints] == ["1", "2", "3"]


async def test_a_large_read_is_handled_in_batches():
    async with Crew(batch_max=2, batches=True) as crew:
        for number in range(5):
            crew.stream.put(0, "k", str(number))
        seen: list[list[str]] = []

        async def handler(batch: RecordBatch) -> None:
            seen.append(texts(batch))

        await crew.start("a", handler)
        assert seen == [["0", "1"], ["2", "3"], ["4"]]
        assert [to for _, to in crew.leases.checkpoints] == ["2", "4", "5"]


async def test_a_handler_that_writes_checkpoints_itself():
    async with Crew(batches=True, checkpoint="handler") as crew:
        for number in range(4):
            crew.stream.put(0, "k", str(number))
        batches: list[RecordBatch] = []

        async def handler(batch: RecordBatch) -> None:
            batches.append(batch)
            if len(batch) > 1:
                await batch.checkpoint(batch[1])

        await crew.start("a", handler)
        assert crew.leases.stands(0) == "2"
        await batches[0].checkpoint()
        assert crew.leases.stands(0) == "4"
        await batches[0].checkpoint(batches[0][0])
        assert crew.leases.stands(0) == "4", "never back"
        crew.stream.put(0, "k", "x")
        await crew.settle()
        with pytest.raises(InvalidParameter):
            await batches[0].checkpoint(batches[1][0])
        crew.stream.split(0)
        await crew.settle()
        assert (len(batches[-1]), batches[-1].is_shard_end) == (0, True)
        assert crew.leases.stands(0) == "SHARD_END"


async def test_a_batch_that_failed_comes_again_behind_its_checkpoint():
    async with Crew(batches=True, checkpoint="handler") as crew:
        for number in range(4):
            crew.stream.put(0, "k", str(number))
        seen: list[tuple[int, list[str]]] = []

        async def handler(batch: RecordBatch) -> None:
            seen.append((batch.attempt, texts(batch)))
            if batch.attempt == 1:
                await batch.checkpoint(batch[2])
                raise ValueError("no")

        await crew.start("a", handler)
        await crew.wait(100)
        assert seen == [(1, ["0", "1", "2", "3"]), (2, ["3"])]


async def test_a_failing_record_is_tried_again_and_blocks_its_shard():
    async with Crew(2) as crew:
        crew.stream.put(0, "k", "first")
        crew.stream.put(0, "k", "second")
        handler = Handler()
        handler.faults = [ValueError("no"), ValueError("no"), ValueError("no")]
        await crew.start("a", handler)
        crew.stream.put(1, "k", "other shard")
        await crew.settle()
        assert handler.seen == []
        await crew.wait(99)
        assert len(handler.faults) == 1, "each shard has had a fault"
        await crew.wait(1)
        assert "other shard" in handler.seen or "first" in handler.seen
        await crew.wait(300)
        assert sorted(handler.seen) == ["first", "other shard", "second"]
        assert handler.seen.index("first") < handler.seen.index("second")


async def test_the_delay_of_a_retry_is_the_handlers():
    async with Crew() as crew:
        crew.stream.put(0, "k", "x")
        handler = Handler()
        handler.faults = [Retry(delay_ms=2_500)]
        await crew.start("a", handler)
        await crew.wait(2_499)
        assert handler.seen == []
        await crew.wait(1)
        assert handler.seen == ["x"]


async def test_after_its_attempts_a_record_goes_elsewhere():
    given_up: list[tuple[str, str]] = []

    async def on_failure(record: StreamRecord, error: Exception) -> None:
        if not given_up:
            given_up.append((record.text, "and failed"))
            raise OSError("no")
        given_up.append((record.text, repr(error)))

    async with Crew(attempts_max=2, on_failure=on_failure) as crew:
        crew.stream.put(0, "k", "bad")
        crew.stream.put(0, "k", "good")
        handler = Handler()
        handler.faults = [ValueError("1"), ValueError("2")]
        await crew.start("a", handler)
        await crew.wait(500)
        assert given_up == [("bad", "and failed"), ("bad", "ValueError('2')")]
        assert handler.seen == ["good"]
        assert crew.leases.stands(0) == "2"


async def test_a_rejected_record_is_passed_over_at_once_and_the_log_says_which(caplog):
    async with Crew() as crew:
        crew.stream.put(0, "k", "bad")
        crew.stream.put(0, "k", "good")
        handler = Handler()
        handler.faults = [Reject()]
        await crew.start("a", handler)
        assert handler.seen == ["good"]
    (line,) = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert line.startswith(f"record_rejected shard={shard_id(0)!r} record='1'")


async def test_a_cancellation_that_is_the_handlers_own_is_a_fault_as_any_other():
    given_up: list[tuple[str, str]] = []

    async def on_failure(record: StreamRecord, error: Exception) -> None:
        given_up.append((record.text, str(error)))

    async with Crew(attempts_max=2, on_failure=on_failure) as crew:
        called: list[str] = []

        async def handler(record: StreamRecord) -> None:
            called.append(record.text)
            if record.text == "bad":
                cancelled = asyncio.get_running_loop().create_future()
                cancelled.cancel()
                await cancelled

        crew.stream.put(0, "k", "bad")
        crew.stream.put(0, "k", "good")
        await crew.start("a", handler)
        await crew.wait(100)
        assert called == ["bad", "bad", "good"]
        assert given_up == [("bad", "cancelled, but not by the worker")]
        assert crew.leases.stands(0) == "2"


async def test_keys_go_side_by_side_and_each_in_its_order():
    async with Crew(concurrency=3, checkpoint="record") as crew:
        for number in range(12):
            crew.stream.put(0, "abcd"[number % 4], f"{'abcd'[number % 4]}{number}")
        handler = Handler()
        handler.gate = asyncio.Event()
        await crew.start("a", handler)
        assert handler.running == 3
        handler.gate.set()
        await crew.settle()
        assert handler.running_max == 3
        for key in "abcd":
            own = [int(text[1:]) for text in handler.seen if text[0] == key]
            assert own == sorted(own)
        assert len(handler.seen) == 12
        assert crew.leases.stands(0) == "12"
        orders = [int(to) for _, to in crew.leases.checkpoints]
        assert orders == sorted(orders)


async def test_the_checkpoint_never_passes_a_record_that_is_not_done():
    async with Crew(concurrency=2) as crew:
        crew.stream.put(0, "slow", "slow")
        for number in range(3):
            crew.stream.put(0, "fast", str(number))
        gate = asyncio.Event()

        async def handler(record: StreamRecord) -> None:
            if record.text == "slow":
                await gate.wait()

        worker = await crew.start("a", handler)
        worker.stop()
        await crew.settle()
        assert crew.leases.checkpoints == []
        gate.set()
        await crew.settle()
        assert crew.leases.stands(0) == "4"


async def test_a_plain_function_runs_in_a_thread():
    async with Crew(batches=True, checkpoint="handler") as crew:
        crew.stream.put(0, "k", "x")
        threads: list[int] = []

        def handler(batch: RecordBatch) -> None:
            threads.append(threading.get_ident())
            batch.checkpoint_from_thread()

        await crew.start("a", handler)
        while crew.leases.stands(0) != "1":
            await asyncio.sleep(0.001)
        assert threads != [threading.get_ident()]


async def test_children_are_consumed_after_their_parents():
    async with Crew(2) as crew:
        handler = Handler()
        handler.gate = asyncio.Event()
        crew.stream.put(0, "k", "parent")
        crew.stream.split(0)
        crew.stream.put(2, "k", "left child")
        crew.stream.put(3, "k", "right child")
        crew.stream.merge(1, 3)
        crew.stream.put(4, "k", "grandchild")
        await crew.start("a", handler)
        assert handler.running == 1
        handler.gate.set()
        await crew.wait(1_000)
        assert handler.seen[0] == "parent"
        assert handler.seen.index("right child") < handler.seen.index("grandchild")
        assert sorted(handler.seen) == ["grandchild", "left child", "parent", "right child"]
        assert crew.leases.stands(0) == "SHARD_END"


async def test_a_second_worker_gets_its_share_after_a_gentle_hand_over():
    async with Crew(4) as crew:
        first, second = Handler(), Handler()
        first.gate = asyncio.Event()
        await crew.start("a", first)
        for number in range(4):
            crew.stream.put(number, "k", f"{number}-0")
            crew.stream.put(number, "k", f"{number}-1")
        await crew.settle()
        await crew.start("b", second)
        assert set(crew.leases.owners().values()) == {"a"}, "its handlers are still running"
        first.gate.set()
        await crew.settle()
        owners = list(crew.leases.owners().values())
        assert sorted(owners) == ["a", "a", "b", "b"]
        await crew.settle()
        assert sorted(first.seen + second.seen) == sorted(
            f"{shard}-{at}" for shard in range(4) for at in range(2)
        ), "each record once: nothing was begun twice"


async def test_an_owner_that_does_not_come_to_an_end_is_passed_over_and_cancelled():
    async with Crew(2, handover_ms=2_000) as crew:
        stuck, second = Handler(), Handler()
        stuck.gate = asyncio.Event()
        await crew.start("a", stuck)
        crew.stream.put(0, "k", "0")
        crew.stream.put(1, "k", "1")
        await crew.settle()
        await crew.start("b", second)
        await crew.wait(1_999)
        assert (stuck.running, second.seen) == (2, [])
        await crew.wait(5_000)
        assert (stuck.running, second.seen) == (1, ["1"])


async def test_an_owner_that_hears_nothing_more_ends_with_the_hand_over():
    async with Crew(2, handover_ms=2_000) as crew:
        stuck = Handler()
        stuck.gate = asyncio.Event()
        await crew.start("a", stuck)
        for number in range(2):
            crew.stream.put(number, "k", "x")
        await crew.settle()
        await crew.start("b", Handler())
        crew.leases.is_down = True
        await crew.wait(1_900)
        assert stuck.running == 2
        await crew.wait(100)
        assert stuck.running == 1, "the other one's lease goes on"
        crew.leases.is_down = False


async def test_an_answer_that_is_old_gives_nothing_back():
    async with Crew() as crew:
        handler = Handler()
        await crew.start("a", handler)
        crew.leases.answers = asyncio.Event()
        await crew.wait(3_400)
        crew.stream.split(0)
        await crew.settle()
        assert crew.leases.stands(0) == "SHARD_END", "while the answer was on its way"
        crew.leases.answers.set()
        await crew.wait(1_000)
        opened = [name for name, _ in crew.stream.opened]
        assert sorted(opened) == [shard_id(0), shard_id(1), shard_id(2)]


async def test_what_runs_is_cancelled_when_the_group_says_that_the_lease_is_gone():
    async with Crew() as crew:
        begun: list[str] = []
        running: list[str] = []
        gate = asyncio.Event()

        async def handler(record: StreamRecord) -> None:
            begun.append(record.text)
            running.append(record.text)
            try:
                await gate.wait()
            finally:
                running.remove(record.text)

        await crew.start("a", handler)
        crew.stream.put(0, "k", "x")
        await crew.settle()
        counter = crew.leases.group.find(shard_id(0)).counter
        await crew.leases.leave("a")  # by another process that calls itself "a"
        await crew.wait(4_000)
        assert (begun, running) == (["x", "x"], ["x"])
        assert crew.leases.group.find(shard_id(0)).counter == counter + 2
        gate.set()


async def test_a_lease_that_could_not_be_given_up_is_given_up_later():
    async with Crew(2) as crew:
        await crew.start("a", Handler())
        release, faults = crew.leases.release, [SourceUnavailable("leases", "no answer")]

        async def fail_once(*arguments: Any) -> None:
            if faults:
                raise faults.pop()
            await release(*arguments)

        crew.leases.release = fail_once  # type: ignore[method-assign, assignment]
        await crew.start("b", Handler())
        await crew.wait(4_000)
        assert sorted(crew.leases.owners().values()) == ["a", "b"]
        assert not faults


async def test_a_dead_workers_shards_are_taken_over_from_its_checkpoint():
    async with Crew(2) as crew:
        first, second = Handler(), Handler()
        await crew.start("a", first)
        crew.stream.put(0, "k", "done")
        await crew.settle()
        first.gate = asyncio.Event()
        crew.stream.put(0, "k", "begun")
        await crew.settle()
        await crew.kill("a")
        await crew.start("b", second)
        await crew.wait(9_000)
        assert second.seen == []
        await crew.wait(2_000)
        assert (first.seen, second.seen) == (["done"], ["begun"])


async def test_a_worker_without_its_group_stops_by_its_own_clock():
    async with Crew() as crew:
        handler = Handler()
        handler.gate = asyncio.Event()
        await crew.start("a", handler)
        crew.stream.put(0, "k", "x")
        await crew.settle()
        crew.leases.is_down = True
        await crew.wait(9_900)
        assert handler.running == 1
        await crew.wait(100)
        assert handler.running == 0, "its lease is over, whoever may have it now"
        handler.gate.set()
        crew.leases.is_down = False
        await crew.wait(2_000)
        assert handler.seen == ["x"]


async def test_a_fault_that_lasts_is_written_now_and_then(caplog):
    async with Crew() as crew:
        await crew.start("a", Handler())
        crew.leases.is_down = True
        await crew.wait(30_000)
        lines = [record.getMessage() for record in caplog.records]
        failed = [line for line in lines if line.startswith("heartbeat_failed")]
        assert 2 <= len(failed) <= 30_000 // limits.WARNING_INTERVAL_MS + 1
        assert "the daemon does not answer" in failed[0]
        assert "not_logged_since=0" not in failed[-1], "and the others are counted"


async def test_what_runs_beside_a_lane_that_saw_the_end_is_cancelled_too():
    async with Crew(concurrency=2) as crew:
        running: list[str] = []
        gates = {"a": asyncio.Event(), "b": asyncio.Event()}

        async def handler(record: StreamRecord) -> None:
            running.append(record.text)
            try:
                await gates[record.partition_key].wait()
            finally:
                running.remove(record.text)

        await crew.start("a", handler)
        crew.leases.is_down = True
        crew.stream.put(0, "a", "a1")
        crew.stream.put(0, "a", "a2")
        crew.stream.put(0, "b", "b1")
        await crew.settle()
        gates["a"].set()
        crew.clock._now_ms += 10_000
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        await crew.wait(1)
        assert running == []
        crew.leases.is_down = False


async def test_a_batch_that_is_done_is_not_given_up():
    failures: list[Any] = []

    async def on_failure(batch: RecordBatch, error: Exception) -> None:
        failures.append(batch)

    async with Crew(
        batches=True, checkpoint="handler", attempts_max=1, on_failure=on_failure
    ) as crew:
        crew.stream.put(0, "k", "x")

        async def handler(batch: RecordBatch) -> None:
            await batch.checkpoint()
            raise ValueError("after all was done")

        await crew.start("a", handler)
        assert (failures, crew.leases.stands(0)) == ([], "1")


async def test_a_stalled_worker_begins_nothing_and_its_checkpoint_is_refused():
    async with Crew(batches=True, checkpoint="handler") as crew:
        batches: list[RecordBatch] = []
        gate = asyncio.Event()

        async def handler(batch: RecordBatch) -> None:
            batches.append(batch)
            await gate.wait()

        worker = await crew.start("a", handler)
        crew.stream.put(0, "k", "x")
        await crew.settle()
        # The process stands still, and the clock goes on.
        crew.clock._now_ms += 10_000
        consumer = worker._consumers[shard_id(0)]
        assert not consumer.may_go_on()
        with pytest.raises(LeaseLost):
            await batches[0].checkpoint()
        assert crew.leases.checkpoints == []


async def test_stopping_finishes_what_runs_and_leaves_at_once():
    async with Crew() as crew:
        handler = Handler()
        handler.gate = asyncio.Event()
        worker = await crew.start("a", handler)
        crew.stream.put(0, "k", "0")
        crew.stream.put(0, "k", "1")
        await crew.settle()
        worker.stop()
        await crew.settle()
        assert not crew.tasks["a"].done()
        handler.gate.set()
        await crew.settle()
        assert crew.tasks["a"].done()
        assert handler.seen == ["0"], "what had not begun is the next worker's"
        assert crew.leases.stands(0) == "1"
        assert crew.leases.left == ["a"]
        assert crew.leases.owners() == {}


@pytest.mark.parametrize("how", ["stop", "cancel"])
async def test_what_does_not_finish_in_time_is_cancelled_and_given_up(how: str):
    async with Crew(drain_ms=1) as crew:
        handler = Handler()
        handler.gate = asyncio.Event()
        worker = await crew.start("a", handler)
        crew.stream.put(0, "k", "0")
        await crew.settle()
        worker.stop() if how == "stop" else crew.tasks["a"].cancel()
        await asyncio.wait([crew.tasks["a"]])
        assert crew.tasks["a"].cancelled() == (how == "cancel")
        assert (handler.running, handler.seen) == (0, [])
        assert crew.leases.left == ["a"]
        assert crew.leases.checkpoints == []


async def test_cancelling_drains_first():
    async with Crew() as crew:
        handler = Handler()
        handler.gate = asyncio.Event()
        await crew.start("a", handler)
        crew.stream.put(0, "k", "0")
        await crew.settle()
        crew.tasks["a"].cancel()
        await crew.settle()
        handler.gate.set()
        await asyncio.wait([crew.tasks["a"]])
        assert handler.seen == ["0"]
        assert crew.leases.stands(0) == "1"


async def test_faults_of_the_source_pass():
    async with Crew() as crew:
        crew.stream.faults = [
            SourceUnavailable("stream", "no answer"),
            SourceUnavailable("stream", "no answer"),
        ]
        crew.stream.put(0, "k", "x")
        handler = Handler()
        await crew.start("a", handler)
        await crew.wait(1_000)
        assert handler.seen == ["x"]
        crew.stream.faults = [SourceUnavailable("stream", "no answer")]
        crew.stream.put(0, "k", "y")
        await crew.wait(1_000)
        assert handler.seen == ["x", "y"]
        assert crew.stream.opened[-1] == (shard_id(0), after_record("1")), "nothing twice"


async def test_a_shard_that_vanished_is_left_for_its_children():
    async with Crew() as crew:
        crew.stream.put(0, "k", "old")
        crew.stream.faults = [SourceUnavailable("stream", "no answer")]
        crew.stream.split(0)
        crew.stream.put(1, "k", "new")
        crew.stream.vanish(shard_id(0))
        handler = Handler()
        await crew.start("a", handler)
        await crew.wait(3_000)
        assert handler.seen == ["new"]


async def test_a_worker_ends_with_its_stream_and_the_log_tells_it_from_one_that_never_was(caplog):
    async with Crew() as crew:
        await crew.start("a", Handler())

        async def gone() -> Any:
            raise NotFound("stream", "orders")

        crew.stream.list_shards = gone  # type: ignore[method-assign]
        await crew.wait(5_000)
        assert crew.tasks["a"].done()
        assert "stream_deleted" in caplog.text
        assert "stream_not_found" not in caplog.text
        await crew.start("b", Handler())
        assert crew.tasks["b"].done()
        assert f"stream_not_found stream={crew.stream.stream_arn!r}" in caplog.text


async def test_lag_is_known_per_shard():
    async with Crew(2, batch_max=1) as crew:
        handler = Handler()
        handler.gate = asyncio.Event()
        for _ in range(3):
            crew.stream.put(0, "k", "x")
        worker = await crew.start("a", handler)
        lags = worker.lag()
        assert [lag.shard_id for lag in lags] == [shard_id(0), shard_id(1)]
        assert [(lag.behind_ms, lag.behind_records) for lag in lags] == [(20, 2), (0, 0)]


async def test_aggregates_are_taken_apart_on_request():
    users = [UserRecord(key, key.encode()) for key in "abc"]
    async with Crew(deaggregate=True, checkpoint="record") as crew:
        crew.stream.put(0, "k", "plain")
        crew.stream.put(0, "k", aggregate(users))
        crew.stream.put(0, "k", b"\xf3\x89\x9a\xc2 plain too")
        seen: list[tuple[str, int | None]] = []

        async def handler(record: StreamRecord) -> None:
            seen.append((record.partition_key, record.sub_sequence_number))

        await crew.start("a", handler)
        assert seen == [("k", None), ("a", 0), ("b", 1), ("c", 2), ("k", None)]
        assert [to for _, to in crew.leases.checkpoints] == ["1", "2/0", "2/1", "2", "3"]


async def test_a_worker_goes_on_inside_an_aggregate():
    async with Crew(deaggregate=True, checkpoint="record") as crew:
        crew.stream.put(0, "k", aggregate([UserRecord(key, key.encode()) for key in "abc"]))
        first, second = Handler(), Handler()
        first.faults = []

        async def once(record: StreamRecord) -> None:
            await first(record)
            first.gate = asyncio.Event()

        await crew.start("a", once)
        assert (first.seen, crew.leases.stands(0)) == (["a"], "1/0")
        await crew.kill("a")
        await crew.start("b", second)
        await crew.wait(11_000)
        assert second.seen == ["b", "c"]


async def test_user_records_of_other_shards_can_be_left_out():
    mine = UserRecord("k", b"mine", "5")
    other = UserRecord("k", b"other", str(2**128 - 1))
    async with Crew(deaggregate=True, skip_misplaced=True) as crew:
        shard = crew.stream.shards[shard_id(0)]
        crew.stream.shards[shard_id(0)] = type(shard)(shard.shard_id, (), False, 0, 10)
        crew.stream.put(0, "k", aggregate([other]))
        crew.stream.put(0, "k", aggregate([other, mine, other]))
        handler = Handler()
        await crew.start("a", handler)
        assert handler.seen == ["mine"]
        assert crew.leases.stands(0) == "2"


@pytest.mark.parametrize(
    "wrong",
    [
        {"checkpoint": "sometimes"},
        {"checkpoint": "handler"},
        {"checkpoint": "record", "batches": True},
        {"batch_max": 0},
        {"concurrency": 0},
        {"concurrency": 2, "batches": True},
        {"attempts_max": 3},
        {"attempts_max": 0, "on_failure": print},
        {"skip_misplaced": True},
        {"lease_ms": 1},
        {"drain_ms": -1},
        {"worker_id": "ü"},
    ],
)
async def test_options_that_make_no_sense_are_refused(wrong: dict[str, Any]):
    options = dict(wrong)
    async with Crew() as crew:
        with pytest.raises(InvalidParameter):
            await crew.start(options.pop("worker_id", "a"), print, **options)


async def test_many_workers_come_and_go_and_nothing_is_lost():
    """Splits, merges, deaths and newcomers; order per key, each record at least once."""
    async with Crew(3, checkpoint="record", lease_ms=1_000) as crew:
        seen: list[tuple[str, int]] = []

        async def handler(record: StreamRecord) -> None:
            await asyncio.sleep(0)
            seen.append((record.partition_key, int(record.text)))

        homes = {f"key{number}": number for number in range(3)}
        sent: dict[str, int] = dict.fromkeys(homes, 0)

        def send() -> None:
            for key, number in homes.items():
                crew.stream.put(number, key, str(sent[key]))
                sent[key] += 1

        await crew.start("w0", handler)
        for turn in range(12):
            send()
            if turn % 4 == 1:
                key = f"key{turn % 3}"
                left, _ = crew.stream.split(homes[key])
                homes[key] = int(left[-12:])
            send()
            await crew.start(f"w{turn + 1}", handler)
            if turn % 3 == 2:
                await crew.kill(f"w{turn - 1}")
            await crew.wait(250)
        await crew.wait(8_000)
        for key, count in sent.items():
            firsts = list(dict.fromkeys(number for name, number in seen if name == key))
            assert firsts == list(range(count)), f"{key}: none is lost, none overtakes another"
        owners = list(crew.leases.owners().values())
        loads = [owners.count(name) for name in crew.workers]
        assert max(loads) - min(loads) <= 1
