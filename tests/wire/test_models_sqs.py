"""Requests and answers have the members of botocore's model of SQS, operation by operation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args, get_origin

import botocore.loaders
import msgspec
import pytest
from botocore.model import ListShape, MapShape, ServiceModel, Shape, StructureShape
from botocore.validate import ParamValidator

from eventcore import errors, limits
from eventcore.api import sqs_message_attributes, sqs_queue_attributes
from eventcore.api.sqs import MISSING_OPERATIONS, SQS
from eventcore.api.sqs_faults import ERRORS
from eventcore.api.sts import STS

SCALARS = {"string": str, "integer": int, "blob": bytes}


def load(name: str) -> ServiceModel:
    loader = botocore.loaders.Loader()
    return ServiceModel(loader.load_service_model(name, "service-2"), name)


MODEL = load("sqs")


def test_every_operation_of_the_model_is_served_or_listed_as_missing():
    assert set(MODEL.operation_names) == set(SQS.operations) | MISSING_OPERATIONS
    assert not set(SQS.operations) & MISSING_OPERATIONS


def test_every_operation_of_sts_is_served_or_listed_as_missing():
    assert set(load("sts").operation_names) == set(STS.operations) | STS.missing_operations


@pytest.mark.parametrize("name", sorted(SQS.operations))
def test_a_request_struct_has_the_members_and_types_of_the_model(name: str):
    shape = MODEL.operation_model(name).input_shape
    assert list(differences(SQS.operations[name].request_type, shape, name)) == []


def differences(given: Any, shape: Shape, path: str) -> Iterator[str]:
    """Where a type of ours differs from a shape of the model."""
    given = without_none(given)
    if isinstance(shape, StructureShape):
        fields = {field.encode_name: field for field in msgspec.structs.fields(given)}
        if fields.keys() != shape.members.keys():
            yield f"{path}: {sorted(fields)} and {sorted(shape.members)}"
            return
        for member, field in fields.items():
            assert not field.required, f"{path}.{member}: the handler says what is missing"
            yield from differences(field.type, shape.members[member], f"{path}.{member}")
    elif isinstance(shape, ListShape):
        yield from differences(get_args(given)[0], shape.member, f"{path}[]")
    elif isinstance(shape, MapShape):
        assert get_origin(given) is dict
        yield from differences(get_args(given)[1], shape.value, f"{path}{{}}")
    elif given is not SCALARS[shape.type_name]:
        yield f"{path}: {given} and {shape.type_name}"


def without_none(given: Any) -> Any:
    options = [option for option in get_args(given) if option is not type(None)]
    return options[0] if type(None) in get_args(given) else given


def test_queue_attributes_are_those_of_the_model():
    names = set(MODEL.shape_for("QueueAttributeName").enum)
    assert names == sqs_queue_attributes.READABLE | {"All"}


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
]


def test_answers_have_members_and_types_of_the_model(wire):
    url = wire.create_queue()
    wire.create_queue("other", RedrivePolicy=redrive_policy("orders"))
    wire.create_queue("third", RedrivePolicy=redrive_policy("orders"))
    for name, members in ANSWERED:
        model = MODEL.operation_model(name)
        assert isinstance(model.input_shape, StructureShape)
        addressed = {"QueueUrl": url} if "QueueUrl" in model.input_shape.members else {}
        answer = wire.call(name, **addressed, **members)
        assert answer.status == 200, answer.body
        if model.output_shape is None:
            assert answer.json == {}
            continue
        shown = blobs_as_bytes(answer.json)
        if name.endswith("Batch"):
            # Required in the model, yet AWS leaves out the one that is empty; programs rely on it.
            shown = {"Successful": [], "Failed": [], **shown}
        report = ParamValidator().validate(shown, model.output_shape)
        assert not report.has_errors(), f"{name}: {report.generate_report()}"
        assert answer.json.keys() <= model.output_shape.members.keys(), name
        assert answer.json, f"{name} answers with nothing"


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
