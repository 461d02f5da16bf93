"""Requests and answers have the members of botocore's model of SQS, operation by operation."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.model import StructureShape

from eventcore import errors, limits
from eventcore.api import sqs_message_attributes, sqs_permissions, sqs_queue_attributes
from eventcore.api.sqs import MISSING_OPERATIONS, SQS
from eventcore.api.sqs_faults import ERRORS
from eventcore.api.sts import STS
from tests.wire.service_model import answer_faults, differences, load_model

MODEL = load_model("sqs")


def test_every_operation_of_the_model_is_served_or_listed_as_missing():
    assert set(MODEL.operation_names) == set(SQS.operations) | MISSING_OPERATIONS
    assert not set(SQS.operations) & MISSING_OPERATIONS


def test_every_operation_of_sts_is_served_or_listed_as_missing():
    assert set(load_model("sts").operation_names) == set(STS.operations) | STS.missing_operations


@pytest.mark.parametrize("name", sorted(SQS.operations))
def test_a_request_struct_has_the_members_and_types_of_the_model(name: str):
    shape = MODEL.operation_model(name).input_shape
    assert list(differences(SQS.operations[name].request_type, shape, name)) == []


def test_queue_attributes_are_those_of_the_model():
    names = set(MODEL.shape_for("QueueAttributeName").enum)
    assert names == sqs_queue_attributes.READABLE | {"All"}


def test_actions_of_permissions_are_operations_of_the_model():
    batches = {"ChangeMessageVisibilityBatch", "DeleteMessageBatch", "SendMessageBatch"}
    named = (sqs_permissions.GRANTABLE_ACTIONS - {"*"}) | sqs_permissions.OWNER_ACTIONS
    assert named == set(MODEL.operation_names) - batches
    assert not sqs_permissions.GRANTABLE_ACTIONS & sqs_permissions.OWNER_ACTIONS
    for name in named:
        documentation = MODEL.operation_model(name).documentation
        if "Cross-account permissions don't apply to this action" in documentation:
            assert name in sqs_permissions.OWNER_ACTIONS


def test_message_system_attributes_are_those_of_the_model():
    names = set(MODEL.shape_for("MessageSystemAttributeName").enum)
    assert names == {*sqs_message_attributes.SYSTEM_ATTRIBUTES, "All"}
    assert MODEL.shape_for("MessageSystemAttributeNameForSends").enum == [
        sqs_message_attributes.TRACE_HEADER
    ]


LIMITS = [
    ("SendMessageRequest", "MessageBody", f"1 MiB or {limits.MESSAGE_BYTES_MAX:,} bytes"),
    ("ReceiveMessageRequest", "MaxNumberOfMessages", f"1 to {limits.RECEIVE_MESSAGES_MAX}. "),
    (
        "ChangeMessageVisibilityRequest",
        "VisibilityTimeout",
        f"<code>{limits.VISIBILITY_TIMEOUT_MS_MAX // 1000}</code>",
    ),
    ("CreateQueueRequest", "Attributes", f"from 0 to {limits.DELAY_MS_MAX // 1000} seconds"),
    ("CreateQueueRequest", "Attributes", f"to {limits.RETENTION_MS_MAX // 1000:,} seconds"),
    ("CreateQueueRequest", "Attributes", f"from 0 to {limits.WAIT_MS_MAX // 1000} (seconds)"),
]


@pytest.mark.parametrize(("shape", "member", "text"), LIMITS)
def test_a_limit_is_the_one_that_the_model_documents(shape: str, member: str, text: str):
    structure = MODEL.shape_for(shape)
    assert isinstance(structure, StructureShape)
    assert text in structure.members[member].documentation


SOURCE_ARN = "arn:aws:sqs:us-east-1:000000000000:orders"
NUMBER = {"DataType": "Number", "StringValue": "1"}
PICTURE = {"DataType": "Binary", "BinaryValue": "AAE="}
TRACE = {"AWSTraceHeader": {"DataType": "String", "StringValue": "Root=1"}}
ANSWERED: list[tuple[str, dict[str, Any]]] = [
    (
        "SendMessage",
        {
            "MessageBody": "a",
            "MessageAttributes": {"n": NUMBER},
            "MessageSystemAttributes": TRACE,
        },
    ),
    (
        "SendMessageBatch",
        {
            "Entries": [
                {"Id": "1", "MessageBody": "a", "MessageAttributes": {"b": PICTURE}},
                {"Id": "2", "MessageBody": "b", "DelaySeconds": 901},
            ]
        },
    ),
    (
        "ReceiveMessage",
        {"AttributeNames": ["All"], "MessageAttributeNames": ["All"], "MaxNumberOfMessages": 10},
    ),
    ("DeleteMessageBatch", {"Entries": [{"Id": "1", "ReceiptHandle": "?"}]}),
    (
        "ChangeMessageVisibilityBatch",
        {"Entries": [{"Id": "1", "ReceiptHandle": "?", "VisibilityTimeout": 1}]},
    ),
    ("GetQueueAttributes", {"AttributeNames": ["All"]}),
    ("ListQueues", {"MaxResults": 1}),
    ("ListDeadLetterSourceQueues", {"MaxResults": 1}),
    ("TagQueue", {"Tags": {"team": "a"}}),
    ("ListQueueTags", {}),
    ("GetQueueUrl", {"QueueName": "orders"}),
    ("CreateQueue", {"QueueName": "orders"}),
    (
        "AddPermission",
        {"Label": "a", "AWSAccountIds": ["111122223333"], "Actions": ["SendMessage"]},
    ),
    ("RemovePermission", {"Label": "a"}),
    ("StartMessageMoveTask", {"SourceArn": SOURCE_ARN}),
    ("ListMessageMoveTasks", {"SourceArn": SOURCE_ARN}),
]
FIFO_ANSWERED: list[tuple[str, dict[str, Any]]] = [
    ("SendMessage", {"MessageBody": "a", "MessageGroupId": "g"}),
    ("SendMessageBatch", {"Entries": [{"Id": "1", "MessageBody": "b", "MessageGroupId": "g"}]}),
    ("ReceiveMessage", {"AttributeNames": ["All"], "ReceiveRequestAttemptId": "a"}),
    ("GetQueueAttributes", {"AttributeNames": ["All"]}),
]


def test_answers_have_members_and_types_of_the_model(wire):
    url = wire.create_queue()
    wire.create_queue("other", RedrivePolicy=redrive_policy("orders"))
    wire.create_queue("third", RedrivePolicy=redrive_policy("orders"))
    for name, members in ANSWERED:
        check_answer(wire, url, name, members)
    fifo = wire.create_queue("orders.fifo", FifoQueue="true", ContentBasedDeduplication="true")
    for name, members in FIFO_ANSWERED:
        check_answer(wire, fifo, name, members)
    handle = wire.call("ListMessageMoveTasks", SourceArn=SOURCE_ARN).json["Results"][0]
    check_answer(wire, url, "CancelMessageMoveTask", {"TaskHandle": handle["TaskHandle"]})


def check_answer(wire: Any, url: str, name: str, members: dict[str, Any]) -> None:
    model = MODEL.operation_model(name)
    assert isinstance(model.input_shape, StructureShape)
    addressed = {"QueueUrl": url} if "QueueUrl" in model.input_shape.members else {}
    answer = wire.call(name, **addressed, **members)
    assert answer.status == 200, answer.body
    # Required in the model, yet AWS leaves out the one that is empty; programs rely on it.
    absent = {"Successful", "Failed"} if name.endswith("Batch") else ()
    assert not answer_faults(blobs_as_bytes(answer.json), model, frozenset(absent))
    assert answer.json or model.output_shape is None, f"{name} answers with nothing"


def redrive_policy(name: str) -> str:
    arn = f"arn:aws:sqs:us-east-1:000000000000:{name}"
    return f'{{"deadLetterTargetArn":"{arn}","maxReceiveCount":3}}'


def blobs_as_bytes(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            key: item.encode() if key == "BinaryValue" else blobs_as_bytes(item)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [blobs_as_bytes(item) for item in value]
    return value


def test_every_error_code_of_the_error_map_is_in_the_model():
    codes = {shape.name for shape in MODEL.error_shapes}
    # AWS's framework sends these two before the service does, so no model has them.
    codes |= {"InvalidParameterValueException", "MissingRequiredParameterException"}
    examples = {
        errors.NotFound: errors.NotFound("queue", "a"),
        errors.AlreadyExists: errors.AlreadyExists("queue", "a", "DelaySeconds"),
        errors.Conflict: errors.Conflict("queue", "a", "deleted recently"),
        errors.InvalidParameter: errors.InvalidParameter("delay_ms", "Too long.", 1000),
        errors.MissingParameter: errors.MissingParameter("body"),
        errors.InvalidReceiptHandle: errors.InvalidReceiptHandle("x"),
        errors.LimitExceeded: errors.LimitExceeded("in_flight_max", 1),
        errors.UnsupportedOperation: errors.UnsupportedOperation("sqs", "x"),
        errors.RequestError: errors.RequestError("x"),
    }
    assert examples.keys() == ERRORS.keys()
    for error_type, example in examples.items():
        assert ERRORS[error_type](example).bare_code in codes
