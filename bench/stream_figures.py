"""What the measurements of streams came to: figures with their targets, as a table and as a file.

A figure is the median of its rounds; all rounds are kept. Figures that are no target of their own
(`target` is None) say where the others come from.
"""

from __future__ import annotations

import json
import platform
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median

__all__ = ["Curve", "Figure", "Results", "figure", "show", "write"]


@dataclass(frozen=True)
class Figure:
    """One number. `target` is met at or below it, or at or above it where `is_least`."""

    part: str
    name: str
    unit: str
    value: float
    rounds: tuple[float, ...]
    target: float | None = None
    is_least: bool = False

    @property
    def verdict(self) -> str:
        """Whether the target is met; nothing without one."""
        if self.target is None:
            return ""
        is_met = self.value >= self.target if self.is_least else self.value <= self.target
        return "met" if is_met else "MISSED"


def figure(
    part: str,
    name: str,
    unit: str,
    rounds: Iterable[float],
    *,
    at_most: float | None = None,
    at_least: float | None = None,
) -> Figure:
    """A figure of its rounds."""
    values = tuple(rounds)
    target = at_most if at_least is None else at_least
    return Figure(part, name, unit, median(values), values, target, at_least is not None)


@dataclass(frozen=True)
class Curve:
    """CPU µs of an operation against a size that it should not depend on."""

    operation: str
    against: str
    points: tuple[tuple[int, float], ...]

    @property
    def growth(self) -> float:
        """How much more the operation costs at the largest size than at the smallest."""
        return self.points[-1][1] / self.points[0][1]


@dataclass
class Results:
    """Everything that was measured in one go. `faults` are proofs that failed."""

    figures: list[Figure] = field(default_factory=list)
    curves: list[Curve] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    python: str = platform.python_version()
    machine: str = f"{platform.system()} {platform.machine()}"

    @property
    def is_good(self) -> bool:
        """Nothing lost, and no target missed."""
        return not self.faults and all(one.verdict != "MISSED" for one in self.figures)


def write(results: Results, path: Path) -> None:
    """Keeps everything as JSON."""
    path.write_text(json.dumps(asdict(results), indent=1), encoding="utf-8")


def show(results: Results) -> None:
    """Prints everything as tables."""
    if results.figures:
        head = ("part", "figure", "unit", "median", "least", "most", "target", "")
        _table([head, *(_row(one) for one in results.figures)], left=3)
    for curve in results.curves:
        sizes = [f"{size:,}" for size, _ in curve.points]
        costs = [f"{cost:.2f}" for _, cost in curve.points]
        print(f"\n{curve.operation}: CPU µs by {curve.against} (last : first {curve.growth:.2f})")
        _table([sizes, costs], left=0)
    for fault in results.faults:
        print(f"FAILED: {fault}", file=sys.stderr)


def _row(one: Figure) -> tuple[str, ...]:
    sign = ">=" if one.is_least else "<="
    target = "" if one.target is None else f"{sign} {one.target:,g}"
    numbers = (_digits(value) for value in (one.value, min(one.rounds), max(one.rounds)))
    return (one.part, one.name, one.unit, *numbers, target, one.verdict)


def _digits(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1_000 else f"{value:.3g}"


def _table(rows: Sequence[Sequence[str]], left: int) -> None:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = [
            cell.ljust(width) if column < left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        print("  ".join(cells).rstrip())
