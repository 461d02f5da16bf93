"""The lineage of trace headers: counted, passed on, bounded, and never an error."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventcore.functions.lineage import COUNT_MAX, ENTRIES_MAX, count, extend, short_hash

ROOT = "Root=1-5759e988-bd862e3fe1be46a994272793"
ONE = "arn:aws:lambda:us-east-1:000000000000:function:one"
TWO = "arn:aws:lambda:us-east-1:000000000000:function:two"


def arn(number: int) -> str:
    return f"{ONE}-{number}"


def test_a_function_is_eight_digits_of_its_own():
    assert len(short_hash(ONE)) == 8
    assert int(short_hash(ONE), 16) != int(short_hash(TWO), 16)


def test_a_function_that_is_not_in_the_lineage_was_not_invoked():
    assert count("", ONE) == 0
    assert count(ROOT, ONE) == 0
    assert count(f"{ROOT};Lineage=a87bd80c:1|68fd508a:5", ONE) == 0


def test_each_invocation_counts_its_function_up_and_no_other():
    header = ROOT
    for times in range(1, 20):
        header = extend(header, ONE)
        assert count(header, ONE) == times
    header = extend(header, TWO)
    assert (count(header, ONE), count(header, TWO)) == (19, 1)
    assert header == f"{ROOT};Lineage={short_hash(ONE)}:19|{short_hash(TWO)}:1"


def test_other_members_and_other_functions_stay():
    header = extend(f"{ROOT};Parent=53995c3f42cd8ad8;Sampled=1;Lineage=a87bd80c:1|68fd508a:5", ONE)
    assert header == (
        f"{ROOT};Parent=53995c3f42cd8ad8;Sampled=1;"
        f"Lineage=a87bd80c:1|68fd508a:5|{short_hash(ONE)}:1"
    )


def test_the_root_comes_first_wherever_it_stood():
    assert extend(f"Sampled=0;{ROOT}", ONE).startswith(f"{ROOT};Sampled=0;")


def test_a_header_is_made_where_there_is_none():
    header = extend("", ONE, 1_700_000_000_999, bytes(range(16)))
    assert header == f"Root=1-6553f100-000102030405060708090a0b;Lineage={short_hash(ONE)}:1"
    assert extend("", ONE).startswith("Root=1-00000000-" + "0" * 24)
    assert extend("", ONE, 0, b"\xff").startswith("Root=1-00000000-ff" + "0" * 22 + ";")


@pytest.mark.parametrize(
    "broken",
    [
        "nonsense",
        "Root=",
        "Root=1-zzzz-1",
        "Root=2-5759e988-bd862e3fe1be46a994272793",
        "Lineage=a87bd80c:1",
        ";;;===",
        ROOT * 100,
        "\x00\ud800é",
    ],
)
def test_a_header_that_can_not_be_read_is_replaced(broken):
    assert count(broken, ONE) == 0
    assert extend(broken, ONE, 1_000, b"") == (
        f"Root=1-00000001-{'0' * 24};Lineage={short_hash(ONE)}:1"
    )


def test_the_form_with_the_number_of_requests_is_read_too():
    header = f"{ROOT};Lineage=3:{short_hash(ONE)}:7"
    assert count(header, ONE) == 7
    assert extend(header, ONE) == f"{ROOT};Lineage={short_hash(ONE)}:8"


def test_what_is_no_entry_is_passed_over():
    own = short_hash(ONE)
    lineage = f"|:|x:1|{own}:-1|{own}:2|{own}:1|{own}:123456|A87BD80C:1"
    assert count(f"{ROOT};Lineage={lineage}", ONE) == 2
    assert extend(f"{ROOT};Lineage={lineage}", ONE) == f"{ROOT};Lineage={own}:3"


def test_a_count_stops_at_its_bound():
    header = extend(f"{ROOT};Lineage={short_hash(ONE)}:99999", ONE)
    assert count(header, ONE) == COUNT_MAX
    assert count(extend(header, ONE), ONE) == COUNT_MAX


def test_a_lineage_has_so_many_functions_and_forgets_the_least_invoked_first():
    header = extend(extend(ROOT, ONE), ONE)
    for number in range(ENTRIES_MAX + 5):
        header = extend(header, arn(number))
    assert header.count("|") == ENTRIES_MAX - 1
    assert count(header, ONE) == 2
    assert count(header, arn(0)) == 0
    assert count(header, arn(ENTRIES_MAX + 4)) == 1


def test_a_full_lineage_keeps_the_function_itself():
    lineage = "|".join(f"{number:08x}:2" for number in range(ENTRIES_MAX))
    header = extend(f"{ROOT};Lineage={lineage}", ONE)
    assert count(header, ONE) == 1
    assert header.count("|") == ENTRIES_MAX - 1
    assert "00000000:2" not in header


def test_a_header_that_is_too_long_loses_what_says_nothing_here_and_keeps_root_and_own():
    header = f"{ROOT};A={'x' * 190};B={'y' * 190}"
    for number in range(ENTRIES_MAX):
        header = extend(header, arn(number))
    assert len(header) <= 500
    assert header.startswith(ROOT)
    assert "B=" not in header
    assert count(header, arn(ENTRIES_MAX - 1)) == 1


def test_a_loop_of_two_functions_is_counted_through_a_full_header():
    header = ROOT
    for number in range(40):
        header = extend(header, arn(number))
    for times in range(1, 17):
        header = extend(extend(header, ONE), TWO)
        assert (count(header, ONE), count(header, TWO)) == (times, times)


@given(st.text(max_size=600) | st.from_regex(r"Root=1-[0-9a-f]{8}-[0-9a-f]{24}(;.{0,80})*"))
def test_any_text_is_counted_and_extended_within_the_bounds(text):
    before = count(text, ONE)
    header = extend(text, ONE)
    assert header.isascii()
    assert len(header) <= 500
    assert count(header, ONE) == min(before + 1, COUNT_MAX)
    assert extend(header, TWO).startswith(header[:40])
