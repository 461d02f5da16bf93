"""The webhook connector against a server on the loopback address."""

from __future__ import annotations

import asyncio
import hmac
import socket
import ssl
from base64 import b64encode
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from hashlib import sha256

import pytest
from aiohttp import web

from eventcore.connect import Delivery, EndpointAnswer, EndpointCall
from eventcore.errors import InvalidParameter, PermanentDelivery, RetryableDelivery
from eventcore_connectors.webhook import webhook_target

DELIVERY = Delivery("d-1", '{"a":"é"}', "arn:aws:events:us-east-1:0:rule/r", 3)
PRIVATE = {"allow_private": "true"}


class Endpoint:
    """Answers every request the same, and keeps what it was sent."""

    def __init__(self) -> None:
        self.status = 200
        self.headers: dict[str, str] = {}
        self.text = ""
        self.gate: asyncio.Event | None = None
        self.requests: list[tuple[str, dict, bytes]] = []
        self.url = ""

    async def handle(self, request):
        body = await request.read()
        self.requests.append((request.path_qs, dict(request.headers), body))
        if self.gate is not None:
            await self.gate.wait()
        return web.Response(status=self.status, headers=self.headers, text=self.text)


@pytest.fixture
async def endpoint():
    made = Endpoint()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", made.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    listener = socket.create_server(("127.0.0.1", 0))
    await web.SockSite(runner, listener).start()
    made.url = f"http://127.0.0.1:{listener.getsockname()[1]}/hook?x=1"
    yield made
    if made.gate is not None:
        made.gate.set()
    await runner.cleanup()


@asynccontextmanager
async def opened(url, options=None):
    target = webhook_target(url, PRIVATE if options is None else options)
    await target.open()
    try:
        yield target
    finally:
        await target.close()


async def test_a_delivery_is_one_post_with_its_headers(endpoint):
    async with opened(endpoint.url) as target:
        await target.deliver(DELIVERY)
    ((path, headers, body),) = endpoint.requests
    assert (path, body.decode()) == ("/hook?x=1", DELIVERY.body)
    lower = {name.lower(): value for name, value in headers.items()}
    assert lower["content-type"] == "application/json"
    assert lower["webhook-id"] == "d-1"
    assert lower["eventcore-source-arn"] == DELIVERY.source_arn
    assert lower["eventcore-attempt"] == "3"
    assert "webhook-signature" not in lower


@pytest.mark.parametrize(
    ("option", "key"),
    [("plain key", b"plain key"), ("whsec_" + b64encode(b"\x00raw").decode(), b"\x00raw")],
)
async def test_a_secret_signs_id_time_and_body(endpoint, option, key):
    async with opened(endpoint.url, {**PRIVATE, "secret": option}) as target:
        await target.deliver(DELIVERY)
    ((_, headers, body),) = endpoint.requests
    signed = f"d-1.{headers['webhook-timestamp']}.".encode() + body
    expected = "v1," + b64encode(hmac.digest(key, signed, sha256)).decode()
    assert headers["webhook-signature"] == expected


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
async def test_every_2xx_is_a_delivery(endpoint, status):
    endpoint.status = status
    async with opened(endpoint.url) as target:
        await target.deliver(DELIVERY)
    assert len(endpoint.requests) == 1


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
async def test_what_may_pass_is_tried_again(endpoint, status):
    endpoint.status, endpoint.text = status, "not now"
    async with opened(endpoint.url) as target:
        with pytest.raises(RetryableDelivery) as caught:
            await target.deliver(DELIVERY)
    assert caught.value.cause == f"HTTP {status}: not now"
    assert caught.value.retry_after_ms is None


@pytest.mark.parametrize("status", [301, 302, 307, 308, 400, 401, 403, 404, 410, 422])
async def test_what_will_not_pass_is_permanent_and_redirects_are_not_followed(endpoint, status):
    endpoint.status = status
    endpoint.headers = {"location": "/elsewhere"}
    async with opened(endpoint.url) as target:
        with pytest.raises(PermanentDelivery, match=f"HTTP {status}"):
            await target.deliver(DELIVERY)
    assert [path for path, _, _ in endpoint.requests] == ["/hook?x=1"]


