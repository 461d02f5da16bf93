"""Who waits at the tip of a shard, and is told of records as soon as they are durable.

Rules of this file:

- A subscription reads from its place on, one page at a time: the next page is read when the one
  before is durable and delivered, so a slow reader holds up nobody, and a page that was not told is
  read again.
- It is woken by what happens to its shard (an append, a close), never by looking again and again.
  An idle one costs memory, and, if it asked for that, a heartbeat every few seconds. Only where a
  read failed, or nothing may be read now, is it tried again after `RETRY_MS`.
- Bad news is held like records: that a stream is gone is told when that is durable.
- A sink is called from the event loop, within no request. One that raises is dropped.
- One timer serves all heartbeats and ends.
"""

from __future__ import annotations

import asyncio
from heapq import heappop, heappush
from typing import Final, Protocol, final

import msgspec

from eventcore import limits
from eventcore.clock import Clock, TimerHandle
from eventcore.errors import (
    BrokerClosed,
    EventcoreError,
    LimitExceeded,
    NotFound,
    StoreUnavailable,
)
from eventcore.runtime.telemetry import logger_of
from eventcore.runtime.timers import Timers
from eventcore.streams.block import BlockSlice, Record
from eventcore.streams.stream import Stream
from eventcore.streams.stream_spec import Place, ShardView

__all__ = ["PageReader", "RecordPage", "Subscription", "SubscriptionSink", "Subscriptions"]

log = logger_of("eventcore.subscriptions")

PUSH_BYTES: Final = 1_048_576
PUSH_RECORDS: Final = 10_000
RETRY_MS: Final = 200


class RecordPage(msgspec.Struct, frozen=True):
    """Records of a shard, in order. `place` is where to go on, None at the end of a closed shard,
    whose `child_shards` follow it. `behind_ms` is how far the page's end is from the tip, in ms;
    `continuation` the sequence number after which reading goes on.
    """

    slices: list[BlockSlice]
    place: Place | None
    behind_ms: int
    child_shards: list[ShardView]
    continuation: str

    def __len__(self) -> int:
        return sum(map(len, self.slices))

    def records(self) -> list[Record]:
        """All records, in order."""
        return [record for part in self.slices for record in part.records()]


class SubscriptionSink(Protocol):
    """Who is told."""

    def deliver(self, page: RecordPage) -> bool:
        """Takes a page of durable records, or an empty one (a heartbeat). False: it takes no more
        until `Subscription.resume` is called.
        """
        ...

    def end(self, error: EventcoreError | None) -> None:
        """It is over: None after the end of a closed shard, of its time, or when all ends;
        an error when the stream is gone or can not be read.
        """
        ...


class PageReader(Protocol):
    """What subscriptions need of the engine."""

    def begin(self) -> None:
        """Opens a request. Raises StoreUnavailable, BrokerClosed."""
        ...

    def hold(self, reply: Subscription, payload: RecordPage) -> None:
        """Closes it: see Host.hold."""
        ...

    def hold_everything(self, reply: Subscription, payload: EventcoreError) -> None:
        """Closes it, when all that was ever staged is durable."""
        ...

    def identity(self, stream: Stream) -> tuple[int, int]:
        """What tells a stream from another of its name."""
        ...

    def find_stream(self, arn: str) -> Stream | None:
        """The stream of an ARN as it is now."""
        ...

    def read_page(
        self, stream: Stream, place: Place, records_max: int, bytes_max: int
    ) -> RecordPage:
        """A page of records. Raises StoreError, NotFound."""
        ...

    def look(self, stream: Stream) -> None:
        """Notes that the request tells of a stream's state: see Host.look."""
        ...

    def watch(self, arn: str, is_waited_for: bool) -> None:
        """Has the stream's changes told to `Subscriptions.wake`, or not any more."""
        ...


