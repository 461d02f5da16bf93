"""boto3 against a real daemon: functions are invoked, for their answers and for events."""

from __future__ import annotations

import base64
import json
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.exceptions import ClientError

from tests.acceptance.conftest import Daemon, client_for
from tests.acceptance.lambda_functions import NOTING, Notes, create_function, wait_for

ARN = "arn:aws:lambda:us-east-1:000000000000:function:"
CODE = (
    NOTING
    + """\
import time

def handler(event, context):
    print("event", json.dumps(event))
    todo = event.get("do") if isinstance(event, dict) else None
    if todo == "raise":
        raise ValueError("no good")
    if todo == "sleep":
        note("begun")
        time.sleep(event["seconds"])
        note("ended")
    if todo == "note":
        note({"event": event, "id": context.aws_request_id, "version": context.function_version})
    if todo == "large":
        return "a" * event["bytes"]
    return {
        "event": event,
        "arn": context.invoked_function_arn,
        "id": context.aws_request_id,
        "custom": getattr(context.client_context, "custom", None),
    }
"""
)


@pytest.fixture(scope="session")
def lambdas(clients: Callable[..., Any]) -> Any:
    return clients("lambda")


@pytest.fixture
def notes(tmp_path: Path) -> Notes:
    return Notes(tmp_path / "notes")


@pytest.fixture
def name(lambdas: Any, queue_name: str, notes: Notes) -> Iterator[str]:
    """A function that no other test uses."""
    short = queue_name[-60:]
    create_function(lambdas, short, CODE, Environment=notes.environment)
    yield short
    lambdas.delete_function(FunctionName=short)


def invoke(lambdas: Any, name: str, event: Any, **members: Any) -> Any:
    return lambdas.invoke(FunctionName=name, Payload=json.dumps(event), **members)


def payload(answer: Any) -> Any:
    return json.loads(answer["Payload"].read())


# For an answer


def test_a_function_answers_its_caller(lambdas: Any, name: str) -> None:
    answer = invoke(lambdas, name, {"a": [1.5, "ü", None]})
    assert (answer["StatusCode"], answer["ExecutedVersion"]) == (200, "$LATEST")
    assert "FunctionError" not in answer
    told = payload(answer)
    assert told["event"] == {"a": [1.5, "ü", None]}
    assert told["arn"] == ARN + name
    assert told["id"] == answer["ResponseMetadata"]["RequestId"]
    assert payload(lambdas.invoke(FunctionName=name))["event"] == {}


def test_an_error_of_the_function_is_an_answer(lambdas: Any, name: str) -> None:
    answer = invoke(lambdas, name, {"do": "raise"})
    assert (answer["StatusCode"], answer["FunctionError"]) == (200, "Unhandled")
    told = payload(answer)
    assert (told["errorType"], told["errorMessage"]) == ("ValueError", "no good")
    assert told["stackTrace"]


def test_a_time_out_is_an_answer(lambdas: Any, name: str) -> None:
    lambdas.update_function_configuration(FunctionName=name, Timeout=1)
    answer = invoke(lambdas, name, {"do": "sleep", "seconds": 60})
    assert answer["FunctionError"] == "Unhandled"
    assert payload(answer)["errorMessage"].endswith("Task timed out after 1.00 seconds")
    assert payload(invoke(lambdas, name, 1))["event"] == 1


def test_a_caller_may_have_the_end_of_the_log(lambdas: Any, name: str) -> None:
    answer = invoke(lambdas, name, {"a": 1}, LogType="Tail")
    log = base64.b64decode(answer["LogResult"]).decode()
    request_id = answer["ResponseMetadata"]["RequestId"]
    assert f"START RequestId: {request_id} Version: $LATEST\n" in log
    assert 'event {"a": 1}\n' in log
    assert f"REPORT RequestId: {request_id}\t" in log


def test_a_context_reaches_the_function(lambdas: Any, name: str) -> None:
    context = base64.b64encode(b'{"custom": {"a": "b"}}').decode()
    assert payload(invoke(lambdas, name, 1, ClientContext=context))["custom"] == {"a": "b"}
    with pytest.raises(lambdas.exceptions.InvalidRequestContentException):
        invoke(lambdas, name, 1, ClientContext="string")


def test_versions_and_aliases_are_invoked(lambdas: Any, name: str) -> None:
    lambdas.publish_version(FunctionName=name)
    lambdas.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
    for called, qualifier in ((f"{name}:live", None), (ARN + name, "live"), (name, "1")):
        members = {} if qualifier is None else {"Qualifier": qualifier}
        answer = invoke(lambdas, called, 1, **members)
        assert answer["ExecutedVersion"] == "1"
        assert payload(answer)["arn"] == f"{ARN}{name}:{qualifier or 'live'}"


def test_payloads_are_as_large_as_they_may_be(lambdas: Any, name: str) -> None:
    answer = invoke(lambdas, name, "a" * 3_000_000)
    assert len(payload(answer)["event"]) == 3_000_000
    assert len(payload(invoke(lambdas, name, {"do": "large", "bytes": 6_291_554}))) == 6_291_554
    answer = invoke(lambdas, name, {"do": "large", "bytes": 6_291_555})
    assert answer["FunctionError"] == "Unhandled"
    assert payload(answer)["errorType"] == "Function.ResponseSizeTooLarge"
    with pytest.raises(ClientError) as caught:
        invoke(lambdas, name, "a" * 6_291_456)
    assert caught.value.response["Error"]["Code"] == "RequestEntityTooLargeException"
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 413


