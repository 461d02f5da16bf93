"""Changes the shards of a stream, and waits until the change is made.

    eventcore streams reshard clicks --shards 12
    eventcore streams reshard clicks --split 3
    eventcore streams reshard clicks --merge 4 5

A shard is named by its id, or by the number at its end. --split divides a shard in the middle of
its hash keys, or at the one of --at, with which the second half begins. --shards makes shards of
equal size; one request at most doubles or halves their number, so it is done in steps.

First it shows the open shards as they are and as they will be; with --dry-run that is all.
Interrupted, it leaves the step that is under way to the stream.

Exit status: 0 when the shards are as wanted, 1 when the endpoint refused or was not there or the
change took longer than --timeout, 130 when interrupted.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, NamedTuple

from eventcore import limits
from eventcore.bench.client import AwsJsonClient
from eventcore.errors import Conflict, EventcoreError, InvalidParameter, NotFound
from eventcore.server.commands.endpoint_options import (
    add_endpoint_arguments,
    run_against_endpoint,
    write_json,
    write_line,
)
from eventcore.server.commands.streams_calls import (
    Shard,
    StreamClient,
    StreamSummary,
    add_stream_arguments,
    shard_id_of,
    take_region,
)
from eventcore.server.commands.streams_lines import hash_text, share_text, table
from eventcore.streams.hash_range import read_hash_key, uniform_ranges

__all__ = ["add_arguments", "run"]

TIMEOUT_S_DEFAULT: Final = 600
POLL_FIRST_S: Final = 0.05
POLL_LONGEST_S: Final = 2.0
ACTIVE: Final = "ACTIVE"
BUSY: Final = ("CREATING", "UPDATING")
ON_DEMAND: Final = "ON_DEMAND"
NEW: Final = "new"
ROWS_SHOWN_MAX: Final = 40
HEAD: Final = ("shard", "first hash key", "last hash key", "share")


class Step(NamedTuple):
    """One request of a plan, and how it is told."""

    text: str
    make: Callable[[StreamClient], Awaitable[None]]


class Plan(NamedTuple):
    """Open shards by hash key before and after, and the steps between. New shards have no ids
    yet.
    """

    before: list[Shard]
    after: list[Shard]
    steps: list[Step]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    add = parser.add_argument
    add_stream_arguments(parser)
    add("--shards", type=int, metavar="N", help="make N shards of equal size")
    add("--split", metavar="SHARD", help="make two of a shard")
    add("--at", metavar="HASH", help="first hash key of the second half (default: the middle)")
    add("--merge", nargs=2, metavar=("A", "B"), help="make one of two shards side by side")
    add("--dry-run", action="store_true", help="only show what would be done")
    add(
        "--timeout",
        type=float,
        default=TIMEOUT_S_DEFAULT,
        metavar="SECONDS",
        help=f"for each step (default {TIMEOUT_S_DEFAULT})",
    )
    add_endpoint_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Runs the command; returns its exit status."""
    if problem := _problem(arguments):
        sys.stderr.write(f"eventcore streams reshard: {problem}\n")
        return 2
    take_region(arguments)
    run_against_endpoint(arguments, lambda client: _reshard(client, arguments))
    return 0


def _problem(arguments: argparse.Namespace) -> str | None:
    """What is wrong with the command line."""
    given = [arguments.shards, arguments.split, arguments.merge]
    if sum(one is not None for one in given) != 1:
        return "needs one of --shards, --split and --merge"
    if arguments.shards is not None and not 1 <= arguments.shards <= limits.SHARDS_PER_STREAM_MAX:
        return f"--shards must be 1 to {limits.SHARDS_PER_STREAM_MAX}"
    if arguments.at is not None and arguments.split is None:
        return "--at goes with --split"
    if arguments.at is not None and read_hash_key(arguments.at) is None:
        return "--at must be a hash key: 0 to 2^128-1, in decimal"
    if not arguments.timeout > 0:
        return "--timeout must be above 0"
    return None


