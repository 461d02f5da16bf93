"""IAM and STS as SDKs see them: what is made is told back, and nothing is enforced."""

from __future__ import annotations

import asyncio
import json
from base64 import urlsafe_b64encode
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from eventcore import limits
from eventcore.stores.memory import MemoryStore
from eventcore.testing import FaultyStore
from eventcore.wire.credential import Callers
from tests.wire.conftest import HOST, START_MS, Wire

ACCOUNT = "000000000000"
OTHER = "111122223333"
AWS_ARN = "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"
STATEMENT = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}
TRUST = {"Version": "2012-10-17", "Statement": [STATEMENT]}
POLICY = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": ["sqs:*"], "Resource": "a b+c%/é"}],
}
START = datetime.fromtimestamp(START_MS // 1000, UTC)


@pytest.fixture
def iam(client: Callable[..., Any]) -> Any:
    return client("iam")


def make_role(iam: Any, name: str = "r", **members: Any) -> dict[str, Any]:
    made = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(TRUST), **members)
    return made["Role"]


def make_policy(iam: Any, name: str = "p", **members: Any) -> str:
    made = iam.create_policy(PolicyName=name, PolicyDocument=json.dumps(POLICY), **members)
    return made["Policy"]["Arn"]


def error_of(call: Callable[..., Any], **members: Any) -> tuple[int, str, str]:
    with pytest.raises(ClientError) as caught:
        call(**members)
    response = caught.value.response
    error = response["Error"]
    return response["ResponseMetadata"]["HTTPStatusCode"], error["Code"], error["Message"]


# Roles


def test_a_role_is_told_back_as_it_was_made(iam):
    made = make_role(
        iam,
        Path="/team/",
        Description="d é",
        MaxSessionDuration=7_200,
        PermissionsBoundary=AWS_ARN,
        Tags=[{"Key": "b", "Value": "2"}, {"Key": "a", "Value": ""}],
    )
    told = iam.get_role(RoleName="r")["Role"]
    assert told == made
    assert told.pop("RoleId").startswith("AROA")
    assert told == {
        "Path": "/team/",
        "RoleName": "r",
        "Arn": f"arn:aws:iam::{ACCOUNT}:role/team/r",
        "CreateDate": START,
        "AssumeRolePolicyDocument": TRUST,
        "Description": "d é",
        "MaxSessionDuration": 7_200,
        "PermissionsBoundary": {
            "PermissionsBoundaryType": "PermissionsBoundaryPolicy",
            "PermissionsBoundaryArn": AWS_ARN,
        },
        "Tags": [{"Key": "a", "Value": ""}, {"Key": "b", "Value": "2"}],
        "RoleLastUsed": {},
    }


def test_settings_of_a_role_change(iam):
    make_role(iam)
    iam.update_role(RoleName="r", Description="one", MaxSessionDuration=3_600)
    described = iam.update_role_description(RoleName="r", Description="two")
    assert described["Role"]["Description"] == "two"
    other = {"Version": "2012-10-17", "Statement": [{**STATEMENT, "Sid": "A"}]}
    iam.update_assume_role_policy(RoleName="r", PolicyDocument=json.dumps(other))
    iam.put_role_permissions_boundary(RoleName="r", PermissionsBoundary=AWS_ARN)
    iam.tag_role(RoleName="r", Tags=[{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}])
    iam.untag_role(RoleName="r", TagKeys=["a", "none"])
    told = iam.get_role(RoleName="r")["Role"]
    assert told["AssumeRolePolicyDocument"] == other
    assert told["PermissionsBoundary"]["PermissionsBoundaryArn"] == AWS_ARN
    assert iam.list_role_tags(RoleName="r")["Tags"] == [{"Key": "b", "Value": "2"}]
    iam.delete_role_permissions_boundary(RoleName="r")
    assert "PermissionsBoundary" not in iam.get_role(RoleName="r")["Role"]


