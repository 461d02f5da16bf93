"""What the client commands share: where the endpoint is, how queues are named, how bodies come in
and lines go out.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Awaitable, Callable, Iterator
from typing import Final, TypeVar
from urllib.parse import quote

import msgspec

from eventcore.arn import parse_arn
from eventcore.bench import calls
from eventcore.bench.client import AwsJsonClient, CallFailed
from eventcore.bench.event_loop import run as run_on_loop
from eventcore.codec import encode_json
from eventcore.errors import UnsupportedOperation
from eventcore.patterns.describe import escape_text

__all__ = [
    "FUNCTIONS_PATH",
    "MAPPINGS_PATH",
    "QUEUES_PATH",
    "add_endpoint_arguments",
    "arn_of",
    "door_path_of",
    "look_inside",
    "read_bodies",
    "run_against_endpoint",
    "url_of",
    "write_json",
    "write_line",
    "write_raw_line",
]

ENDPOINT_DEFAULT: Final = "http://127.0.0.1:4566"
CONNECTIONS: Final = 4
ANSWER_TIMEOUT_S: Final = 60.0
"""How long one call may take, unless a command says otherwise."""
QUEUES_PATH: Final = "/_eventcore/queues"
FUNCTIONS_PATH: Final = "/_eventcore/functions"
MAPPINGS_PATH: Final = "/_eventcore/mappings"
NO_RESOURCE: Final = frozenset(("QueueDoesNotExist", "ResourceNotFoundException"))
"""What the door says when it is there, and what was asked for is not."""

T = TypeVar("T")


def add_endpoint_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares --endpoint-url, --region and --json."""
    endpoint = os.environ.get("AWS_ENDPOINT_URL", ENDPOINT_DEFAULT)
    region = os.environ.get("AWS_DEFAULT_REGION", "us-east-1")
    add = parser.add_argument
    add(
        "--endpoint-url",
        default=endpoint,
        metavar="URL",
        help="default: $AWS_ENDPOINT_URL, else " + ENDPOINT_DEFAULT,
    )
    add("--region", default=region, help="default: $AWS_DEFAULT_REGION, else us-east-1")
    add("--json", action="store_true", help="one JSON object per line on standard output")


def run_against_endpoint(
    arguments: argparse.Namespace,
    work: Callable[[AwsJsonClient], Awaitable[T]],
    *,
    timeout_s: float = ANSWER_TIMEOUT_S,
) -> T:
    """Runs `work` with a client of the endpoint that the arguments name; each of its calls has
    `timeout_s` seconds.
    """

    async def main() -> T:
        client = AwsJsonClient(
            arguments.endpoint_url,
            region=arguments.region,
            access_key=os.environ.get("AWS_ACCESS_KEY_ID", "eventcore"),
            connections_max=CONNECTIONS,
            timeout_s=timeout_s,
        )
        async with client:
            return await work(client)

    return run_on_loop(main())


async def url_of(client: AwsJsonClient, queue: str) -> str:
    """A queue's URL, from its name or from the URL itself."""
    return queue if "://" in queue else await calls.queue_url(client, queue)


async def arn_of(client: AwsJsonClient, queue: str) -> str:
    """A queue's ARN, from its name, its URL, or from the ARN itself."""
    if queue.startswith("arn:"):
        return queue
    return await calls.queue_arn(client, await url_of(client, queue))


async def door_path_of(client: AwsJsonClient, queue: str) -> str:
    """A queue's path at the daemon's own side door, from its name, URL or ARN."""
    arn = parse_arn(await arn_of(client, queue))
    return "/".join((QUEUES_PATH, arn.account, arn.region, quote(arn.resource, safe="")))


async def look_inside(client: AwsJsonClient, path: str, decode: Callable[[bytes], T]) -> T:
    """What the daemon's own side door tells. Raises CallFailed, EndpointUnreachable, and
    UnsupportedOperation for an endpoint that has no such door.
    """
    try:
        return decode(await client.get(path))
    except CallFailed as error:
        if error.status not in (403, 404, 405, 501) or error.code in NO_RESOURCE:
            raise
        raise _no_door(client, path) from error
    except msgspec.DecodeError as error:
        raise _no_door(client, path) from error


def _no_door(client: AwsJsonClient, path: str) -> UnsupportedOperation:
    operation = f"GET {path.partition('?')[0]}"
    return UnsupportedOperation(client.endpoint_url, operation, "is it an eventcore daemon?")


def read_bodies(body: str | None, *, are_lines: bool) -> Iterator[str]:
    """The body of the command line; without one, or with "-", standard input: whole, or line by
    line.

    Of a whole input one final newline is dropped; of lines, the empty ones.
    """
    if body is not None and body != "-":
        yield body
    elif are_lines:
        yield from (line.rstrip("\n") for line in sys.stdin if line.strip())
    else:
        yield sys.stdin.read().removesuffix("\n")


def write_json(content: object) -> None:
    """Writes one line of JSON to standard output. What a terminal would obey, and what its encoding
    does not have, is escaped, which leaves the values as they are.
    """
    write_line(encode_json(content).decode())


def write_line(text: str) -> None:
    """Writes a line to standard output. What a terminal would obey, and what its encoding does not
    have, is escaped as in JSON.
    """
    sys.stdout.write(escape_text(text, is_ascii=not _is_encodable(text)) + "\n")


def write_raw_line(text: str) -> None:
    """Writes a line to standard output as it is. Only what its encoding does not have is escaped,
    as Python does.
    """
    if not _is_encodable(text):
        encoding = sys.stdout.encoding
        text = text.encode(encoding, "backslashreplace").decode(encoding)
    sys.stdout.write(text + "\n")


def _is_encodable(text: str) -> bool:
    """Whether standard output's encoding has all of the text."""
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        return False
    return True
