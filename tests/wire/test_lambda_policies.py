"""Lambda's policies and tags through boto3: what AWS answered, as far as that was written down, in
its words.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.wire.lambda_calls import (
    ARN,
    LATEST,
    absent,
    broken,
    create,
    invalid,
    like,
    refused,
)


@pytest.fixture
def functions(client: Callable[..., Any]) -> Any:
    return client("lambda")


@pytest.fixture
def versions(functions: Any) -> Any:
    """A function with two versions."""
    create(functions, Publish=True)
    functions.update_function_configuration(FunctionName="f", Description="second")
    functions.publish_version(FunctionName="f")
    return functions


# Policies


def permit(functions: Any, sid: str = "s3", **members: Any) -> Any:
    given = {
        "FunctionName": "f",
        "Action": "lambda:InvokeFunction",
        "Principal": "s3.amazonaws.com",
    }
    return functions.add_permission(StatementId=sid, **{**given, **members})


def test_a_permission_becomes_a_statement_of_the_policy(functions):
    create(functions)
    added = permit(functions, SourceArn="arn:aws:s3:::bucket")
    statement = {
        "Sid": "s3",
        "Effect": "Allow",
        "Principal": {"Service": "s3.amazonaws.com"},
        "Action": "lambda:InvokeFunction",
        "Resource": ARN + "f",
        "Condition": {"ArnLike": {"AWS:SourceArn": "arn:aws:s3:::bucket"}},
    }
    assert json.loads(added["Statement"]) == statement
    policy = functions.get_policy(FunctionName="f")
    document = {"Version": "2012-10-17", "Id": "default", "Statement": [statement]}
    assert json.loads(policy["Policy"]) == document
    configuration = functions.get_function_configuration(FunctionName="f")
    assert policy["RevisionId"] == configuration["RevisionId"]


@pytest.mark.parametrize(
    ("members", "principal", "condition"),
    [
        (
            {"Principal": "*", "SourceAccount": "000000000000"},
            "*",
            {"StringEquals": {"AWS:SourceAccount": "000000000000"}},
        ),
        ({"Principal": "111111111111"}, {"AWS": "arn:aws:iam::111111111111:root"}, None),
        (
            {"Principal": "arn:aws:iam::111111111111:user/u"},
            {"AWS": "arn:aws:iam::111111111111:user/u"},
            None,
        ),
        (
            {"Principal": "*", "EventSourceToken": "amzn1.ask.skill.x"},
            "*",
            {"StringEquals": {"lambda:EventSourceToken": "amzn1.ask.skill.x"}},
        ),
        (
            {
                "Principal": "*",
                "SourceAccount": "000000000000",
                "FunctionUrlAuthType": "NONE",
                "PrincipalOrgID": "o-1234567890",
                "SourceArn": "arn:aws:s3:::bucket",
            },
            "*",
            {
                "StringEquals": {
                    "AWS:SourceAccount": "000000000000",
                    "lambda:FunctionUrlAuthType": "NONE",
                    "aws:PrincipalOrgID": "o-1234567890",
                },
                "ArnLike": {"AWS:SourceArn": "arn:aws:s3:::bucket"},
            },
        ),
    ],
)
def test_principals_and_conditions_have_the_form_of_aws(functions, members, principal, condition):
    create(functions)
    statement = json.loads(permit(functions, **members)["Statement"])
    assert statement["Principal"] == principal
    assert statement.get("Condition") == condition


def test_each_version_and_alias_has_a_policy_of_its_own(versions):
    versions.create_alias(FunctionName="f", Name="live", FunctionVersion="1")
    permit(versions, "a")
    permit(versions, "b", Qualifier="1")
    permit(versions, "c", FunctionName="f:live")
    for qualifier, sid, arn in ((None, "a", "f"), ("1", "b", "f:1"), ("live", "c", "f:live")):
        members = {"Qualifier": qualifier} if qualifier else {}
        policy = json.loads(versions.get_policy(FunctionName="f", **members)["Policy"])
        (statement,) = policy["Statement"]
        assert (statement["Sid"], statement["Resource"]) == (sid, ARN + arn)


def test_a_policy_that_is_not_there_does_not_exist(functions):
    create(functions)
    missing = absent("The resource you requested does not exist.")
    for members in ({"FunctionName": "g"}, {"FunctionName": "f"}, {"FunctionName": "f:42"}):
        assert refused(functions.get_policy, **members) == missing
    permit(functions)
    functions.remove_permission(FunctionName="f", StatementId="s3")
    assert refused(functions.get_policy, FunctionName="f") == missing


@pytest.mark.parametrize(
    ("members", "told"),
    [
        (
            {"sid": "example.com"},
            broken("example.com", "statementId", like("([a-zA-Z0-9-_]+)")),
        ),
        (
            {"Qualifier": LATEST},
            invalid("We currently do not support adding policies for $LATEST."),
        ),
        (
            {"Principal": "invalid.nonaws.com"},
            invalid(
                "The provided principal was invalid. Please check the principal and try again."
            ),
        ),
        ({"FunctionName": "g"}, absent(f"Function not found: {ARN}g")),
        ({"Qualifier": "x"}, absent(f"Cannot find alias arn: {ARN}f:x")),
        ({"Qualifier": "42"}, absent(f"Function not found: {ARN}f:42")),
        ({"Qualifier": "x-$-y"}, absent(f"Function not found: {ARN}f:x-$-y")),
        (
            {"RevisionId": "other"},
            (
                "PreconditionFailedException",
                "The Revision Id provided does not match the latest Revision Id. Call the "
                "GetPolicy API to retrieve the latest Revision Id",
                412,
            ),
        ),
    ],
)
def test_a_permission_that_cannot_be_is_refused(functions, members, told):
    create(functions)
    assert refused(permit, functions=functions, **members) == told
    assert refused(functions.get_policy, FunctionName="f")[2] == 404


def test_a_statement_id_is_taken_once_and_removed_once(functions):
    create(functions)
    remove = functions.remove_permission
    nothing = absent("No policy is associated with the given resource.")
    assert refused(remove, FunctionName="f", StatementId="s3") == nothing
    permit(functions)
    assert refused(permit, functions=functions) == (
        "ResourceConflictException",
        "The statement id (s3) provided already exists. Please provide a new statement id, or "
        "remove the existing statement.",
        409,
    )
    assert refused(remove, FunctionName="f", StatementId="x") == absent(
        "Statement x is not found in resource policy."
    )
    assert refused(remove, FunctionName="g", StatementId="x") == absent(
        f"No policy found for: {ARN}g"
    )
    assert refused(remove, FunctionName="f:x", StatementId="x") == absent(
        f"Cannot find alias arn: {ARN}f:x"
    )
    answer = remove(FunctionName="f", StatementId="s3")
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 204


def test_a_policy_has_a_size(functions):
    create(functions)
    for number in range(9):
        permit(functions, f"s{number}", SourceArn="arn:aws:s3:::" + "b" * 2_000)
    code, text, status = refused(
        permit, functions=functions, sid="last", SourceArn="arn:aws:s3:::" + "b" * 2_000
    )
    assert (code, status) == ("PolicyLengthExceededException", 400)
    assert text.endswith("is bigger than the limit (20480).")


# Tags


def test_tags_are_added_replaced_and_removed(functions):
    create(functions, Tags={"a": "1"})
    resource = ARN + "f"
    answer = functions.tag_resource(Resource=resource, Tags={"a": "2", "b": "3"})
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 204
    assert functions.list_tags(Resource=resource)["Tags"] == {"a": "2", "b": "3"}
    functions.untag_resource(Resource=resource, TagKeys=["b", "not there"])
    assert functions.get_function(FunctionName="f")["Tags"] == {"a": "2"}
    functions.untag_resource(Resource=resource, TagKeys=["a"])
    assert "Tags" not in functions.get_function(FunctionName="f")
    assert functions.list_tags(Resource=resource)["Tags"] == {}


async def test_a_mapping_has_tags_too(client, functions):
    create(functions)
    client("sqs").create_queue(QueueName="orders")
    mapping = functions.create_event_source_mapping(
        FunctionName="f",
        EventSourceArn="arn:aws:sqs:us-east-1:000000000000:orders",
        Tags={"a": "1"},
    )
    resource = mapping["EventSourceMappingArn"]
    functions.tag_resource(Resource=resource, Tags={"b": "2"})
    functions.untag_resource(Resource=resource, TagKeys=["a"])
    assert functions.list_tags(Resource=resource)["Tags"] == {"b": "2"}


def test_what_cannot_have_tags_is_told(functions):
    create(functions, Publish=True)
    tag = functions.tag_resource
    for qualifier in ("1", LATEST):
        assert refused(tag, Resource=f"{ARN}f:{qualifier}", Tags={"a": "b"}) == invalid(
            "Tags on function aliases and versions are not supported. Please specify a function "
            "ARN."
        )
    many = {str(number): "" for number in range(51)}
    assert refused(tag, Resource=ARN + "f", Tags=many) == invalid(
        "Number of tags exceeds resource tag limit."
    )
    uuid = "11111111-2222-3333-4444-555555555555"
    before = "arn:aws:lambda:us-east-1:000000000000:"
    for resource, noun in (
        ("function:gone", "Function"),
        (f"event-source-mapping:{uuid}", "Event source mapping"),
        ("capacity-provider:x", "Capacity provider"),
    ):
        missing = absent(f"{noun} not found: {before}{resource}")
        assert refused(functions.list_tags, Resource=before + resource) == missing
        assert refused(tag, Resource=before + resource, Tags={"a": "b"}) == missing
    code, text, _ = refused(functions.list_tags, Resource=before + "foobar:x")
    assert code == "ValidationException"
    assert text.startswith(
        f"1 validation error detected: Value '{before}foobar:x' at 'resource' failed"
    )
