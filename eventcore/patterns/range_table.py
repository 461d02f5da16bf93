"""Ranges of numbers -> the slots whose ranges hold a number.

A slot's ranges are joined until none overlap; then a number lies in one of them if and only if an
odd number of their bounds, the *cuts*, is not above it. So a look-up is the exclusive or of the
slots of all cuts up to the number. To have that sum at hand:

- cuts lie in ascending order in *blocks*, blocks in *groups*;
- a block keeps the sum of its group's earlier blocks, a group the sum of all earlier groups. A
  look-up adds two sums and the cuts of one block; a change touches the later blocks of one group
  and the later groups.

With n cuts a look-up costs three bisections and at most _CUTS_MAX masks of one bit, which the block
remembers while there is room; a change costs some sqrt(n) masks; nothing is ever rebuilt.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable
from typing import Final, final

from eventcore.patterns.conditions import Range
from eventcore.patterns.masks import SlotTable

__all__ = ["RangeTable"]

_CUTS_MAX: Final = 16
_CUTS_MAX_OF_LONG_MASKS: Final = 64
"""Cuts of one block. A block has one mask, so where masks are long there are fewer blocks."""
_LONG_MASK_BITS: Final = 32_768
_BLOCKS_MAX: Final = 64
"""Blocks of one group."""
_SUM_BYTES: Final = 120


@final
class _Block:
    __slots__ = ("before", "cuts", "sums")

    def __init__(self, cuts: list[float], before: int) -> None:
        self.cuts = cuts
        self.before = before
        # By number of cuts: their sum, as far as it was asked for. Emptied when the cuts change.
        self.sums: dict[int, int] = {}


@final
class _Group:
    __slots__ = ("before", "blocks", "starts")

    def __init__(self, blocks: list[_Block], before: int) -> None:
        self.blocks = blocks
        self.starts = [block.cuts[0] for block in blocks]
        self.before = before


@final
class RangeTable:
    """See the module's text. Blocks and groups are never empty."""

    __slots__ = ("_groups", "_slots", "_spend", "_starts")

    def __init__(self, spend: Callable[[int], bool]) -> None:
        self._spend = spend
        self._groups: list[_Group] = []
        self._starts: list[float] = []
        self._slots = SlotTable()

    def __len__(self) -> int:
        return len(self._slots)

    def add(self, ranges: Iterable[Range], slot: int) -> None:
        """Enters all ranges of a slot; a slot is entered once."""
        for cut in _joined_bounds(ranges):
            self._enter(cut, slot)

    def discard(self, ranges: Iterable[Range], slot: int) -> None:
        """Takes out what `add` entered."""
        for cut in _joined_bounds(ranges):
            self._take_out(cut, slot)

    def get(self, number: float) -> int:
        """The mask of the slots with a range that holds `number`."""
        place = bisect_right(self._starts, number) - 1
        if place < 0:
            return 0
        group = self._groups[place]
        block = group.blocks[bisect_right(group.starts, number) - 1]
        count = bisect_right(block.cuts, number)
        below = block.sums.get(count)
        if below is None:
            below = self._sum(block.cuts[:count])
            if self._spend(_SUM_BYTES + (below.bit_length() >> 3)):
                block.sums[count] = below
        return group.before ^ block.before ^ below

    def forget(self) -> None:
        """Drops the sums that blocks remember."""
        for group in self._groups:
            for block in group.blocks:
                block.sums.clear()

    def _sum(self, cuts: list[float]) -> int:
        mask = 0
        for cut in cuts:
            mask ^= self._slots.get(cut)
        return mask

    def _enter(self, cut: float, slot: int) -> None:
        if not self._groups:
            self._groups.append(_Group([_Block([cut], 0)], 0))
            self._starts.append(cut)
            self._slots.add(cut, slot)
            return
        place, inner = self._toggle_behind(cut, slot)
        group = self._groups[place]
        block = group.blocks[inner]
        if not self._slots.get(cut):
            block.cuts.insert(bisect_left(block.cuts, cut), cut)
            group.starts[inner] = block.cuts[0]
            self._starts[place] = group.starts[0]
        self._slots.add(cut, slot)
        block.sums.clear()
        if len(block.cuts) > (_CUTS_MAX if slot < _LONG_MASK_BITS else _CUTS_MAX_OF_LONG_MASKS):
            self._split_block(place, inner)

    def _take_out(self, cut: float, slot: int) -> None:
        place, inner = self._toggle_behind(cut, slot)
        self._slots.discard(cut, slot)
        group = self._groups[place]
        block = group.blocks[inner]
        block.sums.clear()
        if self._slots.get(cut):
            return
        block.cuts.remove(cut)
        if block.cuts:
            group.starts[inner] = block.cuts[0]
        else:
            del group.blocks[inner], group.starts[inner]
        if group.blocks:
            self._starts[place] = group.starts[0]
        else:
            del self._groups[place], self._starts[place]

    def _toggle_behind(self, cut: float, slot: int) -> tuple[int, int]:
        """Enters the slot into, or takes it from, all sums behind `cut`; the place of its block."""
        bit = 1 << slot
        place = max(bisect_right(self._starts, cut) - 1, 0)
        group = self._groups[place]
        inner = max(bisect_right(group.starts, cut) - 1, 0)
        for block in group.blocks[inner + 1 :]:
            block.before ^= bit
        for later in self._groups[place + 1 :]:
            later.before ^= bit
        return place, inner

    def _split_block(self, place: int, inner: int) -> None:
        group = self._groups[place]
        block = group.blocks[inner]
        half = len(block.cuts) // 2
        before = block.before ^ self._sum(block.cuts[:half])
        group.blocks.insert(inner + 1, _Block(block.cuts[half:], before))
        group.starts.insert(inner + 1, block.cuts[half])
        del block.cuts[half:]
        if len(group.blocks) > _BLOCKS_MAX:
            self._split_group(place)

    def _split_group(self, place: int) -> None:
        group = self._groups[place]
        half = len(group.blocks) // 2
        later = group.blocks[half:]
        passed = later[0].before
        for block in later:
            block.before ^= passed
        self._groups.insert(place + 1, _Group(later, group.before ^ passed))
        self._starts.insert(place + 1, later[0].cuts[0])
        del group.blocks[half:], group.starts[half:]


def _joined_bounds(ranges: Iterable[Range]) -> list[float]:
    """The bounds of the ranges' union: start, end, start, end..., ascending and distinct."""
    bounds: list[float] = []
    for low, high in sorted((each.low, each.high) for each in ranges if each.low < each.high):
        if bounds and low <= bounds[-1]:
            bounds[-1] = max(bounds[-1], high)
        else:
            bounds += (low, high)
    return bounds
