"""Every operation on streams, as plain synchronous calls; `engine.streams`.

The rules of `eventcore.runtime.engine` hold here: calls stand between `engine.begin()` and `hold`
(or `barrier`), raise an EventcoreError and have changed nothing, or have happened. Texts of errors
that AWS words in a way of its own are in the machines; quotas of an account are looked after here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, TypeVar, final

from eventcore import limits
from eventcore.arn import parse_arn, stream_arn
from eventcore.errors import (
    AlreadyExists,
    BrokerClosed,
    Conflict,
    EventcoreError,
    InvalidParameter,
    LimitExceeded,
    NotFound,
    StoreError,
)
from eventcore.outcome import Outcome, Parcel
from eventcore.runtime.record_reader import RecordReader
from eventcore.runtime.subscriptions import (
    RecordPage,
    Subscription,
    Subscriptions,
    SubscriptionSink,
)
from eventcore.streams.account import StreamAccount, StreamAccountRecord
from eventcore.streams.block import BlockSlice
from eventcore.streams.iterator import Iterator, read_iterator, write_iterator
from eventcore.streams.sequence_number import END, parse_sequence_number
from eventcore.streams.shard import Shard
from eventcore.streams.stream import Stream
from eventcore.streams.stream_spec import (
    ON_DEMAND,
    PROVISIONED,
    Appended,
    FanOutConsumer,
    Place,
    RecordEntry,
    Refused,
    ShardView,
    StartingPosition,
    StreamSpec,
)

if TYPE_CHECKING:
    from eventcore.clock import Clock
    from eventcore.runtime.engine import Engine
    from eventcore.runtime.timers import Timers
    from eventcore.stores.base import Store

__all__ = ["STREAM", "STREAM_ACCOUNT", "Streams"]

T = TypeVar("T")
STREAM: Final = "stream"
STREAM_ACCOUNT: Final = "stream-account"
RETRY_MS: Final = 100
CREATING_MAX: Final = 5
RATES_MAX: Final = 10_000

CALLS_PER_S: Final = {
    "AddTagsToStream": 5,
    "CreateStream": 5,
    "DecreaseStreamRetentionPeriod": 5,
    "DeleteResourcePolicy": 5,
    "DeleteStream": 5,
    "DeregisterStreamConsumer": 5,
    "DescribeAccountSettings": 5,
    "DescribeLimits": 1,
    "DescribeStream": 10,
    "DescribeStreamConsumer": 20,
    "DescribeStreamSummary": 20,
    "DisableEnhancedMonitoring": 5,
    "EnableEnhancedMonitoring": 5,
    "GetResourcePolicy": 5,
    "IncreaseStreamRetentionPeriod": 5,
    "ListShards": 1_000,
    "ListStreamConsumers": 5,
    "ListStreams": 5,
    "ListTagsForResource": 5,
    "ListTagsForStream": 5,
    "MergeShards": 5,
    "PutResourcePolicy": 5,
    "RegisterStreamConsumer": 5,
    "RemoveTagsFromStream": 5,
    "SplitShard": 5,
    "StartStreamEncryption": 5,
    "StopStreamEncryption": 5,
    "TagResource": 5,
    "UntagResource": 5,
    "UpdateAccountSettings": 5,
    "UpdateMaxRecordSize": 5,
    "UpdateShardCount": 10,
    "UpdateStreamMode": 5,
    "UpdateStreamWarmThroughput": 5,
}
"""Calls of an account a second, or of a stream (botocore's documentation of each)."""

_RATES_OF_STREAMS: Final = frozenset(
    ("DeregisterStreamConsumer", "DescribeStreamConsumer", "ListShards", "ListStreamConsumers")
)


@final
class Streams:
    """The streams of one engine."""

    def __init__(self, engine: Engine, store: Store, clock: Clock, timers: Timers) -> None:
        self._engine = engine
        self._host = engine.host
        self._timers = timers
        self.reader = RecordReader(engine.host, store)
        self.subscriptions = Subscriptions(self, clock, timers)
        self._calls: dict[tuple[str, str, str], tuple[int, int]] = {}

    # Streams

    def find(self, arn: str) -> Stream:
        """The stream of an ARN. Raises NotFound("stream", name)."""
        machine = self._engine.find(arn)
        if not isinstance(machine, Stream):
            self._engine.look_at_everything()  # it may have been deleted just now
            raise NotFound(STREAM, arn.partition("/")[2])
        self._host.look(machine)
        return machine

    def names(self, account: str, region: str) -> list[str]:
        """The names of an account's streams in a region, sorted."""
        first = stream_arn(account, region, "")
        return [
            arn[len(first) :]
            for arn in self._engine.arns_with_prefix(first)
            if isinstance(self._engine.find(arn), Stream)
        ]

    def all_of(self, arn: str) -> list[Stream]:
        """All streams of the account and region that an ARN names."""
        parsed = parse_arn(arn)
        found = []
        for name in self.names(parsed.account, parsed.region):
            machine = self._engine.find(stream_arn(parsed.account, parsed.region, name))
            assert isinstance(machine, Stream)
            self._host.look(machine)
            found.append(machine)
        return found

    def create(self, arn: str, spec: StreamSpec, shards: int = 1) -> Stream:
        """Creates a stream with `shards` shards; an on-demand one has its own number of them.

        Raises AlreadyExists, InvalidParameter, LimitExceeded.
        """
        spec.validate()
        if self._engine.find(arn) is not None:
            self._engine.look_at_everything()
            raise AlreadyExists(STREAM, arn.partition("/")[2])
        if spec.mode == ON_DEMAND:
            shards = max(limits.ON_DEMAND_SHARDS_DEFAULT, spec.warm_mib_per_s or 0)
        if not 1 <= shards <= limits.SHARDS_PER_STREAM_MAX:
            raise InvalidParameter("count", f"Must be 1 to {limits.SHARDS_PER_STREAM_MAX}.", shards)
        self._check_account(arn, shards, spec.mode, is_new=True)
        stream = Stream(arn, self._engine.ids, self._engine.quotas)
        outcome = stream.create(spec, shards, self._host.now_ms)
        self._engine.add_resource(STREAM, arn, stream)
        self._host.run(stream, outcome)
        return stream

    def delete(self, stream: Stream, *, enforce_consumer_deletion: bool = False) -> None:
        """Deletes a stream with its records, its enhanced fan-out consumers and its consumer
        groups.

        Raises Conflict while it has consumers, unless told to delete them.
        """
        if len(stream.fan_out) and not enforce_consumer_deletion:
            raise Conflict(
                STREAM,
                stream.name,
                f"Stream {stream.name} under account {stream.account} has consumers registered; "
                "they are deleted with it when EnforceConsumerDeletion is true.",
            )
        stream.require("CREATING", "ACTIVE", "UPDATING")
        wait_ms = self._engine.quotas.stream_transition_ms
        if wait_ms is None:
            self._drop(stream)
        else:
            due_ms = self._host.now_ms + wait_ms
            self._host.run(stream, stream.start_deletion(due_ms))
            self._drop_later(stream, due_ms)

    def _drop_later(self, stream: Stream, due_ms: int) -> None:
        self._timers.call_at(due_ms, lambda: self._drop_when_due(stream.arn, stream.created_ms))

    def _drop_when_due(self, arn: str, created_ms: int) -> None:
        stream = self.find_stream(arn)
        if stream is None or stream.status != "DELETING" or stream.created_ms != created_ms:
            return
        try:
            self._engine.begin()
        except StoreError:  # no room for a change now, or being loaded
            self._drop_later(stream, self._engine.clock.now_ms() + RETRY_MS)
        except BrokerClosed:
            pass  # it is planned anew after the next start
        else:
            self._drop(stream)

    def _drop(self, stream: Stream) -> None:
        component = self._host.seat_of(stream).component
        self._engine.drop_resource(stream.arn)
        self._engine.groups.delete_all(stream.arn)
        self.reader.drop(component)
        self.subscriptions.pump_all(stream.arn)

    def _check_account(self, arn: str, more: int, mode: str, *, is_new: bool = False) -> None:
        """Raises LimitExceeded for what the account's quotas do not allow."""
        quotas = self._engine.quotas
        if quotas.shards_max is None and quotas.on_demand_streams_max is None:
            return
        streams = self.all_of(arn)
        account, region = parse_arn(arn).account, parse_arn(arn).region
        if is_new and sum(s.status == "CREATING" for s in streams) >= CREATING_MAX:
            raise LimitExceeded("creating_max", CREATING_MAX, "streams in the state CREATING")
        if mode == ON_DEMAND:
            count = sum(stream.spec.mode == ON_DEMAND for stream in streams)
            most = quotas.on_demand_streams_max
            if most is not None and is_new and count >= most:
                raise LimitExceeded("on_demand_streams_max", most, "on-demand streams")
            return
        most = quotas.shards_max
        count = sum(s.open_shards for s in streams if s.spec.mode == PROVISIONED)
        if most is not None and count + more > most:
            raise LimitExceeded(
                "shards_max",
                most,
                f"This request would exceed the shard limit for the account {account} in {region}. "
                f"Current shard count for the account: {count}. Limit: {most}. Number of "
                f"additional shards that would have resulted from this request: {more}. Refer to "
                "the AWS Service Limits page "
                "(http://docs.aws.amazon.com/general/latest/gr/aws_service_limits.html) for current"
                " limits and how to request higher limits.",
            )

    def admit(self, action: str, account: str, region: str, stream: str = "") -> None:
        """Counts a control operation before it does anything, where the quota is on. Raises
        LimitExceeded above AWS's rate.
        """
        percent = self._engine.quotas.stream_control_rate_percent
        per_s = CALLS_PER_S.get(action)
        if percent is None or per_s is None:
            return
        most = max(1, per_s * percent // 100)
        second = self._host.now_ms // 1000
        key = (account, region, f"{action} {stream}" if action in _RATES_OF_STREAMS else action)
        of_second, count = self._calls.get(key, (second, 0))
        if of_second != second:
            count = 0
        if count >= most:
            raise LimitExceeded(
                "stream_control_rate_percent",
                percent,
                f"Rate exceeded for stream {stream} under account {account}."
                if stream
                else f"Rate exceeded for account {account}.",
            )
        if len(self._calls) > RATES_MAX:
            self._calls.clear()
        self._calls[key] = (second, count + 1)

    # Settings

    def set_spec(self, stream: Stream, spec: StreamSpec) -> None:
        """Changes retention, record size, mode, warm throughput or encryption; see
        Stream.set_spec. Raises LimitExceeded, too.
        """
        if spec.mode != stream.spec.mode:
            self._check_account(stream.arn, stream.open_shards, spec.mode, is_new=True)
        self._host.run(stream, stream.set_spec(spec, self._host.now_ms))

    def describe_as(self, stream: Stream, spec: StreamSpec) -> None:
        """Changes tags, policy or metrics; see Stream.describe_as."""
        self._host.run(stream, stream.describe_as(spec))

    def split(self, stream: Stream, shard_id: str, hash_key: str) -> None:
        """See Stream.split. Raises LimitExceeded, too."""
        now_ms = self._host.now_ms
        stream.check_split(shard_id, hash_key, now_ms)
        if stream.open_shards >= limits.SHARDS_PER_STREAM_MAX:
            raise LimitExceeded("shards_per_stream_max", limits.SHARDS_PER_STREAM_MAX)
        self._check_account(stream.arn, 1, stream.spec.mode)
        self._host.run(stream, stream.split(shard_id, hash_key, now_ms))

    def merge(self, stream: Stream, shard_id: str, adjacent_id: str) -> None:
        """See Stream.merge."""
        self._host.run(stream, stream.merge(shard_id, adjacent_id, self._host.now_ms))

    def update_shard_count(self, stream: Stream, count: int) -> None:
        """See Stream.update_shard_count. Raises LimitExceeded, too."""
        if count > stream.open_shards:
            self._check_account(stream.arn, count - stream.open_shards, stream.spec.mode)
        self._host.run(stream, stream.update_shard_count(count, self._host.now_ms))

    # Writing

    def put_record(
        self, stream: Stream, entry: RecordEntry, sequence_for_ordering: str | None = None
    ) -> Appended:
        """See Stream.put_record."""
        return self._append(
            stream, stream.put_record(entry, sequence_for_ordering, self._host.now_ms)
        )

    def put_records(
        self, stream: Stream, entries: Sequence[RecordEntry]
    ) -> list[Appended | Refused]:
        """See Stream.put_records."""
        return self._append(stream, stream.put_records(entries, self._host.now_ms))

    def accept(self, stream: Stream, parcel: Parcel) -> None:
        """See Stream.accept."""
        self._append(stream, stream.accept(parcel, self._host.now_ms))

    def _append(self, stream: Stream, outcome: Outcome[T]) -> T:
        value = self._host.run(stream, outcome)
        self.reader.appended(self._host.seat_of(stream), outcome.mutations)
        return value

    # Reading

    def locate(self, stream: Stream, shard_id: str, start: StartingPosition) -> Place:
        """The place in a shard that a starting position means now.

        Raises NotFound("stream" or "shard"), InvalidParameter.
        """
        if stream.status in ("CREATING", "DELETING"):
            raise NotFound(STREAM, stream.name)
        now_ms = self._host.now_ms
        shard = stream.find_shard(shard_id, now_ms)
        if start.kind == "TRIM_HORIZON":
            return Place(shard.ordinal, shard.first_number)
        if start.kind == "LATEST":
            return Place(shard.ordinal, shard.next_number)
        if start.kind == "AT_TIMESTAMP":
            return _at_time(shard, start.timestamp_ms, now_ms)
        return _at_sequence_number(stream, shard, start)

    def read(self, stream: Stream, place: Place, records_max: int, bytes_max: int) -> RecordPage:
        """Records from a place on; a place behind the tip is the tip. Short blocking reads of the
        store.

        Raises NotFound("shard") for a shard that has vanished, StoreError.
        """
        assert records_max > 0
        now_ms = self._host.now_ms
        horizon_ms = stream.horizon_ms(now_ms)
        shard = stream.shard(place.ordinal)
        if shard is None or shard.is_over(horizon_ms):
            raise NotFound("shard", f"shardId-{place.ordinal:012d}", stream.name)
        self._host.look(stream)
        seat = self._host.seat_of(stream)
        number = min(max(place.number, shard.first_number), shard.next_number)
        if place.from_ms:
            number = max(number, self.reader.find(seat, shard, place.from_ms))
            if number >= shard.next_number:  # nothing that late yet: goes on looking at the time
                return self._page(stream, shard, [], number, place.from_ms)
        slices, number = self.reader.read(seat, shard, number, horizon_ms, records_max, bytes_max)
        return self._page(stream, shard, slices, number, 0)

    read_page = read

    def _page(
        self, stream: Stream, shard: Shard, slices: list[BlockSlice], number: int, from_ms: int
    ) -> RecordPage:
        is_tip = number >= shard.next_number
        is_end = is_tip and not shard.is_open
        arrived_ms = slices[-1].block.arrived_ms if slices else shard.arrived_ms
        return RecordPage(
            slices,
            None if is_end else Place(shard.ordinal, number, from_ms),
            0 if is_tip else max(0, self._host.now_ms - arrived_ms),
            stream.children(shard) if is_end else [],
            shard.sequence_text(number - 1, arrived_ms or shard.record.created_ms),
        )

    def iterator(self, stream: Stream, shard_id: str, start: StartingPosition) -> str:
        """A shard iterator; it is good for five minutes. Raises as `locate` does."""
        return self._iterator(stream, self.locate(stream, shard_id, start))

    def _iterator(self, stream: Stream, place: Place) -> str:
        return write_iterator(
            Iterator(
                stream.arn,
                *self.identity(stream),
                place.ordinal,
                place.number,
                place.from_ms,
                self._host.now_ms,
            )
        )

    def get_records(
        self, token: str, records_max: int = limits.GET_RECORDS_MAX, arn: str | None = None
    ) -> tuple[RecordPage, str | None]:
        """Records from an iterator on, and the next iterator: None at the end of a closed shard.

        Raises InvalidParameter("iterator", or "limit" unless 1 to `GET_RECORDS_MAX` are asked for),
        Expired, NotFound, ThroughputExceeded, StoreError.
        """
        if not 1 <= records_max <= limits.GET_RECORDS_MAX:
            raise InvalidParameter("limit", f"Must be 1 to {limits.GET_RECORDS_MAX}.", records_max)
        iterator = read_iterator(token, self._host.now_ms)
        if arn is not None and arn != iterator.stream_arn:
            raise InvalidParameter(
                "arn", "StreamARN does not match the stream of the ShardIterator.", arn
            )
        stream = self.find(iterator.stream_arn)
        if self.identity(stream) != (iterator.stream_ms, iterator.component):
            raise InvalidParameter("iterator", "Invalid ShardIterator.", token)
        shard = stream.shard(iterator.ordinal)
        if shard is not None:
            stream.admit_read(shard, self._host.now_ms)
        place = Place(iterator.ordinal, iterator.number, iterator.from_ms)
        page = self.read(stream, place, records_max, limits.GET_RECORDS_BYTES_MAX)
        if shard is not None and shard.reads is not None:
            stream.count_read(shard, _data_bytes(page))
        return page, None if page.place is None else self._iterator(stream, page.place)

    # Waiting at the tip

    def subscribe(
        self,
        stream: Stream,
        place: Place,
        sink: SubscriptionSink,
        *,
        duration_ms: int = 0,
        heartbeat_ms: int = 0,
    ) -> Subscription:
        """See Subscriptions.add."""
        return self.subscriptions.add(
            stream, place, sink, duration_ms=duration_ms, heartbeat_ms=heartbeat_ms
        )

    def begin(self) -> None:
        """For subscriptions: see Engine.begin."""
        self._engine.begin()

    def hold(self, reply: Subscription, payload: RecordPage) -> None:
        """For subscriptions: see Engine.hold."""
        self._engine.hold(reply, payload)

    def hold_everything(self, reply: Subscription, payload: EventcoreError) -> None:
        """For subscriptions: closes a request that tells of a stream that is not there."""
        self._engine.look_at_everything()
        self._engine.hold(reply, payload)

    def identity(self, stream: Stream) -> tuple[int, int]:
        """Tells a stream from any other that has or had its name."""
        return stream.created_ms, self._host.seat_of(stream).component

    def find_stream(self, arn: str) -> Stream | None:
        """For subscriptions: the stream of an ARN as it is now."""
        machine = self._engine.find(arn)
        return machine if isinstance(machine, Stream) else None

    def look(self, stream: Stream) -> None:
        """For subscriptions: see Host.look."""
        self._host.look(stream)

    def watch(self, arn: str, is_waited_for: bool) -> None:
        """For subscriptions: see Engine.watch."""
        self._engine.watch(arn, is_waited_for)

    # Enhanced fan-out

    def register_consumer(
        self, stream: Stream, name: str, tags: dict[str, str] | None = None
    ) -> FanOutConsumer:
        """Registers an enhanced fan-out consumer. Raises as Stream.register_consumer does."""
        has_advantage = stream.spec.mode == ON_DEMAND and self.account(stream.arn).is_committed
        most = (
            limits.STREAM_CONSUMERS_MAX_ADVANTAGE if has_advantage else limits.STREAM_CONSUMERS_MAX
        )
        return self._host.run(
            stream, stream.register_consumer(name, tags or {}, most, self._host.now_ms)
        )

    def change_consumer(self, stream: Stream, consumer: FanOutConsumer) -> None:
        """Changes a consumer's tags or policy."""
        self._host.run(stream, stream.change_consumer(consumer))

    def deregister_consumer(self, stream: Stream, name: str) -> None:
        """Forgets a consumer; its subscriptions run on to their end, as on AWS."""
        self._host.run(stream, stream.deregister_consumer(name))

    # The account

    def account(self, arn: str) -> StreamAccountRecord:
        """What the account of an ARN has agreed with Kinesis in the ARN's region."""
        machine = self._engine.find(_account_arn(arn))
        if not isinstance(machine, StreamAccount):
            return StreamAccountRecord()
        self._host.look(machine)
        return machine.record

    def set_account_committed(self, arn: str, is_committed: bool) -> StreamAccountRecord:
        """Begins or ends an account's minimum throughput billing commitment."""
        name = _account_arn(arn)
        machine = self._engine.find(name)
        if not isinstance(machine, StreamAccount):
            machine = StreamAccount()
            self._engine.add_resource(STREAM_ACCOUNT, name, machine)
        return self._host.run(machine, machine.set_committed(is_committed, self._host.now_ms))

    # What the engine tells

    def wake(self, stream: Stream) -> None:
        """A stream that somebody waits for has changed."""
        self.subscriptions.wake(stream)

    def loaded(self, machines: Sequence[object]) -> None:
        """Everything was loaded: plans what runs on timers."""
        for machine in machines:
            if isinstance(machine, Stream) and machine.status == "DELETING":
                self._drop_later(machine, machine.due_ms)
        self.subscriptions.loaded()

    def forget(self) -> None:
        """Everything is about to be loaded anew."""
        self.reader.clear()

    def close(self) -> None:
        """Ends all subscriptions."""
        self.subscriptions.close()

    def shards(self, stream: Stream) -> list[ShardView]:
        """The shards that can be told of, in the order in which they were made."""
        self._host.look(stream)
        if stream.status == "CREATING":
            return []
        return [shard.view() for shard in stream.shards(self._host.now_ms)]


def _account_arn(arn: str) -> str:
    parsed = parse_arn(arn)
    return f"arn:aws:kinesis:{parsed.region}:{parsed.account}:account"


def _at_time(shard: Shard, timestamp_ms: int | None, now_ms: int) -> Place:
    if timestamp_ms is None:
        raise InvalidParameter(
            "timestamp", "Must specify timestampInMillis for iterator type AT_TIMESTAMP"
        )
    if timestamp_ms > now_ms:
        raise InvalidParameter(
            "timestamp",
            "The timestampInMillis parameter cannot be greater than the currentTimestampInMillis. "
            f"timestampInMillis: {timestamp_ms}, currentTimestampInMillis: {now_ms}",
            timestamp_ms,
        )
    return Place(shard.ordinal, shard.first_number, max(1, timestamp_ms))


def _at_sequence_number(stream: Stream, shard: Shard, start: StartingPosition) -> Place:
    text = start.sequence_number or ""
    parsed = parse_sequence_number(text)
    is_of_shard = (
        parsed is not None
        and parsed.ordinal == shard.ordinal
        and parsed.shard_created_s == shard.record.created_s
        and (parsed.number < shard.next_number or (parsed.number == END and not shard.is_open))
    )
    if parsed is None or not is_of_shard:
        raise InvalidParameter(
            "sequence_number",
            f"StartingSequenceNumber {text} used in GetShardIterator on shard {shard.id} in stream "
            f"{stream.name} under account {stream.account} is invalid because it did not come from "
            "this stream.",
            text,
        )
    if parsed.number == END:
        return Place(shard.ordinal, shard.next_number)
    number = parsed.number + (start.kind == "AFTER_SEQUENCE_NUMBER")
    return Place(shard.ordinal, max(1, number))


def _data_bytes(page: RecordPage) -> int:
    return sum(len(data) for part in page.slices for data in part.block.data[part.begin : part.end])
