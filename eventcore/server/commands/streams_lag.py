"""Shows how old the newest record of every shard is, and how far a consumer group is behind it.

    eventcore streams lag clicks
    eventcore streams lag clicks --group billing

"newest" is the age of the newest record of a shard. For a group, "behind" is how long its oldest
record that is not consumed has been there: 0 when there is none. The group is one that the daemon
keeps.

Records are read for it, and count in the limits of the shards. Exit status: 0, or 1 when there is
no such stream, group or endpoint.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import msgspec

from eventcore import limits
from eventcore.bench.client import AwsJsonClient, CallFailed, ServiceProtocol
from eventcore.codec import encode_json, json_decoder
from eventcore.consumers import checkpoint as checkpoints
from eventcore.consumers.checkpoint import Checkpoint
from eventcore.consumers.records import GroupDescription, LeaseDescription
from eventcore.errors import UnsupportedOperation
from eventcore.runtime.lease_shapes import TARGET_PREFIX, GroupShape
from eventcore.server.commands.endpoint_options import (
    add_endpoint_arguments,
    run_against_endpoint,
    write_json,
    write_line,
)
from eventcore.server.commands.streams_calls import (
    NOT_FOUND,
    Shard,
    StartAt,
    StreamClient,
    add_stream_arguments,
    take_region,
)
from eventcore.server.commands.streams_follow import AFTER, AT_TIMESTAMP, TRIM_HORIZON
from eventcore.server.commands.streams_lines import age_text, table

__all__ = ["add_arguments", "run"]

LEASES: Final = ServiceProtocol("kinesis", TARGET_PREFIX, "application/x-amz-json-1.1")
AT: Final = "AT_SEQUENCE_NUMBER"
NEAR_MS: Final = 1_000
"""Records of so long a time are read to find the newest of them; before that only single ones."""
BACK_FACTOR: Final = 8
PAGES_MAX: Final = 20
PLACE_UNKNOWN: Final = "InvalidArgumentException"
STREAM_HEAD: Final = ("shard", "state", "newest")
GROUP_HEAD: Final = ("shard", "state", "owner", "checkpoint", "newest", "behind")

_decode_group: Final = json_decoder(GroupShape)


class ShardLag(NamedTuple):
    """A shard as it stands. Times are epoch ms and ms; None for no record, and for what is not
    known.
    """

    shard: Shard
    newest_ms: int | None
    lease: LeaseDescription | None
    behind_ms: int | None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    add_stream_arguments(parser)
    parser.add_argument("--group", metavar="NAME", help="a consumer group of the daemon")
    add_endpoint_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Runs the command; returns its exit status."""
    take_region(arguments)
    run_against_endpoint(arguments, lambda client: _lag(client, arguments))
    return 0


async def _lag(client: AwsJsonClient, arguments: argparse.Namespace) -> None:
    stream = StreamClient(client, arguments.stream)
    summary = await stream.describe()
    leases: Mapping[str, LeaseDescription] = {}
    if arguments.group is not None:
        group = await _describe_group(client, summary.arn, arguments.group)
        leases = {lease.shard_id: lease for lease in group.leases}
    shards = await stream.list_shards()
    async with asyncio.TaskGroup() as group_of_tasks:
        looks = [
            group_of_tasks.create_task(_look(stream, shard, leases.get(shard.id)))
            for shard in shards
        ]
    lags = [lag for look in looks if (lag := look.result()) is not None]
    now_ms = _now_ms()
    if arguments.json:
        for lag in lags:
            write_json(_as_json(lag, now_ms, arguments.group))
    else:
        write_line(_render(lags, now_ms, arguments.group))


async def _describe_group(client: AwsJsonClient, stream_arn: str, name: str) -> GroupDescription:
    """The group. Raises CallFailed, and UnsupportedOperation for an endpoint that keeps none."""
    request = encode_json({"StreamARN": stream_arn, "GroupName": name})
    operation = f"{TARGET_PREFIX}.DescribeGroup"
    problem = UnsupportedOperation(client.endpoint_url, operation, "is it an eventcore daemon?")
    try:
        return _decode_group(await client.call_raw(LEASES, "DescribeGroup", request)).read()
    except CallFailed as error:
        if error.code in (NOT_FOUND, "ValidationException") or error.status >= 500:
            raise
        raise problem from error
    except msgspec.DecodeError as error:
        raise problem from error


async def _look(
    stream: StreamClient, shard: Shard, lease: LeaseDescription | None
) -> ShardLag | None:
    """How a shard stands; None for one that vanished meanwhile."""
    try:
        newest_ms = await _newest_ms(stream, shard.id)
        behind_ms = None if lease is None else await _behind_ms(stream, shard.id, lease.checkpoint)
    except CallFailed as error:
        if error.code != NOT_FOUND:
            raise
        await stream.describe()  # raises when it is the stream that is gone
        return None
    return ShardLag(shard, newest_ms, lease, behind_ms)


