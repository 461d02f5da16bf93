"""Queue attributes: texts of the wire and the settings they mean."""

from __future__ import annotations

import json

import pytest

from eventcore.api.sqs_queue_attributes import attribute_of_field, check_names, overlay
from eventcore.arn import parse_arn
from eventcore.queues.queue_spec import QueueSpec, RedrivePolicy
from eventcore.wire.fault import Fault

ARN = parse_arn("arn:aws:sqs:us-east-1:000000000000:orders")
DEAD = "arn:aws:sqs:us-east-1:000000000000:dead"


def set_on(spec: QueueSpec, **given: str) -> QueueSpec:
    return overlay(spec, given, ARN, lambda arn: arn == DEAD)


@pytest.mark.parametrize(
    ("name", "lowest", "highest", "field", "unit"),
    [
        ("DelaySeconds", 0, 900, "delay_ms", 1000),
        ("MaximumMessageSize", 1024, 1_048_576, "message_bytes_max", 1),
        ("MessageRetentionPeriod", 60, 1_209_600, "retention_ms", 1000),
        ("ReceiveMessageWaitTimeSeconds", 0, 20, "wait_ms", 1000),
        ("VisibilityTimeout", 0, 43_200, "visibility_timeout_ms", 1000),
    ],
)
def test_a_number_is_taken_up_to_its_borders_and_no_further(name, lowest, highest, field, unit):
    for value in (lowest, highest):
        spec = set_on(QueueSpec(), **{name: str(value)})
        assert getattr(spec, field) == value * unit
        spec.validate()
    for text in (str(lowest - 1), str(highest + 1), "", "1.0", "one", " 1", "١", "9" * 5000):
        with pytest.raises(Fault, match=f"Invalid value for the parameter {name}"):
            set_on(QueueSpec(), **{name: text})


def test_what_is_not_given_stays():
    spec = set_on(QueueSpec(delay_ms=5000, attributes={"Policy": "{}"}), VisibilityTimeout="1")
    assert spec == QueueSpec(delay_ms=5000, visibility_timeout_ms=1000, attributes={"Policy": "{}"})


def test_the_spec_given_is_not_changed():
    spec = QueueSpec(attributes={"Policy": "{}"})
    set_on(spec, Policy="")
    assert spec.attributes == {"Policy": "{}"}


def test_an_empty_redrive_policy_removes_it():
    policy = json.dumps({"deadLetterTargetArn": DEAD, "maxReceiveCount": 3})
    spec = set_on(QueueSpec(), RedrivePolicy=policy)
    assert spec.redrive == RedrivePolicy(DEAD, 3)
    assert set_on(spec, RedrivePolicy="").redrive is None


@pytest.mark.parametrize("count", [1, 1000, "1", "1000"])
def test_a_receive_count_may_be_a_number_or_its_text(count):
    policy = json.dumps({"deadLetterTargetArn": DEAD, "maxReceiveCount": count})
    spec = set_on(QueueSpec(), RedrivePolicy=policy)
    assert spec.redrive == RedrivePolicy(DEAD, int(count))


@pytest.mark.parametrize("count", [0, 1001, -1, 1.5, True, None, "", "one", [], "9" * 5000])
def test_a_receive_count_out_of_range_is_refused(count):
    policy = json.dumps({"deadLetterTargetArn": DEAD, "maxReceiveCount": count})
    with pytest.raises(Fault, match="valid values are from 1 to 1000"):
        set_on(QueueSpec(), RedrivePolicy=policy)


@pytest.mark.parametrize(
    "target",
    [
        "",
        "dead",
        5,
        None,
        "arn:aws:sqs:us-east-1:000000000000:nowhere",
        "arn:aws:sqs:us-east-1:111122223333:dead",
        "arn:aws:sqs:eu-west-1:000000000000:dead",
        "arn:aws:sns:us-east-1:000000000000:dead",
        "arn:aws:sqs:us-east-1:000000000000:dead.fifo",
    ],
)
def test_a_dead_letter_target_that_cannot_take_messages_is_refused(target):
    policy = json.dumps({"deadLetterTargetArn": target, "maxReceiveCount": 3})
    with pytest.raises(Fault) as caught:
        set_on(QueueSpec(), RedrivePolicy=policy)
    assert caught.value.query_code == "InvalidParameterValue"
    assert "for parameter RedrivePolicy is invalid" in caught.value.message


