"""The commands that talk to a daemon: send, receive, put-events, peek, tail, stats, redrive, purge;
and peek at its file.
"""

from __future__ import annotations

import io
import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
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


@pytest.mark.parametrize(
    "command",
    [("receive",), ("peek",), ("tail",), ("redrive",), ("purge", "--yes"), ("stats",)],
)
def test_what_the_endpoint_refuses_is_one_line_and_status_1(
    run: Run, command: tuple[str, ...]
) -> None:
    status, out, err = run(*command, "no-such-queue")
    assert (status, out) == (1, "")
    assert "QueueDoesNotExist" in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    "command",
    [
        ["send", "q", "x"],
        ["receive", "q"],
        ["peek", "q"],
        ["tail", "q"],
        ["redrive", "q"],
        ["purge", "q", "--yes"],
        ["stats"],
        ["stats", "q"],
    ],
)
def test_no_endpoint_is_status_1(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*command, "--endpoint-url", "http://127.0.0.1:9"]) == 1
    assert "127.0.0.1:9" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ("send", "q", "x", "--attribute", "nothing"),
        ("send", "q.fifo", "--lines", "--deduplication-id", "x"),
        ("receive", "q", "--max", "0"),
        ("receive", "q.fifo", "--max", "11", "--attempt-id", "x"),
        ("peek", "q", "--max", "0"),
        ("tail", "q", "-n", "-1"),
        ("stats", "--watch", "0"),
        ("purge", "q"),
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


def test_peek_at_the_daemon_shows_what_is_in_its_file(
    own_daemon: Any, connect: Callable[..., Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sqs = connect(own_daemon.url, "sqs")
    url = sqs.create_queue(QueueName="peeked")["QueueUrl"]
    attributes = {"k": {"DataType": "Binary", "BinaryValue": b"\x00\xff"}}
    for number in range(30):
        sqs.send_message(QueueUrl=url, MessageBody=f"m\n{number}", MessageAttributes=attributes)
    sqs.send_message(QueueUrl=url, MessageBody="later", DelaySeconds=600)
    sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=3, VisibilityTimeout=600)
    fifo = sqs.create_queue(QueueName="peeked.fifo", Attributes={"FifoQueue": "true"})["QueueUrl"]
    for number in range(3):
        sqs.send_message(
            QueueUrl=fifo,
            MessageBody=str(number),
            MessageGroupId="g",
            MessageDeduplicationId=str(number),
        )
    sqs.receive_message(QueueUrl=fifo, VisibilityTimeout=600)
    for queue, count in (("peeked", 31), ("peeked.fifo", 3)):
        for form in ([], ["--json"]):
            shown = []
            for place in (
                ["--endpoint-url", own_daemon.url],
                ["--data", str(tmp_path / "data")],
            ):
                assert main(["peek", queue, "--max", "100", *form, *place]) == 0
                shown.append(capsys.readouterr().out)
            assert shown[0] == shown[1]
            assert len(shown[0].splitlines()) == count


def test_peek_takes_a_name_a_url_and_an_arn(run: Run, sqs: Any, queue: str) -> None:
    url = sqs.get_queue_url(QueueName=queue)["QueueUrl"]
    run("send", queue, "--lines", stdin="a\nb\nc\n")
    named = run("peek", queue, "--max", "2")
    assert named[0] == 0
    assert [line.split()[-3:] for line in named[1].splitlines()] == [
        ["visible", "0", "a"],
        ["visible", "0", "b"],
    ]
    assert run("peek", url, "--max", "2") == named
    assert run("peek", f"arn:aws:sqs:us-east-1:000000000000:{queue}", "--max", "2") == named


def test_an_endpoint_without_our_door_is_told_so(capsys: pytest.CaptureFixture[str]) -> None:
    class Elsewhere(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(404 if "orders" in self.path else 200)
            self.send_header("Content-Length", "6")
            self.end_headers()
            self.wfile.write(b"<html>")

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Elsewhere) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        for queues in ([], ["arn:aws:sqs:us-east-1:000000000000:orders"]):
            assert main(["stats", *queues, "--endpoint-url", url]) == 1
            error = capsys.readouterr().err
            assert "is not supported: is it an eventcore daemon?" in error
            assert error.count("\n") == 1
        server.shutdown()


# FIFO queues


@pytest.fixture
def fifo(sqs: Any) -> str:
    name = f"commands-{uuid.uuid4().hex}.fifo"
    sqs.create_queue(QueueName=name, Attributes={"FifoQueue": "true"})
    return name


def test_a_fifo_queue_takes_groups_and_deduplication_ids(run: Run, fifo: str) -> None:
    options = ["--group", "g", "--deduplication-id", "1"]
    sent = decode_json(run("send", fifo, "one", *options, "--json")[1])
    assert decode_json(run("send", fifo, "two", *options, "--json")[1]) == {
        **sent,
        "body_md5": decode_json(run("send", fifo, "two", *options, "--json")[1])["body_md5"],
    }
    assert len(sent["sequence_number"]) == 20
    assert run("receive", fifo, "--max", "10") == (0, "one\n", "")


def test_an_attempt_id_repeats_a_receive(run: Run, fifo: str) -> None:
    for body in "ab":
        run("send", fifo, body, "--group", "g", "--deduplication-id", body)
    options = ["--max", "5", "--attempt-id", "first"]
    assert run("receive", fifo, *options) == (0, "a\nb\n", "")
    assert run("receive", fifo, *options) == (0, "a\nb\n", "")
    assert run("receive", fifo, "--max", "5", "--attempt-id", "second") == (0, "", "")


# stats and purge


def test_stats_is_a_table_or_json(run: Run, sqs: Any, queue: str) -> None:
    run("send", queue, "--lines", stdin="a\nb\nc\n")
    run("send", queue, "d", "--delay", "600")
    run("receive", queue)
    status, out, err = run("stats", queue)
    head, row = out.splitlines()
    assert (status, err) == (0, "")
    assert head.split()[:4] == ["queue", "visible", "in", "flight"]
    cells = row.split()
    assert (cells[0], cells[1:4], cells[-1]) == (queue, ["2", "1", "1"], "-")
    view = decode_json(run("stats", queue, "--json")[1])
    assert (view["visible"], view["in_flight"], view["delayed"]) == (2, 1, 1)
    assert view["noisy_groups"] == 0
    assert queue in run("stats")[1]


def test_purge_asks_on_a_terminal(
    run: Run, queue: str, daemon: Any, capsys: Any, monkeypatch: Any
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    run("send", queue, "--lines", stdin="a\nb\n")
    for answer, status, told in (
        ("n\n", 1, "nothing was deleted\n"),
        ("", 1, "nothing was deleted\n"),
        ("y\n", 0, "2 deleted\n"),
    ):
        monkeypatch.setattr("sys.stdin", Terminal(answer))
        assert main(["purge", queue, "--endpoint-url", daemon.url]) == status
        shown = capsys.readouterr().err
        assert "2 visible, 0 in flight, 0 delayed? [y/N]" in shown
        assert shown.endswith(told)
    assert run("receive", queue)[1] == ""


def test_purge_does_not_ask_with_yes(run: Run, queue: str) -> None:
    run("send", queue, "a")
    assert run("purge", queue, "--yes") == (0, "", "1 deleted\n")
    assert decode_json(run("purge", queue, "--yes", "--json")[1])["messages"] == 0


# redrive


@pytest.fixture
def dead(sqs: Any, queue: str, run: Run) -> str:
    """A dead-letter queue with 40 messages of `queue`."""
    name = f"dead-{uuid.uuid4().hex}"
    sqs.create_queue(QueueName=name)
    arn = f"arn:aws:sqs:us-east-1:000000000000:{name}"
    url = sqs.get_queue_url(QueueName=queue)["QueueUrl"]
    policy = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 1})
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"RedrivePolicy": policy})
    run("send", queue, "--lines", stdin="".join(f"{number}\n" for number in range(40)))
    run("receive", queue, "--max", "80", "--visibility-timeout", "0")
    assert len(run("peek", name, "--max", "50")[1].splitlines()) == 40
    return name


