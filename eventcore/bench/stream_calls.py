"""The Kinesis operations that the load uses, as plain functions over `AwsJsonClient`.

They raise what the client raises: CallFailed, EndpointUnreachable. Streams are named by their name.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

import msgspec

from eventcore.bench.client import KINESIS, AwsJsonClient, CallFailed, EndpointUnreachable
from eventcore.bench.event_stream import EventStream
from eventcore.codec import encode_json, json_decoder

__all__ = [
    "ReadRecord",
    "RecordCount",
    "RecordsPage",
    "ShardRange",
    "create_stream",
    "delete_stream",
    "get_records",
    "put_record",
    "put_records",
    "register_consumer",
    "shard_iterator",
    "shards_of",
    "skim_records",
    "subscribe",
    "subscribe_to_count",
]

READY_S: Final = 60.0
READY_PAUSE_S: Final = 0.05
RECORDS_EVENT: Final = "SubscribeToShardEvent"


class ShardRange(msgspec.Struct, frozen=True):
    """A shard: its id, and the first hash key that it owns, in decimal."""

    id: str
    first_hash: str


class ReadRecord(msgspec.Struct, frozen=True, rename="pascal"):
    """A record as it was read."""

    sequence_number: str
    data: bytes
    partition_key: str


class RecordsPage(msgspec.Struct, frozen=True, rename="pascal"):
    """What a read gave: records in order, and where to go on (None at the end of a shard)."""

    records: list[ReadRecord]
    millis_behind_latest: int = 0
    next_shard_iterator: str | None = None


class RecordCount(msgspec.Struct, frozen=True, rename="pascal"):
    """The same, for whoever only counts: the records are not looked into."""

    records: list[msgspec.Raw]
    millis_behind_latest: int = 0
    next_shard_iterator: str | None = None


class _Entry(msgspec.Struct, frozen=True, rename="pascal"):
    data: bytes
    partition_key: str


class _PutRecords(msgspec.Struct, frozen=True, rename="pascal"):
    stream_name: str
    records: list[_Entry]


class _PutRecord(msgspec.Struct, frozen=True, rename="pascal", omit_defaults=True):
    stream_name: str
    data: bytes
    partition_key: str
    explicit_hash_key: str | None = None


class _Result(msgspec.Struct, frozen=True, rename="pascal"):
    error_code: str | None = None


class _Failures(msgspec.Struct, frozen=True, rename="pascal"):
    failed_record_count: int = 0


class _PutRecordsAnswer(msgspec.Struct, frozen=True, rename="pascal"):
    records: list[_Result]


class _GetRecords(msgspec.Struct, frozen=True, rename="pascal"):
    shard_iterator: str
    limit: int


_decode_failures: Final = json_decoder(_Failures)
_decode_put_records: Final = json_decoder(_PutRecordsAnswer)
_decode_records: Final = json_decoder(RecordsPage)
_decode_count: Final = json_decoder(RecordCount)


async def create_stream(client: AwsJsonClient, name: str, shards: int) -> None:
    """Creates a stream with provisioned capacity; returns when it is ACTIVE."""
    await client.call(KINESIS, "CreateStream", {"StreamName": name, "ShardCount": shards})

    async def status() -> str:
        answer = await client.call(KINESIS, "DescribeStreamSummary", {"StreamName": name})
        return str(answer["StreamDescriptionSummary"]["StreamStatus"])

    await _until_active(status, name)


async def delete_stream(client: AwsJsonClient, name: str) -> None:
    """Deletes a stream with its records and consumers."""
    await client.call(
        KINESIS, "DeleteStream", {"StreamName": name, "EnforceConsumerDeletion": True}
    )


async def shards_of(client: AwsJsonClient, name: str) -> list[ShardRange]:
    """A stream's shards, in the order in which they were made."""
    request: dict[str, Any] = {"StreamName": name}
    found: list[ShardRange] = []
    while True:
        answer = await client.call(KINESIS, "ListShards", request)
        found += [
            ShardRange(str(shard["ShardId"]), str(shard["HashKeyRange"]["StartingHashKey"]))
            for shard in answer["Shards"]
        ]
        token = answer.get("NextToken")
        if not token:
            return found
        request = {"NextToken": token}


async def put_record(
    client: AwsJsonClient, name: str, data: bytes, partition_key: str, hash_key: str | None = None
) -> None:
    """Puts one record; on return it is stored."""
    request = encode_json(_PutRecord(name, data, partition_key, hash_key))
    await client.call_raw(KINESIS, "PutRecord", request)


