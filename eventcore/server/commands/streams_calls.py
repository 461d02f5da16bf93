"""What the `streams` commands share: how a stream is named, and its Kinesis operations.

Rules of this file:

- A stream is named by its name, or by its ARN, which then says the region as well. A shard is named
  by its id, or by the number at the id's end.
- What is refused for its rate, or by an endpoint that is in trouble (5xx), is tried again after
  pauses that double, `TRIES` times in all. Everything else is raised at once: CallFailed,
  EndpointUnreachable.
- LimitExceededException is a rate where something is listed, described or read, and a quota where
  a stream is changed. What changes a stream is not tried again after a 5xx.
"""

from __future__ import annotations

import argparse
import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, TypeVar, final

import msgspec

from eventcore.arn import parse_arn
from eventcore.bench.client import KINESIS, AwsJsonClient, CallFailed
from eventcore.codec import encode_json, json_decoder
from eventcore.errors import InvalidParameter

__all__ = [
    "EXPIRED",
    "INTERNAL",
    "NOT_FOUND",
    "Backoff",
    "PutEntry",
    "PutResult",
    "Record",
    "RecordsPage",
    "Shard",
    "StartAt",
    "StreamClient",
    "StreamSummary",
    "add_stream_arguments",
    "is_passing",
    "shard_id_of",
    "take_region",
]

T = TypeVar("T")

NOT_FOUND: Final = "ResourceNotFoundException"
EXPIRED: Final = "ExpiredIteratorException"
TRIES: Final = 10
PAUSE_FIRST_S: Final = 0.1
PAUSE_LONGEST_S: Final = 5.0
LIST_PAGE: Final = 1_000
NOT_IMPLEMENTED: Final = 501
INTERNAL: Final = "InternalFailure"
_RATES: Final = frozenset(
    (
        "KMSThrottlingException",
        "ProvisionedThroughputExceededException",
        "ThrottlingException",
    )
)
_RATE_OF_LISTINGS: Final = "LimitExceededException"
_STREAM: Final = "stream/"


# Arguments


def add_stream_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the stream."""
    parser.add_argument("stream", help="name or ARN")


def take_region(arguments: argparse.Namespace) -> None:
    """Takes the region of a stream that is named by its ARN. Raises InvalidParameter."""
    if arguments.stream.startswith("arn:"):
        arn = parse_arn(arguments.stream)
        if arn.service != "kinesis" or not arn.resource.startswith(_STREAM):
            raise InvalidParameter("stream", f"{arguments.stream} is not the ARN of a stream.")
        arguments.region = arn.region


def shard_id_of(text: str) -> str:
    """A shard's id, from the id itself or the number at its end."""
    return f"shardId-{int(text):012}" if text.isascii() and text.isdecimal() else text


# What is sent and what is answered


class StartAt(msgspec.Struct, frozen=True):
    """Where reading a shard begins: a type of shard iterators, and what it needs. `at_s` is in
    epoch seconds.
    """

    kind: str
    sequence_number: str | None = None
    at_s: float | None = None


class StreamSummary(msgspec.Struct, frozen=True):
    """A stream as it stands."""

    name: str
    arn: str
    status: str
    mode: str
    open_shards: int
    record_bytes_max: int


class Shard(msgspec.Struct, frozen=True):
    """A shard. Its hash keys are inclusive."""

    id: str
    parents: tuple[str, ...]
    first_hash: int
    last_hash: int
    is_open: bool


class Record(msgspec.Struct, frozen=True, rename="pascal"):
    """A record as it was read. The arrival is in epoch seconds."""

    sequence_number: str
    data: bytes
    partition_key: str
    approximate_arrival_timestamp: float = 0.0

    @property
    def arrived_ms(self) -> int:
        """When the stream took it, epoch ms."""
        return round(self.approximate_arrival_timestamp * 1000)


class RecordsPage(msgspec.Struct, frozen=True):
    """What GetRecords answers. Without `next_iterator` the shard is over; `behind_ms` is 0 at the
    tip.
    """

    records: list[Record] = msgspec.field(name="Records", default=[])
    next_iterator: str | None = msgspec.field(name="NextShardIterator", default=None)
    behind_ms: int | None = msgspec.field(name="MillisBehindLatest", default=None)

    @property
    def is_tip(self) -> bool:
        """Whether there was nothing behind this page."""
        return not self.behind_ms and (self.behind_ms == 0 or not self.records)


