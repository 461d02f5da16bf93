"""The aws command line against a real daemon: every command of `aws kinesis`, as a user types it.

It is version 1 of the command line: data on the line is taken as it is, not as base64 (version 2
has an option for that), and there is no `subscribe-to-shard`.
"""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore import xform_name

from eventcore.api.kinesis import MISSING_OPERATIONS

Run = Callable[..., subprocess.CompletedProcess[str]]
Aws = Callable[..., Any]

ARN = "arn:aws:kinesis:us-east-1:000000000000:stream/"
EXECUTABLE = str(Path(sys.executable).with_name("aws"))
SECONDS_MAX = 100
EXIT_USAGE = 2
EXIT_REFUSED = 255
"""What the command line ends with when the service answers with an error."""
FIRST_SHARD = "shardId-000000000000"
MIDDLE = str(1 << 127)


@pytest.fixture
def name(queue_name: str) -> str:
    """A name that no other test of any file uses, with room for what a test appends."""
    return f"aws-{queue_name[-60:]}"


@pytest.fixture
def run(daemon) -> Run:
    """Runs `aws kinesis ...` against the daemon, with no configuration but the environment."""
    environment = {
        "PATH": os.environ["PATH"],
        "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_MAX_ATTEMPTS": "1",
    }

    def command(*arguments: str) -> subprocess.CompletedProcess[str]:
        line = [EXECUTABLE, "--endpoint-url", daemon.url, "kinesis", *arguments]
        return subprocess.run(
            line, env=environment, capture_output=True, text=True, timeout=SECONDS_MAX
        )

    return command


@pytest.fixture
def aws(run) -> Aws:
    """`aws kinesis ...` that succeeds: its JSON, or None when it prints nothing."""

    def command(*arguments: str) -> Any:
        done = run(*arguments)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout) if done.stdout else None

    return command


@pytest.fixture(scope="session")
def kinesis(clients) -> Any:
    """boto3's client, for what the commands are not about: one of them takes half a second."""
    return clients("kinesis")


@pytest.fixture
def stream(kinesis, name) -> str:
    """A stream of two shards."""
    kinesis.create_stream(StreamName=name, ShardCount=2)
    kinesis.get_waiter("stream_exists").wait(StreamName=name)
    return name


@pytest.fixture
def told(kinesis) -> Callable[[str], Any]:
    """The summary of a stream, once it is active."""

    def summary(name: str) -> Any:
        kinesis.get_waiter("stream_exists").wait(StreamName=name)
        return kinesis.describe_stream_summary(StreamName=name)["StreamDescriptionSummary"]

    return summary


def test_every_command_of_the_service_is_used_in_this_file(kinesis, run):
    operations = set(kinesis.meta.service_model.operation_names)
    commands = {xform_name(name, "-") for name in operations - MISSING_OPERATIONS}
    used = set(re.findall(r'"([a-z-]+)"', Path(__file__).read_text(encoding="utf-8")))
    assert len(commands) == 39
    assert commands - used == set()
    done = run("subscribe-to-shard")
    assert done.returncode == EXIT_USAGE
    assert "Invalid choice" in done.stderr


# --- streams --------------------------------------------------------------------------------------


def test_a_stream_is_created_described_listed_and_deleted(aws, run, name):
    tags = ("--tags", "team=a,cost=b")
    assert aws("create-stream", "--stream-name", name, "--shard-count", "2", *tags) is None
    assert aws("wait", "stream-exists", "--stream-name", name) is None
    shown = aws("describe-stream-summary", "--stream-name", name)["StreamDescriptionSummary"]
    assert (shown["StreamStatus"], shown["OpenShardCount"]) == ("ACTIVE", 2)
    described = run(
        *("describe-stream", "--stream-arn", ARN + name),
        *("--query", "StreamDescription.Shards[*].HashKeyRange.StartingHashKey"),
        *("--output", "text"),
    )
    assert described.stdout == f"0\t{MIDDLE}\n"
    assert name in aws("list-streams")["StreamNames"]
    assert aws("delete-stream", "--stream-name", name) is None
    assert aws("wait", "stream-not-exists", "--stream-name", name) is None
    assert name not in aws("list-streams")["StreamNames"]


