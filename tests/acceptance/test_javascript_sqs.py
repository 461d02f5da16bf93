"""The AWS SDK for JavaScript, version 3, and sqs-consumer against a real daemon.

The scenarios are in `javascript/*.mjs`; each test runs one of them with node and checks what it
saw (`node.py`).
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.acceptance.node import IS_REQUIRED, start, why_not

SECONDS_MAX = 100

Play = Callable[[str, str], Any]

MISSING = why_not()

if MISSING is not None and not IS_REQUIRED:
    pytest.skip(MISSING, allow_module_level=True)


@pytest.fixture
def queue_name(queue_name: str) -> str:
    """A name that no other test of any file uses, with room for what a scenario appends."""
    return f"javascript-{queue_name[-55:]}"


@pytest.fixture
def play(daemon, queue_name) -> Play:
    """Runs a scenario of a file in a process of its own, and returns what it saw."""
    if MISSING is not None:
        pytest.fail(f"EVENTCORE_REQUIRE_NODE is 1, and {MISSING}")

    def run(file: str, scenario: str) -> Any:
        process = start(file, scenario, daemon.url, queue_name)
        try:
            out, errors = process.communicate(timeout=SECONDS_MAX)
        finally:
            process.kill()
        assert process.returncode == 0, errors
        return json.loads(out)

    return run


# --- standard queues ------------------------------------------------------------------------------


def test_a_queue_is_created_found_changed_tagged_and_deleted(play, daemon, queue_name):
    seen = play("standard.mjs", "queueLife")
    assert seen["QueueUrl"] == f"{daemon.url}/000000000000/{queue_name}"
    assert seen["found"] == seen["QueueUrl"]
    assert seen["listed"] == [seen["QueueUrl"]]
    assert seen["before"]["VisibilityTimeout"] == "45"
    assert seen["before"]["ApproximateNumberOfMessages"] == "0"
    arn = f"arn:aws:sqs:us-east-1:000000000000:{queue_name}"
    assert seen["after"] == {"VisibilityTimeout": "46", "QueueArn": arn}
    assert seen["Tags"] == {"team": "c"}
    assert seen["gone"]["isInstance"]


def test_lists_are_read_page_by_page(play):
    seen = play("standard.mjs", "pages")
    assert [len(page) for page in seen["queues"]] == [2, 2]
    assert flat(seen["queues"]) == [seen["dead"], *seen["sources"]]
    assert seen["deadLetterSources"] == [seen["sources"][:2], seen["sources"][2:]]


def test_a_message_keeps_every_kind_of_attribute(play):
    seen = play("standard.mjs", "messageAttributes")
    body = "body é€😀\ttab\nline"
    assert seen["sent"]["MD5OfMessageBody"] == hashlib.md5(body.encode()).hexdigest()
    message = seen["received"]
    assert message["Body"] == body
    assert message["MessageId"] == seen["sent"]["MessageId"]
    assert message["MessageAttributes"] == {
        "text": {"DataType": "String", "StringValue": "é€😀"},
        "text.labelled": {"DataType": "String.json", "StringValue": "{}"},
        "number": {"DataType": "Number", "StringValue": "-1.50"},
        "number.labelled": {"DataType": "Number.int", "StringValue": "7"},
        "binary": {"DataType": "Binary", "BinaryValue": as_base64(b"\x00\x7f\xff")},
        "binary.labelled": {"DataType": "Binary.gif", "BinaryValue": as_base64(b"GIF")},
    }
    digest = md5_of_attributes(message["MessageAttributes"])
    assert seen["sent"]["MD5OfMessageAttributes"] == digest
    assert message["MD5OfMessageAttributes"] == digest
    attributes = message["Attributes"]
    assert attributes["AWSTraceHeader"] == "Root=1-5759e988-bd862e3fe1be46a994272793"
    assert attributes["ApproximateReceiveCount"] == "1"
    assert attributes["SentTimestamp"] <= attributes["ApproximateFirstReceiveTimestamp"]


def test_a_receiver_gets_the_attributes_that_it_asks_for(play):
    seen = play("standard.mjs", "messageAttributes")
    assert seen["labelled"]["MessageAttributes"].keys() == {"number", "text.labelled"}
    digest = md5_of_attributes(seen["labelled"]["MessageAttributes"])
    assert seen["labelled"]["MD5OfMessageAttributes"] == digest
    assert list(seen["labelled"]["Attributes"]) == ["SentTimestamp"]
    assert seen["bare"].keys() == {"MessageId", "ReceiptHandle", "MD5OfBody", "Body"}


def test_each_entry_of_a_batch_has_its_own_result(play):
    seen = play("standard.mjs", "batches")
    assert [entry["Id"] for entry in seen["sent"]["Successful"]] == [f"id-{n}" for n in range(9)]
    (failed,) = seen["sent"]["Failed"]
    assert (failed["Id"], failed["Code"]) == ("id-9", "InvalidMessageContents")
    assert failed["SenderFault"]
    assert {
        message["Body"]: message["MessageAttributes"]["number"]["StringValue"]
        for message in seen["messages"]
    } == {f"body {number}": str(number) for number in range(9)}
    for answer in (seen["changed"], seen["deleted"]):
        assert len(answer["Successful"]) == 9
        (failed,) = answer["Failed"]
        assert (failed["Id"], failed["Code"]) == ("wrong", "ReceiptHandleIsInvalid")
    assert counts(seen["left"]) == (0, 0, 0)


def test_a_message_given_back_is_received_again_and_a_deleted_one_is_not(play):
    seen = play("standard.mjs", "visibility")
    assert seen["hidden"] == []
    assert seen["second"]["MessageId"] == seen["first"]["MessageId"]
    assert seen["first"]["Attributes"] == {"ApproximateReceiveCount": "1"}
    assert seen["second"]["Attributes"] == {"ApproximateReceiveCount": "2"}
    assert counts(seen["left"]) == (0, 0, 0)


def test_a_long_poll_is_woken_by_a_message_and_ends_empty_without_one(play):
    seen = play("standard.mjs", "longPoll")
    assert seen["empty"] == []
    assert seen["wasWaiting"]
    assert [message["Body"] for message in seen["woken"]] == ["wake"]


def test_a_purge_leaves_nothing(play):
    seen = play("standard.mjs", "purge")
    assert counts(seen["before"]) == (1, 1, 1)
    assert counts(seen["after"]) == (0, 0, 0)


def test_errors_are_of_the_classes_that_the_sdk_has_for_them(play):
    seen = play("standard.mjs", "errors")
    assert [name for name, error in seen.items() if not (error and error["isInstance"])] == []
    assert {name: error["name"] for name, error in seen.items()} == {
        "send": "QueueDoesNotExist",
        "url": "QueueDoesNotExist",
        "anyOfTheService": "QueueDoesNotExist",
        "exists": "QueueNameExists",
        "attribute": "InvalidAttributeName",
        "contents": "InvalidMessageContents",
        "handle": "ReceiptHandleIsInvalid",
        "emptyBatch": "EmptyBatchRequest",
        "sameIds": "BatchEntryIdsNotDistinct",
        "tooMany": "TooManyEntriesInBatchRequest",
    }
    assert all(error["fault"] == "client" for error in seen.values())
    assert {name for name, error in seen.items() if error["status"] != 400} <= {"handle"}
    assert seen["url"]["message"] == "The specified queue does not exist."


# --- FIFO queues ----------------------------------------------------------------------------------


def test_a_group_is_received_in_order_and_one_receiver_at_a_time(play):
    seen = play("fifo.mjs", "order")
    numbers = [int(sent["SequenceNumber"]) for sent in seen["sent"]]
    assert numbers == sorted(set(numbers))
    assert all(len(sent["SequenceNumber"]) == 20 for sent in seen["sent"])
    assert seen["first"]["Body"] == "a1"
    assert seen["first"]["Attributes"]["SequenceNumber"] == seen["sent"][0]["SequenceNumber"]
    assert seen["first"]["Attributes"]["MessageGroupId"] == "a"
    assert seen["first"]["Attributes"]["MessageDeduplicationId"] == "id-0"
    assert bodies(seen["behindTheFirst"]) == ["b1", "b2"]
    assert seen["blocked"] == []
    assert bodies(seen["afterTheDelete"]) == ["a2", "a3"]


def test_a_repeated_deduplication_id_is_accepted_and_sends_nothing(play):
    seen = play("fifo.mjs", "deduplication")
    for repeated in (seen["repeated"], seen["afterTheDelete"]):
        assert repeated["MessageId"] == seen["first"]["MessageId"]
        assert repeated["SequenceNumber"] == seen["first"]["SequenceNumber"]
    assert bodies(seen["received"]) == ["first"]
    assert seen["left"] == []


def test_a_repeated_body_sends_nothing_where_the_content_is_the_id(play):
    seen = play("fifo.mjs", "contentDeduplication")
    assert seen["repeated"]["MessageId"] == seen["first"]["MessageId"]
    assert seen["other"]["MessageId"] != seen["first"]["MessageId"]
    assert bodies(seen["received"]) == ["body", "other body"]
    digest = hashlib.sha256(b"body").hexdigest()
    assert seen["received"][0]["Attributes"]["MessageDeduplicationId"] == digest


def test_a_batch_keeps_its_order_and_is_refused_as_a_whole_without_a_group(play):
    seen = play("fifo.mjs", "batch")
    numbers = [int(entry["SequenceNumber"]) for entry in seen["sent"]["Successful"]]
    assert numbers == sorted(set(numbers))
    assert seen["repeated"]["Successful"] == seen["sent"]["Successful"]
    assert seen["noGroup"]["message"] == "The request must contain the parameter MessageGroupId."
    assert bodies(seen["received"]) == [str(number) for number in range(10)]


def test_what_a_fifo_queue_lacks_is_named_in_the_error(play):
    seen = play("fifo.mjs", "errors")
    assert seen["attributes"] == {"FifoQueue": "true", "ContentBasedDeduplication": "false"}
    assert seen["noGroup"]["message"] == "The request must contain the parameter MessageGroupId."
    assert seen["noId"]["message"] == (
        "The queue should either have ContentBasedDeduplication enabled "
        "or MessageDeduplicationId provided explicitly"
    )
    assert all(seen[name]["isInstance"] for name in ("noGroup", "noId", "noSuffix"))
    assert {seen[name]["status"] for name in ("noGroup", "noId", "noSuffix")} == {400}


# --- sqs-consumer ---------------------------------------------------------------------------------


def test_a_consumer_handles_fifty_messages_in_batches(play):
    seen = play("consumer.mjs", "batches")
    assert sorted(map(int, flat(seen["handled"]))) == list(range(50))
    assert max(map(len, seen["handled"])) == 10
    assert seen["counts"] == [0, 0]


@pytest.mark.parametrize("scenario", ["failureGivenBack", "failureTimedOut"])
def test_a_message_whose_handler_fails_is_received_again(play, scenario):
    seen = play("consumer.mjs", scenario)
    assert seen["receiveCounts"] == ["1", "2", "3"]
    assert seen["messages"] == ["Unexpected message handler failure: not yet"] * 2
    assert seen["counts"] == [0, 0]


def test_clients_without_options_take_them_from_the_environment_and_the_queue_url(play):
    assert play("consumer.mjs", "environment") == {"bodies": ["a"], "counts": [0, 0]}


def test_a_consumer_that_is_stopped_finishes_what_it_handles_and_takes_no_more(play):
    seen = play("consumer.mjs", "stopDrains")
    assert seen["events"] == [
        "handling",
        "waiting_for_polling_to_complete",
        "message_processed",
        "stopped",
    ]
    assert seen["during"] == [1, 1]
    assert seen["after"] == [1, 0]


def test_a_consumer_that_aborts_its_long_poll_takes_no_message(play):
    seen = play("consumer.mjs", "abortedPoll")
    assert seen["isPolling"]
    assert "aborted" in seen["error"]
    assert seen["bodies"] == ["for somebody else"]


def flat(lists: list[list[Any]]) -> list[Any]:
    return [item for inner in lists for item in inner]


def bodies(messages: list[Any]) -> list[str]:
    return [message["Body"] for message in messages]


def counts(attributes: dict[str, str]) -> tuple[int, ...]:
    """Visible, in flight, delayed."""
    names = ["", "NotVisible", "Delayed"]
    return tuple(int(attributes["ApproximateNumberOfMessages" + name]) for name in names)


def as_base64(value: bytes) -> str:
    return base64.b64encode(value).decode()


def md5_of_attributes(attributes: dict[str, dict[str, str]]) -> str:
    """As AWS documents it: name, type, 1 or 2, value; each with its length in front, by name."""
    digest = hashlib.md5()
    for name, attribute in sorted(attributes.items()):
        is_binary = attribute["DataType"].startswith("Binary")
        if is_binary:
            value = base64.b64decode(attribute["BinaryValue"])
        else:
            value = attribute["StringValue"].encode()
        parts = [name.encode(), attribute["DataType"].encode(), value]
        encoded = [len(part).to_bytes(4) + part for part in parts]
        digest.update(b"".join([*encoded[:2], b"\2" if is_binary else b"\1", encoded[2]]))
    return digest.hexdigest()
