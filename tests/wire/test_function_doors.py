"""The side doors to functions and event source mappings, on an engine in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from eventcore import limits
from eventcore.arn import function_arn, queue_arn, stream_arn
from eventcore.codec import encode_json
from eventcore.functions.async_events import AsyncEvent
from eventcore.functions.function_spec import KIND_LOCAL, FunctionConfig
from eventcore.functions.invocation import Payload
from eventcore.mappings.mapping_spec import MappingSpec
from eventcore.runtime.local_functions import LocalFunction
from eventcore.server.function_views import (
    FunctionView,
    LaneView,
    MappingView,
    decode_function_view,
    decode_functions_page,
    decode_logs_page,
    decode_mapping_lanes_page,
    decode_mapping_view,
    decode_mappings_page,
)
from tests.wire.conftest import START_MS, Wire
from tests.wire.test_side_doors import Doors

ACCOUNT, REGION = "000000000000", "us-east-1"
ARN = function_arn(ACCOUNT, REGION, "bill")
STREAM = stream_arn(ACCOUNT, REGION, "clicks")
ZIP = b"PK\5\6" + bytes(18)
FUNCTIONS = "/_eventcore/functions"
MAPPINGS = "/_eventcore/mappings"


@pytest.fixture
async def doors(wire: Wire) -> AsyncIterator[Doors]:
    yield Doors(wire)
    assert not wire.bugs


async def turns(wire: Wire, count: int = 30) -> None:
    """Lets everything get done that needs no time."""
    for _ in range(count):
        await asyncio.sleep(0)
    await wire.engine.mappings.at_rest()


async def durable(wire: Wire) -> None:
    barrier = wire.engine.barrier()
    if barrier is not None:
        await barrier


async def create(wire: Wire, name: str = "bill", **settings: Any) -> None:
    wire.engine.begin()
    config = FunctionConfig(**{"kind": KIND_LOCAL, "timeout_ms": 10_000, **settings})
    wire.engine.functions.create(function_arn(ACCOUNT, REGION, name), config, None)
    await durable(wire)


async def later(wire: Wire, payload: str = "{}") -> None:
    wire.engine.begin()
    function = wire.engine.functions.find(ARN)
    wire.engine.functions.invoke_later(function, AsyncEvent(payload))
    await durable(wire)


async def map_source(wire: Wire, source: str, **settings: Any) -> str:
    """Makes a mapping of the function; returns its UUID."""
    wire.engine.begin()
    spec = MappingSpec(source_arn=source, function_arn=ARN, **settings)
    mapping = wire.engine.mappings.create(ACCOUNT, REGION, spec)
    await durable(wire)
    await turns(wire)
    return mapping.uuid


async def function_seen(doors: Doors, path: str = "/bill") -> FunctionView:
    answer = await doors.get(FUNCTIONS + path)
    assert answer.status == 200, answer.body
    return decode_function_view(answer.body)


async def mapping_seen(doors: Doors, uuid: str) -> MappingView:
    return decode_mapping_view((await doors.get(f"{MAPPINGS}/{uuid}")).body)


async def lanes_seen(doors: Doors, uuid: str, query: str = "") -> tuple[list[LaneView], str | None]:
    answer = await doors.get(f"{MAPPINGS}/{uuid}/lanes{query}")
    assert answer.status == 200, answer.body
    page = decode_mapping_lanes_page(answer.body)
    return page.lanes, page.next


def put(wire: Wire, *contents: Any, key: str = "k") -> None:
    records = [{"Data": "", "PartitionKey": key} for _ in contents]
    for record, content in zip(records, contents, strict=True):
        record["Data"] = encode_json(encode_json(content)).decode().strip('"')
    answer = wire.call(
        "PutRecords", service="Kinesis_20131202", StreamName="clicks", Records=records
    )
    assert answer.status == 200, answer.body


def make_stream(wire: Wire, shards: int = 1) -> None:
    service = "Kinesis_20131202"
    wire.call("CreateStream", service=service, StreamName="clicks", ShardCount=shards)


# Functions


async def test_a_function_is_told_with_what_runs_and_waits(doors: Doors, wire: Wire) -> None:
    await create(wire)
    await later(wire)
    gate = asyncio.Event()

    async def bill(event: Any, context: Any) -> None:
        await gate.wait()

    seen = await function_seen(doors)
    assert (seen.name, seen.arn, seen.kind, seen.timeout_ms) == ("bill", ARN, "local", 10_000)
    assert (seen.is_runnable, seen.running, seen.reserved) == (False, 0, None)
    assert (seen.events.ready, seen.events.attempting) == (1, 0)
    wire.clock.advance(1_500)
    assert (await function_seen(doors)).events.oldest_age_ms == 1_500
    wire.engine.functions.register(ARN, LocalFunction(bill, wire.clock))
    await turns(wire)
    seen = await function_seen(doors)
    assert (seen.is_runnable, seen.running, seen.counts.invocations) == (True, 1, 1)
    assert (seen.events.ready, seen.events.attempting) == (0, 1)
    gate.set()
    await turns(wire)
    seen = await function_seen(doors, f"/{ACCOUNT}/{REGION}/bill")
    assert (seen.running, seen.events.attempting, seen.events.succeeded) == (0, 0, 1)


async def test_settings_and_throttles_are_told(doors: Doors, wire: Wire) -> None:
    await create(wire)
    wire.engine.begin()
    function = wire.engine.functions.find(ARN)
    wire.engine.functions.run(function, function.set_reserved(0))
    await durable(wire)
    wire.engine.functions.register(ARN, LocalFunction(lambda e, c: None, wire.clock))
    with pytest.raises(Exception, match="bill"):
        await wire.engine.functions.invoke(ARN, Payload(b"{}"))
    seen = await function_seen(doors)
    assert (seen.reserved, seen.counts.throttles, seen.counts.invocations) == (0, 1, 0)


async def test_functions_come_in_pages_without_mappings_between_them(
    doors: Doors, wire: Wire
) -> None:
    for name in ("a", "bill", "c"):
        await create(wire, name)
    wire.create_queue("orders")
    await map_source(wire, queue_arn(ACCOUNT, REGION, "orders"))
    names: list[str] = []
    sizes: list[int] = []
    after: str | None = ""
    while after is not None:
        answer = await doors.get(f"{FUNCTIONS}?max=2&after={after}")
        page = decode_functions_page(answer.body)
        sizes.append(len(page.functions))
        names += [one.name for one in page.functions]
        after = page.next
    assert (names, sizes) == (["a", "bill", "c"], [2, 1])


async def test_many_functions_and_mappings_are_looked_at_in_slices(
    doors: Doors, wire: Wire
) -> None:
    names = [f"f{number:03}" for number in range(limits.DOOR_SLICE * 2 + 1)]
    for name in names:
        await create(wire, name)
    page = decode_functions_page((await doors.get(f"{FUNCTIONS}?max=1000")).body)
    assert [one.name for one in page.functions] == names
    await create(wire)
    for number in range(21):
        wire.create_queue(f"q{number}")
        await map_source(wire, queue_arn(ACCOUNT, REGION, f"q{number}"))
    mappings = decode_mappings_page((await doors.get(f"{MAPPINGS}?max=20")).body)
    assert (len(mappings.mappings), mappings.next) == (20, mappings.mappings[-1].arn)
    rest = decode_mappings_page((await doors.get(f"{MAPPINGS}?after={mappings.next}")).body)
    assert (len(rest.mappings), rest.next) == (1, None)


async def test_logs_are_read_on_from_a_number(doors: Doors, wire: Wire) -> None:
    await create(wire)
    logs = wire.engine.functions.logs
    path = f"{FUNCTIONS}/bill/logs"
    empty = decode_logs_page((await doors.get(path)).body)
    assert (empty.arn, empty.next, empty.lines) == (ARN, -1, [])
    for number in range(5):
        logs.write(ARN, "$LATEST", "request", f"line {number}", START_MS + number)
    page = decode_logs_page((await doors.get(f"{path}?max=3")).body)
    assert ([line.text for line in page.lines], page.next) == (["line 0", "line 1", "line 2"], 2)
    page = decode_logs_page((await doors.get(f"{path}?after=2")).body)
    assert [(line.number, line.time_ms) for line in page.lines] == [
        (3, START_MS + 3),
        (4, START_MS + 4),
    ]
    page = decode_logs_page((await doors.get(f"{path}?after=4")).body)
    assert (page.lines, page.next) == ([], 4)
    logs.forget(ARN)
    logs.write(ARN, "1", "request", "new", START_MS)
    page = decode_logs_page((await doors.get(f"{path}?after=4")).body)
    assert (page.lines, page.next) == ([], 0), "the log has begun anew"


# Mappings


async def test_a_mapping_of_a_queue_is_told_with_its_backlog(doors: Doors, wire: Wire) -> None:
    await create(wire)
    url = wire.create_queue("orders")
    uuid = await map_source(wire, queue_arn(ACCOUNT, REGION, "orders"))
    wire.call("SendMessage", QueueUrl=url, MessageBody="1")
    seen = await mapping_seen(doors, uuid)
    assert (seen.state, seen.result) == ("Enabled", "No records processed")
    assert (seen.function_arn, seen.lanes, seen.behind_records) == (ARN, 0, 0)
    assert seen.queue is not None
    assert (seen.queue.visible, seen.counts.polled) == (1, 0), "nobody runs the function"
    wire.engine.functions.register(ARN, LocalFunction(lambda e, c: None, wire.clock, is_async=True))
    wire.engine.begin()
    wire.engine.delete_queue(queue_arn(ACCOUNT, REGION, "orders"))
    await durable(wire)
    await turns(wire)
    seen = await mapping_seen(doors, uuid)
    assert (seen.queue, seen.result) == (None, "PROBLEM: Queue not found")


async def test_lanes_tell_where_they_are_and_why_they_are_blocked(doors: Doors, wire: Wire) -> None:
    await create(wire)
    make_stream(wire)

    async def bill(event: Any, context: Any) -> None:
        if any(record["kinesis"]["partitionKey"] == "bad" for record in event["Records"]):
            raise ValueError("no")

    wire.engine.functions.register(ARN, LocalFunction(bill, wire.clock))
    uuid = await map_source(
        wire, STREAM, starting_position="TRIM_HORIZON", batch_size=4, is_bisecting=True
    )
    put(wire, 0, 1, 2)
    await turns(wire)
    (lane,), following = await lanes_seen(doors, uuid)
    assert (lane.state, lane.behind_records, lane.behind_ms, following) == ("reading", 0, 0, None)
    assert (lane.number, lane.sequence_number) == (lane.next_number, None)
    put(wire, 3, 4, 5, 6, key="bad")
    put(wire, 7)
    wire.clock.advance(10)
    await turns(wire)
    (lane,), _ = await lanes_seen(doors, uuid)
    assert (lane.state, lane.behind_records, lane.lanes) == ("blocked", 5, 1)
    assert (lane.next_number - lane.number, lane.behind_ms >= 10) == (5, True)
    assert lane.pending[0].first == lane.number
    assert lane.pending[-1].last == lane.number + 3
    assert (lane.failed_ms >= START_MS, len(lane.request_id)) == (True, 36)
    described = wire.call("DescribeStream", service="Kinesis_20131202", StreamName="clicks").json[
        "StreamDescription"
    ]
    start = described["Shards"][0]["SequenceNumberRange"]["StartingSequenceNumber"]
    assert int(lane.sequence_number or 0) > int(start)
    seen = await mapping_seen(doors, uuid)
    assert (seen.lanes, seen.blocked_lanes, seen.behind_records) == (1, 1, 5)
    assert seen.result == "PROBLEM: Function call failed"
    assert seen.counts.failed > 0


async def test_shards_wait_for_their_parents_and_are_done_at_their_end(
    doors: Doors, wire: Wire
) -> None:
    await create(wire)
    make_stream(wire)
    gate = asyncio.Event()

    async def bill(event: Any, context: Any) -> None:
        await gate.wait()

    wire.engine.functions.register(ARN, LocalFunction(bill, wire.clock))
    uuid = await map_source(wire, STREAM, starting_position="TRIM_HORIZON", parallelization=2)
    put(wire, 0)
    wire.call(
        "UpdateShardCount",
        service="Kinesis_20131202",
        StreamName="clicks",
        TargetShardCount=2,
        ScalingType="UNIFORM_SCALING",
    )
    put(wire, 1, 2)
    await turns(wire)
    lanes, _ = await lanes_seen(doors, uuid)
    assert [(lane.shard_id[-1], lane.lane) for lane in lanes] == [
        (shard, number) for shard in "012" for number in (0, 1)
    ]
    states = [lane.state for lane in lanes]
    assert sorted(states[:2]) == ["done", "reading"], "one lane has nothing to do"
    assert states[2:] == ["waiting"] * 4
    assert (await mapping_seen(doors, uuid)).behind_records == 3
    first, following = await lanes_seen(doors, uuid, "?max=3")
    second, end = await lanes_seen(doors, uuid, f"?after={following}")
    assert (first + second, end) == (lanes, None)
    gate.set()
    await turns(wire, 200)
    lanes, _ = await lanes_seen(doors, uuid)
    assert [lane.state for lane in lanes] == ["done"] * 2 + ["reading"] * 4
    assert (await mapping_seen(doors, uuid)).behind_records <= 2


async def test_without_its_stream_a_mapping_has_positions_and_no_lag(
    doors: Doors, wire: Wire
) -> None:
    await create(wire)
    make_stream(wire)
    uuid = await map_source(wire, STREAM, starting_position="TRIM_HORIZON")
    put(wire, 0)
    assert (await mapping_seen(doors, uuid)).behind_records == 1
    wire.call("DeleteStream", service="Kinesis_20131202", StreamName="clicks")
    await turns(wire)
    (lane,), _ = await lanes_seen(doors, uuid)
    assert (lane.behind_records, lane.behind_ms, lane.sequence_number) == (0, 0, None)
    wire.clock.advance(1)
    make_stream(wire)
    put(wire, 1, 2)
    assert (await mapping_seen(doors, uuid)).behind_records == 0, "another stream, not begun yet"


async def test_records_out_of_the_retention_are_nothing_to_do(doors: Doors, wire: Wire) -> None:
    await create(wire)
    make_stream(wire)
    uuid = await map_source(wire, STREAM, starting_position="TRIM_HORIZON")
    put(wire, 0)
    wire.clock.advance(25 * 3_600_000)
    (lane,), _ = await lanes_seen(doors, uuid)
    assert (lane.behind_records, lane.behind_ms, lane.sequence_number) == (0, 0, None)


# Errors


@pytest.mark.parametrize(
    ("target", "status", "code"),
    [
        (f"{FUNCTIONS}/nobody", 404, "ResourceNotFoundException"),
        (f"{FUNCTIONS}/nobody/logs", 404, "ResourceNotFoundException"),
        (f"{MAPPINGS}/nobody", 404, "ResourceNotFoundException"),
        (f"{MAPPINGS}/nobody/lanes", 404, "ResourceNotFoundException"),
        (f"{MAPPINGS}/nobody/lanes?after=x", 400, "InvalidParameterValue"),
        (f"{MAPPINGS}/nobody/lanes?after=shardId-000000000000/x", 400, "InvalidParameterValue"),
        (f"{FUNCTIONS}?max=0", 400, "InvalidParameterValue"),
        (f"{MAPPINGS}?max=1001", 400, "InvalidParameterValue"),
        (f"{FUNCTIONS}/a/b", 404, "NotFound"),
        (f"{MAPPINGS}/a/b", 404, "NotFound"),
        ("/_eventcore", 404, "NotFound"),
        ("/_eventcore/topics", 404, "NotFound"),
    ],
)
async def test_what_is_not_there_is_told(doors: Doors, target: str, status: int, code: str) -> None:
    answer = await doors.get(target)
    assert (answer.status, answer.error) == (status, code)


async def test_doors_only_look(doors: Doors, wire: Wire) -> None:
    await create(wire)
    before = await wire.rows()
    for target in (FUNCTIONS, f"{FUNCTIONS}/bill", f"{FUNCTIONS}/bill/logs", MAPPINGS):
        assert (await doors.get(target)).status == 200
        assert (await doors.get(target, method=b"POST")).status == 405
    assert await wire.rows() == before
