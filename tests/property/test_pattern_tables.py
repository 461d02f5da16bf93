"""The tables of a path against the tests they hold, with Hypothesis; the definition of a test is
its `accepts`. Tests come and go between the questions.
"""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from eventcore.patterns.conditions import (
    Address,
    AnythingBut,
    AnyValue,
    Cidr,
    Condition,
    Exact,
    IgnoreCase,
    Prefix,
    PrefixIgnoreCase,
    Range,
    Suffix,
    SuffixIgnoreCase,
    Wildcard,
)
from eventcore.patterns.folding import fold
from eventcore.patterns.masks import SlotTable, slots_in, without
from eventcore.patterns.numbers import NumberText, canonical_number
from eventcore.patterns.path_index import Experience, MemoBudget, PathIndex
from eventcore.patterns.tables import ValueTables
from tests.patterns.thresholds import lowered

# Characters with cases that differ in length, or of which one is ASCII and the other is not.
characters = st.sampled_from("abAB.:1kKsSiI\u212aßẞİı\u0307σςΣﬁſ𐐀") | st.characters(codec="utf-8")
texts = st.text(characters, max_size=6)
few_texts = st.text(st.sampled_from("ab"), max_size=8)
integers = st.integers(-3, 3) | st.integers(2**53 - 2, 2**53 + 2) | st.integers()
doubles = st.sampled_from([0.0, -0.0, 1.5, 1e23, 2.0**60, -1e300, 5e-324]) | st.floats(
    allow_nan=False, allow_infinity=False
)
numbers = (
    integers | doubles | st.sampled_from([NumberText("1e400"), NumberText("0.1000000001e-400")])
)
addresses = st.sampled_from(["::1", "0:0::1", "1::", "10.0.0.1", "10.0.1.0", "010.0.0.1", "::a.b"])
leaves = texts | few_texts | numbers | addresses | st.sampled_from([True, False, None])

exact = st.builds(
    Exact,
    texts | few_texts | st.booleans() | st.none() | numbers.map(canonical_number),
)
wildcards = st.builds(
    Wildcard,
    st.lists(few_texts | texts, min_size=1, max_size=4)
    .map(lambda pieces: (pieces[0], *filter(None, pieces[1:-1]), *pieces[1:][-1:]))
    .map(tuple),
)
nets = st.one_of(
    st.integers(1, 32).flatmap(
        lambda bits: st.integers(0, 2 ** (32 - bits) - 1).map(lambda net: Cidr(4, net, bits))
    ),
    st.integers(1, 128).map(lambda bits: Cidr(6, 1 >> bits, bits)),
    st.integers(1, 32).map(lambda bits: Cidr(4, 0x0A000001 >> bits, bits)),
)
bounds = doubles | st.integers(-5, 5).map(float) | st.sampled_from([math.inf, -math.inf])
ranges = st.builds(Range, bounds, bounds)
refused = st.one_of(
    st.lists(exact, max_size=3),
    st.lists(st.builds(Prefix, few_texts.filter(bool)), max_size=3),
    st.lists(st.builds(Suffix, few_texts.filter(bool)), max_size=3),
    st.lists(st.builds(IgnoreCase, texts), max_size=3),
    st.lists(wildcards, max_size=3),
).map(tuple)
value_tests = st.one_of(
    exact,
    ranges,
    wildcards,
    nets,
    st.just(AnyValue()),
    st.builds(Address, st.sampled_from([0, 1, 1 << 112])),
    st.builds(Prefix, texts | few_texts),
    st.builds(Suffix, texts | few_texts),
    st.builds(IgnoreCase, texts),
    st.builds(PrefixIgnoreCase, texts),
    st.builds(SuffixIgnoreCase, texts),
    st.builds(AnythingBut, refused),
)
conditions = st.builds(
    Condition,
    st.just("a"),
    st.just(("a",)),
    st.lists(value_tests, max_size=4).map(tuple),
    st.booleans(),
)


