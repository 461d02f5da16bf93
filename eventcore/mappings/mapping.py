"""The event source mapping: its settings, its state, and how far it has come in its stream.

Rules of this file:

- States change by the table of `mapping_states` alone. A change that the table does not have is a
  Conflict, reason "in use", and changes nothing.
- A mapping of a queue has no positions: what is done is deleted there. A mapping of a stream has
  one position per lane of a shard; what it writes with an invocation's outcome is that lane's row
  and nothing else, except when LastProcessingResult changes.
- All positions of a shard have the same number of lanes. The first one of another number ends the
  others: whoever changes it brings all lanes of the shard in one `settle`.
- Positions belong to one stream, known by its identity: `start_over` leaves them behind when the
  source is another stream of that name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, final

import msgspec

from eventcore.codec import record_decoder
from eventcore.errors import Conflict
from eventcore.ids import IdSource
from eventcore.mappings.mapping_spec import (
    NO_RECORDS_PROCESSED,
    LanePosition,
    MappingRecord,
    MappingSpec,
)
from eventcore.mappings.mapping_states import (
    AT_REST,
    CREATE,
    DELETE,
    DELETING,
    DISABLE,
    ENABLE,
    NO_STATE,
    STARTED,
    STOPPED,
    TRANSITIONS,
    UPDATE,
)
from eventcore.outcome import (
    Effect,
    Mutation,
    Outcome,
    delete_row,
    put_row,
    row_family,
    row_key,
    row_number,
)

__all__ = ["IN_USE", "EventSourceMapping"]

IN_USE: Final = "in use"
"""Reason of a Conflict: the mapping's state does not allow this now."""

MAPPING_FAMILY: Final = 1
POSITION_FAMILY: Final = 2
_KEY: Final = row_key(MAPPING_FAMILY, 0)
_LANE_BITS: Final = 8
_LANES_MAX: Final = 1 << _LANE_BITS

_decode_mapping: Final = record_decoder(MappingRecord)
_decode_position: Final = record_decoder(LanePosition)


