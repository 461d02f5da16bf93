"""The event bus: rules, targets, routing. No clock, no loop."""

from __future__ import annotations

import json

import msgspec
import pytest

from eventcore.arn import bus_arn
from eventcore.buses.bus import HAS_TARGETS, EventBus, EventEntry, RuleSpec, Target
from eventcore.buses.bus_spec import BusSpec
from eventcore.buses.transformer import InputTransformer
from eventcore.errors import (
    Conflict,
    InvalidParameter,
    InvalidPattern,
    LimitExceeded,
    NotFound,
    UnsupportedOperation,
)
from eventcore.ids import SystemIds
from eventcore.limits import Quotas
from eventcore.outcome import Deliver, Mutation, Parcel

ACCOUNT, REGION = "111122223333", "us-east-1"
BUS = bus_arn(ACCOUNT, REGION, "orders")
RULE = f"arn:aws:events:{REGION}:{ACCOUNT}:rule/orders/placed"
QUEUE = f"arn:aws:sqs:{REGION}:{ACCOUNT}:q"
OTHER_QUEUE = f"arn:aws:sqs:{REGION}:{ACCOUNT}:q2"
DEAD = f"arn:aws:sqs:{REGION}:{ACCOUNT}:dead"
OTHER_BUS = bus_arn(ACCOUNT, REGION, "audit")
NOW_MS = 1_767_225_600_000
PLACED = RuleSpec(pattern='{"detail-type":["Placed"]}')


@pytest.fixture
def bus():
    made = EventBus(BUS, SystemIds())
    yield made
    made.check()


def entry(detail_type="Placed", detail='{"id":1}', **members):
    return EventEntry(source="shop", detail_type=detail_type, detail=detail, **members)


def put(bus, *entries):
    outcome = bus.put_events(entries or (entry(),), NOW_MS)
    assert all(isinstance(effect, Deliver) for effect in outcome.effects)
    return outcome


def test_a_rules_arn_names_its_bus_unless_it_is_the_default_one(bus):
    assert bus.put_rule("placed", PLACED).value == RULE
    default = EventBus(bus_arn(ACCOUNT, REGION, "default"), SystemIds())
    assert default.put_rule("r", PLACED).value == f"arn:aws:events:{REGION}:{ACCOUNT}:rule/r"


def test_an_event_goes_to_every_target_of_every_rule_it_matches(bus):
    bus.put_rule("placed", PLACED)
    bus.put_rule("all", RuleSpec(pattern='{"source":["shop"]}'))
    bus.put_rule("none", RuleSpec(pattern='{"source":["bank"]}'))
    for name in ("placed", "all", "none"):
        bus.put_targets(name, [Target("1", QUEUE), Target("2", OTHER_QUEUE)])
    outcome = put(bus)
    assert [effect.target_arn for effect in outcome.effects] == [QUEUE, OTHER_QUEUE] * 2
    assert {effect.parcel.source_arn for effect in outcome.effects} == {
        RULE,
        bus.rule_arn("all"),
    }
    bodies = [effect.parcel.body for effect in outcome.effects]
    assert all(body is bodies[0] for body in bodies), "one string serves all targets"
    assert not outcome.mutations


def test_the_result_of_an_entry_is_the_id_in_its_envelope(bus):
    bus.put_rule("placed", PLACED)
    bus.put_targets("placed", [Target("1", QUEUE)])
    outcome = put(bus)
    body = json.loads(outcome.effects[0].parcel.body)
    assert body["id"].replace("-", "") == outcome.value[0].id.hex()
    assert body["detail"] == {"id": 1}


def test_a_refused_entry_does_not_keep_the_others_from_their_targets(bus):
    bus.put_rule("placed", PLACED)
    bus.put_targets("placed", [Target("1", QUEUE)])
    outcome = put(bus, entry(), entry(detail="no json"), entry())
    assert [result.error_code for result in outcome.value] == [None, "MalformedDetail", None]
    assert len(outcome.effects) == 2
    statistics = bus.statistics()
    assert (statistics.events, statistics.refused, statistics.deliveries) == (2, 1, 2)


def test_an_event_too_deep_to_walk_is_refused_and_not_raised(bus):
    bus.put_rule("placed", PLACED)
    bus.put_targets("placed", [Target("1", QUEUE), Target("2", QUEUE, input_path="$.detail")])
    deep = '{"a":' * 1_010 + "1" + "}" * 1_010
    outcome = put(bus, entry(detail=deep), entry())
    assert outcome.value[1].error_code is None
    assert len(outcome.effects) in {2, 4}
    assert (outcome.value[0].error_code is None) == (len(outcome.effects) == 4)


