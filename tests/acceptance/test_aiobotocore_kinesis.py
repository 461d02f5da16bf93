"""aiobotocore against a real daemon: Kinesis, many requests at a time over kept connections.

SubscribeToShard is read as an event stream over HTTP/1.1, many of them at once.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiobotocore.config import AioConfig
from aiobotocore.session import get_session
from botocore import xform_name
from botocore.exceptions import ClientError

from eventcore.api.kinesis import MISSING_OPERATIONS

ARN = "arn:aws:kinesis:us-east-1:000000000000:stream/"
FIRST_SHARD = "shardId-000000000000"
MIDDLE = str(1 << 127)
PRODUCERS = 8
BATCHES = 12
BATCH_RECORDS = 25
SECONDS_MAX = 90

Put = dict[str, list[str]]
"""What was acknowledged, or read: data by partition key, in order."""


@asynccontextmanager
async def connected(url: str, region: str = "us-east-1") -> AsyncIterator[Any]:
    config = AioConfig(max_pool_connections=64, retries={"total_max_attempts": 1}, read_timeout=30)
    async with get_session().create_client(
        "kinesis",
        endpoint_url=url,
        region_name=region,
        aws_access_key_id="AKIDEXAMPLE",
        aws_secret_access_key="secret",
        config=config,
    ) as client:
        yield client


@pytest.fixture
async def kinesis(daemon) -> AsyncIterator[Any]:
    async with connected(daemon.url) as client:
        yield client


@pytest.fixture
def name(queue_name) -> str:
    """A name that no other test of any file uses."""
    return f"aio-{queue_name[-90:]}"


@pytest.fixture
async def stream(kinesis, name) -> AsyncIterator[str]:
    """A stream of two shards."""
    await kinesis.create_stream(StreamName=name, ShardCount=2)
    await active(kinesis, name)
    yield name
    await kinesis.delete_stream(StreamName=name, EnforceConsumerDeletion=True)


async def active(kinesis: Any, name: str) -> None:
    await kinesis.get_waiter("stream_exists").wait(StreamName=name, WaiterConfig={"Delay": 1})


async def summary(kinesis: Any, name: str) -> Any:
    answer = await kinesis.describe_stream_summary(StreamName=name)
    return answer["StreamDescriptionSummary"]


async def iterator(
    kinesis: Any, name: str, shard: str = FIRST_SHARD, kind: str = "TRIM_HORIZON", **more: Any
) -> str:
    answer = await kinesis.get_shard_iterator(
        StreamName=name, ShardId=shard, ShardIteratorType=kind, **more
    )
    token: str = answer["ShardIterator"]
    return token


def test_every_operation_of_the_classic_service_is_used_in_this_file(clients):
    operations = set(clients("kinesis").meta.service_model.operation_names) - MISSING_OPERATIONS
    used = set(re.findall(r"\.([a-z_]+)\(", Path(__file__).read_text(encoding="utf-8")))
    assert len(operations) == 39
    assert {xform_name(operation) for operation in operations} - used == set()


# --- streams, shards, settings --------------------------------------------------------------------


async def test_a_stream_is_created_listed_described_and_deleted(kinesis, name):
    await kinesis.create_stream(StreamName=name, ShardCount=3, Tags={"team": "a"})
    await active(kinesis, name)
    pages = kinesis.get_paginator("list_streams").paginate(Limit=1)
    assert name in [found async for page in pages for found in page["StreamNames"]]
    pages = kinesis.get_paginator("describe_stream").paginate(StreamName=name, Limit=2)
    described = [page["StreamDescription"] async for page in pages]
    assert [len(page["Shards"]) for page in described] == [2, 1]
    assert [page["HasMoreShards"] for page in described] == [True, False]
    one = await kinesis.describe_stream(StreamARN=ARN + name, Limit=1)
    assert one["StreamDescription"]["StreamName"] == name
    assert (await summary(kinesis, name))["OpenShardCount"] == 3
    assert name in (await kinesis.list_streams())["StreamNames"]
    await kinesis.delete_stream(StreamName=name)
    await kinesis.get_waiter("stream_not_exists").wait(StreamName=name, WaiterConfig={"Delay": 1})
    with pytest.raises(kinesis.exceptions.ResourceNotFoundException):
        await summary(kinesis, name)


async def test_settings_of_a_stream_are_changed_and_shown(kinesis, stream):
    of = {"StreamName": stream}
    key = {"EncryptionType": "KMS", "KeyId": "alias/aws/kinesis"}
    await kinesis.increase_stream_retention_period(**of, RetentionPeriodHours=72)
    await active(kinesis, stream)
    await kinesis.start_stream_encryption(**of, **key)
    await active(kinesis, stream)
    enabled = await kinesis.enable_enhanced_monitoring(**of, ShardLevelMetrics=["ALL"])
    assert enabled["CurrentShardLevelMetrics"] == []
    await active(kinesis, stream)
    await kinesis.disable_enhanced_monitoring(**of, ShardLevelMetrics=["OutgoingBytes"])
    await active(kinesis, stream)
    await kinesis.update_max_record_size(StreamARN=ARN + stream, MaxRecordSizeInKiB=2048)
    await active(kinesis, stream)
    shown = await summary(kinesis, stream)
    assert shown["RetentionPeriodHours"] == 72
    assert (shown["EncryptionType"], shown["KeyId"]) == ("KMS", "alias/aws/kinesis")
    assert len(shown["EnhancedMonitoring"][0]["ShardLevelMetrics"]) == 6
    assert shown["MaxRecordSizeInKiB"] == 2048
    await kinesis.decrease_stream_retention_period(**of, RetentionPeriodHours=24)
    await active(kinesis, stream)
    await kinesis.stop_stream_encryption(**of, **key)
    await active(kinesis, stream)
    mode = {"StreamMode": "ON_DEMAND"}
    await kinesis.update_stream_mode(StreamARN=ARN + stream, StreamModeDetails=mode)
    await active(kinesis, stream)
    shown = await summary(kinesis, stream)
    assert (shown["RetentionPeriodHours"], shown["EncryptionType"]) == (24, "NONE")
    assert shown["StreamModeDetails"] == mode


async def test_tags_and_policies_of_streams_and_consumers(kinesis, stream):
    arn = ARN + stream
    await kinesis.add_tags_to_stream(StreamName=stream, Tags={"team": "a", "stage": "test"})
    await kinesis.remove_tags_from_stream(StreamName=stream, TagKeys=["stage"])
    listed = await kinesis.list_tags_for_stream(StreamName=stream)
    assert (listed["Tags"], listed["HasMoreTags"]) == ([{"Key": "team", "Value": "a"}], False)
    made = await kinesis.register_stream_consumer(StreamARN=arn, ConsumerName="c")
    statement = {"Effect": "Allow", "Principal": "*", "Action": "kinesis:*"}
    policy = json.dumps({"Statement": [statement]})
    for resource in (arn, made["Consumer"]["ConsumerARN"]):
        await kinesis.tag_resource(ResourceARN=resource, Tags={"cost": "b", "team": "c"})
        await kinesis.untag_resource(ResourceARN=resource, TagKeys=["cost"])
        tags = await kinesis.list_tags_for_resource(ResourceARN=resource)
        assert tags["Tags"] == [{"Key": "team", "Value": "c"}]
        await kinesis.put_resource_policy(ResourceARN=resource, Policy=policy)
        answer = await kinesis.get_resource_policy(ResourceARN=resource)
        assert json.loads(answer["Policy"]) == json.loads(policy)
        await kinesis.delete_resource_policy(ResourceARN=resource)
        assert (await kinesis.get_resource_policy(ResourceARN=resource))["Policy"] == "{}"


async def test_the_account_is_described_and_bound_to_a_throughput(daemon, name):
    async with connected(daemon.url, "ap-southeast-2") as kinesis:
        limits = await kinesis.describe_limits()
        assert limits["OpenShardCount"] == limits["OnDemandStreamCount"] == 0
        bound = {"MinimumThroughputBillingCommitment": {"Status": "ENABLED"}}
        await kinesis.update_account_settings(**bound)
        settings = await kinesis.describe_account_settings()
        assert settings["MinimumThroughputBillingCommitment"]["Status"] == "ENABLED"
        mode = {"StreamMode": "ON_DEMAND"}
        await kinesis.create_stream(StreamName=name, StreamModeDetails=mode)
        await active(kinesis, name)
        warm = await kinesis.update_stream_warm_throughput(StreamName=name, WarmThroughputMiBps=8)
        assert warm["WarmThroughput"]["TargetMiBps"] == 8
        await active(kinesis, name)
        limits = await kinesis.describe_limits()
        assert (limits["OpenShardCount"], limits["OnDemandStreamCount"]) == (0, 1)
        await kinesis.delete_stream(StreamName=name)


# --- records --------------------------------------------------------------------------------------


async def test_an_iterator_begins_at_each_of_the_five_positions(kinesis, stream):
    puts = [
        await kinesis.put_record(
            StreamName=stream, Data=bytes([n]), PartitionKey="k", ExplicitHashKey="0"
        )
        for n in range(3)
    ]
    assert {put["ShardId"] for put in puts} == {FIRST_SHARD}
    numbers = [put["SequenceNumber"] for put in puts]
    assert sorted(numbers, key=int) == numbers
    page = await kinesis.get_records(ShardIterator=await iterator(kinesis, stream), Limit=2)
    assert [record["SequenceNumber"] for record in page["Records"]] == numbers[:2]
    second = page["Records"][1]["ApproximateArrivalTimestamp"]
    starts: list[tuple[str, dict[str, Any], list[str]]] = [
        ("TRIM_HORIZON", {}, numbers),
        ("LATEST", {}, []),
        ("AT_SEQUENCE_NUMBER", {"StartingSequenceNumber": numbers[1]}, numbers[1:]),
        ("AFTER_SEQUENCE_NUMBER", {"StartingSequenceNumber": numbers[1]}, numbers[2:]),
    ]
    for kind, more, expected in starts:
        token = await iterator(kinesis, stream, kind=kind, **more)
        page = await kinesis.get_records(ShardIterator=token, StreamARN=ARN + stream)
        assert [record["SequenceNumber"] for record in page["Records"]] == expected
        assert page["MillisBehindLatest"] == 0
    token = await iterator(kinesis, stream, kind="AT_TIMESTAMP", Timestamp=second)
    page = await kinesis.get_records(ShardIterator=token)
    times = [record["ApproximateArrivalTimestamp"] for record in page["Records"]]
    assert numbers[1] in [record["SequenceNumber"] for record in page["Records"]]
    assert min(times) >= second


async def test_a_batch_beyond_what_fits_into_one_answer_is_read_in_pages(kinesis, stream):
    data = bytes(100 * 1024)
    entry = {"PartitionKey": "k", "ExplicitHashKey": "0"}
    # aiohttp warns of bodies of 1 MiB and more.
    for first in range(0, 119, 7):
        records = [{**entry, "Data": data + bytes([n])} for n in range(first, first + 7)]
        answer = await kinesis.put_records(StreamName=stream, Records=records)
        assert answer["FailedRecordCount"] == 0
    token = await iterator(kinesis, stream)
    last_bytes: list[int] = []
    pages = 0
    while len(last_bytes) < 119:
        page = await kinesis.get_records(ShardIterator=token)
        assert sum(len(record["Data"]) for record in page["Records"]) <= 10 * 1024 * 1024
        last_bytes += [record["Data"][-1] for record in page["Records"]]
        token = page["NextShardIterator"]
        pages += 1
    assert last_bytes == list(range(119))
    assert pages >= 2


async def test_many_producers_and_readers_at_once_keep_the_order_of_each_key(kinesis, stream):
    put: Put = defaultdict(list)
    read: Put = defaultdict(list)
    numbers: dict[str, str] = {}
    async with asyncio.timeout(SECONDS_MAX):
        await asyncio.gather(
            *(produce(kinesis, stream, worker, put, numbers) for worker in range(PRODUCERS)),
            *(
                follow(kinesis, stream, f"shardId-{n:012d}", read, lambda: not_read(put, read))
                for n in range(2)
            ),
        )
    assert read == put
    assert len(set(numbers.values())) == PRODUCERS * BATCHES * BATCH_RECORDS


async def test_readers_follow_the_shards_while_they_are_split_and_merged(kinesis, stream):
    put: Put = defaultdict(list)
    read: Put = defaultdict(list)
    numbers: dict[str, str] = {}

    async def reshard() -> None:
        third = str(3 << 126)
        await kinesis.split_shard(
            StreamName=stream, ShardToSplit="shardId-000000000001", NewStartingHashKey=third
        )
        await active(kinesis, stream)
        await kinesis.merge_shards(
            StreamName=stream,
            ShardToMerge=FIRST_SHARD,
            AdjacentShardToMerge="shardId-000000000002",
        )
        await active(kinesis, stream)
        for count in (4, 2):
            answer = await kinesis.update_shard_count(
                StreamName=stream, TargetShardCount=count, ScalingType="UNIFORM_SCALING"
            )
            assert answer["TargetShardCount"] == count
            await active(kinesis, stream)

    async with asyncio.timeout(SECONDS_MAX):
        await asyncio.gather(
            reshard(),
            follow_all(kinesis, stream, read, lambda: not_read(put, read)),
            *(produce(kinesis, stream, worker, put, numbers) for worker in range(PRODUCERS)),
        )
    assert read == put
    shards = (await kinesis.list_shards(StreamName=stream))["Shards"]
    assert sum("EndingSequenceNumber" not in s["SequenceNumberRange"] for s in shards) == 2
    at_latest = {"Type": "AT_LATEST"}
    still_open = await kinesis.list_shards(StreamName=stream, ShardFilter=at_latest)
    ranges = sorted(
        (int(s["HashKeyRange"]["StartingHashKey"]), int(s["HashKeyRange"]["EndingHashKey"]))
        for s in still_open["Shards"]
    )
    assert ranges == [(0, (1 << 127) - 1), (1 << 127, (1 << 128) - 1)]


async def produce(
    kinesis: Any, stream: str, worker: int, put: Put, numbers: dict[str, str]
) -> None:
    """Puts batches one after the other, each over a few keys that are this worker's own."""
    for batch in range(BATCHES):
        entries: list[dict[str, Any]] = [
            {"PartitionKey": f"key-{worker}-{n % 5}", "Data": f"{batch}-{n}".encode()}
            for n in range(BATCH_RECORDS)
        ]
        # From before the answer on, so that no reader can think that it has everything.
        for entry in entries:
            put[entry["PartitionKey"]].append(entry["Data"].decode())
        answer = await kinesis.put_records(StreamName=stream, Records=entries)
        assert answer["FailedRecordCount"] == 0
        for entry, result in zip(entries, answer["Records"], strict=True):
            where = f"{entry['PartitionKey']} {entry['Data'].decode()}"
            numbers[where] = result["ShardId"] + result["SequenceNumber"]


