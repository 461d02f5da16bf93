"""boto3's resources, and the paginators of boto3 and aiobotocore, against a real daemon.

Waiters are not here: botocore's model of SQS has none, and a test says so.
"""

from __future__ import annotations

import json
from typing import Any

import boto3
import pytest
from aiobotocore.session import get_session
from botocore.exceptions import ClientError

CREDENTIALS = {
    "aws_access_key_id": "AKIDEXAMPLE",
    "aws_secret_access_key": "secret",
    "region_name": "us-east-1",
}


@pytest.fixture
def resource(daemon) -> Any:
    return boto3.resource("sqs", endpoint_url=daemon.url, **CREDENTIALS)


@pytest.fixture
def queue_name(queue_name: str) -> str:
    """A name that no other test of any file uses, with room for what a test appends."""
    return f"resource-{queue_name[-60:]}"


@pytest.fixture
def queue(resource, queue_name) -> Any:
    return resource.create_queue(QueueName=queue_name, Attributes={"VisibilityTimeout": "45"})


def test_queues_are_found_by_name_by_prefix_and_by_url(resource, queue, queue_name):
    other = resource.create_queue(QueueName=f"{queue_name}-other")
    assert resource.get_queue_by_name(QueueName=queue_name) == queue
    found = list(resource.queues.filter(QueueNamePrefix=queue_name))
    assert sorted(item.url for item in found) == sorted([queue.url, other.url])
    assert {queue.url, other.url} <= {item.url for item in resource.queues.all()}
    assert len(list(resource.queues.limit(1))) == 1
    assert resource.Queue(queue.url).attributes["QueueArn"] == queue.attributes["QueueArn"]


def test_attributes_are_loaded_at_first_use_and_again_on_request(resource, queue):
    other = resource.Queue(queue.url)
    assert other.attributes["VisibilityTimeout"] == "45"
    queue.set_attributes(Attributes={"VisibilityTimeout": "46"})
    assert queue.attributes["VisibilityTimeout"] == "46"
    assert other.attributes["VisibilityTimeout"] == "45"
    other.reload()
    assert other.attributes["VisibilityTimeout"] == "46"


def test_a_message_knows_its_queue_and_is_given_back_and_deleted(queue):
    attributes = {"kind": {"DataType": "String", "StringValue": "order"}}
    sent = queue.send_message(MessageBody="body", MessageAttributes=attributes)
    asked = {"MessageAttributeNames": ["All"], "MessageSystemAttributeNames": ["All"]}
    (message,) = queue.receive_messages(**asked)
    assert message.queue_url == queue.url
    assert message.Queue() == queue
    assert message.message_id == sent["MessageId"]
    assert message.body == "body"
    assert message.md5_of_body == sent["MD5OfMessageBody"]
    assert message.message_attributes == attributes
    assert message.md5_of_message_attributes == sent["MD5OfMessageAttributes"]
    assert message.attributes["ApproximateReceiveCount"] == "1"
    message.change_visibility(VisibilityTimeout=0)
    (again,) = queue.receive_messages(**asked)
    assert again.attributes["ApproximateReceiveCount"] == "2"
    assert again != message
    again.delete()
    assert counts(queue) == (0, 0)


def test_batches_are_sent_changed_and_deleted_through_the_queue(queue):
    entries = [{"Id": str(number), "MessageBody": str(number)} for number in range(10)]
    assert len(queue.send_messages(Entries=entries)["Successful"]) == 10
    messages = queue.receive_messages(MaxNumberOfMessages=10)
    assert sorted(message.body for message in messages) == [str(number) for number in range(10)]
    handles = [
        {"Id": message.body, "ReceiptHandle": message.receipt_handle} for message in messages
    ]
    changes = [{**entry, "VisibilityTimeout": 600} for entry in handles]
    assert len(queue.change_message_visibility_batch(Entries=changes)["Successful"]) == 10
    assert counts(queue) == (0, 10)
    wrong = {"Id": "wrong", "ReceiptHandle": "not-a-handle"}
    answer = queue.delete_messages(Entries=[*handles[:9], wrong])
    assert len(answer["Successful"]) == 9
    assert [entry["Code"] for entry in answer["Failed"]] == ["ReceiptHandleIsInvalid"]
    assert counts(queue) == (0, 1)


def test_a_message_of_a_fifo_queue_has_its_sequence_number(resource, queue_name):
    name = f"{queue_name}.fifo"
    attributes = {"FifoQueue": "true", "ContentBasedDeduplication": "true"}
    queue = resource.create_queue(QueueName=name, Attributes=attributes)
    sent = [queue.send_message(MessageBody=body, MessageGroupId="g") for body in ("a", "b", "a")]
    assert sent[0]["MessageId"] == sent[2]["MessageId"]
    messages = queue.receive_messages(MaxNumberOfMessages=10, MessageSystemAttributeNames=["All"])
    assert [message.body for message in messages] == ["a", "b"]
    assert [message.attributes["SequenceNumber"] for message in messages] == [
        answer["SequenceNumber"] for answer in sent[:2]
    ]


