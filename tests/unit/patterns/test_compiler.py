from __future__ import annotations

import json
import math

import pytest

from eventcore.codec import encode_json
from eventcore.errors import InvalidPattern, UnsupportedOperation
from eventcore.patterns import compile_pattern
from eventcore.patterns.compiler import BRANCHES_MAX, DEPTH_MAX
from eventcore.patterns.conditions import AnythingBut, AnyValue, Condition, Exact, Prefix, Range


def reason_for(text: str) -> str:
    with pytest.raises(InvalidPattern) as caught:
        compile_pattern(text)
    return caught.value.reason


def reason_for_list(tests: str) -> str:
    """The reason for a pattern with one list, without its location."""
    return reason_for(f'{{"a":{tests}}}').split("\n at [Source: ")[0]


# -- structure -----------------------------------------------------------------------------------


def test_a_pattern_keeps_its_text_and_is_immutable():
    text = ' { "source" : [ "x" ] } '
    pattern = compile_pattern(text)
    assert pattern.text == text
    assert pattern == compile_pattern(text)
    with pytest.raises(AttributeError):
        pattern.text = "other"  # type: ignore[misc]


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


def test_depth_is_bounded():
    compile_pattern('{"a":' * DEPTH_MAX + "[1]" + "}" * DEPTH_MAX)
    deeper = DEPTH_MAX + 1
    assert "at most 100 levels" in reason_for('{"a":' * deeper + "[1]" + "}" * deeper)


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


def test_escapes_and_space_are_read_as_json():
    text = json.dumps({'k"\\\n\u00fc': ["\ud83d\ude00/\t"]}, indent=3)
    ((condition,),) = compile_pattern(text).branches
    assert condition.path == 'k"\\\nü'
    assert condition.tests == (Exact("\U0001f600/\t"),)


# -- messages ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tests", "reason"),
    [
        ("1", '"a" must be an object or an array'),
        ('"x"', '"a" must be an object or an array'),
        ("{}", "Empty objects are not allowed"),
        ("[]", "Empty arrays are not allowed"),
        ("[[1]]", "Match value must be String, number, true, false, or null"),
        ("[{}]", "Match expression name not found"),
        ('[{"prefix":"x","suffix":"y"}]', "Only one key allowed in match expression"),
        ('[{"exists":true,"x":1}]', "Only one key allowed in match expression"),
        ('[{"exactly":"x","y":1}]', "Only one key allowed in match expression"),
        ('[{"like":"x"}]', "Unrecognized match type like"),
        ('[{"prefix":1}]', "prefix match pattern must be a string"),
        ('[{"prefix":["x"]}]', "prefix match pattern must be a string"),
        ('[{"prefix":{}}]', "Prefix expression name not found"),
        ('[{"prefix":{"suffix":"x"}}]', "Unsupported prefix pattern: suffix"),
        ('[{"suffix":null}]', "suffix match pattern must be a string"),
        ('[{"suffix":{}}]', "Suffix expression name not found"),
        ('[{"suffix":{"x":1}}]', "Unsupported suffix pattern: x"),
        ('[{"exactly":1}]', "exact match pattern must be a string"),
        ('[{"exists":"true"}]', "exists match pattern must be either true or false."),
        ('[{"exists":null}]', "exists match pattern must be either true or false."),
    ],
)
def test_message_for(tests: str, reason: str):
    assert reason_for_list(tests) == reason


BUT_VALUE = "Value of anything-but must be an array or single string/number value."
BUT_MEMBER = "Inside anything but list, start|null|boolean is not supported."
BUT_MIXED = (
    "Inside anything but list, either all values are number or string, mixed type is not supported"
)