def test_inline_policies_of_a_role(iam):
    make_role(iam)
    iam.put_role_policy(RoleName="r", PolicyName="b", PolicyDocument=json.dumps(POLICY))
    iam.put_role_policy(RoleName="r", PolicyName="a", PolicyDocument=json.dumps(POLICY))
    told = iam.get_role_policy(RoleName="r", PolicyName="b")
    assert (told["RoleName"], told["PolicyName"]) == ("r", "b")
    assert told["PolicyDocument"] == POLICY
    assert iam.list_role_policies(RoleName="r")["PolicyNames"] == ["a", "b"]
    iam.delete_role_policy(RoleName="r", PolicyName="b")
    assert iam.list_role_policies(RoleName="r")["PolicyNames"] == ["a"]


def test_managed_policies_of_a_role(iam):
    make_role(iam)
    arn = make_policy(iam, Path="/team/")
    for attached in (arn, AWS_ARN, arn):
        iam.attach_role_policy(RoleName="r", PolicyArn=attached)
    told = iam.list_attached_role_policies(RoleName="r")
    assert told["AttachedPolicies"] == [
        {"PolicyName": "AWSLambdaBasicExecutionRole", "PolicyArn": AWS_ARN},
        {"PolicyName": "p", "PolicyArn": arn},
    ]
    below = iam.list_attached_role_policies(RoleName="r", PathPrefix="/team/")
    assert [policy["PolicyArn"] for policy in below["AttachedPolicies"]] == [arn]
    assert iam.get_policy(PolicyArn=arn)["Policy"]["AttachmentCount"] == 1
    iam.detach_role_policy(RoleName="r", PolicyArn=arn)
    assert iam.get_policy(PolicyArn=arn)["Policy"]["AttachmentCount"] == 0


def test_a_role_goes_when_its_policies_are_gone(iam):
    make_role(iam)
    iam.attach_role_policy(RoleName="r", PolicyArn=AWS_ARN)
    iam.put_role_policy(RoleName="r", PolicyName="a", PolicyDocument=json.dumps(POLICY))
    message = "Cannot delete entity, must detach all policies first."
    assert error_of(iam.delete_role, RoleName="r") == (409, "DeleteConflict", message)
    iam.detach_role_policy(RoleName="r", PolicyArn=AWS_ARN)
    message = "Cannot delete entity, must delete policies first."
    assert error_of(iam.delete_role, RoleName="r") == (409, "DeleteConflict", message)
    iam.delete_role_policy(RoleName="r", PolicyName="a")
    assert iam.list_instance_profiles_for_role(RoleName="r")["InstanceProfiles"] == []
    iam.delete_role(RoleName="r")
    message = "The role with name r cannot be found."
    assert error_of(iam.get_role, RoleName="r") == (404, "NoSuchEntity", message)


def test_lists_come_in_pages_that_changes_do_not_spoil(iam):
    for number in range(5):
        make_role(iam, f"r{number}", Path="/x/")
    make_role(iam, "other", Path="/y/")
    first = iam.list_roles(PathPrefix="/x/", MaxItems=2)
    assert [role["RoleName"] for role in first["Roles"]] == ["r0", "r1"]
    assert first["IsTruncated"]
    assert "Tags" not in first["Roles"][0]
    iam.delete_role(RoleName="r1")
    rest = iam.list_roles(PathPrefix="/x/", Marker=first["Marker"])
    assert [role["RoleName"] for role in rest["Roles"]] == ["r2", "r3", "r4"]
    assert not rest["IsTruncated"]
    pages = iam.get_paginator("list_roles").paginate(PaginationConfig={"PageSize": 2})
    names = [role["RoleName"] for page in pages for role in page["Roles"]]
    assert names == ["other", "r0", "r2", "r3", "r4"]
    assert error_of(iam.list_roles, Marker="é")[1] == "ValidationError"


