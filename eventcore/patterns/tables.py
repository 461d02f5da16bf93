"""From a leaf of an event to the slots whose tests accept it, by any kind of test but AnyValue and
AnythingBut, which `eventcore.patterns.path_index` knows how to answer.

The tables give the answers of `ValueTest.accepts`, for all slots at once and in a time that does
not grow with their number. `add` and `discard` are called with the same arguments, once each per
slot and condition.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, final

from eventcore.patterns.conditions import (
    Address,
    AnythingBut,
    AnyValue,
    Cidr,
    Exact,
    IgnoreCase,
    Prefix,
    PrefixIgnoreCase,
    Range,
    Suffix,
    SuffixIgnoreCase,
    ValueTest,
    Wildcard,
    as_double,
    is_number,
)
from eventcore.patterns.masks import SlotTable
from eventcore.patterns.numbers import canonical_number
from eventcore.patterns.range_table import RangeTable
from eventcore.patterns.text_tables import (
    AddressTable,
    AffixTable,
    CidrTable,
    FoldedAffixTable,
    FoldedTable,
    TextTable,
    TextTest,
    WildcardTable,
)

__all__ = ["ValueTables"]

_TABLE_OF_TEST: Final[dict[type, Callable[[], TextTable]]] = {
    Address: AddressTable,
    Cidr: CidrTable,
    IgnoreCase: FoldedTable,
    Prefix: lambda: AffixTable(is_suffix=False),
    PrefixIgnoreCase: lambda: FoldedAffixTable(is_suffix=False),
    Suffix: lambda: AffixTable(is_suffix=True),
    SuffixIgnoreCase: lambda: FoldedAffixTable(is_suffix=True),
    Wildcard: WildcardTable,
}


@final
class ValueTables:
    """See the module's text. Tables are made when their first test comes. `spend` is asked before
    something is remembered (`path_index.MemoBudget`).
    """

    __slots__ = ("_literals", "_numbers", "_ranges", "_spend", "_strings", "_text_tables")

    def __init__(self, spend: Callable[[int], bool]) -> None:
        self._spend = spend
        self._strings = SlotTable()
        self._numbers: SlotTable | None = None
        # Apart from the numbers: to a dict, True is 1.
        self._literals: SlotTable | None = None
        self._ranges: RangeTable | None = None
        self._text_tables: dict[type, TextTable] = {}

    def of_text(self, value: str) -> int:
        """The mask of the slots that accept a string."""
        entry = self._strings.entries.get(value, 0)
        mask = entry if entry >= 0 else 1 << ~entry
        if self._text_tables:
            for table in self._text_tables.values():
                mask |= table.get(value)
        return mask

    def of_literal(self, value: object) -> int:
        """The mask of the slots that accept a leaf that is no string."""
        if value.__class__ is float:
            mask = 0 if self._numbers is None else self._numbers.get(value)
            return mask if self._ranges is None else mask | self._ranges.get(value)
        if value is None or isinstance(value, bool):
            return 0 if self._literals is None else self._literals.get(value)
        assert is_number(value), "an event holds JSON values only"
        mask = 0
        if self._numbers is not None:
            mask = self._numbers.get(canonical_number(value))  # type: ignore[arg-type]
        if self._ranges is not None:
            number = as_double(value)
            if number is not None:
                mask |= self._ranges.get(number)
        return mask

    def forget(self) -> None:
        """Drops what look-ups have remembered."""
        if self._ranges is not None:
            self._ranges.forget()

    def add(self, tests: tuple[ValueTest, ...], slot: int) -> None:
        """Enters the tests of one condition."""
        ranges: list[Range] = []
        for test in map(_simplest, tests):
            match test:
                case AnyValue() | AnythingBut():
                    pass
                case Range():
                    ranges.append(test)
                case Exact():
                    self._exact(test).add(test.value, slot)
                case _:
                    self._text_table(test).add(test, slot)
        if ranges:
            if self._ranges is None:
                self._ranges = RangeTable(self._spend)
            self._ranges.add(ranges, slot)

    def discard(self, tests: tuple[ValueTest, ...], slot: int) -> None:
        """Takes out what `add` entered with the same arguments."""
        ranges: list[Range] = []
        for test in map(_simplest, tests):
            match test:
                case AnyValue() | AnythingBut():
                    pass
                case Range():
                    ranges.append(test)
                case Exact():
                    self._exact(test).discard(test.value, slot)
                case _:
                    table = self._text_table(test)
                    table.discard(test, slot)
                    if not table:
                        del self._text_tables[test.__class__]
        if ranges and self._ranges is not None:
            self._ranges.discard(ranges, slot)

    def _exact(self, test: Exact) -> SlotTable:
        if isinstance(test.value, str):
            return self._strings
        if is_number(test.value):
            if self._numbers is None:
                self._numbers = SlotTable()
            return self._numbers
        if self._literals is None:
            self._literals = SlotTable()
        return self._literals

    def _text_table(self, test: TextTest) -> TextTable:
        kind = test.__class__
        table = self._text_tables.get(kind)
        if table is None:
            table = self._text_tables[kind] = _TABLE_OF_TEST[kind]()
        return table


def _simplest(test: ValueTest) -> ValueTest:
    """The test, or a cheaper one that accepts the same: most wildcards are starts or ends."""
    if not isinstance(test, Wildcard):
        return test
    if len(test.pieces) == 1:
        return Exact(test.pieces[0])
    if len(test.pieces) == 2 and not test.pieces[1]:
        return Prefix(test.pieces[0])
    if len(test.pieces) == 2 and not test.pieces[0]:
        return Suffix(test.pieces[1])
    return test
