"""The promise of fair queues, in virtual time: a tenant who floods the queue delays himself."""

from __future__ import annotations

from functools import cache

from bench.fair_queue import QUIET_GROUPS, Load, simulate

run = cache(simulate)
MINUTE_MS = 60_000
MESSAGES = QUIET_GROUPS * MINUTE_MS // 1_000


def test_without_groups_everybody_waits_behind_the_flood():
    quiet = run(Load(has_groups=False)).quiet
    assert len(quiet.times_ms) == MESSAGES
    assert quiet.at(0.5) > 3 * MINUTE_MS


def test_with_groups_the_quiet_ones_wait_for_a_free_consumer_and_no_longer():
    load = Load(has_groups=True)
    result = run(load)
    quiet = result.quiet
    assert len(quiet.times_ms) == MESSAGES
    assert quiet.at(0.5) <= load.service_ms / 2
    assert quiet.longest <= load.service_ms
    assert result.noisy_groups_seen == 1


def test_the_flood_gets_all_that_the_quiet_ones_leave():
    load = Load(has_groups=True)
    received = len(run(load).noisy.times_ms)
    capacity = load.consumers * load.duration_ms // load.service_ms
    assert received > 0.95 * (capacity - MESSAGES)


def test_a_tenant_whose_work_is_slow_delays_the_others_by_one_of_his_messages_at_most():
    load = Load(has_groups=True, flood=5_000, noisy_service_ms=2_000)
    quiet = run(load).quiet
    assert quiet.longest <= load.noisy_service_ms
    alone = run(Load(has_groups=False, flood=5_000, noisy_service_ms=2_000)).quiet
    assert alone.at(0.5) > 100 * quiet.longest / 2


def test_the_length_of_the_flood_makes_no_difference():
    short = run(Load(has_groups=True, flood=30_000)).quiet
    long = run(Load(has_groups=True, flood=100_000)).quiet
    assert long.times_ms == short.times_ms