def not_read(put: Put, read: Put) -> bool:
    """Whether there is more to come."""
    expected = PRODUCERS * BATCHES * BATCH_RECORDS
    return sum(map(len, put.values())) < expected or sum(map(len, read.values())) < expected


async def follow(
    kinesis: Any, stream: str, shard: str, read: Put, is_needed: Callable[[], bool]
) -> list[str]:
    """Reads a shard to its end, or as long as that is needed; its children."""
    token: str | None = await iterator(kinesis, stream, shard)
    page: Any = {}
    while token is not None and is_needed():
        page = await kinesis.get_records(ShardIterator=token)
        for record in page["Records"]:
            read[record["PartitionKey"]].append(record["Data"].decode())
        token = page.get("NextShardIterator")
        if not page["Records"]:
            await asyncio.sleep(0.02)
    return [child["ShardId"] for child in page.get("ChildShards", ())] if token is None else []


async def follow_all(kinesis: Any, stream: str, read: Put, is_needed: Callable[[], bool]) -> None:
    """Reads all shards that there are and will be, children after all of their parents."""
    parents: dict[str, set[str]] = defaultdict(set)
    ended: set[str] = set()
    begun: set[str] = set()

    async def line(shard: str) -> None:
        begun.add(shard)
        children = await follow(kinesis, stream, shard, read, is_needed)
        ended.add(shard)
        if children:
            for found in (await kinesis.list_shards(StreamName=stream))["Shards"]:
                named = (found.get("ParentShardId"), found.get("AdjacentParentShardId"))
                parents[found["ShardId"]] = {parent for parent in named if parent}
        ready = [c for c in children if c not in begun and parents[c] <= ended]
        begun.update(ready)
        await asyncio.gather(*(line(child) for child in ready))

    first = await kinesis.list_shards(StreamName=stream, ShardFilter={"Type": "FROM_TRIM_HORIZON"})
    roots = [s["ShardId"] for s in first["Shards"] if "ParentShardId" not in s]
    await asyncio.gather(*(line(shard) for shard in roots))


