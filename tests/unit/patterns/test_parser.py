from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventcore.errors import InvalidPattern
from eventcore.patterns.conditions import Exact
from eventcore.patterns.dialects import BUS
from eventcore.patterns.parser import (
    FieldNode,
    ObjectNode,
    OrNode,
    ValuesNode,
    fault_at,
    parse,
    read_tree,
)
from eventcore.patterns.tokens import QuickReader, TokenReader, end_of_json


def reason_for(text: str) -> str:
    with pytest.raises(InvalidPattern) as caught:
        parse(text, BUS)
    return caught.value.reason


def reason_for_list(tests: str) -> str:
    """The reason for a pattern with one list, without its location."""
    return reason_for(f'{{"a":{tests}}}').split("\n at [Source: ")[0]


def columns_of(reason: str) -> list[int]:
    """The columns of a reason's locations, all of the first line."""
    return [int(part.split("]")[0]) for part in reason.split("; line: 1, column: ")[1:]]


# -- the tree ------------------------------------------------------------------------------------


def test_the_tree_keeps_the_order_of_the_text_and_both_of_two_members():
    one = ValuesNode((Exact(1.0),), False, 5)
    assert parse('{"b":[1],"a":{"c":[{"exists":false}]},"b":["x"]}', BUS) == ObjectNode(
        (
            FieldNode("b", one),
            FieldNode("a", ObjectNode((FieldNode("c", ValuesNode((), True, 14)),), 15)),
            FieldNode("b", ValuesNode((Exact("x"),), False, 19)),
        ),
        20,
    )


def test_an_or_is_a_member_with_its_alternatives():
    tree = parse('{"$or":[{"a":[1]},{"b":[1],"c":[1]}]}', BUS)
    (member,) = tree.members
    assert isinstance(member, OrNode)
    names = [
        [each.name for each in alternative.members if isinstance(each, FieldNode)]
        for alternative in member.alternatives
    ]
    assert names == [["a"], ["b", "c"]]


def test_a_fault_can_be_reported_behind_any_node():
    text = '{"a":[1], "b":{"c":["x"]}}'
    tree = parse(text, BUS)
    ends = [len('{"a":[1]'), len('{"a":[1], "b":{"c":["x"]}')]
    for member, end in zip(tree.members, ends, strict=True):
        assert isinstance(member, FieldNode)
        reason = fault_at(text, member.value.end, "no").reason
        assert reason == f'no\n at [Source: (String)"{text}"; line: 1, column: {end + 1}]'


# -- two readers of one language -----------------------------------------------------------------

texts = st.text(alphabet='ab"\\/:,{}[]\n\u00e9\u2028\U0001f600 ', max_size=6)
documents = st.recursive(
    texts
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.booleans()
    | st.none(),
    lambda below: st.lists(below, max_size=4) | st.dictionaries(texts, below, max_size=4),
    max_leaves=25,
)


@given(
    documents, st.booleans(), st.sampled_from([None, 0, 1, "\t"]), st.sampled_from([":", " :\n "])
)
@settings(max_examples=500)
def test_the_quick_reader_reads_what_the_token_reader_reads(document, is_ascii, indent, colon):
    text = json.dumps(document, ensure_ascii=is_ascii, indent=indent, separators=(",", colon))
    quick, exact = QuickReader(text), TokenReader(text)
    open_brackets = 0
    while True:
        kind = exact.advance()
        assert (quick.advance(), quick.text, quick.count) == (kind, exact.text, exact.count)
        open_brackets += (kind in "{[") - (kind in "}]")
        if not open_brackets:
            break
    exact.finish()
    quick.finish()


pieces = st.sampled_from(
    [
        *("{", "}", "[", "]", ",", ":", " ", "\n", '"', "\\", "*", "1", "0", "1.5", "1e400", "x"),
        *(
            "9007199254740993",
            "true",
            "null",
            "\u00e9",
            "\ud800",
            "\x00",
            '"$or":[',
            '"a":',
            '"b":{',
        ),
        *('{"exists":false}', '{"prefix":', '{"numeric":[">",', '{"anything-but":[', '"cidr":'),
        *(
            '{"wildcard":"a*',
            '"equals-ignore-case":',
            '{"a":[1]},',
            '{"b":[2]}',
            "]}",
            "}}",
            '["x"]',
        ),
    ]
)


@given(st.lists(pieces, max_size=14).map("".join))
@settings(max_examples=1000)
def test_a_text_is_read_alike_with_and_without_the_quick_reader(text: str):
    """Also with the same location of the fault, in a text that begins with a JSON document."""
    answers: list[object] = []
    for reader in (QuickReader, TokenReader):
        try:
            answers.append(read_tree(reader(text), BUS))
        except (ValueError, InvalidPattern) as error:
            answers.append(error.reason if isinstance(error, InvalidPattern) else None)
    quick, exact = answers
    assert quick == exact or (quick is None and isinstance(exact, str))


