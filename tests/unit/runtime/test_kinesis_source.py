"""A Kinesis endpoint as a source: paging, rates, iterators that expire, faults. The client is a
script of answers.
"""

from __future__ import annotations

import asyncio
import builtins
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest

from eventcore.consumers.checkpoint import FROM_TRIM_HORIZON, after_record, at_timestamp
from eventcore.errors import InvalidParameter, NotFound, SourceUnavailable
from eventcore.runtime.lease_client import DaemonLeases
from eventcore.runtime.stream_kinesis import KinesisSource
from eventcore.testing import ManualClock

ARN = "arn:aws:kinesis:eu-west-1:123456789012:stream/orders"


class ClientError(Exception):
    """As botocore's."""

    def __init__(self, code: str, message: str = "") -> None:
        super().__init__(code)
        self.response = {"Error": {"Code": code, "Message": message}}


class Client:
    """Answers calls from a script, and keeps them."""

    def __init__(self, clock: ManualClock, script: list[Any]) -> None:
        self.calls: list[tuple[str, dict[str, Any], int]] = []
        self._clock = clock
        self._script: Iterator[Any] = iter(script)

    def __getattr__(self, operation: str) -> Any:
        async def call(**request: Any) -> Any:
            await asyncio.sleep(0)
            self.calls.append((operation, request, self._clock.now_ms()))
            answer = next(self._script)
            if isinstance(answer, Exception):
                raise answer
            return answer

        return call

    def requests(self, operation: str) -> list[dict[str, Any]]:
        return [request for name, request, _ in self.calls if name == operation]


def source_of(*script: Any, **options: Any) -> tuple[KinesisSource, Client, ManualClock]:
    clock = ManualClock()
    client = Client(clock, list(script))

    @asynccontextmanager
    async def make() -> AsyncIterator[Client]:
        yield client

    return KinesisSource(ARN, make_client=make, clock=clock, **options), client, clock


def page(*numbers: int, after: str | None = "next", behind_ms: int = 0) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "Records": [
            {
                "SequenceNumber": str(number),
                "PartitionKey": "k",
                "Data": b"x",
                "ApproximateArrivalTimestamp": datetime.fromtimestamp(5, UTC),
            }
            for number in numbers
        ],
        "MillisBehindLatest": behind_ms,
    }
    if after is not None:
        answer["NextShardIterator"] = after
    return answer


ITERATOR = {"ShardIterator": "first"}


async def test_all_pages_of_shards_are_read():
    hashes = {"StartingHashKey": "0", "EndingHashKey": "9"}
    source, client, _ = source_of(
        {
            "Shards": [
                {
                    "ShardId": "s-0",
                    "HashKeyRange": hashes,
                    "SequenceNumberRange": {"EndingSequenceNumber": "1"},
                }
            ],
            "NextToken": "more",
        },
        {
            "Shards": [
                {
                    "ShardId": "s-1",
                    "ParentShardId": "s-0",
                    "AdjacentParentShardId": "s-9",
                    "HashKeyRange": hashes,
                    "SequenceNumberRange": {},
                }
            ]
        },
    )
    first, second = await source.list_shards()
    assert (first.shard_id, first.is_closed, first.parents) == ("s-0", True, ())
    assert (second.is_closed, second.parents, second.last_hash) == (False, ("s-0", "s-9"), 9)
    assert client.requests("list_shards") == [{"StreamARN": ARN}, {"NextToken": "more"}]
    await source.close()