# --- enhanced fan-out -----------------------------------------------------------------------------


async def test_consumers_are_registered_described_listed_and_deregistered(kinesis, stream):
    arn = ARN + stream
    for n in range(3):
        await kinesis.register_stream_consumer(StreamARN=arn, ConsumerName=f"c-{n}")
    described = await kinesis.describe_stream_consumer(StreamARN=arn, ConsumerName="c-1")
    consumer = described["ConsumerDescription"]
    assert consumer["ConsumerStatus"] == "ACTIVE"
    assert consumer["ConsumerARN"].startswith(f"{arn}/consumer/c-1:")
    pages = kinesis.get_paginator("list_stream_consumers").paginate(
        StreamARN=arn, PaginationConfig={"PageSize": 2}
    )
    listed = [[c["ConsumerName"] for c in page["Consumers"]] async for page in pages]
    assert listed == [["c-0", "c-1"], ["c-2"]]
    await kinesis.deregister_stream_consumer(ConsumerARN=consumer["ConsumerARN"])
    rest = await kinesis.list_stream_consumers(StreamARN=arn)
    assert [c["ConsumerName"] for c in rest["Consumers"]] == ["c-0", "c-2"]


async def test_many_subscribers_are_each_sent_every_record_of_their_shard(kinesis, stream):
    consumers = [await registered(kinesis, stream, f"c-{n}") for n in range(PRODUCERS)]
    put: Put = defaultdict(list)
    numbers: dict[str, str] = {}
    async with asyncio.timeout(SECONDS_MAX), AsyncExitStack() as subscriptions:
        readers = []
        for consumer in consumers:
            for shard in (FIRST_SHARD, "shardId-000000000001"):
                events = await subscriptions.enter_async_context(
                    subscribed(kinesis, consumer, shard)
                )
                readers.append(pages_to_the_end(events))
        produced = asyncio.gather(
            *(produce(kinesis, stream, worker, put, numbers) for worker in range(PRODUCERS))
        )

        async def end() -> None:
            await produced
            for shard, start in ((FIRST_SHARD, 1 << 126), ("shardId-000000000001", 3 << 126)):
                await kinesis.split_shard(
                    StreamName=stream, ShardToSplit=shard, NewStartingHashKey=str(start)
                )
                await active(kinesis, stream)

        seen: list[Any] = await asyncio.gather(*readers, end())
        del seen[-1]
    for first, second in zip(seen[::2], seen[1::2], strict=True):
        assert {**first[0], **second[0]} == put
        assert not first[0].keys() & second[0].keys()
        assert len(first[1]) == len(second[1]) == 2
    assert not seen[0][1] & seen[1][1]


