"""What matches what: every rule of docs/reference/event-patterns.md, asked of all engines and of
the oracle.
"""

from __future__ import annotations

import json

import pytest

from tests.patterns.comparison import Add, Match, answer, compare


def accepts(tests: str, value: str) -> bool:
    return answer(f'{{"a":{tests}}}', f'{{"a":{value},"other":1}}')


@pytest.mark.parametrize(
    ("tests", "accepted", "refused"),
    [
        ('["x"]', ['"x"'], ['"X"', '"xx"', '""', "1", "null", "true"]),
        ('["1"]', ['"1"'], ["1", "1.0", "true"]),
        ("[1]", ["1", "1.0", "10e-1"], ['"1"', "true", "2"]),
        ("[300]", ["300", "3.0e2", "300.0"], ["301", '"300"']),
        ("[0]", ["0", "0.0", "-0.0"], ["false", "null", '""', '"0"']),
        ("[true]", ["true"], ["1", '"true"', "false", "null"]),
        ("[false]", ["false"], ["0", '"false"', "true", "null"]),
        ("[null]", ["null"], ['"null"', "0", '""', "false", "[]", "{}"]),
        ('[""]', ['""'], ["null", '" "', "[]", "{}", "0"]),
        ('["x",1,null]', ['"x"', "1", "null"], ['"1"', '"y"', "2", "false"]),
        ("[9007199254740993]", ["9007199254740993"], ["9007199254740992", "9007199254740994"]),
        ('[{"exactly":"x"}]', ['"x"'], ['"y"']),
        ('["2001:db8::1"]', ['"2001:0db8:0:0::1"', '"2001:DB8::1"'], ['"2001:db8::2"', '"x"']),
        ('["::1::2"]', ['"::1::2"'], ['"::1:2"']),
        ('[{"prefix":"ab"}]', ['"ab"', '"abc"'], ['"a"', '"Ab"', '"xab"', '""', "1", "null"]),
        ('[{"prefix":""}]', ['""', '"x"'], ["1", "null", "true", "[]"]),
        ('[{"prefix":"1"}]', ['"1"', '"12"'], ["1", "12"]),
        ('[{"suffix":"bc"}]', ['"bc"', '"abc"'], ['"c"', '"bC"', '"bcx"', '""', "1"]),
        ('[{"suffix":""}]', ['""', '"x"'], ["1", "null"]),
        ('[{"suffix":"\\""}]', ['"x\\""'], ['"x"']),
        ('[{"numeric":["=",1]}]', ["1", "1.0"], ['"1"', "true", "2", "null"]),
        ('[{"numeric":[">",0,"<=",5]}]', ["0.001", "5", "5.0", "[9,1]"], ["0", "5.001", '"1"']),
        ('[{"numeric":[">=",0,"<",5]}]', ["0", "-0.0", "4.999"], ["-0.001", "5", "true"]),
        ('[{"numeric":["<",-1.5]}]', ["-2", "-1e300"], ["-1.5", "0"]),
        ('[{"numeric":[">",9007199254740992]}]', ["9007199254740994"], ["9007199254740993", "1"]),
        ('[{"exists":true}]', ['"x"', "0", "null", "false", '""', "[[1]]"], ["[]", "{}", "[[]]"]),
        ('[{"exists":false}]', ["[]", "{}", "[[],{}]"], ['"x"', "null", '""', "[1]"]),
        ('["x",{"exists":false}]', ['"x"', "[]"], ['"y"', "null"]),
        ('[{"anything-but":"x"}]', ['"y"', '""', "1", "null", "true"], ['"x"', "[]", "{}"]),
        ('[{"anything-but":1}]', ["2", '"1"', "true", "null"], ["1", "1.0"]),
        ('[{"anything-but":["x","y"]}]', ['"z"', "1"], ['"x"', '"y"', '["x","y"]']),
        ('[{"anything-but":[1,2]}]', ["3", '"1"'], ["1", "2.0", "[2,1]"]),
        ('[{"anything-but":{"prefix":"x"}}]', ['"ax"', "1", "null", "false"], ['"x"', '"xa"']),
        ('[{"anything-but":{"suffix":"x"}}]', ['"xa"', "1", '""'], ['"x"', '"ax"']),
        ('[{"anything-but":{"prefix":["x","y"]}}]', ['"z"'], ['"xa"', '"ya"']),
        ('[{"anything-but":{"suffix":["x","y"]}}]', ['"z"', '"xz"'], ['"ax"', '"ay"']),
        ('[{"anything-but":{"prefix":[]}}]', ['"x"', "1"], ["[]", "{}"]),
        ('["x",{"anything-but":"x"}]', ['"x"', '"y"', "1"], ["[]"]),
        ('[{"anything-but":"x"},{"anything-but":"y"}]', ['"x"', '"y"', '"z"'], ["{}"]),
        (
            '[{"anything-but":["x","y"]},{"anything-but":["y","z"]}]',
            ['"x"', '"z"', "1"],
            ['"y"', '["y"]'],
        ),
        ('[{"anything-but":"2001:db8::1"}]', ['"2001:0db8::1"'], ['"2001:db8::1"']),
        ('[{"anything-but":{"wildcard":"x*z"}}]', ['"xz "', '""', "1", "null"], ['"xz"', '"xyz"']),
        ('[{"anything-but":{"wildcard":["*a","b*"]}}]', ['"ab"', "1"], ['"ba"', '"a"', '"b"']),
        ('[{"anything-but":{"equals-ignore-case":"Ab"}}]', ['"abc"', "1"], ['"ab"', '"AB"']),
        ('[{"anything-but":{"equals-ignore-case":["a","b"]}}]', ['"c"', "null"], ['"A"', '"b"']),
        ('[{"equals-ignore-case":"Ab"}]', ['"ab"', '"AB"', '"aB"'], ['"abc"', '"a"', "1", "null"]),
        ('[{"equals-ignore-case":""}]', ['""'], ['" "', "null"]),
        ('[{"equals-ignore-case":"\u00e4"}]', ['"\u00c4"', '"\u00e4"'], ['"a"', '"a\u0308"']),
        ('[{"prefix":{"equals-ignore-case":"aB"}}]', ['"AB"', '"abx"'], ['"xab"', '"a"', "1"]),
        ('[{"suffix":{"equals-ignore-case":"aB"}}]', ['"AB"', '"xab"'], ['"abx"', '"b"', "1"]),
        ('[{"prefix":{"equals-ignore-case":""}}]', ['""', '"x"'], ["1", "null"]),
        ('[{"prefix":{"equals-ignore-case":"\u00df"}}]', ['"SSx"', '"\u00dfx"'], ['"ssx"', '"S"']),
        ('[{"suffix":{"equals-ignore-case":"\u00df"}}]', ['"xSS"', '"x\u00df"'], ['"xss"', '"S"']),
        ('[{"wildcard":"*"}]', ['""', '"x"', '"a\\nb"'], ["1", "null", "true", "[]"]),
        ('[{"wildcard":""}]', ['""'], ['"x"', "null"]),
        ('[{"wildcard":"a*"}]', ['"a"', '"ab"', '"a*"'], ['"ba"', '""', '"A"']),
        ('[{"wildcard":"*a"}]', ['"a"', '"ba"'], ['"ab"', '""']),
        ('[{"wildcard":"ab*ba"}]', ['"abba"', '"abxba"', '"ab\\nba"'], ['"aba"', '"ab"']),
        ('[{"wildcard":"*a*a*"}]', ['"aa"', '"xaxax"'], ['"a"', '"xax"']),
        ('[{"wildcard":"a*ab*b"}]', ['"aabb"', '"axabxb"', '"aababb"'], ['"aab"', '"abb"']),
        ('[{"wildcard":"a\\\\*b"}]', ['"a*b"'], ['"axb"', '"ab"', '"a\\\\*b"']),
        ('[{"wildcard":"a\\\\\\\\*"}]', ['"a\\\\"', '"a\\\\x"'], ['"a*"', '"a"']),
        ('[{"wildcard":"\U0001f600*"}]', ['"\U0001f600"', '"\U0001f600x"'], ['"x\U0001f600"']),
        ('[{"cidr":"10.0.0.0/8"}]', ['"10.0.0.0"', '"10.255.255.255"'], ['"11.0.0.0"', "10"]),
        ('[{"cidr":"10.0.0.77/24"}]', ['"10.0.0.0"', '"10.0.0.255"'], ['"10.0.1.0"']),
        ('[{"cidr":"0.0.0.0/0"}]', ['"255.255.255.255"'], ['"::1"', '"x"', '""', '"1.2.3"']),
        ('[{"cidr":"10.0.0.0/31"}]', ['"10.0.0.1"'], ['"10.0.0.2"', '"010.0.0.1"']),
        ('[{"cidr":"2001:db8::/32"}]', ['"2001:DB8:0::1"'], ['"2001:db9::"', '"10.0.0.1"']),
        ('[{"cidr":"::/0"}]', ['"::"', '"1::"', '"::a00:1"'], ['"1.2.3.4"', '"::1::"', '"::g"']),
        ('[{"cidr":"::/127"}]', ['"::"', '"::1"'], ['"::2"']),
        ("[100000000000000000000000]", ["1e23", "100000000000000000000000"], ['"1e23"']),
        ("[18446744073709551617]", ["18446744073709551617"], ["18446744073709551616"]),
        ("[1e400]", ["1e400"], ["-1e400", "1E400", "null", "0"]),
        ("[0.1]", ["0.1", "0.10", "1e-1"], ["0.10000000000000000555"]),
        ("[0.10000000000000000555]", ["0.10000000000000000555"], ["0.1"]),
        ('[{"numeric":[">",0]}]', ["5e-324", "1e308"], ["1e400", "18446744073709551617", "0"]),
        (
            '[{"numeric":["=",1e23]}]',
            ["1e23", "100000000000000000000000"],
            ["99999999999999991611392"],
        ),
    ],
)
def test_a_list_of_tests_accepts_one_value(tests: str, accepted: list[str], refused: list[str]):
    assert [value for value in accepted if not accepts(tests, value)] == []
    assert [value for value in refused if accepts(tests, value)] == []


