"""Moves the messages of a dead-letter queue back to where they came from, or to another queue, by a
message move task of the daemon.

    eventcore redrive orders-dead
    eventcore redrive orders-dead --to orders --rate 50

It shows the task's progress until the task ends. What is in flight or delayed when its turn comes
stays. Interrupted, it leaves the task to the daemon, which goes on with it, unless
--cancel-on-interrupt is given.

Exit status: 0 when the task is completed (with --no-wait: started), 1 when it failed or was
cancelled, or when the endpoint refused or was not there, 130 when interrupted.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from typing import Final

from eventcore.bench import calls
from eventcore.bench.client import AwsJsonClient
from eventcore.bench.progress import Progress
from eventcore.errors import NotFound
from eventcore.server.commands.endpoint_options import (
    add_endpoint_arguments,
    arn_of,
    run_against_endpoint,
    write_json,
)

__all__ = ["add_arguments", "run"]

POLL_FIRST_S: Final = 0.05
POLL_LONGEST_S: Final = 1.0
COMPLETED: Final = "COMPLETED"
UNFINISHED: Final = ("RUNNING", "CANCELLING")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    add = parser.add_argument
    add("queue", help="the dead-letter queue: name, URL or ARN")
    add("--to", metavar="QUEUE", help="name, URL or ARN (default: where each message came from)")
    add("--rate", type=int, metavar="N", help="at most N messages per second (1 to 500)")
    add(
        "--wait",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="show the progress until the task ends (the default), or only start it",
    )
    add("--cancel-on-interrupt", action="store_true", help="cancel the task on Ctrl-C")
    add_endpoint_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Runs the command; returns its exit status."""
    return run_against_endpoint(arguments, lambda client: _redrive(client, arguments))


async def _redrive(client: AwsJsonClient, arguments: argparse.Namespace) -> int:
    source = await arn_of(client, arguments.queue)
    target = None if arguments.to is None else await arn_of(client, arguments.to)
    starting = asyncio.ensure_future(calls.start_move(client, source, target, arguments.rate))
    try:
        handle = await asyncio.shield(starting)
        if not arguments.wait:
            _show_handle(handle, as_json=arguments.json)
            return 0
        task = await _follow(client, source, handle, arguments)
    except asyncio.CancelledError:  # Ctrl-C; the second one ends this, too
        await _leave(client, await starting, arguments)
        raise
    return _tell(task, arguments)


def _show_handle(handle: str, *, as_json: bool) -> None:
    if as_json:
        write_json({"task_handle": handle})
    else:
        sys.stdout.write(handle + "\n")


async def _follow(
    client: AwsJsonClient, source: str, handle: str, arguments: argparse.Namespace
) -> calls.MoveTask:
    """Shows the task's progress until it ends; returns it as it ended."""
    task = _find(await calls.list_moves(client, source), handle, None)
    pause_s = POLL_FIRST_S
    title, total = f"redrive {arguments.queue}", max(task.to_move or 0, 1)
    with Progress(title, total, silent=arguments.json) as progress:
        while task.status in UNFINISHED:
            progress.update(task.moved, _count(task))
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, POLL_LONGEST_S)
            task = _find(await calls.list_moves(client, source), handle, task.started_ms)
        progress.update(task.moved, _count(task))
    return task


def _find(tasks: list[calls.MoveTask], handle: str, started_ms: int | None) -> calls.MoveTask:
    """Our task. Its handle is told as long as it runs; then its start tells it from others, or, if
    it was never seen running, that it is the newest that does not run.
    """
    for task in tasks:
        is_ours = task.handle == handle if task.status in UNFINISHED else True
        if is_ours and started_ms in (None, task.started_ms):
            return task
    raise NotFound("message move task", handle)


async def _leave(client: AwsJsonClient, handle: str, arguments: argparse.Namespace) -> None:
    """Says what becomes of the task, or cancels it."""
    if arguments.cancel_on_interrupt:
        moved = await calls.cancel_move(client, handle)
        sys.stderr.write(f"cancelled; {moved:,} messages had been moved\n")
    else:
        sys.stderr.write("interrupted; the task goes on\n")


def _tell(task: calls.MoveTask, arguments: argparse.Namespace) -> int:
    """Writes how the task ended; returns the exit status."""
    if arguments.json:
        write_json(
            {
                "status": task.status,
                "moved": task.moved,
                "to_move": task.to_move,
                "failure": task.failure,
                "started_ms": task.started_ms,
            }
        )
    elif task.status == COMPLETED:
        sys.stderr.write(f"{_count(task)} moved\n")
    if task.status == COMPLETED:
        return 0
    reason = f": {task.failure}" if task.failure else ""
    line = f"the task is {task.status.lower()}{reason}; {_count(task)} moved"
    sys.stderr.write(f"eventcore redrive: {line}\n")
    return 1


def _count(task: calls.MoveTask) -> str:
    of = "" if task.to_move is None else f" of {task.to_move:,}"
    return f"{task.moved:,}{of} messages"
