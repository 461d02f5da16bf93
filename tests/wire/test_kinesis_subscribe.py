"""SubscribeToShard, from the request to the messages of the answer; the clock is the test's."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import Any

import pytest
from botocore.eventstream import EventStreamBuffer

from eventcore.errors import StoreUnavailable
from eventcore.limits import SUBSCRIPTION_HEARTBEAT_MS, SUBSCRIPTION_MS_MAX
from eventcore.stores.memory import MemoryStore
from eventcore.testing import FaultyStore

STREAM = "arn:aws:kinesis:us-east-1:000000000000:stream/orders"
CONSUMER = f"{STREAM}/consumer/audit:1700000000"
SHARD = "shardId-000000000000"
KINESIS = "Kinesis_20131202"


@pytest.fixture
def ask(wire):
    """Calls an operation on the stream `orders`, which has one shard and a consumer."""

    def call(operation: str, **members: Any) -> Any:
        answer = wire.call(operation, service=KINESIS, **members)
        assert answer.status == 200, answer.body
        return json.loads(answer.body) if answer.body else None

    call("CreateStream", StreamName="orders", ShardCount=1)
    call("RegisterStreamConsumer", StreamARN=STREAM, ConsumerName="audit")
    return call


def subscribe(wire: Any, kind: str = "TRIM_HORIZON", **position: Any) -> Any:
    return wire.call(
        "SubscribeToShard",
        service=KINESIS,
        ConsumerARN=CONSUMER,
        ShardId=SHARD,
        StartingPosition={"Type": kind, **position},
    )


def put(ask: Any, *texts: str) -> list[str]:
    entries = [{"Data": base64.b64encode(t.encode()).decode(), "PartitionKey": "k"} for t in texts]
    answer = ask("PutRecords", StreamName="orders", Records=entries)
    return [record["SequenceNumber"] for record in answer["Records"]]


async def messages(answer: Any) -> list[tuple[dict[str, str], Any]]:
    """The messages so far, headers and payload, as botocore reads them."""
    for _ in range(20):
        await asyncio.sleep(0)
    buffer = EventStreamBuffer()
    buffer.add_data(b"".join(answer.parts.written))
    return [(message.headers, json.loads(message.payload)) for message in buffer]


async def events(answer: Any) -> list[Any]:
    """The payloads of the events so far, without the first message."""
    return [payload for headers, payload in (await messages(answer))[1:]]


def texts(events: list[Any]) -> list[str]:
    records = [record for event in events for record in event["Records"]]
    return [base64.b64decode(record["Data"]).decode() for record in records]


async def test_the_answer_is_an_event_stream_that_begins_with_an_initial_response(wire, ask):
    answer = subscribe(wire)
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/vnd.amazon.eventstream"
    assert answer.headers["x-amzn-requestid"]
    assert await messages(answer) == [
        (
            {
                ":event-type": "initial-response",
                ":content-type": "application/x-amz-json-1.1",
                ":message-type": "event",
            },
            {},
        )
    ]
    assert answer.parts.is_open


async def test_records_are_sent_as_they_come_and_only_once(wire, ask):
    put(ask, "one", "two")
    answer = subscribe(wire)
    (event,) = await events(answer)
    assert texts([event]) == ["one", "two"]
    numbers = put(ask, "three")
    sent = await messages(answer)
    assert sent[-1][0][":event-type"] == "SubscribeToShardEvent"
    assert texts([sent[-1][1]]) == ["three"]
    assert sent[-1][1] == {
        "Records": [
            {
                "SequenceNumber": numbers[0],
                "ApproximateArrivalTimestamp": 1700000000.0,
                "Data": "dGhyZWU=",
                "PartitionKey": "k",
            }
        ],
        "MillisBehindLatest": 0,
        "ContinuationSequenceNumber": numbers[0],
    }
    assert len(sent) == 3


async def test_a_subscription_goes_on_after_the_continuation_sequence_number(wire, ask):
    put(ask, "one")
    first = subscribe(wire)
    (event,) = await events(first)
    first.on_disconnect()
    put(ask, "two")
    again = subscribe(
        wire, "AFTER_SEQUENCE_NUMBER", SequenceNumber=event["ContinuationSequenceNumber"]
    )
    assert texts(await events(again)) == ["two"]


async def test_latest_has_nothing_of_before(wire, ask):
    put(ask, "one")
    answer = subscribe(wire, "LATEST")
    assert await events(answer) == []
    put(ask, "two")
    assert texts(await events(answer)) == ["two"]


async def test_an_empty_event_comes_when_nothing_else_does(wire, ask):
    answer = subscribe(wire)
    await messages(answer)
    wire.clock.advance(SUBSCRIPTION_HEARTBEAT_MS)
    (event,) = await events(answer)
    assert event["Records"] == []
    assert event["MillisBehindLatest"] == 0
    assert event["ContinuationSequenceNumber"]


async def test_it_ends_after_five_minutes(wire, ask):
    answer = subscribe(wire)
    await messages(answer)
    for _ in range(SUBSCRIPTION_MS_MAX // SUBSCRIPTION_HEARTBEAT_MS):
        assert answer.parts.is_open
        wire.clock.advance(SUBSCRIPTION_HEARTBEAT_MS)
        sent = await messages(answer)
    assert not answer.parts.is_open
    assert sent[-1][0][":message-type"] == "event"
    assert subscribe(wire).status == 200


async def test_the_end_of_a_closed_shard_names_its_children_and_no_place_to_go_on(wire, ask):
    answer = subscribe(wire)
    put(ask, "one")
    ask("SplitShard", StreamName="orders", ShardToSplit=SHARD, NewStartingHashKey="1000")
    sent = await events(answer)
    assert texts(sent) == ["one"]
    assert "ContinuationSequenceNumber" not in sent[-1]
    assert [child["ShardId"] for child in sent[-1]["ChildShards"]] == [
        "shardId-000000000001",
        "shardId-000000000002",
    ]
    assert sent[-1]["ChildShards"][0]["ParentShards"] == [SHARD]
    assert sent[-1]["ChildShards"][0]["HashKeyRange"] == {
        "StartingHashKey": "0",
        "EndingHashKey": "999",
    }
    assert not answer.parts.is_open


async def test_a_second_subscription_is_refused_for_five_seconds_and_then_takes_over(wire, ask):
    first = subscribe(wire)
    await messages(first)
    wire.clock.advance(4_999)
    refused = subscribe(wire)
    assert (refused.status, refused.error) == (400, "ResourceInUseException")
    assert refused.json["message"] == (
        "Another active subscription exists for this consumer: "
        "000000000000:orders:shardId-000000000000:audit"
    )
    assert first.parts.is_open
    wire.clock.advance(1)
    second = subscribe(wire)
    assert second.status == 200
    headers, payload = (await messages(first))[-1]
    assert headers[":message-type"] == "exception"
    assert headers[":exception-type"] == "ResourceInUseException"
    assert payload == {"message": refused.json["message"]}
    assert not first.parts.is_open
    put(ask, "one")
    assert texts(await events(second)) == ["one"]


async def test_a_shard_is_free_again_when_its_reader_has_gone(wire, ask):
    first = subscribe(wire)
    await messages(first)
    first.on_disconnect()
    assert len(wire.engine.streams.subscriptions) == 0
    assert subscribe(wire).status == 200
    put(ask, "one")
    assert texts(await events(first)) == []


async def test_consumers_do_not_stand_in_each_others_way(wire, ask):
    ask("RegisterStreamConsumer", StreamARN=STREAM, ConsumerName="billing")
    first = subscribe(wire)
    other = wire.call(
        "SubscribeToShard",
        service=KINESIS,
        ConsumerARN=CONSUMER.replace("audit", "billing"),
        ShardId=SHARD,
        StartingPosition={"Type": "TRIM_HORIZON"},
    )
    put(ask, "one")
    assert texts(await events(first)) == texts(await events(other)) == ["one"]


async def test_a_client_that_does_not_read_is_sent_nothing_more_until_it_does(wire, ask):
    answer = subscribe(wire)
    answer.parts.is_full = True
    put(ask, "one")
    assert texts(await events(answer)) == ["one"]
    put(ask, "two")
    wire.clock.advance(SUBSCRIPTION_HEARTBEAT_MS)
    assert texts(await events(answer)) == ["one"]
    answer.parts.is_full = False
    answer.parts.on_drain()
    assert texts(await events(answer)) == ["one", "two"]


async def test_a_stream_that_is_deleted_ends_its_subscriptions(wire, ask):
    answer = subscribe(wire)
    await messages(answer)
    ask("DeleteStream", StreamName="orders", EnforceConsumerDeletion=True)
    headers, payload = (await messages(answer))[-1]
    assert headers[":exception-type"] == "ResourceNotFoundException"
    assert payload == {"message": "Stream orders under account 000000000000 not found."}
    assert not answer.parts.is_open


async def test_an_error_that_no_client_knows_is_told_as_an_internal_failure(wire, ask):
    answer = subscribe(wire)
    await messages(answer)
    ((subscription, *_),) = wire.engine.streams.subscriptions._by_shard.values()
    wire.engine.streams.subscriptions.end(subscription, StoreUnavailable("the disk is full"))
    headers, payload = (await messages(answer))[-1]
    assert headers[":exception-type"] == "InternalFailureException"
    assert payload == {"message": "the disk is full"}


async def test_dry_run_subscribes_nobody(wire, ask):
    answer = wire.call(
        "SubscribeToShard",
        service=KINESIS,
        ConsumerARN=CONSUMER,
        ShardId=SHARD,
        StartingPosition={"Type": "LATEST"},
        DryRun=True,
    )
    assert (answer.status, answer.error) == (400, "DryRunOperationException")
    assert len(wire.engine.streams.subscriptions) == 0
    assert subscribe(wire).status == 200


@pytest.fixture
def held_store() -> FaultyStore:
    return FaultyStore(MemoryStore(holds_replies=True))


async def prepare(other: Any) -> None:
    """The stream and its consumer, durable."""
    steps: list[tuple[str, dict[str, Any]]] = [
        ("CreateStream", {"StreamName": "orders", "ShardCount": 1}),
        ("RegisterStreamConsumer", {"StreamARN": STREAM, "ConsumerName": "audit"}),
    ]
    for operation, members in steps:
        answer = other.call(operation, service=KINESIS, **members)
        await other.settle(answer)
        assert answer.status == 200


async def test_records_are_sent_when_they_are_durable(wire_on, held_store):
    async with wire_on(held_store) as other:
        await prepare(other)
        answer = await other.settle(subscribe(other))
        held_store.hold()
        entry = {"Data": "eA==", "PartitionKey": "k"}
        put = other.call("PutRecord", service=KINESIS, StreamName="orders", **entry)
        early = [*await events(answer), *put.replies]
        held_store.release()  # before anything is asserted: the engine waits for it at its end
        assert early == []
        assert texts(await events(answer)) == ["x"]
        assert put.status == 200


async def test_the_answer_begins_when_the_consumer_is_durable(wire_on, held_store):
    async with wire_on(held_store) as other:
        created = other.call("CreateStream", service=KINESIS, StreamName="orders", ShardCount=1)
        await other.settle(created)
        held_store.hold()
        other.call(
            "RegisterStreamConsumer", service=KINESIS, StreamARN=STREAM, ConsumerName="audit"
        )
        answer = subscribe(other)
        for _ in range(20):
            await asyncio.sleep(0)
        early = list(answer.replies)
        held_store.release()
        await other.settle(answer)
        assert early == []
        assert (answer.status, len(await messages(answer))) == (200, 1)


async def test_a_subscription_of_a_consumer_that_never_became_durable_is_refused(
    wire_on, held_store
):
    async with wire_on(held_store) as other:
        created = other.call("CreateStream", service=KINESIS, StreamName="orders", ShardCount=1)
        await other.settle(created)
        held_store.plan[held_store.appends + 1] = "fail_before"
        other.call(
            "RegisterStreamConsumer", service=KINESIS, StreamARN=STREAM, ConsumerName="audit"
        )
        answer = await other.settle(subscribe(other))
        assert (answer.status, answer.error) == (503, "ServiceUnavailable")
        assert len(other.engine.streams.subscriptions) == 0
        for _ in range(20):  # everything is loaded anew
            await asyncio.sleep(0)
        again = await other.settle(subscribe(other))
        assert (again.status, again.error) == (400, "ResourceNotFoundException")


async def test_a_subscription_outlives_a_failed_commit(wire_on, held_store):
    async with wire_on(held_store) as other:
        await prepare(other)
        answer = await other.settle(subscribe(other))
        entry = {"Data": "eA==", "PartitionKey": "k"}
        held_store.plan[held_store.appends + 1] = "fail_before"
        put = other.call("PutRecord", service=KINESIS, StreamName="orders", **entry)
        await other.settle(put)
        assert put.status == 503
        assert await events(answer) == []
        again = other.call("PutRecord", service=KINESIS, StreamName="orders", **entry)
        await other.settle(again)
        assert again.status == 200
        assert texts(await events(answer)) == ["x"]


async def test_two_engines_do_not_know_each_others_subscriptions(wire, ask, wire_on):
    assert subscribe(wire).status == 200
    async with wire_on(MemoryStore()) as other:
        created = other.call("CreateStream", service=KINESIS, StreamName="orders", ShardCount=1)
        assert created.status == 200
        other.call(
            "RegisterStreamConsumer", service=KINESIS, StreamARN=STREAM, ConsumerName="audit"
        )
        assert subscribe(other).status == 200
