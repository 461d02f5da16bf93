from __future__ import annotations

from eventcore import limits
from eventcore.streams.meter import ReadMeter, WriteMeter

MIB = 1 << 20
NOW_MS = 1_700_000_000_000


def writes() -> WriteMeter:
    return WriteMeter(limits.SHARD_WRITE_BYTES_PER_S, limits.SHARD_WRITE_RECORDS_PER_S)


def reads() -> ReadMeter:
    return ReadMeter(limits.SHARD_READ_BYTES_PER_S, limits.SHARD_READ_CALLS_PER_S)


def test_a_thousand_records_a_second_may_be_written():
    meter = writes()
    assert [meter.admit(1, NOW_MS) for _ in range(1_001)] == [True] * 1_000 + [False]
    assert meter.admit(1, NOW_MS + 1) and not meter.admit(1, NOW_MS + 1)
    assert sum(meter.admit(1, NOW_MS + 1_001) for _ in range(2_000)) == 1_000


def test_a_mebibyte_a_second_may_be_written():
    meter = writes()
    assert meter.admit(MIB, NOW_MS)
    assert not meter.admit(1, NOW_MS)
    assert not meter.admit(MIB, NOW_MS + 999)
    assert meter.admit(MIB, NOW_MS + 1_000)


def test_a_record_of_ten_mebibytes_passes_and_is_paid_off():
    meter = writes()
    assert meter.admit(10 * MIB, NOW_MS)
    assert not meter.admit(1, NOW_MS + 9_000)
    assert meter.admit(1_000, NOW_MS + 9_001)
    assert not meter.admit(10 * MIB, NOW_MS + 9_500)
    assert meter.admit(10 * MIB, NOW_MS + 20_000)


def test_a_refused_record_uses_nothing_up():
    meter = writes()
    assert meter.admit(MIB - 10, NOW_MS)
    assert not meter.admit(11, NOW_MS)
    assert meter.admit(10, NOW_MS)


def test_quotas_that_are_off_hold_nobody_up():
    assert all(WriteMeter(None, None).admit(10 * MIB, NOW_MS) for _ in range(3))
    meter = ReadMeter(None, None)
    for _ in range(20):
        assert meter.admit(NOW_MS)
        meter.count(10 * MIB)


def test_five_reads_a_second():
    meter = reads()
    assert [meter.admit(NOW_MS) for _ in range(6)] == [True] * 5 + [False]
    assert not meter.admit(NOW_MS + 199)
    assert meter.admit(NOW_MS + 200)


def test_ten_mebibytes_read_are_followed_by_five_seconds_without_a_read():
    meter = reads()
    assert meter.admit(NOW_MS)
    meter.count(10 * MIB)
    assert not meter.admit(NOW_MS + 1)
    assert not meter.admit(NOW_MS + 4_999)
    assert meter.admit(NOW_MS + 5_000)


def test_two_mebibytes_a_second_may_be_read_in_parts():
    meter = reads()
    for at in range(4):
        assert meter.admit(NOW_MS + 200 * at)
        meter.count(MIB // 2)
    assert not meter.admit(NOW_MS + 999)
    assert meter.admit(NOW_MS + 1_000)
    meter.count(MIB)
    assert meter.admit(NOW_MS + 1_999)


def test_a_long_time_without_reads_saves_nothing_up():
    meter = reads()
    assert meter.admit(NOW_MS)
    later_ms = NOW_MS + 3_600_000
    assert meter.admit(later_ms)
    meter.count(4 * MIB)
    assert not meter.admit(later_ms + 1_999)
    assert meter.admit(later_ms + 2_000)
