"""What event-ruler 2.0 answered when it was asked: one line per fact.

Each fact is asked of `matches`, of `Matcher.match`, of `Matcher.match_json` and of the oracle. The
messages are those of the compiler.
"""

from __future__ import annotations

import pytest

from eventcore.errors import InvalidPattern
from eventcore.patterns import compile_pattern
from tests.patterns.comparison import answer


def check(facts: dict[tuple[str, str], bool]) -> None:
    """Every answer is as it should be; all that are not are told at once."""
    assert [fact for fact, expected in facts.items() if answer(*fact) is not expected] == []


def of_field(tests: str, *, accepted: list[str], refused: list[str]) -> dict[tuple[str, str], bool]:
    """The facts that a list of tests accepts these values of its field, and not those."""
    pattern = f'{{"a":{tests}}}'
    answers = {(pattern, f'{{"a":{value}}}'): True for value in accepted}
    return answers | {(pattern, f'{{"a":{value}}}'): False for value in refused}


EVERY_TYPE = ['"x"', '""', "1", "-1.5", "true", "false", "null"]
ABSENT = ["[]", "{}", "[[]]", "[{}]", '{"b":1}', '[{"b":1}]', '{"b":"x"}']


# -- types ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("own", EVERY_TYPE)
def test_a_value_equals_itself_and_nothing_of_another_type(own: str):
    others = [value for value in EVERY_TYPE if value != own]
    check(of_field(f"[{own}]", accepted=[own], refused=[*others, *ABSENT]))


def test_strings_that_look_like_other_types_are_strings():
    check(of_field('["1"]', accepted=['"1"'], refused=["1", "1.0", "true"]))
    check(of_field("[1]", accepted=["1", "1.0"], refused=['"1"', "true"]))
    check(of_field('["true"]', accepted=['"true"'], refused=["true", "1"]))
    check(of_field("[true]", accepted=["true"], refused=['"true"', "1", '"1"']))
    check(of_field('["null"]', accepted=['"null"'], refused=["null"]))
    check(of_field("[0]", accepted=["0", "-0", "0.0", "0e9"], refused=["false", "null", '""']))


def test_numbers_are_equal_by_value_however_they_are_written():
    check(of_field("[1]", accepted=["1", "1.0", "1e0", "10e-1", "0.1E+1"], refused=["1.1"]))
    check(of_field("[300]", accepted=["300", "3.0e2", "3E2"], refused=["301"]))
    check(of_field("[3.0e2]", accepted=["300", "300.0"], refused=["3.0"]))


def test_integers_that_no_double_says_are_compared_as_text():
    check(
        of_field(
            "[9007199254740993]",
            accepted=["9007199254740993"],
            refused=["9007199254740992", "9007199254740994", "9007199254740992.0"],
        )
    )
    check(of_field("[9007199254740992]", accepted=["9007199254740992.0"], refused=[]))
    big = "123456789012345678901234567890"
    check(of_field(f"[{big}]", accepted=[big], refused=[f"{big[:-1]}1", "1.2345678901234568e29"]))


# -- absence and arrays --------------------------------------------------------------------------


@pytest.mark.parametrize("tests", ['["x"]', "[null]", '[{"exists":true}]', '[{"prefix":""}]'])
def test_a_missing_field_satisfies_nothing_but_exists_false(tests: str):
    check({(f'{{"a":{tests}}}', event): False for event in ("{}", '{"b":1}', '{"a.b":"x"}')})
    check(of_field('[{"exists":false}]', accepted=ABSENT, refused=EVERY_TYPE))
    check({('{"a":[{"exists":false}]}', "{}"): True})


def test_exists_concerns_leaves_only():
    check(of_field('[{"exists":true}]', accepted=EVERY_TYPE, refused=ABSENT))
    check(
        {
            ('{"a":{"b":[{"exists":true}]}}', '{"a":{"b":0}}'): True,
            ('{"a":{"b":[{"exists":true}]}}', '{"a":{"b":{"c":0}}}'): False,
            ('{"a":{"b":[{"exists":false}]}}', '{"a":{"b":{"c":0}}}'): True,
            ('{"a":{"b":[{"exists":false}]}}', '{"a":1}'): True,
            ('{"a":{"b":[{"exists":false}]}}', "{}"): True,
        }
    )


def test_exists_false_stands_beside_other_values():
    check(of_field('["x",{"exists":false}]', accepted=['"x"', *ABSENT], refused=['"y"', "null"]))
    both = '[{"exists":true},{"exists":false}]'
    check(of_field(both, accepted=[*EVERY_TYPE, *ABSENT], refused=[]))