@pytest.mark.parametrize(
    ("tests", "value", "expected"),
    [
        ('["x"]', '["w","x"]', True),
        ('["x"]', '["w","y"]', False),
        ('["x"]', '[["w"],[["x"]]]', True),
        ('["x"]', '{"b":"x"}', False),
        ('["x"]', '[{"b":"x"}]', False),
        ('["x"]', '[{"b":"y"},"x"]', True),
        ('[{"anything-but":"x"}]', '["x","y"]', True),
        ('[{"anything-but":"x"}]', '["x"]', False),
        ('[{"anything-but":"x"}]', "[]", False),
        ('[{"exists":true}]', '{"b":1}', False),
        ('[{"exists":false}]', '{"b":1}', True),
        ("[1]", "[true]", False),
        ("[1]", "[true,1.0]", True),
    ],
)
def test_arrays_offer_each_of_their_leaves_and_objects_none(tests: str, value: str, expected: bool):
    assert accepts(tests, value) is expected


@pytest.mark.parametrize(
    "tests", ['["x"]', "[null]", '[{"exists":true}]', '[{"anything-but":"x"}]']
)
def test_a_missing_field_satisfies_only_exists_false(tests: str):
    assert not answer(f'{{"a":{tests}}}', '{"b":1}')
    assert not answer(f'{{"a":{{"b":{tests}}}}}', '{"a":1}')
    assert answer('{"a":[{"exists":false}]}', '{"b":1}')
    assert answer('{"a":{"b":[{"exists":false}]}}', '{"a":1}')


