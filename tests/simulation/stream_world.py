"""A seeded world of streams: producers, followers that pull and that are pushed to, resharding,
time, and a store that fails and crashes.

Every step is one draw of one random generator, so a seed replays exactly. After each step the
machines' invariants are checked; at quiet moments everything is read and compared with the ledger,
and the machines with ones made from the stored rows.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any, Final, final

import msgspec

from eventcore.arn import stream_arn
from eventcore.errors import (
    AlreadyExists,
    Conflict,
    EventcoreError,
    Expired,
    InvalidParameter,
    NotFound,
    StoreUnavailable,
)
from eventcore.limits import GET_RECORDS_BYTES_MAX, RELAXED_QUOTAS, Quotas
from eventcore.outcome import LOG_KEY_FIRST
from eventcore.runtime.engine import Engine
from eventcore.runtime.record_reader import RecordReader
from eventcore.runtime.subscriptions import RecordPage, Subscription
from eventcore.streams.block import Record
from eventcore.streams.stream import Stream
from eventcore.streams.stream_spec import (
    Appended,
    Place,
    RecordEntry,
    StartingPosition,
    StreamSpec,
)
from eventcore.testing import ManualClock, SeededIds
from tests.simulation.pending_store import PendingStore
from tests.simulation.stream_ledger import Follower, Life, Put
from tests.simulation.stream_workers import Workers

__all__ = ["StreamWorld"]

DAY_MS: Final = 86_400_000
NAMES: Final = ("main", "brief", "flexible")
SHARDS_MAX: Final = 12
WEIGHTS: Final = {
    "put": 30,
    "put_badly": 1,
    "pull": 24,
    "follow": 8,
    "forget": 1,
    "subscribe": 6,
    "unsubscribe": 3,
    "resume": 6,
    "beat": 8,
    "work": 12,
    "checkpoint": 6,
    "crash_worker": 1,
    "split": 2,
    "merge": 2,
    "count": 1,
    "retain": 1,
    "create": 3,
    "drop": 1,
    "wait": 12,
    "long_wait": 1,
    "commit": 30,
    "turn": 10,
    "fail_reads": 2,
    "fail_before": 2,
    "fail_after": 2,
    "crash_before": 1,
    "crash_after": 1,
}


class Call:
    """A reply that says what became of a request."""

    def __init__(self, on_commit: Callable[[], None], on_fail: Callable[[], None]) -> None:
        self.is_answered = False
        self._on_commit = on_commit
        self._on_fail = on_fail

    def commit(self, payload: object) -> None:
        assert not self.is_answered, "answered twice"
        self.is_answered = True
        self._on_commit()

    def fail(self, error: EventcoreError) -> None:
        assert not self.is_answered, "answered twice"
        self.is_answered = True
        self._on_fail()


class Reader:
    """A follower that pulls: an iterator per shard that it is at."""

    def __init__(self, follower: Follower, identity: tuple[int, int]) -> None:
        self.follower = follower
        self.identity = identity
        self.tokens: dict[int, str] = {}
        self.flying: set[int] = set()


class Pushed:
    """A follower that is pushed to; the sink of its subscription at one shard."""

    def __init__(self, world: StreamWorld, reader: Reader, ordinal: int, room: int) -> None:
        self.world = world
        self.engine = world.engine
        self.reader = reader
        self.ordinal = ordinal
        self.room = room
        self.subscription: Subscription | None = None
        self.is_over = False

    def deliver(self, page: RecordPage) -> bool:
        if self.engine is not self.world.engine:
            return True  # the crashed one has a turn of the loop left
        try:
            assert not self.is_over, "told after the end"
            self.world.pushed(self, page)
        except AssertionError as error:
            self.world.breach = self.world.breach or error  # a sink's errors end nobody's run
        self.room -= 1
        return self.room > 0

    def end(self, error: EventcoreError | None) -> None:
        self.is_over = True
        if self.engine is self.world.engine:
            try:
                self.world.push_ended(self, error)
            except AssertionError as breach:
                self.world.breach = self.world.breach or breach


@final
class StreamWorld:
    """One world. `run` takes it through its steps and to its end."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.chance = random.Random(seed)
        self.clock = ManualClock()
        self.store = PendingStore()
        self.quotas = self.chance.choice([RELAXED_QUOTAS, Quotas(stream_transition_ms=500)])
        self.cache_bytes = self.chance.choice([0, 900, 5_000, 1 << 26])
        self.trace: list[str] = []
        self.counts = dict.fromkeys(WEIGHTS, 0)
        self.acknowledged = self.failed = self.deliveries = self.pushes = 0
        self.lives: dict[tuple[str, int, int], Life] = {}
        self.readers: list[Reader] = []
        self.sinks: list[Pushed] = []
        self.counter = 0
        self.calls: list[Call] = []
        self.breach: BaseException | None = None
        self._seen: object = None
        """What the last look at a quiet moment saw."""
        self.engine: Engine = self._new_engine()
        self.workers = Workers(self)

    def _new_engine(self) -> Engine:
        ids = SeededIds(self.chance.randrange(1 << 30))
        engine = Engine(self.store, clock=self.clock, ids=ids, quotas=self.quotas)
        engine.streams.reader = RecordReader(engine.host, self.store, self.cache_bytes)
        return engine

    async def run(self, steps: int) -> None:
        """So many random steps, then the end: everything that is there must be readable."""
        asyncio.get_running_loop().set_exception_handler(self._note_breach)
        await self.engine.start()
        for name in NAMES:
            self.trace.append(f"create {name}")
            self._create_stream(name)
        names, weights = list(WEIGHTS), list(WEIGHTS.values())
        for _ in range(steps):
            await self._step(self.chance.choices(names, weights)[0])
        await self._drain()

    async def _step(self, name: str) -> None:
        action: Callable[[], object] = getattr(self, f"_{name}")
        self.trace.append(f"{self.clock.now_ms()} {name}")
        self.counts[name] += 1
        try:
            found = action()
            if asyncio.iscoroutine(found):
                await found
        except (StoreUnavailable, NotFound, Conflict) as error:
            self.note(type(error).__name__)
        self._check()

    def _note_breach(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """An exception in a callback of the loop: the step that is running ends with it."""
        self.breach = self.breach or context.get("exception") or RuntimeError(context["message"])

    def note(self, text: str) -> None:
        """Adds to the trace of the step."""
        self.trace[-1] += f" {text}"

    def call(
        self,
        on_commit: Callable[[], None] = lambda: None,
        on_fail: Callable[[], None] = lambda: None,
    ) -> None:
        """Closes a request; what became of it counts for this engine only."""
        engine = self.engine

        def commit() -> None:
            if engine is self.engine:
                self.acknowledged += 1
                on_commit()

        def fail() -> None:
            if engine is self.engine:
                self.failed += 1
                on_fail()

        call = Call(commit, fail)
        self.calls = [each for each in self.calls if not each.is_answered]
        self.calls.append(call)
        self.engine.hold(call, None)

    # Streams

    def _stream(self) -> Stream:
        name = self.chance.choice(NAMES)
        self.note(name)
        return self.open_stream(name)

    def open_stream(self, name: str) -> Stream:
        """Begins a request on a stream. Raises NotFound."""
        self.engine.begin()
        return self.engine.streams.find(_arn(name))

    def life(self, stream: Stream) -> Life:
        """The stream's life."""
        key = (stream.name, *self.engine.streams.identity(stream))
        return self.lives.setdefault(key, Life(stream.name))

    def _create(self) -> None:
        self._create_stream(self.chance.choice(NAMES))

    def _create_stream(self, name: str) -> None:
        self.note(name)
        spec = StreamSpec(mode="ON_DEMAND" if name == "flexible" else "PROVISIONED")
        self.engine.begin()
        try:
            self.engine.streams.create(_arn(name), spec, self.chance.randint(1, 3))
        except AlreadyExists:
            return
        self.call()

    def _drop(self) -> None:
        self.engine.begin()
        self.engine.streams.delete(self.engine.streams.find(_arn("brief")))
        self.call()

    def _retain(self) -> None:
        stream = self._stream()
        days = self.chance.choice([1, 1, 2, 5])
        self.note(str(days))
        spec = msgspec.structs.replace(stream.spec, retention_ms=days * DAY_MS)
        self.engine.streams.set_spec(stream, spec)
        self.call()

    def _open_shard(self, stream: Stream) -> Any:
        if stream.spec.mode != "PROVISIONED" or stream.open_shards > SHARDS_MAX:
            raise NotFound("shard", "to change")
        owners = stream.ranges.owners
        if not owners:
            raise NotFound("shard", "any")
        at = self.chance.randrange(len(owners))
        return owners[at], owners[(at + 1) % len(owners)]

    def _split(self) -> None:
        stream = self._stream()
        shard, _ = self._open_shard(stream)
        at = self.chance.randint(shard.first_hash + 2, shard.last_hash)
        self.engine.streams.split(stream, shard.id, str(at))
        self.call()

    def _merge(self) -> None:
        stream = self._stream()
        shard, adjacent = self._open_shard(stream)
        try:
            self.engine.streams.merge(stream, shard.id, adjacent.id)
        except InvalidParameter:
            assert adjacent.first_hash == 0, "neighbours were refused"
            return
        self.call()

    def _count(self) -> None:
        stream = self._stream()
        self._open_shard(stream)
        count = self.chance.randint(-(-stream.open_shards // 2), 2 * stream.open_shards)
        self.note(str(count))
        self.engine.streams.update_shard_count(stream, count)
        self.call()

    # Producers

    def _put(self) -> None:
        stream = self._stream()
        life = self.life(stream)
        entries, puts = [], []
        for _ in range(self.chance.choice([1, 1, 2, 6])):
            self.counter += 1
            key = self.chance.choice("abcdefghijkl")
            data = b"%d " % self.counter + bytes(self.chance.choice([0, 0, 300]))
            entries.append(RecordEntry(data, key))
            puts.append(Put(data, key, self.clock.now_ms()))
        results = self.engine.streams.put_records(stream, entries)
        for result, put in zip(results, puts, strict=True):
            assert isinstance(result, Appended)
            life.put(result.sequence_number, put)
        self.note(f"..{self.counter}")
        self.call(lambda: self._sure(puts))

    def _sure(self, puts: list[Put]) -> None:
        for put in puts:
            put.is_sure = True

    def _put_badly(self) -> None:
        stream = self._stream()
        entries = [RecordEntry(b"x", "k"), RecordEntry(bytes(1 << 20), "k")]
        try:
            self.engine.streams.put_records(stream, entries)
        except InvalidParameter:
            self.call()
            return
        raise AssertionError("a record was too large and was taken")

    # Followers

    def _follow(self) -> None:
        if len(self.readers) > 12:
            return
        stream = self._stream()
        reader = Reader(Follower(self.life(stream)), self.engine.streams.identity(stream))
        self._open_children(reader, stream)
        self.readers.append(reader)

    def _forget(self) -> None:
        if self.readers:
            self.readers.pop(self.chance.randrange(len(self.readers)))

    def _open_children(self, reader: Reader, stream: Stream) -> None:
        """Shards whose parents are read, or have vanished, are read next."""
        follower = reader.follower
        shards = stream.shards(self.clock.now_ms())
        there = {shard.ordinal for shard in shards}
        for shard in shards:
            is_new = shard.ordinal not in follower.done and shard.ordinal not in follower.cursors
            if is_new and all(each in follower.done or each not in there for each in shard.parents):
                follower.cursors[shard.ordinal] = None

    def _reader(self) -> tuple[Reader, Stream, int]:
        """A follower whose stream is there, and one of its shards."""
        if not self.readers:
            raise NotFound("reader", "any")
        reader = self.chance.choice(self.readers)
        self.engine.begin()
        stream = self.engine.streams.find_stream(_arn(reader.follower.life.name))
        if stream is None or self.engine.streams.identity(stream) != reader.identity:
            self.readers.remove(reader)
            raise NotFound("stream", "of the reader")
        self._skip_vanished(reader, stream)
        self._open_children(reader, stream)
        ordinals = sorted(reader.follower.cursors)
        if not ordinals:
            raise NotFound("shard", "of the reader")
        return reader, stream, self.chance.choice(ordinals)

    def _skip_vanished(self, reader: Reader, stream: Stream) -> None:
        there = {shard.ordinal for shard in stream.shards(self.clock.now_ms())}
        if stream.status != "CREATING" and self.is_quiet:
            for ordinal in [at for at in reader.follower.cursors if at not in there]:
                reader.follower.finish(ordinal)

    def _start(self, reader: Reader, ordinal: int) -> StartingPosition:
        last = reader.follower.cursors[ordinal]
        if last is None:
            return StartingPosition("TRIM_HORIZON")
        return StartingPosition("AFTER_SEQUENCE_NUMBER", last)

    def _pull(self) -> None:
        reader, stream, ordinal = self._reader()
        if ordinal in reader.flying or self._sink_of(reader, ordinal) is not None:
            return
        self.note(f"{stream.name} {ordinal}")
        self._pull_at(reader, stream, ordinal, self.chance.choice([1, 3, 10_000]))

    def _pull_at(self, reader: Reader, stream: Stream, ordinal: int, limit: int) -> None:
        streams = self.engine.streams
        token = reader.tokens.pop(ordinal, None)
        if token is None or self.chance.random() < 0.1:
            token = streams.iterator(stream, _shard(ordinal), self._start(reader, ordinal))
        try:
            page, later = streams.get_records(token, limit)
        except Expired:
            self.note("expired")
            return
        horizon_ms = stream.horizon_ms(self.clock.now_ms())
        reader.flying.add(ordinal)

        def take() -> None:
            reader.flying.discard(ordinal)
            self._told(reader, ordinal, page, horizon_ms)
            if later is not None:
                reader.tokens[ordinal] = later

        self.call(take, lambda: reader.flying.discard(ordinal))

    def _told(
        self,
        reader: Reader,
        ordinal: int,
        page: RecordPage,
        horizon_ms: int,
        *,
        is_late: bool = False,
    ) -> None:
        records = page.records()
        self.deliveries += len(records)
        if reader not in self.readers:
            return
        reader.follower.take(ordinal, records, horizon_ms, is_late=is_late)
        if page.place is None:
            reader.follower.finish(ordinal)
            reader.tokens.pop(ordinal, None)

    def _sink_of(self, reader: Reader, ordinal: int) -> Pushed | None:
        for sink in self.sinks:
            if sink.reader is reader and sink.ordinal == ordinal:
                return sink
        return None

    def _subscribe(self) -> None:
        reader, stream, ordinal = self._reader()
        if ordinal in reader.flying or self._sink_of(reader, ordinal) is not None:
            return
        self.note(f"{stream.name} {ordinal}")
        streams = self.engine.streams
        place: Place = streams.locate(stream, _shard(ordinal), self._start(reader, ordinal))
        sink = Pushed(self, reader, ordinal, self.chance.choice([1, 3, 1_000]))
        reader.tokens.pop(ordinal, None)
        duration_ms = self.chance.choice([0, 300_000])
        sink.subscription = streams.subscribe(
            stream, place, sink, duration_ms=duration_ms, heartbeat_ms=5_000
        )
        self.sinks.append(sink)
        self.call(lambda: None, lambda: self._cancel(sink))

    def _cancel(self, sink: Pushed) -> None:
        if sink in self.sinks:
            self.sinks.remove(sink)
            assert sink.subscription is not None
            sink.subscription.cancel()
            sink.is_over = True

    def _unsubscribe(self) -> None:
        if self.sinks:
            self._cancel(self.chance.choice(self.sinks))

    def _resume(self) -> None:
        if self.sinks:
            sink = self.chance.choice(self.sinks)
            assert sink.subscription is not None
            sink.room = self.chance.choice([1, 3, 1_000])
            sink.subscription.resume()

    def pushed(self, sink: Pushed, page: RecordPage) -> None:
        """A sink was told."""
        self.pushes += len(page)
        stream = self.engine.streams.find_stream(_arn(sink.reader.follower.life.name))
        if stream is not None:
            horizon_ms = stream.horizon_ms(self.clock.now_ms())
            self._told(sink.reader, sink.ordinal, page, horizon_ms, is_late=True)

    def push_ended(self, sink: Pushed, error: EventcoreError | None) -> None:
        """A subscription is over; the follower goes on as it likes."""
        assert error is None or isinstance(error, NotFound), error
        self.sinks.remove(sink)

    # Workers of a consumer group

    def _beat(self) -> None:
        self.workers.beat()

    def _work(self) -> None:
        self.workers.work()

    def _checkpoint(self) -> None:
        self.workers.checkpoint()

    def _crash_worker(self) -> None:
        self.workers.crash()

    # Time, store and faults

    async def _wait(self) -> None:
        """Some time, or until just before the next thing that time does."""
        now_ms, next_ms = self.clock.now_ms(), self.clock.next_deadline()
        if next_ms is not None and next_ms > now_ms and self.chance.random() < 0.3:
            self.clock.advance_to(next_ms - 1)
        else:
            self.clock.advance(self.chance.choice([0, 1, 200, 1_000, 5_000, 60_000]))
        await _turn(1)

    async def _long_wait(self) -> None:
        """Hours pass: commits get through, or nothing runs meanwhile."""
        duration_ms = self.chance.choice([3_600_000, DAY_MS // 2, DAY_MS])
        if self.chance.random() < 0.5:
            await self._advance(duration_ms)
        else:
            await self._crash(is_durable=True, down_ms=duration_ms)

    async def _turn(self) -> None:
        await _turn(self.chance.randint(1, 4))

    async def _commit(self) -> None:
        await _turn(1)
        if self.store.pending is not None:
            self.store.commit()

    def _fail_reads(self) -> None:
        self.store.scans_failing = self.chance.randint(1, 3)

    async def _fail_before(self) -> None:
        await self._fail(is_durable=False)

    async def _fail_after(self) -> None:
        await self._fail(is_durable=True)

    async def _fail(self, *, is_durable: bool) -> None:
        if self.store.pending is not None:
            self.store.fail(is_durable=is_durable)

    async def _crash_before(self) -> None:
        await self._crash(is_durable=False)

    async def _crash_after(self) -> None:
        await self._crash(is_durable=True)

    async def _crash(self, *, is_durable: bool, down_ms: int = 0) -> None:
        self.store = self.store.crash(is_durable=is_durable)
        self.clock = ManualClock(self.clock.now_ms() + down_ms)
        self.engine = self._new_engine()
        self.sinks.clear()
        self.calls.clear()
        for reader in self.readers:
            reader.flying.clear()
        await self.engine.start()

    # Checks

    def _streams(self) -> list[Stream]:
        found = [self.engine.streams.find_stream(_arn(name)) for name in NAMES]
        return [stream for stream in found if stream is not None]

    def _check(self) -> None:
        if self.breach is not None:
            raise self.breach
        if not self.engine.is_ready:
            return
        for stream in self._streams():
            stream.check()
            self._check_bounds(stream)
        seen = (self.store, self.store.appends, self.store.recoveries, self.clock.now_ms())
        if self.is_quiet and seen != self._seen:
            self._check_quiet()
            self._seen = seen

    @property
    def is_quiet(self) -> bool:
        """Whether what is in memory is durable, all of it."""
        host = self.engine.host
        return host.has_reached(host.mark()) and self.store.pending is None

    def _check_bounds(self, stream: Stream) -> None:
        reader = self.engine.streams.reader
        host = self.engine.host
        if host.has_reached(host.mark()) and self.cache_bytes < 1 << 20:
            assert reader.cached_bytes <= self.cache_bytes + 20_000, reader.cached_bytes
        assert len(stream._trims._heap) <= 2 * len(stream._shards) + 65

    def _check_quiet(self) -> None:
        failing, self.store.scans_failing = self.store.scans_failing, 0
        now_ms = self.clock.now_ms()
        self.engine.host.now_ms = now_ms
        identities = set()
        for stream in self._streams():
            key = (stream.name, *self.engine.streams.identity(stream))
            identities.add(key)
            if stream.status != "CREATING":
                self.life(stream).settle(self._contents(stream), stream.horizon_ms(now_ms))
        for key in [key for key in self.lives if key not in identities]:
            del self.lives[key]
        self._compare_with_rows()
        self.store.scans_failing = failing

    def _contents(self, stream: Stream) -> dict[str, Record]:
        """All that can be read of a stream, by sequence number."""
        there: dict[str, Record] = {}
        for shard in stream.shards(self.clock.now_ms()):
            place: Place | None = Place(shard.ordinal, 0)
            last = 0
            while place is not None and place.number < shard.next_number:
                limit = 10_000 if self.counter % 4 else 3
                page = self.engine.streams.read(stream, place, limit, GET_RECORDS_BYTES_MAX)
                for record in page.records():
                    assert int(record.sequence_number) > last
                    last = int(record.sequence_number)
                    there[record.sequence_number] = record
                place = page.place
        return there

    def _compare_with_rows(self) -> None:
        """Nothing is staged: the machines must be what their rows make of new ones."""
        fresh = Engine(self.store, clock=self.clock, quotas=self.quotas)
        take = fresh._rebuild()
        for component, key, value in self.store.rows.load():
            take(component, key, value)
        for stream in self._streams():
            other = fresh.find(stream.arn)
            assert isinstance(other, Stream), f"{stream.name} has no rows"
            assert _durable(other) == _durable(stream), f"{stream.name} differs from its rows"
            component = self.engine.host.seat_of(stream).component
            logs = self.store.rows._logs.get(component)
            ordinals = set() if logs is None else {n - (LOG_KEY_FIRST >> 42) for n in logs.logs}
            assert ordinals <= set(stream._shards), "blocks of a shard that has vanished"
        assert fresh._machines.keys() == self.engine._machines.keys()

    # The end

    async def _settle(self) -> None:
        while True:
            await _turn(6)
            if self.store.pending is None:
                return
            self.store.commit()

    async def _drain(self) -> None:
        """Everybody comes back, nothing fails any more: everybody gets all, then all of it goes."""
        self.trace.append("drain")
        self.store.scans_failing = 0
        await self._settle()
        await self._advance(2_000)
        self._check()
        for sink in list(self.sinks):
            self._cancel(sink)
        for reader in self.readers:
            await self._read_all(reader)
        await self._consume_all()
        assert all(call.is_answered for call in self.calls), "a call was never answered"
        await self._advance(6 * DAY_MS)
        self._check()
        for stream in self._streams():
            assert not self._contents(stream) and len(stream._shards) == stream.open_shards
        assert not self.store.rows._logs, "blocks are left"

    async def _read_all(self, reader: Reader) -> None:
        """A follower reads all shards to their ends; it was told of everything that is there."""
        stream = self.engine.streams.find_stream(_arn(reader.follower.life.name))
        if stream is None or self.engine.streams.identity(stream) != reader.identity:
            return
        follower = reader.follower
        reader.tokens.clear()  # some have expired
        while True:
            self._skip_vanished(reader, stream)
            self._open_children(reader, stream)
            before = len(follower.told), len(follower.done)
            for ordinal in sorted(follower.cursors):
                self.trace.append(f"drain {stream.name} {ordinal}")
                self.engine.begin()
                self._pull_at(reader, stream, ordinal, 10_000)
                await self._settle()
            if before == (len(follower.told), len(follower.done)):
                break
        missed = set(self._contents(stream)) - follower.told
        assert not missed, f"never told: {missed}"

    async def _consume_all(self) -> None:
        """The group's workers come back, and consume everything that is there."""
        stream = self.engine.streams.find_stream(_arn("main"))
        if stream is None or not stream.shards(self.clock.now_ms()):
            return
        missing: set[str] = set()
        for turn in range(200):
            self.trace.append(f"drain group {turn}")
            self.workers.beat()
            await self._settle()
            group = self.workers.group
            assert group is not None
            for worker in group.workers:
                self.workers.beat(worker)
                await self._settle()
                for held in list(worker.leases.values()):
                    self.engine.begin()
                    self.workers.read(stream, group, held, 10_000)
                    await self._settle()
                    self.engine.begin()
                    self.workers.write(stream, group, worker, held)
                    await self._settle()
            missing = set(self._contents(stream)) - group.consumed
            if not missing:
                return
            await self._advance(1_000)
        raise AssertionError(f"never consumed: {missing}")

    async def _advance(self, duration_ms: int) -> None:
        target_ms = self.clock.now_ms() + duration_ms
        while (next_ms := self.clock.next_deadline()) is not None and next_ms <= target_ms:
            self.clock.advance_to(max(next_ms, self.clock.now_ms()))
            await self._settle()
        self.clock.advance_to(target_ms)
        await self._settle()


def _arn(name: str) -> str:
    return stream_arn("000000000000", "us-east-1", name)


def _shard(ordinal: int) -> str:
    return f"shardId-{ordinal:012d}"


def _ordinal(sequence_number: str) -> int:
    return int(sequence_number) >> 4 & (1 << 32) - 1


def _durable(stream: Stream) -> tuple[object, ...]:
    shards = {
        shard.ordinal: (
            shard.record,
            shard.next_number,
            shard.first_number,
            shard.arrived_ms,
            shard.log_bytes,
            [tuple(mark) for mark in shard.marks],
        )
        for shard in stream._shards.values()
    }
    return stream._record, shards, stream.fan_out.list()


async def _turn(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)