async def test_a_subscriber_that_goes_makes_room_for_the_next(kinesis, stream):
    consumer = await registered(kinesis, stream, "c")
    record = {"StreamName": stream, "PartitionKey": "k", "ExplicitHashKey": "0"}
    await kinesis.put_record(**record, Data=b"1")
    async with subscribed(kinesis, consumer, FIRST_SHARD) as events:
        page = await asyncio.wait_for(first_page(events), SECONDS_MAX)
        with pytest.raises(kinesis.exceptions.ResourceInUseException, match="Another active"):
            async with subscribed(kinesis, consumer, FIRST_SHARD):
                pytest.fail("two subscriptions to one shard")
    await kinesis.put_record(**record, Data=b"2")
    where = page["ContinuationSequenceNumber"]

    async def again() -> Any:
        async with subscribed(
            kinesis, consumer, FIRST_SHARD, Type="AFTER_SEQUENCE_NUMBER", SequenceNumber=where
        ) as events:
            return await asyncio.wait_for(first_page(events), SECONDS_MAX)

    # The daemon learns of the end of a connection when it comes to it.
    page = await retried(again, kinesis.exceptions.ResourceInUseException)
    assert [record["Data"] for record in page["Records"]] == [b"2"]


async def test_the_end_of_a_stream_is_told_to_its_subscribers(kinesis, name):
    await kinesis.create_stream(StreamName=name, ShardCount=1)
    await active(kinesis, name)
    consumer = await registered(kinesis, name, "c")
    async with subscribed(kinesis, consumer, FIRST_SHARD, Type="LATEST") as events:
        await kinesis.delete_stream(StreamName=name, EnforceConsumerDeletion=True)
        with pytest.raises(ClientError) as caught:
            await asyncio.wait_for(first_page(events), SECONDS_MAX)
    assert caught.value.response["Error"]["Code"] == "ResourceNotFoundException"