def test_a_role_of_a_service_is_made_and_deleted_as_such(iam):
    role = iam.create_service_linked_role(AWSServiceName="replicator.lambda.amazonaws.com")["Role"]
    assert role["RoleName"] == "AWSServiceRoleForLambdaReplicator"
    assert role["Path"] == "/aws-service-role/replicator.lambda.amazonaws.com/"
    name = role["RoleName"]
    again = error_of(
        iam.create_service_linked_role, AWSServiceName="replicator.lambda.amazonaws.com"
    )
    assert again[:2] == (400, "InvalidInput")
    other = iam.create_service_linked_role(
        AWSServiceName="resource-groups.amazonaws.com", CustomSuffix="x"
    )
    assert other["Role"]["RoleName"] == "AWSServiceRoleForGroupsResource_x"
    assert error_of(iam.delete_role, RoleName=name)[:2] == (400, "UnmodifiableEntity")
    task = iam.delete_service_linked_role(RoleName=name)["DeletionTaskId"]
    status = iam.get_service_linked_role_deletion_status(DeletionTaskId=task)
    assert status["Status"] == "SUCCEEDED"
    assert error_of(iam.get_role, RoleName=name)[1] == "NoSuchEntity"
    make_role(iam)
    assert error_of(iam.delete_service_linked_role, RoleName="r")[1] == "InvalidInput"
    status_of = iam.get_service_linked_role_deletion_status
    assert error_of(status_of, DeletionTaskId="x")[1] == "NoSuchEntity"
    for service in ("lambda", ".amazonaws.com", "x" * 64 + ".amazonaws.com"):
        refused = error_of(iam.create_service_linked_role, AWSServiceName=service)
        assert refused[1] == "InvalidInput"


# Managed policies


def test_a_policy_and_its_versions_are_told_back(wire, iam):
    arn = make_policy(iam, Description="d", Tags=[{"Key": "a", "Value": "1"}])
    assert arn == f"arn:aws:iam::{ACCOUNT}:policy/p"
    told = iam.get_policy(PolicyArn=arn)["Policy"]
    assert (told["DefaultVersionId"], told["Description"]) == ("v1", "d")
    assert (told["CreateDate"], told["Tags"]) == (START, [{"Key": "a", "Value": "1"}])
    wire.clock.advance(5_000)
    other = {**POLICY, "Id": "two"}
    version = iam.create_policy_version(
        PolicyArn=arn, PolicyDocument=json.dumps(other), SetAsDefault=True
    )["PolicyVersion"]
    assert (version["VersionId"], version["IsDefaultVersion"]) == ("v2", True)
    listed = iam.list_policy_versions(PolicyArn=arn)["Versions"]
    assert [(v["VersionId"], v["IsDefaultVersion"]) for v in listed] == [
        ("v2", True),
        ("v1", False),
    ]
    documents = [
        iam.get_policy_version(PolicyArn=arn, VersionId=v)["PolicyVersion"]["Document"]
        for v in ("v1", "v2")
    ]
    assert documents == [POLICY, other]
    iam.set_default_policy_version(PolicyArn=arn, VersionId="v1")
    iam.delete_policy_version(PolicyArn=arn, VersionId="v2")
    iam.tag_policy(PolicyArn=arn, Tags=[{"Key": "A", "Value": "2"}])
    assert iam.list_policy_tags(PolicyArn=arn)["Tags"] == [{"Key": "A", "Value": "2"}]
    iam.untag_policy(PolicyArn=arn, TagKeys=["a"])
    assert iam.list_policy_tags(PolicyArn=arn)["Tags"] == []
    iam.delete_policy(PolicyArn=arn)
    assert error_of(iam.get_policy, PolicyArn=arn) == (
        404,
        "NoSuchEntity",
        f"Policy {arn} was not found.",
    )


def test_policies_of_aws_are_there_and_their_documents_are_not(iam):
    told = iam.get_policy(PolicyArn=AWS_ARN)["Policy"]
    assert (told["PolicyName"], told["Path"]) == ("AWSLambdaBasicExecutionRole", "/service-role/")
    versions = iam.list_policy_versions(PolicyArn=AWS_ARN)["Versions"]
    assert versions == [{"VersionId": "v1", "IsDefaultVersion": True}]
    refused = error_of(iam.get_policy_version, PolicyArn=AWS_ARN, VersionId="v1")
    assert refused[:2] == (501, "UnsupportedOperation")
    assert error_of(iam.delete_policy, PolicyArn=AWS_ARN)[:2] == (403, "AccessDenied")


