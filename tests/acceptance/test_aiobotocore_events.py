"""aiobotocore against a real daemon: many putters at a time, and every target gets every event."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Any

import pytest
from aiobotocore.config import AioConfig
from aiobotocore.session import get_session

PUTTERS = 8
EVENTS = 240
QUEUE_ARN = "arn:aws:sqs:us-east-1:000000000000:"


@pytest.fixture
async def aio(daemon) -> AsyncIterator[dict[str, Any]]:
    """Clients of both services by name."""
    config = AioConfig(max_pool_connections=2 * PUTTERS, retries={"total_max_attempts": 1})
    async with AsyncExitStack() as stack:
        yield {
            name: await stack.enter_async_context(
                get_session().create_client(
                    name,
                    endpoint_url=daemon.url,
                    region_name="us-east-1",
                    aws_access_key_id="AKIDEXAMPLE",
                    aws_secret_access_key="secret",
                    config=config,
                )
            )
            for name in ("sqs", "events")
        }


@pytest.fixture
async def queues(aio, queue_name) -> list[str]:
    """Two queues, targets of one rule on the events whose source is the test's name."""
    names = [f"{queue_name[:70]}-{letter}" for letter in "ab"]
    for name in names:
        await aio["sqs"].create_queue(QueueName=name)
    rule = queue_name[:64]
    pattern = json.dumps({"source": [queue_name]})
    await aio["events"].put_rule(Name=rule, EventPattern=pattern)
    targets = [{"Id": str(i), "Arn": QUEUE_ARN + name} for i, name in enumerate(names)]
    await aio["events"].put_targets(Rule=rule, Targets=targets)
    return names


async def test_every_event_of_many_putters_reaches_both_queues_once(aio, queues, queue_name):
    sqs, events = aio["sqs"], aio["events"]
    received = {name: Counter[int]() for name in queues}

    async def put(putter: int) -> None:
        for first in range(putter * 2, EVENTS, PUTTERS * 2):
            answer = await events.put_events(
                Entries=[
                    {
                        "Source": queue_name,
                        "DetailType": "numbered",
                        "Detail": json.dumps({"number": number}),
                    }
                    for number in (first, first + 1)
                ]
            )
            assert answer["FailedEntryCount"] == 0

    async def receive(name: str) -> None:
        while sum(received[name].values()) < EVENTS:
            answer = await sqs.receive_message(
                QueueUrl=name, MaxNumberOfMessages=10, WaitTimeSeconds=1
            )
            for message in answer.get("Messages", ()):
                received[name][json.loads(message["Body"])["detail"]["number"]] += 1
                await sqs.delete_message(QueueUrl=name, ReceiptHandle=message["ReceiptHandle"])

    async with asyncio.timeout(60):
        await asyncio.gather(
            *(put(putter) for putter in range(PUTTERS)),
            *(receive(name) for name in queues for _ in range(2)),
        )
    once = Counter(dict.fromkeys(range(EVENTS), 1))
    assert received == dict.fromkeys(queues, once)


async def test_the_events_of_one_putter_arrive_in_order(aio, queues, queue_name):
    for number in range(20):
        entry = {"Source": queue_name, "DetailType": "numbered", "Detail": f'{{"n":{number}}}'}
        await aio["events"].put_events(Entries=[entry])
    numbers: list[int] = []
    while len(numbers) < 20:
        answer = await aio["sqs"].receive_message(QueueUrl=queues[0], MaxNumberOfMessages=10)
        numbers += [json.loads(m["Body"])["detail"]["n"] for m in answer["Messages"]]
    assert numbers == list(range(20))


async def test_a_time_of_ones_own_arrives(aio, queues, queue_name):
    time = datetime(2026, 1, 31, 23, 59, 59, 500_000, tzinfo=UTC)
    entry = {"Source": queue_name, "DetailType": "timed", "Detail": "{}", "Time": time}
    await aio["events"].put_events(Entries=[entry])
    (message,) = (await aio["sqs"].receive_message(QueueUrl=queues[0]))["Messages"]
    assert json.loads(message["Body"])["time"] == "2026-01-31T23:59:59Z"
