"""Buckets of calls: they fill at their rate and hold one second's worth."""

from __future__ import annotations

from eventcore.queues import rate_limit
from eventcore.queues.rate_limit import RateLimit, RateLimits
from tests.unit.queues.driver import START_MS


def taken(limit: RateLimit, now_ms: int) -> int:
    count = 0
    while limit.take(now_ms):
        count += 1
    return count


def test_a_full_bucket_holds_one_seconds_worth():
    assert taken(RateLimit(300), START_MS) == 300
    assert taken(RateLimit(1), START_MS) == 1


def test_an_empty_bucket_fills_at_the_rate():
    limit = RateLimit(10)
    taken(limit, START_MS)
    found = [taken(limit, START_MS + ms) for ms in (99, 100, 150, 200, 700, 5_000)]
    assert found == [0, 1, 0, 1, 5, 10]


def test_parts_of_a_call_are_not_lost():
    limit = RateLimit(3)
    taken(limit, START_MS)
    assert sum(taken(limit, START_MS + ms) for ms in range(10_001)) == 30


def test_a_clock_that_stands_still_or_goes_back_gives_nothing():
    limit = RateLimit(5)
    taken(limit, START_MS)
    assert taken(limit, START_MS) == 0
    assert taken(limit, START_MS - 10_000) == 0
    assert taken(limit, START_MS + 200) == 1


def test_each_key_has_a_bucket_of_its_own():
    limits = RateLimits(2)
    assert [limits.take(key, START_MS) for key in "aabba"] == [True, True, True, True, False]


def test_buckets_of_the_keys_used_latest_are_kept(monkeypatch):
    monkeypatch.setattr(rate_limit, "LIMITS_KEPT_MAX", 3)
    limits = RateLimits(1)
    for key in "abcd":
        assert limits.take(key, START_MS)
    assert len(limits._limits) == 3
    assert not limits.take("b", START_MS), "kept"
    assert limits.take("a", START_MS), "dropped, so full again"
    assert not limits.take("b", START_MS), "used latest, so kept"
