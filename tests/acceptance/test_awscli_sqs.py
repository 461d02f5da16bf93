"""The aws command line against a real daemon: every command of `aws sqs`, as a user types it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore import xform_name

Aws = Callable[..., Any]

EXECUTABLE = str(Path(sys.executable).with_name("aws"))
SECONDS_MAX = 100
EXIT_REFUSED = 255
"""What the command line ends with when the service answers with an error."""


@pytest.fixture
def queue_name(queue_name: str) -> str:
    """A name that no other test of any file uses, with room for what a test appends."""
    return f"aws-{queue_name[-60:]}"


@pytest.fixture
def run(daemon) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs `aws sqs ...` against the daemon, with no configuration but the environment."""
    environment = {
        "PATH": os.environ["PATH"],
        "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_MAX_ATTEMPTS": "1",
    }

    def command(*arguments: str) -> subprocess.CompletedProcess[str]:
        line = [EXECUTABLE, "--endpoint-url", daemon.url, "sqs", *arguments]
        return subprocess.run(
            line, env=environment, capture_output=True, text=True, timeout=SECONDS_MAX
        )

    return command


@pytest.fixture
def aws(run) -> Aws:
    """`aws sqs ...` that succeeds: its JSON, or None when it prints nothing."""

    def command(*arguments: str) -> Any:
        done = run(*arguments)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout) if done.stdout else None

    return command


@pytest.fixture
def queue(sqs, queue_name) -> str:
    return sqs.create_queue(QueueName=queue_name)["QueueUrl"]


def test_every_command_of_the_service_is_used_in_this_file(sqs):
    commands = {xform_name(name, "-") for name in sqs.meta.service_model.operation_names}
    used = set(re.findall(r'"([a-z-]+)"', Path(__file__).read_text(encoding="utf-8")))
    assert len(commands) == 23
    assert commands - used == set()


def test_a_queue_is_created_found_changed_purged_and_deleted(aws, run, sqs, queue_name):
    attributes = json.dumps({"VisibilityTimeout": "45", "DelaySeconds": "1"})
    created = aws("create-queue", "--queue-name", queue_name, "--attributes", attributes)
    url = created["QueueUrl"]
    assert aws("get-queue-url", "--queue-name", queue_name) == created
    listed = run(
        *("list-queues", "--queue-name-prefix", queue_name),
        *("--query", "QueueUrls[0]", "--output", "text"),
    )
    assert listed.stdout == f"{url}\n"
    assert (
        aws("set-queue-attributes", "--queue-url", url, "--attributes", "DelaySeconds=900") is None
    )
    sqs.send_message(QueueUrl=url, MessageBody="delayed")
    shown = aws(
        *("get-queue-attributes", "--queue-url", url, "--attribute-names", "All"),
        *("--query", "Attributes.[VisibilityTimeout,ApproximateNumberOfMessagesDelayed]"),
    )
    assert shown == ["45", "1"]
    assert aws("purge-queue", "--queue-url", url) is None
    assert counts(sqs, url) == (0, 0, 0)
    assert aws("delete-queue", "--queue-url", url) is None
    assert "QueueUrls" not in sqs.list_queues(QueueNamePrefix=queue_name)


def test_a_queue_is_tagged_and_untagged(aws, queue):
    assert aws("tag-queue", "--queue-url", queue, "--tags", "team=a,cost=b") is None
    assert aws("untag-queue", "--queue-url", queue, "--tag-keys", "cost") is None
    assert aws("list-queue-tags", "--queue-url", queue) == {"Tags": {"team": "a"}}


def test_queues_are_listed_in_pages_of_any_size(aws, sqs, queue_name):
    urls = [sqs.create_queue(QueueName=f"{queue_name}-{n}")["QueueUrl"] for n in range(3)]
    listing = ("list-queues", "--queue-name-prefix", queue_name)
    first = aws(*listing, "--page-size", "1", "--max-items", "2")
    assert first["QueueUrls"] == urls[:2]
    rest = aws(*listing, "--page-size", "1", "--starting-token", first["NextToken"])
    assert rest["QueueUrls"] == urls[2:]


