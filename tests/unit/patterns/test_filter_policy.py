from __future__ import annotations

import json
from typing import Any

import pytest

from eventcore.attributes import AttributeValue
from eventcore.errors import InvalidParameter, InvalidPattern
from eventcore.patterns import FilterPolicy, compile_filter_policy
from eventcore.patterns.dialects import SNS_BODY
from eventcore.patterns.filter_policy import (
    MESSAGE_ATTRIBUTES,
    MESSAGE_BODY,
    event_of_attributes,
    event_of_body,
)
from eventcore.patterns.numbers import NumberText


def string(text: str) -> AttributeValue:
    return AttributeValue("String", text)


def array(text: str) -> AttributeValue:
    return AttributeValue("String.Array", text)


def number(text: str) -> AttributeValue:
    return AttributeValue("Number", text)


def numbers(text: str) -> AttributeValue:
    return AttributeValue("Number.Array", text)


def accepts(policy: str, body: str | bytes = "", **attributes: AttributeValue) -> bool:
    return compile_filter_policy(policy).accepts(attributes, body)


def body_accepts(policy: str, body: str | bytes) -> bool:
    return compile_filter_policy(policy, MESSAGE_BODY).accepts({}, body)


# -- attributes ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("attribute", "value"),
    [
        (string("x"), "x"),
        (string(""), ""),
        (string("1"), "1"),
        (string('["x"]'), '["x"]'),
        (number("1"), 1),
        (number("-1.50"), -1.5),
        (number("3e2"), 300.0),
        (number("9007199254740993"), 9007199254740993),
        (number("0.1234567890123456789"), NumberText("0.1234567890123456789")),
        (array("[]"), []),
        (array('["x",1,2.5,true,null]'), ["x", 1, 2.5, True, None]),
        (numbers("[]"), []),
        (numbers("[100, 5.0e1]"), [100, 50.0]),
    ],
)
def test_what_an_attribute_is_compared_as(attribute: AttributeValue, value: object):
    event = event_of_attributes({"a": attribute})
    assert event == {"a": value}
    assert type(event["a"]) is type(value)


@pytest.mark.parametrize(
    "attribute",
    [
        AttributeValue("Binary", None, b"x"),
        AttributeValue("Binary.png", None, b"x"),
        AttributeValue("String.custom", "x"),
        AttributeValue("Number.int", "1"),
        number(""),
        number("x"),
        number("+1"),
        number("007"),
        number(".5"),
        number("NaN"),
        number("true"),
        number('"1"'),
        number("[1]"),
        array(""),
        array("x"),
        array('"x"'),
        array("{}"),
        array('["x"'),
        array('[["x"]]'),
        array('["x",{"y":1}]'),
        array("[" * 100_000),
        array('["\ud800"]'),
        numbers(""),
        numbers("1"),
        numbers('["1"]'),
        numbers("[1,true]"),
        numbers("[1,null]"),
        numbers("[[1]]"),
        numbers("[01]"),
    ],
)
def test_what_counts_as_no_attribute(attribute: AttributeValue):
    assert event_of_attributes({"a": attribute}) == {}
    assert accepts('{"a":[{"exists":false}]}', a=attribute)
    assert not accepts('{"a":[{"exists":true}]}', a=attribute)


