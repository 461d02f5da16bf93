"""The matcher against brute force, on random patterns and events.

The oracle below knows nothing of the package: it takes the pattern as plain JSON, writes an event
out as a list of leaves, and tries every choice of a leaf for every path. A leaf is (path, value,
elements), where `elements` says through which element of which array it was reached.
"""

from __future__ import annotations

import itertools
import json

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from eventcore.codec import decode_json, encode_json
from eventcore.errors import InvalidPattern
from eventcore.patterns import Matcher, Pattern, compile_pattern, matches

# -- the oracle ----------------------------------------------------------------------------------


def oracle_matches(pattern: dict, event: dict) -> bool:
    leaves = list(oracle_leaves(event, "", {}, itertools.count()))
    return any(
        oracle_holds(sorted(branch.items()), leaves, {}) for branch in oracle_branches(pattern)
    )


def oracle_leaves(value, path, elements, array_ids):
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from oracle_leaves(inner, f"{path}.{key}" if path else key, elements, array_ids)
    elif isinstance(value, list):
        array = next(array_ids)
        for number, inner in enumerate(value):
            inside = {**elements, array: number} if isinstance(inner, dict | list) else elements
            yield from oracle_leaves(inner, path, inside, array_ids)
    else:
        yield path, value, elements


def oracle_branches(pattern, path="", before=None):
    branches = [{}] if before is None else before
    for key, inner in pattern.items():
        full = f"{path}.{key}" if path else key
        if key == "$or":
            branches = [
                branch
                for alternative in inner
                for branch in oracle_branches(alternative, path, [dict(b) for b in branches])
            ]
        elif isinstance(inner, dict):
            branches = oracle_branches(inner, full, branches)
        else:
            for branch in branches:
                branch[full] = inner
    return branches


def oracle_holds(conditions, leaves, chosen) -> bool:
    if not conditions:
        return True
    (path, accepted), *rest = conditions
    agreeing = [
        (value, elements)
        for leaf_path, value, elements in leaves
        if leaf_path == path and all(chosen.get(a, n) == n for a, n in elements.items())
    ]
    if {"exists": False} in accepted and not agreeing:
        return oracle_holds(rest, leaves, chosen)
    return any(
        oracle_holds(rest, leaves, {**chosen, **elements})
        for value, elements in agreeing
        if any(oracle_accepts(test, value) for test in accepted)
    )


def oracle_accepts(test, value) -> bool:
    if not isinstance(test, dict):
        return oracle_equal(test, value)
    ((operator, argument),) = test.items()
    if operator == "exists":
        return argument
    if operator == "prefix":
        return isinstance(value, str) and value[: len(argument)] == argument
    if operator == "suffix":
        return isinstance(value, str) and value[len(value) - len(argument) :] == argument
    if operator == "numeric":
        return oracle_in_range(argument, value)
    assert operator == "anything-but"
    if isinstance(argument, dict):
        ((inner, texts),) = argument.items()
        texts = texts if isinstance(texts, list) else [texts]
        return not any(oracle_accepts({inner: text}, value) for text in texts)
    return not any(
        oracle_equal(one, value) for one in (argument if isinstance(argument, list) else [argument])
    )


def oracle_equal(one, other) -> bool:
    kinds = [
        "number" if isinstance(v, int | float) and not isinstance(v, bool) else type(v).__name__
        for v in (one, other)
    ]
    return kinds[0] == kinds[1] and one == other


def oracle_in_range(argument, value) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float) or float(value) != value:
        return False  # 9007199254740993 is no double, and event-ruler compares doubles
    compare = {
        "=": lambda n: value == n,
        "<": lambda n: value < n,
        "<=": lambda n: value <= n,
        ">": lambda n: value > n,
        ">=": lambda n: value >= n,
    }
    return all(compare[op](n) for op, n in zip(argument[::2], argument[1::2], strict=True))


# -- random patterns and events over a small world, so that they meet -----------------------------

names = st.sampled_from(["a", "b", "c", "a-", "b.c"])
texts = st.sampled_from(["", "x", "y", "xy", "yx", "xyx", "1", "true", "ü"])
numbers = st.sampled_from([0, 1, -1, 1.0, 1.5, 2, 3.0e2, 300, 2**53, 2**53 + 1, 2**63])
doubles = st.sampled_from([0, 1, -1, 1.5, 2, 300, 2**52])
literals = st.sampled_from([True, False, None])


