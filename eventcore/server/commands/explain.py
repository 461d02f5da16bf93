"""Says why an event matches a pattern, or does not.

    eventcore explain --pattern '{"source": ["shop"]}' event.json
    eventcore explain --pattern @pattern.json event.json
    eventcore explain --rule big-orders --bus shop event.json
    eventcore explain event.json
    eventcore explain --rules rules.json event.json
    eventcore explain --detail --source shop --detail-type Order detail.json

Without --pattern the rules are a running daemon's, or those of a file: names and patterns, or what
`aws events list-rules` prints. Without --rule all of them are tried: first those that match, then
the others, each with the first condition that fails. A rule that is disabled gets no events.

The event is a file or standard input ("-"): the whole event with source, detail-type and detail, or
with --detail only that.

Exit status: 0 when the event matches, one of the rules at least; 1 when not; 2 for every failure:
bad input, rules that cannot be had, a rule whose pattern is not valid. Of such a rule the reason is
on standard error, and the other rules are tried all the same.
"""

from __future__ import annotations

import argparse
import os
import sys
from typing import Any, Final

from eventcore.arn import DEFAULT_ACCOUNT
from eventcore.buses.event import iso_seconds
from eventcore.clock import SystemClock
from eventcore.errors import EventcoreError, InvalidParameter, NotFound
from eventcore.ids import format_uuid
from eventcore.patterns.describe import describe_path
from eventcore.patterns.explanation import Explanation
from eventcore.patterns.lint import LintedRule
from eventcore.patterns.trial import explain_values, read_event, read_pattern
from eventcore.server.commands.endpoint_options import add_endpoint_arguments, write_json
from eventcore.server.commands.rule_inputs import (
    STANDARD_INPUT,
    STATUS_BAD,
    add_rules_arguments,
    argument_text,
    ask_endpoint,
    escape_output,
    fetch_rule,
    fetch_rules,
    read_bytes,
    read_rules,
    read_text,
    report,
)

__all__ = ["add_arguments", "run"]

