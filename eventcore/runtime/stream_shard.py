"""One worker on one shard: reads, has the records handled, writes checkpoints, until the end.

Rules of this file:

- Records of one partition key are handled in order and one at a time; with `concurrency` 1, all of
  the shard are. Different keys of one read may be handled side by side.
- The checkpoint is what all before is done: never a record behind one that is not.
- Before anything is begun, the worker's own clock is compared with the end of the lease: a worker
  that was stalled stops by itself, before it hears that the shard is another's. A handler that is
  running then is cancelled (one in a thread can not be).
- Stopped gently, nothing new is begun; what runs is finished, and its checkpoint is written.
- SHARD_END is written when every record of a closed shard is handled, and nothing before.
"""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import Final, Literal, TypeVar, final

import anyio
import msgspec

from eventcore.consumers.checkpoint import SHARD_IS_DONE, Checkpoint, after_record
from eventcore.consumers.records import Lease
from eventcore.errors import BrokerClosed, EventcoreError, InvalidParameter, LeaseLost, NotFound
from eventcore.runtime.lease_source import LeaseSource
from eventcore.runtime.stream_handling import HandlingOptions, RecordBatch, handle
from eventcore.runtime.stream_pauses import Pauses
from eventcore.runtime.stream_source import (
    ShardReader,
    ShardRecords,
    ShardSource,
    SourceShard,
    StreamRecord,
)
from eventcore.runtime.telemetry import logger_of
from eventcore.streams.aggregation import deaggregate

__all__ = ["ShardConsumer", "ShardLag", "ShardWork"]

T = TypeVar("T")
READ_WAIT_MS: Final = 20_000
FAULT_PAUSE_MS_FIRST: Final = 100
FAULT_PAUSE_MS_MAX: Final = 10_000

Ending = Literal["stopped", "ended", "lost", "vanished"]
"""stopped: gently, and the lease is still ours; ended: the shard is consumed; lost: the lease is
over or another's; vanished: the shard, or its stream, is not there.
"""

log = logger_of("eventcore.stream_worker")


class ShardLag(msgspec.Struct, frozen=True):
    """How far a shard's consumer is behind: `behind_ms` in time, `behind_records` in records; None
    where nobody knows (yet). `checkpoint` is the latest that is durable.
    """

    shard_id: str
    behind_ms: int | None
    behind_records: int | None
    checkpoint: Checkpoint


class ShardWork(msgspec.Struct, frozen=True):
    """What the consumers of one worker share."""

    source: ShardSource
    leases: LeaseSource
    worker_id: str
    options: HandlingOptions
    pauses: Pauses
    abandoned: anyio.Event


