from __future__ import annotations

from random import Random

import pytest
from msgspec import UNSET

from eventcore.patterns import compile_pattern, path_index
from eventcore.patterns.conditions import Condition
from eventcore.patterns.numbers import NumberText
from eventcore.patterns.path_index import (
    CHARACTERS_MAX,
    FEW,
    VALUES_MAX,
    Experience,
    MemoBudget,
    PathIndex,
)
from eventcore.patterns.rule_index import QUIET_EVENTS, RuleIndex


class Paths:
    """Indexes of one budget, and how often one of them has stopped to remember."""

    def __init__(self) -> None:
        self.budget = MemoBudget()
        self.given_up = 0
        self.experience = Experience(self.budget, self._count)

    def _count(self) -> None:
        self.given_up += 1

    def index(self, *lists: str) -> PathIndex:
        """An index whose slots are the places of the lists, the patterns of one field."""
        index = PathIndex(self.experience)
        for slot, tests in enumerate(lists):
            index.add_condition(condition_of(tests), slot)
        return index


def condition_of(tests: str) -> Condition:
    return compile_pattern(f'{{"a":[{tests}]}}').branches[0][0]


LISTS = [
    '"x"',
    '1,"y"',
    "true,null",
    '{"exists":true}',
    '{"exists":false}',
    '"x",{"exists":false}',
    '{"anything-but":"x"}',
    '{"anything-but":[1,2]}',
    '{"anything-but":{"prefix":["x","y"]}}',
    '{"anything-but":{"wildcard":"x*y*"}}',
    '{"anything-but":"x"},"x"',
    '{"anything-but":"x"},{"anything-but":["x","y"]}',
    '{"prefix":"x"},{"suffix":"y"}',
    '{"wildcard":"x*"},{"wildcard":"*z*y"}',
    '{"equals-ignore-case":"ß"},{"prefix":{"equals-ignore-case":"K"}}',
    '{"numeric":["<",0]},{"numeric":[">=",1,"<",5]}',
    '{"cidr":"10.0.0.0/8"},"::1"',
    '9007199254740993,{"numeric":[">",9007199254740000]}',
]
VALUES: list[object] = ["x", "y", "xy", "xyz", "", "SS", "ß", "k", "10.1.2.3", "0::1", "1", "true"]
VALUES += [1, 1.0, 0, -0.0, 2, 2.5, -1e300, True, False, None, 2**53, 2**53 + 1, 2**70, 1e23]
VALUES += [NumberText("9007199254740993"), NumberText("1e400"), UNSET]


def failing(conditions: dict[int, Condition], value: object) -> int:
    """By brute force: the slots whose condition `value` fails."""
    return sum(
        1 << slot
        for slot, each in conditions.items()
        if not (each.may_be_absent if value is UNSET else each.accepts(value))
    )


@pytest.mark.parametrize("seed", range(4))
def test_all_ways_to_ask_give_the_answers_of_the_conditions(seed: int):
    random = Random(seed)
    paths = Paths()
    index = paths.index()
    conditions: dict[int, Condition] = {}
    for turn in range(200):
        paths.experience.events += 10
        slot = random.randrange(40)
        if slot in conditions:
            index.discard_condition(conditions.pop(slot), slot)
        else:
            conditions[slot] = condition_of(random.choice(LISTS))
            index.add_condition(conditions[slot], slot)
        for value in random.choices(VALUES, k=10):
            expected = failing(conditions, value)
            assert index[value] == expected, value
            assert index[value] == expected, value
            assert index.failing(value) == expected, value
            for count in (0, 1, FEW, FEW + 1, turn):
                slots = sum(1 << each for each in list(conditions)[:count])
                assert index.refuted(slots, value) == slots & expected, (value, count)
    for slot, each in conditions.items():
        index.discard_condition(each, slot)
    assert (index.mentions, index.absent, index.missing) == (0, 0, 0)
    assert [index.failing(value) for value in VALUES] == [0] * len(VALUES)


