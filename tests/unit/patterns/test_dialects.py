from __future__ import annotations

import pytest

from eventcore.errors import InvalidPattern
from eventcore.patterns import (
    BUS,
    RECORD_FILTER,
    SNS_ATTRIBUTES,
    SNS_BODY,
    Dialect,
    compile_pattern,
)
from eventcore.patterns.compiler import COMBINATIONS_COUNTED, combinations_of
from eventcore.patterns.conditions import Exact, Prefix
from eventcore.patterns.parser import parse
from eventcore.patterns.tokens import TokenReader

SNS = (SNS_ATTRIBUTES, SNS_BODY)
ALL = (BUS, SNS_ATTRIBUTES, SNS_BODY, RECORD_FILTER)
TOO_COMPLEX = "Filter policy is too complex"
TOO_MANY_KEYS = "Filter policy can not have more than 5 keys"
OUT_OF_RANGE = "Value must be between -1.0E9 and 1.0E9, inclusive"
PLAIN_PREFIX = "prefix match pattern must be a string"


def refusal(text: str, dialect: Dialect) -> str | None:
    """The reason without its location; None if the pattern is accepted."""
    try:
        compile_pattern(text, dialect)
    except InvalidPattern as error:
        return error.reason.split("\n at [Source: ")[0]
    return None


def refusal_of_test(test: str, dialect: Dialect) -> str | None:
    return refusal(f'{{"a":[{test}]}}', dialect)


@pytest.mark.parametrize("dialect", ALL)
@pytest.mark.parametrize(
    "test",
    [
        *('"x"', "1", "true", "null", '""', '{"exactly":"x"}', '{"prefix":"x"}', '{"suffix":"x"}'),
        *('{"equals-ignore-case":"x"}', '{"exists":true}', '{"exists":false}'),
        *('{"numeric":[">",0,"<=",5]}', '{"cidr":"10.0.0.0/8"}'),
        *('{"anything-but":"x"}', '{"anything-but":["x","y"]}', '{"anything-but":[1,2]}'),
    ],
)
def test_every_dialect_has(test: str, dialect: Dialect):
    assert refusal_of_test(test, dialect) is None
    either = f'{{"$or":[{{"a":[{test}]}},{{"b":[{test}]}}]}}'
    assert refusal(either, dialect) is None


@pytest.mark.parametrize(
    ("test", "in_sns", "in_record_filters"),
    [
        ('{"wildcard":"*"}', *["Unrecognized match type wildcard"] * 2),
        ('{"prefix":{"equals-ignore-case":"x"}}', PLAIN_PREFIX, None),
        (
            '{"suffix":{"equals-ignore-case":"x"}}',
            "suffix match pattern must be a string",
            None,
        ),
        ('{"anything-but":{"prefix":"x"}}', None, "Unsupported anything-but pattern: prefix"),
        (
            '{"anything-but":{"prefix":["x"]}}',
            PLAIN_PREFIX,
            "Unsupported anything-but pattern: prefix",
        ),
        ('{"anything-but":{"suffix":"x"}}', *["Unsupported anything-but pattern: suffix"] * 2),
        (
            '{"anything-but":{"equals-ignore-case":"x"}}',
            *["Unsupported anything-but pattern: equals-ignore-case"] * 2,
        ),
        ('{"anything-but":{"wildcard":"x"}}', *["Unsupported anything-but pattern: wildcard"] * 2),
        ('{"numeric":["<=",1e9]}', None, None),
        ('{"numeric":[">",-1000000000,"<",1000000000.0]}', None, None),
        ('{"numeric":["<=",1000000000.5]}', OUT_OF_RANGE, None),
        ('{"numeric":[">",-1e10,"<",0]}', OUT_OF_RANGE, None),
        ('{"numeric":["=",1000000001]}', OUT_OF_RANGE, None),
        ('{"anything-but":1000000001}', OUT_OF_RANGE, None),
        ('{"anything-but":[1,-1000000001]}', OUT_OF_RANGE, None),
        ("1000000001", None, None),
    ],
)
def test_what_the_bus_has_beyond_them(test: str, in_sns: str | None, in_record_filters: str | None):
    assert refusal_of_test(test, BUS) is None
    assert [refusal_of_test(test, dialect) for dialect in SNS] == [in_sns, in_sns]
    assert refusal_of_test(test, RECORD_FILTER) == in_record_filters


@pytest.mark.parametrize("dialect", ALL)
def test_an_unknown_operator_is_unknown_everywhere(dialect: Dialect):
    assert refusal_of_test('{"regex":"x"}', dialect) == "Unrecognized match type regex"
    reason = "Unsupported anything-but pattern: wrong-operator"
    assert refusal_of_test('{"anything-but":{"wrong-operator":null}}', dialect) == reason


