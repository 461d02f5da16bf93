"""Whatever comes as a request of Query: AWS's codes as far as known, nothing changed, no 500."""

from __future__ import annotations

import asyncio
from urllib.parse import quote_plus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventcore.api.sqs import SQS
from eventcore.stores.memory import MemoryStore
from eventcore.wire.aws_query import PARAMETERS_MAX
from tests.wire.conftest import open_wire
from tests.wire.query_client import MODEL, QueryClient, parse

CONFLICT = (
    "The query parameter {} is invalid. Its structure conflicts with that of another parameter."
)
LIST = "Start of list found where not expected"
STRUCTURE = "Start of structure or map found where not expected"
NO_LIST = "Unexpected list element termination"
NO_STRUCTURE = "Unexpected complex element termination"
MISSING = "The request must contain the parameter {}."


@pytest.fixture
def query(wire) -> QueryClient:
    made = QueryClient(wire)
    made.call("CreateQueue", QueueName="orders")
    return made


# No operation


@pytest.mark.parametrize("method", ["POST", "GET"])
@pytest.mark.parametrize("path", ["/", "/000000000000/orders"])
@pytest.mark.parametrize(
    "parameters", [b"Version=2012-11-05", b"Action=", b"action=SendMessage", b"=", b"&&&"]
)
def test_a_request_without_an_action_names_no_operation(query, parameters, path, method):
    answer = query.raw(parameters, path=path, method=method)
    assert answer.status == 404
    assert query.error(answer)[0] == "UnknownOperationException"


@pytest.mark.parametrize("version", [b"", b"&Version=2012-11-05"])
@pytest.mark.parametrize("action", ["Colour", "sendmessage", "<b>", "é", "x" * 300])
def test_an_unknown_action_is_invalid(query, action, version):
    answer = query.raw(b"Action=" + quote_plus(action).encode() + version)
    assert answer.status == 400
    assert query.error(answer) == (
        "InvalidAction",
        f"The action {action[:256]} is not valid for this endpoint.",
    )


def test_an_action_that_no_service_has_is_invalid_without_a_credential_too(query):
    answer = query.raw(b"Action=Colour", authorization=b"")
    assert query.error(answer) == ("InvalidAction", "Could not find operation Colour")
    answer = query.raw(b"Action=Colour&Version=1999-01-01", authorization=b"")
    assert query.error(answer) == (
        "InvalidAction",
        "Could not find operation Colour for version 1999-01-01",
    )


# No parameters


@pytest.mark.parametrize(
    "text",
    [
        b"Action=ListQueues&%",
        b"Action=ListQueues&a=100%",
        b"Action=ListQueues&a=%4",
        b"Action=ListQueues&a=%zz",
        b"Action=ListQueues&%u00e9=a",
        b"Action=ListQueues&a=%C3",
        b"Action=ListQueues&a=%ED%A0%80",
        b"Action=ListQueues&a=\xff",
        b"Action=ListQueues" + b"&a=1" * PARAMETERS_MAX,
    ],
)
@pytest.mark.parametrize("method", ["POST", "GET"])
def test_a_text_that_is_no_list_of_parameters_is_malformed(query, text, method):
    answer = query.raw(text, method=method)
    assert answer.status == 400
    assert query.error(answer) == (
        "MalformedQueryString",
        "The query string contains a syntax error.",
    )


def test_the_greatest_number_of_parameters_is_taken(query):
    text = b"Action=ListQueues" + b"&a=1" * (PARAMETERS_MAX - 1)
    assert query.raw(text).status == 200


# Parameters that do not fit together


