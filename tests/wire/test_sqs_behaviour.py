"""What programs rely on, through boto3 with its parsers and digest checks, and raw requests."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from eventcore import limits
from eventcore.queues.queue_spec import Chaos

QUEUE_ARN = "arn:aws:sqs:us-east-1:000000000000:"


@pytest.fixture
def queue(sqs) -> dict[str, str]:
    return {"QueueUrl": sqs.create_queue(QueueName="orders")["QueueUrl"]}


# boto3: answers parse, digests match


def test_bodies_come_back_as_they_went_and_their_digests_match(sqs, queue):
    bodies = [
        "a",
        '{"quoted": "\\"\\\\"}',
        "tab\t line\n return\r",
        "é€😀 \u007f\u0085",
        "x" * 5000,
    ]
    for body in bodies:
        sqs.send_message(**queue, MessageBody=body)
    received = sqs.receive_message(**queue, MaxNumberOfMessages=10)["Messages"]
    assert [message["Body"] for message in received] == bodies


def test_attributes_of_all_types_come_back_and_their_digests_match(sqs, queue):
    attributes = {
        "text": {"DataType": "String", "StringValue": "é\n"},
        "labelled": {"DataType": "String.uuid", "StringValue": "x"},
        "number": {"DataType": "Number", "StringValue": "-1.5e3"},
        "integer": {"DataType": "Number.int", "StringValue": "12"},
        "binary": {"DataType": "Binary.png", "BinaryValue": bytes(range(256))},
        "a-b_c.d": {"DataType": "String", "StringValue": "y"},
    }
    sent = sqs.send_message(**queue, MessageBody="a", MessageAttributes=attributes)
    (message,) = sqs.receive_message(**queue, MessageAttributeNames=["All"])["Messages"]
    assert message["MessageAttributes"] == attributes
    assert message["MD5OfMessageAttributes"] == sent["MD5OfMessageAttributes"]


def test_the_attribute_digest_is_the_one_aws_sent_for_the_same_attributes(sqs, queue):
    # From a recorded answer of AWS: one attribute MyAttribute of type String with the value foobar.
    attribute = {"MyAttribute": {"DataType": "String", "StringValue": "foobar"}}
    sent = sqs.send_message(**queue, MessageBody="message-1", MessageAttributes=attribute)
    assert sent["MD5OfMessageAttributes"] == "adb59cd4678ea5a855436b949cd07ab6"
    assert sent["MD5OfMessageBody"] == "3d6b824fd8c1520e9a047d21fee6fb1f"


@pytest.mark.parametrize(
    ("names", "selected"),
    [
        (["All"], {"a", "a.b", "a.b.c", "ab", "z"}),
        ([".*"], {"a", "a.b", "a.b.c", "ab", "z"}),
        (["a"], {"a"}),
        (["a.*"], {"a.b", "a.b.c"}),
        (["a.b.*", "z"], {"a.b.c", "z"}),
        (["nothing"], set()),
        ([], set()),
    ],
)
def test_message_attribute_names_select_by_name_and_by_prefix(sqs, queue, names, selected):
    value = {"DataType": "String", "StringValue": "y"}
    names_sent = ["a", "a.b", "a.b.c", "ab", "z"]
    sqs.send_message(**queue, MessageBody="m", MessageAttributes=dict.fromkeys(names_sent, value))
    (message,) = sqs.receive_message(**queue, MessageAttributeNames=names)["Messages"]
    assert set(message.get("MessageAttributes", {})) == selected
    assert ("MD5OfMessageAttributes" in message) == bool(selected)


def test_system_attributes_are_given_by_either_list_of_names(sqs, queue):
    trace = {"AWSTraceHeader": {"DataType": "String", "StringValue": "Root=1"}}
    sqs.send_message(**queue, MessageBody="a", MessageSystemAttributes=trace, MessageGroupId="g")

    def received(**names: list[str]) -> dict[str, str]:
        answer = sqs.receive_message(**queue, VisibilityTimeout=0, **names)
        return answer["Messages"][0].get("Attributes", {})

    assert received() == {}
    assert received(AttributeNames=["SentTimestamp"]) == {"SentTimestamp": "1700000000000"}
    both = received(
        AttributeNames=["SenderId"], MessageSystemAttributeNames=["ApproximateReceiveCount"]
    )
    assert both == {"SenderId": "000000000000", "ApproximateReceiveCount": "3"}
    assert set(received(MessageSystemAttributeNames=["All"])) == {
        "SenderId",
        "SentTimestamp",
        "ApproximateReceiveCount",
        "ApproximateFirstReceiveTimestamp",
        "AWSTraceHeader",
        "MessageGroupId",
    }


def test_a_dead_letter_keeps_its_id_and_names_its_source(sqs, queue, wire):
    dead = sqs.create_queue(QueueName="dead")["QueueUrl"]
    policy = json.dumps({"deadLetterTargetArn": QUEUE_ARN + "dead", "maxReceiveCount": "1"})
    sqs.set_queue_attributes(**queue, Attributes={"RedrivePolicy": policy})
    sent = sqs.send_message(**queue, MessageBody="a")
    sqs.receive_message(**queue, VisibilityTimeout=0)
    assert "Messages" not in sqs.receive_message(**queue)
    (message,) = sqs.receive_message(QueueUrl=dead, AttributeNames=["All"])["Messages"]
    assert message["MessageId"] == sent["MessageId"]
    assert message["Attributes"]["DeadLetterQueueSourceArn"] == QUEUE_ARN + "orders"
    assert message["Attributes"]["ApproximateReceiveCount"] == "2"


def test_an_error_has_the_code_that_programs_catch(sqs):
    with pytest.raises(sqs.exceptions.QueueDoesNotExist) as caught:
        sqs.send_message(QueueUrl="http://localhost:9324/000000000000/nowhere", MessageBody="a")
    error = caught.value.response["Error"]
    assert error["Code"] == "AWS.SimpleQueueService.NonExistentQueue"
    assert error["QueryErrorCode"] == "QueueDoesNotExist"
    assert error["Type"] == "Sender"


def test_what_aws_does_not_support_can_be_caught_as_unsupported(sqs, queue):
    attribute = {"a": {"DataType": "String", "StringListValues": ["b"]}}
    with pytest.raises(sqs.exceptions.UnsupportedOperation):
        sqs.send_message(**queue, MessageBody="a", MessageAttributes=attribute)


def test_queue_urls_follow_the_host_that_the_caller_used(wire):
    wire.create_queue()
    headers = {
        b"content-type": b"application/x-amz-json-1.0",
        b"x-amz-target": b"AmazonSQS.GetQueueUrl",
    }
    body = b'{"QueueName": "orders"}'
    inside = wire.raw(body, {**headers, b"host": b"queues.internal:4566"})
    assert inside.json["QueueUrl"] == "http://queues.internal:4566/000000000000/orders"
    proxied = {**headers, b"host": b"sqs.example.com", b"x-forwarded-proto": b"https"}
    assert wire.raw(body, proxied).json["QueueUrl"].startswith("https://sqs.example.com/")


# Batches


def test_a_batch_of_exactly_the_greatest_size_goes_and_one_byte_more_does_not(sqs, queue):
    half = limits.BATCH_BYTES_MAX // 2
    entries = [{"Id": str(i), "MessageBody": "x" * half} for i in range(2)]
    assert len(sqs.send_message_batch(**queue, Entries=entries)["Successful"]) == 2
    attribute = {"a": {"DataType": "String", "StringValue": "y"}}
    entries[1]["MessageAttributes"] = attribute  # type: ignore[assignment]
    with pytest.raises(ClientError) as caught:
        sqs.send_message_batch(**queue, Entries=entries)
    error = caught.value.response["Error"]
    assert error["Code"] == "AWS.SimpleQueueService.BatchRequestTooLong"
    sent_bytes = limits.BATCH_BYTES_MAX + len("a" + "String" + "y")
    assert error["Message"] == (
        f"Batch requests cannot be longer than 1048576 bytes. You have sent {sent_bytes} bytes."
    )


def test_a_message_of_exactly_the_greatest_size_goes_and_one_byte_more_does_not(sqs, queue):
    body = "é" * (limits.MESSAGE_BYTES_MAX // 2)
    sqs.send_message(**queue, MessageBody=body)
    with pytest.raises(ClientError, match=r"Message must be shorter than 1048576 bytes\."):
        sqs.send_message(**queue, MessageBody=body + "x")


def test_entries_of_a_batch_fail_each_for_itself(sqs, queue):
    sqs.send_message(**queue, MessageBody="a")
    handle = sqs.receive_message(**queue)["Messages"][0]["ReceiptHandle"]
    entries = [{"Id": "bad", "ReceiptHandle": "?"}, {"Id": "good", "ReceiptHandle": handle}]
    answer = sqs.delete_message_batch(**queue, Entries=entries)
    assert [entry["Id"] for entry in answer["Successful"]] == ["good"]
    assert [(e["Id"], e["Code"], e["SenderFault"]) for e in answer["Failed"]] == [
        ("bad", "ReceiptHandleIsInvalid", True)
    ]


# Waiting


def receive(wire: Any, url: str, **members: Any) -> Any:
    return wire.call("ReceiveMessage", QueueUrl=url, **members)


async def test_a_long_poll_is_answered_when_a_message_arrives(wire):
    url = wire.create_queue()
    waiting = receive(wire, url, WaitTimeSeconds=20)
    assert not waiting.is_there
    wire.call("SendMessage", QueueUrl=url, MessageBody="a")
    await wire.settle(waiting)
    assert [message["Body"] for message in waiting.json["Messages"]] == ["a"]


async def test_a_long_poll_ends_empty_after_its_time(wire):
    url = wire.create_queue()
    waiting = receive(wire, url, WaitTimeSeconds=2)
    wire.clock.advance(1_999)
    assert not waiting.is_there
    wire.clock.advance(1)
    assert (await wire.settle(waiting)).json == {}


async def test_the_wait_time_of_the_queue_holds_where_the_request_has_none(wire):
    url = wire.create_queue(ReceiveMessageWaitTimeSeconds="1")
    waiting = receive(wire, url)
    assert not waiting.is_there
    assert receive(wire, url, WaitTimeSeconds=0).is_there
    wire.clock.advance(1_000)
    assert (await wire.settle(waiting)).json == {}


async def test_a_client_that_hangs_up_takes_no_message(wire):
    url = wire.create_queue()
    waiting = receive(wire, url, WaitTimeSeconds=20)
    waiting.on_disconnect()
    wire.call("SendMessage", QueueUrl=url, MessageBody="a")
    await wire.settle(waiting)
    assert not waiting.is_there
    assert len(receive(wire, url).json["Messages"]) == 1


async def test_a_long_poll_on_a_queue_that_is_deleted_ends(wire):
    url = wire.create_queue()
    waiting = receive(wire, url, WaitTimeSeconds=20)
    assert wire.call("DeleteQueue", QueueUrl=url).status == 200
    await wire.settle(waiting)
    assert waiting.status == 200
    assert waiting.json == {}


# Attributes of a queue


def test_attributes_given_are_the_attributes_shown(sqs):
    attributes = {
        "DelaySeconds": "5",
        "MaximumMessageSize": "2048",
        "MessageRetentionPeriod": "86400",
        "Policy": '{"Version":"2012-10-17","Statement":{"Effect":"Deny","Principal":"*",'
        '"Action":"*","Resource":"*"}}',
        "ReceiveMessageWaitTimeSeconds": "20",
        "RedriveAllowPolicy": '{"redrivePermission":"denyAll"}',
        "VisibilityTimeout": "0",
        "KmsMasterKeyId": "alias/aws/sqs",
        "KmsDataKeyReusePeriodSeconds": "60",
    }
    url = sqs.create_queue(QueueName="orders", Attributes=attributes)["QueueUrl"]
    shown = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    assert attributes.items() <= shown.items()
    assert shown["SqsManagedSseEnabled"] == "false"
    assert shown["QueueArn"] == QUEUE_ARN + "orders"


def test_counts_are_by_state(sqs, queue):
    for delay in (0, 0, 0, 10):
        sqs.send_message(**queue, MessageBody="a", DelaySeconds=delay)
    sqs.receive_message(**queue)
    names = [
        "ApproximateNumberOfMessages",
        "ApproximateNumberOfMessagesNotVisible",
        "ApproximateNumberOfMessagesDelayed",
    ]
    shown = sqs.get_queue_attributes(**queue, AttributeNames=names)["Attributes"]
    assert [shown[name] for name in names] == ["2", "1", "1"]


def test_a_page_token_leads_through_all_queues(sqs):
    names = [f"queue-{number}" for number in range(5)]
    for name in names:
        sqs.create_queue(QueueName=name)
    pages = sqs.get_paginator("list_queues").paginate(PaginationConfig={"PageSize": 2})
    urls = [page["QueueUrls"] for page in pages]
    assert [len(page) for page in urls] == [2, 2, 1]
    assert [url.rpartition("/")[2] for page in urls for url in page] == names


def test_a_page_token_leads_through_all_sources_of_a_dead_letter_queue(sqs, queue):
    policy = json.dumps({"deadLetterTargetArn": QUEUE_ARN + "orders", "maxReceiveCount": 3})
    names = [f"queue-{number}" for number in range(5)]
    assert sqs.list_dead_letter_source_queues(**queue)["queueUrls"] == []
    for name in names:
        sqs.create_queue(QueueName=name, Attributes={"RedrivePolicy": policy})
    pages = sqs.get_paginator("list_dead_letter_source_queues").paginate(
        **queue, PaginationConfig={"PageSize": 2}
    )
    urls = [page["queueUrls"] for page in pages]
    assert [len(page) for page in urls] == [2, 2, 1]
    assert [url.rpartition("/")[2] for page in urls for url in page] == names


def test_a_token_is_good_for_the_list_that_it_came_with(sqs, queue):
    for name in ("a-1", "a-2", "b-1", "b-2"):
        sqs.create_queue(QueueName=name)
    token = sqs.list_queues(QueueNamePrefix="a", MaxResults=1)["NextToken"]
    again = sqs.list_queues(QueueNamePrefix="a", NextToken=token)
    assert [url.rpartition("/")[2] for url in again["QueueUrls"]] == ["a-2"]
    for arguments in (
        {"QueueNamePrefix": "b", "NextToken": token},
        {"QueueNamePrefix": "a", "NextToken": token[:-4]},
        {"QueueNamePrefix": "a", "NextToken": ""},
    ):
        with pytest.raises(ClientError) as caught:
            sqs.list_queues(**arguments)
        assert caught.value.response["Error"]["Code"] == "InvalidParameterValue"
        assert caught.value.response["Error"]["QueryErrorCode"] == "InvalidParameterValueException"


# Chaos


CHAOS_TAG = "eventcore:chaos"


def test_chaos_comes_with_a_tag_and_goes_with_it(sqs, queue, wire):
    sqs.tag_queue(**queue, Tags={CHAOS_TAG: "seed=7,duplicate=1", "team": "a"})
    assert wire.engine.queue(QUEUE_ARN + "orders").spec.chaos == Chaos(seed=7, duplicate=1.0)
    assert sqs.list_queue_tags(**queue)["Tags"][CHAOS_TAG] == "seed=7,duplicate=1"
    sqs.send_message(**queue, MessageBody="a")
    assert len(sqs.receive_message(**queue)["Messages"]) == 1
    assert len(sqs.receive_message(**queue)["Messages"]) == 1  # a duplicate
    sqs.untag_queue(**queue, TagKeys=[CHAOS_TAG])
    assert wire.engine.queue(QUEUE_ARN + "orders").spec.chaos is None
    assert sqs.list_queue_tags(**queue)["Tags"] == {"team": "a"}


def test_other_tags_leave_the_chaos_alone(sqs, wire):
    url = sqs.create_queue(QueueName="orders", tags={CHAOS_TAG: "seed=7", "a": "b"})["QueueUrl"]
    sqs.tag_queue(QueueUrl=url, Tags={"c": "d"})
    sqs.untag_queue(QueueUrl=url, TagKeys=["a"])
    assert wire.engine.queue(QUEUE_ARN + "orders").spec.chaos == Chaos(seed=7)
    again = sqs.create_queue(QueueName="orders", tags={CHAOS_TAG: "seed=8"})  # tags of a new queue
    assert again["QueueUrl"] == url
    assert wire.engine.queue(QUEUE_ARN + "orders").spec.chaos == Chaos(seed=7)


def test_chaos_that_does_not_parse_changes_nothing(sqs, queue, wire):
    sqs.tag_queue(**queue, Tags={CHAOS_TAG: "seed=7"})
    with pytest.raises(ClientError, match="duplicate must be a number, and is 'often'"):
        sqs.tag_queue(**queue, Tags={CHAOS_TAG: "duplicate=often", "team": "a"})
    assert sqs.list_queue_tags(**queue)["Tags"] == {CHAOS_TAG: "seed=7"}
    assert wire.engine.queue(QUEUE_ARN + "orders").spec.chaos == Chaos(seed=7)
    with pytest.raises(ClientError, match="throttle: Must be a probability from 0 to 1"):
        sqs.create_queue(QueueName="other", tags={CHAOS_TAG: "throttle=2"})
    assert len(sqs.list_queues()["QueueUrls"]) == 1


@pytest.mark.parametrize("name", ["orders", "orders.fifo"])
def test_chaos_throttles_calls_about_messages_and_never_those_about_the_queue(sqs, name):
    fifo = {"FifoQueue": "true"} if name.endswith(".fifo") else {}
    url = sqs.create_queue(QueueName=name, Attributes=fifo, tags={CHAOS_TAG: "throttle=1"})[
        "QueueUrl"
    ]
    batch = [{"Id": "1", "ReceiptHandle": "x"}]
    calls = [
        lambda: sqs.send_message(QueueUrl=url, MessageBody="a"),
        lambda: sqs.send_message_batch(QueueUrl=url, Entries=[]),
        lambda: sqs.receive_message(QueueUrl=url),
        lambda: sqs.delete_message(QueueUrl=url, ReceiptHandle="x"),
        lambda: sqs.delete_message_batch(QueueUrl=url, Entries=batch),
        lambda: sqs.change_message_visibility(QueueUrl=url, ReceiptHandle="x", VisibilityTimeout=1),
        lambda: sqs.change_message_visibility_batch(QueueUrl=url, Entries=batch),
    ]
    for call in calls:
        with pytest.raises(sqs.exceptions.RequestThrottled) as caught:
            call()
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"DelaySeconds": "1"})
    sqs.purge_queue(QueueUrl=url)
    sqs.untag_queue(QueueUrl=url, TagKeys=[CHAOS_TAG])
    assert "Messages" not in sqs.receive_message(QueueUrl=url)


# Tags


def test_more_than_fifty_tags_are_refused(sqs, queue):
    sqs.tag_queue(**queue, Tags={str(number): "" for number in range(50)})
    with pytest.raises(ClientError, match="Too many tags"):
        sqs.tag_queue(**queue, Tags={"one more": ""})
    assert len(sqs.list_queue_tags(**queue)["Tags"]) == 50