def values_near(condition: Condition) -> list[object]:
    """Values that the tests of a condition are likely to accept, or just not to."""
    values: list[object] = []
    for test in condition.tests:
        match test:
            case Exact():
                values.append(test.value)
            case Range():
                values += [each for each in (test.low, test.high) if math.isfinite(each)]
            case Wildcard():
                values += ["".join(test.pieces), "b".join(test.pieces)]
            case AnythingBut():
                values += values_near(Condition("a", ("a",), test.refused, may_be_absent=False))
            case Cidr() | Address() | AnyValue():
                values.append("10.0.0.1")
            case _:
                values += [test.text, test.text.upper(), test.text.lower() + "a", "b" + test.text]
    return values


@given(st.lists(conditions, min_size=1, max_size=12), st.lists(leaves, max_size=5), st.data())
def test_a_path_index_fails_what_no_test_accepts_whatever_came_and_went(some, values, data):
    order = data.draw(st.permutations(range(len(some))))
    with lowered():
        experience = Experience(MemoBudget(), lambda: None)
        index = PathIndex(experience)
        present: dict[int, Condition] = {}
        for slot in [*order, *order[::2], *order[::3]]:
            if slot in present:
                index.discard_condition(present.pop(slot), slot)
            else:
                present[slot] = some[slot]
                index.add_condition(some[slot], slot)
            experience.events += 20
            for value in [*values, *values_near(some[slot]), UNSET]:
                expected = sum(
                    1 << place
                    for place, each in present.items()
                    if not (each.may_be_absent if value is UNSET else each.accepts(value))
                )
                assert index.failing(value) == expected
                assert index[value] == expected
                assert index.refuted(index.mentions & 0b101101, value) == expected & 0b101101
        for slot, condition in present.items():
            index.discard_condition(condition, slot)
        assert [index.failing(value) for value in values] == [0] * len(values)


@given(
    st.lists(st.tuples(st.integers(0, 40), st.lists(ranges, max_size=3)), max_size=40),
    st.lists(doubles, max_size=10),
)
def test_ranges_hold_what_lies_in_one_of_them(changes, asked):
    with lowered():
        tables = ValueTables(lambda size: size % 2 == 0)
        present: dict[int, tuple[Range, ...]] = {}
        for slot, some in changes:
            if slot in present:
                tables.discard(present.pop(slot), slot)
            else:
                present[slot] = tuple(some)
                tables.add(present[slot], slot)
            ends = [end for each in some for end in (each.low, each.high) if math.isfinite(end)]
            for number in [*asked, *ends]:
                expected = {
                    each for each, tests in present.items() if any(t.accepts(number) for t in tests)
                }
                assert set(slots_in(tables.of_literal(number))) == expected


@given(st.text(characters, max_size=8))
def test_the_folding_of_a_text_is_that_of_its_characters(text):
    assert fold(text) == "".join(map(fold, text))
    spelt = [
        character.upper() if at % 2 else character.lower() for at, character in enumerate(text)
    ]
    assert fold("".join(spelt)) == fold(text)
    assert IgnoreCase(text).accepts("".join(spelt))


@given(st.sets(st.integers(0, 5_000)), st.sets(st.integers(0, 5_000)))
def test_masks_are_sets(one, other):
    masks = [sum(1 << slot for slot in each) for each in (one, other)]
    assert sorted(slots_in(masks[0])) == sorted(one)
    assert set(slots_in(without(*masks))) == one - other


@given(st.lists(st.tuples(st.booleans(), st.sampled_from("abc"), st.integers(0, 70))))
def test_a_slot_table_is_a_dict_of_sets(changes):
    table = SlotTable()
    model: dict[str, set[int]] = {"a": set(), "b": set(), "c": set()}
    for is_added, key, slot in changes:
        if is_added:
            table.add(key, slot)
            model[key].add(slot)
        else:
            table.discard(key, slot)
            model[key].discard(slot)
        assert {key: set(slots_in(table.get(key))) for key in model} == model
        assert len(table) == sum(map(bool, model.values()))
