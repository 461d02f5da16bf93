"""SubscribeToShard: a consumer is sent a shard's records, as a stream of events.

Rules of this file:

- What is wrong with a request is answered as an error. After that the answer has status 200, and
  an error is a last message in it.
- The answer begins with an `initial-response`, then there is one `SubscribeToShardEvent` for each
  page of records, and an empty one every few seconds without records. Payloads are in the call's
  protocol, JSON or CBOR.
- At the end of a closed shard the last event names its child shards and has no
  ContinuationSequenceNumber, by which consumers know it. The answer ends then, after five minutes,
  or with the stream.
- One subscription per consumer and shard: a second one is refused for five seconds, then it takes
  over and the first ends with ResourceInUseException.
- A client that does not read holds up only itself: nothing more is read for it.
"""

from __future__ import annotations

from typing import Final, final
from weakref import WeakKeyDictionary

from eventcore import limits
from eventcore.api.kinesis_address import consumer_of
from eventcore.api.kinesis_answers import SubscribeToShardEventShape, child_shard
from eventcore.api.kinesis_faults import (
    dry_run_succeeded,
    in_use,
    shard_does_not_exist,
    with_account,
)
from eventcore.api.kinesis_records import record_shapes, starting_position
from eventcore.api.kinesis_requests import SubscribeToShardRequest
from eventcore.api.operation import Call
from eventcore.errors import EventcoreError, NotFound, RequestError
from eventcore.runtime.engine import Engine
from eventcore.runtime.subscriptions import RecordPage, Subscription
from eventcore.streams.shard import shard_id
from eventcore.streams.stream import Stream
from eventcore.streams.stream_spec import FanOutConsumer
from eventcore.wire.event_stream import (
    EVENT_STREAM,
    encode_message,
    event_headers,
    exception_headers,
)
from eventcore.wire.fault import Fault
from eventcore.wire.http import ResponseStream

__all__ = ["ShardEvents", "subscribe_to_shard"]

_ENDINGS: Final = frozenset(("ResourceNotFoundException", "ResourceInUseException"))
"""Errors that may end a stream of events; others are told as InternalFailureException."""


def subscribe_to_shard(call: Call, request: SubscribeToShardRequest) -> None:
    """Sends a consumer the records of a shard for up to five minutes."""
    assert request.shard_id is not None
    given = request.starting_position
    assert given is not None
    assert given.type is not None
    stream, consumer = consumer_of(call, request.consumer_arn)
    now_ms = call.engine.now_ms()
    if consumer.status(now_ms) != "ACTIVE":
        raise in_use(
            f"Consumer {consumer.name} with creation timestamp {consumer.created_ms // 1000} under "
            f"stream: {stream.name} , account {stream.account} is not in ACTIVE status."
        )
    start = starting_position(given.type, given.sequence_number, given.timestamp, now_ms)
    try:
        place = call.engine.streams.locate(stream, request.shard_id, start)
    except NotFound as error:
        if error.kind != "shard":
            raise
        raise shard_does_not_exist(request.shard_id, stream.name, stream.account) from error
    events = ShardEvents(call, stream, consumer, shard_id(place.ordinal), now_ms)
    earlier = _earlier(events)
    if request.dry_run:
        raise dry_run_succeeded()
    events.subscription = call.engine.streams.subscribe(
        stream,
        place,
        events,
        duration_ms=limits.SUBSCRIPTION_MS_MAX,
        heartbeat_ms=limits.SUBSCRIPTION_HEARTBEAT_MS,
    )
    if earlier is not None:
        earlier.give_way()
    _lines_of(call.engine)[events.line] = events
    call.wait_for(events)
    call.engine.hold(events, None)


@final
class _LatestEvent:
    """The event that was written last: consumers of one shard are told of the same page, one after
    the other, and its encoding is most of what that costs.
    """

    __slots__ = ("_event", "_headers", "_page")

    def __init__(self) -> None:
        self._page: RecordPage | None = None
        self._headers: bytes = b""
        self._event = b""

    def event_of(self, page: RecordPage, headers: bytes, call: Call) -> bytes:
        """The message that tells of a page, in the call's protocol, which the headers name."""
        if page is self._page and headers == self._headers:
            return self._event
        children = [child_shard(shard) for shard in page.child_shards]
        shape = SubscribeToShardEventShape(
            record_shapes(page.slices),
            page.behind_ms,
            None if page.place is None else page.continuation,
            children or None,
        )
        self._event = encode_message(headers, call.encode(shape))
        self._page, self._headers = page, headers
        return self._event


