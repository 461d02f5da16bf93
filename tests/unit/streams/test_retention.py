"""Which records are told of, and when their rows go."""

from __future__ import annotations

import msgspec

from eventcore import limits
from eventcore.outcome import LOG_KEY_FIRST, Mutation
from eventcore.streams.shard import MARKS_PER_RETENTION
from tests.unit.streams.stream_rig import DAY_MS, StreamRig, durable_state

HOUR_MS = 3_600_000
HALF = 1 << 127


def retain(rig: StreamRig, retention_ms: int) -> None:
    spec = msgspec.structs.replace(rig.stream.spec, retention_ms=retention_ms)
    rig.stage(rig.stream.set_spec(spec, rig.now_ms))


def told(rig: StreamRig, ordinal: int = 0) -> list[bytes]:
    return [record.data for record in rig.records(ordinal)]


def test_a_record_is_told_of_for_exactly_its_retention():
    rig = StreamRig()
    rig.put_one(data=b"a")
    rig.now_ms += 1
    rig.put_one(data=b"b")
    rig.now_ms += DAY_MS - 1
    assert told(rig) == [b"a", b"b"]
    rig.now_ms += 1
    assert told(rig) == [b"b"]
    rig.now_ms += 1
    assert told(rig) == []


def test_lowering_the_retention_hides_at_once_and_raising_it_does_not_resurrect():
    rig = StreamRig()
    retain(rig, 7 * DAY_MS)
    rig.put_one(data=b"old")
    rig.now_ms += 2 * DAY_MS
    rig.put_one(data=b"new")
    retain(rig, DAY_MS)
    assert told(rig) == [b"new"]
    retain(rig, 365 * DAY_MS)
    assert told(rig) == [b"new"]
    rig.advance(1_000)
    assert rig.log_rows == 1, "what can never be told again does not stay for a year"
    rig.restart()
    rig.advance(DAY_MS)
    assert told(rig) == [b"new"], "raised in time"


def test_trimming_ends_with_an_empty_log():
    rig = StreamRig(3)
    for _ in range(48):
        rig.put(*map(str, range(20)), data=bytes(1_000))
        rig.advance(HOUR_MS)
    assert rig.log_rows > 0
    rig.advance(25 * HOUR_MS)
    assert rig.log_rows == 0
    assert rig.stream.next_deadline() is None
    assert durable_state(rig.reloaded()) == durable_state(rig.stream)
    rig.put_one(data=b"again")
    assert [told(rig, at) for at in range(3) if told(rig, at)] == [[b"again"]]