@final
class EventSourceMapping:
    """One mapping. `arn` ends in its UUID."""

    def __init__(self, arn: str, ids: IdSource) -> None:
        self.arn = arn
        self.uuid = arn.rpartition(":")[2]
        self._ids = ids
        self._record: MappingRecord | None = None
        self._shards: dict[int, dict[int, LanePosition]] = {}
        """The positions of each shard, by lane."""

    # Observation

    @property
    def record(self) -> MappingRecord:
        """Settings and state."""
        assert self._record is not None, "create comes first"
        return self._record

    @property
    def spec(self) -> MappingSpec:
        """The settings."""
        return self.record.spec

    @property
    def state(self) -> str:
        """One of AWS's states."""
        return self.record.state

    @property
    def is_running(self) -> bool:
        """Whether its poller is to run: it is enabled, or about to be."""
        record = self.record
        return record.is_enabled and record.state != DELETING

    @property
    def is_at_rest(self) -> bool:
        """Whether the runtime has nothing to do for its state."""
        return self.record.state in AT_REST

    def positions(self) -> list[LanePosition]:
        """The positions of all lanes, by shard and lane."""
        return [shard[lane] for _, shard in sorted(self._shards.items()) for lane in sorted(shard)]

    def position(self, ordinal: int, lane: int) -> LanePosition | None:
        """The position of a lane; None where it has none yet."""
        shard = self._shards.get(ordinal)
        return None if shard is None else shard.get(lane)

    # Settings and state

    def create(
        self,
        spec: MappingSpec,
        is_enabled: bool,
        now_ms: int,
        stream_identity: tuple[int, int] = (0, 0),
    ) -> Outcome[None]:
        """Makes the mapping, in the state Creating. `stream_identity` is the stream's creation and
        component.
        """
        state = self._next(NO_STATE, CREATE)
        record = MappingRecord(
            spec,
            state,
            now_ms,
            now_ms,
            stream_created_ms=stream_identity[0],
            is_enabled=is_enabled,
            stream_component=stream_identity[1],
        )
        return self._done(put_row(_KEY, record, is_new=True))

    def update(self, spec: MappingSpec, is_enabled: bool | None, now_ms: int) -> Outcome[None]:
        """Changes settings, and, unless None, whether it is enabled. Raises Conflict while an
        earlier change is under way.
        """
        record = self.record
        if is_enabled is None or is_enabled == record.is_enabled:
            trigger, is_enabled = UPDATE, record.is_enabled
        else:
            trigger = ENABLE if is_enabled else DISABLE
        state = self._next(record.state, trigger)
        return self._put(
            spec=spec,
            state=state,
            modified_ms=now_ms,
            epoch=record.epoch + (spec != record.spec),
            is_enabled=is_enabled,
        )

    def begin_delete(self, now_ms: int) -> Outcome[None]:
        """Its end begins: the state is Deleting until its poller has ended. Raises Conflict."""
        state = self._next(self.record.state, DELETE)
        return self._put(state=state, modified_ms=now_ms)

    def settled(self, now_ms: int) -> Outcome[None]:
        """Its poller runs, or has ended, as the settings ask for: the state is at rest. Changes
        nothing in a state at rest, or in Deleting.
        """
        record = self.record
        if record.state in AT_REST or record.state == DELETING:
            return Outcome(None)
        trigger = STARTED if record.is_enabled else STOPPED
        return self._put(state=self._next(record.state, trigger), modified_ms=now_ms)

    def set_tags(self, tags: Mapping[str, str]) -> Outcome[None]:
        """Replaces the tags. The state stays, and so does the poller."""
        return self._put(spec=msgspec.structs.replace(self.spec, tags=dict(tags)))

    def note_result(self, text: str) -> Outcome[None]:
        """Notes LastProcessingResult. Writes only what is new."""
        if text == self.record.result:
            return Outcome(None)
        return self._put(result=text)

    # Positions

    def settle(
        self,
        positions: Sequence[LanePosition],
        effects: tuple[Effect, ...] = (),
        result: str | None = None,
    ) -> Outcome[None]:
        """Stores positions, in one transaction with `effects` and, unless None, with the result."""
        mutations: list[Mutation] = []
        for position in positions:
            assert 0 <= position.lane < position.lanes <= _LANES_MAX
            shard = self._shards.get(position.ordinal)
            if shard and next(iter(shard.values())).lanes != position.lanes:
                self._drop_shard(position.ordinal, mutations)
                shard = None
            if shard is None or shard.get(position.lane) != position:
                key = _position_key(position.ordinal, position.lane)
                self._do(put_row(key, position), mutations)
        if result is not None and result != self.record.result:
            record = msgspec.structs.replace(self.record, result=result)
            self._do(put_row(_KEY, record), mutations)
        return Outcome(None, tuple(mutations), effects)

    def forget_shard(self, ordinal: int) -> Outcome[None]:
        """Drops the positions of a shard that the stream does not have any more."""
        mutations: list[Mutation] = []
        self._drop_shard(ordinal, mutations)
        return Outcome(None, tuple(mutations))

    def start_over(self, stream_identity: tuple[int, int]) -> Outcome[None]:
        """Drops all positions: the source is another stream of that name, which is this one. All of
        its records came after the mapping, so none of them may be passed over.
        """
        mutations: list[Mutation] = []
        for ordinal in list(self._shards):
            self._drop_shard(ordinal, mutations)
        record = msgspec.structs.replace(
            self.record,
            stream_created_ms=stream_identity[0],
            stream_component=stream_identity[1],
            is_anew=True,
            result=NO_RECORDS_PROCESSED,
        )
        self._do(put_row(_KEY, record), mutations)
        return Outcome(None, tuple(mutations))

    def _drop_shard(self, ordinal: int, mutations: list[Mutation]) -> None:
        for lane in list(self._shards.get(ordinal, ())):
            self._do(delete_row(_position_key(ordinal, lane)), mutations)

    # What the host asks for

    def apply(self, mutation: Mutation) -> None:
        """Takes one row in."""
        family, number = row_family(mutation.key), row_number(mutation.key)
        if family == POSITION_FAMILY:
            ordinal, lane = number >> _LANE_BITS, number & _LANES_MAX - 1
            if mutation.value is not None:
                position = mutation.record or _decode_position(mutation.value)
                self._shards.setdefault(ordinal, {})[lane] = position
            elif ordinal in self._shards:
                self._shards[ordinal].pop(lane, None)
                if not self._shards[ordinal]:
                    del self._shards[ordinal]
        elif family == MAPPING_FAMILY and mutation.value is not None:
            self._record = mutation.record or _decode_mapping(mutation.value)

    def next_deadline(self) -> int | None:
        """Never: a mapping has no time of its own."""
        return None

    def tick(self, now_ms: int, limit: int) -> Outcome[None]:
        """Nothing is ever due."""
        return Outcome(None)

    def check(self) -> None:
        """Asserts every invariant."""
        record = self.record
        assert record.state in TRANSITIONS.values()
        assert record.epoch >= 1
        assert not (record.spec.is_queue and self._shards)
        for ordinal, shard in self._shards.items():
            assert shard and len({position.lanes for position in shard.values()}) == 1
            for lane, position in shard.items():
                assert (ordinal, lane) == (position.ordinal, position.lane)
                assert 0 <= lane < position.lanes <= _LANES_MAX

    # Changing

    def _next(self, state: str, trigger: str) -> str:
        following = TRANSITIONS.get((state, trigger))
        if following is None:
            raise Conflict("mapping", self.uuid, IN_USE)
        return following

    def _put(self, **changes: object) -> Outcome[None]:
        return self._done(put_row(_KEY, msgspec.structs.replace(self.record, **changes)))

    def _done(self, mutation: Mutation) -> Outcome[None]:
        self.apply(mutation)
        return Outcome(None, (mutation,))

    def _do(self, mutation: Mutation, mutations: list[Mutation]) -> None:
        self.apply(mutation)
        mutations.append(mutation)


def _position_key(ordinal: int, lane: int) -> int:
    return row_key(POSITION_FAMILY, ordinal << _LANE_BITS | lane)