@pytest.mark.parametrize(
    "text", ["", "x", "1 x", '{"a":[1],}', '["\ud800"]', '["\\ud800"]', "\ufeff{}", "[1.5.5]"]
)
def test_the_quick_reader_refuses_what_is_not_json(text: str):
    with pytest.raises(ValueError, match="line 1"):
        QuickReader(text)


@pytest.mark.parametrize(
    ("text", "end"),
    [
        ('{"a":[1]}', 9),
        ('{"a":[1]} \n', 11),
        ('{"a":[1]} \n x', 9),
        ("[] {}", 2),
        ('{"a":["é\U0001f600"]}]', 12),
        ('{"a":[1e400,' + "9" * 5_000 + ',"1e400\\"9"]}\x00', 5_025),
    ],
)
def test_where_the_json_ends_that_a_text_begins_with(text: str, end: int):
    assert end_of_json(text) == end


@pytest.mark.parametrize("number", ["2.-15e1", "01", "1e", "1.", "-", "1e400.", "1e4001e", "--1"])
def test_a_number_of_any_size_is_none_that_is_no_number(number: str):
    for beginning in ("", "1e400,"):
        with pytest.raises(ValueError, match="line 1"):
            end_of_json(f"[{beginning}{number}]")


def fault_found(text: str, start: int) -> str | None:
    """None for a text that begins with a scalar: nothing looks behind it."""
    try:
        TokenReader(text).read_through(start)
    except InvalidPattern as error:
        return error.reason
    return None


@given(st.lists(pieces, max_size=14).map("".join), documents, st.data())
@settings(max_examples=1000)
def test_what_the_decoder_has_read_need_not_be_read_for_its_faults(text, document, data):
    whole = json.dumps(document, ensure_ascii=data.draw(st.booleans()))
    place = data.draw(st.integers(0, len(whole)))
    for each in (text, whole[:place] + text + whole[place:], whole[:place] + whole[place + 1 :]):
        try:
            end_of_json(each)
        except json.JSONDecodeError as error:
            place_of_decoder = error.pos
        else:
            continue
        assert fault_found(each, place_of_decoder) == fault_found(each, 0)


@pytest.mark.parametrize(
    "text",
    [
        "{" * 4_096,
        "[" * 4_096,
        '{"a":' * 800,
        '{"a":[{"prefix":' * 250,
        '{"a":[' + "[" * 4_000,
        '{"a":[{"anything-but":' + '{"prefix":' * 400,
        '{"a":[{"anything-but":[' + "[" * 4_000,
        '{"a":[{"numeric":[">",' + "9" * 4_000,
        '{"a":[' + "9" * 4_096,
        '{"a":[{"numeric":["=",1e' + "9" * 4_000 + "]}]}",
        '{"a":[{"cidr":"10.0.0.0/' + "9" * 4_000 + '"}]}',
        '{"a":[{"cidr":"' + ":" * 4_000 + '/8"}]}',
        '{"a":[{"wildcard":"' + "*" * 4_000 + '"}]}',
        '{"$or":[' * 512,
        '{"a":["\ud800"]}',
        '{"\udfff":[1]}',
        '{"a":["\\ud800x"]}',
        "\ud800",
        "\x00",
        '{"a":[1]}\x00',
    ],
)
def test_hostile_texts_are_refused_in_bounded_time_and_depth(text: str):
    assert reason_for(text)


def test_a_large_number_in_a_list_is_a_text():
    digits = "9" * 5_000
    (member,) = parse(f'{{"a":[{digits},1e{digits}]}}', BUS).members
    assert isinstance(member, FieldNode)
    assert isinstance(member.value, ValuesNode)
    assert len(member.value.tests) == 2


# -- messages ------------------------------------------------------------------------------------

ONE_KEY = "Only one key allowed in match expression"
IGNORE_CASE_TEXT = "equals-ignore-case match pattern must be a string"


