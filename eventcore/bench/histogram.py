"""A latency histogram of fixed size with a bounded relative error.

Values are whole nanoseconds. Up to 2 * `SUB_BUCKETS` each value has its own bucket; above, each
power of two is split in `SUB_BUCKETS` equal ones, so a percentile is at most 1/64 (1.6 %) above the
true value, and never below it. The largest value is kept exactly.
"""

from __future__ import annotations

from typing import Final, final

import msgspec

__all__ = ["Histogram", "LatencySummary"]

SUB_BUCKET_BITS: Final = 6
SUB_BUCKETS: Final = 1 << SUB_BUCKET_BITS
VALUE_BITS_MAX: Final = 42
"""Values are clamped below 2**42 ns, some 73 minutes."""


class LatencySummary(msgspec.Struct, frozen=True):
    """Percentiles of a distribution, in ms. All 0 where nothing was recorded."""

    count: int
    mean_ms: float
    p50_ms: float
    p90_ms: float
    p99_ms: float
    p999_ms: float
    max_ms: float


@final
class Histogram:
    """Counts of durations by size."""

    def __init__(self) -> None:
        self._counts = [0] * ((VALUE_BITS_MAX - SUB_BUCKET_BITS + 1) * SUB_BUCKETS)
        self.count = 0
        self.sum_ns = 0
        self.max_ns = 0

    def record(self, value_ns: int) -> None:
        """Adds one duration; a negative one counts as 0."""
        value = max(0, min(value_ns, (1 << VALUE_BITS_MAX) - 1))
        self._counts[_bucket(value)] += 1
        self.count += 1
        self.sum_ns += value
        if value > self.max_ns:
            self.max_ns = value

    def merge(self, other: Histogram) -> None:
        """Adds everything that another histogram has counted."""
        self._counts = [a + b for a, b in zip(self._counts, other._counts, strict=True)]
        self.count += other.count
        self.sum_ns += other.sum_ns
        self.max_ns = max(self.max_ns, other.max_ns)

    def percentile_ns(self, share: float) -> int:
        """The duration that `share` (0 to 1) of all do not exceed; 0 when nothing was recorded."""
        wanted = share * self.count
        seen = 0
        for bucket, count in enumerate(self._counts):
            seen += count
            if count and seen >= wanted:
                return min(_upper_bound(bucket), self.max_ns)
        return self.max_ns

    def summary(self) -> LatencySummary:
        """The usual percentiles."""
        return LatencySummary(
            count=self.count,
            mean_ms=self.sum_ns / self.count / 1e6 if self.count else 0.0,
            p50_ms=self.percentile_ns(0.50) / 1e6,
            p90_ms=self.percentile_ns(0.90) / 1e6,
            p99_ms=self.percentile_ns(0.99) / 1e6,
            p999_ms=self.percentile_ns(0.999) / 1e6,
            max_ms=self.max_ns / 1e6,
        )


def _bucket(value: int) -> int:
    shift = max(0, value.bit_length() - SUB_BUCKET_BITS - 1)
    return (shift << SUB_BUCKET_BITS) + (value >> shift)


def _upper_bound(bucket: int) -> int:
    """The largest value that falls into a bucket."""
    if bucket < 2 * SUB_BUCKETS:
        return bucket
    shift = (bucket >> SUB_BUCKET_BITS) - 1
    return (((bucket - (shift << SUB_BUCKET_BITS)) + 1) << shift) - 1
