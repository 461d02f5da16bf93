from __future__ import annotations

import json
from collections.abc import Callable

import msgspec
import pytest
from msgspec import UNSET

from eventcore.patterns import Matcher, compile_pattern, event_reader, matches
from eventcore.patterns.event_reader import build_reader, build_values_reader
from eventcore.patterns.numbers import NumberText, decode_event
from eventcore.patterns.path_index import Experience, MemoBudget
from eventcore.patterns.path_tree import Doubt, PathTree
from eventcore.patterns.rule_index import QUIET_EVENTS, UNUSUAL_EVENT, RuleIndex


def tree_of(*patterns: str) -> PathTree:
    """A tree whose slots are the places of the patterns, which have one branch."""
    tree = PathTree(Experience(MemoBudget(), lambda: None), Doubt())
    for slot, pattern in enumerate(patterns):
        for condition in compile_pattern(pattern).branches[0]:
            tree.add(condition, slot)
    return tree


class Rules:
    """An index with a reader and its rules; every match is checked against `matches`."""

    def __init__(self, *patterns: str, usual: str = "{}") -> None:
        self.index = RuleIndex(MemoBudget())
        self.patterns = [compile_pattern(each) for each in patterns]
        for rule, pattern in enumerate(self.patterns):
            for number, branch in enumerate(pattern.branches):
                self.index.add((rule, number), branch)
        for _ in range(QUIET_EVENTS):
            self.match(usual)

    def match(self, event: str) -> set[int]:
        values = decode_event(event)
        expected = {rule for rule, each in enumerate(self.patterns) if matches(each, values)}
        for text in (event, event.encode()):
            found: list[int] = []
            self.index.match_text(text, found)
            assert set(found) == expected, event
        return expected


# -- what a reader reads -------------------------------------------------------------------------


def test_a_reader_gives_the_slots_that_an_event_satisfies():
    tree = tree_of(
        '{"source":["s"]}',
        '{"detail":{"a":{"b":[1]},"c":["x",{"exists":false}]}}',
        '{"detail":{"a":{"b":[{"exists":false}]}}}',
        '{"source":["t"],"detail":{"c":["y"]}}',
    )
    read = build_reader(tree.root)
    assert read is not None
    assert read('{"source":"s"}', 0b1111) == 0b101
    assert read(b'{"detail":{"a":{"b":1.0}}}', 0b1111) == 0b10
    assert read('{"detail":{"c":"y"},"source":"t","other":{"a":[1,{"b":[]}]}}', 0b1111) == 0b1100
    assert read('{"detail":{"c":"y"},"source":"t"}', 0b0111) == 0b0100


def test_numbers_are_read_as_patterns_compare_them():
    tree = tree_of('{"n":[9007199254740993]}', '{"d":{"n":[0.1]}}', '{"n":[1e23]}')
    read = build_reader(tree.root)
    assert read is not None
    assert read('{"n":9007199254740993}', 7) == 1
    assert read('{"n":9007199254740992}', 7) == 0
    assert read('{"n":1E+23,"d":{"n":1e-1}}', 7) == 6
    assert read('{"n":0.10000000000000000555,"d":{"n":0.10000000000000000555}}', 7) == 0


UNUSUAL = [
    '{"detail":"x"}',
    '{"detail":null}',
    '{"detail":1e400}',
    '{"detail":[]}',
    '{"detail":[{"a":"x"}]}',
    '{"detail":{"a":["x"]}}',
    '{"detail":{"a":{}}}',
    '{"detail":{"b":"x"}}',
    '{"detail":{"b":[{"c":"y"},[{"c":"z"}]]}}',
    '{"detail.a":"x"}',
    '{"detail.a":null}',
    '{"detail.a":["x"]}',
    '{"detail":{"b.c":{}}}',
    '{"detail.b.c":1}',
    '{"detail.b":{"c":"y"}}',
    "[]",
    '"x"',
    "null",
    "{",
    "",
    '{"detail":{"a":tru}}',
    '{"detail":' + "[" * 3_000 + "]" * 3_000 + "}",
    "[" * 100_000,
]