def test_all_fields_must_match_and_others_do_not_matter():
    pattern = '{"source":["s"],"detail":{"a":[1],"b":{"c":["x"]}}}'
    assert answer(pattern, '{"id":"i","source":"s","detail":{"a":1,"b":{"c":"x","d":0},"e":[]}}')
    assert not answer(pattern, '{"source":"s","detail":{"a":1,"b":{"c":"y"}}}')
    assert not answer(pattern, '{"source":"s","detail":{"a":1}}')
    assert not answer(pattern, '{"source":"s","detail":[]}')


@pytest.mark.parametrize(
    ("pattern", "event", "expected"),
    [
        # Two conditions hold in the same element, or they do not hold.
        ('{"a":{"b":[1],"c":[2]}}', '{"a":[{"b":1,"c":2}]}', True),
        ('{"a":{"b":[1],"c":[2]}}', '{"a":[{"b":1,"c":9},{"b":9,"c":2}]}', False),
        ('{"a":{"b":[1],"c":[2]}}', '{"a":[{"b":1,"c":9},{"b":1,"c":2}]}', True),
        ('{"a":{"b":[1],"c":[2]}}', '{"a":[[{"b":1}],[{"c":2}]]}', False),
        ('{"a":{"b":[1],"c":[2]}}', '{"a":[[{"b":1},{"c":2}]]}', False),
        ('{"a":{"b":[1],"c":[2]}}', '{"a":[{"b":[8,1],"c":[2,9]}]}', True),
        # Different arrays do not concern each other.
        ('{"a":{"b":[1]},"c":{"d":[2]}}', '{"a":[{"b":0},{"b":1}],"c":[{"d":2},{"d":0}]}', True),
        # An inner array belongs to its element.
        (
            '{"a":{"b":[1],"c":{"d":[2],"e":[3]}}}',
            '{"a":[{"b":1,"c":[{"d":2},{"e":3}]},{"b":0,"c":[{"d":2,"e":3}]}]}',
            False,
        ),
        (
            '{"a":{"b":[1],"c":{"d":[2],"e":[3]}}}',
            '{"a":[{"b":1,"c":[{"d":2},{"d":2,"e":3}]}]}',
            True,
        ),
        # An array's own scalars lie in no element of it.
        ('{"a":[1],"a.b":[2]}', '{"a":[1,{"b":2}]}', True),
        ('{"a":[1],"a.b":[2]}', '{"a":[[1],{"b":2}]}', False),
        ('{"a":[1],"a.b":[2]}', '{"a":[[1,{"b":2}]]}', True),
        ('{"a":[1],"a.b":[{"exists":false}]}', '{"a":[[1],{"b":2}]}', True),
        ('{"a":[1],"a.b":[{"exists":false}]}', '{"a":[1,{"b":2}]}', False),
        ('{"a":[1],"a.b":[{"exists":false}]}', '{"a":[[1,{"b":2}]]}', False),
        # Absence within the element that was chosen, in the order of the names.
        ('{"a":{"b":["1"],"c":[{"exists":false}]}}', '{"a":[{"b":"1"},{"b":"2","c":3}]}', True),
        ('{"a":{"b":["2"],"c":[{"exists":false}]}}', '{"a":[{"b":"1"},{"b":"2","c":3}]}', False),
        ('{"a":{"b":[{"exists":false}],"c":["1"]}}', '{"a":[{"c":"1"},{"c":"2","b":3}]}', False),
        ('{"a":{"b":["1"],"c":[3,{"exists":false}]}}', '{"a":[{"b":"1"},{"c":3}]}', True),
        ('{"a":{"c":[{"exists":false}]}}', '{"a":[{"b":1},{"c":2}]}', False),
        ('{"a":{"c":[{"exists":false}]}}', '{"a":[{"b":1},{"c":[]}]}', True),
        ('{"a":{"b":[1],"c":[{"anything-but":2}]}}', '{"a":[{"b":1,"c":2},{"b":0,"c":3}]}', False),
    ],
)
def test_conditions_inside_an_array_of_objects(pattern: str, event: str, expected: bool):
    assert answer(pattern, event) is expected


