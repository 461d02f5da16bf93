from __future__ import annotations

import sys
from collections.abc import Callable
from itertools import product
from random import Random

import pytest

from eventcore.patterns.addresses import BITS_OF_VERSION, ip_address_of, ipv6_of
from eventcore.patterns.conditions import (
    Address,
    Cidr,
    IgnoreCase,
    Prefix,
    PrefixIgnoreCase,
    Suffix,
    SuffixIgnoreCase,
    Wildcard,
)
from eventcore.patterns.folding import fold
from eventcore.patterns.text_tables import (
    AddressTable,
    AffixTable,
    CidrTable,
    FoldedAffixTable,
    FoldedTable,
    TextTable,
    TextTest,
    WildcardTable,
)

# Sharp s, dotted and dotless i, Kelvin sign, the three sigmas, a ligature, an iota below, and a
# character whose lower case lies outside the basic plane.
CASES = ["a", "B", "k", "s", "S", "i", "I", "ß", "ẞ", "İ", "ı", "\u0307", "\u212a", "σ", "ς", "Σ"]
CASES += ["ﬁ", "ΐ", "ᾳ", "ŉ", "ǰ", "ſ", "𐐀", "-"]
ADDRESSES = ["10.0.0.1", "10.0.0.255", "10.1.0.0", "255.255.255.255", "0.0.0.0", "010.0.0.1"]
ADDRESSES += ["::", "::1", "0:0::1", "2001:DB8::1", "2001:db8:0:0::1", "ffff::", "1:2:3:4:5:6:7:8"]
ADDRESSES += ["::ffff:10.0.0.1", "1:2:3:4:5:6:7:8:9", "1::2::3", "10.0.0", "10.0.0.1.1", "", ":::"]

Maker = Callable[[Random], TextTest]


def text_of(random: Random, alphabet: list[str], most: int) -> str:
    return "".join(random.choice(alphabet) for _ in range(random.randrange(most + 1)))


def wildcard(random: Random) -> Wildcard:
    stars = random.randrange(1, 4)
    inner = [text_of(random, ["a", "b"], 5) or "a" for _ in range(stars - 1)]
    ends = [text_of(random, ["a", "b"], 3) for _ in range(2)]
    return Wildcard((ends[0], *inner, ends[1]))


def net(random: Random) -> Cidr:
    address = ip_address_of(random.choice(ADDRESSES))
    version, bits = address if address is not None else (4, 0)
    host_bits = random.randrange(1, BITS_OF_VERSION[version] + 1)
    return Cidr(version, bits >> host_bits, host_bits)


TABLES: dict[str, tuple[Callable[[], TextTable], Maker, Callable[[Random], str]]] = {
    "address": (
        AddressTable,
        lambda random: Address(
            random.choice([bits for each in ADDRESSES if (bits := ipv6_of(each)) is not None])
        ),
        lambda random: random.choice(ADDRESSES),
    ),
    "cidr": (CidrTable, net, lambda random: random.choice(ADDRESSES)),
    "prefix": (
        lambda: AffixTable(is_suffix=False),
        lambda random: Prefix(text_of(random, ["a", "b", "ü"], 4)),
        lambda random: text_of(random, ["a", "b", "ü"], 6),
    ),
    "suffix": (
        lambda: AffixTable(is_suffix=True),
        lambda random: Suffix(text_of(random, ["a", "b", "ü"], 4)),
        lambda random: text_of(random, ["a", "b", "ü"], 6),
    ),
    "ignore case": (
        FoldedTable,
        lambda random: IgnoreCase(text_of(random, CASES, 3)),
        lambda random: text_of(random, CASES, 3),
    ),
    "prefix ignore case": (
        lambda: FoldedAffixTable(is_suffix=False),
        lambda random: PrefixIgnoreCase(text_of(random, CASES, 2)),
        lambda random: text_of(random, CASES, 4),
    ),
    "suffix ignore case": (
        lambda: FoldedAffixTable(is_suffix=True),
        lambda random: SuffixIgnoreCase(text_of(random, CASES, 2)),
        lambda random: text_of(random, CASES, 4),
    ),
    "wildcard": (WildcardTable, wildcard, lambda random: text_of(random, ["a", "b"], 14)),
}


def accepting(tests: dict[int, TextTest], value: str) -> int:
    return sum(1 << slot for slot, test in tests.items() if test.accepts(value))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("kind", TABLES)
def test_a_table_answers_as_its_tests_do_while_they_come_and_go(kind: str, seed: int):
    make_table, make_test, make_value = TABLES[kind]
    random = Random(f"{kind}/{seed}")
    table = make_table()
    tests: dict[int, TextTest] = {}
    slots = random.choice([6, 60])
    accepted = 0
    for _ in range(400):
        slot = random.randrange(slots)
        if slot in tests:
            table.discard(tests.pop(slot), slot)
        else:
            tests[slot] = make_test(random)
            table.add(tests[slot], slot)
        for _ in range(3):
            value = make_value(random)
            expected = accepting(tests, value)
            assert table.get(value) == expected, (value, tests)
            accepted += expected != 0
    assert accepted > 20
    for slot, test in tests.items():
        table.discard(test, slot)
    assert len(table) == 0
    assert table.get(make_value(random)) == 0


