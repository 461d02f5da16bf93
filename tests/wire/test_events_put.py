"""PutEvents: sizes, times, order, accounts, and the one transaction with what it delivers."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from eventcore import limits
from eventcore.stores.memory import MemoryStore
from eventcore.testing import FaultyStore

ARN = "arn:aws:events:us-east-1:000000000000:"
QUEUE_ARN = "arn:aws:sqs:us-east-1:000000000000:"
OTHER = "111122223333"
PATTERN = json.dumps({"source": ["shop"]})


def entry(**members: Any) -> dict[str, Any]:
    return {"Source": "shop", "DetailType": "Placed", "Detail": '{"id":1}', **members}


def call(wire: Any, operation: str, **members: Any) -> Any:
    return wire.call(operation, service="AWSEvents", **members)


def deliver_to(events: Any, *queues: str, rule: str = "r", **members: Any) -> None:
    """A rule on the events of the shop, with the queues as its targets."""
    bus = {"EventBusName": members.pop("bus", "default")}
    events.put_rule(Name=rule, EventPattern=PATTERN, **bus)
    targets = [{"Id": name, "Arn": QUEUE_ARN + name, **members} for name in queues]
    events.put_targets(Rule=rule, Targets=targets, **bus)


def bodies(sqs: Any, queue: str = "q") -> list[str]:
    received = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", [])
    return [message["Body"] for message in received]


@pytest.fixture
def queue(sqs, events) -> str:
    """A queue that gets every event of the shop."""
    sqs.create_queue(QueueName="q")
    deliver_to(events, "q")
    return "q"


# Sizes


def padded(total_bytes: int, **members: Any) -> dict[str, Any]:
    """An entry of that many bytes, as AWS counts them."""
    empty = entry(Detail='{"a":""}', **members)
    counted = empty["Source"] + empty["DetailType"] + empty["Detail"]
    counted += "".join(members.get("Resources", ()))
    taken = len(counted.encode()) + (14 if "Time" in members else 0)
    return {**empty, "Detail": json.dumps({"a": "x" * (total_bytes - taken)}).replace(" ", "")}


@pytest.mark.parametrize(
    "members", [{}, {"Time": 1_700_000_000}, {"Resources": ["é" * 10, "r"]}, {"DetailType": "é"}]
)
def test_an_entry_of_exactly_the_greatest_size_goes_and_one_byte_more_does_not(
    wire, events, sqs, queue, members
):
    largest = limits.PUT_EVENTS_BYTES_MAX
    assert call(wire, "PutEvents", Entries=[padded(largest + 1, **members)]).json == {
        "__type": "ValidationException",
        "message": "Total size of the entries in the request is over the limit.",
    }
    assert bodies(sqs) == []
    answer = call(wire, "PutEvents", Entries=[padded(largest, **members)])
    assert answer.status == 200, answer.body
    assert answer.json["FailedEntryCount"] == 0


def test_the_size_is_that_of_all_entries_together(wire, queue):
    half = limits.PUT_EVENTS_BYTES_MAX // 2
    assert call(wire, "PutEvents", Entries=[padded(half), padded(half)]).status == 200
    assert call(wire, "PutEvents", Entries=[padded(half), padded(half + 1)]).status == 400


def test_a_detail_type_has_at_most_128_characters(events, queue):
    answer = events.put_events(Entries=[entry(DetailType="é" * n) for n in (128, 129)])
    assert [item.get("ErrorCode") for item in answer["Entries"]] == [None, "InvalidArgument"]


def test_a_pattern_has_at_most_4096_characters(wire):
    largest = '{"a":["' + "x" * (4_096 - 10) + '"]}'
    assert call(wire, "PutRule", Name="r", EventPattern=largest).status == 200
    answer = call(wire, "PutRule", Name="r", EventPattern=largest + " ")
    assert answer.error == "ValidationException"
    assert answer.json["message"].endswith("Member must have length less than or equal to 4096")


# Times


@pytest.mark.parametrize(
    ("time", "shown"),
    [
        (datetime(2026, 1, 31, 23, 59, 59, 999_999, tzinfo=UTC), "2026-01-31T23:59:59Z"),
        (datetime(2026, 1, 31, tzinfo=timezone(timedelta(hours=2))), "2026-01-30T22:00:00Z"),
        ("2026-01-31T23:59:59+02:00", "2026-01-31T21:59:59Z"),
        (1_769_903_999, "2026-01-31T23:59:59Z"),
        (datetime(1970, 1, 1, tzinfo=UTC), "1970-01-01T00:00:00Z"),
        (datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC), "9999-12-31T23:59:59Z"),
    ],
)
def test_a_time_in_any_form_that_boto3_takes_is_shown_in_utc(events, sqs, queue, time, shown):
    events.put_events(Entries=[entry(Time=time)])
    assert json.loads(bodies(sqs)[0])["time"] == shown


@pytest.mark.parametrize(
    ("time", "shown"),
    [
        ("1769903999", "2026-01-31T23:59:59Z"),
        ("1769903999.123", "2026-01-31T23:59:59Z"),  # JavaScript, Java, Go: milliseconds
        ("1769903999.999", "2026-01-31T23:59:59Z"),
        ("1.769903999E9", "2026-01-31T23:59:59Z"),
        ("0", "1970-01-01T00:00:00Z"),
        ("null", "2023-11-14T22:13:20Z"),
    ],
)
def test_a_time_as_the_sdks_write_it_is_understood(wire, sqs, queue, time, shown):
    headers = {
        b"content-type": b"application/x-amz-json-1.1",
        b"x-amz-target": b"AWSEvents.PutEvents",
    }
    body = json.dumps({"Entries": [entry(Time="@")]}).replace('"@"', time)
    assert wire.raw(body.encode(), headers).status == 200
    assert json.loads(bodies(sqs)[0])["time"] == shown


# Accounts, regions, buses


def test_events_stay_in_their_account_and_region(client, wire):
    callers = {
        (account, region): (
            client("events", access_key=account, region=region),
            client("sqs", access_key=account, region=region),
        )
        for account in ("000000000000", OTHER)
        for region in ("us-east-1", "eu-west-1")
    }
    for (account, region), (events, sqs) in callers.items():
        sqs.create_queue(QueueName="q")
        events.put_rule(Name="r", EventPattern=PATTERN)
        arn = f"arn:aws:sqs:{region}:{account}:q"
        events.put_targets(Rule="r", Targets=[{"Id": "1", "Arn": arn}])
    for (account, region), (events, sqs) in callers.items():
        events.put_events(Entries=[entry()])
        (body,) = bodies(sqs)
        event = json.loads(body)
        assert (event["account"], event["region"]) == (account, region)
        assert [name for name, (_, other) in callers.items() if bodies(other)] == []
        (bus,) = events.list_event_buses()["EventBuses"]
        assert bus["Arn"] == f"arn:aws:events:{region}:{account}:event-bus/default"


def test_the_bus_of_another_account_is_reached_by_its_arn(client, sqs, queue):
    other = client("events", access_key=OTHER, region="eu-west-1")
    answer = other.put_events(Entries=[entry(EventBusName=ARN + "event-bus/default"), entry()])
    assert answer["FailedEntryCount"] == 0
    (body,) = bodies(sqs)
    assert json.loads(body)["id"] == answer["Entries"][0]["EventId"]


def test_a_region_of_ones_own_has_buses_with_usable_arns(client):
    events = client("events", region="local")
    arn = events.create_event_bus(Name="orders")["EventBusArn"]
    assert events.describe_event_bus(Name=arn)["Name"] == "orders"
    events.tag_resource(ResourceARN=arn, Tags=[{"Key": "a", "Value": "b"}])
    assert events.put_events(Entries=[entry(EventBusName=arn)])["FailedEntryCount"] == 0


def test_an_event_goes_through_two_buses_and_never_a_third(events, sqs):
    for name in ("one", "two", "three"):
        events.create_event_bus(Name=name)
        sqs.create_queue(QueueName=name)
    for source, target in [("one", "two"), ("two", "three"), ("three", "one")]:
        deliver_to(events, source, bus=source)
        events.put_targets(
            Rule="r",
            EventBusName=source,
            Targets=[{"Id": "bus", "Arn": f"{ARN}event-bus/{target}"}],
        )
    put = events.put_events(Entries=[entry(EventBusName="one")])["Entries"][0]["EventId"]
    ids = {name: [json.loads(b)["id"] for b in bodies(sqs, name)] for name in ("one", "two")}
    assert ids == {"one": [put], "two": [put]}
    assert bodies(sqs, "three") == []


def test_the_deleted_rules_and_buses_deliver_nothing(events, sqs, queue):
    events.create_event_bus(Name="orders")
    deliver_to(events, "q", bus="orders")
    for bus in ("default", "orders"):
        events.remove_targets(Rule="r", EventBusName=bus, Ids=["q"])
        events.delete_rule(Name="r", EventBusName=bus)
    events.delete_event_bus(Name="orders")
    answer = events.put_events(Entries=[entry(), entry(EventBusName="orders")])
    assert answer["FailedEntryCount"] == 0
    assert bodies(sqs) == []
    events.create_event_bus(Name="orders")
    assert events.list_rules(EventBusName="orders")["Rules"] == []


# Deliveries


def test_a_message_group_and_a_trace_header_go_with_the_event(events, sqs):
    sqs.create_queue(QueueName="q")
    deliver_to(events, "q", SqsParameters={"MessageGroupId": "g"})
    events.put_events(Entries=[entry(TraceHeader="Root=1")])
    (message,) = sqs.receive_message(QueueUrl="q", AttributeNames=["All"])["Messages"]
    assert message["Attributes"]["MessageGroupId"] == "g"
    assert message["Attributes"]["AWSTraceHeader"] == "Root=1"


def test_every_target_of_every_rule_that_matches_gets_the_event_once(events, sqs):
    for name in ("a", "b"):
        sqs.create_queue(QueueName=name)
    deliver_to(events, "a", "b", rule="both")
    deliver_to(events, "b", rule="one")
    events.put_events(Entries=[entry(), entry(Source="bank")])
    assert (len(bodies(sqs, "a")), len(bodies(sqs, "b"))) == (1, 2)


def test_what_has_no_target_and_no_dead_letter_queue_is_counted(wire, events, sqs, queue):
    deliver_to(events, "gone", rule="plain")
    deliver_to(events, "gone", rule="both", DeadLetterConfig={"Arn": QUEUE_ARN + "gone-too"})
    answer = events.put_events(Entries=[entry()])
    assert answer["FailedEntryCount"] == 0
    assert len(bodies(sqs)) == 1, "the other targets have it"
    assert wire.engine.router.dropped == 2


def test_a_queue_deleted_later_dead_letters_and_made_again_gets_events(events, sqs):
    for name in ("q", "dead"):
        sqs.create_queue(QueueName=name)
    deliver_to(events, "q", DeadLetterConfig={"Arn": QUEUE_ARN + "dead"})
    sqs.delete_queue(QueueUrl="q")
    events.put_events(Entries=[entry()])
    assert len(bodies(sqs, "dead")) == 1
    sqs.create_queue(QueueName="q")
    events.put_events(Entries=[entry()])
    assert (len(bodies(sqs, "dead")), len(bodies(sqs, "q"))) == (0, 1)


def test_paginators_lead_through_all_rules_and_targets(events):
    names = [f"rule-{number}" for number in range(5)]
    for name in names:
        deliver_to(events, "a", "b", "c", rule=name)

    def pages(operation: str, key: str, **members: Any) -> list[list[Any]]:
        paginator = events.get_paginator(operation)
        return [
            page[key] for page in paginator.paginate(PaginationConfig={"PageSize": 2}, **members)
        ]

    rules = pages("list_rules", "Rules", NamePrefix="rule")
    assert [[rule["Name"] for rule in page] for page in rules] == [names[:2], names[2:4], names[4:]]
    by_target = pages("list_rule_names_by_target", "RuleNames", TargetArn=QUEUE_ARN + "b")
    assert by_target == [names[:2], names[2:4], names[4:]]
    targets = pages("list_targets_by_rule", "Targets", Rule="rule-0")
    assert [[target["Id"] for target in page] for page in targets] == [["a", "b"], ["c"]]


def test_a_page_goes_on_when_the_entry_it_ended_with_is_gone(events):
    for name in ("a", "b", "c"):
        events.put_rule(Name=name, EventPattern=PATTERN)
    token = events.list_rules(Limit=2)["NextToken"]
    events.delete_rule(Name="b")
    assert [r["Name"] for r in events.list_rules(NextToken=token)["Rules"]] == ["c"]


# One transaction


def queue_and_rule(wire: Any) -> list[Any]:
    target = {"Id": "1", "Arn": QUEUE_ARN + "q"}
    return [
        wire.call("CreateQueue", QueueName="q"),
        call(wire, "PutRule", Name="r", EventPattern=PATTERN),
        call(wire, "PutTargets", Rule="r", Targets=[target]),
    ]


async def test_events_are_acknowledged_when_their_deliveries_are_durable(wire_on):
    store = FaultyStore(MemoryStore(holds_replies=True))
    async with wire_on(store) as wire:
        for answer in queue_and_rule(wire):
            assert (await wire.settle(answer)).status == 200
        appends = store.appends
        store.hold()
        put = call(wire, "PutEvents", Entries=[entry(), entry(EventBusName="none")])
        seen = wire.call("ReceiveMessage", QueueUrl="q")
        for _ in range(5):
            await asyncio.sleep(0)
        assert store.held
        assert not put.is_there
        assert not seen.is_there, "nobody is told of an event that can vanish"
        store.release()
        assert (await wire.settle(put)).json["FailedEntryCount"] == 0
        assert len((await wire.settle(seen)).json["Messages"]) == 1
        assert store.appends == appends + 1, "the event and the receipt are one batch"


@pytest.mark.parametrize("fault", ["fail_before", "fail_after"])
async def test_events_of_a_failed_commit_are_refused_and_wholly_there_or_not(wire_on, fault):
    store = FaultyStore(MemoryStore(holds_replies=True))
    async with wire_on(store) as wire:
        for answer in queue_and_rule(wire):
            await wire.settle(answer)
        store.plan[store.appends + 1] = fault
        put = await wire.settle(call(wire, "PutEvents", Entries=[entry(), entry()]))
        assert (put.status, put.error) == (503, "ServiceUnavailable")
        for _ in range(20):
            await asyncio.sleep(0)
        received = wire.call("ReceiveMessage", QueueUrl="q", MaxNumberOfMessages=10)
        await wire.settle(received)
        count = len(received.json.get("Messages", []))
        assert count == (0 if fault == "fail_before" else 2)
