"""Requests of the service for leases. Members are snake case here, Pascal case on the wire; times
are in milliseconds. What both sides know is in `eventcore.runtime.lease_shapes`.

The service is ours, so what a request must have is required by its struct: a missing member is a
SerializationException. Lengths and ranges are checked by the consumer group.
"""

from __future__ import annotations

import msgspec

from eventcore import limits
from eventcore.consumers.records import StartKind
from eventcore.runtime.lease_shapes import CheckpointShape

__all__ = [
    "CheckpointRequest",
    "DeleteGroupRequest",
    "DescribeGroupRequest",
    "GroupRequest",
    "HeartbeatRequest",
    "LeaveRequest",
    "ListGroupsRequest",
    "ReleaseRequest",
    "ShardShape",
    "StartShape",
    "WaitForChangeRequest",
]


class _Shape(msgspec.Struct, frozen=True, gc=False, kw_only=True, rename="pascal"):
    """Members are snake case here and Pascal case on the wire."""


class StartShape(_Shape, frozen=True):
    """Where a group starts that is not there yet."""

    type: StartKind = "TRIM_HORIZON"
    timestamp_millis: int = 0


class ShardShape(_Shape, frozen=True):
    """A shard in the lineage of its stream."""

    shard_id: str
    parent_shard_ids: list[str] = []
    is_closed: bool = False


class GroupRequest(_Shape, frozen=True):
    """What names a group in every request."""

    stream_arn: str = msgspec.field(name="StreamARN")
    group_name: str


class HeartbeatRequest(GroupRequest, frozen=True):
    """A worker lives. `Lineage` is all shards of the stream, absent when the worker has not looked
    since; `HandoverMillis` is `LeaseMillis` by default.
    """

    worker_id: str
    lineage: list[ShardShape] | None = None
    lease_millis: int = limits.LEASE_MS_DEFAULT
    handover_millis: int | None = None
    is_leaving: bool = False
    start: StartShape = StartShape()


class WaitForChangeRequest(GroupRequest, frozen=True):
    """Wait until the group's change number is not `Change`."""

    change: int
    wait_millis: int = limits.WAIT_MS_MAX


class CheckpointRequest(GroupRequest, frozen=True):
    """A worker has consumed its shard up to here."""

    shard_id: str
    worker_id: str
    counter: int
    checkpoint: CheckpointShape


class ReleaseRequest(GroupRequest, frozen=True):
    """A worker gives a lease up."""

    shard_id: str
    worker_id: str
    counter: int


class LeaveRequest(GroupRequest, frozen=True):
    """A worker goes."""

    worker_id: str


class DescribeGroupRequest(GroupRequest, frozen=True):
    """Tell of a group."""


class DeleteGroupRequest(GroupRequest, frozen=True):
    """Delete a group."""


class ListGroupsRequest(_Shape, frozen=True):
    """Tell the names of a stream's groups."""

    stream_arn: str = msgspec.field(name="StreamARN")