async def _reshard(client: AwsJsonClient, arguments: argparse.Namespace) -> None:
    stream = StreamClient(client, arguments.stream)
    summary = await _wait(stream, arguments)
    plan = _plan(summary, await _open_shards(stream), arguments)
    if not arguments.json:
        _show_plan(plan)
    if not plan.steps:
        _say(arguments, "nothing to do: the shards are so already")
    after = plan.before
    if not arguments.dry_run:
        after = await _carry_out(stream, plan, arguments)
    if arguments.json:
        _write_json(summary, plan, plan.after if arguments.dry_run else after, arguments)
    elif plan.steps and not arguments.dry_run:
        write_line("now:")
        _show_shards(after)


async def _carry_out(
    stream: StreamClient, plan: Plan, arguments: argparse.Namespace
) -> list[Shard]:
    """Takes the steps; returns the open shards then."""
    done = 0
    try:
        for step in plan.steps:
            _say(arguments, f"{step.text} ...")
            await step.make(stream)
            await _wait(stream, arguments)
            done += 1
    except asyncio.CancelledError:
        _say(arguments, "interrupted; the step that was begun goes on")
        raise
    except EventcoreError:
        if done:
            _say(arguments, f"{done} of {len(plan.steps)} steps are done")
        raise
    return await _open_shards(stream) if plan.steps else plan.before


async def _wait(stream: StreamClient, arguments: argparse.Namespace) -> StreamSummary:
    """Waits until the stream is ACTIVE. Raises Conflict for one that does not become it."""
    try:
        async with asyncio.timeout(arguments.timeout):
            return await _when_active(stream)
    except TimeoutError:
        detail = f"it is not {ACTIVE} after {arguments.timeout:g} seconds"
        raise Conflict("stream", arguments.stream, detail) from None


async def _when_active(stream: StreamClient) -> StreamSummary:
    pause_s = POLL_FIRST_S
    while True:
        summary = await stream.describe()
        if summary.status == ACTIVE:
            return summary
        if summary.status not in BUSY:
            raise Conflict("stream", summary.name, f"it is {summary.status}")
        await asyncio.sleep(pause_s)
        pause_s = min(2 * pause_s, POLL_LONGEST_S)


async def _open_shards(stream: StreamClient) -> list[Shard]:
    shards = [shard for shard in await stream.list_shards() if shard.is_open]
    return sorted(shards, key=lambda shard: shard.first_hash)


# Plans


def _plan(summary: StreamSummary, shards: list[Shard], arguments: argparse.Namespace) -> Plan:
    """What is to be done. Raises NotFound, Conflict, InvalidParameter."""
    if summary.mode == ON_DEMAND:
        reason = "it is in on-demand mode: its number of shards follows its load"
        raise Conflict("stream", summary.name, reason)
    if arguments.split is not None:
        return _plan_split(summary.name, shards, shard_id_of(arguments.split), arguments.at)
    if arguments.merge is not None:
        first, second = map(shard_id_of, arguments.merge)
        return _plan_merge(summary.name, shards, first, second)
    return _plan_count(shards, arguments.shards)


def _plan_count(shards: list[Shard], count: int) -> Plan:
    if len(shards) == count:
        return Plan(shards, shards, [])
    there = {(shard.first_hash, shard.last_hash): shard for shard in shards}
    after = [there.get(hashes) or _new(*hashes) for hashes in uniform_ranges(count)]
    return Plan(shards, after, [_count_step(*pair) for pair in _counts(len(shards), count)])