def test_masks_of_absence_follow_the_conditions():
    index = Paths().index('"x"', '"x",{"exists":false}', '{"exists":false}', '{"exists":true}')
    assert (index.mentions, index.absent, index.missing) == (0b1111, 0b0110, 0b1001)
    assert index[UNSET] == 0b1001
    index.discard_condition(condition_of('{"exists":false}'), 2)
    assert (index.mentions, index.absent, index.missing) == (0b1011, 0b0010, 0b1001)


def test_of_several_anything_buts_in_one_list_one_is_enough():
    lists = [
        '{"anything-but":["x","y"]},{"anything-but":["y","z"]}',
        '{"anything-but":{"prefix":"x"}},{"anything-but":"y"},{"anything-but":["xy","z"]}',
        '{"anything-but":"x"}',
        '{"anything-but":"xy"},{"anything-but":{"suffix":"y"}},"xy"',
        '{"anything-but":"y"},{"exists":true},{"anything-but":["y"]}',
    ]
    index = Paths().index(*lists)
    conditions = {slot: condition_of(tests) for slot, tests in enumerate(lists)}
    for slot in (None, 1, 3, 0, 2, 4):
        if slot is not None:
            index.discard_condition(conditions.pop(slot), slot)
        for value in ("x", "y", "z", "xy", 1, None, UNSET):
            assert index.failing(value) == failing(conditions, value), (value, conditions)
    index.add_condition(condition_of('{"anything-but":"x"}'), 0)
    assert (index.failing("x"), index.failing("y")) == (1, 0)


@pytest.mark.parametrize("value", [[], ["x"], {}, {"a": "x"}])
def test_a_list_or_an_object_is_no_leaf(value: object):
    index = Paths().index('"x"', '{"exists":true}', '"y"', '"z"')
    with pytest.raises(TypeError):
        index[value]
    with pytest.raises(TypeError):
        index.failing(value)
    for slots in (0b1, 0b1111):
        with pytest.raises(TypeError):
            index.refuted(slots, value)


@pytest.mark.parametrize(
    "values",
    [
        [True, 1, 1.0],
        [1, True],
        [False, 0, -0.0, 0.0],
        [0.0, False],
        [2**60, float(2**60)],
        [float(2**60), 2**60],
        [2**53 + 1, NumberText("9007199254740993"), "9007199254740993"],
        [-(2**53) - 2, float(-(2**53) - 2)],
        [2, 2.0, "2"],
    ],
)
def test_what_is_remembered_of_one_value_is_no_answer_for_an_equal_one(values: list[object]):
    lists = ["1", "true", "0", "false", "2", "1152921504606846976", "1.152921504606847e18"]
    lists += ["9007199254740993", "-9007199254740994", '"2"']
    paths = Paths()
    paths.experience.events = 1_000
    index = paths.index(*lists)
    conditions = {slot: condition_of(tests) for slot, tests in enumerate(lists)}
    for _ in range(2):
        assert [index[value] for value in values] == [failing(conditions, v) for v in values]


def test_remembered_answers_are_emptied_when_there_are_too_many():
    paths = Paths()
    index = paths.index('{"prefix":"1"}')
    for number in range(VALUES_MAX + 1):
        paths.experience.events += 2
        assert index[str(number)] == (0 if str(number).startswith("1") else 1)
        assert len(index) <= VALUES_MAX
    assert len(index) == 1
    assert paths.given_up == 0


def test_long_texts_and_what_other_values_equal_are_not_remembered():
    index = Paths().index('{"prefix":"x"}')
    unkept: list[object] = ["x" * (CHARACTERS_MAX + 1), True, 1, 0.0, 2**53 + 1, 1e300]
    for value in unkept:
        assert index[value] == index.failing(value)
    assert len(index) == 0
    kept: list[object] = ["x" * CHARACTERS_MAX, 2.5, 7, None, NumberText("1e400"), UNSET]
    for value in kept:
        assert index[value] == index.failing(value)
    assert len(index) == 6