def test_policies_are_listed_by_who_made_them_and_who_uses_them(iam):
    make_role(iam, PermissionsBoundary=AWS_ARN)
    arns = [make_policy(iam, name) for name in ("a", "b")]
    iam.attach_role_policy(RoleName="r", PolicyArn=arns[0])

    def listed(**members: Any) -> list[str]:
        return [policy["Arn"] for policy in iam.list_policies(**members)["Policies"]]

    assert listed() == [AWS_ARN, *arns]
    assert listed(Scope="Local") == arns
    assert listed(Scope="AWS") == [AWS_ARN]
    assert listed(OnlyAttached=True) == arns[:1]
    assert listed(PolicyUsageFilter="PermissionsBoundary") == [AWS_ARN]
    assert listed(PathPrefix="/service-role/") == [AWS_ARN]
    assert listed(MaxItems=1) == [AWS_ARN]
    role = {"RoleName": "r", "RoleId": iam.get_role(RoleName="r")["Role"]["RoleId"]}
    for arn, use, expected in (
        (arns[0], "PermissionsPolicy", [role]),
        (arns[0], "PermissionsBoundary", []),
        (AWS_ARN, "PermissionsBoundary", [role]),
        (arns[1], "PermissionsPolicy", []),
    ):
        told = iam.list_entities_for_policy(PolicyArn=arn, PolicyUsageFilter=use)
        assert (told["PolicyRoles"], told["PolicyUsers"], told["PolicyGroups"]) == (
            expected,
            [],
            [],
        )
    only_users = iam.list_entities_for_policy(PolicyArn=arns[0], EntityFilter="User")
    assert only_users["PolicyRoles"] == []


# What is refused


LONG = json.dumps(POLICY).replace("sqs:*", "x" * 20_000)


@pytest.mark.parametrize(
    ("operation", "members", "status", "code", "message"),
    [
        (
            "create_role",
            {"RoleName": "r", "AssumeRolePolicyDocument": json.dumps(TRUST)},
            409,
            "EntityAlreadyExists",
            "Role with name r already exists.",
        ),
        (
            "create_role",
            {"RoleName": "a b", "AssumeRolePolicyDocument": "{}"},
            400,
            "ValidationError",
            "1 validation error detected: Value 'a b' at 'roleName' failed to satisfy constraint: "
            r"Member must satisfy regular expression pattern: [\w+=,.@-]+",
        ),
        (
            "create_role",
            {"RoleName": "x", "AssumeRolePolicyDocument": "{"},
            400,
            "MalformedPolicyDocument",
            "This policy contains invalid Json",
        ),
        (
            "create_role",
            {"RoleName": "x", "AssumeRolePolicyDocument": json.dumps(POLICY)},
            400,
            "MalformedPolicyDocument",
            "Has prohibited field Resource",
        ),
        (
            "put_role_policy",
            {"RoleName": "r", "PolicyName": "p", "PolicyDocument": LONG},
            409,
            "LimitExceeded",
            f"Maximum policy size of {limits.INLINE_POLICIES_CHARACTERS_MAX} bytes exceeded for "
            "role r",
        ),
        (
            "get_role_policy",
            {"RoleName": "r", "PolicyName": "none"},
            404,
            "NoSuchEntity",
            "The role policy with name none cannot be found.",
        ),
        (
            "attach_role_policy",
            {"RoleName": "r", "PolicyArn": f"arn:aws:iam::{ACCOUNT}:policy/none"},
            404,
            "NoSuchEntity",
            f"Policy arn:aws:iam::{ACCOUNT}:policy/none does not exist or is not attachable.",
        ),
        (
            "attach_role_policy",
            {"RoleName": "r", "PolicyArn": "arn:aws:sqs:us-east-1:0:q"},
            400,
            "InvalidInput",
            "ARN arn:aws:sqs:us-east-1:0:q is not valid.",
        ),
        (
            "detach_role_policy",
            {"RoleName": "r", "PolicyArn": AWS_ARN},
            404,
            "NoSuchEntity",
            f"Policy {AWS_ARN} was not found.",
        ),
        (
            "tag_role",
            {"RoleName": "r", "Tags": [{"Key": "a", "Value": ""}, {"Key": "A", "Value": ""}]},
            400,
            "InvalidInput",
            "Duplicate tag keys found. Please note that Tag keys are case insensitive.",
        ),
        (
            "tag_role",
            {"RoleName": "r", "Tags": [{"Key": "aws:a", "Value": ""}]},
            400,
            "InvalidInput",
            "Tag keys beginning with aws: are reserved for system use.",
        ),
        (
            "tag_role",
            {"RoleName": "r", "Tags": [{"Key": "a!", "Value": ""}]},
            400,
            "ValidationError",
            "1 validation error detected: Value 'a!' at 'tags.1.member.key' failed to satisfy "
            r"constraint: Member must satisfy regular expression pattern: "
            r"[\p{L}\p{Z}\p{N}_.:/=+\-@]+",
        ),
    ],
)
def test_what_is_refused_is_told_in_the_words_of_aws(
    iam, operation, members, status, code, message
):
    make_role(iam)
    assert error_of(getattr(iam, operation), **members) == (status, code, message)
    assert [role["RoleName"] for role in iam.list_roles()["Roles"]] == ["r"]


