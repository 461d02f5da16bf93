"""What is told about patterns, against what `matches` answers, on random patterns and events.

The events are whole ones, as a bus has them: what is claimed about rules (that one implies another,
that none can match) is claimed for these.
"""

from __future__ import annotations

import json
import math
import re

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from eventcore.codec import encode_json
from eventcore.errors import InvalidPattern
from eventcore.patterns import Pattern, compile_pattern, matches
from eventcore.patterns.describe import describe_condition
from eventcore.patterns.envelope import why_never_met
from eventcore.patterns.explanation import explain_match
from eventcore.patterns.implication import implies, never_match_together
from eventcore.patterns.lint import lint
from eventcore.patterns.numbers import decode_event
from eventcore.patterns.pitfalls import dropped_lists

texts = st.sampled_from(["", "x", "y", "xy", "yx", "xyx", "X", "xY", "k", "K", "ß", "SS", "1", "*"])
addresses = st.sampled_from(["::1", "0:0::1", "2001:db8::", "10.0.0.1", "10.0.0.200"])
numbers = st.sampled_from([0, 1, -1, 1.0, 1.5, 2, 300, 3e2, 2**53 + 1, 10**23, 0.1])
doubles = st.sampled_from([0, 1, -1, 1.5, 2, 300, 0.1, 10**23])
literals = st.sampled_from([True, False, None])
values = texts | addresses | numbers | literals
stars = st.lists(st.sampled_from(["", "x", "y", "xy", "\\*", "\\\\"]), min_size=1, max_size=4).map(
    lambda pieces: "*".join(p for i, p in enumerate(pieces) if p or i in (0, len(pieces) - 1))
)
wildcards = stars.filter(lambda text: "**" not in text)
solid = texts.filter(bool)
cidrs = st.sampled_from(["10.0.0.0/24", "10.0.0.0/25", "10.0.0.7/8", "::/64", "::1/127"])


@st.composite
def ranges(draw):
    low = draw(doubles)
    if draw(st.booleans()):
        return [draw(st.sampled_from(["=", "<", "<=", ">", ">="])), low]
    high = draw(doubles.filter(lambda number: number > low) | st.just(10**24))
    return [draw(st.sampled_from([">", ">="])), low, draw(st.sampled_from(["<", "<="])), high]


def operators(*names):
    arguments = {
        "prefix": texts | texts.map(lambda text: {"equals-ignore-case": text}),
        "suffix": texts | texts.map(lambda text: {"equals-ignore-case": text}),
        "equals-ignore-case": texts,
        "wildcard": wildcards,
        "exactly": texts | addresses,
        "numeric": ranges(),
        "cidr": cidrs,
        "exists": st.booleans(),
        "anything-but": texts
        | doubles
        | st.lists(texts, min_size=1, max_size=2)
        | st.lists(doubles, min_size=1, max_size=2)
        | st.fixed_dictionaries({"prefix": solid | st.lists(solid, min_size=1, max_size=2)})
        | st.fixed_dictionaries({"suffix": solid | st.lists(solid, min_size=1, max_size=2)})
        | st.fixed_dictionaries({"equals-ignore-case": texts | st.lists(texts, min_size=1)})
        | st.fixed_dictionaries({"wildcard": wildcards}),
    }
    return st.one_of(*(st.fixed_dictionaries({name: arguments[name]}) for name in names))


tests = values | operators(
    "prefix", "suffix", "equals-ignore-case", "wildcard", "exactly", "numeric", "cidr", "exists",
    "anything-but",
)  # fmt: skip
lists = st.lists(tests, min_size=1, max_size=3)
paths = st.sampled_from(
    ["source", "detail-type", "detail.a", "detail.a.b", "detail.a.c", "detail.a.c.b", "detail.d",
     "detail.d.b", "resources"]
)  # fmt: skip
flat = st.dictionaries(paths, lists, min_size=1, max_size=4)
patterns = flat | st.tuples(flat, st.lists(flat, min_size=2, max_size=3)).map(
    lambda both: {**both[0], "$or": both[1]}
)
trees = st.recursive(
    values,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["a", "b", "c", "d"]), inner, max_size=3)
    ),
    max_leaves=10,
)
rows = st.lists(
    st.dictionaries(st.sampled_from(["b", "c"]), values | trees, max_size=2), max_size=4
)
details = st.fixed_dictionaries({}, optional={"a": rows | trees, "d": rows | trees})


