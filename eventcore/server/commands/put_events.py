"""Puts events on a bus: one detail from the command line or standard input, or one per line of it.

    eventcore put-events --source shop --detail-type Order '{"id": 1}'
    eventcore put-events --source shop --detail-type Order --lines < details.jsonl
    eventcore put-events --entries < entries.jsonl

With --entries every line is a whole entry in AWS's form (Source, DetailType, Detail, ...), and
--source, --detail-type and --bus fill in what an entry does not say. A Detail may be a JSON object
there as well as its text.

Exit status: 0 when all are put, 1 when one was refused or the endpoint was not there, 2 for bad
input.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from itertools import islice
from typing import Any, Final

from eventcore.bench.client import EVENTS, AwsJsonClient
from eventcore.codec import decode_json, encode_json
from eventcore.errors import InvalidParameter
from eventcore.server.commands.endpoint_options import (
    add_endpoint_arguments,
    read_bodies,
    run_against_endpoint,
    write_json,
)

__all__ = ["add_arguments", "run"]

BATCH: Final = 10


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    add = parser.add_argument
    add("detail", nargs="?", help='a JSON object; standard input without it, or with "-"')
    add("--source", help='the event\'s source, such as "shop.orders"')
    add("--detail-type", metavar="TEXT", help='the event\'s detail-type, such as "Order placed"')
    add("--bus", default="default", metavar="NAME", help='name or ARN (default "default")')
    add("--resource", action="append", default=[], metavar="ARN", help="may be given several times")
    add("--lines", action="store_true", help="every line of standard input is a detail")
    add("--entries", action="store_true", help="every line of standard input is an entry")
    add_endpoint_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Runs the command; returns its exit status."""
    if not arguments.entries and not (arguments.source and arguments.detail_type):
        sys.stderr.write("eventcore put-events: --source and --detail-type are required\n")
        return 2
    texts = read_bodies(arguments.detail, are_lines=arguments.lines or arguments.entries)
    try:
        put, refused = run_against_endpoint(
            arguments, lambda client: _put_all(client, arguments, texts)
        )
    except InvalidParameter as error:
        sys.stderr.write(f"eventcore put-events: {error}\n")
        return 2
    if not arguments.json:
        sys.stderr.write(f"{put} put, {refused} refused\n")
    return 1 if refused else 0


async def _put_all(
    client: AwsJsonClient, arguments: argparse.Namespace, texts: Iterator[str]
) -> tuple[int, int]:
    put = refused = 0
    while batch := [_entry(text, arguments) for text in islice(texts, BATCH)]:
        answer = await client.call(EVENTS, "PutEvents", {"Entries": batch})
        for result in answer["Entries"]:
            if result.get("ErrorCode"):
                refused += 1
                reason = f"{result['ErrorCode']}: {result.get('ErrorMessage', '')}"
                sys.stderr.write(f"eventcore put-events: {reason}\n")
            else:
                put += 1
            if arguments.json:
                write_json(
                    {"event_id": result.get("EventId"), "error_code": result.get("ErrorCode")}
                )
    return put, refused


def _entry(text: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """An entry of the wire's form. Raises InvalidParameter for what is no JSON object."""
    try:
        content = decode_json(text)
    except ValueError as error:
        raise InvalidParameter("detail", f"Is not JSON: {error}.", text) from error
    if not isinstance(content, dict):
        raise InvalidParameter("detail", "Must be a JSON object.", text)
    entry: dict[str, Any] = {"EventBusName": arguments.bus}
    if arguments.source:
        entry["Source"] = arguments.source
    if arguments.detail_type:
        entry["DetailType"] = arguments.detail_type
    if arguments.resource:
        entry["Resources"] = arguments.resource
    if not arguments.entries:
        return {**entry, "Detail": text}
    detail = content.get("Detail")
    if isinstance(detail, dict):
        content["Detail"] = encode_json(detail).decode()
    return {**entry, **content}