@pytest.mark.parametrize(
    ("text", "reason", "column"),
    [
        ('{"key":[["value"]]}', "Match value must be String, number, true, false, or null", 10),
        ('{"key":[{"wrong-operator":true}]}', "Unrecognized match type wrong-operator", 31),
        ('{"key":[]}', "Empty arrays are not allowed", 10),
        (
            '{"key":[{"anything-but":{"suffix":"t"}}]}',
            "Unsupported anything-but pattern: suffix",
            36,
        ),
        ('{"key":[{"anything-but":{"prefix":false}}]}', PLAIN_PREFIX, 40),
        ('{"key_a":"value_one"}', '"key_a" must be an object or an array', 11),
    ],
)
def test_sns_says_where_it_stands(text: str, reason: str, column: int):
    for dialect in SNS:
        with pytest.raises(InvalidPattern) as caught:
            compile_pattern(text, dialect)
        location = f'[Source: (String)"{text}"; line: 1, column: {column}]'
        assert caught.value.reason == f"{reason}\n at {location}"


@pytest.mark.parametrize(
    ("text", "reason", "place"),
    [
        ("invalid", "Unrecognized token 'invalid': was expecting", "line: 1, column: 8"),
        ('{"a":\n["x}', "Unexpected end-of-input: was expecting closing", "line: 2, column: 5"),
        # JSON is checked before anything else, to its end.
        ('{"a":[],"b":nul}', "Unrecognized token 'nul': was expecting", "line: 1, column: 16"),
    ],
)
def test_sns_reports_malformed_json_without_the_source(text: str, reason: str, place: str):
    hidden = "REDACTED (`StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION` disabled)"
    with pytest.raises(InvalidPattern) as caught:
        compile_pattern(text, SNS_BODY)
    assert caught.value.reason.startswith(f"failed to parse JSON. {reason}")
    assert caught.value.reason.endswith(f"\n at [Source: {hidden}; {place}]")


def deep(levels: int) -> str:
    return '{"a":' + "[" * levels + "]" * levels + "}"


@pytest.mark.parametrize("text", ["[" * 200_000, '{"a":' * 40_000, deep(1_024), deep(100_000)])
def test_sns_reads_a_thousand_levels(text: str):
    with pytest.raises(InvalidPattern) as caught:
        compile_pattern(text, SNS_BODY)
    assert caught.value.reason == (
        "failed to parse JSON. Document nesting depth (1001) exceeds the maximum allowed (1000, "
        "from `StreamReadConstraints.getMaxNestingDepth()`)"
    )


def test_below_a_thousand_levels_another_fault_is_reported():
    reason = "Match value must be String, number, true, false, or null"
    assert refusal(deep(999), SNS_BODY) == reason
    assert (refusal("[" * 1_000, SNS_BODY) or "").startswith(
        "failed to parse JSON. Unexpected end-of-input: expected close marker for Array"
    )


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"a":[NUMBERS],"b":x@}', "failed to parse JSON. Unrecognized token 'x'"),
        ('{"a":[NUMBERS,{"prefix":1@}]}', "prefix match pattern must be a string"),
        ('{"a":[NUMBERS]} {@}', "Unexpected text after the end of the pattern"),
        ('{"a":[NUMBERS,1e400],"b":1@}', '"b" must be an object or an array'),
        ('{"$or":[{"a":[NUMBERS]},{"a":1@}]}', '"a" must be an object or an array'),
    ],
)
def test_a_large_policy_is_not_read_token_by_token(
    text: str, reason: str, monkeypatch: pytest.MonkeyPatch
):
    text = text.replace("NUMBERS", ",".join("1" * 10_000))
    column = text.index("@") + 1
    text = text.replace("@", "")
    read = 0
    advance = TokenReader.advance

    def count(self: TokenReader) -> str:
        nonlocal read
        read += 1
        return advance(self)

    monkeypatch.setattr(TokenReader, "advance", count)
    with pytest.raises(InvalidPattern) as caught:
        compile_pattern(text, SNS_BODY)
    assert caught.value.reason.startswith(reason)
    assert caught.value.reason.endswith(f"line: 1, column: {column}]")
    assert read < 10


def test_the_error_calls_the_pattern_what_its_service_calls_it():
    nouns = {}
    for dialect in ALL:
        with pytest.raises(InvalidPattern) as caught:
            compile_pattern('{"a":1}', dialect)
        assert str(caught.value) == f"{dialect.noun} is not valid. Reason: {caught.value.reason}"
        nouns[dialect.name] = caught.value.noun
    assert nouns == {
        "bus": "Event pattern",
        "sns-attributes": "Filter policy",
        "sns-body": "Filter policy",
        "record-filter": "Filter pattern",
    }


# -- structure -----------------------------------------------------------------------------------