async def registered(kinesis: Any, stream: str, name: str) -> str:
    """The ARN of a new consumer that may subscribe."""
    made = await kinesis.register_stream_consumer(StreamARN=ARN + stream, ConsumerName=name)
    arn: str = made["Consumer"]["ConsumerARN"]
    while True:
        shown = await kinesis.describe_stream_consumer(ConsumerARN=arn)
        if shown["ConsumerDescription"]["ConsumerStatus"] == "ACTIVE":
            return arn
        await asyncio.sleep(0.05)


@asynccontextmanager
async def subscribed(kinesis: Any, consumer: str, shard: str, **start: str) -> AsyncIterator[Any]:
    position = start or {"Type": "TRIM_HORIZON"}
    answer = await kinesis.subscribe_to_shard(
        ConsumerARN=consumer, ShardId=shard, StartingPosition=position
    )
    events = answer["EventStream"]
    try:
        yield events
    finally:
        events.close()


async def first_page(events: Any) -> Any:
    """The first page that has records."""
    async for event in events:
        page = event["SubscribeToShardEvent"]
        if page["Records"]:
            return page
    raise AssertionError("the subscription ended without a record")


async def pages_to_the_end(events: Any) -> tuple[Put, set[str]]:
    """What a subscription brings until its shard is closed, and the shard's children."""
    read: Put = defaultdict(list)
    async for event in events:
        page = event["SubscribeToShardEvent"]
        for record in page["Records"]:
            read[record["PartitionKey"]].append(record["Data"].decode())
        if "ContinuationSequenceNumber" not in page:
            return read, {child["ShardId"] for child in page["ChildShards"]}
    raise AssertionError("the subscription ended before its shard")


