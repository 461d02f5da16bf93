"""Receives messages from a queue and prints their bodies, one per line.

    eventcore receive orders --max 10 --wait 5 --delete

Without --delete they become visible again when their visibility timeout is over. With it they are
deleted after they were printed. Exit status: 0 also when there was none, 1 when the endpoint
refused or was not there.
"""

from __future__ import annotations

import argparse
import sys
from typing import Any, Final

from eventcore.bench import calls
from eventcore.bench.client import SQS, AwsJsonClient
from eventcore.server.commands.endpoint_options import (
    add_endpoint_arguments,
    run_against_endpoint,
    url_of,
    write_json,
    write_raw_line,
)

__all__ = ["add_arguments", "run"]

BATCH: Final = 10


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    add = parser.add_argument
    add("queue", help="name or URL")
    add("--max", type=int, default=1, metavar="N", help="at most N messages (default 1)")
    add("--wait", type=int, default=0, metavar="SECONDS", help="for the first one (0 to 20)")
    add("--visibility-timeout", type=int, metavar="SECONDS", help="instead of the queue's")
    add("--attempt-id", metavar="ID", help="of a FIFO queue: repeats a receive of this id")
    add("--delete", action="store_true", help="delete them after printing")
    add_endpoint_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Runs the command; returns its exit status."""
    if arguments.max < 1:
        sys.stderr.write("eventcore receive: --max must be at least 1\n")
        return 2
    if arguments.attempt_id is not None and arguments.max > BATCH:
        sys.stderr.write(f"eventcore receive: --attempt-id goes with --max {BATCH} at the most\n")
        return 2
    run_against_endpoint(arguments, lambda client: _receive_all(client, arguments))
    return 0


async def _receive_all(client: AwsJsonClient, arguments: argparse.Namespace) -> None:
    url = await url_of(client, arguments.queue)
    left = arguments.max
    wait_s = arguments.wait
    while left > 0:
        messages = await _receive(client, url, arguments, min(left, BATCH), wait_s)
        if not messages:
            return
        for message in messages:
            _show(message, as_json=arguments.json)
        sys.stdout.flush()
        if arguments.delete:
            await calls.delete_batch(client, url, [one["ReceiptHandle"] for one in messages])
        if arguments.attempt_id is not None:
            return  # again with the same id, it would be the same messages
        left -= len(messages)
        wait_s = 0


async def _receive(
    client: AwsJsonClient, url: str, arguments: argparse.Namespace, count: int, wait_s: int
) -> list[dict[str, Any]]:
    parameters: dict[str, Any] = {
        "QueueUrl": url,
        "MaxNumberOfMessages": count,
        "WaitTimeSeconds": wait_s,
        "MessageSystemAttributeNames": ["All"],
        "MessageAttributeNames": ["All"],
    }
    if arguments.visibility_timeout is not None:
        parameters["VisibilityTimeout"] = arguments.visibility_timeout
    if arguments.attempt_id is not None:
        parameters["ReceiveRequestAttemptId"] = arguments.attempt_id
    answer = await client.call(SQS, "ReceiveMessage", parameters)
    return answer.get("Messages") or []


def _show(message: dict[str, Any], *, as_json: bool) -> None:
    if not as_json:
        write_raw_line(message["Body"])
        return
    write_json(
        {
            "message_id": message["MessageId"],
            "receipt_handle": message["ReceiptHandle"],
            "body": message["Body"],
            "attributes": message.get("Attributes", {}),
            "message_attributes": message.get("MessageAttributes", {}),
        }
    )
