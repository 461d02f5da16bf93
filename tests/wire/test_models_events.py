"""Requests and answers have the members and bounds of botocore's model of EventBridge."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from botocore.model import StringShape

from eventcore import errors, limits
from eventcore.api import events_buses, events_constraints
from eventcore.api.events import EVENTS, MISSING_OPERATIONS
from eventcore.api.events_faults import ERRORS
from eventcore.buses import rule
from eventcore.wire.fault import Fault
from tests.wire.service_model import answer_faults, differences, load_model

COVERAGE = Path(__file__).parents[2] / "docs" / "coverage.md"
ARN = "arn:aws:events:us-east-1:000000000000:"
QUEUE_ARN = "arn:aws:sqs:us-east-1:000000000000:q"
MODEL = load_model("events")
UNMODELLED = {"ValidationException", "UnsupportedOperation"}
"""AWS sends the first without naming it in its model; the second is ours."""


def test_every_operation_of_the_model_is_served_or_listed_as_missing():
    assert set(MODEL.operation_names) == set(EVENTS.operations) | MISSING_OPERATIONS
    assert not set(EVENTS.operations) & MISSING_OPERATIONS


def test_every_operation_is_on_the_page_of_coverage():
    section = COVERAGE.read_text().partition("## EventBridge")[2].partition("## Kinesis")[0]
    listed = set(re.findall(r"\b[A-Z]\w+\b", section.partition("### Parameters")[0]))
    served = {
        name
        for line in section.splitlines()
        if line.startswith("|") and "| missing |" not in line
        for name in re.findall(r"\b[A-Z]\w+\b", line)
    }
    assert set(MODEL.operation_names) <= listed
    assert set(EVENTS.operations) <= served
    assert not MISSING_OPERATIONS & served


def test_the_service_is_addressed_as_the_model_says():
    assert EVENTS.target_prefix == MODEL.metadata["targetPrefix"]
    assert EVENTS.content_type.decode().endswith(MODEL.metadata["jsonVersion"])


@pytest.mark.parametrize("name", sorted(EVENTS.operations))
def test_a_request_struct_has_the_members_and_types_of_the_model(name):
    shape = MODEL.operation_model(name).input_shape
    assert shape is not None
    assert list(differences(EVENTS.operations[name].request_type, shape, name)) == []


@pytest.mark.parametrize(
    ("shape", "bound", "value"),
    [
        ("PutEventsRequestEntryList", "max", limits.PUT_EVENTS_ENTRIES_MAX),
        ("EventPattern", "max", limits.PATTERN_CHARACTERS_MAX),
        ("TargetInput", "max", limits.TARGET_INPUT_CHARACTERS_MAX),
        ("TransformerInput", "max", limits.TARGET_INPUT_CHARACTERS_MAX),
        ("TransformerPaths", "max", limits.INPUT_PATHS_MAX),
        ("TargetInputPath", "max", limits.INPUT_PATH_CHARACTERS_MAX),
        ("RuleName", "max", limits.RULE_NAME_CHARACTERS_MAX),
        ("TargetId", "max", limits.TARGET_ID_CHARACTERS_MAX),
        ("MessageGroupId", "max", limits.TARGET_GROUP_ID_CHARACTERS_MAX),
        ("EventBusName", "max", limits.BUS_NAME_CHARACTERS_MAX),
        ("EventBusDescription", "max", limits.DESCRIPTION_CHARACTERS_MAX),
        ("RuleDescription", "max", limits.DESCRIPTION_CHARACTERS_MAX),
        ("KmsKeyIdentifier", "max", limits.KMS_KEY_CHARACTERS_MAX),
        ("InputTransformerPathKey", "max", limits.INPUT_PATH_NAME_CHARACTERS_MAX),
        ("TraceHeader", "max", limits.TRACE_HEADER_CHARACTERS_MAX),
        ("NextToken", "max", limits.NEXT_TOKEN_CHARACTERS_MAX),
        ("LimitMax100", "max", limits.LIST_ENTRIES_MAX),
        ("TargetList", "max", limits.LIST_ENTRIES_MAX),
        ("TargetIdList", "max", limits.LIST_ENTRIES_MAX),
        ("TargetArn", "max", limits.ARN_CHARACTERS_MAX),
        ("RoleArn", "max", limits.ARN_CHARACTERS_MAX),
        ("ResourceArn", "max", limits.ARN_CHARACTERS_MAX),
        ("EventBusNameOrArn", "max", limits.ARN_CHARACTERS_MAX),
        ("NonPartnerEventBusNameOrArn", "max", limits.ARN_CHARACTERS_MAX),
        ("TagKey", "max", limits.TAG_KEY_CHARACTERS_MAX),
        ("TagValue", "max", limits.TAG_VALUE_CHARACTERS_MAX),
        ("MaximumRetryAttempts", "max", limits.RETRIES_MAX),
        ("MaximumEventAgeInSeconds", "min", limits.EVENT_AGE_MS_MIN // 1000),
        ("MaximumEventAgeInSeconds", "max", limits.EVENT_AGE_MS_MAX // 1000),
    ],
)
def test_a_bound_is_the_one_of_the_model(shape, bound, value):
    assert MODEL.shape_for(shape).metadata[bound] == value


@pytest.mark.parametrize(
    ("shape", "values"),
    [
        ("RuleState", rule.RULE_STATES),
        ("IncludeDetail", events_buses.LOG_DETAILS),
        ("Level", events_buses.LOG_LEVELS),
    ],
)
def test_values_of_an_enumeration_are_those_of_the_model(shape, values):
    modelled = MODEL.shape_for(shape)
    assert isinstance(modelled, StringShape)
    assert list(values) == modelled.enum


@pytest.mark.parametrize(
    ("shape", "check"),
    [
        ("EventBusName", events_constraints.check_bus_name),
        ("EventBusNameOrArn", events_constraints.check_bus_address),
        ("NonPartnerEventBusNameOrArn", events_constraints.check_put_address),
        ("InputTransformerPathKey", events_constraints.check_path_name),
        ("KmsKeyIdentifier", events_constraints.check_kms_key),
        ("RuleName", lambda name, value: events_constraints.check_name(name, value, 64)),
        ("TargetId", lambda name, value: events_constraints.check_name(name, value, 64)),
    ],
)
def test_a_pattern_is_told_as_the_model_has_it(shape, check):
    with pytest.raises(Fault) as caught:
        check("member", "a b")
    pattern = MODEL.shape_for(shape).metadata["pattern"]
    assert re.fullmatch(pattern, "a b") is None
    assert caught.value.message == (
        "1 validation error detected: Value 'a b' at 'member' failed to satisfy constraint: "
        f"Member must satisfy regular expression pattern: {pattern}"
    )


TARGET = {
    "Id": "t",
    "Arn": QUEUE_ARN,
    "RoleArn": "arn:aws:iam::000000000000:role/r",
    "InputTransformer": {"InputPathsMap": {"a": "$.id"}, "InputTemplate": '"<a>"'},
    "SqsParameters": {"MessageGroupId": "g"},
    "DeadLetterConfig": {"Arn": QUEUE_ARN},
    "RetryPolicy": {"MaximumRetryAttempts": 1, "MaximumEventAgeInSeconds": 60},
}
SETTINGS = {
    "Description": "d",
    "KmsKeyIdentifier": "alias/k",
    "DeadLetterConfig": {"Arn": QUEUE_ARN},
    "LogConfig": {"IncludeDetail": "FULL", "Level": "TRACE"},
}
EVENT = dict.fromkeys(("id", "account", "source", "time", "region", "detail-type"), "x")
TAGS = [{"Key": "team", "Value": "a"}]
PATTERN = '{"source":["shop"]}'
RULE = {"Name": "r", "EventPattern": PATTERN, "Description": "d", "RoleArn": "r", "Tags": TAGS}
PLACED = {"Source": "shop", "DetailType": "Placed", "Detail": "{}"}
ANSWERED: list[tuple[str, dict[str, Any], set[str]]] = [
    ("CreateEventBus", {"Name": "bus", **SETTINGS, "Tags": TAGS}, {"EventBusArn", *SETTINGS}),
    ("CreateEventBus", {"Name": "other"}, {"EventBusArn"}),
    (
        "DescribeEventBus",
        {"Name": "bus"},
        {"Name", "Arn", "CreationTime", "LastModifiedTime", *SETTINGS},
    ),
    ("UpdateEventBus", {"Name": "bus", **SETTINGS}, {"Arn", "Name", *SETTINGS}),
    ("ListEventBuses", {"Limit": 1}, {"EventBuses", "NextToken"}),
    ("PutRule", RULE, {"RuleArn"}),
    ("PutRule", {**RULE, "Name": "s"}, {"RuleArn"}),
    (
        "DescribeRule",
        {"Name": "r"},
        {"Name", "Arn", "EventPattern", "State", "Description", "RoleArn", "EventBusName"}
        | {"CreatedBy"},
    ),
    ("ListRules", {"Limit": 1}, {"Rules", "NextToken"}),
    ("DisableRule", {"Name": "s"}, set()),
    ("EnableRule", {"Name": "s"}, set()),
    (
        "PutTargets",
        {"Rule": "r", "Targets": [TARGET, {"Id": "u", "Arn": QUEUE_ARN, "Input": "1"}]},
        {"FailedEntryCount", "FailedEntries"},
    ),
    ("PutTargets", {"Rule": "s", "Targets": [TARGET]}, {"FailedEntryCount", "FailedEntries"}),
    ("ListTargetsByRule", {"Rule": "r", "Limit": 1}, {"Targets", "NextToken"}),
    ("ListRuleNamesByTarget", {"TargetArn": QUEUE_ARN, "Limit": 1}, {"RuleNames", "NextToken"}),
    ("PutEvents", {"Entries": [PLACED, {"Source": "shop"}]}, {"FailedEntryCount", "Entries"}),
    ("TestEventPattern", {"EventPattern": PATTERN, "Event": json.dumps(EVENT)}, {"Result"}),
    ("TagResource", {"ResourceARN": ARN + "rule/r", "Tags": TAGS}, set()),
    ("ListTagsForResource", {"ResourceARN": ARN + "rule/r"}, {"Tags"}),
    ("UntagResource", {"ResourceARN": ARN + "rule/r", "TagKeys": ["team"]}, set()),
    (
        "RemoveTargets",
        {"Rule": "r", "Ids": ["t", "gone"]},
        {"FailedEntryCount", "FailedEntries"},
    ),
    ("DeleteRule", {"Name": "gone"}, set()),
    ("DeleteEventBus", {"Name": "bus"}, set()),
]


def test_answers_have_members_and_types_of_the_model(wire):
    for name, request, members in ANSWERED:
        answer = wire.call(name, service="AWSEvents", **request)
        assert answer.status == 200, answer.body
        assert not answer_faults(answer.json, MODEL.operation_model(name))
        assert answer.json.keys() == members, name
    assert {name for name, _, _ in ANSWERED} == set(EVENTS.operations)


@pytest.mark.parametrize(
    "error",
    [
        errors.NotFound("rule", "r", "default"),
        errors.NotFound("bus", "b"),
        errors.AlreadyExists("bus", "b"),
        errors.Conflict("rule", "r", "has targets"),
        errors.Conflict("bus", "b", "deleted recently"),
        errors.LimitExceeded("TARGETS_PER_RULE_MAX", 5),
        errors.InvalidPattern("x"),
        errors.InvalidParameter("name", "Member must have length less than or equal to 64", "x"),
        errors.MissingParameter("name"),
        errors.UnsupportedOperation("events", "PutRule", "ScheduleExpression"),
    ],
)
def test_every_error_has_a_code_that_aws_has(error):
    make = next(ERRORS[kind] for kind in type(error).__mro__ if kind in ERRORS)
    fault = make(error)
    assert isinstance(fault, Fault)
    assert fault.code in UNMODELLED or fault.code in MODEL.shape_names
