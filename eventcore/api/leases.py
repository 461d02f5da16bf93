"""Our own service for the leases of consumer groups, over AWS JSON 1.1: workers of several
processes share a stream through it. `eventcore.DaemonLeases` is its client.

It is not AWS's: its target prefix is EventcoreLeases_20261121, and its requests need no signature.
Requests are in `leases_requests`. A group is named by the ARN of its stream, which may be anywhere,
and its own name.
"""

from __future__ import annotations

from typing import Final

from eventcore import limits
from eventcore.api.leases_requests import (
    CheckpointRequest,
    DeleteGroupRequest,
    DescribeGroupRequest,
    GroupRequest,
    HeartbeatRequest,
    LeaveRequest,
    ListGroupsRequest,
    ReleaseRequest,
    WaitForChangeRequest,
)
from eventcore.api.operation import Call, ErrorMap, Operation, Service
from eventcore.codec import encode_json
from eventcore.consumers.records import Heartbeat, ShardNode, StartAt
from eventcore.errors import (
    EventcoreError,
    InvalidParameter,
    LeaseLost,
    LimitExceeded,
    NotFound,
    RequestError,
)
from eventcore.runtime.lease_groups import group_arn
from eventcore.runtime.lease_shapes import (
    TARGET_PREFIX,
    AssignmentShape,
    CheckpointShape,
    GroupShape,
)
from eventcore.wire.aws_json import JSON_1_1
from eventcore.wire.fault import Fault

__all__ = ["LEASES"]

_EMPTY: Final = b"{}"

ERRORS: Final[ErrorMap] = {
    LeaseLost: lambda e: Fault("LeaseLostException", str(e)),
    NotFound: lambda e: Fault("ResourceNotFoundException", str(e)),
    LimitExceeded: lambda e: Fault("LimitExceededException", str(e)),
    InvalidParameter: lambda e: Fault("ValidationException", str(e)),
    RequestError: lambda e: Fault("ValidationException", str(e)),
}
"""Core error -> fault. All are status 400."""


def heartbeat(call: Call, request: HeartbeatRequest) -> bytes:
    """Hears of a worker; tells what it owns. Makes the group if need be, when it brings shards."""
    lineage = None
    if request.lineage is not None:
        lineage = tuple(
            ShardNode(shard.shard_id, tuple(shard.parent_shard_ids), shard.is_closed)
            for shard in request.lineage
        )
    beat = Heartbeat(
        request.worker_id,
        lineage,
        request.lease_millis,
        request.lease_millis if request.handover_millis is None else request.handover_millis,
        request.is_leaving,
    )
    start = StartAt(request.start.type, request.start.timestamp_millis)
    assignment = call.engine.groups.heartbeat(_arn(request), start, beat)
    return encode_json(AssignmentShape.of(assignment))


def wait_for_change(call: Call, request: WaitForChangeRequest) -> bytes | None:
    """Answers when the group's change number is another, or the time is over."""
    wait_ms = request.wait_millis
    if not 0 <= wait_ms <= limits.WAIT_MS_MAX:
        raise InvalidParameter("WaitMillis", f"Must be 0 to {limits.WAIT_MS_MAX}.", wait_ms)

    def done() -> None:
        try:
            call.engine.begin()
        except EventcoreError as error:
            call.fail(error)
        else:
            call.answer(_EMPTY)

    call.wait_for(call.engine.groups.wait(_arn(request), request.change, wait_ms, done))
    return None


def checkpoint(call: Call, request: CheckpointRequest) -> bytes:
    """Notes how far a shard is consumed; answers with the checkpoint that stands."""
    stands = call.engine.groups.checkpoint(
        _arn(request),
        request.shard_id,
        request.worker_id,
        request.counter,
        request.checkpoint.read(),
    )
    return encode_json({"Checkpoint": CheckpointShape.of(stands)})


def release(call: Call, request: ReleaseRequest) -> bytes:
    """Gives a lease up."""
    call.engine.groups.release(_arn(request), request.shard_id, request.worker_id, request.counter)
    return _EMPTY


def leave(call: Call, request: LeaveRequest) -> bytes:
    """A worker goes, with all its leases."""
    call.engine.groups.leave(_arn(request), request.worker_id)
    return _EMPTY


def describe_group(call: Call, request: DescribeGroupRequest) -> bytes:
    """The whole group as it stands."""
    return encode_json(GroupShape.of(call.engine.groups.describe(_arn(request))))


def list_groups(call: Call, request: ListGroupsRequest) -> bytes:
    """The names of a stream's groups, sorted."""
    return encode_json({"GroupNames": call.engine.groups.names(request.stream_arn)})


def delete_group(call: Call, request: DeleteGroupRequest) -> bytes:
    """Deletes a group with its checkpoints."""
    call.engine.groups.delete(_arn(request))
    return _EMPTY


def _arn(request: GroupRequest) -> str:
    return group_arn(request.stream_arn, request.group_name)


LEASES: Final = Service(
    name="eventcore-leases",
    target_prefix=TARGET_PREFIX,
    content_type=JSON_1_1,
    errors=ERRORS,
    operations=[
        Operation("Checkpoint", CheckpointRequest, checkpoint),
        Operation("DeleteGroup", DeleteGroupRequest, delete_group),
        Operation("DescribeGroup", DescribeGroupRequest, describe_group),
        Operation("Heartbeat", HeartbeatRequest, heartbeat),
        Operation("Leave", LeaveRequest, leave),
        Operation("ListGroups", ListGroupsRequest, list_groups),
        Operation("Release", ReleaseRequest, release),
        Operation("WaitForChange", WaitForChangeRequest, wait_for_change),
    ],
)