def test_an_account_has_a_bound_of_roles_and_of_policies(iam, monkeypatch):
    monkeypatch.setattr(limits, "ROLES_MAX", 1)
    make_role(iam)
    make_policy(iam)
    trust, policy = json.dumps(TRUST), json.dumps(POLICY)
    for refused, counted in (
        (error_of(iam.create_role, RoleName="s", AssumeRolePolicyDocument=trust), "Roles"),
        (error_of(iam.create_policy, PolicyName="q", PolicyDocument=policy), "Policies"),
    ):
        message = f"Cannot exceed quota for {counted}PerAccount: 1"
        assert refused == (409, "LimitExceeded", message)


def test_what_is_missing_is_told(wire: Wire):
    answer = wire.raw(b"Action=GetRole&Version=2010-05-08", FORM)
    assert answer.status == 400
    assert b"Value null at 'roleName'" in answer.body
    assert b"<Code>ValidationError</Code>" in answer.body


FORM = {b"content-type": b"application/x-www-form-urlencoded", b"host": b"h"}


def test_operations_on_users_are_not_implemented(iam):
    refused = error_of(iam.create_user, UserName="u")
    assert refused[:2] == (501, "UnsupportedOperation")


def test_every_answer_says_that_nothing_is_enforced(iam, sts):
    make_role(iam)
    told = [iam.list_roles(), sts.get_caller_identity()]
    with pytest.raises(ClientError) as caught:
        iam.get_role(RoleName="none")
    for answer in (*told, caught.value.response):
        headers = answer["ResponseMetadata"]["HTTPHeaders"]
        assert headers["x-eventcore-stub"] == "nothing is enforced"
        assert headers["content-type"] == "text/xml"


def test_markers_are_short_enough_for_aws_however_long_the_names(iam):
    make_role(iam)
    keys = sorted("\N{CJK UNIFIED IDEOGRAPH-4E00}" * 127 + last for last in "abcde")
    tags = [{"Key": key, "Value": ""} for key in keys]
    iam.tag_role(RoleName="r", Tags=tags)
    seen: list[str] = []
    marker: dict[str, str] = {}
    while True:
        page = iam.list_role_tags(RoleName="r", MaxItems=2, **marker)
        seen += [tag["Key"] for tag in page["Tags"]]
        if not page["IsTruncated"]:
            break
        assert len(page["Marker"]) <= 320
        marker = {"Marker": page["Marker"]}
    assert sorted(seen) == keys
    for number in range(3):
        make_policy(iam, f"{number}" + "p" * 127, Path="/" + "x" * 200 + "/")
    pages = iam.get_paginator("list_policies").paginate(PaginationConfig={"PageSize": 1})
    assert [len(page["Policies"]) for page in pages] == [1, 1, 1]


# Accounts, durability


def test_each_account_has_its_own(client, iam):
    make_role(iam)
    other = client("iam", access_key=OTHER)
    assert other.list_roles()["Roles"] == []
    assert make_role(other)["Arn"] == f"arn:aws:iam::{OTHER}:role/r"


def test_reading_writes_nothing(wire, iam):
    before = wire.store.load()
    assert iam.list_roles()["Roles"] == []
    assert list(wire.store.load()) == list(before) == []