def numeric_ranges():
    one = st.tuples(st.sampled_from(["=", "<", "<=", ">", ">="]), doubles).map(list)
    bounds = st.lists(doubles, min_size=2, max_size=2, unique=True).map(sorted)
    two = st.tuples(st.sampled_from([">", ">="]), bounds, st.sampled_from(["<", "<="])).map(
        lambda r: [r[0], r[1][0], r[2], r[1][1]]
    )
    return one | two


filled = texts.filter(bool)
anything_buts = st.one_of(
    texts,
    doubles,
    st.lists(texts, min_size=1, max_size=3),
    st.lists(doubles, min_size=1, max_size=3),
    st.dictionaries(
        st.sampled_from(["prefix", "suffix"]),
        filled | st.lists(filled, max_size=3),
        min_size=1,
        max_size=1,
    ),
)
value_tests = st.one_of(
    texts,
    numbers,
    literals,
    st.fixed_dictionaries({"prefix": texts}),
    st.fixed_dictionaries({"suffix": texts}),
    st.fixed_dictionaries({"numeric": numeric_ranges()}),
    st.fixed_dictionaries({"exists": st.booleans()}),
    st.fixed_dictionaries({"anything-but": anything_buts}),
)
conditions = st.lists(value_tests, min_size=1, max_size=3)


def objects(children):
    plain = st.dictionaries(names, children, min_size=1, max_size=3)
    either = st.fixed_dictionaries({"$or": st.lists(plain, min_size=2, max_size=3)})
    return plain | st.tuples(plain, either).map(lambda both: {**both[0], **both[1]})


patterns = objects(st.recursive(conditions, objects, max_leaves=5))
leaves = texts | numbers | literals
event_values = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=8,
)


@st.composite
def accepted_values(draw, tests):
    """A leaf that one of the tests is likely to accept."""
    test = draw(st.sampled_from(tests))
    if not isinstance(test, dict):
        return test
    ((operator, argument),) = test.items()
    if operator in ("prefix", "suffix"):
        more = draw(texts)
        return argument + more if operator == "prefix" else more + argument
    if operator == "numeric":
        return draw(numbers)
    return draw(leaves)


@st.composite
def events_near(draw, pattern):
    """An event with the pattern's shape, now and then as arrays, and with some noise."""
    event = {}
    for key, inner in pattern.items():
        if key == "$or":
            event.update(draw(events_near(draw(st.sampled_from(inner)))))
            continue
        near = events_near(inner) if isinstance(inner, dict) else accepted_values(inner)
        several = st.lists(near | event_values, max_size=3)
        nested = st.lists(st.lists(near, max_size=2), max_size=2)
        form = draw(st.sampled_from(["one", "one", "one", "several", "nested", "noise", "none"]))
        if form != "none":
            forms = {"one": near, "several": several, "nested": nested, "noise": event_values}
            event[key] = draw(forms[form])
    return event


@st.composite
def patterns_with_event(draw):
    pattern = draw(patterns)
    event = draw(events_near(pattern))
    assume(not has_colliding_keys(event))
    return pattern, normalised(event)


@st.composite
def rules_with_events(draw):
    rules = draw(st.lists(patterns, min_size=1, max_size=12))
    near = st.sampled_from(rules).flatmap(events_near)
    some_events = draw(st.lists(near, min_size=1, max_size=4))
    assume(not any(map(has_colliding_keys, some_events)))
    return rules, [normalised(event) for event in some_events]


def has_colliding_keys(value) -> bool:
    """Whether an object has a dotted key and its first step, which is documented to differ."""
    if isinstance(value, list):
        return any(map(has_colliding_keys, value))
    if not isinstance(value, dict):
        return False
    collides = any("." in key and key.split(".")[0] in value for key in value)
    return collides or any(map(has_colliding_keys, value.values()))


def compiled(pattern: dict) -> Pattern:
    return compile_pattern(json.dumps(pattern))


def normalised(event: dict) -> dict:
    """The event as the codec reads it."""
    return decode_json(encode_json(event))


@given(patterns_with_event())
@settings(max_examples=200)
def test_one_pattern_matches_exactly_when_brute_force_finds_a_choice_of_leaves(both):
    pattern, event = both
    expected = oracle_matches(pattern, event)
    assert matches(compiled(pattern), event) == expected
    matcher = Matcher()
    matcher.add(0, compiled(pattern))
    assert matcher.match(event) == ([0] if expected else [])
    assert matcher.match_json(encode_json(event)) == matcher.match(event)


