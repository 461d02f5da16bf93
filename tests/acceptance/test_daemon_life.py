"""`eventcore serve` as a process: its start, its end, its health, what it refuses."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest

DRAIN_S_MAX = 5
# The tests start processes in directories of their own, and eventcore need not be installed.
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}


def eventcore(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "eventcore", *arguments]
    return subprocess.run(
        command, cwd=cwd, env=ENVIRONMENT, capture_output=True, text=True, timeout=20
    )


def health(url: str, check: str) -> tuple[int, Any]:
    try:
        with urllib.request.urlopen(f"{url}/health/{check}", timeout=5) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def log_events(log: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.read_text().splitlines()]


def test_health_is_answered(daemon):
    assert health(daemon.url, "live") == (200, {"status": "live"})
    assert health(daemon.url, "ready") == (200, {"status": "ready"})
    assert health(daemon.url, "other")[0] == 404


def test_the_end_answers_a_waiting_long_poll_empty_and_loses_nothing(own_daemon, connect):
    sqs = connect(own_daemon.url, "sqs")
    queue = sqs.create_queue(QueueName="empty")["QueueUrl"]
    full = sqs.create_queue(QueueName="full")["QueueUrl"]
    sqs.send_message(QueueUrl=full, MessageBody="kept")
    with ThreadPoolExecutor(1) as threads:
        poll = threads.submit(sqs.receive_message, QueueUrl=queue, WaitTimeSeconds=20)
        # The poll has to arrive first. Whether it has cannot be seen from outside.
        time.sleep(0.3)
        began = time.monotonic()
        assert own_daemon.stop() == 0
        assert time.monotonic() - began < DRAIN_S_MAX
        assert "Messages" not in poll.result()
    own_daemon.start()
    sqs = connect(own_daemon.url, "sqs")
    (message,) = sqs.receive_message(QueueUrl=f"{own_daemon.url}/000000000000/full")["Messages"]
    assert message["Body"] == "kept"


def test_the_log_tells_of_the_life_cycle_and_not_of_requests(own_daemon, connect):
    sqs = connect(own_daemon.url, "sqs")
    queue = sqs.create_queue(QueueName="orders")["QueueUrl"]
    for _ in range(20):
        sqs.send_message(QueueUrl=queue, MessageBody="secret-body")
    own_daemon.stop()
    events = log_events(own_daemon.log)
    assert [event["event"] for event in events] == [
        "daemon_started",
        "daemon_draining",
        "daemon_stopped",
    ]
    assert events[0]["url"] == own_daemon.url
    assert "secret-body" not in own_daemon.log.read_text()


def test_the_end_leaves_no_process_behind(own_daemon):
    pid = own_daemon._process.pid
    family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    assert len(family) > 1, "the writer is a process of its own"
    assert own_daemon.stop() == 0
    _, alive = psutil.wait_procs(family, timeout=5)
    assert alive == []


def test_one_data_directory_belongs_to_one_daemon(own_daemon, tmp_path):
    second = eventcore("serve", "--port", "0", "--data", str(tmp_path / "data"), cwd=tmp_path)
    assert second.returncode == 1
    (line,) = second.stderr.splitlines()
    assert line.startswith("eventcore: ")
    assert "one file belongs to one process" in line


def test_a_port_that_is_taken_is_told_in_one_line(own_daemon, tmp_path):
    port = own_daemon.url.rpartition(":")[2]
    second = eventcore("serve", "--port", port, "--memory", cwd=tmp_path)
    assert second.returncode == 1
    (line,) = second.stderr.splitlines()
    assert line.startswith(f"eventcore: cannot serve on 127.0.0.1:{port}")
    assert "in use" in line


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org"])
def test_an_address_that_others_can_reach_is_refused_unless_allowed(host, tmp_path):
    refused = eventcore("serve", "--host", host, "--memory", cwd=tmp_path)
    assert refused.returncode == 2
    assert "--allow-remote-without-authentication" in refused.stderr
    assert list(tmp_path.iterdir()) == []


def test_memory_leaves_no_file_and_ends_on_ctrl_c(tmp_path):
    command = [sys.executable, "-m", "eventcore", "serve", "--port", "0", "--memory"]
    with subprocess.Popen(
        command, cwd=tmp_path, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert b"is listening on http://127.0.0.1:" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=10)
    assert process.returncode == 0
    assert list(tmp_path.iterdir()) == []


def test_help_and_version_need_no_configuration(tmp_path):
    assert eventcore("--version", cwd=tmp_path).stdout.startswith("eventcore ")
    shown = eventcore("serve", "--help", cwd=tmp_path)
    assert shown.returncode == 0
    assert "AWS_ENDPOINT_URL" in shown.stdout
