"""EventBridge through boto3, into queues. Texts and shapes: answers that AWS gave."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from botocore.exceptions import ClientError

ARN = "arn:aws:events:us-east-1:000000000000:"
QUEUE_ARN = "arn:aws:sqs:us-east-1:000000000000:"
STREAM_ARN = "arn:aws:kinesis:us-east-1:000000000000:stream/"
PATTERN = json.dumps({"source": ["shop"]})


@pytest.fixture
def queue(sqs) -> str:
    return sqs.create_queue(QueueName="q")["QueueUrl"]


@pytest.fixture
def rule(events, queue) -> str:
    """A rule that sends events of the shop to the queue."""
    events.put_rule(Name="placed", EventPattern=PATTERN)
    events.put_targets(Rule="placed", Targets=[{"Id": "1", "Arn": QUEUE_ARN + "q"}])
    return "placed"


def entry(**members):
    return {"Source": "shop", "DetailType": "Placed", "Detail": '{"id": 1}', **members}


def bodies(sqs, url):
    received = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
    return [message["Body"] for message in received]


def refusal(call, /, **members):
    with pytest.raises(ClientError) as caught:
        call(**members)
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


def test_an_event_reaches_the_queue_as_aws_writes_it(events, sqs, queue, rule):
    moment = datetime(2026, 1, 31, 23, 59, 59, tzinfo=UTC)
    answer = events.put_events(Entries=[entry(Time=moment, Resources=["arn:x"])])
    assert answer["FailedEntryCount"] == 0
    (body,) = bodies(sqs, queue)
    event_id = answer["Entries"][0]["EventId"]
    assert body == (
        f'{{"version":"0","id":"{event_id}","detail-type":"Placed","source":"shop",'
        '"account":"000000000000","time":"2026-01-31T23:59:59Z","region":"us-east-1",'
        '"resources":["arn:x"],"detail":{"id":1}}'
    )


def test_entries_fail_one_by_one(events, sqs, queue, rule):
    answer = events.put_events(
        Entries=[
            {"DetailType": "Placed", "Detail": "{}"},
            entry(),
            entry(Detail="no json"),
            entry(Source="aws.ec2"),
        ]
    )
    assert answer["FailedEntryCount"] == 3
    assert answer["Entries"][0] == {
        "ErrorCode": "InvalidArgument",
        "ErrorMessage": "Parameter Source is not valid. Reason: Source is a required argument.",
    }
    assert [item.get("ErrorCode") for item in answer["Entries"]] == [
        "InvalidArgument",
        None,
        "MalformedDetail",
        "NotAuthorizedForSourceException",
    ]
    assert len(bodies(sqs, queue)) == 1


def test_a_request_that_is_too_large_fails_as_a_whole(events, sqs, queue, rule):
    half = json.dumps({"a": "x" * 600_000})
    code, message = refusal(events.put_events, Entries=[entry(Detail=half), entry(Detail=half)])
    assert code == "ValidationException"
    assert message == "Total size of the entries in the request is over the limit."
    assert bodies(sqs, queue) == []


@pytest.mark.parametrize("count", [11, 100])
def test_eleven_entries_are_too_many(events, count):
    code, message = refusal(events.put_events, Entries=[entry()] * count)
    assert code == "ValidationException"
    assert message.endswith("Member must have length less than or equal to 10")


def test_an_event_for_an_unknown_bus_gets_an_id_and_goes_nowhere(events, sqs, queue, rule):
    answer = events.put_events(Entries=[entry(EventBusName="none"), entry()])
    assert answer["FailedEntryCount"] == 0
    assert all(item["EventId"] for item in answer["Entries"])
    assert len(bodies(sqs, queue)) == 1


def test_targets_get_constants_parts_and_templates(events, sqs, queue):
    events.put_rule(Name="r", EventPattern=PATTERN)
    transformer = {"InputPathsMap": {"id": "$.detail.id"}, "InputTemplate": '{"got": <id>}'}
    answer = events.put_targets(
        Rule="r",
        Targets=[
            {"Id": "1", "Arn": QUEUE_ARN + "q", "Input": '"constant"'},
            {"Id": "2", "Arn": QUEUE_ARN + "q", "InputPath": "$.detail"},
            {"Id": "3", "Arn": QUEUE_ARN + "q", "InputTransformer": transformer},
        ],
    )
    assert (answer["FailedEntryCount"], answer["FailedEntries"]) == (0, [])
    events.put_events(Entries=[entry()])
    assert sorted(bodies(sqs, queue)) == ['"constant"', '{"got": 1}', '{"id":1}']


def test_a_bus_can_be_the_target_of_a_rule(events, sqs, queue):
    audit = events.create_event_bus(Name="audit")["EventBusArn"]
    events.put_rule(Name="forward", EventPattern=PATTERN)
    events.put_targets(Rule="forward", Targets=[{"Id": "1", "Arn": audit}])
    events.put_rule(Name="keep", EventBusName="audit", EventPattern=PATTERN)
    events.put_targets(
        Rule="keep", EventBusName="audit", Targets=[{"Id": "1", "Arn": QUEUE_ARN + "q"}]
    )
    event_id = events.put_events(Entries=[entry()])["Entries"][0]["EventId"]
    (body,) = bodies(sqs, queue)
    assert json.loads(body)["id"] == event_id


def test_what_has_no_target_goes_to_the_dead_letter_queue(events, sqs, queue):
    events.put_rule(Name="r", EventPattern=PATTERN)
    target = {
        "Id": "1",
        "Arn": QUEUE_ARN + "gone",
        "DeadLetterConfig": {"Arn": QUEUE_ARN + "q"},
    }
    events.put_targets(Rule="r", Targets=[target])
    events.put_events(Entries=[entry()])
    (message,) = sqs.receive_message(QueueUrl=queue, MessageAttributeNames=["All"])["Messages"]
    told = {name: value["StringValue"] for name, value in message["MessageAttributes"].items()}
    assert told["RULE_ARN"] == ARN + "rule/r"
    assert told["TARGET_ARN"] == QUEUE_ARN + "gone"
    assert (told["ERROR_CODE"], told["RETRY_ATTEMPTS"]) == ("NO_RESOURCE", "0")
    assert json.loads(message["Body"])["detail"] == {"id": 1}


def test_a_disabled_rule_delivers_nothing(events, sqs, queue, rule):
    events.disable_rule(Name=rule)
    events.put_events(Entries=[entry()])
    assert bodies(sqs, queue) == []
    events.enable_rule(Name=rule)
    events.put_events(Entries=[entry()])
    assert len(bodies(sqs, queue)) == 1


# Buses


def test_a_bus_is_created_listed_described_and_deleted(events):
    created = events.create_event_bus(Name="orders", Description="test bus")
    assert created["EventBusArn"] == ARN + "event-bus/orders"
    assert created["Description"] == "test bus"
    shown = events.describe_event_bus(Name="orders")
    assert (shown["Name"], shown["Description"]) == ("orders", "test bus")
    assert shown["CreationTime"] == shown["LastModifiedTime"]
    names = [bus["Name"] for bus in events.list_event_buses()["EventBuses"]]
    assert names == ["default", "orders"]
    events.delete_event_bus(Name="orders")
    assert refusal(events.describe_event_bus, Name="orders") == (
        "ResourceNotFoundException",
        "Event bus orders does not exist.",
    )


def test_the_default_bus_is_always_there_and_not_deleted(events):
    assert events.describe_event_bus()["Name"] == "default"
    assert refusal(events.delete_event_bus, Name="default") == (
        "ValidationException",
        "Cannot delete event bus default.",
    )


def test_a_bus_of_the_same_name_exists_already(events):
    events.create_event_bus(Name="orders")
    assert refusal(events.create_event_bus, Name="orders") == (
        "ResourceAlreadyExistsException",
        "Event bus orders already exists.",
    )


def test_lists_come_in_pages(events):
    for number in range(5):
        events.create_event_bus(Name=f"bus-{number}")
        events.put_rule(Name=f"rule-{number}", EventPattern=PATTERN)
    first = events.list_event_buses(NamePrefix="bus", Limit=3)
    second = events.list_event_buses(NamePrefix="bus", Limit=3, NextToken=first["NextToken"])
    assert [len(page["EventBuses"]) for page in (first, second)] == [3, 2]
    assert "NextToken" not in second
    first = events.list_rules(Limit=2)
    second = events.list_rules(NextToken=first["NextToken"])
    names = [rule["Name"] for page in (first, second) for rule in page["Rules"]]
    assert names == [f"rule-{number}" for number in range(5)]
    assert refusal(events.list_rules, NextToken="?")[0] == "ValidationException"


# Rules and targets


def test_a_rule_put_twice_is_one_rule(events):
    for _ in range(2):
        answer = events.put_rule(Name="r", EventPattern=PATTERN)
        assert answer["RuleArn"] == ARN + "rule/r"
    (shown,) = events.list_rules()["Rules"]
    assert shown == {
        "Name": "r",
        "Arn": ARN + "rule/r",
        "EventPattern": PATTERN,
        "State": "ENABLED",
        "EventBusName": "default",
    }


def test_a_rule_with_targets_is_not_deleted(events, rule):
    assert refusal(events.delete_rule, Name=rule) == (
        "ValidationException",
        "Rule can't be deleted since it has targets.",
    )
    answer = events.remove_targets(Rule=rule, Ids=["1", "other"])
    assert answer["FailedEntryCount"] == 1
    assert answer["FailedEntries"][0]["TargetId"] == "other"
    assert events.list_targets_by_rule(Rule=rule)["Targets"] == []
    events.delete_rule(Name=rule)
    events.delete_rule(Name=rule)


def test_targets_are_shown_as_they_were_put(events, queue):
    events.put_rule(Name="r", EventPattern=PATTERN)
    targets = [
        {"Id": "1", "Arn": QUEUE_ARN + "q"},
        {
            "Id": "2",
            "Arn": QUEUE_ARN + "q",
            "InputPath": "$.detail",
            "RoleArn": "arn:aws:iam::000000000000:role/r",
            "DeadLetterConfig": {"Arn": QUEUE_ARN + "dead"},
            "RetryPolicy": {"MaximumRetryAttempts": 0, "MaximumEventAgeInSeconds": 60},
        },
        {
            "Id": "3",
            "Arn": QUEUE_ARN + "q.fifo",
            "SqsParameters": {"MessageGroupId": "g"},
            "InputTransformer": {"InputPathsMap": {"a": "$.id"}, "InputTemplate": '"<a>"'},
        },
    ]
    events.put_targets(Rule="r", Targets=targets)
    assert events.list_targets_by_rule(Rule="r")["Targets"] == targets
    assert events.list_rule_names_by_target(TargetArn=QUEUE_ARN + "q")["RuleNames"] == ["r"]


def test_a_sixth_target_exceeds_the_limit(events):
    events.put_rule(Name="r", EventPattern=PATTERN)
    targets = [{"Id": str(n), "Arn": QUEUE_ARN + "q"} for n in range(6)]
    assert refusal(events.put_targets, Rule="r", Targets=targets) == (
        "LimitExceededException",
        "The requested resource exceeds the maximum number allowed.",
    )


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (
            {"Id": "!@#$@!#$"},
            "1 validation error detected: Value '!@#$@!#$' at 'targets.1.member.id' failed to "
            "satisfy constraint: Member must satisfy regular expression pattern: "
            "[\\.\\-_A-Za-z0-9]+",
        ),
        (
            {"Id": "x" * 65},
            f"1 validation error detected: Value '{'x' * 65}' at 'targets.1.member.id' failed to "
            "satisfy constraint: Member must have length less than or equal to 64",
        ),
        (
            {"Arn": "notarn"},
            "Parameter notarn is not valid. Reason: Provided Arn is not in correct format.",
        ),
        ({"Input": "word"}, "JSON syntax error in input for target t."),
        ({"InputPath": "$.a['b']"}, "InputPath for target t is invalid."),
        (
            {"InputTransformer": {"InputTemplate": '"<none>"'}},
            "InputTemplate for target t contains invalid placeholder none.",
        ),
        (
            {"Arn": QUEUE_ARN + "q.fifo"},
            "Parameter(s) SqsParameters must be specified for target: t.",
        ),
    ],
)
def test_a_target_is_refused_in_awss_words(events, target, message):
    events.put_rule(Name="r", EventPattern=PATTERN)
    targets = [{"Id": "t", "Arn": QUEUE_ARN + "q", **target}]
    assert refusal(events.put_targets, Rule="r", Targets=targets) == (
        "ValidationException",
        message,
    )
    assert events.list_targets_by_rule(Rule="r")["Targets"] == []


@pytest.mark.parametrize(
    "target",
    [
        {"Arn": "arn:aws:sns:us-east-1:000000000000:t"},
        {"Arn": QUEUE_ARN + "q", "HttpParameters": {"HeaderParameters": {"a": "b"}}},
        {"Arn": "gopher://example.com/"},
    ],
)
def test_a_target_that_could_never_get_anything_is_refused(events, target):
    events.put_rule(Name="r", EventPattern=PATTERN)
    code, _ = refusal(events.put_targets, Rule="r", Targets=[{"Id": "t", **target}])
    assert code == "UnsupportedOperation"


@pytest.mark.parametrize(
    ("path", "key"),
    [(None, None), ("$.detail.customer", "c-7"), ("$.detail.count", "3"), ("$.detail.none", None)],
)
def test_a_stream_takes_events_under_their_partition_key(kinesis, events, path, key):
    kinesis.create_stream(StreamName="s", ShardCount=1)
    events.put_rule(Name="r", EventPattern=PATTERN)
    target: dict[str, object] = {"Id": "t", "Arn": STREAM_ARN + "s"}
    if path is not None:
        target["KinesisParameters"] = {"PartitionKeyPath": path}
    assert events.put_targets(Rule="r", Targets=[target])["FailedEntryCount"] == 0
    assert events.list_targets_by_rule(Rule="r")["Targets"] == [target]
    detail = '{"customer": "c-7", "count": 3}'
    event_id = events.put_events(Entries=[entry(Detail=detail)])["Entries"][0]["EventId"]
    iterator = kinesis.get_shard_iterator(
        StreamName="s", ShardId="shardId-000000000000", ShardIteratorType="TRIM_HORIZON"
    )["ShardIterator"]
    (record,) = kinesis.get_records(ShardIterator=iterator)["Records"]
    assert record["PartitionKey"] == (key or event_id)
    assert json.loads(record["Data"])["detail"] == json.loads(detail)


@pytest.mark.parametrize(
    ("members", "code", "message"),
    [
        (
            {},
            "ValidationException",
            "Parameter(s) EventPattern or ScheduleExpression must be specified.",
        ),
        (
            {"EventPattern": "{}"},
            "InvalidEventPatternException",
            "Event pattern is not valid. Reason: Empty objects are not allowed",
        ),
        ({"ScheduleExpression": "rate(1 minute)"}, "UnsupportedOperation", ""),
        (
            {"EventPattern": PATTERN, "EventBusName": "none"},
            "ResourceNotFoundException",
            "Event bus none does not exist.",
        ),
    ],
)
def test_a_rule_is_refused_in_awss_words(events, members, code, message):
    given_code, given_message = refusal(events.put_rule, Name="r", **members)
    assert given_code == code
    assert given_message.startswith(message)
    assert events.list_rules()["Rules"] == []


@pytest.mark.parametrize(
    "call",
    [
        lambda events: (events.describe_rule, {"Name": "none"}),
        lambda events: (events.enable_rule, {"Name": "none"}),
        lambda events: (events.disable_rule, {"Name": "none"}),
        lambda events: (events.list_targets_by_rule, {"Rule": "none"}),
        lambda events: (events.remove_targets, {"Rule": "none", "Ids": ["1"]}),
        lambda events: (events.tag_resource, {"ResourceARN": ARN + "rule/none", "Tags": []}),
        lambda events: (events.list_tags_for_resource, {"ResourceARN": ARN + "rule/none"}),
        lambda events: (
            events.untag_resource,
            {"ResourceARN": ARN + "rule/none", "TagKeys": ["a"]},
        ),
    ],
)
def test_an_unknown_rule_is_told_with_its_bus(events, call):
    method, members = call(events)
    assert refusal(method, **members) == (
        "ResourceNotFoundException",
        "Rule none does not exist on EventBus default.",
    )


# Tags and patterns


@pytest.mark.parametrize("kind", ["rule/orders/r", "event-bus/orders"])
def test_tags_are_put_listed_and_removed(events, kind):
    events.create_event_bus(Name="orders")
    events.put_rule(Name="r", EventBusName="orders", EventPattern=PATTERN)
    arn = ARN + kind
    tags = [{"Key": "tag1", "Value": "value1"}, {"Key": "tag2", "Value": "value2"}]
    events.tag_resource(ResourceARN=arn, Tags=tags)
    assert events.list_tags_for_resource(ResourceARN=arn)["Tags"] == tags
    events.untag_resource(ResourceARN=arn, TagKeys=["tag2", "other"])
    assert events.list_tags_for_resource(ResourceARN=arn)["Tags"] == tags[:1]


def test_a_rule_is_made_with_tags_and_a_new_rule_has_none_of_the_old(events):
    tags = [{"Key": "a", "Value": "b"}]
    arn = events.put_rule(Name="r", EventPattern=PATTERN, Tags=tags)["RuleArn"]
    assert events.list_tags_for_resource(ResourceARN=arn)["Tags"] == tags
    events.delete_rule(Name="r")
    events.put_rule(Name="r", EventPattern=PATTERN)
    assert events.list_tags_for_resource(ResourceARN=arn)["Tags"] == []


def test_a_pattern_is_tried_on_an_event(events):
    event = {
        "id": "1",
        "account": "1",
        "source": "shop",
        "time": "2026-01-01T00:00:00Z",
        "region": "us-east-1",
        "resources": [],
        "detail-type": "Placed",
    }
    answer = events.test_event_pattern(EventPattern=PATTERN, Event=json.dumps(event))
    assert answer["Result"] is True
    other = json.dumps({**event, "source": "bank"})
    assert events.test_event_pattern(EventPattern=PATTERN, Event=other)["Result"] is False
    code, _ = refusal(events.test_event_pattern, EventPattern="[]", Event=other)
    assert code == "InvalidEventPatternException"


def test_what_is_missing_is_told_as_not_implemented(events):
    members = {"ArchiveName": "a", "EventSourceArn": ARN + "event-bus/default"}
    with pytest.raises(ClientError) as caught:
        events.create_archive(**members)
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 501


def test_accounts_and_regions_have_buses_of_their_own(client):
    here, there = client("events"), client("events", region="eu-west-1")
    here.put_rule(Name="r", EventPattern=PATTERN)
    assert there.list_rules()["Rules"] == []
    other = client("events", access_key="111122223333")
    assert other.list_rules()["Rules"] == []
