"""The AWS API without a network: requests go to the dispatcher as objects.

Two ways in: `wire` sends raw requests and shows raw answers; `sqs`, `events`, `kinesis` and `sts`
are real boto3 clients whose transport is replaced, so that requests are what an SDK sends, and
answers pass its parsers and its MD5 checks.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import boto3
import pytest
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.config import Config

from eventcore.api.dispatch import Dispatcher
from eventcore.runtime.engine import Engine
from eventcore.stores.base import Store
from eventcore.stores.memory import MemoryStore
from eventcore.testing import ManualClock, SeededIds
from eventcore.wire.http import HttpRequest

START_MS = 1_700_000_000_000
HOST = "localhost:9324"
AUTHORIZATION = (
    b"AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20231114/us-east-1/sqs/aws4_request, "
    b"SignedHeaders=host;x-amz-date;x-amz-target, Signature=00"
)

JSON_1_1_TARGETS = {"AWSEvents", "Kinesis_20131202"}


class Parts:
    """A streamed answer that keeps its parts. `is_full`: the client does not read."""

    def __init__(self) -> None:
        self.on_drain: Callable[[], None] | None = None
        self.is_open = True
        self.is_full = False
        self.written: list[bytes] = []

    def write(self, part: bytes) -> bool:
        self.written.append(part)
        return not self.is_full

    def end(self) -> None:
        self.is_open = False


class Answer:
    """An exchange that keeps its reply, or the parts of one that is streamed."""

    def __init__(self) -> None:
        self.on_disconnect: Callable[[], None] | None = None
        self.replies: list[tuple[int, bytes, bytes]] = []
        self.parts = Parts()

    def reply(self, status: int, head: bytes, body: bytes) -> None:
        self.replies.append((status, head, body))

    def stream(self, status: int, head: bytes) -> Parts:
        self.replies.append((status, head, b""))
        return self.parts

    @property
    def is_there(self) -> bool:
        return bool(self.replies)

    @property
    def status(self) -> int:
        (reply,) = self.replies
        return reply[0]

    @property
    def headers(self) -> dict[str, str]:
        head = self.replies[0][1].decode("latin-1")
        assert head.endswith("\r\n")
        lines = head[:-2].split("\r\n")
        return {name: value for name, _, value in (line.partition(": ") for line in lines)}

    @property
    def body(self) -> bytes:
        return self.replies[0][2]

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> str:
        return self.json["__type"].rpartition("#")[2]


class Wire:
    """A dispatcher on an engine in memory, with a manual clock."""

    def __init__(
        self, store: Store, engine: Engine, clock: ManualClock, bugs: list[BaseException]
    ) -> None:
        self.store = store
        self.engine = engine
        self.clock = clock
        self.bugs = bugs
        self.dispatcher = Dispatcher(engine, lambda bug, request_id: bugs.append(bug))

    def raw(
        self,
        body: bytes = b"{}",
        headers: dict[bytes, bytes] | None = None,
        target: bytes = b"/",
        method: bytes = b"POST",
    ) -> Answer:
        answer = Answer()
        self.dispatcher(HttpRequest(method, target, headers or {}, body, "127.0.0.1:5000"), answer)
        return answer

    def call(self, operation: str, /, *, service: str = "AmazonSQS", **members: Any) -> Answer:
        version = 1 if service in JSON_1_1_TARGETS else 0
        headers = {
            b"host": HOST.encode(),
            b"authorization": AUTHORIZATION,
            b"content-type": b"application/x-amz-json-1.%d" % version,
            b"x-amz-target": f"{service}.{operation}".encode(),
        }
        return self.raw(json.dumps(members).encode(), headers)

    def create_queue(self, name: str = "orders", **attributes: str) -> str:
        answer = self.call("CreateQueue", QueueName=name, Attributes=attributes)
        assert answer.status == 200, answer.body
        return answer.json["QueueUrl"]

    async def rows(self) -> list[tuple[int, int, bytes]]:
        """All rows of the store in memory, once everything so far is in it."""
        for _ in range(3):  # one turn of the loop hands the open batch to the store
            await asyncio.sleep(0)
        return list(self.store.load())

    async def settle(self, answer: Answer) -> Answer:
        """Lets the event loop run until the answer is there."""
        for _ in range(100):
            if answer.is_there:
                break
            await asyncio.sleep(0)
        return answer


@asynccontextmanager
async def open_wire(store: Store) -> AsyncIterator[Wire]:
    clock = ManualClock(START_MS)
    bugs: list[BaseException] = []
    async with Engine.open(store, clock=clock, ids=SeededIds(1)) as engine:
        yield Wire(store, engine, clock, bugs)
    assert not bugs


@pytest.fixture
def wire_on() -> Callable[[Store], AbstractAsyncContextManager[Wire]]:
    """Opens a wire on a store of the test's own: `async with wire_on(store) as wire`."""
    return open_wire


@pytest.fixture
async def wire() -> AsyncIterator[Wire]:
    async with open_wire(MemoryStore()) as wire:
        yield wire


@pytest.fixture
def client(wire: Wire) -> Callable[..., Any]:
    """Makes boto3 clients of a service that talk to the dispatcher: `client("sqs")`."""

    def make(service: str, *, access_key: str = "AKIDEXAMPLE", region: str = "us-east-1") -> Any:
        made = boto3.client(
            service,
            endpoint_url=f"http://{HOST}",
            region_name=region,
            aws_access_key_id=access_key,
            aws_secret_access_key="secret",
            config=Config(retries={"total_max_attempts": 1}),
        )
        made.meta.events.register(f"before-send.{service}", send)
        return made

    def send(request: AWSPreparedRequest, **_: object) -> AWSResponse:
        headers = {k.lower().encode(): _bytes(v) for k, v in request.headers.items()}
        headers.setdefault(b"host", HOST.encode())
        body = _bytes(request.body or b"")
        target = request.url.removeprefix(f"http://{HOST}").encode()
        answer = wire.raw(body, headers, target, request.method.encode())
        assert answer.is_there, "a blocking client cannot wait for a long poll here"
        return AWSResponse(request.url, answer.status, answer.headers, _Raw(answer.body))

    return make


class _Raw:
    """What botocore reads a body from."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def stream(self, *_: object, **__: object) -> Any:
        yield self._body


def _bytes(value: str | bytes) -> bytes:
    return value if isinstance(value, bytes) else value.encode()


@pytest.fixture
def sqs(client: Callable[..., Any]) -> Any:
    return client("sqs")


@pytest.fixture
def events(client: Callable[..., Any]) -> Any:
    return client("events")


@pytest.fixture
def kinesis(client: Callable[..., Any]) -> Any:
    return client("kinesis")


@pytest.fixture
def sts(client: Callable[..., Any]) -> Any:
    return client("sts")