def test_a_target_gets_a_constant_a_part_or_a_transformed_event(bus):
    bus.put_rule("placed", PLACED)
    transformer = InputTransformer('"<id> by <aws.events.rule-name>"', {"id": "$.detail.id"})
    bus.put_targets(
        "placed",
        [
            Target("1", QUEUE, input='{"a": 1}'),
            Target("2", QUEUE, input_path="$.detail"),
            Target("3", QUEUE, input_path="$.source"),
            Target("4", QUEUE, input_path="$.detail.none"),
            Target("5", QUEUE, transformer=transformer),
        ],
    )
    assert [effect.parcel.body for effect in put(bus).effects] == [
        '{"a": 1}',
        '{"id":1}',
        '"shop"',
        "null",
        '"1 by placed"',
    ]


def test_a_delivery_carries_its_targets_settings(bus):
    bus.put_rule("placed", PLACED)
    fifo = Target(
        "1",
        QUEUE + ".fifo",
        group_id="g",
        dead_letter_arn=DEAD,
        retries_max=3,
        age_ms_max=60_000,
    )
    bus.put_targets("placed", [fifo, Target("2", "https://example.com/hook")])
    first, second = put(bus, entry(trace_header="Root=1")).effects
    assert first.parcel.group_id == "g"
    assert first.parcel.trace_header == "Root=1"
    assert (first.dead_letter_arn, first.attempts_max, first.age_ms_max) == (DEAD, 4, 60_000)
    assert (second.dead_letter_arn, second.attempts_max, second.age_ms_max) == (
        None,
        186,
        86_400_000,
    )


def test_a_disabled_rule_gets_nothing_until_it_is_enabled(bus):
    bus.put_rule("placed", PLACED)
    bus.put_targets("placed", [Target("1", QUEUE)])
    bus.disable_rule("placed")
    assert bus.rule("placed").state == "DISABLED"
    assert not put(bus).effects
    assert not bus.disable_rule("placed").mutations
    bus.enable_rule("placed")
    assert len(put(bus).effects) == 1


def test_put_rule_replaces_settings_and_keeps_targets_and_tags(bus):
    bus.put_rule("placed", msgspec.structs.replace(PLACED, description="first", tags={"team": "a"}))
    bus.put_targets("placed", [Target("1", QUEUE)])
    bus.put_rule("placed", RuleSpec(pattern='{"source":["bank"]}', tags={"team": "b"}))
    record = bus.rule("placed")
    assert (record.description, record.tags, len(record.targets)) == (None, {"team": "a"}, 1)
    assert not put(bus).effects


def test_replace_rule_leaves_exactly_the_named_targets(bus):
    bus.put_rule("placed", PLACED)
    bus.put_targets("placed", [Target("old", QUEUE)])
    bus.replace_rule("placed", PLACED, [Target("new", OTHER_QUEUE)])
    assert [target.id for target in bus.rule("placed").targets] == ["new"]
    with pytest.raises(InvalidParameter):
        bus.replace_rule("placed", RuleSpec(pattern='{"a":["b"]}'), [Target("x", "no-arn")])
    assert bus.rule("placed").pattern == PLACED.pattern


def test_a_rule_with_targets_is_not_deleted(bus):
    bus.put_rule("placed", PLACED)
    bus.put_targets("placed", [Target("1", QUEUE)])
    with pytest.raises(Conflict) as caught:
        bus.delete_rule("placed")
    assert caught.value.reason == HAS_TARGETS
    bus.remove_targets("placed", ["1"])
    bus.delete_rule("placed")
    assert not put(bus).effects
    with pytest.raises(NotFound):
        bus.rule("placed")


def test_deleting_a_rule_that_is_not_there_does_nothing(bus):
    assert not bus.delete_rule("none").mutations
    assert not bus.remove_rule("none").mutations


def test_remove_rule_takes_the_targets_along(bus):
    bus.put_rule("placed", PLACED)
    bus.put_targets("placed", [Target("1", QUEUE)])
    bus.remove_rule("placed")
    assert bus.statistics().targets == 0


def test_rules_come_back_by_name_in_pages(bus):
    for name in ("b", "a", "ab", "c"):
        bus.put_rule(name, PLACED)
        bus.put_targets(name, [Target("1", QUEUE if name != "c" else OTHER_QUEUE)])
    assert [rule.name for rule in bus.list_rules()] == ["a", "ab", "b", "c"]
    assert [rule.name for rule in bus.list_rules("a")] == ["a", "ab"]
    assert [rule.name for rule in bus.list_rules(after="ab", limit=1)] == ["b"]
    assert bus.rule_names_by_target(QUEUE) == ("a", "ab", "b")
    assert bus.rule_names_by_target(QUEUE, after="a", limit=1) == ("ab",)


