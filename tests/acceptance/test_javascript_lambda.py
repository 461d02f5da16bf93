"""The AWS SDK for JavaScript, version 3, against a real daemon: functions of Node.js, made, invoked
and mapped to a queue by a program of Node.js.

The scenarios are in `javascript/lambda.mjs`; each test runs one of them with node and checks what
it saw. The function sends its results with the SDK, which AWS's runtime has built in: here its
zip says where that is.
"""

from __future__ import annotations

import base64
import io
import json
import subprocess
import zipfile
from collections.abc import Callable
from typing import Any

import pytest

from tests.acceptance.node import FOLDER, IS_REQUIRED, start, why_not

SECONDS_MAX = 100
MISSING = why_not()
CODE = f"""\
import {{ createRequire }} from "node:module";
const {{ SQSClient, SendMessageCommand }} =
  createRequire("{FOLDER}/package.json")("@aws-sdk/client-sqs");
const sqs = new SQSClient();
const failed = new Set();

export async function handler(event, context) {{
  console.log("took", JSON.stringify(event));
  if (event.fail) {{
    throw new RangeError(event.fail);
  }}
  const batchItemFailures = [];
  for (const {{ messageId, body }} of event.Records ?? []) {{
    const MessageBody = body.toUpperCase();
    await sqs.send(new SendMessageCommand({{ QueueUrl: process.env.RESULTS, MessageBody }}));
    if (body.startsWith("fail") && !failed.has(messageId)) {{
      failed.add(messageId);
      batchItemFailures.push({{ itemIdentifier: messageId }});
    }}
  }}
  if (event.Records) {{
    return {{ batchItemFailures }};
  }}
  return {{ event, id: context.awsRequestId, arn: context.invokedFunctionArn }};
}}
"""

if MISSING is not None and not IS_REQUIRED:
    pytest.skip(MISSING, allow_module_level=True)


@pytest.fixture(autouse=True)
def _node() -> None:
    if MISSING is not None:
        pytest.fail(f"EVENTCORE_REQUIRE_NODE is 1, and {MISSING}")


@pytest.fixture
def name(queue_name: str) -> str:
    """A name that no other test of any file uses."""
    return f"js-{queue_name[-60:]}"


@pytest.fixture
def play(daemon: Any, name: str) -> Callable[[str], Any]:
    """Runs a scenario, and returns what it saw."""

    def run(scenario: str) -> Any:
        process = start("lambda.mjs", scenario, daemon.url, name)
        try:
            output, errors = process.communicate(package(), timeout=SECONDS_MAX)
        except subprocess.TimeoutExpired:
            process.kill()
            pytest.fail(f"the scenario did not end: {process.communicate()}")
        assert process.returncode == 0, errors
        return json.loads(output)

    return run


def package() -> str:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("index.mjs", CODE)
    return base64.b64encode(packed.getvalue()).decode()


def test_a_function_of_nodejs_is_invoked(play, name):
    seen = play("invoked")
    answered = seen["answered"]
    assert (answered["status"], answered["version"]) == (200, "$LATEST")
    assert answered["payload"] == {
        "event": {"text": "ü€😀"},
        "id": answered["requestId"],
        "arn": f"arn:aws:lambda:us-east-1:000000000000:function:{name}",
    }
    assert 'took {"text":"ü€😀"}' in answered["log"]
    failed = seen["failed"]
    assert failed["error"] == "Unhandled"
    assert failed["payload"]["errorType"] == "RangeError"
    assert failed["payload"]["errorMessage"] == "no good"
    assert (seen["later"]["status"], seen["later"]["payload"]) == (202, None)
    assert (seen["streamed"]["event"], seen["isComplete"]) == ("in parts", True)


def test_versions_are_waited_for_listed_and_invoked_by_their_alias(play, name):
    seen = play("versions")
    assert seen["listed"] == [["$LATEST", 7], ["1", 3], ["2", 7]]
    assert seen["invoked"]["version"] == "1"
    assert seen["invoked"]["payload"]["arn"].endswith(f":{name}:live")


def test_a_function_of_nodejs_gets_the_messages_of_a_queue_and_sends_others(play):
    seen = play("mapped")
    assert sorted(seen["received"]) == ["FAIL TWO", "FAIL TWO", "ONE", "THREE"]


def test_errors_have_their_classes(play):
    assert play("errors") == {
        "unknown": [True, "ResourceNotFoundException", 404],
        "unreadable": [True, "InvalidRequestContentException", 400],
        "throttled": [True, "ReservedFunctionConcurrentInvocationLimitExceeded"],
    }