def test_any_element_of_an_array_satisfies_and_nested_arrays_are_flattened():
    accepted = ['["x"]', '["w","x"]', '[["w"],[["x"]]]', '[{"b":1},"x"]', '[[],"x",null]']
    check(of_field('["x"]', accepted=accepted, refused=['["w"]', '[["w"]]', '[{"a":"x"}]']))


def test_anything_but_needs_a_leaf_and_any_type_will_do():
    every = [value for value in EVERY_TYPE if value != '"x"']
    for tests in (
        '[{"anything-but":"x"}]',
        '[{"anything-but":["x","y"]}]',
        '[{"anything-but":{"prefix":"x"}}]',
        '[{"anything-but":{"suffix":"x"}}]',
        '[{"anything-but":{"equals-ignore-case":"X"}}]',
        '[{"anything-but":{"wildcard":"x*"}}]',
    ):
        check(of_field(tests, accepted=every, refused=['"x"', '["x"]', *ABSENT]))
    check(of_field('[{"anything-but":1}]', accepted=['"1"', "2", "null", "true"], refused=["1.0"]))


def test_anything_but_of_an_array_asks_for_one_other_element():
    check(of_field('[{"anything-but":"x"}]', accepted=['["x","y"]', '["x",null]'], refused=["[]"]))
    check(of_field('[{"anything-but":["x","y"]}]', accepted=['["x","z"]'], refused=['["x","y"]']))


def test_an_empty_list_inside_anything_but_prefix_refuses_nothing():
    check(of_field('[{"anything-but":{"prefix":[]}}]', accepted=EVERY_TYPE, refused=ABSENT))


# -- objects in arrays ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "event", "expected"),
    [
        # One object must satisfy all conditions.
        ('{"a":{"b":[1],"c":[2]}}', '{"a":[{"b":1},{"c":2}]}', False),
        ('{"a":{"b":[1],"c":[2]}}', '{"a":[{"b":1},{"b":1,"c":2}]}', True),
        # Sibling arrays are combined in every way.
        ('{"a":{"x":[1]},"b":{"y":[2]}}', '{"a":[{"x":1},{"x":9}],"b":[{"y":9},{"y":2}]}', True),
        ('{"a":{"x":[1],"z":[3]},"b":{"y":[2]}}', '{"a":[{"x":1},{"z":3}],"b":[{"y":2}]}', False),
        (
            '{"a":{"b":{"x":[1]},"c":{"y":[2]}}}',
            '{"a":[{"b":[{"x":0},{"x":1}],"c":[{"y":2},{"y":0}]}]}',
            True,
        ),
        (
            '{"a":{"b":{"x":[1]},"c":{"y":[2]}}}',
            '{"a":[{"b":[{"x":1}],"c":[{"y":0}]},{"b":[{"x":0}],"c":[{"y":2}]}]}',
            False,
        ),
        # The array's own scalars lie in no object of it.
        ('{"a":[1],"a.b":[2]}', '{"a":[1,{"b":2}]}', True),
        ('{"a":{"b":[1,2],"c":[3]}}', '{"a":[{"b":[0,2],"c":3}]}', True),
        # An array in an array is an element, too.
        ('{"a":{"b":[1],"c":[2]}}', '{"a":[[{"b":1,"c":0}],[{"b":0,"c":2}]]}', False),
        ('{"a":{"b":[1],"c":[2]}}', '{"a":[[{"b":0}],[{"b":1,"c":2}]]}', True),
    ],
)
def test_conditions_in_an_array_hold_in_one_object(pattern: str, event: str, expected: bool):
    check({(pattern, event): expected})


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        # The names of the two fields in their order; the condition for absence is on `second`.
        ("b", "c", True),
        ("c", "b", False),
    ],
)
def test_absence_in_an_array_depends_on_the_order_of_names(first: str, second: str, expected: bool):
    pattern = f'{{"a":{{"{first}":["1"],"{second}":[{{"exists":false}}]}}}}'
    event = f'{{"a":[{{"{first}":"1"}},{{"{first}":"2","{second}":3}}]}}'
    check({(pattern, event): expected})


def test_the_order_of_names_is_that_of_paths_not_of_the_pattern():
    event = '{"a":[{"b":"1"},{"b":"2","c":3}]}'
    check(
        {
            ('{"a":{"c":[{"exists":false}],"b":["1"]}}', event): True,
            ('{"a":{"b":["1"],"c":[{"exists":false}]}}', event): True,
            ('{"a.c":[{"exists":false}],"a":{"b":["2"]}}', event): False,
        }
    )


