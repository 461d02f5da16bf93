"""Invokes a function and prints its answer; what it wrote to its log goes to standard error.

    eventcore functions invoke resize '{"image": "a.png"}'
    eventcore functions invoke resize - < event.json
    eventcore functions invoke resize --qualifier live
    eventcore functions invoke resize '{}' --later

Without a payload the function gets {}. The answer is printed as it came. With --later the event is
only put into the function's queue, and the request id is printed; the answer goes to the
destinations that are configured.

With --json one object is printed: the payload (or `text`, where it is no JSON), the error, the
version, the request id and the log.

Exit status: 0, or 1 when the function failed (its error is the answer), when there is no such
function or endpoint, or when the payload is no JSON.
"""

from __future__ import annotations

import argparse
import sys
from typing import Any, Final

from eventcore import limits
from eventcore.bench.client import AwsJsonClient
from eventcore.codec import decode_json
from eventcore.patterns.describe import escape_text
from eventcore.server.commands.endpoint_options import (
    add_endpoint_arguments,
    read_bodies,
    run_against_endpoint,
    write_json,
    write_line,
)
from eventcore.server.commands.functions_calls import (
    FunctionClient,
    InvokeAnswer,
    add_function_argument,
    log_text,
    take_region,
)

__all__ = ["add_arguments", "run"]

EXIT_FAILED: Final = 1
MARGIN_S: Final = 60
"""Beyond the longest time that a function may take: for its start, and for a place to run in."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    add = parser.add_argument
    add_function_argument(parser)
    add("payload", nargs="?", help='JSON; "-" reads standard input (default: {})')
    add("--later", action="store_true", help="invoke it asynchronously")
    add("--qualifier", metavar="VERSION", help="a version or an alias (default: $LATEST)")
    add_endpoint_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Runs the command; returns its exit status."""
    take_region(arguments)
    payload = "{}" if arguments.payload is None else "".join(_read(arguments.payload))
    return run_against_endpoint(arguments, lambda client: _invoke(client, arguments, payload))


def _read(payload: str) -> list[str]:
    return list(read_bodies(payload, are_lines=False))


async def _invoke(client: AwsJsonClient, arguments: argparse.Namespace, payload: str) -> int:
    answer = await FunctionClient(client, arguments.function).invoke(
        payload.encode(),
        qualifier=arguments.qualifier,
        is_later=arguments.later,
        timeout_s=limits.FUNCTION_TIMEOUT_MS_MAX / 1000 + MARGIN_S,
    )
    if arguments.json:
        write_json(_as_json(answer))
    elif arguments.later:
        write_line(answer.request_id)
    else:
        write_line(answer.payload.decode(errors="replace"))
        sys.stdout.flush()
        _write_log(answer)
    return 0 if answer.error is None else EXIT_FAILED


def _write_log(answer: InvokeAnswer) -> None:
    for line in answer.log.decode(errors="replace").splitlines():
        sys.stderr.write(escape_text(log_text(line), is_ascii=False) + "\n")


def _as_json(answer: InvokeAnswer) -> dict[str, Any]:
    shown: dict[str, Any] = {"request_id": answer.request_id}
    try:
        shown["payload"] = decode_json(answer.payload) if answer.payload else None
    except ValueError:
        shown["text"] = answer.payload.decode(errors="replace")
    return {
        **shown,
        "error": answer.error,
        "version": answer.version or None,
        "log": answer.log.decode(errors="replace"),
    }