@final
class ShardConsumer:
    """The consumer of one lease. `run` is its whole life; `ends_ms` is when the lease is over by
    the worker's clock, and is put off by each heartbeat.
    """

    def __init__(
        self, work: ShardWork, lease: Lease, ends_ms: int, shard: SourceShard | None = None
    ) -> None:
        self.shard_id = lease.shard_id
        self.counter = lease.counter
        self.ends_ms = ends_ms
        self._work = work
        self._options = work.options
        self._shard = shard or SourceShard(lease.shard_id)
        self._written = lease.checkpoint
        self._position = lease.checkpoint
        """Behind what was handled last: where a new reader begins."""
        self._behind_ms: int | None = None
        self._behind_records: int | None = None
        self._is_stopping = False
        self._is_finishing = False
        self._ending: Ending | None = None
        self._whole = anyio.CancelScope()
        self._interruptible: set[anyio.CancelScope] = set()
        self._writing = anyio.Lock()

    # What the worker does with it

    async def run(self) -> Ending:
        """Consumes until the end, whichever it is. Never raises, except when it is cancelled."""
        with self._whole:
            await self._consume()
        if self._is_ours():
            self._ending = "stopped"
        assert self._ending is not None
        return self._ending

    def stop(self) -> None:
        """Gently: what runs is finished."""
        self._is_stopping = True
        for scope in list(self._interruptible):
            scope.cancel()

    def abort(self) -> None:
        """At once: the shard is not ours any more. May be called again."""
        self._is_ours()  # says so, if it was not known
        self._ending = self._ending or "lost"
        self._whole.cancel()

    @property
    def is_finishing(self) -> bool:
        """Whether SHARD_END is being written: the group may know of it before this does."""
        return self._is_finishing

    @property
    def is_lost(self) -> bool:
        """Whether it was told that the shard is not ours any more."""
        return self._ending == "lost"

    @property
    def lag(self) -> ShardLag:
        """How far it is behind."""
        return ShardLag(self.shard_id, self._behind_ms, self._behind_records, self._written)

    @property
    def abandoned(self) -> anyio.Event:
        """See Course."""
        return self._work.abandoned

    def may_go_on(self) -> bool:
        """Whether something new may be begun."""
        return self._is_ours() and not self._is_stopping

    def _is_ours(self) -> bool:
        """Once it is not, it never is again: what was left out would be passed over."""
        if self._ending is None and self._work.pauses.now_ms() >= self.ends_ms:
            log.warning("lease_over", shard=self.shard_id, worker=self._work.worker_id)
            self._ending = "lost"
        return self._ending is None

    async def pause(self, duration_ms: int) -> None:
        """Waits; `stop` ends it."""
        await self._unless_stopped(self._work.pauses.sleep(duration_ms))

    async def _unless_stopped(self, waiting: Awaitable[T]) -> T | None:
        with anyio.CancelScope() as scope:
            self._interruptible.add(scope)
            if self._is_stopping:
                scope.cancel()
            try:
                return await waiting
            finally:
                self._interruptible.discard(scope)
        return None

    # Reading

    async def _consume(self) -> None:
        pause_ms = FAULT_PAUSE_MS_FIRST
        while self.may_go_on():
            reader = self._work.source.open_reader(self.shard_id, self._position)
            wait_ms = 0  # at first, so that the lag is known of an idle shard, too
            try:
                while self.may_go_on():
                    page = await self._unless_stopped(reader.read(self._options.batch_max, wait_ms))
                    wait_ms = READ_WAIT_MS
                    if page is None or not self.may_go_on():
                        break
                    pause_ms = FAULT_PAUSE_MS_FIRST
                    await self._take(page)
            except NotFound as error:
                log.warning("shard_vanished", shard=self.shard_id, error=str(error))
                self._ending = self._ending or "vanished"
            except BrokerClosed:
                self._ending = self._ending or "lost"
            except EventcoreError as error:
                log.warning("read_failed", shard=self.shard_id, error=str(error))
                await self.pause(pause_ms)
            except Exception:
                log.exception("read_failed", shard=self.shard_id)
                await self.pause(pause_ms)
            finally:
                await self._close(reader)
            pause_ms = min(pause_ms * 2, FAULT_PAUSE_MS_MAX)

    async def _close(self, reader: ShardReader) -> None:
        with anyio.CancelScope(shield=True):
            try:
                await reader.close()
            except Exception:
                log.exception("close_failed", shard=self.shard_id)

    async def _take(self, page: ShardRecords) -> None:
        """Has a page handled, and goes on behind it if all of it is done."""
        self._behind_ms, self._behind_records = page.behind_ms, page.behind_records
        records = self._user_records(page.records)
        size = self._options.batch_max
        for begin in range(0, len(records), size):
            chunk = _Chunk(records, begin, min(begin + size, len(records)))
            is_done = await self._handle(chunk, page)
            if chunk.reached is not None:
                self._position = chunk.reached
                await self._write_unless_handler(chunk.reached)
            if not is_done:
                return
        if page.records:
            self._position = after_record(page.records[-1].sequence_number)
            await self._write_unless_handler(self._position)
        if page.is_end and await self._end_shard(page):
            self._ending = self._ending or "ended"

    def _user_records(self, records: Sequence[StreamRecord]) -> Sequence[StreamRecord]:
        if not self._options.deaggregate:
            return records
        found: list[StreamRecord] = []
        for record in records:
            users = deaggregate(record.data)
            if users is None:
                found.append(record)
                continue
            first = self._first_user_record(record)
            for sub, user in enumerate(users[first:], start=first):
                if self._options.skip_misplaced and not (
                    self._shard.first_hash <= user.hash_key <= self._shard.last_hash
                ):
                    continue
                found.append(
                    StreamRecord(
                        shard_id=self.shard_id,
                        sequence_number=record.sequence_number,
                        sub_sequence_number=sub,
                        partition_key=user.partition_key,
                        explicit_hash_key=user.explicit_hash_key,
                        data=user.data,
                        arrived_ms=record.arrived_ms,
                    )
                )
        return found

    def _first_user_record(self, record: StreamRecord) -> int:
        position = self._position
        if (
            position.sequence_number == record.sequence_number
            and position.sub_sequence_number is not None
        ):
            return position.sub_sequence_number + 1
        return 0

    # Handling

    async def _handle(self, chunk: _Chunk, page: ShardRecords) -> bool:
        """Whether all of the chunk is done."""
        if self._options.batches:
            return await self._handle_batch(chunk, page)
        if self._options.concurrency == 1:
            for at in range(len(chunk)):
                if not await self._handle_record(chunk, at):
                    return False
            return True
        return await self._handle_side_by_side(chunk)

    async def _handle_record(self, chunk: _Chunk, at: int) -> bool:
        record = chunk[at]
        if not await handle(self._options, self, lambda _: record):
            return False
        if chunk.mark(at) and self._options.checkpoint == "record":
            assert chunk.reached is not None
            await self._write(chunk.reached)
        return True

    async def _handle_side_by_side(self, chunk: _Chunk) -> bool:
        """A lane per partition key, `concurrency` of them at a time."""
        lanes: dict[str, list[int]] = {}
        for at in range(len(chunk)):
            lanes.setdefault(chunk[at].partition_key, []).append(at)
        waiting = iter(lanes.values())
        is_done = True

        async def work() -> None:
            nonlocal is_done
            for lane in waiting:
                for at in lane:
                    if not await self._handle_record(chunk, at):
                        is_done = False
                        return

        async with anyio.create_task_group() as workers:
            for _ in range(min(self._options.concurrency, len(lanes))):
                workers.start_soon(work)
        return is_done

    async def _handle_batch(
        self, chunk: _Chunk, page: ShardRecords, *, is_shard_end: bool = False
    ) -> bool:
        done = -1

        async def checkpoint(record: StreamRecord | None) -> None:
            nonlocal done
            at = len(chunk) - 1 if record is None else chunk.find(record)
            if at > done:
                await self._write_or_raise(chunk.position(at))
                done = max(done, at)

        def make(attempt: int) -> RecordBatch | None:
            if done == len(chunk) - 1 and not is_shard_end:
                return None
            return RecordBatch(
                self.shard_id,
                chunk.records(done + 1),
                checkpoint,
                attempt=attempt,
                behind_ms=page.behind_ms,
                is_shard_end=is_shard_end,
            )

        is_done = await handle(self._options, self, make)
        if is_done:
            chunk.mark_all()
        elif done >= 0:
            for at in range(done + 1):
                chunk.mark(at)
        return is_done

    async def _end_shard(self, page: ShardRecords) -> bool:
        """Writes SHARD_END. A handler that writes checkpoints itself is told first, with an empty
        batch: what it holds back must be done when it returns.
        """
        if not self.may_go_on():
            return False
        if self._options.checkpoint == "handler" and not await self._handle_batch(
            _Chunk((), 0, 0), page, is_shard_end=True
        ):
            return False
        self._is_finishing = True
        return await self._write(SHARD_IS_DONE)

    # Checkpoints

    async def _write_unless_handler(self, to: Checkpoint) -> None:
        if self._options.checkpoint != "handler":
            await self._write(to)

    async def _write(self, to: Checkpoint) -> bool:
        """Writes a checkpoint, again until it is written, lost, or the lease is over."""
        pause_ms = FAULT_PAUSE_MS_FIRST
        while self._is_ours():
            try:
                await self._write_or_raise(to)
            except (LeaseLost, BrokerClosed, NotFound) as error:
                log.warning("checkpoint_refused", shard=self.shard_id, error=str(error))
                self._ending = "lost"
            except EventcoreError as error:
                log.warning("checkpoint_failed", shard=self.shard_id, error=str(error))
                await self._work.pauses.sleep(pause_ms)
                pause_ms = min(pause_ms * 2, FAULT_PAUSE_MS_MAX)
            else:
                return True
        return False

    async def _write_or_raise(self, to: Checkpoint) -> None:
        async with self._writing:
            if to.order() <= self._written.order():
                return
            work = self._work
            if not self._is_ours():
                raise LeaseLost(self.shard_id, work.worker_id)
            await work.leases.checkpoint(self.shard_id, work.worker_id, self.counter, to)
            self._written = to