class PutEntry(msgspec.Struct, frozen=True, rename="pascal"):
    """A record to put."""

    data: bytes
    partition_key: str

    @property
    def size(self) -> int:
        """Its bytes as AWS counts them."""
        return len(self.data) + len(self.partition_key.encode())


class PutResult(msgspec.Struct, frozen=True, rename="pascal"):
    """What became of a record: its place, or an error."""

    shard_id: str | None = None
    sequence_number: str | None = None
    error_code: str | None = None
    error_message: str | None = None

    @property
    def is_passing(self) -> bool:
        """Whether it is worth another try."""
        return self.error_code == INTERNAL or self.error_code in _RATES


class _PutAnswer(msgspec.Struct, frozen=True, rename="pascal"):
    records: list[PutResult]


class _HashKeys(msgspec.Struct, frozen=True, rename="pascal"):
    starting_hash_key: str
    ending_hash_key: str


class _Sequences(msgspec.Struct, frozen=True, rename="pascal"):
    ending_sequence_number: str | None = None


class _Shard(msgspec.Struct, frozen=True, rename="pascal"):
    shard_id: str
    hash_key_range: _HashKeys
    sequence_number_range: _Sequences
    parent_shard_id: str | None = None
    adjacent_parent_shard_id: str | None = None

    def plain(self) -> Shard:
        parents = (self.parent_shard_id, self.adjacent_parent_shard_id)
        return Shard(
            self.shard_id,
            tuple(parent for parent in parents if parent),
            int(self.hash_key_range.starting_hash_key),
            int(self.hash_key_range.ending_hash_key),
            self.sequence_number_range.ending_sequence_number is None,
        )


class _ShardsPage(msgspec.Struct, frozen=True, rename="pascal"):
    shards: list[_Shard]
    next_token: str | None = None


class _Mode(msgspec.Struct, frozen=True, rename="pascal"):
    stream_mode: str = "PROVISIONED"


class _Description(msgspec.Struct, frozen=True, rename="pascal"):
    stream_name: str
    stream_status: str
    open_shard_count: int
    arn: str = msgspec.field(name="StreamARN")
    mode: _Mode = msgspec.field(name="StreamModeDetails", default=_Mode())
    record_kib_max: int = msgspec.field(name="MaxRecordSizeInKiB", default=1_024)


class _Summary(msgspec.Struct, frozen=True):
    description: _Description = msgspec.field(name="StreamDescriptionSummary")


class _Iterator(msgspec.Struct, frozen=True, rename="pascal"):
    shard_iterator: str


_decode_summary: Final = json_decoder(_Summary)
_decode_shards: Final = json_decoder(_ShardsPage)
_decode_iterator: Final = json_decoder(_Iterator)
_decode_records: Final = json_decoder(RecordsPage)
_decode_put: Final = json_decoder(_PutAnswer)


# Trying again


def is_passing(error: CallFailed) -> bool:
    """Whether a call that failed so is worth another try."""
    return error.code in _RATES or (error.status >= 500 and error.status != NOT_IMPLEMENTED)


@final
class Backoff:
    """Pauses that double, each cut by chance to half at the least: many that were refused at once
    do not come back at once.
    """

    def __init__(self) -> None:
        self._pause_s = PAUSE_FIRST_S

    async def pause(self) -> None:
        """Waits."""
        await asyncio.sleep(self._pause_s * random.uniform(0.5, 1.0))  # noqa: S311
        self._pause_s = min(2 * self._pause_s, PAUSE_LONGEST_S)


async def _patiently(call: Callable[[], Awaitable[T]], passing: Callable[[CallFailed], bool]) -> T:
    backoff = Backoff()
    for _ in range(TRIES - 1):
        try:
            return await call()
        except CallFailed as error:
            if not passing(error):
                raise
        await backoff.pause()
    return await call()


def _is_passing_listing(error: CallFailed) -> bool:
    return error.code == _RATE_OF_LISTINGS or is_passing(error)


def _is_rate(error: CallFailed) -> bool:
    return error.code in _RATES


# Operations


