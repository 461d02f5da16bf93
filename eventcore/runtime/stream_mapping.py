"""What the shards of one stream's mapping share: settings worked out, events, failure records.

Rules of this file:

- Settings are those of the mapping when its poller began; a change of them begins another poller.
- The role that events name is the one that the function has now.
- `StreamPollerEngine` and the protocols beside it say all that the pollers need of the engine.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, final

import msgspec

from eventcore.arn import split_qualifier
from eventcore.clock import Clock
from eventcore.errors import NotFound
from eventcore.functions.invocation import InvocationResult, Payload
from eventcore.ids import IdSource, format_uuid
from eventcore.mappings.failure_record import FailedBatch, failure_effect
from eventcore.mappings.mapping_counts import MappingCounts
from eventcore.mappings.mapping_spec import LanePosition, MappingSpec
from eventcore.mappings.shard_lane import Discard, LaneBatch, LaneRecord, LaneRules, lanes_of
from eventcore.mappings.source_events import StreamEvents, batch_event, window_event
from eventcore.mappings.source_filter import SourceFilter
from eventcore.mappings.tumbling import state_value
from eventcore.outcome import Effect, Machine, Outcome
from eventcore.runtime.streams import Streams
from eventcore.runtime.timers import Timers, timers_for

__all__ = ["StreamMapping", "StreamPollerEngine"]


class FunctionInvoker(Protocol):
    """What is needed of `engine.functions`."""

    def find(self, arn: str) -> Any:
        """The function of an ARN without qualifier. Raises NotFound."""
        ...

    async def invoke(
        self, arn: str, payload: Payload, *, qualifier: str | None, request_id: str
    ) -> InvocationResult:
        """Invokes a function and waits for its result."""
        ...


class PositionKeeper(Protocol):
    """What is needed of `engine.mappings`."""

    def counts(self, arn: str) -> MappingCounts:
        """What the mapping of an ARN has counted."""
        ...

    def settle(
        self,
        arn: str,
        positions: Sequence[LanePosition],
        effects: tuple[Effect, ...] = (),
        result: str | None = None,
    ) -> None:
        """Stores positions, with effects, in one transaction. Raises NotFound("mapping")."""
        ...


class StreamPollerEngine(Protocol):
    """What a poller needs of the engine."""

    @property
    def clock(self) -> Clock:
        """The time."""
        ...

    @property
    def ids(self) -> IdSource:
        """Where request ids come from."""
        ...

    @property
    def functions(self) -> FunctionInvoker:
        """The functions."""
        ...

    @property
    def mappings(self) -> PositionKeeper:
        """The mappings."""
        ...

    @property
    def streams(self) -> Streams:
        """The streams."""
        ...

    def begin(self) -> None:
        """Opens a request."""
        ...

    def hold(self, reply: Any, payload: Any) -> None:
        """Closes a request."""
        ...

    def now_ms(self) -> int:
        """The time of the current request."""
        ...

    def find(self, arn: str) -> Any | None:
        """The machine of an existing resource."""
        ...

    def look(self, machine: Machine) -> None:
        """Notes that the request reads this machine's state."""
        ...

    def run(self, machine: Machine, outcome: Outcome[Any]) -> Any:
        """Takes a command's outcome."""
        ...


@final
class StreamMapping:
    """What the shards of one mapping share, worked out once. `identity` is the stream's. Raises
    InvalidPattern for filters that are none.
    """

    def __init__(
        self,
        engine: StreamPollerEngine,
        mapping_arn: str,
        spec: MappingSpec,
        identity: tuple[int, int],
    ) -> None:
        self.engine = engine
        self.arn = mapping_arn
        self.spec = spec
        self.identity = identity
        self.stream_arn = spec.resource_arn
        self.rules = LaneRules.of(spec)
        self.lanes = lanes_of(spec)
        self.function_arn, self.qualifier = split_qualifier(spec.function_arn)
        self.filter = SourceFilter.of(spec.filters, is_queue=False)
        self.counts = engine.mappings.counts(mapping_arn)
        self.timers: Timers = timers_for(engine.clock)
        self._role: str | None = None
        self._events = StreamEvents(spec.source_arn, "")

    @property
    def events(self) -> StreamEvents:
        """Makes the records of the events, with the role that the function has now."""
        try:
            role = str(self.engine.functions.find(self.function_arn).latest.config.role)
        except NotFound:
            role = ""
        if role != self._role:
            self._role = role
            self._events = StreamEvents(self.spec.source_arn, role)
        return self._events

    def wanted(self, shard_id: str, records: list[LaneRecord]) -> list[LaneRecord]:
        """The records of a shard that the filter wants."""
        wants = self.filter
        if wants is None:
            return records
        events = self.events
        return [
            record
            for record in records
            if wants.wants_record(_event(events, shard_id, record), record.data)
        ]

    def payload(self, shard_id: str, batch: LaneBatch) -> Payload:
        """The payload of a batch's invocation."""
        events = self.events
        records = [_event(events, shard_id, record) for record in batch.records]
        if batch.window is None:
            return Payload.of(batch_event(records))
        return Payload.of(
            window_event(
                records,
                start_ms=batch.window.start_ms,
                window_ms=self.spec.window_ms,
                state=state_value(batch.window),
                shard_id=shard_id,
                source_arn=self.spec.source_arn,
                is_final=batch.is_final,
                is_terminated_early=batch.is_early,
            )
        )

    def effects(
        self, shard_id: str, discard: Discard | None, answer: InvocationResult | None
    ) -> tuple[Effect, ...]:
        """What the destination is told of a discarded batch. `answer` is its last one, if it was
        answered.
        """
        if discard is None or self.spec.on_failure_arn is None:
            return ()
        batch = FailedBatch(
            condition=discard.condition,
            request_id=discard.request_id or format_uuid(self.engine.ids.unique_id()),
            function_arn=self.spec.function_arn,
            invokes=discard.invokes,
            stream_arn=self.stream_arn,
            shard_id=shard_id,
            first_sequence_number=discard.first.sequence_number,
            last_sequence_number=discard.last.sequence_number,
            first_arrived_ms=discard.first.arrived_ms,
            last_arrived_ms=discard.last.arrived_ms,
            records=discard.count,
        )
        if answer is not None:
            batch = msgspec.structs.replace(
                batch,
                executed_version=answer.executed_version or batch.executed_version,
                function_error=answer.error,
            )
        now_ms = self.engine.clock.now_ms()
        return (failure_effect(batch, self.spec.on_failure_arn, self.arn, now_ms),)


def _event(events: StreamEvents, shard_id: str, record: LaneRecord) -> dict[str, Any]:
    return events.record(
        shard_id, record.sequence_number, record.partition_key, record.data, record.arrived_ms
    )