@pytest.mark.parametrize(
    ("start", "expected"),
    [
        (FROM_TRIM_HORIZON, {"ShardIteratorType": "TRIM_HORIZON"}),
        (at_timestamp(5_000), {"ShardIteratorType": "AT_TIMESTAMP", "Timestamp": 5.0}),
        (
            after_record("7"),
            {"ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "StartingSequenceNumber": "7"},
        ),
        (
            after_record("7", 2),
            {"ShardIteratorType": "AT_SEQUENCE_NUMBER", "StartingSequenceNumber": "7"},
        ),
    ],
)
async def test_where_a_reader_begins(start: Any, expected: dict[str, Any]):
    source, client, _ = source_of(ITERATOR, page(8))
    taken = await source.open_reader("s-0", start).read(100, 0)
    assert [record.sequence_number for record in taken.records] == ["8"]
    assert taken.records[0].arrived_ms == 5_000
    (request,) = client.requests("get_shard_iterator")
    assert request == {"StreamARN": ARN, "ShardId": "s-0", **expected}
    assert client.requests("get_records") == [
        {"ShardIterator": "first", "Limit": 100, "StreamARN": ARN}
    ]


async def test_reads_follow_each_other_no_faster_than_aws_allows():
    source, client, clock = source_of(
        ITERATOR, page(1, behind_ms=90), page(2), page(), page(3), poll_ms=700
    )
    reader = source.open_reader("s-0", FROM_TRIM_HORIZON)
    start_ms = clock.now_ms()

    async def read_all() -> list[str]:
        pages = [await reader.read(10, 60_000) for _ in range(3)]
        return [page.records[0].sequence_number for page in pages]

    reading = asyncio.create_task(read_all())
    await clock.run_for(2_000)
    assert await reading == ["1", "2", "3"]
    times = [at - start_ms for name, _, at in client.calls if name == "get_records"]
    assert times == [0, 200, 400, 1_100], "the empty read is the tip"


async def test_a_read_without_waiting_may_give_nothing():
    source, _, _ = source_of(ITERATOR, page(behind_ms=0))
    taken = await source.open_reader("s-0", FROM_TRIM_HORIZON).read(10, 0)
    assert (list(taken.records), taken.behind_ms, taken.behind_records) == ([], 0, 0)


async def test_the_end_of_a_closed_shard():
    source, client, _ = source_of(ITERATOR, page(1, after=None))
    reader = source.open_reader("s-0", FROM_TRIM_HORIZON)
    assert (await reader.read(10, 0)).is_end
    assert (await reader.read(10, 60_000)).is_end
    assert len(client.requests("get_records")) == 1


async def test_rates_are_waited_out_with_the_same_iterator():
    rate = ClientError("ProvisionedThroughputExceededException", "Rate exceeded")
    source, client, clock = source_of(ITERATOR, rate, rate, rate, page(1))
    reading = asyncio.create_task(source.open_reader("s-0", FROM_TRIM_HORIZON).read(10, 60_000))
    start_ms = clock.now_ms()
    await clock.run_for(5_000)
    assert len((await reading).records) == 1
    times = [at - start_ms for name, _, at in client.calls if name == "get_records"]
    assert times == [0, 200, 600, 1_400], "the pauses double"
    assert len(client.requests("get_shard_iterator")) == 1


async def test_an_expired_iterator_is_renewed_behind_the_last_record():
    source, client, clock = source_of(
        ITERATOR, page(1, 2), ClientError("ExpiredIteratorException"), ITERATOR, page(3)
    )
    reader = source.open_reader("s-0", FROM_TRIM_HORIZON)
    await reader.read(10, 0)
    reading = asyncio.create_task(reader.read(10, 10_000))
    await clock.run_for(1_000)
    assert [record.sequence_number for record in (await reading).records] == ["3"]
    assert client.requests("get_shard_iterator")[-1]["StartingSequenceNumber"] == "2"


async def test_broken_connections_pass():
    source, client, clock = source_of(
        OSError("reset"), ITERATOR, ClientError("InternalFailure"), ITERATOR, page(1)
    )
    reading = asyncio.create_task(source.open_reader("s-0", after_record("0")).read(10, 60_000))
    await clock.run_for(5_000)
    assert len((await reading).records) == 1
    assert len(client.requests("get_shard_iterator")) == 3


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("Shard shardId-0 in stream orders under account 1 does not exist", "shard"),
        ("Stream orders under account 1 not found.", "stream"),
    ],
)
async def test_what_is_gone_is_told(message: str, kind: str):
    source, _, _ = source_of(ClientError("ResourceNotFoundException", message))
    with pytest.raises(NotFound) as gone:
        await source.open_reader("s-0", FROM_TRIM_HORIZON).read(10, 60_000)
    assert gone.value.kind == kind


async def test_what_the_endpoint_refuses_is_told():
    source, _, _ = source_of(ClientError("InvalidArgumentException", "not of this stream"))
    with pytest.raises(InvalidParameter, match="not of this stream"):
        await source.open_reader("s-0", after_record("7")).read(10, 60_000)


async def test_other_faults_of_listing_are_passing_ones():
    source, _, _ = source_of(ClientError("AccessDeniedException", "no"), OSError("reset"))
    for _ in range(2):
        with pytest.raises(SourceUnavailable):
            await source.list_shards()


async def test_a_list_without_end_is_no_list():
    source, _, _ = source_of(*[{"Shards": [], "NextToken": "more"}] * 200)
    with pytest.raises(SourceUnavailable, match="does not come to an end"):
        await source.list_shards()


async def test_a_client_that_can_not_be_made_is_a_passing_fault():
    def make() -> Any:
        raise OSError("no network")

    source = KinesisSource(ARN, make_client=make)
    with pytest.raises(SourceUnavailable, match="no network"):
        await source.list_shards()


@pytest.mark.parametrize("wrong", [{"poll_ms": 100}, {"stream_arn": "orders"}])
async def test_options_that_make_no_sense_are_refused(wrong: dict[str, Any]):
    with pytest.raises(InvalidParameter):
        KinesisSource(**{"stream_arn": ARN, **wrong})


async def test_without_the_extra_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch):
    importing = builtins.__import__

    def without(name: str, *rest: Any, **named: Any) -> Any:
        if name.partition(".")[0] in {"aiobotocore", "aiohttp"}:
            raise ImportError(name)
        return importing(name, *rest, **named)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(InvalidParameter, match=r"eventcore\[kinesis\]"):
        await KinesisSource(ARN).list_shards()
    with pytest.raises(InvalidParameter, match=r"eventcore\[kinesis\]"):
        await DaemonLeases("http://127.0.0.1:9", ARN, "g").describe()
