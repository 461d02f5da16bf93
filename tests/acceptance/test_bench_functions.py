"""The measurements of functions work: every part runs, proves what it carried, and says figures.
No figure is looked at.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.bench_functions import PARTS, TINY, measure
from bench.function_bisect import MOST
from bench.function_load import Rounds, Spent, machine, state
from bench.function_page import BEGIN, END, read_results, update_page
from bench.stream_figures import Curve, Figure, Results, figure, write


async def measured(part: str) -> Results:
    results = Results()
    await measure(part, results, TINY)
    assert results.faults == []
    return results


def named(results: Results, name: str) -> Figure:
    (found,) = (one for one in results.figures if one.name == name)
    return found


@pytest.mark.parametrize("part", sorted(set(PARTS) - {"bisect", "curves"}))
async def test_a_part_is_proven_and_has_figures(part: str, tmp_path: Path) -> None:
    results = await measured(part)
    assert {one.part for one in results.figures} == {part}
    assert all(one.value >= 0 for one in results.figures)
    write(results, tmp_path / "results.json")
    assert read_results(tmp_path / "results.json") == results


async def test_a_poison_record_is_isolated_as_fast_as_was_asked_for() -> None:
    results = await measured("bisect")
    assert named(results, "places of the poison").value == TINY.places
    assert named(results, "until the poison stands alone, most").value <= MOST


async def test_every_curve_has_a_point_for_each_size() -> None:
    results = await measured("curves")
    assert len(results.curves) == 14
    assert all(len(curve.points) >= 1 and curve.growth > 0 for curve in results.curves)
    of_functions = [curve for curve in results.curves if curve.against == "functions"]
    assert [[size for size, _ in curve.points] for curve in of_functions] == [[1, 10]] * 3


def test_figures_are_medians_with_targets() -> None:
    rounds = Rounds("queue")
    for seconds in (1.0, 4.0, 2.0):
        rounds.add_cost("batch 10", "messages", Spent(seconds, 0.5), 1_000, at_least=400)
    rate, cost = rounds.figures()
    assert (rate.unit, rate.value, rate.rounds) == ("messages/s", 500, (1_000, 250, 500))
    assert rate.verdict == "met"
    assert (cost.unit, cost.value, cost.verdict) == ("CPU ms/1,000 messages", 500, "")


def test_the_machine_is_described() -> None:
    assert "cores" in machine()
    assert "fsync" in state()


def test_a_page_is_renewed_between_its_marks(tmp_path: Path) -> None:
    page = tmp_path / "functions.md"
    page.write_text(f"# Speed\n\n{BEGIN}old\n{END}rest\n")
    results = Results(machine="two cores")
    results.figures.append(
        figure("queue", "batch 10", "messages/s", [9_000, 30_000, 1], at_least=1e4)
    )
    results.curves.append(Curve("invoke", "functions", ((1, 20.0), (100, 30.0))))
    update_page(results, page)
    text = page.read_text()
    assert text.startswith("# Speed\n\n" + BEGIN)
    assert text.endswith(END + "rest\n")
    assert "old" not in text
    assert "| batch 10 | messages/s | 9,000 | 1 | 30,000 | at least 10,000, missed |" in text
    assert "| invoke | functions | 1: 20, 100: 30 | 1.50 |" in text
