from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from random import Random
from unittest.mock import patch

import pytest

from eventcore.patterns import range_table
from eventcore.patterns.conditions import Range
from eventcore.patterns.range_table import RangeTable


def always(size: int) -> bool:
    return True


def never(size: int) -> bool:
    return False


@pytest.fixture(params=["low", "real"])
def bounds(request: pytest.FixtureRequest) -> Iterator[str]:
    """The real sizes of blocks and groups, and sizes that some dozen cuts pass."""
    if request.param == "real":
        yield "real"
        return
    with (
        patch.object(range_table, "_CUTS_MAX", 2),
        patch.object(range_table, "_CUTS_MAX_OF_LONG_MASKS", 4),
        patch.object(range_table, "_LONG_MASK_BITS", 40),
        patch.object(range_table, "_BLOCKS_MAX", 2),
    ):
        yield "low"


def check(
    table: RangeTable, ranges: Mapping[int, Sequence[Range]], numbers: Sequence[float]
) -> None:
    """The answers are those of the ranges, and the table's order is what look-ups rely on."""
    for number in numbers:
        expected = sum(
            1 << slot
            for slot, each in ranges.items()
            if any(one.low <= number < one.high for one in each)
        )
        assert table.get(number) == expected, number
    cuts: list[float] = []
    assert table._starts == [group.starts[0] for group in table._groups]
    for group in table._groups:
        assert group.blocks
        assert group.starts == [block.cuts[0] for block in group.blocks]
        assert len(group.blocks) <= range_table._BLOCKS_MAX
        for block in group.blocks:
            assert len(block.cuts) <= range_table._CUTS_MAX_OF_LONG_MASKS
            cuts += block.cuts
    assert cuts == sorted(set(cuts))
    assert len(cuts) == len(table)


def random_ranges(random: Random, span: int) -> list[Range]:
    """Up to three ranges, some of them empty, some without an end."""
    ends = [float(random.randrange(span)) for _ in range(6)]
    ends += [-math.inf, math.inf] if random.random() < 0.2 else []
    return [Range(random.choice(ends), random.choice(ends)) for _ in range(random.randrange(1, 4))]


def probes(span: int) -> list[float]:
    """The numbers at which answers change, and those between them."""
    return [number / 2 for number in range(-2, 2 * span + 2)] + [-math.inf, 1e300]


@pytest.mark.parametrize("seed", range(6))
def test_random_ranges_come_and_go_as_by_brute_force(bounds: str, seed: int):
    random = Random(f"{bounds}/{seed}")
    span = random.choice([5, 40, 400])
    table = RangeTable(random.choice([always, never]))
    ranges: dict[int, list[Range]] = {}
    for step in range(300):
        slot = random.randrange(80)
        if slot in ranges:
            table.discard(ranges.pop(slot), slot)
        else:
            ranges[slot] = random_ranges(random, span)
            table.add(ranges[slot], slot)
        if step % 30 == 0:
            check(table, ranges, probes(span))
        table.get(random.randrange(span))
    for slot, each in ranges.items():
        table.discard(each, slot)
    check(table, {}, probes(span))
    assert table._groups == []


@pytest.mark.parametrize("order", ["ascending", "descending", "from both ends"])
def test_many_ranges_are_split_into_groups_and_all_go_again(bounds: str, order: str):
    slots = list(range(200 if bounds == "low" else 3_000))
    if order == "descending":
        slots.reverse()
    elif order == "from both ends":
        slots = [slot for pair in zip(slots, reversed(slots), strict=True) for slot in pair]
        slots = slots[: len(slots) // 2]
    table = RangeTable(always)
    ranges = {slot: [Range(float(slot), slot + 2.5)] for slot in slots}
    for slot in slots:
        table.add(ranges[slot], slot)
    asked = [float(number) for number in range(-1, len(slots) + 3, max(len(slots) // 50, 1))]
    check(table, ranges, asked)
    assert len(table._groups) > 1
    for place, slot in enumerate(slots):
        table.discard(ranges.pop(slot), slot)
        if place % (len(slots) // 4) == 0:
            check(table, ranges, asked)
    assert (len(table), table._groups, table._starts) == (0, [], [])
    table.add([Range(1.0, 2.0)], 7)
    assert (table.get(1.5), table.get(2.0)) == (1 << 7, 0)


def test_ranges_of_one_slot_that_overlap_or_touch_count_once():
    table = RangeTable(always)
    ranges = [Range(5.0, 9.0), Range(1.0, 3.0), Range(3.0, 5.0), Range(2.0, 4.0), Range(7.0, 7.0)]
    table.add(ranges, 3)
    assert len(table) == 2
    assert [table.get(number) for number in (0.9, 1, 3, 5, 8.9, 9)] == [0, 8, 8, 8, 8, 0]
    table.discard(list(reversed(ranges)), 3)
    assert len(table) == 0


def test_slots_with_the_same_bounds_share_cuts_and_leave_one_by_one(bounds: str):
    table = RangeTable(always)
    for slot in range(30):
        table.add([Range(1.0, 2.0 if slot % 2 else 3.0)], slot)
    assert len(table) == 3
    for slot in range(0, 30, 2):
        table.discard([Range(1.0, 3.0)], slot)
    assert (table.get(1.0), table.get(2.0)) == (sum(1 << slot for slot in range(1, 30, 2)), 0)
    assert len(table) == 2


def test_the_two_zeros_are_one_bound():
    table = RangeTable(always)
    table.add([Range(-0.0, 1.0)], 0)
    table.add([Range(0.0, 1.0)], 1)
    assert (table.get(0.0), table.get(-0.0), len(table)) == (3, 3, 2)
    table.discard([Range(0.0, 1.0)], 0)
    assert table.get(-0.0) == 2


def test_sums_are_remembered_only_where_there_is_room_and_forgotten_on_demand():
    asked: list[int] = []

    def once(size: int) -> bool:
        asked.append(size)
        return len(asked) == 1

    table = RangeTable(once)
    table.add([Range(1.0, 3.0)], 900)
    table.add([Range(2.0, 4.0)], 5)
    for _ in range(2):
        assert table.get(1.5) == 1 << 900
    assert len(asked) == 1
    assert asked[0] > 900 // 8
    for _ in range(2):
        assert table.get(2.5) == 1 << 900 | 1 << 5
    assert len(asked) == 3
    table.forget()
    assert table.get(1.5) == 1 << 900
    assert len(asked) == 4


def test_a_remembered_sum_does_not_outlive_a_change_of_its_block():
    table = RangeTable(always)
    table.add([Range(1.0, 5.0)], 0)
    assert (table.get(0.0), table.get(2.0)) == (0, 1)
    table.add([Range(1.0, 5.0)], 1)
    assert table.get(2.0) == 3
    table.discard([Range(1.0, 5.0)], 0)
    assert (table.get(2.0), table.get(5.0)) == (2, 0)