def test_lists_are_read_in_pages_of_any_size(aws, run, kinesis, name):
    names = [f"{name}-{n}" for n in range(3)]
    for each in names:
        kinesis.create_stream(StreamName=each, ShardCount=3)
    first = aws("list-streams", "--page-size", "1", "--max-items", "2")
    assert len(first["StreamNames"]) == 2
    rest = aws("list-streams", "--page-size", "2", "--starting-token", first["NextToken"])
    assert set(names) <= {*first["StreamNames"], *rest["StreamNames"]}
    after = aws("list-streams", "--limit", "2", "--exclusive-start-stream-name", names[0])
    assert after["StreamNames"] == names[1:]
    one = ("describe-stream", "--stream-name", names[0])
    shards = aws(*one, "--page-size", "1")["StreamDescription"]["Shards"]
    assert [shard["ShardId"] for shard in shards] == [f"shardId-{n:012d}" for n in range(3)]
    of = ("list-shards", "--stream-name", names[0])
    assert aws(*of, "--page-size", "3")["Shards"] == shards
    first = aws(*of, "--no-paginate", "--max-results", "2")
    rest = aws("list-shards", "--no-paginate", "--next-token", first["NextToken"])
    assert first["Shards"] + rest["Shards"] == shards
    # The command line's own pages of shards name the stream beside the token, which AWS refuses.
    done = run(*of, "--page-size", "2")
    assert done.returncode == EXIT_REFUSED
    assert "NextToken and StreamName cannot be provided together." in done.stderr


def test_settings_of_a_stream_are_changed(aws, told, stream):
    of = ("--stream-name", stream)
    key = ("--encryption-type", "KMS", "--key-id", "alias/aws/kinesis")
    hours = ("--retention-period-hours", "72")
    assert aws("increase-stream-retention-period", *of, *hours) is None
    told(stream)
    assert aws("start-stream-encryption", *of, *key) is None
    told(stream)
    metrics = ("--shard-level-metrics", "IncomingBytes", "OutgoingBytes")
    enabled = aws("enable-enhanced-monitoring", *of, *metrics)
    assert sorted(enabled["DesiredShardLevelMetrics"]) == ["IncomingBytes", "OutgoingBytes"]
    told(stream)
    disabled = aws("disable-enhanced-monitoring", *of, "--shard-level-metrics", "OutgoingBytes")
    assert disabled["DesiredShardLevelMetrics"] == ["IncomingBytes"]
    told(stream)
    size = ("--max-record-size-in-ki-b", "2048")
    assert aws("update-max-record-size", "--stream-arn", ARN + stream, *size) is None
    shown = told(stream)
    assert (shown["RetentionPeriodHours"], shown["MaxRecordSizeInKiB"]) == (72, 2048)
    assert (shown["EncryptionType"], shown["KeyId"]) == ("KMS", "alias/aws/kinesis")
    assert shown["EnhancedMonitoring"] == [{"ShardLevelMetrics": ["IncomingBytes"]}]
    assert aws("stop-stream-encryption", *of, *key) is None
    told(stream)
    hours = ("--retention-period-hours", "24")
    assert aws("decrease-stream-retention-period", *of, *hours) is None
    told(stream)
    mode = ("--stream-mode-details", "StreamMode=ON_DEMAND")
    assert aws("update-stream-mode", "--stream-arn", ARN + stream, *mode) is None
    shown = told(stream)
    assert shown["StreamModeDetails"] == {"StreamMode": "ON_DEMAND"}
    assert (shown["RetentionPeriodHours"], shown["EncryptionType"]) == (24, "NONE")


def test_tags_of_streams_and_resources(aws, stream):
    of = ("--stream-name", stream)
    arn = ("--resource-arn", ARN + stream)
    assert aws("add-tags-to-stream", *of, "--tags", "team=a,cost=b") is None
    assert aws("tag-resource", *arn, "--tags", "team=c,stage=test") is None
    assert aws("remove-tags-from-stream", *of, "--tag-keys", "cost") is None
    assert aws("untag-resource", *arn, "--tag-keys", "stage") is None
    tags = [{"Key": "team", "Value": "c"}]
    assert aws("list-tags-for-stream", *of) == {"Tags": tags, "HasMoreTags": False}
    assert aws("list-tags-for-resource", *arn) == {"Tags": tags}


