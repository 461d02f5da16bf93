"""The sweeper: rows of deleted resources go in slices, whatever happens in between."""

from __future__ import annotations

import pytest

from eventcore.limits import AWS_QUOTAS
from eventcore.runtime import sweeper
from tests.unit.runtime.rig import EngineRig, turn

DIRECTORY = 0
FIRST = 1


@pytest.fixture(autouse=True)
def small_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweeper, "SLICE_ROWS", 10)


async def with_deleted_queue(messages: int = 35, **options) -> EngineRig:
    rig = await EngineRig(**options).start()
    rig.create("q")
    rig.send("q", *[f"{n}" for n in range(messages)])
    rig.create("other")
    rig.send("other", "x")
    await rig.settle()
    rig.drop("q")
    await rig.settle()
    return rig


async def test_rows_go_in_slices_and_then_the_directorys_row():
    rig = await with_deleted_queue()
    left = [rig.rows_of(FIRST)]
    while left[-1]:
        await rig.run_for(sweeper.PAUSE_MS)
        left.append(rig.rows_of(FIRST))
    assert left == [36, 26, 16, 6, 0]
    assert rig.rows_of(DIRECTORY) == 2
    await rig.run_for(sweeper.PAUSE_MS)
    assert rig.rows_of(DIRECTORY) == 1
    assert rig.counts("other") == (1, 0, 0)


async def test_when_all_is_swept_no_timer_is_left():
    rig = await with_deleted_queue()
    await rig.run_for(10_000)
    assert rig.rows_of(FIRST) == 0
    live = [t for t in rig.clock._timers if t.callback is not None]
    assert len(live) <= 1, "the other queue's retention"


async def test_a_slice_waits_for_the_commit_of_the_one_before():
    rig = await with_deleted_queue()
    rig.clock.advance(sweeper.PAUSE_MS)
    await turn()
    appends = rig.store.appends
    rig.clock.advance(20 * sweeper.PAUSE_MS)
    await turn()
    assert rig.store.appends == appends
    await rig.settle()
    assert rig.rows_of(FIRST) == 26


@pytest.mark.parametrize("steps", range(6))
@pytest.mark.parametrize("is_durable", [False, True])
async def test_a_crash_at_any_point_starts_it_over(steps, is_durable):
    rig = await with_deleted_queue()
    for _ in range(steps):
        rig.clock.advance(sweeper.PAUSE_MS)
        await turn()
        if rig.store.pending is not None and _ < steps - 1:
            rig.store.commit()
    again = await rig.crash(is_durable=is_durable)
    await again.run_for(10_000)
    assert again.rows_of(FIRST) == 0
    assert again.rows_of(DIRECTORY) == 1
    assert again.counts("other") == (1, 0, 0)


@pytest.mark.parametrize("is_durable", [False, True])
async def test_it_goes_on_after_a_failed_commit(is_durable):
    rig = await with_deleted_queue()
    rig.clock.advance(sweeper.PAUSE_MS)
    await turn()
    rig.store.fail(is_durable=is_durable)
    await rig.settle()
    await rig.run_for(10_000)
    assert rig.rows_of(FIRST) == 0
    assert rig.rows_of(DIRECTORY) == 1


async def test_it_goes_on_when_its_time_comes_while_the_store_recovers():
    rig = await with_deleted_queue()
    rig.create("new")
    await turn()
    rig.store.fail(is_durable=False)
    rig.clock.advance(sweeper.PAUSE_MS)
    await rig.settle()
    await rig.run_for(10_000)
    assert rig.rows_of(FIRST) == 0
    assert rig.rows_of(DIRECTORY) == 1


async def test_a_deletion_that_failed_is_not_swept():
    rig = await EngineRig().start()
    rig.create("q")
    rig.send("q", "x")
    await rig.settle()
    rig.drop("q")
    await turn()
    rig.store.fail(is_durable=False)
    await rig.settle()
    await rig.run_for(10_000)
    assert rig.bodies("q") == ["x"]


async def test_a_deletion_that_is_durable_and_reported_failed_is_swept():
    rig = await EngineRig().start()
    rig.create("q")
    rig.send("q", "x")
    await rig.settle()
    rig.drop("q")
    await turn()
    rig.store.fail(is_durable=True)
    await rig.settle()
    await rig.run_for(10_000)
    assert rig.rows_of(FIRST) == 0 and rig.rows_of(DIRECTORY) == 0


async def test_during_the_cool_down_the_directory_remembers_the_name():
    rig = await with_deleted_queue(quotas=AWS_QUOTAS)
    await rig.run_for(30_000)
    assert rig.rows_of(FIRST) == 0
    assert rig.rows_of(DIRECTORY) == 2
    await rig.run_for(31_000)
    assert rig.rows_of(DIRECTORY) == 1


async def test_queues_deleted_meanwhile_are_swept_too():
    rig = await with_deleted_queue()
    await rig.run_for(sweeper.PAUSE_MS)
    rig.drop("other")
    await rig.settle()
    await rig.run_for(10_000)
    assert list(rig.store.rows.load()) == []


async def test_close_stops_it_and_the_next_start_goes_on():
    rig = await with_deleted_queue()
    await rig.run_for(sweeper.PAUSE_MS)
    await rig.engine.close()
    left = rig.rows_of(FIRST)
    assert left > 0
    rig.clock.advance(10_000)
    assert rig.rows_of(FIRST) == left
    again = await rig.crash()
    await again.run_for(10_000)
    assert again.rows_of(FIRST) == 0