@pytest.mark.parametrize(
    ("parameters", "named"),
    [
        (b"MessageBody=a&MessageBody=b", "MessageBody"),
        (b"Action=ReceiveMessage&MessageBody=a", "Action"),
        (b"MessageBody=a&MessageBody.1=b", "MessageBody.1"),
        (b"MessageBody.x=a&MessageBody=b", "MessageBody"),
        (b"MessageAttribute.1=a&MessageAttribute.1.Name=b", "MessageAttribute.1.Name"),
        (
            b"MessageAttribute.1.Name=a&MessageAttribute.1.Value.DataType=String"
            b"&MessageAttribute.01.Name=b&MessageAttribute.01.Value.DataType=String",
            "MessageAttribute",
        ),
        (
            b"MessageAttribute.1.Name=a&MessageAttribute.1.Value.DataType=String"
            b"&MessageAttribute.2.Name=a&MessageAttribute.2.Value.DataType=Number",
            "MessageAttribute.2.Name",
        ),
    ],
)
def test_parameters_that_contradict_each_other_are_refused(query, parameters, named):
    answer = query.raw(b"Action=SendMessage&QueueUrl=orders&" + parameters)
    assert answer.status == 400
    assert query.error(answer) == ("ConflictingQueryParameter", CONFLICT.format(named))
    assert_nothing_was_sent(query)


def test_a_parameter_that_is_repeated_as_it_was_does_no_harm(query):
    sent = {b"content-type": b"application/x-www-form-urlencoded"}
    text = b"Action=SendMessage&QueueUrl=orders&MessageBody=a"
    answer = query.wire.raw(text + b"&Action=SendMessage", sent, b"/?" + text)
    assert answer.status == 200


def test_the_query_string_and_the_body_are_one_request(query):
    sent = {b"content-type": b"application/x-www-form-urlencoded"}
    target = b"/?Action=SendMessage&QueueUrl=orders"
    assert query.wire.raw(b"MessageBody=a", sent, target).status == 200
    answer = query.wire.raw(b"QueueUrl=other", sent, target + b"&MessageBody=a")
    assert query.error(answer)[0] == "ConflictingQueryParameter"


def test_a_body_that_is_no_form_is_not_read(query):
    target = b"/?Action=SendMessage&QueueUrl=orders"
    for content_type in (b"text/plain", b"application/json"):
        answer = query.wire.raw(b"MessageBody=a", {b"content-type": content_type}, target)
        assert query.error(answer) == ("MissingParameter", MISSING.format("MessageBody"))


# Parameters that are not the operation's

NUMBERS = ["", " 5", "5 ", "5.0", "1e3", "0x5", "five", "null", "٣", "1_0", "9" * 20, "+", "--1"]


@pytest.mark.parametrize("number", NUMBERS)
def test_a_number_must_be_one(query, number):
    parameters = {"Action": "SendMessage", "QueueUrl": "orders", "MessageBody": "a"}
    answer = query.raw({**parameters, "DelaySeconds": number})
    assert answer.status == 400
    assert query.error(answer) == (
        "MalformedInput",
        "The value of the parameter DelaySeconds must be an integer",
    )
    assert_nothing_was_sent(query)


@pytest.mark.parametrize("number", ["0", "+1", "007", "-0"])
def test_a_number_may_be_written_as_any_integer(query, number):
    answer = query.send("SendMessage", QueueUrl="orders", MessageBody="a", DelaySeconds=number)
    assert answer.status == 200


def test_a_number_out_of_its_range_has_the_error_of_the_operation(query):
    answer = query.send("ReceiveMessage", QueueUrl="orders", WaitTimeSeconds=-1)
    assert query.error(answer) == (
        "InvalidParameterValue",
        "Value -1 for parameter WaitTimeSeconds is invalid. Reason: Must be >= 0 and <= 20, if "
        "provided.",
    )


@pytest.mark.parametrize("value", ["not base64", "AAE", "AA\nE=", "AAE=AAE=", "-_-_", "é", "="])
def test_a_binary_value_must_be_base64(query, value):
    name = "MessageAttribute.1.Value.BinaryValue"
    parameters = {
        "Action": "SendMessage",
        "QueueUrl": "orders",
        "MessageBody": "a",
        "MessageAttribute.1.Name": "b",
        "MessageAttribute.1.Value.DataType": "Binary",
        name: value,
    }
    assert query.error(query.raw(parameters)) == (
        "MalformedInput",
        f"The value of the parameter {name} must be Base64",
    )
    assert_nothing_was_sent(query)


