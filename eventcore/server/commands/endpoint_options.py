"""What the client commands (`send`, `receive`, `put-events`) share: where the endpoint is, and how
bodies come in.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Awaitable, Callable, Iterator
from typing import Final, TypeVar

from eventcore.bench import calls
from eventcore.bench.client import AwsJsonClient
from eventcore.bench.event_loop import run as run_on_loop
from eventcore.codec import encode_json

__all__ = ["add_endpoint_arguments", "read_bodies", "run_against_endpoint", "url_of", "write_json"]

ENDPOINT_DEFAULT: Final = "http://127.0.0.1:4566"
CONNECTIONS: Final = 4

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
    arguments: argparse.Namespace, work: Callable[[AwsJsonClient], Awaitable[T]]
) -> T:
    """Runs `work` with a client of the endpoint that the arguments name."""

    async def main() -> T:
        client = AwsJsonClient(
            arguments.endpoint_url,
            region=arguments.region,
            access_key=os.environ.get("AWS_ACCESS_KEY_ID", "eventcore"),
            connections_max=CONNECTIONS,
        )
        async with client:
            return await work(client)

    return run_on_loop(main())


async def url_of(client: AwsJsonClient, queue: str) -> str:
    """A queue's URL, from its name or from the URL itself."""
    return queue if "://" in queue else await calls.queue_url(client, queue)


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
    """Writes one line of JSON to standard output."""
    sys.stdout.write(encode_json(content).decode() + "\n")
