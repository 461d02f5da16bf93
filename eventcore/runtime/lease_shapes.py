"""What the service for leases and its client send each other: one definition for both sides.

Members are snake case here, Pascal case on the wire; times are in milliseconds. Requests are in
`eventcore.api.leases_requests`.
"""

from __future__ import annotations

from typing import Final

import msgspec

from eventcore.consumers.checkpoint import Checkpoint, CheckpointKind
from eventcore.consumers.records import (
    Assignment,
    GroupDescription,
    Lease,
    LeaseDescription,
    WorkerDescription,
)

__all__ = [
    "TARGET_PREFIX",
    "AssignmentShape",
    "CheckpointShape",
    "GroupShape",
    "LeaseDescriptionShape",
    "LeaseShape",
    "WorkerShape",
]

TARGET_PREFIX: Final = "EventcoreLeases_20261121"


class _Shape(msgspec.Struct, frozen=True, gc=False, rename="pascal"):
    """Members are snake case here and Pascal case on the wire."""


class CheckpointShape(_Shape, frozen=True, omit_defaults=True):
    """How far a shard is consumed; AFTER_RECORD has a sequence number, AT_TIMESTAMP a time."""

    type: CheckpointKind
    sequence_number: str = ""
    sub_sequence_number: int | None = None
    timestamp_millis: int = 0

    @classmethod
    def of(cls, checkpoint: Checkpoint) -> CheckpointShape:
        """The shape of a checkpoint."""
        return cls(
            checkpoint.kind,
            checkpoint.sequence_number,
            checkpoint.sub_sequence_number,
            checkpoint.timestamp_ms,
        )

    def read(self) -> Checkpoint:
        """The checkpoint."""
        return Checkpoint(
            self.type, self.sequence_number, self.sub_sequence_number, self.timestamp_millis
        )


class LeaseShape(_Shape, frozen=True):
    """A lease that the worker owns; `HandoverMillis` is set when it is asked back."""

    shard_id: str
    counter: int
    checkpoint: CheckpointShape
    handover_millis: int | None = None


class AssignmentShape(_Shape, frozen=True):
    """The answer to a heartbeat."""

    leases: list[LeaseShape]
    workers: int
    is_settled: bool
    needs_lineage: bool
    change: int

    @classmethod
    def of(cls, assignment: Assignment) -> AssignmentShape:
        """The shape of an assignment."""
        leases = [
            LeaseShape(
                lease.shard_id,
                lease.counter,
                CheckpointShape.of(lease.checkpoint),
                lease.handover_ms,
            )
            for lease in assignment.leases
        ]
        return cls(
            leases,
            assignment.workers,
            assignment.is_settled,
            assignment.needs_lineage,
            assignment.change,
        )

    def read(self) -> Assignment:
        """The assignment."""
        leases = tuple(
            Lease(shape.shard_id, shape.counter, shape.checkpoint.read(), shape.handover_millis)
            for shape in self.leases
        )
        return Assignment(leases, self.workers, self.is_settled, self.needs_lineage, self.change)


class LeaseDescriptionShape(_Shape, frozen=True):
    """A lease as it stands; `Owner` and `Heir` are empty for none."""

    shard_id: str
    parent_shard_ids: tuple[str, ...]
    owner: str
    heir: str
    counter: int
    checkpoint: CheckpointShape
    checkpoint_millis: int


class WorkerShape(_Shape, frozen=True):
    """A live worker."""

    worker_id: str
    leases: int
    silent_millis: int
    lease_millis: int
    is_leaving: bool


class GroupShape(_Shape, frozen=True):
    """A group as it stands."""

    created_millis: int
    leases: list[LeaseDescriptionShape]
    workers: list[WorkerShape]

    @classmethod
    def of(cls, group: GroupDescription) -> GroupShape:
        """The shape of a group."""
        leases = [
            LeaseDescriptionShape(
                lease.shard_id,
                lease.parents,
                lease.owner,
                lease.heir,
                lease.counter,
                CheckpointShape.of(lease.checkpoint),
                lease.checkpoint_ms,
            )
            for lease in group.leases
        ]
        workers = [
            WorkerShape(w.worker_id, w.leases, w.silent_ms, w.lease_ms, w.is_leaving)
            for w in group.workers
        ]
        return cls(group.created_ms, leases, workers)

    def read(self) -> GroupDescription:
        """The group."""
        leases = tuple(
            LeaseDescription(
                lease.shard_id,
                lease.parent_shard_ids,
                lease.owner,
                lease.heir,
                lease.counter,
                lease.checkpoint.read(),
                lease.checkpoint_millis,
            )
            for lease in self.leases
        )
        workers = tuple(
            WorkerDescription(w.worker_id, w.leases, w.silent_millis, w.lease_millis, w.is_leaving)
            for w in self.workers
        )
        return GroupDescription(self.created_millis, leases, workers)