def test_a_target_of_the_same_id_replaces_the_one_before(bus):
    bus.put_rule("placed", PLACED)
    bus.put_targets("placed", [Target("1", QUEUE), Target("2", QUEUE)])
    assert bus.put_targets("placed", [Target("1", OTHER_QUEUE)]).value == ()
    assert [target.arn for target in bus.rule("placed").targets] == [OTHER_QUEUE, QUEUE]


def test_a_sixth_target_is_too_many_and_changes_nothing(bus):
    bus.put_rule("placed", PLACED)
    bus.put_targets("placed", [Target(str(n), QUEUE) for n in range(4)])
    with pytest.raises(LimitExceeded) as caught:
        bus.put_targets("placed", [Target("4", QUEUE), Target("5", QUEUE)])
    assert (caught.value.limit, caught.value.value) == ("TARGETS_PER_RULE_MAX", 5)
    assert len(bus.rule("placed").targets) == 4


def test_removing_an_unknown_target_is_told_per_entry(bus):
    bus.put_rule("placed", PLACED)
    bus.put_targets("placed", [Target("1", QUEUE)])
    outcome = bus.remove_targets("placed", ["1", "2"])
    assert [failure.target_id for failure in outcome.value] == ["2"]
    assert bus.rule("placed").targets == ()
    assert not bus.remove_targets("placed", ["2"]).mutations


@pytest.mark.parametrize(
    "call",
    [
        lambda bus: bus.rule("none"),
        lambda bus: bus.enable_rule("none"),
        lambda bus: bus.disable_rule("none"),
        lambda bus: bus.put_targets("none", [Target("1", QUEUE)]),
        lambda bus: bus.remove_targets("none", ["1"]),
        lambda bus: bus.tag_rule("none", {"a": "b"}),
        lambda bus: bus.untag_rule("none", ["a"]),
    ],
)
def test_an_unknown_rule_is_named_with_its_bus(bus, call):
    with pytest.raises(NotFound) as caught:
        call(bus)
    assert (caught.value.kind, caught.value.name, caught.value.parent) == ("rule", "none", "orders")


@pytest.mark.parametrize(
    ("name", "spec", "error"),
    [
        ("r", RuleSpec(), InvalidParameter),
        ("r", RuleSpec(pattern="{}"), InvalidPattern),
        ("r", RuleSpec(pattern='{"a":["' + "x" * 4_096 + '"]}'), InvalidParameter),
        ("r", RuleSpec(pattern=PLACED.pattern, state="ON"), InvalidParameter),
        ("r", RuleSpec(pattern=PLACED.pattern, description="x" * 513), InvalidParameter),
        ("r", RuleSpec(pattern=PLACED.pattern, tags={"": "x"}), InvalidParameter),
        (
            "r",
            RuleSpec(pattern=PLACED.pattern, tags={str(n): "" for n in range(51)}),
            LimitExceeded,
        ),
        ("no spaces", PLACED, InvalidParameter),
        ("", PLACED, InvalidParameter),
        ("r" * 65, PLACED, InvalidParameter),
        ("r", RuleSpec(schedule="rate(1 minute)"), UnsupportedOperation),
    ],
)
def test_a_rule_that_is_not_allowed_is_refused_and_not_there(bus, name, spec, error):
    with pytest.raises(error):
        bus.put_rule(name, spec)
    assert bus.list_rules() == ()


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        (
            Target("!@#$", QUEUE),
            "Member must satisfy regular expression pattern: [\\.\\-_A-Za-z0-9]+",
        ),
        (Target("x" * 65, QUEUE), "Member must have length less than or equal to 64"),
        (
            Target("t", "notarn"),
            "Parameter notarn is not valid. Reason: Provided Arn is not in correct format.",
        ),
        (
            Target("t", "arn:aws:sqs"),
            "Parameter arn:aws:sqs is not valid. Reason: Provided Arn is not in correct format.",
        ),
        (
            Target("t", QUEUE + ".fifo"),
            "Parameter(s) SqsParameters must be specified for target: t.",
        ),
        (
            Target("t", QUEUE, input="{}", input_path="$"),
            "Only one of Input, InputPath, or InputTransformer must be provided for target t.",
        ),
        (Target("t", QUEUE, input="word"), "JSON syntax error in input for target t."),
        (Target("t", QUEUE, input_path="detail"), "InputPath for target t is invalid."),
        (
            Target("t", QUEUE, retries_max=186),
            "Member must have value less than or equal to 185",
        ),
        (
            Target("t", QUEUE, age_ms_max=59_000),
            "Member must have value greater than or equal to 60",
        ),
        (
            Target("t", QUEUE, dead_letter_arn=f"arn:aws:sns:{REGION}:{ACCOUNT}:topic"),
            "sns is not supported as a dead letter resource.",
        ),
        (
            Target("t", QUEUE, dead_letter_arn=DEAD + ".fifo"),
            "SQS FIFO is not supported by Dead Letter Queues.",
        ),
        (
            Target("t", QUEUE, dead_letter_arn=f"arn:aws:sqs:eu-west-1:{ACCOUNT}:dead"),
            "The dead letter queue must be in the Region of the rule.",
        ),
    ],
)
def test_a_target_that_aws_refuses_is_refused_in_its_words(bus, target, reason):
    bus.put_rule("placed", PLACED)
    with pytest.raises(InvalidParameter) as caught:
        bus.put_targets("placed", [Target("good", QUEUE), target])
    assert caught.value.reason == reason
    assert bus.rule("placed").targets == ()


