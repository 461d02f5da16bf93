"""The AWS SDK for JavaScript, version 3, against a real daemon: Kinesis, over HTTP/2.

Its client speaks HTTP/2 for every operation, on `http://` with prior knowledge. The scenarios are
in `javascript/kinesis*.mjs`; each test runs one of them with node and checks what it saw.
"""

from __future__ import annotations

import base64
import json
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from eventcore.api.kinesis import MISSING_OPERATIONS
from tests.acceptance.conftest import Daemon
from tests.acceptance.node import FOLDER, IS_REQUIRED, start, why_not

SECONDS_MAX = 100
TLS = Path(__file__).parents[1] / "wire" / "tls"
CERTIFICATE, KEY = TLS / "localhost.pem", TLS / "localhost.key"
CHILDREN = ["shardId-000000000001", "shardId-000000000002"]
MISSING = why_not()

Play = Callable[[str, str], Any]

if MISSING is not None and not IS_REQUIRED:
    pytest.skip(MISSING, allow_module_level=True)


@pytest.fixture(autouse=True)
def _node() -> None:
    if MISSING is not None:
        pytest.fail(f"EVENTCORE_REQUIRE_NODE is 1, and {MISSING}")


@pytest.fixture
def name(queue_name: str) -> str:
    """A name that no other test of any file uses."""
    return f"javascript-{queue_name[-80:]}"


@pytest.fixture
def play(daemon, name) -> Play:
    """Runs a scenario of a file in a process of its own, and returns what it saw."""

    def run(file: str, scenario: str) -> Any:
        return seen_by(start(file, scenario, daemon.url, name))

    return run


def seen_by(process: subprocess.Popen[str], sent: str | None = None) -> Any:
    """What the scenario of a process saw, when it is over."""
    try:
        output, errors = process.communicate(sent, timeout=SECONDS_MAX)
    except subprocess.TimeoutExpired:
        process.kill()
        pytest.fail(f"the scenario did not end: {process.communicate()}")
    assert process.returncode == 0, errors
    return json.loads(output)


def test_every_operation_of_the_classic_service_is_used(clients):
    operations = set(clients("kinesis").meta.service_model.operation_names) - MISSING_OPERATIONS
    texts = [path.read_text(encoding="utf-8") for path in FOLDER.glob("kinesis*.mjs")]
    used = {found for text in texts for found in re.findall(r"new ([A-Za-z]+)Command\(", text)}
    # These are asked for by a paginator and by a waiter.
    used |= {"ListStreams", "DescribeStream"}
    assert len(operations) == 39
    assert operations - used == set()


# --- streams --------------------------------------------------------------------------------------


def test_the_client_speaks_http_2_by_itself(play):
    seen = play("kinesis.mjs", "handler")
    assert (seen["name"], seen["protocol"]) == ("NodeHttp2Handler", "h2")
    assert seen["status"] == 200
    assert len(seen["requestId"]) == 36
    assert len(seen["extendedRequestId"]) == 96


def test_a_stream_is_created_listed_described_and_deleted(play, name):
    seen = play("kinesis.mjs", "streamLife")
    assert seen["isListed"]
    assert seen["isOld"]
    assert seen["shards"] == ["shardId-000000000000", "shardId-000000000001"]
    before = seen["before"]
    assert before["StreamARN"] == f"arn:aws:kinesis:us-east-1:000000000000:stream/{name}"
    assert (before["StreamStatus"], before["OpenShardCount"]) == ("ACTIVE", 2)
    assert seen["limits"]["OpenShardCount"] >= 2
    assert seen["gone"] == "SUCCESS"


def test_settings_of_a_stream_are_changed(play):
    first, second = play("kinesis.mjs", "settings")
    assert (first["RetentionPeriodHours"], first["MaxRecordSizeInKiB"]) == (72, 2048)
    assert (first["EncryptionType"], first["KeyId"]) == ("KMS", "alias/aws/kinesis")
    assert first["EnhancedMonitoring"] == [{"ShardLevelMetrics": ["IncomingBytes"]}]
    assert (second["RetentionPeriodHours"], second["EncryptionType"]) == (24, "NONE")
    assert second["StreamModeDetails"] == {"StreamMode": "ON_DEMAND"}