def _counts(now: int, wanted: int) -> list[tuple[int, int]]:
    """The pairs of counts, from and to, of the steps: a request at most doubles or halves."""
    pairs = []
    while now != wanted:
        following = min(2 * now, wanted) if wanted > now else max((now + 1) // 2, wanted)
        pairs.append((now, following))
        now = following
    return pairs


def _count_step(before: int, after: int) -> Step:
    return Step(f"{before} -> {after} shards", lambda stream: stream.update_shard_count(after))


def _plan_split(name: str, shards: list[Shard], shard_id: str, at: str | None) -> Plan:
    shard = _find(name, shards, shard_id)
    if shard.last_hash == shard.first_hash:
        raise InvalidParameter("split", f"{shard_id} has one hash key only.", shard_id)
    key = (shard.first_hash + shard.last_hash + 1) // 2 if at is None else int(at)
    if not shard.first_hash < key <= shard.last_hash:
        reason = f"--at must be {shard.first_hash + 1} to {shard.last_hash} for {shard_id}."
        raise InvalidParameter("at", reason, at)
    halves = [_new(shard.first_hash, key - 1), _new(key, shard.last_hash)]
    step = Step(f"split {shard_id} at {key}", lambda stream: stream.split(shard_id, key))
    return Plan(shards, _replaced(shards, [shard], halves), [step])


def _plan_merge(name: str, shards: list[Shard], first_id: str, second_id: str) -> Plan:
    pair = [_find(name, shards, first_id), _find(name, shards, second_id)]
    low, high = sorted(pair, key=lambda shard: shard.first_hash)
    if low.last_hash + 1 != high.first_hash:
        reason = f"{first_id} and {second_id} are not side by side."
        raise InvalidParameter("merge", reason, [first_id, second_id])
    step = Step(
        f"merge {first_id} and {second_id}", lambda stream: stream.merge(first_id, second_id)
    )
    merged = _new(low.first_hash, high.last_hash)
    return Plan(shards, _replaced(shards, pair, [merged]), [step])


def _find(name: str, shards: Sequence[Shard], shard_id: str) -> Shard:
    """An open shard. Raises NotFound."""
    for shard in shards:
        if shard.id == shard_id:
            return shard
    raise NotFound("open shard", shard_id, name)


def _replaced(shards: list[Shard], old: list[Shard], new: list[Shard]) -> list[Shard]:
    kept = [shard for shard in shards if shard not in old]
    return sorted([*kept, *new], key=lambda shard: shard.first_hash)


def _new(first_hash: int, last_hash: int) -> Shard:
    return Shard(NEW, (), first_hash, last_hash, is_open=True)


# Output


def _say(arguments: argparse.Namespace, text: str) -> None:
    if not arguments.json:
        sys.stdout.flush()
        sys.stderr.write(text + "\n")
        sys.stderr.flush()


def _show_plan(plan: Plan) -> None:
    write_line("before:")
    _show_shards(plan.before)
    if plan.steps:
        write_line("\nafter:")
        _show_shards(plan.after)
        write_line("")


def _show_shards(shards: Sequence[Shard]) -> None:
    rows = [
        (shard.id, hash_text(shard.first_hash), hash_text(shard.last_hash), share_text(shard))
        for shard in shards
    ]
    left_out = len(rows) - ROWS_SHOWN_MAX
    write_line(table([HEAD, *rows[:ROWS_SHOWN_MAX]], 1))
    if left_out > 0:
        write_line(f"and {left_out:,} more, {len(rows):,} in all")


def _write_json(
    summary: StreamSummary, plan: Plan, after: Sequence[Shard], arguments: argparse.Namespace
) -> None:
    write_json(
        {
            "stream_arn": summary.arn,
            "is_dry_run": arguments.dry_run,
            "steps": [step.text for step in plan.steps],
            "before": [_as_json(shard) for shard in plan.before],
            "after": [_as_json(shard) for shard in after],
        }
    )


def _as_json(shard: Shard) -> dict[str, Any]:
    """Hash keys as decimal text: they are too large for the numbers of most readers of JSON."""
    return {
        "shard_id": None if shard.id == NEW else shard.id,
        "first_hash_key": str(shard.first_hash),
        "last_hash_key": str(shard.last_hash),
    }
