"""Requests, answers and constraints are those of botocore's model of Kinesis."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, get_args, get_origin, get_type_hints

import msgspec
import pytest
from botocore.model import ListShape, MapShape, Shape, StructureShape

from eventcore import limits
from eventcore.api import kinesis_answers as answers
from eventcore.api import kinesis_constraints
from eventcore.api.constraints import (
    Blob,
    Choice,
    Entries,
    Members,
    Number,
    Pairs,
    Rule,
    Text,
    member_name,
)
from eventcore.api.kinesis import KINESIS, MISSING_OPERATIONS
from eventcore.api.kinesis_constraints import shape_of
from eventcore.api.kinesis_requests import PutRecordRequest, PutRecordsRequestEntry
from tests.wire.service_model import SCALARS, differences, load_model, without_none

MODEL = load_model("kinesis")
OURS_REQUIRED = {"PartitionKey"}
"""Optional for streams that distribute records by themselves, which there are none of here."""
NOT_ANSWERED = {"ChannelCount", "ChannelCountLimit", "RecordDistributionStrategy", "StreamId"}
"""Members of answers about channels and distribution strategies, which there are none of here."""

MAY_BE_ABSENT = {"ContinuationSequenceNumber"}
"""Required in the model, and yet left out at a shard's end, which consumers know by that."""

ANSWERS: dict[str, Any] = {
    "DescribeAccountSettings": answers.AccountSettingsAnswer,
    "DescribeLimits": answers.DescribeLimitsAnswer,
    "DescribeStream": answers.DescribeStreamAnswer,
    "DescribeStreamConsumer": answers.DescribeStreamConsumerAnswer,
    "DescribeStreamSummary": answers.DescribeStreamSummaryAnswer,
    "DisableEnhancedMonitoring": answers.EnhancedMonitoringAnswer,
    "EnableEnhancedMonitoring": answers.EnhancedMonitoringAnswer,
    "GetRecords": answers.GetRecordsAnswer,
    "GetResourcePolicy": answers.GetResourcePolicyAnswer,
    "GetShardIterator": answers.GetShardIteratorAnswer,
    "ListShards": answers.ListShardsAnswer,
    "ListStreamConsumers": answers.ListStreamConsumersAnswer,
    "ListStreams": answers.ListStreamsAnswer,
    "ListTagsForResource": answers.ListTagsForResourceAnswer,
    "ListTagsForStream": answers.ListTagsForStreamAnswer,
    "PutRecord": answers.PutRecordAnswer,
    "PutRecords": answers.PutRecordsAnswer,
    "RegisterStreamConsumer": answers.RegisterStreamConsumerAnswer,
    "UpdateAccountSettings": answers.AccountSettingsAnswer,
    "UpdateShardCount": answers.UpdateShardCountAnswer,
    "UpdateStreamWarmThroughput": answers.UpdateStreamWarmThroughputAnswer,
}
"""The others answer nothing, or a stream of events."""


def test_every_operation_of_the_model_is_served_or_listed_as_missing():
    assert set(MODEL.operation_names) == set(KINESIS.operations) | MISSING_OPERATIONS
    assert not set(KINESIS.operations) & MISSING_OPERATIONS
    assert len(KINESIS.operations) == 39


def test_the_service_is_addressed_as_the_model_says():
    assert KINESIS.target_prefix == MODEL.metadata["targetPrefix"]
    assert KINESIS.content_type.decode().endswith(MODEL.metadata["jsonVersion"])


@pytest.mark.parametrize("name", sorted(KINESIS.operations))
def test_a_request_struct_has_the_members_and_types_of_the_model(name):
    shape = MODEL.operation_model(name).input_shape
    assert list(differences(KINESIS.operations[name].request_type, shape, name)) == []


@pytest.mark.parametrize("name", sorted(KINESIS.operations))
def test_the_constraints_of_a_request_are_those_of_the_model(name):
    shape = MODEL.operation_model(name).input_shape
    rule = shape_of(KINESIS.operations[name].request_type)
    assert list(rule_differences(rule, shape, name)) == []


