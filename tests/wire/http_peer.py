"""A client that speaks HTTP byte by byte, and a server in the same process, on either loop."""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, NamedTuple, cast

import pytest
import uvloop

from eventcore.server.http_limits import HttpLimits
from eventcore.server.listener import HttpServer
from eventcore.wire.http import TEXT_HEAD, Dispatch, Exchange, HttpRequest

LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": asyncio.SelectorEventLoop,
    "uvloop": uvloop.new_event_loop,
}
TEST_S = 20.0

QUICK = HttpLimits(
    header_ms_max=40,
    body_ms_max=40,
    body_bytes_per_s_min=1 << 30,
    idle_ms_max=40,
    unread_ms_max=40,
    linger_ms_max=40,
    sweep_ms=5,
)
"""Time-outs that a test can wait for. A client that does nothing is never dropped before 40 ms."""


def on_both_loops(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """Runs a coroutine as two tests: on asyncio's own loop and on uvloop."""

    @functools.wraps(test)
    def run(loop_name: str, **arguments: Any) -> None:
        async def bounded() -> None:
            async with asyncio.timeout(TEST_S):
                await test(**arguments)

        with asyncio.Runner(loop_factory=LOOPS[loop_name]) as runner:
            runner.run(bounded())

    parameter = inspect.Parameter("loop_name", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    given = inspect.signature(test).parameters.values()
    run.__signature__ = inspect.Signature([parameter, *given])  # type: ignore[attr-defined]
    del run.__wrapped__  # type: ignore[attr-defined]  # pytest would look through it
    return pytest.mark.parametrize("loop_name", sorted(LOOPS))(run)


class Response(NamedTuple):
    """A parsed response."""

    status: int
    headers: dict[str, str]
    body: bytes


class Peer:
    """A connection of a client."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self.writer = writer

    @classmethod
    async def connect(cls, port: int, *, buffer_bytes: int = 1 << 20) -> Peer:
        return cls(*await asyncio.open_connection("127.0.0.1", port, limit=buffer_bytes))

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    def pause_reading(self) -> None:
        cast("asyncio.Transport", self.writer.transport).pause_reading()

    def resume_reading(self) -> None:
        cast("asyncio.Transport", self.writer.transport).resume_reading()

    async def response(self, *, has_body: bool = True) -> Response:
        """The next response; fails when the connection ends before."""
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        status_line, *lines = head.split("\r\n")[:-2]
        headers = dict(line.split(": ", 1) for line in lines)
        length = int(headers.get("content-length", "0")) if has_body else 0
        return Response(
            int(status_line.split(" ")[1]), headers, await self._reader.readexactly(length)
        )

    async def exactly(self, size: int) -> bytes:
        """The next bytes, whatever they are."""
        return await self._reader.readexactly(size)

    async def line(self) -> bytes:
        """The next line, without its end."""
        return (await self._reader.readuntil(b"\r\n"))[:-2]

    async def rest(self) -> bytes:
        """Everything until the server ends the connection."""
        try:
            return await self._reader.read()
        except ConnectionResetError:
            return b"<reset>"

    async def close(self) -> None:
        self.writer.close()
        try:
            await self.writer.wait_closed()
        except OSError:
            pass


@asynccontextmanager
async def serving(
    dispatch: Dispatch, limits: HttpLimits | None = None
) -> AsyncIterator[HttpServer]:
    """A running server, drained at the end without patience."""
    server = HttpServer(dispatch, limits)
    await server.start("127.0.0.1", 0)
    try:
        yield server
    finally:
        await server.drain(0)


@asynccontextmanager
async def connected(
    dispatch: Dispatch, limits: HttpLimits | None = None
) -> AsyncIterator[tuple[Peer, HttpServer]]:
    """A running server and one client of it."""
    async with serving(dispatch, limits) as server:
        peer = await Peer.connect(server.port)
        try:
            yield peer, server
        finally:
            await peer.close()


async def until(condition: Callable[[], bool]) -> None:
    """Returns when the condition holds; the test's own time-out ends it otherwise."""
    while not condition():
        await asyncio.sleep(0.001)


def echo(request: HttpRequest, exchange: Exchange) -> None:
    """Answers at once, with the method, the target and the body."""
    exchange.reply(200, TEXT_HEAD, b"%b %b %b" % (request.method, request.target, request.body))


class Waiting:
    """A dispatch that keeps every request until the test answers it. Targets name them."""

    def __init__(self) -> None:
        self.exchanges: dict[bytes, Exchange] = {}
        self.gone: list[bytes] = []

    def __call__(self, request: HttpRequest, exchange: Exchange) -> None:
        assert request.target not in self.exchanges
        self.exchanges[request.target] = exchange
        if request.target.startswith(b"/poll"):
            exchange.on_disconnect = lambda: self.gone.append(request.target)

    def answer(self, target: bytes, body: bytes = b"") -> None:
        self.exchanges[target].reply(200, TEXT_HEAD, body or target)

    async def has(self, *targets: bytes) -> None:
        await until(lambda: all(target in self.exchanges for target in targets))


def get(target: str, *lines: str) -> bytes:
    """A request without a body."""
    return "\r\n".join([f"GET {target} HTTP/1.1", "Host: test", *lines, "", ""]).encode()


def post(target: str, body: bytes, *lines: str) -> bytes:
    """A request with a body of known length."""
    head = [f"POST {target} HTTP/1.1", "Host: test", f"Content-Length: {len(body)}", *lines, "", ""]
    return "\r\n".join(head).encode() + body