def test_the_quota_of_rules_counts_new_rules_only():
    bus = EventBus(BUS, SystemIds(), Quotas(rules_per_bus_max=1))
    bus.put_rule("a", PLACED)
    bus.put_rule("a", PLACED)
    with pytest.raises(LimitExceeded) as caught:
        bus.put_rule("b", PLACED)
    assert caught.value.limit == "rules_per_bus_max"
    bus.check()


def test_tags_of_a_rule_are_merged_and_removed(bus):
    bus.put_rule("placed", PLACED)
    bus.tag_rule("placed", {"a": "1", "b": "2"})
    bus.tag_rule("placed", {"b": "3"})
    bus.untag_rule("placed", ["a", "none"])
    assert bus.rule("placed").tags == {"b": "3"}


def test_an_event_is_forwarded_to_one_bus_and_never_to_a_third(bus):
    audit = EventBus(OTHER_BUS, SystemIds())
    audit.put_rule("on", RuleSpec(pattern='{"source":["shop"]}'))
    audit.put_targets("on", [Target("back", BUS), Target("queue", QUEUE)])
    bus.put_rule("placed", PLACED)
    bus.put_targets("placed", [Target("audit", OTHER_BUS)])
    (forwarded,) = put(bus).effects
    assert forwarded.target_arn == OTHER_BUS
    outcome = audit.accept(forwarded.parcel, NOW_MS + 5)
    assert [effect.target_arn for effect in outcome.effects] == [QUEUE]
    (delivered,) = outcome.effects
    assert isinstance(delivered, Deliver)
    assert delivered.parcel.body == forwarded.parcel.body
    assert audit.statistics().undeliverable == 1


def test_a_bus_drops_what_is_no_event(bus):
    bus.put_rule("placed", PLACED)
    bus.put_targets("placed", [Target("1", QUEUE)])
    outcome = bus.accept(Parcel('{"a":1}', RULE), NOW_MS)
    assert not outcome.effects
    assert bus.statistics().undeliverable == 1


def test_the_settings_of_a_bus_keep_the_time_of_its_creation(bus):
    bus.configure(BusSpec(description="first"), NOW_MS)
    bus.configure(BusSpec(description="second", tags={"a": "b"}), NOW_MS + 1)
    assert (bus.created_ms, bus.modified_ms) == (NOW_MS, NOW_MS + 1)
    assert bus.spec == BusSpec(description="second", tags={"a": "b"})
    with pytest.raises(InvalidParameter):
        bus.configure(BusSpec(description="x" * 513), NOW_MS)


def test_a_bus_is_rebuilt_from_its_rows(bus):
    rows: dict[int, bytes] = {}

    def keep(outcome):
        for mutation in outcome.mutations:
            assert mutation.is_new <= (mutation.key not in rows)
            if mutation.value is None:
                rows.pop(mutation.key, None)
            else:
                rows[mutation.key] = mutation.value

    keep(bus.configure(BusSpec(description="d"), NOW_MS))
    for name in ("a", "b", "c"):
        keep(bus.put_rule(name, PLACED))
        transformer = InputTransformer('"<x>"', {"x": "$.id"})
        keep(bus.put_targets(name, [Target("1", QUEUE, transformer=transformer)]))
    keep(bus.disable_rule("b"))
    keep(bus.remove_rule("a"))
    again = EventBus(BUS, SystemIds())
    for key in sorted(rows):
        again.apply(Mutation(key, rows[key]))
        again.apply(Mutation(key, rows[key]))
    again.check()
    assert again.list_rules() == bus.list_rules()
    assert (again.spec, again.created_ms) == (bus.spec, bus.created_ms)
    assert [e.target_arn for e in put(again).effects] == [e.target_arn for e in put(bus).effects]
