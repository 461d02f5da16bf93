"""What the embedding program holds of streams: `broker.streams`, and one stream. Thin: each method
is one engine request, or a few.

    orders = await broker.streams.create("orders", shards=4)
    await orders.put(b"...", partition_key="customer-7")
    async for record in orders.records(start="TRIM_HORIZON"):
        ...

A handle names its stream by ARN and stays good over a reload; using one of a deleted stream raises
NotFound. What changes something returns when the change is durable.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterable, Mapping
from datetime import datetime
from typing import Final, final

import msgspec

from eventcore import limits
from eventcore.arn import stream_arn
from eventcore.consumers.records import GroupDescription
from eventcore.errors import AlreadyExists, InvalidParameter
from eventcore.runtime.engine import Engine
from eventcore.runtime.lease_groups import group_arn
from eventcore.runtime.stream_consume import StreamConsuming
from eventcore.runtime.stream_reading import RecordReading, records_of
from eventcore.runtime.stream_source import StreamRecord
from eventcore.streams.stream import Stream as StreamMachine
from eventcore.streams.stream_spec import (
    ON_DEMAND,
    PROVISIONED,
    Appended,
    Place,
    RecordEntry,
    Refused,
    ShardView,
    StartingPosition,
    StreamSpec,
    StreamSummary,
)

__all__ = ["OutgoingRecord", "Stream", "Streams", "starting_position"]

HOUR_MS: Final = 3_600_000
_NAME: Final = re.compile(r"[a-zA-Z0-9_.-]{1,128}")


class OutgoingRecord(msgspec.Struct, frozen=True):
    """A record for `Stream.put_many`, with the arguments of `Stream.put`."""

    data: bytes | str
    partition_key: str
    explicit_hash_key: str | None = None


def starting_position(start: str | datetime | StartingPosition) -> StartingPosition:
    """A starting position from what a program says: "TRIM_HORIZON", "LATEST", or a time with its
    zone. Raises InvalidParameter.
    """
    if isinstance(start, StartingPosition):
        return start
    if isinstance(start, datetime):
        if start.tzinfo is None:
            raise InvalidParameter("start", "A time must say its zone.", start)
        return StartingPosition("AT_TIMESTAMP", timestamp_ms=int(start.timestamp() * 1000))
    if start == "TRIM_HORIZON":
        return StartingPosition("TRIM_HORIZON")
    if start == "LATEST":
        return StartingPosition("LATEST")
    raise InvalidParameter("start", 'Must be "TRIM_HORIZON", "LATEST" or a time.', start)


@final
class Streams(StreamConsuming):
    """The streams of a broker: `broker.streams`."""

    def __init__(self, engine: Engine, account: str, region: str) -> None:
        super().__init__(engine, self.arn)
        self._engine = engine
        self._account = account
        self._region = region

    async def create(
        self,
        name: str,
        *,
        shards: int = 1,
        on_demand: bool = False,
        retention_hours: int = 24,
        record_bytes_max: int = limits.RECORD_BYTES_MAX_DEFAULT,
        tags: Mapping[str, str] | None = None,
    ) -> Stream:
        """Creates a stream, or gives the one of that name, whose settings stay as they are.

        `shards` bound how many workers can share it; an `on_demand` one has four to begin with and
        grows with its load. `retention_hours` is 24 to 8,760. Raises InvalidParameter for a name or
        a setting that AWS would not allow, LimitExceeded.
        """
        _check_name(name)
        _check_count("shards", shards)
        spec = StreamSpec(
            mode=ON_DEMAND if on_demand else PROVISIONED,
            retention_ms=retention_hours * HOUR_MS,
            record_bytes_max=record_bytes_max,
            tags=dict(tags or {}),
        )
        arn = self.arn(name)
        self._engine.begin()
        try:
            self._engine.streams.create(arn, spec, shards)
        except AlreadyExists:
            self._engine.streams.find(arn)
        await self._durable()
        return Stream(self._engine, arn)

    async def get(self, name: str) -> Stream:
        """The stream of that name. Raises NotFound."""
        self._engine.begin()
        self._engine.streams.find(self.arn(name))
        await self._durable()
        return Stream(self._engine, self.arn(name))

    async def list(self) -> list[str]:
        """The names of all streams, sorted."""
        self._engine.begin()
        names = self._engine.streams.names(self._account, self._region)
        await self._durable()
        return names

    async def delete(self, name: str) -> None:
        """Deletes a stream with its records and its consumers. Raises NotFound."""
        await (await self.get(name)).delete()

    def arn(self, name: str) -> str:
        """The ARN of the stream of that name, whether it exists or not."""
        return stream_arn(self._account, self._region, name)

    async def _durable(self) -> None:
        barrier = self._engine.barrier()
        if barrier is not None:
            await barrier


def _check_name(name: str) -> None:
    if _NAME.fullmatch(name) is None:
        raise InvalidParameter(
            "name", "Can only include letters, digits, '.', '-' and '_'. 1 to 128 in length.", name
        )


@final
class Stream:
    """A stream of this broker."""

    __slots__ = ("_engine", "arn", "name")

    def __init__(self, engine: Engine, arn: str) -> None:
        self._engine = engine
        self.arn = arn
        self.name = arn.partition("/")[2]

    def __repr__(self) -> str:
        return f"<Stream {self.arn}>"

    # Writing

    async def put(
        self, data: bytes | str, *, partition_key: str, explicit_hash_key: str | None = None
    ) -> Appended:
        """Puts one record; gives its sequence number and its shard. A str is put as UTF-8.

        Records of one partition key are read in the order in which they were put. Raises NotFound,
        InvalidParameter for a key or a size that the stream does not take, ThroughputExceeded where
        the shard's quota is on.
        """
        entry = _entry(OutgoingRecord(data, partition_key, explicit_hash_key))
        stream = self._begin()
        appended = self._engine.streams.put_record(stream, entry)
        await self._durable()
        return appended

    async def put_many(self, records: Iterable[OutgoingRecord]) -> list[Appended | Refused]:
        """Puts any number of records, 500 or 10 MiB in a transaction; gives a result for each, in
        order.

        Only where a shard's quota is on can a record be `Refused`. Raises InvalidParameter for one
        that the stream does not take: nothing of its transaction was put then, all before it was.
        """
        results: list[Appended | Refused] = []
        for part in _parts(_entry(record) for record in records):
            stream = self._begin()
            results += self._engine.streams.put_records(stream, part)
            await self._durable()
        return results

    # Reading

    async def shards(self) -> list[ShardView]:
        """The shards whose records can be read, closed ones included, in the order of making."""
        shards = self._engine.streams.shards(self._begin())
        await self._durable()
        return shards

    async def read(
        self,
        shard_id: str,
        start: str | datetime | StartingPosition | Place = "TRIM_HORIZON",
        records_max: int = 1_000,
    ) -> tuple[list[StreamRecord], Place | None]:
        """The next records of a shard, and the place to go on from; None at the end of a closed
        shard. Does not wait for records to come.

        Raises NotFound, InvalidParameter.
        """
        if not 1 <= records_max <= limits.GET_RECORDS_MAX:
            raise InvalidParameter(
                "records_max", f"Must be 1 to {limits.GET_RECORDS_MAX}.", records_max
            )
        stream = self._begin()
        streams = self._engine.streams
        place = (
            start
            if isinstance(start, Place)
            else streams.locate(stream, shard_id, starting_position(start))
        )
        page = streams.read(stream, place, records_max, limits.GET_RECORDS_BYTES_MAX)
        await self._durable()
        return records_of(shard_id, page), page.place

    async def records(
        self,
        *,
        start: str | datetime | StartingPosition = "LATEST",
        shard_id: str | None = None,
        follow: bool = True,
    ) -> AsyncIterator[StreamRecord]:
        """The records of the stream, or of one shard, from `start` on, as they come.

        In order within a shard, and a shard's children after it; so in order per partition key.
        Between shards there is no order. With `follow` it goes on until the iteration is left or
        the stream deleted (NotFound); without, it ends where the stream ended when it was called.
        Nobody remembers how far it came: `broker.streams.consume` does.
        """
        reading = RecordReading(self._engine, self.arn)
        try:
            reading.begin(starting_position(start), shard_id, is_following=follow)
            await self._durable()
            while (page := await reading.next_page()) is not None:
                for record in page:
                    yield record
        finally:
            reading.close()

    # What it is

    async def summary(self) -> StreamSummary:
        """The stream in numbers."""
        summary = self._begin().summary()
        await self._durable()
        return summary

    async def split(self, shard_id: str, hash_key: int | None = None) -> None:
        """Splits a shard in two, in the middle of its hash keys or at `hash_key`."""
        stream = self._begin()
        if hash_key is None:
            shard = stream.find_shard(shard_id, self._engine.now_ms())
            hash_key = (shard.first_hash + shard.last_hash + 1) // 2
        self._engine.streams.split(stream, shard_id, str(hash_key))
        await self._durable()

    async def merge(self, shard_id: str, adjacent_id: str) -> None:
        """Makes one shard of two whose hash keys follow each other."""
        self._engine.streams.merge(self._begin(), shard_id, adjacent_id)
        await self._durable()

    async def update_shard_count(self, count: int) -> None:
        """Makes `count` open shards of equal size; at most twice, at least half as many as now."""
        _check_count("count", count)
        self._engine.streams.update_shard_count(self._begin(), count)
        await self._durable()

    async def update(
        self,
        *,
        retention_hours: int | None = None,
        record_bytes_max: int | None = None,
        on_demand: bool | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """Changes settings; what is None stays. Raises InvalidParameter, Conflict."""
        stream = self._begin()
        spec = stream.spec
        changed = msgspec.structs.replace(
            spec,
            retention_ms=spec.retention_ms
            if retention_hours is None
            else retention_hours * HOUR_MS,
            record_bytes_max=spec.record_bytes_max
            if record_bytes_max is None
            else record_bytes_max,
            mode=spec.mode if on_demand is None else ON_DEMAND if on_demand else PROVISIONED,
        )
        if changed != spec:
            self._engine.streams.set_spec(stream, changed)
        if tags is not None:
            retagged = msgspec.structs.replace(stream.spec, tags=dict(tags))
            self._engine.streams.describe_as(stream, retagged)
        await self._durable()

    async def delete(self) -> None:
        """Deletes the stream with its records and its enhanced fan-out consumers."""
        self._engine.streams.delete(self._begin(), enforce_consumer_deletion=True)
        await self._durable()

    # Consumer groups

    async def groups(self) -> list[str]:
        """The names of the stream's consumer groups, sorted."""
        self._begin()
        names = self._engine.groups.names(self.arn)
        await self._durable()
        return names

    async def group(self, name: str) -> GroupDescription:
        """A consumer group as it is: its workers, its leases, its checkpoints. Raises NotFound."""
        self._begin()
        description = self._engine.groups.describe(group_arn(self.arn, name))
        await self._durable()
        return description

    async def delete_group(self, name: str) -> None:
        """Deletes a consumer group with its checkpoints; workers that run make it anew, from its
        start. Raises NotFound.
        """
        self._begin()
        self._engine.groups.delete(group_arn(self.arn, name))
        await self._durable()

    def _begin(self) -> StreamMachine:
        self._engine.begin()
        return self._engine.streams.find(self.arn)

    async def _durable(self) -> None:
        barrier = self._engine.barrier()
        if barrier is not None:
            await barrier


