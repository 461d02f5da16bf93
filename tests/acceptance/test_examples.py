"""Every example is run as its text says, by a program of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

import httpx
import pytest

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
RUN_SECONDS_MAX = 40
START_SECONDS_MAX = 20
LISTENING = re.compile(r"running on (http://\S+)")


def environment(**changed: str) -> dict[str, str]:
    """Examples run outside of the project's folder, and eventcore need not be installed."""
    return {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error", **changed}


def run(*command: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *command],
        cwd=cwd,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=RUN_SECONDS_MAX,
    )


def embedded_queue(folder: Path, _: str) -> None:
    """Twice on one file: the second run finds nothing left of the first."""
    for _attempt in range(2):
        ended = run(str(EXAMPLES / "embedded_queue.py"), str(folder / "events.db"), cwd=folder)
        assert (ended.returncode, ended.stderr) == (0, "")
        assert ended.stdout == "20 jobs done, 0 left\n"
    ended = run(str(EXAMPLES / "embedded_queue.py"), cwd=folder)
    assert ended.returncode == 0, ended.stderr


def rule_with_two_targets(folder: Path, _: str) -> None:
    ended = run(str(EXAMPLES / "rule_with_two_targets.py"), cwd=folder)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout == "{'billing': ['b', 'c'], 'audit': ['b', 'c']}\n"


def stream_consumer(folder: Path, _: str) -> None:
    """Twice on one file: what the first run has consumed does not come again."""
    for _attempt in range(2):
        ended = run(str(EXAMPLES / "stream_consumer.py"), str(folder / "events.db"), cwd=folder)
        assert (ended.returncode, ended.stderr) == (0, "")
        assert ended.stdout == "60 orders, each customer's in order: True\n"


def queue_mapping(folder: Path, _: str) -> None:
    ended = run(str(EXAMPLES / "queue_mapping.py"), cwd=folder)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout == "booked [0, 1, 2, 3, 4], message 3 came 2 times\n"


def boto3_function(folder: Path, url: str) -> None:
    """Twice against one daemon: it leaves nothing behind that is in the way of the second run."""
    for _attempt in range(2):
        ended = run("-W", "default", str(EXAMPLES / "boto3_function.py"), url, cwd=folder)
        assert ended.returncode == 0, ended.stderr
        assert ended.stdout == "the queue is empty, and an invocation answered {'sum': 9}\n"


def boto3_client(folder: Path, url: str) -> None:
    """Twice against one daemon: it leaves nothing behind that is in the way of the second run."""
    for _attempt in range(2):
        ended = run("-W", "default", str(EXAMPLES / "boto3_client.py"), url, cwd=folder)
        assert ended.returncode == 0, ended.stderr
        assert ended.stdout == "late by [75, 130]\n"


@pytest.mark.parametrize("name", ["boto3_client.py", "boto3_function.py"])
def test_a_boto3_example_says_in_one_line_that_nobody_listens(name: str, tmp_path: Path):
    url = "http://127.0.0.1:9"
    ended = run("-W", "default", str(EXAMPLES / name), url, cwd=tmp_path)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == f"nobody listens on {url}: start `eventcore serve` first\n"


def manual_clock(folder: Path, _: str) -> None:
    file = str(EXAMPLES / "test_with_manual_clock.py")
    ended = run("-m", "pytest", "-q", "-p", "no:cacheprovider", file, cwd=folder)
    assert ended.returncode == 0, ended.stdout
    assert "2 passed" in ended.stdout


def fastapi_app(folder: Path, _: str) -> None:
    """What was placed is durable when it was answered, and handled soon after."""
    file = folder / "orders.db"
    with uvicorn_serving(file) as url, httpx.Client(base_url=url, timeout=10) as client:
        placed = [client.post("/orders", json={"item": item}) for item in ("tea", "milk")]
        assert [answer.status_code for answer in placed] == [202, 202]
        assert len({answer.json()["id"] for answer in placed}) == 2
        for _attempt in range(200):
            handled = client.get("/handled").json()
            if len(handled) == 2:
                break
        assert sorted(handled) == ["milk", "tea"]
    assert file.exists()
    with uvicorn_serving(file) as url:
        assert httpx.get(url + "/handled", timeout=10).json() == [], "nothing is handled twice"


@contextmanager
def uvicorn_serving(file: Path) -> Iterator[str]:
    """The application of the example on a free port."""
    command = [sys.executable, "-m", "uvicorn", "examples.fastapi_app:app", "--port", "0"]
    with subprocess.Popen(
        command,
        cwd=file.parent,
        env=environment(EVENTS_FILE=str(file), PYTHONWARNINGS="default"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        lines: SimpleQueue[str] = SimpleQueue()
        reader = threading.Thread(target=pass_on, args=(process, lines), daemon=True)
        reader.start()
        try:
            yield listening_url(lines)
            process.terminate()
            # uvicorn ends itself with the signal that asked it to.
            assert process.wait(timeout=START_SECONDS_MAX) in {0, -15}
        finally:
            process.kill()
            reader.join()


def pass_on(process: subprocess.Popen[str], lines: SimpleQueue[str]) -> None:
    """Every line of a process's errors, and an empty one at its end."""
    assert process.stderr is not None
    for line in process.stderr:
        lines.put(line)
    lines.put("")


def listening_url(lines: SimpleQueue[str]) -> str:
    seen = ""
    while True:
        try:
            line = lines.get(timeout=START_SECONDS_MAX)
        except Empty:
            line = ""
        seen += line
        if found := LISTENING.search(line):
            return found[1]
        if not line:
            pytest.fail(f"the application did not start:\n{seen}")


CHECKS: dict[str, Callable[[Path, str], None]] = {
    "boto3_client.py": boto3_client,
    "boto3_function.py": boto3_function,
    "embedded_queue.py": embedded_queue,
    "fastapi_app.py": fastapi_app,
    "queue_mapping.py": queue_mapping,
    "rule_with_two_targets.py": rule_with_two_targets,
    "stream_consumer.py": stream_consumer,
    "test_with_manual_clock.py": manual_clock,
}


@pytest.mark.parametrize("name", sorted(CHECKS))
def test_an_example_does_what_it_says(name: str, tmp_path: Path, request: Any):
    uses_daemon = name.startswith("boto3_")
    url = request.getfixturevalue("daemon").url if uses_daemon else ""
    check = CHECKS[name]
    check(tmp_path, url)


def test_every_example_is_run():
    files = {path.relative_to(EXAMPLES).as_posix() for path in EXAMPLES.rglob("*.py")}
    assert files == CHECKS.keys()
    others = {p for p in EXAMPLES.rglob("*") if p.is_file() and "__pycache__" not in p.parts}
    assert {p.suffix for p in others} == {".py"}, "what is no Python needs a check too"
