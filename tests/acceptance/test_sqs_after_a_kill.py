"""What a crash leaves of FIFO queues and move tasks: kill -9 in the middle, start again, look."""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

GROUPS = 5
MESSAGES_PER_GROUP = 60
WAIT_S_MAX = 30


def send(sqs: Any, url: str, group: int, number: int) -> Any:
    return sqs.send_message(
        QueueUrl=url,
        MessageBody=str(number),
        MessageGroupId=f"group-{group}",
        MessageDeduplicationId=f"{group}-{number}",
    )


def send_until_it_fails(connect: Callable[..., Any], daemon: Any, url: str, group: int) -> int:
    """Sends the group's messages in order; returns how many were acknowledged."""
    sqs = connect(daemon.url, "sqs")
    for number in range(MESSAGES_PER_GROUP):
        try:
            send(sqs, url, group, number)
        except (BotoCoreError, ClientError):
            return number
        if group == 0 and number == MESSAGES_PER_GROUP // 2:
            daemon.kill()
    return MESSAGES_PER_GROUP


def drain(sqs: Any, url: str) -> dict[str, list[tuple[int, str]]]:
    """(number, sequence number) of all messages by group, as they are received."""
    received: dict[str, list[tuple[int, str]]] = defaultdict(list)
    while True:
        answer = sqs.receive_message(
            QueueUrl=url, MaxNumberOfMessages=10, MessageSystemAttributeNames=["All"]
        )
        for message in answer.get("Messages", ()):
            attributes = message["Attributes"]
            received[attributes["MessageGroupId"]].append(
                (int(message["Body"]), attributes["SequenceNumber"])
            )
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        if "Messages" not in answer:
            return received


def test_fifo_senders_that_repeat_what_was_not_acknowledged_lose_and_double_nothing(
    own_daemon, connect
):
    sqs = connect(own_daemon.url, "sqs")
    url = sqs.create_queue(QueueName="crash.fifo", Attributes={"FifoQueue": "true"})["QueueUrl"]
    with ThreadPoolExecutor(GROUPS) as threads:
        acknowledged = list(
            threads.map(
                lambda group: send_until_it_fails(connect, own_daemon, url, group), range(GROUPS)
            )
        )
    assert sum(acknowledged) < GROUPS * MESSAGES_PER_GROUP, "the kill came too late"
    own_daemon.start()
    sqs = connect(own_daemon.url, "sqs")
    url = sqs.get_queue_url(QueueName="crash.fifo")["QueueUrl"]
    for group in range(GROUPS):
        # The one before the failure was acknowledged: it must count as a duplicate.
        for number in range(max(0, acknowledged[group] - 1), MESSAGES_PER_GROUP):
            send(sqs, url, group, number)
    received = drain(sqs, url)
    for group in range(GROUPS):
        numbers = [number for number, _ in received[f"group-{group}"]]
        sequences = [sequence for _, sequence in received[f"group-{group}"]]
        assert numbers == list(range(MESSAGES_PER_GROUP))
        assert sequences == sorted(sequences)


def test_a_receive_is_repeated_and_a_lock_holds_over_a_kill(own_daemon, connect):
    sqs = connect(own_daemon.url, "sqs")
    url = sqs.create_queue(QueueName="locks.fifo", Attributes={"FifoQueue": "true"})["QueueUrl"]
    for number in range(3):
        send(sqs, url, 0, number)
    first = sqs.receive_message(QueueUrl=url, ReceiveRequestAttemptId="attempt")["Messages"]
    own_daemon.kill()
    own_daemon.start()
    sqs = connect(own_daemon.url, "sqs")
    url = sqs.get_queue_url(QueueName="locks.fifo")["QueueUrl"]
    assert "Messages" not in sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)
    again = sqs.receive_message(QueueUrl=url, ReceiveRequestAttemptId="attempt")["Messages"]
    assert again == first
    sqs.delete_message(QueueUrl=url, ReceiptHandle=first[0]["ReceiptHandle"])
    assert [number for number, _ in drain(sqs, url)["group-0"]] == [1, 2]


def test_a_move_task_goes_on_after_a_kill_and_moves_each_message_once(own_daemon, connect):
    count = 300
    sqs = connect(own_daemon.url, "sqs")
    dead = sqs.create_queue(QueueName="dead")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"][
        "QueueArn"
    ]
    policy = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 1})
    sqs.create_queue(QueueName="source", Attributes={"RedrivePolicy": policy})
    target = sqs.create_queue(QueueName="target")["QueueUrl"]
    target_arn = arn.replace(":dead", ":target")
    for first in range(0, count, 10):
        entries = [{"Id": str(n), "MessageBody": str(n)} for n in range(first, first + 10)]
        sqs.send_message_batch(QueueUrl=dead, Entries=entries)
    sqs.start_message_move_task(
        SourceArn=arn, DestinationArn=target_arn, MaxNumberOfMessagesPerSecond=300
    )
    wait_until(lambda: moved(sqs, arn)["ApproximateNumberOfMessagesMoved"] > 0)
    own_daemon.kill()
    own_daemon.start()
    sqs = connect(own_daemon.url, "sqs")
    wait_until(lambda: moved(sqs, arn)["Status"] == "COMPLETED")
    assert moved(sqs, arn)["ApproximateNumberOfMessagesMoved"] == count
    target = sqs.get_queue_url(QueueName="target")["QueueUrl"]
    bodies = []
    while "Messages" in (answer := sqs.receive_message(QueueUrl=target, MaxNumberOfMessages=10)):
        bodies += [int(message["Body"]) for message in answer["Messages"]]
    assert sorted(bodies) == list(range(count))


def moved(sqs: Any, arn: str) -> Any:
    """The latest move task."""
    (task,) = sqs.list_message_move_tasks(SourceArn=arn)["Results"]
    return task


def wait_until(is_so: Callable[[], bool]) -> None:
    end = time.monotonic() + WAIT_S_MAX
    while not is_so():
        assert time.monotonic() < end, "it did not come to pass"
        time.sleep(0.02)
