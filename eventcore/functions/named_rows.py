"""Rows that are found by a name and stored under a number: aliases, and settings of qualifiers.

A number is given once in the life of a function's name table; a name keeps its number until its row
is deleted. `apply` is the only code that changes the table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Generic, TypeVar, final

import msgspec

from eventcore.outcome import Mutation, delete_row, put_row, row_key, row_number

__all__ = ["NamedRows"]

T = TypeVar("T", bound=msgspec.Struct)


@final
class NamedRows(Generic[T]):
    """The rows of one family, by name."""

    __slots__ = ("_decode", "_family", "_name_of", "_names", "_next_number", "_rows")

    def __init__(
        self, family: int, decode: Callable[[bytes], T], name_of: Callable[[T], str]
    ) -> None:
        self._family = family
        self._decode = decode
        self._name_of = name_of
        self._names: dict[int, str] = {}
        self._rows: dict[str, tuple[int, T]] = {}
        self._next_number = 0

    def get(self, name: str) -> T | None:
        """The row of that name, if there is one."""
        found = self._rows.get(name)
        return None if found is None else found[1]

    def __contains__(self, name: str) -> bool:
        return name in self._rows

    def __iter__(self) -> Iterator[T]:
        """The rows, by name."""
        return (self._rows[name][1] for name in sorted(self._rows))

    def put(self, row: T) -> Mutation:
        """The mutation that puts a row in the place of the one with its name, if any."""
        found = self._rows.get(self._name_of(row))
        number = self._next_number if found is None else found[0]
        return put_row(row_key(self._family, number), row, is_new=found is None)

    def delete(self, name: str) -> list[Mutation]:
        """The mutation that deletes the row of that name; none where there is none."""
        found = self._rows.get(name)
        return [] if found is None else [delete_row(row_key(self._family, found[0]))]

    def apply(self, mutation: Mutation) -> None:
        """Takes a row of the family in."""
        number = row_number(mutation.key)
        self._next_number = max(self._next_number, number + 1)
        old_name = self._names.pop(number, None)
        if old_name is not None:
            del self._rows[old_name]
        if mutation.value is not None:
            row: T = mutation.record or self._decode(mutation.value)
            name = self._name_of(row)
            self._names[number] = name
            self._rows[name] = number, row

    def check(self) -> None:
        """Asserts that names and numbers say the same."""
        assert {name: number for number, name in self._names.items()} == {
            name: number for name, (number, _) in self._rows.items()
        }
        assert all(self._name_of(row) == name for name, (_, row) in self._rows.items())
        assert all(number < self._next_number for number in self._names)
