"""Kinesis operations on records: putting, and reading by shard iterator.

Rules of this file:

- These are the hot paths: that a good request to put is good is seen by the stream's taking it,
  which checks hash keys, partition keys and sizes itself. One that is refused, by whomever, is
  looked at by `kinesis_constraints` before that is told: what it breaks there comes first, as on
  AWS.
- Sizes are looked at when the body is large enough for one to be too large.
- PutRecords takes or refuses the request as a whole; only a shard's quota refuses single records.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import repeat
from operator import attrgetter
from typing import Final, NoReturn, cast

from eventcore import limits
from eventcore.api.kinesis_address import stream_of
from eventcore.api.kinesis_answers import (
    GetRecordsAnswer,
    GetShardIteratorAnswer,
    PutRecordAnswer,
    PutRecordsAnswer,
    RecordShape,
    child_shard,
    encode,
    encryption_of,
    seconds,
)
from eventcore.api.kinesis_constraints import check, record_too_large
from eventcore.api.kinesis_faults import dry_run_succeeded, invalid_argument, shard_does_not_exist
from eventcore.api.kinesis_requests import (
    GetRecordsRequest,
    GetShardIteratorRequest,
    PutRecordRequest,
    PutRecordsRequest,
    PutRecordsRequestEntry,
)
from eventcore.api.kinesis_times import past_ms
from eventcore.api.operation import Call
from eventcore.errors import InvalidParameter, NotFound, RequestError
from eventcore.streams.block import BlockSlice
from eventcore.streams.hash_range import read_hash_key
from eventcore.streams.stream import Stream
from eventcore.streams.stream_spec import RecordEntry, Refused, StartingPosition, StartKind
from eventcore.wire.fault import Fault

__all__ = [
    "get_records",
    "get_shard_iterator",
    "put_record",
    "put_records",
    "record_shapes",
    "starting_position",
]

KMS: Final = "KMS"
_BY_NUMBER: Final = ("AT_SEQUENCE_NUMBER", "AFTER_SEQUENCE_NUMBER")
_AT_TIMESTAMP: Final = "AT_TIMESTAMP"
_data_of: Final = attrgetter("data")
_key_of: Final = attrgetter("partition_key")

Entry = PutRecordRequest | PutRecordsRequestEntry


def put_record(call: Call, request: PutRecordRequest) -> bytes:
    """Puts one record."""
    if request.data is None or request.partition_key is None:
        check(request)
    try:
        stream = stream_of(call, request.stream_name, request.stream_arn)
        spec = stream.spec
        if len(call.request.body) > spec.record_bytes_max:
            _check_size(request, "data", spec.record_bytes_max)
        if request.dry_run:
            _try(stream, [request])
        appended = call.engine.streams.put_record(
            stream, _as_record(request), request.sequence_number_for_ordering
        )
    except (RequestError, Fault):
        check(request)
        raise
    answer = PutRecordAnswer(appended.shard_id, appended.sequence_number, encryption_of(spec))
    return encode(call, answer)


def put_records(call: Call, request: PutRecordsRequest) -> bytes:
    """Puts up to 500 records; each goes to its shard, or is refused by its shard's quota."""
    entries = request.records
    if (
        not entries
        or len(entries) > limits.PUT_RECORDS_ENTRIES_MAX
        or None in map(_data_of, entries)
        or None in map(_key_of, entries)
    ):
        check(request)
        assert entries
    try:
        stream = stream_of(call, request.stream_name, request.stream_arn)
        spec = stream.spec
        if len(call.request.body) > spec.record_bytes_max:
            _check_sizes(entries, spec.record_bytes_max)
        if request.dry_run:
            _try(stream, entries)
        results = call.engine.streams.put_records(stream, _as_records(entries))
    except (RequestError, Fault):
        check(request)
        raise
    failed = list(map(type, results)).count(Refused)
    return encode(call, PutRecordsAnswer(failed, results, encryption_of(spec)))


def _as_record(entry: Entry) -> RecordEntry:
    assert entry.data is not None
    assert entry.partition_key is not None
    return RecordEntry(entry.data, entry.partition_key, entry.explicit_hash_key)


def _as_records(entries: list[PutRecordsRequestEntry]) -> Sequence[RecordEntry]:
    """The entries as they are: they have a record's members, and a copy would cost a tenth."""
    return cast("Sequence[RecordEntry]", entries)


def _size(entry: Entry) -> int:
    assert entry.data is not None
    assert entry.partition_key is not None
    return len(entry.data) + len(entry.partition_key.encode())