@pytest.mark.parametrize(
    ("argument", "reason"),
    [
        ("null", BUT_VALUE),
        ("true", BUT_VALUE),
        ('{"prefix":{"equals-ignore-case":"x"}}', BUT_VALUE),
        ('{"suffix":null}', BUT_VALUE),
        ("[null]", BUT_MEMBER),
        ("[true]", BUT_MEMBER),
        ('[["x"]]', BUT_MEMBER),
        ('[{"prefix":"x"}]', BUT_MEMBER),
        ('["x",1]', BUT_MIXED),
        ("[]", BUT_MIXED),
        ('{"exists":true}', "Unsupported anything-but pattern: exists"),
        ('{"numeric":["=",1]}', "Unsupported anything-but pattern: numeric"),
        ("{}", "Anything-But expression name not found"),
        ('{"prefix":""}', "Null prefix/suffix not allowed"),
        ('{"suffix":["x",""]}', "Null prefix/suffix not allowed"),
        ('{"prefix":1}', "prefix/suffix match pattern must be a string"),
        ('{"suffix":["x",null]}', "prefix/suffix match pattern must be a string"),
        ('{"prefix":"x","suffix":"y"}', "Too many elements in numeric expression"),
        ('"x","b":1', "Too many elements in numeric expression"),
        ("9007199254740993", "Cannot compare number : 9007199254740993"),
        ("[1e400]", "Cannot compare number : 1e400"),
    ],
)
def test_message_for_anything_but(argument: str, reason: str):
    assert reason_for_list(f'[{{"anything-but":{argument}}}]') == reason


@pytest.mark.parametrize(
    ("argument", "reason"),
    [
        ("1", "Value of numeric must be an array."),
        ("[]", "Invalid member in numeric match: ]"),
        ("[1]", "Invalid member in numeric match: 1"),
        ("[null]", "Invalid member in numeric match: null"),
        ('["<>",1]', "Unrecognized numeric range operator: <>"),
        ('["=","1"]', "Value of equals must be numeric"),
        ('["<",null]', "Value of < must be numeric"),
        ('["<="]', "Value of <= must be numeric"),
        ('[">",[]]', "Value of > must be numeric"),
        ('[">=",true]', "Value of >= must be numeric"),
        ('["=",1,"<",2]', "Too many elements in numeric expression"),
        ('["<",1,">",0]', "Too many elements in numeric expression"),
        ('["<=",1,2]', "Too many elements in numeric expression"),
        ('[">",1,2]', "Bad value in numeric range: 2"),
        ('[">",1,">",2]', "Bad numeric range operator: >"),
        ('[">",1,"<","2"]', "Value of < must be numeric"),
        ('[">=",1,"<=",2,"<"]', "Too many terms in numeric range expression"),
        ('[">",2,"<",1]', "Bottom must be less than top"),
        ('[">=",1,"<=",1.0]', "Bottom must be less than top"),
        ('["=",1e400]', "Cannot compare number : 1e400"),
        ('["=",-1e400]', "Cannot compare number : -1e400"),
        ('["<",1e-99999999999999999999]', "Cannot compare number : 1e-99999999999999999999"),
        ('[">",9007199254740993]', "Cannot compare number : 9007199254740993"),
        ('[">",0,"<",0.1234567890123456789]', "Cannot compare number : 0.1234567890123456789"),
        ('[">",1],"x":1', "Too many elements in numeric expression"),
    ],
)
def test_message_for_numeric(argument: str, reason: str):
    assert reason_for_list(f'[{{"numeric":{argument}}}]') == reason


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ('{"$or":1}', "It must be an Array followed with $or."),
        ('{"$or":{"a":[1]}}', "It must be an Array followed with $or."),
        ('{"$or":[]}', "There must have at least 2 Objects in $or relationship."),
        ('{"$or":[{"a":[1]}]}', "There must have at least 2 Objects in $or relationship."),
        ('{"$or":[{"a":[1]},2]}', "Only JSON object is allowed in array of $or relationship."),
        ('{"$or":[{"a":[1]},{}]}', "Empty objects are not allowed"),
        (
            '{"$or":[{"prefix":["x"]},{"a":[1]}]}',
            "prefix is Ruler reserved fieldName which cannot be used inside $or.",
        ),
        (
            '{"$or":[{"a":{">=":[1]}},{"a":[1]}]}',
            ">= is Ruler reserved fieldName which cannot be used inside $or.",
        ),
    ],
)
def test_message_for_or(pattern: str, reason: str):
    assert reason_for(pattern).split("\n")[0] == reason


