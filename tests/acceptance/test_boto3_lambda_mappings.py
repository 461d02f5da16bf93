"""boto3 against a real daemon: functions are invoked with what arrives in queues and streams."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.conftest import Daemon, client_for
from tests.acceptance.lambda_functions import (
    NOTING,
    Notes,
    create_function,
    enabled,
    gone,
    wait_for,
)

QUEUES = "arn:aws:sqs:us-east-1:000000000000:"
STREAMS = "arn:aws:kinesis:us-east-1:000000000000:stream/"
CODE = (
    NOTING
    + """\
import base64

def body(record):
    if "body" in record:
        return record["body"]
    return base64.b64decode(record["kinesis"]["data"]).decode()

def handler(event, context):
    note(event)
    bodies = [body(record) for record in event["Records"]]
    if "poison" in bodies:
        raise ValueError("poison")
    return {
        "batchItemFailures": [
            {"itemIdentifier": record["messageId"]}
            for record in event["Records"]
            if "messageId" in record and record["body"].startswith("fail")
        ]
    }
"""
)


@pytest.fixture(scope="session")
def lambdas(clients: Callable[..., Any]) -> Any:
    return clients("lambda")


@pytest.fixture(scope="session")
def kinesis(clients: Callable[..., Any]) -> Any:
    return clients("kinesis")


@pytest.fixture
def notes(tmp_path: Path) -> Notes:
    return Notes(tmp_path / "notes")


@pytest.fixture
def name(lambdas: Any, queue_name: str, notes: Notes) -> Iterator[str]:
    """A name that no other test uses, of a function."""
    short = queue_name[-60:]
    create_function(lambdas, short, CODE, Timeout=3, Environment=notes.environment)
    yield short
    lambdas.delete_function(FunctionName=short)


@pytest.fixture
def queue(sqs: Any, name: str) -> str:
    url: str = sqs.create_queue(QueueName=name, Attributes={"VisibilityTimeout": "3"})["QueueUrl"]
    return url


@pytest.fixture
def stream(kinesis: Any, name: str) -> Iterator[str]:
    """A stream of one shard."""
    kinesis.create_stream(StreamName=name, ShardCount=1)
    kinesis.get_waiter("stream_exists").wait(StreamName=name)
    yield name
    kinesis.delete_stream(StreamName=name)


@pytest.fixture
def connect(lambdas: Any) -> Iterator[Callable[..., str]]:
    """Makes mappings, which are deleted after the test; returns their UUIDs."""
    made: list[str] = []

    def connected(name: str, source: str, **members: Any) -> str:
        mapping = lambdas.create_event_source_mapping(
            FunctionName=name, EventSourceArn=source, **members
        )
        made.append(mapping["UUID"])
        enabled(lambdas, mapping["UUID"])
        return made[-1]

    yield connected
    for uuid in made:
        gone(lambdas, uuid)


def records(noted: list[Any]) -> list[Any]:
    return [record for event in noted for record in event["Records"]]


def bodies(noted: list[Any]) -> list[str]:
    return [record["body"] for record in records(noted)]


def left(sqs: Any, url: str) -> int:
    """Messages in a queue, whatever their state."""
    names = [
        "ApproximateNumberOfMessages",
        "ApproximateNumberOfMessagesNotVisible",
        "ApproximateNumberOfMessagesDelayed",
    ]
    told = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
    return sum(map(int, told.values()))


# Queues


def test_messages_reach_the_function_as_on_aws_and_are_deleted(
    lambdas: Any, sqs: Any, name: str, queue: str, connect: Callable[..., str], notes: Notes
) -> None:
    connect(name, QUEUES + name)
    sent = sqs.send_message(
        QueueUrl=queue,
        MessageBody="hello",
        MessageAttributes={"n": {"DataType": "Number", "StringValue": "6"}},
    )
    (event,) = notes.wait(bool)
    (record,) = event["Records"]
    assert record["receiptHandle"]
    assert {k: v for k, v in record.items() if k not in ("receiptHandle", "attributes")} == {
        "messageId": sent["MessageId"],
        "body": "hello",
        "messageAttributes": {
            "n": {
                "stringValue": "6",
                "stringListValues": [],
                "binaryListValues": [],
                "dataType": "Number",
            }
        },
        "md5OfMessageAttributes": sent["MD5OfMessageAttributes"],
        "md5OfBody": sent["MD5OfMessageBody"],
        "eventSource": "aws:sqs",
        "eventSourceARN": QUEUES + name,
        "awsRegion": "us-east-1",
    }
    assert record["attributes"]["ApproximateReceiveCount"] == "1"
    wait_for(lambda: left(sqs, queue), lambda count: count == 0)


def test_a_batch_is_gathered_in_its_window(
    sqs: Any, name: str, queue: str, connect: Callable[..., str], notes: Notes
) -> None:
    connect(name, QUEUES + name, BatchSize=20, MaximumBatchingWindowInSeconds=300)
    for start in (0, 10):
        entries = [{"Id": str(n), "MessageBody": str(n)} for n in range(start, start + 10)]
        sqs.send_message_batch(QueueUrl=queue, Entries=entries)
    (event,) = notes.wait(bool)
    assert sorted(bodies([event]), key=int) == list(map(str, range(20)))


def test_only_the_messages_that_failed_come_again_and_end_in_the_dead_letter_queue(
    sqs: Any, name: str, queue: str, connect: Callable[..., str], notes: Notes
) -> None:
    dead = sqs.create_queue(QueueName=f"{name[-70:]}-dead")["QueueUrl"]
    policy = {"deadLetterTargetArn": f"{QUEUES}{name[-70:]}-dead", "maxReceiveCount": 2}
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={"RedrivePolicy": json.dumps(policy)})
    connect(name, QUEUES + name, FunctionResponseTypes=["ReportBatchItemFailures"])
    entries = [{"Id": str(n), "MessageBody": b} for n, b in enumerate(("ok", "fail", "fine"))]
    sqs.send_message_batch(QueueUrl=queue, Entries=entries)
    (message,) = wait_for(
        lambda: sqs.receive_message(QueueUrl=dead, WaitTimeSeconds=5).get("Messages"), bool
    )
    assert message["Body"] == "fail"
    assert sorted(bodies(notes.read())) == ["fail", "fail", "fine", "ok"]
    assert left(sqs, queue) == 0


def test_what_the_filter_drops_is_deleted(
    sqs: Any, name: str, queue: str, connect: Callable[..., str], notes: Notes
) -> None:
    pattern = json.dumps({"body": {"kind": ["wanted"]}})
    connect(name, QUEUES + name, FilterCriteria={"Filters": [{"Pattern": pattern}]})
    for kind in ("other", "wanted", "third"):
        sqs.send_message(QueueUrl=queue, MessageBody=json.dumps({"kind": kind}))
    wait_for(lambda: left(sqs, queue), lambda count: count == 0)
    assert [json.loads(body)["kind"] for body in bodies(notes.read())] == ["wanted"]


def test_a_mapping_is_paused_changed_and_goes_on(
    lambdas: Any, sqs: Any, name: str, queue: str, connect: Callable[..., str], notes: Notes
) -> None:
    uuid = connect(name, QUEUES + name)
    lambdas.update_event_source_mapping(UUID=uuid, Enabled=False)
    enabled(lambdas, uuid, "Disabled")
    for n in range(5):
        sqs.send_message(QueueUrl=queue, MessageBody=str(n))
    assert notes.read() == []
    lambdas.update_event_source_mapping(UUID=uuid, Enabled=True, BatchSize=1)
    noted = notes.wait(lambda noted: len(noted) == 5)
    assert all(len(event["Records"]) == 1 for event in noted)
    assert sorted(bodies(noted)) == ["0", "1", "2", "3", "4"]


# Streams


def test_records_reach_the_function_in_order(
    lambdas: Any, kinesis: Any, name: str, stream: str, connect: Callable[..., str], notes: Notes
) -> None:
    put = [
        kinesis.put_record(StreamName=stream, Data=b"%d" % n, PartitionKey="k") for n in range(20)
    ]
    uuid = connect(name, STREAMS + name, StartingPosition="TRIM_HORIZON", BatchSize=7)
    noted = notes.wait(lambda noted: len(records(noted)) == 20)
    assert all(len(event["Records"]) <= 7 for event in noted)
    numbers = [record["kinesis"]["sequenceNumber"] for record in records(noted)]
    assert numbers == [record["SequenceNumber"] for record in put]
    record = records(noted)[0]
    assert record["eventID"] == f"shardId-000000000000:{numbers[0]}"
    assert (record["eventSource"], record["eventName"]) == ("aws:kinesis", "aws:kinesis:record")
    assert record["eventSourceARN"] == STREAMS + name
    wait_for(
        lambda: lambdas.get_event_source_mapping(UUID=uuid)["LastProcessingResult"],
        lambda result: result == "OK",
    )


def test_a_poison_record_is_found_by_halves_and_put_aside(
    sqs: Any,
    kinesis: Any,
    name: str,
    queue: str,
    stream: str,
    connect: Callable[..., str],
    notes: Notes,
) -> None:
    data = [b"poison" if n == 5 else b"%d" % n for n in range(16)]
    put = kinesis.put_records(
        StreamName=stream, Records=[{"Data": each, "PartitionKey": "k"} for each in data]
    )["Records"]
    connect(
        name,
        STREAMS + name,
        StartingPosition="TRIM_HORIZON",
        BisectBatchOnFunctionError=True,
        MaximumRetryAttempts=0,
        DestinationConfig={"OnFailure": {"Destination": QUEUES + name}},
    )
    (message,) = wait_for(
        lambda: sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=5).get("Messages"), bool
    )
    batch = json.loads(message["Body"])["KinesisBatchInfo"]
    assert batch["batchSize"] == 1
    assert batch["startSequenceNumber"] == put[5]["SequenceNumber"]
    last = put[-1]["SequenceNumber"]
    noted = notes.wait(
        lambda noted: (
            any(r["kinesis"]["sequenceNumber"] == last for r in noted[-1]["Records"])
            and not any(
                r["kinesis"]["sequenceNumber"] == put[5]["SequenceNumber"]
                for r in noted[-1]["Records"]
            )
        )
    )
    poison = put[5]["SequenceNumber"]
    succeeded = [
        record["kinesis"]["sequenceNumber"]
        for event in noted
        if all(record["kinesis"]["sequenceNumber"] != poison for record in event["Records"])
        for record in event["Records"]
    ]
    assert sorted(succeeded, key=int) == [
        record["SequenceNumber"] for record in put if record["SequenceNumber"] != poison
    ]


# Life


def test_mappings_and_their_positions_outlive_the_daemon(own_daemon: Daemon, notes: Notes) -> None:
    lambdas, sqs, kinesis = (
        client_for(own_daemon.url, service) for service in ("lambda", "sqs", "kinesis")
    )
    create_function(lambdas, "work", CODE, Timeout=3, Environment=notes.environment)
    queue = sqs.create_queue(QueueName="orders")["QueueUrl"]
    kinesis.create_stream(StreamName="clicks", ShardCount=1)
    uuids = [
        lambdas.create_event_source_mapping(FunctionName="work", EventSourceArn=source, **members)[
            "UUID"
        ]
        for source, members in (
            (QUEUES + "orders", {}),
            (STREAMS + "clicks", {"StartingPosition": "TRIM_HORIZON"}),
        )
    ]
    kinesis.put_record(StreamName="clicks", Data=b"before", PartitionKey="k")
    sqs.send_message(QueueUrl=queue, MessageBody="before")
    notes.wait(lambda noted: len(noted) == 2)
    wait_for(
        lambda: lambdas.get_event_source_mapping(UUID=uuids[1])["LastProcessingResult"],
        lambda result: result == "OK",
    )
    wait_for(lambda: left(sqs, queue), lambda count: count == 0)
    own_daemon.kill()
    own_daemon.start()
    lambdas, sqs, kinesis = (
        client_for(own_daemon.url, service) for service in ("lambda", "sqs", "kinesis")
    )
    for uuid in uuids:
        enabled(lambdas, uuid)
    kinesis.put_record(StreamName="clicks", Data=b"after", PartitionKey="k")
    sqs.send_message(QueueUrl=f"{own_daemon.url}/000000000000/orders", MessageBody="after")
    noted = notes.wait(lambda noted: len(noted) == 4)
    assert len(records(noted[2:])) == 2, "what was done before is not done again"