def test_redrive_moves_them_back(run: Run, queue: str, dead: str) -> None:
    assert run("redrive", dead) == (0, "", "40 of 40 messages moved\n")
    bodies = run("receive", queue, "--max", "50")[1].splitlines()
    assert sorted(map(int, bodies)) == list(range(40))


def test_redrive_moves_them_elsewhere(run: Run, sqs: Any, queue: str, dead: str) -> None:
    other = f"other-{uuid.uuid4().hex}"
    sqs.create_queue(QueueName=other)
    status, out, err = run("redrive", dead, "--to", other, "--rate", "400", "--json")
    done = decode_json(out)
    assert (status, err) == (0, "")
    assert (done["status"], done["moved"], done["to_move"]) == ("COMPLETED", 40, 40)
    assert len(run("peek", other, "--max", "50")[1].splitlines()) == 40


def test_redrive_without_waiting_prints_the_task(run: Run, sqs: Any, dead: str) -> None:
    status, out, err = run("redrive", dead, "--rate", "1", "--no-wait")
    assert (status, err) == (0, "")
    sqs.cancel_message_move_task(TaskHandle=out.strip())
    again = decode_json(run("redrive", dead, "--rate", "1", "--no-wait", "--json")[1])
    assert again["task_handle"] != out.strip()
    status, _, err = run("redrive", dead)
    assert (status, "There is already a task running" in err, err.count("\n")) == (1, True, 1)


def test_redrive_of_what_is_no_dead_letter_queue_is_status_1(run: Run, queue: str) -> None:
    status, out, err = run("redrive", queue)
    assert (status, out, err.count("\n")) == (1, "", 1)


