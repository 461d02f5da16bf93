"""Reading a stream as a whole: bounded however many shards there are, in turns, in order."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

import eventcore
from eventcore import OutgoingRecord
from eventcore.runtime.stream_handles import Stream
from eventcore.runtime.stream_reading import KEPT_BYTES_MAX, RECORD_BYTES, RecordReading
from eventcore.runtime.stream_source import StreamRecord
from eventcore.runtime.subscriptions import PUSH_BYTES
from eventcore.streams.stream_spec import StartingPosition
from tests.unit.runtime.rig import turn

SHARDS = 12
DATA_BYTES = 16_000
OF_A_SHARD = 200
PAGE_COST = PUSH_BYTES + RECORD_BYTES * (PUSH_BYTES // DATA_BYTES + 1)


@pytest.fixture
async def broker() -> AsyncIterator[eventcore.Broker]:
    async with eventcore.open() as opened:
        yield opened


async def filled(broker: eventcore.Broker) -> Stream:
    """A stream with a backlog of several pages in each of its shards; records are numbered."""
    stream = await broker.streams.create("clicks", shards=SHARDS)
    keys = [str(shard.first_hash) for shard in await stream.shards()]
    for number in range(OF_A_SHARD):
        data = b"%d " % number + bytes(DATA_BYTES)
        await stream.put_many(OutgoingRecord(data, "k", key) for key in keys)
    return stream


def begin(
    broker: eventcore.Broker, stream: Stream, start: str = "TRIM_HORIZON", *, follow: bool = False
) -> RecordReading:
    reading = RecordReading(broker.engine, stream.arn)
    position = StartingPosition("LATEST" if start == "LATEST" else "TRIM_HORIZON")
    reading.begin(position, None, is_following=follow)
    return reading


async def pages(reading: RecordReading) -> list[list[StreamRecord]]:
    found = []
    while (page := await reading.next_page()) is not None:
        assert reading.kept_bytes <= KEPT_BYTES_MAX + PAGE_COST
        found.append(list(page))
    return found


async def test_what_waits_to_be_asked_for_is_bounded_however_many_shards_there_are(
    broker: eventcore.Broker,
) -> None:
    reading = begin(broker, await filled(broker))
    for _ in range(10 * SHARDS):
        await turn()
    assert KEPT_BYTES_MAX <= reading.kept_bytes <= KEPT_BYTES_MAX + PAGE_COST
    by_shard: dict[str, list[int]] = {}
    for page in await pages(reading):
        by_shard.setdefault(page[0].shard_id, []).extend(
            int(record.data.split(b" ", 1)[0]) for record in page
        )
    assert len(by_shard) == SHARDS
    assert all(numbers == list(range(OF_A_SHARD)) for numbers in by_shard.values())
    assert reading.kept_bytes == 0


async def test_shards_are_read_in_turns(broker: eventcore.Broker) -> None:
    order = [page[0].shard_id for page in await pages(begin(broker, await filled(broker)))]
    assert len(set(order[:SHARDS])) == SHARDS
    assert len(order) > SHARDS


async def test_a_reader_that_was_full_follows_the_tip(broker: eventcore.Broker) -> None:
    stream = await filled(broker)
    reading = begin(broker, stream, follow=True)
    count = 0
    while count < SHARDS * OF_A_SHARD:
        page = await reading.next_page()
        assert page is not None
        count += len(list(page))
    await stream.update_shard_count(2 * SHARDS)
    for shard in [shard for shard in await stream.shards() if shard.end is None]:
        await stream.put(b"tip", partition_key="k", explicit_hash_key=str(shard.first_hash))
    tip: list[StreamRecord] = []
    while len(tip) < 2 * SHARDS:
        page = await reading.next_page()
        assert page is not None
        tip.extend(page)
    assert {record.data for record in tip} == {b"tip"}
    assert len({record.shard_id for record in tip}) == 2 * SHARDS
    reading.close()
    assert len(broker.engine.streams.subscriptions) == 0


@pytest.mark.parametrize("start", ["TRIM_HORIZON", "LATEST"])
async def test_a_child_waits_for_a_parent_that_nobody_has_told_of_yet(
    broker: eventcore.Broker, start: str
) -> None:
    """Of two shards, the first is split, and its second half merged with the other shard, which is
    drained first: it tells of a child whose other parent is not known then.
    """
    stream = await broker.streams.create("clicks", shards=2)
    key = str((1 << 127) - 1)
    count = 3 * OF_A_SHARD  # more pages than may wait
    reading = begin(broker, stream, start, follow=True)
    for number in range(count):
        data = b"%d " % number + bytes(DATA_BYTES)
        await stream.put(data, partition_key="k", explicit_hash_key=key)
    await stream.split("shardId-000000000000")
    await stream.put(b"%d " % count, partition_key="k", explicit_hash_key=key)
    await stream.merge("shardId-000000000003", "shardId-000000000001")
    await stream.put(b"%d " % (count + 1), partition_key="k", explicit_hash_key=key)
    told: list[int] = []
    while len(told) < count + 2:
        page = await reading.next_page()
        assert page is not None
        told += [int(record.data.split(b" ", 1)[0]) for record in page]
    reading.close()
    assert told == list(range(count + 2))
