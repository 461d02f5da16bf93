"""The engines against the oracle (tests/patterns/pattern_oracle.py), on random patterns and events.

Both are drawn from a world so small that they meet. `tests.pattern_fuzz` does the same with more
worlds and many more pairs; Hypothesis finds the smaller examples.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from eventcore.errors import InvalidPattern
from eventcore.patterns import Matcher, compile_pattern
from eventcore.patterns.numbers import decode_event
from tests.patterns.comparison import Add, Match, Remove, Step, answer, compare
from tests.patterns.json_text import Written, write_tree
from tests.patterns.pattern_oracle import Members

# -- random patterns and events ------------------------------------------------------------------

names = st.sampled_from(["a", "b", "c", "a-", "b.c"])
texts = st.sampled_from(["", "x", "y", "xy", "yx", "xyx", "1", "true", "ü", "Ü", "ß", "SS", "::1"])
addresses = st.sampled_from(["10.0.0.1", "10.0.1.0", "11.0.0.1", "::1", "0::1", "1::", "010.0.0.1"])
doubles = st.sampled_from(["0", "1", "-1", "1.5", "2", "300", "3.0e2", "1e23"]).map(Written)
numbers = doubles | st.sampled_from(
    ["1.0", "9007199254740992", "9007199254740993", "18446744073709551617", "1e400", "-0.0"]
).map(Written)
literals = st.sampled_from([True, False, None])
filled = texts.filter(bool)


def members(**values) -> Any:
    """Objects with one member: the name and one of the values of this strategy."""
    ((name, strategy),) = values.items()
    return strategy.map(lambda value: Members([(name.replace("_", "-"), value)]))


def wildcards():
    """Pieces with stars between them, escaped where they need it."""
    pieces = st.lists(st.sampled_from(["x", "y", "xy", "\\*", "\\\\"]), min_size=1, max_size=3)
    ends = st.sampled_from(["", "*"])
    return st.tuples(ends, pieces.map("*".join), ends).map("".join) | st.sampled_from(["", "*"])


def numeric_ranges():
    one = st.tuples(st.sampled_from(["=", "<", "<=", ">", ">="]), doubles).map(list)
    bounds = st.lists(doubles, min_size=2, max_size=2, unique_by=float)
    low, high = st.sampled_from([">", ">="]), st.sampled_from(["<", "<="])
    two = st.tuples(low, bounds.map(lambda pair: sorted(pair, key=float)), high).map(
        lambda r: [r[0], r[1][0], r[2], r[1][1]]
    )
    return one | two


anything_buts = st.one_of(
    texts,
    doubles,
    st.lists(texts, min_size=1, max_size=3),
    st.lists(doubles, min_size=1, max_size=3),
    members(prefix=filled | st.lists(filled, max_size=3)),
    members(suffix=filled | st.lists(filled, max_size=3)),
    members(equals_ignore_case=texts | st.lists(texts, max_size=3)),
    members(wildcard=wildcards() | st.lists(wildcards(), max_size=3)),
)
nets = st.sampled_from(["10.0.0.0/24", "10.0.0.9/8", "0.0.0.0/0", "10.0.0.0/31", "::/127", "::/0"])
value_tests = st.one_of(
    texts,
    numbers,
    literals,
    addresses,
    members(exactly=texts),
    members(prefix=texts | members(equals_ignore_case=texts)),
    members(suffix=texts | members(equals_ignore_case=texts)),
    members(equals_ignore_case=texts),
    members(wildcard=wildcards()),
    members(cidr=nets),
    members(numeric=numeric_ranges()),
    members(exists=st.booleans()),
    members(anything_but=anything_buts),
)
conditions = st.lists(value_tests, min_size=1, max_size=3)


def objects(children):
    """Objects, some with a `$or` somewhere; a name may come twice."""
    plain = st.lists(st.tuples(names, children), min_size=1, max_size=3).map(Members)
    either = st.tuples(st.just("$or"), st.lists(plain, min_size=2, max_size=3))
    mixed = st.tuples(plain, either, plain | st.just(Members()))
    return plain | mixed.map(lambda parts: Members([*parts[0], parts[1], *parts[2]]))


patterns = objects(st.recursive(conditions, objects, max_leaves=5))
leaves = texts | numbers | literals | addresses
event_values = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(st.tuples(names, inner), max_size=3, unique_by=lambda m: m[0]).map(Members)
    ),
    max_leaves=8,
)


forms_of_value = st.sampled_from(["one", "one", "one", "several", "nested", "noise", "none"])
changes_of_case = st.sampled_from([str, str.upper, str.lower])
counts = st.integers(0, 3)


def accepted_value(draw, tests):
    """A leaf that one of the tests is likely to accept."""
    test = draw(st.sampled_from(tests))
    if not isinstance(test, Members):
        return test
    ((operator, argument),) = test
    if operator in ("anything-but", "prefix", "suffix") and isinstance(argument, Members):
        ((operator, argument),) = argument
    if isinstance(argument, list):
        argument = draw(st.sampled_from(argument or [""]))
    if not isinstance(argument, str) or isinstance(argument, Written):
        return draw(leaves)
    if operator == "cidr":
        return draw(addresses)
    change = draw(changes_of_case)
    if operator == "wildcard":
        return change(argument.replace("*", draw(texts)).replace("\\", ""))
    return change(draw(st.sampled_from(["", "", "y"])) + argument + draw(texts))


def value_near(draw, inner):
    return event_near(draw, inner) if isinstance(inner, Members) else accepted_value(draw, inner)


def event_near(draw, pattern):
    """An event with the pattern's shape, now and then as arrays, and with some noise."""
    event: dict[str, Any] = {}
    for key, inner in pattern:
        if key == "$or":
            event.update(event_near(draw, draw(st.sampled_from(inner))))
            continue
        match draw(forms_of_value):
            case "one":
                event[key] = value_near(draw, inner)
            case "several":
                near = [value_near(draw, inner) for _ in range(draw(counts))]
                event[key] = [*near, draw(event_values)]
            case "nested":
                near = [value_near(draw, inner) for _ in range(draw(counts))]
                event[key] = [near[:1], near[1:]]
            case "noise":
                event[key] = draw(event_values)
    return Members(event.items())


