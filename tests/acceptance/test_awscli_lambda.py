"""The aws command line against a real daemon: every command of `aws lambda` that is served, as a
user types it.

It is version 1 of the command line: a payload is taken as it is, not as base64 (version 2 has an
option for that), and there are no commands for `InvokeAsync` and `InvokeWithResponseStream`.
"""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from awscli.clidriver import create_clidriver
from botocore import xform_name

from eventcore.api.functions_missing import MISSING_ROUTES
from tests.acceptance.lambda_functions import ROLE, create_function, enabled, package


class Done(NamedTuple):
    """What became of a command."""

    returncode: int
    stdout: str
    stderr: str


Run = Callable[..., Done]
Aws = Callable[..., Any]

ARN = "arn:aws:lambda:us-east-1:000000000000:function:"
QUEUES = "arn:aws:sqs:us-east-1:000000000000:"
EXECUTABLE = str(Path(sys.executable).with_name("aws"))
SECONDS_MAX = 100
EXIT_REFUSED = 255
"""What the command line ends with when the service answers with an error."""
NOT_COMMANDS = {"invoke-async", "invoke-with-response-stream"}
RUNTIME = f"python3.{sys.version_info[1]}"
CODE = """\
def handler(event, context):
    print("took", event)
    if event == "fail":
        raise ValueError("no good")
    return {"event": event, "arn": context.invoked_function_arn}
"""


@pytest.fixture(scope="session")
def lambdas(clients: Callable[..., Any]) -> Any:
    """boto3's client, for what the commands are not about: one of them takes half a second."""
    return clients("lambda")


@pytest.fixture
def name(queue_name: str) -> str:
    """A name that no other test of any file uses."""
    return f"aws-{queue_name[-56:]}"


@pytest.fixture
def function(lambdas: Any, name: str) -> Iterator[str]:
    """A function."""
    create_function(lambdas, name, CODE, Runtime=RUNTIME)
    yield name
    lambdas.delete_function(FunctionName=name)


@pytest.fixture
def environment(daemon: Any) -> dict[str, str]:
    """All that the command line knows of the daemon: no configuration but the environment."""
    return {
        "AWS_ENDPOINT_URL": daemon.url,
        "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_MAX_ATTEMPTS": "1",
    }


@pytest.fixture
def run(
    environment: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Run:
    """Runs `aws lambda ...` as its script does, but in this process: most of the half second that a
    command takes goes to the start of another.
    """
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    def command(*arguments: str) -> Done:
        capsys.readouterr()
        code = create_clidriver().main(["lambda", *arguments])
        return Done(code, *capsys.readouterr())

    return command


@pytest.fixture
def aws(run: Run) -> Aws:
    """`aws lambda ...` that succeeds: its JSON, or None when it prints nothing."""

    def command(*arguments: str) -> Any:
        done = run(*arguments)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout) if done.stdout else None

    return command


def test_every_command_that_is_served_is_used_in_this_file(lambdas):
    operations = set(lambdas.meta.service_model.operation_names)
    served = operations - {route.name for route in MISSING_ROUTES}
    commands = {xform_name(name, "-") for name in served} - NOT_COMMANDS
    used = set(re.findall(r'"([a-z-]+)"', Path(__file__).read_text(encoding="utf-8")))
    assert len(commands) == 44
    assert commands - used == set()


# --- functions and their code ---------------------------------------------------------------------


def test_a_function_is_created_changed_published_and_deleted(aws, run, name, tmp_path):
    of = ("--function-name", name)
    file = tmp_path / "function.zip"
    file.write_bytes(package(CODE))
    created = aws(
        *("create-function", *of, "--runtime", RUNTIME, "--role", ROLE),
        *("--handler", "app.handler", "--zip-file", f"fileb://{file}"),
        *("--environment", "Variables={STAGE=test,TABLE=orders}", "--tags", "team=a,cost=b"),
        *("--description", "Takes orders", "--timeout", "20", "--memory-size", "256"),
    )
    assert created["FunctionArn"] == ARN + name
    assert created["Environment"] == {"Variables": {"STAGE": "test", "TABLE": "orders"}}
    assert aws("wait", "function-exists", *of) is None
    assert aws("wait", "function-active-v2", *of) is None
    file.write_bytes(package(CODE + "\n# two\n"))
    updated = aws("update-function-code", *of, "--zip-file", f"fileb://{file}")
    assert updated["CodeSha256"] != created["CodeSha256"]
    assert aws("wait", "function-updated", *of) is None
    changed = aws("update-function-configuration", *of, "--timeout", "9", "--environment", "{}")
    assert (changed["Timeout"], changed["MemorySize"]) == (9, 256)
    assert changed.get("Environment", {}).get("Variables", {}) == {}
    assert aws("wait", "function-updated-v2", *of) is None
    assert aws("publish-version", *of, "--description", "first")["Version"] == "1"
    assert aws("wait", "published-version-active", *of, "--qualifier", "1") is None
    shown = aws("get-function", *of, "--qualifier", "1")
    assert shown["Configuration"]["FunctionArn"] == f"{ARN}{name}:1"
    assert shown["Tags"] == {"team": "a", "cost": "b"}
    told = aws("get-function-configuration", *of)
    assert (told["Description"], told["CodeSha256"]) == ("Takes orders", updated["CodeSha256"])
    listed = aws("list-functions", "--query", f"Functions[?FunctionName=='{name}'].Handler")
    assert listed == ["app.handler"]
    versions = run("list-versions-by-function", *of, *texts("Versions[*].Version"))
    assert versions.stdout == "$LATEST\t1\n"
    assert aws("delete-function", *of) == {"StatusCode": 204}
    refused = run("get-function", *of)
    assert refused.returncode == EXIT_REFUSED
    assert (
        "An error occurred (ResourceNotFoundException) when calling the GetFunction operation: "
        f"Function not found: {ARN}{name}"
    ) in refused.stderr


