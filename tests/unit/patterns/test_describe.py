"""Conditions written back as JSON."""

from __future__ import annotations

import json
import sys

import pytest

from eventcore.patterns import compile_pattern
from eventcore.patterns.conditions import Exact, Range
from eventcore.patterns.describe import (
    describe_condition,
    describe_path,
    describe_test,
    describe_value,
    escape_text,
)
from eventcore.patterns.numbers import NumberText, decode_event


def condition_of(tests: str):
    ((condition,),) = compile_pattern(f'{{"a":{tests}}}').branches
    return condition


@pytest.mark.parametrize(
    ("written", "described"),
    [
        ('["x", "", "é"]', None),
        ("[1, 1.0, -1.5, 3.0e2, 1e23, 0.1]", "[1,1,-1.5,300,1e+23,0.1]"),
        ("[9007199254740993, 0.10000000000000000555]", None),
        ("[true, false, null]", None),
        ('["2001:0DB8:0:0:1:0:0:1"]', '["2001:db8::1:0:0:1"]'),
        ('["::ffff:a00:1"]', None),
        ('["1:0:2:3:4:5:6:7"]', None),
        ('["::"]', None),
        ('[{"exactly":"x"}]', '["x"]'),
        ('[{"prefix":"a\\"b"}, {"suffix":""}]', None),
        ('[{"prefix":{"equals-ignore-case":"a"}}, {"suffix":{"equals-ignore-case":"b"}}]', None),
        ('[{"equals-ignore-case":"Straße"}]', None),
        ('[{"wildcard":"a*b\\\\*c\\\\\\\\d*"}]', None),
        ('[{"wildcard":"*"}, {"wildcard":""}]', None),
        ('[{"cidr":"10.1.2.3/8"}]', '[{"cidr":"10.0.0.0/8"}]'),
        ('[{"cidr":"2001:db8::1/32"}]', '[{"cidr":"2001:db8::/32"}]'),
        ('[{"numeric":["=",5]}]', "[5]"),
        ('[{"numeric":[">",0,"<=",5.5]}]', None),
        ('[{"numeric":[">=",5,"<",5.000000000000001]}]', None),
        ('[{"numeric":["<",-1.5]}, {"numeric":[">=",1e+300]}]', None),
        ('[{"exists":false}, "x"]', '["x",{"exists":false}]'),
        ('[{"exists":true}]', None),
        ('[{"anything-but":"x"}, {"anything-but":["x","y"]}]', None),
        ('[{"anything-but":[1]}]', '[{"anything-but":1}]'),
        ('[{"anything-but":{"prefix":["a","b"]}}, {"anything-but":{"suffix":"c"}}]', None),
        ('[{"anything-but":{"equals-ignore-case":["a","B"]}}]', None),
        ('[{"anything-but":{"wildcard":"a*\\\\*"}}]', None),
        ('[{"anything-but":{"prefix":[]}}]', None),
    ],
)  # fmt: skip
def test_a_list_comes_back_as_it_is_written_in_the_shortest_way(written, described):
    text = describe_condition(condition_of(written))
    assert text == (described or written.replace(", ", ","))
    assert condition_of(text) == condition_of(written)


def test_an_address_that_is_meant_exactly_stays_so():
    assert describe_test(Exact("2001:db8::1")) == '{"exactly":"2001:db8::1"}'


@pytest.mark.parametrize("bound", [sys.float_info.max, -sys.float_info.max, 5e-324, 2.0**60])
@pytest.mark.parametrize("operator", ["<", "<=", ">", ">="])
def test_the_outermost_ranges_can_be_written(operator, bound):
    condition = condition_of(json.dumps([{"numeric": [operator, bound]}]))
    assert condition_of(describe_condition(condition)) == condition


def test_a_range_of_one_number_and_of_none_can_be_written():
    assert describe_test(Range(5.0, 5.000000000000001)) == (
        '{"numeric":[">=",5,"<",5.000000000000001]}'
    )
    empty = Range(5.0, 5.0)
    ((condition,),) = compile_pattern(f'{{"a":[{describe_test(empty)}]}}').branches
    assert condition.tests == (empty,)


def test_what_a_terminal_would_obey_is_escaped():
    told = describe_value("\x1b[31m\u202e\u009b\U000e0001é")
    assert told == '"\\u001b[31m\\u202e\\u009b\\udb40\\udc01é"'
    assert decode_event(told) == "\x1b[31m\u202e\u009b\U000e0001é"
    assert describe_path("a.\x07b") == "a.\\u0007b"


def test_a_text_of_several_lines_is_escaped_without_another_value():
    assert escape_text("plain é") == "plain é"
    assert escape_text('{"a":"\u009b\x7fé"}\n\t') == '{"a":"\\u009b\\u007fé"}\n\\u0009'
    assert escape_text("é\U0001f600\n", is_ascii=True) == "\\u00e9\\ud83d\\ude00\n"
    for text in ('"\x7f\u202eé\U0001f600"', '"plain"'):
        for is_ascii in (False, True):
            assert decode_event(escape_text(text, is_ascii=is_ascii)) == text[1:-1]


def test_numbers_are_shown_as_they_compare():
    assert describe_value(NumberText("1e400")) == "1e400"
    assert describe_value(decode_event("3.0e2")) == "300"
    assert describe_value(2.0**60) == "1.152921504606847e+18"
    assert describe_value(9007199254740993) == "9007199254740993"
