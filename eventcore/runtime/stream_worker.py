"""One worker of a consumer group: it says that it lives, consumes the shards that it is given, and
gives them up when it is told to.

    worker = eventcore.StreamWorker(source=..., leases=..., handler=handle_order)
    await worker.run()

Rules of this file:

- A shard is consumed from its checkpoint on, by one worker at a time, its parents before it: at
  least once, and in order per partition key, across resharding, crashes and hand-overs.
- The end of a lease counts from when the heartbeat was sent, by this worker's clock, so it is never
  later here than where leases are given. What is not renewed by then is cancelled.
- A lease that is asked back is given up when what runs is finished, and its checkpoint is durable.
- Stopping gives up all shards in the same way, for `drain_ms` at the most; then the rest is
  cancelled. In both cases the others have them at once, and nothing that was begun is forgotten.
- A lease that was given up is not taken again with the same counter: an answer that was on its way
  meanwhile says nothing new.
"""

from __future__ import annotations

from collections.abc import Coroutine, Sequence
from typing import Any, Final, final

import anyio
import anyio.abc

from eventcore import limits
from eventcore.clock import Clock, SystemClock
from eventcore.consumers.records import Assignment, Heartbeat, Lease
from eventcore.errors import (
    BrokerClosed,
    EventcoreError,
    InvalidParameter,
    LeaseLost,
    NotFound,
)
from eventcore.ids import SystemIds, format_uuid
from eventcore.runtime.consumer import Handler
from eventcore.runtime.lease_source import LeaseSource
from eventcore.runtime.stream_handling import CheckpointMode, HandlingOptions, OnFailure
from eventcore.runtime.stream_pauses import Pauses, Signal
from eventcore.runtime.stream_shard import ShardConsumer, ShardLag, ShardWork
from eventcore.runtime.stream_source import ShardSource, SourceShard
from eventcore.runtime.telemetry import WarningLimiter, logger_of

__all__ = ["DRAIN_MS_DEFAULT", "StreamWorker"]

HEARTBEATS_PER_LEASE: Final = 3
FAULT_PAUSE_MS_MIN: Final = 20
FAULT_PAUSE_MS_MAX: Final = 1_000
LINEAGE_MS_MIN: Final = 200
LINEAGE_MS_MAX: Final = 10_000
"""Between two looks at the shards that were both called for; twice as long after each that told
nothing new.
"""
DRAIN_MS_DEFAULT: Final = 30_000
LEAVE_SECONDS_MAX: Final = 5.0

log = logger_of("eventcore.stream_worker")


