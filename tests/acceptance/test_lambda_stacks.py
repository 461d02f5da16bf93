"""Set-ups as tools lead them, from the role to the last waiter, and programs that run on them:
boto3 in the order of Terraform's and Chalice's calls, functions that call back with what their
environment gives them, loops, and aiobotocore.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from aiobotocore.config import AioConfig
from aiobotocore.session import get_session

from tests.acceptance.conftest import CREDENTIALS
from tests.acceptance.lambda_functions import NOTING, Notes, enabled, gone, package, wait_for

ACCOUNT = "000000000000"
QUEUES = f"arn:aws:sqs:us-east-1:{ACCOUNT}:"
RUNTIME = f"python3.{sys.version_info[1]}"
"""The interpreter that has boto3, as AWS's runtime has."""
TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Principal": {"Service": "lambda.amazonaws.com"},
            "Action": "sts:AssumeRole",
        }
    ],
}
POLICY = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": ["sqs:*", "logs:*"], "Resource": "*"}],
}
# Passes messages on with a client that is made of nothing but the environment.
FORWARDS = (
    NOTING
    + """\
import boto3

sqs = boto3.client("sqs")
url = sqs.get_queue_url(QueueName=os.environ["TO"])["QueueUrl"]

def handler(event, context):
    for record in event["Records"]:
        note([context.function_name, record["attributes"].get("AWSTraceHeader")])
        sqs.send_message(QueueUrl=url, MessageBody=record["body"] + "!")
"""
)
ECHO = """\
import asyncio, os

def handler(event, context):
    return {"event": event, "caller": boto3_caller() if event == "who" else None}

def boto3_caller():
    import boto3
    return boto3.client("sts").get_caller_identity()["Account"]
"""
LOOP_INVOCATIONS = 16
"""After so many invocations in a loop AWS stops it."""


@pytest.fixture(scope="session")
def lambdas(clients: Callable[..., Any]) -> Any:
    return clients("lambda")


@pytest.fixture
def name(queue_name: str) -> str:
    """A name that no other test of any file uses."""
    return f"stack-{queue_name[-45:]}"


@pytest.fixture
def notes(tmp_path: Path) -> Notes:
    return Notes(tmp_path / "notes")


class Stack(NamedTuple):
    """A function between two queues."""

    function: str
    source: str
    uuid: str