async def test_what_was_acknowledged_is_there_after_a_failed_commit(wire_on):
    store = FaultyStore(MemoryStore(holds_replies=True))
    async with wire_on(store) as wire:
        assert (await act(wire, "CreateRole", "kept")).status == 200
        store.plan[store.appends + 1] = "fail_before"
        assert (await act(wire, "CreateRole", "lost")).status == 503
        for _ in range(20):
            await asyncio.sleep(0)
        assert (await act(wire, "GetRole", "kept")).status == 200
        assert (await act(wire, "GetRole", "lost")).status == 404
        assert (await act(wire, "CreateRole", "lost")).status == 200


async def test_nobody_is_told_of_a_role_that_can_vanish(wire_on):
    store = FaultyStore(MemoryStore(holds_replies=True))
    async with wire_on(store) as wire:
        assert (await act(wire, "CreateRole", "first")).status == 200
        store.hold()
        answers = [await act(wire, action, "r") for action in ("CreateRole", "GetRole")]
        assert store.held
        assert not any(answer.is_there for answer in answers)
        store.release()
        assert [(await wire.settle(answer)).status for answer in answers] == [200, 200]


async def test_the_first_role_of_an_account_can_be_lost_and_made_again(wire_on):
    store = FaultyStore(MemoryStore(holds_replies=True))
    async with wire_on(store) as wire:
        store.plan[store.appends + 1] = "fail_before"
        assert (await act(wire, "CreateRole", "r")).status == 503
        for _ in range(20):
            await asyncio.sleep(0)
        assert (await act(wire, "CreateRole", "r")).status == 200
        assert (await act(wire, "DeleteRole", "r")).status == 200
    async with wire_on(store) as wire:
        assert (await act(wire, "CreateRole", "r")).status == 200, "the account is known"


async def act(wire: Wire, action: str, name: str) -> Any:
    body = f"Action={action}&Version=2010-05-08&RoleName={name}&AssumeRolePolicyDocument="
    return await wire.settle(wire.raw((body + json.dumps(TRUST)).encode(), FORM))


# STS


def session_client(client: Callable[..., Any], service: str, credentials: dict[str, Any]) -> Any:
    made = client(service, access_key=credentials["AccessKeyId"])
    token = credentials["SessionToken"]

    def add_token(request: Any, **_: object) -> None:
        request.headers["X-Amz-Security-Token"] = token

    made.meta.events.register(f"before-sign.{service}", add_token)
    return made


def test_an_assumed_role_leads_to_its_account(client, sts, iam):
    role = make_role(client("iam", access_key=OTHER))
    answer = sts.assume_role(RoleArn=role["Arn"], RoleSessionName="me@x")
    arn = f"arn:aws:sts::{OTHER}:assumed-role/r/me@x"
    user_id = f"{role['RoleId']}:me@x"
    assert answer["AssumedRoleUser"] == {"AssumedRoleId": user_id, "Arn": arn}
    credentials = answer["Credentials"]
    assert (credentials["Expiration"] - START).total_seconds() == 3_600
    assert Callers().read(f"Credential={credentials['AccessKeyId']}".encode()).account == OTHER
    caller = session_client(client, "sts", credentials).get_caller_identity()
    assert (caller["Account"], caller["Arn"], caller["UserId"]) == (OTHER, arn, user_id)
    queue = session_client(client, "sqs", credentials).create_queue(QueueName="q")
    assert f"/{OTHER}/q" in queue["QueueUrl"]
    info = sts.get_access_key_info(AccessKeyId=credentials["AccessKeyId"])
    assert info["Account"] == OTHER


def test_a_role_that_does_not_exist_is_assumed_all_the_same(client, sts):
    arn = f"arn:aws:iam::{OTHER}:role/some/path/none"
    answers = [sts.assume_role(RoleArn=arn, RoleSessionName="me") for _ in range(2)]
    assert answers[0]["AssumedRoleUser"] == answers[1]["AssumedRoleUser"]
    assert answers[0]["AssumedRoleUser"]["Arn"] == f"arn:aws:sts::{OTHER}:assumed-role/none/me"
    assert answers[0]["Credentials"]["AccessKeyId"] != answers[1]["Credentials"]["AccessKeyId"]


