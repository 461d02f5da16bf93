"""Rows by name: numbers are given once, names move with their rows."""

from __future__ import annotations

import msgspec
import pytest

from eventcore.codec import record_decoder
from eventcore.functions.named_rows import NamedRows
from eventcore.outcome import Mutation, row_key


class Row(msgspec.Struct, frozen=True, array_like=True):
    name: str
    value: int


@pytest.fixture
def rows():
    return NamedRows(3, record_decoder(Row), lambda row: row.name)


def put(rows, name, value):
    mutation = rows.put(Row(name, value))
    rows.apply(mutation)
    rows.check()
    return mutation


def test_a_row_is_found_by_its_name(rows):
    put(rows, "a", 1)
    assert rows.get("a") == Row("a", 1)
    assert "a" in rows
    assert rows.get("b") is None
    assert "b" not in rows


def test_a_name_keeps_its_number_until_its_row_is_deleted(rows):
    first = put(rows, "a", 1)
    assert (first.key, first.is_new) == (row_key(3, 0), True)
    again = put(rows, "a", 2)
    assert (again.key, again.is_new) == (first.key, False)
    (deletion,) = rows.delete("a")
    rows.apply(deletion)
    rows.check()
    assert rows.delete("a") == []
    assert put(rows, "a", 3).key == row_key(3, 1)


def test_rows_come_by_name(rows):
    for name in "cab":
        put(rows, name, 1)
    assert [row.name for row in rows] == ["a", "b", "c"]


def test_the_stored_rows_give_the_table_back(rows):
    mutations = [put(rows, name, 1) for name in "abc"]
    again = NamedRows(3, record_decoder(Row), lambda row: row.name)
    for mutation in mutations[1:]:
        again.apply(Mutation(mutation.key, mutation.value))
        again.apply(Mutation(mutation.key, mutation.value))
    again.check()
    assert [row.name for row in again] == ["b", "c"]
    assert put(again, "d", 1).key == row_key(3, 3)
