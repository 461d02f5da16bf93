"""One shard of a stream's mapping: reads it, has its lanes' batches run, settles their positions.

    subscription ──pages──▶ raw ──blocks──▶ lane 0 ─ batch ─▶ invoke ─▶ settle (position, effects)
                                 filter,    lane 1
                                 key hash    ...     each on its own, `mappings.shard_lane`

Rules of this file:

- Nothing is polled. A subscription tells of records when they are durable; a lane that has nothing
  to do has no task, and a timer only while it waits for a time.
- Records are unpacked a block at a time, when a lane could use them. A blocked lane keeps what the
  others leave behind, until READ_AHEAD_RECORDS (twice the batch size, where that is more) or
  READ_AHEAD_BYTES are kept in all; then the shard is read on only when some are done, and lanes
  that gather a batch invoke what they have.
- A position is settled when its batch has ended, in group commit with everything else, and the
  lane goes on with its next batch at once. A crash before the commit has the batch invoked again:
  so would one just before the settlement, and no promise is stronger than at least once. Order is
  the lane's own, which runs one batch at a time.
- Batches that end within SETTLE_MS of the shard's latest settlement, BATCHES_HELD of them at the
  most, share the next one, as long as their lane, or another one, has more to do: where a function
  is faster than the disk, a commit per batch would be most of the work. The time begins anew when
  the settlement is durable, or a slow disk would have used it up. At most SETTLES_AHEAD
  settlements are waited for at a time. The two bounds are what may be invoked again.
- Two kinds of settlements are waited for, each before the lane goes on: one that discards records,
  since the destination is told in its transaction, and the end of the shard, since its children
  begin with it. After a failed commit the first is made again unless it turns out to be stored; a
  position that stands alone is made again with the shard's next one.
- Records that are dropped by the filter or belong to other lanes move an idle lane's position with
  the shard's next settlement, or alone, when PASSED_RECORDS of them were passed over.
- Payloads of the invocations are values; records aggregated by the KPL are handed on as they are,
  as AWS does for mappings.
- What fails here that should not is logged, and the shard begins anew from its stored positions.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final, Literal, final

from eventcore.clock import TimerHandle
from eventcore.errors import (
    BrokerClosed,
    EventcoreError,
    LimitExceeded,
    NotFound,
    RecursiveInvocation,
    StoreError,
    Throttled,
)
from eventcore.functions.invocation import FailedInvocation, InvocationResult
from eventcore.ids import format_uuid
from eventcore.mappings.batch_response import first_failed_record
from eventcore.mappings.mapping_spec import (
    PROBLEM_CALL_FAILED,
    PROBLEM_NO_FUNCTION,
    RESULT_OK,
    LanePosition,
)
from eventcore.mappings.shard_lane import (
    LaneBatch,
    LaneChange,
    LaneRecord,
    ShardLane,
    Step,
    Wait,
    lane_of,
)
from eventcore.mappings.source_events import record_bytes
from eventcore.mappings.tumbling import next_state
from eventcore.outcome import Effect
from eventcore.runtime.stream_mapping import StreamMapping
from eventcore.runtime.subscriptions import RecordPage, Subscription
from eventcore.runtime.telemetry import logger_of
from eventcore.streams.block import BlockSlice
from eventcore.streams.shard import shard_id
from eventcore.streams.stream_spec import Place

__all__ = ["ShardEnding", "ShardPoller"]

READ_AHEAD_RECORDS: Final = 10_000
READ_AHEAD_BYTES: Final = 32 * 1024 * 1024
"""Records of a shard, and their part of the events' JSON, that its lanes keep at a time."""
RAW_RECORDS_MAX: Final = 1_000
"""Records that were read and not unpacked, from which on no further page is asked for."""
SETTLES_AHEAD: Final = 4
SETTLE_MS: Final = 5
BATCHES_HELD: Final = 16
PASSED_RECORDS: Final = 1_000
PAUSE_MS: Final = 200
"""Before another attempt where the store, or the subscriptions, had no room."""
NEVER: Final = 1 << 62

ShardEnding = Literal["done", "failed"]
"""done: the shard is closed and all of it is settled; failed: it must begin anew."""

log = logger_of("eventcore.stream_poller")


