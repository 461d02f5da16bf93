"""Our own door to event source mappings: their states and counts, and how far each lane of a stream
is.

    GET /_eventcore/mappings?after=<ARN>&max=<n>
    GET /_eventcore/mappings/<uuid>
    GET /_eventcore/mappings/<uuid>/lanes?after=<shard id>/<lane>&max=<n>

The answers are the structs of `function_views`. Positions are those that are stored: what a
mapping did since is in them with its next settlement. To tell how old the oldest record is that is
not done, it is read from the stream, so only LANES_A_SLICE lanes are looked at before others have
their turn. MAPPINGS_A_SLICE mappings are: each may have thousands of lanes.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import Final, NamedTuple

from eventcore import limits
from eventcore.arn import parse_arn
from eventcore.errors import NotFound
from eventcore.mappings.mapping import EventSourceMapping
from eventcore.mappings.mapping_spec import LanePosition
from eventcore.mappings.shard_lane import lanes_of
from eventcore.queues.queue import QueueMachine
from eventcore.runtime.engine import Engine
from eventcore.server.door_answers import json_answer
from eventcore.server.door_request import DoorRequest
from eventcore.server.function_views import (
    BatchView,
    LaneView,
    MappingCountsView,
    MappingLanesPage,
    MappingsPage,
    MappingView,
    QueueBacklogView,
)
from eventcore.server.looks import Look
from eventcore.streams.shard import parse_shard_id, shard_id
from eventcore.streams.stream import Stream
from eventcore.streams.stream_spec import Place
from eventcore.wire.fault import Fault

__all__ = ["look_at_mappings"]

LAMBDA: Final = "arn:aws:lambda:"
MAPPING: Final = ":event-source-mapping:"
LANES_A_SLICE: Final = 10
MAPPINGS_A_SLICE: Final = 10
_START: Final = (-1, 0)


def look_at_mappings(engine: Engine, request: DoorRequest, path: list[str]) -> Look | None:
    """The look that a path behind `/_eventcore/mappings` asks for; None for no such path."""
    match path:
        case []:
            return _mappings(engine, request)
        case [uuid]:
            return _mapping(engine, uuid)
        case [uuid, "lanes"]:
            return _lanes(engine, request, uuid)
    return None


# Mappings


def _mappings(engine: Engine, request: DoorRequest) -> Look:
    after = request.parameters().get("after", "")
    page_max = request.number("max", limits.BROWSE_PAGE_DEFAULT, 1, limits.BROWSE_QUEUES_MAX)
    arns = [arn for arn in engine.arns_with_prefix(LAMBDA) if MAPPING in arn]
    start = bisect_right(arns, after)
    page = arns[start : start + page_max]
    is_last = start + len(page) == len(arns)
    views: list[MappingView] = []
    for at in range(0, len(page), MAPPINGS_A_SLICE):
        if at:
            yield
        for arn in page[at : at + MAPPINGS_A_SLICE]:
            mapping = engine.find(arn)
            if isinstance(mapping, EventSourceMapping):  # not deleted meanwhile
                views.append(_view(engine, mapping))
    return json_answer(MappingsPage(views, None if is_last else page[-1]))


def _mapping(engine: Engine, uuid: str) -> Look:
    yield from ()
    return json_answer(_view(engine, engine.mappings.find(uuid)))


def _view(engine: Engine, mapping: EventSourceMapping) -> MappingView:
    engine.look(mapping)
    arn, record = parse_arn(mapping.arn), mapping.record
    counts = engine.mappings.counts(mapping.arn)
    lanes = _lane_keys(engine, mapping)
    return MappingView(
        uuid=mapping.uuid,
        arn=mapping.arn,
        account=arn.account,
        region=arn.region,
        state=record.state,
        source_arn=record.spec.source_arn,
        function_arn=record.spec.function_arn,
        result=record.result,
        batch_size=record.spec.batch_size,
        created_ms=record.created_ms,
        modified_ms=record.modified_ms,
        counts=MappingCountsView(
            polled=counts.polled,
            filtered_out=counts.filtered_out,
            invoked=counts.invoked,
            failed=counts.failed,
            dropped=counts.dropped,
            delivered_on_failure=counts.delivered_on_failure,
            deleted=counts.deleted,
        ),
        queue=_backlog(engine, record.spec.source_arn),
        lanes=len(lanes),
        blocked_lanes=sum(bool(position.pending) for position in mapping.positions()),
        behind_records=_behind_all(engine, mapping, lanes),
    )


def _backlog(engine: Engine, arn: str) -> QueueBacklogView | None:
    queue = engine.find(arn)
    if not isinstance(queue, QueueMachine):
        return None
    held = engine.statistics(queue)
    return QueueBacklogView(held.visible, held.in_flight, held.delayed, held.oldest_age_ms)


def _behind_all(engine: Engine, mapping: EventSourceMapping, lanes: list[tuple[int, int]]) -> int:
    stream = _stream_of(engine, mapping)
    if stream is None:
        return 0
    behind: dict[int, int] = {}
    for ordinal, lane in lanes:
        records = _reach(stream, ordinal, mapping.position(ordinal, lane)).records
        behind[ordinal] = max(records, behind.get(ordinal, 0))
    return sum(behind.values())


# Lanes


class _Reach(NamedTuple):
    """From the first record that a lane is not done with to the shard's tip."""

    number: int
    next_number: int

    @property
    def records(self) -> int:
        return self.next_number - self.number


