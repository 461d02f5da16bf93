"""Lists the functions of a daemon: their kinds, what runs, and what waits to be invoked.

    eventcore functions list

"running" are invocations at this moment, "waiting" asynchronous events that are not done, "oldest"
is how long the oldest of them has waited. "invoked", "failed" and "throttled" count since the start
of the daemon. Without names all functions are listed, of all accounts and regions.

Exit status: 0, or 1 when there is no such function or daemon.
"""

from __future__ import annotations

import argparse
from typing import Final
from urllib.parse import quote

from eventcore.arn import parse_arn
from eventcore.bench.client import AwsJsonClient
from eventcore.limits import BROWSE_QUEUES_MAX
from eventcore.server.commands.endpoint_options import (
    FUNCTIONS_PATH,
    add_endpoint_arguments,
    look_inside,
    run_against_endpoint,
    write_json,
    write_line,
)
from eventcore.server.commands.functions_calls import FunctionClient
from eventcore.server.commands.streams_lines import age_text, table
from eventcore.server.function_views import (
    FunctionView,
    decode_function_view,
    decode_functions_page,
)

__all__ = ["add_arguments", "run"]

HEAD: Final = (
    "function",
    "kind",
    "runtime",
    "handler",
    "running",
    "waiting",
    "oldest",
    "invoked",
    "failed",
    "throttled",
)
LEFT: Final = 4


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    parser.add_argument(
        "functions", nargs="*", metavar="NAME", help="name or ARN (default: all functions)"
    )
    add_endpoint_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Runs the command; returns its exit status."""
    run_against_endpoint(arguments, lambda client: _list(client, arguments))
    return 0


async def _list(client: AwsJsonClient, arguments: argparse.Namespace) -> None:
    if arguments.functions:
        views = [await _view(client, name) for name in arguments.functions]
    else:
        views = await _all(client)
    if arguments.json:
        for view in views:
            write_json(view)
    else:
        for line in _render(views).splitlines():
            write_line(line)


async def _view(client: AwsJsonClient, name: str) -> FunctionView:
    arn = parse_arn((await FunctionClient(client, name).configuration()).arn)
    own = quote(arn.resource.removeprefix("function:"), safe="")
    path = f"{FUNCTIONS_PATH}/{arn.account}/{arn.region}/{own}"
    return await look_inside(client, path, decode_function_view)


async def _all(client: AwsJsonClient) -> list[FunctionView]:
    views: list[FunctionView] = []
    after: str | None = ""
    while after is not None:
        query = f"?max={BROWSE_QUEUES_MAX}&after={quote(after, safe='')}"
        page = await look_inside(client, FUNCTIONS_PATH + query, decode_functions_page)
        views += page.functions
        after = page.next
    return views


def _render(views: list[FunctionView]) -> str:
    """The table. Functions have their names where all are of one account and region, else ARNs."""
    if not views:
        return "no functions"
    is_one_place = len({(view.account, view.region) for view in views}) == 1
    return table([HEAD, *(_row(view, is_one_place=is_one_place) for view in views)], LEFT)


def _row(view: FunctionView, *, is_one_place: bool) -> tuple[str, ...]:
    events = view.events
    waiting = events.waiting + events.ready + events.attempting
    running = f"{view.running:,}"
    if view.reserved is not None:
        running += f"/{view.reserved:,}"
    return (
        view.name if is_one_place else view.arn,
        view.kind if view.is_runnable else f"{view.kind}, not there",
        view.runtime or "-",
        view.handler or "-",
        running,
        f"{waiting:,}",
        age_text(events.oldest_age_ms if waiting else None),
        f"{view.counts.invocations:,}",
        f"{view.counts.errors:,}",
        f"{view.counts.throttles:,}",
    )