@pytest.mark.parametrize("event", UNUSUAL)
def test_a_reader_of_usual_events_raises_for_others(event: str):
    tree = tree_of('{"detail":{"a":["x"],"b":{"c":["y"]}}}')
    read = build_reader(tree.root)
    assert read is not None
    with pytest.raises(UNUSUAL_EVENT):
        read(event, 1)


def test_a_reader_is_not_built_for_too_many_fields(monkeypatch: pytest.MonkeyPatch):
    patterns = [f'{{"detail":{{"f{number}":["x"]}}}}' for number in range(10)]
    # The field `detail` and its ten members; spellings such as `detail.f0` do not count.
    monkeypatch.setattr(event_reader, "FIELDS_MAX", 11)
    assert build_reader(tree_of(*patterns).root) is not None
    assert build_values_reader([("detail", f"f{number}") for number in range(10)]) is not None
    monkeypatch.setattr(event_reader, "FIELDS_MAX", 10)
    assert build_reader(tree_of(*patterns).root) is None
    assert build_values_reader([("detail", f"f{number}") for number in range(10)]) is None


def test_more_paths_than_a_reader_takes_have_the_same_answers():
    count = event_reader.FIELDS_MAX + 1
    rules = Rules(*(f'{{"f{number}":["x"]}}' for number in range(count)))
    assert rules.index._reader is None
    assert rules.match('{"f7":"x","f256":["y","x"]}') == {7, 256}
    rules.index.remove((0, 0))
    rules.patterns[0] = compile_pattern('{"never":["asked"]}')
    for _ in range(QUIET_EVENTS):
        assert rules.match('{"f7":"x"}') == {7}
    assert rules.index._reader is not None
    assert rules.match('{"f7":"x","f256":["y","x"],"f0":"x"}') == {7, 256}


# -- names ---------------------------------------------------------------------------------------

NAMES = ["", " ", "ü", "😀", "\u2028", "\x7f", "field_0", "spelling_0", "record", "alive"]
NAMES += ["__class__", "type", "'", "%s", "{}", "a-b", "detail", "e\u0301", "é"]
NAMES_WITH_ESCAPES = ['"', "\\", 'a"b', "a\\", "\n", "\x00", "\x1f", "\\u0041"]


def spellings_of(name: str) -> list[str]:
    """JSON texts of a name: with every escape that is possible, and with none but the needed."""
    escaped = "".join(
        f"\\u{int.from_bytes(unit, 'big'):04x}"
        for character in name
        for data in [character.encode("utf-16-be")]
        for unit in (data[:2], data[2:])
        if unit
    )
    return [f'"{escaped}"', json.dumps(name), json.dumps(name, ensure_ascii=False)]


@pytest.mark.parametrize("name", NAMES + NAMES_WITH_ESCAPES)
def test_any_name_is_read_in_any_spelling(name: str):
    key = json.dumps(name)
    rules = Rules(f'{{{key}:["x"]}}', f'{{"d":{{{key}:["y"]}}}}', f'{{"e":{{{key}:{{"f":[1]}}}}}}')
    assert (rules.index._reader is None) == (name in NAMES_WITH_ESCAPES)
    for spelling in spellings_of(name):
        assert rules.match(f'{{{spelling}:"x"}}') == {0}
        assert rules.match(f'{{"d":{{{spelling}:"y"}},"\\u0065":{{{spelling}:{{"f":1}}}}}}') == {
            1,
            2,
        }
        assert rules.match(f'{{{spelling}:"x","d":[{{{spelling}:"y"}}]}}') == {0, 1}


def test_all_names_together_are_told_apart():
    names = [name for name in NAMES if name != "detail"]
    rules = Rules(*(f'{{{json.dumps(name)}:["x"]}}' for name in names))
    assert rules.index._reader is not None
    for number, name in enumerate(names):
        assert rules.match(json.dumps({name: "x"})) == {number}
    assert rules.match(json.dumps(dict.fromkeys(names, "x"))) == set(range(len(names)))


