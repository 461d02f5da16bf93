"""Shows the records of a stream as they arrive, of all its shards at once, until it is interrupted.

    eventcore streams tail clicks
    eventcore streams tail clicks --from TRIM_HORIZON --no-follow --json
    eventcore streams tail clicks --from 2026-01-31T12:00:00Z --shard 3

Each line has the time of arrival (UTC), the shard, the partition key and the beginning of the data;
the whole data with --json. Data that are not UTF-8 are shown as base64. Across resharding it goes
on with the children, once their parents are read to their ends.

Interrupted, it says where to go on. The shards are asked twice a second. What is refused for its
rate is asked again, with growing pauses.

Exit status: 130 when interrupted, 0 when there is nothing to follow, 1 when there is no such stream
or endpoint, or not any more.
"""

from __future__ import annotations

import argparse
import asyncio
import shlex
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final, NamedTuple

from eventcore.bench.client import AwsJsonClient
from eventcore.errors import EventcoreError
from eventcore.patterns.describe import escape_text
from eventcore.server.commands.endpoint_options import (
    add_endpoint_arguments,
    run_against_endpoint,
    write_json,
    write_line,
)
from eventcore.server.commands.streams_calls import (
    Record,
    StartAt,
    StreamClient,
    add_stream_arguments,
    shard_id_of,
    take_region,
)
from eventcore.server.commands.streams_follow import (
    AT_TIMESTAMP,
    LATEST,
    TRIM_HORIZON,
    Follower,
)
from eventcore.server.commands.streams_lines import as_json, record_line, time_text
from eventcore.streams.aggregation import deaggregate

__all__ = ["add_arguments", "run"]

EPOCH_MS_FROM: Final = 100_000_000_000
"""A number from here on is in ms: in seconds it would be in the year 5138."""
SECONDS_MAX: Final = 253_402_300_799


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    add = parser.add_argument
    add_stream_arguments(parser)
    add(
        "--from",
        dest="start",
        metavar="WHERE",
        help="TRIM_HORIZON (the oldest record), LATEST, or a time: ISO 8601, in UTC where it does "
        "not say, or epoch seconds (default LATEST; with --no-follow TRIM_HORIZON)",
    )
    add(
        "--after",
        action="append",
        default=[],
        metavar="SHARD=NUMBER",
        help="begin this shard behind a sequence number; may be given several times",
    )
    add(
        "--shard",
        action="append",
        default=[],
        metavar="ID",
        help="only this shard, not its children; may be given several times",
    )
    add("--no-follow", action="store_true", help="end at the tip of every shard")
    add("--deaggregate", action="store_true", help="show the user records of KPL aggregates")
    add_endpoint_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Runs the command until it is interrupted, or all there is to see was shown."""
    start = _start_of(arguments)
    after = _places(arguments.after)
    if start is None:
        problem = "--from must be TRIM_HORIZON, LATEST, a time as ISO 8601, or epoch seconds"
    elif after is None:
        problem = "--after must be SHARD=NUMBER"
    else:
        take_region(arguments)
        plan = Plan(start, after, tuple(map(shard_id_of, arguments.shard)))
        run_against_endpoint(arguments, lambda client: _tail(client, arguments, plan))
        return 0
    sys.stderr.write(f"eventcore streams tail: {problem}\n")
    return 2


class Plan(NamedTuple):
    """What the command line asks for."""

    start: StartAt
    after: dict[str, str]
    only: tuple[str, ...]


def _start_of(arguments: argparse.Namespace) -> StartAt | None:
    text = arguments.start
    if text is None:
        return StartAt(TRIM_HORIZON if arguments.no_follow else LATEST)
    if text.upper() in (TRIM_HORIZON, LATEST):
        return StartAt(text.upper())
    at_s = _time(text)
    return None if at_s is None else StartAt(AT_TIMESTAMP, at_s=at_s)


def _time(text: str) -> float | None:
    """A time in epoch seconds; None for a text that is none."""
    try:
        at_s = float(text)
        if at_s >= EPOCH_MS_FROM:
            at_s /= 1000
    except ValueError:
        try:
            at = datetime.fromisoformat(text)
        except ValueError:
            return None
        at_s = (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
    return round(at_s, 3) if 0 <= at_s <= SECONDS_MAX else None


def _places(texts: Sequence[str]) -> dict[str, str] | None:
    places = {}
    for text in texts:
        shard, _, number = text.rpartition("=")
        if not shard or not number.isascii() or not number.isdecimal():
            return None
        places[shard_id_of(shard)] = number
    return places


async def _tail(client: AwsJsonClient, arguments: argparse.Namespace, plan: Plan) -> None:
    began_ms = int(time.time() * 1000)
    follower = Follower(
        StreamClient(client, arguments.stream),
        arguments.stream,
        lambda shard_id, records: _show(shard_id, records, arguments),
        start=plan.start,
        after=plan.after,
        only=plan.only,
        follows=not arguments.no_follow,
    )
    try:
        await follower.run()
    except (asyncio.CancelledError, EventcoreError):
        if follower.has_begun:
            command = _command(arguments, plan, follower.seen, began_ms)
            sys.stderr.write(f"go on with: {command}\n")
        raise


def _command(
    arguments: argparse.Namespace, plan: Plan, seen: Mapping[str, str], began_ms: int
) -> str:
    """What shows the records that were not shown yet."""
    start = plan.start.kind
    if start == LATEST:
        start = time_text(began_ms)
    elif plan.start.at_s is not None:
        start = time_text(round(plan.start.at_s * 1000))
    words = ["eventcore", "streams", "tail", arguments.stream, "--from", start]
    for shard_id in plan.only:
        words += ["--shard", shard_id]
    for shard_id, number in seen.items():
        words += ["--after", f"{shard_id}={number}"]
    return escape_text(shlex.join(words))


def _show(shard_id: str, records: Sequence[Record], arguments: argparse.Namespace) -> None:
    """Writes records to standard output."""
    for record in records:
        for sub_number, key, data in _parts(record, deaggregates=arguments.deaggregate):
            if arguments.json:
                number = record.sequence_number
                shown = as_json(record.arrived_ms, shard_id, number, sub_number, key, data)
                write_json(shown)
            else:
                write_line(record_line(record.arrived_ms, shard_id, key, data))
    sys.stdout.flush()


def _parts(record: Record, *, deaggregates: bool) -> Iterator[tuple[int | None, str, bytes]]:
    """The user records of a record, or the record itself."""
    found = deaggregate(record.data) if deaggregates else None
    if found is None:
        yield None, record.partition_key, record.data
        return
    for number, user_record in enumerate(found):
        yield number, user_record.partition_key, user_record.data