@pytest.mark.parametrize(
    ("policy", "is_allowed"),
    [
        ({"redrivePermission": "allowAll"}, True),
        ({"redrivePermission": "denyAll"}, True),
        ({"redrivePermission": "byQueue", "sourceQueueArns": [DEAD]}, True),
        ({"redrivePermission": "byQueue", "sourceQueueArns": [DEAD] * 10}, True),
        ({"redrivePermission": "byQueue", "sourceQueueArns": [DEAD] * 11}, False),
        ({"redrivePermission": "byQueue", "sourceQueueArns": []}, False),
        ({"redrivePermission": "byQueue"}, False),
        ({"redrivePermission": "allowAll", "sourceQueueArns": [DEAD]}, False),
        ({"redrivePermission": "some"}, False),
        ({"redrivePermission": []}, False),
        ({}, False),
    ],
)
def test_a_redrive_allow_policy_has_one_of_the_documented_forms(policy, is_allowed):
    text = json.dumps(policy)
    if is_allowed:
        spec = set_on(QueueSpec(), RedriveAllowPolicy=text)
        assert spec.attributes["RedriveAllowPolicy"] == text
    else:
        with pytest.raises(Fault, match="redrive allow policy"):
            set_on(QueueSpec(), RedriveAllowPolicy=text)


def test_the_two_ways_of_encryption_exclude_each_other():
    by_key = set_on(QueueSpec(), KmsMasterKeyId="alias/a")
    assert by_key.attributes == {"KmsMasterKeyId": "alias/a", "SqsManagedSseEnabled": "false"}
    by_sqs = set_on(by_key, SqsManagedSseEnabled="True")
    assert by_sqs.attributes == {"SqsManagedSseEnabled": "true"}
    with pytest.raises(Fault, match="one type of server-side encryption"):
        set_on(QueueSpec(), KmsMasterKeyId="alias/a", SqsManagedSseEnabled="true")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("Policy", "text"),
        ("Policy", '"text"'),
        ("Policy", json.dumps({"a": "x" * 8192})),
        ("KmsDataKeyReusePeriodSeconds", "59"),
        ("KmsDataKeyReusePeriodSeconds", "86401"),
        ("KmsMasterKeyId", "x" * 2049),
        ("SqsManagedSseEnabled", "yes"),
    ],
)
def test_what_has_no_effect_is_checked_for_its_form(name, text):
    with pytest.raises(Fault, match=f"Invalid value for the parameter {name}"):
        set_on(QueueSpec(), **{name: text})


@pytest.mark.parametrize("name", ["Colour", "QueueArn", "FifoQueue", "All", ""])
def test_what_cannot_be_set_is_an_unknown_attribute(name):
    with pytest.raises(Fault) as caught:
        set_on(QueueSpec(), **{name: "true"})
    assert (caught.value.code, caught.value.message) == (
        "InvalidAttributeName",
        f"Unknown Attribute {name}.",
    )


def test_names_to_read_are_those_of_every_kind_of_queue():
    check_names(["All", "FifoQueue", "QueueArn", "ApproximateNumberOfMessages"])
    with pytest.raises(Fault, match=r"Unknown Attribute Colour\."):
        check_names(["All", "Colour"])


def test_a_difference_is_named_by_its_attribute():
    plain = QueueSpec()
    assert attribute_of_field("delay_ms", plain, plain) == "DelaySeconds"
    assert attribute_of_field("redrive", plain, plain) == "RedrivePolicy"
    other = QueueSpec(attributes={"Policy": "{}"})
    assert attribute_of_field("attributes", plain, other) == "Policy"