def test_a_reserved_name_is_an_ordinary_field_outside_of_or():
    ((condition,),) = compile_pattern('{"prefix":{"numeric":["x"]}}').branches
    assert condition.path == "prefix.numeric"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "Filter is not an object"),
        ("[]", "Filter is not an object"),
        ("null", "Filter is not an object"),
        ('"x"', "Filter is not an object"),
        ("{}", "Empty objects are not allowed"),
        ("nope", "Unrecognized token 'nope': was expecting (JSON String, Number, Array, Object or"),
        ('{"a":[nul]}', "Unrecognized token 'nul': was expecting (JSON String, Number, Array,"),
        ("{", "Unexpected end-of-input: expected close marker for Object (start marker at ["),
        ('{"a":[1', "Unexpected end-of-input: expected close marker for Array (start marker at ["),
        ('{"a', "Unexpected end-of-input in field name"),
        ('{"a":["x', "Unexpected end-of-input: was expecting closing quote for a string value"),
        ('{"a":["\\', "Unexpected end-of-input in character escape sequence"),
        ('{"a":[1}', "Unexpected close marker '}': expected ']' (for Array starting at [Source"),
        ("{a:[1]}", "Unexpected character ('a' (code 97)): was expecting double-quote to start"),
        ('{"a":[1],}', "Unexpected character ('}' (code 125)): was expecting double-quote to"),
        ('{"a" [1]}', "Unexpected character ('[' (code 91)): was expecting a colon to separate"),
        ('{"a":[1 2]}', "Unexpected character ('2' (code 50)): was expecting comma to separate"),
        ('{"a":[1,]}', "Unexpected character (']' (code 93)): expected a valid value (JSON String"),
        ('{"a":[01]}', "Invalid numeric value: Leading zeroes not allowed"),
        ('{"a":["\n"]}', "Illegal unquoted character ((CTRL-CHAR, code 10)): has to be escaped"),
        ('{"a":["\\x"]}', "Unrecognized character escape 'x' (code 120)"),
        ('{"a":["\\ud800"]}', "Invalid surrogate pair in a string"),
        ('{"a":[1]} x', "Unrecognized token 'x': was expecting"),
        ('{"a":[1]} {}', "Unexpected text after the end of the pattern"),
    ],
)
def test_message_for_malformed_json(text: str, reason: str):
    assert reason_for(text).startswith(reason)


@pytest.mark.parametrize(
    ("text", "line", "column"),
    [
        # A string's opening quote was read, a number and a literal are read to their end.
        ('{"source":["s"],"detail":{"lender":"L"}}', 1, 37),
        ('{"key":[{"suffix":100}]}', 1, 22),
        ('{"key":[{"suffix":null}]}', 1, 23),
        # A name's location is behind the start of its value.
        ('{"key":[{"like":true}]}', 1, 21),
        ('{"key":[]}', 1, 10),
        ("no", 1, 3),
        ('{\n  "key": [\r\n\r[]]}', 4, 2),
    ],
)
def test_the_location_is_what_aws_has_read(text: str, line: int, column: int):
    source = f'[Source: (String)"{text}"; line: {line}, column: {column}]'
    assert reason_for(text).endswith(f"\n at {source}")


def test_a_long_source_is_shown_in_part():
    reason = reason_for('{"a":["' + "x" * 600 + '"],"b":1}')
    assert f'{"x" * 493}"[truncated 116 chars]; line: 1, column: 616]' in reason


@pytest.mark.parametrize("unfinished", ["{", '{"a":', '{"a":[', '{"a":["b",', '{"a":[{"prefix"'])
def test_every_beginning_of_a_pattern_is_refused(unfinished: str):
    assert reason_for(unfinished).startswith("Unexpected end-of-input")


@pytest.mark.parametrize(
    ("tests", "operation"),
    [
        ([{"equals-ignore-case": "x"}], "equals-ignore-case"),
        ([{"wildcard": "*"}], "wildcard"),
        ([{"cidr": "10.0.0.0/8"}], "cidr"),
        ([{"prefix": {"equals-ignore-case": "x"}}], "prefix/equals-ignore-case"),
        ([{"suffix": {"equals-ignore-case": "x"}}], "suffix/equals-ignore-case"),
        ([{"anything-but": {"wildcard": "x"}}], "anything-but/wildcard"),
        ([{"anything-but": {"equals-ignore-case": "x"}}], "anything-but/equals-ignore-case"),
    ],
)
def test_an_operator_that_is_not_built_says_so(tests: list, operation: str):
    with pytest.raises(UnsupportedOperation) as caught:
        compile_pattern(encode_json({"a": tests}).decode())
    assert (caught.value.service, caught.value.operation) == ("events", operation)