def test_a_session_token_is_of_its_key_only(client, sts):
    arn = f"arn:aws:iam::{OTHER}:role/r"
    one, two = (
        sts.assume_role(RoleArn=arn, RoleSessionName=name)["Credentials"] for name in ("s1", "s2")
    )
    mixed = {**one, "SessionToken": two["SessionToken"]}
    for credentials in (mixed, {**one, "SessionToken": "x"}, {**one, "SessionToken": "AAAA" * 9}):
        caller = session_client(client, "sts", credentials).get_caller_identity()
        assert caller["Arn"] == f"arn:aws:iam::{OTHER}:root"


def test_a_request_that_was_signed_ahead_names_its_session(wire, client, sts):
    arn = f"arn:aws:iam::{OTHER}:role/r"
    credentials = sts.assume_role(RoleArn=arn, RoleSessionName="me")["Credentials"]
    session = boto3.Session(
        credentials["AccessKeyId"], credentials["SecretAccessKey"], credentials["SessionToken"]
    )
    ahead = session.client("sts", region_name="us-east-1", endpoint_url=f"http://{HOST}")
    url = ahead.generate_presigned_url("get_caller_identity", HttpMethod="GET")
    answer = wire.raw(b"", {}, url.removeprefix(f"http://{HOST}").encode(), b"GET")
    assert f"<Arn>arn:aws:sts::{OTHER}:assumed-role/r/me</Arn>".encode() in answer.body


def test_a_session_may_last_as_long_as_the_role_says(sts, iam):
    arn = make_role(iam)["Arn"]
    refused = error_of(sts.assume_role, RoleArn=arn, RoleSessionName="me", DurationSeconds=3_601)
    assert refused == (
        400,
        "ValidationError",
        "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.",
    )
    iam.update_role(RoleName="r", MaxSessionDuration=3_601)
    sts.assume_role(RoleArn=arn, RoleSessionName="me", DurationSeconds=3_601, SourceIdentity="me")


def test_get_session_token_is_for_those_who_have_none(client, sts):
    credentials = client("sts", access_key=OTHER).get_session_token()["Credentials"]
    assert (credentials["Expiration"] - START).total_seconds() == 43_200
    session = session_client(client, "sts", credentials)
    caller = session.get_caller_identity()
    assert (caller["Account"], caller["Arn"]) == (OTHER, f"arn:aws:iam::{OTHER}:root")
    assert error_of(session.get_session_token)[:2] == (403, "AccessDenied")


def token(claims: Any) -> str:
    body = urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"e30.{body}.c2ln"


def test_a_web_identity_is_read_and_not_verified(client, sts):
    answer = sts.assume_role_with_web_identity(
        RoleArn=f"arn:aws:iam::{OTHER}:role/r",
        RoleSessionName="pod",
        WebIdentityToken=token({"sub": "system:sa", "iss": "https://issuer", "aud": ["a"]}),
    )
    assert answer["SubjectFromWebIdentityToken"] == "system:sa"
    assert answer["Provider"] == "https://issuer"
    assert "Audience" not in answer
    assert answer["AssumedRoleUser"]["Arn"] == f"arn:aws:sts::{OTHER}:assumed-role/r/pod"


@pytest.mark.parametrize("text", ["none", "a.b.c", "a.!!!!.c", token([1]), "e30.e30", "é.é.é"])
def test_what_is_no_web_identity_is_refused(sts, text):
    refused = error_of(
        sts.assume_role_with_web_identity,
        RoleArn=f"arn:aws:iam::{OTHER}:role/r",
        RoleSessionName="pod",
        WebIdentityToken=text,
    )
    assert refused[:2] == (400, "InvalidIdentityToken")


@pytest.mark.parametrize(
    ("members", "code"),
    [
        ({"RoleArn": "arn:aws:iam::000000000000:user/u"}, "ValidationError"),
        ({"RoleArn": "arn:aws:iam::x:role/r-and-more"}, "ValidationError"),
        ({"RoleSessionName": "a b"}, "ValidationError"),
        ({"Policy": "{"}, "MalformedPolicyDocument"),
        ({"DurationSeconds": 43_201}, "ValidationError"),
    ],
)
def test_a_bad_request_for_a_role_is_refused(sts, members, code):
    good = {"RoleArn": f"arn:aws:iam::{OTHER}:role/r", "RoleSessionName": "pod"}
    assert error_of(sts.assume_role, **(good | members))[:2] == (400, code)