def texts(query: str) -> tuple[str, ...]:
    return ("--query", query, "--output", "text")


def test_functions_are_listed_in_pages(aws, lambdas, name):
    names = [f"{name}-{n}" for n in range(3)]
    for each in names:
        create_function(lambdas, each, CODE)
    paged = aws("list-functions", "--page-size", "1", "--query", "Functions[*].FunctionName")
    assert set(names) <= set(paged)
    first = aws("list-functions", "--max-items", "1")
    assert first["NextToken"]
    for each in names:
        lambdas.delete_function(FunctionName=each)


def test_a_function_is_invoked_and_its_answer_is_in_a_file(aws, function, tmp_path):
    of = ("--function-name", function)
    file = tmp_path / "answer.json"
    told = aws(
        "invoke", *of, "--payload", '{"id": 1, "text": "ü"}', "--log-type", "Tail", str(file)
    )
    assert (told["StatusCode"], told["ExecutedVersion"]) == (200, "$LATEST")
    assert json.loads(file.read_text())["event"] == {"id": 1, "text": "ü"}
    log = base64.b64decode(told["LogResult"]).decode()
    assert "took {'id': 1, 'text': 'ü'}\n" in log
    failed = aws("invoke", *of, "--payload", '"fail"', str(file))
    assert failed["FunctionError"] == "Unhandled"
    assert json.loads(file.read_text())["errorMessage"] == "no good"
    later = aws("invoke", *of, "--invocation-type", "Event", "--payload", "1", str(file))
    assert (later["StatusCode"], file.read_text()) == (202, "")


def test_aliases_policies_and_tags(aws, run, lambdas, function):
    of = ("--function-name", function)
    lambdas.publish_version(FunctionName=function)
    lambdas.update_function_configuration(FunctionName=function, Description="second")
    lambdas.publish_version(FunctionName=function)
    live = (*of, "--name", "live")
    made = aws("create-alias", *live, "--function-version", "1")
    assert made["AliasArn"] == f"{ARN}{function}:live"
    weights = ("--routing-config", "AdditionalVersionWeights={2=0.25}")
    assert aws("update-alias", *live, *weights)["RevisionId"] != made["RevisionId"]
    told = aws("get-alias", *live)
    assert told["RoutingConfig"] == {"AdditionalVersionWeights": {"2": 0.25}}
    assert aws("list-aliases", *of)["Aliases"] == [told]
    assert aws("delete-alias", *live) is None
    statement = ("--statement-id", "rule", "--action", "lambda:InvokeFunction")
    granted = aws("add-permission", *of, *statement, "--principal", "events.amazonaws.com")
    policy = json.loads(aws("get-policy", *of)["Policy"])
    assert policy["Statement"] == [json.loads(granted["Statement"])]
    assert aws("remove-permission", *of, "--statement-id", "rule") is None
    refused = run("get-policy", *of)
    assert "(ResourceNotFoundException)" in refused.stderr
    resource = ("--resource", ARN + function)
    assert aws("tag-resource", *resource, "--tags", "team=a,cost=b") is None
    assert aws("untag-resource", *resource, "--tag-keys", "cost") is None
    assert aws("list-tags", *resource) == {"Tags": {"team": "a"}}


# --- settings -------------------------------------------------------------------------------------