def test_the_log_holds_little_more_than_the_retention():
    rig = StreamRig()
    for _ in range(1_000):
        rig.put("k")
        rig.advance(DAY_MS // 200)
    late_ms = DAY_MS // MARKS_PER_RETENTION + DAY_MS // 200
    assert 200 <= rig.log_rows <= 200 * (DAY_MS + late_ms) // DAY_MS + 2
    assert len(rig.shard(0).marks) <= MARKS_PER_RETENTION + 2


def test_one_slice_is_bounded_in_bytes():
    rig = StreamRig()
    for _ in range(60):
        rig.put(*["k"] * 2, data=bytes(200_000))
    rig.now_ms += DAY_MS + 1
    before = rig.log_rows
    rig.tick()
    assert 0 < before - rig.log_rows <= limits.TRIM_SLICE_BYTES // 200_000 + 1
    assert told(rig) == [], "they are not told of, trimmed or not"
    rig.restart()
    rig.advance(DAY_MS)
    assert rig.log_rows == 0 and len(rig.trims) >= 6


def test_one_slice_is_bounded_in_rows():
    rig = StreamRig()
    tail = rig.shard(0).tail_row(3 * limits.TRIM_SLICE_RECORDS, 60_000, rig.now_ms)
    rig.stream.apply(Mutation(tail.key, tail.value))  # as after so many puts of a byte each
    rig.now_ms += DAY_MS + 1
    rig.tick()
    assert rig.shard(0).first_number == 1 + limits.TRIM_SLICE_RECORDS


def test_slices_of_all_shards_have_pauses_between_them():
    rig = StreamRig(4)
    rig.put(*map(str, range(40)))
    rig.now_ms += DAY_MS + 1
    for left in (3, 2, 1, 0):
        assert rig.stream.next_deadline() is not None
        rig.tick()
        assert sum(s.first_number < s.next_number for s in rig.stream.shards(rig.now_ms)) == left
        rig.tick()
        due_ms = rig.stream.next_deadline()
        assert due_ms == (rig.now_ms + limits.TRIM_PAUSE_MS if left else None)
        rig.now_ms += limits.TRIM_PAUSE_MS


def test_a_block_that_a_slice_cuts_through_stays_until_the_next_one():
    rig = StreamRig()
    rig.put(*["k"] * 500)
    row, _ = rig.shard(0).trim_step()
    assert row.record.first_number == 501
    rig = StreamRig()
    for _ in range(30):
        rig.put(*["k"] * 499, data=bytes(400))
    rig.now_ms += DAY_MS + 1
    while (due_ms := rig.stream.next_deadline()) is not None:
        rig.now_ms = max(rig.now_ms, due_ms)
        first = rig.shard(0).first_number
        rig.tick()
        blocks = rig.blocks(0)
        assert all(block.last >= first for block in blocks)
        assert not blocks or blocks[0].first <= rig.shard(0).first_number <= blocks[0].last + 1
    assert rig.log_rows == 0


def test_a_closed_shard_vanishes_with_its_last_record_and_all_its_rows():
    rig = StreamRig()
    rig.put("a")
    rig.now_ms += HOUR_MS
    rig.split("shardId-000000000000", HALF)
    rig.advance(DAY_MS - HOUR_MS)
    assert rig.ids()[0] == "shardId-000000000000"
    rig.advance(HOUR_MS)
    assert len(rig.ids()) == 3, "closed for exactly the retention"
    rig.now_ms += 1
    assert len(rig.ids()) == 2, "not told of, before its rows are gone"
    rig.tick()
    assert rig.stream.shard(0) is None
    assert len(rig.rows) == 3, "the stream and two shards without records"
    assert rig.ids() == ["shardId-000000000001", "shardId-000000000002"]
    assert durable_state(rig.reloaded()) == durable_state(rig.stream)
    rig.merge(*rig.open_ids())
    assert rig.open_ids() == ["shardId-000000000003"], "ordinals are never given again"


def test_many_closed_shards_vanish_together():
    rig = StreamRig(600)
    rig.count(300)
    assert len(rig.ids()) == 900
    rig.now_ms += DAY_MS + 1
    rig.tick(250)
    assert len(rig.stream._shards) == 650
    rig.advance(0)
    assert len(rig.stream._shards) == 300 == len(rig.ids())
    assert rig.stream.next_deadline() is None


def test_marks_stay_bounded_and_are_far_apart():
    rig = StreamRig()
    retain(rig, 365 * DAY_MS)
    for _ in range(400):
        rig.put("k")
        rig.now_ms += 4 * DAY_MS
        assert len(rig.shard(0).marks) <= limits.TIME_MARKS_MAX
    retain(rig, DAY_MS)
    rig.advance(DAY_MS)
    assert rig.log_rows == 0
    for _ in range(5_000):
        rig.put("k")
        rig.now_ms += 10
    assert len(rig.shard(0).marks) == 1


def test_the_plan_of_trimming_stays_small():
    rig = StreamRig(2)
    for at in range(3_000):
        rig.put(str(at))
        rig.now_ms += 1_000_000 // 100
        rig.stream.next_deadline()
    assert len(rig.stream._trims._heap) <= 2 * 2 + 64 + 1


def test_log_rows_alone_are_trimmed_by_range():
    rig = StreamRig()
    rig.put("a")
    rig.advance(2 * DAY_MS)
    assert rig.trims and all(first >= LOG_KEY_FIRST for first, _ in rig.trims)
