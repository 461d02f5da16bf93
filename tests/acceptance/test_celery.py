"""Celery, with kombu's SQS transport, against a real daemon: real workers, no result backend.

A worker is a process of its own. What its tasks did is read from a file, and what became of their
messages from the queue.
"""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import Celery

ROOT = Path(__file__).resolve().parents[2]
SECONDS_MAX = 60
KEYS = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret"}


class Worker:
    """`celery worker` in the solo pool, and a producer with the same settings."""

    def __init__(self, folder: Path, broker_url: str, settings: dict[str, Any]) -> None:
        self._folder = folder
        self._environment = {
            **os.environ,
            "EVENTCORE_BROKER_URL": broker_url,
            "EVENTCORE_CELERY_SETTINGS": repr(settings),
            "EVENTCORE_RUNS": str(folder / "runs.jsonl"),
        }
        self._process: subprocess.Popen[bytes] | None = None
        self.producer = Celery("producer", broker=broker_url)
        self.producer.conf.update(settings)

    def start(self, *queues: str) -> None:
        command = [sys.executable, "-m", "celery", "-A", "tests.acceptance.celery_app", "worker"]
        command += ["--pool", "solo", "--loglevel", "info", "--queues", ",".join(queues)]
        with (self._folder / "worker.log").open("ab") as log:
            self._process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=self._environment,
                stdout=log,
                stderr=log,
            )

    def runs(self, task_id: str | None = None) -> list[dict[str, Any]]:
        """What the runs of a task (of all tasks) have written down so far, in their order."""
        file = self._folder / "runs.jsonl"
        lines = file.read_text().splitlines() if file.exists() else []
        return [run for run in map(json.loads, lines) if task_id in (None, run["id"])]

    def wait_for(self, condition: Callable[[], Any]) -> Any:
        """The first value of the condition that is true; fails with the worker's log."""
        deadline = time.monotonic() + SECONDS_MAX
        while not (value := condition()):
            is_over = self._process is not None and self._process.poll() is not None
            if is_over or time.monotonic() > deadline:
                pytest.fail((self._folder / "worker.log").read_text()[-4000:])
            time.sleep(0.02)
        return value

    def wait_for_runs(self, task_id: str, number: int) -> list[dict[str, Any]]:
        self.wait_for(lambda: len(self.runs(task_id)) >= number)
        return self.runs(task_id)

    def stop(self) -> int:
        """Asks for a warm shutdown, and returns the exit code."""
        return self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Ends it as a crash does: at once."""
        self._end(signal.SIGKILL)

    def _end(self, number: signal.Signals) -> int:
        if self._process is None:
            return 0
        process, self._process = self._process, None
        process.send_signal(number)
        return process.wait(SECONDS_MAX)


@pytest.fixture
def queue_name(queue_name: str) -> str:
    """A name that no other test of any file uses, with room for what a test appends."""
    return f"celery-{queue_name[-60:]}"


@pytest.fixture
def make_worker(daemon, tmp_path: Path) -> Iterator[Callable[..., Worker]]:
    """Makes workers; without another URL they reach the daemon by the host and port in it."""
    made: list[Worker] = []
    address = daemon.url.removeprefix("http://")

    def make(broker_url: str = f"sqs://AKIDEXAMPLE:secret@{address}//", **options: Any) -> Worker:
        folder = tmp_path / str(len(made))
        folder.mkdir()
        options = {"region": "us-east-1", "wait_time_seconds": 1, **options}
        made.append(Worker(folder, broker_url, {"broker_transport_options": options}))
        return made[-1]

    yield make
    for worker in made:
        worker.kill()
        worker.producer.close()


def test_tasks_run_are_retried_and_wait_for_their_time(make_worker, sqs, queue_name):
    worker = make_worker(queue_name_prefix=f"{queue_name}-")
    send = worker.producer.send_task
    stored = send("store", args=["é€😀", {"n": 1}], queue="orders")
    retried = send("retrying", queue="orders")
    timed = send("store", args=["timed"], countdown=1, queue="reports")
    worker.start("orders", "reports")
    (run,) = worker.wait_for_runs(stored.id, 1)
    assert (run["arguments"], run["eta"]) == (["é€😀", {"n": 1}], None)
    assert [run["retries"] for run in worker.wait_for_runs(retried.id, 3)] == [0, 1, 2]
    (run,) = worker.wait_for_runs(timed.id, 1)
    assert run["arguments"] == ["timed"]
    assert run["eta"] is not None
    assert worker.stop() == 0
    for name in ("orders", "reports"):
        url = sqs.get_queue_url(QueueName=f"{queue_name}-{name}")["QueueUrl"]
        assert counts(sqs, url) == (0, 0, 0)


def test_a_delay_of_the_message_is_kept_by_the_queue(make_worker, sqs, queue_name):
    producer = make_worker(queue_name_prefix=f"{queue_name}-", visibility_timeout=77).producer
    producer.send_task("store", queue="orders", delay_seconds=900)
    url = sqs.get_queue_url(QueueName=f"{queue_name}-orders")["QueueUrl"]
    assert counts(sqs, url) == (0, 0, 1)
    names = ["VisibilityTimeout"]
    shown = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
    assert shown == {"VisibilityTimeout": "77"}


def test_a_task_that_waits_for_its_time_is_given_back_when_the_worker_stops(
    make_worker, sqs, queue_name
):
    worker = make_worker()
    url = sqs.create_queue(QueueName=queue_name)["QueueUrl"]
    task = worker.producer.send_task("store", queue=queue_name, countdown=3600)
    worker.start(queue_name)
    worker.wait_for(lambda: counts(sqs, url) == (0, 1, 0))
    assert worker.stop() == 0
    (message,) = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=20)["Messages"]
    assert json.loads(base64.b64decode(message["Body"]))["headers"]["id"] == task.id
    assert worker.runs(task.id) == []


def test_a_task_of_a_killed_worker_is_run_by_another(make_worker, sqs, queue_name):
    attributes = {"VisibilityTimeout": "1"}
    url = sqs.create_queue(QueueName=queue_name, Attributes=attributes)["QueueUrl"]
    worker = make_worker()
    task = worker.producer.send_task("hanging", queue=queue_name)
    worker.start(queue_name)
    worker.wait_for_runs(task.id, 1)
    worker.kill()
    worker.start(queue_name)
    worker.wait_for_runs(task.id, 2)
    worker.wait_for(lambda: counts(sqs, url) == (0, 0, 0))
    assert worker.stop() == 0


def test_a_failing_task_of_a_predefined_queue_comes_again_by_its_backoff_policy(
    make_worker, daemon, sqs, queue_name, monkeypatch
):
    """The endpoint is the environment's here, and the queue is not made by kombu."""
    for name, value in {"AWS_ENDPOINT_URL": daemon.url, **KEYS}.items():
        monkeypatch.setenv(name, value)
    url = sqs.create_queue(QueueName=queue_name)["QueueUrl"]
    queue = {"url": url, "backoff_policy": {1: 1, 2: 0}, "backoff_tasks": ["failing"]}
    worker = make_worker("sqs://", predefined_queues={"jobs": queue})
    task = worker.producer.send_task("failing", queue="jobs")
    worker.start("jobs")
    assert [run["retries"] for run in worker.wait_for_runs(task.id, 3)] == [0, 0, 0]
    worker.wait_for(lambda: counts(sqs, url) == (0, 0, 0))
    assert worker.stop() == 0


def test_tasks_of_a_fifo_queue_run_in_order_and_a_repeated_one_does_not(
    make_worker, sqs, queue_name
):
    worker = make_worker(queue_name_prefix=f"{queue_name}-")
    to_group = {"queue": "orders.fifo", "MessageGroupId": "g"}
    for number in (0, 1, 2, 3, 4, 0):
        identity = {"MessageDeduplicationId": f"id-{number}"}
        worker.producer.send_task("store", args=[number], **to_group, **identity)
    worker.start("orders.fifo")
    url = sqs.get_queue_url(QueueName=f"{queue_name}-orders.fifo")["QueueUrl"]
    worker.wait_for(lambda: len(worker.runs()) >= 5 and counts(sqs, url) == (0, 0, 0))
    assert worker.stop() == 0
    assert [run["arguments"] for run in worker.runs()] == [[number] for number in range(5)]


def counts(sqs: Any, url: str) -> tuple[int, ...]:
    """Visible, in flight, delayed."""
    names = [f"ApproximateNumberOfMessages{name}" for name in ("", "NotVisible", "Delayed")]
    shown = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
    return tuple(int(shown[name]) for name in names)