@pytest.mark.parametrize("kind", TABLES)
def test_a_test_added_twice_for_one_slot_is_there_once(kind: str):
    make_table, make_test, make_value = TABLES[kind]
    random = Random(kind)
    for _ in range(50):
        test, table = make_test(random), make_table()
        table.add(test, 5)
        table.add(test, 5)
        value = make_value(random)
        assert table.get(value) == accepting({5: test}, value)
        table.discard(test, 5)
        table.discard(test, 5)
        assert len(table) == 0


def spellings_of_every_character() -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    for code in range(sys.maxunicode + 1):
        if 0xD800 <= code < 0xE000:
            continue
        character = chr(code)
        spellings = {character.lower(), character.upper()} - {character}
        pairs += [(character, spelling) for spelling in sorted(spellings)]
    return pairs


def test_every_character_is_found_by_each_of_its_spellings():
    pairs = spellings_of_every_character()
    assert len(pairs) > 2_000
    equal = FoldedTable()
    start, end = FoldedAffixTable(is_suffix=False), FoldedAffixTable(is_suffix=True)
    characters = sorted({character for character, _ in pairs})
    slot_of = {character: slot for slot, character in enumerate(characters)}
    for character, slot in slot_of.items():
        equal.add(IgnoreCase(character), slot)
        start.add(PrefixIgnoreCase(character), slot)
        end.add(SuffixIgnoreCase(character), slot)
    for character, spelling in pairs:
        bit = 1 << slot_of[character]
        assert fold(character) == fold(spelling)
        assert equal.get(spelling) & bit, (character, spelling)
        assert start.get(spelling + "x") & bit, (character, spelling)
        assert end.get("x" + spelling) & bit, (character, spelling)


@pytest.mark.parametrize(
    ("pattern", "accepted", "refused"),
    [
        ("straße", ["STRASSE", "straße", "Straße"], ["strasse", "STRAßE ", "STRAẞE"]),
        ("STRASSE", ["strasse"], ["straße"]),
        ("k", ["K"], ["\u212a"]),
        ("\u212a", ["k", "\u212a"], ["K"]),
        ("İ", ["İ", "i\u0307"], ["i", "I"]),
        ("ı", ["ı", "I"], ["i", "İ"]),
        ("ς", ["ς", "Σ"], ["σ"]),
        ("Σ", ["Σ", "σ"], ["ς"]),
        ("ﬁ", ["ﬁ", "FI"], ["fi", "Fi"]),
    ],
)
def test_each_character_stands_for_its_lower_and_its_upper_case(
    pattern: str, accepted: list[str], refused: list[str]
):
    table = FoldedTable()
    table.add(IgnoreCase(pattern), 3)
    assert [table.get(value) for value in accepted] == [8] * len(accepted)
    assert [table.get(value) for value in refused] == [0] * len(refused)


@pytest.mark.parametrize("is_suffix", [False, True])
def test_an_affix_is_never_longer_than_the_value(is_suffix: bool):
    table = AffixTable(is_suffix=is_suffix)
    test = Suffix if is_suffix else Prefix
    for slot in range(6):
        table.add(test("a" * slot), slot)
    for size in range(8):
        assert table.get("a" * size) == (1 << min(size, 5) + 1) - 1


def test_overlapping_wildcards_are_found_by_start_end_and_middle_together():
    shapes = list(product(["", "a", "ab"], ["", "b", "ab", "abc", "bcab"], ["", "c", "bc"]))
    tests: dict[int, TextTest] = {
        slot: Wildcard((start, middle, end) if middle else (start, end))
        for slot, (start, middle, end) in enumerate(shapes)
        if middle or (start and end)
    }
    table = WildcardTable()
    for slot, test in tests.items():
        table.add(test, slot)
    values = ["".join(each) for size in range(6) for each in product("abc", repeat=size)]
    for value in [*values, "abcabcab", "abbcabbc", "xabcabcx"]:
        assert table.get(value) == accepting(tests, value), value
    for slot in list(tests)[::2]:
        table.discard(tests.pop(slot), slot)
    for value in values:
        assert table.get(value) == accepting(tests, value), value


def test_start_and_end_of_a_wildcard_do_not_overlap():
    table = WildcardTable()
    table.add(Wildcard(("aba", "aba")), 0)
    table.add(Wildcard(("aba", "b", "aba")), 1)
    assert table.get("ababa") == 0
    assert table.get("abaaba") == 1
    assert table.get("abababa") == 3


def test_many_wildcards_with_one_substring_are_told_apart():
    table = WildcardTable()
    tests: dict[int, TextTest] = {
        slot: Wildcard(("", "same", str(slot), "")) for slot in range(100)
    }
    for slot, test in tests.items():
        table.add(test, slot)
    for value in ["same7", "7same", "xsame1234567890", "sam7", "same" * 50 + "42"]:
        assert table.get(value) == accepting(tests, value), value
    for slot in range(100):
        table.discard(tests[slot], slot)
    assert (len(table), table._grams, table._starts, table._ends) == (0, {}, {}, {})


def test_wildcards_whose_number_was_another_ones_inherit_nothing():
    table = WildcardTable()
    for slot in range(10):
        table.add(Wildcard(("", f"old{slot}", "")), slot)
    for slot in range(10):
        table.discard(Wildcard(("", f"old{slot}", "")), slot)
        table.add(Wildcard((f"new{slot}", "")), slot)
    table.add(Wildcard(("", "old3", "")), 20)
    assert table.get("old5 new5") == 0
    assert table.get("new5 old5") == 1 << 5
    assert table.get("old3") == 1 << 20
    assert len(table._tests) == 11