def test_names_with_empty_steps_are_steps():
    rules = Rules('{"":["x"]}', '{".":["x"]}', '{"a.":["x"]}', '{"..":["x"]}', '{".a":["x"]}')
    for event, expected in [
        ('{"":"x"}', {0}),
        ('{"":{"":"x","a":"x"}}', {1, 4}),
        ('{".":"x","a":{"":"x"}}', {1, 2}),
        ('{"a.":"x",".":{"":"x"}}', {2, 3}),
        ('{"..":"x",".a":"x"}', {3, 4}),
        ('{"":{".":"x"}}', {3}),
    ]:
        assert rules.match(event) == expected


# -- events of other shapes ----------------------------------------------------------------------


def test_an_array_of_objects_is_read_as_records_from_then_on():
    rules = Rules(
        '{"items":{"id":["a"],"n":{"m":[1]}}}',
        '{"items":{"id":[{"exists":false}]}}',
        usual='{"items":{"id":"a"}}',
    )
    items = rules.index._tree.root.children["items"]
    assert not items.is_irregular
    array = '{"items":[{"id":"b","n":{"m":1}},{"id":"a","n":{"m":1}}]}'
    assert rules.match(array) == {0}
    assert items.is_irregular
    assert rules.index._reader is not None
    for event in [
        array,
        '{"items":[{"id":"a"},{"id":"b","n":{"m":1}}]}',
        '{"items":[]}',
        '{"items":[{}]}',
        '{"items":["x",{"id":"a","n":{"m":1}}]}',
        '{"items":[[{"id":"a","n":{"m":1}}],[[]]]}',
        '{"items":[{"id":["b","a"],"n":[{"m":1}]}]}',
        '{"items":[{"id":"a","n.m":1}]}',
        '{"items":{"id":"a","n":{"m":1}}}',
        '{"items":"x"}',
        '{"items":[1e400,null,{"n":{"m":1}}]}',
        "{}",
    ]:
        rules.match(event)
    assert rules.match('{"items":[1e400,{"n":{"m":1}}]}') == {1}


def test_shapes_are_learnt_one_after_the_other_at_every_depth():
    rules = Rules(
        '{"a":{"b":{"c":["x"],"d":["y"]}}}',
        '{"a":{"b":["z"]}}',
        '{"a":{"e":[{"exists":false}],"b":{"c":["x"]}}}',
        usual='{"a":{"e":1}}',
    )
    news = [
        ('{"a":{"b":{"c":["x"],"d":"y"}}}', {0, 2}),
        ('{"a":{"b":["z",{"c":"x","d":"y"}]}}', {0, 1, 2}),
        ('{"a":[{"b":[{"c":"x"},{"d":"y"}]},{"b":"z"}]}', {1, 2}),
        ('{"a":{"e":[1],"b":{"c":"x"}}}', set()),
    ]
    for event, expected in news * 2:
        assert rules.match(event) == expected
        # The code that is there now takes this event, and raises no more.
        assert rules.index._reader is not None
        assert rules.index._reader(event, 0) == 0


def test_what_was_learnt_of_a_path_is_gone_with_its_last_rule():
    rules = Rules('{"a":{"b":["x"]}}', '{"c":["y"]}', usual='{"a":[{"b":"x"}]}')
    assert rules.index._tree.root.children["a"].is_irregular
    rules.index.remove((0, 0))
    rules.index.add((0, 0), rules.patterns[0].branches[0])
    assert not rules.index._tree.root.children["a"].is_irregular
    for event in ('{"a":{"b":"x"}}', '{"a":[{"b":"x"}]}') * QUIET_EVENTS:
        assert rules.match(event) == {0}