def test_tags_and_policies(play):
    seen = play("kinesis.mjs", "tagsAndPolicies")
    tags = [{"Key": "cost", "Value": "é"}, {"Key": "stage", "Value": "test"}]
    assert seen["ofStream"] == seen["ofResource"] == tags
    assert seen["isSame"]
    assert seen["none"] == "{}"


def test_the_account_is_bound_to_a_throughput_and_a_stream_is_warmed_up(play):
    seen = play("kinesis.mjs", "account")
    assert seen["before"] == "DISABLED"
    assert seen["WarmThroughput"]["TargetMiBps"] == 6


def test_shards_are_split_merged_and_counted(play):
    seen = play("kinesis.mjs", "shards")
    assert seen["counted"] == [1, 2]
    zero, one, two, three, four, five = (f"shardId-{n:012d}" for n in range(6))
    assert seen["lineage"] == [
        [zero, None, None],
        [one, zero, None],
        [two, zero, None],
        [three, one, two],
        [four, three, None],
        [five, three, None],
    ]


def test_consumers_are_registered_described_listed_and_deregistered(play):
    seen = play("kinesis.mjs", "consumers")
    assert seen == {"listed": [["a", "b"], ["c"]], "status": "ACTIVE", "left": ["a", "c"]}


# --- records --------------------------------------------------------------------------------------


def test_an_iterator_begins_at_each_of_the_five_positions(play):
    seen = play("kinesis.mjs", "positions")
    page = seen.pop("page")
    assert seen == {
        "TRIM_HORIZON": [0, 1, 2],
        "LATEST": [],
        "AT_SEQUENCE_NUMBER": [1, 2],
        "AFTER_SEQUENCE_NUMBER": [2],
        "AT_TIMESTAMP": [0, 1, 2],
    }
    assert page["MillisBehindLatest"] == 0
    assert {record["PartitionKey"] for record in page["Records"]} == {"é"}
    data = [base64.b64decode(record["Data"]) for record in page["Records"]]
    assert data == [bytes([n, 255]) for n in range(3)]


def test_as_much_as_one_request_may_hold_is_put_and_read(play):
    seen = play("kinesis.mjs", "largest")
    assert seen["failed"] == 0
    assert seen["isSame"]
    assert seen["numbers"] == seen["put"]
    assert sum(seen["pages"]) == 10 * (1024 * 1024 - 1)
    assert max(seen["pages"]) <= 10 * 1024 * 1024
    assert seen["refused"]["isInstance"], seen["refused"]


@pytest.mark.parametrize("scenario", ["manyOnOneConnection", "manyConnections"])
def test_a_hundred_requests_at_once_are_all_served(play, scenario):
    seen = play("kinesis.mjs", scenario)
    assert len(seen["put"]) == 100
    assert sorted(seen["found"]) == sorted(seen["put"])
    for shard in ("shardId-000000000000", "shardId-000000000001"):
        numbers = [int(number) for where, _, number in seen["found"] if where == shard]
        assert numbers == sorted(set(numbers))
    if scenario == "manyOnOneConnection":
        (kept,) = seen["kept"]
        assert kept["maxConcurrent"] >= 100
    else:
        assert seen["kept"] == []


def test_requests_taken_back_cost_the_others_nothing(play):
    seen = play("kinesis.mjs", "takenBack")
    assert seen["served"][::3] == [True] * 20
    assert seen["failures"] == ["AbortError"] * seen["served"].count(False)
    assert seen["after"] == "shardId-000000000000"
    # What was taken back may have been put, or not.
    assert {str(n) for n in range(0, 60, 3)} | {"after"} <= set(seen["read"])
    assert len(seen["kept"]) == 1


def test_errors_are_of_the_classes_that_the_sdk_has_for_them(play):
    answer = play("kinesis.mjs", "errors")
    seen = answer["seen"]
    assert [name for name, error in seen.items() if not (error and error["isInstance"])] == []
    assert {name: error["name"] for name, error in seen.items()} == {
        "missing": "ResourceNotFoundException",
        "anyOfTheService": "ResourceNotFoundException",
        "exists": "ResourceInUseException",
        "name": "ValidationException",
        "iterator": "InvalidArgumentException",
        "shard": "ResourceNotFoundException",
        "doubled": "LimitExceededException",
        "many": "ValidationException",
        "stream": "ResourceNotFoundException",
    }
    assert {error["status"] for error in seen.values()} == {400}
    assert {error["fault"] for error in seen.values()} == {"client"}
    assert seen["missing"]["message"] == (
        "Stream there-is-no-such-stream under account 000000000000 not found."
    )
    assert len(answer["kept"]) == 1, "an error ends its request and not the connection"