def test_absence_with_no_element_chosen_asks_about_all_of_them():
    pattern = '{"a":{"c":[{"exists":false}]}}'
    check(
        {
            (pattern, '{"a":[{"b":1},{"c":2}]}'): False,
            (pattern, '{"a":[{"b":1},{"c":[]}]}'): True,
            (pattern, '{"a":[]}'): True,
            ('{"a":{"b":[1],"c":[3,{"exists":false}]}}', '{"a":[{"b":1,"c":2},{"c":3}]}'): False,
            ('{"a":{"b":[1],"c":[3,{"exists":false}]}}', '{"a":[{"b":1},{"c":2}]}'): True,
        }
    )


# -- paths ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("pattern", ['{"a.b":["x"]}', '{"a":{"b":["x"]}}'])
@pytest.mark.parametrize("event", ['{"a.b":"x"}', '{"a":{"b":"x"}}', '{"a":[{"b":"x"}]}'])
def test_a_dotted_name_and_a_nested_one_are_one_path(pattern: str, event: str):
    check({(pattern, event): True, (pattern, event.replace("x", "y")): False})


@pytest.mark.parametrize(
    ("pattern", "kept", "lost"),
    [
        ('{"a":["x"],"a":["y"]}', '{"a":"y"}', '{"a":"x"}'),
        ('{"a":{"b":["x"]},"a.b":["y"]}', '{"a":{"b":"y"}}', '{"a":{"b":"x"}}'),
        ('{"a.b":["x"],"a":{"b":["y"]}}', '{"a":{"b":"y"}}', '{"a":{"b":"x"}}'),
        ('{"a":{"b":[1]},"a":{"c":[2]}}', '{"a":{"b":1,"c":2}}', '{"a":{"c":2}}'),
    ],
)
def test_a_path_given_twice_keeps_the_later_list(pattern: str, kept: str, lost: str):
    check({(pattern, kept): True, (pattern, lost): False})


# -- $or -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "matching", "others"),
    [
        (
            '{"$or":[{"a":[1]},{"b":[2]}]}',
            ['{"a":1}', '{"b":2}', '{"a":1,"b":2}'],
            ['{"a":2}', '{"b":1}', "{}"],
        ),
        # A list before $or is overwritten by that of an alternative.
        (
            '{"a":["z"],"$or":[{"a":["x"]},{"b":["y"]}]}',
            ['{"a":"x"}', '{"a":"z","b":"y"}'],
            ['{"a":"z"}', '{"a":"q","b":"y"}'],
        ),
        # A list behind it overwrites that of the alternatives.
        (
            '{"$or":[{"a":["x"]},{"b":["y"]}],"a":["z"]}',
            ['{"a":"z"}', '{"a":"z","b":"y"}'],
            ['{"a":"x"}', '{"a":"x","b":"y"}'],
        ),
        # Nested.
        (
            '{"$or":[{"a":[1]},{"$or":[{"b":[2]},{"c":[3]}],"d":[4]}]}',
            ['{"a":1}', '{"b":2,"d":4}', '{"c":3,"d":4}'],
            ['{"b":2}', '{"d":4}', '{"a":2,"d":4}'],
        ),
        # On several levels.
        (
            '{"$or":[{"a":[1]},{"b":[2]}],"n":{"$or":[{"c":[3]},{"d":[4]}]}}',
            ['{"a":1,"n":{"c":3}}', '{"b":2,"n":{"d":4}}'],
            ['{"a":1}', '{"n":{"c":3}}', '{"a":1,"c":3}'],
        ),
        # Several fields in one alternative, and arrays.
        (
            '{"a":{"$or":[{"b":[1],"c":[2]},{"d":[{"exists":false}],"b":[3]}]}}',
            ['{"a":{"b":1,"c":2}}', '{"a":{"b":3}}', '{"a":[{"b":3},{"d":1}]}'],
            ['{"a":[{"b":1},{"c":2}]}', '{"a":{"b":3,"d":0}}', '{"a":{"b":1}}'],
        ),
    ],
)
def test_or(pattern: str, matching: list[str], others: list[str]):
    check({(pattern, event): True for event in matching})
    check({(pattern, event): False for event in others})


# -- texts ---------------------------------------------------------------------------------------


