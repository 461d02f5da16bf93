from __future__ import annotations

import pytest

from eventcore.patterns import Matcher, compile_pattern
from eventcore.patterns.masks import SlotTable
from eventcore.patterns.path_index import VALUES_MAX
from eventcore.patterns.rule_index import RuleIndex


def matcher_of(*patterns: str) -> Matcher:
    matcher = Matcher()
    for number, pattern in enumerate(patterns):
        matcher.add(number, compile_pattern(pattern))
    return matcher


def index_of(matcher: Matcher) -> RuleIndex:
    """The one index of a matcher of few rules."""
    index = matcher._partition._rest
    assert index is not None
    return index


def test_an_empty_matcher_matches_nothing():
    assert Matcher().match({"source": "x"}) == []
    assert len(Matcher()) == 0


def test_rule_numbers_come_back_ascending_and_once():
    matcher = Matcher()
    for number in (70, 3, 1_000_000, 12):
        matcher.add(number, compile_pattern('{"$or":[{"a":[1]},{"b":[2]},{"c":[3]}]}'))
    assert matcher.match({"a": 1, "b": 2}) == [3, 12, 70, 1_000_000]
    assert len(matcher) == 4


def test_many_matching_rules_come_back_ascending():
    matcher = Matcher()
    for number in range(500):
        matcher.add(number * 7 % 500, compile_pattern(f'{{"a":[{{"numeric":["<",{number}]}}]}}'))
    assert matcher.match({"a": 399}) == sorted(number * 7 % 500 for number in range(400, 500))


def test_a_removed_rule_is_forgotten_and_its_number_and_place_are_free_again():
    matcher = matcher_of('{"a":["x"]}', '{"a":["y"]}', '{"b":[{"exists":false}]}')
    matcher.remove(0)
    assert matcher.match({"a": "x"}) == [2]
    matcher.add(0, compile_pattern('{"b":[1]}'))
    assert matcher.match({"a": "x", "b": 1}) == [0]
    assert matcher.match({"a": "y"}) == [1, 2]
    for number in (0, 1, 2):
        matcher.remove(number)
    assert len(matcher) == 0
    assert matcher.match({"a": "x", "b": 1}) == []


def test_removing_everything_leaves_an_empty_index():
    texts = [
        '{"a":["x",1,true,null,{"prefix":"p"},{"suffix":"s"},{"numeric":["<",1]},"::1"]}',
        '{"a":{"b":[{"numeric":[">",0,"<",9]},{"numeric":[">=",5]},{"anything-but":["q"]}]}}',
        '{"a":{"b":[{"anything-but":"q"},{"anything-but":{"prefix":"r"}},{"exists":false}]}}',
        '{"$or":[{"a":["x"]},{"a":["x"]}]}',
        '{"a":[{"numeric":[">",1.7976931348623157e308]}]}',
    ]
    matcher = matcher_of(*texts)
    assert matcher.match({"a": "x"}) == [0, 2, 3]
    index = index_of(matcher)
    for number in range(len(texts)):
        matcher.remove(number)
    root = index._tree.root
    assert (root.children, root.missing, root.missing_below, root.below) == ({}, 0, 0, 0)
    assert (root.absent, root.spellings) == (0, set())
    assert index._used == 0
    assert not matcher._partition


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('{"anything-but":"x"}', '{"anything-but":"y"}'),
        ('{"anything-but":{"prefix":"x"}}', '{"anything-but":{"suffix":"y"}}'),
        ('{"exists":false}', '{"prefix":"x"}'),
        ('{"anything-but":"y"},{"anything-but":"z"}', '{"suffix":"x"}'),
        ('{"numeric":["<",1]}', '"x"'),
    ],
)
def test_a_rule_in_the_place_of_a_removed_one_inherits_nothing(before: str, after: str):
    matcher = matcher_of(f'{{"a":[{before}]}}', '{"a":[{"anything-but":"q"}]}')
    matcher.remove(0)
    matcher.add(2, compile_pattern(f'{{"a":[{after}]}}'))
    assert matcher.match({"a": "x"}) == [1, 2]
    assert matcher.match({"a": 0}) == ([1, 2] if "anything-but" in after else [1])
    assert matcher.match({}) == []


def test_masks_do_not_grow_when_rules_come_and_go():
    matcher = Matcher()
    pattern = compile_pattern('{"a":["x"]}')
    for number in range(1_000):
        matcher.add(number, pattern)
        if number >= 3:
            matcher.remove(number - 3)
    assert index_of(matcher)._used.bit_length() <= 4
    assert matcher.match({"a": "x"}) == [997, 998, 999]


def test_rules_added_and_removed_between_matches_of_the_same_value_are_seen():
    matcher = matcher_of('{"a":[{"prefix":"x"}]}')
    event: dict[str, object] = {"a": "xyz"}
    assert matcher.match(event) == [0]
    matcher.add(1, compile_pattern('{"a":["xyz"]}'))
    assert matcher.match(event) == [0, 1]
    matcher.add(2, compile_pattern('{"b":[{"exists":false}]}'))
    assert matcher.match(event) == [0, 1, 2]
    matcher.remove(0)
    assert matcher.match(event) == [1, 2]


def test_true_one_and_the_text_one_are_kept_apart_when_answers_are_remembered():
    matcher = matcher_of('{"a":[1]}', '{"a":[true]}', '{"a":["1"]}', '{"a":[0]}', '{"a":[false]}')
    for _ in range(2):
        assert matcher.match({"a": True}) == [1]
        assert matcher.match({"a": 1}) == [0]
        assert matcher.match({"a": 1.0}) == [0]
        assert matcher.match({"a": "1"}) == [2]
        assert matcher.match({"a": False}) == [4]
        assert matcher.match({"a": 0}) == [3]


def test_what_is_remembered_is_bounded_in_values_and_their_length():
    matcher = matcher_of('{"a":[{"prefix":"x"}]}')
    index = index_of(matcher)._tree.root.children["a"].index
    assert index is not None
    assert matcher.match({"a": "x" * 1_000}) == [0]
    assert len(index) == 0
    for number in range(3 * VALUES_MAX):
        assert matcher.match({"a": f"x{number}"}) == [0]
        assert len(index) <= VALUES_MAX
    assert not index.is_remembering


def test_a_rule_number_is_used_once():
    matcher = matcher_of('{"a":[1]}')
    with pytest.raises(AssertionError, match="rule 0 is there already"):
        matcher.add(0, compile_pattern('{"a":[2]}'))


@pytest.mark.parametrize("text", [b"[]", b"1", b"{", b"", b'{"a":NaN}'])
def test_an_event_that_is_no_json_object_is_refused(text: bytes):
    with pytest.raises(ValueError):  # noqa: PT011 - the codec's own error or ours
        matcher_of('{"a":[1]}').match_json(text)


def test_a_key_of_one_slot_holds_no_mask():
    table = SlotTable()
    table.add("x", 9_999)
    table.add("x", 9_999)
    assert table.get("x") == 1 << 9_999
    assert table.entries == {"x": ~9_999}
    table.add("x", 1)
    assert table.get("x") == 1 << 9_999 | 2
    table.discard("x", 9_999)
    table.discard("x", 5)
    assert (table.get("x"), len(table)) == (2, 1)
    table.discard("x", 1)
    assert (table.get("x"), len(table)) == (0, 0)
