"""An engine rig with calls for streams, and sinks that note what they are told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from eventcore.arn import stream_arn
from eventcore.errors import EventcoreError
from eventcore.limits import RELAXED_QUOTAS, Quotas
from eventcore.outcome import LOG_KEY_FIRST
from eventcore.runtime.record_reader import RecordReader
from eventcore.runtime.streams import Streams
from eventcore.runtime.subscriptions import RecordPage, Subscription
from eventcore.streams.stream import Stream
from eventcore.streams.stream_spec import (
    Appended,
    Place,
    RecordEntry,
    StartingPosition,
    StartKind,
    StreamSpec,
)
from eventcore.testing import ManualClock
from tests.simulation.pending_store import PendingStore
from tests.unit.runtime.rig import Answer, EngineRig, turn

DAY_MS = 86_400_000
SHARD = "shardId-000000000000"


def arn(name: str) -> str:
    return stream_arn("000000000000", "us-east-1", name)


def shard(ordinal: int) -> str:
    return f"shardId-{ordinal:012d}"


class Sink:
    """Takes `room` pages; notes records, heartbeats, and the end."""

    def __init__(self, room: int = 1 << 30) -> None:
        self.room = room
        self.pages: list[RecordPage] = []
        self.ends: list[EventcoreError | None] = []
        self.subscription: Subscription | None = None
        self.on_page: Callable[[RecordPage], None] | None = None

    def deliver(self, page: RecordPage) -> bool:
        assert not self.ends, "told after the end"
        self.pages.append(page)
        if self.on_page is not None:
            self.on_page(page)
        self.room -= 1
        return self.room > 0

    def end(self, error: EventcoreError | None) -> None:
        self.ends.append(error)

    @property
    def data(self) -> list[bytes]:
        return [record.data for page in self.pages for record in page.records()]

    @property
    def heartbeats(self) -> int:
        return sum(not page.slices for page in self.pages)


class StreamEngine(EngineRig):
    """Calls that give their value at once (`put`, `page`) do not wait for the store."""

    def __init__(
        self,
        store: PendingStore | None = None,
        clock: ManualClock | None = None,
        *,
        quotas: Quotas = RELAXED_QUOTAS,
        cache_bytes: int | None = None,
    ) -> None:
        super().__init__(store, clock, quotas=quotas)
        self.cache_bytes = cache_bytes
        if cache_bytes is not None:
            self.streams.reader = RecordReader(self.engine.host, self.store, cache_bytes)

    async def start(self) -> StreamEngine:
        await super().start()
        return self

    @property
    def streams(self) -> Streams:
        return self.engine.streams

    async def crash(self, *, is_durable: bool = False) -> StreamEngine:
        store = self.store.crash(is_durable=is_durable)
        clock = ManualClock(self.clock.now_ms())
        quotas = self.engine.quotas
        return await StreamEngine(store, clock, quotas=quotas, cache_bytes=self.cache_bytes).start()

    async def fail(self, *, is_durable: bool) -> None:
        """The next append fails; the engine comes back."""
        while self.store.pending is None:
            await turn()
        self.store.fail(is_durable=is_durable)
        while not self.engine.is_ready:
            await self.settle()
        await self.settle()

    def stream(self, name: str = "s") -> Stream:
        self.engine.begin()
        return self.streams.find(arn(name))

    def make(self, shards: int = 1, name: str = "s", **spec: Any) -> Answer:
        return self.request(lambda e: e.streams.create(arn(name), StreamSpec(**spec), shards))

    def remove(self, name: str = "s", **options: Any) -> Answer:
        return self.request(lambda e: e.streams.delete(self.stream(name), **options))

    def put(self, *data: bytes, key: str = "k", name: str = "s") -> list[Any]:
        stream = self.stream(name)
        return self.streams.put_records(stream, [RecordEntry(each, key) for each in data])

    def put_one(self, data: bytes = b"x", key: str = "k", name: str = "s") -> Appended:
        return self.streams.put_record(self.stream(name), RecordEntry(data, key))

    def split(self, ordinal: int = 0, at: int = 1 << 127, name: str = "s") -> None:
        self.streams.split(self.stream(name), shard(ordinal), str(at))

    def token(
        self,
        kind: StartKind = "TRIM_HORIZON",
        ordinal: int = 0,
        *,
        sequence_number: str | None = None,
        timestamp_ms: int | None = None,
        name: str = "s",
    ) -> str:
        start = StartingPosition(kind, sequence_number, timestamp_ms)
        return self.streams.iterator(self.stream(name), shard(ordinal), start)

    def page(self, token: str | None, limit: int = 10_000) -> tuple[RecordPage, str | None]:
        assert token is not None
        self.engine.begin()
        return self.streams.get_records(token, limit)

    def read(self, token: str | None, limit: int = 10_000) -> list[bytes]:
        """All from an iterator to the tip, or the end."""
        found: list[bytes] = []
        while token is not None:
            page, token = self.page(token, limit)
            found += [record.data for record in page.records()]
            if not page.slices and page.behind_ms == 0:
                break
        return found

    def at(self, kind: StartKind = "TRIM_HORIZON", ordinal: int = 0, **where: Any) -> list[bytes]:
        """What is read from a starting position on."""
        return self.read(self.token(kind, ordinal, **where))

    def subscribe(
        self,
        sink: Sink,
        kind: StartKind = "TRIM_HORIZON",
        ordinal: int = 0,
        *,
        name: str = "s",
        timestamp_ms: int | None = None,
        duration_ms: int = 0,
        heartbeat_ms: int = 0,
    ) -> Subscription:
        stream = self.stream(name)
        start = StartingPosition(kind, timestamp_ms=timestamp_ms)
        place: Place = self.streams.locate(stream, shard(ordinal), start)
        sink.subscription = self.streams.subscribe(
            stream, place, sink, duration_ms=duration_ms, heartbeat_ms=heartbeat_ms
        )
        return sink.subscription

    @property
    def log_rows(self) -> int:
        """Rows of logs that are durable."""
        return sum(
            len(self.store.measure(component, LOG_KEY_FIRST, (1 << 63) - 1, 1 << 30))
            for component in range(64)
        )
