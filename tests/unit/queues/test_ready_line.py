"""The line of those who are received next: two sources, lowest first, stale numbers passed over."""

from __future__ import annotations

import random

import pytest

from eventcore.queues.entry import IN_FLIGHT, NO_NUMBER, READY, SWEEP_MIN, Entry, ReadyLine


def entries_of(*numbers: int) -> dict[int, Entry]:
    return {number: Entry(number, b"", 0) for number in numbers}


def take(line: ReadyLine, entries: dict[int, Entry]) -> int | None:
    """As a queue does: what is taken is in flight."""
    first = line.first(entries)
    entry = line.take(entries)
    if entry is None:
        assert first == NO_NUMBER
        return None
    assert first == entry.number and entry.place == READY
    entry.place = IN_FLIGHT
    return entry.number


def take_all(line: ReadyLine, entries: dict[int, Entry]) -> list[int]:
    found = []
    while (number := take(line, entries)) is not None:
        found.append(number)
    return found


def line_of(*numbers: int) -> ReadyLine:
    line = ReadyLine()
    for number in numbers:
        line.append(number)
    return line


def test_an_empty_line_gives_nothing():
    line = ReadyLine()
    assert line.take({}) is None
    assert line.first({}) == NO_NUMBER
    assert line.numbers() == set()


def test_numbers_come_as_they_were_put_at_the_end():
    assert take_all(line_of(3, 5, 4), entries_of(3, 4, 5)) == [3, 5, 4]


def test_numbers_that_came_back_come_in_their_order():
    line = line_of(2, 6)
    for number in (7, 1, 4):
        line.put_back(number)
    assert line.numbers() == {1, 2, 4, 6, 7}
    assert take_all(line, entries_of(1, 2, 4, 6, 7)) == [1, 2, 4, 6, 7]


def test_what_is_gone_or_in_flight_is_passed_over_in_both_sources():
    line = line_of(1, 2, 3)
    for number in (4, 5, 6):
        line.put_back(number)
    entries = entries_of(2, 3, 5, 6)
    entries[3].place = IN_FLIGHT
    entries[5].place = IN_FLIGHT
    assert take_all(line, entries) == [2, 6]
    assert line.numbers() == set()


def test_a_number_listed_twice_is_given_once_at_a_time():
    line = line_of(1)
    line.put_back(1)
    entries = entries_of(1)
    assert take_all(line, entries) == [1]
    entries[1].place = READY
    line.put_back(1)
    assert take_all(line, entries) == [1]


def test_a_line_that_was_empty_goes_on():
    line, entries = line_of(1), entries_of(1, 2, 3)
    assert take_all(line, entries) == [1]
    line.append(2)
    line.put_back(3)
    assert take_all(line, entries) == [2, 3]


@pytest.mark.parametrize("has_returned", [False, True])
def test_what_was_taken_is_let_go_in_time(has_returned):
    """Also while something that came back stands behind all of it."""
    line, entries = ReadyLine(), {}
    if has_returned:
        entries[1 << 40] = Entry(1 << 40, b"", 0)
        line.put_back(1 << 40)
    for number in range(200):
        entries[number] = Entry(number, b"", 0)
        line.append(number)
    for number in range(200, 30_000):
        entries[number] = Entry(number, b"", 0)
        line.append(number)
        taken = take(line, entries)
        assert taken == number - 200
        del entries[taken]
    assert len(line.fresh) <= 2 * 200 + 2 * SWEEP_MIN


def test_drop_below_drops_what_is_next_up_to_a_number():
    line = line_of(1, 2, 3, 4)
    line.drop_below(3)
    assert line.numbers() == {3, 4}
    line.drop_below(3)
    assert take_all(line, entries_of(3, 4)) == [3, 4]


def test_drop_gone_drops_what_is_gone_where_it_is_next():
    line = line_of(1, 2, 3, 4)
    for number in (5, 6, 7):
        line.put_back(number)
    entries = entries_of(3, 6)
    entries[3].place = IN_FLIGHT
    line.drop_gone(entries)
    assert line.numbers() == {3, 4, 6, 7}, "what may come back stays, and what is behind it"
    entries[3].place = READY
    assert take_all(line, entries) == [3, 6]


def test_sweep_drops_returned_numbers_that_are_gone_when_they_are_many():
    line, entries = ReadyLine(), entries_of(0, 1)
    for number in range(SWEEP_MIN + 2):
        line.put_back(number)
    line.sweep(entries, len(entries))
    assert len(line.returned or ()) == SWEEP_MIN + 2
    for number in range(5):
        line.put_back(number)
    line.sweep(entries, len(entries))
    assert sorted(line.returned or ()) == [0, 1]
    assert take_all(line, entries) == [0, 1]


@pytest.mark.parametrize("seed", range(30))
def test_it_gives_each_ready_number_once_and_in_order_whatever_happens(seed):
    """Against two plain lists."""
    chance = random.Random(seed)
    line = ReadyLine()
    entries: dict[int, Entry] = {}
    fresh: list[int] = []
    returned: list[int] = []
    for number in range(2_000):
        match chance.randrange(6):
            case 0 | 1:
                entries[number] = Entry(number, b"", 0)
                line.append(number)
                fresh.append(number)
            case 2:
                taken = take(line, entries)
                expected = [*fresh[:1], *sorted(returned)[:1]]
                assert taken == (min(expected) if expected else None)
                if taken is not None:
                    (fresh if taken in fresh[:1] else returned).remove(taken)
            case 3 if in_flight := [n for n, e in entries.items() if e.place == IN_FLIGHT]:
                back = chance.choice(in_flight)
                entries[back].place = READY
                line.put_back(back)
                returned.append(back)
            case 4 if entries:
                gone = chance.choice(list(entries))
                del entries[gone]
                fresh = [n for n in fresh if n != gone]
                returned = [n for n in returned if n != gone]
                line.drop_gone(entries)
            case _:
                line.sweep(entries, len(fresh) + len(returned))
                line.drop_below(next(iter(entries), number))
    assert take_all(line, entries) == sorted(fresh + returned)
