"""boto3 and the aws command line against a real daemon: roles, policies, temporary credentials.

Nothing is enforced; what is tested is that set-ups that begin with IAM go on, and that what they
made is still there after a crash.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

OTHER = "111122223333"
AWS_ARN = "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"
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
    "Statement": [{"Effect": "Allow", "Action": ["sqs:*"], "Resource": "*"}],
}
AWS = str(Path(sys.executable).with_name("aws"))
SECONDS_MAX = 100


@pytest.fixture
def name(queue_name: str) -> str:
    """A name that no other test uses."""
    return queue_name[-64:].strip("-")


@pytest.fixture
def iam(clients: Callable[..., Any]) -> Any:
    return clients("iam")


def code_of(call: Callable[[], Any]) -> str:
    with pytest.raises(ClientError) as caught:
        call()
    return caught.value.response["Error"]["Code"]


def test_the_life_of_a_role_as_terraform_leads_it(iam, name):
    made = iam.create_role(
        RoleName=name,
        AssumeRolePolicyDocument=json.dumps(TRUST),
        Tags=[{"Key": "team", "Value": "a"}],
    )["Role"]
    iam.get_waiter("role_exists").wait(RoleName=name)
    policy = iam.create_policy(PolicyName=name, PolicyDocument=json.dumps(POLICY))["Policy"]
    iam.get_waiter("policy_exists").wait(PolicyArn=policy["Arn"])
    iam.attach_role_policy(RoleName=name, PolicyArn=policy["Arn"])
    iam.attach_role_policy(RoleName=name, PolicyArn=AWS_ARN)
    iam.put_role_policy(RoleName=name, PolicyName="own", PolicyDocument=json.dumps(POLICY))
    assert iam.get_role(RoleName=name)["Role"] == made
    assert made["AssumeRolePolicyDocument"] == TRUST
    inline = iam.get_role_policy(RoleName=name, PolicyName="own")
    assert inline["PolicyDocument"] == POLICY
    attached = iam.get_paginator("list_attached_role_policies").paginate(RoleName=name)
    arns = {policy["PolicyArn"] for page in attached for policy in page["AttachedPolicies"]}
    assert arns == {policy["Arn"], AWS_ARN}
    iam.create_policy_version(
        PolicyArn=policy["Arn"], PolicyDocument=json.dumps(POLICY), SetAsDefault=True
    )

    assert code_of(lambda: iam.delete_role(RoleName=name)) == "DeleteConflict"
    assert code_of(lambda: iam.delete_policy(PolicyArn=policy["Arn"])) == "DeleteConflict"
    for profile in iam.list_instance_profiles_for_role(RoleName=name)["InstanceProfiles"]:
        pytest.fail(f"there are no instance profiles, and not {profile}")
    for inline_name in iam.list_role_policies(RoleName=name)["PolicyNames"]:
        iam.delete_role_policy(RoleName=name, PolicyName=inline_name)
    for arn in arns:
        iam.detach_role_policy(RoleName=name, PolicyArn=arn)
    iam.delete_role(RoleName=name)
    for version in iam.list_policy_versions(PolicyArn=policy["Arn"])["Versions"]:
        if not version["IsDefaultVersion"]:
            iam.delete_policy_version(PolicyArn=policy["Arn"], VersionId=version["VersionId"])
    iam.delete_policy(PolicyArn=policy["Arn"])
    with pytest.raises(iam.exceptions.NoSuchEntityException):
        iam.get_role(RoleName=name)


def test_boto3s_resources_know_roles_too(daemon, clients, name):
    resource = boto3.resource(
        "iam",
        endpoint_url=daemon.url,
        region_name="eu-central-1",
        aws_access_key_id="x",
        aws_secret_access_key="y",
    )
    role = resource.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(TRUST))
    role.attach_policy(PolicyArn=AWS_ARN)
    assert [policy.arn for policy in role.attached_policies.all()] == [AWS_ARN]
    role.detach_policy(PolicyArn=AWS_ARN)
    role.delete()
    assert name not in {role.name for role in resource.roles.all()}


def test_what_was_made_is_there_after_a_crash(own_daemon, connect):
    iam = connect(own_daemon.url, "iam")
    role = iam.create_role(RoleName="r", AssumeRolePolicyDocument=json.dumps(TRUST))["Role"]
    policy = iam.create_policy(PolicyName="p", PolicyDocument=json.dumps(POLICY))["Policy"]
    iam.attach_role_policy(RoleName="r", PolicyArn=policy["Arn"])
    credentials = connect(own_daemon.url, "sts").assume_role(
        RoleArn=role["Arn"], RoleSessionName="before"
    )["Credentials"]
    own_daemon.kill()
    own_daemon.start()
    iam = connect(own_daemon.url, "iam")
    assert iam.get_role(RoleName="r")["Role"] == role
    assert iam.get_policy(PolicyArn=policy["Arn"])["Policy"]["AttachmentCount"] == 1
    caller = connect(own_daemon.url, "sts", **keys(credentials)).get_caller_identity()
    assert caller["Arn"] == "arn:aws:sts::000000000000:assumed-role/r/before"
    assert caller["UserId"] == f"{role['RoleId']}:before"


def keys(credentials: dict[str, Any]) -> dict[str, str]:
    return {
        "aws_access_key_id": credentials["AccessKeyId"],
        "aws_secret_access_key": credentials["SecretAccessKey"],
        "aws_session_token": credentials["SessionToken"],
    }


def test_an_assumed_role_works_in_its_account(clients, name):
    role = clients("iam", aws_access_key_id=OTHER).create_role(
        RoleName=name, AssumeRolePolicyDocument=json.dumps(TRUST)
    )["Role"]
    answer = clients("sts").assume_role(RoleArn=role["Arn"], RoleSessionName="me")
    session = keys(answer["Credentials"])
    assert clients("sts", **session).get_caller_identity()["Account"] == OTHER
    url = clients("sqs", **session).create_queue(QueueName=name)["QueueUrl"]
    assert f"/{OTHER}/{name}" in url
    assert clients("iam", **session).get_role(RoleName=name)["Role"]["Arn"] == role["Arn"]


def test_a_profile_that_assumes_a_role_works(daemon, tmp_path, monkeypatch):
    config = tmp_path / "config"
    config.write_text(
        "[profile base]\nregion = us-east-1\naws_access_key_id = a\naws_secret_access_key = b\n"
        f"[profile other]\nrole_arn = arn:aws:iam::{OTHER}:role/deploy\nsource_profile = base\n"
        "region = us-east-1\n"
    )
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    monkeypatch.setenv("AWS_ENDPOINT_URL", daemon.url)
    for variable in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(variable, raising=False)
    caller = boto3.Session(profile_name="other").client("sts").get_caller_identity()
    assert caller["Account"] == OTHER
    assert caller["Arn"].startswith(f"arn:aws:sts::{OTHER}:assumed-role/deploy/")


def test_within_a_function_boto3_sends_the_trace_along(clients, name, monkeypatch):
    url = clients("sqs").create_queue(QueueName=name)["QueueUrl"]
    header = "Root=1-5759e988-bd862e3fe1be46a994272793;Lineage=a87bd80c:1"
    with monkeypatch.context() as function:
        function.setenv("AWS_LAMBDA_FUNCTION_NAME", "f")
        function.setenv("_X_AMZN_TRACE_ID", header)
        clients("sqs").send_message(QueueUrl=url, MessageBody="a")
    clients("sqs").send_message(QueueUrl=url, MessageBody="b")
    received = clients("sqs").receive_message(
        QueueUrl=url, MaxNumberOfMessages=10, AttributeNames=["All"]
    )
    traces = {m["Body"]: m["Attributes"].get("AWSTraceHeader") for m in received["Messages"]}
    assert traces == {"a": header, "b": None}


@pytest.fixture
def aws(daemon) -> Callable[..., Any]:
    """Runs `aws ...` against the daemon and returns what it prints, as JSON."""
    environment = {
        "PATH": os.environ["PATH"],
        "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_MAX_ATTEMPTS": "1",
    }

    def command(*arguments: str) -> Any:
        line = [AWS, "--endpoint-url", daemon.url, *arguments]
        done = subprocess.run(
            line, env=environment, capture_output=True, text=True, timeout=SECONDS_MAX
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout) if done.stdout.strip() else None

    return command


def test_the_command_line_makes_a_role_and_assumes_it(aws, name):
    role = aws(
        *("iam", "create-role", "--role-name", name),
        *("--assume-role-policy-document", json.dumps(TRUST)),
    )["Role"]
    assert role["AssumeRolePolicyDocument"] == TRUST
    assert aws("iam", "attach-role-policy", "--role-name", name, "--policy-arn", AWS_ARN) is None
    listed = aws("iam", "list-attached-role-policies", "--role-name", name)
    assert [policy["PolicyArn"] for policy in listed["AttachedPolicies"]] == [AWS_ARN]
    arguments = ("--role-arn", role["Arn"], "--role-session-name", "cli")
    assumed = aws("sts", "assume-role", *arguments)
    assert assumed["AssumedRoleUser"]["Arn"].endswith(f":assumed-role/{name}/cli")
    key = assumed["Credentials"]["AccessKeyId"]
    info = aws("sts", "get-access-key-info", "--access-key-id", key)
    assert info == {"Account": "000000000000"}
