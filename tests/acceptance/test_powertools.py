"""aws-lambda-powertools as it is: batch processors, data classes, parsers and its logger, in
handlers of the embedding program, and in functions that a daemon runs from a zip.
"""

from __future__ import annotations

import asyncio
import base64
import json
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import eventcore
from eventcore import OutgoingMessage, OutgoingRecord
from tests.acceptance import powertools_handlers as handlers
from tests.acceptance.lambda_functions import Notes, create_function, enabled, gone

ACCOUNT = "000000000000"
QUEUES = f"arn:aws:sqs:us-east-1:{ACCOUNT}:"
STREAMS = f"arn:aws:kinesis:us-east-1:{ACCOUNT}:stream/"
RUNTIME = f"python3.{sys.version_info[1]}"
"""The interpreter that has the library; another version of Python would have to bring it."""
CODE = Path(handlers.__file__).read_text(encoding="utf-8")
VISIBLE_AGAIN_S = 3
"""After so long a message that failed comes again; a function must not take longer."""
REPORTING = {"FunctionResponseTypes": ["ReportBatchItemFailures"]}


@pytest.fixture
def notes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Notes:
    """What handlers noted, wherever they run."""
    path = tmp_path / "notes"
    monkeypatch.setenv("NOTES", str(path))
    return Notes(path)


# What both have to show


def check_queue(noted: list[Any]) -> None:
    """Five messages, the third of which fails once."""
    assert sorted(noted) == [
        ["1", 1],
        ["2", 1],
        ["4", 1],
        ["5", 1],
        ["bad", 1],
        ["bad", 2],
    ]
    assert noted[-1] == ["bad", 2]


def check_group(noted: list[Any]) -> None:
    """The second of three messages of a group fails once and is not overtaken."""
    of_group = [body for body, _ in noted if body in ("a1", "bad-a2", "a3")]
    assert of_group == ["a1", "bad-a2", "bad-a2", "a3"]


def check_stream(noted: list[Any]) -> None:
    """The third of five records fails once: it comes again with all that follow, in order."""
    assert noted == ["1", "2", "bad", "4", "5", "bad", "4", "5"]


def check_queue_class(noted: Any, body: str, sent_at: datetime) -> None:
    """What the class of SQS's events tells of one message of a FIFO queue."""
    assert noted["handle"]
    assert (noted["body"], noted["json"]) == (body, json.loads(body))
    assert noted["source"] == ["aws:sqs", f"{QUEUES}typed.fifo", "us-east-1"]
    assert noted["queue"] == f"https://sqs.us-east-1.amazonaws.com/{ACCOUNT}/typed.fifo"
    for at in (noted["sent"], noted["received"]):
        assert int(at) >= int(sent_at.timestamp() * 1000)
    group, deduplication, sequence = noted["fifo"]
    assert (group, deduplication) == ("g", "d")
    assert len(sequence) == 20
    assert noted["attributes"] == {
        "n": ["Number", "6"],
        "raw": ["Binary", base64.b64encode(b"\x00\xff").decode()],
    }
    assert len(noted["md5"][0]) == len(noted["md5"][1]) == 32


def check_queue_model(noted: Any, body: str) -> None:
    """What the model of SQS's events makes of one message."""
    assert (noted["body"], noted["eventSource"]) == (body, "aws:sqs")
    assert noted["eventSourceARN"].startswith(QUEUES)
    assert noted["awsRegion"] == "us-east-1"
    assert noted["attributes"]["ApproximateReceiveCount"] == "1"
    assert datetime.fromisoformat(noted["attributes"]["SentTimestamp"]).tzinfo is not None


def check_stream_class(noted: Any, number: str) -> None:
    """What the class of Kinesis's events tells of one record."""
    assert noted["id"] == f"shardId-000000000000:{number}"
    assert noted["source"] == ["aws:kinesis", f"{STREAMS}typed", "us-east-1"]
    # A function of the program has no role.
    assert noted["name"] == ["aws:kinesis:record", "1.0", ""]
    assert (noted["data"], noted["key"], noted["number"]) == ({"n": 1}, "k", number)
    assert noted["arrived"] > 1_000_000_000
    assert noted["schema"] == "1.0"


# In the embedding program


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not is_so():
            await asyncio.sleep(0.005)


async def test_batches_of_a_queue_in_a_program(notes):
    for handler in (handlers.from_queue, handlers.from_queue_async):
        begun = len(notes.read())
        async with eventcore.open() as broker:
            queue = await broker.create_queue("orders", visibility_timeout_ms=300)
            broker.map("orders", batch_size=10, report_failures=True)(handler)
            await queue.send_many(["1", "2", "bad", "4", "5"])
            async with broker.running():
                await until(lambda: len(notes.read()) == begun + 6)  # noqa: B023  (awaited here)
        check_queue(notes.read()[begun:])


