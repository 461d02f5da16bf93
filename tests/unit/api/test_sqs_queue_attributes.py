"""Queue attributes: texts of the wire and the settings they mean."""

from __future__ import annotations

import json

import pytest

from eventcore.api.sqs_queue_attributes import attribute_of_field, check_names, overlay, show
from eventcore.ids import SystemIds
from eventcore.queues.fifo import FifoQueue
from eventcore.queues.queue import QueueMachine
from eventcore.queues.queue_spec import QueueSpec, RedriveAllow, RedrivePolicy
from eventcore.queues.standard import StandardQueue
from eventcore.wire.fault import Fault

ARN = "arn:aws:sqs:us-east-1:000000000000:orders"
DEAD = "arn:aws:sqs:us-east-1:000000000000:dead"
OTHER = "arn:aws:sqs:us-east-1:000000000000:other"
QUEUES = {DEAD: QueueSpec(), DEAD + ".fifo": QueueSpec(is_fifo=True)}
FIFO = QueueSpec(is_fifo=True)


def set_on(spec: QueueSpec, **given: str) -> QueueSpec:
    arn = ARN + ".fifo" if spec.is_fifo else ARN
    return overlay(spec, given, arn, QUEUES.get)


def shown(spec: QueueSpec, *names: str) -> dict[str, str]:
    kind: type[QueueMachine] = FifoQueue if spec.is_fifo else StandardQueue
    queue = kind(ARN + ".fifo" if spec.is_fifo else ARN, SystemIds())
    queue.configure(spec, 1_700_000_000_000)
    return show(queue, list(names), lambda: queue.statistics(1_700_000_000_000))


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
        ({"redrivePermission": "byQueue", "sourceQueueArns": [DEAD, OTHER]}, True),
        ({"redrivePermission": "byQueue", "sourceQueueArns": ["dead"]}, False),
        ({"redrivePermission": "byQueue", "sourceQueueArns": [DEAD.replace("sqs", "sns")]}, False),
        ({"redrivePermission": "byQueue", "sourceQueueArns": [5]}, False),
        ({"redrivePermission": "byQueue", "sourceQueueArns": DEAD}, False),
        ({"redrivePermission": "allowAll", "colour": "red"}, False),
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
        assert json.loads(shown(spec, "RedriveAllowPolicy")["RedriveAllowPolicy"]) == policy
        spec.validate()
        assert set_on(spec, RedriveAllowPolicy="").redrive_allow is None
    else:
        with pytest.raises(Fault, match="redrive allow policy"):
            set_on(QueueSpec(), RedriveAllowPolicy=text)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"redrivePermission":"byQueue"}', "one or more sourceQueueArns values."),
        (
            json.dumps({"redrivePermission": "byQueue", "sourceQueueArns": [DEAD] * 11}),
            "The maximum number of source queue ARNs you can specify is 10.",
        ),
        (
            json.dumps({"redrivePermission": "denyAll", "sourceQueueArns": []}),
            "you must set redrivePermission to byQueue.",
        ),
        ("no JSON", "as it's in an unsupported format."),
        ("[]", "as it's in an unsupported format."),
    ],
)
def test_a_redrive_allow_policy_is_refused_with_the_reason(text, reason):
    with pytest.raises(Fault) as caught:
        set_on(QueueSpec(), RedriveAllowPolicy=text)
    assert caught.value.message.endswith(reason)


@pytest.mark.parametrize(
    ("allow", "is_allowed"),
    [
        (None, True),
        (RedriveAllow("allowAll"), True),
        (RedriveAllow("denyAll"), False),
        (RedriveAllow("byQueue", (ARN,)), True),
        (RedriveAllow("byQueue", (OTHER,)), False),
    ],
)
def test_a_dead_letter_queue_is_asked_whether_it_allows_the_source(allow, is_allowed):
    text = json.dumps({"deadLetterTargetArn": OTHER, "maxReceiveCount": 3})
    given = {"RedrivePolicy": text}
    queues = {OTHER: QueueSpec(redrive_allow=allow)}
    if is_allowed:
        spec = overlay(QueueSpec(), given, ARN, queues.get)
        assert spec.redrive == RedrivePolicy(OTHER, 3)
    else:
        with pytest.raises(Fault, match="does not allow this source queue"):
            overlay(QueueSpec(), given, ARN, queues.get)


def test_a_dead_letter_queue_is_of_the_same_kind_account_and_region():
    def reason(spec: QueueSpec, target: str) -> str:
        text = json.dumps({"deadLetterTargetArn": target, "maxReceiveCount": 3})
        with pytest.raises(Fault) as caught:
            set_on(spec, RedrivePolicy=text)
        assert caught.value.message.startswith(f"Value {text} for parameter RedrivePolicy")
        return caught.value.message.partition("Reason: ")[2]

    kind = "Dead-letter queue must be same type of queue as the source."
    assert reason(QueueSpec(), DEAD + ".fifo") == kind
    assert reason(FIFO, DEAD) == kind
    owner = "Dead-letter target owner should be same as the source."
    assert reason(QueueSpec(), DEAD.replace("000000000000", "111122223333")) == owner
    region = "Dead-letter target must be in same region as the source."
    assert reason(QueueSpec(), DEAD.replace("us-east-1", "eu-west-1")) == region
    assert reason(QueueSpec(), OTHER) == "Dead letter target does not exist."
    text = json.dumps({"deadLetterTargetArn": DEAD + ".fifo", "maxReceiveCount": 3})
    assert set_on(FIFO, RedrivePolicy=text).redrive == RedrivePolicy(DEAD + ".fifo", 3)


