from __future__ import annotations

import time

import pytest

from eventcore.clock import SchedulingClock, SystemClock
from eventcore.testing import ManualClock


def test_the_system_clock_tells_epoch_milliseconds():
    before = time.time_ns() // 1_000_000
    now_ms = SystemClock().now_ms()
    assert before <= now_ms <= time.time_ns() // 1_000_000


def test_the_system_clock_stands_still_while_the_machines_is_set_back(monkeypatch):
    times = iter([5_000_000, 9_000_000, 7_000_000, 1_000_000, 9_999_999, 12_000_000])
    monkeypatch.setattr(time, "time_ns", lambda: next(times))
    clock = SystemClock()
    assert [clock.now_ms() for _ in range(6)] == [5, 9, 9, 9, 9, 12]


def test_only_a_clock_with_timers_of_its_own_schedules():
    assert isinstance(ManualClock(), SchedulingClock)
    assert not isinstance(SystemClock(), SchedulingClock)


def test_a_manual_clock_never_runs_backwards():
    clock = ManualClock()
    with pytest.raises(ValueError, match="backwards"):
        clock.advance(-1)