@pytest.fixture
def deploy(
    clients: Callable[..., Any], lambdas: Any, sqs: Any, notes: Notes
) -> Iterator[Callable[[str, str, str], Stack]]:
    """Makes all that a function between two queues needs, in the order of a tool."""
    iam, made = clients("iam"), []

    def deployed(function: str, source: str, to: str) -> Stack:
        assert clients("sts").get_caller_identity()["Account"] == ACCOUNT
        role = iam.create_role(RoleName=function, AssumeRolePolicyDocument=json.dumps(TRUST))
        iam.put_role_policy(RoleName=function, PolicyName="own", PolicyDocument=json.dumps(POLICY))
        attributes = {"VisibilityTimeout": "60"}
        url = sqs.create_queue(QueueName=source, Attributes=attributes)["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]
        created = lambdas.create_function(
            FunctionName=function,
            Runtime=RUNTIME,
            Handler="app.handler",
            Role=role["Role"]["Arn"],
            Timeout=20,
            Code={"ZipFile": package(FORWARDS)},
            Environment={"Variables": {"TO": to, **notes.environment["Variables"]}},
            Tags={"stack": "shop"},
        )
        lambdas.get_waiter("function_active_v2").wait(FunctionName=function)
        lambdas.update_function_configuration(FunctionName=function, Description="deployed")
        lambdas.get_waiter("function_updated_v2").wait(FunctionName=function)
        mapping = lambdas.create_event_source_mapping(
            FunctionName=created["FunctionArn"],
            EventSourceArn=arn["QueueArn"],
            BatchSize=1,
        )
        made.append((function, mapping["UUID"]))
        enabled(lambdas, mapping["UUID"])
        return Stack(function, url, mapping["UUID"])

    yield deployed
    for function, uuid in made:
        gone(lambdas, uuid)
        lambdas.delete_function(FunctionName=function)
        iam.delete_role_policy(RoleName=function, PolicyName="own")
        iam.delete_role(RoleName=function)


def test_a_stack_is_deployed_and_passes_messages_on(sqs, lambdas, name, deploy, notes):
    results = sqs.create_queue(QueueName=f"{name}-results")["QueueUrl"]
    stack = deploy(name, name, f"{name}-results")
    told = lambdas.get_function(FunctionName=name)
    assert told["Configuration"]["State"] == "Active"
    assert told["Configuration"]["LastUpdateStatus"] == "Successful"
    assert told["Tags"] == {"stack": "shop"}
    sqs.send_message(QueueUrl=stack.source, MessageBody="hello")
    (message,) = wait_for(
        lambda: sqs.receive_message(QueueUrl=results, WaitTimeSeconds=5).get("Messages"), bool
    )
    assert message["Body"] == "hello!"
    assert len(notes.read()) == 1
    (mapping,) = lambdas.list_event_source_mappings(FunctionName=name)["EventSourceMappings"]
    assert mapping["UUID"] == stack.uuid


def test_a_loop_through_two_queues_is_stopped(sqs, name, deploy, notes):
    """Each function sends to the other's queue, with a client that passes the trace header on."""
    there, back = f"{name}-there", f"{name}-back"
    sqs.create_queue(QueueName=back, Attributes={"VisibilityTimeout": "60"})
    dead = sqs.create_queue(QueueName=f"{name}-dead")["QueueUrl"]
    policy = {"deadLetterTargetArn": f"{QUEUES}{name}-dead", "maxReceiveCount": 5}
    first = deploy(there, there, back)
    second = deploy(back, back, there)
    for url in (first.source, second.source):
        sqs.set_queue_attributes(QueueUrl=url, Attributes={"RedrivePolicy": json.dumps(policy)})
    sqs.send_message(QueueUrl=first.source, MessageBody="round")
    (message,) = wait_for(
        lambda: sqs.receive_message(QueueUrl=dead, WaitTimeSeconds=5).get("Messages"), bool
    )
    assert message["Body"].rstrip("!") == "round"
    noted = notes.read()
    of_one = sum(function == there for function, _ in noted)
    assert LOOP_INVOCATIONS - 1 <= of_one <= LOOP_INVOCATIONS + 1
    assert message["Body"].count("!") == len(noted)


# aiobotocore


@pytest.fixture
async def client(daemon: Any) -> AsyncIterator[Any]:
    """aiobotocore's client of Lambda."""
    config = AioConfig(max_pool_connections=32, retries={"total_max_attempts": 1})
    async with get_session().create_client(
        "lambda", endpoint_url=daemon.url, config=config, **CREDENTIALS
    ) as client:
        yield client


async def test_many_invocations_at_once_each_get_their_answer(client, name):
    await client.create_function(
        FunctionName=name,
        Runtime=RUNTIME,
        Handler="app.handler",
        Role=f"arn:aws:iam::{ACCOUNT}:role/worker",
        Timeout=30,
        Code={"ZipFile": package(ECHO)},
    )
    await client.get_waiter("function_active_v2").wait(FunctionName=name)

    async def invoke(event: Any) -> Any:
        answer = await client.invoke(FunctionName=name, Payload=json.dumps(event))
        return json.loads(await answer["Payload"].read())

    async with asyncio.timeout(60):
        answers = await asyncio.gather(*(invoke(n) for n in range(50)))
        assert [answer["event"] for answer in answers] == list(range(50))
        assert (await invoke("who"))["caller"] == ACCOUNT
    listed = client.get_paginator("list_functions").paginate(PaginationConfig={"PageSize": 1})
    names = [each["FunctionName"] async for page in listed for each in page["Functions"]]
    assert name in names
    await client.delete_function(FunctionName=name)
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        await client.get_function(FunctionName=name)