def test_an_empty_prefix_or_suffix_accepts_every_string():
    strings, others = ['""', '"x"', '"\\n"'], ["1", "true", "null", "[]"]
    for argument in ('""', '{"equals-ignore-case":""}'):
        check(of_field(f'[{{"prefix":{argument}}}]', accepted=strings, refused=others))
        check(of_field(f'[{{"suffix":{argument}}}]', accepted=strings, refused=others))


def test_prefix_and_suffix_see_neither_numbers_nor_quotes():
    check(of_field('[{"prefix":"1"}]', accepted=['"12"'], refused=["12", "1"]))
    check(of_field('[{"suffix":"2"}]', accepted=['"12"'], refused=["12", "2"]))
    check(of_field('[{"prefix":"\\""}]', accepted=['"\\"x"'], refused=['"x"']))


def test_case_is_ignored_per_character_of_the_pattern():
    sharp = '[{"equals-ignore-case":"straße"}]'
    accepted = ['"straße"', '"STRASSE"', '"Straße"', '"straSSe"']
    check(of_field(sharp, accepted=accepted, refused=['"strasse"', '"straSse"', '"straẞe"']))
    plain = '[{"equals-ignore-case":"STRASSE"}]'
    check(of_field(plain, accepted=['"strasse"', '"Strasse"'], refused=['"straße"', '"strase"']))
    check(of_field('[{"equals-ignore-case":"É1x"}]', accepted=['"é1X"'], refused=['"e1x"', "1"]))


@pytest.mark.parametrize(
    ("wildcard", "accepted", "refused"),
    [
        ("*", ["", "x", "\\n", "*"], []),
        ("", [""], ["x"]),
        ("a*", ["a", "ab", "a\\nb"], ["ba", "A", ""]),
        ("*a", ["a", "ba"], ["ab"]),
        ("a*b*c", ["abc", "aXbXc", "abbcc"], ["ac", "acb", "abcd"]),
        ("*ab*ab*", ["abab", "xabxabx"], ["ab", "aba"]),
        ("a*a", ["aa", "aba"], ["a"]),
        ("\\\\*", ["*"], ["x", "\\\\*", ""]),
        ("\\\\*\\\\\\\\*", ["*\\\\", "*\\\\x"], ["x\\\\", "*"]),
    ],
)
def test_wildcard(wildcard: str, accepted: list[str], refused: list[str]):
    accepted, refused = [f'"{text}"' for text in accepted], [f'"{text}"' for text in refused]
    tests = f'[{{"wildcard":"{wildcard}"}}]'
    check(of_field(tests, accepted=accepted, refused=[*refused, "1", "null", "true", "[]"]))


def test_many_stars_are_decided_without_trying_all_places():
    pattern = '{"a":[{"wildcard":"*a*a*a*a*a*a*a*a*a*a*b"}]}'
    check({(pattern, f'{{"a":"{"a" * 300}"}}'): False, (pattern, f'{{"a":"{"a" * 300}b"}}'): True})


# -- addresses -----------------------------------------------------------------------------------


def test_a_net_accepts_its_addresses_and_host_bits_may_be_set():
    for net in ("10.0.0.0/24", "10.0.0.77/24"):
        accepted, refused = ['"10.0.0.0"', '"10.0.0.255"'], ['"10.0.1.0"', '"9.255.255.255"', "10"]
        check(of_field(f'[{{"cidr":"{net}"}}]', accepted=accepted, refused=refused))
    for net in ("2001:db8::/33", "2001:db8::1:2:3/33"):
        accepted = ['"2001:db8::"', '"2001:0DB8:7fff:FFFF::1"']
        refused = ['"2001:db8:8000::"', '"32.1.13.184"', '"2001:db8"']
        check(of_field(f'[{{"cidr":"{net}"}}]', accepted=accepted, refused=refused))


def test_an_address_of_both_versions_is_in_no_net():
    for net in ("10.0.0.0/8", "::/0", "::ffff:0:0/96"):
        refused = ['"::ffff:10.0.0.1"', '"x"', '""', "1"]
        check(of_field(f'[{{"cidr":"{net}"}}]', accepted=[], refused=refused))


def test_a_string_that_is_an_ipv6_address_equals_its_other_spellings():
    accepted = ['"2001:db8::1"', '"2001:0db8:0:0::1"', '"2001:DB8:0:0:0:0:0:1"']
    check(of_field('["2001:db8::1"]', accepted=accepted, refused=['"2001:db8::2"', '"x"']))


