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
from eventcore.bench.load import LoadOver, LoadPlan, run_load
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


@pytest.mark.parametrize("rate", [None, 1_000])
async def test_a_step_with_nothing_left_ends_the_load_and_is_not_counted(rate: int | None) -> None:
    left = 7

    async def step(worker: int) -> int:
        nonlocal left
        if not left:
            raise LoadOver
        left -= 1
        await asyncio.sleep(0)
        return 10

    run = await run_load(step, LoadPlan(workers=3, duration_s=60, rate=rate))
    assert (run.operations, run.messages, run.errors, run.latency.count) == (7, 70, 0, 7)


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
        self.requests: list[tuple[str, Any]] = []

    async def __call__(self, operation: str, body: bytes) -> Reply:
        parameters = decode_json(body)
        self.requests.append((operation, parameters))
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


class BackwardQueue(LeakyQueue):
    """A peer that gives the latest message first."""

    async def __call__(self, operation: str, body: bytes) -> Reply:
        self.sent = 3  # from here on the leaky one keeps everything
        if operation == "receivemessage":
            self.waiting.reverse()
        return await super().__call__(operation, body)


async def run_on_backward_queue(settings: BenchSettings) -> tuple[Bench, BackwardQueue]:
    peer = BackwardQueue()
    async with scripted_peer(peer) as url, AwsJsonClient(url) as client:
        bench = Bench(client, settings, "backward", None, Progress("", 1, silent=True))
        await WORKLOADS["send"].run(bench)
        await bench.clean_up()
    return bench, peer


async def test_the_ledger_finds_a_fifo_queue_that_does_not_keep_the_order() -> None:
    settings = BenchSettings(connections=1, operations_max=4, is_fifo=True, groups=2)
    bench, _ = await run_on_backward_queue(settings)
    assert bench.ledger.summary().order_broken == 2
    bench, _ = await run_on_backward_queue(BenchSettings(connections=1, operations_max=4))
    assert bench.ledger.summary().order_broken == 0


async def test_what_is_sent_to_fifo_and_fair_queues() -> None:
    settings = BenchSettings(connections=1, operations_max=4, is_fifo=True, groups=3)
    _, peer = await run_on_backward_queue(settings)
    (created,) = [asked for operation, asked in peer.requests if operation == "createqueue"]
    assert (created["QueueName"], created["Attributes"]["FifoQueue"]) == ("backward.fifo", "true")
    sends = [asked for operation, asked in peer.requests if operation == "sendmessage"]
    groups = [asked["MessageGroupId"] for asked in sends]
    assert groups == ["group-0", "group-1", "group-2", "group-0"]
    assert len({asked["MessageDeduplicationId"] for asked in sends}) == 4

    _, peer = await run_on_backward_queue(BenchSettings(connections=1, operations_max=1, groups=3))
    asked = dict(peer.requests)
    assert asked["createqueue"]["QueueName"] == "backward"
    assert asked["sendmessage"]["MessageGroupId"] == "group-0"
    assert "MessageDeduplicationId" not in asked["sendmessage"]


@pytest.fixture
def proven_run(daemon: Any, capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """One run of `eventcore bench` on the daemon, as JSON, with a clean ledger."""

    def run_it(*arguments: str) -> Any:
        assert main(["bench", *arguments, "--endpoint-url", daemon.url, "--json"]) == 0
        (run,) = decode_json(capsys.readouterr().out)
        book = run["ledger"]
        assert book["lost"] == book["duplicated"] == book["order_broken"] == 0
        assert book["received"] == book["sent"] > 0
        return run

    return run_it


KINDS = {"standard": [], "fair": ["--groups", "3"], "fifo": ["--fifo", "--groups", "3"]}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "workload", ["send", "send-batch", "cycle", "cycle-batch", "mixed", "backlog"]
)
def test_every_workload_is_proven_on_every_kind_of_queue(
    workload: str, kind: str, proven_run: Callable[..., Any]
) -> None:
    options = ["--count", "40", "--connections", "4", "--backlog", "50"]
    run = proven_run(workload, *options, *KINDS[kind])
    assert run["operations"] == 40
    assert run["requests"] >= 40
    assert run["ledger"]["sent"] >= 20


