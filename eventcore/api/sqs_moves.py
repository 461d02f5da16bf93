"""StartMessageMoveTask, CancelMessageMoveTask, ListMessageMoveTasks: the redrive of dead letters.

Queues are named by ARN here; one that does not exist is ResourceNotFoundException, and not
QueueDoesNotExist.
"""

from __future__ import annotations

from typing import Any, Final

from eventcore import limits
from eventcore.api.operation import Call
from eventcore.api.sqs_address import read_arn
from eventcore.api.sqs_faults import invalid_parameter, missing_parameter, resource_not_found
from eventcore.api.sqs_requests import (
    CancelMessageMoveTaskRequest,
    ListMessageMoveTasksRequest,
    StartMessageMoveTaskRequest,
)
from eventcore.codec import encode_json
from eventcore.errors import NotFound
from eventcore.queues.move_task import FAILED, RUNNING, MoveTask, open_task_handle
from eventcore.queues.queue import QueueMachine
from eventcore.wire.fault import Fault

__all__ = ["cancel_message_move_task", "list_message_move_tasks", "start_message_move_task"]

_SOURCE: Final = "SourceArn"
_DESTINATION: Final = "DestinationArn"


def start_message_move_task(call: Call, request: StartMessageMoveTaskRequest) -> bytes:
    """Starts moving the messages of a dead-letter queue; the answer holds the task's handle."""
    source = _queue(call, request.source_arn, _SOURCE)
    destination_arn = request.destination_arn
    if destination_arn is not None:
        _check_arn(destination_arn, _DESTINATION)
        if destination_arn == source.arn:
            raise invalid_parameter(
                "Source queue arn and destination queue arn cannot be the same."
            )
    per_second = request.max_number_of_messages_per_second
    _check_range("MaxNumberOfMessagesPerSecond", per_second, limits.MOVE_TASK_MESSAGES_PER_S_MAX)
    try:
        handle = call.engine.start_move(source, destination_arn, per_second)
    except NotFound as error:
        raise _not_found(_DESTINATION) from error
    return encode_json({"TaskHandle": handle})


def cancel_message_move_task(call: Call, request: CancelMessageMoveTaskRequest) -> bytes:
    """Stops a running task; what it has moved stays where it is."""
    if not request.task_handle:
        raise missing_parameter("TaskHandle")
    source_arn, _, _ = open_task_handle(request.task_handle)
    _find(call, source_arn, _SOURCE)
    moved = call.engine.cancel_move(request.task_handle)
    return encode_json({"ApproximateNumberOfMessagesMoved": moved})


def list_message_move_tasks(call: Call, request: ListMessageMoveTasksRequest) -> bytes:
    """The latest tasks of a dead-letter queue, newest first; one unless more are asked for."""
    source = _queue(call, request.source_arn, _SOURCE)
    count = request.max_results
    _check_range("MaxResults", count, limits.MOVE_TASKS_LISTED_MAX)
    tasks = call.engine.list_moves(source, 1 if count is None else count)
    return encode_json({"Results": [_members(task) for task in tasks]})


def _members(task: MoveTask) -> dict[str, Any]:
    """A task on the wire. What was not given and what is not known any more has no member."""
    members: dict[str, Any] = {
        "ApproximateNumberOfMessagesMoved": task.moved,
        "ApproximateNumberOfMessagesToMove": task.to_move,
        "SourceArn": task.source_arn,
        "StartedTimestamp": task.started_ms,
        "Status": task.status,
    }
    if task.status == RUNNING:
        members["TaskHandle"] = task.handle
    if task.status == FAILED:
        members["FailureReason"] = task.failure
    if task.destination_arn is not None:
        members["DestinationArn"] = task.destination_arn
    if task.per_second is not None:
        members["MaxNumberOfMessagesPerSecond"] = task.per_second
    return members


def _queue(call: Call, arn: str | None, name: str) -> QueueMachine:
    if arn is None:
        raise missing_parameter(name)
    _check_arn(arn, name)
    return _find(call, arn, name)


def _find(call: Call, arn: str, name: str) -> QueueMachine:
    try:
        return call.engine.queue(arn)
    except NotFound as error:
        raise _not_found(name) from error


def _check_arn(arn: str, name: str) -> None:
    given = read_arn(arn)
    if given is None or given.service != "sqs":
        raise invalid_parameter(
            f"You must use this format to specify the {name}: "
            "arn:<partition>:<service>:<region>:<account-id>:<resource-id>"
        )


def _check_range(name: str, value: int | None, highest: int) -> None:
    if value is not None and not 1 <= value <= highest:
        raise invalid_parameter(
            f"Value for parameter {name} is invalid. Reason: You must enter a number that's "
            f"between 1 and {highest}."
        )


def _not_found(name: str) -> Fault:
    return resource_not_found(
        f"The resource that you specified for the {name} parameter doesn't exist."
    )