def test_a_policy_is_put_from_a_file_shown_and_deleted(aws, stream, tmp_path):
    arn = ("--resource-arn", ARN + stream)
    policy = {"Statement": [{"Effect": "Allow", "Principal": "*", "Action": "kinesis:*"}]}
    file = tmp_path / "policy.json"
    file.write_text(json.dumps(policy), encoding="utf-8")
    assert aws("put-resource-policy", *arn, "--policy", f"file://{file}") is None
    assert json.loads(aws("get-resource-policy", *arn)["Policy"]) == policy
    assert aws("delete-resource-policy", *arn) is None
    assert aws("get-resource-policy", *arn) == {"Policy": "{}"}


def test_the_account_is_described_and_bound_to_a_throughput(aws, name):
    there = ("--region", "sa-east-1")
    limits = aws("describe-limits", *there)
    assert (limits["OpenShardCount"], limits["OnDemandStreamCount"]) == (0, 0)
    assert limits["ShardLimit"] > 0
    settings = aws("describe-account-settings", *there)["MinimumThroughputBillingCommitment"]
    assert settings["Status"] == "DISABLED"
    bound = ("--minimum-throughput-billing-commitment", "Status=ENABLED")
    settings = aws("update-account-settings", *there, *bound)["MinimumThroughputBillingCommitment"]
    assert settings["Status"] == "ENABLED"
    mode = ("--stream-mode-details", "StreamMode=ON_DEMAND")
    assert aws("create-stream", *there, "--stream-name", name, *mode) is None
    warm = ("--warm-throughput-mi-bps", "6")
    answer = aws("update-stream-warm-throughput", *there, "--stream-name", name, *warm)
    assert answer["WarmThroughput"]["TargetMiBps"] == 6
    assert aws("describe-limits", *there)["OnDemandStreamCount"] == 1


# --- shards and records ---------------------------------------------------------------------------


def test_a_record_is_put_and_read(aws, stream, tmp_path):
    of = ("--stream-name", stream)
    put = aws("put-record", *of, "--partition-key", "k", "--data", "text é€😀")
    assert put["ShardId"] in (FIRST_SHARD, "shardId-000000000001")
    file = tmp_path / "data"
    file.write_bytes(b"\x00\xff")
    raw = aws(
        *("put-record", *of, "--partition-key", "k", "--data", f"fileb://{file}"),
        *("--sequence-number-for-ordering", put["SequenceNumber"]),
    )
    assert int(raw["SequenceNumber"]) > int(put["SequenceNumber"])
    shard = ("--shard-id", put["ShardId"], "--shard-iterator-type", "TRIM_HORIZON")
    token = aws("get-shard-iterator", *of, *shard)["ShardIterator"]
    page = aws("get-records", "--shard-iterator", token, "--limit", "10")
    assert [base64.b64decode(record["Data"]) for record in page["Records"]] == [
        "text é€😀".encode(),
        b"\x00\xff",
    ]
    assert [record["SequenceNumber"] for record in page["Records"]] == [
        put["SequenceNumber"],
        raw["SequenceNumber"],
    ]
    assert page["MillisBehindLatest"] == 0
    again = aws("get-records", "--shard-iterator", page["NextShardIterator"])
    assert again["Records"] == []


def test_a_batch_is_put_and_read_from_each_position(aws, stream):
    of = ("--stream-name", stream)
    records = [
        {"Data": f"data {n}", "PartitionKey": f"key {n}", "ExplicitHashKey": "0"} for n in range(5)
    ]
    put = aws("put-records", *of, "--records", json.dumps(records))
    assert put["FailedRecordCount"] == 0
    numbers = [record["SequenceNumber"] for record in put["Records"]]

    def read(kind: str, *more: str) -> list[str]:
        shard = ("--shard-id", FIRST_SHARD, "--shard-iterator-type", kind, *more)
        token = aws("get-shard-iterator", *of, *shard, "--query", "ShardIterator")
        page = aws("get-records", "--shard-iterator", token)
        return [record["SequenceNumber"] for record in page["Records"]]

    assert read("TRIM_HORIZON") == numbers
    assert read("LATEST") == []
    number = ("--starting-sequence-number", numbers[3])
    assert read("AT_SEQUENCE_NUMBER", *number) == numbers[3:]
    assert read("AFTER_SEQUENCE_NUMBER", *number) == numbers[4:]
    assert read("AT_TIMESTAMP", "--timestamp", "2024-01-01T00:00:00Z") == numbers


