"""Whatever a request to EventBridge holds: it is never answered with 500, and a request that is
refused has changed nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import pytest

from eventcore.api.events import EVENTS

ARN = "arn:aws:events:us-east-1:000000000000:"
QUEUE_ARN = "arn:aws:sqs:us-east-1:000000000000:q"
PATTERN = '{"source":["shop"]}'
EVENT = dict.fromkeys(("id", "account", "source", "time", "region", "detail-type"), "x")
TAGS = [{"Key": "team", "Value": "a"}]
SETTINGS = {
    "Description": "d",
    "KmsKeyIdentifier": "alias/k",
    "DeadLetterConfig": {"Arn": QUEUE_ARN},
    "LogConfig": {"IncludeDetail": "FULL", "Level": "TRACE"},
}
TARGET = {
    "Id": "t",
    "Arn": QUEUE_ARN,
    "RoleArn": "role",
    "InputTransformer": {"InputPathsMap": {"a": "$.id"}, "InputTemplate": '"<a>"'},
    "SqsParameters": {"MessageGroupId": "g"},
    "DeadLetterConfig": {"Arn": QUEUE_ARN},
    "RetryPolicy": {"MaximumRetryAttempts": 1, "MaximumEventAgeInSeconds": 60},
}
ENTRY = {
    "Time": 1_700_000_000,
    "Source": "shop",
    "Resources": ["r"],
    "DetailType": "Placed",
    "Detail": "{}",
    "EventBusName": "orders",
    "TraceHeader": "Root=1",
}
PAGE = {"EventBusName": "orders", "NextToken": "YQ==", "Limit": 10}
RULE = {"Name": "r", "EventBusName": "orders"}
REQUESTS: dict[str, dict[str, Any]] = {
    "CreateEventBus": {"Name": "new", **SETTINGS, "EventSourceName": None, "Tags": TAGS},
    "DeleteEventBus": {"Name": "other"},
    "DeleteRule": {"Name": "other", "EventBusName": "orders", "Force": True},
    "DescribeEventBus": {"Name": "orders"},
    "DescribeRule": RULE,
    "DisableRule": RULE,
    "EnableRule": RULE,
    "ListEventBuses": {"NamePrefix": "o", "NextToken": "YQ==", "Limit": 10},
    "ListRuleNamesByTarget": {"TargetArn": QUEUE_ARN, **PAGE},
    "ListRules": {"NamePrefix": "r", **PAGE},
    "ListTagsForResource": {"ResourceARN": ARN + "rule/orders/r"},
    "ListTargetsByRule": {"Rule": "r", **PAGE},
    "PutEvents": {"Entries": [ENTRY], "EndpointId": None},
    "PutRule": {
        **RULE,
        "ScheduleExpression": None,
        "EventPattern": PATTERN,
        "State": "ENABLED",
        "Description": "d",
        "RoleArn": "role",
        "Tags": TAGS,
    },
    "PutTargets": {"Rule": "r", "EventBusName": "orders", "Targets": [TARGET]},
    "RemoveTargets": {"Rule": "r", "EventBusName": "orders", "Ids": ["u"], "Force": False},
    "TagResource": {"ResourceARN": ARN + "event-bus/orders", "Tags": TAGS},
    "TestEventPattern": {"EventPattern": PATTERN, "Event": json.dumps(EVENT)},
    "UntagResource": {"ResourceARN": ARN + "event-bus/orders", "TagKeys": ["team"]},
    "UpdateEventBus": {"Name": "orders", **SETTINGS},
}
DEEP: list[Any] = []
for _ in range(300):
    DEEP = [DEEP]
BAD_VALUES: list[Any] = [
    None, True, 0, -1, 2**63, 10**30, 1.5, 1e308, float("nan"), float("inf"),
    "", " ", "\0", "\ud800", "é😀", "x" * 3_000, "-" * 100_000, "..", "a/b", "orders/default",
    "arn:", "arn:aws:sqs:::", "arn:aws:events:x:1:rule/", ARN + "event-bus/", ARN + "rule/a/b/c",
    ARN + "event-bus/orders", "AAAA", "null", '{"a":' * 700, '{"a":' * 500 + "1" + "}" * 500,
    "[" * 1_000 + "]" * 1_000, "<a>", '"<a>', "$", "$.a[999999999]", "https://", "gopher://x/",
    [], [None], [[]], {}, {"a": None}, {"": ""}, DEEP,
]  # fmt: skip


def variants(value: Any) -> Iterator[Any]:
    """The value with each of its parts, itself included, replaced by each of the bad ones."""
    yield from BAD_VALUES
    if not isinstance(value, dict | list):
        return
    for key, part in value.items() if isinstance(value, dict) else enumerate(value):
        for changed in variants(part):
            whole = deepcopy(value)
            whole[key] = changed
            yield whole


def body_of(members: Any) -> bytes:
    return json.dumps(members).encode()


@pytest.fixture
def state(wire):
    """A bus with a rule and a target, so that good requests succeed."""
    wire.create_queue("q")
    for operation, members in [
        ("CreateEventBus", {"Name": "orders"}),
        ("CreateEventBus", {"Name": "other"}),
        ("PutRule", {**RULE, "EventPattern": PATTERN}),
        ("PutRule", {**RULE, "Name": "other", "EventPattern": PATTERN}),
        ("PutTargets", {**REQUESTS["PutTargets"], "Targets": [{"Id": "u", "Arn": QUEUE_ARN}]}),
        ("TagResource", {**REQUESTS["TagResource"], "Tags": [{"Key": "team", "Value": "b"}]}),
        ("DescribeEventBus", {}),
    ]:
        answer = wire.call(operation, service="AWSEvents", **members)
        assert answer.status == 200, answer.body
    return wire


def send(wire: Any, operation: str, body: bytes) -> Any:
    headers = {
        b"content-type": b"application/x-amz-json-1.1",
        b"x-amz-target": b"AWSEvents." + operation.encode(),
    }
    return wire.raw(body, headers)


@pytest.mark.parametrize("operation", sorted(EVENTS.operations))
async def test_a_bad_member_is_refused_and_changes_nothing(state, operation):
    good = REQUESTS[operation]
    fields = EVENTS.operations[operation].request_type.__struct_encode_fields__
    assert good.keys() == set(fields), "every member is tried"
    before = await state.rows()
    for members in variants(good):
        answer = send(state, operation, body_of(members))
        assert answer.status in {200, 400, 501}, (members, answer.body)
        after = await state.rows()
        if answer.status != 200:
            assert answer.json["message"]
            assert after == before, members
        before = after
    assert not state.bugs


CHANGING = {
    "CreateEventBus", "DeleteEventBus", "DeleteRule", "DisableRule", "PutEvents", "PutRule",
    "PutTargets", "RemoveTargets", "TagResource", "UntagResource", "UpdateEventBus",
}  # fmt: skip


@pytest.mark.parametrize("operation", sorted(EVENTS.operations))
async def test_the_good_request_that_is_varied_succeeds(state, operation):
    before = await state.rows()
    answer = send(state, operation, body_of(REQUESTS[operation]))
    assert answer.status == 200, answer.body
    assert (await state.rows() != before) == (operation in CHANGING)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b'"x"',
        b"{",
        b'{"Entries":' + b"[" * 1_000_000,
        b'{"Entries":[{"Detail":' + b'{"a":' * 1_000_000,
        b'{"Entries":[{"Source":"\xed\xa0\x80"}]}',
        b'{"Entries":[{"Source":"\\ud800"}]}',
        b'{"Entries":[{"Time":NaN}]}',
        b'{"Entries":[{"Time":1e999}]}',
        b'{"Entries":[{"Time":' + b"1" * 5_000 + b"}]}",
        b"\xff\xfe",
        b'{"Entries":[],"Entries":[]}',
        b'{"Entries":[]} trailing',
    ],
)
async def test_a_body_that_is_no_request_is_refused(state, body):
    before = await state.rows()
    answer = send(state, "PutEvents", body)
    assert answer.status == 400, answer.body
    assert answer.error in {"SerializationException", "ValidationException"}
    assert await state.rows() == before
