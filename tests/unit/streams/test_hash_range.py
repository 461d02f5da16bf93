from __future__ import annotations

from hashlib import md5
from itertools import pairwise

import pytest

from eventcore.streams.hash_range import HASH_KEY_MAX, hash_key, read_hash_key, uniform_ranges


@pytest.mark.parametrize("key", ["a", "order-1", "ä€😀", "x" * 256])
def test_a_hash_key_is_the_md5_of_the_utf_8(key):
    assert hash_key(key) == int(md5(key.encode()).hexdigest(), 16)


@pytest.mark.parametrize("count", [1, 2, 3, 7, 1_000, 10_000])
def test_uniform_ranges_cover_all_hash_keys_once(count):
    ranges = uniform_ranges(count)
    assert len(ranges) == count
    assert ranges[0][0] == 0 and ranges[-1][1] == HASH_KEY_MAX
    assert all(low[1] + 1 == high[0] for low, high in pairwise(ranges))
    assert len({last - first for first, last in ranges[:-1]} or {0}) == 1


def test_two_ranges_are_those_that_aws_gives():
    half = 170141183460469231731687303715884105728
    assert uniform_ranges(2) == [(0, half - 1), (half, HASH_KEY_MAX)]


@pytest.mark.parametrize(("text", "value"), [("0", 0), ("17", 17), (str(HASH_KEY_MAX),) * 2])
def test_an_explicit_hash_key_is_a_decimal_number(text, value):
    assert read_hash_key(text) == int(value)


@pytest.mark.parametrize(
    "text",
    [
        *("", "-1", "+1", " 1", "1 ", "01", "00", "1.0", "0x1", "١", "1e3", "9" * 40),
        "9" * 100_000,
        str(HASH_KEY_MAX + 1),
    ],
)
def test_what_is_no_hash_key_is_none(text):
    assert read_hash_key(text) is None
