"""The consumer group: which worker owns which shard's lease, and how far each shard is consumed.

Rules of this file:

- A lease has one owner at the most. Every change of owner adds one to its counter, and whoever
  comes with an older counter is refused: two workers never move one checkpoint. Counters begin with
  the time at which the group was made, so one that was deleted and made anew repeats none.
- The machine decides who owns what, at each heartbeat and when time is over; workers are told.
  Free leases go to those who have fewest; nobody keeps two more than another (`balance`).
- A lease that has to move is asked back first: its owner ends what it is at, writes its checkpoint
  and releases it, and the heir has it at once. An owner that does not is passed over after the
  `handover_ms` that it named itself, counted from the heartbeat in which it was told.
- A worker that is silent for its `lease_ms` is gone, and its leases are free.
- A shard is consumed only when each of its parents is at SHARD_END or has no lease (it vanished
  before the group saw it, or after it was consumed).
- A checkpoint never goes back. A shard that leaves the lineage takes its lease with it, but only
  while the lineage shows a newer shard: one that was read before a reshard takes nothing away. For
  the same reason an ancestor of a shard that is known is never taken in again.
- Heartbeats are in memory only. After a restart owners have a whole `lease_ms` to be heard of.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, final

import msgspec

from eventcore import limits
from eventcore.consumers.balance import balance
from eventcore.consumers.checkpoint import (
    FROM_TRIM_HORIZON,
    SHARD_END,
    SHARD_IS_DONE,
    Checkpoint,
    at_timestamp,
)
from eventcore.consumers.records import (
    GROUP_FAMILY,
    LEASE_FAMILY,
    Assignment,
    GroupDescription,
    GroupRecord,
    Heartbeat,
    Lease,
    LeaseDescription,
    LeaseRecord,
    ShardNode,
    StartAt,
    WorkerDescription,
    decode_group,
    decode_lease,
)
from eventcore.errors import InvalidParameter, LeaseLost, LimitExceeded, NotFound
from eventcore.outcome import (
    Mutation,
    Outcome,
    delete_row,
    put_row,
    row_family,
    row_key,
    row_number,
)

__all__ = ["ConsumerGroup"]

_GROUP_KEY: Final = row_key(GROUP_FAMILY, 0)
_AT_ONCE: Final = 0


@final
class _Worker:
    """A live worker. `seen_ms` is None after a restart, until the machine is told the time."""

    __slots__ = ("handover_ms", "is_leaving", "lease_ms", "seen_ms")

    def __init__(self, seen_ms: int | None, lease_ms: int, handover_ms: int) -> None:
        self.seen_ms = seen_ms
        self.lease_ms = lease_ms
        self.handover_ms = handover_ms
        self.is_leaving = False

    @property
    def deadline_ms(self) -> int:
        """When the worker is gone, if nothing is heard of it."""
        return _AT_ONCE if self.seen_ms is None else self.seen_ms + self.lease_ms


@final
class _Handover:
    """A lease that is asked back. `told_ms` is when its owner was told, None before."""

    __slots__ = ("heir", "told_ms")

    def __init__(self, heir: str) -> None:
        self.heir = heir
        self.told_ms: int | None = None


@final
class ConsumerGroup:
    """One group of workers on one stream. Its ARN is the stream's, then "/group/" and its name."""

    def __init__(self, arn: str) -> None:
        self.arn = arn
        self._group: GroupRecord | None = None
        self._leases: dict[int, LeaseRecord] = {}
        self._numbers: dict[str, int] = {}
        self._owned: dict[str, dict[int, None]] = {}
        self._next_number = 1
        # In memory only:
        self._workers: dict[str, _Worker] = {}
        self._handovers: dict[int, _Handover] = {}
        self._lineage: tuple[ShardNode, ...] | None = None
        self._deadline_ms: int | None = None
        """Not later than the first time that something is due."""
        self._is_planned = False
        self._needs_lineage = True
        self.change = 0
        """Grows with every change of an owner, and with every lease that is asked back."""

    # Commands

    def create(self, start: StartAt, now_ms: int) -> Outcome[None]:
        """Makes the group. `start` is for the shards that the first lineage has. Raises
        InvalidParameter("timestamp_ms").
        """
        if start.kind == "TRIM_HORIZON":
            first = FROM_TRIM_HORIZON
        else:
            first = at_timestamp(now_ms if start.kind == "LATEST" else start.timestamp_ms)
        if not 0 <= first.timestamp_ms <= now_ms:
            raise InvalidParameter(
                "timestamp_ms", "Must be 0 or more, and not in the future.", first.timestamp_ms
            )
        mutations: list[Mutation] = []
        record = GroupRecord(now_ms, first, skips_closed=start.kind == "LATEST")
        self._do(put_row(_GROUP_KEY, record, is_new=True), mutations)
        return Outcome(None, tuple(mutations))

    def heartbeat(self, beat: Heartbeat, now_ms: int) -> Outcome[Assignment]:
        """Hears of a worker, and tells it what it owns. Writes rows only for what changes.

        Raises InvalidParameter, LimitExceeded("group_workers_max", "group_leases_max").
        """
        beat.validate()
        if beat.worker_id not in self._workers and len(self._workers) >= limits.GROUP_WORKERS_MAX:
            raise LimitExceeded("group_workers_max", limits.GROUP_WORKERS_MAX)
        added, vanished = self._difference(beat.lineage)
        mutations: list[Mutation] = []
        self._arrive(now_ms)
        self._hear(beat, now_ms, mutations)
        self._expire(now_ms, limits.TICK_STEPS_MAX, mutations)
        if added or vanished:
            self._change_lineage(added, vanished, now_ms, mutations)
        if beat.lineage is not None:
            self._lineage = beat.lineage
        self._plan(mutations)
        return Outcome(self._assignment(beat.worker_id, now_ms), tuple(mutations))

    def checkpoint(
        self, shard_id: str, worker_id: str, counter: int, to: Checkpoint, now_ms: int
    ) -> Outcome[Checkpoint]:
        """Notes how far a shard is consumed; the value is the checkpoint that stands. One that is
        not later changes nothing. At SHARD_END the lease has no owner any more.

        Raises LeaseLost for who is not the owner, or has an older counter; InvalidParameter.
        """
        to.validate()
        number, lease = self._own(shard_id, worker_id, counter)
        if to.order() <= lease.checkpoint.order():
            return Outcome(lease.checkpoint)
        mutations: list[Mutation] = []
        changed = msgspec.structs.replace(lease, checkpoint=to, checkpoint_ms=now_ms)
        if to.kind == SHARD_END:
            self._give(number, changed, "", mutations)
            self._plan(mutations)
        else:
            self._do(put_row(row_key(LEASE_FAMILY, number), changed), mutations)
        return Outcome(to, tuple(mutations))

    def release(self, shard_id: str, worker_id: str, counter: int) -> Outcome[None]:
        """Gives a lease up: its heir has it at once, else who has fewest. Raises LeaseLost."""
        number, lease = self._own(shard_id, worker_id, counter)
        mutations: list[Mutation] = []
        self._free(number, lease, mutations)
        self._plan(mutations)
        return Outcome(None, tuple(mutations))

    def leave(self, worker_id: str) -> Outcome[None]:
        """A worker goes, with all its leases. Nothing happens when it is not known."""
        mutations: list[Mutation] = []
        if worker_id in self._workers:
            self._remove(worker_id, mutations)
            self._plan(mutations)
        return Outcome(None, tuple(mutations))

    # Workers

    def _arrive(self, now_ms: int) -> None:
        """After a restart, the owners' time begins with the first time that is told."""
        if self._deadline_ms != _AT_ONCE:
            return
        for worker in self._workers.values():
            if worker.seen_ms is None:
                worker.seen_ms = now_ms
        self._set_deadline()

    def _hear(self, beat: Heartbeat, now_ms: int, mutations: list[Mutation]) -> None:
        worker = self._workers.get(beat.worker_id)
        if worker is None:
            worker = self._workers[beat.worker_id] = _Worker(now_ms, beat.lease_ms, 0)
            self._is_planned = False
        if worker.is_leaving != beat.is_leaving:
            self._is_planned = False
        worker.seen_ms = now_ms
        worker.lease_ms = beat.lease_ms
        worker.handover_ms = beat.handover_ms
        worker.is_leaving = beat.is_leaving
        self._due_by(worker.deadline_ms)
        group = self._group
        assert group is not None, "create comes first"
        if beat.lease_ms > group.lease_ms:
            self._do(
                put_row(_GROUP_KEY, msgspec.structs.replace(group, lease_ms=beat.lease_ms)),
                mutations,
            )

    def _expire(self, now_ms: int, limit: int, mutations: list[Mutation]) -> None:
        """Removes workers that were silent too long, and passes over owners whose time to hand a
        lease over has ended.
        """
        if self._deadline_ms is None or now_ms < self._deadline_ms:
            return
        for worker_id, worker in list(self._workers.items()):
            if worker.deadline_ms <= now_ms and len(mutations) < limit:
                self._remove(worker_id, mutations)
        for number in list(self._handovers):
            if len(mutations) >= limit:
                break
            deadline_ms = self._handover_deadline(number)
            if deadline_ms is not None and deadline_ms <= now_ms:
                self._free(number, self._leases[number], mutations)
        self._set_deadline()

    def _remove(self, worker_id: str, mutations: list[Mutation]) -> None:
        for number in list(self._owned.get(worker_id, ())):
            self._free(number, self._leases[number], mutations)
        del self._workers[worker_id]
        self._is_planned = False

    def _handover_deadline(self, number: int) -> int | None:
        told_ms = self._handovers[number].told_ms
        if told_ms is None:
            return None
        return told_ms + self._workers[self._leases[number].owner].handover_ms

    # Leases

    def _own(self, shard_id: str, worker_id: str, counter: int) -> tuple[int, LeaseRecord]:
        number = self._numbers.get(shard_id)
        if number is None:
            raise LeaseLost(shard_id, worker_id)
        lease = self._leases[number]
        if lease.owner != worker_id or lease.counter != counter:
            raise LeaseLost(shard_id, worker_id)
        return number, lease

    def _free(self, number: int, lease: LeaseRecord, mutations: list[Mutation]) -> None:
        handover, is_planned = self._handovers.get(number), self._is_planned
        if handover is None or handover.heir not in self._workers:
            self._give(number, lease, "", mutations)
            return
        self._give(number, lease, handover.heir, mutations)
        # The plan has it with its heir already: thousands of hand-overs need no new one.
        self._is_planned = is_planned

    def _give(self, number: int, lease: LeaseRecord, owner: str, mutations: list[Mutation]) -> None:
        self._handovers.pop(number, None)
        changed = msgspec.structs.replace(lease, owner=owner, counter=lease.counter + 1)
        self._do(put_row(row_key(LEASE_FAMILY, number), changed), mutations)
        self._is_planned = False
        self.change += 1

    def _difference(
        self, lineage: tuple[ShardNode, ...] | None
    ) -> tuple[list[ShardNode], list[int]]:
        """The shards to take in, and the numbers of the leases that vanished. Raises
        LimitExceeded, InvalidParameter.
        """
        if not lineage or lineage == self._lineage:
            return [], []
        nodes = {node.shard_id: node for node in lineage}
        if len(nodes) != len(lineage):
            raise InvalidParameter("lineage", "Names a shard twice.", len(lineage))
        newest = max(nodes)
        vanished = [
            number
            for shard_id, number in self._numbers.items()
            if shard_id not in nodes and shard_id < newest
        ]
        passed = self._ancestors(nodes)
        added = [
            node
            for name, node in sorted(nodes.items())
            if name not in self._numbers and name not in passed
        ]
        if len(self._leases) + len(added) - len(vanished) > limits.GROUP_LEASES_MAX:
            raise LimitExceeded("group_leases_max", limits.GROUP_LEASES_MAX)
        return added, vanished

    def _ancestors(self, nodes: Mapping[str, ShardNode]) -> set[str]:
        """All ancestors of the shards that have leases."""
        found: set[str] = set()
        ahead = [name for lease in self._leases.values() for name in lease.parents]
        while ahead:
            name = ahead.pop()
            if name not in found:
                found.add(name)
                ahead += nodes[name].parents if name in nodes else ()
        return found

    def _change_lineage(
        self,
        added: Iterable[ShardNode],
        vanished: Iterable[int],
        now_ms: int,
        mutations: list[Mutation],
    ) -> None:
        group = self._group
        assert group is not None, "create comes first"
        for number in vanished:
            self._handovers.pop(number, None)
            self._do(delete_row(row_key(LEASE_FAMILY, number)), mutations)
        for node in added:
            checkpoint = FROM_TRIM_HORIZON
            if not group.has_shards:
                is_done = group.skips_closed and node.is_closed
                checkpoint = SHARD_IS_DONE if is_done else group.start
            lease = LeaseRecord(
                node.shard_id, node.parents, "", group.created_ms, checkpoint, now_ms
            )
            key = row_key(LEASE_FAMILY, self._next_number)
            self._do(put_row(key, lease, is_new=True), mutations)
        if not group.has_shards:
            seen = msgspec.structs.replace(group, has_shards=True)
            self._do(put_row(_GROUP_KEY, seen), mutations)
        self._is_planned = False
        self.change += 1

    # Planning

    def _plan(self, mutations: list[Mutation]) -> None:
        """Gives free leases away, and asks for those that should be another's."""
        if self._is_planned:
            return
        holdings: dict[str, list[int]] = {
            name: [] for name, worker in self._workers.items() if not worker.is_leaving
        }
        for number, handover in list(self._handovers.items()):
            if handover.heir not in holdings:
                del self._handovers[number]
        free = []
        for number, lease in self._leases.items():
            if not self._is_assignable(lease):
                continue
            pending = self._handovers.get(number)
            holder = lease.owner if pending is None else pending.heir
            if holder in holdings:
                holdings[holder].append(number)
            else:
                free.append(number)
        moves = balance(holdings, free, self._handovers.__contains__)
        for number in sorted(moves):
            self._place(number, moves[number], mutations)
        self._is_planned = True
        self._needs_lineage = self._has_unknown_children()

    def _has_unknown_children(self) -> bool:
        """A shard that has ended has children: whoever ended it may not have lived to tell them."""
        parents = {name for lease in self._leases.values() for name in lease.parents}
        return not self._leases or any(
            lease.checkpoint.kind == SHARD_END and lease.shard_id not in parents
            for lease in self._leases.values()
        )

    def _place(self, number: int, worker_id: str, mutations: list[Mutation]) -> None:
        lease = self._leases[number]
        handover = self._handovers.get(number)
        if not lease.owner:
            self._give(number, lease, worker_id, mutations)
        elif lease.owner == worker_id:
            del self._handovers[number]  # it was asked back, and may stay after all
        elif handover is None:
            self._handovers[number] = _Handover(worker_id)
            self.change += 1
        else:
            handover.heir = worker_id

    def _is_assignable(self, lease: LeaseRecord) -> bool:
        if lease.checkpoint.kind == SHARD_END:
            return False
        for name in lease.parents:
            number = self._numbers.get(name)
            if number is not None and self._leases[number].checkpoint.kind != SHARD_END:
                return False
        return True

    def _assignment(self, worker_id: str, now_ms: int) -> Assignment:
        leases = []
        for number in sorted(self._owned.get(worker_id, ())):
            lease = self._leases[number]
            handover = self._handovers.get(number)
            left_ms = None
            if handover is not None:
                if handover.told_ms is None:
                    handover.told_ms = now_ms
                deadline_ms = self._handover_deadline(number)
                assert deadline_ms is not None
                self._due_by(deadline_ms)
                left_ms = max(0, deadline_ms - now_ms)
            leases.append(Lease(lease.shard_id, lease.counter, lease.checkpoint, left_ms))
        is_settled = all(handover.heir != worker_id for handover in self._handovers.values())
        return Assignment(
            tuple(leases), len(self._workers), is_settled, self._needs_lineage, self.change
        )

    # Time

    def next_deadline(self) -> int | None:
        """When a worker may be gone, or an owner's time to hand a lease over may be over."""
        return self._deadline_ms

    def tick(self, now_ms: int, limit: int) -> Outcome[None]:
        """Frees the leases of workers that are gone, and those not handed over in time."""
        mutations: list[Mutation] = []
        self._arrive(now_ms)
        self._expire(now_ms, limit, mutations)
        self._plan(mutations)
        return Outcome(None, tuple(mutations))

    def _due_by(self, deadline_ms: int) -> None:
        if self._deadline_ms is None or deadline_ms < self._deadline_ms:
            self._deadline_ms = deadline_ms

    def _set_deadline(self) -> None:
        deadlines = [worker.deadline_ms for worker in self._workers.values()]
        for number in self._handovers:
            deadline_ms = self._handover_deadline(number)
            if deadline_ms is not None:
                deadlines.append(deadline_ms)
        self._deadline_ms = min(deadlines, default=None)

    # State

    def apply(self, mutation: Mutation) -> None:
        """The only code that changes the group's durable state."""
        if row_family(mutation.key) == GROUP_FAMILY:
            if mutation.value is not None:
                self._group = mutation.record or decode_group(mutation.value)
            return
        number = row_number(mutation.key)
        self._next_number = max(self._next_number, number + 1)
        old = self._leases.pop(number, None)
        if old is not None:
            del self._numbers[old.shard_id]
            self._disown(old.owner, number)
        if mutation.value is None:
            return
        lease: LeaseRecord = mutation.record or decode_lease(mutation.value)
        self._leases[number] = lease
        self._numbers[lease.shard_id] = number
        if lease.owner:
            self._owned.setdefault(lease.owner, {})[number] = None
            if lease.owner not in self._workers:
                self._remember(lease.owner)

    def _disown(self, owner: str, number: int) -> None:
        owned = self._owned.get(owner)
        if owned is not None:
            owned.pop(number, None)
            if not owned:
                del self._owned[owner]

    def _remember(self, owner: str) -> None:
        """An owner that a row names: in recovery, nothing else is known of it."""
        lease_ms = limits.LEASE_MS_DEFAULT if self._group is None else self._group.lease_ms
        self._workers[owner] = _Worker(None, lease_ms, lease_ms)
        self._deadline_ms = _AT_ONCE
        self._is_planned = False

    def _do(self, mutation: Mutation, mutations: list[Mutation]) -> None:
        self.apply(mutation)
        mutations.append(mutation)

    # Observation

    @property
    def name(self) -> str:
        """The group's name."""
        return self.arn.rpartition("/group/")[2]

    @property
    def worker_count(self) -> int:
        """Live workers, as far as heartbeats tell."""
        return len(self._workers)

    def find(self, shard_id: str) -> LeaseDescription:
        """The lease of a shard. Raises NotFound("lease", shard)."""
        number = self._numbers.get(shard_id)
        if number is None:
            raise NotFound("lease", shard_id, self.name)
        return self._describe(number)

    def describe(self, now_ms: int) -> GroupDescription:
        """The whole group as it stands."""
        assert self._group is not None, "create comes first"
        return GroupDescription(
            created_ms=self._group.created_ms,
            leases=tuple(self._describe(number) for _, number in sorted(self._numbers.items())),
            workers=tuple(
                WorkerDescription(
                    worker_id=name,
                    leases=len(self._owned.get(name, ())),
                    silent_ms=0 if w.seen_ms is None else max(0, now_ms - w.seen_ms),
                    lease_ms=w.lease_ms,
                    is_leaving=w.is_leaving,
                )
                for name, w in sorted(self._workers.items())
            ),
        )

    def _describe(self, number: int) -> LeaseDescription:
        lease, handover = self._leases[number], self._handovers.get(number)
        return LeaseDescription(
            shard_id=lease.shard_id,
            parents=lease.parents,
            owner=lease.owner,
            heir="" if handover is None else handover.heir,
            counter=lease.counter,
            checkpoint=lease.checkpoint,
            checkpoint_ms=lease.checkpoint_ms,
        )

    def check(self) -> None:
        """Asserts the invariants of the module's text."""
        assert self._group is not None or not self._leases
        assert {lease.shard_id: n for n, lease in self._leases.items()} == self._numbers
        assert all(number < self._next_number for number in self._leases)
        owned: dict[str, set[int]] = {}
        for number, lease in self._leases.items():
            if lease.owner:
                assert lease.owner in self._workers
                assert self._group is not None and lease.counter > self._group.created_ms
                assert lease.checkpoint.kind != SHARD_END
                assert self._is_assignable(lease)
                owned.setdefault(lease.owner, set()).add(number)
        assert owned == {owner: set(numbers) for owner, numbers in self._owned.items()}
        for number, handover in self._handovers.items():
            assert self._leases[number].owner not in {"", handover.heir}
            assert handover.heir in self._workers
        for worker in self._workers.values():
            assert self._deadline_ms is not None and self._deadline_ms <= worker.deadline_ms
        self._check_balance()

    def _check_balance(self) -> None:
        takers = {name for name, worker in self._workers.items() if not worker.is_leaving}
        if not self._is_planned or not takers:
            return
        loads = dict.fromkeys(takers, 0)
        for number, lease in self._leases.items():
            if self._is_assignable(lease):
                handover = self._handovers.get(number)
                loads[lease.owner if handover is None else handover.heir] += 1
        assert max(loads.values()) - min(loads.values()) <= 1