@pytest.mark.parametrize(
    ("operation", "parameters", "message"),
    [
        ("SendMessage", b"MessageBody.1=a", LIST),
        ("SendMessage", b"MessageBody.a=a", STRUCTURE),
        ("SendMessage", b"QueueUrl.member.1=a&MessageBody=a", STRUCTURE),
        ("SendMessage", b"DelaySeconds.1=1&MessageBody=a", LIST),
        ("SendMessage", b"MessageAttribute=a&MessageBody=a", NO_LIST),
        ("SendMessage", b"MessageAttribute.1=a&MessageBody=a", NO_STRUCTURE),
        ("SendMessage", b"MessageAttribute.entry.1.Name=a&MessageBody=a", "MessageAttribute.Name"),
        ("SendMessage", b"MessageAttribute.Name=a&MessageAttribute.1.Name=b", NO_LIST),
        (
            "SendMessage",
            b"MessageBody=a&MessageAttribute.1.Name.1=a&MessageAttribute.1.Value.DataType=String",
            LIST,
        ),
        ("SendMessage", b"MessageBody=a&MessageAttribute.1.Name=a&MessageAttribute.1.Value=b",
         NO_STRUCTURE),
        ("SendMessageBatch", b"SendMessageBatchRequestEntry=a", NO_LIST),
        ("SendMessageBatch", b"SendMessageBatchRequestEntry.1=a", NO_STRUCTURE),
        ("SendMessageBatch", b"SendMessageBatchRequestEntry.1.Id.1=a", LIST),
        ("SendMessageBatch", b"SendMessageBatchRequestEntry.x.1.Id=a",
         "SendMessageBatchRequestEntry.1.Id"),
        ("SendMessageBatch", b"SendMessageBatchRequestEntry.-1.Id=a",
         "SendMessageBatchRequestEntry.1.Id"),
        ("ReceiveMessage", b"AttributeName.member.1=All", NO_LIST),
        ("ReceiveMessage", b"AttributeName.1.x=All", STRUCTURE),
        ("ReceiveMessage", b"AttributeName.1.1=All", LIST),
        ("ReceiveMessage", b"AttributeName.=All", NO_LIST),
        ("ReceiveMessage", b"AttributeName.1e3=All", NO_LIST),
        ("ReceiveMessage", b"AttributeName.1234567890=All", NO_LIST),
        ("UntagQueue", b"TagKey.\xd9\xa1=a", NO_LIST),
        ("TagQueue", b"Tag.1.Key=a", "Tag.1.Value"),
        ("TagQueue", b"Tag.1.Value=a", "Tag.1.Key"),
        ("TagQueue", b"Tag.1.key=a&Tag.1.value=b", "Tag.1.Key"),
        ("SetQueueAttributes", b"Attribute.1.Name=RedrivePolicy", "Attribute.1.Value"),
    ],
)  # fmt: skip
def test_parameters_of_a_wrong_structure_are_refused(query, operation, parameters, message):
    text = f"Action={operation}".encode() + b"&" + parameters
    if b"QueueUrl" not in parameters:
        text += b"&QueueUrl=orders"
    answer = query.raw(text)
    assert answer.status == 400
    is_missing = " " not in message
    expected = ("MissingParameter", MISSING.format(message)) if is_missing else (
        "MalformedInput", message
    )  # fmt: skip
    assert query.error(answer) == expected
    assert_nothing_was_sent(query)
    assert query.call("ListQueueTags", QueueUrl="orders") == {}