def test_a_message_with_attributes_is_sent_received_given_back_and_deleted(
    aws, sqs, queue, tmp_path
):
    file = tmp_path / "attributes.json"
    attributes = {
        "text": {"DataType": "String", "StringValue": "é€😀"},
        "number.int": {"DataType": "Number.int", "StringValue": "7"},
        "binary": {"DataType": "Binary", "BinaryValue": "raw"},
    }
    file.write_text(json.dumps(attributes), encoding="utf-8")
    sent = aws(
        *("send-message", "--queue-url", queue, "--message-body", "body é€😀"),
        *("--message-attributes", f"file://{file}"),
    )
    (message,) = aws(
        *("receive-message", "--queue-url", queue, "--query", "Messages[*]"),
        *("--message-attribute-names", "All", "--message-system-attribute-names", "All"),
    )
    assert message["Attributes"]["ApproximateReceiveCount"] == "1"
    assert message["MessageId"] == sent["MessageId"]
    assert message["Body"] == "body é€😀"
    assert message["MD5OfMessageAttributes"] == sent["MD5OfMessageAttributes"]
    # The command line takes bytes as they are, and shows them as base64.
    attributes["binary"]["BinaryValue"] = "cmF3"
    assert message["MessageAttributes"] == attributes
    handle = ("--queue-url", queue, "--receipt-handle", message["ReceiptHandle"])
    assert aws("change-message-visibility", *handle, "--visibility-timeout", "0") is None
    (again,) = sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=5)["Messages"]
    assert again["MessageId"] == sent["MessageId"]
    handle = ("--queue-url", queue, "--receipt-handle", again["ReceiptHandle"])
    assert aws("delete-message", *handle) is None
    assert counts(sqs, queue) == (0, 0, 0)


def test_batches_are_sent_changed_and_deleted(aws, sqs, queue):
    entries = [{"Id": f"id-{n}", "MessageBody": f"body {n}"} for n in range(3)]
    to_queue = ("--queue-url", queue, "--entries")
    sent = aws("send-message-batch", *to_queue, json.dumps(entries))
    assert [entry["Id"] for entry in sent["Successful"]] == ["id-0", "id-1", "id-2"]
    messages = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10)["Messages"]
    handles = [
        {"Id": f"id-{n}", "ReceiptHandle": message["ReceiptHandle"]}
        for n, message in enumerate(messages)
    ]
    changes = [{**entry, "VisibilityTimeout": 600} for entry in handles]
    changed = aws("change-message-visibility-batch", *to_queue, json.dumps(changes))
    assert changed == {"Successful": [{"Id": "id-0"}, {"Id": "id-1"}, {"Id": "id-2"}]}
    wrong = {"Id": "wrong", "ReceiptHandle": "not-a-handle"}
    deleted = aws("delete-message-batch", *to_queue, json.dumps([*handles, wrong]))
    assert [entry["Id"] for entry in deleted["Successful"]] == ["id-0", "id-1", "id-2"]
    (failed,) = deleted["Failed"]
    assert (failed["Id"], failed["Code"]) == ("wrong", "ReceiptHandleIsInvalid")
    assert counts(sqs, queue) == (0, 0, 0)


def test_a_message_goes_through_a_fifo_queue(aws, sqs, queue_name):
    attributes = {"FifoQueue": "true"}
    url = sqs.create_queue(QueueName=f"{queue_name}.fifo", Attributes=attributes)["QueueUrl"]
    send = ("send-message", "--queue-url", url, "--message-group-id", "g", "--message-body", "a")
    first = aws(*send, "--message-deduplication-id", "id-1")
    assert aws(*send, "--message-deduplication-id", "id-1") == first
    assert re.fullmatch(r"\d{20}", first["SequenceNumber"])
    received = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]
    assert [message["MessageId"] for message in received] == [first["MessageId"]]