async def test_batches_of_a_fifo_queue_in_a_program(notes):
    """Of one group: the processors belong to the module, and no two threads may use one at a time;
    processes each have their own.
    """
    for handler in (handlers.from_fifo, handlers.from_fifo_by_group):
        begun = len(notes.read())
        async with eventcore.open() as broker:
            queue = await broker.create_queue("orders.fifo", visibility_timeout_ms=300)
            broker.map("orders.fifo", batch_size=10, report_failures=True)(handler)
            await queue.send_many(
                [
                    OutgoingMessage(body, group_id="a", deduplication_id=body)
                    for body in ("a1", "bad-a2", "a3")
                ]
            )
            async with broker.running():
                await until(lambda: len(notes.read()) == begun + 4)  # noqa: B023  (awaited here)
        check_group(notes.read()[begun:])


async def test_batches_of_a_stream_in_a_program(notes):
    async with eventcore.open() as broker:
        stream = await broker.streams.create("clicks")
        await stream.put_many(
            [OutgoingRecord(b.encode(), "k") for b in ("1", "2", "bad", "4", "5")]
        )
        broker.map("stream/clicks", start="TRIM_HORIZON", report_failures=True)(
            handlers.from_stream
        )
        async with broker.running():
            await until(lambda: len(notes.read()) == 8)
    check_stream(notes.read())


async def test_data_classes_and_parsers_in_a_program(notes):
    sent_at = datetime.now(UTC)
    async with eventcore.open() as broker:
        typed = await broker.create_queue("typed.fifo")
        queue = await broker.create_queue("parsed")
        stream = await broker.streams.create("typed")
        for source, handler in (
            ("typed.fifo", handlers.queue_data_class),
            ("parsed", handlers.queue_model),
            ("stream/typed", handlers.stream_data_class),
        ):
            start = {"start": "TRIM_HORIZON"} if source.startswith("stream") else {}
            broker.map(source, **start)(handler)
        async with broker.running():
            await typed.send(
                "[1]",
                group_id="g",
                deduplication_id="d",
                attributes={"n": 6, "raw": b"\x00\xff"},
            )
            await until(lambda: len(notes.read()) == 1)
            await queue.send("text")
            await until(lambda: len(notes.read()) == 2)
            put = await stream.put(b'{"n": 1}', partition_key="k")
            await until(lambda: len(notes.read()) == 3)
    of_class, of_model, of_stream = notes.read()
    check_queue_class(of_class, "[1]", sent_at)
    check_queue_model(of_model, "text")
    check_stream_class(of_stream, put.sequence_number)


# In functions that a daemon runs


@pytest.fixture(scope="session")
def lambdas(clients: Callable[..., Any]) -> Any:
    return clients("lambda")


@pytest.fixture(scope="session")
def kinesis(clients: Callable[..., Any]) -> Any:
    return clients("kinesis")


Made = tuple[str, Notes]


@pytest.fixture
def create(lambdas: Any, queue_name: str, tmp_path: Path) -> Iterator[Callable[[str], Made]]:
    """Makes a function of the module, with one of its handlers: its name, and what it notes."""
    made: list[str] = []

    def created(handler: str) -> Made:
        name = f"{queue_name[-40:]}-{handler}"[-64:].strip("-")
        noted = Notes(tmp_path / handler)
        create_function(
            lambdas,
            name,
            CODE,
            Runtime=RUNTIME,
            Handler=f"app.{handler}",
            Environment=noted.environment,
            Timeout=VISIBLE_AGAIN_S,
        )
        made.append(name)
        return name, noted

    yield created
    for name in made:
        lambdas.delete_function(FunctionName=name)


@pytest.fixture
def connect(lambdas: Any) -> Iterator[Callable[..., str]]:
    """Makes mappings, which are deleted after the test."""
    made: list[str] = []

    def connected(function: str, source: str, **members: Any) -> str:
        mapping = lambdas.create_event_source_mapping(
            FunctionName=function, EventSourceArn=source, **members
        )
        made.append(mapping["UUID"])
        enabled(lambdas, made[-1])
        return made[-1]

    yield connected
    for uuid in made:
        gone(lambdas, uuid)


@pytest.fixture
def stream(kinesis: Any, queue_name: str) -> Iterator[str]:
    """A stream of one shard."""
    name = queue_name[-60:]
    kinesis.create_stream(StreamName=name, ShardCount=1)
    kinesis.get_waiter("stream_exists").wait(StreamName=name)
    yield name
    kinesis.delete_stream(StreamName=name)


def queue_for(sqs: Any, function: str, **attributes: str) -> tuple[str, str]:
    """A queue named as its function is: its URL, and its ARN."""
    name = function + (".fifo" if "FifoQueue" in attributes else "")
    attributes = {"VisibilityTimeout": str(VISIBLE_AGAIN_S), **attributes}
    url: str = sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
    return url, QUEUES + name