@given(rules_with_events())
@settings(max_examples=30)
def test_many_rules_answer_as_each_alone_in_any_order_of_adding(both):
    rules, some_events = both
    forward, backward = Matcher(), Matcher()
    for number in range(len(rules)):
        forward.add(number, compiled(rules[number]))
        backward.add(len(rules) - 1 - number, compiled(rules[-1 - number]))
    for event in [*some_events, *some_events]:
        expected = [n for n, pattern in enumerate(rules) if oracle_matches(pattern, event)]
        assert forward.match(event) == expected
        assert backward.match(event) == expected


@given(rules_with_events(), st.lists(st.integers(0, 11), min_size=10, max_size=40))
@settings(max_examples=30)
def test_adding_and_removing_leaves_no_trace(both, changes):
    """Each change adds a rule or, if it is there, removes it; matches happen in between."""
    rules, some_events = both
    matcher = Matcher()
    present: set[int] = set()
    for change in changes:
        number = change % len(rules)
        if number in present:
            matcher.remove(number)
        else:
            matcher.add(number, compiled(rules[number]))
        present ^= {number}
        assert len(matcher) == len(present)
        event = some_events[change % len(some_events)]
        expected = sorted(n for n in present if oracle_matches(rules[n], event))
        assert matcher.match(event) == expected


few = st.sampled_from([1, 2, {"exists": False}, {"exists": True}, {"anything-but": 1}])
few_conditions = st.lists(few, min_size=1, max_size=2)
small = st.sampled_from([1, 2, [], {}])
row_patterns = st.dictionaries(
    st.sampled_from(["b", "c", "d", "d-", "d.e", "d.f"]), few_conditions, min_size=2, max_size=4
)
inner_rows = st.dictionaries(st.sampled_from(["e", "f"]), small | st.lists(small, max_size=2))
rows = st.dictionaries(
    st.sampled_from(["b", "c", "d", "d-"]),
    small
    | inner_rows
    | st.lists(small | inner_rows | st.lists(inner_rows, max_size=2), max_size=3),
)
row_events = st.lists(rows | small | st.lists(rows | small, max_size=2), max_size=4)


@given(row_patterns, st.none() | few_conditions, row_events)
@settings(max_examples=1000)
def test_conditions_inside_arrays_of_objects_agree_on_the_elements(row, itself, items):
    """Where consistency bites: many conditions, few values, arrays in arrays, absence."""
    pattern = {f"a.{key}": tests for key, tests in row.items()}
    if itself is not None:
        pattern["a"] = itself
    event = {"a": items}
    expected = oracle_matches(pattern, event)
    assert matches(compiled(pattern), event) == expected
    matcher = Matcher()
    matcher.add(7, compiled({"z": [1]}))
    matcher.add(8, compiled(pattern))
    assert matcher.match(event) == ([8] if expected else [])


@given(st.lists(st.tuples(st.integers(0, 40), numeric_ranges()), min_size=20, max_size=60))
@settings(max_examples=60)
def test_many_ranges_on_one_path_with_several_per_rule(ranges):
    matcher = Matcher()
    rules: dict[int, list] = {}
    for number, argument in ranges:
        shifted = [a if isinstance(a, str) else a + number % 7 for a in argument]
        rules.setdefault(number, []).append({"numeric": shifted})
    for number, tests in rules.items():
        matcher.add(number, compiled({"n": tests}))
    for removed in [None, *list(rules)[::3]]:
        if removed is not None:
            matcher.remove(removed)
            del rules[removed]
        for value in (-2, 0, 0.5, 1, 3, 3.0, 7.5, 300, 305, 2**53 - 1, 2**53 + 1, True, "1"):
            expected = sorted(n for n, t in rules.items() if oracle_matches({"n": t}, {"n": value}))
            assert matcher.match({"n": value}) == expected


@given(st.text(max_size=40) | st.text(alphabet='{}[]",: \\antu0.-', max_size=40))
@settings(max_examples=300)
def test_any_text_compiles_or_is_refused_with_a_reason(text):
    try:
        pattern = compile_pattern(text)
    except InvalidPattern as error:
        reason = error.reason
        pattern = None
    assert (
        reason if pattern is None else pattern.text == text and isinstance(json.loads(text), dict)
    )
