"""Event source mappings as boto3 sees them: what is asked for, told, and refused in AWS's words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from eventcore.arn import function_arn
from eventcore.functions.function import Function
from eventcore.functions.function_spec import KIND_LOCAL, FunctionConfig

ACCOUNT, REGION = "000000000000", "us-east-1"
QUEUE = f"arn:aws:sqs:{REGION}:{ACCOUNT}:orders"
FIFO = f"arn:aws:sqs:{REGION}:{ACCOUNT}:orders.fifo"
STREAM = f"arn:aws:kinesis:{REGION}:{ACCOUNT}:stream/clicks"
TABLE = f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/t/stream/2025-02-22T03:03:25.490"
WORK = function_arn(ACCOUNT, REGION, "work")
START_S = 1_700_000_000
INVALID = "InvalidParameterValueException"


@pytest.fixture
def aws(client: Callable[..., Any]) -> Any:
    return client("lambda")


@pytest.fixture
def make(wire: Any) -> Callable[..., Function]:
    """Makes functions, which nothing runs."""

    def made(name: str = "work", timeout_ms: int = 3_000) -> Function:
        wire.engine.begin()
        config = FunctionConfig(kind=KIND_LOCAL, handler=name, timeout_ms=timeout_ms)
        return wire.engine.functions.create(function_arn(ACCOUNT, REGION, name), config, None)

    return made


@pytest.fixture
def sources(sqs: Any, kinesis: Any, make: Callable[..., Function]) -> None:
    """A queue, a FIFO queue, a stream, and a function."""
    make()
    sqs.create_queue(QueueName="orders")
    sqs.create_queue(QueueName="orders.fifo", Attributes={"FifoQueue": "true"})
    kinesis.create_stream(StreamName="clicks", ShardCount=1)


def refused(call: Callable[..., Any], **members: Any) -> tuple[str, str, int]:
    """(code, message, status) of a call that is refused."""
    with pytest.raises(ClientError) as caught:
        call(**members)
    response = caught.value.response
    error = response["Error"]
    return error["Code"], error["Message"], response["ResponseMetadata"]["HTTPStatusCode"]


def told(answer: dict[str, Any]) -> dict[str, Any]:
    """An answer without what is another one each time."""
    assert answer["EventSourceMappingArn"].endswith(f":event-source-mapping:{answer['UUID']}")
    varying = {"ResponseMetadata", "UUID", "EventSourceMappingArn", "LastModified"}
    assert varying <= answer.keys() | {"ResponseMetadata"}
    return {name: value for name, value in answer.items() if name not in varying}


async def at_rest(wire: Any, answer: dict[str, Any]) -> None:
    await wire.engine.mappings.at_rest(answer["EventSourceMappingArn"])


OF_QUEUE = {
    "BatchSize": 10,
    "EventSourceArn": QUEUE,
    "FunctionArn": WORK,
    "FunctionResponseTypes": [],
    "MaximumBatchingWindowInSeconds": 0,
    "State": "Creating",
    "StateTransitionReason": "USER_INITIATED",
}
OF_STREAM = {
    "BatchSize": 100,
    "BisectBatchOnFunctionError": False,
    "DestinationConfig": {"OnFailure": {}},
    "EventSourceArn": STREAM,
    "FunctionArn": WORK,
    "FunctionResponseTypes": [],
    "LastProcessingResult": "No records processed",
    "MaximumBatchingWindowInSeconds": 0,
    "MaximumRecordAgeInSeconds": -1,
    "MaximumRetryAttempts": -1,
    "ParallelizationFactor": 1,
    "StartingPosition": "LATEST",
    "State": "Creating",
    "StateTransitionReason": "User action",
    "TumblingWindowInSeconds": 0,
}


# What is told


async def test_a_queue_s_mapping_has_the_members_and_defaults_of_aws(
    wire: Any, aws: Any, sources: None
) -> None:
    made = aws.create_event_source_mapping(FunctionName="work", EventSourceArn=QUEUE)
    assert made["ResponseMetadata"]["HTTPStatusCode"] == 202
    assert made["LastModified"].timestamp() == START_S
    assert told(made) == OF_QUEUE
    await at_rest(wire, made)
    got = aws.get_event_source_mapping(UUID=made["UUID"])
    assert told(got) == {**OF_QUEUE, "State": "Enabled"}


async def test_a_stream_s_mapping_has_the_members_and_defaults_of_aws(
    wire: Any, aws: Any, sources: None
) -> None:
    made = aws.create_event_source_mapping(
        FunctionName=WORK, EventSourceArn=STREAM, StartingPosition="LATEST", Enabled=False
    )
    assert told(made) == OF_STREAM
    await at_rest(wire, made)
    got = aws.get_event_source_mapping(UUID=made["UUID"])
    assert told(got) == {**OF_STREAM, "State": "Disabled"}


async def test_all_settings_of_a_queue_are_kept_and_told(aws: Any, sources: None) -> None:
    settings = {
        "BatchSize": 10_000,
        "MaximumBatchingWindowInSeconds": 300,
        "FilterCriteria": {"Filters": [{"Pattern": '{"body": {"a": [1]}}'}]},
        "FunctionResponseTypes": ["ReportBatchItemFailures"],
        "ScalingConfig": {"MaximumConcurrency": 2},
        "MetricsConfig": {"Metrics": ["EventCount"]},
        "KMSKeyArn": f"arn:aws:kms:{REGION}:{ACCOUNT}:key/k",
    }
    made = aws.create_event_source_mapping(FunctionName="work", EventSourceArn=QUEUE, **settings)
    assert told(made) == {**OF_QUEUE, **settings}


async def test_all_settings_of_a_stream_are_kept_and_told(aws: Any, sources: None) -> None:
    settings = {
        "BatchSize": 10_000,
        "MaximumBatchingWindowInSeconds": 300,
        "FilterCriteria": {"Filters": [{"Pattern": '{"data": {"a": [1]}}'}]},
        "FunctionResponseTypes": ["ReportBatchItemFailures"],
        "ParallelizationFactor": 10,
        "MaximumRecordAgeInSeconds": 604_800,
        "MaximumRetryAttempts": 10_000,
        "BisectBatchOnFunctionError": True,
        "TumblingWindowInSeconds": 900,
        "DestinationConfig": {"OnFailure": {"Destination": QUEUE}},
        "StartingPosition": "AT_TIMESTAMP",
        "StartingPositionTimestamp": START_S - 10,
    }
    made = aws.create_event_source_mapping(FunctionName="work", EventSourceArn=STREAM, **settings)
    shown = told(made)
    assert shown.pop("StartingPositionTimestamp").timestamp() == START_S - 10
    del settings["StartingPositionTimestamp"]
    assert shown == {**OF_STREAM, **settings}


async def test_provisioned_pollers_have_the_defaults_of_aws(aws: Any, sources: None) -> None:
    made = aws.create_event_source_mapping(
        FunctionName="work", EventSourceArn=QUEUE, ProvisionedPollerConfig={"MaximumPollers": 5}
    )
    assert made["ProvisionedPollerConfig"] == {"MinimumPollers": 2, "MaximumPollers": 5}
    made = aws.create_event_source_mapping(
        FunctionName="work:$LATEST",
        EventSourceArn=QUEUE,
        ProvisionedPollerConfig={"MinimumPollers": 7},
    )
    assert made["ProvisionedPollerConfig"] == {"MinimumPollers": 7, "MaximumPollers": 200}


async def test_empty_filter_criteria_are_none(aws: Any, sources: None) -> None:
    both: tuple[tuple[str, dict[str, Any]], ...] = (("work", {}), ("work:$LATEST", {"Filters": []}))
    for name, criteria in both:
        made = aws.create_event_source_mapping(
            FunctionName=name, EventSourceArn=QUEUE, FilterCriteria=criteria
        )
        assert "FilterCriteria" not in made


async def test_a_function_is_named_in_every_form_and_told_by_its_arn(
    wire: Any, aws: Any, sources: None
) -> None:
    functions = wire.engine.functions
    work = functions.find(WORK)
    functions.run(work, work.publish(wire.engine.now_ms()))
    functions.run(work, work.put_alias("live", "1", description="", weights={}, is_new=True))
    for name, arn in (
        ("work", WORK),
        (f"{ACCOUNT}:function:work:$LATEST", f"{WORK}:$LATEST"),
        ("work:1", f"{WORK}:1"),
        (f"{WORK}:live", f"{WORK}:live"),
    ):
        made = aws.create_event_source_mapping(FunctionName=name, EventSourceArn=QUEUE)
        assert made["FunctionArn"] == arn
    listed = aws.list_event_source_mappings(FunctionName="work")["EventSourceMappings"]
    assert {mapping["FunctionArn"] for mapping in listed} == {WORK, f"{WORK}:$LATEST"}


async def test_tags_are_kept(aws: Any, sources: None) -> None:
    made = aws.create_event_source_mapping(
        FunctionName="work", EventSourceArn=QUEUE, Tags={"team": "a b"}
    )
    assert aws.list_tags(Resource=made["EventSourceMappingArn"])["Tags"] == {"team": "a b"}


async def test_a_stream_s_consumer_is_a_source(aws: Any, kinesis: Any, sources: None) -> None:
    consumer = kinesis.register_stream_consumer(StreamARN=STREAM, ConsumerName="fast")["Consumer"]
    made = aws.create_event_source_mapping(
        FunctionName="work", EventSourceArn=consumer["ConsumerARN"], StartingPosition="LATEST"
    )
    assert made["EventSourceArn"] == consumer["ConsumerARN"]
    assert made["BatchSize"] == 100
    gone = f"{STREAM}/consumer/other:{START_S}"
    assert refused(
        aws.create_event_source_mapping,
        FunctionName="work",
        EventSourceArn=gone,
        StartingPosition="LATEST",
    ) == (INVALID, f"Stream not found: {gone}", 400)


# Changes


async def test_an_update_changes_what_it_names(wire: Any, aws: Any, sources: None) -> None:
    made = aws.create_event_source_mapping(
        FunctionName="work",
        EventSourceArn=QUEUE,
        BatchSize=5,
        ScalingConfig={"MaximumConcurrency": 2},
        FilterCriteria={"Filters": [{"Pattern": '{"body": {"a": [1]}}'}]},
    )
    await at_rest(wire, made)
    changed = aws.update_event_source_mapping(UUID=made["UUID"], BatchSize=7)
    assert changed["ResponseMetadata"]["HTTPStatusCode"] == 202
    assert (changed["State"], changed["BatchSize"]) == ("Updating", 7)
    assert changed["ScalingConfig"] == {"MaximumConcurrency": 2}
    await at_rest(wire, made)
    emptied = aws.update_event_source_mapping(
        UUID=made["UUID"], ScalingConfig={}, FilterCriteria={}
    )
    assert told(emptied) == {**OF_QUEUE, "BatchSize": 7, "State": "Updating"}


async def test_a_mapping_is_paused_and_goes_on(wire: Any, aws: Any, sources: None) -> None:
    made = aws.create_event_source_mapping(FunctionName="work", EventSourceArn=QUEUE)
    for is_enabled, under_way, ends in (
        (False, "Disabling", "Disabled"),
        (True, "Enabling", "Enabled"),
    ):
        await at_rest(wire, made)
        changed = aws.update_event_source_mapping(UUID=made["UUID"], Enabled=is_enabled)
        assert changed["State"] == under_way
        await at_rest(wire, made)
        assert aws.get_event_source_mapping(UUID=made["UUID"])["State"] == ends


async def test_a_mapping_is_deleted_when_its_poller_has_ended(
    wire: Any, aws: Any, sources: None
) -> None:
    made = aws.create_event_source_mapping(FunctionName="work", EventSourceArn=QUEUE)
    await at_rest(wire, made)
    deleted = aws.delete_event_source_mapping(UUID=made["UUID"])
    assert deleted["ResponseMetadata"]["HTTPStatusCode"] == 202
    assert told(deleted) == {**OF_QUEUE, "State": "Deleting"}
    await at_rest(wire, made)
    assert refused(aws.get_event_source_mapping, UUID=made["UUID"])[0] == (
        "ResourceNotFoundException"
    )


async def test_a_change_under_way_keeps_others_off(aws: Any, sources: None) -> None:
    made = aws.create_event_source_mapping(FunctionName="work", EventSourceArn=QUEUE)
    for verb in ("update", "delete"):
        call = getattr(aws, f"{verb}_event_source_mapping")
        assert refused(call, UUID=made["UUID"]) == (
            "ResourceInUseException",
            f"Cannot {verb} the event source mapping because it is in use.",
            400,
        )


@pytest.mark.parametrize("verb", ["get", "update", "delete"])
async def test_a_mapping_that_is_not_there_is_not_found(
    aws: Any, client: Callable[..., Any], sources: None, verb: str
) -> None:
    made = aws.create_event_source_mapping(FunctionName="work", EventSourceArn=QUEUE)
    elsewhere = client("lambda", region="eu-west-1")
    for lambdas, uuid in ((aws, made["UUID"][::-1]), (elsewhere, made["UUID"])):
        call = getattr(lambdas, f"{verb}_event_source_mapping")
        assert refused(call, UUID=uuid) == (
            "ResourceNotFoundException",
            "The resource you requested does not exist.",
            404,
        )


# Lists


async def test_mappings_are_listed_by_source_and_function_in_pages(
    aws: Any, sources: None, make: Callable[..., Function]
) -> None:
    make("other")
    made = {
        aws.create_event_source_mapping(FunctionName=name, EventSourceArn=source, **more)["UUID"]: (
            name,
            source,
        )
        for name in ("work", "other")
        for source, more in ((QUEUE, {}), (STREAM, {"StartingPosition": "LATEST"}))
    }

    def listed(**members: Any) -> list[str]:
        pages = aws.get_paginator("list_event_source_mappings").paginate(
            **members, PaginationConfig={"PageSize": 1}
        )
        return [mapping["UUID"] for page in pages for mapping in page["EventSourceMappings"]]

    assert listed() == sorted(made)
    assert listed(FunctionName="other") == sorted(u for u, (n, _) in made.items() if n == "other")
    assert listed(EventSourceArn=QUEUE) == sorted(u for u, (_, s) in made.items() if s == QUEUE)
    (both,) = (u for u, pair in made.items() if pair == ("work", STREAM))
    assert listed(FunctionName=WORK, EventSourceArn=STREAM) == [both]
    assert listed(FunctionName="nobody") == []


# What is refused


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"EventSourceArn": None}, "Unrecognized event source."),
        ({"EventSourceArn": "arn:aws:s3:::bucket"}, "Unrecognized event source."),
        ({"FunctionName": "nobody"}, "Function does not exist"),
        ({"FunctionName": "work:none"}, "Function does not exist"),
        (
            {"EventSourceArn": QUEUE + "-none"},
            "Error occurred while ReceiveMessage. SQS Error Code: "
            "AWS.SimpleQueueService.NonExistentQueue. SQS Error Message: The specified queue does "
            "not exist.",
        ),
        (
            {"EventSourceArn": STREAM + "-none", "StartingPosition": "LATEST"},
            f"Stream not found: {STREAM}-none",
        ),
        ({"EventSourceArn": TABLE, "StartingPosition": "LATEST"}, f"Stream not found: {TABLE}"),
        (
            {"EventSourceArn": TABLE, "StartingPosition": "AT_TIMESTAMP"},
            f"Unsupported starting position for arn type: {TABLE}",
        ),
        (
            {"EventSourceArn": STREAM},
            "1 validation error detected: Value null at 'startingPosition' failed to satisfy "
            "constraint: Member must not be null.",
        ),
        (
            {"EventSourceArn": STREAM, "StartingPosition": "AT_TIMESTAMP"},
            "Need to specify a timestamp",
        ),
        (
            {
                "EventSourceArn": STREAM,
                "StartingPosition": "AT_TIMESTAMP",
                "StartingPositionTimestamp": START_S + 1,
            },
            "StartingPositionTimestamp cannot be in the future.",
        ),
        (
            {"StartingPosition": "LATEST"},
            "StartingPosition is not valid for SQS event sources.",
        ),
        (
            {"BatchSize": 11},
            "Maximum batch window in seconds must be greater than 0 if maximum batch size is "
            "greater than 10",
        ),
        (
            {"EventSourceArn": FIFO, "BatchSize": 11},
            "Maximum batch size must be between 1 and 10 inclusive",
        ),
        (
            {"EventSourceArn": FIFO, "MaximumBatchingWindowInSeconds": 1},
            "Batching window is not supported for FIFO queues",
        ),
        (
            {
                "EventSourceArn": STREAM,
                "StartingPosition": "LATEST",
                "MaximumRecordAgeInSeconds": 59,
            },
            "MaximumRecordAgeInSeconds must be either -1 (forever) or between 60 and 604800 "
            "(inclusive)",
        ),
        (
            {
                "EventSourceArn": STREAM,
                "StartingPosition": "LATEST",
                "DestinationConfig": {"OnFailure": {"Destination": QUEUE + "-none"}},
            },
            f"The destination ARN {QUEUE}-none is invalid.",
        ),
        (
            {
                "ProvisionedPollerConfig": {"MinimumPollers": 2},
                "ScalingConfig": {"MaximumConcurrency": 2},
            },
            "ProvisionedPollerConfig and ScalingConfig can not be used together: with provisioned "
            "pollers, MaximumPollers bounds the concurrency.",
        ),
        (
            {"ProvisionedPollerConfig": {"MinimumPollers": 1}},
            "MinimumPollers must be at least 2 for SQS event sources.",
        ),
        (
            {"ProvisionedPollerConfig": {"MinimumPollers": 9, "MaximumPollers": 8}},
            "MaximumPollers must not be less than MinimumPollers.",
        ),
        (
            {"ProvisionedPollerConfig": {"MinimumPollers": 2, "MaximumPollers": 2001}},
            "MaximumPollers must be at most 2000 for SQS event sources.",
        ),
        ({"Tags": {str(n): "" for n in range(51)}}, "Number of tags exceeds resource tag limit."),
    ],
)
async def test_what_does_not_fit_is_refused_in_the_words_of_aws(
    wire: Any, aws: Any, sources: None, members: dict[str, Any], message: str
) -> None:
    given = {"FunctionName": "work", "EventSourceArn": QUEUE, **members}
    given = {name: value for name, value in given.items() if value is not None}
    assert refused(aws.create_event_source_mapping, **given) == (INVALID, message, 400)
    assert aws.list_event_source_mappings()["EventSourceMappings"] == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("StartingPositionTimestamp", START_S),
        ("ParallelizationFactor", 1),
        ("MaximumRecordAgeInSeconds", -1),
        ("BisectBatchOnFunctionError", False),
        ("MaximumRetryAttempts", -1),
        ("TumblingWindowInSeconds", 0),
        ("DestinationConfig", {"OnFailure": {"Destination": QUEUE}}),
        ("Topics", ["topic"]),
        ("Queues", ["queue"]),
        ("SourceAccessConfigurations", [{"Type": "BASIC_AUTH", "URI": "x"}]),
        ("AmazonManagedKafkaEventSourceConfig", {"ConsumerGroupId": "x"}),
        ("SelfManagedKafkaEventSourceConfig", {"ConsumerGroupId": "x"}),
        ("DocumentDBEventSourceConfig", {"DatabaseName": "x"}),
        ("LoggingConfig", {"SystemLogLevel": "INFO"}),
        ("MetricsConfig", {"Metrics": ["EventCount", "ErrorCount"]}),
    ],
)
async def test_a_queue_knows_no_settings_of_other_sources(
    aws: Any, sources: None, name: str, value: Any
) -> None:
    given = {"FunctionName": "work", "EventSourceArn": QUEUE, name: value}
    message = f"Unsupported {name} parameter for given event source mapping type."
    assert refused(aws.create_event_source_mapping, **given) == (INVALID, message, 400)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ScalingConfig", {"MaximumConcurrency": 2}),
        ("ProvisionedPollerConfig", {"MinimumPollers": 2}),
        ("LoggingConfig", {"SystemLogLevel": "INFO"}),
        ("DestinationConfig", {"OnSuccess": {"Destination": QUEUE}}),
    ],
)
async def test_a_stream_knows_no_settings_of_other_sources(
    wire: Any, aws: Any, sources: None, name: str, value: Any
) -> None:
    stream = {"FunctionName": "work", "EventSourceArn": STREAM, "StartingPosition": "LATEST"}
    message = f"Unsupported {name} parameter for given event source mapping type."
    create = aws.create_event_source_mapping
    assert refused(create, **stream, **{name: value}) == (INVALID, message, 400)
    made = create(**stream)
    await at_rest(wire, made)
    update = aws.update_event_source_mapping
    assert refused(update, UUID=made["UUID"], **{name: value}) == (INVALID, message, 400)


@pytest.mark.parametrize(
    "members",
    [
        {"EventSourceArn": f"arn:aws:kafka:{REGION}:{ACCOUNT}:cluster/c/1"},
        {"EventSourceArn": f"arn:aws:mq:{REGION}:{ACCOUNT}:broker:b:1"},
        {"EventSourceArn": f"arn:aws:rds:{REGION}:{ACCOUNT}:cluster:c"},
        {"SelfManagedEventSource": {"Endpoints": {"KAFKA_BOOTSTRAP_SERVERS": ["k:1000"]}}},
        {
            "EventSourceArn": STREAM,
            "StartingPosition": "LATEST",
            "DestinationConfig": {"OnFailure": {"Destination": "arn:aws:s3:::bucket"}},
        },
    ],
)
async def test_what_there_is_none_of_here_is_refused_as_not_supported(
    aws: Any, sources: None, members: dict[str, Any]
) -> None:
    code, message, status = refused(aws.create_event_source_mapping, FunctionName="work", **members)
    assert (code, status) == ("UnsupportedOperation", 501)
    assert message.startswith("eventcore does not support ")


@pytest.mark.parametrize("pattern", ["null", '"simple string"', '{"foo": "bar"}', "[]", "{", None])
async def test_a_filter_that_is_no_pattern_is_refused(
    wire: Any, aws: Any, sources: None, pattern: str | None
) -> None:
    one = {} if pattern is None else {"Pattern": pattern}
    members = {"FilterCriteria": {"Filters": [{"Pattern": '{"body": [{"exists": true}]}'}, one]}}
    message = (INVALID, "Invalid filter pattern definition.", 400)
    create = aws.create_event_source_mapping
    assert refused(create, FunctionName="work", EventSourceArn=QUEUE, **members) == message
    made = create(FunctionName="work", EventSourceArn=QUEUE)
    await at_rest(wire, made)
    assert refused(aws.update_event_source_mapping, UUID=made["UUID"], **members) == message
    assert "FilterCriteria" not in aws.get_event_source_mapping(UUID=made["UUID"])


async def test_a_queue_must_hide_its_messages_as_long_as_the_function_may_take(
    aws: Any, sources: None, make: Callable[..., Function]
) -> None:
    make("slow", timeout_ms=60_000)
    message = "Queue visibility timeout: 30 seconds is less than Function timeout: 60 seconds"
    create = aws.create_event_source_mapping
    assert refused(create, FunctionName="slow", EventSourceArn=QUEUE) == (INVALID, message, 400)
    stream = create(FunctionName="slow", EventSourceArn=STREAM, StartingPosition="LATEST")
    assert stream["State"] == "Creating"


async def test_a_source_is_mapped_to_a_function_once(wire: Any, aws: Any, sources: None) -> None:
    create = aws.create_event_source_mapping
    stream = {"EventSourceArn": STREAM, "StartingPosition": "LATEST"}
    made = create(FunctionName="work", **stream)
    assert refused(create, FunctionName="work", **stream) == (
        "ResourceConflictException",
        f'The event source arn (" {STREAM} ") and function (" work ") provided mapping already '
        f"exists. Please update or delete the existing mapping with UUID {made['UUID']}",
        409,
    )
    other = create(FunctionName="work:$LATEST", **stream)
    await at_rest(wire, other)
    update = aws.update_event_source_mapping
    assert refused(update, UUID=other["UUID"], FunctionName="work")[0] == (
        "ResourceConflictException"
    )


async def test_what_breaks_the_model_is_told_as_validation_error(wire: Any, sources: None) -> None:
    answer = wire.raw(
        b'{"FunctionName": "work", "StartingPosition": "invalid", "ScalingConfig": '
        b'{"MaximumConcurrency": 1}}',
        target=b"/2015-03-31/event-source-mappings/",
    )
    assert answer.status == 400
    assert answer.headers["x-amzn-errortype"] == "ValidationException"
    assert answer.json == {
        "message": "2 validation errors detected: Value '1' at 'scalingConfig.maximumConcurrency' "
        "failed to satisfy constraint: Member must have value greater than or equal to 2; Value "
        "'invalid' at 'startingPosition' failed to satisfy constraint: Member must satisfy enum "
        "value set: [LATEST, AT_TIMESTAMP, TRIM_HORIZON]"
    }
