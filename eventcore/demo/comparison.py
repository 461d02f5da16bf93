"""The demo's result as text: every count of the queues beside the same count of the file."""

from __future__ import annotations

from eventcore.demo.flow import DemoOutcome
from eventcore.demo.tally import RuleResult

__all__ = ["render"]

COLUMN: int = 15


def render(outcome: DemoOutcome) -> str:
    """The whole report, some 35 lines of at most 100 columns."""
    rate = f" ({outcome.events / outcome.put_s:,.0f}/s)" if outcome.put_s else ""
    killed = f"; the daemon was killed {outcome.kills} times" if outcome.kills else ""
    lines = [
        f"{outcome.events:,} events put in {outcome.put_s:.1f} s{rate}, "
        f"{outcome.deliveries:,} messages counted after {outcome.elapsed_s:.1f} s{killed}",
        "",
        *_rule_lines(outcome.rules),
        "",
        *_carrier_lines(outcome.rules),
        "",
        _verdict(outcome),
    ]
    return "\n".join(lines)


def _rule_lines(rules: tuple[RuleResult, ...]) -> list[str]:
    lines = [
        f"{'rule':<26}{'in the file':>12}{'received':>10}{'lost':>7}{'foreign':>9}{'repeats':>9}"
    ]
    lines += [
        f"{rule.title:<26}{rule.expected:>12,}{rule.received:>10,}{rule.lost:>7,}"
        f"{rule.foreign:>9,}{rule.repeats:>9,}{'' if rule.is_equal else '   DIFFERENT'}"
        for rule in rules
    ]
    return lines


def _carrier_lines(rules: tuple[RuleResult, ...]) -> list[str]:
    counts = {rule.rule: {count.carrier: count for count in rule.carriers} for rule in rules}
    carriers = sorted({carrier for by_carrier in counts.values() for carrier in by_carrier})
    lines = ["carrier " + "".join(f"{rule.rule:>{COLUMN}}" for rule in rules)]
    for carrier in carriers:
        cells = []
        for rule in rules:
            count = counts[rule.rule].get(carrier)
            cells.append(_cell(count.expected, count.received) if count else "-")
        lines.append(f"{carrier:<8}" + "".join(f"{cell:>{COLUMN}}" for cell in cells))
    return lines


def _cell(expected: int, received: int) -> str:
    sign = "=" if expected == received else "≠"
    return f"{expected:,} {sign} {received:,}"


def _verdict(outcome: DemoOutcome) -> str:
    if outcome.is_equal:
        counts = sum(len(rule.carriers) for rule in outcome.rules) + len(outcome.rules)
        repeats = sum(rule.repeats for rule in outcome.rules)
        twice = (
            f"{repeats} repeats after lost answers, counted once" if repeats else "nothing twice"
        )
        return f"All {counts} counts are equal: nothing lost, {twice}."
    if not outcome.is_complete:
        return "NOT EQUAL: the run was not complete."
    return "NOT EQUAL: see the rows marked DIFFERENT, or repeats that no lost answer explains."
