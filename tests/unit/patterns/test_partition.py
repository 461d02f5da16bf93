from __future__ import annotations

import json
from collections.abc import Iterator
from random import Random

import pytest

from eventcore.patterns import Pattern, compile_pattern, matches, partition
from eventcore.patterns.numbers import decode_event
from eventcore.patterns.partition import Partition
from eventcore.patterns.path_index import MemoBudget


@pytest.fixture(autouse=True)
def low_thresholds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sorting begins with 16 rules, not with thousands."""
    monkeypatch.setattr(partition, "SPLIT_MIN", 16)
    monkeypatch.setattr(partition, "FEW", 2)
    monkeypatch.setattr(partition, "MOVED", 1)


class Rules:
    """A Partition and its rules; every match is checked against `matches`."""

    def __init__(self) -> None:
        self.partition = Partition(MemoBudget())
        self.patterns: dict[int, Pattern] = {}

    def add(self, rule: int, pattern: str) -> None:
        self.patterns[rule] = compile_pattern(pattern)
        for number, branch in enumerate(self.patterns[rule].branches):
            self.partition.add((rule, number), branch)

    def remove(self, rule: int) -> None:
        for number, branch in enumerate(self.patterns.pop(rule).branches):
            self.partition.remove((rule, number), branch)

    def match(self, event: str) -> set[int]:
        values = decode_event(event)
        expected = {rule for rule, each in self.patterns.items() if matches(each, values)}
        found: list[int] = []
        self.partition.match_text(event.encode(), found)
        assert set(found) == expected, event
        found.clear()
        self.partition.match(values, found)
        assert set(found) == expected, event
        return expected

    def settle(self) -> None:
        """Moves until nothing is left to be moved, as events would that reach every group."""
        for _ in range(10_000):
            moving = [each for each in partitions_in(self.partition) if each._to_move]
            if not moving:
                return
            self.match('{"settle":true}')
            for each in moving:
                each._move_some()
        raise AssertionError("sorting does not end")

    def paths(self) -> list[str]:
        return [each.path for each in self.partition._sorted]

    def groups(self, place: int = 0) -> dict[str, Partition]:
        return self.partition._sorted[place].groups


def partitions_in(root: Partition) -> Iterator[Partition]:
    yield root
    for each in root._sorted:
        for group in each.groups.values():
            yield from partitions_in(group)


def test_few_rules_are_one_index_and_no_rule_is_nothing():
    rules = Rules()
    for rule in range(15):
        rules.add(rule, f'{{"source":["s{rule}"]}}')
    assert rules.paths() == []
    assert rules.match('{"source":"s3"}') == {3}
    for rule in range(15):
        rules.remove(rule)
    assert not rules.partition
    assert rules.match('{"source":"s3"}') == set()


def test_rules_move_one_by_one_to_the_group_of_their_text_and_match_all_the_while():
    rules = Rules()
    for rule in range(16):
        rules.add(rule, f'{{"source":["s{rule % 8}"],"n":[{rule}]}}')
    assert rules.paths() == ["source"]
    sizes: list[int] = []
    for turn in range(20):
        number = turn % 16
        assert rules.match(f'{{"source":"s{number % 8}","n":{number}}}') == {number}
        sizes.append(0 if rules.partition._rest is None else len(rules.partition._rest))
    # A check matches twice, so two are moved each time.
    assert sizes[:8] == [14, 12, 10, 8, 6, 4, 2, 0]
    assert rules.partition._rest is None
    assert sorted(rules.groups()) == [f"s{number}" for number in range(8)]
    assert rules.match('{"source":"s9","n":1}') == set()


def test_rules_without_a_text_there_stay_in_the_rest():
    rules = Rules()
    for rule in range(20):
        rules.add(rule, f'{{"source":["s{rule}"]}}')
    others = [
        '{"source":[{"prefix":"s"}]}',
        '{"source":["s1",{"exists":false}]}',
        '{"source":["s1",1]}',
        '{"source":["s1","s2","s3","s4","s5"]}',
        '{"source":[{"anything-but":"s1"}]}',
        '{"source":["::1"]}',
        '{"detail":{"x":["y"]}}',
        '{"source":{"x":["s1"]}}',
    ]
    for number, pattern in enumerate(others):
        rules.add(100 + number, pattern)
    rules.settle()
    assert rules.partition._rest is not None
    assert len(rules.partition._rest) == len(others)
    assert rules.match('{"source":"s1"}') == {1, 100, 101, 102, 103}
    assert rules.match('{"source":"0::1"}') == {104, 105}
    assert rules.match('{"source":1,"detail":{"x":"y"}}') == {102, 104, 106}
    assert rules.match("{}") == {101}
    assert rules.match('{"source":{"x":"s1"}}') == {101, 107}


def test_a_rule_with_several_texts_is_in_each_group_and_leaves_all_of_them():
    rules = Rules()
    for rule in range(16):
        rules.add(rule, f'{{"source":["s{rule}"]}}')
    rules.settle()
    rules.add(50, '{"source":["s1","s2","new","s1"],"n":[1]}')
    assert [key for key, group in rules.groups().items() if (50, 0) in group._few] == [
        "s1", "s2", "new",
    ]  # fmt: skip
    for text in ("s1", "s2", "new"):
        assert 50 in rules.match(f'{{"source":"{text}","n":1}}')
    assert rules.match('{"source":["s1","s2","new"],"n":[0,1]}') == {1, 2, 50}
    rules.remove(50)
    assert "new" not in rules.groups()
    assert rules.match('{"source":["s1","s2","new"],"n":1}') == {1, 2}


def test_a_group_becomes_an_index_and_vanishes_when_it_is_empty():
    rules = Rules()
    for rule in range(16):
        rules.add(rule, f'{{"source":["s{rule}"]}}')
    rules.settle()
    for rule in range(100, 110):
        rules.add(rule, f'{{"source":["s1"],"n":[{rule}]}}')
        assert rules.match(f'{{"source":"s1","n":{rule}}}') == {1, rule}
    group = rules.groups()["s1"]
    assert group._few == {}
    assert group._rest is not None
    assert len(group._rest) == 11
    for rule in [1, *range(100, 110)]:
        rules.remove(rule)
    assert "s1" not in rules.groups()
    for rule in [0, *range(2, 16)]:
        rules.remove(rule)
    assert rules.paths() == []
    assert not rules.partition
    rules.add(1, '{"source":["s1"]}')
    assert rules.match('{"source":"s1"}') == {1}


EVENTS_WITH_SHAPES = [
    ('{"detail":{"type":["t1","t2"]}}', {1, 2}),
    ('{"detail":[{"type":"t1"},{"type":["t3",["t4"]]}]}', {1, 3, 4}),
    ('{"detail.type":"t5"}', {5}),
    ('{"detail.type":"t5","detail":{"type":"t6"}}', {5, 6}),
    ('{"detail":[[{"type":"t7"}],"t8"]}', {7}),
    ('{"det\\u0061il":{"ty\\u0070e":"t9"}}', {9}),
    ('{"detail":"t1"}', set()),
    ('{"detail":{"type":{"t1":"t1"}}}', set()),
    ('{"detail":{"type":[]}}', set()),
    ('{"detail":null}', set()),
    ('{"detail":{"type":"t1"},"detail":{"type":"t2"}}', {2}),
]


@pytest.mark.parametrize(("event", "expected"), EVENTS_WITH_SHAPES)
def test_the_sorted_path_is_found_in_events_of_every_shape(event: str, expected: set[int]):
    rules = Rules()
    for rule in range(16):
        rules.add(rule, f'{{"detail":{{"type":["t{rule}"]}}}}')
    assert rules.match(event) == expected
    rules.settle()
    assert rules.paths() == ["detail.type"]
    assert rules.match(event) == expected


@pytest.mark.parametrize("event", ["[]", "1", "{", "", '"x"', '{"source":"s1"'])
def test_what_is_no_object_is_refused_by_groups_too(event: str):
    rules = Rules()
    for rule in range(16):
        rules.add(rule, f'{{"source":["s{rule}"]}}')
    rules.settle()
    assert rules.partition._rest is None
    with pytest.raises(ValueError):  # noqa: PT011 - the codec's own error or ours
        rules.partition.match_text(event, [])


def test_a_rest_is_sorted_by_further_paths_when_it_has_grown():
    rules = Rules()
    for rule in range(16):
        rules.add(rule, f'{{"source":["s{rule}"]}}')
    rules.settle()
    for rule in range(100, 140):
        rules.add(rule, f'{{"detail":{{"id":["i{rule}"]}}}}')
    rules.settle()
    assert rules.paths() == ["source", "detail.id"]
    assert rules.partition._rest is None
    assert rules.match('{"source":"s1","detail":{"id":["i100","i101"]}}') == {1, 100, 101}
    rules.add(200, '{"source":["s1"],"detail":{"id":["i100"]}}')
    assert (200, 0) in rules.groups(0)["s1"]._few
    assert rules.match('{"source":"s1","detail":{"id":"i100"}}') == {1, 100, 200}
    for rule in list(rules.patterns):
        rules.remove(rule)
    assert not rules.partition


def test_a_group_is_sorted_by_another_path_than_the_one_above_it():
    rules = Rules()
    for rule in range(80):
        rules.add(rule, f'{{"source":["a","b{rule}"],"type":["t{rule % 40}"]}}')
    for rule in range(100, 140):
        rules.add(rule, f'{{"source":["a"],"type":["t{rule - 100}"],"n":[{rule}]}}')
    rules.settle()
    for each in partitions_in(rules.partition):
        paths = [inner.path for inner in each._sorted]
        assert not each._above.intersection(paths)
        assert len(each._above) <= 2
    assert rules.match('{"source":"a","type":"t7","n":107}') == {7, 47, 107}
    assert rules.match('{"source":["b9","a"],"type":"t9"}') == {9, 49}


def test_rules_that_cannot_be_told_apart_are_not_sorted():
    rules = Rules()
    for rule in range(40):
        rules.add(rule, f'{{"source":["same"],"n":[{rule}]}}')
    assert rules.paths() == []
    assert rules.match('{"source":"same","n":7}') == {7}


def test_paths_of_which_one_is_the_start_of_the_other_are_not_both_sorted():
    rules = Rules()
    for rule in range(16):
        rules.add(rule, f'{{"a":["x{rule}"]}}')
    for rule in range(100, 164):
        rules.add(rule, f'{{"a":{{"b":["y{rule}"]}}}}')
    rules.settle()
    assert rules.paths() == ["a"]
    assert rules.match('{"a":["x1",{"b":"y100"}]}') == {1, 100}


def test_a_number_used_again_while_rules_move_means_the_new_rule():
    rules = Rules()
    for rule in range(24):
        rules.add(rule, f'{{"source":["s{rule}"]}}')
    assert rules.partition._to_move is not None
    for rule in range(24):
        rules.remove(rule)
        rules.add(rule, f'{{"n":[{rule}],"type":["t{rule % 2}"]}}')
        assert rules.match(f'{{"source":"s{rule}","n":{rule},"type":"t{rule % 2}"}}') == {rule}
    rules.settle()
    assert rules.match('{"source":"s5"}') == set()
    assert rules.match('{"n":[4,5],"type":["t0","t1"]}') == {4, 5}


def test_all_rules_may_go_while_they_move():
    rules = Rules()
    for rule in range(20):
        rules.add(rule, f'{{"source":["s{rule}"]}}')
    for rule in range(20):
        rules.remove(rule)
    assert not rules.partition
    assert rules.match('{"source":"s1"}') == set()
    rules.add(3, '{"source":["s1"]}')
    assert rules.match('{"source":"s1"}') == {3}


def test_branches_of_one_rule_may_lie_in_different_groups():
    rules = Rules()
    for rule in range(16):
        rules.add(rule, f'{{"source":["s{rule}"]}}')
    rules.settle()
    rules.add(50, '{"n":[1],"$or":[{"source":["s1"]},{"source":["s2","s3"]},{"type":["t"]}]}')
    assert rules.match('{"source":"s1","n":1}') == {1, 50}
    assert rules.match('{"source":["s1","s3"],"type":"t","n":1}') == {1, 3, 50}
    assert rules.match('{"type":"t","n":1}') == {50}
    rules.remove(50)
    assert rules.match('{"source":["s1","s3"],"type":"t","n":1}') == {1, 3}


SOURCES = ["a", "b", "c", "d", "e"]


def random_pattern(random: Random) -> str:
    pattern: dict[str, object] = {}
    if random.random() < 0.8:
        pattern["source"] = random.choices(SOURCES, k=random.choice([1, 1, 1, 2, 3, 5]))
    if random.random() < 0.6:
        tests: list[object] = [f"t{random.randrange(12)}"]
        tests += random.choice([[], [], ["t1"], [{"exists": False}], [{"prefix": "t1"}]])
        pattern["detail"] = {"type": tests, "n": [random.randrange(3), 0]}
    if random.random() < 0.4 or not pattern:
        pattern["id"] = [f"i{random.randrange(20)}"]
    if random.random() < 0.1:
        pattern["$or"] = [{"source": ["a"]}, {"id": ["i1", "i2"]}]
    return json.dumps(pattern)


def random_event(random: Random) -> str:
    source: object = random.choice(SOURCES)
    types: list[object] = [f"t{random.randrange(12)}" for _ in range(random.randrange(3))]
    details = [{"type": each, "n": random.randrange(3)} for each in types]
    event: dict[str, object] = {"source": source, "id": f"i{random.randrange(20)}"}
    match random.randrange(6):
        case 0:
            event["source"] = random.choices(SOURCES, k=2)
            event["detail"] = details
        case 1:
            event["detail.type"] = types
        case 2:
            del event["source"]
            event["detail"] = {"type": [types, "t3"], "n": 1}
        case _:
            event["detail"] = details[0] if details else {}
    return json.dumps(event)


@pytest.mark.parametrize("seed", range(8))
def test_random_rules_answer_as_each_alone_while_they_come_move_and_go(
    seed: int, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(partition, "GAIN_MIN", 0.05)
    random = Random(seed)
    rules = Rules()
    matched = 0
    for turn in range(400):
        rule = random.randrange(150)
        if rule in rules.patterns:
            rules.remove(rule)
        if turn < 300 or random.random() < 0.3:
            rules.add(rule, random_pattern(random))
        matched += len(rules.match(random_event(random)))
    assert matched > 100
    assert rules.paths()
    rules.settle()
    for _ in range(100):
        rules.match(random_event(random))
    for rule in list(rules.patterns):
        rules.remove(rule)
    assert not rules.partition
    assert [each for each in partitions_in(rules.partition) if each is not rules.partition] == []
