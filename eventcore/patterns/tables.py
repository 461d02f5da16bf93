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
    is_number,
)
from eventcore.patterns.masks import SlotTable
from eventcore.patterns.numbers import CanonicalNumber, canonical_number
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

    __slots__ = (
        "_exact_texts", "_literals", "_numbers", "_ranges", "_spend", "_text_tables",
        "text_look_ups", "texts",
    )  # fmt: skip

    def __init__(self, spend: Callable[[int], bool]) -> None:
        self._spend = spend
        self._exact_texts = SlotTable()
        self.texts: Final = self._exact_texts.entries
        """Entries of the exact texts; always this dict. For look-ups as in `of_text`."""
        self.text_look_ups: Final[list[Callable[[str], int]]] = []
        """What else accepts texts; always this list."""
        self._numbers: SlotTable | None = None
        # Apart from the numbers: to a dict, True is 1.
        self._literals: SlotTable | None = None
        self._ranges: RangeTable | None = None
        self._text_tables: dict[type, TextTable] = {}

    def of_text(self, value: str) -> int:
        """The mask of the slots that accept a string."""
        mask = self.texts.get(value, 0)
        if mask < 0:
            mask = 1 << ~mask
        for look_up in self.text_look_ups:
            mask |= look_up(value)
        return mask

    def of_literal(self, value: object) -> int:
        """The mask of the slots that accept a leaf that is no string."""
        number: CanonicalNumber
        if value.__class__ is float:
            number = value
        elif value is None or isinstance(value, bool):
            return 0 if self._literals is None else self._literals.get(value)
        else:
            assert is_number(value), "an event holds JSON values only"
            number = canonical_number(value)  # type: ignore[arg-type]
        mask = 0 if self._numbers is None else self._numbers.get(number)
        if self._ranges is not None and number.__class__ is float:
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
                        self._note_text_tables()
        if ranges and self._ranges is not None:
            self._ranges.discard(ranges, slot)

    def _exact(self, test: Exact) -> SlotTable:
        if isinstance(test.value, str):
            return self._exact_texts
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
            self._note_text_tables()
        return table

    def _note_text_tables(self) -> None:
        self.text_look_ups[:] = [table.get for table in self._text_tables.values()]


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
