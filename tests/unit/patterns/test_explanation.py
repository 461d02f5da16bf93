"""What is told about an event that does not match, mistake by mistake."""

from __future__ import annotations

import datetime
import json
import math

import pytest

import eventcore
from eventcore.errors import InvalidParameter, InvalidPattern
from eventcore.patterns import explanation as module
from eventcore.patterns.elements import ArrayConflict, ElementExplanation
from eventcore.patterns.hints import similar_names


def condition_of(tests, **event):
    """The explanation of the one condition that `a` has in the pattern."""
    ((condition,),) = (b.conditions for b in eventcore.explain({"a": tests}, event).branches)
    return condition


def test_a_match_tells_what_was_accepted():
    explained = eventcore.explain({"a": [1, "x"], "b": [{"exists": False}]}, {"a": ["y", "x", "z"]})
    assert explained.is_match
    assert explained.first_failure == ""
    assert explained.text() == "matches"
    assert explained.text(verbose=True) == (
        'matches\n  a: [1, "x"] accepts "x", one of 3 values\n'
        '  b: [{"exists":false}] accepts that it is absent'
    )
    first, second = explained.branches[0].conditions
    assert (first.values, first.values_count, first.accepted) == (('"y"', '"x"', '"z"'), 3, '"x"')
    assert (second.values, second.accepted) == ((), None)


def test_only_what_fails_is_told_unless_all_is_asked_for():
    explained = eventcore.explain('{"a":["x"],"b":[1]}', b'{"a":"x","b":2}')
    assert explained.text() == "does not match\n  b: [1] does not accept 2"
    assert explained.text(verbose=True).count("\n") == 2
    assert explained.first_failure == "b: [1] does not accept 2"


@pytest.mark.parametrize(
    ("tests", "value", "hint"),
    [
        (["1"], 1, 'the event has the number 1, the pattern the string "1"'),
        (["true"], True, 'the event has the boolean true, the pattern the string "true"'),
        (["null"], None, 'the event has the literal null, the pattern the string "null"'),
        ([1], "1", "the event has a string, the pattern the number 1"),
        ([True], "true", "the event has a string, the pattern the boolean true"),
        ([None], "null", "the event has a string, the pattern the literal null"),
        ([{"numeric": [">", 1]}], "5", "the event has a string, and numeric compares numbers only"),
        ([{"numeric": [">", 1]}], "0", ""),
        ([{"numeric": [">", 1]}], "nan", ""),
        ([{"numeric": [">", 1]}], "x", ""),
        ([{"prefix": "1"}], 12, "prefix accepts strings only; the event has the number 12"),
        ([{"cidr": "10.0.0.0/8"}], 1, "cidr accepts strings only; the event has the number 1"),
        (["New"], "new", 'only the case differs: {"equals-ignore-case":"New"} accepts it'),
        (
            [{"prefix": "AB"}],
            "abc",
            'only the case differs: {"prefix":{"equals-ignore-case":"AB"}} accepts it',
        ),
        (
            [{"suffix": "BC"}],
            "abc",
            'only the case differs: {"suffix":{"equals-ignore-case":"BC"}} accepts it',
        ),
        ([{"wildcard": "A*"}], "abc", "only the case differs"),
        (["ss"], "ß", "only the case differs"),
        (["x"], " x\n", "the event's string has whitespace around it"),
        (["x "], "x", "the pattern's string has whitespace around it"),
        (["a*c"], "abc", '"*" is a plain character there; as a wildcard: {"wildcard":"a*c"}'),
        (
            [{"prefix": "shop*"}],
            "shopping",
            '"*" is a plain character there; as a wildcard: {"wildcard":"shop*"}',
        ),
        (
            [{"suffix": "*.png"}],
            "a.png",
            '"*" is a plain character there; as a wildcard: {"wildcard":"*.png"}',
        ),
        (["a**b"], "axb", '"*" is a plain character there; as a wildcard: {"wildcard":"a*b"}'),
        ([{"prefix": "a"}], "ba", ""),
        (["é"], "e\u0301", "the strings look the same but are composed of other characters"),
        ([{"cidr": "10.0.0.0/8"}], "10.0.0.01", "cidr accepts IP addresses only"),
        ([{"cidr": "10.0.0.0/8"}], "11.0.0.1", ""),
        (["x"], "y", ""),
        ([{"anything-but": "x"}], "x", ""),
        (["x"], "y" * 20_000, ""),
    ],
)
def test_the_usual_mistakes_are_hinted_at(tests, value, hint):
    condition = condition_of(tests, a=value)
    assert not condition.is_met
    assert [text.startswith(hint) for text in condition.hints] == ([True] if hint else [])