@final
class Subscription:
    """One reader at a shard; the `Reply` of its own requests."""

    __slots__ = (
        "_subscriptions",
        "beats_ms",
        "ends_ms",
        "flying",
        "heartbeat_ms",
        "is_open",
        "is_paused",
        "place",
        "sink",
        "stream",
        "stream_arn",
    )

    def __init__(
        self,
        subscriptions: Subscriptions,
        stream_arn: str,
        stream: tuple[int, int],
        place: Place,
        sink: SubscriptionSink,
        ends_ms: int,
        heartbeat_ms: int,
    ) -> None:
        self._subscriptions = subscriptions
        self.stream_arn = stream_arn
        self.stream = stream
        self.place = place
        self.sink = sink
        self.ends_ms = ends_ms
        self.heartbeat_ms = heartbeat_ms
        self.beats_ms = 0
        self.is_open = True
        self.is_paused = False
        self.flying: RecordPage | EventcoreError | None = None
        """What will be told as soon as it is durable."""

    def pause(self) -> None:
        """The sink takes no page until `resume`; one that is on its way is still delivered."""
        self.is_paused = True

    def resume(self) -> None:
        """The sink takes pages again; the next one comes in a later turn of the loop."""
        if self.is_open and self.is_paused:
            self.is_paused = False
            self._subscriptions.pump_soon(self)

    def cancel(self) -> None:
        """Nobody wants to be told any more. Harmless when it is over."""
        self._subscriptions.remove(self)

    def commit(self, payload: RecordPage | EventcoreError) -> None:
        """The host's: what is flying is durable."""
        self._subscriptions.landed(self, payload)

    def fail(self, error: EventcoreError) -> None:
        """The host's: what was read is being loaded anew; it is read again then."""
        self.flying = None
        self._subscriptions.try_later(self)