def test_a_task_that_somebody_cancels_is_status_1(
    run: Run, sqs: Any, dead: str, start: Callable[..., subprocess.Popen[str]]
) -> None:
    process = start("redrive", dead, "--rate", "1")
    task = running_task(sqs, dead)
    sqs.cancel_message_move_task(TaskHandle=task["TaskHandle"])
    _, err = process.communicate(timeout=SECONDS_MAX)
    assert process.returncode == 1
    assert "eventcore redrive: the task is cancelled" in err


@pytest.mark.parametrize(
    ("options", "status", "told"),
    [
        (["--cancel-on-interrupt"], "CANCELLED", "cancelled; "),
        ([], "RUNNING", "interrupted; the task goes on"),
    ],
)
def test_an_interrupt_cancels_the_task_only_on_demand(
    sqs: Any,
    dead: str,
    start: Callable[..., subprocess.Popen[str]],
    options: list[str],
    status: str,
    told: str,
) -> None:
    process = start("redrive", dead, "--rate", "1", *options)
    running_task(sqs, dead)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=SECONDS_MAX)
    assert (process.returncode, told in err, "Traceback" in err) == (130, True, False)
    (task,) = sqs.list_message_move_tasks(SourceArn=arn_of(dead))["Results"]
    assert task["Status"] == status


# tail, and stats that watches


SECONDS_MAX = 60
"""For what a process of its own does; only a failing test takes so long."""


@pytest.fixture
def start(daemon: Any) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts commands in processes of their own."""
    processes: list[subprocess.Popen[str]] = []

    def run_it(*arguments: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "eventcore", *arguments],
            env={**os.environ, "AWS_ENDPOINT_URL": daemon.url},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        processes.append(process)
        return process

    yield run_it
    for process in processes:
        process.kill()
        process.communicate()


def arn_of(queue: str) -> str:
    return f"arn:aws:sqs:us-east-1:000000000000:{queue}"


def running_task(sqs: Any, queue: str) -> Any:
    """Waits for a running move task of a queue."""
    for _ in range(SECONDS_MAX * 20):
        for task in sqs.list_message_move_tasks(SourceArn=arn_of(queue)).get("Results", []):
            if task["Status"] == "RUNNING":
                return task
        time.sleep(0.05)
    pytest.fail("no task is running")


def interrupted(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Presses Ctrl-C: exit status, and what was not read yet of both outputs."""
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=SECONDS_MAX)
    return process.returncode, out, err


def test_tail_shows_messages_as_they_arrive_and_receives_none(
    run: Run, queue: str, start: Callable[..., subprocess.Popen[str]]
) -> None:
    run("send", queue, "--lines", stdin="one\ntwo\nthree\n")
    process = start("tail", queue, "-n", "2", "--json")
    assert process.stdout is not None
    before = [decode_json(process.stdout.readline()) for _ in range(2)]
    run("send", queue, "four")
    run("send", queue, "five", "--delay", "600")
    after = [decode_json(process.stdout.readline()) for _ in range(2)]
    shown = [(one["body"], one["state"], one["receives"]) for one in before + after]
    assert shown == [
        ("two", "visible", 0),
        ("three", "visible", 0),
        ("four", "visible", 0),
        ("five", "delayed", 0),
    ]
    assert interrupted(process) == (130, "", "")
    assert len(run("receive", queue, "--max", "10")[1].splitlines()) == 4


def test_tail_begins_anew_with_a_queue_made_again(
    run: Run, sqs: Any, queue: str, start: Callable[..., subprocess.Popen[str]]
) -> None:
    run("send", queue, "--lines", stdin="a\nb\nc\n")
    process = start("tail", queue, "-n", "1", "--json")
    assert process.stdout is not None
    assert decode_json(process.stdout.readline())["body"] == "c"
    sqs.delete_queue(QueueUrl=sqs.get_queue_url(QueueName=queue)["QueueUrl"])
    sqs.create_queue(QueueName=queue)
    run("send", queue, "new")
    line = process.stdout.readline()
    if line:  # else it met the moment without the queue
        assert decode_json(line)["body"] == "new"
        assert interrupted(process)[0] == 130
    else:
        _, err = process.communicate(timeout=SECONDS_MAX)
        assert (process.returncode, "QueueDoesNotExist" in err) == (1, True)


def test_stats_watches_until_it_is_interrupted(
    run: Run, queue: str, start: Callable[..., subprocess.Popen[str]]
) -> None:
    process = start("stats", queue, "--watch", "0.05", "--json")
    assert process.stdout is not None
    assert decode_json(process.stdout.readline())["visible"] == 0
    run("send", queue, "a")
    while decode_json(process.stdout.readline())["visible"] == 0:
        pass
    status, _, err = interrupted(process)
    assert (status, err) == (130, "")
