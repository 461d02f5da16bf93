"""Shows messages as they arrive in a queue, without receiving them, until it is interrupted.

    eventcore tail orders
    eventcore tail orders -n 10

With -n it begins with those of the last N messages sent that are still there. The daemon is asked
twice a second; a message that was received and deleted in between is not seen. Exit status: 130
when interrupted, 1 when there is no such queue or daemon, or not any more.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from typing import Final

from eventcore.bench.client import AwsJsonClient
from eventcore.limits import BROWSE_MESSAGES_MAX
from eventcore.server.commands.endpoint_options import (
    add_endpoint_arguments,
    door_path_of,
    look_inside,
    run_against_endpoint,
)
from eventcore.server.commands.message_lines import write_message
from eventcore.server.queue_views import decode_messages_page

__all__ = ["add_arguments", "run"]

POLL_S: Final = 0.5
"""Between two looks, as long as nothing comes."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    add = parser.add_argument
    add("queue", help="name, URL or ARN")
    add(
        "-n",
        type=int,
        default=0,
        metavar="N",
        dest="last",
        help="begin with the last N messages (default 0)",
    )
    add_endpoint_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Runs the command until it is interrupted; returns the exit status of a wrong command line."""
    if arguments.last < 0:
        sys.stderr.write("eventcore tail: -n must not be negative\n")
        return 2
    return run_against_endpoint(arguments, lambda client: _follow(client, arguments))


async def _follow(client: AwsJsonClient, arguments: argparse.Namespace) -> int:
    path = await door_path_of(client, arguments.queue)
    start, created_ms = f"last={arguments.last}", None
    while True:
        query = f"?{start}&max={BROWSE_MESSAGES_MAX}"
        page = await look_inside(client, f"{path}/messages{query}", decode_messages_page)
        if created_ms not in (None, page.created_ms):
            start, created_ms = "after=-1", page.created_ms  # another queue: its numbers begin anew
            continue
        for message in page.messages:
            write_message(message, as_json=arguments.json)
        sys.stdout.flush()
        start, created_ms = f"after={page.next}", page.created_ms
        if page.is_end:
            await asyncio.sleep(POLL_S)
