"""The measured part of docs/performance/event-patterns.md, made of a results file.

What stands between the two marks of the page is replaced; the rest is written by hand.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from bench.pattern_load import FAMILIES
from bench.pattern_peers import PEERS
from bench.pattern_results import (
    FLIGHTS,
    MATCH_ONLY,
    MIXED,
    OURS,
    SHAPES,
    Figure,
    Results,
    markdown_table,
)

__all__ = ["update_page"]

BEGIN: Final = "<!-- what follows is written by bench.bench_patterns --page -->\n"
END: Final = "<!-- end of what is written -->\n"
TITLES: Final = {MIXED: "orders", SHAPES: "orders, four shapes", FLIGHTS: "flights"}

MIXED_TARGETS: Final = {1: 300_000, 100: 150_000, 1_000: 140_000, 10_000: 60_000, 100_000: 25_000}
"""Events per second at the least, by number of rules."""
MATCH_TARGET: Final = 3.0
"""The floors that matching 1,000 mixed rules may cost, parsing excluded."""
CHANGE_TARGET_US: Final = 1_000
LOAD_TARGET_S: Final = 1
MEMORY_TARGET_MB: Final = 60
TARGET_RULES: Final = 10_000


def update_page(results: Results, page: Path) -> None:
    """Replaces the measured part. Raises ValueError if the page lacks one of its marks."""
    text = page.read_text(encoding="utf-8")
    begin, end = text.index(BEGIN) + len(BEGIN), text.index(END)
    page.write_text(f"{text[:begin]}\n{_measured(results)}\n{text[end:]}", encoding="utf-8")


def _measured(results: Results) -> str:
    packages = "".join(f", {name} {version}" for name, version in results.versions.items())
    parts = [
        f"Python {results.python}{packages}.",
        "## Figures",
        "Events per second by number of rules, and in brackets the time as a multiple of the "
        "floor.\nWhere nothing else stands, it is eventcore, and parsing is included.",
        markdown_table(["", *(f"{size:,}" for size in _sizes(results))], _speeds(results)),
        "## Targets",
        "For a quiet machine. The floors do not depend on it.",
        markdown_table(["", "target", "measured"], _targets(results)),
        "## Rules that come and go",
        "Microseconds, of mixed rules.",
        markdown_table(["", "rules", "p50", "p99", "longest"], _changes(results)),
        "## Answers of the other matchers",
        "Pairs of an event and a rule on which they do not agree with eventcore.",
        markdown_table(
            ["", "pairs", "of them match", "only eventcore matches", "only the other"],
            _answers(results),
        ),
    ]
    return "\n\n".join(parts) + "\n"


def _sizes(results: Results) -> list[int]:
    return sorted({figure.rules for figure in results.figures})


def _speeds(results: Results) -> Iterator[list[str]]:
    rows = [(TITLES.get(name, name), name, OURS) for name in (MIXED, SHAPES, FLIGHTS)]
    rows.insert(1, ("orders, parsed beforehand", MIXED, MATCH_ONLY))
    rows += [(name, name, OURS) for name in FAMILIES]
    rows += [(f"orders, {peer}", MIXED, peer) for peer in PEERS]
    for title, workload, engine in rows:
        found = {size: _figure(results, workload, engine, size) for size in _sizes(results)}
        if any(found.values()):
            yield [title, *(_speed(each) for each in found.values())]
        if workload in TITLES and engine == OURS:
            yield [f"{title}: rules that match an event", *map(_matches, found.values())]


def _figure(results: Results, workload: str, engine: str, rules: int) -> Figure | None:
    for each in results.figures:
        if (each.workload, each.engine, each.rules) == (workload, engine, rules):
            return each
    return None


def _speed(figure: Figure | None) -> str:
    if figure is None:
        return ""
    speed, ratio = figure.events_per_s, figure.to_floor
    digits = f"{round(speed, 2 - len(str(int(speed)))):,.0f}" if speed >= 10 else f"{speed:.1f}"
    return f"{digits} ({ratio:.1f})" if ratio < 100 else f"{digits} ({ratio:,.0f})"


def _matches(figure: Figure | None) -> str:
    if figure is None or figure.matches_per_event is None:
        return ""
    return f"{figure.matches_per_event:.2g}"


def _targets(results: Results) -> Iterator[list[str]]:
    for rules, target in MIXED_TARGETS.items():
        figure = _figure(results, MIXED, OURS, rules)
        if figure is not None:
            row = f"orders, events/s with {rules:,} rule{'s' if rules > 1 else ''}"
            measured = f"{round(figure.events_per_s, -2):,.0f}, {figure.to_floor:.1f} floors"
            yield [row, f"{target:,}", measured]
    match = _figure(results, MIXED, MATCH_ONLY, 1_000)
    if match is not None:
        row = "matching 1,000 mixed rules, parsed beforehand"
        yield [row, f"{MATCH_TARGET:.0f} floors", f"{match.to_floor:.1f} floors"]
    for changes in (each for each in results.changes if each.rules == TARGET_RULES):
        target = f"{CHANGE_TARGET_US:,} µs"
        longest = f"{changes.add_us[2]:,.0f} and {changes.remove_us[2]:,.0f} µs at the longest"
        yield [f"add and remove one of {TARGET_RULES:,} rules", target, longest]
    for loading in (each for each in results.loading if each.rules == TARGET_RULES):
        seconds = loading.compile_s + loading.add_s
        yield [f"load {TARGET_RULES:,} rules", f"{LOAD_TARGET_S} s", f"{seconds:.2f} s"]
    for memory in results.memory:
        target = f"{MEMORY_TARGET_MB} MB" if memory.rules == TARGET_RULES else ""
        measured = (
            f"{memory.matched_mb:.0f} MB after {memory.events:,} events "
            f"({memory.empty_mb:.0f} without rules)"
        )
        yield [f"process with {memory.rules:,} rules", target, measured]


def _changes(results: Results) -> Iterator[list[str]]:
    for changes in results.changes:
        for name, times in changes.named().items():
            yield [name, f"{changes.rules:,}", *(f"{us:,.0f}" for us in times)]


def _answers(results: Results) -> Iterator[list[str]]:
    for each in results.differences:
        if each.engine in PEERS:
            counts = (each.pairs, each.matching, each.only_ours, each.only_theirs)
            title = f"{each.engine}: {TITLES.get(each.workload, each.workload)}"
            yield [title, *(f"{count:,}" for count in counts)]
