"""Message move tasks as programs see them: what they move, what is told, what is refused."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import AsyncIterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from eventcore.limits import Quotas
from eventcore.runtime.engine import Engine
from eventcore.stores.memory import MemoryStore
from eventcore.testing import ManualClock, SeededIds
from tests.wire.conftest import START_MS, Wire

ARN = "arn:aws:sqs:us-east-1:000000000000:"
DEAD = ARN + "dead"
NO_SUCH_QUEUE = "The resource that you specified for the {} parameter doesn't exist."


def create(sqs: Any, name: str, dead_letter_queue: str = "") -> str:
    attributes = {"FifoQueue": "true"} if name.endswith(".fifo") else {}
    if dead_letter_queue:
        policy = {"deadLetterTargetArn": ARN + dead_letter_queue, "maxReceiveCount": 1}
        attributes["RedrivePolicy"] = json.dumps(policy)
    return sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]


def die(sqs: Any, url: str, *bodies: str) -> None:
    """Sends messages and lets them go to the dead-letter queue."""
    for body in bodies:
        sqs.send_message(QueueUrl=url, MessageBody=body)
    sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=0)
    assert "Messages" not in sqs.receive_message(QueueUrl=url)


def bodies(sqs: Any, url: str) -> list[str]:
    answer = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)
    return sorted(message["Body"] for message in answer.get("Messages", []))


def refusal(call: Any, **members: Any) -> tuple[str, str, int]:
    """Code, text and status of the error."""
    with pytest.raises(ClientError) as caught:
        call(**members)
    response = caught.value.response
    error = response["Error"]
    return error["Code"], error["Message"], response["ResponseMetadata"]["HTTPStatusCode"]


def latest(sqs: Any, count: int = 1) -> list[dict[str, Any]]:
    return sqs.list_message_move_tasks(SourceArn=DEAD, MaxResults=count)["Results"]


@pytest.fixture
def orders(sqs) -> str:
    """A queue whose dead-letter queue is `dead`."""
    create(sqs, "dead")
    return create(sqs, "orders", "dead")


def test_messages_go_to_the_destination(sqs, orders, wire):
    other = create(sqs, "other")
    die(sqs, orders, "a", "b")
    handle = sqs.start_message_move_task(SourceArn=DEAD, DestinationArn=ARN + "other")["TaskHandle"]
    assert latest(sqs) == [
        {
            "TaskHandle": handle,
            "Status": "RUNNING",
            "SourceArn": DEAD,
            "DestinationArn": ARN + "other",
            "ApproximateNumberOfMessagesMoved": 0,
            "ApproximateNumberOfMessagesToMove": 2,
            "StartedTimestamp": START_MS,
        }
    ]
    wire.clock.advance(1_000)
    assert latest(sqs) == [
        {
            "Status": "COMPLETED",
            "SourceArn": DEAD,
            "DestinationArn": ARN + "other",
            "ApproximateNumberOfMessagesMoved": 2,
            "ApproximateNumberOfMessagesToMove": 2,
            "StartedTimestamp": START_MS,
        }
    ]
    assert bodies(sqs, other) == ["a", "b"]
    assert bodies(sqs, orders) == []


def test_without_a_destination_messages_go_back_to_where_they_came_from(sqs, orders, wire):
    invoices = create(sqs, "invoices", "dead")
    die(sqs, orders, "a", "b")
    die(sqs, invoices, "c")
    sqs.start_message_move_task(SourceArn=DEAD)
    wire.clock.advance(1_000)
    (task,) = latest(sqs)
    assert "DestinationArn" not in task
    assert (task["Status"], task["ApproximateNumberOfMessagesMoved"]) == ("COMPLETED", 3)
    assert bodies(sqs, orders) == ["a", "b"]
    assert bodies(sqs, invoices) == ["c"]


def test_a_task_with_a_rate_is_cancelled_on_its_way(sqs, orders, wire):
    other = create(sqs, "other")
    die(sqs, orders, *"abcdefghij")
    handle = sqs.start_message_move_task(
        SourceArn=DEAD, DestinationArn=ARN + "other", MaxNumberOfMessagesPerSecond=1
    )["TaskHandle"]
    wire.clock.advance(2_500)
    moved = sqs.cancel_message_move_task(TaskHandle=handle)["ApproximateNumberOfMessagesMoved"]
    assert 1 <= moved <= 4
    (task,) = latest(sqs)
    assert (task["Status"], task["MaxNumberOfMessagesPerSecond"]) == ("CANCELLED", 1)
    assert task["ApproximateNumberOfMessagesMoved"] == moved
    assert not {"TaskHandle", "FailureReason"} & task.keys()
    wire.clock.advance(60_000)
    assert len(bodies(sqs, other)) == moved
    assert refusal(sqs.cancel_message_move_task, TaskHandle=handle) == (
        "InvalidParameterValue",
        "Only active tasks can be cancelled.",
        400,
    )


def test_a_task_fails_when_its_destination_is_deleted(sqs, orders, wire):
    other = create(sqs, "other")
    die(sqs, orders, *"abcdefghij")
    sqs.start_message_move_task(
        SourceArn=DEAD, DestinationArn=ARN + "other", MaxNumberOfMessagesPerSecond=1
    )
    wire.clock.advance(1_500)
    sqs.delete_queue(QueueUrl=other)
    wire.clock.advance(10_000)
    (task,) = latest(sqs)
    assert task["Status"] == "FAILED"
    assert task["FailureReason"] == "AWS.SimpleQueueService.NonExistentQueue"
    assert "TaskHandle" not in task
    counts = sqs.get_queue_attributes(
        QueueUrl="dead", AttributeNames=["ApproximateNumberOfMessages"]
    )["Attributes"]
    left = 10 - task["ApproximateNumberOfMessagesMoved"]
    assert counts == {"ApproximateNumberOfMessages": str(left)}


def test_the_latest_tasks_are_listed_newest_first_and_one_by_default(sqs, orders, wire):
    for number in range(12):
        die(sqs, orders, str(number))
        sqs.start_message_move_task(SourceArn=DEAD)
        wire.clock.advance(1_000)
        sqs.purge_queue(QueueUrl=orders)
    (newest,) = sqs.list_message_move_tasks(SourceArn=DEAD)["Results"]
    assert newest["StartedTimestamp"] == START_MS + 11_000
    started = [task["StartedTimestamp"] for task in latest(sqs, 10)]
    assert started == [START_MS + 1_000 * number for number in range(11, 1, -1)]
    assert len(latest(sqs, 3)) == 3


def test_a_queue_without_tasks_lists_none(sqs):
    create(sqs, "dead")
    assert latest(sqs, 10) == []


def test_one_task_of_a_source_runs_at_a_time(sqs, orders):
    die(sqs, orders, "a")
    sqs.start_message_move_task(SourceArn=DEAD)
    assert refusal(sqs.start_message_move_task, SourceArn=DEAD) == (
        "InvalidParameterValue",
        "There is already a task running. Only one active task is allowed for a source queue arn "
        "at a given time.",
        400,
    )


def test_the_source_must_be_a_dead_letter_queue(sqs):
    create(sqs, "dead")
    assert refusal(sqs.start_message_move_task, SourceArn=DEAD) == (
        "InvalidParameterValue",
        "Source queue must be configured as a Dead Letter Queue.",
        400,
    )


def test_queues_that_do_not_exist_are_resources_not_found(sqs, orders):
    def not_found(name: str) -> tuple[str, str, int]:
        return "ResourceNotFoundException", NO_SUCH_QUEUE.format(name), 404

    nowhere = ARN + "nowhere"
    start, listed = sqs.start_message_move_task, sqs.list_message_move_tasks
    assert refusal(start, SourceArn=nowhere) == not_found("SourceArn")
    assert refusal(listed, SourceArn=nowhere) == not_found("SourceArn")
    assert refusal(start, SourceArn=DEAD, DestinationArn=nowhere) == not_found("DestinationArn")
    assert latest(sqs) == []


@pytest.mark.parametrize("arn", ["", "dead", "arn:aws:sns:us-east-1:000000000000:dead", "x" * 5000])
def test_an_arn_that_names_no_queue_is_refused(sqs, orders, arn):
    def malformed(name: str) -> tuple[str, str, int]:
        form = "arn:<partition>:<service>:<region>:<account-id>:<resource-id>"
        text = f"You must use this format to specify the {name}: {form}"
        return "InvalidParameterValue", text, 400

    start, listed = sqs.start_message_move_task, sqs.list_message_move_tasks
    assert refusal(start, SourceArn=arn) == malformed("SourceArn")
    assert refusal(listed, SourceArn=arn) == malformed("SourceArn")
    assert refusal(start, SourceArn=DEAD, DestinationArn=arn) == malformed("DestinationArn")


def test_a_destination_is_another_queue_of_the_same_kind(sqs, orders):
    create(sqs, "other.fifo")
    start = sqs.start_message_move_task
    assert refusal(start, SourceArn=DEAD, DestinationArn=DEAD)[:2] == (
        "InvalidParameterValue",
        "Source queue arn and destination queue arn cannot be the same.",
    )
    code, text, _ = refusal(start, SourceArn=DEAD, DestinationArn=ARN + "other.fifo")
    assert code == "InvalidParameterValue"
    assert text.endswith("Reason: Must be of the same type as the source.")


def test_numbers_out_of_range_are_refused(sqs, orders):
    def text(name: str, highest: int) -> str:
        return (
            f"Value for parameter {name} is invalid. Reason: You must enter a number that's "
            f"between 1 and {highest}."
        )

    name = "MaxNumberOfMessagesPerSecond"
    for value in (-1, 0, 501):
        refused = refusal(sqs.start_message_move_task, SourceArn=DEAD, **{name: value})
        assert refused == ("InvalidParameterValue", text(name, 500), 400)
    for value in (-1, 0, 11):
        refused = refusal(sqs.list_message_move_tasks, SourceArn=DEAD, MaxResults=value)
        assert refused == ("InvalidParameterValue", text("MaxResults", 10), 400)
    sqs.start_message_move_task(SourceArn=DEAD, MaxNumberOfMessagesPerSecond=500)


def test_handles_of_no_task_are_resources_not_found(sqs, orders, wire):
    handle = sqs.start_message_move_task(SourceArn=DEAD)["TaskHandle"]
    content = json.loads(urlsafe_b64decode(handle))

    def handle_of(**changed: Any) -> str:
        return urlsafe_b64encode(json.dumps({**content, **changed}).encode()).decode()

    unknown = ("ResourceNotFoundException", "Task does not exist.", 404)
    tag = content["taskId"].partition("-")[0]
    malformed = ["x", "é", "{}", handle[:-4], handle_of(taskId=5)]
    for other in (*malformed, handle_of(taskId=f"{tag}-7"), handle_of(taskId="0-0")):
        assert refusal(sqs.cancel_message_move_task, TaskHandle=other) == unknown
    gone = ("ResourceNotFoundException", NO_SUCH_QUEUE.format("SourceArn"), 404)
    arns: list[Any] = [ARN + "nowhere", "nowhere", []]
    for arn in arns:
        other = handle_of(sourceArn=arn)
        assert refusal(sqs.cancel_message_move_task, TaskHandle=other) == gone
    assert wire.call("CancelMessageMoveTask").error == "MissingRequiredParameterException"
    assert wire.call("CancelMessageMoveTask", TaskHandle="").status == 400
    assert latest(sqs)[0]["TaskHandle"] == handle


@pytest.fixture
async def strict_wire() -> AsyncIterator[Wire]:
    """One task at a time in an account."""
    clock = ManualClock(START_MS)
    bugs: list[BaseException] = []
    store = MemoryStore()
    quotas = Quotas(move_tasks_max=1)
    async with Engine.open(store, clock=clock, ids=SeededIds(1), quotas=quotas) as engine:
        yield Wire(store, engine, clock, bugs)
    assert not bugs


async def test_more_tasks_than_the_quota_are_over_the_limit(strict_wire):
    for name in ("one", "two"):
        strict_wire.create_queue(f"{name}-dead")
        policy = {"deadLetterTargetArn": f"{ARN}{name}-dead", "maxReceiveCount": 1}
        strict_wire.create_queue(name, RedrivePolicy=json.dumps(policy))
    first = strict_wire.call("StartMessageMoveTask", SourceArn=ARN + "one-dead")
    assert first.status == 200
    second = strict_wire.call("StartMessageMoveTask", SourceArn=ARN + "two-dead")
    assert (second.status, second.error) == (403, "OverLimit")
    strict_wire.clock.advance(1_000)
    assert strict_wire.call("StartMessageMoveTask", SourceArn=ARN + "two-dead").status == 200
