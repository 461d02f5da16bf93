"""Functions as targets of rules, over the wire: which ARNs, what they get, where the rest goes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from eventcore.arn import function_arn
from eventcore.functions.function_spec import KIND_LOCAL, FunctionConfig
from eventcore.functions.invocation import Invocation, InvocationResult, Payload
from eventcore.limits import RECURSION_INVOCATIONS_MAX
from eventcore.server.cli import main
from tests.wire.conftest import HOST, Wire

ACCOUNT, REGION = "000000000000", "us-east-1"
FUNCTION_ARN = function_arn(ACCOUNT, REGION, "f")
QUEUE_ARN = f"arn:aws:sqs:{REGION}:{ACCOUNT}:"
PATTERN = json.dumps({"source": ["shop"]})
ENTRY = {"Source": "shop", "DetailType": "Placed", "Detail": '{"id": 1, "who": "me"}'}


class Noted:
    """An invoker that notes what it is given, and may do something first."""

    def __init__(self) -> None:
        self.seen: list[Invocation] = []
        self.act: Callable[[Invocation], None] | None = None

    async def invoke(self, invocation: Invocation) -> InvocationResult:
        self.seen.append(invocation)
        if self.act is not None:
            self.act(invocation)
        return InvocationResult(Payload.of("ok"), None, invocation.version)

    async def close(self) -> None: ...

    @property
    def payloads(self) -> list[Any]:
        return [invocation.payload.value for invocation in self.seen]


async def settle(wire: Wire, is_done: Callable[[], bool]) -> None:
    """Lets the event loop run until it is so."""
    for _ in range(2_000):
        if is_done():
            return
        await asyncio.sleep(0)
    pytest.fail("it did not happen")


async def idle(wire: Wire) -> None:
    """Lets the event loop run until no event of the function waits or is being invoked."""

    def is_idle() -> bool:
        counts = wire.engine.functions.find(FUNCTION_ARN).statistics(wire.clock.now_ms())
        return not counts.waiting + counts.ready + counts.attempting

    await settle(wire, is_idle)


@pytest.fixture
async def noted(wire: Wire) -> Noted:
    """The function f with a version 1 and an alias live."""
    engine = wire.engine
    engine.begin()
    function = engine.functions.create(
        FUNCTION_ARN, FunctionConfig(kind=KIND_LOCAL), None, publish=True
    )
    engine.functions.run(function, function.put_alias("live", "1", is_new=True))
    barrier = engine.barrier()
    if barrier is not None:
        await barrier
    noted = Noted()
    engine.functions.register(FUNCTION_ARN, noted)
    return noted


def aim(events: Any, arn: str = FUNCTION_ARN, **members: Any) -> None:
    events.put_rule(Name="r", EventPattern=PATTERN)
    answer = events.put_targets(Rule="r", Targets=[{"Id": "t", "Arn": arn, **members}])
    assert answer["FailedEntryCount"] == 0


async def test_a_function_is_invoked_with_the_event(wire, events, noted):
    aim(events)
    event_id = events.put_events(Entries=[ENTRY])["Entries"][0]["EventId"]
    await idle(wire)
    (payload,) = noted.payloads
    assert (payload["id"], payload["source"]) == (event_id, "shop")
    assert payload["detail"] == {"id": 1, "who": "me"}


@pytest.mark.parametrize(
    ("qualifier", "version"),
    [("", "$LATEST"), (":$LATEST", "$LATEST"), (":1", "1"), (":live", "1")],
)
async def test_a_qualifier_says_which_version(wire, events, noted, qualifier, version):
    aim(events, FUNCTION_ARN + qualifier)
    events.put_events(Entries=[ENTRY])
    await idle(wire)
    (invocation,) = noted.seen
    assert (invocation.version, invocation.function_arn) == (version, FUNCTION_ARN)


@pytest.mark.parametrize(
    ("members", "payload"),
    [
        ({"Input": '{"a": [1]}'}, {"a": [1]}),
        ({"InputPath": "$.detail.who"}, "me"),
        (
            {
                "InputTransformer": {
                    "InputPathsMap": {"who": "$.detail.who"},
                    "InputTemplate": '{"for": "<who>"}',
                }
            },
            {"for": "me"},
        ),
    ],
)
async def test_inputs_are_made_for_functions_too(wire, events, noted, members, payload):
    aim(events, **members)
    events.put_events(Entries=[ENTRY])
    await idle(wire)
    assert noted.payloads == [payload]


def test_a_targets_settings_are_told_back(events):
    settings = {
        "RoleArn": "arn:aws:iam::000000000000:role/r",
        "DeadLetterConfig": {"Arn": QUEUE_ARN + "dead"},
        "RetryPolicy": {"MaximumRetryAttempts": 3, "MaximumEventAgeInSeconds": 60},
    }
    arn = FUNCTION_ARN + ":live"
    aim(events, arn, **settings)
    (target,) = events.list_targets_by_rule(Rule="r")["Targets"]
    assert target == {"Id": "t", "Arn": arn, **settings}
    assert events.list_rule_names_by_target(TargetArn=arn)["RuleNames"] == ["r"]
    assert events.list_rule_names_by_target(TargetArn=FUNCTION_ARN)["RuleNames"] == []


def test_an_event_for_a_function_that_is_not_there_is_dead_lettered(events, sqs):
    sqs.create_queue(QueueName="dead")
    aim(events, DeadLetterConfig={"Arn": QUEUE_ARN + "dead"})
    assert events.put_events(Entries=[ENTRY])["FailedEntryCount"] == 0
    received = sqs.receive_message(QueueUrl="dead", MessageAttributeNames=["All"])
    (message,) = received["Messages"]
    assert json.loads(message["Body"])["source"] == "shop"
    assert message["MessageAttributes"]["TARGET_ARN"]["StringValue"] == FUNCTION_ARN


@pytest.mark.parametrize(
    "resource",
    [
        "layer:x",
        "function:",
        "function:a b",
        "function:f:",
        "function:f:1:2",
        "function:f:$NEW",
        "f",
    ],
)
def test_what_is_no_arn_of_a_function_is_refused(events, resource):
    events.put_rule(Name="r", EventPattern=PATTERN)
    arn = f"arn:aws:lambda:{REGION}:{ACCOUNT}:{resource}"
    with pytest.raises(ClientError) as caught:
        events.put_targets(Rule="r", Targets=[{"Id": "t", "Arn": arn}])
    assert caught.value.response["Error"]["Message"] == (
        f"Parameter {arn} is not valid. Reason: Provided Arn is not in correct format."
    )


async def test_a_loop_through_a_rule_is_stopped(wire, events, noted):
    aim(events)

    def put(trace_header: str) -> None:
        headers = {
            b"host": HOST.encode(),
            b"content-type": b"application/x-amz-json-1.1",
            b"x-amz-target": b"AWSEvents.PutEvents",
            b"x-amzn-trace-id": trace_header.encode(),
        }
        wire.raw(json.dumps({"Entries": [ENTRY]}).encode(), headers)

    noted.act = lambda invocation: put(invocation.trace_header)
    put("Root=1-5759e988-bd862e3fe1be46a994272793")
    await idle(wire)
    assert len(noted.seen) == RECURSION_INVOCATIONS_MAX


def test_lint_tells_a_function_that_gets_an_event_twice(tmp_path, capsys):
    rules = tmp_path / "rules.json"
    pattern = {"EventPattern": PATTERN, "State": "ENABLED", "Targets": [{"Arn": FUNCTION_ARN}]}
    listed = [{"Name": name, "EventBusName": "default", **pattern} for name in ("a", "b")]
    rules.write_text(json.dumps({"Rules": listed}))
    main(["lint", "--rules", str(rules)])
    assert f"and {FUNCTION_ARN} gets every event of it again" in capsys.readouterr().out
