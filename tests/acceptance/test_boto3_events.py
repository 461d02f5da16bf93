"""boto3 against a real daemon: EventBridge, and what of it survives a kill."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError, ClientError

QUEUE_ARN = "arn:aws:sqs:us-east-1:000000000000:"
BUS_ARN = "arn:aws:events:us-east-1:000000000000:event-bus/"


@pytest.fixture(scope="session")
def events(clients: Callable[..., Any]) -> Any:
    return clients("events")


@pytest.fixture
def bus(events: Any, queue_name: str) -> Iterator[str]:
    """A bus that no other test uses."""
    events.create_event_bus(Name=queue_name)
    yield queue_name
    for rule in events.list_rules(EventBusName=queue_name)["Rules"]:
        of_rule = {"Rule": rule["Name"], "EventBusName": queue_name}
        ids = [target["Id"] for target in events.list_targets_by_rule(**of_rule)["Targets"]]
        if ids:
            events.remove_targets(**of_rule, Ids=ids)
        events.delete_rule(Name=rule["Name"], EventBusName=queue_name)
    events.delete_event_bus(Name=queue_name)


@pytest.fixture
def queue(sqs: Any, queue_name: str) -> str:
    sqs.create_queue(QueueName=queue_name)
    return queue_name


def deliver_to(events: Any, bus: str, queue: str, pattern: Any, **target: Any) -> None:
    events.put_rule(Name="rule", EventBusName=bus, EventPattern=json.dumps(pattern))
    targets = [{"Id": "queue", "Arn": QUEUE_ARN + queue, **target}]
    answer = events.put_targets(Rule="rule", EventBusName=bus, Targets=targets)
    assert (answer["FailedEntryCount"], answer["FailedEntries"]) == (0, [])


def placed(bus: str, **detail: Any) -> dict[str, str]:
    return {
        "EventBusName": bus,
        "Source": "shop",
        "DetailType": "Placed",
        "Detail": json.dumps(detail),
    }


def receive_all(sqs: Any, queue: str) -> list[Any]:
    bodies = []
    while received := sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages"):
        bodies += [json.loads(message["Body"]) for message in received]
    return bodies


def test_events_that_match_wake_a_long_poll(events, sqs, bus, queue):
    deliver_to(events, bus, queue, {"detail": {"total": [{"numeric": [">", 100]}]}})
    received: list[Any] = []
    poll = threading.Thread(
        target=lambda: received.append(sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=10))
    )
    poll.start()
    answer = events.put_events(Entries=[placed(bus, total=5), placed(bus, total=500)])
    poll.join(timeout=15)
    assert answer["FailedEntryCount"] == 0
    (message,) = received[0]["Messages"]
    event = json.loads(message["Body"])
    assert event["id"] == answer["Entries"][1]["EventId"]
    assert event["detail"] == {"total": 500}
    assert receive_all(sqs, queue) == []


def test_a_rule_lives_from_put_to_delete(events, sqs, bus, queue):
    deliver_to(events, bus, queue, {"source": ["shop"]}, InputPath="$.detail.number")
    of_bus = {"EventBusName": bus}
    events.disable_rule(Name="rule", **of_bus)
    assert events.describe_rule(Name="rule", **of_bus)["State"] == "DISABLED"
    events.put_events(Entries=[placed(bus, number=1)])
    events.enable_rule(Name="rule", **of_bus)
    events.put_events(Entries=[placed(bus, number=2)])
    assert receive_all(sqs, queue) == [2]
    with pytest.raises(ClientError, match="Rule can't be deleted since it has targets"):
        events.delete_rule(Name="rule", **of_bus)
    with pytest.raises(ClientError, match="EventBus can't be deleted since it has rules"):
        events.delete_event_bus(Name=bus)
    events.remove_targets(Rule="rule", Ids=["queue"], **of_bus)
    events.delete_rule(Name="rule", **of_bus)
    with pytest.raises(events.exceptions.ResourceNotFoundException):
        events.describe_rule(Name="rule", **of_bus)


def test_an_event_reaches_a_queue_by_way_of_another_bus(events, sqs, bus, queue):
    deliver_to(events, bus, queue, {"source": ["shop"]})
    rule = {"Rule": f"to-{bus}"[:64]}
    events.put_rule(Name=rule["Rule"], EventPattern=json.dumps({"detail": {"for": [bus]}}))
    events.put_targets(**rule, Targets=[{"Id": "bus", "Arn": BUS_ARN + bus}])
    put = events.put_events(Entries=[placed("default", **{"for": bus}), placed("default")])
    (event,) = receive_all(sqs, queue)
    assert event["id"] == put["Entries"][0]["EventId"]
    events.remove_targets(**rule, Ids=["bus"])
    events.delete_rule(Name=rule["Rule"])


def test_errors_can_be_caught_by_their_names(events, bus):
    with pytest.raises(events.exceptions.ResourceAlreadyExistsException):
        events.create_event_bus(Name=bus)
    with pytest.raises(events.exceptions.InvalidEventPatternException):
        events.put_rule(Name="rule", EventBusName=bus, EventPattern='{"source": "shop"}')
    events.put_rule(Name="rule", EventBusName=bus, EventPattern='{"source": ["shop"]}')
    targets = [{"Id": str(number), "Arn": QUEUE_ARN + "q"} for number in range(6)]
    with pytest.raises(events.exceptions.LimitExceededException):
        events.put_targets(Rule="rule", EventBusName=bus, Targets=targets)


def test_ten_events_of_the_greatest_size_of_a_request_are_delivered(events, sqs, bus, queue):
    deliver_to(events, bus, queue, {"source": ["shop"]})
    text = "x" * (100 * 1_024)
    answer = events.put_events(Entries=[placed(bus, n=n, text=text) for n in range(10)])
    assert answer["FailedEntryCount"] == 0
    received = receive_all(sqs, queue)
    assert sorted(event["detail"]["n"] for event in received) == list(range(10))
    assert all(event["detail"]["text"] == text for event in received)


def test_events_that_were_acknowledged_are_delivered_after_a_kill(own_daemon, connect):
    """Clients put events, each to two queues, while the daemon is killed: every event that was
    acknowledged is in both, none is in one only, and the rules are as they were.
    """
    sqs, events = connect(own_daemon.url, "sqs"), connect(own_daemon.url, "events")
    for name in ("a", "b"):
        sqs.create_queue(QueueName=name)
    events.create_event_bus(Name="orders", Description="kept")
    events.put_rule(
        Name="rule", EventBusName="orders", EventPattern=json.dumps({"source": ["shop"]})
    )
    targets = [{"Id": name, "Arn": QUEUE_ARN + name, "InputPath": "$.id"} for name in ("a", "b")]
    events.put_targets(Rule="rule", EventBusName="orders", Targets=targets)
    rules = events.list_rules(EventBusName="orders")["Rules"]
    acknowledged: list[str] = []
    enough = threading.Event()

    def put() -> None:
        client = connect(own_daemon.url, "events")
        try:
            while True:
                answer = client.put_events(Entries=[placed("orders", n=n) for n in range(3)])
                acknowledged.extend(entry["EventId"] for entry in answer["Entries"])
                if len(acknowledged) > 300:
                    enough.set()
        except (BotoCoreError, ClientError):
            return  # the daemon is gone

    putters = [threading.Thread(target=put) for _ in range(4)]
    for thread in putters:
        thread.start()
    assert enough.wait(timeout=30)
    own_daemon.kill()
    for thread in putters:
        thread.join(timeout=30)
    own_daemon.start()

    sqs, events = connect(own_daemon.url, "sqs"), connect(own_daemon.url, "events")
    delivered = [Counter(receive_all(sqs, name)) for name in ("a", "b")]
    assert delivered[0] == delivered[1], "an event is in every queue or in none"
    assert set(delivered[0].values()) == {1}
    assert delivered[0].keys() >= set(acknowledged)
    assert len(delivered[0]) - len(acknowledged) <= 3 * len(putters), "one request of each putter"
    assert events.list_rules(EventBusName="orders")["Rules"] == rules
    shown = events.list_targets_by_rule(Rule="rule", EventBusName="orders")["Targets"]
    assert shown == targets
    assert events.describe_event_bus(Name="orders")["Description"] == "kept"
    answer = events.put_events(Entries=[placed("orders")])
    assert receive_all(sqs, "a") == [answer["Entries"][0]["EventId"]]
