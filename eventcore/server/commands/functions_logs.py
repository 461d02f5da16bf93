"""Shows the latest lines that a function wrote, with the START, END and REPORT lines of its
invocations.

    eventcore functions logs resize
    eventcore functions logs resize --follow

The daemon keeps a thousand lines of each function, in memory: a restart forgets them. It has the
lines of functions in worker processes. With --follow it goes on until it is interrupted, and asks
twice a second.

Exit status: 0, or 130 when --follow was interrupted, or 1 when there is no such function or
daemon.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from typing import Final
from urllib.parse import quote

from eventcore.arn import parse_arn
from eventcore.bench.client import AwsJsonClient
from eventcore.server.commands.endpoint_options import (
    FUNCTIONS_PATH,
    add_endpoint_arguments,
    look_inside,
    run_against_endpoint,
    write_json,
    write_line,
)
from eventcore.server.commands.functions_calls import (
    FunctionClient,
    add_function_argument,
    log_text,
    take_region,
)
from eventcore.server.commands.streams_lines import time_text
from eventcore.server.function_views import LogsPage, decode_logs_page

__all__ = ["add_arguments", "run"]

POLL_S: Final = 0.5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    add_function_argument(parser)
    parser.add_argument("--follow", "-f", action="store_true", help="go on with what comes")
    add_endpoint_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Runs the command; returns its exit status."""
    take_region(arguments)
    run_against_endpoint(arguments, lambda client: _logs(client, arguments))
    return 0


async def _logs(client: AwsJsonClient, arguments: argparse.Namespace) -> None:
    configuration = await FunctionClient(client, arguments.function).configuration()
    arn = parse_arn(configuration.arn)
    name = quote(arn.resource.removeprefix("function:"), safe="")
    path = f"{FUNCTIONS_PATH}/{arn.account}/{arn.region}/{name}/logs"
    after = -1
    while True:
        page = await look_inside(client, f"{path}?after={after}", decode_logs_page)
        _write(page, arguments)
        if page.next < after:
            after = -1  # it has begun anew: its lines have not been shown
            continue
        is_over = page.next == after
        after = page.next
        if is_over:
            if not arguments.follow:
                return
            await asyncio.sleep(POLL_S)


def _write(page: LogsPage, arguments: argparse.Namespace) -> None:
    for line in page.lines:
        if arguments.json:
            write_json(line)
        else:
            write_line(f"{time_text(line.time_ms)}  {log_text(line.text)}")
    if page.lines:
        sys.stdout.flush()