def test_dotted_keys_and_nested_objects_are_the_same_path_on_both_sides():
    for pattern in ('{"a.b":["x"]}', '{"a":{"b":["x"]}}'):
        assert answer(pattern, '{"a":{"b":"x"}}')
        assert answer(pattern, '{"a.b":"x"}')
        assert answer(pattern, '{"a.b":["y","x"]}')
        assert answer(pattern, '{"a":{"c":1},"a.b":"x"}')
        assert answer(pattern, '{"a":{"b":"y"},"a.b":"x"}')
        assert answer(pattern, '{"a":"y","a.b":"x"}')
        assert not answer(pattern, '{"a.b.c":"x","a":{"c":1}}')
    assert answer('{"a":{"b":{"c":[1]}}}', '{"a.b":{"c":1}}')
    assert answer('{"a":{"b":{"c":[1]}}}', '{"a":[{"b.c":1}]}')
    assert answer('{"a..b":[1]}', '{"a":{"":{"b":1}}}')


def test_dotted_keys_of_one_object_are_joined_whatever_the_pattern_asks_for():
    """Objects become one object; beside a leaf they are elements of an array, undotted keys first.
    (To AWS there is no array, so the second and third would match.)
    """
    assert answer('{"a.b":["x"],"a.c":[1]}', '{"a.b":"x","a.c":1}')
    assert not answer('{"a.b":["x"],"a.c":[1]}', '{"a.b":"x","a.c":1,"a":""}')
    assert not answer('{"k.a.b":["x"],"k.a.c":[1]}', '{"k":{"a.b":"x","a.c":1,"a":""}}')
    assert answer('{"k.a.b":["x"],"k.a.c":[1]}', '{"k.a.b":"x","k.a.c":1,"k.a":""}')