def test_concurrency_is_reserved_and_provisioned(aws, lambdas, function):
    of = ("--function-name", function)
    reserved = ("--reserved-concurrent-executions", "5")
    assert aws("put-function-concurrency", *of, *reserved) == {"ReservedConcurrentExecutions": 5}
    assert aws("get-function-concurrency", *of) == {"ReservedConcurrentExecutions": 5}
    account = aws("get-account-settings")
    assert account["AccountLimit"]["UnreservedConcurrentExecutions"] <= 995
    assert aws("delete-function-concurrency", *of) is None
    assert aws("get-function-concurrency", *of) in (None, {})
    lambdas.publish_version(FunctionName=function)
    version = (*of, "--qualifier", "1")
    count = ("--provisioned-concurrent-executions", "1")
    put = aws("put-provisioned-concurrency-config", *version, *count)
    assert put["RequestedProvisionedConcurrentExecutions"] == 1
    told = aws("get-provisioned-concurrency-config", *version)
    assert told["Status"] in ("IN_PROGRESS", "READY")
    (listed,) = aws("list-provisioned-concurrency-configs", *of)["ProvisionedConcurrencyConfigs"]
    assert listed["FunctionArn"] == f"{ARN}{function}:1"
    assert aws("delete-provisioned-concurrency-config", *version) is None


def test_what_becomes_of_asynchronous_events_is_set(aws, sqs, function, queue_name):
    sqs.create_queue(QueueName=queue_name)
    of = ("--function-name", function)
    destination = json.dumps({"OnFailure": {"Destination": QUEUES + queue_name}})
    put = aws(
        *("put-function-event-invoke-config", *of, "--maximum-retry-attempts", "0"),
        *("--destination-config", destination),
    )
    assert put["MaximumRetryAttempts"] == 0
    age = ("--maximum-event-age-in-seconds", "60")
    updated = aws("update-function-event-invoke-config", *of, *age)
    assert (updated["MaximumEventAgeInSeconds"], updated["MaximumRetryAttempts"]) == (60, 0)
    told = aws("get-function-event-invoke-config", *of)
    assert told["DestinationConfig"]["OnFailure"] == {"Destination": QUEUES + queue_name}
    (listed,) = aws("list-function-event-invoke-configs", *of)["FunctionEventInvokeConfigs"]
    assert listed["FunctionArn"] == f"{ARN}{function}:$LATEST"
    assert aws("delete-function-event-invoke-config", *of) is None


def test_the_smaller_settings(aws, function):
    of = ("--function-name", function)
    loops = aws("put-function-recursion-config", *of, "--recursive-loop", "Allow")
    assert aws("get-function-recursion-config", *of) == loops == {"RecursiveLoop": "Allow"}
    put = aws("put-runtime-management-config", *of, "--update-runtime-on", "FunctionUpdate")
    told = aws("get-runtime-management-config", *of)
    assert told["UpdateRuntimeOn"] == put["UpdateRuntimeOn"] == "FunctionUpdate"
    assert aws("get-function-code-signing-config", *of) is None


# --- mappings -------------------------------------------------------------------------------------


def test_a_mapping_is_created_changed_listed_and_deleted(
    aws, run, lambdas, sqs, function, queue_name
):
    sqs.create_queue(QueueName=queue_name)
    source = ("--event-source-arn", QUEUES + queue_name)
    pattern = json.dumps({"Filters": [{"Pattern": json.dumps({"body": {"kind": ["big"]}})}]})
    made = aws(
        *("create-event-source-mapping", "--function-name", function, *source),
        *("--batch-size", "5", "--scaling-config", "MaximumConcurrency=4"),
        *("--function-response-types", "ReportBatchItemFailures", "--filter-criteria", pattern),
    )
    of = ("--uuid", made["UUID"])
    assert (made["BatchSize"], made["ScalingConfig"]) == (5, {"MaximumConcurrency": 4})
    enabled(lambdas, made["UUID"])
    changed = aws("update-event-source-mapping", *of, "--batch-size", "1", "--no-enabled")
    assert changed["State"] in ("Disabling", "Disabled", "Updating")
    enabled(lambdas, made["UUID"], "Disabled")
    told = aws("get-event-source-mapping", *of)
    assert (told["BatchSize"], told["FunctionArn"]) == (1, ARN + function)
    listed = aws("list-event-source-mappings", *source)["EventSourceMappings"]
    assert [each["UUID"] for each in listed] == [made["UUID"]]
    again = run("create-event-source-mapping", "--function-name", function, *source)
    assert "(ResourceConflictException)" in again.stderr
    assert aws("delete-event-source-mapping", *of)["State"] == "Deleting"


# --- the script itself, and what is refused -------------------------------------------------------


def test_the_script_is_a_client_too(environment, function):
    line = [EXECUTABLE, "lambda", "get-function-configuration", "--function-name", function]
    done = subprocess.run(
        line,
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["FunctionArn"] == ARN + function


def test_what_is_missing_and_what_is_wrong_is_told(run, function):
    of = ("--function-name", function)
    missing = run("list-layers")
    assert missing.returncode == EXIT_REFUSED
    assert "(UnsupportedOperation) when calling the ListLayers operation" in missing.stderr
    wrong = run("update-function-configuration", *of, "--timeout", "901")
    assert "(ValidationException)" in wrong.stderr
    assert "less than or equal to 900" in wrong.stderr
    unreadable = run("invoke", *of, "--payload", "{no json", os.devnull)
    assert "(InvalidRequestContentException)" in unreadable.stderr
