"""Putting records: where they go, what is refused, what is written."""

from __future__ import annotations

import msgspec
import pytest

from eventcore import limits
from eventcore.errors import InvalidParameter, LimitExceeded, NotFound, ThroughputExceeded
from eventcore.limits import AWS_QUOTAS, Quotas
from eventcore.outcome import Parcel
from eventcore.streams.block import NUMBER_MAX
from eventcore.streams.hash_range import HASH_KEY_MAX, hash_key
from eventcore.streams.sequence_number import parse_sequence_number
from eventcore.streams.shard import TailRecord
from eventcore.streams.stream_spec import (
    Appended,
    FanOutConsumer,
    RecordEntry,
    Refused,
    StreamSpec,
)
from tests.unit.streams.stream_rig import DAY_MS, StreamRig, durable_state

MIB = 1 << 20


def test_a_record_goes_to_the_shard_that_owns_its_hash_key():
    rig = StreamRig(4)
    for key in map(str, range(200)):
        put = rig.put_one(key)
        owner = next(s for s in rig.stream.shards(rig.now_ms) if s.id == put.shard_id)
        assert owner.first_hash <= hash_key(key) <= owner.last_hash


@pytest.mark.parametrize(
    ("explicit", "shard"),
    [("0", 0), (str((1 << 126) - 1), 0), (str(1 << 126), 1), (str(HASH_KEY_MAX), 3)],
)
def test_an_explicit_hash_key_overrides_the_partition_key(explicit, shard):
    rig = StreamRig(4)
    assert rig.put_one("k", explicit=explicit).shard_id == f"shardId-{shard:012d}"
    assert rig.records(shard)[0].partition_key == "k"


@pytest.mark.parametrize("explicit", ["", "-1", "x", "01", str(HASH_KEY_MAX + 1)])
def test_an_explicit_hash_key_that_is_none_is_refused(explicit):
    rig = StreamRig()
    with pytest.raises(InvalidParameter, match="Invalid ExplicitHashKey"):
        rig.put_one("k", explicit=explicit)
    assert rig.log_rows == 0


def test_records_of_a_batch_keep_their_order_and_tell_their_own_sequence_numbers():
    rig = StreamRig(3)
    keys = [str(at) for at in range(500)]
    entries = [RecordEntry(str(at).encode(), key) for at, key in enumerate(keys)]
    told = rig.stage(rig.stream.put_records(entries, rig.now_ms))
    found = {}
    for ordinal in range(3):
        records = rig.records(ordinal)
        assert [int(r.data) for r in records] == sorted(int(r.data) for r in records)
        assert [int(r.sequence_number) for r in records] == sorted(
            int(r.sequence_number) for r in records
        )
        found.update({r.sequence_number: r.data for r in records})
        assert len(rig.blocks(ordinal)) == 1, "one block per command and shard"
    assert [found[put.sequence_number] for put in told if isinstance(put, Appended)] == [
        entry.data for entry in entries
    ]


