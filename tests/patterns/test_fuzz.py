"""Some batches of the fuzz, which `python -m tests.pattern_fuzz` runs by the thousand, and that it
finds what is wrong.
"""

from __future__ import annotations

import re
from random import Random

import pytest

from eventcore.patterns import Pattern, matches
from tests.pattern_fuzz import main
from tests.patterns import comparison
from tests.patterns.batches import batch
from tests.patterns.comparison import ENGINES, Add, Comparison, Match, Remove, Step, compare
from tests.patterns.json_text import read_tree, smaller_trees, write_tree
from tests.patterns.random_worlds import WORLDS, World
from tests.patterns.shrinking import smallest
from tests.patterns.thresholds import lowered, missing_thresholds

WORLD = {world.name: world for world in WORLDS}


@pytest.mark.parametrize("world", WORLDS, ids=lambda world: world.name)
@pytest.mark.parametrize("shape", ["square", "single"])
def test_all_engines_say_what_the_oracle_says(world: World, shape: str):
    asked = Comparison()
    for number, step in enumerate(batch(world, shape, Random(f"{world.name}/{shape}"))):
        assert asked.take(number, step) is None
    assert asked.pairs > 30


@pytest.mark.parametrize("world", WORLDS, ids=lambda world: world.name)
def test_all_engines_say_so_when_what_many_rules_need_begins_with_few(world: World):
    with lowered():
        asked = Comparison(["match", "match_json"])
        for number, step in enumerate(batch(world, "square", Random(f"{world.name}/low"))):
            assert asked.take(number, step) is None
    assert asked.pairs > 1_000


def test_every_threshold_is_there():
    assert missing_thresholds() == []


@pytest.mark.parametrize("name", ["eventbridge", "flat", "ranges"])
def test_thousands_of_rules_at_once(name: str):
    asked = Comparison(["match", "match_json"])
    for number, step in enumerate(batch(WORLD[name], "large", Random(f"{name}/1"))):
        assert asked.take(number, step) is None
    assert asked.matched > 0


def test_thousands_of_values_that_never_come_again():
    asked = Comparison(["match", "match_json"])
    script = batch(WORLD["flat"], "long", Random("long"))
    for number, step in enumerate(script):
        assert asked.take(number, step) is None
    assert len({step.event for step in script if isinstance(step, Match)}) > 4_096


@pytest.mark.parametrize("unusual", ['["v7"]', "[]", "{}", '[["v7"]]', '[{"b":1}]', "null", "7"])
@pytest.mark.parametrize("test", ['"v7"', '{"prefix":"v"}', '{"anything-but":"w"}', "7", "null"])
def test_another_shape_after_many_values_that_never_came_again(test: str, unusual: str):
    """Whatever a matcher has given up to remember, it still tells a leaf from an array."""
    usual = [Match(f'{{"a":"v{number}"}}') for number in range(600)]
    tests = [test, '{"exists":false}', '{"exists":true}']
    adds = [Add(number, f'{{"a":[{each}]}}') for number, each in enumerate(tests)]
    assert compare([*adds, *usual, Match(f'{{"a":{unusual}}}'), usual[7]]) is None


def test_patterns_and_events_meet():
    for world in WORLDS:
        asked = Comparison(["matches"])
        for number, step in enumerate(batch(world, "square", Random("meet"))):
            asked.take(number, step)
        assert 0.005 < asked.matched / asked.pairs < 0.5, world.name


def test_a_seed_replays_exactly():
    for shape in ("square", "single"):
        one, other = (batch(WORLD["mixed"], shape, Random("again")) for _ in range(2))
        assert one == other
        assert one != batch(WORLD["mixed"], shape, Random("other"))


def test_every_operator_is_asked_for():
    texts = "".join(
        step.pattern
        for world in WORLDS
        for step in batch(world, "square", Random("all"))
        if isinstance(step, Add)
    )
    for name in (
        *("prefix", "suffix", "equals-ignore-case", "wildcard", "anything-but", "numeric"),
        *("exists", "cidr", "exactly", "$or"),
    ):
        assert f'"{name}":' in texts
    assert '"prefix":{"equals-ignore-case"' in texts and '"suffix":{"equals-ignore-case"' in texts
    for name in ("prefix", "suffix", "equals-ignore-case", "wildcard"):
        assert f'"anything-but":{{"{name}":' in texts