def _stream_of(engine: Engine, mapping: EventSourceMapping) -> Stream | None:
    """The stream that the mapping's positions are of, if it is there."""
    stream = engine.find(mapping.spec.resource_arn)
    if not isinstance(stream, Stream):
        return None
    engine.look(stream)
    is_its = mapping.record.is_of_stream(engine.streams.identity(stream))
    return stream if is_its else None


def _lane_keys(engine: Engine, mapping: EventSourceMapping) -> list[tuple[int, int]]:
    """(shard, lane) of all lanes, sorted: those with a position, and those of shards that wait for
    their parents. None before the mapping was begun.
    """
    keys = [(position.ordinal, position.lane) for position in mapping.positions()]
    stream = _stream_of(engine, mapping)
    if stream is None or not keys:
        return keys
    known = {ordinal for ordinal, _ in keys}
    for shard in engine.streams.shards(stream):
        if shard.ordinal not in known:
            keys += [(shard.ordinal, lane) for lane in range(lanes_of(mapping.spec))]
    return sorted(keys)


def _reach(stream: Stream, ordinal: int, position: LanePosition | None) -> _Reach:
    shard = stream.shard(ordinal)
    number = 0 if position is None else position.number
    if shard is None or (position is not None and position.is_end):
        return _Reach(number, number)
    number = min(max(number, shard.first_number), shard.next_number)
    return _Reach(number, shard.next_number)


def _lanes(engine: Engine, request: DoorRequest, uuid: str) -> Look:
    after = _after(request)
    page_max = request.number("max", limits.BROWSE_PAGE_DEFAULT, 1, limits.BROWSE_QUEUES_MAX)
    mapping = engine.mappings.find(uuid)
    keys = _lane_keys(engine, mapping)
    start = bisect_right(keys, after)
    page = keys[start : start + page_max]
    is_last = start + len(page) == len(keys)
    views: list[LaneView] = []
    for at in range(0, len(page), LANES_A_SLICE):
        if at:
            yield
        mapping = engine.mappings.find(uuid)
        for ordinal, lane in page[at : at + LANES_A_SLICE]:
            views.append(_lane(engine, mapping, ordinal, lane))
    following = None if is_last else f"{shard_id(page[-1][0])}/{page[-1][1]}"
    return json_answer(MappingLanesPage(mapping.arn, views, following))


def _after(request: DoorRequest) -> tuple[int, int]:
    text = request.parameters().get("after", "")
    if not text:
        return _START
    shard, _, lane = text.partition("/")
    ordinal = parse_shard_id(shard)
    if ordinal is None or not (lane.isascii() and lane.isdecimal() and len(lane) < 4):
        reason = f"after must be a shard id, a slash and a number, and is {text[:64]!r}."
        raise Fault("InvalidParameterValue", reason)
    return ordinal, int(lane)


def _lane(engine: Engine, mapping: EventSourceMapping, ordinal: int, lane: int) -> LaneView:
    position = mapping.position(ordinal, lane)
    stream = _stream_of(engine, mapping)
    reach = _Reach(0, 0) if stream is None else _reach(stream, ordinal, position)
    sequence_number, behind_ms = None, 0
    if stream is not None and reach.records:
        reach, sequence_number, behind_ms = _first_record(engine, stream, ordinal, reach)
    stored = position or LanePosition(ordinal, lane, lanes_of(mapping.spec), reach.number)
    return LaneView(
        shard_id=shard_id(ordinal),
        lane=lane,
        lanes=stored.lanes,
        state=_state(position),
        number=reach.number,
        next_number=reach.next_number,
        behind_records=reach.records,
        behind_ms=behind_ms,
        sequence_number=sequence_number,
        pending=[BatchView(part.first, part.last, part.failures) for part in stored.pending],
        failed_ms=stored.failed_ms,
        request_id=stored.request_id,
        window_start_ms=None if stored.window is None else stored.window.start_ms,
    )


def _state(position: LanePosition | None) -> str:
    if position is None:
        return "waiting"
    if position.is_end:
        return "done"
    return "blocked" if position.pending else "reading"


def _first_record(
    engine: Engine, stream: Stream, ordinal: int, reach: _Reach
) -> tuple[_Reach, str | None, int]:
    """What is really left, without records out of the retention; the first record's sequence
    number, and how long it has been there. Raises StoreError.
    """
    try:
        page = engine.streams.read(stream, Place(ordinal, reach.number), 1, 1)
    except NotFound:
        return _Reach(reach.next_number, reach.next_number), None, 0
    if not page.slices:
        return _Reach(reach.next_number, reach.next_number), None, 0
    first = page.slices[0]
    number = first.block.first + first.begin
    age_ms = max(0, engine.now_ms() - first.block.arrived_ms)
    return _Reach(number, reach.next_number), first.sequence_numbers()[0], age_ms
