"""What an event source mapping is told and what it tells: settings, states, positions.

Times are epoch ms, durations ms, sizes bytes. Machines keep these structs in rows, so fields are
only ever added, at the end and with a default.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

__all__ = [
    "BEGINNING",
    "FOR_EVER",
    "NO_RECORDS_PROCESSED",
    "PROBLEM_CALL_FAILED",
    "PROBLEM_NO_FUNCTION",
    "PROBLEM_NO_QUEUE",
    "PROBLEM_NO_STREAM",
    "RESULT_OK",
    "BatchRange",
    "LanePosition",
    "MappingRecord",
    "MappingSpec",
    "PollerConfig",
    "WindowState",
]

FOR_EVER: Final = -1
"""As a number of retries or an age: no limit."""
BEGINNING: Final = "TRIM_HORIZON"

NO_RECORDS_PROCESSED: Final = "No records processed"
RESULT_OK: Final = "OK"
PROBLEM_CALL_FAILED: Final = "PROBLEM: Function call failed"
PROBLEM_NO_FUNCTION: Final = "PROBLEM: Function not found"
PROBLEM_NO_QUEUE: Final = "PROBLEM: Queue not found"
PROBLEM_NO_STREAM: Final = "PROBLEM: Stream not found"


class PollerConfig(msgspec.Struct, frozen=True, array_like=True):
    """Provisioned pollers: at least and at most so many."""

    pollers_min: int | None = None
    pollers_max: int | None = None
    group: str | None = None


class MappingSpec(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """The settings of an event source mapping.

    `function_arn` is the function's ARN, qualified as the caller named it. `batch_size` is
    messages or records, `concurrency_max` the invocations of a queue's mapping at a time (None for
    as many as the queue asks for). `retries_max` and `age_ms_max` are FOR_EVER for no limit;
    `window_ms` is the tumbling window, 0 for none. `echoed` holds members that are kept and shown
    and do nothing here, by their AWS names (KMSKeyArn, ...).
    """

    source_arn: str
    function_arn: str
    batch_size: int = 10
    batch_window_ms: int = 0
    filters: tuple[str, ...] = ()
    reports_item_failures: bool = False
    concurrency_max: int | None = None
    pollers: PollerConfig | None = None
    starting_position: str = ""
    starting_ms: int | None = None
    parallelization: int = 1
    is_bisecting: bool = False
    retries_max: int = FOR_EVER
    age_ms_max: int = FOR_EVER
    window_ms: int = 0
    on_failure_arn: str | None = None
    metrics: tuple[str, ...] = ()
    tags: dict[str, str] = {}
    echoed: dict[str, Any] = {}

    @property
    def is_queue(self) -> bool:
        """Whether the source is a queue; else it is a stream."""
        return self.source_arn.split(":", 3)[2] == "sqs"

    @property
    def resource_arn(self) -> str:
        """The ARN of the queue or the stream. It is not the source's where that is an enhanced
        fan-out consumer.
        """
        return self.source_arn.partition("/consumer/")[0]


class MappingRecord(msgspec.Struct, frozen=True, array_like=True):
    """The row of a mapping. `state` is one of AWS's; `reason` why (StateTransitionReason);
    `result` is LastProcessingResult. `epoch` counts the changes of its settings.
    `is_enabled` is what the state ends in: Enabled or Disabled.
    `stream_created_ms` is the creation of the stream that its positions belong to, 0 for a queue;
    `stream_component` tells it from another one of its name that was made in the same millisecond.
    `is_anew`: that stream is not the one that the mapping was made for.
    """

    spec: MappingSpec
    state: str
    modified_ms: int
    created_ms: int
    reason: str = "User action"
    result: str = NO_RECORDS_PROCESSED
    epoch: int = 1
    stream_created_ms: int = 0
    is_enabled: bool = True
    stream_component: int = 0
    is_anew: bool = False

    def is_of_stream(self, identity: tuple[int, int]) -> bool:
        """Whether its positions belong to the stream with this creation and component. Component 0
        is of rows that were written before it was known.
        """
        created_ms, component = identity
        return created_ms == self.stream_created_ms and self.stream_component in (0, component)


class BatchRange(msgspec.Struct, frozen=True, array_like=True):
    """A batch that failed before and is tried as it is: the records from `first` to `last` (numbers
    in their shard, both included) that belong to the lane. `failures` counts its own.
    """

    first: int
    last: int
    failures: int = 0


class WindowState(msgspec.Struct, frozen=True, array_like=True):
    """An open tumbling window of a shard: its start, and the state (JSON text) that the function
    returned last.
    """

    start_ms: int
    state: str = "{}"


class LanePosition(msgspec.Struct, frozen=True, array_like=True):
    """How far one lane of a shard is: all its records below `number` are done with.

    A shard has as many lanes as the mapping's parallelization factor; a record's lane is that of
    its partition key. `pending` are the batches that must be tried next, in order, before anything
    behind them: what was left of a batch that failed. `request_id` and `failed_ms` are of the
    latest failure. `is_end`: the shard is closed and done with.
    """

    ordinal: int
    lane: int
    lanes: int
    number: int
    pending: tuple[BatchRange, ...] = ()
    request_id: str = ""
    failed_ms: int = 0
    window: WindowState | None = None
    is_end: bool = False