def send(sqs: Any, url: str, bodies: list[str], *, is_fifo: bool = False) -> None:
    entries: list[dict[str, str]] = []
    for number, body in enumerate(bodies):
        of_group = {"MessageGroupId": body[-2], "MessageDeduplicationId": body} if is_fifo else {}
        entries.append({"Id": str(number), "MessageBody": body, **of_group})
    assert "Failed" not in sqs.send_message_batch(QueueUrl=url, Entries=entries)


def test_batches_of_a_queue_in_a_function(sqs, create, connect):
    noted = []
    for handler in ("from_queue", "from_queue_async"):
        function, notes = create(handler)
        url, arn = queue_for(sqs, function)
        send(sqs, url, ["1", "2", "bad", "4", "5"])
        connect(function, arn, BatchSize=10, **REPORTING)
        noted.append(notes)
    for notes in noted:
        check_queue(notes.wait(lambda noted: len(noted) == 6))


def test_batches_of_a_fifo_queue_in_a_function(sqs, create, connect):
    noted = []
    for handler in ("from_fifo", "from_fifo_by_group"):
        function, notes = create(handler)
        url, arn = queue_for(sqs, function, FifoQueue="true")
        send(sqs, url, ["a1", "b1", "bad-a2", "a3", "b2"], is_fifo=True)
        connect(function, arn, BatchSize=10, **REPORTING)
        noted.append(notes)
    for notes in noted:
        both = notes.wait(lambda noted: len(noted) == 6)
        check_group(both)
        assert [body for body, _ in both if body in ("b1", "b2")] == ["b1", "b2"]


def test_batches_of_a_stream_in_a_function(kinesis, create, connect, stream):
    records = [{"Data": b, "PartitionKey": "k"} for b in ("1", "2", "bad", "4", "5")]
    kinesis.put_records(StreamName=stream, Records=records)
    function, notes = create("from_stream")
    connect(function, STREAMS + stream, StartingPosition="TRIM_HORIZON", **REPORTING)
    check_stream(notes.wait(lambda noted: len(noted) == 8))


def test_bodies_that_are_no_orders_are_tried_again_until_they_are_dead(sqs, create, connect):
    function, notes = create("orders")
    dead, dead_arn = queue_for(sqs, f"{function[-70:]}-dead")
    policy = json.dumps({"deadLetterTargetArn": dead_arn, "maxReceiveCount": 1})
    url, arn = queue_for(sqs, function, RedrivePolicy=policy)
    send(sqs, url, ['{"id": 1}', '{"id": "one"}', "no json", '{"id": 2}'])
    connect(function, arn, **REPORTING)
    left: list[str] = []
    while len(left) < 2:
        answer = sqs.receive_message(QueueUrl=dead, WaitTimeSeconds=10, MaxNumberOfMessages=10)
        assert "Messages" in answer
        left += [message["Body"] for message in answer["Messages"]]
    assert sorted(left) == ["no json", '{"id": "one"}']
    assert sorted(notes.read()) == [1, 2]


def test_data_classes_and_parsers_in_a_function(sqs, kinesis, create, connect, stream):
    parsed, of_model = create("queue_model")
    url, arn = queue_for(sqs, parsed)
    connect(parsed, arn)
    attributes = {"a": {"DataType": "String", "StringValue": "x"}}
    sent = sqs.send_message(QueueUrl=url, MessageBody="text", MessageAttributes=attributes)
    function, of_stream = create("stream_model")
    connect(function, STREAMS + stream, StartingPosition="TRIM_HORIZON")
    put = kinesis.put_record(StreamName=stream, Data=b"data", PartitionKey="k")
    (message,) = of_model.wait(bool)
    check_queue_model(message, "text")
    assert message["messageId"] == sent["MessageId"]
    assert message["md5OfMessageAttributes"] == sent["MD5OfMessageAttributes"]
    (record,) = of_stream.wait(bool)
    assert record["kinesis"]["data"] == "data"
    assert record["kinesis"]["sequenceNumber"] == put["SequenceNumber"]
    assert record["eventSourceARN"] == STREAMS + stream


def test_the_logger_writes_json_with_the_request_id(lambdas, create):
    function, _ = create("logged")
    answer = lambdas.invoke(FunctionName=function, Payload=b'{"id": 5}', LogType="Tail")
    assert json.loads(answer["Payload"].read()) == function
    request_id = answer["ResponseMetadata"]["RequestId"]
    tail = base64.b64decode(answer["LogResult"]).decode()
    event, placed = (json.loads(line) for line in tail.splitlines() if line.startswith("{"))
    assert event["message"] == {"id": 5}
    assert (placed["message"], placed["order"], placed["cold_start"]) == ("placed", 5, True)
    assert placed["function_request_id"] == request_id
    assert placed["function_arn"].endswith(f":function:{function}")
