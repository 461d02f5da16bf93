"""The poller of an event source mapping of a stream: which of its shards are read, and from where.

Rules of this file:

- A mapping's starting position is for the shards that its stream has when the mapping is made. A
  shard that comes later is read from its beginning, and so are all shards of a stream that was made
  after the mapping (one of the same name, after the first was deleted): nothing of them was there
  before.
- Every shard's position is stored, and durable, before it is read, so that a restart begins where
  the mapping did; `starting_positions` tells them, so that whoever makes a mapping can store them
  with it. Then LATEST means the moment in which the mapping was made.
- Parents come before children: a shard is read when those that it came from are done with, to their
  last record, or are out of the stream's retention.
- Shards are looked through when the poller begins and when a shard has come to its end: no others
  come, since every new one takes the place of one that was closed. Positions of shards that the
  stream does not have any more are forgotten.
- When the number of lanes has changed, a shard begins anew at the lowest position of its lanes;
  what other lanes had done behind it is handed out again.
- The stream's end is the mappings' affair: they stop the poller, and begin another one when there
  is a stream of that name again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final, final

from eventcore.clock import TimerHandle
from eventcore.errors import BrokerClosed, EventcoreError
from eventcore.mappings.mapping import EventSourceMapping
from eventcore.mappings.mapping_spec import LanePosition, MappingSpec
from eventcore.mappings.shard_lane import lanes_of
from eventcore.runtime.shard_poller import ShardEnding, ShardPoller
from eventcore.runtime.stream_mapping import StreamMapping, StreamPollerEngine
from eventcore.runtime.streams import Streams
from eventcore.runtime.telemetry import logger_of
from eventcore.runtime.timers import timers_for
from eventcore.streams.shard import Shard
from eventcore.streams.stream import Stream
from eventcore.streams.stream_spec import StartingPosition

__all__ = ["StreamPoller", "starting_positions"]

PAUSE_MS: Final = 500
"""Before another look, where the store was not available or the stream is in the making."""
AT_TIMESTAMP: Final = "AT_TIMESTAMP"
LATEST: Final = "LATEST"

log = logger_of("eventcore.stream_poller")


def starting_positions(streams: Streams, stream: Stream, spec: MappingSpec) -> list[LanePosition]:
    """Where the lanes of all shards of a stream begin, for a mapping that is made now; in a
    request. Raises StoreError.
    """
    return [
        position
        for shard in _shards(streams, stream)
        for position in _lanes(shard.ordinal, lanes_of(spec), _start(streams, stream, shard, spec))
    ]


def _shards(streams: Streams, stream: Stream) -> list[Shard]:
    ordinals = [view.ordinal for view in streams.shards(stream)]
    return [shard for ordinal in ordinals if (shard := stream.shard(ordinal)) is not None]


def _start(streams: Streams, stream: Stream, shard: Shard, spec: MappingSpec) -> int:
    """The number of the first record of a shard that a new mapping is about."""
    if spec.starting_position == LATEST:
        return shard.next_number
    if spec.starting_position != AT_TIMESTAMP:
        return shard.first_number
    start = StartingPosition("AT_TIMESTAMP", timestamp_ms=spec.starting_ms)
    page = streams.read(stream, streams.locate(stream, shard.id, start), 1, 1)
    if not page.slices:
        return shard.next_number  # nothing came so late; what comes now does
    return page.slices[0].block.first + page.slices[0].begin


def _lanes(ordinal: int, lanes: int, number: int) -> list[LanePosition]:
    return [LanePosition(ordinal, lane, lanes, number) for lane in range(lanes)]


@final
class StreamPoller:
    """The poller of one mapping. See the file's rules."""

    def __init__(self, engine: StreamPollerEngine, mapping_arn: str) -> None:
        self._engine = engine
        self._arn = mapping_arn
        self._timers = timers_for(engine.clock)
        self._mapping: StreamMapping | None = None
        self._shards: dict[int, ShardPoller] = {}
        self._expired = 0
        self._timer: TimerHandle | None = None
        self._is_planned = False
        self._is_stopping = False

    # Life

    def start(self) -> None:
        """Begins. Within no request; returns at once."""
        self._plan()

    def wake(self) -> None:
        """The function may be there again: what it refused is tried at once. Within no request."""
        for shard in list(self._shards.values()):
            shard.wake()

    def follow(self) -> bool:
        """Other settings are other lanes, batches and windows: it ends, and another one begins."""
        return False

    async def stop(self, drain_ms: int) -> None:
        """Ends: no batch is begun any more, running ones end and are settled. After `drain_ms`
        those that still run are cancelled and not settled. Does not raise. One that was cancelled
        may be called again.
        """
        self._is_stopping = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        shards = list(self._shards.values())
        for shard in shards:
            shard.begin_stop()
        await self._drain(shards, drain_ms)
        running = [task for shard in shards for task in shard.tasks]
        for task in running:
            task.cancel()
        if running:
            log.warning("drain_timeout", mapping=self._arn, batches=len(running))
            await asyncio.wait(running)
        for shard in shards:
            shard.end_stop()
        self._shards.clear()

    async def _drain(self, shards: Sequence[ShardPoller], drain_ms: int) -> None:
        """Waits until nothing runs, for so long at the most, by the engine's clock."""
        over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        at_ms = self._engine.clock.now_ms() + drain_ms
        timer = self._timers.call_at(at_ms, lambda: _resolve(over))
        try:
            while drain_ms > 0 and not over.done():
                running = [task for shard in shards for task in shard.tasks]
                if not running:
                    break
                await asyncio.wait([*running, over], return_when=asyncio.FIRST_COMPLETED)
        finally:
            timer.cancel()

    # What it does

    @property
    def shards(self) -> int:
        """Shards that are read now."""
        return len(self._shards)

    @property
    def invocations(self) -> int:
        """Lanes that are busy now."""
        return sum(len(shard.tasks) for shard in self._shards.values())

    @property
    def expired(self) -> int:
        """Records that went with the stream's retention before they were done."""
        return self._expired + sum(shard.expired for shard in self._shards.values())

    @property
    def iterator_age_ms(self) -> int:
        """The age of the oldest record that was read and is not done; 0 where there is none."""
        ages = [shard.oldest_ms for shard in self._shards.values()]
        oldest_ms = min((at_ms for at_ms in ages if at_ms is not None), default=None)
        return 0 if oldest_ms is None else max(0, self._engine.clock.now_ms() - oldest_ms)

    # Which shards

    def _plan_later(self, pause_ms: int = PAUSE_MS) -> None:
        if self._timer is None and not self._is_stopping:
            at_ms = self._engine.clock.now_ms() + pause_ms
            self._timer = self._timers.call_at(at_ms, self._plan)

    def _plan_soon(self) -> None:
        if not self._is_planned:
            self._is_planned = True
            asyncio.get_running_loop().call_soon(self._plan)

    def _plan(self) -> None:
        """Looks which shards are to be read, has their positions stored, and then begins."""
        self._is_planned = False
        self._timer = None
        if self._is_stopping:
            return
        try:
            self._engine.begin()
            ready = self._prepare()
        except BrokerClosed:
            return
        except EventcoreError as error:
            log.warning("mapping_not_reading", mapping=self._arn, error=str(error))
            ready = None
        if ready is None:
            self._plan_later()
        else:
            self._engine.hold(_Prepared(self._begin, self._plan_later), ready)

    def _prepare(self) -> list[list[LanePosition]] | None:
        """In a request: the positions of the shards that can be begun, staged where they are new.
        None where the stream is not there to be read, or not the one that the positions are of.
        """
        engine = self._engine
        mapping = engine.find(self._arn)
        if not isinstance(mapping, EventSourceMapping):
            return []  # whoever made this poller ends it
        engine.look(mapping)
        record, spec = mapping.record, mapping.spec
        stream = engine.streams.find_stream(spec.resource_arn)
        if stream is None or stream.status in ("CREATING", "DELETING"):
            return None
        engine.look(stream)
        identity = engine.streams.identity(stream)
        if not record.is_of_stream(identity):
            return None
        if self._mapping is None:
            self._mapping = StreamMapping(engine, self._arn, spec, identity)
        if self._mapping.identity != identity:
            return []
        shards = _shards(engine.streams, stream)
        known = _by_shard(mapping.positions())
        # Told before any is forgotten: where the last one goes, its children come later.
        is_new = not (known or record.is_anew)
        for ordinal in known.keys() - {shard.ordinal for shard in shards} - self._shards.keys():
            engine.run(mapping, mapping.forget_shard(ordinal))
            del known[ordinal]
        changed: list[LanePosition] = []
        if is_new:
            changed = starting_positions(engine.streams, stream, spec)
            known = _by_shard(changed)
        ready = []
        done = {ordinal for ordinal, lanes in known.items() if _is_done(lanes)}
        waiting = {shard.ordinal for shard in shards} - done
        for shard in shards:
            ordinal = shard.ordinal
            if ordinal in done or ordinal in self._shards or waiting.intersection(shard.parents):
                continue
            lanes = known.get(ordinal)
            if lanes is None or len(lanes) != self._mapping.lanes:
                number = _lowest(lanes) if lanes else shard.first_number
                lanes = _lanes(ordinal, self._mapping.lanes, number)
                changed += lanes
            ready.append(lanes)
        if changed:
            engine.mappings.settle(self._arn, changed)
        return ready

    def _begin(self, ready: list[list[LanePosition]]) -> None:
        """Reads shards whose positions are durable."""
        mapping = self._mapping
        if self._is_stopping or mapping is None:
            return
        for lanes in ready:
            ordinal = lanes[0].ordinal
            if ordinal not in self._shards:
                shard = self._shards[ordinal] = ShardPoller(mapping, ordinal, lanes, self._ended)
                shard.start()

    def _ended(self, shard: ShardPoller, ending: ShardEnding) -> None:
        """A shard has come to its end, or must begin anew."""
        self._expired += shard.expired
        self._shards.pop(shard.ordinal, None)
        if ending == "done":
            self._plan_soon()
        else:
            self._plan_later()


@final
class _Prepared:
    """The reply of a plan."""

    __slots__ = ("_begin", "_fail")

    def __init__(
        self, begin: Callable[[list[list[LanePosition]]], None], fail: Callable[[], None]
    ) -> None:
        self._begin = begin
        self._fail = fail

    def commit(self, payload: list[list[LanePosition]]) -> None:
        self._begin(payload)

    def fail(self, error: EventcoreError) -> None:
        self._fail()


def _by_shard(positions: Sequence[LanePosition]) -> dict[int, list[LanePosition]]:
    found: dict[int, list[LanePosition]] = {}
    for position in positions:
        found.setdefault(position.ordinal, []).append(position)
    return found


def _is_done(lanes: Sequence[LanePosition]) -> bool:
    return all(position.is_end for position in lanes)


def _lowest(lanes: Sequence[LanePosition]) -> int:
    return min(position.number for position in lanes if not position.is_end)


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
