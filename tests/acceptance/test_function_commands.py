"""The commands of functions and mappings against a daemon."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import ANY

import pytest

from eventcore.codec import decode_json
from eventcore.server.cli import main
from tests.acceptance.lambda_functions import enabled, gone, wait_for

Run = Callable[..., tuple[int, str, str]]
CODE = """\
import os

def handler(event, context):
    print("working on", event)
    if event.get("bad"):
        raise ValueError("no such image")
    return {"size": event.get("size"), "bucket": os.environ.get("BUCKET")}

def batches(event, context):
    if any(record["kinesis"]["partitionKey"] == "bad" for record in event["Records"]):
        raise ValueError("bad")
"""


@pytest.fixture
def run(daemon: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command against the daemon: exit status, standard output and error."""

    def command(*arguments: str, stdin: str = "") -> tuple[int, str, str]:
        monkeypatch.setattr("sys.stdin", io.StringIO(stdin))
        status = main([*arguments, "--endpoint-url", daemon.url])
        shown = capsys.readouterr()
        return status, shown.out, shown.err

    return command


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "src"
    folder.mkdir()
    (folder / "images.py").write_text(CODE)
    return folder


@pytest.fixture
def lambdas(clients: Callable[..., Any]) -> Any:
    return clients("lambda")


@pytest.fixture
def name(lambdas: Any) -> Iterator[str]:
    """The name of a function, which is deleted at the end if it is there."""
    made = f"commands-{uuid.uuid4().hex}"
    yield made
    if made in {one["FunctionName"] for one in lambdas.list_functions()["Functions"]}:
        lambdas.delete_function(FunctionName=made)


def deploy(run: Run, name: str, path: Path, *options: str) -> str:
    status, out, err = run("functions", "deploy", name, str(path), *options)
    assert (status, err) == (0, "")
    return out.partition(":")[0]


def test_a_directory_becomes_a_function_that_is_invoked(
    run: Run, source: Path, name: str, lambdas: Any
) -> None:
    options = ("--handler", "images.handler", "--env", "BUCKET=a=b", "--timeout", "7")
    assert deploy(run, name, source, *options) == "created"
    seen = lambdas.get_function_configuration(FunctionName=name)
    assert (seen["State"], seen["Timeout"]) == ("Active", 7)
    status, out, err = run("functions", "invoke", name, '{"size": 1}')
    assert (status, json.loads(out)) == (0, {"size": 1, "bucket": "a=b"})
    assert "working on {'size': 1}\n" in err
    assert "REPORT RequestId: " in err
    status, out, _ = run("functions", "invoke", name, "-", stdin='{"size": 2}\n')
    assert (status, json.loads(out)["size"]) == (0, 2)
    status, out, _ = run("functions", "invoke", seen["FunctionArn"])
    assert (status, json.loads(out)["size"]) == (0, None)


def test_what_fails_is_exit_1_and_its_error_is_the_answer(
    run: Run, source: Path, name: str
) -> None:
    deploy(run, name, source / "images.py", "--handler", "images.handler")
    status, out, err = run("functions", "invoke", name, '{"bad": true}')
    assert (status, json.loads(out)["errorMessage"]) == (1, "no such image")
    assert "working on" in err
    status, out, _ = run("functions", "invoke", name, '{"bad": true}', "--json")
    seen = decode_json(out)
    assert (status, seen["error"], seen["version"]) == (1, "Unhandled", "$LATEST")
    assert "[ERROR] ValueError: no such image" in seen["log"]
    for arguments, reason in (
        ((name, "no json"), "InvalidRequestContentException"),
        ((name + "-not",), "ResourceNotFoundException"),
        ((name, "--qualifier", "7"), "ResourceNotFoundException"),
    ):
        status, out, err = run("functions", "invoke", *arguments)
        assert (status, out, reason in err) == (1, "", True)


def test_an_update_sends_what_is_another_and_no_more(
    run: Run, source: Path, name: str, lambdas: Any
) -> None:
    options = ("--handler", "images.handler", "--env", "BUCKET=a")
    deploy(run, name, source, *options)
    before = lambdas.get_function_configuration(FunctionName=name)
    assert deploy(run, name, source) == "unchanged"
    after = lambdas.get_function_configuration(FunctionName=name)
    assert after["RevisionId"] == before["RevisionId"]
    (source / "images.py").write_text(CODE.replace('{"size"', '{"width"'))
    assert deploy(run, name, source, "--memory", "256", "--env", "BIN=2") == "updated"
    after = lambdas.get_function_configuration(FunctionName=name)
    assert after["CodeSha256"] != before["CodeSha256"]
    assert (after["MemorySize"], after["Handler"]) == (256, "images.handler")
    assert after["Environment"]["Variables"] == {"BIN": "2"}
    _, out, _ = run("functions", "invoke", name, '{"width": 3}')
    assert json.loads(out) == {"width": None, "bucket": None}


def test_what_can_not_be_deployed_is_told(run: Run, source: Path, name: str, lambdas: Any) -> None:
    status, _, err = run("functions", "deploy", name, str(source))
    assert (status, "needs a --handler" in err) == (1, True)
    status, _, err = run("functions", "deploy", name, str(source / "nothing"))
    assert (status, "no file and no directory" in err) == (1, True)
    status, _, err = run("functions", "deploy", name, str(source), "--env", "novalue")
    assert (status, "--env must be NAME=VALUE" in err) == (2, True)
    deploy(run, name, source, "--handler", "images.handler")
    before = lambdas.get_function_configuration(FunctionName=name)
    (source / "images.py").write_text("")
    status, _, err = run("functions", "deploy", name, str(source), "--memory", "1")
    assert (status, "ValidationException" in err) == (1, True)
    assert lambdas.get_function_configuration(FunctionName=name) == before | {
        "ResponseMetadata": ANY
    }, "neither settings nor code are another"
    status, _, err = run(
        "functions", "deploy", name, str(source), "--handler", "a.b", "--runtime", "cobol"
    )
    assert (status, "cobol" in err) == (1, True)


