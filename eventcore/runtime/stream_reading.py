"""Reads a stream, or one of its shards, without remembering how far: all shards at once, a shard's
children when it is drained.

Rules of this file:

- Every shard that is read has one subscription, of which one page waits here for the one who asks
  for it. When all that wait cost `KEPT_BYTES_MAX`, all subscriptions pause until the last page is
  taken, so the memory does not grow with the number of shards. Then they go on in turns: the shard
  whose page was taken last is the last.
- A child is opened when all of its parents are drained, or will not be read: those that were closed
  before the reading began, and those that have vanished. So the records of a partition key come in
  the order in which they were put. A parent may be one that nobody has told of yet, since a shard
  tells of its children at its end.
- A reading that does not follow ends where each shard ended when it began.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from typing import Final, final

from eventcore.errors import EventcoreError, NotFound
from eventcore.runtime.engine import Engine
from eventcore.runtime.stream_source import StreamRecord
from eventcore.runtime.subscriptions import RecordPage, Subscription
from eventcore.streams.stream import Stream
from eventcore.streams.stream_spec import Place, ShardView, StartingPosition

__all__ = ["RecordReading", "records_of"]

KEPT_BYTES_MAX: Final = 4 * 1024 * 1024
RECORD_BYTES: Final = 128
"""What a record that is kept costs beside its data, about."""


def records_of(shard_id: str, page: RecordPage) -> list[StreamRecord]:
    """The records of a page, as programs are given them."""
    return [
        StreamRecord(
            shard_id=shard_id,
            sequence_number=record.sequence_number,
            partition_key=record.partition_key,
            data=record.data,
            arrived_ms=record.arrived_ms,
        )
        for record in page.records()
    ]


def _parents(view: ShardView) -> list[str]:
    pair = (view.parent_id, view.adjacent_parent_id)
    return [parent for parent in pair if parent is not None]


def _exists(stream: Stream, shard_id: str, now_ms: int) -> bool:
    try:
        stream.find_shard(shard_id, now_ms)
    except NotFound:
        return False
    return True


def _cost(page: RecordPage) -> int:
    """About the bytes that a page takes while it is kept."""
    data_bytes = sum(
        len(data) for part in page.slices for data in part.block.data[part.begin : part.end]
    )
    return data_bytes + RECORD_BYTES * len(page)


class _ShardSink:
    """Hands the pages of one shard to its reading; a `SubscriptionSink`."""

    def __init__(self, reading: RecordReading, shard_id: str, until: int | None) -> None:
        self._reading = reading
        self.shard_id = shard_id
        self.until = until
        self.subscription: Subscription | None = None
        self._is_drained = False

    def deliver(self, page: RecordPage) -> bool:
        """See SubscriptionSink."""
        self._is_drained = page.place is None
        return self._reading.arrived(self, page)

    def end(self, error: EventcoreError | None) -> None:
        """See SubscriptionSink."""
        if error is not None or not self._is_drained:
            self._reading.ended(error)

    def pause(self) -> None:
        """Reads nothing more until `resume`."""
        if self.subscription is not None:
            self.subscription.pause()

    def resume(self) -> None:
        """Goes on reading."""
        if self.subscription is not None:
            self.subscription.resume()

    def cancel(self) -> None:
        """Reads no further."""
        if self.subscription is not None:
            self.subscription.cancel()


@final
class RecordReading:
    """One pass over a stream. `begin`, then `next_page` until it gives None, then `close`."""

    def __init__(self, engine: Engine, arn: str) -> None:
        self._engine = engine
        self._arn = arn
        self._pages: deque[tuple[_ShardSink, RecordPage]] = deque()
        self._open: dict[str, _ShardSink] = {}
        self._waiting: dict[str, ShardView] = {}
        self._drained: set[str] = set()
        self._until: dict[str, int] | None = None
        self._is_one = False
        self.kept_bytes = 0
        """What the pages cost that wait to be asked for."""
        self._is_full = False
        self._start = StartingPosition("TRIM_HORIZON")
        self._is_over = False
        self._error: EventcoreError | None = None
        self._ready = asyncio.Event()

    def begin(self, start: StartingPosition, shard_id: str | None, *, is_following: bool) -> None:
        """Begins at the shards that there are, within an engine request of the caller's.

        Raises NotFound, InvalidParameter.
        """
        engine = self._engine
        engine.begin()
        stream = engine.streams.find(self._arn)
        views = engine.streams.shards(stream)
        if shard_id is not None:
            self._is_one = True
            views = [stream.find_shard(shard_id, engine.now_ms()).view()]
        elif start.kind == "LATEST":
            views = [view for view in views if view.end is None]
        if not is_following:
            shards = [stream.shard(view.ordinal) for view in views]
            self._until = {shard.id: shard.next_number for shard in shards if shard is not None}
        self._start = start
        self._waiting = {view.id: view for view in views}
        known = self._waiting.keys()
        self._drained = {parent for view in views for parent in _parents(view)} - known
        self._open_more(stream, start)

    def _open_more(self, stream: Stream, start: StartingPosition) -> None:
        """Opens the shards that wait for nobody any more. A shard with nothing to read is drained
        at once, so others may follow.
        """
        is_changed = True
        while is_changed:
            is_changed = False
            for view in list(self._waiting.values()):
                if not self._is_free(stream, view):
                    continue
                del self._waiting[view.id]
                is_changed = True
                self._subscribe(stream, view, self._engine.streams.locate(stream, view.id, start))

    def _is_free(self, stream: Stream, view: ShardView) -> bool:
        now_ms = self._engine.now_ms()
        return all(
            parent in self._drained or not _exists(stream, parent, now_ms)
            for parent in _parents(view)
        )

    def _subscribe(self, stream: Stream, view: ShardView, place: Place) -> None:
        until = None if self._until is None else self._until.get(view.id, 0)
        if until is not None and place.number >= until:
            self._drained.add(view.id)
            return
        sink = self._open[view.id] = _ShardSink(self, view.id, until)
        sink.subscription = self._engine.streams.subscribe(stream, place, sink)
        if self._is_full:
            sink.subscription.pause()

    # What the sinks tell

    def arrived(self, sink: _ShardSink, page: RecordPage) -> bool:
        """A page of a shard, which has to wait with its next one until this one is taken."""
        self._pages.append((sink, page))
        self.kept_bytes += _cost(page)
        self._ready.set()
        if not self._is_full and self.kept_bytes >= KEPT_BYTES_MAX:
            self._is_full = True
            for other in self._open.values():
                other.pause()
        return False

    def ended(self, error: EventcoreError | None) -> None:
        """A subscription ended before its shard did: with the stream, or with the broker."""
        self._error = self._error or error
        self._is_over = True
        self._ready.set()

    # What the reader asks for

    async def next_page(self) -> Iterable[StreamRecord] | None:
        """The next records, in order within their shard; None at the end. Raises NotFound when the
        stream is gone, StoreError.
        """
        while True:
            if self._pages:
                return self._take()
            if self._error is not None:
                raise self._error
            if not self._open or self._is_over:
                return None
            self._ready.clear()
            await self._ready.wait()

    def _take(self) -> list[StreamRecord]:
        sink, page = self._pages.popleft()
        self.kept_bytes -= _cost(page)
        records = records_of(sink.shard_id, page)
        place = page.place
        if sink.until is not None and (place is None or place.number >= sink.until):
            beyond = 0 if place is None else place.number - sink.until
            records = records[: len(records) - beyond] if beyond else records
            place = None
        if place is None:
            self._drain(sink, page.child_shards)
        elif self._is_full:
            self._open[sink.shard_id] = self._open.pop(sink.shard_id)
        else:
            sink.resume()
        if self._is_full and not self._pages:
            self._is_full = False
            for other in self._open.values():
                other.resume()
        return records

    def _drain(self, sink: _ShardSink, children: list[ShardView]) -> None:
        sink.cancel()
        self._open.pop(sink.shard_id, None)
        self._drained.add(sink.shard_id)
        if self._is_one:
            return
        if self._until is None:
            known = self._open.keys() | self._waiting.keys() | self._drained
            self._waiting.update({c.id: c for c in children if c.id not in known})
        self._engine.begin()
        stream = self._engine.streams.find(self._arn)
        is_timed = self._start.kind == "AT_TIMESTAMP"
        self._open_more(stream, self._start if is_timed else StartingPosition("TRIM_HORIZON"))

    def close(self) -> None:
        """Reads no further."""
        for sink in self._open.values():
            sink.cancel()
        self._open.clear()
