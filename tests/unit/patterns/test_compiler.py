from __future__ import annotations

import json
import math
from typing import Any

import pytest

from eventcore.errors import InvalidParameter, InvalidPattern
from eventcore.patterns import compile_pattern
from eventcore.patterns.compiler import BRANCHES_MAX, CONDITIONS_MAX, DEPTH_MAX
from eventcore.patterns.conditions import (
    Address,
    AnythingBut,
    AnyValue,
    Cidr,
    Condition,
    Exact,
    IgnoreCase,
    Prefix,
    PrefixIgnoreCase,
    Range,
    Suffix,
    SuffixIgnoreCase,
    ValueTest,
    Wildcard,
)
from eventcore.patterns.dialects import SNS_BODY
from eventcore.patterns.numbers import NumberText


def reason_for(text: str) -> str:
    with pytest.raises(InvalidPattern) as caught:
        compile_pattern(text)
    return caught.value.reason


def value_tests(tests: str) -> tuple[ValueTest, ...]:
    """What one list compiles to."""
    ((condition,),) = compile_pattern(f'{{"a":{tests}}}').branches
    return condition.tests


# -- structure -----------------------------------------------------------------------------------


def test_a_pattern_keeps_its_text_and_is_immutable():
    text = ' { "source" : [ "x" ] } '
    pattern = compile_pattern(text)
    assert pattern.text == text
    assert pattern == compile_pattern(text)
    with pytest.raises(AttributeError):
        pattern.text = "other"  # type: ignore[misc]


@pytest.mark.parametrize("text", [None, 5, b'{"a":[1]}', {"a": [1]}, ["a"]])
def test_what_is_no_text_is_refused(text: Any):
    with pytest.raises(InvalidParameter, match=r"^pattern: Must be JSON text as str\.$"):
        compile_pattern(text)


def test_conditions_are_in_the_order_of_their_paths_and_know_their_steps():
    (branch,) = compile_pattern('{"b":{"d":[1],"c":[2]},"a":["x"]}').branches
    assert branch == (
        Condition("a", ("a",), (Exact("x"),), False),
        Condition("b.c", ("b", "c"), (Exact(2),), False),
        Condition("b.d", ("b", "d"), (Exact(1),), False),
    )


def test_exists_false_stands_beside_other_values():
    ((condition,),) = compile_pattern('{"a":["x",{"exists":false},{"exists":true}]}').branches
    assert condition == Condition("a", ("a",), (Exact("x"), AnyValue()), True)


def test_a_path_given_twice_keeps_the_later_list_whichever_way_it_is_spelled():
    (branch,) = compile_pattern('{"a":[1],"b":{"c":[1]},"a":[2],"b.c":[3]}').branches
    assert [(each.path, each.tests) for each in branch] == [
        ("a", (Exact(2),)),
        ("b.c", (Exact(3),)),
    ]


def test_or_makes_a_branch_per_combination_and_its_lists_replace_earlier_ones():
    text = '{"a":["z"],"$or":[{"a":["x"]},{"b":["y"]}],"c":{"$or":[{"d":[1]},{"e":[2]}]}}'
    branches = [
        {each.path: each.tests[0].value for each in branch}  # type: ignore[union-attr]
        for branch in compile_pattern(text).branches
    ]
    assert branches == [
        {"a": "x", "c.d": 1},
        {"a": "z", "b": "y", "c.d": 1},
        {"a": "x", "c.e": 2},
        {"a": "z", "b": "y", "c.e": 2},
    ]


def test_or_beyond_the_bound_of_combinations_is_refused():
    two = '"$or":[{"x":[1]},{"y":[2]}]'
    nine = "".join(f'"k{n}":{{{two}}},' for n in range(9))
    assert len(compile_pattern(f'{{{nine}"a":[1]}}').branches) == 512 <= BRANCHES_MAX
    assert "more than 1000 combinations" in reason_for(f'{{{nine}"k":{{{two}}}}}')


def test_the_bound_of_combinations_says_where_it_was_passed():
    ten = ",".join(f'{{"k{n}":[1]}}' for n in range(10))
    text = f'{{"a":{{"$or":[{ten}]}},"b":{{"$or":[{ten}]}},"c":{{"$or":[{ten}]}}'
    assert len(compile_pattern(text + "}").branches) == 1_000 == BRANCHES_MAX
    text += ',"$or":[{"x":[1]},{"y":[1]}]}'
    reason = reason_for(text)
    assert reason.startswith("Rule is too complex - $or makes more than 1000 combinations\n at [")
    column = text.index('{"y":[1]}') + len('{"y":[1]}') + 1
    assert reason.endswith(f"line: 1, column: {column}]")


