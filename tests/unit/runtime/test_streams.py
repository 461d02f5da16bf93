"""Streams in the engine: iterators, reading, statuses on the clock, accounts, buses."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from eventcore import limits
from eventcore.buses.bus import EventEntry, RuleSpec, Target
from eventcore.errors import (
    AlreadyExists,
    Conflict,
    Expired,
    InvalidParameter,
    LimitExceeded,
    NotFound,
    StoreUnavailable,
    ThroughputExceeded,
)
from eventcore.limits import AWS_QUOTAS, Quotas
from eventcore.runtime.engine import Engine
from eventcore.streams.sequence_number import sequence_text
from eventcore.streams.stream_spec import RecordEntry
from tests.unit.runtime.rig import PREFIX, turn
from tests.unit.runtime.stream_engine import DAY_MS, SHARD, Sink, StreamEngine, arn, shard

MIB = 1 << 20
SLOW = Quotas(stream_transition_ms=500)


async def engine(shards: int = 1, **options: Any) -> StreamEngine:
    rig = await StreamEngine(**options).start()
    rig.make(shards, record_bytes_max=10 * MIB)
    await rig.run_for(1_000)
    return rig


# Where reading begins


async def test_all_five_starting_positions():
    rig = await engine()
    rig.put(b"a", b"b")
    rig.clock.advance(10)
    middle = rig.put_one(b"c").sequence_number
    middle_ms = rig.clock.now_ms()
    latest = rig.token("LATEST")
    rig.clock.advance(10)
    rig.put(b"d", b"e")
    assert rig.at("TRIM_HORIZON") == [b"a", b"b", b"c", b"d", b"e"]
    assert rig.read(latest) == [b"d", b"e"]
    assert rig.at("LATEST") == []
    assert rig.at("AT_SEQUENCE_NUMBER", sequence_number=middle) == [b"c", b"d", b"e"]
    assert rig.at("AFTER_SEQUENCE_NUMBER", sequence_number=middle) == [b"d", b"e"]
    assert rig.at("AT_TIMESTAMP", timestamp_ms=middle_ms) == [b"c", b"d", b"e"]


async def test_a_time_may_be_before_between_at_and_after_the_records():
    rig = await engine()
    times: list[int] = []
    for at in range(40):
        times += [rig.clock.now_ms()] * 3
        rig.put(*(b"%d" % (3 * at + each) for each in range(3)))
        rig.clock.advance(7)
        if at % 5 == 0:
            await rig.settle()
    end_ms = rig.clock.now_ms()
    for cache_bytes in (None, 0):
        rig.cache_bytes = cache_bytes
        await rig.settle()
        rig = await rig.crash()
        for at_ms in (0, 1, times[0] - 1, *times[::3], *(t + 3 for t in times[::3]), end_ms):
            wanted = [b"%d" % at for at, arrived_ms in enumerate(times) if arrived_ms >= at_ms]
            assert rig.at("AT_TIMESTAMP", timestamp_ms=at_ms) == wanted


async def test_a_burst_of_equal_times_is_read_whole():
    rig = await engine()
    rig.put(b"old")
    rig.clock.advance(1)
    for at in range(1_203):
        rig.put(b"%d" % at)
    burst_ms = rig.clock.now_ms()
    rig.clock.advance(1)
    rig.put(b"new")
    await rig.settle()
    found = rig.at("AT_TIMESTAMP", timestamp_ms=burst_ms)
    assert found == [b"%d" % at for at in range(1_203)] + [b"new"]
    assert rig.at("AT_TIMESTAMP", timestamp_ms=burst_ms + 1) == [b"new"]


async def test_an_iterator_at_a_time_without_records_waits_for_the_first_one():
    rig = await engine()
    rig.put(b"a")
    rig.clock.advance(5)
    token = rig.token("AT_TIMESTAMP", timestamp_ms=rig.clock.now_ms())
    page, later = rig.page(token)
    assert not page.slices and page.behind_ms == 0 and later is not None
    rig.put(b"b")
    assert rig.read(later) == rig.read(token) == [b"b"]


async def test_a_time_in_the_future_or_none_is_refused():
    rig = await engine()
    for timestamp_ms in (None, rig.clock.now_ms() + 1):
        with pytest.raises(InvalidParameter) as caught:
            rig.token("AT_TIMESTAMP", timestamp_ms=timestamp_ms)
        assert caught.value.name == "timestamp"


async def test_sequence_numbers_have_to_come_from_the_shard():
    rig = await engine(2)
    put = rig.put_one()
    mine, other = int(put.shard_id[-12:]), 1 - int(put.shard_id[-12:])
    created_s, _, _, now_s = end_of_open_shard(rig, mine)
    not_yet = sequence_text(created_s, mine, 2, now_s)
    for ordinal, text in [(other, put.sequence_number), (mine, not_yet)] + [
        (mine, text) for text in ("", "0", "x", put.sequence_number + "0", None)
    ]:
        with pytest.raises(InvalidParameter, match="did not come from"):
            rig.token("AT_SEQUENCE_NUMBER", ordinal, sequence_number=text)


async def test_the_ends_of_a_shard_are_sequence_numbers_to_start_at():
    rig = await engine()
    rig.put(b"a")
    rig.split()
    view = rig.streams.shards(rig.stream())[0]
    for kind in ("AT_SEQUENCE_NUMBER", "AFTER_SEQUENCE_NUMBER"):
        assert rig.at(kind, sequence_number=view.start) == [b"a"]
        page, later = rig.page(rig.token(kind, sequence_number=view.end))
        assert not page.slices and later is None
        assert [child.id for child in page.child_shards] == [shard(1), shard(2)]
    closed_like = sequence_text(*end_of_open_shard(rig, 1))
    with pytest.raises(InvalidParameter, match="did not come from"):
        rig.token("AT_SEQUENCE_NUMBER", 1, sequence_number=closed_like)


def end_of_open_shard(rig: StreamEngine, ordinal: int) -> tuple[int, int, int, int]:
    found = rig.stream().shard(ordinal)
    assert found is not None and found.is_open
    return found.record.created_s, ordinal, (1 << 63) - 1, rig.clock.now_ms() // 1000


# Iterators


async def test_an_iterator_expires_after_five_minutes_and_the_next_one_anew():
    rig = await engine()
    token = rig.token()
    rig.clock.advance(limits.ITERATOR_MS_MAX)
    _, later = rig.page(token)
    rig.clock.advance(1)
    with pytest.raises(Expired):
        rig.page(token)
    rig.clock.advance(limits.ITERATOR_MS_MAX - 1)
    assert later is not None
    rig.page(later)
    rig.clock.advance(1)
    with pytest.raises(Expired):
        rig.page(later)


async def test_an_iterator_works_across_a_restart():
    rig = await engine()
    rig.put(b"a", b"b", b"c")
    _, token = rig.page(rig.token(), 2)
    await rig.settle()
    rig = await rig.crash()
    rig.put(b"d")
    assert rig.read(token) == [b"c", b"d"]


@pytest.mark.parametrize("passes_ms", [0, 1, 5_000])
async def test_an_iterator_of_a_stream_that_was_made_again_is_refused(passes_ms):
    rig = await engine()
    token = rig.token()
    rig.remove()
    rig.clock.advance(passes_ms)
    with pytest.raises(NotFound):
        rig.page(token)
    rig.make()
    rig.put(b"new")
    with pytest.raises(InvalidParameter) as caught:
        rig.page(token)
    assert caught.value.name == "iterator"
    assert rig.at() == [b"new"]


async def test_an_iterator_names_its_stream():
    rig = await engine()
    rig.make(name="other")
    token = rig.token()
    rig.engine.begin()
    rig.streams.get_records(token, 1, arn("s"))
    with pytest.raises(InvalidParameter, match="does not match"):
        rig.streams.get_records(token, 1, arn("other"))


@pytest.mark.parametrize("limit", [0, -1, 10_001])
async def test_a_limit_out_of_range_is_refused_and_skips_nothing(limit):
    rig = await engine()
    rig.put(b"a")
    token = rig.token()
    with pytest.raises(InvalidParameter):
        rig.page(token, limit)
    assert rig.read(token) == [b"a"]


async def test_an_iterator_of_a_shard_that_has_vanished_is_not_found():
    rig = await engine()
    rig.put(b"a")
    rig.split()
    await rig.run_for(DAY_MS)
    token = rig.token()
    rig.clock.advance(1)
    with pytest.raises(NotFound) as caught:
        rig.page(token)
    assert caught.value.kind == "shard"
    await rig.run_for(1_000)
    with pytest.raises(NotFound):
        rig.page(token)
    with pytest.raises(NotFound):
        rig.token()


# Reading


async def test_reading_in_small_pages_gives_every_record_once():
    rig = await engine(cache_bytes=3_000)
    sent = []
    for at in range(120):
        data = [b"%d.%d" % (at, each) for each in range(at % 7 + 1)]
        sent += data
        rig.put(*data)
        if at % 3:
            await rig.settle()
    for limit in (1, 2, 3, 7, 10_000):
        assert rig.read(rig.token(), limit) == sent


async def test_a_page_ends_at_ten_mebibytes():
    rig = await engine()
    for at in range(7):
        rig.put(bytes([at]) * (3 * MIB))
    page, later = rig.page(rig.token())
    assert [record.data[0] for record in page.records()] == [0, 1, 2]
    page, later = rig.page(later)
    assert [record.data[0] for record in page.records()] == [3, 4, 5]
    page, later = rig.page(later)
    assert [record.data[0] for record in page.records()] == [6]


async def test_a_record_of_ten_mebibytes_is_read():
    rig = await engine()
    rig.put(bytes(10 * MIB - 1))
    page, _ = rig.page(rig.token())
    assert [len(record.data) for record in page.records()] == [10 * MIB - 1]


async def test_how_far_behind_a_page_is():
    rig = await engine()
    rig.put(b"a")
    rig.clock.advance(5_000)
    rig.put(b"b")
    rig.clock.advance(2_000)
    page, later = rig.page(rig.token(), 1)
    assert page.behind_ms == 7_000
    page, later = rig.page(later, 1)
    assert page.behind_ms == 0
    page, _ = rig.page(later, 1)
    assert (len(page), page.behind_ms) == (0, 0)


async def test_the_end_of_a_closed_shard_tells_its_children():
    rig = await engine()
    rig.put(b"a", b"b")
    token = rig.token()
    rig.split()
    page, later = rig.page(token, 1)
    assert later is not None and page.child_shards == []
    page, later = rig.page(later, 1)
    assert later is None and page.behind_ms == 0
    assert [(c.id, c.parent_id) for c in page.child_shards] == [
        (shard(1), SHARD),
        (shard(2), SHARD),
    ]


async def test_records_out_of_retention_are_skipped_before_they_are_trimmed():
    rig = await engine()
    for at in range(50):
        rig.put(b"%d" % at)
        rig.clock.advance(DAY_MS // 40)  # and no deadline is met: nothing is trimmed
    await rig.settle()
    shown = [b"%d" % at for at in range(10, 50)]
    assert rig.at() == shown
    rig = await rig.crash()
    assert rig.at() == shown
    await rig.run_for(2 * DAY_MS)
    assert rig.at() == [] and rig.log_rows == 0


async def test_quotas_of_reading_hold_for_pages():
    rig = await engine(quotas=AWS_QUOTAS)
    rig.put(bytes(MIB // 2))
    token = rig.token()
    for _ in range(4):
        rig.page(token)
    with pytest.raises(ThroughputExceeded):
        rig.page(token)
    rig.clock.advance(1_000)
    rig.page(token)


# Statuses on the clock


async def test_statuses_take_their_time_and_restarts_do_not_change_it():
    rig = await StreamEngine(quotas=SLOW).start()
    rig.make(2)
    await rig.run_for(300)
    rig = await rig.crash()
    assert rig.stream().status == "CREATING" and rig.streams.shards(rig.stream()) == []
    with pytest.raises(NotFound):
        rig.token()
    await rig.run_for(199)
    assert rig.stream().status == "CREATING"
    await rig.run_for(1)
    assert rig.stream().status == "ACTIVE"
    rig.streams.update_shard_count(rig.stream(), 4)
    await rig.settle()
    rig = await rig.crash()
    assert rig.stream().status == "UPDATING" and rig.stream().open_shards == 2
    await rig.run_for(500)
    assert rig.stream().status == "ACTIVE" and rig.stream().open_shards == 4
    rig.remove()
    await rig.run_for(100)
    rig = await rig.crash()
    assert rig.stream().status == "DELETING"
    with pytest.raises(Conflict):
        rig.remove()
    with pytest.raises(AlreadyExists):
        rig.make()
    await rig.run_for(400)
    with pytest.raises(NotFound):
        rig.stream()
    rig.make()
    assert rig.stream().status == "CREATING"


async def test_a_deletion_that_fell_due_while_nothing_ran_is_done_at_the_start():
    rig = await engine(quotas=SLOW)
    rig.remove()
    await rig.settle()
    rig.clock.advance(10)
    store = rig.store.crash()
    rig = StreamEngine(store, quotas=SLOW)
    rig.clock.advance(3_600_000)
    await rig.start()
    await rig.run_for(0)
    with pytest.raises(NotFound):
        rig.stream()


async def test_a_deletion_that_meets_a_full_host_is_done_later(monkeypatch):
    rig = await engine(quotas=SLOW)
    rig.remove()
    await rig.settle()
    monkeypatch.setattr(limits, "BATCH_ROWS_MAX", -1)
    rig.clock.advance(500)
    await rig.settle()
    monkeypatch.undo()
    assert rig.stream().status == "DELETING"
    await rig.run_for(1_000)
    with pytest.raises(NotFound):
        rig.stream()


async def test_a_deleted_streams_rows_are_swept():
    rig = await engine()
    for _ in range(20):
        rig.put(*[b"x"] * 10)
        await rig.settle()
    assert rig.log_rows == 20
    rig.remove()
    await rig.run_for(DAY_MS)
    assert rig.log_rows == 0
    assert {component for component, _, _ in rig.store.rows.load()} <= {0}


async def test_a_stream_with_consumers_is_deleted_only_when_told_so():
    rig = await engine()
    rig.streams.register_consumer(rig.stream(), "c")
    with pytest.raises(Conflict):
        rig.remove()
    rig.remove(enforce_consumer_deletion=True)
    with pytest.raises(NotFound):
        rig.stream()


# Failures


async def test_a_failed_put_leaves_all_or_nothing():
    rig = await engine()
    rig.put(b"a")
    await rig.settle()
    stream = rig.stream()
    entry = RecordEntry(b"lost", "k")
    answer = rig.request(lambda engine: engine.streams.put_record(stream, entry))
    await rig.fail(is_durable=False)
    assert rig.at() == [b"a"]
    assert isinstance(answer.value, StoreUnavailable)
    rig.put(b"kept")
    await rig.fail(is_durable=True)
    assert rig.at() == [b"a", b"kept"]


async def test_a_place_behind_the_tip_is_the_tip():
    """A reply that failed may have told of records that never were."""
    rig = await engine()
    rig.put(b"a", b"b")
    token = rig.token("LATEST")
    await rig.fail(is_durable=False)
    page, later = rig.page(token)
    assert not page.slices
    rig.put(b"c")
    assert rig.read(later) == [b"c"]


# The account


async def test_shards_of_an_account_are_counted_over_its_provisioned_streams():
    rig = await engine(3, quotas=Quotas(shards_max=5))
    rig.make(4, "flexible", mode="ON_DEMAND")
    with pytest.raises(LimitExceeded, match="Current shard count for the account: 3"):
        rig.make(3, "b")
    rig.make(1, "b")
    with pytest.raises(LimitExceeded):
        rig.streams.update_shard_count(rig.stream(), 5)
    rig.split(0, 5)
    with pytest.raises(LimitExceeded):
        rig.split(1, 1 << 127)
    rig.streams.merge(rig.stream(), shard(3), shard(4))
    rig.streams.update_shard_count(rig.stream("b"), 2)


async def test_on_demand_streams_of_an_account_are_counted():
    rig = await engine(quotas=Quotas(on_demand_streams_max=1))
    rig.make(1, "a", mode="ON_DEMAND")
    assert rig.stream("a").open_shards == limits.ON_DEMAND_SHARDS_DEFAULT
    with pytest.raises(LimitExceeded):
        rig.make(1, "b", mode="ON_DEMAND")
    rig.remove("a")
    rig.make(1, "b", mode="ON_DEMAND")


async def test_five_streams_may_be_creating():
    rig = await engine(quotas=AWS_QUOTAS)
    for at in range(5):
        rig.make(1, f"n{at}")
    with pytest.raises(LimitExceeded):
        rig.make(1, "more")
    await rig.run_for(500)
    rig.make(1, "more")


async def test_control_operations_have_a_rate_where_the_quota_is_on():
    rig = await engine(quotas=Quotas(stream_control_rate_percent=100))
    rig.engine.begin()
    for _ in range(5):
        rig.streams.admit("CreateStream", "1", "r")
    with pytest.raises(LimitExceeded, match="Rate exceeded"):
        rig.streams.admit("CreateStream", "1", "r")
    rig.streams.admit("CreateStream", "2", "r")
    rig.streams.admit("DeleteStream", "1", "r")
    rig.streams.admit("PutRecords", "1", "r")
    for stream in ("a", "b"):
        for _ in range(1_000):
            rig.streams.admit("ListShards", "1", "r", stream)
        for _ in range(5):
            rig.streams.admit("ListStreamConsumers", "1", "r", stream)
    for action in ("ListShards", "ListStreamConsumers"):
        with pytest.raises(LimitExceeded):
            rig.streams.admit(action, "1", "r", "a")
    rig.clock.advance(1_000)
    rig.engine.begin()
    rig.streams.admit("CreateStream", "1", "r")


async def test_a_commitment_of_the_account_is_kept_and_raises_the_number_of_consumers():
    rig = await engine()
    for at in range(20):
        rig.streams.register_consumer(rig.stream(), f"c{at}")
    with pytest.raises(LimitExceeded):
        rig.streams.register_consumer(rig.stream(), "more")
    rig.engine.begin()
    rig.streams.set_account_committed(arn("any"), True)
    with pytest.raises(LimitExceeded):  # it is for on-demand streams only
        rig.streams.register_consumer(rig.stream(), "more")
    spec = msgspec.structs.replace(rig.stream().spec, mode="ON_DEMAND")
    rig.streams.set_spec(rig.stream(), spec)
    rig.streams.register_consumer(rig.stream(), "more")
    await rig.settle()
    rig = await rig.crash()
    rig.engine.begin()
    assert rig.streams.account(arn("s")).is_committed
    assert len(rig.stream().fan_out) == 21


async def test_streams_are_made_found_and_listed_by_name():
    rig = await engine()
    rig.make(name="b")
    rig.make(name="a")
    rig.create("queue")
    rig.engine.begin()
    assert rig.streams.names("000000000000", "us-east-1") == ["a", "b", "s"]
    assert rig.streams.names("000000000000", "eu-west-1") == []
    with pytest.raises(AlreadyExists):
        rig.make(name="a")
    for count in (0, -1, 10_001):
        with pytest.raises(InvalidParameter):
            rig.make(count, "c")
    with pytest.raises(InvalidParameter):
        rig.make(1, "c", retention_ms=1)
    with pytest.raises(NotFound):
        rig.stream("c")


async def test_settings_are_durable():
    rig = await engine()
    spec = msgspec.structs.replace(rig.stream().spec, retention_ms=3 * DAY_MS)
    rig.streams.set_spec(rig.stream(), spec)
    spec = msgspec.structs.replace(spec, tags={"a": "b"}, policy="{}", metrics=("ALL",))
    rig.streams.describe_as(rig.stream(), spec)
    rig.streams.register_consumer(rig.stream(), "c", {"x": "y"})
    await rig.settle()
    rig = await rig.crash()
    assert rig.stream().spec == spec
    assert rig.stream().fan_out.find("c").tags == {"x": "y"}


# A bus that delivers


BUS = "arn:aws:events:us-east-1:000000000000:event-bus/default"


async def bus_to_stream(rig: StreamEngine) -> None:
    """A bus whose rule delivers the detail to the stream, dead letters to a queue."""
    rig.create("dead")

    def call(engine: Engine) -> None:
        bus = engine.bus(BUS)
        engine.run(bus, bus.put_rule("all", RuleSpec(pattern='{"source": ["shop"]}')))
        target = Target("1", arn("s"), input_path="$.detail", dead_letter_arn=PREFIX + "dead")
        engine.run(bus, bus.put_targets("all", [target]))

    rig.request(call)
    await rig.settle()


def publish(rig: StreamEngine, *details: str) -> None:
    entries = [EventEntry("shop", "order", detail) for detail in details]
    rig.request(lambda engine: engine.put_events(engine.bus(BUS), entries))


async def test_a_rule_delivers_to_a_stream_in_the_events_batch():
    rig = await engine()
    await bus_to_stream(rig)
    sink = Sink()
    rig.subscribe(sink)
    publish(rig, '{"n": 1}', '{"n": 2}')
    await turn()
    assert sink.data == [], "not durable yet"
    await rig.settle()
    assert [json.loads(data) for data in sink.data] == [{"n": 1}, {"n": 2}]
    rig = await rig.crash()
    records = rig.page(rig.token())[0].records()
    assert [record.data for record in records] == sink.data
    assert all(record.partition_key for record in records)


async def test_what_a_stream_does_not_take_is_a_dead_letter():
    rig = await engine(quotas=SLOW)
    await bus_to_stream(rig)
    rig.remove()
    publish(rig, '{"n": 1}')
    await rig.settle()
    assert rig.counts("dead") == (1, 0, 0)
    await rig.run_for(1_000)
    publish(rig, '{"n": 2}')
    await rig.settle()
    assert rig.counts("dead") == (2, 0, 0)
    (body, _) = rig.bodies("dead")
    assert body in ('{"n": 1}', '{"n":1}')


async def test_deliveries_are_not_held_up_by_a_shards_quota():
    rig = await engine(quotas=Quotas(shard_write_records_per_s=1))
    await bus_to_stream(rig)
    publish(rig, *['{"n": 1}'] * 5)
    await rig.settle()
    assert len(rig.at()) == 5 and rig.counts("dead") == (0, 0, 0)
