"""A mapping under any order of commands and restarts: its rows are all of it, its states are those
of the table, and a lane is where it was put last.
"""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from eventcore.errors import Conflict
from eventcore.mappings.mapping import EventSourceMapping
from eventcore.mappings.mapping_spec import BatchRange, LanePosition, MappingSpec
from eventcore.mappings.mapping_states import AT_REST, DELETING
from eventcore.outcome import Mutation
from eventcore.testing import SeededIds

ARN = "arn:aws:lambda:us-east-1:000000000000:event-source-mapping:1"
SPEC = MappingSpec(
    source_arn="arn:aws:kinesis:us-east-1:000000000000:stream/orders",
    function_arn="arn:aws:lambda:us-east-1:000000000000:function:bill",
    starting_position="LATEST",
)


class MappingMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.now_ms = 1_000
        self.mapping = EventSourceMapping(ARN, SeededIds(1))
        self.rows: dict[int, bytes] = {}
        self.lanes: dict[int, dict[int, LanePosition]] = {}
        self.is_enabled = True

    @initialize(is_enabled=st.booleans())
    def begin(self, is_enabled: bool) -> None:
        self.is_enabled = is_enabled
        self.take(self.mapping.create(SPEC, is_enabled, self.now_ms))

    def take(self, outcome: Any) -> None:
        for mutation in outcome.mutations:
            if mutation.value is None:
                self.rows.pop(mutation.key, None)
            else:
                self.rows[mutation.key] = mutation.value

    @rule(batch_size=st.integers(1, 5), is_enabled=st.sampled_from([None, True, False]))
    def update(self, batch_size: int, is_enabled: bool | None) -> None:
        before = self.mapping.record
        spec = msgspec.structs.replace(self.mapping.spec, batch_size=batch_size)
        try:
            self.take(self.mapping.update(spec, is_enabled, self.now_ms))
        except Conflict:
            assert before.state not in AT_REST
            assert self.mapping.record == before
            return
        assert before.state in AT_REST
        assert self.mapping.state not in AT_REST
        assert self.mapping.spec.batch_size == batch_size
        self.is_enabled = self.is_enabled if is_enabled is None else is_enabled

    @rule()
    def settled(self) -> None:
        was_deleting = self.mapping.state == DELETING
        self.take(self.mapping.settled(self.now_ms))
        expected = "Enabled" if self.is_enabled else "Disabled"
        assert self.mapping.state == (DELETING if was_deleting else expected)

    @rule()
    def delete(self) -> None:
        before = self.mapping.state
        try:
            self.take(self.mapping.begin_delete(self.now_ms))
        except Conflict:
            assert before not in AT_REST
        else:
            assert before in AT_REST

    @rule(
        ordinal=st.integers(0, 3),
        lanes=st.integers(1, 3),
        numbers=st.lists(st.integers(0, 9), min_size=1, max_size=3),
        failures=st.integers(0, 2),
    )
    def settle(self, ordinal: int, lanes: int, numbers: list[int], failures: int) -> None:
        pending = tuple(BatchRange(number, number + 1) for number in range(failures))
        positions = [
            LanePosition(ordinal, lane, lanes, number, pending)
            for lane, number in enumerate(numbers[:lanes])
        ]
        self.take(self.mapping.settle(positions, result=f"result {failures}"))
        known = self.lanes.setdefault(ordinal, {})
        if any(position.lanes != lanes for position in known.values()):
            known.clear()
        known.update({position.lane: position for position in positions})

    @rule(ordinal=st.integers(0, 3))
    def forget_shard(self, ordinal: int) -> None:
        self.take(self.mapping.forget_shard(ordinal))
        self.lanes.pop(ordinal, None)

    @rule(created_ms=st.integers(1, 9))
    def start_over(self, created_ms: int) -> None:
        self.take(self.mapping.start_over((created_ms, 7)))
        self.lanes.clear()

    @rule()
    def restart(self) -> None:
        again = EventSourceMapping(ARN, SeededIds(2))
        for key, value in sorted(self.rows.items()):
            again.apply(Mutation(key, value))
        assert again.record == self.mapping.record
        assert again.positions() == self.mapping.positions()
        self.mapping = again

    @invariant()
    def it_is_sound(self) -> None:
        self.mapping.check()
        told = self.mapping.positions()
        assert told == [
            shard[lane] for _, shard in sorted(self.lanes.items()) for lane in sorted(shard)
        ]
        assert all(self.mapping.position(one.ordinal, one.lane) == one for one in told)
        assert len(self.rows) == len(told) + 1


TestMapping = MappingMachine.TestCase