@pytest.mark.parametrize(
    ("tests", "reason"),
    [
        ("1", '"a" must be an object or an array'),
        ('"x"', '"a" must be an object or an array'),
        ("{}", "Empty objects are not allowed"),
        ("[]", "Empty arrays are not allowed"),
        ("[[1]]", "Match value must be String, number, true, false, or null"),
        ("[{}]", "Match expression name not found"),
        ('[{"prefix":"x","suffix":"y"}]', ONE_KEY),
        ('[{"exists":true,"x":1}]', ONE_KEY),
        ('[{"exactly":"x","y":1}]', ONE_KEY),
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
        ('[{"prefix":{"equals-ignore-case":1}}]', IGNORE_CASE_TEXT),
        ('[{"suffix":{"equals-ignore-case":["x"]}}]', IGNORE_CASE_TEXT),
        ('[{"prefix":{"equals-ignore-case":"x","a":1}}]', ONE_KEY),
        ('[{"suffix":{"equals-ignore-case":"x"},"a":1}]', ONE_KEY),
        ('[{"equals-ignore-case":["x"]}]', IGNORE_CASE_TEXT),
        ('[{"equals-ignore-case":null}]', IGNORE_CASE_TEXT),
        ('[{"equals-ignore-case":"x","a":1}]', ONE_KEY),
        ('[{"wildcard":1}]', "wildcard match pattern must be a string"),
        ('[{"wildcard":["x"]}]', "wildcard match pattern must be a string"),
        ('[{"wildcard":"x","a":1}]', ONE_KEY),
        ('[{"cidr":1}]', "prefix match pattern must be a string"),
        ('[{"cidr":["10.0.0.0/8"]}]', "prefix match pattern must be a string"),
        ('[{"cidr":"10.0.0.0/8","a":1}]', ONE_KEY),
    ],
)
def test_message_for(tests: str, reason: str):
    assert reason_for_list(tests) == reason


BUT_VALUE = "Value of anything-but must be an array or single string/number value."
BUT_MEMBER = "Inside anything but list, start|null|boolean is not supported."
BUT_MIXED = (
    "Inside anything but list, either all values are number or string, mixed type is not supported"
)


BUT_IGNORE_CASE = (
    "Inside anything-but/equals-ignore-case list, number|start|null|boolean is not supported."
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
        ('["x"],"b":1', "Too many elements in numeric expression"),
        ('{"prefix":"x"},"b":1', "Too many elements in numeric expression"),
        ('{"wildcard":["x"],"b":1}', "Too many elements in numeric expression"),
        ('{"equals-ignore-case":1}', BUT_IGNORE_CASE),
        ('{"equals-ignore-case":["x",null]}', BUT_IGNORE_CASE),
        ('{"equals-ignore-case":true}', BUT_VALUE),
        ('{"wildcard":1}', "wildcard match pattern must be a string"),
        ('{"wildcard":["x",1]}', "wildcard match pattern must be a string"),
        ('{"wildcard":{}}', BUT_VALUE),
        ('{"wildcard":"**"}', "Consecutive wildcard characters at pos 1"),
        ('{"wildcard":["x","a**"]}', "Consecutive wildcard characters at pos 2"),
        ('{"wildcard":["a\\\\b"]}', "Invalid escape character at pos 2"),
        ("9007199254740993", "Cannot compare number : 9007199254740993"),
        ("[1e400]", "Cannot compare number : 1e400"),
    ],
)
def test_message_for_anything_but(argument: str, reason: str):
    assert reason_for_list(f'[{{"anything-but":{argument}}}]') == reason


@pytest.mark.parametrize(
    ("argument", "read", "locations"),
    [
        # Outside of lists a fault has one location.
        ("null", "null", 1),
        ('["x",1]', '["x",1]', 1),
        ('{"prefix":""}', '{"prefix":""', 1),
        ('{"wildcard":"**"}', '{"wildcard":"**"', 1),
        ('{"wildcard":["**"]}', '{"wildcard":["**"]', 1),
        # Inside one it has two, as AWS's engine writes it, unless the first says nothing.
        ("[null]", "[null", 2),
        ('{"prefix":["x",""]}', '{"prefix":["x",""', 2),
        ('{"equals-ignore-case":[{}]}', '{"equals-ignore-case":[{', 2),
        ('["x","\\y"]', '["x","\\y', 2),
        ("[1e400]", "[1e400", 1),
        # A number that cannot be compared and stands alone has none.
        ("1e400", "", 0),
    ],
)
def test_locations_of_faults_inside_anything_but(argument: str, read: str, locations: int):
    start = '{"a":[{"anything-but":'
    column = len(start) + len(read) + 1
    assert columns_of(reason_for(start + argument + "}]}")) == [column] * locations


@pytest.mark.parametrize(
    ("wildcard", "reason"),
    [
        ("**", "Consecutive wildcard characters at pos 1"),
        ("a***", "Consecutive wildcard characters at pos 2"),
        ("\u00fc**", "Consecutive wildcard characters at pos 3"),
        ("\U0001f600*\u20ac**", "Consecutive wildcard characters at pos 9"),
        ("a\\\\\\\\**", "Consecutive wildcard characters at pos 4"),
        ("\\\\", "Invalid escape character at pos 1"),
        ("a\\\\b**", "Invalid escape character at pos 2"),
        ("**\\\\b", "Consecutive wildcard characters at pos 1"),
        ("a\\\\*\\\\", "Invalid escape character at pos 4"),
    ],
)
def test_message_for_wildcards(wildcard: str, reason: str):
    text = f'{{"a":[{{"wildcard":"{wildcard}"}}]}}'
    assert reason_for(text).split("\n")[0] == reason
    assert columns_of(reason_for(text)) == [text.index("}]}") + 1]