async def put_records(
    client: AwsJsonClient, name: str, records: Sequence[tuple[bytes, str]]
) -> list[int]:
    """Puts up to 500 records, (data, partition key) each, in one request. Returns the indexes of
    those that were refused.
    """
    entries = [_Entry(data, key) for data, key in records]
    answer = await client.call_raw(KINESIS, "PutRecords", encode_json(_PutRecords(name, entries)))
    if not _decode_failures(answer).failed_record_count:
        return []
    results = _decode_put_records(answer).records
    return [index for index, result in enumerate(results) if result.error_code]


async def shard_iterator(
    client: AwsJsonClient, name: str, shard_id: str, kind: str = "TRIM_HORIZON"
) -> str:
    """An iterator that needs nothing but its kind: TRIM_HORIZON or LATEST."""
    request = {"StreamName": name, "ShardId": shard_id, "ShardIteratorType": kind}
    return str((await client.call(KINESIS, "GetShardIterator", request))["ShardIterator"])


async def get_records(client: AwsJsonClient, iterator: str, limit: int = 10_000) -> RecordsPage:
    """The next records from an iterator on."""
    return _decode_records(await _get_records(client, iterator, limit))


async def skim_records(client: AwsJsonClient, iterator: str, limit: int = 10_000) -> RecordCount:
    """The same, with as little work here as can be."""
    return _decode_count(await _get_records(client, iterator, limit))


async def _get_records(client: AwsJsonClient, iterator: str, limit: int) -> bytes:
    return await client.call_raw(KINESIS, "GetRecords", encode_json(_GetRecords(iterator, limit)))


async def register_consumer(client: AwsJsonClient, stream_name: str, name: str) -> str:
    """Registers an enhanced fan-out consumer; returns its ARN when it is ACTIVE."""
    summary = await client.call(KINESIS, "DescribeStreamSummary", {"StreamName": stream_name})
    stream_arn = summary["StreamDescriptionSummary"]["StreamARN"]
    request = {"StreamARN": stream_arn, "ConsumerName": name}
    answer = await client.call(KINESIS, "RegisterStreamConsumer", request)
    consumer_arn = str(answer["Consumer"]["ConsumerARN"])

    async def status() -> str:
        asked = {"ConsumerARN": consumer_arn}
        described = await client.call(KINESIS, "DescribeStreamConsumer", asked)
        return str(described["ConsumerDescription"]["ConsumerStatus"])

    await _until_active(status, name)
    return consumer_arn


async def subscribe(
    client: AwsJsonClient,
    consumer_arn: str,
    shard_id: str,
    on_records: Callable[[RecordsPage], None],
    kind: str = "LATEST",
) -> EventStream:
    """Subscribes to a shard, for five minutes at the most. `on_records` is told of each event, of
    those without records, too.
    """

    def take(payload: bytes) -> None:
        on_records(_decode_records(payload))

    return await _subscribe(client, consumer_arn, shard_id, take, kind)


async def subscribe_to_count(
    client: AwsJsonClient, consumer_arn: str, shard_id: str, on_count: Callable[[int], None]
) -> EventStream:
    """The same at the tip, for whoever counts records only."""

    def take(payload: bytes) -> None:
        on_count(len(_decode_count(payload).records))

    return await _subscribe(client, consumer_arn, shard_id, take, "LATEST")


async def _subscribe(
    client: AwsJsonClient,
    consumer_arn: str,
    shard_id: str,
    take: Callable[[bytes], None],
    kind: str,
) -> EventStream:
    def on_event(event_type: str, payload: bytes) -> None:
        if event_type == RECORDS_EVENT:
            take(payload)

    request = {
        "ConsumerARN": consumer_arn,
        "ShardId": shard_id,
        "StartingPosition": {"Type": kind},
    }
    body = encode_json(request)
    return await EventStream.open(client, KINESIS, "SubscribeToShard", body, on_event)


async def _until_active(status: Callable[[], Awaitable[str]], name: str) -> None:
    end_s = time.monotonic() + READY_S
    while True:
        try:
            found = await status()
        except CallFailed as error:
            if error.code != "ResourceNotFoundException":
                raise
            found = "none"
        if found == "ACTIVE":
            return
        if time.monotonic() > end_s:
            raise EndpointUnreachable(f"{name} is {found} after {READY_S:g} s")
        await asyncio.sleep(READY_PAUSE_S)
