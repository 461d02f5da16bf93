"""Plots of a results file, as SVG. Needs matplotlib (`pip install -e ".[bench]"`), only here.

The same results make the same file: text stays text, ids have a fixed salt, and no date is in it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bench.pattern_load import FAMILIES
from bench.pattern_peers import PEERS
from bench.pattern_results import FLIGHTS, FLOOR, MIXED, OURS, SHAPES, Figure, Results

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["FAMILIES_PLOT", "MIXED_PLOT", "write_plots"]

MIXED_PLOT: Final = "event-patterns-mixed.svg"
FAMILIES_PLOT: Final = "event-patterns-families.svg"

COLORS: Final = (
    *("#0072b2", "#009e73", "#d55e00", "#cc79a7", "#e69f00", "#56b4e9", "#7a5195"),
    "#333333",
)
"""Told apart by the colour-blind as well."""
MARKERS: Final = "osD^vPX*"
STYLE: Final[dict[str, Any]] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "eventcore",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "Verdana", "Arial"],
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.6,
    "lines.markersize": 5,
    "legend.frameon": False,
}
NO_METADATA: Final = dict.fromkeys(("Creator", "Date", "Format", "Type"))


def write_plots(results: Results, folder: Path) -> list[Path]:
    """Writes the plots for which there are figures. The files written."""
    import matplotlib as mpl  # noqa: PLC0415 - optional, and only for plots

    folder.mkdir(parents=True, exist_ok=True)
    files = []
    with mpl.rc_context(STYLE):
        for name, curves, unit in (
            (MIXED_PLOT, _mixed(results), "events/s of CPU time"),
            (FAMILIES_PLOT, _families(results), "CPU µs per event"),
        ):
            if any(len(figures) > 1 for figures in curves.values()):
                _draw(folder / name, curves, unit)
                files.append(folder / name)
    return files


def _mixed(results: Results) -> dict[str, list[Figure]]:
    curves = {
        OURS: _figures(results, MIXED, OURS),
        f"{OURS}, four shapes": _figures(results, SHAPES, OURS),
        f"{OURS}, flights": _figures(results, FLIGHTS, OURS),
    }
    curves |= {peer: _figures(results, MIXED, peer) for peer in PEERS}
    return curves | {FLOOR: _figures(results, MIXED, FLOOR)}


def _families(results: Results) -> dict[str, list[Figure]]:
    curves = {family: _figures(results, family, OURS) for family in FAMILIES}
    return curves | {FLOOR: _figures(results, next(iter(FAMILIES)), FLOOR)}


def _figures(results: Results, workload: str, engine: str) -> list[Figure]:
    chosen = [
        each for each in results.figures if each.workload == workload and each.engine == engine
    ]
    return sorted(chosen, key=lambda each: each.rules)


def _draw(file: Path, curves: dict[str, list[Figure]], unit: str) -> None:
    from matplotlib.figure import Figure as Drawing  # noqa: PLC0415 - see write_plots

    drawing = Drawing(figsize=(7.2, 4.4), layout="constrained")
    axes = drawing.add_subplot()
    is_speed = unit.startswith("events/s")
    for place, (name, figures) in enumerate(curves.items()):
        is_floor = name.startswith(FLOOR)
        axes.plot(
            [each.rules for each in figures],
            [each.events_per_s if is_speed else each.us_per_event for each in figures],
            label=name,
            color="#888888" if is_floor else COLORS[place],
            marker=None if is_floor else MARKERS[place],
            linestyle="--" if is_floor else "-",
        )
    _label(axes, unit)
    drawing.legend(loc="outside lower center", ncols=3)
    drawing.savefig(file, metadata=NO_METADATA)
    # matplotlib leaves blanks at the ends of lines.
    text = file.read_text(encoding="utf-8")
    file.write_text("".join(f"{line.rstrip()}\n" for line in text.splitlines()), encoding="utf-8")


def _label(axes: Axes, unit: str) -> None:
    from matplotlib.ticker import LogLocator  # noqa: PLC0415 - see write_plots

    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("rules")
    axes.set_ylabel(unit)
    if not unit.startswith("events/s"):
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.minorticks_off()
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(lambda value, _: f"{value:,.0f}" if value >= 1 else f"{value:g}")
