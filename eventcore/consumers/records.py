"""The rows of a consumer group, and what its commands take and give.

Row families, in the order in which recovery brings them:

    0  the group: number 0
    1  leases: numbers in the order in which the shards were first seen

Rows hold what must outlive a restart: owner, counter and checkpoint of each lease. When a worker
was last heard of is in memory only.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from eventcore import limits
from eventcore.codec import record_decoder
from eventcore.consumers.checkpoint import Checkpoint
from eventcore.errors import InvalidParameter

__all__ = [
    "GROUP_FAMILY",
    "LEASE_FAMILY",
    "Assignment",
    "GroupDescription",
    "GroupRecord",
    "Heartbeat",
    "Lease",
    "LeaseDescription",
    "LeaseRecord",
    "ShardNode",
    "StartAt",
    "StartKind",
    "WorkerDescription",
    "check_number",
    "check_text",
    "decode_group",
    "decode_lease",
]

GROUP_FAMILY: Final = 0
LEASE_FAMILY: Final = 1


StartKind = Literal["TRIM_HORIZON", "LATEST", "AT_TIMESTAMP"]


class StartAt(msgspec.Struct, frozen=True):
    """Where a new group starts in the shards that exist when it is created.

    LATEST is the time of the creation, so a worker that dies before its first checkpoint loses
    nothing that came after it. `timestamp_ms` is for AT_TIMESTAMP.
    """

    kind: StartKind = "TRIM_HORIZON"
    timestamp_ms: int = 0


class ShardNode(msgspec.Struct, frozen=True):
    """A shard in the lineage of its stream. `parents` may name shards that no longer exist."""

    shard_id: str
    parents: tuple[str, ...] = ()
    is_closed: bool = False

    def validate(self) -> None:
        """Raises InvalidParameter, LimitExceeded."""
        for name in (self.shard_id, *self.parents):
            check_text("shard_id", name, limits.SHARD_ID_CHARACTERS_MAX)
        if len(self.parents) > limits.SHARD_PARENTS_MAX:
            raise InvalidParameter(
                "parents", f"Must be at most {limits.SHARD_PARENTS_MAX}.", len(self.parents)
            )


class Heartbeat(msgspec.Struct, frozen=True):
    """What a worker says of itself.

    `lineage` is all shards of the stream, or None when the worker has not looked since. `lease_ms`
    is how long it may be silent, `handover_ms` how long it may go on with a lease that it was asked
    to hand over. A worker that is `is_leaving` gets no more leases, and is asked for those it has.
    """

    worker_id: str
    lineage: tuple[ShardNode, ...] | None = None
    lease_ms: int = limits.LEASE_MS_DEFAULT
    handover_ms: int = limits.LEASE_MS_DEFAULT
    is_leaving: bool = False

    def validate(self) -> None:
        """Raises InvalidParameter, LimitExceeded("group_leases_max")."""
        check_text("worker_id", self.worker_id, limits.WORKER_ID_CHARACTERS_MAX)
        check_number("lease_ms", self.lease_ms, limits.LEASE_MS_MIN, limits.LEASE_MS_MAX)
        check_number("handover_ms", self.handover_ms, 0, limits.HANDOVER_MS_MAX)
        for node in self.lineage or ():
            node.validate()


class Lease(msgspec.Struct, frozen=True):
    """A lease that a worker owns. `counter` is its fencing number: every change of owner adds one.

    `handover_ms` is set when the worker is asked to hand it over, and says how long it may go on.
    """

    shard_id: str
    counter: int
    checkpoint: Checkpoint
    handover_ms: int | None = None


class Assignment(msgspec.Struct, frozen=True):
    """What a worker owns, until `lease_ms` after it sent the heartbeat that this answers.

    `is_settled` is False while leases are on their way to this worker. `needs_lineage`: there are
    shards that the group has not been told of, so the worker should look. `change` is a number that
    grows with every change of any owner.
    """

    leases: tuple[Lease, ...]
    workers: int
    is_settled: bool
    needs_lineage: bool
    change: int


class LeaseDescription(msgspec.Struct, frozen=True):
    """One lease as it stands. `owner` is empty for none; `heir` is who gets it next."""

    shard_id: str
    parents: tuple[str, ...]
    owner: str
    heir: str
    counter: int
    checkpoint: Checkpoint
    checkpoint_ms: int


class WorkerDescription(msgspec.Struct, frozen=True):
    """One live worker. `silent_ms` is since its last heartbeat."""

    worker_id: str
    leases: int
    silent_ms: int
    lease_ms: int
    is_leaving: bool


class GroupDescription(msgspec.Struct, frozen=True):
    """A group as it stands: leases in the order of their shards, workers by id."""

    created_ms: int
    leases: tuple[LeaseDescription, ...]
    workers: tuple[WorkerDescription, ...]


class GroupRecord(msgspec.Struct, frozen=True, array_like=True):
    """The row of the group. `lease_ms` is the longest that any worker had: the grace of all after a
    restart.
    """

    created_ms: int
    start: Checkpoint
    skips_closed: bool
    has_shards: bool = False
    lease_ms: int = limits.LEASE_MS_DEFAULT


class LeaseRecord(msgspec.Struct, frozen=True, array_like=True):
    """The row of one lease."""

    shard_id: str
    parents: tuple[str, ...]
    owner: str
    counter: int
    checkpoint: Checkpoint
    checkpoint_ms: int = 0


decode_group: Final = record_decoder(GroupRecord)
decode_lease: Final = record_decoder(LeaseRecord)


def check_text(name: str, text: str, characters_max: int) -> None:
    """Raises InvalidParameter for an empty text, one that is too long, or not printable ASCII."""
    is_text = text.__class__ is str and text.isascii() and text.isprintable()
    if not is_text or not 1 <= len(text) <= characters_max:
        raise InvalidParameter(name, f"Must be 1 to {characters_max} characters of ASCII.", text)


def check_number(name: str, value: int, low: int, high: int) -> None:
    """Raises InvalidParameter for what is no int, and for one out of its range."""
    if value.__class__ is not int or not low <= value <= high:
        raise InvalidParameter(name, f"Must be >= {low} and <= {high}.", value)
