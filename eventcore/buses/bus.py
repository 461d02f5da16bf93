"""An event bus: rules, their targets, and the routing of events to them.

Rules of this file:

- An event is not stored. It is matched when it is put, against the rules as they are then, and
  becomes one `Deliver` effect per target of each matched rule; the host makes the deliveries
  durable in the transaction that the caller's answer waits for.
- A rule and its targets are one row. Rule numbers are the machine's own and given once.
- An event that came from another bus reaches this bus's targets, but never a third bus (AWS,
  "Sending events between event buses in the same account and Region"). So routing always ends.
- Every reading method returns plain frozen records; names come back in order.

Invariants: `_numbers` and `_rules` name the same rules; the matcher holds exactly the enabled ones;
every rule has its outlets, one per target, in the order of the targets.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, final

import msgspec

from eventcore import limits
from eventcore.arn import parse_arn
from eventcore.arn import rule_arn as make_rule_arn
from eventcore.buses.bus_spec import BusRecord, BusSpec, BusStatistics, decode_bus
from eventcore.buses.event import Envelope, EventEntry, EventResult, EventWriter, read_envelope
from eventcore.buses.rule import (
    DISABLED,
    ENABLED,
    Outlet,
    RuleRecord,
    Target,
    check_rule,
    check_tags,
    check_target,
    decode_rule,
    outlet_of,
)
from eventcore.errors import (
    Conflict,
    InvalidParameter,
    LimitExceeded,
    NotFound,
    UnsupportedOperation,
)
from eventcore.ids import IdSource
from eventcore.limits import RELAXED_QUOTAS, Quotas
from eventcore.outcome import (
    Deliver,
    Effect,
    Mutation,
    Outcome,
    Parcel,
    delete_row,
    put_row,
    row_family,
    row_key,
    row_number,
)
from eventcore.patterns import Matcher, compile_pattern

__all__ = ["EventBus", "EventEntry", "EventResult", "RuleSpec", "Target", "TargetFailure"]

_SPEC: Final = 0
_RULE: Final = 1
HAS_TARGETS: Final = "has targets"
"""The reason of the Conflict that `delete_rule` raises."""


class RuleSpec(msgspec.Struct, frozen=True):
    """The settings of a rule, all of them: what is left out is unset, as with PutRule."""

    pattern: str | None = None
    schedule: str | None = None
    state: str = ENABLED
    description: str | None = None
    role_arn: str | None = None
    tags: dict[str, str] = {}


class TargetFailure(msgspec.Struct, frozen=True):
    """A target of a request that was not taken or not removed; the others were."""

    target_id: str
    error_code: str
    error_message: str


class _Rule(msgspec.Struct, frozen=True):
    """A rule as it is kept in memory: its row, and what routing needs, made once."""

    record: RuleRecord
    arn: str
    outlets: tuple[Outlet, ...]


@final
class EventBus:
    """One event bus. See the module's text for its rules."""

    def __init__(self, arn: str, ids: IdSource, quotas: Quotas = RELAXED_QUOTAS) -> None:
        parts = parse_arn(arn)
        self.arn = arn
        self.name = parts.resource.partition("/")[2]
        self._account = parts.account
        self._region = parts.region
        self._ids = ids
        self._quotas = quotas
        self._writer = EventWriter(arn)
        self._bus: BusRecord | None = None
        self._numbers: dict[str, int] = {}
        self._rules: dict[int, _Rule] = {}
        self._next_number = 0
        self._matcher = Matcher()
        self._events = self._refused = self._deliveries = self._undeliverable = 0

    # The bus

    @property
    def spec(self) -> BusSpec:
        """The settings of the bus."""
        return BusSpec() if self._bus is None else self._bus.spec

    @property
    def created_ms(self) -> int:
        """When the bus was first configured; 0 before."""
        return 0 if self._bus is None else self._bus.created_ms

    @property
    def modified_ms(self) -> int:
        """When the settings of the bus last changed; 0 before the first."""
        return 0 if self._bus is None else self._bus.modified_ms

    def configure(self, spec: BusSpec, now_ms: int) -> Outcome[None]:
        """Sets all settings, at creation and later. Raises InvalidParameter, LimitExceeded."""
        spec.validate()
        _check_tag_count(spec.tags)
        created_ms = now_ms if self._bus is None else self._bus.created_ms
        mutation = put_row(
            row_key(_SPEC, 0), BusRecord(spec, created_ms, now_ms), is_new=self._bus is None
        )
        self.apply(mutation)
        return Outcome(None, (mutation,))

    # Rules

    def put_rule(self, name: str, spec: RuleSpec) -> Outcome[str]:
        """Creates a rule or replaces its settings; the value is its ARN. Targets stay, and so do
        the tags of a rule that was there, as on AWS.

        Raises InvalidPattern, InvalidParameter, LimitExceeded (a new rule beyond the quota),
        UnsupportedOperation for a schedule.
        """
        number = self._numbers.get(name)
        kept = None if number is None else self._rules[number].record
        record = self._new_record(name, spec, kept)
        return Outcome(self.rule_arn(name), self._put(number, record))

    def replace_rule(self, name: str, spec: RuleSpec, targets: Sequence[Target]) -> Outcome[str]:
        """`put_rule`, and the rule has exactly these targets then, in one step. Raises what
        `put_rule` and `put_targets` raise.
        """
        number = self._numbers.get(name)
        kept = None if number is None else self._rules[number].record
        record = self._new_record(name, spec, kept)
        record = msgspec.structs.replace(record, targets=self._merged((), targets, name))
        return Outcome(self.rule_arn(name), self._put(number, record))

    def _new_record(self, name: str, spec: RuleSpec, kept: RuleRecord | None) -> RuleRecord:
        if spec.schedule:
            raise UnsupportedOperation("events", "PutRule", "ScheduleExpression")
        record = RuleRecord(
            name=name,
            pattern=spec.pattern or "",
            state=spec.state,
            description=spec.description,
            role_arn=spec.role_arn,
            tags=spec.tags if kept is None else kept.tags,
            targets=() if kept is None else kept.targets,
        )
        check_rule(record)
        _check_tag_count(record.tags)
        compile_pattern(record.pattern)
        rules_max = self._quotas.rules_per_bus_max
        if kept is None and rules_max is not None and len(self._rules) >= rules_max:
            raise LimitExceeded("rules_per_bus_max", rules_max, self.name)
        return record

    def delete_rule(self, name: str) -> Outcome[None]:
        """Deletes a rule; does nothing where there is none, as AWS. Raises Conflict(HAS_TARGETS)
        while it has targets.
        """
        number = self._numbers.get(name)
        if number is None:
            return Outcome(None)
        if self._rules[number].record.targets:
            raise Conflict("rule", name, HAS_TARGETS)
        return self._delete(number)

    def remove_rule(self, name: str) -> Outcome[None]:
        """Deletes a rule with its targets; does nothing where there is none."""
        number = self._numbers.get(name)
        return Outcome(None) if number is None else self._delete(number)

    def _delete(self, number: int) -> Outcome[None]:
        mutation = delete_row(row_key(_RULE, number))
        self.apply(mutation)
        return Outcome(None, (mutation,))

    def enable_rule(self, name: str) -> Outcome[None]:
        """Lets events reach the rule again. Raises NotFound."""
        number, record = self._found(name)
        if record.is_enabled:
            return Outcome(None)
        return Outcome(None, self._put(number, msgspec.structs.replace(record, state=ENABLED)))

    def disable_rule(self, name: str) -> Outcome[None]:
        """Keeps events from the rule until it is enabled. Raises NotFound."""
        number, record = self._found(name)
        if not record.is_enabled:
            return Outcome(None)
        return Outcome(None, self._put(number, msgspec.structs.replace(record, state=DISABLED)))

    def tag_rule(self, name: str, tags: dict[str, str]) -> Outcome[None]:
        """Adds tags to a rule or replaces their values. Raises NotFound, InvalidParameter,
        LimitExceeded.
        """
        number, record = self._found(name)
        merged = {**record.tags, **tags}
        check_tags(tags)
        _check_tag_count(merged)
        return Outcome(None, self._put(number, msgspec.structs.replace(record, tags=merged)))

    def untag_rule(self, name: str, keys: Iterable[str]) -> Outcome[None]:
        """Removes tags from a rule; those it does not have do not matter. Raises NotFound."""
        number, record = self._found(name)
        gone = frozenset(keys)
        kept = {key: value for key, value in record.tags.items() if key not in gone}
        return Outcome(None, self._put(number, msgspec.structs.replace(record, tags=kept)))

    def rule(self, name: str) -> RuleRecord:
        """The rule of that name, with its targets. Raises NotFound."""
        return self._found(name)[1]

    def list_rules(
        self, prefix: str = "", *, after: str = "", limit: int | None = None
    ) -> tuple[RuleRecord, ...]:
        """The rules whose names begin so and sort behind `after`, by name, at most `limit`."""
        names = sorted(name for name in self._numbers if name.startswith(prefix) and name > after)
        return tuple(self._rules[self._numbers[name]].record for name in names[:limit])

    def rule_names_by_target(
        self, target_arn: str, *, after: str = "", limit: int | None = None
    ) -> tuple[str, ...]:
        """The names of the rules with this target that sort behind `after`, in order."""
        names = sorted(
            rule.record.name
            for rule in self._rules.values()
            if rule.record.name > after and any(o.arn == target_arn for o in rule.outlets)
        )
        return tuple(names[:limit])

    def rule_arn(self, name: str) -> str:
        """The ARN of a rule of this bus, existing or not."""
        return make_rule_arn(self._account, self._region, self.name, name)

    # Targets

    def put_targets(
        self, rule_name: str, targets: Sequence[Target]
    ) -> Outcome[tuple[TargetFailure, ...]]:
        """Adds targets, or replaces those of the same id. The value has one failure per target that
        was not taken; none so far, since AWS refuses a request with an invalid target as a whole.

        Raises NotFound, InvalidParameter, LimitExceeded (5 targets per rule).
        """
        number, record = self._found(rule_name)
        merged = self._merged(record.targets, targets, rule_name)
        return Outcome((), self._put(number, msgspec.structs.replace(record, targets=merged)))

    def remove_targets(
        self, rule_name: str, ids: Iterable[str]
    ) -> Outcome[tuple[TargetFailure, ...]]:
        """Removes targets; the value has one failure per id that the rule has no target of.
        Raises NotFound.
        """
        number, record = self._found(rule_name)
        wanted = tuple(dict.fromkeys(ids))
        present = {target.id for target in record.targets}
        failures = tuple(
            TargetFailure(
                target_id,
                "ResourceNotFoundException",
                f"Rule {rule_name} does not have a target with the Id {target_id}.",
            )
            for target_id in wanted
            if target_id not in present
        )
        kept = tuple(target for target in record.targets if target.id not in wanted)
        if len(kept) == len(record.targets):
            return Outcome(failures)
        return Outcome(failures, self._put(number, msgspec.structs.replace(record, targets=kept)))

    def _merged(
        self, present: Iterable[Target], added: Iterable[Target], rule_name: str
    ) -> tuple[Target, ...]:
        merged = {target.id: target for target in present}
        for target in added:
            check_target(target, self._region)
            outlet_of(target, self.rule_arn(rule_name), rule_name)
            merged[target.id] = target
        if len(merged) > limits.TARGETS_PER_RULE_MAX:
            raise LimitExceeded("TARGETS_PER_RULE_MAX", limits.TARGETS_PER_RULE_MAX, rule_name)
        return tuple(merged.values())

    # Events

    def put_events(
        self, entries: Sequence[EventEntry], now_ms: int, *, is_atomic: bool = False
    ) -> Outcome[tuple[EventResult, ...]]:
        """Routes events, in order. The value has one result per entry: an event id, or why this
        entry was refused. Raises nothing, unless `is_atomic`: then one refused entry refuses all,
        with InvalidParameter.
        """
        results: list[EventResult] = []
        effects: list[Effect] = []
        for entry in entries:
            event_id = self._ids.unique_id()
            written = self._writer.write(entry, event_id, now_ms)
            if isinstance(written, Envelope):
                written = self._admit(written, event_id, effects)
            if written.error_code is not None:
                self._refused += 1
                if is_atomic:
                    raise InvalidParameter("events", written.error_message or "", entry.source)
            results.append(written)
        return Outcome(tuple(results), effects=tuple(effects))

    def _admit(self, envelope: Envelope, event_id: bytes, effects: list[Effect]) -> EventResult:
        mark = len(effects)
        try:
            self._route(envelope, effects, is_forwarded=False)
        except RecursionError:
            del effects[mark:]
            return EventResult(error_code="MalformedDetail", error_message="Detail is malformed.")
        self._events += 1
        self._deliveries += len(effects) - mark
        return EventResult(event_id)

    def accept(self, parcel: Parcel, now_ms: int) -> Outcome[None]:
        """Routes an event that another bus delivers. Never refuses: what is no event, and what
        would go on to a third bus, is counted and dropped.
        """
        effects: list[Effect] = []
        envelope = read_envelope(parcel.body, now_ms, parcel.trace_header)
        if envelope is None:
            self._undeliverable += 1
            return Outcome(None)
        try:
            self._route(envelope, effects, is_forwarded=True)
        except RecursionError:
            self._undeliverable += 1
            return Outcome(None)
        self._events += 1
        self._deliveries += len(effects)
        return Outcome(None, effects=tuple(effects))

    def _route(self, envelope: Envelope, effects: list[Effect], *, is_forwarded: bool) -> None:
        for number in self._matched(envelope):
            rule = self._rules[number]
            for outlet in rule.outlets:
                if is_forwarded and outlet.is_bus:
                    self._undeliverable += 1
                    continue
                render = outlet.render
                parcel = Parcel(
                    envelope.text if render is None else render(envelope),
                    rule.arn,
                    group_id=outlet.group_of(envelope),
                    trace_header=envelope.trace_header,
                )
                effects.append(
                    Deliver(
                        outlet.arn,
                        parcel,
                        outlet.dead_letter_arn,
                        outlet.attempts_max,
                        outlet.age_ms_max,
                    )
                )

    def _matched(self, envelope: Envelope) -> list[int]:
        """The rules that match. Raises RecursionError: the text is JSON, as was checked before, so
        its depth is all that the matcher may refuse.
        """
        try:
            return self._matcher.match_json(envelope.text)
        except ValueError as error:
            raise RecursionError(str(error)) from error

    # State

    def apply(self, mutation: Mutation) -> None:
        """The only code that changes the bus's durable state."""
        if row_family(mutation.key) == _SPEC:
            if mutation.value is not None:
                self._bus = mutation.record or decode_bus(mutation.value)
            return
        number = row_number(mutation.key)
        self._next_number = max(self._next_number, number + 1)
        old = self._rules.pop(number, None)
        if old is not None:
            del self._numbers[old.record.name]
        new = None if mutation.value is None else mutation.record or decode_rule(mutation.value)
        self._rematch(number, None if old is None else old.record, new)
        if new is None:
            return
        arn = self.rule_arn(new.name)
        outlets = tuple(outlet_of(target, arn, new.name) for target in new.targets)
        self._numbers[new.name] = number
        self._rules[number] = _Rule(new, arn, outlets)

    def _rematch(self, number: int, old: RuleRecord | None, new: RuleRecord | None) -> None:
        before = old.pattern if old is not None and old.is_enabled else None
        after = new.pattern if new is not None and new.is_enabled else None
        if before == after:
            return
        if before is not None:
            self._matcher.remove(number)
        if after is not None:
            self._matcher.add(number, compile_pattern(after))

    def _put(self, number: int | None, record: RuleRecord) -> tuple[Mutation]:
        is_new = number is None
        key = row_key(_RULE, self._next_number if number is None else number)
        mutation = put_row(key, record, is_new=is_new)
        self.apply(mutation)
        return (mutation,)

    def _found(self, name: str) -> tuple[int, RuleRecord]:
        number = self._numbers.get(name)
        if number is None:
            raise NotFound("rule", name, self.name)
        return number, self._rules[number].record

    # As a machine

    def next_deadline(self) -> int | None:
        """Never: a bus has nothing to do with time yet."""
        return None

    def tick(self, now_ms: int, limit: int) -> Outcome[None]:
        """Nothing is ever due."""
        return Outcome(None)

    def statistics(self) -> BusStatistics:
        """Counts at this moment. Costs the number of rules."""
        return BusStatistics(
            rules=len(self._rules),
            enabled_rules=sum(rule.record.is_enabled for rule in self._rules.values()),
            targets=sum(len(rule.outlets) for rule in self._rules.values()),
            events=self._events,
            refused=self._refused,
            deliveries=self._deliveries,
            undeliverable=self._undeliverable,
        )

    def check(self) -> None:
        """Asserts the invariants of the module's text."""
        assert {r.record.name: n for n, r in self._rules.items()} == self._numbers
        assert all(number < self._next_number for number in self._rules)
        enabled = sum(rule.record.is_enabled for rule in self._rules.values())
        assert len(self._matcher) == enabled, "the matcher holds exactly the enabled rules"
        for rule in self._rules.values():
            assert rule.arn == self.rule_arn(rule.record.name)
            targets = rule.record.targets
            assert [o.arn for o in rule.outlets] == [target.arn for target in targets]
            assert len({target.id for target in targets}) == len(targets)
            assert len(targets) <= limits.TARGETS_PER_RULE_MAX


def _check_tag_count(tags: dict[str, str]) -> None:
    if len(tags) > limits.TAGS_MAX:
        raise LimitExceeded("TAGS_MAX", limits.TAGS_MAX)
