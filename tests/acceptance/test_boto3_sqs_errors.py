"""Every error that botocore's model of SQS documents for an operation, provoked with boto3.

Two tables have them all: PROVOKED says how an error is brought about, and in which daemon; NEVER
says which do not come here, and why. A test compares them with the model, so that none is
forgotten, and docs/coverage.md tells the second one.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import botocore.session
import pytest
from botocore.exceptions import ClientError

from tests.acceptance.conftest import Daemon, client_for

MODEL = botocore.session.get_session().get_service_model("sqs")
RELAXED, STRICT, SMALL = "relaxed", "strict", "small"
DAEMONS = {
    RELAXED: (),
    STRICT: ("--strictness", "aws"),
    SMALL: ("--quota", "in_flight_max=1", "--quota", "fifo_calls_per_s=1"),
}
ARN = "arn:aws:sqs:us-east-1:000000000000:"
FORBIDDEN = {"OverLimit", "PurgeQueueInProgress", "RequestThrottled"}
THROTTLE = {"eventcore:chaos": "throttle=1"}

Call = Callable[[Any, str], object]
"""(client, a name that no other test uses) -> provokes the error."""


class Provoked(NamedTuple):
    """How an error comes: the call, and the daemon that it is made to."""

    call: Call
    daemon: str = RELAXED


# Calls

HANDLE = {"Id": "1", "ReceiptHandle": "x"}
ADDRESSED: dict[str, dict[str, Any]] = {
    # Operations on a queue by its URL, and what else they need.
    "AddPermission": {"Label": "a", "AWSAccountIds": ["111122223333"], "Actions": ["*"]},
    "ChangeMessageVisibility": {"ReceiptHandle": "x", "VisibilityTimeout": 1},
    "ChangeMessageVisibilityBatch": {"Entries": [{**HANDLE, "VisibilityTimeout": 1}]},
    "DeleteMessage": {"ReceiptHandle": "x"},
    "DeleteMessageBatch": {"Entries": [HANDLE]},
    "DeleteQueue": {},
    "GetQueueAttributes": {"AttributeNames": ["All"]},
    "ListDeadLetterSourceQueues": {},
    "ListQueueTags": {},
    "PurgeQueue": {},
    "ReceiveMessage": {},
    "RemovePermission": {"Label": "a"},
    "SendMessage": {"MessageBody": "a"},
    "SendMessageBatch": {"Entries": [{"Id": "1", "MessageBody": "a"}]},
    "SetQueueAttributes": {"Attributes": {"DelaySeconds": "1"}},
    "TagQueue": {"Tags": {"a": "b"}},
    "UntagQueue": {"TagKeys": ["a"]},
}
ABOUT_MESSAGES = (
    "ChangeMessageVisibility",
    "ChangeMessageVisibilityBatch",
    "DeleteMessage",
    "DeleteMessageBatch",
    "ReceiveMessage",
    "SendMessage",
    "SendMessageBatch",
)
BATCHES = ("ChangeMessageVisibilityBatch", "DeleteMessageBatch", "SendMessageBatch")


def request(sqs: Any, operation: str, **members: Any) -> Any:
    """Calls an operation by its name in the model."""
    method = {name: method for method, name in sqs.meta.method_to_api_mapping.items()}[operation]
    return getattr(sqs, method)(**members)


def create(sqs: Any, name: str, tags: dict[str, str] | None = None, **attributes: str) -> str:
    answer = sqs.create_queue(QueueName=name, Attributes=attributes, tags=tags or {})
    return str(answer["QueueUrl"])


def on_url(operation: str, url: str) -> Call:
    """The operation on a URL that names no queue."""
    return lambda sqs, name: request(sqs, operation, QueueUrl=url, **ADDRESSED[operation])


def on_queue(operation: str, **members: Any) -> Call:
    """The operation on a new queue, with other members."""
    given = {**ADDRESSED[operation], **members}
    return lambda sqs, name: request(sqs, operation, QueueUrl=create(sqs, name), **given)


def throttled(operation: str) -> Call:
    """The operation on a queue whose chaos refuses all calls."""
    given = ADDRESSED[operation]
    return lambda sqs, name: request(sqs, operation, QueueUrl=create(sqs, name, THROTTLE), **given)


def with_entries(operation: str, *ids: str) -> Call:
    """A batch of entries with these ids."""
    (entry,) = ADDRESSED[operation]["Entries"]
    return on_queue(operation, Entries=[{**entry, "Id": entry_id} for entry_id in ids])


def create_again_at_once(sqs: Any, name: str) -> None:
    sqs.delete_queue(QueueUrl=create(sqs, name))
    create(sqs, name)


def create_with_another_value(sqs: Any, name: str) -> None:
    create(sqs, name, DelaySeconds="1")
    create(sqs, name, DelaySeconds="2")


def purge_twice(sqs: Any, name: str) -> None:
    url = create(sqs, name)
    for _ in range(2):
        sqs.purge_queue(QueueUrl=url)


def receive_more_than_may_be_in_flight(sqs: Any, name: str) -> None:
    url = create(sqs, name)
    for _ in range(2):
        sqs.send_message(QueueUrl=url, MessageBody="a")
    for _ in range(2):
        sqs.receive_message(QueueUrl=url)


def send_lists(sqs: Any, name: str) -> None:
    attribute = {"a": {"DataType": "String", "StringListValues": ["b"]}}
    sqs.send_message(QueueUrl=create(sqs, name), MessageBody="a", MessageAttributes=attribute)


STATEMENT = {"Effect": "Deny", "Principal": "*", "Action": "*", "Resource": "*"}
TOO_MUCH_POLICY = {"Policy": json.dumps({"Statement": [STATEMENT] * 21})}
HALF_A_BATCH = "x" * 524_289
TOO_LONG_BATCH = [{"Id": str(number), "MessageBody": HALF_A_BATCH} for number in range(2)]

PROVOKED: dict[tuple[str, str], Provoked] = {
    **{
        (operation, "QueueDoesNotExist"): Provoked(on_url(operation, "/000000000000/nowhere"))
        for operation in ADDRESSED
    },
    **{
        (operation, "InvalidAddress"): Provoked(on_url(operation, "http://localhost:9324/"))
        for operation in ADDRESSED
    },
    **{
        (operation, "RequestThrottled"): Provoked(throttled(operation))
        for operation in ABOUT_MESSAGES
    },
    **{
        (operation, shape): Provoked(with_entries(operation, *ids))
        for operation in BATCHES
        for shape, ids in {
            "EmptyBatchRequest": (),
            "TooManyEntriesInBatchRequest": tuple(map(str, range(11))),
            "BatchEntryIdsNotDistinct": ("1", "1"),
            "InvalidBatchEntryId": ("a b",),
        }.items()
    },
    **{
        (operation, "ResourceNotFoundException"): Provoked(
            lambda sqs, name, operation=operation: request(  # type: ignore[misc]
                sqs, operation, SourceArn=ARN + "nowhere"
            )
        )
        for operation in ("ListMessageMoveTasks", "StartMessageMoveTask")
    },
    ("AddPermission", "OverLimit"): Provoked(on_queue("AddPermission", Actions=["*"] * 8)),
    ("CancelMessageMoveTask", "ResourceNotFoundException"): Provoked(
        lambda sqs, name: sqs.cancel_message_move_task(TaskHandle="none")
    ),
    ("ChangeMessageVisibility", "ReceiptHandleIsInvalid"): Provoked(
        on_queue("ChangeMessageVisibility")
    ),
    ("CreateQueue", "InvalidAttributeName"): Provoked(
        lambda sqs, name: create(sqs, name, FifoQueue="false")
    ),
    ("CreateQueue", "InvalidAttributeValue"): Provoked(
        lambda sqs, name: create(sqs, name, DelaySeconds="901")
    ),
    ("CreateQueue", "QueueDeletedRecently"): Provoked(create_again_at_once, STRICT),
    ("CreateQueue", "QueueNameExists"): Provoked(create_with_another_value),
    ("DeleteMessage", "ReceiptHandleIsInvalid"): Provoked(on_queue("DeleteMessage")),
    ("GetQueueAttributes", "InvalidAttributeName"): Provoked(
        on_queue("GetQueueAttributes", AttributeNames=["FifoQueue"])
    ),
    ("GetQueueUrl", "InvalidAddress"): Provoked(
        lambda sqs, name: sqs.get_queue_url(QueueName=name, QueueOwnerAWSAccountId="me")
    ),
    ("GetQueueUrl", "QueueDoesNotExist"): Provoked(
        lambda sqs, name: sqs.get_queue_url(QueueName=name)
    ),
    ("PurgeQueue", "PurgeQueueInProgress"): Provoked(purge_twice, STRICT),
    ("ReceiveMessage", "OverLimit"): Provoked(receive_more_than_may_be_in_flight, SMALL),
    ("SendMessage", "InvalidMessageContents"): Provoked(
        on_queue("SendMessage", MessageBody="bell\a")
    ),
    ("SendMessage", "UnsupportedOperation"): Provoked(send_lists),
    ("SendMessageBatch", "BatchRequestTooLong"): Provoked(
        on_queue("SendMessageBatch", Entries=TOO_LONG_BATCH)
    ),
    ("SetQueueAttributes", "InvalidAttributeName"): Provoked(
        on_queue("SetQueueAttributes", Attributes={"ContentBasedDeduplication": "true"})
    ),
    ("SetQueueAttributes", "InvalidAttributeValue"): Provoked(
        on_queue("SetQueueAttributes", Attributes={"VisibilityTimeout": "-1"})
    ),
    ("SetQueueAttributes", "OverLimit"): Provoked(
        on_queue("SetQueueAttributes", Attributes=TOO_MUCH_POLICY)
    ),
}

# What does not come

EVERY = frozenset(MODEL.operation_names)
ENCRYPTED = frozenset(("ReceiveMessage", "SendMessage", "SendMessageBatch"))
NOT_ENCRYPTED = "nothing is encrypted, so no key is asked for"
WITHOUT_URL = frozenset(
    (
        "CancelMessageMoveTask",
        "CreateQueue",
        "ListMessageMoveTasks",
        "ListQueues",
        "StartMessageMoveTask",
    )
)
NEVER: dict[str, tuple[frozenset[str], str]] = {
    "InvalidSecurity": (EVERY, "neither HTTPS nor a signature is demanded"),
    **dict.fromkeys(
        (
            "KmsAccessDenied",
            "KmsDisabled",
            "KmsInvalidKeyUsage",
            "KmsInvalidState",
            "KmsNotFound",
            "KmsOptInRequired",
            "KmsThrottled",
        ),
        (ENCRYPTED, NOT_ENCRYPTED),
    ),
    "InvalidIdFormat": (
        frozenset(("DeleteMessage",)),
        "AWS has replaced it with ReceiptHandleIsInvalid",
    ),
    "MessageNotInflight": (
        frozenset(("ChangeMessageVisibility",)),
        "AWS answers with InvalidParameterValue where the message is gone, and succeeds where it "
        "is visible again",
    ),
    "InvalidAddress": (WITHOUT_URL, "the operation takes no queue URL and no account"),
    "RequestThrottled": (
        EVERY - set(ABOUT_MESSAGES),
        "only calls about messages are limited; a queue with chaos can still be changed",
    ),
    "UnsupportedOperation": (
        EVERY - {"SendMessage"},
        "nothing of the operation is unsupported; in a batch it fails an entry",
    ),
}


def test_the_tables_have_every_error_that_the_model_documents():
    documented = {
        (name, shape.name)
        for name in MODEL.operation_names
        for shape in MODEL.operation_model(name).error_shapes
    }
    never = {(name, shape) for shape, (names, _) in NEVER.items() for name in names}
    assert not never & PROVOKED.keys()
    assert documented == never | PROVOKED.keys()
    assert {shape.name for shape in MODEL.error_shapes} == {shape for _, shape in documented}


@pytest.fixture(scope="module")
def clients(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """A client for each daemon, by the daemon's name."""
    running: dict[str, Daemon] = {}
    try:
        for name, options in DAEMONS.items():
            running[name] = Daemon(tmp_path_factory.mktemp(name) / "data", *options)
            running[name].start()
        yield {name: client_for(daemon.url, "sqs") for name, daemon in running.items()}
        for daemon in running.values():
            assert daemon.stop() == 0, daemon.log.read_text()[-4000:]
            assert "by_a_bug" not in daemon.log.read_text()
    finally:
        for daemon in running.values():
            daemon.kill()