async def retried(call: Callable[[], Awaitable[Any]], error: type[Exception]) -> Any:
    async with asyncio.timeout(SECONDS_MAX):
        while True:
            try:
                return await call()
            except error:
                await asyncio.sleep(0.05)


# --- errors ---------------------------------------------------------------------------------------


async def test_requests_that_fail_at_once_with_others_fail_alone(kinesis, stream):
    names = [stream, "there-is-no-such-stream"]
    calls = [
        kinesis.put_record(StreamName=names[n % 2], Data=b"x", PartitionKey="k") for n in range(40)
    ]
    answers: list[Any] = await asyncio.gather(*calls, return_exceptions=True)
    for n, answer in enumerate(answers):
        if n % 2:
            assert isinstance(answer, kinesis.exceptions.ResourceNotFoundException)
        else:
            assert answer["ShardId"]


@pytest.mark.parametrize("operation", sorted(MISSING_OPERATIONS))
async def test_an_operation_that_is_not_there_says_so(kinesis, operation):
    shape = kinesis.meta.service_model.operation_model(operation).input_shape
    with pytest.raises(ClientError) as caught:
        await getattr(kinesis, xform_name(operation))(**least(shape))
    assert caught.value.response["Error"]["Code"] == "UnsupportedOperation"
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 501
    assert operation in caught.value.response["Error"]["Message"]


def least(shape: Any) -> Any:
    """The least input that botocore lets through."""
    if shape.type_name == "structure":
        return {name: least(shape.members[name]) for name in shape.required_members}
    if shape.type_name == "list":
        return [least(shape.member)] * shape.metadata.get("min", 0)
    if shape.type_name == "string":
        return (shape.enum or ["a" * max(1, shape.metadata.get("min", 1))])[0]
    return {"integer": 1, "long": 1, "boolean": True, "map": {}}[shape.type_name]