@pytest.mark.parametrize(
    "parameters",
    [
        b"AttributeNames.1=Colour&MessageAttributeNames.member.1=a",
        b"Colour=red&Colour.1.Name=a&" + b"a." * 10_000 + b"b=c",
        b"Timestamp=x&Expires=y&Signature=%2B%2F%3D&SignatureMethod=HmacSHA256",
        b".=1&..=2&.a=3&1=4&1.Name=5",
        b"AttributeName=&MessageAttributeName=",
    ],
)
def test_parameters_that_the_operation_does_not_have_are_ignored(query, parameters):
    answer = query.raw(b"Action=ReceiveMessage&QueueUrl=orders&" + parameters)
    assert answer.status == 200
    assert "Messages" not in parse("ReceiveMessage", answer)


def test_the_batch_fails_as_a_whole_when_one_entry_cannot_be_read(query):
    entry = b"&SendMessageBatchRequestEntry.%d.Id=%d&SendMessageBatchRequestEntry.%d.MessageBody=a"
    text = b"Action=SendMessageBatch&QueueUrl=orders" + entry % (1, 1, 1) + entry % (2, 2, 2)
    answer = query.raw(text + b"&SendMessageBatchRequestEntry.2.DelaySeconds=x")
    assert query.error(answer) == (
        "MalformedInput",
        "The value of the parameter SendMessageBatchRequestEntry.2.DelaySeconds must be an integer",
    )
    assert_nothing_was_sent(query)


def assert_nothing_was_sent(query: QueryClient) -> None:
    assert "Messages" not in query.call("ReceiveMessage", QueueUrl="orders")


# Texts that AWS was recorded to send


@pytest.mark.parametrize(
    ("operation", "members", "code", "message"),
    [
        (
            "SendMessage",
            {"MessageBody": "x" * 1025},
            "InvalidParameterValue",
            "One or more parameters are invalid. Reason: Message must be shorter than 1024 bytes.",
        ),
        (
            "SendMessageBatch",
            {"Entries": [{"Id": "1", "MessageBody": "x" * 1_048_577}]},
            "AWS.SimpleQueueService.BatchRequestTooLong",
            "Batch requests cannot be longer than 1048576 bytes. You have sent 1048577 bytes.",
        ),
        (
            "DeleteMessageBatch",
            {"Entries": [{"Id": "invalid:id", "ReceiptHandle": "a"}]},
            "AWS.SimpleQueueService.InvalidBatchEntryId",
            "A batch entry id can only contain alphanumeric characters, hyphens and underscores. "
            "It can be at most 80 letters long.",
        ),
        (
            "DeleteMessageBatch",
            {"Entries": [{"Id": str(n), "ReceiptHandle": "a"} for n in range(20)]},
            "AWS.SimpleQueueService.TooManyEntriesInBatchRequest",
            "Maximum number of entries per request are 10. You have sent 20.",
        ),
        (
            "ReceiveMessage",
            {"WaitTimeSeconds": 21},
            "InvalidParameterValue",
            "Value 21 for parameter WaitTimeSeconds is invalid. Reason: Must be >= 0 and <= 20, "
            "if provided.",
        ),
        (
            "SetQueueAttributes",
            {"Attributes": {"FifoQueue": "true"}},
            "InvalidAttributeName",
            "Unknown Attribute FifoQueue.",
        ),
        (
            "SetQueueAttributes",
            {"Attributes": {"KmsMasterKeyId": "a", "SqsManagedSseEnabled": "true"}},
            "InvalidAttributeName",
            "You can use one type of server-side encryption (SSE) at one time. You can either "
            "enable KMS SSE or SQS SSE.",
        ),
        (
            "CreateQueue",
            {"QueueName": "small", "Attributes": {"DelaySeconds": "1"}},
            "QueueAlreadyExists",
            "A queue already exists with the same name and a different value for attribute "
            "DelaySeconds",
        ),
    ],
)
def test_an_error_has_the_code_and_the_text_that_aws_was_recorded_to_send(
    query, operation, members, code, message
):
    query.call("CreateQueue", QueueName="small", Attributes={"MaximumMessageSize": "1024"})
    if operation != "CreateQueue":
        members = {"QueueUrl": "small", **members}
    answer = query.send(operation, **members)
    assert answer.status == 400
    assert query.error(answer) == (code, message)


