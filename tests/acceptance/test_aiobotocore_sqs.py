"""aiobotocore against a real daemon: many requests at a time over kept connections."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiobotocore.config import AioConfig
from aiobotocore.session import get_session

WORKERS = 8
MESSAGES = 400


@pytest.fixture
async def sqs(daemon) -> AsyncIterator[Any]:
    async with get_session().create_client(
        "sqs",
        endpoint_url=daemon.url,
        region_name="us-east-1",
        aws_access_key_id="AKIDEXAMPLE",
        aws_secret_access_key="secret",
        config=AioConfig(max_pool_connections=2 * WORKERS, retries={"total_max_attempts": 1}),
    ) as client:
        yield client


@pytest.fixture
async def url(sqs, queue_name) -> str:
    return (await sqs.create_queue(QueueName=queue_name))["QueueUrl"]


async def test_every_message_of_many_senders_is_received_once_by_many_receivers(sqs, url):
    received: Counter[str] = Counter()

    async def send(worker: int) -> None:
        for number in range(worker, MESSAGES, WORKERS):
            await sqs.send_message(QueueUrl=url, MessageBody=str(number))

    async def receive() -> None:
        while sum(received.values()) < MESSAGES:
            answer = await sqs.receive_message(
                QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=1
            )
            for message in answer.get("Messages", ()):
                received[message["Body"]] += 1
                await sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])

    async with asyncio.timeout(60):
        await asyncio.gather(
            *(send(worker) for worker in range(WORKERS)), *(receive() for _ in range(WORKERS))
        )
    assert received == Counter({str(number): 1 for number in range(MESSAGES)})


async def test_waiting_receivers_are_served_one_message_each(sqs, url):
    waiting = [
        asyncio.create_task(sqs.receive_message(QueueUrl=url, WaitTimeSeconds=20))
        for _ in range(WORKERS)
    ]
    await asyncio.sleep(0.3)
    assert not any(task.done() for task in waiting)
    entries = [{"Id": str(number), "MessageBody": str(number)} for number in range(WORKERS)]
    await sqs.send_message_batch(QueueUrl=url, Entries=entries)
    async with asyncio.timeout(10):
        answers = await asyncio.gather(*waiting)
    bodies = [message["Body"] for answer in answers for message in answer["Messages"]]
    assert sorted(bodies) == sorted(entry["MessageBody"] for entry in entries)


async def test_a_receiver_that_is_cancelled_takes_no_message(sqs, url):
    waiting = asyncio.create_task(sqs.receive_message(QueueUrl=url, WaitTimeSeconds=20))
    await asyncio.sleep(0.3)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await asyncio.sleep(0.3)
    await sqs.send_message(QueueUrl=url, MessageBody="a")
    answer = await sqs.receive_message(QueueUrl=url, WaitTimeSeconds=5)
    assert [message["Body"] for message in answer["Messages"]] == ["a"]
