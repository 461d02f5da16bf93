"""Consumer groups on a real engine: streams of this process, resharding, restarts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from eventcore import limits
from eventcore.arn import stream_arn
from eventcore.codec import decode_json
from eventcore.consumers.checkpoint import after_record
from eventcore.consumers.records import Heartbeat, ShardNode, StartAt
from eventcore.errors import Conflict, InvalidParameter, LeaseLost, NotFound, SourceUnavailable
from eventcore.runtime.broker import Broker, open_broker
from eventcore.runtime.engine import Engine
from eventcore.runtime.handles import Message
from eventcore.runtime.lease_groups import group_arn
from eventcore.runtime.lease_source import BrokerLeases
from eventcore.runtime.stream_consume import ConsumePlan, StreamConsuming, dead_letter_to
from eventcore.runtime.stream_handles import OutgoingRecord, Stream, Streams
from eventcore.runtime.stream_handling import CheckpointMode
from eventcore.runtime.stream_source import StreamRecord
from eventcore.runtime.stream_worker import StreamWorker
from eventcore.stores.memory import MemoryStore
from eventcore.testing import ManualClock

ACCOUNT, REGION = "000000000000", "us-east-1"
ARN = stream_arn(ACCOUNT, REGION, "orders")


@asynccontextmanager
async def opened(path: str | None = None, **options: Any) -> AsyncIterator[Broker]:
    async with open_broker(path, **options) as broker:
        yield broker


async def make_stream(broker: Broker, shards: int = 1) -> Stream:
    return await Streams(broker.engine, ACCOUNT, REGION).create("orders", shards=shards)


class Team:
    """Workers of one group in one process."""

    def __init__(self, engine: Engine, **options: Any) -> None:
        self.engine = engine
        self.options = {"group": "billing", **options}
        self.seen: list[tuple[str, str, int]] = []
        self.tasks: dict[str, asyncio.Task[None]] = {}
        self.workers: dict[str, StreamWorker] = {}

    def start(self, name: str, **options: Any) -> StreamWorker:
        async def handler(record: StreamRecord) -> None:
            await asyncio.sleep(0)
            self.seen.append((name, record.partition_key, int(record.text)))

        chosen = {"handler": handler, **self.options, "worker_id": name, **options}
        worker = ConsumePlan(self.engine, ARN, **chosen).make()
        self.workers[name] = worker
        self.tasks[name] = asyncio.create_task(worker.run())
        return worker

    async def stop(self, *names: str) -> None:
        for name in names or list(self.workers):
            self.workers.pop(name).stop()
            await self.tasks.pop(name)

    async def until_seen(self, count: int) -> None:
        """Different records, whoever saw them."""
        async with asyncio.timeout(30):
            while len({(key, number) for _, key, number in self.seen}) < count:
                await asyncio.sleep(0.005)

    def check_order(self, keys: int, each: int) -> None:
        for key in map(str, range(keys)):
            firsts = list(dict.fromkeys(number for _, k, number in self.seen if k == key))
            assert firsts == list(range(each)), key


async def put(stream: Stream, numbers: range, keys: int = 8) -> None:
    for number in numbers:
        await stream.put_many(
            [OutgoingRecord(str(number), partition_key=str(key)) for key in range(keys)]
        )


async def test_a_stream_is_consumed_as_it_grows():
    async with opened() as broker:
        stream = await make_stream(broker, shards=4)
        await put(stream, range(3))
        team = Team(broker.engine)
        worker = team.start("a")
        await team.until_seen(24)
        await put(stream, range(3, 6))
        await team.until_seen(48)
        assert len(team.seen) == 48
        team.check_order(8, 6)
        async with asyncio.timeout(10):
            while any(lag.behind_records != 0 for lag in worker.lag()):
                await asyncio.sleep(0.005)
        assert [lag.behind_ms for lag in worker.lag()] == [0] * 4
        await team.stop()


async def test_the_next_worker_goes_on_where_the_last_one_stopped(tmp_path: Any):
    path = str(tmp_path / "events.db")
    async with opened(path) as broker:
        stream = await make_stream(broker, shards=2)
        await put(stream, range(5))
        team = Team(broker.engine)
        team.start("a")
        await team.until_seen(40)
        await team.stop()
        assert len(team.seen) == 40
    async with opened(path) as broker:
        await put(Stream(broker.engine, ARN), range(5, 7))
        team = Team(broker.engine)
        team.start("b")
        await team.until_seen(16)
        assert sorted({number for _, _, number in team.seen}) == [5, 6]
        assert len(team.seen) == 16
        await team.stop()


async def test_workers_share_a_stream_while_it_is_resharded_and_some_are_killed():
    async with opened() as broker:
        stream = await make_stream(broker, shards=2)
        team = Team(broker.engine, lease_ms=400, checkpoint="record")
        team.start("a")
        team.start("b")
        await put(stream, range(4))
        await stream.update_shard_count(4)
        await put(stream, range(4, 8))
        team.start("c")
        await team.until_seen(40)
        kill(team, "a")
        await put(stream, range(8, 12))
        await stream.update_shard_count(2)
        await put(stream, range(12, 16))
        await team.stop("b")
        team.start("d")
        await stream.split(next(s.id for s in await stream.shards() if s.end is None))
        await put(stream, range(16, 20))
        await team.until_seen(8 * 20)
        team.check_order(8, 20)
        assert {"c", "d"} <= {name for name, _, _ in team.seen}
        await team.stop()


class Unreachable:
    """A group that nobody reaches any more."""

    async def _refuse(self, *_: Any) -> Any:
        await asyncio.sleep(0)
        raise SourceUnavailable("leases", "no answer")

    heartbeat = wait = checkpoint = release = leave = describe = _refuse

    async def close(self) -> None:
        await asyncio.sleep(0)


async def test_children_are_found_at_once_whoever_ended_their_parents():
    """The group tells of the end of a shard before whoever wrote it knows that it is durable."""
    async with opened() as broker:
        stream = await make_stream(broker, shards=2)
        team = Team(broker.engine, lease_ms=3_600_000)
        team.start("a")
        team.start("b")
        for turn, count in enumerate((4, 2, 4, 8, 4, 2)):
            await put(stream, range(2 * turn, 2 * turn + 1))
            await stream.update_shard_count(count)
            await put(stream, range(2 * turn + 1, 2 * turn + 2))
        await team.until_seen(8 * 12)
        team.check_order(8, 12)
        assert len(team.seen) == 8 * 12
        await team.stop()


def kill(team: Team, name: str) -> None:
    """As if its process had died: it says nothing any more, and does nothing any more."""
    worker, task = team.workers.pop(name), team.tasks.pop(name)
    worker._leases = Unreachable()
    worker._drain_ms = 0
    for consumer in worker._consumers.values():
        consumer.abort()
    task.cancel()
    team.tasks[f"killed {name}"] = task


async def test_a_group_begins_where_it_is_told_and_groups_do_not_share():
    async with opened() as broker:
        stream = await make_stream(broker)
        await put(stream, range(2), keys=1)
        team = Team(broker.engine, start="LATEST", group="late")
        team.start("a")
        leases = BrokerLeases(broker.engine, ARN, "late")
        await until_owned(leases, 1)
        await asyncio.sleep(0.005)  # LATEST is a time, and times are in ms
        await put(stream, range(2, 4), keys=1)
        early = Team(broker.engine, group="early")
        early.start("a")
        await early.until_seen(4)
        async with asyncio.timeout(10):
            while ("a", "0", 3) not in team.seen:
                await asyncio.sleep(0.005)
        assert ("a", "0", 2) in team.seen
        assert broker.engine.groups.names(ARN) == ["early", "late"]
        await team.stop()
        await early.stop()


async def until_owned(leases: BrokerLeases, count: int) -> None:
    async with asyncio.timeout(10):
        while True:
            try:
                described = await leases.describe()
            except NotFound:
                described = None
            if described and sum(bool(lease.owner) for lease in described.leases) == count:
                return
            await asyncio.sleep(0.002)


async def test_a_time_in_the_past_is_a_start_too():
    async with opened() as broker:
        stream = await make_stream(broker)
        await put(stream, range(1), keys=2)
        team = Team(broker.engine, start=datetime.now(UTC) - timedelta(hours=1))
        team.start("a")
        await team.until_seen(2)
        assert len(team.seen) == 2
        await team.stop()


async def test_deleting_a_stream_ends_its_workers_and_its_groups():
    async with opened() as broker:
        stream = await make_stream(broker)
        await put(stream, range(1), keys=1)
        team = Team(broker.engine, lease_ms=300)
        team.start("a")
        await team.until_seen(1)
        await stream.delete()
        async with asyncio.timeout(10):
            await team.tasks["a"]
        with pytest.raises(NotFound):
            await BrokerLeases(broker.engine, ARN, "billing").describe()


async def test_workers_end_with_the_broker():
    async with opened() as broker:
        await make_stream(broker)
        team = Team(broker.engine, lease_ms=300)
        team.start("a")
        await until_owned(BrokerLeases(broker.engine, ARN, "billing"), 1)
    async with asyncio.timeout(10):
        await team.tasks["a"]
    assert team.workers["a"].lag() == []


async def test_what_can_not_be_handled_becomes_a_dead_letter():
    async with opened() as broker:
        stream = await make_stream(broker)
        letters = await broker.create_queue("letters")
        placed = await stream.put(b"\x00bad", partition_key="k")

        async def handler(record: StreamRecord) -> None:
            raise ValueError("no such order")

        team = Team(broker.engine)
        team.start("a", handler=handler, attempts_max=1, dead_letter=letters)
        message: Message
        (message,) = await letters.receive(wait_ms=10_000)
        letter = decode_json(message.body)
        assert letter["sequenceNumber"] == placed.sequence_number
        assert (letter["partitionKey"], letter["data"]) == ("k", "AGJhZA==")
        assert letter["error"] == "ValueError('no such order')"
        assert (letter["consumerGroup"], letter["streamArn"]) == ("billing", ARN)
        await team.stop()


async def test_a_fifo_queue_takes_dead_letters_once():
    async with opened() as broker:
        letters = await broker.create_queue("letters.fifo")
        record = StreamRecord(
            shard_id="s", sequence_number="1", partition_key="k", data=b"x", arrived_ms=1
        )
        for _ in range(2):
            sending = dead_letter_to(letters, ARN, "billing")(record, ValueError("no"))
            assert sending is not None
            await sending
        (message,) = await letters.receive(messages_max=10)
        assert message.group_id == "s"


async def test_data_that_no_message_can_hold_is_left_out_of_the_dead_letter():
    async with opened() as broker:
        letters = await broker.create_queue("letters")
        record = StreamRecord(
            shard_id="s", sequence_number="1", partition_key="k", data=b"x" * 900_000, arrived_ms=1
        )
        sending = dead_letter_to(letters, ARN, "billing")(record, ValueError("x" * 5_000))
        assert sending is not None
        await sending
        (message,) = await letters.receive()
        letter = decode_json(message.body)
        assert letter["dataIsOmitted"] is True
        assert "data" not in letter


@pytest.mark.parametrize(
    "wrong",
    [
        {"group": ""},
        {"group": "a/b"},
        {"group": "g" * 129},
        {"start": "EARLIEST"},
        {"start": datetime(2026, 1, 1)},  # noqa: DTZ001  (that is the point)
        {"start": datetime.now(UTC) + timedelta(hours=1)},
        {"attempts_max": 1, "dead_letter": "the name of a queue"},
        {"concurrency": 0},
    ],
)
async def test_a_plan_that_makes_no_sense_is_refused_at_once(wrong: dict[str, Any]):
    async with opened() as broker:
        with pytest.raises(InvalidParameter):
            ConsumePlan(broker.engine, ARN, print, **{"group": "billing", **wrong})


@pytest.mark.parametrize(
    "arn",
    [
        "",
        "orders",
        "arn:aws:sqs:us-east-1:000000000000:orders",
        "arn:aws:events:us-east-1:000000000000:event-bus/default",
        "arn:aws:kinesis:us-east-1:000000000000:stream/",
        ARN + "/consumer/reader:1",
        ARN + "/group/billing",
        ARN + "\n",
        ARN + "o" * limits.ARN_CHARACTERS_MAX,
    ],
)
def test_a_group_is_of_a_stream_and_of_nothing_else(arn: str):
    with pytest.raises(InvalidParameter, match=r"stream_arn: Must be the ARN of a stream\."):
        group_arn(arn, "billing")
    assert group_arn(ARN, "billing") == f"{ARN}/group/billing"


async def test_what_is_given_up_has_one_place_to_go():
    async with opened() as broker:
        letters = await broker.create_queue("letters")
        with pytest.raises(InvalidParameter, match="Give either this or dead_letter"):
            ConsumePlan(
                broker.engine, ARN, print, group="billing", on_failure=print, dead_letter=letters
            )


async def test_who_waits_is_told_of_a_worker_that_died_in_silence():
    clock = ManualClock()
    async with Engine.open(MemoryStore(), clock=clock) as engine:
        leases = BrokerLeases(engine, ARN, "billing", StartAt())
        lineage = (ShardNode("shardId-000000000000"),)
        await leases.heartbeat(Heartbeat("a", lineage, 10_000))
        second = await leases.heartbeat(Heartbeat("b", None, 60_000))
        waiting = asyncio.create_task(leases.wait(second.change, 50_000))
        await clock.run_for(9_999)
        assert not waiting.done()
        await clock.run_for(1)
        assert waiting.done()
        (lease,) = (await leases.heartbeat(Heartbeat("b", None, 60_000))).leases
        with pytest.raises(LeaseLost):
            await leases.checkpoint(lease.shard_id, "a", lease.counter - 2, after_record("1"))
        await leases.checkpoint(lease.shard_id, "b", lease.counter, after_record("1"))
        waiting = asyncio.create_task(leases.wait(0, 50_000))
        await clock.run_for(0)
        assert waiting.done(), "an old number is answered at once"


async def test_leases_outlive_a_restart(tmp_path: Any):
    path = str(tmp_path / "events.db")
    lineage = (ShardNode("shardId-000000000000"),)
    async with opened(path) as broker:
        leases = BrokerLeases(broker.engine, ARN, "billing")
        (lease,) = (await leases.heartbeat(Heartbeat("a", lineage))).leases
        await leases.checkpoint(lease.shard_id, "a", lease.counter, after_record("7"))
    async with opened(path) as broker:
        leases = BrokerLeases(broker.engine, ARN, "billing")
        assert (await leases.heartbeat(Heartbeat("b", lineage))).leases == ()
        (again,) = (await leases.heartbeat(Heartbeat("a", lineage))).leases
        assert (again.counter, again.checkpoint) == (lease.counter, after_record("7"))


async def test_a_deleted_group_begins_anew_and_repeats_no_counter():
    clock = ManualClock()
    async with Engine.open(MemoryStore(), clock=clock) as engine:
        leases = BrokerLeases(engine, ARN, "billing")
        first = await leases.heartbeat(Heartbeat("a", (ShardNode("shardId-000000000000"),)))
        waiting = asyncio.create_task(leases.wait(first.change, 60_000))
        await asyncio.sleep(0)
        engine.begin()
        engine.groups.delete(leases.arn)
        await clock.run_for(1)
        assert waiting.done()
        again = await leases.heartbeat(Heartbeat("a", (ShardNode("shardId-000000000000"),)))
        (old,), (new,) = first.leases, again.leases
        assert (new.shard_id, new.checkpoint) == (old.shard_id, old.checkpoint)
        assert new.counter != old.counter
        with pytest.raises(LeaseLost):
            await leases.checkpoint(new.shard_id, "a", old.counter, after_record("7"))


async def until_made_anew(leases: BrokerLeases) -> None:
    while True:
        with suppress(NotFound):
            if all(lease.owner for lease in (await leases.describe()).leases):
                return
        await asyncio.sleep(0.002)


@pytest.mark.parametrize("checkpoint", ["record", "batch"])
async def test_a_stream_that_is_made_anew_while_a_handler_runs_is_consumed_from_its_start(
    checkpoint: CheckpointMode,
):
    async with opened() as broker:
        stream = await make_stream(broker)
        await put(stream, range(5), keys=1)
        seen: list[str] = []
        entered, gate = asyncio.Event(), asyncio.Event()

        async def handle(record: StreamRecord) -> None:
            if not gate.is_set():
                entered.set()
                await gate.wait()
            seen.append(record.text)

        worker = ConsumePlan(
            broker.engine, ARN, handle, group="billing", checkpoint=checkpoint, worker_id="a"
        ).make()
        running = asyncio.create_task(worker.run())
        async with asyncio.timeout(30):
            await entered.wait()
            await Streams(broker.engine, ACCOUNT, REGION).delete("orders")
            anew = await make_stream(broker)
            await put(anew, range(10, 15), keys=1)
            await until_made_anew(BrokerLeases(broker.engine, ARN, "billing"))
            gate.set()
            while "14" not in seen:
                await asyncio.sleep(0.002)
        worker.stop()
        await running
        new = [text for text in seen if int(text) >= 10]
        assert new == ["10", "11", "12", "13", "14"]


async def test_handlers_are_registered_and_run_with_the_broker():
    async with opened() as broker:
        stream = await make_stream(broker)
        await put(stream, range(2), keys=1)
        await broker.engine.sleep(2)  # LATEST is a time: what came in its millisecond is in it
        streams = StreamConsuming(broker.engine, Streams(broker.engine, ACCOUNT, REGION).arn)
        seen: list[str] = []

        @streams.consume("orders", group="billing")
        async def handle(record: StreamRecord) -> None:
            seen.append(record.text)

        async def audit(record: StreamRecord) -> None:
            seen.append(record.text)

        assert streams.consume("orders", audit, group="audit", start="LATEST") is audit
        assert streams.consumed_names == ["orders"]
        with pytest.raises(InvalidParameter):
            streams.consume("orders", print, group="no group")
        workers = streams.begin_consuming(drain_ms=1_000)
        assert len(workers) == 2, "what was refused is not run"
        running = [asyncio.create_task(worker.run()) for worker in workers]
        async with asyncio.timeout(10):
            while len(seen) < 2 or len(streams.lag()) < 2:
                await asyncio.sleep(0.002)
        with pytest.raises(Conflict):
            streams.consume("orders", print, group="late")
        for worker in workers:
            worker.stop()
        await asyncio.gather(*running)
        streams.end_consuming()
        assert (seen, streams.lag()) == (["0", "1"], [])
