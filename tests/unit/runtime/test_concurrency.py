"""Who may run how much at a time."""

from __future__ import annotations

import pytest

from eventcore.errors import Throttled
from eventcore.runtime.concurrency import ACCOUNT_REASON, FUNCTION_REASON, Concurrency

F = "arn:aws:lambda:us-east-1:000000000000:function:f"
G = "arn:aws:lambda:us-east-1:000000000000:function:g"
ELSEWHERE = "arn:aws:lambda:eu-west-1:000000000000:function:f"


def test_without_a_quota_only_reservations_bound():
    concurrency = Concurrency(None)
    for _ in range(5_000):
        concurrency.enter(F, None, 0)
    assert concurrency.running(F) == concurrency.total == 5_000
    concurrency.enter(G, 1, 0)
    with pytest.raises(Throttled) as raised:
        concurrency.enter(G, 1, 0)
    assert (raised.value.reason, raised.value.function) == (FUNCTION_REASON, "g")


def test_an_account_shares_what_is_not_reserved_region_by_region():
    concurrency = Concurrency(10)
    for _ in range(4):
        assert concurrency.enter(F, None, 6)
    with pytest.raises(Throttled) as raised:
        concurrency.enter(G, None, 6)
    assert raised.value.reason == ACCOUNT_REASON
    assert concurrency.enter(ELSEWHERE, None, 0)
    assert not concurrency.enter(G, 6, 6)


def test_who_leaves_frees_the_share_that_he_used():
    concurrency = Concurrency(1)
    is_unreserved = concurrency.enter(F, None, 0)
    # Reserved meanwhile: what runs still uses the shared part.
    assert not concurrency.enter(F, 5, 0)
    concurrency.leave(F, is_unreserved)
    assert concurrency.running(F) == 1
    assert concurrency.enter(G, None, 0)
    concurrency.leave(F, False)
    assert concurrency.running(F) == 0


def test_a_refused_one_is_not_counted():
    concurrency = Concurrency(None)
    with pytest.raises(Throttled):
        concurrency.enter(F, 0, 0)
    assert concurrency.total == 0


def test_nothing_is_kept_of_what_has_ended():
    concurrency = Concurrency(None)
    for name in (F, G, ELSEWHERE):
        concurrency.leave(name, concurrency.enter(name, None, 0))
    assert (concurrency._of_function, concurrency._unreserved) == ({}, {})
