"""Sends messages to a queue: one from the command line or standard input, or one per line of it.

    eventcore send orders '{"id": 1}'
    eventcore send orders --lines < orders.jsonl
    eventcore send orders.fifo --group customer-7 '{"id": 1}'

Exit status: 0 when all are stored, 1 when the endpoint refused one or was not there.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from itertools import islice
from typing import Any, Final

from eventcore.bench.client import SQS, AwsJsonClient, CallFailed
from eventcore.server.commands.endpoint_options import (
    add_endpoint_arguments,
    read_bodies,
    run_against_endpoint,
    url_of,
    write_json,
)

__all__ = ["add_arguments", "run"]

BATCH: Final = 10


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    add = parser.add_argument
    add("queue", help="name or URL")
    add("body", nargs="?", help='the message; standard input without it, or with "-"')
    add("--lines", action="store_true", help="every line of standard input is a message")
    add("--delay", type=int, metavar="SECONDS", help="before it becomes visible (0 to 900)")
    add("--group", "--group-id", metavar="ID", dest="group_id", help="message group")
    add("--deduplication-id", metavar="ID", help="of one message to a FIFO queue")
    add(
        "--attribute",
        action="append",
        default=[],
        metavar="NAME=TEXT",
        help="message attribute of type String; may be given several times",
    )
    add_endpoint_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Runs the command; returns its exit status."""
    if arguments.deduplication_id is not None and arguments.lines:
        sys.stderr.write("eventcore send: --deduplication-id is for one message, not for --lines\n")
        return 2
    extra = _extra(arguments)
    if extra is None:
        sys.stderr.write("eventcore send: --attribute must be NAME=TEXT\n")
        return 2
    bodies = read_bodies(arguments.body, are_lines=arguments.lines)
    count = run_against_endpoint(
        arguments, lambda client: _send_all(client, arguments, bodies, extra)
    )
    if not arguments.json:
        sys.stderr.write(f"{count} sent\n")
    return 0


def _extra(arguments: argparse.Namespace) -> dict[str, Any] | None:
    """What every entry has beside its body; None when an attribute is not NAME=TEXT."""
    extra: dict[str, Any] = {}
    if arguments.delay is not None:
        extra["DelaySeconds"] = arguments.delay
    if arguments.group_id is not None:
        extra["MessageGroupId"] = arguments.group_id
    if arguments.deduplication_id is not None:
        extra["MessageDeduplicationId"] = arguments.deduplication_id
    attributes = {}
    for text in arguments.attribute:
        name, separator, value = text.partition("=")
        if not separator or not name:
            return None
        attributes[name] = {"DataType": "String", "StringValue": value}
    if attributes:
        extra["MessageAttributes"] = attributes
    return extra


async def _send_all(
    client: AwsJsonClient,
    arguments: argparse.Namespace,
    bodies: Iterator[str],
    extra: dict[str, Any],
) -> int:
    url = await url_of(client, arguments.queue)
    count = 0
    while batch := list(islice(bodies, BATCH)):
        await _send_batch(client, url, batch, extra, are_shown=arguments.json)
        count += len(batch)
    return count


async def _send_batch(
    client: AwsJsonClient, url: str, bodies: list[str], extra: dict[str, Any], *, are_shown: bool
) -> None:
    entries = [{"Id": str(n), "MessageBody": body, **extra} for n, body in enumerate(bodies)]
    answer = await client.call(SQS, "SendMessageBatch", {"QueueUrl": url, "Entries": entries})
    for sent in answer.get("Successful") or []:
        if are_shown:
            shown = {"message_id": sent["MessageId"], "body_md5": sent["MD5OfMessageBody"]}
            if "SequenceNumber" in sent:
                shown["sequence_number"] = sent["SequenceNumber"]
            write_json(shown)
    for failed in answer.get("Failed") or []:
        code, reason = str(failed.get("Code")), str(failed.get("Message", ""))
        raise CallFailed("SendMessageBatch", 200, code, reason)
