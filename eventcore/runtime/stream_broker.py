"""A stream of this process as a worker's source.

At the tip a reader waits for a push (`subscriptions`), so a record is with its handler as soon as
it is durable, and an idle reader costs memory only.
"""

from __future__ import annotations

from typing import Final, final

from eventcore.consumers.checkpoint import AFTER_RECORD, AT_TIMESTAMP, Checkpoint
from eventcore.errors import EventcoreError, NotFound
from eventcore.runtime.engine import Engine
from eventcore.runtime.stream_pauses import Pauses, Signal
from eventcore.runtime.stream_source import ShardReader, ShardRecords, SourceShard, StreamRecord
from eventcore.runtime.subscriptions import RecordPage
from eventcore.streams.shard import Shard
from eventcore.streams.stream import Stream
from eventcore.streams.stream_spec import Place, StartingPosition

__all__ = ["BrokerSource"]

LINEAGE_MS: Final = 60_000
READ_BYTES_MAX: Final = 2 * 1024 * 1024


@final
class BrokerSource:
    """A stream in the store of an engine of this process."""

    def __init__(self, engine: Engine, stream_arn: str) -> None:
        self.stream_arn = stream_arn
        self.lineage_ms = LINEAGE_MS
        self._engine = engine

    async def list_shards(self) -> list[SourceShard]:
        """See ShardSource."""
        self._engine.begin()
        streams = self._engine.streams
        shards = [
            SourceShard(
                view.id,
                tuple(p for p in (view.parent_id, view.adjacent_parent_id) if p is not None),
                view.end is not None,
                view.first_hash,
                view.last_hash,
            )
            for view in streams.shards(streams.find(self.stream_arn))
        ]
        await _durable(self._engine)
        return shards

    def open_reader(self, shard_id: str, start: Checkpoint) -> ShardReader:
        """See ShardSource."""
        return _BrokerReader(self._engine, self.stream_arn, shard_id, start)

    async def close(self) -> None:
        """Nothing is held."""


@final
class _Push:
    """Waits for one page."""

    def __init__(self) -> None:
        self.signal = Signal()
        self.page: RecordPage | None = None
        self.error: EventcoreError | None = None

    def deliver(self, page: RecordPage) -> bool:
        self.page = page
        self.signal.set()
        return False

    def end(self, error: EventcoreError | None) -> None:
        self.error = error
        self.signal.set()


@final
class _BrokerReader:
    def __init__(self, engine: Engine, stream_arn: str, shard_id: str, start: Checkpoint) -> None:
        self._engine = engine
        self._stream_arn = stream_arn
        self._shard_id = shard_id
        self._start = start
        self._place: Place | None = None
        self._identity: tuple[int, int] | None = None
        self._is_over = False
        self._pauses = Pauses(engine.clock)

    async def read(self, records_max: int, wait_ms: int) -> ShardRecords:
        if self._is_over:
            return ShardRecords(behind_ms=0, behind_records=0, is_end=True)
        self._engine.begin()
        streams = self._engine.streams
        stream = streams.find(self._stream_arn)
        identity = streams.identity(stream)
        if self._identity not in (None, identity):
            # Deleted and made anew: its records have nothing to do with those that were read.
            raise NotFound("stream", stream.name)
        self._identity = identity
        place = self._place
        if place is None:
            place = streams.locate(stream, self._shard_id, self._position())
        page = streams.read(stream, place, records_max, READ_BYTES_MAX)
        await _durable(self._engine)
        if not page.slices and page.place is not None and wait_ms:
            pushed = await self._wait(page.place, wait_ms)
            if pushed is not None and len(pushed) <= records_max:
                page = pushed
        # Only now: a read that was cancelled is made again from where it was.
        self._place = page.place
        self._is_over = page.place is None
        return self._taken(page)

    async def close(self) -> None:
        self._place = None

    def _position(self) -> StartingPosition:
        start = self._start
        if start.kind == AFTER_RECORD:
            number = start.sequence_number
            if start.sub_sequence_number is not None:
                return StartingPosition("AT_SEQUENCE_NUMBER", sequence_number=number)
            return StartingPosition("AFTER_SEQUENCE_NUMBER", sequence_number=number)
        if start.kind == AT_TIMESTAMP:
            return StartingPosition(
                AT_TIMESTAMP, timestamp_ms=min(start.timestamp_ms, self._engine.now_ms())
            )
        return StartingPosition("TRIM_HORIZON")

    async def _wait(self, place: Place, wait_ms: int) -> RecordPage | None:
        """A page that is pushed within the time, if there is one. Larger pages than were asked for
        are read again by the next read.
        """
        push = _Push()
        self._engine.begin()
        stream = self._engine.streams.find(self._stream_arn)
        subscription = self._engine.streams.subscribe(stream, place, push)
        try:
            await self._pauses.sleep(wait_ms, push.signal)
        finally:
            subscription.cancel()
        if push.error is not None:
            raise push.error
        return push.page

    def _taken(self, page: RecordPage) -> ShardRecords:
        shard = self._shard()
        left = 0
        if shard is not None and page.place is not None and not page.place.from_ms:
            left = max(0, shard.next_number - page.place.number)
        return ShardRecords(
            [
                StreamRecord(
                    shard_id=self._shard_id,
                    sequence_number=record.sequence_number,
                    partition_key=record.partition_key,
                    data=record.data,
                    arrived_ms=record.arrived_ms,
                )
                for record in page.records()
            ],
            behind_ms=page.behind_ms,
            behind_records=left,
            is_end=page.place is None,
        )

    def _shard(self) -> Shard | None:
        """The shard as it is now: for the lag only, which tells nobody of anything."""
        stream = self._engine.find(self._stream_arn)
        if not isinstance(stream, Stream) or self._place is None:
            return None
        return stream.shard(self._place.ordinal)


async def _durable(engine: Engine) -> None:
    barrier = engine.barrier()
    if barrier is not None:
        await barrier
