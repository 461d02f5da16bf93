"""What `explain` and `lint` read: patterns, events, and rules, from files or from a daemon; and how
they write.

- A file of rules is a JSON object from names to patterns (objects, or their texts), or what
  `aws events list-rules` prints. There a rule may have `Targets`, ARNs or what
  `aws events list-targets-by-rule` lists of it. Patterns are taken as they are written.
- A rule without an event pattern has a schedule; it is left out.
- What cannot be read raises InvalidParameter, or OSError.
- An endpoint has ANSWER_TIMEOUT_S for each answer. Lists are read to their last page.
- What is printed is printable: control characters are escaped, and so is what the terminal's
  encoding does not have.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import os
import re
import sys
import unicodedata
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from eventcore.arn import DEFAULT_ACCOUNT, bus_arn, parse_arn
from eventcore.bench.client import EVENTS, AwsJsonClient, EndpointUnreachable
from eventcore.codec import json_decoder
from eventcore.errors import EventcoreError, InvalidParameter, InvalidPattern, NotFound
from eventcore.patterns.describe import escape_text
from eventcore.patterns.lint import LintedRule
from eventcore.patterns.trial import TOO_DEEP, utf8_fault
from eventcore.server.commands.endpoint_options import run_against_endpoint

__all__ = [
    "STANDARD_INPUT",
    "STATUS_BAD",
    "add_rules_arguments",
    "argument_text",
    "ask_endpoint",
    "escape_output",
    "fetch_buses",
    "fetch_rule",
    "fetch_rules",
    "fetch_targets",
    "read_bytes",
    "read_rules",
    "read_text",
    "report",
]

STATUS_BAD: Final = 2
STANDARD_INPUT: Final = "-"
ANSWER_TIMEOUT_S: Final = 10.0
WINDOW_COLUMNS: Final = 76
NO_ANSWER: Final = "no answer in time"
"""What the client says of a call that took too long."""
LISTED: Final = "Rules"
NEXT_PAGE: Final = "NextToken"
DISABLED: Final = "DISABLED"

_LOCATION: Final = re.compile(r"; line: (\d+), column: (\d+)\]\s*\Z")


T = TypeVar("T")


class _TargetRow(msgspec.Struct, rename="pascal"):
    arn: str


class _RuleRow(msgspec.Struct, rename="pascal"):
    name: str
    event_pattern: msgspec.Raw = msgspec.Raw(b"")
    state: str = "ENABLED"
    event_bus_name: str = "default"
    arn: str = ""
    targets: list[_TargetRow | str] = []


_decode_members: Final = json_decoder(dict[str, msgspec.Raw])
_decode_rows: Final = json_decoder(list[_RuleRow])
_decode_text: Final = json_decoder(str)


def add_rules_arguments(parser: argparse.ArgumentParser, bus_help: str) -> None:
    """Declares --rules and --bus."""
    add = parser.add_argument
    add(
        "--rules",
        metavar="FILE",
        help='rules of a file, instead of a daemon\'s ("-": standard input)',
    )
    add("--bus", metavar="NAME", help=bus_help)


def escape_output() -> None:
    """Lets standard output escape characters that its encoding does not have, where it would raise
    UnicodeEncodeError.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def report(command: str, error: Exception, *, rule: str = "") -> int:
    """Writes to standard error why a command could not do its work; returns its exit status. A bad
    pattern is shown with a mark under the place that its reason names.
    """
    where = f"rule {rule}: " if rule else ""
    lines = _lines_of(error) if isinstance(error, InvalidPattern) else [" ".join(_words(error))]
    text = f"eventcore {command}: {where}" + "\n".join(lines)
    sys.stderr.write(escape_text(text) + "\n")
    return STATUS_BAD


def _words(error: Exception) -> list[str]:
    return (str(error) or type(error).__name__).split()