# -- what is wrong is found, and made small ------------------------------------------------------


@pytest.fixture
def wrong_engine(monkeypatch: pytest.MonkeyPatch):
    """An engine that takes every pattern with a wildcard for one that no event matches."""

    def wrong(pattern: Pattern, event: dict[str, object]) -> bool:
        return "wildcard" not in pattern.text and matches(pattern, event)

    monkeypatch.setattr(comparison, "matches", wrong)


@pytest.mark.usefixtures("wrong_engine")
def test_the_fuzz_finds_a_wrong_engine_and_tells_the_smallest_example(capsys):
    arguments = ["--world", "wildcards", "--shape", "square", "--thresholds", "real"]
    assert main(arguments) == 1
    told = capsys.readouterr().out.splitlines()
    assert told[0] == "seed 1, batch 0: wildcards, square, real"
    assert told[1].startswith("matches, rule ")
    assert len(told) == 6
    replay = "--seed 1 --world wildcards --shape square --thresholds real --engine all --batch 0"
    assert told[5] == f"again: python -m tests.pattern_fuzz {replay}"
    assert told[2].startswith("Add(rule=") and told[3].startswith("Match(event=")
    assert len(told[2]) < 70 and len(told[3]) < 40


def test_the_fuzz_without_a_difference_succeeds(capsys):
    arguments = ["--pairs", "3000", "--world", "flat", "--shape", "single", "--seed", "3"]
    assert main(arguments) == 0
    assert "no difference" in capsys.readouterr().out
    assert main([*arguments, "--batch", "2"]) == 0
    told = re.search(r"^(\d+) pairs in .* no difference$", capsys.readouterr().out, re.MULTILINE)
    assert told is not None and 0 < int(told[1]) < 200


@pytest.mark.usefixtures("wrong_engine")
def test_a_script_is_cut_down_to_what_is_needed():
    script: list[Step] = [
        Add(1, '{"a":["x"]}'),
        Add(2, '{"b":["y"],"a":["z",{"wildcard":"x*y*z"}],"$or":[{"c":[1]},{"d":[2]}]}'),
        Match('{"a":"x"}'),
        Remove(1),
        Match('{"a":["x12yz",5],"b":"y","c":1,"d":2,"e":{}}'),
    ]
    difference = compare(script)
    assert difference is not None
    assert (difference.kind, difference.step, difference.rule) == ("matches", 4, 2)

    def is_wrong(candidate: list[Step]) -> bool:
        found = compare(candidate)
        return found is not None and found.kind == "matches"

    small = smallest(script, is_wrong)
    assert small == [Add(2, '{"a":[{"wildcard":""}]}'), Match('{"a":""}')]


def test_a_pattern_that_is_refused_and_an_error_are_differences(monkeypatch: pytest.MonkeyPatch):
    refused = compare([Add(4, '{"a":[{"wildcard":"**"}]}')])
    assert refused is not None and (refused.kind, refused.step, refused.rule) == ("refused", 0, 4)

    def broken(pattern: Pattern, event: dict[str, object]) -> bool:
        raise KeyError(pattern.text)

    monkeypatch.setattr(comparison, "matches", broken)
    found = compare([Add(4, '{"a":[1]}'), Match("{}")])
    assert found is not None and found.kind == "KeyError"
    assert compare([Add(4, '{"a":[1]}'), Match("{}")], ENGINES[1:]) is None


def test_trees_keep_names_given_twice_and_numbers_as_written():
    text = '{"a":[1.0,3.0e2,-0,"x\\n",true,false,null,{}],"a":{"b":[]}}'
    assert write_tree(read_tree(text)) == text
    loose = write_tree(read_tree(text), Random(3))
    assert loose != text and write_tree(read_tree(loose)) == text


def test_smaller_trees_differ_in_one_place():
    smaller = [write_tree(tree) for tree in smaller_trees(read_tree('{"a":["xy",17],"b":{}}'))]
    assert smaller == [
        *('{"b":{}}', '{"a":[17],"b":{}}', '{"a":["y",17],"b":{}}', '{"a":["x",17],"b":{}}'),
        *(
            '{"a":["xy"],"b":{}}',
            '{"a":["xy",0],"b":{}}',
            '{"a":["xy",1],"b":{}}',
            '{"a":["xy",17]}',
        ),
    ]
