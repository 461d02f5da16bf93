"""send, receive, put-events and peek, against a daemon and its file."""

from __future__ import annotations

import io
import sqlite3
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from eventcore.codec import decode_json
from eventcore.server.cli import main

Run = Callable[..., tuple[int, str, str]]


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
def queue(sqs: Any) -> str:
    name = f"commands-{uuid.uuid4().hex}"
    sqs.create_queue(QueueName=name)
    return name


def test_a_body_of_the_command_line_comes_out(run: Run, queue: str) -> None:
    assert run("send", queue, "hello") == (0, "", "1 sent\n")
    assert run("receive", queue, "--delete") == (0, "hello\n", "")
    assert run("receive", queue) == (0, "", "")


def test_standard_input_is_one_body_or_one_per_line(run: Run, queue: str) -> None:
    lines = "".join(f"line {number}\n" for number in range(23))
    assert run("send", queue, stdin="two\nlines\n")[0] == 0
    assert run("send", queue, "--lines", stdin=lines)[2] == "23 sent\n"
    status, out, _ = run("receive", queue, "--max", "30", "--delete")
    assert (status, sorted(out.splitlines())) == (0, sorted(["two", "lines", *lines.splitlines()]))


def test_json_output_has_what_deletes_the_message_and_its_attributes(run: Run, queue: str) -> None:
    sent = decode_json(run("send", queue, "a", "--attribute", "kind=x=y", "--json")[1])
    received = decode_json(run("receive", queue, "--json")[1])
    assert received["message_id"] == sent["message_id"]
    assert received["message_attributes"]["kind"]["StringValue"] == "x=y"
    assert received["receipt_handle"]


def test_a_delayed_message_is_not_there_yet(run: Run, queue: str) -> None:
    assert run("send", queue, "later", "--delay", "60")[0] == 0
    assert run("receive", queue) == (0, "", "")


def test_what_the_endpoint_refuses_is_one_line_and_status_1(run: Run) -> None:
    status, out, err = run("receive", "no-such-queue")
    assert (status, out) == (1, "")
    assert "QueueDoesNotExist" in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("command", [["send", "q", "x"], ["receive", "q"]])
def test_no_endpoint_is_status_1(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*command, "--endpoint-url", "http://127.0.0.1:9"]) == 1
    assert "127.0.0.1:9" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ("send", "q", "x", "--attribute", "nothing"),
        ("receive", "q", "--max", "0"),
        ("put-events", "{}"),
        ("put-events", "--source", "a", "--detail-type", "b", "no json"),
        ("put-events", "--source", "a", "--detail-type", "b", "[1]"),
    ],
)
def test_bad_arguments_are_status_2(run: Run, arguments: tuple[str, ...]) -> None:
    status, out, err = run(*arguments)
    assert (status, out) == (2, "")
    assert err.startswith(f"eventcore {arguments[0]}: ")


@pytest.fixture
def source(clients: Callable[..., Any], sqs: Any, queue: str) -> str:
    """An event source whose events go to the queue."""
    events = clients("events")
    url = sqs.get_queue_url(QueueName=queue)["QueueUrl"]
    attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]
    events.put_rule(Name=queue, EventPattern=f'{{"source": ["{queue}"]}}')
    events.put_targets(Rule=queue, Targets=[{"Id": "q", "Arn": attributes["QueueArn"]}])
    return queue


def test_details_and_whole_entries_are_put(run: Run, source: str, queue: str) -> None:
    options = ["--source", source, "--detail-type", "T"]
    entries = f'{{"Source": "{source}", "Detail": {{"n": 2}}}}\n{{"Detail": "{{\\"n\\": 3}}"}}\n'
    assert run("put-events", *options, '{"n": 1}') == (0, "", "1 put, 0 refused\n")
    assert run("put-events", *options, "--entries", stdin=entries)[2] == "2 put, 0 refused\n"
    bodies = run("receive", queue, "--max", "10")[1].splitlines()
    assert sorted(decode_json(body)["detail"]["n"] for body in bodies) == [1, 2, 3]


def test_a_refused_entry_is_reported_and_status_1(run: Run, source: str) -> None:
    entries = '{"Detail": {}, "Source": ""}\n{"Detail": {}}\n'
    options = ["--source", source, "--detail-type", "T", "--entries", "--json"]
    status, out, err = run("put-events", *options, stdin=entries)
    results = [decode_json(line) for line in out.splitlines()]
    assert status == 1
    assert [bool(result["event_id"]) for result in results] == [False, True]
    assert "put-events" in err


def test_peek_shows_states_and_changes_nothing(
    own_daemon: Any, connect: Callable[..., Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sqs = connect(own_daemon.url, "sqs")
    url = sqs.create_queue(QueueName="peeked")["QueueUrl"]
    for body, delay in (("a", 0), ("b", 0), ("c", 60)):
        sqs.send_message(QueueUrl=url, MessageBody=body, DelaySeconds=delay)
    sqs.receive_message(QueueUrl=url)
    shown = []
    for _ in ("live", "after a kill", "again"):
        assert main(["peek", "peeked", "--data", str(tmp_path / "data"), "--json"]) == 0
        shown.append([decode_json(line) for line in capsys.readouterr().out.splitlines()])
        own_daemon.kill()
    assert [(one["body"], one["state"], one["receives"]) for one in shown[0]] == [
        ("a", "in flight", 1),
        ("b", "visible", 0),
        ("c", "delayed", 0),
    ]
    assert shown[0] == shown[1] == shown[2]


def test_peek_names_what_is_missing(
    own_daemon: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own_daemon.kill()
    assert main(["peek", "nope", "--data", str(tmp_path / "data")]) == 1
    assert "queue 'nope' does not exist" in capsys.readouterr().err
    assert main(["peek", "nope", "--data", str(tmp_path / "elsewhere")]) == 1
    assert "elsewhere" in capsys.readouterr().err


def test_peek_refuses_a_file_of_another_program(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "other.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE t (x)")
    connection.close()
    assert main(["peek", "q", "--data", str(path)]) == 1
    assert "not an eventcore file" in capsys.readouterr().err