events_near = st.composite(event_near)


@st.composite
def patterns_with_event(draw):
    pattern = draw(patterns)
    return write_tree(pattern), write_tree(event_near(draw, pattern))


@st.composite
def rules_with_events(draw):
    rules = draw(st.lists(patterns, min_size=1, max_size=12))
    asked = draw(st.lists(st.sampled_from(rules), min_size=1, max_size=5))
    some_events = [event_near(draw, pattern) for pattern in asked]
    return [write_tree(each) for each in rules], [write_tree(each) for each in some_events]


# -- one rule and many ---------------------------------------------------------------------------


@given(patterns_with_event())
@settings(max_examples=200)
def test_one_pattern_matches_exactly_when_brute_force_finds_a_choice_of_leaves(both):
    pattern, event = both
    assert answer(pattern, event) in (True, False)


@given(rules_with_events(), st.permutations(range(12)))
@settings(max_examples=40)
def test_many_rules_answer_as_each_alone_in_any_order_of_adding(both, order):
    rules, some_events = both
    adds = [Add(number, rules[number]) for number in order if number < len(rules)]
    assert compare([*adds, *map(Match, some_events * 2)]) is None


@given(rules_with_events(), st.lists(st.integers(0, 11), min_size=10, max_size=40))
@settings(max_examples=40)
def test_adding_and_removing_leaves_no_trace(both, changes):
    """Each change adds a rule or, if it is there, removes it; matches happen in between."""
    rules, some_events = both
    present: set[int] = set()
    script: list[Step] = []
    for change in changes:
        number = change % len(rules)
        script.append(Remove(number) if number in present else Add(number, rules[number]))
        script.append(Match(some_events[change % len(some_events)]))
        present ^= {number}
    assert compare(script) is None


# -- one matcher, events of every shape ----------------------------------------------------------

scalars = st.sampled_from(['"x"', '"y"', "1", "1.0", "true", "null", '"1"', "2"])
shapes = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda items: f"[{','.join(items)}]"),
        st.dictionaries(st.sampled_from(["b", "c", "b.c"]), inner, max_size=2).map(
            lambda fields: "{" + ",".join(f'"{k}": {v}' for k, v in fields.items()) + "}"
        ),
    ),
    max_leaves=6,
)
shaped_events = st.dictionaries(st.sampled_from(["a", "b", "a.b"]), shapes, max_size=3).map(
    lambda fields: "{" + " ,".join(f'"{k}":{v}' for k, v in fields.items()) + "}"
)
SHAPE_RULES = [
    Add(number, pattern)
    for number, pattern in enumerate(
        (
            '{"a":["x",1]}',
            '{"a":{"b":["x",1]}}',
            '{"a":{"b":[{"exists":false}]}}',
            '{"a":{"b":[1,true],"c":["x",{"exists":false}]}}',
            '{"a":{"b":{"c":[{"anything-but":"x"}]}}}',
            '{"b":[{"exists":true}],"a":{"c":["y",null,2]}}',
            '{"b":[{"exists":false}]}',
            '{"b":[{"numeric":[">",0]}],"a":["x",{"exists":false}]}',
            '{"$or":[{"a":{"b":["1"]}},{"b":{"c":[true]}}]}',
        )
    )
]


@given(st.lists(shaped_events, min_size=1, max_size=12), shaped_events, st.integers(30, 40))
@settings(max_examples=150)
def test_a_matcher_that_knows_one_shape_of_event_answers_for_all_others(news, usual, times):
    """The usual event comes until whatever can be prepared for it is prepared; then come others."""
    mixed = [event for each in news for event in (each, usual, each)]
    assert compare([*SHAPE_RULES, *map(Match, [usual] * times), *map(Match, mixed)]) is None


