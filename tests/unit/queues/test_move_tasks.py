"""Message move tasks as a queue knows them: planning, moving, ending, and what is remembered."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode

import pytest

from eventcore import limits
from eventcore.codec import decode_json
from eventcore.errors import InvalidParameter, NotFound
from eventcore.limits import BROWSE_STEPS_MAX
from eventcore.queues.message import decode_message
from eventcore.queues.move_task import (
    CANCELLED,
    COMPLETED,
    FAILED,
    RUNNING,
    make_task_handle,
    open_task_handle,
)
from eventcore.queues.queue_spec import QueueSpec
from eventcore.queues.records import MOVE
from tests.unit.queues.driver import ARN, MINUTE_MS, START_MS, Driver, fifo

OTHER = ARN + "-other"


def start(driver: Driver, destination: str | None = OTHER, per_second: int | None = None) -> str:
    return driver.take(driver.queue.start_move(destination, per_second, driver.now_ms))


def step(driver: Driver, count: int = 10, failure: str = "") -> list[str]:
    """One slice of the mover; the bodies that it moved."""
    planned, cursor = driver.queue.plan_move(count, driver.now_ms)
    bodies = [body_of(driver, movable.key, movable.record) for movable in planned]
    driver.take(driver.queue.move([m.number for m in planned], cursor, failure))
    return bodies


def body_of(driver: Driver, key: int, record: bytes | None) -> str:
    return decode_message(record or driver.rows[key]).body


def run(driver: Driver, count: int = 10) -> list[str]:
    moved: list[str] = []
    while driver.queue.is_moving:
        moved += step(driver, count)
    return moved


def cancel(driver: Driver, handle: str) -> int:
    arn, tag, number = open_task_handle(handle)
    assert arn == driver.arn
    return driver.take(driver.queue.cancel_move(tag, number))


@pytest.fixture(params=["standard", "fifo"])
def driver(request: pytest.FixtureRequest) -> Driver:
    return Driver() if request.param == "standard" else fifo()


def test_a_task_moves_everything_in_the_order_of_the_sends(driver):
    bodies = [f"{n}" for n in range(25)]
    driver.send(*bodies)
    handle = start(driver)
    assert driver.queue.is_moving
    assert run(driver, 4) == bodies
    assert driver.counts() == (0, 0, 0)
    (task,) = driver.queue.moves(10)
    assert (task.handle, task.source_arn) == (handle, driver.arn)
    assert (task.destination_arn, task.per_second) == (OTHER, None)
    assert (task.status, task.moved, task.to_move, task.failure) == (COMPLETED, 25, 25, "")
    assert task.started_ms == START_MS
    assert not driver.queue.is_moving and driver.queue.running_move is None


def test_a_task_of_an_empty_queue_ends_at_once(driver):
    start(driver)
    assert run(driver) == []
    assert driver.queue.moves(1)[0].status == COMPLETED


def test_while_it_runs_it_tells_how_far_it_is(driver):
    driver.send(*[f"{n}" for n in range(5)])
    start(driver, None, 7)
    step(driver, 2)
    task = driver.queue.running_move
    assert task is not None and task == driver.queue.moves(1)[0]
    assert (task.status, task.moved, task.to_move) == (RUNNING, 2, 5)
    assert (task.destination_arn, task.per_second) == (None, 7)


def test_messages_sent_after_its_start_are_not_the_tasks(driver):
    driver.send("a")
    start(driver)
    driver.send("b")
    assert run(driver) == ["a"]
    assert driver.bodies() == ["b"]


def test_messages_sent_after_a_restart_are_not_the_tasks_though_nothing_else_is_left(driver):
    driver.send("a", "b")
    start(driver)
    for handle in driver.handles().values():
        driver.delete(handle)
    driver.restart()
    driver.send("c")
    assert run(driver) == []
    assert driver.bodies() == ["c"]


def test_what_is_in_flight_or_delayed_stays():
    driver = Driver()
    driver.send("flight")
    driver.receive()
    driver.send("delayed", delay_ms=1_000)
    driver.send("visible")
    start(driver)
    assert run(driver) == ["visible"]
    assert driver.counts() == (0, 1, 1)
    (task,) = driver.queue.moves(1)
    assert (task.moved, task.to_move) == (1, 3)


def test_of_a_fifo_queue_nothing_moves_past_a_message_in_flight():
    driver = fifo()
    driver.send("a0", "a1", group="a")
    driver.receive(1)
    driver.send("b0", group="b")
    start(driver)
    assert run(driver, 1) == ["b0"]
    assert driver.counts() == (1, 1, 0)


def test_of_a_fifo_queue_a_message_moves_in_a_later_slice_once_the_one_before_it_is_gone():
    driver = fifo()
    driver.send("a0", group="a")
    handle = driver.handle()
    driver.send("b0", group="b")
    driver.send("a1", group="a")
    start(driver)
    assert step(driver, 1) == ["b0"]
    driver.delete(handle)
    assert run(driver, 1) == ["a1"]


def test_of_a_fifo_queue_nothing_moves_past_a_message_that_came_back():
    """Its turn is over; what is behind it stays with it, in order."""
    driver = fifo()
    driver.send("a0", group="a")
    handle = driver.handle()
    driver.send("b0", group="b")
    driver.send("a1", group="a")
    start(driver)
    assert step(driver, 1) == ["b0"]
    driver.change(handle, 0)
    assert run(driver, 1) == []
    assert driver.bodies() == ["a0", "a1"]


def test_of_a_fifo_queue_a_delayed_message_stays_and_what_is_behind_it():
    driver = fifo(delay_ms=5_000)
    driver.send("a0", group="a")
    driver.after(1_000).send("b0", "b1", group="b")
    driver.after(4_000)
    start(driver)
    assert run(driver) == ["a0"]
    assert driver.counts() == (0, 0, 2)


def test_a_failure_ends_the_task_and_leaves_the_rest(driver):
    driver.send("a", "b", "c")
    start(driver)
    planned, _ = driver.queue.plan_move(10, driver.now_ms)
    driver.take(driver.queue.move([planned[0].number], planned[1].number, "Because"))
    (task,) = driver.queue.moves(1)
    assert (task.status, task.moved, task.failure) == (FAILED, 1, "Because")
    assert driver.bodies() == ["b", "c"]
    driver.check_restart()


def test_a_cancelled_task_moves_nothing_more(driver):
    driver.send("a", "b", "c")
    handle = start(driver)
    step(driver, 2)
    assert cancel(driver, handle) == 2
    assert not driver.queue.is_moving
    assert driver.queue.moves(1)[0].status == CANCELLED
    assert driver.bodies() == ["c"]
    driver.check_restart()


def test_only_a_running_task_is_cancelled(driver):
    handle = start(driver)
    run(driver)
    for _ in range(2):
        with pytest.raises(InvalidParameter) as caught:
            cancel(driver, handle)
        assert caught.value.name == "task_handle"
    driver.send("a")
    handle = start(driver)
    cancel(driver, handle)
    with pytest.raises(InvalidParameter):
        cancel(driver, handle)


def test_an_unknown_task_is_not_cancelled(driver):
    handle = start(driver)
    _, tag, number = open_task_handle(handle)
    for wrong in ((tag, number + 1), (tag + 1, number), (tag, -1)):
        with pytest.raises(NotFound) as caught:
            driver.queue.cancel_move(*wrong)
        assert caught.value.kind == "move task"
    assert driver.queue.is_moving


def test_one_task_runs_at_a_time(driver):
    driver.send("a")
    first = start(driver)
    rows = dict(driver.rows)
    with pytest.raises(InvalidParameter) as caught:
        start(driver)
    assert caught.value.name == "request"
    assert caught.value.reason == (
        "There is already a task running. Only one active task is allowed for a source queue arn "
        "at a given time."
    )
    assert driver.rows == rows
    cancel(driver, first)
    assert start(driver) != first


def test_the_latest_ten_tasks_are_remembered_newest_first(driver):
    handles = []
    for _ in range(13):
        handles.append(start(driver))
        run(driver)
    listed = [task.handle for task in driver.queue.moves(100)]
    assert listed == handles[:2:-1] and len(listed) == limits.MOVE_TASKS_LISTED_MAX
    assert [task.handle for task in driver.queue.moves(2)] == handles[:-3:-1]
    assert sum(key >> 48 == MOVE for key in driver.rows) == 10
    with pytest.raises(NotFound):
        cancel(driver, handles[0])
    driver.check_restart()
    driver.restart()
    handles.append(start(driver))
    assert [task.handle for task in driver.queue.moves(100)] == handles[:3:-1]


def test_a_purge_ends_the_task_at_its_next_step(driver):
    driver.send(*[f"{n}" for n in range(30)])
    start(driver)
    step(driver, 5)
    driver.purge()
    driver.send("new")
    assert run(driver) == []
    (task,) = driver.queue.moves(1)
    assert (task.status, task.moved) == (COMPLETED, 5)
    driver.tick_all()
    assert driver.bodies() == ["new"]


@pytest.mark.parametrize("steps", range(5))
def test_after_a_restart_it_goes_on_where_it_was(driver, steps):
    bodies = [f"{n}" for n in range(8)]
    driver.send(*bodies)
    start(driver, None, 3)
    moved: list[str] = []
    for _ in range(steps):
        moved += step(driver, 2) if driver.queue.is_moving else []
        driver.restart()
    driver.check_restart()
    assert moved + run(driver) == bodies
    assert driver.queue.moves(1)[0].moved == 8


def test_a_step_looks_at_a_bounded_count_of_numbers(driver):
    driver.send("in flight")
    driver.receive(1)
    driver.queue._next_number = 5 * BROWSE_STEPS_MAX
    driver.send("b", group="other")
    start(driver)
    steps = []
    while driver.queue.is_moving:
        steps.append(step(driver))
    assert [body for moved in steps for body in moved] == ["b"]
    assert len(steps) == 6, "BROWSE_STEPS_MAX numbers each"


def test_spilled_bodies_are_left_to_the_caller():
    driver = Driver(memory_bytes_max=0)
    driver.send("a", "b")
    start(driver)
    planned, _ = driver.queue.plan_move(10, driver.now_ms)
    assert [m.record for m in planned] == [None, None]
    assert run(driver) == ["a", "b"]


def test_a_moved_message_that_was_received_leaves_no_row():
    driver = Driver()
    driver.send("a")
    driver.receive(1, 0)
    start(driver)
    assert run(driver) == ["a"]
    assert len(driver.rows) == 2, "the queue and the task"


def test_planning_changes_nothing(driver):
    driver.send("a", "b")
    start(driver)
    first = driver.queue.plan_move(10, driver.now_ms)
    assert driver.queue.plan_move(10, driver.now_ms) == first
    assert driver.counts() == (2, 0, 0)


def test_a_tasks_messages_expire_like_others():
    driver = Driver(QueueSpec(retention_ms=MINUTE_MS))
    driver.send("a")
    start(driver)
    driver.after(MINUTE_MS).tick_all()
    assert run(driver) == []
    assert driver.queue.moves(1)[0].moved == 0


# Handles


def test_a_handle_names_the_source_and_the_task_as_json_in_base64():
    handle = make_task_handle(ARN, 0xABCD, 7)
    assert open_task_handle(handle) == (ARN, 0xABCD, 7)
    content = decode_json(urlsafe_b64decode(handle))
    assert content["sourceArn"] == ARN and content["taskId"]


def test_a_handle_of_a_deleted_namesake_is_of_no_task():
    old = Driver()
    new = Driver(now_ms=START_MS + 1)
    handle = start(old)
    start(new)
    with pytest.raises(NotFound):
        cancel(new, handle)
    assert new.queue.is_moving


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "é",
        "====",
        urlsafe_b64encode(b"[]").decode(),
        urlsafe_b64encode(b"null").decode(),
        urlsafe_b64encode(b"{").decode(),
        urlsafe_b64encode(b'{"taskId":"0-0"}').decode(),
        urlsafe_b64encode(b'{"taskId":5,"sourceArn":"x"}').decode(),
        urlsafe_b64encode(b'{"taskId":"zz-0","sourceArn":"x"}').decode(),
        urlsafe_b64encode(b'{"taskId":"00","sourceArn":"x"}').decode(),
        urlsafe_b64encode(b'{"taskId":"0-' + b"9" * 5_000 + b'","sourceArn":"x"}').decode(),
        urlsafe_b64encode(b"\xff\xfe").decode(),
        "a" * 100_000,
    ],
)
def test_any_other_text_is_of_no_task(text):
    with pytest.raises(NotFound) as caught:
        open_task_handle(text)
    assert caught.value.kind == "move task"
    assert len(caught.value.name) <= 256
