"""The same calls in AWS JSON and in AWS CBOR, on two engines that are alike: the answers are alike.

JSON is written and read by botocore, CBOR by cbor2 along botocore's model.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Any

import cbor2
import pytest
from botocore.model import ListShape, MapShape, Shape, StructureShape
from botocore.parsers import create_parser
from botocore.serialize import create_serializer

from eventcore.stores.memory import MemoryStore
from eventcore.wire.cbor import CBOR_1_1
from tests.wire.conftest import START_MS, Answer, Wire
from tests.wire.service_model import load_model

MODEL = load_model("kinesis")
SERIALIZER = create_serializer("json", include_validation=False)
PARSER = create_parser("json")
AUTHORIZATION = (
    b"AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20231114/us-east-1/kinesis/aws4_request, x"
)
SHARD = "shardId-000000000000"
NOW = datetime.fromtimestamp(START_MS / 1000, UTC)


def to_cbor(value: Any, shape: Shape) -> Any:
    """Members as the Java SDKs write them."""
    if isinstance(shape, StructureShape):
        return {name: to_cbor(member, shape.members[name]) for name, member in value.items()}
    if isinstance(shape, ListShape):
        return [to_cbor(item, shape.member) for item in value]
    if isinstance(shape, MapShape):
        return {key: to_cbor(item, shape.value) for key, item in value.items()}
    if shape.type_name == "timestamp":
        return cbor2.CBORTag(1, round(value.timestamp() * 1000))
    return value


def from_cbor(body: bytes) -> Any:
    def read_timestamp(ms: Any, _: bool) -> datetime:
        assert type(ms) is int
        return datetime.fromtimestamp(ms / 1000, UTC)

    return cbor2.loads(body, semantic_decoders={1: read_timestamp}) if body else {}


class Caller:
    """Calls operations in one protocol; an answer is its status and its members, or the error."""

    def __init__(self, wire: Wire, *, is_cbor: bool) -> None:
        self.wire = wire
        self.is_cbor = is_cbor

    def __call__(self, operation: str, **members: Any) -> tuple[int, Any]:
        model = MODEL.operation_model(operation)
        if self.is_cbor:
            body = cbor2.dumps(to_cbor(members, model.input_shape), indefinite_containers=True)
            answer = self._send(operation, body, CBOR_1_1)
            told = from_cbor(answer.body)
            return answer.status, told if answer.status == 200 else (
                told["__type"],
                told["message"],
            )
        request = SERIALIZER.serialize_to_request(members, model)
        body = request["body"]
        content_type = request["headers"]["Content-Type"].encode()
        answer = self._send(operation, body, content_type)
        response = {"status_code": answer.status, "headers": answer.headers, "body": answer.body}
        parsed = PARSER.parse(response, model.output_shape)
        parsed.pop("ResponseMetadata")
        if "Error" in parsed:
            return answer.status, (parsed["Error"]["Code"], parsed["Error"]["Message"])
        return answer.status, parsed

    def _send(self, operation: str, body: bytes, content_type: bytes) -> Answer:
        headers = {
            b"content-type": content_type,
            b"authorization": AUTHORIZATION,
            b"x-amz-target": b"Kinesis_20131202." + operation.encode(),
        }
        answer = self.wire.raw(body, headers)
        assert answer.is_there
        return answer


Script = Callable[[Caller], list[tuple[int, Any]]]


@pytest.fixture
async def callers(wire_on) -> AsyncIterator[tuple[Caller, Caller]]:
    async with wire_on(MemoryStore()) as one, wire_on(MemoryStore()) as other:
        yield Caller(one, is_cbor=False), Caller(other, is_cbor=True)


def of_records(call: Caller) -> list[tuple[int, Any]]:
    entries = [{"Data": bytes([n]) * n, "PartitionKey": f"ü{n}"} for n in range(60)]
    entries[3]["ExplicitHashKey"] = "7"
    answers = [
        call("CreateStream", StreamName="s", ShardCount=2),
        call("PutRecords", StreamName="s", Records=entries),
        call("PutRecord", StreamName="s", Data=b"", PartitionKey="k"),
    ]
    call.wire.clock.advance(1_001)
    answers.append(call("PutRecord", StreamName="s", Data=b"\xff", PartitionKey="k"))
    at = datetime.fromtimestamp(START_MS / 1000 + 1, UTC)
    for start in (
        {"ShardIteratorType": "TRIM_HORIZON"},
        {"ShardIteratorType": "LATEST"},
        {"ShardIteratorType": "AT_TIMESTAMP", "Timestamp": at},
    ):
        for shard in (SHARD, "shardId-000000000001"):
            status, told = call("GetShardIterator", StreamName="s", ShardId=shard, **start)
            assert status == 200
            status, page = call("GetRecords", ShardIterator=told["ShardIterator"])
            page.pop("NextShardIterator")
            answers.append((status, page))
    return answers


def of_shards(call: Caller) -> list[tuple[int, Any]]:
    answers = [
        call("CreateStream", StreamName="s", ShardCount=1),
        call("SplitShard", StreamName="s", ShardToSplit=SHARD, NewStartingHashKey=str(2**100)),
    ]
    call.wire.clock.advance(60_000)
    return [
        *answers,
        call("ListShards", StreamName="s"),
        call("ListShards", StreamName="s", ShardFilter={"Type": "AT_TIMESTAMP", "Timestamp": NOW}),
        call("ListShards", StreamName="s", StreamCreationTimestamp=NOW),
        call("DescribeStream", StreamName="s"),
        call("UpdateShardCount", StreamName="s", TargetShardCount=4, ScalingType="UNIFORM_SCALING"),
        call("DescribeStreamSummary", StreamName="s"),
    ]


def of_settings(call: Caller) -> list[tuple[int, Any]]:
    created = call("CreateStream", StreamName="s", ShardCount=1, Tags={"EndedAt": "monday"})
    _, described = call("DescribeStreamSummary", StreamName="s")
    arn = described["StreamDescriptionSummary"]["StreamARN"]
    return [
        created,
        call("AddTagsToStream", StreamName="s", Tags={"team": "events"}),
        call("ListTagsForStream", StreamName="s"),
        call("ListTagsForResource", ResourceARN=arn),
        call("IncreaseStreamRetentionPeriod", StreamName="s", RetentionPeriodHours=48),
        call("EnableEnhancedMonitoring", StreamName="s", ShardLevelMetrics=["ALL"]),
        call("RegisterStreamConsumer", StreamARN=arn, ConsumerName="c"),
        call("DescribeStreamConsumer", StreamARN=arn, ConsumerName="c"),
        call("ListStreamConsumers", StreamARN=arn),
        call("DescribeLimits"),
        call("DescribeAccountSettings"),
        call("ListStreams"),
        call("DeleteStream", StreamName="s", EnforceConsumerDeletion=True),
    ]


def of_errors(call: Caller) -> list[tuple[int, Any]]:
    return [
        call("DescribeStream", StreamName="absent"),
        call("CreateStream", StreamName="no spaces"),
        call("CreateStream"),
        call("PutRecord", StreamName="s", Data=bytes(11 * 1024 * 1024), PartitionKey="k"),
        call("PutRecords", StreamName="s", Records=[]),
        call("GetRecords", ShardIterator="none"),
        call("GetRecords", ShardIterator="none", Limit=0),
        call("CreateChannel"),
    ]


@pytest.mark.parametrize("script", [of_records, of_shards, of_settings, of_errors])
async def test_answers_are_alike_in_both_protocols(callers, script: Script):
    in_json, in_cbor = (script(call) for call in callers)
    assert in_cbor == in_json
    statuses = {status for status, _ in in_json}
    assert statuses == ({400, 501} if script is of_errors else {200})
