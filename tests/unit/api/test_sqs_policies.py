"""Access policies of queues: what has the form of one, and what is too much of it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from eventcore import limits
from eventcore.api.sqs_policies import check_policy, read_policy, statements_of
from eventcore.wire.fault import Fault

ARN = "arn:aws:sqs:us-east-1:000000000000:orders"
STATEMENT: dict[str, Any] = {
    "Sid": "one",
    "Effect": "Allow",
    "Principal": {"AWS": "111122223333"},
    "Action": "sqs:SendMessage",
    "Resource": ARN,
}


def policy_of(*statements: Any, **members: Any) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements), **members})


def is_taken(text: str) -> bool:
    check_policy(text)
    return read_policy(text) is not None


def without(name: str, **members: Any) -> dict[str, Any]:
    return {**{key: value for key, value in STATEMENT.items() if key != name}, **members}


@pytest.mark.parametrize(
    "text",
    [
        policy_of(STATEMENT),
        policy_of(STATEMENT, STATEMENT, Id="an id"),
        policy_of(STATEMENT, Version="2008-10-17"),
        json.dumps({"Statement": STATEMENT}),
        policy_of(without("Sid", Effect="Deny", Principal="*", Action="*", Resource="*")),
        policy_of(without("Principal", NotPrincipal={"Service": ["sns.amazonaws.com"]})),
        policy_of(without("Action", NotAction=["SQS:PurgeQueue", "sqs:Delete*"])),
        policy_of(without("Resource", NotResource=[ARN])),
        policy_of(
            {**STATEMENT, "Condition": {"ArnLike": {"aws:SourceArn": ["arn:aws:sns:*"], "b": "c"}}}
        ),
        policy_of({**STATEMENT, "Condition": {"Bool": {"aws:SecureTransport": False}}}),
    ],
)
def test_a_policy_is_taken(text):
    assert is_taken(text)
    assert all("Effect" in statement for statement in statements_of(json.loads(text)))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "text",
        '"text"',
        "[]",
        "{}",
        policy_of(),
        policy_of("text"),
        policy_of({}),
        json.dumps({"Statement": "text"}),
        policy_of(STATEMENT, Version="2020-01-01"),
        policy_of(STATEMENT, Version=[]),
        policy_of(STATEMENT, Id=5),
        policy_of(STATEMENT, Colour="red"),
        policy_of({**STATEMENT, "Colour": "red"}),
        policy_of({**STATEMENT, "Sid": 5}),
        *[policy_of(without(name)) for name in ("Effect", "Principal", "Action", "Resource")],
        policy_of({**STATEMENT, "Effect": "allow"}),
        policy_of({**STATEMENT, "Effect": ["Allow"]}),
        policy_of({**STATEMENT, "NotPrincipal": "*"}),
        policy_of({**STATEMENT, "NotAction": "*"}),
        policy_of({**STATEMENT, "NotResource": "*"}),
        policy_of({**STATEMENT, "Principal": "111122223333"}),
        policy_of({**STATEMENT, "Principal": {}}),
        policy_of({**STATEMENT, "Principal": {"Colour": "red"}}),
        policy_of({**STATEMENT, "Principal": {"AWS": []}}),
        policy_of({**STATEMENT, "Action": "s3:GetObject"}),
        policy_of({**STATEMENT, "Action": "sqs:"}),
        policy_of({**STATEMENT, "Action": []}),
        policy_of({**STATEMENT, "Action": [5]}),
        policy_of({**STATEMENT, "Resource": ""}),
        policy_of({**STATEMENT, "Condition": []}),
        policy_of({**STATEMENT, "Condition": {"Bool": "text"}}),
        policy_of({**STATEMENT, "Condition": {"Bool": {"a": None}}}),
        policy_of({**STATEMENT, "Condition": {"Bool": {"a": {"b": "c"}}}}),
        policy_of({**STATEMENT, "Resource": "x" * limits.POLICY_BYTES_MAX}),
        "[" * 5000,
        '{"a":' * 2000,
    ],
)
def test_what_is_no_policy_is_an_invalid_attribute_value(text):
    with pytest.raises(Fault) as caught:
        check_policy(text)
    assert caught.value.code == "InvalidAttributeValue"
    assert caught.value.message == "Invalid value for the parameter Policy."


ACTIONS = ["SendMessage", "ReceiveMessage", "DeleteMessage", "GetQueueUrl", "PurgeQueue", "A", "B"]


@pytest.mark.parametrize(
    ("most", "more", "message"),
    [
        (
            [without("Sid")] * 20,
            [without("Sid")] * 21,
            "21 statements were found in the submitted policy, max allowed is 20",
        ),
        (
            [{**STATEMENT, "Action": [f"sqs:{name}" for name in ACTIONS]}],
            [{**STATEMENT, "Action": [f"sqs:{name}" for name in [*ACTIONS, "C"]]}],
            "8 Actions were found, maximum allowed is 7.",
        ),
        (
            [{**STATEMENT, "Principal": {"AWS": ["111122223333"] * 49}}, STATEMENT],
            [{**STATEMENT, "Principal": {"AWS": ["111122223333"] * 50}}, STATEMENT],
            "51 Principals were found, maximum allowed is 50.",
        ),
        (
            [{**STATEMENT, "Condition": {"Bool": {str(n): True for n in range(10)}}}],
            [{**STATEMENT, "Condition": {"Bool": {str(n): True for n in range(11)}}}],
            "11 Conditions were found, maximum allowed is 10.",
        ),
    ],
)
def test_more_than_a_policy_may_have_is_over_the_limit(most, more, message):
    assert is_taken(policy_of(*most))
    with pytest.raises(Fault) as caught:
        check_policy(policy_of(*more))
    assert (caught.value.code, caught.value.status) == ("OverLimit", 403)
    assert caught.value.message == message


def test_a_policy_of_exactly_the_greatest_size_is_taken():
    empty = len(policy_of(STATEMENT, Id=""))
    text = policy_of(STATEMENT, Id="x" * (limits.POLICY_BYTES_MAX - empty))
    assert len(text) == limits.POLICY_BYTES_MAX
    assert is_taken(text)
    with pytest.raises(Fault):
        check_policy(text.replace("x", "é", 1))
