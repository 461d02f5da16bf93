"""Permissions: the policy that they make is the one that AWS makes, and only they are changed."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

Queue = dict[str, str]
ARN = "arn:aws:sqs:us-east-1:000000000000:orders"
ALICE, BOB = "668614515564", "111122223333"


@pytest.fixture
def queue(sqs) -> Queue:
    return {"QueueUrl": sqs.create_queue(QueueName="orders")["QueueUrl"]}


def allow(sqs: Any, queue: Queue, label: str, *actions: str, to: tuple[str, ...] = (ALICE,)) -> Any:
    return sqs.add_permission(**queue, Label=label, AWSAccountIds=list(to), Actions=list(actions))


def policy(sqs: Any, queue: Queue) -> Any:
    attributes = sqs.get_queue_attributes(**queue, AttributeNames=["Policy"]).get("Attributes", {})
    return json.loads(attributes["Policy"]) if attributes else None


def refusal(call: Any, *arguments: Any, **members: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as caught:
        call(*arguments, **members)
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


def test_a_permission_is_a_statement_of_the_default_policy(sqs, queue):
    allow(sqs, queue, "crossaccountpermission", "ReceiveMessage", to=(ALICE, BOB))
    assert policy(sqs, queue) == {
        "Version": "2008-10-17",
        "Id": f"{ARN}/SQSDefaultPolicy",
        "Statement": [
            {
                "Sid": "crossaccountpermission",
                "Effect": "Allow",
                "Principal": {
                    "AWS": [f"arn:aws:iam::{ALICE}:root", f"arn:aws:iam::{BOB}:root"],
                },
                "Action": "SQS:ReceiveMessage",
                "Resource": ARN,
            }
        ],
    }


def test_one_account_stands_alone_and_several_actions_are_a_list(sqs, queue):
    allow(sqs, queue, "a", "SendMessage", "*")
    (statement,) = policy(sqs, queue)["Statement"]
    assert statement["Principal"] == {"AWS": f"arn:aws:iam::{ALICE}:root"}
    assert statement["Action"] == ["SQS:SendMessage", "SQS:*"]


def test_permissions_go_by_label_and_the_policy_with_the_last(sqs, queue):
    for label in ("a", "b"):
        allow(sqs, queue, label, "SendMessage")
    assert refusal(allow, sqs, queue, "a", "SendMessage", to=(BOB,)) == (
        "InvalidParameterValue",
        "Value a for parameter Label is invalid. Reason: Already exists.",
    )
    sqs.remove_permission(**queue, Label="a")
    assert [statement["Sid"] for statement in policy(sqs, queue)["Statement"]] == ["b"]
    assert refusal(sqs.remove_permission, **queue, Label="a") == (
        "InvalidParameterValue",
        "Value a for parameter Label is invalid. Reason: can't find label on existing policy.",
    )
    sqs.remove_permission(**queue, Label="b")
    assert policy(sqs, queue) is None
    assert refusal(sqs.remove_permission, **queue, Label="b") == (
        "InvalidParameterValue",
        "Value b for parameter Label is invalid. Reason: can't find label.",
    )


def test_a_policy_that_was_set_keeps_what_it_has(sqs, queue):
    deny = {"Effect": "Deny", "Principal": "*", "Action": "sqs:PurgeQueue", "Resource": ARN}
    given = {"Version": "2012-10-17", "Id": "mine", "Statement": deny}
    sqs.set_queue_attributes(**queue, Attributes={"Policy": json.dumps(given)})
    allow(sqs, queue, "a", "SendMessage")
    changed = policy(sqs, queue)
    assert (changed["Version"], changed["Id"]) == ("2012-10-17", "mine")
    assert changed["Statement"][0] == deny
    assert changed["Statement"][1]["Sid"] == "a"
    sqs.remove_permission(**queue, Label="a")
    assert policy(sqs, queue) == {**given, "Statement": [deny]}


def test_attributes_beside_the_policy_stay(sqs, queue):
    kept = {"KmsMasterKeyId": "alias/aws/sqs", "DelaySeconds": "5"}
    sqs.set_queue_attributes(**queue, Attributes=kept)
    allow(sqs, queue, "a", "SendMessage")
    sqs.remove_permission(**queue, Label="a")
    shown = sqs.get_queue_attributes(**queue, AttributeNames=["All"])["Attributes"]
    assert kept.items() <= shown.items()


@pytest.mark.parametrize(
    ("members", "code", "message"),
    [
        ({"Label": ""}, "MissingParameter", "The request must contain the parameter Label."),
        (
            {"Label": "a b"},
            "InvalidParameterValue",
            "Value a b for parameter Label is invalid. Reason: Can only include alphanumeric "
            "characters, hyphens, or underscores. 1 to 80 in length",
        ),
        ({"Actions": []}, "MissingParameter", "The request must contain the parameter Actions."),
        (
            {"AWSAccountIds": []},
            "InvalidParameterValue",
            "Value [] for parameter PrincipalId is invalid. Reason: Unable to verify.",
        ),
        (
            {"AWSAccountIds": [ALICE, "bob"]},
            "InvalidParameterValue",
            f"Value [{ALICE}, bob] for parameter PrincipalId is invalid. Reason: Unable to verify.",
        ),
        (
            {"Actions": ["SendMessage", "RemovePermission"]},
            "InvalidParameterValue",
            "Value SQS:RemovePermission for parameter ActionName is invalid. Reason: Only the "
            "queue owner is allowed to invoke this action.",
        ),
        (
            {"Actions": ["Colour"]},
            "InvalidParameterValue",
            "Value SQS:Colour for parameter ActionName is invalid. Reason: Please refer to the "
            "appropriate WSDL for a list of valid actions.",
        ),
        (
            {"Actions": ["SendMessage"] * 8},
            "OverLimit",
            "8 Actions were found, maximum allowed is 7.",
        ),
    ],
)
def test_a_malformed_permission_is_refused_and_adds_nothing(sqs, queue, members, code, message):
    given = {"Label": "a", "AWSAccountIds": [ALICE], "Actions": ["SendMessage"], **members}
    assert refusal(sqs.add_permission, **queue, **given) == (code, message)
    assert policy(sqs, queue) is None


def test_a_label_of_80_characters_goes_and_a_longer_one_does_not(sqs, queue):
    allow(sqs, queue, "x" * 80, "SendMessage")
    assert refusal(allow, sqs, queue, "x" * 81, "SendMessage")[0] == "InvalidParameterValue"
    assert refusal(sqs.remove_permission, **queue, Label="x" * 81)[0] == "InvalidParameterValue"
    assert len(policy(sqs, queue)["Statement"]) == 1


def test_a_policy_has_twenty_statements_and_fifty_principals(sqs, queue):
    for number in range(20):
        allow(sqs, queue, f"label-{number}", "SendMessage")
    assert refusal(allow, sqs, queue, "one-more", "SendMessage")[0] == "OverLimit"
    for number in range(1, 20):
        sqs.remove_permission(**queue, Label=f"label-{number}")
    many = tuple(f"{number:012}" for number in range(50))
    assert refusal(allow, sqs, queue, "many", "SendMessage", to=many)[0] == "OverLimit"
    allow(sqs, queue, "many", "SendMessage", to=many[:49])
    assert [s["Sid"] for s in policy(sqs, queue)["Statement"]] == ["label-0", "many"]


def test_a_policy_does_not_grow_beyond_its_bytes(sqs, queue):
    resource = "x" * 7_900
    deny = {"Effect": "Deny", "Principal": "*", "Action": "*", "Resource": resource}
    sqs.set_queue_attributes(**queue, Attributes={"Policy": json.dumps({"Statement": deny})})
    allow(sqs, queue, "a", "SendMessage")
    assert refusal(allow, sqs, queue, "b", "SendMessage")[0] == "OverLimit"
    assert len(policy(sqs, queue)["Statement"]) == 2
