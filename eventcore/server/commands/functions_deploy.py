"""Creates a function of a directory or a file, or updates the one of that name, and waits until it
is active.

    eventcore functions deploy resize src --handler images.resize
    eventcore functions deploy resize images.py --handler images.resize --timeout 30 --memory 512
    eventcore functions deploy resize src --env BUCKET=thumbnails --env QUALITY=80

The directory's files, or the file, are zipped and sent; a .zip is sent as it is. What is not named
stays, for a function that is there already: its handler, runtime, timeout, memory and variables.
With --env the variables are those that are named, and no others.

A new function needs a handler, is Python of this interpreter's version unless --runtime names
another one, and may take 3 seconds and 128 MB.

Exit status: 0, or 1 when it could not be done.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from base64 import b64encode
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from eventcore.bench.client import AwsJsonClient, CallFailed
from eventcore.errors import Conflict, InvalidParameter
from eventcore.server.commands.endpoint_options import (
    add_endpoint_arguments,
    run_against_endpoint,
    write_json,
    write_line,
)
from eventcore.server.commands.functions_calls import (
    NOT_FOUND,
    Configuration,
    FunctionClient,
    add_function_argument,
    take_region,
)
from eventcore.server.commands.functions_package import package

__all__ = ["add_arguments", "run"]

ROLE_DEFAULT: Final = "arn:aws:iam::000000000000:role/function"
"""AWS wants a role; the daemon stores it and does not look at it."""
WAIT_S: Final = 120.0
POLL_FIRST_S: Final = 0.05
POLL_LONGEST_S: Final = 2.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    add = parser.add_argument
    add_function_argument(parser)
    add("path", help="a directory, a file, or a .zip")
    add("--handler", metavar="MODULE.FUNCTION", help="what is called; a new function needs one")
    add("--runtime", help="python3.12, nodejs22.x, provided.al2023, ... (default: this Python's)")
    add("--timeout", type=int, metavar="SECONDS", help="how long an invocation may take")
    add("--memory", type=int, metavar="MB", help="how much memory its process may use")
    add(
        "--env",
        action="append",
        metavar="NAME=VALUE",
        help="an environment variable; may be given several times",
    )
    add("--role", metavar="ARN", help=f"of a new function (default: {ROLE_DEFAULT})")
    add_endpoint_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Runs the command; returns its exit status."""
    members = _members(arguments)
    if members is None:
        sys.stderr.write("eventcore functions deploy: --env must be NAME=VALUE\n")
        return 2
    take_region(arguments)
    code = package(Path(arguments.path))
    run_against_endpoint(arguments, lambda client: _deploy(client, arguments, members, code))
    return 0


def _members(arguments: argparse.Namespace) -> dict[str, Any] | None:
    """What is asked for, as members of the request; None for variables that are none."""
    named = {
        "Handler": arguments.handler,
        "Runtime": arguments.runtime,
        "Timeout": arguments.timeout,
        "MemorySize": arguments.memory,
        "Role": arguments.role,
    }
    members = {name: value for name, value in named.items() if value is not None}
    if arguments.env is not None:
        pairs = [text.partition("=") for text in arguments.env]
        if not all(name and separator for name, separator, _ in pairs):
            return None
        members["Environment"] = {"Variables": {name: value for name, _, value in pairs}}
    return members


async def _deploy(
    client: AwsJsonClient, arguments: argparse.Namespace, members: dict[str, Any], code: bytes
) -> None:
    function = FunctionClient(client, arguments.function)
    try:
        there = await function.configuration()
    except CallFailed as error:
        if error.code != NOT_FOUND:
            raise
        done = "created"
        await _create(function, arguments, members, code)
    else:
        done = "updated" if await _update(function, there, members, code) else "unchanged"
    active = await _wait(function, arguments.function)
    if arguments.json:
        write_json({"function_arn": active.arn, "done": done, "code_sha256": active.code_sha256})
    else:
        write_line(f"{done}: {active.arn}")


async def _create(
    function: FunctionClient, arguments: argparse.Namespace, members: dict[str, Any], code: bytes
) -> None:
    if arguments.handler is None:
        raise InvalidParameter("handler", f"{arguments.function} is new, and needs a --handler")
    defaults = {
        "Runtime": f"python{sys.version_info.major}.{sys.version_info.minor}",
        "Role": ROLE_DEFAULT,
    }
    await function.create({**defaults, **members}, code)


async def _update(
    function: FunctionClient, there: Configuration, members: dict[str, Any], code: bytes
) -> bool:
    """Sends what is another; whether there was anything. Settings come first: where they are
    refused, the code has not changed either.
    """
    is_changed = False
    if members:
        await function.update_configuration(members)
        is_changed = True
    if b64encode(sha256(code).digest()).decode() != there.code_sha256:
        await _wait(function, there.arn)
        await function.update_code(code)
        is_changed = True
    return is_changed


async def _wait(function: FunctionClient, name: str) -> Configuration:
    """Waits until the function is active, and its last update done. Raises Conflict for one that
    does not become it.
    """
    pause_s = POLL_FIRST_S
    try:
        async with asyncio.timeout(WAIT_S):
            while True:
                seen = await function.configuration()
                if "Failed" in (seen.state, seen.last_update_status):
                    reason = seen.state_reason or seen.last_update_status_reason or "it has failed"
                    raise Conflict("function", name, reason)
                if seen.state != "Pending" and seen.last_update_status != "InProgress":
                    return seen
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, POLL_LONGEST_S)
    except TimeoutError:
        reason = f"it is not active after {WAIT_S:g} seconds"
        raise Conflict("function", name, reason) from None