def raised(call: Callable[[], object]) -> ClientError:
    with pytest.raises(ClientError) as caught:
        call()
    return caught.value


@pytest.mark.parametrize(
    ("operation", "shape"), sorted(PROVOKED), ids=lambda value: value or "none"
)
def test_an_error_is_raised_as_the_exception_of_its_name(clients, operation, shape):
    call, daemon = PROVOKED[operation, shape]
    sqs = clients[daemon]
    error = raised(lambda: call(sqs, f"{operation}-{shape}"[:80]))
    assert type(error) is getattr(sqs.exceptions, shape)
    assert error.operation_name == operation
    answer: dict[str, Any] = dict(error.response)
    assert answer["Error"]["QueryErrorCode"] == shape
    assert answer["Error"]["Type"] == "Sender"
    assert answer["Error"]["Message"]
    status = 404 if shape == "ResourceNotFoundException" else 403 if shape in FORBIDDEN else 400
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == status


OLDER_CODES = {
    "QueueDoesNotExist": "AWS.SimpleQueueService.NonExistentQueue",
    "QueueNameExists": "QueueAlreadyExists",
    **{
        name: f"AWS.SimpleQueueService.{name}"
        for name in (
            "BatchEntryIdsNotDistinct",
            "BatchRequestTooLong",
            "EmptyBatchRequest",
            "InvalidBatchEntryId",
            "PurgeQueueInProgress",
            "QueueDeletedRecently",
            "TooManyEntriesInBatchRequest",
            "UnsupportedOperation",
        )
    },
}


