"""The Runtime API as HTTP: a fake environment behind it, sockets in front."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import AsyncIterator

import pytest

from eventcore import limits
from eventcore.environments import runtime_api
from eventcore.environments.runtime_api import Answer, Event, NextCall, RuntimeApi, refusal

EVENT = Event("r1", 1_700_000_000_000, "arn:f", "Root=1", '{"a":\n "ä"}', b'{"event":1}')
OK = Answer(202, b"{}")


class Owner:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.waiting: list[NextCall] = []
        self.said: list[tuple[object, ...]] = []
        self.ends = 0
        self.next_refusal: Answer | None = None

    def on_next(self, call: NextCall) -> Answer | None:
        if self.next_refusal is None:
            self.waiting.append(call)
        return self.next_refusal

    def on_next_lost(self, call: NextCall, *, is_delivered: bool) -> None:
        self.said.append(("lost", is_delivered))

    def on_response(self, request_id: str, body: bytes | None) -> Answer:
        self.said.append(("response", request_id, body))
        return OK

    def on_error(self, request_id: str, error_type: str, body: bytes | None) -> Answer:
        self.said.append(("error", request_id, error_type, body))
        return OK

    def on_init_error(self, error_type: str, body: bytes | None) -> Answer:
        self.said.append(("init", error_type, body))
        return OK

    def on_connections_ended(self) -> None:
        self.ends += 1


class Peer:
    """A client's connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, method: str, path: str, body: bytes = b"", lines: str = "") -> None:
        head = f"{method} /2018-06-01/runtime/{path} HTTP/1.1\r\nHost: x\r\n{lines}"
        if body:
            head += f"Content-Length: {len(body)}\r\n"
        self.writer.write(head.encode() + b"\r\n" + body)

    async def answer(self) -> tuple[int, dict[str, str], bytes]:
        async with asyncio.timeout(30):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            headers = dict(line.split(": ", 1) for line in head[1:] if line)
            body = await self.reader.readexactly(int(headers["Content-Length"]))
        return int(head[0].split()[1]), headers, body

    async def call(self, method: str, path: str, body: bytes = b"", lines: str = "") -> int:
        self.send(method, path, body, lines)
        return (await self.answer())[0]

    async def is_cut(self) -> bool:
        async with asyncio.timeout(30):
            try:
                return await self.reader.read() == b""
            except ConnectionResetError:
                return True

    def reset(self) -> None:
        """Closes it with a reset instead of an end."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.close()


class World:
    def __init__(self) -> None:
        self.owner = Owner()
        self.api = RuntimeApi(self.owner)
        self.peers: list[Peer] = []

    async def connect(self) -> Peer:
        host, _, port = self.api.address.rpartition(":")
        peer = Peer(*await asyncio.open_connection(host, int(port)))
        self.peers.append(peer)
        return peer

    async def until_said(self, *expected: tuple[object, ...]) -> None:
        async with asyncio.timeout(30):
            while self.owner.said != list(expected):
                await asyncio.sleep(0.001)

    async def until_waiting(self, count: int) -> None:
        async with asyncio.timeout(30):
            while len(self.owner.waiting) < count:
                await asyncio.sleep(0.001)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World()
    await world.api.listen()
    yield world
    world.api.close()
    for peer in world.peers:
        peer.writer.close()
        try:
            await peer.writer.wait_closed()
        except ConnectionError:
            pass


async def test_an_event_is_delivered_with_its_headers(world: World) -> None:
    peer = await world.connect()
    peer.send("GET", "invocation/next")
    await world.until_waiting(1)
    world.owner.waiting[0].deliver(EVENT)
    status, headers, body = await peer.answer()
    assert (status, body) == (200, EVENT.payload)
    assert headers == {
        "Content-Type": "application/json",
        "Content-Length": "11",
        "Lambda-Runtime-Aws-Request-Id": "r1",
        "Lambda-Runtime-Deadline-Ms": "1700000000000",
        "Lambda-Runtime-Invoked-Function-Arn": "arn:f",
        "Lambda-Runtime-Trace-Id": "Root=1",
        "Lambda-Runtime-Client-Context": '{"a":"\\u00e4"}',
    }
    assert await peer.call("POST", "invocation/r1/response", b"[1]") == 202
    lines = "Lambda-Runtime-Function-Error-Type: A.b\r\n"
    assert await peer.call("POST", "invocation/r2/error", b"{}", lines) == 202
    assert await peer.call("POST", "init/error", b"{}", lines) == 202
    assert world.owner.said == [
        ("response", "r1", b"[1]"),
        ("error", "r2", "A.b", b"{}"),
        ("init", "A.b", b"{}"),
    ]


async def test_headers_cannot_be_broken_out_of(world: World) -> None:
    peer = await world.connect()
    peer.send("GET", "invocation/next")
    await world.until_waiting(1)
    event = EVENT._replace(trace_header="a\r\nX: y", client_context="no JSON\r\nX: z")
    world.owner.waiting[0].deliver(event)
    _, headers, _ = await peer.answer()
    assert "X" not in headers
    assert headers["Lambda-Runtime-Client-Context"] == "no JSON X: z"


async def test_what_is_not_in_the_api_is_refused(world: World) -> None:
    peer = await world.connect()
    for method, path in (
        ("POST", "invocation/next"),
        ("GET", "invocation/r1/response"),
        ("POST", "invocation//response"),
        ("POST", "invocation/r1/other"),
        ("GET", "../../secret"),
        ("GET", "restore/next"),
    ):
        peer.send(method, path)
        status, _, body = await peer.answer()
        assert (status, json.loads(body)["errorType"]) == (404, "NotFound"), path
    world.owner.next_refusal = refusal(403, "InvalidStateTransition", "no")
    assert await peer.call("GET", "invocation/next") == 403
    assert await peer.call("POST", "invocation/r1/response?x=1", b"1") == 202


async def test_bodies_beyond_the_limit_are_told_as_none(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "INVOKE_BYTES_MAX", 10)
    monkeypatch.setattr(runtime_api, "DISCARD_BYTES_MAX", 1_000)
    peer = await world.connect()
    for body in (b"x" * 10, b"x" * 11, b"x" * 1_000):
        assert await peer.call("POST", "invocation/r1/response", body) == 202
    assert [said[2] for said in world.owner.said] == [b"x" * 10, None, None]
    peer.send("POST", "invocation/r1/response", b"x" * 1_001)
    assert await peer.is_cut()
    assert len(world.owner.said) == 3


async def test_no_http_and_endless_headers_end_the_connection(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    peer = await world.connect()
    peer.writer.write(b"nonsense\r\n\r\n")
    status, headers, _ = await peer.answer()
    assert (status, headers["Connection"]) == (400, "close")
    assert await peer.is_cut()
    monkeypatch.setattr(runtime_api, "HEADER_BYTES_MAX", 100)
    monkeypatch.setattr(limits, "INVOKE_BYTES_MAX", 0)
    peer = await world.connect()
    peer.writer.write(b"GET / HTTP/1.1\r\nx: " + b"y" * 200)
    assert await peer.is_cut()
    peer = await world.connect()
    peer.writer.write(b"GET / HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n")
    assert (await peer.reader.read())[:12] in (b"", b"HTTP/1.1 404")


async def test_a_waiting_connection_that_says_more_is_cut(world: World) -> None:
    peer = await world.connect()
    peer.send("GET", "invocation/next")
    await world.until_waiting(1)
    peer.send("GET", "invocation/next")
    assert await peer.is_cut()
    await world.until_said(("lost", False))


async def test_a_continuation_is_asked_for(world: World) -> None:
    peer = await world.connect()
    head = "POST /2018-06-01/runtime/invocation/r1/response HTTP/1.1\r\nHost: x\r\n"
    peer.writer.write(f"{head}Expect: 100-continue\r\nContent-Length: 1\r\n\r\n".encode())
    assert await peer.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    peer.writer.write(b"1")
    assert (await peer.answer())[0] == 202


async def test_old_clients_are_answered_and_closed(world: World) -> None:
    peer = await world.connect()
    peer.writer.write(b"GET /2018-06-01/runtime/nothing HTTP/1.0\r\n\r\n")
    status, headers, _ = await peer.answer()
    assert (status, headers["Connection"]) == (404, "close")
    assert await peer.is_cut()


async def test_lost_connections_are_told_with_what_is_known(world: World) -> None:
    waits, ends, resets = [await world.connect() for _ in range(3)]
    for number, peer in enumerate((waits, ends, resets), 1):
        peer.send("GET", "invocation/next")
        await world.until_waiting(number)
    waits.writer.close()
    await world.until_said(("lost", False))
    for call, peer in zip(world.owner.waiting[1:], (ends, resets), strict=True):
        call.deliver(EVENT)
        await peer.answer()
    ends.writer.close()  # it has read its event, as a client does that connects for each call
    await ends.writer.wait_closed()
    resets.reset()
    await world.until_said(("lost", False), ("lost", True))
    async with asyncio.timeout(30):
        while world.api.has_connections:
            await asyncio.sleep(0.001)
    assert world.owner.ends == 1


async def test_connections_are_bounded(world: World) -> None:
    peers = [await world.connect() for _ in range(runtime_api.CONNECTIONS_MAX)]
    for peer in peers:
        assert await peer.call("GET", "x") == 404
    surplus = await world.connect()
    assert await surplus.is_cut()
    assert await peers[0].call("GET", "x") == 404