@final
class _Slot:
    """A lane with what runs of it."""

    __slots__ = ("is_awaited", "is_dirty", "lane", "settled", "task", "timer", "until_ms")

    def __init__(self, lane: ShardLane) -> None:
        self.lane = lane
        self.task: asyncio.Task[None] | None = None
        self.timer: TimerHandle | None = None
        self.until_ms = NEVER
        self.settled = lane.position.number
        """The number of the position that was settled last."""
        self.is_dirty = False
        """Whether its position is ahead of the stored one, after a failed commit."""
        self.is_awaited = False
        """Whether its position must not be stored by others: something goes with it."""

    def disarm(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
        self.timer, self.until_ms = None, NEVER


@final
class _Settling:
    """The reply of one settlement."""

    __slots__ = ("_on_end", "_slots")

    def __init__(
        self,
        slots: Sequence[_Slot],
        on_end: Callable[[Sequence[_Slot], EventcoreError | None], None],
    ) -> None:
        self._slots = slots
        self._on_end = on_end

    def commit(self, payload: Any) -> None:
        self._on_end(self._slots, None)

    def fail(self, error: EventcoreError) -> None:
        self._on_end(self._slots, error)


@final
class ShardPoller:
    """The poller of one shard, from its stored positions on. See the file's rules."""

    def __init__(
        self,
        mapping: StreamMapping,
        ordinal: int,
        positions: Sequence[LanePosition],
        on_end: Callable[[ShardPoller, ShardEnding], None],
    ) -> None:
        """`positions` are those of all lanes, in order. `on_end` is told of its end, once, and not
        after `stop`.
        """
        self.ordinal = ordinal
        self.expired = 0
        """Records that went with the stream's retention before they were done."""
        self._shard_id = shard_id(ordinal)
        self._mapping = mapping
        self._engine = mapping.engine
        self._on_end = on_end
        self._slots = [_Slot(ShardLane(mapping.rules, position)) for position in positions]
        unfinished = [position.number for position in positions if not position.is_end]
        self._read = min(unfinished, default=1)
        """The number of the record that is read next."""
        self._raw: deque[BlockSlice] = deque()
        self._raw_records = 0
        self._read_ahead = max(READ_AHEAD_RECORDS, 2 * mapping.spec.batch_size)
        self._subscription: Subscription | None = None
        self._retry: TimerHandle | None = None
        self._has_end = False
        self._has_vanished = False
        self._is_stopping = False
        self._is_over = False
        self._held = 0
        """Batches that ended since the latest settlement."""
        self._held_result: str | None = None
        self._settled_ms = 0
        self._release_timer: TimerHandle | None = None
        self._flying = 0
        self._landed: asyncio.Future[None] | None = None

    # Life

    def start(self) -> None:
        """Begins to read; not in a request."""
        self._subscribe()
        self._pump()  # lanes that are done already, or wait for a time

    def begin_stop(self) -> None:
        """No more batches; what runs ends and is settled. May be called again."""
        self._is_stopping = True
        self._quiesce()

    def end_stop(self) -> None:
        """All has ended, or was cancelled: what idle lanes passed over is settled."""
        self._settle_passed(1)
        self._is_over = True

    def wake(self) -> None:
        """The function may be there again: refused batches are tried at once."""
        for slot in self._slots:
            slot.lane.wake()
        self._pump()

    @property
    def tasks(self) -> list[asyncio.Task[None]]:
        """What runs."""
        return [slot.task for slot in self._slots if slot.task is not None]

    @property
    def oldest_ms(self) -> int | None:
        """When the oldest record that was read and is not done arrived."""
        ages = [slot.lane.oldest_ms for slot in self._slots]
        known = [at_ms for at_ms in ages if at_ms is not None]
        if not known and self._raw:
            return self._raw[0].block.arrived_ms
        return min(known, default=None)

    @property
    def _is_taking(self) -> bool:
        return not (self._is_stopping or self._is_over)

    def _quiesce(self) -> None:
        for slot in self._slots:
            slot.disarm()
        if self._subscription is not None:
            self._subscription.cancel()
            self._subscription = None
        for timer in (self._retry, self._release_timer):
            if timer is not None:
                timer.cancel()
        self._retry = self._release_timer = None

    def _end(self, ending: ShardEnding | None) -> None:
        """Nothing of this shard is done here any more. None: nobody need go on with it."""
        if self._is_over:
            return
        self._is_over = True
        self._quiesce()
        if ending == "failed":
            for task in self.tasks:
                if task is not asyncio.current_task():
                    task.cancel()
        if ending is not None and not self._is_stopping:
            self._on_end(self, ending)

    # Reading

    def _subscribe(self) -> None:
        self._retry = None
        if not self._is_taking or self._has_end or self._subscription is not None:
            return
        streams = self._engine.streams
        try:
            self._engine.begin()
            stream = streams.find_stream(self._mapping.stream_arn)
            if stream is None or streams.identity(stream) != self._mapping.identity:
                self._end(None)  # the mappings are told of it, too
                return
            place = Place(self.ordinal, self._read)
            self._subscription = streams.subscribe(stream, place, self)
        except BrokerClosed:
            self._end(None)
        except EventcoreError as error:  # no room for a subscription, or for a change
            log.warning("mapping_not_reading", mapping=self._mapping.arn, error=str(error))
            self._subscribe_later()

    def _subscribe_later(self) -> None:
        if self._retry is None and self._is_taking:
            at_ms = self._engine.clock.now_ms() + PAUSE_MS
            self._retry = self._mapping.timers.call_at(at_ms, self._subscribe)

    def deliver(self, page: RecordPage) -> bool:
        """The subscription's: takes a page of durable records."""
        if not self._is_taking:
            return False
        if page.slices:
            first = page.slices[0].block.first + page.slices[0].begin
            if first > self._read:
                self._missed(first - self._read)
            self._raw.extend(page.slices)
            self._raw_records += len(page)
            self._read = page.slices[-1].block.first + page.slices[-1].end
        if page.place is None:
            self._has_end = True
        elif page.place.number > self._read:
            self._read = page.place.number
        self._pump()
        return self._raw_records < RAW_RECORDS_MAX

    def end(self, error: EventcoreError | None) -> None:
        """The subscription's: it is over."""
        self._subscription = None
        if self._has_end or not self._is_taking:
            return
        if isinstance(error, NotFound):
            if error.kind == "shard":
                self._vanish()
            else:
                self._end(None)
            return
        if error is not None:
            log.warning("mapping_not_reading", mapping=self._mapping.arn, error=str(error))
        self._subscribe_later()

    def _vanish(self) -> None:
        """The shard's own retention is over: nothing of it is left to be done."""
        self._has_vanished = self._has_end = True
        self._raw.clear()
        self._raw_records = 0
        self._pump()

    def _missed(self, count: int) -> None:
        self.expired += count
        log.warning(
            "mapping_records_expired",
            mapping=self._mapping.arn,
            shard=self._shard_id,
            records=count,
        )

    def _feed(self, now_ms: int) -> bool:
        """Unpacks blocks for as long as a lane could use them. Whether it did."""
        has_fed = False
        while self._raw and self._has_room(now_ms):
            part = self._raw.popleft()
            self._raw_records -= len(part)
            self._offer(part)
            has_fed = True
        if not self._raw and self._has_end:
            for slot in self._slots:
                slot.lane.passed(self._read)
                slot.lane.end()
        if self._subscription is not None and self._raw_records < RAW_RECORDS_MAX:
            self._subscription.resume()
        return has_fed

    def _has_room(self, now_ms: int) -> bool:
        slots = self._slots
        if not any(slot.lane.is_hungry(now_ms) for slot in slots):
            return False
        if (
            sum(len(slot.lane) for slot in slots) < self._read_ahead
            and sum(slot.lane.buffered_bytes for slot in slots) < READ_AHEAD_BYTES
        ):
            return True
        return any(slot.lane.is_incomplete for slot in slots)

    def _offer(self, part: BlockSlice) -> None:
        """Gives the records of a block to their lanes."""
        block, begin, end = part.block, part.begin, part.end
        first, arrived_ms = block.first + begin, block.arrived_ms
        records = [
            LaneRecord(number, arrived_ms, record_bytes(data, key), sequence_number, key, data)
            for number, (sequence_number, key, data) in enumerate(
                zip(
                    part.sequence_numbers(),
                    block.partition_keys[begin:end],
                    block.data[begin:end],
                    strict=True,
                ),
                start=first,
            )
        ]
        counts = self._mapping.counts
        counts.polled += len(records)
        wanted = self._mapping.wanted(self._shard_id, records)
        counts.filtered_out += len(records) - len(wanted)
        lanes = len(self._slots)
        if lanes == 1:
            self._slots[0].lane.offer(wanted)
        else:
            shares: list[list[LaneRecord]] = [[] for _ in range(lanes)]
            for record in wanted:
                shares[lane_of(record.partition_key, lanes)].append(record)
            for slot, share in zip(self._slots, shares, strict=True):
                slot.lane.offer(share)
        for slot in self._slots:
            slot.lane.passed(first + end - begin)

    # Lanes

    def _pump(self) -> None:
        """Has every lane that rests do what there is to do."""
        if not self._is_taking:
            return
        for slot in self._slots:
            if slot.task is None and self._is_taking:
                self._proceed(slot)
        if any(self._lag(slot) >= PASSED_RECORDS for slot in self._slots):
            asyncio.get_running_loop().call_soon(self._settle_passed, PASSED_RECORDS)

    def _proceed(self, slot: _Slot) -> None:
        """Has a lane that rests do what there is to do. Does not raise: what was read and not given
        to its lane would be passed over.
        """
        try:
            self._begin(slot, self._step(slot))
        except Exception:
            log.exception("mapping_shard_failed", mapping=self._mapping.arn, shard=self._shard_id)
            self._end("failed")

    def _step(self, slot: _Slot) -> Step:
        now_ms = self._engine.clock.now_ms()
        self._feed(now_ms)
        horizon_ms = complete_ms = 0
        stream = self._engine.streams.find_stream(self._mapping.stream_arn)
        if self._has_vanished:
            horizon_ms = NEVER
        elif stream is not None:
            horizon_ms = stream.horizon_ms(now_ms)
            shard = stream.shard(self.ordinal)
            if shard is not None and not self._raw and self._read >= shard.next_number:
                complete_ms = now_ms
        return slot.lane.step(
            now_ms,
            horizon_ms=horizon_ms,
            complete_ms=complete_ms,
            is_stalled=bool(self._raw),
        )

    def _begin(self, slot: _Slot, step: Step) -> None:
        """Does a step: in a task, unless there is nothing but to wait."""
        if isinstance(step, Wait):
            self._arm(slot, step.until_ms)
            return
        slot.disarm()
        slot.task = asyncio.get_running_loop().create_task(self._run(slot, step))

    def _arm(self, slot: _Slot, until_ms: int | None) -> None:
        if until_ms == slot.until_ms:
            return
        slot.disarm()
        if until_ms is not None and until_ms < NEVER:
            slot.until_ms = until_ms
            slot.timer = self._mapping.timers.call_at(until_ms, lambda: self._on_timer(slot))

    def _on_timer(self, slot: _Slot) -> None:
        slot.timer, slot.until_ms = None, NEVER
        if slot.task is None and self._is_taking:
            self._proceed(slot)

    async def _run(self, slot: _Slot, step: Step) -> None:
        """Does what there is to do for a lane, until it has to wait, or the poller stops."""
        try:
            while not isinstance(step, Wait):
                if not await self._do(slot, step) or not self._is_taking:
                    return
                await asyncio.sleep(0)  # others have their turn, commits too
                if not self._is_taking:
                    return
                step = self._step(slot)
                if self._held and not await self._release(isinstance(step, Wait)):
                    return
                if len(self._slots) > 1:
                    self._pump()  # records may have come for other lanes
                if not self._is_taking:
                    return
            self._arm(slot, step.until_ms)
        except Exception:
            log.exception("mapping_shard_failed", mapping=self._mapping.arn, shard=self._shard_id)
            self._end("failed")
        finally:
            slot.task = None
        if all(each.lane.position.is_end and each.task is None for each in self._slots):
            self._end("done")

    async def _do(self, slot: _Slot, step: LaneBatch | LaneChange) -> bool:
        """One step and its settlement; False when nothing more is to be done."""
        if isinstance(step, LaneChange):
            if step.expired:
                self._missed(step.expired)
            return await self._settle(slot, step, None, None)
        return await self._invoke(slot, step)

    # Invoking

    async def _invoke(self, slot: _Slot, batch: LaneBatch) -> bool:
        engine, mapping, lane = self._engine, self._mapping, slot.lane
        request_id = format_uuid(engine.ids.unique_id())
        problem: str | None = PROBLEM_CALL_FAILED
        change: LaneChange | None = None
        try:
            answer = await engine.functions.invoke(
                mapping.function_arn,
                mapping.payload(self._shard_id, batch),
                qualifier=mapping.qualifier,
                request_id=request_id,
            )
        except BrokerClosed:
            self._end(None)
            return False
        except RecursiveInvocation:
            change = lane.rejected(batch, request_id, engine.clock.now_ms())
        except LimitExceeded:
            change = lane.too_large(batch, request_id, engine.clock.now_ms())
        except NotFound:
            problem = PROBLEM_NO_FUNCTION
        except (Throttled, FailedInvocation, StoreError):
            problem = None
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            mapping.counts.invoked += len(batch.records)
            change = lane.failed(batch, request_id, engine.clock.now_ms())
        except Exception:
            log.exception("batch_failed", function=mapping.function_arn)
        else:
            return await self._judge(slot, batch, answer, request_id)
        if change is None:
            lane.refused(batch, engine.clock.now_ms())
            return problem is None or self._note(problem)
        mapping.counts.failed += len(batch.records)
        return await self._settle(slot, change, problem, None)

    async def _judge(
        self, slot: _Slot, batch: LaneBatch, answer: InvocationResult, request_id: str
    ) -> bool:
        """Settles what a function's answer means."""
        lane, now_ms = slot.lane, self._engine.clock.now_ms()
        self._mapping.counts.invoked += len(batch.records)
        failed = first_failed_record(
            answer,
            [record.sequence_number for record in batch.records],
            reports_item_failures=self._mapping.spec.reports_item_failures,
        )
        state: str | None = None
        result = RESULT_OK if answer.error is None else PROBLEM_CALL_FAILED
        if batch.window is not None and not batch.is_final and failed != 0:
            state = next_state(answer)
            if state is None:
                failed, result = 0, PROBLEM_CALL_FAILED
        if failed is None:
            lane.succeeded(batch, state)
            slot.is_dirty = True
            self._held += 1
            self._held_result = result
            return True
        self._mapping.counts.failed += len(batch.records) - failed
        if failed:
            change = lane.progressed(batch, failed, state)
        else:
            change = lane.failed(batch, request_id, now_ms)
        return await self._settle(slot, change, result, answer)

    # Settling

    async def _release(self, is_resting: bool) -> bool:
        """Settles what is held, if it is time; False when there is nothing more to do."""
        now_ms = self._engine.clock.now_ms()
        is_early = 0 <= now_ms - self._settled_ms < SETTLE_MS
        if is_early and self._held < BATCHES_HELD:
            if not is_resting:
                return True
            if len(self.tasks) > 1:
                self._release_at(self._settled_ms + SETTLE_MS)
                return True
        while self._held and not self._is_over:
            if self._stage(None, None, (), self._held_result) is None:
                await self._pause()
        await self._wait_for_room()
        return not self._is_over

    def _release_at(self, at_ms: int) -> None:
        """Other lanes are busy, and settle what is held when they can; but not too late."""
        if self._release_timer is None:
            timers = self._mapping.timers
            self._release_timer = timers.call_at(at_ms, self._on_release_timer)

    def _on_release_timer(self) -> None:
        self._release_timer = None
        if self._held and self._is_taking and self._stage(None, None, (), None) is None:
            self._release_at(self._engine.clock.now_ms() + PAUSE_MS)

    async def _settle(
        self,
        slot: _Slot,
        change: LaneChange,
        result: str | None,
        answer: InvocationResult | None,
    ) -> bool:
        """Stores a change; False when there is nothing more to do. See the file's rules."""
        position = change.position
        effects = self._mapping.effects(self._shard_id, change.discard, answer)
        slot.is_awaited = bool(effects) or position.is_end
        try:
            while True:
                landed = self._stage(slot, position, effects, result)
                if self._is_over:
                    return False
                if landed is None:
                    await self._pause()
                elif not slot.is_awaited:
                    await self._wait_for_room()
                    break
                elif await landed is None or await self._is_stored(position):
                    break
        finally:
            slot.is_awaited = False
        if change.discard is not None:
            log.warning(
                "mapping_records_discarded",
                mapping=self._mapping.arn,
                shard=self._shard_id,
                records=change.discard.count,
                condition=change.discard.condition,
            )
            self._mapping.counts.dropped += change.discard.count
            if effects:
                self._mapping.counts.delivered_on_failure += change.discard.count
        return True

    def _stage(
        self,
        slot: _Slot | None,
        position: LanePosition | None,
        effects: tuple[Effect, ...],
        result: str | None,
        passed: int = PASSED_RECORDS,
    ) -> asyncio.Future[EventcoreError | None] | None:
        """One request that stores a position, and those of lanes that passed many records over.
        Returns what it will come to; None when it could not be made now.
        """
        if self._is_over:
            return None
        others = [
            other
            for other in self._slots
            if other is not slot
            and not other.is_awaited
            and (other.is_dirty or self._lag(other) >= passed)
        ]
        if result is None and self._held:
            result = self._held_result
        positions = [other.lane.idle_position() for other in others]
        if position is not None:
            positions.append(position)
        if not positions and result is None:
            return None
        try:
            self._engine.begin()
            if self._is_of_another_stream():
                self._end(None)
                return None
            self._engine.mappings.settle(self._mapping.arn, positions, effects, result)
        except (NotFound, BrokerClosed):
            self._end(None)
            return None
        except StoreError:
            return None
        slots = others if slot is None or position is None else [*others, slot]
        for each, stored in zip(slots, positions, strict=True):
            each.settled = stored.number
            each.is_dirty = False
        self._held = 0
        self._settled_ms = self._engine.now_ms()
        landed: asyncio.Future[EventcoreError | None]
        landed = asyncio.get_running_loop().create_future()
        self._flying += 1

        def on_end(settled: Sequence[_Slot], error: EventcoreError | None) -> None:
            self._land(settled, error)
            if not landed.done():
                landed.set_result(error)

        self._engine.hold(_Settling(slots, on_end), None)
        return landed

    def _is_of_another_stream(self) -> bool:
        """Whether there is another stream of that name by now: positions are the other one's."""
        streams = self._engine.streams
        stream = streams.find_stream(self._mapping.stream_arn)
        return stream is not None and streams.identity(stream) != self._mapping.identity

    def _land(self, slots: Sequence[_Slot], error: EventcoreError | None) -> None:
        """A settlement is durable, or is not to be relied on."""
        self._flying -= 1
        if error is None:
            self._settled_ms = self._engine.clock.now_ms()
        else:
            for slot in slots:
                slot.is_dirty = True
            if not isinstance(error, BrokerClosed) and not self._is_over:
                at_ms = self._engine.clock.now_ms() + PAUSE_MS
                self._mapping.timers.call_at(at_ms, self._settle_again)
        waiting, self._landed = self._landed, None
        if waiting is not None and not waiting.done():
            waiting.set_result(None)

    def _settle_again(self) -> None:
        """After a failed commit, unless something was settled meanwhile."""
        if any(slot.is_dirty and not slot.is_awaited for slot in self._slots):
            self._settle_passed(PASSED_RECORDS)

    def _settle_passed(self, passed: int) -> None:
        """Stores the positions of lanes that passed at least so many records over."""
        if not self._is_over:
            self._stage(None, None, (), None, passed)

    def _lag(self, slot: _Slot) -> int:
        """How far an idle lane is ahead of what was settled of it."""
        if slot.lane.is_running or slot.is_awaited:
            return 0
        return slot.lane.idle_position().number - slot.settled

    def _note(self, result: str) -> bool:
        """Notes LastProcessingResult alone; whether there is a mapping to note it of."""
        self._stage(None, None, (), result)
        return not self._is_over

    async def _wait_for_room(self) -> None:
        while self._flying >= SETTLES_AHEAD:
            if self._landed is None:
                self._landed = asyncio.get_running_loop().create_future()
            await asyncio.wait([self._landed])

    async def _is_stored(self, position: LanePosition) -> bool:
        """Whether a settlement of unknown fate is stored, as soon as that can be told."""
        while not self._is_over:
            try:
                self._engine.begin()
            except BrokerClosed:
                self._end(None)
            except StoreError:
                await self._pause()
            else:
                found = self._engine.find(self._mapping.arn)
                if found is None:
                    return False  # the next attempt finds that out
                stored = found.position(position.ordinal, position.lane)
                return bool(stored == position)
        return True

    async def _pause(self) -> None:
        over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        at_ms = self._engine.clock.now_ms() + PAUSE_MS
        timer = self._mapping.timers.call_at(at_ms, lambda: _resolve(over))
        try:
            await over
        finally:
            timer.cancel()


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