# Looking into a shard


async def _newest_ms(stream: StreamClient, shard_id: str) -> int | None:
    """When the newest record arrived. No operation tells, so the time from which on there is still
    one is searched: back from now in growing steps, then by halves.
    """
    found_ms = await _first_ms(stream, shard_id, StartAt(TRIM_HORIZON))
    if found_ms is None:
        return None
    now_ms = end_ms = _now_ms()
    back_ms = NEAR_MS
    while (at_ms := now_ms - back_ms) > found_ms:
        arrived_ms = await _first_ms(stream, shard_id, _at(at_ms))
        if arrived_ms is not None:
            found_ms = arrived_ms
            break
        end_ms, back_ms = at_ms, back_ms * BACK_FACTOR
    while end_ms - found_ms > NEAR_MS:
        middle_ms = (found_ms + end_ms) // 2
        arrived_ms = await _first_ms(stream, shard_id, _at(middle_ms))
        if arrived_ms is None:
            end_ms = middle_ms
        else:
            found_ms = arrived_ms
    return await _last_ms(stream, shard_id, found_ms)


async def _first_ms(stream: StreamClient, shard_id: str, start: StartAt) -> int | None:
    """When the first record from a place on arrived; None for none."""
    iterator: str | None = await stream.iterator(shard_id, start)
    while iterator is not None:
        page = await stream.get_records(iterator, 1)
        if page.records:
            return page.records[0].arrived_ms
        iterator = None if page.is_tip else page.next_iterator
    return None


async def _last_ms(stream: StreamClient, shard_id: str, from_ms: int) -> int:
    """When the last record arrived, of those from a time on."""
    iterator: str | None = await stream.iterator(shard_id, _at(from_ms))
    last_ms = from_ms
    for _ in range(PAGES_MAX):
        if iterator is None:
            break
        page = await stream.get_records(iterator, limits.GET_RECORDS_MAX)
        if page.records:
            last_ms = page.records[-1].arrived_ms
        iterator = None if page.is_tip else page.next_iterator
    return last_ms


async def _behind_ms(stream: StreamClient, shard_id: str, place: Checkpoint) -> int | None:
    """For how long the oldest record behind a checkpoint has been there; 0 for none, None for a
    checkpoint that the stream does not know.
    """
    if place.kind == checkpoints.SHARD_END:
        return 0
    try:
        arrived_ms = await _first_ms(stream, shard_id, _start_of(place))
    except CallFailed as error:
        if error.code == PLACE_UNKNOWN:
            return None
        raise
    return 0 if arrived_ms is None else max(0, _now_ms() - arrived_ms)


def _start_of(place: Checkpoint) -> StartAt:
    """Where reading goes on. A record that is consumed in part is not consumed."""
    if place.kind == checkpoints.AFTER_RECORD:
        kind = AFTER if place.sub_sequence_number is None else AT
        return StartAt(kind, place.sequence_number)
    if place.kind == checkpoints.AT_TIMESTAMP:
        return _at(place.timestamp_ms)
    return StartAt(TRIM_HORIZON)


def _at(at_ms: int) -> StartAt:
    return StartAt(AT_TIMESTAMP, at_s=max(0, at_ms) / 1000)


def _now_ms() -> int:
    return int(time.time() * 1000)


# Output


def _render(lags: list[ShardLag], now_ms: int, group: str | None) -> str:
    """The table."""
    if not lags:
        return "no shards"
    rows = [_row(lag, now_ms, is_of_group=group is not None) for lag in lags]
    return table([STREAM_HEAD if group is None else GROUP_HEAD, *rows], 2 if group is None else 4)


def _row(lag: ShardLag, now_ms: int, *, is_of_group: bool) -> tuple[str, ...]:
    shard_id, state, newest = lag.shard.id, _state(lag.shard), age_text(_age(lag, now_ms))
    if not is_of_group:
        return shard_id, state, newest
    owner = "-" if lag.lease is None else lag.lease.owner or "-"
    return shard_id, state, owner, _checkpoint_text(lag) or "-", newest, age_text(lag.behind_ms)


def _as_json(lag: ShardLag, now_ms: int, group: str | None) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "shard_id": lag.shard.id,
        "state": _state(lag.shard),
        "newest_ms": lag.newest_ms,
        "newest_age_ms": _age(lag, now_ms),
    }
    if group is not None:
        shown["group"] = group
        shown["owner"] = None if lag.lease is None else lag.lease.owner or None
        shown["checkpoint"] = _checkpoint_text(lag)
        shown["behind_ms"] = lag.behind_ms
    return shown


def _state(shard: Shard) -> str:
    return "open" if shard.is_open else "closed"


def _age(lag: ShardLag, now_ms: int) -> int | None:
    return None if lag.newest_ms is None else max(0, now_ms - lag.newest_ms)


def _checkpoint_text(lag: ShardLag) -> str | None:
    return None if lag.lease is None else str(lag.lease.checkpoint)
