"""Every error that AWS documents for an operation of Kinesis is provoked through boto3, but for
those that can not occur here. The quotas are AWS's, the clock is the test's.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError

from eventcore.api.kinesis import KINESIS
from eventcore.limits import AWS_QUOTAS
from eventcore.runtime.engine import Engine
from eventcore.stores.memory import MemoryStore
from eventcore.testing import ManualClock, SeededIds
from tests.wire.conftest import START_MS, Wire
from tests.wire.service_model import load_model

MODEL = load_model("kinesis")
ARN = "arn:aws:kinesis:us-east-1:000000000000:stream/"
SHARD = "shardId-000000000000"
POLICY = '{"Statement":{"Effect":"Allow","Principal":"*","Action":"kinesis:*"}}'
KEY = {"EncryptionType": "KMS", "KeyId": "alias/aws/kinesis"}
ON_DEMAND = {"StreamMode": "ON_DEMAND"}
RECORD = {"Data": b"x", "PartitionKey": "k"}
FIRST = {"ShardId": SHARD, "ShardIteratorType": "LATEST"}
SCALING = {"ScalingType": "UNIFORM_SCALING"}
EXPIRED = "ExpiredNextTokenException"
INVALID = "InvalidArgumentException"
IN_USE = "ResourceInUseException"
LIMIT = "LimitExceededException"
NOT_FOUND = "ResourceNotFoundException"
THROUGHPUT = "ProvisionedThroughputExceededException"
VALIDATION = "ValidationException"
DRY_RUN = "DryRunOperationException"

NEVER = {
    "AccessDeniedException",
    "InternalFailureException",
    "KMSAccessDeniedException",
    "KMSDisabledException",
    "KMSInvalidStateException",
    "KMSNotFoundException",
    "KMSOptInRequired",
    "KMSThrottlingException",
}
"""No policy is evaluated and nothing is encrypted; a failure is a bug."""
NEVER_OF_ONE = {
    ("DeleteResourcePolicy", INVALID),
    ("GetResourcePolicy", INVALID),
    ("GetShardIterator", THROUGHPUT),
    ("ListShards", LIMIT),
    ("ListTagsForResource", INVALID),
    ("PutRecords", THROUGHPUT),
    ("SubscribeToShard", LIMIT),
    ("UpdateAccountSettings", INVALID),
    ("UpdateStreamMode", INVALID),
}
"""What nothing in a request leads to; what the other errors come before; throughput that is refused
record by record. ListShards has a rate of 1,000 a second, which has a test of its own."""

OF_STREAM: dict[str, dict[str, Any]] = {
    "AddTagsToStream": {"Tags": {"a": "b"}},
    "DecreaseStreamRetentionPeriod": {"RetentionPeriodHours": 24},
    "DeleteStream": {},
    "DescribeStream": {},
    "DescribeStreamSummary": {},
    "DisableEnhancedMonitoring": {"ShardLevelMetrics": ["ALL"]},
    "EnableEnhancedMonitoring": {"ShardLevelMetrics": ["ALL"]},
    "GetShardIterator": FIRST,
    "IncreaseStreamRetentionPeriod": {"RetentionPeriodHours": 48},
    "ListShards": {},
    "ListTagsForStream": {},
    "MergeShards": {"ShardToMerge": SHARD, "AdjacentShardToMerge": SHARD},
    "PutRecord": RECORD,
    "PutRecords": {"Records": [RECORD]},
    "RemoveTagsFromStream": {"TagKeys": ["a"]},
    "SplitShard": {"ShardToSplit": SHARD, "NewStartingHashKey": "100"},
    "StartStreamEncryption": KEY,
    "StopStreamEncryption": KEY,
    "UpdateShardCount": {"TargetShardCount": 2, **SCALING},
    "UpdateStreamWarmThroughput": {"WarmThroughputMiBps": 1},
}
"""Requests of the operations that know a stream by its name or its ARN, apart from these."""
OF_ARN: dict[str, dict[str, Any]] = {
    "DeleteResourcePolicy": {"ResourceARN": ARN},
    "DeregisterStreamConsumer": {"StreamARN": ARN, "ConsumerName": "c"},
    "DescribeStreamConsumer": {"StreamARN": ARN, "ConsumerName": "c"},
    "GetResourcePolicy": {"ResourceARN": ARN},
    "ListStreamConsumers": {"StreamARN": ARN},
    "ListTagsForResource": {"ResourceARN": ARN},
    "PutResourcePolicy": {"ResourceARN": ARN, "Policy": POLICY},
    "RegisterStreamConsumer": {"StreamARN": ARN, "ConsumerName": "c"},
    "TagResource": {"ResourceARN": ARN, "Tags": {"a": "b"}},
    "UntagResource": {"ResourceARN": ARN, "TagKeys": ["a"]},
    "UpdateMaxRecordSize": {"StreamARN": ARN, "MaxRecordSizeInKiB": 2048},
    "UpdateStreamMode": {"StreamARN": ARN, "StreamModeDetails": ON_DEMAND},
}
"""Requests of those that know it by its ARN only; the name goes behind it."""
OF_ACCOUNT: dict[str, dict[str, Any]] = {
    "CreateStream": {"StreamName": "orders", "ShardCount": 1},
    "DescribeAccountSettings": {},
    "DescribeLimits": {},
    "ListStreams": {},
    "UpdateAccountSettings": {"MinimumThroughputBillingCommitment": {"Status": "DISABLED"}},
}


def request_of(operation: str, stream: str) -> dict[str, Any]:
    """A request about a stream that nothing is wrong with."""
    if operation in OF_STREAM:
        return {"StreamName": stream, **OF_STREAM[operation]}
    members = OF_ARN.get(operation) or OF_ACCOUNT[operation]
    return {k: v + stream if v == ARN else v for k, v in members.items()}


@pytest.fixture
async def wire() -> AsyncIterator[Wire]:
    clock = ManualClock(START_MS)
    bugs: list[BaseException] = []
    store = MemoryStore()
    async with Engine.open(store, clock=clock, ids=SeededIds(1), quotas=AWS_QUOTAS) as engine:
        yield Wire(store, engine, clock, bugs)
    assert not bugs


class Caller:
    """boto3, with a second of the clock after each call, so that no rate is exceeded."""

    def __init__(self, wire: Wire, kinesis: Any) -> None:
        self.wire = wire
        self.kinesis = kinesis
        self._methods = {
            name: method for method, name in kinesis.meta.method_to_api_mapping.items()
        }

    def at_once(self, operation: str, **members: Any) -> Any:
        return getattr(self.kinesis, self._methods[operation])(**members)

    async def __call__(self, operation: str, **members: Any) -> Any:
        answer = self.at_once(operation, **members)
        await self.wait(1_000)
        return answer

    async def wait(self, ms: int) -> None:
        """Lets the time pass, and what falls due happen."""
        await self.turn()
        self.wire.clock.advance(ms)
        await self.turn()

    async def turn(self) -> None:
        for _ in range(5):
            await asyncio.sleep(0)

    def error(self, operation: str, **members: Any) -> str:
        with pytest.raises(ClientError) as caught:
            self.at_once(operation, **members)
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
        error: dict[str, str] = caught.value.response["Error"]
        assert error["Message"]
        assert isinstance(caught.value, getattr(self.kinesis.exceptions, error["Code"]))
        return error["Code"]


@pytest.fixture
async def call(wire: Wire, kinesis: Any) -> Caller:
    caller = Caller(wire, kinesis)
    await caller("CreateStream", StreamName="orders", ShardCount=1)
    await caller(
        "RegisterStreamConsumer", StreamARN=ARN + "orders", ConsumerName="audit", Tags={"a": "b"}
    )
    return caller


# By the state of the stream

ERRORS = {
    name: {shape.name for shape in MODEL.operation_model(name).error_shapes}
    for name in KINESIS.operations
}


def those_with(error: str, *tables: dict[str, Any]) -> list[str]:
    return sorted(n for table in tables for n in table if error in ERRORS[n])


NO_STREAM = those_with(NOT_FOUND, OF_STREAM, OF_ARN)
BUSY = sorted({*those_with(IN_USE, OF_STREAM, OF_ARN)} - {"RegisterStreamConsumer"})
RATED = sorted({*those_with(LIMIT, OF_STREAM, OF_ARN, OF_ACCOUNT)} - {"ListShards"})
UNNAMED = those_with(INVALID, OF_STREAM)


@pytest.mark.parametrize("operation", NO_STREAM)
def test_a_stream_that_there_is_not_is_not_found(call: Caller, operation: str):
    assert call.error(operation, **request_of(operation, "gone")) == NOT_FOUND


@pytest.mark.parametrize("operation", BUSY)
async def test_a_stream_that_is_being_deleted_is_in_use(call: Caller, operation: str):
    await call("CreateStream", StreamName="busy", ShardCount=1)
    call.at_once("DeleteStream", StreamName="busy")
    assert call.error(operation, **request_of(operation, "busy")) == IN_USE


def code_of(call: Caller, operation: str, request: dict[str, Any]) -> str:
    """The code of the error of a call; empty for none."""
    try:
        call.at_once(operation, **request)
    except ClientError as error:
        return str(error.response["Error"]["Code"])
    return ""


@pytest.mark.parametrize("operation", RATED)
async def test_an_operation_has_a_rate(call: Caller, operation: str):
    request = request_of(operation, "gone")
    codes = [code_of(call, operation, request) for _ in range(25)]
    assert codes[-1] == LIMIT
    await call.wait(1_000)
    assert code_of(call, operation, request) != LIMIT


@pytest.mark.parametrize("operation", UNNAMED)
def test_a_name_and_an_arn_agree_and_there_is_one_of_them(call: Caller, operation: str):
    request = request_of(operation, "orders")
    assert call.error(operation, **{**request, "StreamARN": ARN + "other"}) == INVALID
    del request["StreamName"]
    assert call.error(operation, **request) == INVALID


# By what is asked

Step = Callable[[Caller], Awaitable[dict[str, Any]]]
SETUPS: dict[str, Step] = {}
"""What is done before, by name; returns more members of the request."""


def setup(step: Step) -> Step:
    SETUPS[step.__name__] = step
    return step


@setup
async def demand(call: Caller) -> dict[str, Any]:
    await call("CreateStream", StreamName="demand", StreamModeDetails=ON_DEMAND)
    return {}


@setup
async def old_token_of_streams(call: Caller) -> dict[str, Any]:
    await call("CreateStream", StreamName="other", ShardCount=1)
    token = (await call("ListStreams", Limit=1))["NextToken"]
    await call.wait(300_001)
    return {"NextToken": token}


@setup
async def old_token_of_shards(call: Caller) -> dict[str, Any]:
    await call("UpdateShardCount", StreamName="orders", TargetShardCount=2, **SCALING)
    await call.wait(1_000)
    token = (await call("ListShards", StreamName="orders", MaxResults=1))["NextToken"]
    await call.wait(300_001)
    return {"NextToken": token}


@setup
async def old_token_of_consumers(call: Caller) -> dict[str, Any]:
    await call("RegisterStreamConsumer", StreamARN=ARN + "orders", ConsumerName="billing")
    token = (await call("ListStreamConsumers", StreamARN=ARN + "orders", MaxResults=1))["NextToken"]
    await call.wait(300_001)
    return {"NextToken": token}


@setup
async def iterator(call: Caller) -> dict[str, Any]:
    answer = call.at_once("GetShardIterator", StreamName="orders", **FIRST)
    return {"ShardIterator": answer["ShardIterator"]}


@setup
async def old_iterator(call: Caller) -> dict[str, Any]:
    found = await iterator(call)
    await call.wait(300_001)
    return found


@setup
async def used_up_iterator(call: Caller) -> dict[str, Any]:
    found = await iterator(call)
    for _ in range(5):
        call.at_once("GetRecords", **found)
    return found


@setup
async def iterator_of_no_stream(call: Caller) -> dict[str, Any]:
    found = await iterator(call)
    await call("DeleteStream", StreamName="orders", EnforceConsumerDeletion=True)
    await call.wait(1_000)
    return found


@setup
async def full_shard(call: Caller) -> dict[str, Any]:
    call.at_once("PutRecord", StreamName="orders", Data=b"x" * 1_048_000, PartitionKey="k")
    return {"Data": b"x" * 1_048_000}


@setup
async def consumer(call: Caller) -> dict[str, Any]:
    found = await call("DescribeStreamConsumer", StreamARN=ARN + "orders", ConsumerName="audit")
    return {"ConsumerARN": found["ConsumerDescription"]["ConsumerARN"]}


@setup
async def new_consumer(call: Caller) -> dict[str, Any]:
    made = call.at_once("RegisterStreamConsumer", StreamARN=ARN + "orders", ConsumerName="new")
    return {"ConsumerARN": made["Consumer"]["ConsumerARN"]}


PERCENT = {"Tags": {"%": "v"}}
LATEST = {"ShardId": SHARD, "StartingPosition": {"Type": "LATEST"}}
CASES: list[tuple[str, str, str | None, dict[str, Any]]] = [
    ("CreateStream", IN_USE, None, {"StreamName": "orders", "ShardCount": 1}),
    ("CreateStream", VALIDATION, None, {"StreamName": "a b", "ShardCount": 1}),
    ("CreateStream", INVALID, None, {"StreamName": "a", "ShardCount": 1, **PERCENT}),
    ("CreateStream", LIMIT, None, {"StreamName": "a", "ShardCount": 501}),
    ("CreateStream", LIMIT, None, {"StreamName": "a", "ShardCount": 10_001}),
    ("DeregisterStreamConsumer", INVALID, None, {}),
    ("DescribeStreamConsumer", INVALID, None, {}),
    ("GetRecords", DRY_RUN, "iterator", {"DryRun": True}),
    ("GetRecords", "ExpiredIteratorException", "old_iterator", {}),
    ("GetRecords", INVALID, None, {"ShardIterator": "AAAA"}),
    ("GetRecords", NOT_FOUND, "iterator_of_no_stream", {}),
    ("GetRecords", THROUGHPUT, "used_up_iterator", {}),
    ("GetShardIterator", DRY_RUN, None, {"StreamName": "orders", **FIRST, "DryRun": True}),
    ("ListShards", EXPIRED, "old_token_of_shards", {}),
    ("ListStreamConsumers", EXPIRED, "old_token_of_consumers", {"StreamARN": ARN + "orders"}),
    ("ListStreamConsumers", INVALID, None, {"StreamARN": ARN + "orders", "NextToken": "x"}),
    ("ListStreams", EXPIRED, "old_token_of_streams", {}),
    ("ListStreams", INVALID, None, {"NextToken": "x"}),
    (
        "MergeShards",
        VALIDATION,
        "demand",
        {"StreamName": "demand", "ShardToMerge": SHARD, "AdjacentShardToMerge": SHARD},
    ),
    ("PutRecord", DRY_RUN, None, {"StreamName": "orders", **RECORD, "DryRun": True}),
    ("PutRecord", THROUGHPUT, "full_shard", {"StreamName": "orders", "PartitionKey": "k"}),
    ("PutRecords", DRY_RUN, None, {"StreamName": "orders", "Records": [RECORD], "DryRun": True}),
    ("PutResourcePolicy", INVALID, None, {"ResourceARN": ARN + "orders", "Policy": "{"}),
    (
        "RegisterStreamConsumer",
        INVALID,
        None,
        {"StreamARN": ARN + "orders", "ConsumerName": "c", **PERCENT},
    ),
    (
        "RegisterStreamConsumer",
        IN_USE,
        None,
        {"StreamARN": ARN + "orders", "ConsumerName": "audit"},
    ),
    (
        "SplitShard",
        VALIDATION,
        "demand",
        {"StreamName": "demand", "ShardToSplit": SHARD, "NewStartingHashKey": "100"},
    ),
    ("SubscribeToShard", DRY_RUN, "consumer", {**LATEST, "DryRun": True}),
    ("SubscribeToShard", IN_USE, "new_consumer", LATEST),
    (
        "SubscribeToShard",
        INVALID,
        "consumer",
        {"ShardId": SHARD, "StartingPosition": {"Type": "AT_TIMESTAMP"}},
    ),
    ("SubscribeToShard", NOT_FOUND, "consumer", {**LATEST, "ShardId": "shardId-000000000007"}),
    ("TagResource", INVALID, None, {"ResourceARN": ARN + "orders", **PERCENT}),
    ("UntagResource", INVALID, None, {"ResourceARN": ARN + "orders", "TagKeys": ["%"]}),
    (
        "UpdateAccountSettings",
        VALIDATION,
        None,
        {"MinimumThroughputBillingCommitment": {"Status": "x"}},
    ),
    ("UpdateMaxRecordSize", INVALID, None, {"MaxRecordSizeInKiB": 2048}),
    (
        "UpdateMaxRecordSize",
        VALIDATION,
        None,
        {"StreamARN": ARN + "orders", "MaxRecordSizeInKiB": 10_241},
    ),
    (
        "UpdateShardCount",
        VALIDATION,
        "demand",
        {"StreamName": "demand", "TargetShardCount": 8, **SCALING},
    ),
    (
        "UpdateStreamMode",
        VALIDATION,
        None,
        {
            "StreamARN": ARN + "orders",
            "StreamModeDetails": ON_DEMAND,
            "WarmThroughputMiBps": 8,
        },
    ),
    (
        "UpdateStreamWarmThroughput",
        VALIDATION,
        None,
        {"StreamName": "orders", "WarmThroughputMiBps": 8},
    ),
]


@pytest.mark.parametrize(
    ("operation", "code", "before", "members"),
    [pytest.param(*case, id=f"{case[0]}-{case[1]}-{case[2] or 'at-once'}") for case in CASES],
)
async def test_an_error_is_provoked(call: Caller, operation, code, before, members):
    more = await SETUPS[before](call) if before else {}
    assert call.error(operation, **members, **more) == code


def test_every_documented_error_is_provoked_or_can_not_occur():
    provoked = {(operation, code) for operation, code, _, _ in CASES}
    provoked |= {(operation, NOT_FOUND) for operation in NO_STREAM}
    provoked |= {(operation, IN_USE) for operation in BUSY}
    provoked |= {(operation, LIMIT) for operation in RATED}
    provoked |= {(operation, INVALID) for operation in UNNAMED}
    documented = {(name, code) for name, codes in ERRORS.items() for code in codes - NEVER}
    assert documented - provoked == NEVER_OF_ONE


def test_list_shards_has_a_rate_of_its_own(call: Caller):
    answers = [
        call.wire.call("ListShards", service="Kinesis_20131202", StreamName="orders")
        for _ in range(1_001)
    ]
    assert {answer.status for answer in answers[:-1]} == {200}
    assert answers[-1].error == LIMIT


async def test_put_records_tells_which_records_its_shard_has_no_room_for(call: Caller):
    records = [{"Data": b"x" * 400_000, "PartitionKey": "k"} for _ in range(3)]
    answer = await call("PutRecords", StreamName="orders", Records=records)
    assert answer["FailedRecordCount"] == 1
    assert [record.get("ErrorCode") for record in answer["Records"]] == [None, None, THROUGHPUT]
    assert answer["Records"][2]["ErrorMessage"] == (
        f"Rate exceeded for shard {SHARD} in stream orders under account 000000000000."
    )


def test_a_timestamp_in_the_future_is_refused(call: Caller):
    at = datetime(2030, 1, 1, tzinfo=UTC)
    members = {"ShardId": SHARD, "ShardIteratorType": "AT_TIMESTAMP", "Timestamp": at}
    assert call.error("GetShardIterator", StreamName="orders", **members) == INVALID