_LATEST: Final = _LatestEvent()


@final
class ShardEvents:
    """The answer to one SubscribeToShard: the reply that begins it, and the sink of its pages.

    `line` is what only one may subscribe to at a time: a shard for a consumer.
    """

    def __init__(
        self, call: Call, stream: Stream, consumer: FanOutConsumer, shard: str, now_ms: int
    ) -> None:
        self.line = (consumer.arn, shard)
        self.began_ms = now_ms
        self.account = stream.account
        self.name = f"{stream.account}:{stream.name}:{shard}:{consumer.name}"
        self.subscription: Subscription | None = None
        self._call = call
        self._stream: ResponseStream | None = None
        self._is_over = False
        self._content_type = call.service.content_type.decode("ascii")
        self._headers = event_headers("SubscribeToShardEvent", self._content_type)

    # The beginning

    def commit(self, payload: None) -> None:
        """The host's: that there is such a consumer is durable, the answer begins."""
        if self._stream is None and not self._is_over:
            self._begin()

    def fail(self, error: EventcoreError) -> None:
        """The host's: it is not durable, and never was."""
        self.cancel()
        self._call.fail(error)

    def _begin(self) -> ResponseStream:
        stream = self._stream = self._call.stream(EVENT_STREAM)
        stream.on_drain = self._resume
        stream.write(
            encode_message(
                event_headers("initial-response", self._content_type), self._call.encode({})
            )
        )
        return stream

    def _resume(self) -> None:
        if self.subscription is not None:
            self.subscription.resume()

    # The pages

    def deliver(self, page: RecordPage) -> bool:
        """Sends a page as one event. False when the client has to read first."""
        stream = self._stream or self._begin()
        return stream.write(_LATEST.event_of(page, self._headers, self._call))

    # The end

    def end(self, error: EventcoreError | None) -> None:
        """It is over: after five minutes, with the shard or the stream, or with us."""
        self._finish(None if error is None else self._fault(error))

    def give_way(self) -> None:
        """Another subscription takes this one's place."""
        if self.subscription is not None:
            self.subscription.cancel()
        self._finish(_active_elsewhere(self))

    def cancel(self) -> None:
        """The client is gone."""
        if self.subscription is not None:
            self.subscription.cancel()
        self._leave()

    def _finish(self, fault: Fault | None) -> None:
        if self._is_over:
            return
        stream = self._stream or self._begin()
        if fault is not None:
            code = fault.code if fault.code in _ENDINGS else "InternalFailureException"
            payload = self._call.encode({"message": fault.message})
            stream.write(encode_message(exception_headers(code, self._content_type), payload))
        stream.end()
        self._leave()

    def _leave(self) -> None:
        self._is_over = True
        lines = _lines_of(self._call.engine)
        if lines.get(self.line) is self:
            del lines[self.line]

    def _fault(self, error: EventcoreError) -> Fault:
        fault = with_account(error, self.account) if isinstance(error, RequestError) else None
        return fault or self._call.fault_of(error)


Lines = dict[tuple[str, str], ShardEvents]

_lines: Final[WeakKeyDictionary[Engine, Lines]] = WeakKeyDictionary()
"""Who is subscribed to what. It ends with the engine, as all subscriptions do."""


def _lines_of(engine: Engine) -> Lines:
    return _lines.setdefault(engine, {})


def _earlier(events: ShardEvents) -> ShardEvents | None:
    """The subscription that these events would take the place of. Raises the fault when it is too
    young for that.
    """
    earlier = _lines_of(events._call.engine).get(events.line)
    if earlier is not None and (
        events.began_ms - earlier.began_ms < limits.SUBSCRIPTION_TAKE_OVER_MS
    ):
        raise _active_elsewhere(earlier)
    return earlier


def _active_elsewhere(events: ShardEvents) -> Fault:
    """ResourceInUseException for a shard that the consumer is subscribed to already."""
    return in_use(f"Another active subscription exists for this consumer: {events.name}")
