"""The side doors of a real daemon, as existing test code and wait scripts come through them."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.exceptions import ClientError

from tests.acceptance.conftest import Daemon, client_for

MESSAGES = "/_aws/sqs/messages"


@pytest.fixture
def connection(daemon: Daemon) -> Iterator[http.client.HTTPConnection]:
    """One connection, kept alive over all requests of a test."""
    opened = http.client.HTTPConnection(urlsplit(daemon.url).netloc, timeout=60)
    yield opened
    opened.close()


def get(
    connection: http.client.HTTPConnection, target: str, method: str = "GET"
) -> tuple[int, Any, bytes]:
    connection.request(method, target, headers={"accept": "application/json"})
    answer = connection.getresponse()
    return answer.status, answer.headers, answer.read()


def test_a_client_pointed_at_the_door_receives_nothing_and_sees_everything(
    daemon: Daemon, sqs: Any, queue_name: str
) -> None:
    url = sqs.create_queue(QueueName=queue_name)["QueueUrl"]
    for number in range(25):
        sqs.send_message(QueueUrl=url, MessageBody=str(number))
    sqs.receive_message(QueueUrl=url)
    for target, count in ((MESSAGES, 24), (f"{MESSAGES}?ShowInvisible=true", 25)):
        door = client_for(daemon.url + target, "sqs")
        for _ in range(2):
            shown = door.receive_message(QueueUrl=url, MaxNumberOfMessages=1)["Messages"]
            assert len(shown) == count  # boto3 has checked the digests
            assert {one["Attributes"]["ApproximateReceiveCount"] for one in shown} <= {"0", "1"}
    with pytest.raises(ClientError, match="NonExistentQueue"):
        door.receive_message(QueueUrl=url + "-not")
    with pytest.raises(ClientError, match="Only ReceiveMessage is served here"):
        door.purge_queue(QueueUrl=url)
    with pytest.raises(ClientError, match="ReceiptHandleIsInvalid"):
        sqs.delete_message(QueueUrl=url, ReceiptHandle=shown[0]["ReceiptHandle"])


def test_wait_scripts_and_pages_come_over_one_connection(
    connection: http.client.HTTPConnection, sqs: Any, queue_name: str
) -> None:
    sqs.create_queue(QueueName=queue_name)
    status, _, body = get(connection, "/_localstack/health")
    assert (status, b'"sqs": "running"' in body) == (200, True)
    status, headers, body = get(connection, "/_localstack/health", "HEAD")
    assert (status, body, int(headers["content-length"]) > 0) == (200, b"", True)
    assert b'"completed": true' in get(connection, "/_localstack/init/ready")[2]
    path = f"/_eventcore/queues/000000000000/us-east-1/{queue_name}"
    assert json.loads(get(connection, path)[2])["visible"] == 0
    status, headers, _ = get(connection, path, "DELETE")
    assert (status, headers["allow"]) == (405, "GET, HEAD")


def test_a_client_that_leaves_during_a_long_look_disturbs_nobody(
    daemon: Daemon, connection: http.client.HTTPConnection, sqs: Any, queue_name: str
) -> None:
    url = sqs.create_queue(QueueName=queue_name)["QueueUrl"]
    for _ in range(30):
        entries = [{"Id": str(n), "MessageBody": "x" * 1_000} for n in range(10)]
        sqs.send_message_batch(QueueUrl=url, Entries=entries)
    target = f"{MESSAGES}?QueueUrl={url}"
    for _ in range(20):
        gone = http.client.HTTPConnection(urlsplit(daemon.url).netloc, timeout=60)
        gone.request("GET", target)
        gone.close()
    status, headers, body = get(connection, target)
    assert (status, "x-eventcore-truncated" in headers) == (200, False)
    messages = json.loads(body)["ReceiveMessageResponse"]["ReceiveMessageResult"]["Message"]
    assert len(messages) == 300


def test_quotas_are_switched_by_name(tmp_path: Path, connect: Callable[..., Any]) -> None:
    daemon = Daemon(
        tmp_path / "data", "--strictness", "aws", "--quota", "purge_interval_ms=off",
        "--quota", "in_flight_max=2",
    )  # fmt: skip
    daemon.start()
    try:
        sqs = connect(daemon.url, "sqs")
        url = sqs.create_queue(QueueName="orders")["QueueUrl"]
        for _ in range(2):
            sqs.purge_queue(QueueUrl=url)
        for _ in range(3):
            sqs.send_message(QueueUrl=url, MessageBody="x")
        for _ in range(2):
            assert len(sqs.receive_message(QueueUrl=url)["Messages"]) == 1
        with pytest.raises(ClientError, match="OverLimit"):
            sqs.receive_message(QueueUrl=url)
        sqs.delete_queue(QueueUrl=url)
        with pytest.raises(ClientError, match="QueueDeletedRecently"):
            sqs.create_queue(QueueName="orders")
    finally:
        daemon.kill()