def test_conditions_are_bounded_whatever_the_combinations_are():
    fields = ",".join(f'"k{n}":[1]' for n in range(CONDITIONS_MAX // 500))
    alternatives = ",".join(f'{{"x":[{n}]}}' for n in range(600))
    text = f'{{{fields},"$or":[{alternatives}]}}'
    assert "more than 100000 conditions\n at [Source" in reason_for(text)
    after = f'{{"$or":[{alternatives}],{fields}}}'
    assert "more than 100000 conditions\n at [Source" in reason_for(after)


def test_or_with_fields_of_its_own_level_keeps_what_was_read_before_it():
    text = '{"a":[1],"$or":[{"b":[1]},{"$or":[{"c":[1]},{"d":[1]}]}],"e":[1]}'
    paths = [[each.path for each in branch] for branch in compile_pattern(text).branches]
    assert paths == [["a", "b", "e"], ["a", "c", "e"], ["a", "d", "e"]]


@pytest.mark.parametrize(
    ("text", "path", "column"),
    [
        ('{"a":[1],"a":[2]}', "a", 17),
        ('{"a.b":[1],"a":{"b":[2]}}', "a.b", 24),
        ('{"a":[1],"$or":[{"b":[1]},{"a":[2]}]}', "a", 35),
        ('{"$or":[{"b":[1]},{"a":[2]}],"b":[3]}', "b", 37),
    ],
)
def test_a_path_given_twice_is_refused_if_asked_for(text: str, path: str, column: int):
    compile_pattern(text)
    with pytest.raises(InvalidPattern) as caught:
        compile_pattern(text, allow_duplicate_paths=False)
    source = f'[Source: (String)"{text}"; line: 1, column: {column}]'
    reason = f"Path `{path}` cannot be allowed multiple times\n at {source}"
    assert caught.value.reason == reason


def test_paths_of_different_alternatives_are_not_given_twice():
    text = '{"$or":[{"a":[1]},{"a":[2]}],"b":[3]}'
    pattern = compile_pattern(text, allow_duplicate_paths=False)
    assert pattern == compile_pattern(text)


def test_depth_is_bounded():
    compile_pattern('{"a":' * DEPTH_MAX + "[1]" + "}" * DEPTH_MAX)
    deeper = DEPTH_MAX + 1
    assert "at most 100 levels" in reason_for('{"a":' * deeper + "[1]" + "}" * deeper)


def test_depth_is_bounded_through_alternatives_as_well():
    def nested(levels: int) -> str:
        return '{"$or":[{"a":[1]},' * levels + '{"b":[1]}' + "]}" * levels

    assert len(compile_pattern(nested(DEPTH_MAX - 1)).branches) == DEPTH_MAX
    assert "at most 100 levels" in reason_for(nested(DEPTH_MAX))
    assert "at most 100 levels" in reason_for('{"$or":[' * 512)


def test_numeric_bounds_become_half_open_ranges_of_doubles():
    text = '{"a":[{"numeric":[">",0,"<=",5]},{"numeric":["<",1e2]},{"numeric":["=",3.0e2]}]}'
    ((condition,),) = compile_pattern(text).branches
    assert condition.tests == (
        Range(math.nextafter(0, 1), math.nextafter(5, 6)),
        Range(-math.inf, 100.0),
        Exact(300.0),
    )


def test_anything_but_takes_single_values_lists_and_prefix_lists():
    text = '{"a":[{"anything-but":1},{"anything-but":["x","y"]},{"anything-but":{"prefix":["p"]}}]}'
    ((condition,),) = compile_pattern(text).branches
    assert condition.tests == (
        AnythingBut((Exact(1.0),)),
        AnythingBut((Exact("x"), Exact("y"))),
        AnythingBut((Prefix("p"),)),
    )


@pytest.mark.parametrize(
    ("test", "compiled"),
    [
        ('"x"', Exact("x")),
        ('"10.0.0.1"', Exact("10.0.0.1")),
        ('"2001:db8::1"', Address(0x20010DB8000000000000000000000001)),
        ("1", Exact(1.0)),
        ("3.0e2", Exact(300.0)),
        ("9007199254740993", Exact(NumberText("9007199254740993"))),
        ("1e400", Exact(NumberText("1e400"))),
        ("true", Exact(True)),
        ("null", Exact(None)),
        ('{"exactly":"2001:db8::1"}', Exact("2001:db8::1")),
        ('{"prefix":""}', Prefix("")),
        ('{"prefix":{"equals-ignore-case":"X"}}', PrefixIgnoreCase("X")),
        ('{"suffix":"x"}', Suffix("x")),
        ('{"suffix":{"equals-ignore-case":""}}', SuffixIgnoreCase("")),
        ('{"equals-ignore-case":"X"}', IgnoreCase("X")),
        ('{"equals-ignore-case":""}', IgnoreCase("")),
        ('{"wildcard":""}', Wildcard(("",))),
        ('{"wildcard":"*"}', Wildcard(("", ""))),
        ('{"wildcard":"no star"}', Wildcard(("no star",))),
        ('{"wildcard":"a*b*"}', Wildcard(("a", "b", ""))),
        ('{"wildcard":"a\\\\*b*\\\\\\\\*c"}', Wildcard(("a*b", "\\", "c"))),
        ('{"wildcard":"*\\\\**"}', Wildcard(("", "*", ""))),
        ('{"cidr":"10.0.0.0/8"}', Cidr(4, 10, 24)),
        ('{"cidr":"10.1.2.3/8"}', Cidr(4, 10, 24)),
        ('{"cidr":"0.0.0.0/0"}', Cidr(4, 0, 32)),
        ('{"cidr":"10.0.0.1/31"}', Cidr(4, 0x0A000001 >> 1, 1)),
        ('{"cidr":"2001:db8::/32"}', Cidr(6, 0x20010DB8, 96)),
        ('{"cidr":"::1/127"}', Cidr(6, 0, 1)),
        ('{"cidr":"10.0.0.0/+08/"}', Cidr(4, 10, 24)),
        ('{"cidr":"10.0.0.0/-0"}', Cidr(4, 0, 32)),
        ('{"anything-but":{"suffix":"x"}}', AnythingBut((Suffix("x"),))),
        ('{"anything-but":{"prefix":[]}}', AnythingBut(())),
        ('{"anything-but":{"equals-ignore-case":"X"}}', AnythingBut((IgnoreCase("X"),))),
        (
            '{"anything-but":{"equals-ignore-case":["X",""]}}',
            AnythingBut((IgnoreCase("X"), IgnoreCase(""))),
        ),
        ('{"anything-but":{"wildcard":"a*"}}', AnythingBut((Wildcard(("a", "")),))),
        (
            '{"anything-but":{"wildcard":["*","b"]}}',
            AnythingBut((Wildcard(("", "")), Wildcard(("b",)))),
        ),
    ],
)
def test_each_form_of_a_test_compiles_to_its_value_test(test: str, compiled: ValueTest):
    assert value_tests(f"[{test}]") == (compiled,)


def test_patterns_share_their_paths_steps_and_short_strings():
    first, second = (
        compile_pattern(f'{{"detail":{{"state":["new"],"id":["{n}"]}}}}').branches[0]
        for n in range(2)
    )
    for one, other in zip(first, second, strict=True):
        assert one.path is other.path
        assert one.steps is other.steps
    assert first[1].tests[0] is second[1].tests[0]


def test_a_pattern_knows_its_dialect():
    text = '{"a":["x"]}'
    assert compile_pattern(text).dialect == "bus"
    assert compile_pattern(text, SNS_BODY).dialect == "sns-body"
    assert compile_pattern(text, SNS_BODY) != compile_pattern(text)


def test_escapes_and_space_are_read_as_json():
    text = json.dumps({'k"\\\n\u00fc': ["\ud83d\ude00/\t"]}, indent=3)
    ((condition,),) = compile_pattern(text).branches
    assert condition.path == 'k"\\\nü'
    assert condition.tests == (Exact("\U0001f600/\t"),)


@pytest.mark.parametrize(("steps", "is_allowed"), [(DEPTH_MAX, True), (DEPTH_MAX + 1, False)])
def test_a_dot_in_a_name_makes_a_level(steps: int, is_allowed: bool):
    text = json.dumps({".".join("a" * steps): ["x"]})
    if is_allowed:
        assert len(compile_pattern(text).branches[0][0].steps) == steps
        return
    with pytest.raises(InvalidPattern, match=f"An event pattern has at most {DEPTH_MAX} levels"):
        compile_pattern(text)