def test_the_sources_of_a_dead_letter_queue_are_a_collection(resource, queue, queue_name):
    sources = [source_of(resource, queue, f"{queue_name}-{number}") for number in range(3)]
    assert list(queue.dead_letter_source_queues.all()) == sources
    assert list(queue.dead_letter_source_queues.page_size(2)) == sources
    assert list(sources[0].dead_letter_source_queues.all()) == []


def test_permissions_are_added_to_the_policy_and_removed(queue):
    queue.add_permission(Label="one", AWSAccountIds=["111122223333"], Actions=["SendMessage"])
    queue.add_permission(Label="all", AWSAccountIds=["111122223333"], Actions=["*"])
    queue.reload()
    statements = json.loads(queue.attributes["Policy"])["Statement"]
    assert [(entry["Sid"], entry["Action"]) for entry in statements] == [
        ("one", "SQS:SendMessage"),
        ("all", "SQS:*"),
    ]
    queue.remove_permission(Label="one")
    queue.remove_permission(Label="all")
    queue.reload()
    assert "Policy" not in queue.attributes
    with pytest.raises(ClientError, match="can't find label"):
        queue.remove_permission(Label="one")


def test_a_queue_is_purged_and_deleted(resource, queue, queue_name):
    queue.send_message(MessageBody="a")
    queue.purge()
    assert counts(queue) == (0, 0)
    queue.delete()
    with pytest.raises(resource.meta.client.exceptions.QueueDoesNotExist):
        queue.reload()
    assert list(resource.queues.filter(QueueNamePrefix=queue_name)) == []


def test_there_are_no_waiters_and_two_paginators_to_test(sqs):
    assert sqs.waiter_names == []
    operations = sqs.meta.method_to_api_mapping
    assert {name for name in operations if sqs.can_paginate(name)} == {
        "list_queues",
        "list_dead_letter_source_queues",
    }


def test_a_paginator_lists_all_queues_and_goes_on_where_it_ended(sqs, queue_name):
    urls = [sqs.create_queue(QueueName=f"{queue_name}-{n}")["QueueUrl"] for n in range(5)]
    paginator = sqs.get_paginator("list_queues")
    asked = {"QueueNamePrefix": queue_name}
    pages = list(paginator.paginate(**asked, PaginationConfig={"PageSize": 2}))
    assert [page["QueueUrls"] for page in pages] == [urls[:2], urls[2:4], urls[4:]]
    config: dict[str, Any] = {"PageSize": 2, "MaxItems": 3}
    first = paginator.paginate(**asked, PaginationConfig=config).build_full_result()
    assert first["QueueUrls"] == urls[:3]
    config = {"PageSize": 2, "StartingToken": first["NextToken"]}
    rest = paginator.paginate(**asked, PaginationConfig=config).build_full_result()
    assert rest["QueueUrls"] == urls[3:]
    search = paginator.paginate(**asked).search("QueueUrls[?ends_with(@, '-3')]")
    assert list(search) == [urls[3]]


def test_a_paginator_lists_the_sources_of_a_dead_letter_queue(sqs, resource, queue, queue_name):
    urls = [source_of(resource, queue, f"{queue_name}-{n}").url for n in range(5)]
    paginator = sqs.get_paginator("list_dead_letter_source_queues")
    pages = paginator.paginate(QueueUrl=queue.url, PaginationConfig={"PageSize": 2})
    assert [page["queueUrls"] for page in pages] == [urls[:2], urls[2:4], urls[4:]]


async def test_the_paginators_of_aiobotocore_do_the_same(daemon, sqs, resource, queue, queue_name):
    urls = [source_of(resource, queue, f"{queue_name}-{n}").url for n in range(3)]
    config = {"PageSize": 2}
    async with get_session().create_client("sqs", endpoint_url=daemon.url, **CREDENTIALS) as client:
        paginator = client.get_paginator("list_dead_letter_source_queues")
        pages = paginator.paginate(QueueUrl=queue.url, PaginationConfig=config)
        assert [page["queueUrls"] async for page in pages] == [urls[:2], urls[2:]]
        paginator = client.get_paginator("list_queues")
        pages = paginator.paginate(QueueNamePrefix=f"{queue_name}-", PaginationConfig=config)
        assert [page["QueueUrls"] async for page in pages] == [urls[:2], urls[2:]]


def source_of(resource: Any, queue: Any, name: str) -> Any:
    """A queue whose dead letters go to this one."""
    arn = queue.attributes["QueueArn"]
    policy = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 3})
    return resource.create_queue(QueueName=name, Attributes={"RedrivePolicy": policy})


def counts(queue: Any) -> tuple[int, int]:
    """Visible, in flight."""
    queue.reload()
    names = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible")
    visible, in_flight = (int(queue.attributes[name]) for name in names)
    return visible, in_flight