def test_permissions_are_added_to_the_policy_and_removed(aws, sqs, queue):
    label = ("--queue-url", queue, "--label", "readers")
    grant = ("--aws-account-ids", "111122223333", "--actions", "ReceiveMessage")
    assert aws("add-permission", *label, *grant) is None
    (statement,) = json.loads(attribute(sqs, queue, "Policy"))["Statement"]
    assert statement["Sid"] == "readers"
    assert statement["Principal"] == {"AWS": "arn:aws:iam::111122223333:root"}
    assert statement["Action"] == "SQS:ReceiveMessage"
    assert aws("remove-permission", *label) is None
    assert attribute(sqs, queue, "Policy") is None


def test_dead_letters_are_moved_back_and_the_move_is_cancelled(aws, sqs, queue, queue_name):
    source = sqs.create_queue(QueueName=f"{queue_name}-source")["QueueUrl"]
    arn = attribute(sqs, queue, "QueueArn")
    policy = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 1})
    sqs.set_queue_attributes(QueueUrl=source, Attributes={"RedrivePolicy": policy})
    assert aws("list-dead-letter-source-queues", "--queue-url", queue)["queueUrls"] == [source]
    total = 200
    for _ in range(total // 10):
        entries = [{"Id": str(number), "MessageBody": "dead"} for number in range(10)]
        sqs.send_message_batch(QueueUrl=queue, Entries=entries)
    target = ("--source-arn", arn, "--destination-arn", attribute(sqs, source, "QueueArn"))
    handle = aws("start-message-move-task", *target, "--max-number-of-messages-per-second", "1")[
        "TaskHandle"
    ]
    (task,) = aws("list-message-move-tasks", "--source-arn", arn)["Results"]
    assert task["Status"] == "RUNNING"
    assert task["TaskHandle"] == handle
    assert task["MaxNumberOfMessagesPerSecond"] == 1
    cancelled = aws("cancel-message-move-task", "--task-handle", handle)
    assert 0 <= cancelled["ApproximateNumberOfMessagesMoved"] < total
    newest_task(sqs, arn, "CANCELLED")
    sqs.start_message_move_task(SourceArn=arn, DestinationArn=attribute(sqs, source, "QueueArn"))
    newest_task(sqs, arn, "COMPLETED")
    assert counts(sqs, queue) == (0, 0, 0)
    assert counts(sqs, source) == (total, 0, 0)


def test_a_refused_command_shows_code_operation_and_text(run, queue):
    done = run("get-queue-url", "--queue-name", "there-is-no-such-queue")
    assert done.returncode == EXIT_REFUSED
    assert (
        "An error occurred (AWS.SimpleQueueService.NonExistentQueue) when calling the GetQueueUrl "
        "operation: The specified queue does not exist."
    ) in done.stderr
    done = run("delete-message", "--queue-url", queue, "--receipt-handle", "x")
    assert done.returncode == EXIT_REFUSED
    assert "(ReceiptHandleIsInvalid) when calling the DeleteMessage operation" in done.stderr


def attribute(sqs: Any, url: str, name: str) -> Any:
    shown = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=[name])
    return shown.get("Attributes", {}).get(name)


def counts(sqs: Any, url: str) -> tuple[int, ...]:
    """Visible, in flight, delayed."""
    names = [f"ApproximateNumberOfMessages{name}" for name in ("", "NotVisible", "Delayed")]
    shown = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
    return tuple(int(shown[name]) for name in names)


def newest_task(sqs: Any, arn: str, status: str) -> Any:
    """The newest move task, when it has come to this status."""
    deadline = time.monotonic() + SECONDS_MAX
    while True:
        task = sqs.list_message_move_tasks(SourceArn=arn)["Results"][0]
        if task["Status"] == status:
            return task
        assert time.monotonic() < deadline, task
        time.sleep(0.05)