@pytest.mark.parametrize(
    ("header", "pause_ms"),
    [("7", 7_000), ("999999999", 86_400_000), ("soon", None), ("", None), ("-1", None)],
)
async def test_retry_after_in_seconds_is_honoured_within_a_day(endpoint, header, pause_ms):
    endpoint.status, endpoint.headers = 429, {"retry-after": header}
    async with opened(endpoint.url) as target:
        with pytest.raises(RetryableDelivery) as caught:
            await target.deliver(DELIVERY)
    assert caught.value.retry_after_ms == pause_ms


async def test_retry_after_may_be_a_date(endpoint):
    moment = datetime.now(UTC) + timedelta(hours=1)
    endpoint.status, endpoint.headers = 503, {"retry-after": format_datetime(moment, usegmt=True)}
    async with opened(endpoint.url) as target:
        with pytest.raises(RetryableDelivery) as caught:
            await target.deliver(DELIVERY)
    assert 3_500_000 < (caught.value.retry_after_ms or 0) <= 3_600_000


async def test_a_long_answer_is_cut(endpoint):
    endpoint.status, endpoint.text = 500, "x" * 1_000_000
    async with opened(endpoint.url) as target:
        with pytest.raises(RetryableDelivery) as caught:
            await target.deliver(DELIVERY)
    assert len(caught.value.cause) < 300


async def test_no_answer_in_time_is_tried_again(endpoint):
    endpoint.gate = asyncio.Event()
    async with opened(endpoint.url, {**PRIVATE, "timeout_ms": "50"}) as target:
        with pytest.raises(RetryableDelivery, match="no answer within 50 ms"):
            await target.deliver(DELIVERY)


async def test_a_cancelled_delivery_is_cancelled_and_not_an_error(endpoint):
    endpoint.gate = asyncio.Event()
    async with opened(endpoint.url) as target:
        attempt = asyncio.create_task(target.deliver(DELIVERY))
        async with asyncio.timeout(5):
            while not endpoint.requests:
                await asyncio.sleep(0)
        attempt.cancel()
        with pytest.raises(asyncio.CancelledError):
            await attempt


async def test_a_refused_connection_is_tried_again():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    async with opened(f"http://127.0.0.1:{port}/") as target:
        with pytest.raises(RetryableDelivery):
            await target.deliver(DELIVERY)


async def test_a_server_that_hangs_up_is_tried_again():
    async def hang_up(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with opened(f"http://127.0.0.1:{port}/") as target:
            with pytest.raises(RetryableDelivery):
                await target.deliver(DELIVERY)


async def test_a_server_without_a_good_certificate_is_not_talked_to():
    received = bytearray()

    async def plain(reader, writer):
        received.extend(await reader.read(10_000))
        writer.close()

    async with await asyncio.start_server(plain, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with opened(f"https://127.0.0.1:{port}/") as target:
            with pytest.raises(RetryableDelivery) as caught:
                await target.deliver(DELIVERY)
    assert isinstance(caught.value.__cause__, OSError | ssl.SSLError)
    assert DELIVERY.body.encode() not in received


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/",
        "http://10.0.0.1:8080/",
        "https://169.254.169.254/latest/meta-data",
        "http://[::1]/",
        "http://[::ffff:127.0.0.1]/",
        "http://0.0.0.0/",
    ],
)
def test_a_private_address_in_the_url_is_refused(url):
    with pytest.raises(InvalidParameter) as caught:
        webhook_target(url, {})
    assert caught.value.name == "url"
    webhook_target(url, PRIVATE)


