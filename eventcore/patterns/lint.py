"""What is wrong, or is likely not meant, with the rules of event buses, found without any event.

- A finding of severity `error` is certain: the rule, or what it asks for, can never work. `warning`
  is what works in a way that is seldom meant. `note` is worth knowing. What is said of rules is
  true; that it is not meant so is a guess.
- Messages and suggestions are safe to show on a terminal: what is not printable is escaped.
- Findings are in the order of their buses and rules, the same for the same rules.
- Each pattern is looked at by itself; then rules of one bus with each other; then rules that send
  to other buses. Comparing ends after COMPARISONS_MAX, and a note tells so.
- Rules that are disabled, or that no event can match, are looked at by themselves only.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Final, TypeAlias, final

import msgspec

from eventcore.arn import DEFAULT_ACCOUNT, DEFAULT_REGION, bus_arn
from eventcore.errors import EventcoreError, InvalidParameter, InvalidPattern
from eventcore.patterns.conditions import Condition, Exact
from eventcore.patterns.describe import (
    ABSENT_TEXT,
    describe_condition,
    describe_path,
    describe_tests,
    escape_text,
)
from eventcore.patterns.implication import follows_from_envelope, implies, never_match_together
from eventcore.patterns.pattern import Branch, Pattern
from eventcore.patterns.pitfalls import Pitfall, dropped_lists, pitfalls_of
from eventcore.patterns.trial import PatternLike, pattern_text, read_pattern

__all__ = [
    "COMPARISONS_MAX",
    "COMPARISON_CUT",
    "ERROR",
    "NOTE",
    "SEVERITIES",
    "WARNING",
    "Finding",
    "LintedRule",
    "RulesLike",
    "lint",
]

ERROR: Final = "error"
WARNING: Final = "warning"
NOTE: Final = "note"
SEVERITIES: Final = (ERROR, WARNING, NOTE)
"""From the worst down."""
COMPARISONS_MAX: Final = 500_000
"""Entries of patterns' lists that one call compares with those of other rules, for each of its two
questions: which rules imply others, and which rules of two buses may match one event.
"""
COMPARISON_CUT: Final = "comparison-cut"
"""The code of the note that not all of them were made."""
NAMES_SHOWN: Final = 5
_DEFAULT_BUS: Final = bus_arn(DEFAULT_ACCOUNT, DEFAULT_REGION, "default")
_BUS_RESOURCE: Final = ":event-bus/"


@final
class LintedRule(msgspec.Struct, frozen=True):
    """A rule to look at. `targets` are ARNs or URLs; `bus` is the ARN of its bus."""

    name: str
    pattern: str
    targets: tuple[str, ...] = ()
    is_enabled: bool = True
    bus: str = _DEFAULT_BUS

    @property
    def bus_name(self) -> str:
        """The name of its bus."""
        return _bus_name(self.bus)


@final
class Finding(msgspec.Struct, frozen=True):
    """One thing that was found. `code` names its kind; `rule` and `path` are "" where it concerns
    none; `bus` is the name of the bus.
    """

    severity: str
    code: str
    bus: str
    rule: str
    path: str
    message: str
    suggestion: str = ""


RulesLike: TypeAlias = Mapping[str, PatternLike] | Iterable[LintedRule]


class _Compiled(msgspec.Struct, frozen=True):
    """A rule with its pattern; how many entries its lists have; how many of these are operators."""

    rule: LintedRule
    pattern: Pattern
    entries: int
    operators: int


def lint(rules: RulesLike) -> tuple[Finding, ...]:
    """Looks for faults in rules: patterns by their names, or `LintedRule`s of any buses.

    A pattern that is not valid is a finding. Raises InvalidParameter("rules") for what are no
    rules.
    """
    findings: list[Finding] = []
    buses: dict[str, list[_Compiled]] = defaultdict(list)
    for rule in sorted(_rules(rules), key=lambda rule: (rule.bus, rule.name)):
        try:
            compiled = _compiled(rule)
        except EventcoreError as error:
            reason = error.reason if isinstance(error, InvalidPattern) else str(error)
            findings.append(_finding(ERROR, "invalid-pattern", rule, "", reason))
            continue
        faults = _faults_of(compiled)
        findings += faults
        if rule.is_enabled and all(finding.severity != ERROR for finding in faults):
            buses[rule.bus].append(compiled)
    for enabled in buses.values():
        findings += _exists_of_objects(enabled)
    overlap_budget, forwarding_budget = _Budget(), _Budget()
    for enabled in buses.values():
        findings += _overlaps(enabled, overlap_budget)
    findings += _forwarding(buses, forwarding_budget)
    if overlap_budget.is_spent or forwarding_budget.is_spent:
        findings.append(_cut_finding())
    findings.sort(key=lambda finding: (finding.bus, finding.rule))
    return tuple(findings)


def _compiled(rule: LintedRule) -> _Compiled:
    pattern = read_pattern(rule.pattern)
    conditions = list(_conditions(pattern))
    entries = sum(len(c.tests) + c.may_be_absent for c in conditions)
    values = sum(isinstance(test, Exact) for c in conditions for test in c.tests)
    return _Compiled(rule, pattern, entries, entries - values)


def _rules(rules: object) -> list[LintedRule]:
    if isinstance(rules, Mapping):
        return [LintedRule(_name(name), pattern_text(pattern)) for name, pattern in rules.items()]
    if isinstance(rules, str | bytes) or not isinstance(rules, Iterable):
        raise InvalidParameter("rules", "Must be a mapping, or LintedRules.", rules)
    listed = list(rules)
    for rule in listed:
        if not isinstance(rule, LintedRule):
            raise InvalidParameter("rules", "Must be a mapping, or LintedRules.", rule)
    return listed


def _name(name: object) -> str:
    if not isinstance(name, str):
        raise InvalidParameter("rules", "The name of a rule must be a str.", name)
    return name


@final
class _Budget:
    """What is left to compare."""

    def __init__(self) -> None:
        self._left = COMPARISONS_MAX
        self.is_spent = False

    def take(self, cost: int) -> bool:
        """Whether a comparison of so many entries may still be made; it is paid for then."""
        self._left -= cost
        self.is_spent = self._left < 0
        return not self.is_spent


# -- one rule --------------------------------------------------------------------------------------


def _faults_of(compiled: _Compiled) -> list[Finding]:
    """The pitfalls of each branch. What is wrong with every branch is the rule's, else it is that
    of an alternative of `$or`.
    """
    rule, branches = compiled.rule, compiled.pattern.branches
    findings = [
        _finding(WARNING, pitfall.code, rule, pitfall.path, pitfall.message, pitfall.suggestion)
        for pitfall in dropped_lists(rule.pattern)
    ]
    counts: dict[Pitfall, int] = defaultdict(int)
    dead_count = 0
    for branch in branches:
        pitfalls = list(dict.fromkeys(pitfalls_of(branch)))
        dead_count += any(pitfall.is_fatal for pitfall in pitfalls)
        for pitfall in pitfalls:
            counts[pitfall] += 1
    for pitfall, count in counts.items():
        severity, code, message = WARNING, pitfall.code, pitfall.message
        if pitfall.is_fatal and dead_count == len(branches):
            severity, code = ERROR, "dead-rule"
            message = f"No event can match. {message}"
        elif pitfall.is_fatal:
            code = "dead-alternative"
            message = f"No event can match {count} of {len(branches)} alternatives. {message}"
        findings.append(_finding(severity, code, rule, pitfall.path, message, pitfall.suggestion))
    return findings


# -- rules of one bus ------------------------------------------------------------------------------


def _exists_of_objects(rules: list[_Compiled]) -> Iterator[Finding]:
    """`exists` on a path below which other rules ask for fields: so it is an object at times, and
    an object is no value for a pattern.
    """
    inner: dict[str, str] = {}
    for compiled in rules:
        for condition in _conditions(compiled.pattern):
            steps = condition.steps
            for depth in range(2, len(steps)):
                inner.setdefault(".".join(steps[:depth]), compiled.rule.name)
    for compiled in rules:
        for condition in {c.path: c for c in _conditions(compiled.pattern)}.values():
            other = inner.get(condition.path)
            texts = describe_tests(condition)
            if other is None or other == compiled.rule.name:
                continue
            if texts not in (('{"exists":true}',), (ABSENT_TEXT,)):
                continue
            effect = "met" if condition.may_be_absent else "never met"
            yield _finding(
                WARNING,
                "exists-of-object",
                compiled.rule,
                condition.path,
                f"The rule {other} asks for fields below it. Where it is an object, "
                f"{describe_condition(condition)} is {effect}, since an object is no value.",
                "If it is always an object, ask for a field of it.",
            )


def _overlaps(rules: list[_Compiled], budget: _Budget) -> Iterator[Finding]:
    same: dict[frozenset[object], list[_Compiled]] = defaultdict(list)
    for compiled in rules:
        same[_form(compiled.pattern)].append(compiled)
    groups = {members[0].rule.name: _Group(members) for members in same.values()}
    for group in groups.values():
        yield from _same_patterns(group)
    index = _RuleIndex([group.members[0] for group in groups.values()])
    wider: dict[str, list[str]] = defaultdict(list)
    for narrow in index.rules:
        for wide in index.candidates(narrow):
            if not budget.take(_cost_of_implication(narrow, wide)):
                break
            if implies(narrow.pattern, wide.pattern):
                wider[narrow.rule.name].append(wide.rule.name)
        if budget.is_spent:
            break
    for name, names in wider.items():
        wide_groups = [groups[wide] for wide in names]
        for compiled in groups[name].members:
            yield _implied(compiled.rule, wide_groups)


def _cost_of_implication(narrow: _Compiled, wide: _Compiled) -> int:
    """Each entry of a list is looked up; those that are no plain values are tried one by one."""
    branches, wide_branches = len(narrow.pattern.branches), len(wide.pattern.branches)
    tried = max(wide.operators, wide_branches)
    return 1 + narrow.entries * tried + wide.entries * branches


@final
class _Group:
    """Rules of one bus with the same pattern, by name, and all their targets."""

    def __init__(self, members: list[_Compiled]) -> None:
        self.members = members
        self.targets = {target for member in members for target in member.rule.targets}


def _form(pattern: Pattern) -> frozenset[object]:
    """Equal for patterns that differ only in the order of what they list."""
    return frozenset(
        tuple((condition.path, frozenset(describe_tests(condition))) for condition in branch)
        for branch in pattern.branches
    )


def _same_patterns(group: _Group) -> Iterator[Finding]:
    """A finding for each member but the first."""
    names: list[str] = []
    targets: set[str] = set()
    for compiled in group.members:
        rule = compiled.rule
        shared = [target for target in dict.fromkeys(rule.targets) if target in targets]
        if names:
            yield _same_pattern(rule, _listed(names[:NAMES_SHOWN], len(names)), shared)
        names.append(rule.name)
        targets.update(rule.targets)


def _same_pattern(rule: LintedRule, names: str, shared: list[str]) -> Finding:
    if not shared:
        message = f"It has the same pattern as {names}."
        suggestion = "One rule can have up to 5 targets."
        return _finding(NOTE, "same-pattern", rule, "", message, suggestion)
    return _finding(
        WARNING,
        "same-pattern",
        rule,
        "",
        f"It has the same pattern as {names}, and {_listed(shared)} gets every event of it again.",
        "Delete one of the rules, or its target.",
    )


def _implied(rule: LintedRule, wide_groups: list[_Group]) -> Finding:
    members = (member.rule.name for group in wide_groups for member in group.members)
    names = _listed(islice(members, NAMES_SHOWN), sum(len(g.members) for g in wide_groups))
    targets = dict.fromkeys(rule.targets)
    shared = [target for target in targets if any(target in g.targets for g in wide_groups)]
    if not shared:
        message = f"Every event that it matches is matched by {names}, too."
        return _finding(NOTE, "implied", rule, "", message)
    return _finding(
        WARNING,
        "delivered-twice",
        rule,
        "",
        f"Every event that it matches is matched by {names}, too, and {_listed(shared)} gets it "
        "again.",
        "Narrow one of the patterns, or take the target out of one of the rules.",
    )


@final
class _RuleIndex:
    """Which rules can be implied by another at all.

    A branch is filed under one of its conditions, the one that the fewest rules share: under each
    value of its list, if that has plain values only, since what implies it has these values, too;
    else under its path.
    """

    def __init__(self, rules: list[_Compiled]) -> None:
        self.rules = rules
        self._files: dict[tuple[str, str], list[int]] = defaultdict(list)
        counts: dict[tuple[str, str], int] = defaultdict(int)
        for compiled in rules:
            for branch in compiled.pattern.branches:
                for keys in _keys_of(branch):
                    for key in keys:
                        counts[key] += 1
        for number, compiled in enumerate(rules):
            for branch in compiled.pattern.branches:
                choices = _keys_of(branch) or [[("", "")]]
                best = min(choices, key=lambda keys: sum(counts[key] for key in keys))
                for key in best:
                    self._files[key].append(number)

    def candidates(self, narrow: _Compiled) -> Iterator[_Compiled]:
        """Those that `narrow` may imply, without itself, in the order of the rules."""
        numbers = set(self._files.get(("", ""), ()))
        for condition in narrow.pattern.branches[0]:
            numbers.update(self._files.get((condition.path, ""), ()))
            for text in describe_tests(condition)[:1]:
                numbers.update(self._files.get((condition.path, text), ()))
        for number in sorted(numbers):
            if self.rules[number] is not narrow:
                yield self.rules[number]


def _keys_of(branch: Branch) -> list[list[tuple[str, str]]]:
    """The keys under which a branch may be filed, by condition."""
    return [
        [(condition.path, text) for text in texts]
        if all(not text.startswith("{") or text == ABSENT_TEXT for text in texts)
        else [(condition.path, "")]
        for condition in branch
        if not follows_from_envelope(condition)
        for texts in (describe_tests(condition),)
    ]


# -- rules that send to buses ----------------------------------------------------------------------


def _forwarding(buses: dict[str, list[_Compiled]], budget: _Budget) -> Iterator[Finding]:
    """Events that came from another bus go to no third one: what a rule will not forward."""
    senders: dict[str, list[tuple[_Compiled, str]]] = defaultdict(list)
    for bus, rules in buses.items():
        for compiled in rules:
            targets = dict.fromkeys(compiled.rule.targets)
            senders[bus] += [(compiled, target) for target in targets if _BUS_RESOURCE in target]
            if bus in targets:
                yield _self_target(compiled.rule)
    cut: dict[tuple[str, str, str], list[LintedRule]] = defaultdict(list)
    second_rules: dict[tuple[str, str, str], LintedRule] = {}
    for first, bus in [sender for several in senders.values() for sender in several]:
        for second, target in senders.get(bus, ()):
            if bus in (first.rule.bus, target):
                continue
            if not budget.take(1 + first.entries * second.entries):
                break
            if not never_match_together(first.pattern, second.pattern):
                key = (bus, second.rule.name, target)
                cut[key].append(first.rule)
                second_rules[key] = second.rule
    for key, rules_before in cut.items():
        yield _cut_chain(second_rules[key], key[2], rules_before)


def _self_target(rule: LintedRule) -> Finding:
    return _finding(
        WARNING,
        "bus-to-itself",
        rule,
        "",
        f"Its target is its own bus {_bus_name(rule.bus)}: every event that it matches passes the "
        "rules of the bus twice.",
        "Take the target out.",
    )


def _cut_chain(rule: LintedRule, target: str, before: list[LintedRule]) -> Finding:
    is_cycle = any(first.bus == target for first in before)
    names = _listed(f"{first.name} of {_bus_name(first.bus)}" for first in before)
    bus = _bus_name(target)
    return _finding(
        WARNING,
        "bus-cycle" if is_cycle else "bus-chain",
        rule,
        "",
        f"Events that come by {names} are not sent {'back' if is_cycle else 'on'} to {bus}: an "
        "event that came from another bus goes to no third one.",
        "" if is_cycle else f"Send them to {bus} by a rule of the bus that they are put on.",
    )


# -- findings --------------------------------------------------------------------------------------


def _finding(
    severity: str, code: str, rule: LintedRule, path: str, message: str, suggestion: str = ""
) -> Finding:
    return Finding(
        severity,
        code,
        rule.bus_name,
        rule.name,
        describe_path(path),
        escape_text(message),
        escape_text(suggestion),
    )


def _cut_finding() -> Finding:
    message = (
        "There are too many rules to compare all of them with each other: what one rule implies of "
        "another was found in part."
    )
    return Finding(NOTE, COMPARISON_CUT, "", "", "", message)


def _conditions(pattern: Pattern) -> Iterator[Condition]:
    for branch in pattern.branches:
        yield from branch


def _bus_name(arn: str) -> str:
    return arn.partition(_BUS_RESOURCE)[2] or arn


def _listed(names: Iterable[str], count: int | None = None) -> str:
    """The first names; `count` is how many there are, if `names` are not all."""
    listed = list(names)
    shown = listed[:NAMES_SHOWN]
    hidden = (len(listed) if count is None else count) - len(shown)
    return ", ".join(shown) + (f" and {hidden} more" if hidden else "")