@pytest.mark.parametrize("order", [1, -1])
def test_numbers_that_python_takes_for_equal_stay_apart(order: int):
    """Whatever remembers an answer must not find that of another number, or of true."""
    values = ["1", "true", "1.0", "1e23", "99999999999999991611392", "100000000000000000000000"]
    values += ["1.152921504606847e18", "1152921504606846976", "0", "false", "-0.0", '"1"', "1e0"]
    tests = ["1", "true", "1e23", "99999999999999991611392", "1152921504606846976", "0", "false"]
    tests += ['{"numeric":[">",1]}', '{"numeric":["<",1]}', '{"anything-but":1e23}', '"1"']
    adds = [Add(number, f'{{"a":[{test}]}}') for number, test in enumerate(tests)]
    events = [Match(f'{{"a":{value}}}') for value in values[::order]]
    assert compare([*adds, *events * 40]) is None


def test_any_alternative_of_or_is_enough():
    pattern = '{"s":["x"],"$or":[{"n":[{"numeric":[">",5]}]},{"d":{"m":["y"],"k":[1]}}]}'
    assert answer(pattern, '{"s":"x","n":6}')
    assert answer(pattern, '{"s":"x","n":1,"d":{"m":"y","k":1}}')
    assert not answer(pattern, '{"s":"x","n":1,"d":{"m":"y"}}')
    assert not answer(pattern, '{"s":"z","n":6}')
    assert answer('{"a":["z"],"$or":[{"a":["x"]},{"b":[1]}]}', '{"a":"x"}')
    assert not answer('{"a":["z"],"$or":[{"a":["x"]},{"b":[1]}]}', '{"a":"z"}')


def test_the_last_of_duplicate_keys_in_an_event_counts():
    assert answer('{"a":[2]}', '{"a":1,"a":2}')
    assert not answer('{"a":[1]}', '{"a":1,"a":2}')


def test_deep_nesting_in_an_event_is_no_danger():
    deep = '{"a":' + "[" * 900 + "1" + "]" * 900 + "}"
    assert answer('{"a":[1]}', deep, with_oracle=False)
    assert answer('{"a":[1],"a.b":[{"exists":false}]}', deep, with_oracle=False)
    mixed = '{"a":' * 90 + "[" * 800 + "1" + "]" * 800 + "}" * 90
    assert answer(f'{{"{".".join(["a"] * 90)}":[1]}}', mixed, with_oracle=False)
    pairs = '{"a":[' * 95 + '{"a":1,"b":2}' + "]}" * 95
    path = ".".join(["a"] * 95)
    assert answer(f'{{"{path}.a":[1],"{path}.b":[2]}}', pairs, with_oracle=False)


def test_big_arrays_cost_no_combinations():
    rows = [{"b": 1, "c": 0, "d": [{"e": n, "f": -n} for n in range(30)]} for _ in range(200)]
    event = json.dumps({"a": rows, "g": rows})
    one = '{"b":[1],"c":[1],"d":{"e":[3],"f":[-4]}}'
    assert not answer(f'{{"a":{one},"g":{one}}}', event, with_oracle=False)
    other = '{"b":[1],"c":[0],"d":{"e":[3],"f":[-3]}}'
    assert answer(f'{{"a":{other},"g":{other}}}', event, with_oracle=False)