def test_the_code_is_made_again_when_paths_have_changed_and_events_have_come():
    rules = Rules('{"a":["x"]}')
    first = rules.index._reader
    assert first is not None
    rules.patterns.append(compile_pattern('{"a":["y"]}'))
    rules.index.add((1, 0), rules.patterns[1].branches[0])
    assert rules.index._reader is first
    assert rules.match('{"a":"y"}') == {1}
    rules.patterns.append(compile_pattern('{"b":["y"]}'))
    rules.index.add((2, 0), rules.patterns[2].branches[0])
    assert rules.index._reader is None
    for _ in range(QUIET_EVENTS):
        assert rules.match('{"a":"y","b":"y"}') == {1, 2}
    assert rules.index._reader not in (None, first)
    assert rules.match('{"b":"y"}') == {2}


def test_an_event_that_fails_after_arrays_were_seen_leaves_no_trace():
    rules = Rules(
        '{"a":{"b":["x",{"exists":false}],"c":[1]}}', '{"z":{"y":["x"]}}', usual='{"a":[{"b":"x"}]}'
    )
    for event in ('{"a":[{"b":"q"},{"c":1}],"z":5}', '{"a":[{"c":1}],"z":[{"y":["x"]}]}') * 3:
        rules.match(event)
    with pytest.raises(ValueError):  # noqa: PT011 - the codec's own error or ours
        rules.index.match_text('{"a":[{"c":1}],"z":', [])
    assert rules.match('{"a":{"c":1},"z":{"y":"x"}}') == {0, 1}
    assert rules.index._doubt.slots == 0


@pytest.mark.parametrize("event", ["[]", "1", "{", "", '"x"', "[" * 100_000, '{"a":' * 5_000])
def test_what_is_no_object_is_refused_with_a_reader_too(event: str):
    rules = Rules('{"a":["x"]}')
    with pytest.raises(ValueError):  # noqa: PT011 - the codec's own error or ours
        rules.index.match_text(event, [])
    assert rules.match('{"a":"x"}') == {0}


def test_an_integer_of_more_digits_than_python_reads_is_refused():
    matcher = Matcher()
    matcher.add(0, compile_pattern('{"a":[{"exists":true}]}'))
    assert matcher.match_json('{"a":' + "9" * 4_000 + "}") == [0]
    for _ in range(QUIET_EVENTS + 1):
        with pytest.raises(ValueError, match="out of range"):
            matcher.match_json('{"a":' + "9" * 5_000 + "}")


# -- values on some paths ------------------------------------------------------------------------


def test_values_are_read_in_the_order_of_the_paths():
    read = build_values_reader([("d", "b"), ("a",), ("d", "c", "e"), ("d", "a")])
    assert read is not None
    event = '{"a":1,"d":{"a":[2],"b":"3","c":{"e":null,"f":9}},"z":0}'
    assert read(event) == ("3", 1, None, [2])
    assert read(b"{}") == (UNSET, UNSET, UNSET, UNSET)
    assert read('{"d":{"c":{}},"a":0.10000000000000000555}')[1] == NumberText(
        "0.10000000000000000555"
    )


def test_one_path_gives_one_value():
    read = build_values_reader([("d", "b")])
    assert read is not None
    assert read('{"d":{"b":"x"}}') == ("x",)
    assert read("{}") == (UNSET,)


@pytest.mark.parametrize(
    "paths",
    [
        [("a",), ("a", "b")],
        [("a", "b", "c"), ("x",), ("a",)],
        [('a"',)],
        [("a", "\n")],
    ],
)
def test_paths_that_no_record_has_together_have_no_reader(paths: list[tuple[str, ...]]):
    assert build_values_reader(paths) is None


@pytest.mark.parametrize(
    "event", ['{"d":[]}', '{"d":1}', '{"d.b":"x"}', '{"d":{"b.c":1}}', "[]", '{"d":{"b":[1]}}']
)
def test_values_of_other_shapes_raise(event: str):
    read: Callable[[str], tuple[object, ...]] | None = build_values_reader([("d", "b", "c")])
    assert read is not None
    with pytest.raises((AttributeError, msgspec.DecodeError)):
        read(event)
