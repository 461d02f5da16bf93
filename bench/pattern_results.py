"""What a measurement of pattern matching came to: its records, as a file and as tables.

All times are CPU time of one process. A `Figure` is the median of its rounds; `to_floor` is the
median of the rounds' own ratios to `orjson.loads` of the same events, measured next to it, so it
survives a noisy machine where the absolute figure does not.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

import msgspec
import orjson

__all__ = [
    "FLIGHTS",
    "FLOOR",
    "MATCH_ONLY",
    "MIXED",
    "OURS",
    "SHAPES",
    "Changes",
    "Difference",
    "Figure",
    "Loading",
    "Memory",
    "Results",
    "markdown_table",
    "read_results",
    "show",
    "write_results",
]

MIXED: Final = "mixed"
SHAPES: Final = "four shapes"
FLIGHTS: Final = "flights"
OURS: Final = "eventcore"
MATCH_ONLY: Final = "match only"
FLOOR: Final = "orjson.loads"


class Figure(msgspec.Struct, frozen=True):
    """Events through one engine with so many rules."""

    workload: str
    engine: str
    rules: int
    us_per_event: float
    to_floor: float
    matches_per_event: float | None = None
    rounds_us: tuple[float, ...] = ()

    @property
    def events_per_s(self) -> float:
        """Events per second of CPU time."""
        return 1e6 / self.us_per_event


class Difference(msgspec.Struct, frozen=True):
    """How often an engine's answer is not ours, over pairs of an event and a rule."""

    workload: str
    engine: str
    pairs: int
    matching: int
    """Pairs that match, as we say."""
    only_ours: int
    only_theirs: int
    refused: int
    """Rules that the engine does not accept; they are not among the pairs."""
    examples: tuple[str, ...] = ()
    """Rules with differing answers, with the number of such events; the worst first."""


class Changes(msgspec.Struct, frozen=True):
    """One rule more or less among `rules`: microseconds as (p50, p99, longest)."""

    rules: int
    add_us: tuple[float, float, float]
    remove_us: tuple[float, float, float]
    match_us: tuple[float, float, float]
    """A match with nothing changed, to compare the next ones with."""
    match_after_add_us: tuple[float, float, float]
    match_after_new_path_us: tuple[float, float, float]
    """The first match after a rule that names a field that no other rule names."""
    match_after_remove_us: tuple[float, float, float]

    def named(self) -> dict[str, tuple[float, float, float]]:
        """All of them, with names to print."""
        return {
            "add": self.add_us,
            "remove": self.remove_us,
            "match, nothing changed": self.match_us,
            "match after add": self.match_after_add_us,
            "match after add with a new field": self.match_after_new_path_us,
            "match after remove": self.match_after_remove_us,
        }


class Loading(msgspec.Struct, frozen=True):
    """From JSON texts to a matcher: seconds."""

    rules: int
    compile_s: float
    add_s: float
    first_match_s: float


class Memory(msgspec.Struct, frozen=True):
    """Size of a process with nothing but these rules (resident set, MB)."""

    rules: int
    empty_mb: float
    loaded_mb: float
    matched_mb: float
    """After `events` different events."""
    events: int


class Results(msgspec.Struct):
    """One run."""

    python: str
    versions: dict[str, str] = {}
    figures: list[Figure] = []
    differences: list[Difference] = []
    changes: list[Changes] = []
    loading: list[Loading] = []
    memory: list[Memory] = []


def write_results(results: Results, file: Path) -> None:
    """Replaces the file."""
    text = orjson.dumps(msgspec.to_builtins(results), option=orjson.OPT_INDENT_2)
    file.write_bytes(text + b"\n")


def read_results(file: Path) -> Results:
    """What `write_results` wrote."""
    return msgspec.json.decode(file.read_bytes(), type=Results)


# -- tables --------------------------------------------------------------------------------------


def show(results: Results) -> None:
    """Prints everything as Markdown tables."""
    packages = "".join(f", {name} {version}" for name, version in results.versions.items())
    print(f"Python {results.python}{packages}")
    for workload in dict.fromkeys(figure.workload for figure in results.figures):
        _show_workload(workload, [each for each in results.figures if each.workload == workload])
    _show_differences(results.differences)
    _show_costs(results)


def _show_workload(workload: str, figures: list[Figure]) -> None:
    sizes = sorted({figure.rules for figure in figures})
    by_place = {(figure.engine, figure.rules): figure for figure in figures}
    rows = []
    for engine in dict.fromkeys(figure.engine for figure in figures):
        cells = [_speed(by_place.get((engine, size))) for size in sizes]
        rows.append([f"{engine}, events/s", *cells])
        if engine != FLOOR:
            ratios = [by_place.get((engine, size)) for size in sizes]
            rows.append(
                ["x floor", *("" if each is None else f"{each.to_floor:,.1f}" for each in ratios)]
            )
    ours = [by_place.get((OURS, size)) for size in sizes]
    matches = [each.matches_per_event if each else None for each in ours]
    rows.append(["matches per event", *("" if each is None else f"{each:.2f}" for each in matches)])
    _table([f"{workload}, rules", *(f"{size:,}" for size in sizes)], rows)


def _speed(figure: Figure | None) -> str:
    if figure is None:
        return ""
    speed = figure.events_per_s
    return f"{speed:,.0f}" if speed >= 10 else f"{speed:.2g}"


def _show_differences(differences: list[Difference]) -> None:
    if not differences:
        return
    head = ["answers", "pairs", "matching", "only eventcore", "only the other", "rules refused"]
    _table(
        head,
        (
            [
                f"{each.workload}: {each.engine}",
                *(f"{count:,}" for count in (each.pairs, each.matching)),
                *(f"{count:,}" for count in (each.only_ours, each.only_theirs, each.refused)),
            ]
            for each in differences
        ),
    )
    for each in differences:
        for example in each.examples:
            print(f"  {each.workload}, {each.engine}: {example}")


def _show_costs(results: Results) -> None:
    for changes in results.changes:
        rows = [
            [name, *(f"{value:,.0f}" for value in values)]
            for name, values in changes.named().items()
        ]
        _table([f"us, of {changes.rules:,} rules", "p50", "p99", "longest"], rows)
    if results.loading:
        _table(
            ["load, rules", "compile s", "add s", "first match s"],
            (
                [
                    f"{each.rules:,}",
                    *(f"{value:.3f}" for value in (each.compile_s, each.add_s, each.first_match_s)),
                ]
                for each in results.loading
            ),
        )
    if results.memory:
        _table(
            ["memory, rules", "empty MB", "loaded MB", "after events MB", "rules alone MB"],
            (
                [
                    f"{each.rules:,}",
                    *(f"{mb:.0f}" for mb in (each.empty_mb, each.loaded_mb, each.matched_mb)),
                    f"{each.loaded_mb - each.empty_mb:.0f}",
                ]
                for each in results.memory
            ),
        )


def markdown_table(head: list[str], rows: Iterable[list[str]]) -> str:
    """The table as Markdown, aligned: the first column to the left, figures to the right."""
    rows = list(rows)
    widths = [max(3, *(len(row[place]) for row in [head, *rows])) for place in range(len(head))]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    lines = []
    for row in [head, rule, *rows]:
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _table(head: list[str], rows: Iterable[list[str]]) -> None:
    print(f"\n{markdown_table(head, rows)}")