def test_invocations_run_side_by_side(lambdas: Any, name: str) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda n: payload(invoke(lambdas, name, n)), range(40)))
    assert [answer["event"] for answer in answers] == list(range(40))
    assert len({answer["id"] for answer in answers}) == 40


def test_a_function_without_concurrency_is_throttled(lambdas: Any, name: str) -> None:
    lambdas.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    with pytest.raises(lambdas.exceptions.TooManyRequestsException) as caught:
        invoke(lambdas, name, 1)
    response = caught.value.response
    assert response["Reason"] == "ReservedFunctionConcurrentInvocationLimitExceeded"
    assert response["ResponseMetadata"]["HTTPHeaders"]["retry-after"] == "1"
    lambdas.delete_function_concurrency(FunctionName=name)
    assert payload(invoke(lambdas, name, 1))["event"] == 1


def test_an_answer_may_be_a_stream(lambdas: Any, name: str) -> None:
    answer = lambdas.invoke_with_response_stream(FunctionName=name, Payload=b'"in parts"')
    events = list(answer["EventStream"])
    chunks = b"".join(e["PayloadChunk"]["Payload"] for e in events if "PayloadChunk" in e)
    assert json.loads(chunks)["event"] == "in parts"
    assert events[-1] == {"InvokeComplete": {}}
    failed = lambdas.invoke_with_response_stream(FunctionName=name, Payload=b'{"do": "raise"}')
    (complete,) = failed["EventStream"]
    assert complete["InvokeComplete"]["ErrorCode"] == "Unhandled"
    assert json.loads(complete["InvokeComplete"]["ErrorDetails"])["errorMessage"] == "no good"


# Callers that leave, daemons that stop


def test_a_function_goes_on_when_its_caller_hangs_up(
    daemon: Daemon, name: str, notes: Notes
) -> None:
    address = urlsplit(daemon.url)
    body = b'{"do": "sleep", "seconds": 0.2}'
    head = (
        f"POST /2015-03-31/functions/{name}/invocations HTTP/1.1\r\nHost: {address.netloc}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    with socket.create_connection((address.hostname, address.port)) as connection:
        connection.sendall(head.encode() + body)
        notes.wait(lambda noted: noted == ["begun"])
    assert notes.wait(lambda noted: "ended" in noted) == ["begun", "ended"]


def test_a_daemon_that_is_told_to_stop_answers_what_it_was_asked(
    own_daemon: Daemon, notes: Notes
) -> None:
    lambdas = client_for(own_daemon.url, "lambda")
    create_function(lambdas, "work", CODE, Environment=notes.environment)
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(invoke, lambdas, "work", {"do": "sleep", "seconds": 0.5})
        notes.wait(lambda noted: noted == ["begun"])
        assert own_daemon.stop() == 0
        assert payload(asked.result())["event"]["do"] == "sleep"
    assert notes.read() == ["begun", "ended"]


# For events


def test_an_event_is_accepted_and_invoked_later(lambdas: Any, name: str, notes: Notes) -> None:
    answer = invoke(lambdas, name, {"do": "note"}, InvocationType="Event")
    assert answer["StatusCode"] == 202
    assert answer["Payload"].read() == b""
    (noted,) = notes.wait(bool)
    assert noted["event"] == {"do": "note"}
    assert noted["id"] == answer["ResponseMetadata"]["RequestId"]
    old = lambdas.invoke_async(FunctionName=name, InvokeArgs=b'{"do": "note", "n": 2}')
    assert old["Status"] == 202
    assert notes.wait(lambda noted: len(noted) == 2)[1]["event"]["n"] == 2


def test_a_record_of_an_event_goes_to_its_destination(
    lambdas: Any, sqs: Any, name: str, queue_name: str
) -> None:
    url = sqs.create_queue(QueueName=queue_name)["QueueUrl"]
    arn = f"arn:aws:sqs:us-east-1:000000000000:{queue_name}"
    lambdas.put_function_event_invoke_config(
        FunctionName=name,
        MaximumRetryAttempts=0,
        DestinationConfig={
            "OnSuccess": {"Destination": arn},
            "OnFailure": {"Destination": arn},
        },
    )
    for event, condition in (({"a": 1}, "Success"), ({"do": "raise"}, "RetriesExhausted")):
        invoke(lambdas, name, event, InvocationType="Event")
        (message,) = wait_for(
            lambda: sqs.receive_message(QueueUrl=url, WaitTimeSeconds=5).get("Messages"), bool
        )
        sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        record = json.loads(message["Body"])
        assert record["requestContext"]["condition"] == condition
        assert record["requestContext"]["functionArn"] == f"{ARN}{name}:$LATEST"
        assert record["requestPayload"] == event
    assert record["responsePayload"]["errorMessage"] == "no good"


def test_an_accepted_event_outlives_the_daemon(own_daemon: Daemon, notes: Notes) -> None:
    lambdas = client_for(own_daemon.url, "lambda")
    create_function(lambdas, "work", CODE, Environment=notes.environment)
    lambdas.put_function_concurrency(FunctionName="work", ReservedConcurrentExecutions=0)
    invoke(lambdas, "work", {"do": "note"}, InvocationType="Event")
    own_daemon.kill()
    assert notes.read() == []
    own_daemon.start()
    lambdas = client_for(own_daemon.url, "lambda")
    lambdas.delete_function_concurrency(FunctionName="work")
    (noted,) = notes.wait(bool)
    assert noted["event"] == {"do": "note"}