def test_an_event_is_invoked_later_and_seen_in_the_log(run: Run, source: Path, name: str) -> None:
    deploy(run, name, source, "--handler", "images.handler")
    status, out, err = run("functions", "invoke", name, '{"size": 5}', "--later")
    assert (status, err) == (0, "")
    request_id = out.strip()

    def look() -> list[Any]:
        shown = run("functions", "logs", name, "--json")[1]
        return [decode_json(line) for line in shown.splitlines()]

    lines = wait_for(look, lambda seen: any("REPORT" in one["text"] for one in seen))
    assert {line["request_id"] for line in lines} == {request_id}
    assert "working on {'size': 5}" in [line["text"] for line in lines]
    _, out, _ = run("functions", "logs", name)
    assert "working on {'size': 5}\n" in out
    status, out, _ = run("functions", "list", name, "--json")
    seen = decode_json(out)
    assert (status, seen["kind"], seen["events"]["succeeded"]) == (0, "process", 1)
    assert (seen["counts"]["invocations"], seen["handler"]) == (1, "images.handler")
    status, out, _ = run("functions", "list")
    (row,) = [line for line in out.splitlines() if line.startswith(name)]
    assert row.split()[1:4] == ["process", seen["runtime"], "images.handler"]
    status, out, err = run("functions", "logs", name + "-not")
    assert (status, out, "ResourceNotFoundException" in err) == (1, "", True)


def test_a_log_is_followed_until_it_is_interrupted(
    run: Run, source: Path, name: str, daemon: Any
) -> None:
    deploy(run, name, source, "--handler", "images.handler")
    run("functions", "invoke", name, '{"size": 1}')
    with subprocess.Popen(
        [sys.executable, "-m", "eventcore", "functions", "logs", name, "--follow"],
        env={**os.environ, "AWS_ENDPOINT_URL": daemon.url},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                if "{'size': 1}" in line:
                    run("functions", "invoke", name, '{"size": 2}')
                if "{'size': 2}" in line:
                    break
            process.send_signal(2)
            assert process.wait(30) == 130
        finally:
            process.kill()


def test_mappings_are_listed_with_what_is_left(
    run: Run, source: Path, name: str, lambdas: Any, clients: Callable[..., Any]
) -> None:
    deploy(run, name, source, "--handler", "images.batches")
    kinesis, sqs = clients("kinesis"), clients("sqs")
    kinesis.create_stream(StreamName=name, ShardCount=1)
    stream = kinesis.describe_stream_summary(StreamName=name)["StreamDescriptionSummary"]
    queue = sqs.create_queue(QueueName=name)["QueueUrl"]
    attributes = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])
    made = [
        lambdas.create_event_source_mapping(
            FunctionName=name, EventSourceArn=stream["StreamARN"], StartingPosition="TRIM_HORIZON"
        )["UUID"],
        lambdas.create_event_source_mapping(
            FunctionName=name, EventSourceArn=attributes["Attributes"]["QueueArn"], Enabled=False
        )["UUID"],
    ]
    enabled(lambdas, made[0])
    enabled(lambdas, made[1], "Disabled")
    sqs.send_message(QueueUrl=queue, MessageBody="1")
    for number in range(3):
        kinesis.put_record(StreamName=name, Data=b"%d" % number, PartitionKey="bad")

    def lanes() -> list[Any]:
        out = run("mappings", "lag", made[0], "--json")[1]
        return [decode_json(line) for line in out.splitlines()]

    (lane,) = wait_for(lanes, lambda seen: seen and seen[0]["state"] == "blocked")
    assert (lane["uuid"], lane["behind_records"], lane["pending"] != []) == (made[0], 3, True)
    status, out, err = run("mappings", "lag", made[0])
    assert (status, err) == (0, "")
    head, titles, row = out.splitlines()
    assert head.startswith(f"{made[0]}  stream/{name} -> {name}  (Enabled, PROBLEM")
    assert titles.split()[:4] == ["shard", "lane", "state", "position"]
    assert row.split()[:5] == [
        "shardId-000000000000",
        "1/1",
        "blocked",
        lane["sequence_number"],
        "3",
    ]
    status, out, _ = run("mappings", "list", *made)
    titles, *rows = out.splitlines()
    assert [row.split()[1:4] for row in rows] == [
        ["Enabled", f"stream/{name}", name],
        ["Disabled", name, name],
    ]
    assert [row.split()[-2:] for row in rows] == [["3", "1"], ["1", "-"]]
    assert "PROBLEM: Function call failed" in rows[0]
    status, out, err = run("mappings", "lag", made[1])
    assert (status, out, "has no positions" in err) == (1, "", True)
    for one in made:
        gone(lambdas, one)
    status, _, err = run("mappings", "list", made[0])
    assert (status, "ResourceNotFoundException" in err) == (1, True)
    kinesis.delete_stream(StreamName=name)
    sqs.delete_queue(QueueUrl=queue)


@pytest.mark.parametrize(
    "arguments", [("functions", "list"), ("mappings", "list"), ("mappings", "lag")]
)
def test_an_endpoint_without_our_door_is_told(
    arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    status = main([*arguments, "--endpoint-url", "http://127.0.0.1:9"])
    shown = capsys.readouterr()
    assert (status, shown.out, "http://127.0.0.1:9" in shown.err) == (1, "", True)