def _check_size(entry: Entry, place: str, highest: int) -> int:
    """The size of a record. Raises the fault for one that the stream does not take."""
    size = _size(entry)
    if size > highest:
        raise record_too_large(place, highest)
    return size


def _check_sizes(entries: list[PutRecordsRequestEntry], highest: int) -> None:
    """Raises the fault for a record, or for records together, that are too large."""
    sizes = [
        _check_size(entry, f"records.{number}.member.data", highest)
        for number, entry in enumerate(entries, start=1)
    ]
    if sum(sizes) > limits.PUT_RECORDS_BYTES_MAX:
        megabytes = limits.PUT_RECORDS_BYTES_MAX // 1024**2
        raise invalid_argument(f"Records size exceeds {megabytes} MB limit")


def _try(stream: Stream, entries: Sequence[Entry]) -> NoReturn:
    """Raises what is told of records that would be put, or why they would not."""
    if stream.status in ("CREATING", "DELETING"):
        raise NotFound("stream", stream.name)
    for entry in entries:
        text = entry.explicit_hash_key
        if text is not None and read_hash_key(text) is None:
            raise InvalidParameter(
                "explicit_hash_key",
                "Invalid ExplicitHashKey. ExplicitHashKey must be in the range: [0, 2^128-1]. "
                f"Specified value was {text}",
            )
    raise dry_run_succeeded()


# Reading


def get_shard_iterator(call: Call, request: GetShardIteratorRequest) -> bytes:
    """Where reading a shard begins. The iterator can be used for five minutes."""
    assert request.shard_id is not None
    assert request.shard_iterator_type is not None
    stream = stream_of(call, request.stream_name, request.stream_arn)
    start = starting_position(
        request.shard_iterator_type,
        request.starting_sequence_number,
        request.timestamp,
        call.engine.now_ms(),
    )
    try:
        iterator = call.engine.streams.iterator(stream, request.shard_id, start)
    except NotFound as error:
        if error.kind != "shard":
            raise
        raise shard_does_not_exist(request.shard_id, stream.name, stream.account) from error
    if request.dry_run:
        raise dry_run_succeeded()
    return encode(call, GetShardIteratorAnswer(iterator))


def starting_position(
    kind: str, sequence_number: str | None, timestamp: float | None, now_ms: int
) -> StartingPosition:
    """Where to begin, of members whose forms are checked. Raises the fault for what they are
    together.
    """
    needs_number = kind in _BY_NUMBER
    if needs_number is (sequence_number is None):
        given = "no StartingSequenceNumber" if needs_number else "also a StartingSequenceNumber"
        raise invalid_argument(
            "Must either specify (1) AT_SEQUENCE_NUMBER or AFTER_SEQUENCE_NUMBER and "
            "StartingSequenceNumber or (2) TRIM_HORIZON or LATEST and no StartingSequenceNumber. "
            f"Request specified {kind} and {given}."
        )
    if kind != _AT_TIMESTAMP:
        return StartingPosition(cast("StartKind", kind), sequence_number)
    if timestamp is None:
        raise invalid_argument(
            "Must specify timestampInMillis parameter for iterator of type AT_TIMESTAMP. "
            "Current request has no timestamp parameter."
        )
    return StartingPosition("AT_TIMESTAMP", timestamp_ms=past_ms(timestamp, now_ms))


def get_records(call: Call, request: GetRecordsRequest) -> bytes:
    """The next records of a shard, from an iterator on."""
    token, limit = request.shard_iterator, request.limit
    if not token or limit is None or request.stream_arn is not None:
        check(request)
        assert token
    most = limits.GET_RECORDS_MAX if limit is None else limit
    if not 1 <= most <= limits.GET_RECORDS_MAX:
        check(request)
    try:
        page, iterator = call.engine.streams.get_records(token, most, request.stream_arn)
    except NotFound as error:
        if error.kind != "shard":
            raise
        raise shard_does_not_exist(error.name, error.parent, call.account) from error
    if request.dry_run:
        raise dry_run_succeeded()
    children = [child_shard(shard) for shard in page.child_shards]
    answer = GetRecordsAnswer(
        record_shapes(page.slices), page.behind_ms, iterator, children or None
    )
    return encode(call, answer)


def record_shapes(slices: Sequence[BlockSlice]) -> list[RecordShape]:
    """Records as they are told, in order."""
    shapes: list[RecordShape] = []
    for part in slices:
        block, begin, end = part.block, part.begin, part.end
        shapes += map(
            RecordShape,
            part.sequence_numbers(),
            repeat(seconds(block.arrived_ms)),
            block.data[begin:end],
            block.partition_keys[begin:end],
            repeat(KMS if block.is_encrypted else None),
        )
    return shapes