# -- numeric -------------------------------------------------------------------------------------


def test_numeric_ranges():
    between = '[{"numeric":[">",0,"<=",5]}]'
    check(of_field(between, accepted=["5e-324", "5", "5.0"], refused=["0", "-0.0", "5.0000001"]))
    check(of_field('[{"numeric":[">=",0,"<",5]}]', accepted=["0", "-0.0"], refused=["5", "-1e-9"]))
    check(of_field('[{"numeric":["=",3e2]}]', accepted=["300"], refused=['"300"', "301", "true"]))
    check(of_field('[{"numeric":["<",0]}]', accepted=["-1"], refused=["0", "null", "false"]))
    check(of_field('[{"numeric":[">",0]}]', accepted=["1e308"], refused=["9007199254740993"]))


# -- messages ------------------------------------------------------------------------------------

BUT_VALUE = "Value of anything-but must be an array or single string/number value."
BUT_MEMBER = "Inside anything but list, start|null|boolean is not supported."
BUT_MIXED = (
    "Inside anything but list, either all values are number or string, mixed type is not supported"
)
BUT_CASE = (
    "Inside anything-but/equals-ignore-case list, number|start|null|boolean is not supported."
)
ANY_CASE = "equals-ignore-case match pattern must be a string"
ONE_KEY = "Only one key allowed in match expression"
TOO_MANY = "Too many elements in numeric expression"


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("[]", "Filter is not an object"),
        ("{}", "Empty objects are not allowed"),
        ('{"a":{}}', "Empty objects are not allowed"),
        ('{"a":"x"}', '"a" must be an object or an array'),
        ('{"a":[]}', "Empty arrays are not allowed"),
        ('{"a":[["x"]]}', "Match value must be String, number, true, false, or null"),
        ('{"$or":[{"a":[1]}]}', "There must have at least 2 Objects in $or relationship."),
        ('{"$or":{"a":[1]}}', "It must be an Array followed with $or."),
        ('{"$or":[{"a":[1]},"x"]}', "Only JSON object is allowed in array of $or relationship."),
        *(
            (
                f'{{"$or":[{{"a":[1]}},{{"{name}":[1]}}]}}',
                f"{name} is Ruler reserved fieldName which cannot be used inside $or.",
            )
            for name in (
                *("exactly", "equals-ignore-case", "prefix", "suffix", "anything-but", "exists"),
                *("wildcard", "numeric", "cidr", "=", "<", "<=", ">", ">=", "regex"),
                *("not-wildcard", "not-equals-ignore-case", "date-after", "date-on-or-after"),
                *("date-before", "date-on-or-before", "in-date-range", "ip-address-in-range"),
                "ip-address-not-in-range",
            )
        ),
    ],
)
def test_message_for_a_pattern(pattern: str, message: str):
    assert reason(pattern) == message


