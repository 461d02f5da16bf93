"""Dead-letter queues: which queue may name which, and what happens to the messages."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

Queue = dict[str, str]
ARN = "arn:aws:sqs:us-east-1:000000000000:"
FIFO = {"FifoQueue": "true", "ContentBasedDeduplication": "true"}


def create(sqs: Any, name: str, **attributes: str) -> Queue:
    given = {**(FIFO if name.endswith(".fifo") else {}), **attributes}
    return {"QueueUrl": sqs.create_queue(QueueName=name, Attributes=given)["QueueUrl"]}


def redrive(name: str, count: int = 1) -> dict[str, str]:
    policy = {"deadLetterTargetArn": ARN + name, "maxReceiveCount": count}
    return {"RedrivePolicy": json.dumps(policy)}


def allow(permission: str, *names: str) -> dict[str, str]:
    policy: dict[str, Any] = {"redrivePermission": permission}
    if names:
        policy["sourceQueueArns"] = [ARN + name for name in names]
    return {"RedriveAllowPolicy": json.dumps(policy)}


def shown(sqs: Any, queue: Queue, name: str) -> Any:
    answer = sqs.get_queue_attributes(**queue, AttributeNames=[name])
    text = answer.get("Attributes", {}).get(name)
    return json.loads(text) if text else None


def reason(call: Any, **members: Any) -> str:
    with pytest.raises(ClientError) as caught:
        call(**members)
    error = caught.value.response["Error"]
    assert error["Code"] == "InvalidParameterValue"
    return error["Message"].partition("Reason: ")[2]


DENIED = "The dead-letter queue's redrive allow policy does not allow this source queue."


def test_a_redrive_allow_policy_is_shown_as_it_was_set_and_removed_by_an_empty_text(sqs):
    dead = create(sqs, "dead", **allow("byQueue", "b", "a"))
    assert shown(sqs, dead, "RedriveAllowPolicy") == {
        "redrivePermission": "byQueue",
        "sourceQueueArns": [ARN + "b", ARN + "a"],
    }
    sqs.set_queue_attributes(**dead, Attributes=allow("denyAll"))
    assert shown(sqs, dead, "RedriveAllowPolicy") == {"redrivePermission": "denyAll"}
    sqs.set_queue_attributes(**dead, Attributes={"RedriveAllowPolicy": ""})
    assert shown(sqs, dead, "RedriveAllowPolicy") is None


def test_a_queue_names_only_a_dead_letter_queue_that_allows_it(sqs):
    dead = create(sqs, "dead", **allow("byQueue", "invited"))
    assert reason(sqs.create_queue, QueueName="uninvited", Attributes=redrive("dead")) == DENIED
    invited = create(sqs, "invited", **redrive("dead"))
    assert shown(sqs, invited, "RedrivePolicy") == {
        "deadLetterTargetArn": ARN + "dead",
        "maxReceiveCount": 1,
    }
    uninvited = create(sqs, "uninvited")
    sqs.set_queue_attributes(**dead, Attributes=allow("denyAll"))
    for queue in (invited, uninvited):
        refused = {**queue, "Attributes": redrive("dead", 2)}
        assert reason(sqs.set_queue_attributes, **refused) == DENIED
    assert shown(sqs, invited, "RedrivePolicy")["maxReceiveCount"] == 1
    sqs.set_queue_attributes(**dead, Attributes=allow("allowAll"))
    sqs.set_queue_attributes(**uninvited, Attributes=redrive("dead"))
    names = [
        url.rpartition("/")[2] for url in sqs.list_dead_letter_source_queues(**dead)["queueUrls"]
    ]
    assert names == ["invited", "uninvited"]


def test_what_dead_letters_into_a_queue_already_goes_on_when_it_is_denied_later(sqs):
    dead = create(sqs, "dead")
    queue = create(sqs, "orders", **redrive("dead"))
    sqs.set_queue_attributes(**dead, Attributes=allow("denyAll"))
    sqs.send_message(**queue, MessageBody="a")
    sqs.receive_message(**queue, VisibilityTimeout=0)
    assert "Messages" not in sqs.receive_message(**queue)
    assert sqs.receive_message(**dead)["Messages"][0]["Body"] == "a"


def test_a_dead_letter_queue_is_of_the_same_kind(sqs):
    kind = "Dead-letter queue must be same type of queue as the source."
    create(sqs, "dead")
    create(sqs, "dead.fifo")
    assert reason(sqs.create_queue, QueueName="a", Attributes=redrive("dead.fifo")) == kind
    given = {**FIFO, **redrive("dead")}
    assert reason(sqs.create_queue, QueueName="a.fifo", Attributes=given) == kind
    queues = sqs.list_queues()["QueueUrls"]
    assert [url.rpartition("/")[2] for url in queues] == ["dead", "dead.fifo"]


def test_a_queue_may_not_dead_letter_into_another_account_or_region(sqs, client):
    others = client("sqs", access_key="111122223333")
    create(others, "dead")
    far = client("sqs", region="eu-west-1")
    create(far, "dead")
    queue = create(sqs, "orders")
    for arn, expected in (
        (
            "arn:aws:sqs:us-east-1:111122223333:dead",
            "Dead-letter target owner should be same as the source.",
        ),
        (
            "arn:aws:sqs:eu-west-1:000000000000:dead",
            "Dead-letter target must be in same region as the source.",
        ),
    ):
        policy = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 1})
        given = {**queue, "Attributes": {"RedrivePolicy": policy}}
        assert reason(sqs.set_queue_attributes, **given) == expected


def test_dead_letters_of_a_fifo_queue_keep_their_order_group_and_source(sqs):
    dead = create(sqs, "dead.fifo")
    queue = create(sqs, "orders.fifo", **redrive("dead.fifo"))
    for body in ("1", "2", "3"):
        sqs.send_message(**queue, MessageBody=body, MessageGroupId="g")
    sqs.receive_message(**queue, MaxNumberOfMessages=10, VisibilityTimeout=0)
    assert "Messages" not in sqs.receive_message(**queue)
    messages = sqs.receive_message(
        **dead, MaxNumberOfMessages=10, MessageSystemAttributeNames=["All"]
    )["Messages"]
    assert [message["Body"] for message in messages] == ["1", "2", "3"]
    for message in messages:
        assert message["Attributes"]["MessageGroupId"] == "g"
        assert message["Attributes"]["DeadLetterQueueSourceArn"] == ARN + "orders.fifo"
        assert message["Attributes"]["ApproximateReceiveCount"] == "2"


def test_an_existing_queue_with_another_policy_is_a_different_queue(sqs):
    create(sqs, "dead", **allow("denyAll"))
    with pytest.raises(sqs.exceptions.QueueNameExists, match="attribute RedriveAllowPolicy"):
        create(sqs, "dead", **allow("allowAll"))
    create(sqs, "other")
    create(sqs, "orders", **redrive("other"))
    create(sqs, "orders", **redrive("other"))
    with pytest.raises(sqs.exceptions.QueueNameExists, match="attribute RedrivePolicy"):
        create(sqs, "orders", **redrive("other", 2))


def test_a_dead_letter_queue_that_is_named_already_is_not_asked_again(sqs):
    dead = create(sqs, "dead")
    queue = create(sqs, "orders", **redrive("dead"))
    sqs.set_queue_attributes(**dead, Attributes=allow("denyAll"))
    assert create(sqs, "orders", **redrive("dead")) == queue
    sqs.delete_queue(**dead)
    assert create(sqs, "orders", **redrive("dead")) == queue
    given = {**queue, "Attributes": redrive("dead", 2)}
    assert reason(sqs.set_queue_attributes, **given) == "Dead letter target does not exist."
