from __future__ import annotations

from bisect import bisect_left
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from eventcore.bench.client import CallFailed
from eventcore.consumers.checkpoint import (
    FROM_TRIM_HORIZON,
    SHARD_IS_DONE,
    after_record,
    at_timestamp,
)
from eventcore.consumers.records import LeaseDescription
from eventcore.errors import UnsupportedOperation
from eventcore.server.commands import streams_lag
from eventcore.server.commands.streams_calls import Record, RecordsPage, Shard
from eventcore.server.commands.streams_lag import (
    ShardLag,
    _behind_ms,
    _describe_group,
    _newest_ms,
    _render,
)

NOW_MS = 1_800_000_000_000
SHARD = "shardId-000000000000"


class FakeShard:
    """A shard with records that arrived at these times; their sequence numbers count from 1. An
    iterator is the index of the next record.
    """

    def __init__(self, arrivals_ms):
        self.arrivals_ms = sorted(arrivals_ms)
        self.calls = 0

    async def iterator(self, shard_id, start):
        at = start.sequence_number
        if at is not None and int(at) > len(self.arrivals_ms):
            raise CallFailed("GetShardIterator", 400, "InvalidArgumentException", "")
        return str(
            {
                "TRIM_HORIZON": lambda: 0,
                "AT_TIMESTAMP": lambda: bisect_left(self.arrivals_ms, round(start.at_s * 1000)),
                "AT_SEQUENCE_NUMBER": lambda: int(at) - 1,
                "AFTER_SEQUENCE_NUMBER": lambda: int(at),
            }[start.kind]()
        )

    async def get_records(self, iterator, records_max):
        self.calls += 1
        at = int(iterator)
        part = self.arrivals_ms[at : at + min(records_max, 50)]
        records = [Record(str(at + n), b"", "k", ms / 1000) for n, ms in enumerate(part, start=1)]
        end = at + len(part)
        behind_ms = 0 if end == len(self.arrivals_ms) else NOW_MS - part[-1]
        return RecordsPage(records, str(end), behind_ms)


@pytest.fixture(autouse=True)
def _now(monkeypatch):
    monkeypatch.setattr(streams_lag, "_now_ms", lambda: NOW_MS)


ages = st.one_of(st.integers(0, 2_000), st.integers(0, 86_400_000), st.integers(0, 31_536_000_000))


@given(st.lists(ages, max_size=30))
@example([])
@example([0])
@example([31_536_000_000])
async def test_the_newest_record_is_found_with_few_calls(found_ages):
    shard: Any = FakeShard(NOW_MS - age for age in found_ages)
    expected = NOW_MS - min(found_ages) if found_ages else None
    assert await _newest_ms(shard, SHARD) == expected
    assert shard.calls <= 50


async def test_behind_is_the_age_of_the_oldest_record_that_is_not_consumed():
    shard: Any = FakeShard([NOW_MS - 30_000, NOW_MS - 20_000, NOW_MS - 10_000])
    for checkpoint, expected in (
        (FROM_TRIM_HORIZON, 30_000),
        (after_record("1"), 20_000),
        (after_record("2", 5), 20_000),  # consumed in part
        (after_record("2"), 10_000),
        (after_record("3"), 0),
        (at_timestamp(NOW_MS - 15_000), 10_000),
        (at_timestamp(NOW_MS), 0),
        (SHARD_IS_DONE, 0),
        (after_record("99"), None),
    ):
        assert await _behind_ms(shard, SHARD, checkpoint) == expected


def lag(newest_ms=NOW_MS - 3_000, lease=None, behind_ms=None, is_open=True):
    return ShardLag(Shard(SHARD, (), 0, 1, is_open=is_open), newest_ms, lease, behind_ms)


def test_a_stream_is_a_table_of_shards():
    lines = _render([lag(), lag(None, is_open=False)], NOW_MS, None).splitlines()
    assert lines[0].split() == ["shard", "state", "newest"]
    assert lines[1].split() == [SHARD, "open", "3", "s"]
    assert lines[2].split() == [SHARD, "closed", "-"]
    assert _render([], NOW_MS, None) == "no shards"


def test_a_group_has_owner_checkpoint_and_what_it_is_behind():
    lease = LeaseDescription(SHARD, (), "w1", "", 3, after_record("77"), 0)
    lines = _render([lag(lease=lease, behind_ms=125_000), lag()], NOW_MS, "g").splitlines()
    assert lines[1].split() == [SHARD, "open", "w1", "77", "3", "s", "2", "min"]
    assert lines[2].split() == [SHARD, "open", "-", "-", "3", "s", "-"]


class Elsewhere:
    """An endpoint that answers in one way."""

    endpoint_url = "http://elsewhere"

    def __init__(self, answer):
        self.answer = answer

    async def call_raw(self, service, operation, body):
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.mark.parametrize(
    "answer",
    [b"<html>", b"{}", CallFailed("DescribeGroup", 400, "UnknownOperationException", "")],
)
async def test_an_endpoint_that_keeps_no_groups_is_told_so(answer):
    elsewhere: Any = Elsewhere(answer)
    with pytest.raises(UnsupportedOperation, match="is it an eventcore daemon"):
        await _describe_group(elsewhere, "arn", "g")


@pytest.mark.parametrize(
    "error",
    [
        CallFailed("DescribeGroup", 400, "ResourceNotFoundException", ""),
        CallFailed("DescribeGroup", 500, "InternalFailure", ""),
    ],
)
async def test_what_a_daemon_says_of_groups_is_passed_on(error):
    elsewhere: Any = Elsewhere(error)
    with pytest.raises(CallFailed):
        await _describe_group(elsewhere, "arn", "g")
