"""What is found in rules, kind by kind, and what is not."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

import eventcore
from eventcore.arn import bus_arn
from eventcore.errors import InvalidParameter, InvalidPattern
from eventcore.patterns import compile_pattern
from eventcore.patterns.conditions import (
    Address,
    AnythingBut,
    AnyValue,
    Cidr,
    Exact,
    IgnoreCase,
    Prefix,
    PrefixIgnoreCase,
    Range,
    Suffix,
    SuffixIgnoreCase,
    Wildcard,
)
from eventcore.patterns.implication import (
    are_disjoint,
    implies,
    is_test_implied,
    never_match_together,
)
from eventcore.patterns.lint import COMPARISONS_MAX, Finding, LintedRule, lint

QUEUE = "arn:aws:sqs:us-east-1:000000000000:orders"


def bus(name: str) -> str:
    return bus_arn("000000000000", "us-east-1", name)


def only(found: tuple[Finding, ...]) -> Finding:
    (finding,) = found
    return finding


def codes(found: tuple[Finding, ...]) -> list[tuple[str, str]]:
    return [(finding.rule, finding.code) for finding in found]


# -- rules that never match ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "path", "message", "suggestion"),
    [
        ({"detail": ["x"]}, "detail", 'The member "detail" is always an object', "Ask for fields"),
        ({"detailType": ["x"]}, "detailType", "no member", 'Did you mean "detail-type"?'),
        ({"Source": ["x"]}, "Source", "Events have no member", 'Did you mean "source"?'),
        ({"resource": ["x"]}, "resource", "Events have no member", 'Did you mean "resources"?'),
        ({"state": ["x"]}, "state", "Events have no member", "Is it a field of detail?"),
        ({"source": [1]}, "source", "always a string", ""),
        ({"source": [{"numeric": [">", 1]}]}, "source", "always a string", ""),
        ({"source": [None, True]}, "source", "always a string", ""),
        ({"source": [{"exists": False}]}, "source", "always there", ""),
        ({"source": [{"anything-but": {"wildcard": "*"}}]}, "source", "always a string", ""),
        ({"source": {"name": ["x"]}}, "source.name", "is no object", ""),
        ({"resources": {"arn": ["x"]}}, "resources.arn", "is no object", ""),
        ({"resources": [1]}, "resources", "has strings only", ""),
        ({"time": [1700000000]}, "time", "always a string", ""),
        ({"time": ["2026-01-31"]}, "time", "always a time such as", ""),
        ({"time": [{"prefix": "26-"}]}, "time", "always a time such as", ""),
        ({"time": [{"suffix": "+00:00"}]}, "time", "always a time such as", ""),
        ({"account": ["12345"]}, "account", "always 12 digits", ""),
        ({"account": [{"prefix": "arn:"}]}, "account", "always 12 digits", ""),
        ({"account": [{"wildcard": "arn*"}]}, "account", "always 12 digits", ""),
        ({"version": ["1"]}, "version", 'always "0"', ""),
        ({"version": [{"anything-but": "0"}]}, "version", 'always "0"', ""),
        ({"source": [""]}, "source", "never empty", ""),
        ({"source": ["", 1, {"equals-ignore-case": ""}]}, "source", "never empty", ""),
        ({"detail-type": [{"wildcard": ""}]}, "detail-type", "never empty", ""),
        ({"id": ["x"]}, "id", "always a UUID", ""),
        ({"id": [{"equals-ignore-case": "X"}]}, "id", "always a UUID", ""),
        (
            {"detail": {"n": [{"numeric": [">", 1, "<", 1.0000000000000002]}]}},
            "detail.n",
            "No value at all is accepted",
            "",
        ),
    ],
)  # fmt: skip
def test_what_no_event_can_meet_is_an_error(pattern, path, message, suggestion):
    finding = only(lint({"r": pattern}))
    assert (finding.severity, finding.code, finding.path) == ("error", "dead-rule", path)
    assert (finding.bus, finding.rule) == ("default", "r")
    assert finding.message.startswith("No event can match. ")
    assert message in finding.message
    assert finding.suggestion.startswith(suggestion)
    assert bool(finding.suggestion) == bool(suggestion)


@pytest.mark.parametrize(
    "pattern",
    [
        {"source": ["x"], "detail-type": ["y"], "region": ["eu-west-1"], "version": ["0"]},
        {"source": [1, "x"]},
        {"source": ["", "x"], "version": ["0", "1"]},
        {"source": [{"prefix": ""}], "detail-type": [{"anything-but": ""}]},
        {"detail": {"a": [""]}, "resources": [""]},
        {"version": [{"prefix": ""}]},
        {"source": [{"anything-but": "x"}]},
        {"source": [{"exists": True}]},
        {"source": [{"anything-but": {"wildcard": "a*"}}]},
        {"account": ["123456789012", {"prefix": "12"}, {"wildcard": "1*2"}, {"suffix": "2"}]},
        {"time": [{"prefix": "2026-01-31T"}, "2026-01-31T23:59:59Z", {"suffix": "Z"}]},
        {"time": [{"wildcard": "2026-*T*Z"}, {"wildcard": "2026-01-31T23:59:59Z"}]},
        {"time": [{"equals-ignore-case": "2026-01-31t23:59:59z"}]},
        {"id": ["01234567-89AB-cdef-0123-456789abcdef"]},
        {"id": [{"anything-but": "x"}]},
        {"resources": [{"exists": False}]},
        {"resources": [{"prefix": "arn:"}]},
        {"replay-name": ["x"]},
        {"detail": {"a": [1], "b": {"c": [{"exists": False}]}, "d": [None]}},
        {"detail.a.b": ["x"]},
        {"$or": [{"source": ["x"]}, {"detail": {"a": [1]}}]},
    ],
)
def test_what_an_event_can_meet_is_not_found(pattern):
    assert lint({"r": pattern}) == ()


def test_a_dead_alternative_is_a_warning_while_others_live():
    finding = only(lint({"r": {"$or": [{"time": [1]}, {"source": ["x"]}, {"time": [1]}]}}))
    assert (finding.severity, finding.code) == ("warning", "dead-alternative")
    assert "2 of 3 alternatives" in finding.message
    dead = lint({"r": {"$or": [{"time": [1]}, {"source": [2]}]}})
    assert [(finding.code, finding.path) for finding in dead] == [
        ("dead-rule", "time"),
        ("dead-rule", "source"),
    ]


def test_a_pattern_that_is_not_valid_is_an_error_with_aws_s_reason():
    finding = only(lint({"r": "{"}))
    assert (finding.severity, finding.code) == ("error", "invalid-pattern")
    assert "line: 1" in finding.message
    long = only(lint({"r": {"source": ["x" * 5_000]}}))
    assert "at most 4096 characters" in long.message


# -- patterns that do not mean what they look like -------------------------------------------------


@pytest.mark.parametrize(
    ("detail", "code", "message", "suggestion"),
    [
        ({"a": ["x"], "a.b": [1]}, "value-and-object", "only an array of both", "Use $or"),
        ({"a": [{"exists": True}], "a.b": [1]}, "value-and-object", "only an array", "Take it"),
        (
            {"a": [{"anything-but": "x"}, {"anything-but": "y"}]},
            "list-accepts-all",
            "entries are alternatives",
            "Write one with a list",
        ),
        ({"a": [{"exists": True}, "x"]}, "list-accepts-all", "mean nothing", "Take one"),
        ({"a": [{"exists": True}, {"exists": False}]}, "always-met", "and absence", "Take the"),
        (
            {"a": ["arn:aws:s3:::*"]},
            "literal-star",
            '"*" is a plain character in "arn:aws:s3:::*".',
            'If it means any characters: {"wildcard":"arn:aws:s3:::*"}',
        ),
        ({"a": [{"prefix": "b*"}]}, "literal-star", "plain character", "If it means"),
        ({"a": [{"suffix": "*b"}]}, "literal-star", "plain character", "If it means"),
    ],
)  # fmt: skip
def test_what_people_fall_for_is_a_warning(detail, code, message, suggestion):
    finding = only(lint({"r": {"detail": detail}}))
    assert (finding.severity, finding.code, finding.path) == ("warning", code, "detail.a")
    assert message in finding.message
    assert finding.suggestion.startswith(suggestion)


@pytest.mark.parametrize(
    "detail",
    [
        {"a": ["x", {"exists": False}], "a.b": [1]},
        {"a": ["x"], "a.b": [{"exists": False}]},
        {"a": [{"anything-but": ["x", "y"]}]},
        {"a": [{"anything-but": ["x", "y"]}, {"anything-but": "x"}]},
        {"a": [{"wildcard": "a*"}, {"wildcard": "\\*"}]},
        {"a": [{"anything-but": "x"}, {"exists": False}]},
        {"a": ["a**b", {"prefix": "b**"}, {"suffix": "**b"}]},
        {"a": [{"prefix": "*b"}, {"suffix": "b*"}]},
    ],
)
def test_what_has_a_meaning_is_not_found(detail):
    assert lint({"r": {"detail": detail}}) == ()


def test_absence_of_what_is_never_there_is_always_met():
    for pattern, path in (
        ({"sorce": [{"exists": False}]}, "sorce"),
        ({"detail": [{"exists": False}]}, "detail"),
    ):
        finding = only(lint({"r": pattern}))
        assert (finding.code, finding.path) == ("always-met", path)


def test_exists_of_what_other_rules_take_for_an_object():
    rules: dict[str, Any] = {
        "with": {"detail": {"user": [{"exists": True}]}},
        "without": {"detail": {"user": [{"exists": False}], "x": [1]}},
        "user": {"detail": {"user": {"id": [1]}}},
    }
    found = [f for f in lint(rules) if f.code == "exists-of-object"]
    assert [(f.rule, f.path) for f in found] == [
        ("with", "detail.user"),
        ("without", "detail.user"),
    ]
    assert found[0].message == (
        'The rule user asks for fields below it. Where it is an object, [{"exists":true}] is never '
        "met, since an object is no value."
    )
    assert 'Where it is an object, [{"exists":false}] is met' in found[1].message


@pytest.mark.parametrize(
    ("text", "dropped"),
    [
        ('{"source":["x"],"source":["y"]}', ["source"]),
        ('{"source":["x"],"source":["x"],"source":["x"]}', ["source"]),
        ('{"source":["x"],"$or":[{"source":["y"]},{"detail":{"a":[1]}}]}', ["source"]),
        ('{"$or":[{"source":["x"]},{"detail":{"a":[1]}}],"source":["y"]}', ["source"]),
        ('{"detail":{"a":{"b":["x"]}},"detail.a.b":["y"]}', ["detail.a.b"]),
        ('{"detail":{"a":["x"],"b":[1]},"detail":{"b":[2],"a":["y"]}}', ["detail.b", "detail.a"]),
        (
            '{"detail":{"$or":[{"a":[1]},{"$or":[{"b":[1]},{"a":[2]}],"b":[2]}]}}',
            ["detail.b"],
        ),
    ],
)
def test_a_list_that_a_later_one_takes_the_place_of_is_found(text, dropped):
    with pytest.raises(InvalidPattern, match="cannot be allowed multiple times"):
        compile_pattern(text, allow_duplicate_paths=False)
    found = [f for f in lint([LintedRule("r", text)]) if f.code == "dropped-list"]
    assert [(f.severity, f.path) for f in found] == [("warning", path) for path in dropped]
    assert all("only the later list counts: [" in f.message for f in found)


@pytest.mark.parametrize(
    "text",
    [
        '{"detail":{"a":[1]},"detail":{"b":[1]}}',
        '{"$or":[{"source":["x"]},{"source":["y"]}],"detail":{"a":[1]}}',
        '{"$or":[{"source":["x"]},{"detail":{"a":[1]}}],'
        '"$or":[{"region":["x"]},{"id":[{"prefix":"1"}]}]}',
    ],
)
def test_no_list_is_dropped_where_no_path_is_given_twice(text):
    assert compile_pattern(text, allow_duplicate_paths=False).text == text
    assert lint([LintedRule("r", text)]) == ()


def test_a_long_list_that_is_dropped_is_cut():
    values = ",".join(f'"value {number}"' for number in range(200))
    finding = only(lint([LintedRule("r", f'{{"source":[{values}],"source":["x"]}}')]))
    assert len(finding.message) < 250


def test_messages_are_safe_to_show():
    rules: dict[str, Any] = {
        "\x1b[31m": {"\x1b[2J": ["x"]},
        "invalid": {"a": [{"\x1b[2J": 1}]},
        "user": {"detail": {"u": [{"exists": True}]}},
        "with\u009b": {"detail": {"u": {"i": ["\x1b*"]}}},
    }
    found = lint(rules)
    assert {finding.code for finding in found} == {
        "dead-rule",
        "invalid-pattern",
        "exists-of-object",
        "literal-star",
    }
    for finding in found:
        shown = finding.message + finding.suggestion + finding.path
        assert shown.replace("\n", "").isprintable()


# -- rules that overlap ----------------------------------------------------------------------------


def test_the_same_pattern_in_another_order_is_found():
    rules = [
        LintedRule("a", '{"source":["x","y"],"detail":{"n":[1, 2.0]}}', (QUEUE,)),
        LintedRule("b", '{"detail.n":[2,1.0],"source":["y","x"]}', (QUEUE, "https://h/x")),
        LintedRule("c", '{"source":["y","x"],"detail":{"n":[1,2]}}'),
    ]
    found = lint(rules)
    assert [(f.severity, f.rule, f.code) for f in found] == [
        ("warning", "b", "same-pattern"),
        ("note", "c", "same-pattern"),
    ]
    assert "same pattern as a, and " + QUEUE in found[0].message
    assert "same pattern as a, b." in found[1].message


def test_an_event_that_a_target_gets_twice_is_a_warning():
    rules = [
        LintedRule("all", '{"source":[{"prefix":"com."}]}', (QUEUE,)),
        LintedRule("some", '{"source":["com.shop"],"detail":{"n":[1]}}', (QUEUE,)),
        LintedRule("elsewhere", '{"source":["com.shop"]}', ("https://h/x",)),
    ]
    found = {finding.rule: finding for finding in lint(rules)}
    assert set(found) == {"some", "elsewhere"}
    assert (found["some"].severity, found["some"].code) == ("warning", "delivered-twice")
    assert "all, elsewhere" in found["some"].message
    assert QUEUE in found["some"].message
    assert (found["elsewhere"].severity, found["elsewhere"].code) == ("note", "implied")


def test_rules_of_different_buses_and_disabled_rules_do_not_overlap():
    pattern = '{"source":["x"]}'
    rules = [
        LintedRule("a", pattern, (QUEUE,)),
        LintedRule("b", pattern, (QUEUE,), is_enabled=False),
        LintedRule("a", pattern, (QUEUE,), bus=bus("other")),
    ]
    assert lint(rules) == ()


def test_comparing_ends_at_its_bound_and_says_so():
    rules = {f"r{n}": {"detail": {"n": [{"numeric": [">", n]}]}} for n in range(2_000)}
    found = lint(rules)
    assert found[0].code == "comparison-cut"
    assert found[0].severity == "note"
    assert {finding.code for finding in found[1:]} == {"implied"}


def test_many_rules_told_apart_by_a_value_are_compared_without_reaching_the_bound():
    rules = {f"r{n}": {"source": ["x"], "detail-type": [f"t{n}"]} for n in range(2_000)}
    assert len(rules) ** 2 > COMPARISONS_MAX
    assert lint(rules) == ()


def test_many_rules_with_one_pattern_are_told_in_short_messages():
    found = lint({f"r{n:04}": {"source": ["x"]} for n in range(1_000)})
    assert len(found) == 999
    assert found[-1].message.endswith("r0000, r0001, r0002, r0003, r0004 and 994 more.")


# -- implication -----------------------------------------------------------------------------------


def pattern_of(content: str):
    return compile_pattern(content)


@pytest.mark.parametrize(
    ("narrow", "wide"),
    [
        ('{"source":["a"]}', '{"source":["a","b"]}'),
        ('{"source":["a"],"detail":{"x":[1]}}', '{"source":["a"]}'),
        ('{"source":["a"],"version":["0"]}', '{"source":["a"],"region":[{"exists":true}]}'),
        ('{"source":["a"]}', '{"detail-type":[{"prefix":""}]}'),
        ('{"detail":{"x":[1],"y":[{"exists":false}]}}', '{"detail":{"y":[{"exists":false}]}}'),
        ('{"detail":{"x":[1]}}', '{"detail":{"x":[1,{"exists":false}]}}'),
        ('{"$or":[{"source":["a"]},{"source":["b"]}]}', '{"source":["a","b"]}'),
        ('{"source":["a"]}', '{"$or":[{"source":["a"]},{"region":["b"]}]}'),
        (
            '{"detail":{"x":{"b":[1],"c":[{"exists":false}],"d":[2]}}}',
            '{"detail":{"x":{"b":[1,2],"c":[{"exists":false}]}}}',
        ),
    ],
)
def test_what_follows_is_found(narrow, wide):
    assert implies(pattern_of(narrow), pattern_of(wide))
    assert not implies(pattern_of(wide), pattern_of(narrow))


def test_absence_in_arrays_follows_only_from_the_same_choice():
    narrow = pattern_of('{"detail":{"x":{"b":[1],"c":[{"exists":false}]}}}')
    wide = pattern_of('{"detail":{"x":{"c":[{"exists":false}]}}}')
    assert not implies(narrow, wide)
    event = {"detail": {"x": [{"b": 1}, {"c": 1}]}}
    assert eventcore.test_event_pattern(narrow.text, event)
    assert not eventcore.test_event_pattern(wide.text, event)


IMPLIED = [
    (Exact("abc"), Prefix("ab")),
    (Exact("abc"), Wildcard(("a", "c"))),
    (Exact(5.0), Range(1.0, 10.0)),
    (Exact(5.0), AnythingBut((Exact("x"),))),
    (Exact("K"), IgnoreCase("k")),
    (Exact("::1"), Address(1)),
    (Prefix("abc"), Prefix("ab")),
    (Prefix("abc"), Wildcard(("", "b", ""))),
    (Prefix("ABC"), PrefixIgnoreCase("ab")),
    (Prefix("a"), AnyValue()),
    (Prefix("a"), Wildcard(("", ""))),
    (Suffix("abc"), Suffix("bc")),
    (Suffix("ABC"), SuffixIgnoreCase("bc")),
    (Wildcard(("ab", "cd")), Prefix("a")),
    (Wildcard(("ab", "cd")), Suffix("d")),
    (Wildcard(("ab", "x", "cd")), Wildcard(("a", "d"))),
    (IgnoreCase("Abc"), IgnoreCase("aBC")),
    (IgnoreCase("Abc"), PrefixIgnoreCase("aB")),
    (PrefixIgnoreCase("Abc"), PrefixIgnoreCase("aB")),
    (Range(2.0, 3.0), Range(1.0, 4.0)),
    (Range(2.0, 2.0), Range(8.0, 9.0)),
    (Range(2.0, 3.0), AnythingBut((Exact(4.0), Exact("x")))),
    (Cidr(4, 0x0A00, 16), Cidr(4, 0x0A, 24)),
    (Address(1), Cidr(6, 0, 64)),
    (Address(1), Wildcard(("", ""))),
    (Prefix("a"), AnythingBut((Prefix("b"), Exact(1.0)))),
    (Prefix("a"), AnythingBut(())),
    (AnythingBut((Prefix("a"),)), AnythingBut((Prefix("ab"), Exact("ac")))),
]
VALUES = [
    *("", "a", "ab", "abc", "ABC", "abcd", "abxcd", "b", "xbc", "XBC", "K", "k", "\u212a", "*"),
    *("::1", "0::1", "::2", "10.0.0.1", "10.1.0.1", "11.0.0.1", "ac", "x", "\ue000", "ab\ue000cd"),
    *(1, 2, 2.5, 3, 4, 5, 10, True, False, None),
]


@pytest.mark.parametrize(("narrow", "wide"), IMPLIED)
def test_tests_that_follow_from_each_other(narrow, wide):
    assert is_test_implied(narrow, wide)


def test_no_implication_and_no_disjointness_is_claimed_falsely():
    kinds = list(dict.fromkeys(map(repr, itertools.chain(*IMPLIED))))
    tests: dict[str, Any] = {repr(test): test for pair in IMPLIED for test in pair}
    claimed = 0
    for first, second in itertools.product(kinds, kinds):
        one, other = tests[first], tests[second]
        accepted = [value for value in VALUES if one.accepts(value)]
        if is_test_implied(one, other):
            claimed += 1
            assert all(other.accepts(value) for value in accepted), (one, other)
        if are_disjoint(one, other):
            assert not any(other.accepts(value) for value in accepted), (one, other)
    assert claimed > len(kinds)


@pytest.mark.parametrize(
    ("one", "other", "is_disjoint"),
    [
        (Prefix("ab"), Prefix("ac"), True),
        (Prefix("ab"), Prefix("a"), False),
        (Suffix("ab"), Wildcard(("a", "cb")), True),
        (Prefix("ab"), PrefixIgnoreCase("AC"), True),
        (Prefix("ab"), IgnoreCase("AB"), False),
        (Range(1.0, 2.0), Range(2.0, 3.0), True),
        (Range(1.0, 2.5), Range(2.0, 3.0), False),
        (Range(1.0, 2.0), Prefix("1"), True),
        (Prefix("ab"), AnythingBut((Prefix("a"),)), True),
        (AnyValue(), AnythingBut((Prefix("a"),)), False),
        (Exact("a"), Exact("b"), True),
    ],
)
def test_disjoint_tests(one, other, is_disjoint):
    assert are_disjoint(one, other) is is_disjoint
    assert are_disjoint(other, one) is is_disjoint


def test_patterns_exclude_each_other_by_members_of_one_value_only():
    def exclude(one: str, other: str) -> bool:
        return never_match_together(pattern_of(one), pattern_of(other))

    assert exclude('{"source":["a"]}', '{"source":["b"],"region":["x"]}')
    assert not exclude('{"detail":{"a":["a"]}}', '{"detail":{"a":["b"]}}')
    assert not exclude('{"resources":["a"]}', '{"resources":["b"]}')
    assert not exclude('{"source":["a"]}', '{"region":["b"]}')


# -- buses -----------------------------------------------------------------------------------------


def test_a_chain_of_three_buses_is_cut():
    rules = [
        LintedRule("first", '{"source":["x"]}', (bus("two"),), bus=bus("one")),
        LintedRule("second", '{"detail-type":["y"]}', (bus("three"), QUEUE), bus=bus("two")),
        LintedRule("apart", '{"source":["z"]}', (bus("three"),), bus=bus("two")),
        LintedRule("last", '{"source":["x"]}', (QUEUE,), bus=bus("three")),
    ]
    finding = only(lint(rules))
    assert (finding.bus, finding.rule, finding.code) == ("two", "second", "bus-chain")
    assert "come by first of one are not sent on to three" in finding.message


def test_a_cycle_of_two_buses_is_told_at_both():
    rules = [
        LintedRule("there", '{"source":["x"]}', (bus("two"),), bus=bus("one")),
        LintedRule("back", '{"source":["x"]}', (bus("one"),), bus=bus("two")),
    ]
    assert codes(lint(rules)) == [("there", "bus-cycle"), ("back", "bus-cycle")]


def test_a_bus_that_sends_to_itself():
    finding = only(lint([LintedRule("r", '{"source":["x"]}', (bus("one"),), bus=bus("one"))]))
    assert finding.code == "bus-to-itself"


def test_disabled_and_dead_rules_send_nothing():
    rules = [
        LintedRule("off", '{"source":["x"]}', (bus("two"),), is_enabled=False, bus=bus("one")),
        LintedRule("dead", '{"source":[1]}', (bus("two"),), bus=bus("one")),
        LintedRule("second", '{"source":["x"]}', (bus("three"),), bus=bus("two")),
    ]
    assert codes(lint(rules)) == [("dead", "dead-rule")]


# -- input -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("rules", [None, "text", b"x", 1, [1], ["a"], {1: {"a": [1]}}])
def test_what_are_no_rules_is_refused(rules):
    with pytest.raises(InvalidParameter) as raised:
        eventcore.lint(rules)
    assert raised.value.name == "rules"


def test_a_pattern_of_a_wrong_type_is_refused():
    with pytest.raises(InvalidParameter) as raised:
        eventcore.lint({"r": 5})  # type: ignore[arg-type]
    assert raised.value.name == "pattern"


def test_findings_are_in_the_order_of_buses_and_rules_whatever_the_order_of_the_rules():
    rules = [
        LintedRule(name, pattern, (QUEUE,), bus=bus(at))
        for at, name, pattern in itertools.product(
            ("b", "a"), ("r2", "r1", "r3"), ('{"source":["x"]}',)
        )
    ] + [LintedRule("r0", '{"source":[1]}', bus=bus("b"))]
    found = lint(rules)
    assert [(f.bus, f.rule) for f in found] == sorted((f.bus, f.rule) for f in found)
    assert lint(reversed(rules)) == found