class MatcherMachine(RuleBasedStateMachine):
    """Rules come and go while events are matched; the oracle is asked about each event."""

    script: list[Step]
    present: dict[int, Members]

    @initialize()
    def start(self) -> None:
        self.script, self.present = [], {}

    @rule(number=st.integers(0, 20), pattern=patterns)
    def add(self, number: int, pattern: Members) -> None:
        if number not in self.present:
            self.present[number] = pattern
            self.script.append(Add(number, write_tree(pattern)))

    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        if self.present:
            number = data.draw(st.sampled_from(sorted(self.present)))
            del self.present[number]
            self.script.append(Remove(number))

    @rule(data=st.data(), times=st.sampled_from([1, 1, 40]))
    def match(self, data: st.DataObject, times: int) -> None:
        near = event_values.map(lambda value: Members([("a", value)]))
        if self.present:
            near |= events_near(self.present[data.draw(st.sampled_from(sorted(self.present)))])
        self.script += [Match(write_tree(data.draw(near)))] * times

    @invariant()
    def all_say_the_same(self) -> None:
        # Replayed from the beginning, so that a failure is the script itself.
        assert compare(self.script) is None


TestMatcher = MatcherMachine.TestCase
TestMatcher.settings = settings(max_examples=25, stateful_step_count=20, deadline=None)


# -- where consistency bites ---------------------------------------------------------------------

few = st.sampled_from(["1", "2", '{"exists":false}', '{"exists":true}', '{"anything-but":1}'])
few_conditions = st.lists(few, min_size=1, max_size=2).map(lambda tests: f"[{','.join(tests)}]")
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
    """Many conditions, few values, arrays in arrays, absence."""
    tests = {f"a.{key}": tests for key, tests in row.items()}
    if itself is not None:
        tests["a"] = itself
    pattern = "{" + ",".join(f'"{path}":{each}' for path, each in tests.items()) + "}"
    assert answer(pattern, json.dumps({"a": items})) in (True, False)


# -- many values on one path ---------------------------------------------------------------------


@given(st.lists(st.tuples(st.integers(0, 40), numeric_ranges()), min_size=20, max_size=60))
@settings(max_examples=60)
def test_many_ranges_on_one_path_with_several_per_rule(ranges):
    rules: dict[int, list] = {}
    for number, argument in ranges:
        shifted = [
            Written(float(a) + number % 7) if isinstance(a, Written) else a for a in argument
        ]
        if len(shifted) < 4 or float(shifted[1]) < float(shifted[3]):
            rules.setdefault(number, []).append(Members([("numeric", shifted)]))
    script: list[Step] = [
        Add(number, write_tree(Members([("n", tests)]))) for number, tests in rules.items()
    ]
    values = ("-2", "0", "0.5", "1", "3", "3.0", "7.5", "300", "305", "1e23", "9007199254740993")
    events = [Match(f'{{"n":{value}}}') for value in (*values, "true", '"1"')]
    script += events
    for removed in list(rules)[::3]:
        script += [Remove(removed), *events]
    assert compare(script) is None


alphabet_texts = st.text("ab", max_size=6)


@given(
    st.lists(
        st.one_of(
            members(prefix=alphabet_texts | members(equals_ignore_case=alphabet_texts)),
            members(suffix=alphabet_texts | members(equals_ignore_case=alphabet_texts)),
            members(wildcard=st.lists(st.text("ab", min_size=1, max_size=3)).map("*".join)),
            members(wildcard=st.text("ab", min_size=1, max_size=3).map("*{}*".format)),
            members(equals_ignore_case=alphabet_texts),
        ),
        min_size=5,
        max_size=60,
    ),
    st.lists(st.text("abAB", max_size=12), min_size=1, max_size=10),
)
@settings(max_examples=100)
def test_texts_that_overlap_everywhere(tests, values):
    """Two letters, so starts, ends and pieces of one rule are those of many others."""
    adds = [Add(number, write_tree(Members([("t", [test])]))) for number, test in enumerate(tests)]
    events = [Match(json.dumps({"t": value})) for value in values]
    assert compare([*adds, *events, *(Remove(n) for n in range(0, 60, 2)), *events]) is None


# -- texts that are no patterns, and no events ---------------------------------------------------


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


@given(st.text(alphabet='{}[]",:abx\\1e.-', max_size=30), st.booleans())
@settings(max_examples=500)
def test_any_text_matches_or_is_refused_as_an_event(text, is_prepared):
    """What `match_json` reads is what `decode_event` reads, before and after it knows a shape."""
    matcher = Matcher()
    matcher.add(1, compile_pattern('{"a":[{"exists":false},"x",1],"b":{"x":[{"exists":false}]}}'))
    for _ in range(40 if is_prepared else 0):
        assert matcher.match_json('{"a":"x","b":{}}') == [1]
    try:
        values = decode_event(text)
    except ValueError:
        values = None
    if isinstance(values, dict):
        assert matcher.match_json(text.encode()) == matcher.match(values)
        return
    with pytest.raises(ValueError, match=r"\w"):
        matcher.match_json(text.encode())