@pytest.mark.parametrize("host", ["localhost", "2130706433", "0x7f.1", "127.1"])
async def test_a_name_of_a_private_address_is_not_connected_to(endpoint, host):
    url = endpoint.url.replace("127.0.0.1", host)
    async with opened(url, {}) as target:
        with pytest.raises(RetryableDelivery):
            await target.deliver(DELIVERY)
    assert endpoint.requests == []


@pytest.mark.parametrize(
    ("url", "options", "name"),
    [
        ("ftp://example.com/", {}, "url"),
        ("https://", {}, "url"),
        ("https://user:pass@example.com/", {}, "url"),
        ("https://example.com/", {"allow_private": "yes"}, "allow_private"),
        ("https://example.com/", {"secret": ""}, "secret"),
        ("https://example.com/", {"secret": "whsec_!"}, "secret"),
        ("https://example.com/", {"timeout_ms": "0"}, "timeout_ms"),
        ("https://example.com/", {"timeout_ms": "5s"}, "timeout_ms"),
        ("https://example.com/", {"unknown": "1"}, "unknown"),
    ],
)
def test_what_can_not_be_used_is_refused_by_name(url, options, name):
    with pytest.raises(InvalidParameter) as caught:
        webhook_target(url, options)
    assert caught.value.name == name


async def test_an_errors_text_does_not_tell_the_path_or_query(endpoint):
    endpoint.status = 404
    async with opened(endpoint.url + "&token=abc") as target:
        with pytest.raises(PermanentDelivery) as caught:
            await target.deliver(DELIVERY)
    assert "token" not in str(caught.value)


async def test_closing_without_opening_is_harmless():
    target = webhook_target("https://example.com/", {})
    await target.close()
    assert target._session is None


CALL = EndpointCall("r-1", b'{"n":1}', "arn:aws:lambda:us-east-1:0:function:f", 5_000, "Root=1-2")


async def test_an_endpoint_is_asked_and_its_answer_is_read(endpoint):
    endpoint.text = '{"sum":3}'
    async with opened(endpoint.url) as target:
        answer = await target.invoke(CALL)
    assert answer == EndpointAnswer(200, b'{"sum":3}')
    ((_, headers, body),) = endpoint.requests
    lower = {name.lower(): value for name, value in headers.items()}
    assert body == CALL.body
    assert lower["x-amzn-trace-id"] == "Root=1-2"
    assert lower["eventcore-source-arn"] == CALL.function_arn


async def test_an_endpoints_error_is_an_answer(endpoint):
    endpoint.status, endpoint.text = 500, "broken"
    async with opened(endpoint.url) as target:
        assert await target.invoke(CALL) == EndpointAnswer(500, b"broken")


@pytest.mark.parametrize("status", [408, 425, 429, 503])
async def test_an_endpoint_that_says_later_may_be_asked_again(endpoint, status):
    endpoint.status, endpoint.headers = status, {"retry-after": "7"}
    async with opened(endpoint.url) as target:
        with pytest.raises(RetryableDelivery) as raised:
            await target.invoke(CALL)
    assert raised.value.retry_after_ms == 7_000


async def test_an_endpoint_is_given_the_functions_own_time(endpoint):
    endpoint.gate = asyncio.Event()
    call = EndpointCall("r-2", b"{}", CALL.function_arn, 50)
    async with opened(endpoint.url) as target:
        with pytest.raises(TimeoutError):
            await target.invoke(call)


async def test_an_endless_answer_is_cut_off(endpoint, monkeypatch):
    monkeypatch.setattr("eventcore_connectors.webhook.ANSWER_BYTES_MAX", 100)
    endpoint.text = "x" * 101
    async with opened(endpoint.url) as target:
        with pytest.raises(PermanentDelivery, match="more than 100 bytes"):
            await target.invoke(CALL)


async def test_nobody_at_the_endpoint_is_worth_another_try():
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    async with opened(f"http://127.0.0.1:{port}/") as target:
        with pytest.raises(RetryableDelivery):
            await target.invoke(CALL)
