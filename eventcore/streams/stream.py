"""A stream: its shards, their records, and what changes them (Kinesis Data Streams).

Rules of this file:

- Records are appended to the one open shard that owns their hash key, and are never changed. Their
  bytes are log rows: the machine makes them and forgets them. It knows where each log begins and
  ends; `runtime.record_reader` reads what lies between.
- A change of shards closes shards and opens others that cover the same hash keys; open shards cover
  all hash keys once. Closed shards can be read until their retention is over, then they vanish.
- A record is told of for exactly its retention. Its row goes later, in slices (`tick`).
- A stream is CREATING, ACTIVE, UPDATING or DELETING (`records.TRANSITIONS`). Without the quota
  `stream_transition_ms` a status ends in the command that begins it. Changes of shards happen when
  UPDATING ends.
- Texts of refusals are AWS's.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import pairwise
from typing import Final, final

import msgspec

from eventcore import limits
from eventcore.arn import parse_arn
from eventcore.codec import encode_record
from eventcore.errors import (
    Conflict,
    InvalidParameter,
    LimitExceeded,
    NotFound,
    ThroughputExceeded,
)
from eventcore.ids import IdSource, format_uuid
from eventcore.limits import RELAXED_QUOTAS, Quotas
from eventcore.outcome import (
    LOG_KEY_FIRST,
    Mutation,
    Outcome,
    Parcel,
    Trim,
    delete_row,
    put_row,
    row_family,
    row_key,
    row_number,
)
from eventcore.streams.block import NUMBER_MAX, ORDINAL_MAX, Block, block_key, cut
from eventcore.streams.fan_out import FanOut
from eventcore.streams.hash_range import HashRanges, hash_key, read_hash_key
from eventcore.streams.meter import ReadMeter, WriteMeter
from eventcore.streams.records import (
    CONSUMER_FAMILY,
    STREAM_FAMILY,
    TRANSITIONS,
    Change,
    StreamRecord,
    Trigger,
    decode_stream,
)
from eventcore.streams.resharding import Resharding
from eventcore.streams.retention import TrimPlan
from eventcore.streams.sequence_number import STEP, parse_sequence_number
from eventcore.streams.shard import (
    LOG_FAMILY,
    SHARD_FAMILY,
    TAIL_FAMILY,
    LogRecord,
    Retention,
    Shard,
    TailRecord,
    decode_log,
    decode_shard,
    decode_tail,
    parse_shard_id,
)
from eventcore.streams.stream_spec import (
    ON_DEMAND,
    PROVISIONED,
    Appended,
    FanOutConsumer,
    RecordEntry,
    Refused,
    ShardView,
    StreamSpec,
    StreamStatus,
    StreamSummary,
)

__all__ = ["Stream"]

DAY_MS: Final = 86_400_000
_TOO_FAST: Final = "ProvisionedThroughputExceededException"
_STREAM_ROW: Final = row_key(STREAM_FAMILY, 0)
_ANY_KEY: Final = "0" * 36
"""As long as the key that a parcel without a message group gets."""


class _Group:
    """Records of one command for one shard. `value` is the next one's sequence number.

    Arrivals never go back in a shard, though a machine's clock may, between two runs.
    """

    __slots__ = ("arrived_ms", "data", "keys", "shard", "size", "value")

    def __init__(self, shard: Shard, now_ms: int) -> None:
        self.shard = shard
        self.arrived_ms = max(now_ms, shard.arrived_ms)
        self.value = shard.first_value(shard.next_number, self.arrived_ms)
        self.keys: list[str] = []
        self.data: list[bytes] = []
        self.size = 0


@final
class Stream:
    """One stream, with its shards and its enhanced fan-out consumers."""

    def __init__(self, arn: str, ids: IdSource, quotas: Quotas = RELAXED_QUOTAS) -> None:
        self.arn = arn
        self.name = arn.partition("/")[2]
        self.account = parse_arn(arn).account
        self._ids = ids
        self._quotas = quotas
        self._record = StreamRecord(StreamSpec(), "CREATING", 0)
        self._retention = Retention(self._record.spec.retention_ms)
        self._shards: dict[int, Shard] = {}
        self._next_ordinal = 0
        self._ranges: HashRanges[Shard] | None = None
        self._trims = TrimPlan(self._shards)
        self._window_ms: int | None = None
        self.fan_out = FanOut(arn, quotas)
        self.fresh: set[int] = set()
        """Ordinals of the shards that changed since somebody last looked, who empties it."""

    # What it is

    @property
    def spec(self) -> StreamSpec:
        """The settings."""
        return self._record.spec

    @property
    def status(self) -> StreamStatus:
        """The status, of this moment: a command later it may be another."""
        return self._record.status

    @property
    def created_ms(self) -> int:
        """When it was made, epoch ms."""
        return self._record.created_ms

    @property
    def due_ms(self) -> int:
        """When a status that ends by itself does; 0 for the others."""
        return self._record.due_ms

    @property
    def ranges(self) -> HashRanges[Shard]:
        """The open shards by hash key."""
        if self._ranges is None:
            self._ranges = HashRanges(shard for shard in self._shards.values() if shard.is_open)
        return self._ranges

    @property
    def open_shards(self) -> int:
        """How many shards are open."""
        return len(self.ranges.owners)

    def horizon_ms(self, now_ms: int) -> int:
        """What arrived before this time is out of its retention."""
        return self._retention.horizon_ms(now_ms)

    def summary(self) -> StreamSummary:
        """The stream in numbers."""
        return StreamSummary(
            self.name,
            self.arn,
            self._record.status,
            self._record.spec,
            self._record.created_ms,
            self.open_shards,
            len(self.fan_out),
        )

    def shards(self, now_ms: int) -> list[Shard]:
        """The shards that can be told of, in the order in which they were made."""
        horizon_ms = self.horizon_ms(now_ms)
        return [shard for shard in self._shards.values() if not shard.is_over(horizon_ms)]

    def find_shard(self, text: str, now_ms: int) -> Shard:
        """The shard of an id. Raises NotFound("shard")."""
        ordinal = parse_shard_id(text)
        shard = None if ordinal is None else self._shards.get(ordinal)
        if shard is None or shard.is_over(self.horizon_ms(now_ms)):
            raise NotFound("shard", text, self.name)
        return shard

    def shard(self, ordinal: int) -> Shard | None:
        """The shard of a number; None when there is none (any more)."""
        return self._shards.get(ordinal)

    def children(self, shard: Shard) -> list[ShardView]:
        """The shards that took a closed shard's place."""
        found = (self._shards.get(ordinal) for ordinal in shard.children)
        return [child.view() for child in found if child is not None]

    def require(self, *statuses: StreamStatus) -> None:
        """Raises Conflict (its reason: AWS's text) when the status is none of these."""
        if self._record.status not in statuses:
            wanted = " or ".join(statuses)
            raise Conflict(
                "stream",
                self.name,
                f"Stream {self.name} under account {self.account} not {wanted}, "
                f"instead in state {self._record.status}",
            )

    def _require_data(self) -> None:
        if self._record.status in ("CREATING", "DELETING"):
            raise NotFound("stream", self.name)

    # Settings

    def create(self, spec: StreamSpec, count: int, now_ms: int) -> Outcome[None]:
        """Makes the shards, `count` ranges of equal size, now or when CREATING ends."""
        self._next_ordinal = 0
        record = StreamRecord(spec, "CREATING", now_ms, change=Change("create", count))
        return Outcome(None, tuple(self._begin(record, now_ms)))

    def set_spec(self, spec: StreamSpec, now_ms: int) -> Outcome[None]:
        """Changes settings that make a stream UPDATING: retention, record size, mode, encryption.

        Raises Conflict unless it is ACTIVE, InvalidParameter.
        """
        spec.validate()
        self.require("ACTIVE")
        old = self._record
        changes: dict[str, object] = {"spec": spec}
        if spec.retention_ms > old.spec.retention_ms:
            changes["floor_ms"] = self.horizon_ms(now_ms)
        if spec.mode != old.spec.mode:
            changes["mode_updates"] = self._count_update(
                old.mode_updates, limits.STREAM_MODE_UPDATES_MAX, now_ms
            )
        if spec.encryption_key != old.spec.encryption_key and spec.encryption_key is not None:
            changes["encryption_updates"] = self._count_update(
                old.encryption_updates, limits.ENCRYPTION_UPDATES_MAX, now_ms
            )
        record = msgspec.structs.replace(old, **changes)
        wanted = spec.warm_mib_per_s or 0
        if spec.mode == ON_DEMAND and wanted > self.open_shards:
            record = msgspec.structs.replace(
                record, change=Change("count", min(wanted, limits.SHARDS_PER_STREAM_MAX))
            )
        mutations = self._begin(self._status(record, "change"), now_ms)
        self._trims.forget()
        return Outcome(None, tuple(mutations))

    def describe_as(self, spec: StreamSpec) -> Outcome[None]:
        """Changes settings that leave the status alone: tags, policy, metrics."""
        spec.validate()
        mutation = put_row(_STREAM_ROW, msgspec.structs.replace(self._record, spec=spec))
        self.apply(mutation)
        return Outcome(None, (mutation,))

    def start_deletion(self, due_ms: int) -> Outcome[None]:
        """From now on it is DELETING. Whoever calls this drops it at `due_ms`."""
        record = self._status(self._record, "delete")
        record = msgspec.structs.replace(record, due_ms=due_ms, change=None)
        mutation = put_row(_STREAM_ROW, record)
        self.apply(mutation)
        return Outcome(None, (mutation,))

    def _count_update(self, earlier: tuple[int, ...], most: int, now_ms: int) -> tuple[int, ...]:
        """The times of changes of one kind with this one; those of more than a day ago drop out.

        Raises LimitExceeded beyond the quota.
        """
        recent = tuple(at for at in earlier if at > now_ms - DAY_MS)
        if self._quotas.stream_updates_per_day is not None and len(recent) >= most:
            raise LimitExceeded(
                "stream_updates_per_day",
                most,
                f"Stream {self.name} under account {self.account} was changed so {most} times in "
                "the last 24 hours.",
            )
        return (*recent[-(most - 1) :], now_ms)

    def _status(self, record: StreamRecord, trigger: Trigger) -> StreamRecord:
        return msgspec.structs.replace(record, status=TRANSITIONS[record.status, trigger])

    def _begin(self, record: StreamRecord, now_ms: int) -> list[Mutation]:
        """Enters a status that ends by itself, and ends it at once where it takes no time."""
        wait_ms = self._quotas.stream_transition_ms
        if wait_ms is None:
            return self._end(record, now_ms)
        self._reshaped(record.change, now_ms)  # raises now, not when the status ends
        mutation = put_row(_STREAM_ROW, msgspec.structs.replace(record, due_ms=now_ms + wait_ms))
        self.apply(mutation)
        return [mutation]

    def _end(self, record: StreamRecord, now_ms: int) -> list[Mutation]:
        """Ends CREATING or UPDATING, and does the change of shards that it was for."""
        rows, closed = self._reshaped(record.change, now_ms)
        record = msgspec.structs.replace(self._status(record, "done"), due_ms=0, change=None)
        mutations = [put_row(_STREAM_ROW, record), *rows]
        for row in mutations:
            self.apply(row)
        self.fresh.update(closed)
        return mutations

    def _reshaped(self, change: Change | None, now_ms: int) -> tuple[list[Mutation], list[int]]:
        """The rows of a change of shards, and which it closes. Raises LimitExceeded."""
        if change is None:
            return [], []
        resharding = Resharding(self._shards, self.ranges.owners, self._next_ordinal, now_ms)
        return resharding.carry_out(change), resharding.closed

    # Shards

    def check_split(self, text: str, at: str, now_ms: int) -> tuple[Shard, int]:
        """The shard and the hash key of a split. Raises NotFound, Conflict, InvalidParameter."""
        self.require("ACTIVE")
        self._require_mode(PROVISIONED, "SplitShard")
        shard = self._find_open(text, now_ms)
        key = read_hash_key(at)
        if key is None or not shard.first_hash + 1 < key <= shard.last_hash:
            raise InvalidParameter(
                "hash_key",
                f"NewStartingHashKey {at} used in SplitShard() on shard {shard.id} in stream "
                f"{self.name} under account {self.account} is not both greater than one plus the "
                f"shard's StartingHashKey {shard.first_hash} and less than the shard's "
                f"EndingHashKey {shard.last_hash}.",
                at,
            )
        return shard, key

    def split(self, text: str, at: str, now_ms: int) -> Outcome[None]:
        """Splits a shard in two; the second begins at the hash key `at`. See `check_split`."""
        shard, key = self.check_split(text, at, now_ms)
        change = Change("split", shards=(shard.ordinal,), hash_key=key.to_bytes(16, "big"))
        return self._reshard(change, now_ms)

    def merge(self, text: str, adjacent: str, now_ms: int) -> Outcome[None]:
        """Makes one shard of two whose hash keys follow each other, in either order. Raises
        NotFound, Conflict, InvalidParameter.
        """
        self.require("ACTIVE")
        self._require_mode(PROVISIONED, "MergeShards")
        pair = (self._find_open(text, now_ms), self._find_open(adjacent, now_ms))
        low, high = sorted(pair, key=lambda shard: shard.first_hash)
        if low.last_hash + 1 != high.first_hash:
            raise InvalidParameter(
                "shard",
                f"Shards {pair[0].id} and {pair[1].id} in stream {self.name} under account "
                f"{self.account} are not an adjacent pair of shards eligible for merging",
                adjacent,
            )
        return self._reshard(Change("merge", shards=(pair[0].ordinal, pair[1].ordinal)), now_ms)

    def update_shard_count(self, count: int, now_ms: int) -> Outcome[None]:
        """Makes `count` open shards of equal size, at most twice and at least half as many as
        there are. Raises Conflict, InvalidParameter.
        """
        self.require("ACTIVE")
        self._require_mode(PROVISIONED, "UpdateShardCount")
        now_open = self.open_shards
        counts = f"Current open shard count: {now_open} Target shard count: {count}"
        if count > 2 * now_open:
            raise InvalidParameter(
                "count",
                "UpdateShardCount cannot scale up over double your current open shard count. "
                + counts,
                count,
            )
        if 2 * count < now_open:
            raise InvalidParameter(
                "count",
                "UpdateShardCount cannot scale down below half your current open shard count. "
                + counts,
                count,
            )
        updates = self._count_update(
            self._record.count_updates,
            self._quotas.stream_updates_per_day or limits.SHARD_COUNT_UPDATES_MAX,
            now_ms,
        )
        record = msgspec.structs.replace(self._record, count_updates=updates)
        return self._reshard(Change("count", count), now_ms, record)

    def _reshard(
        self, change: Change, now_ms: int, record: StreamRecord | None = None
    ) -> Outcome[None]:
        record = msgspec.structs.replace(record or self._record, change=change)
        return Outcome(None, tuple(self._begin(self._status(record, "change"), now_ms)))

    def _find_open(self, text: str, now_ms: int) -> Shard:
        shard = self.find_shard(text, now_ms)
        if not shard.is_open:
            raise InvalidParameter(
                "shard",
                f"Shard {shard.id} in stream {self.name} under account {self.account} has already "
                "been merged or split, and thus is not eligible for merging or splitting.",
                text,
            )
        return shard

    def _require_mode(self, mode: str, operation: str) -> None:
        if self._record.spec.mode != mode:
            raise InvalidParameter(
                "mode",
                f"Request is invalid. Stream {self.name} under account {self.account} is in "
                f"{self._record.spec.mode.replace('_', '-').title()} mode, which does not allow "
                f"{operation}.",
                self._record.spec.mode,
            )

    # Records

    def put_records(
        self, entries: Sequence[RecordEntry], now_ms: int
    ) -> Outcome[list[Appended | Refused]]:
        """Appends records in the order given; the value has one result per record. Only a shard's
        quota refuses single records.

        Raises NotFound while it is CREATING or DELETING, InvalidParameter for a record that no
        stream, or not this one, could take.
        """
        self._require_data()
        ranges = self.ranges
        firsts, owners = ranges.firsts, ranges.owners
        is_metered = self._is_metered
        if is_metered:  # a batch that is refused as a whole uses no quota up
            for entry in entries:
                self._measure(entry)
        groups: dict[int, _Group] = {}
        results: list[Appended | Refused] = []
        for entry in entries:
            size, at = self._measure(entry)
            shard = owners[bisect_right(firsts, at) - 1]
            if is_metered and not self._admit_write(shard, size, now_ms):
                results.append(Refused(_TOO_FAST, str(self.too_fast(shard))))
                continue
            group = groups.get(shard.ordinal)
            if group is None:
                group = groups[shard.ordinal] = _Group(shard, now_ms)
            group.keys.append(entry.partition_key)
            group.data.append(entry.data)
            group.size += size
            results.append(Appended(str(group.value), shard.id))
            group.value += STEP
        for group in groups.values():
            _check_number(group.shard, len(group.data))
        mutations: list[Mutation] = []
        for group in groups.values():
            self._append(group, mutations)
        return Outcome(results, tuple(mutations))

    def put_record(
        self, entry: RecordEntry, sequence_for_ordering: str | None, now_ms: int
    ) -> Outcome[Appended]:
        """Appends one record. Its sequence number is greater than any given before it in its shard,
        so than `sequence_for_ordering`, which only has to be one of a stream's.

        Raises what `put_records` raises, and ThroughputExceeded.
        """
        if sequence_for_ordering is not None:
            self._require_data()
            self._check_ordering(sequence_for_ordering, now_ms)
        outcome = self.put_records((entry,), now_ms)
        (result,) = outcome.value
        if isinstance(result, Refused):
            raise self.too_fast(self.ranges.owner(self._measure(entry)[1]))
        return Outcome(result, outcome.mutations)

    def refusal(self, parcel: Parcel) -> str | None:
        """Why a parcel can not be taken; None when it can."""
        if self._record.status in ("CREATING", "DELETING"):
            return f"Stream {self.name} is {self._record.status}."
        try:
            self._measure(RecordEntry(parcel.body.encode(), parcel.group_id or _ANY_KEY))
        except UnicodeEncodeError:
            return "Its text is not valid Unicode."
        except InvalidParameter as error:
            return error.reason
        return None

    def accept(self, parcel: Parcel, now_ms: int) -> Outcome[None]:
        """Appends what a bus delivers. Its message group is the partition key; a parcel without
        one has a key of its own. Quotas do not hold here: nobody could try again.
        """
        key = self._parcel_key(parcel)
        data = parcel.body.encode()
        group = _Group(self.ranges.owner(hash_key(key)), now_ms)
        _check_number(group.shard, 1)
        group.keys.append(key)
        group.data.append(data)
        group.size = len(data) + len(key.encode())
        mutations: list[Mutation] = []
        self._append(group, mutations)
        return Outcome(None, tuple(mutations))

    def _parcel_key(self, parcel: Parcel) -> str:
        return parcel.group_id or format_uuid(self._ids.unique_id())

    def _append(self, group: _Group, mutations: list[Mutation]) -> None:
        shard, arrived_ms = group.shard, group.arrived_ms
        keys, data = group.keys, group.data
        cuts = (
            cut(keys, data)
            if group.size > limits.BLOCK_BYTES_MAX or len(data) > limits.BLOCK_RECORDS_MAX
            else [(0, len(data))]
        )
        is_encrypted = self._record.spec.encryption_key is not None
        first = shard.next_number
        for begin, end in cuts:
            block = Block(first + begin, arrived_ms, is_encrypted, keys[begin:end], data[begin:end])
            key = block_key(shard.ordinal, first + end - 1)
            mutations.append(Mutation(key, encode_record(block), None, True))
        mark = shard.mark_row(arrived_ms, self._record.spec.retention_ms)
        tail = shard.tail_row(len(data), group.size, arrived_ms)
        is_first = shard.first_number == first
        if mark is not None:
            mutations.append(mark)
            self.apply(mark)
        mutations.append(tail)
        self.apply(tail)
        if is_first or mark is not None:
            self._trims.add(shard, self._retention)
        if self._record.spec.mode == ON_DEMAND:
            shard.window_records += len(data)
            shard.window_bytes += group.size
            if self._window_ms is None:
                self._window_ms = arrived_ms + limits.ON_DEMAND_WINDOW_MS
        self.fresh.add(shard.ordinal)

    def _explicit(self, text: str) -> int:
        key = read_hash_key(text)
        if key is None:
            raise InvalidParameter(
                "explicit_hash_key",
                f"Invalid ExplicitHashKey. ExplicitHashKey must be in the range: [0, 2^128-1]. "
                f"Specified value was {text}",
                text,
            )
        return key

    def _measure(self, entry: RecordEntry) -> tuple[int, int]:
        """The size and the hash key of a record. Raises InvalidParameter for one that this stream
        can not take.
        """
        key = entry.partition_key
        if not 0 < len(key) <= limits.PARTITION_KEY_CHARACTERS_MAX:
            raise InvalidParameter(
                "partition_key",
                f"Must be 1 to {limits.PARTITION_KEY_CHARACTERS_MAX} characters.",
                key,
            )
        try:
            size = len(entry.data) + (len(key) if key.isascii() else len(key.encode()))
        except UnicodeEncodeError:
            raise InvalidParameter("partition_key", "Must be valid Unicode.", key) from None
        most = self._record.spec.record_bytes_max
        if size > most:
            raise InvalidParameter(
                "data", f"A record of {size} bytes is over the stream's {most} bytes.", size
            )
        explicit = entry.explicit_hash_key
        return size, hash_key(key) if explicit is None else self._explicit(explicit)

    def _check_ordering(self, text: str, now_ms: int) -> None:
        parsed = parse_sequence_number(text)
        if parsed is None or parsed.arrived_s > now_ms // 1000:
            raise InvalidParameter(
                "sequence_for_ordering",
                f"ExclusiveMinimumSequenceNumber {text} used in PutRecord on stream {self.name} "
                f"under account {self.account} is invalid.",
                text,
            )

    # Quotas of shards

    @property
    def _is_metered(self) -> bool:
        quotas = self._quotas
        return (quotas.shard_write_bytes_per_s or quotas.shard_write_records_per_s) is not None

    def _admit_write(self, shard: Shard, size: int, now_ms: int) -> bool:
        if shard.writes is None:
            quotas = self._quotas
            shard.writes = WriteMeter(
                quotas.shard_write_bytes_per_s, quotas.shard_write_records_per_s
            )
        return shard.writes.admit(size, now_ms)

    def admit_read(self, shard: Shard, now_ms: int) -> None:
        """Counts a GetRecords before it reads. Raises ThroughputExceeded."""
        quotas = self._quotas
        if quotas.shard_read_bytes_per_s is None and quotas.shard_read_calls_per_s is None:
            return
        if shard.reads is None:
            shard.reads = ReadMeter(quotas.shard_read_bytes_per_s, quotas.shard_read_calls_per_s)
        if not shard.reads.admit(now_ms):
            raise self.too_fast(shard)

    def count_read(self, shard: Shard, size: int) -> None:
        """Counts what an admitted GetRecords has read, in bytes."""
        if shard.reads is not None:
            shard.reads.count(size)

    def too_fast(self, shard: Shard) -> ThroughputExceeded:
        """The error of a shard whose quota is used up."""
        return ThroughputExceeded(shard.id, self.name, self.account)

    # Time

    def next_deadline(self) -> int | None:
        """The end of a status, of an on-demand stream's window, or of some records' retention."""
        found = []
        trim_ms = self._trims.deadline_ms(self._retention)
        if trim_ms is not None:
            found.append(trim_ms)
        if self._record.due_ms and self._record.status != "DELETING":
            found.append(self._record.due_ms)
        if self._window_ms is not None:
            found.append(self._window_ms)
        return min(found, default=None)

    def tick(self, now_ms: int, limit: int) -> Outcome[None]:
        """Ends a status, lets an on-demand stream grow, takes one slice out of the log."""
        mutations: list[Mutation] = []
        trims: list[Trim] = []
        record = self._record
        if record.due_ms and record.due_ms <= now_ms and record.status != "DELETING":
            mutations += self._end(record, now_ms)
        if self._window_ms is not None and self._window_ms <= now_ms:
            mutations += self._scale(now_ms)
        self._trim(now_ms, limit, mutations, trims)
        return Outcome(None, tuple(mutations), (), tuple(trims))

    def _trim(self, now_ms: int, limit: int, mutations: list[Mutation], trims: list[Trim]) -> None:
        """One slice of one shard's log, and whole shards whose retention is over."""
        retention = self._retention
        for _ in range(limit):
            shard = self._trims.take_due(now_ms, retention, limit)
            if shard is None:
                return
            if shard.first_number < shard.next_number:
                row, trim = shard.trim_step()
                mutations.append(row)
                trims.append(trim)
                self.apply(row)
                self._trims.trimmed(shard, now_ms, retention)
                return
            self._forget(shard, mutations, trims)

    def _forget(self, shard: Shard, mutations: list[Mutation], trims: list[Trim]) -> None:
        """A closed shard whose retention is over goes with all its rows."""
        for family in (SHARD_FAMILY, TAIL_FAMILY, LOG_FAMILY):
            row = delete_row(row_key(family, shard.ordinal))
            mutations.append(row)
            self.apply(row)
        trims.append(Trim(block_key(shard.ordinal, 0), block_key(shard.ordinal, shard.next_number)))

    def _scale(self, now_ms: int) -> list[Mutation]:
        """At the end of an on-demand stream's window: grows to twice what the window needed."""
        shards = self.ranges.owners
        window_s = limits.ON_DEMAND_WINDOW_MS // 1000
        size = sum(shard.window_bytes for shard in shards)
        records = sum(shard.window_records for shard in shards)
        wanted = max(
            -(-2 * size // (window_s * limits.SHARD_WRITE_BYTES_PER_S)),
            -(-2 * records // (window_s * limits.SHARD_WRITE_RECORDS_PER_S)),
        )
        count = min(wanted, 2 * len(shards), limits.SHARDS_PER_STREAM_MAX)
        record = self._record
        is_time = now_ms >= record.scaled_ms + limits.ON_DEMAND_PAUSE_MS
        mutations: list[Mutation] = []
        is_able = record.spec.mode == ON_DEMAND and record.status == "ACTIVE"
        has_ordinals = self._next_ordinal + 2 * count <= ORDINAL_MAX
        if is_able and is_time and has_ordinals and count > len(shards):
            resharding = Resharding(self._shards, shards, self._next_ordinal, now_ms)
            mutations = resharding.grow(count)
            mutations.append(
                put_row(_STREAM_ROW, msgspec.structs.replace(record, scaled_ms=now_ms))
            )
            for row in mutations:
                self.apply(row)
            self.fresh.update(resharding.closed)
        for shard in self.ranges.owners:
            shard.window_records = shard.window_bytes = 0
        self._window_ms = None
        return mutations

    # Enhanced fan-out

    def register_consumer(
        self, name: str, tags: dict[str, str], most: int, now_ms: int
    ) -> Outcome[FanOutConsumer]:
        """Registers an enhanced fan-out consumer. Raises NotFound while the stream is CREATING or
        DELETING, AlreadyExists, LimitExceeded beyond `most`.
        """
        self._require_data()
        mutation, consumer = self.fan_out.register(name, tags, most, now_ms)
        return Outcome(consumer, (mutation,))

    def change_consumer(self, consumer: FanOutConsumer) -> Outcome[None]:
        """Changes a consumer's tags or policy. Raises NotFound."""
        return Outcome(None, (self.fan_out.replace(consumer),))

    def deregister_consumer(self, name: str) -> Outcome[None]:
        """Forgets a consumer. Raises NotFound."""
        return Outcome(None, (self.fan_out.deregister(name),))

    # Rows

    def apply(self, mutation: Mutation) -> None:
        """The only code that changes the stream's durable state."""
        if mutation.key >= LOG_KEY_FIRST:
            return  # a block: nobody keeps it here
        family, number = row_family(mutation.key), row_number(mutation.key)
        if family == TAIL_FAMILY:
            self._apply_tail(number, mutation)
        elif family == LOG_FAMILY:
            self._apply_log(number, mutation)
        elif family == SHARD_FAMILY:
            self._apply_shard(number, mutation)
        elif family == CONSUMER_FAMILY:
            self.fan_out.apply(number, mutation)
        elif mutation.value is not None:
            self._record = mutation.record or decode_stream(mutation.value)
            self._retention = Retention(self._record.spec.retention_ms, self._record.floor_ms)

    def _apply_shard(self, ordinal: int, mutation: Mutation) -> None:
        self._next_ordinal = max(self._next_ordinal, ordinal + 1)
        if mutation.value is None:
            self._shards.pop(ordinal, None)  # a closed one: ranges and plan stand
            return
        self._ranges = None
        self._trims.forget()
        record = mutation.record or decode_shard(mutation.value)
        shard = self._shards.get(ordinal)
        if shard is not None:
            shard.record = record
            return
        shard = self._shards[ordinal] = Shard(ordinal, record)
        for parent in shard.parents:
            if parent in self._shards and ordinal not in self._shards[parent].children:
                self._shards[parent].children.append(ordinal)

    def _apply_tail(self, ordinal: int, mutation: Mutation) -> None:
        shard = self._shards.get(ordinal)
        if shard is None or mutation.value is None:
            return
        if mutation.record is None:
            self._trims.forget()  # a row that came back
        record: TailRecord = mutation.record or decode_tail(mutation.value)
        shard.next_number = record.next_number
        shard.arrived_ms = record.arrived_ms
        shard.log_bytes = record.log_bytes

    def _apply_log(self, ordinal: int, mutation: Mutation) -> None:
        shard = self._shards.get(ordinal)
        if shard is None or mutation.value is None:
            return
        record: LogRecord = mutation.record or decode_log(mutation.value)
        shard.first_number = record.first_number
        shard.marks = record.marks

    def check(self) -> None:
        """Asserts every invariant."""
        if self._record.status in ("ACTIVE", "UPDATING"):
            owners = self.ranges.owners
            assert owners and owners[0].first_hash == 0, "hash keys begin at 0"
            for low, high in pairwise(owners):
                assert low.last_hash + 1 == high.first_hash, "a gap, or two owners"
            assert owners[-1].last_hash == (1 << 128) - 1, "hash keys end at 2**128 - 1"
        for shard in self._shards.values():
            shard.check()
            for parent in shard.parents:
                other = self._shards.get(parent)
                assert other is None or not other.is_open, "a parent that is open"
                assert parent < shard.ordinal
        self._trims.check(self._retention)
        self.fan_out.check()


def _check_number(shard: Shard, count: int) -> None:
    if shard.next_number + count > NUMBER_MAX:
        raise LimitExceeded("number_max", NUMBER_MAX, "records in a shard's life")