def test_a_number_that_no_double_says_is_in_no_range():
    explained = eventcore.explain('{"a":[{"numeric":[">",1]}]}', '{"a":9007199254740993}')
    assert "no double says exactly 9007199254740993" in explained.text()


@pytest.mark.parametrize(
    ("pattern", "event", "absence", "hint"),
    [
        ({"a": ["x"]}, {"A": "x"}, 'the event has no "a"', 'it has "A"'),
        (
            {"detailType": ["x"]},
            {"detail-type": "x"},
            'the event has no "detailType"',
            'it has "detail-type"',
        ),
        (
            {"detail": {"state": ["x"]}},
            {"detail": {"status": 1, "stat": 2}},
            'detail has no "state"',
            'it has "stat", "status"',
        ),
        ({"s": ["x"]}, {"detail": {"s": "x"}}, 'the event has no "s"', "there is detail.s"),
        ({"a": {"b": ["x"]}}, {"a": {"z": [{"b": 1}]}}, 'a has no "b"', "there is a.z.b"),
        ({"a": {"b": ["x"]}}, {"a": "x"}, "a is a string, not an object", None),
        ({"a": {"b": ["x"]}}, {"a": [1]}, "a is a number, not an object", None),
        ({"a": {"b": ["x"]}}, {"a": None}, "a is null, not an object", None),
        (
            {"a": {"b": ["x"]}},
            {"a": '{"b":"x"}'},
            "a is a string, not an object",
            "it is the text of a JSON object",
        ),
        ({"a": {"b": ["x"]}}, {"a": []}, "a is []", None),
        ({"a": ["x"]}, {"a": [[]]}, "a is [], which is no value", None),
        ({"a": ["x"]}, {"a": [{}]}, "a is {}, which is no value", None),
        (
            {"a": [{"exists": True}]},
            {"a": {"id": 1}},
            "a is an object, and a list of a pattern asks for a leaf",
            'ask for a field of it, such as "id"',
        ),
        ({"a": {"b": {"c": [1]}}}, {"a.b": {"d": 1}}, 'a.b has no "c"', None),
    ],
)  # fmt: skip
def test_where_nothing_is_it_is_told_what_there_is(pattern, event, absence, hint):
    ((condition,),) = (b.conditions for b in eventcore.explain(pattern, event).branches)
    assert (condition.absence, condition.values) == (absence, ())
    assert condition.hints == (() if hint is None else (hint,))
    assert f"needs a value; {absence}" in condition.text()


def test_what_must_be_absent_and_is_there_is_told():
    condition = condition_of([{"exists": False}], a=["x", 1])
    assert condition.text() == 'a: [{"exists":false}] needs it to be absent; there is "x", 1'


def test_long_values_and_many_values_are_cut():
    condition = condition_of(["x"], a=["y" * 1_000, *range(30)])
    assert condition.values_count == 31
    assert len(condition.values) == module.VALUES_SHOWN
    assert condition.values[0] == '"' + "y" * module.VALUE_CHARACTERS_MAX + "..."
    assert condition.text().endswith("3, ... (31 values)")


def test_counting_ends_at_its_bound_but_the_verdict_is_true():
    condition = condition_of(["x"], a=[*range(module.STEPS_MAX), "x"])
    assert condition.is_met
    assert condition.is_count_cut
    assert condition.values_count < module.STEPS_MAX
    assert condition.text() == f'a: ["x"] accepts one of at least {condition.values_count} values'