COMMAND: Final = "explain"
NO_ID: Final = format_uuid(bytes(16))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    add = parser.add_argument
    add("event", nargs="?", default=STANDARD_INPUT, help='a file; standard input without it or "-"')
    add("--pattern", metavar="JSON", help='the pattern; "@FILE", or "-" for standard input')
    add("--rule", metavar="NAME", help="only this rule")
    add_rules_arguments(parser, 'the bus whose rules are tried (default "default")')
    add("--detail", action="store_true", help="the input is the detail of an event only")
    add("--source", help="with --detail: the event's source")
    add("--detail-type", metavar="TEXT", help="with --detail: the event's detail-type")
    add("--resource", action="append", default=[], metavar="ARN", help="with --detail; repeatable")
    add("-v", "--verbose", action="store_true", help="show what is met, too")
    add_endpoint_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Runs the command; returns its exit status."""
    escape_output()
    try:
        _check(arguments)
        _decode(arguments)
        event = _event(arguments)
        if arguments.pattern is not None:
            return _try_pattern(arguments, event)
        return _try_rules(arguments, event)
    except (EventcoreError, OSError) as error:
        return report(COMMAND, error)


def _check(arguments: argparse.Namespace) -> None:
    """Raises InvalidParameter for options that do not go together."""
    inputs = (arguments.event, arguments.pattern, arguments.rules)
    if inputs.count(STANDARD_INPUT) > 1:
        raise InvalidParameter("event", "Only one input can be standard input.")
    if arguments.pattern is not None and (arguments.rule or arguments.rules or arguments.bus):
        raise InvalidParameter("--pattern", "Does not go together with --rule, --rules and --bus.")
    if arguments.detail and not (arguments.source and arguments.detail_type):
        raise InvalidParameter("--detail", "Needs --source and --detail-type.")
    if not arguments.detail and (arguments.source or arguments.detail_type or arguments.resource):
        raise InvalidParameter(
            "--detail", "Must be given for --source, --detail-type and --resource."
        )


def _decode(arguments: argparse.Namespace) -> None:
    """Reads the arguments that are texts. Raises InvalidParameter."""
    for name in ("rule", "bus", "source", "detail_type"):
        text = getattr(arguments, name)
        if text is not None:
            setattr(arguments, name, argument_text(f"--{name.replace('_', '-')}", text))
    arguments.resource = [argument_text("--resource", text) for text in arguments.resource]


def _event(arguments: argparse.Namespace) -> dict[str, Any]:
    values = read_event(read_bytes(arguments.event))
    if not arguments.detail:
        return values
    access_key = os.environ.get("AWS_ACCESS_KEY_ID", "")
    is_account = len(access_key) == 12 and access_key.isdecimal()
    return {
        "version": "0",
        "id": NO_ID,
        "detail-type": arguments.detail_type,
        "source": arguments.source,
        "account": access_key if is_account else DEFAULT_ACCOUNT,
        "time": iso_seconds(SystemClock().now_ms() // 1_000),
        "region": arguments.region,
        "resources": arguments.resource,
        "detail": values,
    }


def _try_pattern(arguments: argparse.Namespace, event: dict[str, Any]) -> int:
    pattern = read_pattern(read_text("--pattern", arguments.pattern))
    explanation = explain_values(pattern, event)
    if arguments.json:
        write_json(explanation)
    else:
        sys.stdout.write(explanation.text(verbose=arguments.verbose) + "\n")
    return 0 if explanation.is_match else 1


def _try_rules(arguments: argparse.Namespace, event: dict[str, Any]) -> int:
    rules = _rules(arguments)
    explained: list[tuple[LintedRule, Explanation]] = []
    for rule in rules:
        try:
            pattern = read_pattern(rule.pattern)
        except EventcoreError as error:
            report(COMMAND, error, rule=rule.name)
            if arguments.json:
                _write_fault(rule, error)
            continue
        explained.append((rule, explain_values(pattern, event)))
    if arguments.json:
        _write_json(explained)
    elif arguments.rule is None:
        _write_all(explained, len(rules), verbose=arguments.verbose)
    elif explained:
        _write_one(*explained[0], verbose=arguments.verbose)
    if len(explained) < len(rules):
        return STATUS_BAD
    return 0 if any(_is_reached(*entry) for entry in explained) else 1


def _rules(arguments: argparse.Namespace) -> list[LintedRule]:
    """The rules to try, by name. Raises NotFound for a rule that a file does not have, and what the
    daemon answers.
    """
    name, bus = arguments.rule, arguments.bus
    if arguments.rules is None:
        bus = bus or "default"
        if name is not None:
            return [ask_endpoint(arguments, lambda client: fetch_rule(client, bus, name))]
        return ask_endpoint(arguments, lambda client: fetch_rules(client, bus))
    rules = sorted(read_rules(arguments.rules, arguments.region), key=lambda rule: rule.name)
    if bus is not None:
        rules = [rule for rule in rules if bus in (rule.bus, rule.bus_name)]
    if name is None:
        return rules
    rules = [rule for rule in rules if rule.name == name]
    if len(rules) != 1:
        if rules:
            raise InvalidParameter("--rule", f"Several buses have a rule {name!r}: give --bus.")
        raise NotFound("rule", name, arguments.rules)
    return rules


def _is_reached(rule: LintedRule, explanation: Explanation) -> bool:
    return explanation.is_match and rule.is_enabled


def _write_json(explained: list[tuple[LintedRule, Explanation]]) -> None:
    for rule, explanation in explained:
        write_json(
            {
                "rule": rule.name,
                "bus": rule.bus_name,
                "is_enabled": rule.is_enabled,
                "is_match": explanation.is_match,
                "branches": explanation.branches,
            }
        )


def _write_fault(rule: LintedRule, error: EventcoreError) -> None:
    write_json(
        {
            "rule": rule.name,
            "bus": rule.bus_name,
            "is_enabled": rule.is_enabled,
            "is_match": None,
            "branches": [],
            "error": str(error),
        }
    )


def _write_one(rule: LintedRule, explanation: Explanation, *, verbose: bool) -> None:
    sys.stdout.write(explanation.text(verbose=verbose) + "\n")
    if not rule.is_enabled:
        sys.stdout.write("the rule is disabled: it gets no events\n")


def _write_all(
    explained: list[tuple[LintedRule, Explanation]], count: int, *, verbose: bool
) -> None:
    """The answers of those rules, of `count`, that have a valid pattern."""
    reached = [entry for entry in explained if _is_reached(*entry)]
    others = [entry for entry in explained if not _is_reached(*entry)]
    verb = "matches" if 1 in (count, len(reached)) else "match"
    sys.stdout.write(f"{len(reached)} of {count} rule{'' if count == 1 else 's'} {verb}\n")
    for rule, explanation in [*reached, *others]:
        name = describe_path(rule.name)
        if verbose:
            text = explanation.text(verbose=True).replace("\n", "\n  ")
            disabled = "" if rule.is_enabled else " (disabled)"
            sys.stdout.write(f"\n{name}{disabled}: {text}\n")
        elif explanation.is_match:
            verdict = "matches" if rule.is_enabled else "is disabled, else it would match"
            sys.stdout.write(f"  {name}: {verdict}\n")
        else:
            sys.stdout.write(f"  {name}: does not match: {explanation.first_failure}\n")