@final
class StreamWorker:
    """A worker. `run` is its whole life; `stop` ends it gently."""

    def __init__(
        self,
        *,
        source: ShardSource,
        leases: LeaseSource,
        handler: Handler,
        worker_id: str | None = None,
        checkpoint: CheckpointMode = "batch",
        batches: bool = False,
        batch_max: int = 1_000,
        concurrency: int = 1,
        deaggregate: bool = False,
        skip_misplaced: bool = False,
        attempts_max: int | None = None,
        on_failure: OnFailure | None = None,
        lease_ms: int = limits.LEASE_MS_DEFAULT,
        handover_ms: int | None = None,
        drain_ms: int = DRAIN_MS_DEFAULT,
        clock: Clock | None = None,
    ) -> None:
        """`handler` takes a `StreamRecord`, or with `batches` a `RecordBatch`; one that is no
        coroutine function runs in a thread. `checkpoint` is written after each "batch" that was
        read, after each "record", or by the "handler" with `batch.checkpoint`. `concurrency` is how
        many partition keys of a shard are handled at a time; 1 keeps the order of the whole shard.

        `deaggregate` gives the user records of the KPL's aggregates; `skip_misplaced` leaves out
        those that do not belong to the shard, as the KCL does, because the KPL sends them again.

        What fails is handled again until it succeeds, its shard waits; with `attempts_max`, it goes
        to `on_failure` after so many calls (see `stream_handling`).

        `worker_id` must be unique in the group; by default a random one. A worker that is silent
        for `lease_ms` loses its shards; `handover_ms` (default: the same) is how long it may go on
        with one that it was asked to hand over; `drain_ms` is for what runs when it is stopped.
        Raises InvalidParameter.
        """
        self.worker_id = format_uuid(SystemIds().unique_id()) if worker_id is None else worker_id
        self._options = HandlingOptions(
            handler=handler,
            checkpoint=checkpoint,
            batches=batches,
            batch_max=batch_max,
            concurrency=concurrency,
            deaggregate=deaggregate,
            skip_misplaced=skip_misplaced,
            attempts_max=attempts_max,
            on_failure=on_failure,
        )
        self._options.validate()
        self._lease_ms = lease_ms
        self._handover_ms = lease_ms if handover_ms is None else handover_ms
        Heartbeat(self.worker_id, None, self._lease_ms, self._handover_ms).validate()
        if drain_ms < 0:
            raise InvalidParameter("drain_ms", "Must be 0 or more.", drain_ms)
        self._drain_ms = drain_ms
        self._source = source
        self._leases = leases
        self._pauses = Pauses(clock or SystemClock())
        self._warnings = WarningLimiter(self._pauses.now_ms)
        self._abandoned = anyio.Event()
        self._work = ShardWork(
            source, leases, self.worker_id, self._options, self._pauses, self._abandoned
        )
        self._consumers: dict[str, ShardConsumer] = {}
        self._given_up: dict[str, int] = {}
        self._releasing: set[str] = set()
        self._shards: dict[str, SourceShard] = {}
        self._lineage_ms: int | None = None
        self._is_lineage_due = True
        self._lineage_pause_ms = LINEAGE_MS_MIN
        self._is_stopping = False
        self._is_over = False
        self._stopped = anyio.Event()
        self._beat_now, self._ends_changed = Signal(), Signal()
        self._waiting: anyio.CancelScope | None = None
        self._one_less = anyio.Event()

    # Life

    async def run(self) -> None:
        """Consumes until `stop` or cancellation, which both drain first, or until the stream is
        deleted or the broker closed. Returns at once when there is no such stream, which the log
        says. Runs once.
        """
        async with anyio.create_task_group() as group:
            group.start_soon(self._stop_when_cancelled)
            with anyio.CancelScope(shield=True):
                await self._run()
            group.cancel_scope.cancel()

    def stop(self) -> None:
        """Ends it gently: what runs is finished, `drain_ms` at the most; then `run` returns."""
        self._is_stopping = True
        for consumer in self._consumers.values():
            consumer.stop()
        self._wake()
        self._stopped.set()

    def lag(self) -> list[ShardLag]:
        """How far the shards of this worker are behind, by shard."""
        return [self._consumers[name].lag for name in sorted(self._consumers)]

    async def _stop_when_cancelled(self) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            self.stop()

    async def _run(self) -> None:
        try:
            async with anyio.create_task_group() as beats:
                beats.start_soon(self._watch_ends)
                async with anyio.create_task_group() as consumers:
                    beats.start_soon(self._beat, consumers)
                    try:
                        await self._stopped.wait()
                    finally:
                        # A cancel() of the bare asyncio task arrives here, where a shield does not
                        # help.
                        self.stop()
                        await self._drain(consumers)
                self._is_over = True
                beats.cancel_scope.cancel()
        finally:
            await self._leave()

    async def _drain(self, consumers: anyio.abc.TaskGroup) -> None:
        with anyio.move_on_after(self._drain_ms / 1000, shield=True):
            while self._consumers:
                self._one_less = anyio.Event()
                await self._one_less.wait()
        if self._consumers:
            log.warning("drain_timeout", worker=self.worker_id, shards=len(self._consumers))
        self._abandoned.set()
        consumers.cancel_scope.cancel()

    async def _leave(self) -> None:
        with anyio.move_on_after(LEAVE_SECONDS_MAX, shield=True):
            await self._try(self._leases.leave(self.worker_id))
            await self._try(self._leases.close())
            await self._try(self._source.close())

    async def _try(self, last: Coroutine[Any, Any, None]) -> None:
        """Without it the others have the shards when the lease is over."""
        try:
            await last
        except (BrokerClosed, NotFound):
            pass  # there is no group any more
        except EventcoreError as error:
            log.warning("leave_failed", worker=self.worker_id, error=str(error))
        except Exception:
            log.exception("leave_failed", worker=self.worker_id)

    # Heartbeats

    async def _beat(self, consumers: anyio.abc.TaskGroup) -> None:
        """Until the end, while draining too: shards that are still being finished stay ours."""
        change = -1
        while True:
            lineage = await self._look_at_shards()
            if self._is_stopping and not self._consumers:
                return
            if lineage is not None and not lineage:  # the stream is being created
                await self._pauses.sleep(LINEAGE_MS_MIN)
                continue
            sent_ms = self._pauses.now_ms()
            try:
                assignment = await self._leases.heartbeat(
                    Heartbeat(
                        self.worker_id,
                        None if lineage is None else tuple(shard.node for shard in lineage),
                        self._lease_ms,
                        self._handover_ms,
                        self._is_stopping,
                    )
                )
            except BrokerClosed:
                self._end("broker_closed")
                return
            except Exception as error:  # noqa: BLE001  (whatever a source raises: heartbeats go on)
                if lineage is not None or isinstance(error, NotFound):
                    self._is_lineage_due = True
                if isinstance(error, NotFound):
                    self._lose_all()
                self._log_fault("heartbeat_failed", error)
                await self._pauses.sleep(self._fault_pause_ms)
                continue
            change = assignment.change
            self._is_lineage_due = self._is_lineage_due or assignment.needs_lineage
            self._take(assignment, sent_ms, consumers)
            due_ms = sent_ms + self._lease_ms // HEARTBEATS_PER_LEASE
            await self._wait(change, due_ms - self._pauses.now_ms())

    def _lose_all(self) -> None:
        """The group is gone, with all its leases. What is made anew has nothing to do with it."""
        self._given_up.clear()
        for consumer in self._consumers.values():
            consumer.abort()

    @property
    def _fault_pause_ms(self) -> int:
        return min(max(FAULT_PAUSE_MS_MIN, self._lease_ms // 10), FAULT_PAUSE_MS_MAX)

    async def _look_at_shards(self) -> Sequence[SourceShard] | None:
        """All shards, when it is time to look; None when it is not, or can not be done."""
        now_ms = self._pauses.now_ms()
        if self._lineage_ms is not None:
            age_ms = now_ms - self._lineage_ms
            is_due = self._is_lineage_due and age_ms >= self._lineage_pause_ms
            if not is_due and age_ms < self._source.lineage_ms:
                return None
        try:
            with anyio.move_on_after(self._lease_ms / 1000 / HEARTBEATS_PER_LEASE):
                shards = await self._source.list_shards()
                known = self._shards
                self._lineage_ms, self._is_lineage_due = now_ms, not shards
                self._shards = {shard.shard_id: shard for shard in shards}
                is_new = known.keys() != self._shards.keys()
                pause_ms = LINEAGE_MS_MIN if is_new else self._lineage_pause_ms * 2
                self._lineage_pause_ms = min(pause_ms, LINEAGE_MS_MAX)
                return shards
        except NotFound:
            self._end_without_stream()
        except Exception as error:  # noqa: BLE001  (whatever a source raises: heartbeats go on)
            self._log_fault("list_shards_failed", error)
        return None

    async def _wait(self, change: int, wait_ms: int) -> None:
        """Until the group changes, `wait_ms` are over, or a heartbeat is called for."""
        if wait_ms <= 0 or self._beat_now.take():
            return
        with anyio.CancelScope() as self._waiting:
            try:
                if self._is_lineage_due:
                    wait_ms = min(wait_ms, self._lineage_pause_ms)
                await self._leases.wait(change, wait_ms)
            except BrokerClosed:
                self._end("broker_closed")
            except Exception as error:  # noqa: BLE001  (whatever a source raises: heartbeats go on)
                self._log_fault("wait_failed", error)
                await self._pauses.sleep(min(wait_ms, self._fault_pause_ms))
        self._waiting = None
        self._beat_now.take()

    def _wake(self) -> None:
        self._beat_now.set()
        if self._waiting is not None:
            self._waiting.cancel()

    def _end_without_stream(self) -> None:
        if self._lineage_ms is None:
            log.error("stream_not_found", stream=self._source.stream_arn)
            self._end("stream_not_found")
        else:
            log.warning("stream_deleted", stream=self._source.stream_arn)
            self._end("stream_deleted")

    def _end(self, reason: str) -> None:
        """There is nothing to consume any more."""
        if not self._is_stopping:
            log.info("worker_ends", worker=self.worker_id, reason=reason)
            self.stop()

    def _log_fault(self, event: str, error: Exception) -> None:
        """A fault that lasts comes with every heartbeat, and is written now and then."""
        suppressed = self._warnings.admit(f"{event} {type(error).__name__}")
        if suppressed is None:
            return
        facts: dict[str, Any] = {"worker": self.worker_id, "not_logged_since": suppressed}
        if isinstance(error, EventcoreError):
            log.warning(event, error=str(error), **facts)
        else:
            log.error(event, exc_info=error, **facts)

    # Leases

    def _take(self, assignment: Assignment, sent_ms: int, consumers: anyio.abc.TaskGroup) -> None:
        owned = {lease.shard_id: lease for lease in assignment.leases}
        for shard_id, consumer in self._consumers.items():
            lease = owned.get(shard_id)
            if lease is None and consumer.is_finishing:
                continue
            if lease is None or lease.counter != consumer.counter:
                consumer.abort()
        for lease in assignment.leases:
            ends_ms = sent_ms + self._lease_ms
            if lease.handover_ms is not None:
                ends_ms = min(ends_ms, sent_ms + lease.handover_ms)
            running = self._consumers.get(lease.shard_id)
            if running is not None:
                if running.counter == lease.counter and not running.is_lost:
                    running.ends_ms = ends_ms
                    if lease.handover_ms is not None:
                        running.stop()
            elif lease.counter <= self._given_up.get(lease.shard_id, -1):
                # The answer is from before, or giving it up did not succeed.
                self._release_later(lease.shard_id, lease.counter, consumers)
            elif lease.handover_ms is not None or self._is_stopping:
                self._release_later(lease.shard_id, lease.counter, consumers)
            elif ends_ms > self._pauses.now_ms():
                self._start(lease, ends_ms, consumers)
        self._given_up = {
            name: counter for name, counter in self._given_up.items() if name in self._shards
        }
        self._ends_changed.set()

    def _start(self, lease: Lease, ends_ms: int, consumers: anyio.abc.TaskGroup) -> None:
        shard = self._shards.get(lease.shard_id)
        consumer = ShardConsumer(self._work, lease, ends_ms, shard)
        self._consumers[lease.shard_id] = consumer
        consumers.start_soon(self._consume, consumer)

    async def _consume(self, consumer: ShardConsumer) -> None:
        shard_id = consumer.shard_id
        ending = "lost"
        try:
            ending = await consumer.run()
            if ending != "lost":
                self._given_up[shard_id] = consumer.counter
            if ending == "ended":
                log.info("shard_ended", shard=shard_id, worker=self.worker_id)
            elif ending == "stopped":
                await self._release(shard_id, consumer.counter)
            elif ending == "vanished":
                await consumer.pause(FAULT_PAUSE_MS_MAX)  # the next look at the shards may lag
        finally:
            del self._consumers[shard_id]
            self._one_less.set()
            if ending in ("ended", "vanished"):
                self._is_lineage_due = True
            self._wake()

    def _release_later(self, shard_id: str, counter: int, consumers: anyio.abc.TaskGroup) -> None:
        if shard_id not in self._releasing and not self._is_over:
            self._given_up[shard_id] = counter
            consumers.start_soon(self._release, shard_id, counter)

    async def _release(self, shard_id: str, counter: int) -> None:
        """Gives a lease up. When that fails, the next heartbeat finds it, and tries again."""
        self._releasing.add(shard_id)
        try:
            await self._leases.release(shard_id, self.worker_id, counter)
        except (LeaseLost, BrokerClosed):
            pass  # it is not ours any more, or soon will not be
        except EventcoreError as error:
            self._log_fault("release_failed", error)
        except Exception:
            log.exception("release_failed", shard=shard_id)
        finally:
            self._releasing.discard(shard_id)

    async def _watch_ends(self) -> None:
        """Cancels what runs on leases that are over."""
        while True:
            now_ms = self._pauses.now_ms()
            next_ms: int | None = None
            for consumer in self._consumers.values():
                if consumer.ends_ms <= now_ms:
                    consumer.abort()  # even if it knows: what it has begun goes on
                elif next_ms is None or consumer.ends_ms < next_ms:
                    next_ms = consumer.ends_ms
            wait_ms = self._lease_ms if next_ms is None else next_ms - now_ms
            await self._pauses.sleep(wait_ms, self._ends_changed)