def test_absence_from_an_element_is_told_apart_from_absence():
    pattern = {"a": {"b": [1], "c": [{"exists": False}]}}
    explained = eventcore.explain(pattern, {"a": [{"b": 1}, {"c": 2}]})
    assert explained.is_match
    assert 'a.c: [{"exists":false}] accepts that it is absent from an element' in explained.text(
        verbose=True
    )


def test_a_list_of_many_tests_is_cut_in_the_text():
    text = condition_of([f"value {number}" for number in range(200)], a="x").text()
    assert len(text) < module.TESTS_CHARACTERS_SHOWN + 100
    assert "..." in text


# -- several conditions, one element --------------------------------------------------------------


def conflict_of(pattern, event) -> ArrayConflict:
    (branch,) = eventcore.explain(pattern, event).branches
    assert branch.conflict is not None
    return branch.conflict


def test_conditions_met_in_different_elements_are_told_element_by_element():
    event = {"detail": {"items": [{"sku": "a", "n": 1}, "scalar", {"sku": "b", "n": 5}]}}
    pattern = {"detail": {"items": {"sku": ["a"], "n": [5]}}}
    assert conflict_of(pattern, event) == ArrayConflict(
        "detail.items",
        ("detail.items.n", "detail.items.sku"),
        (
            ElementExplanation(0, ("detail.items.n",)),
            ElementExplanation(2, ("detail.items.sku",)),
        ),
        2,
    )
    assert eventcore.explain(pattern, event).text() == (
        "does not match\n"
        "  no single element of the array detail.items satisfies all of "
        "detail.items.n, detail.items.sku\n"
        "    detail.items[0] fails detail.items.n\n"
        "    detail.items[2] fails detail.items.sku"
    )


def test_the_array_is_the_inner_one_if_an_outer_element_has_all():
    conflict = conflict_of(
        {"a": {"b": {"x": [1], "y": [2]}, "c": [3]}},
        {"a": [{"c": 3}, {"c": 3, "b": [{"x": 1}, {"y": 2}]}]},
    )
    assert (conflict.place, conflict.paths) == ("a[1].b", ("a.b.x", "a.b.y"))


def test_arrays_in_arrays_are_followed():
    conflict = conflict_of({"a": {"x": [1], "y": [2]}}, {"a": [[{"x": 1}, {"y": 2}], [{"x": 1}]]})
    assert (conflict.place, conflict.elements_count) == ("a[0]", 2)


def test_of_many_elements_those_come_first_in_which_least_fails():
    items = [*({"x": 9} for _ in range(20)), {"x": 1, "y": 9, "z": 9}, {"y": 2, "z": 3}]
    conflict = conflict_of({"a": {"x": [1], "y": [2], "z": [3]}}, {"a": items})
    assert [element.index for element in conflict.elements[:2]] == [21, 20]
    assert (len(conflict.elements), conflict.elements_count) == (5, 22)


@pytest.mark.parametrize("first", [{"b": 1, "c": 2}, {"b": 1}])
def test_absence_on_the_first_path_is_asked_of_the_whole_array(first):
    pattern = {"a": {"b": [{"exists": False}], "c": [1]}}
    explained = eventcore.explain(pattern, {"a": [first, {"c": 1}]})
    assert not explained.is_match
    assert explained.text() == (
        "does not match\n"
        '  a.b: [{"exists":false}] needs it to be absent; there is 1\n'
        "  a.b must be absent from all of the array a: paths are taken in their order, and before "
        "a.b no element of it is chosen"
    )
    assert eventcore.explain(pattern, {"a": [{"c": 2}, {"c": 1}]}).is_match


def test_absence_beside_values_on_the_first_path_is_told_with_the_elements():
    pattern = {"a": {"b": [5, {"exists": False}], "c": [1]}}
    explained = eventcore.explain(pattern, {"a": [{"b": 1, "c": 2}, {"c": 1}]})
    assert not explained.is_match
    assert explained.text().split("\n")[2:] == [
        "  no single element of the array a satisfies all of a.b, a.c",
        "    before a.b no element of it is chosen, since paths are taken in their order: its "
        "absence counts only if nothing in the array has it",
        "    a[1] fails a.b",
        "    a[0] fails a.b, a.c",
    ]