@st.composite
def events(draw, near=None):
    """A whole event; `near` is a pattern whose plain values appear in it."""
    wanted = [v for v in plain_values(near or {}) if isinstance(v, str) and v] or ["x"]
    name = st.sampled_from(wanted) | texts.filter(bool) | addresses
    event = {
        "version": "0",
        "id": "01234567-89ab-cdef-0123-456789abcdef",
        "detail-type": draw(name),
        "source": draw(name),
        "account": "123456789012",
        "time": "2026-01-31T23:59:59Z",
        "region": "us-east-1",
        "resources": draw(st.lists(name, max_size=2)),
        "detail": draw(details),
    }
    return decode_event(encode_json(event))


def plain_values(pattern):
    if isinstance(pattern, dict):
        return [value for inner in pattern.values() for value in plain_values(inner)]
    if isinstance(pattern, list):
        return [value for inner in pattern for value in plain_values(inner)]
    return [pattern]


def compiled(pattern: dict) -> Pattern:
    return compile_pattern(json.dumps(pattern))


@given(patterns.flatmap(lambda p: st.tuples(st.just(p), events(near=p))))
@settings(max_examples=200)
def test_an_explanation_agrees_with_the_matcher(both):
    pattern, event = compiled(both[0]), both[1]
    explanation = explain_match(pattern, event)
    assert explanation.is_match == matches(pattern, event)
    assert len(explanation.branches) == len(pattern.branches)
    for branch in explanation.branches:
        assert all(condition.is_met for condition in branch.conditions) or not branch.is_match
        assert branch.is_match or branch.failed or branch.conflict
        for condition in branch.conditions:
            assert bool(condition.values) == bool(condition.values_count)
            assert bool(condition.absence) != bool(condition.values)
    shown = explanation.text()
    assert shown.startswith("matches") == explanation.is_match
    assert explanation.text(verbose=True).startswith(shown.split("\n")[0])
    assert bool(explanation.first_failure) != explanation.is_match


@given(st.lists(tests, min_size=1, max_size=4))
@settings(max_examples=200)
def test_the_text_of_a_condition_compiles_to_the_same_condition(listed):
    ((condition,),) = compiled({"a": listed}).branches
    ((again,),) = compile_pattern(f'{{"a":{describe_condition(condition)}}}').branches
    assert again == condition


starred = st.text("abA*\\", max_size=6)
starred_tests = st.one_of(
    starred,
    st.fixed_dictionaries({"prefix": starred}),
    st.fixed_dictionaries({"suffix": starred}),
    wildcards.map(lambda text: {"wildcard": text}),
)


@given(starred_tests | tests, starred | texts)
@settings(max_examples=300)
def test_a_suggested_expression_compiles_and_accepts_the_value(test, value):
    ((condition,),) = (
        branch.conditions
        for branch in explain_match(compiled({"a": [test]}), {"a": value}).branches
    )
    for hint in condition.hints:
        for expression in re.findall(r"(\{.+\})(?: accepts it)?$", hint):
            again = compile_pattern(f'{{"a":[{expression}]}}')
            assert matches(again, {"a": value}), hint


members = st.lists(
    st.sampled_from(
        ['"source":["x"]', '"detail.a":[1]', '"detail":{"a":[2]}', '"detail":{"b":[2]}']
    ),
    min_size=1,
    max_size=2,
).map(",".join)
member_trees = st.recursive(
    members,
    lambda inner: (
        st.lists(inner, min_size=2, max_size=3).map(
            lambda several: '"$or":[' + ",".join(f"{{{one}}}" for one in several) + "]"
        )
        | st.tuples(inner, inner).map(",".join)
    ),
    max_leaves=6,
)


@given(member_trees)
@settings(max_examples=200)
def test_a_dropped_list_is_found_just_where_a_path_is_given_twice(content):
    text = f"{{{content}}}"
    found = list(dropped_lists(text))
    try:
        compile_pattern(text, allow_duplicate_paths=False)
    except InvalidPattern:
        assert found
    else:
        assert not found


@given(st.floats(allow_nan=False, allow_infinity=False), st.floats(allow_nan=False), st.data())
@settings(max_examples=200)
def test_every_range_can_be_written(low, other, data):
    high = other if math.isfinite(other) and other > low else math.nextafter(low, math.inf)
    assume(math.isfinite(high))
    argument = data.draw(
        st.sampled_from([[">", low, "<", high], [">=", low, "<=", high], ["<=", low], [">", low]])
    )
    ((condition,),) = compiled({"a": [{"numeric": argument}]}).branches
    ((again,),) = compile_pattern(f'{{"a":{describe_condition(condition)}}}').branches
    assert again == condition


