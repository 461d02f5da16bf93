"""Finds what is wrong with rules, without any event: rules that no event can match, rules that
deliver the same event to one target twice, patterns that do not mean what they look like, and
chains of buses that are cut.

    eventcore lint
    eventcore lint --bus shop
    eventcore lint --rules rules.json --level warning

Without --rules the rules are a running daemon's: those of all buses, or of one. A file has names
and patterns, or what `aws events list-rules` prints.

Exit status: 0 when nothing was found, 1 when something was, 2 when the rules cannot be had.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from typing import Final

from eventcore.bench.client import AwsJsonClient
from eventcore.errors import EventcoreError
from eventcore.patterns.describe import describe_path
from eventcore.patterns.lint import NOTE, SEVERITIES, Finding, LintedRule, lint
from eventcore.server.commands.endpoint_options import (
    add_endpoint_arguments,
    run_against_endpoint,
    write_json,
)
from eventcore.server.commands.rule_inputs import (
    add_rules_arguments,
    fetch_buses,
    fetch_rules,
    fetch_targets,
    read_rules,
    report,
)

__all__ = ["add_arguments", "run"]

COMMAND: Final = "lint"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    add_rules_arguments(parser, "only the rules of this bus; the others are not read")
    parser.add_argument(
        "--level",
        choices=SEVERITIES,
        default=NOTE,
        help="leave out what is less severe (default: note, which leaves out nothing)",
    )
    add_endpoint_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Runs the command; returns its exit status."""
    try:
        rules = _rules(arguments)
        found = lint(rules)
    except (EventcoreError, OSError) as error:
        return report(COMMAND, error)
    shown = SEVERITIES[: SEVERITIES.index(arguments.level) + 1]
    findings = [finding for finding in found if finding.severity in shown]
    for finding in findings:
        if arguments.json:
            write_json(finding)
        else:
            sys.stdout.write(_text(finding) + "\n")
    if not arguments.json:
        sys.stderr.write(_summary(findings, len(rules)) + "\n")
    return 1 if findings else 0


def _rules(arguments: argparse.Namespace) -> list[LintedRule]:
    bus = arguments.bus
    if arguments.rules is None:
        return run_against_endpoint(arguments, lambda client: _fetch(client, bus))
    rules = read_rules(arguments.rules, arguments.region)
    return [r for r in rules if bus is None or bus in (r.bus, r.bus.partition("/")[2])]


async def _fetch(client: AwsJsonClient, bus: str | None) -> list[LintedRule]:
    buses = await fetch_buses(client) if bus is None else [bus]
    rules = [rule for one in buses for rule in await fetch_rules(client, one)]
    return await fetch_targets(client, rules)


def _text(finding: Finding) -> str:
    """One line, one for the suggestion, and what follows a line break in a reason below it."""
    rule = describe_path(finding.rule)
    place = rule if finding.bus in ("", "default") else f"{finding.bus}/{rule}"
    where = ": ".join(part for part in (place, finding.path) if part)
    first, *rest = finding.message.split("\n")
    lines = [f"{finding.severity}: {where}: {first}" if where else f"{finding.severity}: {first}"]
    lines += [f"  {line.strip()}" for line in rest]
    if finding.suggestion:
        lines.append(f"  {finding.suggestion}")
    return "\n".join(lines)


def _summary(findings: list[Finding], rules: int) -> str:
    counts = Counter(finding.severity for finding in findings)
    told = [_counted(counts[severity], severity) for severity in SEVERITIES if counts[severity]]
    return f"{_counted(rules, 'rule')}: {', '.join(told) or 'nothing found'}"


def _counted(count: int, name: str) -> str:
    return f"{count} {name}" if count == 1 else f"{count} {name}s"
