"""The load generator: its client on a scripted peer, its loops, its ledger on a daemon."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from eventcore.bench import calls
from eventcore.bench.client import SQS, AwsJsonClient, CallFailed, EndpointUnreachable
from eventcore.bench.daemon_process import DaemonFailed, DaemonProcess
from eventcore.bench.load import LoadPlan, run_load
from eventcore.bench.progress import Progress
from eventcore.bench.workloads import WORKLOADS, Bench, BenchSettings
from eventcore.codec import decode_json, encode_json
from eventcore.errors import InvalidParameter
from eventcore.server.cli import main

Reply = tuple[int, bytes] | None
"""Status and body of the scripted peer's answer; None closes the connection without one."""
Script = Callable[[str, bytes], Awaitable[Reply]]


@asynccontextmanager
async def scripted_peer(script: Script) -> AsyncIterator[str]:
    """An HTTP server that answers each request as `script(operation, body)` says."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
                headers = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if line)
                body = await reader.readexactly(int(headers["content-length"]))
                reply = await script(headers["x-amz-target"].rpartition(".")[2], body)
                if reply is None:
                    return
                head_out = f"HTTP/1.1 {reply[0]} X\r\nContent-Length: {len(reply[1])}\r\n\r\n"
                writer.write(head_out.encode() + reply[1])
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


def scripted(*replies: Reply) -> Script:
    """Gives the replies in turn, the last one again and again."""
    left = list(replies)

    async def script(operation: str, body: bytes) -> Reply:
        return left.pop(0) if len(left) > 1 else left[0]

    return script


async def test_an_error_answer_is_raised_with_its_code() -> None:
    error = encode_json({"__type": "com.amazonaws.sqs#QueueDoesNotExist", "message": "no"})
    async with scripted_peer(scripted((400, error))) as url, AwsJsonClient(url) as client:
        with pytest.raises(CallFailed) as raised:
            await client.call(SQS, "SendMessage", {})
    assert (raised.value.status, raised.value.code) == (400, "QueueDoesNotExist")


async def test_an_error_page_of_a_proxy_is_raised_with_its_text() -> None:
    async with scripted_peer(scripted((502, b"<html>"))) as url, AwsJsonClient(url) as client:
        with pytest.raises(CallFailed, match="<html>"):
            await client.call(SQS, "SendMessage", {})


async def test_a_lost_connection_is_an_error_and_not_retried_by_default() -> None:
    async with scripted_peer(scripted(None)) as url, AwsJsonClient(url) as client:
        with pytest.raises(EndpointUnreachable):
            await client.call(SQS, "SendMessage", {})
        assert client.retries == 0


async def test_with_retries_lost_connections_and_5xx_are_tried_again() -> None:
    script = scripted(None, (503, b""), (200, b"{}"))
    async with scripted_peer(script) as url, AwsJsonClient(url, retry_s=10) as client:
        assert await client.call(SQS, "SendMessage", {}) == {}
        assert client.retries == 2


async def test_nobody_listening_is_an_error_that_names_the_endpoint() -> None:
    async with AwsJsonClient("http://127.0.0.1:9") as client:
        with pytest.raises(EndpointUnreachable, match=r"127\.0\.0\.1:9"):
            await client.call(SQS, "SendMessage", {})


async def test_an_answer_that_does_not_come_in_time_is_an_error() -> None:
    async def never(operation: str, body: bytes) -> Reply:
        await asyncio.sleep(30)
        return None

    async with scripted_peer(never) as url, AwsJsonClient(url, timeout_s=0.1) as client:
        with pytest.raises(EndpointUnreachable, match="in time"):
            await client.call(SQS, "SendMessage", {})


async def test_at_most_connections_max_requests_are_on_the_way() -> None:
    running = most = 0

    async def count(operation: str, body: bytes) -> Reply:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.01)
        running -= 1
        return 200, b"{}"

    async with (
        scripted_peer(count) as url,
        AwsJsonClient(url, connections_max=3) as client,
        asyncio.TaskGroup() as group,
    ):
        for _ in range(12):
            group.create_task(client.call(SQS, "SendMessage", {}))
    assert most == 3


async def test_a_cancelled_call_frees_its_place_and_leaves_no_answer_behind() -> None:
    async def slow_first(operation: str, body: bytes) -> Reply:
        await asyncio.sleep(0.2 if b"slow" in body else 0)
        return 200, body

    async with scripted_peer(slow_first) as url, AwsJsonClient(url, connections_max=1) as client:
        slow = asyncio.create_task(client.call(SQS, "SendMessage", {"is": "slow"}))
        await asyncio.sleep(0.05)
        slow.cancel()
        assert await client.call(SQS, "SendMessage", {"is": "next"}) == {"is": "next"}
        assert slow.cancelled()


def test_an_endpoint_must_be_a_url() -> None:
    with pytest.raises(InvalidParameter, match="endpoint_url"):
        AwsJsonClient("localhost:4566")


async def test_a_batch_entry_that_failed_is_an_error() -> None:
    answer = {"Failed": [{"Id": "1", "Code": "InvalidMessageContents", "Message": "bad"}]}
    script = scripted((200, encode_json(answer)))
    async with scripted_peer(script) as url, AwsJsonClient(url) as client:
        with pytest.raises(CallFailed, match="InvalidMessageContents"):
            await calls.send_batch(client, "q", ["a", "b"])


async def test_an_open_loop_counts_a_pause_in_every_step_that_it_delayed() -> None:
    """100 steps a second for half a second; the first stops the only worker for 0.2 s."""
    calls_made = 0

    async def step(worker: int) -> int:
        nonlocal calls_made
        calls_made += 1
        await asyncio.sleep(0.2 if calls_made == 1 else 0)
        return 1

    run = await run_load(step, LoadPlan(workers=1, duration_s=0.5, rate=100))
    assert run.operations == 50
    assert run.latency.percentile_ns(0.75) > 20e6


async def test_a_closed_loop_hides_the_same_pause() -> None:
    calls_made = 0

    async def step(worker: int) -> int:
        nonlocal calls_made
        calls_made += 1
        await asyncio.sleep(0.2 if calls_made == 1 else 0.001)
        return 1

    run = await run_load(step, LoadPlan(workers=1, duration_s=60, operations_max=50))
    assert run.operations == 50
    assert run.latency.percentile_ns(0.75) < 100e6
    assert run.latency.max_ns >= 200e6


async def test_failed_steps_are_errors_without_a_latency_and_end_a_hopeless_run() -> None:
    async def step(worker: int) -> int:
        raise EndpointUnreachable("gone")

    few = await run_load(step, LoadPlan(workers=1, duration_s=60, operations_max=3))
    assert (few.operations, few.errors, few.latency.count) == (0, 3, 0)
    with pytest.raises(BaseExceptionGroup):
        await run_load(step, LoadPlan(workers=2, duration_s=60))


class LeakyQueue:
    """A peer with one queue that forgets its third message and gives its first twice."""

    def __init__(self) -> None:
        self.sent = 0
        self.waiting: list[str] = []

    async def __call__(self, operation: str, body: bytes) -> Reply:
        parameters = decode_json(body)
        answer: dict[str, object] = {}
        if operation == "createqueue":
            answer = {"QueueUrl": "http://peer/q"}
        elif operation == "sendmessage":
            self.sent += 1
            copies = {1: 2, 3: 0}.get(self.sent, 1)
            self.waiting += [parameters["MessageBody"]] * copies
        elif operation == "receivemessage":
            bodies, self.waiting = self.waiting[:10], self.waiting[10:]
            messages = [{"MessageId": "m", "ReceiptHandle": "h", "Body": text} for text in bodies]
            answer = {"Messages": messages}
        elif operation == "getqueueattributes":
            answer = {"Attributes": {"ApproximateNumberOfMessages": str(len(self.waiting))}}
        return 200, encode_json(answer)


async def test_the_ledger_finds_what_a_leaky_server_lost_and_repeated() -> None:
    async with scripted_peer(LeakyQueue()) as url, AwsJsonClient(url) as client:
        settings = BenchSettings(connections=1, operations_max=5)
        bench = Bench(client, settings, "leaky", None, Progress("", 1, silent=True))
        await WORKLOADS["send"].run(bench)
        await bench.clean_up()
    summary = bench.ledger.summary()
    assert (summary.sent, summary.lost, summary.duplicated) == (5, 1, 1)


@pytest.mark.parametrize(
    "workload", ["send", "send-batch", "cycle", "cycle-batch", "mixed", "put-events", "backlog"]
)
def test_every_workload_is_proven_against_a_daemon(
    workload: str, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--count", "40", "--connections", "4", "--backlog", "50", "--json"]
    assert main(["bench", workload, *options]) == 0
    (run,) = decode_json(capsys.readouterr().out)
    assert run["operations"] == 40
    assert run["ledger"]["lost"] == run["ledger"]["duplicated"] == 0
    assert run["ledger"]["received"] == run["ledger"]["sent"] >= 20


def test_long_polls_wake_up(capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--polls", "50", "--duration", "0.5", "--json"]
    assert main(["bench", "long-poll", *options]) == 0
    (run,) = decode_json(capsys.readouterr().out)
    assert run["ledger"]["received"] == run["ledger"]["sent"] == 50


def test_repeats_and_two_endpoints_alternate(
    daemon: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    url = daemon.url
    endpoints = ["--endpoint-url", f"a={url}", "--endpoint-url", f"b={url}"]
    options = ["--count", "20", "--connections", "2", "--repeat", "2", "--json"]
    assert main(["bench", "send", "cycle", *endpoints, *options]) == 0
    runs = decode_json(capsys.readouterr().out)
    assert [run["endpoint"] for run in runs] == ["a", "b"] * 4
    assert [run["workload"] for run in runs] == ["send", "send", "cycle", "cycle"] * 2


def test_the_table_is_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "send", "--count", "20", "--connections", "2"]) == 0
    shown = capsys.readouterr().out
    assert "p99.9" in shown
    assert shown.rstrip().endswith("ok")


def test_an_unknown_workload_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "nonsense"]) == 1
    assert "Must be one of send" in capsys.readouterr().err


async def test_a_killed_daemon_comes_back_on_its_port_with_its_messages(tmp_path: Path) -> None:
    async with DaemonProcess(tmp_path) as daemon:
        url = daemon.url
        async with AwsJsonClient(url, retry_s=20) as client:
            queue = await calls.create_queue(client, "q")
            await calls.send(client, queue, "kept")
            await daemon.kill()
            await daemon.start()
            received = await calls.receive(client, queue)
        assert daemon.url == url
    assert [message.body for message in received] == ["kept"]


async def test_a_daemon_that_cannot_start_says_why(tmp_path: Path) -> None:
    (tmp_path / "events.db").write_text("not a database, but quite long enough to look at" * 30)
    began_s = time.monotonic()
    with pytest.raises(DaemonFailed, match=r"events\.db"):
        await DaemonProcess(tmp_path).start()
    assert time.monotonic() - began_s < 30
