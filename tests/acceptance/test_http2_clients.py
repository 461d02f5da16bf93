"""Clients of HTTP/2 and of TLS that are not ours: Node.js, curl and boto3 against real daemons.

The scenarios are in `javascript/http2.mjs`, which needs Node.js and no packages. Without it those
tests are skipped; `.ci/run` sets EVENTCORE_REQUIRE_NODE=1, and then they fail.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.conftest import Daemon, client_for

SCRIPT = Path(__file__).parent / "javascript" / "http2.mjs"
TLS = Path(__file__).parents[1] / "wire" / "tls"
CERTIFICATE, KEY = str(TLS / "localhost.pem"), str(TLS / "localhost.key")
SECONDS_MAX = 60

Play = Callable[[str], Any]


@pytest.fixture(scope="module")
def secure_daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    options = ("--tls-certificate", CERTIFICATE, "--tls-key", KEY)
    running = Daemon(tmp_path_factory.mktemp("secure") / "data", *options)
    running.start()
    yield running
    assert running.stop() == 0, running.log.read_text()[-4000:]
    assert "by_a_bug" not in running.log.read_text()


@pytest.fixture
def node() -> str:
    found = shutil.which("node")
    if found is not None:
        return found
    if os.environ.get("EVENTCORE_REQUIRE_NODE") == "1":
        pytest.fail("EVENTCORE_REQUIRE_NODE is 1, and there is no Node.js (node) on the PATH")
    pytest.skip("there is no Node.js (node) on the PATH")


@pytest.fixture(params=["plain", "tls"])
def play(request: pytest.FixtureRequest, node: str, queue_name: str) -> Play:
    """Runs a scenario in a process of its own, against a plain daemon and one with TLS."""
    is_secure = request.param == "tls"
    served = request.getfixturevalue("secure_daemon" if is_secure else "daemon")

    def run(scenario: str) -> Any:
        command = [node, str(SCRIPT), scenario, served.url, queue_name]
        command += [CERTIFICATE] if is_secure else []
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS_MAX)
        assert done.returncode == 0, done.stderr
        return {**json.loads(done.stdout), "url": served.url, "is_secure": is_secure}

    return run


def test_node_asks_much_at_once_on_one_connection(play, queue_name):
    seen = play("concurrent")
    assert seen["protocol"] == ("h2" if seen["is_secure"] else "h2c")
    assert seen["QueueUrl"] == f"{seen['url']}/000000000000/{queue_name}"
    assert seen["QueueUrl"].startswith("https://") == seen["is_secure"]
    assert (seen["statuses"], seen["ids"]) == ([200], 40)
    assert seen["polled"] == [1] * 5
    assert (seen["refused"]["status"], seen["refused"]["__type"][-17:]) == (
        400,
        "QueueDoesNotExist",
    )


def test_node_sends_and_receives_much(play):
    seen = play("large")
    assert seen["sent"] == 10
    assert sorted(seen["received"]) == [[str(number), 100_000] for number in range(10)]


def test_a_long_poll_that_node_takes_back_takes_no_message(play):
    assert play("abortedPoll")["bodies"] == ["for somebody else"]


def test_a_session_that_node_closes_in_order_gets_its_answers(play):
    seen = play("closedInOrder")
    assert (seen["status"], seen["isDestroyed"]) == (200, True)


def test_node_s_ping_is_answered(play):
    assert play("ping")["isAnswered"]


def test_a_daemon_that_stops_answers_node_and_says_goodbye(node, own_daemon, queue_name):
    command = [node, str(SCRIPT), "drained", own_daemon.url, queue_name]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == "waiting\n"
        assert own_daemon.stop() == 0
        seen = json.loads(running.stdout.readline())
        assert running.wait(SECONDS_MAX) == 0
    assert seen["status"] == 200
    assert seen["goaways"]
    assert set(seen["goaways"]) == {0}


def test_a_client_of_http_1_is_served_on_the_port_with_tls(node, secure_daemon, queue_name):
    command = [node, str(SCRIPT), "oldClient", secure_daemon.url, queue_name, CERTIFICATE]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS_MAX)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"status": 200, "version": "1.1"}


def test_boto3_works_over_tls_and_is_given_https_addresses(secure_daemon, queue_name):
    sqs = client_for(secure_daemon.url, "sqs", verify=CERTIFICATE)
    url = sqs.create_queue(QueueName=queue_name)["QueueUrl"]
    assert url == f"{secure_daemon.url}/000000000000/{queue_name}"
    assert url.startswith("https://")
    sqs.send_message(QueueUrl=url, MessageBody="over TLS")
    (message,) = sqs.receive_message(QueueUrl=url)["Messages"]
    assert message["Body"] == "over TLS"


def curl(*arguments: str) -> str:
    """What curl prints. Skips where it is missing, or has no HTTP/2."""
    found = shutil.which("curl")
    if found is None:
        pytest.skip("there is no curl on the PATH")
    version = subprocess.run([found, "--version"], capture_output=True, text=True)
    if "HTTP2" not in version.stdout:
        pytest.skip("this curl has no HTTP/2")
    command = [found, "--silent", "--show-error", "--max-time", "30", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS_MAX)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("option", "version"),
    [("--http1.1", "1.1"), ("--http2", "1.1"), ("--http2-prior-knowledge", "2")],
)
def test_curl_gets_the_version_that_it_asks_for(daemon, option, version):
    shown = curl(
        option, "--write-out", " %{http_code} %{http_version}", f"{daemon.url}/health/live"
    )
    assert shown.endswith(f" 200 {version}")


def test_curl_agrees_on_http_2_in_the_handshake(secure_daemon):
    shown = curl(
        "--cacert",
        CERTIFICATE,
        "--write-out",
        " %{http_code} %{http_version}",
        f"{secure_daemon.url}/health/live",
    )
    assert shown.endswith(" 200 2")