@pytest.mark.parametrize(
    ("policy", "attribute", "answer"),
    [
        ('{"a":["x","y"]}', string("y"), True),
        ('{"a":["x","y"]}', string("z"), False),
        ('{"a":["x"]}', array('["z","x"]'), True),
        ('{"a":[{"anything-but":["x"]}]}', array('["x","y"]'), True),
        ('{"a":[{"anything-but":["x"]}]}', array('["x"]'), False),
        ('{"a":[1]}', number("1.0"), True),
        ('{"a":[1]}', string("1"), False),
        ('{"a":["1"]}', number("1"), False),
        ('{"a":[{"numeric":[">",0,"<=",150]}]}', number("150"), True),
        ('{"a":[{"numeric":[">",0,"<=",150]}]}', number("150.00001"), False),
        ('{"a":[{"numeric":[">",0]}]}', array("[0,1]"), True),
        # AWS's example of numeric value matching.
        ('{"a":[{"anything-but":[100,500]}]}', numbers("[100, 50]"), True),
        ('{"a":[{"anything-but":[100,500]}]}', numbers("[100, 500]"), False),
        ('{"a":[{"anything-but":[100,500]}]}', number("100"), False),
        ('{"a":[{"numeric":["<",0]}]}', numbers("[1,-1]"), True),
        ('{"a":[true]}', array("[true]"), True),
        ('{"a":[true]}', string("true"), False),
        ('{"a":[null]}', array("[null]"), True),
        ('{"a":[{"prefix":"auto-"}]}', string("auto-x"), True),
        ('{"a":[{"suffix":"ball"}]}', string("baseball"), True),
        ('{"a":[{"equals-ignore-case":"TENNIS"}]}', string("tennis"), True),
        ('{"a":[{"cidr":"10.0.0.0/24"}]}', string("10.0.0.255"), True),
        ('{"a":[{"cidr":"10.0.0.0/24"}]}', string("10.1.0.255"), False),
    ],
)
def test_a_policy_on_attributes(policy: str, attribute: AttributeValue, answer: bool):
    assert accepts(policy, a=attribute) is answer


def test_every_key_must_hold_and_the_body_does_not_matter():
    policy = '{"a":["x"],"b":[{"exists":false}]}'
    assert accepts(policy, '{"a":"z"}', a=string("x"))
    assert not accepts(policy, a=string("x"), b=string("y"))
    assert not accepts(policy, '{"a":"x"}')


def test_a_message_without_attributes_satisfies_no_policy_on_them():
    policy = '{"a":[{"exists":false}]}'
    assert accepts(policy, b=AttributeValue("Binary", None, b"x"))
    assert not accepts(policy)
    assert accepts("{}")


def test_a_name_with_dots_is_one_name():
    policy = compile_filter_policy('{"a.b":["x"]}')
    assert policy.accepts({"a.b": string("x")}, "")
    assert not policy.accepts({"a": string("x")}, "")


def test_either_of_two_attributes():
    policy = '{"s":["x"],"$or":[{"a":[1]},{"b":["y"]}]}'
    assert accepts(policy, s=string("x"), a=number("1"))
    assert accepts(policy, s=string("x"), b=string("y"))
    assert not accepts(policy, s=string("x"))


# -- body ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("policy", "body", "answer"),
    [
        ('{"a":["x"]}', '{"a":"x","b":1}', True),
        ('{"a":["x"]}', b'{"a":"x"}', True),
        ('{"a":["x"]}', '{"a":["y","x"]}', True),
        ('{"a":{"b":[1]}}', '{"a":{"b":1.0}}', True),
        ('{"a":{"b":[1]}}', '{"a":[{"b":2},{"b":1}]}', True),
        ('{"a":{"b":[9007199254740993]}}', '{"a":{"b":9007199254740992}}', False),
        ('{"a":[{"exists":false}]}', "{}", True),
        ('{"a":[{"exists":false}]}', "", False),
        ('{"a":[{"exists":false}]}', "text", False),
        ('{"a":[{"exists":false}]}', '[{"b":1}]', False),
        ('{"a":[{"exists":false}]}', '"a"', False),
        ('{"a":[{"exists":false}]}', "null", False),
        ('{"a":[{"exists":false}]}', '{"b":1} x', False),
        ('{"a":[{"exists":false}]}', b"\xff", False),
        ('{"a":[{"exists":false}]}', "[" * 200_000, False),
        ('{"a":[{"exists":false}]}', '{"b":"\ud800"}', False),
    ],
)
def test_a_policy_on_the_body(policy: str, body: str | bytes, answer: bool):
    assert body_accepts(policy, body) is answer
    assert (event_of_body(body) is None) or body.strip()[:1] in ("{", b"{")


def test_attributes_do_not_matter_to_a_policy_on_the_body():
    policy = compile_filter_policy('{"a":["x"]}', MESSAGE_BODY)
    assert not policy.accepts({"a": string("x")}, "{}")


# -- the policy itself ---------------------------------------------------------------------------


