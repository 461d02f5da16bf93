"""InputPath and InputTransformer. Most cases of the transformer are answers AWS gave."""

from __future__ import annotations

import json

import pytest

from eventcore.buses.event import Envelope, EventEntry, EventWriter
from eventcore.buses.input_path import ABSENT, compile_path, find
from eventcore.buses.transformer import InputTransformer, compile_transformer
from eventcore.errors import InvalidParameter

BUS = "arn:aws:events:us-east-1:000000000000:event-bus/default"
DETAIL = {
    "command": "update-account",
    "payload": {"acc_id": "0a787ecb-4015", "sf_id": "baz"},
    "listsingle": ["HIGH"],
    "listmulti": ["ACTIVE", "INACTIVE"],
    "valid": True,
    "nested": [[{"a": 'say "hi"\n'}]],
    "nothing": None,
    "number": 1.5,
}
PATHS = {
    "userId": "$.detail.payload.acc_id",
    "payload": "$.detail.payload",
    "listsingle": "$.detail.listsingle",
    "listmulti": "$.detail.listmulti",
    "systemstring": "$.account-name",
    "valid": "$.detail.valid",
    "quote": "$.detail.nested[0][0].a",
    "nested": "$.detail.nested",
    "nothing": "$.detail.nothing",
    "number": "$.detail.number",
}


@pytest.fixture(scope="module")
def envelope():
    entry = EventEntry("shop", "Placed", json.dumps(DETAIL))
    written = EventWriter(BUS).write(entry, bytes(16), 1_767_225_600_000)
    assert isinstance(written, Envelope)
    return written


def compiled(template, paths=PATHS):
    return compile_transformer(
        InputTransformer(template, paths), target_id="t1", rule_arn="arn:rule", rule_name="mine"
    )


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("$", ()),
        ("$.detail", ("detail",)),
        ("$.detail-type", ("detail-type",)),
        ("$.detail.a_b/c", ("detail", "a_b/c")),
        ("$.a[0].b[12]", ("a", 0, "b", 12)),
        ("$[0]", (0,)),
    ],
)
def test_a_path_is_dots_and_indices(text, steps):
    assert compile_path(text) == steps


@pytest.mark.parametrize(
    "text",
    [
        "",
        "detail",
        ".detail",
        "$detail",
        "$.",
        "$..a",
        "$.a.",
        "$['a']",
        "$.detail['a']",
        "$.a[*]",
        "$.a[-1]",
        "$.a[",
        "$.a[?(@.b)]",
        "$.a b",
        "$." + "a" * 255,
    ],
)
def test_what_aws_refuses_as_a_path_is_no_path(text):
    assert compile_path(text) is None


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("$.a.b[1]", 2),
        ("$.a.b[2]", ABSENT),
        ("$.a.c", ABSENT),
        ("$.a.b.c", ABSENT),
        ("$.a[0]", ABSENT),
        ("$.n", None),
        ("$.n.x", ABSENT),
    ],
)
def test_a_path_finds_its_value_or_that_there_is_none(path, found):
    steps = compile_path(path)
    assert steps is not None
    assert find(steps, {"a": {"b": [1, 2]}, "n": None}) is found


@pytest.mark.parametrize(
    ("template", "body"),
    [
        (
            '{"path": "users/<userId>", "bod": <payload>}',
            '{"path": "users/0a787ecb-4015", "bod": {"acc_id":"0a787ecb-4015","sf_id":"baz"}}',
        ),
        (
            '"Payload of <payload> with <userId> and <userId>"',
            '"Payload of {acc_id:0a787ecb-4015,sf_id:baz} with 0a787ecb-4015 and 0a787ecb-4015"',
        ),
        ('{"id" : <userId>}', '{"id" : "0a787ecb-4015"}'),
        ('{"id" : "<userId>"}', '{"id" : "0a787ecb-4015"}'),
        ('{"bod": [<userId>, "hardcoded"]}', '{"bod": ["0a787ecb-4015", "hardcoded"]}'),
        ('"<listsingle> single list item"', '"[HIGH] single list item"'),
        ('"<listmulti> multiple list items"', '"[ACTIVE,INACTIVE] multiple list items"'),
        ('{"singlelistitem": <listsingle>}', '{"singlelistitem": ["HIGH"]}'),
        ('"a <systemstring> b"', '"a  b"'),
        ('{"a": <systemstring>}', '{"a": ""}'),
        ('"Command is <valid>!"', '"Command is true!"'),
        (
            '"<payload> payload"\n"<userId> id"',
            '"{acc_id:0a787ecb-4015,sf_id:baz} payload"\n"0a787ecb-4015 id"',
        ),
        ('{"n": <number>, "s": "<number>", "z": <nothing>}', '{"n": 1.5, "s": "1.5", "z": null}'),
        ('{"q": "he \\"said\\" <userId>"}', '{"q": "he \\"said\\" 0a787ecb-4015"}'),
        ("<valid>", "true"),
    ],
)
def test_variables_are_json_outside_quotes_and_text_inside(template, body, envelope):
    assert compiled(template)(envelope) == body


def test_text_with_quotes_stays_valid_json_inside_quotes(envelope):
    body = compiled('{"said": "<quote>", "in": "<nested>", "raw": <quote>}')(envelope)
    assert json.loads(body) == {
        "said": 'say "hi"\n',
        "in": '[[{a:say "hi"\n}]]',
        "raw": 'say "hi"\n',
    }


def test_predefined_variables_need_no_path(envelope):
    body = json.loads(
        compiled(
            '{"arn": <aws.events.rule-arn>, "name": "<aws.events.rule-name>", '
            '"time": <aws.events.event.ingestion-time>, "bare": <aws.events.event>, '
            '"all": <aws.events.event.json>}',
            {},
        )(envelope)
    )
    assert body.pop("all") == envelope.event
    assert body.pop("bare") == {k: v for k, v in envelope.event.items() if k != "detail"}
    assert body == {"arn": "arn:rule", "name": "mine", "time": "2026-01-01T00:00:00Z"}


@pytest.mark.parametrize(
    ("template", "paths", "reason"),
    [
        (
            '"<unknown>"',
            {},
            "InputTemplate for target t1 contains invalid placeholder unknown.",
        ),
        (
            '"<aws.events.event.json>"',
            {},
            "InputTemplate for target t1 contains placeholder aws.events.event.json valid only for "
            "JSON template.",
        ),
        (
            "[<aws.events.event.json>]",
            {},
            "InputTemplate for target t1 contains placeholder aws.events.event.json valid only for "
            "JSON template.",
        ),
        ('"<a>"', {"a": "$.detail['a']"}, "InputPath for target t1 is invalid."),
        (
            '"x"',
            {"aws.events.mine": "$"},
            "InputPathsMap for target t1 contains the reserved name aws.events.mine.",
        ),
    ],
)
def test_a_transformer_that_aws_refuses_is_refused_in_its_words(template, paths, reason):
    with pytest.raises(InvalidParameter) as caught:
        compiled(template, paths)
    assert caught.value.reason == reason


@pytest.mark.parametrize("template", ["no quotes <userId>", '{"a": }', '{"a": <userId>', '"open'])
def test_a_template_that_can_not_become_json_is_refused(template):
    with pytest.raises(InvalidParameter, match="Invalid InputTemplate for target t1"):
        compiled(template)


def test_the_bounds_of_a_transformer_hold():
    with pytest.raises(InvalidParameter):
        compiled('"' + "x" * 8_191 + '"')
    with pytest.raises(InvalidParameter):
        compiled('"x"', {f"v{n}": "$" for n in range(101)})
