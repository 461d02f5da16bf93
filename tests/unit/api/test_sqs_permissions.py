"""Permissions on a queue without an engine: the policies that they make and leave."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any, cast

import pytest

from eventcore.api.operation import Call
from eventcore.api.sqs_permissions import (
    GRANTABLE_ACTIONS,
    OWNER_ACTIONS,
    add_permission,
    remove_permission,
)
from eventcore.api.sqs_policies import check_policy
from eventcore.api.sqs_requests import AddPermissionRequest, RemovePermissionRequest
from eventcore.ids import SystemIds
from eventcore.queues.queue_spec import QueueSpec
from eventcore.queues.standard import StandardQueue
from eventcore.wire.credential import Caller
from eventcore.wire.fault import Fault

ARN = "arn:aws-cn:sqs:cn-north-1:000000000000:orders"
ALICE = "111122223333"


@pytest.fixture
def queue() -> StandardQueue:
    queue = StandardQueue(ARN, SystemIds())
    queue.configure(QueueSpec(), 1)
    return queue


@pytest.fixture
def call(queue: StandardQueue) -> Call:
    """A call whose engine has one queue."""

    def set_queue_spec(given: StandardQueue, spec: QueueSpec) -> None:
        given.configure(spec, 2)

    engine = SimpleNamespace(queue=lambda arn: queue, set_queue_spec=set_queue_spec)
    caller = Caller("AKID", "000000000000", "cn-north-1")
    return cast(Call, SimpleNamespace(engine=engine, caller=caller))


def add(call: Call, label: str, *actions: str, to: tuple[str, ...] = (ALICE,)) -> None:
    add_permission(call, AddPermissionRequest("orders", label, list(to), list(actions)))


def remove(call: Call, label: str) -> None:
    remove_permission(call, RemovePermissionRequest("orders", label))


def policy_of(queue: StandardQueue) -> Any:
    return json.loads(queue.spec.attributes["Policy"])


@pytest.mark.parametrize("action", sorted(GRANTABLE_ACTIONS))
def test_every_action_that_can_be_granted_makes_a_valid_policy(call, queue, action):
    add(call, "label", action)
    assert policy_of(queue)["Statement"][0]["Action"] == f"SQS:{action}"
    check_policy(queue.spec.attributes["Policy"])


@pytest.mark.parametrize("action", [*sorted(OWNER_ACTIONS), "", "sendmessage", "SQS:SendMessage"])
def test_no_other_action_is_granted(call, queue, action):
    with pytest.raises(Fault, match=f"Value SQS:{action} for parameter ActionName is invalid"):
        add(call, "label", "SendMessage", action)
    assert queue.spec == QueueSpec()


def test_principals_are_in_the_partition_of_the_queue_and_there_once(call, queue):
    add(call, "label", "SendMessage", to=(ALICE, "444455556666", ALICE))
    (statement,) = policy_of(queue)["Statement"]
    assert statement["Principal"]["AWS"] == [
        "arn:aws-cn:iam::111122223333:root",
        "arn:aws-cn:iam::444455556666:root",
    ]
    assert statement["Resource"] == ARN


def test_every_statement_of_a_label_goes(call, queue):
    statement = {"Sid": "a", "Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"}
    text = json.dumps({"Statement": [statement, statement, {**statement, "Sid": "b"}]})
    queue.configure(QueueSpec(attributes={"Policy": text}), 1)
    remove(call, "a")
    assert [kept["Sid"] for kept in policy_of(queue)["Statement"]] == ["b"]
    remove(call, "b")
    assert queue.spec == QueueSpec()


@pytest.mark.parametrize("text", ["{}", '{"Statement":"text"}', '{"Statement":["text"]}'])
def test_what_an_older_version_took_for_a_policy_is_replaced(call, queue, text):
    queue.configure(QueueSpec(attributes={"Policy": text}), 1)
    with pytest.raises(Fault, match="can't find label"):
        remove(call, "a")
    add(call, "a", "SendMessage")
    assert policy_of(queue)["Id"] == f"{ARN}/SQSDefaultPolicy"
