"""Percentiles are never too low and at most 1/64 too high."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from eventcore.bench.histogram import SUB_BUCKETS, VALUE_BITS_MAX, Histogram

durations_ns = st.lists(st.integers(0, 2**40), min_size=1, max_size=200)


def filled(values: list[int]) -> Histogram:
    histogram = Histogram()
    for value in values:
        histogram.record(value)
    return histogram


@given(durations_ns, st.sampled_from([0.0, 0.5, 0.9, 0.99, 0.999, 1.0]))
def test_a_percentile_is_at_most_one_sub_bucket_above_the_true_value(
    values: list[int], share: float
) -> None:
    rank = max(1, math.ceil(share * len(values)))
    true_value = sorted(values)[rank - 1]
    found = filled(values).percentile_ns(share)
    assert true_value <= found <= true_value + true_value // SUB_BUCKETS


@given(durations_ns)
def test_the_largest_value_is_exact(values: list[int]) -> None:
    assert filled(values).percentile_ns(1.0) == max(values)


@given(durations_ns, durations_ns)
def test_merging_counts_like_recording_both(first: list[int], second: list[int]) -> None:
    merged = filled(first)
    merged.merge(filled(second))
    assert merged.summary() == filled(first + second).summary()


def test_small_values_have_a_bucket_each() -> None:
    histogram = filled(list(range(2 * SUB_BUCKETS)))
    assert histogram.percentile_ns(0.5) == SUB_BUCKETS - 1


def test_an_empty_histogram_says_zero() -> None:
    assert Histogram().summary().p99_ms == 0.0


def test_values_outside_the_range_are_clamped() -> None:
    histogram = filled([-5, 1 << 60])
    assert histogram.percentile_ns(0.0) == 0
    assert histogram.max_ns == (1 << VALUE_BITS_MAX) - 1


def test_the_summary_is_in_milliseconds() -> None:
    summary = filled([1_000_000, 3_000_000]).summary()
    assert (summary.count, summary.mean_ms, summary.max_ms) == (2, 2.0, 3.0)