def test_sequence_numbers_tell_number_shard_and_arrival():
    rig = StreamRig()
    rig.put("a", "b")
    rig.now_ms += 5_000
    parsed = parse_sequence_number(rig.put_one().sequence_number)
    assert parsed is not None
    assert (parsed.ordinal, parsed.number, parsed.arrived_s) == (0, 3, rig.now_ms // 1000)


def test_arrivals_never_go_back_when_the_clock_of_the_machine_does():
    rig = StreamRig()
    first = rig.put_one()
    arrived_ms = rig.now_ms
    rig.restart()
    rig.now_ms -= 3_600_000
    second = rig.put_one()
    assert int(second.sequence_number) > int(first.sequence_number)
    assert [r.arrived_ms for r in rig.records(0)] == [arrived_ms, arrived_ms]
    assert rig.records(0)[1].sequence_number == second.sequence_number


@pytest.mark.parametrize("record_bytes_max", [MIB, 3 * MIB + 7, 10 * MIB])
def test_a_record_may_have_the_streams_size_with_its_key(record_bytes_max):
    rig = StreamRig(spec=StreamSpec(record_bytes_max=record_bytes_max))
    data = bytes(record_bytes_max - 3)
    rig.put_one("k€"[1:], data)  # three bytes of UTF-8
    for key in ("€k", "abcd"):
        with pytest.raises(InvalidParameter) as caught:
            rig.put_one(key, data)
        assert caught.value.name == "data"
    assert [len(r.data) for r in rig.records(0)] == [len(data)]


@pytest.mark.parametrize("key", ["", "x" * 257, "\ud800"])
def test_a_partition_key_out_of_bounds_is_refused(key):
    rig = StreamRig()
    before = durable_state(rig.stream)
    with pytest.raises(InvalidParameter) as caught:
        rig.put("good", key)
    assert caught.value.name == "partition_key"
    assert durable_state(rig.stream) == before and rig.log_rows == 0


def test_empty_data_is_a_record():
    rig = StreamRig()
    rig.put_one("x" * 256, b"")
    assert rig.records(0)[0].data == b""


def test_blocks_are_cut_by_number_and_size():
    rig = StreamRig(spec=StreamSpec(record_bytes_max=MIB))
    rig.put(*["k"] * 1_100)
    assert [len(block.data) for block in rig.blocks(0)] == [500, 500, 100]
    rig = StreamRig()
    rig.put(*["k"] * 6, data=bytes(100_000))
    assert [len(block.data) for block in rig.blocks(0)] == [2, 2, 2]
    assert [block.first for block in rig.blocks(0)] == [1, 3, 5]


def test_a_machine_reads_no_log_row_to_come_back():
    rig = StreamRig(2)
    rig.put(*map(str, range(50)))
    assert durable_state(rig.reloaded()) == durable_state(rig.stream)
    put = rig.put_one("a")
    rig.restart()
    assert int(rig.put_one("a").sequence_number) > int(put.sequence_number)


def test_a_shard_that_had_all_its_numbers_takes_nothing():
    rig = StreamRig()
    rig.put_one()
    tail = rig.shard(0).tail_row(NUMBER_MAX - 3, 0, rig.now_ms)
    assert tail.record == TailRecord(NUMBER_MAX - 1, rig.now_ms, 2)
    rig.stream.apply(tail)
    rig.put_one()
    with pytest.raises(LimitExceeded):
        rig.put("a", "b")


def test_sequence_number_for_ordering_has_to_be_one_and_not_of_the_future():
    rig = StreamRig()
    first = rig.put_one()
    entry = RecordEntry(b"y", "k")
    outcome = rig.stream.put_record(entry, first.sequence_number, rig.now_ms)
    assert int(rig.stage(outcome).sequence_number) > int(first.sequence_number)
    later = StreamRig()
    later.now_ms += 10_000
    for text in ("", "0", "abc", later.put_one().sequence_number):
        with pytest.raises(InvalidParameter, match="ExclusiveMinimumSequenceNumber"):
            rig.stream.put_record(entry, text, rig.now_ms)


def test_the_encryption_of_their_time_is_told_of_records():
    rig = StreamRig()
    rig.put_one()
    for key in ("alias/aws/kinesis", None):
        spec = msgspec.structs.replace(rig.stream.spec, encryption_key=key)
        rig.stage(rig.stream.set_spec(spec, rig.now_ms))
        rig.put_one()
    assert [record.is_encrypted for record in rig.records(0)] == [False, True, False]


# Quotas


def test_a_shards_quota_refuses_single_records():
    rig = StreamRig(2, AWS_QUOTAS)
    rig.advance(500)
    told = rig.put(*["a"] * 1_200)
    assert [type(result) for result in told] == [Appended] * 1_000 + [Refused] * 200
    assert told[-1].error_code == "ProvisionedThroughputExceededException"
    (ordinal,) = {int(put.shard_id[-12:]) for put in told[:1_000]}
    assert told[-1].error_message == (
        f"Rate exceeded for shard {rig.shard(ordinal).id} in stream orders under account "
        "000000000000."
    )
    assert len(rig.records(ordinal)) == 1_000
    with pytest.raises(ThroughputExceeded):
        rig.put_one("a")
    other = next(
        key for key in "bcdefgh" if rig.stream.ranges.owner(hash_key(key)).ordinal != ordinal
    )
    assert rig.put_one(other).shard_id != rig.shard(ordinal).id
    rig.now_ms += 1_000
    assert rig.put_one("a").shard_id == rig.shard(ordinal).id


def test_a_batch_that_is_refused_as_a_whole_uses_no_quota_up():
    rig = StreamRig(1, Quotas(shard_write_records_per_s=10))
    for _ in range(5):
        with pytest.raises(InvalidParameter):
            rig.put(*["k"] * 9, "")
    assert all(isinstance(put, Appended) for put in rig.put(*["k"] * 10))


def test_reads_are_metered_per_shard():
    rig = StreamRig(2, AWS_QUOTAS)
    rig.advance(500)
    for _ in range(5):
        rig.stream.admit_read(rig.shard(0), rig.now_ms)
    with pytest.raises(ThroughputExceeded):
        rig.stream.admit_read(rig.shard(0), rig.now_ms)
    rig.stream.admit_read(rig.shard(1), rig.now_ms)
    rig.stream.count_read(rig.shard(1), 10 * MIB)
    with pytest.raises(ThroughputExceeded):
        rig.stream.admit_read(rig.shard(1), rig.now_ms + 4_999)
    rig.stream.admit_read(rig.shard(1), rig.now_ms + 5_000)


# Parcels of buses


def parcel(body: str, group_id: str | None = None) -> Parcel:
    return Parcel(body, "arn:aws:events:us-east-1:000000000000:rule/r", group_id=group_id)


def test_a_parcel_is_appended_under_its_group_or_a_key_of_its_own():
    rig = StreamRig()
    rig.stage(rig.stream.accept(parcel("ä", group_id="g"), rig.now_ms))
    rig.stage(rig.stream.accept(parcel("b"), rig.now_ms))
    rig.stage(rig.stream.accept(parcel("c"), rig.now_ms))
    records = rig.records(0)
    assert [r.data for r in records] == ["ä".encode(), b"b", b"c"]
    assert records[0].partition_key == "g"
    assert len({r.partition_key for r in records}) == 3


def test_a_parcel_that_can_not_be_taken_says_why():
    rig = StreamRig(1, Quotas(stream_transition_ms=500))
    assert rig.stream.refusal(parcel("x")) == "Stream orders is CREATING."
    rig.advance(500)
    assert rig.stream.refusal(parcel("x" * (MIB - 36))) is None
    for bad in (
        parcel("x" * (MIB - 35)),
        parcel("x" * MIB, group_id="g"),
        parcel("x", group_id="g" * 257),
        parcel("x", group_id="\ud800"),
        parcel("\ud800"),
    ):
        assert rig.stream.refusal(bad)
    assert rig.stream.refusal(parcel("x" * (MIB - 1), group_id="g")) is None
    rig.stage(rig.stream.accept(parcel("x" * (MIB - 1), group_id="g"), rig.now_ms))
    rig.stage(rig.stream.start_deletion(rig.now_ms + 500))
    assert rig.stream.refusal(parcel("x")) == "Stream orders is DELETING."


# On-demand streams


def on_demand(shards: int = 4) -> StreamRig:
    return StreamRig(shards, spec=StreamSpec(mode="ON_DEMAND", record_bytes_max=10 * MIB))


def test_an_on_demand_stream_grows_to_twice_what_a_window_needed():
    rig = on_demand()
    for _ in range(16):
        rig.put(*map(str, range(40)), data=bytes(MIB // 2))  # 20 MiB
        rig.advance(1_000)
    assert rig.stream.open_shards == 4
    rig.advance(60_000)
    assert rig.stream.open_shards == 8, "320 MiB in a minute are 5.33 MiB/s; at most doubled"
    assert rig.status == "ACTIVE"
    rig.put(*map(str, range(40)), data=bytes(MIB))
    rig.advance(60_000)
    assert rig.stream.open_shards == 8, "nothing more for a quarter of an hour"
    rig.restart()
    rig.advance(15 * 60_000)
    rig.put(*["one"] * 600, data=bytes(MIB))
    rig.advance(60_000)
    assert rig.stream.open_shards == 16
    hot = rig.stream.ranges.owner(hash_key("one"))
    assert hot.last_hash - hot.first_hash < (1 << 125), "the busiest shard is split"


def test_an_on_demand_stream_does_not_grow_without_need():
    rig = on_demand()
    rig.put(*map(str, range(100)), data=bytes(MIB))
    rig.advance(120_000)
    assert rig.stream.open_shards == 4
    rig = StreamRig(4)
    for _ in range(5):
        rig.put(*map(str, range(100)), data=bytes(MIB - 10))
    rig.advance(120_000)
    assert rig.stream.open_shards == 4, "a provisioned stream never grows by itself"


# Enhanced fan-out


def test_consumers_are_registered_by_name():
    rig = StreamRig(1, Quotas(stream_transition_ms=500))
    with pytest.raises(NotFound):
        rig.stream.register_consumer("early", {}, 20, rig.now_ms)
    rig.advance(500)
    consumer = rig.stage(rig.stream.register_consumer("c", {"a": "b"}, 20, rig.now_ms))
    assert consumer == FanOutConsumer("c", consumer.arn, rig.now_ms, rig.now_ms + 500, {"a": "b"})
    assert consumer.arn == f"{rig.stream.arn}/consumer/c:{rig.now_ms // 1000}"
    assert [consumer.status(rig.now_ms + at) for at in (0, 499, 500)] == ["CREATING"] * 2 + [
        "ACTIVE"
    ]
    assert rig.reloaded().fan_out.find_arn(consumer.arn) == consumer


def test_a_consumer_registered_again_is_another_one():
    rig = StreamRig()
    old = rig.stage(rig.stream.register_consumer("c", {}, 20, rig.now_ms))
    rig.stage(rig.stream.register_consumer("d", {}, 20, rig.now_ms))
    rig.stage(rig.stream.deregister_consumer("c"))
    with pytest.raises(NotFound):
        rig.stream.deregister_consumer("c")
    rig.restart()
    rig.now_ms += DAY_MS
    new = rig.stage(rig.stream.register_consumer("c", {}, 20, rig.now_ms))
    with pytest.raises(NotFound):
        rig.stream.fan_out.find_arn(old.arn)
    assert [c.name for c in rig.reloaded().fan_out.list()] == ["c", "d"]
    changed = msgspec.structs.replace(new, tags={"x": "y"})
    rig.stage(rig.stream.change_consumer(changed))
    assert rig.reloaded().fan_out.find("c") == changed


def test_five_consumers_may_be_creating():
    rig = StreamRig(quotas=Quotas(stream_transition_ms=500))
    rig.advance(500)
    for at in range(limits.STREAM_CONSUMERS_CREATING_MAX):
        rig.stage(rig.stream.register_consumer(str(at), {}, 20, rig.now_ms))
    with pytest.raises(LimitExceeded, match="CREATING"):
        rig.stream.register_consumer("more", {}, 20, rig.now_ms)
    rig.advance(500)
    rig.stage(rig.stream.register_consumer("more", {}, 20, rig.now_ms))
    assert len(rig.stream.fan_out) == 6


def test_consumers_are_as_many_as_the_account_may_have():
    rig = StreamRig()
    for at in range(limits.STREAM_CONSUMERS_MAX):
        rig.stage(rig.stream.register_consumer(str(at), {}, 20, rig.now_ms))
    with pytest.raises(LimitExceeded):
        rig.stream.register_consumer("more", {}, 20, rig.now_ms)
    assert len(rig.stream.fan_out) == 20