def rule_differences(rule: Rule | None, shape: Shape, path: str) -> Iterator[str]:
    """Where a rule of ours differs from a shape of the model."""
    bounds = {bound: shape.metadata[bound] for bound in ("min", "max") if bound in shape.metadata}
    if isinstance(shape, StructureShape):
        assert isinstance(rule, Members), path
        members = {member.name: member for member in rule.members}
        assert members.keys() == set(map(member_name, shape.members)), path
        for name, of_model in shape.members.items():
            member = members[member_name(name)]
            is_required = name in shape.required_members or name in OURS_REQUIRED
            if member.is_required != is_required:
                yield f"{path}.{name}: required {member.is_required}"
            yield from rule_differences(member.rule, of_model, f"{path}.{name}")
    elif isinstance(shape, ListShape):
        assert isinstance(rule, Entries), path
        yield from told(path, bounds, rule.lowest, rule.highest)
        yield from rule_differences(rule.of, shape.member, path + "[]")
    elif isinstance(shape, MapShape):
        assert isinstance(rule, Pairs), path
        yield from told(path, bounds, rule.lowest, rule.highest)
        yield from rule_differences(rule.key, shape.key, path + "{key}")
        yield from rule_differences(rule.value, shape.value, path + "{value}")
    elif "enum" in shape.metadata:
        if not isinstance(rule, Choice) or list(rule.values) != shape.metadata["enum"]:
            yield f"{path}: {rule}"
    elif isinstance(rule, (Blob, Number, Text)):
        yield from told(path, bounds, getattr(rule, "lowest", 0), rule.highest)
        if getattr(rule, "pattern", None) != shape.metadata.get("pattern"):
            yield f"{path}: {rule} and {shape.metadata.get('pattern')}"
    elif bounds or "pattern" in shape.metadata:
        yield f"{path}: no rule for {dict(shape.metadata)}"


def told(
    path: str, bounds: dict[str, int], lowest: int | None, highest: int | None
) -> Iterator[str]:
    if (bounds.get("min") or 0, bounds.get("max")) != (lowest or 0, highest):
        yield f"{path}: {lowest} to {highest} and {bounds}"


@pytest.mark.parametrize("name", sorted(KINESIS.operations))
def test_an_answer_struct_has_the_members_and_types_of_the_model(name):
    shape = MODEL.operation_model(name).output_shape
    answer = ANSWERS.get(name)
    if name == "SubscribeToShard":
        answer = answers.SubscribeToShardEventShape
        shape = MODEL.shape_for("SubscribeToShardEvent")
    if shape is None:
        assert answer is None, "answers nothing"
        return
    assert list(answer_differences(answer, shape, name)) == []


def answer_differences(given: Any, shape: Shape, path: str) -> Iterator[str]:
    given = without_none(given)
    if isinstance(shape, StructureShape):
        options = [without_none(option) for option in get_args(given)] or [given]
        for option in options:  # an entry of PutRecords is of one of two types
            yield from struct_differences(option, shape, path)
        members = {f.encode_name for option in options for f in msgspec.structs.fields(option)}
        if members != shape.members.keys() - NOT_ANSWERED:
            yield f"{path}: {sorted(members)} and {sorted(shape.members)}"
    elif isinstance(shape, ListShape):
        assert get_origin(given) is list
        yield from answer_differences(get_args(given)[0], shape.member, path + "[]")
    elif given is not {**SCALARS, "long": int}[shape.type_name]:
        yield f"{path}: {given} and {shape.type_name}"


def struct_differences(given: Any, shape: StructureShape, path: str) -> Iterator[str]:
    hints = get_type_hints(given)
    required = set(MAY_BE_ABSENT)
    for field in msgspec.structs.fields(given):
        if field.required:
            required.add(field.encode_name)
        else:
            assert field.default is None, "what is left out is None"
        if field.encode_name in shape.members:
            member = shape.members[field.encode_name]
            place = f"{path}.{field.encode_name}"
            yield from answer_differences(hints[field.name], member, place)
    if not required >= set(shape.required_members):
        yield f"{path}: {sorted(required)} are always told, {shape.required_members} must be"


def test_the_metrics_and_modes_are_those_of_the_model():
    assert list(kinesis_constraints.METRICS) == MODEL.shape_for("MetricsName").enum
    assert list(kinesis_constraints.STREAM_MODES) == MODEL.shape_for("StreamMode").enum


def test_the_limits_are_those_of_the_model():
    assert MODEL.shape_for("PutRecordsRequestEntryList").metadata["max"] == (
        limits.PUT_RECORDS_ENTRIES_MAX
    )
    assert MODEL.shape_for("Data").metadata["max"] == limits.RECORD_BYTES_MAX_HIGHEST
    assert MODEL.shape_for("GetRecordsInputLimit").metadata["max"] == limits.GET_RECORDS_MAX
    size = MODEL.shape_for("MaxRecordSizeInKiB").metadata
    assert size["min"] * 1024 == limits.RECORD_BYTES_MAX_LOWEST
    assert size["max"] * 1024 == limits.RECORD_BYTES_MAX_HIGHEST


@pytest.mark.parametrize("entry", [PutRecordRequest, PutRecordsRequestEntry])
def test_a_partition_key_is_always_required(entry):
    (member,) = (m for m in shape_of(entry).members if m.attribute == "partition_key")
    assert member.is_required


def test_the_patterns_of_the_model_are_ours_to_compile():
    patterns = {
        member.rule.pattern
        for operation in KINESIS.operations.values()
        for member in shape_of(operation.request_type).members
        if isinstance(member.rule, Text) and member.rule.pattern
    }
    assert all(re.compile(pattern, re.ASCII) for pattern in patterns)
    assert len(patterns) >= 6