# --- enhanced fan-out -----------------------------------------------------------------------------


@pytest.mark.parametrize("scenario", ["follow", "followShared"])
def test_a_subscriber_is_sent_records_as_they_come_and_the_end_of_the_shard(play, scenario):
    seen = play("kinesis_events.mjs", scenario)
    assert seen["seen"] == [str(n) for n in range(20)]
    assert seen["children"] == CHILDREN


def test_a_slow_subscriber_is_sent_more_than_fits_into_the_windows(play):
    seen = play("kinesis_events.mjs", "volume")
    assert seen["firstBytes"] == [n % 256 for n in range(400)]
    assert seen["isWhole"]


def test_a_record_as_large_as_they_come_is_put_got_and_sent(play):
    assert play("kinesis_events.mjs", "largestRecord") == [[True], [True]]


def test_many_subscribers_are_each_sent_every_record(play):
    seen = play("kinesis_events.mjs", "many")
    assert seen["seen"] == [seen["records"]] * 20


def test_a_subscriber_that_goes_makes_room_for_the_next(play):
    seen = play("kinesis_events.mjs", "takeOver")
    assert seen["refused"]["isInstance"]
    assert "Another active subscription exists" in seen["refused"]["message"]
    assert seen["next"] == ["second"]


def test_the_end_of_a_stream_is_told_to_its_subscribers(play, name):
    seen = play("kinesis_events.mjs", "deletedStream")
    assert seen["isInstance"]
    assert seen["name"] == "ResourceNotFoundException"
    assert name in seen["message"]


# --- TLS ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def secure_daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    options = ("--tls-certificate", str(CERTIFICATE), "--tls-key", str(KEY))
    running = Daemon(tmp_path_factory.mktemp("secure") / "data", *options)
    running.start()
    yield running
    assert running.stop() == 0, running.log.read_text()[-4000:]


@pytest.mark.parametrize(
    ("file", "scenario"),
    [("kinesis.mjs", "manyOnOneConnection"), ("kinesis_events.mjs", "follow")],
)
def test_the_client_speaks_http_2_under_tls(secure_daemon, name, file, scenario):
    assert secure_daemon.url.startswith("https://")
    seen = seen_by(start(file, scenario, secure_daemon.url, name, CERTIFICATE))
    if scenario == "follow":
        assert seen == {"seen": [str(n) for n in range(20)], "children": CHILDREN}
    else:
        assert sorted(seen["found"]) == sorted(seen["put"])
        assert len(seen["put"]) == 100


# --- the daemon's end -----------------------------------------------------------------------------


@pytest.fixture
def restartable(tmp_path: Path) -> Iterator[Daemon]:
    """A daemon that comes back on the port that it had."""
    running = Daemon(tmp_path / "data")
    running.start()
    again = Daemon(tmp_path / "data", "--port", str(urlsplit(running.url).port))
    running.kill()
    again.start()
    yield again
    again.kill()


@pytest.mark.parametrize("is_killed", [False, True], ids=["stopped", "killed"])
def test_a_client_connects_again_when_the_daemon_is_back(restartable, name, is_killed):
    process = start("kinesis_events.mjs", "restart", restartable.url, name)
    assert process.stdout is not None
    ready = process.stdout.readline()
    if ready != "ready\n":
        pytest.fail(f"{ready} {seen_by(process)}")
    if is_killed:
        restartable.kill()
    else:
        assert restartable.stop() == 0
    restartable.start()
    seen = seen_by(process, "go on\n")
    assert seen["old"]["seen"] == ["before"]
    assert is_killed or seen["old"]["end"] == "in order"
    assert seen["resumed"] == ["after"]
    assert [text for text, _ in seen["records"]] == ["before", "after"]
    assert [number for _, number in seen["records"]] == seen["put"]
    assert len(seen["kept"]) == 1