def _lines_of(error: InvalidPattern) -> list[str]:
    """The reason, and the line of the pattern with a caret under the column."""
    reason = error.reason.split("\n at [Source")[0]
    lines = [f"Event pattern is not valid. Reason: {reason}"]
    location = _LOCATION.search(error.reason)
    source = _source_of(error.reason)
    if location is None or source is None:
        return lines
    number, column = int(location[1]), int(location[2])
    written = re.split(r"\r\n|\r|\n", source)
    if not 1 <= number <= len(written) or column > len(written[number - 1]) + 1:
        return lines
    start = max(column - 1 - WINDOW_COLUMNS // 2, 0)
    shown = written[number - 1][start : start + WINDOW_COLUMNS]
    before = "".join(map(_blank, shown[: column - 1 - start]))
    place = f"line {number}, column {column}:"
    return [*lines, place, "  " + "".join(map(_visible, shown)), f"  {before}^"]


def _source_of(reason: str) -> str | None:
    head, _, tail = reason.rpartition('[Source: (String)"')
    end = tail.rfind('"; line: ') if head else -1
    source = tail[:end]
    # A long pattern is cut in the reason, and then it says so behind the text.
    return None if end < 0 or "[truncated" in tail[end:] else source


def _visible(character: str) -> str:
    return character if character.isprintable() else " "


def _blank(character: str) -> str:
    """As many spaces as the character has columns."""
    if not character.isprintable():
        return " "
    if unicodedata.combining(character):
        return ""
    return "  " if unicodedata.east_asian_width(character) in "WF" else " "


# -- files -----------------------------------------------------------------------------------------


def read_bytes(place: str) -> bytes:
    """The content of a file, or of standard input for "-", without a byte order mark."""
    if place != STANDARD_INPUT:
        content = Path(place).read_bytes()
    else:
        stream = getattr(sys.stdin, "buffer", None)
        content = sys.stdin.read().encode() if stream is None else stream.read()
    return content.removeprefix(b"\xef\xbb\xbf")


def argument_text(name: str, argument: str) -> str:
    """An argument of the command line as UTF-8, also where Python's encoding of arguments is
    another, as in the locale C. Raises InvalidParameter.
    """
    try:
        argument.encode()
    except UnicodeEncodeError:  # bytes that the encoding of arguments does not have
        return _utf8(name, os.fsencode(argument))
    return argument


def read_text(name: str, argument: str) -> str:
    """A text of the command line: itself, the file behind an "@", or standard input for "-"."""
    if argument != STANDARD_INPUT and not argument.startswith("@"):
        return argument_text(name, argument)
    return _utf8(name, read_bytes(argument.removeprefix("@")))


def _utf8(name: str, content: bytes) -> str:
    if fault := utf8_fault(content):
        raise InvalidParameter(name, fault)
    return content.decode()


def read_rules(place: str, region: str) -> list[LintedRule]:
    """The rules of a file; those that do not say where they are are in `region`."""
    content = read_bytes(place)
    if fault := utf8_fault(content):
        raise InvalidParameter("rules", f"{place}: {fault}")
    try:
        members = _decode_members(content)
        if bytes(members.get(LISTED, b""))[:1] == b"[":
            if bytes(members.get(NEXT_PAGE, b""))[:1] == b'"':
                raise InvalidParameter("rules", f"{place} has a {NEXT_PAGE}: it is not all rules.")
            rows = _decode_rows(bytes(members[LISTED]))
            return [_rule_of(row, region) for row in rows if bytes(row.event_pattern)]
        default = bus_arn(DEFAULT_ACCOUNT, region, "default")
        return [
            LintedRule(name, _pattern_text(name, raw), bus=default) for name, raw in members.items()
        ]
    except RecursionError as error:
        raise InvalidParameter("rules", f"{place}: {TOO_DEEP}") from error
    except msgspec.DecodeError as error:
        reason = f"{place} is neither rules by name nor a list of rules: {error}."
        raise InvalidParameter("rules", reason) from error


def _rule_of(row: _RuleRow, region: str) -> LintedRule:
    bus = row.event_bus_name
    if not bus.startswith("arn:"):
        account = DEFAULT_ACCOUNT
        if row.arn:
            arn = parse_arn(row.arn)
            account, region = arn.account, arn.region
        bus = bus_arn(account, region, bus)
    return LintedRule(
        row.name,
        _pattern_text(row.name, row.event_pattern),
        tuple(target if isinstance(target, str) else target.arn for target in row.targets),
        row.state != DISABLED,
        bus,
    )


def _pattern_text(name: str, raw: msgspec.Raw) -> str:
    """The text of a pattern that is an object, or a string with its text."""
    content = bytes(raw)
    if content[:1] == b'"':
        return _decode_text(content)
    if content[:1] != b"{":
        raise InvalidParameter("rules", f"The pattern of {name!r} is neither an object nor text.")
    return content.decode()


# -- from a daemon ---------------------------------------------------------------------------------


def ask_endpoint(arguments: argparse.Namespace, work: Callable[[AwsJsonClient], Awaitable[T]]) -> T:
    """What `work` has of the endpoint that the arguments name. Raises CallFailed, and
    EndpointUnreachable, also for one that does not answer in ANSWER_TIMEOUT_S.
    """
    try:
        return run_against_endpoint(arguments, work, timeout_s=ANSWER_TIMEOUT_S)
    except EndpointUnreachable as error:
        url = arguments.endpoint_url
        reason = str(error).removeprefix(f"{url}:").strip()
        if reason in ("", NO_ANSWER):
            reason = f"no answer within {ANSWER_TIMEOUT_S:g} s"
        raise EndpointUnreachable(f"{url}: {reason}") from error


async def fetch_buses(client: AwsJsonClient) -> list[str]:
    """The ARNs of all buses."""
    return [str(row["Arn"]) for row in await _pages(client, "ListEventBuses", "EventBuses", {})]


async def fetch_rules(client: AwsJsonClient, bus: str) -> list[LintedRule]:
    """The rules of a bus, given by its name or ARN, by name, without their targets."""
    rows = await _pages(client, "ListRules", LISTED, {"EventBusName": bus})
    return [_fetched(row, bus) for row in rows if row.get("EventPattern")]


async def fetch_rule(client: AwsJsonClient, bus: str, name: str) -> LintedRule:
    """One rule. Raises CallFailed, and NotFound for one that has no event pattern."""
    row = await client.call(EVENTS, "DescribeRule", {"Name": name, "EventBusName": bus})
    if not row.get("EventPattern"):
        raise NotFound("event pattern", name, bus)
    return _fetched(row, bus)


async def fetch_targets(client: AwsJsonClient, rules: list[LintedRule]) -> list[LintedRule]:
    """The rules with their targets. A rule that is gone meanwhile is left out."""
    fetched = await asyncio.gather(*(_with_targets(client, rule) for rule in rules))
    return [rule for rule in fetched if rule is not None]


async def _with_targets(client: AwsJsonClient, rule: LintedRule) -> LintedRule | None:
    parameters = {"Rule": rule.name, "EventBusName": rule.bus}
    try:
        rows = await _pages(client, "ListTargetsByRule", "Targets", parameters)
    except EventcoreError as error:
        if getattr(error, "code", "") == "ResourceNotFoundException":
            return None
        raise
    return msgspec.structs.replace(rule, targets=tuple(str(row["Arn"]) for row in rows))


async def _pages(
    client: AwsJsonClient, operation: str, member: str, parameters: dict[str, Any]
) -> list[dict[str, Any]]:
    """The rows of all pages. Raises EndpointUnreachable for an endpoint that repeats a page."""
    rows: list[dict[str, Any]] = []
    tokens: set[str] = set()
    while True:
        answer = await client.call(EVENTS, operation, parameters)
        rows += answer.get(member, [])
        token = answer.get(NEXT_PAGE)
        if not token:
            return rows
        if token in tokens:
            raise EndpointUnreachable(f"{operation} gives the same {NEXT_PAGE} again and again")
        tokens.add(token)
        parameters = {**parameters, NEXT_PAGE: token}


def _fetched(row: dict[str, Any], bus: str) -> LintedRule:
    if not bus.startswith("arn:"):
        arn = parse_arn(row["Arn"])
        bus = bus_arn(arn.account, arn.region, bus)
    is_enabled = row.get("State") != DISABLED
    return LintedRule(row["Name"], row["EventPattern"], is_enabled=is_enabled, bus=bus)
