"""The move tasks of one queue: which one runs, which ended lately. See `move_task`.

At most one runs at a time. Of those that ended, the latest MOVE_TASKS_LISTED_MAX are kept.
"""

from __future__ import annotations

from typing import Final, final

import msgspec

from eventcore import limits
from eventcore.errors import InvalidParameter, NotFound
from eventcore.outcome import Mutation, Outcome, delete_row, put_row, row_key, row_number
from eventcore.queues.move_task import (
    CANCELLED,
    COMPLETED,
    FAILED,
    RUNNING,
    MoveRecord,
    MoveTask,
    decode_move,
    make_task_handle,
)
from eventcore.queues.records import MOVE

__all__ = ["Moves"]

_RUNNING_ALREADY: Final = (
    "There is already a task running. Only one active task is allowed for a source queue arn at a "
    "given time."
)


@final
class Moves:
    """Numbered tasks, oldest first; the last one may be running."""

    def __init__(self) -> None:
        self._tasks: dict[int, MoveRecord] = {}
        self._next_number = 0

    @property
    def running(self) -> MoveRecord | None:
        """The running task."""
        last = self._tasks.get(self._next_number - 1)
        return last if last is not None and last.status == RUNNING else None

    def start(
        self,
        destination_arn: str | None,
        per_second: int | None,
        to_move: int,
        below: int,
        now_ms: int,
    ) -> Outcome[int]:
        """Starts a task over the messages numbered below `below`; the value is its number.

        Raises InvalidParameter("request") when one is running.
        """
        if self.running is not None:
            raise InvalidParameter("request", _RUNNING_ALREADY)
        number = self._next_number
        record = MoveRecord(destination_arn, per_second, now_ms, to_move, below, 0)
        mutations = [put_row(row_key(MOVE, number), record)]
        if len(self._tasks) >= limits.MOVE_TASKS_LISTED_MAX:
            mutations.append(delete_row(row_key(MOVE, next(iter(self._tasks)))))
        for mutation in mutations:
            self.apply(row_number(mutation.key), mutation)
        return Outcome(number, tuple(mutations))

    def step(self, moved: int, cursor: int, failure: str) -> Mutation:
        """Moves the running task on; it ends when all is looked at, or with a failure."""
        task = self.running
        assert task is not None, "no move task is running"
        status = FAILED if failure else COMPLETED if cursor >= task.below else RUNNING
        return self._put(
            self._next_number - 1,
            msgspec.structs.replace(
                task, moved=task.moved + moved, cursor=cursor, status=status, failure=failure
            ),
        )

    def cancel(self, is_ours: bool, number: int) -> Outcome[int]:
        """Cancels a task; the value is how many messages it has moved. See QueueMachine."""
        task = self._tasks.get(number) if is_ours else None
        if task is None:
            raise NotFound("move task", str(number))
        if task.status != RUNNING:
            raise InvalidParameter(
                "task_handle", "Only active tasks can be cancelled.", task.status
            )
        return Outcome(
            task.moved, (self._put(number, msgspec.structs.replace(task, status=CANCELLED)),)
        )

    def _put(self, number: int, record: MoveRecord) -> Mutation:
        mutation = put_row(row_key(MOVE, number), record)
        self.apply(number, mutation)
        return mutation

    def apply(self, number: int, mutation: Mutation) -> None:
        """Takes in one row."""
        if mutation.value is None:
            self._tasks.pop(number, None)
            return
        self._tasks[number] = mutation.record or decode_move(mutation.value)
        self._next_number = max(self._next_number, number + 1)

    def handle(self, arn: str, tag: int, number: int) -> str:
        """The handle of a task of the queue `arn`."""
        return make_task_handle(arn, tag, number)

    def tasks(self, arn: str, tag: int, tasks_max: int) -> list[MoveTask]:
        """The latest tasks, newest first."""
        return [
            MoveTask(
                self.handle(arn, tag, number),
                arn,
                task.destination_arn,
                task.per_second,
                task.started_ms,
                task.status,
                task.moved,
                task.to_move,
                task.failure,
            )
            for number, task in list(reversed(self._tasks.items()))[:tasks_max]
        ]

    @property
    def below(self) -> int:
        """No message of the running task is numbered so high; 0 when none is running."""
        task = self.running
        return 0 if task is None else task.below

    def check(self) -> None:
        """Asserts the rules of this file."""
        running = [number for number, task in self._tasks.items() if task.status == RUNNING]
        assert running in ([], [self._next_number - 1]), "an older task is still running"
        assert list(self._tasks) == sorted(self._tasks), "tasks are out of order"
        assert len(self._tasks) <= limits.MOVE_TASKS_LISTED_MAX, "too many tasks are kept"
