"""AWS's own runtime client for Python, as it is, in functions that a daemon runs: their zip brings
a `bootstrap` that starts it.
"""

from __future__ import annotations

import base64
import io
import json
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.lambda_functions import NOTING, ROLE, Notes, wait_for

pytest.importorskip("awslambdaric")

BOOTSTRAP = f"""#!/bin/sh
cd "$LAMBDA_TASK_ROOT"
exec {sys.executable} -m awslambdaric "$_HANDLER"
"""
EXECUTABLE = 0o100755 << 16
CODE = (
    NOTING
    + """\
import logging, sys, time

class OrderRefused(Exception): ...

def handler(event, context):
    print("took", json.dumps(event))
    todo = event.get("do") if isinstance(event, dict) else None
    if todo == "raise":
        raise OrderRefused("too many")
    if todo == "sleep":
        time.sleep(60)
    if todo == "exit":
        sys.exit(4)
    if todo == "unreadable":
        return {1, 2}
    if todo == "log":
        logging.getLogger().warning("careful")
    if todo == "note":
        note([event, context.aws_request_id])
    return {
        "event": event,
        "id": context.aws_request_id,
        "arn": context.invoked_function_arn,
        "version": context.function_version,
        "memory": context.memory_limit_in_mb,
        "custom": getattr(context.client_context, "custom", None),
        "is_in_time": 0 < context.get_remaining_time_in_millis() <= 5000,
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
def create(lambdas: Any, queue_name: str, notes: Notes) -> Iterator[Callable[..., str]]:
    """Makes the test's function, of this code; returns its name."""
    name = queue_name[-64:]

    def created(code: str = CODE, handler: str = "app.handler") -> str:
        lambdas.create_function(
            FunctionName=name,
            Runtime="provided.al2023",
            Handler=handler,
            Role=ROLE,
            Timeout=5,
            MemorySize=256,
            Environment=notes.environment,
            Code={"ZipFile": package(code)},
        )
        lambdas.get_waiter("function_active_v2").wait(FunctionName=name)
        return name

    yield created
    lambdas.delete_function(FunctionName=name)


def package(code: str) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        bootstrap = zipfile.ZipInfo("bootstrap")
        bootstrap.external_attr = EXECUTABLE
        archive.writestr(bootstrap, BOOTSTRAP)
        archive.writestr("app.py", code)
    return packed.getvalue()


def invoke(lambdas: Any, name: str, event: Any, **members: Any) -> tuple[Any, Any, str]:
    """The answer, its payload, and the end of the log."""
    given = {"LogType": "Tail", **members}
    answer = lambdas.invoke(FunctionName=name, Payload=json.dumps(event), **given)
    tail = base64.b64decode(answer.get("LogResult", "")).decode()
    return answer, json.loads(answer["Payload"].read() or b"null"), tail


def test_it_answers_one_event_after_another(lambdas, create):
    name = create()
    context = base64.b64encode(b'{"custom": {"a": "b"}}').decode()
    events: list[Any] = [{"text": "ü€😀", "n": [1, 2.5, None]}, "text", [], {}]
    for event in events:
        answer, told, tail = invoke(lambdas, name, event, ClientContext=context)
        assert told == {
            "event": event,
            "id": answer["ResponseMetadata"]["RequestId"],
            "arn": f"arn:aws:lambda:us-east-1:000000000000:function:{name}",
            "version": "$LATEST",
            "memory": "256",
            "custom": {"a": "b"},
            "is_in_time": True,
        }
        assert f"\ntook {json.dumps(event)}\n" in tail


def test_what_a_handler_raises_is_told_with_its_trace(lambdas, create):
    name = create()
    for _ in range(2):
        answer, told, tail = invoke(lambdas, name, {"do": "raise"})
        assert (answer["StatusCode"], answer["FunctionError"]) == (200, "Unhandled")
        assert (told["errorType"], told["errorMessage"]) == ("OrderRefused", "too many")
        assert told["requestId"] == answer["ResponseMetadata"]["RequestId"]
        assert "in handler" in told["stackTrace"][0]
        assert "[ERROR] OrderRefused: too many\n" in tail
    assert invoke(lambdas, name, 1)[1]["event"] == 1
    answer, told, _ = invoke(lambdas, name, {"do": "unreadable"})
    assert (answer["FunctionError"], told["errorType"]) == ("Unhandled", "Runtime.MarshalError")


def test_what_it_logs_has_the_request_id(lambdas, create):
    name = create()
    answer, _, tail = invoke(lambdas, name, {"do": "log"})
    (line,) = (line for line in tail.splitlines() if "careful" in line)
    assert line.startswith("[WARNING]\t")
    assert answer["ResponseMetadata"]["RequestId"] in line


def test_a_time_out_ends_it_and_the_next_event_starts_another(lambdas, create):
    name = create()
    lambdas.update_function_configuration(FunctionName=name, Timeout=1)
    lambdas.get_waiter("function_updated_v2").wait(FunctionName=name)
    answer, told, tail = invoke(lambdas, name, {"do": "sleep"})
    assert answer["FunctionError"] == "Unhandled"
    assert told["errorMessage"].endswith("Task timed out after 1.00 seconds")
    assert "Status: timeout" in tail
    assert invoke(lambdas, name, 2)[1]["event"] == 2


def test_a_handler_that_ends_the_process_is_an_error(lambdas, create):
    name = create()
    answer, told, _ = invoke(lambdas, name, {"do": "exit"})
    assert answer["FunctionError"] == "Unhandled"
    assert told["errorType"] == "Runtime.ExitError"
    assert invoke(lambdas, name, 3)[1]["event"] == 3


@pytest.mark.parametrize(
    ("code", "handler", "error"),
    [
        ("def other(event, context): ...", "app.handler", "Runtime.HandlerNotFound"),
        ("def handler(:", "app.handler", "Runtime.UserCodeSyntaxError"),
        ("import nowhere", "app.handler", "Runtime.ImportModuleError"),
        (CODE, "handler", "Runtime.MalformedHandlerName"),
    ],
)
def test_what_it_can_not_start_is_told_as_it_says_it(lambdas, create, code, handler, error):
    name = create(code, handler)
    answer, told, tail = invoke(lambdas, name, 1)
    assert (answer["FunctionError"], told["errorType"]) == ("Unhandled", error)
    assert told["errorMessage"]
    assert "INIT_REPORT" in tail or "INIT_START" in tail
    fixed = package(CODE)
    lambdas.update_function_code(FunctionName=name, ZipFile=fixed)
    lambdas.update_function_configuration(FunctionName=name, Handler="app.handler")
    lambdas.get_waiter("function_updated_v2").wait(FunctionName=name)
    assert invoke(lambdas, name, 1)[1]["event"] == 1


def test_events_are_taken_later_and_failures_go_to_their_destination(
    lambdas, sqs, create, notes, queue_name
):
    name = create()
    url = sqs.create_queue(QueueName=queue_name)["QueueUrl"]
    arn = f"arn:aws:sqs:us-east-1:000000000000:{queue_name}"
    lambdas.put_function_event_invoke_config(
        FunctionName=name,
        MaximumRetryAttempts=0,
        DestinationConfig={"OnFailure": {"Destination": arn}},
    )
    members = {"InvocationType": "Event", "LogType": "None"}
    taken, _, _ = invoke(lambdas, name, {"do": "note"}, **members)
    failed, _, _ = invoke(lambdas, name, {"do": "raise"}, **members)
    assert (taken["StatusCode"], failed["StatusCode"]) == (202, 202)
    ids = [answer["ResponseMetadata"]["RequestId"] for answer in (taken, failed)]
    assert notes.wait(bool) == [[{"do": "note"}, ids[0]]]
    (message,) = wait_for(
        lambda: sqs.receive_message(QueueUrl=url, WaitTimeSeconds=5).get("Messages"), bool
    )
    record = json.loads(message["Body"])
    assert record["requestContext"]["requestId"] == ids[1]
    assert record["requestContext"]["condition"] == "RetriesExhausted"
    assert record["responsePayload"]["errorType"] == "OrderRefused"
