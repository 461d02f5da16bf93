"""The directory: which resources exist, in which component, and what a deletion leaves."""

from __future__ import annotations

import pytest

from eventcore.errors import AlreadyExists, Conflict, NotFound
from eventcore.limits import AWS_QUOTAS, RECREATE_INTERVAL_MS
from eventcore.outcome import Mutation, Outcome
from eventcore.resources.directory import Directory

START_MS = 1_700_000_000_000
Q = "arn:aws:sqs:us-east-1:000000000000:"


class Book:
    """A directory and its rows."""

    def __init__(self, quotas=None) -> None:
        self.make = lambda: Directory() if quotas is None else Directory(quotas)
        self.directory = self.make()
        self.rows: dict[int, bytes] = {}

    def take(self, outcome: Outcome) -> object:
        for mutation in outcome.mutations:
            if mutation.value is None:
                self.rows.pop(mutation.key, None)
            else:
                self.rows[mutation.key] = mutation.value
        self.directory.check()
        return outcome.value

    def register(self, name: str, now_ms: int = START_MS) -> object:
        return self.take(self.directory.register("queue", Q + name, now_ms))

    def retire(self, name: str, now_ms: int = START_MS) -> object:
        return self.take(self.directory.retire(Q + name, now_ms))

    def restart(self) -> None:
        self.directory = self.make()
        for key in sorted(self.rows):
            self.directory.apply(Mutation(key, self.rows[key]))
        self.directory.check()


def test_each_resource_has_a_component_of_its_own_and_none_has_the_directorys():
    book = Book()
    assert [book.register(name) for name in "abc"] == [1, 2, 3]
    assert book.directory.component(Q + "b") == 2
    assert book.directory.component(Q + "d") is None


def test_a_second_resource_of_an_arn_is_refused():
    book = Book()
    book.register("a")
    with pytest.raises(AlreadyExists):
        book.register("a")
    assert len(book.rows) == 1


def test_retiring_what_is_not_there_is_refused():
    book = Book()
    with pytest.raises(NotFound):
        book.retire("a")
    book.register("a")
    book.retire("a")
    with pytest.raises(NotFound):
        book.retire("a")


def test_a_retired_resource_keeps_its_component_until_it_is_forgotten():
    book = Book()
    book.register("a")
    assert book.retire("a") == 1
    assert book.directory.component(Q + "a") is None
    assert book.directory.existing() == []
    assert [c for c, _ in book.directory.retired()] == [1]
    book.take(book.directory.forget(1))
    assert book.directory.retired() == [] and book.rows == {}


def test_a_new_resource_of_a_deleted_name_has_a_new_component():
    book = Book()
    book.register("a")
    book.retire("a")
    assert book.register("a") == 2
    book.restart()
    assert book.directory.component(Q + "a") == 2
    assert [c for c, _ in book.directory.retired()] == [1]


def test_a_component_whose_rows_may_be_left_is_not_given_again_after_a_restart():
    book = Book()
    book.register("a")
    book.register("b")
    book.retire("b")
    book.restart()
    assert book.register("c") == 3


def test_the_cool_down_refuses_the_name_for_60_seconds():
    book = Book(AWS_QUOTAS)
    book.register("a")
    book.retire("a")
    with pytest.raises(Conflict) as caught:
        book.register("a", START_MS + RECREATE_INTERVAL_MS - 1)
    assert caught.value.reason == "deleted recently"
    book.register("other", START_MS)
    book.register("a", START_MS + RECREATE_INTERVAL_MS)


def test_the_cool_down_survives_a_restart():
    book = Book(AWS_QUOTAS)
    book.register("a")
    book.retire("a")
    book.restart()
    with pytest.raises(Conflict):
        book.register("a", START_MS + 1)


def test_a_retired_resource_is_forgettable_when_its_cool_down_is_over():
    book = Book(AWS_QUOTAS)
    book.register("a")
    book.retire("a")
    ((_, record),) = book.directory.retired()
    assert not book.directory.is_forgettable(record, START_MS + RECREATE_INTERVAL_MS - 1)
    assert book.directory.is_forgettable(record, START_MS + RECREATE_INTERVAL_MS)


def test_without_the_quota_a_name_is_free_at_once():
    book = Book()
    book.register("a")
    book.retire("a")
    ((_, record),) = book.directory.retired()
    assert book.directory.is_forgettable(record, START_MS)
    book.register("a")


def test_prefixes_find_sorted_arns_of_what_exists():
    book = Book()
    for name in ("b", "a2", "a1", "c", "a"):
        book.register(name)
    book.retire("a2")
    assert book.directory.with_prefix(Q + "a") == [Q + "a", Q + "a1"]
    assert book.directory.with_prefix(Q) == [Q + n for n in ("a", "a1", "b", "c")]
    assert book.directory.with_prefix(Q + "x") == []


def test_applying_every_row_twice_changes_nothing():
    book = Book()
    for name in "abc":
        book.register(name)
    book.retire("b")
    for key, value in book.rows.items():
        book.directory.apply(Mutation(key, value))
    book.directory.check()
    assert [r.arn for _, r in book.directory.existing()] == [Q + "a", Q + "c"]


def test_the_directory_has_nothing_to_do_with_time():
    book = Book()
    book.register("a")
    book.retire("a")
    assert book.directory.next_deadline() is None
    assert book.directory.tick(START_MS * 2, 10).mutations == ()