@final
class _Chunk:
    """Records `begin` to `end` - 1 of a read, and which of them are done."""

    def __init__(self, records: Sequence[StreamRecord], begin: int, end: int) -> None:
        self._records = records
        self._begin = begin
        self._end = end
        self._is_done = bytearray(end - begin)
        self._first_open = 0

    def __len__(self) -> int:
        return self._end - self._begin

    def __getitem__(self, at: int) -> StreamRecord:
        return self._records[self._begin + at]

    def records(self, first: int) -> Sequence[StreamRecord]:
        return self._records[self._begin + first : self._end]

    def find(self, record: StreamRecord) -> int:
        place = (record.sequence_number, record.sub_sequence_number)
        for at in range(len(self)):
            if (self[at].sequence_number, self[at].sub_sequence_number) == place:
                return at
        raise InvalidParameter("record", "Is not in this batch.", record.sequence_number)

    def position(self, at: int) -> Checkpoint:
        """The checkpoint behind a record. The last user record of an aggregate stands for all."""
        record = self[at]
        after = self._begin + at + 1
        is_inside = (
            record.sub_sequence_number is not None
            and after < len(self._records)
            and self._records[after].sequence_number == record.sequence_number
        )
        return after_record(
            record.sequence_number, record.sub_sequence_number if is_inside else None
        )

    def mark(self, at: int) -> bool:
        """Notes that a record is done; whether all before it and some more are done now."""
        self._is_done[at] = 1
        before = self._first_open
        while self._first_open < len(self) and self._is_done[self._first_open]:
            self._first_open += 1
        return self._first_open > before

    def mark_all(self) -> None:
        self._first_open = len(self)

    @property
    def reached(self) -> Checkpoint | None:
        """The checkpoint behind the last record before which all are done."""
        return self.position(self._first_open - 1) if self._first_open else None