@pytest.mark.parametrize(
    ("cidr", "reason"),
    [
        ("", "Malformed CIDR, one '/' required"),
        ("10.0.0.0", "Malformed CIDR, one '/' required"),
        ("10.0.0.0/", "Malformed CIDR, one '/' required"),
        ("10.0.0.0/8/8", "Malformed CIDR, one '/' required"),
        ("10.0.0.0//8", "Malformed CIDR, one '/' required"),
        ("10.0.0.0/x", "Malformed CIDR, mask bits must be an integer"),
        ("10.0.0.0/ 8", "Malformed CIDR, mask bits must be an integer"),
        ("10.0.0.0/8.0", "Malformed CIDR, mask bits must be an integer"),
        ("10.0.0.0/+", "Malformed CIDR, mask bits must be an integer"),
        ("10.0.0.0/2147483648", "Malformed CIDR, mask bits must be an integer"),
        ("10.0.0.0/-1", "Malformed CIDR, mask bits must not be negative"),
        ("10.0.0.0/-2147483648", "Malformed CIDR, mask bits must not be negative"),
        ("10.0.0.0/32", "IPv4 mask bits must be < 32"),
        ("10.0.0.0/2147483647", "IPv4 mask bits must be < 32"),
        ("::/128", "IPv6 mask bits must be < 128"),
        ("bad/8", "Nonstandard IP address: bad"),
        ("/8", "Nonstandard IP address: "),
        ("10.0.0/8", "Nonstandard IP address: 10.0.0"),
        ("xx.11.xx/8", "Nonstandard IP address: xx.11.xx"),
        ("xxxx:db8:1234:1a00::/64", "Nonstandard IP address: xxxx:db8:1234:1a00::"),
        ("10.0.0.256/8", "Invalid IP address: 10.0.0.256"),
        ("1:2:3/8", "Invalid IP address: 1:2:3"),
        ("::1::/8", "Invalid IP address: ::1::"),
        ("bad/x", "Malformed CIDR, mask bits must be an integer"),
        ("bad/-1", "Malformed CIDR, mask bits must not be negative"),
    ],
)
def test_message_for_nets_has_no_location(cidr: str, reason: str):
    assert reason_for(f'{{"a":[{{"cidr":"{cidr}"}}]}}') == reason


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


RESERVED = (
    *("exactly", "equals-ignore-case", "prefix", "suffix", "anything-but", "exists", "wildcard"),
    *("numeric", "cidr", "=", "<", "<=", ">", ">=", "regex", "not-wildcard"),
    *("not-equals-ignore-case", "date-after", "date-on-or-after", "date-before"),
    *("date-on-or-before", "in-date-range", "ip-address-in-range", "ip-address-not-in-range"),
)


@pytest.mark.parametrize("name", RESERVED)
def test_a_reserved_name_is_a_field_except_inside_of_or(name: str):
    (member,) = parse(f'{{"{name}":["x"]}}', BUS).members
    assert isinstance(member, FieldNode)
    assert member.name == name
    reason = f"{name} is Ruler reserved fieldName which cannot be used inside $or."
    inside = f'{{"$or":[{{"a":[1]}},{{"b":{{"{name}":["x"]}}}}]}}'
    assert reason_for(inside).split("\n")[0] == reason


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
        ('{"key":[["value"]]}', 1, 10),
        ('{"key":[{"suffix":"value","prefix":"value2"}]}', 1, 37),
        ('{"key":[{"cidr":["bad-filter"]}]}', 1, 18),
        ('{"key":[{"anything-but":{"wrong-operator":null}}]}', 1, 47),
        ('{"key":[{"anything-but":{"exists":false}}]}', 1, 40),
        ('{"key":[{"wildcard":"a**"}]}', 1, 26),
        ('{"key":[{"equals-ignore-case":1}]}', 1, 32),
        ('{"key":[{"prefix":{"equals-ignore-case":1}}]}', 1, 42),
        ('{"key":[{"anything-but":{"equals-ignore-case":1}}]}', 1, 48),
        ('{"key":[{"numeric":[">",2,"<",1]}]}', 1, 33),
        ('{"key":[{"exists":"true"}]}', 1, 20),
        ('{"$or":[{"key":[1]}]}', 1, 21),
        ('{"$or":[{"key":[1]},{"prefix":["x"]}]}', 1, 32),
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