@pytest.mark.parametrize("shape", sorted({shape for _, shape in PROVOKED}))
def test_an_error_has_the_older_code_that_programs_compare_with(clients, shape):
    operation = min(name for name, provoked in PROVOKED if provoked == shape)
    call, daemon = PROVOKED[operation, shape]
    error = raised(lambda: call(clients[daemon], f"older-{operation}-{shape}"[:80]))
    assert error.response["Error"]["Code"] == OLDER_CODES.get(shape, shape)


def test_a_fifo_queue_is_throttled_over_its_quota_of_calls(clients):
    sqs = clients[SMALL]
    url = create(sqs, "busy.fifo", FifoQueue="true", ContentBasedDeduplication="true")

    def send_many() -> None:
        for number in range(100):  # two of them within a second are enough
            sqs.send_message(QueueUrl=url, MessageBody=str(number), MessageGroupId="g")

    assert type(raised(send_many)) is sqs.exceptions.RequestThrottled


def test_what_boto3_has_no_exception_for_is_told_by_its_code(clients):
    sqs = clients[RELAXED]
    url = create(sqs, "unmodelled")
    cases: list[tuple[Callable[[], object], str, str]] = [
        (
            lambda: sqs.send_message(QueueUrl=url, MessageBody="a", DelaySeconds=901),
            "InvalidParameterValue",
            "InvalidParameterValueException",
        ),
        (
            lambda: sqs.send_message(QueueUrl=url, MessageBody=""),
            "MissingParameter",
            "MissingRequiredParameterException",
        ),
    ]
    for call, code, name in cases:
        error = raised(call)
        assert type(error) is ClientError
        assert error.response["Error"]["Code"] == code
        assert error.response["Error"]["QueryErrorCode"] == name
