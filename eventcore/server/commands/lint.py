"""Finds what is wrong with rules, without any event: rules that no event can match, rules that
deliver the same event to one target twice, patterns that do not mean what they look like, and
chains of buses that are cut.

    eventcore lint
    eventcore lint --bus shop
    eventcore lint --rules rules.json -v

Without --rules the rules are a running daemon's: those of all buses, or of one. A file has names
and patterns, or what `aws events list-rules` prints.

Errors and warnings are shown. Notes, which are no faults, are only counted, unless -v is given.

Exit status: 0 when nothing was found that is shown, 1 when something was, 2 for every failure, such
as rules that cannot be had.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from typing import Final

from eventcore.bench.client import AwsJsonClient
from eventcore.errors import EventcoreError
from eventcore.patterns.describe import describe_path, escape_text
from eventcore.patterns.lint import (
    COMPARISON_CUT,
    NOTE,
    SEVERITIES,
    WARNING,
    Finding,
    LintedRule,
    lint,
)
from eventcore.server.commands.endpoint_options import add_endpoint_arguments, write_json
from eventcore.server.commands.rule_inputs import (
    add_rules_arguments,
    argument_text,
    ask_endpoint,
    escape_output,
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
        default=WARNING,
        help="leave out what is less severe (default: warning; note leaves out nothing)",
    )
    parser.add_argument(
        "-v",
        "--verbose",
        dest="level",
        action="store_const",
        const=NOTE,
        help="show notes, too: --level note",
    )
    add_endpoint_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Runs the command; returns its exit status."""
    escape_output()
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
        hidden = [finding for finding in found if finding.severity not in shown]
        sys.stderr.write(_summary(findings, hidden, len(rules)) + "\n")
    return 1 if findings else 0


def _rules(arguments: argparse.Namespace) -> list[LintedRule]:
    bus = None if arguments.bus is None else argument_text("--bus", arguments.bus)
    if arguments.rules is None:
        return ask_endpoint(arguments, lambda client: _fetch(client, bus))
    rules = read_rules(arguments.rules, arguments.region)
    return [rule for rule in rules if bus is None or bus in (rule.bus, rule.bus_name)]


async def _fetch(client: AwsJsonClient, bus: str | None) -> list[LintedRule]:
    buses = await fetch_buses(client) if bus is None else [bus]
    rules = [rule for one in buses for rule in await fetch_rules(client, one)]
    return await fetch_targets(client, rules)


def _text(finding: Finding) -> str:
    """One line, one for the suggestion, and what follows a line break in a reason below it."""
    rule = describe_path(finding.rule)
    place = rule if finding.bus in ("", "default") else f"{escape_text(finding.bus)}/{rule}"
    where = ": ".join(part for part in (place, finding.path) if part)
    first, *rest = finding.message.split("\n")
    lines = [f"{finding.severity}: {where}: {first}" if where else f"{finding.severity}: {first}"]
    lines += [f"  {line.strip()}" for line in rest]
    if finding.suggestion:
        lines.append(f"  {finding.suggestion}")
    return "\n".join(lines)


def _summary(findings: list[Finding], hidden: list[Finding], rules: int) -> str:
    told = [f"{_counted(rules, 'rule')}: {_counts(findings) or 'nothing found'}"]
    if hidden:
        option = "-v" if all(finding.severity == NOTE for finding in hidden) else "--level note"
        told.append(f"{_counts(hidden)} not shown ({option} shows all)")
    if any(finding.code == COMPARISON_CUT for finding in hidden):
        told.append("not all rules were compared")
    return "; ".join(told)


def _counts(findings: list[Finding]) -> str:
    counts = Counter(finding.severity for finding in findings)
    return ", ".join(_counted(counts[one], one) for one in SEVERITIES if counts[one])


def _counted(count: int, name: str) -> str:
    return f"{count} {name}" if count == 1 else f"{count} {name}s"
