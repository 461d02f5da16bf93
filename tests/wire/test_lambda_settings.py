"""Settings of functions as boto3 sees them: asynchronous invocations, concurrency, loops."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from eventcore.arn import function_arn
from eventcore.functions.function import Function
from eventcore.functions.function_spec import KIND_LOCAL, FunctionConfig

ACCOUNT, REGION = "000000000000", "us-east-1"
ARN = function_arn(ACCOUNT, REGION, "work")
QUEUE_ARN = f"arn:aws:sqs:{REGION}:{ACCOUNT}:"


@pytest.fixture
def aws(client: Callable[..., Any]) -> Any:
    return client("lambda")


@pytest.fixture
def make(wire: Any) -> Callable[..., Function]:
    """Makes functions, which nothing runs: their settings are what matters here."""

    def made(name: str = "work") -> Function:
        wire.engine.begin()
        config = FunctionConfig(kind=KIND_LOCAL, handler=name)
        return wire.engine.functions.create(function_arn(ACCOUNT, REGION, name), config, None)

    return made


@pytest.fixture
def work(wire: Any, make: Callable[..., Function]) -> Function:
    """The function "work" with version 1 and an alias "live" of it."""
    function = make()
    functions = wire.engine.functions
    functions.run(function, function.publish(wire.engine.now_ms()))
    outcome = function.put_alias("live", "1", description="", weights={}, is_new=True)
    functions.run(function, outcome)
    return function


def refused(call: Callable[[], Any]) -> tuple[str, str, int]:
    """(code, message, status) of a call that is refused."""
    with pytest.raises(ClientError) as caught:
        call()
    response = caught.value.response
    assert response.get("Type", "User") == "User"
    error = response["Error"]
    return error["Code"], error["Message"], response["ResponseMetadata"]["HTTPStatusCode"]


def told(answer: dict[str, Any]) -> dict[str, Any]:
    """An answer without what boto3 adds."""
    return {name: value for name, value in answer.items() if name != "ResponseMetadata"}


NOT_THERE = ("ResourceNotFoundException", "The function doesn't exist.", 404)


def without(qualified_arn: str) -> tuple[str, str, int]:
    text = f"The function {qualified_arn} doesn't have an EventInvokeConfig"
    return "ResourceNotFoundException", text, 404


# Asynchronous invocations


def test_a_configuration_is_put_told_changed_and_deleted(aws: Any, work: Function) -> None:
    put = aws.put_function_event_invoke_config(FunctionName="work", MaximumRetryAttempts=0)
    assert put["FunctionArn"] == f"{ARN}:$LATEST"
    assert put["MaximumRetryAttempts"] == 0
    assert put["DestinationConfig"] == {"OnSuccess": {}, "OnFailure": {}}
    assert "MaximumEventAgeInSeconds" not in put
    changed = aws.update_function_event_invoke_config(
        FunctionName="work", MaximumEventAgeInSeconds=60
    )
    assert (changed["MaximumRetryAttempts"], changed["MaximumEventAgeInSeconds"]) == (0, 60)
    got = aws.get_function_event_invoke_config(FunctionName="work", Qualifier="$LATEST")
    assert told(got) == told(changed)
    replaced = aws.put_function_event_invoke_config(
        FunctionName="work", MaximumEventAgeInSeconds=21_600
    )
    assert "MaximumRetryAttempts" not in replaced
    deleted = aws.delete_function_event_invoke_config(FunctionName="work")
    assert deleted["ResponseMetadata"]["HTTPStatusCode"] == 204
    assert refused(lambda: aws.get_function_event_invoke_config(FunctionName="work")) == without(
        f"{ARN}:$LATEST"
    )


def test_configurations_belong_to_qualifiers_and_are_listed_by_them(
    aws: Any, work: Function
) -> None:
    for name, members in (
        ("work", {"Qualifier": "live"}),
        ("work:1", {}),
        (ARN, {}),
        (f"{ARN}:live", {"Qualifier": "live"}),
    ):
        aws.put_function_event_invoke_config(FunctionName=name, MaximumRetryAttempts=1, **members)
    listed = aws.list_function_event_invoke_configs(FunctionName="work")
    arns = [config["FunctionArn"] for config in listed["FunctionEventInvokeConfigs"]]
    assert arns == [f"{ARN}:$LATEST", f"{ARN}:1", f"{ARN}:live"]
    assert "NextMarker" not in listed
    pages = aws.get_paginator("list_function_event_invoke_configs").paginate(
        FunctionName="work", PaginationConfig={"PageSize": 1}
    )
    paged = [page["FunctionEventInvokeConfigs"] for page in pages]
    assert [config["FunctionArn"] for (config,) in paged] == arns


@pytest.mark.parametrize(
    ("operation", "members", "refusal"),
    [
        ("put", {"FunctionName": "other", "MaximumRetryAttempts": 0}, NOT_THERE),
        ("put", {"FunctionName": "work:none", "MaximumRetryAttempts": 0}, NOT_THERE),
        ("update", {"FunctionName": "other", "MaximumRetryAttempts": 0}, NOT_THERE),
        ("update", {"FunctionName": "work", "MaximumRetryAttempts": 0}, without(f"{ARN}:$LATEST")),
        ("get", {"FunctionName": "work", "Qualifier": "none"}, without(f"{ARN}:none")),
        ("get", {"FunctionName": "work:1"}, without(f"{ARN}:1")),
        (
            "delete",
            {"FunctionName": "other"},
            without(f"{function_arn(ACCOUNT, REGION, 'other')}:$LATEST"),
        ),
        (
            "put",
            {"FunctionName": "work"},
            (
                "InvalidParameterValueException",
                "You must specify at least one of error handling or destination setting.",
                400,
            ),
        ),
        (
            "put",
            {"FunctionName": "work:live", "Qualifier": "1", "MaximumRetryAttempts": 0},
            (
                "InvalidParameterValueException",
                "The derived qualifier from the function name does not match the specified "
                "qualifier.",
                400,
            ),
        ),
    ],
)
def test_what_is_not_there_or_says_nothing_is_refused_in_the_words_of_aws(
    aws: Any, work: Function, operation: str, members: Any, refusal: tuple[str, str, int]
) -> None:
    call = getattr(aws, f"{operation}_function_event_invoke_config")
    assert refused(lambda: call(**members)) == refusal


def test_the_list_of_a_function_that_is_not_there_is_refused(aws: Any) -> None:
    listing = lambda: aws.list_function_event_invoke_configs(FunctionName="work")  # noqa: E731
    assert refused(listing) == NOT_THERE


# Destinations


def test_queues_functions_and_buses_are_destinations(
    aws: Any, sqs: Any, events: Any, work: Function, make: Callable[..., Function]
) -> None:
    sqs.create_queue(QueueName="failed")
    make("next")
    bus_arn = events.create_event_bus(Name="results")["EventBusArn"]
    for success in (bus_arn, function_arn(ACCOUNT, REGION, "next"), QUEUE_ARN + "failed"):
        config = {
            "OnSuccess": {"Destination": success},
            "OnFailure": {"Destination": QUEUE_ARN + "failed"},
        }
        put = aws.put_function_event_invoke_config(FunctionName="work", DestinationConfig=config)
        assert put["DestinationConfig"] == config


def test_an_update_changes_the_destination_that_it_names(
    aws: Any, sqs: Any, work: Function
) -> None:
    for name in ("done", "failed"):
        sqs.create_queue(QueueName=name)
    destinations = {
        "OnSuccess": {"Destination": QUEUE_ARN + "done"},
        "OnFailure": {"Destination": QUEUE_ARN + "failed"},
    }
    aws.put_function_event_invoke_config(FunctionName="work", DestinationConfig=destinations)
    changed = aws.update_function_event_invoke_config(
        FunctionName="work", DestinationConfig={"OnSuccess": {"Destination": ""}}
    )
    assert changed["DestinationConfig"] == {**destinations, "OnSuccess": {}}
    kept = work.invoke_config("$LATEST")
    assert kept is not None
    assert (kept.on_success, kept.on_failure) == (None, QUEUE_ARN + "failed")


IAM_ARN = f"arn:aws:iam:{REGION}:{ACCOUNT}:function:work"


@pytest.mark.parametrize(
    ("arn", "message"),
    [
        (
            function_arn(ACCOUNT, REGION, "none"),
            f"The destination ARN {function_arn(ACCOUNT, REGION, 'none')} is invalid.",
        ),
        (QUEUE_ARN + "none", f"The destination ARN {QUEUE_ARN}none is invalid."),
        (QUEUE_ARN + "a.fifo", f"The destination ARN {QUEUE_ARN}a.fifo is invalid."),
        (
            f"arn:aws:events:{REGION}:{ACCOUNT}:event-bus/none",
            f"The destination ARN arn:aws:events:{REGION}:{ACCOUNT}:event-bus/none is invalid.",
        ),
        (
            f"arn:aws:events:{REGION}:{ACCOUNT}:rule/none",
            f"The destination ARN arn:aws:events:{REGION}:{ACCOUNT}:rule/none is invalid.",
        ),
        (
            f"arn:aws:events:{REGION}::event-bus/default",
            f"The destination ARN arn:aws:events:{REGION}::event-bus/default is invalid.",
        ),
        (ARN, "You can't specify the function as a destination for itself."),
        (f"{ARN}:live", "You can't specify the function as a destination for itself."),
        (
            IAM_ARN,
            "The provided destination config DestinationConfig(onSuccess=OnSuccess("
            f"destination={IAM_ARN}), onFailure=null) is invalid.",
        ),
        (
            "arn:aws:s3:::bucket",
            "The provided destination config DestinationConfig(onSuccess=OnSuccess("
            "destination=arn:aws:s3:::bucket), onFailure=null) is invalid.",
        ),
    ],
)
def test_what_can_be_no_destination_is_refused(
    aws: Any, sqs: Any, work: Function, arn: str, message: str
) -> None:
    sqs.create_queue(QueueName="a.fifo", Attributes={"FifoQueue": "true"})
    config = {"OnSuccess": {"Destination": arn}}
    put = lambda: aws.put_function_event_invoke_config(  # noqa: E731
        FunctionName="work", DestinationConfig=config
    )
    assert refused(put) == ("InvalidParameterValueException", message, 400)
    assert work.invoke_configs() == {}


@pytest.mark.parametrize("arn", [f"arn:aws:sns:{REGION}:{ACCOUNT}:topic", "arn:aws:s3:::bucket"])
def test_topics_and_buckets_are_refused_as_not_supported(
    aws: Any, work: Function, arn: str
) -> None:
    config = {"OnFailure": {"Destination": arn}}
    put = lambda: aws.put_function_event_invoke_config(  # noqa: E731
        FunctionName="work", DestinationConfig=config
    )
    code, _, status = refused(put)
    assert (code, status) == ("UnsupportedOperation", 501)


# Reserved concurrency


def test_concurrency_is_reserved_told_and_given_back(aws: Any, work: Function) -> None:
    for reserved in (0, 1):
        put = aws.put_function_concurrency(
            FunctionName="work", ReservedConcurrentExecutions=reserved
        )
        assert told(put) == {"ReservedConcurrentExecutions": reserved}
    assert told(aws.get_function_concurrency(FunctionName=ARN)) == {
        "ReservedConcurrentExecutions": 1
    }
    assert aws.get_account_settings()["AccountLimit"]["UnreservedConcurrentExecutions"] == 999
    deleted = aws.delete_function_concurrency(FunctionName="work")
    assert deleted["ResponseMetadata"]["HTTPStatusCode"] == 204
    assert told(aws.get_function_concurrency(FunctionName="work")) == {}


def test_a_hundred_stay_unreserved(aws: Any, work: Function, make: Callable[..., Function]) -> None:
    make("other")
    aws.put_function_concurrency(FunctionName="work", ReservedConcurrentExecutions=900)
    message = (
        "Specified ReservedConcurrentExecutions for function decreases account's "
        "UnreservedConcurrentExecution below its minimum value of [100]."
    )
    for name, reserved in (("work", 901), ("other", 1)):
        put = lambda n=name, r=reserved: aws.put_function_concurrency(  # noqa: E731
            FunctionName=n, ReservedConcurrentExecutions=r
        )
        assert refused(put) == ("InvalidParameterValueException", message, 400)
    aws.put_function_concurrency(FunctionName="work", ReservedConcurrentExecutions=10)
    aws.put_function_concurrency(FunctionName="other", ReservedConcurrentExecutions=890)


def test_concurrency_is_reserved_for_functions_only(aws: Any, work: Function) -> None:
    other = function_arn(ACCOUNT, REGION, "other")
    put = lambda name: aws.put_function_concurrency(  # noqa: E731
        FunctionName=name, ReservedConcurrentExecutions=1
    )
    assert refused(lambda: put("other")) == (
        "ResourceNotFoundException",
        f"Function not found: {other}:$LATEST",
        404,
    )
    assert refused(lambda: aws.get_function_concurrency(FunctionName="other")) == (
        "ResourceNotFoundException",
        f"Function not found: {other}",
        404,
    )
    assert refused(lambda: put(f"{ARN}:1")) == (
        "InvalidParameterValueException",
        "This operation is permitted on Lambda functions only. Aliases and versions do not support "
        "this operation. Please specify either a function name or an unqualified function ARN.",
        400,
    )


# Provisioned concurrency


async def test_concurrency_is_provisioned_told_and_given_back(aws: Any, work: Function) -> None:
    put = aws.put_provisioned_concurrency_config(
        FunctionName="work", Qualifier="1", ProvisionedConcurrentExecutions=2
    )
    assert put["ResponseMetadata"]["HTTPStatusCode"] == 202
    assert told(put) == {
        "RequestedProvisionedConcurrentExecutions": 2,
        "AvailableProvisionedConcurrentExecutions": 0,
        "AllocatedProvisionedConcurrentExecutions": 0,
        "Status": "IN_PROGRESS",
        "LastModified": "2023-11-14T22:13:20+0000",
    }
    got = aws.get_provisioned_concurrency_config(FunctionName="work", Qualifier="1")
    assert got["RequestedProvisionedConcurrentExecutions"] == 2
    assert got["AvailableProvisionedConcurrentExecutions"] == 2
    assert got["Status"] == "READY"
    (listed,) = aws.list_provisioned_concurrency_configs(FunctionName="work")[
        "ProvisionedConcurrencyConfigs"
    ]
    assert listed == {"FunctionArn": f"{ARN}:1", **told(got)}
    for _ in range(2):
        aws.delete_provisioned_concurrency_config(FunctionName="work", Qualifier="1")
    get = lambda: aws.get_provisioned_concurrency_config(  # noqa: E731
        FunctionName="work", Qualifier="1"
    )
    assert refused(get) == (
        "ProvisionedConcurrencyConfigNotFoundException",
        "No Provisioned Concurrency Config found for this function",
        404,
    )
    empty = aws.list_provisioned_concurrency_configs(FunctionName="work")
    assert empty["ProvisionedConcurrencyConfigs"] == []


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        (
            "1",
            "live",
            "Alias can't be used for Provisioned Concurrency configuration on an already "
            "Provisioned version",
        ),
        ("live", "1", "Version is pointed by a Provisioned Concurrency alias"),
    ],
)
async def test_a_version_is_provisioned_in_one_way(
    aws: Any, work: Function, first: str, second: str, message: str
) -> None:
    put = lambda qualifier: aws.put_provisioned_concurrency_config(  # noqa: E731
        FunctionName="work", Qualifier=qualifier, ProvisionedConcurrentExecutions=1
    )
    put(first)
    assert refused(lambda: put(second)) == ("ResourceConflictException", message, 409)
    put(first)


@pytest.mark.parametrize("operation", ["put", "get", "delete"])
@pytest.mark.parametrize(
    ("name", "qualifier", "code", "message"),
    [
        (
            "other",
            "none",
            "ResourceNotFoundException",
            f"Cannot find alias arn: {function_arn(ACCOUNT, REGION, 'other')}:none",
        ),
        (
            "other",
            "1",
            "ResourceNotFoundException",
            f"Function not found: {function_arn(ACCOUNT, REGION, 'other')}:1",
        ),
        ("work", "none", "ResourceNotFoundException", f"Cannot find alias arn: {ARN}:none"),
        ("work", "10", "ResourceNotFoundException", f"Function not found: {ARN}:10"),
        ("work", "$LATEST", "InvalidParameterValueException", ""),
    ],
)
def test_only_versions_and_aliases_that_are_there_are_provisioned(
    aws: Any, work: Function, operation: str, name: str, qualifier: str, code: str, message: str
) -> None:
    members: dict[str, Any] = {"FunctionName": name, "Qualifier": qualifier}
    if operation == "put":
        members["ProvisionedConcurrentExecutions"] = 1
    if not message:
        message = (
            "Provisioned Concurrency Configs cannot be applied to unpublished function versions."
            if operation == "put"
            else "The function resource provided must be an alias or a published version."
        )
    call = getattr(aws, f"{operation}_provisioned_concurrency_config")
    assert refused(lambda: call(**members))[:2] == (code, message)


async def test_what_is_provisioned_comes_out_of_what_is_reserved_or_left(
    aws: Any, work: Function, make: Callable[..., Function]
) -> None:
    put = lambda count: aws.put_provisioned_concurrency_config(  # noqa: E731
        FunctionName="work", Qualifier="1", ProvisionedConcurrentExecutions=count
    )
    assert refused(lambda: put(1_001))[1] == (
        "Specified ConcurrentExecutions for function is greater than account's unreserved "
        "concurrency [1000]."
    )
    assert refused(lambda: put(901))[1] == (
        "Specified ConcurrentExecutions for function decreases account's "
        "UnreservedConcurrentExecution below its minimum value of [100]."
    )
    put(900)
    make("other")
    reserve = lambda name, count: aws.put_function_concurrency(  # noqa: E731
        FunctionName=name, ReservedConcurrentExecutions=count
    )
    assert refused(lambda: reserve("other", 1))[0] == "InvalidParameterValueException"
    put(5)
    assert refused(lambda: reserve("work", 4))[1] == (
        "ReservedConcurrentExecutions  4 should not be lower than function's total provisioned "
        "concurrency [5]."
    )
    reserve("work", 6)
    assert refused(lambda: put(7))[1] == (
        "Requested Provisioned Concurrency should not be greater than the "
        "reservedConcurrentExecution for function"
    )
    assert put(6)["RequestedProvisionedConcurrentExecutions"] == 6


# Loops, and the account


def test_a_loop_is_ended_or_allowed(aws: Any, work: Function) -> None:
    assert aws.get_function_recursion_config(FunctionName="work")["RecursiveLoop"] == "Terminate"
    put = aws.put_function_recursion_config(FunctionName="work", RecursiveLoop="Allow")
    assert put["RecursiveLoop"] == "Allow"
    assert aws.get_function_recursion_config(FunctionName="work")["RecursiveLoop"] == "Allow"
    bad = lambda: aws.put_function_recursion_config(  # noqa: E731
        FunctionName="work", RecursiveLoop="Invalid"
    )
    assert refused(bad) == (
        "ValidationException",
        "1 validation error detected: Value 'Invalid' at 'recursiveLoop' failed to satisfy "
        "constraint: Member must satisfy enum value set: [Terminate, Allow]",
        400,
    )


def test_the_account_tells_its_quotas_and_what_it_has(
    aws: Any, work: Function, make: Callable[..., Function]
) -> None:
    make("other")
    settings = told(aws.get_account_settings())
    assert settings == {
        "AccountLimit": {
            "TotalCodeSize": 80_530_636_800,
            "CodeSizeUnzipped": 262_144_000,
            "CodeSizeZipped": 52_428_800,
            "ConcurrentExecutions": 1_000,
            "UnreservedConcurrentExecutions": 1_000,
        },
        "AccountUsage": {"TotalCodeSize": 0, "FunctionCount": 2},
    }