def test_events_are_proven(proven_run: Callable[..., Any]) -> None:
    run = proven_run("put-events", "--count", "40", "--connections", "4")
    assert (run["operations"], run["requests"], run["ledger"]["sent"]) == (40, 40, 400)


@pytest.mark.parametrize("kind", KINDS)
def test_receives_end_when_the_backlog_is_used_up(
    kind: str, proven_run: Callable[..., Any]
) -> None:
    options = ["--backlog", "95", "--connections", "4", "--duration", "60", "--warmup", "0"]
    run = proven_run("receive-batch", *options, *KINDS[kind])
    assert (run["messages"], run["ledger"]["sent"]) == (95, 95)
    assert run["operations"] >= 10
    assert run["requests"] >= (20 if kind == "fifo" else 10)


@pytest.mark.parametrize(("kind", "deleted"), [("standard", 95), ("fair", 95), ("fifo", 30)])
def test_deletes_end_when_what_was_received_is_used_up(
    kind: str, deleted: int, proven_run: Callable[..., Any]
) -> None:
    """Of the FIFO queue's 3 groups no more than 10 messages each come before a delete."""
    options = ["--backlog", "95", "--connections", "4", "--duration", "60", "--warmup", "0"]
    run = proven_run("delete-batch", *options, *KINDS[kind])
    assert (run["messages"], run["ledger"]["sent"]) == (deleted, 95)
    assert run["requests"] == run["operations"] >= deleted / 10
    assert run["notes"]["received_before"] == deleted


def test_a_warm_up_leaves_most_of_the_backlog(proven_run: Callable[..., Any]) -> None:
    options = ["--backlog", "400", "--connections", "2", "--duration", "60", "--warmup", "60"]
    assert proven_run("receive-batch", *options)["messages"] == 360


@pytest.mark.parametrize("kind", KINDS)
def test_long_polls_wake_up(kind: str, proven_run: Callable[..., Any]) -> None:
    options = ["--polls", "12", "--duration", "0.5", *KINDS[kind]]
    run = proven_run("long-poll", *options)
    assert run["notes"]["polls"] == 12
    assert 1 <= run["ledger"]["sent"] <= 12, "as many as the disk let through in half a second"
    assert run["messages"] == run["ledger"]["sent"]


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


def test_numbers_of_groups_and_backlogs_are_runs_of_one_round(
    daemon: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    lists = ["--groups", "0,20", "--backlog", "10,30"]
    options = ["--endpoint-url", daemon.url, "--count", "2", "--connections", "2", "--json"]
    assert main(["bench", "backlog", *lists, *options]) == 0
    runs = decode_json(capsys.readouterr().out)
    names = ["backlog 10", "backlog 10, 20 groups", "backlog 30", "backlog 30, 20 groups"]
    assert [run["workload"] for run in runs] == names


def test_with_groups_the_default_workloads_are_those_that_have_them(
    daemon: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--endpoint-url", daemon.url, "--count", "2", "--connections", "2", "--json"]
    assert main(["bench", "--fifo", *options]) == 0
    names = [run["workload"] for run in decode_json(capsys.readouterr().out)]
    plain = ["send", "send-batch", "cycle", "cycle-batch", "mixed"]
    assert names == [f"{name}, FIFO, 1,000 groups" for name in plain]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["nonsense"], "Must be one of send"),
        (["put-events", "--fifo"], "Takes neither --fifo nor --groups."),
        (["put-events", "--groups", "5"], "Takes neither --fifo nor --groups."),
        (["send", "--fifo", "--groups", "0"], "Must be at least 1 with --fifo."),
        (["send", "--groups", "many"], "Must be whole numbers"),
        (["backlog", "--backlog", "1,,2"], "Must be whole numbers"),
        (["backlog", "--backlog", "-1"], "Must be whole numbers"),
    ],
)
def test_what_can_not_be_run_is_an_error(
    arguments: list[str], text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", *arguments]) == 1
    assert text in capsys.readouterr().err


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
