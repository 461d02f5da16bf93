"""boto3 against a real daemon: every operation of SQS that is served, and what survives its end."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

Queue = dict[str, str]


@pytest.fixture
def queue(sqs, queue_name) -> Queue:
    return {"QueueUrl": sqs.create_queue(QueueName=queue_name)["QueueUrl"]}


def test_a_message_goes_through_send_receive_and_delete(sqs, queue):
    attributes = {
        "text": {"DataType": "String", "StringValue": "é"},
        "binary": {"DataType": "Binary", "BinaryValue": b"\0\xff"},
    }
    sent = sqs.send_message(**queue, MessageBody="body é\n", MessageAttributes=attributes)
    (message,) = sqs.receive_message(
        **queue, AttributeNames=["All"], MessageAttributeNames=["All"]
    )["Messages"]
    assert message["MessageId"] == sent["MessageId"]
    assert message["Body"] == "body é\n"
    assert message["MessageAttributes"] == attributes
    assert message["Attributes"]["ApproximateReceiveCount"] == "1"
    assert "Messages" not in sqs.receive_message(**queue)
    sqs.delete_message(**queue, ReceiptHandle=message["ReceiptHandle"])
    assert counts(sqs, queue) == (0, 0, 0)


def test_batches_go_through_send_change_and_delete(sqs, queue):
    entries = [{"Id": str(number), "MessageBody": f"body {number}"} for number in range(10)]
    answer = sqs.send_message_batch(**queue, Entries=entries)
    assert len(answer["Successful"]) == 10
    assert "Failed" not in answer
    messages = receive_all(sqs, queue, 10)
    assert sorted(m["Body"] for m in messages) == sorted(e["MessageBody"] for e in entries)
    handles = [{"Id": str(i), "ReceiptHandle": m["ReceiptHandle"]} for i, m in enumerate(messages)]
    changed = [{**entry, "VisibilityTimeout": 100} for entry in handles]
    answer = sqs.change_message_visibility_batch(**queue, Entries=changed)
    assert len(answer["Successful"]) == 10
    assert counts(sqs, queue) == (0, 10, 0)
    assert len(sqs.delete_message_batch(**queue, Entries=handles)["Successful"]) == 10
    assert counts(sqs, queue) == (0, 0, 0)


def test_a_message_given_back_is_received_again(sqs, queue):
    sqs.send_message(**queue, MessageBody="a")
    (first,) = sqs.receive_message(**queue)["Messages"]
    sqs.change_message_visibility(
        **queue, ReceiptHandle=first["ReceiptHandle"], VisibilityTimeout=0
    )
    names = ["ApproximateReceiveCount"]
    (again,) = sqs.receive_message(**queue, MessageSystemAttributeNames=names)["Messages"]
    assert again["MessageId"] == first["MessageId"]
    assert again["Attributes"] == {"ApproximateReceiveCount": "2"}


def test_a_long_poll_is_woken_by_a_message_from_another_client(sqs, clients, queue):
    with ThreadPoolExecutor(1) as pool:
        began = time.monotonic()
        waiting = pool.submit(sqs.receive_message, **queue, WaitTimeSeconds=20)
        time.sleep(0.3)
        assert not waiting.done()
        clients("sqs").send_message(**queue, MessageBody="wake")
        assert waiting.result(timeout=10)["Messages"][0]["Body"] == "wake"
        assert time.monotonic() - began < 10


def test_a_long_poll_ends_empty_after_its_time(sqs, queue):
    began = time.monotonic()
    assert "Messages" not in sqs.receive_message(**queue, WaitTimeSeconds=1)
    assert 0.9 < time.monotonic() - began < 5


def test_a_visibility_timeout_ends_and_a_delay_does(sqs, queue):
    sqs.send_message(**queue, MessageBody="delayed", DelaySeconds=1)
    assert counts(sqs, queue) == (0, 0, 1)
    (message,) = sqs.receive_message(**queue, WaitTimeSeconds=5, VisibilityTimeout=1)["Messages"]
    (again,) = sqs.receive_message(**queue, WaitTimeSeconds=5)["Messages"]
    assert again["MessageId"] == message["MessageId"]
    assert again["ReceiptHandle"] != message["ReceiptHandle"]


def test_a_message_received_too_often_goes_to_the_dead_letter_queue(sqs, queue, queue_name):
    dead = sqs.create_queue(QueueName="dead-" + queue_name[:70])["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]
    policy = json.dumps({"deadLetterTargetArn": arn["QueueArn"], "maxReceiveCount": 2})
    sqs.set_queue_attributes(**queue, Attributes={"RedrivePolicy": policy})
    assert sqs.list_dead_letter_source_queues(QueueUrl=dead)["queueUrls"] == [queue["QueueUrl"]]
    sqs.send_message(**queue, MessageBody="poison")
    for _ in range(2):
        assert sqs.receive_message(**queue, VisibilityTimeout=0)["Messages"]
    assert "Messages" not in sqs.receive_message(**queue)
    (message,) = sqs.receive_message(QueueUrl=dead)["Messages"]
    assert message["Body"] == "poison"


def test_a_large_body_goes_and_a_larger_one_does_not(sqs, queue):
    body = "x" * 1_048_576
    sqs.send_message(**queue, MessageBody=body)
    assert sqs.receive_message(**queue)["Messages"][0]["Body"] == body
    with pytest.raises(ClientError, match="Message must be shorter than 1048576 bytes"):
        sqs.send_message(**queue, MessageBody=body + "x")


def test_queues_are_found_listed_tagged_purged_and_deleted(sqs, queue, queue_name):
    assert sqs.get_queue_url(QueueName=queue_name)["QueueUrl"] == queue["QueueUrl"]
    assert sqs.list_queues(QueueNamePrefix=queue_name)["QueueUrls"] == [queue["QueueUrl"]]
    sqs.tag_queue(**queue, Tags={"team": "a", "cost": "b"})
    sqs.untag_queue(**queue, TagKeys=["cost"])
    assert sqs.list_queue_tags(**queue)["Tags"] == {"team": "a"}
    sqs.send_message(**queue, MessageBody="a")
    sqs.purge_queue(**queue)
    assert counts(sqs, queue) == (0, 0, 0)
    sqs.delete_queue(**queue)
    with pytest.raises(sqs.exceptions.QueueDoesNotExist) as caught:
        sqs.get_queue_url(QueueName=queue_name)
    error = caught.value.response["Error"]
    assert error["Code"] == "AWS.SimpleQueueService.NonExistentQueue"


def test_an_account_sees_its_own_queues_only(clients, queue_name):
    other = clients("sqs", aws_access_key_id="111122223333")
    url = other.create_queue(QueueName=queue_name)["QueueUrl"]
    assert url.endswith(f"/111122223333/{queue_name}")
    assert "QueueUrls" not in clients("sqs").list_queues(QueueNamePrefix=queue_name)
    assert clients("sts", aws_access_key_id="111122223333").get_caller_identity()["Account"] == (
        "111122223333"
    )


def test_the_resource_interface_of_boto3_works(daemon, queue_name):
    resource = boto3.resource(
        "sqs",
        endpoint_url=daemon.url,
        region_name="us-east-1",
        aws_access_key_id="a",
        aws_secret_access_key="b",
    )
    queue = resource.create_queue(QueueName=queue_name, Attributes={"DelaySeconds": "0"})
    queue.send_message(MessageBody="a")
    (message,) = queue.receive_messages()
    message.delete()
    assert resource.get_queue_by_name(QueueName=queue_name).url == queue.url


def test_what_was_acknowledged_is_there_after_a_kill(own_daemon, connect):
    sqs = connect(own_daemon.url, "sqs")
    sqs.create_queue(QueueName="orders", Attributes={"VisibilityTimeout": "43200"})
    sent = [sqs.send_message(QueueUrl="orders", MessageBody=str(number)) for number in range(50)]
    deleted = sqs.receive_message(QueueUrl="orders", MaxNumberOfMessages=10)["Messages"]
    for message in deleted:
        sqs.delete_message(QueueUrl="orders", ReceiptHandle=message["ReceiptHandle"])
    taken = sqs.receive_message(QueueUrl="orders", MaxNumberOfMessages=5)["Messages"]
    own_daemon.kill()
    own_daemon.start()
    sqs = connect(own_daemon.url, "sqs")
    left = receive_all(sqs, {"QueueUrl": "orders"}, 50)
    gone = {message["MessageId"] for message in deleted + taken}
    assert [message["MessageId"] for message in left] == [
        message["MessageId"] for message in sent if message["MessageId"] not in gone
    ]
    assert counts(sqs, {"QueueUrl": "orders"}) == (0, len(left) + len(taken), 0)
    for message in taken:
        sqs.delete_message(QueueUrl="orders", ReceiptHandle=message["ReceiptHandle"])
    assert counts(sqs, {"QueueUrl": "orders"}) == (0, len(left), 0)


def test_a_daemon_that_is_told_to_stop_answers_its_long_polls(own_daemon, connect):
    sqs = connect(own_daemon.url, "sqs")
    sqs.create_queue(QueueName="orders")
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(sqs.receive_message, QueueUrl="orders", WaitTimeSeconds=20)
        time.sleep(0.3)
        assert own_daemon.stop() == 0
        assert "Messages" not in waiting.result(timeout=10)


def receive_all(sqs: Any, queue: Queue, at_most: int) -> list[Any]:
    messages: list[Any] = []
    while len(messages) < at_most:
        received = sqs.receive_message(**queue, MaxNumberOfMessages=10).get("Messages")
        if not received:
            break
        messages += received
    return messages


def counts(sqs: Any, queue: Queue) -> tuple[int, int, int]:
    """Visible, in flight, delayed."""
    names = ["", "NotVisible", "Delayed"]
    names = ["ApproximateNumberOfMessages" + name for name in names]
    shown = sqs.get_queue_attributes(**queue, AttributeNames=names)["Attributes"]
    visible, in_flight, delayed = (int(shown[name]) for name in names)
    return visible, in_flight, delayed
