"""The sweeper: rows of deleted resources go in slices, whatever happens in between."""

from __future__ import annotations

import pytest

from eventcore.limits import AWS_QUOTAS
from eventcore.outcome import LOG_KEY_FIRST, Mutation
from eventcore.runtime import sweeper
from eventcore.stores.base import LOG_SHIFT, Batch
from tests.unit.runtime.rig import EngineRig, turn

DIRECTORY = 0
FIRST = 1
LOG_KEY_MAX = (1 << 63) - 1


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


def add_log_rows(rig: EngineRig, component: int, *sizes: int, logs: int = 1) -> None:
    """What a machine of log rows leaves behind: `sizes` in each of its logs."""
    batch = Batch()
    for log in range(logs):
        base = LOG_KEY_FIRST | log << LOG_SHIFT
        batch.add(component, [Mutation(base | n, bytes(size)) for n, size in enumerate(sizes)])
    rig.store.rows.append(batch, lambda error: None)


def log_rows_of(rig: EngineRig, component: int) -> int:
    return len(rig.store.rows.measure(component, LOG_KEY_FIRST, LOG_KEY_MAX, 1_000))


async def test_log_rows_go_after_the_hot_rows_and_before_the_directorys_row():
    rig = await with_deleted_queue(messages=14)
    add_log_rows(rig, FIRST, *[5] * 8, logs=3)
    add_log_rows(rig, FIRST + 1, 5, 5)
    left = [(rig.rows_of(FIRST), log_rows_of(rig, FIRST))]
    while left[-1] != (0, 0):
        assert rig.rows_of(DIRECTORY) == 2
        await rig.run_for(sweeper.PAUSE_MS)
        left.append((rig.rows_of(FIRST), log_rows_of(rig, FIRST)))
    assert left == [(15, 24), (5, 24), (0, 24), (0, 14), (0, 4), (0, 0)]
    await rig.run_for(sweeper.PAUSE_MS)
    assert rig.rows_of(DIRECTORY) == 1
    assert log_rows_of(rig, FIRST + 1) == 2, "another component's"


async def test_a_slice_ends_with_the_row_that_reaches_its_bytes(monkeypatch):
    monkeypatch.setattr(sweeper, "SLICE_BYTES", 1_000)
    rig = await with_deleted_queue(messages=0)
    add_log_rows(rig, FIRST, 400, 400, 400, 5_000, 0, 0, 999, 1, 1)
    left = [9]
    while left[-1]:
        await rig.run_for(sweeper.PAUSE_MS)
        if log_rows_of(rig, FIRST) != left[-1]:
            left.append(log_rows_of(rig, FIRST))
    assert left == [9, 6, 5, 1, 0]


async def test_no_value_is_read_to_be_swept(monkeypatch):
    rig = await with_deleted_queue()
    add_log_rows(rig, FIRST, *[100] * 25)
    monkeypatch.setattr(type(rig.store), "scan", None)
    monkeypatch.setattr(type(rig.store), "read", None)
    await rig.run_for(10_000)
    assert (rig.rows_of(FIRST), log_rows_of(rig, FIRST)) == (0, 0)


@pytest.mark.parametrize("steps", range(1, 7))
@pytest.mark.parametrize("is_durable", [False, True])
async def test_a_crash_among_log_rows_starts_it_over(steps, is_durable):
    rig = await with_deleted_queue(messages=5)
    add_log_rows(rig, FIRST, *[5] * 35)
    for _ in range(steps):
        rig.clock.advance(sweeper.PAUSE_MS)
        await turn()
        if rig.store.pending is not None and _ < steps - 1:
            rig.store.commit()
    again = await rig.crash(is_durable=is_durable)
    await again.run_for(10_000)
    assert (again.rows_of(FIRST), log_rows_of(again, FIRST)) == (0, 0)
    assert again.rows_of(DIRECTORY) == 1