def _entry(record: OutgoingRecord) -> RecordEntry:
    if not isinstance(record, OutgoingRecord):
        raise InvalidParameter("records", "Must be of type OutgoingRecord.", record)
    data = record.data
    if isinstance(data, str):
        try:
            data = data.encode()
        except UnicodeEncodeError:
            raise InvalidParameter("data", "Must be valid Unicode.", data) from None
    if data.__class__ is not bytes or record.partition_key.__class__ is not str:
        raise InvalidParameter("data", "Must be bytes or str, and its key a str.", record)
    explicit = record.explicit_hash_key
    if explicit is not None and explicit.__class__ is not str:
        raise InvalidParameter("explicit_hash_key", "Must be a str of digits.", explicit)
    return RecordEntry(data, record.partition_key, explicit)


def _check_count(name: str, value: object) -> None:
    if value.__class__ is not int:
        raise InvalidParameter(name, "Must be an int.", value)


def _parts(entries: Iterable[RecordEntry]) -> Iterable[list[RecordEntry]]:
    """Runs of entries, each as long as one transaction may be."""
    part: list[RecordEntry] = []
    size = 0
    for entry in entries:
        entry_bytes = len(entry.data) + len(entry.partition_key)
        is_full = len(part) == limits.PUT_RECORDS_ENTRIES_MAX
        if part and (is_full or size + entry_bytes > limits.PUT_RECORDS_BYTES_MAX):
            yield part
            part, size = [], 0
        part.append(entry)
        size += entry_bytes
    if part:
        yield part