@st.composite
def weakened(draw, pattern):
    """A pattern that is implied by `pattern`, or nearly so."""
    wide = {}
    for path, inner in pattern.items():
        if path == "$or":
            wide["$or"] = [draw(weakened(one)) or one for one in inner]
        elif draw(st.sampled_from([True, True, False])):
            wide[path] = [*inner, *draw(st.lists(tests, max_size=1))]
    return wide


@st.composite
def pairs_with_events(draw):
    narrow = draw(patterns)
    wide = draw(weakened(narrow) | patterns)
    assume(wide)
    return narrow, wide, draw(st.lists(events(near=narrow), min_size=3, max_size=8))


@given(pairs_with_events())
@settings(max_examples=150)
def test_what_is_said_to_imply_does_imply(given_all):
    narrow, wide, some_events = compiled(given_all[0]), compiled(given_all[1]), given_all[2]
    is_implied = implies(narrow, wide)
    exclude = never_match_together(narrow, wide)
    for event in some_events:
        if matches(narrow, event):
            assert matches(wide, event) or not is_implied
            assert not matches(wide, event) or not exclude


few = st.sampled_from([1, 2, {"exists": False}, {"exists": True}, {"anything-but": 1}])
few_lists = st.lists(few, min_size=1, max_size=2)
small_patterns = st.dictionaries(
    st.sampled_from(["detail.a", "detail.a.b", "detail.a.c", "detail.a.c.b"]),
    few_lists,
    min_size=1,
    max_size=3,
)
small = st.sampled_from([1, 2, [], {}])
inner_rows = st.dictionaries(st.just("b"), small | st.lists(small, max_size=2))
small_rows = st.dictionaries(
    st.sampled_from(["b", "c"]), small | inner_rows | st.lists(small | inner_rows, max_size=3)
)
small_items = st.lists(small_rows | small | st.lists(small_rows | small, max_size=2), max_size=4)


@given(small_patterns, st.data())
@settings(max_examples=400)
def test_implication_and_conflicts_hold_inside_arrays_of_objects(narrow, data):
    wide = data.draw(weakened(narrow) | small_patterns)
    assume(wide)
    one, other = compiled(narrow), compiled(wide)
    is_implied = implies(one, other)
    for items in data.draw(st.lists(small_items, min_size=1, max_size=6)):
        event: dict[str, object] = {"detail": {"a": items}}
        is_match = matches(one, event)
        assert not (is_match and is_implied) or matches(other, event)
        explanation = explain_match(one, event)
        assert explanation.is_match == is_match
        for branch in explanation.branches:
            assert branch.is_match or branch.failed or branch.conflict
            if branch.conflict is not None:
                assert len(branch.conflict.paths) > 1
                assert all(element.failed for element in branch.conflict.elements)
                assert branch.conflict.elements or branch.conflict.asked_first
                assert branch.conflict.asked_first in ("", branch.conflict.paths[0])


@given(patterns.flatmap(lambda p: st.tuples(st.just(p), events(near=p))))
@settings(max_examples=200)
def test_a_condition_said_to_be_never_met_is_met_by_no_event(both):
    pattern, event = compiled(both[0]), both[1]
    for branch in pattern.branches:
        if any(why_never_met(condition) for condition in branch):
            assert not matches(Pattern("", (branch,)), event)


@given(st.lists(patterns, min_size=1, max_size=6), st.data())
@settings(max_examples=60)
def test_findings_about_rules_are_true(rules, data):
    named = {f"r{number}": compiled(rule) for number, rule in enumerate(rules)}
    found = lint({f"r{number}": rule for number, rule in enumerate(rules)})
    dead = {finding.rule for finding in found if finding.code == "dead-rule"}
    same = [f for f in found if f.code in ("implied", "same-pattern")]
    for event in data.draw(st.lists(events(near=rules[0]), min_size=1, max_size=4)):
        matched = {name for name, pattern in named.items() if matches(pattern, event)}
        assert not matched & dead
        for finding in same:
            wide = [name for name in named if name != finding.rule and f"{name}" in words(finding)]
            assert wide
            assert finding.rule not in matched or matched >= set(wide)


def words(finding):
    return finding.message.replace(",", " ").replace(".", " ").split()
