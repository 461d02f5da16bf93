"""Lists the event source mappings of a daemon: their states, sources and functions, how the latest
batch ended, and what is left to do.

    eventcore mappings list
    eventcore mappings list 8f1e0b7c-3a52-4f0e-9a4b-0d5c6a1b2c3d --json

"left" is what waits: the visible messages of a queue, or the records between the stored positions
and the tips of a stream's shards. "blocked" are lanes of a stream with a batch that failed and is
tried again; `eventcore mappings lag` shows them. Without UUIDs all mappings are listed, of all
accounts and regions.

Exit status: 0, or 1 when there is no such mapping or daemon.
"""

from __future__ import annotations

import argparse
from typing import Final

from eventcore.bench.client import AwsJsonClient
from eventcore.server.commands.endpoint_options import (
    add_endpoint_arguments,
    run_against_endpoint,
    write_json,
    write_line,
)
from eventcore.server.commands.mappings_calls import (
    function_text,
    is_of_stream,
    mappings,
    source_text,
)
from eventcore.server.commands.streams_lines import table
from eventcore.server.function_views import MappingView

__all__ = ["add_arguments", "run"]

HEAD: Final = ("mapping", "state", "source", "function", "last result", "left", "blocked")
LEFT: Final = 5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    parser.add_argument("uuids", nargs="*", metavar="UUID", help="default: all mappings")
    add_endpoint_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Runs the command; returns its exit status."""
    run_against_endpoint(arguments, lambda client: _list(client, arguments))
    return 0


async def _list(client: AwsJsonClient, arguments: argparse.Namespace) -> None:
    views = await mappings(client, arguments.uuids)
    if arguments.json:
        for view in views:
            write_json(view)
    else:
        rows = [HEAD, *map(_row, views)]
        for line in (table(rows, LEFT) if views else "no mappings").splitlines():
            write_line(line)


def _row(view: MappingView) -> tuple[str, ...]:
    if is_of_stream(view):
        left, blocked = f"{view.behind_records:,}", f"{view.blocked_lanes:,}"
    else:
        left, blocked = "-" if view.queue is None else f"{view.queue.visible:,}", "-"
    return (
        view.uuid,
        view.state,
        source_text(view),
        function_text(view),
        view.result,
        left,
        blocked,
    )
