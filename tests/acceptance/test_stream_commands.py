"""The commands of streams against a daemon: put, tail, reshard, lag."""

from __future__ import annotations

import io
import json
import os
import select
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from eventcore.codec import decode_json
from eventcore.runtime.lease_shapes import TARGET_PREFIX
from eventcore.server.cli import main
from eventcore.streams.aggregation import UserRecord, aggregate
from tests.acceptance.conftest import Daemon, client_for

Run = Callable[..., tuple[int, str, str]]
Start = Callable[..., "subprocess.Popen[str]"]
SECONDS_MAX = 60
"""For what a process of its own does; only a failing test takes so long."""
COMMANDS = [("put", "s", "x"), ("tail", "s"), ("reshard", "s", "--shards", "2"), ("lag", "s")]


@pytest.fixture
def run(daemon: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command against the daemon: exit status, standard output and error."""

    def command(*arguments: str, stdin: str = "", url: str = "") -> tuple[int, str, str]:
        monkeypatch.setattr("sys.stdin", io.StringIO(stdin))
        status = main(["streams", *arguments, "--endpoint-url", url or daemon.url])
        shown = capsys.readouterr()
        return status, shown.out, shown.err

    return command


@pytest.fixture
def start(daemon: Any) -> Iterator[Start]:
    """Starts commands in processes of their own."""
    processes: list[subprocess.Popen[str]] = []

    def run_it(*arguments: str, url: str = "", **options: Any) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "eventcore", "streams", *arguments],
            env={**os.environ, "AWS_ENDPOINT_URL": url or daemon.url},
            stdin=options.get("stdin", subprocess.DEVNULL),
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


@pytest.fixture(scope="session")
def kinesis(clients: Callable[..., Any]) -> Any:
    return clients("kinesis")


@pytest.fixture
def stream(kinesis: Any) -> str:
    """A stream with two shards."""
    return new_stream(kinesis, 2)


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A daemon with AWS's quotas."""
    running = Daemon(tmp_path_factory.mktemp("strict") / "data", "--strictness", "aws")
    running.start()
    yield running
    running.kill()


def new_stream(kinesis: Any, shards: int) -> str:
    name = f"commands-{uuid.uuid4().hex}"
    kinesis.create_stream(StreamName=name, ShardCount=shards)
    for _ in range(SECONDS_MAX * 10):
        summary = kinesis.describe_stream_summary(StreamName=name)["StreamDescriptionSummary"]
        if summary["StreamStatus"] == "ACTIVE":
            return name
        time.sleep(0.1)
    pytest.fail("the stream does not become ACTIVE")


def objects(lines: str) -> list[Any]:
    return [decode_json(line) for line in lines.splitlines()]


def texts(run: Run, stream: str, *options: str) -> list[str]:
    status, out, err = run("tail", stream, "--no-follow", "--json", *options)
    assert (status, err) == (0, "")
    return [one["data"] for one in objects(out)]


# put


def test_records_of_the_command_line_are_stored_and_told(run: Run, stream: str) -> None:
    status, out, err = run("put", stream, "one", "two", "--key", "k")
    assert (status, err) == (0, "2 put, 0 refused\n")
    (shard, number), second = (line.split() for line in out.splitlines())
    assert (shard, second[0]) == (second[0], shard)
    assert int(number) < int(second[1])
    assert texts(run, stream) == ["one", "two"]


def test_standard_input_is_a_record_per_line(run: Run, stream: str) -> None:
    lines = "".join(f'{{"n": {n}, "user": {n % 3}}}\n' for n in range(1_201))
    status, out, err = run("put", stream, "--key-field", "user", "--json", stdin=lines)
    told = objects(out)
    assert (status, err) == (0, "")
    assert [one["record"] for one in told] == list(range(1, 1_202))
    assert len({one["sequence_number"] for one in told}) == 1_201
    shown = objects(run("tail", stream, "--no-follow", "--json")[1])
    for user in "012":
        numbers = [json.loads(one["data"])["n"] for one in shown if one["partition_key"] == user]
        assert numbers == list(range(int(user), 1_201, 3))


def test_a_file_is_lines_or_one_record(run: Run, stream: str, tmp_path: Path) -> None:
    path = tmp_path / "input"
    path.write_bytes(b"a\n\nb")
    assert run("put", stream, "--file", str(path))[2] == "2 put, 0 refused\n"
    assert run("put", stream, "--file", "-", stdin="c\n")[2] == "1 put, 0 refused\n"
    path.write_bytes(b"\xff\n\x00")
    assert run("put", stream, "--file", str(path), "--whole", "--quiet") == (
        0,
        "",
        "1 put, 0 refused\n",
    )
    shown = objects(run("tail", stream, "--no-follow", "--json")[1])
    assert sorted(one.get("data", "") for one in shown) == ["", "a", "b", "c"]
    assert [one["data_base64"] for one in shown if "data" not in one] == ["/woA"]


def test_what_is_no_record_is_status_2_and_the_others_are_stored(run: Run, stream: str) -> None:
    status, out, err = run("put", stream, "YQ==", "!", "Yg==", "--base64", "--key", "k", "--json")
    assert status == 2
    assert [one["error_code"] for one in objects(out)] == [None, "InvalidInput", None]
    assert "record 2: InvalidInput: is not base64" in err
    assert texts(run, stream) == ["a", "b"]


def test_a_record_that_is_too_large_is_refused_alone(run: Run, stream: str, tmp_path: Path) -> None:
    path = tmp_path / "large"
    path.write_text("small\n" + "x" * (1 << 20) + "\n")
    status, _, err = run("put", stream, "--file", str(path), "--key", "k")
    assert (status, err.splitlines()[-1]) == (2, "1 put, 1 refused")
    assert "record 2: TooLarge" in err


def test_a_line_is_stored_before_the_next_one_comes(start: Start, stream: str) -> None:
    process = start("put", stream, stdin=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    for line in ("one", "two"):
        process.stdin.write(line + "\n")
        process.stdin.flush()
        assert process.stdout.readline().startswith("shardId-")
    process.send_signal(signal.SIGINT)  # while it waits for a line
    assert process.wait(SECONDS_MAX) == 130
    assert process.stderr is not None
    assert process.stderr.read() == "2 put, 0 refused\n"


def test_throttled_records_are_put_again_until_all_are_stored(run: Run, strict: Daemon) -> None:
    stream = new_stream(client_for(strict.url, "kinesis"), 1)
    lines = "".join(f"{n}\n" for n in range(2_500))  # a shard takes 1,000 a second
    status, out, err = run("put", stream, "--json", stdin=lines, url=strict.url)
    assert (status, err) == (0, "")
    assert len({one["sequence_number"] for one in objects(out)}) == 2_500
    status, out, err = run("put", stream, "--retries", "0", stdin=lines, url=strict.url)
    assert status == 2
    assert "ProvisionedThroughputExceededException" in err
    refused = 2_500 - len(out.splitlines())
    assert err.splitlines()[-1] == f"{len(out.splitlines()):,} put, {refused:,} refused"


# tail


def interrupted(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Presses Ctrl-C: exit status, and what was not read yet of both outputs."""
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=SECONDS_MAX)
    return process.returncode, out, err


def test_tail_follows_resharding_and_goes_on_where_it_was(
    run: Run, start: Start, stream: str
) -> None:
    run("put", stream, *"abc", "--key", "k")
    process = start("tail", stream, "--from", "TRIM_HORIZON", "--json")
    assert process.stdout is not None
    before = [decode_json(process.stdout.readline())["data"] for _ in "abc"]
    assert run("reshard", stream, "--shards", "3")[0] == 0
    run("put", stream, *"de", "--key", "k")
    assert run("reshard", stream, "--shards", "1")[0] == 0
    run("put", stream, "f", "--key", "k")
    after = [decode_json(process.stdout.readline())["data"] for _ in "def"]
    assert before + after == list("abcdef")
    status, out, err = interrupted(process)
    assert (status, out) == (130, "")
    run("put", stream, *"gh", "--key", "k")
    command = err.removeprefix("go on with: eventcore streams tail ").split()
    assert texts(run, command[0], *command[1:]) == ["g", "h"]


def test_tail_begins_with_what_comes(run: Run, start: Start, stream: str) -> None:
    run("put", stream, "old", "--key", "k")
    process = start("tail", stream)
    assert process.stdout is not None
    is_shown = False
    while not is_shown:  # until it has its iterators
        run("put", stream, "new", "--key", "käy")
        is_shown = bool(select.select([process.stdout], [], [], 0.2)[0])
    shown = process.stdout.readline()
    assert ("old" in shown, "  käy  new" in shown) == (False, True)
    assert interrupted(process)[0] == 130


def test_tail_begins_at_a_time_at_a_number_or_in_one_shard(run: Run, stream: str) -> None:
    told = objects(run("put", stream, *"abcdef", "--json")[1])
    assert sorted(texts(run, stream, "--from", "2000-01-01T00:00:00Z")) == list("abcdef")
    assert sorted(texts(run, stream, "--from", "946684800")) == list("abcdef")
    assert texts(run, stream, "--from", "latest") == []
    of_one = [n for n, one in enumerate(told) if one["shard_id"] == told[0]["shard_id"]]
    expected = ["abcdef"[n] for n in of_one]
    assert texts(run, stream, "--shard", told[0]["shard_id"]) == expected
    number = told[of_one[0]]["sequence_number"]
    place = f"{told[0]['shard_id']}={number}"
    assert texts(run, stream, "--shard", told[0]["shard_id"], "--after", place) == expected[1:]


def test_tail_shows_user_records_of_aggregates(run: Run, kinesis: Any, stream: str) -> None:
    data = aggregate([UserRecord("p", b"one"), UserRecord("q", b"two")])
    kinesis.put_record(StreamName=stream, PartitionKey="a", Data=data)
    _, out, _ = run("tail", stream, "--no-follow", "--json", "--deaggregate")
    shown = [
        (one["partition_key"], one["data"], one["sub_sequence_number"]) for one in objects(out)
    ]
    assert shown == [("p", "one", 0), ("q", "two", 1)]
    assert "base64:84maw" in run("tail", stream, "--no-follow")[1]


def test_control_characters_never_reach_the_terminal(run: Run, kinesis: Any, stream: str) -> None:
    text = "\x1b[31m\x07\x9b\u202e"
    kinesis.put_record(StreamName=stream, PartitionKey=text, Data=text.encode())
    for option in ([], ["--json"]):
        _, out, _ = run("tail", stream, "--no-follow", *option)
        assert out.count("\\u001b[31m\\u0007\\u009b\\u202e") == 2
        assert out.removesuffix("\n").isprintable()


def test_tail_waits_out_rates(run: Run, start: Start, strict: Daemon) -> None:
    stream = new_stream(client_for(strict.url, "kinesis"), 1)
    run("put", stream, "a", "--key", "k", url=strict.url)
    # Each of them asks twice a second; the shard answers five times.
    tails = [start("tail", stream, "--from", "TRIM_HORIZON", url=strict.url) for _ in range(4)]
    for tail in tails:
        assert tail.stdout is not None
        assert tail.stdout.readline().endswith("  k  a\n")
    run("put", stream, "b", "--key", "k", url=strict.url)
    for tail in tails:
        assert tail.stdout is not None
        assert tail.stdout.readline().endswith("  k  b\n")
        assert interrupted(tail)[0] == 130


@pytest.mark.parametrize("end", ["the stream", "the daemon"])
def test_tail_ends_with_what_it_reads(
    end: str, run: Run, start: Start, own_daemon: Any, connect: Callable[..., Any]
) -> None:
    kinesis = connect(own_daemon.url, "kinesis")
    stream = new_stream(kinesis, 2)
    (told,) = objects(run("put", stream, "a", "--json", url=own_daemon.url)[1])
    process = start("tail", stream, "--from", "TRIM_HORIZON", url=own_daemon.url)
    assert process.stdout is not None
    assert process.stdout.readline().endswith("  a\n")
    if end == "the stream":
        kinesis.delete_stream(StreamName=stream)
    else:
        own_daemon.kill()
    _, err = process.communicate(timeout=SECONDS_MAX)
    places, problem = err.splitlines()
    assert process.returncode == 1
    assert f"--after {told['shard_id']}={told['sequence_number']}" in places
    assert ("ResourceNotFoundException" if end == "the stream" else own_daemon.url) in problem


def test_put_says_how_far_it_came_when_the_daemon_goes(
    start: Start, own_daemon: Any, connect: Callable[..., Any]
) -> None:
    stream = new_stream(connect(own_daemon.url, "kinesis"), 1)
    process = start("put", stream, url=own_daemon.url, stdin=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("one\n")
    process.stdin.flush()
    assert process.stdout.readline().startswith("shardId-")
    own_daemon.kill()
    _, err = process.communicate("two\n", timeout=SECONDS_MAX)
    assert process.returncode == 2
    assert "1 put, 0 refused\n" in err
    assert f"eventcore: {own_daemon.url}: " in err


# reshard


def test_reshard_shows_what_it_does(run: Run, stream: str) -> None:
    status, out, err = run("reshard", stream, "--shards", "9")
    blocks = out.split("\n\n")
    assert status == 0
    assert err.splitlines() == ["2 -> 4 shards ...", "4 -> 8 shards ...", "8 -> 9 shards ..."]
    assert [block.splitlines()[0] for block in blocks] == ["before:", "after:", "now:"]
    assert [len(block.splitlines()) - 2 for block in blocks] == [2, 9, 9]
    planned, made = ([line.split()[1:] for line in block.splitlines()] for block in blocks[1:])
    assert planned[2:] == made[2:]
    assert run("reshard", stream, "--shards", "9")[2].startswith("nothing to do")


def test_reshard_splits_and_merges(run: Run, kinesis: Any, stream: str) -> None:
    done = decode_json(run("reshard", stream, "--split", "0", "--at", "12345", "--json")[1])
    made = [(one["first_hash_key"], one["last_hash_key"]) for one in done["after"]]
    assert made[:2] == [("0", "12344"), ("12345", str(2**127 - 1))]
    assert len(done["before"]) == 2
    first, second = (one["shard_id"] for one in done["after"][:2])
    planned = run("reshard", stream, "--merge", second, first, "--dry-run", "--json")
    assert decode_json(planned[1])["after"][0]["shard_id"] is None
    merged = decode_json(run("reshard", stream, "--merge", second, first, "--json")[1])
    assert [one["first_hash_key"] for one in merged["after"]] == ["0", str(2**127)]
    shards = kinesis.list_shards(StreamName=stream, ShardFilter={"Type": "AT_LATEST"})["Shards"]
    assert {one["ShardId"] for one in shards} == {one["shard_id"] for one in merged["after"]}


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--split", "7"], "open shard 'shardId-000000000007' does not exist on"),
        (["--split", "1", "--at", "5"], "--at must be"),
        (["--merge", "0", "0"], "are not side by side"),
    ],
)
def test_what_cannot_be_done_is_status_1(
    run: Run, stream: str, options: list[str], told: str
) -> None:
    status, out, err = run("reshard", stream, *options)
    assert (status, out, told in err, err.count("\n")) == (1, "", True, 1)


def test_reshard_waits_for_a_stream_and_tells_what_its_quota_stopped(
    run: Run, strict: Daemon
) -> None:
    stream = new_stream(client_for(strict.url, "kinesis"), 1)
    assert run("reshard", stream, "--shards", "4", url=strict.url)[0] == 0  # two steps, UPDATING
    for count in (5, 4, 5, 4, 5, 4):
        assert run("reshard", stream, "--shards", str(count), url=strict.url)[0] == 0
    status, _, err = run("reshard", stream, "--shards", "30", url=strict.url)
    assert status == 1
    assert "2 of 3 steps are done" in err
    assert "eventcore: UpdateShardCount: LimitExceededException" in err


# lag


def call_leases(url: str, operation: str, **parameters: Any) -> Any:
    import urllib.request

    request = urllib.request.Request(
        url,
        json.dumps(parameters).encode(),
        {
            "X-Amz-Target": f"{TARGET_PREFIX}.{operation}",
            "Content-Type": "application/x-amz-json-1.1",
        },
    )
    with urllib.request.urlopen(request, timeout=SECONDS_MAX) as answer:
        return json.loads(answer.read())


def test_lag_tells_how_far_a_group_is(run: Run, daemon: Any, kinesis: Any, stream: str) -> None:
    told = objects(run("put", stream, "a", "b", "--key", "k", "--json")[1])
    arn = f"arn:aws:kinesis:us-east-1:000000000000:stream/{stream}"
    group = {"StreamARN": arn, "GroupName": "billing"}
    shard_ids = [one["ShardId"] for one in kinesis.list_shards(StreamName=stream)["Shards"]]
    lineage = [{"ShardId": shard_id} for shard_id in shard_ids]
    beat = call_leases(daemon.url, "Heartbeat", **group, WorkerId="w1", Lineage=lineage)
    counters = {lease["ShardId"]: lease["Counter"] for lease in beat["Leases"]}
    shard_id = told[0]["shard_id"]
    assert set(counters) == set(shard_ids)

    lag = {one["shard_id"]: one for one in objects(run("lag", stream, "--json")[1])}
    assert {one["state"] for one in lag.values()} == {"open"}
    assert lag[shard_id]["newest_age_ms"] >= 0
    assert lag[next(one for one in shard_ids if one != shard_id)]["newest_ms"] is None
    assert "owner" not in lag[shard_id]

    for number, is_behind in ((0, True), (1, False)):
        place = {"Type": "AFTER_RECORD", "SequenceNumber": told[number]["sequence_number"]}
        call_leases(
            daemon.url,
            "Checkpoint",
            **group,
            ShardId=shard_id,
            WorkerId="w1",
            Counter=counters[shard_id],
            Checkpoint=place,
        )
        out = run("lag", stream, "--group", "billing", "--json")[1]
        (shown,) = (one for one in objects(out) if one["shard_id"] == shard_id)
        assert (shown["owner"], shown["checkpoint"]) == ("w1", place["SequenceNumber"])
        assert (shown["behind_ms"] > 0) is is_behind
    head, *rows = run("lag", arn, "--group", "billing")[1].splitlines()
    assert head.split() == ["shard", "state", "owner", "checkpoint", "newest", "behind"]
    assert [row.split()[:3] for row in rows] == [[one, "open", "w1"] for one in sorted(shard_ids)]
    assert run("lag", stream, "--group", "nobody")[0] == 1


# All of them


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_what_the_endpoint_refuses_is_one_line(run: Run, command: tuple[str, ...]) -> None:
    expected = 2 if command[0] == "put" else 1
    for stream in ("no-such-stream", "arn:aws:kinesis:us-east-1:000000000000:stream/none"):
        status, out, err = run(command[0], stream, *command[2:])
        assert (status, out, err.count("\n")) == (expected, "", 1)
        assert "ResourceNotFoundException" in err
    status, out, err = run(*command, url="http://127.0.0.1:9")
    assert (status, out, err.count("\n")) == (expected, "", 1)
    assert "127.0.0.1:9" in err


@pytest.mark.parametrize(
    "arguments",
    [
        ("put", "s", "x", "--key", "k", "--key-field", "f"),
        ("put", "s", "x", "--key", ""),
        ("put", "s", "x", "--file", "f"),
        ("put", "s", "x", "--whole"),
        ("put", "s", "x", "--retries", "-1"),
        ("tail", "s", "--from", "yesterday"),
        ("tail", "s", "--from", "-1"),
        ("tail", "s", "--from", "nan"),
        ("tail", "s", "--after", "12"),
        ("tail", "s", "--after", "0=x"),
        ("reshard", "s"),
        ("reshard", "s", "--shards", "0"),
        ("reshard", "s", "--shards", "2", "--split", "0"),
        ("reshard", "s", "--shards", "2", "--at", "0"),
        ("reshard", "s", "--split", "0", "--at", "-1"),
        ("reshard", "s", "--shards", "2", "--timeout", "0"),
    ],
)
def test_bad_arguments_are_status_2(run: Run, arguments: tuple[str, ...]) -> None:
    status, out, err = run(*arguments)
    assert (status, out) == (2, "")
    assert err.startswith((f"eventcore streams {arguments[0]}: ", "usage: eventcore streams "))


def test_a_terminal_may_be_of_any_encoding(run: Run, daemon: Any, stream: str, sqs: Any) -> None:
    """Of streams and of queues: what it does not have is escaped."""
    queue = f"commands-{uuid.uuid4().hex}"
    sqs.create_queue(QueueName=queue)
    text = "é … \x1b[31m"
    assert run("put", stream, text, "--key", "…")[0] == 0
    assert main(["send", queue, text.replace("\x1b", ""), "--endpoint-url", daemon.url]) == 0
    for command, expected in (
        (["streams", "tail", stream, "--no-follow"], b"\\u2026  \\u00e9 \\u2026 \\u001b[31m\n"),
        (["peek", queue], b"\\u00e9 \\u2026 [31m\n"),
        (["peek", queue, "--json"], b'"body":"\\u00e9 \\u2026 [31m"'),
        (["receive", queue, "--delete"], b"\xe9 \\u2026 [31m\n"),
    ):
        done = subprocess.run(
            [sys.executable, "-m", "eventcore", *command, "--endpoint-url", daemon.url],
            env={**os.environ, "PYTHONIOENCODING": "latin-1"},
            capture_output=True,
            timeout=SECONDS_MAX,
        )
        assert (done.returncode, done.stderr) == (0, b"")
        assert expected in done.stdout