def test_the_empty_policy_accepts_every_message():
    for scope in (MESSAGE_ATTRIBUTES, MESSAGE_BODY):
        policy = compile_filter_policy("{}", scope)
        assert policy.accepts_all
        assert policy.accepts({}, "text")
        assert policy.accepts({"a": string("x")}, b"\xff")
    assert not compile_filter_policy('{"a":["x"]}').accepts_all


def test_a_policy_keeps_its_text_and_scope():
    policy = compile_filter_policy('{"a":["x"]}', MESSAGE_BODY)
    assert policy == FilterPolicy(policy.pattern, "MessageBody")
    assert policy.pattern.text == '{"a":["x"]}'
    assert policy.pattern.dialect == "sns-body"
    assert compile_filter_policy('{"a":["x"]}').pattern.dialect == "sns-attributes"


def test_an_unknown_scope_gets_the_message_of_sns():
    with pytest.raises(InvalidParameter) as caught:
        compile_filter_policy("{}", "RandomValue")
    assert str(caught.value) == (
        "FilterPolicyScope: Invalid value [RandomValue]. "
        "Please use either MessageBody or MessageAttributes"
    )


@pytest.mark.parametrize("policy", [None, 5, b"", b"{}", {}, {"a": ["x"]}])
def test_a_policy_that_is_no_text_is_refused(policy: Any):
    for scope in (MESSAGE_ATTRIBUTES, MESSAGE_BODY):
        with pytest.raises(InvalidParameter, match=r"^FilterPolicy: Must be JSON text as str"):
            compile_filter_policy(policy, scope)


@pytest.mark.parametrize("scope", [None, 5, [], {}, b"MessageBody"])
def test_a_scope_that_is_no_text_is_refused(scope: Any):
    with pytest.raises(InvalidParameter, match=r"^FilterPolicyScope: Invalid value"):
        compile_filter_policy("{}", scope)


@pytest.mark.parametrize("policy", ["{}", '{"a":["x"]}'])
def test_what_is_no_message_is_refused(policy: str):
    attributes: Any
    for attributes in (None, 5, "a", ["a"], {"a": "x"}, {"a": None}):
        with pytest.raises(InvalidParameter, match=r"^attributes: Must be a mapping from names"):
            compile_filter_policy(policy).accepts(attributes, "")
    body: Any
    for body in (None, 5, {}, ["x"]):
        with pytest.raises(InvalidParameter, match=r"^body: Must be str or bytes"):
            compile_filter_policy(policy, MESSAGE_BODY).accepts({}, body)


def test_a_policy_with_many_alternatives_answers_as_each_of_them():
    alternatives = [f'{{"x":[{n}],"y":[{{"exists":false}}]}}' for n in range(30)]
    policy = compile_filter_policy(f'{{"a":{{"$or":[{",".join(alternatives)}]}}}}', MESSAGE_BODY)
    assert len(policy.pattern.branches) == 30
    for number_, others, answer in [(29, {}, True), (30, {}, False), (29, {"y": 1}, False)]:
        items = [{"x": -n, "y": n} for n in range(1, 1_000)] + [{"x": number_, **others}]
        body = json.dumps({"a": items})
        assert policy.accepts({}, body) is answer
        assert policy.accepts({}, body.encode()) is answer


def test_a_policy_has_256_kb_at_most():
    size = SNS_BODY.size_max - len('{"a":[""]}')
    assert compile_filter_policy(f'{{"a":["{"x" * size}"]}}').scope == MESSAGE_ATTRIBUTES
    for text in ("x" * (size + 1), "\u00fc" * (size // 2 + 1)):
        with pytest.raises(InvalidPattern, match="more than 262144 bytes"):
            compile_filter_policy(f'{{"a":["{text}"]}}')


@pytest.mark.parametrize(
    "text",
    [
        '{"a":' * 43_000,
        '{"$or":[' * 32_000,
        "[" * 262_144,
        '{"a":["\ud800"]}',
        '{"a":[{"anything-but":[' + "1," * 100_000,
    ],
)
def test_hostile_policies_are_refused(text: str):
    for scope in (MESSAGE_ATTRIBUTES, MESSAGE_BODY):
        with pytest.raises(InvalidPattern) as caught:
            compile_filter_policy(text, scope)
        assert len(caught.value.reason) < 3_000
