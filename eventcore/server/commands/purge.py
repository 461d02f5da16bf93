"""Deletes all messages of a queue, those in flight and delayed ones included.

    eventcore purge orders

On a terminal it asks first, unless --yes is given; elsewhere it needs --yes. Exit status: 0, 1 when
the endpoint refused or was not there or the answer was no, 2 when --yes is missing.
"""

from __future__ import annotations

import argparse
import sys

from eventcore.bench import calls
from eventcore.bench.client import AwsJsonClient
from eventcore.server.commands.endpoint_options import (
    add_endpoint_arguments,
    run_against_endpoint,
    url_of,
    write_json,
)

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    add = parser.add_argument
    add("queue", help="name or URL")
    add("--yes", action="store_true", help="do not ask")
    add_endpoint_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Runs the command; returns its exit status."""
    if not arguments.yes and not sys.stdin.isatty():
        sys.stderr.write("eventcore purge: not on a terminal it needs --yes\n")
        return 2
    is_purged = run_against_endpoint(arguments, lambda client: _purge(client, arguments))
    return 0 if is_purged else 1


async def _purge(client: AwsJsonClient, arguments: argparse.Namespace) -> bool:
    url = await url_of(client, arguments.queue)
    depth = await calls.queue_depth(client, url)
    if not arguments.yes and not _is_confirmed(arguments.queue, depth):
        sys.stderr.write("nothing was deleted\n")
        return False
    await calls.purge_queue(client, url)
    if arguments.json:
        write_json({"queue_url": url, "messages": depth.total})
    else:
        sys.stderr.write(f"{depth.total:,} deleted\n")
    return True


def _is_confirmed(queue: str, depth: calls.QueueDepth) -> bool:
    sys.stderr.write(
        f"Delete all messages of {queue}: {depth.visible:,} visible, {depth.in_flight:,} in flight,"
        f" {depth.delayed:,} delayed? [y/N] "
    )
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")
