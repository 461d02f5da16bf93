"""From an event to an endpoint and back: bus, outbox, deliverer and webhook on one engine."""

from __future__ import annotations

import asyncio
import json
import socket
from typing import Any

import pytest
from aiohttp import web

import eventcore
from eventcore.arn import bus_arn
from eventcore.buses.bus import RuleSpec, Target
from eventcore.errors import RetryableDelivery
from eventcore.runtime.broker import Event
from eventcore.testing import ManualClock
from eventcore_connectors.webhook import webhook_target


class Endpoint:
    """Answers with the statuses it was given, then with 200."""

    def __init__(self) -> None:
        self.statuses: list[int] = []
        self.requests: list[tuple[str, str, dict]] = []
        self.arrived = asyncio.Event()
        self.url = ""

    async def handle(self, request):
        headers = request.headers
        self.requests.append(
            (headers["webhook-id"], headers["eventcore-attempt"], await request.json())
        )
        self.arrived.set()
        return web.Response(status=self.statuses.pop(0) if self.statuses else 200)

    async def wait_for(self, count):
        async with asyncio.timeout(10):
            while len(self.requests) < count:
                self.arrived.clear()
                await self.arrived.wait()


@pytest.fixture
async def endpoint():
    made = Endpoint()
    app = web.Application()
    app.router.add_post("/hook", made.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    listener = socket.create_server(("127.0.0.1", 0))
    await web.SockSite(runner, listener).start()
    made.url = f"http://127.0.0.1:{listener.getsockname()[1]}/hook"
    yield made
    await runner.cleanup()


LOOPBACK: dict[str, Any] = {
    "connectors": {"http": webhook_target},
    "connector_options": {"http://127.0.0.1": {"allow_private": "true"}},
}


async def test_events_reach_an_endpoint_each_with_an_id_of_its_own(endpoint, tmp_path):
    async with eventcore.open(str(tmp_path / "e.db"), **LOOPBACK) as broker:
        await broker.put_rule("hook", {"source": ["shop"]}, [endpoint.url])
        ids = await broker.put_events([Event("shop", "Placed", {"n": n}) for n in range(20)])
        await endpoint.wait_for(20)
    assert {body["id"] for _, _, body in endpoint.requests} == set(ids)
    assert len({delivery_id for delivery_id, _, _ in endpoint.requests}) == 20


async def test_a_failed_delivery_is_tried_again_with_the_same_id(endpoint):
    endpoint.statuses = [503]
    async with eventcore.open(None, **LOOPBACK) as broker:
        await broker.put_rule("hook", {"source": ["shop"]}, [endpoint.url])
        await broker.put_events([Event("shop", "Placed", {})])
        await endpoint.wait_for(2)
    first, second = endpoint.requests
    assert first[0] == second[0]
    assert (first[1], second[1]) == ("1", "2")


async def test_what_was_not_delivered_is_delivered_after_a_restart(endpoint, tmp_path):
    path = str(tmp_path / "e.db")
    endpoint.statuses = [500]
    async with eventcore.open(path, **LOOPBACK) as broker:
        await broker.put_rule("hook", {"source": ["shop"]}, [endpoint.url])
        (event_id,) = await broker.put_events([Event("shop", "Placed", {})])
        await endpoint.wait_for(1)
    async with eventcore.open(path, **LOOPBACK):
        await endpoint.wait_for(2)
    assert [body["id"] for _, _, body in endpoint.requests] == [event_id] * 2


async def test_a_rejected_delivery_arrives_in_the_dead_letter_queue(endpoint):
    endpoint.statuses = [404]
    async with eventcore.open(None, **LOOPBACK) as broker:
        dead = await broker.create_queue("dead")
        await broker.put_rule("hook", {"source": ["shop"]}, [endpoint.url])
        broker.engine.begin()
        bus = broker.engine.bus(bus_arn(broker.account, broker.region, "default"))
        with_queue = Target("target-1", endpoint.url, dead_letter_arn=dead.arn)
        broker.engine.run(bus, bus.put_targets("hook", [with_queue]))
        (event_id,) = await broker.put_events([Event("shop", "Placed", {})])
        (message,) = await dead.receive(wait_ms=5_000)
    assert json.loads(message.body)["id"] == event_id
    assert message.attributes["ERROR_CODE"] == "SDK_CLIENT_ERROR"
    assert message.attributes["TARGET_ARN"] == endpoint.url


class Refusing:
    """A target that asks to be left alone for an hour."""

    async def open(self) -> None:
        pass

    async def deliver(self, delivery) -> None:
        raise RetryableDelivery("refusing", "not now", retry_after_ms=3_600_000)

    async def close(self) -> None:
        pass


async def test_a_dead_letter_that_time_makes_bears_the_time_at_which_it_was_made():
    clock = ManualClock()
    factories = {"http": lambda url, options: Refusing()}
    async with eventcore.open(clock=clock, connectors=factories) as broker:
        dead = await broker.create_queue("dead", retention_ms=60_000)
        engine = broker.engine
        engine.begin()
        bus = engine.bus(bus_arn(broker.account, broker.region, "default"))
        target = Target("1", "http://192.0.2.1/", dead_letter_arn=dead.arn, age_ms_max=600_000)
        engine.replace_rule(bus, "r", RuleSpec(pattern='{"source":["s"]}'), [target])
        await broker.put_events([Event(source="s", detail_type="t")])
        put_ms = clock.now_ms()
        await clock.run_for(600_000)
        (message,) = await dead.receive()
        assert message.sent_ms == put_ms + 600_000
