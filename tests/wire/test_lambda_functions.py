"""Lambda's functions, versions and aliases through boto3: what AWS answered, as far as that was
written down, in its words.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.wire.lambda_calls import (
    ARN,
    LATEST,
    NAME_PATTERN,
    NAMESPACED_PATTERN,
    absent,
    broken,
    create,
    invalid,
    like,
    refused,
    zipped,
)


@pytest.fixture
def functions(client: Callable[..., Any]) -> Any:
    return client("lambda")


# The life of a function


def test_a_new_function_is_pending_in_its_answer_and_active_at_the_next_look(functions):
    created = create(functions, Tags={"team": "a"}, MemorySize=256, Timeout=5)
    assert created["ResponseMetadata"]["HTTPStatusCode"] == 201
    assert created["State"] == "Pending"
    assert created["StateReason"] == "The function is being created."
    assert created["StateReasonCode"] == "Creating"
    assert "LastUpdateStatus" not in created
    assert created["FunctionArn"] == ARN + "f"
    assert created["Version"] == LATEST
    assert created["LoggingConfig"] == {"LogFormat": "Text", "LogGroup": "/aws/lambda/f"}
    assert (created["MemorySize"], created["Timeout"]) == (256, 5)
    assert "Environment" not in created
    shown = functions.get_function(FunctionName="f")
    configuration = shown["Configuration"]
    assert configuration["State"] == "Active"
    assert configuration["LastUpdateStatus"] == "Successful"
    assert "StateReason" not in configuration
    assert configuration["CodeSha256"] == created["CodeSha256"]
    assert shown["Tags"] == {"team": "a"}
    assert shown["Code"]["RepositoryType"] == "S3"
    functions.get_waiter("function_active_v2").wait(FunctionName="f")


def test_the_location_of_code_gives_the_zip(functions, wire):
    create(functions, Publish=True)
    other = zipped("other")
    functions.update_function_code(FunctionName="f", ZipFile=other)
    for qualifier, code in (("1", zipped()), (LATEST, other)):
        shown = functions.get_function(FunctionName="f", Qualifier=qualifier)
        target = shown["Code"]["Location"].removeprefix("http://localhost:9324").encode()
        answer = wire.raw(b"", target=target, method=b"GET")
        assert (answer.status, answer.body) == (200, code)
        assert answer.headers["content-type"] == "application/zip"


def test_an_update_is_in_progress_in_its_answer_and_successful_at_the_next_look(functions):
    first = create(functions, Environment={"Variables": {"ONE": "1", "TWO": "2"}})
    updated = functions.update_function_configuration(
        FunctionName="f", Description="changed", Environment={"Variables": {}}, Timeout=9
    )
    assert updated["State"] == "Active"
    assert updated["LastUpdateStatus"] == "InProgress"
    assert updated["LastUpdateStatusReasonCode"] == "Creating"
    assert updated["RevisionId"] != first["RevisionId"]
    shown = functions.get_function_configuration(FunctionName="f")
    assert shown["LastUpdateStatus"] == "Successful"
    assert shown["Description"] == "changed"
    assert shown["Environment"] == {"Variables": {}}
    assert (shown["Timeout"], shown["Handler"]) == (9, "index.handler")
    functions.get_waiter("function_updated_v2").wait(FunctionName="f")


def test_code_is_replaced_published_or_only_looked_at(functions):
    first = create(functions)
    other = zipped("other")
    looked = functions.update_function_code(FunctionName="f", ZipFile=other, DryRun=True)
    assert looked["CodeSha256"] != first["CodeSha256"]
    kept = functions.get_function_configuration(FunctionName="f")
    assert kept["CodeSha256"] == first["CodeSha256"]
    published = functions.update_function_code(FunctionName="f", ZipFile=other, Publish=True)
    assert published["FunctionArn"] == ARN + "f:1"
    assert (published["Version"], published["State"]) == ("1", "Pending")
    assert published["CodeSha256"] == looked["CodeSha256"]
    latest = functions.get_function_configuration(FunctionName="f", Qualifier=LATEST)
    assert latest["FunctionArn"] == ARN + "f:$LATEST"
    assert latest["CodeSha256"] == looked["CodeSha256"]


def test_a_revision_that_is_not_the_latest_changes_nothing(functions):
    create(functions)
    text = (
        "The Revision Id provided does not match the latest Revision Id. Call the "
        "GetFunction/GetAlias API to retrieve the latest Revision Id"
    )
    expected = ("PreconditionFailedException", text, 412)
    before = functions.get_function_configuration(FunctionName="f")
    for call, members in (
        (functions.update_function_configuration, {"Timeout": 9}),
        (functions.update_function_code, {"ZipFile": zipped("x")}),
        (functions.update_function_code, {"ZipFile": zipped("x"), "DryRun": True}),
        (functions.publish_version, {}),
    ):
        assert refused(call, FunctionName="f", RevisionId="other", **members) == expected
    after = functions.get_function_configuration(FunctionName="f")
    del before["ResponseMetadata"], after["ResponseMetadata"]
    assert after == before


def test_a_name_is_taken_once(functions):
    create(functions)
    text = "Function already exist: f"
    assert refused(create, functions=functions) == ("ResourceConflictException", text, 409)


def test_a_deleted_function_is_gone_with_all_of_it(functions):
    create(functions, Publish=True)
    answer = functions.delete_function(FunctionName="f")
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 204
    gone = absent(f"Function not found: {ARN}f")
    assert refused(functions.delete_function, FunctionName="f") == gone
    assert refused(functions.delete_function, FunctionName="f", Qualifier="1") == gone
    assert refused(functions.get_function, FunctionName="f") == gone
    assert functions.list_functions()["Functions"] == []


def test_functions_are_listed_by_name_and_with_their_versions_if_asked(functions):
    for name in ("b", "a-b", "a"):
        create(functions, name, Publish=name == "a")
    listed = functions.list_functions()["Functions"]
    assert [function["FunctionName"] for function in listed] == ["a", "a-b", "b"]
    assert all("State" not in f and "RuntimeVersionConfig" not in f for f in listed)
    assert listed[0]["FunctionArn"] == ARN + "a"
    pages = functions.get_paginator("list_functions").paginate(
        FunctionVersion="ALL", PaginationConfig={"PageSize": 1}
    )
    arns = [function["FunctionArn"] for page in pages for function in page["Functions"]]
    assert arns == [ARN + name for name in ("a:$LATEST", "a:1", "a-b:$LATEST", "b:$LATEST")]
    told = refused(functions.list_functions, FunctionVersion="some")
    assert told == broken("some", "functionVersion", "Member must satisfy enum value set: [ALL]")
    assert refused(functions.list_functions, Marker="!") == invalid(
        "The provided Marker is invalid."
    )


def test_each_account_and_region_has_functions_of_its_own(client, functions):
    create(functions)
    assert client("lambda", region="eu-west-1").list_functions()["Functions"] == []
    other = client("lambda", access_key="111111111111")
    assert other.list_functions()["Functions"] == []
    assert other.get_function(FunctionName=ARN + "f")["Configuration"]["FunctionName"] == "f"
    text = "Functions from 'us-east-1' are not reachable in this region ('eu-west-1')"
    elsewhere = client("lambda", region="eu-west-1")
    assert refused(elsewhere.get_function, FunctionName=ARN + "f") == absent(text)
    assert refused(create, functions=other, name=ARN + "g") == ("AccessDeniedException", "", 403)


# What is refused


@pytest.mark.parametrize(
    ("members", "text"),
    [
        (
            {"Runtime": "java8"},
            "The runtime parameter of java8 is no longer supported for creating or updating AWS "
            "Lambda functions. We recommend you use a supported runtime while creating or updating "
            "functions.",
        ),
        (
            {"Runtime": "java21"},
            "The runtime java21 cannot be run here. These can: python3.x, nodejs, and provided "
            "with a bootstrap.",
        ),
        (
            {"Code": {"ZipFile": b"no zip"}},
            "Could not unzip uploaded file. Please check your file, then try to upload again.",
        ),
        (
            {"Code": {"S3Bucket": "bucket", "S3Key": "key"}},
            "eventcore does not read code from S3: send it as ZipFile.",
        ),
        (
            {"Code": {"ImageUri": "image"}, "PackageType": "Image"},
            "eventcore does not run container images: PackageType must be Zip, and the code be "
            "sent as ZipFile.",
        ),
        ({"Code": {}}, "Please provide a source for function code."),
        (
            {"Handler": None},
            "Runtime and Handler are mandatory parameters for functions created with deployment "
            "packages.",
        ),
        (
            {"Layers": ["arn:aws:lambda:us-east-1:000000000000:layer:x:1"]},
            "eventcore does not support layers.",
        ),
        (
            {"Environment": {"Variables": {"AWS_REGION": "x"}}},
            "Lambda was unable to configure your environment variables because the environment "
            "variables you have provided contains reserved keys that are currently not supported "
            "for modification. Reserved keys used in this request: AWS_REGION",
        ),
        (
            {"Environment": {"Variables": {"LARGE": "x" * 4_096}}},
            "Lambda was unable to configure your environment variables because the environment "
            "variables you have provided exceeded the 4KB limit. String measured: "
            f'{{"LARGE":"{"x" * 4_096}"}}',
        ),
        (
            {"DeadLetterConfig": {"TargetArn": "arn:aws:sns:us-east-1:000000000000:topic"}},
            "eventcore has no topics: the TargetArn of DeadLetterConfig must be a queue's.",
        ),
        ({"Tags": {str(n): "" for n in range(51)}}, "Number of tags exceeds resource tag limit."),
        (
            {"LoggingConfig": {"SystemLogLevel": "INFO"}},
            "You cannot set LogLevel when LogFormat is set to Text. Remove LogLevel from your "
            "request or change the LogFormat to JSON and try again.",
        ),
    ],
)
def test_what_cannot_be_is_refused_and_leaves_nothing(functions, members, text):
    assert refused(create, functions=functions, **members) == invalid(text)
    assert functions.list_functions()["Functions"] == []


@pytest.mark.parametrize("runtime", ["non-existent-runtime", "PYTHON3.9"])
def test_an_unknown_runtime_is_told_with_all_that_there_are(functions, runtime):
    code, text, _ = refused(create, functions=functions, Runtime=runtime)
    assert code == "InvalidParameterValueException"
    start = f"Value {runtime} at 'runtime' failed to satisfy constraint: Member must satisfy enum "
    assert text.startswith(start + "value set: [nodejs20.x, python3.14, ")
    assert text.endswith("java8.al2] or be a valid ARN")


@pytest.mark.parametrize(
    ("members", "told"),
    [
        (
            {"Role": "r1"},
            broken(
                "r1", "role", like(r"arn:(aws[a-zA-Z-]*)?:iam::\d{12}:role/?[a-zA-Z_0-9+=,.@\-_/]+")
            ),
        ),
        (
            {"Architectures": ["x86_64", "arm64"]},
            broken(
                "[x86_64, arm64]",
                "architectures",
                "Member must have length less than or equal to 1",
            ),
        ),
        (
            {"Architectures": ["X86_64"]},
            broken(
                "[X86_64]",
                "architectures",
                "Member must satisfy constraint: [Member must satisfy enum value set: [x86_64, "
                "arm64], Member must not be null]",
            ),
        ),
        (
            {"SnapStart": {"ApplyOn": "invalidOption"}},
            broken(
                "invalidOption",
                "snapStart.applyOn",
                "Member must satisfy enum value set: [PublishedVersions, None]",
            ),
        ),
        (
            {"MemorySize": 10_241},
            broken("10241", "memorySize", "Member must have value less than or equal to 10240"),
        ),
        (
            {"Timeout": 901},
            broken("901", "timeout", "Member must have value less than or equal to 900"),
        ),
        (
            {"Environment": {"Variables": {"1A": "x"}}},
            (
                "ValidationException",
                "1 validation error detected: Value at 'environment.variables' failed to satisfy "
                "constraint: Map keys must satisfy constraint: [Member must satisfy regular "
                "expression pattern: [a-zA-Z]([a-zA-Z0-9_])+, Member must not be null]",
                400,
            ),
        ),
    ],
)
def test_what_the_model_does_not_allow_is_told_in_its_words(functions, members, told):
    assert refused(create, functions=functions, **members) == told


# Names and qualifiers


@pytest.mark.parametrize(
    "name",
    [
        "f",
        "function:f",
        "000000000000:function:f",
        "000000000000:f",
        ARN + "f",
        "f:$LATEST",
        ARN + "f:$LATEST",
    ],
)
def test_a_function_has_many_names(functions, name):
    create(functions)
    assert functions.get_function(FunctionName=name)["Configuration"]["FunctionName"] == "f"


@pytest.mark.parametrize("operation", ["get_function", "delete_function"])
@pytest.mark.parametrize(
    "name",
    [
        "*",
        "my-function!",
        "invalid-account:function:my-function",
        "arn:aws:lambda:invalid-region:111111111111:function:my-function",
        "arn:aws:ec2:us-east-1:111111111111:instance:i-1234567890abcdef0",
        "arn:aws:lambda:us-east-1:111111111111:function:my-function:1:2",
        "function:my-function:$LATEST:extra",
        "arn:aws:lambda::111111111111:function:my-function",
        "arn:aws:lambda:us-east-1::function:my-function",
        "arn:aws:lambda:us-east-1:111111111111:function:my-function:$LATES",
    ],
)
def test_a_name_of_another_form_is_told_with_the_pattern(functions, operation, name):
    told = broken(name, "functionName", like(NAMESPACED_PATTERN))
    assert refused(getattr(functions, operation), FunctionName=name) == told
    told = broken(name, "functionName", like(NAME_PATTERN))
    assert refused(create, functions=functions, name=name) == told


def test_a_name_may_be_too_long_in_two_ways(functions):
    name = "a" * 65
    told = f"Value '{name}' at 'functionName' failed to satisfy constraint: Member must have length"
    text = f"1 validation error detected: {told} less than or equal to 64"
    assert refused(create, functions=functions, name=name) == invalid(text)
    arn = ARN + "a" * 100
    reason = "Member must have length less than or equal to 140"
    assert refused(create, functions=functions, name=arn) == broken(arn, "functionName", reason)
    missing = absent(f"Function not found: {ARN}{name}")
    assert refused(functions.get_function, FunctionName=name) == missing


def test_a_qualifier_is_checked_by_its_form_alone(functions):
    told = broken("invalid!", "qualifier", like(r"\$(LATEST(\.PUBLISHED)?)|[a-zA-Z0-9-_$]+"))
    assert refused(functions.get_function, FunctionName="f", Qualifier="invalid!") == told
    long = "a" * 129
    told = broken(long, "qualifier", "Member must have length less than or equal to 128")
    assert refused(functions.get_function, FunctionName="f", Qualifier=long) == told


@pytest.mark.parametrize("operation", ["get_function", "delete_function"])
def test_two_qualifiers_must_be_the_same(functions, operation):
    call = getattr(functions, operation)
    told = refused(call, FunctionName="f:$LATEST", Qualifier="1")
    text = "The derived qualifier from the function name does not match the specified qualifier."
    assert told == invalid(text)


def test_what_is_not_found_is_told_by_its_arn(functions):
    for name, qualifier, arn in (
        ("arn:aws:lambda:us-east-1:000000000000:function", None, "function"),
        ("g", "1", "g:1"),
        ("g", LATEST, "g:$LATEST"),
        ("g", "$latest", "g:$latest"),
        ("g:" + "a" * 65, None, "g:" + "a" * 65),
    ):
        members = {"FunctionName": name} | ({"Qualifier": qualifier} if qualifier else {})
        missing = absent(f"Function not found: {ARN}{arn}")
        assert refused(functions.get_function, **members) == missing


def test_only_versions_are_deleted_by_their_qualifier(functions):
    create(functions, Publish=True)
    delete = functions.delete_function
    assert refused(delete, FunctionName="f", Qualifier=LATEST) == invalid(
        "$LATEST version cannot be deleted without deleting the function."
    )
    assert refused(delete, FunctionName="f:live") == invalid(
        "Deletion of aliases is not currently supported."
    )
    for _ in range(2):  # a version that is not there is deleted already
        assert delete(FunctionName="f", Qualifier="1")["ResponseMetadata"]["HTTPStatusCode"] == 204
    versions = functions.list_versions_by_function(FunctionName="f")["Versions"]
    assert [version["Version"] for version in versions] == [LATEST]


# Versions and aliases


def test_a_version_is_published_when_something_has_changed(functions):
    create(functions, Description="none yet")
    first = functions.publish_version(FunctionName="f", Description="first")
    again = functions.publish_version(FunctionName="f")
    assert (first["Version"], first["Description"]) == ("1", "first")
    assert (first["State"], first["LastUpdateStatus"]) == ("Active", "Successful")
    assert again["RevisionId"] == first["RevisionId"]
    functions.update_function_configuration(FunctionName="f", Description="second")
    second = functions.publish_version(FunctionName="f")
    assert (second["Version"], second["Description"]) == ("2", "second")
    listed = functions.list_versions_by_function(FunctionName="f")["Versions"]
    assert [v["FunctionArn"] for v in listed] == [ARN + f"f:{n}" for n in (LATEST, "1", "2")]
    pages = functions.get_paginator("list_versions_by_function").paginate(
        FunctionName="f", PaginationConfig={"PageSize": 2}
    )
    assert [len(page["Versions"]) for page in pages] == [2, 1]


def test_a_version_is_published_of_the_code_that_is_meant(functions):
    sha256 = create(functions)["CodeSha256"]
    assert refused(functions.publish_version, FunctionName="f", CodeSha256="other") == invalid(
        f"CodeSHA256 (other) is different from current CodeSHA256 in $LATEST ({sha256}). Please "
        "try again with the CodeSHA256 in $LATEST."
    )
    assert functions.publish_version(FunctionName="f", CodeSha256=sha256)["Version"] == "1"


@pytest.fixture
def versions(functions: Any) -> Any:
    """A function with two versions."""
    create(functions, Publish=True)
    functions.update_function_configuration(FunctionName="f", Description="second")
    functions.publish_version(FunctionName="f")
    return functions


def test_an_alias_names_a_version_and_shares_with_another(versions):
    weights = {"AdditionalVersionWeights": {"2": 0.2}}
    made = versions.create_alias(
        FunctionName="f", Name="live", FunctionVersion="1", RoutingConfig=weights
    )
    assert made["ResponseMetadata"].pop("HTTPStatusCode") == 201
    assert made["AliasArn"] == ARN + "f:live"
    assert (made["Description"], made["RoutingConfig"]) == ("", weights)
    shown = versions.get_function(FunctionName="f:live")["Configuration"]
    assert (shown["FunctionArn"], shown["Version"]) == (ARN + "f:live", "1")
    updated = versions.update_alias(
        FunctionName="f", Name="live", Description="d", RoutingConfig={}
    )
    assert "RoutingConfig" not in updated
    assert (updated["FunctionVersion"], updated["Description"]) == ("1", "d")
    assert updated["RevisionId"] != made["RevisionId"]
    versions.create_alias(FunctionName="f", Name="2024-01-02", FunctionVersion="2")
    names = [a["Name"] for a in versions.list_aliases(FunctionName="f")["Aliases"]]
    assert names == ["2024-01-02", "live"]
    of_two = versions.list_aliases(FunctionName="f", FunctionVersion="2")["Aliases"]
    assert [alias["Name"] for alias in of_two] == ["2024-01-02"]
    assert refused(versions.delete_function, FunctionName="f", Qualifier="1") == (
        "ResourceConflictException",
        "Unable to delete version because the following aliases reference it: [live]",
        409,
    )
    for _ in range(2):  # an alias that is not there is deleted already
        versions.delete_alias(FunctionName="f", Name="live")


@pytest.mark.parametrize(
    ("version", "weights", "told"),
    [
        ("10", {}, absent(f"Function not found: {ARN}f:10")),
        ("1", {"10": 0.5}, absent(f"Function not found: {ARN}f:10")),
        (
            "1",
            {"1": 0.5},
            invalid(
                "Invalid function version 1. Function version 1 is already included in routing "
                "configuration."
            ),
        ),
        (
            "1",
            {"1": 0.5, "2": 0.5},
            invalid("Number of items in AdditionalVersionWeights cannot be greater than 1"),
        ),
        (
            LATEST,
            {"1": 0.5},
            invalid("$LATEST is not supported for an alias pointing to more than 1 version"),
        ),
        (
            "1",
            {"2": 2.0},
            broken(
                "{2=2.0}",
                "routingConfig.additionalVersionWeights",
                "Map value must satisfy constraint: [Member must have value less than or equal to "
                "1.0, Member must have value greater than or equal to 0.0, Member must not be "
                "null]",
            ),
        ),
        (
            "1",
            {LATEST: 0.5},
            broken(
                "{$LATEST=0.5}",
                "routingConfig.additionalVersionWeights",
                "Map keys must satisfy constraint: [Member must have length less than or equal to "
                "1024, Member must have length greater than or equal to 1, Member must satisfy "
                "regular expression pattern: [0-9]+]",
            ),
        ),
    ],
)
def test_an_alias_that_cannot_be_is_refused(versions, version, weights, told):
    members = {"RoutingConfig": {"AdditionalVersionWeights": weights}}
    call = versions.create_alias
    assert refused(call, FunctionName="f", Name="x", FunctionVersion=version, **members) == told
    assert versions.list_aliases(FunctionName="f")["Aliases"] == []


def test_aliases_that_are_not_there_are_told_by_their_arns(versions):
    alias = {"FunctionName": "f", "Name": "x"}
    found = refused(versions.get_alias, **alias)
    assert found == absent(f"Cannot find alias arn: {ARN}f:x")
    assert refused(versions.update_alias, **alias) == absent(f"Alias not found: {ARN}f:x")
    made = {"Name": "x", "FunctionVersion": "1"}
    assert refused(versions.create_alias, FunctionName="g", **made) == absent(
        f"Function not found: {ARN}g:1"
    )
    versions.create_alias(FunctionName="f", **made)
    assert refused(versions.create_alias, FunctionName="f", **made) == (
        "ResourceConflictException",
        f"Alias already exists: {ARN}f:x",
        409,
    )
    number = broken("2024", "name", like("(?!^[0-9]+$)([a-zA-Z0-9-_]+)"))
    told = refused(versions.create_alias, FunctionName="f", Name="2024", FunctionVersion="1")
    assert told == number


# What has no effect


def test_nothing_signs_a_functions_code(functions):
    create(functions)
    shown = functions.get_function_code_signing_config(FunctionName="f")
    assert shown.keys() == {"ResponseMetadata"}
    call = functions.get_function_code_signing_config
    assert refused(call, FunctionName="g") == absent(f"Function not found: {ARN}g")


def test_the_management_of_runtimes_is_stored_by_version(functions):
    create(functions, Publish=True)
    shown = functions.get_runtime_management_config(FunctionName="f")
    assert (shown["UpdateRuntimeOn"], shown["FunctionArn"]) == ("Auto", ARN + "f")
    arn = functions.get_function_configuration(FunctionName="f")["RuntimeVersionConfig"]
    members = {"UpdateRuntimeOn": "Manual", **arn}
    functions.put_runtime_management_config(FunctionName="f", Qualifier="1", **members)
    of_one = functions.get_runtime_management_config(FunctionName="f", Qualifier="1")
    assert {key: of_one[key] for key in members} == members
    assert functions.get_runtime_management_config(FunctionName="f")["UpdateRuntimeOn"] == "Auto"
    call = functions.put_runtime_management_config
    assert refused(call, FunctionName="f", UpdateRuntimeOn="Manual")[0] == (
        "InvalidParameterValueException"
    )


def test_settings_of_logs_are_kept_and_shown(functions):
    create(functions, LoggingConfig={"LogFormat": "JSON", "ApplicationLogLevel": "WARN"})
    shown = functions.get_function_configuration(FunctionName="f")["LoggingConfig"]
    assert shown == {
        "LogFormat": "JSON",
        "ApplicationLogLevel": "WARN",
        "SystemLogLevel": "INFO",
        "LogGroup": "/aws/lambda/f",
    }
    updated = functions.update_function_configuration(
        FunctionName=ARN + "f", LoggingConfig={"LogFormat": "Text"}
    )
    assert updated["LoggingConfig"] == {"LogFormat": "Text", "LogGroup": "/aws/lambda/f"}
