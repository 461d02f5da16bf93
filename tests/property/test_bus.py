"""The bus on random commands against a naive one: a dict of rules, each tried on each event; and
the proof that its rows give its state.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from eventcore.buses.bus import EventBus, EventEntry, RuleSpec, Target
from eventcore.errors import Conflict, InvalidPattern, LimitExceeded, NotFound
from eventcore.outcome import Deliver, Mutation, Outcome
from eventcore.patterns import compile_pattern, matches
from eventcore.testing import SeededIds

BUS = "arn:aws:events:us-east-1:000000000000:event-bus/default"
QUEUES = [f"arn:aws:sqs:us-east-1:000000000000:q{n}" for n in range(3)]
NOW_MS = 1_767_225_600_000
NAMES = st.sampled_from(["a", "b", "c", "d"])
PATTERNS = st.sampled_from(
    [
        '{"source":["shop"]}',
        '{"source":["shop","bank"],"detail":{"n":[{"numeric":[">",3]}]}}',
        '{"detail":{"n":[{"exists":false}]}}',
        '{"detail-type":[{"prefix":"P"}]}',
        '{"$or":[{"source":["bank"]},{"detail":{"n":[1]}}]}',
        "{}",
    ]
)


@dataclass
class ModelRule:
    pattern: str
    is_enabled: bool = True
    targets: dict[str, str] = field(default_factory=dict)


class BusMachine(RuleBasedStateMachine):
    """Commands that the bus refuses must be refused by the model, and the other way round."""

    def __init__(self) -> None:
        super().__init__()
        self.bus = EventBus(BUS, SeededIds(5))
        self.model: dict[str, ModelRule] = {}
        self.rows: dict[int, bytes] = {}

    def keep(self, outcome: Outcome):
        for mutation in outcome.mutations:
            if mutation.value is None:
                assert self.rows.pop(mutation.key, None) is not None
            else:
                assert mutation.is_new == (mutation.key not in self.rows)
                self.rows[mutation.key] = mutation.value
        return outcome.value

    def known(self, name, command) -> bool:
        """Runs a command on a rule that may not be there; whether it is."""
        try:
            self.keep(command())
        except NotFound:
            assert name not in self.model
            return False
        assert name in self.model
        return True

    @rule(name=NAMES, pattern=PATTERNS, is_enabled=st.booleans())
    def put_rule(self, name, pattern, is_enabled):
        spec = RuleSpec(pattern=pattern, state="ENABLED" if is_enabled else "DISABLED")
        try:
            self.keep(self.bus.put_rule(name, spec))
        except InvalidPattern:
            assert pattern == "{}"
            return
        targets = self.model[name].targets if name in self.model else {}
        self.model[name] = ModelRule(pattern, is_enabled, targets)

    @rule(name=NAMES)
    def delete_rule(self, name):
        try:
            self.keep(self.bus.delete_rule(name))
        except Conflict:
            assert self.model[name].targets
            return
        gone = self.model.pop(name, None)
        assert gone is None or not gone.targets

    @rule(name=NAMES)
    def remove_rule(self, name):
        self.keep(self.bus.remove_rule(name))
        self.model.pop(name, None)

    @rule(name=NAMES, is_enabled=st.booleans())
    def switch(self, name, is_enabled):
        command = self.bus.enable_rule if is_enabled else self.bus.disable_rule
        if self.known(name, lambda: command(name)):
            self.model[name].is_enabled = is_enabled

    @rule(
        name=NAMES,
        wanted=st.dictionaries(
            st.sampled_from([f"t{n}" for n in range(7)]), st.sampled_from(QUEUES), max_size=3
        ),
    )
    def put_targets(self, name, wanted):
        targets = [Target(target_id, arn) for target_id, arn in wanted.items()]
        try:
            if self.known(name, lambda: self.bus.put_targets(name, targets)):
                self.model[name].targets.update(wanted)
        except LimitExceeded:
            assert len(self.model[name].targets | wanted) > 5

    @rule(name=NAMES, ids=st.lists(st.sampled_from([f"t{n}" for n in range(7)]), max_size=4))
    def remove_targets(self, name, ids):
        try:
            failures = self.keep(self.bus.remove_targets(name, ids))
        except NotFound:
            assert name not in self.model
            return
        targets = self.model[name].targets
        assert {failure.target_id for failure in failures} == set(ids) - set(targets)
        for target_id in ids:
            targets.pop(target_id, None)

    @rule(
        source=st.sampled_from(["shop", "bank"]),
        detail_type=st.sampled_from(["Placed", "Paid", "x"]),
        detail=st.sampled_from([{}, {"n": 1}, {"n": 4}, {"n": "4"}, {"n": [1, 5]}]),
    )
    def put_event(self, source, detail_type, detail):
        entry = EventEntry(source, detail_type, json.dumps(detail))
        outcome = self.bus.put_events((entry,), NOW_MS)
        assert not outcome.mutations
        delivered = []
        for effect in outcome.effects:
            assert isinstance(effect, Deliver)
            delivered.append((effect.parcel.source_arn, effect.target_arn))
        event = {"source": source, "detail-type": detail_type, "detail": detail}
        expected = [
            (self.bus.rule_arn(name), arn)
            for name, model in self.model.items()
            if model.is_enabled and matches(compile_pattern(model.pattern), event)
            for arn in model.targets.values()
        ]
        assert sorted(delivered) == sorted(expected)

    @rule()
    def restart(self):
        self.bus = self.rebuilt()

    def rebuilt(self) -> EventBus:
        bus = EventBus(BUS, SeededIds(5))
        for key in sorted(self.rows):
            bus.apply(Mutation(key, self.rows[key]))
        return bus

    @invariant()
    def the_rows_give_the_state(self):
        self.bus.check()
        again = self.rebuilt()
        again.check()
        assert again.list_rules() == self.bus.list_rules()
        assert [r.name for r in self.bus.list_rules()] == sorted(self.model)


TestBus = BusMachine.TestCase
TestBus.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