FIFO = {"FifoQueue": "true"}
PERMISSION = {"Label": "a", "AWSAccountIds": ["111122223333"], "Actions": ["SendMessage"]}


@pytest.mark.parametrize(
    ("operation", "members", "code", "message"),
    [
        (
            "SendMessage",
            {"QueueUrl": "a.fifo", "MessageBody": "a", "MessageGroupId": "g"},
            "InvalidParameterValue",
            "The queue should either have ContentBasedDeduplication enabled or "
            "MessageDeduplicationId provided explicitly",
        ),
        (
            "SendMessage",
            {"QueueUrl": "a.fifo", "MessageBody": "a", "MessageDeduplicationId": "d"},
            "MissingParameter",
            "The request must contain the parameter MessageGroupId.",
        ),
        (
            "AddPermission",
            {"QueueUrl": "orders", **PERMISSION},
            "InvalidParameterValue",
            "Value a for parameter Label is invalid. Reason: Already exists.",
        ),
    ],
)
def test_fifo_queues_and_permissions_have_the_recorded_errors(
    query, operation, members, code, message
):
    query.call("CreateQueue", QueueName="a.fifo", Attributes=FIFO)
    query.call("AddPermission", QueueUrl="orders", **PERMISSION)
    answer = query.send(operation, **members)
    assert answer.status == 400
    assert query.error(answer) == (code, message)


# Anything at all

PARTS = sorted(
    {
        part
        for shape in (MODEL.shape_for(name) for name in MODEL.shape_names)
        for part in (
            *getattr(shape, "members", {}),
            shape.serialization.get("name", "member"),
            getattr(getattr(shape, "member", None), "serialization", {}).get("name", "entry"),
        )
    }
    | {"", "0", "1", "2", "01", "Name", "Value", "Key", "SendMessageBatchRequestEntry", "Version"}
)
NAMES = st.lists(st.sampled_from(PARTS), min_size=1, max_size=5).map(".".join)
VALUES = st.sampled_from(
    ["", "0", "1", "-1", "99999999999", "orders", "All", "a", "String", "AAE=", "\0\ufffe<&\r"]
) | st.text(st.characters(codec="utf-8"), max_size=8)
REQUESTS = st.tuples(
    st.sampled_from(sorted(SQS.operations)),
    st.dictionaries(NAMES, VALUES, max_size=12),
    st.booleans(),
    st.sampled_from(["POST", "GET"]),
)


@given(st.lists(REQUESTS, min_size=1, max_size=8))
@settings(max_examples=100)
def test_no_parameters_whatever_cause_a_bug(requests):
    asyncio.run(check_all(requests))


async def check_all(requests: list[tuple[str, dict[str, str], bool, str]]) -> None:
    async with open_wire(MemoryStore()) as wire:  # fails at its end when there was a bug
        query = QueryClient(wire)
        query.call("CreateQueue", QueueName="orders")
        for operation, parameters, has_queue, method in requests:
            given = {"QueueUrl": "orders"} if has_queue else {}
            answer = query.raw({**given, **parameters, "Action": operation}, method=method)
            if answer.is_there:  # else it is a long poll
                assert answer.status < 500
                assert parse(operation, answer)["ResponseMetadata"]["RequestId"]


@given(st.binary(max_size=60), st.sampled_from(["POST", "GET"]), st.booleans())
def test_no_bytes_whatever_cause_a_bug(text, method, has_action):
    async def send() -> None:
        async with open_wire(MemoryStore()) as wire:
            query = QueryClient(wire)
            action = b"Action=SendMessage&QueueUrl=a&" if has_action else b""
            answer = query.raw(action + text, method=method)
            assert answer.status in (200, 400, 404)
            assert parse("SendMessage", answer)["ResponseMetadata"]["RequestId"]

    asyncio.run(send())
