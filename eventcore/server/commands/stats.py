"""Shows the queues of a daemon: how many messages each holds, in which state, and how old they are.

    eventcore stats
    eventcore stats orders payments --watch 2

Without names it shows all queues, of all accounts and regions. The quiet counts leave out the
messages of noisy groups (fair queues). Exit status: 0, or 1 when there is no such queue or daemon,
or 130 when --watch was interrupted.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from typing import Final
from urllib.parse import quote

from eventcore.bench.client import AwsJsonClient
from eventcore.limits import BROWSE_QUEUES_MAX
from eventcore.server.commands.endpoint_options import (
    QUEUES_PATH,
    add_endpoint_arguments,
    door_path_of,
    look_inside,
    run_against_endpoint,
    write_json,
)
from eventcore.server.queue_views import QueueView, decode_queue_view, decode_queues_page

__all__ = ["add_arguments", "render", "run"]

HEAD: Final = (
    "queue",
    "visible",
    "in flight",
    "delayed",
    "oldest",
    "noisy",
    "quiet: visible",
    "in flight",
    "delayed",
    "moving",
)
CLEAR: Final = "\x1b[H\x1b[J"
_UNITS: Final = ((86_400_000, "d"), (3_600_000, "h"), (60_000, "min"), (1_000, "s"))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    add = parser.add_argument
    add("queues", nargs="*", metavar="QUEUE", help="name, URL or ARN (default: all queues)")
    add("--watch", type=float, metavar="SECONDS", help="again and again, at this interval")
    add_endpoint_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Runs the command; returns its exit status."""
    if arguments.watch is not None and not arguments.watch > 0:
        sys.stderr.write("eventcore stats: --watch must be above 0\n")
        return 2
    run_against_endpoint(arguments, lambda client: _show(client, arguments))
    return 0


async def _show(client: AwsJsonClient, arguments: argparse.Namespace) -> None:
    paths = [await door_path_of(client, queue) for queue in arguments.queues]
    while True:
        if paths:
            views = [await look_inside(client, path, decode_queue_view) for path in paths]
        else:
            views = await _all_queues(client)
        _write(views, arguments)
        if arguments.watch is None:
            return
        await asyncio.sleep(arguments.watch)


async def _all_queues(client: AwsJsonClient) -> list[QueueView]:
    views: list[QueueView] = []
    after: str | None = ""
    while after is not None:
        query = f"?max={BROWSE_QUEUES_MAX}&after={quote(after, safe='')}"
        page = await look_inside(client, QUEUES_PATH + query, decode_queues_page)
        views += page.queues
        after = page.next
    return views


def _write(views: list[QueueView], arguments: argparse.Namespace) -> None:
    if arguments.json:
        for view in views:
            write_json(view)
    else:
        is_repainted = arguments.watch is not None and sys.stdout.isatty()
        sys.stdout.write((CLEAR if is_repainted else "") + render(views) + "\n")
    sys.stdout.flush()


def render(views: list[QueueView]) -> str:
    """The table. Queues have their names where all are of one account and region, else ARNs."""
    if not views:
        return "no queues"
    is_one_place = len({(view.account, view.region) for view in views}) == 1
    rows = [HEAD, *(_row(view, is_one_place=is_one_place) for view in views)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEAD))]
    return "\n".join(
        "  ".join(
            [
                row[0].ljust(widths[0]),
                *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)),
            ]
        )
        for row in rows
    )


def _row(view: QueueView, *, is_one_place: bool) -> tuple[str, ...]:
    task = view.move_task
    return (
        view.name if is_one_place else view.arn,
        f"{view.visible:,}",
        f"{view.in_flight:,}",
        f"{view.delayed:,}",
        _age(view.oldest_age_ms),
        f"{view.noisy_groups:,}",
        f"{view.quiet_visible:,}",
        f"{view.quiet_in_flight:,}",
        f"{view.quiet_delayed:,}",
        "-" if task is None else f"{task.moved:,}/{task.to_move:,}",
    )


def _age(age_ms: int) -> str:
    """In the largest unit of which it has two; a dash where there is no message."""
    for unit_ms, name in _UNITS:
        if age_ms >= 2 * unit_ms:
            return f"{age_ms // unit_ms} {name}"
    return f"{age_ms} ms" if age_ms else "-"