@final
class StreamClient:
    """One stream of an endpoint. Every method raises CallFailed and EndpointUnreachable."""

    def __init__(self, client: AwsJsonClient, stream: str) -> None:
        member = "StreamARN" if stream.startswith("arn:") else "StreamName"
        self._client = client
        self._address = {member: stream}

    async def describe(self) -> StreamSummary:
        """The stream's state."""
        found = (await self._listing("DescribeStreamSummary", {}, _decode_summary)).description
        return StreamSummary(
            found.stream_name,
            found.arn,
            found.stream_status,
            found.mode.stream_mode,
            found.open_shard_count,
            found.record_kib_max * 1024,
        )

    async def list_shards(self) -> list[Shard]:
        """All shards that still exist, closed ones included, in the order of their ids."""
        page = await self._listing("ListShards", {"MaxResults": LIST_PAGE}, _decode_shards)
        shards = page.shards
        while page.next_token:
            request = {"NextToken": page.next_token, "MaxResults": LIST_PAGE}
            page = await self._listing("ListShards", request, _decode_shards, is_of_stream=False)
            shards = shards + page.shards
        return sorted((shard.plain() for shard in shards), key=lambda shard: shard.id)

    async def iterator(self, shard_id: str, start: StartAt) -> str:
        """A shard iterator; it is good for five minutes."""
        request: dict[str, Any] = {"ShardId": shard_id, "ShardIteratorType": start.kind}
        if start.sequence_number is not None:
            request["StartingSequenceNumber"] = start.sequence_number
        if start.at_s is not None:
            request["Timestamp"] = start.at_s
        return (await self._listing("GetShardIterator", request, _decode_iterator)).shard_iterator

    async def get_records(self, iterator: str, records_max: int) -> RecordsPage:
        """The next records."""
        request = encode_json({"ShardIterator": iterator, "Limit": records_max})
        return await _patiently(
            lambda: self._call("GetRecords", request, _decode_records), _is_passing_listing
        )

    async def put_records(self, entries: Sequence[PutEntry]) -> list[PutResult]:
        """Puts up to 500 records, without trying again; what became of each."""
        request = encode_json({**self._address, "Records": entries})
        results = (await self._call("PutRecords", request, _decode_put)).records
        if len(results) != len(entries):
            raise CallFailed("PutRecords", 200, "UnknownError", "not as many results as records")
        return results

    async def update_shard_count(self, count: int) -> None:
        """Makes `count` shards of equal size; the stream is UPDATING then."""
        await self._change(
            "UpdateShardCount", {"TargetShardCount": count, "ScalingType": "UNIFORM_SCALING"}
        )

    async def split(self, shard_id: str, hash_key: int) -> None:
        """Splits a shard; the second child begins at `hash_key`. The stream is UPDATING then."""
        await self._change(
            "SplitShard", {"ShardToSplit": shard_id, "NewStartingHashKey": str(hash_key)}
        )

    async def merge(self, shard_id: str, adjacent_id: str) -> None:
        """Merges two shards side by side. The stream is UPDATING then."""
        await self._change(
            "MergeShards", {"ShardToMerge": shard_id, "AdjacentShardToMerge": adjacent_id}
        )

    async def _listing(
        self,
        operation: str,
        parameters: dict[str, Any],
        decode: Callable[[bytes], T],
        *,
        is_of_stream: bool = True,
    ) -> T:
        address = self._address if is_of_stream else {}
        request = encode_json({**address, **parameters})
        return await _patiently(lambda: self._call(operation, request, decode), _is_passing_listing)

    async def _change(self, operation: str, parameters: dict[str, Any]) -> None:
        request = encode_json({**self._address, **parameters})
        # After a 5xx it may be under way: a second one would be told that the stream is in use.
        await _patiently(lambda: self._client.call_raw(KINESIS, operation, request), _is_rate)

    async def _call(self, operation: str, request: bytes, decode: Callable[[bytes], T]) -> T:
        answer = await self._client.call_raw(KINESIS, operation, request)
        try:
            return decode(answer)
        except (msgspec.DecodeError, ValueError) as error:
            reason = f"{self._client.endpoint_url} does not answer as Kinesis does ({error})"
            raise CallFailed(operation, 200, "UnknownError", reason) from error