@final
class Subscriptions:
    """All subscriptions of an engine, by shard."""

    def __init__(self, reader: PageReader, clock: Clock, timers: Timers) -> None:
        self._reader = reader
        self._clock = clock
        self._timers = timers
        self._by_shard: dict[tuple[str, int], dict[Subscription, None]] = {}
        self._by_arn: dict[str, set[int]] = {}
        self._seen: dict[str, Stream] = {}
        self._count = 0
        self._due: list[tuple[int, int, Subscription]] = []
        self._pushes = 0
        self._timer: TimerHandle | None = None
        self._timer_ms = 0
        self._stalled: dict[Subscription, None] = {}
        self._retry: TimerHandle | None = None
        self._is_closed = False
        self._latest: tuple[Stream, tuple[object, ...], RecordPage] | None = None

    def __len__(self) -> int:
        return self._count

    def is_waited_for(self, arn: str) -> bool:
        """Whether anybody waits at a shard of this stream."""
        return arn in self._by_arn

    def add(
        self,
        stream: Stream,
        place: Place,
        sink: SubscriptionSink,
        *,
        duration_ms: int = 0,
        heartbeat_ms: int = 0,
    ) -> Subscription:
        """Subscribes from a place on; the first page comes in a later turn of the loop.

        `duration_ms` ends it, 0 for never; `heartbeat_ms` is the longest time without a page, 0 for
        any. Raises LimitExceeded("subscriptions_max").
        """
        if self._count >= limits.SUBSCRIPTIONS_MAX:
            raise LimitExceeded("subscriptions_max", limits.SUBSCRIPTIONS_MAX)
        now_ms = self._clock.now_ms()
        ends_ms = now_ms + duration_ms if duration_ms else 0
        identity = self._reader.identity(stream)
        subscription = Subscription(self, stream.arn, identity, place, sink, ends_ms, heartbeat_ms)
        if self._seen.get(stream.arn) is not stream:  # nobody waits, or for one that is gone
            self.pump_all(stream.arn)
            self._seen[stream.arn] = stream
            self._reader.watch(stream.arn, True)
        self._by_shard.setdefault((stream.arn, place.ordinal), {})[subscription] = None
        self._by_arn.setdefault(stream.arn, set()).add(place.ordinal)
        self._count += 1
        self._beat_later(subscription, now_ms)
        self.pump_soon(subscription)
        return subscription

    def remove(self, subscription: Subscription) -> bool:
        """Takes a subscription out; False when it is out already."""
        if not subscription.is_open:
            return False
        subscription.is_open = False
        self._count -= 1
        arn, ordinal = subscription.stream_arn, subscription.place.ordinal
        line = self._by_shard[arn, ordinal]
        del line[subscription]
        if not line:
            del self._by_shard[arn, ordinal]
            self._by_arn[arn].discard(ordinal)
            if not self._by_arn[arn]:
                del self._by_arn[arn], self._seen[arn]
                self._reader.watch(arn, False)
        return True

    def wake(self, stream: Stream) -> None:
        """Tells those who wait at the shards that changed; all of the stream's after a reload."""
        fresh, stream.fresh = stream.fresh, set()
        if self._seen.get(stream.arn) is not stream and stream.arn in self._seen:
            self._seen[stream.arn] = stream
            fresh = set(self._by_arn[stream.arn])
        for ordinal in fresh:
            for subscription in list(self._by_shard.get((stream.arn, ordinal), ())):
                self.pump(subscription)

    def pump_soon(self, subscription: Subscription) -> None:
        """Has the next page read in a later turn of the loop."""
        asyncio.get_running_loop().call_soon(self.pump, subscription)

    def pump_all(self, arn: str) -> None:
        """Has all look at a stream again that is, or may be, another one now, or gone."""
        for subscription in self._all_of(arn):
            self.pump_soon(subscription)

    def loaded(self) -> None:
        """Everything was loaded. Streams that are there wake those who wait for them; nobody else
        tells those whose stream is not.
        """
        for arn in list(self._by_arn):
            if self._reader.find_stream(arn) is None:
                self.pump_all(arn)

    def _all_of(self, arn: str) -> list[Subscription]:
        return [
            subscription
            for ordinal in self._by_arn.get(arn, ())
            for subscription in self._by_shard.get((arn, ordinal), ())
        ]

    def pump(self, subscription: Subscription, *, is_beat: bool = False) -> None:
        """Reads the next page, if there is one and the sink takes it; for a heartbeat, an empty one
        as well.
        """
        if not subscription.is_open or subscription.flying is not None:
            return
        reader = self._reader
        try:
            reader.begin()
            page = self._read(subscription)
        except (StoreUnavailable, BrokerClosed):
            self.try_later(subscription)
        except EventcoreError as error:
            subscription.flying = error
            reader.hold_everything(subscription, error)
        else:
            if page is None:
                return
            if page.slices or page.place is None or is_beat:
                subscription.flying = page
                reader.hold(subscription, page)
            elif page.place.number < subscription.place.number:
                subscription.place = page.place  # what it counted on has not become durable

    def _read(self, subscription: Subscription) -> RecordPage | None:
        """The next page, None while the sink takes none. Raises NotFound, StoreError."""
        reader = self._reader
        stream = reader.find_stream(subscription.stream_arn)
        if stream is None or reader.identity(stream) != subscription.stream:
            raise NotFound("stream", subscription.stream_arn.partition("/")[2])
        if subscription.is_paused:
            return None
        return self._page(stream, subscription.place)

    def _page(self, stream: Stream, place: Place) -> RecordPage:
        """The page from a place on. Who asks next for what was asked for last, at the same time and
        with nothing changed since, gets the same: many subscriptions at one tip cost one read.
        """
        shard = stream.shard(place.ordinal)
        end = None if shard is None else (shard.next_number, shard.record)
        key = (place, end, self._clock.now_ms())
        latest = self._latest
        if latest is not None and latest[0] is stream and latest[1] == key:
            self._reader.look(stream)  # it may tell of what is not durable yet
            return latest[2]
        page = self._reader.read_page(stream, place, PUSH_RECORDS, PUSH_BYTES)
        self._latest = (stream, key, page)
        return page

    def landed(self, subscription: Subscription, payload: RecordPage | EventcoreError) -> None:
        """What was flying is durable: tells the sink, and goes on."""
        if subscription.flying is not payload or not subscription.is_open:
            return
        subscription.flying = None
        if isinstance(payload, EventcoreError):
            self.end(subscription, payload)
        elif self._tell(subscription, payload):
            if payload.place is None:
                self.end(subscription, None)
            else:
                subscription.place = payload.place
                self._beat_later(subscription, self._clock.now_ms())
                if not subscription.is_paused:
                    self.pump_soon(subscription)

    def try_later(self, subscription: Subscription) -> None:
        """Has a page read again after a pause."""
        if not subscription.is_open or self._is_closed:
            return
        self._stalled[subscription] = None
        if self._retry is None:
            self._retry = self._timers.call_at(self._clock.now_ms() + RETRY_MS, self._on_retry)

    def _on_retry(self) -> None:
        self._retry = None
        stalled, self._stalled = self._stalled, {}
        for subscription in stalled:
            self.pump(subscription)

    def _tell(self, subscription: Subscription, page: RecordPage) -> bool:
        """Delivers a page; False when the sink failed, or went away meanwhile."""
        try:
            subscription.is_paused = not subscription.sink.deliver(page)
        except Exception:
            log.exception("subscription_failed", stream=subscription.stream_arn)
            self.end(subscription, None)
        return subscription.is_open

    def end(self, subscription: Subscription, error: EventcoreError | None) -> None:
        """Ends a subscription and tells its sink why."""
        if not self.remove(subscription):
            return
        try:
            subscription.sink.end(error)
        except Exception:
            log.exception("subscription_failed", stream=subscription.stream_arn)

    def close(self) -> None:
        """Ends all subscriptions."""
        self._is_closed = True
        for arn in list(self._by_arn):
            for subscription in self._all_of(arn):
                self.end(subscription, None)
        for timer in (self._timer, self._retry):
            if timer is not None:
                timer.cancel()
        self._timer = self._retry = None
        self._stalled.clear()
        self._due.clear()

    # Time

    def _beat_later(self, subscription: Subscription, now_ms: int) -> None:
        """Notes when the subscription is next looked after: for a heartbeat, or its end."""
        is_noted = subscription.beats_ms > 0
        due_ms = now_ms + subscription.heartbeat_ms if subscription.heartbeat_ms else 0
        if subscription.ends_ms and (not due_ms or subscription.ends_ms < due_ms):
            due_ms = subscription.ends_ms
        subscription.beats_ms = due_ms
        if due_ms and not is_noted:  # else its entry is early, and is put off when it comes up
            self._note(due_ms, subscription)

    def _note(self, due_ms: int, subscription: Subscription) -> None:
        self._pushes += 1
        heappush(self._due, (due_ms, self._pushes, subscription))
        if self._timer is None or due_ms < self._timer_ms:
            self._arm(due_ms)

    def _arm(self, due_ms: int) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_ms = due_ms
        self._timer = self._timers.call_at(due_ms, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        now_ms = self._clock.now_ms()
        due: list[Subscription] = []
        while self._due and self._due[0][0] <= now_ms:
            due.append(heappop(self._due)[2])
        for subscription in due:
            if subscription.is_open:
                self._look_after(subscription, now_ms)
        if self._due and (self._timer is None or self._due[0][0] < self._timer_ms):
            self._arm(self._due[0][0])

    def _look_after(self, subscription: Subscription, now_ms: int) -> None:
        if subscription.ends_ms and subscription.ends_ms <= now_ms:
            self.end(subscription, None)
            return
        if subscription.beats_ms > now_ms:
            self._note(subscription.beats_ms, subscription)
            return
        subscription.beats_ms = 0
        self.pump(subscription, is_beat=True)
        if subscription.is_open:
            self._beat_later(subscription, now_ms)
