"""A real daemon in a process of its own, on a free port, and clients for it."""

from __future__ import annotations

import asyncio
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

import boto3
import pytest
import uvloop
from botocore.config import Config

START_SECONDS_MAX = 20
STOP_SECONDS_MAX = 15
LISTENING = re.compile(r"is listening on (https?://\S+)")
CREDENTIALS = {
    "aws_access_key_id": "AKIDEXAMPLE",
    "aws_secret_access_key": "secret",
    "region_name": "us-east-1",
}


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The embedded API is tested on both event loops; the daemon brings its own."""
    factories: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
        "asyncio": asyncio.SelectorEventLoop
    }
    if item.path.name == "test_embedded.py":
        factories["uvloop"] = uvloop.new_event_loop
    return factories


class Daemon:
    """`eventcore serve` on a data directory. It can be stopped, killed and started again."""

    def __init__(self, data: Path, *options: str) -> None:
        self._data = data
        self._options = options
        self._process: subprocess.Popen[str] | None = None
        self.url = ""

    @property
    def log(self) -> Path:
        return self._data.with_suffix(".log")

    def start(self) -> None:
        """Returns when the daemon says where it listens."""
        command = [sys.executable, "-m", "eventcore", "serve", "--port", "0"]
        command += ["--data", str(self._data), "--log", "json", *self._options]
        with self.log.open("a") as log:
            self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        lines: SimpleQueue[str] = SimpleQueue()
        threading.Thread(target=_read, args=(self._process, lines), daemon=True).start()
        self.url = self._listening_url(lines)

    def _listening_url(self, lines: SimpleQueue[str]) -> str:
        while True:
            try:
                line = lines.get(timeout=START_SECONDS_MAX)
            except Empty:
                line = ""
            if found := LISTENING.search(line):
                return found[1]
            if not line:
                self.kill()
                pytest.fail(f"the daemon did not start:\n{self.log.read_text()[-4000:]}")

    def stop(self) -> int:
        """Asks for the end, as Ctrl-C does, and returns the exit code."""
        if self._process is None:
            return 0
        process, self._process = self._process, None
        process.send_signal(signal.SIGTERM)
        try:
            return process.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise

    def kill(self) -> None:
        """Ends it as a crash does: at once."""
        if self._process is not None:
            process, self._process = self._process, None
            process.kill()
            process.wait()


def _read(process: subprocess.Popen[str], lines: SimpleQueue[str]) -> None:
    """Passes the lines of a process on, and an empty one at its end."""
    assert process.stdout is not None
    with process.stdout as output:
        for line in output:
            lines.put(line)
    lines.put("")


@pytest.fixture(scope="session")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """One daemon for all tests that only add queues of their own."""
    running = Daemon(tmp_path_factory.mktemp("daemon") / "data")
    running.start()
    yield running
    assert running.stop() == 0, running.log.read_text()[-4000:]
    assert "by_a_bug" not in running.log.read_text()


@pytest.fixture
def own_daemon(tmp_path: Path) -> Iterator[Daemon]:
    """A daemon that the test may stop, kill and start again."""
    running = Daemon(tmp_path / "data")
    running.start()
    yield running
    running.kill()


@pytest.fixture(scope="session")
def clients(daemon: Daemon) -> Callable[..., Any]:
    """Makes boto3 clients for the shared daemon."""
    return lambda service, **changed: client_for(daemon.url, service, **changed)


def client_for(url: str, service: str, **changed: Any) -> Any:
    """A boto3 client of a service, as a user of the daemon makes it."""
    config = Config(retries={"total_max_attempts": 1}, read_timeout=30)
    return boto3.client(service, endpoint_url=url, config=config, **{**CREDENTIALS, **changed})


@pytest.fixture(scope="session")
def sqs(clients: Callable[..., Any]) -> Any:
    return clients("sqs")


@pytest.fixture
def queue_name(request: pytest.FixtureRequest) -> str:
    """A name that no other test uses."""
    return re.sub(r"[^A-Za-z0-9_-]", "-", request.node.name)[-80:]


@pytest.fixture
def connect() -> Callable[..., Any]:
    """`client_for`, for tests with a daemon of their own."""
    return client_for