def test_policies_on_attributes_are_flat():
    nested = '{"a":["x"],"b":{"c":["x"]}}'
    reason = "Filter policy scope MessageAttributes does not support nested filter policy"
    with pytest.raises(InvalidPattern) as caught:
        compile_pattern(nested, SNS_ATTRIBUTES)
    assert caught.value.reason == reason == SNS_ATTRIBUTES.nesting_fault
    assert [refusal(nested, each) for each in (BUS, SNS_BODY, RECORD_FILTER)] == [None] * 3
    assert refusal('{"$or":[{"a":["x"]},{"b":["x"]}]}', SNS_ATTRIBUTES) is None
    assert refusal('{"$or":[{"a":["x"]},{"b":{"c":["x"]}}]}', SNS_ATTRIBUTES) == reason
    # A fault of the text is reported first, wherever it is.
    assert refusal('{"key":{"x":"y"}}', SNS_ATTRIBUTES) == '"x" must be an object or an array'


def test_the_empty_policy_is_one_of_sns():
    for dialect in SNS:
        assert compile_pattern("{}", dialect).branches == ((),)
    for dialect in (BUS, RECORD_FILTER):
        assert refusal("{}", dialect) == "Empty objects are not allowed"
    assert refusal('{"a":{}}', SNS_BODY) == "Empty objects are not allowed"
    assert refusal('{"$or":[{"a":[1]},{}]}', SNS_BODY) is not None


@pytest.mark.parametrize(
    "text",
    ['{"$or":["x"]}', '{"$or":["x",{"prefix":"y"}]}', '{"$or":[{"prefix":"y"}],"a":[1]}'],
)
def test_in_sns_an_or_that_combines_nothing_is_a_field(text: str):
    (branch,) = compile_pattern(text, SNS_ATTRIBUTES).branches
    assert branch[0].path == "$or"
    assert branch[0].tests[-1] in (Exact("x"), Prefix("y"))
    assert refusal(text, BUS) is not None


def test_in_sns_an_or_that_is_neither_gets_the_message_of_the_combination():
    text = '{"$or":[{"a":["x"]},{"b":"y"}]}'
    assert refusal(text, SNS_BODY) == refusal(text, BUS) == '"b" must be an object or an array'


# -- caps of SNS ---------------------------------------------------------------------------------


def keys(count: int, value: str = '["x"]') -> str:
    return ",".join(f'"k{n}":{value}' for n in range(count))


def values(count: int) -> str:
    return "[" + ",".join(f'"v{n}"' for n in range(count)) + "]"


def test_a_policy_has_five_keys_at_most():
    for dialect in SNS:
        assert refusal(f"{{{keys(5)}}}", dialect) is None
        assert refusal(f"{{{keys(6)}}}", dialect) == TOO_MANY_KEYS
    assert refusal(f"{{{keys(6)}}}", RECORD_FILTER) is None


def test_keys_below_others_and_repeated_ones_are_not_counted():
    assert refusal(f'{{{keys(4)},"o":{{{keys(6)}}}}}', SNS_BODY) is None
    assert refusal(f'{{{keys(5)},"k0":["y"]}}', SNS_BODY) is None
    either = '"$or":[{"a":["x"]},{"b":["x"]}]'
    assert refusal(f"{{{keys(4)},{either}}}", SNS_BODY) is None
    assert refusal(f"{{{keys(5)},{either}}}", SNS_BODY) == TOO_MANY_KEYS


def test_a_policy_has_150_combinations_at_most():
    for dialect in SNS:
        assert refusal(f'{{"a":{values(150)}}}', dialect) is None
        assert refusal(f'{{"a":{values(151)}}}', dialect) == TOO_COMPLEX
        assert refusal(f'{{"a":{values(10)},"b":{values(15)}}}', dialect) is None
        assert refusal(f'{{"a":{values(19)},"b":{values(8)}}}', dialect) == TOO_COMPLEX
    assert refusal(f'{{"a":{values(151)}}}', RECORD_FILTER) is None


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ('{"a":["x"]}', 1),
        ('{"a":["x",{"exists":false}],"b":[{"anything-but":["x","y","z"]}]}', 2),
        ('{"a":{"b":{"c":["1","2","3","4"]}}}', 12),
        ('{"a":{"b":{"c":["1","2","3","4"]}},"d":{"e":["1","2","3"]}}', 72),
        ('{"a":["1","2"],"$or":[{"b":["1","2","3"]},{"c":["1"]}],"d":["1","2"]}', 16),
        ('{"a":{"$or":[{"b":["1","2","3"]},{"c":["1"]}]}}', 8),
        ("{}", 1),
    ],
)
def test_combinations_are_values_times_levels_and_alternatives_add(text: str, count: int):
    assert combinations_of(parse(text, SNS_BODY)) == count


def test_counting_combinations_ends():
    fields = ",".join(f'"k{n}":["x","y"]' for n in range(2_000))
    assert combinations_of(parse(f'{{"o":{{{fields}}}}}', SNS_BODY)) == COMBINATIONS_COUNTED


def test_the_caps_come_after_the_faults_of_the_text():
    assert refusal(f'{{{keys(6)},"z":1}}', SNS_BODY) == '"z" must be an object or an array'
    assert refusal(f'{{"a":{values(151)},{keys(5)}}}', SNS_BODY) == TOO_MANY_KEYS
