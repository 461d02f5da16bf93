"""What our own side doors tell of functions and event source mappings: written by the doors, read
by the command line, and by whoever likes JSON.

Members are added, never renamed. Times are epoch ms, ages and intervals ms; what is not known or
does not apply is null, or 0 where it is a number.
"""

from __future__ import annotations

from typing import Final

import msgspec

from eventcore.codec import json_decoder

__all__ = [
    "BatchView",
    "FunctionCountsView",
    "FunctionEventsView",
    "FunctionView",
    "FunctionsPage",
    "LaneView",
    "LogLineView",
    "LogsPage",
    "MappingCountsView",
    "MappingLanesPage",
    "MappingView",
    "MappingsPage",
    "QueueBacklogView",
    "decode_function_view",
    "decode_functions_page",
    "decode_logs_page",
    "decode_mapping_lanes_page",
    "decode_mapping_view",
    "decode_mappings_page",
]


class FunctionEventsView(msgspec.Struct, frozen=True):
    """The asynchronous events of a function.

    `waiting` are not due yet (they are tried again later), `ready` are due, `attempting` are with
    the function. The others count since the start of the daemon.
    """

    waiting: int
    ready: int
    attempting: int
    oldest_age_ms: int
    succeeded: int
    failed: int
    throttled: int
    dropped: int


class FunctionCountsView(msgspec.Struct, frozen=True):
    """What a function did since the start of the daemon, whoever invoked it."""

    invocations: int
    errors: int
    throttles: int
    loops: int


class FunctionView(msgspec.Struct, frozen=True):
    """A function: the configuration of $LATEST, and what runs and waits.

    `kind` is "process", "http" or "local" (a callable of an embedding program: `is_runnable` is
    false without that program). `running` are its invocations at this moment; `reserved` its
    reserved concurrency, null for none; `provisioned` what is asked for of all its versions and
    aliases. `location` is the directory of code that is no zip.
    """

    name: str
    account: str
    region: str
    arn: str
    kind: str
    runtime: str
    handler: str
    location: str
    timeout_ms: int
    memory_mb: int
    code_bytes: int
    modified_ms: int
    versions: int
    is_runnable: bool
    running: int
    reserved: int | None
    provisioned: int
    counts: FunctionCountsView
    events: FunctionEventsView


class FunctionsPage(msgspec.Struct, frozen=True):
    """A page of functions, by ARN. `next` is the ARN to go on after, null on the last page."""

    functions: list[FunctionView]
    next: str | None


class LogLineView(msgspec.Struct, frozen=True):
    """One line that a function wrote, or that was written about its invocation."""

    number: int
    time_ms: int
    version: str
    request_id: str
    text: str


class LogsPage(msgspec.Struct, frozen=True):
    """Lines of a function, oldest first. `next` is the number to go on after; when it is below the
    one that was asked for, the log has begun anew.
    """

    arn: str
    next: int
    lines: list[LogLineView]


class MappingCountsView(msgspec.Struct, frozen=True):
    """What a mapping counted since the start of the daemon, in events: messages or records."""

    polled: int
    filtered_out: int
    invoked: int
    failed: int
    dropped: int
    delivered_on_failure: int
    deleted: int


class QueueBacklogView(msgspec.Struct, frozen=True):
    """What a mapping's queue holds."""

    visible: int
    in_flight: int
    delayed: int
    oldest_age_ms: int


class MappingView(msgspec.Struct, frozen=True):
    """An event source mapping.

    `queue` is null for a stream, and for a queue that is gone. Of a stream, `lanes` counts its
    lanes, `blocked_lanes` those with a batch that failed and is tried again, and `behind_records`
    is the largest of the lanes of each shard, summed up; see LaneView. `result` is
    LastProcessingResult.
    """

    uuid: str
    arn: str
    account: str
    region: str
    state: str
    source_arn: str
    function_arn: str
    result: str
    batch_size: int
    created_ms: int
    modified_ms: int
    counts: MappingCountsView
    queue: QueueBacklogView | None
    lanes: int
    blocked_lanes: int
    behind_records: int


class MappingsPage(msgspec.Struct, frozen=True):
    """A page of mappings, by ARN. `next` is the ARN to go on after, null on the last page."""

    mappings: list[MappingView]
    next: str | None


class BatchView(msgspec.Struct, frozen=True):
    """A part of a batch that failed, to be tried as it is: the records from `first` to `last`
    (numbers in the shard) that belong to the lane. `failures` counts its own.
    """

    first: int
    last: int
    failures: int


class LaneView(msgspec.Struct, frozen=True):
    """How far one lane of a shard is, as it is stored.

    `state` is "reading"; "blocked" while there are `pending` batches, which failed and come next,
    in order; "waiting" for the shard's parents; "done" for a shard that was read to its end. All
    records of the lane below `number` are done with; `next_number` is the tip's. `behind_records`
    are those from the one to the other: at the most so many are left to do, since some may belong
    to other lanes, or be dropped by the filter. `sequence_number` is that of the first of them, and
    `behind_ms` how long it has been there; null and 0 at the tip. `failed_ms` and `request_id` are
    of the latest failure. `window_start_ms` is the open tumbling window's, null for none.
    """

    shard_id: str
    lane: int
    lanes: int
    state: str
    number: int
    next_number: int
    behind_records: int
    behind_ms: int
    sequence_number: str | None
    pending: list[BatchView]
    failed_ms: int
    request_id: str
    window_start_ms: int | None


class MappingLanesPage(msgspec.Struct, frozen=True):
    """Lanes of a mapping of a stream, by shard and lane. `next` is what to go on after, null on the
    last page.
    """

    arn: str
    lanes: list[LaneView]
    next: str | None


decode_function_view: Final = json_decoder(FunctionView)
decode_functions_page: Final = json_decoder(FunctionsPage)
decode_logs_page: Final = json_decoder(LogsPage)
decode_mapping_view: Final = json_decoder(MappingView)
decode_mappings_page: Final = json_decoder(MappingsPage)
decode_mapping_lanes_page: Final = json_decoder(MappingLanesPage)
