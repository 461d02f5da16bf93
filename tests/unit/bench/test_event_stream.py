"""The reader of event streams, on a peer that plays a script."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from eventcore.bench.client import KINESIS, AwsJsonClient, CallFailed, EndpointUnreachable
from eventcore.bench.event_stream import EventStream
from eventcore.wire.event_stream import encode_message, event_headers, exception_headers

JSON = "application/json"
BEGIN = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
END = b"0\r\n\r\n"
STARTED = encode_message(event_headers("initial-response", JSON), b"{}")


def record(number: int) -> bytes:
    return encode_message(event_headers("SubscribeToShardEvent", JSON), b"%d" % number)


def chunk(part: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(part), part)


@asynccontextmanager
async def peer(*parts: bytes, is_closing: bool = False) -> AsyncIterator[AwsJsonClient]:
    """A client of a server that answers with these parts, one after the other."""
    over, gone = asyncio.Event(), asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            for part in parts:
                writer.write(part)
                await writer.drain()
                await asyncio.sleep(0.001)
            if not is_closing:
                await over.wait()
        except ConnectionError:
            pass  # the client has left in the middle
        finally:
            writer.close()
            gone.set()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with AwsJsonClient(url) as client:
            try:
                yield client
            finally:
                over.set()
                await gone.wait()


Told = list[tuple[str, bytes]]


async def opened(client: AwsJsonClient, told: Told) -> EventStream:
    return await EventStream.open(
        client, KINESIS, "SubscribeToShard", b"{}", lambda kind, data: told.append((kind, data))
    )


def cut(text: bytes, size: int) -> Sequence[bytes]:
    return [text[at : at + size] for at in range(0, len(text), size)]


@pytest.mark.parametrize("size", [7, 64, 10_000])
async def test_events_are_told_in_order_however_they_are_cut(size: int) -> None:
    body = STARTED + b"".join(record(number) for number in range(20))
    told: Told = []
    async with peer(BEGIN, *(chunk(part) for part in cut(body, size)), END) as client:
        stream = await opened(client, told)
        await stream.wait()
    assert not stream.is_open
    assert told[0] == ("initial-response", b"{}")
    assert [data for _, data in told[1:]] == [b"%d" % number for number in range(20)]


async def test_an_exception_in_the_stream_ends_it_with_its_code() -> None:
    error = encode_message(exception_headers("ResourceInUseException", JSON), b'{"message":"no"}')
    told: Told = []
    async with peer(BEGIN, chunk(record(1) + error + record(2))) as client:
        stream = await opened(client, told)
        with pytest.raises(CallFailed, match="no") as raised:
            await stream.wait()
    assert raised.value.code == "ResourceInUseException"
    assert [data for _, data in told] == [b"1"]


async def test_an_error_in_place_of_a_stream_is_raised_by_open() -> None:
    body = b'{"__type":"ResourceNotFoundException","message":"no such consumer"}'
    head = b"HTTP/1.1 400 Bad\r\nContent-Length: %d\r\n\r\n" % len(body)
    async with peer(head, body) as client:
        with pytest.raises(CallFailed, match="no such consumer") as raised:
            await opened(client, [])
    assert (raised.value.status, raised.value.code) == (400, "ResourceNotFoundException")


async def test_a_connection_that_is_lost_is_an_error_of_those_who_wait() -> None:
    async with peer(BEGIN, chunk(record(1)), is_closing=True) as client:
        stream = await opened(client, [])
        with pytest.raises(EndpointUnreachable):
            await stream.wait()


async def test_bytes_that_are_no_event_stream_end_it() -> None:
    async with peer(BEGIN, chunk(b"x" * 64)) as client:
        stream = await opened(client, [])
        with pytest.raises(EndpointUnreachable, match="not an event stream"):
            await stream.wait()


async def test_nothing_is_told_after_close() -> None:
    told: Told = []

    def close_at_once(kind: str, data: bytes) -> None:
        told.append((kind, data))
        stream.close()

    parts = chunk(STARTED)
    async with peer(BEGIN, b"", parts, chunk(record(1) + record(2))) as client:
        stream = await EventStream.open(client, KINESIS, "SubscribeToShard", b"{}", close_at_once)
        await stream.wait()
        stream.close()
    assert told == [("initial-response", b"{}")]


async def test_nobody_listening_is_an_error_that_names_the_endpoint() -> None:
    async with AwsJsonClient("http://127.0.0.1:9") as client:
        with pytest.raises(EndpointUnreachable, match=r"127\.0\.0\.1:9"):
            await opened(client, [])
