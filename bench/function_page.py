"""The measured part of docs/performance/functions.md, made of results.

What stands between the two marks of the page is replaced; the rest is written by hand.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

import msgspec

from bench.stream_figures import Curve, Figure, Results

__all__ = ["read_results", "update_page"]

BEGIN: Final = "<!-- what follows is written by bench.bench_functions --page -->\n"
END: Final = "<!-- end of what is written -->\n"
TITLES: Final = {
    "queue": "Queue to handler",
    "stream": "Stream of one shard to handler",
    "start": "From the call to the handler's first statement",
    "process": "Functions in processes",
    "bisect": "One poison record among 1,000",
    "idle": "1,000 idle mappings",
    "threads": "Plain functions beside a saturated loop",
}


def read_results(path: Path) -> Results:
    """Results that were written with `--json`. Raises OSError, msgspec.DecodeError."""
    return msgspec.json.decode(path.read_bytes(), type=Results)


def update_page(results: Results, page: Path) -> None:
    """Replaces the measured part. Raises ValueError if the page lacks one of its marks."""
    text = page.read_text(encoding="utf-8")
    begin, end = text.index(BEGIN) + len(BEGIN), text.index(END)
    page.write_text(f"{text[:begin]}\n{_measured(results)}\n{text[end:]}", encoding="utf-8")


def _measured(results: Results) -> str:
    parts = [f"The machine: {results.machine}."]
    for part, title in TITLES.items():
        figures = [one for one in results.figures if one.part == part]
        if figures:
            parts += [f"## {title}", _figures(figures)]
    if results.curves:
        parts += ["## What should not matter", "CPU µs of an operation.", _curves(results.curves)]
    return "\n\n".join(parts) + "\n"


def _figures(figures: Iterable[Figure]) -> str:
    head = ["", "unit", "median", "least", "most", "asked"]
    rows = []
    for one in figures:
        asked = ""
        if one.target is not None:
            sign = "at least" if one.is_least else "at most"
            asked = f"{sign} {_digits(one.target)}" + (", missed" if one.verdict != "met" else "")
        numbers = [_digits(value) for value in (one.value, min(one.rounds), max(one.rounds))]
        rows.append([one.name, one.unit, *numbers, asked])
    return _table(head, rows)


def _curves(curves: Iterable[Curve]) -> str:
    rows = []
    for curve in curves:
        points = ", ".join(f"{size:,}: {_digits(cost)}" for size, cost in curve.points)
        rows.append([curve.operation, curve.against, points, f"{curve.growth:.2f}"])
    return _table(["operation", "by", "size: µs", "last : first"], rows)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _digits(value: float) -> str:
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"
