"""boto3 against a real daemon: Lambda's functions, versions, aliases, policies and tags."""

from __future__ import annotations

import http.client
import io
import json
import zipfile
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from botocore.exceptions import ClientError

from tests.acceptance.conftest import client_for

ROLE = "arn:aws:iam::000000000000:role/worker"
ARN = "arn:aws:lambda:us-east-1:000000000000:function:"


def zipped(text: str) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        # Without the time of day, so that the same text is the same zip.
        archive.writestr(zipfile.ZipInfo("index.py"), text)
    return content.getvalue()


@pytest.fixture(scope="session")
def functions(clients: Callable[..., Any]) -> Any:
    return clients("lambda")


def create(functions: Any, name: str, **members: Any) -> Any:
    code = {"ZipFile": zipped("def handler(event, context): return event")}
    given = {"Role": ROLE, "Runtime": "python3.12", "Handler": "index.handler", "Code": code}
    return functions.create_function(FunctionName=name, **{**given, **members})


@pytest.fixture
def name(functions: Any, queue_name: str) -> Iterator[str]:
    """A function that no other test uses."""
    short = queue_name[-64:]
    create(functions, short)
    yield short
    functions.delete_function(FunctionName=short)


def test_a_function_lives_from_its_creation_to_its_deletion(functions, queue_name):
    name = queue_name[-64:]
    created = create(functions, name, Publish=True, Tags={"team": "a"})
    functions.get_waiter("function_active_v2").wait(FunctionName=name)
    functions.get_waiter("published_version_active").wait(FunctionName=name, Qualifier="1")
    code = zipped("def handler(event, context): return 'other'")
    updated = functions.update_function_code(FunctionName=name, ZipFile=code)
    assert updated["CodeSha256"] != created["CodeSha256"]
    functions.update_function_configuration(FunctionName=name, Timeout=9)
    functions.get_waiter("function_updated_v2").wait(FunctionName=name)
    assert functions.publish_version(FunctionName=name)["Version"] == "2"
    functions.delete_function(FunctionName=name)
    with pytest.raises(functions.exceptions.ResourceNotFoundException) as caught:
        functions.get_function(FunctionName=name)
    assert caught.value.response["Error"]["Message"] == f"Function not found: {ARN}{name}"


def test_the_location_of_code_is_an_address(functions, name):
    location = functions.get_function(FunctionName=name)["Code"]["Location"]
    answer = httpx.get(location)
    assert answer.status_code == 200
    assert answer.content == zipped("def handler(event, context): return event")


def test_code_of_some_megabytes_is_taken(functions, name):
    code = zipped("x" * 5_000_000)
    assert len(code) > 5_000_000
    updated = functions.update_function_code(FunctionName=name, ZipFile=code)
    assert updated["CodeSize"] == len(code)
    assert httpx.get(functions.get_function(FunctionName=name)["Code"]["Location"]).content == code


def test_aliases_policies_and_tags_are_those_of_a_function(functions, name):
    functions.publish_version(FunctionName=name)
    alias = functions.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
    assert alias["AliasArn"] == f"{ARN}{name}:live"
    functions.add_permission(
        FunctionName=name,
        StatementId="s3",
        Action="lambda:InvokeFunction",
        Principal="s3.amazonaws.com",
        Qualifier="live",
    )
    policy = json.loads(functions.get_policy(FunctionName=name, Qualifier="live")["Policy"])
    assert [statement["Resource"] for statement in policy["Statement"]] == [alias["AliasArn"]]
    functions.tag_resource(Resource=ARN + name, Tags={"a key": "ä / b"})
    assert functions.list_tags(Resource=ARN + name)["Tags"] == {"a key": "ä / b"}
    functions.untag_resource(Resource=ARN + name, TagKeys=["a key"])
    assert functions.list_tags(Resource=ARN + name)["Tags"] == {}
    functions.remove_permission(FunctionName=name, StatementId="s3", Qualifier="live")
    functions.delete_alias(FunctionName=name, Name="live")


def test_what_is_missing_is_told_as_missing(functions):
    with pytest.raises(ClientError) as caught:
        functions.list_layers()
    answer = caught.value.response
    assert answer["Error"]["Code"] == "UnsupportedOperation"
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 501


@pytest.mark.parametrize("is_http2", [False, True])
def test_both_protocols_of_http_take_every_method(daemon, is_http2):
    with httpx.Client(base_url=daemon.url, http1=not is_http2, http2=is_http2) as client:
        assert client.get("/2015-03-31/functions?MaxItems=1").status_code == 200
        unknown = client.delete("/2015-03-31/functions/not-there")
        assert unknown.status_code == 404
        assert unknown.headers["x-amzn-errortype"] == "ResourceNotFoundException"
        changed = client.put("/2015-03-31/functions/not-there/configuration", json={"Timeout": 3})
        assert changed.json()["Message"] == f"Function not found: {ARN}not-there"
        assert client.patch("/2015-03-31/functions").status_code == 404


def test_an_answer_without_a_body_leaves_the_connection_good(daemon, functions, name):
    functions.publish_version(FunctionName=name)
    address = urlsplit(daemon.url)
    assert address.hostname is not None
    connection = http.client.HTTPConnection(address.hostname, address.port, timeout=30)
    for _ in range(2):
        connection.request("DELETE", f"/2015-03-31/functions/{name}?Qualifier=1")
        answer = connection.getresponse()
        assert (answer.status, answer.read()) == (204, b"")
    connection.request("GET", f"/2015-03-31/functions/{name}/versions")
    versions = json.loads(connection.getresponse().read())["Versions"]
    assert [version["Version"] for version in versions] == ["$LATEST"]
    connection.close()


def test_functions_outlive_the_daemon(own_daemon):
    functions = client_for(own_daemon.url, "lambda")
    created = create(functions, "f", Publish=True, Tags={"a": "b"}, Description="d")
    functions.create_alias(FunctionName="f", Name="live", FunctionVersion="1")
    own_daemon.kill()
    own_daemon.start()
    functions = client_for(own_daemon.url, "lambda")
    shown = functions.get_function(FunctionName="f:live")
    assert shown["Configuration"]["CodeSha256"] == created["CodeSha256"]
    assert (shown["Configuration"]["Description"], shown["Tags"]) == ("d", {"a": "b"})
    assert httpx.get(shown["Code"]["Location"]).status_code == 200
    assert own_daemon.stop() == 0


def test_provisioned_concurrency_of_what_can_not_be_initialised_has_failed(functions, name):
    functions.update_function_code(FunctionName=name, ZipFile=zipped("1 / 0"))
    version = functions.publish_version(FunctionName=name)["Version"]
    put = functions.put_provisioned_concurrency_config(
        FunctionName=name, Qualifier=version, ProvisionedConcurrentExecutions=1
    )
    while put["Status"] == "IN_PROGRESS":
        put = functions.get_provisioned_concurrency_config(FunctionName=name, Qualifier=version)
    assert (put["Status"], put["StatusReason"]) == ("FAILED", "FUNCTION_ERROR_INIT_FAILURE")
    assert put["AvailableProvisionedConcurrentExecutions"] == 0


def test_a_variable_that_no_process_takes_is_the_functions_error(functions, name):
    functions.update_function_configuration(
        FunctionName=name, Environment={"Variables": {"TEXT": "a\0b"}}
    )
    answer = functions.invoke(FunctionName=name)
    assert answer["FunctionError"] == "Unhandled"
    assert json.load(answer["Payload"])["errorType"] == "Runtime.InvalidEntrypoint"