def test_a_redrive_policy_has_two_attributes_and_no_others():
    policy = {"deadLetterTargetArn": DEAD, "maxReceiveCount": 3}
    for name in policy:
        part = {key: value for key, value in policy.items() if key != name}
        with pytest.raises(Fault, match=f"mandatory attribute: {name}"):
            set_on(QueueSpec(), RedrivePolicy=json.dumps(part))
    with pytest.raises(Fault, match="Only following attributes are supported"):
        set_on(QueueSpec(), RedrivePolicy=json.dumps({**policy, "colour": "red"}))
    for text in ("[]", "3", "no JSON", "[" * 5000):
        with pytest.raises(Fault, match="Redrive policy is not a valid JSON map"):
            set_on(QueueSpec(), RedrivePolicy=text)


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


FIFO_ATTRIBUTES = {
    "FifoQueue": "true",
    "ContentBasedDeduplication": "true",
    "DeduplicationScope": "messageGroup",
    "FifoThroughputLimit": "perMessageGroupId",
}


def test_names_to_read_are_those_of_the_kind_of_queue():
    check_names(["All", "QueueArn", "ApproximateNumberOfMessages"], is_fifo=False)
    check_names([*FIFO_ATTRIBUTES, "QueueArn"], is_fifo=True)
    for name in ("Colour", "FifoQueue", "ContentBasedDeduplication", "DeduplicationScope"):
        with pytest.raises(Fault, match=rf"Unknown Attribute {name}\."):
            check_names(["All", name], is_fifo=False)


def test_attributes_of_fifo_queues_are_set_and_shown():
    spec = set_on(FIFO, **FIFO_ATTRIBUTES)
    assert spec.content_deduplication
    assert (spec.deduplication_scope, spec.throughput_limit) == (
        "messageGroup",
        "perMessageGroupId",
    )
    spec.validate()
    assert FIFO_ATTRIBUTES.items() <= shown(spec, "All").items()
    assert shown(spec, "FifoQueue") == {"FifoQueue": "true"}


def test_a_new_fifo_queue_shows_the_defaults_and_a_standard_queue_none_of_them():
    assert {name: shown(FIFO, "All")[name] for name in FIFO_ATTRIBUTES} == {
        "FifoQueue": "true",
        "ContentBasedDeduplication": "false",
        "DeduplicationScope": "queue",
        "FifoThroughputLimit": "perQueue",
    }
    assert not FIFO_ATTRIBUTES.keys() & shown(QueueSpec(), "All").keys()


@pytest.mark.parametrize("name", FIFO_ATTRIBUTES)
@pytest.mark.parametrize("value", ["true", "false", "queue"])
def test_a_standard_queue_does_not_know_attributes_of_fifo_queues(name, value):
    with pytest.raises(Fault, match=rf"InvalidAttributeName: Unknown Attribute {name}\."):
        set_on(QueueSpec(), **{name: value})


@pytest.mark.parametrize("name", FIFO_ATTRIBUTES)
@pytest.mark.parametrize("value", ["", "yes", "perqueue", "MessageGroup", "1"])
def test_a_fifo_attribute_of_another_value_is_refused(name, value):
    with pytest.raises(Fault) as caught:
        set_on(FIFO, **{name: value})
    assert caught.value.code == "InvalidAttributeValue"
    assert caught.value.message == f"Invalid value for the parameter {name}."


def test_what_is_a_fifo_queue_stays_one():
    assert set_on(FIFO, FifoQueue="true") == FIFO
    with pytest.raises(Fault) as caught:
        set_on(FIFO, FifoQueue="false")
    assert caught.value.message == (
        "Invalid value for the parameter FifoQueue. Reason: Modifying queue type is not supported."
    )


def test_a_limit_per_message_group_needs_deduplication_per_message_group():
    both = {"DeduplicationScope": "messageGroup", "FifoThroughputLimit": "perMessageGroupId"}
    high = set_on(FIFO, **both)
    assert set_on(FIFO, DeduplicationScope="messageGroup").throughput_limit == "perQueue"
    regular = set_on(high, DeduplicationScope="queue", FifoThroughputLimit="perQueue")
    assert regular == FIFO
    for spec, given in (
        (FIFO, {"FifoThroughputLimit": "perMessageGroupId"}),
        (high, {"DeduplicationScope": "queue"}),
        (FIFO, {**both, "DeduplicationScope": "queue"}),
    ):
        with pytest.raises(Fault) as caught:
            set_on(spec, **given)
        assert caught.value.code == "InvalidAttributeValue"
        assert caught.value.message == (
            "Invalid value for the parameter FifoThroughputLimit. Reason: To set "
            "FifoThroughputLimit to perMessageGroupId, the DeduplicationScope must be messageGroup."
        )


def test_a_difference_is_named_by_its_attribute():
    plain = QueueSpec()
    assert attribute_of_field("delay_ms", plain, plain) == "DelaySeconds"
    assert attribute_of_field("redrive", plain, plain) == "RedrivePolicy"
    assert attribute_of_field("redrive_allow", plain, plain) == "RedriveAllowPolicy"
    assert attribute_of_field("is_fifo", plain, plain) == "FifoQueue"
    assert attribute_of_field("content_deduplication", plain, plain) == "ContentBasedDeduplication"
    assert attribute_of_field("deduplication_scope", plain, plain) == "DeduplicationScope"
    assert attribute_of_field("throughput_limit", plain, plain) == "FifoThroughputLimit"
    other = QueueSpec(attributes={"Policy": "{}"})
    assert attribute_of_field("attributes", plain, other) == "Policy"