def test_a_change_on_the_path_empties_it_and_one_elsewhere_does_not():
    paths = Paths()
    paths.experience.events = 100
    one, other = paths.index('"x"'), paths.index('"x"')
    assert (one["x"], other["x"]) == (0, 0)
    one.add_condition(condition_of('{"prefix":"x"}'), 1)
    assert (len(one), len(other)) == (0, 1)
    assert one["x"] == 0
    assert one["y"] == 0b11
    one.discard_condition(condition_of('{"prefix":"x"}'), 1)
    assert one["y"] == 0b1


def test_an_index_whose_values_never_come_again_stops_to_remember():
    paths = Paths()
    index = paths.index('{"prefix":"x"}', '{"numeric":[">",5]}')
    for number in range(path_index._MISSES_TO_JUDGE_BY):
        assert index.is_remembering
        paths.experience.events += 1
        assert index[f"x{number}"] == 0b10
    assert not index.is_remembering
    assert paths.given_up == 1
    assert len(index) == 0
    for number in range(200):
        assert index[f"x{number}"] == 0b10
        assert index[number] == (0b01 if number > 5 else 0b11)
    assert len(index) == 0
    assert paths.given_up == 1


def test_an_index_most_of_whose_values_come_again_remembers_them_for_ever():
    paths = Paths()
    index = paths.index('{"prefix":"x"}')
    for number in range(10 * path_index._MISSES_TO_JUDGE_BY):
        paths.experience.events += 3
        assert index[f"x{number}"] == 0
        assert index["x"] == 0
    assert index.is_remembering
    assert len(index) > 9 * path_index._MISSES_TO_JUDGE_BY


def test_an_index_judges_by_the_events_since_it_is_there():
    paths = Paths()
    paths.experience.events = 1_000_000
    index = paths.index('"x"')
    for number in range(path_index._MISSES_TO_JUDGE_BY):
        paths.experience.events += 1
        assert index[number + 0.5] == 1
    assert not index.is_remembering


def test_all_indexes_are_emptied_when_their_common_budget_is_spent(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(path_index, "BYTES_MAX", 10_000)
    paths = Paths()
    first, second = paths.index('{"prefix":"x"}'), paths.index('"y"', '{"numeric":[">",0]}')
    gone = paths.index('"z"')
    gone.leave()
    largest = 0
    for number in range(2_000):
        paths.experience.events += 3
        assert first[f"x{number}"] == 0
        assert second[float(number)] == (0b01 if number else 0b11)
        largest = max(largest, len(first) + len(second))
        if number == 0:
            assert gone["z"] == 0
    assert 20 < largest <= 10_000 // 200
    assert len(gone) == 1
    assert (first.is_remembering, second.is_remembering) == (True, True)


def test_answers_with_long_masks_cost_more_of_the_budget(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(path_index, "BYTES_MAX", 100_000)
    paths = Paths()
    index = paths.index()
    index.add_condition(condition_of('{"prefix":"x"}'), 0)
    index.add_condition(condition_of('{"prefix":"y"}'), 80_000)
    largest = 0
    for number in range(100):
        paths.experience.events += 3
        assert index[f"x{number}"] == 1 << 80_000
        largest = max(largest, len(index))
    assert 5 <= largest <= 10


def test_an_index_that_gives_up_is_asked_last_by_code_made_again():
    index = RuleIndex(MemoBudget())
    patterns = ['{"id":[{"prefix":"x"}],"kind":["a"]}', '{"id":[{"exists":true}],"kind":["b"]}']
    for rule, pattern in enumerate(patterns):
        index.add((rule, 0), compile_pattern(pattern).branches[0])
    readers: list[object] = []
    for number in range(QUIET_EVENTS + 2 * path_index._MISSES_TO_JUDGE_BY):
        found: list[int] = []
        index.match_text(f'{{"id":"x{number}","kind":"{"ab"[number % 2]}"}}', found)
        assert found == [number % 2]
        if index._reader not in readers:
            readers.append(index._reader)
    assert len([reader for reader in readers if reader is not None]) == 2
    ids = index._tree.root.children["id"].index
    assert ids is not None
    assert not ids.is_remembering
    kinds = index._tree.root.children["kind"].index
    assert kinds is not None
    assert kinds.is_remembering
