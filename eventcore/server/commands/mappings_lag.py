"""Shows how far the event source mappings of streams are, lane by lane, and why one is blocked.

    eventcore mappings lag
    eventcore mappings lag 8f1e0b7c-3a52-4f0e-9a4b-0d5c6a1b2c3d

A shard has as many lanes as the mapping's parallelization factor. A lane is "reading"; "blocked" by
a batch that failed and is tried again; "waiting" for the shard's parents; "done" at the end of a
closed shard. "behind" are the records from its position to the tip, "for" is how long the first of
them has been there. "pending" are the batches that failed, with the failures of the first: more
than one where a batch was bisected. "failed" is how long ago the latest failure was.

Positions are those that are stored. Records that belong to other lanes, or that the filter drops,
count until the position has passed them, which may take a thousand of them. Without UUIDs the lanes
of all mappings of streams are shown.

Exit status: 0, or 1 when there is no such mapping or daemon.
"""

from __future__ import annotations

import argparse
import time
from typing import Final

import msgspec

from eventcore.bench.client import AwsJsonClient
from eventcore.errors import InvalidParameter
from eventcore.server.commands.endpoint_options import (
    add_endpoint_arguments,
    run_against_endpoint,
    write_json,
    write_line,
)
from eventcore.server.commands.mappings_calls import (
    function_text,
    is_of_stream,
    lanes_of_mapping,
    mappings,
    source_text,
)
from eventcore.server.commands.streams_lines import age_text, table
from eventcore.server.function_views import LaneView, MappingView

__all__ = ["add_arguments", "run"]

HEAD: Final = ("shard", "lane", "state", "position", "behind", "for", "pending", "failed")
LEFT: Final = 4


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    parser.add_argument("uuids", nargs="*", metavar="UUID", help="default: all of streams")
    add_endpoint_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Runs the command; returns its exit status."""
    run_against_endpoint(arguments, lambda client: _lag(client, arguments))
    return 0


async def _lag(client: AwsJsonClient, arguments: argparse.Namespace) -> None:
    views = await mappings(client, arguments.uuids)
    of_streams = [view for view in views if is_of_stream(view)]
    if arguments.uuids and len(of_streams) < len(views):
        queues = ", ".join(view.uuid for view in views if view not in of_streams)
        reason = f"{queues} is a mapping of a queue, which has no positions"
        raise InvalidParameter("uuid", reason, queues)
    if not of_streams and not arguments.json:
        write_line("no mappings of streams")
    for at, view in enumerate(of_streams):
        lanes = await lanes_of_mapping(client, view.uuid)
        if arguments.json:
            for lane in lanes:
                write_json({"uuid": view.uuid, **msgspec.to_builtins(lane)})
        else:
            _show(view, lanes, is_first=at == 0)


def _show(view: MappingView, lanes: list[LaneView], *, is_first: bool) -> None:
    if not is_first:
        write_line("")
    said = f"{view.state}, {view.result}"
    write_line(f"{view.uuid}  {source_text(view)} -> {function_text(view)}  ({said})")
    now_ms = int(time.time() * 1000)
    rows = [HEAD, *(_row(lane, now_ms) for lane in lanes)]
    for line in (table(rows, LEFT) if lanes else "it has not begun").splitlines():
        write_line(line)


def _row(lane: LaneView, now_ms: int) -> tuple[str, ...]:
    pending = "-"
    if lane.pending:
        failures = lane.pending[0].failures
        pending = f"{len(lane.pending):,} ({failures:,} failed)"
    failed_ms = max(0, now_ms - lane.failed_ms) if lane.failed_ms else None
    return (
        lane.shard_id,
        f"{lane.lane + 1}/{lane.lanes}",
        lane.state,
        lane.sequence_number or "-",
        f"{lane.behind_records:,}",
        age_text(lane.behind_ms if lane.behind_records else None),
        pending,
        age_text(failed_ms),
    )