def test_shards_are_split_merged_and_counted(aws, told, stream):
    of = ("--stream-name", stream)
    split = ("--shard-to-split", FIRST_SHARD, "--new-starting-hash-key", str(1 << 126))
    assert aws("split-shard", *of, *split) is None
    assert told(stream)["OpenShardCount"] == 3
    merge = ("--shard-to-merge", "shardId-000000000003")
    adjacent = ("--adjacent-shard-to-merge", "shardId-000000000001")
    assert aws("merge-shards", *of, *merge, *adjacent) is None
    assert told(stream)["OpenShardCount"] == 2
    count = ("--target-shard-count", "1", "--scaling-type", "UNIFORM_SCALING")
    counted = aws("update-shard-count", *of, *count)
    assert (counted["CurrentShardCount"], counted["TargetShardCount"]) == (2, 1)
    assert told(stream)["OpenShardCount"] == 1
    (shard,) = aws("list-shards", *of, "--shard-filter", "Type=AT_LATEST")["Shards"]
    assert shard["HashKeyRange"] == {
        "StartingHashKey": "0",
        "EndingHashKey": str((1 << 128) - 1),
    }
    assert shard["ParentShardId"] == "shardId-000000000002"
    assert shard["AdjacentParentShardId"] == "shardId-000000000004"
    every = aws("list-shards", *of)["Shards"]
    assert [each["ShardId"] for each in every] == [f"shardId-{n:012d}" for n in range(6)]


def test_consumers_are_registered_described_listed_and_deregistered(aws, stream):
    of = ("--stream-arn", ARN + stream)
    for n in range(3):
        made = aws("register-stream-consumer", *of, "--consumer-name", f"c-{n}")["Consumer"]
        assert made["ConsumerARN"].startswith(f"{ARN}{stream}/consumer/c-{n}:")
    shown = aws("describe-stream-consumer", "--consumer-arn", made["ConsumerARN"])
    assert shown["ConsumerDescription"]["ConsumerName"] == "c-2"
    first = aws("list-stream-consumers", *of, "--page-size", "1", "--max-items", "2")
    rest = aws("list-stream-consumers", *of, "--starting-token", first["NextToken"])
    listed = [consumer["ConsumerName"] for consumer in first["Consumers"] + rest["Consumers"]]
    assert listed == ["c-0", "c-1", "c-2"]
    assert aws("deregister-stream-consumer", *of, "--consumer-name", "c-1") is None
    left = aws("list-stream-consumers", *of, "--query", "Consumers[*].ConsumerName")
    assert left == ["c-0", "c-2"]


# --- errors ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (
            ("describe-stream", "--stream-name", "there-is-no-such-stream"),
            "An error occurred (ResourceNotFoundException) when calling the DescribeStream "
            "operation: Stream there-is-no-such-stream under account 000000000000 not found.",
        ),
        (
            ("create-stream", "--stream-name", "a b", "--shard-count", "1"),
            "An error occurred (ValidationException) when calling the CreateStream operation: "
            "1 validation error detected: Value 'a b' at 'streamName' failed to satisfy "
            "constraint: Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+",
        ),
        (
            ("get-records", "--shard-iterator", "AAAA"),
            "An error occurred (InvalidArgumentException) when calling the GetRecords operation: "
            "Invalid ShardIterator.",
        ),
        (
            (
                *("put-records", "--stream-name", "none", "--records"),
                json.dumps([{"Data": "x", "PartitionKey": "k"}] * 501),
            ),
            "Member must have length less than or equal to 500",
        ),
        (
            (
                *("create-stream", "--stream-name", "none"),
                *("--stream-mode-details", "StreamMode=SOMETIMES"),
            ),
            "Member must satisfy enum value set: [",
        ),
        (
            (
                *("get-shard-iterator", "--stream-name", "none", "--shard-id", "shard one"),
                *("--shard-iterator-type", "LATEST"),
            ),
            "An error occurred (ValidationException) when calling the GetShardIterator operation",
        ),
    ],
)
def test_a_refused_command_shows_code_operation_and_text(run, arguments, told):
    done = run(*arguments)
    assert done.returncode == EXIT_REFUSED
    assert told in done.stderr
    assert done.stdout == ""


def test_a_stream_that_is_there_is_not_created_again(run, stream):
    done = run("create-stream", "--stream-name", stream, "--shard-count", "1")
    assert done.returncode == EXIT_REFUSED
    assert (
        "An error occurred (ResourceInUseException) when calling the CreateStream operation: "
        f"Stream {stream} under account 000000000000 already exists."
    ) in done.stderr