def test_absence_on_a_later_path_is_asked_of_the_chosen_element():
    pattern = {"a": {"b": [1], "c": [{"exists": False}]}}
    conflict = conflict_of(pattern, {"a": [{"b": 1, "c": 2}, {"c": 1}]})
    assert conflict.asked_first == ""
    assert conflict.elements == (
        ElementExplanation(0, ("a.c",)),
        ElementExplanation(1, ("a.b", "a.c")),
    )


def test_a_condition_on_scalars_of_the_array_does_not_count_for_its_elements():
    conflict = conflict_of({"a": ["x"], "a.b": [1], "a.c": [2]}, {"a": ["x", {"b": 1}, {"c": 2}]})
    assert conflict.paths == ("a.b", "a.c")


def test_a_condition_that_accepts_absence_is_not_met_by_other_elements_of_the_array():
    conflict = conflict_of({"a": [1, {"exists": False}], "a.c": [1]}, {"a": [[1], {"c": 1}]})
    assert conflict.paths == ("a", "a.c")
    assert conflict.elements == (
        ElementExplanation(0, ("a.c",)),
        ElementExplanation(1, ("a",)),
    )


# -- alternatives ----------------------------------------------------------------------------------


def test_of_alternatives_the_nearest_come_first():
    pattern = {
        "$or": [{"a": [1], "b": [2]}, {"c": [3]}, {"d": [4], "e": [5]}, {"f": [6], "g": [7]}]
    }
    explained = eventcore.explain(pattern, {"c": 4})
    lines = explained.text().split("\n")
    assert lines[0] == "does not match: none of the 4 alternatives of $or holds"
    assert lines[1:3] == ["  alternative 2:", "    c: [3] does not accept 4"]
    assert lines[-1] == "  ... and 1 more"
    assert explained.first_failure == "c: [3] does not accept 4"
    assert explained.text(verbose=True).count("alternative ") == 4
    matching = eventcore.explain(pattern, {"c": 3})
    assert matching.text() == "matches: 1 of 4 alternatives of $or holds"
    assert eventcore.explain(pattern, {"c": 3, "d": 4, "e": 5}).text() == (
        "matches: 2 of 4 alternatives of $or hold"
    )
    assert "  alternative 2 holds:" in matching.text(verbose=True)


def test_conditions_that_branches_share_are_explained_once():
    pattern = {"z": [1], "$or": [{"a": [n]} for n in range(300)]}
    explained = eventcore.explain(pattern, {"z": 2})
    shared = {id(branch.conditions[-1]) for branch in explained.branches}
    assert (len(explained.branches), len(shared)) == (300, 1)


def test_the_number_one_and_true_are_told_apart():
    explained = eventcore.explain({"$or": [{"a": [1]}, {"a": [True]}]}, {"a": True})
    assert [branch.is_match for branch in explained.branches] == [False, True]
    explained = eventcore.explain({"$or": [{"a": [1]}, {"a": [True]}]}, {"a": 5})
    assert [branch.conditions[0].tests for branch in explained.branches] == [("1",), ("true",)]


# -- hostile and wrong input -----------------------------------------------------------------------


def test_hostile_events_are_explained_in_bounds():
    wide = {f"key{number}": {"state": number} for number in range(20_000)}
    explained = eventcore.explain({"detail": {"kex": ["x"], "state": ["y"]}}, {"detail": wide})
    assert not explained.is_match
    assert len(explained.text()) < 2_000
    deep: object = "leaf"
    for _ in range(400):
        deep = [deep]
    assert eventcore.explain({"a": ["leaf"]}, {"a": deep}).is_match
    rows = [{"x": 1}, {"y": 2}] * 2_000
    conflict = conflict_of({"a": {"x": [1], "y": [2]}}, {"a": rows})
    assert (conflict.elements_count, len(conflict.elements)) == (4_000, 5)


