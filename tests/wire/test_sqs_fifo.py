"""FIFO queues as programs see them: order, deduplication, sequence numbers, repeated receives."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from eventcore.limits import Quotas
from eventcore.runtime.engine import Engine
from eventcore.stores.memory import MemoryStore
from eventcore.testing import ManualClock, SeededIds
from tests.wire.conftest import START_MS, Wire

Queue = dict[str, str]
NO_ID = (
    "The queue should either have ContentBasedDeduplication enabled or MessageDeduplicationId "
    "provided explicitly"
)
NOT_OF_THIS_KIND = "The request include parameter that is not valid for this queue type."


def create(sqs: Any, name: str = "orders.fifo", **attributes: str) -> Queue:
    answer = sqs.create_queue(QueueName=name, Attributes={"FifoQueue": "true", **attributes})
    return {"QueueUrl": answer["QueueUrl"]}


@pytest.fixture
def queue(sqs) -> Queue:
    """A FIFO queue that makes deduplication ids of the bodies."""
    return create(sqs, ContentBasedDeduplication="true")


def send(sqs: Any, queue: Queue, body: str, group: str = "g", **members: Any) -> dict[str, Any]:
    return sqs.send_message(**queue, MessageBody=body, MessageGroupId=group, **members)


def receive(sqs: Any, queue: Queue, count: int = 10, **members: Any) -> list[dict[str, Any]]:
    answer = sqs.receive_message(**queue, MaxNumberOfMessages=count, **members)
    return answer.get("Messages", [])


def bodies(messages: list[dict[str, Any]]) -> list[str]:
    return [message["Body"] for message in messages]


def refusal(call: Any, *arguments: Any, **members: Any) -> tuple[str, str]:
    """Code and text of the error."""
    with pytest.raises(ClientError) as caught:
        call(*arguments, **members)
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


# Order


def test_messages_of_a_group_come_in_order_and_one_in_flight_holds_the_rest(sqs, queue):
    for body in ("a1", "a2", "b1", "a3"):
        send(sqs, queue, body, group=body[0])
    (first,) = receive(sqs, queue, 1)
    assert first["Body"] == "a1"
    assert bodies(receive(sqs, queue)) == ["b1"]
    assert receive(sqs, queue) == []
    sqs.delete_message(**queue, ReceiptHandle=first["ReceiptHandle"])
    assert bodies(receive(sqs, queue)) == ["a2", "a3"]


def test_a_message_given_back_comes_before_those_behind_it(sqs, queue):
    for body in ("1", "2", "3"):
        send(sqs, queue, body)
    first, second = receive(sqs, queue, 2)
    for message in (second, first):
        sqs.change_message_visibility(
            **queue, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=0
        )
    assert bodies(receive(sqs, queue)) == ["1", "2", "3"]


async def test_a_long_poll_gets_what_a_deletion_sets_free(wire):
    url = wire.create_queue("orders.fifo", FifoQueue="true", ContentBasedDeduplication="true")
    for body in ("1", "2"):
        wire.call("SendMessage", QueueUrl=url, MessageBody=body, MessageGroupId="g")
    (first,) = wire.call("ReceiveMessage", QueueUrl=url).json["Messages"]
    waiting = wire.call("ReceiveMessage", QueueUrl=url, WaitTimeSeconds=20)
    assert not waiting.is_there
    wire.call("DeleteMessage", QueueUrl=url, ReceiptHandle=first["ReceiptHandle"])
    await wire.settle(waiting)
    assert bodies(waiting.json["Messages"]) == ["2"]


# Deduplication


def test_a_body_sent_twice_in_five_minutes_is_one_message(sqs, queue, wire):
    first = send(sqs, queue, "a")
    again = send(sqs, queue, "a", group="other")
    assert all(again[name] == first[name] for name in ("MessageId", "SequenceNumber"))
    (message,) = receive(sqs, queue, MessageSystemAttributeNames=["MessageDeduplicationId"])
    digest = hashlib.sha256(b"a").hexdigest()
    assert message["Attributes"] == {"MessageDeduplicationId": digest}
    sqs.delete_message(**queue, ReceiptHandle=message["ReceiptHandle"])
    assert send(sqs, queue, "b", MessageDeduplicationId=digest)["MessageId"] == first["MessageId"]
    wire.clock.advance(300_000)
    assert send(sqs, queue, "a")["MessageId"] != first["MessageId"]
    assert bodies(receive(sqs, queue)) == ["a"]


def test_an_id_of_its_own_goes_before_the_one_of_the_body(sqs, queue):
    for number in range(3):
        send(sqs, queue, "a", MessageDeduplicationId=str(number))
    assert bodies(receive(sqs, queue)) == ["a", "a", "a"]


def test_deduplication_is_per_queue_or_per_message_group(sqs):
    for scope, received in (("queue", ["1"]), ("messageGroup", ["1", "2"])):
        queue = create(sqs, f"{scope}.fifo", DeduplicationScope=scope)
        send(sqs, queue, "1", "a", MessageDeduplicationId="d")
        send(sqs, queue, "2", "b", MessageDeduplicationId="d")
        assert bodies(receive(sqs, queue)) == received


def test_high_throughput_can_be_switched_on_and_off(sqs):
    queue = create(sqs)
    high = {"DeduplicationScope": "messageGroup", "FifoThroughputLimit": "perMessageGroupId"}
    sqs.set_queue_attributes(**queue, Attributes=high)
    shown = sqs.get_queue_attributes(**queue, AttributeNames=["All"])["Attributes"]
    assert high.items() <= shown.items()
    regular = {"DeduplicationScope": "queue", "FifoThroughputLimit": "perQueue"}
    sqs.set_queue_attributes(**queue, Attributes=regular)
    shown = sqs.get_queue_attributes(**queue, AttributeNames=["All"])["Attributes"]
    assert regular.items() <= shown.items()
    assert shown["FifoQueue"] == "true"
    assert shown["ContentBasedDeduplication"] == "false"


# Sequence numbers and system attributes


def test_sequence_numbers_rise_and_come_with_the_messages(sqs, queue):
    single = send(sqs, queue, "1")
    entries = [{"Id": str(n), "MessageBody": str(n), "MessageGroupId": "g"} for n in (2, 3)]
    batch = sqs.send_message_batch(**queue, Entries=entries)["Successful"]
    sent = [single["SequenceNumber"], *(entry["SequenceNumber"] for entry in batch)]
    assert sent == sorted(sent)
    assert len(set(sent)) == 3
    assert {len(number) for number in sent} == {20}
    messages = receive(sqs, queue, AttributeNames=["All"])
    assert [message["Attributes"]["SequenceNumber"] for message in messages] == sent
    assert {message["Attributes"]["MessageGroupId"] for message in messages} == {"g"}


def test_a_standard_queue_has_no_sequence_numbers(sqs):
    queue = {"QueueUrl": sqs.create_queue(QueueName="orders")["QueueUrl"]}
    assert "SequenceNumber" not in send(sqs, queue, "a", group="tenant")
    (message,) = receive(sqs, queue, AttributeNames=["All"])
    assert message["Attributes"]["MessageGroupId"] == "tenant"
    assert not {"SequenceNumber", "MessageDeduplicationId"} & message["Attributes"].keys()


# Repeated receives


def test_a_receive_repeated_with_its_attempt_id_gets_the_same(sqs, queue, wire):
    for body in ("1", "2"):
        send(sqs, queue, body)
    first = receive(sqs, queue, ReceiveRequestAttemptId="try")
    wire.clock.advance(1_000)
    assert receive(sqs, queue, ReceiveRequestAttemptId="other") == []
    assert receive(sqs, queue) == []
    again = receive(sqs, queue, ReceiveRequestAttemptId="try")
    assert again == first
    sqs.delete_message(**queue, ReceiptHandle=first[0]["ReceiptHandle"])
    assert receive(sqs, queue, ReceiveRequestAttemptId="try") == []


# Delay and receipt handles


def test_a_delay_of_zero_leaves_the_queue_its_own(sqs, wire):
    queue = create(sqs, ContentBasedDeduplication="true", DelaySeconds="2")
    send(sqs, queue, "a", DelaySeconds=0)
    assert receive(sqs, queue) == []
    wire.clock.advance(2_000)
    assert bodies(receive(sqs, queue)) == ["a"]


def test_a_handle_whose_time_is_over_deletes_nothing(sqs, queue, wire):
    send(sqs, queue, "a")
    (message,) = receive(sqs, queue, VisibilityTimeout=1)
    handle = message["ReceiptHandle"]
    wire.clock.advance(1_000)
    assert refusal(sqs.delete_message, **queue, ReceiptHandle=handle) == (
        "InvalidParameterValue",
        f"Value {handle} for parameter ReceiptHandle is invalid. Reason: The receipt handle has "
        "expired.",
    )
    code, text = refusal(
        sqs.change_message_visibility, **queue, ReceiptHandle=handle, VisibilityTimeout=5
    )
    assert (code, handle in text) == ("InvalidParameterValue", True)
    (failed,) = sqs.delete_message_batch(**queue, Entries=[{"Id": "1", "ReceiptHandle": handle}])[
        "Failed"
    ]
    assert (failed["Code"], failed["SenderFault"]) == ("InvalidParameterValue", True)
    assert bodies(receive(sqs, queue)) == ["a"]


# What is refused, and in which order


def test_a_send_needs_a_message_group_and_a_deduplication_id(sqs):
    queue = create(sqs)
    missing = ("MissingParameter", "The request must contain the parameter MessageGroupId.")
    body = {**queue, "MessageBody": "a"}
    assert refusal(sqs.send_message, **body) == missing
    assert refusal(sqs.send_message, **body, MessageDeduplicationId="1") == missing
    assert refusal(send, sqs, queue, "a") == ("InvalidParameterValue", NO_ID)
    assert receive(sqs, queue) == []


def test_a_batch_is_refused_as_a_whole_for_an_entry_without_ids(sqs):
    queue = create(sqs)
    good = {"Id": "1", "MessageBody": "a", "MessageGroupId": "g", "MessageDeduplicationId": "1"}
    for name, error in (
        ("MessageGroupId", "The request must contain the parameter MessageGroupId."),
        ("MessageDeduplicationId", NO_ID),
    ):
        bad = {**{key: value for key, value in good.items() if key != name}, "Id": "2"}
        assert refusal(sqs.send_message_batch, **queue, Entries=[good, bad])[1] == error
    assert receive(sqs, queue) == []


def test_a_delay_of_its_own_fails_a_message_alone(sqs, queue):
    assert refusal(send, sqs, queue, "a", DelaySeconds=1) == (
        "InvalidParameterValue",
        f"Value 1 for parameter DelaySeconds is invalid. Reason: {NOT_OF_THIS_KIND}",
    )
    entries = [
        {"Id": str(delay), "MessageBody": str(delay), "MessageGroupId": "g", "DelaySeconds": delay}
        for delay in (1, 0)
    ]
    answer = sqs.send_message_batch(**queue, Entries=entries)
    assert [entry["Id"] for entry in answer["Successful"]] == ["0"]
    assert [entry["Id"] for entry in answer["Failed"]] == ["1"]


@pytest.mark.parametrize("value", ["", "with space", "é", "x" * 129, "tab\t", "line\n"])
@pytest.mark.parametrize(
    "name", ["MessageGroupId", "MessageDeduplicationId", "ReceiveRequestAttemptId"]
)
def test_ids_have_1_to_128_letters_digits_and_marks(sqs, queue, name, value):
    if name == "ReceiveRequestAttemptId":
        code, text = refusal(receive, sqs, queue, **{name: value})
    else:
        members = {"MessageGroupId": "g", "MessageDeduplicationId": "1", name: value}
        code, text = refusal(sqs.send_message, **queue, MessageBody="a", **members)
    assert code == "InvalidParameterValue"
    assert text == (
        f"Value {value} for parameter {name} is invalid. Reason: {name} can only include "
        "alphanumeric and punctuation characters. 1 to 128 in length."
    )


def test_every_mark_is_allowed_in_an_id(sqs, queue):
    marks = "".join(map(chr, range(0x21, 0x7F)))
    send(sqs, queue, "a", marks, MessageDeduplicationId=marks)
    (message,) = receive(sqs, queue, AttributeNames=["All"], ReceiveRequestAttemptId=marks)
    assert message["Attributes"]["MessageGroupId"] == marks
    assert message["Attributes"]["MessageDeduplicationId"] == marks


def test_a_standard_queue_refuses_what_is_for_fifo_queues(sqs):
    queue = {"QueueUrl": sqs.create_queue(QueueName="orders")["QueueUrl"]}

    def text(name: str) -> str:
        return f"Value x for parameter {name} is invalid. Reason: {NOT_OF_THIS_KIND}"

    name = "MessageDeduplicationId"
    assert refusal(send, sqs, queue, "a", **{name: "x"}) == ("InvalidParameterValue", text(name))
    name = "ReceiveRequestAttemptId"
    assert refusal(receive, sqs, queue, **{name: "x"}) == ("InvalidParameterValue", text(name))


# Quotas


@pytest.fixture
async def strict_wire() -> AsyncIterator[Wire]:
    """Two calls of an action a second, and two messages in flight."""
    quotas = Quotas(fifo_calls_per_s=2, in_flight_max=2)
    clock = ManualClock(START_MS)
    bugs: list[BaseException] = []
    store = MemoryStore()
    async with Engine.open(store, clock=clock, ids=SeededIds(1), quotas=quotas) as engine:
        yield Wire(store, engine, clock, bugs)
    assert not bugs


async def test_calls_over_the_quota_are_throttled_and_a_batch_is_one_call(strict_wire):
    url = strict_wire.create_queue(
        "orders.fifo", FifoQueue="true", ContentBasedDeduplication="true"
    )
    entries = [{"Id": str(n), "MessageBody": str(n), "MessageGroupId": "g"} for n in range(10)]
    for _ in range(2):
        answer = strict_wire.call("SendMessageBatch", QueueUrl=url, Entries=entries)
        assert answer.status == 200
    throttled = strict_wire.call("SendMessageBatch", QueueUrl=url, Entries=entries)
    assert (throttled.status, throttled.error) == (403, "RequestThrottled")
    assert throttled.headers["x-amzn-query-error"] == "RequestThrottled;Sender"
    assert strict_wire.call("ReceiveMessage", QueueUrl=url).status == 200  # another action
    strict_wire.clock.advance(500)
    assert strict_wire.call("SendMessageBatch", QueueUrl=url, Entries=entries).status == 200


async def test_messages_in_flight_over_the_quota_are_held_back_without_an_error(strict_wire):
    url = strict_wire.create_queue(
        "orders.fifo", FifoQueue="true", ContentBasedDeduplication="true"
    )
    entries = [{"Id": str(n), "MessageBody": str(n), "MessageGroupId": str(n)} for n in range(3)]
    strict_wire.call("SendMessageBatch", QueueUrl=url, Entries=entries)
    answer = strict_wire.call("ReceiveMessage", QueueUrl=url, MaxNumberOfMessages=10)
    assert bodies(answer.json["Messages"]) == ["0", "1"]
    assert strict_wire.call("ReceiveMessage", QueueUrl=url).json == {}
