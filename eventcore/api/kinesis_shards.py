"""Kinesis operations on shards: listing, splitting, merging, changing their number.

A list of shards is of those that can still be read: the open ones, and the closed ones until their
retention is over. Its pages are cut by shard id, so that a page is not wrong because shards came or
went since the one before.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from eventcore import limits
from eventcore.api.kinesis_address import (
    canonical_shard_id,
    require_settled,
    stream_of,
    stream_of_arn,
)
from eventcore.api.kinesis_answers import (
    NOTHING,
    ListShardsAnswer,
    UpdateShardCountAnswer,
    encode,
    shard_shape,
)
from eventcore.api.kinesis_faults import invalid_argument, too_many_shards, validation
from eventcore.api.kinesis_pages import PageToken, check_created, read_token, write_token
from eventcore.api.kinesis_requests import (
    ListShardsRequest,
    MergeShardsRequest,
    SplitShardRequest,
    UpdateShardCountRequest,
)
from eventcore.api.kinesis_times import past_ms, time_ms
from eventcore.api.operation import Call
from eventcore.streams.shard import Shard
from eventcore.streams.stream import Stream
from eventcore.streams.stream_spec import ON_DEMAND

__all__ = ["list_shards", "merge_shards", "split_shard", "update_shard_count"]

LIST_SHARDS: Final = "ListShards"
PAGE_MAX: Final = 1_000
"""Shards on a page, by default and at the most, whatever MaxResults says."""
_AFTER: Final = "AFTER_SHARD_ID"
_BY_TIME: Final = ("AT_TIMESTAMP", "FROM_TIMESTAMP")

Keep = Callable[[Shard], bool]


def list_shards(call: Call, request: ListShardsRequest) -> bytes:
    """A page of a stream's shards, in the order in which they were made."""
    now_ms = call.engine.now_ms()
    if request.next_token is None:
        if request.stream_name is None and request.stream_arn is None:
            raise invalid_argument("Either NextToken or StreamName should be provided.")
        stream = stream_of(call, request.stream_name, request.stream_arn)
        asked = _asked(stream, request, now_ms)
    else:
        _check_alone(request)
        asked = read_token(LIST_SHARDS, request.next_token, now_ms)
        stream = stream_of_arn(call, asked.stream_arn)
    check_created(stream, asked.stream_created_ms)
    require_settled(stream)
    shards = stream.shards(now_ms)
    keep = _filter(shards, asked, stream.horizon_ms(now_ms))
    found = [shard for shard in shards if shard.id > asked.after and keep(shard)]
    page = found[: min(PAGE_MAX, request.max_results or PAGE_MAX)]
    token = None
    if len(page) < len(found):
        token = write_token(msgspec.structs.replace(asked, made_ms=now_ms, after=page[-1].id))
    return encode(call, ListShardsAnswer([shard_shape(shard.view()) for shard in page], token))


def _check_alone(request: ListShardsRequest) -> None:
    """A token says all but how many."""
    for name, value in (
        ("StreamName", request.stream_name),
        ("StreamARN", request.stream_arn),
        ("ExclusiveStartShardId", request.exclusive_start_shard_id),
        ("StreamCreationTimestamp", request.stream_creation_timestamp),
        ("ShardFilter", request.shard_filter),
    ):
        if value is not None:
            raise invalid_argument(f"NextToken and {name} cannot be provided together.")


def _asked(stream: Stream, request: ListShardsRequest, now_ms: int) -> PageToken:
    """What a request without a token asks for."""
    asked = PageToken(
        LIST_SHARDS,
        now_ms,
        canonical_shard_id(request.exclusive_start_shard_id or ""),
        stream.arn,
        stream.created_ms
        if request.stream_creation_timestamp is None
        else time_ms(request.stream_creation_timestamp),
    )
    given = request.shard_filter
    if given is None:
        return asked
    filter_ms = None
    if given.type == _AFTER:
        if given.shard_id is None:
            raise invalid_argument(
                f"ShardId must be provided with a shard filter of type {_AFTER}."
            )
        asked = msgspec.structs.replace(
            asked, after=max(asked.after, canonical_shard_id(given.shard_id))
        )
    elif given.type in _BY_TIME:
        if given.timestamp is None:
            raise invalid_argument(
                f"Timestamp must be provided with a shard filter of type {given.type}."
            )
        filter_ms = past_ms(given.timestamp, now_ms)
    return msgspec.structs.replace(asked, filter_type=given.type, filter_ms=filter_ms)


def _filter(shards: Sequence[Shard], asked: PageToken, horizon_ms: int) -> Keep:
    """Which shards a filter lets pass."""
    kind = asked.filter_type
    if kind == "AT_LATEST":
        return lambda shard: shard.is_open
    if kind is None or kind in (_AFTER, "FROM_TRIM_HORIZON"):
        return lambda shard: True
    # A stream younger than its retention has its horizon where its first shards begin.
    first_ms = min((shard.record.created_ms for shard in shards), default=0)
    at_ms = max(horizon_ms, first_ms, asked.filter_ms or 0)
    if kind == "FROM_TIMESTAMP":
        return lambda shard: _is_open_at(shard, at_ms)
    return lambda shard: shard.record.created_ms <= at_ms and _is_open_at(shard, at_ms)


def _is_open_at(shard: Shard, at_ms: int) -> bool:
    """Whether a shard was not closed by then."""
    return shard.is_open or shard.record.closed_ms >= at_ms


def _provisioned(
    call: Call, request: SplitShardRequest | MergeShardsRequest | UpdateShardCountRequest
) -> Stream:
    """The stream whose shards are to change. Raises the fault for one that scales by itself."""
    stream = stream_of(call, request.stream_name, request.stream_arn)
    if stream.spec.mode == ON_DEMAND:
        raise validation(
            f"Request is invalid. Stream {stream.name} under account {stream.account} is in "
            "On-Demand mode."
        )
    return stream


def split_shard(call: Call, request: SplitShardRequest) -> bytes:
    """Splits a shard in two."""
    assert request.shard_to_split is not None
    assert request.new_starting_hash_key is not None
    stream = _provisioned(call, request)
    call.engine.streams.split(stream, request.shard_to_split, request.new_starting_hash_key)
    return NOTHING


def merge_shards(call: Call, request: MergeShardsRequest) -> bytes:
    """Makes one shard of two neighbours."""
    assert request.shard_to_merge is not None
    assert request.adjacent_shard_to_merge is not None
    stream = _provisioned(call, request)
    call.engine.streams.merge(stream, request.shard_to_merge, request.adjacent_shard_to_merge)
    return NOTHING


def update_shard_count(call: Call, request: UpdateShardCountRequest) -> bytes:
    """Splits and merges shards until there are as many as wanted, of equal size."""
    assert request.target_shard_count is not None
    stream = _provisioned(call, request)
    count = stream.open_shards
    if request.target_shard_count > limits.SHARDS_PER_STREAM_MAX:
        raise too_many_shards(count, request.target_shard_count)
    call.engine.streams.update_shard_count(stream, request.target_shard_count)
    answer = UpdateShardCountAnswer(stream.name, count, request.target_shard_count, stream.arn)
    return encode(call, answer)