def test_control_characters_of_an_event_do_not_reach_the_terminal():
    event = {"detail": {"\x1b[2J": 1, "a": "\x1b[31m"}}
    for pattern in ({"detail": {"a": ["x"]}}, {"detail": {"[2J": ["x"]}}):
        assert eventcore.explain(pattern, event).text(verbose=True).replace("\n", "").isprintable()


@pytest.mark.parametrize(
    ("pattern", "event", "name"),
    [
        (None, {}, "pattern"),
        (["a"], {}, "pattern"),
        (b'{"a":[1]}', {}, "pattern"),
        ({"a": [object()]}, {}, "pattern"),
        ({"a": ["x" * 5_000]}, {}, "pattern"),
        ({"a": [1]}, None, "event"),
        ({"a": [1]}, "[1]", "event"),
        ({"a": [1]}, "{", "event"),
        ({"a": [1]}, b"\xff", "event"),
        ({"a": [1]}, ["a"], "event"),
        ({"a": [1]}, {"a": object()}, "event"),
        ({"a": [1]}, {"a": "\ud800"}, "event"),
    ],
)
@pytest.mark.parametrize("function", [eventcore.test_event_pattern, eventcore.explain])
def test_what_is_no_pattern_or_no_event_is_refused(function, pattern, event, name):
    with pytest.raises(InvalidParameter) as raised:
        function(pattern, event)
    assert raised.value.name == name


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (math.nan, "JSON has no number nan."),
        (-math.inf, "JSON has no number -inf."),
        ({1}, "JSON has no set."),
        (frozenset(), "JSON has no frozenset."),
        (b"x", "JSON has no bytes."),
        (datetime.date(2026, 1, 31), "JSON has no date."),
        ({1: "x"}, "The names of an object must be str."),
    ],
)
def test_what_json_does_not_have_is_refused_at_any_depth(value, reason):
    for content in (value, [value], {"x": ({"y": value},)}):
        with pytest.raises(InvalidParameter, match=rf"^event: {reason}$"):
            eventcore.explain({"a": [1]}, {"a": content})
        with pytest.raises(InvalidParameter, match=rf"^pattern: {reason}$"):
            eventcore.explain({"a": [content]}, {})
    assert eventcore.test_event_pattern({"a": (1.5,)}, {"a": (None, {"b": True}, 1.5)})


def cyclic() -> dict[str, object]:
    event: dict[str, object] = {}
    event["a"] = event
    return event


@pytest.mark.parametrize("event", ['{"a":' + "[" * 50_000 + "]" * 50_000 + "}", cyclic()])
def test_what_is_nested_too_deeply_is_called_so(event):
    with pytest.raises(InvalidParameter, match=r"^event: Is nested too deeply\.$"):
        eventcore.explain({"a": [1]}, event)


def test_what_is_not_utf8_is_called_so_with_its_place():
    reason = r"^event: Is not UTF-8: byte 0xe9 at position 8, in line 2\.$"
    with pytest.raises(InvalidParameter, match=reason):
        eventcore.explain({"a": [1]}, b'{"a":\n"c\xe9"}')


def test_a_bad_pattern_has_aws_s_reason():
    with pytest.raises(InvalidPattern, match='"a" must be an object or an array'):
        eventcore.test_event_pattern({"a": "x"}, {})


def test_patterns_and_events_may_be_texts_or_mappings():
    pattern, event = {"a": [{"numeric": [">", 1]}]}, {"a": 2}
    for one in (pattern, json.dumps(pattern)):
        for other in (event, json.dumps(event), json.dumps(event).encode()):
            assert eventcore.test_event_pattern(one, other)
            assert eventcore.explain(one, other).is_match
    assert not eventcore.test_event_pattern({"a": [9007199254740993]}, '{"a":9007199254740992}')


def test_a_test_suite_that_imports_it_does_not_collect_it():
    assert eventcore.test_event_pattern.__test__ is False  # type: ignore[attr-defined]


def test_similar_names_are_the_same_name_in_another_form_first():
    assert similar_names("detailType", ["detail-type", "detailTypes"]) == ["detail-type"]
    assert similar_names("sate", ["state", "zzz"]) == ["state"]
    assert similar_names("x" * 100, ["x" * 99]) == []
