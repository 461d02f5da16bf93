"""The load generator's workloads on streams: proven on a daemon, and not fooled by a bad one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from eventcore.bench.client import AwsJsonClient
from eventcore.bench.progress import Progress
from eventcore.bench.stream_workloads import STREAM_WORKLOADS
from eventcore.bench.workloads import Bench, BenchSettings
from eventcore.codec import decode_json, encode_json
from eventcore.server.cli import main


@pytest.fixture
def proven_run(daemon: Any, capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """One run of `eventcore bench` on the daemon, as JSON, with a clean ledger."""

    def run_it(*arguments: str) -> Any:
        assert main(["bench", *arguments, "--endpoint-url", daemon.url, "--json"]) == 0
        (run,) = decode_json(capsys.readouterr().out)
        book = run["ledger"]
        assert book["lost"] == book["duplicated"] == book["order_broken"] == 0
        assert book["received"] == book["sent"] > 0
        assert run["errors"] == 0
        return run

    return run_it


def test_put_records_is_proven(proven_run: Callable[..., Any]) -> None:
    run = proven_run("put-records", "--count", "12", "--connections", "3", "--shards", "5")
    assert (run["operations"], run["messages"], run["requests"]) == (12, 6_000, 12)
    assert run["ledger"]["sent"] == 6_000
    assert run["workload"] == "put-records, 5 shards"


def test_put_record_is_proven(proven_run: Callable[..., Any]) -> None:
    run = proven_run("put-record", "--count", "30", "--connections", "3")
    assert (run["operations"], run["ledger"]["sent"]) == (30, 30)


def test_get_records_reads_the_backlog_again_and_again(proven_run: Callable[..., Any]) -> None:
    run = proven_run(
        *("get-records", "--count", "20", "--connections", "2"),
        *("--backlog", "3000", "--shards", "2", "--size", "100"),
    )
    assert run["operations"] == 20
    assert run["messages"] > 3_000
    assert run["ledger"]["sent"] == 3_000


@pytest.mark.parametrize("workload", ["stream-tip", "stream-push"])
def test_each_record_is_told_at_the_tip(workload: str, proven_run: Callable[..., Any]) -> None:
    run = proven_run(
        workload, "--count", "20", "--rate", "200", "--connections", "2", "--shards", "3"
    )
    assert run["operations"] == run["ledger"]["sent"] == 20
    assert run["latency"]["count"] == 20


def test_all_consumers_are_fed_with_everything(proven_run: Callable[..., Any]) -> None:
    run = proven_run(
        *("stream-feed", "--count", "6", "--connections", "2"),
        *("--shards", "2", "--subscriptions", "6"),
    )
    assert run["messages"] == run["ledger"]["sent"] == 3_000
    assert run["notes"] == {"consumers": 3, "told": 9_000}


def test_all_consumers_of_a_shard_are_woken(proven_run: Callable[..., Any]) -> None:
    run = proven_run(
        *("stream-idle", "--count", "12", "--rate", "200", "--connections", "2"),
        *("--shards", "3", "--subscriptions", "40", "--duration", "2"),
    )
    assert run["operations"] == 12
    assert run["notes"]["told"] == 12 * 20
    assert run["notes"]["subscriptions"] == 40


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (["put-records", "--shards", "0"], "shards"),
        (["put-records", "--shards", "two"], "shards"),
        (["stream-idle", "--subscriptions", "0"], "subscriptions"),
        (["put-records", "--fifo"], "workload"),
    ],
)
def test_options_that_can_not_be_are_refused(
    arguments: list[str], name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", *arguments]) != 0
    assert name in capsys.readouterr().err


class LeakyStream:
    """A peer with a stream of one shard. It forgets its third record, tells its fifth twice and
    refuses its seventh.
    """

    def __init__(self) -> None:
        self.log: list[dict[str, str]] = []
        self.count = 0

    def answer(self, operation: str, asked: Any) -> object:
        if operation == "DescribeStreamSummary":
            return {"StreamDescriptionSummary": {"StreamStatus": "ACTIVE"}}
        if operation == "ListShards":
            shard = {"ShardId": "shardId-0", "HashKeyRange": {"StartingHashKey": "0"}}
            return {"Shards": [shard]}
        if operation == "PutRecords":
            results = [self.put(record) for record in asked["Records"]]
            failed = sum("ErrorCode" in result for result in results)
            return {"FailedRecordCount": failed, "Records": results}
        if operation == "GetShardIterator":
            return {"ShardIterator": "0"}
        if operation == "GetRecords":
            first = int(asked["ShardIterator"])
            records = self.log[first : first + 3]
            return {
                "Records": records,
                "NextShardIterator": str(first + len(records)),
                "MillisBehindLatest": 0,
            }
        return {}

    def put(self, record: dict[str, str]) -> dict[str, str]:
        self.count += 1
        if self.count == 7:
            return {"ErrorCode": "ProvisionedThroughputExceededException", "ErrorMessage": "no"}
        stored = {**record, "SequenceNumber": str(self.count)}
        self.log += [stored] * {3: 0, 5: 2}.get(self.count, 1)
        return {"SequenceNumber": str(self.count), "ShardId": "shardId-0"}


class SwappingStream(LeakyStream):
    """A peer that keeps everything, and gives the latest record of a request first."""

    def put(self, record: dict[str, str]) -> dict[str, str]:
        self.count += 1
        self.log.insert(0, {**record, "SequenceNumber": str(self.count)})
        return {"SequenceNumber": str(self.count), "ShardId": "shardId-0"}


@asynccontextmanager
async def serving(stream: LeakyStream) -> AsyncIterator[str]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                headers = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if line)
                asked = await reader.readexactly(int(headers["Content-Length"]))
                operation = headers["X-Amz-Target"].rpartition(".")[2]
                body = encode_json(stream.answer(operation, decode_json(asked)))
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def put_records_on(stream: LeakyStream, operations: int) -> Bench:
    async with serving(stream) as url, AwsJsonClient(url) as client:
        settings = BenchSettings(connections=1, operations_max=operations, shards=1)
        bench = Bench(client, settings, "leaky", None, Progress("", 1, silent=True))
        await STREAM_WORKLOADS["put-records"].run(bench)
        await bench.clean_up()
    return bench


async def test_the_ledger_finds_what_a_leaky_stream_lost_and_repeated() -> None:
    bench = await put_records_on(LeakyStream(), 1)
    summary = bench.ledger.summary()
    assert (summary.sent, summary.unknown) == (499, 1)
    assert (summary.lost, summary.duplicated, summary.foreign) == (1, 1, 0)
    assert bench.run.messages == 499


async def test_the_ledger_finds_a_stream_that_does_not_keep_the_order() -> None:
    bench = await put_records_on(SwappingStream(), 4)
    summary = bench.ledger.summary()
    assert (summary.sent, summary.lost, summary.duplicated) == (2_000, 0, 0)
    assert summary.order_broken == 1_000, "1,000 partition keys, of each two records"