@pytest.mark.parametrize(
    ("test", "message"),
    [
        ('"prefix":"x","suffix":"y"', ONE_KEY),
        ("", "Match expression name not found"),
        ('"like":"x"', "Unrecognized match type like"),
        ('"prefix":["x"]', "prefix match pattern must be a string"),
        ('"prefix":{"wildcard":"x"}', "Unsupported prefix pattern: wildcard"),
        ('"prefix":{}', "Prefix expression name not found"),
        ('"prefix":{"equals-ignore-case":1}', ANY_CASE),
        ('"suffix":["x"]', "suffix match pattern must be a string"),
        ('"suffix":{"wildcard":"x"}', "Unsupported suffix pattern: wildcard"),
        ('"suffix":{}', "Suffix expression name not found"),
        ('"suffix":{"equals-ignore-case":null}', ANY_CASE),
        ('"equals-ignore-case":1', ANY_CASE),
        ('"equals-ignore-case":["x"]', ANY_CASE),
        ('"wildcard":1', "wildcard match pattern must be a string"),
        ('"wildcard":["x"]', "wildcard match pattern must be a string"),
        ('"wildcard":"**"', "Consecutive wildcard characters at pos 1"),
        ('"wildcard":"a**b"', "Consecutive wildcard characters at pos 2"),
        ('"wildcard":"ä**"', "Consecutive wildcard characters at pos 3"),
        ('"wildcard":"a\\\\b"', "Invalid escape character at pos 2"),
        ('"wildcard":"\\\\"', "Invalid escape character at pos 1"),
        ('"anything-but":null', BUT_VALUE),
        ('"anything-but":true', BUT_VALUE),
        ('"anything-but":{"prefix":{"equals-ignore-case":"x"}}', BUT_VALUE),
        ('"anything-but":[null]', BUT_MEMBER),
        ('"anything-but":[["x"]]', BUT_MEMBER),
        ('"anything-but":["x",1]', BUT_MIXED),
        ('"anything-but":[]', BUT_MIXED),
        ('"anything-but":{"cidr":"x"}', "Unsupported anything-but pattern: cidr"),
        ('"anything-but":{}', "Anything-But expression name not found"),
        ('"anything-but":{"prefix":""}', "Null prefix/suffix not allowed"),
        ('"anything-but":{"suffix":[""]}', "Null prefix/suffix not allowed"),
        ('"anything-but":{"prefix":[1]}', "prefix/suffix match pattern must be a string"),
        ('"anything-but":{"equals-ignore-case":[1]}', BUT_CASE),
        ('"anything-but":{"prefix":"x","suffix":"y"}', TOO_MANY),
        ('"numeric":1', "Value of numeric must be an array."),
        ('"numeric":[]', "Invalid member in numeric match: ]"),
        ('"numeric":[1]', "Invalid member in numeric match: 1"),
        ('"numeric":["!=",1]', "Unrecognized numeric range operator: !="),
        ('"numeric":["=","1"]', "Value of equals must be numeric"),
        ('"numeric":["<","1"]', "Value of < must be numeric"),
        ('"numeric":[">","1"]', "Value of > must be numeric"),
        ('"numeric":["=",1,"=",2]', TOO_MANY),
        ('"numeric":["<",1,">",2]', TOO_MANY),
        ('"numeric":[">",1,2]', "Bad value in numeric range: 2"),
        ('"numeric":[">",1,"=",2]', "Bad numeric range operator: ="),
        ('"numeric":[">",1,"<",2,"<"]', "Too many terms in numeric range expression"),
        ('"numeric":[">",2,"<",1]', "Bottom must be less than top"),
        ('"numeric":[">",1,"<",1]', "Bottom must be less than top"),
        ('"numeric":["=",1e400]', "Cannot compare number : 1e400"),
        ('"numeric":["=",9007199254740993]', "Cannot compare number : 9007199254740993"),
        ('"exists":"true"', "exists match pattern must be either true or false."),
        ('"exactly":1', "exact match pattern must be a string"),
        ('"cidr":1', "prefix match pattern must be a string"),
        ('"cidr":"10.0.0.0"', "Malformed CIDR, one '/' required"),
        ('"cidr":"10.0.0.0/8/8"', "Malformed CIDR, one '/' required"),
        ('"cidr":"10.0.0.0/x"', "Malformed CIDR, mask bits must be an integer"),
        ('"cidr":"10.0.0.0/-1"', "Malformed CIDR, mask bits must not be negative"),
        ('"cidr":"10.0.0.0/32"', "IPv4 mask bits must be < 32"),
        ('"cidr":"::/128"', "IPv6 mask bits must be < 128"),
        ('"cidr":"10.0.0.256/8"', "Invalid IP address: 10.0.0.256"),
        ('"cidr":"example/8"', "Nonstandard IP address: example"),
    ],
)
def test_message_for_a_match_expression(test: str, message: str):
    assert reason(f'{{"a":[{{{test}}}]}}') == message


@pytest.mark.parametrize(
    "test",
    [
        *('{"prefix":""}', '{"suffix":""}', '{"equals-ignore-case":""}', '{"wildcard":""}'),
        *('{"wildcard":"*"}', '{"anything-but":{"prefix":[]}}', '{"anything-but":""}'),
        *(
            '{"cidr":"0.0.0.0/0"}',
            '{"cidr":"10.9.8.7/31"}',
            '{"cidr":"::/0"}',
            '{"cidr":"::1/127"}',
        ),
        *('{"anything-but":{"wildcard":["a*","*b"]}}', '{"numeric":[">=",-1e308,"<",1e308]}'),
        *('{"prefix":{"equals-ignore-case":""}}', "9007199254740993", "1e400", '{"exactly":""}'),
    ],
)
def test_what_is_allowed_though_it_looks_wrong(test: str):
    text = f'{{"a":[{test}]}}'
    assert compile_pattern(text).text == text


def reason(pattern: str) -> str:
    """What is wrong with a pattern, without the location."""
    with pytest.raises(InvalidPattern) as caught:
        compile_pattern(pattern)
    return caught.value.reason.split("\n at [Source: ", maxsplit=1)[0]
